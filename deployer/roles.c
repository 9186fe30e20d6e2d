#include <stdlib.h>
#include <string.h>

#include "deployer/roles.h"

#include "deployer/roles.sql.h"
#include "lib/adapters/map.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/core/catalog.h"

#define ROLES_POLL_MS 50

/* --- what stands there --------------------------------------------------------- */

char *
roles_array(Arena *mem, const Names *names)
{
	Buf b = buf_new(mem);

	buf_addc(&b, '{');
	for (size_t i = 0; i < names->n; i++) {
		buf_add(&b, i ? ",\"" : "\"");
		for (const char *p = names->at[i]; *p; p++) {
			if (*p == '"' || *p == '\\')
				buf_addc(&b, '\\');
			buf_addc(&b, *p);
		}
		buf_addc(&b, '"');
	}
	buf_addc(&b, '}');
	return b.text;
}

static char *
all_roles(Arena *mem, const Placement *at)
{
	const Shared *s = at->shared;
	Names names = { 0 };

	vec_push(mem, &names, at->owner);
	if (s && at->layout == LAYOUT_WIDE) {
		vec_push(mem, &names, s->keeper);
		vec_push(mem, &names, s->writers);
		vec_push(mem, &names, s->readers);
	}
	for (size_t i = 0; i < at->logins.n; i++)
		vec_push(mem, &names, at->logins.at[i].role);
	return roles_array(mem, &names);
}

bool
roles_there(Ctx *cx, Pg *pg, const Placement *at, There *out)
{
	const char *params[] = { all_roles(cx->mem, at), at->dbname };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_ROLES_THERE, &rows, params))
		return false;
	*out = (There){ 0 };
	for (int i = 0; i < rows.n; i++) {
		if (strcmp(pg_text(&rows, i, 0), "role") == 0) {
			vec_push(cx->mem, &out->roles, arena_dup(cx->mem, pg_text(&rows, i, 1)));
			continue;
		}
		out->database = true;
		out->open = pg_bool(&rows, i, 2);
		out->broken = pg_bool(&rows, i, 3);
		out->owner = arena_dup(cx->mem, pg_text(&rows, i, 4));
	}
	pg_rows_free(&rows);
	return true;
}

ItemKind
roles_item_kind(const char *word)
{
	static const struct {
		const char *word;
		ItemKind kind;
	} kinds[] = {
		{ "role", ITEM_ROLE },
		{ "setting", ITEM_SETTING },
		{ "member", ITEM_MEMBER },
		{ "database", ITEM_DATABASE },
		{ "grant", ITEM_DATABASE_GRANT },
	};

	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (strcmp(kinds[i].word, word) == 0)
			return kinds[i].kind;
	return ITEM_KINDS;
}

static const char *
word_of(ItemKind kind)
{
	static const char *const words[] = {
		[ITEM_ROLE] = "role",
		[ITEM_SETTING] = "setting",
		[ITEM_MEMBER] = "member",
		[ITEM_DATABASE] = "database",
		[ITEM_DATABASE_GRANT] = "grant",
	};

	return words[kind];
}

bool
roles_observe(Ctx *cx, Pg *pg, const Placement *at, Items *out)
{
	const char *prefix = at->mode == MODE_CUSTOMER_DB ? ""
							  : arena_printf(cx->mem, "t_%s_", at->id);
	const char *params[] = { all_roles(cx->mem, at), at->dbname, prefix };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_ROLES_OBSERVE, &rows, params))
		return fail_in(cx, "looking at the roles of \"%s\"", at->tenant);
	for (int i = 0; i < rows.n; i++)
		items_add(cx->mem, out, roles_item_kind(pg_text(&rows, i, 0)),
		    arena_dup(cx->mem, pg_text(&rows, i, 1)),
		    arena_dup(cx->mem, pg_text(&rows, i, 2)),
		    arena_dup(cx->mem, pg_text(&rows, i, 3)));
	pg_rows_free(&rows);
	return true;
}

/* --- what should stand there ------------------------------------------------------ */

static void
expect_login(Ctx *cx, const Placement *at, const Login *login, Items *out)
{
	bool shared = at->mode != MODE_CUSTOMER_DB;
	RoleSetting list[ROLE_SETTINGS];
	size_t n = roles_settings(login, list);
	const char *role = login->role;

	items_add(cx->mem, out, ITEM_ROLE, role, "",
	    shared ? arena_printf(cx->mem, "%s, connections %d", login->on ? "login" : "nologin",
			 ROLE_CONNECTIONS)
		   : "login");
	for (size_t i = 0; i < n; i++)
		items_add(cx->mem, out, ITEM_SETTING, role,
		    shared ? list[i].name
			   : arena_printf(cx->mem, "%s@%s", list[i].name, at->dbname),
		    list[i].value);
	items_add(cx->mem, out, ITEM_MEMBER, role, at->cluster->connect.user, "");
	if (login->on)
		items_add(cx->mem, out, ITEM_DATABASE_GRANT, at->dbname, role, "CONNECT");
}

bool
roles_expected(Ctx *cx, const Placement *at, Items *out)
{
	items_add(cx->mem, out, ITEM_ROLE, at->owner, "", "nologin");
	items_add(cx->mem, out, ITEM_MEMBER, at->owner, at->cluster->connect.user, "");
	items_add(cx->mem, out, ITEM_DATABASE, at->dbname, "",
	    arena_printf(cx->mem, "owner %s", at->owner));
	items_add(cx->mem, out, ITEM_DATABASE_GRANT, at->dbname,
	    at->mode == MODE_CUSTOMER_DB ? at->cluster->connect.user : at->owner,
	    at->mode == MODE_CUSTOMER_DB ? "CONNECT" : "CONNECT, CREATE, TEMPORARY");
	for (size_t i = 0; i < at->logins.n; i++)
		expect_login(cx, at, &at->logins.at[i], out);
	return true;
}

/* --- the difference ------------------------------------------------------------------ */

static bool
is_word(const char *def, const char *word)
{
	return strstr(def, word) != NULL;
}

bool
roles_change_needs_superuser(const RoleChange *c)
{
	return c->kind == ITEM_ROLE && c->from &&
	    (is_word(c->from, "superuser") || is_word(c->from, "replication") ||
		is_word(c->from, "bypassrls"));
}

/* What an administrator has to do, or NULL if we can mend it. */
static const char *
not_ours(const Placement *at, const RoleChange *c)
{
	bool customer = at->mode == MODE_CUSTOMER_DB;

	if (c->kind == ITEM_ROLE && c->op == CHANGE_REMOVE)
		return "not made by copyhold: its owner may drop it";
	if (roles_change_needs_superuser(c))
		return "only a superuser can take NOSUPERUSER NOREPLICATION NOBYPASSRLS back";
	if (c->kind == ITEM_DATABASE && c->from && c->to && strcmp(c->to, c->from) != 0 &&
	    strncmp(c->from, c->to, strlen(c->to)) != 0)
		return "only its present owner or a superuser can give it back";
	if (c->kind == ITEM_MEMBER && strstr(c->name, " (of another grantor)"))
		return "only who granted it can take it back";
	if (c->kind == ITEM_SETTING && c->op == CHANGE_REMOVE &&
	    strstr(c->name, " (of a superuser)"))
		return "only a superuser can reset it";
	if (customer && c->kind == ITEM_ROLE)
		return "the customer's administrator can change it";
	if (customer && (c->kind == ITEM_MEMBER || c->kind == ITEM_DATABASE))
		return "the customer's administrator can grant it: see copyhold tenant setup-script";
	if (customer && c->kind == ITEM_SETTING && strcmp(c->object, at->owner) == 0)
		return "the customer's own";
	if (customer && c->kind == ITEM_SETTING && !*c->object)
		return "the customer's own";
	return NULL;
}

static const char *
change_name(Arena *mem, const RoleChange *c)
{
	if (!*c->object)
		return c->name;
	return *c->name ? arena_printf(mem, "%s.%s", c->object, c->name) : c->object;
}

typedef struct Differ {
	const Placement *at;
	Changes *changes;
	Js *list; /* for the step's args */
} Differ;

static void
differ_add(Ctx *cx, const Differ *d, const RoleChange *c)
{
	const char *note = not_ours(d->at, c);
	Change line = {
		.op = c->op,
		.what = word_of(c->kind),
		.name = change_name(cx->mem, c),
		.from = c->from,
		.to = c->to,
		.drift = true,
		.kept = note != NULL,
		.note = note,
	};
	Js *one = js_object(cx->mem);

	vec_push(cx->mem, d->changes, line);
	if (note)
		return;
	js_set_text(one, "kind", word_of(c->kind));
	js_set_text(one, "object", c->object);
	js_set_text(one, "name", c->name);
	js_set_text(one, "from", c->from);
	js_set_text(one, "to", c->to);
	js_push(d->list, one);
}

bool
roles_change_read(const Js *args, size_t i, RoleChange *out)
{
	const Js *one = js_at(js_get(args, "changes"), i);

	if (!one || !js_get_text(one, "kind") || !js_get_text(one, "object") ||
	    !js_get_text(one, "name"))
		return false;
	*out = (RoleChange){
		.kind = roles_item_kind(js_get_text(one, "kind")),
		.object = js_get_text(one, "object"),
		.name = js_get_text(one, "name"),
		.from = js_get_text(one, "from"),
		.to = js_get_text(one, "to"),
	};
	out->op = !out->from ? CHANGE_ADD : !out->to ? CHANGE_REMOVE : CHANGE_ALTER;
	return out->kind != ITEM_KINDS;
}

static Items
only_roles(Arena *mem, const Items *from)
{
	Items out = { 0 };

	for (size_t i = 0; i < from->n; i++)
		if (from->at[i].kind <= ITEM_DATABASE_GRANT)
			vec_push(mem, &out, from->at[i]);
	items_sort(&out);
	return out;
}

/* Creation in the order of the kinds; what is too much goes last. */
static void
differ_all(Ctx *cx, const Differ *d, const Items *want, const Items *have)
{
	for (size_t i = 0; i < want->n; i++) {
		const Item *w = &want->at[i];
		const Item *h = items_find(have, (ItemKind)w->kind, w->object, w->name);

		if (h && strcmp(h->def, w->def) == 0)
			continue;
		differ_add(cx, d,
		    &(RoleChange){ h ? CHANGE_ALTER : CHANGE_ADD, (ItemKind)w->kind, w->object,
			w->name, h ? h->def : NULL, w->def });
	}
	for (size_t i = have->n; i-- > 0;) {
		const Item *h = &have->at[i];

		if (!items_find(want, (ItemKind)h->kind, h->object, h->name))
			differ_add(cx, d,
			    &(RoleChange){ CHANGE_REMOVE, (ItemKind)h->kind, h->object, h->name,
				h->def, NULL });
	}
}

bool
roles_mend_steps(Ctx *cx, const Placement *at, const Items *want, const Items *observed,
    Changes *changes, Steps *steps)
{
	Differ d = { at, changes, js_array(cx->mem) };
	Items have = only_roles(cx->mem, observed);

	differ_all(cx, &d, want, &have);
	size_t n = js_count(d.list);

	if (n == 0)
		return true;
	Js *args = js_object(cx->mem);

	js_set(args, "changes", d.list);
	steps_add(cx->mem, steps, at->scope,
	    at->mode == MODE_CUSTOMER_DB ? "customer.change" : "roles.change", args,
	    "mend %zu role setting%s or right%s", n, n == 1 ? "" : "s", n == 1 ? "" : "s");
	return true;
}

bool
roles_change_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Items want = { 0 };

	if (!work->observed)
		return true;
	if (!roles_expected(cx, at, &want))
		return false;
	items_sort(&want);
	return roles_mend_steps(cx, at, &want, work->observed, changes, steps);
}

/* --- one transaction ---------------------------------------------------------------------- */

bool
roles_lack(Ctx *cx, const char *fmt, ...)
{
	va_list ap;

	if (cx->fail->kind != FAIL_MISSING_RIGHT)
		return false;
	va_start(ap, fmt);
	cx->fail->hint = arena_vprintf(cx->mem, fmt, ap);
	va_end(ap);
	return false;
}

static bool
transact(Ctx *cx, Pg *pg, const StepEnv *env, const char *text, bool last, const char *grant)
{
	Ledger ledger;

	if (!pg_begin(cx, pg))
		return false;
	if (!ledger_enter(cx, pg, env, &ledger)) {
		pg_rollback(pg);
		return false;
	}
	if (ledger == LEDGER_ALREADY) {
		pg_rollback(pg);
		return true;
	}
	if (!pg_script(cx, pg, text) || (last && !ledger_forget(cx, pg, env)) ||
	    !pg_commit(cx, pg)) {
		pg_rollback(pg);
		return grant ? roles_lack(cx, "%s", grant) : false;
	}
	fault_point(arena_printf(cx->mem, "%s.acted", env->step->kind));
	return true;
}

bool
roles_transact(Ctx *cx, Pg *pg, const StepEnv *env, const char *text, const char *grant)
{
	return transact(cx, pg, env, text, false, grant);
}

bool
roles_transact_last(Ctx *cx, Pg *pg, const StepEnv *env, const char *text, const char *grant)
{
	return transact(cx, pg, env, text, true, grant);
}

bool
roles_untransact(Ctx *cx, Pg *pg, const StepEnv *env, const char *text)
{
	bool stands;

	if (!ledger_stands(cx, pg, &stands) || !pg_begin(cx, pg))
		return false;
	if ((!stands || ledger_remove(cx, pg, env)) && (!*text || pg_script(cx, pg, text)) &&
	    pg_commit(cx, pg)) {
		fault_point(arena_printf(cx->mem, "%s.undone", env->step->kind));
		return true;
	}
	pg_rollback(pg);
	return false;
}

bool
roles_probe(Ctx *cx, Pg *pg, const StepEnv *env, Probe *out)
{
	bool has;

	if (!ledger_has(cx, pg, env, &has))
		return false;
	*out = has ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

static bool
sessions_count(Ctx *cx, Pg *pg, const char *array, int *n)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_ROLES_SESSIONS_END, &rows, &array))
		return roles_lack(cx,
		    "To end their sessions our login there must be a member of the tenant's logins "
		    "with INHERIT, or, for tenants of a shared database, of pg_signal_backend.");
	*n = rows.n;
	pg_rows_free(&rows);
	return true;
}

static bool
coming_in(Ctx *cx, Pg *pg, bool *some)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_ROLES_COMING_IN, &rows, NULL))
		return false;
	*some = pg_int(&rows, 0, 0) > 0;
	pg_rows_free(&rows);
	return true;
}

/* Where nobody was just logging in one look that finds none is enough, else it takes a second one after
 * the time in which a session shows up. */
static bool
sessions_gone(Ctx *cx, Pg *pg, const char *array, int *n)
{
	bool some;

	if (!coming_in(cx, pg, &some) || !sessions_count(cx, pg, array, n))
		return false;
	if (*n || !some)
		return true;
	lane_sleep(ROLES_POLL_MS);
	return sessions_count(cx, pg, array, n);
}

bool
roles_end_sessions(Ctx *cx, Pg *pg, Logins logins)
{
	int64_t begun = clock_mono_ms();
	Names names = { 0 };
	int n = 0;

	for (size_t i = 0; i < logins.n; i++)
		vec_push(cx->mem, &names, logins.at[i].role);
	const char *array = roles_array(cx->mem, &names);

	for (;;) {
		if (!sessions_gone(cx, pg, array, &n))
			return false;
		if (n == 0)
			return true;
		int64_t past = clock_mono_ms() - begun;
		if (past > ROLES_END_MS)
			return fail(cx, FAIL_TIMEOUT,
			    "Look at them in pg_stat_activity, then run it again.",
			    "%d sessions of the tenant's logins on \"%s\" do not end", n,
			    pg_name(pg));
		lane_sleep(past < ROLES_POLL_MS ? 1 : ROLES_POLL_MS);
	}
}

/* --- logins: of a step, in the catalogue, in the database ------------------------------------- */

Logins
roles_logins(const StepEnv *env)
{
	const char *user = js_get_text(env->step->args, "user");
	const Login *one = user ? place_login(env->at, user) : NULL;

	if (user)
		return (Logins){ one, one ? 1 : 0 };
	return (Logins){ env->at->logins.at, env->at->logins.n };
}

static bool
record(Ctx *cx, StepEnv *env, bool on)
{
	Logins logins = roles_logins(env);

	for (size_t i = 0; i < logins.n; i++)
		if (!catalog_login_on(cx, env->home, env->at->tenant, logins.at[i].user, on))
			return false;
	return true;
}

bool
roles_record_on(Ctx *cx, StepEnv *env)
{
	return record(cx, env, true);
}

bool
roles_record_off(Ctx *cx, StepEnv *env)
{
	return record(cx, env, false);
}

static void
grant_text(Buf *b, const char *rights, const char *on, const char *role, bool grant)
{
	buf_fmt(b, "%s %s ON %s %s ", grant ? "GRANT" : "REVOKE", grant ? rights : "ALL", on,
	    grant ? "TO" : "FROM");
	buf_ident(b, role);
	buf_add(b, grant ? ";\n" : " CASCADE;\n");
}

bool
shape_grant_login(Ctx *cx, Pg *pg, const Placement *at, const Login *login, bool grant)
{
	const char *rights = login->read_only ? "SELECT" : "SELECT, INSERT, UPDATE, DELETE";
	const char *params[] = { at->owner, at->schema };
	Buf b = buf_new(cx->mem), schema = buf_new(cx->mem);
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_OWNED_TABLES, &rows, params))
		return false;
	buf_ident(&schema, at->schema);
	grant_text(
	    &b, "USAGE", arena_printf(cx->mem, "SCHEMA %s", schema.text), login->role, grant);
	for (int i = 0; i < rows.n; i++) {
		Buf table = buf_new(cx->mem);
		buf_fmt(&table, "TABLE %s.", schema.text);
		buf_ident(&table, pg_text(&rows, i, 0));
		grant_text(&b, rights, table.text, login->role, grant);
	}
	pg_rows_free(&rows);
	return pg_script(cx, pg, b.text) ||
	    fail_in(cx, "%s login \"%s\" of \"%s\" its rights",
		grant ? "granting" : "revoking from", login->user, at->tenant);
}

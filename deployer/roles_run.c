#include <string.h>

#include "deployer/roles.h"

#include "deployer/roles.sql.h"
#include "lib/base/clock.h"
#include "lib/core/catalog.h"
#include "lib/core/records.h"

/* --- texts ------------------------------------------------------------------- */

void
roles_drop_text(Buf *b, const char *role)
{
	buf_add(b, "DROP ROLE IF EXISTS ");
	buf_ident(b, role);
	buf_add(b, ";\n");
}

static bool
is_there(const There *there, const char *role)
{
	return names_have(&there->roles, role);
}

/* LOGIN and CONNECT, or neither; what is not there cannot be closed. */
static void
door_text(Buf *b, const Placement *at, Logins logins, const There *there, bool open)
{
	for (size_t i = 0; i < logins.n; i++) {
		const char *role = logins.at[i].role;

		if (!open && !is_there(there, role))
			continue;
		buf_add(b, "ALTER ROLE ");
		buf_ident(b, role);
		buf_add(b, open ? " LOGIN;\n" : " NOLOGIN;\n");
		if (at->shared)
			continue; /* CONNECT is the groups' */
		if (open)
			roles_database_text(b, "GRANT", "CONNECT", at->dbname, "TO", role);
		else if (there->database)
			roles_database_text(b, "REVOKE", "ALL", at->dbname, "FROM", role);
	}
}

static char *
createrole(Ctx *cx, const StepEnv *env)
{
	return arena_printf(cx->mem, "ALTER ROLE \"%s\" CREATEROLE;", env->cluster->connect.user);
}

bool
roles_session(Ctx *cx, const StepEnv *env, Pg **out)
{
	if (env->at->shared && env->at->layout != LAYOUT_WIDE)
		return place_session(cx, env->conns, env->at, out);
	return cluster_session(cx, env->conns, env->cluster, out);
}

bool
roles_row_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	Pg *pg;

	return roles_session(cx, env, &pg) && roles_probe(cx, pg, env, out);
}

static bool
own_schema(Ctx *cx, Pg *pg, const Placement *at, bool *out)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SCHEMA_STANDS, &rows, &at->schema))
		return false;
	*out = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
need_login(Ctx *cx, const StepEnv *env)
{
	const char *user = js_get_text(env->step->args, "user");

	if (user && place_login(env->at, user))
		return true;
	return fail(cx, FAIL_NOT_FOUND, "See: copyhold login list.",
	    "tenant \"%s\" has no login \"%s\"", env->at->tenant, user ? user : "");
}

/* --- roles.create, roles.drop --------------------------------------------------- */

static bool
create_act(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	const Placement *at = env->at;
	There there;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_there(cx, pg, at, &there))
		return false;
	roles_owner_text(&b, at->owner, is_there(&there, at->owner), pg_version(pg));
	for (size_t i = 0; i < at->logins.n; i++)
		roles_login_text(&b, at, &at->logins.at[i], is_there(&there, at->logins.at[i].role),
		    false, pg_version(pg));
	return roles_transact(cx, pg, env, b.text, createrole(cx, env));
}

static char *
drop_text(Arena *mem, const Placement *at)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < at->logins.n; i++)
		roles_drop_text(&b, at->logins.at[i].role);
	roles_drop_text(&b, at->owner);
	return b.text;
}

static bool
create_undo(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return roles_session(cx, env, &pg) &&
	    roles_untransact(cx, pg, env, drop_text(cx->mem, env->at));
}

/* The last step of a tenant on a server: its rows in the ledger go, its fence stays. */
static bool
drop_act(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return roles_session(cx, env, &pg) &&
	    roles_transact_last(cx, pg, env, drop_text(cx->mem, env->at), createrole(cx, env));
}

/* --- roles.change ------------------------------------------------------------------ */

static bool
change_run(Ctx *cx, Pg *pg, const StepEnv *env)
{
	RoleChange c;

	for (size_t i = 0; roles_change_read(env->step->args, i, &c); i++) {
		Buf b = buf_new(cx->mem);

		roles_change_text(&b, env->at, &c, pg_version(pg));
		if (pg_script(cx, pg, b.text))
			continue;
		fail_in(cx, "mending \"%s\" of \"%s\"", *c.name ? c.name : c.object, c.object);
		return roles_lack(
		    cx, "Only an administrator of \"%s\" can change it back.", env->cluster->name);
	}
	return true;
}

static bool
change_act(Ctx *cx, StepEnv *env)
{
	Ledger ledger;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !pg_begin(cx, pg))
		return false;
	if (ledger_enter(cx, pg, env, &ledger) &&
	    (ledger == LEDGER_ALREADY || change_run(cx, pg, env)) && pg_commit(cx, pg)) {
		fault_point("roles.change.acted");
		return true;
	}
	pg_rollback(pg);
	return false;
}

/* --- tenant.close, tenant.reopen, login.close ---------------------------------------- */

static bool
close_act(Ctx *cx, StepEnv *env)
{
	Logins logins = roles_logins(env);
	Buf b = buf_new(cx->mem);
	There there;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_there(cx, pg, env->at, &there))
		return false;
	door_text(&b, env->at, logins, &there, false);
	return roles_transact(cx, pg, env, b.text, createrole(cx, env)) &&
	    roles_end_sessions(cx, pg, logins);
}

/* Done only when nobody is left inside, too. */
static bool
close_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_probe(cx, pg, env, out))
		return false;
	return *out != PROBE_DONE || roles_end_sessions(cx, pg, roles_logins(env));
}

static bool
open_again(Ctx *cx, StepEnv *env, bool undo)
{
	Buf b = buf_new(cx->mem);
	There there;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_there(cx, pg, env->at, &there))
		return false;
	door_text(&b, env->at, roles_logins(env), &there, true);
	return undo ? roles_untransact(cx, pg, env, b.text)
		    : roles_transact(cx, pg, env, b.text, createrole(cx, env));
}

static bool
close_undo(Ctx *cx, StepEnv *env)
{
	return open_again(cx, env, true);
}

static bool
reopen_act(Ctx *cx, StepEnv *env)
{
	return open_again(cx, env, false);
}

static bool
reopen_undo(Ctx *cx, StepEnv *env)
{
	Logins logins = roles_logins(env);
	Buf b = buf_new(cx->mem);
	There there;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_there(cx, pg, env->at, &there))
		return false;
	door_text(&b, env->at, logins, &there, false);
	return roles_untransact(cx, pg, env, b.text) && roles_end_sessions(cx, pg, logins);
}

/* --- login.create, login.rotate, login.drop --------------------------------------------- */

static bool
login_create_text(Ctx *cx, Pg *pg, const StepEnv *env, char **text)
{
	Buf b = buf_new(cx->mem);
	const Placement *at = env->at;
	Logins logins = roles_logins(env);
	bool own = false;
	There there;

	if (!need_login(cx, env) || !roles_there(cx, pg, at, &there) ||
	    (at->shared && !own_schema(cx, pg, at, &own)))
		return false;
	roles_login_text(&b, at, logins.at, is_there(&there, logins.at->role), own, pg_version(pg));
	if (!at->shared)
		roles_database_text(&b, "GRANT", "CONNECT", at->dbname, "TO", logins.at->role);
	*text = b.text;
	return true;
}

static bool
login_drop_text(Ctx *cx, Pg *pg, const StepEnv *env, char **text)
{
	Buf b = buf_new(cx->mem);
	Logins logins = roles_logins(env);
	There there;

	if (!need_login(cx, env) || !roles_there(cx, pg, env->at, &there))
		return false;
	if (!env->at->shared && there.database && is_there(&there, logins.at->role))
		roles_database_text(&b, "REVOKE", "ALL", env->at->dbname, "FROM", logins.at->role);
	roles_drop_text(&b, logins.at->role);
	*text = b.text;
	return true;
}

static bool
login_create_act(Ctx *cx, StepEnv *env)
{
	char *text;
	Pg *pg;

	return roles_session(cx, env, &pg) && login_create_text(cx, pg, env, &text) &&
	    roles_transact(cx, pg, env, text, createrole(cx, env));
}

static bool
login_create_undo(Ctx *cx, StepEnv *env)
{
	char *text;
	Pg *pg;

	return roles_session(cx, env, &pg) && login_drop_text(cx, pg, env, &text) &&
	    roles_end_sessions(cx, pg, roles_logins(env)) && roles_untransact(cx, pg, env, text);
}

static bool
login_drop_act(Ctx *cx, StepEnv *env)
{
	char *text;
	Pg *pg;

	return roles_session(cx, env, &pg) && login_drop_text(cx, pg, env, &text) &&
	    roles_transact(cx, pg, env, text, createrole(cx, env));
}

/* Made anew as it was, but still closed: the steps before this one open it. */
static bool
login_drop_undo(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	const Placement *at = env->at;
	Logins logins = roles_logins(env);
	bool own = false;
	There there;
	Pg *pg;

	if (!need_login(cx, env) || !roles_session(cx, env, &pg) ||
	    !roles_there(cx, pg, at, &there) || (at->shared && !own_schema(cx, pg, at, &own)))
		return false;
	if (!is_there(&there, logins.at->role))
		roles_login_text(&b, at, logins.at, false, own, pg_version(pg));
	if (at->shared) { /* LOGIN alone would let it in */
		buf_add(&b, "ALTER ROLE ");
		buf_ident(&b, logins.at->role);
		buf_add(&b, " NOLOGIN;\n");
	}
	return roles_untransact(cx, pg, env, b.text);
}

static bool
rotate_act(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	Pg *pg;

	if (!need_login(cx, env) || !roles_session(cx, env, &pg))
		return false;
	roles_password_text(&b, roles_logins(env).at);
	return roles_transact(cx, pg, env, b.text, createrole(cx, env));
}

/* The catalogue keeps the previous password until the rotation is past its pivot. */
bool
roles_previous(Ctx *cx, const StepEnv *env, Login *login, bool *found)
{
	const char *user = js_get_text(env->step->args, "user");
	Secret old;

	if (!need_login(cx, env))
		return false;
	*login = *place_login(env->at, user);
	const char *name = previous_password_name(cx->mem, env->at->tenant, user);

	if (!catalog_secret_get(cx, env->home, name, &old, found))
		return false;
	if (*found)
		login->verifier = scram_verifier(cx->mem, &old);
	return true;
}

static bool
rotate_undo(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	Login login;
	bool found;
	Pg *pg;

	if (!roles_previous(cx, env, &login, &found) || !roles_session(cx, env, &pg))
		return false;
	if (found)
		roles_password_text(&b, &login);
	return roles_untransact(cx, pg, env, b.text);
}

/* --- login.grant, login.revoke: in the tenant's database ------------------------------------ */

/* Of a shared database's logins we are no members, but for this moment. */
static void
borrow_text(Buf *b, const char *role, bool take, int version)
{
	buf_add(b, take ? "GRANT " : ";\nREVOKE ");
	buf_ident(b, role);
	buf_add(b, take ? " TO SESSION_USER" : " FROM SESSION_USER");
	if (take && version >= 160000)
		buf_add(b, " WITH INHERIT TRUE, SET TRUE");
	buf_add(b, take ? ";\n" : "");
}

/* A login owns nothing but what it promised for objects to come, which would keep its role from
 * being dropped; where it does own something, that stays and says so. */
bool
roles_drop_owned(Ctx *cx, Pg *pg, const Placement *at, const Login *login)
{
	Buf b = buf_new(cx->mem);
	PgRows rows;

	if (!pg_script(cx, pg, "SET LOCAL ROLE NONE") ||
	    !pg_query(cx, pg, &SQL_LOGIN_OWNS, &rows, &login->role))
		return false;
	bool owns = pg_bool(&rows, 0, 0);

	pg_rows_free(&rows);
	if (at->shared)
		borrow_text(&b, login->role, true, pg_version(pg));
	buf_add(&b, "DROP OWNED BY ");
	buf_ident(&b, login->role);
	if (at->shared)
		borrow_text(&b, login->role, false, pg_version(pg));
	return owns || pg_script(cx, pg, b.text);
}

/* A tenant of a shared database has rights of its own on relations of its own alone. */
static bool
grants_body(Ctx *cx, Pg *pg, const StepEnv *env, bool grant)
{
	const Login *login = roles_logins(env).at;
	bool own = true;

	if (env->at->shared && !own_schema(cx, pg, env->at, &own))
		return false;
	return (!own || shape_grant_login(cx, pg, env->at, login, grant)) &&
	    (grant || roles_drop_owned(cx, pg, env->at, login));
}

static bool
grants(Ctx *cx, StepEnv *env, bool grant, bool undo)
{
	Ledger ledger = LEDGER_NEW;
	Pg *pg;

	if (!need_login(cx, env) || !owner_session(cx, env->conns, env->at, &pg) ||
	    !pg_begin(cx, pg))
		return false;
	bool done = (undo ? ledger_remove(cx, pg, env) : ledger_enter(cx, pg, env, &ledger)) &&
	    (ledger == LEDGER_ALREADY || grants_body(cx, pg, env, grant)) && pg_commit(cx, pg);

	if (!done)
		pg_rollback(pg);
	else
		fault_point(
		    arena_printf(cx->mem, "%s.%s", env->step->kind, undo ? "undone" : "acted"));
	owner_session_end(pg);
	return done;
}

static bool
grant_act(Ctx *cx, StepEnv *env)
{
	return grants(cx, env, true, false);
}

static bool
grant_undo(Ctx *cx, StepEnv *env)
{
	return grants(cx, env, false, true);
}

static bool
revoke_act(Ctx *cx, StepEnv *env)
{
	return grants(cx, env, false, false);
}

static bool
revoke_undo(Ctx *cx, StepEnv *env)
{
	return grants(cx, env, true, true);
}

static bool
grants_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	Pg *pg;

	return place_session(cx, env->conns, env->at, &pg) && roles_probe(cx, pg, env, out);
}

const StepKind roles_kinds[] = {
	{ .name = "cluster.claim",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = claim_act,
	    .probe = claim_probe,
	    .undo = claim_undo },
	{ .name = "roles.create",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = create_act,
	    .probe = roles_row_probe,
	    .undo = create_undo },
	{ .name = "database.create",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = database_create_act,
	    .probe = database_create_probe,
	    .undo = database_create_undo },
	/* What was mended stays mended: an undo would let the stranger in again. */
	{ .name = "roles.change",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = change_act,
	    .probe = roles_row_probe },
	{ .name = "tenant.close",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = close_act,
	    .probe = close_probe,
	    .undo = close_undo,
	    .record = roles_record_off,
	    .unrecord = roles_record_on },
	{ .name = "tenant.reopen",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = reopen_act,
	    .probe = roles_row_probe,
	    .undo = reopen_undo,
	    .record = roles_record_on,
	    .unrecord = roles_record_off },
	{ .name = "database.drop",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .act = database_drop_act,
	    .probe = database_drop_probe },
	{ .name = "roles.drop",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = drop_act,
	    .probe = roles_row_probe },
	{ .name = "login.create",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = login_create_act,
	    .probe = roles_row_probe,
	    .undo = login_create_undo },
	{ .name = "login.grant",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = grant_act,
	    .probe = grants_probe,
	    .undo = grant_undo },
	{ .name = "login.close",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = close_act,
	    .probe = close_probe,
	    .undo = close_undo,
	    .record = roles_record_off,
	    .unrecord = roles_record_on },
	{ .name = "login.revoke",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = revoke_act,
	    .probe = grants_probe,
	    .undo = revoke_undo },
	{ .name = "login.drop",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = login_drop_act,
	    .probe = roles_row_probe,
	    .undo = login_drop_undo },
	{ .name = "login.rotate",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = rotate_act,
	    .probe = roles_row_probe,
	    .undo = rotate_undo },
	{ .name = NULL },
};

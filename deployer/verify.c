#include <string.h>

#include "deployer/verify.h"
#include "deployer/works.h"

#include "deployer/verify.sql.h"

typedef enum Try {
	TRY_REFUSED,
	TRY_ALONE,
	TRY_ERROR,
	TRY_NOTHING,
	TRY_SILENT,
	TRY_SECRET,
	TRY_VISIBLE,
	TRY_OPEN
} Try;

static const struct TryRow {
	int where;
	Try allowed;
	const char *what, *sql, *look;
} tries[] = {
#define ATTEMPT_AT(where, allowed, what, sql, look) { where, allowed, what, sql, look },
#define ATTEMPT(allowed, what, sql, look)           ATTEMPT_AT(AT_ALL, allowed, what, sql, look)
#include "deployer/attempts.def"
#undef ATTEMPT
#undef ATTEMPT_AT
};

void
verify_file(Verify *v, Heading heading, const char *what, const char *result)
{
	Attempt a = { heading, what, result };

	vec_push(v->cx->mem, v->out, a);
}

/* --- what the words in braces stand for ------------------------------------------- */

typedef struct Word {
	const char *word, *value;
	bool bare; /* quoted already, or a number */
} Word;

static Word
word_value(const Verify *v, const char *word, size_t n)
{
	const Shared *s = v->at->shared;
	const Word words[] = {
		{ "self", v->login->role, false },
		{ "owner", v->at->owner, false },
		{ "admin", v->at->cluster->connect.user, false },
		{ "neighbour", v->neighbour, false },
		{ "db", v->at->dbname, false },
		{ "schema", v->at->schema, false },
		{ "other_db", v->other_db, false },
		{ "object", v->object, true },
		{ "pid", v->pid, true },
		{ "other_oid", v->other_oid, true },
		{ "keeper", s ? s->keeper : "", false },
		{ "group",
		    s && v->login->read_only ? s->readers
			: s                  ? s->writers
					     : "",
		    false },
		{ "wide", v->wide, true },
		{ "wide_oid", v->wide_oid, true },
		{ "theirs", v->theirs.relation, true },
		{ "column", v->theirs.column, true },
		{ "value", v->theirs.value, false },
		{ "digest", v->theirs.digest, false },
	};

	for (size_t i = 0; i < LENGTH(words); i++)
		if (strlen(words[i].word) == n && memcmp(words[i].word, word, n) == 0)
			return words[i];
	return (Word){ "", "", true };
}

static void
add_word(Buf *b, const Verify *v, const char *word, size_t n)
{
	Word w = word_value(v, word + (*word == '\''), n - (*word == '\''));

	if (*word == '\'')
		buf_literal(b, w.value);
	else if (w.bare)
		buf_add(b, w.value);
	else
		buf_ident(b, w.value);
}

static char *
filled(const Verify *v, const char *sql)
{
	Buf b = buf_new(v->cx->mem);

	while (*sql != '\0') {
		size_t n = strcspn(sql, "{");
		buf_addn(&b, sql, n);
		sql += n;
		if (*sql == '\0')
			break;
		n = strcspn(++sql, "}");
		add_word(&b, v, sql, n);
		sql += n + 1;
	}
	return b.text;
}

/* --- one attempt ----------------------------------------------------------------- */

typedef struct Outcome {
	bool worked;
	int rows;
	char sqlstate[6];
} Outcome;

static bool
ask_rows(Ctx *cx, Pg *pg, const char *text, int *rows)
{
	Sql sql = { "an attempt", text, 0 };
	PgRows found;

	if (!pg_query(cx, pg, &sql, &found, NULL))
		return false;
	*rows = found.n;
	pg_rows_free(&found);
	return true;
}

static bool
run_attempt(Verify *v, Ctx *cx, const struct TryRow *t, int *rows)
{
	if (t->look == NULL && strchr(t->sql, ';') == NULL)
		return ask_rows(cx, v->pg, filled(v, t->sql), rows);
	return pg_script(cx, v->pg, filled(v, t->sql)) &&
	    (t->look == NULL || ask_rows(cx, v->pg, filled(v, t->look), rows));
}

/* That an attempt ended it proves nothing yet.  In a shared database the search_path finds the objects. */
bool
verify_session(Verify *v)
{
	if (v->pg && pg_alive(v->pg))
		return true;
	return login_session(v->cx, v->at, v->login, v->password, &v->pg) &&
	    (!v->at->shared || session_settings(v->cx, v->pg, v->at));
}

static bool
try_one(Verify *v, const struct TryRow *t, Outcome *o)
{
	Ctx own = ctx_new(v->cx->mem);
	bool alone = t->allowed == TRY_ALONE;

	if (!verify_session(v))
		return false;
	if (!alone && !pg_begin(v->cx, v->pg))
		return false;
	o->worked = run_attempt(v, &own, t, &o->rows);
	memcpy(o->sqlstate, pg_error(v->pg)->sqlstate, sizeof o->sqlstate);
	if (!alone)
		pg_rollback(v->pg);
	arena_free(own.mem);
	return true;
}

static bool
is_undecided(const Outcome *o)
{
	return !o->worked &&
	    (o->sqlstate[0] == '\0' || strncmp(o->sqlstate, "57", 2) == 0 ||
		strncmp(o->sqlstate, "08", 2) == 0 || strncmp(o->sqlstate, "53", 2) == 0);
}

static Heading
judge_worked(const Verify *v, Try allowed, int rows)
{
	switch (allowed) {
	case TRY_REFUSED:
	case TRY_ALONE:
	case TRY_ERROR:
		return HEAD_FAILED;
	case TRY_NOTHING:
	case TRY_SILENT:
		return rows > 0 ? HEAD_FAILED : HEAD_ISOLATED;
	case TRY_SECRET:
		if (rows > 0)
			return v->at->mode == MODE_CUSTOMER_DB ? HEAD_VISIBLE : HEAD_FAILED;
		return HEAD_ISOLATED;
	case TRY_VISIBLE:
		return rows > 0 ? HEAD_VISIBLE : HEAD_ISOLATED;
	case TRY_OPEN:
		return HEAD_OPEN;
	}
	return HEAD_FAILED;
}

static const char *
worked_text(Heading heading, Try allowed)
{
	switch (heading) {
	case HEAD_WORKS:
	case HEAD_OPEN:
		return "works";
	case HEAD_VISIBLE:
		return "shown";
	case HEAD_ISOLATED:
		return "shows nothing";
	case HEAD_UNTRIED:
	case HEAD_FAILED:
		break;
	}
	return allowed == TRY_NOTHING || allowed == TRY_SILENT || allowed == TRY_SECRET
	    ? "shows rows"
	    : "got through";
}

/* What a right could not help with either: the objects of a shared database are views. */
static bool
is_refusal(const Verify *v, Try allowed, const char *sqlstate)
{
	if (allowed == TRY_SILENT)
		return false;
	if (allowed != TRY_REFUSED && allowed != TRY_ALONE)
		return true;
	return strcmp(sqlstate, "42501") == 0 ||
	    (v->at->layout == LAYOUT_VIEWS && strcmp(sqlstate, "42809") == 0);
}

static void
judge(Verify *v, const struct TryRow *t, const Outcome *o)
{
	Arena *mem = v->cx->mem;

	if (o->worked) {
		Heading h = judge_worked(v, t->allowed, o->rows);
		verify_file(v, h, t->what, worked_text(h, t->allowed));
	} else if (is_undecided(o)) {
		verify_file(v, HEAD_FAILED, t->what,
		    o->sqlstate[0] == '\0'
			? "the session was lost"
			: arena_printf(mem, "could not be tried (%s)", o->sqlstate));
	} else if (t->allowed == TRY_OPEN && strcmp(o->sqlstate, "55P03") == 0) {
		verify_file(v, HEAD_OPEN, t->what, "works (busy just now)");
	} else {
		bool refused = is_refusal(v, t->allowed, o->sqlstate);
		const char *form = refused     ? "refused (%s)"
		    : t->allowed == TRY_SILENT ? "an error tells of the row (%s)"
					       : "not for want of a right (%s)";
		verify_file(v, refused ? HEAD_ISOLATED : HEAD_FAILED, t->what,
		    arena_printf(mem, form, o->sqlstate));
	}
}

static bool
is_tried(const Verify *v, int where)
{
	if ((where & AT_THEIRS) && !v->theirs.object)
		return false;
	return (where & (v->at->shared ? AT_SHARED : AT_PLAIN)) != 0;
}

static bool
try_all(Verify *v)
{
	for (size_t i = 0; i < LENGTH(tries); i++) {
		Outcome o = { 0 };
		if (!is_tried(v, tries[i].where))
			continue;
		if (!try_one(v, &tries[i], &o))
			return fail_in(v->cx, "trying \"%s\"", tries[i].what);
		judge(v, &tries[i], &o);
	}
	return true;
}

/* --- other databases ------------------------------------------------------------------ */

/* On a customer's server these two are its administrator's, and open by default. */
static Heading
entered_heading(const Verify *v, const char *dbname)
{
	bool common = strcmp(dbname, "postgres") == 0 || strcmp(dbname, "template1") == 0;

	return v->at->mode == MODE_CUSTOMER_DB && common ? HEAD_OPEN : HEAD_FAILED;
}

static const char *
refused_text(Verify *v, const Ctx *own)
{
	static const char sqlstate[] = "SQLSTATE ";
	const char *cause = own->fail->cause;

	if (cause == NULL)
		cause = fail_name(own->fail->kind);
	else if (strncmp(cause, sqlstate, strlen(sqlstate)) == 0)
		cause += strlen(sqlstate);
	return arena_printf(v->cx->mem, "refused (%s)", cause);
}

static void
try_database(Verify *v, const char *dbname)
{
	const char *what = arena_printf(v->cx->mem, "connect to database \"%s\"", dbname);
	Ctx own = ctx_new(v->cx->mem);
	Placement there = *v->at;
	Pg *pg;

	there.dbname = dbname;
	if (login_session(&own, &there, v->login, v->password, &pg))
		verify_file(v, entered_heading(v, dbname), what, "got in");
	else if (own.fail->kind == FAIL_UNREACHABLE || own.fail->kind == FAIL_TIMEOUT)
		verify_file(v, HEAD_FAILED, what,
		    arena_printf(v->cx->mem, "could not be tried (%s)", fail_name(own.fail->kind)));
	else
		verify_file(v, HEAD_ISOLATED, what, refused_text(v, &own));
	arena_free(own.mem);
}

/* The tenant's own password opens nobody else's role. */
static void
try_other_login(Verify *v)
{
	const char *what = "log in as another tenant's role with its own password";
	Login other = { .user = "", .role = v->neighbour };
	Ctx own = ctx_new(v->cx->mem);
	Pg *pg;

	if (login_session(&own, v->at, &other, v->password, &pg))
		verify_file(v, HEAD_FAILED, what, "got in");
	else
		verify_file(v, HEAD_ISOLATED, what, refused_text(v, &own));
	arena_free(own.mem);
}

static void
try_databases(Verify *v)
{
	for (size_t i = 0; i < v->databases.n; i++)
		try_database(v, v->databases.at[i]);
	try_other_login(v);
}

/* --- what is there to be tried at ------------------------------------------------------ */

static const char *
own_roles(Verify *v)
{
	Buf b = buf_new(v->cx->mem);

	const Shared *s = v->at->shared;

	buf_add(&b, v->at->owner);
	if (s)
		buf_fmt(&b, ",%s,%s,%s", s->keeper, s->writers, s->readers);
	for (size_t i = 0; i < v->at->logins.n; i++)
		buf_fmt(&b, ",%s", v->at->logins.at[i].role);
	buf_fmt(&b, ",%s", v->at->cluster->connect.user);
	return b.text;
}

static bool
look_around(Verify *v, Pg *pg)
{
	const char *own = own_roles(v);
	PgRows rows;

	v->neighbour = v->at->cluster->connect.user;
	v->other_db = "postgres";
	v->other_oid = "1";
	v->pid = arena_printf(v->cx->mem, "%d", pg_backend_pid(pg));
	if (!pg_query(v->cx, pg, &SQL_VERIFY_NEIGHBOUR, &rows, &own))
		return false;
	if (rows.n == 1)
		v->neighbour = arena_dup(v->cx->mem, pg_value(&rows, 0, 0));
	pg_rows_free(&rows);
	if (!pg_query(v->cx, pg, &SQL_VERIFY_DATABASES, &rows, NULL))
		return false;
	for (int i = 0; i < rows.n; i++)
		vec_push(v->cx->mem, &v->databases, arena_dup(v->cx->mem, pg_value(&rows, i, 0)));
	if (rows.n > 0) {
		v->other_db = v->databases.at[0];
		v->other_oid = arena_dup(v->cx->mem, pg_value(&rows, 0, 1));
	}
	pg_rows_free(&rows);
	return true;
}

static bool
any_object(Verify *v, const Model *m)
{
	Relation r;

	v->object = "pg_catalog.pg_class";
	if (m->objects.n == 0)
		return true;
	if (!place_driver(v->at->mode)->map(v->cx, v->at, m, m->objects.at[0].name, &r))
		return false;
	v->object = r.name;
	return true;
}

static bool
verify_with(Verify *v, Conns *conns)
{
	Pg *admin;

	return place_session(v->cx, conns, v->at, &admin) && look_around(v, admin) &&
	    any_object(v, v->m) && verify_session(v) && (!v->at->shared || verify_look(v, admin)) &&
	    works_try(v->cx, v->pg, v->at, v->m, v->login, v->out) && try_all(v) &&
	    (!v->at->shared || verify_rules(v, admin));
}

bool
verify_plain(Ctx *cx, Conns *conns, const Placement *at, const Model *m, const Login *login,
    const Secret *password, Attempts *out)
{
	Verify v = { .cx = cx, .at = at, .m = m, .login = login, .password = password, .out = out };

	if (!verify_with(&v, conns))
		return fail_in(
		    cx, "verifying tenant \"%s\" as its login \"%s\"", at->tenant, login->user);
	try_databases(&v);
	pg_close(v.pg);
	return true;
}

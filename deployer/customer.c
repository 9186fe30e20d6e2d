#include <string.h>

#include "deployer/roles.h"

#include "deployer/roles.sql.h"
#include "lib/base/clock.h"

/*
 * On a customer's server nothing is ours but two memberships.  What concerns
 * the database is done as its owner role, what concerns a login as that login:
 * a role may set its own password and settings.
 */

typedef bool (*CustomerWork)(Ctx *cx, Pg *pg, StepEnv *env);

static bool
as_role(Ctx *cx, Pg *pg, const char *role)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "SET LOCAL ROLE ");
	buf_ident(&b, role);
	return pg_script(cx, pg, b.text) ||
	    roles_lack(cx, "GRANT \"%s\" TO our login there.", role);
}

static bool
run_as(Ctx *cx, Pg *pg, const char *role, const char *text)
{
	return as_role(cx, pg, role) && pg_script(cx, pg, text);
}

/* One transaction as the owner under the fence; without a ledger (its schema is gone) an undo does the work alone. */
static bool
transact(Ctx *cx, StepEnv *env, CustomerWork work, bool undo)
{
	Ledger ledger = LEDGER_NEW;
	bool stands;
	Pg *pg;

	if (!place_session(cx, env->conns, env->at, &pg) || !ledger_stands(cx, pg, &stands) ||
	    !pg_begin(cx, pg))
		return false;
	bool done = as_role(cx, pg, env->at->owner) &&
	    (undo ? !stands || ledger_remove(cx, pg, env) : ledger_enter(cx, pg, env, &ledger)) &&
	    (ledger == LEDGER_ALREADY || !work || work(cx, pg, env)) && pg_commit(cx, pg);

	if (!done)
		pg_rollback(pg);
	else
		fault_point(
		    arena_printf(cx->mem, "%s.%s", env->step->kind, undo ? "undone" : "acted"));
	return done;
}

static bool
probe_row(Ctx *cx, StepEnv *env, Probe *out)
{
	Pg *pg;

	return place_session(cx, env->conns, env->at, &pg) && roles_probe(cx, pg, env, out);
}

/* --- doors: CONNECT on the database ----------------------------------------------- */

static bool
connect_text(Ctx *cx, Pg *pg, const StepEnv *env, bool open)
{
	Logins logins = roles_logins(env);
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < logins.n; i++)
		roles_database_text(&b, open ? "GRANT" : "REVOKE", open ? "CONNECT" : "ALL",
		    env->at->dbname, open ? "TO" : "FROM", logins.at[i].role);
	return run_as(cx, pg, env->at->owner, b.text) ||
	    roles_lack(
		cx, "ALTER DATABASE \"%s\" OWNER TO \"%s\";", env->at->dbname, env->at->owner);
}

static bool
open_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	return connect_text(cx, pg, env, true);
}

/* A right that comes from PUBLIC or from another grantor is not ours to take. */
static bool
nobody_connects(Ctx *cx, Pg *pg, const StepEnv *env)
{
	Logins logins = roles_logins(env);
	Names names = { 0 };
	PgRows rows;

	for (size_t i = 0; i < logins.n; i++)
		vec_push(cx->mem, &names, logins.at[i].role);
	const char *array = roles_array(cx->mem, &names);

	if (!pg_query(cx, pg, &SQL_ROLES_CAN_CONNECT, &rows, &array))
		return false;
	if (rows.n == 0)
		return true;
	const char *hint = arena_printf(cx->mem,
	    "REVOKE CONNECT ON DATABASE \"%s\" FROM PUBLIC; and look for "
	    "other grants to it and for SUPERUSER.",
	    env->at->dbname);

	return fail(cx, FAIL_MISSING_RIGHT, hint, "role \"%s\" can still connect to \"%s\"",
	    pg_text(&rows, 0, 0), env->at->dbname);
}

static bool
close_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	return connect_text(cx, pg, env, false) && nobody_connects(cx, pg, env);
}

static bool
end_sessions(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return place_session(cx, env->conns, env->at, &pg) &&
	    roles_end_sessions(cx, pg, roles_logins(env));
}

static bool
close_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, close_work, false) && end_sessions(cx, env);
}

static bool
close_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_row(cx, env, out) && (*out != PROBE_DONE || end_sessions(cx, env));
}

static bool
close_undo(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, open_work, true);
}

static bool
reopen_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, open_work, false);
}

static bool
reopen_undo(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, close_work, true) && end_sessions(cx, env);
}

/* --- logins: password and settings, as the login itself ------------------------------ */

static bool
login_work(Ctx *cx, Pg *pg, StepEnv *env, const Login *login)
{
	Buf b = buf_new(cx->mem);

	roles_password_text(&b, login);
	roles_settings_text(&b, login, env->at->dbname);
	return run_as(cx, pg, login->role, b.text);
}

static bool
logins_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	Logins logins = roles_logins(env);

	if (!connect_text(cx, pg, env, true))
		return false;
	for (size_t i = 0; i < logins.n; i++)
		if (!login_work(cx, pg, env, &logins.at[i]))
			return false;
	return true;
}

static bool
logins_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, logins_work, false);
}

static bool
logins_undo(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, NULL, true);
}

static bool
rotate_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	Logins logins = roles_logins(env);
	Buf b = buf_new(cx->mem);

	if (logins.n == 0)
		return true;
	roles_password_text(&b, logins.at);
	return run_as(cx, pg, logins.at->role, b.text);
}

static bool
rotate_back(Ctx *cx, Pg *pg, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	Login login;
	bool found;

	if (!roles_previous(cx, env, &login, &found))
		return false;
	if (!found)
		return true;
	roles_password_text(&b, &login);
	return run_as(cx, pg, login.role, b.text);
}

static bool
rotate_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, rotate_work, false);
}

static bool
rotate_undo(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, rotate_back, true);
}

/* --- customer.grant, customer.revoke: a login more, a login less ------------------------ */

static bool
grant_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	Logins logins = roles_logins(env);

	return logins.n == 0 ||
	    (connect_text(cx, pg, env, true) &&
		shape_grant_login(cx, pg, env->at, logins.at, true) &&
		login_work(cx, pg, env, logins.at));
}

static bool
revoke_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	Logins logins = roles_logins(env);

	return logins.n == 0 ||
	    (connect_text(cx, pg, env, false) &&
		shape_grant_login(cx, pg, env->at, logins.at, false) &&
		nobody_connects(cx, pg, env));
}

/* The role itself is the customer's to make: looked at before anything is recorded. */
static bool
grant_guard(Ctx *cx, StepEnv *env)
{
	const char *role = js_get_text(env->step->args, "role");
	const char *us = env->at->cluster->connect.user;
	Pg *pg;

	if (!place_session(cx, env->conns, env->at, &pg))
		return false;
	const char *with = pg_version(pg) >= 160000 ? " WITH INHERIT TRUE, SET TRUE" : "";
	const char *params[] = { role, *with ? "SET" : "MEMBER" };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_PREFLIGHT_LOGIN, &rows, params))
		return false;
	if (rows.n == 1 && pg_bool(&rows, 0, 0) && pg_bool(&rows, 0, 1))
		return true;
	const char *hint = arena_printf(cx->mem,
	    "The customer's administrator can run: %sGRANT \"%s\" TO \"%s\"%s;",
	    rows.n ? "" : arena_printf(cx->mem, "CREATE ROLE \"%s\" LOGIN; ", role), role, us,
	    with);

	return fail(cx, FAIL_UNPREPARED, hint, "role \"%s\" on \"%s\" is not there for us yet",
	    role, env->at->cluster->name);
}

static bool
grant_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, grant_work, false);
}

static bool
grant_undo(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, revoke_work, true) && end_sessions(cx, env);
}

static bool
revoke_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, revoke_work, false) && end_sessions(cx, env);
}

static bool
revoke_undo(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, grant_work, true);
}

/* --- customer.change ------------------------------------------------------------------------ */

static bool
change_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	RoleChange c;

	for (size_t i = 0; roles_change_read(env->step->args, i, &c); i++) {
		const char *role = c.kind == ITEM_SETTING ? c.object : env->at->owner;
		Buf b = buf_new(cx->mem);

		roles_change_text(&b, env->at, &c, pg_version(pg));
		if (!run_as(cx, pg, role, b.text)) {
			fail_in(
			    cx, "mending \"%s\" of \"%s\"", *c.name ? c.name : c.object, c.object);
			return roles_lack(cx, "Only an administrator of \"%s\" can change it back.",
			    env->at->cluster->name);
		}
	}
	return true;
}

static bool
change_act(Ctx *cx, StepEnv *env)
{
	return transact(cx, env, change_work, false);
}

/* --- the end --------------------------------------------------------------------------------- */

static bool
drop_schemas(Ctx *cx, Pg *pg, StepEnv *env)
{
	return run_as(cx, pg, env->at->owner,
	    "DROP SCHEMA IF EXISTS " TENANT_SCHEMA " CASCADE;"
	    " DROP SCHEMA " LEDGER_SCHEMA " CASCADE");
}

/* The customer's applications find their door as it was before we closed it. */
static bool
release_work(Ctx *cx, Pg *pg, StepEnv *env)
{
	return connect_text(cx, pg, env, true) &&
	    run_as(cx, pg, env->at->owner, "DROP SCHEMA " LEDGER_SCHEMA " CASCADE");
}

/* The ledger goes with the last step: where it is gone, the step is done. */
static bool
leave(Ctx *cx, StepEnv *env, CustomerWork work)
{
	bool stands;
	Pg *pg;

	if (!place_session(cx, env->conns, env->at, &pg) || !ledger_stands(cx, pg, &stands))
		return false;
	return !stands || transact(cx, env, work, false);
}

static bool
drop_act(Ctx *cx, StepEnv *env)
{
	return leave(cx, env, drop_schemas);
}

static bool
release_act(Ctx *cx, StepEnv *env)
{
	return leave(cx, env, release_work);
}

static bool
leave_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	bool stands;
	Pg *pg;

	if (!place_session(cx, env->conns, env->at, &pg) || !ledger_stands(cx, pg, &stands))
		return false;
	*out = stands ? PROBE_NOT_DONE : PROBE_DONE;
	return true;
}

const StepKind customer_kinds[] = {
	{ .name = "customer.logins",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = logins_act,
	    .probe = probe_row,
	    .undo = logins_undo },
	{ .name = "customer.change",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = change_act,
	    .probe = probe_row },
	{ .name = "customer.close",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = close_act,
	    .probe = close_probe,
	    .undo = close_undo,
	    .record = roles_record_off,
	    .unrecord = roles_record_on },
	{ .name = "customer.reopen",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = reopen_act,
	    .probe = probe_row,
	    .undo = reopen_undo,
	    .record = roles_record_on,
	    .unrecord = roles_record_off },
	{ .name = "customer.grant",
	    .undo_class = UNDO_COMPENSABLE,
	    .guard = grant_guard,
	    .act = grant_act,
	    .probe = probe_row,
	    .undo = grant_undo },
	{ .name = "customer.revoke",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = revoke_act,
	    .probe = close_probe,
	    .undo = revoke_undo },
	{ .name = "customer.rotate",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = rotate_act,
	    .probe = probe_row,
	    .undo = rotate_undo },
	{ .name = "customer.drop",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .act = drop_act,
	    .probe = leave_probe },
	{ .name = "customer.release",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = release_act,
	    .probe = leave_probe },
	{ .name = NULL },
};

#include <string.h>

#include "deployer/roles.h"

#include "deployer/roles.sql.h"
#include "lib/base/log.h"

/* --- preflight: everything that is missing, before the first change ------------------ */

static const char *
script_hint(Ctx *cx, const Placement *at)
{
	return arena_printf(cx->mem,
	    "The customer's administrator runs the output of: "
	    "copyhold tenant setup-script %s.",
	    at->tenant);
}

/* A login or database that is not there yet looks like a wrong password from outside. */
static bool
not_set_up(Ctx *cx, const Placement *at)
{
	if (cx->fail->kind == FAIL_LOGIN || (cx->fail->cause && strstr(cx->fail->cause, "3D000")))
		cx->fail->hint = arena_printf(cx->mem,
		    "Has the customer's administrator run the output of "
		    "copyhold tenant setup-script %s? If so, check the password.",
		    at->tenant);
	return false;
}

static bool
lacking(Ctx *cx, const Placement *at, const char *what, const char *grant)
{
	return fail(cx, FAIL_MISSING_RIGHT, grant, "login \"%s\" on \"%s\" %s",
	    at->cluster->connect.user, at->cluster->name, what);
}

static char *
grant_role(Ctx *cx, const Pg *pg, const char *role, const Placement *at)
{
	return arena_printf(cx->mem, "GRANT \"%s\" TO \"%s\"%s;", role, at->cluster->connect.user,
	    pg_version(pg) >= 160000 ? " WITH INHERIT TRUE, SET TRUE" : "");
}

static bool
too_much(Ctx *cx, const Placement *at, const char *what)
{
	return fail(cx, FAIL_REFUSED,
	    arena_printf(
		cx->mem, "ALTER ROLE \"%s\" NOSUPERUSER NOCREATEROLE;", at->cluster->connect.user),
	    "login \"%s\" on \"%s\" %s: more than we ask", at->cluster->connect.user,
	    at->cluster->name, what);
}

static bool
check_database(Ctx *cx, const Pg *pg, const Placement *at, const PgRows *rows)
{
	if (pg_bool(rows, 0, 1))
		return too_much(cx, at, "is a superuser");
	if (pg_bool(rows, 0, 2))
		return too_much(cx, at, "may create roles");
	if (strcmp(pg_text(rows, 0, 4), "UTF8") != 0)
		return fail(cx, FAIL_UNPREPARED, "Make it with ENCODING 'UTF8'.",
		    "database \"%s\" on \"%s\" is not in UTF8", at->dbname, at->cluster->name);
	if (!pg_bool(rows, 0, 6))
		return fail(cx, FAIL_UNPREPARED, script_hint(cx, at),
		    "there is no role \"%s\" on \"%s\"", at->owner, at->cluster->name);
	if (!pg_bool(rows, 0, 7))
		return lacking(cx, at,
		    arena_printf(cx->mem, "is not a member of \"%s\"", at->owner),
		    grant_role(cx, pg, at->owner, at));
	if (strcmp(pg_text(rows, 0, 5), at->owner) != 0)
		return fail(cx, FAIL_MISSING_RIGHT,
		    arena_printf(
			cx->mem, "ALTER DATABASE \"%s\" OWNER TO \"%s\";", at->dbname, at->owner),
		    "database \"%s\" on \"%s\" is not owned by \"%s\"", at->dbname,
		    at->cluster->name, at->owner);
	if (!pg_bool(rows, 0, 8))
		return fail(cx, FAIL_MISSING_RIGHT,
		    arena_printf(cx->mem, "GRANT CREATE ON DATABASE \"%s\" TO \"%s\";", at->dbname,
			at->owner),
		    "role \"%s\" on \"%s\" may not create schemas", at->owner, at->cluster->name);
	if (pg_bool(rows, 0, 9))
		log_note("%s: PUBLIC has rights on database %s; apply takes them away", at->tenant,
		    at->dbname);
	return true;
}

static bool
check_login(Ctx *cx, Pg *pg, const Placement *at, const Login *login)
{
	const char *params[] = { login->role, pg_version(pg) >= 160000 ? "SET" : "MEMBER" };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_PREFLIGHT_LOGIN, &rows, params))
		return false;
	if (rows.n == 0)
		return fail(cx, FAIL_UNPREPARED, script_hint(cx, at),
		    "there is no role \"%s\" on \"%s\"", login->role, at->cluster->name);
	if (!pg_bool(&rows, 0, 0))
		return fail(cx, FAIL_UNPREPARED,
		    arena_printf(cx->mem, "ALTER ROLE \"%s\" LOGIN;", login->role),
		    "role \"%s\" on \"%s\" may not log in", login->role, at->cluster->name);
	if (!pg_bool(&rows, 0, 1))
		return lacking(cx, at,
		    arena_printf(cx->mem, "is not a member of \"%s\"", login->role),
		    grant_role(cx, pg, login->role, at));
	pg_rows_free(&rows);
	return true;
}

static bool
preflight(Ctx *cx, Conns *conns, const Placement *at, bool exists)
{
	const char *params[] = { at->owner, "MEMBER" };
	PgRows rows;
	Pg *pg;

	(void)exists;
	if (!place_session(cx, conns, at, &pg))
		return not_set_up(cx, at);
	if (pg_version(pg) < PG_LEAST)
		return fail(cx, FAIL_TOO_OLD, "PostgreSQL 13 or newer is needed.",
		    "cluster \"%s\" is of version %d", at->cluster->name, pg_version(pg) / 10000);
	if (pg_version(pg) >= 160000)
		params[1] = "SET";
	if (!pg_query(cx, pg, &SQL_PREFLIGHT_CUSTOMER, &rows, params))
		return false;
	bool fit = check_database(cx, pg, at, &rows);

	pg_rows_free(&rows);
	for (size_t i = 0; fit && i < at->logins.n; i++)
		fit = check_login(cx, pg, at, &at->logins.at[i]);
	return fit && home_check(cx, pg, conns_home(conns));
}

/* --- what is there, and steps ---------------------------------------------------------- */

static bool
observe(Ctx *cx, Conns *conns, const Placement *at, Items *out)
{
	Pg *pg;

	return place_session(cx, conns, at, &pg) && roles_observe(cx, pg, at, out) &&
	    shape_observe(cx, pg, at, out);
}

static void
step(Ctx *cx, const Placement *at, Steps *steps, const char *kind, const char *title)
{
	steps_add(cx->mem, steps, arena_printf(cx->mem, "tenant/%s", at->tenant), kind, NULL,
	    "%s %s", title, at->dbname);
}

static bool
steps_of(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	if (work->recorded)
		return roles_change_steps(cx, at, work, changes, steps) &&
		    shape_change_steps(cx, at, work, changes, steps);
	if (!shape_create_steps(cx, at, work, changes, steps))
		return false;
	step(cx, at, steps, "customer.logins", "set the passwords and settings of the logins of");
	return true;
}

static bool
suspend_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	step(cx, at, steps, "customer.close",
	    "take CONNECT from the logins and end the sessions of");
	return true;
}

static bool
resume_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	step(cx, at, steps, "customer.reopen", "give CONNECT back to the logins of");
	return true;
}

static bool
purge_steps(Ctx *cx, const Placement *at, bool hand_back, Steps *steps)
{
	if (hand_back)
		step(cx, at, steps, "customer.release",
		    "leave the data and remove what is ours from");
	else
		step(cx, at, steps, "customer.drop", "drop the data and what is ours from");
	return true;
}

static bool
login_steps(Ctx *cx, const Placement *at, const Login *login, const char *verb, Steps *steps)
{
	const char *scope = arena_printf(cx->mem, "tenant/%s", at->tenant);
	Js *args = js_object(cx->mem);

	js_set_text(args, "user", login->user);
	js_set_text(args, "role", login->role);
	if (strcmp(verb, "add") == 0)
		steps_add(cx->mem, steps, scope, "customer.grant", args,
		    "give login \"%s\" its password, settings and rights", login->user);
	else if (strcmp(verb, "rotate") == 0)
		steps_add(cx->mem, steps, scope, "customer.rotate", args,
		    "set the new password of login \"%s\"", login->user);
	else
		steps_add(cx->mem, steps, scope, "customer.revoke", args,
		    "take the rights of login \"%s\" (role %s is the customer's to drop)",
		    login->user, login->role);
	return true;
}

static bool
highest_fence(Ctx *cx, Conns *conns, const Placement *at, int64_t *out)
{
	Pg *pg;

	return place_session(cx, conns, at, &pg) && ledger_highest(cx, pg, at->id, out);
}

const PlaceDriver mode_customer_db = {
	.mode = MODE_CUSTOMER_DB,
	.kinds = customer_kinds,
	.preflight = preflight,
	.expected = plain_expected,
	.observe = observe,
	.steps = steps_of,
	.suspend_steps = suspend_steps,
	.resume_steps = resume_steps,
	.purge_steps = purge_steps,
	.login_steps = login_steps,
	.login_ok = login_password_ok,
	.setup_script = setup_tenant_script,
	.map = plain_map,
	.verify = verify_plain,
	.highest_fence = highest_fence,
	.data_session = data_session,
};

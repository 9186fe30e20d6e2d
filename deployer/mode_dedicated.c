#include <string.h>

#include "deployer/cluster_host.h"
#include "deployer/data.h"
#include "deployer/roles.h"

#include "deployer/roles.sql.h"

/* --- preflight --------------------------------------------------------------- */

static bool
unprepared(Ctx *cx, const Placement *at, const char *what)
{
	return fail(cx, FAIL_UNPREPARED,
	    arena_printf(cx->mem,
		"A superuser runs the output of: copyhold cluster setup-script %s.",
		at->cluster->name),
	    "cluster \"%s\" is not set up: %s", at->cluster->name, what);
}

static bool
lacking(Ctx *cx, const Placement *at, const char *what, const char *grant)
{
	return fail(cx, FAIL_MISSING_RIGHT, grant, "login \"%s\" on \"%s\" may not %s",
	    at->cluster->connect.user, at->cluster->name, what);
}

static bool
preflight_rights(Ctx *cx, const Placement *at, const PgRows *rows)
{
	const Connect *us = &at->cluster->connect;

	if (pg_bool(rows, 0, 1))
		return fail(cx, FAIL_REFUSED,
		    "Name another user: copyhold cluster setup-script makes it.",
		    "login \"%s\" on \"%s\" is a superuser: more than we ask", us->user,
		    at->cluster->name);
	if (pg_bool(rows, 0, 7))
		return fail(cx, FAIL_REFUSED,
		    arena_printf(cx->mem, "ALTER ROLE \"%s\" NOBYPASSRLS NOREPLICATION;", us->user),
		    "login \"%s\" on \"%s\" may bypass row security or replicate: more than we ask",
		    us->user, at->cluster->name);
	if (!pg_bool(rows, 0, 2) || !pg_bool(rows, 0, 3))
		return lacking(cx, at, "create databases and roles",
		    arena_printf(cx->mem, "ALTER ROLE \"%s\" CREATEDB CREATEROLE;", us->user));
	if (!pg_bool(rows, 0, 4))
		return lacking(cx, at, "create a schema in its database",
		    arena_printf(cx->mem, "GRANT CREATE ON DATABASE \"%s\" TO \"%s\";",
			us->database, us->user));
	if (!pg_bool(rows, 0, 5))
		return unprepared(cx, at, "there is no template database " SETUP_TEMPLATE);
	if (strcmp(pg_text(rows, 0, 6), SETUP_MARK) != 0)
		return unprepared(
		    cx, at, "its template database is of another version of the script");
	return true;
}

bool
vendor_preflight(Ctx *cx, Conns *conns, const Placement *at, bool exists)
{
	const char *params[] = { SETUP_TEMPLATE };
	PgRows rows;
	Pg *pg;

	(void)exists;
	if (!cluster_session(cx, conns, at->cluster, &pg))
		return false;
	if (pg_version(pg) < PG_LEAST)
		return fail(cx, FAIL_TOO_OLD, "PostgreSQL 13 or newer is needed.",
		    "cluster \"%s\" is of version %d", at->cluster->name, pg_version(pg) / 10000);
	if (!pg_query(cx, pg, &SQL_PREFLIGHT_CLUSTER, &rows, params))
		return false;
	bool fit = preflight_rights(cx, at, &rows);

	pg_rows_free(&rows);
	return fit && home_check(cx, pg, conns_home(conns));
}

/* --- what is there ------------------------------------------------------------- */

bool
vendor_observe(Ctx *cx, Conns *conns, const Placement *at, Items *out)
{
	Items roles = { 0 };
	Pg *pg;

	if (!cluster_session(cx, conns, at->cluster, &pg) || !roles_observe(cx, pg, at, &roles))
		return false;
	items_sort(&roles);
	if (!items_find(&roles, ITEM_DATABASE, at->dbname, ""))
		return fail(cx, FAIL_DIFFERENT,
		    "Restore it from a backup, or give the tenant up: "
		    "copyhold tenant delete.",
		    "database \"%s\" of tenant \"%s\" is gone from \"%s\"", at->dbname, at->tenant,
		    at->cluster->name);
	for (size_t i = 0; i < roles.n; i++)
		vec_push(cx->mem, out, roles.at[i]);
	return place_session(cx, conns, at, &pg) && shape_observe(cx, pg, at, out);
}

/* --- steps ------------------------------------------------------------------------ */

static Step *
step(Ctx *cx, const Placement *at, Steps *steps, const char *kind, const char *title,
    const char *whose)
{
	return steps_add(cx->mem, steps, at->scope, kind, NULL, "%s %s", title, whose);
}

static void
change_new(Ctx *cx, Changes *changes, const char *what, const char *name)
{
	Change line = { .op = CHANGE_ADD, .what = what, .name = name };

	vec_push(cx->mem, changes, line);
}

static bool
create_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	change_new(cx, changes, "database", at->dbname);
	change_new(cx, changes, "role", at->owner);
	for (size_t i = 0; i < at->logins.n; i++)
		change_new(cx, changes, "role", at->logins.at[i].role);
	step(cx, at, steps, "roles.create", "create the roles of", at->dbname);
	step(cx, at, steps, "database.create", "create database", at->dbname);
	return shape_create_steps(cx, at, work, changes, steps);
}

bool
vendor_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	if (!work->recorded)
		return create_steps(cx, at, work, changes, steps);
	return roles_change_steps(cx, at, work, changes, steps) &&
	    shape_change_steps(cx, at, work, changes, steps);
}

/* Of whom a step speaks: a shared database is not the tenant's. */
static const char *
subject(const Placement *at)
{
	return at->shared ? at->tenant : at->dbname;
}

bool
vendor_suspend_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	step(cx, at, steps, "tenant.close", "switch the logins off and end the sessions of",
	    subject(at));
	return true;
}

bool
vendor_resume_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	step(cx, at, steps, "tenant.reopen", "switch the logins on of", subject(at));
	return true;
}

bool
vendor_no_hand_back(Ctx *cx, const Placement *at)
{
	return fail(cx, FAIL_REFUSED, "Leave --hand-back out, or copy the data first.",
	    "tenant \"%s\" is on the vendor's cluster \"%s\": there is nobody to hand it back to",
	    at->tenant, at->cluster->name);
}

bool
vendor_drop_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	step(cx, at, steps, "database.drop", "drop database", at->dbname);
	step(cx, at, steps, "roles.drop", "drop the roles of", at->dbname);
	return true;
}

static bool
purge_steps(Ctx *cx, const Placement *at, bool hand_back, Steps *steps)
{
	return hand_back ? vendor_no_hand_back(cx, at) : vendor_drop_steps(cx, at, steps);
}

static void
login_step(Ctx *cx, const Placement *at, const Login *login, Steps *steps, const char *kind,
    const char *title)
{
	Js *args = js_object(cx->mem);

	js_set_text(args, "user", login->user);
	steps_add(cx->mem, steps, at->scope, kind, args, "%s \"%s\"", title, login->user);
}

static bool
login_free(Ctx *cx, const Placement *at, const Login *login)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (strcmp(at->logins.at[i].role, login->role) == 0)
			return fail(cx, FAIL_EXISTS, "Choose another name.",
			    "login \"%s\" would have the role of login \"%s\"", login->user,
			    at->logins.at[i].user);
	return true;
}

bool
vendor_login_steps(Ctx *cx, const Placement *at, const Login *login, const char *verb, Steps *steps)
{
	if (strcmp(verb, "add") == 0) {
		if (!login_free(cx, at, login))
			return false;
		login_step(cx, at, login, steps, "login.create", "create the role of login");
		login_step(cx, at, login, steps, "login.grant", "grant the rights of login");
	} else if (strcmp(verb, "rotate") == 0) {
		login_step(cx, at, login, steps, "login.rotate", "set the new password of login");
	} else {
		login_step(cx, at, login, steps, "login.close",
		    "switch off and end the sessions of login");
		login_step(cx, at, login, steps, "login.revoke", "revoke the rights of login");
		login_step(cx, at, login, steps, "login.drop", "drop the role of login");
	}
	return true;
}

/* --- the rest ------------------------------------------------------------------------- */

bool
plain_expected(Ctx *cx, const Placement *at, const Model *m, Items *out)
{
	return roles_expected(cx, at, out) && shape_expected(cx, at, m, out);
}

bool
plain_map(Ctx *cx, const Placement *at, const Model *m, const char *object, Relation *out)
{
	const Object *o = model_object(m, object);
	Buf b = buf_new(cx->mem);

	if (!o)
		return fail(cx, FAIL_NOT_FOUND, "See: copyhold tenant show.",
		    "tenant \"%s\" has no object \"%s\"", at->tenant, object);
	buf_ident(&b, at->schema);
	buf_addc(&b, '.');
	buf_ident(&b, o->name);
	*out = (Relation){ .name = b.text, .key = o->key };
	for (size_t i = 0; i < o->fields.n; i++)
		vec_push(cx->mem, &out->columns, o->fields.at[i].name);
	return true;
}

bool
vendor_fence(Ctx *cx, Conns *conns, const Placement *at, int64_t *out)
{
	int64_t here = 0, there = 0, host;
	There seen;
	Pg *pg;

	if (!cluster_fence(cx, conns, at->cluster, &host) ||
	    !cluster_session(cx, conns, at->cluster, &pg) ||
	    !ledger_highest(cx, pg, at->id, &there) || !roles_there(cx, pg, at, &seen))
		return false;
	if (seen.database && seen.open &&
	    (!place_session(cx, conns, at, &pg) || !ledger_highest(cx, pg, at->id, &here)))
		return false;
	*out = here > there ? here : there;
	*out = host > *out ? host : *out;
	return true;
}

const PlaceDriver mode_dedicated = {
	.mode = MODE_DEDICATED,
	.kinds = roles_kinds,
	.cluster_steps = cluster_claim_steps,
	.strays = cluster_strays,
	.preflight = vendor_preflight,
	.expected = plain_expected,
	.observe = vendor_observe,
	.steps = vendor_steps,
	.suspend_steps = vendor_suspend_steps,
	.resume_steps = vendor_resume_steps,
	.purge_steps = purge_steps,
	.login_steps = vendor_login_steps,
	.login_ok = login_password_ok,
	.map = plain_map,
	.verify = verify_plain,
	.highest_fence = vendor_fence,
	.data_session = data_session,
	.copy = copy_act,
	.copied = copy_same,
};

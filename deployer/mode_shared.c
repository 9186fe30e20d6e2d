/*
 * mode_shared.c - tenants in one database: the shared database as a placement
 * of its own, and the tenants that come into it, differ from the others, turn
 * to tables of their own, and leave.
 */
#include <string.h>

#include "deployer/shared.h"
#include "deployer/view.h"

#include "deployer/shared.sql.h"
#include "lib/adapters/crypto.h"
#include "lib/core/catalog.h"

#define SHARED_LEAST 150000 /* ON DELETE SET NULL (column): a tenant key is never emptied */

/* --- preflight --------------------------------------------------------------- */

static bool
lacks_member(Ctx *cx, const Placement *at, const char *role)
{
	const Connect *us = &at->cluster->connect;

	return fail(cx, FAIL_MISSING_RIGHT,
	    arena_printf(cx->mem, "GRANT %s TO \"%s\";", role, us->user),
	    "login \"%s\" on \"%s\" is not a member of %s", us->user, at->cluster->name, role);
}

static bool
preflight(Ctx *cx, Conns *conns, const Placement *at, bool exists)
{
	PgRows rows;
	Pg *pg;

	if (!vendor_preflight(cx, conns, at, exists) ||
	    !cluster_session(cx, conns, at->cluster, &pg))
		return false;
	if (pg_version(pg) < SHARED_LEAST)
		return fail(cx, FAIL_TOO_OLD, "PostgreSQL 15 or newer is needed for mode shared.",
		    "cluster \"%s\" is of version %d", at->cluster->name, pg_version(pg) / 10000);
	if (!pg_query(cx, pg, &SQL_PREFLIGHT_SHARED, &rows, NULL))
		return false;
	bool ends = pg_bool(&rows, 0, 0), sees = pg_bool(&rows, 0, 1);

	pg_rows_free(&rows);
	if (!ends)
		return lacks_member(cx, at, "pg_signal_backend");
	return sees || lacks_member(cx, at, "pg_read_all_stats");
}

/* --- steps and changes in general ------------------------------------------------ */

static Step *
step(Ctx *cx, const Placement *at, Steps *steps, const char *kind, Js *args, const char *title,
    const char *whose)
{
	return steps_add(cx->mem, steps, at->scope, kind, args, "%s %s", title, whose);
}

static void
change_new(Ctx *cx, Changes *changes, const char *what, const char *name)
{
	Change line = { .op = CHANGE_ADD, .what = what, .name = name };

	vec_push(cx->mem, changes, line);
}

/* --- the shared database ----------------------------------------------------------- */

static bool
place_is_gone(Ctx *cx, const Placement *at)
{
	return fail(cx, FAIL_DIFFERENT,
	    "Restore it from a backup: its tenants' rows are not kept anywhere else.",
	    "database \"%s\" of shared database \"%s\" is gone from \"%s\"", at->dbname,
	    at->shared->name, at->cluster->name);
}

static bool
shared_observe(Ctx *cx, Conns *conns, const Placement *at, Items *out)
{
	Items roles = { 0 };
	Pg *pg;

	if (!cluster_session(cx, conns, at->cluster, &pg) ||
	    !shared_place_roles(cx, pg, at, &roles))
		return false;
	items_sort(&roles);
	if (!items_find(&roles, ITEM_DATABASE, at->dbname, ""))
		return place_is_gone(cx, at);
	for (size_t i = 0; i < roles.n; i++)
		vec_push(cx->mem, out, roles.at[i]);
	return place_session(cx, conns, at, &pg) && shape_observe(cx, pg, at, out) &&
	    view_observe(cx, pg, SCHEMA_APP, out);
}

static bool
shared_odd(Ctx *cx, Conns *conns, const Placement *at, Names *out)
{
	Pg *pg;

	return cluster_session(cx, conns, at->cluster, &pg) && shared_odd_logins(cx, pg, at, out);
}

static bool
shared_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Items want = { 0 };

	if (!work->recorded) {
		change_new(cx, changes, "database", at->dbname);
		step(cx, at, steps, "shared.roles", NULL, "create the roles of", at->dbname);
		step(cx, at, steps, "database.create", NULL, "create database", at->dbname);
	} else if (work->observed) {
		shared_place_expected(cx->mem, at, work->observed, &want);
		if (!roles_mend_steps(cx, at, &want, work->observed, changes, steps))
			return false;
	}
	return shared_tables_steps(cx, at, work, changes, steps);
}

static bool
shared_drop_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	step(cx, at, steps, "database.drop", NULL, "drop database", at->dbname);
	step(cx, at, steps, "shared.roles.drop", NULL, "drop the roles of", at->dbname);
	return true;
}

/* --- a tenant: what is there --------------------------------------------------------- */

static bool
observe(Ctx *cx, Conns *conns, const Placement *at, Items *out)
{
	Pg *pg;

	if (!place_session(cx, conns, at, &pg))
		return cx->fail->kind == FAIL_NOT_FOUND ? (fail_clear(cx), place_is_gone(cx, at))
							: false;
	if (!shared_tenant_roles(cx, pg, at, out))
		return false;
	return at->layout == LAYOUT_PLAIN ? shape_observe(cx, pg, at, out)
					  : view_observe(cx, pg, at->schema, out);
}

static bool
expected(Ctx *cx, const Placement *at, const Model *m, Items *out)
{
	if (at->layout == LAYOUT_WIDE)
		shared_place_expected(cx->mem, at, NULL, out);
	else
		shared_tenant_expected(cx->mem, at, at->layout == LAYOUT_PLAIN, out);
	return at->layout == LAYOUT_VIEWS || shape_expected(cx, at, m, out);
}

/* --- a tenant: steps ------------------------------------------------------------------- */

/* Ten thousand tenants have one model, the common one: then there is nothing to compare. */
static bool
is_common(const PlaceWork *work)
{
	return work->slots.n == 0 && work->shape && work->common_shape &&
	    strcmp(work->shape, work->common_shape) == 0;
}

static bool
has_own_views(Ctx *cx, const Placement *at, const Model *effective, const Model *common,
    const Slots *slots, bool *own)
{
	Views views = { 0 };

	*own = false;
	if (!effective || !common || (slots->n == 0 && effective == common))
		return true;
	if (!view_own(cx, at, effective, common, slots, &views))
		return false;
	*own = views.n > 0;
	return true;
}

static bool
will_have_views(Ctx *cx, const Placement *at, const PlaceWork *work, bool *own)
{
	*own = false;
	return is_common(work) ||
	    has_own_views(cx, at, work->desired, work->common, &work->slots, own);
}

static Js *
own_args(Arena *mem, bool own)
{
	Js *args = js_object(mem);

	js_set_bool(args, "own", own);
	return args;
}

static bool
join_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	bool plain = at->layout == LAYOUT_PLAIN, views = false;

	if (!plain && !will_have_views(cx, at, work, &views))
		return false;
	for (size_t i = 0; i < at->logins.n; i++)
		change_new(cx, changes, "role", at->logins.at[i].role);
	step(cx, at, steps, "shared.join", own_args(cx->mem, plain || views),
	    "join shared database", at->shared->name);
	if (plain)
		return shape_create_steps(cx, at, work, changes, steps);
	return !views || view_change_steps(cx, at, work, changes, steps);
}

static void
path_step(Ctx *cx, const Placement *at, bool own, Steps *steps)
{
	step(cx, at, steps, "shared.path", own_args(cx->mem, own),
	    own ? "put its own views first for" : "put the common views first for", at->tenant);
}

/* Sessions that began with views of its own find the common ones when those go: so the views of
 * its own come before the path to them, and go after it. */
static bool
view_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, bool was, Changes *changes, Steps *steps)
{
	bool own;

	if (!will_have_views(cx, at, work, &own))
		return false;
	if (was && !own)
		path_step(cx, at, false, steps);
	if ((was || own || work->observed) && !view_change_steps(cx, at, work, changes, steps))
		return false;
	if (own && !was)
		path_step(cx, at, true, steps);
	return true;
}

static bool
mend_roles(
    Ctx *cx, const Placement *at, const PlaceWork *work, bool own, Changes *changes, Steps *steps)
{
	Items want = { 0 };

	if (!work->observed)
		return true;
	shared_tenant_expected(cx->mem, at, own, &want);
	return roles_mend_steps(cx, at, &want, work->observed, changes, steps);
}

static const char *
shape_hash(Arena *mem, const Model *m)
{
	const char *text = model_canonical(mem, m);

	return sha256_hex(mem, text, strlen(text));
}

static void
move_step(Ctx *cx, const Placement *at, const PlaceWork *work, bool was, Steps *steps)
{
	Js *args = own_args(cx->mem, was);

	js_set_text(args, "shape", shape_hash(cx->mem, work->recorded));
	step(cx, at, steps, "shared.move", args, "move the rows into tables of its own of",
	    at->tenant);
}

/* A suspended tenant is closed already, and stays so. */
static bool
is_open(const Placement *at)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (at->logins.at[i].on)
			return true;
	return false;
}

/* The tables are made as its model was applied last, and changed in the ordinary way then. */
static bool
move_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, bool was, Changes *changes, Steps *steps)
{
	Placement own = *at;
	PlaceWork none = *work, after = *work;
	bool open = is_open(at);
	Change line = { .op = CHANGE_ALTER,
		.what = "tables",
		.name = at->tenant,
		.from = "shared",
		.to = "its own" };

	own.layout = LAYOUT_PLAIN;
	after.observed = NULL;
	none.desired = work->common;
	none.slots = (Slots){ 0 };
	vec_push(cx->mem, changes, line);
	if (open)
		vendor_suspend_steps(cx, at, steps);
	if (was) {
		Changes untold = { 0 };

		path_step(cx, at, false, steps);
		if (!view_change_steps(cx, at, &none, &untold, steps))
			return false;
	}
	move_step(cx, at, work, was, steps);
	if (!shape_change_steps(cx, &own, &after, changes, steps))
		return false;
	step(cx, at, steps, "shared.release", NULL, "give up the rows in the shared tables of",
	    at->tenant);
	step(cx, at, steps, "shared.clear", NULL, "remove from the shared tables the rows of",
	    at->tenant);
	return !open || vendor_resume_steps(cx, at, steps);
}

static bool
change_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	bool was;

	if (at->layout == LAYOUT_PLAIN)
		return mend_roles(cx, at, work, true, changes, steps) &&
		    shape_change_steps(cx, at, work, changes, steps);
	if (!has_own_views(cx, at, work->recorded, work->common_was, &at->slots, &was) ||
	    !mend_roles(cx, at, work, was, changes, steps))
		return false;
	if (work->layout == LAYOUT_PLAIN)
		return move_steps(cx, at, work, was, changes, steps);
	return view_steps(cx, at, work, was, changes, steps);
}

static bool
steps_of(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	if (!work->recorded)
		return join_steps(cx, at, work, changes, steps);
	return change_steps(cx, at, work, changes, steps);
}

static bool
purge_steps(Ctx *cx, const Placement *at, bool hand_back, Steps *steps)
{
	if (hand_back)
		return vendor_no_hand_back(cx, at);
	step(cx, at, steps, "shared.release", NULL, "give up the rows of", at->tenant);
	step(cx, at, steps, "shared.remove", NULL, "remove the rows of", at->tenant);
	step(cx, at, steps, "shared.leave", NULL, "drop the roles and the schema of", at->tenant);
	return true;
}

/* --- the rest ---------------------------------------------------------------------------- */

/* Which of its objects have views of their own only the session's search_path tells. */
static bool
map(Ctx *cx, const Placement *at, const Model *m, const char *object, Relation *out)
{
	Buf b = buf_new(cx->mem);

	if (!plain_map(cx, at, m, object, out))
		return false;
	if (at->layout == LAYOUT_VIEWS) {
		buf_ident(&b, object);
		out->name = b.text;
	}
	return true;
}

const PlaceDriver mode_shared = {
	.mode = MODE_SHARED,
	.kinds = shared_kinds,
	.cluster_steps = cluster_claim_steps,
	.strays = cluster_strays,
	.preflight = preflight,
	.expected = expected,
	.observe = observe,
	.steps = steps_of,
	.suspend_steps = vendor_suspend_steps,
	.resume_steps = vendor_resume_steps,
	.purge_steps = purge_steps,
	.login_steps = vendor_login_steps,
	.login_ok = login_password_ok,
	.shared_observe = shared_observe,
	.shared_odd = shared_odd,
	.shared_steps = shared_steps,
	.shared_drop_steps = shared_drop_steps,
	.map = map,
	.verify = verify_plain,
	.highest_fence = vendor_fence,
	.data_session = login_data_session,
};

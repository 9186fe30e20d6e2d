/*
 * A switch to a server that has nothing of the tenant: its place is made there
 * while it works on, its rows go over while it is parked, and what it has left is
 * removed when it works there.
 */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/core/left.h"
#include "region/route/switch.sql.h"
#include "region/route/switch_intern.h"

#define COPY_MB             ((int64_t)1 << 20)
/* Rows, indexes and the comparison, on two busy cores with both servers on them: most do better. */
#define COPY_BYTES_A_SECOND (4 * COPY_MB)
#define COPY_LEAST_MS       200 /* what the smallest tenant takes */
/* So much of --max may be taken: to take it back takes time too, and gateways open by themselves. */
#define COPY_MAX            7
#define COPY_OF             8

static bool
model_of(Ctx *cx, Home *home, const char *tenant, Model **m, const char **shape)
{
	TenantRecord t;

	if (!catalog_tenant(cx, home, tenant, &t))
		return false;
	*shape = t.shape;
	return catalog_shape(cx, home, t.shape, m);
}

/* --- what stands in its way --------------------------------------------------------- */

static bool
copy_may(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	SwitchIdentity from, to;

	if (!place_driver(s->at->mode)->copy)
		return fail(cx, FAIL_REFUSED,
		    "Prepare the new database, then: copyhold data load, data compare.",
		    "rows of mode %s are not copied by a switch", mode_name(s->at->mode));
	if (!switch_identity(cx, s->conns, s->at, s->at->cluster, &from) ||
	    !switch_identity(cx, s->conns, s->at, s->to, &to))
		return false;
	bool same = strcmp(from.system, to.system) == 0;
	const char *hint = same && to.standby ? "Move by its promotion: --by standby."
	    : same                            ? "Move to its other address: --by same."
	    : to.standby                      ? "Name a cluster that takes writes."
					      : NULL;

	switch_found(cx, plan, "server", hint, "PostgreSQL %lld%s", (long long)to.version,
	    same             ? ", the server that it is on"
		: to.standby ? ", a standby, which takes no writes"
			     : ", another server");
	return true;
}

/* Its names are nobody else's, but what is there now is not known to be as it should. */
static bool
copy_free(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	const char *params[] = { s->at->dbname, s->at->owner, switch_roles(cx->mem, s->at) };
	char *there, *left;
	PgRows rows;
	Pg *pg;

	if (!left_on(cx, conns_home(s->conns), s->at->tenant, &left))
		return false;
	if (left) {
		switch_found(cx, plan, "names",
		    arena_printf(cx->mem, "Remove it: copyhold route clear %s.", s->at->tenant),
		    "tenant \"%s\" has left a closed database on \"%s\"", s->at->tenant, left);
		return true;
	}
	if (!switch_side(cx, s->conns, s->at, s->to, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_TAKEN, &rows, params))
		return false;
	there = arena_dup(cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	switch_found(cx, plan, "names",
	    *there ? arena_printf(cx->mem,
			 "See what it is; if nobody needs it, remove it on \"%s\".", s->to->name)
		   : NULL,
	    *there ? "%s of tenant \"%s\" is there already" : "%snothing of tenant \"%s\" is there",
	    there, s->at->tenant);
	return true;
}

/* What its model does not know would stay behind, and be removed. */
static bool
copy_known(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	const PlaceDriver *d = place_driver(s->at->mode);
	PlaceWork work = { .layout = s->at->layout };
	Items items = { 0 };
	Changes changes = { 0 };
	Steps steps = { 0 };
	Model *m;

	if (!model_of(cx, conns_home(s->conns), s->at->tenant, &m, &work.shape) ||
	    !d->observe(cx, s->conns, s->at, &items))
		return false;
	work.recorded = work.desired = m;
	work.observed = &items;
	if (!d->steps(cx, s->at, &work, &changes, &steps))
		return false;
	bool known = !changes.n;

	switch_found(cx, plan, "model",
	    known ? NULL : "See: copyhold plan; then mend it: copyhold apply, or apply --prune.",
	    known ? "the database is as its model says"
		  : "%zu things are not as the model says, \"%s\" among them",
	    changes.n, known ? "" : changes.at[0].name);
	return true;
}

static bool
copy_size(Ctx *cx, const SwitchSides *s, int64_t *bytes)
{
	PgRows rows;
	Pg *pg;

	if (!conns_get(cx, s->conns, s->at->cluster, s->at->dbname, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_SIZE, &rows, &s->at->schema))
		return false;
	*bytes = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static char *
megabytes(Arena *mem, int64_t bytes)
{
	int64_t tenths = bytes / (COPY_MB / 10);

	return arena_printf(
	    mem, "%lld.%lld MB", (long long)(tenths / 10), (long long)(tenths % 10));
}

static bool
copy_small(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	int64_t bytes, limit = s->wish->copy_limit_mb * COPY_MB;

	if (!copy_size(cx, s, &bytes))
		return false;
	int64_t ms = COPY_LEAST_MS + bytes / (COPY_BYTES_A_SECOND / 1000);
	int64_t most = s->wish->max_ms / COPY_OF * COPY_MAX;
	const char *expected = clock_human(cx->mem, ms < 1000 ? ms / 100 * 100 : ms / 1000 * 1000);

	switch_found(cx, plan, "size",
	    bytes <= limit ? NULL : "Allow more, and more time: --copy-limit, --max.",
	    "%s, of at most %lld MB", megabytes(cx->mem, bytes), (long long)s->wish->copy_limit_mb);
	switch_found(cx, plan, "time", ms <= most ? NULL : "Give it more time: --max.",
	    "about %s to copy and compare, of at most %s", expected, clock_human(cx->mem, most));
	return true;
}

static bool
copy_check(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	return copy_may(cx, s, plan) && copy_free(cx, s, plan) && copy_known(cx, s, plan) &&
	    copy_small(cx, s, plan);
}

bool
switch_apart(Ctx *cx, Conns *conns, const Placement *at, const Cluster *left)
{
	SwitchIdentity here, there;

	if (!switch_identity(cx, conns, at, at->cluster, &here) ||
	    !switch_identity(cx, conns, at, left, &there))
		return false;
	return strcmp(here.system, there.system) != 0 ||
	    fail(cx, FAIL_REFUSED, "Let the manifest of the cluster name its server again.",
		"cluster \"%s\" is the server that tenant \"%s\" works on", left->name, at->tenant);
}

/* --- steps of the mode's own, elsewhere ------------------------------------------------ */

static bool
copy_make(Ctx *cx, const SwitchSides *s, Steps *steps)
{
	Placement there = place_elsewhere(s->at, s->to);
	PlaceWork work = { .layout = s->at->layout };
	Changes changes = { 0 };
	size_t first = steps->n;
	Model *m;

	if (!model_of(cx, conns_home(s->conns), s->at->tenant, &m, &work.shape))
		return false;
	work.desired = m;
	if (!place_driver(there.mode)->steps(cx, &there, &work, &changes, steps))
		return false;
	steps_elsewhere(cx->mem, steps, first, s->to);
	return true;
}

static bool
copy_clear(Ctx *cx, const SwitchSides *s, Steps *steps)
{
	size_t first = steps->n;

	if (s->wish->keep_old) {
		left_keep_step(cx->mem, s->at, steps);
		return true;
	}
	if (!place_driver(s->at->mode)->purge_steps(cx, s->at, false, steps))
		return false;
	steps_elsewhere(cx->mem, steps, first, s->at->cluster);
	return true;
}

/* --- the rows ---------------------------------------------------------------------------- */

static int64_t
in_time(const SwitchSides *s)
{
	int64_t now = clock_mono_ms();

	return s->deadline > now ? now + (s->deadline - now) / COPY_OF * COPY_MAX : now;
}

static bool
copy_copy(Ctx *cx, const StepEnv *env, const SwitchSides *s)
{
	Placement there = place_elsewhere(s->at, s->to);
	const char *shape;
	Model *m;

	return model_of(cx, env->home, s->at->tenant, &m, &shape) &&
	    (!m->objects.n || place_driver(there.mode)->copy(cx, env, &there, m, in_time(s)));
}

static bool
copy_compare(Ctx *cx, const SwitchSides *s)
{
	Placement there = place_elsewhere(s->at, s->to);
	const char *shape;
	Model *m;

	*s->rows = 0;
	return model_of(cx, conns_home(s->conns), s->at->tenant, &m, &shape) &&
	    (!m->objects.n ||
		place_driver(there.mode)
		    ->copied(cx, s->conns, s->at, &there, m, in_time(s), s->rows));
}

const SwitchBy switch_by_copy = {
	.name = "copy",
	.check = copy_check,
	.catch_up = copy_compare,
	.make = copy_make,
	.copy = copy_copy,
	.clear = copy_clear,
};

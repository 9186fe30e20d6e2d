/* How the new side of a switch comes by what the old one has. */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "region/route/switch.sql.h"
#include "region/route/switch_intern.h"

#define BEHIND_MAX ((int64_t)16 << 20) /* bytes that a standby may lack when a switch begins */
#define PROMOTE_MS 55000
#define POLL_MS    2

/* --- both servers ------------------------------------------------------------------ */

bool
switch_side(Ctx *cx, Conns *conns, const Placement *at, const Cluster *cluster, Pg **out)
{
	const char *dbname = at->mode == MODE_CUSTOMER_DB ? at->dbname : NULL;

	return conns_get(cx, conns, cluster, dbname, out) ||
	    fail_in(cx, "opening cluster \"%s\"", cluster->name);
}

bool
switch_identity(
    Ctx *cx, Conns *conns, const Placement *at, const Cluster *cluster, SwitchIdentity *out)
{
	PgRows rows;
	Pg *pg;

	if (!switch_side(cx, conns, at, cluster, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_IDENTITY, &rows, &at->dbname))
		return fail_in(cx, "asking \"%s\" which server it is", cluster->name);
	*out = (SwitchIdentity){
		.system = arena_dup(cx->mem, pg_text(&rows, 0, 0)),
		.standby = pg_bool(&rows, 0, 1),
		.version = pg_int(&rows, 0, 2),
		.oid = arena_dup(cx->mem, pg_text(&rows, 0, 3)),
		.locale = arena_dup(cx->mem, pg_text(&rows, 0, 4)),
	};
	pg_rows_free(&rows);
	return true;
}

static bool
one_bool(Ctx *cx, Pg *pg, const Sql *sql, bool *out)
{
	PgRows rows;

	if (!pg_query(cx, pg, sql, &rows, NULL))
		return false;
	*out = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
fence_on(Ctx *cx, const SwitchSides *s, const Cluster *cluster, int64_t *out)
{
	PgRows rows;
	Pg *pg;

	if (!switch_side(cx, s->conns, s->at, cluster, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_FENCE, &rows, &s->at->id))
		return fail_in(cx, "reading the fence on \"%s\"", cluster->name);
	*out = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

/* What has seen a fence that was raised a moment ago is the same server or follows it; what follows takes
 * no write, which is tried next. */
static bool
fence_seen(Ctx *cx, const SwitchSides *s)
{
	int64_t raised, seen;

	if (!fence_on(cx, s, s->at->cluster, &raised) || !fence_on(cx, s, s->to, &seen))
		return false;
	return seen == raised ||
	    fail(cx, FAIL_DIFFERENT, "Nothing was moved: see that it is the cluster that you mean.",
		"\"%s\" has not seen the fence that was raised on \"%s\": it holds other data",
		s->to->name, s->at->cluster->name);
}

/* --- same: another address of the same server ------------------------------------------ */

static bool
is_same(const SwitchIdentity *a, const SwitchIdentity *b)
{
	return strcmp(a->system, b->system) == 0 && strcmp(a->oid, b->oid) == 0 && *a->oid;
}

static bool
same_check(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	SwitchIdentity from, to;

	if (!switch_identity(cx, s->conns, s->at, s->at->cluster, &from) ||
	    !switch_identity(cx, s->conns, s->at, s->to, &to))
		return false;
	bool other = !is_same(&from, &to);
	const char *hint = other ? "Name the cluster whose address leads to the same server."
	    : to.standby         ? "Move by its promotion: --by standby."
				 : NULL;

	switch_found(cx, plan, "data", hint, "%s",
	    other            ? "it is another server, or the database was made anew there"
		: to.standby ? "it is a standby, which takes no writes"
			     : "the same server and database at another address");
	return true;
}

/* --- standby: a streaming standby of the old server is promoted --------------------------- */

static bool
position(Ctx *cx, Pg *pg, const Sql *sql, char **out)
{
	PgRows rows;

	if (!pg_query(cx, pg, sql, &rows, NULL))
		return false;
	*out = arena_dup(cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	return true;
}

static bool
standby_behind(Ctx *cx, const SwitchSides *s, int64_t *behind)
{
	char *there;
	PgRows rows;
	Pg *from, *to;

	if (!switch_side(cx, s->conns, s->at, s->at->cluster, &from) ||
	    !switch_side(cx, s->conns, s->at, s->to, &to) ||
	    !position(cx, from, &SQL_SWITCH_POSITION, &there) ||
	    !pg_query(cx, to, &SQL_SWITCH_BEHIND, &rows, (const char *const *)&there))
		return false;
	*behind = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
standby_right(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	const Connect *us = &s->at->cluster->connect;
	bool may;
	Pg *pg;

	if (!switch_side(cx, s->conns, s->at, s->to, &pg) ||
	    !one_bool(cx, pg, &SQL_SWITCH_MAY_PROMOTE, &may))
		return false;
	switch_found(cx, plan, "promotion",
	    may ? NULL
		: arena_printf(cx->mem,
		      "A superuser runs on \"%s\", in database \"%s\": GRANT EXECUTE ON FUNCTION "
		      "pg_catalog.pg_promote(boolean, integer) TO \"%s\";",
		      s->at->cluster->name, us->database, us->user),
	    "%s",
	    may ? "our login may promote the standby" : "our login may not promote the standby");
	return true;
}

static bool
standby_lag(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	int64_t behind;

	if (!standby_behind(cx, s, &behind))
		return false;
	switch_found(cx, plan, "standby",
	    behind <= BEHIND_MAX ? NULL : "Wait until it has caught up, then run it again.",
	    behind <= BEHIND_MAX ? "it follows the old server"
				 : "it is %lld MB behind the old server",
	    (long long)(behind >> 20));
	return true;
}

/* All that is on the old server would be there twice, and only one tenant would have moved. */
static bool
standby_alone(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	int64_t n;

	if (!catalog_tenants_on(cx, conns_home(s->conns), s->at->cluster->name, &n))
		return false;
	switch_found(cx, plan, "neighbours",
	    n <= 1 ? NULL : "Move the others first, or change the cluster's address for all.",
	    n <= 1 ? "no other tenant is on the old server"
		   : "a promotion would part it from %lld other tenants of the old server",
	    (long long)(n - 1));
	return true;
}

static bool
standby_check(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	SwitchIdentity from, to;

	if (!switch_identity(cx, s->conns, s->at, s->at->cluster, &from) ||
	    !switch_identity(cx, s->conns, s->at, s->to, &to))
		return false;
	if (s->at->mode == MODE_CUSTOMER_DB || !to.standby || strcmp(from.system, to.system) != 0) {
		switch_found(cx, plan, "standby",
		    "Name a cluster that is a standby of the old one.", "%s",
		    s->at->mode == MODE_CUSTOMER_DB
			? "a customer's server is the customer's to promote"
			: to.standby ? "it is a standby of another server"
				     : "it is no standby");
		return true;
	}
	return standby_lag(cx, s, plan) && standby_right(cx, s, plan) && standby_alone(cx, s, plan);
}

static bool
standby_catch_up(Ctx *cx, const SwitchSides *s)
{
	bool follows = true, there = false;
	char *mark;
	PgRows rows;
	Pg *from, *to;

	if (!switch_side(cx, s->conns, s->at, s->at->cluster, &from) ||
	    !switch_side(cx, s->conns, s->at, s->to, &to) ||
	    !position(cx, from, &SQL_SWITCH_MARK, &mark))
		return false;
	while (!there) {
		if (!pg_query(cx, to, &SQL_SWITCH_REPLAYED, &rows, (const char *const *)&mark))
			return false;
		follows = pg_bool(&rows, 0, 0);
		there = follows && pg_bool(&rows, 0, 1);
		pg_rows_free(&rows);
		if (!follows)
			return fail(cx, FAIL_DIFFERENT, "See who has promoted it.",
			    "\"%s\" is no standby any more", s->to->name);
		if (!there && clock_mono_ms() > s->deadline)
			return fail(cx, FAIL_LIMIT, "See what holds its replication up.",
			    "standby \"%s\" has not replayed what \"%s\" has written", s->to->name,
			    s->at->cluster->name);
		if (!there)
			lane_sleep(POLL_MS);
	}
	return fence_seen(cx, s);
}

static bool
standby_finished(Ctx *cx, const SwitchSides *s, bool *out)
{
	bool recovers;
	Pg *pg;

	if (!switch_side(cx, s->conns, s->at, s->to, &pg) ||
	    !one_bool(cx, pg, &SQL_SWITCH_IN_RECOVERY, &recovers))
		return false;
	*out = !recovers;
	return true;
}

static bool
standby_finish(Ctx *cx, const SwitchSides *s)
{
	int64_t deadline = clock_mono_ms() + PROMOTE_MS;
	bool done = false;
	Pg *pg;

	if (!standby_finished(cx, s, &done))
		return false;
	if (!done &&
	    (!switch_side(cx, s->conns, s->at, s->to, &pg) ||
		!pg_do(cx, pg, &SQL_SWITCH_PROMOTE, NULL)))
		return false;
	for (; !done; lane_sleep(POLL_MS)) {
		if (!standby_finished(cx, s, &done))
			return false;
		if (!done && clock_mono_ms() > deadline)
			return fail(cx, FAIL_TIMEOUT, "See its log.",
			    "standby \"%s\" was told to promote itself and has not", s->to->name);
	}
	return true;
}

/* --- the table ------------------------------------------------------------------------ */

static const SwitchBy ways[] = {
	{ .name = "same", .check = same_check, .catch_up = fence_seen },
	{ .name = "standby",
	    .check = standby_check,
	    .catch_up = standby_catch_up,
	    .finish = standby_finish,
	    .finished = standby_finished },
};

static const SwitchBy *all[8] = { &ways[0], &ways[1], &switch_by_copy };

const SwitchBy *
switch_by(const char *name)
{
	for (size_t i = 0; name && i < LENGTH(all) && all[i]; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

void
switch_register(const SwitchBy *by)
{
	size_t i = 0;

	while (i < LENGTH(all) && all[i])
		i++;
	if (i < LENGTH(all))
		all[i] = by;
}

const SwitchBy *
switch_by_fit(const SwitchIdentity *from, const SwitchIdentity *to)
{
	if (!is_same(from, to))
		return NULL;
	return switch_by(to->standby ? "standby" : "same");
}

/*
 * switch_stream HOME TENANT CLUSTER SLOT - one switch to a server that follows by PostgreSQL's own logical
 * replication, through the slot of that name; prints for how many ms the tenant was parked.
 *
 * A way of catching up from outside: the subscription is there before and stays there behind it, for only
 * a superuser may make and drop one.
 */
#include <stdio.h>

#include "deployer/items.h"
#include "deployer/shape.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/core/records.h"
#include "region/route/route.h"
#include "region/route/switch.sql.h"
#include "region/route/switch_intern.h"

static const char *slot;

static const Sql confirmed = { "stream_confirmed",
	"SELECT coalesce(pg_catalog.max(confirmed_flush_lsn) >= $2::pg_catalog.pg_lsn, false), "
	"pg_catalog.count(*) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active",
	2 };

static bool
asked(Ctx *cx, const SwitchSides *s, const char *at, bool *there, bool *follows)
{
	PgRows rows;
	Pg *pg;

	if (!switch_side(cx, s->conns, s->at, s->at->cluster, &pg) ||
	    !pg_query(cx, pg, &confirmed, &rows, (const char *const[]){ slot, at }))
		return false;
	*there = pg_bool(&rows, 0, 0);
	*follows = pg_int(&rows, 0, 1) == 1;
	pg_rows_free(&rows);
	return true;
}

static bool
check(Ctx *cx, const SwitchSides *s, SwitchPlan *plan)
{
	bool there, follows;

	if (!asked(cx, s, "0/0", &there, &follows))
		return false;
	switch_found(cx, plan, "subscription", follows ? NULL : "See its log.",
	    "slot \"%s\" is %sused", slot, follows ? "" : "not ");
	return true;
}

/* What it has confirmed is on its disk: the subscription has synchronous_commit. */
static bool
catch_up(Ctx *cx, const SwitchSides *s)
{
	bool there = false, follows = true;
	PgRows rows;
	Pg *pg;

	if (s->deadline == 0)
		return true; /* it is not parked yet: there is no end to catch up with */
	if (!switch_side(cx, s->conns, s->at, s->at->cluster, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_MARK, &rows, NULL))
		return false;
	const char *position = arena_dup(cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	while (!there) {
		if (!asked(cx, s, position, &there, &follows))
			return false;
		if (!there && (!follows || clock_mono_ms() > s->deadline))
			return fail(cx, FAIL_LIMIT, NULL, "the subscription has not caught up");
		if (!there)
			lane_sleep(1);
	}
	return true;
}

static const SwitchBy stream = { .name = "stream", .check = check, .catch_up = catch_up };

static bool
move(Ctx *cx, const char *dir, const SwitchWish *wish)
{
	SwitchPlan *plan;
	RunReport report;
	Home *home;
	int64_t ms;

	if (!home_open(cx, dir, ACCESS_WRITES, &home) || !switch_plan(cx, home, wish, &plan))
		return false;
	for (size_t i = 0; i < plan->findings.n; i++)
		if (!plan->findings.at[i].ok)
			return fail(cx, FAIL_REFUSED, plan->findings.at[i].hint, "%s",
			    plan->findings.at[i].said);
	if (!run_start(cx, home, &plan->run, &report) ||
	    !switch_parked_ms(cx, home, report.run, &ms))
		return false;
	printf("%lld\n", (long long)ms);
	return report.exit == EXIT_DONE || fail(cx, FAIL_DIFFERENT, NULL, "it was not switched");
}

int
main(int argc, char **argv)
{
	static const PlaceDriver *const drivers[] = { &mode_dedicated, NULL };
	Ctx cx = ctx_new(NULL);

	if (argc != 5) {
		fputs("usage: switch_stream HOME TENANT CLUSTER SLOT\n", stderr);
		return 64;
	}
	const SwitchWish wish = {
		.tenant = argv[2], .to = argv[3], .by = "stream", .drain_ms = 2000, .max_ms = 10000
	};

	slot = argv[4];
	place_register(drivers);
	step_register(shape_kinds);
	step_register(records_kinds);
	step_register(route_kinds);
	step_register(switch_kinds);
	switch_register(&stream);
	bool ok = move(&cx, argv[1], &wish);
	if (!ok)
		fputs(fail_text(cx.mem, cx.fail), stderr);
	arena_free(cx.mem);
	return !ok;
}

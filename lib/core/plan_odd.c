/*
 * Tenants that go along with their shared database are not looked at one by one.  What may have become
 * of their logins is asked of all of them at once, and who is found odd gets a look of its own.
 */
#include "lib/base/lane.h"
#include "lib/core/plan_intern.h"
#include "lib/core/plan_odd.sql.h"

#define ODD_LANES 4

static bool
read_logins(Ctx *cx, Planner *p, const char *shared, Placement *at, Map *whose)
{
	LiteRows *rows;

	if (!lite_query(cx, p->home->db, &SQL_PLAN_COMMON_LOGINS, &rows, "t", shared))
		return false;
	while (lite_next(rows)) {
		Login login = { .role = lite_text(rows, 1),
			.read_only = lite_int(rows, 2) != 0,
			.on = lite_int(rows, 3) != 0 };
		map_set(whose, login.role, lite_text(rows, 0));
		vec_push(cx->mem, &at->logins, login);
	}
	return lite_end(cx, rows);
}

static bool
look(Ctx *cx, Planner *p, Conns *conns, const SharedWork *s)
{
	const PlaceDriver *d = place_driver(MODE_SHARED);
	Placement at = *s->place;
	Map *whose = map_new(cx->mem);
	Names odd = { 0 };

	if (!read_logins(cx, p, s->name, &at, whose))
		return false;
	if (at.logins.n > 0 && !d->shared_odd(cx, conns, &at, &odd))
		return false;
	for (size_t i = 0; i < odd.n; i++)
		map_set(p->odd, arena_dup(p->cx->mem, map_get(whose, odd.at[i])), p);
	return true;
}

static const Fail *
keep(Arena *mem, const Ctx *from)
{
	Ctx to = { .mem = mem, .fail = arena_alloc(mem, sizeof(Fail)) };

	fail_copy(&to, from);
	return to.fail;
}

/* A failure is told of the shared database, which is looked at later. */
static void
odd_lane(void *ptr)
{
	Planner *p = ptr;
	Ctx cx = ctx_new(p->cx->mem);
	Conns *conns = conns_new(&cx, p->home);

	while (p->next_odd && !lane_stopping()) {
		SharedWork *s = p->next_odd->value;
		Ctx own = ctx_new(cx.mem);
		p->next_odd = map_next(p->shareds, p->next_odd);
		if (s->record.active && !plan_known_down(p, s->at->cluster->name, &own) &&
		    !look(&own, p, conns, s)) {
			plan_note_down(p, s->at->cluster->name, own.fail);
			s->unseen = keep(p->cx->mem, &own);
		}
		arena_free(own.mem);
	}
	arena_free(cx.mem);
}

void
plan_odd(Planner *p)
{
	const PlaceDriver *d = place_driver(MODE_SHARED);
	Lanes *lanes;

	p->odd = map_new(p->cx->mem);
	if (!p->options->refresh || (p->options->only && p->options->only->n) || !d ||
	    !d->shared_odd)
		return;
	lanes = lanes_new(p->cx->mem);
	p->next_odd = map_next(p->shareds, NULL);
	for (size_t i = 0; i < ODD_LANES && p->next_odd; i++)
		lane_spawn(lanes, odd_lane, p);
	lanes_run(lanes);
}

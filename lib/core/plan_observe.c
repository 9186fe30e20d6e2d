/* What stands on the servers, several tenants at a time. */
#include <string.h>

#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/plan_intern.h"

#define OBSERVE_LANES 4

Items *
plan_keep_items(Arena *mem, const Items *seen)
{
	Items *out = arena_alloc(mem, sizeof *out);

	for (size_t i = 0; i < seen->n; i++) {
		Item kept = seen->at[i];
		kept.object = arena_dup(mem, kept.object);
		kept.name = arena_dup(mem, kept.name);
		kept.def = arena_dup(mem, kept.def);
		vec_push(mem, out, kept);
	}
	return out;
}

static bool
observe_one(Ctx *cx, Planner *p, Conns *conns, Work *w)
{
	const PlaceDriver *d = place_driver(w->at->mode);
	Items seen = { 0 };

	if (!w->shared && !d->preflight(cx, conns, w->at, w->exists))
		return fail_in(cx, "checking the place of tenant \"%s\" (mode %s)", w->at->tenant,
		    mode_name(w->at->mode));
	if (!w->exists)
		return true;
	if (!d->observe(cx, conns, w->at, &seen))
		return fail_in(cx, "looking at tenant \"%s\" (mode %s)", w->at->tenant,
		    mode_name(w->at->mode));
	w->observed = plan_keep_items(p->cx->mem, &seen);
	return true;
}

/* What a login can change of itself and no catalogue of the server shows us: its password.  A shared
 * database may have thousands: there it is tried of those that were asked for by name, or are odd. */
static bool
observe_logins(Ctx *cx, Planner *p, Work *w)
{
	const PlaceDriver *d = place_driver(w->at->mode);
	bool asked = p->options->only && p->options->only->n;

	if (w->shared && !asked && !map_get(p->odd, w->at->tenant))
		return true;
	for (size_t i = 0; w->record.state == TENANT_ACTIVE && i < w->at->logins.n; i++) {
		const Login *login = &w->at->logins.at[i];
		Secret password;
		bool ok;
		if (!login->on)
			continue;
		if (!catalog_login_password(cx, p->home, w->at->tenant, login->user, &password) ||
		    !d->login_ok(cx, w->at, login, &password, &ok))
			return fail_in(
			    cx, "trying login \"%s\" of tenant \"%s\"", login->user, w->at->tenant);
		if (!ok)
			vec_push(p->cx->mem, &w->strange, login);
	}
	return true;
}

/* One answer is enough of a cluster that cannot be reached: every try would wait for its deadline. */
const Fail *
plan_known_down(Planner *p, const char *cluster, Ctx *own)
{
	const Fail *down = map_get(p->down, cluster);

	if (down)
		fail_copy(own, &(Ctx){ .mem = own->mem, .fail = (Fail *)(uintptr_t)down });
	return down;
}

void
plan_note_down(Planner *p, const char *cluster, const Fail *why)
{
	Ctx from = { .fail = (Fail *)(uintptr_t)why }, to = { .mem = p->cx->mem };

	if (why->kind != FAIL_UNREACHABLE || map_get(p->down, cluster))
		return;
	to.fail = arena_alloc(p->cx->mem, sizeof *to.fail);
	fail_copy(&to, &from);
	map_set(p->down, cluster, to.fail);
}

static void
look_at(Ctx *cx, Planner *p, Conns *conns, Work *w)
{
	const char *cluster = w->at->cluster->name;
	Ctx own;

	if (map_get(p->making, cluster))
		return;
	own = ctx_new(cx->mem);
	if (plan_known_down(p, cluster, &own) || !observe_one(&own, p, conns, w) ||
	    !observe_logins(&own, p, w)) {
		plan_entry_fail(p, w->entry, own.fail);
		w->fail = plan_entry_at(p, w->entry)->fail;
		plan_note_down(p, cluster, w->fail);
	}
	arena_free(own.mem);
}

static bool
observe_shared(Ctx *cx, Planner *p, Conns *conns, SharedWork *s)
{
	const PlaceDriver *d = place_driver(MODE_SHARED);
	Items seen = { 0 };

	if (s->unseen) {
		fail_copy(cx, &(Ctx){ .fail = (Fail *)(uintptr_t)s->unseen });
		return fail_in(cx, "looking at shared database \"%s\"", s->name);
	}
	if (!d->preflight(cx, conns, s->place, s->exists) ||
	    (s->record.active && !d->shared_observe(cx, conns, s->place, &seen)))
		return fail_in(cx, "looking at shared database \"%s\"", s->name);
	if (s->record.active)
		s->observed = plan_keep_items(p->cx->mem, &seen);
	return true;
}

static void
look_at_shared(Ctx *cx, Planner *p, Conns *conns, SharedWork *s)
{
	const char *cluster = s->at->cluster->name;
	Ctx own;

	if (map_get(p->making, cluster))
		return;
	own = ctx_new(cx->mem);
	if (plan_known_down(p, cluster, &own) || !observe_shared(&own, p, conns, s)) {
		plan_shared_fail(p, s, own.fail);
		plan_note_down(p, cluster, s->fail);
	}
	arena_free(own.mem);
}

static void
shared_lane(void *ptr)
{
	Planner *p = ptr;
	Ctx cx = ctx_new(p->cx->mem);
	Conns *conns = conns_new(&cx, p->home);

	while (p->next_shared < p->shared_list.n && !lane_stopping()) {
		SharedWork *s = p->shared_list.at[p->next_shared++];
		log_live("looking at %s (%zu/%zu)", s->name, p->next_shared, p->shared_list.n);
		if (!s->idle && !s->fail)
			look_at_shared(&cx, p, conns, s);
		conns_drop(conns, s->at->cluster, s->at->dbname);
	}
	arena_free(cx.mem);
}

static void
observe_lane(void *ptr)
{
	Planner *p = ptr;
	Ctx cx = ctx_new(p->cx->mem);
	Conns *conns = conns_new(&cx, p->home);

	while (p->next_work < p->work.n && !lane_stopping()) {
		Work *w = &p->work.at[p->next_work++];
		if (w->fail || (w->shared && (w->shared->fail || !w->exists)))
			continue;
		log_live("looking at %s (%zu/%zu)", w->spec->name, p->next_work, p->work.n);
		look_at(&cx, p, conns, w);
		if (!w->shared) /* the next one is in the same database */
			conns_drop(conns, w->at->cluster, w->at->dbname);
	}
	arena_free(cx.mem);
}

static void
run_lanes(Planner *p, void (*lane)(void *), size_t n)
{
	Lanes *lanes = lanes_new(p->cx->mem);

	for (size_t i = 0; i < OBSERVE_LANES && i < n; i++)
		lane_spawn(lanes, lane, p);
	lanes_run(lanes);
}

bool
plan_observe(Planner *p)
{
	run_lanes(p, shared_lane, p->shared_list.n);
	run_lanes(p, observe_lane, p->work.n);
	log_live_end();
	return !lane_stopping() || fail(p->cx, FAIL_STOPPED, NULL, "stopped by a signal");
}

/* What stands on the servers, several tenants at a time. */
#include <string.h>

#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/plan_intern.h"

#define OBSERVE_LANES 4

static bool
observe_one(Ctx *cx, Planner *p, Conns *conns, Work *w)
{
	const PlaceDriver *d = place_driver(w->at->mode);
	Items seen = { 0 };

	if (!d->preflight(cx, conns, w->at, w->exists))
		return fail_in(cx, "checking the place of tenant \"%s\" (mode %s)", w->at->tenant,
		    mode_name(w->at->mode));
	if (!w->exists)
		return true;
	if (!d->observe(cx, conns, w->at, &seen))
		return fail_in(cx, "looking at tenant \"%s\" (mode %s)", w->at->tenant,
		    mode_name(w->at->mode));
	w->observed = arena_alloc(p->cx->mem, sizeof *w->observed);
	for (size_t i = 0; i < seen.n; i++) {
		Item kept = seen.at[i];
		kept.object = arena_dup(p->cx->mem, kept.object);
		kept.name = arena_dup(p->cx->mem, kept.name);
		kept.def = arena_dup(p->cx->mem, kept.def);
		vec_push(p->cx->mem, w->observed, kept);
	}
	return true;
}

/* What a login can change of itself and no catalogue of the server shows us: its password. */
static bool
observe_logins(Ctx *cx, Planner *p, Work *w)
{
	const PlaceDriver *d = place_driver(w->at->mode);

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
static void
look_at(Ctx *cx, Planner *p, Conns *conns, Work *w)
{
	const char *cluster = w->at->cluster->name;
	const Fail *down = map_get(p->down, cluster);
	Ctx own = ctx_new(cx->mem);

	if (down)
		fail_copy(&own, &(Ctx){ .mem = own.mem, .fail = (Fail *)down });
	if (down || !observe_one(&own, p, conns, w) || !observe_logins(&own, p, w)) {
		plan_entry_fail(p, w->entry, own.fail);
		w->fail = plan_entry_at(p, w->entry)->fail;
		if (w->fail->kind == FAIL_UNREACHABLE && !down) {
			down = w->fail;
			map_set(p->down, cluster, w->fail);
		}
	}
	arena_free(own.mem);
}

static void
observe_lane(void *ptr)
{
	Planner *p = ptr;
	Ctx cx = ctx_new(p->cx->mem);
	Conns *conns = conns_new(&cx, p->home);

	while (p->next_work < p->work.n && !lane_stopping()) {
		Work *w = &p->work.at[p->next_work++];
		log_live("looking at %s (%zu/%zu)", w->spec->name, p->next_work, p->work.n);
		look_at(&cx, p, conns, w);
		conns_drop(conns, w->at->cluster, w->at->dbname);
	}
	arena_free(cx.mem);
}

bool
plan_observe(Planner *p)
{
	Lanes *lanes = lanes_new(p->cx->mem);

	for (size_t i = 0; i < OBSERVE_LANES && i < p->work.n; i++)
		lane_spawn(lanes, observe_lane, p);
	lanes_run(lanes);
	log_live_end();
	return !lane_stopping() || fail(p->cx, FAIL_STOPPED, NULL, "stopped by a signal");
}

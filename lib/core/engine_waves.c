/* Hosts side by side; releases over the hosts of a tenant: canaries first, then waves, within a budget. */
#include <string.h>

#include "lib/base/lane.h"
#include "lib/core/engine_intern.h"
#include "lib/core/journal.h"

#define HOST_LANES    30 /* sessions that are opened at a time */
#define RELEASE_LANES 32
#define LOOK_AGAIN_MS 10 /* for a place in a wave */

static bool
is_host(const ScopeRun *s)
{
	return strncmp(s->scope, "host/", 5) == 0;
}

static void
walk_one(Engine *e, ScopeRun *s)
{
	Ctx cx = ctx_new(e->cx->mem);

	if (!engine_skip(e, s))
		engine_walk(e, conns_new(&cx, e->home), s);
	arena_free(cx.mem);
}

/* --- hosts ------------------------------------------------------------------------ */

typedef struct Hosts {
	Engine *engine;
	size_t next;
} Hosts;

static void
host_lane(void *ptr)
{
	Hosts *h = ptr;
	Engine *e = h->engine;

	while (h->next < e->scopes.n) {
		ScopeRun *s = &e->scopes.at[h->next++];
		if (is_host(s))
			walk_one(e, s);
	}
}

void
engine_run_hosts(Engine *e)
{
	Hosts h = { .engine = e };
	Lanes *lanes = lanes_new(e->cx->mem);
	size_t n = 0;

	for (size_t i = 0; i < e->scopes.n; i++)
		n += is_host(&e->scopes.at[i]);
	for (size_t i = 0; i < n && i < HOST_LANES; i++)
		lane_spawn(lanes, host_lane, &h);
	lanes_run(lanes);
	for (size_t i = 0; n && i < e->scopes.n; i++)
		if (is_host(&e->scopes.at[i]))
			engine_note(e, &e->scopes.at[i]);
}

/* --- releases ---------------------------------------------------------------------- */

typedef struct Tour { /* of one tenant's new release over its hosts */
	const char *tenant;
	Rollout how;
	struct {
		ScopeRun **at;
		size_t n, cap;
	} scopes;
	size_t next;
	int64_t running, good, lost; /* lost: failed or out of reach */
	const ScopeRun *broken;      /* the first that failed for the release's own sake, or NULL */
} Tour;

typedef struct Tours {
	Engine *engine;
	struct {
		Tour **at;
		size_t n, cap;
	} tours;
} Tours;

/* What is taken back, stopped or taken away is so on every host, whatever becomes of another. */
static bool
is_staged(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n && !s->backward; i++)
		if (step_kind(s->rows.at[i]->step.kind)->staged)
			return true;
	return false;
}

/* As its manifest said last. */
static Rollout
rollout_of(Engine *e, const char *tenant)
{
	Rollout how = { .canary = 1, .wave = 1 };
	Ctx cx = ctx_new(e->cx->mem);
	Tenant *spec;

	if (catalog_tenant_spec(&cx, e->home, tenant, &spec))
		how = spec->rollout;
	arena_free(cx.mem);
	return how;
}

static Tour *
tour_of(Tours *t, const char *tenant)
{
	Arena *mem = t->engine->cx->mem;

	for (size_t i = 0; i < t->tours.n; i++)
		if (strcmp(t->tours.at[i]->tenant, tenant) == 0)
			return t->tours.at[i];
	Tour *tour = arena_alloc(mem, sizeof *tour);
	*tour = (Tour){ .tenant = tenant, .how = rollout_of(t->engine, tenant) };
	vec_push(mem, &t->tours, tour);
	return tour;
}

/* A canary that is out of reach says nothing about the release: the next host takes its place.  One
 * that failed does. */
static bool
is_over(const Tour *t)
{
	return t->lost > t->how.budget || (t->broken && t->good < t->how.canary);
}

static bool
has_room(const Tour *t)
{
	int64_t side_by_side = t->good < t->how.canary ? t->how.canary - t->good : t->how.wave;

	if (t->next >= t->scopes.n)
		return false;
	return !is_staged(t->scopes.at[t->next]) || is_over(t) || t->running < side_by_side;
}

/* Not begun, since the release failed elsewhere: closed.  Since hosts are out of reach: waits for a
 * resume. */
static void
leave(Engine *e, Tour *t, ScopeRun *s)
{
	Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
	bool closed = t->broken && !scope_begun(s);

	if (closed)
		journal_abandon_waiting(&cx, e->home, e->run, s->scope);
	fail_clear(&cx);
	if (t->broken)
		fail(&cx, FAIL_ROLLED_BACK, "Mend the release, then apply again.",
		    "not begun: %s on host \"%s\" has failed", t->tenant, t->broken->host);
	else
		fail(&cx, FAIL_STOPPED,
		    arena_printf(
			cx.mem, "When they are back: copyhold run resume %lld.", (long long)e->run),
		    "not begun: more hosts of %s are out of reach than rollout.budget allows (%lld)",
		    t->tenant, (long long)t->how.budget);
	s->result = (ScopeResult){
		.scope = s->scope, .fail = cx.fail, .outcome = closed ? SCOPE_UNDONE : SCOPE_STOPPED
	};
	e->ended++;
	engine_tell(e, s);
}

static void
take(Tours *all, Tour *t)
{
	ScopeRun *s = t->scopes.at[t->next++];

	if (!is_staged(s) ||
	    lane_stopping()) { /* after a signal it is only told that it was not begun */
		walk_one(all->engine, s);
		return;
	}
	if (is_over(t)) {
		leave(all->engine, t, s);
		return;
	}
	t->running++;
	walk_one(all->engine, s);
	t->running--;
	ScopeOutcome how = s->result.outcome;
	t->good += how == SCOPE_DONE;
	t->lost += how != SCOPE_DONE && !(how == SCOPE_STOPPED && lane_stopping());
	if (how != SCOPE_DONE && how != SCOPE_UNREACHABLE && how != SCOPE_STOPPED && !t->broken)
		t->broken = s;
}

static void
release_lane(void *ptr)
{
	Tours *all = ptr;
	bool left = true;

	while (left) {
		Tour *free_one = NULL;
		left = false;
		for (size_t i = 0; i < all->tours.n; i++) {
			Tour *t = all->tours.at[i];
			left = left || t->next < t->scopes.n;
			if (!free_one && has_room(t))
				free_one = t;
		}
		if (free_one)
			take(all, free_one);
		else if (left)
			lane_sleep(LOOK_AGAIN_MS);
	}
}

void
engine_run_releases(Engine *e)
{
	Tours t = { .engine = e };
	Lanes *lanes = lanes_new(e->cx->mem);
	size_t n = 0;

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		const char *tenant = scope_release(s->scope, e->cx->mem, NULL);
		if (!tenant)
			continue;
		vec_push(e->cx->mem, &tour_of(&t, tenant)->scopes, s);
		n++;
	}
	for (size_t i = 0; i < n && i < RELEASE_LANES; i++)
		lane_spawn(lanes, release_lane, &t);
	lanes_run(lanes);
}

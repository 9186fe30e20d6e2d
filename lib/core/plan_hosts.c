/* Hosts of a plan: are they there, and is our helper on them? */
#include <inttypes.h>
#include <string.h>

#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/host.h"
#include "lib/core/plan_intern.h"

#define HOST_LANES 32

typedef struct HostSeen {
	const Host *host;
	Fail *fail;   /* it cannot be used, or NULL */
	bool prepare; /* the helper is to be put there */
	bool fresh;   /* there is none */
	size_t entry; /* of one that cannot be used */
	bool same;    /* recorded as it is, or by steps of this plan */
} HostSeen;

typedef struct Look {
	Planner *p;
	const MapItem *next;
	size_t done;
} Look;

/* --- looking ---------------------------------------------------------------------------- */

/* A user with a line in sudoers for some duties only asks for these. */
static bool
ask_any_duty(Ctx *cx, Planner *p, Conns *c, const Host *h)
{
	HostConn *conn;
	Names duties;

	if (conns_host(cx, c, h->name, "host", &conn))
		return true;
	if (cx->fail->kind != FAIL_MISSING_RIGHT || !h->sudo)
		return false;
	Ctx own = ctx_new(cx->mem);

	if (!host_duties(&own, p->home, p->m, h->name, &duties))
		return false;
	for (size_t i = 0; i < duties.n; i++) {
		fail_clear(cx);
		if (conns_host(cx, c, h->name, duties.at[i], &conn))
			return true;
		if (cx->fail->kind != FAIL_MISSING_RIGHT)
			return false;
	}
	return false;
}

static bool
may_prepare(Ctx *cx, Conns *c, const Host *h)
{
	HostReply r;

	return host_script(cx, c, h, true, "exit $(($(id -u) != 0))\n", &r) && r.code == 0;
}

static bool
has_none(Ctx *cx, Conns *c, const Host *h)
{
	const char *script = arena_printf(
	    cx->mem, "[ ! -e %s ]\nexit $?\n", host_helper_path(cx->mem, h));
	HostReply r;

	return host_script(cx, c, h, false, script, &r) && r.code == 0;
}

static void
look_at(Planner *p, HostSeen *seen)
{
	Ctx own = ctx_new(p->cx->mem), scratch = ctx_new(own.mem);
	Conns *c = conns_new(&own, p->home);
	FailKind kind;

	if (!ask_any_duty(&own, p, c, seen->host)) {
		kind = own.fail->kind;
		seen->prepare = (kind == FAIL_UNPREPARED || kind == FAIL_HOST_STEP ||
				    kind == FAIL_MISSING_RIGHT) &&
		    may_prepare(&scratch, c, seen->host);
		seen->fresh = seen->prepare && has_none(&scratch, c, seen->host);
		if (!seen->prepare) {
			Ctx to = ctx_new(p->cx->mem);
			fail_in(&own, "looking at host \"%s\"", seen->host->name);
			fail_copy(&to, &own);
			seen->fail = to.fail;
		}
	}
	arena_free(own.mem);
}

static void
look_lane(void *arg)
{
	Look *l = arg;

	while (l->next && !lane_stopping()) {
		const MapItem *it = l->next;
		l->next = map_next(l->p->hosts, it);
		look_at(l->p, it->value);
		log_live("looked at %zu of %zu hosts", ++l->done, map_count(l->p->hosts));
	}
}

/* Named tenants are planned without a look at hosts that are not new. */
static bool
is_looked_at(const Planner *p, const Map *hashes, const char *name, const Host *h)
{
	const char *was = map_get(hashes, name);
	char *spec = manifest_canonical(p->cx->mem, "Host", h);

	return !p->options->only || !p->options->only->n || !was ||
	    strcmp(was, plan_hash(p->cx->mem, spec)) != 0;
}

bool
plan_hosts_look(Planner *p)
{
	Map *hashes = map_new(p->cx->mem);
	const MapItem *it;
	Look l = { .p = p };

	p->home->hosts = p->m->hosts;
	p->hosts = map_new(p->cx->mem);
	if (!p->options->refresh || !map_count(p->m->hosts))
		return true;
	if (!catalog_object_hashes(p->cx, p->home, "Host", hashes))
		return false;
	for (it = map_next(p->m->hosts, NULL); it; it = map_next(p->m->hosts, it)) {
		if (!is_looked_at(p, hashes, it->key, it->value))
			continue;
		HostSeen *seen = arena_alloc(p->cx->mem, sizeof *seen);
		seen->host = it->value;
		map_set(p->hosts, it->key, seen);
	}
	Lanes *lanes = lanes_new(p->cx->mem);

	l.next = map_next(p->hosts, NULL);
	for (size_t i = 0; i < HOST_LANES && i < map_count(p->hosts); i++)
		lane_spawn(lanes, look_lane, &l);
	lanes_run(lanes);
	log_live_end();
	return !lane_stopping() || fail(p->cx, FAIL_STOPPED, NULL, "stopped by a signal");
}

bool
plan_host_fresh(const Planner *p, const char *host)
{
	const HostSeen *seen = map_get(p->hosts, host);

	return seen && seen->prepare;
}

bool
plan_is_away(const Fail *why)
{
	return why->kind == FAIL_HOST_UNREACHABLE || why->kind == FAIL_TIMEOUT;
}

const Fail *
plan_host_away(const Planner *p, const char *host)
{
	const HostSeen *seen = map_get(p->hosts, host);

	return seen && seen->fail && plan_is_away(seen->fail) ? seen->fail : NULL;
}

/* --- what is to be done -------------------------------------------------------------------- */

static void
prepare_step(Planner *p, const Host *h, bool fresh)
{
	const char *scope = arena_printf(p->cx->mem, "host/%s", h->name);
	Js *args = js_object(p->cx->mem);

	js_set_text(args, "host", h->name);
	js_set_bool(args, "fresh", fresh);
	steps_add(p->cx->mem, &p->plan->steps, scope, "host.prepare", args, "prepare host \"%s\"",
	    h->name);
}

static void
helper_change(Planner *p, size_t entry, const HostSeen *seen, bool recorded)
{
	Change c = {
		.op = seen->fresh ? CHANGE_ADD : CHANGE_ALTER,
		.what = "helper",
		.name = host_helper_path(p->cx->mem, seen->host),
		.drift = recorded,
		.note = seen->fresh ? "none is there" : "it was edited, or is of another version",
	};

	vec_push(p->cx->mem, &plan_entry_at(p, entry)->changes, c);
}

static bool
host_put_step(Planner *p, const Host *h)
{
	char *spec = manifest_canonical(p->cx->mem, "Host", h), *hash = plan_hash(p->cx->mem, spec);

	return records_object_put(p->cx, p->home, arena_printf(p->cx->mem, "host/%s", h->name),
	    "Host", h->name, spec, hash, &p->plan->steps);
}

static void
host_entry(Planner *p, size_t entry, const Host *h, size_t first)
{
	PlanEntry *e = plan_entry_at(p, entry);

	e->first_step = (int64_t)first;
	e->steps = (int64_t)(p->plan->steps.n - first);
	e->nothing = !e->steps;
	e->note = arena_printf(
	    p->cx->mem, "%s@%s:%" PRId64 ", region %s", h->user, h->address, h->port, h->region);
}

bool
plan_host(Planner *p, const Host *h, const char *recorded_hash)
{
	char *hash = plan_hash(p->cx->mem, manifest_canonical(p->cx->mem, "Host", h));
	HostSeen *seen = map_get(p->hosts, h->name);
	size_t i = plan_entry_add(p, "host", h->name, recorded_hash ? CHANGE_ALTER : CHANGE_ADD);
	size_t first = p->plan->steps.n;
	bool same = recorded_hash && strcmp(recorded_hash, hash) == 0;

	if (seen && seen->fail) {
		seen->entry = i;
		seen->same = same;
		plan_entry_fail(p, i, seen->fail);
		return true;
	}
	if (!same && !host_put_step(p, h))
		return false;
	if (seen ? seen->prepare : !same && !p->options->refresh)
		prepare_step(p, h, seen && seen->fresh);
	if (seen && seen->prepare)
		helper_change(p, i, seen, recorded_hash != NULL);
	host_entry(p, i, h, first);
	return true;
}

bool
plan_host_wait(Planner *p, const char *host)
{
	HostSeen *seen = map_get(p->hosts, host);
	size_t first = p->plan->steps.n;

	if (!plan_host_away(p, host) || seen->same)
		return true;
	seen->same = true;
	if (!host_put_step(p, seen->host))
		return false;
	prepare_step(p, seen->host, false);
	host_entry(p, seen->entry, seen->host, first);
	plan_entry_at(p, seen->entry)->away = seen->fail;
	plan_entry_at(p, seen->entry)->fail = NULL;
	return true;
}

/* --- hosts that no manifest names -------------------------------------------------------------- */

bool
plan_host_used(Planner *p, const char *name, bool *used)
{
	Names users;

	if (!host_users(p->cx, p->home, p->m, name, &users))
		return false;
	*used = users.n > 0;
	return true;
}

bool
plan_region_hosts(Planner *p, const char *region, bool *used)
{
	Names hosts = { 0 };

	if (!catalog_object_names(p->cx, p->home, "Host", &hosts))
		return false;
	for (size_t i = 0; i < hosts.n; i++) {
		const Host *h;
		if (!host_find(p->cx, p->home, hosts.at[i], &h))
			return false;
		*used = *used || strcmp(h->region, region) == 0;
	}
	return true;
}

/* With --no-refresh a machine that is gone for ever is forgotten as it is. */
void
plan_host_leave(Planner *p, const char *scope, const char *name)
{
	Js *args = js_object(p->cx->mem);

	if (!p->options->refresh)
		return;
	js_set_text(args, "host", name);
	steps_add(p->cx->mem, &p->plan->steps, scope, "host.leave", args,
	    "take the helper off host \"%s\"", name);
}

/* Releases of a plan: what runs for tenants on hosts. */
#include <string.h>

#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/journal.h"
#include "lib/core/plan_intern.h"
#include "lib/core/release.h"

#define LOOK_LANES 8

typedef struct Part { /* one tenant on one host */
	ReleaseAt at;
	size_t entry;
	Items *observed;
	const Fail *away; /* why nobody could look there: what is recorded is taken for true */
	bool look;
} Part;

typedef struct Releases {
	Planner *p;
	Map *packed; /* bundle -> Packed * */
	struct {
		Part *at;
		size_t n, cap;
	} parts;
	size_t next;
} Releases;

typedef struct Packed {
	Artefact artefact;
	Fail *fail;
} Packed;

static void
entry_fail(Planner *p, size_t entry)
{
	plan_entry_fail(p, entry, p->cx->fail);
	fail_clear(p->cx);
}

/* --- the artefact ------------------------------------------------------------------- */

static bool
same_as_before(Planner *p, const Artefact *now)
{
	Artefact was;
	bool found;

	if (!catalog_artefact(p->cx, p->home, now->bundle, now->version, &was, &found))
		return false;
	return !found || strcmp(was.digest, now->digest) == 0 ||
	    fail(p->cx, FAIL_REFUSED,
		"Give it another version: what a release is never changes under its name.",
		"the files of bundle \"%s\" have changed, but its version is still %s (%.12s then, %.12s now)",
		now->bundle, now->version, was.digest, now->digest);
}

/* Once a bundle, however many tenants run it. */
static const Packed *
packed(Releases *r, const Bundle *bundle)
{
	Planner *p = r->p;
	Packed *known = map_get(r->packed, bundle->name);

	if (known)
		return known;
	known = arena_alloc(p->cx->mem, sizeof *known);
	log_live("packing bundle %s %s", bundle->name, bundle->version);
	if (!release_driver()->pack(p->cx, p->home, bundle, &known->artefact) ||
	    !same_as_before(p, &known->artefact)) {
		fail_at(p->cx, bundle->place);
		known->fail = arena_alloc(p->cx->mem, sizeof(Fail));
		*known->fail = *p->cx->fail;
		fail_clear(p->cx);
	}
	map_set(r->packed, bundle->name, known);
	return known;
}

/* --- which parts ------------------------------------------------------------------------ */

static const Work *
work_of(const Planner *p, const char *tenant)
{
	for (size_t i = 0; i < p->work.n; i++)
		if (strcmp(p->work.at[i].spec->name, tenant) == 0)
			return &p->work.at[i];
	return NULL;
}

static const PlanEntry *
tenant_entry(const Planner *p, const char *tenant)
{
	for (size_t i = 0; i < p->plan->entries.n; i++) {
		const PlanEntry *e = &p->plan->entries.at[i];
		if (strcmp(e->kind, "tenant") == 0 && strcmp(e->name, tenant) == 0)
			return e;
	}
	return NULL;
}

/* A service with the database sees all of them. */
static const char *
object_names(Planner *p, const Tenant *t)
{
	Buf b = buf_new(p->cx->mem);
	Model *m;

	if (!model_merge(p->cx, map_get(p->m->models, t->model), t, &m)) {
		fail_clear(p->cx);
		return t->model;
	}
	for (size_t i = 0; i < m->objects.n; i++)
		buf_fmt(&b, "%s%s", i ? ", " : "", m->objects.at[i].name);
	return b.text;
}

static const char *
country(Planner *p, const char *region)
{
	const Region *r = map_get(p->m->regions, region);

	return r ? r->country : "?";
}

/* "1.3.2 on h1", and which data goes over which border by that. */
static const char *
part_note(Planner *p, const ReleaseAt *at)
{
	const char *here = country(p, at->tenant->cluster->region),
		   *there = country(p, at->host->region);
	bool reads = false;

	for (size_t i = 0; i < at->services.n; i++)
		reads = reads || release_service(at, at->services.at[i]->service)->database;
	return arena_printf(p->cx->mem, "%s %s%s%s", at->bundle->name, at->bundle->version,
	    reads && strcmp(here, there) != 0
		? arena_printf(p->cx->mem, "; crosses %s -> %s: objects ", here, there)
		: "",
	    reads && strcmp(here, there) != 0 ? object_names(p, at->spec) : "");
}

static const char *
part_name(Planner *p, const char *tenant, const char *host)
{
	return arena_printf(p->cx->mem, "%s@%s", tenant, host);
}

/* `bundle rollback` has chosen, and the manifest says on this point what it said then. */
static bool
is_held(const ReleaseAt *at)
{
	return at->was && at->was->back_run && at->was->wanted &&
	    strcmp(at->was->wanted, at->bundle->version) == 0 &&
	    strcmp(at->was->version, at->bundle->version) != 0;
}

static bool
part_held(Planner *p, ReleaseAt *at, size_t entry)
{
	const Tenant *spec = at->spec;

	plan_entry_at(p, entry)->told = true;
	plan_entry_at(p, entry)->note = arena_printf(p->cx->mem,
	    "%s %s, release differs since run %lld", at->bundle->name, at->was->version,
	    (long long)at->was->back_run);
	if (!release_recorded(p->cx, p->home, at->tenant, at->was, at))
		return false;
	at->spec = spec;
	return true;
}

static bool
part_digest(Releases *r, Part *part)
{
	const Packed *got = packed(r, part->at.bundle);

	if (got->fail) {
		plan_entry_fail(r->p, part->entry, got->fail);
		return false;
	}
	part->at.digest = got->artefact.digest;
	part->at.artefact = &got->artefact;
	return true;
}

static bool
ports_allowed(Planner *p, const ReleaseAt *at)
{
	for (size_t i = 0; i < at->services.n; i++) {
		const ServiceAt *s = at->services.at[i];
		if (s->port == 0 || s->port >= 1024)
			continue;
		fail(p->cx, FAIL_REFUSED,
		    "Take one from 1024 on, and forward the other to it: the tenant's own user listens there.",
		    "port %lld of service \"%s\" on host \"%s\" is one that only root may take",
		    (long long)s->port, s->service, s->host);
		return fail_at(p->cx, s->place);
	}
	return true;
}

/* A part whose last run is open is left out; the others go on. */
static bool
check_closed(Planner *p, const char *scope, const char *name)
{
	int64_t run;

	if (!journal_unfinished(p->cx, p->home, scope, &run))
		return false;
	return !run ||
	    fail(p->cx, FAIL_REFUSED,
		arena_printf(p->cx->mem,
		    "Finish it: copyhold run resume %lld, or take it back: copyhold run undo %lld.",
		    (long long)run, (long long)run),
		"run %lld has not finished with release \"%s\"", (long long)run, name);
}

static void
add_part(Releases *r, const ReleaseAt *at)
{
	Planner *p = r->p;
	const char *name = part_name(p, at->tenant->tenant, at->host->name);
	Part part = { .at = *at };
	ChangeOp op = at->was ? CHANGE_ALTER : CHANGE_ADD;

	part.entry = plan_entry_add(p, "release", name, op);
	plan_entry_at(p, part.entry)->note = part_note(p, at);
	if (!check_closed(p, at->scope, name) || !ports_allowed(p, at)) {
		entry_fail(p, part.entry);
		return;
	}
	if (is_held(at)) {
		if (!part_held(p, &part.at, part.entry)) {
			entry_fail(p, part.entry);
			return;
		}
	} else if (!part_digest(r, &part))
		return;
	part.away = plan_host_away(p, at->host->name);
	part.look = p->options->refresh && part.at.was && !part.away &&
	    !plan_host_fresh(p, at->host->name);
	vec_push(p->cx->mem, &r->parts, part);
}

static bool
on_host(const ReleaseAts *parts, const char *host)
{
	for (size_t i = 0; i < parts->n; i++)
		if (strcmp(parts->at[i].host->name, host) == 0)
			return true;
	return false;
}

static void
remove_part(Planner *p, const ReleaseRecord *r)
{
	const char *name = part_name(p, r->tenant, r->host),
		   *scope = release_scope(p->cx->mem, r->tenant, r->host);
	size_t i = plan_entry_add(p, "release", name, CHANGE_ALTER), first = p->plan->steps.n;
	Change gone = { .op = CHANGE_REMOVE, .what = "release", .name = r->version };

	plan_entry_at(p, i)->note = "no service of the tenant is placed there any more";
	vec_push(p->cx->mem, &plan_entry_at(p, i)->changes, gone);
	if (!check_closed(p, scope, name) ||
	    !release_driver()->remove_steps(p->cx, r->tenant, r->host, false, &p->plan->steps)) {
		p->plan->steps.n = first;
		entry_fail(p, i);
		return;
	}
	plan_entry_at(p, i)->first_step = (int64_t)first;
	plan_entry_at(p, i)->steps = (int64_t)(p->plan->steps.n - first);
}

static bool
tenant_parts(Releases *r, const Tenant *t, const Placement *at)
{
	Planner *p = r->p;
	const Bundle *bundle = t->bundle ? map_get(p->m->bundles, t->bundle) : NULL;
	ReleaseAts parts = { 0 };
	ReleaseRecords all;

	if ((bundle && !release_split(p->cx, p->home, at, t, bundle, p->m->hosts, &parts)) ||
	    !catalog_releases(p->cx, p->home, t->name, &all))
		return false;
	for (size_t i = 0; i < parts.n; i++)
		add_part(r, &parts.at[i]);
	for (size_t i = 0; i < all.n; i++)
		if (all.at[i].current && !on_host(&parts, all.at[i].host))
			remove_part(p, &all.at[i]);
	return true;
}

/* Nothing is begun for a tenant that could not be planned, that is suspended or on its way out. */
static bool
consider(Releases *r, const Tenant *t)
{
	Planner *p = r->p;
	const TenantRecord *record = map_get(p->records, t->name);
	const PlanEntry *entry = tenant_entry(p, t->name);
	const Work *w = work_of(p, t->name);
	Placement *at = w ? w->at : NULL;

	if (t->mode != MODE_EXCLUSIVE && t->mode != MODE_HYBRID)
		return true;
	if ((record && record->state != TENANT_ACTIVE) || (!record && (!entry || entry->fail)))
		return true;
	if (!at && (!record || !catalog_placement_of(p->cx, p->home, record, &at)))
		return false;
	return tenant_parts(r, t, at);
}

/* --- looking, and steps ---------------------------------------------------------------------- */

static const Fail *
keep_fail(Arena *mem, const Ctx *from)
{
	Ctx to = { .mem = mem, .fail = arena_alloc(mem, sizeof(Fail)) };

	fail_copy(&to, from);
	return to.fail;
}

/* Each has an arena of its own. */
static void
look_at(Planner *p, Part *part)
{
	Ctx own = ctx_new(p->cx->mem);
	Items seen = { 0 };

	if (release_driver()->observe(&own, conns_new(&own, p->home), &part->at, &seen))
		part->observed = plan_keep_items(p->cx->mem, &seen);
	else if (plan_is_away(own.fail))
		part->away = keep_fail(p->cx->mem, &own);
	else
		plan_entry_fail(p, part->entry, own.fail);
	arena_free(own.mem);
}

static void
look_lane(void *ptr)
{
	Releases *r = ptr;

	while (r->next < r->parts.n && !lane_stopping()) {
		Part *part = &r->parts.at[r->next++];
		if (!part->look)
			continue;
		log_live("looking at %s (%zu/%zu)", part->at.scope, r->next, r->parts.n);
		look_at(r->p, part);
	}
}

static bool
look(Releases *r)
{
	Lanes *lanes = lanes_new(r->p->cx->mem);

	for (size_t i = 0; i < LOOK_LANES && i < r->parts.n; i++)
		lane_spawn(lanes, look_lane, r);
	lanes_run(lanes);
	log_live_end();
	return !lane_stopping() || fail(r->p->cx, FAIL_STOPPED, NULL, "stopped by a signal");
}

/* It comes into the run, counts among what the rollout's budget allows, and waits for a resume.  Where
 * by what is recorded nothing is to be done, nothing is known. */
static void
part_away(Planner *p, const Part *part)
{
	PlanEntry *e = plan_entry_at(p, part->entry);

	if (e->nothing) {
		plan_entry_fail(p, part->entry, part->away);
		return;
	}
	e->note = arena_printf(p->cx->mem, "%s; the host is out of reach", e->note);
	if (!plan_host_away(p, part->at.host->name))
		e->away = part->away;
	else if (!plan_host_wait(p, part->at.host->name))
		entry_fail(p, part->entry);
}

static void
part_steps(Planner *p, const Part *part)
{
	PlanEntry *e = plan_entry_at(p, part->entry);
	size_t first = p->plan->steps.n;

	if (e->fail)
		return;
	if (!release_driver()->steps(
		p->cx, p->home, &part->at, part->observed, &e->changes, &p->plan->steps)) {
		p->plan->steps.n = first;
		entry_fail(p, part->entry);
		return;
	}
	e->first_step = (int64_t)first;
	e->steps = (int64_t)(p->plan->steps.n - first);
	e->nothing = e->steps == 0;
	if (part->away)
		part_away(p, part);
	if (part->observed)
		e->digest = plan_digest(p->cx->mem, part->observed);
}

bool
plan_releases(Planner *p)
{
	Releases r = { .p = p, .packed = map_new(p->cx->mem) };
	const MapItem *it;

	if (!release_driver())
		return true;
	for (it = map_next(p->m->tenants, NULL); it; it = map_next(p->m->tenants, it))
		if (plan_wanted(p, it->key) && !consider(&r, it->value))
			return false;
	if (!look(&r))
		return false;
	for (size_t i = 0; i < r.parts.n; i++)
		part_steps(p, &r.parts.at[i]);
	return true;
}

/* --- with the verbs of a tenant
 * ----------------------------------------------------------------- */

bool
plan_release_verb(Ctx *cx, Home *home, const char *tenant, TenantVerb verb, Steps *steps)
{
	const ReleaseDriver *d = release_driver();
	ReleaseRecords all;

	if (!d)
		return true;
	if (!catalog_releases(cx, home, tenant, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		const char *host = all.at[i].host;
		bool ok = true;
		if (!all.at[i].current)
			continue;
		switch (verb) {
		case VERB_SUSPEND:
		case VERB_SEAL:
			ok = d->stop_steps(cx, tenant, host, steps);
			break;
		case VERB_RESUME:
			ok = d->start_steps(cx, tenant, host, steps);
			break;
		case VERB_PURGE:
		case VERB_HAND_BACK:
			ok = d->remove_steps(cx, tenant, host, verb == VERB_HAND_BACK, steps);
			break;
		}
		if (!ok)
			return false;
	}
	return true;
}

/* Regions, clusters and models of a plan. */
#include <string.h>

#include "lib/core/host.h"
#include "lib/core/plan_intern.h"
#include "lib/core/records.h"
#include "lib/core/trust.h"

static const char *
lower_kind(Arena *mem, const char *kind)
{
	char *out = arena_dup(mem, kind);

	out[0] = (char)(out[0] | 0x20);
	return out;
}

/* Nothing is recorded of a vendor's cluster that cannot be taken into this home. */
static void
cluster_preflight(Planner *p, size_t entry, const Cluster *c, const PlaceDriver *d)
{
	Ctx own = ctx_new(p->cx->mem);
	Placement at = { .tenant = "", .id = "", .mode = d->mode, .cluster = c };

	if (!d->preflight(&own, conns_new(&own, p->home), &at, false)) {
		fail_in(&own, "looking at cluster \"%s\"", c->name);
		plan_entry_fail(p, entry, own.fail);
	}
	arena_free(own.mem);
}

/* The driver that makes a cluster of the vendor's ready; NULL: it is a customer's. */
static const PlaceDriver *
vendor_driver(const Cluster *c)
{
	static const Mode vendor[] = { MODE_DEDICATED, MODE_SHARED };

	for (size_t i = 0; i < LENGTH(vendor); i++) {
		const PlaceDriver *d = place_driver(vendor[i]);
		if (d && d->cluster_steps &&
		    (!c->modes.n || names_have(&c->modes, mode_name(vendor[i]))))
			return d;
	}
	return NULL;
}

static bool
plan_cluster(Planner *p, size_t entry, const Cluster *c)
{
	const PlaceDriver *d = vendor_driver(c);

	plan_entry_at(p, entry)->note = arena_printf(p->cx->mem, "%s:%lld, region %s",
	    c->connect.host, (long long)c->connect.port, c->region);
	if (!d)
		return true;
	if (p->options->refresh)
		cluster_preflight(p, entry, c, d);
	return d->cluster_steps(p->cx, c, &p->plan->steps);
}

/* --- clusters that we make on hosts ---------------------------------------------------- */

static const PlaceDriver *
host_driver(void)
{
	return place_driver(MODE_EXCLUSIVE);
}

/* Tenants of a server that this run makes or starts are not looked at; of one that cannot be made they
 * share the failure. */
static bool
host_cluster_steps(Planner *p, size_t entry, Cluster *c, const char *recorded_hash, bool *down)
{
	ClusterWork work = {
		.cluster = c, .host = map_get(p->m->hosts, c->on.host), .look = p->options->refresh
	};
	Ctx own = ctx_new(p->cx->mem);
	Cluster *was;
	bool ok = !recorded_hash || catalog_cluster(p->cx, p->home, c->name, &was);

	if (ok && recorded_hash)
		work.was = was;
	ok = ok &&
	    host_driver()->host_steps(p->cx, conns_new(&own, p->home), &work,
		&plan_entry_at(p, entry)->changes, &p->plan->steps, down);
	arena_free(own.mem);
	return ok;
}

/* Nothing is made on a host that could not be planned for, nor recorded: a resume would look for it. */
static const Fail *
host_failed(Planner *p, const char *host)
{
	for (size_t i = 0; i < p->plan->entries.n; i++) {
		const PlanEntry *e = plan_entry_at(p, i);
		if (e->fail && strcmp(e->kind, "host") == 0 && strcmp(e->name, host) == 0)
			return e->fail;
	}
	return NULL;
}

static void
host_cluster_failed(Planner *p, size_t entry, const Cluster *c, const Fail *why, bool new)
{
	PlanEntry *e = plan_entry_at(p, entry);

	plan_entry_fail(p, entry, why);
	fail_clear(p->cx);
	e->changes.n = 0;
	if (new)
		map_set(p->down, c->name, e->fail);
}

static bool
plan_host_cluster(Planner *p, Cluster *c, const char *recorded_hash)
{
	Ctx *cx = p->cx;
	char *spec = manifest_canonical(cx->mem, "Cluster", c), *hash = plan_hash(cx->mem, spec);
	const char *scope = arena_printf(cx->mem, "cluster/%s", c->name);
	size_t i = plan_entry_add(p, "cluster", c->name, recorded_hash ? CHANGE_ALTER : CHANGE_ADD);
	size_t first = p->plan->steps.n;
	bool same = recorded_hash && strcmp(recorded_hash, hash) == 0, down = false;

	/* From here on it is only connected to: what is recorded has no place of this home in it. */
	c->connect.sslrootcert = trust_path(cx->mem, p->home, c->name);
	plan_entry_at(p, i)->note = arena_printf(cx->mem, "host %s, %s:%lld, region %s", c->on.host,
	    c->connect.host, (long long)c->connect.port, c->region);
	const Fail *host = host_failed(p, c->on.host);

	if (host) {
		fail_copy(cx, &(Ctx){ .fail = (Fail *)(uintptr_t)host });
		fail_in(cx, "making cluster \"%s\"", c->name);
		host_cluster_failed(p, i, c, cx->fail, !recorded_hash);
		return true;
	}
	if (!same &&
	    !records_object_put(
		cx, p->home, scope, "Cluster", c->name, spec, hash, &p->plan->steps))
		return false;
	if (!host_cluster_steps(p, i, c, recorded_hash, &down)) {
		p->plan->steps.n = first;
		host_cluster_failed(p, i, c, cx->fail, !recorded_hash);
		return true;
	}
	PlanEntry *e = plan_entry_at(p, i);
	if (down)
		map_set(p->making, c->name, e);
	e->first_step = (int64_t)first;
	e->steps = (int64_t)(p->plan->steps.n - first);
	e->nothing = !e->steps;
	return true;
}

static bool
plan_object(
    Planner *p, const char *kind, const char *name, const void *loaded, const char *recorded_hash)
{
	Ctx *cx = p->cx;
	char *spec = manifest_canonical(cx->mem, kind, loaded), *hash = plan_hash(cx->mem, spec);
	const char *low = lower_kind(cx->mem, kind);
	const char *scope = arena_printf(cx->mem, "%s/%s", low, name);
	size_t i = plan_entry_add(p, low, name, recorded_hash ? CHANGE_ALTER : CHANGE_ADD);
	int64_t first = (int64_t)p->plan->steps.n;

	plan_entry_at(p, i)->nothing = recorded_hash && strcmp(recorded_hash, hash) == 0;
	if (plan_entry_at(p, i)->nothing)
		return true;
	if (!records_object_put(cx, p->home, scope, kind, name, spec, hash, &p->plan->steps))
		return false;
	if (strcmp(kind, "Cluster") == 0 && !plan_cluster(p, i, loaded))
		return false;
	if (plan_entry_at(p, i)->fail) {
		p->plan->steps.n = (size_t)first;
		return true;
	}
	plan_entry_at(p, i)->first_step = first;
	plan_entry_at(p, i)->steps = (int64_t)p->plan->steps.n - first;
	return true;
}

static bool
is_used(Planner *p, const char *kind, const char *name, bool *used)
{
	Names clusters = { 0 };
	const MapItem *it;

	*used = false;
	for (it = map_next(p->shareds, NULL); it; it = map_next(p->shareds, it)) {
		const SharedRecord *s = &((SharedWork *)it->value)->record;
		*used = *used || (strcmp(kind, "Cluster") == 0 && strcmp(s->cluster, name) == 0) ||
		    (strcmp(kind, "Model") == 0 && strcmp(s->model, name) == 0);
	}
	if (strcmp(kind, "Cluster") == 0)
		*used = *used || *plan_used(p, name) > 0;
	if (strcmp(kind, "Model") == 0)
		for (it = map_next(p->records, NULL); it; it = map_next(p->records, it))
			*used = *used || strcmp(((TenantRecord *)it->value)->model, name) == 0;
	if (strcmp(kind, "Host") == 0)
		return plan_host_used(p, name, used);
	if (strcmp(kind, "Region") != 0)
		return true;
	if (!plan_region_hosts(p, name, used) ||
	    !catalog_object_names(p->cx, p->home, "Cluster", &clusters))
		return false;
	for (size_t i = 0; i < clusters.n; i++) {
		Cluster *c;
		if (!catalog_cluster(p->cx, p->home, clusters.at[i], &c))
			return false;
		*used = *used || strcmp(c->region, name) == 0;
	}
	return true;
}

/* The server goes before its record does. */
static bool
plan_host_cluster_gone(Planner *p, size_t entry, const char *name)
{
	ClusterWork work = { .look = p->options->refresh };
	Ctx own = ctx_new(p->cx->mem);
	size_t first = p->plan->steps.n;
	Cluster *was;

	if (!catalog_cluster(p->cx, p->home, name, &was))
		return false;
	work.cluster = was;
	if (was->on.host &&
	    (!host_find(p->cx, p->home, was->on.host, &work.host) ||
		!host_driver()->host_remove_steps(p->cx, conns_new(&own, p->home), &work,
		    &p->plan->steps, &plan_entry_at(p, entry)->note))) {
		plan_entry_fail(p, entry, p->cx->fail);
		fail_clear(p->cx);
		p->plan->steps.n = first;
	}
	arena_free(own.mem);
	return true;
}

/* What no manifest names stays recorded, unless --prune says otherwise and nothing stands on it.  A
 * plan for some tenants alone takes nothing else away. */
static bool
plan_absent_object(Planner *p, const char *kind, const char *name)
{
	const char *low = lower_kind(p->cx->mem, kind);
	size_t i = plan_entry_add(p, low, name, CHANGE_REMOVE);
	PlanEntry *e = plan_entry_at(p, i);
	char *spec, *hash;
	bool used, some = p->options->only && p->options->only->n;

	if (!is_used(p, kind, name, &used))
		return false;
	e->nothing = used || some || !p->options->prune;
	e->note = used   ? "no manifest names it; it is in use and stays recorded"
	    : e->nothing ? "no manifest names it; it stays recorded (--prune forgets it)"
			 : NULL;
	if (e->nothing)
		return true;
	if (!catalog_object(p->cx, p->home, kind, name, &spec, &hash))
		return false;
	e->first_step = (int64_t)p->plan->steps.n;
	if (strcmp(kind, "Cluster") == 0 && !plan_host_cluster_gone(p, i, name))
		return false;
	if (strcmp(kind, "Host") == 0)
		plan_host_leave(p, arena_printf(p->cx->mem, "%s/%s", low, name), name);
	e = plan_entry_at(p, i);
	if (e->fail)
		return true;
	records_object_remove(p->cx->mem, arena_printf(p->cx->mem, "%s/%s", low, name), kind, name,
	    spec, &p->plan->steps);
	e->steps = (int64_t)p->plan->steps.n - e->first_step;
	return true;
}

/* An older folder of manifests applied by mistake would take fields away from everybody. */
bool
plan_check_versions(Planner *p)
{
	const MapItem *it;

	for (it = map_next(p->m->models, NULL); it; it = map_next(p->m->models, it)) {
		const Model *want = it->value;
		char *spec, *hash;
		void *had;
		if (!catalog_object(p->cx, p->home, "Model", it->key, &spec, &hash))
			return false;
		if (!spec)
			continue;
		if (!manifest_from_json(p->cx, "Model", it->key, spec, &had))
			return false;
		if (((const Model *)had)->version <= want->version)
			continue;
		fail(p->cx, FAIL_REFUSED, "To go back, give the older shape a higher version.",
		    "model \"%s\" is recorded in version %lld and the manifest has version %lld",
		    it->key, (long long)((const Model *)had)->version, (long long)want->version);
		return fail_at(p->cx, want->place);
	}
	return true;
}

bool
plan_objects(Planner *p, const char *kind, const Map *loaded)
{
	Map *hashes = map_new(p->cx->mem);
	const MapItem *it;

	if (!catalog_object_hashes(p->cx, p->home, kind, hashes))
		return false;
	for (it = map_next(loaded, NULL); it; it = map_next(loaded, it)) {
		if (strcmp(kind, "Host") == 0) {
			if (!plan_host(p, it->value, map_get(hashes, it->key)))
				return false;
			continue;
		}
		Cluster *on_host = strcmp(kind, "Cluster") == 0 ? it->value : NULL;
		if (on_host && on_host->on.host
			? !plan_host_cluster(p, on_host, map_get(hashes, it->key))
			: !plan_object(p, kind, it->key, it->value, map_get(hashes, it->key)))
			return false;
	}
	for (it = map_next(hashes, NULL); it; it = map_next(hashes, it))
		if (!map_get(loaded, it->key) && !plan_absent_object(p, kind, it->key))
			return false;
	return true;
}

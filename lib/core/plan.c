#include "lib/core/plan_intern.h"

#include <string.h>

#include "lib/core/journal.h"
#include "lib/core/records.h"

static char *
hash_of(Arena *mem, const char *text)
{
	return sha256_hex(mem, text, strlen(text));
}

static size_t
entry_add(Planner *p, const char *kind, const char *name, ChangeOp op)
{
	PlanEntry e = { .kind = kind, .name = name, .op = op };

	vec_push(p->cx->mem, &p->plan->entries, e);
	return p->plan->entries.n - 1;
}

PlanEntry *
plan_entry_at(Planner *p, size_t i)
{
	return &p->plan->entries.at[i];
}

void
plan_entry_fail(Planner *p, size_t i, const Fail *why)
{
	Ctx from = { .fail = (Fail *)why }, to = { .mem = p->cx->mem };

	to.fail = arena_alloc(p->cx->mem, sizeof(Fail));
	fail_copy(&to, &from);
	plan_entry_at(p, i)->fail = to.fail;
}

/* --- regions, clusters, models ---------------------------------------------- */

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
	Placement at = { .tenant = "", .id = "", .mode = MODE_DEDICATED, .cluster = c };

	if (!d->preflight(&own, conns_new(&own, p->home), &at, false)) {
		fail_in(&own, "looking at cluster \"%s\"", c->name);
		plan_entry_fail(p, entry, own.fail);
	}
	arena_free(own.mem);
}

static bool
plan_cluster(Planner *p, size_t entry, const Cluster *c)
{
	const PlaceDriver *d = place_driver(MODE_DEDICATED);
	bool vendor = !c->modes.n || names_have(&c->modes, mode_name(MODE_DEDICATED));

	plan_entry_at(p, entry)->note = arena_printf(p->cx->mem, "%s:%lld, region %s",
	    c->connect.host, (long long)c->connect.port, c->region);
	if (!vendor || !d || !d->cluster_steps)
		return true;
	if (p->options->refresh)
		cluster_preflight(p, entry, c, d);
	return d->cluster_steps(p->cx, c, &p->plan->steps);
}

static bool
plan_object(
    Planner *p, const char *kind, const char *name, const void *loaded, const char *recorded_hash)
{
	Ctx *cx = p->cx;
	char *spec = manifest_canonical(cx->mem, kind, loaded), *hash = hash_of(cx->mem, spec);
	const char *low = lower_kind(cx->mem, kind);
	const char *scope = arena_printf(cx->mem, "%s/%s", low, name);
	size_t i = entry_add(p, low, name, recorded_hash ? CHANGE_ALTER : CHANGE_ADD);
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

/* --- where a tenant goes ----------------------------------------------------- */

static int64_t *
used_on(Planner *p, const char *cluster)
{
	int64_t *n = map_get(p->used, cluster);

	if (!n) {
		n = arena_alloc(p->cx->mem, sizeof *n);
		map_set(p->used, cluster, n);
	}
	return n;
}

static bool
is_used(Planner *p, const char *kind, const char *name, bool *used)
{
	Names clusters = { 0 };
	const MapItem *it;

	*used = false;
	if (strcmp(kind, "Cluster") == 0)
		*used = *used_on(p, name) > 0;
	if (strcmp(kind, "Model") == 0)
		for (it = map_next(p->records, NULL); it; it = map_next(p->records, it))
			*used = *used || strcmp(((TenantRecord *)it->value)->model, name) == 0;
	if (strcmp(kind, "Region") != 0)
		return true;
	if (!catalog_object_names(p->cx, p->home, "Cluster", &clusters))
		return false;
	for (size_t i = 0; i < clusters.n; i++) {
		Cluster *c;
		if (!catalog_cluster(p->cx, p->home, clusters.at[i], &c))
			return false;
		*used = *used || strcmp(c->region, name) == 0;
	}
	return true;
}

/* What no manifest names stays recorded, unless --prune says otherwise and nothing stands on it.  A
 * plan for some tenants alone takes nothing else away. */
static bool
plan_absent_object(Planner *p, const char *kind, const char *name)
{
	const char *low = lower_kind(p->cx->mem, kind);
	size_t i = entry_add(p, low, name, CHANGE_REMOVE);
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
	records_object_remove(p->cx->mem, arena_printf(p->cx->mem, "%s/%s", low, name), kind, name,
	    spec, &p->plan->steps);
	e->steps = 1;
	return true;
}

/* An older folder of manifests applied by mistake would take fields away from everybody. */
static bool
check_versions(Planner *p)
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

static bool
plan_objects(Planner *p, const char *kind, const Map *loaded)
{
	Map *hashes = map_new(p->cx->mem);
	const MapItem *it;

	if (!catalog_object_hashes(p->cx, p->home, kind, hashes))
		return false;
	for (it = map_next(loaded, NULL); it; it = map_next(loaded, it))
		if (!plan_object(p, kind, it->key, it->value, map_get(hashes, it->key)))
			return false;
	for (it = map_next(hashes, NULL); it; it = map_next(hashes, it))
		if (!map_get(loaded, it->key) && !plan_absent_object(p, kind, it->key))
			return false;
	return true;
}

static bool
is_fuller(int64_t used_a, int64_t cap_a, int64_t used_b, int64_t cap_b)
{
	return used_a * cap_b > used_b * cap_a;
}

/* The least full cluster of the region that takes the mode; of equals the first by name. */
static bool
choose_cluster(Planner *p, const Tenant *t, const Cluster **out, const char **why)
{
	const Cluster *best = NULL;
	const MapItem *it;
	int full = 0, other = 0;

	for (it = map_next(p->m->clusters, NULL); it; it = map_next(p->m->clusters, it)) {
		const Cluster *c = it->value;
		if (strcmp(c->region, t->region) != 0)
			continue;
		if (c->modes.n && !names_have(&c->modes, mode_name(t->mode))) {
			other++;
			continue;
		}
		if (*used_on(p, c->name) >= c->capacity) {
			full++;
			continue;
		}
		if (!best ||
		    is_fuller(*used_on(p, best->name), best->capacity, *used_on(p, c->name),
			c->capacity) ||
		    (!is_fuller(*used_on(p, c->name), c->capacity, *used_on(p, best->name),
			 best->capacity) &&
			strcmp(c->name, best->name) < 0))
			best = c;
	}
	if (!best) {
		fail(p->cx, FAIL_REFUSED, "Raise a capacity, add a cluster, or name one.",
		    "no cluster in region \"%s\" has room for mode %s (%d full, %d of other modes)",
		    t->region, mode_name(t->mode), full, other);
		return fail_at(p->cx, t->place);
	}
	*out = best;
	*why = arena_printf(p->cx->mem, "%s on %s: least full in region %s, %lld of %lld used",
	    mode_name(t->mode), best->name, t->region, (long long)*used_on(p, best->name),
	    (long long)best->capacity);
	return true;
}

static bool
place_new(Planner *p, Work *w)
{
	const Tenant *t = w->spec;
	Placement *at = arena_alloc(p->cx->mem, sizeof *at);
	const char *why = NULL;
	char *id;
	Login login = { .user = t->login, .on = true };

	if (t->cluster)
		at->cluster = map_get(p->m->clusters, t->cluster);
	else if (!choose_cluster(p, t, &at->cluster, &why))
		return false;
	if (!home_tenant_id(p->cx, p->home, t->name, &id))
		return false;
	at->id = id;
	at->mode = t->mode;
	place_names(p->cx->mem, at, t);
	login.role = place_login_role(p->cx->mem, at, t->login);
	vec_push(p->cx->mem, &at->logins, login);
	++*used_on(p, at->cluster->name);
	w->at = at;
	plan_entry_at(p, w->entry)->note = why
	    ? why
	    : arena_printf(p->cx->mem, "%s on %s", mode_name(t->mode), at->cluster->name);
	return true;
}

/* apply changes a tenant where it is; it never moves data. */
static bool
place_old(Planner *p, Work *w)
{
	const Tenant *t = w->spec;
	const TenantRecord *r = &w->record;
	Cluster *named;

	if (t->mode != r->mode || (t->cluster && strcmp(t->cluster, r->cluster) != 0)) {
		fail(p->cx, FAIL_REFUSED,
		    "apply does not move data: put the manifest back, or delete "
		    "the tenant and provision it anew.",
		    "tenant \"%s\" is %s on %s and the manifest says %s on %s", t->name,
		    mode_name(r->mode), r->cluster, mode_name(t->mode),
		    t->cluster ? t->cluster : "any");
		return fail_at(p->cx, t->place);
	}
	if (!catalog_placement_of(p->cx, p->home, r, &w->at))
		return false;
	named = map_get(p->m->clusters, r->cluster);
	if (named)
		w->at->cluster = named;
	plan_entry_at(p, w->entry)->note = arena_printf(p->cx->mem, "%s on %s%s%s",
	    mode_name(r->mode), r->cluster, r->state == TENANT_ACTIVE ? "" : ", ",
	    r->state == TENANT_ACTIVE ? "" : tenant_state_name(r->state));
	return true;
}

/* --- which tenants need work --------------------------------------------------- */

static bool
merge(Ctx *cx, Planner *p, const Tenant *t, Merged *out)
{
	if (!model_merge(cx, map_get(p->m->models, t->model), t, &out->model))
		return false;
	out->shape = hash_of(cx->mem, model_canonical(cx->mem, out->model));
	return true;
}

static bool
is_plain(const Tenant *t)
{
	return !t->objects.n && !t->fields.n && !t->drop.n;
}

/* All plain tenants of a model share one. */
static bool
merged_for(Planner *p, const Tenant *t, Merged *out)
{
	bool plain = is_plain(t);
	Merged *known = plain ? map_get(p->merged, t->model) : NULL;

	if (known) {
		*out = *known;
		return true;
	}
	if (!merge(p->cx, p, t, out))
		return false;
	if (plain) {
		known = arena_alloc(p->cx->mem, sizeof *known);
		*known = *out;
		map_set(p->merged, t->model, known);
	}
	return true;
}

/* Ten thousand models of ten thousand tenants need not be held to see that nothing has changed, and
 * the one that plain tenants share need not be made ten thousand times. */
static bool
shape_same(Planner *p, const Tenant *t, const TenantRecord *r, bool *same)
{
	Ctx cx = ctx_new(p->cx->mem);
	Merged merged;
	bool plain = is_plain(t),
	     ok = plain ? merged_for(p, t, &merged) : merge(&cx, p, t, &merged);

	if (ok)
		*same = strcmp(r->shape, merged.shape) == 0;
	else if (!plain)
		fail_copy(p->cx, &cx);
	arena_free(cx.mem);
	return ok;
}

static bool
wanted(const Planner *p, const char *tenant)
{
	const OptList *only = p->options->only;

	if (!only || !only->n)
		return true;
	for (int i = 0; i < only->n; i++)
		if (strcmp(only->at[i], tenant) == 0)
			return true;
	return false;
}

static bool
spec_same(Planner *p, const Tenant *t)
{
	Arena *mem = arena_new(p->cx->mem);
	const char *recorded = map_get(p->spec_hashes, t->name);
	bool same = recorded &&
	    strcmp(recorded, hash_of(mem, manifest_canonical(mem, "Tenant", t))) == 0;

	arena_free(mem);
	return same;
}

/* A tenant in the middle of something is its run's. */
static bool
check_between(Planner *p, const TenantRecord *r)
{
	if (r->state == TENANT_PURGING)
		return fail(p->cx, FAIL_REFUSED,
		    arena_printf(p->cx->mem, "Finish it: copyhold run resume %lld.",
			(long long)r->changed_run),
		    "tenant \"%s\" is being purged", r->name);
	if (r->state != TENANT_PROVISIONING)
		return true;
	return fail(p->cx, FAIL_REFUSED,
	    arena_printf(p->cx->mem,
		"Finish it: copyhold run resume "
		"%lld, or take it back: copyhold run undo %lld.",
		(long long)r->changed_run, (long long)r->changed_run),
	    "tenant \"%s\" is still being provisioned", r->name);
}

static bool
is_settled(Planner *p, const TenantRecord *r, const Work *w, bool *settled)
{
	bool same;

	*settled = false;
	if (!r)
		return true;
	if (r->state == TENANT_SEALED) {
		plan_entry_at(p, w->entry)->note =
		    "deleted, its data is still kept: see copyhold tenant show";
		*settled = true;
		return true;
	}
	if (w->spec_differs || p->options->refresh || r->state == TENANT_PROVISIONING)
		return true;
	if (!shape_same(p, w->spec, r, &same))
		return false;
	*settled = same;
	return true;
}

static bool
consider(Planner *p, const Tenant *t)
{
	TenantRecord *r = map_get(p->records, t->name);
	Work w = { .spec = t, .exists = r != NULL, .spec_differs = !spec_same(p, t) };
	bool settled;

	w.entry = entry_add(p, "tenant", t->name, r ? CHANGE_ALTER : CHANGE_ADD);
	if (r)
		w.record = *r;
	if (!is_settled(p, r, &w, &settled))
		return false;
	if (settled) {
		plan_entry_at(p, w.entry)->nothing = true;
		return true;
	}
	if (r ? check_between(p, r) && place_old(p, &w) : place_new(p, &w)) {
		if (!merged_for(p, t, &w.desired))
			return false;
		vec_push(p->cx->mem, &p->work, w);
		return true;
	}
	plan_entry_fail(p, w.entry, p->cx->fail);
	fail_clear(p->cx);
	return true;
}

static bool
load_recorded(Planner *p)
{
	TenantRecords all = { 0 };

	p->records = map_new(p->cx->mem);
	p->spec_hashes = map_new(p->cx->mem);
	p->merged = map_new(p->cx->mem);
	p->applied = map_new(p->cx->mem);
	p->bodies = map_new(p->cx->mem);
	p->down = map_new(p->cx->mem);
	p->used = map_new(p->cx->mem);
	if (!catalog_tenants(p->cx, p->home, &all) ||
	    !catalog_object_hashes(p->cx, p->home, "Tenant", p->spec_hashes))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		map_set(p->records, all.at[i].name, &all.at[i]);
		++*used_on(p, all.at[i].cluster);
	}
	return true;
}

static const char *
items_digest(Arena *mem, const Items *items)
{
	Sha256 *s = sha256_begin(mem);

	for (size_t i = 0; items && i < items->n; i++) {
		const Item *it = &items->at[i];
		char *line = arena_printf(
		    mem, "%d\n%s\n%s\n%s\n", it->kind, it->object, it->name, it->def);
		sha256_add(s, line, strlen(line));
	}
	return sha256_end_hex(s);
}

/* --- from differences to steps ---------------------------------------------------- */

static bool
mend_logins(Planner *p, Work *w, PlanEntry *e, Steps *steps)
{
	for (size_t i = 0; i < w->strange.n; i++) {
		const Login *login = w->strange.at[i];
		Change c = {
			.op = CHANGE_ALTER, .what = "password", .name = login->user, .drift = true
		};
		if (!place_driver(w->at->mode)->login_steps(p->cx, w->at, login, "rotate", steps))
			return false;
		vec_push(p->cx->mem, &e->changes, c);
	}
	return true;
}

static bool
steps_for(Planner *p, Work *w)
{
	const PlaceDriver *d = place_driver(w->at->mode);
	PlanEntry *e = plan_entry_at(p, w->entry);
	Ctx *cx = p->cx;
	PlaceWork work = {
		.recorded = w->recorded,
		.desired = w->desired.model,
		.observed = w->observed,
		.shape = w->desired.shape,
		.prune = p->options->prune,
	};
	Steps *steps = &p->plan->steps;
	size_t before = steps->n;

	if (!w->exists && !records_tenant_register(cx, w->spec, w->at, w->desired.model, steps))
		return false;
	if (!d->steps(cx, w->at, &work, &e->changes, steps) || !mend_logins(p, w, e, steps))
		return false;
	bool recorded_differs = w->spec_differs ||
	    strcmp(w->record.shape ? w->record.shape : "", w->desired.shape) != 0;
	if ((steps->n > before || recorded_differs) &&
	    !records_tenant_record(cx, p->home, w->spec, w->at, w->desired.model, steps))
		return false;
	if (!w->exists)
		records_route_open(cx->mem, w->at, steps);
	e->first_step = (int64_t)before;
	e->steps = (int64_t)(steps->n - before);
	e->nothing = steps->n == before;
	if (w->observed)
		e->digest = items_digest(cx->mem, w->observed);
	return true;
}

/* A tenant whose last run is open is left out; the others go on. */
static bool
check_finished(Planner *p, const char *tenant)
{
	const char *scope = arena_printf(p->cx->mem, "tenant/%s", tenant);
	int64_t run;

	if (!journal_unfinished(p->cx, p->home, scope, &run))
		return false;
	if (!run)
		return true;
	return fail(p->cx, FAIL_REFUSED,
	    arena_printf(p->cx->mem,
		"Finish it: copyhold run resume %lld, or take it back: copyhold run undo %lld.",
		(long long)run, (long long)run),
	    "run %lld has not finished with tenant \"%s\"", (long long)run, tenant);
}

/* What was applied to many tenants is read once. */
static bool
applied_shape(Planner *p, Work *w)
{
	if (!w->exists || !*w->record.shape)
		return true;
	w->recorded = map_get(p->applied, w->record.shape);
	if (w->recorded)
		return true;
	if (!catalog_shape(p->cx, p->home, w->record.shape, &w->recorded))
		return false;
	map_set(p->applied, w->record.shape, w->recorded);
	return true;
}

static void
need_body(Planner *p, const Merged *m)
{
	if (map_get(p->bodies, m->shape))
		return;
	map_set(p->bodies, m->shape, m->model);
	vec_push(p->cx->mem, &p->plan->run.shapes, m->model);
}

static void
plan_work(Planner *p, Work *w)
{
	size_t before = p->plan->steps.n;
	Seen seen = { .tenant = w->spec->name, .changed_run = w->record.changed_run };

	if (w->fail)
		return;
	if (!applied_shape(p, w) || !steps_for(p, w) ||
	    (p->plan->steps.n > before && !check_finished(p, w->spec->name))) {
		plan_entry_fail(p, w->entry, p->cx->fail);
		fail_clear(p->cx);
		p->plan->steps.n = before;
	}
	if (p->plan->steps.n == before)
		return;
	vec_push(p->cx->mem, &p->plan->run.seen, seen);
	need_body(p, &w->desired);
}

/* --- tenants that no manifest names ------------------------------------------------ */

static bool
seal_steps(Ctx *cx, Home *home, const TenantRecord *t, int64_t keep_ms, Steps *steps)
{
	Placement *at;

	if (!catalog_placement_of(cx, home, t, &at))
		return false;
	if (t->state != TENANT_SUSPENDED) {
		records_route_close(cx->mem, at, steps);
		if (!place_driver(at->mode)->suspend_steps(cx, at, steps))
			return false;
	}
	records_tenant_state(cx->mem, t, TENANT_SEALED, keep_ms, steps);
	return true;
}

static void
plan_sealing(Planner *p, const TenantRecord *t, size_t i)
{
	Steps *steps = &p->plan->steps;
	size_t first = steps->n;
	int64_t keep_ms;

	if (!check_between(p, t) || !check_finished(p, t->name) ||
	    !plan_retention(p->cx, p->home, t->name, &keep_ms) ||
	    !seal_steps(p->cx, p->home, t, keep_ms, steps)) {
		plan_entry_fail(p, i, p->cx->fail);
		fail_clear(p->cx);
		steps->n = first;
		return;
	}
	plan_entry_at(p, i)->note = "suspended and sealed now; its data is kept for its retention";
	plan_entry_at(p, i)->first_step = (int64_t)first;
	plan_entry_at(p, i)->steps = (int64_t)(steps->n - first);
	vec_push(p->cx->mem, &p->plan->run.seen, ((Seen){ t->name, t->changed_run }));
}

static void
plan_absent(Planner *p)
{
	const MapItem *it;

	for (it = map_next(p->records, NULL); it; it = map_next(p->records, it)) {
		const TenantRecord *t = it->value;
		if (map_get(p->m->tenants, it->key) || !wanted(p, it->key) ||
		    t->state == TENANT_SEALED)
			continue;
		size_t i = entry_add(p, "tenant", it->key, CHANGE_REMOVE);
		if (p->options->prune) {
			plan_sealing(p, t, i);
			continue;
		}
		plan_entry_at(p, i)->nothing = true;
		plan_entry_at(p, i)->note =
		    "no manifest names it; it stays (apply --prune deletes it)";
	}
}

/* --- the whole ----------------------------------------------------------------------- */

static void
count_entry(Plan *plan, const PlanEntry *e)
{
	if (e->fail) {
		plan->failed++;
		if (e->fail->kind != FAIL_UNREACHABLE && e->fail->kind != FAIL_TIMEOUT &&
		    !plan->worst)
			plan->worst = e->fail;
		return;
	}
	for (size_t i = 0; i < e->changes.n; i++) {
		plan->drift += e->changes.at[i].drift;
		plan->kept += e->changes.at[i].kept;
	}
	if (e->nothing)
		plan->unchanged++;
	else if (e->op == CHANGE_ADD)
		plan->add++;
	else if (e->op == CHANGE_REMOVE)
		plan->remove++;
	else
		plan->change++;
}

static bool
plan_tenants(Planner *p)
{
	const MapItem *it;

	for (it = map_next(p->m->tenants, NULL); it; it = map_next(p->m->tenants, it))
		if (wanted(p, it->key) && !consider(p, it->value))
			return false;
	if (p->options->refresh && !plan_observe(p))
		return false;
	for (size_t i = 0; i < p->work.n; i++)
		plan_work(p, &p->work.at[i]);
	plan_absent(p);
	return true;
}

static bool
check_only(Planner *p)
{
	const OptList *only = p->options->only;

	for (int i = 0; only && i < only->n; i++)
		if (!map_get(p->m->tenants, only->at[i]) && !map_get(p->records, only->at[i]))
			return fail(p->cx, FAIL_NOT_FOUND, "See: copyhold tenant list.",
			    "neither the manifests nor the catalogue have a tenant \"%s\"",
			    only->at[i]);
	return true;
}

bool
plan_make(Ctx *cx, Home *home, const Manifests *m, const PlanOptions *options, Plan **out)
{
	Plan *plan = arena_alloc(cx->mem, sizeof *plan);
	Planner p = { .cx = cx, .home = home, .m = m, .options = options, .plan = plan };

	plan->manifest_hash = m->hash;
	plan->run = (RunPlan){ .verb = "apply", .steps = &plan->steps };
	if (!catalog_serial(cx, home, &plan->serial) || !load_recorded(&p) || !check_only(&p) ||
	    !check_versions(&p) || !plan_objects(&p, "Region", m->regions) ||
	    !plan_objects(&p, "Cluster", m->clusters) || !plan_objects(&p, "Model", m->models) ||
	    !plan_tenants(&p))
		return fail_in(cx, "making the plan");
	for (size_t i = 0; i < plan->entries.n; i++)
		count_entry(plan, &plan->entries.at[i]);
	plan->all_unreachable = plan->failed && !plan->worst;
	*out = plan;
	return true;
}

bool
plan_empty(const Plan *p)
{
	return !p->steps.n && !p->failed;
}

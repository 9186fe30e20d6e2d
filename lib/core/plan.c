#include "lib/core/plan_intern.h"

#include <string.h>

#include "lib/core/journal.h"
#include "lib/core/records.h"

char *
plan_hash(Arena *mem, const char *text)
{
	return sha256_hex(mem, text, strlen(text));
}

size_t
plan_entry_add(Planner *p, const char *kind, const char *name, ChangeOp op)
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

/* --- where a tenant goes ----------------------------------------------------- */

int64_t *
plan_used(Planner *p, const char *cluster)
{
	int64_t *n = map_get(p->used, cluster);

	if (!n) {
		n = arena_alloc(p->cx->mem, sizeof *n);
		map_set(p->used, cluster, n);
	}
	return n;
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
		if (*plan_used(p, c->name) >= c->capacity) {
			full++;
			continue;
		}
		if (!best ||
		    is_fuller(*plan_used(p, best->name), best->capacity, *plan_used(p, c->name),
			c->capacity) ||
		    (!is_fuller(*plan_used(p, c->name), c->capacity, *plan_used(p, best->name),
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
	    mode_name(t->mode), best->name, t->region, (long long)*plan_used(p, best->name),
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
	if (!home_tenant_id(p->cx, p->home, t->name, &id) ||
	    (t->mode == MODE_SHARED && !plan_shared_for(p, at->cluster, t->model, &w->shared)))
		return false;
	at->id = id;
	at->mode = t->mode;
	at->shared = w->shared ? w->shared->at : NULL;
	place_names(p->cx->mem, at, t);
	login.role = place_login_role(p->cx->mem, at, t->login);
	vec_push(p->cx->mem, &at->logins, login);
	++*plan_used(p, at->cluster->name);
	w->at = at;
	plan_entry_at(p, w->entry)->note = why
	    ? why
	    : arena_printf(p->cx->mem, "%s on %s", mode_name(t->mode), at->cluster->name);
	return true;
}

/* A verb has moved the tenant, and the manifest still says on this point what it said then: it is
 * neither a mistake nor a wish.  *run: the verb's; 0: it is not so. */
static bool
moved_by(Planner *p, const Tenant *t, int64_t *run)
{
	char *spec, *hash;
	void *was = NULL;

	*run = 0;
	if (!catalog_object(p->cx, p->home, "Tenant", t->name, &spec, &hash) ||
	    (spec && !manifest_from_json(p->cx, "Tenant", t->name, spec, &was)))
		return false;
	const char *said = was ? ((const Tenant *)was)->cluster : NULL;
	if (!said || strcmp(said, t->cluster) != 0)
		return true;
	return journal_last(
	    p->cx, p->home, arena_printf(p->cx->mem, "tenant/%s", t->name), "switch.move", run);
}

/* apply changes a tenant where it is; it never moves data. */
static bool
place_old(Planner *p, Work *w)
{
	const Tenant *t = w->spec;
	const TenantRecord *r = &w->record;
	bool elsewhere = t->cluster && strcmp(t->cluster, r->cluster) != 0;
	int64_t run = 0;
	Cluster *named;

	if (elsewhere && !moved_by(p, t, &run))
		return false;
	if (t->mode != r->mode || (elsewhere && !run)) {
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
	if (r->shared)
		w->shared = map_get(p->shareds, r->shared);
	plan_entry_at(p, w->entry)->told = run != 0;
	plan_entry_at(p, w->entry)->note = arena_printf(p->cx->mem, "%s on %s%s%s%s",
	    mode_name(r->mode), r->cluster, r->state == TENANT_ACTIVE ? "" : ", ",
	    r->state == TENANT_ACTIVE ? "" : tenant_state_name(r->state),
	    run ? arena_printf(p->cx->mem, ", placement differs since run %lld", (long long)run)
		: "");
	return true;
}

/* --- which tenants need work --------------------------------------------------- */

static bool
merge(Ctx *cx, Planner *p, const Tenant *t, Merged *out)
{
	if (!model_merge(cx, map_get(p->m->models, t->model), t, &out->model))
		return false;
	out->shape = plan_hash(cx->mem, model_canonical(cx->mem, out->model));
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

bool
plan_wanted(const Planner *p, const char *tenant)
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
	    strcmp(recorded, plan_hash(mem, manifest_canonical(mem, "Tenant", t))) == 0;

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

/* A tenant of the common views alone, of which nothing was changed, goes with its shared database and
 * needs no look of its own, unless it was asked for by name or its login is odd. */
static bool
goes_along(Planner *p, const Tenant *t, const TenantRecord *r, const Work *w)
{
	bool asked = p->options->only && p->options->only->n;

	if (!r || asked || w->spec_differs || !is_plain(t) || !plan_shared_follows(r) ||
	    map_get(p->odd, t->name) || (r->state != TENANT_ACTIVE && r->state != TENANT_SUSPENDED))
		return false;
	SharedWork *s = map_get(p->shareds, r->shared);
	s->tenants++;
	vec_push(p->cx->mem, &s->followers, w->entry);
	plan_entry_at(p, w->entry)->nothing = true;
	return true;
}

static bool
consider(Planner *p, const Tenant *t)
{
	TenantRecord *r = map_get(p->records, t->name);
	Work w = { .spec = t, .exists = r != NULL, .spec_differs = !spec_same(p, t) };
	bool settled;

	w.entry = plan_entry_add(p, "tenant", t->name, r ? CHANGE_ALTER : CHANGE_ADD);
	if (r)
		w.record = *r;
	if (goes_along(p, t, r, &w))
		return true;
	if (!is_settled(p, r, &w, &settled))
		return false;
	if (settled) {
		plan_entry_at(p, w.entry)->nothing = true;
		return true;
	}
	if (r ? check_between(p, r) && place_old(p, &w) : place_new(p, &w)) {
		if (!merged_for(p, t, &w.desired))
			return false;
		if (w.shared)
			w.shared->tenants++;
		w.as.model = w.desired.model;
		w.as.shape = w.desired.shape;
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
	p->making = map_new(p->cx->mem);
	p->used = map_new(p->cx->mem);
	if (!catalog_tenants(p->cx, p->home, &all) ||
	    !catalog_object_hashes(p->cx, p->home, "Tenant", p->spec_hashes))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		map_set(p->records, all.at[i].name, &all.at[i]);
		++*plan_used(p, all.at[i].cluster);
	}
	return plan_shared_load(p);
}

const char *
plan_digest(Arena *mem, const Items *items)
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
is_recorded_otherwise(const Work *w)
{
	return w->spec_differs ||
	    (w->shared ? plan_shared_differs(w) : strcmp(w->record.shape, w->desired.shape) != 0);
}

static PlaceWork
place_work(const Planner *p, const Work *w)
{
	const SharedWork *s = w->shared;
	PlaceWork work = {
		.recorded = w->recorded,
		.desired = w->desired.model,
		.observed = w->observed,
		.shape = w->desired.shape,
		.prune = p->options->prune,
		.layout = w->as.layout,
		.slots = w->as.slots,
	};

	if (s) {
		work.common_was = s->common_was;
		work.common = s->common;
		work.common_shape = s->common_shape;
		work.wide = s->wide;
	}
	return work;
}

static bool
steps_for(Planner *p, Work *w)
{
	const PlaceDriver *d = place_driver(w->at->mode);
	PlanEntry *e = plan_entry_at(p, w->entry);
	PlaceWork work = place_work(p, w);
	Ctx *cx = p->cx;
	Steps *steps = &p->plan->steps;
	size_t before = steps->n;

	if (!w->exists)
		records_tenant_register(cx->mem, w->spec, w->at, &w->as, steps);
	if (!d->steps(cx, w->at, &work, &e->changes, steps) || !mend_logins(p, w, e, steps))
		return false;
	if ((steps->n > before || is_recorded_otherwise(w)) &&
	    !records_tenant_record(
		cx, p->home, w->spec, w->at, w->exists ? &w->record : NULL, &w->as, steps))
		return false;
	if (!w->exists)
		records_route_open(cx->mem, w->at, steps);
	e->first_step = (int64_t)before;
	e->steps = (int64_t)(steps->n - before);
	e->nothing = steps->n == before;
	if (w->observed)
		e->digest = plan_digest(cx->mem, w->observed);
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
bool
plan_applied(Planner *p, const char *shape, Model **out)
{
	*out = map_get(p->applied, shape);
	if (*out)
		return true;
	if (!catalog_shape(p->cx, p->home, shape, out))
		return false;
	map_set(p->applied, shape, *out);
	return true;
}

void
plan_need_body(Planner *p, const Model *m, const char *shape)
{
	if (map_get(p->bodies, shape))
		return;
	map_set(p->bodies, shape, (void *)(uintptr_t)m);
	vec_push(p->cx->mem, &p->plan->run.shapes, m);
}

static bool
work_steps(Planner *p, Work *w)
{
	bool applied = w->exists && *w->record.shape;
	size_t before = p->plan->steps.n;

	return (!applied || plan_applied(p, w->record.shape, &w->recorded)) && steps_for(p, w) &&
	    (p->plan->steps.n == before || check_finished(p, w->spec->name));
}

static void
plan_work(Planner *p, Work *w)
{
	size_t before = p->plan->steps.n;
	Seen seen = { .name = w->spec->name, .changed_run = w->record.changed_run };

	if (w->fail)
		return;
	if (!work_steps(p, w)) {
		plan_entry_fail(p, w->entry, p->cx->fail);
		fail_clear(p->cx);
		p->plan->steps.n = before;
	}
	if (p->plan->steps.n == before)
		return;
	vec_push(p->cx->mem, &p->plan->run.seen, seen);
	plan_need_body(p, w->desired.model, w->desired.shape);
	if (w->shared)
		plan_shared_seen(p, w->shared);
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
		if (!place_driver(at->mode)->suspend_steps(cx, at, steps) ||
		    !plan_release_verb(cx, home, t->name, VERB_SEAL, steps))
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
	vec_push(p->cx->mem, &p->plan->run.seen,
	    ((Seen){ .name = t->name, .changed_run = t->changed_run }));
}

static void
plan_absent(Planner *p)
{
	const MapItem *it;

	for (it = map_next(p->records, NULL); it; it = map_next(p->records, it)) {
		const TenantRecord *t = it->value;
		if (map_get(p->m->tenants, it->key) || !plan_wanted(p, it->key) ||
		    t->state == TENANT_SEALED)
			continue;
		size_t i = plan_entry_add(p, "tenant", it->key, CHANGE_REMOVE);
		if (p->options->prune) {
			plan_sealing(p, t, i);
			continue;
		}
		plan_entry_at(p, i)->nothing = true;
		plan_entry_at(p, i)->note =
		    "no manifest names it; it stays (apply --prune deletes it)";
	}
}

/* Where tenants were named and none of them can be planned, nothing else is done for their sake: no new
 * version of a model is recorded that nobody took. */
static void
plan_for_nobody(Planner *p)
{
	const OptList *only = p->options->only;
	bool failed = false;

	for (size_t i = 0; i < p->plan->entries.n; i++) {
		const PlanEntry *e = plan_entry_at(p, i);
		if (strcmp(e->kind, "tenant") != 0)
			continue;
		if (!e->fail && !e->nothing)
			return;
		failed = failed || e->fail;
	}
	if (!only || !only->n || !failed)
		return;
	p->plan->steps.n = 0;
	for (size_t i = 0; i < p->plan->entries.n; i++) {
		PlanEntry *e = plan_entry_at(p, i);
		if (e->fail || e->nothing)
			continue;
		e->nothing = true;
		e->steps = 0;
		e->changes.n = 0;
	}
}

/* --- the whole ----------------------------------------------------------------------- */

static void
count_entry(Plan *plan, const PlanEntry *e)
{
	if (e->fail) {
		plan->failed++;
		if (fail_exit(e->fail->kind) != EXIT_UNREACHABLE && !plan->worst)
			plan->worst = e->fail;
		return;
	}
	plan->away += e->away != NULL;
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
	size_t first = p->plan->entries.n;

	plan_odd(p);
	for (it = map_next(p->m->tenants, NULL); it; it = map_next(p->m->tenants, it))
		if (plan_wanted(p, it->key) && !consider(p, it->value))
			return false;
	if (!plan_shared_settle(p, first) || (p->options->refresh && !plan_observe(p)))
		return false;
	plan_shared_steps(p);
	for (size_t i = 0; i < p->work.n; i++)
		plan_work(p, &p->work.at[i]);
	plan_absent(p);
	if (!plan_releases(p))
		return false;
	plan_for_nobody(p);
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

static bool
plan_all_objects(Planner *p)
{
	for (KindId kind = KIND_REGION; kind < KINDS; kind++)
		if (kind != KIND_TENANT &&
		    !plan_objects(p, kinds[kind].name, manifest_map(p->m, kind)))
			return false;
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
	    !plan_check_versions(&p) || !plan_hosts_look(&p) || !plan_all_objects(&p) ||
	    !plan_tenants(&p))
		return fail_in(cx, "making the plan");
	for (size_t i = 0; i < plan->entries.n; i++)
		count_entry(plan, &plan->entries.at[i]);
	*out = plan;
	return true;
}

bool
plan_empty(const Plan *p)
{
	return !p->steps.n && !p->failed;
}

/*
 * Shared databases of a plan: which there are to be, the model that their
 * tenants have in common, the wide model under it, and what each tenant has of
 * its own in it.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/core/journal.h"
#include "lib/core/plan_intern.h"
#include "lib/core/wide.h"

#define FOLLOWS "follows shared %s"

static bool
is_only(const Planner *p)
{
	return p->options->only && p->options->only->n;
}

/* --- which there are ---------------------------------------------------------------- */

static SharedWork *
shared_add(Planner *p, const char *name, const Cluster *cluster, const char *model)
{
	SharedWork *s = arena_alloc(p->cx->mem, sizeof *s);

	s->name = name;
	s->at = arena_alloc(p->cx->mem, sizeof *s->at);
	*s->at = (Shared){ .name = name, .cluster = cluster, .model = model };
	map_set(p->shareds, name, s);
	return s;
}

static void
shared_named(Planner *p, SharedWork *s, const char *id)
{
	s->at->id = id;
	place_shared_names(p->cx->mem, s->at);
	s->place = place_of_shared(p->cx->mem, s->at);
}

bool
plan_shared_load(Planner *p)
{
	SharedRecords all;
	Cluster *cluster;

	p->shareds = map_new(p->cx->mem);
	if (!catalog_shareds(p->cx, p->home, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		const SharedRecord *r = &all.at[i];
		cluster = map_get(p->m->clusters, r->cluster);
		if (!cluster && !catalog_cluster(p->cx, p->home, r->cluster, &cluster))
			return false;
		SharedWork *s = shared_add(p, r->name, cluster, r->model);
		s->record = *r;
		s->exists = true;
		shared_named(p, s, r->id);
	}
	return true;
}

/* The id of a new one is of its name and how often that was given, so that two plans are the same. */
bool
plan_shared_for(Planner *p, const Cluster *cluster, const char *model, SharedWork **out)
{
	Arena *mem = p->cx->mem;
	const char *name = arena_printf(mem, "%s/%s", cluster->name, model);
	SharedWork *s = map_get(p->shareds, name);
	char *id;

	if (!s) {
		if (!home_tenant_id(p->cx, p->home, arena_printf(mem, "shared/%s", name), &id))
			return false;
		s = shared_add(p, name, cluster, model);
		s->record = (SharedRecord){ .name = name,
			.id = id,
			.cluster = cluster->name,
			.model = model,
			.wide = "",
			.common = "" };
		shared_named(p, s, id);
	}
	*out = s;
	return true;
}

bool
plan_shared_follows(const TenantRecord *r)
{
	return r->shared && r->layout == LAYOUT_VIEWS && !r->own_views;
}

/* --- models ---------------------------------------------------------------------------- */

static bool
has_named(const Model *m, const char *entry)
{
	const char *dot = strchr(entry, '.');
	char object[64];
	size_t n = dot ? (size_t)(dot - entry) : strlen(entry);

	if (n >= sizeof object)
		return false;
	memcpy(object, entry, n);
	object[n] = '\0';
	const Object *o = model_object(m, object);
	return o && (!dot || object_field(o, dot + 1));
}

/* A view of a tenant's own holds on to its columns: they go with a later run, when no view has them. */
static bool
held_by(Planner *p, const SharedWork *s, const char *entry, const char **tenant)
{
	const MapItem *it;
	Model *m;

	*tenant = NULL;
	for (it = map_next(p->records, NULL); it && !*tenant; it = map_next(p->records, it)) {
		const TenantRecord *r = it->value;
		if (!r->own_views || strcmp(r->shared, s->name) != 0)
			continue;
		if (!plan_applied(p, r->shape, &m))
			return false;
		if (has_named(m, entry))
			*tenant = r->name;
	}
	return true;
}

/* What of the drop list may go now. */
static bool
droppable(Planner *p, SharedWork *s, const Model *m, Names *out)
{
	const char *holder;

	for (size_t i = 0; s->wide_was && p->options->prune && i < m->drop.n; i++) {
		if (!has_named(s->wide_was, m->drop.at[i]))
			continue;
		if (!held_by(p, s, m->drop.at[i], &holder))
			return false;
		if (holder)
			map_set(s->held, m->drop.at[i], (void *)(uintptr_t)holder);
		else
			vec_push(p->cx->mem, out, m->drop.at[i]);
	}
	return true;
}

/* Tenants that were chosen by name go ahead; all the others stay with what they have in common. */
static bool
shared_models(Planner *p, SharedWork *s)
{
	const Model *m = map_get(p->m->models, s->at->model);
	Model *was = NULL, common;

	if (*s->record.common && !plan_applied(p, s->record.common, &was))
		return false;
	if (*s->record.wide && !plan_applied(p, s->record.wide, &s->wide_was))
		return false;
	s->common_was = was;
	s->manifest_shape = plan_hash(p->cx->mem, model_canonical(p->cx->mem, m));
	s->common = is_only(p) && was ? was : m;
	s->common_shape = is_only(p) && was ? s->record.common : s->manifest_shape;
	s->held = map_new(p->cx->mem);
	common = *s->common;
	common.drop = (Names){ 0 };
	return droppable(p, s, s->common, &common.drop) &&
	    wide_model(p->cx, &common, s->wide_was, &s->wide);
}

static bool
extend(Planner *p, SharedWork *s, const Model *to)
{
	if (!wide_extend(p->cx, s->wide, s->common, to))
		return false;
	vec_push(p->cx->mem, &s->ahead, to);
	return true;
}

/* Who went ahead in an earlier run keeps what was brought for it. */
static bool
extend_for_recorded(Planner *p)
{
	Map *done = map_new(p->cx->mem);
	const MapItem *it;
	Model *m;

	for (it = map_next(p->records, NULL); it; it = map_next(p->records, it)) {
		const TenantRecord *r = it->value;
		SharedWork *s = r->own_views ? map_get(p->shareds, r->shared) : NULL;
		if (!s || !s->wide || s->fail || r->model_version <= s->common->version ||
		    map_get(done, r->shape))
			continue;
		map_set(done, r->shape, s);
		if (!plan_applied(p, r->shape, &m) || !extend(p, s, m))
			return false;
	}
	return true;
}

/* --- tenants in them --------------------------------------------------------------------- */

static void
note_tables(Planner *p, Work *w, const char *why)
{
	PlanEntry *e = plan_entry_at(p, w->entry);

	e->note = why
	    ? arena_printf(p->cx->mem, "%s; tables of its own for %s", e->note, why)
	    : arena_printf(p->cx->mem,
		  "%s; tables of its own, which it keeps though the common ones would do", e->note);
}

static bool
settle_slots(Planner *p, Work *w)
{
	Model effective = *w->desired.model;

	if (!p->options->prune)
		effective.drop = (Names){ 0 };
	return wide_slots(p->cx, w->shared->wide, &effective, &w->at->slots, &w->as.slots);
}

static bool
settle_layout(Planner *p, Work *w)
{
	SharedWork *s = w->shared;
	const char *why;
	bool fits = wide_tenant_fits(p->cx->mem, w->spec, &why);
	bool stays = w->exists && w->record.layout == LAYOUT_PLAIN;

	w->as.layout = fits && !stays ? LAYOUT_VIEWS : LAYOUT_PLAIN;
	if (w->as.layout == LAYOUT_PLAIN) {
		note_tables(p, w, why);
	} else {
		w->as.own_views = strcmp(w->desired.shape, s->common_shape) != 0;
		if ((strcmp(s->manifest_shape, s->common_shape) != 0 &&
			!extend(p, s, w->desired.model)) ||
		    !settle_slots(p, w))
			return false;
	}
	if (!w->exists) {
		w->at->layout = w->as.layout;
		w->at->slots = w->as.slots;
	}
	return true;
}

static void
fail_work(Planner *p, Work *w, const Fail *why)
{
	plan_entry_fail(p, w->entry, why);
	w->fail = plan_entry_at(p, w->entry)->fail;
}

static void
settle_tenants(Planner *p)
{
	for (size_t i = 0; i < p->work.n; i++) {
		Work *w = &p->work.at[i];
		if (!w->shared || w->shared->fail)
			continue;
		w->at->shared = w->shared->at;
		if (settle_layout(p, w))
			continue;
		fail_work(p, w, p->cx->fail);
		fail_clear(p->cx);
	}
}

/* --- entries --------------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	const SharedWork *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* A plan for some tenants alone looks at no other database. */
static bool
is_wanted(const Planner *p, const SharedWork *s)
{
	return s->tenants || (s->exists && !is_only(p));
}

/* They stand between the models and the tenants. */
static void
insert_entries(Planner *p, size_t at)
{
	Plan *plan = p->plan;
	size_t n = p->shared_list.n, after = plan->entries.n - at;

	for (size_t i = 0; i < n; i++)
		plan_entry_add(p, "shared", p->shared_list.at[i]->name, CHANGE_ALTER);
	PlanEntry *e = plan->entries.at, *made = arena_alloc(p->cx->mem, (n + 1) * sizeof *made);
	memcpy(made, e + at + after, n * sizeof *e);
	memmove(e + at + n, e + at, after * sizeof *e);
	memcpy(e + at, made, n * sizeof *e);
	for (size_t i = 0; i < n; i++)
		p->shared_list.at[i]->entry = at + i;
	for (size_t i = 0; i < p->work.n; i++)
		p->work.at[i].entry += n;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < p->shared_list.at[i]->followers.n; k++)
			p->shared_list.at[i]->followers.at[k] += n;
}

void
plan_shared_fail(Planner *p, SharedWork *s, const Fail *why)
{
	plan_entry_fail(p, s->entry, why);
	s->fail = plan_entry_at(p, s->entry)->fail;
}

static bool
is_empty(const SharedWork *s)
{
	return !s->tenants && !s->record.tenants;
}

bool
plan_shared_settle(Planner *p, size_t entry)
{
	const MapItem *it;

	for (it = map_next(p->shareds, NULL); it; it = map_next(p->shareds, it))
		if (is_wanted(p, it->value))
			vec_push(p->cx->mem, &p->shared_list, (SharedWork *)it->value);
	if (p->shared_list.n)
		qsort(p->shared_list.at, p->shared_list.n, sizeof *p->shared_list.at, by_name);
	insert_entries(p, entry);
	for (size_t i = 0; i < p->shared_list.n; i++) {
		SharedWork *s = p->shared_list.at[i];
		s->idle = is_empty(s) || !map_get(p->m->models, s->at->model);
		if (s->idle || shared_models(p, s))
			continue;
		plan_shared_fail(p, s, p->cx->fail);
		fail_clear(p->cx);
	}
	if (!extend_for_recorded(p))
		return false;
	settle_tenants(p);
	return true;
}

/* --- what people are told ----------------------------------------------------------------------- */

/* PostgreSQL's operators on numbers may leak values, so behind row security no index is searched by them. */
static const char *
number_note(Arena *mem, const Model *m)
{
	Buf b = buf_new(mem);
	size_t n = 0;

	for (size_t i = 0; i < m->objects.n; i++) {
		const Object *o = &m->objects.at[i];
		for (size_t k = 0; k < o->fields.n; k++) {
			const Field *f = &o->fields.at[k];
			if (f->type == TYPE_NUMBER &&
			    (f->indexed || f->unique || object_key_has(o, f->name)) && n++ < 3)
				buf_fmt(&b, "%s%s.%s", n > 1 ? ", " : "", o->name, f->name);
		}
	}
	if (!n)
		return NULL;
	if (n > 3)
		buf_fmt(&b, " and %zu more", n - 3);
	return arena_printf(mem,
	    "a search by %s reads all rows of the tenant: numbers are compared by operators that "
	    "PostgreSQL does not trust behind row security",
	    b.text);
}

static bool
is_ahead(const SharedWork *s, const char *object, const char *field)
{
	for (size_t i = 0; i < s->ahead.n; i++) {
		const Object *o = model_object(s->ahead.at[i], object);
		if (o && (!field || object_field(o, field)))
			return true;
	}
	return false;
}

static void
kept_change(Planner *p, SharedWork *s, const char *object, const char *field)
{
	Arena *mem = p->cx->mem;
	const char *name = field ? arena_printf(mem, "%s.%s", object, field) : object;
	const char *holder = map_get(s->held, name);
	Change c = {
		.op = CHANGE_REMOVE, .what = field ? "field" : "object", .name = name, .kept = true
	};

	if (is_ahead(s, object, field))
		return;
	c.note = holder
	    ? arena_printf(mem, "tenant \"%s\" still has it: apply again when it has not", holder)
	    : names_have(&s->common->drop, name)
	    ? "listed in drop: --prune removes it"
	    : arena_printf(mem,
		  "the views do not show it any more; add \"%s\" to drop and say --prune "
		  "to remove it",
		  name);
	vec_push(mem, &plan_entry_at(p, s->entry)->changes, c);
}

static void
kept_changes(Planner *p, SharedWork *s)
{
	for (size_t i = 0; !is_only(p) && i < s->wide->objects.n; i++) {
		const Object *o = &s->wide->objects.at[i], *c = model_object(s->common, o->name);
		if (!c)
			kept_change(p, s, o->name, NULL);
		for (size_t k = 0; c && k < o->fields.n; k++)
			if (!o->fields.at[k].spare && !object_field(c, o->fields.at[k].name))
				kept_change(p, s, o->name, o->fields.at[k].name);
	}
}

static void
note_shared(Planner *p, SharedWork *s, bool changes)
{
	PlanEntry *e = plan_entry_at(p, s->entry);
	const char *numbers = changes ? number_note(p->cx->mem, s->common) : NULL;

	e->note = arena_printf(p->cx->mem, "model %s version %lld%s%s", s->at->model,
	    (long long)s->common->version, numbers ? "; " : "", numbers ? numbers : "");
	if (strcmp(s->record.common, s->common_shape) == 0)
		return;
	for (size_t i = 0; i < s->followers.n; i++)
		plan_entry_at(p, s->followers.at[i])->note = arena_printf(
		    p->cx->mem, FOLLOWS, s->name);
}

/* --- steps ------------------------------------------------------------------------------------------ */

static bool
check_finished(Planner *p, const SharedWork *s)
{
	int64_t run;

	if (!journal_unfinished(p->cx, p->home, s->place->scope, &run))
		return false;
	return !run ||
	    fail(p->cx, FAIL_REFUSED,
		arena_printf(p->cx->mem,
		    "Finish it: copyhold run resume %lld, or take it back: copyhold run undo %lld.",
		    (long long)run, (long long)run),
		"run %lld has not finished with shared database \"%s\"", (long long)run, s->name);
}

static bool
forget_steps(Planner *p, SharedWork *s)
{
	Steps *steps = &p->plan->steps;

	if (!place_driver(MODE_SHARED)->shared_drop_steps(p->cx, s->place, steps))
		return false;
	records_shared_forget(p->cx->mem, &s->record, steps);
	return true;
}

static bool
idle_steps(Planner *p, SharedWork *s)
{
	PlanEntry *e = plan_entry_at(p, s->entry);

	e->op = CHANGE_REMOVE;
	if (is_empty(s) && p->options->prune)
		return forget_steps(p, s);
	e->note = is_empty(s) ? "no tenant is in it; it stays (--prune removes it)"
			      : "no manifest describes its model; it stays as it is";
	return true;
}

static bool
is_moved(const SharedWork *s)
{
	return !s->record.active || strcmp(s->record.wide, s->wide_shape) != 0 ||
	    strcmp(s->record.common, s->common_shape) != 0;
}

static bool
work_steps(Planner *p, SharedWork *s)
{
	Steps *steps = &p->plan->steps;
	size_t before = steps->n;
	SharedRecord to = s->record;
	PlaceWork work = {
		.recorded = s->wide_was,
		.desired = s->wide,
		.observed = s->observed,
		.prune = p->options->prune,
		.common_was = s->common_was,
		.common = s->common,
		.wide = s->wide,
		.common_shape = s->common_shape,
	};

	s->wide_shape = plan_hash(p->cx->mem, model_canonical(p->cx->mem, s->wide));
	work.shape = s->wide_shape;
	if (!s->exists)
		records_shared_register(p->cx->mem, s->at, steps);
	if (!place_driver(MODE_SHARED)
		 ->shared_steps(
		     p->cx, s->place, &work, &plan_entry_at(p, s->entry)->changes, steps))
		return false;
	to.wide = s->wide_shape;
	to.common = s->common_shape;
	to.version = s->common->version;
	if (steps->n > before || is_moved(s))
		records_shared_record(p->cx->mem, &s->record, &to, steps);
	kept_changes(p, s);
	note_shared(p, s, steps->n > before);
	return true;
}

void
plan_shared_seen(Planner *p, SharedWork *s)
{
	Seen seen = { .name = s->name, .changed_run = s->record.changed_run, .shared = true };

	if (!s->seen)
		vec_push(p->cx->mem, &p->plan->run.seen, seen);
	s->seen = true;
}

static void
end_entry(Planner *p, SharedWork *s, size_t first)
{
	PlanEntry *e = plan_entry_at(p, s->entry);

	e->op = s->idle ? CHANGE_REMOVE : s->exists ? CHANGE_ALTER : CHANGE_ADD;
	e->first_step = (int64_t)first;
	e->steps = (int64_t)(p->plan->steps.n - first);
	e->nothing = !e->steps;
	if (s->observed)
		e->digest = plan_digest(p->cx->mem, s->observed);
	if (e->nothing)
		return;
	plan_shared_seen(p, s);
	if (s->idle)
		return;
	plan_need_body(p, s->common, s->common_shape);
	plan_need_body(p, s->wide, s->wide_shape);
}

void
plan_shared_steps(Planner *p)
{
	for (size_t i = 0; i < p->shared_list.n; i++) {
		SharedWork *s = p->shared_list.at[i];
		size_t first = p->plan->steps.n;
		if (s->fail)
			continue;
		if ((s->idle ? idle_steps(p, s) : work_steps(p, s)) &&
		    (p->plan->steps.n == first || check_finished(p, s))) {
			end_entry(p, s, first);
			continue;
		}
		p->plan->steps.n = first;
		plan_shared_fail(p, s, p->cx->fail);
		fail_clear(p->cx);
	}
	for (size_t i = 0; i < p->work.n; i++) {
		Work *w = &p->work.at[i];
		if (w->shared && w->shared->fail && !w->fail)
			fail_work(p, w, w->shared->fail);
	}
}

/* --- what a tenant is recorded as --------------------------------------------------------------- */

static bool
same_slots(const Slots *a, const Slots *b)
{
	for (size_t i = 0; a->n == b->n && i < a->n; i++) {
		const Slot *x = &a->at[i], *y = &b->at[i];
		if (strcmp(x->object, y->object) != 0 || strcmp(x->field, y->field) != 0 ||
		    strcmp(x->column, y->column) != 0 || x->generation != y->generation)
			return false;
	}
	return a->n == b->n;
}

bool
plan_shared_differs(const Work *w)
{
	const TenantRecord *r = &w->record;
	bool follows = w->as.layout == LAYOUT_VIEWS && !w->as.own_views;

	return w->as.layout != r->layout || w->as.own_views != r->own_views ||
	    (!follows && strcmp(r->shape, w->desired.shape) != 0) ||
	    !same_slots(&w->at->slots, &w->as.slots);
}

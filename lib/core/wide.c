#include "lib/core/wide.h"

#include <stdlib.h>
#include <string.h>

/* So many spare columns an object has from the start. */
static const int first_spares[FIELD_TYPES] = {
	[TYPE_TEXT] = 4,
	[TYPE_INTEGER] = 2,
	[TYPE_NUMBER] = 2,
	[TYPE_BOOLEAN] = 2,
	[TYPE_DATE] = 1,
	[TYPE_TIMESTAMP] = 1,
	[TYPE_UUID] = 1,
	[TYPE_JSON] = 1,
};

/* --- what may lie in a spare column --------------------------------------------- */

static const char *
unfit_rule(const Field *f)
{
	if (f->type == TYPE_REFERENCE)
		return "reference";
	if (f->unique)
		return "unique";
	if (f->required)
		return "required";
	if (f->max_length)
		return "maxLength";
	return f->precision ? "precision" : NULL;
}

bool
wide_tenant_fits(Arena *mem, const Tenant *t, const char **why)
{
	*why = NULL;
	if (t->objects.n) {
		*why = arena_printf(mem, "object \"%s\"", t->objects.at[0].name);
		return false;
	}
	for (size_t i = 0; i < t->fields.n; i++)
		for (size_t k = 0; k < t->fields.at[i].fields.n; k++) {
			const Field *f = &t->fields.at[i].fields.at[k];
			if (!unfit_rule(f))
				continue;
			*why = arena_printf(mem, "field \"%s.%s\" (%s)", t->fields.at[i].object,
			    f->name, unfit_rule(f));
			return false;
		}
	return true;
}

/* --- parts ------------------------------------------------------------------------ */

static Object *
object_of(Model *m, const char *name)
{
	return (Object *)(uintptr_t)model_object(m, name);
}

static Field *
field_of(Object *o, const char *name)
{
	return (Field *)(uintptr_t)object_field(o, name);
}

/* The number of the last spare column of a type; *n: how many spare columns there are of all types. */
static int
last_spare(const Object *o, FieldType type, size_t *n)
{
	int last = 0;

	*n = 0;
	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];
		*n += f->spare;
		if (!f->spare || f->type != type)
			continue;
		int number = (int)strtol(strrchr(f->name, '_') + 1, NULL, 10);
		last = number > last ? number : last;
	}
	return last;
}

static bool
too_wide(Ctx *cx, const Object *o)
{
	return fail(cx, FAIL_LIMIT,
	    "Split the object, or take mode dedicated for tenants with many fields of their own.",
	    "object \"%s\" of a shared database would have more than %d fields, or %d spare columns",
	    o->name, WIDE_FIELDS_MAX, WIDE_SPARES_MAX);
}

static bool
add_spare(Ctx *cx, Object *o, FieldType type, bool indexed, Field **out)
{
	size_t n;
	int last = last_spare(o, type, &n);
	Field f = { .type = type, .indexed = indexed, .spare = true };

	if (n >= WIDE_SPARES_MAX || o->fields.n >= WIDE_FIELDS_MAX)
		return too_wide(cx, o);
	f.name = arena_printf(cx->mem, "_%s_%d", type_name(type), last + 1);
	vec_push(cx->mem, &o->fields, f);
	*out = &o->fields.at[o->fields.n - 1];
	return true;
}

static bool
add_first_spares(Ctx *cx, Object *o)
{
	Field *made;

	for (FieldType type = TYPE_TEXT; type < FIELD_TYPES; type++)
		for (int i = 0; i < first_spares[type]; i++)
			if (!add_spare(cx, o, type, false, &made))
				return false;
	return true;
}

/* A copy without the tenants' own fields. */
static Object
copy_object(Arena *mem, const Object *from)
{
	Object o = *from;

	o.fields.at = NULL;
	o.fields.n = o.fields.cap = 0;
	for (size_t i = 0; i < from->fields.n; i++)
		if (!from->fields.at[i].own)
			vec_push(mem, &o.fields, from->fields.at[i]);
	return o;
}

/* Rules of what only some tenants use would refuse rows of the others. */
static Field
without_rules(const Model *of, const Field *from, bool key)
{
	Field f;

	if (!field_resolved(of, from, &f))
		f = *from;
	f.was = NULL;
	f.required = key;
	f.unique = f.indexed = false;
	f.fallback = f.to = NULL;
	f.on_delete = ON_DELETE_RESTRICT;
	return f;
}

/* --- the wide model ----------------------------------------------------------------- */

static bool
is_dropped(Arena *mem, const Model *common, const char *object, const char *field)
{
	return names_have(
	    &common->drop, field ? arena_printf(mem, "%s.%s", object, field) : object);
}

static bool
is_renamed_field(const Object *now, const Object *had, const char *name)
{
	for (size_t i = 0; i < now->fields.n; i++) {
		const Field *f = &now->fields.at[i];
		if (f->was && strcmp(f->was, name) == 0 && !object_field(had, f->name))
			return true;
	}
	return false;
}

static const Object *
renamed_object(const Model *common, const Model *recorded, const char *name)
{
	for (size_t i = 0; i < common->objects.n; i++) {
		const Object *o = &common->objects.at[i];
		if (o->was && strcmp(o->was, name) == 0 && !model_object(recorded, o->name))
			return o;
	}
	return NULL;
}

static const Object *
object_before(const Model *recorded, const Object *o)
{
	const Object *had = recorded ? model_object(recorded, o->name) : NULL;

	return had || !recorded || !o->was ? had : model_object(recorded, o->was);
}

static bool
add_object(Ctx *cx, Model *wide, const Model *common, const Model *recorded, const Object *from)
{
	const Object *had = object_before(recorded, from);
	Object o = copy_object(cx->mem, from);

	for (size_t i = 0; had && i < had->fields.n; i++) {
		const Field *f = &had->fields.at[i];
		if (!f->spare && !object_field(from, f->name) &&
		    !is_renamed_field(from, had, f->name) &&
		    !is_dropped(cx->mem, common, from->name, f->name))
			vec_push(cx->mem, &o.fields, without_rules(recorded, f, false));
	}
	for (size_t i = 0; had && i < had->fields.n; i++)
		if (had->fields.at[i].spare)
			vec_push(cx->mem, &o.fields, had->fields.at[i]);
	if (!had && !add_first_spares(cx, &o))
		return false;
	if (o.fields.n > WIDE_FIELDS_MAX)
		return too_wide(cx, &o);
	vec_push(cx->mem, &wide->objects, o);
	return true;
}

static void
keep_object(Arena *mem, Model *wide, const Model *recorded, const Object *from)
{
	Object o = copy_object(mem, from);

	o.was = NULL;
	for (size_t i = 0; i < o.fields.n; i++) {
		Field *f = &o.fields.at[i];
		if (!f->spare)
			*f = without_rules(recorded, f, object_key_has(from, f->name));
	}
	vec_push(mem, &wide->objects, o);
}

bool
wide_model(Ctx *cx, const Model *common, const Model *recorded, Model **out)
{
	Model *m = arena_alloc(cx->mem, sizeof *m);

	*m = (Model){ .name = common->name,
		.version = common->version,
		.drop = common->drop,
		.place = common->place };
	for (size_t i = 0; i < common->objects.n; i++)
		if (!add_object(cx, m, common, recorded, &common->objects.at[i]))
			return false;
	for (size_t i = 0; recorded && i < recorded->objects.n; i++) {
		const Object *o = &recorded->objects.at[i];
		if (!model_object(common, o->name) && !renamed_object(common, recorded, o->name) &&
		    !is_dropped(cx->mem, common, o->name, NULL))
			keep_object(cx->mem, m, recorded, o);
	}
	*out = m;
	return true;
}

/* --- tenants that go ahead ------------------------------------------------------------ */

static bool
only_together(Ctx *cx, const Model *to, const char *what, const char *object, const char *field)
{
	return fail(cx, FAIL_REFUSED, "Apply it for all of them: leave --tenant out.",
	    "version %lld of model \"%s\" %s \"%s%s%s\", which the tenants of a shared database can "
	    "only do together",
	    (long long)to->version, to->name, what, object, field ? "." : "", field ? field : "");
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool
same_type(const Field *a, const Field *b)
{
	return a->type == b->type && a->precision == b->precision && a->scale == b->scale;
}

static bool
same_field(const Field *a, const Field *b)
{
	return same_type(a, b) && a->max_length == b->max_length && a->required == b->required &&
	    a->unique == b->unique && a->indexed == b->indexed &&
	    same_text(a->fallback, b->fallback) && same_text(a->to, b->to) &&
	    a->on_delete == b->on_delete;
}

static bool
same_names(const Names *a, const Names *b)
{
	for (size_t i = 0; a->n == b->n && i < a->n; i++)
		if (strcmp(a->at[i], b->at[i]) != 0)
			return false;
	return a->n == b->n;
}

/* May the field be added, though tenants who know nothing of it have rows (`common`) that it will be in? */
static bool
check_new_field(
    Ctx *cx, const Model *wide, const Object *w, bool common, const Model *to, const Field *f)
{
	const Field *is = object_field(w, f->name), *was = f->was ? object_field(w, f->was) : NULL;
	Field a, b;

	if (is && field_resolved(wide, is, &a) && field_resolved(to, f, &b) && !same_type(&a, &b))
		return only_together(cx, to, "changes", w->name, f->name);
	if (!is && was && !was->spare)
		return only_together(cx, to, "renames", w->name, f->name);
	if (common && f->required && !f->fallback)
		return only_together(cx, to, "requires", w->name, f->name);
	if (common && f->unique && f->fallback && strcmp(f->fallback, "random") != 0)
		return only_together(cx, to, "fills and makes unique", w->name, f->name);
	return true;
}

static bool
check_extended(
    Ctx *cx, const Model *wide, const Object *w, const Object *c, const Model *to, const Object *o)
{
	if (!same_names(&w->key, &o->key))
		return only_together(cx, to, "changes the key of", o->name, NULL);
	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i], *cf = c ? object_field(c, f->name) : NULL;
		if (f->own)
			continue;
		if (cf && !same_field(cf, f))
			return only_together(cx, to, "changes", o->name, f->name);
		if (!cf && !object_key_has(o, f->name) &&
		    !check_new_field(cx, wide, w, c != NULL, to, f))
			return false;
	}
	for (size_t i = 0; c && i < c->fields.n; i++)
		if (!object_field(o, c->fields.at[i].name))
			return only_together(cx, to, "removes", o->name, c->fields.at[i].name);
	return true;
}

static bool
check_extension(Ctx *cx, const Model *wide, const Model *common, const Model *to)
{
	for (size_t i = 0; i < to->objects.n; i++) {
		const Object *o = &to->objects.at[i], *w = model_object(wide, o->name);
		if (o->own)
			continue;
		if (!w && o->was && model_object(wide, o->was))
			return only_together(cx, to, "renames", o->name, NULL);
		if (w && !check_extended(cx, wide, w, model_object(common, o->name), to, o))
			return false;
	}
	for (size_t i = 0; i < common->objects.n; i++)
		if (!model_object(to, common->objects.at[i].name))
			return only_together(cx, to, "removes", common->objects.at[i].name, NULL);
	return true;
}

static void
insert_field(Arena *mem, Object *o, const Field *f)
{
	size_t at = 0;

	while (at < o->fields.n && !o->fields.at[at].spare)
		at++;
	vec_push(mem, &o->fields, *f);
	memmove(&o->fields.at[at + 1], &o->fields.at[at], (o->fields.n - 1 - at) * sizeof *f);
	o->fields.at[at] = *f;
}

static bool
extend_object(Ctx *cx, Model *wide, const Object *from)
{
	Object *w = object_of(wide, from->name);

	if (!w) {
		Object o = copy_object(cx->mem, from);
		if (!add_first_spares(cx, &o))
			return false;
		vec_push(cx->mem, &wide->objects, o);
		return true;
	}
	for (size_t i = 0; i < from->fields.n; i++) {
		const Field *f = &from->fields.at[i];
		Field *is = field_of(w, f->name);
		if (f->own)
			continue;
		if (is)
			*is = *f;
		else if (w->fields.n >= WIDE_FIELDS_MAX)
			return too_wide(cx, w);
		else
			insert_field(cx->mem, w, f);
	}
	return true;
}

bool
wide_extend(Ctx *cx, Model *wide, const Model *common, const Model *to)
{
	if (!check_extension(cx, wide, common, to))
		return false;
	for (size_t i = 0; i < to->objects.n; i++)
		if (!to->objects.at[i].own && !extend_object(cx, wide, &to->objects.at[i]))
			return false;
	return true;
}

/* --- slots ---------------------------------------------------------------------------- */

const Slot *
wide_slot(const Slots *slots, const char *object, const char *field)
{
	for (size_t i = 0; i < slots->n; i++)
		if (strcmp(slots->at[i].object, object) == 0 &&
		    strcmp(slots->at[i].field, field) == 0)
			return &slots->at[i];
	return NULL;
}

static const Slot *
slot_on(const Slots *slots, const char *object, const char *column)
{
	for (size_t i = 0; i < slots->n; i++)
		if (strcmp(slots->at[i].object, object) == 0 &&
		    strcmp(slots->at[i].column, column) == 0)
			return &slots->at[i];
	return NULL;
}

typedef struct Taking {
	Ctx *cx;
	Model *wide;
	const Model *effective;
	const Slots *recorded;
	Slots out;
} Taking;

static const Object *
object_now(const Model *m, const char *name)
{
	const Object *o = model_object(m, name);

	for (size_t i = 0; !o && i < m->objects.n; i++)
		if (m->objects.at[i].was && strcmp(m->objects.at[i].was, name) == 0)
			o = &m->objects.at[i];
	return o;
}

/* The own field that a recorded slot is of now: the same name, or the one that had it. */
static const Field *
field_now(const Taking *t, const Object *o, const Slot *r)
{
	const Field *f = object_field(o, r->field);

	if (f)
		return f->own ? f : NULL;
	for (size_t i = 0; i < o->fields.n; i++) {
		f = &o->fields.at[i];
		if (f->own && f->was && strcmp(f->was, r->field) == 0 &&
		    !wide_slot(t->recorded, r->object, f->name))
			return f;
	}
	return NULL;
}

static bool
keep_slot(Taking *t, const Slot *r)
{
	const Object *o = object_now(t->effective, r->object);
	Object *w = object_of(t->wide, o ? o->name : r->object);
	Field *column = w ? field_of(w, r->column) : NULL;
	const Field *f = o && *r->field ? field_now(t, o, r) : NULL;
	Slot s = *r;

	if (!column) /* the whole object is gone */
		return true;
	s.object = w->name;
	if (f && f->type != column->type)
		return fail(t->cx, FAIL_REFUSED,
		    "Add a field of another name, move the values, then drop the old one.",
		    "field \"%s.%s\" is the tenant's own in a shared database and cannot change from "
		    "%s to %s",
		    o->name, f->name, type_name(column->type), type_name(f->type));
	if (f)
		s.field = f->name;
	else if (*r->field && is_dropped(t->cx->mem, t->effective, s.object, r->field))
		s.field = "";
	if (f && f->indexed)
		column->indexed = true;
	vec_push(t->cx->mem, &t->out, s);
	return true;
}

/* Free: never taken by this tenant, or given up in an earlier run. */
static bool
is_free(const Taking *t, const Object *w, const Field *column)
{
	const Slot *had = slot_on(t->recorded, w->name, column->name);
	const Slot *now = slot_on(&t->out, w->name, column->name);

	return column->spare && (!now || (!*now->field && had && !*had->field));
}

static Field *
free_column(const Taking *t, Object *w, const Field *f)
{
	Field *second = NULL;

	for (size_t i = 0; i < w->fields.n; i++) {
		Field *column = &w->fields.at[i];
		if (column->type != f->type || !is_free(t, w, column))
			continue;
		if (column->indexed == f->indexed)
			return column;
		second = second ? second : column;
	}
	return second;
}

static bool
take_slot(Taking *t, Object *w, const Field *f)
{
	Field *column = free_column(t, w, f);
	Slot s = { .object = w->name, .field = f->name, .generation = 1 };

	if (!column && !add_spare(t->cx, w, f->type, f->indexed, &column))
		return false;
	column->indexed = column->indexed || f->indexed;
	s.column = column->name;
	Slot *again = (Slot *)(uintptr_t)slot_on(&t->out, w->name, column->name);
	if (!again) {
		vec_push(t->cx->mem, &t->out, s);
		return true;
	}
	again->field = f->name;
	again->generation++;
	return true;
}

bool
wide_slots(Ctx *cx, Model *wide, const Model *effective, const Slots *recorded, Slots *out)
{
	Taking t = { .cx = cx, .wide = wide, .effective = effective, .recorded = recorded };

	for (size_t i = 0; i < recorded->n; i++)
		if (!keep_slot(&t, &recorded->at[i]))
			return false;
	for (size_t i = 0; i < effective->objects.n; i++) {
		const Object *o = &effective->objects.at[i];
		Object *w = object_of(wide, o->name);
		for (size_t k = 0; w && k < o->fields.n; k++) {
			const Field *f = &o->fields.at[k];
			if (f->own && !wide_slot(&t.out, o->name, f->name) && !take_slot(&t, w, f))
				return false;
		}
	}
	*out = t.out;
	return true;
}

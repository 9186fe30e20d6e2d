#include "deployer/shape.h"

#include <stdlib.h>
#include <string.h>

static bool
seen(const Items *sorted, ItemKind kind, const char *object, const char *name)
{
	return items_find(sorted, kind, object, name) != NULL;
}

static Model *
model_copy(Arena *mem, const Model *from)
{
	Model *m = arena_alloc(mem, sizeof *m);

	*m = (Model){ .name = from->name, .version = from->version };
	for (size_t i = 0; i < from->objects.n; i++) {
		const Object *o = &from->objects.at[i];
		Object copy = { .name = o->name, .own = o->own };

		for (size_t j = 0; j < o->fields.n; j++)
			vec_push(mem, &copy.fields, o->fields.at[j]);
		for (size_t j = 0; j < o->key.n; j++)
			vec_push(mem, &copy.key, o->key.at[j]);
		vec_push(mem, &m->objects, copy);
	}
	return m;
}

static Object *
object_named(Model *m, const char *name)
{
	for (size_t i = 0; i < m->objects.n; i++)
		if (strcmp(m->objects.at[i].name, name) == 0)
			return &m->objects.at[i];
	return NULL;
}

static void
rename_object(Model *m, Object *o, const char *name)
{
	for (size_t i = 0; i < m->objects.n; i++)
		for (size_t j = 0; j < m->objects.at[i].fields.n; j++) {
			Field *f = &m->objects.at[i].fields.at[j];

			if (f->to != NULL && strcmp(f->to, o->name) == 0)
				f->to = name;
		}
	o->name = name;
}

static void
rename_field(Object *o, const char *was, const char *name)
{
	for (size_t i = 0; i < o->fields.n; i++)
		if (strcmp(o->fields.at[i].name, was) == 0)
			o->fields.at[i].name = name;
	for (size_t i = 0; i < o->key.n; i++)
		if (strcmp(o->key.at[i], was) == 0)
			o->key.at[i] = name;
}

static void
object_fields(const Items *observed, const char *old_table, const Object *desired, Object *o)
{
	for (size_t i = 0; i < desired->fields.n; i++) {
		const Field *f = &desired->fields.at[i];

		if (f->was != NULL && object_field(o, f->was) != NULL &&
		    object_field(o, f->name) == NULL &&
		    seen(observed, ITEM_COLUMN, old_table, f->was) &&
		    !seen(observed, ITEM_COLUMN, old_table, f->name))
			rename_field(o, f->was, f->name);
	}
}

/* `was` counts only where the old name is there and the new one is not. */
static const Model *
renamed_model(Diff *d, const Items *observed)
{
	Model *m = model_copy(d->cx->mem, d->work->recorded);

	for (size_t i = 0; i < d->work->desired->objects.n; i++) {
		const Object *wanted = &d->work->desired->objects.at[i];
		Object *o = object_named(m, wanted->name);
		const char *old = wanted->name;

		if (o == NULL && wanted->was != NULL &&
		    seen(observed, ITEM_TABLE, wanted->was, "") &&
		    !seen(observed, ITEM_TABLE, wanted->name, "")) {
			o = object_named(m, wanted->was);
			old = wanted->was;
		}
		if (o == NULL)
			continue;
		object_fields(observed, old, wanted, o);
		if (old != wanted->name)
			rename_object(m, o, wanted->name);
	}
	return m;
}

static const char *
what_is(ItemKind kind)
{
	return kind == ITEM_TABLE ? "object" : kind == ITEM_COLUMN ? "field" : item_kind_name(kind);
}

/* Old and new rules are in the same order: only names differ. */
static void
rename_ops(Diff *d, const Rules *old, const Items *observed, ItemKind kind)
{
	for (size_t i = 0; i < old->n; i++) {
		const Item *was = &old->at[i].item, *now = &d->recorded.at[i].item;
		bool table = kind == ITEM_TABLE;

		if (was->kind != (int)kind ||
		    strcmp(table ? was->object : was->name, table ? now->object : now->name) == 0 ||
		    !seen(observed, kind, was->object, was->name))
			continue;
		Op op = { .code = OP_RENAME,
			.kind = kind,
			.object = table ? was->object : now->object,
			.name = was->name,
			.def = table ? now->object : now->name };
		vec_push(d->cx->mem, &d->renames, op);
		if (table)
			shape_change(d,
			    (Change){ .op = CHANGE_RENAME,
				.what = what_is(kind),
				.name = now->object,
				.from = was->object,
				.to = now->object });
		else if (kind == ITEM_COLUMN)
			shape_change(d,
			    (Change){ .op = CHANGE_RENAME,
				.what = what_is(kind),
				.name = arena_printf(d->cx->mem, "%s.%s", now->object, now->name),
				.from = was->name,
				.to = now->name });
	}
}

/* What was seen, under the names that it will have when the renames are done. */
static void
rename_observed(Diff *d, const Rules *old, const Items *observed)
{
	Arena *mem = d->cx->mem;
	Map *places = map_new(mem), *tables = map_new(mem);

	for (size_t i = 0; i < old->n; i++) {
		const Item *was = &old->at[i].item;

		map_set(
		    places, shape_diff_key(mem, was->kind, was->object, was->name), &old->at[i]);
		if (was->kind == ITEM_TABLE)
			map_set(tables, was->object, &d->recorded.at[i].item);
	}
	for (size_t i = 0; i < observed->n; i++) {
		Item item = observed->at[i];
		const Rule *was = map_get(
		    places, shape_diff_key(mem, item.kind, item.object, item.name));
		const Item *table = map_get(tables, item.object);

		if (was != NULL) {
			const Item *now = &d->recorded.at[was - old->at].item;

			item = (Item){ item.kind, now->object, now->name,
				strcmp(item.def, was->item.def) == 0 ? now->def : item.def };
		} else if (table != NULL && item.kind >= ITEM_TABLE && item.kind != ITEM_STRANGE) {
			const Rule *column = map_get(
			    places, shape_diff_key(mem, ITEM_COLUMN, item.object, item.name));

			if (column != NULL && item.kind <= ITEM_NOT_NULL)
				item.name = d->recorded.at[column - old->at].item.name;
			item.object = table->object;
		}
		vec_push(mem, &d->observed, item);
	}
}

bool
shape_diff_renames(Diff *d)
{
	Items observed = { 0 };
	Rules old = { 0 };

	if (!shape_rules(d->cx, d->at, d->work->recorded, &old))
		return false;
	for (size_t i = 0; d->work->observed == NULL && i < old.n; i++)
		vec_push(d->cx->mem, &observed, old.at[i].item);
	for (size_t i = 0; d->work->observed != NULL && i < d->work->observed->n; i++)
		vec_push(d->cx->mem, &observed, d->work->observed->at[i]);
	items_sort(&observed);
	d->renamed = renamed_model(d, &observed);
	if (!shape_rules(d->cx, d->at, d->renamed, &d->recorded))
		return false;
	rename_observed(d, &old, &observed);
	rename_ops(d, &old, &observed, ITEM_TABLE);
	rename_ops(d, &old, &observed, ITEM_COLUMN);
	rename_ops(d, &old, &observed, ITEM_CONSTRAINT);
	rename_ops(d, &old, &observed, ITEM_INDEX);
	return true;
}

#include "deployer/shape.h"

#include <string.h>

static bool
is_gone(const Diff *d, const char *object, const char *field)
{
	const char *name = field == NULL ? object
					 : arena_printf(d->cx->mem, "%s.%s", object, field);

	return map_get(d->gone, name) != NULL;
}

static void
drop_data(Diff *d, const Item *is, const char *what, const char *name)
{
	const Rule *had = shape_diff_recorded(d, is);
	bool listed = names_have(&d->work->desired->drop, name);
	bool drop = d->work->prune && (listed || had == NULL);
	Change c = { .op = CHANGE_REMOVE,
		.what = what,
		.name = name,
		.data_bearing = true,
		.from = had == NULL ? shape_type_text(d->cx->mem, is->def)
				    : shape_rule_text(d->cx->mem, had),
		.drift = had == NULL,
		.kept = !drop };

	if (!drop)
		c.note = listed   ? "listed in drop: --prune removes it"
		    : had == NULL ? "not of the model: --prune removes it"
				  : arena_printf(d->cx->mem,
					"add \"%s\" to drop and say --prune to remove it", name);
	else {
		map_set(d->gone, name, d);
		shape_op(d, &d->drop,
		    (Op){ .code = OP_REMOVE,
			.kind = (ItemKind)is->kind,
			.object = is->object,
			.name = is->name,
			.from = is->def,
			.drift = had == NULL });
	}
	shape_change(d, c);
}

static void
plan_gone(Diff *d)
{
	for (size_t i = 0; i < d->observed.n; i++) {
		const Item *is = &d->observed.at[i];
		bool model = shape_diff_desired(d, ITEM_TABLE, is->object, "") != NULL;

		if (is->kind == ITEM_TABLE && !model)
			drop_data(d, is, "object", is->object);
		else if (is->kind == ITEM_COLUMN && model &&
		    shape_diff_desired(d, is->kind, is->object, is->name) == NULL)
			drop_data(d, is, "field",
			    arena_printf(d->cx->mem, "%s.%s", is->object, is->name));
	}
}

static bool
is_reference(const Item *is)
{
	return is->kind == ITEM_CONSTRAINT && shape_starts(is->def, "FOREIGN KEY");
}

/* A field or object that is kept keeps its values and loses the rules that could refuse rows. */
static bool
to_remove(const Diff *d, const Item *is, const Rule *had)
{
	bool model = shape_diff_desired(d, ITEM_TABLE, is->object, "") != NULL;
	const Item *table = shape_diff_observed(d, ITEM_TABLE, is->object, "");

	bool wide = shape_is_wide(d->at);

	if (is->kind == ITEM_SCHEMA_GRANT)
		return true;
	if (is->kind < ITEM_DEFAULT || is->kind == ITEM_STRANGE || table == NULL)
		return false;
	if (!model)
		return !is_gone(d, is->object, NULL) &&
		    strcmp(table->def, arena_printf(d->cx->mem, "owner %s", d->at->owner)) == 0 &&
		    (is_reference(is) ||
			(is->kind == ITEM_GRANT && strcmp(is->name, d->at->owner) != 0 &&
			    !(wide && strcmp(is->name, d->at->shared->keeper) == 0)));
	if (is->kind ==
	    ITEM_NOT_NULL) /* the views stop to show a wide table's column before it goes */
		return wide || !is_gone(d, is->object, is->name);
	if (is->kind == ITEM_STATISTICS)
		return shape_diff_desired(d, ITEM_COLUMN, is->object, is->name) != NULL;
	if (is->kind == ITEM_DEFAULT)
		return !shape_diff_made(d, is->object, is->name) &&
		    !is_gone(d, is->object, is->name) &&
		    shape_diff_desired(d, ITEM_COLUMN, is->object, is->name) != NULL;
	return had == NULL || had->field == NULL || !is_gone(d, is->object, had->field->name);
}

static void
remove_rule(Diff *d, const Item *is)
{
	const Rule *had = shape_diff_recorded(d, is);
	Arena *mem = d->cx->mem;
	bool dotted = is->kind == ITEM_DEFAULT || is->kind == ITEM_NOT_NULL;
	const char *what = item_kind_name((ItemKind)is->kind), *name = is->name;

	if (!to_remove(d, is, had))
		return;
	if (is->kind == ITEM_GRANT || is->kind == ITEM_SCHEMA_GRANT)
		name = arena_printf(mem, "%s to %s", is->object, is->name);
	else if (dotted)
		name = arena_printf(mem, "%s.%s", is->object, is->name);
	shape_change(d,
	    (Change){ .op = CHANGE_REMOVE,
		.what = had == NULL ? what : shape_rule_what(had),
		.name = had == NULL ? name : shape_rule_label(mem, had),
		.drift = had == NULL,
		.from = had == NULL ? is->def : shape_rule_text(mem, had) });
	Op op = { .code = OP_REMOVE,
		.kind = (ItemKind)is->kind,
		.object = is->object,
		.name = is->name,
		.from = had == NULL ? NULL : had->item.def,
		.drift = had == NULL };
	if (had != NULL)
		shape_op(d, &d->finish, op);
	else /* an identity column is "not null" until it is none */
		shape_op(d,
		    dotted && shape_diff_made(d, is->object, is->name) ? &d->adds : &d->early, op);
}

static void
remove_strange(Diff *d, const Item *is)
{
	bool free_of_data = shape_starts(is->def, STRANGE_REMOVABLE),
	     data = shape_starts(is->def, STRANGE_DATA);
	Op op = { .code = OP_REMOVE,
		.kind = ITEM_STRANGE,
		.object = is->object,
		.name = is->name,
		.drift = true };
	Change c = { .op = CHANGE_REMOVE,
		.what = "strange",
		.name = is->name,
		.drift = true,
		.data_bearing = data };

	if (!free_of_data && !data && !shape_starts(is->def, STRANGE_OTHERS))
		return;
	if (is->object[0] != '\0')
		c.name = arena_printf(d->cx->mem, "%s (%s)", is->name, is->object);
	c.from = strchr(is->def, ' ') + 1;
	c.kept = !free_of_data && !(data && d->work->prune);
	if (c.kept)
		c.note = data ? "--prune removes it"
			      : "only its owner or a superuser can remove it";
	else
		shape_op(d, data ? &d->drop : &d->early, op);
	shape_change(d, c);
}

static void
take(const Diff *d, Ops *to, bool tables, bool strange)
{
	for (size_t i = 0; i < d->drop.n; i++) {
		const Op *op = &d->drop.at[i];

		if ((op->kind == ITEM_TABLE) == tables && (op->kind == ITEM_STRANGE) == strange)
			vec_push(d->cx->mem, to, *op);
	}
}

/* References between objects that go would dictate an order of dropping: they go first.  What is
 * strange goes last: columns may be of its types. */
static void
drop_order(Diff *d)
{
	Ops ops = { 0 };

	for (size_t i = 0; i < d->observed.n; i++) {
		const Item *is = &d->observed.at[i];

		if (is_reference(is) && is_gone(d, is->object, NULL))
			vec_push(d->cx->mem, &ops,
			    ((Op){ .code = OP_REMOVE,
				.kind = ITEM_CONSTRAINT,
				.object = is->object,
				.name = is->name,
				.drift = true }));
	}
	take(d, &ops, false, false);
	take(d, &ops, true, false);
	take(d, &ops, false, true);
	d->drop = ops;
}

void
shape_diff_gone(Diff *d)
{
	plan_gone(d);
	for (size_t i = 0; i < d->observed.n; i++) {
		const Item *is = &d->observed.at[i];

		if (is->kind == ITEM_STRANGE)
			remove_strange(d, is);
		else if (is->kind >= ITEM_SCHEMA &&
		    shape_diff_desired(d, is->kind, is->object, is->name) == NULL)
			remove_rule(d, is);
	}
	drop_order(d);
}

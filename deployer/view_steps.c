#include <string.h>

#include "deployer/view.h"
#include "lib/core/wide.h"

#define SHOWN_BYTES 200 /* of a definition, in a plan */

/* --- items and names ------------------------------------------------------------- */

/* Of all that was seen in the database, what belongs to the views of a schema, or what does not. */
static Items
seen_of(Arena *mem, const Items *seen, const char *schema, bool views)
{
	size_t n = strlen(schema);
	Items out = { 0 };

	for (size_t i = 0; i < seen->n; i++) {
		const Item *is = &seen->at[i];
		bool in = is->kind >= ITEM_SCHEMA && is->kind != ITEM_STRANGE &&
		    strncmp(is->object, schema, n) == 0 &&
		    is->object[n] == (is->kind <= ITEM_SCHEMA_GRANT ? '\0' : '.');

		if (in == views)
			vec_push(mem, &out, *is);
	}
	items_sort(&out);
	return out;
}

static Items
items_of(Arena *mem, const char *owner, const Views *views)
{
	Items out = { 0 };

	view_items(mem, owner, views, &out);
	items_sort(&out);
	return out;
}

static bool
same_item(const Items *in, const Item *like)
{
	const Item *other = items_find(in, (ItemKind)like->kind, like->object, like->name);

	return other != NULL && strcmp(other->def, like->def) == 0;
}

static bool
same_items(const Items *a, const Items *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!same_item(b, &a->at[i]))
			return false;
	return a->n == b->n;
}

/* What of the wide model was called so before the run. */
static const Object *
object_since(const Model *wide, const char *name)
{
	const Object *o = model_object(wide, name);

	for (size_t i = 0; o == NULL && i < wide->objects.n; i++)
		if (wide->objects.at[i].was != NULL && strcmp(wide->objects.at[i].was, name) == 0)
			o = &wide->objects.at[i];
	return o;
}

static const char *
column_since(const Object *o, const char *name)
{
	if (object_field(o, name) != NULL)
		return name;
	for (size_t i = 0; i < o->fields.n; i++)
		if (o->fields.at[i].was != NULL && strcmp(o->fields.at[i].was, name) == 0)
			return o->fields.at[i].name;
	return name;
}

/* An undo finds the tables under the names that they have since. */
static Views
views_since(Arena *mem, const Model *wide, const Views *views)
{
	Views out = { 0 };

	for (size_t i = 0; i < views->n; i++) {
		View v = views->at[i];
		const Object *o = object_since(wide, v.table);

		v.columns.at = NULL;
		v.columns.n = v.columns.cap = 0;
		for (size_t k = 0; k < views->at[i].columns.n; k++) {
			ViewColumn c = views->at[i].columns.at[k];

			c.column = o == NULL ? c.column : column_since(o, c.column);
			vec_push(mem, &v.columns, c);
		}
		v.table = o == NULL ? v.table : o->name;
		vec_push(mem, &out, v);
	}
	return out;
}

/* --- changes for people ---------------------------------------------------------------- */

typedef struct Tell {
	Arena *mem;
	Changes *changes;
	size_t from; /* changes before are not ours */
	bool common;
} Tell;

static void
tell(const Tell *t, Change c)
{
	vec_push(t->mem, t->changes, c);
}

/* "app.account.fax", "app.account to s_x_r", "app.account" */
static const char *
item_label(Arena *mem, const Item *is)
{
	if (is->kind == ITEM_GRANT || is->kind == ITEM_SCHEMA_GRANT)
		return arena_printf(mem, "%s to %s", is->object, is->name);
	return *is->name == '\0' ? is->object : arena_printf(mem, "%s.%s", is->object, is->name);
}

/* A view with a hundred columns would fill the plan. */
static const char *
short_text(Arena *mem, const char *text)
{
	size_t n = SHOWN_BYTES;

	if (strlen(text) <= n)
		return text;
	while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;
	return arena_printf(mem, "%.*s...", (int)n, text);
}

static void
tell_item(const Tell *t, const Item *is, const Item *want)
{
	const Item *one = want == NULL ? is : want;

	tell(t,
	    (Change){ .op = is == NULL ? CHANGE_ADD
		    : want == NULL     ? CHANGE_REMOVE
				       : CHANGE_ALTER,
		.what = item_kind_name((ItemKind)one->kind),
		.name = item_label(t->mem, one),
		.from = is == NULL ? NULL : short_text(t->mem, is->def),
		.to = want == NULL ? NULL : short_text(t->mem, want->def),
		.drift = true });
}

/* What hangs on a view that is not there needs no line of its own. */
static bool
hangs(const Items *on, const Item *item)
{
	return (item->kind == ITEM_DEFAULT || item->kind == ITEM_GRANT) &&
	    items_find(on, ITEM_VIEW, item->object, "") == NULL;
}

static void
tell_drift(const Tell *t, const Items *is, const Items *want)
{
	for (size_t i = 0; i < want->n; i++) {
		const Item *w = &want->at[i];

		if (!same_item(is, w) && !hangs(is, w))
			tell_item(t, items_find(is, (ItemKind)w->kind, w->object, w->name), w);
	}
	for (size_t i = 0; i < is->n; i++) {
		const Item *s = &is->at[i];

		if (items_find(want, (ItemKind)s->kind, s->object, s->name) == NULL &&
		    !hangs(want, s))
			tell_item(t, s, NULL);
	}
}

static const View *
view_named(const Views *views, const char *object)
{
	for (size_t i = 0; i < views->n; i++)
		if (strcmp(views->at[i].object, object) == 0)
			return &views->at[i];
	return NULL;
}

static bool
told(const Tell *t, const char *object)
{
	size_t n = strlen(object);

	for (size_t i = t->from; i < t->changes->n; i++) {
		const Change *c = &t->changes->at[i];

		if ((strncmp(c->name, object, n) == 0 && strchr(".", c->name[n]) != NULL) ||
		    (c->op == CHANGE_RENAME && strcmp(c->from, object) == 0))
			return true;
	}
	return false;
}

static bool
has_column(const View *v, const ViewColumn *c)
{
	for (size_t i = 0; i < v->columns.n; i++)
		if (strcmp(v->columns.at[i].name, c->name) == 0 &&
		    strcmp(v->columns.at[i].column, c->column) == 0)
			return true;
	return false;
}

/* As many columns as before, but others: their names. */
static const char *
others_text(Arena *mem, const View *v, const View *than)
{
	Buf b = buf_new(mem);
	size_t n = 0;

	for (size_t i = 0; i < v->columns.n && n < 4; i++)
		if (!has_column(than, &v->columns.at[i]) && ++n < 4)
			buf_fmt(&b, "%s%s", n == 1 ? "" : ", ", v->columns.at[i].name);
	return n == 0 ? "its order" : n == 4 ? arena_printf(mem, "%s and others", b.text) : b.text;
}

/* A tenant without a view of its own has the common one. */
static const char *
columns_text(const Tell *t, const View *v, const View *than)
{
	size_t n = v == NULL ? 0 : v->columns.n;

	if (v == NULL)
		return t->common ? NULL : "the common one";
	if (than != NULL && than->columns.n == n)
		return others_text(t->mem, v, than);
	return arena_printf(t->mem, "%zu field%s", n, n == 1 ? "" : "s");
}

static void
tell_view(const Tell *t, const char *object, const View *was, const View *to)
{
	const char *from = columns_text(t, was, to), *after = columns_text(t, to, was);

	if (!told(t, object))
		tell(t,
		    (Change){ .op = from == NULL ? CHANGE_ADD
			    : after == NULL      ? CHANGE_REMOVE
						 : CHANGE_ALTER,
			.what = "view",
			.name = object,
			.from = from,
			.to = after });
}

/* Views that change without a field's line that says why. */
static void
tell_views(const Tell *t, const char *owner, const Views *was, const Views *to)
{
	for (size_t i = 0; i < was->n; i++) {
		const View *a = &was->at[i], *b = view_named(to, a->object);

		if (b == NULL ||
		    strcmp(view_def(t->mem, owner, a), view_def(t->mem, owner, b)) != 0)
			tell_view(t, a->object, a, b);
	}
	for (size_t i = 0; i < to->n; i++)
		if (view_named(was, to->at[i].object) == NULL)
			tell_view(t, to->at[i].object, NULL, &to->at[i]);
}

/* --- views.replace ------------------------------------------------------------------------ */

/* " of account, contact and others": whose views are not as they should be. */
static const char *
objects_text(Arena *mem, const Items *is, const Items *want)
{
	Names seen = { 0 };
	Buf b = buf_new(mem);

	for (size_t k = 0; k < 2; k++) {
		const Items *these = k == 0 ? want : is, *those = k == 0 ? is : want;

		for (size_t i = 0; i < these->n; i++) {
			const char *dot = strrchr(these->at[i].object, '.');

			if (dot != NULL && !names_have(&seen, dot + 1) &&
			    !same_item(those, &these->at[i]))
				vec_push(mem, &seen, dot + 1);
		}
	}
	for (size_t i = 0; i < seen.n && i < 4; i++)
		buf_fmt(&b, i == 3 ? " and others" : "%s%s", i == 0 ? " of " : ", ", seen.at[i]);
	return b.text;
}

static void
replace_step(Ctx *cx, const Placement *at, const char *schema, const Views *was, const Views *to,
    const char *objects, const SlotFills *slots, Steps *steps)
{
	Js *args = js_object(cx->mem);

	js_set_text(args, "schema", schema);
	js_set(args, "views", view_js(cx->mem, to));
	js_set(args, "was", view_js(cx->mem, was));
	if (slots != NULL && slots->n > 0) {
		Js *array = js_array(cx->mem);

		for (size_t i = 0; i < slots->n; i++)
			js_push(array, slot_js(cx->mem, &slots->at[i]));
		js_set(args, "slots", array);
	}
	steps_add(cx->mem, steps, at->scope, "views.replace", args, "%s the %s views%s",
	    to->n == 0        ? "drop"
		: was->n == 0 ? "create"
			      : "replace",
	    shape_is_wide(at) ? "common" : "own", objects);
}

/* --- the shared database -------------------------------------------------------------------- */

/* Whatever was changed by hand in a view keeps its table from being changed. */
static bool
is_odd(const Items *is, const Items *want)
{
	for (size_t i = 0; i < is->n; i++)
		if (is->at[i].kind == ITEM_VIEW && !same_item(want, &is->at[i]))
			return true;
	return false;
}

static bool
stands(const Items *seen, const View *v)
{
	for (size_t i = 0; i < v->columns.n; i++)
		if (items_find(seen, ITEM_COLUMN, v->table, v->columns.at[i].column) == NULL)
			return false;
	return true;
}

static void
mend_first(Ctx *cx, const Placement *at, const PlaceWork *work, const Views *was,
    const char *objects, Steps *steps)
{
	Items seen = { 0 };
	Views now = { 0 };

	for (size_t i = 0; i < work->observed->n; i++)
		vec_push(cx->mem, &seen, work->observed->at[i]);
	items_sort(&seen);
	for (size_t i = 0; i < was->n; i++)
		if (stands(&seen, &was->at[i]))
			vec_push(cx->mem, &now, was->at[i]);
	replace_step(cx, at, SCHEMA_APP, &now, &now, objects, NULL, steps);
}

static bool
any_ops(const Diff *d)
{
	return d->renames.n + d->early.n + d->adds.n + d->finish.n + d->drop.n > 0;
}

typedef struct Common {
	Views was, to;
	Items is, want_was, want;
} Common;

static bool
common_read(Ctx *cx, const Placement *at, const PlaceWork *work, Common *out)
{
	Arena *mem = cx->mem;

	*out = (Common){ 0 };
	if (work->common_was != NULL && !view_common(cx, at->shared, work->common_was, &out->was))
		return false;
	if (!view_common(cx, at->shared, work->common, &out->to))
		return false;
	out->want_was = items_of(mem, at->owner, &out->was);
	out->want = items_of(mem, at->owner, &out->to);
	out->is = work->observed == NULL ? out->want_was
					 : seen_of(mem, work->observed, SCHEMA_APP, true);
	return true;
}

static bool
create_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Common c;

	if (!common_read(cx, at, work, &c) || !shape_create_steps(cx, at, work, changes, steps))
		return false;
	replace_step(
	    cx, at, SCHEMA_APP, &c.was, &c.to, objects_text(cx->mem, &c.is, &c.want), NULL, steps);
	return true;
}

/* Columns come before the views that show them, and go after those that did. */
bool
shared_tables_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Arena *mem = cx->mem;
	PlaceWork tables = *work;
	Diff d = { .cx = cx, .at = at, .work = &tables, .changes = changes };
	const Tell t = { mem, changes, changes->n, true };
	Items seen;
	Common c;

	if (work->recorded == NULL)
		return create_steps(cx, at, work, changes, steps);
	if (work->observed != NULL) {
		seen = seen_of(mem, work->observed, SCHEMA_APP, false);
		tables.observed = &seen;
	}
	if (!common_read(cx, at, work, &c) || !shape_diff(&d))
		return fail_in(cx, "planning the objects of \"%s\"", at->tenant);
	tell_drift(&t, &c.is, &c.want_was);
	if (any_ops(&d) && is_odd(&c.is, &c.want_was))
		mend_first(cx, at, work, &c.was, objects_text(mem, &c.is, &c.want_was), steps);
	shape_emit(&d, steps);
	tell_views(&t, at->owner, &c.was, &c.to);
	if (!same_items(&c.is, &c.want)) {
		Views was = views_since(mem, work->desired, &c.was);

		replace_step(cx, at, SCHEMA_APP, &was, &c.to, objects_text(mem, &c.is, &c.want),
		    NULL, steps);
	}
	shape_emit_drop(&d, steps);
	return true;
}

/* --- a tenant's own fields -------------------------------------------------------------------- */

static const char *
field_text(Arena *mem, const Model *m, const Object *o, const Field *f)
{
	const Rule r = { .item = { ITEM_COLUMN, o->name, f->name, shape_type_of(mem, m, f) },
		.object = o,
		.field = f };

	return shape_rule_text(mem, &r);
}

static const Field *
field_before(const Model *recorded, const Object *o, const Field *f, const Object **in)
{
	const Object *had = recorded == NULL ? NULL : model_object(recorded, o->name);

	if (recorded != NULL && had == NULL && o->was != NULL)
		had = model_object(recorded, o->was);
	*in = had;
	if (had == NULL)
		return NULL;
	const Field *same = object_field(had, f->name);

	return same != NULL || f->was == NULL ? same : object_field(had, f->was);
}

static void
tell_field(const Tell *t, const PlaceWork *work, const Object *o, const Field *f)
{
	const Object *in;
	const Field *had = field_before(work->recorded, o, f, &in);
	const char *name = arena_printf(t->mem, "%s.%s", o->name, f->name);
	const char *to = field_text(t->mem, work->desired, o, f);
	const char *from = had == NULL ? NULL : field_text(t->mem, work->recorded, in, had);

	if (had != NULL && strcmp(had->name, f->name) != 0)
		tell(t,
		    (Change){ .op = CHANGE_RENAME,
			.what = "field",
			.name = name,
			.from = had->name,
			.to = f->name });
	if (from == NULL || strcmp(from, to) != 0)
		tell(t,
		    (Change){ .op = from == NULL ? CHANGE_ADD : CHANGE_ALTER,
			.what = "field",
			.name = name,
			.from = from,
			.to = to });
}

/* The slot of a column as it is to be; the object may have got another name. */
static const Slot *
slot_since(const PlaceWork *work, const Slot *had)
{
	const Object *o = object_since(work->wide, had->object);
	const char *object = o == NULL ? had->object : o->name;

	for (size_t i = 0; i < work->slots.n; i++)
		if (strcmp(work->slots.at[i].object, object) == 0 &&
		    strcmp(work->slots.at[i].column, had->column) == 0)
			return &work->slots.at[i];
	return NULL;
}

static bool
is_shown(const Model *m, const Slot *s)
{
	const Object *o = model_object(m, s->object);

	return o != NULL && object_field(o, s->field) != NULL;
}

static void
tell_given_up(const Tell *t, const PlaceWork *work, const Slot *had, const Slot *now)
{
	const char *name = arena_printf(t->mem, "%s.%s", now->object, had->field);
	bool listed = names_have(&work->desired->drop, name), cleared = *now->field == '\0';
	const Object *o = model_object(work->wide, now->object);
	const Field *f = o == NULL ? NULL : object_field(o, now->column);
	Change c = { .op = CHANGE_REMOVE,
		.what = "field",
		.name = name,
		.from = f == NULL ? had->column : field_text(t->mem, work->wide, o, f),
		.data_bearing = true,
		.kept = !cleared };

	if (!cleared)
		c.note = listed
		    ? "listed in drop: --prune removes it"
		    : arena_printf(t->mem,
			  "the views do not show it any more; add \"%s\" to drop and say "
			  "--prune to remove it",
			  name);
	tell(t, c);
}

static void
tell_fields(const Tell *t, const Placement *at, const PlaceWork *work)
{
	for (size_t i = 0; i < work->desired->objects.n; i++) {
		const Object *o = &work->desired->objects.at[i];

		for (size_t k = 0; k < o->fields.n; k++)
			if (o->fields.at[k].own)
				tell_field(t, work, o, &o->fields.at[k]);
	}
	for (size_t i = 0; i < at->slots.n; i++) {
		const Slot *had = &at->slots.at[i], *now = slot_since(work, had);

		if (*had->field != '\0' && now != NULL && !is_shown(work->desired, now))
			tell_given_up(t, work, had, now);
	}
}

/* --- a tenant's slots ---------------------------------------------------------------------------- */

static bool
had_slot(const Placement *at, const PlaceWork *work, const Slot *s)
{
	for (size_t i = 0; i < at->slots.n; i++)
		if (*at->slots.at[i].field != '\0' && slot_since(work, &at->slots.at[i]) == s)
			return true;
	return false;
}

static bool
is_constant(const Field *f)
{
	static const char *const words[] = { "now", "today", "random" };

	for (size_t i = 0; f->fallback != NULL && i < LENGTH(words); i++)
		if (f->type != TYPE_TEXT && strcmp(f->fallback, words[i]) == 0)
			return false;
	return true;
}

/* Columns that fields of a tenant take which has rows already. */
static void
new_slots(Arena *mem, const Placement *at, const PlaceWork *work, SlotFills *out)
{
	for (size_t i = 0; work->recorded != NULL && i < work->slots.n; i++) {
		const Slot *s = &work->slots.at[i];
		const Object *o = model_object(work->desired, s->object);
		const Field *f = o == NULL ? NULL : object_field(o, s->field);

		if (f == NULL || had_slot(at, work, s))
			continue;
		SlotFill fill = { .object = s->object,
			.field = s->field,
			.column = s->column,
			.value = shape_default_text(mem, work->desired, f),
			.chosen = is_constant(f) };
		vec_push(mem, out, fill);
	}
}

static void
fill_steps(Ctx *cx, const Placement *at, const SlotFills *fills, Steps *steps)
{
	for (size_t i = 0; i < fills->n; i++)
		if (fills->at[i].value != NULL)
			steps_add(cx->mem, steps, at->scope, "slot.fill",
			    slot_js(cx->mem, &fills->at[i]), "fill %s.%s", fills->at[i].object,
			    fills->at[i].field);
}

static void
clear_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Steps *steps)
{
	bool released = false;

	for (size_t i = 0; i < at->slots.n; i++) {
		const Slot *had = &at->slots.at[i], *now = slot_since(work, had);

		if (*had->field == '\0' || now == NULL || *now->field != '\0')
			continue;
		const SlotFill f = {
			.object = now->object, .field = had->field, .column = now->column
		};
		if (!released)
			steps_add(cx->mem, steps, at->scope, "slot.release", NULL,
			    "give up values of %s", at->tenant);
		released = true;
		steps_add(cx->mem, steps, at->scope, "slot.clear", slot_js(cx->mem, &f),
		    "drop %s.%s", now->object, had->field);
	}
}

bool
view_change_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Arena *mem = cx->mem;
	const Tell t = { mem, changes, changes->n, false };
	Views was = { 0 }, to = { 0 };
	SlotFills fills = { 0 };

	if (work->recorded != NULL && work->common_was != NULL &&
	    !view_own(cx, at, work->recorded, work->common_was, &at->slots, &was))
		return false;
	if (!view_own(cx, at, work->desired, work->common, &work->slots, &to))
		return false;
	Items want_was = items_of(mem, at->owner, &was), want = items_of(mem, at->owner, &to);
	Items is = work->observed == NULL ? want_was
					  : seen_of(mem, work->observed, at->schema, true);

	if (work->recorded != NULL)
		tell_drift(&t, &is, &want_was);
	tell_fields(&t, at, work);
	tell_views(&t, at->owner, &was, &to);
	new_slots(mem, at, work, &fills);
	fill_steps(cx, at, &fills, steps);
	if (!same_items(&is, &want) || fills.n > 0) {
		Views before = views_since(mem, work->wide, &was);

		replace_step(
		    cx, at, at->schema, &before, &to, objects_text(mem, &is, &want), &fills, steps);
	}
	clear_steps(cx, at, work, steps);
	return true;
}

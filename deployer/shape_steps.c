#include "deployer/shape.h"

#include <string.h>

/* --- a new tenant ------------------------------------------------------------------ */

bool
shape_create_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Js *args = js_object(cx->mem);
	size_t n = work->desired->objects.n;

	for (size_t i = 0; i < n; i++) {
		const Object *o = &work->desired->objects.at[i];
		Change c = { .op = CHANGE_ADD,
			.what = "object",
			.name = o->name,
			.to = shape_fields_text(cx->mem, o) };

		vec_push(cx->mem, changes, c);
	}
	js_set_text(args, "shape", work->shape);
	steps_add(cx->mem, steps, at->scope, "shape.create", args, "create %zu object%s in %s", n,
	    n == 1 ? "" : "s", at->dbname);
	return true;
}

/* --- one that is there ----------------------------------------------------------------- */

typedef struct Emit {
	Ctx *cx;
	const Diff *d;
	Steps *steps;
	const char *scope;
} Emit;

static const char *
title_of(Arena *mem, const char *verb, const Ops *ops, const Diff *d)
{
	Names seen = { 0 };
	Buf b = buf_new(mem);

	for (size_t i = 0; i < ops->n; i++) {
		const char *object = ops->at[i].object;

		if (ops->at[i].kind == ITEM_STRANGE)
			object = "what is strange";
		else if (ops->at[i].code == OP_CREATE)
			object = (ops->at[i].drift ? d->recreate : d->create).at[0].object;
		if (!names_have(&seen, object))
			vec_push(mem, &seen, object);
	}
	buf_fmt(&b, "%s ", verb);
	for (size_t i = 0; i < seen.n && i < 4; i++)
		buf_fmt(&b, i == 3 ? " and others" : "%s%s", i == 0 ? "" : ", ", seen.at[i]);
	return b.text;
}

static const char *
drop_title(Arena *mem, const Ops *ops)
{
	Buf b = buf_new(mem);
	size_t shown = 0;

	buf_add(&b, "drop ");
	for (size_t i = 0; i < ops->n && shown < 4; i++) {
		const Op *op = &ops->at[i];

		if (op->kind == ITEM_CONSTRAINT)
			continue;
		if (shown++ == 3)
			buf_add(&b, " and others");
		else
			buf_fmt(&b, "%s%s%s%s", shown == 1 ? "" : ", ",
			    op->kind == ITEM_STRANGE ? op->name : op->object,
			    op->kind == ITEM_COLUMN ? "." : "",
			    op->kind == ITEM_COLUMN ? op->name : "");
	}
	return b.text;
}

static Js *
guards_js(Arena *mem, const Guard *at, size_t n)
{
	Js *array = js_array(mem);

	for (size_t i = 0; i < n; i++)
		js_push(array, shape_guard_js(mem, &at[i]));
	return array;
}

static void
emit_ops(const Emit *e, const char *kind, const char *title, const Ops *ops, bool first)
{
	Arena *mem = e->cx->mem;
	Js *args = js_object(mem);

	if (ops->n == 0)
		return;
	js_set(args, "ops", shape_ops_js(mem, ops));
	if (first && e->d->create.n > 0)
		js_set(args, "create", shape_items_js(mem, &e->d->create));
	if (first && e->d->recreate.n > 0)
		js_set(args, "recreate", shape_items_js(mem, &e->d->recreate));
	if (first && e->d->guards.n > 0)
		js_set(args, "guards", guards_js(mem, e->d->guards.at, e->d->guards.n));
	steps_add(mem, e->steps, e->scope, kind, args, "%s", title);
}

static void
emit_online(const Emit *e, const char *kind, const char *verb, const Onlines *list, bool unique)
{
	Arena *mem = e->cx->mem;

	for (size_t i = 0; i < list->n; i++) {
		const Online *o = &list->at[i];
		Js *args = js_object(mem);
		bool fill = list == &e->d->fills;

		js_set_text(args, "object", o->object);
		js_set_text(args, "name", o->name);
		if (o->columns.n > 0)
			js_set(args, "columns", shape_names_js(mem, &o->columns));
		if (unique)
			js_set_bool(args, "unique", true);
		if (o->primary)
			js_set_bool(args, "primary", true);
		if (o->drift)
			js_set_bool(args, "drift", true);
		if (o->guard.sort != GUARD_NONE)
			js_set(args, "guards", guards_js(mem, &o->guard, 1));
		if (o->exact.sort != GUARD_NONE)
			js_set(args, "exact", guards_js(mem, &o->exact, 1));
		steps_add(mem, e->steps, e->scope, kind, args, "%s %s%s%s", verb,
		    fill ? o->object : "", fill ? "." : "", o->name);
	}
}

static void
append(Arena *mem, Ops *to, const Ops *from)
{
	for (size_t i = 0; i < from->n; i++)
		vec_push(mem, to, from->at[i]);
}

static void
append_strange(Arena *mem, Ops *to, const Ops *from, bool strange)
{
	for (size_t i = 0; i < from->n; i++)
		if ((from->at[i].kind == ITEM_STRANGE) == strange)
			vec_push(mem, to, from->at[i]);
}

/* What is strange is found by the names that it was seen under, so it goes before the renames;
 * without any it goes after the rules that may call its functions. */
static Ops
first_ops(Arena *mem, const Diff *d)
{
	Ops ops = { 0 };

	if (d->renames.n > 0)
		append_strange(mem, &ops, &d->early, true);
	append(mem, &ops, &d->renames);
	append_strange(mem, &ops, &d->early, false);
	if (d->renames.n == 0)
		append_strange(mem, &ops, &d->early, true);
	if (d->create.n > 0)
		vec_push(mem, &ops, (Op){ .code = OP_CREATE });
	if (d->recreate.n > 0)
		vec_push(mem, &ops, ((Op){ .code = OP_CREATE, .drift = true }));
	append(mem, &ops, &d->adds);
	if (!d->rekeyed)
		append(mem, &ops, &d->late);
	return ops;
}

void
shape_emit(const Diff *d, Steps *steps)
{
	const Emit emit = { d->cx, d, steps, d->at->scope }, *e = &emit;
	Arena *mem = d->cx->mem;
	Ops first = first_ops(mem, d);

	emit_ops(e, "shape.change", title_of(mem, "change", &first, d), &first, true);
	emit_online(e, "field.fill", "fill", &d->fills, false);
	emit_ops(e, "shape.change", title_of(mem, "require fields of", &d->require, d), &d->require,
	    false);
	emit_online(e, "constraint.validate", "check", &d->checks, false);
	emit_online(e, "index.build", "build", &d->indexes, false);
	emit_online(e, "unique.build", "build", &d->uniques, true);
	if (d->rekeyed)
		emit_ops(e, "shape.change", title_of(mem, "add the references of", &d->late, d),
		    &d->late, false);
	emit_online(e, "constraint.validate", "check", &d->references, false);
	emit_ops(e, "shape.change", title_of(mem, "settle", &d->finish, d), &d->finish, false);
}

void
shape_emit_drop(const Diff *d, Steps *steps)
{
	const Emit emit = { d->cx, d, steps, d->at->scope };

	emit_ops(&emit, "shape.drop", drop_title(d->cx->mem, &d->drop), &d->drop, false);
}

bool
shape_change_steps(
    Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	Diff d = { .cx = cx, .at = at, .work = work, .changes = changes };

	if (work->recorded == NULL)
		return shape_create_steps(cx, at, work, changes, steps);
	if (!shape_diff(&d))
		return fail_in(cx, "planning the objects of \"%s\"", at->tenant);
	shape_emit(&d, steps);
	shape_emit_drop(&d, steps);
	return true;
}

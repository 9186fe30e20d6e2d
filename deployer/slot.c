#include <string.h>

#include "deployer/view.h"
#include "lib/base/clock.h"

/*
 * A spare column belongs to nobody: one tenant's field takes it for that
 * tenant's rows alone.  It is filled before any view shows it, in short
 * statements; what came since is filled in the transaction that shows it, with
 * the writers kept out, so that no row is missed and nobody's null is taken for
 * an old one.  A column that was given up is emptied before it is taken again.
 */

#define FILL_ENOUGH 200 /* rows that the last pass may find, under its lock */

Js *
slot_js(Arena *mem, const SlotFill *f)
{
	Js *o = js_object(mem);

	js_set_text(o, "object", f->object);
	js_set_text(o, "field", f->field);
	js_set_text(o, "column", f->column);
	if (f->value != NULL)
		js_set_text(o, "value", f->value);
	js_set_bool(o, "chosen", f->chosen);
	return o;
}

bool
slot_read(Ctx *cx, const Js *o, SlotFill *out)
{
	*out = (SlotFill){ .object = js_get_text(o, "object"),
		.field = js_get_text(o, "field"),
		.column = js_get_text(o, "column"),
		.value = js_get_text(o, "value"),
		.chosen = js_get_bool(o, "chosen", false) };
	return (out->object != NULL && out->field != NULL && out->column != NULL) ||
	    shape_damaged(cx);
}

static const char *
ident(Arena *mem, const char *name)
{
	Buf b = buf_new(mem);

	buf_ident(&b, name);
	return b.text;
}

static const char *
table_of(Arena *mem, const SlotFill *f)
{
	Buf b = buf_new(mem);

	shape_ddl_table(&b, SCHEMA_WIDE, f->object);
	return b.text;
}

/* The tenant's rows for which the condition holds. */
static const char *
rows_where(Arena *mem, const Placement *at, const char *condition)
{
	Buf b = buf_new(mem);

	buf_add(&b, "\"" WIDE_TENANT "\" = ");
	buf_literal(&b, at->id);
	buf_fmt(&b, " AND %s", condition);
	return b.text;
}

static RowsChange
fill_of(Arena *mem, const Placement *at, const SlotFill *f)
{
	const char *column = ident(mem, f->column);

	return (RowsChange){
		.table = table_of(mem, f),
		.set = arena_printf(mem, "%s = %s", column, f->value),
		.where = rows_where(mem, at, arena_printf(mem, "%s IS NULL", column)),
		.enough = FILL_ENOUGH,
	};
}

static RowsChange
clear_of(Arena *mem, const Placement *at, const SlotFill *f)
{
	const char *column = ident(mem, f->column);

	return (RowsChange){
		.table = table_of(mem, f),
		.set = arena_printf(mem, "%s = NULL", column),
		.where = rows_where(mem, at, arena_printf(mem, "%s IS NOT NULL", column)),
	};
}

/* --- in the transaction that shows or hides them -------------------------------------- */

void
slot_locks(Arena *mem, const SlotFills *fills, Names *locks)
{
	Names seen = { 0 };

	for (size_t i = 0; i < fills->n; i++)
		if (!names_have(&seen, fills->at[i].object)) {
			vec_push(mem, &seen, fills->at[i].object);
			shape_lock_text(
			    mem, SCHEMA_WIDE, fills->at[i].object, "SHARE ROW EXCLUSIVE", locks);
		}
}

bool
slot_fill_rest(Ctx *cx, Pg *pg, const Placement *at, const SlotFills *fills)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < fills->n; i++) {
		const SlotFill *f = &fills->at[i];

		if (f->value == NULL)
			continue;
		const RowsChange c = fill_of(cx->mem, at, f);
		buf_fmt(&b, "UPDATE %s SET %s WHERE %s;\n", c.table, c.set, c.where);
	}
	return b.len == 0 ||
	    (shape_rows_begin(cx, pg, at) && pg_script(cx, pg, b.text) &&
		shape_rows_end(cx, pg, at));
}

static bool
values_written(Ctx *cx, Pg *pg, const Placement *at, const SlotFill *f, int64_t *out)
{
	const char *column = ident(cx->mem, f->column);
	const char *where = rows_where(cx->mem, at,
	    arena_printf(cx->mem, "%s IS NOT NULL AND %s IS DISTINCT FROM %s", column, column,
		f->value == NULL ? "NULL" : f->value));
	const Sql sql = { "slot_written",
		arena_printf(
		    cx->mem, "SELECT count(*) FROM %s WHERE %s", table_of(cx->mem, f), where),
		0 };
	PgRows rows;

	if (!pg_query(cx, pg, &sql, &rows, NULL))
		return false;
	*out = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

bool
slot_unwritten(Ctx *cx, Pg *pg, const Placement *at, const SlotFills *fills)
{
	if (!shape_rows_begin(cx, pg, at))
		return false;
	for (size_t i = 0; i < fills->n; i++) {
		const SlotFill *f = &fills->at[i];
		int64_t n = 0;

		if (f->chosen && !values_written(cx, pg, at, f, &n))
			return false;
		if (n > 0)
			return fail(cx, FAIL_UNDO,
			    "Keep the field and go forward (run resume), or empty it first.",
			    "\"%s.%s\" has %lld value%s that would be lost", f->object, f->field,
			    (long long)n, n == 1 ? "" : "s");
	}
	return shape_rows_end(cx, pg, at);
}

/* --- slot.fill ------------------------------------------------------------------------- */

static bool
change_rows(Ctx *cx, StepEnv *env, Pg *pg, const RowsChange *c)
{
	int64_t patience = js_get_int(env->step->args, "patience_ms", SHAPE_PATIENCE_MS);

	return ledger_fence(cx, pg, env) && shape_rows_begin(cx, pg, env->at) &&
	    shape_rows_change(cx, pg, c, patience) && shape_rows_end(cx, pg, env->at);
}

static bool
fill_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	SlotFill f;

	if (!slot_read(cx, env->step->args, &f))
		return false;
	if (f.value == NULL)
		return shape_damaged(cx);
	const RowsChange c = fill_of(cx->mem, env->at, &f);
	if (!change_rows(cx, env, pg, &c))
		return false;
	fault_point("slot.fill.filled");
	return shape_transaction(cx, env, pg, shape_nothing, false);
}

bool
slot_fill_act(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, fill_locked);
}

/* Nobody has seen these values yet. */
static bool
unfill_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	SlotFill f;

	if (!slot_read(cx, env->step->args, &f))
		return false;
	const RowsChange c = clear_of(cx->mem, env->at, &f);
	return change_rows(cx, env, pg, &c) && shape_undo_in(cx, env, pg, shape_nothing);
}

bool
slot_fill_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, unfill_locked);
}

/* --- slot.clear -------------------------------------------------------------------------- */

static bool
clear_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	SlotFill f;

	if (!slot_read(cx, env->step->args, &f))
		return false;
	const RowsChange c = clear_of(cx->mem, env->at, &f);
	if (!change_rows(cx, env, pg, &c))
		return false;
	fault_point("slot.clear.cleared");
	return shape_transaction(cx, env, pg, shape_nothing, false);
}

bool
slot_clear_act(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, clear_locked);
}

#include "deployer/shape.h"

#include <inttypes.h>
#include <string.h>

#include "deployer/shape.sql.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"

#define FILL_BLOCKS 256 /* of a table, in one short transaction */

typedef enum IndexState { INDEX_ABSENT, INDEX_INVALID, INDEX_VALID } IndexState;

typedef struct Build { /* the arguments of index.build and unique.build */
	const char *object, *name;
	Names columns;
	bool unique, primary, drift;
} Build;

static bool
build_read(Ctx *cx, const StepEnv *env, Build *out)
{
	const Js *args = env->step->args;

	*out = (Build){ .object = js_get_text(args, "object"),
		.name = js_get_text(args, "name"),
		.unique = js_get_bool(args, "unique", false),
		.primary = js_get_bool(args, "primary", false),
		.drift = js_get_bool(args, "drift", false) };
	shape_names_read(cx->mem, js_get(args, "columns"), &out->columns);
	if (out->object != NULL && out->name != NULL && out->columns.n > 0)
		return true;
	return shape_damaged(cx);
}

static const char *
quoted(Arena *mem, const StepEnv *env, const char *name)
{
	Buf b = buf_new(mem);

	shape_ddl_table(&b, env->at->schema, name);
	return b.text;
}

static bool
index_state(Ctx *cx, const StepEnv *env, Pg *pg, const char *name, IndexState *out)
{
	const char *params[] = { quoted(cx->mem, env, name) };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SHAPE_INDEX_STATE, &rows, params))
		return false;
	*out = rows.n == 0 ? INDEX_ABSENT : pg_bool(&rows, 0, 0) ? INDEX_VALID : INDEX_INVALID;
	pg_rows_free(&rows);
	return true;
}

static bool
constraint_there(Ctx *cx, const StepEnv *env, Pg *pg, const Build *b, bool *out)
{
	const char *params[] = { quoted(cx->mem, env, b->object), b->name };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SHAPE_CONSTRAINT_THERE, &rows, params))
		return false;
	*out = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
index_drop(Ctx *cx, const StepEnv *env, Pg *pg, const char *name)
{
	return pg_script(cx, pg,
	    arena_printf(
		cx->mem, "DROP INDEX CONCURRENTLY IF EXISTS %s", quoted(cx->mem, env, name)));
}

/* A build that failed leaves an invalid index, which would slow every write and serve nobody. */
static void
clean_up(const StepEnv *env, Pg *pg, const char *name)
{
	Ctx cx = ctx_new(NULL);

	if (pg_alive(pg))
		index_drop(&cx, env, pg, name);
	arena_free(cx.mem);
}

static bool
explain_duplicates(Ctx *cx, const StepEnv *env, Pg *pg, const Build *b)
{
	const Guard g = { .sort = GUARD_UNIQUE, .object = b->object, .columns = b->columns };

	fail_clear(cx);
	if (!shape_guard_check(cx, pg, env->at, &g))
		return false;
	return fail(cx, FAIL_DATA, "Make the values differ first.",
	    "\"%s.%s\" had values that occur more than once", b->object, b->columns.at[0]);
}

static bool
index_create(Ctx *cx, StepEnv *env, Pg *pg, const Build *b)
{
	const char *ddl = shape_ddl_index(
	    cx->mem, env->at, b->object, b->name, &b->columns, b->unique);
	int64_t patience = js_get_int(env->step->args, "patience_ms", SHAPE_PATIENCE_MS);
	int64_t deadline = clock_mono_ms() + patience;

	for (int i = 0; !pg_script(cx, pg, ddl); i++) {
		bool again = shape_lock_missed(pg), twice = pg_failed_with(pg, "23505");

		clean_up(env, pg, b->name);
		if (twice)
			return explain_duplicates(cx, env, pg, b);
		if (!again || clock_mono_ms() >= deadline)
			return false;
		fail_clear(cx);
		lane_sleep(backoff_ms(i, 50, 1000));
	}
	return true;
}

static bool
index_ensure(Ctx *cx, StepEnv *env, Pg *pg, const Build *b)
{
	IndexState state;

	if (!index_state(cx, env, pg, b->name, &state))
		return false;
	if (state == INDEX_VALID)
		return true;
	if (state == INDEX_INVALID && !index_drop(cx, env, pg, b->name))
		return false;
	return index_create(cx, env, pg, b);
}

/* The fence is asked before what no transaction could take back. */
static bool
index_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	Build b;

	if (!build_read(cx, env, &b) || !ledger_fence(cx, pg, env) ||
	    !index_ensure(cx, env, pg, &b))
		return false;
	fault_point("index.build.built");
	return shape_transaction(cx, env, pg, shape_nothing, false);
}

bool
index_act(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, index_locked);
}

static bool
index_look(Ctx *cx, StepEnv *env, Pg *pg, bool *done)
{
	IndexState state;
	Build b;

	if (!build_read(cx, env, &b) || !index_state(cx, env, pg, b.name, &state))
		return false;
	if (state == INDEX_INVALID && !index_drop(cx, env, pg, b.name))
		return false;
	*done = state == INDEX_VALID;
	return true;
}

bool
index_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return shape_asked(cx, env, index_look, out);
}

static bool
row_gone(Ctx *cx, StepEnv *env, Pg *pg)
{
	bool stands;

	return ledger_stands(cx, pg, &stands) &&
	    (!stands || shape_transaction(cx, env, pg, shape_nothing, true));
}

static bool
index_undo_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	Build b;

	return build_read(cx, env, &b) && ledger_fence(cx, pg, env) &&
	    (b.drift || index_drop(cx, env, pg, b.name)) && row_gone(cx, env, pg);
}

bool
index_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, index_undo_locked);
}

/* --- unique.build: the index, then the constraint that takes it over ---------------- */

static bool
attach_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Buf ddl = buf_new(cx->mem);
	bool there;
	Build b;

	if (!build_read(cx, env, &b) || !constraint_there(cx, env, pg, &b, &there))
		return false;
	if (there)
		return true;
	buf_fmt(&ddl, "ALTER TABLE %s ADD CONSTRAINT ", quoted(cx->mem, env, b.object));
	buf_ident(&ddl, b.name);
	buf_add(&ddl, b.primary ? " PRIMARY KEY USING INDEX " : " UNIQUE USING INDEX ");
	buf_ident(&ddl, b.name);
	return pg_script(cx, pg, ddl.text);
}

static bool
unique_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	Build b;

	if (!build_read(cx, env, &b) || !ledger_fence(cx, pg, env) ||
	    !index_ensure(cx, env, pg, &b))
		return false;
	fault_point("unique.build.built");
	if (!shape_transaction(cx, env, pg, attach_body, false))
		return false;
	fault_point("unique.build.attached");
	return true;
}

bool
unique_act(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, unique_locked);
}

static bool
unique_look(Ctx *cx, StepEnv *env, Pg *pg, bool *done)
{
	IndexState state;
	bool there;
	Build b;

	if (!build_read(cx, env, &b) || !constraint_there(cx, env, pg, &b, &there) ||
	    !index_state(cx, env, pg, b.name, &state))
		return false;
	if (state == INDEX_INVALID && !index_drop(cx, env, pg, b.name))
		return false;
	*done = there;
	return true;
}

bool
unique_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return shape_asked(cx, env, unique_look, out);
}

static bool
detach_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Buf ddl = buf_new(cx->mem);
	Build b;

	if (!build_read(cx, env, &b))
		return false;
	buf_fmt(&ddl, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS ", quoted(cx->mem, env, b.object));
	buf_ident(&ddl, b.name);
	return b.drift || pg_script(cx, pg, ddl.text);
}

static bool
unique_undo_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	Build b;

	return build_read(cx, env, &b) && shape_transaction(cx, env, pg, detach_body, true) &&
	    (b.drift || index_drop(cx, env, pg, b.name));
}

bool
unique_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, unique_undo_locked);
}

/* --- field.fill: a random default for the rows that were there before --------------- */

static bool
fill_part(Ctx *cx, Pg *pg, const char *table, const char *column, int64_t from)
{
	const char *ddl = arena_printf(cx->mem,
	    "UPDATE %s SET %s = DEFAULT WHERE %s IS NULL AND "
	    "ctid >= '(%" PRId64 ",0)' AND ctid < '(%" PRId64 ",0)'",
	    table, column, column, from, from + FILL_BLOCKS);

	while (!pg_script(cx, pg, ddl)) {
		if (!shape_lock_missed(pg))
			return false;
		fail_clear(cx);
		lane_sleep(backoff_ms(0, 50, 1000));
	}
	return true;
}

/* Rows that a writer moves meanwhile are met by the next pass; new rows have the default. */
static bool
fill_pass(
    Ctx *cx, const StepEnv *env, Pg *pg, const char *table, const char *column, int64_t *filled)
{
	const char *params[] = { table };
	PgRows rows;

	if (!shape_as_us(cx, pg, env->at, &SQL_SHAPE_BLOCKS, &rows, params))
		return false;
	int64_t blocks = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	*filled = 0;
	for (int64_t at = 0; at < blocks; at += FILL_BLOCKS) {
		if (!fill_part(cx, pg, table, column, at))
			return false;
		*filled += pg_affected(pg);
	}
	return true;
}

static bool
fill_plain(Ctx *cx, const StepEnv *env, Pg *pg, const char *table, const char *column)
{
	int64_t filled = 1;

	while (filled > 0)
		if (!fill_pass(cx, env, pg, table, column, &filled))
			return false;
	return true;
}

static bool
fill_wide(Ctx *cx, const StepEnv *env, Pg *pg, const char *table, const char *column)
{
	const RowsChange c = { .table = table,
		.set = arena_printf(cx->mem, "%s = DEFAULT", column),
		.where = arena_printf(cx->mem, "%s IS NULL", column) };

	return shape_rows_begin(cx, pg, env->at) &&
	    shape_rows_change(cx, pg, &c, SHAPE_PATIENCE_MS) && shape_rows_end(cx, pg, env->at);
}

static bool
fill_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	const char *object = js_get_text(env->step->args, "object");
	const char *name = js_get_text(env->step->args, "name");
	const char *table = quoted(cx->mem, env, object == NULL ? "" : object);
	Buf column = buf_new(cx->mem);

	buf_ident(&column, name == NULL ? "" : name);
	if (!ledger_fence(cx, pg, env) ||
	    !(shape_is_wide(env->at) ? fill_wide : fill_plain)(cx, env, pg, table, column.text))
		return false;
	fault_point("field.fill.filled");
	return shape_transaction(cx, env, pg, shape_nothing, false);
}

bool
fill_act(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, fill_locked);
}

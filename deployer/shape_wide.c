#include <string.h>

#include "deployer/shape.h"

#include "deployer/shape.sql.h"
#include "deployer/view.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"

/*
 * Tables on which many tenants work at once: nobody waits for long, the views
 * that hang on a column go and come with it, and rows are seen by the keeper
 * alone.
 */

#define LOCKS_MS 200 /* for all locks of a transaction for which many wait */

/* --- locks --------------------------------------------------------------------- */

bool
shape_lock_all(Ctx *cx, Pg *pg, const Names *statements)
{
	int64_t deadline = clock_mono_ms() + LOCKS_MS;

	for (size_t i = 0; i < statements->n; i++) {
		int64_t left = deadline - clock_mono_ms();

		if (!pg_script(cx, pg,
			arena_printf(cx->mem, "SET LOCAL lock_timeout = %d; %s",
			    left < 1 ? 1 : (int)left, statements->at[i])))
			return false;
	}
	return pg_script(cx, pg, "SET LOCAL lock_timeout = '100ms'");
}

void
shape_lock_text(Arena *mem, const char *schema, const char *table, const char *mode, Names *locks)
{
	Buf b = buf_new(mem);

	buf_add(&b, "LOCK TABLE ");
	shape_ddl_table(&b, schema, table);
	buf_fmt(&b, " IN %s MODE", mode);
	vec_push(mem, locks, b.text);
}

static bool
lock_tables(Ctx *cx, Pg *pg, const Placement *at, const Names *tables, Names *locks)
{
	Buf list = buf_new(cx->mem);
	PgRows rows;

	for (size_t i = 0; i < tables->n; i++)
		buf_fmt(&list, "%s%s", i == 0 ? "" : ",", tables->at[i]);
	const char *params[] = { at->schema, list.text };
	if (!pg_query(cx, pg, &SQL_SHAPE_TABLES_PRESENT, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++)
		shape_lock_text(
		    cx->mem, at->schema, pg_text(&rows, i, 0), "ACCESS EXCLUSIVE", locks);
	pg_rows_free(&rows);
	return true;
}

/* --- views that a change sets aside ----------------------------------------------- */

/* One operation, as a view's columns see it; false: the view has none any more.  *torn: it stands in the
 * way of the operation. */
static bool
carry_op(const Op *op, View *v, bool *torn)
{
	size_t kept = 0;

	if (strcmp(op->object, v->table) != 0 ||
	    (op->kind != ITEM_TABLE && op->kind != ITEM_COLUMN))
		return true;
	if (op->kind == ITEM_TABLE && op->code == OP_RENAME)
		v->table = op->def;
	if (op->kind == ITEM_TABLE) {
		*torn = *torn || op->code == OP_REMOVE;
		return op->code != OP_REMOVE;
	}
	for (size_t i = 0; i < v->columns.n; i++) {
		ViewColumn c = v->columns.at[i];
		bool meant = strcmp(c.column, op->name) == 0;

		if (meant && op->code == OP_RENAME)
			c.column = op->def;
		*torn = *torn || (meant && (op->code == OP_ALTER || op->code == OP_REMOVE));
		if (!meant || op->code != OP_REMOVE)
			v->columns.at[kept++] = c;
	}
	v->columns.n = kept;
	return kept > 0;
}

static View
view_copy(Arena *mem, const View *from)
{
	View v = *from;

	v.columns.at = NULL;
	v.columns.n = v.columns.cap = 0;
	for (size_t i = 0; i < from->columns.n; i++)
		vec_push(mem, &v.columns, from->columns.at[i]);
	return v;
}

/* Of these views the torn ones, as they are and as they are to come back. */
static void
carry(Arena *mem, const Ops *ops, const Views *all, Views *from, Views *to)
{
	for (size_t i = 0; i < all->n; i++) {
		View v = view_copy(mem, &all->at[i]);
		bool stays = true, torn = false;

		for (size_t k = 0; stays && k < ops->n; k++)
			stays = ops->at[k].code == OP_CREATE || carry_op(&ops->at[k], &v, &torn);
		if (torn)
			vec_push(mem, from, all->at[i]);
		if (torn && stays)
			vec_push(mem, to, v);
	}
}

static const char *
name_before(const Ops *ops, const char *object)
{
	for (size_t i = 0; i < ops->n; i++)
		if (ops->at[i].code == OP_RENAME && ops->at[i].kind == ITEM_TABLE &&
		    strcmp(ops->at[i].def, object) == 0)
			return ops->at[i].object;
	return object;
}

static void
add_name(Arena *mem, Names *names, const char *name)
{
	if (!names_have(names, name))
		vec_push(mem, names, name);
}

/* Tables of which a column gets another type or goes, and all that are changed; names as they are. */
static void
touched_tables(Arena *mem, const Ops *ops, Names *torn, Names *all)
{
	for (size_t i = 0; i < ops->n; i++) {
		const Op *op = &ops->at[i];
		bool tears = op->code == OP_REMOVE || op->code == OP_ALTER;

		if (op->code == OP_CREATE || op->kind < ITEM_TABLE || op->kind >= ITEM_VIEW)
			continue;
		add_name(mem, all, name_before(ops, op->object));
		if ((tears && op->kind == ITEM_COLUMN) ||
		    (op->code == OP_REMOVE && op->kind == ITEM_TABLE))
			add_name(mem, torn, name_before(ops, op->object));
	}
}

/* Views are locked before tables, as their readers do. */
bool
shape_aside(Ctx *cx, StepEnv *env, Pg *pg, const Ops *ops, Views *out)
{
	Names torn = { 0 }, all = { 0 }, locks = { 0 };
	Views on = { 0 }, found = { 0 };

	if (!shape_is_wide(env->at))
		return true;
	touched_tables(cx->mem, ops, &torn, &all);
	if (torn.n > 0 && !view_on(cx, pg, &torn, &on))
		return false;
	carry(cx->mem, ops, &on, &found, out);
	view_locks(cx->mem, env->at, &found, &locks);
	return lock_tables(cx, pg, env->at, &all, &locks) && shape_lock_all(cx, pg, &locks) &&
	    view_drop(cx, pg, &found);
}

/* --- references --------------------------------------------------------------------- */

bool
shape_is_wide_reference(const Placement *at, const Op *op)
{
	return shape_is_wide(at) && op->code == OP_ADD && op->kind == ITEM_CONSTRAINT &&
	    shape_starts(op->def, "FOREIGN KEY");
}

/* The server would prove it with the owner's eyes, which see no row. */
bool
shape_reference(Ctx *cx, StepEnv *env, Pg *pg, const Op *op)
{
	const Guard g = shape_guard_reference(cx->mem, op->object, op->def);
	Buf ddl = buf_new(cx->mem);

	shape_ddl_op(&ddl, env->at->schema, op);
	return pg_script(cx, pg, ddl.text) && shape_guard_check(cx, pg, env->at, &g);
}

/* --- rows, in batches ------------------------------------------------------------------ */

/* The next rows of the cursor, as an array of their places; NULL: there are no more. */
static bool
next_places(Ctx *cx, Pg *pg, const char **out, int *n)
{
	Buf b = buf_new(cx->mem);
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SHAPE_ROWS_FETCH, &rows, NULL))
		return false;
	for (int i = 0; i < rows.n; i++)
		buf_fmt(&b, "%s\"%s\"", i == 0 ? "{" : ",", pg_text(&rows, i, 0));
	*n = rows.n;
	*out = rows.n == 0 ? NULL : arena_printf(cx->mem, "%s}", b.text);
	pg_rows_free(&rows);
	return true;
}

/* A row that somebody holds is left for the next pass: nobody waits for us while we wait for him. */
static bool
rows_batch(Ctx *cx, Pg *pg, const RowsChange *c, const char *places, int64_t *changed)
{
	const Sql sql = { "shape_rows_change",
		arena_printf(cx->mem,
		    "UPDATE %s SET %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s "
		    "WHERE ctid = ANY ($1::tid[]) AND %s FOR UPDATE SKIP LOCKED))",
		    c->table, c->set, c->table, c->where),
		1 };

	if (!pg_do(cx, pg, &sql, &places))
		return false;
	*changed += pg_affected(pg);
	return true;
}

static bool
rows_pass(Ctx *parent, Pg *pg, const RowsChange *c, int64_t *met, int64_t *changed)
{
	const char *places = NULL;
	bool ok = true;
	int n = 0;

	*met = *changed = 0;
	if (!pg_script(parent, pg,
		arena_printf(parent->mem,
		    "CLOSE ALL; BEGIN; DECLARE copyhold_rows NO SCROLL CURSOR WITH HOLD FOR "
		    "SELECT ctid FROM %s WHERE %s; COMMIT",
		    c->table, c->where)))
		return false;
	do {
		Ctx cx = ctx_new(parent->mem);

		ok = next_places(&cx, pg, &places, &n) &&
		    (places == NULL || rows_batch(&cx, pg, c, places, changed));
		*met += n;
		if (!ok)
			fail_copy(parent, &cx);
		arena_free(cx.mem);
	} while (ok && n > 0);
	return ok && pg_script(parent, pg, "CLOSE copyhold_rows");
}

static bool
rows_change(Ctx *cx, Pg *pg, const RowsChange *c, int64_t patience)
{
	int64_t deadline = clock_mono_ms() + patience, met = INT64_MAX, changed = 0;

	for (int i = 0; met > c->enough; i++) {
		if (!rows_pass(cx, pg, c, &met, &changed))
			return false;
		if (changed > 0)
			deadline = clock_mono_ms() + patience;
		else if (met > c->enough && clock_mono_ms() >= deadline)
			return fail(cx, FAIL_TIMEOUT,
			    "A session holds rows there for long: look for an open transaction in "
			    "pg_stat_activity.",
			    "%lld row%s of %s could not be locked within %s", (long long)met,
			    met == 1 ? "" : "s", c->table, clock_human(cx->mem, patience));
		if (met > c->enough && changed == 0)
			lane_sleep(backoff_ms(i, 50, 1000));
	}
	return true;
}

/* The step's ledger row comes to the disk after them, or they are done again. */
bool
shape_rows_change(Ctx *cx, Pg *pg, const RowsChange *c, int64_t patience)
{
	return pg_script(cx, pg, "SET synchronous_commit = off") &&
	    rows_change(cx, pg, c, patience) && pg_script(cx, pg, "RESET synchronous_commit");
}

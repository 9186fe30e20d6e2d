#include "deployer/shape.h"

#include <string.h>

#include "deployer/shape.sql.h"
#include "deployer/view.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/core/catalog.h"

#define HOLDER_MS 5000 /* what another session of this step is given before it is ended */

/* --- sessions and transactions ------------------------------------------------- */

static bool
session_begin(Ctx *cx, StepEnv *env, Pg **pg)
{
	if (!owner_session(cx, env->conns, env->at, pg))
		return false;
	pg_set_statement_ms(*pg, SHAPE_LONG_MS);
	return ledger_lock(cx, *pg, env, HOLDER_MS);
}

static void
session_end(StepEnv *env, Pg *pg)
{
	if (pg == NULL)
		return;
	pg_rollback(pg);
	ledger_unlock(pg, env);
	if (pg_alive(pg))
		owner_session_end(pg);
	pg_set_statement_ms(pg, SHAPE_STATEMENT_MS);
}

bool
shape_locked(Ctx *cx, StepEnv *env, ShapeBody body)
{
	Pg *pg = NULL;
	bool ok = session_begin(cx, env, &pg) && body(cx, env, pg);

	session_end(env, pg);
	return ok;
}

bool
shape_asked(Ctx *cx, StepEnv *env, ShapeLook look, Probe *out)
{
	bool done = false;
	Pg *pg = NULL;
	bool ok = session_begin(cx, env, &pg) && look(cx, env, pg, &done);

	session_end(env, pg);
	if (ok)
		*out = done ? PROBE_DONE : PROBE_NOT_DONE;
	return ok;
}

bool
shape_lock_missed(const Pg *pg)
{
	return pg_failed_with(pg, "55P03") || pg_failed_with(pg, "40P01");
}

bool
shape_nothing(Ctx *cx, StepEnv *env, Pg *pg)
{
	(void)cx, (void)env, (void)pg;
	return true;
}

/* A ledger that somebody dropped is made again: its fence is the holder's.  A shared database's belongs
 * to the steps of the whole. */
static bool
ledger_ready(Ctx *cx, StepEnv *env, Pg *pg)
{
	bool stands;

	if (!ledger_stands(cx, pg, &stands))
		return false;
	if (stands)
		return true;
	if (shape_is_part(env->at))
		return fail(cx, FAIL_DIFFERENT,
		    "Mend the shared database first: copyhold apply, for all of its tenants.",
		    "schema \"" LEDGER_SCHEMA "\" is gone from database \"%s\"", env->at->dbname);
	return ledger_schema_create(cx, pg) &&
	    (env->at->mode != MODE_CUSTOMER_DB || home_claim(cx, pg, env->home));
}

static bool
attempt(Ctx *cx, StepEnv *env, Pg *pg, ShapeBody body, bool undo)
{
	Ledger entry = LEDGER_NEW;

	if (!pg_script(cx, pg, "BEGIN; SET LOCAL lock_timeout = '200ms'") ||
	    !shape_settings(cx, pg) || !ledger_ready(cx, env, pg))
		return false;
	if (undo ? !ledger_remove(cx, pg, env) : !ledger_enter(cx, pg, env, &entry))
		return false;
	if (entry == LEDGER_ALREADY) {
		pg_rollback(pg);
		return true;
	}
	return body(cx, env, pg) && pg_commit(cx, pg);
}

/* The objects that a step's operations touch, for a message. */
static const char *
touched(Ctx *cx, const StepEnv *env)
{
	const Js *args = env->step->args;
	const Js *ops = js_get(args, js_get(args, "ops") != NULL ? "ops" : "views");
	const char *one = js_get_text(args, "object");
	Names seen = { 0 };
	Buf b = buf_new(cx->mem);

	if (one != NULL)
		vec_push(cx->mem, &seen, one);
	for (size_t i = 0; i < js_count(ops); i++) {
		const char *object = js_get_text(js_at(ops, i), "object");

		if (object != NULL && !names_have(&seen, object))
			vec_push(cx->mem, &seen, object);
	}
	for (size_t i = 0; i < seen.n && i < 4; i++)
		buf_fmt(&b, i == 3 ? " and others" : "%s\"%s\"", i == 0 ? "" : ", ", seen.at[i]);
	return seen.n == 0 ? arena_printf(cx->mem, "\"%s\"", env->at->schema) : b.text;
}

static bool
too_long(Ctx *cx, const StepEnv *env, int64_t patience)
{
	const char *objects = touched(cx, env);

	fail_clear(cx);
	return fail(cx, FAIL_TIMEOUT,
	    "A session holds a lock there for long: look for an open "
	    "transaction in pg_stat_activity.",
	    "no lock on %s of \"%s\" within %s", objects, env->at->tenant,
	    clock_human(cx->mem, patience));
}

/* Rows that came after the guards looked. */
static bool
explain(Ctx *cx, const StepEnv *env, const Pg *pg)
{
	static const char *const forbids[] = { "23502", "23503", "23505", "23514", "22003" };

	for (size_t i = 0; i < LENGTH(forbids); i++)
		if (pg_failed_with(pg, forbids[i])) {
			fail_clear(cx);
			fail(cx, FAIL_DATA,
			    "Rows that forbid it came while the run went on: plan again to "
			    "have them counted.",
			    "the data forbids \"%s\"", env->step->title);
			return fail_cause(cx, "SQLSTATE %s", forbids[i]);
		}
	return false;
}

bool
shape_transaction(Ctx *cx, StepEnv *env, Pg *pg, ShapeBody body, bool undo)
{
	int64_t patience = js_get_int(env->step->args, "patience_ms", SHAPE_PATIENCE_MS);
	int64_t deadline = clock_mono_ms() + patience;

	for (int i = 0; !attempt(cx, env, pg, body, undo); i++) {
		bool again = shape_lock_missed(pg);

		pg_rollback(pg);
		if (!again)
			return explain(cx, env, pg);
		if (clock_mono_ms() >= deadline)
			return too_long(cx, env, patience);
		fail_clear(cx);
		lane_sleep(backoff_ms(i, 50, 1000));
	}
	return true;
}

bool
shape_undo_in(Ctx *cx, StepEnv *env, Pg *pg, ShapeBody body)
{
	bool done;

	if (!ledger_has(cx, pg, env, &done))
		return false;
	return !done || shape_transaction(cx, env, pg, body, true);
}

static bool
row_look(Ctx *cx, StepEnv *env, Pg *pg, bool *done)
{
	return ledger_has(cx, pg, env, done);
}

/* Everything of the step is in the transaction of its ledger row. */
bool
shape_row_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return shape_asked(cx, env, row_look, out);
}

/* --- shape.create ----------------------------------------------------------------- */

static bool
create_items(Ctx *cx, StepEnv *env, Items *out)
{
	const char *hash = js_get_text(env->step->args, "shape");
	Rules rules = { 0 };
	Model *model;

	if (hash == NULL || !catalog_shape(cx, env->home, hash, &model) ||
	    !shape_rules(cx, env->at, model, &rules))
		return fail_in(cx, "reading the model of \"%s\"", env->at->tenant);
	for (size_t i = 0; i < rules.n; i++)
		vec_push(cx->mem, out, rules.at[i].item);
	return true;
}

static bool
create_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Buf ddl = buf_new(cx->mem);
	Items items = { 0 };

	if (!create_items(cx, env, &items))
		return false;
	shape_ddl_create(&ddl, env->at->schema, &items);
	if (pg_script(cx, pg, ddl.text))
		return true;
	if (!pg_failed_with(pg, "42P06"))
		return false;
	fail_clear(cx);
	return fail(cx, FAIL_EXISTS,
	    "Give the tenant an empty database, or drop that schema first.",
	    "schema \"%s\" is already in database \"%s\"", env->at->schema, env->at->dbname);
}

static bool
create_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_transaction(cx, env, pg, create_body, false);
}

static bool
create_act(Ctx *cx, StepEnv *env)
{
	if (!shape_locked(cx, env, create_locked))
		return false;
	fault_point("shape.create.acted");
	return true;
}

/* Locks the tables first, so that no row comes between the look and the drop. */
static bool
require_empty(Ctx *cx, Pg *pg, const Placement *at, const Items *items)
{
	Buf lock = buf_new(cx->mem), look = buf_new(cx->mem);
	PgRows rows;
	size_t n = 0;

	for (size_t i = 0; i < items->n; i++) {
		if (items->at[i].kind != ITEM_TABLE)
			continue;
		buf_add(&lock, n == 0 ? "LOCK TABLE " : ", ");
		shape_ddl_table(&lock, at->schema, items->at[i].object);
		buf_add(&look, n++ == 0 ? "SELECT " : " + ");
		buf_add(&look, "(SELECT count(*) FROM (SELECT FROM ");
		shape_ddl_table(&look, at->schema, items->at[i].object);
		buf_add(&look, " LIMIT 1) x)");
	}
	const Sql sql = { "shape_rows", look.text, 0 };
	if (n == 0)
		return true;
	buf_add(&lock, " IN ACCESS EXCLUSIVE MODE");
	if (!pg_script(cx, pg, lock.text) || !shape_rows_begin(cx, pg, at) ||
	    !pg_query(cx, pg, &sql, &rows, NULL) || !shape_rows_end(cx, pg, at))
		return false;
	int64_t full = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return full == 0 ||
	    fail(cx, FAIL_UNDO,
		"Keep the objects and go forward (run resume), or empty "
		"them first.",
		"%lld new object%s that would be dropped already hold%s rows", (long long)full,
		full == 1 ? "" : "s", full == 1 ? "s" : "");
}

static void
drop_tables(Buf *b, const char *schema, const Items *items)
{
	size_t n = 0;

	for (size_t i = 0; i < items->n; i++)
		if (items->at[i].kind == ITEM_TABLE) {
			buf_add(b, n++ == 0 ? "DROP TABLE " : ", ");
			shape_ddl_table(b, schema, items->at[i].object);
		}
	buf_add(b, n == 0 ? "" : ";\n");
}

/* The ledger goes too unless another step still has its row there. */
static bool
ledger_leave(Ctx *cx, Pg *pg)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SHAPE_LEDGER_USED, &rows, NULL))
		return false;
	bool used = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return used ||
	    pg_script(cx, pg,
		"DROP TABLE copyhold.fence, copyhold.applied; "
		"DROP TABLE IF EXISTS copyhold.home; DROP SCHEMA copyhold");
}

/* Nobody was ever let into what is shut: its rows are copies. */
static bool
uncreate_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Buf ddl = buf_new(cx->mem);
	Items items = { 0 };

	if (!create_items(cx, env, &items) ||
	    (!env->at->shut && !require_empty(cx, pg, env->at, &items)))
		return false;
	drop_tables(&ddl, env->at->schema, &items);
	buf_add(&ddl, "DROP SCHEMA ");
	buf_ident(&ddl, env->at->schema);
	return pg_script(cx, pg, ddl.text) && (shape_is_part(env->at) || ledger_leave(cx, pg));
}

static bool
uncreate_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_undo_in(cx, env, pg, uncreate_body);
}

static bool
create_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, uncreate_locked);
}

/* --- shape.change, shape.drop -------------------------------------------------------- */

typedef struct ChangeArgs {
	Ops ops;
	Items create, recreate; /* for OP_CREATE; the second one for drift */
} ChangeArgs;

static bool
change_args(Ctx *cx, const StepEnv *env, ChangeArgs *out)
{
	const Js *args = env->step->args;

	return shape_ops_read(cx, js_get(args, "ops"), &out->ops) &&
	    shape_items_read(cx, js_get(args, "create"), &out->create) &&
	    shape_items_read(cx, js_get(args, "recreate"), &out->recreate);
}

static bool
wanted(const Ops *ops, const Strange *s)
{
	for (size_t i = 0; i < ops->n; i++)
		if (ops->at[i].code == OP_REMOVE && ops->at[i].kind == ITEM_STRANGE &&
		    strcmp(ops->at[i].object, s->object) == 0 &&
		    strcmp(ops->at[i].name, s->name) == 0)
			return true;
	return false;
}

/* The server writes these statements from its catalogue, with its own quoting: none comes from the step. */
static bool
remove_strange(Ctx *cx, StepEnv *env, Pg *pg, const Ops *ops)
{
	Stranges found = { 0 };
	Buf b = buf_new(cx->mem), back = buf_new(cx->mem);

	/* the owner may not read what the template keeps from PUBLIC: we look as ourselves */
	buf_add(&back, "SET LOCAL ROLE ");
	buf_ident(&back, env->at->owner);
	if (!pg_script(cx, pg, "SET LOCAL ROLE NONE") ||
	    !shape_strange(cx, pg, env->at, true, &found) || !pg_script(cx, pg, back.text))
		return false;
	for (size_t i = 0; i < found.n; i++)
		if (found.at[i].mend != NULL && wanted(ops, &found.at[i]))
			buf_fmt(&b, "%s;\n", found.at[i].mend);
	return b.len == 0 || pg_script(cx, pg, b.text);
}

static bool
flush(Ctx *cx, Pg *pg, Buf *ddl)
{
	bool ok = ddl->len == 0 || pg_script(cx, pg, ddl->text);

	buf_clear(ddl);
	return ok;
}

/* What is strange may hang on a view that is set aside. */
static bool
set_aside(Ctx *cx, StepEnv *env, Pg *pg, const Ops *ops, Views *out)
{
	return !shape_is_wide(env->at) ||
	    (remove_strange(cx, env, pg, ops) && shape_aside(cx, env, pg, ops, out));
}

static bool
change_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Buf ddl = buf_new(cx->mem);
	ChangeArgs args = { 0 };
	const char *schema = env->at->schema;
	bool strange = false;
	Views aside = { 0 };

	if (!change_args(cx, env, &args) || !set_aside(cx, env, pg, &args.ops, &aside))
		return false;
	for (size_t i = 0; i < args.ops.n; i++) {
		const Op *op = &args.ops.at[i];

		if (op->code == OP_CREATE) {
			shape_ddl_create(&ddl, schema, op->drift ? &args.recreate : &args.create);
		} else if (op->kind != ITEM_STRANGE) {
			shape_ddl_op(&ddl, schema, op);
		} else if (!strange) {
			if (!flush(cx, pg, &ddl) || !remove_strange(cx, env, pg, &args.ops))
				return false;
			strange = true;
		}
	}
	return flush(cx, pg, &ddl) && view_put_back(cx, pg, &aside);
}

static bool
change_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_transaction(cx, env, pg, change_body, false);
}

static bool
change_act(Ctx *cx, StepEnv *env)
{
	if (!shape_locked(cx, env, change_locked))
		return false;
	fault_point("shape.change.acted");
	return true;
}

/* now() and CURRENT_DATE: the value that the rows of that time were given stands in the catalogue. */
static const char *
written_where(Arena *mem, const Placement *at, const Op *op)
{
	Buf b = buf_new(mem);
	const char *cast = strcmp(op->def, "\"date\"") == 0 ? "date" : "timestamptz";

	buf_ident(&b, op->name);
	buf_add(&b, " IS NOT NULL");
	if (op->fallback == NULL)
		return b.text;
	buf_add(&b, " AND ");
	buf_ident(&b, op->name);
	if (strcmp(op->fallback, "\"now\"()") != 0 && strcmp(op->fallback, "CURRENT_DATE") != 0) {
		buf_fmt(&b, " IS DISTINCT FROM %s", op->fallback);
		return b.text;
	}
	buf_fmt(&b,
	    " IS DISTINCT FROM (SELECT (attmissingval::text::%s[])[1] FROM pg_attribute "
	    "WHERE attrelid = '",
	    cast);
	shape_ddl_table(&b, at->schema, op->object);
	buf_add(&b, "'::regclass AND attname = ");
	buf_literal(&b, op->name);
	buf_addc(&b, ')');
	return b.text;
}

static bool
require_unwritten(Ctx *cx, Pg *pg, const Placement *at, const Op *op)
{
	Buf table = buf_new(cx->mem);
	PgRows rows;

	shape_ddl_table(&table, at->schema, op->object);
	const Sql sql = { "shape_written",
		arena_printf(cx->mem, "SELECT count(*) FROM %s WHERE %s", table.text,
		    written_where(cx->mem, at, op)),
		0 };
	if (!pg_script(cx, pg,
		arena_printf(cx->mem, "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", table.text)) ||
	    !shape_rows_begin(cx, pg, at) || !pg_query(cx, pg, &sql, &rows, NULL) ||
	    !shape_rows_end(cx, pg, at))
		return false;
	int64_t n = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return n == 0 ||
	    fail(cx, FAIL_UNDO,
		"Keep the field and go forward (run resume), or empty it "
		"first.",
		"\"%s.%s\" has %lld value%s that would be lost", op->object, op->name, (long long)n,
		n == 1 ? "" : "s");
}

static bool
unchange_checks(Ctx *cx, Pg *pg, const Placement *at, const ChangeArgs *args)
{
	if (!require_empty(cx, pg, at, &args->create))
		return false;
	for (size_t i = 0; i < args->ops.n; i++) {
		const Op *op = &args->ops.at[i];

		if (op->code == OP_ADD && op->kind == ITEM_COLUMN && !op->drift && !op->filled &&
		    !require_unwritten(cx, pg, at, op))
			return false;
	}
	return true;
}

/* The last change first; where objects were made: OP_CREATE, for dropping them. */
static void
inverses(Arena *mem, const Ops *ops, Ops *out)
{
	Op inverse;

	for (size_t i = ops->n; i-- > 0;)
		if (ops->at[i].code == OP_CREATE && !ops->at[i].drift)
			vec_push(mem, out, ops->at[i]);
		else if (shape_op_inverse(&ops->at[i], &inverse))
			vec_push(mem, out, inverse);
}

static bool
unchange_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	const char *schema = env->at->schema;
	Buf ddl = buf_new(cx->mem);
	ChangeArgs args = { 0 };
	Views aside = { 0 };
	Ops back = { 0 };

	if (!change_args(cx, env, &args))
		return false;
	inverses(cx->mem, &args.ops, &back);
	if (!shape_aside(cx, env, pg, &back, &aside) || !unchange_checks(cx, pg, env->at, &args))
		return false;
	for (size_t i = 0; i < back.n; i++)
		if (back.at[i].code == OP_CREATE)
			drop_tables(&ddl, schema, &args.create);
		else if (shape_is_wide_reference(env->at, &back.at[i])) {
			if (!flush(cx, pg, &ddl) || !shape_reference(cx, env, pg, &back.at[i]))
				return false;
		} else
			shape_ddl_op(&ddl, schema, &back.at[i]);
	return flush(cx, pg, &ddl) && view_put_back(cx, pg, &aside);
}

static bool
unchange_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_undo_in(cx, env, pg, unchange_body);
}

static bool
change_undo(Ctx *cx, StepEnv *env)
{
	if (shape_locked(cx, env, unchange_locked))
		return true;
	if (cx->fail->kind != FAIL_DATA)
		return false;
	fail_clear(cx);
	return fail(cx, FAIL_UNDO,
	    "Rows were written that the earlier rules forbid: go forward (run "
	    "resume), or correct them first.",
	    "the data forbids to undo \"%s\"", env->step->title);
}

/* --- constraint.validate, field.fill -------------------------------------------------- */

static bool
validate_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	const char *object = js_get_text(env->step->args, "object");
	const char *name = js_get_text(env->step->args, "name");
	Buf b = buf_new(cx->mem);

	/* With the eyes of a wide table's owner the server sees no row, and would find nothing wrong. */
	if (!shape_guards_check(cx, pg, env->at, js_get(env->step->args, "exact")))
		return false;
	buf_add(&b, "ALTER TABLE ");
	shape_ddl_table(&b, env->at->schema, object == NULL ? "" : object);
	buf_add(&b, " VALIDATE CONSTRAINT ");
	buf_ident(&b, name == NULL ? "" : name);
	return pg_script(cx, pg, b.text);
}

static bool
validate_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_transaction(cx, env, pg, validate_body, false);
}

static bool
validate_act(Ctx *cx, StepEnv *env)
{
	if (!shape_locked(cx, env, validate_locked))
		return false;
	fault_point("constraint.validate.acted");
	return true;
}

static bool
row_undo_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_undo_in(cx, env, pg, shape_nothing);
}

/* What it proved or filled belongs to a shape.change, whose undo takes it away. */
bool
shape_row_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, row_undo_locked);
}

const StepKind shape_kinds[] = {
	{ .name = "shape.create",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = create_act,
	    .probe = shape_row_probe,
	    .undo = create_undo },
	{ .name = "shape.change",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = shape_guard,
	    .act = change_act,
	    .probe = shape_row_probe,
	    .undo = change_undo },
	{ .name = "field.fill",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = fill_act,
	    .probe = shape_row_probe,
	    .undo = shape_row_undo },
	{ .name = "constraint.validate",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = shape_guard,
	    .act = validate_act,
	    .probe = shape_row_probe,
	    .undo = shape_row_undo },
	{ .name = "index.build",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = shape_guard,
	    .act = index_act,
	    .probe = index_probe,
	    .undo = index_undo },
	{ .name = "unique.build",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = shape_guard,
	    .act = unique_act,
	    .probe = unique_probe,
	    .undo = unique_undo },
	{ .name = "shape.drop",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .guard = shape_guard,
	    .act = change_act,
	    .probe = shape_row_probe },
	{ .name = "slot.fill",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = slot_fill_act,
	    .probe = shape_row_probe,
	    .undo = slot_fill_undo },
	{ .name = "views.replace",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = views_act,
	    .probe = shape_row_probe,
	    .undo = views_undo },
	/* What follows empties columns batch by batch: from here there is no way back. */
	{ .name = "slot.release", .undo_class = UNDO_IRREVERSIBLE, .pivot = true },
	{ .name = "slot.clear",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .act = slot_clear_act,
	    .probe = shape_row_probe },
	{ .name = NULL },
};

/*
 * One tenant's rows leave the shared tables: as the keeper, in batches, each a
 * transaction under the fence, so that it can be stopped and goes on where it
 * was.  Children go before what they refer to; where objects refer to each
 * other in a circle, a reference that may be empty is emptied first, and what
 * may not goes in one statement, whose references are checked at its end.
 */
#include <string.h>

#include "deployer/shared.h"

#include "deployer/shared.sql.h"
#include "lib/base/clock.h"

#define ROWS_BATCH 2000

typedef struct RowsEdge {
	size_t child, parent; /* tables */
	const char *column;
	bool required, broken;
} RowsEdge;

typedef struct RowsWork {
	Ctx *cx;
	StepEnv *env;
	Pg *pg;
	Names tables;
	bool *gone; /* by table */
	struct {
		RowsEdge *at;
		size_t n, cap;
	} edges;
} RowsWork;

bool
shared_as_keeper(Ctx *cx, Pg *pg, const Placement *at)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "SET LOCAL ROLE ");
	buf_ident(&b, at->shared->keeper);
	return pg_script(cx, pg, b.text);
}

/* --- which tables there are ---------------------------------------------------------- */

static size_t
table_at(const RowsWork *w, const char *name)
{
	size_t i = 0;

	while (i < w->tables.n && strcmp(w->tables.at[i], name) != 0)
		i++;
	return i;
}

static bool
read_tables(RowsWork *w)
{
	const char *owner = w->env->at->shared->owner;
	Arena *mem = w->cx->mem;
	PgRows rows;

	if (!pg_query(w->cx, w->pg, &SQL_SHARED_TABLES, &rows, &owner))
		return false;
	for (int i = 0; i < rows.n; i++)
		vec_push(mem, &w->tables, arena_dup(mem, pg_text(&rows, i, 0)));
	pg_rows_free(&rows);
	w->gone = arena_alloc(mem, w->tables.n + 1);
	if (!pg_query(w->cx, w->pg, &SQL_SHARED_REFERENCES, &rows, &owner))
		return false;
	for (int i = 0; i < rows.n; i++) {
		RowsEdge e = { .child = table_at(w, pg_text(&rows, i, 0)),
			.parent = table_at(w, pg_text(&rows, i, 1)),
			.column = arena_dup(mem, pg_text(&rows, i, 2)),
			.required = pg_bool(&rows, i, 3) };

		if (e.child < w->tables.n && e.parent < w->tables.n)
			vec_push(mem, &w->edges, e);
	}
	pg_rows_free(&rows);
	return true;
}

/* --- statements ------------------------------------------------------------------------- */

static void
add_table(Buf *b, const char *name)
{
	buf_add(b, "\"" SCHEMA_WIDE "\".");
	buf_ident(b, name);
}

static void
add_own(Buf *b, const RowsWork *w)
{
	buf_add(b, " WHERE \"" WIDE_TENANT "\" = ");
	buf_literal(b, w->env->at->id);
}

/* The batch's rows by where they are: of this tenant nobody else changes any. */
static char *
batch_text(RowsWork *w, const char *verb, const char *table, const char *set, const char *also)
{
	Buf b = buf_new(w->cx->mem);

	buf_add(&b, verb);
	add_table(&b, table);
	buf_fmt(&b, "%s WHERE ctid = ANY (ARRAY(SELECT ctid FROM ", set);
	add_table(&b, table);
	add_own(&b, w);
	buf_fmt(&b, "%s LIMIT %d))", also, ROWS_BATCH);
	return b.text;
}

static char *
delete_text(RowsWork *w, size_t table)
{
	return batch_text(w, "DELETE FROM ", w->tables.at[table], "", "");
}

static char *
empty_text(RowsWork *w, const RowsEdge *e)
{
	Buf set = buf_new(w->cx->mem), also = buf_new(w->cx->mem);

	buf_add(&set, " SET ");
	buf_ident(&set, e->column);
	buf_add(&set, " = NULL");
	buf_add(&also, " AND ");
	buf_ident(&also, e->column);
	buf_add(&also, " IS NOT NULL");
	return batch_text(w, "UPDATE ", w->tables.at[e->child], set.text, also.text);
}

static bool
rows_transact(RowsWork *w, const char *text, int64_t *n)
{
	if (pg_begin(w->cx, w->pg) && ledger_fence(w->cx, w->pg, w->env) &&
	    shared_as_keeper(w->cx, w->pg, w->env->at) && pg_script(w->cx, w->pg, text)) {
		*n = pg_affected(w->pg);
		if (pg_commit(w->cx, w->pg))
			return true;
	}
	pg_rollback(w->pg);
	return false;
}

static bool
rows_batches(RowsWork *w, const char *text)
{
	for (int64_t n = 1; n > 0;) {
		if (!rows_transact(w, text, &n))
			return false;
		if (n > 0)
			fault_point("shared.rows.batch");
	}
	return true;
}

/* --- the order ------------------------------------------------------------------------------ */

static bool
is_active(const RowsWork *w, const RowsEdge *e)
{
	return !e->broken && !w->gone[e->child] && !w->gone[e->parent];
}

/* Does some other table that still has rows refer to it? */
static bool
is_needed(const RowsWork *w, size_t table)
{
	for (size_t i = 0; i < w->edges.n; i++) {
		const RowsEdge *e = &w->edges.at[i];

		if (is_active(w, e) && e->parent == table && e->child != table)
			return true;
	}
	return false;
}

static bool
reaches(const RowsWork *w, size_t from, size_t to, bool *seen)
{
	if (from == to)
		return true;
	if (seen[from])
		return false;
	seen[from] = true;
	for (size_t i = 0; i < w->edges.n; i++) {
		const RowsEdge *e = &w->edges.at[i];

		if (is_active(w, e) && e->child == from && reaches(w, e->parent, to, seen))
			return true;
	}
	return false;
}

/* A reference that may be empty, of table `own` to itself; of none: within a circle of several. */
static RowsEdge *
loose_edge(RowsWork *w, size_t own)
{
	for (size_t i = 0; i < w->edges.n; i++) {
		RowsEdge *e = &w->edges.at[i];
		bool *seen = arena_alloc(w->cx->mem, w->tables.n + 1);
		bool self = e->child == e->parent;

		if (!is_active(w, e) || e->required)
			continue;
		if (own < w->tables.n ? !self || e->child != own : self)
			continue;
		if (self || reaches(w, e->parent, e->child, seen))
			return e;
	}
	return NULL;
}

static bool
break_edge(RowsWork *w, RowsEdge *e)
{
	e->broken = true;
	return rows_batches(w, empty_text(w, e));
}

static bool
holds_itself(const RowsWork *w, size_t table)
{
	for (size_t i = 0; i < w->edges.n; i++)
		if (is_active(w, &w->edges.at[i]) && w->edges.at[i].child == table &&
		    w->edges.at[i].parent == table)
			return true;
	return false;
}

/* References are looked at when the statement ends. */
static char *
whole_text(RowsWork *w, const bool *which)
{
	Buf b = buf_new(w->cx->mem);
	const char *glue = "WITH ";
	size_t n = 0;

	for (size_t i = 0; i < w->tables.n; i++) {
		if (!which[i])
			continue;
		buf_fmt(&b, "%sgone_%zu AS (DELETE FROM ", glue, n++);
		add_table(&b, w->tables.at[i]);
		add_own(&b, w);
		buf_addc(&b, ')');
		glue = ", ";
	}
	buf_add(&b, " SELECT");
	return b.text;
}

static bool
remove_whole(RowsWork *w, const bool *which)
{
	int64_t n;

	if (!rows_transact(w, whole_text(w, which), &n))
		return false;
	for (size_t i = 0; i < w->tables.n; i++)
		w->gone[i] = w->gone[i] || which[i];
	fault_point("shared.rows.whole");
	return true;
}

static bool
remove_table(RowsWork *w, size_t table)
{
	RowsEdge *e;

	while ((e = loose_edge(w, table)))
		if (!break_edge(w, e))
			return false;
	if (holds_itself(w, table)) {
		bool *which = arena_alloc(w->cx->mem, w->tables.n + 1);

		which[table] = true;
		return remove_whole(w, which);
	}
	w->gone[table] = true;
	return rows_batches(w, delete_text(w, table));
}

/* Whatever is left holds each other: all of it at once. */
static bool
remove_circles(RowsWork *w)
{
	RowsEdge *e = loose_edge(w, w->tables.n);
	bool *which = arena_alloc(w->cx->mem, w->tables.n + 1);

	if (e)
		return break_edge(w, e);
	for (size_t i = 0; i < w->tables.n; i++)
		which[i] = !w->gone[i];
	return remove_whole(w, which);
}

static bool
remove_all(RowsWork *w)
{
	for (size_t left = w->tables.n, before; left > 0;) {
		before = left;
		for (size_t i = 0; i < w->tables.n; i++) {
			if (w->gone[i] || is_needed(w, i))
				continue;
			if (!remove_table(w, i))
				return false;
		}
		left = 0;
		for (size_t i = 0; i < w->tables.n; i++)
			left += !w->gone[i];
		if (left == before && !remove_circles(w))
			return false;
	}
	return true;
}

bool
shared_rows_act(Ctx *cx, StepEnv *env)
{
	RowsWork w = { .cx = cx, .env = env };

	if (!roles_session(cx, env, &w.pg))
		return false;
	pg_set_statement_ms(w.pg, SHARED_KEEPER_MS);
	bool done = read_tables(&w) && remove_all(&w) && roles_transact(cx, w.pg, env, "", NULL);

	pg_set_statement_ms(w.pg, 60000);
	return done ||
	    fail_in(cx, "removing the rows of \"%s\" from \"%s\"", env->at->tenant,
		env->at->shared->name);
}

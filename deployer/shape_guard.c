#include "deployer/shape.h"

#include <inttypes.h>
#include <string.h>

#include "deployer/shape.sql.h"

/* More would hold the table's lock for too long. */
#define REWRITE_MAX      ((int64_t)64 << 20)
#define REWRITE_WIDE_MAX ((int64_t)4 << 20) /* where every tenant waits */
#define VIEWS_MAX        50                 /* that are made anew under it */

static const char *const sort_words[GUARD_SORTS] = {
	[GUARD_NONE] = "",
	[GUARD_ROWS] = "rows",
	[GUARD_NULLS] = "nulls",
	[GUARD_LIMIT] = "limit",
	[GUARD_UNIQUE] = "unique",
	[GUARD_ORPHANS] = "orphans",
	[GUARD_REWRITE] = "rewrite",
	[GUARD_RANGE] = "range",
	[GUARD_VIEWS] = "views",
};

Js *
shape_guard_js(Arena *mem, const Guard *g)
{
	Js *o = js_object(mem);

	js_set_text(o, "sort", sort_words[g->sort]);
	js_set_text(o, "object", g->object);
	js_set(o, "columns", shape_names_js(mem, &g->columns));
	js_set_int(o, "limit", g->limit);
	if (g->to != NULL) {
		js_set_text(o, "to", g->to);
		js_set_text(o, "to_column", g->to_column);
	}
	return o;
}

static bool
guard_read(Ctx *cx, const Js *o, Guard *g)
{
	const char *word = js_get_text(o, "sort");

	*g = (Guard){ .object = js_get_text(o, "object"),
		.limit = js_get_int(o, "limit", 0),
		.to = js_get_text(o, "to"),
		.to_column = js_get_text(o, "to_column") };
	shape_names_read(cx->mem, js_get(o, "columns"), &g->columns);
	while (g->sort < GUARD_SORTS && (word == NULL || strcmp(sort_words[g->sort], word) != 0))
		g->sort++;
	if (g->sort == GUARD_SORTS || g->object == NULL || g->columns.n == 0 ||
	    (g->sort == GUARD_ORPHANS && (g->to == NULL || g->to_column == NULL)))
		return shape_damaged(cx);
	return true;
}

static const char *
table_text(Arena *mem, const Placement *at, const char *object)
{
	Buf b = buf_new(mem);

	shape_ddl_table(&b, at->schema, object);
	return b.text;
}

/* What was renamed or made since then was guarded before. */
static bool
guard_applies(Ctx *cx, Pg *pg, const Placement *at, const Guard *g, bool *out)
{
	Buf names = buf_new(cx->mem);
	PgRows rows;

	for (size_t i = 0; i < g->columns.n; i++)
		buf_fmt(&names, "%s%s", i == 0 ? "" : ",", g->columns.at[i]);
	const char *params[] = { table_text(cx->mem, at, g->object), names.text };
	if (!pg_query(cx, pg, &SQL_SHAPE_COLUMNS_PRESENT, &rows, params))
		return false;
	*out = pg_int(&rows, 0, 0) == (int64_t)g->columns.n;
	pg_rows_free(&rows);
	return true;
}

static void
where_set(Buf *b, const Names *columns)
{
	for (size_t i = 0; i < columns->n; i++) {
		buf_add(b, i == 0 ? " WHERE " : " AND ");
		buf_ident(b, columns->at[i]);
		buf_add(b, " IS NOT NULL");
	}
}

/* Where the other object is not there (yet), every value is an orphan. */
static void
orphans_text(Buf *b, const Placement *at, const Guard *g, const char *column, bool target)
{
	buf_fmt(b, "SELECT count(*), 0 FROM %s x WHERE x.%s IS NOT NULL",
	    table_text(b->mem, at, g->object), column);
	if (!target)
		return;
	buf_add(b, " AND NOT EXISTS (SELECT FROM ");
	shape_ddl_table(b, at->schema, g->to);
	buf_add(b, " y WHERE y.");
	buf_ident(b, g->to_column);
	buf_fmt(b, " = x.%s%s)", column,
	    shape_is_wide(at) ? " AND y.\"" WIDE_TENANT "\" = x.\"" WIDE_TENANT "\"" : "");
}

/* Of rows that are limited: those of the tenant that has most. */
static void
rows_text(Buf *b, const Placement *at, const Guard *g, const char *table)
{
	if (shape_is_wide(at) && g->limit > 0)
		buf_fmt(b,
		    "SELECT coalesce(max(n), 0), 0 FROM (SELECT count(*) AS n FROM %s GROUP BY \"" WIDE_TENANT
		    "\") AS tenants",
		    table);
	else
		buf_fmt(b, "SELECT count(*), 0 FROM %s", table);
}

/* A view depends on each column that it shows. */
static void
views_text(Buf *b, const Guard *g, const char *table)
{
	buf_add(b,
	    "SELECT count(DISTINCT w.ev_class), 0 FROM pg_rewrite w JOIN pg_depend d "
	    "ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid JOIN pg_attribute a "
	    "ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.refobjid = ");
	buf_literal(b, table);
	buf_add(b, "::regclass AND a.attname = ");
	buf_literal(b, g->columns.at[0]);
}

static const char *
guard_query(Arena *mem, const Placement *at, const Guard *g, bool target)
{
	const char *table = table_text(mem, at, g->object);
	const char *column = shape_key_text(mem, &g->columns);
	Buf b = buf_new(mem);

	switch (g->sort) {
	case GUARD_ROWS:
		rows_text(&b, at, g, table);
		break;
	case GUARD_NULLS:
		buf_fmt(&b, "SELECT count(*), 0 FROM %s WHERE %s IS NULL", table, column);
		break;
	case GUARD_LIMIT:
		buf_fmt(&b, "SELECT count(*), 0 FROM %s WHERE char_length(%s) > %" PRId64, table,
		    column, g->limit);
		break;
	case GUARD_UNIQUE:
		buf_fmt(&b,
		    "SELECT count(*), coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM %s",
		    table);
		where_set(&b, &g->columns);
		buf_fmt(&b, " GROUP BY %s HAVING count(*) > 1) AS groups",
		    shape_led_text(mem, at, &g->columns));
		break;
	case GUARD_ORPHANS:
		orphans_text(&b, at, g, column, target);
		break;
	case GUARD_REWRITE:
		buf_add(&b, "SELECT pg_total_relation_size(");
		buf_literal(&b, table);
		buf_add(&b, "), 0");
		break;
	case GUARD_RANGE:
		buf_fmt(&b,
		    "SELECT count(*), 0 FROM %s WHERE abs(%s::numeric) >= 10::numeric ^ %" PRId64,
		    table, column, g->limit);
		break;
	case GUARD_VIEWS:
		views_text(&b, g, table);
		break;
	case GUARD_NONE:
	case GUARD_SORTS:
		break;
	}
	return b.text;
}

static const char *
guard_hint(const Guard *g)
{
	switch (g->sort) {
	case GUARD_ROWS:
		return g->limit == 0 ? "Give the field a default, or add it without required, "
				       "fill it, and require it then."
				     : "Add the field without unique, fill it, and make it "
				       "unique then.";
	case GUARD_NULLS:
		return "Fill the field in those rows first.";
	case GUARD_LIMIT:
		return "Shorten those values first, or allow for more.";
	case GUARD_UNIQUE:
		return "Make the values differ first.";
	case GUARD_ORPHANS:
		return "Correct or empty those values first.";
	case GUARD_REWRITE:
		return "Add a new field and move the values in parts.";
	case GUARD_RANGE:
		return "Give the number more digits.";
	case GUARD_VIEWS:
		return "Add a new field, and move the values tenant by tenant.";
	case GUARD_NONE:
	case GUARD_SORTS:
		break;
	}
	return NULL;
}

static const char *
guard_text(Arena *mem, const Guard *g, int64_t n, int64_t rows)
{
	const char *o = g->object, *f = g->columns.at[0];
	const char *s = n == 1 ? "" : "s";

	switch (g->sort) {
	case GUARD_ROWS:
		return g->limit == 0
		    ? arena_printf(mem,
			  "\"%s\" has %" PRId64 " row%s, and "
			  "its new field \"%s\" is required without a default",
			  o, n, s, f)
		    : arena_printf(mem,
			  "\"%s\" has %" PRId64
			  " rows that would all get the same \"%s\", which is unique",
			  o, n, f);
	case GUARD_NULLS:
		return arena_printf(mem, "\"%s.%s\" is empty in %" PRId64 " row%s", o, f, n, s);
	case GUARD_LIMIT:
		return arena_printf(mem,
		    "\"%s.%s\" has %" PRId64 " value%s longer than %" PRId64 " characters", o, f, n,
		    s, g->limit);
	case GUARD_UNIQUE:
		return arena_printf(mem,
		    "\"%s.%s\" has %" PRId64 " value%s that occur%s more "
		    "than once, in %" PRId64 " rows",
		    o, f, n, s, n == 1 ? "s" : "", rows);
	case GUARD_ORPHANS:
		return arena_printf(mem,
		    "\"%s.%s\" has %" PRId64 " value%s that no row of "
		    "\"%s\" has",
		    o, f, n, s, g->to);
	case GUARD_REWRITE:
		return arena_printf(mem,
		    "changing \"%s.%s\" would rewrite a table of %" PRId64 " bytes under a lock", o,
		    f, n);
	case GUARD_RANGE:
		return arena_printf(mem,
		    "\"%s.%s\" has %" PRId64 " value%s too large for its "
		    "new type",
		    o, f, n, s);
	case GUARD_VIEWS:
		return arena_printf(mem,
		    "\"%s.%s\" is shown by %" PRId64
		    " views, of tenants with fields of their own, which would all wait",
		    o, f, n);
	case GUARD_NONE:
	case GUARD_SORTS:
		break;
	}
	return "";
}

static bool
table_there(Ctx *cx, Pg *pg, const Placement *at, const char *object, bool *out)
{
	const char *params[] = { table_text(cx->mem, at, object) };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SHAPE_TABLE_THERE, &rows, params))
		return false;
	*out = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
guard_count(Ctx *cx, Pg *pg, const Placement *at, const Sql *sql, PgRows *rows)
{
	return shape_rows_begin(cx, pg, at) && pg_query(cx, pg, sql, rows, NULL) &&
	    shape_rows_end(cx, pg, at);
}

static int64_t
guard_most(const Placement *at, const Guard *g)
{
	if (g->sort == GUARD_REWRITE)
		return shape_is_wide(at) ? REWRITE_WIDE_MAX : REWRITE_MAX;
	if (g->sort == GUARD_VIEWS)
		return VIEWS_MAX;
	return g->sort == GUARD_ROWS ? g->limit : 0;
}

bool
shape_guard_check(Ctx *cx, Pg *pg, const Placement *at, const Guard *g)
{
	bool applies = false, target = true;
	PgRows rows;

	if (g->sort == GUARD_ROWS ? !table_there(cx, pg, at, g->object, &applies)
				  : !guard_applies(cx, pg, at, g, &applies))
		return false;
	if (!applies)
		return true;
	if (g->sort == GUARD_ORPHANS && !table_there(cx, pg, at, g->to, &target))
		return false;
	const Sql sql = { "shape_guard", guard_query(cx->mem, at, g, target), 0 };
	if (g->sort == GUARD_REWRITE ? !shape_as_us(cx, pg, at, &sql, &rows, NULL)
				     : !guard_count(cx, pg, at, &sql, &rows))
		return false;
	int64_t n = pg_int(&rows, 0, 0), in = pg_int(&rows, 0, 1), most = guard_most(at, g);
	pg_rows_free(&rows);
	return n <= most || fail(cx, FAIL_DATA, guard_hint(g), "%s", guard_text(cx->mem, g, n, in));
}

/* FOREIGN KEY ("_tenant", "owner") REFERENCES "wide"."account"("_tenant", "id") ...: our own names, which
 * have no quotes in them. */
Guard
shape_guard_reference(Arena *mem, const char *object, const char *def)
{
	enum { COLUMN = 1, TARGET = 3, KEY = 5, WORDS };
	const char *word[WORDS] = { "", "", "", "", "", "" }, *p = def;
	Guard g = { .sort = GUARD_ORPHANS, .object = object };

	for (size_t i = 0; i < WORDS && (p = strchr(p, '"')) != NULL; i++) {
		size_t n = strcspn(++p, "\"");

		word[i] = arena_dupn(mem, p, n);
		p += n + (p[n] != '\0');
	}
	g.to = word[TARGET];
	g.to_column = word[KEY];
	vec_push(mem, &g.columns, word[COLUMN]);
	return g;
}

bool
shape_guards_check(Ctx *cx, Pg *pg, const Placement *at, const Js *array)
{
	Guard g;

	for (size_t i = 0; i < js_count(array); i++)
		if (!guard_read(cx, js_at(array, i), &g) || !shape_guard_check(cx, pg, at, &g))
			return false;
	return true;
}

bool
shape_guard(Ctx *cx, StepEnv *env)
{
	const Js *guards = js_get(env->step->args, "guards");
	Pg *pg;

	if (js_count(guards) == 0)
		return true;
	if (!owner_session(cx, env->conns, env->at, &pg))
		return false;
	pg_set_statement_ms(pg, SHAPE_LONG_MS);
	bool ok = shape_guards_check(cx, pg, env->at, guards);
	pg_set_statement_ms(pg, SHAPE_STATEMENT_MS);
	owner_session_end(pg);
	return ok;
}

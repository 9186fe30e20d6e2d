#include "deployer/crowd.h"

#include <inttypes.h>
#include <string.h>

#include "deployer/crowd.sql.h"
#include "deployer/roles.h"

#define CROWD_PAGES    2000    /* of a table without --exact; below that all of it is read */
#define CROWD_COUNT_MS 3600000 /* one table may take */
#define TUPLE_BYTES    28      /* header and line pointer */

typedef struct Size { /* of one table, as the server says */
	const char *schema, *object;
	int64_t pages, bytes, index_bytes, dead, about; /* about: rows, as of the last vacuum */
	const char *vacuumed;
} Size;

typedef struct Sizes {
	Size *at;
	size_t n, cap;
} Sizes;

typedef struct Count { /* of one table: what is asked, and how much of it is read */
	const Object *object;
	const Size *size;
	const char *id; /* its only tenant; NULL: all of a wide table */
	bool wide, exact;
	int64_t millionths; /* of the pages */
} Count;

/* --- figures for people ------------------------------------------------------------ */

char *
crowd_number(Arena *mem, int64_t n)
{
	const char *digits = arena_printf(mem, "%" PRId64, n < 0 ? -n : n);
	size_t len = strlen(digits);
	Buf b = buf_new(mem);

	if (n < 0)
		buf_addc(&b, '-');
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf_addc(&b, ',');
		buf_addc(&b, digits[i]);
	}
	return b.text;
}

char *
crowd_bytes(Arena *mem, int64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;
	int64_t tenths = n > INT64_MAX / 10 ? INT64_MAX : n * 10;

	while (tenths >= 10240 && unit + 1 < LENGTH(units)) {
		tenths /= 1024;
		unit++;
	}
	if (unit == 0 || tenths % 10 == 0)
		return arena_printf(mem, "%" PRId64 " %s", tenths / 10, units[unit]);
	return arena_printf(
	    mem, "%" PRId64 ".%" PRId64 " %s", tenths / 10, tenths % 10, units[unit]);
}

/* --- sizes ---------------------------------------------------------------------------- */

static bool
read_sizes(Ctx *cx, Conns *conns, const CrowdWhat *what, Sizes *out)
{
	Names schemas = { 0 };
	PgRows rows;
	Pg *pg;

	vec_push(cx->mem, &schemas, SCHEMA_WIDE);
	for (size_t i = 0; i < what->own.n; i++)
		vec_push(cx->mem, &schemas, what->own.at[i].schema);
	const char *params[] = { roles_array(cx->mem, &schemas) };
	if (!conns_get(cx, conns, what->shared->cluster, what->shared->dbname, &pg) ||
	    !pg_query(cx, pg, &SQL_CROWD_TABLES, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++) {
		Size s = { pg_text(&rows, i, 0), pg_text(&rows, i, 1), pg_int(&rows, i, 2),
			pg_int(&rows, i, 3), pg_int(&rows, i, 4), pg_int(&rows, i, 5),
			pg_int(&rows, i, 6), pg_value(&rows, i, 7) };
		vec_push(cx->mem, out, s);
	}
	return true;
}

static const Size *
size_of(const Sizes *all, const char *schema, const char *object)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].schema, schema) == 0 &&
		    strcmp(all->at[i].object, object) == 0)
			return &all->at[i];
	return NULL;
}

/* --- counting ------------------------------------------------------------------------- */

static void
row_bytes_text(Buf *b, const Object *o)
{
	buf_fmt(b, "coalesce(sum(%zu", TUPLE_BYTES + (o->fields.n + 8) / 8);
	for (size_t i = 0; i < o->fields.n; i++) {
		buf_add(b, " + coalesce(pg_catalog.pg_column_size(");
		buf_ident(b, o->fields.at[i].name);
		buf_add(b, "), 0)");
	}
	buf_add(b, "), 0)");
}

/* tenant, rows, bytes, rows written lately */
static const char *
count_text(Arena *mem, const Count *c)
{
	Buf b = buf_new(mem);

	buf_add(&b, "SELECT ");
	buf_add(&b, c->wide ? "\"" WIDE_TENANT "\"" : "NULL");
	buf_add(&b, ", count(*), ");
	row_bytes_text(&b, c->object);
	buf_fmt(&b, ", count(*) FILTER (WHERE pg_catalog.age(xmin) BETWEEN 0 AND %d) FROM ",
	    CROWD_LATELY);
	buf_ident(&b, c->size->schema);
	buf_addc(&b, '.');
	buf_ident(&b, c->object->name);
	if (!c->exact)
		buf_fmt(&b, " TABLESAMPLE SYSTEM (%" PRId64 ".%04" PRId64 ") REPEATABLE (1)",
		    c->millionths / 10000, c->millionths % 10000);
	if (c->wide && c->id) {
		buf_add(&b, " WHERE \"" WIDE_TENANT "\" = ");
		buf_literal(&b, c->id);
	}
	buf_add(&b, c->wide ? " GROUP BY 1 ORDER BY 1" : "");
	return b.text;
}

static Count
count_of(const CrowdWhat *what, const Object *o, const Size *size, const char *id)
{
	Count c = { .object = o,
		.size = size,
		.id = id,
		.wide = strcmp(size->schema, SCHEMA_WIDE) == 0,
		.millionths = 1000000 };

	c.exact = what->exact || what->only || size->pages <= CROWD_PAGES;
	if (!c.exact)
		c.millionths = CROWD_PAGES * INT64_C(1000000) / size->pages;
	if (c.millionths < 1)
		c.millionths = 1;
	return c;
}

static int64_t
scaled(const Count *c, int64_t n)
{
	return c->exact ? n : (int64_t)((double)n * 1e6 / (double)c->millionths);
}

/* The indexes are shared out by rows. */
static void
share_indexes(Crowd *out, size_t from, int64_t index_bytes, int64_t rows)
{
	for (size_t i = from; i < out->shares.n && rows > 0; i++)
		out->shares.at[i].bytes += (int64_t)((double)index_bytes *
		    (double)out->shares.at[i].rows / (double)rows);
}

static bool
count_table(Ctx *cx, Pg *pg, const Count *c, Crowd *out)
{
	Sql sql = { "crowd_count", count_text(cx->mem, c), 0 };
	CrowdTable t = { .object = c->object->name,
		.bytes = c->size->bytes,
		.index_bytes = c->size->index_bytes,
		.dead = c->size->dead,
		.vacuumed = c->size->vacuumed };
	size_t from = out->shares.n;
	PgRows rows;

	if (!pg_query(cx, pg, &sql, &rows, NULL))
		return fail_in(cx, "counting the rows of \"%s\"", c->object->name);
	for (int i = 0; i < rows.n; i++) {
		CrowdShare s = { .id = c->wide ? arena_dup(cx->mem, pg_text(&rows, i, 0)) : c->id,
			.object = c->object->name,
			.rows = scaled(c, pg_int(&rows, i, 1)),
			.bytes = scaled(c, pg_int(&rows, i, 2)),
			.lately = scaled(c, pg_int(&rows, i, 3)),
			.exact = c->exact };
		if (s.rows == 0)
			continue;
		t.rows += s.rows;
		t.row_bytes += s.bytes;
		vec_push(cx->mem, &out->shares, s);
	}
	pg_rows_free(&rows);
	share_indexes(out, from, c->size->index_bytes,
	    c->wide && c->id && c->size->about > t.rows ? c->size->about : t.rows);
	if (c->wide && !c->id)
		vec_push(cx->mem, &out->tables, t);
	return true;
}

static bool
count_model(Ctx *cx, Conns *conns, const CrowdWhat *what, const Sizes *sizes, const char *schema,
    const Model *m, const char *id, Crowd *out)
{
	const Shared *s = what->shared;
	bool wide = strcmp(schema, SCHEMA_WIDE) == 0;
	Pg *pg;

	if (!conns_get_as(cx, conns, s->cluster, s->dbname, wide ? s->keeper : s->owner, &pg))
		return false;
	pg_set_statement_ms(pg, CROWD_COUNT_MS);
	for (size_t i = 0; i < m->objects.n; i++) {
		const Size *size = size_of(sizes, schema, m->objects.at[i].name);
		Count c;

		if (!size)
			continue; /* plan tells of what is missing */
		c = count_of(what, &m->objects.at[i], size, id);
		if (!count_table(cx, pg, &c, out))
			return false;
	}
	return true;
}

bool
crowd_count(Ctx *cx, Conns *conns, const CrowdWhat *what, Crowd *out)
{
	Sizes sizes = { 0 };
	Crowd all = { 0 };

	if (!read_sizes(cx, conns, what, &sizes) ||
	    !count_model(cx, conns, what, &sizes, SCHEMA_WIDE, what->wide, what->only, &all))
		return fail_in(cx, "counting shared database \"%s\"", what->shared->name);
	for (size_t i = 0; i < what->own.n; i++) {
		const CrowdOwn *own = &what->own.at[i];

		if (what->only && strcmp(what->only, own->id) != 0)
			continue;
		if (!count_model(cx, conns, what, &sizes, own->schema, own->model, own->id, &all))
			return fail_in(cx, "counting shared database \"%s\"", what->shared->name);
	}
	*out = all;
	return true;
}

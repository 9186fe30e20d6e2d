#include "deployer/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

#define BATCH_ROWS  5000
#define BATCH_BYTES ((size_t)1 << 20)
#define ROW_BYTES   ((size_t)1000 << 20) /* the server takes less than 1 GiB as one message */

/*
 * Every rule stands while rows come, so they come in an order in which each finds what it refers
 * to; what cannot (a reference to a row of the same object, or of one that comes later) is set
 * when all rows are there.  Until then such a field is null, or, where it is required, refers to
 * its own row.
 */
typedef struct Insert {
	Load *l;
	size_t n;           /* objects */
	DataObject **order; /* as they are loaded */
	bool **later;       /* by object as ordered and by pair: set afterwards */
} Insert;

typedef struct Batch { /* rows of one object as array literals, one a column */
	DataObject *object;
	const bool *wanted, *later; /* by pair; wanted NULL: all */
	size_t columns;
	Buf *arrays;
	const char **params;
	size_t bytes;
	int64_t rows, before; /* before: those of earlier batches */
	bool update;
} Batch;

/* --- the order ---------------------------------------------------------------- */

typedef struct Sorting {
	Insert *in;
	bool *placed;
} Sorting;

static const Field *
model_field(const Match *m, const Pair *p)
{
	return object_field(m->object, p->field.name);
}

/* The loaded object that the field refers to, or the number of all: none. */
static size_t
target_of(const Insert *in, const Match *m, const Pair *p)
{
	const Field *f = model_field(m, p);
	const DataReport *r = in->l->report;
	size_t i = 0;

	if (f->type != TYPE_REFERENCE)
		return in->n;
	while (i < in->n && strcmp(r->objects.at[i].match->object->name, f->to) != 0)
		i++;
	return i;
}

/* An object that has to be there before object `i`, or the number of all.  Without a key its rows
 * cannot be found again, so that nothing can be set afterwards. */
static size_t
waits_for(const Sorting *s, size_t i, bool optional_too)
{
	const Match *m = s->in->l->report->objects.at[i].match;

	for (size_t j = 0; j < m->pairs.n; j++) {
		size_t to = target_of(s->in, m, &m->pairs.at[j]);
		if (to == s->in->n || to == i || s->placed[to])
			continue;
		if (optional_too || !m->key_matched || model_field(m, &m->pairs.at[j])->required)
			return to;
	}
	return s->in->n;
}

static bool *
set_later(const Sorting *s, size_t i)
{
	const Match *m = s->in->l->report->objects.at[i].match;
	bool *later = arena_alloc(s->in->l->cx->mem, (m->pairs.n + 1) * sizeof *later);

	for (size_t j = 0; m->key_matched && j < m->pairs.n; j++) {
		size_t to = target_of(s->in, m, &m->pairs.at[j]);
		later[j] = to < s->in->n && (to == i || !s->placed[to]);
	}
	return later;
}

static bool
place_next(Sorting *s, size_t at, bool optional_too)
{
	Insert *in = s->in;

	for (size_t i = 0; i < in->n; i++) {
		if (s->placed[i] || waits_for(s, i, optional_too) < in->n)
			continue;
		in->order[at] = &in->l->report->objects.at[i];
		in->later[at] = set_later(s, i);
		s->placed[i] = true;
		return true;
	}
	return false;
}

/* Following what each waits for leads into the circle, wherever it began. */
static bool
circle(const Sorting *s)
{
	const Insert *in = s->in;
	size_t i = 0;

	while (s->placed[i])
		i++;
	for (size_t k = 0; k < in->n; k++)
		i = waits_for(s, i, false);
	return fail(in->l->cx, FAIL_REFUSED,
	    "Let one of these references be optional until the rows are there, or choose another mode.",
	    "object \"%s\": required references lead from it back to it, so that no row can come first",
	    in->l->report->objects.at[i].match->object->name);
}

/* Its own key can stand in a required field for a while, but not if that must be unique. */
static bool
own_key_fits(const Insert *in, size_t at)
{
	const Match *m = in->order[at]->match;

	for (size_t j = 0; j < m->pairs.n; j++) {
		const Field *f = model_field(m, &m->pairs.at[j]);
		if (in->later[at][j] && f->required && f->unique)
			return fail(in->l->cx, FAIL_REFUSED,
			    "Let the field be optional until the rows are there, or choose another mode.",
			    "object \"%s\": field \"%s\" is required and unique and refers to its own object",
			    m->object->name, f->name);
	}
	return true;
}

static bool
make_order(Insert *in)
{
	Arena *mem = in->l->cx->mem;
	Sorting s = { in, arena_alloc(mem, (in->n + 1) * sizeof *s.placed) };

	in->order = arena_alloc(mem, (in->n + 1) * sizeof *in->order);
	in->later = arena_alloc(mem, (in->n + 1) * sizeof *in->later);
	for (size_t at = 0; at < in->n; at++)
		if (!place_next(&s, at, true) && !place_next(&s, at, false))
			return circle(&s);
		else if (!own_key_fits(in, at))
			return false;
	return true;
}

/* --- rows as arrays --------------------------------------------------------------- */

static void
batch_clear(Batch *b)
{
	b->before += b->rows;
	b->rows = 0;
	b->bytes = 0;
	for (size_t i = 0; i < b->columns; i++) {
		buf_clear(&b->arrays[i]);
		buf_addc(&b->arrays[i], '{');
	}
}

static Batch *
batch_new(Arena *mem, DataObject *o, const bool *wanted, const bool *later)
{
	Batch *b = arena_alloc(mem, sizeof *b);

	*b = (Batch){ .object = o, .wanted = wanted, .later = later, .update = wanted != NULL };
	for (size_t i = 0; i < o->match->pairs.n; i++)
		b->columns += wanted == NULL || wanted[i];
	b->arrays = arena_alloc(mem, (b->columns + 1) * sizeof *b->arrays);
	b->params = arena_alloc(mem, (b->columns + 1) * sizeof *b->params);
	for (size_t i = 0; i < b->columns; i++)
		b->arrays[i] = buf_new_max(mem, 2 * ROW_BYTES);
	batch_clear(b);
	return b;
}

static size_t
plain_length(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && *p != '\\' && *p != '"')
		p++;
	return (size_t)(p - from);
}

/* From the text form of COPY to that of arrays. */
static void
add_element(Buf *b, const char *p, const char *end)
{
	static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";

	if (end - p == 2 && p[0] == '\\' && p[1] == 'N') {
		buf_add(b, "NULL");
		return;
	}
	buf_addc(b, '"');
	while (p < end) {
		size_t n = plain_length(p, end);
		buf_addn(b, p, n);
		p += n;
		if (p == end)
			break;
		char c = *p++;
		if (c == '\\' && p < end) {
			const char *known = strchr(from, c = *p++);
			c = known != NULL ? to[known - from] : c;
		}
		if (c == '\\' || c == '"')
			buf_addc(b, '\\');
		buf_addc(b, c);
	}
	buf_addc(b, '"');
}

static bool
bad_row(Load *l, const Batch *b)
{
	return fail(l->cx, FAIL_SERVER, NULL, "a row of table \"%s\" came with other columns",
	    b->object->match->table->name);
}

static bool
batch_add(Load *l, Batch *b, const char *line, size_t n)
{
	const char *end = line + n - 1, *p = line;
	size_t before = b->bytes;

	if (*end != '\n' || memchr(line, '\0', n) != NULL)
		return bad_row(l, b);
	for (size_t i = 0; i < b->columns; i++) {
		const char *tab = memchr(p, '\t', (size_t)(end - p));
		if ((tab == NULL) != (i + 1 == b->columns))
			return bad_row(l, b);
		Buf *a = &b->arrays[i];
		b->bytes -= a->len;
		buf_add(a, b->rows == 0 ? "" : ",");
		add_element(a, p, tab != NULL ? tab : end);
		b->bytes += a->len;
		p = tab != NULL ? tab + 1 : end;
	}
	b->rows++;
	return b->bytes - before < ROW_BYTES ||
	    fail(l->cx, FAIL_LIMIT, "Load such a row by another way.",
		"a row of table \"%s\" has more than %zu MiB", b->object->match->table->name,
		ROW_BYTES >> 20);
}

static bool
batch_full(const Batch *b)
{
	return b->rows >= BATCH_ROWS || b->bytes >= BATCH_BYTES;
}

/* --- statements --------------------------------------------------------------------- */

static bool
is_wanted(const Batch *b, size_t pair)
{
	return b->wanted == NULL || b->wanted[pair];
}

/* unnest($1::bigint[], $2::text[]) AS v (c0, c4): columns have the numbers of their pairs. */
static void
add_arrays(Buf *out, const Batch *b)
{
	const Match *m = b->object->match;
	size_t n = 0;

	buf_add(out, " FROM unnest(");
	for (size_t i = 0; i < m->pairs.n; i++)
		if (is_wanted(b, i)) {
			n++;
			buf_fmt(out, "%s$%zu::%s[]", n == 1 ? "" : ", ", n,
			    source_type(m->pairs.at[i].field.type));
		}
	buf_add(out, ") AS v (");
	n = 0;
	for (size_t i = 0; i < m->pairs.n; i++)
		if (is_wanted(b, i))
			buf_fmt(out, "%sc%zu", n++ == 0 ? "" : ", ", i);
	buf_add(out, ")");
}

static size_t
key_pair(const Match *m)
{
	size_t i = 0;

	while (strcmp(m->pairs.at[i].field.name, m->object->key.at[0]) != 0)
		i++;
	return i;
}

static void
add_value(Buf *out, const Batch *b, size_t i, bool as_null)
{
	const Pair *p = &b->object->match->pairs.at[i];

	if (!as_null && !b->later[i])
		buf_fmt(out, "v.c%zu", i);
	else if (!as_null && model_field(b->object->match, p)->required)
		buf_fmt(out, "v.c%zu", key_pair(b->object->match));
	else
		buf_fmt(out, "NULL::%s", source_type(p->field.type));
}

/* `null`: the pair that is null instead of its values; the number of pairs: none. */
static char *
insert_text(Arena *mem, const Batch *b, size_t null, int64_t rows)
{
	const Match *m = b->object->match;
	Buf out = buf_new(mem);

	buf_fmt(&out, "INSERT INTO %s (", m->here.name);
	for (size_t i = 0; i < m->pairs.n; i++)
		buf_fmt(&out, "%s%s", i == 0 ? "" : ", ", m->pairs.at[i].here);
	buf_add(&out, ") SELECT ");
	for (size_t i = 0; i < m->pairs.n; i++) {
		buf_add(&out, i == 0 ? "" : ", ");
		add_value(&out, b, i, i == null);
	}
	add_arrays(&out, b);
	buf_fmt(&out, " LIMIT %" PRId64, rows);
	return out.text;
}

static char *
update_text(Arena *mem, const Batch *b)
{
	const Match *m = b->object->match;
	Buf out = buf_new(mem);
	bool first = true;

	buf_fmt(&out, "UPDATE %s AS t SET ", m->here.name);
	for (size_t i = 0; i < m->pairs.n; i++) {
		if (!b->later[i])
			continue;
		buf_fmt(&out, "%s%s = v.c%zu", first ? "" : ", ", m->pairs.at[i].here, i);
		first = false;
	}
	add_arrays(&out, b);
	first = true;
	for (size_t i = 0; i < m->pairs.n; i++) {
		if (!object_key_has(m->object, m->pairs.at[i].field.name))
			continue;
		buf_fmt(
		    &out, "%st.%s = v.c%zu", first ? " WHERE " : " AND ", m->pairs.at[i].here, i);
		first = false;
	}
	return out.text;
}

static bool
run_text(Ctx *cx, Pg *pg, const Batch *b, const char *text)
{
	Sql sql = { "rows", text, (int)b->columns };

	for (size_t i = 0; i < b->columns; i++)
		b->params[i] = b->arrays[i].text;
	return pg_do(cx, pg, &sql, b->params);
}

/* --- which row it was ----------------------------------------------------------------- */

/* Does it fail with this SQLSTATE?  In a transaction of its own; nothing stays. */
static bool
fails_with(Load *l, const Batch *b, const char *sqlstate, size_t null, int64_t rows)
{
	Ctx own = ctx_new(l->cx->mem);
	bool good = pg_begin(&own, l->pg) &&
	    run_text(&own, l->pg, b, insert_text(own.mem, b, null, rows));
	bool same = !good && pg_failed_with(l->pg, sqlstate);

	pg_rollback(l->pg);
	arena_free(own.mem);
	return same;
}

/* Rows go in one after the other and the first bad one ends it: only a reference, which is looked
 * at when all are in, and a value that an earlier batch had cannot be found in this way. */
static int64_t
bad_row_of(Load *l, const Batch *b, const char *sqlstate)
{
	size_t all = b->object->match->pairs.n;
	int64_t good = 0, bad = b->rows;

	if (strcmp(sqlstate, "23503") == 0 || !fails_with(l, b, sqlstate, all, bad))
		return 0;
	while (bad - good > 1) {
		int64_t middle = good + (bad - good) / 2;
		if (fails_with(l, b, sqlstate, all, middle))
			bad = middle;
		else
			good = middle;
	}
	return bad;
}

/* Of a number that is too large the server names no column; without the guilty one it says another
 * thing, or nothing. */
static const char *
large_field(Load *l, const Batch *b, int64_t rows)
{
	const Match *m = b->object->match;

	for (size_t i = 0; i < m->pairs.n; i++)
		if (m->pairs.at[i].field.precision > 0 && !fails_with(l, b, "22003", i, rows))
			return m->pairs.at[i].field.name;
	return "";
}

static bool
insert_failed(Load *l, const Batch *b)
{
	PgError e = *pg_error(l->pg);
	int64_t row = 0;
	bool by_row = strncmp(e.sqlstate, "22", 2) == 0 || strncmp(e.sqlstate, "23", 2) == 0;

	pg_rollback(l->pg);
	if (by_row && pg_alive(l->pg))
		row = bad_row_of(l, b, e.sqlstate);
	if (row > 0 && strcmp(e.sqlstate, "22003") == 0)
		snprintf(e.column, sizeof e.column, "%s", large_field(l, b, row));
	e.line = row > 0 ? b->before + row : 0;
	return load_failed(l, b->object->match, &e);
}

/* --- rows ------------------------------------------------------------------------------ */

static void
batch_close(Batch *b)
{
	for (size_t i = 0; i < b->columns; i++)
		buf_addc(&b->arrays[i], '}');
}

static bool
batch_write(Load *l, Batch *b)
{
	Ctx own = { arena_new(l->cx->mem), l->cx->fail };
	size_t all = b->object->match->pairs.n;

	if (b->rows == 0)
		return true;
	batch_close(b);
	if (!run_text(&own, l->pg, b,
		b->update ? update_text(own.mem, b) : insert_text(own.mem, b, all, b->rows)))
		return b->update ? load_failed(l, b->object->match, pg_error(l->pg))
				 : insert_failed(l, b);
	if (pg_affected(l->pg) != b->rows)
		return fail(l->cx, FAIL_SERVER, NULL,
		    "object \"%s\": %" PRId64 " rows were sent, %" PRId64 " arrived",
		    b->object->match->object->name, b->rows, pg_affected(l->pg));
	batch_clear(b);
	arena_free(own.mem); /* a failure's text lives there */
	return true;
}

static bool
pump(Load *l, Batch *b)
{
	DataObject *o = b->object;
	int64_t shown = clock_mono_ms();
	const char *line;
	size_t n;

	for (;;) {
		if (!pg_copy_out_next(l->cx, l->source->pg, &line, &n))
			return load_source_failed(l, o);
		if (n == 0)
			return batch_write(l, b);
		if (!batch_add(l, b, line, n))
			return false;
		o->rows += !b->update;
		o->bytes += b->update ? 0 : (int64_t)n;
		if (!batch_full(b))
			continue;
		if (!batch_write(l, b))
			return false;
		load_show(o, &shown);
	}
}

static bool
insert_object(Load *l, DataObject *o, const bool *later)
{
	Arena *mem = arena_new(l->cx->mem);
	int64_t started = clock_mono_ms();

	if (!load_copy_out(l, o, NULL, "") || !pump(l, batch_new(mem, o, NULL, later)))
		return false;
	arena_free(mem);
	o->ms = clock_mono_ms() - started;
	l->report->rows += o->rows;
	l->report->bytes += o->bytes;
	return true;
}

static bool
update_object(Load *l, DataObject *o, const bool *later)
{
	const Match *m = o->match;
	Arena *mem = arena_new(l->cx->mem);
	bool *wanted = arena_alloc(mem, (m->pairs.n + 1) * sizeof *wanted);
	int64_t started = clock_mono_ms();
	Buf where = buf_new(mem);

	for (size_t i = 0; i < m->pairs.n; i++) {
		wanted[i] = later[i] || object_key_has(m->object, m->pairs.at[i].field.name);
		if (!later[i])
			continue;
		buf_add(&where, where.len == 0 ? " WHERE " : " OR ");
		source_value(&where, m->pairs.at[i].column, &m->pairs.at[i].field);
		buf_add(&where, " IS NOT NULL");
	}
	if (where.len > 0 &&
	    (!load_copy_out(l, o, wanted, where.text) ||
		!pump(l, batch_new(mem, o, wanted, later))))
		return false;
	arena_free(mem);
	o->ms += clock_mono_ms() - started;
	return true;
}

static bool
insert_rows(Insert *in)
{
	for (size_t i = 0; i < in->n; i++)
		if (!insert_object(in->l, in->order[i], in->later[i]))
			return false;
	for (size_t i = 0; i < in->n; i++)
		if (!update_object(in->l, in->order[i], in->later[i]))
			return false;
	return true;
}

/* Nothing kept the tenant's own sessions from writing beside us. */
static bool
rows_are_ours(Insert *in)
{
	for (size_t i = 0; i < in->n; i++) {
		const DataObject *o = in->order[i];
		int64_t n;
		if (!load_count(in->l->cx, in->l->pg, o->match->here.name, "", &n))
			return false;
		if (n != o->rows)
			return fail(in->l->cx, FAIL_REFUSED,
			    "Stop the tenant's application, remove its rows and load again; nothing was loaded.",
			    "object \"%s\": the tenant's own sessions wrote while its rows were loaded",
			    o->match->object->name);
	}
	return true;
}

/* --- all or nothing ---------------------------------------------------------------------- */

/* A plan for this tenant alone would rest on statistics that have never seen it: see load_hold.c. */
static const char for_any_tenant[] = "SET LOCAL plan_cache_mode = force_generic_plan";

static bool
insert_transaction(Insert *in)
{
	Load *l = in->l;

	return pg_begin(l->cx, l->pg) && pg_script(l->cx, l->pg, for_any_tenant) &&
	    load_is_empty(l) && insert_rows(in) && rows_are_ours(in) && pg_commit(l->cx, l->pg);
}

bool
load_insert(Load *l)
{
	Insert in = { .l = l, .n = l->report->objects.n };
	bool good = make_order(&in) && load_hold(l) && insert_transaction(&in);

	if (l->ours != NULL)
		load_hold_end(l, good);
	pg_rollback(l->pg);
	return good;
}

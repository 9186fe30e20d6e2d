#include "deployer/load.h"

#include <inttypes.h>
#include <string.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/map.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define COMPARE_STATEMENT_MS ((int64_t)24 * 3600 * 1000)
#define BUCKETS              1024
#define BATCH_ROWS           200000 /* rows of unequal buckets that are held at once */
#define BATCH_BYTES          ((size_t)1 << 30)

typedef struct Side {
	Pg *pg;
	const Source *source; /* NULL: the tenant's side */
} Side;

typedef struct Compare {
	Ctx *cx;
	Side here, there;
	int64_t until;
	bool show_values;
	unsigned char
	    key[KEY_BYTES]; /* of this comparison alone: surrogates mean nothing elsewhere */
} Compare;

/* --- the same canonical text on both servers ------------------------------------ */

static void
add_value(Buf *b, const Side *s, const Pair *p)
{
	if (s->source == NULL)
		buf_add(b, p->here);
	else
		source_value(b, p->column, &p->field);
}

static void
add_canonical(Buf *b, const Side *s, const Pair *p)
{
	if (p->field.type == TYPE_NUMBER)
		buf_add(b, "pg_catalog.trim_scale(");
	add_value(b, s, p);
	buf_add(b, p->field.type == TYPE_NUMBER ? ")::text" : "::text");
}

/* ROW(a, b)::text tells null from '' and is the same text for the same values only. */
static void
add_row(Buf *b, const Side *s, const Match *m, bool key_only)
{
	bool first = true;

	buf_add(b, "ROW(");
	for (size_t i = 0; i < m->pairs.n; i++) {
		const Pair *p = &m->pairs.at[i];
		if (key_only && m->key_matched && !object_key_has(m->object, p->field.name))
			continue;
		buf_add(b, first ? "" : ", ");
		add_canonical(b, s, p);
		first = false;
	}
	buf_add(b, ")::text");
}

static void
add_from(Buf *b, const Side *s, const Match *m)
{
	buf_add(b, " FROM ");
	if (s->source == NULL)
		buf_add(b, m->here.name);
	else
		source_relation(b, s->source, m->table);
}

static void
add_md5(Buf *b, const Side *s, const Match *m, bool key_only)
{
	buf_add(b, "pg_catalog.md5(pg_catalog.convert_to(");
	add_row(b, s, m, key_only);
	buf_add(b, ", 'UTF8'))");
}

static void
add_bucket(Buf *b, const Side *s, const Match *m)
{
	buf_add(b, "(('x' || left(");
	add_md5(b, s, m, true);
	buf_fmt(b, ", 3))::bit(12)::int & %d)", BUCKETS - 1);
}

static const char halves[] = "coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0),"
			     " coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)";

static bool
is_summed(const Match *m, const Pair *p)
{
	const Field *f = object_field(m->object, p->field.name);

	return (f->type == TYPE_INTEGER || f->type == TYPE_NUMBER) &&
	    !object_key_has(m->object, f->name);
}

static bool
ask(Compare *c, const Side *s, const char *text, PgRows *rows)
{
	Sql sql = { "a comparison", text, 0 };

	return pg_query(c->cx, s->pg, &sql, rows, NULL);
}

/* --- whole objects ----------------------------------------------------------------- */

/* OFFSET 0 keeps the planner from computing each digest twice. */
static char *
summary_text(Compare *c, const Side *s, const Match *m)
{
	Buf b = buf_new(c->cx->mem);

	buf_fmt(&b, "SELECT count(*), %s", halves);
	for (size_t i = 0; i < m->pairs.n; i++)
		if (is_summed(m, &m->pairs.at[i]))
			buf_fmt(&b,
			    ", pg_catalog.trim_scale(coalesce(sum(n%zu), 0)::numeric)::text", i);
	buf_add(&b, " FROM (SELECT ");
	add_md5(&b, s, m, false);
	buf_add(&b, " AS h");
	for (size_t i = 0; i < m->pairs.n; i++)
		if (is_summed(m, &m->pairs.at[i])) {
			buf_add(&b, ", ");
			add_value(&b, s, &m->pairs.at[i]);
			buf_fmt(&b, " AS n%zu", i);
		}
	add_from(&b, s, m);
	buf_add(&b, " OFFSET 0) q");
	return b.text;
}

static const char *
digest_of(Compare *c, const PgRows *rows)
{
	const char *text = arena_printf(
	    c->cx->mem, "%s %s %s", pg_text(rows, 0, 0), pg_text(rows, 0, 1), pg_text(rows, 0, 2));

	return arena_printf(
	    c->cx->mem, "%.32s", hmac_hex(c->cx->mem, c->key, sizeof c->key, text, strlen(text)));
}

static void
take_sums(Compare *c, CompareObject *o, const PgRows *here, const PgRows *there)
{
	int column = 3;

	for (size_t i = 0; i < o->match->pairs.n; i++) {
		const Pair *p = &o->match->pairs.at[i];
		if (!is_summed(o->match, p))
			continue;
		CompareSum sum = { p->field.name, arena_dup(c->cx->mem, pg_text(here, 0, column)),
			arena_dup(c->cx->mem, pg_text(there, 0, column)) };
		vec_push(c->cx->mem, &o->sums, sum);
		column++;
	}
}

static bool
compare_whole(Compare *c, CompareObject *o)
{
	PgRows here, there;

	if (!ask(c, &c->here, summary_text(c, &c->here, o->match), &here) ||
	    !ask(c, &c->there, summary_text(c, &c->there, o->match), &there))
		return false;
	o->rows_here = pg_int(&here, 0, 0);
	o->rows_there = pg_int(&there, 0, 0);
	o->digest_here = digest_of(c, &here);
	o->digest_there = digest_of(c, &there);
	o->equal = strcmp(o->digest_here, o->digest_there) == 0;
	take_sums(c, o, &here, &there);
	pg_rows_free(&there);
	pg_rows_free(&here);
	return true;
}

/* --- buckets of keys ------------------------------------------------------------------ */

typedef struct Bucket {
	int64_t rows;
	const char *low, *high;
} Bucket;

static bool
read_buckets(Compare *c, const Side *s, const Match *m, Bucket *out)
{
	Buf b = buf_new(c->cx->mem);
	PgRows rows;

	buf_fmt(&b, "SELECT b, count(*), %s FROM (SELECT ", halves);
	add_bucket(&b, s, m);
	buf_add(&b, " AS b, ");
	add_md5(&b, s, m, false);
	buf_add(&b, " AS h");
	add_from(&b, s, m);
	buf_add(&b, " OFFSET 0) q GROUP BY b");
	if (!ask(c, s, b.text, &rows))
		return false;
	for (int i = 0; i < rows.n; i++) {
		int64_t at = pg_int(&rows, i, 0);
		if (at < 0 || at >= BUCKETS)
			continue;
		out[at] = (Bucket){ pg_int(&rows, i, 1),
			arena_dup(c->cx->mem, pg_text(&rows, i, 2)),
			arena_dup(c->cx->mem, pg_text(&rows, i, 3)) };
	}
	pg_rows_free(&rows);
	return true;
}

static bool
buckets_equal(const Bucket *a, const Bucket *b)
{
	return a->rows == b->rows &&
	    (a->rows == 0 || (strcmp(a->low, b->low) == 0 && strcmp(a->high, b->high) == 0));
}

/* --- rows of unequal buckets ------------------------------------------------------------ */

typedef struct RowSeen {
	int64_t here, there; /* how often; more than once only where the key is not known */
	const char *hashes;  /* one a pair, tab-separated, as the COPY brought them */
	const char *other;   /* of the other side, where they differ */
} RowSeen;

static char *
rows_text(Arena *mem, const Side *s, const Match *m, const char *buckets)
{
	Buf b = buf_new(mem);

	buf_add(&b, "COPY (SELECT ");
	add_row(&b, s, m, true);
	for (size_t i = 0; i < m->pairs.n; i++) {
		buf_add(&b, ", pg_catalog.md5(pg_catalog.convert_to(");
		add_canonical(&b, s, &m->pairs.at[i]);
		buf_add(&b, ", 'UTF8'))");
	}
	add_from(&b, s, m);
	buf_add(&b, " WHERE ");
	add_bucket(&b, s, m);
	buf_fmt(&b, " IN (%s)) TO STDOUT", buckets);
	return b.text;
}

static void
take_row(Arena *mem, Map *seen, bool here, const char *line, size_t n)
{
	const char *tab = memchr(line, '\t', n);

	if (tab == NULL)
		return;
	const char *key = arena_dupn(mem, line, (size_t)(tab - line));
	const char *hashes = arena_dupn(mem, tab + 1, n - (size_t)(tab - line) - 1);
	RowSeen *row = map_get(seen, key);
	if (row == NULL) {
		row = arena_alloc(mem, sizeof *row);
		row->hashes = hashes;
		map_set(seen, key, row);
	} else if (strcmp(row->hashes, hashes) != 0) {
		row->other = hashes;
	}
	row->here += here;
	row->there += !here;
}

static bool
too_many_rows(Ctx *cx, const Match *m)
{
	return fail(cx, FAIL_LIMIT, "Give the object a key that its rows can be told apart by.",
	    "object \"%s\": more rows differ than can be held, or more came than were counted",
	    m->object->name);
}

/* In one snapshot no more rows can come than were counted; a server that sends more lies. */
static bool
read_rows(Ctx *cx, const Side *s, const Match *m, const char *buckets, int64_t counted, Map *seen)
{
	size_t bytes = 0;
	const char *line;
	size_t n;

	if (!pg_copy_out_begin(cx, s->pg, rows_text(cx->mem, s, m, buckets)))
		return false;
	for (;;) {
		if (!pg_copy_out_next(cx, s->pg, &line, &n))
			return false;
		if (n == 0)
			return true;
		bytes += n;
		if (counted-- <= 0 || bytes > BATCH_BYTES)
			return too_many_rows(cx, m);
		take_row(cx->mem, seen, s->source == NULL, line, n);
	}
}

/* The text form of COPY writes some characters as \n, \t, \\... */
static char *
unescaped(Arena *mem, const char *text)
{
	static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
	Buf b = buf_new(mem);

	for (; *text != '\0'; text++) {
		if (*text == '\\' && text[1] != '\0') {
			const char *known = strchr(from, *++text);
			buf_addc(&b, known != NULL ? to[known - from] : *text);
		} else {
			buf_addc(&b, *text);
		}
	}
	return b.text;
}

static void
add_fields(Arena *mem, RowDiff *d, const Match *m, const RowSeen *row)
{
	const char *a = row->hashes, *b = row->other;

	for (size_t i = 0; i < m->pairs.n; i++) {
		size_t an = strcspn(a, "\t\n"), bn = strcspn(b, "\t\n");
		if (an != bn || memcmp(a, b, an) != 0)
			vec_push(mem, &d->fields, m->pairs.at[i].field.name);
		a += an + (a[an] != '\0');
		b += bn + (b[bn] != '\0');
	}
}

static void
add_diff(Compare *c, CompareObject *o, DiffKind kind, const char *key, const RowSeen *row)
{
	Arena *mem = c->cx->mem;
	RowDiff d = { .kind = kind };

	if (o->diffs.n >= COMPARE_SHOWN)
		return;
	key = unescaped(mem, key);
	d.key = c->show_values
	    ? key
	    : arena_printf(mem, "%.12s", hmac_hex(mem, c->key, sizeof c->key, key, strlen(key)));
	if (kind == DIFF_VALUES)
		add_fields(mem, &d, o->match, row);
	vec_push(mem, &o->diffs, d);
}

static void
judge_row(Compare *c, CompareObject *o, const char *key, const RowSeen *row)
{
	if (row->here > row->there) {
		o->missing_there += row->here - row->there;
		add_diff(c, o, DIFF_MISSING_THERE, key, row);
	} else if (row->there > row->here) {
		o->missing_here += row->there - row->here;
		add_diff(c, o, DIFF_MISSING_HERE, key, row);
	} else if (row->other != NULL) {
		o->different += row->here;
		add_diff(c, o, DIFF_VALUES, key, row);
	}
}

static bool
compare_batch(Compare *c, CompareObject *o, const char *buckets, const int64_t counted[2])
{
	Ctx own = { arena_new(c->cx->mem), c->cx->fail };
	Map *seen = map_new(own.mem);
	bool good = read_rows(&own, &c->here, o->match, buckets, counted[0], seen) &&
	    read_rows(&own, &c->there, o->match, buckets, counted[1], seen);

	for (const MapItem *it = NULL; good && (it = map_next(seen, it)) != NULL;)
		judge_row(c, o, it->key, it->value);
	if (good)
		arena_free(own.mem); /* a failure's text lives there */
	return good;
}

static bool
compare_rows(Compare *c, CompareObject *o)
{
	Bucket *here = arena_alloc(c->cx->mem, BUCKETS * sizeof *here);
	Bucket *there = arena_alloc(c->cx->mem, BUCKETS * sizeof *there);
	Buf batch = buf_new(c->cx->mem);
	int64_t held[2] = { 0 };

	if (!read_buckets(c, &c->here, o->match, here) ||
	    !read_buckets(c, &c->there, o->match, there))
		return false;
	for (int i = 0; i < BUCKETS; i++) {
		if (buckets_equal(&here[i], &there[i]))
			continue;
		buf_fmt(&batch, "%s%d", batch.len == 0 ? "" : ",", i);
		held[0] += here[i].rows;
		held[1] += there[i].rows;
		if (held[0] + held[1] < BATCH_ROWS)
			continue;
		if (!compare_batch(c, o, batch.text, held))
			return false;
		buf_clear(&batch);
		held[0] = held[1] = 0;
	}
	return batch.len == 0 || compare_batch(c, o, batch.text, held);
}

/* --- all of it ------------------------------------------------------------------------------ */

static bool
compare_objects(Compare *c, CompareReport *r)
{
	if (r->matches.objects.n == 0)
		return fail(c->cx, FAIL_NOT_FOUND, "Name the schema with --schema.",
		    "no table of the source is an object of the tenant");
	r->equal = true;
	for (size_t i = 0; i < r->matches.objects.n; i++) {
		CompareObject o = { .match = &r->matches.objects.at[i] };
		log_live("comparing %s", o.match->object->name);
		if (o.match->pairs.n == 0)
			continue;
		if (!load_in_time(c->cx, c->until, c->here.pg, c->there.pg))
			return false;
		if (!compare_whole(c, &o) || (!o.equal && !compare_rows(c, &o)))
			return fail_in(c->cx, "comparing object \"%s\"", o.match->object->name);
		r->equal = r->equal && o.equal;
		vec_push(c->cx->mem, &r->objects, o);
	}
	return true;
}

static bool
compare_here(Compare *c, Conns *conns, const Placement *at)
{
	if (!place_driver(at->mode)->data_session(c->cx, conns, at, &c->here.pg))
		return false;
	pg_set_statement_ms(c->here.pg, COMPARE_STATEMENT_MS);
	return pg_script(c->cx, c->here.pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

bool
data_compare_in(Ctx *cx, Pg *here, Source *with, int64_t until, CompareReport *out)
{
	Compare c = {
		.cx = cx,
		.here = { .pg = here },
		.there = { with->pg, with },
		.until = until,
	};

	random_bytes(c.key, sizeof c.key);
	bool good = compare_objects(&c, out);

	log_live_end();
	return good;
}

bool
data_compare(Ctx *cx, Conns *conns, const Placement *at, const Model *m, const DataFrom *with,
    bool show_values, CompareReport *out)
{
	Compare c = { .cx = cx, .show_values = show_values };
	CompareReport *r = arena_alloc(cx->mem, sizeof *r);
	Source *source;

	random_bytes(c.key, sizeof c.key);
	if (!source_open(cx, with->target, with->schema, &source))
		return false;
	c.there = (Side){ source->pg, source };
	bool good = match_source(cx, at, m, source, &r->matches) && compare_here(&c, conns, at) &&
	    compare_objects(&c, r);
	log_live_end();
	if (c.here.pg != NULL)
		pg_rollback(c.here.pg);
	source_close(source);
	if (!good)
		return fail_in(
		    cx, "comparing tenant \"%s\" with \"%s\"", at->tenant, with->target->name);
	*out = *r;
	return true;
}

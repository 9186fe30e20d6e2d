#include "deployer/load.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "deployer/load.sql.h"

#define LOAD_STATEMENT_MS ((int64_t)24 * 3600 * 1000)
#define LOAD_LOCK_MS      10000 /* nobody should hold one on an empty table for longer */
#define LOAD_CHUNK        ((size_t)64 << 10)
#define LOAD_SHOW_MS      200

/* --- what may be loaded -------------------------------------------------------- */

static bool
is_needed(const Object *o, const char *field)
{
	const Field *f = object_field(o, field);

	return (f->required || object_key_has(o, field)) && f->fallback == NULL;
}

static bool
load_fits(Ctx *cx, const Matches *all)
{
	static const char hint[] = "See copyhold data load --dry-run for everything that differs.";

	if (all->objects.n == 0)
		return fail(cx, FAIL_NOT_FOUND, "Name the schema with --schema.",
		    "no table of the source is an object of the tenant");
	for (size_t i = 0; i < all->objects.n; i++) {
		const Match *m = &all->objects.at[i];
		if (m->clashes.n > 0)
			return fail(cx, FAIL_REFUSED, hint, "object \"%s\": %s", m->object->name,
			    m->clashes.at[0]);
		for (size_t j = 0; j < m->missing.n; j++)
			if (is_needed(m->object, m->missing.at[j]))
				return fail(cx, FAIL_REFUSED, hint,
				    "object \"%s\": the source has nothing for the required field \"%s\"",
				    m->object->name, m->missing.at[j]);
	}
	return true;
}

/* A number that the field could take only by rounding it: the server would do so without a word. */
static void
add_rounded(Buf *b, const Pair *p)
{
	if (p->field.type != TYPE_NUMBER || p->field.precision == 0 || p->column->to != TYPE_NUMBER)
		return;
	if (p->column->precision != 0 && p->column->scale <= p->field.scale)
		return;
	buf_add(b, b->len == 0 ? "" : " OR ");
	source_value(b, p->column, &p->field);
	buf_add(b, " <> pg_catalog.round(");
	source_value(b, p->column, &p->field);
	buf_fmt(b, ", %" PRId64 ")", p->field.scale);
}

bool
load_count(Ctx *cx, Pg *pg, const char *from, const char *where, int64_t *out)
{
	Sql sql = { "a count",
		arena_printf(cx->mem, "SELECT count(*) FROM %s%s%s", from,
		    where[0] == '\0' ? "" : " WHERE ", where),
		0 };
	PgRows rows;

	if (!pg_query(cx, pg, &sql, &rows, NULL))
		return false;
	*out = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
load_keeps_digits(Ctx *cx, const Source *s, const Match *m)
{
	Buf where = buf_new(cx->mem), from = buf_new(cx->mem);
	int64_t n = 0;

	for (size_t i = 0; i < m->pairs.n; i++)
		add_rounded(&where, &m->pairs.at[i]);
	source_relation(&from, s, m->table);
	if (where.len > 0 && !load_count(cx, s->pg, from.text, where.text, &n))
		return false;
	return n == 0 ||
	    fail(cx, FAIL_DATA,
		"Give the model's numbers a larger scale, or round them at the source.",
		"object \"%s\": %" PRId64
		" rows have numbers with more decimal places than the model allows",
		m->object->name, n);
}

/* --- errors --------------------------------------------------------------------- */

static const char *
rule_field(Ctx *cx, const Match *m, const char *rule)
{
	static const char *const suffixes[] = { "max", "key", "fkey" };

	for (size_t i = 0; i < m->object->fields.n; i++)
		for (size_t j = 0; j < LENGTH(suffixes); j++) {
			const char *field = m->object->fields.at[i].name;
			if (strcmp(rule_name(cx->mem, m->object->name, field, suffixes[j]), rule) ==
			    0)
				return field;
		}
	return NULL;
}

static const char *
broken_rule(const PgError *e)
{
	static const struct {
		const char *code, *what;
	} known[] = {
		{ "23502", "has no value for a required field" },
		{ "23503", "refers to a row that is not there" },
		{ "23505", "repeats a value that must be unique" },
		{ "23514", "has a text that is too long" },
		{ "22003", "has a number that is too large" },
		{ "22021", "has characters that are not UTF-8" },
	};

	for (size_t i = 0; i < LENGTH(known); i++)
		if (strcmp(known[i].code, e->sqlstate) == 0)
			return known[i].what;
	return "has a value that is none of the field's type";
}

bool
load_failed(Load *l, const Match *m, const PgError *e)
{
	Buf b = buf_new(l->cx->mem);

	if (strncmp(e->sqlstate, "22", 2) != 0 && strncmp(e->sqlstate, "23", 2) != 0)
		return fail_in(l->cx, "loading object \"%s\"", m->object->name);
	const char *field = e->column[0] != '\0' ? e->column : rule_field(l->cx, m, e->constraint);
	if (e->line > 0)
		buf_fmt(&b, "row %" PRId64 " of object \"%s\"", e->line, m->object->name);
	else
		buf_fmt(&b, "a row of object \"%s\"", m->object->name);
	buf_fmt(&b, " %s", broken_rule(e));
	if (field != NULL)
		buf_fmt(&b, ": field \"%s\"", field);
	if (e->constraint[0] != '\0')
		buf_fmt(&b, "%s rule \"%s\"", field != NULL ? "," : ":", e->constraint);
	const char *code = arena_dup(l->cx->mem, e->sqlstate);
	fail_clear(l->cx);
	fail(l->cx, FAIL_DATA,
	    "Mend the row at its source or change the model, then load again; nothing was loaded.",
	    "%s", b.text);
	return fail_cause(l->cx, "SQLSTATE %s", code);
}

bool
load_source_failed(Load *l, const DataObject *o)
{
	return fail_in(l->cx, "reading table \"%s\" of the source", o->match->table->name);
}

/* --- the tenant's side ------------------------------------------------------------ */

bool
load_in_time(Ctx *cx, int64_t until, Pg *here, Pg *there)
{
	int64_t left = until - clock_mono_ms();

	if (until == 0)
		return true;
	if (left <= 0)
		return fail(
		    cx, FAIL_LIMIT, "Give it more time.", "the rows were not there in time");
	pg_set_statement_ms(here, left);
	pg_set_statement_ms(there, left);
	return true;
}

static bool
in_time(Load *l)
{
	return load_in_time(l->cx, l->until, l->pg, l->source->pg);
}

static bool
load_as(Load *l, const char *role)
{
	Buf b = buf_new(l->cx->mem);

	buf_add(&b, "SET LOCAL ROLE ");
	buf_ident(&b, role);
	return pg_script(l->cx, l->pg, b.text);
}

static bool
load_role(Load *l)
{
	PgRows rows;

	if (!pg_query(l->cx, l->pg, &SQL_LOAD_ROLE, &rows, NULL))
		return false;
	l->role = arena_dup(l->cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	return true;
}

/* From here to the commit nobody else writes into these tables. */
static bool
load_lock(Load *l)
{
	const Matches *all = &l->report->matches;
	Buf b = buf_new(l->cx->mem);

	buf_fmt(&b, "SET LOCAL lock_timeout = %d; LOCK TABLE ", LOAD_LOCK_MS);
	for (size_t i = 0; i < all->objects.n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", all->objects.at[i].here.name);
	buf_add(&b, " IN ACCESS EXCLUSIVE MODE");
	if (pg_script(l->cx, l->pg, b.text))
		return true;
	if (pg_failed_with(l->pg, "55P03"))
		return fail_in(l->cx, "waiting for the tenant's own transactions to end");
	return false;
}

bool
load_is_empty(Load *l)
{
	const Matches *all = &l->report->matches;
	Buf b = buf_new(l->cx->mem);

	for (size_t i = 0; i < all->objects.n; i++) {
		int64_t n;
		if (!load_count(l->cx, l->pg, all->objects.at[i].here.name, "", &n))
			return false;
		if (n > 0)
			buf_fmt(&b, "%s\"%s\" has %" PRId64, b.len == 0 ? "" : ", ",
			    all->objects.at[i].object->name, n);
	}
	return b.len == 0 ||
	    fail(l->cx, FAIL_REFUSED,
		"Remove these rows first: a load never mixes with what is there.",
		"the tenant has rows already: %s", b.text);
}

static bool
rules_read(Load *l)
{
	const Matches *all = &l->report->matches;
	Buf oids = buf_new(l->cx->mem);
	PgRows rows;

	for (size_t i = 0; i < all->objects.n; i++) {
		if (!pg_query(l->cx, l->pg, &SQL_LOAD_OID, &rows, &all->objects.at[i].here.name))
			return false;
		buf_fmt(&oids, "%s%s", i == 0 ? "" : ",", pg_text(&rows, 0, 0));
		pg_rows_free(&rows);
	}
	if (!pg_query(l->cx, l->pg, &SQL_LOAD_RULES, &rows, (const char *[]){ oids.text }))
		return false;
	for (int i = 0; i < rows.n; i++) {
		LoadRule r = { arena_dup(l->cx->mem, pg_text(&rows, i, 0)),
			arena_dup(l->cx->mem, pg_text(&rows, i, 1)),
			arena_dup(l->cx->mem, pg_text(&rows, i, 2)) };
		vec_push(l->cx->mem, &l->rules, r);
	}
	pg_rows_free(&rows);
	return true;
}

static bool
rules_drop(Load *l)
{
	Buf b = buf_new(l->cx->mem);

	for (size_t i = 0; i < l->rules.n; i++)
		buf_fmt(&b, "%s;", l->rules.at[i].drop);
	return l->rules.n == 0 || pg_script(l->cx, l->pg, b.text);
}

static const Match *
match_of_rule(Load *l, const PgError *e)
{
	const Matches *all = &l->report->matches;

	for (size_t i = 0; i < all->objects.n; i++)
		if (rule_field(l->cx, &all->objects.at[i], e->constraint) != NULL)
			return &all->objects.at[i];
	return NULL;
}

/* Backwards: references are made when everything that they point at stands. */
static bool
rules_make(Load *l)
{
	for (size_t i = l->rules.n; i-- > 0;) {
		log_live("building %s", l->rules.at[i].name);
		if (!in_time(l))
			return false;
		if (pg_script(l->cx, l->pg, l->rules.at[i].make))
			continue;
		const Match *m = match_of_rule(l, pg_error(l->pg));
		return m == NULL ? fail_in(l->cx, "building rule \"%s\"", l->rules.at[i].name)
				 : load_failed(l, m, pg_error(l->pg));
	}
	return true;
}

/* --- rows -------------------------------------------------------------------------- */

static void
add_values(Buf *b, const Match *m, const bool *wanted)
{
	bool first = true;

	for (size_t i = 0; i < m->pairs.n; i++) {
		if (wanted != NULL && !wanted[i])
			continue;
		buf_add(b, first ? "" : ", ");
		source_value(b, m->pairs.at[i].column, &m->pairs.at[i].field);
		first = false;
	}
}

bool
load_copy_out(Load *l, const DataObject *o, const bool *wanted, const char *where)
{
	Buf b = buf_new(l->cx->mem);

	buf_add(&b, "COPY (SELECT ");
	add_values(&b, o->match, wanted);
	buf_add(&b, " FROM ");
	source_relation(&b, l->source, o->match->table);
	buf_fmt(&b, "%s) TO STDOUT", where);
	return pg_copy_out_begin(l->cx, l->source->pg, b.text) || load_source_failed(l, o);
}

static char *
copy_in_text(Load *l, const Match *m)
{
	Buf b = buf_new(l->cx->mem);

	buf_fmt(&b, "COPY %s (", m->here.name);
	for (size_t i = 0; i < m->pairs.n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", m->pairs.at[i].here);
	buf_add(&b, ") FROM STDIN");
	return b.text;
}

void
load_show(const DataObject *o, int64_t *shown)
{
	int64_t now = clock_mono_ms();

	if (now - *shown < LOAD_SHOW_MS)
		return;
	*shown = now;
	log_live("loading %s: %" PRId64 " rows, %" PRId64 " KiB", o->match->object->name, o->rows,
	    o->bytes >> 10);
}

/* One row at a time comes; 64 KiB at a time go. */
static bool
pump(Load *l, DataObject *o)
{
	Buf b = buf_new_max(l->cx->mem, (size_t)2 << 30);
	int64_t shown = clock_mono_ms();
	const char *chunk;
	size_t n;

	for (;;) {
		if (!pg_copy_out_next(l->cx, l->source->pg, &chunk, &n)) {
			pg_copy_in_abort(l->pg, "the source failed");
			return load_source_failed(l, o);
		}
		buf_addn(&b, chunk, n);
		if (b.full)
			return fail(l->cx, FAIL_LIMIT, NULL,
			    "a row of table \"%s\" has more than 2 GiB", o->match->table->name);
		o->rows += n > 0;
		o->bytes += (int64_t)n;
		if (b.len < LOAD_CHUNK && n > 0)
			continue;
		if (!pg_copy_in(l->cx, l->pg, b.text, b.len))
			return load_failed(l, o->match, pg_error(l->pg));
		if (n == 0)
			return true;
		buf_clear(&b);
		load_show(o, &shown);
	}
}

static bool
load_object(Load *l, DataObject *o)
{
	int64_t started = clock_mono_ms(), rows;

	if (!load_copy_out(l, o, NULL, ""))
		return false;
	if (!pg_copy_in_begin(l->cx, l->pg, copy_in_text(l, o->match)))
		return fail_in(l->cx, "loading object \"%s\"", o->match->object->name);
	if (!pump(l, o))
		return false;
	if (!pg_copy_in_end(l->cx, l->pg, &rows))
		return load_failed(l, o->match, pg_error(l->pg));
	if (rows != o->rows)
		return fail(l->cx, FAIL_SERVER, NULL,
		    "object \"%s\": %" PRId64 " rows were sent, %" PRId64 " arrived",
		    o->match->object->name, o->rows, rows);
	o->ms = clock_mono_ms() - started;
	l->report->rows += o->rows;
	l->report->bytes += o->bytes;
	return true;
}

static bool
load_rows(Load *l)
{
	DataReport *r = l->report;

	for (size_t i = 0; i < r->objects.n; i++)
		if (!in_time(l) || !load_object(l, &r->objects.at[i]))
			return false;
	return true;
}

static bool
load_analyze(Load *l)
{
	const Matches *all = &l->report->matches;
	Buf b = buf_new(l->cx->mem);

	for (size_t i = 0; i < all->objects.n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "ANALYZE " : ", ", all->objects.at[i].here.name);
	return pg_script(l->cx, l->pg, b.text);
}

/* The owner takes the rules off and puts them back, the tenant's own login brings the rows. */
static bool
load_between(Load *l)
{
	return load_lock(l) && load_is_empty(l) && rules_read(l) && rules_drop(l) &&
	    load_as(l, l->role) && load_rows(l) && load_as(l, l->at->owner) && rules_make(l) &&
	    load_analyze(l);
}

static bool
load_transaction(Load *l)
{
	Ledger entered;

	if (!load_as(l, l->at->owner) || !ledger_enter(l->cx, l->pg, &l->env, &entered))
		return false;
	l->done = entered == LEDGER_ALREADY;
	return l->done || load_between(l);
}

bool
load_copy(Load *l)
{
	bool good;

	if (!load_role(l) || !pg_begin(l->cx, l->pg))
		return false;
	good = load_transaction(l);
	if (good && pg_commit(l->cx, l->pg))
		return true;
	pg_rollback(l->pg);
	return false;
}

static bool
load_into(Load *l)
{
	bool good;

	if (!place_driver(l->at->mode)->data_session(l->cx, l->env.conns, l->at, &l->pg))
		return false;
	pg_set_statement_ms(l->pg, LOAD_STATEMENT_MS);
	good = l->at->shared ? load_insert(l) : load_copy(l);
	log_live_end();
	return good;
}

/* --- both ---------------------------------------------------------------------------- */

static bool
load_counts(Load *l)
{
	DataReport *r = l->report;

	for (size_t i = 0; i < r->objects.n; i++) {
		Buf from = buf_new(l->cx->mem);
		source_relation(&from, l->source, r->objects.at[i].match->table);
		if (!load_count(l->cx, l->source->pg, from.text, "", &r->objects.at[i].rows))
			return false;
		r->rows += r->objects.at[i].rows;
	}
	return true;
}

static bool
load_all(Load *l, bool dry_run)
{
	const Matches *all = &l->report->matches;

	for (size_t i = 0; i < all->objects.n; i++) {
		DataObject o = { .match = &all->objects.at[i] };
		vec_push(l->cx->mem, &l->report->objects, o);
	}
	if (dry_run)
		return load_counts(l);
	if (!load_fits(l->cx, all))
		return false;
	for (size_t i = 0; i < all->objects.n; i++)
		if (!load_keeps_digits(l->cx, l->source, &all->objects.at[i]))
			return false;
	return load_into(l);
}

static Step *
load_step(Arena *mem, const Placement *at)
{
	Step *s = arena_alloc(mem, sizeof *s);
	unsigned char nonce[16];

	random_bytes(nonce, sizeof nonce);
	*s = (Step){ .key = arena_printf(mem, "%.32s", sha256_hex(mem, nonce, sizeof nonce)),
		.scope = arena_printf(mem, "tenant/%s", at->tenant),
		.kind = "data.load",
		.title = "load rows" };
	return s;
}

bool
data_load(Ctx *cx, Home *home, Conns *conns, const Placement *at, const Model *m,
    const DataFrom *from, int64_t fence, bool dry_run, DataReport *out)
{
	int64_t started = clock_mono_ms();
	Source *source;
	DataReport *r = arena_alloc(cx->mem, sizeof *r); /* matches are pointed at */

	if (!source_open(cx, from->target, from->schema, &source))
		return false;
	Load l = { .cx = cx,
		.at = at,
		.source = source,
		.report = r,
		.env = { .home = home,
		    .fence = fence,
		    .step = load_step(cx->mem, at),
		    .at = at,
		    .cluster = at->cluster,
		    .conns = conns } };
	bool good = match_source(cx, at, m, source, &r->matches) && load_all(&l, dry_run);
	source_close(source);
	if (!good)
		return fail_in(cx, "loading rows of \"%s\" into tenant \"%s\"", from->target->name,
		    at->tenant);
	r->ms = clock_mono_ms() - started;
	*out = *r;
	return true;
}

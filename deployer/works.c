#include "deployer/works.h"

#include <inttypes.h>
#include <string.h>

#include "lib/adapters/map.h"
#include "lib/base/clock.h"

#define WORKS_TRIES 3 /* a made-up value may be taken already */

typedef struct Works {
	Ctx *cx;
	Pg *pg;
	const Placement *at;
	const Model *m;
	Map *
	    keys; /* object -> its made-up row's key value as literal, where the key is one field */
	Attempts *out;
	int good;
	PgError error; /* of the last statement */
} Works;

static void
works_file(Works *w, Heading heading, const char *object, const char *verb, const char *result)
{
	Attempt a = { heading, arena_printf(w->cx->mem, "%s of object \"%s\"", verb, object),
		result };

	vec_push(w->cx->mem, w->out, a);
}

/* --- made-up values ------------------------------------------------------------- */

static uint64_t
random_number(uint64_t below)
{
	uint64_t n;

	random_bytes(&n, sizeof n);
	return n % below;
}

static const char *
made_text(Arena *mem, const Field *f)
{
	size_t n = f->max_length == 0 || f->max_length > 20 ? 20 : (size_t)f->max_length;

	return random_name(mem, n);
}

static const char *
made_number(Arena *mem, const Field *f)
{
	int64_t whole = f->precision == 0 ? 9 : f->precision - f->scale;
	uint64_t below = 1;

	for (int64_t i = 0; i < whole && i < 15; i++)
		below *= 10;
	if (whole > 0)
		return arena_printf(mem, "%" PRIu64, random_number(below));
	return arena_printf(
	    mem, "0.%0*d%" PRIu64, (int)(f->scale - f->precision), 0, random_number(10));
}

static const char *
made_value(Arena *mem, const Field *f)
{
	switch (f->type) {
	case TYPE_TEXT:
		return made_text(mem, f);
	case TYPE_INTEGER:
		return arena_printf(mem, "-%" PRIu64, random_number((uint64_t)1 << 62));
	case TYPE_NUMBER:
		return made_number(mem, f);
	case TYPE_BOOLEAN:
		return random_number(2) == 0 ? "false" : "true";
	case TYPE_DATE:
		return arena_printf(mem, "%04d-01-01", 1 + (int)random_number(9999));
	case TYPE_TIMESTAMP:
		return clock_iso(mem, (int64_t)random_number((uint64_t)1 << 42));
	case TYPE_UUID:
		return random_uuid(mem);
	case TYPE_JSON:
		return "{}";
	case TYPE_BYTES:
		return arena_printf(mem, "\\x%08x", (unsigned)random_number(1u << 31));
	case TYPE_NONE:
	case TYPE_REFERENCE:
	case FIELD_TYPES:
		break;
	}
	return "";
}

char *
works_value(Arena *mem, const Field *resolved)
{
	Buf b = buf_new(mem);

	buf_literal(&b, made_value(mem, resolved));
	return b.text;
}

/* A required reference to the object itself, of which there is no row yet: the row refers to itself. */
static bool
is_own(const Object *o, const Field *f)
{
	return f->required && strcmp(f->to, o->name) == 0 && o->key.n == 1 &&
	    !object_key_has(o, f->name);
}

/* false: a required reference to an object of which there is no row yet */
static bool
field_literal(Works *w, const Object *o, const Field *f, const char **out)
{
	Field r;

	if (f->type == TYPE_REFERENCE) {
		const char *key = map_get(w->keys, f->to);
		if (!key && is_own(o, f))
			return true; /* own_references() */
		*out = key != NULL ? key : "NULL";
		return key != NULL || (!f->required && !object_key_has(o, f->name));
	}
	if (!field_resolved(w->m, f, &r))
		return false;
	*out = works_value(w->cx->mem, &r);
	return true;
}

/* --- statements --------------------------------------------------------------------- */

typedef struct Row {
	const Object *object;
	Relation to;
	const char **values; /* literals by field order */
} Row;

static const char *
key_value(const Row *r)
{
	for (size_t i = 0; i < r->object->fields.n; i++)
		if (object_key_has(r->object, r->object->fields.at[i].name))
			return r->values[i];
	return NULL;
}

static void
own_references(const Row *r)
{
	for (size_t i = 0; i < r->object->fields.n; i++)
		if (!r->values[i])
			r->values[i] = key_value(r);
}

static bool
make_row(Works *w, const Object *o, Row *out)
{
	out->object = o;
	out->values = arena_alloc(w->cx->mem, (o->fields.n + 1) * sizeof *out->values);
	memset(out->values, 0, (o->fields.n + 1) * sizeof *out->values);
	for (size_t i = 0; i < o->fields.n; i++)
		if (!field_literal(w, o, &o->fields.at[i], &out->values[i]))
			return false;
	own_references(out);
	return true;
}

static void
add_where(Buf *b, const Row *r)
{
	const char *glue = " WHERE ";

	for (size_t i = 0; i < r->object->fields.n; i++) {
		if (!object_key_has(r->object, r->object->fields.at[i].name))
			continue;
		buf_add(b, glue);
		buf_ident(b, r->to.columns.at[i]);
		buf_fmt(b, " = %s", r->values[i]);
		glue = " AND ";
	}
}

static char *
insert_text(Works *w, const Row *r, const char *beside)
{
	Buf b = buf_new(w->cx->mem);

	buf_fmt(&b, "INSERT INTO %s (", r->to.name);
	for (size_t i = 0; i < r->object->fields.n; i++) {
		buf_add(&b, i == 0 ? "" : ", ");
		buf_ident(&b, r->to.columns.at[i]);
	}
	buf_add(&b, ") VALUES (");
	for (size_t i = 0; i < r->object->fields.n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", r->values[i]);
	buf_fmt(&b, ") %s RETURNING 1", beside ? beside : "");
	return b.text;
}

static char *
select_text(Works *w, const Row *r)
{
	Buf b = buf_new(w->cx->mem);

	buf_fmt(&b, "SELECT FROM %s", r->to.name);
	add_where(&b, r);
	return b.text;
}

static char *
update_text(Works *w, const Row *r)
{
	Buf b = buf_new(w->cx->mem);

	buf_fmt(&b, "UPDATE %s SET ", r->to.name);
	for (size_t i = 0; i < r->object->fields.n; i++) {
		buf_add(&b, i == 0 ? "" : ", ");
		buf_ident(&b, r->to.columns.at[i]);
		buf_fmt(&b, " = %s", r->values[i]);
	}
	add_where(&b, r);
	buf_add(&b, " RETURNING 1");
	return b.text;
}

static char *
delete_text(Works *w, const Row *r)
{
	Buf b = buf_new(w->cx->mem);

	buf_fmt(&b, "DELETE FROM %s", r->to.name);
	add_where(&b, r);
	buf_add(&b, " RETURNING 1");
	return b.text;
}

/* The one row, or what the server said; a savepoint keeps the transaction. */
static bool
works_run(Works *w, const char *text, const char **why)
{
	Ctx own = ctx_new(w->cx->mem);
	Sql sql = { "an attempt", text, 0 };
	PgRows rows = { 0 };
	bool good;

	*why = NULL;
	if (!pg_script(w->cx, w->pg, "SAVEPOINT copyhold_verify"))
		return false;
	good = pg_query(&own, w->pg, &sql, &rows, NULL);
	w->error = *pg_error(w->pg);
	if (!good)
		*why = arena_printf(w->cx->mem, "refused (%s)", pg_error(w->pg)->sqlstate);
	else if (rows.n != 1)
		*why = arena_printf(w->cx->mem, "%d rows instead of one", rows.n);
	arena_free(own.mem);
	return pg_script(w->cx, w->pg,
	    good ? "RELEASE SAVEPOINT copyhold_verify" : "ROLLBACK TO SAVEPOINT copyhold_verify");
}

static void
keep_key(Works *w, const Row *r)
{
	for (size_t i = 0; r->object->key.n == 1 && i < r->object->fields.n; i++)
		if (strcmp(r->object->fields.at[i].name, r->object->key.at[0]) == 0)
			map_set(w->keys, r->object->name, arena_dup(w->cx->mem, r->values[i]));
}

/* *why NULL: the row stands. */
static bool
works_insert(Works *w, const Object *o, Row *r, const char **why, Heading *heading)
{
	*heading = HEAD_FAILED;
	for (int i = 0; i < WORKS_TRIES; i++) {
		if (!make_row(w, o, r)) {
			*heading = HEAD_UNTRIED;
			*why = "it needs a row of an object that needs this one";
			return true;
		}
		if (!works_run(w, insert_text(w, r, NULL), why))
			return false;
		if (*why == NULL)
			keep_key(w, r);
		if (*why == NULL || strcmp(*why, "refused (23505)") != 0)
			return true;
	}
	return true;
}

static bool
works_object(Works *w, const Object *o, Row *r, bool *stands)
{
	const char *verb = "insert", *why;
	Heading heading;

	*stands = false;
	if (!place_driver(w->at->mode)->map(w->cx, w->at, w->m, o->name, &r->to) ||
	    !works_insert(w, o, r, &why, &heading))
		return false;
	*stands = why == NULL;
	if (why == NULL) {
		verb = "select";
		if (!works_run(w, select_text(w, r), &why))
			return false;
	}
	if (why == NULL) {
		verb = "update";
		if (!works_run(w, update_text(w, r), &why))
			return false;
	}
	if (why != NULL)
		works_file(w, heading, o->name, verb, why);
	w->good += why == NULL;
	return true;
}

/* Backwards, so that nothing refers to a row any more when its turn comes. */
static bool
works_delete(Works *w, const Row *rows, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		const char *why;
		if (!works_run(w, delete_text(w, &rows[i]), &why))
			return false;
		if (why == NULL)
			continue;
		works_file(w, HEAD_FAILED, rows[i].object->name, "delete", why);
		w->good--;
	}
	return true;
}

static bool
works_all(Works *w, const Object **order)
{
	Row *rows = arena_alloc(w->cx->mem, (w->m->objects.n + 1) * sizeof *rows);
	size_t n = 0;

	for (size_t i = 0; i < w->m->objects.n; i++) {
		bool stands;
		if (!works_object(w, order[i], &rows[n], &stands))
			return false;
		n += stands;
	}
	return works_delete(w, rows, n);
}

/* --- a login that may only read -------------------------------------------------------- */

static bool
works_read(Works *w, const Object *o)
{
	const char *why;
	Row r = { .object = o };
	bool read, write;

	if (!place_driver(w->at->mode)->map(w->cx, w->at, w->m, o->name, &r.to) ||
	    !works_run(w,
		arena_printf(
		    w->cx->mem, "SELECT count(*) FROM (SELECT FROM %s LIMIT 1) one", r.to.name),
		&why))
		return false;
	read = why == NULL;
	if (!read)
		works_file(w, HEAD_FAILED, o->name, "select", why);
	if (!works_run(w, arena_printf(w->cx->mem, "DELETE FROM %s WHERE false", r.to.name), &why))
		return false;
	write = why == NULL || strcmp(why, "refused (42501)") != 0;
	if (write)
		works_file(w, HEAD_FAILED, o->name, "delete by a read-only login", "got through");
	w->good += read && !write;
	return true;
}

bool
works_try(Ctx *cx, Pg *pg, const Placement *at, const Model *m, const Login *login, Attempts *out)
{
	Works w = { .cx = cx, .pg = pg, .at = at, .m = m, .keys = map_new(cx->mem), .out = out };
	const Object **order;
	bool good = true;

	if (!model_order(cx, m, &order) || !pg_begin(cx, pg))
		return false;
	if (!login->read_only)
		good = works_all(&w, order);
	for (size_t i = 0; good && login->read_only && i < m->objects.n; i++)
		good = works_read(&w, order[i]);
	pg_rollback(pg);
	if (!good || w.good == 0)
		return good;
	Attempt a = { HEAD_WORKS,
		login->read_only
		    ? "select, and nothing else, in a transaction that is rolled back"
		    : "insert, select, update and delete in a transaction that is rolled back",
		arena_printf(cx->mem, "%d of %zu objects", w.good, m->objects.n) };
	vec_push(cx->mem, out, a);
	return true;
}

/* --- one rule ------------------------------------------------------------------------------ */

static bool
rule_row(Works *w, const Object *o, WorksRule *rule)
{
	Row r = { 0 };
	const char *why;

	if (!place_driver(w->at->mode)->map(w->cx, w->at, w->m, o->name, &r.to))
		return false;
	rule->tried = make_row(w, o, &r);
	if (!rule->tried)
		return true;
	for (size_t i = 0; i < o->fields.n; i++)
		if (strcmp(o->fields.at[i].name, rule->field) == 0)
			r.values[i] = rule->literal;
	if (!works_run(w, insert_text(w, &r, rule->beside), &why))
		return false;
	memcpy(rule->sqlstate, why ? w->error.sqlstate : "00000", sizeof rule->sqlstate);
	memcpy(rule->constraint, w->error.constraint, sizeof rule->constraint);
	return true;
}

bool
works_rule(Ctx *cx, Pg *pg, const Placement *at, const Model *m, WorksRule *rule)
{
	Works w = { .cx = cx, .pg = pg, .at = at, .m = m, .keys = map_new(cx->mem) };
	const Object **order;
	bool good = true, met = false;

	rule->tried = false;
	if (!model_order(cx, m, &order) || !pg_begin(cx, pg))
		return false;
	for (size_t i = 0; good && !met && i < m->objects.n; i++) {
		Row r = { 0 };
		const char *why;
		Heading unused;

		met = strcmp(order[i]->name, rule->object) == 0;
		good = met ? rule_row(&w, order[i], rule)
			   : place_driver(at->mode)->map(cx, at, m, order[i]->name, &r.to) &&
			works_insert(&w, order[i], &r, &why, &unused);
	}
	pg_rollback(pg);
	return good;
}

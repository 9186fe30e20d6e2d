/*
 * tenant verify in a shared database: what to attack is another tenant's value,
 * which the keeper finds and nobody is shown; rules and estimates must answer as
 * if it were not there.
 */
#include <string.h>

#include "deployer/shared.h"
#include "deployer/verify.h"
#include "deployer/works.h"

#include "deployer/verify.sql.h"
#include "lib/core/wide.h"

/* --- something of another tenant's ------------------------------------------------------ */

static bool
fits(const Field *resolved)
{
	return resolved->type == TYPE_TEXT || resolved->type == TYPE_UUID ||
	    resolved->type == TYPE_INTEGER;
}

static char *
ident(Arena *mem, const char *name)
{
	Buf b = buf_new(mem);

	buf_ident(&b, name);
	return b.text;
}

/* Of the first rows of theirs: what is there most often, and this tenant has not; NULL: nothing. */
static bool
their_value(Verify *v, Pg *pg, const char *object, const char *field, const char **value)
{
	const char *table = ident(v->cx->mem, object), *column = ident(v->cx->mem, field);
	const char *params[] = { v->at->id };
	const Sql sql = { "verify_theirs",
		arena_printf(v->cx->mem,
		    "SELECT x.a::text FROM (SELECT %s AS a FROM \"" SCHEMA_WIDE "\".%s"
		    " WHERE _tenant <> $1 LIMIT 10000) x WHERE x.a::text <> ''"
		    " AND NOT EXISTS (SELECT FROM \"" SCHEMA_WIDE
		    "\".%s y WHERE y._tenant = $1 AND y.%s = x.a)"
		    " GROUP BY x.a ORDER BY pg_catalog.count(*) DESC, x.a::text LIMIT 1",
		    column, table, table, column),
		1 };
	PgRows rows;

	*value = NULL;
	if (!pg_script(v->cx, pg, "BEGIN") || !shared_as_keeper(v->cx, pg, v->at))
		return false;
	if (!pg_query(v->cx, pg, &sql, &rows, params)) {
		bool absent = pg_failed_with(pg, "42P01") || pg_failed_with(pg, "42703");

		pg_rollback(pg);
		if (absent) /* an object, a field of its own alone */
			fail_clear(v->cx);
		return absent;
	}
	if (rows.n == 1)
		*value = arena_dup(v->cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	pg_rollback(pg);
	return true;
}

/* Of a tenant with tables of its own the attack goes against the common views. */
static bool
readable(Verify *v, const char *object, const char *field, Theirs *out)
{
	Ctx own = ctx_new(v->cx->mem);
	Relation r;

	if (!place_driver(v->at->mode)->map(v->cx, v->at, v->m, object, &r))
		return false;
	if (v->at->layout == LAYOUT_PLAIN)
		r.name = arena_printf(
		    v->cx->mem, "\"" SCHEMA_APP "\".%s", ident(v->cx->mem, object));
	out->relation = r.name;
	out->column = ident(v->cx->mem, field);
	bool can = pg_script(&own, v->pg,
	    arena_printf(v->cx->mem, "SELECT %s FROM %s LIMIT 0", out->column, out->relation));

	arena_free(own.mem);
	return can;
}

static bool
find_md5(Verify *v, Pg *pg, const char *value, const char **out)
{
	const Sql sql = { "verify_digest", "SELECT pg_catalog.md5($1)", 1 };
	PgRows rows;

	if (!pg_query(v->cx, pg, &sql, &rows, &value))
		return false;
	*out = arena_dup(v->cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	return true;
}

static bool
consider(Verify *v, Pg *pg, const Object *o, const Field *f)
{
	Theirs t = { .object = o->name, .field = f->name };

	if (!their_value(v, pg, o->name, f->name, &t.value))
		return false;
	if (!t.value || !readable(v, o->name, f->name, &t))
		return true;
	if (!find_md5(v, pg, t.value, &t.digest))
		return false;
	v->theirs = t;
	return true;
}

static bool
find_theirs(Verify *v, Pg *pg)
{
	for (size_t i = 0; i < v->m->objects.n; i++)
		for (size_t j = 0; j < v->m->objects.at[i].fields.n; j++) {
			const Object *o = &v->m->objects.at[i];
			const Field *f = &o->fields.at[j];

			if (f->own || f->type == TYPE_REFERENCE || !fits(f))
				continue;
			if (!consider(v, pg, o, f))
				return false;
			if (v->theirs.object)
				return true;
		}
	verify_file(
	    v, HEAD_UNTRIED, "what needs a value of another tenant's", "no other tenant has any");
	return true;
}

bool
verify_look(Verify *v, Pg *pg)
{
	PgRows rows;

	v->wide = "\"" SCHEMA_WIDE "\".\"none\"";
	v->wide_oid = "0";
	if (!pg_query(v->cx, pg, &SQL_VERIFY_WIDE, &rows, NULL))
		return false;
	if (rows.n == 1) {
		v->wide = arena_dup(v->cx->mem, pg_text(&rows, 0, 0));
		v->wide_oid = arena_dup(v->cx->mem, pg_text(&rows, 0, 1));
	}
	pg_rows_free(&rows);
	return find_theirs(v, pg);
}

/* --- estimates ------------------------------------------------------------------------------ */

/* Costs and numbers of rows, without the values that were asked for. */
static char *
figures(Verify *v, const PgRows *rows)
{
	Buf b = buf_new(v->cx->mem);

	for (int i = 0; i < rows->n; i++) {
		const char *from = strstr(pg_text(rows, i, 0), "(cost=");

		if (from)
			buf_fmt(&b, "%s\n", from);
	}
	return b.text;
}

static bool
explain(Verify *v, const char *column, const char *literal, char **out)
{
	const Sql sql = { "an estimate",
		arena_printf(v->cx->mem, "EXPLAIN SELECT FROM %s WHERE %s = %s", v->theirs.relation,
		    column, literal),
		0 };
	PgRows rows;

	if (!pg_query(v->cx, v->pg, &sql, &rows, NULL))
		return false;
	*out = figures(v, &rows);
	pg_rows_free(&rows);
	return true;
}

static const char *
literal_of(Verify *v, const char *value)
{
	Buf b = buf_new(v->cx->mem);

	buf_literal(&b, value);
	return b.text;
}

static bool
estimate(Verify *v, Pg *admin, const Field *f, bool *same)
{
	const char *column = ident(v->cx->mem, f->name), *value;
	char *theirs, *nobodys;
	Theirs t = { 0 };

	if (!their_value(v, admin, v->theirs.object, f->name, &value))
		return false;
	if (!value || !readable(v, v->theirs.object, f->name, &t))
		return true;
	if (!explain(v, column, literal_of(v, value), &theirs) ||
	    !explain(v, column, works_value(v->cx->mem, f), &nobodys))
		return fail_in(v->cx, "comparing estimates");
	*same = *same && strcmp(theirs, nobodys) == 0;
	return true;
}

static bool
estimates(Verify *v, Pg *admin)
{
	const char *what = "another tenant's value, by the planner's estimate";
	const Object *o = model_object(v->m, v->theirs.object);
	bool same = true;

	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];

		if (!f->own && f->type != TYPE_REFERENCE && fits(f) &&
		    !estimate(v, admin, f, &same))
			return false;
	}
	verify_file(v, same ? HEAD_ISOLATED : HEAD_FAILED, what,
	    same ? "as for a value that nobody has" : "differs from a value that nobody has");
	return true;
}

/* --- rules ------------------------------------------------------------------------------------- */

static void
judge_rule(Verify *v, const char *what, const WorksRule *theirs, const WorksRule *nobodys)
{
	bool same = strcmp(theirs->sqlstate, nobodys->sqlstate) == 0 &&
	    strcmp(theirs->constraint, nobodys->constraint) == 0;

	if (!theirs->tried || !nobodys->tried)
		verify_file(v, HEAD_UNTRIED, what, "no row can be made up");
	else
		verify_file(v, same ? HEAD_ISOLATED : HEAD_FAILED, what,
		    arena_printf(v->cx->mem,
			same ? "as for a value that nobody has (%s)"
			     : "differs from a value that nobody has (%s)",
			theirs->sqlstate));
}

static bool
try_rule(Verify *v, const char *what, const WorksRule *of, const char *value, const Field *resolved)
{
	WorksRule theirs = *of, nobodys = *of;

	theirs.literal = literal_of(v, value);

	nobodys.literal = works_value(v->cx->mem, resolved);
	if (!works_rule(v->cx, v->pg, v->at, v->m, &theirs) ||
	    !works_rule(v->cx, v->pg, v->at, v->m, &nobodys))
		return false;
	judge_rule(v, what, &theirs, &nobodys);
	return true;
}

typedef enum RuleKind {
	RULE_OF_KEY,
	RULE_OF_CONFLICT,
	RULE_OF_UNIQUE,
	RULE_OF_REFERENCE,
	RULES
} RuleKind;

static bool
rule_applies(RuleKind kind, const Object *o, const Field *f)
{
	switch (kind) {
	case RULE_OF_KEY:
	case RULE_OF_CONFLICT:
		return o->key.n == 1 && object_key_has(o, f->name) && f->type != TYPE_REFERENCE;
	case RULE_OF_UNIQUE:
		return f->unique && f->type != TYPE_REFERENCE;
	case RULE_OF_REFERENCE:
		return f->type == TYPE_REFERENCE;
	case RULES:
		break;
	}
	return false;
}

/* In tables of its own it may have what the shared ones have not of it. */
static bool
has_too(Verify *v, const char *object, const char *field, const char *value, bool *has)
{
	Relation r;
	PgRows rows;

	if (!place_driver(v->at->mode)->map(v->cx, v->at, v->m, object, &r))
		return false;
	const Sql sql = { "verify_own",
		arena_printf(v->cx->mem, "SELECT FROM %s WHERE %s = %s LIMIT 1", r.name,
		    ident(v->cx->mem, field), literal_of(v, value)),
		0 };
	if (!pg_query(v->cx, v->pg, &sql, &rows, NULL))
		return false;
	*has = rows.n > 0;
	pg_rows_free(&rows);
	return true;
}

/* The value is that of the object referred to, or of the field itself. */
static bool
rule_value(Verify *v, Pg *admin, RuleKind kind, const Field *f, const Object *o, const char **value)
{
	const Object *to = kind == RULE_OF_REFERENCE ? model_object(v->m, f->to) : o;
	const char *field = kind == RULE_OF_REFERENCE ? to->key.at[0] : f->name;
	bool has = false;

	if (!their_value(v, admin, to->name, field, value) ||
	    (*value && !has_too(v, to->name, field, *value, &has)))
		return false;
	if (has)
		*value = NULL;
	return true;
}

static bool
try_rules_of(Verify *v, Pg *admin, RuleKind kind, const char *what)
{
	for (size_t i = 0; i < v->m->objects.n; i++)
		for (size_t j = 0; j < v->m->objects.at[i].fields.n; j++) {
			const Object *o = &v->m->objects.at[i];
			const Field *f = &o->fields.at[j];
			WorksRule rule = { .object = o->name, .field = f->name };
			const char *value;
			Field r;

			if (f->own || !rule_applies(kind, o, f) || !field_resolved(v->m, f, &r) ||
			    !fits(&r))
				continue;
			if (!rule_value(v, admin, kind, f, o, &value))
				return false;
			if (kind == RULE_OF_CONFLICT)
				rule.beside = "ON CONFLICT DO NOTHING";
			if (value)
				return try_rule(v, what, &rule, value, &r);
		}
	verify_file(v, HEAD_UNTRIED, what, "no other tenant has any");
	return true;
}

bool
verify_rules(Verify *v, Pg *admin)
{
	static const char *const what[RULES] = {
		[RULE_OF_KEY] = "a key that another tenant has, by the key's rule",
		[RULE_OF_CONFLICT] = "a key that another tenant has, by ON CONFLICT DO NOTHING",
		[RULE_OF_UNIQUE] = "a value that another tenant has, by a unique rule",
		[RULE_OF_REFERENCE] = "a row that another tenant has, by a reference to it",
	};

	if (!verify_session(v))
		return false;
	if (v->theirs.object && !estimates(v, admin))
		return false;
	for (int k = 0; k < RULES && !v->login->read_only; k++)
		if (!try_rules_of(v, admin, (RuleKind)k, what[k]))
			return fail_in(v->cx, "trying \"%s\"", what[k]);
	return true;
}

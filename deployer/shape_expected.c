#include "deployer/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void
rule_add(Arena *mem, Rules *out, Rule rule, ItemKind kind, const char *object, const char *name,
    const char *def)
{
	rule.item = (Item){ (int)kind, object, name, def };
	vec_push(mem, out, rule);
}

static const char *
column_type(Arena *mem, const Field *resolved)
{
	switch (resolved->type) {
	case TYPE_TEXT:
		return "\"text\" COLLATE \"C\"";
	case TYPE_INTEGER:
		return "bigint";
	case TYPE_BOOLEAN:
		return "boolean";
	case TYPE_DATE:
		return "\"date\"";
	case TYPE_TIMESTAMP:
		return "timestamp with time zone";
	case TYPE_UUID:
		return "\"uuid\"";
	case TYPE_JSON:
		return "\"jsonb\"";
	case TYPE_BYTES:
		return "\"bytea\"";
	case TYPE_NUMBER:
		return resolved->precision == 0
		    ? "numeric"
		    : arena_printf(mem, "numeric(%" PRId64 ",%" PRId64 ")", resolved->precision,
			  resolved->scale);
	case TYPE_NONE:
	case TYPE_REFERENCE:
	case FIELD_TYPES:
		break;
	}
	return NULL;
}

/* As the server prints literals with standard_conforming_strings=on: never E''. */
static void
plain_literal(Buf *b, const char *value)
{
	buf_addc(b, '\'');
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\'')
			buf_addc(b, '\'');
		buf_addc(b, *p);
	}
	buf_addc(b, '\'');
}

/* "2026-11-21T10:00:00.120Z" -> '2026-11-21 10:00:00.12+00' */
static void
timestamp_literal(Buf *b, const char *iso)
{
	char *text = arena_dup(b->mem, iso);
	size_t n = strlen(text);

	if (n > 0 && text[n - 1] == 'Z')
		text[--n] = '\0';
	if (strchr(text, '.') != NULL) {
		while (text[n - 1] == '0')
			text[--n] = '\0';
		if (text[n - 1] == '.')
			text[--n] = '\0';
	}
	char *t = strchr(text, 'T');
	if (t != NULL)
		*t = ' ';
	plain_literal(b, arena_printf(b->mem, "%s+00", text));
}

/* Digits with the point moved by the exponent, as the server's numeric has it: 1.50e1 -> 15.0 */
static void
json_number(Buf *b, const char *s, size_t n)
{
	const char *text = arena_dupn(b->mem, s, n), *e = strpbrk(text, "eE");
	const char *point = strchr(text, '.'), *end = e == NULL ? text + n : e;
	long whole = (long)((point == NULL ? end : point) - text) - (*text == '-');
	Buf digits = buf_new(b->mem);

	whole += e == NULL ? 0 : strtol(e + 1, NULL, 10);
	for (; whole < 1; whole++)
		buf_addc(&digits, '0');
	for (const char *p = text; p < end; p++)
		if (*p >= '0' && *p <= '9')
			buf_addc(&digits, *p);
	while ((long)digits.len < whole)
		buf_addc(&digits, '0');
	if (*text == '-' && strspn(digits.text, "0") < digits.len)
		buf_addc(b, '-');
	const char *first = digits.text;
	for (; whole > 1 && *first == '0'; whole--)
		first++;
	buf_fmt(b, "%.*s%s%s", (int)whole, first, first[whole] == '\0' ? "" : ".", first + whole);
}

/* Canonical JSON but for its exponents, which the server writes out. */
static const char *
json_plain(Arena *mem, const char *text)
{
	Buf b = buf_new(mem);
	bool quoted = false;

	for (const char *p = text; *p != '\0'; p++) {
		size_t n = quoted ? 0 : strspn(p, "+-.0123456789eE");

		if (n > 0 && strchr("-0123456789", *p) != NULL) {
			json_number(&b, p, n);
			p += n - 1;
			continue;
		}
		if (*p == '"')
			quoted = !quoted;
		buf_addc(&b, *p);
		if (quoted && *p == '\\' && p[1] != '\0')
			buf_addc(&b, *++p);
	}
	return b.text;
}

static const char *
default_of(Arena *mem, const Field *f, const Field *resolved)
{
	Buf b = buf_new(mem);

	if (resolved->type == TYPE_TIMESTAMP && strcmp(f->fallback, "now") == 0)
		return "\"now\"()";
	if (resolved->type == TYPE_DATE && strcmp(f->fallback, "today") == 0)
		return "CURRENT_DATE";
	if (resolved->type == TYPE_UUID && strcmp(f->fallback, "random") == 0)
		return "\"gen_random_uuid\"()";
	bool point = resolved->type == TYPE_NUMBER && *f->fallback != '-' &&
	    strchr(f->fallback, '.');
	if (resolved->type == TYPE_BOOLEAN || point)
		return f->fallback; /* the only ones that are printed bare */
	if (resolved->type == TYPE_TIMESTAMP)
		timestamp_literal(&b, f->fallback);
	else
		plain_literal(
		    &b, resolved->type == TYPE_JSON ? json_plain(mem, f->fallback) : f->fallback);
	buf_add(&b, "::");
	if (resolved->type == TYPE_TEXT)
		buf_add(&b, "\"text\"");
	else if (resolved->type == TYPE_NUMBER)
		buf_add(&b, "numeric");
	else
		buf_add(&b, column_type(mem, resolved));
	return b.text;
}

const char *
shape_default_text(Arena *mem, const Model *m, const Field *f)
{
	Field resolved;

	return f->fallback != NULL && field_resolved(m, f, &resolved)
	    ? default_of(mem, f, &resolved)
	    : NULL;
}

const char *
shape_type_of(Arena *mem, const Model *m, const Field *f)
{
	Field resolved;

	return field_resolved(m, f, &resolved) ? column_type(mem, &resolved) : NULL;
}

const Field shape_tenant_field = { .name = WIDE_TENANT, .type = TYPE_TEXT, .required = true };

bool
shape_is_wide(const Placement *at)
{
	return at->layout == LAYOUT_WIDE;
}

bool
shape_is_part(const Placement *at)
{
	return at->shared != NULL && !shape_is_wide(at);
}

const char *
shape_led_text(Arena *mem, const Placement *at, const Names *columns)
{
	const char *text = shape_key_text(mem, columns);

	return shape_is_wide(at) ? arena_printf(mem, "\"" WIDE_TENANT "\", %s", text) : text;
}

const char *
shape_key_text(Arena *mem, const Names *columns)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < columns->n; i++) {
		buf_add(&b, i == 0 ? "" : ", ");
		buf_ident(&b, columns->at[i]);
	}
	return b.text;
}

static const char *
limit_text(Arena *mem, const Field *resolved, const char *name)
{
	Buf b = buf_new(mem);

	buf_add(&b, "CHECK ((\"char_length\"(");
	buf_ident(&b, name);
	buf_fmt(&b, ") <= %" PRId64 "))", resolved->max_length);
	return b.text;
}

/* Whose reference is set to null stays the tenant's: of a key that it leads, the column is named. */
static const char *
reference_text(Arena *mem, const Placement *at, const Field *f, const Object *target)
{
	const Names column = { (const char *[]){ f->name }, 1, 1 };
	static const char *const on_delete[] = {
		[ON_DELETE_RESTRICT] = "RESTRICT",
		[ON_DELETE_CASCADE] = "CASCADE",
		[ON_DELETE_SET_NULL] = "SET NULL",
	};
	Buf b = buf_new(mem);

	buf_fmt(&b, "FOREIGN KEY (%s) REFERENCES ", shape_led_text(mem, at, &column));
	shape_ddl_table(&b, at->schema, target->name);
	buf_fmt(&b, "(%s) ON DELETE %s", shape_led_text(mem, at, &target->key),
	    on_delete[f->on_delete]);
	if (shape_is_wide(at) && f->on_delete == ON_DELETE_SET_NULL)
		buf_fmt(&b, " (%s)", shape_key_text(mem, &column));
	return b.text;
}

static const char *
index_text(Arena *mem, const Placement *at, const Object *o, const char *name, const char *column)
{
	const Names columns = { &column, 1, 1 };
	Buf b = buf_new(mem);

	buf_add(&b, "CREATE INDEX ");
	buf_ident(&b, name);
	buf_add(&b, " ON ");
	shape_ddl_table(&b, at->schema, o->name);
	buf_fmt(&b, " USING \"btree\" (%s)", shape_led_text(mem, at, &columns));
	return b.text;
}

static bool
only_key(const Object *o, const Field *f)
{
	return o->key.n == 1 && strcmp(o->key.at[0], f->name) == 0;
}

static void
column_rules(Arena *mem, const Object *o, const Field *f, const Field *resolved, Rules *out)
{
	Rule r = { .object = o, .field = f };

	rule_add(mem, out, r, ITEM_COLUMN, o->name, f->name, column_type(mem, resolved));
	if (f->fallback != NULL)
		rule_add(mem, out, r, ITEM_DEFAULT, o->name, f->name, default_of(mem, f, resolved));
	if (f->required || object_key_has(o, f->name))
		rule_add(mem, out, r, ITEM_NOT_NULL, o->name, f->name, "not null");
}

/* A unique field that is the whole key needs no second index. */
static void
field_rules(Arena *mem, const Placement *at, const Object *o, const Field *f, const Field *resolved,
    Rules *out)
{
	Rule r = { .object = o, .field = f };
	bool unique = f->unique && !only_key(o, f);
	bool wanted = f->indexed || f->type == TYPE_REFERENCE;

	if (unique) {
		r.sort = RULE_UNIQUE;
		rule_add(mem, out, r, ITEM_CONSTRAINT, o->name,
		    rule_name(mem, o->name, f->name, "key"),
		    arena_printf(mem, "UNIQUE (%s)",
			shape_led_text(mem, at, &(Names){ (const char *[]){ f->name }, 1, 1 })));
	}
	if (resolved->type == TYPE_TEXT && resolved->max_length > 0) {
		r.sort = RULE_LIMIT;
		rule_add(mem, out, r, ITEM_CONSTRAINT, o->name,
		    rule_name(mem, o->name, f->name, "max"), limit_text(mem, resolved, f->name));
	}
	r.sort = RULE_NONE;
	if (wanted && !unique && strcmp(o->key.at[0], f->name) != 0) {
		const char *name = rule_name(mem, o->name, f->name, "idx");

		rule_add(
		    mem, out, r, ITEM_INDEX, o->name, name, index_text(mem, at, o, name, f->name));
	}
}

static void
grant_rules(Arena *mem, const Placement *at, const Object *o, Rules *out)
{
	Rule r = { .object = o };

	rule_add(mem, out, r, ITEM_GRANT, o->name, at->owner, "ALL");
	if (shape_is_wide(at))
		rule_add(mem, out, r, ITEM_GRANT, o->name, at->shared->keeper, RIGHTS_WRITE);
	for (size_t i = 0; i < at->logins.n; i++)
		rule_add(mem, out, r, ITEM_GRANT, o->name, at->logins.at[i].role,
		    at->logins.at[i].read_only ? RIGHTS_READ : RIGHTS_WRITE);
}

/* --- wide tables ---------------------------------------------------------------- */

/* The tenant's key is of no model: whoever inserts is whoever logged in. */
static void
tenant_rules(Arena *mem, const Placement *at, const Object *o, Rules *out)
{
	Rule r = { .object = o, .field = &shape_tenant_field };

	if (!shape_is_wide(at))
		return;
	rule_add(
	    mem, out, r, ITEM_COLUMN, o->name, WIDE_TENANT, column_type(mem, &shape_tenant_field));
	rule_add(mem, out, r, ITEM_DEFAULT, o->name, WIDE_TENANT, SHAPE_TENANT);
	rule_add(mem, out, r, ITEM_NOT_NULL, o->name, WIDE_TENANT, "not null");
}

static const char *
policy_text(Arena *mem, const char *role, const char *condition)
{
	Buf b = buf_new(mem);

	buf_add(&b, "FOR ALL TO ");
	buf_ident(&b, role);
	buf_fmt(&b, " USING (%s) WITH CHECK (%s)", condition, condition);
	return b.text;
}

/* Rows that changed and rows that were given up are swept early, in small portions: one busy tenant must
 * not slow the others.  A page keeps room, so that most changes need no new index entries. */
static const char storage[] =
    "autovacuum_analyze_scale_factor=0.02, autovacuum_vacuum_cost_delay=1, "
    "autovacuum_vacuum_insert_scale_factor=0.05, autovacuum_vacuum_scale_factor=0.02, fillfactor=90";

/* A planner's estimate would tell whether another tenant has a value: it knows of the keys alone. */
static void
security_rules(Arena *mem, const Placement *at, const Object *o, Rules *out)
{
	Rule r = { .object = o };

	rule_add(mem, out, r, ITEM_ROW_SECURITY, o->name, "", "enabled, forced");
	rule_add(mem, out, r, ITEM_POLICY, o->name, "tenant_rows",
	    policy_text(mem, at->owner, "(\"" WIDE_TENANT "\" = " SHAPE_TENANT ")"));
	rule_add(mem, out, r, ITEM_POLICY, o->name, "keeper_rows",
	    policy_text(mem, at->shared->keeper, "true"));
	for (size_t i = 0; i < o->fields.n; i++) {
		r.field = &o->fields.at[i];
		rule_add(mem, out, r, ITEM_STATISTICS, o->name, r.field->name, "0");
	}
	r.field = NULL;
	rule_add(mem, out, r, ITEM_STORAGE, o->name, "", storage);
}

static bool
object_rules(Ctx *cx, const Placement *at, const Model *m, const Object *o, Rules *out)
{
	Rule r = { .object = o };
	Field *resolved = arena_alloc(cx->mem, (o->fields.n + 1) * sizeof *resolved);

	rule_add(
	    cx->mem, out, r, ITEM_TABLE, o->name, "", arena_printf(cx->mem, "owner %s", at->owner));
	tenant_rules(cx->mem, at, o, out);
	for (size_t i = 0; i < o->fields.n; i++) {
		if (!field_resolved(m, &o->fields.at[i], &resolved[i]))
			return fail(cx, FAIL_MANIFEST,
			    "A reference names an object of the same model.",
			    "\"%s.%s\" refers to nothing", o->name, o->fields.at[i].name);
		column_rules(cx->mem, o, &o->fields.at[i], &resolved[i], out);
	}
	r.sort = RULE_KEY;
	rule_add(cx->mem, out, r, ITEM_CONSTRAINT, o->name,
	    rule_name(cx->mem, o->name, NULL, "pkey"),
	    arena_printf(cx->mem, "PRIMARY KEY (%s)", shape_led_text(cx->mem, at, &o->key)));
	for (size_t i = 0; i < o->fields.n; i++)
		field_rules(cx->mem, at, o, &o->fields.at[i], &resolved[i], out);
	grant_rules(cx->mem, at, o, out);
	if (shape_is_wide(at))
		security_rules(cx->mem, at, o, out);
	return true;
}

static void
reference_rules(Arena *mem, const Placement *at, const Model *m, const Object *o, Rules *out)
{
	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];
		Rule r = { .sort = RULE_REFERENCE, .object = o, .field = f };

		if (f->type == TYPE_REFERENCE)
			rule_add(mem, out, r, ITEM_CONSTRAINT, o->name,
			    rule_name(mem, o->name, f->name, "fkey"),
			    reference_text(mem, at, f, model_object(m, f->to)));
	}
}

static void
schema_rules(Arena *mem, const Placement *at, Rules *out)
{
	const char *owner = arena_printf(mem, "owner %s", at->owner);
	Rule r = { .object = NULL };

	if (!shape_is_part(at))
		rule_add(mem, out, r, ITEM_SCHEMA, LEDGER_SCHEMA, "", owner);
	rule_add(mem, out, r, ITEM_SCHEMA, at->schema, "", owner);
	if (!shape_is_part(at))
		rule_add(mem, out, r, ITEM_SCHEMA_GRANT, LEDGER_SCHEMA, at->owner, "ALL");
	rule_add(mem, out, r, ITEM_SCHEMA_GRANT, at->schema, at->owner, "ALL");
	if (shape_is_wide(at))
		rule_add(mem, out, r, ITEM_SCHEMA_GRANT, at->schema, at->shared->keeper, "USAGE");
	for (size_t i = 0; i < at->logins.n; i++)
		rule_add(
		    mem, out, r, ITEM_SCHEMA_GRANT, at->schema, at->logins.at[i].role, "USAGE");
}

bool
shape_rules(Ctx *cx, const Placement *at, const Model *m, Rules *out)
{
	schema_rules(cx->mem, at, out);
	for (size_t i = 0; i < m->objects.n; i++)
		if (!object_rules(cx, at, m, &m->objects.at[i], out))
			return false;
	for (size_t i = 0; i < m->objects.n; i++)
		reference_rules(cx->mem, at, m, &m->objects.at[i], out);
	return true;
}

bool
shape_expected(Ctx *cx, const Placement *at, const Model *m, Items *out)
{
	Rules rules = { 0 };

	if (!shape_rules(cx, at, m, &rules))
		return false;
	for (size_t i = 0; i < rules.n; i++)
		vec_push(cx->mem, out, rules.at[i].item);
	items_sort(out);
	return true;
}

#include "deployer/source.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/map.h"

#include "deployer/source.sql.h"

#define SOURCE_STATEMENT_MS ((int64_t)24 * 3600 * 1000)
#define IDENT_MAX           48

/* --- types -------------------------------------------------------------------- */

static const struct CarryRow {
	const char *type;
	FieldType to;
	Carry carry;
	const char *note;
} carry_rows[] = {
	{ "text", TYPE_TEXT, CARRY_PLAIN, NULL },
	{ "varchar", TYPE_TEXT, CARRY_TEXT, NULL },
	{ "bpchar", TYPE_TEXT, CARRY_TEXT, "blanks at the end of its values are not kept" },
	{ "int2", TYPE_INTEGER, CARRY_PLAIN, NULL },
	{ "int4", TYPE_INTEGER, CARRY_PLAIN, NULL },
	{ "int8", TYPE_INTEGER, CARRY_PLAIN, NULL },
	{ "numeric", TYPE_NUMBER, CARRY_PLAIN, NULL },
	{ "float4", TYPE_NUMBER, CARRY_TEXT, "binary floating point becomes a decimal number" },
	{ "float8", TYPE_NUMBER, CARRY_TEXT, "binary floating point becomes a decimal number" },
	{ "bool", TYPE_BOOLEAN, CARRY_PLAIN, NULL },
	{ "date", TYPE_DATE, CARRY_PLAIN, NULL },
	{ "timestamp", TYPE_TIMESTAMP, CARRY_UTC, "its values are taken as UTC" },
	{ "timestamptz", TYPE_TIMESTAMP, CARRY_PLAIN, NULL },
	{ "uuid", TYPE_UUID, CARRY_PLAIN, NULL },
	{ "json", TYPE_JSON, CARRY_TEXT, "order and repetition of members are not kept" },
	{ "jsonb", TYPE_JSON, CARRY_PLAIN, NULL },
	{ "bytea", TYPE_BYTES, CARRY_PLAIN, NULL },
	{ "citext", TYPE_TEXT, CARRY_TEXT, "upper and lower case are different here" },
	{ "name", TYPE_TEXT, CARRY_TEXT, NULL },
	{ "char", TYPE_TEXT, CARRY_TEXT, NULL },
	{ "time", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "timetz", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "interval", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "inet", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "cidr", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "macaddr", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "macaddr8", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "money", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "xml", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "bit", TYPE_TEXT, CARRY_TEXT, "becomes text" },
	{ "varbit", TYPE_TEXT, CARRY_TEXT, "becomes text" },
};

static const struct CarryRow carry_enum = { "", TYPE_TEXT, CARRY_TEXT,
	"an enumeration becomes text without its list" };
static const struct CarryRow carry_array = { "", TYPE_JSON, CARRY_JSON, "an array becomes JSON" };
static const struct CarryRow carry_row = { "", TYPE_JSON, CARRY_JSON,
	"a composite value becomes JSON" };
static const struct CarryRow carry_none = { "", TYPE_NONE, CARRY_NONE, NULL };

static const struct CarryRow *
find_carry(const char *type, char kind, char category)
{
	if (kind == 'e')
		return &carry_enum;
	if (kind == 'c')
		return &carry_row;
	if (kind == 'b' && category == 'A')
		return &carry_array;
	for (size_t i = 0; kind == 'b' && i < LENGTH(carry_rows); i++)
		if (strcmp(carry_rows[i].type, type) == 0)
			return &carry_rows[i];
	return &carry_none;
}

static void
read_limits(SourceColumn *c, const char *type, int64_t typmod)
{
	if (typmod < 4)
		return;
	if (strcmp(type, "varchar") == 0 || strcmp(type, "bpchar") == 0)
		c->max_length = typmod - 4;
	if (strcmp(type, "numeric") != 0)
		return;
	c->precision = (typmod - 4) >> 16 & 0xffff;
	c->scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
	if (c->scale >= 0 && c->scale <= c->precision)
		return;
	c->precision = c->scale = 0;
	c->note = "becomes a number without limits";
}

/* --- names -------------------------------------------------------------------- */

static bool
is_system_column(const char *name)
{
	static const char *const names[] = { "oid", "ctid", "xmin", "xmax", "cmin", "cmax",
		"tableoid" };

	for (size_t i = 0; i < LENGTH(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool
ident_free(const Map *taken, const char *name)
{
	const char *why;

	return ident_valid(name, &why) && !is_system_column(name) && map_get(taken, name) == NULL;
}

/* The letters and digits that a name has, or, where it has none, one made of its digest. */
static char *
ident_stem(Arena *mem, const char *name)
{
	Buf b = buf_new(mem);
	bool any = false;

	for (const char *p = name; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		bool plain = c < 0x80 && isalnum(c);
		any = any || plain;
		if (plain)
			buf_addc(&b, (char)tolower(c));
		else if (c < 0x80 || c >= 0xc0)
			buf_addc(&b, '_');
	}
	if (!any)
		return arena_printf(mem, "x_%.8s", sha256_hex(mem, name, strlen(name)));
	const char *head = isdigit((unsigned char)b.text[0]) || b.text[0] == '_' ? "x" : "";
	if (strncmp(b.text, "pg_", 3) == 0)
		head = "x_";
	return arena_printf(mem, "%s%.*s", head, IDENT_MAX - 6, b.text);
}

static char *
ident_for(Arena *mem, Map *taken, const char *name)
{
	char *stem = ident_stem(mem, name);
	char *ident = stem;

	if (!ident_free(taken, ident))
		ident = arena_printf(mem, "%s_", stem);
	for (int i = 2; !ident_free(taken, ident); i++)
		ident = arena_printf(mem, "%s_%d", stem, i);
	return ident;
}

/* Names that are valid as they stand keep them, whatever the others become. */
static void
name_tables(Arena *mem, Source *s)
{
	Map *taken = map_new(mem);

	for (size_t i = 0; i < s->tables.n; i++) {
		SourceTable *t = &s->tables.at[i];
		if (!ident_free(taken, t->name))
			continue;
		t->ident = t->name;
		map_set(taken, t->ident, t);
	}
	for (size_t i = 0; i < s->tables.n; i++) {
		SourceTable *t = &s->tables.at[i];
		if (t->ident != NULL)
			continue;
		t->ident = ident_for(mem, taken, t->name);
		map_set(taken, t->ident, t);
	}
}

static void
name_columns(Arena *mem, SourceTable *t)
{
	Map *taken = map_new(mem);

	for (size_t i = 0; i < t->columns.n; i++) {
		SourceColumn *c = &t->columns.at[i];
		if (!ident_free(taken, c->name))
			continue;
		c->ident = c->name;
		map_set(taken, c->ident, c);
	}
	for (size_t i = 0; i < t->columns.n; i++) {
		SourceColumn *c = &t->columns.at[i];
		if (c->ident != NULL)
			continue;
		c->ident = ident_for(mem, taken, c->name);
		map_set(taken, c->ident, c);
	}
}

/* --- reading ------------------------------------------------------------------ */

static bool
read_tables(Ctx *cx, Source *s)
{
	PgRows rows;

	if (!pg_query(cx, s->pg, &SQL_SOURCE_TABLES, &rows, (const char *[]){ s->schema }))
		return false;
	for (int i = 0; i < rows.n; i++) {
		SourceTable t = { .oid = arena_dup(cx->mem, pg_text(&rows, i, 0)),
			.name = arena_dup(cx->mem, pg_text(&rows, i, 1)),
			.parted = pg_bool(&rows, i, 2) };
		vec_push(cx->mem, &s->tables, t);
	}
	pg_rows_free(&rows);
	return true;
}

static SourceColumn
read_column(Arena *mem, const PgRows *rows, int i)
{
	const char *type = pg_text(rows, i, 2);
	const struct CarryRow *how = find_carry(
	    type, pg_text(rows, i, 3)[0], pg_text(rows, i, 4)[0]);
	SourceColumn c = {
		.name = arena_dup(mem, pg_text(rows, i, 1)),
		.type = arena_dup(mem, pg_text(rows, i, 6)),
		.to = how->to,
		.carry = how->carry,
		.note = how->note,
		.required = pg_bool(rows, i, 7),
		.fallback = arena_dup(mem, pg_value(rows, i, 8)),
		.generated = pg_bool(rows, i, 9),
		.counted = pg_bool(rows, i, 10),
		.domain = arena_dup(mem, pg_value(rows, i, 11)),
		.collation = arena_dup(mem, pg_value(rows, i, 12)),
	};

	read_limits(&c, type, pg_int(rows, i, 5));
	return c;
}

static bool
read_columns(Ctx *cx, Source *s, Map *by_oid)
{
	PgRows rows;

	if (!pg_query(cx, s->pg, &SQL_SOURCE_COLUMNS, &rows, (const char *[]){ s->schema }))
		return false;
	for (int i = 0; i < rows.n; i++) {
		SourceTable *t = map_get(by_oid, pg_text(&rows, i, 0));
		if (t != NULL)
			vec_push(cx->mem, &t->columns, read_column(cx->mem, &rows, i));
	}
	pg_rows_free(&rows);
	return true;
}

static bool
read_keys(Ctx *cx, Source *s, Map *by_oid)
{
	PgRows rows;

	if (!pg_query(cx, s->pg, &SQL_SOURCE_KEYS, &rows, (const char *[]){ s->schema }))
		return false;
	for (int i = 0; i < rows.n; i++) {
		SourceTable *t = map_get(by_oid, pg_text(&rows, i, 0));
		if (t != NULL)
			vec_push(cx->mem, &t->key, arena_dup(cx->mem, pg_text(&rows, i, 1)));
	}
	pg_rows_free(&rows);
	return true;
}

static bool
read_catalogue(Ctx *cx, Source *s)
{
	Map *by_oid = map_new(cx->mem);

	if (!read_tables(cx, s))
		return false;
	if (s->tables.n == 0)
		return fail(cx, FAIL_NOT_FOUND,
		    "Name the schema with --schema, and a login that may read its tables.",
		    "no table in schema \"%s\" of database \"%s\"", s->schema, s->database);
	name_tables(cx->mem, s);
	for (size_t i = 0; i < s->tables.n; i++)
		map_set(by_oid, s->tables.at[i].oid, &s->tables.at[i]);
	if (!read_columns(cx, s, by_oid) || !read_keys(cx, s, by_oid))
		return false;
	for (size_t i = 0; i < s->tables.n; i++)
		name_columns(cx->mem, &s->tables.at[i]);
	return true;
}

/* row_security off: a policy that would hide rows becomes an error instead of a smaller copy. */
static bool
begin_snapshot(Ctx *cx, Source *s)
{
	if (pg_version(s->pg) < PG_LEAST)
		return fail(cx, FAIL_TOO_OLD, "Sources from PostgreSQL 13 on can be read.",
		    "server \"%s\" is PostgreSQL %d", pg_name(s->pg), pg_version(s->pg) / 10000);
	return pg_script(cx, s->pg,
	    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off");
}

bool
source_target(Ctx *cx, Home *home, const char *dsn, PgTarget *out)
{
	SecretRef ref = { .ref = dsn };
	Secret text = { 0 };

	if (strncmp(dsn, "env:", 4) == 0 || strncmp(dsn, "file:", 5) == 0) {
		if (!secret_resolve(cx, home, &ref, &text))
			return false;
		dsn = text.text;
	}
	if (!pg_target_dsn(cx, dsn, out))
		return false;
	out->name = out->dbname;
	return true;
}

bool
source_begin(Ctx *cx, Pg *pg, const char *dbname, const char *schema, Source **out)
{
	Source *s = arena_alloc(cx->mem, sizeof *s);

	*s = (Source){ .pg = pg, .database = dbname, .schema = schema };
	if (!begin_snapshot(cx, s) || !read_catalogue(cx, s))
		return false;
	*out = s;
	return true;
}

bool
source_open(Ctx *cx, const PgTarget *target, const char *schema, Source **out)
{
	Pg *pg;

	if (!pg_open(cx, target, &pg))
		return fail_in(cx, "opening the source \"%s\"", target->name);
	pg_set_statement_ms(pg, SOURCE_STATEMENT_MS);
	if (source_begin(cx, pg, target->dbname, schema, out))
		return true;
	pg_close(pg);
	return fail_in(cx, "reading the source \"%s\"", target->name);
}

void
source_close(Source *s)
{
	pg_close(s->pg);
}

/* --- lookups ------------------------------------------------------------------ */

const SourceTable *
source_table(const Source *s, const char *oid)
{
	for (size_t i = 0; i < s->tables.n; i++)
		if (strcmp(s->tables.at[i].oid, oid) == 0)
			return &s->tables.at[i];
	return NULL;
}

const SourceTable *
source_table_as(const Source *s, const char *ident)
{
	for (size_t i = 0; ident != NULL && i < s->tables.n; i++)
		if (strcmp(s->tables.at[i].ident, ident) == 0)
			return &s->tables.at[i];
	return NULL;
}

const SourceColumn *
source_column(const SourceTable *t, const char *name)
{
	for (size_t i = 0; i < t->columns.n; i++)
		if (strcmp(t->columns.at[i].name, name) == 0)
			return &t->columns.at[i];
	return NULL;
}

const SourceColumn *
source_column_as(const SourceTable *t, const char *ident)
{
	for (size_t i = 0; ident != NULL && i < t->columns.n; i++)
		if (strcmp(t->columns.at[i].ident, ident) == 0)
			return &t->columns.at[i];
	return NULL;
}

/* --- values ------------------------------------------------------------------- */

bool
source_fits(const SourceColumn *c, const Field *field)
{
	if (c->carry == CARRY_NONE)
		return false;
	if (c->to == field->type)
		return true;
	if (field->type == TYPE_NUMBER)
		return c->to == TYPE_INTEGER;
	return field->type == TYPE_TEXT && c->to != TYPE_JSON && c->to != TYPE_BYTES;
}

void
source_relation(Buf *b, const Source *s, const SourceTable *t)
{
	if (!t->parted)
		buf_add(b, "ONLY ");
	buf_ident(b, s->schema);
	buf_addc(b, '.');
	buf_ident(b, t->name);
}

static void
source_carried(Buf *b, const SourceColumn *c)
{
	if (c->carry == CARRY_JSON)
		buf_add(b, "pg_catalog.to_jsonb(");
	else
		buf_addc(b, '(');
	buf_ident(b, c->name);
	if (c->carry == CARRY_TEXT)
		buf_add(b, "::text");
	if (c->carry == CARRY_UTC)
		buf_add(b, " AT TIME ZONE 'UTC'");
	buf_addc(b, ')');
}

const char *
source_type(FieldType type)
{
	static const char *const types[FIELD_TYPES] = {
		[TYPE_TEXT] = "text",
		[TYPE_INTEGER] = "bigint",
		[TYPE_NUMBER] = "numeric",
		[TYPE_BOOLEAN] = "boolean",
		[TYPE_DATE] = "date",
		[TYPE_TIMESTAMP] = "timestamptz",
		[TYPE_UUID] = "uuid",
		[TYPE_JSON] = "jsonb",
		[TYPE_BYTES] = "bytea",
	};

	return types[type];
}

void
source_value(Buf *b, const SourceColumn *c, const Field *field)
{
	source_carried(b, c);
	buf_add(b, "::");
	buf_add(b, source_type(field->type));
}

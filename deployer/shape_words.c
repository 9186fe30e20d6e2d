#include "deployer/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *
shape_rule_what(const Rule *r)
{
	static const char *const sorts[] = {
		[RULE_NONE] = "constraint",
		[RULE_KEY] = "key",
		[RULE_UNIQUE] = "unique",
		[RULE_LIMIT] = "limit",
		[RULE_REFERENCE] = "reference",
	};

	if (r->item.kind == ITEM_TABLE)
		return "object";
	if (r->item.kind == ITEM_COLUMN)
		return "field";
	if (r->item.kind == ITEM_CONSTRAINT)
		return sorts[r->sort];
	return item_kind_name((ItemKind)r->item.kind);
}

const char *
shape_type_text(Arena *mem, const char *def)
{
	static const struct {
		const char *def, *text;
	} words[] = {
		{ "\"text\" COLLATE \"C\"", "text" },
		{ "bigint", "integer" },
		{ "numeric", "number" },
		{ "boolean", "boolean" },
		{ "\"date\"", "date" },
		{ "\"uuid\"", "uuid" },
		{ "timestamp with time zone", "timestamp" },
		{ "\"jsonb\"", "json" },
		{ "\"bytea\"", "bytes" },
	};

	for (size_t i = 0; i < LENGTH(words); i++)
		if (strcmp(def, words[i].def) == 0)
			return words[i].text;
	if (strncmp(def, "numeric(", 8) == 0)
		return arena_printf(mem, "number%s", def + 7);
	return def;
}

static const char *
field_text(Arena *mem, const Rule *r)
{
	const Field *f = r->field;
	Buf b = buf_new(mem);

	if (f->type == TYPE_REFERENCE)
		buf_fmt(&b, "reference to %s", f->to);
	else
		buf_add(&b, shape_type_text(mem, r->item.def));
	if (f->type == TYPE_TEXT && f->max_length > 0)
		buf_fmt(&b, "(%" PRId64 ")", f->max_length);
	if (f->required)
		buf_add(&b, ", required");
	if (f->unique)
		buf_add(&b, ", unique");
	if (f->fallback != NULL)
		buf_fmt(&b, ", default %s", f->fallback);
	return b.text;
}

static const char *
limit_text(Arena *mem, const Rule *r)
{
	const char *at = strstr(r->item.def, "<= ");
	long n = at == NULL ? 0 : strtol(at + 3, NULL, 10);

	return arena_printf(mem, "%ld character%s", n, n == 1 ? "" : "s");
}

static const char *
reference_text(Arena *mem, const Field *f)
{
	static const char *const words[] = {
		[ON_DELETE_RESTRICT] = "restrict",
		[ON_DELETE_CASCADE] = "cascade",
		[ON_DELETE_SET_NULL] = "set-null",
	};
	return arena_printf(mem, "%s, on delete %s", f->to, words[f->on_delete]);
}

/* Spare columns are nobody's fields yet. */
const char *
shape_fields_text(Arena *mem, const Object *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->fields.n; i++)
		n += !o->fields.at[i].spare;
	return arena_printf(mem, "%zu field%s", n, n == 1 ? "" : "s");
}

const char *
shape_rule_text(Arena *mem, const Rule *r)
{
	if (r->item.kind == ITEM_TABLE)
		return shape_fields_text(mem, r->object);
	if (r->item.kind == ITEM_COLUMN)
		return field_text(mem, r);
	if (r->item.kind == ITEM_DEFAULT)
		return r->field->fallback == NULL ? r->item.def : r->field->fallback;
	if (r->item.kind == ITEM_NOT_NULL)
		return "required";
	if (r->item.kind == ITEM_INDEX || r->sort == RULE_UNIQUE)
		return r->item.name;
	if (r->sort == RULE_LIMIT)
		return limit_text(mem, r);
	if (r->sort == RULE_REFERENCE)
		return reference_text(mem, r->field);
	return r->item.def;
}

const char *
shape_rule_label(Arena *mem, const Rule *r)
{
	if (r->field != NULL)
		return arena_printf(mem, "%s.%s", r->item.object, r->field->name);
	if (r->item.kind == ITEM_POLICY)
		return arena_printf(mem, "%s of %s", r->item.name, r->item.object);
	if (r->item.kind == ITEM_GRANT || r->item.kind == ITEM_SCHEMA_GRANT)
		return arena_printf(mem, "%s to %s", r->item.object, r->item.name);
	return r->item.object;
}

bool
shape_starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/*
 * The ways out of a key table: canonical JSON, JSON Schema, Markdown.
 */
#include "lib/core/keys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/opt.h"

#define WORDS_SHOWN 16

/* --- canonical JSON ------------------------------------------------------- */

static char *
span_text(Arena *mem, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = {
		{ 86400000, "d" },
		{ 3600000, "h" },
		{ 60000, "m" },
		{ 1000, "s" },
		{ 1, "ms" },
	};
	size_t i = 0;

	while (ms % units[i].ms != 0)
		i++;
	return arena_printf(mem, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
}

static const char *
text_at(const void *slot)
{
	return *(const char *const *)slot;
}

static int64_t
int_at(const void *slot)
{
	return *(const int64_t *)slot;
}

static Js *
dump_names(Arena *mem, const Names *names)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < names->n; i++)
		js_push_text(list, names->at[i]);
	return names->n > 0 ? list : NULL;
}

static Js *
dump_list(Arena *mem, const KeyTable *t, const void *vec)
{
	KeyItems items = keys_items(vec);
	Js *list = js_array(mem);

	for (size_t i = 0; i < items.n; i++)
		js_push(list, keys_dump(mem, t, (const char *)items.at + i * t->size));
	return items.n > 0 ? list : NULL;
}

static Js *
dump_members(Arena *mem, const KeyTable *t, const void *vec)
{
	const Key *name = &t->keys[0], *value = &t->keys[1];
	KeyItems items = keys_items(vec);
	Js *map = js_object(mem);

	for (size_t i = 0; i < items.n; i++) {
		const char *item = (const char *)items.at + i * t->size;
		Js *list = dump_list(mem, value->table, item + value->offset);

		if (list != NULL)
			js_set(map, text_at(item + name->offset), list);
	}
	return js_count(map) > 0 ? map : NULL;
}

static Js *
dump_enum(Arena *mem, const Key *k, const void *slot)
{
	int index;

	memcpy(&index, slot, sizeof index);
	const char *word = k->words[index];
	bool usual = k->fallback != NULL ? strcmp(word, k->fallback) == 0 : word[0] == '\0';
	return usual ? NULL : js_text(mem, word);
}

static Js *
dump_span(Arena *mem, const Key *k, int64_t ms)
{
	int64_t usual = 0;

	if (k->fallback != NULL && !span_parse(k->fallback, &usual))
		usual = -1;
	return ms == usual && !k->required ? NULL : js_text(mem, span_text(mem, ms));
}

static Js *
dump_text(Arena *mem, const Key *k, const char *text)
{
	if (text == NULL || (k->fallback != NULL && strcmp(text, k->fallback) == 0))
		return NULL;
	return js_text(mem, text);
}

static Js *
dump_int(Arena *mem, const Key *k, int64_t v)
{
	int64_t usual = k->fallback == NULL ? 0 : strtoll(k->fallback, NULL, 10);

	return v == usual && !k->required ? NULL : js_int(mem, v);
}

static Js *
dump_bool(Arena *mem, const Key *k, bool v)
{
	bool usual = k->fallback != NULL && strcmp(k->fallback, "true") == 0;

	return v == usual && !k->required ? NULL : js_bool(mem, v);
}

static Js *
dump_maybe(Arena *mem, const void *slot)
{
	Maybe v;

	memcpy(&v, slot, sizeof v);
	return v == MAYBE ? NULL : js_bool(mem, v == YES);
}

static Js *
dump_part(Arena *mem, const KeyTable *t, const void *in)
{
	Js *part = keys_dump(mem, t, in);

	return js_count(part) > 0 ? part : NULL;
}

static Js *
dump_secret(Arena *mem, const SecretRef *secret)
{
	Js *map = js_object(mem);

	if (secret->ref == NULL)
		return NULL;
	js_set_text(map, "secretRef", secret->ref);
	return map;
}

static Js *
dump_value(Arena *mem, const Key *k, const void *slot)
{
	switch (k->type) {
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_IDENT:
	case KEY_PATH:
	case KEY_SCALAR:
		return dump_text(mem, k, text_at(slot));
	case KEY_INT:
		return dump_int(mem, k, int_at(slot));
	case KEY_BOOL:
		return dump_bool(mem, k, *(const bool *)slot);
	case KEY_MAYBE:
		return dump_maybe(mem, slot);
	case KEY_ENUM:
		return dump_enum(mem, k, slot);
	case KEY_SPAN:
		return dump_span(mem, k, int_at(slot));
	case KEY_SECRET:
		return dump_secret(mem, slot);
	case KEY_NAMES:
	case KEY_WORDS:
		return dump_names(mem, slot);
	case KEY_PART:
		return dump_part(mem, k->table, slot);
	case KEY_LIST:
		return dump_list(mem, k->table, slot);
	case KEY_MAP:
		return dump_members(mem, k->table, slot);
	case KEY_NODE:
	case KEY_END:
		break;
	}
	return NULL;
}

Js *
keys_dump(Arena *mem, const KeyTable *table, const void *in)
{
	Js *map = js_object(mem);

	for (const Key *k = table->keys; k->type != KEY_END; k++) {
		Js *value = dump_value(mem, k, (const char *)in + k->offset);

		if (value != NULL)
			js_set(map, k->name, value);
	}
	return map;
}

/* --- JSON Schema ------------------------------------------------------------ */

static Js *
typed(Arena *mem, const char *type)
{
	Js *schema = js_object(mem);

	js_set_text(schema, "type", type);
	return schema;
}

static Js *
pattern(Arena *mem, const char *regex)
{
	Js *schema = typed(mem, "string");

	js_set_text(schema, "pattern", arena_printf(mem, "^(?:%s)$", regex));
	return schema;
}

static Js *
words_schema(Arena *mem, const char *const *words)
{
	Js *schema = js_object(mem), *list = js_array(mem);

	for (size_t i = words[0][0] == '\0'; words[i] != NULL; i++)
		js_push_text(list, words[i]);
	js_set(schema, "enum", list);
	return schema;
}

static Js *
text_schema(Arena *mem, const Key *k)
{
	if (k->words != NULL)
		return words_schema(mem, k->words);
	Js *schema = typed(mem, "string");
	js_set_int(schema, "minLength", 1);
	if (k->max > 0)
		js_set_int(schema, "maxLength", k->max);
	return schema;
}

static Js *
int_schema(Arena *mem, const Key *k)
{
	Js *schema = typed(mem, "integer");

	if (k->min != 0 || k->max != 0) {
		js_set_int(schema, "minimum", k->min);
		js_set_int(schema, "maximum", k->max);
	}
	return schema;
}

static Js *
names_schema(Arena *mem, const Key *k)
{
	Js *schema = typed(mem, "array");

	js_set(schema, "items", text_schema(mem, k));
	if (k->type == KEY_NAMES)
		js_set_bool(schema, "uniqueItems", true);
	return schema;
}

static Js *
list_schema(Arena *mem, const Key *k)
{
	Js *schema = typed(mem, "array");

	js_set(schema, "items", keys_schema(mem, k->table));
	if (k->min > 0)
		js_set_int(schema, "minItems", k->min);
	if (k->max > 0)
		js_set_int(schema, "maxItems", k->max);
	return schema;
}

static Js *
members_schema(Arena *mem, const Key *k)
{
	Js *schema = typed(mem, "object");

	js_set(schema, "propertyNames", pattern(mem, KEY_IDENT_PATTERN));
	js_set(schema, "additionalProperties", list_schema(mem, &k->table->keys[1]));
	return schema;
}

static Js *
secret_schema(Arena *mem)
{
	Js *schema = typed(mem, "object"), *properties = js_object(mem), *required = js_array(mem);

	js_set(properties, "secretRef", pattern(mem, KEY_SECRET_PATTERN));
	js_set(schema, "properties", properties);
	js_push_text(required, "secretRef");
	js_set(schema, "required", required);
	js_set_bool(schema, "additionalProperties", false);
	return schema;
}

static Js *
scalar_schema(Arena *mem)
{
	Js *schema = js_object(mem), *types = js_array(mem);

	js_push_text(types, "string");
	js_push_text(types, "number");
	js_push_text(types, "boolean");
	js_set(schema, "type", types);
	return schema;
}

static Js *
value_schema(Arena *mem, const Key *k)
{
	switch (k->type) {
	case KEY_TEXT:
	case KEY_PATH:
		return text_schema(mem, k);
	case KEY_NAME:
		return pattern(mem, KEY_NAME_PATTERN);
	case KEY_IDENT:
		return pattern(mem, KEY_IDENT_PATTERN);
	case KEY_INT:
		return int_schema(mem, k);
	case KEY_BOOL:
	case KEY_MAYBE:
		return typed(mem, "boolean");
	case KEY_ENUM:
		return words_schema(mem, k->words);
	case KEY_SPAN:
		return pattern(mem, "[0-9]+(ms|s|m|h|d)");
	case KEY_SECRET:
		return secret_schema(mem);
	case KEY_NAMES:
	case KEY_WORDS:
		return names_schema(mem, k);
	case KEY_SCALAR:
		return scalar_schema(mem);
	case KEY_PART:
		return keys_schema(mem, k->table);
	case KEY_LIST:
		return list_schema(mem, k);
	case KEY_MAP:
		return members_schema(mem, k);
	case KEY_NODE:
	case KEY_END:
		break;
	}
	return js_object(mem);
}

static Js *
default_value(Arena *mem, const Key *k)
{
	if (k->type == KEY_INT)
		return js_int(mem, strtoll(k->fallback, NULL, 10));
	if (k->type == KEY_BOOL)
		return js_bool(mem, strcmp(k->fallback, "true") == 0);
	return js_text(mem, k->fallback);
}

Js *
keys_schema(Arena *mem, const KeyTable *table)
{
	Js *schema = typed(mem, "object"), *properties = js_object(mem), *required = js_array(mem);

	js_set_text(schema, "description", table->doc);
	js_set_bool(schema, "additionalProperties", false);
	for (const Key *k = table->keys; k->type != KEY_END; k++) {
		Js *value = value_schema(mem, k);

		js_set_text(value, "description", k->doc);
		if (k->fallback != NULL)
			js_set(value, "default", default_value(mem, k));
		js_set(properties, k->name, value);
		if (k->required)
			js_push_text(required, k->name);
	}
	if (js_count(required) > 0)
		js_set(schema, "required", required);
	js_set(schema, "properties", properties);
	return schema;
}

/* --- Markdown --------------------------------------------------------------- */

static void
add_words(Buf *b, const char *const *words)
{
	size_t first = words[0][0] == '\0', n = first;

	while (words[n] != NULL)
		n++;
	if (n - first > WORDS_SHOWN) {
		buf_fmt(b, "one of %zu codes", n - first);
		return;
	}
	for (size_t i = first; i < n; i++)
		buf_fmt(b, "%s`%s`", i == first ? "" : ", ", words[i]);
}

static void
add_range(Buf *b, const Key *k)
{
	buf_add(b, "integer");
	if (k->min != 0 || k->max != 0)
		buf_fmt(b, ", %" PRId64 " to %" PRId64, k->min, k->max);
}

static void
add_text_type(Buf *b, const Key *k)
{
	if (k->words != NULL) {
		add_words(b, k->words);
		return;
	}
	buf_add(b, "text");
	if (k->max > 0)
		buf_fmt(b, ", %" PRId64 " characters at most", k->max);
}

static void
add_type(Buf *b, const Key *k)
{
	switch (k->type) {
	case KEY_TEXT:
		add_text_type(b, k);
		return;
	case KEY_NAME:
		buf_add(b, "name: `" KEY_NAME_PATTERN "`");
		return;
	case KEY_IDENT:
		buf_add(b, "name: `" KEY_IDENT_PATTERN "`, not a reserved word of SQL");
		return;
	case KEY_INT:
		add_range(b, k);
		return;
	case KEY_BOOL:
	case KEY_MAYBE:
		buf_add(b, "`true` or `false`");
		return;
	case KEY_ENUM:
		add_words(b, k->words);
		return;
	case KEY_SPAN:
		buf_add(b, "span of time: `90s`, `30m`, `12h`, `30d`");
		return;
	case KEY_SECRET:
		buf_add(b, "`{secretRef: \"env:NAME\"}`, `\"file:PATH\"` or `\"store:NAME\"`");
		return;
	case KEY_PATH:
		buf_add(b, "path; a relative one counts from the manifest's folder");
		return;
	case KEY_NAMES:
	case KEY_WORDS:
		buf_add(b, "list of ");
		add_text_type(b, k);
		return;
	case KEY_SCALAR:
		buf_add(b, "text, number or boolean");
		return;
	case KEY_PART:
		buf_fmt(b, "map: see *%s*", k->table->name);
		return;
	case KEY_LIST:
		buf_fmt(b, "list: see *%s*", k->table->name);
		return;
	case KEY_MAP:
		buf_fmt(b, "map of lists: see *%s*", k->table->keys[1].table->name);
		return;
	case KEY_NODE:
		buf_add(b, "as the kind says");
		return;
	case KEY_END:
		return;
	}
}

static void
add_table(Buf *b, const KeyTable *t)
{
	buf_fmt(b, "### %s\n\n%s.\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
	    t->name, t->doc);
	for (const Key *k = t->keys; k->type != KEY_END; k++) {
		buf_fmt(b, "| `%s` | ", k->name);
		add_type(b, k);
		if (k->fallback != NULL)
			buf_fmt(b, " | `%s` | %s |\n", k->fallback, k->doc);
		else
			buf_fmt(b, " | %s | %s |\n", k->required ? "required" : "", k->doc);
	}
	buf_addc(b, '\n');
}

typedef VEC(const KeyTable *) Tables;

/* Each table once, in the order in which a reader meets it. */
static void
collect(Arena *mem, const KeyTable *t, Tables *tables)
{
	for (size_t i = 0; i < tables->n; i++)
		if (tables->at[i] == t)
			return;
	vec_push(mem, tables, t);
	for (const Key *k = t->keys; k->type != KEY_END; k++)
		if (k->table != NULL)
			collect(
			    mem, k->type == KEY_MAP ? k->table->keys[1].table : k->table, tables);
}

void
keys_manual(Buf *b, const KeyTable *table)
{
	Tables tables = { 0 };

	collect(b->mem, table, &tables);
	for (size_t i = 0; i < tables.n; i++)
		add_table(b, tables.at[i]);
}

/*
 * Manifests on their way out: records, JSON Schema, manual, YAML.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/core/kinds.h"

char *
manifest_canonical(Arena *mem, const char *kind, const void *loaded)
{
	Arena *scratch = arena_new(mem);
	const Named *named = loaded;
	Js *record = js_object(scratch);

	if (named->display != NULL)
		js_set_text(record, "displayName", named->display);
	js_set(record, "spec", keys_dump(scratch, kind_find(kind)->table, loaded));
	char *text = js_canonical(mem, record);
	arena_free(scratch);
	return text;
}

bool
manifest_from_json(Ctx *cx, const char *kind, const char *name, const char *json, void **out)
{
	const Kind *k = kind_find(kind);
	const char *origin = arena_printf(cx->mem, "(catalogue) %s/%s", kind, name);
	Document d = { 0 };
	Node *node;

	if (k == NULL)
		return fail(cx, FAIL_CATALOG, "A newer copyhold may have written it.",
		    "the catalogue holds \"%s\" of the unknown kind \"%s\"", name, kind);
	Named *thing = arena_alloc(cx->mem, k->table->size);
	if (!js_parse_node(cx, origin, json, strlen(json), &node) ||
	    !keys_load(cx, &record_table, node, &d) || !keys_load(cx, k->table, d.spec, thing))
		return fail_in(cx, "reading %s \"%s\" from the catalogue", kind, name);
	thing->name = arena_dup(cx->mem, name);
	thing->display = d.meta.display;
	*out = thing;
	return true;
}

/* --- JSON Schema -------------------------------------------------------------------- */

static Js *
kind_schema(Arena *mem, const Kind *kind)
{
	Js *schema = keys_schema(mem, &document_table), *only = js_object(mem);
	Js *properties = js_get(schema, "properties");

	js_set_text(only, "const", kind->name);
	js_set_text(schema, "description", kind->doc);
	js_set(properties, "kind", only);
	js_set(properties, "spec", keys_schema(mem, kind->table));
	return schema;
}

char *
manifest_schema(Arena *mem)
{
	Arena *scratch = arena_new(mem);
	Js *schema = js_object(scratch), *choice = js_array(scratch), *defs = js_object(scratch);

	js_set_text(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
	js_set_text(schema, "$id", "urn:copyhold:manifest:v1");
	js_set_text(schema, "title", "Manifests of Copyhold");
	for (size_t i = 0; i < kinds_n; i++) {
		Js *ref = js_object(scratch);

		js_set_text(ref, "$ref", arena_printf(scratch, "#/$defs/%s", kinds[i].name));
		js_push(choice, ref);
		js_set(defs, kinds[i].name, kind_schema(scratch, &kinds[i]));
	}
	js_set(schema, "oneOf", choice);
	js_set(schema, "$defs", defs);
	char *text = js_pretty(mem, schema);
	arena_free(scratch);
	return text;
}

/* --- manual --------------------------------------------------------------------------- */

static const char intro[] =
    "# Manifests\n\n"
    "A manifest is a YAML document, or a JSON file; a file may hold several, parted by `---`\n"
    "(JSON: a list). Commands take a file, a folder (all files in it that end in `.yaml`, `.yml`\n"
    "or `.json`, hidden ones left out) or `-` for standard input.\n\n"
    "They are read strictly. Unknown and duplicate keys, anchors, aliases, tags, values of the\n"
    "wrong type and names that nothing describes are errors with file, line and column. Only\n"
    "`true` and `false` are booleans. A text that looks like a number stands in quotes.\n\n"
    "Relative paths and `file:` references count from the folder of the manifest and are\n"
    "absolute from then on: a cluster's record changes when its manifest moves.\n\n"
    "Secrets never stand in a manifest, only where they are found:\n"
    "`{secretRef: \"env:NAME\"}` (a variable of the environment), `\"file:PATH\"` (a file) or\n"
    "`\"store:NAME\"` (sealed in the catalogue).\n\n";

void
manifest_manual(Buf *b)
{
	buf_add(b, intro);
	buf_add(b, "## Every manifest\n\n");
	keys_manual(b, &document_table);
	for (size_t i = 0; i < kinds_n; i++) {
		buf_fmt(b, "## %s: %s\n\n", kinds[i].name, kinds[i].doc);
		keys_manual(b, kinds[i].table);
	}
}

/* --- YAML -------------------------------------------------------------------------------- */

/* Words that some reader takes for something else than a text stay in quotes. */
static bool
plain(const char *text)
{
	static const char *const taken[] = { "true", "false", "null", "yes", "no", "on", "off", "y",
		"n" };

	for (size_t i = 0; i < LENGTH(taken); i++)
		if (strcmp(text, taken[i]) == 0)
			return false;
	return text[0] >= 'a' && text[0] <= 'z' &&
	    text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static void
add_scalar(Buf *b, const Js *value)
{
	const char *text = js_value_text(value);

	if (text == NULL)
		buf_add(b, js_canonical(b->mem, value));
	else if (plain(text))
		buf_add(b, text);
	else
		buf_json(b, text);
}

static void
add_flow_list(Buf *b, const Js *list)
{
	for (size_t i = 0; i < js_count(list); i++) {
		buf_add(b, i == 0 ? "[" : ", ");
		add_scalar(b, js_at(list, i));
	}
	buf_addc(b, ']');
}

/* Defaults are texts in the canonical form; people write numbers and booleans without quotes. */
static bool
bare_default(const Js *field, const char *key)
{
	const char *type = js_get_text(field, "type");

	return strcmp(key, "default") == 0 &&
	    (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0 ||
		strcmp(type, "boolean") == 0);
}

static void
add_field(Buf *b, const Js *field)
{
	for (size_t i = 0; i < js_count(field); i++) {
		const char *key = js_key_at(field, i);

		buf_fmt(b, "%s%s: ", i == 0 ? "{" : ", ", key);
		if (bare_default(field, key))
			buf_add(b, js_get_text(field, key));
		else
			add_scalar(b, js_get(field, key));
	}
	buf_addc(b, '}');
}

static void
add_object(Buf *b, const Js *object)
{
	const Js *fields = js_get(object, "fields"), *key = js_get(object, "key");

	buf_add(b, "    - name: ");
	add_scalar(b, js_get(object, "name"));
	if (js_get(object, "was") != NULL) {
		buf_add(b, "\n      was: ");
		add_scalar(b, js_get(object, "was"));
	}
	buf_addc(b, '\n');
	if (key != NULL) {
		buf_add(b, "      key: ");
		add_flow_list(b, key);
		buf_addc(b, '\n');
	}
	if (fields != NULL)
		buf_add(b, "      fields:\n");
	for (size_t i = 0; i < js_count(fields); i++) {
		buf_add(b, "        - ");
		add_field(b, js_at(fields, i));
		buf_addc(b, '\n');
	}
}

char *
manifest_model_yaml(Arena *mem, const Model *m)
{
	Arena *scratch = arena_new(mem);
	Buf b = buf_new(mem);
	Js *spec = keys_dump(scratch, kinds[KIND_MODEL].table, m);
	const Js *objects = js_get(spec, "objects"), *drop = js_get(spec, "drop");

	buf_fmt(&b, "apiVersion: copyhold/v1\nkind: Model\nmetadata: {name: %s", m->name);
	if (m->display != NULL) {
		buf_add(&b, ", displayName: ");
		buf_json(&b, m->display);
	}
	buf_fmt(&b, "}\nspec:\n  version: %" PRId64 "\n  objects:\n", m->version);
	for (size_t i = 0; i < js_count(objects); i++)
		add_object(&b, js_at(objects, i));
	if (drop != NULL) {
		buf_add(&b, "  drop: ");
		add_flow_list(&b, drop);
		buf_addc(&b, '\n');
	}
	arena_free(scratch);
	return b.text;
}

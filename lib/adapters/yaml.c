#include "lib/adapters/yaml.h"

#include <string.h>

#include <yaml.h>

#include "lib/adapters/js.h"
#include "lib/adapters/map.h"
#include "lib/base/buf.h"
#include "lib/base/vec.h"

#define YAML_SCAN_KEYS 16 /* maps up to here are searched for duplicates one by one */

typedef struct YamlLevel { /* a list or map that is being read */
	Node *node, *last;
	Map *seen;       /* of its keys, once there are many */
	const char *key; /* waits for its value; NULL: a key comes next */
	Place key_place;
} YamlLevel;

typedef struct YamlReader {
	Ctx *cx;
	const char *file;
	Arena *scratch;
	YamlLevel level[YAML_MAX_DEPTH];
	int depth;
	long nodes;
	VEC(Node *) docs;
} YamlReader;

static Place
yaml_place(const YamlReader *r, const yaml_mark_t *mark)
{
	return (Place){ r->file, (int)mark->line + 1, (int)mark->column + 1 };
}

/* fail() was just called; adds where. */
static bool
yaml_at(const YamlReader *r, const yaml_mark_t *mark)
{
	return fail_at(r->cx, yaml_place(r, mark));
}

static Place
yaml_place_of_byte(const char *file, const char *text, size_t at)
{
	Place p = { file, 1, 1 };

	for (size_t i = 0; i < at; i++) {
		if (text[i] == '\n') {
			p.line++;
			p.column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			p.column++;
		}
	}
	return p;
}

static const char *
yaml_hint(const char *problem)
{
	static const struct {
		const char *part, *hint;
	} hints[] = {
		{ "cannot start any token",
		    "Indent with spaces, not tabs; put texts that start "
		    "with @ or ` in quotes." },
		{ "mapping values are not allowed",
		    "Keys of one map are indented alike; a text that holds \": \" goes in quotes." },
		{ "end of stream", "Close the quote or bracket that was opened there." },
		{ "escape",
		    "In double quotes a backslash starts an escape; single quotes keep it." },
		{ "control characters",
		    "Remove the character, or write it as an escape in double "
		    "quotes." },
	};

	for (size_t i = 0; i < LENGTH(hints); i++)
		if (strstr(problem, hints[i].part) != NULL)
			return hints[i].hint;
	return "Check the indentation, the quotes and the brackets.";
}

static bool
yaml_syntax(YamlReader *r, const yaml_parser_t *p, const char *text)
{
	const char *problem = p->problem == NULL ? "it cannot be read" : p->problem;

	fail(r->cx, FAIL_MANIFEST, yaml_hint(problem), "not valid YAML: %s", problem);
	if (p->error == YAML_READER_ERROR)
		return fail_at(r->cx, yaml_place_of_byte(r->file, text, p->problem_offset));
	return yaml_at(r, &p->problem_mark);
}

static bool
yaml_plain_only(
    YamlReader *r, const yaml_event_t *ev, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL) {
		fail(r->cx, FAIL_MANIFEST, "Write the value out wherever it is needed.",
		    "anchor \"%s\" is not allowed", (const char *)anchor);
		return yaml_at(r, &ev->start_mark);
	}
	if (tag != NULL) {
		fail(r->cx, FAIL_MANIFEST,
		    "Remove it; a text that looks like a number goes in "
		    "quotes.",
		    "tag \"%s\" is not allowed", (const char *)tag);
		return yaml_at(r, &ev->start_mark);
	}
	return true;
}

static bool
yaml_twice(YamlReader *r, const char *key, const Place *first, Place place)
{
	fail(r->cx, FAIL_MANIFEST, "Remove one of the two.",
	    "key \"%s\" stands twice, first in "
	    "line %d",
	    key, first->line);
	return fail_at(r->cx, place);
}

/* Many keys are looked up in a map, so that a large file stays linear. */
static bool
yaml_check_new_key(YamlReader *r, YamlLevel *top, const char *key, Place place)
{
	const Node *same = NULL;

	if (top->node->count < YAML_SCAN_KEYS) {
		same = node_get(top->node, key);
		return same == NULL ? true : yaml_twice(r, key, &same->key_place, place);
	}
	if (top->seen == NULL) {
		top->seen = map_new(r->scratch);
		for (Node *n = top->node->first; n != NULL; n = n->next)
			map_set(top->seen, n->key, n);
	} else {
		map_set(top->seen, top->last->key, top->last);
	}
	same = map_get(top->seen, key);
	return same == NULL ? true : yaml_twice(r, key, &same->key_place, place);
}

static bool
yaml_add(YamlReader *r, Node *n)
{
	if (++r->nodes > YAML_MAX_NODES) {
		fail(r->cx, FAIL_LIMIT, "Split the file.", "more than %d values in one file",
		    YAML_MAX_NODES);
		return fail_at(r->cx, n->place);
	}
	if (r->depth == 0) {
		if (n->kind != NODE_NULL)
			vec_push(r->cx->mem, &r->docs, n);
		return true;
	}
	YamlLevel *top = &r->level[r->depth - 1];
	if (top->node->kind == NODE_MAP) {
		n->key = top->key;
		n->key_place = top->key_place;
		top->key = NULL;
	}
	if (top->last == NULL)
		top->node->first = n;
	else
		top->last->next = n;
	top->last = n;
	top->node->count++;
	return true;
}

static Node *
yaml_node(YamlReader *r, NodeKind kind, const yaml_event_t *ev)
{
	Node *n = arena_alloc(r->cx->mem, sizeof *n);

	n->kind = kind;
	n->place = yaml_place(r, &ev->start_mark);
	return n;
}

static bool
yaml_is_null(const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

	for (size_t i = 0; i < LENGTH(nulls); i++)
		if (strcmp(text, nulls[i]) == 0)
			return true;
	return false;
}

static bool
yaml_key_wanted(const YamlReader *r)
{
	return r->depth > 0 && r->level[r->depth - 1].node->kind == NODE_MAP &&
	    r->level[r->depth - 1].key == NULL;
}

static bool
yaml_key(YamlReader *r, const yaml_event_t *ev, const char *text, bool plain)
{
	YamlLevel *top = &r->level[r->depth - 1];

	top->key_place = yaml_place(r, &ev->start_mark);
	if (plain && strcmp(text, "<<") == 0) {
		fail(r->cx, FAIL_MANIFEST, "Write the members out.",
		    "merge key \"<<\" is not "
		    "allowed");
		return fail_at(r->cx, top->key_place);
	}
	if (plain && yaml_is_null(text)) {
		fail(r->cx, FAIL_MANIFEST, "Write a name before the colon.", "a key is missing");
		return fail_at(r->cx, top->key_place);
	}
	if (!yaml_check_new_key(r, top, text, top->key_place))
		return false;
	top->key = text;
	return true;
}

static bool
yaml_scalar(YamlReader *r, const yaml_event_t *ev)
{
	const char *value = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (!yaml_plain_only(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag))
		return false;
	if (!utf8_valid(value, len)) {
		fail(r->cx, FAIL_MANIFEST,
		    "Remove the escape \\0, or the one that is no character.",
		    "a text holds a character that is not allowed");
		return yaml_at(r, &ev->start_mark);
	}
	const char *text = arena_dupn(r->cx->mem, value, len);
	if (yaml_key_wanted(r))
		return yaml_key(r, ev, text, plain);
	Node *n = yaml_node(r, plain && yaml_is_null(text) ? NODE_NULL : NODE_TEXT, ev);
	n->quoted = !plain;
	n->text = n->kind == NODE_TEXT ? text : NULL;
	return yaml_add(r, n);
}

static bool
yaml_open(YamlReader *r, const yaml_event_t *ev, NodeKind kind)
{
	if (yaml_key_wanted(r)) {
		fail(r->cx, FAIL_MANIFEST, "Put a text with brackets in quotes.",
		    "a key must be a text, not a %s", kind == NODE_LIST ? "list" : "map");
		return yaml_at(r, &ev->start_mark);
	}
	if (r->depth == YAML_MAX_DEPTH) {
		fail(r->cx, FAIL_LIMIT, NULL, "values are nested deeper than %d", YAML_MAX_DEPTH);
		return yaml_at(r, &ev->start_mark);
	}
	Node *n = yaml_node(r, kind, ev);
	if (!yaml_add(r, n))
		return false;
	r->level[r->depth++] = (YamlLevel){ .node = n };
	return true;
}

static bool
yaml_event(YamlReader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (ev->data.document_start.version_directive == NULL &&
		    ev->data.document_start.tag_directives.start ==
			ev->data.document_start.tag_directives.end)
			return true;
		fail(r->cx, FAIL_MANIFEST, "Remove the line that starts with %.",
		    "directives are not allowed");
		return yaml_at(r, &ev->start_mark);
	case YAML_ALIAS_EVENT:
		fail(r->cx, FAIL_MANIFEST, "Write the value out.", "alias \"%s\" is not allowed",
		    (const char *)ev->data.alias.anchor);
		return yaml_at(r, &ev->start_mark);
	case YAML_SCALAR_EVENT:
		return yaml_scalar(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return yaml_plain_only(
			   r, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag) &&
		    yaml_open(r, ev, NODE_LIST);
	case YAML_MAPPING_START_EVENT:
		return yaml_plain_only(
			   r, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag) &&
		    yaml_open(r, ev, NODE_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return true;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return true;
	}
	return true;
}

static void
yaml_free(void *parser)
{
	yaml_parser_delete(parser);
}

static bool
yaml_read(YamlReader *r, const char *text, size_t n)
{
	yaml_parser_t *p = arena_alloc(r->scratch, sizeof *p);
	yaml_event_t ev;
	bool done = false, good = true;

	if (!yaml_parser_initialize(p))
		return fail(r->cx, FAIL_SYSTEM, NULL, "no memory to read a manifest");
	arena_on_free(r->scratch, yaml_free, p);
	yaml_parser_set_encoding(p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(p, (const unsigned char *)text, n);
	while (good && !done) {
		if (!yaml_parser_parse(p, &ev))
			return yaml_syntax(r, p, text);
		good = yaml_event(r, &ev);
		done = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	return good;
}

static size_t
yaml_char_len(unsigned char lead)
{
	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* What no document may hold is found before any parser sees it. */
static bool
yaml_check_bytes(Ctx *cx, const char *file, const char *text, size_t n)
{
	size_t at = 0, len;

	if (n > YAML_MAX_BYTES) {
		fail(cx, FAIL_LIMIT, "Split it into several files.",
		    "a manifest is larger than %zu MiB", YAML_MAX_BYTES >> 20);
		return fail_at(cx, (Place){ file, 1, 1 });
	}
	if (utf8_valid(text, n))
		return true;
	while (len = yaml_char_len((unsigned char)text[at]),
	    len <= n - at && utf8_valid(text + at, len))
		at += len;
	fail(cx, FAIL_MANIFEST, "Save the file as UTF-8, without NUL characters.",
	    "byte 0x%02x is not valid UTF-8 text", (unsigned char)text[at]);
	return fail_at(cx, yaml_place_of_byte(file, text, at));
}

static bool
yaml_is_json(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && strchr(" \t\r\n", text[i]) != NULL)
		i++;
	return i < n && (text[i] == '{' || text[i] == '[');
}

static bool
yaml_parse_json(YamlReader *r, const char *text, size_t n)
{
	Node *doc;

	if (!js_parse_node(r->cx, r->file, text, n, &doc))
		return false;
	vec_push(r->cx->mem, &r->docs, doc);
	return true;
}

bool
yaml_parse(Ctx *cx, const char *file, const char *text, size_t n, Node ***docs)
{
	YamlReader r = { .cx = cx, .file = file };

	if (!yaml_check_bytes(cx, file, text, n))
		return false;
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		n -= 3;
	}
	r.scratch = arena_new(cx->mem);
	bool good = yaml_is_json(text, n) ? yaml_parse_json(&r, text, n) : yaml_read(&r, text, n);
	arena_free(r.scratch);
	if (!good)
		return false;
	vec_push(cx->mem, &r.docs, NULL);
	*docs = r.docs.at;
	return true;
}

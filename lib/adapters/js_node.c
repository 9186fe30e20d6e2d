/*
 * JSON as a tree with places.  jansson keeps neither the position of a value
 * nor the digits of a number, so manifests in JSON are read here.
 */
#include "lib/adapters/js.h"

#include <string.h>

#include "lib/adapters/map.h"
#include "lib/adapters/yaml.h"
#include "lib/base/buf.h"

#define JS_SCAN_KEYS 16

typedef struct JsReader {
	Ctx *cx;
	Arena *scratch;
	const char *p, *end;
	const char *counted; /* line and column are those of this byte */
	Place at;
	int depth;
	long nodes;
} JsReader;

static bool js_value(JsReader *r, Node **out);

/* Positions are asked for in rising order, so each byte is counted once. */
static Place
js_here(JsReader *r)
{
	for (; r->counted < r->p; r->counted++) {
		if (*r->counted == '\n') {
			r->at.line++;
			r->at.column = 1;
		} else if (((unsigned char)*r->counted & 0xc0) != 0x80) {
			r->at.column++;
		}
	}
	return r->at;
}

static bool
js_wrong(JsReader *r, const char *what)
{
	fail(r->cx, FAIL_MANIFEST, "Check the quotes, commas and brackets; JSON has no comments.",
	    "not valid JSON: %s", what);
	return fail_at(r->cx, js_here(r));
}

static void
js_blank(JsReader *r)
{
	while (r->p < r->end && memchr(" \t\r\n", *r->p, 4) != NULL)
		r->p++;
}

static bool
js_take(JsReader *r, char c)
{
	js_blank(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool
js_hex4(JsReader *r, unsigned *out)
{
	unsigned v = 0;

	if (r->end - r->p < 4)
		return js_wrong(r, "an escape \\u needs four hexadecimal digits");
	for (int i = 0; i < 4; i++) {
		char c = r->p[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v << 4 | (unsigned)((c | 32) - 'a' + 10);
		else
			return js_wrong(r, "an escape \\u needs four hexadecimal digits");
	}
	r->p += 4;
	*out = v;
	return true;
}

static void
js_put_utf8(Buf *b, unsigned c)
{
	if (c < 0x80) {
		buf_addc(b, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(b, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_addc(b, (char)(0xe0 | c >> 12));
		} else {
			buf_addc(b, (char)(0xf0 | c >> 18));
			buf_addc(b, (char)(0x80 | (c >> 12 & 63)));
		}
		buf_addc(b, (char)(0x80 | (c >> 6 & 63)));
	}
	buf_addc(b, (char)(0x80 | (c & 63)));
}

static bool
js_unicode(JsReader *r, Buf *b)
{
	unsigned c, low;

	if (!js_hex4(r, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
			return js_wrong(r, "half of a surrogate pair");
		r->p += 2;
		if (!js_hex4(r, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return js_wrong(r, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return js_wrong(r, "half of a surrogate pair");
	}
	if (c == 0)
		return js_wrong(r, "a text holds a NUL character");
	js_put_utf8(b, c);
	return true;
}

static bool
js_escape(JsReader *r, Buf *b)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = r->p < r->end ? *r->p : '\0';
	const char *found = c == '\0' ? NULL : strchr(from, c);

	if (found != NULL) {
		buf_addc(b, to[found - from]);
		r->p++;
		return true;
	}
	if (c != 'u')
		return js_wrong(r, "an escape that is not known");
	r->p++;
	return js_unicode(r, b);
}

static bool
js_string(JsReader *r, const char **out)
{
	Buf b = buf_new(r->cx->mem);

	r->p++;
	for (;;) {
		const char *from = r->p;
		while (
		    r->p < r->end && *r->p != '"' && *r->p != '\\' && (unsigned char)*r->p >= ' ')
			r->p++;
		buf_addn(&b, from, (size_t)(r->p - from));
		if (r->p == r->end)
			return js_wrong(r, "a text has no closing quote");
		if ((unsigned char)*r->p < ' ')
			return js_wrong(r, "a line break or control character in a text");
		if (*r->p++ == '"')
			break;
		if (!js_escape(r, &b))
			return false;
	}
	*out = b.text;
	return true;
}

static size_t
js_digits(JsReader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - from);
}

static bool
js_number(JsReader *r, const char **out)
{
	const char *from = r->p;

	if (*r->p == '-')
		r->p++;
	bool zero = r->p < r->end && *r->p == '0';
	size_t n = js_digits(r);
	if (n == 0 || (zero && n > 1))
		return js_wrong(r, "a value is expected");
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (js_digits(r) == 0)
			return js_wrong(r, "a number ends after its point");
	}
	if (r->p < r->end && (*r->p | 32) == 'e') {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (js_digits(r) == 0)
			return js_wrong(r, "a number has no exponent");
	}
	*out = arena_dupn(r->cx->mem, from, (size_t)(r->p - from));
	return true;
}

static bool
js_word(JsReader *r, Node *n)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(words[i]);
		if ((size_t)(r->end - r->p) < len || memcmp(r->p, words[i], len) != 0)
			continue;
		r->p += len;
		n->kind = i == 2 ? NODE_NULL : NODE_TEXT;
		n->text = i == 2 ? NULL : words[i];
		return true;
	}
	return js_wrong(r, "a value is expected");
}

static bool
js_new_key(JsReader *r, const Node *map, Map **seen, const Node *last, const char *key, Place at)
{
	const Node *same = NULL;

	if (map->count < JS_SCAN_KEYS) {
		same = node_get(map, key);
	} else {
		if (*seen == NULL) {
			*seen = map_new(r->scratch);
			for (Node *n = map->first; n != NULL; n = n->next)
				map_set(*seen, n->key, n);
		} else {
			map_set(*seen, last->key, (void *)(uintptr_t)last);
		}
		same = map_get(*seen, key);
	}
	if (same == NULL)
		return true;
	fail(r->cx, FAIL_MANIFEST, "Remove one of the two.",
	    "key \"%s\" stands twice, first in "
	    "line %d",
	    key, same->key_place.line);
	return fail_at(r->cx, at);
}

static bool
js_key(JsReader *r, const char **key, Place *at)
{
	js_blank(r);
	if (r->p == r->end || *r->p != '"')
		return js_wrong(r, "a key in double quotes is expected");
	*at = js_here(r);
	if (!js_string(r, key))
		return false;
	return js_take(r, ':') ? true : js_wrong(r, "a colon is expected after a key");
}

/* Reads the members of a map or the items of a list, whose opening bracket was read. */
static bool
js_children(JsReader *r, Node *parent, char close)
{
	bool is_map = parent->kind == NODE_MAP;
	Map *seen = NULL;
	Node *last = NULL, *n = NULL;
	const char *key = NULL;
	Place at = { 0 };

	if (js_take(r, close))
		return true;
	do {
		if (is_map &&
		    (!js_key(r, &key, &at) || !js_new_key(r, parent, &seen, last, key, at)))
			return false;
		if (!js_value(r, &n))
			return false;
		n->key = key;
		n->key_place = at;
		if (last == NULL)
			parent->first = n;
		else
			last->next = n;
		last = n;
		parent->count++;
	} while (js_take(r, ','));
	if (!js_take(r, close))
		return js_wrong(
		    r, is_map ? "a comma or } is expected" : "a comma or ] is expected");
	return true;
}

static bool
js_value(JsReader *r, Node **out)
{
	js_blank(r);
	Node *n = arena_alloc(r->cx->mem, sizeof *n);
	char c = r->p < r->end ? *r->p : '\0';

	n->place = js_here(r);
	if (++r->nodes > YAML_MAX_NODES) {
		fail(r->cx, FAIL_LIMIT, "Split the file.", "more than %d values in one file",
		    YAML_MAX_NODES);
		return fail_at(r->cx, n->place);
	}
	*out = n;
	n->kind = NODE_TEXT;
	n->quoted = c == '"';
	if (c == '"')
		return js_string(r, &n->text);
	if (c == '-' || (c >= '0' && c <= '9'))
		return js_number(r, &n->text);
	if (c != '{' && c != '[')
		return js_word(r, n);
	n->kind = c == '{' ? NODE_MAP : NODE_LIST;
	if (r->depth == YAML_MAX_DEPTH) {
		fail(r->cx, FAIL_LIMIT, NULL, "values are nested deeper than %d", YAML_MAX_DEPTH);
		return fail_at(r->cx, n->place);
	}
	r->p++;
	r->depth++;
	bool good = js_children(r, n, c == '{' ? '}' : ']');
	r->depth--;
	return good;
}

bool
js_parse_node(Ctx *cx, const char *file, const char *text, size_t n, Node **out)
{
	JsReader r = {
		.cx = cx, .p = text, .end = text + n, .counted = text, .at = { file, 1, 1 }
	};
	Node *node;

	if (n > YAML_MAX_BYTES || !utf8_valid(text, n))
		return js_wrong(&r, "too large, or not UTF-8");
	r.scratch = arena_new(cx->mem);
	bool good = js_value(&r, &node);
	js_blank(&r);
	if (good && r.p != r.end)
		good = js_wrong(&r, "something follows the document");
	arena_free(r.scratch);
	if (good)
		*out = node;
	return good;
}

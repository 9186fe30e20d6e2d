#include "lib/adapters/js.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"

static void
js_free(void *value)
{
	json_decref(value);
}

/* The arena holds one reference of its own, so order of freeing does not matter. */
static Js *
js_own(Arena *mem, json_t *value)
{
	if (value == NULL) {
		log_say("out of memory");
		abort();
	}
	arena_on_free(mem, js_free, value);
	return value;
}

static char *
js_clean(Arena *mem, const char *text)
{
	Buf out = buf_new(mem);

	for (const char *p = text; *p != '\0';) {
		size_t n = 1, left = strnlen(p, 4);
		while (n <= left && !utf8_valid(p, n))
			n++;
		if (n <= left) {
			buf_addn(&out, p, n);
			p += n;
		} else {
			buf_add(&out, "\xef\xbf\xbd");
			p++;
		}
	}
	return out.text;
}

static json_t *
js_new_text(const char *value)
{
	if (value == NULL)
		return json_null();
	json_t *text = json_string(value);
	if (text != NULL)
		return text;
	Arena *scratch = arena_new(NULL);
	text = json_string(js_clean(scratch, value));
	arena_free(scratch);
	return text;
}

Js *
js_object(Arena *mem)
{
	return js_own(mem, json_object());
}

Js *
js_array(Arena *mem)
{
	return js_own(mem, json_array());
}

Js *
js_text(Arena *mem, const char *value)
{
	return js_own(mem, js_new_text(value));
}

Js *
js_int(Arena *mem, int64_t value)
{
	return js_own(mem, json_integer(value));
}

Js *
js_bool(Arena *mem, bool value)
{
	return js_own(mem, json_boolean(value));
}

/* Takes over the caller's reference; a key that is not UTF-8 is the only way to fail. */
static void
js_put(Js *object, const char *key, json_t *value)
{
	if (json_object_set(object, key, value) != 0) {
		Arena *scratch = arena_new(NULL);
		json_object_set(object, js_clean(scratch, key), value);
		arena_free(scratch);
	}
	json_decref(value);
}

void
js_set(Js *object, const char *key, Js *value)
{
	js_put(object, key, json_incref(value));
}

void
js_set_text(Js *object, const char *key, const char *value)
{
	js_put(object, key, js_new_text(value));
}

void
js_set_int(Js *object, const char *key, int64_t value)
{
	js_put(object, key, json_integer(value));
}

void
js_set_bool(Js *object, const char *key, bool value)
{
	js_put(object, key, json_boolean(value));
}

void
js_push(Js *array, Js *value)
{
	json_array_append(array, value);
}

void
js_push_text(Js *array, const char *value)
{
	json_array_append_new(array, js_new_text(value));
}

Js *
js_get(const Js *object, const char *key)
{
	return json_object_get(object, key);
}

Js *
js_at(const Js *array, size_t i)
{
	return json_array_get(array, i);
}

size_t
js_count(const Js *array_or_object)
{
	if (json_is_object(array_or_object))
		return json_object_size(array_or_object);
	return json_array_size(array_or_object);
}

const char *
js_get_text(const Js *object, const char *key)
{
	return js_value_text(js_get(object, key));
}

int64_t
js_get_int(const Js *object, const char *key, int64_t otherwise)
{
	const Js *value = js_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool
js_get_bool(const Js *object, const char *key, bool otherwise)
{
	const Js *value = js_get(object, key);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

const char *
js_value_text(const Js *value)
{
	return json_string_value(value);
}

const char *
js_key_at(const Js *object, size_t i)
{
	json_t *o = (json_t *)(uintptr_t)object; /* iterating wants it writable */
	void *it = json_object_iter(o);

	while (it != NULL && i-- > 0)
		it = json_object_iter_next(o, it);
	return it == NULL ? NULL : json_object_iter_key(it);
}

static int
js_dump_part(const char *bytes, size_t n, void *buf)
{
	buf_addn(buf, bytes, n);
	return 0;
}

static char *
js_dump(Arena *mem, const Js *value, size_t flags, const char *end)
{
	Buf out = buf_new(mem);

	json_dump_callback(value, js_dump_part, &out, flags | JSON_ENCODE_ANY);
	buf_add(&out, end);
	return out.text;
}

char *
js_canonical(Arena *mem, const Js *value)
{
	return js_dump(mem, value, JSON_COMPACT | JSON_SORT_KEYS, "");
}

char *
js_pretty(Arena *mem, const Js *value)
{
	return js_dump(mem, value, JSON_INDENT(2), "\n");
}

/* jansson recurses, so the depth is known before it starts. */
static bool
js_too_deep(const char *text, size_t n)
{
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		if (quoted) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				quoted = false;
		} else if (text[i] == '"') {
			quoted = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > JS_MAX_DEPTH)
				return true;
		} else if (text[i] == '}' || text[i] == ']') {
			depth--;
		}
	}
	return false;
}

/* jansson quotes the text near the fault, which may be anybody's data: left out. */
static bool
js_syntax(Ctx *cx, const json_error_t *err)
{
	size_t len = strlen(err->text);
	const char *near_text = strstr(err->text, " near ");

	if (near_text != NULL)
		len = (size_t)(near_text - err->text);
	if (json_error_code(err) == json_error_duplicate_key)
		return fail(cx, FAIL_USAGE, "Remove one of the two.",
		    "not valid JSON: a key stands twice in an object, line %d", err->line);
	return fail(cx, FAIL_USAGE, "Check that the text is whole and was not changed.",
	    "not valid JSON: %.*s, line %d", (int)len, err->text, err->line);
}

bool
js_parse(Ctx *cx, const char *text, size_t n, Js **out)
{
	json_error_t err;

	if (js_too_deep(text, n))
		return fail(
		    cx, FAIL_LIMIT, NULL, "a JSON text is nested deeper than %d", JS_MAX_DEPTH);
	json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &err);
	if (value == NULL)
		return js_syntax(cx, &err);
	*out = js_own(cx->mem, value);
	return true;
}

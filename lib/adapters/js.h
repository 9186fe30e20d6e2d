/*
 * js.h - JSON through jansson: values to build, canonical text, and reading.
 *
 * A Js belongs to the arena it was made in.  js_set and js_push take a value
 * of the same arena (it may be put in one place only).  Canonical text: keys
 * sorted by bytes, no spaces, integers only.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/node.h"

typedef struct json_t Js;

Js	*js_object(Arena *mem);
Js	*js_array(Arena *mem);
Js	*js_text(Arena *mem, const char *value);	/* NULL gives null; invalid UTF-8 is replaced */
Js	*js_int(Arena *mem, int64_t value);
Js	*js_bool(Arena *mem, bool value);
void	 js_set(Js *object, const char *key, Js *value);
void	 js_set_text(Js *object, const char *key, const char *value);
void	 js_set_int(Js *object, const char *key, int64_t value);
void	 js_set_bool(Js *object, const char *key, bool value);
void	 js_push(Js *array, Js *value);
void	 js_push_text(Js *array, const char *value);

Js	*js_get(const Js *object, const char *key);	/* borrowed; NULL if missing or not an object */
Js	*js_at(const Js *array, size_t i);		/* borrowed; NULL past the end */
size_t	 js_count(const Js *array_or_object);
const char *js_get_text(const Js *object, const char *key);	/* NULL if missing or of another type */
int64_t	 js_get_int(const Js *object, const char *key, int64_t otherwise);
bool	 js_get_bool(const Js *object, const char *key, bool otherwise);
const char *js_value_text(const Js *value);		/* NULL unless a text */
const char *js_key_at(const Js *object, size_t i);	/* members in insertion order; NULL past the end */

char	*js_canonical(Arena *mem, const Js *value);
char	*js_pretty(Arena *mem, const Js *value);	/* two spaces, insertion order, ends with a newline */

#define JS_MAX_DEPTH 64
bool	 js_parse(Ctx *cx, const char *text, size_t n, Js **out);	/* duplicate keys, depth and trailing bytes refused */

/* For manifests in JSON: places as in YAML, numbers with all their digits (jansson keeps neither). */
bool	 js_parse_node(Ctx *cx, const char *file, const char *text, size_t n, Node **out);

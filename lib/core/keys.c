#include "lib/core/keys.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/adapters/map.h"
#include "lib/base/opt.h"

#define TEXT_MAX       4096 /* characters, where a key says nothing */
#define PATH_TEXT_MAX  4000 /* bytes */
#define SECRET_REF_MAX 4096 /* bytes */
#define LIST_MAX       10000
#define KNOWN_WORDS    16 /* so many are listed in a hint */

static bool load_map(Ctx *cx, const KeyTable *t, const Node *map, void *out);

bool
keys_wrong(Ctx *cx, Place place, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *what = arena_vprintf(cx->mem, fmt, ap);
	va_end(ap);
	fail(cx, FAIL_MANIFEST, hint, "%s", what);
	return fail_at(cx, place);
}

char *
keys_nearest(Arena *mem, const char *word, const char *const *words, size_t n)
{
	/* among codes of two letters everything is near */
	const char *near_word = strlen(word) < 3 ? NULL : nearest_word(word, words, n);
	Buf b = buf_new(mem);

	if (near_word != NULL)
		buf_fmt(&b, "Did you mean \"%s\"?", near_word);
	if (n == 0 || n > KNOWN_WORDS)
		return b.len > 0 ? b.text : NULL;
	buf_fmt(&b, "%sKnown %s ", b.len > 0 ? " " : "", n == 1 ? "is" : "are");
	for (size_t i = 0; i < n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", words[i]);
	buf_addc(&b, '.');
	return b.text;
}

KeyItems
keys_items(const void *vec)
{
	KeyItems items;

	/* every VEC has this layout, but not this type */
	memcpy(&items, vec, sizeof items);
	return items;
}

static void *
items_add(Arena *mem, void *vec, size_t size)
{
	KeyItems items = keys_items(vec);

	if (items.n == items.cap) {
		size_t cap = items.cap > 0 ? items.cap * 2 : 4;

		items.at = arena_grow(mem, items.at, items.cap * size, cap * size);
		items.cap = cap;
	}
	void *item = (char *)items.at + items.n++ * size;
	memset(item, 0, size);
	memcpy(vec, &items, sizeof items);
	return item;
}

static char *
key_hint(Ctx *cx, const Key *k)
{
	return arena_printf(cx->mem, "%s: %s.", k->name, k->doc);
}

/* What stands there, for "must be X, not Y". */
static const char *
found(const Node *n)
{
	switch (n->kind) {
	case NODE_NULL:
		return "empty";
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a map";
	case NODE_TEXT:
		return "a text";
	}
	return "empty";
}

static bool
wrong_type(Ctx *cx, const Key *k, const Node *n, const char *wanted)
{
	return keys_wrong(
	    cx, n->place, key_hint(cx, k), "\"%s\" must be %s, not %s", k->name, wanted, found(n));
}

/* An unquoted word that any reader of YAML or JSON takes for a number or a boolean. */
static bool
looks_untexted(const char *s)
{
	if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)
		return true;
	s += *s == '-' || *s == '+';
	size_t whole = strspn(s, "0123456789");
	s += whole;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if (whole > 0 && (*s == 'e' || *s == 'E')) {
		s += 1 + (s[1] == '-' || s[1] == '+');
		s += strspn(s, "0123456789");
	}
	return whole > 0 && *s == '\0';
}

static bool
is_text(Ctx *cx, const Key *k, const Node *n)
{
	if (n->kind != NODE_TEXT)
		return wrong_type(cx, k, n, "a text");
	if (!n->quoted && looks_untexted(n->text))
		return keys_wrong(cx, n->place, "Put it in quotes.",
		    "\"%s\" must be a text, not a number or boolean", k->name);
	return true;
}

static size_t
characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

/* C0, DEL and C1: in no name, host or path; they could rewrite a terminal. */
static bool
has_control(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7F || (*p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0))
			return true;
	return false;
}

static size_t
limit_of(const Key *k, size_t otherwise)
{
	return k->max > 0 ? (size_t)k->max : otherwise;
}

static size_t
words_count(const char *const *words)
{
	size_t n = 0;

	while (words[n] != NULL)
		n++;
	return n;
}

/* The index of a word that may be chosen; -1 after the failure. */
static int
word_index(Ctx *cx, const Key *k, const Node *n)
{
	size_t count = words_count(k->words), first = k->words[0][0] == '\0';

	for (size_t i = first; i < count; i++)
		if (strcmp(k->words[i], n->text) == 0)
			return (int)i;
	char *hint = keys_nearest(cx->mem, n->text, k->words + first, count - first);
	keys_wrong(cx, n->place, hint != NULL ? hint : key_hint(cx, k),
	    "\"%.60s\" is no value of \"%s\"", n->text, k->name);
	return -1;
}

static bool
check_text(Ctx *cx, const Key *k, const Node *n)
{
	size_t max = limit_of(k, TEXT_MAX);

	if (!is_text(cx, k, n))
		return false;
	if (n->text[0] == '\0')
		return keys_wrong(cx, n->place, key_hint(cx, k), "\"%s\" is empty", k->name);
	if (k->words != NULL)
		return word_index(cx, k, n) >= 0;
	if (characters(n->text) > max)
		return keys_wrong(cx, n->place, key_hint(cx, k),
		    "\"%s\" is longer than %zu characters", k->name, max);
	if (has_control(n->text))
		return keys_wrong(
		    cx, n->place, key_hint(cx, k), "\"%s\" holds a control character", k->name);
	return true;
}

static bool
check_name(Ctx *cx, const Key *k, const Node *n)
{
	if (!is_text(cx, k, n))
		return false;
	if (name_valid(n->text))
		return true;
	return keys_wrong(cx, n->place,
	    "Names are small letters, digits and \"-\", begin with a "
	    "letter and have 40 characters at most.",
	    "\"%.60s\" is not a name", n->text);
}

static bool
check_ident(Ctx *cx, const Key *k, const Node *n)
{
	const char *why;

	if (!is_text(cx, k, n))
		return false;
	if (ident_valid(n->text, &why))
		return true;
	return keys_wrong(cx, n->place,
	    "Names here are small letters, digits and \"_\", begin "
	    "with a letter, have 48 characters at most and are no reserved words of SQL.",
	    "\"%.60s\" %s", n->text, why);
}

static bool
load_int(Ctx *cx, const Key *k, const Node *n, int64_t *out)
{
	if (n->kind != NODE_TEXT || n->quoted)
		return wrong_type(cx, k, n, "a whole number without quotes");
	const char *digits = n->text + (n->text[0] == '-');
	size_t len = strspn(digits, "0123456789");
	if (len == 0 || digits[len] != '\0' || (digits[0] == '0' && len > 1))
		return wrong_type(cx, k, n, "a whole number");
	char *end;
	long long v = len > 18 ? LLONG_MAX : strtoll(n->text, &end, 10);
	bool any = k->min == 0 && k->max == 0;
	if (len > 18 || (!any && (v < k->min || v > k->max)))
		return keys_wrong(cx, n->place, key_hint(cx, k),
		    "\"%s\" is not between %" PRId64 " and %" PRId64, k->name,
		    any ? -999999999999999999 : k->min, any ? 999999999999999999 : k->max);
	*out = v;
	return true;
}

static bool
load_bool(Ctx *cx, const Key *k, const Node *n, bool *out)
{
	bool yes = n->kind == NODE_TEXT && !n->quoted && strcmp(n->text, "true") == 0;
	bool no = n->kind == NODE_TEXT && !n->quoted && strcmp(n->text, "false") == 0;

	if (!yes && !no)
		return wrong_type(cx, k, n, "true or false");
	*out = yes;
	return true;
}

static bool
load_maybe(Ctx *cx, const Key *k, const Node *n, Maybe *out)
{
	bool yes;

	if (!load_bool(cx, k, n, &yes))
		return false;
	*out = yes ? YES : NO;
	return true;
}

static bool
load_span(Ctx *cx, const Key *k, const Node *n, int64_t *out)
{
	int64_t ms;

	if (n->kind != NODE_TEXT || !span_parse(n->text, &ms))
		return keys_wrong(cx, n->place, "Write a number and a unit: 90s, 30m, 12h, 30d.",
		    "\"%s\" must be a span of time", k->name);
	if (k->max > 0 && (ms < k->min || ms > k->max))
		return keys_wrong(cx, n->place, key_hint(cx, k), "\"%s\" is too %s", k->name,
		    ms < k->min ? "short" : "long");
	*out = ms;
	return true;
}

/* Takes "." and ".." out of an absolute path. */
static char *
tidy_path(Arena *mem, const char *path)
{
	char *out = arena_alloc(mem, strlen(path) + 2);
	size_t len = 0;

	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (len > 0 && out[--len] != '/')
				continue;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n + (path[n] == '/');
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

/* Links are resolved: one folder has one name however it was reached. */
static const char *
folder_of(Ctx *cx, const char *file)
{
	char real[PATH_MAX];
	const char *slash = file == NULL ? NULL : strrchr(file, '/');
	const char *dir = slash == NULL ? "."
	    : slash == file             ? "/"
					: arena_dupn(cx->mem, file, (size_t)(slash - file));

	if (realpath(dir, real) != NULL || getcwd(real, sizeof real) != NULL)
		return arena_dup(cx->mem, real);
	return "/";
}

static char *
absolute(Ctx *cx, const Node *n, const char *path)
{
	if (path[0] == '/')
		return tidy_path(cx->mem, path);
	return tidy_path(
	    cx->mem, arena_printf(cx->mem, "%s/%s", folder_of(cx, n->place.file), path));
}

static bool
load_path(Ctx *cx, const Key *k, const Node *n, const char **out)
{
	if (!check_text(cx, k, n))
		return false;
	if (strlen(n->text) > PATH_TEXT_MAX)
		return keys_wrong(
		    cx, n->place, NULL, "\"%s\" is longer than %d bytes", k->name, PATH_TEXT_MAX);
	*out = absolute(cx, n, n->text);
	return true;
}

static bool
ref_valid(const char *ref)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char digits[] = "0123456789";
	char set[sizeof letters + sizeof digits + 4];
	const char *name = ref + strcspn(ref, ":");

	if (*name == '\0' || *++name == '\0' || has_control(ref) || strlen(ref) > SECRET_REF_MAX)
		return false;
	if (strncmp(ref, "file:", 5) == 0)
		return true;
	bool env = strncmp(ref, "env:", 4) == 0;
	if (!env && (strncmp(ref, "store:", 6) != 0 || strlen(name) > 100))
		return false;
	if (strchr(env ? "_" : digits, *name) == NULL && strchr(letters, *name) == NULL)
		return false;
	snprintf(set, sizeof set, "%s%s%s", letters, digits, env ? "_" : "._/-");
	return name[strspn(name, set)] == '\0';
}

/* The value is never told: whoever writes a password here must not find it in a log. */
static bool
load_secret(Ctx *cx, const Key *k, const Node *n, SecretRef *out)
{
	static const char hint[] = "Secrets never stand in a manifest: write "
				   "{secretRef: \"env:NAME\"}, \"file:PATH\" or \"store:NAME\".";
	const Node *ref = node_get(n, "secretRef");

	if (n->kind != NODE_MAP)
		return keys_wrong(cx, n->place, hint,
		    "\"%s\" must be a reference to a secret, "
		    "not %s",
		    k->name, found(n));
	if (ref == NULL || n->count != 1 || ref->kind != NODE_TEXT || !ref_valid(ref->text))
		return keys_wrong(
		    cx, n->place, hint, "\"%s\" is not a reference to a secret", k->name);
	out->place = ref->place;
	out->ref = ref->text;
	if (strncmp(ref->text, "file:", 5) == 0)
		out->ref = arena_printf(cx->mem, "file:%s", absolute(cx, ref, ref->text + 5));
	return true;
}

static bool
load_names(Ctx *cx, const Key *k, const Node *list, Names *out)
{
	if (list->kind != NODE_LIST)
		return wrong_type(cx, k, list, "a list of texts");
	if (list->count > LIST_MAX)
		return keys_wrong(
		    cx, list->place, NULL, "\"%s\" has more than %d items", k->name, LIST_MAX);
	Map *seen = k->type == KEY_NAMES && list->count > 1 ? map_new(cx->mem) : NULL;
	for (const Node *n = list->first; n != NULL; n = n->next) {
		if (!check_text(cx, k, n))
			return false;
		if (seen != NULL && map_get(seen, n->text) != NULL)
			return keys_wrong(cx, n->place, "Remove one of the two.",
			    "\"%.60s\" stands twice in \"%s\"", n->text, k->name);
		if (seen != NULL)
			map_set(seen, n->text, seen);
		vec_push(cx->mem, out, n->text);
	}
	return true;
}

static bool
load_scalar(Ctx *cx, const Key *k, const Node *n, const char **out)
{
	size_t max = limit_of(k, TEXT_MAX);

	if (n->kind != NODE_TEXT)
		return wrong_type(cx, k, n, "a text, number or boolean");
	if (characters(n->text) > max)
		return keys_wrong(
		    cx, n->place, NULL, "\"%s\" is longer than %zu characters", k->name, max);
	*out = n->text;
	return true;
}

static bool
check_count(Ctx *cx, const Key *k, const Node *n)
{
	int max = (int)limit_of(k, LIST_MAX);

	if (n->count > max)
		return keys_wrong(cx, n->place, NULL, "\"%s\" has %d items, more than %d", k->name,
		    n->count, max);
	if (n->count < k->min)
		return keys_wrong(cx, n->place, key_hint(cx, k), "\"%s\" is empty", k->name);
	return true;
}

static bool
load_list(Ctx *cx, const Key *k, const Node *list, void *vec)
{
	if (list->kind != NODE_LIST)
		return wrong_type(cx, k, list, "a list");
	if (!check_count(cx, k, list))
		return false;
	for (const Node *n = list->first; n != NULL; n = n->next)
		if (!load_map(cx, k->table, n, items_add(cx->mem, vec, k->table->size)))
			return false;
	return true;
}

static void
set_place(const KeyTable *t, void *out, Place place)
{
	if (t->place >= 0)
		memcpy((char *)out + t->place, &place, sizeof place);
}

static bool
load_members(Ctx *cx, const Key *k, const Node *map, void *vec)
{
	const Key *name = &k->table->keys[0], *value = &k->table->keys[1];

	if (map->kind != NODE_MAP)
		return wrong_type(cx, k, map, "a map");
	if (!check_count(cx, k, map))
		return false;
	for (const Node *n = map->first; n != NULL; n = n->next) {
		Node key = {
			.kind = NODE_TEXT, .quoted = true, .text = n->key, .place = n->key_place
		};
		char *item = items_add(cx->mem, vec, k->table->size);

		if (!check_ident(cx, name, &key))
			return false;
		*(const char **)(void *)(item + name->offset) = n->key;
		set_place(k->table, item, n->key_place);
		if (!load_list(cx, value, n, item + value->offset))
			return fail_in(cx, "reading \"%s\" of \"%s\"", n->key, k->name);
	}
	return true;
}

static bool
load_enum(Ctx *cx, const Key *k, const Node *n, void *slot)
{
	int index = is_text(cx, k, n) ? word_index(cx, k, n) : -1;

	if (index < 0)
		return false;
	memcpy(slot, &index, sizeof index);
	return true;
}

static bool
load_value(Ctx *cx, const Key *k, const Node *n, void *slot)
{
	const char **text = slot;

	switch (k->type) {
	case KEY_TEXT:
		return check_text(cx, k, n) && (*text = n->text, true);
	case KEY_NAME:
		return check_name(cx, k, n) && (*text = n->text, true);
	case KEY_IDENT:
		return check_ident(cx, k, n) && (*text = n->text, true);
	case KEY_INT:
		return load_int(cx, k, n, slot);
	case KEY_BOOL:
		return load_bool(cx, k, n, slot);
	case KEY_MAYBE:
		return load_maybe(cx, k, n, slot);
	case KEY_ENUM:
		return load_enum(cx, k, n, slot);
	case KEY_SPAN:
		return load_span(cx, k, n, slot);
	case KEY_SECRET:
		return load_secret(cx, k, n, slot);
	case KEY_PATH:
		return load_path(cx, k, n, slot);
	case KEY_NAMES:
	case KEY_WORDS:
		return load_names(cx, k, n, slot);
	case KEY_SCALAR:
		return load_scalar(cx, k, n, slot);
	case KEY_PART:
		return load_map(cx, k->table, n, slot);
	case KEY_LIST:
		return load_list(cx, k, n, slot);
	case KEY_MAP:
		return load_members(cx, k, n, slot);
	case KEY_NODE:
		*(const Node **)slot = n;
		return true;
	case KEY_END:
		break;
	}
	return true;
}

/* A key's default goes through the same door as what a manifest says. */
static bool
load_defaults(Ctx *cx, const KeyTable *t, void *out)
{
	for (const Key *k = t->keys; k->type != KEY_END; k++) {
		char *slot = (char *)out + k->offset;
		Node n = { .kind = NODE_TEXT, .text = k->fallback };

		if (k->type == KEY_PART && !load_defaults(cx, k->table, slot))
			return false;
		if (k->fallback != NULL && !load_value(cx, k, &n, slot))
			return false;
	}
	return true;
}

static const Key *
key_find(const KeyTable *t, const char *name)
{
	for (const Key *k = t->keys; k->type != KEY_END; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

static Names
key_names(Arena *mem, const KeyTable *t)
{
	Names names = { 0 };

	for (const Key *k = t->keys; k->type != KEY_END; k++)
		vec_push(mem, &names, k->name);
	return names;
}

static bool
unknown_key(Ctx *cx, const KeyTable *t, const Node *n)
{
	Names names = key_names(cx->mem, t);

	return keys_wrong(cx, n->key_place, keys_nearest(cx->mem, n->key, names.at, names.n),
	    "unknown key \"%.60s\" in %s", n->key, t->name);
}

static bool
not_a_map(Ctx *cx, const KeyTable *t, const Node *n)
{
	Names names = key_names(cx->mem, t);

	return keys_wrong(cx, n->place, keys_nearest(cx->mem, "", names.at, names.n),
	    "\"%s\" must be a map, not %s", t->name, found(n));
}

static bool
load_map(Ctx *cx, const KeyTable *t, const Node *map, void *out)
{
	if (map->kind != NODE_MAP)
		return not_a_map(cx, t, map);
	set_place(t, out, map->place);
	if (!load_defaults(cx, t, out))
		return false;
	for (const Node *n = map->first; n != NULL; n = n->next) {
		const Key *k = key_find(t, n->key);

		if (k == NULL)
			return unknown_key(cx, t, n);
		if (!load_value(cx, k, n, (char *)out + k->offset))
			return false;
	}
	for (const Key *k = t->keys; k->type != KEY_END; k++)
		if (k->required && node_get(map, k->name) == NULL)
			return keys_wrong(cx, map->place, key_hint(cx, k),
			    "key \"%s\" is missing in %s", k->name, t->name);
	return true;
}

bool
keys_load(Ctx *cx, const KeyTable *table, const Node *map, void *out)
{
	return load_map(cx, table, map, out);
}

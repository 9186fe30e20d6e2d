#include "compliance/audit/canon.h"

#include <endian.h>
#include <string.h>

#include "lib/adapters/js.h"
#include "lib/base/vec.h"

typedef struct Scan {
	const unsigned char *at, *end;
} Scan;

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Eight characters: 0 if none is a quote, a backslash, a control or beyond ASCII, else the lowest bit
 * set is the highest of the first such one. */
static uint64_t
special(const unsigned char *at)
{
	uint64_t w, quote, slash;

	memcpy(&w, at, 8);
	w = le64toh(w);
	quote = w ^ ONES * '"';
	slash = w ^ ONES * '\\';
	return (w | (w - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & HIGHS;
}

static const unsigned char *
plain(const unsigned char *at, const unsigned char *end)
{
	uint64_t found;

	while (end - at >= 16 && !(special(at) | special(at + 8)))
		at += 16;
	for (; end - at >= 8; at += 8)
		if ((found = special(at)) != 0)
			return at + __builtin_ctzll(found) / 8;
	while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
}

/* One character beyond ASCII, as RFC 3629 has them. */
static bool
wide(Scan *s)
{
	static const struct {
		unsigned char first, last, low, high;
		int more;
	} forms[] = { { 0xc2, 0xdf, 0x80, 0xbf, 1 }, { 0xe0, 0xe0, 0xa0, 0xbf, 2 },
		{ 0xe1, 0xec, 0x80, 0xbf, 2 }, { 0xed, 0xed, 0x80, 0x9f, 2 },
		{ 0xee, 0xef, 0x80, 0xbf, 2 }, { 0xf0, 0xf0, 0x90, 0xbf, 3 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 3 }, { 0xf4, 0xf4, 0x80, 0x8f, 3 } };
	const unsigned char *c = s->at;

	for (size_t i = 0; i < LENGTH(forms); i++) {
		if (c[0] < forms[i].first || c[0] > forms[i].last)
			continue;
		if (s->end - c <= forms[i].more || c[1] < forms[i].low || c[1] > forms[i].high)
			return false;
		for (int k = 2; k <= forms[i].more; k++)
			if ((c[k] & 0xc0) != 0x80)
				return false;
		s->at += 1 + forms[i].more;
		return true;
	}
	return false;
}

/* Which controls have a letter; the others are \u00XX with upper-case digits. */
static const char control_letters[32] = {
	['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
};

static bool
escape_number(const unsigned char *c, const unsigned char *end, unsigned char *out)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *low;

	if (end - c < 6 || memcmp(c, "\\u00", 4) != 0 || (c[4] != '0' && c[4] != '1') || !c[5] ||
	    !(low = strchr(digits, c[5])))
		return false;
	*out = (unsigned char)((c[4] - '0') * 16 + (low - digits));
	return *out != 0 && control_letters[*out] == 0;
}

/* What stands behind a backslash, and how long it is with it; 0: not canonical. */
static size_t
escape(const unsigned char *c, const unsigned char *end, unsigned char *out)
{
	if (end - c < 2)
		return 0;
	if (c[1] == '"' || c[1] == '\\') {
		*out = c[1];
		return 2;
	}
	for (unsigned char i = 0; i < sizeof control_letters; i++)
		if (control_letters[i] && control_letters[i] == (char)c[1]) {
			*out = i;
			return 2;
		}
	return escape_number(c, end, out) ? 6 : 0;
}

static bool
text(Scan *s)
{
	unsigned char unused;

	if (s->at == s->end || *s->at != '"')
		return false;
	s->at++;
	for (;;) {
		s->at = plain(s->at, s->end);
		if (s->at == s->end)
			return false;
		if (*s->at == '"') {
			s->at++;
			return true;
		}
		if (*s->at == '\\') {
			size_t n = escape(s->at, s->end, &unused);
			if (n == 0)
				return false;
			s->at += n;
		} else if (!wide(s))
			return false;
	}
}

/* -9223372036854775808 to 9223372036854775807, no leading zero, no minus zero. */
static bool
number(Scan *s, int64_t *out)
{
	bool minus = s->at < s->end && *s->at == '-';
	const unsigned char *first = s->at + minus;
	uint64_t value = 0, most = (uint64_t)INT64_MAX + minus;

	s->at = first;
	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
		uint64_t digit = *s->at - (unsigned)'0';
		if (value > (most - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = (int64_t)(minus ? 0 - value : value);
	return s->at > first && (*first != '0' || (s->at == first + 1 && !minus));
}

static bool
word(Scan *s, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, w, n) != 0)
		return false;
	s->at += n;
	return true;
}

static bool value(Scan *s, int depth);

static bool
list(Scan *s, int depth)
{
	if (word(s, "[]"))
		return true;
	do {
		s->at++;
		if (!value(s, depth + 1))
			return false;
	} while (s->at < s->end && *s->at == ',');
	return word(s, "]");
}

/* Sorted as strcmp() does: canonical keys hold escapes seldom, and then the characters count. */
static bool
before(Bytes a, Bytes b)
{
	size_t least = a.n < b.n ? a.n : b.n;

	if (!memchr(a.at, '\\', a.n) && !memchr(b.at, '\\', b.n)) {
		int order = memcmp(a.at, b.at, least);
		return order < 0 || (order == 0 && a.n < b.n);
	}
	Arena *mem = arena_new(NULL);
	char *x, *y;
	bool less = canon_text(mem, (Bytes){ a.at - 1, a.n + 2 }, &x) &&
	    canon_text(mem, (Bytes){ b.at - 1, b.n + 2 }, &y) && strcmp(x, y) < 0;
	arena_free(mem);
	return less;
}

/* out NULL: only looked at. */
static bool
object(Scan *s, int depth, CanonObject *out)
{
	Bytes last = { 0 };

	if (out)
		out->n = 0;
	if (word(s, "{}"))
		return true;
	do {
		const unsigned char *key = ++s->at;
		if (!text(s))
			return false;
		Bytes name = { key + 1, (size_t)(s->at - key) - 2 };
		if ((last.at && !before(last, name)) || !word(s, ":"))
			return false;
		last = name;
		const unsigned char *from = s->at;
		if (!value(s, depth + 1) || (out && out->n == CANON_MEMBERS))
			return false;
		if (out) {
			out->at[out->n].key = name;
			out->at[out->n++].value = (Bytes){ from, (size_t)(s->at - from) };
		}
	} while (s->at < s->end && *s->at == ',');
	return word(s, "}");
}

static bool
value(Scan *s, int depth)
{
	int64_t unused;

	if (s->at == s->end || depth > JS_MAX_DEPTH)
		return false;
	switch (*s->at) {
	case '"':
		return text(s);
	case '{':
		return object(s, depth, NULL);
	case '[':
		return list(s, depth);
	case 't':
		return word(s, "true");
	case 'f':
		return word(s, "false");
	case 'n':
		return word(s, "null");
	default:
		return number(s, &unused);
	}
}

bool
canon_object(Bytes bytes, CanonObject *out)
{
	Scan s = { bytes.at, bytes.at + bytes.n };

	return bytes.n >= 2 && *s.at == '{' && object(&s, 1, out) && s.at == s.end;
}

Bytes
canon_get(const CanonObject *o, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < o->n; i++)
		if (o->at[i].key.n == n && memcmp(o->at[i].key.at, key, n) == 0)
			return o->at[i].value;
	return (Bytes){ 0 };
}

Bytes
canon_at(const CanonObject *o, const char *path)
{
	CanonObject inner;
	const char *dot = strchr(path, '.');

	if (!dot)
		return canon_get(o, path);
	for (size_t i = 0; i < o->n; i++) {
		if (o->at[i].key.n != (size_t)(dot - path) ||
		    memcmp(o->at[i].key.at, path, o->at[i].key.n) != 0)
			continue;
		return canon_object(o->at[i].value, &inner) ? canon_at(&inner, dot + 1)
							    : (Bytes){ 0 };
	}
	return (Bytes){ 0 };
}

bool
canon_is(Bytes value_of, const char *wanted)
{
	size_t n = strlen(wanted);

	return value_of.n == n + 2 && value_of.at[0] == '"' &&
	    memcmp(value_of.at + 1, wanted, n) == 0 && value_of.at[n + 1] == '"';
}

bool
canon_text(Arena *mem, Bytes value_of, char **out)
{
	Scan s = { value_of.at, value_of.at + value_of.n };
	char *to, *first;

	if (!value_of.at || !text(&s) || s.at != s.end)
		return false;
	first = to = arena_alloc(mem, value_of.n);
	for (s.at = value_of.at + 1; s.at < s.end - 1;) {
		unsigned char c = *s.at;
		s.at += c == '\\' ? escape(s.at, s.end, &c) : 1;
		*to++ = (char)c;
	}
	*out = first;
	return true;
}

bool
canon_int(Bytes value_of, int64_t *out)
{
	Scan s = { value_of.at, value_of.at + value_of.n };
	int64_t n;

	if (!value_of.at || !number(&s, &n) || s.at != s.end)
		return false;
	*out = n;
	return true;
}

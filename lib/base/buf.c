#include "lib/base/buf.h"

#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define FFFD "\xEF\xBF\xBD"

Buf
buf_new_max(Arena *mem, size_t max)
{
	return (Buf){ .mem = mem, .text = arena_alloc(mem, 64), .cap = 64, .max = max };
}

Buf
buf_new(Arena *mem)
{
	return buf_new_max(mem, BUF_MAX_DEFAULT);
}

void
buf_clear(Buf *b)
{
	b->len = 0;
	b->text[0] = '\0';
	b->full = false;
}

static bool
make_room(Buf *b, size_t n)
{
	if (b->full || n > b->max - b->len) {
		b->full = true;
		return false;
	}
	size_t need = b->len + n + 1;
	if (need > b->cap) {
		size_t cap = b->cap * 2 > need ? b->cap * 2 : need;

		b->text = arena_grow(b->mem, b->text, b->cap, cap);
		b->cap = cap;
	}
	return true;
}

void
buf_addn(Buf *b, const void *bytes, size_t n)
{
	if (!n || !make_room(b, n))
		return;
	memcpy(b->text + b->len, bytes, n);
	b->len += n;
	b->text[b->len] = '\0';
}

void
buf_add(Buf *b, const char *text)
{
	buf_addn(b, text, strlen(text));
}

void
buf_addc(Buf *b, char c)
{
	buf_addn(b, &c, 1);
}

void
buf_fmt(Buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->full = true;
		return;
	}
	if (!make_room(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->text + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

/* The length of the character at s and its code point, or 0 where none is valid. */
static size_t
decode(const char *text, size_t n, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)text;
	size_t len = s[0] < 0x80 ? 1
	    : s[0] < 0xC2        ? 0
	    : s[0] < 0xE0        ? 2
	    : s[0] < 0xF0        ? 3
	    : s[0] < 0xF5        ? 4
				 : 0;

	if (len == 0 || len > n)
		return 0;
	uint32_t c = len == 1 ? s[0] : s[0] & (0x7Fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*out = c;
	return len;
}

bool
utf8_valid(const char *bytes, size_t n)
{
	uint32_t c;

	for (size_t i = 0; i < n;) {
		size_t len = decode(bytes + i, n - i, &c);

		if (len == 0 || c == 0)
			return false;
		i += len;
	}
	return true;
}

/*
 * An invalid byte before a closing quote could swallow it where the reader
 * trusts the lead byte (psql did, CVE-2025-1094): none is ever handed on.
 */
static void
add_quoted(Buf *b, const char *text, const char *doubled)
{
	size_t n = strlen(text);
	uint32_t c;

	for (size_t i = 0; i < n;) {
		size_t len = decode(text + i, n - i, &c);

		if (len == 0) {
			buf_add(b, FFFD);
			i++;
			continue;
		}
		if (len == 1 && strchr(doubled, text[i]))
			buf_addc(b, text[i]);
		buf_addn(b, text + i, len);
		i += len;
	}
}

void
buf_ident(Buf *b, const char *name)
{
	buf_addc(b, '"');
	add_quoted(b, name, "\"");
	buf_addc(b, '"');
}

void
buf_literal(Buf *b, const char *value)
{
	if (!value) {
		buf_add(b, "NULL");
		return;
	}
	bool escapes = strchr(value, '\\') != NULL;
	buf_add(b, escapes ? "E'" : "'");
	add_quoted(b, value, escapes ? "'\\" : "'");
	buf_addc(b, '\'');
}

void
buf_shell(Buf *b, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./:=@%+,-";

	if (*word && strspn(word, plain) == strlen(word)) {
		buf_add(b, word);
		return;
	}
	buf_addc(b, '\'');
	for (const char *p = word; *p; p++) {
		if (*p == '\'')
			buf_add(b, "'\\''");
		else
			buf_addc(b, *p);
	}
	buf_addc(b, '\'');
}

static void
add_json_byte(Buf *b, char c)
{
	static const char names[] = "btn?fr"; /* from 8 */

	if (c == '"' || c == '\\')
		buf_fmt(b, "\\%c", c);
	else if (c >= '\b' && c <= '\r' && c != '\v')
		buf_fmt(b, "\\%c", names[c - '\b']);
	else if ((unsigned char)c < 0x20)
		buf_fmt(b, "\\u%04x", (unsigned)c);
	else
		buf_addc(b, c);
}

void
buf_json(Buf *b, const char *value)
{
	size_t n = strlen(value);
	uint32_t c;

	buf_addc(b, '"');
	for (size_t i = 0; i < n;) {
		size_t len = decode(value + i, n - i, &c);

		if (len == 1)
			add_json_byte(b, value[i]);
		else if (len > 1)
			buf_addn(b, value + i, len);
		else
			buf_add(b, FFFD);
		i += len ? len : 1;
	}
	buf_addc(b, '"');
}

/* wcwidth() asks the locale, which is the user's; the widths of UTF-8 are wanted in any. */
static locale_t
utf8_locale(void)
{
	static locale_t made;

	if (!made)
		made = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return made;
}

/* The length of one of our own colours (see paint()), or 0: another could hide the text after it. */
static size_t
colour_len(const char *s)
{
	static const char *const ours[] = { "\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m",
		"\033[33m", "\033[1;31m" };

	for (size_t i = 0; *s == '\033' && i < sizeof ours / sizeof *ours; i++)
		if (strncmp(s, ours[i], strlen(ours[i])) == 0)
			return strlen(ours[i]);
	return 0;
}

/* What makes a text look other than it is: separators of lines, and turns of the direction. */
static bool
misleads(uint32_t c)
{
	return c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) ||
	    (c >= 0x2066 && c <= 0x2069) || c == 0x061C || c == 0xFEFF;
}

int
text_width(const char *utf8)
{
	locale_t ours = utf8_locale(), old = ours ? uselocale(ours) : (locale_t)0;
	size_t n = strlen(utf8);
	int width = 0;

	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t skip = colour_len(utf8 + i);
		size_t len = skip ? skip : decode(utf8 + i, n - i, &c);
		int w = skip ? 0 : len == 0 ? 1 : wcwidth((wchar_t)c);

		width += w > 0 ? w : 0;
		i += len ? len : 1;
	}
	if (ours)
		uselocale(old);
	return width;
}

void
buf_plain(Buf *b, const char *text, const char *newline)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t skip = colour_len(text + i);
		size_t len = skip ? skip : decode(text + i, n - i, &c);

		if (len == 0)
			buf_add(b, FFFD);
		else if (!skip && c == '\n')
			buf_add(b, newline);
		else if (!skip && (c < 0x20 || (c >= 0x7F && c < 0xA0) || misleads(c)))
			buf_addc(b, c == '\t' ? ' ' : '?');
		else
			buf_addn(b, text + i, len);
		i += len ? len : 1;
	}
}

#define WORD_MAX 48

static size_t
least3(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Edits between a and b: insert, remove, replace, swap of neighbours. */
static size_t
distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t row[3][WORD_MAX + 1], *before = row[0], *last = row[1], *now = row[2];

	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = least3(
			    now[j - 1] + 1, last[j] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		size_t *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

const char *
nearest_word(const char *word, const char *const *words, size_t n)
{
	size_t len = strnlen(word, WORD_MAX + 1);
	size_t best = (len < 3 ? 1 : len / 3) + 1;
	const char *found = NULL;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strnlen(words[i], WORD_MAX + 1);

		if (other > WORD_MAX)
			continue;
		size_t d = distance(word, len, words[i], other);
		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

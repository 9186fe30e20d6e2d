/*
 * Defaults of fields: the canonical text of each type, and what is refused.
 */
#include "lib/core/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/keys.h"

#define NUMBER_DIGITS 1000

typedef const char *(*Canonical)(
    Ctx *cx, const Field *f, const char *text); /* NULL: not of the type */

static const char *
text_default(Ctx *cx, const Field *f, const char *text)
{
	int64_t n = 0;

	(void)cx;
	for (const char *s = text; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return f->max_length == 0 || n <= f->max_length ? text : NULL;
}

static bool
all_digits(const char *s, size_t n)
{
	return n > 0 && strspn(s, "0123456789") >= n;
}

static const char *
integer_default(Ctx *cx, const Field *f, const char *text)
{
	static const char *const ends[2] = { "9223372036854775807", "9223372036854775808" };
	bool minus = text[0] == '-';
	const char *s = text + minus;
	size_t n = strlen(s);

	(void)f;
	if (!all_digits(s, n))
		return NULL;
	while (n > 1 && *s == '0') {
		s++;
		n--;
	}
	if (n > 19 || (n == 19 && strcmp(s, ends[minus]) > 0))
		return NULL;
	return arena_printf(cx->mem, "%s%s", minus && *s != '0' ? "-" : "", s);
}

static const char *
number_default(Ctx *cx, const Field *f, const char *text)
{
	bool minus = text[0] == '-';
	const char *s = text + minus, *point = strchr(s, '.');
	size_t whole = point == NULL ? strlen(s) : (size_t)(point - s);
	size_t part = point == NULL ? 0 : strlen(point + 1);

	if (!all_digits(s, whole) || (point != NULL && !all_digits(point + 1, part)))
		return NULL;
	while (whole > 1 && *s == '0') {
		s++;
		whole--;
	}
	while (part > 0 && point[part] == '0')
		part--;
	bool none = whole == 1 && *s == '0';
	if (whole + part > NUMBER_DIGITS ||
	    (f->precision > 0 &&
		((int64_t)part > f->scale ||
		    (none ? 0 : (int64_t)whole) > f->precision - f->scale)))
		return NULL;
	return arena_printf(cx->mem, "%s%.*s%s%.*s", minus && !(none && part == 0) ? "-" : "",
	    (int)whole, s, part > 0 ? "." : "", (int)part, part > 0 ? point + 1 : "");
}

static const char *
boolean_default(Ctx *cx, const Field *f, const char *text)
{
	(void)cx;
	(void)f;
	return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? text : NULL;
}

/* --- dates ------------------------------------------------------------------ */

static int
number_of(const char *digits, int n)
{
	int v = 0;

	while (n-- > 0)
		v = v * 10 + (*digits++ - '0');
	return v;
}

/* A shape in which each 0 stands for a digit; what follows it in text is for the caller. */
static bool
has_shape(const char *text, const char *shape)
{
	for (; *shape != '\0'; text++, shape++)
		if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
			return false;
	return true;
}

static int
days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

typedef struct Day {
	int year, month, day;
} Day;

static bool
read_day(const char *text, Day *out)
{
	if (!has_shape(text, "0000-00-00"))
		return false;
	Day d = { number_of(text, 4), number_of(text + 5, 2), number_of(text + 8, 2) };
	if (d.year < 1 || d.month < 1 || d.month > 12 || d.day < 1 ||
	    d.day > days_in(d.year, d.month))
		return false;
	*out = d;
	return true;
}

/* One day before or after; false past the years 1 to 9999. */
static bool
move_day(Day *d, int by)
{
	d->day += by;
	if (d->day < 1) {
		if (--d->month < 1) {
			d->month = 12;
			d->year--;
		}
		d->day = d->year < 1 ? 1 : days_in(d->year, d->month);
	} else if (d->day > days_in(d->year, d->month)) {
		d->day = 1;
		if (++d->month > 12) {
			d->month = 1;
			d->year++;
		}
	}
	return d->year >= 1 && d->year <= 9999;
}

static const char *
date_default(Ctx *cx, const Field *f, const char *text)
{
	Day d;

	(void)cx;
	(void)f;
	if (strcmp(text, "today") == 0)
		return text;
	return strlen(text) == 10 && read_day(text, &d) ? text : NULL;
}

/* "Z" or an offset, to minutes east of Greenwich. */
static bool
read_zone(const char *s, int *minutes)
{
	if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0) {
		*minutes = 0;
		return true;
	}
	if ((s[0] != '+' && s[0] != '-') || !has_shape(s + 1, "00:00") || s[6] != '\0')
		return false;
	int h = number_of(s + 1, 2), m = number_of(s + 4, 2);
	*minutes = (s[0] == '-' ? -1 : 1) * (h * 60 + m);
	return h <= 15 && m <= 59;
}

static const char *
timestamp_default(Ctx *cx, const Field *f, const char *text)
{
	Day d;
	int second = 0, zone, part = 0;

	(void)f;
	if (strcmp(text, "now") == 0)
		return text;
	if (!read_day(text, &d) || (text[10] != 'T' && text[10] != ' ') ||
	    !has_shape(text + 11, "00:00"))
		return NULL;
	int hour = number_of(text + 11, 2), minute = number_of(text + 14, 2);
	const char *s = text + 16, *digits = "";
	if (has_shape(s, ":00")) {
		second = number_of(s + 1, 2);
		s += 3;
		if (*s == '.') {
			digits = ++s;
			part = (int)strspn(s, "0123456789");
			s += part;
			if (part < 1 || part > 6)
				return NULL;
		}
	}
	if (hour > 23 || minute > 59 || second > 59 || !read_zone(s, &zone))
		return NULL;
	int total = hour * 60 + minute - zone;
	int by = total < 0 ? -1 : total >= 1440 ? 1 : 0;
	if (by != 0 && !move_day(&d, by))
		return NULL;
	total -= by * 1440;
	while (part > 0 && digits[part - 1] == '0')
		part--;
	return arena_printf(cx->mem, "%04d-%02d-%02dT%02d:%02d:%02d%s%.*sZ", d.year, d.month, d.day,
	    total / 60, total % 60, second, part > 0 ? "." : "", part, digits);
}

/* --- uuid, bytes, json ------------------------------------------------------- */

static char *
lower(Arena *mem, const char *text)
{
	char *out = arena_dup(mem, text);

	for (char *s = out; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'F')
			*s = (char)(*s + 32);
	return out;
}

static const char *
uuid_default(Ctx *cx, const Field *f, const char *text)
{
	(void)f;
	if (strcmp(text, "random") == 0)
		return text;
	if (strlen(text) != 36)
		return NULL;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return NULL;
	}
	return lower(cx->mem, text);
}

static const char *
bytes_default(Ctx *cx, const Field *f, const char *text)
{
	size_t n = strlen(text);

	(void)f;
	if (n < 2 || n % 2 != 0 || strncmp(text, "\\x", 2) != 0 ||
	    strspn(text + 2, "0123456789abcdefABCDEF") != n - 2)
		return NULL;
	return lower(cx->mem, text);
}

static int
by_key(const void *a, const void *b)
{
	return strcmp((*(const Node *const *)a)->key, (*(const Node *const *)b)->key);
}

static bool
exponent_fits(const char *number)
{
	const char *e = strpbrk(number, "eE");

	return e == NULL || strlen(e + 1) <= 3;
}

/* Members sorted, no blanks, numbers as written: jsonb keeps every digit, a double would not. */
static bool
json_text(Buf *b, const Node *n)
{
	const Node **items = arena_alloc(b->mem, sizeof(Node *) * (size_t)(n->count + 1));
	bool map = n->kind == NODE_MAP, ok = true;
	int count = 0;

	if (n->kind == NODE_NULL) {
		buf_add(b, "null");
		return true;
	}
	if (n->kind == NODE_TEXT) {
		if (n->quoted)
			buf_json(b, n->text);
		else
			buf_add(b, n->text);
		return n->quoted || exponent_fits(n->text) || *n->text == 't' || *n->text == 'f';
	}
	for (const Node *c = n->first; c != NULL; c = c->next)
		items[count++] = c;
	if (map)
		qsort(items, (size_t)count, sizeof(Node *), by_key);
	buf_addc(b, map ? '{' : '[');
	for (int i = 0; i < count && ok; i++) {
		buf_add(b, i > 0 ? "," : "");
		if (map) {
			buf_json(b, items[i]->key);
			buf_addc(b, ':');
		}
		ok = json_text(b, items[i]);
	}
	buf_addc(b, map ? '}' : ']');
	return ok;
}

static const char *
json_default(Ctx *cx, const Field *f, const char *text)
{
	Ctx own = ctx_new(cx->mem);
	Buf b = buf_new(cx->mem);
	Node *node;

	(void)f;
	bool ok = js_parse_node(&own, NULL, text, strlen(text), &node) && json_text(&b, node);
	arena_free(own.mem);
	return ok && !b.full ? b.text : NULL;
}

static const struct {
	Canonical canonical;
	const char *hint;
} types[FIELD_TYPES] = {
	[TYPE_TEXT] = { text_default, "The text must not be longer than maxLength." },
	[TYPE_INTEGER] = { integer_default, "Write a whole number of 64 bits." },
	[TYPE_NUMBER] = { number_default,
	    "Write digits and at most one point, as many as "
	    "precision and scale allow." },
	[TYPE_BOOLEAN] = { boolean_default, "Write true or false." },
	[TYPE_DATE] = { date_default, "Write \"2026-12-31\" or today." },
	[TYPE_TIMESTAMP] = { timestamp_default,
	    "Write \"2026-12-31T23:59:59Z\", with another "
	    "offset than Z if you like, or now." },
	[TYPE_UUID] = { uuid_default, "Write 32 hexadecimal digits in five groups, or random." },
	[TYPE_JSON] = { json_default, "Write the JSON text in single quotes: '{\"a\": 1}'." },
	[TYPE_BYTES] = { bytes_default, "Write '\\x' and pairs of hexadecimal digits." },
};

bool
model_default(Ctx *cx, const Field *f, const char *text, const char **out)
{
	Canonical canonical = types[f->type].canonical;
	const char *value = canonical == NULL ? NULL : canonical(cx, f, text);

	if (value == NULL)
		return keys_wrong(cx, f->place, types[f->type].hint,
		    "the default of \"%s\" is not of type %s", f->name, type_name(f->type));
	*out = value;
	return true;
}

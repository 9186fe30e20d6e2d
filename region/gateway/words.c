#include "region/gateway/words_intern.h"

#include <string.h>
#include <strings.h>

enum { /* Words.state */
	BETWEEN,
	IN_WORD,
	IN_NUMBER,
	AFTER_U,       /* u or U, then & */
	IN_NAME,       /* "..." */
	IN_NAME_QUOTE, /* a quote in it: its end, or the first of two */
	IN_UNAME,      /* U&"..." */
	IN_UNAME_QUOTE,
	IN_STRING,
	IN_STRING_ESCAPE,
	IN_STRING_QUOTE,
	AFTER_DOLLAR,
	IN_PARAMETER, /* $1 */
	IN_TAG,       /* $tag */
	IN_BODY,      /* $tag$... */
	IN_BODY_TAG,
	AFTER_DASH,
	AFTER_SLASH,
	IN_LINE, /* -- */
	IN_COMMENT,
	IN_COMMENT_SLASH,
	IN_COMMENT_STAR
};

enum { BLANKS = 1, NEWLINE = 2 };  /* Words.goes_on */
enum { U_NAME = 1, U_ESCAPE = 2 }; /* Words.unicode */

/* --- tokens ------------------------------------------------------------------------------------ */

/* The short form of a name: what does not fit is no name that is looked for, unless it is escaped. */
static void
named(Words *w, const char *name, size_t n, bool quoted)
{
	char text[WORDS_KEPT];
	size_t at = 0;

	if (quoted)
		text[at++] = '"';
	for (size_t i = 0; i < n && at + 1 < sizeof text; i++) {
		bool raise = !quoted && name[i] >= 'a' && name[i] <= 'z';
		text[at++] = (char)(raise ? name[i] & ~0x20 : name[i]);
	}
	text[at] = '\0';
	if (n + quoted >= sizeof text)
		text[quoted] = '*', text[quoted + 1] = '\0';
	if (words_is(w, 0, "DEALLOCATE")) { /* the name as the server will know it */
		memset(w->tag, 0, sizeof w->tag);
		for (size_t i = 0; i < n && i < sizeof w->name - 1; i++) {
			bool lower = !quoted && name[i] >= 'A' && name[i] <= 'Z';
			w->tag[i] = (char)(lower ? name[i] | 0x20 : name[i]);
		}
	}
	words_mean(w, text);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* An escape at the beginning of the text: XXXX or +XXXXXX; returns the bytes, 0 if it is none. */
static size_t
code_point(const char *text, size_t n, char *out)
{
	size_t i = n > 0 && text[0] == '+', digits = i ? 6 : 4;
	uint32_t code = 0;

	if (n < i + digits)
		return 0;
	for (size_t k = 0; k < digits; k++) {
		if (hex_value(text[i + k]) < 0)
			return 0;
		code = code << 4 | (uint32_t)hex_value(text[i + k]);
	}
	*out = code > 0 && code < 0x80 ? (char)code : '?';
	return i + digits;
}

/* The U&"" that waits, in w->tag: its name with this escape character. */
static void
unicode_named(Words *w, char escape)
{
	char name[WORDS_NAME];
	size_t n = 0;

	w->unicode = 0;
	if (w->tag_n >= sizeof w->tag) {
		words_mean(w, "\"" WORDS_UNKNOWN);
		return;
	}
	for (size_t i = 0; i < w->tag_n; i++) {
		char c = w->tag[i];
		if (c == escape && i + 1 < w->tag_n) {
			size_t used = w->tag[i + 1] == escape
			    ? 1
			    : code_point(w->tag + i + 1, w->tag_n - i - 1, &c);
			i += used;
		}
		name[n++] = c;
	}
	named(w, name, n, true);
}

/* Before each token: a U&"" waits for what comes, which is its UESCAPE or not. */
static bool
settle(Words *w, bool uescape, bool string)
{
	if (w->unicode == U_NAME && uescape) {
		w->unicode = U_ESCAPE;
		return true;
	}
	if (w->unicode == U_ESCAPE) {
		if (string && w->string_n == 1 && w->string_first != '\\')
			unicode_named(w, w->string_first);
		else { /* an escape character that is itself quoted in a way of its own */
			w->unicode = 0;
			w->found |= WORD_RUNS_SQL;
		}
		return string;
	}
	if (w->unicode)
		unicode_named(w, '\\');
	return false;
}

static void
end_word(Words *w)
{
	if (w->word_n > sizeof w->word)
		w->word_n = sizeof w->word;
	if (!settle(w, w->word_n == 7 && strncasecmp(w->word, "uescape", 7) == 0, false))
		named(w, w->word, w->word_n, false);
	w->state = BETWEEN;
}

static void
end_name(Words *w)
{
	settle(w, false, false);
	if (w->word_n > sizeof w->word)
		w->word_n = sizeof w->word;
	named(w, w->word, w->word_n, true);
	w->state = BETWEEN;
}

static void
end_unicode_name(Words *w)
{
	settle(w, false, false);
	memcpy(w->tag, w->word, sizeof w->tag);
	w->tag_n = w->word_n;
	w->unicode = U_NAME;
	w->state = BETWEEN;
}

static void
sign(Words *w, char c)
{
	const char text[] = { c, '\0' };

	settle(w, false, false);
	words_mean(w, text);
	w->state = BETWEEN;
}

/* --- characters -------------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool
begins_name(char c)
{
	return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
keep(Words *w, const char *text, size_t n)
{
	size_t room = w->word_n < sizeof w->word ? sizeof w->word - w->word_n : 0;

	if (room > 0)
		memcpy(w->word + w->word_n, text, n < room ? n : room);
	w->word_n = w->word_n + n <= sizeof w->word ? w->word_n + (uint32_t)n : sizeof w->word + 1;
}

/* The string before is complete: nothing goes on with it. */
static void
end_string(Words *w)
{
	if (w->goes_on && !settle(w, false, true))
		words_mean(w, "'");
	w->goes_on = 0;
}

/* A string begins; `escapes`: a backslash in it hides what follows. */
static bool
begin_string(Words *w, bool escapes)
{
	w->state = IN_STRING;
	w->escapes = escapes;
	w->string_n = 0;
	return true;
}

static bool
begin(Words *w, uint8_t state)
{
	w->state = state;
	w->word_n = 0;
	return true;
}

/* Each of these takes a character in its state and returns false if it is to be looked at once more,
 * in the state that now is. */
static bool
between(Words *w, char c)
{
	if (is_blank(c)) {
		if (w->goes_on && (c == '\n' || c == '\r'))
			w->goes_on = NEWLINE;
		return true;
	}
	if (c == '-')
		w->state = AFTER_DASH;
	else if (c == '\'' && w->goes_on == NEWLINE)
		w->state = IN_STRING; /* as it was before: the same string */
	else {
		end_string(w);
		if (c == '\'')
			return begin_string(w, !w->standard_strings);
		if (c == '"')
			return begin(w, IN_NAME);
		if (begins_name(c) || is_digit(c)) {
			begin(w, is_digit(c) ? IN_NUMBER : IN_WORD);
			return false;
		}
		if (c == '$')
			w->state = AFTER_DOLLAR;
		else if (c == '/')
			w->state = AFTER_SLASH;
		else
			sign(w, c);
	}
	return true;
}

static bool
in_word(Words *w, char c)
{
	char one = w->word_n == 1 ? (char)(w->word[0] | 0x20) : '\0';

	if (begins_name(c) || is_digit(c) || c == '$') {
		keep(w, &c, 1);
		return true;
	}
	if (one == 'u' && c == '&') {
		w->state = AFTER_U;
		return true;
	}
	if (c == '\'' && one != '\0' && strchr("ebxn", one)) {
		if (w->unicode != U_ESCAPE)
			settle(w, false, false);
		return begin_string(w, one == 'e' || (one == 'n' && !w->standard_strings));
	}
	end_word(w);
	return false;
}

static bool
after_u(Words *w, char c)
{
	if (c == '"')
		return begin(w, IN_UNAME);
	if (c == '\'') {
		settle(w, false, false);
		return begin_string(w, false);
	}
	end_word(w);
	sign(w, '&');
	return false;
}

static bool
in_name(Words *w, char c)
{
	bool unicode = w->state == IN_UNAME || w->state == IN_UNAME_QUOTE;

	if (w->state == IN_NAME || w->state == IN_UNAME) {
		if (c == '"')
			w->state = unicode ? IN_UNAME_QUOTE : IN_NAME_QUOTE;
		else
			keep(w, &c, 1);
		return true;
	}
	if (c == '"') { /* two of them are one in the name */
		keep(w, &c, 1);
		w->state = unicode ? IN_UNAME : IN_NAME;
		return true;
	}
	if (unicode)
		end_unicode_name(w);
	else
		end_name(w);
	return false;
}

static bool
in_string(Words *w, char c)
{
	if (w->state == IN_STRING_QUOTE && c != '\'') {
		w->goes_on = BLANKS;
		w->state = BETWEEN;
		return false;
	}
	if (w->state == IN_STRING && c == '\'') {
		w->state = IN_STRING_QUOTE;
		return true;
	}
	bool escape = w->state == IN_STRING && c == '\\' && w->escapes;
	w->state = escape ? IN_STRING_ESCAPE : IN_STRING;
	if (w->string_n == 0)
		w->string_first = c;
	w->string_n += w->string_n < 2;
	return true;
}

static bool
in_tag(Words *w, char c)
{
	if (c == '$') {
		settle(w, false, false);
		w->odd = w->odd || w->word_n > sizeof w->tag;
		memcpy(w->tag, w->word, sizeof w->tag);
		w->tag_n = w->word_n;
		w->state = IN_BODY;
		return true;
	}
	if (begins_name(c) || is_digit(c)) {
		keep(w, &c, 1);
		return true;
	}
	settle(w, false, false);
	words_mean(w, "$"); /* no tag: a sign that stands before a word */
	w->state = IN_WORD;
	return false;
}

static bool
after_dollar(Words *w, char c)
{
	w->word_n = 0;
	w->state = is_digit(c) ? IN_PARAMETER : IN_TAG;
	if (w->state == IN_TAG && c != '$' && !begins_name(c))
		sign(w, '$');
	return false;
}

static bool
in_body(Words *w, char c)
{
	if (w->state == IN_BODY) {
		w->matched = 0;
		if (c == '$')
			w->state = IN_BODY_TAG;
	} else if (c == '$') {
		if (w->matched == w->tag_n) {
			words_mean(w, "'");
			w->state = BETWEEN;
		}
		w->matched = 0;
	} else if (w->matched < w->tag_n && w->matched < sizeof w->tag && c == w->tag[w->matched])
		w->matched++;
	else
		w->state = IN_BODY;
	return true;
}

static bool
in_comment(Words *w, char c)
{
	bool slash = w->state == IN_COMMENT_SLASH, star = w->state == IN_COMMENT_STAR;

	w->state = IN_COMMENT;
	if (slash && c == '*')
		w->comments++;
	else if (star && c == '/')
		w->state = --w->comments == 0 ? BETWEEN : IN_COMMENT;
	else if (c == '/')
		w->state = IN_COMMENT_SLASH;
	else if (c == '*')
		w->state = IN_COMMENT_STAR;
	return true;
}

/* The second of what may be the beginning of a comment. */
static bool
after_sign(Words *w, char c)
{
	bool dash = w->state == AFTER_DASH;

	if (dash && c == '-') {
		w->state = IN_LINE;
		return true;
	}
	end_string(w);
	if (!dash && c == '*') {
		w->comments = 1;
		w->state = IN_COMMENT;
		return true;
	}
	sign(w, dash ? '-' : '/');
	return false;
}

static bool
step(Words *w, char c)
{
	switch (w->state) {
	case IN_WORD:
		return in_word(w, c);
	case IN_NUMBER:
		if (begins_name(c) || is_digit(c) || c == '.' || c == '$')
			return true;
		sign(w, '0');
		return false;
	case AFTER_U:
		return after_u(w, c);
	case IN_NAME:
	case IN_NAME_QUOTE:
	case IN_UNAME:
	case IN_UNAME_QUOTE:
		return in_name(w, c);
	case IN_STRING:
	case IN_STRING_ESCAPE:
	case IN_STRING_QUOTE:
		return in_string(w, c);
	case AFTER_DOLLAR:
		return after_dollar(w, c);
	case IN_PARAMETER:
		if (is_digit(c))
			return true;
		sign(w, '0');
		return false;
	case IN_TAG:
		return in_tag(w, c);
	case IN_BODY:
	case IN_BODY_TAG:
		return in_body(w, c);
	case AFTER_DASH:
	case AFTER_SLASH:
		return after_sign(w, c);
	case IN_LINE:
		if (c != '\n' && c != '\r')
			return true;
		w->state = BETWEEN;
		return false; /* the newline may let a string go on */
	case IN_COMMENT:
	case IN_COMMENT_SLASH:
	case IN_COMMENT_STAR:
		return in_comment(w, c);
	default:
		return between(w, c);
	}
}

/* --- runs -------------------------------------------------------------------------------------- */

static size_t
run_of_name(Words *w, const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && (begins_name(text[i]) || is_digit(text[i]) || text[i] == '$'))
		i++;
	keep(w, text, i);
	return i;
}

static size_t
run_without(const char *text, size_t n, char one, char other)
{
	size_t i = 0;

	while (i < n && text[i] != one && text[i] != other)
		i++;
	return i;
}

static size_t
run_of_string(Words *w, const char *text, size_t n)
{
	size_t i = run_without(text, n, '\'', w->escapes ? '\\' : '\'');

	if (w->string_n == 0 && i > 0)
		w->string_first = text[0];
	w->string_n = w->string_n + i < 2 ? w->string_n + (uint32_t)i : 2;
	return i;
}

static size_t
run_of_blanks(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && is_blank(text[i]))
		i++;
	return i;
}

/* Most characters leave the state as it is: how many of these stand here.  step() would do the same. */
static size_t
run(Words *w, const char *text, size_t n)
{
	switch (w->state) {
	case BETWEEN:
		return w->goes_on ? 0 : run_of_blanks(text, n);
	case IN_WORD:
		return run_of_name(w, text, n);
	case IN_STRING:
		return run_of_string(w, text, n);
	case IN_LINE:
		return run_without(text, n, '\n', '\r');
	case IN_COMMENT:
		return run_without(text, n, '*', '/');
	default:
		return 0;
	}
}

/* --- the text ------------------------------------------------------------------------------------ */

void
words_start(Words *w, bool standard_conforming_strings)
{
	memset(w, 0, sizeof *w);
	w->standard_strings = standard_conforming_strings;
}

static bool
is_ascii(const char *text, size_t n)
{
	uint64_t bits = 0, eight;

	for (; n >= sizeof eight; text += sizeof eight, n -= sizeof eight) {
		memcpy(&eight, text, sizeof eight);
		bits |= eight;
	}
	while (n > 0)
		bits |= (unsigned char)text[--n];
	return (bits & UINT64_C(0x8080808080808080)) == 0;
}

void
words_add(Words *w, const char *text, size_t n)
{
	size_t i = 0;

	while ((i += run(w, text + i, n - i)) < n) {
		while (!step(w, text[i]))
			;
		i++;
	}
	w->bytes = w->bytes || !is_ascii(text, n);
}

void
words_end(Words *w)
{
	static const uint8_t within[] = { IN_NAME, IN_UNAME, IN_STRING, IN_STRING_ESCAPE, IN_BODY,
		IN_BODY_TAG, IN_COMMENT, IN_COMMENT_SLASH, IN_COMMENT_STAR };

	for (size_t i = 0; i < sizeof within; i++)
		w->odd = w->odd || w->state == within[i];
	if (w->state != IN_LINE)
		words_add(w, "\n", 1);
	w->state = BETWEEN;
	words_add(w, ";", 1);
}

void
words_text(Words *w, const char *text, size_t n, bool standard_conforming_strings)
{
	Words other;

	words_start(w, standard_conforming_strings);
	words_add(w, text, n);
	words_end(w);
	if (!memchr(text, '\\', n))
		return;
	words_start(&other, !standard_conforming_strings);
	words_add(&other, text, n);
	words_end(&other);
	w->found |= other.found;
	w->deepest = other.deepest > w->deepest ? other.deepest : w->deepest;
}

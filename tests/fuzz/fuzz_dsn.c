/*
 * Short texts from a command line: connection strings, times, the quoting of
 * names and values for SQL and terminals.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/adapters/pg.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is said, a password is never in the error, and one host is one host. */
static void
dsn(Ctx *cx, const char *text)
{
	PgTarget t;

	if (pg_target_dsn(cx, text, &t)) {
		if (t.port < 1 || t.port > 65535 || t.host == NULL || strchr(t.host, ',') != NULL)
			abort();
	} else if (cx->fail->what == NULL) {
		abort();
	}
	fail_clear(cx);
}

/* Between the quotes each quote stands twice, so none ends the word. */
static void
quoted(const char *text, char quote, bool escapes)
{
	size_t n = strlen(text);

	if (n < 2 || text[0] != quote || text[n - 1] != quote)
		abort();
	for (size_t i = 1; i < n - 1; i++) {
		if (text[i] == quote && (i + 1 >= n - 1 || text[++i] != quote))
			abort();
		else if (escapes && text[i] == '\\' && (i + 1 >= n - 1 || text[++i] != '\\'))
			abort();
	}
	if (!utf8_valid(text, n))
		abort();
}

static void
quoting(Arena *mem, const char *text)
{
	Buf ident = buf_new(mem), literal = buf_new(mem), plain = buf_new(mem);

	buf_ident(&ident, text);
	buf_literal(&literal, text);
	buf_plain(&plain, text, " ");
	quoted(ident.text, '"', false);
	quoted(literal.text + (literal.text[0] == 'E'), '\'', literal.text[0] == 'E');
	for (const char *p = plain.text; (p = strchr(p, '\033')) != NULL; p++)
		if (p[1] != '[' || p[2 + strspn(p + 2, "0123;")] != 'm')
			abort();
	if (!utf8_valid(plain.text, plain.len))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	char *text = arena_dupn(cx.mem, (const char *)data, size);
	int64_t ms;

	dsn(&cx, text);
	quoting(cx.mem, text);
	if (clock_parse(text, &ms) && strncmp(clock_iso(cx.mem, ms), text, 10) != 0)
		abort();
	arena_free(cx.mem);
	return 0;
}

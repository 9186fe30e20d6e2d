#include "compliance/audit/lines.h"

#include <string.h>

#define CHUNK ((size_t)256 << 10)

struct Lines {
	LinesFrom from;
	const char *name;
	size_t longest, cap;
	unsigned char *bytes;
	size_t at, n; /* what was read and not given out: [at, n) */
	bool done;
};

Lines *
lines_new(Arena *mem, LinesFrom from, const char *name, size_t longest)
{
	Lines *l = arena_alloc(mem, sizeof *l);

	*l = (Lines){ .from = from, .name = name, .longest = longest, .cap = longest + 1 + CHUNK };
	l->bytes = arena_alloc(mem, l->cap);
	return l;
}

static bool
fill(Ctx *cx, Lines *l)
{
	size_t got = 0;

	memmove(l->bytes, l->bytes + l->at, l->n - l->at);
	l->n -= l->at;
	l->at = 0;
	if (!l->from.read(cx, l->from.ptr, l->bytes + l->n, l->cap - l->n, &got))
		return false;
	l->done = got == 0;
	l->n += got;
	return true;
}

bool
lines_next(Ctx *cx, Lines *l, Bytes *line, bool *end)
{
	const unsigned char *newline;
	size_t seen = 0;

	*end = false;
	while (!(newline = memchr(l->bytes + l->at + seen, '\n', l->n - l->at - seen))) {
		seen = l->n - l->at;
		if (l->done && seen == 0) {
			*end = true;
			return true;
		}
		if (l->done)
			return fail(
			    cx, FAIL_INPUT, NULL, "\"%s\" ends in the middle of a line", l->name);
		if (seen > l->longest)
			break;
		if (!fill(cx, l))
			return false;
	}
	size_t n = newline ? (size_t)(newline - (l->bytes + l->at)) : l->longest + 1;
	if (n > l->longest)
		return fail(cx, FAIL_INPUT, NULL, "\"%s\" has a line of more than %zu bytes",
		    l->name, l->longest);
	*line = (Bytes){ l->bytes + l->at, n };
	l->at += n + 1;
	return true;
}

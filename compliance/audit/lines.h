/*
 * lines.h - a stream of bytes as lines, of which none is longer than stated and
 * the last has its end.  Hostile bytes: FAIL_INPUT.
 */
#pragma once

#include "lib/adapters/crypto.h"

typedef struct Lines Lines;
typedef struct LinesFrom {	/* *got 0: the end */
	bool	(*read)(Ctx *cx, void *ptr, void *out, size_t max, size_t *got);
	void	*ptr;
} LinesFrom;

Lines	*lines_new(Arena *mem, LinesFrom from, const char *name, size_t longest);
bool	 lines_next(Ctx *cx, Lines *l, Bytes *line, bool *end);	/* without its newline; borrowed until the next one */

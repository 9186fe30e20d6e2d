/*
 * pack.h - ZIP files through libzip, whose own names begin with zip_.
 *
 * Written: the same members give the same bytes (order as added, one fixed
 * time, one mode).  Read: hostile.  Place, size and count of the directory are
 * looked at before libzip sees the file; a member is one of a given list, there
 * once at most, stored or deflated, in the clear, and no longer than its limit.
 * What is wrong with the file itself is FAIL_INPUT.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/crypto.h"

typedef enum PackForm { PACK_DEFLATED, PACK_STORED } PackForm;

typedef struct PackWriter PackWriter;
bool	 pack_begin(Ctx *cx, const char *path, PackWriter **out);	/* FAIL_EXISTS; nothing is there before pack_end */
bool	 pack_add(Ctx *cx, PackWriter *w, const char *name, Bytes bytes, PackForm form);	/* borrowed until pack_end */
bool	 pack_add_fd(Ctx *cx, PackWriter *w, const char *name, int fd, PackForm form);	/* all of the file; read by pack_end */
bool	 pack_end(Ctx *cx, PackWriter *w);				/* durable, mode 0600 */

typedef struct PackRule {
	const char	*name;
	uint64_t	 max;		/* bytes */
	bool		 optional;
} PackRule;
typedef struct Pack Pack;
typedef struct PackStream PackStream;
bool	 pack_open(Ctx *cx, const char *path, const PackRule *rules, size_t n, Pack **out);	/* rules are borrowed */
bool	 pack_has(const Pack *p, const char *name);
uint64_t pack_size(const Pack *p, const char *name);			/* as the directory says; 0 if it is not there */
bool	 pack_read(Ctx *cx, Pack *p, const char *name, Bytes *out);	/* whole; a NUL is behind it */
bool	 pack_stream(Ctx *cx, Pack *p, const char *name, PackStream **out);
bool	 pack_next(Ctx *cx, PackStream *s, void *out, size_t max, size_t *got);	/* *got 0: the end, and its checksum is right */
void	 pack_stream_end(PackStream *s);

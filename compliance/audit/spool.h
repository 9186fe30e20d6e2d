/*
 * spool.h - a file without a name that is written once and then read: what is
 * too long for memory on its way into an evidence file.  Gone with its arena.
 */
#pragma once

#include "compliance/audit/lines.h"

typedef struct Spool Spool;
bool	 spool_new(Ctx *cx, const char *dir, Spool **out);	/* in a private folder */
bool	 spool_put(Ctx *cx, void *spool, const void *bytes, size_t n);
bool	 spool_done(Ctx *cx, Spool *s);		/* all of it is there; what follows may read */
uint64_t spool_size(const Spool *s);
void	 spool_sha(const Spool *s, unsigned char out[32]);
int	 spool_fd(const Spool *s);
LinesFrom spool_read(Arena *mem, const Spool *s);	/* from its beginning */

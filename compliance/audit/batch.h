/*
 * batch.h - many small files that become durable together.
 *
 * batch_put() writes a hidden file beside the place; batch_commit() makes all
 * of them durable, gives them their names, and makes the names durable: two
 * syncs of the file system instead of two for each file.  Until then nothing
 * can be seen of them; a crash leaves each place as it was or with the whole
 * new content.  One writer at a time for each place.
 */
#pragma once

#include <sys/types.h>

#include "lib/adapters/crypto.h"
#include "lib/base/vec.h"

typedef struct Batch Batch;
Batch	*batch_new(Arena *mem, const char *dir);	/* any folder on the same file system; what was not committed goes with the arena */
void	 batch_open_to_all(Batch *b);			/* folders that are made can be read by others, for a web server */
bool	 batch_put(Ctx *cx, Batch *b, const char *path, mode_t mode, Bytes bytes);	/* folders are made, 0700 or 0755 */
size_t	 batch_mark(const Batch *b);
void	 batch_back(Batch *b, size_t mark);		/* drops what was put since; a writer whose part failed does not stop the others */
bool	 batch_commit(Ctx *cx, Batch *b);

/*
 * tile.h - a log as static files: C2SP tlog-tiles.
 *
 * tile/<level>/<n>[.p/<width>] holds 256 (or width) hashes of 32 bytes,
 * tile/entries/<n>[.p/<width>] as many entries, each with a u16 BE length
 * before it; n as x001/x234/067.  Full tiles never change; a partial one is
 * written beside, and removed once the full one is durable.
 */
#pragma once

#include "compliance/audit/merkle.h"

struct Batch;

#define TILE_WIDTH 256
#define ENTRY_MAX  65535

char	*tile_path(Arena *mem, const char *dir, int level, uint64_t n, unsigned width);	/* level -1: entries; width 256: full */
bool	 tile_read(Ctx *cx, const char *dir, int level, uint64_t n, unsigned width, Bytes *out);	/* falls back to a fuller one */
/* Brings the files of a tree from `have` to the given entries more, through a batch: nothing of it can be
 * seen before batch_commit().  tile_tidy(), after that, removes what full tiles have made needless. */
typedef struct TileWriter TileWriter;
bool	 tile_writer(Ctx *cx, struct Batch *batch, const char *dir, uint64_t have, TileWriter **out);	/* reads the right edge */
const Range *tile_range(const TileWriter *w);	/* of the tree so far; after tile_writer() that of `have` */
bool	 tile_add(Ctx *cx, TileWriter *w, Bytes entry);
bool	 tile_end(Ctx *cx, TileWriter *w);		/* the partial tiles too; no more entries */
void	 tile_tidy(TileWriter *w);
/* The tree's hashes, read from its tiles as they are needed; remembers the last tiles. */
HashSource tile_hashes(Arena *mem, const char *dir, uint64_t size);
bool	 tile_bundle_each(Ctx *cx, Bytes bundle, bool (*each)(Ctx *cx, void *ptr, Bytes entry), void *ptr);	/* hostile bytes */

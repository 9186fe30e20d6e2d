#include "compliance/audit/tile.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "compliance/audit/batch.h"
#include "lib/base/buf.h"
#include "lib/base/file.h"

#define TILE_LEVELS 8 /* 256^8 leaves */
#define TILE_MODE   0600
#define BUNDLE_MAX  ((size_t)TILE_WIDTH * (2 + ENTRY_MAX))
#define TILE_HINT   "Run: copyhold audit recover."

static char *
tile_number(Arena *mem, uint64_t n)
{
	char *text = arena_printf(mem, "%03u", (unsigned)(n % 1000));

	for (n /= 1000; n > 0; n /= 1000)
		text = arena_printf(mem, "x%03u/%s", (unsigned)(n % 1000), text);
	return text;
}

char *
tile_path(Arena *mem, const char *dir, int level, uint64_t n, unsigned width)
{
	char *kind = level < 0 ? arena_dup(mem, "entries") : arena_printf(mem, "%d", level);
	char *number = tile_number(mem, n);

	return width >= TILE_WIDTH
	    ? arena_printf(mem, "%s/tile/%s/%s", dir, kind, number)
	    : arena_printf(mem, "%s/tile/%s/%s.p/%u", dir, kind, number, width);
}

/* The narrowest file that has the wanted hashes or entries. */
static char *
tile_find(Arena *mem, const char *dir, int level, uint64_t n, unsigned width)
{
	char *full = tile_path(mem, dir, level, n, TILE_WIDTH);

	for (unsigned w = width; w < TILE_WIDTH; w++) {
		char *path = tile_path(mem, dir, level, n, w);
		if (file_exists(path))
			return path;
		if (w == width && file_exists(full))
			return full;
	}
	return full;
}

static bool
tile_bad(Ctx *cx, const char *path)
{
	return fail(cx, FAIL_HOME, TILE_HINT, "the file \"%s\" of the log is damaged", path);
}

/* Where entry `count` of a bundle begins; more than the bundle has: SIZE_MAX. */
static size_t
bundle_offset(Bytes bundle, unsigned count)
{
	size_t at = 0;

	for (unsigned i = 0; i < count; i++) {
		if (bundle.n - at < 2)
			return SIZE_MAX;
		size_t len = (size_t)bundle.at[at] << 8 | bundle.at[at + 1];
		at += 2;
		if (bundle.n - at < len)
			return SIZE_MAX;
		at += len;
	}
	return at;
}

bool
tile_read(Ctx *cx, const char *dir, int level, uint64_t n, unsigned width, Bytes *out)
{
	const char *path = tile_find(cx->mem, dir, level, n, width);
	char *text;
	size_t len;

	if (!file_exists(path))
		return fail(cx, FAIL_HOME, TILE_HINT, "the file \"%s\" of the log is missing",
		    tile_path(cx->mem, dir, level, n, width));
	if (!file_read(cx, path, BUNDLE_MAX, &text, &len))
		return false;
	Bytes all = { (unsigned char *)text, len };
	size_t want = level < 0 ? bundle_offset(all, width) : (size_t)width * HASH_BYTES;
	if (want > len)
		return tile_bad(cx, path);
	*out = (Bytes){ all.at, want };
	return true;
}

bool
tile_bundle_each(Ctx *cx, Bytes bundle, bool (*each)(Ctx *cx, void *ptr, Bytes entry), void *ptr)
{
	for (size_t at = 0; at < bundle.n;) {
		if (bundle.n - at < 2)
			return fail(cx, FAIL_INPUT, NULL, "a bundle of entries ends early");
		size_t len = (size_t)bundle.at[at] << 8 | bundle.at[at + 1];
		at += 2;
		if (bundle.n - at < len)
			return fail(cx, FAIL_INPUT, NULL, "a bundle of entries ends early");
		if (!each(cx, ptr, (Bytes){ bundle.at + at, len }))
			return false;
		at += len;
	}
	return true;
}

/* --- writing -------------------------------------------------------------------- */

typedef struct Edge { /* the rightmost, not yet full tile of a level */
	Hash at[TILE_WIDTH];
	unsigned n;
	bool changed;
} Edge;

typedef struct FullTile {
	int level;
	uint64_t n;
} FullTile;

struct TileWriter {
	Arena *mem;
	const char *dir;
	Range range;
	Buf entries; /* of the rightmost bundle */
	Edge edge[TILE_LEVELS];
	Batch *batch;
	VEC(FullTile) full;
};

static unsigned
edge_width(uint64_t size, int level)
{
	return (unsigned)(size >> 8 * level & (TILE_WIDTH - 1));
}

static uint64_t
edge_number(uint64_t size, int level)
{
	return level + 1 < TILE_LEVELS ? size >> 8 * (level + 1) : 0;
}

static bool
edge_read(Ctx *cx, TileWriter *w, uint64_t have, int level)
{
	Edge *e = &w->edge[level];
	Bytes bytes;

	e->n = edge_width(have, level);
	if (e->n == 0)
		return true;
	if (!tile_read(cx, w->dir, level, edge_number(have, level), e->n, &bytes))
		return false;
	for (unsigned i = 0; i < e->n; i++) {
		memcpy(e->at[i].at, bytes.at + (size_t)i * HASH_BYTES, HASH_BYTES);
		range_push(&w->range, 8 * level, &e->at[i]);
	}
	return true;
}

bool
tile_writer(Ctx *cx, Batch *batch, const char *dir, uint64_t have, TileWriter **out)
{
	TileWriter *w = arena_alloc(cx->mem, sizeof *w);
	Bytes entries = { 0 };

	w->mem = cx->mem;
	w->dir = dir;
	w->entries = buf_new_max(cx->mem, BUNDLE_MAX);
	w->batch = batch;
	range_begin(&w->range, 0);
	for (int level = TILE_LEVELS; level-- > 0;)
		if (!edge_read(cx, w, have, level))
			return false;
	if (w->edge[0].n > 0 &&
	    !tile_read(cx, dir, -1, edge_number(have, 0), w->edge[0].n, &entries))
		return false;
	buf_addn(&w->entries, entries.at, entries.n);
	*out = w;
	return true;
}

const Range *
tile_range(const TileWriter *w)
{
	return &w->range;
}

static bool
tile_put(Ctx *cx, TileWriter *w, int level, uint64_t n, unsigned width)
{
	Arena *mem = arena_new(cx->mem);
	const char *path = tile_path(mem, w->dir, level, n, width);
	Bytes bytes = level < 0 ? (Bytes){ (unsigned char *)w->entries.text, w->entries.len }
				: (Bytes){ w->edge[level].at[0].at, (size_t)width * HASH_BYTES };
	bool done = batch_put(cx, w->batch, path, TILE_MODE, bytes);

	if (done && width == TILE_WIDTH)
		vec_push(w->mem, &w->full, ((FullTile){ level, n }));
	arena_free(mem);
	return done;
}

/* A hash for a level; a tile that becomes full is written, and its root goes one level up. */
static bool
edge_add(Ctx *cx, TileWriter *w, int level, const Hash *hash)
{
	Hash up = *hash;

	for (; level < TILE_LEVELS; level++) {
		Edge *e = &w->edge[level];
		Range r;
		e->at[e->n++] = up;
		e->changed = true;
		if (e->n < TILE_WIDTH)
			return true;
		if (!tile_put(cx, w, level, edge_number(w->range.end, level) - 1, TILE_WIDTH))
			return false;
		range_begin(&r, 0);
		for (unsigned i = 0; i < TILE_WIDTH; i++)
			range_add(&r, &e->at[i]);
		up = r.at[0];
		e->n = 0;
	}
	return true;
}

bool
tile_add(Ctx *cx, TileWriter *w, Bytes entry)
{
	Hash leaf;

	if (entry.n > ENTRY_MAX)
		return fail(cx, FAIL_LIMIT, NULL, "an entry of %zu bytes is larger than %d",
		    entry.n, ENTRY_MAX);
	merkle_leaf(entry.at, entry.n, &leaf);
	range_add(&w->range, &leaf);
	buf_addc(&w->entries, (char)(entry.n >> 8));
	buf_addc(&w->entries, (char)entry.n);
	buf_addn(&w->entries, entry.at, entry.n);
	if (w->range.end % TILE_WIDTH == 0) {
		if (!tile_put(cx, w, -1, edge_number(w->range.end, 0) - 1, TILE_WIDTH))
			return false;
		buf_clear(&w->entries);
	}
	return edge_add(cx, w, 0, &leaf);
}

/* The full file has all that the partial ones had. */
static void
tile_drop_partial(Arena *mem, const TileWriter *w, const FullTile *t)
{
	const char *folder = arena_printf(
	    mem, "%s.p", tile_path(mem, w->dir, t->level, t->n, TILE_WIDTH));
	DIR *d = opendir(folder);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(folder);
}

bool
tile_end(Ctx *cx, TileWriter *w)
{
	uint64_t size = w->range.end;

	for (int level = 0; level < TILE_LEVELS; level++) {
		Edge *e = &w->edge[level];
		if (!e->changed || e->n == 0)
			continue;
		if (!tile_put(cx, w, level, edge_number(size, level), e->n))
			return false;
		if (level == 0 && !tile_put(cx, w, -1, edge_number(size, 0), e->n))
			return false;
	}
	return true;
}

void
tile_tidy(TileWriter *w)
{
	Arena *mem = arena_new(w->mem);

	for (size_t i = 0; i < w->full.n; i++)
		tile_drop_partial(mem, w, &w->full.at[i]);
	arena_free(mem);
}

/* --- reading -------------------------------------------------------------------- */

typedef struct TileCache {
	const char *dir;
	uint64_t size;
	Arena *mem[TILE_LEVELS]; /* of the tile that a level remembers */
	Arena *parent;
	uint64_t n[TILE_LEVELS];
	Bytes tile[TILE_LEVELS];
} TileCache;

static bool
cache_tile(Ctx *cx, TileCache *c, int level, uint64_t n, Bytes *out)
{
	unsigned width = n < edge_number(c->size, level) ? TILE_WIDTH : edge_width(c->size, level);

	if (!c->mem[level] || c->n[level] != n) {
		if (!c->mem[level])
			c->mem[level] = arena_new(c->parent);
		arena_reset(c->mem[level]);
		c->n[level] = UINT64_MAX;
		Ctx own = ctx_new(c->mem[level]);
		if (!tile_read(&own, c->dir, level, n, width, &c->tile[level])) {
			fail_copy(cx, &own);
			return false;
		}
		c->n[level] = n;
	}
	*out = c->tile[level];
	return true;
}

static bool
cache_subtree(Ctx *cx, void *ptr, int level, uint64_t index, Hash *out)
{
	TileCache *c = ptr;
	uint64_t first = index << level % 8, count = (uint64_t)1 << level % 8;
	Bytes tile;
	Range r;

	if (level / 8 >= TILE_LEVELS || ((index + 1) << level) > c->size)
		return fail(cx, FAIL_LIMIT, NULL, "the tree of %llu entries has no such part",
		    (unsigned long long)c->size);
	if (!cache_tile(cx, c, level / 8, first / TILE_WIDTH, &tile))
		return false;
	range_begin(&r, 0);
	for (uint64_t i = 0; i < count; i++) {
		Hash h;
		memcpy(h.at, tile.at + (first % TILE_WIDTH + i) * HASH_BYTES, HASH_BYTES);
		range_add(&r, &h);
	}
	*out = r.at[0];
	return true;
}

HashSource
tile_hashes(Arena *mem, const char *dir, uint64_t size)
{
	TileCache *c = arena_alloc(mem, sizeof *c);

	c->dir = arena_dup(mem, dir);
	c->size = size;
	c->parent = mem;
	return (HashSource){ cache_subtree, c };
}

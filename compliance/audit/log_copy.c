/*
 * Copies what can be published: tiles and entries, which never change once they
 * are full, then key and checkpoint.  Whoever reads along sees at any moment a
 * checkpoint whose files are all there.
 */
#include <string.h>
#include <sys/stat.h>

#include "compliance/audit/log_intern.h"
#include "compliance/audit/tile.h"
#include "lib/base/file.h"

#define COPY_FILES 512 /* made durable together */
#define COPY_MAX   ((size_t)TILE_WIDTH * (2 + ENTRY_MAX))
#define COPY_MODE  0644
#define LEVELS     8

typedef struct Copy {
	const Log *log;
	const char *to;
	Arena *mem;
	Ctx cx; /* of the files that are not durable yet */
	Batch *batch;
	uint64_t files;
} Copy;

static bool
copy_flush(Ctx *cx, Copy *c)
{
	if (c->batch && !batch_commit(&c->cx, c->batch)) {
		fail_copy(cx, &c->cx);
		return false;
	}
	arena_free(c->cx.mem);
	c->cx = ctx_new(c->mem);
	c->batch = batch_new(c->cx.mem, c->to);
	batch_open_to_all(c->batch);
	return true;
}

static bool
same_length(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_size == other.st_size;
}

static bool
copy_file(Ctx *cx, Copy *c, const char *from, const char *to)
{
	char *bytes;
	size_t n;

	if (!file_read(&c->cx, from, COPY_MAX, &bytes, &n) ||
	    !batch_put(&c->cx, c->batch, to, COPY_MODE, (Bytes){ (unsigned char *)bytes, n })) {
		fail_copy(cx, &c->cx);
		return false;
	}
	c->files++;
	return batch_mark(c->batch) < COPY_FILES || copy_flush(cx, c);
}

static bool
copy_tile(Ctx *cx, Copy *c, int level, uint64_t n, unsigned width)
{
	Ctx own = ctx_new(cx->mem);
	char *from = tile_path(own.mem, c->log->dir, level, n, width);
	char *to = tile_path(own.mem, c->to, level, n, width);
	Bytes bytes;
	bool done = true;

	if (same_length(from, to))
		;
	else if (file_exists(from))
		done = copy_file(&own, c, from, to);
	else { /* a partial one that a full one has taken the place of */
		done = tile_read(&own, c->log->dir, level, n, width, &bytes) &&
		    batch_put(&own, c->batch, to, COPY_MODE, bytes);
		c->files += done;
	}
	if (!done)
		fail_copy(cx, &own);
	arena_free(own.mem);
	return done;
}

static bool
copy_level(Ctx *cx, Copy *c, int level, uint64_t old, uint64_t size)
{
	int height = level < 0 ? 0 : level;
	uint64_t hashes = size >> 8 * height, full = hashes / TILE_WIDTH;
	unsigned rest = (unsigned)(hashes % TILE_WIDTH);

	for (uint64_t n = (old >> 8 * height) / TILE_WIDTH; n < full; n++)
		if (!copy_tile(cx, c, level, n, TILE_WIDTH))
			return false;
	return rest == 0 || copy_tile(cx, c, level, full, rest);
}

/* What stands there was copied by us: files before the checkpoint. */
static uint64_t
copied_size(Ctx *cx, const Log *log, const char *to)
{
	Log there = *log;
	Ctx own = ctx_new(cx->mem);
	Checkpoint c;
	Note note;
	bool found;

	there.dir = to;
	bool ours = log_checkpoint(&own, &there, &note, &c, &found) && found &&
	    strcmp(c.origin, log->origin) == 0;
	uint64_t size = ours ? c.size : 0;
	arena_free(own.mem);
	return size;
}

static bool
copy_names(Ctx *cx, Copy *c, const Note *note)
{
	char *text = note_text(cx->mem, note);
	char *key = arena_printf(cx->mem, "%s/key", c->to);

	if (!file_exists(key) &&
	    !copy_file(cx, c, arena_printf(cx->mem, "%s/key", c->log->dir), key))
		return false;
	if (!copy_flush(cx, c))
		return false;
	return batch_put(cx, c->batch, arena_printf(cx->mem, "%s/checkpoint", c->to), COPY_MODE,
		   (Bytes){ (unsigned char *)text, strlen(text) }) &&
	    batch_commit(cx, c->batch);
}

bool
log_copy(Ctx *cx, const Log *log, const char *to, uint64_t *files)
{
	Copy c = {
		.log = log, .mem = cx->mem, .to = arena_printf(cx->mem, "%s/%s", to, log->folder)
	};
	Checkpoint head;
	Note note;
	bool found;

	*files = 0;
	if (!log_checkpoint(cx, log, &note, &head, &found))
		return false;
	if (!found)
		return true;
	uint64_t old = copied_size(cx, log, c.to);
	if (old > head.size)
		return fail(cx, FAIL_FORKED, "Is that folder of another home, or of a later time?",
		    "\"%s\" has %llu entries of the log and the home has published %llu", c.to,
		    (unsigned long long)old, (unsigned long long)head.size);
	if (!file_make_dirs(cx, c.to, 0755) || !copy_flush(cx, &c))
		return false;
	for (int level = -1; level < LEVELS; level++)
		if (!copy_level(cx, &c, level, old, head.size))
			return false;
	if (!copy_names(cx, &c, &note))
		return false;
	*files = c.files + 1;
	return true;
}

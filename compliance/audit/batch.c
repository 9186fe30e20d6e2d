#include "compliance/audit/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/core/model.h"

#define BATCH_FEW 64 /* more than these, and one sync of the whole file system costs less */

typedef struct BatchFile {
	char *temp, *path;
} BatchFile;

struct Batch {
	Arena *mem;
	const char *dir;
	VEC(BatchFile) files;
	bool made_folders;
	mode_t folder_mode;
};

size_t
batch_mark(const Batch *b)
{
	return b->files.n;
}

void
batch_back(Batch *b, size_t mark)
{
	for (; b->files.n > mark; b->files.n--)
		if (b->files.at[b->files.n - 1].temp)
			unlink(b->files.at[b->files.n - 1].temp);
}

static void
batch_drop(void *ptr)
{
	batch_back(ptr, 0);
}

/* The boundaries of a run are those of its journal: these are passed over unless they are asked for. */
static void
batch_fault(const char *name)
{
	if (getenv("COPYHOLD_FAULT_AUDIT"))
		fault_point(name);
}

Batch *
batch_new(Arena *mem, const char *dir)
{
	Batch *b = arena_alloc(mem, sizeof *b);

	b->mem = mem;
	b->dir = dir;
	b->folder_mode = 0700;
	arena_on_free(mem, batch_drop, b);
	return b;
}

void
batch_open_to_all(Batch *b)
{
	b->folder_mode = 0755;
}

static bool
batch_cannot(Ctx *cx, int err, const char *path)
{
	return fail_errno(
	    cx, err, "Is there space left, and may you write there?", "cannot write \"%s\"", path);
}

static char *
batch_folder(Arena *mem, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? arena_dupn(mem, path, (size_t)(slash - path)) : arena_dup(mem, ".");
}

static bool
batch_open(Ctx *cx, Batch *b, const char *temp, mode_t mode, int *out)
{
	const int how = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(temp, how, mode);

	if (fd < 0 && errno == ENOENT) {
		if (!file_make_dirs(cx, batch_folder(cx->mem, temp), b->folder_mode))
			return false;
		b->made_folders = true;
		fd = open(temp, how, mode);
	}
	if (fd < 0)
		return batch_cannot(cx, errno, temp);
	*out = fd;
	return true;
}

static int
batch_fill(int fd, mode_t mode, Bytes bytes)
{
	while (bytes.n > 0) {
		ssize_t put = write(fd, bytes.at, bytes.n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		bytes.at += put;
		bytes.n -= (size_t)put;
	}
	return fchmod(fd, mode) == 0 ? 0 : errno;
}

bool
batch_put(Ctx *cx, Batch *b, const char *path, mode_t mode, Bytes bytes)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	BatchFile f = { .path = arena_dup(b->mem, path),
		.temp = arena_printf(b->mem, "%.*s.%s.new", (int)(name - path), path, name) };
	int fd = -1;

	if (!batch_open(cx, b, f.temp, mode, &fd))
		return false;
	vec_push(b->mem, &b->files, f);
	int err = batch_fill(fd, mode, bytes);
	if (close(fd) != 0 && !err)
		err = errno;
	return !err || batch_cannot(cx, err, path);
}

typedef enum BatchSync { SYNC_FILE, SYNC_ALL } BatchSync;

static bool
batch_sync(Ctx *cx, const char *path, BatchSync how)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return batch_cannot(cx, errno, path);
	int err = (how == SYNC_ALL ? syncfs(fd) : fsync(fd)) == 0 ? 0 : errno;
	close(fd);
	return !err || batch_cannot(cx, err, path);
}

static bool
batch_sync_files(Ctx *cx, Batch *b)
{
	if (b->files.n > BATCH_FEW)
		return batch_sync(cx, b->dir, SYNC_ALL);
	for (size_t i = 0; i < b->files.n; i++)
		if (!batch_sync(cx, b->files.at[i].temp, SYNC_FILE))
			return false;
	return true;
}

/* Folders whose names are new, once each: those of the files, and of folders that were made. */
static Names
batch_folders(Arena *mem, const Batch *b)
{
	size_t root = strlen(b->dir);
	Names all = { 0 };

	for (size_t i = 0; i < b->files.n; i++) {
		char *folder = batch_folder(mem, b->files.at[i].path);
		while (!names_have(&all, folder)) {
			vec_push(mem, &all, folder);
			if (!b->made_folders || strlen(folder) <= root)
				break;
			folder = batch_folder(mem, folder);
		}
	}
	return all;
}

static bool
batch_sync_names(Ctx *cx, Batch *b)
{
	if (b->files.n > BATCH_FEW)
		return batch_sync(cx, b->dir, SYNC_ALL);
	Names folders = batch_folders(cx->mem, b);
	for (size_t i = 0; i < folders.n; i++)
		if (!batch_sync(cx, folders.at[i], SYNC_FILE))
			return false;
	return true;
}

bool
batch_commit(Ctx *cx, Batch *b)
{
	if (b->files.n == 0)
		return true;
	batch_fault("audit:batch written");
	if (!batch_sync_files(cx, b))
		return false;
	batch_fault("audit:batch durable");
	for (size_t i = 0; i < b->files.n; i++) {
		BatchFile *f = &b->files.at[i];
		if (rename(f->temp, f->path) != 0)
			return batch_cannot(cx, errno, f->path);
		f->temp = NULL;
	}
	batch_fault("audit:batch named");
	bool done = batch_sync_names(cx, b);
	b->files.n = 0;
	b->made_folders = false;
	return done;
}

#include "lib/adapters/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "lib/base/file.h"

struct TarWriter {
	const char *temp;
	struct archive *archive;
	struct archive_entry *entry;
	int fd;
};

static void
drop(void *ptr)
{
	TarWriter *w = ptr;

	archive_entry_free(w->entry);
	archive_write_free(w->archive);
	if (w->fd >= 0)
		close(w->fd);
	if (w->temp)
		unlink(w->temp);
}

static bool
cannot(Ctx *cx, TarWriter *w, const char *name)
{
	int err = archive_errno(w->archive);

	if (err > 0 && err != ERANGE && err != ENAMETOOLONG)
		return fail_errno(
		    cx, err, "Is there space left on its disk?", "cannot pack \"%s\"", name);
	return fail(cx, FAIL_LIMIT, "Shorten its path.",
	    "\"%s\" does not fit into a ustar archive: its path or its target is too long", name);
}

/* The time in gzip's header would make each packing another file. */
static bool
set_form(TarWriter *w)
{
	return archive_write_set_format_ustar(w->archive) == ARCHIVE_OK &&
	    archive_write_add_filter_gzip(w->archive) == ARCHIVE_OK &&
	    archive_write_set_options(w->archive, "gzip:!timestamp,gzip:compression-level=6") ==
	    ARCHIVE_OK &&
	    archive_write_open_fd(w->archive, w->fd) == ARCHIVE_OK;
}

bool
tar_begin(Ctx *cx, const char *folder, TarWriter **out)
{
	TarWriter *w = arena_alloc(cx->mem, sizeof *w);
	char *temp = arena_printf(cx->mem, "%s/.pack.XXXXXX", folder);

	w->fd = mkostemp(temp, O_CLOEXEC);
	if (w->fd < 0)
		return fail_errno(
		    cx, errno, "May you write to it?", "cannot write to folder \"%s\"", folder);
	w->temp = temp;
	w->archive = archive_write_new();
	w->entry = archive_entry_new();
	arena_on_free(cx->mem, drop, w);
	if (!w->archive || !w->entry || !set_form(w))
		return fail(cx, FAIL_SYSTEM, NULL, "cannot begin an archive in \"%s\"", folder);
	*out = w;
	return true;
}

static bool
write_header(Ctx *cx, TarWriter *w, const char *name)
{
	archive_entry_set_uid(w->entry, 0);
	archive_entry_set_gid(w->entry, 0);
	archive_entry_set_mtime(w->entry, 0, 0);
	archive_entry_set_pathname(w->entry, name);
	return archive_write_header(w->archive, w->entry) == ARCHIVE_OK || cannot(cx, w, name);
}

bool
tar_add(Ctx *cx, TarWriter *w, const char *name, bool executable, Bytes bytes)
{
	archive_entry_clear(w->entry);
	archive_entry_set_mode(w->entry, AE_IFREG | (executable ? 0755 : 0644));
	archive_entry_set_size(w->entry, (la_int64_t)bytes.n);
	if (!write_header(cx, w, name))
		return false;
	if (bytes.n && archive_write_data(w->archive, bytes.at, bytes.n) != (la_ssize_t)bytes.n)
		return cannot(cx, w, name);
	return true;
}

bool
tar_link(Ctx *cx, TarWriter *w, const char *name, const char *target)
{
	archive_entry_clear(w->entry);
	archive_entry_set_mode(w->entry, AE_IFLNK | 0777);
	archive_entry_set_symlink(w->entry, target);
	archive_entry_set_size(w->entry, 0);
	return write_header(cx, w, name);
}

static int
settle(TarWriter *w, const char *path)
{
	if (fsync(w->fd) != 0)
		return errno;
	return rename(w->temp, path) == 0 ? 0 : errno;
}

static bool
sync_folder_of(Ctx *cx, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = arena_dupn(cx->mem, path, (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) != 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return !err || fail_errno(cx, err, NULL, "cannot sync the folder \"%s\"", dir);
}

bool
tar_end(Ctx *cx, TarWriter *w, const char *path)
{
	if (archive_write_close(w->archive) != ARCHIVE_OK)
		return cannot(cx, w, path);
	int err = settle(w, path);
	if (err)
		return fail_errno(
		    cx, err, "Is there space left on its disk?", "cannot write \"%s\"", path);
	w->temp = NULL;
	return sync_folder_of(cx, path);
}

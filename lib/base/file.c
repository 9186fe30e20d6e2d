#include "lib/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"

#define LIST_DEPTH 32

bool
file_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static bool
read_fd(Ctx *cx, int fd, const char *path, size_t max, char **text, size_t *n)
{
	size_t cap = 4096, len = 0;
	char *bytes = arena_alloc(cx->mem, cap + 1);

	for (;;) {
		ssize_t got = read(fd, bytes + len, cap - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(cx, errno, NULL, "cannot read \"%s\"", path);
		if (got == 0)
			break;
		len += (size_t)got;
		if (len > max)
			return fail(cx, FAIL_LIMIT, "Give a smaller file.",
			    "\"%s\" is larger than %zu bytes", path, max);
		if (len == cap) {
			bytes = arena_grow(cx->mem, bytes, cap + 1, 2 * cap + 1);
			cap *= 2;
		}
	}
	bytes[len] = '\0';
	*text = bytes;
	*n = len;
	return true;
}

bool
file_read(Ctx *cx, const char *path, size_t max, char **text, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(
		    cx, errno, "Does it exist, and may you read it?", "cannot open \"%s\"", path);
	bool ok = read_fd(cx, fd, path, max, text, n);
	close(fd);
	return ok;
}

static bool
write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, bytes, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		bytes += put;
		n -= (size_t)put;
	}
	return true;
}

static char *
folder_of(Arena *mem, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return arena_dup(mem, ".");
	return arena_dupn(mem, path, slash == path ? 1 : (size_t)(slash - path));
}

static bool
sync_folder(Ctx *cx, const char *path)
{
	const char *dir = folder_of(cx->mem, path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(cx, errno, NULL, "cannot open the folder \"%s\"", dir);
	int err = fsync(fd) == 0 ? 0 : errno;
	close(fd);
	if (err && err != EINVAL) /* EINVAL: a file system that syncs no folders */
		return fail_errno(cx, err, NULL, "cannot sync the folder \"%s\"", dir);
	return true;
}

static int
fill_temp(const char *temp, int fd, mode_t mode, const void *bytes, size_t n)
{
	int err = 0;

	if (fchmod(fd, mode) != 0 || !write_all(fd, bytes, n) || fsync(fd) != 0)
		err = errno;
	if (close(fd) != 0 && !err)
		err = errno;
	if (err)
		unlink(temp);
	return err;
}

bool
file_write(Ctx *cx, const char *path, mode_t mode, const void *bytes, size_t n)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	/* Hidden, so that a leftover of a crash is never taken for a result. */
	char *temp = arena_printf(cx->mem, "%.*s.%s.XXXXXX", (int)(name - path), path, name);
	int fd = mkostemp(temp, O_CLOEXEC);

	if (fd < 0)
		return fail_errno(
		    cx, errno, "May you write to its folder?", "cannot write \"%s\"", path);
	int err = fill_temp(temp, fd, mode, bytes, n);
	if (!err && rename(temp, path) != 0) {
		err = errno;
		unlink(temp);
	}
	if (err)
		return fail_errno(
		    cx, err, "Is there space left on its disk?", "cannot write \"%s\"", path);
	return sync_folder(cx, path);
}

bool
file_remove(Ctx *cx, const char *path)
{
	if (unlink(path) == 0 || errno == ENOENT)
		return true;
	return fail_errno(cx, errno, "May you write to its folder?", "cannot remove \"%s\"", path);
}

static bool
make_dir(Ctx *cx, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return chmod(path, mode) == 0 || /* the umask may have taken bits */
		    fail_errno(cx, errno, NULL, "cannot set the rights of \"%s\"", path);
	int err = errno;
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return true;
		err = ENOTDIR;
	}
	return fail_errno(cx, err,
	    err == ENOTDIR ? "A file stands where a folder is wanted: name another one."
			   : "May you write to its parent folder?",
	    "cannot make the folder \"%s\"", path);
}

bool
file_make_dirs(Ctx *cx, const char *path, mode_t mode)
{
	char *part = arena_dup(cx->mem, path);

	for (char *p = part + 1; *part && *p; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = '\0';
		if (!make_dir(cx, part, mode))
			return false;
		*p = '/';
	}
	return make_dir(cx, path, mode);
}

static const char *
shell_hint(Ctx *cx, const char *command, const char *path)
{
	Buf b = buf_new(cx->mem);

	buf_fmt(&b, "Run: %s ", command);
	buf_shell(&b, path);
	return b.text;
}

static bool
is_private(Ctx *cx, const char *path, struct stat st, bool is_dir)
{
	if (is_dir ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return fail(cx, FAIL_HOME, "Move it away; copyhold makes it anew.",
		    "\"%s\" is no %s", path, is_dir ? "folder" : "regular file");
	if (st.st_uid != geteuid())
		return fail(cx, FAIL_HOME,
		    shell_hint(cx, arena_printf(cx->mem, "chown %u", (unsigned)geteuid()), path),
		    "\"%s\" belongs to user %u, not to user %u", path, (unsigned)st.st_uid,
		    (unsigned)geteuid());
	if (st.st_mode & 077)
		return fail(cx, FAIL_HOME,
		    shell_hint(cx, is_dir ? "chmod 0700" : "chmod 0600", path),
		    "\"%s\" is open to other users (mode %04o)", path,
		    (unsigned)st.st_mode & 07777);
	return true;
}

bool
file_check_private(Ctx *cx, const char *path, bool is_dir)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return fail_errno(cx, errno, NULL, "cannot look at \"%s\"", path);
	return is_private(cx, path, st, is_dir);
}

bool
file_read_private(Ctx *cx, const char *path, size_t max, char **text, size_t *n)
{
	struct stat st;

	if (!file_check_private(cx, path, false))
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0) {
		int err = errno;
		if (fd >= 0)
			close(fd);
		return fail_errno(cx, err, NULL, "cannot open \"%s\"", path);
	}
	bool ok = is_private(cx, path, st, false) && read_fd(cx, fd, path, max, text, n);
	close(fd);
	return ok;
}

typedef struct Listing {
	Ctx *cx;
	const char *const *endings;
	VEC(char *) found;
} Listing;

static bool
ending_fits(const char *name, const char *const *endings)
{
	size_t n = strlen(name);

	for (; endings && *endings; endings++) {
		size_t len = strlen(*endings);

		if (n > len && strcmp(name + n - len, *endings) == 0)
			return true;
	}
	return !endings;
}

static bool list_dir(Listing *l, const char *dir, int depth);

static bool
list_entry(Listing *l, const char *dir, const char *name, int depth)
{
	size_t n = strlen(dir);
	const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";
	char *path = arena_printf(l->cx->mem, "%s%s%s", dir, slash, name);
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT || /* gone since the folder was read */
		    fail_errno(l->cx, errno, NULL, "cannot look at \"%s\"", path);
	if (S_ISDIR(st.st_mode))
		return list_dir(l, path, depth + 1);
	if (S_ISREG(st.st_mode) && ending_fits(name, l->endings))
		vec_push(l->cx->mem, &l->found, path);
	return true;
}

static bool
list_dir(Listing *l, const char *dir, int depth)
{
	struct dirent *e;
	bool ok = true;

	if (depth > LIST_DEPTH)
		return fail(l->cx, FAIL_LIMIT, "Give a folder nearer to the files.",
		    "\"%s\" lies more than %d folders deep", dir, LIST_DEPTH);
	DIR *d = opendir(dir);
	if (!d)
		return fail_errno(l->cx, errno, "Does it exist, and may you read it?",
		    "cannot open the folder \"%s\"", dir);
	while (ok && (e = readdir(d)))
		if (e->d_name[0] != '.')
			ok = list_entry(l, dir, e->d_name, depth);
	closedir(d);
	return ok;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool
file_list(Ctx *cx, const char *dir, const char *const *endings, char ***paths, size_t *n)
{
	Listing l = { .cx = cx, .endings = endings };

	if (!list_dir(&l, dir, 0))
		return false;
	if (l.found.n > 1)
		qsort(l.found.at, l.found.n, sizeof *l.found.at, by_text);
	*paths = l.found.at;
	*n = l.found.n;
	return true;
}

bool
file_lock_byte(int fd, off_t at, pid_t *holder)
{
	struct flock want = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
	struct flock seen = want;

	*holder = 0;
	/* Between the two calls the holder may have gone: then the lock is tried again. */
	for (int i = 0; i < 3; i++) {
		if (fcntl(fd, F_SETLK, &want) == 0)
			return true;
		seen = want;
		if (fcntl(fd, F_GETLK, &seen) != 0)
			return false;
		if (seen.l_type != F_UNLCK) {
			*holder = seen.l_pid > 0 ? seen.l_pid : 0;
			return false;
		}
	}
	return false;
}

void
file_unlock_byte(int fd, off_t at)
{
	struct flock f = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	fcntl(fd, F_SETLK, &f);
}

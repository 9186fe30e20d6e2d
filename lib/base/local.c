#include "lib/base/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOCAL_BACKLOG 64

/* The folder is held open, and its descriptor's name is short. */
static bool
address(int dir, const char *name, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(at->sun_path, sizeof at->sun_path, "/proc/self/fd/%d/%s", dir, name);
	return n > 0 && n < (int)sizeof at->sun_path;
}

static int
open_folder(const char *dir)
{
	return open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int
new_socket(int type)
{
	return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool
bind_there(int fd, int folder, const char *name, int type, mode_t mode)
{
	struct sockaddr_un at;

	if (!address(folder, name, &at)) {
		errno = ENAMETOOLONG;
		return false;
	}
	if (unlinkat(folder, name, 0) != 0 && errno != ENOENT)
		return false;
	return bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
	    fchmodat(folder, name, mode, 0) == 0 &&
	    (type != SOCK_STREAM || listen(fd, LOCAL_BACKLOG) == 0);
}

bool
local_open(Ctx *cx, const char *dir, const char *name, int type, mode_t mode, int *fd)
{
	int folder = open_folder(dir), made = folder < 0 ? -1 : new_socket(type);
	bool ok = made >= 0 && bind_there(made, folder, name, type, mode);
	int err = errno;

	if (folder >= 0)
		close(folder);
	if (ok) {
		*fd = made;
		return true;
	}
	if (made >= 0)
		close(made);
	return fail_errno(
	    cx, err, "Check the rights of the folder.", "making the socket \"%s/%s\"", dir, name);
}

int
local_connect(const char *dir, const char *name, int type)
{
	struct sockaddr_un at;
	int folder = open_folder(dir), fd = folder < 0 ? -1 : new_socket(type);

	if (fd >= 0 && address(folder, name, &at) &&
	    connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
		close(folder);
		return fd;
	}
	int err = errno;
	if (fd >= 0)
		close(fd);
	if (folder >= 0)
		close(folder);
	errno = err;
	return -1;
}

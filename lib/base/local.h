/*
 * local.h - sockets in a folder of the file system (AF_UNIX), however long its
 * path is: the kernel's own limit is 107 bytes.
 *
 * Non-blocking and closed on exec.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "lib/base/fail.h"

/* type: SOCK_STREAM (listens), SOCK_DGRAM.  What stands there under that name is replaced. */
bool	 local_open(Ctx *cx, const char *dir, const char *name, int type, mode_t mode, int *fd);
int	 local_connect(const char *dir, const char *name, int type);	/* -1: errno says why */

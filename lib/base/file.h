/*
 * file.h - files that survive a crash and that nobody else can read.
 */
#pragma once

#include <sys/types.h>

#include "lib/base/fail.h"

bool	 file_exists(const char *path);
bool	 file_read(Ctx *cx, const char *path, size_t max, char **text, size_t *n);	/* adds a NUL; larger than max: FAIL_LIMIT */
bool	 file_write(Ctx *cx, const char *path, mode_t mode, const void *bytes, size_t n);	/* new file, fsync, rename, fsync of the folder */
bool	 file_remove(Ctx *cx, const char *path);	/* a missing file is fine */
bool	 file_make_dirs(Ctx *cx, const char *path, mode_t mode);	/* like mkdir -p; mode for those it makes */
bool	 file_check_private(Ctx *cx, const char *path, bool is_dir);	/* ours, no rights for group or others; else FAIL_HOME with the chmod that mends it */
bool	 file_read_private(Ctx *cx, const char *path, size_t max, char **text, size_t *n);	/* both at once: what is read is what was looked at; no link is followed */
bool	 file_list(Ctx *cx, const char *dir, const char *const *endings, char ***paths, size_t *n);	/* recursive, sorted, no dot files, regular files only; endings NULL-terminated */

/* One byte of an open file as a lock that dies with its holder (fcntl F_OFD_SETLK would
 * outlive a dup: F_SETLK is used, so a process must open each lock file once only). */
bool	 file_lock_byte(int fd, off_t at, pid_t *holder);	/* true: ours now; false: *holder has it (0: unknown) */
void	 file_unlock_byte(int fd, off_t at);

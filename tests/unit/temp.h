/*
 * temp.h - a folder of the test's own, 0700, removed with the arena.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/fail.h"

static inline int
temp_forget(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void
temp_remove(void *path)
{
	nftw(path, temp_forget, 16, FTW_DEPTH | FTW_PHYS);
}

static inline bool
temp_dir(Ctx *cx, char **path)
{
	const char *base = getenv("TMPDIR");
	char *dir = arena_printf(cx->mem, "%s/copyhold.XXXXXX", base && *base ? base : "/tmp");

	*path = NULL;
	if (!mkdtemp(dir))
		return false;
	arena_on_free(cx->mem, temp_remove, dir);
	*path = dir;
	return true;
}

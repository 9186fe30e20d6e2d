/*
 * git.h - the files of one commit, through libgit2.
 *
 * A repository on this machine is opened and read where it is: its object
 * database, nothing else; no network, no index, no working tree, no hooks.
 * Reading a local object database waits for the disk alone, as reading a file
 * does, so it needs no child.  The repository is hostile: depth, count, sizes
 * and names are looked at before anything is taken; submodules are refused.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/crypto.h"

#define GIT_FILE_MAX	((int64_t)64 << 20)	/* bytes of one file */
#define GIT_FILES_MAX	20000
#define GIT_DEPTH_MAX	32

typedef struct GitFile {
	const char	*path;		/* "bin/web": from the given folder of the commit, as git has it */
	bool		 executable, link;
	int64_t		 size;
	unsigned char	 id[32];
} GitFile;

typedef struct GitFiles {
	struct { GitFile *at; size_t n, cap; } list;
	void		*repository;	/* closed with the arena */
} GitFiles;

/* commit: its full id.  path: a folder within it, or NULL.  FAIL_NOT_FOUND names what is missing. */
bool	 git_files_open(Ctx *cx, const char *repository, const char *commit, const char *path, GitFiles *out);
/* Its bytes, in mem; of a link its target. */
bool	 git_files_read(Ctx *cx, const GitFiles *files, const GitFile *file, Arena *mem, Bytes *out);

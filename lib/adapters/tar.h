/*
 * tar.h - ustar archives, gzipped, through libarchive; written only.
 *
 * The same members in the same order give the same bytes: no times, root's
 * ids, mode 0644 or 0755.  Nothing stands at the path before tar_end().
 */
#pragma once

#include "lib/adapters/crypto.h"

typedef struct TarWriter TarWriter;
bool	 tar_begin(Ctx *cx, const char *folder, TarWriter **out);	/* a hidden file in that folder */
bool	 tar_add(Ctx *cx, TarWriter *w, const char *name, bool executable, Bytes bytes);
bool	 tar_link(Ctx *cx, TarWriter *w, const char *name, const char *target);
bool	 tar_end(Ctx *cx, TarWriter *w, const char *path);	/* durable, mode 0600; what stands there is replaced */

/*
 * secret.h - bytes that must not outlive their use or leave by accident.
 *
 * A Secret is wiped when its arena is freed.  It has no printf form on
 * purpose; the few places that may hand it on (libpq parameters, files of mode
 * 0600, a terminal that asked) take `.text` and say why.
 */
#pragma once

#include <stddef.h>

#include "lib/base/arena.h"

typedef struct Secret {
	char	*text;	/* NUL-terminated; NULL: none */
	size_t	 len;
} Secret;

Secret	 secret_new(Arena *mem, const void *bytes, size_t n);	/* a copy */
Secret	 secret_alloc(Arena *mem, size_t n);			/* zeroed, to be filled */
void	 secret_wipe(void *bytes, size_t n);			/* explicit_bzero */

/*
 * arena.h - who owns memory: a tree of arenas.
 *
 * Everything allocated lives until its arena is freed or reset; freeing an
 * arena frees its children and runs the on_free callbacks in reverse order, so
 * it also closes what the callbacks hold (descriptors, connections, handles).
 * Running out of memory ends the process with a message: no caller tests for
 * NULL.  Not thread safe; one process, one thread.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena	*arena_new(Arena *parent);	/* parent NULL: a root */
void	 arena_free(Arena *a);		/* NULL is allowed */
void	 arena_reset(Arena *a);		/* as freshly made */

void	*arena_alloc(Arena *a, size_t size);	/* zeroed, aligned for any type */
void	*arena_grow(Arena *a, void *old, size_t old_size, size_t new_size);
char	*arena_dup(Arena *a, const char *text);	/* NULL gives NULL */
char	*arena_dupn(Arena *a, const char *bytes, size_t n);	/* adds the NUL */
char	*arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char	*arena_vprintf(Arena *a, const char *fmt, va_list ap);
void	 arena_on_free(Arena *a, void (*fn)(void *), void *ptr);
void	 arena_forget(Arena *a, void (*fn)(void *), void *ptr);	/* takes the callback back */
size_t	 arena_bytes(const Arena *a);	/* held now, children included; for tests and limits */

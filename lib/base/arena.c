#include "lib/base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define REDZONE        16
#else
#define poison(p, n)   ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#define REDZONE        0
#endif

#define ALIGN         alignof(max_align_t)
#define CHUNK_FIRST   ((size_t)1 << 10)
#define CHUNK_LARGEST ((size_t)256 << 10)

typedef struct Chunk {
	struct Chunk *next;
	size_t size, used;
	alignas(max_align_t) char bytes[];
} Chunk;

typedef struct Hook {
	struct Hook *next;
	void (*fn)(void *);
	void *ptr;
} Hook;

struct Arena {
	Arena *parent, *child, *next, *prev; /* child: the newest; next: older siblings */
	Chunk *chunks;                       /* the one in use first */
	Hook *hooks;                         /* the newest first */
	size_t grain;                        /* size of the next chunk */
	size_t bytes;
	char *last; /* the newest block may grow in place */
};

/* Not exit(3): how far a run came is unknown here, and no exit code may claim it. */
static void
out_of_memory(size_t size)
{
	fprintf(stderr, "copyhold: out of memory (%zu bytes wanted)\n", size);
	abort();
}

static void *
must_malloc(size_t size)
{
	void *p = size < PTRDIFF_MAX ? malloc(size) : NULL;

	if (!p)
		out_of_memory(size);
	return p;
}

static size_t
round_up(size_t size)
{
	if (size > PTRDIFF_MAX - 2 * ALIGN)
		out_of_memory(size);
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

Arena *
arena_new(Arena *parent)
{
	Arena *a = must_malloc(sizeof *a);

	memset(a, 0, sizeof *a);
	a->grain = CHUNK_FIRST;
	a->parent = parent;
	if (parent) {
		a->next = parent->child;
		if (a->next)
			a->next->prev = a;
		parent->child = a;
	}
	return a;
}

static void
run_hooks(Arena *a)
{
	while (a->hooks) {
		Hook *h = a->hooks;

		a->hooks = h->next;
		h->fn(h->ptr);
	}
}

/* Children go first: what they hold may stand on what the parent holds. */
static void
empty(Arena *a)
{
	while (a->child)
		arena_free(a->child);
	run_hooks(a);
	while (a->chunks) {
		Chunk *c = a->chunks;

		a->chunks = c->next;
		unpoison(c->bytes, c->size);
		free(c);
	}
	a->grain = CHUNK_FIRST;
	a->bytes = 0;
	a->last = NULL;
}

void
arena_free(Arena *a)
{
	if (!a)
		return;
	empty(a);
	if (a->prev)
		a->prev->next = a->next;
	else if (a->parent)
		a->parent->child = a->next;
	if (a->next)
		a->next->prev = a->prev;
	free(a);
}

void
arena_reset(Arena *a)
{
	empty(a);
}

static Chunk *
add_chunk(Arena *a, size_t need)
{
	bool own = need > a->grain / 4 && need > CHUNK_FIRST / 4;
	size_t size = own ? need : a->grain;
	Chunk *c = must_malloc(sizeof *c + size);

	c->size = size;
	c->used = 0;
	poison(c->bytes, size);
	if (own && a->chunks) { /* keep bumping in the chunk that has room */
		c->next = a->chunks->next;
		a->chunks->next = c;
		return c;
	}
	c->next = a->chunks;
	a->chunks = c;
	if (!own && a->grain < CHUNK_LARGEST)
		a->grain *= 2;
	return c;
}

void *
arena_alloc(Arena *a, size_t size)
{
	size_t need = round_up(size ? size : 1) + REDZONE;
	Chunk *c = a->chunks;

	if (!c || c->size - c->used < need)
		c = add_chunk(a, need);
	char *p = c->bytes + c->used;
	c->used += need;
	a->bytes += need;
	a->last = c == a->chunks ? p : NULL;
	unpoison(p, size);
	memset(p, 0, size);
	return p;
}

static bool
grow_in_place(Arena *a, char *old, size_t old_size, size_t new_size)
{
	Chunk *c = a->chunks;

	if (!c || old != a->last)
		return false;
	size_t start = (size_t)(old - c->bytes);
	size_t need = round_up(new_size) + REDZONE;
	if (c->size - start < need)
		return false;
	a->bytes += start + need - c->used;
	c->used = start + need;
	unpoison(old, new_size);
	memset(old + old_size, 0, new_size - old_size);
	return true;
}

void *
arena_grow(Arena *a, void *old, size_t old_size, size_t new_size)
{
	if (!old)
		return arena_alloc(a, new_size);
	if (new_size <= old_size || grow_in_place(a, old, old_size, new_size))
		return old;
	void *p = arena_alloc(a, new_size);
	memcpy(p, old, old_size);
	return p;
}

char *
arena_dupn(Arena *a, const char *bytes, size_t n)
{
	if (n == SIZE_MAX)
		out_of_memory(n);
	char *p = arena_alloc(a, n + 1);

	if (n)
		memcpy(p, bytes, n);
	return p;
}

char *
arena_dup(Arena *a, const char *text)
{
	return text ? arena_dupn(a, text, strlen(text)) : NULL;
}

char *
arena_vprintf(Arena *a, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) /* a text above INT_MAX; no other format of ours can fail */
		out_of_memory(SIZE_MAX);
	char *p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	return p;
}

char *
arena_printf(Arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *p = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return p;
}

void
arena_on_free(Arena *a, void (*fn)(void *), void *ptr)
{
	Hook *h = arena_alloc(a, sizeof *h);

	*h = (Hook){ .next = a->hooks, .fn = fn, .ptr = ptr };
	a->hooks = h;
}

void
arena_forget(Arena *a, void (*fn)(void *), void *ptr)
{
	for (Hook **h = &a->hooks; *h; h = &(*h)->next) {
		if ((*h)->fn == fn && (*h)->ptr == ptr) {
			*h = (*h)->next;
			return;
		}
	}
}

size_t
arena_bytes(const Arena *a)
{
	size_t n = a->bytes;

	for (const Arena *c = a->child; c; c = c->next)
		n += arena_bytes(c);
	return n;
}

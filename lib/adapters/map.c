#include "lib/adapters/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* uthash allocates its buckets in the map's own arena; old ones stay there. */
#define uthash_malloc(size)    arena_alloc(m->mem, (size))
#define uthash_free(ptr, size) ((void)(ptr), (void)(size))
#include <uthash.h>

typedef struct MapEntry {
	MapItem item; /* first: map_next() gives its address away */
	UT_hash_handle hh;
} MapEntry;

#define TIDY_ABOVE ((size_t)64 << 10)

struct Map {
	Arena *owner, *mem; /* mem: of the entries, made anew when most of it is garbage */
	MapEntry *head;
	size_t live, garbage; /* bytes */
};

Map *
map_new(Arena *mem)
{
	Map *m = arena_alloc(mem, sizeof *m);

	m->owner = mem;
	m->mem = arena_new(mem);
	return m;
}

static MapEntry *
map_find(const Map *m, const char *key)
{
	MapEntry *e = NULL;

	HASH_FIND(hh, m->head, key, strlen(key), e);
	return e;
}

static void
map_add(Map *m, const char *key, void *value)
{
	MapEntry *e = arena_alloc(m->mem, sizeof *e);

	e->item.key = arena_dup(m->mem, key);
	e->item.value = value;
	HASH_ADD_KEYPTR(hh, m->head, e->item.key, strlen(key), e);
	m->live += sizeof *e + strlen(key);
}

/* What was removed stays in the arena until there is more of it than of the rest. */
static void
map_tidy(Map *m)
{
	Map fresh = { .owner = m->owner, .mem = arena_new(m->owner) };

	for (const MapItem *i = NULL; (i = map_next(m, i)) != NULL;)
		map_add(&fresh, i->key, i->value);
	arena_free(m->mem);
	*m = fresh;
}

void
map_set(Map *m, const char *key, void *value)
{
	MapEntry *e = map_find(m, key);

	if (e != NULL) {
		e->item.value = value;
		return;
	}
	if (m->garbage > TIDY_ABOVE && m->garbage > m->live)
		map_tidy(m);
	map_add(m, key, value);
}

void *
map_get(const Map *m, const char *key)
{
	const MapEntry *e = map_find(m, key);

	return e == NULL ? NULL : e->item.value;
}

void
map_remove(Map *m, const char *key)
{
	MapEntry *e = map_find(m, key);

	if (e == NULL)
		return;
	m->live -= sizeof *e + strlen(e->item.key);
	m->garbage += sizeof *e + strlen(e->item.key);
	HASH_DELETE(hh, m->head, e);
}

size_t
map_count(const Map *m)
{
	return HASH_COUNT(m->head);
}

const MapItem *
map_next(const Map *m, const MapItem *after)
{
	const MapEntry *e = after == NULL ? m->head
					  : ((const MapEntry *)(const void *)after)->hh.next;

	return e == NULL ? NULL : &e->item;
}

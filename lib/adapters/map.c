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

struct Map {
	Arena *mem;
	MapEntry *head;
};

Map *
map_new(Arena *mem)
{
	Map *m = arena_alloc(mem, sizeof *m);

	m->mem = mem;
	return m;
}

static MapEntry *
map_find(const Map *m, const char *key)
{
	MapEntry *e = NULL;

	HASH_FIND(hh, m->head, key, strlen(key), e);
	return e;
}

void
map_set(Map *m, const char *key, void *value)
{
	MapEntry *e = map_find(m, key);

	if (e == NULL) {
		e = arena_alloc(m->mem, sizeof *e);
		e->item.key = arena_dup(m->mem, key);
		HASH_ADD_KEYPTR(hh, m->head, e->item.key, strlen(key), e);
	}
	e->item.value = value;
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

	if (e != NULL)
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

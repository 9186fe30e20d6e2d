/*
 * map.h - text -> pointer, in insertion order (uthash).  Keys are copied; a
 * MapItem and its key last until something is set in a map that things were
 * removed from.
 */
#pragma once

#include "lib/base/arena.h"

typedef struct Map Map;
typedef struct MapItem { const char *key; void *value; } MapItem;

Map	*map_new(Arena *mem);
void	 map_set(Map *m, const char *key, void *value);	/* replaces */
void	*map_get(const Map *m, const char *key);	/* NULL if missing */
void	 map_remove(Map *m, const char *key);
size_t	 map_count(const Map *m);
const MapItem *map_next(const Map *m, const MapItem *after);	/* NULL starts; NULL ends */

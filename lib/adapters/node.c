#include "lib/adapters/node.h"

#include <string.h>

const Node *
node_get(const Node *map, const char *key)
{
	if (map == NULL || map->kind != NODE_MAP)
		return NULL;
	for (const Node *n = map->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

const char *
node_kind_name(const Node *n)
{
	switch (n->kind) {
	case NODE_NULL:
		return "null";
	case NODE_TEXT:
		return "text";
	case NODE_LIST:
		return "list";
	case NODE_MAP:
		return "map";
	}
	return "null";
}

/*
 * node.h - a tree of what a YAML or JSON text says, each part with its place.
 *
 * Made by yaml_parse() and js_parse_node(); read by the key tables of
 * lib/core/keys.h.  Everything lives in the arena that was given.
 */
#pragma once

#include "lib/base/fail.h"

typedef enum NodeKind { NODE_NULL, NODE_TEXT, NODE_LIST, NODE_MAP } NodeKind;

typedef struct Node Node;
struct Node {
	NodeKind	 kind;
	bool		 quoted;	/* a text that stood in quotes, or a block scalar: never a number or a boolean */
	const char	*text;		/* NODE_TEXT: the scalar's characters, valid UTF-8, no NUL */
	const char	*key;		/* the member's name when the parent is a map */
	Place		 key_place;
	Place		 place;
	Node		*first, *next;	/* children in order */
	int		 count;		/* of children */
};

const Node	*node_get(const Node *map, const char *key);	/* NULL if missing */

/*
 * yaml.h - strict YAML 1.1 through libyaml events (libyaml 0.2.5).
 *
 * Refused, each with its place: anchors, aliases, tags, duplicate keys, keys
 * that are not plain text, invalid UTF-8, NUL, depth over YAML_MAX_DEPTH, more
 * than YAML_MAX_NODES nodes, a file over YAML_MAX_BYTES.  JSON is accepted as
 * YAML's flow form; UTF-16 escape pairs, which libyaml refuses, are read by
 * js_parse_node() instead: a file whose first byte is { or [ goes there.
 */
#pragma once

#include "lib/adapters/node.h"

#define YAML_MAX_BYTES	((size_t)16 << 20)
#define YAML_MAX_DEPTH	32
#define YAML_MAX_NODES	2000000

/* Each document becomes one tree; *docs is a NULL-terminated array. Empty documents are left out. */
bool	 yaml_parse(Ctx *cx, const char *file, const char *text, size_t n, Node ***docs);

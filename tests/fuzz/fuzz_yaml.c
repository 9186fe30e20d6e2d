#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/adapters/yaml.h"
#include "lib/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read keeps the promises of node.h. */
static void
check(const Node *n, int depth)
{
	int count = 0;

	if (depth > YAML_MAX_DEPTH || n->place.line < 1 || n->place.column < 1)
		abort();
	if ((n->kind == NODE_TEXT) != (n->text != NULL))
		abort();
	if (n->text != NULL && !utf8_valid(n->text, strlen(n->text)))
		abort();
	for (const Node *c = n->first; c != NULL; c = c->next, count++) {
		if ((n->kind == NODE_MAP) != (c->key != NULL))
			abort();
		if (c->key != NULL && node_get(n, c->key) != c)
			abort();
		check(c, depth + 1);
	}
	if (count != n->count)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	Node **docs = NULL;

	if (yaml_parse(&cx, "fuzz.yaml", (const char *)data, size, &docs)) {
		for (; *docs != NULL; docs++)
			check(*docs, 0);
	} else if (cx.fail->what == NULL || cx.fail->place.line < 1) {
		abort();
	}
	arena_free(cx.mem);
	return 0;
}

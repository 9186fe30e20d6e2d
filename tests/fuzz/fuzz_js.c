#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/adapters/js.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read and written again reads the same. */
static void
check_round(Ctx *cx, const Js *value)
{
	char *text = js_canonical(cx->mem, value);
	Js *again = NULL;

	if (!js_parse(cx, text, strlen(text), &again))
		abort();
	if (strcmp(js_canonical(cx->mem, again), text) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL), nx = ctx_new(NULL);
	Js *value = NULL;
	Node *node = NULL;

	if (js_parse(&cx, (const char *)data, size, &value))
		check_round(&cx, value);
	else if (cx.fail->what == NULL)
		abort();
	if (!js_parse_node(&nx, "fuzz.json", (const char *)data, size, &node) &&
	    nx.fail->what == NULL)
		abort();
	arena_free(nx.mem);
	arena_free(cx.mem);
	return 0;
}

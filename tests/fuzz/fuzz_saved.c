/*
 * What may come back from a disk or a hand: saved plans, the catalogue's own
 * records, and the arguments of steps.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/manifest.h"
#include "lib/core/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text that is no plan of this home is refused, never taken for one. */
static void
saved_plan(const char *text, size_t n)
{
	Ctx cx = ctx_new(NULL), other = ctx_new(NULL);
	Home home = { .mem = cx.mem, .id = "0b6c3c1e-0000-4000-8000-000000000000" };
	Plan now = { .manifest_hash = "never", .serial = 1 };
	PlanOptions options;
	const char *manifests = NULL;

	if (plan_read_options(&cx, text, n, &manifests, &options) &&
	    (manifests == NULL || options.only->n > OPT_LIST_MAX))
		abort();
	if (plan_same(&other, &home, text, n, &now) && strstr(text, "never") == NULL)
		abort();
	arena_free(other.mem);
	arena_free(cx.mem);
}

static void
record(const char *kind, const char *text)
{
	Ctx cx = ctx_new(NULL);
	void *thing;

	if (!manifest_from_json(&cx, kind, "fuzz", text, &thing)) {
		if (cx.fail->what == NULL)
			abort();
	} else {
		char *again = manifest_canonical(cx.mem, kind, thing);
		void *back;

		if (!manifest_from_json(&cx, kind, "fuzz", again, &back) ||
		    strcmp(manifest_canonical(cx.mem, kind, back), again) != 0)
			abort();
	}
	arena_free(cx.mem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "Region", "Cluster", "Model", "Tenant" };
	Arena *mem = arena_new(NULL);
	char *text = arena_dupn(mem, (const char *)data, size);
	Ctx cx = ctx_new(mem);
	Model *shape;

	saved_plan(text, size);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		record(names[i], text);
	if (!model_from_json(&cx, text, &shape) && cx.fail->what == NULL)
		abort();
	arena_free(mem);
	return 0;
}

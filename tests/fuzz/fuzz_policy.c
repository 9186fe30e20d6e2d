/*
 * A policy of witnesses, and what it says of a checkpoint: the same bytes read
 * as both, so that a text may be its own policy.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "compliance/audit/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
judge(Arena *mem, const Policy *p)
{
	const Note bare = { .text = "example.com/log\n0\n", .n = 18 };
	PolicyVerdict v;

	policy_judge(mem, p, &bare, &v);
	if (v.log || v.witnesses.n != 0 || v.bad != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	Policy *p = NULL;

	if (policy_read(&cx, "policy", (const char *)data, size, &p)) {
		if (p == NULL || size == 0 || data[size - 1] != '\n')
			abort();
		judge(cx.mem, p);
	} else if (p != NULL || cx.fail->what == NULL) {
		abort();
	}
	arena_free(cx.mem);
	return 0;
}

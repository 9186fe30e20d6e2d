#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deployer/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
text_of(Arena *mem, const View *v)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < v->columns.n; i++)
		buf_fmt(&b, "%s\"%s\" AS \"%s\"", i == 0 ? " SELECT " : ", ",
		    v->columns.at[i].column, v->columns.at[i].name);
	buf_fmt(&b, " FROM \"wide\".\"%s\" WHERE (\"_tenant\" = " SHAPE_TENANT ");", v->table);
	return b.text;
}

/* What is taken for a view of ours is one: written out, it reads the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	const char *text = arena_dupn(cx.mem, (const char *)data, size);
	View v = { .schema = "app", .object = "o" }, again = v;

	if (view_parse(cx.mem, text, &v) &&
	    (!view_parse(cx.mem, text_of(cx.mem, &v), &again) ||
		strcmp(view_def(cx.mem, "o", &v), view_def(cx.mem, "o", &again)) != 0))
		abort();
	arena_free(cx.mem);
	return 0;
}

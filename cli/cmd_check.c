#include <string.h>

#include "cli/app.h"

static struct {
	const char *file;
} arg;

/* clang-format off */
static const Option options[] = {
	{ OPT_TEXT, "file", 'f', "PATH", &arg.file,
	  "file or folder of manifests, or - for standard input", .required = true },
	{ .type = OPT_END }
};
/* clang-format on */

static void
print_json(App *app, const Manifests *m)
{
	Arena *mem = app->cx->mem;
	Js *result = js_object(mem), *counts = js_object(mem);

	js_set_bool(result, "valid", true);
	js_set_int(result, "manifests", m->count);
	for (KindId k = KIND_REGION; k < KINDS; k++)
		js_set_int(counts, kinds[k].plural, (int64_t)map_count(manifest_map(m, k)));
	js_set(result, "kinds", counts);
	js_set_text(result, "hash", m->hash);
	app_json(app, result);
}

static void
print_text(Arena *mem, const Manifests *m)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "%d manifest%s valid: ", m->count, m->count == 1 ? " is" : "s are");
	for (KindId k = KIND_REGION; k < KINDS; k++) {
		size_t n = map_count(manifest_map(m, k));
		const char *word = kinds[k].plural;
		int len = (int)strlen(word) - (n == 1);

		if (n > 0)
			buf_fmt(&b, "%zu %.*s, ", n, len, word);
	}
	b.text[b.len - 2] = '\0';
	out_line(stdout, "%s", b.text);
}

static ExitCode
run(void *data)
{
	App *app = data;
	Manifests *m;

	if (!manifest_load(app->cx, arg.file, &m))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT)
		print_text(app->cx->mem, m);
	else
		print_json(app, m);
	return EXIT_DONE;
}

const Command cmd_check = {
	.name = "check",
	.summary = "validate manifests, without any network",
	.detail = "Reads every manifest in PATH and checks it by itself and against the others: "
		  "keys, types, names, references, placement rules. Nothing is resolved or "
		  "contacted and no home is needed.",
	.access = ACCESS_NONE,
	.options = options,
	.run = run,
};

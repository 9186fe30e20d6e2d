#include "cli/app.h"

static ExitCode
run(void *data)
{
	App *app = data;

	out_text(stdout, manifest_schema(app->cx->mem));
	return EXIT_DONE;
}

const Command cmd_schema = {
	.name = "schema",
	.summary = "print the JSON Schema of all manifests",
	.detail =
	    "JSON Schema 2020-12, made from the tables that load the manifests; editors use it "
	    "to complete and check them. The same text is in manifests/schema/copyhold-v1.json.",
	.access = ACCESS_NONE,
	.run = run,
};

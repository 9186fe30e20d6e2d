#include <string.h>

#include "cli/app.h"
#include "deployer/data.h"

static struct {
	const char *from, *schema, *name, *model;
} arg = { .schema = "public" };

/* --- model import ---------------------------------------------------------------- */

/* The manifest's head: names from a foreign catalogue may hold anything, a comment is one line. */
static void
add_comment(Buf *b, const char *text)
{
	Buf line = buf_new(b->mem);

	buf_plain(&line, text, " ");
	buf_fmt(b, "# %s\n", line.text);
}

static char *
imported_text(Arena *mem, const Model *m, const Names *notes, const PgTarget *source)
{
	Buf b = buf_new(mem);

	add_comment(&b,
	    arena_printf(mem, "Imported from schema \"%s\" of database \"%s\".", arg.schema,
		source->dbname));
	for (size_t i = 0; i < notes->n; i++)
		add_comment(&b, notes->at[i]);
	buf_add(&b, manifest_model_yaml(mem, m));
	return b.text;
}

static ExitCode
run_import(void *ptr)
{
	App *app = ptr;
	PgTarget source;
	Names notes = { 0 };
	Model *m;

	if (!name_valid(arg.name)) {
		fail(app->cx, FAIL_USAGE,
		    "Names are of a-z, 0-9 and -, begin with a letter and have at most 40 characters.",
		    "\"%s\" is not a valid name", arg.name);
		return app_fail(app);
	}
	if (!source_target(app->cx, app->home, arg.from, &source) ||
	    !data_import(app->cx, &source, arg.schema, arg.name, &m, &notes))
		return app_fail(app);
	for (size_t i = 0; i < notes.n; i++)
		log_say("%s", notes.at[i]);
	out_text(stdout, imported_text(app->cx->mem, m, &notes, &source));
	return EXIT_DONE;
}

static const Option import_options[] = {
	{ OPT_TEXT, "from", 0, "DSN", &arg.from,
	    "the database: a libpq URI or keyword string, env:NAME or file:PATH", NULL, true },
	{ OPT_TEXT, "name", 0, "NAME", &arg.name, "the model's name", NULL, true },
	{ OPT_TEXT, "schema", 0, "SCHEMA", &arg.schema, "its schema (default: public)", NULL,
	    false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_model_import = {
	.name = "model import",
	.summary = "an existing PostgreSQL database as a Model manifest",
	.detail =
	    "Reads the tables of one schema in a read-only snapshot and prints a manifest. What "
	    "cannot be carried, or is carried otherwise, is said on standard error and in comments at "
	    "the manifest's head. Names become valid ones; copyhold data load and compare map them in "
	    "the same way.\n\n"
	    "A password belongs into a passfile (passfile=... in the DSN), or the whole DSN into the "
	    "environment (env:NAME) or a file (file:PATH): other users can see a command line.",
	.access = ACCESS_NONE,
	.run = run_import,
	.options = import_options,
};

/* --- model show -------------------------------------------------------------------- */

static bool
model_missing(App *app)
{
	Names names = { 0 };
	const char *near;

	if (!catalog_object_names(app->cx, app->home, "Model", &names))
		return false;
	near = nearest_word(arg.model, names.at, names.n);
	return fail(app->cx, FAIL_NOT_FOUND,
	    near == NULL ? "See copyhold plan for what is recorded."
			 : arena_printf(app->cx->mem, "Did you mean \"%s\"?", near),
	    "no model \"%s\" in the catalogue", arg.model);
}

static ExitCode
run_show(void *ptr)
{
	App *app = ptr;
	char *spec, *hash;
	void *m;

	if (!catalog_object(app->cx, app->home, "Model", arg.model, &spec, &hash) ||
	    (spec == NULL && !model_missing(app)))
		return app_fail(app);
	if (app->output != OUTPUT_TEXT) {
		out_text(stdout, arena_printf(app->cx->mem, "%s\n", spec));
		return EXIT_DONE;
	}
	if (!manifest_from_json(app->cx, "Model", arg.model, spec, &m))
		return app_fail(app);
	out_text(stdout, manifest_model_yaml(app->cx->mem, m));
	return EXIT_DONE;
}

const Command cmd_model_show = {
	.name = "model show",
	.summary = "a recorded model as its manifest",
	.access = ACCESS_READS,
	.run = run_show,
	.args = { { "NAME", &arg.model, "the model", false } },
};

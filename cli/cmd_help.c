#include <string.h>

#include "cli/app.h"

static struct {
	const char *noun, *verb, *part, *shell;
	bool manual;
} arg;

static const Command *
find(const Command *const *all, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

/* --- the manual: commands, exit codes, errors, manifests ---------------------------- */

static void
manual_command(Buf *b, const Command *c)
{
	Buf help = buf_new(b->mem);

	if (c->hidden)
		return;
	opt_help(&help, c, app_globals());
	buf_fmt(b, "### copyhold %s\n\n```\n%s```\n\n", c->name, help.text);
}

static void
manual(Buf *b)
{
	static const struct {
		int number;
		const char *doc;
	} exits[] = {
#define EXIT_CODE(id, number, doc) { number, doc },
#include "lib/base/exit.def"
#undef EXIT_CODE
	};
	size_t n;
	const Command *const *all = app_commands(&n);

	buf_add(b,
	    "# The manual\n\nMade by `copyhold help --manual` from the tables of the program.\n\n"
	    "## Commands\n\n");
	for (size_t i = 0; i < n; i++)
		manual_command(b, all[i]);
	buf_add(b, "## Exit codes\n\n| code | meaning |\n|---|---|\n");
	for (size_t i = 0; i < LENGTH(exits); i++)
		buf_fmt(b, "| %d | %s |\n", exits[i].number, exits[i].doc);
	buf_add(b, "\n## Errors\n\n| kind | exit | meaning |\n|---|---|---|\n");
	for (int k = FAIL_NONE + 1; k < FAIL_KINDS; k++)
		buf_fmt(b, "| `%s` | %d | %s |\n", fail_name((FailKind)k),
		    (int)fail_exit((FailKind)k), fail_doc((FailKind)k));
	buf_add(b, "\n## Manifests\n\n");
	manifest_manual(b);
}

static ExitCode
help_noun(App *app, const char *noun)
{
	Buf b = buf_new(app->cx->mem);
	size_t n, len = strlen(noun), kept = 0;
	const Command *const *all = app_commands(&n);
	const Command **own = arena_alloc(app->cx->mem, n * sizeof *own);

	for (size_t i = 0; i < n; i++)
		if (strncmp(all[i]->name, noun, len) == 0 && all[i]->name[len] == ' ')
			own[kept++] = all[i];
	if (!kept) {
		fail(
		    app->cx, FAIL_USAGE, "See: copyhold help.", "there is no command \"%s\"", noun);
		return app_fail(app);
	}
	opt_usage(&b, own, kept);
	out_text(stdout, b.text);
	return EXIT_DONE;
}

/* --- help, version, completion ----------------------------------------------------------- */

static ExitCode
run_help(void *ptr)
{
	App *app = ptr;
	Buf b = buf_new(app->cx->mem);
	size_t n;
	const Command *const *all = app_commands(&n);
	const Command *c = NULL;

	if (arg.manual) {
		manual(&b);
		out_text(stdout, b.text);
		return EXIT_DONE;
	}
	if (!arg.noun) {
		opt_usage(&b, all, n);
		out_text(stdout, b.text);
		return EXIT_DONE;
	}
	const char *name = arena_printf(app->cx->mem, "%s%s%s%s%s", arg.noun, arg.verb ? " " : "",
	    arg.verb ? arg.verb : "", arg.part ? " " : "", arg.part ? arg.part : "");
	if (!(c = find(all, n, name)))
		return help_noun(app, name);
	opt_help(&b, c, app_globals());
	out_text(stdout, b.text);
	return EXIT_DONE;
}

static ExitCode
run_version(void *ptr)
{
	App *app = ptr;
	Js *o = js_object(app->cx->mem);

	js_set_text(o, "version", COPYHOLD_VERSION);
	if (app->output == OUTPUT_TEXT)
		out_line(stdout, "copyhold %s", COPYHOLD_VERSION);
	else
		out_text(stdout, arena_printf(app->cx->mem, "%s\n", js_canonical(app->cx->mem, o)));
	return EXIT_DONE;
}

static ExitCode
run_completion(void *ptr)
{
	App *app = ptr;
	Buf b = buf_new(app->cx->mem);
	size_t n;
	const Command *const *all = app_commands(&n);

	if (strcmp(arg.shell, "bash") != 0 && strcmp(arg.shell, "zsh") != 0 &&
	    strcmp(arg.shell, "fish") != 0) {
		fail(app->cx, FAIL_USAGE, "Use bash, zsh or fish.",
		    "there is no completion for \"%s\"", arg.shell);
		return app_fail(app);
	}
	opt_complete(&b, arg.shell, all, n, app_globals());
	out_text(stdout, b.text);
	return EXIT_DONE;
}

static const Option help_options[] = {
	{ OPT_FLAG, "manual", 0, NULL, &arg.manual, "the whole manual as Markdown", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_help = {
	.name = "help",
	.summary = "what the commands are and do",
	.access = ACCESS_NONE,
	.run = run_help,
	.options = help_options,
	.args = { { "NOUN", &arg.noun, "a noun or single command", true },
	    { "VERB", &arg.verb, "its verb, or the second word of a noun", true },
	    { "PART", &arg.part, "the verb of such a noun: help audit witness run", true } },
};
const Command cmd_version = {
	.name = "version",
	.summary = "the version",
	.access = ACCESS_NONE,
	.run = run_version,
};
const Command cmd_completion = {
	.name = "completion",
	.summary = "the completion script of a shell",
	.detail = "For bash: source <(copyhold completion bash)",
	.access = ACCESS_NONE,
	.run = run_completion,
	.args = { { "SHELL", &arg.shell, "bash, zsh or fish", false } },
};

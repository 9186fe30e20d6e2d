/*
 * copyhold - the control plane.  main() registers the drivers and step tables,
 * finds the command, opens the home as the command's access says, runs it, and
 * turns a failure into text or JSON and an exit code.
 */
#include <locale.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cli/app.h"
#include "compliance/audit/log.h"
#include "compliance/audit/witness.h"
#include "deployer/helper.h"
#include "deployer/host.h"
#include "deployer/items.h"
#include "deployer/release.h"
#include "lib/base/lane.h"
#include "lib/core/left.h"
#include "lib/core/records.h"
#include "region/route/route.h"
#include "region/route/switch.h"

#define CATCH_UP_MS 200
#define WITNESS_MS  1000

static const Command *const commands[] = {
#define COMMAND(row) &row,
#include "cli/commands.def"
#undef COMMAND
};

static struct {
	const char *home, *output, *reason;
	bool yes, quiet, debug;
} globals = {
	.output = "text",
};

static const Option global_options[] = {
	{ OPT_TEXT, "home", 0, "DIR", &globals.home, "the home; else $COPYHOLD_HOME", NULL, false },
	{ OPT_CHOICE, "output", 'o', "FORM", &globals.output, "how results are printed",
	    "text|json|jsonl", false },
	{ OPT_TEXT, "reason", 0, "TEXT", &globals.reason, "why; goes into the event", NULL, false },
	{ OPT_FLAG, "yes", 'y', NULL, &globals.yes, "answer yes where a question would be asked",
	    NULL, false },
	{ OPT_FLAG, "quiet", 'q', NULL, &globals.quiet, "no progress, only results and errors",
	    NULL, false },
	{ OPT_FLAG, "debug", 0, NULL, &globals.debug, "notes on what is done", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command *const *
app_commands(size_t *n)
{
	*n = LENGTH(commands);
	return commands;
}

const Option *
app_globals(void)
{
	return global_options;
}

bool
app_confirm(App *app, const char *question, const char *expected)
{
	if (app->yes)
		return true;
	if (!log_is_tty())
		return fail(app->cx, FAIL_REFUSED, "Say --yes if you mean it.",
		    "nobody is there to be asked: %s", question);
	log_live_end();
	if (log_ask(question, expected))
		return true;
	return fail(
	    app->cx, FAIL_REFUSED, "Nothing was changed.", "the answer was not \"%s\"", expected);
}

ExitCode
app_fail(App *app)
{
	const Fail *f = app->cx->fail;

	log_live_end();
	log_raw(app->output == OUTPUT_TEXT
		? fail_text(app->cx->mem, f)
		: arena_printf(app->cx->mem, "%s\n", fail_json(app->cx->mem, f)));
	return fail_exit(f->kind);
}

void
app_json(App *app, const Js *o)
{
	Arena *mem = app->cx->mem;

	out_text(stdout,
	    app->output == OUTPUT_JSON ? js_pretty(mem, o)
				       : arena_printf(mem, "%s\n", js_canonical(mem, o)));
}

void
app_done(App *app, const char *fmt, ...)
{
	va_list ap;
	Js *o = js_object(app->cx->mem);

	va_start(ap, fmt);
	char *text = arena_vprintf(app->cx->mem, fmt, ap);
	va_end(ap);
	js_set_text(o, "message", text);
	if (app->output == OUTPUT_TEXT)
		out_line(stdout, "%s", text);
	else
		out_text(stdout, arena_printf(app->cx->mem, "%s\n", js_canonical(app->cx->mem, o)));
}

static Output
output_of(const char *name)
{
	return strcmp(name, "json") == 0 ? OUTPUT_JSON
	    : strcmp(name, "jsonl") == 0 ? OUTPUT_JSONL
					 : OUTPUT_TEXT;
}

/* Our own core dump would be the easiest way to the keys. */
static void
harden(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

static void
register_all(void)
{
	static const PlaceDriver *const drivers[] = { &mode_shared, &mode_dedicated,
		&mode_customer_db, &mode_exclusive, &mode_hybrid, NULL };

	helper_register();
	place_register(drivers);
	step_register(shape_kinds);
	step_register(records_kinds);
	step_register(host_kinds);
	step_register(route_kinds);
	step_register(switch_kinds);
	step_register(release_kinds);
	release_register(&bundle_releases);
	step_register(left_kinds);
}

static bool
open_home(App *app, const Command *cmd)
{
	app->home_dir = globals.home ? globals.home : home_default_dir(app->cx->mem);
	if (cmd->access == ACCESS_NONE)
		return true;
	if (!home_open(app->cx, app->home_dir, cmd->access, &app->home))
		return false;
	app->home->reason = globals.reason;
	return true;
}

static ExitCode
help_wanted(Arena *mem, const Command *cmd)
{
	Buf b = buf_new(mem);

	if (cmd)
		opt_help(&b, cmd, global_options);
	else
		opt_usage(&b, commands, LENGTH(commands));
	out_text(stdout, b.text);
	return EXIT_DONE;
}

/* What changes something is told of in logs: it does not begin where they could not be written, and
 * afterwards they are brought up to date, also when the command failed. */
static ExitCode
run_command(App *app, const Command *cmd)
{
	bool writes = cmd->access == ACCESS_WRITES;

	if (writes && cmd != &cmd_audit_recover && !log_ready(app->cx, app->home))
		return app_fail(app);
	ExitCode code = cmd->run(app);
	if (writes) {
		log_catch_up(app->cx, app->home, CATCH_UP_MS);
		witness_catch_up(app->cx, app->home, WITNESS_MS);
	}
	return code;
}

static ExitCode
run(Ctx *cx, int argc, char **argv)
{
	App app = { .cx = cx };
	const Command *cmd = NULL;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) /* as everywhere */
		argv[1] = argv[1] + 2;
	if (!opt_parse(cx, commands, LENGTH(commands), global_options, argc, argv, &cmd))
		return app_fail(&app);
	if (!cmd || opt_wants_help())
		return help_wanted(cx->mem, cmd);
	app.output = output_of(globals.output);
	app.reason = globals.reason;
	app.yes = globals.yes;
	log_setup(globals.quiet ? LOG_QUIET
		: globals.debug ? LOG_DEBUG
				: LOG_NORMAL,
	    app.output != OUTPUT_TEXT);
	if (!open_home(&app, cmd))
		return app_fail(&app);
	return run_command(&app, cmd);
}

int
main(int argc, char **argv)
{
	Ctx cx = ctx_new(NULL);

	setlocale(LC_CTYPE, "C.UTF-8");
	harden();
	lane_catch_signals();
	register_all();
	ExitCode code = run(&cx, argc, argv);
	if (!out_flush(stdout) && code == EXIT_DONE)
		code = EXIT_FAILED;
	arena_free(cx.mem);
	return (int)code;
}

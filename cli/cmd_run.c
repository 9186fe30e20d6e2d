#include <stdlib.h>
#include <string.h>

#include "cli/app.h"
#include "cli/report.h"

static struct {
	const char *run, *step, *as;
	int64_t limit;
} arg = { .limit = 50 };

static bool
run_id(App *app, const char *text, int64_t *out)
{
	char *end;

	*out = strtoll(text, &end, 10);
	if (end != text && !*end && *out > 0)
		return true;
	return fail(app->cx, FAIL_USAGE, "See: copyhold run list.", "\"%s\" is no run", text);
}

static const Column run_columns[] = {
	{ "id", "RUN", CELL_INT, true },
	{ "verb", "VERB", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "exit", "EXIT", CELL_INT, true },
	{ "done", "DONE", CELL_INT, true },
	{ "steps", "STEPS", CELL_INT, true },
	{ "started", "STARTED", CELL_TEXT, false },
	{ "actor", NULL, CELL_TEXT, false },
	{ "reason", NULL, CELL_TEXT, false },
};

static ExitCode
run_list_runs(void *ptr)
{
	App *app = ptr;
	RunRows all;

	if (!run_list(app->cx, app->home, arg.limit, &all))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, run_columns, LENGTH(run_columns));
	for (size_t i = 0; i < all.n; i++) {
		const RunRow *r = &all.at[i];
		table_int(t, r->id);
		table_cell(t, r->verb);
		table_cell(t, r->state);
		if (r->exit_code < 0 && app->output == OUTPUT_TEXT)
			table_cell(t, NULL);
		else
			table_int(t, r->exit_code);
		table_int(t, r->done);
		table_int(t, r->steps);
		table_cell(t, clock_iso(app->cx->mem, r->started));
		table_cell(t, r->actor);
		table_cell(t, r->reason);
	}
	table_print(t, stdout);
	return EXIT_DONE;
}

static const Column step_columns[] = {
	{ "id", "STEP", CELL_INT, true },
	{ "state", "STATE", CELL_TEXT, false },
	{ "tries", "TRIES", CELL_INT, true },
	{ "scope", "SCOPE", CELL_TEXT, false },
	{ "title", "WHAT", CELL_TEXT, false },
	{ "kind", NULL, CELL_TEXT, false },
	{ "key", NULL, CELL_TEXT, false },
	{ "error", NULL, CELL_TEXT, false },
};

/* Below the table: why steps failed, and the command that goes on from here. */
static void
say_next(const RunRow *run, const StepRows *steps)
{
	for (size_t i = 0; i < steps->n; i++) {
		const StepRow *s = &steps->at[i];
		if (s->error)
			out_line(stdout, "\nstep %lld: %s", (long long)s->step.id, s->error);
		if (s->state == STEP_UNKNOWN || s->state == STEP_UNDO_FAILED)
			out_line(stdout,
			    "  look at the server, then: "
			    "copyhold run resolve %lld.%lld --as done|redo|abandon",
			    (long long)run->id, (long long)s->step.id);
	}
	if (strcmp(run->state, "stopped") == 0)
		out_line(stdout, "\ngo on with: copyhold run resume %lld", (long long)run->id);
	else if (strcmp(run->state, "running") == 0)
		out_line(stdout,
		    "\nif its process was killed, go on with: copyhold run resume %lld",
		    (long long)run->id);
}

static ExitCode
run_show(void *ptr)
{
	App *app = ptr;
	RunRow run;
	StepRows steps;
	int64_t id;

	if (!run_id(app, arg.run, &id) || !run_get(app->cx, app->home, id, &run) ||
	    !run_steps(app->cx, app->home, id, &steps))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, step_columns, LENGTH(step_columns));
	for (size_t i = 0; i < steps.n; i++) {
		const StepRow *s = &steps.at[i];
		table_int(t, s->step.id);
		table_cell(t, step_state_name(s->state));
		if (s->attempt == 0 && app->output == OUTPUT_TEXT)
			table_cell(
			    t, NULL); /* done in the catalogue, in one go with its journal row */
		else
			table_int(t, s->attempt);
		table_cell(t, s->step.scope);
		table_cell(t, s->step.title);
		table_cell(t, s->step.kind);
		table_cell(t, s->step.key);
		table_cell(t, s->error);
	}
	if (app->output == OUTPUT_TEXT)
		out_line(stdout, "run %lld: %s, %s, by %s, %s%s%s\n", (long long)run.id, run.verb,
		    run.state, run.actor, clock_iso(app->cx->mem, run.started),
		    run.reason ? ", because: " : "", run.reason ? run.reason : "");
	table_print(t, stdout);
	if (app->output == OUTPUT_TEXT)
		say_next(&run, &steps);
	return EXIT_DONE;
}

static ExitCode
go(App *app, bool (*how)(Ctx *, Home *, int64_t, RunReport *))
{
	RunReport report;
	int64_t id;

	if (!run_id(app, arg.run, &id) || !how(app->cx, app->home, id, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	return report.exit;
}

static ExitCode
run_resume_run(void *ptr)
{
	return go(ptr, run_resume);
}

static ExitCode
run_undo_run(void *ptr)
{
	App *app = ptr;

	if (!app_confirm(
		app, arena_printf(app->cx->mem, "Take run %s back? Type yes:", arg.run), "yes"))
		return app_fail(app);
	return go(app, run_undo);
}

static ExitCode
run_resolve_step(void *ptr)
{
	App *app = ptr;
	char *dot = strchr(arg.step, '.'), *head;
	int64_t run, step;

	if (!dot) {
		fail(app->cx, FAIL_USAGE, "Steps are named RUN.STEP, such as 17.3.",
		    "\"%s\" is no step", arg.step);
		return app_fail(app);
	}
	head = arena_dupn(app->cx->mem, arg.step, (size_t)(dot - arg.step));
	if (!run_id(app, head, &run) || !run_id(app, dot + 1, &step) ||
	    !app_confirm(app,
		arena_printf(app->cx->mem, "Resolve step %s as %s? Type yes:", arg.step, arg.as),
		"yes") ||
	    !run_resolve(app->cx, app->home, run, step, arg.as))
		return app_fail(app);
	app_done(app, "step %s: %s; go on with: copyhold run resume %lld", arg.step, arg.as,
	    (long long)run);
	return EXIT_DONE;
}

static const Option list_options[] = {
	{ OPT_INT, "limit", 0, "N", &arg.limit, "at most so many, newest first", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};
static const Option resolve_options[] = {
	{ OPT_CHOICE, "as", 0, "HOW", &arg.as, "what a look at the target has shown",
	    "done|redo|abandon", true },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_run_list = {
	.name = "run list",
	.summary = "what was done, newest first",
	.access = ACCESS_READS,
	.run = run_list_runs,
	.options = list_options,
};
const Command cmd_run_show = {
	.name = "run show",
	.summary = "the steps of one run",
	.access = ACCESS_READS,
	.run = run_show,
	.args = { { "RUN", &arg.run, "its number", false } },
};
const Command cmd_run_resume = {
	.name = "run resume",
	.summary = "go on with a run that stopped part-way",
	.detail = "Steps whose outcome is not known are looked at first: nothing is done twice and "
		  "nothing is guessed. A run that was being undone goes on with the undo.",
	.access = ACCESS_WRITES,
	.run = run_resume_run,
	.args = { { "RUN", &arg.run, "its number", false } },
};
const Command cmd_run_undo = {
	.name = "run undo",
	.summary = "take back what a run did, where that is possible",
	.access = ACCESS_WRITES,
	.run = run_undo_run,
	.args = { { "RUN", &arg.run, "its number", false } },
};
const Command cmd_run_resolve = {
	.name = "run resolve",
	.summary = "decide about a step whose outcome cannot be known",
	.access = ACCESS_WRITES,
	.run = run_resolve_step,
	.options = resolve_options,
	.args = { { "STEP", &arg.step, "RUN.STEP, such as 17.3", false } },
};

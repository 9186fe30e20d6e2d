#include <string.h>

#include "cli/report.h"
#include "lib/base/file.h"

static struct {
	const char *path, *out, *plan;
	OptList tenants;
	bool detailed, no_refresh, prune, confirm_removal;
} arg;

#define PLAN_FILE_MAX ((size_t)256 << 20)

static bool
want_path(App *app)
{
	return arg.path ||
	    fail(app->cx, FAIL_USAGE, "Name a file or folder: -f manifests/quickstart.",
		"the option --file is missing");
}

static bool
make(App *app, const PlanOptions *options, Plan **plan)
{
	Manifests *m;

	log_live("reading %s", arg.path);
	if (!manifest_load(app->cx, arg.path, &m))
		return false;
	log_live("comparing %d manifests with the catalogue", m->count);
	bool ok = plan_make(app->cx, app->home, m, options, plan);
	log_live_end();
	return ok;
}

/* The failures of a plan are printed with it; here they become the exit code.  Who reads JSON finds the one
 * that decided it on stderr, too, as any other failure. */
static ExitCode
failed_exit(App *app, const Plan *plan)
{
	const Fail *worst = plan->worst;

	for (size_t i = 0; i < plan->entries.n && !worst; i++)
		worst = plan->entries.at[i].fail;
	for (size_t i = 0; i < plan->entries.n && !worst; i++)
		worst = plan->entries.at[i].away;
	if (app->output != OUTPUT_TEXT)
		log_raw(arena_printf(app->cx->mem, "%s\n", fail_json(app->cx->mem, worst)));
	return fail_exit(worst->kind);
}

/* --- plan ------------------------------------------------------------------------- */

static ExitCode
run_plan(void *ptr)
{
	App *app = ptr;
	PlanOptions options = {
		.refresh = !arg.no_refresh, .prune = arg.prune, .only = &arg.tenants
	};
	Plan *plan;

	if (!want_path(app) || !make(app, &options, &plan))
		return app_fail(app);
	report_plan(app, plan, true);
	if (plan->failed || plan->away)
		return failed_exit(app, plan);
	if (arg.out) {
		char *text = plan_save(app->cx->mem, app->home, plan, arg.path, &options);
		if (!file_write(app->cx, arg.out, 0600, text, strlen(text)))
			return app_fail(app);
		log_say("saved; do it with: copyhold apply --plan %s", arg.out);
	}
	return arg.detailed && (plan->steps.n || plan->drift || plan->kept) ? EXIT_CHANGES
									    : EXIT_DONE;
}

/* --- apply ------------------------------------------------------------------------- */

static bool
removes_data(const Plan *plan)
{
	for (size_t i = 0; i < plan->steps.n; i++)
		if (step_kind(plan->steps.at[i].kind)->data_bearing)
			return true;
	return false;
}

/* What closes tenants or removes data is confirmed on its own: --yes does not answer that. */
static bool
confirm_removal(App *app, const Plan *plan)
{
	bool yes = app->yes, ok;

	if ((!plan->remove && !removes_data(plan)) || arg.confirm_removal)
		return true;
	app->yes = false;
	ok = app_confirm(app,
	    plan->remove ? "Close the tenants and remove the data named above? Type remove:"
			 : "Remove the data named above? Type remove:",
	    "remove");
	app->yes = yes;
	if (!ok)
		app->cx->fail->hint = arena_dup(
		    app->cx->mem, "Say --confirm-removal if you mean it.");
	return ok;
}

static bool
read_saved(App *app, char **text, size_t *n, PlanOptions *options)
{
	return (file_read(app->cx, arg.plan, PLAN_FILE_MAX, text, n) &&
		   plan_read_options(app->cx, *text, *n, &arg.path, options)) ||
	    fail_in(app->cx, "reading the saved plan \"%s\"", arg.plan);
}

/* With several tenants it is the first that applies. */
static ExitCode
worse(ExitCode a, ExitCode b)
{
	static const ExitCode order[] = { EXIT_PERSON, EXIT_STOPPED, EXIT_FAILED, EXIT_UNDONE,
		EXIT_UNREACHABLE };

	for (size_t i = 0; i < LENGTH(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return a == EXIT_DONE ? b : a;
}

static ExitCode
execute(App *app, const Plan *plan)
{
	RunReport report;

	if (!run_start(app->cx, app->home, &plan->run, &report))
		return app_fail(app);
	if (plan->failed)
		report.exit = worse(report.exit, failed_exit(app, plan));
	report_run(app, &report, plan);
	return report.exit;
}

static ExitCode
run_apply(void *ptr)
{
	App *app = ptr;
	PlanOptions options = {
		.refresh = !arg.no_refresh, .prune = arg.prune, .only = &arg.tenants
	};
	char *saved = NULL;
	size_t n = 0;
	Plan *plan;

	if ((arg.plan && !read_saved(app, &saved, &n, &options)) || !want_path(app) ||
	    !make(app, &options, &plan) ||
	    (saved && !plan_same(app->cx, app->home, saved, n, plan)))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT || !plan->steps.n)
		report_plan(app, plan, false);
	if (!plan->steps.n)
		return plan->failed ? failed_exit(app, plan) : EXIT_DONE;
	if (!confirm_removal(app, plan) ||
	    (!saved && !app_confirm(app, "Apply these changes? Type yes:", "yes")))
		return app_fail(app);
	return execute(app, plan);
}

#define COMMON \
	{ OPT_TEXT, "file", 'f', "PATH", &arg.path, "a manifest, a folder of them, or -", NULL, \
		false }, \
	    { OPT_LIST, "tenant", 't', "TENANT", &arg.tenants, "only this tenant", NULL, false }, \
	    { OPT_FLAG, "prune", 0, NULL, &arg.prune, \
		    "close tenants and remove things that no manifest names", NULL, false }, \
	{ \
		OPT_FLAG, "no-refresh", 0, NULL, &arg.no_refresh, \
		    "do not look at the servers: what is recorded is taken for true", NULL, false \
	}

static const Option plan_options[] = {
	COMMON,
	{ OPT_TEXT, "out", 0, "FILE", &arg.out, "save the plan for apply --plan", NULL, false },
	{ OPT_FLAG, "detailed-exitcode", 0, NULL, &arg.detailed,
	    "exit 2 when there are changes or drift", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

static const Option apply_options[] = {
	COMMON,
	{ OPT_FLAG, "confirm-removal", 0, NULL, &arg.confirm_removal,
	    "confirm the removals of --prune, which --yes does not", NULL, false },
	{ OPT_TEXT, "plan", 0, "FILE", &arg.plan, "do exactly what was saved, or refuse", NULL,
	    false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_plan = {
	.name = "plan",
	.summary = "what apply would do; changes nothing anywhere",
	.detail = "Compares the manifests with the catalogue and with what stands on the servers. "
		  "Things changed by hand are marked; apply mends them.",
	.access = ACCESS_READS,
	.run = run_plan,
	.options = plan_options,
};

const Command cmd_apply = {
	.name = "apply",
	.summary = "make it as the manifests say",
	.detail =
	    "Journalled step by step: a run that was killed goes on with \"copyhold run resume\". "
	    "Before a tenant's route opens a failure is rolled back; afterwards it only goes forward. "
	    "Nothing that holds data is removed without --prune and its own confirmation; what the model "
	    "had needs a drop entry in the manifest, too.",
	.access = ACCESS_WRITES,
	.run = run_apply,
	.options = apply_options,
};

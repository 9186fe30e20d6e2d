#include "cli/report.h"

static struct {
	const char *tenant, *user;
	bool read_only;
} arg;

static const Column columns[] = {
	{ "user", "LOGIN", CELL_TEXT, false },
	{ "access", "ACCESS", CELL_TEXT, false },
	{ "on", "ON", CELL_BOOL, false },
	{ "role", "ROLE", CELL_TEXT, false },
};

static ExitCode
run_login_list(void *ptr)
{
	App *app = ptr;
	Placement *at;

	if (!catalog_placement(app->cx, app->home, arg.tenant, &at))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, columns, LENGTH(columns));
	for (size_t i = 0; i < at->logins.n; i++) {
		table_cell(t, at->logins.at[i].user);
		table_cell(t, at->logins.at[i].read_only ? "ro" : "rw");
		table_bool(t, at->logins.at[i].on);
		table_cell(t, at->logins.at[i].role);
	}
	table_print(t, stdout);
	return EXIT_DONE;
}

static ExitCode
do_login(App *app, const char *verb)
{
	Plan *plan;
	RunReport report;

	if (!name_valid(arg.user)) {
		fail(app->cx, FAIL_USAGE,
		    "Letters, digits and -, starting with a letter, 40 at most.",
		    "\"%s\" is no name for a login", arg.user);
		return app_fail(app);
	}
	if (!plan_login(app->cx, app->home, arg.tenant, arg.user, verb, arg.read_only, &plan) ||
	    !run_start(app->cx, app->home, &plan->run, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	return report.exit;
}

static ExitCode
run_login_add(void *ptr)
{
	return do_login(ptr, "add");
}

static ExitCode
run_login_rotate(void *ptr)
{
	return do_login(ptr, "rotate");
}

static ExitCode
run_login_remove(void *ptr)
{
	App *app = ptr;

	if (!app_confirm(app,
		arena_printf(app->cx->mem,
		    "Remove login \"%s\" of \"%s\" and end its "
		    "sessions? Type yes:",
		    arg.user, arg.tenant),
		"yes"))
		return app_fail(app);
	return do_login(app, "remove");
}

#define LOGIN_ARGS \
	.args = { { "TENANT", &arg.tenant, "the tenant", false }, \
		{ "LOGIN", &arg.user, "the client's name for it: app", false } }

static const Option add_options[] = {
	{ OPT_FLAG, "read-only", 0, NULL, &arg.read_only, "it may only read", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_login_list = {
	.name = "login list",
	.summary = "what a tenant's applications connect with",
	.access = ACCESS_READS,
	.run = run_login_list,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};
const Command cmd_login_add = {
	.name = "login add",
	.summary = "give a tenant another login",
	.detail =
	    "The password is made here and sealed in the catalogue; \"copyhold route resolve\" "
	    "hands it on in a passfile.",
	.access = ACCESS_WRITES,
	.run = run_login_add,
	.options = add_options,
	LOGIN_ARGS,
};
const Command cmd_login_rotate = {
	.name = "login rotate",
	.summary = "give a login a new password",
	.access = ACCESS_WRITES,
	.run = run_login_rotate,
	LOGIN_ARGS,
};
const Command cmd_login_remove = {
	.name = "login remove",
	.summary = "take a login away and end its sessions",
	.access = ACCESS_WRITES,
	.run = run_login_remove,
	LOGIN_ARGS,
};

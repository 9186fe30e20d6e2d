#include <string.h>

#include "cli/report.h"

static struct {
	const char *tenant, *user, *valid_until;
	bool read_only;
	int64_t connections;
} arg = { .connections = -1 };

static const Column columns[] = {
	{ "user", "LOGIN", CELL_TEXT, false },
	{ "access", "ACCESS", CELL_TEXT, false },
	{ "on", "ON", CELL_BOOL, false },
	{ "role", "ROLE", CELL_TEXT, false },
	{ "validUntil", NULL, CELL_TEXT, false },
	{ "connections", NULL, CELL_INT, true },
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
		table_cell(t,
		    at->logins.at[i].valid_until
			? clock_iso(app->cx->mem, at->logins.at[i].valid_until)
			: NULL);
		table_int(t, at->logins.at[i].max_conns);
	}
	table_print(t, stdout);
	return EXIT_DONE;
}

static bool
read_limits(Ctx *cx, Login *login)
{
	if (arg.valid_until && strcmp(arg.valid_until, "never") == 0)
		login->valid_until = 0;
	else if (arg.valid_until && !clock_parse(arg.valid_until, &login->valid_until))
		return fail(cx, FAIL_USAGE,
		    "Write it such as 2027-01-31 or 2027-01-31T12:00:00Z; never: it does not end.",
		    "\"%s\" is no date or time", arg.valid_until);
	if (arg.connections < -1 || arg.connections > 1000000)
		return fail(cx, FAIL_USAGE, "0 is no limit.", "--connections takes 0 to 1000000");
	return true;
}

static ExitCode
do_login(App *app, const char *verb)
{
	bool add = strcmp(verb, "add") == 0;
	Login login = {
		.user = arg.user,
		.read_only = arg.read_only,
		.max_conns = arg.connections < 0 && add ? 0 : arg.connections,
		.valid_until = add ? 0 : -1,
	};
	Plan *plan;
	RunReport report;

	if (!name_valid(arg.user)) {
		fail(app->cx, FAIL_USAGE,
		    "Letters, digits and -, starting with a letter, 40 at most.",
		    "\"%s\" is no name for a login", arg.user);
		return app_fail(app);
	}
	if (!read_limits(app->cx, &login) ||
	    !plan_login(app->cx, app->home, arg.tenant, &login, verb, &plan) ||
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
run_login_limit(void *ptr)
{
	App *app = ptr;

	if (arg.valid_until || arg.connections >= 0)
		return do_login(app, "limit");
	fail(app->cx, FAIL_USAGE, "Say --connections N, --valid-until TIME, or both.",
	    "no limit is given");
	return app_fail(app);
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

#define LIMITS \
	{ OPT_TEXT, "valid-until", 0, "TIME", &arg.valid_until, \
		"the gateway takes it until then: 2027-01-31; never: for ever", NULL, false }, \
	{ \
		OPT_INT, "connections", 0, "N", &arg.connections, \
		    "so many clients at the gateway, in each worker; 0: no limit", NULL, false \
	}

static const Option add_options[] = {
	{ OPT_FLAG, "read-only", 0, NULL, &arg.read_only, "it may only read", NULL, false },
	LIMITS,
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};
static const Option limit_options[] = {
	LIMITS,
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
const Command cmd_login_limit = {
	.name = "login limit",
	.summary = "change until when, and with how many clients, gateways take a login",
	.detail = "Gateways know it at once; clients that are connected stay.",
	.access = ACCESS_WRITES,
	.run = run_login_limit,
	.options = limit_options,
	LOGIN_ARGS,
};
const Command cmd_login_remove = {
	.name = "login remove",
	.summary = "take a login away and end its sessions",
	.access = ACCESS_WRITES,
	.run = run_login_remove,
	LOGIN_ARGS,
};

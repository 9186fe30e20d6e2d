#include "region/route/route.h"

#include <string.h>

#include "cli/app.h"

static struct {
	const char *tenant, *login, *format;
} arg = { .format = "uri" };

static const Column columns[] = {
	{ "tenant", "TENANT", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "epoch", "EPOCH", CELL_INT, true },
	{ "cluster", "CLUSTER", CELL_TEXT, false },
	{ "database", "DATABASE", CELL_TEXT, false },
};

static void
row(Table *t, const RouteRecord *r)
{
	table_cell(t, r->tenant);
	table_cell(t, r->state);
	table_int(t, r->epoch);
	table_cell(t, r->cluster);
	table_cell(t, r->dbname);
}

static ExitCode
run_list(void *ptr)
{
	App *app = ptr;
	RouteRecords all;

	if (!catalog_routes(app->cx, app->home, &all))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, columns, LENGTH(columns));
	for (size_t i = 0; i < all.n; i++)
		row(t, &all.at[i]);
	table_print(t, stdout);
	return EXIT_DONE;
}

static ExitCode
run_show(void *ptr)
{
	App *app = ptr;
	TenantRecord tenant;
	RouteRecord route;
	bool found;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &tenant) ||
	    !catalog_route(app->cx, app->home, arg.tenant, &route, &found))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, columns, LENGTH(columns));
	if (found)
		row(t, &route);
	table_print(t, stdout);
	return EXIT_DONE;
}

static ExitCode
run_resolve(void *ptr)
{
	App *app = ptr;
	RouteFormat format = strcmp(arg.format, "env") == 0                 ? ROUTE_ENV
	    : strcmp(arg.format, "json") == 0 || app->output != OUTPUT_TEXT ? ROUTE_JSON
									    : ROUTE_URI;
	Event e = { .tenant = arg.tenant,
		.verb = "secret.read",
		.outcome = "ok",
		.object = arena_printf(
		    app->cx->mem, "login/%s/%s", arg.tenant, arg.login ? arg.login : "first") };
	char *text;

	if (!route_resolve(app->cx, app->home, arg.tenant, arg.login, format, &text) ||
	    !event_write(app->cx, app->home, &e))
		return app_fail(app);
	out_text(stdout, text);
	return EXIT_DONE;
}

static const Option resolve_options[] = {
	{ OPT_CHOICE, "format", 0, "FORM", &arg.format, "a libpq URI, shell exports or JSON",
	    "uri|env|json", false },
	{ OPT_TEXT, "login", 'l', "USER", &arg.login, "which login; else the tenant's first", NULL,
	    false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_route_list = {
	.name = "route list",
	.summary = "where each tenant's database is",
	.access = ACCESS_READS,
	.run = run_list,
};

const Command cmd_route_show = {
	.name = "route show",
	.summary = "where one tenant's database is",
	.access = ACCESS_READS,
	.run = run_show,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

const Command cmd_route_resolve = {
	.name = "route resolve",
	.summary = "how a program connects to a tenant's database",
	.detail =
	    "psql \"$(copyhold route resolve acme)\" works: the URI names a passfile of mode 0600 "
	    "under the home and never holds a password.",
	.access = ACCESS_WRITES,
	.run = run_resolve,
	.options = resolve_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

#include "region/route/route.h"

#include <string.h>

#include "cli/app.h"
#include "region/gateway/ask.h"

#define HOLD_MAX_MS 600000
#define ACK_MS      5000 /* a machine may be busy */

static struct {
	const char *tenant, *login, *format;
	bool direct;
	int64_t max;
} arg = { .format = "uri", .max = 5000 };

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
		.verb = arg.direct ? "route.direct" : "secret.read",
		.outcome = "ok",
		.object = arena_printf(
		    app->cx->mem, "login/%s/%s", arg.tenant, arg.login ? arg.login : "first") };
	char *text;

	if (!route_resolve(app->cx, app->home, arg.tenant, arg.login, arg.direct, format, &text) ||
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
	{ OPT_FLAG, "direct", 0, NULL, &arg.direct,
	    "the server itself, past the gateway: for operators", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

/* --- hold, release, pins --------------------------------------------------------------- */

static bool
route_event(App *app, const char *verb, const char *after)
{
	const Event e = { .tenant = arg.tenant,
		.verb = verb,
		.outcome = "ok",
		.after = after,
		.object = arena_printf(app->cx->mem, "tenant/%s", arg.tenant) };

	return event_write(app->cx, app->home, &e);
}

static bool
not_parked(App *app, const char *what)
{
	return fail(app->cx, FAIL_REFUSED,
	    arena_printf(app->cx->mem, "See: copyhold route show %s.", arg.tenant),
	    "the route of tenant \"%s\" is not %s", arg.tenant, what);
}

/* until 0: released */
static bool
change_gate(App *app, int64_t until)
{
	Ctx *cx = app->cx;
	bool done;

	if (until ? !catalog_route_park(cx, app->home, arg.tenant, until, &done)
		  : !catalog_route_release(cx, app->home, arg.tenant, &done))
		return false;
	if (!done)
		return not_parked(app, until ? "open" : "held");
	return route_event(
	    app, until ? "route.hold" : "route.release", until ? clock_iso(cx->mem, until) : NULL);
}

/* Whoever moves the tenant holds its lease, and its gate is theirs meanwhile. */
static bool
set_gate(App *app, int64_t until)
{
	const char *scope = arena_printf(app->cx->mem, "tenant/%s", arg.tenant);
	TenantRecord t;
	int64_t fence;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &t) ||
	    !lease_take(app->cx, app->home, scope, 0, &fence))
		return false;
	bool ok = lite_begin(app->cx, app->home->db);
	if (ok && !(change_gate(app, until) && lite_commit(app->cx, app->home->db))) {
		lite_rollback(app->home->db);
		ok = false;
	}
	lease_drop(app->home, scope);
	return ok;
}

static ExitCode
tell_all(App *app, const char *done)
{
	const char *why;
	bool all;

	if (!ask_wait(app->cx, app->home, 0, ACK_MS, &all, &why))
		return app_fail(app);
	if (!all)
		log_say("not every gateway has heard of it yet (%s)", why);
	app_done(app, "%s", done);
	return all ? EXIT_DONE : EXIT_UNREACHABLE;
}

static ExitCode
run_hold(void *ptr)
{
	App *app = ptr;
	Arena *mem = app->cx->mem;
	int64_t until = clock_wall_ms() + arg.max;

	if (arg.max < 1 || arg.max > HOLD_MAX_MS) {
		fail(app->cx, FAIL_USAGE, NULL, "--max takes 1ms to 10m");
		return app_fail(app);
	}
	if (!set_gate(app, until))
		return app_fail(app);
	return tell_all(app,
	    arena_printf(
		mem, "The route of \"%s\" is held until %s.", arg.tenant, clock_iso(mem, until)));
}

static ExitCode
run_release(void *ptr)
{
	App *app = ptr;

	if (!set_gate(app, 0))
		return app_fail(app);
	return tell_all(
	    app, arena_printf(app->cx->mem, "The route of \"%s\" is released.", arg.tenant));
}

static const Column pin_columns[] = {
	{ "gateway", "GATEWAY", CELL_TEXT, false },
	{ "worker", "WORKER", CELL_INT, true },
	{ "user", "LOGIN", CELL_TEXT, false },
	{ "from", "FROM", CELL_TEXT, false },
	{ "application", "APPLICATION", CELL_TEXT, false },
	{ "in_transaction", "IN TRANSACTION", CELL_BOOL, false },
	{ "why", "WHY", CELL_RAW, false },
};

static const char *
reasons(App *app, const Js *row)
{
	const Js *why = js_get(row, "why");
	Buf b = buf_new(app->cx->mem);

	if (app->output != OUTPUT_TEXT)
		return why ? js_canonical(app->cx->mem, why) : "[]";
	for (size_t i = 0; i < js_count(why); i++) {
		const char *word = js_value_text(js_at(why, i));
		buf_fmt(&b, "%s%s", b.len ? ", " : "", word ? word : "");
	}
	return b.text;
}

static void
pin_row(App *app, Table *t, const char *gateway, const Js *row)
{
	static const char *const texts[] = { "user", "from", "application" };

	table_cell(t, gateway);
	table_int(t, js_get_int(row, "worker", 0));
	for (size_t i = 0; i < LENGTH(texts); i++)
		table_cell(t, js_get_text(row, texts[i]) ? js_get_text(row, texts[i]) : "");
	table_bool(t, js_get_bool(row, "in_transaction", false));
	table_cell(t, reasons(app, row));
}

static ExitCode
run_pins(void *ptr)
{
	App *app = ptr;
	Table *t = table_new(app->cx->mem, app->output, pin_columns, LENGTH(pin_columns));
	TenantRecord tenant;
	GatewayAnswers all;
	ExitCode code = EXIT_DONE;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &tenant) ||
	    !ask_some(app->cx, app->home, "pins", arg.tenant, &all))
		return app_fail(app);
	for (size_t i = 0; i < all.n; i++) {
		const Js *rows = js_get(all.at[i].said, "pins");
		for (size_t k = 0; k < js_count(rows); k++)
			pin_row(app, t, all.at[i].gateway.id, js_at(rows, k));
		if (js_get_int(all.at[i].said, "silent", 1) == 0)
			continue;
		log_say("gateway %s: %s", all.at[i].gateway.id,
		    all.at[i].said ? "not all of its workers answered" : all.at[i].why);
		code = EXIT_UNREACHABLE;
	}
	table_print(t, stdout);
	return code;
}

static const Option hold_options[] = {
	{ OPT_SPAN, "max", 0, "TIME", &arg.max, "it is released by itself after (default 5s)", NULL,
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
	    "under the home and never holds a password. It leads to a gateway, with the password "
	    "that clients have there; with --direct to the server, with the role's.",
	.access = ACCESS_WRITES,
	.run = run_resolve,
	.options = resolve_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

const Command cmd_route_hold = {
	.name = "route hold",
	.summary = "park a tenant's clients at the end of their transactions",
	.detail = "Clients stay connected and wait; nothing of theirs fails. The route is released "
		  "by itself when the time is over, or by \"copyhold route release\".",
	.access = ACCESS_WRITES,
	.run = run_hold,
	.options = hold_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

const Command cmd_route_release = {
	.name = "route release",
	.summary = "let a tenant's parked clients go on",
	.access = ACCESS_WRITES,
	.run = run_release,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

const Command cmd_route_pins = {
	.name = "route pins",
	.summary = "a tenant's sessions that cannot be handed over, and why",
	.access = ACCESS_READS,
	.run = run_pins,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

#include <string.h>

#include "cli/report.h"
#include "deployer/service.h"
#include "lib/base/lane.h"
#include "lib/core/release.h"

static struct {
	const char *tenant, *service, *host;
	int64_t lines;
	bool follow, failed;
} arg = { .lines = 100 };

#define FOLLOW_MS    500
#define LINES_MAX    2000
#define FOLLOW_LINES 400

/* The tenant's parts: all, or on --host alone. */
static bool
find_parts(App *app, ReleaseAts *out)
{
	ReleaseAts all, wanted = { 0 };

	if (!release_all(app->cx, app->home, arg.tenant, &all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		if (!arg.host || strcmp(all.at[i].host->name, arg.host) == 0)
			vec_push(app->cx->mem, &wanted, all.at[i]);
	*out = wanted;
	return wanted.n > 0 ||
	    fail(app->cx, FAIL_NOT_FOUND,
		arena_printf(app->cx->mem, "See: copyhold bundle releases %s.", arg.tenant),
		"nothing runs for tenant \"%s\"%s%s%s", arg.tenant, arg.host ? " on host \"" : "",
		arg.host ? arg.host : "", arg.host ? "\"" : "");
}

static bool
runs(const ReleaseAt *at, const char *service)
{
	for (size_t i = 0; i < at->services.n; i++)
		if (strcmp(at->services.at[i]->service, service) == 0)
			return true;
	return false;
}

/* Of those parts the ones that have the service. */
static bool
find_service(App *app, ReleaseAts *out)
{
	ReleaseAts parts, wanted = { 0 };
	Names known = { 0 };

	if (!find_parts(app, &parts))
		return false;
	for (size_t i = 0; i < parts.n; i++) {
		for (size_t k = 0; k < parts.at[i].services.n; k++)
			vec_push(app->cx->mem, &known, parts.at[i].services.at[k]->service);
		if (runs(&parts.at[i], arg.service))
			vec_push(app->cx->mem, &wanted, parts.at[i]);
	}
	*out = wanted;
	return wanted.n > 0 || catalog_not_found(app->cx, "service", arg.service, &known);
}

/* --- service list ------------------------------------------------------------------- */

static const Column list_columns[] = {
	{ "host", "HOST", CELL_TEXT, false },
	{ "service", "SERVICE", CELL_TEXT, false },
	{ "instance", "INSTANCE", CELL_INT, true },
	{ "release", "RELEASE", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "health", "HEALTH", CELL_TEXT, false },
	{ "pid", "PID", CELL_INT, true },
	{ "port", "PORT", CELL_INT, true },
	{ "frontPort", "FRONT", CELL_INT, true },
	{ "slot", NULL, CELL_TEXT, false },
	{ "since", "SINCE", CELL_TEXT, false },
};

static void
list_row(App *app, Table *t, const char *host, const ServiceInstance *s)
{
	table_cell(t, host);
	table_cell(t, s->service);
	table_int(t, s->number);
	table_cell(t, s->release);
	table_cell(t, s->running ? "running" : "stopped");
	table_cell(t, s->health);
	table_int(t, s->pid);
	table_int(t, s->port);
	table_int(t, s->front_port);
	table_cell(t, s->slot);
	table_cell(t, s->since ? clock_iso(app->cx->mem, s->since) : NULL);
}

static ExitCode
run_service_list(void *ptr)
{
	App *app = ptr;
	ReleaseAts parts;
	ExitCode code = EXIT_DONE;

	if (!find_parts(app, &parts))
		return app_fail(app);
	Conns *conns = conns_new(app->cx, app->home);
	Table *t = table_new(app->cx->mem, app->output, list_columns, LENGTH(list_columns));
	for (size_t i = 0; i < parts.n; i++) {
		ServiceInstances all;
		if (!service_instances(app->cx, conns, &parts.at[i], &all)) {
			code = app_fail(app);
			fail_clear(app->cx);
			continue;
		}
		for (size_t k = 0; k < all.n; k++)
			list_row(app, t, parts.at[i].host->name, &all.at[k]);
	}
	table_print(t, stdout);
	return code;
}

/* --- service logs ---------------------------------------------------------------------- */

typedef struct Follow { /* one host's log */
	const ReleaseAt *at;
	Arena *mem; /* of what was seen last */
	Names seen;
} Follow;

/* What comes after what was seen: the new lines begin where an end of the old ones begins. */
static size_t
overlap(const Names *old, const Names *now)
{
	for (size_t from = 0; from < old->n; from++) {
		size_t n = old->n - from, i = 0;
		while (n <= now->n && i < n && strcmp(old->at[from + i], now->at[i]) == 0)
			i++;
		if (i == n)
			return n;
	}
	return 0;
}

static bool
show_new(App *app, Conns *conns, Follow *f, int64_t lines, bool prefix)
{
	Ctx own = ctx_new(app->cx->mem);
	Names now = { 0 };

	if (!service_log(&own, conns, f->at, arg.service, arg.failed, lines, &now)) {
		fail_copy(app->cx, &own);
		arena_free(own.mem);
		return false;
	}
	for (size_t i = overlap(&f->seen, &now); i < now.n; i++)
		out_line(stdout, "%s%s%s", prefix ? f->at->host->name : "", prefix ? "  " : "",
		    now.at[i]);
	if (f->mem)
		arena_free(f->mem);
	f->mem = own.mem;
	f->seen = now;
	return true;
}

static bool
log_event(App *app)
{
	Event e = { .tenant = arg.tenant,
		.verb = "service.logs",
		.outcome = "read",
		.object = arena_printf(app->cx->mem, "service/%s/%s", arg.tenant, arg.service) };

	return event_write(app->cx, app->home, &e);
}

static ExitCode
run_service_logs(void *ptr)
{
	App *app = ptr;
	ReleaseAts parts;
	int64_t lines = arg.lines;

	if (arg.lines < 1 || arg.lines > LINES_MAX) {
		fail(app->cx, FAIL_USAGE, NULL, "--lines takes 1 to %d", LINES_MAX);
		return app_fail(app);
	}
	if (!find_service(app, &parts) || !log_event(app))
		return app_fail(app);
	Conns *conns = conns_new(app->cx, app->home);
	Follow *all = arena_alloc(app->cx->mem, parts.n * sizeof *all);
	do {
		for (size_t i = 0; i < parts.n; i++) {
			all[i].at = &parts.at[i];
			if (!show_new(app, conns, &all[i], lines, parts.n > 1))
				return app_fail(app);
		}
		lines = lines > FOLLOW_LINES ? lines : FOLLOW_LINES;
		if (arg.follow) {
			out_flush(stdout);
			lane_sleep(FOLLOW_MS);
		}
	} while (arg.follow && !lane_stopping());
	return EXIT_DONE;
}

/* --- service restart ---------------------------------------------------------------------- */

static ExitCode
run_service_restart(void *ptr)
{
	App *app = ptr;
	Steps steps = { 0 };
	ReleaseAts parts;
	RunReport report;
	RunPlan plan = { .verb = "service restart", .steps = &steps };

	if (!find_service(app, &parts))
		return app_fail(app);
	for (size_t i = 0; i < parts.n; i++)
		if (!release_driver()->restart_steps(
			app->cx, app->home, &parts.at[i], arg.service, &steps))
			return app_fail(app);
	if (!run_start(app->cx, app->home, &plan, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	return report.exit;
}

static const Option host_options[] = {
	{ OPT_TEXT, "host", 0, "HOST", &arg.host, "on that host alone", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};
static const Option log_options[] = {
	{ OPT_TEXT, "host", 0, "HOST", &arg.host, "on that host alone", NULL, false },
	{ OPT_INT, "lines", 0, "N", &arg.lines, "the last so many (100)", NULL, false },
	{ OPT_FLAG, "follow", 0, NULL, &arg.follow, "go on with what comes, until stopped", NULL,
	    false },
	{ OPT_FLAG, "failed", 0, NULL, &arg.failed,
	    "of the last release that did not become healthy", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_service_list = {
	.name = "service list",
	.summary = "a tenant's services on its hosts, each instance, and how they are now",
	.access = ACCESS_READS,
	.run = run_service_list,
	.options = host_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};
const Command cmd_service_logs = {
	.name = "service logs",
	.summary = "what a service has said",
	.detail = "It may hold what the tenant's users have written: reading it is an event of the "
		  "tenant's log.",
	.access = ACCESS_WRITES,
	.run = run_service_logs,
	.options = log_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false },
	    { "SERVICE", &arg.service, "the service", false } },
};
const Command cmd_service_restart = {
	.name = "service restart",
	.summary = "begin a service's instances anew, without losing a request",
	.detail =
	    "New instances start beside the old ones; when they are healthy, the old ones drain "
	    "and end.",
	.access = ACCESS_WRITES,
	.run = run_service_restart,
	.options = host_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false },
	    { "SERVICE", &arg.service, "the service", false } },
};

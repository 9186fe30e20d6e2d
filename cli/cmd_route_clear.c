#include "cli/report.h"
#include "lib/core/left.h"
#include "region/route/switch.h"

static struct {
	const char *tenant;
} arg;

static bool
is_apart(App *app, const Placement *at, const char *name)
{
	Cluster *cluster;

	return !name ||
	    (catalog_cluster(app->cx, app->home, name, &cluster) &&
		switch_apart(app->cx, conns_new(app->cx, app->home), at, cluster));
}

static bool
clear_plan(App *app, Steps *steps, RunPlan *run, char **cluster)
{
	Ctx *cx = app->cx;
	TenantRecord t;
	Placement *at;

	if (!catalog_tenant(cx, app->home, arg.tenant, &t) ||
	    !catalog_placement_of(cx, app->home, &t, &at) ||
	    !left_on(cx, app->home, t.name, cluster) || !is_apart(app, at, *cluster) ||
	    !left_clear_steps(cx, app->home, at, steps))
		return false;
	Seen seen = { .name = t.name, .changed_run = t.changed_run };

	*run = (RunPlan){ .verb = "route clear", .steps = steps };
	vec_push(cx->mem, &run->seen, seen);
	return true;
}

static ExitCode
run_clear(void *ptr)
{
	App *app = ptr;
	Steps steps = { 0 };
	RunReport report;
	char *cluster;
	RunPlan run;

	if (!clear_plan(app, &steps, &run, &cluster))
		return app_fail(app);
	if (!cluster) {
		app_done(app, "nothing to do: tenant \"%s\" has left nothing behind", arg.tenant);
		return EXIT_DONE;
	}
	if (!app_confirm(app,
		arena_printf(app->cx->mem,
		    "Remove the old database of \"%s\" on %s, with its rows? Type yes:", arg.tenant,
		    cluster),
		"yes") ||
	    !run_start(app->cx, app->home, &run, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	return report.exit;
}

const Command cmd_route_clear = {
	.name = "route clear",
	.summary = "remove the closed database that a tenant has left where it was before",
	.detail =
	    "What copyhold route switch --by copy --keep-old has left: the database with its rows, "
	    "as they were when the tenant went, and its roles. copyhold tenant show tells of it.",
	.access = ACCESS_WRITES,
	.run = run_clear,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

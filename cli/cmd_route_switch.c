#include <string.h>

#include "cli/app.h"
#include "cli/report.h"
#include "deployer/crowd.h"
#include "region/route/switch.h"

#define DRAIN_MS     2000
#define MAX_MS       10000
#define COPY_MB      32
#define COPY_MB_MOST 1000000

static struct {
	const char *tenant, *to, *by;
	int64_t drain_ms, max_ms, copy_limit_mb;
	bool dry_run, end_sessions, keep_old;
} arg = { .drain_ms = DRAIN_MS, .max_ms = MAX_MS, .copy_limit_mb = COPY_MB };

/* --- what would be done ---------------------------------------------------------------- */

static void
plan_text(const SwitchPlan *p)
{
	out_line(stdout, "%s: from %s to %s%s%s", p->tenant, p->from, p->to, p->by ? ", by " : "",
	    p->by ? p->by : "");
	for (size_t i = 0; i < p->findings.n; i++) {
		const SwitchFinding *f = &p->findings.at[i];
		out_line(stdout, "  %s%s%s %s: %s", paint(f->ok ? "add" : "error"),
		    f->ok ? "ok" : "NO", paint("off"), f->what, f->said);
		if (!f->ok)
			out_line(stdout, "     %s", f->hint);
	}
	for (size_t i = 0; i < p->steps.n; i++) {
		const Step *s = &p->steps.at[i];
		out_line(stdout, "  %s%lld. %s%s%s", paint("dim"), (long long)s->id, s->title,
		    step_kind(s->kind)->pivot ? "  [no way back after this]" : "", paint("off"));
	}
}

static Js *
findings_json(Arena *mem, const SwitchPlan *p)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < p->findings.n; i++) {
		const SwitchFinding *f = &p->findings.at[i];
		Js *o = js_object(mem);
		js_set_text(o, "what", f->what);
		js_set_bool(o, "ok", f->ok);
		js_set_text(o, "said", f->said);
		js_set_text(o, "hint", f->hint);
		js_push(list, o);
	}
	return list;
}

static Js *
phases_json(Arena *mem, const SwitchPlan *p)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < p->steps.n; i++) {
		const Step *s = &p->steps.at[i];
		Js *o = js_object(mem);
		js_set_text(o, "kind", s->kind);
		js_set_text(o, "title", s->title);
		js_set_bool(o, "pivot", step_kind(s->kind)->pivot);
		js_push(list, o);
	}
	return list;
}

static Js *
head_json(Arena *mem, const SwitchPlan *p)
{
	Js *o = js_object(mem);

	js_set_text(o, "tenant", p->tenant);
	js_set_text(o, "from", p->from);
	js_set_text(o, "to", p->to);
	js_set_text(o, "by", p->by);
	return o;
}

static void
print_plan(App *app, const SwitchPlan *p)
{
	Arena *mem = app->cx->mem;
	Js *o = head_json(mem, p);

	js_set(o, "findings", findings_json(mem, p));
	js_set(o, "phases", phases_json(mem, p));
	if (app->output == OUTPUT_TEXT)
		plan_text(p);
	else
		app_json(app, o);
}

/* --- what was done ------------------------------------------------------------------------ */

typedef struct Times {
	int64_t parked_ms, rows, copied_ms;
	bool copied;
} Times;

static void
done_text(
    App *app, const SwitchPlan *p, const RunReport *r, const RouteRecord *route, const Times *t)
{
	Arena *mem = app->cx->mem;

	if (r->exit == EXIT_DONE)
		out_line(stdout, "%s is on %s now (epoch %lld, run %lld): %sparked %lld ms",
		    p->tenant, p->to, (long long)route->epoch, (long long)r->run,
		    t->copied ? arena_printf(mem, "copied %s rows in %lld ms, ",
				    crowd_number(mem, t->rows), (long long)t->copied_ms)
			      : "",
		    (long long)t->parked_ms);
	else
		out_line(stdout, "%s is on %s (epoch %lld); see: copyhold run show %lld", p->tenant,
		    route->cluster, (long long)route->epoch, (long long)r->run);
}

static void
done_json(
    App *app, const SwitchPlan *p, const RunReport *r, const RouteRecord *route, const Times *t)
{
	Js *o = head_json(app->cx->mem, p);

	js_set_int(o, "run", r->run);
	js_set_int(o, "exit", (int64_t)r->exit);
	js_set_text(o, "cluster", route->cluster);
	js_set_int(o, "epoch", route->epoch);
	if (r->exit == EXIT_DONE)
		js_set_int(o, "parkedMs", t->parked_ms);
	if (t->copied) {
		js_set_int(o, "copiedRows", t->rows);
		js_set_int(o, "copiedMs", t->copied_ms);
	}
	app_json(app, o);
}

static bool
print_done(App *app, const SwitchPlan *p, const RunReport *r)
{
	RouteRecord route;
	Times t = { 0 };
	bool found;

	if (!switch_parked_ms(app->cx, app->home, r->run, &t.parked_ms) ||
	    !switch_copied(app->cx, app->home, r->run, &t.rows, &t.copied_ms, &t.copied) ||
	    !catalog_route(app->cx, app->home, p->tenant, &route, &found))
		return false;
	if (!found)
		return true;
	if (app->output == OUTPUT_TEXT)
		done_text(app, p, r, &route, &t);
	else
		done_json(app, p, r, &route, &t);
	return true;
}

/* --- the command ----------------------------------------------------------------------------- */

static bool
refuse(App *app, const SwitchPlan *p)
{
	const SwitchFinding *first = NULL;

	for (size_t i = 0; i < p->findings.n && !first; i++)
		if (!p->findings.at[i].ok)
			first = &p->findings.at[i];
	return fail(app->cx, FAIL_REFUSED, first->hint,
	    "tenant \"%s\" cannot be switched to \"%s\": %s: %s%s", p->tenant, p->to, first->what,
	    first->said,
	    p->red > 1 ? arena_printf(app->cx->mem, " (and %zu more: --dry-run)", p->red - 1) : "");
}

static bool
wish_ok(App *app)
{
	if (arg.copy_limit_mb < 1 || arg.copy_limit_mb > COPY_MB_MOST)
		return fail(app->cx, FAIL_USAGE, "Give a number of megabytes.",
		    "option \"--copy-limit\" is from 1 to %d", COPY_MB_MOST);
	return (arg.max_ms > arg.drain_ms && arg.drain_ms > 0) ||
	    fail(app->cx, FAIL_USAGE, "Give --max more than --drain.",
		"the tenant would be parked for %s at most and is given %s to drain",
		clock_human(app->cx->mem, arg.max_ms), clock_human(app->cx->mem, arg.drain_ms));
}

/* Many at once would take the processors from each other while their applications wait.  Where an old
 * side is dead each of them takes long, and they go side by side after all. */
#define TURNS   2
#define TURN_MS 10000

static bool
my_turn(App *app)
{
	bool had;

	return turn_take(app->cx, app->home, TURNS, TURN_MS, &had);
}

static bool
switch_now(App *app, SwitchPlan *p, RunReport *report)
{
	return app_confirm(app,
		   arena_printf(app->cx->mem, "Switch \"%s\" from %s to %s? Type yes:", p->tenant,
		       p->from, p->to),
		   "yes") &&
	    (app->yes || my_turn(app)) && run_start(app->cx, app->home, &p->run, report);
}

static ExitCode
run_switch(void *ptr)
{
	App *app = ptr;
	SwitchWish wish = { .tenant = arg.tenant,
		.to = arg.to,
		.by = arg.by,
		.drain_ms = arg.drain_ms,
		.max_ms = arg.max_ms,
		.copy_limit_mb = arg.copy_limit_mb,
		.keep_old = arg.keep_old,
		.end_sessions = arg.end_sessions };
	SwitchPlan *plan;
	RunReport report;

	if (!wish_ok(app) || (app->yes && !arg.dry_run && !my_turn(app)) ||
	    !switch_plan(app->cx, app->home, &wish, &plan))
		return app_fail(app);
	if (arg.dry_run)
		print_plan(app, plan);
	if (plan->red) {
		refuse(app, plan);
		return app_fail(app);
	}
	if (arg.dry_run)
		return EXIT_DONE;
	if (!switch_now(app, plan, &report) || !print_done(app, plan, &report))
		return app_fail(app);
	return report.exit;
}

static const Option switch_options[] = {
	{ OPT_TEXT, "to", 0, "CLUSTER", &arg.to, "where it goes", NULL, true },
	{ OPT_CHOICE, "by", 0, "WAY", &arg.by, "how the new side catches up; else what fits",
	    "same|standby|copy", false },
	{ OPT_INT, "copy-limit", 0, "MB", &arg.copy_limit_mb,
	    "by copy: a tenant of more megabytes than this is refused (32)", NULL, false },
	{ OPT_FLAG, "keep-old", 0, NULL, &arg.keep_old,
	    "by copy: keep what it leaves, closed, until copyhold route clear", NULL, false },
	{ OPT_FLAG, "dry-run", 0, NULL, &arg.dry_run, "say what would be done, and change nothing",
	    NULL, false },
	{ OPT_SPAN, "drain", 0, "SPAN", &arg.drain_ms,
	    "open transactions have so long to end (2s); then it is taken back", NULL, false },
	{ OPT_SPAN, "max", 0, "SPAN", &arg.max_ms,
	    "the tenant's applications wait so long at most (10s); then it is taken back", NULL,
	    false },
	{ OPT_FLAG, "end-sessions", 0, NULL, &arg.end_sessions,
	    "end sessions that are late or cannot be handed over", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_route_switch = {
	.name = "route switch",
	.summary = "move a tenant's traffic to another cluster while its applications wait",
	.detail =
	    "Gateways park the tenant at transaction boundaries, its logins are shut out of the old "
	    "side, the new side is checked, and the route is moved and released: no query fails. "
	    "With --by copy the rows go to a server that has nothing of the tenant while they wait. "
	    "Before the route is moved a failure or being late opens the old side again (exit 5); "
	    "after it copyhold run resume goes on.",
	.access = ACCESS_WRITES,
	.run = run_switch,
	.options = switch_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

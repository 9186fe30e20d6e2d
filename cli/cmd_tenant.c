#include <string.h>

#include "cli/report.h"
#include "lib/core/left.h"
#include "lib/core/release.h"

static struct {
	const char *tenant, *login, *backup, *confirm;
	bool now, no_backup, hand_back;
} arg;

/* --- list, show ------------------------------------------------------------------ */

static const Column list_columns[] = {
	{ "name", "TENANT", CELL_TEXT, false },
	{ "display", "NAME", CELL_TEXT, false },
	{ "mode", "MODE", CELL_TEXT, false },
	{ "cluster", "CLUSTER", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "model", "MODEL", CELL_TEXT, false },
	{ "modelVersion", "VERSION", CELL_INT, true },
	{ "database", NULL, CELL_TEXT, false },
	{ "id", NULL, CELL_TEXT, false },
	{ "shared", NULL, CELL_TEXT, false },
	{ "layout", NULL, CELL_TEXT, false },
	{ "purgeAfter", NULL, CELL_TEXT, false },
};

/* The word of outputs; NULL outside mode shared. */
static const char *
layout_word(const TenantRecord *r)
{
	if (!r->shared)
		return NULL;
	return r->own_views ? "own-views" : layout_name(r->layout);
}

static void
tenant_row(Arena *mem, Table *t, const TenantRecord *r)
{
	table_cell(t, r->name);
	table_cell(t, r->display);
	table_cell(t, mode_name(r->mode));
	table_cell(t, r->cluster);
	table_cell(t, tenant_state_name(r->state));
	table_cell(t, r->model);
	table_int(t, r->model_version);
	table_cell(t, r->dbname);
	table_cell(t, r->id);
	table_cell(t, r->shared);
	table_cell(t, layout_word(r));
	table_cell(t, r->purge_after ? clock_iso(mem, r->purge_after) : NULL);
}

static ExitCode
run_tenant_list(void *ptr)
{
	App *app = ptr;
	TenantRecords all;

	if (!catalog_tenants(app->cx, app->home, &all))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, list_columns, LENGTH(list_columns));
	for (size_t i = 0; i < all.n; i++)
		tenant_row(app->cx->mem, t, &all.at[i]);
	table_print(t, stdout);
	return EXIT_DONE;
}

static Js *
logins_json(Arena *mem, const Placement *at)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < at->logins.n; i++) {
		const Login *l = &at->logins.at[i];
		Js *o = js_object(mem);
		js_set_text(o, "user", l->user);
		js_set_text(o, "role", l->role);
		js_set_text(o, "access", l->read_only ? "ro" : "rw");
		js_set_bool(o, "on", l->on);
		js_push(list, o);
	}
	return list;
}

static Js *
slots_json(Arena *mem, const Placement *at)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < at->slots.n; i++) {
		const Slot *s = &at->slots.at[i];
		Js *o = js_object(mem);
		js_set_text(o, "object", s->object);
		js_set_text(o, "field", s->field);
		js_set_text(o, "column", s->column);
		js_set_int(o, "generation", s->generation);
		js_push(list, o);
	}
	return list;
}

static void
show_json(App *app, const TenantRecord *r, const Placement *at, const RouteRecord *route,
    bool routed, const char *left)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem);

	js_set_text(o, "name", r->name);
	js_set_text(o, "display", r->display);
	js_set_text(o, "id", r->id);
	js_set_text(o, "state", tenant_state_name(r->state));
	js_set_text(o, "mode", mode_name(r->mode));
	js_set_text(o, "cluster", r->cluster);
	js_set_text(o, "database", r->dbname);
	js_set_text(o, "owner", r->owner);
	js_set_text(o, "model", r->model);
	js_set_int(o, "modelVersion", r->model_version);
	js_set_text(o, "shared", r->shared);
	js_set_text(o, "layout", layout_word(r));
	js_set(o, "slots", slots_json(mem, at));
	js_set_text(o, "route", routed ? route->state : NULL);
	js_set_int(o, "epoch", routed ? route->epoch : 0);
	js_set_text(o, "purgeAfter", r->purge_after ? clock_iso(mem, r->purge_after) : NULL);
	if (left)
		js_set_text(o, "leftOn", left);
	js_set_int(o, "changedRun", r->changed_run);
	js_set(o, "logins", logins_json(mem, at));
	app_json(app, o);
}

static void
show_shared(const TenantRecord *r, const Placement *at)
{
	out_line(stdout, "shared    %s: %s", r->shared,
	    r->layout == LAYOUT_PLAIN ? "tables of its own"
		: r->own_views        ? "the common tables through views of its own"
				      : "the common tables through the common views");
	for (size_t i = 0; i < at->slots.n; i++)
		if (*at->slots.at[i].field)
			out_line(stdout, "field     %s.%s in column %s", at->slots.at[i].object,
			    at->slots.at[i].field, at->slots.at[i].column);
}

static void
show_text(App *app, const TenantRecord *r, const Placement *at, const RouteRecord *route,
    bool routed, const char *left)
{
	Arena *mem = app->cx->mem;

	out_line(stdout, "tenant    %s%s%s%s", r->name, r->display ? " (" : "",
	    r->display ? r->display : "", r->display ? ")" : "");
	out_line(stdout, "state     %s", tenant_state_name(r->state));
	out_line(stdout, "mode      %s on %s (region %s)", mode_name(r->mode), r->cluster,
	    at->cluster->region);
	out_line(stdout, "database  %s, owner %s", r->dbname, r->owner);
	if (r->shared)
		show_shared(r, at);
	out_line(stdout, "model     %s version %lld", r->model, (long long)r->model_version);
	if (routed)
		out_line(stdout, "route     %s, epoch %lld", route->state, (long long)route->epoch);
	for (size_t i = 0; i < at->logins.n; i++)
		out_line(stdout, "login     %s (%s), role %s%s", at->logins.at[i].user,
		    at->logins.at[i].read_only ? "reads" : "reads and writes",
		    at->logins.at[i].role, at->logins.at[i].on ? "" : ", off");
	if (left)
		out_line(stdout,
		    "left      a closed database on %s; remove it: copyhold route clear %s", left,
		    r->name);
	if (r->purge_after)
		out_line(stdout, "data      kept until %s", clock_iso(mem, r->purge_after));
	out_line(stdout, "changed   by run %lld", (long long)r->changed_run);
}

static ExitCode
run_tenant_show(void *ptr)
{
	App *app = ptr;
	TenantRecord r;
	Placement *at;
	RouteRecord route;
	char *left;
	bool routed;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &r) ||
	    !catalog_placement_of(app->cx, app->home, &r, &at) ||
	    !left_on(app->cx, app->home, r.name, &left) ||
	    !catalog_route(app->cx, app->home, arg.tenant, &route, &routed))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT)
		show_text(app, &r, at, &route, routed, left);
	else
		show_json(app, &r, at, &route, routed, left);
	return EXIT_DONE;
}

/* --- verify ------------------------------------------------------------------------ */

static const Column verify_columns[] = {
	{ "heading", NULL, CELL_TEXT, false },
	{ "attempt", NULL, CELL_TEXT, false },
	{ "result", NULL, CELL_TEXT, false },
};

static const char *
heading_name(Heading h)
{
	switch (h) {
	case HEAD_ISOLATED:
		return "isolated";
	case HEAD_VISIBLE:
		return "visible";
	case HEAD_OPEN:
		return "open without gateway";
	case HEAD_WORKS:
		return "works";
	case HEAD_UNTRIED:
		return "not tried";
	case HEAD_FAILED:
		return "FAILED";
	}
	return "?";
}

/* What runs for it on hosts, and who else there could reach it. */
static bool
verify_services(App *app, Conns *conns, Attempts *out)
{
	ReleaseAts parts;

	if (!release_all(app->cx, app->home, arg.tenant, &parts))
		return false;
	for (size_t i = 0; i < parts.n; i++)
		if (!release_driver()->verify(app->cx, conns, &parts.at[i], out))
			return false;
	return true;
}

static bool
try_all(App *app, Attempts *out)
{
	Placement *at;
	TenantRecord r;
	Model *model;
	Secret password;
	const Login *login = NULL;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &r) ||
	    !catalog_placement_of(app->cx, app->home, &r, &at) ||
	    !catalog_shape(app->cx, app->home, r.shape, &model))
		return false;
	if (r.state != TENANT_ACTIVE)
		return fail(app->cx, FAIL_REFUSED, "Only an active tenant can be tried.",
		    "tenant \"%s\" is %s", r.name, tenant_state_name(r.state));
	for (size_t i = 0; i < at->logins.n && !login; i++)
		if (at->logins.at[i].on && !at->logins.at[i].read_only)
			login = &at->logins.at[i];
	if (!login)
		return fail(app->cx, FAIL_REFUSED,
		    arena_printf(app->cx->mem, "Make one: copyhold login add %s app.", r.name),
		    "tenant \"%s\" has no login to try with", r.name);
	Event e = { .tenant = r.name,
		.verb = "tenant.verify",
		.outcome = "begun",
		.object = arena_printf(app->cx->mem, "tenant/%s", r.name) };
	Conns *conns = conns_new(app->cx, app->home);
	return catalog_login_password(app->cx, app->home, r.name, login->user, &password) &&
	    event_write(app->cx, app->home, &e) &&
	    place_driver(at->mode)->verify(app->cx, conns, at, model, login, &password, out) &&
	    verify_services(app, conns, out);
}

static size_t
count_heading(const Attempts *all, Heading h)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->at[i].heading == h;
	return n;
}

static void
verdict(const Attempts *all)
{
	size_t failed = count_heading(all, HEAD_FAILED);

	if (failed)
		return; /* the error says it */
	out_line(stdout, "tenant \"%s\" works: %zu isolated, %zu visible, %zu open without gateway",
	    arg.tenant, count_heading(all, HEAD_ISOLATED), count_heading(all, HEAD_VISIBLE),
	    count_heading(all, HEAD_OPEN));
}

/* The worst last, where the eye is. */
static void
verify_text(const Attempts *all)
{
	for (int h = HEAD_WORKS; h <= HEAD_FAILED; h++) {
		size_t n = count_heading(all, (Heading)h);
		if (n)
			out_line(stdout, "%s%s%s: %zu", paint(h == HEAD_FAILED ? "error" : "bold"),
			    heading_name((Heading)h), paint("off"), n);
		for (size_t i = 0; i < all->n; i++)
			if ((int)all->at[i].heading == h)
				out_line(stdout, "  %-16s  %s", all->at[i].result, all->at[i].what);
	}
	verdict(all);
}

static void
verify_table(App *app, const Attempts *all)
{
	Table *t = table_new(app->cx->mem, app->output, verify_columns, LENGTH(verify_columns));

	for (size_t i = 0; i < all->n; i++) {
		table_cell(t, heading_name(all->at[i].heading));
		table_cell(t, all->at[i].what);
		table_cell(t, all->at[i].result);
	}
	table_print(t, stdout);
}

static ExitCode
run_tenant_verify(void *ptr)
{
	App *app = ptr;
	Attempts all = { 0 };

	if (!try_all(app, &all)) {
		if (!app->cx->fail->nframes)
			fail_in(app->cx, "verifying tenant \"%s\"", arg.tenant);
		return app_fail(app);
	}
	if (app->output == OUTPUT_TEXT)
		verify_text(&all);
	else
		verify_table(app, &all);
	size_t failed = count_heading(&all, HEAD_FAILED);
	if (!failed)
		return EXIT_DONE;
	fail(app->cx, FAIL_DIFFERENT, "Mend it with: copyhold plan, copyhold apply.",
	    "%zu attempt%s got through or went wrong in tenant \"%s\"", failed,
	    failed == 1 ? "" : "s", arg.tenant);
	return app_fail(app);
}

/* --- suspend, resume, delete ---------------------------------------------------------- */

/* Said twice, it is done once: scripts may repeat themselves. */
static ExitCode
nothing_to_do(App *app)
{
	TenantRecord r;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &r))
		return app_fail(app);
	app_done(app, "nothing to do: tenant \"%s\" is %s", r.name, tenant_state_name(r.state));
	return EXIT_DONE;
}

static ExitCode
do_verb(App *app, TenantVerb verb, const char *question, const char *expected)
{
	Plan *plan;
	RunReport report;

	if (!plan_verb(app->cx, app->home, arg.tenant, verb, &plan))
		return app_fail(app);
	if (plan->steps.n == 0)
		return nothing_to_do(app);
	if (question && !app_confirm(app, question, expected))
		return app_fail(app);
	if (!run_start(app->cx, app->home, &plan->run, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	return report.exit;
}

static ExitCode
run_tenant_suspend(void *ptr)
{
	return do_verb(ptr, VERB_SUSPEND,
	    arena_printf(
		((App *)ptr)->cx->mem, "Close \"%s\" and end its sessions? Type yes:", arg.tenant),
	    "yes");
}

static ExitCode
run_tenant_resume(void *ptr)
{
	return do_verb(ptr, VERB_RESUME, NULL, NULL);
}

/* Naming the tenant a second time is the confirmation that --yes cannot give. */
static bool
confirm_name(App *app, const char *what)
{
	bool yes = app->yes;
	bool ok;

	if (arg.confirm)
		return strcmp(arg.confirm, arg.tenant) == 0 ||
		    fail(app->cx, FAIL_REFUSED, "Nothing was changed.",
			"--confirm \"%s\" is not the tenant's name", arg.confirm);
	app->yes = false;
	ok = app_confirm(
	    app, arena_printf(app->cx->mem, "%s Type the tenant's name:", what), arg.tenant);
	app->yes = yes;
	if (!ok && app->cx->fail->hint)
		app->cx->fail->hint = arena_printf(
		    app->cx->mem, "Say --confirm %s if you mean it.", arg.tenant);
	return ok;
}

static bool
may_purge(App *app, const TenantRecord *r)
{
	if (!arg.backup && !arg.no_backup)
		return fail(app->cx, FAIL_REFUSED, "Name it: --backup REF; or say --no-backup.",
		    "purging tenant \"%s\" wants a backup reference", r->name);
	if (arg.now)
		return confirm_name(app, "This removes its data for ever.");
	if (r->state != TENANT_SEALED || clock_wall_ms() < r->purge_after)
		return fail(app->cx, FAIL_REFUSED, "Wait, or say --now.",
		    "the data of tenant \"%s\" is kept until %s", r->name,
		    clock_iso(app->cx->mem, r->purge_after));
	return app_confirm(app,
	    arena_printf(app->cx->mem,
		"Remove the data of \"%s\" for ever? "
		"Type yes:",
		r->name),
	    "yes");
}

static ExitCode
run_tenant_delete(void *ptr)
{
	App *app = ptr;
	TenantRecord r;
	Event e = { .tenant = arg.tenant,
		.verb = "tenant.purge",
		.outcome = "confirmed",
		.object = arena_printf(app->cx->mem, "tenant/%s", arg.tenant),
		.before = arg.backup ? arg.backup
		    : arg.no_backup  ? "no backup"
				     : NULL };

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &r))
		return app_fail(app);
	if (arg.hand_back) {
		if (r.mode == MODE_SHARED || r.mode == MODE_DEDICATED) {
			fail(app->cx, FAIL_REFUSED, "Use delete without it.",
			    "tenant \"%s\" is %s: there is no customer's server to leave the data on",
			    r.name, mode_name(r.mode));
			return app_fail(app);
		}
		return confirm_name(app, "The data stays with the customer, ours goes.")
		    ? do_verb(app, VERB_HAND_BACK, NULL, NULL)
		    : app_fail(app);
	}
	if (r.state != TENANT_SEALED && !arg.now)
		return do_verb(app, VERB_SEAL,
		    arena_printf(app->cx->mem,
			"Close \"%s\" and keep its data for its retention? Type yes:", r.name),
		    "yes");
	if (!may_purge(app, &r) || !event_write(app->cx, app->home, &e))
		return app_fail(app);
	return do_verb(app, VERB_PURGE, NULL, NULL);
}

/* --- rows -------------------------------------------------------------------------------- */

#define TENANT_ARG .args = { { "TENANT", &arg.tenant, "the tenant", false } }

static const Option delete_options[] = {
	{ OPT_FLAG, "now", 0, NULL, &arg.now, "purge at once instead of after the retention", NULL,
	    false },
	{ OPT_TEXT, "backup", 0, "REF", &arg.backup, "where its last backup is; recorded", NULL,
	    false },
	{ OPT_FLAG, "no-backup", 0, NULL, &arg.no_backup, "purge without a backup", NULL, false },
	{ OPT_FLAG, "hand-back", 0, NULL, &arg.hand_back,
	    "customer-db: leave data and roles as they are, remove only what is ours", NULL,
	    false },
	{ OPT_TEXT, "confirm", 0, "TENANT", &arg.confirm, "the name again, instead of typing it",
	    NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_tenant_list = {
	.name = "tenant list",
	.summary = "all tenants, where they are and how",
	.access = ACCESS_READS,
	.run = run_tenant_list,
};
const Command cmd_tenant_show = {
	.name = "tenant show",
	.summary = "one tenant: place, state, route, logins",
	.access = ACCESS_READS,
	.run = run_tenant_show,
	TENANT_ARG,
};
const Command cmd_tenant_verify = {
	.name = "tenant verify",
	.summary = "prove that a tenant works and is isolated",
	.detail =
	    "Connects as the tenant's own login and tries to reach what is not its own. Each "
	    "attempt is reported: isolated, visible (what PostgreSQL shows every login), open without "
	    "gateway (what a login can do to itself or to a neighbour's load on a bare server), or FAILED.",
	.access = ACCESS_WRITES,
	.run = run_tenant_verify,
	TENANT_ARG,
};
const Command cmd_tenant_suspend = {
	.name = "tenant suspend",
	.summary = "close the route, end the sessions, turn the logins off",
	.access = ACCESS_WRITES,
	.run = run_tenant_suspend,
	TENANT_ARG,
};
const Command cmd_tenant_resume = {
	.name = "tenant resume",
	.summary = "open a suspended or deleted tenant again",
	.access = ACCESS_WRITES,
	.run = run_tenant_resume,
	TENANT_ARG,
};
const Command cmd_tenant_delete = {
	.name = "tenant delete",
	.summary = "close a tenant, and later purge its data",
	.detail =
	    "Two steps. The first closes the route, ends the sessions, turns the logins off and "
	    "keeps the data for the manifest's retention; \"tenant resume\" takes it back. The second, "
	    "after the retention, purges and wants --backup REF or --no-backup. --now does both at once "
	    "and wants the tenant's name typed.",
	.access = ACCESS_WRITES,
	.run = run_tenant_delete,
	.options = delete_options,
	TENANT_ARG,
};

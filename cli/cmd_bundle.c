#include <string.h>

#include "cli/report.h"
#include "lib/core/release.h"

static struct {
	const char *bundle, *tenant, *path, *to, *host;
} arg;

/* --- bundle show ------------------------------------------------------------------- */

static bool
find_bundle(App *app, const Bundle **out)
{
	Manifests *m;
	Names known = { 0 };
	const MapItem *it;
	Bundle *recorded;

	if (!arg.path) {
		if (!catalog_bundle(app->cx, app->home, arg.bundle, &recorded))
			return false;
		*out = recorded;
		return true;
	}
	if (!manifest_load(app->cx, arg.path, &m))
		return false;
	*out = map_get(m->bundles, arg.bundle);
	for (it = map_next(m->bundles, NULL); it; it = map_next(m->bundles, it))
		vec_push(app->cx->mem, &known, it->key);
	return *out || catalog_not_found(app->cx, "bundle", arg.bundle, &known);
}

/* Of a manifest it is packed, to be told before anything is applied; else it is as it was
 * recorded. */
static bool
find_artefact(App *app, const Bundle *b, Artefact *out, bool *found)
{
	*found = true;
	if (arg.path)
		return release_driver()->pack(app->cx, app->home, b, out);
	return catalog_artefact(app->cx, app->home, b->name, b->version, out, found);
}

static Js *
services_json(Arena *mem, const Bundle *b)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < b->services.n; i++) {
		const BundleService *s = &b->services.at[i];
		Js *o = js_object(mem), *exec = js_array(mem);
		for (size_t k = 0; k < s->exec.n; k++)
			js_push_text(exec, s->exec.at[k]);
		js_set_text(o, "name", s->name);
		js_set(o, "exec", exec);
		js_set_int(o, "instances", s->instances);
		js_set_bool(o, "database", s->database);
		js_set_text(o, "health", s->health.http ? s->health.http : NULL);
		js_push(list, o);
	}
	return list;
}

static void
show_json(App *app, const Bundle *b, const Artefact *a)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem);

	js_set_text(o, "name", b->name);
	js_set_text(o, "version", b->version);
	js_set_text(o, "source", b->source.folder ? b->source.folder : b->source.git);
	js_set_text(o, "commit", b->source.commit);
	js_set_text(o, "digest", a ? a->digest : NULL);
	js_set_int(o, "bytes", a ? a->bytes : 0);
	js_set_int(o, "files", a ? a->files : 0);
	js_set(o, "services", services_json(mem, b));
	app_json(app, o);
}

static void
show_text(const Bundle *b, const Artefact *a)
{
	out_line(stdout, "bundle    %s%s%s%s", b->name, b->display ? " (" : "",
	    b->display ? b->display : "", b->display ? ")" : "");
	out_line(stdout, "version   %s", b->version);
	out_line(stdout, "source    %s%s%s", b->source.folder ? b->source.folder : b->source.git,
	    b->source.commit ? " at " : "", b->source.commit ? b->source.commit : "");
	if (a)
		out_line(stdout, "files     %lld, %lld bytes, digest %s", (long long)a->files,
		    (long long)a->bytes, a->digest);
	else
		out_line(stdout, "files     not packed yet");
	for (size_t i = 0; i < b->services.n; i++) {
		const BundleService *s = &b->services.at[i];
		out_line(stdout, "service   %s: %lld instance%s%s%s%s", s->name,
		    (long long)s->instances, s->instances == 1 ? "" : "s",
		    s->database ? ", with the database" : "", s->health.http ? ", healthy by " : "",
		    s->health.http ? s->health.http : "");
	}
}

static ExitCode
run_bundle_show(void *ptr)
{
	App *app = ptr;
	const Bundle *b;
	Artefact a;
	bool found;

	if (!find_bundle(app, &b) || !find_artefact(app, b, &a, &found))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT)
		show_text(b, found ? &a : NULL);
	else
		show_json(app, b, found ? &a : NULL);
	return EXIT_DONE;
}

/* --- bundle releases -------------------------------------------------------------------- */

static const Column release_columns[] = {
	{ "host", "HOST", CELL_TEXT, false },
	{ "version", "RELEASE", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "since", "SINCE", CELL_TEXT, false },
	{ "run", "RUN", CELL_INT, true },
	{ "digest", NULL, CELL_TEXT, false },
	{ "backSince", NULL, CELL_INT, false },
};

static ExitCode
run_bundle_releases(void *ptr)
{
	App *app = ptr;
	TenantRecord t;
	ReleaseRecords all;
	const char *host = "";
	size_t nth = 0;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &t) ||
	    !catalog_releases(app->cx, app->home, arg.tenant, &all))
		return app_fail(app);
	Table *table = table_new(
	    app->cx->mem, app->output, release_columns, LENGTH(release_columns));
	for (size_t i = 0; i < all.n; i++) {
		const ReleaseRecord *r = &all.at[i];
		nth = strcmp(host, r->host) == 0 ? nth + 1 : 0;
		host = r->host;
		table_cell(table, r->host);
		table_cell(table, r->version);
		table_cell(table, r->current ? "current" : nth == 1 ? "previous" : "kept");
		table_cell(table, clock_iso(app->cx->mem, r->since));
		table_int(table, r->run);
		table_cell(table, r->digest);
		table_int(table, r->back_run);
	}
	table_print(table, stdout);
	return EXIT_DONE;
}

/* --- bundle rollback ------------------------------------------------------------------------ */

static bool
not_kept(App *app, const ReleaseRecords *all, const char *host)
{
	Buf b = buf_new(app->cx->mem);

	for (size_t i = 0; i < all->n; i++)
		if (!all->at[i].current && strcmp(all->at[i].host, host) == 0)
			buf_fmt(&b, "%s%s", b.len ? ", " : "", all->at[i].version);
	return fail(app->cx, FAIL_NOT_FOUND,
	    b.len ? arena_printf(app->cx->mem, "Kept there: %s.", b.text)
		  : "None but the current one is kept there.",
	    "release %s of tenant \"%s\" is not on host \"%s\"", arg.to, arg.tenant, host);
}

/* What stands there; a host that is out of reach is told of by the run. */
static bool
observed(App *app, const ReleaseAt *at, Items *seen, bool *known)
{
	Ctx own = ctx_new(app->cx->mem);

	*known = release_driver()->observe(&own, conns_new(&own, app->home), at, seen);
	if (*known || own.fail->kind == FAIL_HOST_UNREACHABLE || own.fail->kind == FAIL_TIMEOUT)
		return true;
	fail_copy(app->cx, &own);
	return false;
}

static bool
back_on(App *app, const Placement *place, const ReleaseRecord *to, const char *wanted, Steps *steps)
{
	Changes changes = { 0 };
	Items seen = { 0 };
	ReleaseAt at;
	bool known;

	if (!release_recorded(app->cx, app->home, place, to, &at) ||
	    !observed(app, &at, &seen, &known))
		return false;
	if (strcmp(wanted, to->version) != 0)
		at.wanted = wanted;
	return release_driver()->steps(
	    app->cx, app->home, &at, known ? &seen : NULL, &changes, steps);
}

static bool
back_steps(App *app, const ReleaseRecords *all, Steps *steps)
{
	Placement *place;
	bool any = false;

	if (!catalog_placement(app->cx, app->home, arg.tenant, &place))
		return false;
	for (size_t i = 0; i < all->n; i++) {
		const ReleaseRecord *now = &all->at[i], *to = NULL;
		ReleaseAt wanted = { 0 };
		Bundle *recorded;
		if (!now->current || (arg.host && strcmp(arg.host, now->host) != 0))
			continue;
		any = true;
		if (strcmp(now->version, arg.to) == 0)
			continue;
		for (size_t k = 0; k < all->n; k++)
			if (strcmp(all->at[k].host, now->host) == 0 &&
			    strcmp(all->at[k].version, arg.to) == 0)
				to = &all->at[k];
		if (!to)
			return not_kept(app, all, now->host);
		if (!release_spec_read(app->cx, now->spec, &wanted) ||
		    !catalog_bundle(app->cx, app->home, wanted.bundle->name, &recorded) ||
		    !back_on(app, place, to, recorded->version, steps))
			return false;
	}
	return any ||
	    fail(app->cx, FAIL_NOT_FOUND,
		arena_printf(app->cx->mem, "See: copyhold bundle releases %s.", arg.tenant),
		"nothing runs for tenant \"%s\"%s%s%s", arg.tenant, arg.host ? " on host \"" : "",
		arg.host ? arg.host : "", arg.host ? "\"" : "");
}

static ExitCode
run_bundle_rollback(void *ptr)
{
	App *app = ptr;
	Steps steps = { 0 };
	TenantRecord t;
	ReleaseRecords all;
	RunReport report;
	RunPlan plan = { .verb = "bundle rollback", .steps = &steps };

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &t) ||
	    !catalog_releases(app->cx, app->home, arg.tenant, &all) ||
	    !back_steps(app, &all, &steps))
		return app_fail(app);
	if (!steps.n) {
		app_done(app, "nothing to do: tenant \"%s\" runs release %s", arg.tenant, arg.to);
		return EXIT_DONE;
	}
	if (!app_confirm(app,
		arena_printf(
		    app->cx->mem, "Take \"%s\" back to release %s? Type yes:", arg.tenant, arg.to),
		"yes") ||
	    !run_start(app->cx, app->home, &plan, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	return report.exit;
}

static const Option show_options[] = {
	{ OPT_TEXT, "file", 'f', "PATH", &arg.path,
	    "the manifests that it stands in; else it is shown as recorded", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};
static const Option rollback_options[] = {
	{ OPT_TEXT, "to", 0, "RELEASE", &arg.to, "one that is kept: see bundle releases", NULL,
	    true },
	{ OPT_TEXT, "host", 0, "HOST", &arg.host, "on that host alone", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_bundle_show = {
	.name = "bundle show",
	.summary = "a bundle: its version, source, digest and services",
	.detail =
	    "With --file the bundle is packed from its source, without anything being written "
	    "down, and its digest told.",
	.access = ACCESS_READS,
	.run = run_bundle_show,
	.options = show_options,
	.args = { { "BUNDLE", &arg.bundle, "the bundle", false } },
};
const Command cmd_bundle_releases = {
	.name = "bundle releases",
	.summary = "which releases stand on a tenant's hosts",
	.access = ACCESS_READS,
	.run = run_bundle_releases,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};
const Command cmd_bundle_rollback = {
	.name = "bundle rollback",
	.summary = "go back to a release that is kept on the hosts",
	.detail =
	    "It starts beside the current one and must become healthy before it is switched to, "
	    "as any other. Until the manifest's version is edited, plan says that the release "
	    "differs, and apply leaves it.",
	.access = ACCESS_WRITES,
	.run = run_bundle_rollback,
	.options = rollback_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

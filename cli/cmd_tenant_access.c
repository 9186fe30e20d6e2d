#include "cli/app.h"
#include "deployer/access.h"

static struct {
	const char *tenant, *file;
} arg;

static const Option options[] = {
	{ OPT_TEXT, "file", 'f', "PATH", &arg.file,
	    "as these manifests have it: a file, a folder, or - for standard input", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

static const Column columns[] = {
	{ "at", "AT", CELL_TEXT, false },
	{ "kind", "KIND", CELL_TEXT, false },
	{ "what", "WHAT", CELL_TEXT, false },
};

static bool
from_catalogue(App *app, const Tenant **spec, Placement **at)
{
	char *text, *hash;
	void *loaded;

	if (!catalog_placement(app->cx, app->home, arg.tenant, at) ||
	    !catalog_object(app->cx, app->home, "Tenant", arg.tenant, &text, &hash))
		return false;
	if (!text)
		return fail(app->cx, FAIL_NOT_FOUND, "Give its manifests: -f PATH.",
		    "tenant \"%s\" is still being provisioned", arg.tenant);
	if (!manifest_from_json(app->cx, "Tenant", arg.tenant, text, &loaded))
		return false;
	*spec = loaded;
	return true;
}

/* Of a tenant without a cluster of its own the plan chooses one: those that it may be are as good as it. */
static bool
from_manifests(App *app, const Tenant **spec, Placement **at)
{
	Manifests *m;

	if (!manifest_load(app->cx, arg.file, &m))
		return false;
	app->home->hosts = m->hosts;
	*spec = map_get(m->tenants, arg.tenant);
	if (!*spec)
		return fail(app->cx, FAIL_NOT_FOUND, "See: copyhold check.",
		    "the manifests have no tenant \"%s\"", arg.tenant);
	if (!(*spec)->cluster)
		return fail(app->cx, FAIL_REFUSED, "Name its cluster in the manifest.",
		    "the cluster of tenant \"%s\" is chosen when it is applied", arg.tenant);
	*at = arena_alloc(app->cx->mem, sizeof **at);
	(*at)->cluster = map_get(m->clusters, (*spec)->cluster);
	(*at)->mode = (*spec)->mode;
	if ((*spec)->mode != MODE_SHARED)
		place_names(app->cx->mem, *at, *spec);
	Login login = { .user = (*spec)->login, .on = true };
	login.role = place_login_role(app->cx->mem, *at, (*spec)->login);
	vec_push(app->cx->mem, &(*at)->logins, login);
	return true;
}

static ExitCode
run_access(void *ptr)
{
	App *app = ptr;
	const Tenant *spec = NULL;
	AccessLines lines = { 0 };
	Placement *at = NULL;

	if (arg.file ? !from_manifests(app, &spec, &at) : !from_catalogue(app, &spec, &at))
		return app_fail(app);
	if (!access_lines(app->cx, app->home, spec, at, &lines))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, columns, LENGTH(columns));
	for (size_t i = 0; i < lines.n; i++) {
		table_cell(t, lines.at[i].at);
		table_cell(t, lines.at[i].kind);
		table_cell(t, lines.at[i].what);
	}
	table_print(t, stdout);
	return EXIT_DONE;
}

const Command cmd_tenant_access = {
	.name = "tenant access",
	.summary = "the least rights that the tenant's plan needs, and nothing more",
	.detail =
	    "On each host that something of it is put on: the lines of sudoers for our user there, if that is "
	    "not root, the paths that are written, the users of the operating system that are made, the "
	    "ports that are taken. On its server: the rights that the setup script gives our login; on a "
	    "cluster that copyhold makes on a host it gives them itself. With -f before anything is applied.",
	.access = ACCESS_READS,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
	.options = options,
	.run = run_access,
};

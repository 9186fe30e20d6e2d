#include "cli/app.h"
#include "deployer/items.h"

static struct {
	const char *name, *file;
} arg;

static const Option options[] = {
	{ OPT_TEXT, "file", 'f', "PATH", &arg.file,
	    "take it from manifests: a file, a folder, or - for standard input", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

static bool
from_manifests(App *app, Manifests **out)
{
	*out = NULL;
	return !arg.file || manifest_load(app->cx, arg.file, out);
}

/* Reading a secret is told in the log of events, though only its verifier leaves. */
static bool
tell(App *app, const char *tenant, const char *kind)
{
	Event e = {
		.tenant = tenant,
		.verb = "setup.script",
		.object = arena_printf(app->cx->mem, "%s/%s", kind, arg.name),
		.outcome = "ok",
	};

	if (lite_begin(app->cx, app->home->db) && event_write(app->cx, app->home, &e) &&
	    lite_commit(app->cx, app->home->db))
		return true;
	lite_rollback(app->home->db);
	return false;
}

/* --- cluster setup-script --------------------------------------------------------- */

static bool
find_cluster(App *app, const Manifests *m, const char *name, const Cluster **out)
{
	Cluster *recorded;

	*out = m ? map_get(m->clusters, name) : NULL;
	if (*out)
		return true;
	if (!catalog_cluster(app->cx, app->home, name, &recorded)) {
		if (m && app->cx->fail->kind == FAIL_NOT_FOUND)
			app->cx->fail->hint = arena_printf(
			    app->cx->mem, "Neither \"%s\" nor the catalogue has it.", arg.file);
		return false;
	}
	*out = recorded;
	return true;
}

static ExitCode
run_cluster(void *ptr)
{
	App *app = ptr;
	Buf script = buf_new(app->cx->mem);
	const Cluster *cluster;
	Manifests *m;

	if (!from_manifests(app, &m) || !find_cluster(app, m, arg.name, &cluster) ||
	    !setup_cluster_script(app->cx, app->home, cluster, &script) ||
	    !tell(app, NULL, "cluster"))
		return app_fail(app);
	out_text(stdout, script.text);
	return EXIT_DONE;
}

const Command cmd_cluster_setup_script = {
	.name = "cluster setup-script",
	.summary = "print the SQL that prepares a vendor cluster",
	.detail =
	    "A superuser of the cluster runs it once with psql: it makes the login of the manifest with "
	    "CREATEDB and CREATEROLE, its database, and the hardened template of the tenants' databases. "
	    "Copyhold itself never is a superuser. Run twice it changes nothing.",
	.access = ACCESS_WRITES,
	.args = { { "CLUSTER", &arg.name, "the cluster", false } },
	.options = options,
	.run = run_cluster,
};

/* --- tenant setup-script ------------------------------------------------------------ */

/* A script that takes another tenant's names over is never printed. */
static bool
free_place(App *app, const Placement *at, const Login *login)
{
	TenantRecord t = { .name = at->tenant,
		.mode = at->mode,
		.cluster = at->cluster->name,
		.dbname = at->dbname,
		.owner = at->owner };

	return catalog_place_free(app->cx, app->home, &t, at->cluster, login->user, login->role);
}

static bool
announced(App *app, const Manifests *m, const Tenant *t, Placement *at)
{
	Login login = { .user = t->login, .on = true };
	Secret password;

	at->mode = t->mode;
	if (!t->cluster) {
		fail(app->cx, FAIL_MANIFEST, "Say which server the customer bought: cluster: NAME.",
		    "tenant \"%s\" names no cluster", t->name);
		return fail_at(app->cx, t->place);
	}
	if (!find_cluster(app, m, t->cluster, &at->cluster) ||
	    !setup_password(app->cx, app->home, t->name, t->login, &password))
		return false;
	place_names(app->cx->mem, at, t);
	login.role = place_login_role(app->cx->mem, at, t->login);
	login.verifier = scram_verifier(app->cx->mem, &password);
	vec_push(app->cx->mem, &at->logins, login);
	return free_place(app, at, &login);
}

/* What is recorded is the truth; before that, what the manifest says. */
static bool
find_tenant(App *app, const Manifests *m, Placement **out)
{
	const Tenant *spec = m ? map_get(m->tenants, arg.name) : NULL;
	TenantRecord record;
	bool found;

	if (!catalog_tenant_find(app->cx, app->home, arg.name, &record, &found))
		return false;
	if (found || !spec)
		return catalog_placement(app->cx, app->home, arg.name, out);
	*out = arena_alloc(app->cx->mem, sizeof **out);
	if (spec->mode != MODE_CUSTOMER_DB) {
		(*out)->mode = spec->mode;
		return true;
	}
	return announced(app, m, spec, *out);
}

static ExitCode
run_tenant(void *ptr)
{
	App *app = ptr;
	Buf script = buf_new(app->cx->mem);
	Placement *at;
	Manifests *m;

	if (!from_manifests(app, &m) || !find_tenant(app, m, &at))
		return app_fail(app);
	if (at->mode != MODE_CUSTOMER_DB) {
		fail(app->cx, FAIL_REFUSED,
		    "Its cluster has one: copyhold cluster setup-script CLUSTER.",
		    "tenant \"%s\" (mode %s) needs no script of its own", arg.name,
		    mode_name(at->mode));
		return app_fail(app);
	}
	if (!setup_tenant_script(app->cx, app->home, at, &script) || !tell(app, arg.name, "tenant"))
		return app_fail(app);
	out_text(stdout, script.text);
	return EXIT_DONE;
}

const Command cmd_tenant_setup_script = {
	.name = "tenant setup-script",
	.summary = "print the SQL that a customer's administrator runs",
	.detail =
	    "For mode customer-db. The administrator of the customer's server reads it and runs it once "
	    "with psql: an owner role that nobody can log in as, the application's login, our login with "
	    "membership of both, and the database. It asks for no SUPERUSER, CREATEROLE, CREATEDB or "
	    "extension. Before the tenant is recorded give its manifest with -f; the password of its "
	    "login is then made and sealed here, and a later apply takes it over.",
	.access = ACCESS_WRITES,
	.args = { { "TENANT", &arg.name, "the tenant", false } },
	.options = options,
	.run = run_tenant,
};

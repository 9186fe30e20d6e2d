#include <string.h>
#include <sys/statvfs.h>

#include "cli/app.h"
#include "lib/base/file.h"
#include "lib/base/proc.h"
#include "lib/core/engine.h"

static struct {
	OptList clusters;
} arg;

#define LOW_DISK ((unsigned long long)256 << 20)

typedef struct Doctor {
	App *app;
	Table *table;
	int findings, unreachable;
} Doctor;

static const Column columns[] = {
	{ "check", "CHECK", CELL_TEXT, false },
	{ "ok", "OK", CELL_BOOL, false },
	{ "found", "FOUND", CELL_TEXT, false },
	{ "fix", NULL, CELL_TEXT, false },
};

static void
line(Doctor *d, const char *check, bool ok, const char *found, const char *fix)
{
	table_cell(d->table, check);
	table_bool(d->table, ok);
	table_cell(d->table, found);
	table_cell(d->table, ok ? NULL : fix);
	if (ok)
		return;
	d->findings++;
	if (fix && d->app->output == OUTPUT_TEXT)
		log_say("%s: %s\n  fix: %s", check, found, fix);
}

/* What a hint advises beside the doctor, who is asked already. */
static char *
fix_of(Arena *mem, const Fail *f)
{
	const char *circle = f->hint ? strstr(f->hint, " Try: copyhold doctor") : NULL;

	return circle ? arena_dupn(mem, f->hint, (size_t)(circle - f->hint))
		      : arena_dup(mem, f->hint);
}

/* A failure of something that was tried becomes a finding; others are tried all the same. */
static void
line_fail(Doctor *d, const char *check, const Ctx *cx)
{
	const Fail *f = cx->fail;

	if (f->kind == FAIL_UNREACHABLE || f->kind == FAIL_TIMEOUT)
		d->unreachable++;
	line(d, check, false,
	    f->cause ? arena_printf(d->app->cx->mem, "%s (%s)", f->what, f->cause)
		     : arena_dup(d->app->cx->mem, f->what),
	    fix_of(d->app->cx->mem, f));
}

/* --- here --------------------------------------------------------------------------- */

static void
check_disk(Doctor *d)
{
	struct statvfs fs;
	unsigned long long free_bytes;

	if (statvfs(d->app->home_dir, &fs) != 0)
		return;
	free_bytes = (unsigned long long)fs.f_bavail * fs.f_frsize;
	line(d, "disk", free_bytes >= LOW_DISK,
	    arena_printf(d->app->cx->mem, "%llu MiB free for the home", free_bytes >> 20),
	    "Make room: a full disk stops every command that changes things.");
}

static void
check_programs(Doctor *d)
{
	static const struct {
		const char *program, *package, *what;
	} wanted[] = {
		{ "psql", "postgresql-client", "to run setup scripts and to connect by hand" },
	};

	for (size_t i = 0; i < LENGTH(wanted); i++) {
		const char *argv[] = { wanted[i].program, "--version", NULL };
		ProcSpec spec = { .argv = argv, .deadline_ms = 10000 };
		ProcResult result;
		Ctx cx = ctx_new(d->app->cx->mem);
		bool ok = proc_run(&cx, &spec, &result) && result.exit_code == 0;
		char *newline = ok ? strchr(result.out, '\n') : NULL;
		if (newline)
			*newline = '\0';
		line(d, arena_printf(d->app->cx->mem, "program %s", wanted[i].program), ok,
		    ok ? result.out
		       : arena_printf(d->app->cx->mem, "not found; wanted %s", wanted[i].what),
		    arena_printf(d->app->cx->mem, "apt-get install %s", wanted[i].package));
	}
}

static void
check_runs(Doctor *d)
{
	Ctx cx = ctx_new(d->app->cx->mem);
	RunRows runs;
	size_t open = 0;

	if (!run_list(&cx, d->app->home, 1000, &runs)) {
		line_fail(d, "runs", &cx);
		return;
	}
	for (size_t i = 0; i < runs.n; i++) {
		const char *state = runs.at[i].state;
		bool person = strcmp(state, "person") == 0;
		if (!person && strcmp(state, "stopped") != 0 && strcmp(state, "running") != 0)
			continue;
		open++;
		line(d, arena_printf(cx.mem, "run %lld", (long long)runs.at[i].id), false,
		    arena_printf(cx.mem, "%s is %s", runs.at[i].verb,
			person                              ? "waiting for a person"
			    : strcmp(state, "running") == 0 ? "running, or its process was killed"
							    : "stopped"),
		    arena_printf(cx.mem,
			person ? "copyhold run show %lld" : "copyhold run resume %lld",
			(long long)runs.at[i].id));
	}
	if (!open)
		line(d, "runs", true, "none is unfinished", NULL);
}

static bool
check_home(Doctor *d)
{
	Ctx cx = { .mem = d->app->cx->mem, .fail = arena_alloc(d->app->cx->mem, sizeof(Fail)) };

	if (!home_open(&cx, d->app->home_dir, ACCESS_READS, &d->app->home)) {
		line_fail(d, "home", &cx);
		return false;
	}
	line(d, "home", true, d->app->home_dir, NULL);
	if (!lite_check(&cx, d->app->home->db)) {
		line_fail(d, "catalogue", &cx);
		return false; /* what it says of runs and clusters cannot be believed */
	}
	line(d, "catalogue", true,
	    arena_printf(cx.mem, "version %d, sound", lite_version(d->app->home->db)), NULL);
	return true;
}

/* --- there ---------------------------------------------------------------------------- */

static void
check_strays(Doctor *d, Ctx *cx, Conns *conns, const Cluster *c, const PlaceDriver *driver)
{
	Names strays = { 0 };
	const char *check = arena_printf(cx->mem, "leftovers on %s", c->name);
	Buf b = buf_new(cx->mem);

	if (!driver->strays(cx, conns, c, &strays)) {
		line_fail(d, check, cx);
		return;
	}
	for (size_t i = 0; i < strays.n; i++)
		buf_fmt(&b, "%s%s", i ? ", " : "", strays.at[i]);
	line(d, check, !strays.n,
	    strays.n
		? arena_printf(cx->mem, "a crash left folders that no database owns: %s", b.text)
		: "none",
	    "Stop the server, remove them from its data folder, start it.");
}

static void
check_place(Doctor *d, const char *check, const Placement *at, bool exists)
{
	Ctx cx = ctx_new(d->app->cx->mem);
	Conns *conns = conns_new(&cx, d->app->home);
	const PlaceDriver *driver = place_driver(at->mode);

	log_live("asking %s", at->cluster->name);
	if (!driver->preflight(&cx, conns, at, exists)) {
		line_fail(d, check, &cx);
	} else {
		line(d, check, true, "reachable, set up, ours to use", NULL);
		if (driver->strays && !exists)
			check_strays(d, &cx, conns, at->cluster, driver);
	}
	log_live_end();
	arena_free(cx.mem);
}

static bool
wanted(const char *cluster)
{
	for (int i = 0; i < arg.clusters.n; i++)
		if (strcmp(arg.clusters.at[i], cluster) == 0)
			return true;
	return arg.clusters.n == 0;
}

static bool
check_clusters(Doctor *d)
{
	Ctx *cx = d->app->cx;
	Names names;
	TenantRecords tenants;

	if (!catalog_object_names(cx, d->app->home, "Cluster", &names) ||
	    !catalog_tenants(cx, d->app->home, &tenants))
		return false;
	for (int i = 0; i < arg.clusters.n; i++)
		if (!names_have(&names, arg.clusters.at[i]))
			return fail(cx, FAIL_NOT_FOUND,
			    "Only clusters that were applied are known.",
			    "there is no cluster \"%s\"", arg.clusters.at[i]);
	for (size_t i = 0; i < names.n; i++) {
		Cluster *c;
		if (!wanted(names.at[i]))
			continue;
		if (!catalog_cluster(cx, d->app->home, names.at[i], &c))
			return false;
		if (c->modes.n && !names_have(&c->modes, mode_name(MODE_DEDICATED)) && !c->on.host)
			continue;
		Placement at = { .tenant = "", .id = "", .mode = MODE_DEDICATED, .cluster = c };
		check_place(d, arena_printf(cx->mem, "cluster %s", c->name), &at, false);
	}
	for (size_t i = 0; i < tenants.n; i++) {
		Placement *at;
		if (tenants.at[i].mode != MODE_CUSTOMER_DB || !wanted(tenants.at[i].cluster))
			continue;
		if (!catalog_placement_of(cx, d->app->home, &tenants.at[i], &at))
			return false;
		check_place(d,
		    arena_printf(cx->mem, "tenant %s on %s", at->tenant, at->cluster->name), at,
		    true);
	}
	return true;
}

static ExitCode
run_doctor(void *ptr)
{
	App *app = ptr;
	Doctor d = { .app = app,
		.table = table_new(app->cx->mem, app->output, columns, LENGTH(columns)) };

	bool sound = check_home(&d);
	check_disk(&d);
	if (sound) {
		check_runs(&d);
		if (!check_clusters(&d))
			return app_fail(app);
	}
	check_programs(&d);
	table_print(d.table, stdout);
	if (!d.findings)
		return EXIT_DONE;
	return d.findings == d.unreachable ? EXIT_UNREACHABLE : EXIT_FAILED;
}

static const Option options[] = {
	{ OPT_LIST, "cluster", 'c', "CLUSTER", &arg.clusters, "only this cluster", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_doctor = {
	.name = "doctor",
	.summary = "what is wrong here and there, each with its fix",
	.detail =
	    "Looks at the home's rights and soundness, the disk, unfinished runs, the programs that "
	    "are called, and each cluster: reachable, set up, ours, and free of what a crash leaves.",
	.access = ACCESS_NONE,
	.run = run_doctor,
	.options = options,
};

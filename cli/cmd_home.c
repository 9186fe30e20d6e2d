#include <string.h>

#include "cli/app.h"
#include "compliance/audit/log.h"

/* --- init -------------------------------------------------------------------- */

static bool
tell_of_init(App *app)
{
	Event e = { .verb = "home.init", .object = "home", .outcome = "ok" };

	if (!home_open(app->cx, app->home_dir, ACCESS_WRITES, &app->home))
		return false;
	app->home->reason = app->reason;
	if (!event_write(app->cx, app->home, &e))
		return false;
	log_catch_up(app->cx, app->home, CATCH_UP_MS);
	return true;
}

static ExitCode
run_init(void *ptr)
{
	App *app = ptr;
	bool made;

	if (!home_init(app->cx, app->home_dir, &made) || (made && !tell_of_init(app)))
		return app_fail(app);
	app_done(app, made ? "made the home %s" : "nothing to do: there is a home in %s already",
	    app->home_dir);
	return EXIT_DONE;
}

const Command cmd_init = {
	.name = "init",
	.summary = "make a home: catalogue, keys, leases",
	.detail =
	    "The home is a folder of mode 0700 that belongs to you. Keep keys/ safe and back it "
	    "up with \"copyhold home backup\": without the master key no secret opens.",
	.access = ACCESS_NONE,
	.run = run_init,
};

/* --- backup, restore ------------------------------------------------------------ */

static struct {
	const char *file, *passphrase;
} arg;

/* The passphrase is read as any secret is; it never stands on the command line. */
static bool
passphrase(App *app, Home *home, Secret *out)
{
	SecretRef ref = { .ref = arg.passphrase };

	if (!secret_resolve(app->cx, home, &ref, out))
		return fail_in(app->cx, "reading the passphrase");
	if (out->len < 12)
		return fail(app->cx, FAIL_SECRET, "Use 12 characters or more.",
		    "the passphrase is too short");
	return true;
}

static ExitCode
run_backup(void *ptr)
{
	App *app = ptr;
	Secret pass;

	if (!passphrase(app, app->home, &pass) || !home_backup(app->cx, app->home, arg.file, &pass))
		return app_fail(app);
	app_done(app, "wrote %s", arg.file);
	return EXIT_DONE;
}

/* --- probe: above what the targets have seen ----------------------------------------- */

/* More than any home can have lost: somebody wrote it there, and one customer's server must not
 * use up the fences of all tenants. */
#define FENCE_LEAP INT64_C(1000000000)

static bool
probe_tenant(Ctx *cx, Home *home, const TenantRecord *t, int64_t own, int64_t *highest)
{
	Placement *at;
	int64_t seen = 0;

	if (!catalog_placement_of(cx, home, t, &at) ||
	    !place_driver(at->mode)->highest_fence(cx, conns_new(cx, home), at, &seen))
		return fail_in(cx, "asking for the fence of tenant \"%s\"", t->name);
	if (seen < 0 || seen - own > FENCE_LEAP)
		return fail(cx, FAIL_SERVER,
		    "Somebody wrote it there: mend copyhold.fence by hand.",
		    "tenant \"%s\" on cluster \"%s\" shows the fence %lld, which no home gave out",
		    t->name, t->cluster, (long long)seen);
	if (seen > *highest)
		*highest = seen;
	return true;
}

static ExitCode
run_probe(void *ptr)
{
	App *app = ptr;
	TenantRecords all;
	int64_t highest = 0, own;
	size_t missed = 0;

	if (!catalog_tenants(app->cx, app->home, &all) ||
	    !catalog_fence_highest(app->cx, app->home, &own))
		return app_fail(app);
	for (size_t i = 0; i < all.n; i++) {
		Ctx one = ctx_new(app->cx->mem);
		log_live("asking %s (%zu/%zu)", all.at[i].name, i + 1, all.n);
		if (!probe_tenant(&one, app->home, &all.at[i], own, &highest)) {
			log_raw(fail_text(one.mem, one.fail));
			missed++;
		}
		arena_free(one.mem);
	}
	log_live_end();
	bool ok = lite_begin(app->cx, app->home->db) &&
	    catalog_raise_floors(app->cx, app->home, highest) &&
	    event_write(app->cx, app->home,
		&(Event){ .verb = "home.probe",
		    .object = "home",
		    .outcome = missed ? "some targets unreachable" : "ok" }) &&
	    lite_commit(app->cx, app->home->db);
	if (!ok) {
		lite_rollback(app->home->db);
		return app_fail(app);
	}
	app_done(app, "asked %zu of %zu targets; fences and epochs start above %lld",
	    all.n - missed, all.n, (long long)highest);
	if (missed)
		log_say("ask the others again when they are back: copyhold home probe");
	return missed ? EXIT_UNREACHABLE : EXIT_DONE;
}

static ExitCode
run_restore(void *ptr)
{
	App *app = ptr;
	Secret pass;

	if (!passphrase(app, NULL, &pass) ||
	    !home_restore(app->cx, app->home_dir, arg.file, &pass) ||
	    !home_open(app->cx, app->home_dir, ACCESS_WRITES, &app->home))
		return app_fail(app);
	app_done(app, "restored the home into %s", app->home_dir);
	ExitCode code = run_probe(app);
	Ctx own = ctx_new(app->cx->mem);
	if (!log_ready(&own, app->home))
		log_say("before the next change run: copyhold audit recover (%s)", own.fail->what);
	return code;
}

static const Option options[] = {
	{ OPT_TEXT, "passphrase", 0, "REF", &arg.passphrase,
	    "env:NAME or file:PATH with the passphrase", NULL, true },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_home_backup = {
	.name = "home backup",
	.summary = "copy the home while it is in use, keys under a passphrase",
	.access = ACCESS_WRITES,
	.run = run_backup,
	.options = options,
	.args = { { "FILE", &arg.file, "where to; must not exist", false } },
};

const Command cmd_home_restore = {
	.name = "home restore",
	.summary = "make a home from a backup",
	.detail =
	    "Every target that can be reached is asked for the highest fence and the home starts "
	    "above them, so that a lost machine's late writes are refused. Routes get a new epoch.",
	.access = ACCESS_NONE,
	.run = run_restore,
	.options = options,
	.args = { { "FILE", &arg.file, "the backup", false } },
};

const Command cmd_home_probe = {
	.name = "home probe",
	.summary = "start above the fences that the targets have seen",
	.detail = "Part of a restore; repeated when a target could not be reached then.",
	.access = ACCESS_WRITES,
	.run = run_probe,
};

#include <inttypes.h>
#include <string.h>

#include "cli/app.h"
#include "deployer/watch.h"
#include "lib/base/lane.h"

static struct {
	const char *name;
	int64_t interval;
	WatchLimits limits;
	bool once, dry_run;
} arg = {
	.interval = 1000,
	.limits = { .locks = 1000,
	    .idle_ms = 60000,
	    .transaction_ms = 600000,
	    .table_lock_ms = 2000,
	    .blocked = 20,
	    .wait_ms = 5000 },
};

#define LOCKS_LEAST    100
#define INTERVAL_LEAST 100
#define SLICE_MS       200 /* between two questions whether to stop */
#define RETRY_MS       500
#define RETRY_CAP      10000
#define RELOAD_MS      10000
#define UNSENT_MAX     1000

typedef struct Dog {
	App *app;
	Cluster *cluster;
	const char *shared; /* the one that is watched; NULL: all of the cluster */
	Watch *watch;
	Arena *watch_mem; /* of one connection */
	Arena *known;     /* holds the three below; made anew by reload() */
	Names databases, shareds;
	Map *tenants; /* id -> name */
	int64_t reload_at;
	Arena *event_mem;
	VEC(Event) unwritten; /* of ended sessions: the catalogue was busy */
	bool failing;
} Dog;

/* --- what the catalogue says --------------------------------------------------------- */

static void
know_shared(Dog *d, Arena *mem, const SharedRecord *r)
{
	Shared names = { .id = arena_dup(mem, r->id) };

	if (strcmp(r->cluster, d->cluster->name) != 0 ||
	    (d->shared && strcmp(r->name, d->shared) != 0))
		return;
	place_shared_names(mem, &names);
	vec_push(mem, &d->databases, names.dbname);
	vec_push(mem, &d->shareds, arena_dup(mem, r->name));
}

/* New databases and tenants are known a moment after they are made. */
static bool
reload(Ctx *cx, Dog *d)
{
	Home *home = d->app->home;
	SharedRecords shareds;
	TenantRecords tenants;

	if (!catalog_shareds(cx, home, &shareds) || !catalog_tenants(cx, home, &tenants))
		return false;
	arena_free(d->known);
	d->known = arena_new(d->app->cx->mem);
	d->databases = d->shareds = (Names){ 0 };
	d->tenants = map_new(d->known);
	for (size_t i = 0; i < shareds.n; i++)
		know_shared(d, d->known, &shareds.at[i]);
	for (size_t i = 0; i < tenants.n; i++)
		if (tenants.at[i].shared)
			map_set(
			    d->tenants, tenants.at[i].id, arena_dup(d->known, tenants.at[i].name));
	d->reload_at = clock_mono_ms() + RELOAD_MS;
	return true;
}

/* "bj-1/crm" is a shared database, "bj-1" all of a cluster. */
static bool
find(Ctx *cx, Dog *d)
{
	Home *home = d->app->home;
	SharedRecord r;

	if (!strchr(arg.name, '/'))
		return catalog_cluster(cx, home, arg.name, &d->cluster);
	if (!catalog_shared(cx, home, arg.name, &r))
		return false;
	d->shared = r.name;
	return catalog_cluster(cx, home, r.cluster, &d->cluster);
}

static const char *
shared_name(const Dog *d, const char *database)
{
	for (size_t i = 0; i < d->databases.n; i++)
		if (strcmp(d->databases.at[i], database) == 0)
			return d->shareds.at[i];
	return database;
}

/* --- telling -------------------------------------------------------------------------- */

static void
tell_json(Ctx *cx, const Dog *d, const Watched *w, const char *tenant)
{
	Js *o = js_object(cx->mem);

	js_set_text(o, "at", clock_iso(cx->mem, clock_wall_ms()));
	js_set_text(o, "shared", shared_name(d, w->database));
	js_set_text(o, "tenant", tenant);
	js_set_text(o, "role", w->role);
	js_set_int(o, "pid", w->pid);
	js_set_text(o, "reason", w->why);
	js_set_bool(o, "ended", !arg.dry_run);
	out_text(stdout, arena_printf(cx->mem, "%s\n", js_canonical(cx->mem, o)));
}

static void
tell(Ctx *cx, Dog *d, const Watched *w)
{
	const char *tenant = map_get(d->tenants, w->id);

	if (d->app->output != OUTPUT_TEXT)
		tell_json(cx, d, w, tenant);
	else
		out_line(stdout, "%s %s %s in %s (session %" PRId64 " of %s): %s",
		    clock_iso(cx->mem, clock_wall_ms()), arg.dry_run ? "would end" : "ended",
		    tenant ? tenant : w->id, shared_name(d, w->database), w->pid, w->role, w->why);
	out_flush(stdout);
}

static void
keep_event(Dog *d, const Watched *w)
{
	Arena *mem = d->event_mem;
	const char *tenant = map_get(d->tenants, w->id);
	Event e = { .tenant = arena_dup(mem, tenant),
		.verb = "shared.watch.ended",
		.outcome = "ok",
		.object = arena_printf(
		    mem, "session/%s/%" PRId64, shared_name(d, w->database), w->pid),
		.before = arena_printf(mem, "%s: %s", w->role, w->why),
		.after = "ended" };

	if (d->unwritten.n < UNSENT_MAX)
		vec_push(mem, &d->unwritten, e);
}

/* What cannot be written now is tried again after the next look: the servers come first. */
static bool
write_events(Ctx *cx, Dog *d)
{
	size_t done = 0, left;

	while (done < d->unwritten.n && event_write(cx, d->app->home, &d->unwritten.at[done]))
		done++;
	left = d->unwritten.n - done;
	for (size_t i = 0; i < left; i++)
		d->unwritten.at[i] = d->unwritten.at[done + i];
	d->unwritten.n = left;
	if (left)
		return false;
	arena_reset(d->event_mem);
	d->unwritten.at = NULL;
	d->unwritten.cap = 0;
	return true;
}

/* Once when it begins to fail, once when it is over. */
static void
tell_failing(Ctx *cx, Dog *d, bool ok)
{
	if (!ok && !d->failing)
		log_raw(d->app->output == OUTPUT_TEXT
			? fail_text(cx->mem, cx->fail)
			: arena_printf(cx->mem, "%s\n", fail_json(cx->mem, cx->fail)));
	if (ok && d->failing)
		log_say("watching %s again", arg.name);
	d->failing = !ok;
}

/* --- looking ---------------------------------------------------------------------------- */

static void
hang_up(Dog *d)
{
	arena_free(d->watch_mem);
	d->watch_mem = NULL;
	d->watch = NULL;
}

static bool
connect_server(Ctx *cx, Dog *d)
{
	PgTarget target;

	if (d->watch && watch_alive(d->watch))
		return true;
	hang_up(d);
	if (!conns_target(cx, d->app->home, d->cluster, NULL, &target))
		return false;

	Ctx own = ctx_new(d->app->cx->mem);

	d->watch_mem = own.mem;
	if (watch_open(&own, &target, &d->watch))
		return true;
	fail_copy(cx, &own);
	hang_up(d);
	return false;
}

static bool
has_stranger(const Dog *d, const WatchedList *found)
{
	for (size_t i = 0; i < found->n; i++)
		if (!map_get(d->tenants, found->at[i].id))
			return true;
	return false;
}

/* The server comes first: what the catalogue cannot say or take just now does not keep from looking. */
static bool
one_look(Ctx *cx, Dog *d)
{
	WatchedList found = { 0 };
	bool known = clock_mono_ms() < d->reload_at || reload(cx, d);
	Ctx own = ctx_new(cx->mem);
	bool ok = connect_server(&own, d) &&
	    watch_look(&own, d->watch, &d->databases, &arg.limits, arg.dry_run, &found);

	if (known && !ok)
		fail_copy(cx, &own);
	if (known && has_stranger(d, &found))
		known = reload(cx, d);
	for (size_t i = 0; i < found.n; i++) {
		tell(cx, d, &found.at[i]);
		if (!arg.dry_run)
			keep_event(d, &found.at[i]);
	}
	return write_events(cx, d) && known && ok;
}

static void
rest(int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!lane_stopping() && clock_mono_ms() < until) {
		int64_t left = until - clock_mono_ms();

		lane_sleep(left < SLICE_MS ? left : SLICE_MS);
	}
}

static void
watch_on(Dog *d)
{
	int attempt = 0;

	while (!lane_stopping()) {
		Ctx own = ctx_new(d->app->cx->mem);
		bool ok = one_look(&own, d);

		tell_failing(&own, d, ok);
		arena_free(own.mem);
		attempt = ok || (d->watch && watch_alive(d->watch)) ? 0 : attempt + 1;
		rest(attempt ? RETRY_MS / 2 + backoff_ms(attempt, RETRY_MS, RETRY_CAP)
			     : arg.interval);
	}
}

static void
say_what_it_sees(const Dog *d)
{
	log_say("watching %zu shared database%s on %s every %s", d->databases.n,
	    d->databases.n == 1 ? "" : "s", d->cluster->name,
	    clock_human(d->app->cx->mem, arg.interval));
	log_say("open without gateway: what happens between two looks, and load that needs no lock "
		"(CPU, memory, disk, connections opened again and again)");
}

static bool
limits_valid(Ctx *cx)
{
	const WatchLimits *l = &arg.limits;

	if (l->locks && l->locks < LOCKS_LEAST)
		return fail(cx, FAIL_USAGE,
		    "Give at least 100: a transaction on a few tables holds dozens; 0 is no limit.",
		    "--max-locks is too small");
	if (l->blocked < 0)
		return fail(cx, FAIL_USAGE, "Give at least 1; 0 is no limit.",
		    "--max-blocked is too small");
	return arg.interval >= INTERVAL_LEAST ||
	    fail(cx, FAIL_USAGE, "Give at least 100ms.", "--interval is too short");
}

static ExitCode
run_watch(void *ptr)
{
	App *app = ptr;
	Dog d = { .app = app };

	d.known = arena_new(app->cx->mem);
	d.event_mem = arena_new(app->cx->mem);

	if (!limits_valid(app->cx) || !find(app->cx, &d) || !reload(app->cx, &d) ||
	    !connect_server(app->cx, &d))
		return app_fail(app);
	if (arg.once)
		return one_look(app->cx, &d) ? EXIT_DONE : app_fail(app);
	say_what_it_sees(&d);
	watch_on(&d);
	if (!write_events(app->cx, &d))
		return app_fail(app);
	return EXIT_DONE;
}

static const Option watch_options[] = {
	{ OPT_SPAN, "interval", 0, "TIME", &arg.interval, "between two looks (default 1s)", NULL,
	    false },
	{ OPT_INT, "max-locks", 0, "N", &arg.limits.locks,
	    "locks that a session may hold (default 1000)", NULL, false },
	{ OPT_SPAN, "max-idle-in-transaction", 0, "TIME", &arg.limits.idle_ms,
	    "how long a transaction may wait for its client (default 60s)", NULL, false },
	{ OPT_SPAN, "max-transaction", 0, "TIME", &arg.limits.transaction_ms,
	    "how long a transaction may last (default 10m)", NULL, false },
	{ OPT_SPAN, "max-lock-table", 0, "TIME", &arg.limits.table_lock_ms,
	    "the same if it says LOCK TABLE (default 2s)", NULL, false },
	{ OPT_INT, "max-blocked", 0, "N", &arg.limits.blocked,
	    "sessions that one may keep waiting (default 20)", NULL, false },
	{ OPT_SPAN, "max-wait", 0, "TIME", &arg.limits.wait_ms,
	    "a shorter wait is not counted there (default 5s)", NULL, false },
	{ OPT_FLAG, "once", 0, NULL, &arg.once, "look once and end", NULL, false },
	{ OPT_FLAG, "dry-run", 0, NULL, &arg.dry_run, "say what would be ended, end nothing", NULL,
	    false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_shared_watch = {
	.name = "shared watch",
	.summary = "end tenants' sessions that harm everybody",
	.detail =
	    "Runs until SIGTERM. Each interval it looks, through one connection that it keeps open, at "
	    "the sessions of tenants' logins in the shared database, or in all of a cluster, and ends "
	    "those that hold too many locks (each savepoint that wrote holds one), idle in a "
	    "transaction, LOCK a table, run a transaction for too long, or keep too many others waiting. "
	    "Each is a line (with --output json or jsonl one object a line) and an event. A limit of 0 is "
	    "none. What happens between two looks and load that takes no lock stay open without gateway.",
	.access = ACCESS_WRITES,
	.run = run_watch,
	.options = watch_options,
	.args = { { "WHAT", &arg.name, "a shared database (CLUSTER/MODEL) or a cluster", false } },
};

/*
 * The steps of a switch.  While a tenant is parked each commit of the catalogue
 * counts: what needs no server is recorded with its neighbours, and intents are early.
 */
#include "region/route/switch.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "region/gateway/ask.h"
#include "region/route/switch.sql.h"
#include "region/route/switch_intern.h"

#define ACK_MS    3000  /* gateways have so long to take a change in */
#define SETTLE_MS 10000 /* one that is silent for so long has lost its lease */
#define END_MS    2000  /* sessions that were ended have so long to go */
#define LOCK_MS   60000 /* a promotion that somebody has asked for is over by then, or has failed */
#define POLL_MS   1
#define POLL_CAP  10

/* Until when the run of this process has its tenant parked (mono).  A resumed run has no such
 * moment: it parks anew. */
static struct {
	int64_t run, until;
} parked;

/* The run of this process whose standby was told to promote itself, and has not done it in time. */
static int64_t promoting;

/* The same of rows that were copied, once they have been compared. */
static struct {
	int64_t run, rows;
} copied;

static const char *
arg(const StepEnv *env, const char *key)
{
	const char *value = js_get_text(env->step->args, key);

	return value ? value : "";
}

static int64_t
span(const StepEnv *env, const char *key, int64_t otherwise)
{
	return js_get_int(env->step->args, key, otherwise);
}

/* --- the gate --------------------------------------------------------------------- */

static bool
park(Ctx *cx, StepEnv *env)
{
	int64_t max = span(env, "max", ACK_MS);
	bool open;

	if (!catalog_route_park(cx, env->home, arg(env, "tenant"), clock_wall_ms() + max, &open))
		return false;
	if (!open)
		return fail(cx, FAIL_REFUSED, "See: copyhold route show.",
		    "the route of tenant \"%s\" is not open", arg(env, "tenant"));
	parked.run = env->run;
	parked.until = clock_mono_ms() + max;
	return true;
}

static bool
release(Ctx *cx, StepEnv *env)
{
	bool was;

	return catalog_route_release(cx, env->home, arg(env, "tenant"), &was);
}

static bool
park_now(Ctx *cx, StepEnv *env)
{
	if (lite_begin(cx, env->home->db) && park(cx, env) && lite_commit(cx, env->home->db))
		return true;
	lite_rollback(env->home->db);
	return false;
}

static bool
acked(Ctx *cx, StepEnv *env, int64_t ms)
{
	const char *why;
	bool all;

	if (!ask_wait(cx, env->home, 0, ms, &all, &why))
		return false;
	return all ||
	    fail(cx, FAIL_LIMIT, "See: copyhold gateway status.",
		"not every gateway has parked tenant \"%s\": %s", arg(env, "tenant"), why);
}

static bool
late(Ctx *cx, const StepEnv *env)
{
	return fail(cx, FAIL_LIMIT, "Give it more time: --max.",
	    "tenant \"%s\" was parked for %s and the switch was not over", arg(env, "tenant"),
	    clock_human(cx->mem, span(env, "max", ACK_MS)));
}

static bool
hold(Ctx *cx, StepEnv *env)
{
	return parked.run == env->run || (park_now(cx, env) && acked(cx, env, ACK_MS));
}

/* The tenant is parked, and not for too long yet: else nothing more is taken away from it. */
static bool
hold_in_time(Ctx *cx, StepEnv *env)
{
	return hold(cx, env) && (clock_mono_ms() < parked.until || late(cx, env));
}

/* --- drain ------------------------------------------------------------------------- */

typedef struct Drain {
	int64_t holding, pinned;
	bool sure;
} Drain;

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until it is looked again: an eighth of what has been waited already. */
static void
wait_since(int64_t begun)
{
	lane_sleep(earlier(POLL_MS + (clock_mono_ms() - begun) / 8, POLL_CAP));
}

static bool
drained(Ctx *cx, StepEnv *env, int64_t deadline, Drain *d)
{
	int64_t begun = clock_mono_ms();

	for (;;) {
		Ctx own = ctx_new(cx->mem);
		bool ok = ask_drained(
		    &own, env->home, arg(env, "tenant"), &d->holding, &d->pinned, &d->sure);
		if (!ok)
			fail_copy(cx, &own);
		arena_free(own.mem);
		if (!ok)
			return false;
		if ((d->sure && d->holding == 0) || clock_mono_ms() >= deadline)
			return true;
		wait_since(begun);
	}
}

static bool
not_drained(Ctx *cx, const StepEnv *env, const Drain *d)
{
	const char *tenant = arg(env, "tenant");

	if (!d->sure)
		return fail(cx, FAIL_LIMIT, "See: copyhold gateway status.",
		    "a gateway does not say whether sessions of tenant \"%s\" are left", tenant);
	return fail(cx, FAIL_LIMIT,
	    arena_printf(cx->mem,
		"See them: copyhold gateway clients %s; give them more time with --drain, or "
		"end them with --end-sessions.",
		tenant),
	    "%lld session%s of tenant \"%s\" did not come to an end of %s transaction in %s",
	    (long long)d->holding, d->holding == 1 ? "" : "s", tenant,
	    d->holding == 1 ? "its" : "their", clock_human(cx->mem, span(env, "drain", 0)));
}

static bool
drain_act(Ctx *cx, StepEnv *env)
{
	int64_t ended;
	Drain d;

	if (!hold_in_time(cx, env) || !acked(cx, env, ACK_MS) ||
	    !drained(cx, env, earlier(clock_mono_ms() + span(env, "drain", 0), parked.until), &d))
		return false;
	if (d.sure && d.holding == 0)
		return true;
	if (!js_get_bool(env->step->args, "end", false))
		return not_drained(cx, env, &d);
	if (!ask_end(cx, env->home, arg(env, "tenant"), &ended) ||
	    !drained(cx, env, earlier(clock_mono_ms() + END_MS, parked.until), &d))
		return false;
	return (d.sure && d.holding == 0) || not_drained(cx, env, &d);
}

/* What only waits is done again. */
static bool
never_done(Ctx *cx, StepEnv *env, Probe *out)
{
	(void)cx;
	(void)env;
	*out = PROBE_NOT_DONE;
	return true;
}

/* --- the fence: what suspending and resuming a tenant does --------------------------- */

typedef bool (*StepsFn)(Ctx *cx, const Placement *at, Steps *steps);

/* The one step kind of the driver's; how a door is closed is known there alone. */
static const StepKind *
door(Ctx *cx, const Placement *at, StepsFn steps_of)
{
	Steps steps = { 0 };

	if (!steps_of(cx, at, &steps))
		return NULL;
	const StepKind *kind = steps.n == 1 ? step_kind(steps.at[0].kind) : NULL;
	if (!kind)
		fail(cx, FAIL_REFUSED, NULL, "mode %s has no door that a switch could close",
		    mode_name(at->mode));
	return kind;
}

static const StepKind *
closing(Ctx *cx, const StepEnv *env)
{
	return door(cx, env->at, place_driver(env->at->mode)->suspend_steps);
}

static const StepKind *
opening(Ctx *cx, const StepEnv *env)
{
	return door(cx, env->at, place_driver(env->at->mode)->resume_steps);
}

static bool
older_left(Ctx *cx, Pg *pg, const char *ids, int64_t *left)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SWITCH_OLDER_LEFT, &rows, &ids))
		return false;
	*left = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
prepared_left(Ctx *cx, const StepEnv *env)
{
	return fail(cx, FAIL_DATA, "COMMIT PREPARED or ROLLBACK PREPARED it, then switch again.",
	    "a prepared transaction is left in \"%s\" of tenant \"%s\"", env->at->dbname,
	    env->at->tenant);
}

static bool
older_now(Ctx *cx, StepEnv *env, Pg *pg, const char **ids)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SWITCH_OLDER, &rows, &env->at->dbname))
		return false;
	bool prepared = pg_int(&rows, 0, 1) > 0;
	*ids = arena_dup(cx->mem, pg_text(&rows, 0, 0));
	pg_rows_free(&rows);
	return !prepared || prepared_left(cx, env);
}

/* No transaction that began before the fence is left, of whoever it is. */
static bool
older_gone(Ctx *cx, StepEnv *env)
{
	int64_t left, begun = clock_mono_ms();
	const char *ids;
	Pg *pg;

	if (!switch_side(cx, env->conns, env->at, env->at->cluster, &pg) ||
	    !older_now(cx, env, pg, &ids))
		return false;
	if (strcmp(ids, "{}") == 0)
		return true;
	for (;; wait_since(begun)) {
		if (!older_left(cx, pg, ids, &left))
			return false;
		if (!left)
			return true;
		if (clock_mono_ms() > parked.until)
			return fail(cx, FAIL_LIMIT, "See pg_stat_activity there.",
			    "%lld transactions that are older than the fence do not end in \"%s\"",
			    (long long)left, env->at->dbname);
	}
}

/* The guards open what is needed while the tenant is parked, and ask what will be asked then: a
 * server's first answer takes longer. */
static bool
fence_guard(Ctx *cx, StepEnv *env)
{
	const char *ids;
	Pg *pg;

	return closing(cx, env) && switch_side(cx, env->conns, env->at, env->at->cluster, &pg) &&
	    older_now(cx, env, pg, &ids);
}

static bool
fence_act(Ctx *cx, StepEnv *env)
{
	const StepKind *kind = closing(cx, env);

	return kind && hold_in_time(cx, env) && kind->act(cx, env) && older_gone(cx, env);
}

static bool
fence_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	const StepKind *kind = closing(cx, env);

	return kind && hold(cx, env) && kind->probe(cx, env, out) &&
	    (*out != PROBE_DONE || older_gone(cx, env));
}

static bool
fence_undo(Ctx *cx, StepEnv *env)
{
	const StepKind *kind = closing(cx, env);

	return kind && kind->undo(cx, env);
}

/* --- the new side ------------------------------------------------------------------------ */

static bool
sides(Ctx *cx, StepEnv *env, SwitchSides *out)
{
	Cluster *to;

	if (!catalog_cluster(cx, env->home, arg(env, "to"), &to))
		return false;
	*out = (SwitchSides){
		.conns = env->conns,
		.at = env->at,
		.to = to,
		.deadline = parked.until,
		.rows = &copied.rows,
	};
	return true;
}

/* The way of a step; never NULL: the plan has chosen one of the table. */
static const SwitchBy *
way(const StepEnv *env)
{
	const SwitchBy *by = switch_by(arg(env, "by"));

	return by ? by : switch_by("same");
}

/* Why it was not done in time: its server had no more to do it in. */
static bool
in_time(Ctx *cx, const StepEnv *env, bool done)
{
	if (done || !way(env)->copy ||
	    (cx->fail->kind != FAIL_LIMIT && cx->fail->kind != FAIL_TIMEOUT))
		return done;
	fail_clear(cx);
	return fail(cx, FAIL_LIMIT, "Give it more time: --max.",
	    "the rows of tenant \"%s\" were not copied and compared in time: it is parked for %s at most",
	    arg(env, "tenant"), clock_human(cx->mem, span(env, "max", ACK_MS)));
}

static bool
copy_guard(Ctx *cx, StepEnv *env)
{
	const Placement *at = env->at;
	Pg *pg;

	return conns_get_as(cx, env->conns, at->cluster, at->dbname, at->owner, &pg);
}

/* Looked for by doing it again: the new side knows the step, and may be gone. */
static bool
copy_act(Ctx *cx, StepEnv *env)
{
	SwitchSides s;

	if (!hold_in_time(cx, env) || !sides(cx, env, &s))
		return false;
	bool done = way(env)->copy(cx, env, &s);

	if (done)
		fault_point("switch.copy.acted");
	return in_time(cx, env, done);
}

static bool
follow_act(Ctx *cx, StepEnv *env)
{
	SwitchSides s;

	return hold_in_time(cx, env) && sides(cx, env, &s) && way(env)->catch_up(cx, &s);
}

/* A promotion goes on in the server when who has asked for it is gone: whoever looks whether it was
 * done waits for its end. */
static bool
promote_lock(Ctx *cx, StepEnv *env, SwitchSides *s, Pg **pg)
{
	return sides(cx, env, s) && switch_side(cx, s->conns, s->at, s->to, pg) &&
	    ledger_lock(cx, *pg, env, LOCK_MS);
}

static bool
promote_act(Ctx *cx, StepEnv *env)
{
	SwitchSides s;
	Pg *pg;

	if (!promote_lock(cx, env, &s, &pg))
		return false;
	bool done = park_now(cx, env) && way(env)->finish(cx, &s);
	if (!done && cx->fail->kind == FAIL_TIMEOUT)
		promoting = env->run;
	ledger_unlock(pg, env);
	return done;
}

static bool
promote_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	SwitchSides s;
	Pg *pg;
	bool finished;

	if (!promote_lock(cx, env, &s, &pg))
		return false;
	bool seen = way(env)->finished(cx, &s, &finished);
	ledger_unlock(pg, env);
	if (!seen)
		return false;
	*out = finished ? PROBE_DONE : promoting == env->run ? PROBE_UNDECIDABLE : PROBE_NOT_DONE;
	if (*out == PROBE_UNDECIDABLE)
		env->why = "the standby was told to promote itself, and may still do so";
	return true;
}

/* On a customer's server the ledger is the owner's. */
static bool
enter(Ctx *cx, const StepEnv *env, Pg *pg)
{
	Buf b = buf_new(cx->mem);
	Ledger ledger;

	buf_add(&b, "SET LOCAL synchronous_commit = off");
	if (env->at->mode == MODE_CUSTOMER_DB) {
		buf_add(&b, "; SET LOCAL ROLE ");
		buf_ident(&b, env->at->owner);
	}
	if (pg_begin(cx, pg) && pg_script(cx, pg, b.text) && ledger_enter(cx, pg, env, &ledger) &&
	    pg_commit(cx, pg))
		return true;
	pg_rollback(pg);
	return false;
}

/* A row in the new side's ledger: it takes writes, and our fence is raised there.  Nothing rests on the
 * row: the disk is not waited for. */
static bool
writes(Ctx *cx, StepEnv *env, const Cluster *to)
{
	Pg *pg;

	return (switch_side(cx, env->conns, env->at, to, &pg) && enter(cx, env, pg)) ||
	    fail_in(cx, "writing on \"%s\"", to->name);
}

/* Where nothing has to be promoted the catching up is here: a step less while parked. */
static bool
check_act(Ctx *cx, StepEnv *env)
{
	const SwitchBy *by = way(env);
	SwitchSides s;

	copied.run = env->run;
	return (by->finish || hold_in_time(cx, env)) && sides(cx, env, &s) &&
	    (by->finish || in_time(cx, env, by->catch_up(cx, &s))) && writes(cx, env, s.to);
}

static bool
check_guard(Ctx *cx, StepEnv *env)
{
	SwitchSides s;
	Pg *pg;

	return sides(cx, env, &s) && switch_side(cx, s.conns, s.at, s.to, &pg) &&
	    (way(env)->finish || way(env)->copy || way(env)->catch_up(cx, &s));
}

/* --- move, open, release ------------------------------------------------------------------ */

/* The tenant stays parked: the logins are not open yet. */
static bool
move_record(Ctx *cx, StepEnv *env)
{
	TenantRecord t;

	if (!catalog_tenant(cx, env->home, arg(env, "tenant"), &t))
		return false;
	t.cluster = arg(env, "to");
	return catalog_tenant_put(cx, env->home, &t) &&
	    catalog_route_set(cx, env->home, t.name, env->fence, "park", t.cluster, t.dbname) &&
	    park(cx, env);
}

static bool
open_act(Ctx *cx, StepEnv *env)
{
	const StepKind *kind = opening(cx, env);

	return kind && (parked.run == env->run || park_now(cx, env)) && kind->act(cx, env);
}

static bool
open_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	const StepKind *kind = opening(cx, env);

	return kind && kind->probe(cx, env, out);
}

/* One that is silent parks by itself when its lease is over, and the old side is closed to it. */
static bool
settle_act(Ctx *cx, StepEnv *env)
{
	const char *why;
	bool all;

	if (!ask_wait(cx, env->home, 0, SETTLE_MS, &all, &why))
		return false;
	if (!all)
		log_say("%s: %s", env->step->scope, why);
	return true;
}

static const StepRow *
row_of(const StepRows *rows, const char *kind)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->at[i].step.kind, kind) == 0)
			return &rows->at[i];
	return NULL;
}

bool
switch_parked_ms(Ctx *cx, Home *home, int64_t run, int64_t *ms)
{
	StepRows rows = { 0 };

	if (!run_steps(cx, home, run, &rows))
		return false;
	const StepRow *from = row_of(&rows, "switch.park"), *to = row_of(&rows, "switch.settle");
	int64_t end = to && to->ended ? to->ended : clock_wall_ms();

	*ms = from && end > from->ended ? end - from->ended : 0;
	return true;
}

bool
switch_copied(Ctx *cx, Home *home, int64_t run, int64_t *rows, int64_t *ms, bool *found)
{
	StepRows all = { 0 };

	if (!run_steps(cx, home, run, &all))
		return false;
	const StepRow *row = row_of(&all, "switch.copy");

	*found = row && row->ended && copied.run == run;
	if (*found) {
		*rows = copied.rows;
		*ms = row->ended - row->started;
	}
	return true;
}

static bool
check_record(Ctx *cx, StepEnv *env)
{
	int64_t rows, ms;
	bool found;

	if (!way(env)->copy)
		return true;
	if (!switch_copied(cx, env->home, env->run, &rows, &ms, &found))
		return false;
	if (!found)
		return true;
	Event e = { .tenant = arg(env, "tenant"),
		.run = env->run,
		.step = env->step->id,
		.verb = "route.copied",
		.object = arena_printf(cx->mem, "route/%s", arg(env, "tenant")),
		.outcome = "ok",
		.before = arg(env, "from"),
		.after = arena_printf(cx->mem, "%s, %lld rows in %lld ms", arg(env, "to"),
		    (long long)rows, (long long)ms) };
	return event_write(cx, env->home, &e);
}

static bool
settle_record(Ctx *cx, StepEnv *env)
{
	int64_t ms;

	if (!switch_parked_ms(cx, env->home, env->run, &ms))
		return false;
	Event e = { .tenant = arg(env, "tenant"),
		.run = env->run,
		.step = env->step->id,
		.verb = "route.switched",
		.object = arena_printf(cx->mem, "route/%s", arg(env, "tenant")),
		.outcome = "ok",
		.before = arg(env, "from"),
		.after = arena_printf(
		    cx->mem, "%s, parked %lld ms", arg(env, "to"), (long long)ms) };
	return event_write(cx, env->home, &e);
}

const StepKind switch_kinds[] = {
	{ .name = "switch.park",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = park,
	    .unrecord = release },
	{ .name = "switch.drain",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = drain_act,
	    .probe = never_done },
	{ .name = "switch.fence",
	    .undo_class = UNDO_COMPENSABLE,
	    .early = true,
	    .guard = fence_guard,
	    .act = fence_act,
	    .probe = fence_probe,
	    .undo = fence_undo },
	{ .name = "switch.copy",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = copy_guard,
	    .act = copy_act,
	    .probe = never_done },
	{ .name = "switch.follow",
	    .undo_class = UNDO_REVERSIBLE,
	    .early = true,
	    .act = follow_act,
	    .probe = never_done },
	{ .name = "switch.promote",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = promote_act,
	    .probe = promote_probe },
	/* its row in the new side's ledger may stay: it opens nothing, and an undo needs the old side alone */
	{ .name = "switch.check",
	    .undo_class = UNDO_COMPENSABLE,
	    .early = true,
	    .guard = check_guard,
	    .act = check_act,
	    .probe = never_done,
	    .record = check_record },
	{ .name = "switch.move",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .record = move_record },
	{ .name = "switch.open",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = open_act,
	    .probe = open_probe },
	{ .name = "switch.release", .undo_class = UNDO_REVERSIBLE, .record = release },
	{ .name = "switch.settle",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = settle_act,
	    .probe = never_done,
	    .record = settle_record },
	{ .name = NULL },
};

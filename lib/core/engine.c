#include "lib/core/engine.h"

#include <string.h>

#include "lib/adapters/map.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/journal.h"
#include "lib/core/scope.h"

#define LANES_MAX 16

typedef struct Engine {
	Ctx		*cx;
	Home		*home;
	int64_t		 run;
	StepRows	 rows;
	struct { ScopeRun *at; size_t n, cap; } scopes;
	Map		*failed_clusters;	/* name -> ScopeResult * of a cluster scope that failed */
	size_t		 ended;
} Engine;

typedef struct Queue {		/* the tenants of one cluster; its lanes take from it */
	Engine		*engine;
	const char	*cluster;
	struct { ScopeRun **at; size_t n, cap; } scopes;
	size_t		 next;
} Queue;

/* --- scopes of a run -------------------------------------------------------- */

/* The cluster whose lane a scope runs in: named by a step's args, or the tenant's recorded one. */
static bool
scope_cluster(Engine *e, ScopeRun *s)
{
	const char *tenant = scope_tenant(s->scope);
	TenantRecord t;
	bool found = false;

	for (size_t i = 0; i < s->rows.n && !s->cluster; i++)
		s->cluster = js_get_text(s->rows.at[i]->step.args, "cluster");
	if (!s->cluster && tenant && !catalog_tenant_find(e->cx, e->home, tenant, &t, &found))
		return false;
	if (!s->cluster)
		s->cluster = found ? t.cluster : "";
	return true;
}

static bool
check_kinds(Engine *e)
{
	for (size_t i = 0; i < e->rows.n; i++) {
		const Step *step = &e->rows.at[i].step;
		if (!step_kind(step->kind))
			return fail(e->cx, FAIL_CATALOG, "Use the copyhold that wrote it.",
			    "step %lld is of the unknown kind \"%s\"", (long long)step->id,
			    step->kind);
	}
	return true;
}

static bool
group(Engine *e)
{
	Map *index = map_new(e->cx->mem);

	if (!check_kinds(e))
		return false;
	for (size_t i = 0; i < e->rows.n; i++) {
		StepRow *row = &e->rows.at[i];
		size_t at = (size_t)map_get(index, row->step.scope);
		if (!at) {
			vec_push(e->cx->mem, &e->scopes, ((ScopeRun){
			    .scope = row->step.scope, .run = e->run }));
			at = e->scopes.n;
			map_set(index, row->step.scope, (void *)at);
		}
		vec_push(e->cx->mem, &e->scopes.at[at - 1].rows, row);
	}
	for (size_t i = 0; i < e->scopes.n; i++)
		if (!scope_cluster(e, &e->scopes.at[i]))
			return false;
	return true;
}

static bool
is_finished(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state != STEP_DONE && s->rows.at[i]->state != STEP_UNDONE &&
		    s->rows.at[i]->state != STEP_ABANDONED)
			return false;
	return true;
}

static void
drop_leases(Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++)
		lease_drop(e->home, e->scopes.at[i].scope);
}

/* All or none; in the caller's transaction, so that ten thousand leases cost one commit. */
static bool
take_leases(Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++)
		if (!lease_take(e->cx, e->home, e->scopes.at[i].scope, e->run,
		    &e->scopes.at[i].fence))
			return false;
	return true;
}

static bool
give_up(Engine *e)
{
	lite_rollback(e->home->db);
	drop_leases(e);
	return false;
}

/* --- execution -------------------------------------------------------------- */

static void
tell(const Engine *e, const ScopeRun *s)
{
	static const struct { const char *role, *word; } words[] = {
		[SCOPE_DONE] = { "add", "done" }, [SCOPE_FAILED] = { "error", "failed" },
		[SCOPE_UNDONE] = { "error", "failed and rolled back" },
		[SCOPE_UNREACHABLE] = { "error", "unreachable" },
		[SCOPE_STOPPED] = { "error", "stopped" },
		[SCOPE_PERSON] = { "error", "needs a person" },
	};
	Ctx cx = ctx_new(NULL);
	bool asked = s->result.outcome == SCOPE_UNDONE && !s->result.fail;

	log_say("%s%s%s %s in %s (%zu/%zu)", paint(words[s->result.outcome].role), s->scope,
	    paint("off"), asked ? "rolled back" : words[s->result.outcome].word, clock_human(cx.mem, s->result.ms),
	    e->ended, e->scopes.n);
	if (s->result.fail)
		log_raw(fail_text(cx.mem, s->result.fail));
	arena_free(cx.mem);
}

static void
keep_result(Engine *e, ScopeRun *s)
{
	if (s->result.fail) {
		Ctx from = { .fail = s->result.fail }, to = { .mem = e->cx->mem };
		to.fail = arena_alloc(e->cx->mem, sizeof(Fail));
		fail_copy(&to, &from);
		s->result.fail = to.fail;
	}
	e->ended++;
	tell(e, s);
}

/* After a signal nothing new is begun. */
static bool
is_stopped(Engine *e, ScopeRun *s)
{
	Ctx cx = { .mem = e->cx->mem };

	if (!lane_stopping())
		return false;
	cx.fail = arena_alloc(cx.mem, sizeof *cx.fail);
	fail(&cx, FAIL_STOPPED, arena_printf(cx.mem, "Go on with: copyhold run resume %lld.",
	    (long long)e->run), "stopped by a signal before \"%s\" was begun", s->scope);
	s->result = (ScopeResult){ .scope = s->scope, .outcome = SCOPE_STOPPED, .fail = cx.fail };
	e->ended++;
	return true;
}

static void
walk(Engine *e, Conns *conns, ScopeRun *s)
{
	if (is_stopped(e, s))
		return;
	Ctx cx = ctx_new(e->cx->mem);
	scope_walk(&cx, e->home, conns, s);
	keep_result(e, s);
	arena_free(cx.mem);
}

/* A tenant whose cluster is not ready is not begun.  If the cluster may still become so, the steps
 * wait for a resume. */
static bool
skip(Engine *e, ScopeRun *s)
{
	const ScopeResult *cluster = map_get(e->failed_clusters, s->cluster);
	Ctx cx;

	if (!cluster || s->backward)
		return false;
	bool gone = cluster->outcome == SCOPE_FAILED || cluster->outcome == SCOPE_UNDONE;
	cx = (Ctx){ .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
	if (gone && !scope_begun(s))
		journal_abandon_waiting(&cx, e->home, e->run, s->scope);
	fail_clear(&cx);
	fail(&cx, cluster->fail->kind, cluster->fail->hint, "cluster \"%s\" is not ready: %s",
	    s->cluster, cluster->fail->what);
	s->result = (ScopeResult){ .scope = s->scope, .fail = cx.fail, .outcome =
	    cluster->outcome == SCOPE_UNREACHABLE ? SCOPE_UNREACHABLE :
	    gone && !scope_begun(s) ? SCOPE_FAILED : SCOPE_STOPPED };
	e->ended++;
	tell(e, s);
	return true;
}

static void
lane_main(void *ptr)
{
	Queue *q = ptr;
	Ctx cx = ctx_new(q->engine->cx->mem);
	Conns *conns = conns_new(&cx, q->engine->home);

	while (q->next < q->scopes.n) {
		ScopeRun *s = q->scopes.at[q->next++];
		if (!skip(q->engine, s))
			walk(q->engine, conns, s);
	}
	arena_free(cx.mem);
}

/* Regions, clusters and models first, one after the other: tenants build on them. */
static void
run_groundwork(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	Conns *conns = conns_new(&cx, e->home);

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (scope_tenant(s->scope))
			continue;
		walk(e, conns, s);
		if (s->result.outcome != SCOPE_DONE && strncmp(s->scope, "cluster/", 8) == 0)
			map_set(e->failed_clusters, s->scope + 8, &s->result);
	}
	arena_free(cx.mem);
}

static int64_t
lanes_of(Engine *e, const char *cluster)
{
	Ctx cx = ctx_new(e->cx->mem);
	Cluster *c;
	int64_t n = catalog_cluster(&cx, e->home, cluster, &c) ? c->connections : 1;

	arena_free(cx.mem);
	return n < 1 ? 1 : n > LANES_MAX ? LANES_MAX : n;
}

static Queue *
queue_of(Engine *e, Map *queues, const char *cluster)
{
	Queue *q = map_get(queues, cluster);

	if (!q) {
		q = arena_alloc(e->cx->mem, sizeof *q);
		*q = (Queue){ .engine = e, .cluster = cluster };
		map_set(queues, cluster, q);
	}
	return q;
}

static void
run_tenants(Engine *e)
{
	Map *queues = map_new(e->cx->mem);
	Lanes *lanes = lanes_new(e->cx->mem);
	const MapItem *it;

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (!scope_tenant(s->scope))
			continue;
		Queue *q = queue_of(e, queues, s->cluster);
		vec_push(e->cx->mem, &q->scopes, s);
	}
	for (it = map_next(queues, NULL); it; it = map_next(queues, it)) {
		Queue *q = it->value;
		int64_t n = lanes_of(e, q->cluster);
		for (int64_t i = 0; i < n && i < (int64_t)q->scopes.n; i++)
			lane_spawn(lanes, lane_main, q);
	}
	lanes_run(lanes);
}

/* --- the end ---------------------------------------------------------------- */

/* Several scopes: the first that applies of 6, 3, 1, 5, 4, 0. */
static ExitCode
exit_of(const Engine *e)
{
	static const struct { ScopeOutcome outcome; ExitCode code; } order[] = {
		{ SCOPE_PERSON, EXIT_PERSON }, { SCOPE_STOPPED, EXIT_STOPPED },
		{ SCOPE_FAILED, EXIT_FAILED }, { SCOPE_UNDONE, EXIT_UNDONE },
		{ SCOPE_UNREACHABLE, EXIT_UNREACHABLE },
	};

	for (size_t o = 0; o < LENGTH(order); o++)
		for (size_t i = 0; i < e->scopes.n; i++)
			if (e->scopes.at[i].result.outcome == order[o].outcome)
				return order[o].code;
	return EXIT_DONE;
}

static const char *
state_of(ExitCode code)
{
	switch (code) {
	case EXIT_DONE: return "done";
	case EXIT_PERSON: return "person";
	case EXIT_STOPPED: case EXIT_UNREACHABLE: return "stopped";
	case EXIT_UNDONE: return "undone";
	case EXIT_FAILED: case EXIT_CHANGES: case EXIT_LEASED: case EXIT_USAGE: break;
	}
	return "failed";
}

/* How a run whose steps are all closed has ended. */
static ExitCode
closed_as(const StepRows *rows)
{
	bool undone = false, abandoned = !rows->n;

	for (size_t i = 0; i < rows->n; i++) {
		undone = undone || rows->at[i].state == STEP_UNDONE;
		abandoned = abandoned || rows->at[i].state == STEP_ABANDONED;
	}
	return undone ? EXIT_UNDONE : abandoned ? EXIT_FAILED : EXIT_DONE;
}

/* What was done is done, even where the catalogue cannot be told any more that it has ended. */
static void
finish(Engine *e, ExitCode code, ExitCode recorded, RunReport *out)
{
	Ctx cx = ctx_new(e->cx->mem);

	log_live_end();
	fault_point("run:walked");
	if (!journal_run_end(&cx, e->home, e->run, state_of(recorded), (int64_t)recorded) ||
	    !journal_close_superseded(&cx, e->home, e->run)) {
		log_raw(fail_text(cx.mem, cx.fail));
		code = code == EXIT_DONE ? EXIT_STOPPED : code;
	}
	*out = (RunReport){ .run = e->run, .exit = code };
	for (size_t i = 0; i < e->scopes.n; i++)
		vec_push(e->cx->mem, &out->scopes, e->scopes.at[i].result);
	drop_leases(e);
	arena_free(cx.mem);
}

static bool
execute(Engine *e, RunReport *out)
{
	run_groundwork(e);
	run_tenants(e);
	ExitCode code = exit_of(e);
	finish(e, code, code == EXIT_DONE ? closed_as(&e->rows) : code, out);
	return true;
}

/* --- a new run -------------------------------------------------------------- */

/* Unique for ever: a change made, taken back and made again is three steps on the target. */
static const char *
step_key(Arena *mem, const Home *home, int64_t run, const Step *step)
{
	Arena *scratch = arena_new(mem);
	char *text = arena_printf(scratch, "%s/%lld/%lld/%s/%s/%s", home->id, (long long)run,
	    (long long)step->id, step->scope, step->kind, js_canonical(scratch, step->args));
	char *key = arena_dupn(mem, sha256_hex(scratch, text, strlen(text)), 32);

	arena_free(scratch);
	return key;
}

static void
add_steps(Engine *e, const RunPlan *plan)
{
	for (size_t i = 0; i < plan->steps->n; i++) {
		StepRow row = { .step = plan->steps->at[i], .state = STEP_WAITING };
		row.step.id = (int64_t)i + 1;
		row.step.key = step_key(e->cx->mem, e->home, e->run, &row.step);
		vec_push(e->cx->mem, &e->rows, row);
	}
}

static bool
check_seen(Engine *e, const RunPlan *plan)
{
	for (size_t i = 0; i < plan->seen.n; i++) {
		const Seen *seen = &plan->seen.at[i];
		TenantRecord t = {0};
		bool found;
		if (!catalog_tenant_find(e->cx, e->home, seen->tenant, &t, &found))
			return false;
		if ((found ? t.changed_run : 0) != seen->changed_run)
			return fail(e->cx, FAIL_PLAN_STALE, "Make the plan again.",
			    "tenant \"%s\" was changed by run %lld since the plan was made",
			    seen->tenant, (long long)(found ? t.changed_run : 0));
	}
	return true;
}

static bool
check_unfinished(Engine *e)
{
	int64_t other;

	for (size_t i = 0; i < e->scopes.n; i++) {
		const char *scope = e->scopes.at[i].scope;
		if (!journal_unfinished(e->cx, e->home, scope, &other))
			return false;
		if (other)
			return fail(e->cx, FAIL_REFUSED, arena_printf(e->cx->mem,
			    "Finish it: copyhold run resume %lld, or take it back: "
			    "copyhold run undo %lld.", (long long)other, (long long)other),
			    "run %lld has not finished with \"%s\"", (long long)other, scope);
	}
	return true;
}

static bool
record_steps(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	bool ok = true;

	for (size_t i = 0; ok && i < e->rows.n; i++)
		ok = journal_step_add(&cx, e->home, e->run, &e->rows.at[i].step);
	if (!ok)
		fail_copy(e->cx, &cx);
	arena_free(cx.mem);
	return ok;
}

static bool
record_run(Engine *e, const RunPlan *plan)
{
	for (size_t i = 0; i < e->scopes.n; i++) {
		const char *tenant = scope_tenant(e->scopes.at[i].scope);
		if (!journal_supersede(e->cx, e->home, e->scopes.at[i].scope, e->run) ||
		    (tenant && !catalog_tenant_touch(e->cx, e->home, tenant, e->run)))
			return false;
	}
	for (size_t i = 0; i < plan->shapes.n; i++) {
		char *hash;
		if (!catalog_shape_put(e->cx, e->home, plan->shapes.at[i], &hash))
			return false;
	}
	return record_steps(e);
}

/* The run, its leases and its steps are there together or not at all. */
bool
run_start(Ctx *cx, Home *home, const RunPlan *plan, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .failed_clusters = map_new(cx->mem) };

	if (!lite_begin(cx, home->db))
		return false;
	if (!journal_run_add(cx, home, plan->verb, &e.run))
		return give_up(&e);
	add_steps(&e, plan);
	if (!group(&e) || !take_leases(&e) || !check_unfinished(&e) || !check_seen(&e, plan) ||
	    !record_run(&e, plan) || !lite_commit(cx, home->db))
		return give_up(&e);
	fault_point("run:recorded");
	return execute(&e, out);
}

/* --- an old run ------------------------------------------------------------- */

static void
keep_open_scopes(Engine *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->scopes.n; i++)
		if (!is_finished(&e->scopes.at[i]))
			e->scopes.at[n++] = e->scopes.at[i];
	e->scopes.n = n;
}

static bool
open_run(Engine *e, RunRow *run)
{
	e->failed_clusters = map_new(e->cx->mem);
	return run_get(e->cx, e->home, e->run, run) &&
	    run_steps(e->cx, e->home, e->run, &e->rows) && group(e);
}

/* What was read before the leases were ours must still be so. */
static bool
check_unmoved(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	StepRows now = {0};
	bool ok = run_steps(&cx, e->home, e->run, &now);

	for (size_t i = 0; ok && i < e->rows.n; i++)
		if (i >= now.n || now.at[i].state != e->rows.at[i].state)
			ok = fail(&cx, FAIL_REFUSED, arena_printf(cx.mem,
			    "See: copyhold run show %lld.", (long long)e->run),
			    "run %lld was continued by another process just now", (long long)e->run);
	if (!ok)
		fail_copy(e->cx, &cx);
	arena_free(cx.mem);
	return ok;
}

static bool
hold_run(Engine *e, bool (*also)(Engine *e))
{
	if (!lite_begin(e->cx, e->home->db))
		return false;
	if (!take_leases(e) || !check_unmoved(e) || !also(e) || !lite_commit(e->cx, e->home->db))
		return give_up(e);
	return true;
}

static bool
set_running(Engine *e)
{
	return journal_run_again(e->cx, e->home, e->run);
}

/* A cluster that this run had to give back is not there for its tenants. */
static void
note_lost_clusters(Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++) {
		const ScopeRun *s = &e->scopes.at[i];
		if (strncmp(s->scope, "cluster/", 8) != 0 || !is_finished(s) ||
		    s->rows.at[0]->state != STEP_UNDONE)
			continue;
		ScopeResult *lost = arena_alloc(e->cx->mem, sizeof *lost);
		Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
		fail(&cx, FAIL_REFUSED, "Apply the manifests anew.", "its steps were rolled back");
		*lost = (ScopeResult){ .scope = s->scope, .outcome = SCOPE_UNDONE, .fail = cx.fail };
		map_set(e->failed_clusters, s->scope + 8, lost);
	}
}

static bool
is_backward(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++) {
		StepState state = s->rows.at[i]->state;
		if (state == STEP_UNDOING || state == STEP_UNDONE || state == STEP_UNDO_FAILED)
			return true;
	}
	return false;
}

/* A run that was killed, or whose last open step a person has resolved, is closed as it stands. */
static bool
close_run(Engine *e, const RunRow *row, RunReport *out)
{
	ExitCode code = closed_as(&e->rows);

	*out = (RunReport){ .run = e->run, .exit = EXIT_DONE };
	log_say("run %lld has nothing left to do", (long long)e->run);
	if (strcmp(row->state, "running") != 0 && strcmp(row->state, "stopped") != 0 &&
	    strcmp(row->state, "person") != 0)
		return true;
	return journal_run_end(e->cx, e->home, e->run, state_of(code), (int64_t)code);
}

bool
run_resume(Ctx *cx, Home *home, int64_t run, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;

	if (!open_run(&e, &row))
		return false;
	note_lost_clusters(&e);
	keep_open_scopes(&e);
	if (!e.scopes.n)
		return close_run(&e, &row, out);
	if (!hold_run(&e, set_running))
		return false;
	for (size_t i = 0; i < e.scopes.n; i++)
		e.scopes.at[i].backward = is_backward(&e.scopes.at[i]);
	return execute(&e, out);
}

static bool
is_made_by(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (strcmp(s->rows.at[i]->step.kind, "object.put") == 0 &&
		    !js_get_text(s->rows.at[i]->step.args, "was"))
			return true;
	return false;
}

/* A cluster that a run made stays while tenants are on it, of whatever run. */
static bool
is_in_use(Engine *e, ScopeRun *s)
{
	Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
	int64_t n = 0;

	if (strncmp(s->scope, "cluster/", 8) != 0 || !is_made_by(s) ||
	    (catalog_tenants_on(&cx, e->home, s->scope + 8, &n) && !n))
		return false;
	fail(&cx, FAIL_REFUSED, "Delete or undo them first.", "cluster \"%s\" has %lld tenant%s",
	    s->scope + 8, (long long)n, n == 1 ? "" : "s");
	s->result = (ScopeResult){ .scope = s->scope, .outcome = SCOPE_FAILED, .fail = cx.fail };
	e->ended++;
	tell(e, s);
	return true;
}

/* What was created in a run goes the other way: tenants first, then their groundwork. */
static void
undo_groundwork(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	Conns *conns = conns_new(&cx, e->home);

	for (size_t i = e->scopes.n; i-- > 0;) {
		ScopeRun *s = &e->scopes.at[i];
		if (!scope_tenant(s->scope) && !is_in_use(e, s))
			walk(e, conns, s);
	}
	arena_free(cx.mem);
}

static bool
has_undoable(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state != STEP_UNDONE && s->rows.at[i]->state != STEP_ABANDONED &&
		    s->rows.at[i]->state != STEP_WAITING)
			return true;
	return false;
}

/* What tenants past their pivot stand on (their cluster, their model) stays with them. */
static void
keep_undoable_scopes(Engine *e)
{
	size_t n = 0;
	bool stays = false;

	for (size_t i = 0; i < e->scopes.n; i++)
		if (scope_past_pivot(&e->scopes.at[i])) {
			log_say("%s is past its pivot and is left as it is", e->scopes.at[i].scope);
			stays = true;
		}
	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (scope_past_pivot(s) || (stays && !scope_tenant(s->scope)))
			continue;
		s->backward = true;
		if (has_undoable(s) || !is_finished(s))
			e->scopes.at[n++] = *s;
	}
	e->scopes.n = n;
}

/* An older change is not taken back from under a newer one. */
static bool
set_returning(Engine *e)
{
	int64_t later;

	for (size_t i = 0; i < e->scopes.n; i++) {
		const char *scope = e->scopes.at[i].scope;
		if (!journal_later(e->cx, e->home, scope, e->run, &later))
			return false;
		if (later)
			return fail(e->cx, FAIL_REFUSED, arena_printf(e->cx->mem,
			    "Undo that one first: copyhold run undo %lld.", (long long)later),
			    "run %lld has changed \"%s\" since", (long long)later, scope);
	}
	return set_running(e);
}

bool
run_undo(Ctx *cx, Home *home, int64_t run, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;

	if (!open_run(&e, &row))
		return false;
	keep_undoable_scopes(&e);
	if (!e.scopes.n && strcmp(row.state, "running") == 0 && closed_as(&e.rows) == EXIT_UNDONE)
		return close_run(&e, &row, out);	/* killed when all was taken back */
	if (!e.scopes.n)
		return fail(cx, FAIL_REFUSED, "Go forward: copyhold run resume, or change it with a new run.",
		    "run %lld has nothing that can be undone", (long long)run);
	if (!hold_run(&e, set_returning))
		return false;
	run_tenants(&e);
	undo_groundwork(&e);
	ExitCode code = exit_of(&e);
	finish(&e, code == EXIT_UNDONE ? EXIT_DONE : code, code == EXIT_DONE ? EXIT_UNDONE : code, out);
	return true;
}

/* --- a person's decision ---------------------------------------------------- */

static bool
resolve_row(Engine *e, StepRow *row, ScopeRun *s, const char *as)
{
	const StepKind *kind = step_kind(row->step.kind);
	StepEnv env = { .home = e->home, .run = e->run, .fence = s->fence, .step = &row->step };
	bool undoing = row->state == STEP_UNDO_FAILED || row->state == STEP_UNDOING;
	const char *tenant = scope_tenant(s->scope);
	TenantRecord t;
	Placement *at;
	bool found = false;

	if (tenant && !catalog_tenant_find(e->cx, e->home, tenant, &t, &found))
		return false;
	if (found && !catalog_placement_of(e->cx, e->home, &t, &at))
		return false;
	env.at = found ? at : NULL;
	env.cluster = found ? at->cluster : NULL;
	if (undoing && strcmp(as, "done") == 0)
		return (!kind->unrecord || kind->unrecord(e->cx, &env)) &&
		    journal_state(e->cx, e->home, e->run, row, STEP_UNDONE, "resolved by a person") &&
		    journal_event(e->cx, e->home, e->run, row, "resolved: undone");
	if (undoing && strcmp(as, "redo") == 0)
		return journal_state(e->cx, e->home, e->run, row, STEP_UNDOING, NULL) &&
		    journal_event(e->cx, e->home, e->run, row, "resolved: undo again");
	if (strcmp(as, "done") == 0)
		return (!kind->record || kind->record(e->cx, &env)) &&
		    journal_state(e->cx, e->home, e->run, row, STEP_DONE, "resolved by a person") &&
		    journal_event(e->cx, e->home, e->run, row, "resolved: done");
	if (strcmp(as, "redo") == 0)
		return journal_state(e->cx, e->home, e->run, row, STEP_WAITING, NULL) &&
		    journal_event(e->cx, e->home, e->run, row, "resolved: redo");
	return journal_state(e->cx, e->home, e->run, row, STEP_ABANDONED, "abandoned by a person") &&
	    journal_abandon_waiting(e->cx, e->home, e->run, s->scope) &&
	    journal_event(e->cx, e->home, e->run, row, "resolved: abandon");
}

static bool
find_open_row(Engine *e, int64_t step, ScopeRun **scope, StepRow **row)
{
	for (size_t i = 0; i < e->scopes.n; i++)
		for (size_t k = 0; k < e->scopes.at[i].rows.n; k++) {
			*scope = &e->scopes.at[i];
			*row = (*scope)->rows.at[k];
			if ((*row)->step.id != step)
				continue;
			if ((*row)->state == STEP_UNKNOWN || (*row)->state == STEP_UNDO_FAILED ||
			    (*row)->state == STEP_FAILED || (*row)->state == STEP_INTENT ||
			    (*row)->state == STEP_UNDOING)
				return true;
			return fail(e->cx, FAIL_REFUSED, "Only an open step can be resolved.",
			    "step %lld.%lld is %s", (long long)e->run, (long long)step,
			    step_state_name((*row)->state));
		}
	return fail(e->cx, FAIL_NOT_FOUND, "See: copyhold run show.", "run %lld has no step %lld",
	    (long long)e->run, (long long)step);
}

bool
run_resolve(Ctx *cx, Home *home, int64_t run, int64_t step, const char *as)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;
	ScopeRun *scope = NULL;
	StepRow *open = NULL;

	if (!open_run(&e, &row) || !find_open_row(&e, step, &scope, &open))
		return false;
	e.scopes.at[0] = *scope;
	e.scopes.n = 1;
	if (!lite_begin(cx, home->db))
		return false;
	if (!take_leases(&e) || !check_unmoved(&e) || !resolve_row(&e, open, &e.scopes.at[0], as) ||
	    !lite_commit(cx, home->db))
		return give_up(&e);
	drop_leases(&e);
	return true;
}

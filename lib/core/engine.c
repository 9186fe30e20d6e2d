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
	struct { ScopeRun *at; size_t n, cap; } scopes;
	size_t		 first_open;	/* scopes before it are taken */
	Map		*failed_clusters;	/* name -> ScopeResult * of a cluster scope that failed */
	size_t		 ended;
} Engine;

typedef struct LaneArg {
	Engine		*engine;
	const char	*cluster;
} LaneArg;

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
check_kinds(Engine *e, const StepRows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (!step_kind(rows->at[i].step.kind))
			return fail(e->cx, FAIL_CATALOG, "Use the copyhold that wrote it.",
			    "step %lld is of the unknown kind \"%s\"", (long long)rows->at[i].step.id,
			    rows->at[i].step.kind);
	return true;
}

static bool
group(Engine *e, StepRows *rows)
{
	Map *index = map_new(e->cx->mem);

	if (!check_kinds(e, rows))
		return false;
	for (size_t i = 0; i < rows->n; i++) {
		StepRow *row = &rows->at[i];
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
drop_leases(Engine *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lease_drop(e->home, e->scopes.at[i].scope);
}

/* All or none; in one transaction, so that ten thousand leases cost one commit. */
static bool
take_leases(Engine *e)
{
	size_t taken = 0;
	bool ok = lite_begin(e->cx, e->home->db);

	for (; ok && taken < e->scopes.n; taken += ok)
		ok = lease_take(e->cx, e->home, e->scopes.at[taken].scope, e->run,
		    &e->scopes.at[taken].fence);
	ok = ok && lite_commit(e->cx, e->home->db);
	if (!ok) {
		lite_rollback(e->home->db);
		drop_leases(e, taken);
	}
	return ok;
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

static void
walk(Engine *e, Conns *conns, ScopeRun *s)
{
	Ctx cx = ctx_new(e->cx->mem);

	scope_walk(&cx, e->home, conns, s);
	keep_result(e, s);
	arena_free(cx.mem);
}

/* A tenant whose cluster could not be claimed is not begun. */
static bool
skip(Engine *e, ScopeRun *s)
{
	const ScopeResult *cluster = map_get(e->failed_clusters, s->cluster);
	Ctx cx;

	if (!cluster || s->backward)
		return false;
	cx = (Ctx){ .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
	fail(&cx, cluster->fail->kind, cluster->fail->hint, "cluster \"%s\" is not ready: %s",
	    s->cluster, cluster->fail->what);
	s->result = (ScopeResult){ .scope = s->scope, .fail = cx.fail,
	    .outcome = cluster->outcome == SCOPE_UNREACHABLE ? SCOPE_UNREACHABLE : SCOPE_FAILED };
	journal_abandon_waiting(&cx, e->home, e->run, s->scope);
	e->ended++;
	tell(e, s);
	return true;
}

static ScopeRun *
next_scope(Engine *e, const char *cluster)
{
	while (e->first_open < e->scopes.n && e->scopes.at[e->first_open].result.scope)
		e->first_open++;
	for (size_t i = e->first_open; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (!s->result.scope && scope_tenant(s->scope) && strcmp(s->cluster, cluster) == 0) {
			s->result.scope = s->scope;	/* taken */
			return s;
		}
	}
	return NULL;
}

static void
lane_main(void *ptr)
{
	LaneArg *arg = ptr;
	Engine *e = arg->engine;
	Ctx cx = ctx_new(e->cx->mem);
	Conns *conns = conns_new(&cx, e->home);
	ScopeRun *s;

	while ((s = next_scope(e, arg->cluster)))
		if (!skip(e, s))
			walk(e, conns, s);
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
		if (is_finished(s)) {
			s->result.scope = s->scope;
			continue;
		}
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

static void
run_tenants(Engine *e)
{
	Map *clusters = map_new(e->cx->mem);
	Lanes *lanes = lanes_new(e->cx->mem);

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (!scope_tenant(s->scope))
			continue;
		if (is_finished(s)) {
			s->result.scope = s->scope;
			continue;
		}
		if (map_get(clusters, s->cluster))
			continue;
		map_set(clusters, s->cluster, s);
		for (int64_t n = lanes_of(e, s->cluster); n > 0; n--) {
			LaneArg *arg = arena_alloc(e->cx->mem, sizeof *arg);
			*arg = (LaneArg){ .engine = e, .cluster = s->cluster };
			lane_spawn(lanes, lane_main, arg);
		}
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

static bool
finish(Engine *e, ExitCode code, const char *state, RunReport *out)
{
	*out = (RunReport){ .run = e->run, .exit = code };
	for (size_t i = 0; i < e->scopes.n; i++)
		vec_push(e->cx->mem, &out->scopes, e->scopes.at[i].result);
	drop_leases(e, e->scopes.n);
	log_live_end();
	return journal_run_end(e->cx, e->home, e->run, state, (int64_t)code) &&
	    journal_close_superseded(e->cx, e->home, e->run);
}

static bool
execute(Engine *e, RunReport *out)
{
	e->failed_clusters = map_new(e->cx->mem);
	run_groundwork(e);
	run_tenants(e);
	ExitCode code = exit_of(e);
	return finish(e, code, state_of(code), out);
}

/* --- a new run -------------------------------------------------------------- */

/* Unique for ever: a change made, taken back and made again is three steps on the target. */
static const char *
step_key(Ctx *cx, const Home *home, int64_t run, const Step *step)
{
	char *text = arena_printf(cx->mem, "%s/%lld/%lld/%s/%s/%s", home->id, (long long)run,
	    (long long)step->id, step->scope, step->kind, js_canonical(cx->mem, step->args));
	char *hex = sha256_hex(cx->mem, text, strlen(text));

	hex[32] = '\0';
	return hex;
}

static bool
add_steps(Engine *e, const RunPlan *plan, StepRows *rows)
{
	for (size_t i = 0; i < plan->steps->n; i++) {
		StepRow row = { .step = plan->steps->at[i], .state = STEP_WAITING };
		row.step.id = (int64_t)i + 1;
		row.step.key = step_key(e->cx, e->home, e->run, &row.step);
		vec_push(e->cx->mem, rows, row);
	}
	return true;
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
record_rows(Engine *e, const RunPlan *plan, const StepRows *rows)
{
	for (size_t i = 0; i < e->scopes.n; i++) {
		const char *tenant = scope_tenant(e->scopes.at[i].scope);
		if (!journal_supersede(e->cx, e->home, e->scopes.at[i].scope, e->run) ||
		    (tenant && !catalog_tenant_touch(e->cx, e->home, tenant, e->run)))
			return false;
	}
	for (size_t i = 0; i < rows->n; i++)
		if (!journal_step_add(e->cx, e->home, e->run, &rows->at[i].step))
			return false;
	for (size_t i = 0; i < plan->shapes.n; i++) {
		char *hash;
		if (!catalog_shape_put(e->cx, e->home, plan->shapes.at[i], &hash))
			return false;
	}
	return true;
}

static bool
record_run(Engine *e, const RunPlan *plan, const StepRows *rows)
{
	bool ok = lite_begin(e->cx, e->home->db) && check_unfinished(e) && check_seen(e, plan) &&
	    record_rows(e, plan, rows) && lite_commit(e->cx, e->home->db);

	if (!ok) {
		lite_rollback(e->home->db);
		drop_leases(e, e->scopes.n);
	}
	return ok;
}

bool
run_start(Ctx *cx, Home *home, const RunPlan *plan, RunReport *out)
{
	Engine e = { .cx = cx, .home = home };
	StepRows rows = {0};

	if (!journal_run_add(cx, home, plan->verb, &e.run))
		return false;
	if (!add_steps(&e, plan, &rows) || !group(&e, &rows) || !take_leases(&e) ||
	    !record_run(&e, plan, &rows)) {
		Ctx quiet = ctx_new(cx->mem);	/* the first failure is the one to tell of */
		journal_run_end(&quiet, home, e.run, "failed", (int64_t)fail_exit(cx->fail->kind));
		return false;
	}
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
	StepRows rows = {0};

	return run_get(e->cx, e->home, e->run, run) && run_steps(e->cx, e->home, e->run, &rows) &&
	    group(e, &rows);
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

bool
run_resume(Ctx *cx, Home *home, int64_t run, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;

	if (!open_run(&e, &row))
		return false;
	keep_open_scopes(&e);
	if (!e.scopes.n) {
		ExitCode code = row.exit_code < 0 ? EXIT_DONE : (ExitCode)row.exit_code;
		*out = (RunReport){ .run = run, .exit = EXIT_DONE };
		log_say("run %lld has nothing left to do", (long long)run);
		return strcmp(row.state, "running") != 0 ||
		    journal_run_end(cx, home, run, state_of(code), (int64_t)code);
	}
	if (!take_leases(&e))
		return false;
	for (size_t i = 0; i < e.scopes.n; i++)
		e.scopes.at[i].backward = is_backward(&e.scopes.at[i]);
	return execute(&e, out);
}

/* What was created in a run goes the other way: tenants first, then their groundwork. */
static void
undo_groundwork(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	Conns *conns = conns_new(&cx, e->home);

	for (size_t i = e->scopes.n; i-- > 0;)
		if (!scope_tenant(e->scopes.at[i].scope))
			walk(e, conns, &e->scopes.at[i]);
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

bool
run_undo(Ctx *cx, Home *home, int64_t run, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;

	if (!open_run(&e, &row))
		return false;
	keep_undoable_scopes(&e);
	if (!e.scopes.n)
		return fail(cx, FAIL_REFUSED, "Go forward: copyhold run resume, or change it with a new run.",
		    "run %lld has nothing that can be undone", (long long)run);
	if (!take_leases(&e))
		return false;
	e.failed_clusters = map_new(cx->mem);
	run_tenants(&e);
	undo_groundwork(&e);
	ExitCode code = exit_of(&e);
	if (code == EXIT_UNDONE)
		code = EXIT_DONE;
	return finish(&e, code, code == EXIT_DONE ? "undone" : state_of(code), out);
}

/* --- a person's decision ---------------------------------------------------- */

static bool
resolve_row(Engine *e, StepRow *row, ScopeRun *s, const char *as)
{
	const StepKind *kind = step_kind(row->step.kind);
	StepEnv env = { .home = e->home, .run = e->run, .step = &row->step };
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
	if (row->state == STEP_UNDO_FAILED && strcmp(as, "done") == 0)
		return (!kind->unrecord || kind->unrecord(e->cx, &env)) &&
		    journal_state(e->cx, e->home, e->run, row, STEP_UNDONE, "resolved by a person") &&
		    journal_event(e->cx, e->home, e->run, row, "resolved: undone");
	if (row->state == STEP_UNDO_FAILED && strcmp(as, "redo") == 0)
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
			    (*row)->state == STEP_FAILED || (*row)->state == STEP_INTENT)
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
	if (!take_leases(&e))
		return false;
	bool ok = lite_begin(cx, home->db) && resolve_row(&e, open, scope, as) &&
	    lite_commit(cx, home->db);
	if (!ok)
		lite_rollback(home->db);
	drop_leases(&e, 1);
	return ok;
}

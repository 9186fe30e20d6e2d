#include "lib/core/engine_intern.h"

#include <string.h>

#include "lib/adapters/map.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/journal.h"

#define LANES_MAX 16

typedef struct Queue { /* the tenants of one cluster; its lanes take from it */
	Engine *engine;
	const char *cluster;
	struct {
		ScopeRun **at;
		size_t n, cap;
	} scopes;
	size_t next;
} Queue;

/* --- scopes of a run -------------------------------------------------------- */

/* The cluster whose lane a scope runs in: named by a step's args, or the tenant's recorded one.  A
 * shared database is named by what is recorded of its tenants. */
static bool
scope_cluster(Engine *e, ScopeRun *s)
{
	const char *tenant = scope_tenant(s->scope);
	TenantRecord t;
	bool found = false;

	for (size_t i = 0; i < s->rows.n && !s->cluster; i++)
		s->cluster = js_get_text(s->rows.at[i]->step.args, "cluster");
	if (!scope_release(s->scope, e->cx->mem, &s->host))
		for (size_t i = 0; i < s->rows.n && !s->host; i++)
			s->host = js_get_text(s->rows.at[i]->step.args, "host");
	for (size_t i = 0; i < s->rows.n && tenant && !s->shared; i++)
		s->shared = js_get_text(s->rows.at[i]->step.args, "shared");
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

bool
engine_group(Engine *e)
{
	Map *index = map_new(e->cx->mem);

	if (!check_kinds(e))
		return false;
	for (size_t i = 0; i < e->rows.n; i++) {
		StepRow *row = &e->rows.at[i];
		size_t at = (size_t)map_get(index, row->step.scope);
		if (!at) {
			vec_push(e->cx->mem, &e->scopes,
			    ((ScopeRun){ .scope = row->step.scope, .run = e->run }));
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

bool
engine_is_finished(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state != STEP_DONE && s->rows.at[i]->state != STEP_UNDONE &&
		    s->rows.at[i]->state != STEP_ABANDONED)
			return false;
	return true;
}

void
engine_drop_leases(Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++)
		lease_drop(e->home, e->scopes.at[i].scope);
}

bool
engine_take_leases(Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++)
		if (!lease_take(
			e->cx, e->home, e->scopes.at[i].scope, e->run, &e->scopes.at[i].fence))
			return false;
	return true;
}

bool
engine_give_up(Engine *e)
{
	lite_rollback(e->home->db);
	engine_drop_leases(e);
	return false;
}

/* --- execution -------------------------------------------------------------- */

void
engine_tell(const Engine *e, const ScopeRun *s)
{
	static const struct {
		const char *role, *word;
	} words[] = {
		[SCOPE_DONE] = { "add", "done" },
		[SCOPE_FAILED] = { "error", "failed" },
		[SCOPE_UNDONE] = { "error", "failed and rolled back" },
		[SCOPE_UNREACHABLE] = { "error", "unreachable" },
		[SCOPE_STOPPED] = { "error", "stopped" },
		[SCOPE_PERSON] = { "error", "needs a person" },
	};
	Ctx cx = ctx_new(NULL);
	bool asked = s->result.outcome == SCOPE_UNDONE && !s->result.fail;

	log_say("%s%s%s %s in %s (%zu/%zu)", paint(words[s->result.outcome].role), s->scope,
	    paint("off"), asked ? "rolled back" : words[s->result.outcome].word,
	    clock_human(cx.mem, s->result.ms), e->ended, e->scopes.n);
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
	engine_tell(e, s);
}

/* After a signal nothing new is begun. */
static bool
is_stopped(Engine *e, ScopeRun *s)
{
	Ctx cx = { .mem = e->cx->mem };

	if (!lane_stopping())
		return false;
	cx.fail = arena_alloc(cx.mem, sizeof *cx.fail);
	fail(&cx, FAIL_STOPPED,
	    arena_printf(cx.mem, "Go on with: copyhold run resume %lld.", (long long)e->run),
	    "stopped by a signal before \"%s\" was begun", s->scope);
	s->result = (ScopeResult){ .scope = s->scope, .outcome = SCOPE_STOPPED, .fail = cx.fail };
	e->ended++;
	return true;
}

void
engine_walk(Engine *e, Conns *conns, ScopeRun *s)
{
	if (is_stopped(e, s))
		return;
	Ctx cx = ctx_new(e->cx->mem);
	scope_walk(&cx, e->home, conns, s, NULL);
	keep_result(e, s);
	arena_free(cx.mem);
}

typedef struct Last { /* the lane's scope before, whose end is not recorded yet */
	ScopeTail *tail;
	ScopeRun *s;
	Arena *mem;
} Last;

static void
end_last(Engine *e, Last *last)
{
	if (!last->tail)
		return;
	keep_result(e, last->s);
	arena_free(last->mem);
	*last = (Last){ 0 };
}

static void
walk_after(Engine *e, Conns *conns, ScopeRun *s, Last *last)
{
	if (is_stopped(e, s))
		return;
	Ctx cx = ctx_new(e->cx->mem);
	ScopeTail *tail = last->tail;
	scope_walk(&cx, e->home, conns, s, &tail);
	end_last(e, last);
	if (tail) {
		*last = (Last){ .tail = tail, .s = s, .mem = cx.mem };
		return;
	}
	keep_result(e, s);
	arena_free(cx.mem);
}

/* --- what scopes stand on ------------------------------------------------------ */

static const ScopeResult *
failed_ground(Engine *e, const ScopeRun *s, const char *kind, const char *name)
{
	const char *scope = name ? arena_printf(e->cx->mem, "%s/%s", kind, name) : NULL;

	return scope && strcmp(scope, s->scope) != 0 ? map_get(e->failed, scope) : NULL;
}

/* What a scope stands on and this run could not get ready. */
static const ScopeResult *
missing_ground(Engine *e, const ScopeRun *s)
{
	const struct {
		const char *kind, *name;
	} grounds[] = {
		{ "host", s->host },
		{ "cluster", s->cluster },
		{ "shared", s->shared },
		{ "tenant", scope_release(s->scope, e->cx->mem, NULL) },
	};
	const ScopeResult *r = NULL;

	for (size_t i = 0; i < LENGTH(grounds) && !r; i++)
		r = failed_ground(e, s, grounds[i].kind, grounds[i].name);
	return r;
}

static const char *
ground_name(Arena *mem, const char *scope)
{
	const char *slash = strchr(scope, '/');

	return scope_shared(scope)
	    ? arena_printf(mem, "shared database \"%s\"", scope_shared(scope))
	    : arena_printf(mem, "%.*s \"%s\"", (int)(slash - scope), scope, slash + 1);
}

static ScopeOutcome
outcome_without(const ScopeResult *ground, const ScopeRun *s, bool gone)
{
	if (ground->outcome == SCOPE_UNREACHABLE)
		return SCOPE_UNREACHABLE;
	if (!gone || scope_begun(s))
		return SCOPE_STOPPED;
	/* a release whose tenant was rolled back clean has left nothing, too */
	return scope_phase(s->scope) == PHASE_RELEASE ? ground->outcome : SCOPE_FAILED;
}

/* What stands on something that is not ready is not begun.  If that may still become so, the steps
 * wait for a resume. */
bool
engine_skip(Engine *e, ScopeRun *s)
{
	const ScopeResult *ground = map_count(e->failed) ? missing_ground(e, s) : NULL;
	Ctx cx;

	if (!ground || s->backward)
		return false;
	bool gone = ground->outcome == SCOPE_FAILED || ground->outcome == SCOPE_UNDONE;
	cx = (Ctx){ .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
	if (gone && !scope_begun(s))
		journal_abandon_waiting(&cx, e->home, e->run, s->scope);
	fail_clear(&cx);
	fail(&cx, ground->fail->kind, ground->fail->hint, "%s is not ready: %s",
	    ground_name(cx.mem, ground->scope), ground->fail->what);
	s->result = (ScopeResult){
		.scope = s->scope, .fail = cx.fail, .outcome = outcome_without(ground, s, gone)
	};
	e->ended++;
	engine_tell(e, s);
	return true;
}

/* Regions and models are the catalogue's alone: their failing is told, and nothing was put on them. */
void
engine_note(Engine *e, ScopeRun *s)
{
	static const char *const grounds[] = { "host/", "cluster/", "shared/", "tenant/" };

	for (size_t i = 0; s->result.outcome != SCOPE_DONE && i < LENGTH(grounds); i++)
		if (strncmp(s->scope, grounds[i], strlen(grounds[i])) == 0)
			map_set(e->failed, s->scope, &s->result);
}

static void
lane_main(void *ptr)
{
	Queue *q = ptr;
	Ctx cx = ctx_new(q->engine->cx->mem);
	Conns *conns = conns_new(&cx, q->engine->home);
	Last last = { 0 };

	while (q->next < q->scopes.n) {
		ScopeRun *s = q->scopes.at[q->next++];
		if (!engine_skip(q->engine, s))
			walk_after(q->engine, conns, s, &last);
	}
	if (last.tail)
		scope_settle(last.tail);
	end_last(q->engine, &last);
	arena_free(cx.mem);
}

/* Clusters, models and shared databases, one after the other: tenants build on them. */
static void
run_groundwork(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	Conns *conns = conns_new(&cx, e->home);

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (scope_phase(s->scope) != PHASE_GROUND || strncmp(s->scope, "host/", 5) == 0)
			continue;
		if (!engine_skip(e, s))
			engine_walk(e, conns, s);
		engine_note(e, s);
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

void
engine_run_tenants(Engine *e)
{
	Map *queues = map_new(e->cx->mem);
	Lanes *lanes = lanes_new(e->cx->mem);
	const MapItem *it;

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		if (!scope_tenant(s->scope) || s->stays)
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
	for (size_t i = 0; i < e->scopes.n; i++)
		if (scope_tenant(e->scopes.at[i].scope))
			engine_note(e, &e->scopes.at[i]);
}

/* --- the end ---------------------------------------------------------------- */

/* Several scopes: the first that applies of 6, 3, 1, 5, 4, 0. */
ExitCode
engine_exit_of(const Engine *e)
{
	static const struct {
		ScopeOutcome outcome;
		ExitCode code;
	} order[] = {
		{ SCOPE_PERSON, EXIT_PERSON },
		{ SCOPE_STOPPED, EXIT_STOPPED },
		{ SCOPE_FAILED, EXIT_FAILED },
		{ SCOPE_UNDONE, EXIT_UNDONE },
		{ SCOPE_UNREACHABLE, EXIT_UNREACHABLE },
	};

	for (size_t o = 0; o < LENGTH(order); o++)
		for (size_t i = 0; i < e->scopes.n; i++)
			if (e->scopes.at[i].result.outcome == order[o].outcome)
				return order[o].code;
	return EXIT_DONE;
}

const char *
engine_state_of(ExitCode code)
{
	switch (code) {
	case EXIT_DONE:
		return "done";
	case EXIT_PERSON:
		return "person";
	case EXIT_STOPPED:
	case EXIT_UNREACHABLE:
		return "stopped";
	case EXIT_UNDONE:
		return "undone";
	case EXIT_FAILED:
	case EXIT_CHANGES:
	case EXIT_LEASED:
	case EXIT_USAGE:
		break;
	}
	return "failed";
}

ExitCode
engine_closed_as(const StepRows *rows)
{
	bool undone = false, abandoned = !rows->n;

	for (size_t i = 0; i < rows->n; i++) {
		undone = undone || rows->at[i].state == STEP_UNDONE;
		abandoned = abandoned || rows->at[i].state == STEP_ABANDONED;
	}
	return undone ? EXIT_UNDONE : abandoned ? EXIT_FAILED : EXIT_DONE;
}

void
engine_finish(Engine *e, ExitCode code, ExitCode recorded, RunReport *out)
{
	Ctx cx = ctx_new(e->cx->mem);

	log_live_end();
	fault_point("run:walked");
	if (!journal_run_end(&cx, e->home, e->run, engine_state_of(recorded), (int64_t)recorded) ||
	    !journal_close_superseded(&cx, e->home, e->run)) {
		log_raw(fail_text(cx.mem, cx.fail));
		code = code == EXIT_DONE ? EXIT_STOPPED : code;
	}
	*out = (RunReport){ .run = e->run, .exit = code };
	for (size_t i = 0; i < e->scopes.n; i++)
		vec_push(e->cx->mem, &out->scopes, e->scopes.at[i].result);
	engine_drop_leases(e);
	arena_free(cx.mem);
}

bool
engine_execute(Engine *e, RunReport *out)
{
	engine_run_hosts(e);
	run_groundwork(e);
	engine_run_tenants(e);
	engine_run_releases(e);
	ExitCode code = engine_exit_of(e);
	engine_finish(e, code, code == EXIT_DONE ? engine_closed_as(&e->rows) : code, out);
	return true;
}

/* --- a new run -------------------------------------------------------------- */

/* Unique for ever: a change made, taken back and made again is three steps on the target, and a home
 * restored from a backup counts its runs anew: the nonce, made once a run, keeps them apart. */
static const char *
step_key(Arena *mem, const char *nonce, const Step *step)
{
	Arena *scratch = arena_new(mem);
	char *text = arena_printf(scratch, "%s/%lld/%s/%s/%s", nonce, (long long)step->id,
	    step->scope, step->kind, js_canonical(scratch, step->args));
	char *key = arena_dupn(mem, sha256_hex(scratch, text, strlen(text)), 32);

	arena_free(scratch);
	return key;
}

static void
add_steps(Engine *e, const RunPlan *plan)
{
	const char *nonce = random_uuid(e->cx->mem);

	for (size_t i = 0; i < plan->steps->n; i++) {
		StepRow row = { .step = plan->steps->at[i], .state = STEP_WAITING };
		row.step.id = (int64_t)i + 1;
		row.step.key = step_key(e->cx->mem, nonce, &row.step);
		vec_push(e->cx->mem, &e->rows, row);
	}
}

/* The run that touched it last; 0: it is not recorded. */
static bool
changed_run(Ctx *cx, Home *home, const Seen *seen, int64_t *run)
{
	TenantRecord t;
	SharedRecord s;
	bool found;

	if (seen->shared ? !catalog_shared_find(cx, home, seen->name, &s, &found)
			 : !catalog_tenant_find(cx, home, seen->name, &t, &found))
		return false;
	*run = !found ? 0 : seen->shared ? s.changed_run : t.changed_run;
	return true;
}

static bool
check_seen(Engine *e, const RunPlan *plan)
{
	Ctx cx = ctx_new(e->cx->mem);
	bool ok = true;

	for (size_t i = 0; ok && i < plan->seen.n; i++) {
		const Seen *seen = &plan->seen.at[i];
		int64_t run;
		ok = changed_run(&cx, e->home, seen, &run);
		if (ok && run != seen->changed_run)
			ok = fail(&cx, FAIL_PLAN_STALE, "Make the plan again.",
			    "%s \"%s\" was changed by run %lld since the plan was made",
			    seen->shared ? "shared database" : "tenant", seen->name,
			    (long long)run);
	}
	if (!ok)
		fail_copy(e->cx, &cx);
	arena_free(cx.mem);
	return ok;
}

/* What is recorded of a tenant of a shared database rests on the model of its common views, so a run
 * that has yet to record one and a run that may move the model do not go together. */
static bool
check_ground(Engine *e, const char *shared, bool moves)
{
	const char *open = arena_printf(e->cx->mem, "shared/%s", shared);
	int64_t other;

	if (moves ? !journal_open_tenant(e->cx, e->home, shared, e->run, &other, &open)
		  : !journal_open(e->cx, e->home, open, e->run, &other))
		return false;
	if (!other)
		return true;
	return fail(e->cx, FAIL_REFUSED,
	    arena_printf(e->cx->mem,
		"Finish it: copyhold run resume %lld, or take it back: copyhold run undo %lld.",
		(long long)other, (long long)other),
	    "run %lld has not finished with \"%s\", and this one would change %s \"%s\"",
	    (long long)other, open, moves ? "shared database" : "tenants of shared database",
	    shared);
}

bool
engine_check_ground(Engine *e)
{
	Map *checked = map_new(e->cx->mem);

	for (size_t i = 0; i < e->scopes.n; i++) {
		const ScopeRun *s = &e->scopes.at[i];
		const char *moved = scope_shared(s->scope), *of = moved ? moved : s->shared;
		if (!of || (!moved && map_get(checked, of)))
			continue;
		map_set(checked, of, (void *)(uintptr_t)of);
		if (!check_ground(e, of, moved != NULL))
			return false;
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
			return fail(e->cx, FAIL_REFUSED,
			    arena_printf(e->cx->mem,
				"Finish it: copyhold run resume %lld, or take it back: "
				"copyhold run undo %lld.",
				(long long)other, (long long)other),
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
		const char *scope = e->scopes.at[i].scope;
		const char *tenant = scope_tenant(scope), *shared = scope_shared(scope);
		if (!journal_supersede(e->cx, e->home, scope, e->run) ||
		    (tenant && !catalog_tenant_touch(e->cx, e->home, tenant, e->run)) ||
		    (shared && !catalog_shared_touch(e->cx, e->home, shared, e->run)))
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
	Engine e = { .cx = cx, .home = home, .failed = map_new(cx->mem) };

	if (!lite_begin(cx, home->db))
		return false;
	if (!journal_run_add(cx, home, plan->verb, &e.run))
		return engine_give_up(&e);
	add_steps(&e, plan);
	if (!engine_group(&e) || !engine_take_leases(&e) || !check_unfinished(&e) ||
	    !check_seen(&e, plan) || !record_run(&e, plan) || !engine_check_ground(&e) ||
	    !lite_commit(cx, home->db))
		return engine_give_up(&e);
	fault_point("run:recorded");
	return engine_execute(&e, out);
}

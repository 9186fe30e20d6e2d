/* Runs that are there already: resumed, undone, resolved by a person. */
#include <string.h>

#include "lib/base/log.h"
#include "lib/core/engine_intern.h"
#include "lib/core/host.h"
#include "lib/core/journal.h"

/* --- an old run ------------------------------------------------------------- */

static void
keep_open_scopes(Engine *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->scopes.n; i++)
		if (!engine_is_finished(&e->scopes.at[i]))
			e->scopes.at[n++] = e->scopes.at[i];
	e->scopes.n = n;
}

static bool
open_run(Engine *e, RunRow *run)
{
	e->failed = map_new(e->cx->mem);
	return run_get(e->cx, e->home, e->run, run) &&
	    run_steps(e->cx, e->home, e->run, &e->rows) && engine_group(e);
}

/* What was read before the leases were ours must still be so. */
static bool
check_unmoved(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	StepRows now = { 0 };
	bool ok = run_steps(&cx, e->home, e->run, &now);

	for (size_t i = 0; ok && i < e->rows.n; i++)
		if (i >= now.n || now.at[i].state != e->rows.at[i].state)
			ok = fail(&cx, FAIL_REFUSED,
			    arena_printf(cx.mem, "See: copyhold run show %lld.", (long long)e->run),
			    "run %lld was continued by another process just now",
			    (long long)e->run);
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
	if (!engine_take_leases(e) || !check_unmoved(e) || !also(e) ||
	    !lite_commit(e->cx, e->home->db))
		return engine_give_up(e);
	return true;
}

static bool
set_running(Engine *e)
{
	return journal_run_again(e->cx, e->home, e->run);
}

static bool
is_host(const ScopeRun *s)
{
	return strncmp(s->scope, "host/", 5) == 0;
}

static bool
is_ground(const char *scope)
{
	return scope_shared(scope) || strncmp(scope, "cluster/", 8) == 0 ||
	    strncmp(scope, "host/", 5) == 0;
}

/* A cluster or shared database that this run had to give back is not there for its tenants. */
static void
note_lost_ground(Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++) {
		const ScopeRun *s = &e->scopes.at[i];
		if (!is_ground(s->scope) || !engine_is_finished(s) ||
		    s->rows.at[0]->state != STEP_UNDONE)
			continue;
		ScopeResult *lost = arena_alloc(e->cx->mem, sizeof *lost);
		Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
		fail(&cx, FAIL_REFUSED, "Apply the manifests anew.", "its steps were rolled back");
		*lost = (ScopeResult){
			.scope = s->scope, .outcome = SCOPE_UNDONE, .fail = cx.fail
		};
		map_set(e->failed, s->scope, lost);
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
	ExitCode code = engine_closed_as(&e->rows);

	*out = (RunReport){ .run = e->run, .exit = EXIT_DONE };
	if (strcmp(row->state, "running") != 0 && strcmp(row->state, "stopped") != 0 &&
	    strcmp(row->state, "person") != 0)
		return true;
	return journal_run_end(e->cx, e->home, e->run, engine_state_of(code), (int64_t)code);
}

bool
run_resume(Ctx *cx, Home *home, int64_t run, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;

	if (!open_run(&e, &row))
		return false;
	note_lost_ground(&e);
	keep_open_scopes(&e);
	if (!e.scopes.n)
		return close_run(&e, &row, out);
	if (!hold_run(&e, set_running))
		return false;
	for (size_t i = 0; i < e.scopes.n; i++)
		e.scopes.at[i].backward = is_backward(&e.scopes.at[i]);
	return engine_execute(&e, out);
}

static bool
is_made_by(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++) {
		const Step *step = &s->rows.at[i]->step;
		if (strcmp(step->kind, "shared.register") == 0 ||
		    (strcmp(step->kind, "object.put") == 0 && !js_get_text(step->args, "was")))
			return true;
	}
	return false;
}

static bool
tenants_of(Ctx *cx, Home *home, const char *scope, int64_t *n)
{
	const char *shared = scope_shared(scope);
	SharedRecord s = { 0 };
	bool found;

	if (!shared)
		return catalog_tenants_on(cx, home, scope + 8, n);
	if (!catalog_shared_find(cx, home, shared, &s, &found) ||
	    (found && !catalog_shared(cx, home, shared, &s)))
		return false;
	*n = s.tenants;
	return true;
}

static bool
stays_for(Ctx *cx, ScopeRun *s, const char *thing, const char *what)
{
	fail(cx, FAIL_REFUSED, "Delete or undo them first.", "%s has %s", thing, what);
	s->result = (ScopeResult){ .scope = s->scope, .outcome = SCOPE_FAILED, .fail = cx->fail };
	return true;
}

static bool
host_in_use(Engine *e, Ctx *cx, ScopeRun *s)
{
	Names users = { 0 };

	if (host_users(cx, e->home, NULL, s->scope + 5, &users) && !users.n)
		return false;
	return stays_for(cx, s, arena_printf(cx->mem, "host \"%s\"", s->scope + 5),
	    users.n ? arena_printf(cx->mem, "\"%s\"", users.at[0])
		    : "users that could not be read");
}

static bool
ground_in_use(Engine *e, Ctx *cx, ScopeRun *s)
{
	const char *shared = scope_shared(s->scope);
	int64_t n = 0;

	if (tenants_of(cx, e->home, s->scope, &n) && !n)
		return false;
	return stays_for(cx, s,
	    arena_printf(cx->mem, "%s \"%s\"", shared ? "shared database" : "cluster",
		shared ? shared : s->scope + 8),
	    arena_printf(cx->mem, "%lld tenant%s", (long long)n, n == 1 ? "" : "s"));
}

/* What a run made stays while something of whatever run stands on it. */
static bool
is_in_use(Engine *e, ScopeRun *s)
{
	Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };

	if (!is_ground(s->scope) || !is_made_by(s) ||
	    !(is_host(s) ? host_in_use(e, &cx, s) : ground_in_use(e, &cx, s)))
		return false;
	e->ended++;
	engine_tell(e, s);
	return true;
}

/* Of a host that stays: every plan looks anew at what is missing there.  One that is gone for ever, or
 * whose address was wrong, would keep its run open otherwise. */
static bool
close_open(Engine *e, Ctx *cx, ScopeRun *s)
{
	static const char why[] = "given up: the host stays";

	if (!lite_begin(cx, e->home->db))
		return false;
	for (size_t i = 0; i < s->rows.n; i++) {
		StepRow *row = s->rows.at[i];
		if (row->state == STEP_DONE || row->state == STEP_UNDONE ||
		    row->state == STEP_ABANDONED)
			continue;
		if (!journal_state(cx, e->home, e->run, row, STEP_ABANDONED, why) ||
		    !journal_event(cx, e->home, e->run, row, why)) {
			lite_rollback(e->home->db);
			return false;
		}
	}
	return lite_commit(cx, e->home->db);
}

static void
leave_host(Engine *e, ScopeRun *s)
{
	Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };
	bool closed = close_open(e, &cx, s);

	if (closed && s->result.scope) /* told as being in use */
		return;
	s->result = (ScopeResult){ .scope = s->scope,
		.outcome = closed ? SCOPE_UNDONE : SCOPE_STOPPED,
		.fail = closed ? NULL : cx.fail };
	e->ended++;
	engine_tell(e, s);
}

/* Tenants of releases that are past their pivot, or may be. */
static Map *
released(Engine *e, bool (*past)(const ScopeRun *s))
{
	Map *tenants = map_new(e->cx->mem);

	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		const char *tenant = scope_release(s->scope, e->cx->mem, NULL);
		if (tenant && past(s))
			map_set(tenants, tenant, s);
	}
	return tenants;
}

static bool
is_released(const Map *tenants, const ScopeRun *s)
{
	const char *tenant = scope_tenant(s->scope);

	return tenant && map_get(tenants, tenant);
}

/* Its step without a way back has taken effect, or nobody can tell: it may only go forward. */
static bool
goes_forward(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++) {
		StepState state = s->rows.at[i]->state;
		if (step_kind(s->rows.at[i]->step.kind)->pivot &&
		    (state == STEP_DONE || state == STEP_INTENT || state == STEP_UNKNOWN))
			return true;
	}
	return false;
}

/* So what it stands on waits for a resume with it. */
static void
hold(Engine *e, ScopeRun *s, const ScopeRun *upon)
{
	Ctx cx = { .mem = e->cx->mem, .fail = arena_alloc(e->cx->mem, sizeof(Fail)) };

	fail(&cx, FAIL_REFUSED,
	    arena_printf(cx.mem, "Go forward: copyhold run resume %lld.", (long long)e->run),
	    "it is not taken back from under \"%s\"", upon->scope);
	s->stays = true;
	s->result = (ScopeResult){ .scope = s->scope, .outcome = SCOPE_STOPPED, .fail = cx.fail };
	if (upon->result.outcome == SCOPE_UNREACHABLE)
		s->result.outcome = SCOPE_UNREACHABLE;
	e->ended++;
	engine_tell(e, s);
}

static void
undo_tenants(Engine *e)
{
	Map *kept = released(e, goes_forward);

	for (size_t i = 0; i < e->scopes.n; i++)
		if (is_released(kept, &e->scopes.at[i]))
			hold(e, &e->scopes.at[i],
			    map_get(kept, scope_tenant(e->scopes.at[i].scope)));
	engine_run_tenants(e);
}

static const ScopeRun *
first_forward(const Engine *e)
{
	for (size_t i = 0; i < e->scopes.n; i++)
		if (scope_phase(e->scopes.at[i].scope) != PHASE_GROUND &&
		    goes_forward(&e->scopes.at[i]))
			return &e->scopes.at[i];
	return NULL;
}

/* What was created in a run goes the other way: tenants first, then their groundwork. */
static void
undo_groundwork(Engine *e)
{
	Ctx cx = ctx_new(e->cx->mem);
	Conns *conns = conns_new(&cx, e->home);
	const ScopeRun *forward = first_forward(e);

	for (size_t i = e->scopes.n; i-- > 0;) {
		ScopeRun *s = &e->scopes.at[i];
		if (scope_phase(s->scope) != PHASE_GROUND)
			continue;
		if (forward)
			hold(e, s, forward);
		else if (!s->stays && !is_in_use(e, s))
			engine_walk(e, conns, s);
		else if (is_host(s))
			leave_host(e, s);
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

/* What tenants past their pivot stand on (their cluster, their model) stays with them, and what is
 * recorded of a tenant with its release. */
static void
keep_undoable_scopes(Engine *e)
{
	Map *kept = released(e, scope_past_pivot);
	size_t n = 0;
	bool stays = false;

	for (size_t i = 0; i < e->scopes.n; i++)
		if (scope_past_pivot(&e->scopes.at[i])) {
			log_say("%s is past its pivot and is left as it is", e->scopes.at[i].scope);
			stays = true;
		}
	for (size_t i = 0; i < e->scopes.n; i++) {
		ScopeRun *s = &e->scopes.at[i];
		s->stays = stays && scope_phase(s->scope) == PHASE_GROUND;
		if (scope_past_pivot(s) || is_released(kept, s) ||
		    (s->stays && (!is_host(s) || engine_is_finished(s))))
			continue;
		s->backward = !s->stays;
		if (has_undoable(s) || !engine_is_finished(s))
			e->scopes.at[n++] = *s;
	}
	e->scopes.n = n;
}

/* An older change is not taken back from under a newer one; what later runs have recorded of a shared
 * database's tenants rests on it, too. */
static bool
set_returning(Engine *e)
{
	int64_t later;

	for (size_t i = 0; i < e->scopes.n; i++) {
		const char *scope = e->scopes.at[i].scope, *shared = scope_shared(scope);
		if (!journal_later(e->cx, e->home, scope, e->run, &later) ||
		    (!later && shared &&
			!journal_later_tenant(e->cx, e->home, shared, e->run, &later)))
			return false;
		if (later)
			return fail(e->cx, FAIL_REFUSED,
			    arena_printf(e->cx->mem, "Undo that one first: copyhold run undo %lld.",
				(long long)later),
			    "run %lld has changed \"%s\" since", (long long)later, scope);
	}
	return engine_check_ground(e) && set_running(e);
}

bool
run_undo(Ctx *cx, Home *home, int64_t run, RunReport *out)
{
	Engine e = { .cx = cx, .home = home, .run = run };
	RunRow row;

	if (!open_run(&e, &row))
		return false;
	keep_undoable_scopes(&e);
	if (!e.scopes.n && strcmp(row.state, "running") == 0 &&
	    engine_closed_as(&e.rows) == EXIT_UNDONE)
		return close_run(&e, &row, out); /* killed when all was taken back */
	if (!e.scopes.n)
		return fail(cx, FAIL_REFUSED,
		    "Go forward: copyhold run resume, or change it with a new run.",
		    "run %lld has nothing that can be undone", (long long)run);
	if (!hold_run(&e, set_returning))
		return false;
	engine_run_releases(&e);
	undo_tenants(&e);
	undo_groundwork(&e);
	ExitCode code = engine_exit_of(&e);
	engine_finish(&e, code == EXIT_UNDONE ? EXIT_DONE : code,
	    code == EXIT_DONE ? EXIT_UNDONE : code, out);
	return true;
}

/* --- a person's decision ---------------------------------------------------- */

static bool
resolve_row(Engine *e, StepRow *row, ScopeRun *s, const char *as)
{
	const StepKind *kind = step_kind(row->step.kind);
	StepEnv env = { .home = e->home, .run = e->run, .fence = s->fence, .step = &row->step };
	bool undoing = row->state == STEP_UNDO_FAILED || row->state == STEP_UNDOING;

	if (!scope_place(e->cx, e->home, s, &env) ||
	    !scope_place_step(e->cx, e->home, &row->step, &env))
		return false;
	if (undoing && strcmp(as, "done") == 0)
		return (!kind->unrecord || kind->unrecord(e->cx, &env)) &&
		    journal_state(
			e->cx, e->home, e->run, row, STEP_UNDONE, "resolved by a person") &&
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
	return journal_state(
		   e->cx, e->home, e->run, row, STEP_ABANDONED, "abandoned by a person") &&
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
	if (!engine_take_leases(&e) || !check_unmoved(&e) ||
	    !resolve_row(&e, open, &e.scopes.at[0], as) || !lite_commit(cx, home->db))
		return engine_give_up(&e);
	engine_drop_leases(&e);
	return true;
}

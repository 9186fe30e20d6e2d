#include "lib/core/scope.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/journal.h"

#define ATTEMPTS 3		/* of a step whose effect is known to be missing */

typedef struct Walk {
	Ctx		*cx;
	Home		*home;
	Conns		*conns;
	ScopeRun	*s;
	StepEnv		 env;
} Walk;

static bool
is_transient(FailKind kind)
{
	return kind == FAIL_UNREACHABLE || kind == FAIL_TIMEOUT;
}

bool
scope_past_pivot(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state == STEP_DONE &&
		    step_kind(s->rows.at[i]->step.kind)->pivot)
			return true;
	return false;
}

static bool
any_done(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state != STEP_WAITING && s->rows.at[i]->state != STEP_ABANDONED)
			return true;
	return false;
}

static void
end_as(Walk *w, ScopeOutcome outcome)
{
	w->s->result.outcome = outcome;
	if (outcome != SCOPE_DONE && !w->s->result.fail && w->cx->fail->kind != FAIL_NONE) {
		w->s->result.fail = arena_alloc(w->cx->mem, sizeof(Fail));
		*w->s->result.fail = *w->cx->fail;
	}
}

/* A cluster is recorded by the first step of its own scope. */
static bool
load_cluster(Walk *w, const char *name)
{
	char *spec, *hash;
	Cluster *cluster;

	w->env.cluster = NULL;
	if (!catalog_object(w->cx, w->home, "Cluster", name, &spec, &hash))
		return false;
	if (!spec)
		return true;
	if (!catalog_cluster(w->cx, w->home, name, &cluster))
		return false;
	w->env.cluster = cluster;
	return true;
}

/* The tenant's place as the catalogue has it now; a tenant that is not yet recorded has none. */
static bool
load_place(Walk *w)
{
	const char *tenant = scope_tenant(w->s->scope);
	TenantRecord t;
	Placement *at;
	bool found = false;

	w->env.at = NULL;
	if (strncmp(w->s->scope, "cluster/", 8) == 0)
		return load_cluster(w, w->s->scope + 8);
	if (!tenant)
		return true;
	if (!catalog_tenant_find(w->cx, w->home, tenant, &t, &found))
		return false;
	if (!found)
		return true;
	if (!catalog_placement_of(w->cx, w->home, &t, &at))
		return false;
	w->env.at = at;
	w->env.cluster = at->cluster;
	return true;
}

static const StepKind *
set_step(Walk *w, StepRow *row)
{
	w->env.step = &row->step;
	w->env.why = NULL;
	return step_kind(row->step.kind);
}

static void
mark(const char *kind, const char *when)
{
	char name[96];

	snprintf(name, sizeof name, "%s:%s", kind, when);
	fault_point(name);
}

/* One catalogue transaction: the outcome of `done`, and the intent of `next`. */
static bool
commit_rows(Walk *w, StepRow *done, StepRow *next)
{
	bool ok = lite_begin(w->cx, w->home->db);

	if (ok && done) {
		const StepKind *kind = set_step(w, done);
		ok = (!kind->record || kind->record(w->cx, &w->env)) &&
		    journal_state(w->cx, w->home, w->s->run, done, STEP_DONE, NULL) &&
		    journal_event(w->cx, w->home, w->s->run, done, "ok") &&
		    catalog_serial_bump(w->cx, w->home);
	}
	if (ok && next)
		ok = journal_intent(w->cx, w->home, w->s->run, next);
	ok = ok && lite_commit(w->cx, w->home->db);
	if (!ok) {
		lite_rollback(w->home->db);
		return false;
	}
	return !done || load_place(w);
}

static bool
commit_state(Walk *w, StepRow *row, StepState state, const char *error)
{
	bool ok = lite_begin(w->cx, w->home->db) &&
	    journal_state(w->cx, w->home, w->s->run, row, state, error) &&
	    (state == STEP_UNDOING || journal_event(w->cx, w->home, w->s->run, row,
	    state == STEP_UNDONE ? "undone" : error ? error : step_state_name(state))) &&
	    lite_commit(w->cx, w->home->db);

	if (!ok)
		lite_rollback(w->home->db);
	return ok;
}

/* --- forward ---------------------------------------------------------------- */

static bool
guards(Walk *w)
{
	for (size_t i = 0; i < w->s->rows.n; i++) {
		const StepKind *kind = set_step(w, w->s->rows.at[i]);
		if (kind->guard && !kind->guard(w->cx, &w->env))
			return fail_in(w->cx, "checking before \"%s\"", w->env.step->title);
	}
	return true;
}

typedef enum Looked { LOOKED_DONE, LOOKED_NOT_DONE, LOOKED_UNKNOWN, LOOKED_BLIND } Looked;

/* Did a step whose outcome we do not know take effect?  BLIND: we cannot even look. */
static Looked
look(Walk *w, StepRow *row)
{
	const StepKind *kind = set_step(w, row);
	Probe probe;

	if (!kind->act)
		return LOOKED_NOT_DONE;		/* catalogue-only: no outcome row, no effect */
	if (!kind->probe(w->cx, &w->env, &probe)) {
		fail_in(w->cx, "looking whether \"%s\" took effect", row->step.title);
		return LOOKED_BLIND;
	}
	mark(row->step.kind, "probed");
	if (probe == PROBE_UNDECIDABLE) {
		fail(w->cx, FAIL_UNDECIDABLE, arena_printf(w->cx->mem,
		    "Look at the target, then: copyhold run resolve %lld.%lld --as done|redo|abandon.",
		    (long long)w->s->run, (long long)row->step.id), "%s: %s", row->step.title,
		    w->env.why ? w->env.why : "whether it took effect cannot be told");
		return LOOKED_UNKNOWN;
	}
	return probe == PROBE_DONE ? LOOKED_DONE : LOOKED_NOT_DONE;
}

static bool
act_once(Walk *w, StepRow *row)
{
	const StepKind *kind = set_step(w, row);

	log_live("%s: %s", w->s->scope, row->step.title);
	if (!kind->act)
		return true;
	return kind->act(w->cx, &w->env) || fail_in(w->cx, "%s", row->step.title);
}

/* Acts until the effect is there, known to be missing, or not to be seen.  After a lost connection
 * or a deadline the effect is looked for before anything is tried again. */
static Looked
act_surely(Walk *w, StepRow *row)
{
	Looked seen = LOOKED_NOT_DONE;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (attempt) {
			log_note("%s: again: %s", w->s->scope, row->step.title);
			lane_sleep(backoff_ms(attempt, 100, 2000));
			fail_clear(w->cx);
		}
		if (act_once(w, row)) {
			mark(row->step.kind, "acted");
			return LOOKED_DONE;
		}
		if (!is_transient(w->cx->fail->kind))
			return LOOKED_NOT_DONE;
		Fail why = *w->cx->fail;
		if (w->env.at)
			conns_drop(w->conns, w->env.at->cluster, NULL);
		if (w->env.at)
			conns_drop(w->conns, w->env.at->cluster, w->env.at->dbname);
		fail_clear(w->cx);
		seen = look(w, row);
		if (seen == LOOKED_DONE || seen == LOOKED_UNKNOWN)
			return seen;
		if (seen == LOOKED_NOT_DONE)
			*w->cx->fail = why;
	}
	return seen;
}

static const char *
error_name(Walk *w)
{
	return arena_printf(w->cx->mem, "%s: %s", fail_name(w->cx->fail->kind), w->cx->fail->what);
}

static StepRow *
next_row(ScopeRun *s, size_t i)
{
	for (; i < s->rows.n; i++)
		if (s->rows.at[i]->state != STEP_DONE && s->rows.at[i]->state != STEP_ABANDONED)
			return s->rows.at[i];
	return NULL;
}

/* Before anything new: steps that a killed or cut-off holder left open are looked at. */
static bool
settle(Walk *w)
{
	for (size_t i = 0; i < w->s->rows.n; i++) {
		StepRow *row = w->s->rows.at[i];
		if (row->state != STEP_INTENT && row->state != STEP_UNKNOWN)
			continue;
		switch (look(w, row)) {
		case LOOKED_DONE:
			if (!commit_rows(w, row, NULL))
				return false;
			break;
		case LOOKED_NOT_DONE:
			if (!commit_state(w, row, STEP_WAITING, NULL))
				return false;
			break;
		case LOOKED_UNKNOWN:
		case LOOKED_BLIND:
			commit_state(w, row, STEP_UNKNOWN, error_name(w));
			return false;
		}
	}
	return true;
}

/* What a failed step means for its scope, before any undo is tried. */
static ScopeOutcome
forward_ends(Walk *w, StepRow *row, Looked seen)
{
	if (w->cx->fail->kind == FAIL_FENCED) {	/* a newer holder has it: nothing more is ours */
		commit_state(w, row, STEP_UNKNOWN, error_name(w));
		return SCOPE_PERSON;
	}
	if (seen == LOOKED_UNKNOWN) {
		commit_state(w, row, STEP_UNKNOWN, error_name(w));
		return SCOPE_PERSON;
	}
	if (seen == LOOKED_BLIND) {
		commit_state(w, row, STEP_UNKNOWN, error_name(w));
		return SCOPE_UNREACHABLE;
	}
	commit_state(w, row, STEP_FAILED, error_name(w));
	return scope_past_pivot(w->s) ? SCOPE_STOPPED : SCOPE_UNDONE;
}

/* Returns SCOPE_UNDONE when the steps done so far are to be undone. */
static ScopeOutcome
forward(Walk *w)
{
	ScopeRun *s = w->s;
	StepRow *row = next_row(s, 0), *before = NULL;

	while (row) {
		const StepKind *kind = step_kind(row->step.kind);
		if (lane_stopping()) {
			if (before && !commit_rows(w, before, NULL))
				return SCOPE_STOPPED;
			fail(w->cx, FAIL_STOPPED, arena_printf(w->cx->mem,
			    "Go on with: copyhold run resume %lld.", (long long)s->run),
			    "stopped by a signal before \"%s\"", row->step.title);
			return SCOPE_STOPPED;
		}
		if (!commit_rows(w, before, kind->act ? row : NULL))
			return SCOPE_STOPPED;
		if (before)
			mark(before->step.kind, "done");
		before = NULL;
		if (kind->act)
			mark(row->step.kind, "intent");
		Looked seen = act_surely(w, row);
		if (seen != LOOKED_DONE)
			return forward_ends(w, row, seen);
		before = row;
		row->state = STEP_DONE;
		row = next_row(s, 0);
	}
	if (before && !commit_rows(w, before, NULL))
		return SCOPE_STOPPED;
	if (before)
		mark(before->step.kind, "done");
	return SCOPE_DONE;
}

/* --- back ------------------------------------------------------------------- */

static bool
undo_surely(Walk *w, StepRow *row)
{
	const StepKind *kind = set_step(w, row);

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (attempt)
			lane_sleep(backoff_ms(attempt, 100, 2000));
		fail_clear(w->cx);
		if (!kind->undo || kind->undo(w->cx, &w->env))
			return true;
		if (!is_transient(w->cx->fail->kind))
			break;
		if (w->env.at)
			conns_drop(w->conns, w->env.at->cluster, NULL);
	}
	return fail_in(w->cx, "undoing \"%s\"", row->step.title);
}

static bool
commit_undone(Walk *w, StepRow *row)
{
	const StepKind *kind = set_step(w, row);
	bool ok = lite_begin(w->cx, w->home->db) &&
	    (!kind->unrecord || kind->unrecord(w->cx, &w->env)) &&
	    journal_state(w->cx, w->home, w->s->run, row, STEP_UNDONE, NULL) &&
	    journal_event(w->cx, w->home, w->s->run, row, "undone") &&
	    catalog_serial_bump(w->cx, w->home) && lite_commit(w->cx, w->home->db);

	if (!ok)
		lite_rollback(w->home->db);
	return ok && load_place(w);
}

static bool
to_be_undone(const StepRow *row)
{
	switch (row->state) {
	case STEP_INTENT: case STEP_DONE: case STEP_FAILED: case STEP_UNKNOWN:
	case STEP_UNDOING: case STEP_UNDO_FAILED:
		return true;
	case STEP_WAITING: case STEP_UNDONE: case STEP_ABANDONED:
		return false;
	}
	return false;
}

static ScopeOutcome
backward(Walk *w)
{
	ScopeRun *s = w->s;

	for (size_t i = s->rows.n; i-- > 0;) {
		StepRow *row = s->rows.at[i];
		if (!to_be_undone(row))
			continue;
		log_live("%s: undo: %s", s->scope, row->step.title);
		if (!commit_state(w, row, STEP_UNDOING, NULL))
			return SCOPE_STOPPED;
		mark(row->step.kind, "undoing");
		if (!undo_surely(w, row)) {
			if (is_transient(w->cx->fail->kind))
				return SCOPE_UNREACHABLE;
			commit_state(w, row, STEP_UNDO_FAILED, error_name(w));
			return SCOPE_PERSON;
		}
		mark(row->step.kind, "reverted");
		if (!commit_undone(w, row))
			return SCOPE_STOPPED;
		mark(row->step.kind, "undone");
	}
	if (!journal_abandon_waiting(w->cx, w->home, s->run, s->scope))
		return SCOPE_STOPPED;
	return SCOPE_UNDONE;
}

/* The failure that began the undo is the one to tell of, unless the undo fails too. */
static void
undo_after(Walk *w)
{
	Fail *why = arena_alloc(w->cx->mem, sizeof *why);
	bool had_done = false;

	*why = *w->cx->fail;
	for (size_t i = 0; i < w->s->rows.n; i++)
		had_done = had_done || w->s->rows.at[i]->state == STEP_DONE;
	ScopeOutcome ended = backward(w);
	if (ended == SCOPE_UNDONE)
		w->s->result.fail = why;
	end_as(w, ended == SCOPE_UNDONE && !had_done ? SCOPE_FAILED : ended);
}

static void
walk_forward(Walk *w)
{
	bool fresh = !any_done(w->s);

	if (!load_place(w) || !settle(w)) {
		end_as(w, w->cx->fail->kind == FAIL_UNDECIDABLE ? SCOPE_PERSON :
		    is_transient(w->cx->fail->kind) ? SCOPE_UNREACHABLE : SCOPE_STOPPED);
		return;
	}
	if (fresh && !guards(w)) {
		journal_abandon_waiting(w->cx, w->home, w->s->run, w->s->scope);
		end_as(w, is_transient(w->cx->fail->kind) ? SCOPE_UNREACHABLE : SCOPE_FAILED);
		return;
	}
	ScopeOutcome ended = forward(w);
	if (ended == SCOPE_UNDONE)
		undo_after(w);
	else
		end_as(w, ended);
}

void
scope_walk(Ctx *cx, Home *home, Conns *conns, ScopeRun *s)
{
	int64_t begun = clock_mono_ms();
	Walk w = {
		.cx = cx, .home = home, .conns = conns, .s = s,
		.env = { .home = home, .run = s->run, .fence = s->fence, .conns = conns },
	};

	if (!s->backward)
		walk_forward(&w);
	else if (!load_place(&w))
		end_as(&w, SCOPE_STOPPED);
	else
		end_as(&w, backward(&w));
	if (w.env.at)
		conns_drop(conns, w.env.at->cluster, w.env.at->dbname);
	s->result.scope = s->scope;
	s->result.ms = clock_mono_ms() - begun;
}

#include "lib/core/scope_intern.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/core/journal.h"

void
walk_end(Walk *w, ScopeOutcome outcome)
{
	w->s->result.outcome = outcome;
	if (outcome != SCOPE_DONE && !w->s->result.fail && w->cx->fail->kind != FAIL_NONE) {
		w->s->result.fail = arena_alloc(w->cx->mem, sizeof(Fail));
		*w->s->result.fail = *w->cx->fail;
	}
}

/* --- where a step acts --------------------------------------------------------------- */

/* Places elsewhere are read with the scope's own: walk_step() cannot fail. */
static bool
load_elsewhere(Walk *w)
{
	for (size_t i = 0; i < w->s->rows.n; i++) {
		const Step *step = &w->s->rows.at[i]->step;
		StepEnv env = w->here;

		if (!step_elsewhere(step))
			continue;
		if (!scope_place_step(w->cx, w->home, step, &env))
			return false;
		vec_push(
		    w->cx->mem, &w->there, ((There){ step_elsewhere(step), env.at, env.cluster }));
	}
	return true;
}

bool
walk_place(Walk *w)
{
	if (!scope_place(w->cx, w->home, w->s, &w->here))
		return false;
	w->env.at = w->here.at;
	w->env.cluster = w->here.cluster;
	w->there.n = 0;
	return load_elsewhere(w);
}

void
walk_at(Walk *w, const char *elsewhere)
{
	w->env.at = w->here.at;
	w->env.cluster = w->here.cluster;
	for (size_t i = 0; elsewhere && i < w->there.n; i++)
		if (strcmp(w->there.at[i].name, elsewhere) == 0) {
			w->env.at = w->there.at[i].at;
			w->env.cluster = w->there.at[i].cluster;
		}
}

const StepKind *
walk_step(Walk *w, StepRow *row)
{
	w->env.step = &row->step;
	w->env.why = NULL;
	walk_at(w, step_elsewhere(&row->step));
	return step_kind(row->step.kind);
}

void
walk_mark(const char *kind, const char *when)
{
	char name[96];

	snprintf(name, sizeof name, "%s:%s", kind, when);
	fault_point(name);
}

static bool
write_done(Walk *w, StepRow *row)
{
	const StepKind *kind = walk_step(w, row);

	return (!kind->record || kind->record(w->cx, &w->env)) &&
	    journal_state(w->cx, w->home, w->s->run, row, STEP_DONE, NULL) &&
	    journal_event(w->cx, w->home, w->s->run, row, "ok") &&
	    catalog_serial_bump(w->cx, w->home);
}

/* The outcomes, each record seen by the next. */
static bool
write_outcomes(Walk *w, const StepRow *next)
{
	for (size_t i = 0; i < w->done.n; i++) {
		StepRow *row = w->done.at[i].row;
		bool last = !next && i + 1 == w->done.n;
		if (!write_done(w, row) ||
		    (!last && step_kind(row->step.kind)->record && !walk_place(w)))
			return false;
	}
	return true;
}

static void
as_before(Walk *w)
{
	for (size_t i = 0; w && i < w->done.n; i++)
		w->done.at[i].row->state = w->done.at[i].was;
}

static void
mark_done(Walk *w)
{
	for (size_t i = 0; w && i < w->done.n; i++)
		walk_mark(w->done.at[i].row->step.kind, "done");
}

/* The step that begins and those right behind it that are early: how many rows, from *at on. */
static size_t
intents(const Walk *w, const StepRow *next, StepRow ***at)
{
	StepRow **row = w->s->rows.at, **end = row + w->s->rows.n;
	size_t n = 1;

	if (!next)
		return 0;
	while (*row != next)
		row++;
	*at = row;
	while (
	    row + n < end && row[n]->state == STEP_WAITING && step_kind(row[n]->step.kind)->early)
		n++;
	return n;
}

static bool
write_intents(Walk *w, StepRow **at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!journal_intent(w->cx, w->home, w->s->run, at[i]))
			return false;
	return true;
}

/* One catalogue transaction: what the scope before has left, our outcomes, the intent of `next`. */
static bool
commit_together(Walk *w, StepRow *next)
{
	StepState was = next ? next->state : STEP_WAITING;
	Walk *before = w->before;
	StepRow **at = NULL;
	size_t n = intents(w, next, &at);

	if (lite_begin(w->cx, w->home->db) && (!before || write_outcomes(before, NULL)) &&
	    write_outcomes(w, next) && write_intents(w, at, n) && lite_commit(w->cx, w->home->db)) {
		if (before)
			walk_end(before, SCOPE_DONE);
		mark_done(before);
		mark_done(w);
		for (size_t i = 0; i < n; i++)
			walk_mark(at[i]->step.kind, "intent");
		w->before = NULL;
		w->done.n = 0;
		return true;
	}
	lite_rollback(w->home->db);
	as_before(before);
	as_before(w);
	for (size_t i = 0; i < n; i++)
		at[i]->state = i == 0 ? was : STEP_WAITING;
	return false;
}

/* One after the other, so that what cannot be recorded is found and the rest stands. */
static bool
commit_singly(Walk *w, StepRow *next, StepRow **failed)
{
	Done *at = w->done.at;
	size_t n = w->done.n;

	fail_clear(w->cx);
	if (w->before) {
		fail_clear(w->before->cx);
		scope_settle(w->before);
		w->before = NULL;
	}
	for (size_t i = 0; i < n; i++) {
		w->done.at = at + i;
		w->done.n = 1;
		*failed = at[i].row;
		if (!walk_place(w) || !commit_together(w, NULL))
			return false;
	}
	*failed = NULL;
	return walk_place(w) && (!next || commit_together(w, next));
}

bool
walk_commit(Walk *w, StepRow *next, StepRow **failed)
{
	*failed = w->done.n ? w->done.at[0].row : NULL;
	if (commit_together(w, next))
		return true;
	return (w->before || w->done.n + (next != NULL) > 1) && commit_singly(w, next, failed);
}

void
walk_done(Walk *w, StepRow *row)
{
	vec_push(w->cx->mem, &w->done, ((Done){ .row = row, .was = row->state }));
}

bool
walk_state(Walk *w, StepRow *row, StepState state, const char *error)
{
	StepState was = row->state;

	if (lite_begin(w->cx, w->home->db) &&
	    journal_state(w->cx, w->home, w->s->run, row, state, error) &&
	    (state == STEP_UNDOING ||
		journal_event(
		    w->cx, w->home, w->s->run, row, error ? error : step_state_name(state))) &&
	    lite_commit(w->cx, w->home->db))
		return true;
	lite_rollback(w->home->db);
	row->state = was;
	return false;
}

/* The intents of early ones that have not begun. */
static bool
take_back_intents(Walk *w, size_t from)
{
	StepRow **at = w->s->rows.at;
	size_t to = from;

	while (to < w->s->rows.n && at[to]->state == STEP_INTENT)
		to++;
	if (from == to)
		return true;
	bool ok = lite_begin(w->cx, w->home->db);
	for (size_t i = from; ok && i < to; i++)
		ok = journal_state(w->cx, w->home, w->s->run, at[i], STEP_WAITING, NULL);
	if (ok && lite_commit(w->cx, w->home->db))
		return true;
	lite_rollback(w->home->db);
	return false;
}

bool
walk_stop(Walk *w, size_t rest, StepRow **failed)
{
	Fail why = *w->cx->fail;

	*failed = NULL;
	fail_clear(w->cx);
	if ((w->done.n && !walk_commit(w, NULL, failed)) || !take_back_intents(w, rest))
		return false;
	*w->cx->fail = why;
	return true;
}

bool
walk_undone(Walk *w, StepRow *row)
{
	const StepKind *kind = walk_step(w, row);
	bool ok = lite_begin(w->cx, w->home->db) &&
	    (!kind->unrecord || kind->unrecord(w->cx, &w->env)) &&
	    journal_state(w->cx, w->home, w->s->run, row, STEP_UNDONE, NULL) &&
	    journal_event(w->cx, w->home, w->s->run, row, "undone") &&
	    catalog_serial_bump(w->cx, w->home) && lite_commit(w->cx, w->home->db);

	if (!ok)
		lite_rollback(w->home->db);
	return ok ? walk_place(w) : fail_in(w->cx, "recording the undo of \"%s\"", row->step.title);
}

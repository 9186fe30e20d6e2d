#include "lib/core/scope_intern.h"

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/journal.h"

#define ATTEMPTS 3 /* of a step whose effect is known to be missing */

static bool
is_transient(FailKind kind)
{
	return kind == FAIL_UNREACHABLE || kind == FAIL_TIMEOUT || kind == FAIL_HOST_UNREACHABLE;
}

/* A host that does not let us in, or is another than it was: nothing can be looked at or taken back there
 * until somebody has mended that. */
static bool
is_shut(FailKind kind)
{
	return kind == FAIL_HOST_KEY || kind == FAIL_HOST_LOGIN || kind == FAIL_HOST_ALGORITHM;
}

static ScopeOutcome
outcome_of(FailKind kind, ScopeOutcome otherwise)
{
	if (kind == FAIL_UNDECIDABLE || kind == FAIL_FENCED || kind == FAIL_UNDO)
		return SCOPE_PERSON;
	return is_transient(kind) ? SCOPE_UNREACHABLE : otherwise;
}

bool
scope_past_pivot(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state == STEP_DONE && step_kind(s->rows.at[i]->step.kind)->pivot)
			return true;
	return false;
}

bool
scope_begun(const ScopeRun *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.at[i]->state != STEP_WAITING && s->rows.at[i]->state != STEP_ABANDONED)
			return true;
	return false;
}

/* --- forward ---------------------------------------------------------------- */

static bool
guards(Walk *w)
{
	for (size_t i = 0; i < w->s->rows.n; i++) {
		const StepKind *kind = walk_step(w, w->s->rows.at[i]);
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
	const StepKind *kind = walk_step(w, row);
	Probe probe;

	if (!kind->act)
		return LOOKED_NOT_DONE; /* catalogue-only: no outcome row, no effect */
	if (!kind->probe(w->cx, &w->env, &probe)) {
		fail_in(w->cx, "looking whether \"%s\" took effect", row->step.title);
		return LOOKED_BLIND;
	}
	walk_mark(row->step.kind, "probed");
	if (probe == PROBE_UNDECIDABLE) {
		fail(w->cx, FAIL_UNDECIDABLE,
		    arena_printf(w->cx->mem,
			"Look at the target, then: copyhold run resolve %lld.%lld --as done|redo|abandon.",
			(long long)w->s->run, (long long)row->step.id),
		    "%s: %s", row->step.title,
		    w->env.why ? w->env.why : "whether it took effect cannot be told");
		return LOOKED_UNKNOWN;
	}
	return probe == PROBE_DONE ? LOOKED_DONE : LOOKED_NOT_DONE;
}

static bool
act_once(Walk *w, StepRow *row)
{
	const StepKind *kind = walk_step(w, row);

	log_live("%s: %s", w->s->scope, row->step.title);
	if (!kind->act)
		return true;
	return kind->act(w->cx, &w->env) || fail_in(w->cx, "%s", row->step.title);
}

/* A connection on which something was lost is not used again. */
static void
drop_connections(Walk *w)
{
	if (w->env.cluster)
		conns_drop(w->conns, w->env.cluster, NULL);
	if (w->env.at)
		conns_drop(w->conns, w->env.at->cluster, w->env.at->dbname);
}

static void
wait_again(Walk *w, int attempt, const StepRow *row)
{
	log_note("%s: again: %s", w->s->scope, row->step.title);
	lane_sleep(backoff_ms(attempt, 100, 2000));
	fail_clear(w->cx);
}

/* Acts until the effect is there, known to be missing, or not to be seen.  After a lost connection
 * or a deadline the effect is looked for before anything is tried again. */
static Looked
act_surely(Walk *w, StepRow *row)
{
	for (int attempt = 1;; attempt++) {
		if (act_once(w, row)) {
			walk_mark(row->step.kind, "acted");
			return LOOKED_DONE;
		}
		if (!is_transient(w->cx->fail->kind))
			return LOOKED_NOT_DONE;
		Fail why = *w->cx->fail;
		drop_connections(w);
		fail_clear(w->cx);
		Looked seen = look(w, row);
		if (seen == LOOKED_DONE || seen == LOOKED_UNKNOWN)
			return seen;
		if (seen == LOOKED_NOT_DONE)
			*w->cx->fail = why;
		if (attempt == ATTEMPTS)
			return seen;
		wait_again(w, attempt, row);
	}
}

static const char *
error_name(Walk *w)
{
	return arena_printf(w->cx->mem, "%s: %s", fail_name(w->cx->fail->kind), w->cx->fail->what);
}

static StepRow *
next_row(const ScopeRun *s, size_t *i)
{
	for (; *i < s->rows.n; ++*i)
		if (s->rows.at[*i]->state != STEP_DONE && s->rows.at[*i]->state != STEP_ABANDONED)
			return s->rows.at[*i];
	return NULL;
}

static bool
commit_looked(Walk *w, StepRow *row)
{
	StepRow *failed;

	walk_done(w, row);
	return walk_commit(w, NULL, &failed) && walk_place(w);
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
			if (!commit_looked(w, row))
				return false;
			break;
		case LOOKED_NOT_DONE:
			if (!walk_state(w, row, STEP_WAITING, NULL))
				return false;
			break;
		case LOOKED_UNKNOWN:
		case LOOKED_BLIND:
			walk_state(w, row, STEP_UNKNOWN, error_name(w));
			return false;
		}
	}
	return true;
}

/* An act that a signal has stopped has done nothing: its step waits for a resume. */
static ScopeOutcome
stopped_within(Walk *w, StepRow *row)
{
	walk_state(w, row, STEP_WAITING, error_name(w));
	w->cx->fail->hint = arena_printf(
	    w->cx->mem, "Go on with: copyhold run resume %lld.", (long long)w->s->run);
	return SCOPE_STOPPED;
}

static bool
is_ours(FailKind kind)
{
	return kind == FAIL_CATALOG || kind == FAIL_DISK_FULL || kind == FAIL_SYSTEM ||
	    kind == FAIL_PERMISSION;
}

/* Where the catalogue cannot be written nothing can be taken back either; another reason is the
 * step's own, and a catalogue-only step then has had no effect. */
static ScopeOutcome
commit_ends(Walk *w, StepRow *row)
{
	if (is_ours(w->cx->fail->kind) || !row || row->state == STEP_DONE)
		return scope_begun(w->s) ? SCOPE_STOPPED : SCOPE_FAILED;
	fail_in(w->cx, "recording \"%s\"", row->step.title);
	walk_state(
	    w, row, step_kind(row->step.kind)->act ? STEP_FAILED : STEP_ABANDONED, error_name(w));
	return scope_past_pivot(w->s) ? SCOPE_STOPPED : SCOPE_UNDONE;
}

/* What a failed step means for its scope, before any undo is tried. */
static ScopeOutcome
forward_ends(Walk *w, size_t at, Looked seen)
{
	StepRow *row = w->s->rows.at[at], *failed;
	FailKind kind = w->cx->fail->kind;

	if (!walk_stop(w, at + 1, &failed))
		return commit_ends(w, failed);
	if (seen == LOOKED_NOT_DONE && kind == FAIL_STOPPED)
		return stopped_within(w, row);
	if (seen != LOOKED_NOT_DONE || kind == FAIL_FENCED || /* a newer holder has it */
	    is_shut(kind)) {
		walk_state(w, row, STEP_UNKNOWN, error_name(w));
		return outcome_of(kind, SCOPE_STOPPED);
	}
	walk_state(w, row, STEP_FAILED, error_name(w));
	return scope_past_pivot(w->s) ? SCOPE_STOPPED : SCOPE_UNDONE;
}

static ScopeOutcome
stop_before(Walk *w, size_t at)
{
	const StepRow *row = w->s->rows.at[at];
	StepRow *failed;

	if (!walk_stop(w, at, &failed))
		return commit_ends(w, failed);
	fail(w->cx, FAIL_STOPPED,
	    arena_printf(w->cx->mem, "Go on with: copyhold run resume %lld.", (long long)w->s->run),
	    "stopped by a signal before \"%s\"", row->step.title);
	return SCOPE_STOPPED;
}

/* Returns SCOPE_UNDONE when the steps done so far are to be undone.  What needs the catalogue alone is
 * recorded with its neighbours; where the lane's next scope begins at once, so are the last ones.  What
 * is early begins without a commit. */
static ScopeOutcome
forward(Walk *w, bool may_wait)
{
	StepRow *row, *failed;

	for (size_t i = 0; (row = next_row(w->s, &i)); i++) {
		if (lane_stopping())
			return stop_before(w, i);
		bool early = row->state == STEP_INTENT;
		if (!early && step_kind(row->step.kind)->act && !walk_commit(w, row, &failed))
			return commit_ends(w, failed);
		Looked seen = act_surely(w, row);
		if (seen != LOOKED_DONE)
			return forward_ends(w, i, seen);
		walk_done(w, row);
	}
	w->waits = may_wait && w->done.n;
	if (w->waits || !w->done.n || walk_commit(w, NULL, &failed))
		return SCOPE_DONE;
	return commit_ends(w, failed);
}

/* --- back ------------------------------------------------------------------- */

static bool
undo_surely(Walk *w, StepRow *row)
{
	const StepKind *kind = walk_step(w, row);

	for (int attempt = 1;; attempt++) {
		if (!kind->undo || kind->undo(w->cx, &w->env))
			return true;
		if (!is_transient(w->cx->fail->kind) || attempt == ATTEMPTS)
			return fail_in(w->cx, "undoing \"%s\"", row->step.title);
		drop_connections(w);
		wait_again(w, attempt, row);
	}
}

/* What stopped an undo for good, told to the person who decides. */
static ScopeOutcome
undo_failed(Walk *w, StepRow *row)
{
	Fail why = *w->cx->fail;

	if (is_transient(why.kind))
		return SCOPE_UNREACHABLE; /* stays "undoing": a resume goes on with it */
	if (is_shut(why.kind))
		return SCOPE_STOPPED; /* the same */
	walk_state(w, row, STEP_UNDO_FAILED, error_name(w));
	fail_clear(w->cx);
	fail(w->cx, FAIL_UNDO,
	    arena_printf(w->cx->mem,
		"Mend what stands in its way, then: copyhold run resolve %lld.%lld --as redo|done|abandon.",
		(long long)w->s->run, (long long)row->step.id),
	    "\"%s\" could not be undone: %s", row->step.title, why.what);
	if (why.cause)
		fail_cause(w->cx, "%s", why.cause);
	return SCOPE_PERSON;
}

/* A step with no way back that may have happened decides which way is open. */
static bool
settle_pivot(Walk *w, StepRow *row)
{
	switch (look(w, row)) {
	case LOOKED_NOT_DONE:
		return walk_state(w, row, STEP_WAITING, NULL);
	case LOOKED_DONE:
		return commit_looked(w, row) &&
		    fail(w->cx, FAIL_REFUSED,
			arena_printf(w->cx->mem, "Go forward: copyhold run resume %lld.",
			    (long long)w->s->run),
			"there is no way back: \"%s\" had taken effect", row->step.title);
	case LOOKED_UNKNOWN:
	case LOOKED_BLIND:
		break;
	}
	walk_state(w, row, STEP_UNKNOWN, error_name(w));
	return false;
}

static bool
settle_pivots(Walk *w)
{
	for (size_t i = 0; i < w->s->rows.n; i++) {
		StepRow *row = w->s->rows.at[i];
		bool open = row->state == STEP_INTENT || row->state == STEP_UNKNOWN ||
		    row->state == STEP_FAILED;
		if (open && step_kind(row->step.kind)->pivot && !settle_pivot(w, row))
			return false;
	}
	return true;
}

static bool
to_be_undone(const StepRow *row)
{
	switch (row->state) {
	case STEP_INTENT:
	case STEP_DONE:
	case STEP_FAILED:
	case STEP_UNKNOWN:
	case STEP_UNDOING:
	case STEP_UNDO_FAILED:
		return true;
	case STEP_WAITING:
	case STEP_UNDONE:
	case STEP_ABANDONED:
		return false;
	}
	return false;
}

static ScopeOutcome
undo_row(Walk *w, StepRow *row)
{
	log_live("%s: undo: %s", w->s->scope, row->step.title);
	if (!walk_state(w, row, STEP_UNDOING, NULL))
		return SCOPE_STOPPED;
	walk_mark(row->step.kind, "undoing");
	if (!undo_surely(w, row))
		return undo_failed(w, row);
	walk_mark(row->step.kind, "reverted");
	if (!walk_undone(w, row))
		return SCOPE_STOPPED;
	walk_mark(row->step.kind, "undone");
	return SCOPE_UNDONE;
}

static ScopeOutcome
backward(Walk *w)
{
	ScopeRun *s = w->s;

	fail_clear(w->cx);
	if (!settle_pivots(w))
		return outcome_of(w->cx->fail->kind, SCOPE_STOPPED);
	for (size_t i = s->rows.n; i-- > 0;) {
		ScopeOutcome ended = to_be_undone(s->rows.at[i]) ? undo_row(w, s->rows.at[i])
								 : SCOPE_UNDONE;
		if (ended != SCOPE_UNDONE)
			return ended;
	}
	return journal_abandon_waiting(w->cx, w->home, s->run, s->scope) ? SCOPE_UNDONE
									 : SCOPE_STOPPED;
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
	walk_end(w, ended == SCOPE_UNDONE && !had_done ? SCOPE_FAILED : ended);
}

/* What could not even begin leaves its steps waiting when a later resume may find it better. */
static void
guard_ends(Walk *w)
{
	ScopeOutcome ended = outcome_of(w->cx->fail->kind, SCOPE_FAILED);

	if (ended != SCOPE_UNREACHABLE)
		journal_abandon_waiting(w->cx, w->home, w->s->run, w->s->scope);
	walk_end(w, ended);
}

static void
end_forward(Walk *w, ScopeOutcome ended)
{
	if (ended == SCOPE_UNDONE)
		undo_after(w);
	else if (!w->waits)
		walk_end(w, ended);
}

void
scope_settle(ScopeTail *w)
{
	StepRow *failed;

	w->waits = false;
	end_forward(w, walk_commit(w, NULL, &failed) ? SCOPE_DONE : commit_ends(w, failed));
}

static void
settle_before(Walk *w)
{
	if (w->before)
		scope_settle(w->before);
	w->before = NULL;
}

/* Nothing is asked of a server before the first intent. */
static bool
begins_at_once(const Walk *w)
{
	if (w->s->backward || scope_begun(w->s))
		return false;
	for (size_t i = 0; i < w->s->rows.n; i++)
		if (step_kind(w->s->rows.at[i]->step.kind)->guard)
			return false;
	return true;
}

static void
walk_forward(Walk *w, bool may_wait)
{
	bool fresh = !scope_begun(w->s);

	if (!walk_place(w) || !settle(w)) {
		walk_end(w, outcome_of(w->cx->fail->kind, fresh ? SCOPE_FAILED : SCOPE_STOPPED));
		return;
	}
	if (fresh && !guards(w)) {
		guard_ends(w);
		return;
	}
	end_forward(w, forward(w, may_wait));
}

static Walk *
walk_new(Ctx *cx, Home *home, Conns *conns, ScopeRun *s)
{
	Walk *w = arena_alloc(cx->mem, sizeof *w);

	*w = (Walk){
		.own = *cx,
		.home = home,
		.conns = conns,
		.s = s,
		.env = { .home = home, .run = s->run, .fence = s->fence, .conns = conns },
	};
	w->cx = &w->own;
	return w;
}

void
scope_walk(Ctx *cx, Home *home, Conns *conns, ScopeRun *s, ScopeTail **tail)
{
	int64_t begun = clock_mono_ms();
	Walk *w = walk_new(cx, home, conns, s);

	w->before = tail ? *tail : NULL;
	if (!begins_at_once(w))
		settle_before(w);
	if (!s->backward)
		walk_forward(w, tail != NULL);
	else if (!walk_place(w))
		walk_end(w, SCOPE_STOPPED);
	else
		walk_end(w, backward(w));
	settle_before(w);
	walk_at(w, NULL);
	if (w->env.at && !w->env.at->shared) /* the next tenant is in the same one */
		conns_drop(conns, w->env.at->cluster, w->env.at->dbname);
	s->result.scope = s->scope;
	s->result.ms = clock_mono_ms() - begun;
	if (tail)
		*tail = w->waits ? w : NULL;
}

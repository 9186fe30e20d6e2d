#include "lib/core/journal.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/core/journal.sql.h"

static const char *const step_states[] = {
	"waiting",
	"intent",
	"done",
	"failed",
	"unknown",
	"undoing",
	"undone",
	"undo_failed",
	"abandoned",
};

const char *
step_state_name(StepState s)
{
	return step_states[s];
}

static StepState
step_state_of(const char *name)
{
	for (size_t i = 0; i < LENGTH(step_states); i++)
		if (strcmp(step_states[i], name) == 0)
			return (StepState)i;
	return STEP_UNKNOWN;
}

const char *
scope_tenant(const char *scope)
{
	return strncmp(scope, "tenant/", 7) == 0 ? scope + 7 : NULL;
}

const char *
scope_shared(const char *scope)
{
	return strncmp(scope, "shared/", 7) == 0 ? scope + 7 : NULL;
}

const char *
scope_release(const char *scope, Arena *mem, const char **host)
{
	const char *slash = strncmp(scope, "release/", 8) == 0 ? strchr(scope + 8, '/') : NULL;

	if (!slash)
		return NULL;
	if (host)
		*host = slash + 1;
	return arena_dupn(mem, scope + 8, (size_t)(slash - scope - 8));
}

ScopePhase
scope_phase(const char *scope)
{
	return scope_tenant(scope)               ? PHASE_TENANT
	    : strncmp(scope, "release/", 8) == 0 ? PHASE_RELEASE
						 : PHASE_GROUND;
}

bool
journal_run_add(Ctx *cx, Home *home, const char *verb, int64_t *run)
{
	if (!lite_do(cx, home->db, &SQL_RUN_ADD, "ttti", verb, home->actor, home->reason,
		clock_wall_ms()))
		return false;
	*run = lite_last_id(home->db);
	return true;
}

bool
journal_run_again(Ctx *cx, Home *home, int64_t run)
{
	return lite_do(cx, home->db, &SQL_RUN_AGAIN, "i", run);
}

bool
journal_run_end(Ctx *cx, Home *home, int64_t run, const char *state, int64_t exit_code)
{
	return lite_do(cx, home->db, &SQL_RUN_END, "itii", run, state, clock_wall_ms(), exit_code);
}

bool
journal_step_add(Ctx *cx, Home *home, int64_t run, const Step *step)
{
	return lite_do(cx, home->db, &SQL_STEP_ADD, "iittttt", run, step->id, step->scope,
	    step->kind, step->key, step->title, js_canonical(cx->mem, step->args));
}

bool
journal_intent(Ctx *cx, Home *home, int64_t run, StepRow *row)
{
	row->state = STEP_INTENT;
	row->attempt++;
	return lite_do(cx, home->db, &SQL_STEP_INTENT, "iii", run, row->step.id, clock_wall_ms());
}

bool
journal_state(Ctx *cx, Home *home, int64_t run, StepRow *row, StepState state, const char *error)
{
	row->state = state;
	return lite_do(cx, home->db, &SQL_STEP_STATE, "iitti", run, row->step.id,
	    step_state_name(state), error, clock_wall_ms());
}

bool
journal_abandon_waiting(Ctx *cx, Home *home, int64_t run, const char *scope)
{
	return lite_do(cx, home->db, &SQL_STEP_ABANDON_WAITING, "it", run, scope);
}

bool
journal_unfinished(Ctx *cx, Home *home, const char *scope, int64_t *run)
{
	LiteRows *rows;

	*run = 0;
	if (!lite_query(cx, home->db, &SQL_SCOPE_UNFINISHED, &rows, "t", scope))
		return false;
	if (lite_next(rows))
		*run = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
journal_later(Ctx *cx, Home *home, const char *scope, int64_t after_run, int64_t *run)
{
	LiteRows *rows;

	*run = 0;
	if (!lite_query(cx, home->db, &SQL_SCOPE_LATER, &rows, "ti", scope, after_run))
		return false;
	if (lite_next(rows))
		*run = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
journal_last(Ctx *cx, Home *home, const char *scope, const char *kind, int64_t *run)
{
	LiteRows *rows;

	*run = 0;
	if (!lite_query(cx, home->db, &SQL_SCOPE_LAST, &rows, "tt", scope, kind))
		return false;
	if (lite_next(rows))
		*run = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
journal_open(Ctx *cx, Home *home, const char *scope, int64_t not_run, int64_t *run)
{
	LiteRows *rows;

	*run = 0;
	if (!lite_query(cx, home->db, &SQL_SCOPE_OPEN, &rows, "ti", scope, not_run))
		return false;
	if (lite_next(rows))
		*run = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
journal_open_tenant(
    Ctx *cx, Home *home, const char *shared, int64_t not_run, int64_t *run, const char **scope)
{
	LiteRows *rows;

	*run = 0;
	if (!lite_query(cx, home->db, &SQL_SHARED_TENANT_OPEN, &rows, "ti", shared, not_run))
		return false;
	if (lite_next(rows)) {
		*run = lite_int(rows, 0);
		*scope = lite_text(rows, 1);
	}
	return lite_end(cx, rows);
}

bool
journal_later_tenant(Ctx *cx, Home *home, const char *shared, int64_t after_run, int64_t *run)
{
	LiteRows *rows;

	*run = 0;
	if (!lite_query(cx, home->db, &SQL_SHARED_TENANT_LATER, &rows, "ti", shared, after_run))
		return false;
	if (lite_next(rows))
		*run = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
journal_supersede(Ctx *cx, Home *home, const char *scope, int64_t before_run)
{
	return lite_do(cx, home->db, &SQL_SCOPE_SUPERSEDE, "ti", scope, before_run);
}

bool
journal_close_superseded(Ctx *cx, Home *home, int64_t before_run)
{
	return lite_do(cx, home->db, &SQL_RUN_SUPERSEDED, "i", before_run);
}

bool
journal_event(Ctx *cx, Home *home, int64_t run, const StepRow *row, const char *outcome)
{
	const char *tenant = scope_tenant(row->step.scope), *there = step_elsewhere(&row->step);
	Event e = {
		.tenant = tenant ? tenant : scope_release(row->step.scope, cx->mem, NULL),
		.run = run,
		.step = row->step.id,
		.verb = row->step.kind,
		.object = there ? arena_printf(cx->mem, "%s on %s", row->step.scope, there)
				: row->step.scope,
		.outcome = outcome,
		.after = row->step.key,
	};

	return event_write(cx, home, &e);
}

/* --- reading ---------------------------------------------------------------- */

static RunRow
run_row(LiteRows *rows, bool counts)
{
	return (RunRow){
		.id = lite_int(rows, 0),
		.verb = lite_text(rows, 1),
		.state = lite_text(rows, 2),
		.actor = lite_text(rows, 3),
		.reason = lite_text(rows, 4),
		.started = lite_int(rows, 5),
		.ended = lite_int(rows, 6),
		.exit_code = lite_text(rows, 7) ? lite_int(rows, 7) : -1,
		.steps = counts ? lite_int(rows, 8) : 0,
		.done = counts ? lite_int(rows, 9) : 0,
	};
}

bool
run_get(Ctx *cx, Home *home, int64_t run, RunRow *out)
{
	LiteRows *rows;
	bool found;

	if (!lite_query(cx, home->db, &SQL_RUN_GET, &rows, "i", run))
		return false;
	found = lite_next(rows);
	if (found)
		*out = run_row(rows, false);
	if (!lite_end(cx, rows))
		return false;
	return found ||
	    fail(cx, FAIL_NOT_FOUND, "See: copyhold run list.", "there is no run %lld",
		(long long)run);
}

bool
run_list(Ctx *cx, Home *home, int64_t limit, RunRows *out)
{
	LiteRows *rows;
	RunRows all = { 0 };

	if (!lite_query(cx, home->db, &SQL_RUN_LIST, &rows, "i", limit))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, run_row(rows, true));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
run_steps(Ctx *cx, Home *home, int64_t run, StepRows *out)
{
	LiteRows *rows;
	StepRows all = { 0 };
	bool sound = true;

	if (!lite_query(cx, home->db, &SQL_STEP_LIST, &rows, "i", run))
		return false;
	while (sound && lite_next(rows)) {
		StepRow row = {
			.step = { .id = lite_int(rows, 0),
			    .scope = lite_text(rows, 1),
			    .kind = lite_text(rows, 2),
			    .key = lite_text(rows, 3),
			    .title = lite_text(rows, 4) },
			.state = step_state_of(lite_text(rows, 6)),
			.attempt = lite_int(rows, 7),
			.error = lite_text(rows, 8),
			.started = lite_int(rows, 9),
			.ended = lite_int(rows, 10),
		};
		char *args = lite_text(rows, 5);
		sound = js_parse(cx, args, strlen(args), &row.step.args);
		vec_push(cx->mem, &all, row);
	}
	if (!lite_end(cx, rows) || !sound)
		return false;
	*out = all;
	return true;
}

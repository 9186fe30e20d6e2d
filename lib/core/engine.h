/*
 * engine.h - runs: journalled steps, executed, resumed, undone.
 *
 * The intent of a step is durable before its first remote effect, the outcome
 * after it, together with what the step records in the catalogue and the event
 * that tells of it.  A step whose outcome is not known is probed, never
 * guessed.  Scopes ("tenant/acme") are independent: each has its lease and
 * fence, its own outcome, and runs in a lane of its cluster; scopes that are
 * no tenants come first, and tenants whose cluster or shared database could
 * not be made ready are not begun.  Before a scope's pivot a failure undoes it, after
 * the pivot it only goes forward.
 */
#pragma once

#include "lib/core/catalog.h"

typedef enum StepState {
	STEP_WAITING, STEP_INTENT, STEP_DONE, STEP_FAILED, STEP_UNKNOWN,
	STEP_UNDOING, STEP_UNDONE, STEP_UNDO_FAILED, STEP_ABANDONED
} StepState;
const char	*step_state_name(StepState s);

typedef struct StepRow {
	Step		 step;
	StepState	 state;
	int64_t		 attempt;
	const char	*error;
	int64_t		 started, ended;
} StepRow;
typedef struct StepRows { StepRow *at; size_t n, cap; } StepRows;

typedef struct RunRow {
	int64_t		 id;
	const char	*verb, *state, *actor, *reason;
	int64_t		 started, ended, exit_code;	/* exit_code -1: none yet */
	int64_t		 steps, done;			/* counts; run_list only */
} RunRow;
typedef struct RunRows { RunRow *at; size_t n, cap; } RunRows;

typedef enum ScopeOutcome {
	SCOPE_DONE, SCOPE_FAILED, SCOPE_UNDONE, SCOPE_UNREACHABLE, SCOPE_STOPPED, SCOPE_PERSON
} ScopeOutcome;

typedef struct ScopeResult {
	const char	*scope;
	ScopeOutcome	 outcome;
	Fail		*fail;		/* why, unless SCOPE_DONE */
	int64_t		 ms;
} ScopeResult;

typedef struct RunReport {
	int64_t		 run;
	ExitCode	 exit;
	struct { ScopeResult *at; size_t n, cap; } scopes;
} RunReport;

typedef struct Seen {		/* what a plan saw of a tenant; the run is refused if it moved */
	const char	*name;
	int64_t		 changed_run;
	bool		 shared;	/* of a shared database */
} Seen;

typedef struct RunPlan {
	const char	*verb;		/* "apply", "tenant suspend" */
	const Steps	*steps;
	struct { Seen *at; size_t n, cap; } seen;
	struct { const Model **at; size_t n, cap; } shapes;	/* bodies that steps name by hash */
} RunPlan;

/* A new run from a plan, to its end.  False only if it could not begin (leased, stale, unfinished):
 * nothing was changed then.  Otherwise the report says how each scope ended. */
bool	 run_start(Ctx *cx, Home *home, const RunPlan *plan, RunReport *out);
bool	 run_resume(Ctx *cx, Home *home, int64_t run, RunReport *out);
bool	 run_undo(Ctx *cx, Home *home, int64_t run, RunReport *out);
bool	 run_resolve(Ctx *cx, Home *home, int64_t run, int64_t step, const char *as);	/* done redo abandon */

bool	 run_get(Ctx *cx, Home *home, int64_t run, RunRow *out);
bool	 run_list(Ctx *cx, Home *home, int64_t limit, RunRows *out);
bool	 run_steps(Ctx *cx, Home *home, int64_t run, StepRows *out);

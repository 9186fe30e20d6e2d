/*
 * scope_intern.h - a walk through the steps of one scope, as scope.c takes it:
 * where each step acts and what the catalogue is told (scope_record.c).
 */
#pragma once

#include "lib/core/scope.h"

typedef struct Done { /* a step that has taken effect; its outcome is not recorded yet */
	StepRow *row;
	StepState was; /* as the catalogue has it */
} Done;

typedef struct There { /* where a step acts that does not act where the catalogue has the scope */
	const char *name;
	const Placement *at;
	const Cluster *cluster;
} There;

typedef struct ScopeTail Walk;
struct ScopeTail {
	Ctx own, *cx;
	Home *home;
	Conns *conns;
	ScopeRun *s;
	StepEnv env;
	StepEnv here; /* env as the catalogue has it: some steps act elsewhere */
	VEC(There) there;
	VEC(Done) done;
	Walk *before; /* the lane's scope before, whose outcomes go with our first */
	bool waits;   /* for the lane's next scope */
};

/* The scope's result, with the failure of this walk if it is not SCOPE_DONE. */
void	 walk_end(Walk *w, ScopeOutcome outcome);
bool	 walk_place(Walk *w);		/* reads where the catalogue has the scope now */
void	 walk_at(Walk *w, const char *elsewhere);	/* w->env: there, or NULL: at the scope's own place */
const StepKind *walk_step(Walk *w, StepRow *row);	/* w->env is for this step */
void	 walk_mark(const char *kind, const char *when);	/* a fault point */
void	 walk_done(Walk *w, StepRow *row);	/* it has taken effect: recorded by the next commit */
/* What has been done, and the intent of `next` with those of the early steps behind it; NULL: none.
 * *failed: whose outcome could not be recorded, or NULL. */
bool	 walk_commit(Walk *w, StepRow *next, StepRow **failed);
bool	 walk_state(Walk *w, StepRow *row, StepState state, const char *error);
bool	 walk_undone(Walk *w, StepRow *row);
/* It goes no further: what has been done is recorded, the row `rest` and those behind it have not begun.
 * The failure, if there is one, stays the one to tell of. */
bool	 walk_stop(Walk *w, size_t rest, StepRow **failed);

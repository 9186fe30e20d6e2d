/*
 * journal.h - the rows of runs and steps; used by engine.c alone.
 *
 * Writers are called inside a transaction that the engine opened.
 */
#pragma once

#include "lib/core/engine.h"

bool	 journal_run_add(Ctx *cx, Home *home, const char *verb, int64_t *run);
bool	 journal_run_again(Ctx *cx, Home *home, int64_t run);	/* resumed, or on its way back */
bool	 journal_run_end(Ctx *cx, Home *home, int64_t run, const char *state, int64_t exit_code);
bool	 journal_step_add(Ctx *cx, Home *home, int64_t run, const Step *step);
bool	 journal_intent(Ctx *cx, Home *home, int64_t run, StepRow *row);
bool	 journal_state(Ctx *cx, Home *home, int64_t run, StepRow *row, StepState state, const char *error);
bool	 journal_abandon_waiting(Ctx *cx, Home *home, int64_t run, const char *scope);
bool	 journal_unfinished(Ctx *cx, Home *home, const char *scope, int64_t *run);	/* 0: none */
bool	 journal_later(Ctx *cx, Home *home, const char *scope, int64_t after_run, int64_t *run);	/* 0: none changed it since */
bool	 journal_supersede(Ctx *cx, Home *home, const char *scope, int64_t before_run);
bool	 journal_close_superseded(Ctx *cx, Home *home, int64_t before_run);
bool	 journal_event(Ctx *cx, Home *home, int64_t run, const StepRow *row, const char *outcome);
const char *scope_tenant(const char *scope);	/* "acme" of "tenant/acme", or NULL */
const char *scope_shared(const char *scope);	/* "bj-1/crm" of "shared/bj-1/crm", or NULL */
/* "acme" and "h1" of "release/acme/h1", or NULL; host NULL: not asked for. */
const char *scope_release(const char *scope, Arena *mem, const char **host);
typedef enum ScopePhase {	/* of a run, in this order: what is later stands on what is earlier */
	PHASE_GROUND, PHASE_TENANT, PHASE_RELEASE
} ScopePhase;
ScopePhase scope_phase(const char *scope);
/* The last run in which a step of this kind was done in the scope; 0: none. */
bool	 journal_last(Ctx *cx, Home *home, const char *scope, const char *kind, int64_t *run);
/* Another run that has yet to do something in the scope; 0: none. */
bool	 journal_open(Ctx *cx, Home *home, const char *scope, int64_t not_run, int64_t *run);
/* Another run that has yet to record a tenant of a shared database, and the scope of that; 0: none. */
bool	 journal_open_tenant(Ctx *cx, Home *home, const char *shared, int64_t not_run, int64_t *run,
	    const char **scope);
/* A later run that has recorded a tenant of it; 0: none. */
bool	 journal_later_tenant(Ctx *cx, Home *home, const char *shared, int64_t after_run, int64_t *run);

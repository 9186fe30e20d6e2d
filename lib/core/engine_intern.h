/*
 * engine_intern.h - what a new run (engine.c) and an old one (engine_old.c)
 * share.
 */
#pragma once

#include "lib/core/scope.h"

typedef struct Engine {
	Ctx		*cx;
	Home		*home;
	int64_t		 run;
	StepRows	 rows;
	struct { ScopeRun *at; size_t n, cap; } scopes;
	Map		*failed;	/* scope -> ScopeResult *: not ready for those that stand on it */
	size_t		 ended;
} Engine;

bool	 engine_group(Engine *e);	/* the rows into scopes, each with its cluster */
bool	 engine_is_finished(const ScopeRun *s);	/* no step of it is open */
/* All or none; in the caller's transaction, so that ten thousand leases cost one commit. */
bool	 engine_take_leases(Engine *e);
void	 engine_drop_leases(Engine *e);
bool	 engine_give_up(Engine *e);	/* rolls back, drops the leases; always false */
void	 engine_walk(Engine *e, Conns *conns, ScopeRun *s);
bool	 engine_skip(Engine *e, ScopeRun *s);	/* what it stands on is not ready: it has its result without being begun */
void	 engine_note(Engine *e, ScopeRun *s);	/* its result, for those that stand on it */
void	 engine_run_hosts(Engine *e);	/* side by side */
void	 engine_run_releases(Engine *e);	/* in waves, as the tenants' manifests have it */
void	 engine_run_tenants(Engine *e);	/* in the lanes of their clusters */
bool	 engine_check_ground(Engine *e);	/* no other run stands between a shared database and its tenants */
bool	 engine_execute(Engine *e, RunReport *out);
void	 engine_tell(const Engine *e, const ScopeRun *s);
ExitCode engine_exit_of(const Engine *e);
ExitCode engine_closed_as(const StepRows *rows);	/* how a run whose steps are all closed has ended */
const char *engine_state_of(ExitCode code);
/* What was done is done, even where the catalogue cannot be told any more that it has ended. */
void	 engine_finish(Engine *e, ExitCode code, ExitCode recorded, RunReport *out);

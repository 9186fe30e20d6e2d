/*
 * switch.h - a tenant's traffic goes to another cluster while its applications
 * wait: park, drain, fence in the database, catch up, check, move, open, release.
 *
 * A switch is a run of journalled steps in the scope of its tenant.  Up to the
 * pivot a failure, or being late, opens the old side again; after it the run only
 * goes forward.  What holds at every moment, whoever is killed: at most one side
 * lets the tenant's logins in, for the fence stands in the database itself.
 */
#pragma once

#include "lib/core/plan.h"

typedef struct SwitchWish {
	const char	*tenant, *to;
	const char	*by;		/* "same" "standby" "copy", or NULL: what fits of the first two */
	int64_t		 drain_ms;	/* open transactions have so long */
	int64_t		 max_ms;	/* the tenant is parked so long at most */
	bool		 keep_old;	/* by copy: what it leaves is kept, closed */
	int64_t		 copy_limit_mb;	/* by copy: a larger tenant is refused */
	bool		 end_sessions;	/* those left after drain_ms are ended */
} SwitchWish;

typedef struct SwitchFinding {
	const char	*what;		/* "setup", "sessions" */
	bool		 ok;
	const char	*said;
	const char	*hint;		/* what to do; NULL where it is ok */
} SwitchFinding;

typedef struct SwitchPlan {
	const char	*tenant, *from, *to, *by;
	struct { SwitchFinding *at; size_t n, cap; } findings;
	size_t		 red;		/* findings that are not ok */
	Steps		 steps;		/* none while something is red */
	RunPlan		 run;
} SwitchPlan;

/* Looks at both servers and the gateways; changes nothing.  False where it cannot be looked at, or
 * can never be: FAIL_REFUSED with the reason. */
bool	 switch_plan(Ctx *cx, Home *home, const SwitchWish *wish, SwitchPlan **out);
/* From the park to the last gateway's release, of a run that is done. */
bool	 switch_parked_ms(Ctx *cx, Home *home, int64_t run, int64_t *ms);

/* What a tenant has left on that cluster is not what it works on: else FAIL_REFUSED. */
bool	 switch_apart(Ctx *cx, Conns *conns, const Placement *at, const Cluster *left);
/* By copy, of a run that was done by this process: how many rows, and how long it took. */
bool	 switch_copied(Ctx *cx, Home *home, int64_t run, int64_t *rows, int64_t *ms, bool *found);

extern const StepKind switch_kinds[];	/* switch.park drain fence copy follow promote check move open release settle */

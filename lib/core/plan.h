/*
 * plan.h - desired (manifests) - recorded (catalogue) - observed (servers) =
 * changes for people and steps for the engine.  Making a plan changes nothing
 * anywhere.
 */
#pragma once

#include "lib/core/engine.h"
#include "lib/core/manifest.h"

typedef struct PlanOptions {
	bool		 refresh;	/* look at the servers; else what is recorded is taken for true */
	bool		 prune;		/* tenants and things that no manifest names are removed */
	const OptList	*only;		/* tenants to plan for; NULL or n 0: all */
} PlanOptions;

typedef struct PlanEntry {	/* one region, cluster, model or tenant */
	const char	*kind, *name;	/* "tenant", "acme" */
	ChangeOp	 op;
	bool		 nothing;	/* as it should be */
	bool		 told;		/* its note is for people, even so */
	const char	*note;		/* "dedicated on bj-1: ...", or NULL */
	Changes		 changes;	/* within it */
	Fail		*fail;		/* it could not be planned, or NULL */
	const Fail	*away;		/* out of reach now, so planned from what is recorded; or NULL */
	const char	*digest;	/* of what was observed, or NULL */
	int64_t		 first_step, steps;	/* its steps in the plan */
} PlanEntry;

typedef struct Plan {
	struct { PlanEntry *at; size_t n, cap; } entries;
	Steps		 steps;
	RunPlan		 run;		/* for run_start */
	char		*manifest_hash;
	int64_t		 serial;
	int64_t		 add, change, remove, unchanged, drift, kept, failed, away;
	Fail		*worst;		/* of a failed entry that is not merely unreachable, or NULL */
} Plan;

bool	 plan_make(Ctx *cx, Home *home, const Manifests *m, const PlanOptions *options, Plan **out);

bool	 plan_retention(Ctx *cx, Home *home, const char *tenant, int64_t *ms);	/* as its manifest said last; 30 d */

bool	 plan_empty(const Plan *p);	/* nothing to do, nothing failed */

/* A saved plan: what it was made from and what it would do.  plan_same() refuses with FAIL_PLAN_STALE. */
char	*plan_save(Arena *mem, const Home *home, const Plan *p, const char *manifests, const PlanOptions *options);
Js	*plan_steps_json(Arena *mem, const Plan *p);
bool	 plan_read_options(Ctx *cx, const char *text, size_t n, const char **manifests, PlanOptions *options);
bool	 plan_same(Ctx *cx, const Home *home, const char *saved, size_t n, const Plan *now);

/* Steps of the verbs that need no manifest, each ready for run_start(). */
typedef enum TenantVerb { VERB_SUSPEND, VERB_RESUME, VERB_SEAL, VERB_PURGE, VERB_HAND_BACK } TenantVerb;
bool	 plan_verb(Ctx *cx, Home *home, const char *tenant, TenantVerb verb, Plan **out);
/* What a verb does to the services of the tenant, on all its hosts: scopes of their own. */
bool	 plan_release_verb(Ctx *cx, Home *home, const char *tenant, TenantVerb verb, Steps *steps);
/* add, rotate, limit, remove; of a new one `wanted` says what it may; of one that is there its user, and
 * the limits that it is to have (-1: as it has). */
bool	 plan_login(Ctx *cx, Home *home, const char *tenant, const Login *wanted, const char *verb,
	    Plan **out);

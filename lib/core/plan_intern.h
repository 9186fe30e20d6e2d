/*
 * plan_intern.h - what making a plan (plan.c) and looking at the servers
 * (plan_observe.c) share.
 */
#pragma once

#include "lib/core/plan.h"

typedef struct Merged {		/* an effective model, and the hash of its canonical form */
	Model		*model;
	char		*shape;
} Merged;

typedef struct Work {		/* one tenant that must be looked at more closely */
	size_t		 entry;
	const Tenant	*spec;
	TenantRecord	 record;
	bool		 exists;
	Placement	*at;
	Merged		 desired;
	Model		*recorded;
	Items		*observed;
	struct { const Login **at; size_t n, cap; } strange;	/* logins whose password is not ours */
	Fail		*fail;
	bool		 spec_differs;
} Work;

typedef struct Planner {
	Ctx			*cx;
	Home			*home;
	const Manifests		*m;
	const PlanOptions	*options;
	Plan			*plan;
	Map			*records;	/* tenant -> TenantRecord * */
	Map			*spec_hashes;	/* recorded Tenant specs */
	Map			*merged;	/* model name -> Merged *, without own fields */
	Map			*applied;	/* shape -> Model * as it was applied */
	Map			*bodies;	/* shapes that the run's steps name */
	Map			*down;		/* cluster -> Fail *: no use to knock again */
	Map			*used;		/* cluster -> int64_t *: tenants there, planned ones too */
	struct { Work *at; size_t n, cap; } work;
	size_t			 next_work;
} Planner;

PlanEntry *plan_entry_at(Planner *p, size_t i);
void	 plan_entry_fail(Planner *p, size_t i, const Fail *why);	/* a copy */
bool	 plan_observe(Planner *p);	/* fills each Work's observed and strange, or its fail */

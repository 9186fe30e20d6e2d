/*
 * plan_intern.h - what the parts of making a plan share: regions, clusters and
 * models (plan_objects.c), shared databases (plan_shared.c), tenants (plan.c),
 * what stands on the servers (plan_observe.c).
 */
#pragma once

#include "lib/core/plan.h"
#include "lib/core/records.h"

typedef struct Merged {		/* an effective model, and the hash of its canonical form */
	Model		*model;
	char		*shape;
} Merged;

typedef struct SharedWork {	/* one shared database */
	const char	*name;		/* "bj-1/crm" */
	SharedRecord	 record;
	bool		 exists;
	Shared		*at;
	Placement	*place;
	size_t		 entry;
	bool		 idle;		/* nothing is asked of it: no tenant, or no manifest of its model */
	const Model	*common_was, *common;	/* behind the common views, before the run (or NULL) and after it */
	const char	*common_shape, *manifest_shape;	/* the latter differs when only some tenants go ahead */
	Model		*wide_was, *wide;
	const char	*wide_shape;
	Map		*held;		/* drop entry -> tenant whose own view still has it */
	struct { const Model **at; size_t n, cap; } ahead;	/* models of tenants that go ahead */
	struct { size_t *at; size_t n, cap; } followers;	/* entries of tenants without steps of their own */
	size_t		 tenants;	/* of the manifests that are planned for */
	Items		*observed;
	const Fail	*unseen;	/* why its tenants' logins could not be looked at, or NULL */
	Fail		*fail;
	bool		 seen;
} SharedWork;

typedef struct Work {		/* one tenant that must be looked at more closely */
	size_t		 entry;
	const Tenant	*spec;
	TenantRecord	 record;
	bool		 exists;
	Placement	*at;
	Merged		 desired;
	RecordAs	 as;		/* layout, own views and slots in mode shared; model and shape are `desired` */
	SharedWork	*shared;	/* mode shared, else NULL */
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
	Map			*making;	/* cluster that does not run before this run's steps -> its PlanEntry * */
	Map			*hosts;		/* name -> what plan_hosts_look() has seen */
	Map			*used;		/* cluster -> int64_t *: tenants there, planned ones too */
	Map			*odd;		/* tenant: its login in a shared database is not as it should be */
	const MapItem		*next_odd;
	Map			*shareds;	/* name -> SharedWork * */
	struct { SharedWork **at; size_t n, cap; } shared_list;	/* those with an entry, by name */
	size_t			 next_shared;
	struct { Work *at; size_t n, cap; } work;
	size_t			 next_work;
} Planner;

char	*plan_hash(Arena *mem, const char *text);
const char *plan_digest(Arena *mem, const Items *items);
size_t	 plan_entry_add(Planner *p, const char *kind, const char *name, ChangeOp op);
PlanEntry *plan_entry_at(Planner *p, size_t i);
void	 plan_entry_fail(Planner *p, size_t i, const Fail *why);	/* a copy */
int64_t	*plan_used(Planner *p, const char *cluster);
bool	 plan_applied(Planner *p, const char *shape, Model **out);	/* read once */
void	 plan_need_body(Planner *p, const Model *m, const char *shape);

bool	 plan_check_versions(Planner *p);
bool	 plan_objects(Planner *p, const char *kind, const Map *loaded);
const Fail *plan_known_down(Planner *p, const char *cluster, Ctx *own);	/* NULL: it is not; else copied into own */
void	 plan_note_down(Planner *p, const char *cluster, const Fail *why);	/* a copy, if it was unreachable */
void	 plan_odd(Planner *p);	/* fills p->odd where servers are looked at and no tenant was named */
bool	 plan_observe(Planner *p);	/* fills each SharedWork's and Work's observed, or its fail */

bool	 plan_hosts_look(Planner *p);	/* plan_hosts.c: those that are looked at, side by side */
bool	 plan_host(Planner *p, const Host *h, const char *recorded_hash);	/* recorded_hash NULL: a new one */
bool	 plan_is_away(const Fail *why);	/* a host that may be back when the run, or a resume, comes to it */
const Fail *plan_host_away(const Planner *p, const char *host);	/* why it is; NULL: it is not, or nobody has looked */
/* A release is to come onto a host that is out of reach: it comes into the run, too, for a resume needs
 * its record, and its helper there. */
bool	 plan_host_wait(Planner *p, const char *host);
bool	 plan_host_fresh(const Planner *p, const char *host);	/* this run puts the helper there: nobody can be asked yet */
bool	 plan_host_used(Planner *p, const char *name, bool *used);
bool	 plan_region_hosts(Planner *p, const char *region, bool *used);	/* *used becomes true, or stays */
void	 plan_host_leave(Planner *p, const char *scope, const char *name);

bool	 plan_wanted(const Planner *p, const char *tenant);	/* none was named, or this one */
bool	 plan_releases(Planner *p);	/* plan_release.c: of the tenants that are planned for */

bool	 plan_shared_load(Planner *p);
bool	 plan_shared_for(Planner *p, const Cluster *cluster, const char *model, SharedWork **out);
bool	 plan_shared_follows(const TenantRecord *r);	/* on the common views alone */
bool	 plan_shared_settle(Planner *p, size_t entry);	/* models, layouts, slots; its entries before that one */
void	 plan_shared_fail(Planner *p, SharedWork *s, const Fail *why);
void	 plan_shared_steps(Planner *p);
bool	 plan_shared_differs(const Work *w);	/* from what is recorded of the tenant */
void	 plan_shared_seen(Planner *p, SharedWork *s);	/* the run is refused if it has moved since */
Items	*plan_keep_items(Arena *mem, const Items *seen);	/* a copy that outlives the lane that looked */

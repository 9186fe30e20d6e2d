/*
 * switch_intern.h - what the plan of a switch (switch_plan.c), its steps
 * (switch.c) and the ways of catching up (switch_by.c) share.
 */
#pragma once

#include "region/route/switch.h"

typedef struct SwitchIdentity {		/* of a server and a database on it */
	const char	*system, *oid;	/* oid "": there is no such database */
	const char	*locale;
	bool		 standby;
	int64_t		 version;
} SwitchIdentity;

typedef struct SwitchSides {
	Conns		*conns;
	const Placement	*at;		/* where the tenant is */
	const Cluster	*to;
	int64_t		 deadline;	/* mono; 0 while it is not parked: in a plan, in a guard */
	int64_t		*rows;		/* catch_up of a copy: how many both sides have */
	const SwitchWish *wish;		/* in a plan */
} SwitchSides;

typedef struct SwitchBy {		/* a way in which the new side gets what the old one has */
	const char	*name;
	bool		(*check)(Ctx *cx, const SwitchSides *s, SwitchPlan *plan);	/* adds findings */
	/* behind the fence: only now a position is read; before the park a look whether it can be done at all */
	bool		(*catch_up)(Ctx *cx, const SwitchSides *s);
	bool		(*finish)(Ctx *cx, const SwitchSides *s);	/* no way back after it; NULL: there is nothing to do */
	bool		(*finished)(Ctx *cx, const SwitchSides *s, bool *out);
	/* where nothing of the tenant is on the new side, else NULL: its place is made there before it is
	 * parked, its rows go there behind the fence and are compared by catch_up, the old place is removed
	 * when all is released */
	bool		(*make)(Ctx *cx, const SwitchSides *s, Steps *steps);
	bool		(*copy)(Ctx *cx, const StepEnv *env, const SwitchSides *s);
	bool		(*clear)(Ctx *cx, const SwitchSides *s, Steps *steps);
} SwitchBy;

extern const SwitchBy switch_by_copy;
const SwitchBy *switch_by(const char *name);	/* NULL: none of that name */
/* One more, at the start of the program; eight in all.  bench/switch_stream.c has one of its own. */
void	 switch_register(const SwitchBy *by);
/* The one that fits two servers; NULL: none does. */
const SwitchBy *switch_by_fit(const SwitchIdentity *from, const SwitchIdentity *to);

/* Where the fence and the ledger of a placement are on a cluster: the cluster's own database, or the
 * customer's. */
bool	 switch_side(Ctx *cx, Conns *conns, const Placement *at, const Cluster *cluster, Pg **out);
char	*switch_roles(Arena *mem, const Placement *at);	/* of its logins, as a parameter of type name[] */
bool	 switch_identity(Ctx *cx, Conns *conns, const Placement *at, const Cluster *cluster, SwitchIdentity *out);
void	 switch_found(Ctx *cx, SwitchPlan *plan, const char *what, const char *hint, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));	/* hint NULL: it is as it should be */

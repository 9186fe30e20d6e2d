/*
 * works.h - whether a tenant's login can work: a row of every object made,
 * read, changed and removed in a transaction that is rolled back.
 */
#pragma once

#include "lib/core/place.h"

/* One rule asked: a row of `object` with `literal` in `field`, beside made-up rows of whatever it needs;
 * all of it is rolled back. */
typedef struct WorksRule {
	const char	*object, *field, *literal;
	const char	*beside;		/* before RETURNING: "ON CONFLICT DO NOTHING"; NULL: nothing */
	bool		 tried;			/* out; false: no such row can be made up */
	char		 sqlstate[6];		/* out; "00000": it would stand; "": passed over */
	char		 constraint[64];	/* out */
} WorksRule;
bool	 works_rule(Ctx *cx, Pg *pg, const Placement *at, const Model *m, WorksRule *rule);
char	*works_value(Arena *mem, const Field *resolved);	/* made up, as a literal */

/* A line for all objects that do, one for each that does not; a read-only login must be refused. */
bool	 works_try(Ctx *cx, Pg *pg, const Placement *at, const Model *m, const Login *login,
	    Attempts *out);

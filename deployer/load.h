/*
 * load.h - the parts of a load among themselves.
 *
 * load.c says what may be loaded, counts, names what failed, and fills tables of
 * which the tenant is the only user: by COPY, with the rules off meanwhile.
 * load_insert.c fills relations behind which other tenants' rows lie too: there
 * no rule may go, nobody be locked out, and COPY is refused under row security;
 * load_hold.c is our own session beside that of the tenant's login.
 */
#pragma once

#include "deployer/data.h"
#include "deployer/items.h"

typedef struct LoadRule {		/* taken off and put back */
	const char	*name, *drop, *make;
} LoadRule;

typedef struct LoadTable {	/* behind a relation */
	const char	*object, *name;	/* name: quoted, with its schema */
	int64_t		 rows;		/* the server's estimate; -1: none */
	bool		 hollow;	/* by it, next to nothing in many pages */
} LoadTable;

typedef struct Load {
	Ctx			*cx;
	const Placement		*at;
	const Source		*source;
	Pg			*pg;	/* the tenant's database, with the rights of its login */
	const char		*role;	/* that login's role */
	StepEnv			 env;	/* what the fence is asked with */
	struct { LoadRule *at; size_t n, cap; } rules;
	Pg			*ours;	/* load_hold.c */
	struct { LoadTable *at; size_t n, cap; } tables;
	DataReport		*report;
	int64_t			 until;	/* mono: given up then; 0: it takes what it takes */
	bool			 done;	/* by a killed holder of the same step: nothing was loaded now */
} Load;

/* Says which object, field, rule and row broke a rule, as far as the server told; never the value.
 * Always false. */
bool	 load_failed(Load *l, const Match *m, const PgError *e);
/* Starts COPY TO STDOUT of the object's rows there: the pairs that are wanted, NULL: all. */
bool	 load_copy_out(Load *l, const DataObject *o, const bool *wanted, const char *where);
bool	 load_source_failed(Load *l, const DataObject *o);	/* reading its table there; always false */
bool	 load_is_empty(Load *l);
bool	 load_count(Ctx *cx, Pg *pg, const char *from, const char *where, int64_t *out);
void	 load_show(const DataObject *o, int64_t *shown);

/* load.c: rows, rules and ledger in one transaction of the session `pg`, all or nothing. */
bool	 load_copy(Load *l);
/* What is left until then is given to the statements of both sides; false, FAIL_LIMIT: nothing is. */
bool	 load_in_time(Ctx *cx, int64_t until, Pg *here, Pg *there);

/* load_insert.c: rows and ledger, all or nothing. */
bool	 load_insert(Load *l);

/* load_hold.c: holds the fence until the tenant's session has committed, and the server's statistics
 * steady.  Its login may do neither. */
bool	 load_hold(Load *l);
void	 load_hold_end(Load *l, bool loaded);

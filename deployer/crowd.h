/*
 * crowd.h - who takes how much of a shared database: rows and bytes per tenant
 * and object, for the operator alone.  Tenants cannot ask for any of it.
 *
 * Rows are counted as the keeper, sizes and vacuum's figures are read as our
 * own login.  Of a large table a sample of its pages is counted unless the
 * exact figures are asked for.  "Lately" are the last CROWD_LATELY
 * transactions of the server: a row version that is younger was written then;
 * rows deleted leave no trace.
 */
#pragma once

#include "lib/core/catalog.h"

#define CROWD_LATELY 100000

typedef struct CrowdShare {	/* of one tenant in one object */
	const char	*id;		/* of the tenant */
	const char	*object;
	int64_t		 rows, bytes;	/* bytes: of the rows as they lie, and of their part of the indexes */
	int64_t		 lately;	/* rows written */
	bool		 exact;		/* false: from a sample */
} CrowdShare;

typedef struct CrowdTable {	/* one wide table */
	const char	*object;
	int64_t		 bytes, index_bytes;	/* table with TOAST; its indexes */
	int64_t		 row_bytes;	/* of what the rows in it need; the rest is dead rows and free space */
	int64_t		 rows, dead;
	const char	*vacuumed;	/* when last, by whomever; NULL: never */
} CrowdTable;

typedef struct Crowd {
	struct { CrowdShare *at; size_t n, cap; } shares;
	struct { CrowdTable *at; size_t n, cap; } tables;
} Crowd;

typedef struct CrowdOwn {	/* a tenant with tables of its own */
	const char	*id, *schema;
	const Model	*model;
} CrowdOwn;

typedef struct CrowdWhat {
	const Shared	*shared;
	const Model	*wide;		/* as recorded */
	struct { CrowdOwn *at; size_t n, cap; } own;
	const char	*only;		/* a tenant's id: it alone is counted, always exactly; or NULL */
	bool		 exact;
} CrowdWhat;

bool	 crowd_count(Ctx *cx, Conns *conns, const CrowdWhat *what, Crowd *out);

char	*crowd_number(Arena *mem, int64_t n);	/* 612,000 */
char	*crowd_bytes(Arena *mem, int64_t n);	/* 1.4 GiB */

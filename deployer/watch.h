/*
 * watch.h - the watchdog of shared databases: ends sessions of tenants that
 * take from everybody what there is once a server (locks, the xmin horizon,
 * a table as a whole).
 *
 * It looks through one connection, to the cluster's own database, that was
 * opened before the trouble began: a full lock table and taken connection
 * slots do not stop it.  For that the connection stays in one transaction for
 * ever, without a snapshot or a transaction number, so that vacuum does not
 * wait for it.  Each look sees the server afresh and remembers nothing of the
 * one before, but whom it has ended already.
 *
 * Only sessions of tenants' login roles ("t_" and 12 letters, "_" and 4) in
 * the named databases are ever ended; superusers' never.
 */
#pragma once

#include "lib/adapters/pg.h"
#include "lib/core/model.h"

typedef struct WatchLimits {	/* 0: not looked at */
	int64_t		 locks;		/* a session may hold; each savepoint that wrote is one */
	int64_t		 idle_ms;	/* a transaction may wait for its client */
	int64_t		 transaction_ms;
	int64_t		 table_lock_ms;	/* a transaction may last that LOCKs a table or view, or waits to */
	int64_t		 blocked;	/* sessions that one may keep waiting... */
	int64_t		 wait_ms;	/* ...each for longer than this */
} WatchLimits;

typedef struct Watched {	/* a session past a limit */
	const char	*database, *role;
	const char	*id;		/* of the tenant, as in its role's name */
	int64_t		 pid;
	const char	*why;		/* "5,012 locks, at most 1,000" */
} Watched;
typedef struct WatchedList { Watched *at; size_t n, cap; } WatchedList;

typedef struct Watch Watch;	/* lives, with its connection, in the arena it was opened in */

/* FAIL_MISSING_RIGHT names the GRANT: our login has to see every session and to end those of others. */
bool	 watch_open(Ctx *cx, const PgTarget *to, Watch **out);
bool	 watch_alive(const Watch *w);	/* false: open another */
/* One look; ends what is past a limit unless dry_run.  *out has each session once: one that takes its time to
 * end is told again to, but not listed again.  A session whose end failed is not listed; the others are ended
 * all the same, and then it returns false. */
bool	 watch_look(Ctx *cx, Watch *w, const Names *databases, const WatchLimits *limits, bool dry_run,
	    WatchedList *out);

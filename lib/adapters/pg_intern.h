/*
 * pg_intern.h - what the files of the PostgreSQL adapter share: pg.c talks,
 * pg_open.c connects, pg_fail.c turns libpq's and the server's errors into ours.
 */
#pragma once

#include <libpq-fe.h>

#include "lib/adapters/pg.h"
#include "lib/adapters/tls.h"

struct Pg {
	PGconn		*conn;		/* NULL: closed, or given up */
	Arena		*mem;
	const char	*name;
	int64_t		 statement_ms;	/* wanted */
	int64_t		 session_ms;	/* what the session has; -1: unknown */
	int64_t		 started;	/* of the last statement, monotonic */
	int64_t		 affected;
	size_t		 unsent;	/* bytes of a COPY since the last flush */
	char		*chunk;		/* of a COPY out, lent to the caller */
	PgError		 error;
};

void	 pg_free(void *pg);		/* the arena's callback */

const char *pg_where(Arena *mem, const PgTarget *t);	/* host:port, for messages */
bool	 pg_fail_connect(Ctx *cx, const PgTarget *t, const char *said, TlsVerdict verdict);
bool	 pg_fail_silent(Ctx *cx, const PgTarget *t, int64_t ms);	/* no connection in time */
bool	 pg_fail_result(Ctx *cx, Pg *pg, const PGresult *result, const char *what);
bool	 pg_fail_lost(Ctx *cx, Pg *pg);

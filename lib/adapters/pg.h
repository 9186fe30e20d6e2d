/*
 * pg.h - PostgreSQL through libpq, never blocking without a deadline.
 *
 * Every wait goes through lane_wait(), so several lanes talk to several
 * servers side by side.  A Pg belongs to the arena it was opened in and is
 * closed with it.  Statements time out after `statement_ms`, a COPY as a whole
 * too: the server's own statement_timeout is set to it, and 5 s later the
 * connection is given up.  Nothing is taken from the environment, service
 * files or the user's home; sessions have search_path='', ISO dates, UTC.
 *
 * Errors: SQLSTATE is the cause; DETAIL and parameters, which may hold personal
 * data, are never shown, nor messages of classes that repeat values; kinds are
 * mapped: 28xxx FAIL_LOGIN, 42501 FAIL_MISSING_RIGHT, 53100 FAIL_DISK_FULL, no
 * database at connecting FAIL_NOT_FOUND, no connection FAIL_UNREACHABLE,
 * deadline FAIL_TIMEOUT, certificates FAIL_TLS, else FAIL_SERVER.  libpq's own
 * texts are recognised in English: main() must not set LC_MESSAGES.
 *
 * libpq 15 sends a password in clear to a server that asks for it so: where the
 * network is not trusted the target must have sslmode verify-full.  From libpq 16
 * on it is never sent so to a server whose certificate was not verified.
 *
 * A sslkey with a colon is refused: libpq would take what stands before it for
 * the name of an OpenSSL engine, which may be any library on this machine.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/sql.h"
#include "lib/base/fail.h"
#include "lib/base/secret.h"

typedef struct Pg Pg;

typedef struct PgTarget {
	const char	*name;		/* for messages: the cluster's name; NULL: host:port */
	const char	*host;		/* name, address, or folder of a unix socket */
	int		 port;
	const char	*dbname, *user;
	Secret		 password;
	const char	*passfile;
	const char	*sslmode;	/* disable prefer require verify-ca verify-full; NULL: prefer */
	const char	*sslrootcert, *sslcert, *sslkey, *sslcrl;
	int64_t		 connect_ms;	/* 0: 10 s */
	int64_t		 statement_ms;	/* 0: 60 s */
} PgTarget;

typedef struct PgRows {		/* a result, whole, in memory */
	int		 n, columns;
	void		*result;	/* for pg_value */
} PgRows;

bool	 pg_open(Ctx *cx, const PgTarget *target, Pg **out);
bool	 pg_target_dsn(Ctx *cx, const char *dsn, PgTarget *out);	/* a libpq URI or keyword string from the user */
void	 pg_close(Pg *pg);		/* also done by the arena */
bool	 pg_alive(const Pg *pg);	/* the connection stands */
int	 pg_version(const Pg *pg);	/* 150018 */
#define PG_LEAST	130000		/* an older server is refused; the long tests run on 13 to 18 */
int	 pg_backend_pid(const Pg *pg);
const char *pg_name(const Pg *pg);	/* target name */

/* params: n texts, NULL is null.  Rows live in cx->mem; pg_rows_free may be called early. */
bool	 pg_query(Ctx *cx, Pg *pg, const Sql *sql, PgRows *rows, const char *const *params);
bool	 pg_do(Ctx *cx, Pg *pg, const Sql *sql, const char *const *params);	/* rows not wanted */
bool	 pg_script(Ctx *cx, Pg *pg, const char *text);	/* generated DDL: one or several statements, no parameters; text is never shown */
void	 pg_rows_free(PgRows *rows);
const char *pg_value(const PgRows *rows, int row, int column);	/* NULL for null; borrowed from the rows */
const char *pg_text(const PgRows *rows, int row, int column);	/* the same, "" for null: a server may answer null where none should be */
int64_t	 pg_int(const PgRows *rows, int row, int column);
bool	 pg_bool(const PgRows *rows, int row, int column);
int64_t	 pg_affected(const Pg *pg);	/* rows of the last statement */

bool	 pg_begin(Ctx *cx, Pg *pg);
bool	 pg_commit(Ctx *cx, Pg *pg);
void	 pg_rollback(Pg *pg);		/* quiet; a dead connection is fine */

/* The last server error, fields by PQresultErrorField; "" where missing. Valid until the next call.
 * In a COPY `line` is the row's ordinal (0: not known), and `column` is known for bad values too. */
typedef struct PgError {
	char	 sqlstate[6];
	char	 constraint[64], column[64], table[64], schema[64];
	int64_t	 line;
} PgError;
const PgError *pg_error(const Pg *pg);
bool	 pg_failed_with(const Pg *pg, const char *sqlstate);	/* of the last statement */

/* A COPY stream.  `sql` is generated (quoted) text.  Chunks are borrowed until the next call. */
bool	 pg_copy_out_begin(Ctx *cx, Pg *pg, const char *sql);
bool	 pg_copy_out_next(Ctx *cx, Pg *pg, const char **chunk, size_t *n);	/* *n 0: the end, stream closed */
bool	 pg_copy_in_begin(Ctx *cx, Pg *pg, const char *sql);
bool	 pg_copy_in(Ctx *cx, Pg *pg, const char *chunk, size_t n);
bool	 pg_copy_in_end(Ctx *cx, Pg *pg, int64_t *rows);
void	 pg_copy_in_abort(Pg *pg, const char *why);

/* A scan by server-side cursor in a read-only REPEATABLE READ transaction is built from pg_script + pg_query above. */
void	 pg_set_statement_ms(Pg *pg, int64_t ms);
char	*pg_quote_uri(Arena *mem, const char *part);	/* percent-encoding for a connection URI */

#include "lib/adapters/pg_intern.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"

#define PG_GRACE_MS   5000 /* after the server's own timeout had its chance */
#define PG_COPY_FLUSH ((size_t)64 << 10)
#define PG_ANY_SCRIPT "a generated statement"

typedef struct PgHeld {
	Arena *mem;
	PGresult *result;
} PgHeld;

void
pg_free(void *arg)
{
	Pg *pg = arg;

	if (pg->chunk != NULL)
		PQfreemem(pg->chunk);
	pg->chunk = NULL;
	if (pg->conn != NULL)
		PQfinish(pg->conn);
	pg->conn = NULL;
}

void
pg_close(Pg *pg)
{
	pg_free(pg);
}

bool
pg_alive(const Pg *pg)
{
	return pg->conn != NULL && PQstatus(pg->conn) == CONNECTION_OK;
}

int
pg_version(const Pg *pg)
{
	return pg->conn == NULL ? 0 : PQserverVersion(pg->conn);
}

int
pg_backend_pid(const Pg *pg)
{
	return pg->conn == NULL ? 0 : PQbackendPID(pg->conn);
}

const char *
pg_name(const Pg *pg)
{
	return pg->name;
}

const PgError *
pg_error(const Pg *pg)
{
	return &pg->error;
}

bool
pg_failed_with(const Pg *pg, const char *sqlstate)
{
	return strcmp(pg->error.sqlstate, sqlstate) == 0;
}

int64_t
pg_affected(const Pg *pg)
{
	return pg->affected;
}

void
pg_set_statement_ms(Pg *pg, int64_t ms)
{
	pg->statement_ms = ms;
}

static int64_t
pg_deadline(const Pg *pg)
{
	return clock_mono_ms() + pg->statement_ms + PG_GRACE_MS;
}

/* Closing is the only way out of a statement that nobody answers. */
static bool
pg_fail_deadline(Ctx *cx, Pg *pg)
{
	pg_close(pg);
	return fail(cx, FAIL_TIMEOUT,
	    "The statement may still be running there; look at it in "
	    "pg_stat_activity.",
	    "\"%s\" gave no answer within %s, and the connection was given up", pg->name,
	    clock_human(cx->mem, pg->statement_ms + PG_GRACE_MS));
}

static bool
pg_flush(Ctx *cx, Pg *pg, int64_t deadline)
{
	int left;

	while ((left = PQflush(pg->conn)) == 1) {
		int ready = lane_wait(PQsocket(pg->conn), LANE_READ | LANE_WRITE, deadline);
		if (ready == 0)
			return pg_fail_deadline(cx, pg);
		if ((ready & LANE_READ) && PQconsumeInput(pg->conn) == 0)
			return pg_fail_lost(cx, pg);
	}
	pg->unsent = 0;
	return left == 0 ? true : pg_fail_lost(cx, pg);
}

static bool
pg_next_result(Ctx *cx, Pg *pg, int64_t deadline, PGresult **out)
{
	while (PQisBusy(pg->conn)) {
		if (lane_wait(PQsocket(pg->conn), LANE_READ, deadline) == 0)
			return pg_fail_deadline(cx, pg);
		if (PQconsumeInput(pg->conn) == 0)
			break; /* PQgetResult has the reason */
	}
	*out = PQgetResult(pg->conn);
	return true;
}

static bool
pg_is_copy(ExecStatusType status)
{
	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static bool
pg_is_error(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
	    status == PGRES_NONFATAL_ERROR;
}

/* Reads to the end of a statement (or to the start of a COPY) and keeps the first error,
 * else the last result.  The caller clears it. */
static bool
pg_results(Ctx *cx, Pg *pg, PGresult **out)
{
	int64_t deadline = pg_deadline(pg);
	PGresult *kept = NULL, *result = NULL;

	if (!pg_flush(cx, pg, deadline))
		return false;
	for (;;) {
		if (!pg_next_result(cx, pg, deadline, &result)) {
			PQclear(kept);
			return false;
		}
		if (result == NULL)
			break;
		bool copy = pg_is_copy(PQresultStatus(result));
		if (kept != NULL && pg_is_error(kept)) {
			PQclear(result);
		} else {
			PQclear(kept);
			kept = result;
		}
		if (copy)
			break;
	}
	if (kept == NULL)
		return pg_fail_lost(cx, pg);
	*out = kept;
	return true;
}

/* Takes the result over: *out is it if it is good, else it is cleared and told. */
static bool
pg_judge(Ctx *cx, Pg *pg, PGresult *result, const char *what, PGresult **out)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
	    status == PGRES_EMPTY_QUERY) {
		pg->affected = strtoll(PQcmdTuples(result), NULL, 10);
		*out = result;
		return true;
	}
	if (pg_is_copy(status)) {
		PQclear(result);
		pg_close(pg); /* no way back from a COPY that nobody feeds */
		return fail(cx, FAIL_SERVER, NULL, "%s started a COPY on \"%s\"", what, pg->name);
	}
	pg_fail_result(cx, pg, result, what);
	PQclear(result);
	return false;
}

static bool
pg_simple(Ctx *cx, Pg *pg, const char *text, const char *what, PGresult **out)
{
	PGresult *result;

	pg->started = clock_mono_ms();
	if (PQsendQuery(pg->conn, text) == 0)
		return pg_fail_lost(cx, pg);
	return pg_results(cx, pg, &result) && pg_judge(cx, pg, result, what, out);
}

/* Before each statement: forgets the last one's outcome and sets the server's own timeout. */
static bool
pg_ready(Ctx *cx, Pg *pg)
{
	PGresult *result;

	memset(&pg->error, 0, sizeof pg->error);
	pg->affected = 0;
	if (!pg_alive(pg))
		return pg_fail_lost(cx, pg);
	if (pg->session_ms == pg->statement_ms || PQtransactionStatus(pg->conn) == PQTRANS_INERROR)
		return true;
	const char *set = arena_printf(
	    cx->mem, "SET statement_timeout = %lld", (long long)pg->statement_ms);
	if (!pg_simple(cx, pg, set, "a setting", &result))
		return false;
	PQclear(result);
	pg->session_ms = pg->statement_ms;
	return true;
}

static void
pg_held_free(void *held)
{
	PQclear(((PgHeld *)held)->result);
}

static void
pg_hold(Ctx *cx, PGresult *result, PgRows *rows)
{
	PgHeld *held = arena_alloc(cx->mem, sizeof *held);

	held->mem = cx->mem;
	held->result = result;
	arena_on_free(cx->mem, pg_held_free, held);
	*rows = (PgRows){ PQntuples(result), PQnfields(result), held };
}

static bool
pg_run(Ctx *cx, Pg *pg, const Sql *sql, const char *const *params, PGresult **out)
{
	PGresult *result;

	if (!pg_ready(cx, pg))
		return false;
	pg->started = clock_mono_ms();
	if (PQsendQueryParams(pg->conn, sql->text, sql->params, NULL, params, NULL, NULL, 0) == 0)
		return pg_fail_lost(cx, pg);
	return pg_results(cx, pg, &result) &&
	    pg_judge(cx, pg, result, arena_printf(cx->mem, "\"%s\"", sql->name), out);
}

bool
pg_query(Ctx *cx, Pg *pg, const Sql *sql, PgRows *rows, const char *const *params)
{
	PGresult *result;

	if (!pg_run(cx, pg, sql, params, &result))
		return false;
	pg_hold(cx, result, rows);
	return true;
}

bool
pg_do(Ctx *cx, Pg *pg, const Sql *sql, const char *const *params)
{
	PGresult *result;

	if (!pg_run(cx, pg, sql, params, &result))
		return false;
	PQclear(result);
	return true;
}

bool
pg_script(Ctx *cx, Pg *pg, const char *text)
{
	PGresult *result;

	if (!pg_ready(cx, pg) || !pg_simple(cx, pg, text, PG_ANY_SCRIPT, &result))
		return false;
	PQclear(result);
	return true;
}

void
pg_rows_free(PgRows *rows)
{
	PgHeld *held = rows->result;

	if (held == NULL)
		return;
	arena_forget(held->mem, pg_held_free, held);
	PQclear(held->result);
	*rows = (PgRows){ 0 };
}

const char *
pg_value(const PgRows *rows, int row, int column)
{
	const PgHeld *held = rows->result;

	if (row < 0 || row >= rows->n || column < 0 || column >= rows->columns)
		return NULL;
	if (PQgetisnull(held->result, row, column))
		return NULL;
	return PQgetvalue(held->result, row, column);
}

const char *
pg_text(const PgRows *rows, int row, int column)
{
	const char *text = pg_value(rows, row, column);

	return text == NULL ? "" : text;
}

int64_t
pg_int(const PgRows *rows, int row, int column)
{
	const char *text = pg_value(rows, row, column);

	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

bool
pg_bool(const PgRows *rows, int row, int column)
{
	const char *text = pg_value(rows, row, column);

	return text != NULL && text[0] == 't';
}

bool
pg_begin(Ctx *cx, Pg *pg)
{
	PGresult *result;

	if (!pg_ready(cx, pg) || !pg_simple(cx, pg, "BEGIN", "BEGIN", &result))
		return false;
	PQclear(result);
	return true;
}

/* COMMIT of a failed transaction succeeds, as a ROLLBACK: only the tag tells. */
bool
pg_commit(Ctx *cx, Pg *pg)
{
	PGresult *result;

	if (!pg_ready(cx, pg) || !pg_simple(cx, pg, "COMMIT", "COMMIT", &result))
		return false;
	bool committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
	PQclear(result);
	if (committed)
		return true;
	pg->session_ms = -1;
	return fail(cx, FAIL_SERVER, NULL, "\"%s\" rolled back instead of committing", pg->name);
}

/* What is in the middle of something cannot be spoken to: closing rolls back as well. */
void
pg_rollback(Pg *pg)
{
	if (!pg_alive(pg)) {
		pg_close(pg);
		return;
	}
	PGTransactionStatusType state = PQtransactionStatus(pg->conn);
	if (state == PQTRANS_IDLE)
		return;
	PgError kept = pg->error;
	Ctx cx = ctx_new(pg->mem);
	PGresult *result;
	if (state != PQTRANS_INTRANS && state != PQTRANS_INERROR)
		pg_close(pg);
	else if (pg_simple(&cx, pg, "ROLLBACK", "ROLLBACK", &result))
		PQclear(result);
	else
		pg_close(pg);
	arena_free(cx.mem);
	pg->session_ms = -1; /* a SET in it was undone too */
	pg->error = kept;
}

static bool
pg_copy_begin(Ctx *cx, Pg *pg, const char *sql, ExecStatusType wanted)
{
	PGresult *result, *other;

	if (!pg_ready(cx, pg))
		return false;
	pg->started = clock_mono_ms();
	pg->unsent = 0;
	if (PQsendQuery(pg->conn, sql) == 0)
		return pg_fail_lost(cx, pg);
	if (!pg_results(cx, pg, &result))
		return false;
	if (PQresultStatus(result) == wanted) {
		PQclear(result);
		return true;
	}
	if (!pg_judge(cx, pg, result, PG_ANY_SCRIPT, &other))
		return false;
	PQclear(other);
	return fail(cx, FAIL_SERVER, NULL, "%s on \"%s\" is no COPY", PG_ANY_SCRIPT, pg->name);
}

bool
pg_copy_out_begin(Ctx *cx, Pg *pg, const char *sql)
{
	return pg_copy_begin(cx, pg, sql, PGRES_COPY_OUT);
}

bool
pg_copy_in_begin(Ctx *cx, Pg *pg, const char *sql)
{
	return pg_copy_begin(cx, pg, sql, PGRES_COPY_IN);
}

static bool
pg_copy_end(Ctx *cx, Pg *pg)
{
	PGresult *result, *good;

	if (!pg_results(cx, pg, &result) || !pg_judge(cx, pg, result, "a COPY", &good))
		return false;
	PQclear(good);
	return true;
}

bool
pg_copy_out_next(Ctx *cx, Pg *pg, const char **chunk, size_t *n)
{
	int64_t deadline = pg_deadline(pg);
	int len = 0;

	if (pg->chunk != NULL)
		PQfreemem(pg->chunk);
	pg->chunk = NULL;
	if (!pg_alive(pg))
		return pg_fail_lost(cx, pg);
	while ((len = PQgetCopyData(pg->conn, &pg->chunk, 1)) == 0) {
		if (lane_wait(PQsocket(pg->conn), LANE_READ, deadline) == 0)
			return pg_fail_deadline(cx, pg);
		if (PQconsumeInput(pg->conn) == 0)
			return pg_fail_lost(cx, pg);
	}
	if (len < 0 && !pg_copy_end(cx, pg))
		return false;
	*chunk = len < 0 ? "" : pg->chunk;
	*n = len < 0 ? 0 : (size_t)len;
	return true;
}

bool
pg_copy_in(Ctx *cx, Pg *pg, const char *chunk, size_t n)
{
	if (!pg_alive(pg))
		return pg_fail_lost(cx, pg);
	while (n > 0) {
		size_t part = n < PG_COPY_FLUSH ? n : PG_COPY_FLUSH;
		if (PQputCopyData(pg->conn, chunk, (int)part) != 1)
			return pg_fail_lost(cx, pg);
		pg->unsent += part;
		if (pg->unsent >= PG_COPY_FLUSH && !pg_flush(cx, pg, pg_deadline(pg)))
			return false;
		chunk += part;
		n -= part;
	}
	return true;
}

bool
pg_copy_in_end(Ctx *cx, Pg *pg, int64_t *rows)
{
	if (!pg_alive(pg) || PQputCopyEnd(pg->conn, NULL) != 1)
		return pg_fail_lost(cx, pg);
	if (!pg_copy_end(cx, pg))
		return false;
	*rows = pg->affected;
	return true;
}

void
pg_copy_in_abort(Pg *pg, const char *why)
{
	PGresult *result = NULL;

	if (!pg_alive(pg))
		return;
	Ctx cx = ctx_new(pg->mem);
	if (PQputCopyEnd(pg->conn, why) == 1 && pg_results(&cx, pg, &result))
		PQclear(result);
	else
		pg_close(pg);
	arena_free(cx.mem);
}

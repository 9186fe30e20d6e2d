#include "lib/core/place.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/core/ledger.sql.h"

#define LEDGER_POLL_MS 20
#define LEDGER_END_MS  60000 /* an ended backend may still have files to remove */

static const char *
ledger_tenant(const StepEnv *env)
{
	return env->at && env->at->id ? env->at->id : env->step->scope;
}

/* The same change may come again in a later run: the run makes the key its own. */
static const char *
ledger_key(Arena *mem, const StepEnv *env)
{
	return arena_printf(mem, "%s.%" PRId64, env->step->key, env->run);
}

static bool
ledger_fenced(Ctx *cx, Pg *pg, const StepEnv *env)
{
	return fail(cx, FAIL_FENCED, "Another run has taken over: see copyhold run list.",
	    "\"%s\" on \"%s\" has seen a newer holder than fence %" PRId64 " of run %" PRId64,
	    env->step->scope, pg_name(pg), env->fence, env->run);
}

bool
ledger_enter(Ctx *cx, Pg *pg, const StepEnv *env, Ledger *out)
{
	const char *fence = arena_printf(cx->mem, "%" PRId64, env->fence);
	const char *params[] = { ledger_tenant(env), fence, ledger_key(cx->mem, env),
		env->step->kind };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_LEDGER_ENTER, &rows, params))
		return false;
	bool raised = pg_int(&rows, 0, 0) == 1, written = pg_int(&rows, 0, 1) == 1;

	pg_rows_free(&rows);
	if (!raised)
		return ledger_fenced(cx, pg, env);
	*out = written ? LEDGER_NEW : LEDGER_ALREADY;
	return true;
}

void
ledger_enter_text(Buf *b, const StepEnv *env)
{
	const char *tenant = ledger_tenant(env);

	buf_add(b, "WITH raised AS (INSERT INTO copyhold.fence AS f (tenant, fence) VALUES (");
	buf_literal(b, tenant);
	buf_fmt(b,
	    ", %" PRId64 ") ON CONFLICT (tenant) DO UPDATE SET fence = EXCLUDED.fence"
	    " WHERE f.fence <= EXCLUDED.fence RETURNING f.fence)"
	    " INSERT INTO copyhold.applied (key, tenant, kind, fence, at) SELECT ",
	    env->fence);
	buf_literal(b, ledger_key(b->mem, env));
	buf_add(b, ", ");
	buf_literal(b, tenant);
	buf_add(b, ", ");
	buf_literal(b, env->step->kind);
	buf_add(b, ", (SELECT fence FROM raised), pg_catalog.clock_timestamp();\n");
}

bool
ledger_fence(Ctx *cx, Pg *pg, const StepEnv *env)
{
	const char *params[] = { ledger_tenant(env),
		arena_printf(cx->mem, "%" PRId64, env->fence) };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_LEDGER_FENCE, &rows, params))
		return false;
	bool raised = rows.n == 1;

	pg_rows_free(&rows);
	return raised || ledger_fenced(cx, pg, env);
}

bool
ledger_remove(Ctx *cx, Pg *pg, const StepEnv *env)
{
	const char *params[] = { ledger_key(cx->mem, env) };

	return ledger_fence(cx, pg, env) && pg_do(cx, pg, &SQL_LEDGER_REMOVE, params);
}

bool
ledger_forget(Ctx *cx, Pg *pg, const StepEnv *env)
{
	const char *params[] = { ledger_tenant(env), ledger_key(cx->mem, env) };

	return pg_do(cx, pg, &SQL_LEDGER_FORGET, params);
}

bool
ledger_stands(Ctx *cx, Pg *pg, bool *out)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_LEDGER_STANDS, &rows, NULL))
		return false;
	*out = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

bool
ledger_has(Ctx *cx, Pg *pg, const StepEnv *env, bool *out)
{
	const char *params[] = { ledger_key(cx->mem, env) };
	bool stands;
	PgRows rows;

	if (!ledger_stands(cx, pg, &stands))
		return false;
	if (!stands) {
		*out = false;
		return true;
	}
	if (!pg_query(cx, pg, &SQL_LEDGER_HAS, &rows, params))
		return false;
	*out = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

bool
ledger_highest(Ctx *cx, Pg *pg, const char *tenant, int64_t *out)
{
	const char *params[] = { tenant };
	bool stands;
	PgRows rows;

	if (!ledger_stands(cx, pg, &stands))
		return false;
	if (!stands) {
		*out = 0;
		return true;
	}
	if (!pg_query(cx, pg, &SQL_LEDGER_HIGHEST, &rows, params))
		return false;
	*out = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

/* --- the step's session lock -------------------------------------------------------- */

static const char *
lock_number(Arena *mem, const StepEnv *env)
{
	unsigned char hash[32];
	uint64_t n = 0;

	sha256(env->step->key, strlen(env->step->key), hash);
	for (size_t i = 0; i < 8; i++)
		n = n << 8 | hash[i];
	return arena_printf(mem, "%" PRId64, (int64_t)(n & INT64_MAX));
}

static bool
lock_try(Ctx *cx, Pg *pg, const char *number, bool *ours)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_LEDGER_TRY, &rows, &number))
		return false;
	*ours = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
lock_until(Ctx *cx, Pg *pg, const char *number, int64_t deadline, bool *ours)
{
	for (;;) {
		if (!lock_try(cx, pg, number, ours))
			return false;
		if (*ours || clock_mono_ms() >= deadline)
			return true;
		lane_sleep(LEDGER_POLL_MS);
	}
}

static bool
lock_take(Ctx *cx, Pg *pg, const StepEnv *env, const char *number, int64_t deadline_ms)
{
	bool ours;

	if (!lock_until(cx, pg, number, clock_mono_ms() + deadline_ms, &ours))
		return false;
	if (ours)
		return true;
	if (!pg_do(cx, pg, &SQL_LEDGER_END, &number) ||
	    !lock_until(cx, pg, number, clock_mono_ms() + LEDGER_END_MS, &ours))
		return false;
	return ours ||
	    fail(cx, FAIL_TIMEOUT,
		"A session of copyhold on that server does not end: look at it with pg_stat_activity.",
		"the session that works on \"%s\" at \"%s\" could not be ended", env->step->title,
		pg_name(pg));
}

/* A tenant's owner may not call the lock functions, so they are called without its role. */
static bool
role_leave(Ctx *cx, Pg *pg, const char **was)
{
	const char *none = "none";
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_LEDGER_ROLE, &rows, NULL))
		return false;
	*was = arena_dup(cx->mem, pg_value(&rows, 0, 0));
	pg_rows_free(&rows);
	return strcmp(*was, none) == 0 || pg_do(cx, pg, &SQL_LEDGER_AS, &none);
}

static bool
role_return(Ctx *cx, Pg *pg, const char *was)
{
	return strcmp(was, "none") == 0 || pg_do(cx, pg, &SQL_LEDGER_AS, &was);
}

bool
ledger_lock(Ctx *cx, Pg *pg, const StepEnv *env, int64_t deadline_ms)
{
	const char *was;

	return role_leave(cx, pg, &was) &&
	    lock_take(cx, pg, env, lock_number(cx->mem, env), deadline_ms) &&
	    role_return(cx, pg, was);
}

void
ledger_unlock(Pg *pg, const StepEnv *env)
{
	Ctx cx = ctx_new(NULL);
	const char *was, *number = lock_number(cx.mem, env);

	if (pg_alive(pg) && role_leave(&cx, pg, &was)) {
		pg_do(&cx, pg, &SQL_LEDGER_UNLOCK, &number);
		role_return(&cx, pg, was);
	}
	arena_free(cx.mem);
}

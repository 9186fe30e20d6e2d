#include "deployer/watch.h"

#include <string.h>

#include "deployer/crowd.h"
#include "deployer/roles.h"
#include "deployer/watch.sql.h"
#include "lib/base/clock.h"

#define WATCH_STATEMENT_MS 20000
#define WATCH_WAITERS_MAX \
	200 /* looked at in one look: each costs the server a walk over its lock table */

typedef struct Ended { /* told to end; it may be rolling back for a while */
	int64_t pid;
	char began[40];
	bool seen;
} Ended;

struct Watch {
	Arena *mem;
	Pg *pg;
	VEC(Ended) ended;
};

typedef struct Session {
	int64_t pid;
	const char *database, *role, *began, *xact, *idle_since;
	bool tenant, tables, waits;
	int64_t xact_ms, state_ms, held, wait_ms;
	size_t first, n; /* of those in its way, in Sessions.ways */
	int64_t blocks;  /* sessions that wait for this one in the end */
	size_t marked;   /* by the waiter whose way up has met this one */
} Session;

typedef struct Sessions {
	Session *at;
	size_t n, cap;
	VEC(Session *) ways;
} Sessions;

/* --- the connection --------------------------------------------------------------- */

static bool
may_watch(Ctx *cx, Pg *pg)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_WATCH_RIGHTS, &rows, NULL))
		return false;
	for (int i = 1; i <= 2; i++)
		if (!pg_bool(&rows, 0, i))
			return fail(cx, FAIL_MISSING_RIGHT,
			    arena_printf(cx->mem,
				"GRANT %s TO \"%s\"; or run the setup script again.",
				i == 1 ? "pg_read_all_stats" : "pg_signal_backend",
				pg_text(&rows, 0, 0)),
			    "login \"%s\" on \"%s\" may not %s", pg_text(&rows, 0, 0), pg_name(pg),
			    i == 1 ? "see what others' sessions do" : "end others' sessions");
	return true;
}

static bool
ask_once(Ctx *cx, Pg *pg, const Sql *sql, const char *const *params)
{
	PgRows rows;

	if (!pg_query(cx, pg, sql, &rows, params))
		return false;
	pg_rows_free(&rows);
	return true;
}

/* Every statement once, before the savepoint: the catalogues and indexes that they need stay locked, and
 * what is locked already costs no entry of the lock table. */
static bool
hold(Ctx *cx, Pg *pg)
{
	return ask_once(cx, pg, &SQL_WATCH_HOLD, NULL) &&
	    ask_once(cx, pg, &SQL_WATCH_REFRESH, NULL) &&
	    ask_once(cx, pg, &SQL_WATCH_LOOK, (const char *const[]){ "{}" }) &&
	    ask_once(cx, pg, &SQL_WATCH_WAITS, (const char *const[]){ "{}" }) &&
	    ask_once(cx, pg, &SQL_WATCH_END,
		(const char *const[]){ "0", "", "", "-infinity", NULL, NULL });
}

static bool
prepare(Ctx *cx, Pg *pg)
{
	pg_set_statement_ms(pg, WATCH_STATEMENT_MS);
	return may_watch(cx, pg) && ask_once(cx, pg, &SQL_WATCH_NO_TIMEOUT, NULL) &&
	    pg_begin(cx, pg) && hold(cx, pg) && pg_script(cx, pg, "SAVEPOINT watch");
}

bool
watch_open(Ctx *cx, const PgTarget *to, Watch **out)
{
	Ctx own = ctx_new(cx->mem);
	Watch *w = arena_alloc(own.mem, sizeof *w);

	w->mem = own.mem;
	if (pg_open(&own, to, &w->pg) && prepare(&own, w->pg)) {
		*out = w;
		return true;
	}
	fail_copy(cx, &own);
	arena_free(own.mem);
	return fail_in(cx, "watching cluster \"%s\"", to->name);
}

bool
watch_alive(const Watch *w)
{
	return pg_alive(w->pg);
}

/* After each look, and after what failed: the locks of before the savepoint stay, and no snapshot does,
 * not even that of the last statement, which the protocol would keep for us. */
static bool
settle(Ctx *cx, Watch *w)
{
	if (pg_alive(w->pg) && pg_script(cx, w->pg, "ROLLBACK TO SAVEPOINT watch"))
		return true;
	pg_close(w->pg);
	return false;
}

static bool
give_up(Ctx *cx, Watch *w)
{
	Ctx own = ctx_new(cx->mem);

	settle(&own, w);
	arena_free(own.mem);
	return false;
}

/* --- who is there ------------------------------------------------------------------ */

static Session
session_of(const PgRows *rows, int i)
{
	return (Session){
		.pid = pg_int(rows, i, 0),
		.database = pg_text(rows, i, 1),
		.role = pg_text(rows, i, 2),
		.tenant = pg_bool(rows, i, 3),
		.began = pg_text(rows, i, 4),
		.xact = pg_value(rows, i, 5),
		.idle_since = pg_value(rows, i, 6),
		.xact_ms = pg_int(rows, i, 7),
		.state_ms = pg_int(rows, i, 8),
		.held = pg_int(rows, i, 9),
		.tables = pg_bool(rows, i, 10),
		.waits = pg_bool(rows, i, 11),
		.wait_ms = pg_int(rows, i, 12),
	};
}

static bool
look(Ctx *cx, Watch *w, const Names *databases, Sessions *out)
{
	const char *params[] = { roles_array(cx->mem, databases) };
	PgRows rows;

	if (!ask_once(cx, w->pg, &SQL_WATCH_REFRESH, NULL) ||
	    !pg_query(cx, w->pg, &SQL_WATCH_LOOK, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++)
		vec_push(cx->mem, out, session_of(&rows, i));
	return true;
}

/* --- who keeps others waiting -------------------------------------------------------- */

static Session *
session_find(const Sessions *all, int64_t pid)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].pid == pid)
			return &all->at[i];
	return NULL;
}

/* From a waiter up: those in its way that wait for nobody themselves are the cause. */
static void
climb(const Sessions *all, const Session *waiter, size_t mark)
{
	for (size_t i = 0; i < waiter->n; i++) {
		Session *s = all->ways.at[waiter->first + i];

		if (s->marked == mark)
			continue;
		s->marked = mark;
		if (s->waits)
			climb(all, s, mark);
		else
			s->blocks++;
	}
}

static bool
read_ways(Ctx *cx, Watch *w, const char *pids, Sessions *all)
{
	PgRows rows;

	if (!pg_query(cx, w->pg, &SQL_WATCH_WAITS, &rows, (const char *const[]){ pids }))
		return false;
	for (int i = 0; i < rows.n; i++) {
		Session *waiter = session_find(all, pg_int(&rows, i, 0));
		Session *other = session_find(all, pg_int(&rows, i, 1));

		if (!waiter || !other)
			continue;
		if (waiter->n++ == 0)
			waiter->first = all->ways.n;
		vec_push(cx->mem, &all->ways, other);
	}
	return true;
}

static bool
count_blocked(Ctx *cx, Watch *w, const WatchLimits *limits, Sessions *all)
{
	Buf pids = buf_new(cx->mem);
	int64_t n = 0;

	for (size_t i = 0; i < all->n && n < WATCH_WAITERS_MAX; i++)
		if (all->at[i].waits)
			buf_fmt(&pids, "%s%lld", n++ ? "," : "{", (long long)all->at[i].pid);
	if (limits->blocked == 0 || n <= limits->blocked)
		return true;
	buf_add(&pids, "}");
	if (!read_ways(cx, w, pids.text, all))
		return false;
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].waits && all->at[i].wait_ms > limits->wait_ms)
			climb(all, &all->at[i], i + 1);
	return true;
}

/* --- what is too much ------------------------------------------------------------------ */

static bool
past(int64_t limit, int64_t value)
{
	return limit > 0 && value > limit;
}

static const char *
why_ms(Arena *mem, const char *what, int64_t value, int64_t limit)
{
	return arena_printf(
	    mem, "%s %s, at most %s", what, clock_human(mem, value), clock_human(mem, limit));
}

/* NULL: within all limits.  *idle: idling alone is the reason. */
static const char *
too_much(Arena *mem, const Session *s, const WatchLimits *l, bool *idle)
{
	*idle = false;
	if (past(l->locks, s->held))
		return arena_printf(mem, "%s locks, at most %s", crowd_number(mem, s->held),
		    crowd_number(mem, l->locks));
	if (s->tables && past(l->table_lock_ms, s->xact_ms))
		return why_ms(
		    mem, "a transaction with LOCK TABLE for", s->xact_ms, l->table_lock_ms);
	if (past(l->blocked, s->blocks))
		return arena_printf(mem, "keeps %lld sessions waiting, at most %lld",
		    (long long)s->blocks, (long long)l->blocked);
	if (past(l->transaction_ms, s->xact_ms))
		return why_ms(mem, "a transaction of", s->xact_ms, l->transaction_ms);
	if (s->idle_since && past(l->idle_ms, s->state_ms)) {
		*idle = true;
		return why_ms(mem, "idle in a transaction for", s->state_ms, l->idle_ms);
	}
	return NULL;
}

/* --- ending ------------------------------------------------------------------------------ */

static Ended *
ended_find(const Watch *w, const Session *s)
{
	for (size_t i = 0; i < w->ended.n; i++)
		if (w->ended.at[i].pid == s->pid && strcmp(w->ended.at[i].began, s->began) == 0)
			return &w->ended.at[i];
	return NULL;
}

/* true: listed for the first time. */
static bool
ended_mark(Watch *w, const Session *s)
{
	Ended *old = ended_find(w, s), fresh = { .pid = s->pid, .seen = true };

	if (old) {
		old->seen = true;
		return false;
	}
	memcpy(fresh.began, s->began, strnlen(s->began, sizeof fresh.began - 1));
	vec_push(w->mem, &w->ended, fresh);
	return true;
}

/* Those that are gone are forgotten. */
static void
ended_sweep(Watch *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->ended.n; i++) {
		if (!w->ended.at[i].seen)
			continue;
		w->ended.at[kept] = w->ended.at[i];
		w->ended.at[kept++].seen = false;
	}
	w->ended.n = kept;
}

/* *gone: it was not there any more as it was seen, or its end was refused. */
static bool
end(Ctx *cx, Watch *w, const Session *s, bool idle, bool *gone)
{
	const char *params[] = { arena_printf(cx->mem, "%lld", (long long)s->pid), s->role,
		s->database, s->began, s->xact, idle ? s->idle_since : NULL };
	PgRows rows;

	if (!ask_once(cx, w->pg, &SQL_WATCH_REFRESH, NULL) ||
	    !pg_query(cx, w->pg, &SQL_WATCH_END, &rows, params))
		return fail_in(cx, "ending session %lld of \"%s\"", (long long)s->pid, s->role);
	*gone = rows.n == 0 || !pg_bool(&rows, 0, 0);
	return true;
}

static void
list(Ctx *cx, Watch *w, const Session *s, const char *why, WatchedList *out)
{
	Watched found = { .database = arena_dup(cx->mem, s->database),
		.role = arena_dup(cx->mem, s->role),
		.id = arena_dupn(cx->mem, s->role + 2, 12),
		.pid = s->pid,
		.why = why };

	if (ended_mark(w, s))
		vec_push(cx->mem, out, found);
}

static bool
judge(
    Ctx *cx, Watch *w, const WatchLimits *limits, bool dry_run, const Session *s, WatchedList *out)
{
	bool idle, gone = false;
	const char *why = s->tenant ? too_much(cx->mem, s, limits, &idle) : NULL;

	if (!why)
		return true;
	if (!dry_run && !end(cx, w, s, idle, &gone))
		return give_up(cx, w);
	if (!gone)
		list(cx, w, s, why, out);
	return true;
}

bool
watch_look(Ctx *cx, Watch *w, const Names *databases, const WatchLimits *limits, bool dry_run,
    WatchedList *out)
{
	Sessions all = { 0 };
	bool ok = true;

	if (!look(cx, w, databases, &all) || !count_blocked(cx, w, limits, &all))
		return give_up(cx, w);
	for (size_t i = 0; i < all.n; i++) {
		Ctx own = { .mem = cx->mem, .fail = ok ? cx->fail : ctx_new(cx->mem).fail };

		if (!pg_alive(w->pg))
			return false;
		ok = judge(&own, w, limits, dry_run, &all.at[i], out) && ok;
	}
	ended_sweep(w);
	return ok ? settle(cx, w) : false;
}

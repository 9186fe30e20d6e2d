/*
 * storm - many clients of several tenants at one gateway, each sure of what it may see:
 * `storm FILE TRANSACTIONS SEED CLIENTS [CANCELS [kills]]`; CANCELS: cancel requests of a thousand (15);
 * kills: servers and workers are killed meanwhile, so connections may be lost, and nothing else.
 *
 * FILE has a line a login: a libpq connection string, a tab, and the tenant's name, which
 * stands in the one row of its table `account` (field name).  Transactions are drawn at random: simple and extended
 * queries, equal statement names with different texts, errors within pipelines, settings that follow
 * a client and settings that pin it, RESET, DISCARD ALL, SET ROLE, cancel requests, clients that go
 * away in the middle.  Every answer is compared.  Prints what was done; exit code 1: somebody saw what
 * was not its own.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX 512
#define LOGINS_MAX  64

typedef struct Login {
	char dsn[640], tenant[64], session_user[64];
} Login;

typedef struct StormClient {
	PGconn *conn;
	const Login *login;
	int number, prepared; /* prepared: generation of its statement "s"; 0: none */
	char zone[32];        /* that it has set; "": none */
	int pinned;           /* 1: by a setting; 2: by SET ROLE */
	const struct Play *play;
	int phase, wish;
	char nonce[48];
} StormClient;

typedef struct Play {
	const char *name;
	int (*send)(StormClient *c);                    /* 0: it cannot now */
	int (*came)(StormClient *c, const PGresult *r); /* a result; 0: wrong */
	int (*over)(StormClient
		*c); /* all results have come: 1 the end, 2 something more was sent, 0 wrong */
} Play;

static struct {
	Login login[LOGINS_MAX];
	int logins, clients;
	StormClient client[CLIENTS_MAX];
	uint64_t random;
	long done, wanted, failed, reconnects, cancels, cancels_hit, lost;
	int kills;
	long of[16];
} storm;

static uint64_t
draw(uint64_t below)
{
	storm.random ^= storm.random << 13;
	storm.random ^= storm.random >> 7;
	storm.random ^= storm.random << 17;
	return storm.random % below;
}

static int
wrong(const StormClient *c, const char *what, const char *expected, const char *got)
{
	fprintf(stderr, "storm: client %d of %s, %s: expected \"%s\", got \"%s\"\n", c->number,
	    c->login->tenant, what, expected, got ? got : "(nothing)");
	storm.failed++;
	return 0;
}

static const char *
value(const PGresult *r, int column)
{
	return PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 ? PQgetvalue(r, 0, column)
									 : NULL;
}

static int
is(const StormClient *c, const PGresult *r, int column, const char *expected)
{
	const char *got = value(r, column);

	if (got && strcmp(got, expected) == 0)
		return 1;
	return wrong(c, c->play->name, expected, got ? got : PQresultErrorMessage(r));
}

static void
connect_client(StormClient *c)
{
	char name[32];
	const char *const keys[] = { "dbname", "application_name", NULL };
	const char *const values[] = { c->login->dsn, name, NULL };

	snprintf(name, sizeof name, "storm %d", c->number);
	for (int i = 0; i < 200; i++) {
		c->conn = PQconnectdbParams(keys, values, 1);
		if (PQstatus(c->conn) == CONNECTION_OK)
			break;
		if (i == 199) {
			fprintf(stderr, "storm: cannot connect: %s", PQerrorMessage(c->conn));
			exit(2);
		}
		PQfinish(c->conn);
		poll(NULL, 0, 50);
	}
	c->prepared = c->pinned = 0;
	c->zone[0] = '\0';
}

static void
quiet(void *ptr, const char *text)
{
	(void)ptr;
	(void)text;
}

static void
reconnect(StormClient *c)
{
	PQfinish(c->conn);
	storm.reconnects++;
	connect_client(c);
	PQsetNoticeProcessor(c->conn, quiet, NULL);
}

static void
new_nonce(StormClient *c)
{
	snprintf(c->nonce, sizeof c->nonce, "n%d-%016llx", c->number,
	    (unsigned long long)draw(UINT64_MAX));
}

/* --- plays -------------------------------------------------------------------------- */

#define MINE "(SELECT string_agg(name, ',') FROM account)"

static int
end(StormClient *c)
{
	(void)c;
	return 1;
}

static int
sees_mine(StormClient *c, const PGresult *r)
{
	return is(c, r, 0, c->nonce) && is(c, r, 1, c->login->tenant);
}

static int
send_simple(StormClient *c)
{
	char sql[256];

	snprintf(sql, sizeof sql, "SELECT '%s', " MINE, c->nonce);
	return PQsendQuery(c->conn, sql);
}

static int
send_params(StormClient *c)
{
	const char *params[] = { c->nonce };

	return PQsendQueryParams(c->conn, "SELECT $1::text, " MINE, 1, NULL, params, NULL, NULL, 0);
}

/* Each client has another text under the same name. */
static int
send_prepared(StormClient *c)
{
	char sql[256];
	const char *params[] = { c->nonce };

	c->phase = c->prepared > 0;
	if (c->prepared > 0)
		return PQsendQueryPrepared(c->conn, "s", 1, params, NULL, NULL, 0);
	snprintf(sql, sizeof sql, "SELECT $1::text, " MINE ", 'client %d'", c->number);
	return PQsendPrepare(c->conn, "s", sql, 0, NULL);
}

static int
came_prepared(StormClient *c, const PGresult *r)
{
	char expected[32];

	if (c->phase == 0)
		return PQresultStatus(r) == PGRES_COMMAND_OK ||
		    wrong(c, "prepare", "PGRES_COMMAND_OK", PQresultErrorMessage(r));
	snprintf(expected, sizeof expected, "client %d", c->number);
	return sees_mine(c, r) && is(c, r, 2, expected);
}

static int
over_prepared(StormClient *c)
{
	c->prepared = 1;
	return 1;
}

static int
send_rollback(StormClient *c)
{
	char sql[512];

	snprintf(sql, sizeof sql,
	    "BEGIN; SELECT '%s', " MINE
	    "; UPDATE account SET name = name || '!'; SELECT 'x' FROM account WHERE name = '%s!'; "
	    "SAVEPOINT a; SELECT 1/0",
	    c->nonce, c->login->tenant);
	c->phase = 0;
	return PQsendQuery(c->conn, sql);
}

static int
came_rollback(StormClient *c, const PGresult *r)
{
	if (PQresultStatus(r) == PGRES_FATAL_ERROR) {
		const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
		c->phase = 100;
		return state && strcmp(state, "22012") == 0
		    ? 1
		    : wrong(c, "an error in a transaction", "22012", PQresultErrorMessage(r));
	}
	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == 2)
		return sees_mine(c, r);
	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		return is(c, r, 0, "x");
	return 1;
}

static int
over_rollback(StormClient *c)
{
	if (c->phase != 100)
		return 1;
	c->phase = 0;
	return PQsendQuery(c->conn, "ROLLBACK") ? 2 : 0;
}

/* An error in the middle: the rest up to Sync is passed over, the next part is not. */
static int
send_pipeline(StormClient *c)
{
	const char *params[] = { c->nonce };

	c->phase = 0;
	return PQenterPipelineMode(c->conn) &&
	    PQsendQueryParams(c->conn, "SELECT $1::text, " MINE, 1, NULL, params, NULL, NULL, 0) &&
	    PQsendQueryParams(c->conn, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0) &&
	    PQsendQueryParams(c->conn, "SELECT 'never'", 0, NULL, NULL, NULL, NULL, 0) &&
	    PQpipelineSync(c->conn) &&
	    PQsendQueryParams(c->conn, "SELECT $1::text, " MINE, 1, NULL, params, NULL, NULL, 0) &&
	    PQpipelineSync(c->conn);
}

static int
came_pipeline(StormClient *c, const PGresult *r)
{
	static const ExecStatusType expected[] = { PGRES_TUPLES_OK, PGRES_FATAL_ERROR,
		PGRES_PIPELINE_ABORTED, PGRES_PIPELINE_SYNC, PGRES_TUPLES_OK, PGRES_PIPELINE_SYNC };
	ExecStatusType got = PQresultStatus(r);

	if (c->phase > 5 || got != expected[c->phase])
		return wrong(c, "a pipeline", "another result", PQresStatus(got));
	c->phase++;
	return got != PGRES_TUPLES_OK || sees_mine(c, r);
}

static int
over_pipeline(StormClient *c)
{
	return c->phase < 6 ? 3 : PQexitPipelineMode(c->conn);
}

/* A setting of our own: it must be there later, wherever we are. */
static int
send_zone(StormClient *c)
{
	char sql[256];

	if (!c->zone[0] || draw(4) == 0) {
		snprintf(c->zone, sizeof c->zone, "<+%02d>-%d", (int)(1 + draw(12)), 1);
		snprintf(sql, sizeof sql, "SET TimeZone = '%s'", c->zone);
		c->phase = 0;
	} else {
		snprintf(sql, sizeof sql, "SELECT current_setting('TimeZone'), " MINE);
		c->phase = 1;
	}
	return PQsendQuery(c->conn, sql);
}

static int
came_zone(StormClient *c, const PGresult *r)
{
	if (c->phase == 0)
		return PQresultStatus(r) == PGRES_COMMAND_OK ||
		    wrong(c, "SET TimeZone", "SET", PQresultErrorMessage(r));
	return is(c, r, 0, c->zone) && is(c, r, 1, c->login->tenant);
}

static const char *
own_role(const StormClient *c)
{
	const char *role = PQparameterStatus(c->conn, "session_authorization");

	return role ? role : "";
}

/* What nobody else may find: a session setting, or a role that was set. */
static int
send_pin(StormClient *c)
{
	char sql[256];

	c->phase = c->pinned;
	c->wish = c->pinned ? c->pinned : 1 + (int)draw(2);
	if (c->pinned)
		snprintf(sql, sizeof sql, "SELECT current_setting('%s', true)",
		    c->pinned == 1 ? "storm.mine" : "role");
	else if (c->wish == 1)
		snprintf(sql, sizeof sql, "SET storm.mine = 'client %d'", c->number);
	else
		snprintf(sql, sizeof sql, "SET ROLE \"%s\"", own_role(c));
	return PQsendQuery(c->conn, sql);
}

static int
came_pin(StormClient *c, const PGresult *r)
{
	char expected[32];

	if (c->phase == 0) {
		c->pinned = PQresultStatus(r) == PGRES_COMMAND_OK ? c->wish : 0;
		return 1; /* a guarded route refuses it */
	}
	snprintf(expected, sizeof expected, "client %d", c->number);
	return is(c, r, 0, c->phase == 1 ? expected : own_role(c));
}

static int
send_not_pinned(StormClient *c)
{
	return c->pinned
	    ? 0
	    : PQsendQuery(c->conn,
		  "SELECT coalesce(current_setting('storm.mine', true), '') || ' ' || current_setting('role')");
}

static int
came_not_pinned(StormClient *c, const PGresult *r)
{
	return is(c, r, 0, " none");
}

/* Back to what it began with: the role's time zone, its own name. */
static int
send_reset(StormClient *c)
{
	c->phase = 0;
	c->zone[0] = '\0';
	return PQsendQuery(c->conn,
	    draw(2) ? "SET application_name = 'passing'; RESET application_name; RESET TimeZone"
		    : "RESET TimeZone");
}

static int
came_reset(StormClient *c, const PGresult *r)
{
	char expected[32];

	if (c->phase == 0)
		return PQresultStatus(r) == PGRES_COMMAND_OK ||
		    wrong(c, "RESET", "RESET", PQresultErrorMessage(r));
	snprintf(expected, sizeof expected, "storm %d", c->number);
	return is(c, r, 0, "UTC") && is(c, r, 1, expected);
}

static int
over_reset(StormClient *c)
{
	if (c->phase++ > 0)
		return 1;
	return PQsendQuery(c->conn,
		   "SELECT current_setting('TimeZone'), current_setting('application_name')")
	    ? 2
	    : 0;
}

static int
send_discard(StormClient *c)
{
	c->prepared = c->pinned = 0;
	c->zone[0] = '\0';
	return PQsendQuery(c->conn, "DISCARD ALL");
}

static int
came_discard(StormClient *c, const PGresult *r)
{
	return PQresultStatus(r) == PGRES_COMMAND_OK ||
	    wrong(c, "DISCARD ALL", "DISCARD ALL", PQresultErrorMessage(r));
}

/* A cancel request that may come too late; what comes next must not be hit by it. */
static int
send_cancel(StormClient *c)
{
	PGcancel *cancel;
	char error[256], sql[128];
	int sent;

	snprintf(sql, sizeof sql, "SELECT '%s' FROM pg_sleep(%s)", c->nonce,
	    draw(2) ? "0.02" : "0.0005");
	if (!PQsendQuery(c->conn, sql))
		return 0;
	cancel = PQgetCancel(c->conn);
	sent = PQcancel(cancel, error, sizeof error);
	PQfreeCancel(cancel);
	storm.cancels++;
	return sent || storm.kills || wrong(c, "a cancel request", "", error);
}

static int
came_cancel(StormClient *c, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	if (state && strcmp(state, "57014") == 0) {
		storm.cancels_hit++;
		return 1;
	}
	return is(c, r, 0, c->nonce);
}

/* Goes away within a transaction, with a query under way. */
static int
send_leave(StormClient *c)
{
	if (!PQsendQuery(
		c->conn, "BEGIN; UPDATE account SET name = 'gone'; SELECT pg_sleep(0.002)"))
		return 0;
	PQflush(c->conn);
	reconnect(c);
	return PQsendQuery(c->conn, "SELECT 1");
}

static int
came_any(StormClient *c, const PGresult *r)
{
	return is(c, r, 0, "1");
}

static const Play plays[] = {
	{ "a simple query", send_simple, sees_mine, end },
	{ "a query with parameters", send_params, sees_mine, end },
	{ "a prepared statement", send_prepared, came_prepared, over_prepared },
	{ "a transaction that is undone", send_rollback, came_rollback, over_rollback },
	{ "a pipeline", send_pipeline, came_pipeline, over_pipeline },
	{ "a setting that follows", send_zone, came_zone, end },
	{ "a setting of a session", send_pin, came_pin, end },
	{ "a setting of somebody else", send_not_pinned, came_not_pinned, end },
	{ "DISCARD ALL", send_discard, came_discard, end },
	{ "a cancel request", send_cancel, came_cancel, end },
	{ "leaving", send_leave, came_any, end },
	{ "RESET", send_reset, came_reset, over_reset },
};

/* How often each is drawn, of a thousand. */
static int share[] = { 225, 225, 225, 80, 80, 80, 5, 40, 5, 15, 5, 15 };

/* Who is pinned holds a place that others wait for: not for long. */
static const Play *
draw_play(const StormClient *c)
{
	int at = (int)draw(1000);
	size_t i = 0;

	while (at >= share[i])
		at -= share[i++];
	if (c->pinned && draw(8) == 0)
		i = 8;
	storm.of[i]++;
	return &plays[i];
}

/* --- the storm ------------------------------------------------------------------------- */

static void
begin(StormClient *c)
{
	for (;;) {
		c->play = draw_play(c);
		new_nonce(c);
		if (c->play->send(c))
			break;
		if (PQstatus(c->conn) != CONNECTION_OK) {
			if (storm.kills)
				storm.lost++;
			else
				wrong(c, c->play->name, "a connection", PQerrorMessage(c->conn));
			reconnect(c);
		}
	}
	PQflush(c->conn);
}

static void
finish(StormClient *c)
{
	storm.done++;
	c->play = NULL;
	if (storm.done + storm.clients <= storm.wanted)
		begin(c);
}

/* Its connection was taken from it, which nothing but a kill may do. */
static int
was_lost(StormClient *c, const PGresult *r)
{
	static const char *const states[] = { "57P01", "57P02", "57P03", "08006", "08003" };
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	int lost = PQstatus(c->conn) == CONNECTION_BAD ||
	    (r && PQresultStatus(r) == PGRES_FATAL_ERROR && !state);

	if (!storm.kills)
		return 0;
	for (size_t i = 0; state && i < sizeof states / sizeof *states; i++)
		lost = lost || strcmp(state, states[i]) == 0;
	if (!lost)
		return 0;
	storm.lost++;
	reconnect(c);
	finish(c);
	return 1;
}

static void
advance(StormClient *c)
{
	int nulls = 0;

	if (!PQconsumeInput(c->conn)) {
		if (was_lost(c, NULL))
			return;
		wrong(c, c->play->name, "an answer", PQerrorMessage(c->conn));
		reconnect(c);
		finish(c);
		return;
	}
	PQflush(c->conn);
	while (c->play && !PQisBusy(c->conn)) {
		PGresult *r = PQgetResult(c->conn);
		if (r) {
			nulls = 0;
			int lost = was_lost(c, r);
			if (!lost)
				c->play->came(c, r);
			PQclear(r);
			if (lost)
				return;
			continue;
		}
		if (was_lost(c, NULL))
			return;
		int next = c->play->over(c);
		if (next == 0)
			wrong(c, c->play->name, "an end", PQerrorMessage(c->conn));
		if (next == 2)
			PQflush(c->conn);
		else if (next != 3)
			finish(c);
		else if (++nulls > 1)
			return;
	}
}

static void
turn(void)
{
	struct pollfd at[CLIENTS_MAX];
	int ready = 0;

	for (int i = 0; i < storm.clients; i++) {
		StormClient *c = &storm.client[i];
		at[i] = (struct pollfd){ .fd = c->play ? PQsocket(c->conn) : -1, .events = POLLIN };
	}
	for (int patience = 0; ready <= 0 && patience < 30; patience++) {
		ready = poll(at, (nfds_t)storm.clients, 1000);
		for (int i = 0; ready <= 0 && i < storm.clients; i++)
			if (storm.client[i].play)
				advance(&storm.client[i]); /* what libpq has already */
	}
	if (ready <= 0) {
		fprintf(stderr, "storm: no answer for 30 s\n");
		for (int i = 0; i < storm.clients; i++)
			if (storm.client[i].play)
				wrong(&storm.client[i], storm.client[i].play->name, "an answer",
				    "none");
		exit(1);
	}
	for (int i = 0; i < storm.clients; i++)
		if (at[i].revents)
			advance(&storm.client[i]);
}

static int
playing(void)
{
	for (int i = 0; i < storm.clients; i++)
		if (storm.client[i].play)
			return 1;
	return 0;
}

static void
read_logins(const char *file)
{
	FILE *f = fopen(file, "r");
	char line[640];

	while (f && storm.logins < LOGINS_MAX && fgets(line, sizeof line, f)) {
		Login *l = &storm.login[storm.logins];
		char *tab = strchr(line, '\t');
		if (!tab)
			continue;
		*tab++ = '\0';
		tab[strcspn(tab, "\n")] = '\0';
		snprintf(l->dsn, sizeof l->dsn, "%s", line);
		snprintf(l->tenant, sizeof l->tenant, "%s", tab);
		storm.logins++;
	}
	if (f)
		fclose(f);
}

int
main(int argc, char **argv)
{
	if (argc < 5 || argc > 7) {
		fprintf(stderr, "usage: storm FILE TRANSACTIONS SEED CLIENTS [CANCELS [kills]]\n");
		return 64;
	}
	read_logins(argv[1]);
	storm.wanted = strtol(argv[2], NULL, 10);
	storm.random = strtoull(argv[3], NULL, 10) * 2654435761u + 88172645463325252ull;
	storm.clients = (int)strtol(argv[4], NULL, 10);
	storm.kills = argc == 7;
	if (argc >= 6) {
		int cancels = (int)strtol(argv[5], NULL, 10), rest = 1000 - cancels;
		for (size_t i = 3; i < sizeof share / sizeof *share; i++)
			rest -= i == 9 ? 0 : share[i];
		for (int i = 0; i < 3; i++)
			share[i] = (rest + 2 - i) / 3;
		share[9] = cancels;
	}
	if (storm.logins == 0 || storm.clients < 1 || storm.clients > CLIENTS_MAX)
		return 64;
	for (int i = 0; i < storm.clients; i++) {
		StormClient *c = &storm.client[i];
		c->number = i;
		c->login = &storm.login[i % storm.logins];
		connect_client(c);
		PQsetNoticeProcessor(c->conn, quiet, NULL);
	}
	for (int i = 0; i < storm.clients; i++)
		begin(&storm.client[i]);
	while (playing())
		turn();
	printf("%ld transactions of %d clients, %d logins: %ld wrong; %ld cancel requests, %ld in "
	       "time; %ld reconnected; %ld lost\n",
	    storm.done, storm.clients, storm.logins, storm.failed, storm.cancels, storm.cancels_hit,
	    storm.reconnects, storm.lost);
	for (size_t i = 0; i < sizeof plays / sizeof *plays; i++)
		printf("  %8ld  %s\n", storm.of[i], plays[i].name);
	for (int i = 0; i < storm.clients; i++)
		PQfinish(storm.client[i].conn);
	return storm.failed > 0;
}

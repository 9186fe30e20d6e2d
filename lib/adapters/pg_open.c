#include "lib/adapters/pg_intern.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/vec.h"

#define PG_PORT          5432
#define PG_CONNECT_MS    10000
#define PG_STATEMENT_MS  60000
#define PG_ADDRESSES     8
#define PG_SOCKET_FOLDER "/var/run/postgresql"
#define PG_NO_FILE       "/dev/null/none" /* cannot exist: libpq reads no file of the user's home */

typedef struct PgAddresses {
	const char *at[PG_ADDRESSES];
	int n;
} PgAddresses;

const char *
pg_where(Arena *mem, const PgTarget *t)
{
	if (t->host[0] == '/')
		return arena_printf(mem, "%s/.s.PGSQL.%d", t->host, t->port);
	return arena_printf(
	    mem, strchr(t->host, ':') != NULL ? "[%s]:%d" : "%s:%d", t->host, t->port);
}

static void
pg_notice(void *arg, const PGresult *result)
{
	(void)arg, (void)result;
}

/* libpq looks into the environment wherever a parameter is missing, and some (PGSERVICE,
 * PGTZ) no parameter can keep out: it gets an empty one while it reads. */
static char **
pg_hide_environment(void)
{
	static char *none[] = { NULL };
	char **was = environ;

	environ = none;
	return was;
}

/* What a role may have set for itself must not end our session before it begins. */
static char *
pg_options(Arena *mem, int64_t statement_ms)
{
	return arena_printf(mem,
	    "-c search_path= -c DateStyle=ISO,MDY -c IntervalStyle=iso_8601"
	    " -c TimeZone=UTC -c extra_float_digits=3 -c bytea_output=hex"
	    " -c standard_conforming_strings=on -c default_transaction_read_only=off"
	    " -c default_transaction_isolation=read\\ committed"
	    " -c local_preload_libraries= -c lock_timeout=0"
	    " -c idle_in_transaction_session_timeout=0"
	    " -c client_min_messages=warning -c statement_timeout=%lld",
	    (long long)statement_ms);
}

/* Where nobody vouches for the server the password itself is not for it; libpq 15 cannot refuse. */
static bool
pg_refuses_clear(const PgTarget *t)
{
	bool verified = t->sslmode != NULL && strncmp(t->sslmode, "verify-", 7) == 0;

	return PQlibVersion() >= 160000 && !verified && t->host[0] != '/';
}

static PGconn *
pg_start(Arena *mem, const PgTarget *t, const char *address, int64_t statement_ms)
{
	const char *const pairs[][2] = {
		{ "host", t->host },
		{ "hostaddr", address },
		{ "port", arena_printf(mem, "%d", t->port) },
		{ "dbname", t->dbname },
		{ "user", t->user },
		{ "password", t->password.text },
		{ "passfile", t->passfile != NULL ? t->passfile : PG_NO_FILE },
		{ "sslmode", t->sslmode != NULL ? t->sslmode : "prefer" },
		{ "sslrootcert", t->sslrootcert != NULL ? t->sslrootcert : PG_NO_FILE },
		{ "sslcert", t->sslcert != NULL ? t->sslcert : PG_NO_FILE },
		{ "sslkey", t->sslkey != NULL ? t->sslkey : PG_NO_FILE },
		{ "sslcrl", t->sslcrl != NULL ? t->sslcrl : PG_NO_FILE },
		{ "sslcrldir", t->sslcrl != NULL ? NULL : PG_NO_FILE },
		{ "gssencmode", "disable" },
		{ "application_name", "copyhold" },
		{ "client_encoding", "UTF8" },
		{ "target_session_attrs", "any" },
		{ "keepalives", "1" },
		{ "keepalives_idle", "30" },
		{ "keepalives_interval", "10" },
		{ "keepalives_count", "3" },
		{ "options", pg_options(mem, statement_ms) },
		/* the last one, for NULL ends them */
		{ pg_refuses_clear(t) ? "require_auth" : NULL, "!password" },
	};
	const char *keys[LENGTH(pairs) + 1] = { 0 }, *values[LENGTH(pairs) + 1] = { 0 };

	for (size_t i = 0; i < LENGTH(pairs); i++) {
		keys[i] = pairs[i][0];
		values[i] = pairs[i][1];
	}
	char **was = pg_hide_environment();
	PGconn *conn = PQconnectStartParams(keys, values, 0);
	environ = was;
	return conn;
}

static PostgresPollingStatusType
pg_poll(PGconn *conn)
{
	char **was = pg_hide_environment();

	tls_watch();
	PostgresPollingStatusType state = PQconnectPoll(conn);

	environ = was;
	return state;
}

static bool
pg_handshake(Ctx *cx, Pg *pg, const PgTarget *t, int64_t deadline, int64_t span)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state == PGRES_POLLING_WRITING || state == PGRES_POLLING_READING) {
		int want = state == PGRES_POLLING_READING ? LANE_READ : LANE_WRITE;
		if (lane_wait(PQsocket(pg->conn), want, deadline) == 0)
			return pg_fail_silent(cx, t, span);
		state = pg_poll(pg->conn);
	}
	if (state == PGRES_POLLING_OK)
		return true;
	return pg_fail_connect(cx, t, PQerrorMessage(pg->conn), tls_verdict());
}

static bool
pg_attempt(Ctx *cx, Pg *pg, const PgTarget *t, const char *address, int64_t deadline, int64_t span)
{
	pg->conn = pg_start(cx->mem, t, address, pg->statement_ms);
	if (pg->conn == NULL)
		return fail(cx, FAIL_SYSTEM, NULL, "no memory for a connection");
	PQsetErrorVerbosity(pg->conn, PQERRORS_SQLSTATE);
	PQsetNoticeReceiver(pg->conn, pg_notice, NULL);
	bool good = PQstatus(pg->conn) == CONNECTION_BAD
	    ? pg_fail_connect(cx, t, PQerrorMessage(pg->conn), TLS_UNKNOWN)
	    : pg_handshake(cx, pg, t, deadline, span);
	if (good && PQsetnonblocking(pg->conn, 1) == 0)
		return true;
	pg_close(pg);
	return good ? pg_fail_lost(cx, pg) : false;
}

static bool
pg_fail_name(Ctx *cx, const PgTarget *t)
{
	return fail(cx, FAIL_UNREACHABLE, "Check the name, and the name service of this machine.",
	    "host \"%s\" has no address", t->host);
}

static void
pg_take_addresses(Arena *mem, const struct addrinfo *list, PgAddresses *out)
{
	char text[NI_MAXHOST];

	for (const struct addrinfo *a = list; a != NULL && out->n < PG_ADDRESSES; a = a->ai_next)
		if (getnameinfo(
			a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
			out->at[out->n++] = arena_dup(mem, text);
}

typedef struct PgLookup { /* used by the resolver's thread */
	struct gaicb request;
	struct addrinfo wish;
} PgLookup;

/* The resolver works in a thread of its own; this one only looks whether it is done. */
static bool
pg_look_up(Ctx *cx, const PgTarget *t, int64_t deadline, int64_t span, PgAddresses *out)
{
	Arena *own = arena_new(NULL);
	PgLookup *l = arena_alloc(own, sizeof *l);
	struct gaicb *list[1] = { &l->request };

	l->wish.ai_socktype = SOCK_STREAM;
	l->request.ar_name = arena_dup(own, t->host);
	l->request.ar_request = &l->wish;
	int rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	for (int64_t pause = 1; rc == 0 && gai_error(&l->request) == EAI_INPROGRESS;) {
		if (clock_mono_ms() >= deadline) {
			/* What cannot be cancelled is still written to: it is left alone. */
			if (gai_cancel(&l->request) != EAI_NOTCANCELED)
				arena_free(own);
			return pg_fail_silent(cx, t, span);
		}
		lane_sleep(pause);
		pause = pause < 16 ? pause * 2 : pause;
	}
	if (rc == 0)
		rc = gai_error(&l->request);
	if (rc == 0) {
		pg_take_addresses(cx->mem, l->request.ar_result, out);
		freeaddrinfo(l->request.ar_result);
	}
	arena_free(own);
	return out->n > 0 ? true : pg_fail_name(cx, t);
}

static bool
pg_addresses(Ctx *cx, const PgTarget *t, int64_t deadline, int64_t span, PgAddresses *out)
{
	struct addrinfo wish = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *list;

	if (t->host[0] == '/') {
		out->n = 1; /* no address: libpq uses the folder */
		return true;
	}
	if (getaddrinfo(t->host, NULL, &wish, &list) == 0) {
		pg_take_addresses(cx->mem, list, out);
		freeaddrinfo(list);
		return out->n > 0 ? true : pg_fail_name(cx, t);
	}
	return pg_look_up(cx, t, deadline, span, out);
}

/* Whether a server is there, so that another address could only hide what it said. */
static bool
pg_answered(const Fail *f)
{
	if (f->kind != FAIL_UNREACHABLE && f->kind != FAIL_TIMEOUT)
		return true;
	return f->cause != NULL && strncmp(f->cause, "SQLSTATE", 8) == 0;
}

/* Each address gets its share of the time that is left. */
static bool
pg_connect(Ctx *cx, Pg *pg, const PgTarget *t, int64_t span)
{
	int64_t deadline = clock_mono_ms() + span;
	PgAddresses addresses = { 0 };

	if (!pg_addresses(cx, t, deadline, span, &addresses))
		return false;
	for (int i = 0; i < addresses.n; i++) {
		int64_t left = deadline - clock_mono_ms();
		int64_t until = deadline - left + left / (addresses.n - i);
		if (i > 0)
			fail_clear(cx);
		if (pg_attempt(cx, pg, t, addresses.at[i], until, span))
			return true;
		if (pg_answered(cx->fail))
			return false;
	}
	return false;
}

bool
pg_open(Ctx *cx, const PgTarget *target, Pg **out)
{
	PgTarget t = *target;
	Pg *pg = arena_alloc(cx->mem, sizeof *pg);

	if (t.host == NULL || t.host[0] == '\0')
		t.host = PG_SOCKET_FOLDER;
	if (t.port == 0)
		t.port = PG_PORT;
	if (t.sslkey != NULL && strchr(t.sslkey, ':') != NULL)
		return fail(cx, FAIL_TLS, "Name a file whose path has no colon in it.",
		    "the client key \"%s\" is no file that can be used", t.sslkey);
	pg->mem = cx->mem;
	pg->name = arena_dup(cx->mem, t.name != NULL ? t.name : pg_where(cx->mem, &t));
	pg->statement_ms = t.statement_ms > 0 ? t.statement_ms : PG_STATEMENT_MS;
	pg->session_ms = pg->statement_ms;
	if (!pg_connect(cx, pg, &t, t.connect_ms > 0 ? t.connect_ms : PG_CONNECT_MS))
		return false;
	arena_on_free(cx->mem, pg_free, pg);
	*out = pg;
	return true;
}

static bool
pg_dsn_seconds(const char *text, int64_t *ms)
{
	char *end;

	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < 0 || n > 86400)
		return false;
	*ms = n * 1000;
	return true;
}

static bool
pg_dsn_port(const char *text, int *port)
{
	char *end;

	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < 1 || n > 65535)
		return false;
	*port = (int)n;
	return true;
}

/* What we set ourselves may stand in a string that a user brings along, without effect. */
static bool
pg_dsn_ours(const char *key)
{
	static const char *const ours[] = { "application_name", "fallback_application_name",
		"client_encoding", "gssencmode", "keepalives", "keepalives_idle",
		"keepalives_interval", "keepalives_count" };

	for (size_t i = 0; i < LENGTH(ours); i++)
		if (strcmp(key, ours[i]) == 0)
			return true;
	return false;
}

static bool
pg_dsn_text(Arena *mem, PgTarget *t, const char *key, const char *value)
{
	const struct {
		const char *key, **out;
	} texts[] = {
		{ "host", &t->host },
		{ "dbname", &t->dbname },
		{ "user", &t->user },
		{ "passfile", &t->passfile },
		{ "sslmode", &t->sslmode },
		{ "sslrootcert", &t->sslrootcert },
		{ "sslcert", &t->sslcert },
		{ "sslkey", &t->sslkey },
		{ "sslcrl", &t->sslcrl },
	};

	for (size_t i = 0; i < LENGTH(texts); i++)
		if (strcmp(key, texts[i].key) == 0) {
			*texts[i].out = arena_dup(mem, value);
			return true;
		}
	return false;
}

static bool
pg_dsn_part(Ctx *cx, PgTarget *t, const char *key, const char *value)
{
	if (strcmp(key, "password") == 0) {
		t->password = secret_new(cx->mem, value, strlen(value));
		return true;
	}
	if (strcmp(key, "port") == 0 && !pg_dsn_port(value, &t->port))
		return fail(cx, FAIL_USAGE, "Give one number from 1 to 65535.",
		    "the connection string has a bad port");
	if (strcmp(key, "connect_timeout") == 0 && !pg_dsn_seconds(value, &t->connect_ms))
		return fail(cx, FAIL_USAGE, "Give a number of seconds.",
		    "the connection string has a bad connect_timeout");
	if (strcmp(key, "host") == 0 && strchr(value, ',') != NULL)
		return fail(
		    cx, FAIL_USAGE, "Name one host.", "the connection string names several hosts");
	if (strcmp(key, "port") == 0 || strcmp(key, "connect_timeout") == 0 ||
	    pg_dsn_text(cx->mem, t, key, value) || pg_dsn_ours(key))
		return true;
	return fail(cx, FAIL_USAGE,
	    "Leave it out; host, port, dbname, user, password, passfile, "
	    "connect_timeout and the ssl files can be given.",
	    "\"%s\" is not supported in a connection string", key);
}

static void
pg_dsn_defaults(Ctx *cx, PgTarget *t)
{
	const struct passwd *me = t->user == NULL ? getpwuid(geteuid()) : NULL;

	if (t->host == NULL)
		t->host = PG_SOCKET_FOLDER;
	if (t->port == 0)
		t->port = PG_PORT;
	if (me != NULL)
		t->user = arena_dup(cx->mem, me->pw_name);
	if (t->dbname == NULL)
		t->dbname = t->user;
}

/* libpq's own message may repeat the string with its password, so it is not shown. */
bool
pg_target_dsn(Ctx *cx, const char *dsn, PgTarget *out)
{
	char *said = NULL;
	PQconninfoOption *all = PQconninfoParse(dsn, &said);
	PgTarget t = { 0 };
	bool good = true;

	PQfreemem(said);
	if (all == NULL)
		return fail(cx, FAIL_USAGE,
		    "Write postgresql://USER@HOST:PORT/DATABASE, or "
		    "\"host=... port=... dbname=... user=...\".",
		    "the connection string cannot be read");
	for (PQconninfoOption *o = all; o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		good = good && (o->val[0] == '\0' || pg_dsn_part(cx, &t, o->keyword, o->val));
		secret_wipe(o->val, strlen(o->val));
	}
	PQconninfoFree(all);
	if (!good)
		return false;
	pg_dsn_defaults(cx, &t);
	*out = t;
	return true;
}

char *
pg_quote_uri(Arena *mem, const char *part)
{
	Buf out = buf_new(mem);

	for (const unsigned char *p = (const unsigned char *)part; *p != '\0'; p++) {
		if ((*p < 128 && isalnum(*p)) || strchr("-._~", *p) != NULL)
			buf_addc(&out, (char)*p);
		else
			buf_fmt(&out, "%%%02X", *p);
	}
	return out.text;
}

#include "lib/adapters/pg_intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/vec.h"

/* Rows are tried in order, so longer prefixes stand first.  Where the primary message names
 * objects only it is shown; where it may repeat a value `condition` is shown instead. */
typedef struct PgClass {
	const char *prefix;
	FailKind kind;
	const char *condition;
	const char *hint;
} PgClass;

#define PG_MESSAGE_MAX 500 /* a server may say as much as it likes */
#define PG_HINT_AGAIN  "Run the command again."
#define PG_HINT_WAIT   "Wait a moment, then try again."

static const PgClass pg_classes[] = {
	{ "08", FAIL_UNREACHABLE, NULL, PG_HINT_WAIT },
	{ "0A", FAIL_SERVER, NULL, "Check that the server's version is supported." },
	{ "21000", FAIL_SERVER, "cardinality violation", NULL },
	{ "22001", FAIL_SERVER, "a text is too long", NULL },
	{ "22003", FAIL_SERVER, "a number is out of range", NULL },
	{ "22004", FAIL_SERVER, "a null where none may be", NULL },
	{ "22007", FAIL_SERVER, "a date or time has the wrong form", NULL },
	{ "22008", FAIL_SERVER, "a date or time is out of range", NULL },
	{ "22012", FAIL_SERVER, "division by zero", NULL },
	{ "22021", FAIL_SERVER, "a character that the encoding does not know", NULL },
	{ "22023", FAIL_SERVER, "an invalid parameter value", NULL },
	{ "22P02", FAIL_SERVER, "a text that is no value of its type", NULL },
	{ "22P03", FAIL_SERVER, "bytes that are no value of their type", NULL },
	{ "22P04", FAIL_SERVER, "bad COPY data", NULL },
	{ "22P05", FAIL_SERVER, "a character that cannot be converted", NULL },
	{ "22", FAIL_SERVER, "a value that the server cannot take", NULL },
	{ "23", FAIL_SERVER, NULL, "Look for the rows that break the rule." },
	{ "25006", FAIL_SERVER, NULL, "It may be a standby: name the primary." },
	{ "25", FAIL_SERVER, NULL, NULL },
	{ "28", FAIL_LOGIN, NULL, "Check the user and its password." },
	{ "2B", FAIL_SERVER, NULL, "Drop or reassign what depends on it first." },
	{ "3D", FAIL_SERVER, NULL, "Check the database's name." },
	{ "40", FAIL_SERVER, NULL, PG_HINT_AGAIN },
	{ "42501", FAIL_MISSING_RIGHT, NULL, "Grant the right to our login there." },
	{ "42601", FAIL_SERVER, "syntax error", NULL },
	{ "42", FAIL_SERVER, NULL,
	    "Somebody may have changed it by hand: copyhold plan "
	    "shows what differs." },
	{ "53100", FAIL_DISK_FULL, NULL, "Free some space on the server." },
	{ "53300", FAIL_UNREACHABLE, NULL, "End idle sessions there, or raise max_connections." },
	{ "53", FAIL_SERVER, NULL, "The server is short of a resource." },
	{ "54", FAIL_SERVER, "a limit of the server was passed", NULL },
	{ "55P03", FAIL_SERVER, NULL, "Another session holds a lock there; try again later." },
	{ "55006", FAIL_SERVER, NULL, "End the sessions that use it, then try again." },
	{ "55", FAIL_SERVER, NULL, NULL },
	{ "57014", FAIL_SERVER, NULL, PG_HINT_AGAIN },
	{ "57", FAIL_UNREACHABLE, NULL, PG_HINT_WAIT },
	{ "58", FAIL_SERVER, "the server's operating system refused a call",
	    "Look into the server's log." },
	{ "XX", FAIL_SERVER, "an internal error of the server", "Look into the server's log." },
	{ "", FAIL_SERVER, "an error", "Look into the server's log." },
};

static const PgClass *
pg_class(const char *sqlstate)
{
	size_t i = 0;

	while (strncmp(pg_classes[i].prefix, sqlstate, strlen(pg_classes[i].prefix)) != 0)
		i++;
	return &pg_classes[i];
}

static void
pg_field(char *out, size_t size, const PGresult *result, int field)
{
	const char *text = PQresultErrorField(result, field);

	snprintf(out, size, "%s", text == NULL ? "" : text);
}

/* The server tells where a COPY failed in its context alone, which ends with the value:
 * `COPY album, line 3, column title: "..."`.  Table and column there are names of ours. */
static void
pg_note_copy(PgError *e, const PGresult *result)
{
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *at = context == NULL || strncmp(context, "COPY ", 5) != 0
	    ? NULL
	    : strstr(context, ", line ");

	if (at == NULL)
		return;
	char *end;
	e->line = strtoll(at + 7, &end, 10);
	if (e->column[0] != '\0' || strncmp(end, ", column ", 9) != 0)
		return;
	size_t n = strcspn(end + 9, ":,\n");
	if (n < sizeof e->column)
		snprintf(e->column, sizeof e->column, "%.*s", (int)n, end + 9);
}

static void
pg_note_error(PgError *e, const PGresult *result)
{
	pg_field(e->sqlstate, sizeof e->sqlstate, result, PG_DIAG_SQLSTATE);
	pg_field(e->constraint, sizeof e->constraint, result, PG_DIAG_CONSTRAINT_NAME);
	pg_field(e->column, sizeof e->column, result, PG_DIAG_COLUMN_NAME);
	pg_field(e->table, sizeof e->table, result, PG_DIAG_TABLE_NAME);
	pg_field(e->schema, sizeof e->schema, result, PG_DIAG_SCHEMA_NAME);
	pg_note_copy(e, result);
}

bool
pg_fail_lost(Ctx *cx, Pg *pg)
{
	return fail(cx, FAIL_UNREACHABLE, "Check that the server runs, then try again.",
	    "connection to \"%s\" was lost", pg->name);
}

/* 57014 is a cancel from outside as well; only our own deadline is a timeout. */
static bool
pg_is_timeout(const Pg *pg)
{
	return strcmp(pg->error.sqlstate, "57014") == 0 &&
	    clock_mono_ms() - pg->started >= pg->statement_ms;
}

/* A function of PL/pgSQL may raise any code with any text. */
static const char *
pg_shown(Arena *mem, const PgClass *class, const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *source = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

	if (source != NULL && strcmp(source, "exec_stmt_raise") == 0)
		return "a function on the server raised an error";
	if (class->condition != NULL)
		return class->condition;
	return message != NULL ? arena_printf(mem, "%.*s", PG_MESSAGE_MAX, message) : "an error";
}

bool
pg_fail_result(Ctx *cx, Pg *pg, const PGresult *result, const char *what)
{
	pg_note_error(&pg->error, result);
	if (pg->error.sqlstate[0] == '\0')
		return pg_fail_lost(cx, pg);
	const PgClass *class = pg_class(pg->error.sqlstate);
	if (pg_is_timeout(pg))
		fail(cx, FAIL_TIMEOUT, "Look for locks and load there, then try again.",
		    "\"%s\" did not finish %s within %s", pg->name, what,
		    clock_human(cx->mem, pg->statement_ms));
	else
		fail(cx, class->kind, class->hint, "\"%s\" refused %s: %s", pg->name, what,
		    pg_shown(cx->mem, class, result));
	return fail_cause(cx, "SQLSTATE %s", pg->error.sqlstate);
}

/* The connection speaks in PQERRORS_SQLSTATE: the last "SEVERITY:  CODE" line counts. */
static const char *
pg_said_sqlstate(Arena *mem, const char *said)
{
	const char *found = NULL;

	for (const char *p = strstr(said, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
		const char *code = p + 3;
		if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
		    (code[5] == '\n' || code[5] == '\0'))
			found = code;
	}
	return found == NULL ? NULL : arena_dupn(mem, found, 5);
}

static const char *
pg_target_name(Ctx *cx, const PgTarget *t)
{
	return t->name != NULL ? t->name : pg_where(cx->mem, t);
}

static bool
pg_fail_login(Ctx *cx, const PgTarget *t, const char *code)
{
	const char *name = pg_target_name(cx, t), *user = t->user == NULL ? "" : t->user;
	const char *db = t->dbname == NULL ? user : t->dbname;

	if (strcmp(code, "28P01") == 0)
		fail(cx, FAIL_LOGIN, "Check the password, and that it is the one of this user.",
		    "\"%s\" refused the password of user \"%s\"", name, user);
	else if (strncmp(code, "28", 2) == 0)
		fail(cx, FAIL_LOGIN,
		    "Check that the role exists and may log in, and that "
		    "pg_hba.conf there lets this machine in.",
		    "\"%s\" refused the login of user \"%s\"", name, user);
	else if (strcmp(code, "3D000") == 0)
		fail(cx, FAIL_NOT_FOUND, "Check the database's name.",
		    "database \"%s\" does not exist on \"%s\"", db, name);
	else if (strcmp(code, "42501") == 0)
		fail(cx, FAIL_MISSING_RIGHT,
		    arena_printf(cx->mem, "Run there: GRANT CONNECT ON DATABASE \"%s\" TO \"%s\".",
			db, user),
		    "user \"%s\" may not connect to database \"%s\" on \"%s\"", user, db, name);
	else if (strcmp(code, "53300") == 0)
		fail(cx, FAIL_UNREACHABLE, "End idle sessions there, or raise max_connections.",
		    "\"%s\" has no free connection", name);
	else if (strcmp(code, "57P03") == 0)
		fail(cx, FAIL_UNREACHABLE, PG_HINT_WAIT,
		    "\"%s\" is starting, stopping or recovering", name);
	else if (strcmp(code, "55000") == 0)
		fail(cx, FAIL_SERVER, "Run there: ALTER DATABASE ... ALLOW_CONNECTIONS true.",
		    "database \"%s\" on \"%s\" accepts no connections", db, name);
	else if (strcmp(code, "08P01") == 0)
		fail(cx, FAIL_UNREACHABLE, "Name the server itself, not a pooler before it.",
		    "\"%s\" does not take our session settings", name);
	else
		fail(cx, pg_class(code)->kind == FAIL_UNREACHABLE ? FAIL_UNREACHABLE : FAIL_SERVER,
		    "Look into the server's log.", "\"%s\" refused the connection", name);
	return fail_cause(cx, "SQLSTATE %s", code);
}

static const char *
pg_or(const char *text, const char *otherwise)
{
	return text != NULL ? text : otherwise;
}

static bool
pg_fail_verdict(Ctx *cx, const PgTarget *t, TlsVerdict verdict)
{
	const char *name = pg_target_name(cx, t);

	switch (verdict) {
	case TLS_EXPIRED:
		return fail(cx, FAIL_TLS, "Renew the certificate on the server.",
		    "the certificate of \"%s\" has expired", name);
	case TLS_NOT_YET:
		return fail(cx, FAIL_TLS, "Compare the clocks of both machines.",
		    "the certificate of \"%s\" is not valid yet", name);
	case TLS_REVOKED:
		return fail(cx, FAIL_TLS, "Install a new certificate on the server.",
		    "the certificate of \"%s\" was revoked", name);
	case TLS_WRONG_CA:
		return fail(cx, FAIL_TLS,
		    arena_printf(cx->mem,
			"Give the certificate of the CA "
			"that signed it; now \"%s\" is used.",
			pg_or(t->sslrootcert, "none")),
		    "the certificate of \"%s\" was not signed by the CA that was given", name);
	case TLS_UNKNOWN:
	case TLS_OTHER:
		break;
	}
	return fail(cx, FAIL_TLS, "Compare the server's certificate with the CA that was given.",
	    "the certificate of \"%s\" cannot be trusted", name);
}

static bool
pg_has(const char *said, const char *part)
{
	return strstr(said, part) != NULL;
}

/* What is wrong with our own files: the texts are libpq's. */
static bool
pg_fail_tls_files(Ctx *cx, const PgTarget *t, const char *said)
{
	const char *name = pg_target_name(cx, t);

	if (pg_has(said, "root certificate file") && t->sslrootcert == NULL)
		return fail(cx, FAIL_TLS, "Name the file that holds the CA's certificate.",
		    "no CA is named that \"%s\" could be trusted by", name);
	if (pg_has(said, "root certificate file"))
		return fail(cx, FAIL_TLS,
		    "Check that the file is there, may be read, and holds PEM.",
		    "the CA's certificate \"%s\" cannot be read", t->sslrootcert);
	if (pg_has(said, "group or world access"))
		return fail(cx, FAIL_TLS, "Take the rights away from group and others: chmod 600.",
		    "the client key \"%s\" can be read by others", pg_or(t->sslkey, ""));
	if (pg_has(said, "does not match private key") || pg_has(said, "key values mismatch"))
		return fail(cx, FAIL_TLS, "Give the key that the certificate was made for.",
		    "the client certificate \"%s\" does not belong to the key \"%s\"",
		    pg_or(t->sslcert, ""), pg_or(t->sslkey, ""));
	if (pg_has(said, "private key file"))
		return fail(cx, FAIL_TLS,
		    "Check that the file is there, is ours, and holds a key "
		    "without a passphrase.",
		    "the client key \"%s\" cannot be read", pg_or(t->sslkey, ""));
	return fail(cx, FAIL_TLS, "Check that the file is there, may be read, and holds PEM.",
	    "the client certificate \"%s\" cannot be read", pg_or(t->sslcert, ""));
}

/* True if the text is about TLS and the failure was told. */
static bool
pg_told_tls(Ctx *cx, const PgTarget *t, const char *said, TlsVerdict verdict)
{
	const char *name = pg_target_name(cx, t);

	if (pg_has(said, "certificate verify failed"))
		pg_fail_verdict(cx, t, verdict);
	else if (pg_has(said, "does not match host name"))
		fail(cx, FAIL_TLS,
		    "Use the host name that the certificate is for, or have one "
		    "made for this name.",
		    "the certificate of \"%s\" is not for host \"%s\"", name, t->host);
	else if (pg_has(said, "does not support SSL"))
		fail(cx, FAIL_TLS, "Turn ssl on there, or choose a weaker TLS mode.",
		    "\"%s\" does not offer TLS", name);
	else if (pg_has(said, "root certificate file") || pg_has(said, "private key file") ||
	    pg_has(said, "certificate file") || pg_has(said, "not private key"))
		pg_fail_tls_files(cx, t, said);
	else if (pg_has(said, "alert"))
		fail(cx, FAIL_TLS, "Check the client certificate and key that were given for it.",
		    "\"%s\" did not accept our client certificate", name);
	else if (pg_has(said, "SSL error") || pg_has(said, "SSL SYSCALL error"))
		fail(cx, FAIL_TLS,
		    "Check which TLS versions the server allows; TLS 1.2 is the least.",
		    "no TLS session with \"%s\" could be made", name);
	else
		return false;
	return true;
}

static const char *
pg_socket_hint(Ctx *cx, const PgTarget *t)
{
	const char *where = pg_where(cx->mem, t);

	if (t->name == NULL)
		return arena_printf(cx->mem, "Is PostgreSQL running on %s?", where);
	return arena_printf(cx->mem,
	    "Is PostgreSQL running on %s? Try: copyhold doctor --cluster %s", where, t->name);
}

bool
pg_fail_silent(Ctx *cx, const PgTarget *t, int64_t ms)
{
	return fail(cx, FAIL_TIMEOUT, pg_socket_hint(cx, t), "no connection to \"%s\" within %s",
	    pg_target_name(cx, t), clock_human(cx->mem, ms));
}

/* The texts are strerror's; nothing else tells a connection's errno. */
static bool
pg_fail_network(Ctx *cx, const PgTarget *t, const char *said)
{
	static const struct {
		const char *part, *cause, *what;
	} errors[] = {
		{ "Connection refused", "ECONNREFUSED", "refused" },
		{ "No such file or directory", "ENOENT", "refused" },
		{ "Permission denied", "EACCES", "not permitted" },
		{ "No route to host", "EHOSTUNREACH", "has no route" },
		{ "Network is unreachable", "ENETUNREACH", "has no route" },
		{ "Connection timed out", "ETIMEDOUT", "timed out" },
		{ "Connection reset by peer", "ECONNRESET", "was reset" },
		{ "server closed the connection", "ECONNRESET", "was closed by the server" },
	};

	for (size_t i = 0; i < LENGTH(errors); i++) {
		if (!pg_has(said, errors[i].part))
			continue;
		fail(cx, FAIL_UNREACHABLE, pg_socket_hint(cx, t), "connection to \"%s\" %s",
		    pg_target_name(cx, t), errors[i].what);
		return fail_cause(cx, "%s", errors[i].cause);
	}
	return fail(cx, FAIL_UNREACHABLE, pg_socket_hint(cx, t), "connection to \"%s\" failed",
	    pg_target_name(cx, t));
}

bool
pg_fail_connect(Ctx *cx, const PgTarget *t, const char *said, TlsVerdict verdict)
{
	const char *code = pg_said_sqlstate(cx->mem, said);

	if (code != NULL)
		return pg_fail_login(cx, t, code);
	if (pg_has(said, "no password supplied"))
		return fail(cx, FAIL_LOGIN, "Give a password, or a passfile that has it.",
		    "\"%s\" wants a password for user \"%s\" and none is known",
		    pg_target_name(cx, t), t->user == NULL ? "" : t->user);
	if (pg_has(said, "invalid sslmode value"))
		return fail(cx, FAIL_TLS,
		    "Choose disable, prefer, require, verify-ca or "
		    "verify-full.",
		    "TLS mode \"%s\" is not known", pg_or(t->sslmode, ""));
	if (pg_told_tls(cx, t, said, verdict))
		return false;
	return pg_fail_network(cx, t, said);
}

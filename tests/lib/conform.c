/*
 * conform - runs a conformance script as a tenant's login and prints what
 * comes back: `conform DSN WATCHER_DSN SCRIPT [NEIGHBOUR_DSN]`.
 *
 * Statements end with ; at a line's end.  "-- session NAME" says on which
 * connection the next ones run; those whose name begins with "neighbour" are
 * another tenant's.  Of an error only SQLSTATE, constraint and
 * column are printed: message, detail and context may differ between modes.  A
 * statement that waits for a lock prints "(waiting)" and its result when it
 * has one; WATCHER_DSN (a superuser's) is asked who waits.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS 8
#define WORDS    65536
#define LOOK_MS  10
#define PATIENCE 6000 /* looks: a minute */

typedef struct Session {
	char name[32];
	PGconn *conn;
	int waiting;
} Session;

static struct {
	const char *dsn, *neighbour;
	PGconn *watcher;
	Session sessions[SESSIONS];
	int n;
	const Session *shown;
} run;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "conform: %s: %s\n", what, why);
	exit(2);
}

static PGconn *
connect_to(const char *dsn)
{
	PGconn *conn = PQconnectdb(dsn);

	if (PQstatus(conn) != CONNECTION_OK)
		die("cannot connect", PQerrorMessage(conn));
	return conn;
}

static void
ignore_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

static Session *
session(const char *name)
{
	Session *s;

	for (int i = 0; i < run.n; i++)
		if (strcmp(run.sessions[i].name, name) == 0)
			return &run.sessions[i];
	if (run.n == SESSIONS || strlen(name) >= sizeof s->name)
		die("bad session", name);
	s = &run.sessions[run.n++];
	memcpy(s->name, name, strlen(name) + 1);
	s->conn = connect_to(strncmp(name, "neighbour", 9) == 0 ? run.neighbour : run.dsn);
	PQsetNoticeReceiver(s->conn, ignore_notice, NULL);
	return s;
}

/* --- printing ------------------------------------------------------------------ */

static void
print_error(const PGresult *r)
{
	static const struct {
		const char *word;
		int field;
	} fields[] = {
		{ "constraint", PG_DIAG_CONSTRAINT_NAME },
		{ "column", PG_DIAG_COLUMN_NAME },
	};

	printf("error %s", PQresultErrorField(r, PG_DIAG_SQLSTATE));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const char *value = PQresultErrorField(r, fields[i].field);
		if (value != NULL && *value != '\0')
			printf(" %s %s", fields[i].word, value);
	}
	putchar('\n');
}

static void
print_rows(const PGresult *r)
{
	int n = PQntuples(r), columns = PQnfields(r);

	for (int c = 0; c < columns; c++)
		printf("%s%s", c == 0 ? "" : " | ", PQfname(r, c));
	if (columns > 0)
		putchar('\n');
	for (int i = 0; i < n; i++) {
		for (int c = 0; c < columns; c++)
			printf("%s%s", c == 0 ? "" : " | ",
			    PQgetisnull(r, i, c) ? "(null)" : PQgetvalue(r, i, c));
		putchar('\n');
	}
}

static void
print_copy(PGconn *conn)
{
	char *line;
	int n;

	while ((n = PQgetCopyData(conn, &line, 0)) > 0) {
		fwrite(line, 1, (size_t)n, stdout);
		PQfreemem(line);
	}
}

static void
print_result(Session *s, PGresult *r)
{
	switch (PQresultStatus(r)) {
	case PGRES_TUPLES_OK:
		print_rows(r);
		printf("%s\n", PQcmdStatus(r));
		break;
	case PGRES_COMMAND_OK:
		printf("%s\n", PQcmdStatus(r));
		break;
	case PGRES_COPY_OUT:
		print_copy(s->conn);
		break;
	case PGRES_COPY_IN:
		PQputCopyEnd(s->conn, "no rows here");
		break;
	case PGRES_EMPTY_QUERY:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_PIPELINE_SYNC:
	case PGRES_PIPELINE_ABORTED:
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_FATAL_ERROR:
		print_error(r);
		break;
	}
}

/* --- running ------------------------------------------------------------------- */

static int
is_blocked(const Session *s)
{
	char sql[96];
	PGresult *r;
	int blocked;

	snprintf(
	    sql, sizeof sql, "SELECT cardinality(pg_blocking_pids(%d)) > 0", PQbackendPID(s->conn));
	r = PQexec(run.watcher, sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		die("the watcher failed", PQerrorMessage(run.watcher));
	blocked = PQgetvalue(r, 0, 0)[0] == 't';
	PQclear(r);
	return blocked;
}

/* Until it has a result (1) or stands in a queue for a lock (0). */
static int
settle(Session *s)
{
	struct pollfd p = { PQsocket(s->conn), POLLIN, 0 };

	for (int i = 0; i < PATIENCE; i++) {
		if (poll(&p, 1, LOOK_MS) > 0 && PQconsumeInput(s->conn) == 0)
			die("session lost", PQerrorMessage(s->conn));
		if (!PQisBusy(s->conn))
			return 1;
		if (is_blocked(s))
			return 0;
	}
	die("no answer in session", s->name);
	return 0;
}

static void
finish(Session *s)
{
	PGresult *r;

	if (s->waiting)
		printf("%s: ", s->name);
	s->waiting = 0;
	while ((r = PQgetResult(s->conn)) != NULL) {
		print_result(s, r);
		PQclear(r);
	}
}

static void
run_statement(Session *s, const char *sql)
{
	if (s->waiting)
		die("still waiting, and given a statement: session", s->name);
	if (run.shown != s)
		printf("-- session %s\n", s->name);
	run.shown = s;
	printf("%s\n", sql);
	if (PQsendQuery(s->conn, sql) == 0)
		die("cannot send", PQerrorMessage(s->conn));
	if (settle(s)) {
		finish(s);
	} else {
		printf("(waiting)\n");
		s->waiting = 1;
	}
	for (int i = 0; i < run.n; i++)
		if (run.sessions[i].waiting && &run.sessions[i] != s && settle(&run.sessions[i]))
			finish(&run.sessions[i]);
}

static void
run_script(FILE *in)
{
	static char sql[WORDS], line[WORDS];
	Session *s = NULL;
	size_t n = 0;

	while (fgets(line, sizeof line, in) != NULL) {
		size_t len = strcspn(line, "\n");
		line[len] = '\0';
		if (strncmp(line, "-- session ", 11) == 0)
			s = session(line + 11);
		if (n == 0 && (len == 0 || strncmp(line, "--", 2) == 0))
			continue;
		if (s == NULL || n + len + 2 > sizeof sql)
			die("bad script at", line);
		n += (size_t)snprintf(sql + n, sizeof sql - n, "%s%s", n == 0 ? "" : "\n", line);
		if (line[len - (len > 0)] != ';')
			continue;
		run_statement(s, sql);
		n = 0;
	}
}

int
main(int argc, char **argv)
{
	FILE *in;

	if (argc != 4 && argc != 5)
		die("usage", "conform DSN WATCHER_DSN SCRIPT [NEIGHBOUR_DSN]");
	run.dsn = argv[1];
	run.neighbour = argc == 5 ? argv[4] : argv[1];
	run.watcher = connect_to(argv[2]);
	in = fopen(argv[3], "r");
	if (in == NULL)
		die("cannot read", argv[3]);
	run_script(in);
	fclose(in);
	for (int i = 0; i < run.n; i++)
		PQfinish(run.sessions[i].conn);
	PQfinish(run.watcher);
	return 0;
}

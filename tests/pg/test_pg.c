#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/pg.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "tests/unit/unit.h"

#define CANARY "c4nary-9f2e"

static const Sql ECHO = { "echo", "SELECT $1::text, $2::int8, $3::bool", 3 };
static const Sql SHOW = { "show", "SELECT current_setting($1)", 1 };
static const Sql TYPED = { "typed", "SELECT $1::int4", 1 };
static const Sql SLEEP = { "sleep", "SELECT pg_sleep($1::float8)", 1 };
static const Sql PID = { "pid", "SELECT pg_backend_pid()", 0 };
static const Sql LOCK = { "lock", "SELECT pg_advisory_lock(20261121)", 0 };
static const Sql UNLOCK = { "unlock", "SELECT pg_advisory_unlock(20261121)", 0 };
static const Sql END = { "end", "SELECT pg_terminate_backend($1::int4)", 1 };
static const Sql INSERT = { "insert", "INSERT INTO adapt.item (name, size) VALUES ($1, $2)", 2 };
static const Sql UPDATE = { "update", "UPDATE adapt.item SET size = size + 1", 0 };
static const Sql COUNT = { "count", "SELECT count(*) FROM adapt.item", 0 };
static const Sql RAISE = { "raise", "SELECT adapt.complain($1, $2)", 2 };
static const Sql CAST_TZ = { "tz",
	"SELECT '2026-01-02 03:04:05+02'::timestamptz, "
	"0.1::float8 + 0.2::float8, '\\x00ff'::bytea, interval '1 day 2 s'",
	0 };

typedef struct Room {
	Ctx cx;
	PgTarget super, app;
	Pg *pg;
} Room;

static PgTarget
superuser(void)
{
	return (PgTarget){ .name = "test-1",
		.host = getenv("COPYHOLD_TEST_SOCKET"),
		.port = (int)strtol(getenv("COPYHOLD_TEST_PORT"), NULL, 10),
		.dbname = "postgres",
		.user = getenv("COPYHOLD_TEST_SUPERUSER") };
}

static void
make_app(Room *r)
{
	Secret password = secret_new(r->cx.mem, "pass word'1", 11);
	Buf sql = buf_new(r->cx.mem);

	buf_add(&sql,
	    "DROP SCHEMA IF EXISTS adapt CASCADE; DROP ROLE IF EXISTS adapt_app;"
	    " CREATE ROLE adapt_app LOGIN PASSWORD ");
	buf_literal(&sql, scram_verifier(r->cx.mem, &password));
	buf_add(&sql,
	    "; GRANT CONNECT ON DATABASE postgres TO adapt_app;"
	    " CREATE SCHEMA adapt; CREATE TABLE adapt.item (name text CONSTRAINT "
	    "item_name UNIQUE, size int CONSTRAINT item_size CHECK (size > 0));"
	    " CREATE FUNCTION adapt.complain(text, text) RETURNS void LANGUAGE plpgsql AS"
	    " 'BEGIN RAISE EXCEPTION ''no % here'', $1 USING ERRCODE = $2; END'");
	assert_true(pg_script(&r->cx, r->pg, sql.text));
	r->app = r->super;
	r->app.host = "127.0.0.1";
	r->app.user = "adapt_app";
	r->app.password = password;
	r->app.sslmode = "disable";
}

static int
setup(void **state)
{
	static Room r;

	r = (Room){ .cx = ctx_new(NULL), .super = superuser() };
	if (!pg_open(&r.cx, &r.super, &r.pg)) {
		fputs(fail_text(r.cx.mem, r.cx.fail), stderr);
		return -1;
	}
	make_app(&r);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	Room *r = *state;
	bool dropped = pg_alive(r->pg) &&
	    pg_script(&r->cx, r->pg,
		"DROP SCHEMA adapt CASCADE; DROP OWNED BY adapt_app; DROP ROLE adapt_app");

	arena_free(r->cx.mem);
	return dropped ? 0 : -1;
}

static void
assert_failed(Room *r, FailKind kind, const char *what, const char *cause)
{
	assert_string_equal(r->cx.fail->what == NULL ? "" : r->cx.fail->what, what);
	assert_int_equal(r->cx.fail->kind, kind);
	if (cause == NULL)
		assert_null(r->cx.fail->cause);
	else
		assert_string_equal(r->cx.fail->cause, cause);
	assert_null(strstr(fail_text(r->cx.mem, r->cx.fail), "pass word"));
	assert_null(strstr(fail_text(r->cx.mem, r->cx.fail), CANARY));
	fail_clear(&r->cx);
}

static bool
insert(Room *r, const char *name, const char *size)
{
	return pg_do(&r->cx, r->pg, &INSERT, (const char *const[]){ name, size });
}

static int64_t
count(Room *r)
{
	PgRows rows = { 0 };

	assert_true(pg_query(&r->cx, r->pg, &COUNT, &rows, NULL));
	int64_t n = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return n;
}

static const char *
setting(Room *r, Pg *pg, const char *name)
{
	PgRows rows = { 0 };

	assert_true(pg_query(&r->cx, pg, &SHOW, &rows, &name));
	return pg_value(&rows, 0, 0);
}

static void
parameters_and_rows_go_through(void **state)
{
	Room *r = *state;
	PgRows rows = { 0 };

	assert_true(pg_query(&r->cx, r->pg, &ECHO, &rows,
	    (const char *const[]){ "\xe6\x9d\x8e ' \\", "-9000000000", NULL }));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.columns, 3);
	assert_string_equal(pg_value(&rows, 0, 0), "\xe6\x9d\x8e ' \\");
	assert_int_equal(pg_int(&rows, 0, 1), -9000000000);
	assert_null(pg_value(&rows, 0, 2));
	assert_false(pg_bool(&rows, 0, 2));
	assert_null(pg_value(&rows, 1, 0));
	assert_null(pg_value(&rows, 0, 3));
	assert_null(pg_value(&rows, -1, 0));
	pg_rows_free(&rows);
	assert_int_equal(rows.n, 0);
	assert_int_equal(pg_version(r->pg) / 10000 >= 13, 1);
	assert_true(pg_backend_pid(r->pg) > 0);
	assert_string_equal(pg_name(r->pg), "test-1");
}

static void
the_session_has_our_settings_whatever_the_role_and_environment_say(void **state)
{
	Room *r = *state;
	Pg *app = NULL;
	PgRows rows = { 0 };

	assert_true(pg_script(&r->cx, r->pg,
	    "ALTER ROLE adapt_app SET search_path = public;"
	    "ALTER ROLE adapt_app SET TimeZone = 'Asia/Shanghai';"
	    "ALTER ROLE adapt_app SET default_transaction_read_only = on;"
	    "ALTER ROLE adapt_app SET statement_timeout = 1"));
	setenv("PGTZ", "Europe/Berlin", 1);
	setenv("PGOPTIONS", "-c search_path=public", 1);
	setenv("PGSERVICE", "nowhere", 1);
	setenv("PGAPPNAME", "other", 1);
	setenv("PGSSLMODE", "verify-full", 1);
	assert_true(pg_open(&r->cx, &r->app, &app));
	assert_string_equal(getenv("PGTZ"), "Europe/Berlin");
	unsetenv("PGTZ");
	unsetenv("PGOPTIONS");
	unsetenv("PGSERVICE");
	unsetenv("PGAPPNAME");
	unsetenv("PGSSLMODE");
	assert_string_equal(setting(r, app, "search_path"), "");
	assert_string_equal(setting(r, app, "TimeZone"), "UTC");
	assert_string_equal(setting(r, app, "application_name"), "copyhold");
	assert_string_equal(setting(r, app, "client_encoding"), "UTF8");
	assert_string_equal(setting(r, app, "statement_timeout"), "1min");
	assert_string_equal(setting(r, app, "transaction_read_only"), "off");
	assert_true(pg_query(&r->cx, app, &CAST_TZ, &rows, NULL));
	assert_string_equal(pg_value(&rows, 0, 0), "2026-01-02 01:04:05+00");
	assert_string_equal(pg_value(&rows, 0, 1), "0.30000000000000004");
	assert_string_equal(pg_value(&rows, 0, 2), "\\x00ff");
	assert_string_equal(pg_value(&rows, 0, 3), "P1DT2S");
}

static void
a_server_takes_our_verifier_and_only_the_right_password(void **state)
{
	Room *r = *state;
	Pg *app = NULL;

	assert_true(pg_open(&r->cx, &r->app, &app));
	pg_close(app);
	assert_false(pg_alive(app));
	r->app.password = secret_new(r->cx.mem, CANARY, strlen(CANARY));
	assert_false(pg_open(&r->cx, &r->app, &app));
	assert_string_equal(
	    r->cx.fail->hint, "Check the password, and that it is the one of this user.");
	assert_failed(r, FAIL_LOGIN, "\"test-1\" refused the password of user \"adapt_app\"",
	    "SQLSTATE 28P01");
	setenv("PGPASSWORD", "pass word'1", 1);
	r->app.password = (Secret){ 0 };
	assert_false(pg_open(&r->cx, &r->app, &app));
	unsetenv("PGPASSWORD");
	assert_failed(r, FAIL_LOGIN,
	    "\"test-1\" wants a password for user \"adapt_app\" and none is known", NULL);
}

static void
a_passfile_is_used(void **state)
{
	Room *r = *state;
	char path[] = "/tmp/copyhold-pass.XXXXXX", *line;
	int fd = mkstemp(path);
	Pg *app = NULL;

	line = arena_printf(r->cx.mem, "127.0.0.1:%d:*:adapt_app:pass word'1\n", r->app.port);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	close(fd);
	r->app.password = (Secret){ 0 };
	r->app.passfile = path;
	bool opened = pg_open(&r->cx, &r->app, &app);
	unlink(path);
	assert_true(opened);
}

static void
each_refusal_of_a_connection_has_its_own_words(void **state)
{
	Room *r = *state;
	PgTarget t = r->app;
	Pg *pg = NULL;

	t.dbname = "adapt_nowhere";
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_failed(r, FAIL_NOT_FOUND, "database \"adapt_nowhere\" does not exist on \"test-1\"",
	    "SQLSTATE 3D000");
	t = r->app;
	t.user = "adapt_nobody";
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_failed(r, FAIL_LOGIN, "\"test-1\" refused the password of user \"adapt_nobody\"",
	    "SQLSTATE 28P01");
	assert_true(pg_script(&r->cx, r->pg, "ALTER ROLE adapt_app NOLOGIN"));
	assert_false(pg_open(&r->cx, &r->app, &pg));
	assert_failed(
	    r, FAIL_LOGIN, "\"test-1\" refused the login of user \"adapt_app\"", "SQLSTATE 28000");
	assert_true(pg_script(&r->cx, r->pg, "ALTER ROLE adapt_app LOGIN CONNECTION LIMIT 0"));
	assert_false(pg_open(&r->cx, &r->app, &pg));
	assert_failed(r, FAIL_UNREACHABLE, "\"test-1\" has no free connection", "SQLSTATE 53300");
}

static void
a_database_can_refuse_us(void **state)
{
	Room *r = *state;
	PgTarget t = r->app;
	Pg *pg = NULL;

	t.dbname = "adapt_closed";
	assert_true(pg_script(&r->cx, r->pg, "DROP DATABASE IF EXISTS adapt_closed"));
	assert_true(pg_script(&r->cx, r->pg, "CREATE DATABASE adapt_closed"));
	assert_true(pg_script(&r->cx, r->pg, "REVOKE ALL ON DATABASE adapt_closed FROM PUBLIC"));
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_string_equal(r->cx.fail->hint,
	    "Run there: GRANT CONNECT ON DATABASE \"adapt_closed\" TO \"adapt_app\".");
	assert_failed(r, FAIL_MISSING_RIGHT,
	    "user \"adapt_app\" may not connect to database "
	    "\"adapt_closed\" on \"test-1\"",
	    "SQLSTATE 42501");
	assert_true(
	    pg_script(&r->cx, r->pg, "ALTER DATABASE adapt_closed ALLOW_CONNECTIONS false"));
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_failed(r, FAIL_SERVER,
	    "database \"adapt_closed\" on \"test-1\" accepts no "
	    "connections",
	    "SQLSTATE 55000");
	assert_true(pg_script(&r->cx, r->pg, "DROP DATABASE adapt_closed"));
}

/* A port that is bound and not listened on refuses, and nobody else can take it. */
static int
bound_port(int *fd, bool listening)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;

	*fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&a, n), 0);
	if (listening)
		assert_int_equal(listen(*fd, 5), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

static void
a_server_that_is_down_is_unreachable(void **state)
{
	Room *r = *state;
	PgTarget t = r->app;
	Pg *pg = NULL;
	int fd;

	t.port = bound_port(&fd, false);
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_string_equal(r->cx.fail->hint,
	    arena_printf(r->cx.mem,
		"Is PostgreSQL running on "
		"127.0.0.1:%d? Try: copyhold doctor --cluster test-1",
		t.port));
	assert_failed(r, FAIL_UNREACHABLE, "connection to \"test-1\" refused", "ECONNREFUSED");
	t.host = "localhost";
	t.name = NULL;
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_string_equal(r->cx.fail->hint,
	    arena_printf(r->cx.mem, "Is PostgreSQL running on localhost:%d?", t.port));
	assert_failed(r, FAIL_UNREACHABLE,
	    arena_printf(r->cx.mem, "connection to \"localhost:%d\" refused", t.port),
	    "ECONNREFUSED");
	close(fd);
	t = r->super;
	t.host = "/tmp";
	t.port = 1;
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_failed(r, FAIL_UNREACHABLE, "connection to \"test-1\" refused", "ENOENT");
}

static void
a_server_that_says_nothing_is_given_up(void **state)
{
	Room *r = *state;
	PgTarget t = r->app;
	Pg *pg = NULL;
	int fd;

	t.port = bound_port(&fd, true);
	t.connect_ms = 300;
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_failed(r, FAIL_TIMEOUT,
	    arena_printf(r->cx.mem,
		"no connection to \"test-1\" within "
		"%s",
		clock_human(r->cx.mem, 300)),
	    NULL);
	close(fd);
}

static void
names_are_looked_up(void **state)
{
	Room *r = *state;
	PgTarget t = r->app;
	Pg *pg = NULL;

	t.host = "localhost";
	assert_true(pg_open(&r->cx, &t, &pg));
	t.host = "no..such..host";
	assert_false(pg_open(&r->cx, &t, &pg));
	assert_failed(r, FAIL_UNREACHABLE, "host \"no..such..host\" has no address", NULL);
}

static void
errors_have_their_fields_and_no_values(void **state)
{
	Room *r = *state;

	assert_true(insert(r, CANARY, "1"));
	assert_int_equal(pg_affected(r->pg), 1);
	assert_false(insert(r, CANARY, "1"));
	assert_true(pg_failed_with(r->pg, "23505"));
	assert_string_equal(pg_error(r->pg)->constraint, "item_name");
	assert_string_equal(pg_error(r->pg)->table, "item");
	assert_string_equal(pg_error(r->pg)->schema, "adapt");
	assert_failed(r, FAIL_SERVER,
	    "\"test-1\" refused \"insert\": duplicate key value violates "
	    "unique constraint \"item_name\"",
	    "SQLSTATE 23505");
	assert_false(insert(r, "x", "-1"));
	assert_failed(r, FAIL_SERVER,
	    "\"test-1\" refused \"insert\": new row for relation \"item\" "
	    "violates check constraint \"item_size\"",
	    "SQLSTATE 23514");
	assert_false(pg_do(&r->cx, r->pg, &TYPED, (const char *const[]){ CANARY }));
	assert_failed(r, FAIL_SERVER,
	    "\"test-1\" refused \"typed\": a text that is no value of "
	    "its type",
	    "SQLSTATE 22P02");
	assert_false(pg_do(&r->cx, r->pg, &RAISE, (const char *const[]){ CANARY, "23505" }));
	assert_failed(r, FAIL_SERVER,
	    "\"test-1\" refused \"raise\": a function on the server raised an error",
	    "SQLSTATE 23505");
	assert_false(pg_script(&r->cx, r->pg, "SELECT 1; SELEC '" CANARY "'"));
	assert_failed(r, FAIL_SERVER, "\"test-1\" refused a generated statement: syntax error",
	    "SQLSTATE 42601");
	assert_false(pg_script(&r->cx, r->pg, "DROP TABLE adapt.none"));
	assert_failed(r, FAIL_SERVER,
	    "\"test-1\" refused a generated statement: table \"none\" "
	    "does not exist",
	    "SQLSTATE 42P01");
	assert_int_equal(count(r), 1);
	assert_string_equal(pg_error(r->pg)->sqlstate, "");
}

static void
a_missing_right_has_its_kind(void **state)
{
	Room *r = *state;
	Pg *app = NULL;

	assert_true(pg_open(&r->cx, &r->app, &app));
	assert_false(pg_script(&r->cx, app, "CREATE ROLE adapt_more"));
	assert_failed(r, FAIL_MISSING_RIGHT,
	    "\"test-1\" refused a generated statement: permission "
	    "denied to create role",
	    "SQLSTATE 42501");
}

static void
transactions_commit_or_roll_back(void **state)
{
	Room *r = *state;

	assert_true(pg_begin(&r->cx, r->pg) && insert(r, "a", "1"));
	assert_true(pg_commit(&r->cx, r->pg));
	assert_int_equal(count(r), 1);
	assert_true(pg_begin(&r->cx, r->pg) && insert(r, "b", "1"));
	pg_rollback(r->pg);
	pg_rollback(r->pg);
	assert_int_equal(count(r), 1);
	assert_true(pg_begin(&r->cx, r->pg));
	assert_false(insert(r, "a", "1"));
	fail_clear(&r->cx);
	assert_false(pg_commit(&r->cx, r->pg));
	assert_failed(r, FAIL_SERVER, "\"test-1\" rolled back instead of committing", NULL);
	assert_true(insert(r, "c", "1"));
	assert_true(pg_do(&r->cx, r->pg, &UPDATE, NULL));
	assert_int_equal(pg_affected(r->pg), 2);
}

static void
a_rollback_keeps_the_error_that_led_to_it(void **state)
{
	Room *r = *state;

	assert_true(insert(r, "a", "1") && pg_begin(&r->cx, r->pg));
	assert_false(insert(r, "a", "1"));
	pg_rollback(r->pg);
	assert_true(pg_failed_with(r->pg, "23505"));
}

static void
the_server_ends_a_statement_that_takes_too_long(void **state)
{
	Room *r = *state;

	pg_set_statement_ms(r->pg, 200);
	assert_false(pg_do(&r->cx, r->pg, &SLEEP, (const char *const[]){ "600" }));
	assert_string_equal(r->cx.fail->hint, "Look for locks and load there, then try again.");
	assert_failed(r, FAIL_TIMEOUT,
	    arena_printf(r->cx.mem,
		"\"test-1\" did not finish \"sleep\" "
		"within %s",
		clock_human(r->cx.mem, 200)),
	    "SQLSTATE 57014");
	assert_true(pg_alive(r->pg));
	pg_set_statement_ms(r->pg, 90000);
	assert_string_equal(setting(r, r->pg, "statement_timeout"), "90s");
}

static void
a_timeout_that_was_set_in_a_transaction_is_set_again_after_its_end(void **state)
{
	Room *r = *state;

	assert_true(pg_begin(&r->cx, r->pg));
	pg_set_statement_ms(r->pg, 120000);
	assert_string_equal(setting(r, r->pg, "statement_timeout"), "2min");
	pg_rollback(r->pg);
	assert_string_equal(setting(r, r->pg, "statement_timeout"), "2min");
}

/* A stopped server process cannot end the statement itself. */
static void
a_server_that_hangs_is_given_up(void **state)
{
	Room *r = *state;
	Pg *app = NULL;

	assert_true(pg_open(&r->cx, &r->app, &app));
	pid_t pid = pg_backend_pid(app);
	pg_set_statement_ms(app, 1);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	bool answered = pg_do(&r->cx, app, &PID, NULL);
	kill(pid, SIGCONT);
	assert_false(answered);
	assert_failed(r, FAIL_TIMEOUT,
	    arena_printf(r->cx.mem,
		"\"test-1\" gave no answer within "
		"%s, and the connection was given up",
		clock_human(r->cx.mem, 5001)),
	    NULL);
	assert_false(pg_alive(app));
}

static void
a_lost_connection_is_unreachable(void **state)
{
	Room *r = *state;
	Pg *app = NULL;
	char pid[16];

	assert_true(pg_open(&r->cx, &r->app, &app));
	snprintf(pid, sizeof pid, "%d", pg_backend_pid(app));
	assert_true(pg_do(&r->cx, r->pg, &END, (const char *const[]){ pid }));
	while (pg_do(&r->cx, app, &PID, NULL))
		lane_sleep(1);
	assert_int_equal(r->cx.fail->kind, FAIL_UNREACHABLE);
	fail_clear(&r->cx);
	assert_false(pg_do(&r->cx, app, &PID, NULL));
	assert_failed(r, FAIL_UNREACHABLE, "connection to \"test-1\" was lost", NULL);
	assert_false(pg_alive(app));
	pg_rollback(app);
	assert_false(pg_begin(&r->cx, app));
	assert_int_equal(pg_version(app), 0);
}

static void
rows_can_be_copied_in_and_out(void **state)
{
	Room *r = *state;
	const char *chunk = NULL;
	int64_t rows = 0;
	size_t n = 0, bytes = 0;
	char line[64];

	assert_true(pg_copy_in_begin(&r->cx, r->pg, "COPY adapt.item FROM STDIN"));
	for (int i = 1; i <= 200000; i++) {
		int len = snprintf(line, sizeof line, "name %d\t%d\n", i, i);
		assert_true(pg_copy_in(&r->cx, r->pg, line, (size_t)len));
	}
	assert_true(pg_copy_in_end(&r->cx, r->pg, &rows));
	assert_int_equal(rows, 200000);
	assert_true(pg_copy_out_begin(
	    &r->cx, r->pg, "COPY (SELECT size FROM adapt.item ORDER BY size) TO STDOUT"));
	assert_true(pg_copy_out_next(&r->cx, r->pg, &chunk, &n));
	assert_memory_equal(chunk, "1\n", 2);
	for (; n > 0; assert_true(pg_copy_out_next(&r->cx, r->pg, &chunk, &n)))
		bytes += n;
	assert_int_equal(bytes, 1288895);
	assert_int_equal(count(r), 200000);
}

static void
a_copy_that_fails_leaves_a_usable_connection(void **state)
{
	Room *r = *state;
	int64_t rows = -1;

	assert_true(pg_copy_in_begin(&r->cx, r->pg, "COPY adapt.item FROM STDIN"));
	assert_true(pg_copy_in(&r->cx, r->pg, "a\t" CANARY "\n", strlen("a\t" CANARY "\n")));
	assert_false(pg_copy_in_end(&r->cx, r->pg, &rows));
	assert_int_equal(rows, -1);
	assert_int_equal(pg_error(r->pg)->line, 1);
	assert_string_equal(pg_error(r->pg)->column, "size");
	assert_failed(r, FAIL_SERVER,
	    "\"test-1\" refused a COPY: a text that is no value of its "
	    "type",
	    "SQLSTATE 22P02");
	assert_true(pg_copy_in_begin(&r->cx, r->pg, "COPY adapt.item FROM STDIN"));
	assert_true(pg_copy_in(&r->cx, r->pg, "a\t1\n", 4));
	pg_copy_in_abort(r->pg, "changed my mind");
	assert_int_equal(count(r), 0);
	assert_false(pg_copy_out_begin(&r->cx, r->pg, "COPY adapt.none TO STDOUT"));
	assert_true(pg_failed_with(r->pg, "42P01"));
	fail_clear(&r->cx);
	assert_false(pg_copy_in_begin(&r->cx, r->pg, "SELECT 1"));
	assert_failed(r, FAIL_SERVER, "a generated statement on \"test-1\" is no COPY", NULL);
	assert_int_equal(count(r), 0);
}

static void
a_statement_that_starts_a_copy_is_given_up(void **state)
{
	Room *r = *state;
	Pg *app = NULL;

	assert_true(pg_open(&r->cx, &r->app, &app));
	assert_false(pg_script(&r->cx, app, "COPY (SELECT 1) TO STDOUT"));
	assert_failed(r, FAIL_SERVER, "a generated statement started a COPY on \"test-1\"", NULL);
	assert_false(pg_alive(app));
}

typedef struct Work {
	Room *r;
	Ctx cx;
	bool done;
} Work;

static void
wait_for_lock(void *arg)
{
	Work *w = arg;
	Pg *pg = NULL;

	w->done = pg_open(&w->cx, &w->r->app, &pg) && pg_do(&w->cx, pg, &LOCK, NULL);
}

static void
give_lock_back(void *arg)
{
	Work *w = arg;
	Pg *pg = NULL;

	w->done = pg_open(&w->cx, &w->r->app, &pg) && pg_do(&w->cx, w->r->pg, &UNLOCK, NULL);
}

/* The first lane can only go on when the second has worked beside it. */
static void
lanes_talk_side_by_side(void **state)
{
	Room *r = *state;
	Lanes *lanes = lanes_new(r->cx.mem);
	Work first = { r, ctx_new(r->cx.mem), false }, second = { r, ctx_new(r->cx.mem), false };

	assert_true(pg_do(&r->cx, r->pg, &LOCK, NULL));
	lane_spawn(lanes, wait_for_lock, &first);
	lane_spawn(lanes, give_lock_back, &second);
	lanes_run(lanes);
	assert_true(first.done);
	assert_true(second.done);
}

static void
connection_strings_are_taken_apart(void **state)
{
	Room *r = *state;
	PgTarget t = { 0 };

	assert_true(pg_target_dsn(&r->cx,
	    "postgresql://u%40x:p%20w@db.example:6543/shop?sslmode="
	    "verify-full&sslrootcert=/ca.pem&connect_timeout=3&application_name=x",
	    &t));
	assert_string_equal(t.host, "db.example");
	assert_int_equal(t.port, 6543);
	assert_string_equal(t.dbname, "shop");
	assert_string_equal(t.user, "u@x");
	assert_string_equal(t.password.text, "p w");
	assert_string_equal(t.sslmode, "verify-full");
	assert_string_equal(t.sslrootcert, "/ca.pem");
	assert_int_equal(t.connect_ms, 3000);
	assert_null(t.name);
	assert_true(pg_target_dsn(&r->cx, "user=me", &t));
	assert_string_equal(t.host, "/var/run/postgresql");
	assert_int_equal(t.port, 5432);
	assert_string_equal(t.dbname, "me");
	assert_string_equal(pg_quote_uri(r->cx.mem, "a b/\xc3\xa9?~-._"), "a%20b%2F%C3%A9%3F~-._");
}

static void
bad_connection_strings_are_refused_without_repeating_them(void **state)
{
	Room *r = *state;
	static const struct {
		const char *dsn, *what;
	} bad[] = {
		{ "host=x password " CANARY, "the connection string cannot be read" },
		{ "postgresql://u:" CANARY "@[::1", "the connection string cannot be read" },
		{ "host=a,b password=" CANARY, "the connection string names several hosts" },
		{ "host=a port=70000", "the connection string has a bad port" },
		{ "host=a port=1,2", "the connection string has a bad port" },
		{ "host=a connect_timeout=soon",
		    "the connection string has a bad connect_timeout" },
		{ "host=a service=x", "\"service\" is not supported in a connection string" },
		{ "host=a options=-cx=1", "\"options\" is not supported in a connection string" },
	};
	PgTarget t = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(pg_target_dsn(&r->cx, bad[i].dsn, &t));
		assert_failed(r, FAIL_USAGE, bad[i].what, NULL);
	}
	assert_null(t.host);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(parameters_and_rows_go_through),
		CASE(the_session_has_our_settings_whatever_the_role_and_environment_say),
		CASE(a_server_takes_our_verifier_and_only_the_right_password),
		CASE(a_passfile_is_used),
		CASE(each_refusal_of_a_connection_has_its_own_words),
		CASE(a_database_can_refuse_us),
		CASE(a_server_that_is_down_is_unreachable),
		CASE(a_server_that_says_nothing_is_given_up),
		CASE(names_are_looked_up),
		CASE(errors_have_their_fields_and_no_values),
		CASE(a_missing_right_has_its_kind),
		CASE(transactions_commit_or_roll_back),
		CASE(a_rollback_keeps_the_error_that_led_to_it),
		CASE(the_server_ends_a_statement_that_takes_too_long),
		CASE(a_timeout_that_was_set_in_a_transaction_is_set_again_after_its_end),
		CASE(a_server_that_hangs_is_given_up),
		CASE(a_lost_connection_is_unreachable),
		CASE(rows_can_be_copied_in_and_out),
		CASE(a_copy_that_fails_leaves_a_usable_connection),
		CASE(a_statement_that_starts_a_copy_is_given_up),
		CASE(lanes_talk_side_by_side),
		CASE(connection_strings_are_taken_apart),
		CASE(bad_connection_strings_are_refused_without_repeating_them),
	};

	return cmocka_run_group_tests_name("pg", tests, NULL, NULL);
}

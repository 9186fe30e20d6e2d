/*
 * test_watch.c - the watchdog on a real server: what harms everybody is ended,
 * whoever else is there stays, and neither a full lock table nor taken
 * connection slots keep it from looking.
 *
 * The shared database is made by hand: one table and one view for two tenants.
 */
#include "deployer/watch.h"
#include "lib/base/lane.h"
#include "tests/pg/places.h"

#define DB          "s_watchwatchwa"
#define ACME        "t_aaaaaaaaaaaa_app2"
#define GLOBEX      "t_bbbbbbbbbbbb_app2"
#define BOSS        "t_cccccccccccc_boss"
#define US          "watch_us"
#define PATIENCE_MS 60000

typedef struct Yard {
	Places p;
	Pg *super; /* in the shared database */
	Ctx own;   /* of one test */
	Watch *watch;
	Names databases;
} Yard;

static const WatchLimits none = { 0 };

/* clang-format off */
static const char gone[] =
"DROP DATABASE IF EXISTS " DB " WITH (FORCE);\n"
"REVOKE CONNECT ON DATABASE postgres FROM " ACME ", " US ";\n"
"DROP ROLE " ACME ", " GLOBEX ", " US ", watch_other, " BOSS ";\n";
static const char make[] =
"CREATE ROLE " ACME " LOGIN PASSWORD 'test-p4ssword';\n"
"CREATE ROLE " GLOBEX " LOGIN PASSWORD 'test-p4ssword';\n"
"CREATE ROLE watch_other LOGIN PASSWORD 'test-p4ssword';\n"
"CREATE ROLE " BOSS " LOGIN PASSWORD 'test-p4ssword';\n"
"CREATE ROLE " US " LOGIN PASSWORD 'test-p4ssword' IN ROLE pg_signal_backend, pg_read_all_stats;\n"
"CREATE DATABASE " DB ";\n"
"GRANT CONNECT ON DATABASE postgres TO " ACME ", " US ";\n"
"GRANT CREATE ON DATABASE " DB " TO " US ";\n"
"\\connect " DB "\n"
"CREATE SCHEMA wide; CREATE SCHEMA app;\n"
"CREATE TABLE wide.account (_tenant text NOT NULL, name text, PRIMARY KEY (_tenant, name));\n"
"CREATE VIEW app.account AS SELECT name FROM wide.account\n"
"	WHERE _tenant = pg_catalog.substr(session_user::text, 3, 12);\n"
"ALTER TABLE wide.account ALTER _tenant SET DEFAULT pg_catalog.substr(session_user::text, 3, 12);\n"
"GRANT USAGE ON SCHEMA app TO " ACME ", " GLOBEX ", watch_other;\n"
"GRANT SELECT, INSERT, UPDATE, DELETE ON app.account TO " ACME ", " GLOBEX ", watch_other;\n";
/* clang-format on */

static PgTarget
target(const char *role, const char *dbname)
{
	return (PgTarget){ .name = "yard",
		.host = "127.0.0.1",
		.port = test_port(),
		.dbname = dbname,
		.user = role,
		.password = { "test-p4ssword", 13 },
		.sslmode = "disable" };
}

static Pg *
login(Yard *y, const char *role, const char *dbname)
{
	PgTarget t = target(role, dbname);
	Pg *pg;

	assert_true(pg_open(&y->own, &t, &pg));
	return pg;
}

static void
say(Yard *y, Pg *pg, const char *text)
{
	must(&y->p, pg_script(&y->p.cx, pg, text));
}

static Watch *
open_watch(Yard *y)
{
	PgTarget t = target(US, "postgres");
	Watch *w;

	assert_true(watch_open(&y->own, &t, &w));
	return w;
}

static int
setup(void **state)
{
	static Yard y;

	places_open(&y.p);
	psql_must(&y.p, "postgres", make);
	y.super = super_open(&y.p, DB);
	vec_push(y.p.cx.mem, &y.databases, DB);
	*state = &y;
	return 0;
}

static int
fresh(void **state)
{
	Yard *y = *state;

	say(y, y->super, "DELETE FROM wide.account");
	y->own = ctx_new(y->p.cx.mem);
	y->watch = open_watch(y);
	return 0;
}

static int
stale(void **state)
{
	Yard *y = *state;

	arena_free(y->own.mem);
	return 0;
}

static int
teardown(void **state)
{
	Yard *y = *state;

	pg_close(y->super);
	psql_must(&y->p, "postgres", gone);
	arena_free(y->p.cx.mem);
	return 0;
}

/* Looks until n sessions are listed. */
static WatchedList
look_until(Yard *y, const WatchLimits *limits, size_t n)
{
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	WatchedList found = { 0 };

	while (found.n < n && clock_mono_ms() < deadline)
		must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, limits, false, &found));
	assert_int_equal(found.n, n);
	return found;
}

static bool
answers(Pg *pg)
{
	Ctx own = ctx_new(NULL);
	bool ok = pg_script(&own, pg, "SELECT 1");

	arena_free(own.mem);
	return ok;
}

static void
was_ended(Pg *pg)
{
	Ctx own = ctx_new(NULL);

	assert_false(pg_script(&own, pg, "SELECT 1"));
	assert_string_equal(pg_error(pg)->sqlstate, "57P01");
	arena_free(own.mem);
}

static char *
many_savepoints(Yard *y, int n)
{
	Buf b = buf_new(y->p.cx.mem);

	for (int i = 0; i < n; i++)
		buf_fmt(&b, "SAVEPOINT s; INSERT INTO app.account VALUES ('%d');\n", i);
	return b.text;
}

/* --- each reason --------------------------------------------------------------------- */

static void
a_session_that_takes_5000_locks_by_savepoints_is_ended(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB), *globex = login(y, GLOBEX, DB);
	WatchLimits limits = { .locks = 1000 };

	say(y, globex, "BEGIN; INSERT INTO app.account VALUES ('here')");
	say(y, acme, "BEGIN");
	say(y, acme, many_savepoints(y, 5000));
	WatchedList found = look_until(y, &limits, 1);
	assert_string_equal(found.at[0].role, ACME);
	assert_string_equal(found.at[0].id, "aaaaaaaaaaaa");
	assert_string_equal(found.at[0].database, DB);
	assert_int_equal(found.at[0].pid, pg_backend_pid(acme));
	assert_non_null(strstr(found.at[0].why, " locks, at most 1,000"));
	assert_int_equal(strncmp(found.at[0].why, "5,00", 4), 0);
	was_ended(acme);
	say(y, globex, "COMMIT");
	assert_string_equal(one_value(&y->p, globex, "SELECT name FROM app.account"), "here");
}

static void
a_session_idle_in_a_transaction_is_ended(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB), *globex = login(y, GLOBEX, DB);
	WatchLimits limits = { .idle_ms = 1 };

	say(y, globex, "SELECT count(*) FROM app.account");
	say(y, acme, "BEGIN; SELECT count(*) FROM app.account");
	WatchedList found = look_until(y, &limits, 1);
	assert_string_equal(found.at[0].role, ACME);
	assert_int_equal(strncmp(found.at[0].why, "idle in a transaction for ", 26), 0);
	assert_non_null(strstr(found.at[0].why, ", at most 1 ms"));
	was_ended(acme);
	assert_true(answers(globex));
}

static void
an_aborted_transaction_that_stays_is_ended_too(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB);
	WatchLimits limits = { .idle_ms = 1 };

	assert_string_equal(sqlstate_of(&y->p, acme, "BEGIN; SELECT 1/0"), "22012");
	look_until(y, &limits, 1);
	was_ended(acme);
}

static void
lock_table_is_ended_and_the_others_go_on(void **state)
{
	static const char *const modes[] = { "SHARE UPDATE EXCLUSIVE", "SHARE",
		"SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE" };
	Yard *y = *state;
	Pg *globex = login(y, GLOBEX, DB);
	WatchLimits limits = { .table_lock_ms = 1 };

	for (size_t i = 0; i < LENGTH(modes); i++) {
		Pg *acme = login(y, ACME, DB);

		say(y, acme,
		    arena_printf(
			y->p.cx.mem, "BEGIN; LOCK TABLE app.account IN %s MODE", modes[i]));
		WatchedList found = look_until(y, &limits, 1);
		assert_string_equal(found.at[0].role, ACME);
		assert_int_equal(
		    strncmp(found.at[0].why, "a transaction with LOCK TABLE for ", 34), 0);
		was_ended(acme);
		say(y, globex, "INSERT INTO app.account VALUES (gen_random_uuid()::text)");
	}
}

static void
work_on_rows_takes_no_lock_that_counts_as_lock_table(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB);
	WatchLimits limits = { .table_lock_ms = 1 };
	WatchedList found = { 0 };

	say(y, acme,
	    "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO app.account VALUES ('a'), ('b');"
	    "UPDATE app.account SET name = name || 'x'; SELECT * FROM app.account FOR UPDATE;"
	    "DELETE FROM app.account WHERE name = 'bx'; SELECT pg_catalog.pg_sleep(0.01)");
	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &limits, false, &found));
	assert_int_equal(found.n, 0);
	say(y, acme, "COMMIT");
	assert_string_equal(one_value(&y->p, acme, "SELECT name FROM app.account"), "ax");
}

static void
a_transaction_that_is_too_long_is_ended_whatever_it_does(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB), *globex = login(y, GLOBEX, DB);
	WatchLimits limits = { .transaction_ms = 1 };

	say(y, acme, "BEGIN; SELECT count(*) FROM app.account");
	WatchedList found = look_until(y, &limits, 1);
	assert_string_equal(found.at[0].role, ACME);
	assert_int_equal(strncmp(found.at[0].why, "a transaction of ", 17), 0);
	was_ended(acme);
	assert_true(answers(globex));
}

/* --- who keeps others waiting ----------------------------------------------------------- */

typedef struct Waiter {
	Yard *y;
	Ctx cx;
	Pg *pg;
	bool ok;
} Waiter;

static void
wait_for_row(void *arg)
{
	Waiter *w = arg;

	w->ok = pg_script(&w->cx, w->pg, "UPDATE app.account SET name = name");
}

typedef struct Look {
	Yard *y;
	WatchLimits limits;
	WatchedList found;
} Look;

static void
look_in_lane(void *arg)
{
	Look *l = arg;
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;

	while (l->found.n == 0 && clock_mono_ms() < deadline) {
		Ctx own = ctx_new(l->y->p.cx.mem);

		assert_true(
		    watch_look(&own, l->y->watch, &l->y->databases, &l->limits, false, &l->found));
		lane_sleep(1);
	}
}

static void
who_keeps_too_many_waiting_is_ended_and_they_go_on(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB);
	Waiter waiters[4];
	Look l = { .y = y, .limits = { .blocked = 3, .wait_ms = 1 } };
	Lanes *lanes = lanes_new(y->p.cx.mem);

	say(y, acme, "INSERT INTO app.account VALUES ('contended')");
	say(y, acme, "BEGIN; UPDATE app.account SET name = name");
	for (size_t i = 0; i < LENGTH(waiters); i++) {
		waiters[i] = (Waiter){
			.y = y, .cx = ctx_new(y->p.cx.mem), .pg = login(y, ACME, DB)
		};
		lane_spawn(lanes, wait_for_row, &waiters[i]);
	}
	lane_spawn(lanes, look_in_lane, &l);
	lanes_run(lanes);
	assert_int_equal(l.found.n, 1);
	assert_int_equal(l.found.at[0].pid, pg_backend_pid(acme));
	assert_string_equal(l.found.at[0].why, "keeps 4 sessions waiting, at most 3");
	was_ended(acme);
	for (size_t i = 0; i < LENGTH(waiters); i++)
		assert_true(waiters[i].ok);
}

/* --- nobody else -------------------------------------------------------------------------- */

static void
nobody_but_tenants_of_the_shared_database_is_ended(void **state)
{
	static const struct {
		const char *role, *dbname;
	} others[] = { { US, DB }, { "watch_other", DB }, { ACME, "postgres" },
		{ US, "postgres" } };
	Yard *y = *state;
	Pg *pg[LENGTH(others)], *acme = login(y, ACME, DB), *idle = login(y, GLOBEX, DB);
	WatchLimits limits = { .locks = 100,
		.idle_ms = 1,
		.transaction_ms = 1,
		.table_lock_ms = 1,
		.blocked = 1,
		.wait_ms = 1 };

	say(y, y->super, "GRANT USAGE ON SCHEMA app TO " US "; GRANT SELECT ON app.account TO " US);
	for (size_t i = 0; i < LENGTH(others); i++) {
		pg[i] = login(y, others[i].role, others[i].dbname);
		say(y, pg[i], "BEGIN; SELECT pg_catalog.pg_sleep(0.01)");
	}
	say(y, pg[1], "LOCK TABLE app.account IN SHARE UPDATE EXCLUSIVE MODE");
	say(y, acme, "BEGIN; SELECT pg_catalog.pg_sleep(0.01)");
	WatchedList found = look_until(y, &limits, 1);
	assert_int_equal(found.at[0].pid, pg_backend_pid(acme));
	was_ended(acme);
	for (size_t i = 0; i < LENGTH(others); i++)
		say(y, pg[i], "COMMIT");
	assert_true(answers(idle));
}

static void
a_superuser_with_a_tenants_kind_of_name_is_not_ended(void **state)
{
	Yard *y = *state;
	Pg *boss = login(y, BOSS, DB);
	WatchLimits limits = { .idle_ms = 1, .transaction_ms = 1 };
	WatchedList found = { 0 };

	say(y, boss, "BEGIN; SELECT pg_catalog.pg_sleep(0.01)");
	say(y, y->p.super, "ALTER ROLE " BOSS " SUPERUSER");
	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &limits, false, &found));
	say(y, y->p.super, "ALTER ROLE " BOSS " NOSUPERUSER");
	assert_int_equal(found.n, 0);
	look_until(y, &limits, 1);
	was_ended(boss);
}

static void
no_limit_ends_nobody_and_a_dry_run_only_lists(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB);
	WatchLimits limits = { .transaction_ms = 1 };
	WatchedList found = { 0 };

	say(y, acme, "BEGIN; SELECT pg_catalog.pg_sleep(0.01)");
	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &none, false, &found));
	assert_int_equal(found.n, 0);
	for (int i = 0; i < 3; i++)
		must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &limits, true, &found));
	assert_int_equal(found.n, 1);
	assert_int_equal(found.at[0].pid, pg_backend_pid(acme));
	say(y, acme, "COMMIT");
	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &limits, false, &found));
	assert_int_equal(found.n, 1);
	assert_true(answers(acme));
}

/* --- the connection ------------------------------------------------------------------------- */

static void
its_own_transaction_holds_back_no_vacuum(void **state)
{
	Yard *y = *state;
	WatchLimits limits = { .idle_ms = 60000 };
	WatchedList found = { 0 };

	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &limits, false, &found));
	assert_string_equal(
	    one_value(&y->p, y->super,
		"SELECT state || ' ' || coalesce(backend_xmin::text, 'no snapshot') || ', ' ||"
		" coalesce(backend_xid::text, 'no number') FROM pg_stat_activity"
		" WHERE usename = '" US "' ORDER BY backend_start DESC LIMIT 1"),
	    "idle in transaction no snapshot, no number");
}

/* The tenant makes the server forget what it knew of roles, and then fills the lock table. */
static void
a_full_lock_table_does_not_stop_it(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB), *globex = login(y, GLOBEX, DB);
	WatchLimits limits = { .locks = 1000 };
	WatchedList found = { 0 };

	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &limits, false, &found));
	say(y, y->p.super,
	    "DROP ROLE IF EXISTS watch_new; CREATE ROLE watch_new; GRANT watch_new TO " GLOBEX
	    "; REVOKE watch_new FROM " GLOBEX
	    "; DROP ROLE watch_new; ANALYZE pg_authid, pg_auth_members, pg_database");
	say(y, acme, "ALTER ROLE " ACME " PASSWORD 'test-p4ssword'");
	say(y, acme, "BEGIN");
	assert_string_equal(sqlstate_of(&y->p, acme, many_savepoints(y, 60000)), "53200");
	assert_string_equal(sqlstate_of(&y->p, globex,
				arena_printf(y->p.cx.mem, "BEGIN; %s", many_savepoints(y, 500))),
	    "53200");
	assert_int_equal(found.n, 0);
	found = look_until(y, &limits, 1);
	assert_int_equal(found.at[0].pid, pg_backend_pid(acme));
	was_ended(acme);
	pg_rollback(globex);
	say(y, globex, "INSERT INTO app.account VALUES ('goes on')");
}

static void
taken_connections_do_not_stop_it(void **state)
{
	Yard *y = *state;
	PgTarget t = target(ACME, DB), ours = target(US, "postgres");
	WatchLimits limits = { .idle_ms = 1 };
	Ctx own = ctx_new(y->p.cx.mem);
	Pg *pg;
	Watch *late;
	size_t n = 0;

	/* those of the test before may still be leaving, and would leave their places to the watch */
	while (strcmp(one_value(&y->p, y->super,
			  "SELECT count(*)::text FROM pg_stat_activity WHERE usename IN ('" ACME
			  "', '" GLOBEX "', '" BOSS "', '" US "', 'watch_other')"),
		   "1") != 0)
		lane_sleep(10);
	while (pg_open(&own, &t, &pg)) {
		say(y, pg, "BEGIN; SELECT 1");
		n++;
	}
	assert_true(n > 50);
	assert_string_equal(own.fail->cause, "SQLSTATE 53300");
	assert_false(watch_open(&y->p.cx, &ours, &late));
	assert_string_equal(y->p.cx.fail->cause, "SQLSTATE 53300");
	fail_clear(&y->p.cx);
	look_until(y, &limits, n);
	arena_free(own.mem);
}

static void
a_login_without_the_rights_is_told_the_grant(void **state)
{
	Yard *y = *state;
	PgTarget t = target(US, "postgres");
	Watch *w;

	say(y, y->p.super, "REVOKE pg_signal_backend FROM " US);
	assert_false(watch_open(&y->p.cx, &t, &w));
	assert_string_equal(fail_text(y->p.cx.mem, y->p.cx.fail),
	    "error[missing-right]: login \"" US "\" on \"yard\" may not end others' sessions\n"
	    "  while: watching cluster \"yard\"\n"
	    "  hint:  GRANT pg_signal_backend TO \"" US "\"; or run the setup script again.\n");
	fail_clear(&y->p.cx);
	say(y, y->p.super, "GRANT pg_signal_backend TO " US "; REVOKE pg_read_all_stats FROM " US);
	assert_false(watch_open(&y->p.cx, &t, &w));
	assert_string_equal(y->p.cx.fail->what,
	    "login \"" US "\" on \"yard\" may not see what others' sessions do");
	fail_clear(&y->p.cx);
	say(y, y->p.super, "GRANT pg_read_all_stats TO " US);
}

/* What fails in one look does not cost the locks that the next ones rest on. */
static void
a_look_that_fails_leaves_the_next_one_its_locks(void **state)
{
	Yard *y = *state;
	Pg *acme = login(y, ACME, DB);
	WatchLimits limits = { .locks = 1000, .transaction_ms = 1 };
	WatchedList found = { 0 };

	say(y, acme, "BEGIN; SELECT pg_catalog.pg_sleep(0.01)");
	say(y, y->p.super, "REVOKE pg_signal_backend FROM " US);
	assert_false(watch_look(&y->p.cx, y->watch, &y->databases, &limits, false, &found));
	assert_string_equal(fail_name(y->p.cx.fail->kind), "missing-right");
	fail_clear(&y->p.cx);
	assert_int_equal(found.n, 0);
	say(y, y->p.super, "GRANT pg_signal_backend TO " US);
	say(y, acme, "COMMIT");
	say(y, acme, "BEGIN");
	assert_string_equal(sqlstate_of(&y->p, acme, many_savepoints(y, 60000)), "53200");
	look_until(y, &limits, 1);
	was_ended(acme);
}

static void
a_server_that_goes_away_is_an_error_and_another_watch_can_be_opened(void **state)
{
	Yard *y = *state;
	WatchedList found = { 0 };

	say(y, y->p.super,
	    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '" US
	    "'");
	assert_false(watch_look(&y->p.cx, y->watch, &y->databases, &none, false, &found));
	fail_clear(&y->p.cx);
	assert_false(watch_alive(y->watch));
	y->watch = open_watch(y);
	must(&y->p, watch_look(&y->p.cx, y->watch, &y->databases, &none, false, &found));
	assert_true(watch_alive(y->watch));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, stale)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_that_takes_5000_locks_by_savepoints_is_ended),
		TEST(a_session_idle_in_a_transaction_is_ended),
		TEST(an_aborted_transaction_that_stays_is_ended_too),
		TEST(lock_table_is_ended_and_the_others_go_on),
		TEST(work_on_rows_takes_no_lock_that_counts_as_lock_table),
		TEST(a_transaction_that_is_too_long_is_ended_whatever_it_does),
		TEST(who_keeps_too_many_waiting_is_ended_and_they_go_on),
		TEST(nobody_but_tenants_of_the_shared_database_is_ended),
		TEST(a_superuser_with_a_tenants_kind_of_name_is_not_ended),
		TEST(no_limit_ends_nobody_and_a_dry_run_only_lists),
		TEST(its_own_transaction_holds_back_no_vacuum),
		TEST(a_full_lock_table_does_not_stop_it),
		TEST(a_look_that_fails_leaves_the_next_one_its_locks),
		TEST(taken_connections_do_not_stop_it),
		TEST(a_login_without_the_rights_is_told_the_grant),
		TEST(a_server_that_goes_away_is_an_error_and_another_watch_can_be_opened),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

#include "tests/pg/places.h"

typedef struct Room {
	Places p;
	Cluster cluster;
	Pg *pg;
	Step step;
	StepEnv env;
} Room;

static Pg *
open_again(Room *r)
{
	PgTarget target = super_target("ledger_test");
	Pg *pg;

	must(&r->p, pg_open(&r->p.cx, &target, &pg));
	return pg;
}

static int
setup(void **state)
{
	static Room r;

	places_open(&r.p);
	psql_must(&r.p, "postgres",
	    "DROP DATABASE IF EXISTS ledger_test WITH (FORCE);\n"
	    "CREATE DATABASE ledger_test;\n");
	r.pg = open_again(&r);
	must(&r.p, ledger_schema_create(&r.p.cx, r.pg));
	r.step = (Step){ .key = "00112233445566778899aabbccddeeff",
		.scope = "cluster/bj-1",
		.kind = "test.step",
		.title = "a step",
		.args = js_object(r.p.cx.mem) };
	r.env = (StepEnv){ .home = r.p.home, .run = 7, .fence = 10, .step = &r.step };
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	Room *r = *state;

	psql(&r->p, "postgres", "DROP DATABASE IF EXISTS ledger_test WITH (FORCE);\n");
	arena_free(r->p.cx.mem);
	return 0;
}

static Ledger
enter(Room *r)
{
	Ledger out = LEDGER_ALREADY;

	must(&r->p, pg_begin(&r->p.cx, r->pg));
	must(&r->p, ledger_enter(&r->p.cx, r->pg, &r->env, &out));
	must(&r->p, pg_commit(&r->p.cx, r->pg));
	return out;
}

static bool
has(Room *r)
{
	bool out = false;

	must(&r->p, ledger_has(&r->p.cx, r->pg, &r->env, &out));
	return out;
}

static void
a_step_is_entered_once(void **state)
{
	Room *r = *state;

	assert_false(has(r));
	assert_int_equal(enter(r), LEDGER_NEW);
	assert_true(has(r));
	assert_int_equal(enter(r), LEDGER_ALREADY);
}

static void
the_same_step_of_another_run_is_new(void **state)
{
	Room *r = *state;

	r->env.run = 8;
	assert_false(has(r));
	assert_int_equal(enter(r), LEDGER_NEW);
	r->env.run = 7;
}

static void
a_lower_fence_is_refused_and_changes_nothing(void **state)
{
	Room *r = *state;
	Ledger out;

	r->env.fence = 9;
	r->env.run = 5;
	must(&r->p, pg_begin(&r->p.cx, r->pg));
	must_fail(&r->p, ledger_enter(&r->p.cx, r->pg, &r->env, &out), FAIL_FENCED,
	    "\"cluster/bj-1\" on \"super\" has seen a newer holder than fence 9 of run 5");
	must(&r->p, pg_commit(&r->p.cx, r->pg));
	assert_false(has(r));
	must_fail(&r->p, ledger_fence(&r->p.cx, r->pg, &r->env), FAIL_FENCED, NULL);
	must_fail(&r->p, ledger_remove(&r->p.cx, r->pg, &r->env), FAIL_FENCED, NULL);
	r->env.fence = 10;
	r->env.run = 7;
	assert_true(has(r));
}

static void
the_highest_fence_is_told(void **state)
{
	Room *r = *state;
	int64_t fence = -1;

	must(&r->p, ledger_highest(&r->p.cx, r->pg, "cluster/bj-1", &fence));
	assert_int_equal(fence, 10);
	must(&r->p, ledger_highest(&r->p.cx, r->pg, "cluster/none", &fence));
	assert_int_equal(fence, 0);
}

static void
an_undo_removes_the_row_and_a_leaver_all_others(void **state)
{
	Room *r = *state;

	assert_true(has(r));
	must(&r->p, ledger_forget(&r->p.cx, r->pg, &r->env));
	assert_true(has(r));
	assert_string_equal(one_value(&r->p, r->pg, "SELECT count(*) FROM copyhold.applied"), "1");
	must(&r->p, ledger_remove(&r->p.cx, r->pg, &r->env));
	assert_false(has(r));
}

static void
an_interrupted_holder_of_the_row_is_waited_for(void **state)
{
	Room *r = *state;
	Pg *other = open_again(r);
	Ledger out;

	must(&r->p, pg_begin(&r->p.cx, other));
	must(&r->p, ledger_enter(&r->p.cx, other, &r->env, &out));
	assert_false(has(r));
	must(&r->p, pg_script(&r->p.cx, r->pg, "SET lock_timeout = '50ms'"));
	must(&r->p, pg_begin(&r->p.cx, r->pg));
	must_fail(&r->p, ledger_enter(&r->p.cx, r->pg, &r->env, &out), FAIL_SERVER, NULL);
	assert_string_equal(pg_error(r->pg)->sqlstate, "55P03");
	pg_rollback(r->pg);
	must(&r->p, pg_script(&r->p.cx, r->pg, "RESET lock_timeout"));
	must(&r->p, pg_commit(&r->p.cx, other));
	pg_close(other);
	assert_int_equal(enter(r), LEDGER_ALREADY);
}

static void
a_free_session_lock_is_taken_and_given_back(void **state)
{
	Room *r = *state;
	Pg *other = open_again(r);

	must(&r->p, ledger_lock(&r->p.cx, r->pg, &r->env, 0));
	ledger_unlock(r->pg, &r->env);
	must(&r->p, ledger_lock(&r->p.cx, other, &r->env, 0));
	ledger_unlock(other, &r->env);
	assert_true(pg_alive(r->pg));
	pg_close(other);
}

static void
the_holder_of_a_session_lock_is_ended_after_the_deadline(void **state)
{
	Room *r = *state;
	Pg *holder = open_again(r);

	must(&r->p, ledger_lock(&r->p.cx, holder, &r->env, 0));
	must(&r->p, ledger_lock(&r->p.cx, r->pg, &r->env, 1));
	must_fail(&r->p, pg_script(&r->p.cx, holder, "SELECT 1"), FAIL_UNREACHABLE, NULL);
	ledger_unlock(r->pg, &r->env);
	pg_close(holder);
}

static void
the_lock_leaves_the_session_in_its_role(void **state)
{
	Room *r = *state;

	must(&r->p, pg_script(&r->p.cx, r->pg, "SET ROLE pg_monitor"));
	must(&r->p, ledger_lock(&r->p.cx, r->pg, &r->env, 0));
	assert_string_equal(one_value(&r->p, r->pg, "SELECT current_user"), "pg_monitor");
	ledger_unlock(r->pg, &r->env);
	assert_string_equal(one_value(&r->p, r->pg, "SELECT current_user"), "pg_monitor");
	must(&r->p, pg_script(&r->p.cx, r->pg, "RESET ROLE"));
}

static void
without_a_ledger_nothing_was_done(void **state)
{
	Room *r = *state;
	bool out = true;
	int64_t fence = -1;

	must(&r->p, ledger_has(&r->p.cx, r->p.super, &r->env, &out));
	assert_false(out);
	must(&r->p, ledger_highest(&r->p.cx, r->p.super, "x", &fence));
	assert_int_equal(fence, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_entered_once),
		cmocka_unit_test(the_same_step_of_another_run_is_new),
		cmocka_unit_test(a_lower_fence_is_refused_and_changes_nothing),
		cmocka_unit_test(the_highest_fence_is_told),
		cmocka_unit_test(an_undo_removes_the_row_and_a_leaver_all_others),
		cmocka_unit_test(an_interrupted_holder_of_the_row_is_waited_for),
		cmocka_unit_test(a_free_session_lock_is_taken_and_given_back),
		cmocka_unit_test(the_holder_of_a_session_lock_is_ended_after_the_deadline),
		cmocka_unit_test(the_lock_leaves_the_session_in_its_role),
		cmocka_unit_test(without_a_ledger_nothing_was_done),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

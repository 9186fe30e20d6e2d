/* Hosts, and releases over them: canaries, waves, budgets, what is not begun. */
#include "tests/unit/core/things.h"

static const Sql BEGUN = { "begun",
	"SELECT scope FROM thing WHERE item LIKE 'put-%' AND key IS NOT NULL ORDER BY rowid", 0 };

static void
tenant_spec(Room *r, const char *rollout)
{
	char *spec = arena_printf(r->cx.mem,
	    "{\"spec\":{\"model\":\"crm\",\"mode\":\"exclusive\",\"cluster\":\"c\",\"rollout\":{%s}}}",
	    rollout);

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Tenant", "acme", spec, "h"));
	ok(&r->cx, lite_commit(&r->cx, r->home->db));
}

static void
on_host(Ctx *cx, Steps *steps, int host)
{
	const char *scope = arena_printf(cx->mem, "release/acme/h%d", host);

	step(cx, steps, scope, "t.make", arena_printf(cx->mem, "put-h%d", host));
	step(cx, steps, scope, "t.make", arena_printf(cx->mem, "start-h%d", host));
	step(cx, steps, scope, "t.open", arena_printf(cx->mem, "switch-h%d", host));
}

static Steps
release(Ctx *cx, int hosts)
{
	Steps steps = { 0 };

	for (int i = 1; i <= hosts; i++)
		on_host(cx, &steps, i);
	return steps;
}

/* The same, of hosts that are made ready in the same run. */
static Steps
with_hosts(Ctx *cx, int hosts)
{
	Steps steps = { 0 };

	for (int i = 1; i <= hosts; i++)
		step(cx, &steps, arena_printf(cx->mem, "host/h%d", i), "t.make",
		    arena_printf(cx->mem, "helper-h%d", i));
	for (int i = 1; i <= hosts; i++)
		on_host(cx, &steps, i);
	return steps;
}

/* "h1 h3": the hosts that have it. */
static const char *
begun(Room *r)
{
	Buf b = buf_new(r->cx.mem);
	LiteRows *rows;

	ok(&r->cx, lite_query(&r->cx, target.db, &BEGUN, &rows, ""));
	while (lite_next(rows))
		buf_fmt(&b, "%s%s", b.len ? " " : "", strrchr(lite_text(rows, 0), '/') + 1);
	ok(&r->cx, lite_end(&r->cx, rows));
	return b.text;
}

static const char *
outcomes(Room *r, const RunReport *report)
{
	static const char words[] = { [SCOPE_DONE] = 'd',
		[SCOPE_FAILED] = 'f',
		[SCOPE_UNDONE] = 'u',
		[SCOPE_UNREACHABLE] = 'x',
		[SCOPE_STOPPED] = 's',
		[SCOPE_PERSON] = 'p' };
	Buf b = buf_new(r->cx.mem);

	for (size_t i = 0; i < report->scopes.n; i++)
		buf_addc(&b, words[report->scopes.at[i].outcome]);
	return b.text;
}

static void
assert_run(Room *r, Steps *steps, RunReport *report, ExitCode exit, const char *expected)
{
	ok(&r->cx, start(r, steps, report));
	assert_int_equal(report->exit, exit);
	assert_string_equal(outcomes(r, report), expected);
}

static void
resume_unharmed(Room *r, int64_t run, RunReport *report)
{
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_resume(&r->cx, r->home, run, report));
	assert_int_equal(report->exit, EXIT_DONE);
}

/* A step of another kind: for what is stopped, not released. */
static Steps
stops(Ctx *cx, int hosts)
{
	Steps steps = { 0 };

	for (int i = 1; i <= hosts; i++)
		step(cx, &steps, arena_printf(cx->mem, "release/acme/h%d", i), "t.make",
		    arena_printf(cx->mem, "put-h%d", i));
	return steps;
}

static void
a_release_reaches_every_host(void **state)
{
	Room *r = *state;
	Steps steps = release(&r->cx, 8);
	RunReport report;

	tenant_spec(r, "");
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(begun(r), "h1 h2 h3 h4 h5 h6 h7 h8");
}

static void
a_canary_that_fails_keeps_the_release_from_all_others(void **state)
{
	Room *r = *state;
	Steps steps = release(&r->cx, 4);
	RunReport report;

	tenant_spec(r, "\"budget\":9");
	harm(HARM_DEFINITE, "start-h1", 1);
	assert_run(r, &steps, &report, EXIT_UNDONE, "uuuu");
	assert_string_equal(begun(r), "");
	assert_string_equal(
	    report.scopes.at[1].fail->what, "not begun: acme on host \"h1\" has failed");
	assert_string_equal(run_state(r, report.run), "undone 5");
}

static void
more_failures_than_the_budget_end_the_wave(void **state)
{
	Room *r = *state;
	Steps steps = release(&r->cx, 6);
	RunReport report;

	tenant_spec(r, "\"budget\":0,\"wave\":1,\"canary\":2");
	harm(HARM_DEFINITE, "start-h3", 1);
	assert_run(r, &steps, &report, EXIT_UNDONE, "dduuuu");
	assert_string_equal(begun(r), "h1 h2");
}

static void
a_failure_within_the_budget_does_not(void **state)
{
	Room *r = *state;
	Steps steps = release(&r->cx, 4);
	RunReport report;

	tenant_spec(r, "\"wave\":1");
	harm(HARM_DEFINITE, "start-h2", 1);
	assert_run(r, &steps, &report, EXIT_UNDONE, "dudd");
	assert_string_equal(begun(r), "h1 h3 h4");
}

static void
one_host_offline_among_eight_is_told_and_the_others_are_done(void **state)
{
	Room *r = *state;
	Steps steps = release(&r->cx, 8);
	RunReport report;
	int64_t run;

	tenant_spec(r, "");
	harm(HARM_BLIND, "put-h1", 1); /* the canary itself: the next takes its place */
	assert_run(r, &steps, &report, EXIT_UNREACHABLE, "xddddddd");
	run = report.run;
	assert_string_equal(report.scopes.at[0].scope, "release/acme/h1");
	assert_string_equal(begun(r), "h2 h3 h4 h5 h6 h7 h8");
	resume_unharmed(r, run, &report);
	assert_int_equal(report.scopes.n, 1);
	assert_string_equal(begun(r), "h2 h3 h4 h5 h6 h7 h8 h1");
	assert_string_equal(run_state(r, run), "done 0");
}

static void
too_many_hosts_out_of_reach_leave_the_rest_for_a_resume(void **state)
{
	Room *r = *state;
	Steps steps = release(&r->cx, 4);
	RunReport report;
	int64_t run;

	tenant_spec(r, "\"budget\":0");
	harm(HARM_BLIND, "put-h1", 1);
	assert_run(r, &steps, &report, EXIT_STOPPED, "xsss");
	run = report.run;
	assert_string_equal(report.scopes.at[1].fail->what,
	    "not begun: more hosts of acme are out of reach than rollout.budget allows (0)");
	assert_string_equal(
	    report.scopes.at[1].fail->hint, "When they are back: copyhold run resume 1.");
	resume_unharmed(r, run, &report);
	assert_string_equal(begun(r), "h1 h2 h3 h4");
}

static void
nothing_is_released_for_a_tenant_that_was_rolled_back(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	on_host(&r->cx, &steps, 1);
	harm(HARM_DEFINITE, "two", 1);
	assert_run(r, &steps, &report, EXIT_UNDONE, "uu");
	assert_string_equal(
	    report.scopes.at[1].fail->what, "tenant \"acme\" is not ready: the server refused it");
	assert_string_equal(begun(r), "");
}

static void
what_stands_on_a_host_out_of_reach_waits_for_it_alone(void **state)
{
	Room *r = *state;
	Steps steps = with_hosts(&r->cx, 2);
	RunReport report;
	int64_t run;

	tenant_spec(r, "");
	harm(HARM_BLIND, "helper-h2", 1);
	assert_run(r, &steps, &report, EXIT_UNREACHABLE, "dxdx");
	run = report.run;
	assert_string_equal(
	    report.scopes.at[3].fail->what, "host \"h2\" is not ready: no connection");
	assert_string_equal(begun(r), "h1");
	resume_unharmed(r, run, &report);
	assert_string_equal(begun(r), "h1 h2");
}

/* Its address was wrong, say: a release past its pivot keeps the host recorded, and the next run may
 * begin. */
static void
a_run_that_waits_for_a_host_can_be_given_up(void **state)
{
	Room *r = *state;
	Steps steps = with_hosts(&r->cx, 2);
	RunReport report;
	int64_t run;

	tenant_spec(r, "");
	harm(HARM_BLIND, "helper-h2", 1);
	assert_run(r, &steps, &report, EXIT_UNREACHABLE, "dxdx");
	run = report.run;
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_string_equal(outcomes(r, &report), "uu");
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(begun(r), "h1");
	harm(NO_HARM, "", 0);
	assert_run(r, &steps, &report, EXIT_DONE, "dddd");
	assert_string_equal(begun(r), "h1 h2");
}

static void
what_a_release_stands_on_is_not_taken_back_from_under_it(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };
	RunReport report;
	int64_t run;

	step(&r->cx, &steps, "cluster/c1", "t.make", "claim");
	step(&r->cx, &steps, "tenant/acme", "t.make", "one");
	step(&r->cx, &steps, "release/acme/h1", "t.make", "put-h1");
	step(&r->cx, &steps, "release/acme/h1", "t.burn", "switch-h1");
	harm(HARM_UNDECIDABLE, "switch-h1", 1);
	assert_run(r, &steps, &report, EXIT_PERSON, "ddp");
	run = report.run;
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(outcomes(r, &report), "sss");
	assert_string_equal(report.scopes.at[2].fail->what,
	    "there is no way back: \"t.burn switch-h1\" had taken effect");
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(report.scopes.at[i].fail->what,
		    "it is not taken back from under \"release/acme/h1\"");
	assert_string_equal(begun(r), "h1");
	resume_unharmed(r, run, &report);
	assert_string_equal(run_state(r, run), "done 0");
	refused(&r->cx, run_undo(&r->cx, r->home, run, &report), FAIL_REFUSED,
	    "run 1 has nothing that can be undone");
}

static void
what_is_stopped_is_stopped_on_every_host_whatever_fails_on_one(void **state)
{
	Room *r = *state;
	Steps steps = stops(&r->cx, 3);
	RunReport report;

	tenant_spec(r, "\"budget\":0,\"wave\":1");
	harm(HARM_DEFINITE, "put-h1", 1);
	assert_run(r, &steps, &report, EXIT_FAILED, "fdd");
	assert_string_equal(begun(r), "h2 h3");
}

static void
an_undo_takes_releases_back_whatever_their_budget(void **state)
{
	Room *r = *state;
	Steps steps = stops(&r->cx, 3);
	RunReport report;
	int64_t run;

	tenant_spec(r, "\"budget\":0");
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_string_equal(begun(r), "h1 h2 h3");
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(begun(r), "");
	assert_string_equal(run_state(r, run), "undone 5");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_release_reaches_every_host),
		TEST(a_canary_that_fails_keeps_the_release_from_all_others),
		TEST(more_failures_than_the_budget_end_the_wave),
		TEST(a_failure_within_the_budget_does_not),
		TEST(one_host_offline_among_eight_is_told_and_the_others_are_done),
		TEST(too_many_hosts_out_of_reach_leave_the_rest_for_a_resume),
		TEST(nothing_is_released_for_a_tenant_that_was_rolled_back),
		TEST(what_stands_on_a_host_out_of_reach_waits_for_it_alone),
		TEST(a_run_that_waits_for_a_host_can_be_given_up),
		TEST(what_a_release_stands_on_is_not_taken_back_from_under_it),
		TEST(what_is_stopped_is_stopped_on_every_host_whatever_fails_on_one),
		TEST(an_undo_takes_releases_back_whatever_their_budget),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/core/things.h"

static const Sql EVENTS = { "events",
	"SELECT bytes, log_index FROM event JOIN log ON log.id = log "
	"ORDER BY tenant, log_index",
	0 };
static const Sql MORE_PAGES = { "more_pages", "PRAGMA max_page_count = 100000", 0 };

static void
a_run_does_every_step_once_and_is_done(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_int_equal(report.scopes.n, 1);
	assert_string_equal(report.scopes.at[0].scope, "tenant/acme");
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_DONE);
	assert_null(report.scopes.at[0].fail);
	assert_string_equal(world(r, true), ACME_DONE);
	assert_string_equal(states(r, report.run), "done done done done done done");
	assert_string_equal(run_state(r, report.run), "done 0");
}

static void
a_definite_failure_before_the_pivot_is_rolled_back(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_DEFINITE, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_string_equal(report.scopes.at[0].fail->what, "the server refused it");
	assert_string_equal(world(r, false), "");
	assert_string_equal(
	    states(r, report.run), "undone undone undone abandoned abandoned abandoned");
	assert_string_equal(run_state(r, report.run), "undone 5");
}

static void
a_failure_of_the_first_effect_has_changed_nothing(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };
	RunReport report;

	step(&r->cx, &steps, "tenant/acme", "t.make", "one");
	harm(HARM_DEFINITE, "one", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_string_equal(run_state(r, report.run), "failed 1");
}

static void
a_failure_after_the_pivot_stops_and_a_resume_goes_forward(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;
	int64_t run;

	harm(HARM_DEFINITE, "after", 1);
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(states(r, run), "done done done done done failed");
	refused(&r->cx, run_undo(&r->cx, r->home, run, &report), FAIL_REFUSED,
	    "run 1 has nothing that can be undone");
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
	assert_string_equal(run_state(r, run), "done 0");
}

static void
a_lost_connection_is_tried_again_and_a_lost_answer_is_not(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_TRANSIENT, "one", 2);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
an_effect_whose_answer_was_lost_is_found_and_not_repeated(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_LOST_ANSWER, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
what_cannot_be_seen_waits_for_a_resume(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true), other = one_tenant(&r->cx, true);
	RunReport report;
	int64_t run;

	harm(HARM_BLIND, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_UNREACHABLE);
	assert_string_equal(states(r, run), "done done unknown waiting waiting waiting");
	assert_string_equal(run_state(r, run), "stopped 4");
	refused(&r->cx, start(r, &other, &report), FAIL_REFUSED,
	    "run 1 has not finished with \"tenant/acme\"");
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static int64_t
undecidable_run(Room *r)
{
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_UNDECIDABLE, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	assert_string_equal(report.scopes.at[0].fail->what, "t.make two: half of it is there");
	assert_string_equal(report.scopes.at[0].fail->hint,
	    "Look at the target, then: "
	    "copyhold run resolve 1.3 --as done|redo|abandon.");
	assert_string_equal(run_state(r, report.run), "person 6");
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	harm(NO_HARM, "", 0);
	return report.run;
}

static void
an_undecidable_step_resolved_as_done_is_recorded_and_the_run_goes_on(void **state)
{
	Room *r = *state;
	int64_t run = undecidable_run(r);
	RunReport report;

	refused(
	    &r->cx, run_resolve(&r->cx, r->home, run, 2, "done"), FAIL_REFUSED, "step 1.2 is done");
	refused(&r->cx, run_resolve(&r->cx, r->home, run, 9, "done"), FAIL_NOT_FOUND,
	    "run 1 has no step 9");
	refused(&r->cx, run_resolve(&r->cx, r->home, 7, 1, "done"), FAIL_NOT_FOUND,
	    "there is no run 7");
	ok(&r->cx, run_resolve(&r->cx, r->home, run, 3, "done"));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
an_undecidable_step_resolved_as_redo_is_done_again(void **state)
{
	Room *r = *state;
	int64_t run = undecidable_run(r);
	RunReport report;

	ok(&r->cx, run_resolve(&r->cx, r->home, run, 3, "redo"));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(states(r, run), "done done done done done done");
	assert_non_null(strstr(world(r, true), "tenant/acme two 2 again\n"));
}

static void
an_abandoned_step_ends_its_scope_and_the_rest_can_be_undone(void **state)
{
	Room *r = *state;
	int64_t run = undecidable_run(r);
	RunReport report;

	ok(&r->cx, run_resolve(&r->cx, r->home, run, 3, "abandon"));
	assert_string_equal(states(r, run), "done done abandoned abandoned abandoned abandoned");
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(run_state(r, run), "failed 1");
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, false), "tenant/acme two 1\n");
}

static void
a_failed_undo_needs_a_person_and_goes_on_when_it_is_mended(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, false);
	RunReport report;
	int64_t run;

	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	harm(HARM_UNDO, "one", 1);
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	assert_string_equal(fail_name(report.scopes.at[0].fail->kind), "undo-failed");
	assert_string_equal(
	    report.scopes.at[0].fail->what, "\"t.make one\" could not be undone: it is in use");
	assert_string_equal(states(r, run), "done undo_failed undone undone");
	ok(&r->cx, run_resolve(&r->cx, r->home, run, 2, "redo"));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_string_equal(world(r, false), "");
}

static void
a_guard_that_says_no_ends_the_scope_before_its_first_step(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_GUARD, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_string_equal(report.scopes.at[0].fail->what, "the data forbids it");
	assert_string_equal(world(r, true), "");
	assert_string_equal(
	    states(r, report.run), "abandoned abandoned abandoned abandoned abandoned abandoned");
}

static void
a_guard_that_cannot_look_leaves_the_steps_waiting(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_GUARD_BLIND, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	assert_string_equal(
	    states(r, report.run), "waiting waiting waiting waiting waiting waiting");
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
a_record_that_is_refused_rolls_its_scope_back(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_RECORD, "recorded", 2); /* with its neighbours, then alone */
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_string_equal(report.scopes.at[0].fail->what, "the note is there");
	assert_string_equal(world(r, false), "");
}

#define QUICK(name, letter) \
	"Note tenant/" name "/" letter "-recorded\nNote tenant/" name "/" letter "-registered\n" \
	"Note tenant/" name "/open\n"

static void
a_record_that_is_refused_beside_that_of_the_tenant_before_harms_its_own_alone(void **state)
{
	static const struct {
		const char *item;
		int times;
		ScopeOutcome acme, globex;
		const char *world;
	} cases[] = {
		/* with acme's end, then alone */
		{ "g-registered", 2, SCOPE_DONE, SCOPE_FAILED,
		    "tenant/acme a-in 1\ntenant/initech i-in 1\n" QUICK("acme", "a")
			QUICK("initech", "i") },
		/* with globex's beginning, with its own neighbours, alone */
		{ "a-recorded", 3, SCOPE_UNDONE, SCOPE_DONE,
		    "tenant/globex g-in 1\ntenant/initech i-in 1\n" QUICK("globex", "g")
			QUICK("initech", "i") },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		RunReport report;
		void *room;
		assert_int_equal(setup(&room), 0);
		Room *r = room;
		Steps steps = quick_chain(&r->cx, true);
		harm(HARM_RECORD, cases[i].item, cases[i].times);
		ok(&r->cx, start(r, &steps, &report));
		assert_int_equal(report.scopes.at[0].outcome, cases[i].acme);
		assert_int_equal(report.scopes.at[1].outcome, cases[i].globex);
		assert_int_equal(report.scopes.at[2].outcome, SCOPE_DONE);
		assert_string_equal(world(r, false), cases[i].world);
		room_teardown(&room);
	}
}

static void
the_last_tenant_of_a_lane_is_recorded_with_no_other_behind_it(void **state)
{
	Room *r = *state;
	Steps steps = quick_chain(&r->cx, true);
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(
	    states(r, report.run), "done done done done done done done done done done done done");
	assert_string_equal(run_state(r, report.run), "done 0");
}

/* What was done before it is recorded, what was to come after it has not begun. */
static void
a_failure_among_early_intents_leaves_each_step_as_it_is(void **state)
{
	static const struct {
		Harm harm;
		const char *item;
		int64_t exit;
		const char *states;
	} cases[] = {
		{ HARM_BLIND, "one", EXIT_UNREACHABLE,
		    "done unknown waiting waiting waiting waiting waiting" },
		{ HARM_BLIND, "two", EXIT_UNREACHABLE,
		    "done done unknown waiting waiting waiting waiting" },
		{ HARM_FENCED, "three", EXIT_PERSON,
		    "done done done unknown waiting waiting waiting" },
		{ HARM_DEFINITE, "two", EXIT_UNDONE,
		    "undone undone undone abandoned abandoned abandoned abandoned" },
		{ HARM_LOST_ANSWER, "two", EXIT_DONE, "done done done done done done done" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		RunReport report;
		void *room;
		assert_int_equal(setup(&room), 0);
		Room *r = room;
		Steps steps = early_tenant(&r->cx, true);
		harm(cases[i].harm, cases[i].item, 1);
		ok(&r->cx, start(r, &steps, &report));
		assert_int_equal(report.exit, cases[i].exit);
		assert_string_equal(states(r, report.run), cases[i].states);
		room_teardown(&room);
	}
}

static void
a_fenced_step_is_a_persons(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_FENCED, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	assert_string_equal(states(r, report.run), "done done unknown waiting waiting waiting");
}

static void
a_full_disk_in_mid_run_stops_it_and_a_resume_repeats_nothing(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;
	char reason[8192] = "";
	int64_t run;

	harm(HARM_FULL, "one", 1);
	memset(reason, 'x', sizeof reason - 1); /* no page has room for the next event */
	r->home->reason = reason;
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(fail_name(report.scopes.at[0].fail->kind), "disk-full");
	ok(&r->cx, lite_do(&r->cx, r->home->db, &MORE_PAGES, ""));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
tenants_of_a_cluster_that_failed_are_not_begun(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, true);
	RunReport report;

	harm(HARM_DEFINITE, "claim", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_UNDONE);
	assert_int_equal(report.scopes.at[1].outcome, SCOPE_FAILED);
	assert_string_equal(
	    report.scopes.at[1].fail->what, "cluster \"c1\" is not ready: the server refused it");
	assert_string_equal(world(r, false), "");
	assert_string_equal(states(r, report.run),
	    "undone undone abandoned abandoned abandoned "
	    "abandoned abandoned abandoned abandoned abandoned abandoned abandoned abandoned abandoned");
}

static void
tenants_of_a_cluster_out_of_reach_go_on_with_a_resume(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, true);
	RunReport report;
	int64_t run;

	harm(HARM_BLIND, "claim", 1);
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_int_equal(report.scopes.n, 3);
	assert_string_equal(run_state(r, run), "done 0");
}

static void
one_tenant_that_fails_does_not_stop_the_other(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };
	RunReport report;

	tenant_steps(&r->cx, &steps, "acme", true);
	step(&r->cx, &steps, "tenant/globex", "t.note", "registered");
	step(&r->cx, &steps, "tenant/globex", "t.make", "bad");
	harm(HARM_DEFINITE, "bad", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_DONE);
	assert_int_equal(report.scopes.at[1].outcome, SCOPE_UNDONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
an_undo_takes_tenants_back_first_and_then_their_cluster(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, false);
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, false), "");
	assert_string_equal(run_state(r, report.run), "undone 5");
	refused(&r->cx, run_undo(&r->cx, r->home, report.run, &report), FAIL_REFUSED,
	    "run 1 has nothing that can be undone");
}

static void
a_change_is_not_undone_from_under_a_newer_one(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, false), newer = { 0 };
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	step(&r->cx, &newer, "tenant/acme", "t.make", "three");
	ok(&r->cx, start(r, &newer, &report));
	refused(&r->cx, run_undo(&r->cx, r->home, 1, &report), FAIL_REFUSED,
	    "run 2 has changed \"tenant/acme\" since");
	ok(&r->cx, run_undo(&r->cx, r->home, 2, &report));
	ok(&r->cx, run_undo(&r->cx, r->home, 1, &report));
	assert_string_equal(world(r, false), "");
}

static void
an_effect_with_no_way_back_is_looked_for_before_an_undo(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };
	RunReport report;

	step(&r->cx, &steps, "tenant/acme", "t.make", "one");
	step(&r->cx, &steps, "tenant/acme", "t.burn", "two");
	step(&r->cx, &steps, "tenant/acme", "t.make", "three");
	harm(HARM_UNDECIDABLE, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(report.scopes.at[0].fail->what,
	    "there is no way back: \"t.burn two\" had taken effect");
	assert_string_equal(states(r, report.run), "done done waiting");
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
}

static void
a_plan_made_before_another_run_is_stale(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunPlan plan = { .verb = "test", .steps = &steps };
	TenantRecord t = { .name = "acme",
		.id = "aaaa",
		.state = TENANT_ACTIVE,
		.mode = MODE_DEDICATED,
		.cluster = "c1",
		.dbname = "d",
		.owner = "o",
		.model = "m",
		.shape = "",
		.spec_hash = "",
		.changed_run = 7 };
	RunReport report;
	RunRows runs;

	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &t));
	vec_push(r->cx.mem, &plan.seen, ((Seen){ .name = "acme", .changed_run = 6 }));
	refused(&r->cx, run_start(&r->cx, r->home, &plan, &report), FAIL_PLAN_STALE,
	    "tenant \"acme\" was changed by run 7 since the plan was made");
	ok(&r->cx, run_list(&r->cx, r->home, 10, &runs));
	assert_int_equal(runs.n, 0);
	assert_string_equal(world(r, true), "");
}

static void
a_run_of_an_unknown_kind_does_not_begin(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };
	RunReport report;

	step(&r->cx, &steps, "tenant/acme", "t.other", "one");
	refused(&r->cx, start(r, &steps, &report), FAIL_CATALOG,
	    "step 1 is of the unknown kind \"t.other\"");
}

static void
each_lease_raises_the_fence_by_one(void **state)
{
	Room *r = *state;
	RunReport report;

	for (int64_t i = 1; i <= 3; i++) {
		Steps steps = { 0 };
		step(&r->cx, &steps, "tenant/acme", "t.note", "x");
		ok(&r->cx, start(r, &steps, &report));
		assert_int_equal(fence_of(r, "tenant/acme"), i);
	}
}

static void
every_event_has_the_next_place_in_its_log(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, true);
	RunReport report;
	LiteRows *rows;
	char *log = arena_dup(r->cx.mem, "");
	int64_t index = 0, n = 0;

	ok(&r->cx, start(r, &steps, &report));
	ok(&r->cx, lite_query(&r->cx, r->home->db, &EVENTS, &rows, ""));
	for (; lite_next(rows); index++, n++) {
		Bytes bytes = lite_bytes(rows, 0);
		Js *event;
		ok(&r->cx, js_parse(&r->cx, (const char *)bytes.at, bytes.n, &event));
		const char *tenant = js_get_text(event, "tenant") ? js_get_text(event, "tenant")
								  : "";
		if (strcmp(tenant, log) != 0)
			index = 0;
		log = arena_dup(r->cx.mem, tenant);
		assert_int_equal(lite_int(rows, 1), index);
		assert_string_equal(js_get_text(event, "home"), r->home->id);
	}
	ok(&r->cx, lite_end(&r->cx, rows));
	assert_int_equal(n, 14);
}

static void
ten_thousand_tenants_are_ten_thousand_scopes(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };
	RunReport report;
	size_t before = arena_bytes(r->cx.mem);

	for (int i = 0; i < 10000; i++) {
		Step s = { .id = i + 1,
			.kind = "t.note",
			.title = "note",
			.args = js_object(r->cx.mem),
			.scope = arena_printf(r->cx.mem, "tenant/t%d", i) };
		js_set_text(s.args, "item", "x");
		js_set_text(s.args, "cluster", arena_printf(r->cx.mem, "c%d", i % 50));
		vec_push(r->cx.mem, &steps, s);
	}
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_int_equal(report.scopes.n, 10000);
	assert_true(arena_bytes(r->cx.mem) - before < (size_t)100 << 20);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_run_does_every_step_once_and_is_done),
		T(a_definite_failure_before_the_pivot_is_rolled_back),
		T(a_failure_of_the_first_effect_has_changed_nothing),
		T(a_failure_after_the_pivot_stops_and_a_resume_goes_forward),
		T(a_lost_connection_is_tried_again_and_a_lost_answer_is_not),
		T(an_effect_whose_answer_was_lost_is_found_and_not_repeated),
		T(what_cannot_be_seen_waits_for_a_resume),
		T(an_undecidable_step_resolved_as_done_is_recorded_and_the_run_goes_on),
		T(an_undecidable_step_resolved_as_redo_is_done_again),
		T(an_abandoned_step_ends_its_scope_and_the_rest_can_be_undone),
		T(a_failed_undo_needs_a_person_and_goes_on_when_it_is_mended),
		T(a_guard_that_says_no_ends_the_scope_before_its_first_step),
		T(a_guard_that_cannot_look_leaves_the_steps_waiting),
		T(a_record_that_is_refused_rolls_its_scope_back),
		cmocka_unit_test(
		    a_record_that_is_refused_beside_that_of_the_tenant_before_harms_its_own_alone),
		T(the_last_tenant_of_a_lane_is_recorded_with_no_other_behind_it),
		T(a_failure_among_early_intents_leaves_each_step_as_it_is),
		T(a_fenced_step_is_a_persons),
		T(a_full_disk_in_mid_run_stops_it_and_a_resume_repeats_nothing),
		T(tenants_of_a_cluster_that_failed_are_not_begun),
		T(tenants_of_a_cluster_out_of_reach_go_on_with_a_resume),
		T(one_tenant_that_fails_does_not_stop_the_other),
		T(an_undo_takes_tenants_back_first_and_then_their_cluster),
		T(a_change_is_not_undone_from_under_a_newer_one),
		T(an_effect_with_no_way_back_is_looked_for_before_an_undo),
		T(a_plan_made_before_another_run_is_stale),
		T(a_run_of_an_unknown_kind_does_not_begin),
		T(each_lease_raises_the_fence_by_one),
		T(every_event_has_the_next_place_in_its_log),
		T(ten_thousand_tenants_are_ten_thousand_scopes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

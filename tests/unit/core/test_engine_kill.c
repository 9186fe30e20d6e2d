/* Runs that are killed, stopped and held, in processes of their own. */
#include "tests/unit/core/things.h"

/* A tenant's release onto three hosts. */
static Steps
releases(Ctx *cx)
{
	Steps steps = { 0 };

	for (int i = 1; i <= 3; i++) {
		const char *scope = arena_printf(cx->mem, "release/acme/h%d", i);
		step(cx, &steps, scope, "t.make", arena_printf(cx->mem, "put-h%d", i));
		step(cx, &steps, scope, "t.make", arena_printf(cx->mem, "wait-h%d", i));
		step(cx, &steps, scope, "t.open", arena_printf(cx->mem, "switch-h%d", i));
	}
	return steps;
}

/* What a child does: DIR WORD.  The parent's harm is not its own. */
static int
child(const char *dir, const char *word)
{
	Room r = { .cx = ctx_new(NULL), .dir = (char *)dir };
	bool pivot = strstr(word, "pivot") != NULL;
	RunReport report = { .exit = EXIT_USAGE };
	bool done;

	log_setup(LOG_QUIET, false);
	ok(&r.cx, home_open(&r.cx, arena_printf(r.cx.mem, "%s/home", dir), ACCESS_WRITES, &r.home));
	target_open(&r.cx, dir);
	lane_catch_signals();
	Steps steps = strstr(word, "release") ? releases(&r.cx)
	    : strstr(word, "quick")           ? quick_chain(&r.cx, pivot)
	    : strstr(word, "early")           ? early_tenant(&r.cx, pivot)
					      : chain(&r.cx, pivot);
	if (strstr(word, "signal"))
		harm(HARM_SIGNAL, "one", 1);
	if (strstr(word, "within"))
		harm(HARM_STOPPED, "wait-h1", 1);
	if (strstr(word, "fail"))
		harm(HARM_DEFINITE, "two", 9);
	if (strncmp(word, "resume", 6) == 0)
		done = run_resume(&r.cx, r.home, 1, &report);
	else if (strncmp(word, "undo", 4) == 0)
		done = run_undo(&r.cx, r.home, 1, &report);
	else
		done = start(&r, &steps, &report);
	int code = (int)(done ? report.exit : fail_exit(r.cx.fail->kind));
	arena_free(r.cx.mem);
	return code;
}

/* Kills `first` at each boundary, does `then`, and asks for the end state. */
static void
kill_everywhere(
    const char *prepare, const char *first, int first_exit, const char *then, const char *expected)
{
	int boundaries = 1;

	for (int n = 0; n <= boundaries; n++) {
		void *state;
		assert_int_equal(setup(&state), 0);
		Room *r = state;
		if (prepare)
			assert_int_equal(room_child(r, prepare, NULL), 0);
		if (n == 0) {
			char *list = arena_printf(r->cx.mem, "%s/list", r->dir);
			assert_int_equal(
			    room_child(r, first, arena_printf(r->cx.mem, "list:%s", list)),
			    first_exit);
			boundaries = room_count_lines(r, list);
			assert_true(boundaries > 20);
		} else {
			assert_int_equal(
			    room_child(r, first, arena_printf(r->cx.mem, "kill:%d", n)), -SIGKILL);
			int code = room_child(r, then, NULL);
			if (code != 0 && code != 5)
				broken("boundary %d: exit %d, steps %s", n, code, states(r, 1));
		}
		if (strcmp(world(r, true), expected) != 0)
			broken("boundary %d: %s: %s", n, states(r, 1), world(r, true));
		room_teardown(&state);
	}
}

#define CHAIN_DONE \
	"cluster/c1 claim 1\n" \
	"tenant/acme after 1\ntenant/acme one 1\ntenant/acme two 1\n" \
	"tenant/globex after 1\ntenant/globex one 1\ntenant/globex two 1\n" \
	"Note cluster/c1/claim\nNote cluster/c1/object\n" \
	"Note tenant/acme/after\nNote tenant/acme/one\nNote tenant/acme/open\n" \
	"Note tenant/acme/recorded\nNote tenant/acme/registered\nNote tenant/acme/two\n" \
	"Note tenant/globex/after\nNote tenant/globex/one\nNote tenant/globex/open\n" \
	"Note tenant/globex/recorded\nNote tenant/globex/registered\nNote tenant/globex/two\n"

static void
killed_at_any_boundary_a_resume_reaches_the_same_end(void **state)
{
	(void)state;
	kill_everywhere(NULL, "start-pivot", 0, "resume", CHAIN_DONE);
}

#define QUICK_DONE \
	"tenant/acme a-in 1\ntenant/globex g-in 1\ntenant/initech i-in 1\n" \
	"Note tenant/acme/a-recorded\nNote tenant/acme/a-registered\nNote tenant/acme/open\n" \
	"Note tenant/globex/g-recorded\nNote tenant/globex/g-registered\nNote tenant/globex/open\n" \
	"Note tenant/initech/i-recorded\nNote tenant/initech/i-registered\n" \
	"Note tenant/initech/open\n"

static void
killed_before_the_end_of_a_tenant_is_recorded_with_the_next_a_resume_repeats_nothing(void **state)
{
	(void)state;
	kill_everywhere(NULL, "start-quick-pivot", 0, "resume", QUICK_DONE);
}

#define EARLY_DONE \
	"tenant/acme after 1\ntenant/acme one 1\ntenant/acme three 1\ntenant/acme two 1\n" \
	"Note tenant/acme/after\nNote tenant/acme/one\nNote tenant/acme/open\n" \
	"Note tenant/acme/recorded\nNote tenant/acme/registered\nNote tenant/acme/three\n" \
	"Note tenant/acme/two\n"

static void
killed_where_intents_were_early_a_resume_repeats_nothing(void **state)
{
	(void)state;
	kill_everywhere(NULL, "start-early-pivot", 0, "resume", EARLY_DONE);
	kill_everywhere(NULL, "start-early-fail", 5, "resume-fail", "");
}

static void
a_signal_before_an_early_step_takes_its_intent_back(void **state)
{
	Room *r = *state;

	assert_int_equal(room_child(r, "start-early-signal-pivot", NULL), EXIT_STOPPED);
	assert_string_equal(states(r, 1), "done done waiting waiting waiting waiting waiting");
	assert_int_equal(room_child(r, "resume", NULL), EXIT_DONE);
	assert_string_equal(world(r, true), EARLY_DONE);
}

static void
undo_everywhere(const char *first)
{
	int n = 0, boundaries = 1;

	while (n++ < boundaries) {
		void *room;
		assert_int_equal(setup(&room), 0);
		Room *r = room;
		if (n == 1)
			boundaries = room_boundaries(r, first);
		else
			assert_int_equal(
			    room_child(r, first, arena_printf(r->cx.mem, "kill:%d", n)), -SIGKILL);
		assert_int_equal(room_child(r, "undo", NULL), 0);
		if (strcmp(world(r, true), "") != 0)
			broken("boundary %d: %s: %s", n, states(r, 1), world(r, true));
		room_teardown(&room);
	}
}

static void
killed_at_any_boundary_an_undo_leaves_nothing(void **state)
{
	(void)state;
	undo_everywhere("start");
	undo_everywhere("start-quick");
	undo_everywhere("start-early");
}

static void
an_undo_killed_at_any_boundary_is_finished_by_the_next(void **state)
{
	(void)state;
	kill_everywhere("start", "undo", 0, "undo", "");
}

static void
a_rollback_killed_at_any_boundary_is_finished_by_a_resume(void **state)
{
	(void)state;
	kill_everywhere(NULL, "start-fail", 5, "resume-fail",
	    "cluster/c1 claim 1\nNote cluster/c1/claim\nNote cluster/c1/object\n");
}

static void
a_signal_stops_between_two_steps_and_a_resume_goes_on(void **state)
{
	Room *r = *state;

	assert_int_equal(room_child(r, "start-signal-pivot", NULL), EXIT_STOPPED);
	assert_string_equal(states(r, 1),
	    "done done done done waiting waiting waiting waiting "
	    "waiting waiting waiting waiting waiting waiting");
	assert_string_equal(run_state(r, 1), "stopped 3");
	assert_int_equal(room_child(r, "resume", NULL), EXIT_DONE);
	assert_string_equal(world(r, true), CHAIN_DONE);
	assert_int_equal(room_child(r, "resume", NULL), EXIT_DONE);
	assert_string_equal(world(r, true), CHAIN_DONE);
}

/* Its step has failed nothing and waits; hosts that were not begun are not taken for unreachable ones. */
static void
a_signal_within_an_act_leaves_its_step_to_a_resume(void **state)
{
	Room *r = *state;

	assert_int_equal(room_child(r, "start-release-within", NULL), EXIT_STOPPED);
	assert_string_equal(
	    states(r, 1), "done waiting waiting waiting waiting waiting waiting waiting waiting");
	assert_string_equal(run_state(r, 1), "stopped 3");
	assert_int_equal(room_child(r, "resume", NULL), EXIT_DONE);
	assert_string_equal(states(r, 1), "done done done done done done done done done");
}

static void
a_signal_within_an_act_is_no_obstacle_to_an_undo(void **state)
{
	Room *r = *state;

	assert_int_equal(room_child(r, "start-release-within", NULL), EXIT_STOPPED);
	assert_int_equal(room_child(r, "undo", NULL), EXIT_DONE);
	assert_string_equal(world(r, true), "");
}

static void
a_run_that_did_nothing_yet_gives_way_to_a_newer_one(void **state)
{
	Room *r = *state;
	RunReport report;

	assert_int_equal(room_child(r, "start-pivot", "kill:1"), -SIGKILL);
	Steps steps = chain(&r->cx, true);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.run, 2);
	assert_string_equal(world(r, true), CHAIN_DONE);
	assert_string_equal(run_state(r, 1), "failed -1");
	ok(&r->cx, run_resume(&r->cx, r->home, 1, &report));
	assert_string_equal(world(r, true), CHAIN_DONE);
}

static void
a_stopped_holder_keeps_its_lease_and_a_dead_one_does_not(void **state)
{
	Room *r = *state;
	char *argv[] = { (char *)"self", (char *)"child", r->dir, (char *)"start-pivot", NULL };
	extern char **environ;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;
	int status;
	pid_t pid;

	setenv("COPYHOLD_FAULT", "stop:1", 1);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	unsetenv("COPYHOLD_FAULT");
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_false(start(r, &steps, &report));
	assert_string_equal(fail_name(r->cx.fail->kind), "leased");
	assert_int_equal(fail_exit(r->cx.fail->kind), 7);
	char *expected = arena_printf(r->cx.mem,
	    "\"tenant/acme\" is held by run 1 (process %d, %s, since ", (int)pid, r->home->actor);
	assert_memory_equal(r->cx.fail->what, expected, strlen(expected));
	fail_clear(&r->cx);
	assert_false(run_resume(&r->cx, r->home, 1, &report));
	assert_string_equal(fail_name(r->cx.fail->kind), "leased");
	fail_clear(&r->cx);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ok(&r->cx, run_resume(&r->cx, r->home, 1, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), CHAIN_DONE);
	assert_int_equal(fence_of(r, "tenant/acme"), 2);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2], argv[3]);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_signal_stops_between_two_steps_and_a_resume_goes_on),
		T(a_signal_within_an_act_leaves_its_step_to_a_resume),
		T(a_signal_before_an_early_step_takes_its_intent_back),
		T(a_signal_within_an_act_is_no_obstacle_to_an_undo),
		T(a_run_that_did_nothing_yet_gives_way_to_a_newer_one),
		T(a_stopped_holder_keeps_its_lease_and_a_dead_one_does_not),
		cmocka_unit_test(killed_at_any_boundary_a_resume_reaches_the_same_end),
		cmocka_unit_test(
		    killed_before_the_end_of_a_tenant_is_recorded_with_the_next_a_resume_repeats_nothing),
		cmocka_unit_test(killed_where_intents_were_early_a_resume_repeats_nothing),
		cmocka_unit_test(killed_at_any_boundary_an_undo_leaves_nothing),
		cmocka_unit_test(an_undo_killed_at_any_boundary_is_finished_by_the_next),
		cmocka_unit_test(a_rollback_killed_at_any_boundary_is_finished_by_a_resume),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

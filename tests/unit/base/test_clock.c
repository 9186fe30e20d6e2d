#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/vec.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

static Arena *mem;

static int
setup(void **state)
{
	(void)state;
	mem = arena_new(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(mem);
	return 0;
}

static void
times_are_printed_and_read_back(void **state)
{
	static const struct {
		int64_t ms;
		const char *iso;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1795255200123, "2026-11-21T10:00:00.123Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 1709210096789, "2024-02-29T12:34:56.789Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t ms = 7;

		assert_string_equal(clock_iso(mem, cases[i].ms), cases[i].iso);
		assert_true(clock_parse(cases[i].iso, &ms));
		assert_int_equal(ms, cases[i].ms);
	}
}

static void
dates_and_whole_seconds_are_read(void **state)
{
	int64_t ms;

	(void)state;
	assert_true(clock_parse("2024-02-29", &ms));
	assert_int_equal(ms, 1709164800000);
	assert_true(clock_parse("2024-02-29T12:34:56Z", &ms));
	assert_int_equal(ms, 1709210096000);
}

static void
what_is_no_time_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-02-30",
		"2023-02-29",
		"2026-13-01",
		"2026-00-10",
		"2026-01-00",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z",
		"2026-01-01T00:00:00",
		"2026-01-01T00:00:00.1Z",
		"2026-01-01 00:00:00Z",
		"2026-01-01T00:00:00.000Zx",
		"+026-01-01",
		"26-01-01",
		"2026-1-1",
	};
	int64_t ms = 7;

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(clock_parse(bad[i], &ms));
	assert_int_equal(ms, 7);
}

static void
spans_are_told_in_two_units(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ -5, "0 ms" },
		{ 0, "0 ms" },
		{ 999, "999 ms" },
		{ 1000, "1 s" },
		{ 1234, "1.2 s" },
		{ 59999, "59.9 s" },
		{ 60000, "1 min" },
		{ 184000, "3 min 4 s" },
		{ 3600000, "1 h" },
		{ 7500000, "2 h 5 min" },
		{ 2592000000, "30 d" },
		{ 90000000, "1 d 1 h" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_string_equal(clock_human(mem, cases[i].ms), cases[i].text);
}

static void
the_wall_clock_can_be_fixed(void **state)
{
	(void)state;
	setenv("COPYHOLD_NOW", "1709210096789", 1);
	assert_int_equal(clock_wall_ms(), 1709210096789);
	setenv("COPYHOLD_NOW", "soon", 1);
	assert_true(clock_wall_ms() > 1709210096789);
	unsetenv("COPYHOLD_NOW");
	assert_true(clock_mono_ms() <= clock_mono_ms());
}

static void
backoff_stays_between_zero_and_its_ceiling(void **state)
{
	static const int64_t ceilings[] = { 100, 200, 400, 800, 1000, 1000 };
	int64_t top = 0;

	(void)state;
	for (int i = 0; i < 600; i++) {
		int64_t ms = backoff_ms(i % 6, 100, 1000);

		assert_in_range(ms, 0, ceilings[i % 6]);
		top = ms > top ? ms : top;
	}
	assert_true(top > 800); /* 200 draws up to 1000: fails once in 10^19 */
	assert_in_range(backoff_ms(1000000, 1, INT64_MAX), 0, INT64_MAX);
	assert_int_equal(backoff_ms(3, 0, 1000), 0);
}

static void
names_and_uuids_have_their_alphabet(void **state)
{
	const char *name = random_name(mem, 40), *uuid = random_uuid(mem);

	(void)state;
	assert_int_equal(strlen(name), 40);
	assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz234567"), 40);
	assert_string_not_equal(name, random_name(mem, 40));
	assert_int_equal(strlen(uuid), 36);
	assert_int_equal(strspn(uuid, "0123456789abcdef-"), 36);
	assert_int_equal(uuid[14], '4');
	assert_non_null(strchr("89ab", uuid[19]));
	assert_string_not_equal(uuid, random_uuid(mem));
}

/* Passes three boundaries in a child, under the given plan; gives its wait status. */
static int
status_under(const char *plan)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("COPYHOLD_FAULT", plan, 1);
		fault_point("one");
		fault_point("two");
		fault_point("three");
		if (strncmp(plan, "kill-after", 10) == 0)
			pause();
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return status;
}

static void
faults_strike_at_their_boundary(void **state)
{
	(void)state;
	assert_int_equal(WTERMSIG(status_under("kill:1")), SIGKILL);
	assert_int_equal(WTERMSIG(status_under("kill:3")), SIGKILL);
	assert_int_equal(WEXITSTATUS(status_under("kill:4")), 9);
	assert_int_equal(WSTOPSIG(status_under("stop:2")), SIGSTOP);
	assert_int_equal(WTERMSIG(status_under("kill-after:2:20")), SIGKILL);
	assert_int_equal(WTERMSIG(status_under("kill-after:2:0")), SIGKILL);
	assert_int_equal(WEXITSTATUS(status_under("nothing")), 9);
}

static void
boundaries_are_listed_in_order(void **state)
{
	Ctx cx = ctx_new(mem);
	char *dir, *text;
	size_t n;

	(void)state;
	assert_true(temp_dir(&cx, &dir));
	const char *file = arena_printf(mem, "%s/points", dir);
	assert_int_equal(WEXITSTATUS(status_under(arena_printf(mem, "list:%s", file))), 9);
	assert_true(file_read(&cx, file, 1000, &text, &n));
	assert_string_equal(text, "one\ntwo\nthree\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_printed_and_read_back),
		cmocka_unit_test(dates_and_whole_seconds_are_read),
		cmocka_unit_test(what_is_no_time_is_refused_and_changes_nothing),
		cmocka_unit_test(spans_are_told_in_two_units),
		cmocka_unit_test(the_wall_clock_can_be_fixed),
		cmocka_unit_test(backoff_stays_between_zero_and_its_ceiling),
		cmocka_unit_test(names_and_uuids_have_their_alphabet),
		cmocka_unit_test(faults_strike_at_their_boundary),
		cmocka_unit_test(boundaries_are_listed_in_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

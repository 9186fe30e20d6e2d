#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/vec.h"
#include "tests/unit/unit.h"

static Arena *mem;
static Lanes *lanes;
static Buf story;

static int
setup(void **state)
{
	(void)state;
	mem = arena_new(NULL);
	lanes = lanes_new(mem);
	story = buf_new(mem);
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
tell_thrice(void *name)
{
	for (int i = 1; i <= 3; i++) {
		buf_fmt(&story, "%s%d ", (const char *)name, i);
		lane_sleep(0);
	}
}

static void
lanes_take_turns(void **state)
{
	static char a[] = "a", b[] = "b";

	(void)state;
	lane_spawn(lanes, tell_thrice, a);
	lane_spawn(lanes, tell_thrice, b);
	lanes_run(lanes);
	assert_string_equal(story.text, "a1 b1 a2 b2 a3 b3 ");
}

typedef struct Player {
	char name;
	int fd;
	bool serves;
} Player;

static void
play(void *arg)
{
	const Player *p = arg;
	char ball = '0';

	for (int i = 0; i < 4; i++) {
		if (!p->serves || i > 0) {
			assert_int_equal(lane_wait(p->fd, LANE_READ, -1), LANE_READ);
			assert_int_equal(read(p->fd, &ball, 1), 1);
		}
		buf_fmt(&story, "%c%c ", p->name, ball++);
		assert_int_equal(lane_wait(p->fd, LANE_WRITE, -1), LANE_WRITE);
		assert_int_equal(write(p->fd, &ball, 1), 1);
	}
}

static void
two_lanes_play_over_a_socketpair(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	Player p = { 'p', ends[0], true }, q = { 'q', ends[1], false };
	lane_spawn(lanes, play, &q);
	lane_spawn(lanes, play, &p);
	lanes_run(lanes);
	assert_string_equal(story.text, "p0 q1 p2 q3 p4 q5 p6 q7 ");
	close(ends[0]);
	close(ends[1]);
}

static void
nap(void *arg)
{
	lane_sleep(*(const int64_t *)arg);
	buf_fmt(&story, "%d ", (int)*(const int64_t *)arg);
}

static void
sleepers_wake_in_the_order_of_their_deadlines(void **state)
{
	/* so far apart that a busy machine does not let two of them be over at once */
	static int64_t spans[] = { 1800, 600, 0, 1200 };

	(void)state;
	for (size_t i = 0; i < LENGTH(spans); i++)
		lane_spawn(lanes, nap, &spans[i]);
	int64_t before = clock_mono_ms();
	lanes_run(lanes);
	assert_string_equal(story.text, "0 600 1200 1800 ");
	assert_true(clock_mono_ms() - before >= 1800);
}

static void
wait_in_vain(void *fd)
{
	int64_t deadline = clock_mono_ms() + 20;

	assert_int_equal(lane_wait(*(int *)fd, LANE_READ, deadline), 0);
	assert_true(clock_mono_ms() >= deadline);
	buf_add(&story, "deadline ");
}

static void
a_deadline_ends_a_wait_inside_a_lane_and_outside(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	lane_spawn(lanes, wait_in_vain, &ends[0]);
	lanes_run(lanes);
	wait_in_vain(&ends[0]);
	assert_string_equal(story.text, "deadline deadline ");
	/* what is ready counts even when the deadline has passed */
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(lane_wait(ends[0], LANE_READ, 0), LANE_READ);
	assert_int_equal(lane_wait(ends[1], LANE_READ | LANE_WRITE, 0), LANE_WRITE);
	close(ends[0]);
	close(ends[1]);
}

static void
a_hang_up_wakes_the_reader(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[1]);
	assert_int_equal(lane_wait(ends[0], LANE_READ, -1), LANE_READ);
	close(ends[0]);
	assert_int_equal(lane_wait(ends[0], LANE_READ | LANE_WRITE, -1), LANE_READ | LANE_WRITE);
}

static void
spawn_more(void *depth)
{
	int *left = depth;

	buf_fmt(&story, "%d ", *left);
	if (--*left > 0) {
		lane_spawn(lanes, spawn_more, left);
		lane_sleep(0);
	}
}

static void
a_lane_may_spawn_lanes(void **state)
{
	int left = 4;

	(void)state;
	lane_spawn(lanes, spawn_more, &left);
	lanes_run(lanes);
	assert_string_equal(story.text, "4 3 2 1 ");
}

static int count;

static void
add_deep(void *levels)
{
	char weight[1000];

	memset(weight, 1, sizeof weight);
	if (*(int *)levels > 0) {
		int fewer = *(int *)levels - 1;
		add_deep(&fewer);
	}
	count += weight[999];
	lane_sleep(0);
}

static void
a_thousand_lanes_use_their_stacks(void **state)
{
	static int levels = 100;

	(void)state;
	count = 0;
	for (int i = 0; i < 1000; i++)
		lane_spawn(lanes, add_deep, &levels);
	lanes_run(lanes);
	assert_int_equal(count, 101000);
	lane_spawn(lanes, add_deep, &levels); /* the lanes can run again */
	lanes_run(lanes);
	assert_int_equal(count, 101101);
}

static void
stopping_is_a_flag_and_the_second_signal_ends(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		lane_catch_signals();
		if (lane_stopping())
			_exit(1);
		raise(SIGPIPE);
		raise(SIGTERM);
		if (!lane_stopping())
			_exit(2);
		lane_sleep(1);
		raise(SIGINT);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGINT);
}

/* It waits, or has ended. */
static void
until_asleep(pid_t pid)
{
	char path[64], text[256];
	ssize_t n = 0;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	for (const char *state = NULL; !state || state[2] == 'R' || state[2] == 'D';) {
		int fd = open(path, O_RDONLY);

		n = read(fd, text, sizeof text - 1);
		close(fd);
		assert_true(n > 0);
		text[n] = '\0';
		state = strrchr(text, ')');
		assert_non_null(state);
		poll(NULL, 0, 1);
	}
}

static void
a_wait_goes_on_after_a_signal(void **state)
{
	int status, ends[2];
	char byte = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		lane_catch_signals();
		if (write(ends[1], "r", 1) != 1)
			_exit(9);
		int got = lane_wait(ends[1], LANE_READ, -1);
		_exit(got != LANE_READ ? 8 : lane_stopping() ? 7 : 6);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	until_asleep(pid);
	kill(pid, SIGTERM);
	until_asleep(pid);
	assert_int_equal(send(ends[0], "w", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	close(ends[0]);
	close(ends[1]);
}

static void
run_inside(void *unused)
{
	(void)unused;
	lanes_run(lanes);
}

static void
a_second_scheduler_is_a_mistake_that_ends_the_process(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		lane_spawn(lanes, run_inside, NULL);
		lanes_run(lanes);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lanes_take_turns),
		TEST(two_lanes_play_over_a_socketpair),
		TEST(sleepers_wake_in_the_order_of_their_deadlines),
		TEST(a_deadline_ends_a_wait_inside_a_lane_and_outside),
		TEST(a_hang_up_wakes_the_reader),
		TEST(a_lane_may_spawn_lanes),
		TEST(a_thousand_lanes_use_their_stacks),
		TEST(stopping_is_a_flag_and_the_second_signal_ends),
		TEST(a_wait_goes_on_after_a_signal),
		TEST(a_second_scheduler_is_a_mistake_that_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

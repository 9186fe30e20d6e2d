#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/proc.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

static Ctx cx;

static int
setup(void **state)
{
	(void)state;
	cx = ctx_new(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(cx.mem);
	return 0;
}

static ProcResult
run_shell(const char *script, ProcSpec spec)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	ProcResult r;

	spec.argv = argv;
	assert_true(proc_run(&cx, &spec, &r));
	return r;
}

static void
both_outputs_and_the_exit_code_come_back(void **state)
{
	ProcResult r = run_shell("echo out; echo err >&2; exit 3", (ProcSpec){ 0 });

	(void)state;
	assert_string_equal(r.out, "out\n");
	assert_string_equal(r.err, "err\n");
	assert_int_equal(r.out_len, 4);
	assert_int_equal(r.err_len, 4);
	assert_int_equal(r.exit_code, 3);
	assert_int_equal(r.signal, 0);
	assert_false(r.timed_out);
}

static void
silence_gives_empty_text(void **state)
{
	ProcResult r = run_shell("cat; exit 0", (ProcSpec){ 0 });

	(void)state;
	assert_string_equal(r.out, "");
	assert_string_equal(r.err, "");
	assert_int_equal(r.exit_code, 0);
}

static void
arguments_pass_unchanged(void **state)
{
	const char *const argv[] = { "printf", "[%s]", "a b", "$HOME;'\"", "", NULL };
	ProcResult r;

	(void)state;
	assert_true(proc_run(&cx, &(ProcSpec){ .argv = argv }, &r));
	assert_string_equal(r.out, "[a b][$HOME;'\"][]");
}

static void
input_larger_than_a_pipe_passes_through(void **state)
{
	size_t n = 1000000;
	char *input = arena_alloc(cx.mem, n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		input[i] = (char)('a' + i % 26);
	ProcResult r = run_shell("cat", (ProcSpec){ .input = input, .input_len = n, .cap = n });
	assert_int_equal(r.out_len, n);
	assert_memory_equal(r.out, input, n);
}

static void
a_program_that_reads_no_input_does_not_end_us(void **state)
{
	size_t n = 1000000;
	char *input = arena_alloc(cx.mem, n);

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	ProcResult r = run_shell(
	    "exec 0<&-; echo done", (ProcSpec){ .input = input, .input_len = n });
	assert_string_equal(r.out, "done\n");
	assert_int_equal(r.exit_code, 0);
}

static void
output_above_the_cap_is_dropped_and_the_program_goes_on(void **state)
{
	ProcResult r = run_shell(
	    "head -c 500000 /dev/zero | tr '\\0' x; exit 4", (ProcSpec){ .cap = 10 });

	(void)state;
	assert_string_equal(r.out, "xxxxxxxxxx");
	assert_int_equal(r.out_len, 10);
	assert_int_equal(r.exit_code, 4);
	r = run_shell("head -c 500000 /dev/zero", (ProcSpec){ 0 });
	assert_int_equal(r.out_len, 65536);
}

static void
the_deadline_kills_the_whole_group(void **state)
{
	char *dir, byte;

	(void)state;
	assert_true(temp_dir(&cx, &dir));
	const char *fifo = arena_printf(cx.mem, "%s/held", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	int fd = open(fifo, O_RDONLY | O_NONBLOCK);
	ProcResult r = run_shell(arena_printf(cx.mem,
				     "exec 3>%s; echo up; trap '' TERM; "
				     "sleep 1000 & sleep 1000",
				     fifo),
	    (ProcSpec){ .deadline_ms = 3000 });
	assert_string_equal(r.out, "up\n");
	assert_true(r.timed_out);
	assert_int_equal(r.exit_code, -1);
	assert_int_equal(r.signal, SIGKILL);
	/* the end of the file is there only when nobody of the group holds it any more */
	assert_int_equal(lane_wait(fd, LANE_READ, clock_mono_ms() + 60000), LANE_READ);
	assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
}

static void
an_endless_writer_meets_its_deadline(void **state)
{
	ProcResult r = run_shell("exec yes", (ProcSpec){ .deadline_ms = 2000, .cap = 4 });

	(void)state;
	assert_true(r.timed_out);
	assert_string_equal(r.out, "y\ny\n");
}

static void
the_signal_that_ended_it_is_told(void **state)
{
	ProcResult r = run_shell("kill -USR1 $$", (ProcSpec){ 0 });

	(void)state;
	assert_int_equal(r.exit_code, -1);
	assert_int_equal(r.signal, SIGUSR1);
	assert_false(r.timed_out);
}

static void
a_daemon_left_behind_is_not_waited_for(void **state)
{
	ProcResult r = run_shell("sleep 1000 & echo $!", (ProcSpec){ .deadline_ms = 60000 });
	pid_t pid = (pid_t)strtol(r.out, NULL, 10);

	(void)state;
	assert_int_equal(r.exit_code, 0);
	assert_false(r.timed_out);
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void
variables_are_added_and_replaced(void **state)
{
	const char *const env[] = { "COPYHOLD_A=1", "COPYHOLD_B=new", NULL };

	(void)state;
	setenv("COPYHOLD_B", "old", 1);
	setenv("COPYHOLD_BC", "stays", 1);
	ProcResult r = run_shell("echo $COPYHOLD_A $COPYHOLD_B $COPYHOLD_BC; env | grep -c "
				 "'^COPYHOLD_B='",
	    (ProcSpec){ .env_add = env });
	assert_string_equal(r.out, "1 new stays\n1\n");
	unsetenv("COPYHOLD_B");
	unsetenv("COPYHOLD_BC");
}

static void
no_descriptor_above_two_is_inherited(void **state)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD, 50); /* without FD_CLOEXEC */

	(void)state;
	assert_true(fd >= 50);
	ProcResult r = run_shell(arena_printf(cx.mem,
				     "cd /proc/$$/fd; [ -e 2 ] && echo 2; "
				     "[ -e %d ] || echo closed",
				     fd),
	    (ProcSpec){ 0 });
	assert_string_equal(r.out, "2\nclosed\n");
	close(fd);
}

static void
our_ignored_signals_are_default_again(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	ProcResult r = run_shell("kill -PIPE $$; echo survived", (ProcSpec){ 0 });
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(r.signal, SIGPIPE);
}

static void
a_missing_program_is_said(void **state)
{
	const char *const argv[] = { "no-such-program-of-ours", NULL };
	ProcResult r;

	(void)state;
	assert_false(proc_run(&cx, &(ProcSpec){ .argv = argv }, &r));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    "error[program]: cannot start \"no-such-program-of-ours\" (ENOENT)\n"
	    "  hint:  Is it installed and found in PATH?\n");
}

typedef struct Job {
	const char *script;
	Buf *story;
} Job;

static void
run_job(void *arg)
{
	Job *job = arg;
	ProcResult r = run_shell(job->script, (ProcSpec){ 0 });

	buf_add(job->story, r.out);
}

static void
programs_run_side_by_side_in_lanes(void **state)
{
	Lanes *lanes = lanes_new(cx.mem);
	Buf story = buf_new(cx.mem);
	int ends[2];

	/* the first waits for what the second writes: one after the other would never end */
	(void)state;
	assert_int_equal(pipe(ends), 0);
	const char *in = arena_printf(
	    cx.mem, "read x < /proc/%d/fd/%d; echo first $x", getpid(), ends[0]);
	const char *out = arena_printf(
	    cx.mem, "echo go > /proc/%d/fd/%d; echo second", getpid(), ends[1]);
	Job first = { in, &story }, second = { out, &story };
	lane_spawn(lanes, run_job, &first);
	lane_spawn(lanes, run_job, &second);
	lanes_run(lanes);
	assert_non_null(strstr(story.text, "first go\n"));
	assert_non_null(strstr(story.text, "second\n"));
	close(ends[0]);
	close(ends[1]);
}

/* --- programs that we talk with --------------------------------------------------------- */

static Proc *
start_shell(Ctx *at, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	Proc *p = NULL;

	assert_true(proc_start(at, &(ProcSpec){ .argv = argv }, &p));
	return p;
}

static int64_t
soon(void)
{
	return clock_mono_ms() + 30000;
}

/* All of one stream, to its end. */
static const char *
read_all(Proc *p, int which)
{
	Buf b = buf_new(cx.mem);
	char bytes[4096];
	ssize_t n;

	while ((n = proc_read(p, which, bytes, sizeof bytes)) != 0) {
		if (n > 0)
			buf_addn(&b, bytes, (size_t)n);
		else
			assert_int_equal(proc_ready(p, which, soon()), which);
	}
	return b.text;
}

static void
a_program_is_talked_with_line_by_line(void **state)
{
	Proc *p = start_shell(&cx, "while read a; do echo \"<$a>\"; done; echo end >&2; exit 5");
	char bytes[64];
	int code = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(proc_write(p, "word\n", 5), 5);
		assert_int_equal(proc_ready(p, PROC_OUT | PROC_ERR | PROC_END, soon()), PROC_OUT);
		assert_int_equal(proc_read(p, PROC_OUT, bytes, sizeof bytes), 7);
		assert_memory_equal(bytes, "<word>\n", 7);
	}
	assert_int_equal(proc_read(p, PROC_OUT, bytes, sizeof bytes), -EAGAIN);
	assert_false(proc_ended(p, 0, &code));
	proc_close(p, PROC_IN);
	assert_string_equal(read_all(p, PROC_OUT), "");
	assert_string_equal(read_all(p, PROC_ERR), "end\n");
	assert_true(proc_ended(p, soon(), &code));
	assert_int_equal(code, 5);
}

static void
a_stream_that_is_not_asked_for_wakes_nobody(void **state)
{
	Proc *p = start_shell(&cx, "exec 2>&-; read a; echo \"$a\"");

	(void)state;
	assert_int_equal(proc_ready(p, PROC_ERR, soon()), PROC_ERR);
	assert_int_equal(proc_ready(p, PROC_OUT, clock_mono_ms() + 50), 0);
	assert_int_equal(proc_write(p, "on\n", 3), 3);
	assert_int_equal(proc_ready(p, PROC_OUT, soon()), PROC_OUT);
	assert_string_equal(read_all(p, PROC_OUT), "on\n");
}

static void
what_takes_no_input_is_told_to_its_writer(void **state)
{
	Proc *p = start_shell(&cx, "exec 0<&-; echo closed; read a <&1");
	char bytes[64];

	(void)state;
	assert_int_equal(proc_ready(p, PROC_OUT, soon()), PROC_OUT);
	assert_true(proc_read(p, PROC_OUT, bytes, sizeof bytes) > 0);
	assert_int_equal(proc_write(p, "x", 1), -EPIPE);
}

static void
a_program_ends_with_its_arena_and_its_group_with_it(void **state)
{
	Ctx own = ctx_new(cx.mem);
	Proc *p = start_shell(&own, "sleep 1000 & echo $!; wait");
	char bytes[64] = { 0 };

	(void)state;
	assert_int_equal(proc_ready(p, PROC_OUT, soon()), PROC_OUT);
	assert_true(proc_read(p, PROC_OUT, bytes, sizeof bytes - 1) > 0);
	const char *child = arena_printf(cx.mem, "/proc/%ld", strtol(bytes, NULL, 10));
	arena_free(own.mem);
	/* whoever adopts it must still wait for it */
	for (int64_t until = soon(); clock_mono_ms() < until && access(child, F_OK) == 0;) {
		char *text = NULL;
		size_t n;

		if (file_read(&cx, arena_printf(cx.mem, "%s/stat", child), 4096, &text, &n) &&
		    strstr(text, ") Z "))
			return;
		fail_clear(&cx);
		lane_sleep(10);
	}
	assert_int_equal(access(child, F_OK), -1);
}

static void
a_program_that_was_killed_has_no_exit_code(void **state)
{
	Proc *p = start_shell(&cx, "exec sleep 1000");
	int code = 0;

	(void)state;
	proc_kill(p);
	assert_true(proc_ended(p, -1, &code));
	assert_int_equal(code, -1);
}

static void
a_missing_program_that_would_be_talked_with_is_said(void **state)
{
	const char *const argv[] = { "no-such-program", NULL };
	Proc *p = NULL;

	(void)state;
	assert_false(proc_start(&cx, &(ProcSpec){ .argv = argv }, &p));
	assert_int_equal(cx.fail->kind, FAIL_PROGRAM);
	assert_string_equal(cx.fail->what, "cannot start \"no-such-program\"");
	assert_string_equal(cx.fail->cause, "ENOENT");
	fail_clear(&cx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_outputs_and_the_exit_code_come_back),
		TEST(silence_gives_empty_text),
		TEST(arguments_pass_unchanged),
		TEST(input_larger_than_a_pipe_passes_through),
		TEST(a_program_that_reads_no_input_does_not_end_us),
		TEST(output_above_the_cap_is_dropped_and_the_program_goes_on),
		TEST(the_deadline_kills_the_whole_group),
		TEST(an_endless_writer_meets_its_deadline),
		TEST(the_signal_that_ended_it_is_told),
		TEST(a_daemon_left_behind_is_not_waited_for),
		TEST(variables_are_added_and_replaced),
		TEST(no_descriptor_above_two_is_inherited),
		TEST(our_ignored_signals_are_default_again),
		TEST(a_missing_program_is_said),
		TEST(programs_run_side_by_side_in_lanes),
		TEST(a_program_is_talked_with_line_by_line),
		TEST(a_stream_that_is_not_asked_for_wakes_nobody),
		TEST(what_takes_no_input_is_told_to_its_writer),
		TEST(a_program_ends_with_its_arena_and_its_group_with_it),
		TEST(a_program_that_was_killed_has_no_exit_code),
		TEST(a_missing_program_that_would_be_talked_with_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

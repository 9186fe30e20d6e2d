#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "tests/unit/unit.h"

static Arena *mem;

static int
setup(void **state)
{
	(void)state;
	mem = arena_new(NULL);
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(mem);
	return 0;
}

static const char *
read_to_end(int fd)
{
	Buf b = buf_new(mem);
	char bytes[512];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof bytes)) > 0) /* a terminal's end is an error */
		buf_addn(&b, bytes, (size_t)n);
	return b.text;
}

/* What `act` writes to stderr, in a child whose stderr is a pipe. */
static const char *
through_pipe(void (*act)(void))
{
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		act();
		_exit(0);
	}
	close(ends[1]);
	const char *text = read_to_end(ends[0]);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return text;
}

/* The same on a terminal of 20 columns; `input` is typed on it, without echo. */
static const char *
through_terminal(void (*act)(void), const char *input)
{
	struct winsize size = { .ws_row = 24, .ws_col = 20 };
	struct termios t;
	int status, ours = posix_openpt(O_RDWR | O_NOCTTY);

	assert_int_equal(grantpt(ours), 0);
	assert_int_equal(unlockpt(ours), 0);
	int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY);
	assert_int_equal(tcgetattr(theirs, &t), 0);
	t.c_lflag &= (tcflag_t)~ECHO;
	t.c_oflag &= (tcflag_t)~OPOST;
	assert_int_equal(tcsetattr(theirs, TCSANOW, &t), 0);
	assert_int_equal(ioctl(theirs, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(ours, input, strlen(input)), strlen(input));
	pid_t pid = fork();
	if (pid == 0) {
		for (int fd = 0; fd <= 2; fd++)
			dup2(theirs, fd);
		act();
		_exit(0);
	}
	close(theirs);
	const char *text = read_to_end(ours);
	close(ours);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return text;
}

static void
speak(void)
{
	log_say("placing %s", "acme");
	log_live("acme %d%%", 50);
	log_note("quiet note");
	log_say("two\nlines\x1B[2J");
	log_raw("raw 100%\n");
	log_live_end();
}

static void
speak_at_debug(void)
{
	log_setup(LOG_DEBUG, false);
	log_note("note %d", 1);
}

static void
speak_quietly(void)
{
	log_setup(LOG_QUIET, false);
	log_say("never");
	log_live("never");
	log_note("never");
}

static void
speak_json(void)
{
	setenv("COPYHOLD_NOW", "1709210096789", 1);
	log_setup(LOG_NORMAL, true);
	log_say("placing \"%s\"", "acme");
	log_live("never");
}

static void
off_a_terminal_there_are_plain_lines_only(void **state)
{
	(void)state;
	assert_string_equal(through_pipe(speak), "placing acme\ntwo\nlines?[2J\nraw 100%\n");
	assert_string_equal(through_pipe(speak_at_debug), "note 1\n");
	assert_string_equal(through_pipe(speak_quietly), "");
}

static void
json_lines_carry_the_time(void **state)
{
	static const char line[] =
	    "{\"time\":\"2024-02-29T12:34:56.789Z\",\"message\":\"placing \\\"acme\\\"\"}\n";

	(void)state;
	assert_string_equal(through_pipe(speak_json), line);
	assert_string_equal(through_terminal(speak_json, ""), line);
}

static void
the_live_line_gives_way_and_comes_back(void **state)
{
	(void)state;
	assert_string_equal(through_terminal(speak, ""),
	    "placing acme\n"
	    "\racme 50%\x1B[K"
	    "\r\x1B[K"
	    "two\nlines?[2J\n"
	    "\racme 50%\x1B[K"
	    "\r\x1B[K"
	    "raw 100%\n"
	    "\racme 50%\x1B[K"
	    "\r\x1B[K");
}

static void
speak_wide(void)
{
	log_live("%s", "0123456789012345678901234567890");
	log_live("%s",
	    "\xE5\x8C\x97\xE4\xBA\xAC\xE5\x8C\x97\xE4\xBA\xAC\xE5\x8C\x97\xE4\xBA\xAC"
	    "\xE5\x8C\x97\xE4\xBA\xAC\xE5\x8C\x97\xE4\xBA\xAC");
}

static void
the_live_line_is_cut_to_the_terminal(void **state)
{
	(void)state;
	assert_string_equal(through_terminal(speak_wide, ""),
	    "\r0123456789012345678\x1B[K"
	    "\r\xE5\x8C\x97\xE4\xBA\xAC\xE5\x8C\x97\xE4\xBA\xAC\xE5\x8C\x97\xE4\xBA\xAC"
	    "\xE5\x8C\x97\xE4\xBA\xAC\xE5\x8C\x97\x1B[K");
}

static void
ask(void)
{
	log_say("%d", log_ask("Type the name:", "acme"));
}

static void
only_the_expected_answer_is_a_yes(void **state)
{
	(void)state;
	assert_string_equal(through_terminal(ask, "acme\n"), "Type the name: 1\n");
	assert_string_equal(through_terminal(ask, "Acme\n"), "Type the name: 0\n");
	assert_string_equal(through_terminal(ask, "acme2\n"), "Type the name: 0\n");
	assert_string_equal(through_terminal(ask, "\n"), "Type the name: 0\n");
	assert_string_equal(through_terminal(ask, "\x04"), "Type the name: 0\n");
	assert_string_equal(through_pipe(ask), "0\n");
}

static void
paint_some(void)
{
	log_say("%sx%s%s", paint("remove"), paint("off"), paint("no such role"));
	setenv("NO_COLOR", "1", 1);
	log_say("%sx%s", paint("remove"), paint("off"));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	log_say("%sx%s", paint("remove"), paint("off"));
}

static void
colours_are_for_terminals_that_want_them(void **state)
{
	(void)state;
	assert_string_equal(through_terminal(paint_some, ""), "\x1B[31mx\x1B[0m\nx\nx\n");
	assert_string_equal(through_pipe(paint_some), "x\nx\nx\n");
}

static void
report_terminal(void)
{
	log_say("%d", log_is_tty());
}

static void
a_terminal_is_known_as_one(void **state)
{
	(void)state;
	assert_string_equal(through_terminal(report_terminal, ""), "1\n");
	assert_string_equal(through_pipe(report_terminal), "0\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(off_a_terminal_there_are_plain_lines_only),
		TEST(json_lines_carry_the_time),
		TEST(the_live_line_gives_way_and_comes_back),
		TEST(the_live_line_is_cut_to_the_terminal),
		TEST(only_the_expected_answer_is_a_yes),
		TEST(colours_are_for_terminals_that_want_them),
		TEST(a_terminal_is_known_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

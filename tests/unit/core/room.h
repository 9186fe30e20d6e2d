/*
 * room.h - a home of its own for each test, in a folder that goes with it.
 */
#pragma once

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/core/catalog.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

typedef struct Room {
	Ctx	 cx;
	char	*dir, *home_dir;
	Home	*home;
} Room;

#define broken(...) do { print_error(__VA_ARGS__); _fail(__FILE__, __LINE__); } while (0)

/* A failure that nobody expected is shown, not only counted. */
#define ok(cx, expression) do {								\
	if (!(expression))								\
		broken("%s: %s", #expression, fail_text((cx)->mem, (cx)->fail));	\
} while (0)

#define refused(cx, expression, expected_kind, text) do {				\
	assert_false(expression);							\
	assert_string_equal(fail_name((cx)->fail->kind), fail_name(expected_kind));	\
	assert_string_equal((cx)->fail->what, text);					\
	fail_clear(cx);									\
} while (0)

static inline int
room_setup(void **state)
{
	Room *r;
	Ctx cx = ctx_new(NULL);
	bool made;

	log_setup(LOG_QUIET, false);
	if (access("/dev/shm", W_OK) == 0)	/* a kill loses nothing there, and nothing waits for a disk */
		setenv("TMPDIR", "/dev/shm", 0);
	r = arena_alloc(cx.mem, sizeof *r);
	r->cx = cx;
	*state = r;
	if (!temp_dir(&r->cx, &r->dir))
		return -1;
	r->home_dir = arena_printf(cx.mem, "%s/home", r->dir);
	return home_init(&r->cx, r->home_dir, &made) && made &&
	    home_open(&r->cx, r->home_dir, ACCESS_WRITES, &r->home) ? 0 : -1;
}

static inline int
room_teardown(void **state)
{
	Room *r = *state;

	arena_free(r->cx.mem);
	return 0;
}

/* Runs this very program again as `child DIR WORD`; the exit code, or minus the signal. */
static inline int
room_child(const Room *r, const char *word, const char *fault)
{
	char *argv[] = { (char *)"self", (char *)"child", r->dir, (char *)word, NULL };
	extern char **environ;
	int status;
	pid_t pid;

	if (fault)
		setenv("COPYHOLD_FAULT", fault, 1);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	unsetenv("COPYHOLD_FAULT");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int
room_count_lines(const Room *r, const char *path)
{
	Ctx cx = ctx_new(r->cx.mem);
	char *text;
	size_t n;
	int lines = 0;

	ok(&cx, file_read(&cx, path, 1 << 20, &text, &n));
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	arena_free(cx.mem);
	return lines;
}

/* How many boundaries `word` passes, by running it once to its end. */
static inline int
room_boundaries(const Room *r, const char *word)
{
	char *list = arena_printf(r->cx.mem, "%s/boundaries", r->dir);

	unlink(list);
	assert_int_equal(room_child(r, word, arena_printf(r->cx.mem, "list:%s", list)), 0);
	return room_count_lines(r, list);
}

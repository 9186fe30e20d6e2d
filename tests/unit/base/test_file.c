#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

static Ctx cx;
static char *dir;

static int
setup(void **state)
{
	(void)state;
	cx = ctx_new(NULL);
	return temp_dir(&cx, &dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	Arena *other = arena_new(NULL);
	const char *path = arena_dup(other, dir);

	(void)state;
	arena_free(cx.mem);
	bool left = file_exists(path); /* the folder goes with its arena */
	arena_free(other);
	return left ? -1 : 0;
}

static char *
in_dir(const char *name)
{
	return arena_printf(cx.mem, "%s/%s", dir, name);
}

static unsigned
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void
put(const char *name, const char *text)
{
	assert_true(file_write(&cx, in_dir(name), 0600, text, strlen(text)));
}

static void
assert_fails(const char *text)
{
	assert_string_equal(fail_text(cx.mem, cx.fail), text);
	fail_clear(&cx);
}

static void
what_was_written_is_read(void **state)
{
	char *text;
	size_t n;

	(void)state;
	assert_false(file_exists(in_dir("a")));
	assert_true(file_write(&cx, in_dir("a"), 0640, "x\0y", 3));
	assert_true(file_exists(in_dir("a")));
	assert_int_equal(mode_of(in_dir("a")), 0640);
	assert_true(file_read(&cx, in_dir("a"), 3, &text, &n));
	assert_int_equal(n, 3);
	assert_memory_equal(text, "x\0y\0", 4);
	put("a", "");
	assert_int_equal(mode_of(in_dir("a")), 0600);
	assert_true(file_read(&cx, in_dir("a"), 3, &text, &n));
	assert_int_equal(n, 0);
	assert_string_equal(text, "");
}

static void
a_large_file_is_read_whole_or_refused(void **state)
{
	size_t big = 300000, n;
	char *bytes = arena_alloc(cx.mem, big), *text;

	(void)state;
	memset(bytes, 'x', big);
	assert_true(file_write(&cx, in_dir("big"), 0600, bytes, big));
	assert_true(file_read(&cx, in_dir("big"), big, &text, &n));
	assert_int_equal(n, big);
	assert_memory_equal(text, bytes, big);
	text = NULL;
	assert_false(file_read(&cx, in_dir("big"), big - 1, &text, &n));
	assert_null(text);
	assert_fails(arena_printf(cx.mem,
	    "error[limit]: \"%s\" is larger than 299999 bytes\n"
	    "  hint:  Give a smaller file.\n",
	    in_dir("big")));
}

static void
a_missing_file_is_said(void **state)
{
	char *text;
	size_t n;

	(void)state;
	assert_false(file_read(&cx, in_dir("no"), 9, &text, &n));
	assert_fails(arena_printf(cx.mem,
	    "error[system]: cannot open \"%s\" (ENOENT)\n"
	    "  hint:  Does it exist, and may you read it?\n",
	    in_dir("no")));
	assert_false(file_read(&cx, dir, 9, &text, &n));
	assert_fails(arena_printf(cx.mem, "error[system]: cannot read \"%s\" (EISDIR)\n", dir));
	assert_false(file_write(&cx, in_dir("no/file"), 0600, "x", 1));
	assert_fails(arena_printf(cx.mem,
	    "error[system]: cannot write \"%s\" (ENOENT)\n"
	    "  hint:  May you write to its folder?\n",
	    in_dir("no/file")));
}

/* A write that fails half-way: the old content stays and nothing is left beside it. */
static void
a_failed_write_leaves_the_old_file_and_no_other(void **state)
{
	struct rlimit old, small = { 10, RLIM_INFINITY };
	char **paths, *text;
	size_t n;

	(void)state;
	put("f", "old");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	bool ok = file_write(&cx, in_dir("f"), 0600, "new, and longer", 15);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_false(ok);
	assert_fails(arena_printf(cx.mem,
	    "error[system]: cannot write \"%s\" (EFBIG)\n"
	    "  hint:  Is there space left on its disk?\n",
	    in_dir("f")));
	assert_true(file_read(&cx, in_dir("f"), 99, &text, &n));
	assert_string_equal(text, "old");
	assert_true(file_list(&cx, dir, NULL, &paths, &n));
	assert_int_equal(n, 1);
	assert_int_equal(unlink(in_dir("f")), 0);
	assert_int_equal(rmdir(dir), 0); /* not even a hidden file */
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void
a_link_is_replaced_and_its_target_is_not_touched(void **state)
{
	char *text;
	size_t n;

	(void)state;
	put("target", "old");
	assert_int_equal(symlink("target", in_dir("link")), 0);
	put("link", "new");
	assert_true(file_read(&cx, in_dir("target"), 9, &text, &n));
	assert_string_equal(text, "old");
	assert_true(file_read(&cx, in_dir("link"), 9, &text, &n));
	assert_string_equal(text, "new");
}

static void
removing_twice_is_fine(void **state)
{
	(void)state;
	put("a", "x");
	assert_true(file_remove(&cx, in_dir("a")));
	assert_true(file_remove(&cx, in_dir("a")));
	assert_false(file_remove(&cx, dir));
	assert_int_equal(cx.fail->kind, FAIL_SYSTEM);
	fail_clear(&cx);
}

static void
folders_are_made_with_their_mode(void **state)
{
	(void)state;
	mode_t old = umask(077);
	assert_true(file_make_dirs(&cx, in_dir("p//q/r"), 0750));
	umask(old);
	assert_int_equal(mode_of(in_dir("p")), 0750);
	assert_int_equal(mode_of(in_dir("p/q/r")), 0750);
	assert_true(file_make_dirs(&cx, in_dir("p/q/r"), 0700));
	assert_true(file_make_dirs(&cx, in_dir("p/q/r/"), 0700));
	assert_int_equal(mode_of(in_dir("p/q/r")), 0750);
	put("p/file", "x");
	assert_false(file_make_dirs(&cx, in_dir("p/file/s"), 0700));
	assert_fails(arena_printf(cx.mem,
	    "error[system]: cannot make the folder \"%s\" (ENOTDIR)\n"
	    "  hint:  A file stands where a folder is wanted: name another one.\n",
	    in_dir("p/file")));
}

static void
what_others_can_open_is_not_private(void **state)
{
	(void)state;
	put("key", "x");
	assert_true(file_check_private(&cx, in_dir("key"), false));
	assert_true(file_check_private(&cx, dir, true));
	assert_int_equal(chmod(in_dir("key"), 0640), 0);
	assert_false(file_check_private(&cx, in_dir("key"), false));
	assert_fails(arena_printf(cx.mem,
	    "error[home]: \"%s\" is open to other users (mode 0640)\n"
	    "  hint:  Run: chmod 0600 %s\n",
	    in_dir("key"), in_dir("key")));
	assert_int_equal(chmod(dir, 0711), 0);
	assert_false(file_check_private(&cx, dir, true));
	assert_fails(arena_printf(cx.mem,
	    "error[home]: \"%s\" is open to other users (mode 0711)\n"
	    "  hint:  Run: chmod 0700 %s\n",
	    dir, dir));
}

static void
a_link_or_another_kind_is_not_private(void **state)
{
	(void)state;
	put("key", "x");
	assert_int_equal(symlink("key", in_dir("link")), 0);
	assert_false(file_check_private(&cx, in_dir("link"), false));
	assert_fails(arena_printf(cx.mem,
	    "error[home]: \"%s\" is no regular file\n"
	    "  hint:  Move it away; copyhold makes it anew.\n",
	    in_dir("link")));
	assert_false(file_check_private(&cx, in_dir("key"), true));
	assert_fails(arena_printf(cx.mem,
	    "error[home]: \"%s\" is no folder\n"
	    "  hint:  Move it away; copyhold makes it anew.\n",
	    in_dir("key")));
	assert_false(file_check_private(&cx, in_dir("none"), false));
	assert_fails(arena_printf(
	    cx.mem, "error[system]: cannot look at \"%s\" (ENOENT)\n", in_dir("none")));
}

static void
files_are_listed_sorted_without_links_and_hidden_ones(void **state)
{
	static const char *const yaml[] = { ".yaml", ".yml", NULL };
	char **paths;
	size_t n;

	(void)state;
	assert_true(file_make_dirs(&cx, in_dir("sub/deep"), 0700));
	assert_true(file_make_dirs(&cx, in_dir(".git"), 0700));
	put("b.yaml", "");
	put("a.yml", "");
	put(".hidden.yaml", "");
	put(".git/c.yaml", "");
	put("sub/deep/c.yaml", "");
	put("sub/note.txt", "");
	put("sub/yaml", "");
	assert_int_equal(symlink("../b.yaml", in_dir("sub/link.yaml")), 0);
	assert_int_equal(mkfifo(in_dir("pipe.yaml"), 0600), 0);
	assert_true(file_list(&cx, dir, yaml, &paths, &n));
	assert_int_equal(n, 3);
	assert_string_equal(paths[0], in_dir("a.yml"));
	assert_string_equal(paths[1], in_dir("b.yaml"));
	assert_string_equal(paths[2], in_dir("sub/deep/c.yaml"));
	assert_false(file_list(&cx, in_dir("none"), yaml, &paths, &n));
	assert_fails(arena_printf(cx.mem,
	    "error[system]: cannot open the folder \"%s\" (ENOENT)\n"
	    "  hint:  Does it exist, and may you read it?\n",
	    in_dir("none")));
}

static void
folders_too_deep_are_refused(void **state)
{
	char *path = in_dir("d");
	char **paths;
	size_t n;

	(void)state;
	for (int i = 0; i < 33; i++)
		path = arena_printf(cx.mem, "%s/d", path);
	assert_true(file_make_dirs(&cx, path, 0700));
	assert_false(file_list(&cx, dir, NULL, &paths, &n));
	assert_int_equal(cx.fail->kind, FAIL_LIMIT);
	fail_clear(&cx);
}

static void
a_locked_byte_names_its_holder_and_dies_with_it(void **state)
{
	int ready[2], status;
	pid_t holder = -1;
	char byte;

	(void)state;
	put("lock", "");
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open(in_dir("lock"), O_RDWR);

		if (!file_lock_byte(fd, 7, &holder) || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	int fd = open(in_dir("lock"), O_RDWR);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(file_lock_byte(fd, 6, &holder));
	assert_int_equal(holder, 0);
	assert_false(file_lock_byte(fd, 7, &holder));
	assert_int_equal(holder, pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(file_lock_byte(fd, 7, &holder));
	file_unlock_byte(fd, 7);
	close(fd);
	assert_false(file_lock_byte(fd, 7, &holder));
	assert_int_equal(holder, 0);
	close(ready[0]);
	close(ready[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read),
		TEST(a_large_file_is_read_whole_or_refused),
		TEST(a_missing_file_is_said),
		TEST(a_failed_write_leaves_the_old_file_and_no_other),
		TEST(a_link_is_replaced_and_its_target_is_not_touched),
		TEST(removing_twice_is_fine),
		TEST(folders_are_made_with_their_mode),
		TEST(what_others_can_open_is_not_private),
		TEST(a_link_or_another_kind_is_not_private),
		TEST(files_are_listed_sorted_without_links_and_hidden_ones),
		TEST(folders_too_deep_are_refused),
		TEST(a_locked_byte_names_its_holder_and_dies_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

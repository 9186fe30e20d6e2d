#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/local.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

typedef struct Room {
	Ctx cx;
	char *dir;
} Room;

static int
setup(void **state)
{
	static Room r;

	r.cx = ctx_new(NULL);
	if (!temp_dir(&r.cx, &r.dir))
		return -1;
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Room *)*state)->cx.mem);
	return 0;
}

static void
a_socket_is_found_under_a_path_of_any_length(void **state)
{
	Room *r = *state;
	char *deep = r->dir, bytes[8];
	struct stat st;
	int fd, other;

	for (int i = 0; i < 12; i++)
		deep = arena_printf(r->cx.mem, "%s/a-folder-with-a-long-name", deep);
	assert_true(strlen(deep) > 300);
	assert_true(file_make_dirs(&r->cx, deep, 0700));
	assert_true(local_open(&r->cx, deep, "it", SOCK_DGRAM, 0600, &fd));
	assert_int_equal(stat(arena_printf(r->cx.mem, "%s/it", deep), &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	other = local_connect(deep, "it", SOCK_DGRAM);
	assert_true(other >= 0);
	assert_int_equal(send(other, "hello", 5, 0), 5);
	assert_int_equal(recv(fd, bytes, sizeof bytes, 0), 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(recv(fd, bytes, sizeof bytes, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(other);
	close(fd);
}

static void
one_that_was_left_behind_is_replaced_and_tells_nobody_until_then(void **state)
{
	Room *r = *state;
	int fd, other;

	assert_int_equal(local_connect(r->dir, "it", SOCK_STREAM), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(local_connect("/nowhere/at/all", "it", SOCK_STREAM), -1);
	assert_int_equal(errno, ENOENT);
	assert_true(local_open(&r->cx, r->dir, "it", SOCK_STREAM, 0600, &fd));
	close(fd);
	assert_int_equal(local_connect(r->dir, "it", SOCK_STREAM), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_true(local_open(&r->cx, r->dir, "it", SOCK_STREAM, 0600, &fd));
	other = local_connect(r->dir, "it", SOCK_STREAM);
	assert_true(other >= 0);
	close(other);
	close(fd);
}

static void
what_cannot_be_made_is_said(void **state)
{
	Room *r = *state;
	int fd = 77;
	char *name = arena_alloc(r->cx.mem, 200);

	memset(name, 'x', 199);
	assert_false(local_open(&r->cx, "/nowhere/at/all", "it", SOCK_DGRAM, 0600, &fd));
	assert_string_equal(r->cx.fail->what, "making the socket \"/nowhere/at/all/it\"");
	assert_string_equal(r->cx.fail->cause, "ENOENT");
	fail_clear(&r->cx);
	assert_false(local_open(&r->cx, r->dir, name, SOCK_DGRAM, 0600, &fd));
	assert_string_equal(r->cx.fail->cause, "ENAMETOOLONG");
	fail_clear(&r->cx);
	assert_int_equal(fd, 77);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_socket_is_found_under_a_path_of_any_length),
		T(one_that_was_left_behind_is_replaced_and_tells_nobody_until_then),
		T(what_cannot_be_made_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

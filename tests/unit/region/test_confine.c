#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "region/gateway/confine.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

/* Landlock and capabilities are a thread's own: what confines itself here is one that ends. */

typedef struct Tried {
	const char *file;
	bool confined;
	int file_errno, made_errno, hosts_errno;
	bool can_drop;
} Tried;

static int
open_errno(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void *
confined(void *ptr)
{
	Tried *t = ptr;
	char made[512];

	t->confined = confine_rest();
	t->file_errno = open_errno(t->file, O_RDONLY);
	snprintf(made, sizeof made, "%s.made", t->file);
	t->made_errno = open_errno(made, O_WRONLY | O_CREAT);
	t->hosts_errno = open_errno("/etc/hosts", O_RDONLY);
	t->can_drop = confine_can_drop();
	return NULL;
}

static void
a_worker_opens_no_file_of_the_home_even_as_its_owner(void **state)
{
	Ctx cx = ctx_new(NULL);
	Tried t = { 0 };
	pthread_t thread;
	char *dir;
	bool there = syscall(SYS_landlock_create_ruleset, NULL, 0,
			 LANDLOCK_CREATE_RULESET_VERSION) >= 1;

	(void)state;
	assert_true(temp_dir(&cx, &dir));
	t.file = arena_printf(cx.mem, "%s/catalog.db", dir);
	assert_int_equal(open_errno(t.file, O_WRONLY | O_CREAT), 0);
	assert_int_equal(pthread_create(&thread, NULL, confined, &t), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(t.confined);
	assert_int_equal(t.hosts_errno, 0);
	assert_false(t.can_drop);
	assert_int_equal(t.file_errno, there ? EACCES : 0);
	assert_int_equal(t.made_errno, there ? EACCES : 0);
	assert_int_equal(open_errno(t.file, O_RDONLY), 0);
	arena_free(cx.mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_opens_no_file_of_the_home_even_as_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "region/gateway/link.h"
#include "region/gateway/listen.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

typedef struct Room {
	Ctx cx;
	int fds[2];
	unsigned char *body;
} Room;

static int
setup(void **state)
{
	static Room r;

	r.cx = ctx_new(NULL);
	r.body = arena_alloc(r.cx.mem, LINK_MAX);
	*state = &r;
	return link_pair(&r.cx, r.fds) ? 0 : -1;
}

static int
teardown(void **state)
{
	Room *r = *state;

	close(r->fds[0]);
	if (r->fds[1] >= 0)
		close(r->fds[1]);
	arena_free(r->cx.mem);
	return 0;
}

static void
a_message_arrives_whole_with_its_parts_and_its_descriptor(void **state)
{
	Room *r = *state;
	LinkHead head;
	int fd, pipes[2];
	char byte = 'x';

	assert_int_equal(link_receive(r->fds[1], &head, r->body, &fd), 0);
	assert_true(link_send2(r->fds[0], LINK_CERT, 7, "abc", 3, "defg", 4));
	assert_int_equal(link_receive(r->fds[1], &head, r->body, &fd), 1);
	assert_int_equal(head.type, LINK_CERT);
	assert_int_equal(head.id, 7);
	assert_int_equal(head.n, 7);
	assert_memory_equal(r->body, "abcdefg", 7);
	assert_int_equal(fd, -1);
	assert_int_equal(pipe(pipes), 0);
	assert_true(link_send(r->fds[0], LINK_SNAPSHOT, 0, NULL, 0, pipes[1]));
	close(pipes[1]);
	assert_int_equal(link_receive(r->fds[1], &head, r->body, &fd), 1);
	assert_int_equal(head.n, 0);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &byte, 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(fd);
	close(pipes[0]);
}

static void
the_longest_message_fits_and_a_longer_one_is_refused(void **state)
{
	Room *r = *state;
	unsigned char *long_one = arena_alloc(r->cx.mem, LINK_MAX + 1);
	LinkHead head;
	int fd;

	memset(long_one, 0x5a, LINK_MAX);
	assert_true(link_send(r->fds[0], LINK_ANSWER, 1, long_one, LINK_MAX, -1));
	assert_int_equal(link_receive(r->fds[1], &head, r->body, &fd), 1);
	assert_int_equal(head.n, LINK_MAX);
	assert_memory_equal(r->body, long_one, LINK_MAX);
	assert_false(link_send(r->fds[0], LINK_ANSWER, 1, long_one, LINK_MAX + 1, -1));
	assert_int_equal(errno, EMSGSIZE);
	assert_false(link_send2(r->fds[0], LINK_ANSWER, 1, long_one, LINK_MAX, "x", 1));
	assert_int_equal(errno, EMSGSIZE);
}

static void
a_full_socket_says_again_and_loses_nothing(void **state)
{
	Room *r = *state;
	LinkHead head;
	uint64_t sent = 0, got = 0;
	int fd;

	while (link_send(r->fds[0], LINK_ACK, sent, r->body, 1000, -1))
		sent++;
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 10);
	while (link_receive(r->fds[1], &head, r->body, &fd) == 1)
		assert_int_equal(head.id, got++);
	assert_int_equal(got, sent);
}

static void
who_breaks_the_rules_or_is_gone_is_told_apart_from_silence(void **state)
{
	Room *r = *state;
	LinkHead head = { .type = LINK_ACK, .n = 9 };
	char lie[sizeof head + 8];
	int fd;

	memcpy(lie, &head, sizeof head);
	assert_int_equal(send(r->fds[0], lie, sizeof lie, 0), sizeof lie);
	assert_int_equal(link_receive(r->fds[1], &head, r->body, &fd), -1);
	assert_int_equal(send(r->fds[0], "x", 1, 0), 1);
	assert_int_equal(link_receive(r->fds[1], &head, r->body, &fd), -1);
	close(r->fds[1]);
	r->fds[1] = -1;
	assert_int_equal(link_receive(r->fds[0], &head, r->body, &fd), -1);
	assert_false(link_send(r->fds[0], LINK_GO, 0, NULL, 0, -1));
	assert_int_equal(errno, EPIPE);
}

/* --- where clients connect ------------------------------------------------------------- */

static void
addresses_are_read_or_refused(void **state)
{
	Room *r = *state;
	static const struct {
		const char *text;
		bool near;
		const char *address; /* NULL: refused */
	} cases[] = {
		{ "127.0.0.1:6432", true, "127.0.0.1:6432" },
		{ "127.9.9.9:1", true, "127.9.9.9:1" },
		{ "10.0.0.1:65535", false, "10.0.0.1:65535" },
		{ "[::1]:6432", true, "[::1]:6432" },
		{ "[2001:db8::1]:6432", false, "[2001:db8::1]:6432" },
		{ "/run/copyhold", true, "/run/copyhold:6432" },
		{ "/run/copyhold:7000", true, "/run/copyhold:7000" },
		{ "/run/copyhold:0", false, NULL },
		{ "::1:6432", false, NULL },
		{ "[127.0.0.1]:6432", false, NULL },
		{ "127.0.0.1", false, NULL },
		{ "127.0.0.1:", false, NULL },
		{ "127.0.0.1:65536", false, NULL },
		{ "127.0.0.1:6432x", false, NULL },
		{ "localhost:6432", false, NULL },
		{ "[]:1", false, NULL },
		{ "[:1", false, NULL },
		{ ":1", false, NULL },
		{ "", false, NULL },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Listener l;
		if (cases[i].address) {
			assert_true(listen_parse(&r->cx, cases[i].text, &l));
			assert_int_equal(listen_is_near(&l), cases[i].near);
			assert_string_equal(listen_address(r->cx.mem, &l), cases[i].address);
			continue;
		}
		assert_false(listen_parse(&r->cx, cases[i].text, &l));
		assert_string_equal(r->cx.fail->what,
		    arena_printf(r->cx.mem, "\"%s\" is no address to listen on", cases[i].text));
		fail_clear(&r->cx);
	}
}

static void
each_worker_has_a_socket_of_its_own_on_one_port_that_is_free(void **state)
{
	Room *r = *state;
	Listener l;

	assert_true(listen_parse(&r->cx, "127.0.0.1:0", &l));
	assert_true(listen_open(&r->cx, &l, 3));
	assert_int_equal(l.nfds, 3);
	assert_true(l.port > 0);
	assert_int_not_equal(listen_fd(&l, 0), listen_fd(&l, 2));
	listen_close(&l);
}

static void
a_unix_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not(void **state)
{
	Room *r = *state;
	char *dir;
	Listener first, second;

	assert_true(temp_dir(&r->cx, &dir));
	assert_true(listen_parse(&r->cx, dir, &first));
	assert_true(listen_parse(&r->cx, dir, &second));
	assert_true(listen_open(&r->cx, &first, 3));
	assert_int_equal(first.nfds, 1);
	assert_int_equal(listen_fd(&first, 2), listen_fd(&first, 0));
	assert_false(listen_open(&r->cx, &second, 3));
	assert_string_equal(r->cx.fail->cause, "EADDRINUSE");
	fail_clear(&r->cx);
	close(first.fds[0]); /* as if killed */
	assert_true(listen_open(&r->cx, &second, 3));
	listen_close(&second);
	assert_int_equal(access(second.path, F_OK), -1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_message_arrives_whole_with_its_parts_and_its_descriptor),
		T(the_longest_message_fits_and_a_longer_one_is_refused),
		T(a_full_socket_says_again_and_loses_nothing),
		T(who_breaks_the_rules_or_is_gone_is_told_apart_from_silence),
		T(addresses_are_read_or_refused),
		T(each_worker_has_a_socket_of_its_own_on_one_port_that_is_free),
		T(a_unix_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

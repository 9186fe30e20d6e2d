#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/adapters/stream.h"
#include "lib/base/clock.h"
#include "tests/unit/unit.h"

#define LOST_MS 1000

/* The loopback of a network of our own, which may be taken down under the connections on it. */
static void
set_loopback(bool up)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
	lo.ifr_flags = (short)(up ? lo.ifr_flags | IFF_UP : lo.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
}

static void
connect_two(Stream ends[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(connect(one, (struct sockaddr *)&at, sizeof at), 0);
	stream_open(&ends[0], one);
	stream_open(&ends[1], accept(listener, NULL, NULL));
	assert_true(ends[1].fd >= 0);
	close(listener);
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof value;

	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

static void
an_idle_line_is_asked_for_signs_of_life(void **state)
{
	Stream ends[2];

	(void)state;
	connect_two(ends);
	stream_watchful(ends[0].fd);
	assert_int_equal(option(ends[0].fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(ends[0].fd, IPPROTO_TCP, TCP_KEEPIDLE), 15);
	assert_int_equal(option(ends[0].fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
	assert_int_equal(option(ends[0].fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	assert_int_equal(option(ends[0].fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	stream_close(&ends[0]);
	stream_close(&ends[1]);
}

static void
fill(Stream *s)
{
	static const char bytes[65536];

	while (stream_write(s, bytes, sizeof bytes) > 0)
		;
}

/* Who does not read is slow; who does not acknowledge is gone. */
static void
a_line_without_an_answer_is_lost_and_a_slow_one_is_not(void **state)
{
	Stream slow[2], gone[2];
	int64_t begun = clock_mono_ms();

	(void)state;
	connect_two(slow);
	connect_two(gone);
	fill(&slow[0]);
	assert_false(stream_is_lost(&gone[0], LOST_MS));
	while (clock_mono_ms() - begun < 2 * LOST_MS) /* it is probed, and answers */
		poll(NULL, 0, 50);
	assert_false(stream_is_lost(&slow[0], LOST_MS));
	set_loopback(false);
	assert_int_equal(stream_write(&gone[0], "x", 1), 1);
	while (!stream_is_lost(&gone[0], LOST_MS))
		poll(NULL, 0, 50);
	assert_false(stream_is_lost(&gone[1], LOST_MS)); /* which has sent nothing */
	set_loopback(true);
	while (stream_is_lost(&gone[0], LOST_MS))
		poll(NULL, 0, 50);
	for (int i = 0; i < 2; i++) {
		stream_close(&slow[i]);
		stream_close(&gone[i]);
	}
}

static void
what_is_no_tcp_is_never_lost(void **state)
{
	Stream s = { .fd = -1 };
	int fds[2];

	(void)state;
	assert_false(stream_is_lost(&s, 0));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream_open(&s, fds[0]);
	assert_false(stream_is_lost(&s, 0));
	stream_close(&s);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_line_is_asked_for_signs_of_life),
		cmocka_unit_test(a_line_without_an_answer_is_lost_and_a_slow_one_is_not),
		cmocka_unit_test(what_is_no_tcp_is_never_lost),
	};

	if (unshare(CLONE_NEWNET) != 0) /* only root may have a network of its own */
		return errno == EPERM ? 0 : 1;
	set_loopback(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

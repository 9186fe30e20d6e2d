/* Hosts that are silent, talk nonsense, drop us or die: each is told, none holds us longer than the
 * deadline.  Then many at once. */
#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/ssh/host.h"

static int
setup(void **state)
{
	(void)state;
	if (hosts_begin() != 0)
		return -1;
	SSHD("start", "plain");
	SSHD("start", "rsa", "--host-key", "rsa");
	return 0;
}

/* --- servers that are none --------------------------------------------------------------- */

typedef struct Stranger { /* listens, and writes the same text over and over, or once */
	SshTarget as;
	int fd;
	const char *says;
	bool endless;
	Ctx *cx;
	Ssh *session;
	bool opened, over;
	int64_t deadline;
} Stranger;

static void
close_stranger(void *ptr)
{
	close(((Stranger *)ptr)->fd);
}

static void
listen_as(Stranger *s, int backlog)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(s->fd, backlog), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
	arena_on_free(s->cx->mem, close_stranger, s);
	s->as = target_of("plain");
	s->as.name = "stranger";
	s->as.port = ntohs(at.sin_port);
}

static void
talk(const Stranger *s, int fd)
{
	size_t n = strlen(s->says);
	bool goes_on = true;

	while (goes_on && !s->over) {
		ssize_t put = send(fd, s->says, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EAGAIN)
			lane_wait(fd, LANE_WRITE, clock_mono_ms() + 100);
		goes_on = s->endless && (put > 0 || errno == EAGAIN);
	}
	if (n > 0 &&
	    !s->endless) { /* what the other side says is read, so that it is not a reset */
		char bytes[4096];

		shutdown(fd, SHUT_WR);
		while (!s->over && lane_wait(fd, LANE_READ, s->deadline) &&
		    read(fd, bytes, sizeof bytes) > 0)
			;
	}
}

static void
serve_lane(void *arg)
{
	Stranger *s = arg;

	while (!s->over) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			lane_wait(s->fd, LANE_READ, clock_mono_ms() + 100);
			continue;
		}
		talk(s, fd);
		close(fd);
	}
}

static void
open_lane(void *arg)
{
	Stranger *s = arg;

	s->opened = ssh_open(s->cx, &s->as, s->deadline, &s->session);
	s->over = true;
}

static void
meet(Ctx *cx, Stranger *s)
{
	Lanes *lanes = lanes_new(cx->mem);

	s->cx = cx;
	listen_as(s, 16);
	lane_spawn(lanes, serve_lane, s);
	lane_spawn(lanes, open_lane, s);
	lanes_run(lanes);
	assert_false(s->opened);
}

static void
what_is_no_ssh_server_is_told(void **state)
{
	Stranger chatty = {
		.says = "HTTP/1.1 400 Bad Request\r\n", .endless = true, .deadline = soon()
	};
	Stranger old = { .says = "SSH-1.5-OpenSSH_3\r\n", .deadline = soon() };
	Stranger long_line = {
		.says = "SSH-2.0-aaaaaaaaaaaaaaaaaaaaaaaa", .endless = true, .deadline = soon()
	};

	meet(*state, &chatty);
	assert_failed(*state, FAIL_HOST_UNREACHABLE,
	    text("host % sends no banner of SSH within 8 KiB", who_of(&chatty.as)), NULL);
	meet(*state, &old);
	assert_failed(*state, FAIL_HOST_UNREACHABLE,
	    text("host % speaks a version of SSH other than 2.0", who_of(&old.as)), NULL);
	meet(*state, &long_line);
	assert_failed(*state, FAIL_HOST_UNREACHABLE,
	    text("host % sends no banner of SSH within 8 KiB", who_of(&long_line.as)), NULL);
}

static void
nonsense_after_the_banner_is_told(void **state)
{
	Stranger s = { .says = "SSH-2.0-x\r\n\x7f\xff\xff\xff garbage \x01\x02 garbage garbage",
		.deadline = soon() };

	meet(*state, &s);
	assert_int_equal(((Ctx *)*state)->fail->kind, FAIL_HOST_UNREACHABLE);
	assert_string_equal(
	    ((Ctx *)*state)->fail->what, text("the session with host % was lost", who_of(&s.as)));
	assert_string_equal(((Ctx *)*state)->fail->frames[0], "exchanging keys");
	fail_clear(*state);
}

static void
who_closes_before_the_banner_is_tried_until_the_deadline(void **state)
{
	Stranger s = { .says = "", .deadline = clock_mono_ms() + 2000 };
	Ctx *cx = *state;

	meet(cx, &s);
	assert_true(strtol(cx->fail->cause, NULL, 10) >= 2);
	assert_failed(cx, FAIL_HOST_UNREACHABLE,
	    text("host % closes every connection before its banner", who_of(&s.as)), NULL);
}

static void
who_says_nothing_is_left_at_the_deadline(void **state)
{
	Stranger s = { .cx = *state };
	Ssh *session;

	listen_as(&s, 16);
	assert_false(ssh_open(s.cx, &s.as, clock_mono_ms() + 500, &session));
	assert_string_equal(s.cx->fail->frames[0], "waiting for its banner");
	assert_failed(
	    s.cx, FAIL_TIMEOUT, text("host % did not answer in time", who_of(&s.as)), NULL);
}

/* A full backlog: the kernel answers no further SYN. */
static void
who_does_not_even_connect_is_left_at_the_deadline(void **state)
{
	Stranger s = { .cx = *state };
	int fds[64], n = 0;
	Ssh *session;

	listen_as(&s, 0);
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)s.as.port) };
	for (bool full = false; !full && n < 64; n++) {
		fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fds[n], (struct sockaddr *)&at, sizeof at);
		full = lane_wait(fds[n], LANE_WRITE, clock_mono_ms() + 300) == 0;
	}
	assert_true(n < 64);
	assert_false(ssh_open(s.cx, &s.as, clock_mono_ms() + 500, &session));
	assert_string_equal(s.cx->fail->frames[0], "connecting");
	assert_failed(
	    s.cx, FAIL_TIMEOUT, text("host % did not answer in time", who_of(&s.as)), NULL);
	while (n > 0)
		close(fds[--n]);
}

static void
a_port_where_nothing_listens_is_told(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(names[i]);
		Ssh *s;

		to.port = 1;
		assert_false(ssh_open(cx, &to, soon(), &s));
		assert_failed(cx, FAIL_HOST_UNREACHABLE,
		    text(i == 0 ? "no connection with host %" : "no session with host %",
			who_of(&to)),
		    i == 0 ? "ECONNREFUSED"
			   : "ssh: connect to host 127.0.0.1 port 1: Connection refused");
	}
}

static void
a_name_without_an_address_is_told(void **state)
{
	Ctx *cx = *state;
	SshTarget to = target_of("plain");
	Ssh *s;

	to.address = "no-such-host.invalid";
	assert_false(ssh_open(cx, &to, soon(), &s));
	assert_failed(cx, FAIL_HOST_UNREACHABLE, text("host % has no address", who_of(&to)), NULL);
}

/* --- sessions that break ------------------------------------------------------------------ */

static void
a_session_that_is_cut_in_the_middle_of_a_command_is_lost(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(names[i]);
		Ssh *s = must_open(cx, &to);
		SshChannel *c;
		char bytes[16];
		size_t n;
		int code;

		assert_true(ssh_command(cx, s, "echo on; exec cat", soon(), &c));
		assert_true(ssh_read(cx, c, bytes, sizeof bytes, &n, soon()));
		SSHD("drop", names[i]);
		assert_false(ssh_read(cx, c, bytes, sizeof bytes, &n, soon()) && n > 0);
		if (cx->fail->kind == FAIL_NONE)
			assert_false(ssh_end(cx, c, soon(), &code));
		assert_failed(cx, FAIL_HOST_UNREACHABLE,
		    text("the session with host % was lost", who_of(&to)), NULL);
		assert_false(ssh_alive(s));
		assert_false(ssh_command(cx, s, "true", soon(), &c));
		assert_failed(cx, FAIL_HOST_UNREACHABLE,
		    text("the session with host % was lost", who_of(&to)), NULL);
		assert_string_equal(
		    output_of(cx, must_open(cx, &to), "echo anew", "", 0), "anew\n");
	}
}

typedef struct Put {
	Ctx *cx;
	const char *host, *from, *folder;
	bool good, over;
} Put;

static void
put_lane(void *arg)
{
	Put *p = arg;
	SshTarget to = target_of(p->host);
	Ssh *s = must_open(p->cx, &to);

	p->good = ssh_put(
	    p->cx, s, p->from, arena_printf(p->cx->mem, "%s/f", p->folder), 0600, soon());
	p->over = true;
}

/* Once something has arrived under the temporary name. */
static void
cut_lane(void *arg)
{
	Put *p = arg;
	const char *pattern = arena_printf(p->cx->mem, "%s/.copyhold-*", p->folder);
	bool begun = false;

	while (!begun && !p->over) {
		glob_t found = { 0 };
		struct stat st;

		lane_sleep(1);
		if (glob(pattern, 0, NULL, &found) == 0)
			begun = stat(found.gl_pathv[0], &st) == 0 && st.st_size > 0;
		globfree(&found);
	}
	SSHD("stop", p->host);
}

static void
a_session_that_is_cut_in_the_middle_of_a_file_leaves_the_old_one(void **state)
{
	static const char *const names[] = { "plain", "rsa" };
	char *from = arena_printf(hosts.cx.mem, "%s/large", hosts.dir);

	RUN("truncate", "-s", "2G", from);
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Put p = { .cx = cx,
			.host = names[i],
			.from = from,
			.folder = host_path(names[i], "root") };
		SshTarget to = target_of(names[i]);
		Lanes *lanes = lanes_new(cx->mem);
		char *path = arena_printf(cx->mem, "%s/f", p.folder);

		assert_true(file_write(cx, path, 0600, "old\n", 4));
		lane_spawn(lanes, put_lane, &p);
		lane_spawn(lanes, cut_lane, &p);
		lanes_run(lanes);
		assert_false(p.good);
		assert_failed(cx, FAIL_HOST_UNREACHABLE,
		    text("the session with host % was lost", who_of(&to)), NULL);
		assert_string_equal(line_of(path), "old");
		SSHD("start", names[i]);
	}
}

static void
a_command_that_does_not_end_is_left_at_the_deadline(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(names[i]);
		Ssh *s = must_open(cx, &to);
		SshChannel *c;
		char byte;
		size_t n;

		assert_true(ssh_command(cx, s, "exec cat", soon(), &c));
		assert_false(ssh_read(cx, c, &byte, 1, &n, clock_mono_ms() + 200));
		assert_string_equal(cx->fail->frames[0], "reading from a command");
		assert_failed(
		    cx, FAIL_TIMEOUT, text("host % did not answer in time", who_of(&to)), NULL);
		assert_false(ssh_alive(s));
	}
}

typedef struct Dial {
	Ctx cx;
	SshTarget to;
	int number;
	Ssh *session; /* NULL: one of its own */
	bool good;
} Dial;

static bool
echo(Dial *d)
{
	const char *word = arena_printf(d->cx.mem, "%d", d->number);
	char bytes[16];
	SshChannel *c;
	size_t n = 0;
	Ssh *s = d->session;
	int code = -1;

	for (int round = 0; round < 3; round++)
		if (!s && !ssh_open(&d->cx, &d->to, clock_mono_ms() + 120000, &s))
			return false;
		else if (!ssh_command(&d->cx, s, "read a && echo \"$a\"", soon(), &c) ||
		    !ssh_write(&d->cx, c, arena_printf(d->cx.mem, "%s\n", word), strlen(word) + 1,
			soon()) ||
		    !ssh_read(&d->cx, c, bytes, sizeof bytes, &n, soon()) ||
		    !ssh_end(&d->cx, c, soon(), &code) || code != 0 || n != strlen(word) + 1 ||
		    memcmp(bytes, word, n - 1) != 0)
			return false;
	return true;
}

static void
dial_lane(void *arg)
{
	Dial *d = arg;

	d->good = echo(d);
	if (!d->good)
		fputs(fail_text(d->cx.mem, d->cx.fail), stderr);
	arena_free(d->cx.mem);
}

typedef struct Shared {
	Ctx cx;
	Ssh *session;
	SshChannel *channel;
	bool waits, good;
} Shared;

static void
reader_lane(void *arg)
{
	Shared *s = arg;
	char byte;
	size_t n;

	s->waits = true;
	s->good = ssh_read(&s->cx, s->channel, &byte, 1, &n, soon());
}

static void
closer_lane(void *arg)
{
	Shared *s = arg;

	while (!s->waits)
		lane_sleep(1);
	ssh_close(s->session);
}

static void
who_waits_while_another_lane_closes_the_session_is_told(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Shared s = { .cx = ctx_new(((Ctx *)*state)->mem) };
		SshTarget to = target_of(names[i]);
		Lanes *lanes = lanes_new(s.cx.mem);

		s.session = must_open(&s.cx, &to);
		assert_true(ssh_command(&s.cx, s.session, "exec cat", soon(), &s.channel));
		lane_spawn(lanes, reader_lane, &s);
		lane_spawn(lanes, closer_lane, &s);
		lanes_run(lanes);
		assert_false(s.good);
		assert_int_equal(s.cx.fail->kind, FAIL_HOST_UNREACHABLE);
		arena_free(s.cx.mem);
	}
}

static void
channels_of_one_session_are_used_from_many_lanes(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(names[i]);
		Lanes *lanes = lanes_new(cx->mem);
		Dial dials[8] = { 0 };
		Ssh *s = must_open(cx, &to);

		for (int k = 0; k < 8; k++) {
			dials[k] = (Dial){ .cx = ctx_new(cx->mem), .number = k, .session = s };
			lane_spawn(lanes, dial_lane, &dials[k]);
		}
		lanes_run(lanes);
		for (int k = 0; k < 8; k++)
			assert_true(dials[k].good);
		ssh_close(s);
	}
}

static void
nothing_of_the_program_stays_behind(void **state)
{
	char *folder = arena_printf(hosts.cx.mem, "%s/t", hosts.dir);
	SshTarget to = target_of("rsa");
	glob_t found = { 0 };
	SshChannel *c;
	const char *was = getenv("XDG_RUNTIME_DIR");
	Ctx cx = ctx_new(*state ? ((Ctx *)*state)->mem : NULL);

	assert_true(file_make_dirs(&cx, folder, 0700));
	setenv("XDG_RUNTIME_DIR", folder, 1);
	Ssh *s = must_open(&cx, &to);
	assert_true(ssh_command(&cx, s, "exec cat", soon(), &c));
	const char *pattern = arena_printf(hosts.cx.mem, "%s/copyhold-*", folder);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	const char *run = arena_dup(hosts.cx.mem, found.gl_pathv[0]);
	globfree(&found);
	arena_free(cx.mem);
	assert_int_equal(glob(pattern, 0, NULL, &found), GLOB_NOMATCH);
	/* the bracket keeps grep itself away */
	assert_string_equal(
	    RUN("sh", "-c", "ps -eo args | grep -c \"[s]sh -F $1\" || true", "sh", run), "0\n");
	if (was)
		setenv("XDG_RUNTIME_DIR", was, 1);
	else
		unsetenv("XDG_RUNTIME_DIR");
}

/* --- many ---------------------------------------------------------------------------------- */

static void
dial_all(Ctx *cx, const SshTarget *to, int n)
{
	Lanes *lanes = lanes_new(cx->mem);
	Dial *dials = arena_alloc(cx->mem, (size_t)n * sizeof *dials);

	for (int i = 0; i < n; i++) {
		dials[i] = (Dial){ .cx = ctx_new(cx->mem), .to = *to, .number = i };
		lane_spawn(lanes, dial_lane, &dials[i]);
	}
	lanes_run(lanes);
	for (int i = 0; i < n; i++)
		assert_true(dials[i].good);
}

static void
fifty_sessions_go_on_side_by_side(void **state)
{
	SshTarget to = target_of("plain");

	dial_all(*state, &to, 50);
}

static void
ten_sessions_of_the_program_go_on_side_by_side(void **state)
{
	SshTarget to = target_of("rsa");

	dial_all(*state, &to, 10);
}

static void
at_most_eight_dial_one_host_so_that_none_of_sixty_is_dropped(void **state)
{
	SSHD("start", "eight", "--config", "MaxStartups 30:100:30");
	SshTarget to = target_of("eight");

	dial_all(*state, &to, 60);
	assert_string_equal(
	    RUN("sh", "-c", "grep -c MaxStartups \"$1\" || true", "sh", host_path("eight", "log")),
	    "0\n");
}

/* The program dials the host that it goes through by itself. */
static void
at_most_eight_dial_the_host_on_the_way_wherever_they_go(void **state)
{
	static const char *const names[] = { "inner1", "inner2", "inner3" };
	SshTarget over, to[18];
	Dial dials[18];
	Ctx *cx = *state;
	Lanes *lanes = lanes_new(cx->mem);

	SSHD("start", "door", "--config", "MaxStartups 10:100:10");
	over = target_of("door");
	for (size_t i = 0; i < LENGTH(to); i++) {
		if (i < LENGTH(names))
			SSHD("start", names[i], "--host-key", "rsa");
		to[i] = target_of(names[i % LENGTH(names)]);
		to[i].jump = &over;
		dials[i] = (Dial){ .cx = ctx_new(cx->mem), .to = to[i], .number = (int)i };
		lane_spawn(lanes, dial_lane, &dials[i]);
	}
	lanes_run(lanes);
	for (size_t i = 0; i < LENGTH(to); i++)
		assert_true(dials[i].good);
	assert_string_equal(
	    RUN("sh", "-c", "grep -c MaxStartups \"$1\" || true", "sh", host_path("door", "log")),
	    "0\n");
}

static void
those_that_the_host_drops_at_the_door_come_again(void **state)
{
	static const char *const types[] = { "ed25519", "rsa" },
				 *const names[] = { "shy", "shyer" };

	for (size_t i = 0; i < 2; i++) {
		SSHD("start", names[i], "--config", "MaxStartups 2:100:2", "--host-key", types[i]);
		SshTarget to = target_of(names[i]);

		dial_all(*state, &to, i == 0 ? 20 : 6);
		RUN("grep", "-q", "MaxStartups", host_path(names[i], "log"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_ssh_server_is_told),
		TEST(nonsense_after_the_banner_is_told),
		TEST(who_closes_before_the_banner_is_tried_until_the_deadline),
		TEST(who_says_nothing_is_left_at_the_deadline),
		TEST(who_does_not_even_connect_is_left_at_the_deadline),
		TEST(a_port_where_nothing_listens_is_told),
		TEST(a_name_without_an_address_is_told),
		TEST(a_session_that_is_cut_in_the_middle_of_a_command_is_lost),
		TEST(a_session_that_is_cut_in_the_middle_of_a_file_leaves_the_old_one),
		TEST(a_command_that_does_not_end_is_left_at_the_deadline),
		TEST(who_waits_while_another_lane_closes_the_session_is_told),
		TEST(channels_of_one_session_are_used_from_many_lanes),
		TEST(nothing_of_the_program_stays_behind),
		TEST(fifty_sessions_go_on_side_by_side),
		TEST(ten_sessions_of_the_program_go_on_side_by_side),
		TEST(at_most_eight_dial_one_host_so_that_none_of_sixty_is_dropped),
		TEST(at_most_eight_dial_the_host_on_the_way_wherever_they_go),
		TEST(those_that_the_host_drops_at_the_door_come_again),
	};

	return cmocka_run_group_tests(tests, setup, hosts_end);
}

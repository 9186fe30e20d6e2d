#include "lib/adapters/ssh_lib_intern.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"

#define SHARED_WAIT_MS 50

/* --- waiting ------------------------------------------------------------------------ */

/* Several channels share the descriptor: what one caller takes from it may be for another, who
 * then waits for what is here already.  So such waits are short. */
bool
ssh_lib_wait(Ctx *cx, SshLib *l, int64_t deadline, const char *doing)
{
	const SshChannel *first = l->channels ? *l->channels : NULL;
	int64_t until = deadline, now = clock_mono_ms();

	if (first && first->next && until > now + SHARED_WAIT_MS)
		until = now + SHARED_WAIT_MS;
	int ready = lane_wait(l->wire.fd, l->wire.wants(&l->wire), until);
	if (l->wire.fd < 0) /* another lane has closed it */
		return ssh_fail_lost(cx, l->who, doing, NULL);
	return ready != 0 || clock_mono_ms() < deadline || ssh_fail_time(cx, l->who, doing);
}

const char *
ssh_lib_error(Arena *mem, SshLib *l, int rc)
{
	char *text = NULL;

	libssh2_session_last_error(l->session, &text, NULL, 0);
	return arena_printf(mem, "libssh2 %d: %s", rc, text && *text ? text : "no message");
}

bool
ssh_lib_broke(Ctx *cx, SshLib *l, const char *doing, int rc)
{
	return ssh_fail_lost(cx, l->who, doing, ssh_lib_error(cx->mem, l, rc));
}

/* Channels that were dropped are closed when somebody calls.  One whose command goes on may take
 * long, so only what is half sent is waited for. */
static bool
close_left(Ctx *cx, SshLib *l, int64_t deadline, const char *doing)
{
	for (int i = 0; i < l->left_n;) {
		int rc = libssh2_channel_free(l->left[i]);

		if (rc == LIBSSH2_ERROR_EAGAIN &&
		    (libssh2_session_block_directions(l->session) &
			LIBSSH2_SESSION_BLOCK_OUTBOUND)) {
			if (!ssh_lib_wait(cx, l, deadline, doing))
				return false;
		} else if (rc == LIBSSH2_ERROR_EAGAIN) {
			i++;
		} else {
			l->left[i] = l->left[--l->left_n];
		}
	}
	return true;
}

bool
ssh_lib_enter(Ctx *cx, SshLib *l, const void *me, int64_t deadline, const char *doing)
{
	while (l->turn && l->turn != me) {
		if (clock_mono_ms() >= deadline)
			return ssh_fail_time(cx, l->who, doing);
		lane_sleep(1);
	}
	if (l->wire.fd < 0)
		return ssh_fail_lost(cx, l->who, doing, NULL);
	l->turn = me;
	if (close_left(cx, l, deadline, doing))
		return true;
	l->turn = NULL;
	return false;
}

void
ssh_lib_leave(SshLib *l, const void *me)
{
	if (l->turn == me)
		l->turn = NULL;
}

/* --- channels ----------------------------------------------------------------------- */

static bool
open_channel(Ctx *cx, SshLib *l, int64_t deadline, LIBSSH2_CHANNEL **out)
{
	static const char doing[] = "opening a channel";

	for (;;) {
		*out = libssh2_channel_open_session(l->session);
		if (*out)
			return true;
		int rc = libssh2_session_last_errno(l->session);
		if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE) {
			fail(cx, FAIL_HOST_STEP, "Its sshd may have reached MaxSessions.",
			    "host %s opens no further channel", l->who);
			return fail_cause(cx, "%s", ssh_lib_error(cx->mem, l, rc));
		}
		if (rc != LIBSSH2_ERROR_EAGAIN)
			return ssh_lib_broke(cx, l, doing, rc);
		if (!ssh_lib_wait(cx, l, deadline, doing))
			return false;
	}
}

static bool
exec_channel(Ctx *cx, SshLib *l, LIBSSH2_CHANNEL *channel, const char *command, int64_t deadline)
{
	static const char doing[] = "starting a command";
	unsigned n = (unsigned)strlen(command);

	for (;;) {
		int rc = libssh2_channel_process_startup(channel, "exec", 4, command, n);

		if (rc == 0)
			return true;
		if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED)
			return fail(cx, FAIL_HOST_STEP,
			    "Does its sshd let this user run commands, and is there memory left?",
			    "host %s runs no command", l->who);
		if (rc != LIBSSH2_ERROR_EAGAIN)
			return ssh_lib_broke(cx, l, doing, rc);
		if (!ssh_lib_wait(cx, l, deadline, doing))
			return false;
	}
}

static bool
lib_command(Ctx *cx, SshChannel *c, const char *command, int64_t deadline)
{
	SshLib *l = c->ssh->own;
	LIBSSH2_CHANNEL *channel = NULL;

	if (strlen(command) > 1 << 20)
		return fail(cx, FAIL_LIMIT, "Send it as the input of sh.",
		    "a command for host %s is longer than 1 MiB", l->who);
	bool good = ssh_lib_enter(cx, l, c, deadline, "starting a command") &&
	    open_channel(cx, l, deadline, &channel);
	c->own = channel;
	good = good && exec_channel(cx, l, channel, command, deadline);
	ssh_lib_leave(l, c);
	return good;
}

/* What stays unread of the one stream would close the window of both. */
static int
drain_stderr(SshChannel *c)
{
	char bytes[4096];
	ssize_t n;

	while ((n = libssh2_channel_read_stderr(c->own, bytes, sizeof bytes)) > 0)
		ssh_keep_tail(c, bytes, (size_t)n);
	return (int)n;
}

/* Bytes, 0 at the end, EAGAIN, or what broke.  Reading the one stream also takes in what is of the
 * other: only when nothing of either is left here may the descriptor be waited for. */
static ssize_t
read_some(SshChannel *c, void *out, size_t cap)
{
	unsigned long here = 1;

	while (here > 0) {
		ssize_t n = libssh2_channel_read(c->own, out, cap);

		if (n > 0 || (n < 0 && n != LIBSSH2_ERROR_EAGAIN))
			return n;
		int rc = drain_stderr(c);
		if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN)
			return rc;
		libssh2_channel_window_read_ex(c->own, &here, NULL);
	}
	return libssh2_channel_eof(c->own) ? 0 : LIBSSH2_ERROR_EAGAIN;
}

static bool
sends(const SshLib *l)
{
	return (libssh2_session_block_directions(l->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
}

static bool
lib_read(Ctx *cx, SshChannel *c, void *out, size_t cap, size_t *n, int64_t deadline)
{
	static const char doing[] = "reading from a command";
	SshLib *l = c->ssh->own;

	for (;;) {
		if (!ssh_lib_enter(cx, l, c, deadline, doing))
			return false;
		ssize_t got = read_some(c, out, cap);
		if (got != LIBSSH2_ERROR_EAGAIN || !sends(l))
			ssh_lib_leave(l, c); /* whoever waits for input lets others go first */
		if (got >= 0) {
			*n = (size_t)got;
			return true;
		}
		if (got != LIBSSH2_ERROR_EAGAIN)
			return ssh_lib_broke(cx, l, doing, (int)got);
		if (!ssh_lib_wait(cx, l, deadline, doing)) {
			ssh_lib_leave(l, c);
			return false;
		}
	}
}

/* libssh2 would go on sending to a command that has ended. */
static bool
is_closed(SshChannel *c)
{
	return libssh2_channel_eof(c->own) && libssh2_channel_wait_closed(c->own) == 0;
}

static bool
write_all(Ctx *cx, SshChannel *c, const char *bytes, size_t n, int64_t deadline)
{
	static const char doing[] = "writing to a command";
	SshLib *l = c->ssh->own;

	for (size_t at = 0; at < n;) {
		if (!sends(l) && is_closed(c))
			return fail(cx, FAIL_HOST_STEP, NULL,
			    "a command on host %s ended before it took its input", l->who);
		ssize_t put = libssh2_channel_write(c->own, bytes + at, n - at);
		if (put > 0)
			at += (size_t)put;
		else if (put < 0 && put != LIBSSH2_ERROR_EAGAIN)
			return ssh_lib_broke(cx, l, doing, (int)put);
		else if (!ssh_lib_wait(cx, l, deadline, doing))
			return false;
	}
	return true;
}

static bool
lib_write(Ctx *cx, SshChannel *c, const void *bytes, size_t n, int64_t deadline)
{
	SshLib *l = c->ssh->own;
	bool good = ssh_lib_enter(cx, l, c, deadline, "writing to a command") &&
	    write_all(cx, c, bytes, n, deadline);

	ssh_lib_leave(l, c);
	return good;
}

static bool
send_eof(Ctx *cx, SshChannel *c, int64_t deadline)
{
	static const char doing[] = "ending the input of a command";
	SshLib *l = c->ssh->own;
	int rc;

	while ((rc = libssh2_channel_send_eof(c->own)) == LIBSSH2_ERROR_EAGAIN)
		if (!ssh_lib_wait(cx, l, deadline, doing))
			return false;
	return rc == 0 || ssh_lib_broke(cx, l, doing, rc);
}

static bool
drain_output(Ctx *cx, SshChannel *c, int64_t deadline)
{
	char bytes[8192];
	size_t n = 1;

	while (n > 0)
		if (!lib_read(cx, c, bytes, sizeof bytes, &n, deadline))
			return false;
	return true;
}

/* Both sides close it; what it was comes before that. */
static bool
free_channel(Ctx *cx, SshChannel *c, int64_t deadline, int *exit_code)
{
	static const char doing[] = "waiting for the end of a command";
	SshLib *l = c->ssh->own;
	char *signal = NULL;
	int rc;

	while ((rc = libssh2_channel_wait_closed(c->own)) == LIBSSH2_ERROR_EAGAIN)
		if (!ssh_lib_wait(cx, l, deadline, doing))
			return false;
	if (rc != 0)
		return ssh_lib_broke(cx, l, doing, rc);
	libssh2_channel_get_exit_signal(c->own, &signal, NULL, NULL, NULL, NULL, NULL);
	int code = signal ? -1 : libssh2_channel_get_exit_status(c->own);
	if (signal)
		libssh2_free(l->session, signal);
	while ((rc = libssh2_channel_free(c->own)) == LIBSSH2_ERROR_EAGAIN)
		if (!ssh_lib_wait(cx, l, deadline, doing))
			return false;
	c->own = NULL;
	*exit_code = code;
	return true;
}

static bool
lib_end(Ctx *cx, SshChannel *c, int64_t deadline, int *exit_code)
{
	SshLib *l = c->ssh->own;
	bool good = ssh_lib_enter(cx, l, c, deadline, "ending the input of a command") &&
	    send_eof(cx, c, deadline);

	ssh_lib_leave(l, c);
	good = good && drain_output(cx, c, deadline) &&
	    ssh_lib_enter(cx, l, c, deadline, "waiting for the end of a command") &&
	    free_channel(cx, c, deadline, exit_code);
	ssh_lib_leave(l, c);
	return good;
}

static void
lib_drop(SshChannel *c)
{
	SshLib *l = c->ssh->own;

	ssh_lib_leave(l, c);
	if (l->left_n < (int)(sizeof l->left / sizeof *l->left))
		l->left[l->left_n++] = c->own;
	else
		c->ssh->dead = true;
	c->own = NULL;
}

/* --- sessions ----------------------------------------------------------------------- */

static bool
lib_alive(Ssh *s)
{
	const SshLib *l = s->own;
	char byte;

	if (l->wire.fd < 0)
		return false;
	ssize_t n = recv(l->wire.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* With its descriptor closed nothing in here can wait. */
void
ssh_lib_free(SshLib *l)
{
	int fd = l->wire.fd;

	l->wire.fd = -1;
	if (fd >= 0 && !l->outer)
		close(fd);
	for (int i = 0; l->session && i < 1000; i++)
		if (libssh2_session_free(l->session) != LIBSSH2_ERROR_EAGAIN)
			l->session = NULL;
	if (l->outer)
		ssh_lib_free(l->outer);
	l->outer = NULL;
}

static void
lib_close(Ssh *s)
{
	for (SshChannel *c = s->channels; c; c = c->next)
		c->own = NULL; /* freed with the session */
	ssh_lib_free(s->own);
}

const SshDriver ssh_lib_driver = {
	.command = lib_command,
	.write = lib_write,
	.read = lib_read,
	.end = lib_end,
	.drop = lib_drop,
	.put = ssh_lib_put,
	.alive = lib_alive,
	.close = lib_close,
};

#include "lib/adapters/ssh_intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/local.h"

/* draft-miller-ssh-agent */
#define ASK_KEYS    11
#define KEYS        12
#define ASK_SIGN    13
#define SIGNATURE   14
#define MESSAGE_MAX ((size_t)256 << 10)
#define KEYS_MAX    64

struct SshAgent {
	int fd;
};

static bool
fail_agent(Ctx *cx, const char *what, int err)
{
	fail(cx, FAIL_HOST_LOGIN,
	    "Start an agent and add the key (ssh-add), or name the file of the key as identity.",
	    "%s", what);
	return err ? fail_cause(cx, "%s", strerrorname_np(err)) : false;
}

static void
close_agent(void *ptr)
{
	SshAgent *a = ptr;

	close(a->fd);
}

/* The agent is a process of this machine: waiting for it is bounded all the same, it may ask a
 * person or a device. */
static bool
wait_agent(Ctx *cx, SshAgent *a, int events, int64_t deadline)
{
	if (lane_wait(a->fd, events, deadline) != 0 || clock_mono_ms() < deadline)
		return true;
	return fail(cx, FAIL_TIMEOUT, "Does it wait for somebody to confirm?",
	    "the SSH agent did not answer in time");
}

static bool
send_all(Ctx *cx, SshAgent *a, const Buf *b, int64_t deadline)
{
	for (size_t at = 0; at < b->len;) {
		ssize_t n = send(a->fd, b->text + at, b->len - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail_agent(cx, "the SSH agent hung up", errno);
		else if (!wait_agent(cx, a, LANE_WRITE, deadline))
			return false;
	}
	return true;
}

static bool
recv_all(Ctx *cx, SshAgent *a, unsigned char *out, size_t n, int64_t deadline)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = recv(a->fd, out + at, n - at, 0);

		if (got > 0)
			at += (size_t)got;
		else if (got == 0 || (errno != EAGAIN && errno != EINTR))
			return fail_agent(cx, "the SSH agent hung up", got < 0 ? errno : 0);
		else if (!wait_agent(cx, a, LANE_READ, deadline))
			return false;
	}
	return true;
}

static void
add_u32(Buf *b, size_t n)
{
	const char bytes[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };

	buf_addn(b, bytes, sizeof bytes);
}

static void
add_string(Buf *b, Bytes s)
{
	add_u32(b, s.n);
	buf_addn(b, s.at, s.n);
}

/* One question, one answer of the wanted type. */
static bool
ask(Ctx *cx, SshAgent *a, const Buf *question, int type, int64_t deadline, Bytes *answer)
{
	Buf b = buf_new(cx->mem);
	unsigned char head[4];

	add_u32(&b, question->len);
	buf_addn(&b, question->text, question->len);
	if (!send_all(cx, a, &b, deadline) || !recv_all(cx, a, head, sizeof head, deadline))
		return false;
	size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (n < 1 || n > MESSAGE_MAX)
		return fail_agent(cx, "the SSH agent answers nonsense", 0);
	unsigned char *body = arena_alloc(cx->mem, n);
	if (!recv_all(cx, a, body, n, deadline))
		return false;
	if (body[0] != type)
		return fail_agent(cx, "the SSH agent refuses", 0);
	*answer = (Bytes){ body + 1, n - 1 };
	return true;
}

static bool
list_keys(Ctx *cx, SshAgent *a, int64_t deadline, SshAgentKey **keys, size_t *n)
{
	Buf question = buf_new(cx->mem);
	Bytes answer, blob, comment;

	buf_addc(&question, ASK_KEYS);
	if (!ask(cx, a, &question, KEYS, deadline, &answer))
		return false;
	if (answer.n < 4)
		return fail_agent(cx, "the SSH agent answers nonsense", 0);
	answer = (Bytes){ answer.at + 4, answer.n - 4 };
	*keys = arena_alloc(cx->mem, KEYS_MAX * sizeof **keys);
	for (*n = 0; *n < KEYS_MAX && ssh_take_string(&answer, &blob) &&
	     ssh_take_string(&answer, &comment);) {
		const char *type = ssh_key_type(cx->mem, blob);

		if (type)
			(*keys)[(*n)++] = (SshAgentKey){ blob, type };
	}
	return *n > 0 || fail_agent(cx, "the SSH agent has no key", 0);
}

bool
ssh_agent_open(Ctx *cx, int64_t deadline, SshAgent **out, SshAgentKey **keys, size_t *n)
{
	const char *path = getenv("SSH_AUTH_SOCK"), *name = path ? strrchr(path, '/') : NULL;

	if (!name)
		return fail_agent(cx, "no identity is given, and SSH_AUTH_SOCK names no agent", 0);
	SshAgent *a = arena_alloc(cx->mem, sizeof *a);
	const char *folder = name > path ? arena_dupn(cx->mem, path, (size_t)(name - path)) : "/";
	a->fd = local_connect(folder, name + 1, SOCK_STREAM);
	if (a->fd < 0)
		return fail_agent(cx, "the SSH agent of SSH_AUTH_SOCK cannot be reached", errno);
	arena_on_free(cx->mem, close_agent, a);
	if (!list_keys(cx, a, deadline, keys, n))
		return false;
	*out = a;
	return true;
}

/* The signature alone, without the name of its algorithm before it. */
bool
ssh_agent_sign(Ctx *cx, SshAgent *a, Bytes blob, Bytes data, int64_t deadline, Bytes *signature)
{
	Buf question = buf_new(cx->mem);
	Bytes answer, whole, name, bytes;

	buf_addc(&question, ASK_SIGN);
	add_string(&question, blob);
	add_string(&question, data);
	add_u32(&question, 0);
	if (!ask(cx, a, &question, SIGNATURE, deadline, &answer))
		return false;
	if (!ssh_take_string(&answer, &whole) || !ssh_take_string(&whole, &name) ||
	    !ssh_take_string(&whole, &bytes))
		return fail_agent(cx, "the SSH agent answers nonsense", 0);
	*signature = bytes;
	return true;
}

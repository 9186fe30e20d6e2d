#include "lib/adapters/ssh_intern.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"

#define DIAL_ADDRESSES 8
#define GREETING_MAX   8192 /* bytes before and with the banner */

typedef struct Waiter {
	struct Waiter *next;
	int wake;
	bool granted;
} Waiter;

struct SshGate { /* of one address and port */
	SshGate *next;
	Arena *mem;
	const char *key;
	int active;
	Waiter *waiters;
};

static SshGate *gates;

/* --- windows ------------------------------------------------------------------------ */

static char *
gate_key(Arena *mem, const SshTarget *to)
{
	char *own = arena_printf(mem, "%s %lld", to->address, (long long)to->port);

	return to->jump ? arena_printf(mem, "%s %s", own, gate_key(mem, to->jump)) : own;
}

static SshGate *
gate_of(Arena *mem, const SshTarget *to)
{
	const char *key = gate_key(mem, to);
	Arena *own;
	SshGate *g;

	for (g = gates; g; g = g->next)
		if (strcmp(g->key, key) == 0)
			return g;
	own = arena_new(NULL);
	g = arena_alloc(own, sizeof *g);
	*g = (SshGate){ .next = gates, .mem = own, .key = arena_dup(own, key) };
	gates = g;
	return g;
}

void
ssh_gate_leave(SshGate *g)
{
	SshGate **link = &gates;
	Waiter *first = g ? g->waiters : NULL;

	if (!g)
		return;
	if (first) { /* the place is handed over */
		g->waiters = first->next;
		first->granted = true;
		eventfd_write(first->wake, 1);
		return;
	}
	if (--g->active > 0)
		return;
	while (*link != g)
		link = &(*link)->next;
	*link = g->next;
	arena_free(g->mem);
}

static void
forget_waiter(SshGate *g, const Waiter *w)
{
	for (Waiter **link = &g->waiters; *link; link = &(*link)->next)
		if (*link == w) {
			*link = w->next;
			return;
		}
}

static bool
gate_wait(Ctx *cx, SshGate *g, const char *who, int64_t deadline)
{
	Waiter w = { .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) }, **tail = &g->waiters;

	if (w.wake < 0)
		return fail_errno(cx, errno, NULL, "cannot wait for a place to dial host %s", who);
	while (*tail)
		tail = &(*tail)->next;
	*tail = &w;
	while (!w.granted && clock_mono_ms() < deadline)
		lane_wait(w.wake, LANE_READ, deadline);
	if (!w.granted)
		forget_waiter(g, &w);
	close(w.wake);
	return w.granted || ssh_fail_time(cx, who, "waiting for a place among those that dial it");
}

bool
ssh_gate_enter(Ctx *cx, const SshTarget *to, const char *who, int64_t deadline, SshGate **out)
{
	SshGate *g = gate_of(cx->mem, to);

	if (g->active < SSH_DIALS)
		g->active++;
	else if (!gate_wait(cx, g, who, deadline))
		return false;
	*out = g;
	return true;
}

/* --- addresses ---------------------------------------------------------------------- */

typedef struct Address {
	struct sockaddr_storage at;
	socklen_t n;
	int family;
} Address;

typedef struct Addresses {
	Address at[DIAL_ADDRESSES];
	int n;
} Addresses;

typedef struct Lookup { /* used by the resolver's thread */
	struct gaicb request;
	struct addrinfo wish;
} Lookup;

static void
take_addresses(const struct addrinfo *list, Addresses *out)
{
	for (const struct addrinfo *a = list; a && out->n < DIAL_ADDRESSES; a = a->ai_next) {
		Address *one = &out->at[out->n];

		if (a->ai_addrlen > sizeof one->at)
			continue;
		memcpy(&one->at, a->ai_addr, a->ai_addrlen);
		one->n = a->ai_addrlen;
		one->family = a->ai_family;
		out->n++;
	}
}

/* The resolver works in a thread of its own; this one only looks whether it is done. */
static bool
look_up(
    Ctx *cx, const char *name, const char *port, const char *who, int64_t deadline, Addresses *out)
{
	Arena *own = arena_new(NULL);
	Lookup *l = arena_alloc(own, sizeof *l);
	struct gaicb *list[1] = { &l->request };

	l->wish.ai_socktype = SOCK_STREAM;
	l->request.ar_name = arena_dup(own, name);
	l->request.ar_service = arena_dup(own, port);
	l->request.ar_request = &l->wish;
	int rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	for (int64_t pause = 1; rc == 0 && gai_error(&l->request) == EAI_INPROGRESS;) {
		if (clock_mono_ms() >= deadline) {
			/* What cannot be cancelled is still written to: it is left alone. */
			if (gai_cancel(&l->request) != EAI_NOTCANCELED)
				arena_free(own);
			return ssh_fail_time(cx, who, "looking up its name");
		}
		lane_sleep(pause);
		pause = pause < 16 ? pause * 2 : pause;
	}
	if (rc == 0)
		rc = gai_error(&l->request);
	if (rc == 0) {
		take_addresses(l->request.ar_result, out);
		freeaddrinfo(l->request.ar_result);
	}
	arena_free(own);
	return true;
}

static bool
find_addresses(Ctx *cx, const SshTarget *to, const char *who, int64_t deadline, Addresses *out)
{
	struct addrinfo wish = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *list;
	const char *port = arena_printf(cx->mem, "%lld", (long long)to->port);

	if (getaddrinfo(to->address, port, &wish, &list) == 0) {
		take_addresses(list, out);
		freeaddrinfo(list);
	} else if (!look_up(cx, to->address, port, who, deadline, out)) {
		return false;
	}
	if (out->n > 0)
		return true;
	return fail(cx, FAIL_HOST_UNREACHABLE,
	    "Check the name, and the name service of this machine.", "host %s has no address", who);
}

/* --- connecting --------------------------------------------------------------------- */

/* A line that swallows everything is noticed also while nothing is sent. */
static void
set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 30000 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 15 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		    sizeof options[i].value);
}

/* 0, or an errno; ETIMEDOUT at the deadline. */
static int
connect_to(const Address *a, int64_t deadline, int *out)
{
	int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	socklen_t n = sizeof err;

	if (fd < 0)
		return errno;
	set_options(fd);
	if (connect(fd, (const struct sockaddr *)&a->at, a->n) != 0) {
		if (errno != EINPROGRESS)
			err = errno;
		else if (lane_wait(fd, LANE_WRITE, deadline) == 0)
			err = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0)
			err = errno;
	}
	if (err)
		close(fd);
	else
		*out = fd;
	return err;
}

static bool
fail_connect(Ctx *cx, const char *who, int err, int64_t deadline)
{
	if (err == ETIMEDOUT && clock_mono_ms() >= deadline)
		return ssh_fail_time(cx, who, "connecting");
	fail(cx, FAIL_HOST_UNREACHABLE,
	    "Does its sshd run, is the port right, and does every firewall on the way let us pass?",
	    "no connection with host %s", who);
	return fail_cause(cx, "%s", strerrorname_np(err));
}

/* Each address gets its share of the time that is left. */
bool
ssh_connect(Ctx *cx, const SshTarget *to, const char *who, int64_t deadline, int *fd)
{
	Addresses addresses = { 0 };
	int err = 0;

	if (!find_addresses(cx, to, who, deadline, &addresses))
		return false;
	for (int i = 0; i < addresses.n; i++) {
		int64_t left = deadline - clock_mono_ms();
		int64_t until = deadline - left + left / (addresses.n - i);

		err = connect_to(&addresses.at[i], until, fd);
		if (!err)
			return true;
	}
	return fail_connect(cx, who, err, deadline);
}

/* --- the wire ----------------------------------------------------------------------- */

static ssize_t
socket_recv(SshWire *w, void *out, size_t cap)
{
	int on = 1;
	ssize_t n = recv(w->fd, out, cap, 0);

	if (n < 0)
		return -errno;
	/* The kernel forgets it: without, an answer may wait 40 ms for our acknowledgement. */
	setsockopt(w->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	return n;
}

static ssize_t
socket_send(SshWire *w, const void *bytes, size_t n)
{
	ssize_t put = send(w->fd, bytes, n, MSG_NOSIGNAL);

	return put < 0 ? -errno : put;
}

void
ssh_wire_socket(SshWire *w, int fd)
{
	w->fd = fd;
	w->recv = socket_recv;
	w->send = socket_send;
	w->wants = NULL;
}

static void
keep_head(SshWire *w, const void *bytes, size_t n)
{
	if (!w->head)
		return;
	if (n > SSH_HEAD - w->head_n)
		n = SSH_HEAD - w->head_n;
	memcpy(w->head + w->head_n, bytes, n);
	w->head_n += n;
	w->head_given = w->head_n;
}

ssize_t
ssh_wire_recv(SshWire *w, void *out, size_t cap)
{
	size_t left = w->head ? w->head_n - w->head_given : 0;

	if (w->fd < 0)
		return -ECONNRESET;
	if (left > 0) {
		size_t n = left < cap ? left : cap;

		memcpy(out, w->head + w->head_given, n);
		w->head_given += n;
		return (ssize_t)n;
	}
	ssize_t n = w->recv(w, out, cap);
	if (n > 0)
		keep_head(w, out, (size_t)n);
	return n;
}

/* --- the greeting ------------------------------------------------------------------- */

static bool
fail_greeting(Ctx *cx, const char *who, const char *what)
{
	return fail(cx, FAIL_HOST_UNREACHABLE,
	    "Is it an SSH server that listens at this address and port?", "host %s %s", who, what);
}

typedef enum Line { LINE_NONE, LINE_BANNER, LINE_OLD } Line;

/* RFC 4253 4.2: other lines may stand before it. */
static Line
find_banner(const unsigned char *head, size_t n)
{
	const unsigned char *end;

	for (const unsigned char *at = head; (end = memchr(at, '\n', n - (size_t)(at - head)));
	     at = end + 1) {
		size_t len = (size_t)(end - at);

		if (len < 8 || memcmp(at, "SSH-", 4) != 0)
			continue;
		if (memcmp(at, "SSH-2.0-", 8) == 0 || (len >= 9 && memcmp(at, "SSH-1.99-", 9) == 0))
			return LINE_BANNER;
		return LINE_OLD;
	}
	return LINE_NONE;
}

static SshGreeting
greet_part(Ctx *cx, SshWire *w, const char *who, ssize_t n)
{
	if (n == 0 || n == -ECONNRESET || n == -EPIPE)
		return SSH_GREET_CLOSED;
	if (n < 0) {
		fail(cx, FAIL_HOST_UNREACHABLE, "Try again; look at its log if it stays so.",
		    "the connection with host %s broke", who);
		fail_cause(cx, "%s", strerrorname_np((int)-n));
		return SSH_GREET_FAILED;
	}
	w->head_n += (size_t)n;
	switch (find_banner(w->head, w->head_n)) {
	case LINE_BANNER:
		return SSH_GREETED;
	case LINE_OLD:
		fail_greeting(cx, who, "speaks a version of SSH other than 2.0");
		return SSH_GREET_FAILED;
	case LINE_NONE:
		break;
	}
	if (w->head_n >= GREETING_MAX)
		fail_greeting(cx, who, "sends no banner of SSH within 8 KiB");
	return SSH_GREET_FAILED;
}

SshGreeting
ssh_greet(Ctx *cx, SshWire *w, const char *who, int64_t deadline)
{
	for (;;) {
		ssize_t n = w->recv(w, w->head + w->head_n, GREETING_MAX - w->head_n);

		if (n != -EAGAIN && n != -EINTR) {
			SshGreeting g = greet_part(cx, w, who, n);

			if (g != SSH_GREET_FAILED || cx->fail->kind != FAIL_NONE)
				return g;
			continue;
		}
		int events = w->wants ? w->wants(w) : LANE_READ;
		if (lane_wait(w->fd, events, deadline) == 0 && clock_mono_ms() >= deadline) {
			ssh_fail_time(cx, who, "waiting for its banner");
			return SSH_GREET_FAILED;
		}
	}
}

bool
ssh_again(Ctx *cx, const char *who, int attempt, int64_t deadline)
{
	int64_t pause = 20 + backoff_ms(attempt, 100, 2000);

	if (clock_mono_ms() + pause < deadline) {
		lane_sleep(pause);
		return true;
	}
	fail(cx, FAIL_HOST_UNREACHABLE,
	    "Its sshd drops logins that are too many (MaxStartups) or bans those that failed "
	    "(PerSourcePenalties), or something stands before it: look at its log.",
	    "host %s closes every connection before its banner", who);
	return fail_cause(cx, "%d attempts", attempt + 1);
}

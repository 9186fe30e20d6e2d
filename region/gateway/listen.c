#include "region/gateway/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define USUAL_PORT 6432
#define BACKLOG    4096 /* the kernel's own limit is what counts */

static bool
bad_address(Ctx *cx, const char *text)
{
	return fail(cx, FAIL_USAGE,
	    "Write ADDRESS:PORT, such as 127.0.0.1:6432 or [::1]:6432, or the folder of a unix "
	    "socket, such as /run/copyhold.",
	    "\"%s\" is no address to listen on", text);
}

/* The digits after the last colon; -1: none. */
static int
port_of(const char *colon)
{
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
	long port = digits && digits < 6 && !colon[1 + digits] ? strtol(colon + 1, NULL, 10) : -1;

	return port > 65535 ? -1 : (int)port;
}

static bool
parse_local(Ctx *cx, const char *text, Listener *l)
{
	const char *colon = strrchr(text, ':');
	int port = colon ? port_of(colon) : USUAL_PORT;
	struct sockaddr_un *un = (struct sockaddr_un *)&l->at;
	size_t n;

	if (port < 1)
		return bad_address(cx, text);
	n = colon ? (size_t)(colon - text) : strlen(text);
	l->is_local = true;
	l->port = port;
	l->path = arena_printf(cx->mem, "%.*s/.s.PGSQL.%d", (int)n, text, port);
	if (strlen(l->path) >= sizeof un->sun_path)
		return fail(cx, FAIL_USAGE, "Choose a folder with a shorter path.",
		    "the path of a unix socket has 107 bytes at most: \"%s\"", l->path);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, l->path, strlen(l->path) + 1);
	l->at_n = sizeof *un;
	return true;
}

static bool
parse_ip(const char *host, int port, Listener *l)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&l->at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&l->at;

	l->port = port;
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		l->at_n = sizeof *v4;
		return true;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	l->at_n = sizeof *v6;
	return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

bool
listen_parse(Ctx *cx, const char *text, Listener *out)
{
	Listener l = { .text = text };
	const char *colon = strrchr(text, ':');
	int port = port_of(colon);

	if (*text == '/') {
		if (!parse_local(cx, text, &l))
			return false;
	} else {
		bool six = *text == '[' && colon > text && colon[-1] == ']';
		if (port < 0)
			return bad_address(cx, text);
		char *host = arena_dupn(
		    cx->mem, text + six, (size_t)(colon - text) - (six ? 2 : 0));
		if (!parse_ip(host, port, &l) || six != (l.at.ss_family == AF_INET6))
			return bad_address(cx, text);
	}
	*out = l;
	return true;
}

bool
listen_is_near(const Listener *l)
{
	if (l->at.ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)&l->at)->sin_addr.s_addr) >> 24 == 127;
	if (l->at.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&l->at)->sin6_addr);
	return true;
}

/* A socket that nobody listens on was left behind by one that was killed. */
static bool
clear_local(Ctx *cx, const Listener *l)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)&l->at, l->at_n) != 0 &&
	    errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return !dead || unlink(l->path) == 0 ||
	    fail_errno(cx, errno, "Remove it.", "clearing \"%s\"", l->path);
}

static int
open_one(const Listener *l)
{
	int one = 1, fd = socket(l->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (!l->is_local) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	}
	if (l->at.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&l->at, l->at_n) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Port 0 has become one that the other workers' sockets take, too. */
static void
learn_port(Listener *l)
{
	socklen_t n = sizeof l->at;

	if (l->is_local || getsockname(l->fds[0], (struct sockaddr *)&l->at, &n) != 0)
		return;
	l->port = ntohs(l->at.ss_family == AF_INET
		? ((const struct sockaddr_in *)&l->at)->sin_port
		: ((const struct sockaddr_in6 *)&l->at)->sin6_port);
}

bool
listen_open(Ctx *cx, Listener *l, int workers)
{
	int want = l->is_local ? 1 : workers;

	if (l->is_local && !clear_local(cx, l))
		return false;
	while (l->nfds < want) {
		int fd = open_one(l);
		if (fd < 0)
			return fail_errno(cx, errno, "Is another process listening there?",
			    "cannot listen on \"%s\"", l->text);
		l->fds[l->nfds++] = fd;
		learn_port(l);
	}
	return !l->is_local || chmod(l->path, 0777) == 0 || /* who may log in is asked there */
	    fail_errno(cx, errno, NULL, "opening \"%s\" for clients", l->path);
}

int
listen_fd(const Listener *l, int worker)
{
	return l->is_local ? l->fds[0] : l->fds[worker];
}

void
listen_close(Listener *l)
{
	for (int i = 0; i < l->nfds; i++)
		close(l->fds[i]);
	if (l->is_local && l->nfds)
		unlink(l->path);
	l->nfds = 0;
}

const char *
listen_address(Arena *mem, const Listener *l)
{
	char host[256] = "";
	const void *ip = l->at.ss_family == AF_INET
	    ? (const void *)&((const struct sockaddr_in *)&l->at)->sin_addr
	    : (const void *)&((const struct sockaddr_in6 *)&l->at)->sin6_addr;
	static const unsigned char any[16];

	if (l->is_local)
		return arena_printf(
		    mem, "%.*s:%d", (int)(strrchr(l->path, '/') - l->path), l->path, l->port);
	if (memcmp(ip, any, l->at.ss_family == AF_INET ? 4 : 16) == 0)
		gethostname(host, sizeof host - 1);
	else
		inet_ntop(l->at.ss_family, ip, host, sizeof host);
	return arena_printf(mem, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, l->port);
}

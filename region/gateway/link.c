#include "region/gateway/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_BUFFER (1 << 20)

typedef union Control { /* room for one descriptor, aligned */
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
} Control;

size_t
link_counters_size(uint32_t workers, uint32_t routes)
{
	return sizeof(LinkCounters) + (size_t)workers * routes * 2 * sizeof(int16_t);
}

/* Non-blocking and closed on exec. */
bool
link_pair(Ctx *cx, int fds[2])
{
	int size = LINK_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return fail_errno(
		    cx, errno, "Raise the limit of open files.", "making the sockets of a worker");
	for (int i = 0; i < 2; i++) /* the kernel gives what it allows */
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return true;
}

static void
put_fd(struct msghdr *m, Control *control, int fd)
{
	if (fd < 0)
		return;
	m->msg_control = control;
	m->msg_controllen = sizeof *control;
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	c->cmsg_len = CMSG_LEN(sizeof fd);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
}

static bool
send_parts(int sock, LinkHead head, const void *a, size_t an, const void *b, size_t bn, int fd)
{
	struct iovec parts[] = {
		{ &head, sizeof head },
		{ (void *)(uintptr_t)a, an },
		{ (void *)(uintptr_t)b, bn },
	};
	Control control = { 0 };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 3 };
	ssize_t n;

	put_fd(&m, &control, fd);
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == ENOBUFS || errno == ENOMEM))
		errno = EAGAIN;
	return n >= 0;
}

bool
link_send2(int sock, LinkType type, uint64_t id, const void *a, size_t an, const void *b, size_t bn)
{
	LinkHead head = { .type = type, .n = (uint32_t)(an + bn), .id = id };

	if (an > LINK_MAX || bn > LINK_MAX - an) {
		errno = EMSGSIZE;
		return false;
	}
	return send_parts(sock, head, a, an, b, bn, -1);
}

bool
link_send(int sock, LinkType type, uint64_t id, const void *body, size_t n, int fd)
{
	LinkHead head = { .type = type, .n = (uint32_t)n, .id = id };

	if (n > LINK_MAX) {
		errno = EMSGSIZE;
		return false;
	}
	return send_parts(sock, head, body, n, NULL, 0, fd);
}

static int
passed_fd(struct msghdr *m)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof fd))
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

int
link_receive(int sock, LinkHead *head, void *body, int *fd)
{
	struct iovec parts[] = { { head, sizeof *head }, { body, LINK_MAX } };
	Control control = { 0 };
	struct msghdr m = { .msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	*fd = passed_fd(&m);
	if (n >= (ssize_t)sizeof *head && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    head->n == (size_t)n - sizeof *head)
		return 1;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -1;
}

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "region/gateway/worker_intern.h"

#define CANCEL_MS   5000
#define CANCELS_MAX 4 /* under way to one server: more would hit nothing else */

/* A request under way.  The server connection changes hands only when the other end has closed this one:
 * it has sent its signal by then (PostgreSQL documentation, "Canceling Requests in Progress"). */
struct Cancel {
	Worker *w;
	Cancel *next;
	Server *server; /* NULL: closed meanwhile */
	Stream io;
	Watch *watch;
	enum { CANCEL_CONNECT, CANCEL_SSL, CANCEL_TLS, CANCEL_SENT } state;
	StreamTls *tls;
	char host[256];
	int64_t since_ms;
	unsigned char message[16 + CANCEL_KEY_MAX];
	size_t n;
};

static void
done(Cancel *k)
{
	Worker *w = k->w;
	Server *s = k->server;
	Cancel **link = &w->cancels;

	while (*link != k)
		link = &(*link)->next;
	*link = k->next;
	watch_free(k->watch);
	stream_close(&k->io);
	stream_tls_drop(k->tls);
	k->next = w->spare_cancels;
	w->spare_cancels = k;
	if (!s || --s->cancels > 0)
		return;
	Client *c = s->client;
	if (s->tx == 'I' && replies_quiet(&s->replies))
		server_between(s);
	if (c && c->conn.deaf && !c->waits)
		client_go_on(c);
}

static void
send_request(Cancel *k)
{
	if (stream_write(&k->io, k->message, k->n) != (ssize_t)k->n) {
		done(k);
		return;
	}
	k->state = CANCEL_SENT;
	watch_for(k->watch, LOOP_READ);
}

static void
start_tls(Cancel *k)
{
	unsigned char ask[16];
	size_t n = wire_put_ssl_request(ask, sizeof ask);

	if (stream_write(&k->io, ask, n) != (ssize_t)n) {
		done(k);
		return;
	}
	k->state = CANCEL_SSL;
	watch_for(k->watch, LOOP_READ);
}

static void
handshake(Cancel *k)
{
	int result = stream_handshake(&k->io);

	if (result == STREAM_AGAIN)
		watch_for(k->watch, k->io.wants);
	else if (result == STREAM_BROKEN)
		done(k);
	else
		send_request(k);
}

static void
ssl_answer(Cancel *k)
{
	char answer[2];
	ssize_t n = stream_read(&k->io, answer, sizeof answer);

	if (n == STREAM_AGAIN)
		return;
	k->state = CANCEL_TLS;
	if (n == 1 && answer[0] == 'S' && stream_start_client(&k->io, k->tls, k->host))
		handshake(k);
	else
		done(k);
}

static void
connected(Cancel *k)
{
	int err = 0;
	socklen_t n = sizeof err;

	if (getsockopt(k->io.fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0 || err != 0)
		done(k);
	else if (k->tls)
		start_tls(k);
	else
		send_request(k);
}

static void
on_event(void *ptr, int events)
{
	Cancel *k = ptr;
	Worker *w = k->w;
	char end[16];

	(void)events;
	switch (k->state) {
	case CANCEL_CONNECT:
		connected(k);
		break;
	case CANCEL_SSL:
		ssl_answer(k);
		break;
	case CANCEL_TLS:
		handshake(k);
		break;
	case CANCEL_SENT:
		if (stream_read(&k->io, end, sizeof end) != STREAM_AGAIN)
			done(k);
		break;
	}
	worker_settle(w);
}

static int
dial_same(const Server *s)
{
	struct sockaddr_storage at;
	socklen_t n = sizeof at;
	int fd;

	if (getpeername(s->conn.io.fd, (struct sockaddr *)&at, &n) != 0)
		return -1;
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&at, n) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

void
cancel_send(Server *s)
{
	Worker *w = s->conn.w;
	Cancel *k = w->spare_cancels;
	const WorkerCluster *cluster = &w->clusters[s->cluster];

	if (s->client &&
	    server_answers_us(s)) { /* it would hit our SET, and not what the client asks */
		s->cancel_later = true;
		return;
	}
	int fd = s->key_n > 0 ? dial_same(s) : -1;

	if (fd < 0)
		return;
	if (k)
		w->spare_cancels = k->next;
	else
		k = arena_alloc(w->mem, sizeof *k);
	memset(k, 0, sizeof *k);
	k->w = w;
	k->server = s;
	k->since_ms = worker_now(w);
	k->n = wire_put_cancel(k->message, sizeof k->message, s->pid, s->key, s->key_n);
	if (s->conn.io.tls && cluster->tls) {
		k->tls = stream_tls_keep(cluster->tls);
		snprintf(k->host, sizeof k->host, "%s", cluster->c.host);
	}
	stream_open(&k->io, fd);
	k->watch = watch_new(w->loop, fd, on_event, k);
	watch_for(k->watch, LOOP_WRITE);
	k->next = w->cancels;
	w->cancels = k;
	s->cancels++;
	w->stats.cancels++;
}

void
cancels_forget(const Server *s)
{
	for (Cancel *k = s->conn.w->cancels; k; k = k->next)
		if (k->server == s)
			k->server = NULL;
}

void
cancels_tick(Worker *w, int64_t now)
{
	for (Cancel *k = w->cancels, *next; k; k = next) {
		next = k->next;
		if (now - k->since_ms <= CANCEL_MS)
			continue;
		if (k->server) /* it may still be hit: by then nobody else has it */
			k->server->old = true;
		done(k);
	}
}

/* --- from clients --------------------------------------------------------------------- */

static bool
is_the_secret(const Client *c, const unsigned char *key, size_t n)
{
	unsigned char different = 0;

	if (n != sizeof c->secret)
		return false;
	for (size_t i = 0; i < n; i++)
		different |= (unsigned char)(c->secret[i] ^ key[i]);
	return different == 0;
}

/* Only while the client still has that server, and the server something to do for it. */
static void
look(Worker *w, const LinkCancel *m)
{
	Client *c = m->slot < w->nslots ? w->clients[m->slot] : NULL;

	if (!c || c->state != CLIENT_READY || m->secret_n > sizeof m->secret ||
	    !is_the_secret(c, m->secret, m->secret_n))
		return;
	if (c->server && c->server->busy_ms > 0) {
		if (c->server->cancels < CANCELS_MAX)
			cancel_send(c->server);
	} else if (c->waits)
		client_refuse(c, "57014", "canceling statement due to user request");
}

/* Ours has been looked at elsewhere. */
static void
heard(Worker *w, const LinkCancel *m)
{
	Client *c = m->slot < w->nslots ? w->clients[m->slot] : NULL;

	if (c && c->state == CLIENT_CANCEL &&
	    is_the_secret(c, m->from_secret, sizeof m->from_secret))
		client_close(c);
}

void
cancel_here(Worker *w, const LinkCancel *m)
{
	LinkCancel answer = *m;

	if (m->heard) {
		heard(w, m);
		return;
	}
	look(w, m);
	answer.heard = true;
	answer.worker = m->from;
	answer.slot = m->from_slot;
	link_send(WORKER_LINK, LINK_CANCEL_FOR, 0, &answer, sizeof answer, -1);
}

/* Whoever sent it waits for the end of its connection before it goes on: what it says then must come after
 * the request, also in another worker. */
void
cancel_asked(Client *c, uint32_t pid, const unsigned char *key, size_t n)
{
	Worker *w = c->conn.w;
	LinkCancel m = { .worker = pid >> 24,
		.slot = pid & 0xffffff,
		.from = w->start.worker,
		.from_slot = c->slot };

	if (n > sizeof m.secret || m.worker >= w->start.workers) {
		client_close(c);
		return;
	}
	memcpy(m.secret, key, n);
	m.secret_n = (uint32_t)n;
	memcpy(m.from_secret, c->secret, sizeof m.from_secret);
	if (m.worker == w->start.worker)
		look(w, &m);
	else if (link_send(WORKER_LINK, LINK_CANCEL_FOR, 0, &m, sizeof m, -1)) {
		c->state = CLIENT_CANCEL;
		return;
	}
	client_close(c);
}

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "region/gateway/worker_intern.h"

#define MESSAGE_MAX 30000 /* of a message before the login is finished */

static void client_event(void *ptr, int events);

/* --- saying things ------------------------------------------------------------------ */

static void
say(Client *c, size_t n)
{
	queue_add(c->conn.w, &c->conn.out, c->conn.w->build, n);
}

static size_t
error_text(
    Worker *w, const char *severity, const char *sqlstate, const char *text, const char *hint)
{
	return wire_put_error(w->build, sizeof w->build, severity, sqlstate, text, hint);
}

void
client_told(Client *c)
{
	if (c->state == CLIENT_DEAD)
		return;
	if (!conn_flush(&c->conn)) {
		client_close(c);
		return;
	}
	if (c->state == CLIENT_CLOSING && c->conn.out.n == 0) {
		client_close(c);
		return;
	}
	Server *s = c->server;
	if (s && s->conn.deaf != (c->conn.out.n > QUEUE_HIGH) &&
	    (c->conn.out.n > QUEUE_HIGH || c->conn.out.n < QUEUE_LOW)) {
		s->conn.deaf = !s->conn.deaf;
		conn_watch(&s->conn);
	}
	conn_watch(&c->conn);
}

static void
leave_logging(Client *c)
{
	Worker *w = c->conn.w;

	if (c->state > CLIENT_PROOF && c->state != CLIENT_CLOSING)
		return;
	*(c->prev ? &c->prev->next : &w->logging) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->prev = c->next = NULL;
}

static void
join_logging(Client *c)
{
	Worker *w = c->conn.w;

	c->prev = NULL;
	c->next = w->logging;
	if (w->logging)
		w->logging->prev = c;
	w->logging = c;
}

void
client_logged(Client *c)
{
	leave_logging(c);
	c->state = CLIENT_WELCOME;
}

/* The server that it had: given back clean, rolled back, or ended with what it does. */
static void
give_back(Client *c)
{
	Server *s = c->server;

	if (!s)
		return;
	c->server = NULL;
	s->client = NULL;
	if (replies_quiet(&s->replies) && c->conn.pass == 0 && s->cancels == 0) {
		s->dirty = s->dirty || client_pinned(c) ||
		    s->pool->tenant->route.pool == POOL_SESSION;
		pool_unlink(s);
		return;
	}
	if (s->busy_ms > 0)
		cancel_send(s);
	server_close(s, NULL);
}

static void
let_go(Client *c)
{
	leave_logging(c);
	pool_stop_waiting(c);
	give_back(c);
	client_login_free(c);
}

void
client_fatal(Client *c, const char *sqlstate, const char *message, const char *hint)
{
	if (c->state == CLIENT_CLOSING || c->state == CLIENT_DEAD)
		return;
	let_go(c);
	c->state = CLIENT_CLOSING;
	c->conn.deaf = true;
	say(c, error_text(c->conn.w, "FATAL", sqlstate, message, hint));
	c->since_ms = worker_now(c->conn.w);
	join_logging(c); /* it has so long to take it */
	client_told(c);
}

void
client_close(Client *c)
{
	Worker *w = c->conn.w;

	if (c->state == CLIENT_DEAD)
		return;
	let_go(c);
	c->state = CLIENT_DEAD;
	c->wait_next = w->dead_clients; /* it waits no more: the link is free */
	w->dead_clients = c;
}

void
clients_bury(Worker *w)
{
	while (w->dead_clients) {
		Client *c = w->dead_clients;
		w->dead_clients = c->wait_next;
		names_free(c);
		pool_leave(c);
		conn_close(&c->conn);
		arena_free(c->words_mem);
		arena_free(c->mem);
		w->clients[c->slot] = NULL;
		w->free_slots[w->nfree++] = c->slot;
		w->live--;
		c->wait_next = NULL;
		c->next = w->spare_clients;
		w->spare_clients = c;
	}
}

void
client_new(Worker *w, int fd)
{
	Client *c = w->spare_clients;

	if (c)
		w->spare_clients = c->next;
	else
		c = arena_alloc(w->mem, sizeof *c);
	memset(c, 0, sizeof *c);
	c->conn.w = w;
	c->slot = w->free_slots[--w->nfree];
	w->clients[c->slot] = c;
	w->live++;
	c->serial = ++w->last_serial;
	random_bytes(c->secret, sizeof c->secret);
	c->since_ms = worker_now(w);
	join_logging(c);
	conn_open(&c->conn, w, fd, client_event, c);
	worker_peer(fd, c->from, sizeof c->from, &c->local);
	conn_watch(&c->conn);
}

void
client_swept(Client *c, int64_t now)
{
	if (c->state == CLIENT_CLOSING ? now - c->since_ms > 1000
				       : now - c->since_ms > c->conn.w->start.limits.login_ms)
		client_close(c);
}

/* --- the first packet ---------------------------------------------------------------- */

static void
tls_step(Client *c)
{
	switch (stream_handshake(&c->conn.io)) {
	case STREAM_AGAIN:
		watch_for(c->conn.watch, c->conn.io.wants);
		return;
	case STREAM_BROKEN:
		client_close(c);
		return;
	default:
		c->state = CLIENT_HELLO;
		conn_watch(&c->conn);
	}
}

/* What was sent in clear after the request would be taken for what was sent under TLS. */
static void
ssl_asked(Client *c, bool more)
{
	Worker *w = c->conn.w;

	if (more || c->conn.io.tls) {
		client_fatal(c, "08P01", "bytes were sent before the TLS handshake", NULL);
		return;
	}
	w->build[0] = w->cert ? 'S' : 'N';
	say(c, 1);
	if (!conn_flush(&c->conn) || c->conn.out.n > 0) {
		client_close(c);
		return;
	}
	if (!w->cert)
		return;
	c->state = CLIENT_TLS;
	if (stream_start_server(&c->conn.io, w->cert))
		tls_step(c);
	else
		client_close(c);
}

static void
login_asked(Client *c, const Startup *s)
{
	Worker *w = c->conn.w;
	Entry *e = client_entry(c);
	const char *suffixes[LINK_SUFFIXES + 1] = { NULL };

	for (int i = 0; i < LINK_SUFFIXES && w->start.suffix[i][0]; i++)
		suffixes[i] = w->start.suffix[i];
	if (w->start.tls_required && !c->conn.io.tls && !c->local) {
		client_fatal(c, "28000", "this gateway wants TLS", "Set sslmode=verify-full.");
		return;
	}
	if (s->minor > 0 || s->unknowns > 0)
		say(c, wire_put_negotiate(w->build, sizeof w->build, 0, s));
	if (!entry_read(s, stream_sni(&c->conn.io), suffixes, e)) {
		client_fatal(c, e->sqlstate, e->why, NULL);
		return;
	}
	client_login(c);
}

static size_t
first_packet(Client *c, const unsigned char *at, size_t n)
{
	Startup s;
	size_t used = 0;
	WireLook look = wire_startup(at, n, &used, &s);

	if (look == WIRE_MORE)
		return 0;
	if (look == WIRE_BAD) {
		client_fatal(c, "08P01", "the first packet is not of protocol 3", NULL);
		return 0;
	}
	switch (s.kind) {
	case STARTUP_SSL:
		ssl_asked(c, used < n);
		break;
	case STARTUP_GSS:
		c->conn.w->build[0] = 'N';
		say(c, 1);
		client_told(c);
		break;
	case STARTUP_CANCEL:
		cancel_asked(c, s.pid, s.key, s.key_n);
		break;
	case STARTUP_LOGIN:
		login_asked(c, &s);
		break;
	}
	return used;
}

/* --- welcome ----------------------------------------------------------------------------- */

/* At once if it is known what to say; else when a server has said it, which also checks the settings
 * that the client asked for. */
void
client_welcome(Client *c)
{
	memcpy(c->start, c->var, sizeof c->start);
	if (settings_known(c))
		client_ready(c);
	else if (pool_want(c))
		client_go_on(c);
}

void
client_ready(Client *c)
{
	Worker *w = c->conn.w;

	c->state = CLIENT_READY;
	settings_welcome(c);
	say(c,
	    wire_put_key(w->build, sizeof w->build, w->start.worker << 24 | c->slot, c->secret,
		sizeof c->secret));
	say(c, wire_put_ready(w->build, sizeof w->build, 'I'));
	c->since_ms = worker_now(w);
	client_told(c);
}

/* --- refusing ------------------------------------------------------------------------------ */

/* Its next message has no server and will have none: an error in place of the answer. */
void
client_refuse(Client *c, const char *sqlstate, const char *message)
{
	Worker *w = c->conn.w;
	WireHead h;

	pool_stop_waiting(c);
	if (c->state != CLIENT_READY || c->nown > 0 ||
	    wire_head(c->conn.kept, c->conn.kept_n, &h) != WIRE_OK) {
		client_fatal(c, sqlstate, message, NULL);
		return;
	}
	say(c, error_text(w, "ERROR", sqlstate, message, NULL));
	if (h.type == 'Q' || h.type == 'F')
		say(c, wire_put_ready(w->build, sizeof w->build, 'I'));
	else
		c->skipping = true;
	c->refused_one = true;
	c->conn.deaf = false;
	client_go_on(c);
}

/* --- messages ------------------------------------------------------------------------------------- */

static size_t
skip_message(Client *c, size_t n, size_t total)
{
	size_t take = n < total ? n : total;

	c->conn.pass = (uint32_t)(total - take);
	c->conn.drop = true;
	return take;
}

/* Without a server some messages need none: what is left of a COPY that failed, a Sync. */
static bool
needs_no_server(Client *c, char type)
{
	Worker *w = c->conn.w;

	if (c->refused_one) { /* the message that was refused while it waited */
		c->refused_one = false;
		return true;
	}
	if (type == 'S') {
		c->skipping = false;
		say(c, wire_put_ready(w->build, sizeof w->build, 'I'));
		return true;
	}
	return c->skipping || strchr("dcfH", type) != NULL;
}

static bool
room_for_reply(Client *c)
{
	Server *s = c->server;
	Replies *q = &s->replies;

	if (!replies_full(q))
		return true;
	if (q->cap >= REPLIES_MAX)
		return !(c->conn.deaf = true);
	replies_grow(q, arena_alloc(s->mem, q->cap * 2 * sizeof(Owed)), q->cap * 2);
	return true;
}

/* One message, or a piece of one: how many bytes of it were used; 0: not yet. */
static size_t
step(Client *c, const unsigned char *at, size_t n)
{
	WireHead h;

	if (c->conn.pass > 0)
		return take_pass(c, at, n);
	WireLook look = wire_head(at, n, &h);
	if (look == WIRE_MORE)
		return 0;
	if (look == WIRE_BAD || !wire_from_client(h.type) || h.type == 'p') {
		client_fatal(c, "08P01", "a message that is not of the protocol came", NULL);
		return 0;
	}
	size_t total = WIRE_HEAD + (size_t)h.body;
	if (h.type == 'X') {
		client_close(c);
		return 0;
	}
	if (c->conn.out.n > QUEUE_HIGH) { /* it asks and does not listen */
		c->conn.deaf = true;
		return 0;
	}
	if (!c->server) {
		if (needs_no_server(c, h.type))
			return skip_message(c, n, total);
		if (!pool_want(c))
			return 0;
	}
	if (!room_for_reply(c) || !take_room(c))
		return 0;
	/* what is sent now must not be hit by it, nor find settings that are about to be brought back */
	if (c->server->cancels > 0 || c->server->cancel_later || settings_wait(c, h.type)) {
		c->conn.deaf = true;
		return 0;
	}
	return take_message(c, h.type, at, n, total);
}

static size_t
login_step(Client *c, const unsigned char *at, size_t n)
{
	WireHead h;
	WireLook look;

	if (c->state == CLIENT_HELLO)
		return first_packet(c, at, n);
	look = wire_head(at, n, &h);
	if (look == WIRE_MORE)
		return 0;
	if (look == WIRE_BAD || h.body > MESSAGE_MAX) {
		client_fatal(c, "08P01", "a message that is not of the protocol came", NULL);
		return 0;
	}
	if (n < WIRE_HEAD + (size_t)h.body)
		return 0;
	if (h.type == 'X')
		client_close(c);
	else if (!client_login_message(c, h.type, at + WIRE_HEAD, h.body))
		client_fatal(c, "08P01", "a message that is not of the login came", NULL);
	return WIRE_HEAD + (size_t)h.body;
}

static bool
can_take(const Client *c)
{
	switch (c->state) {
	case CLIENT_HELLO:
	case CLIENT_SASL:
	case CLIENT_PROOF:
		return true;
	case CLIENT_READY:
		return !c->waits && !c->conn.deaf;
	case CLIENT_TLS:
	case CLIENT_VERIFIER:
	case CLIENT_CANCEL:
	case CLIENT_WELCOME:
	case CLIENT_CLOSING:
	case CLIENT_DEAD:
		return false;
	}
	return false;
}

/* Uses what has come as far as it can be used; the rest is kept. */
static void
take(Client *c, unsigned char *at, size_t n)
{
	size_t used = 0;

	while (used < n && can_take(c)) {
		size_t k = c->state == CLIENT_READY ? step(c, at + used, n - used)
						    : login_step(c, at + used, n - used);
		if (k == 0)
			break;
		used += k;
	}
	if (c->state == CLIENT_DEAD)
		return;
	conn_keep(&c->conn, at + used, n - used);
	if (c->server)
		server_gave(c->server);
	if (c->conn.deaf && c->conn.out.n > QUEUE_LOW)
		conn_watch(&c->conn); /* what is sent makes it read again */
	else
		client_told(c);
	client_rest(c);
}

/* What the gateway answered itself, or what has not come as a whole yet, needs no server. */
void
client_rest(Client *c)
{
	Server *s = c->server;

	if (c->state == CLIENT_READY && s && s->state == SERVER_LINKED && s->tx == 'I' &&
	    replies_quiet(&s->replies) && c->conn.pass == 0)
		server_between(s);
}

void
client_go_on(Client *c)
{
	Server *s = c->server;

	if (c->state == CLIENT_WELCOME) {
		if (s && replies_quiet(&s->replies)) {
			server_between(s);
		} else if (s) {
			server_gave(s);
		}
		return;
	}
	if (c->state != CLIENT_READY || c->waits)
		return;
	c->conn.deaf = false;
	if (c->conn.kept_n > 0) {
		size_t n = c->conn.kept_n;
		c->conn.kept_n = 0;
		take(c, c->conn.kept, n);
	} else {
		if (c->server)
			server_gave(c->server);
		client_told(c);
	}
}

static void
readable(Client *c)
{
	unsigned char *at;
	size_t n;

	do {
		ssize_t got = conn_read(&c->conn, &at, &n);
		if (got == STREAM_AGAIN)
			return;
		if (got <= 0) {
			client_close(c);
			return;
		}
		c->conn.w->stats.bytes_in += got;
		take(c, at, n);
	} while (can_take(c) && stream_has_more(&c->conn.io));
}

/* Who waits says nothing, as a rule, and stays watched so that its leaving is noticed; what it says all
 * the same is left to the kernel. */
static void
heard_waiting(Client *c)
{
	char byte;

	ssize_t n = recv(c->conn.io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		client_close(c);
		return;
	}
	c->conn.deaf = true;
	conn_watch(&c->conn);
}

/* Who was not read because it did not listen is read again. */
void
client_listens(Client *c)
{
	if (c->state == CLIENT_READY && c->conn.deaf && !c->waits && c->conn.out.n <= QUEUE_LOW)
		client_go_on(c);
}

static void
client_sent(Client *c)
{
	client_told(c);
	client_listens(c);
}

static void
client_event(void *ptr, int events)
{
	Client *c = ptr;
	Worker *w = c->conn.w;

	bool more = events & LOOP_READ || (!c->conn.deaf && stream_has_more(&c->conn.io));

	if (c->state == CLIENT_TLS)
		tls_step(c);
	else if (more && c->waits)
		heard_waiting(c);
	else if (more)
		readable(c);
	else
		client_sent(c);
	worker_settle(w);
}

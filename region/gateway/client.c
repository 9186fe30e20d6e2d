#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "region/gateway/worker_intern.h"

#define QUERY_WHOLE 65536 /* bytes; a longer one streams through while it is read */
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

static void
free_names(Client *c)
{
	Worker *w = c->conn.w;

	for (const MapItem *i = NULL; c->names && (i = map_next(c->names, i)) != NULL;)
		statement_drop(w, i->value);
	statement_drop(w, c->unnamed);
	arena_free(c->names_mem);
	arena_free(c->hoped_mem);
	c->names_mem = c->hoped_mem = NULL;
	c->names = NULL;
	c->names_bytes = 0;
	c->hoped = (Hoped){ 0 };
	c->unnamed = NULL;
}

void
clients_bury(Worker *w)
{
	while (w->dead_clients) {
		Client *c = w->dead_clients;
		w->dead_clients = c->wait_next;
		pool_leave(c);
		free_names(c);
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

static bool
differs_from_server(const Client *c)
{
	for (int i = 0; i < VARS; i++) {
		if (!c->var[i] || i == VAR_APPLICATION)
			continue;
		bool same = false;
		for (size_t k = 0; k < c->pool->nwelcome; k++)
			same = same ||
			    (var_of(c->pool->welcome[k].name) == i &&
				strcmp(c->pool->welcome[k].value, c->var[i]) == 0);
		if (!same)
			return true;
	}
	return false;
}

/* At once if it is known what to say; else when a server has said it, which also checks the settings
 * that the client asked for. */
void
client_welcome(Client *c)
{
	if (c->pool->welcome && !differs_from_server(c) && c->nown == 0) {
		client_ready(c);
		return;
	}
	if (pool_want(c))
		client_go_on(c);
}

static void
say_settings(Client *c)
{
	Worker *w = c->conn.w;
	const Pool *p = c->pool;

	for (size_t i = 0; i < p->nwelcome; i++) {
		int var = var_of(p->welcome[i].name);
		if (var >= 0 && !c->var[var])
			c->var[var] = worker_text(w, p->welcome[i].value);
		say(c,
		    wire_put_setting(w->build, sizeof w->build, p->welcome[i].name,
			var >= 0 ? c->var[var] : p->welcome[i].value));
	}
}

void
client_ready(Client *c)
{
	Worker *w = c->conn.w;

	c->state = CLIENT_READY;
	say_settings(c);
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

/* In place of the message goes one that fails: the server then does what it does after any error, and
 * its own error is not passed on. */
static void
refuse_message(Client *c, char type, uint32_t why)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	const char *text = "copyhold: refused";
	size_t n;

	if (type == 'Q') {
		n = wire_put_query(w->build, sizeof w->build, text);
	} else {
		n = wire_put_parse_head(w->build, sizeof w->build, "", strlen(text) + 3);
		memcpy(w->build + n, text, strlen(text) + 1);
		n += strlen(text) + 1;
		memset(w->build + n, 0, 2);
		n += 2;
		type = 'P';
	}
	s->unnamed = 0;
	if (replies_sent(&s->replies, type, REPLY_CLIENTS, REFUSED | why))
		queue_add(w, &s->conn.out, w->build, n);
}

/* --- prepared statements --------------------------------------------------------------------- */

static bool
standard_strings(const Client *c)
{
	return !c->var[VAR_STRINGS] || strcmp(c->var[VAR_STRINGS], "off") != 0;
}

static void
send_as_is(Client *c, const unsigned char *at, size_t n)
{
	queue_add(c->conn.w, &c->server->conn.out, at, n);
}

static void
set_name(Client *c, const char *name, Statement *st)
{
	if (!c->names_mem) {
		c->names_mem = arena_new(c->conn.w->mem);
		c->names = map_new(c->names_mem);
	}
	map_set(c->names, name, st);
	c->names_bytes += st->sql_n;
}

static Statement *
named(const Client *c, const char *name)
{
	return c->names ? map_get(c->names, name) : NULL;
}

static void
drop_name(Client *c, const char *name)
{
	Statement *st = named(c, name);

	if (!st)
		return;
	c->names_bytes -= st->sql_n;
	map_remove(c->names, name);
	statement_drop(c->conn.w, st);
}

void
client_forget_names(Client *c)
{
	free_names(c);
}

/* The first of the names that wait for their Parse to be done: they are done in order. */
static const char *
no_more_hoped(Client *c, uint32_t id)
{
	Hoped *h = &c->hoped;

	for (size_t i = 0; i < h->n; i++)
		if (h->at[i].id == id) {
			const char *name = h->at[i].name;
			memmove(h->at + i, h->at + i + 1, (--h->n - i) * sizeof *h->at);
			return name;
		}
	return NULL;
}

static void
hope(Client *c, uint32_t id, const char *name)
{
	if (!c->hoped_mem)
		c->hoped_mem = arena_new(c->conn.w->mem);
	vec_push(
	    c->hoped_mem, &c->hoped, ((struct HopedName){ id, arena_dup(c->hoped_mem, name) }));
}

static void
hoped_done(Client *c)
{
	if (c->hoped.n > 0)
		return;
	arena_free(c->hoped_mem);
	c->hoped_mem = NULL;
	c->hoped = (Hoped){ 0 };
}

void
client_lost_statement(Client *c, uint32_t id)
{
	const char *name = no_more_hoped(c, id);

	if (name && name[0]) {
		drop_name(c, name);
	} else if (c->unnamed && c->unnamed->id == id) {
		statement_drop(c->conn.w, c->unnamed);
		c->unnamed = NULL;
	}
	hoped_done(c);
}

void
client_has_statement(Client *c, uint32_t id)
{
	no_more_hoped(c, id);
	hoped_done(c);
}

/* Sends Parse under the name that the server knows it by.  Whose: the client's own, or ours before a
 * Bind of the client that was given another server. */
static void
send_parse(Client *c, Statement *st, bool unnamed, ReplyWhose whose)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	char name[32];
	size_t n;

	if (!replies_sent(&s->replies, 'P', whose, st->id))
		return;
	n = wire_put_parse_head(w->build, sizeof w->build, unnamed ? "" : statement_name(st, name),
	    st->sql_n + 1 + st->types_n);
	queue_add(w, &s->conn.out, w->build, n);
	queue_add(w, &s->conn.out, st->sql, st->sql_n + 1);
	queue_add(w, &s->conn.out, st->types, st->types_n);
	if (unnamed)
		s->unnamed = st->id;
	else
		server_prepared(s, st);
}

static void
parse_unnamed(Client *c, const unsigned char *at, size_t total, Statement *st)
{
	Server *s = c->server;

	if (!replies_sent(&s->replies, 'P', REPLY_CLIENTS, st->id)) {
		statement_drop(c->conn.w, st);
		return;
	}
	statement_drop(c->conn.w, c->unnamed);
	c->unnamed = st;
	c->unnamed_long = false;
	hope(c, st->id, "");
	s->unnamed = st->id;
	send_as_is(c, at, total);
}

static void
parse_named(Client *c, Statement *st, const char *name)
{
	Server *s = c->server;

	if (s->replies.skipping) {
		statement_drop(c->conn.w, st);
		return;
	}
	if (named(c, name) || c->names_bytes + st->sql_n > CLIENT_STATEMENTS) {
		refuse_message(c, 'P', named(c, name) ? REFUSE_EXISTS : REFUSE_MANY);
		statement_drop(c->conn.w, st);
		return;
	}
	set_name(c, name, st);
	hope(c, st->id, name);
	if (server_has(s, st)) {
		replies_sent(&s->replies, 'P', REPLY_MADE, st->id);
		server_made(s);
		return;
	}
	send_parse(c, st, false, REPLY_CLIENTS);
}

/* DEALLOCATE by the extended protocol, of what was prepared by it: the server deallocates an empty
 * statement in its place, so that the answer is its own. */
static void
parse_deallocate(Client *c, const char *name)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	char text[64];
	size_t n;

	drop_name(c, name);
	snprintf(text, sizeof text, "copyhold/empty %u", ++w->last_statement);
	if (replies_sent(&s->replies, 'P', REPLY_OURS, 0)) {
		n = wire_put_parse_head(w->build, sizeof w->build, text, 3);
		send_as_is(c, w->build, n);
		send_as_is(c, (const unsigned char *)"\0\0", 3);
	}
	snprintf(text, sizeof text, "DEALLOCATE \"copyhold/empty %u\"", w->last_statement);
	const WireParse p = { .name = "",
		.sql = text,
		.sql_n = strlen(text),
		.rest = (const unsigned char *)"\0",
		.rest_n = 2 };
	statement_drop(w, c->unnamed);
	c->unnamed = statement_get(w, &p, standard_strings(c));
	send_parse(c, c->unnamed, true, REPLY_CLIENTS);
}

static size_t
take_parse(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	WireParse p;
	Statement *st;
	uint32_t why;

	if (n < total)
		return 0;
	if (!wire_parse(at + WIRE_HEAD, total - WIRE_HEAD, &p)) {
		client_fatal(c, "08P01", "a Parse message is not well formed", NULL);
		return 0;
	}
	st = statement_get(c->conn.w, &p, standard_strings(c));
	why = s->replies.skipping ? REFUSE_NONE : guard_text(c, st->found, 0);
	if (why) {
		statement_drop(c->conn.w, st);
		refuse_message(c, 'P', why);
	} else if (st->deallocates[0] && !p.name[0] && named(c, st->deallocates) &&
	    !s->replies.skipping) {
		parse_deallocate(c, st->deallocates);
		statement_drop(c->conn.w, st);
	} else if (p.name[0]) {
		parse_named(c, st, p.name);
	} else {
		parse_unnamed(c, at, total, st);
	}
	return total;
}

/* Bytes of a message, as many as have come; the rest goes straight through. */
static size_t
send_rest(Client *c, const unsigned char *at, size_t n, size_t total, size_t from, bool drop)
{
	size_t take = n < total ? n : total;

	if (!drop)
		send_as_is(c, at + from, take - from);
	c->conn.pass = (uint32_t)(total - take);
	c->conn.drop = drop;
	return take;
}

/* A Parse that is too long to be kept: the client stays where it was sent. */
static size_t
stream_parse(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	const char *name = (const char *)at + WIRE_HEAD;
	size_t most = n < WIRE_BIND_NAMES ? n : WIRE_BIND_NAMES;

	if (!memchr(name, 0, most - WIRE_HEAD)) {
		if (n >= WIRE_BIND_NAMES)
			client_fatal(c, "08P01", "a Parse message is not well formed", NULL);
		return 0;
	}
	if (s->replies.skipping)
		return send_rest(c, at, n, total, 0, true);
	if (s->pool->tenant->route.guarded || named(c, name)) {
		refuse_message(c, 'P', named(c, name) ? REFUSE_EXISTS : REFUSE_LONG);
		return send_rest(c, at, n, total, 0, true);
	}
	c->pins |= PIN_STATEMENT;
	s->unnamed = 0;
	if (name[0] == '\0') {
		statement_drop(c->conn.w, c->unnamed);
		c->unnamed = NULL;
		c->unnamed_long = true;
	}
	replies_sent(&s->replies, 'P', REPLY_CLIENTS, 0);
	return send_rest(c, at, n, total, 0, false);
}

/* What another client left on this server is not this one's: where it has no such statement, neither
 * has the server. */
static const char *
not_ours(Client *c, const char *name)
{
	Worker *w = c->conn.w;
	Server *s = c->server;

	if (name[0])
		return strncmp(name, "copyhold/", 9) == 0 ? "copyhold/none" : NULL;
	if (!c->unnamed_long && replies_sent(&s->replies, 'C', REPLY_OURS, 0)) {
		s->unnamed = 0;
		queue_add(w, &s->conn.out, w->build,
		    wire_put_named(w->build, sizeof w->build, 'C', 'S', ""));
	}
	return NULL;
}

/* The statement that is bound must be on this server.  False: it is refused. */
static bool
bring_statement(Client *c, Statement *st, bool unnamed)
{
	Server *s = c->server;
	uint32_t why = guard_text(c, 0, st->savepoints);

	if (why) {
		refuse_message(c, 'P', why);
		return false;
	}
	if (unnamed ? s->unnamed != st->id : !server_has(s, st))
		send_parse(c, st, unnamed, REPLY_OURS);
	return true;
}

static size_t
take_bind(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	size_t body = (n < total ? n : total) - WIRE_HEAD;
	WireBind b;
	WireLook look = wire_bind(at + WIRE_HEAD, body, &b);
	char room[32];
	const char *name = NULL;

	if (look == WIRE_BAD || (look == WIRE_MORE && n >= total)) {
		client_fatal(c, "08P01", "a Bind message is not well formed", NULL);
		return 0;
	}
	if (look == WIRE_MORE)
		return 0;
	bool unnamed = b.statement[0] == '\0';
	Statement *st = unnamed ? c->unnamed : named(c, b.statement);
	if (s->replies.skipping)
		return send_rest(c, at, n, total, 0, true);
	if (st && !bring_statement(c, st, unnamed))
		return send_rest(c, at, n, total, 0, true);
	if (st && !unnamed)
		name = statement_name(st, room);
	else if (!st)
		name = not_ours(c, b.statement);
	bool drop = !replies_sent(&s->replies, 'B', REPLY_CLIENTS, 0);
	if (!name)
		return send_rest(c, at, n, total, 0, drop);
	if (!drop)
		queue_add(w, &s->conn.out, w->build,
		    wire_put_bind_head(
			w->build, sizeof w->build, b.portal, name, total - WIRE_HEAD - b.used));
	return send_rest(c, at, n, total, WIRE_HEAD + b.used, drop);
}

static void
close_named(Client *c, const char *name)
{
	Server *s = c->server;

	if (!s->replies.skipping)
		drop_name(c, name);
	replies_sent(&s->replies, 'C', REPLY_MADE, 0);
	server_made(s);
}

static size_t
take_named(Client *c, char type, const unsigned char *at, size_t n, size_t total)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	WireName name;
	char room[32];
	const char *there = NULL;

	if (n < total)
		return 0;
	if (!wire_describe(at + WIRE_HEAD, total - WIRE_HEAD, &name)) {
		client_fatal(c, "08P01", "a Describe or Close message is not well formed", NULL);
		return 0;
	}
	bool unnamed = name.name[0] == '\0';
	Statement *st = name.kind != 'S' ? NULL : unnamed ? c->unnamed : named(c, name.name);
	if (type == 'C' && name.kind == 'S' && !unnamed) {
		close_named(c, name.name);
		return total;
	}
	if (s->replies.skipping)
		return total;
	if (type == 'C' && name.kind == 'S') {
		s->unnamed = 0;
		statement_drop(w, c->unnamed);
		c->unnamed = NULL;
		c->unnamed_long = false;
	}
	if (type == 'D' && st && !bring_statement(c, st, unnamed))
		return total;
	if (st && !unnamed)
		there = statement_name(st, room);
	else if (type == 'D' && name.kind == 'S' && !st)
		there = not_ours(c, name.name);
	if (!replies_sent(&s->replies, type, REPLY_CLIENTS, 0))
		return total;
	if (there)
		queue_add(w, &s->conn.out, w->build,
		    wire_put_named(w->build, sizeof w->build, type, 'S', there));
	else
		send_as_is(c, at, total);
	return total;
}

/* --- queries -------------------------------------------------------------------------------------- */

/* DEALLOCATE of what was prepared by the protocol: the server knows it by another name. */
static bool
deallocate(Client *c, const Words *words)
{
	Worker *w = c->conn.w;
	Server *s = c->server;

	if (words->found != WORD_DEALLOCATE || words->statements != 1 || !words->name[0] ||
	    !named(c, words->name) || !replies_quiet(&s->replies) || s->tx == 'E')
		return false;
	drop_name(c, words->name);
	say(c, wire_put_tag(w->build, sizeof w->build, "DEALLOCATE"));
	say(c, wire_put_ready(w->build, sizeof w->build, s->tx));
	return true;
}

static void
query_sent(Client *c)
{
	c->server->unnamed = 0;
	statement_drop(c->conn.w, c->unnamed);
	c->unnamed = NULL;
	c->unnamed_long = false;
	c->conn.w->stats.queries++;
}

static size_t
query_whole(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	const char *sql;
	size_t sql_n;
	Words words;
	uint32_t why;

	if (n < total)
		return 0;
	if (!wire_query(at + WIRE_HEAD, total - WIRE_HEAD, &sql, &sql_n)) {
		client_fatal(c, "08P01", "a Query message is not well formed", NULL);
		return 0;
	}
	if (s->replies.skipping)
		return total;
	words_start(&words, standard_strings(c));
	words_add(&words, sql, sql_n);
	words_end(&words);
	why = guard_text(c, guard_words(&words), words.deepest);
	if (!why && deallocate(c, &words))
		return total;
	query_sent(c);
	if (why)
		refuse_message(c, 'Q', why);
	else if (replies_sent(&s->replies, 'Q', REPLY_CLIENTS, 0))
		send_as_is(c, at, total);
	return total;
}

/* A long one is looked at while it goes through. */
static size_t
query_stream(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	size_t take = n < total ? n : total;

	query_sent(c);
	bool drop = !replies_sent(&s->replies, 'Q', REPLY_CLIENTS, 0);
	if (!drop) {
		c->words_mem = arena_new(c->conn.w->mem);
		c->words = arena_alloc(c->words_mem, sizeof *c->words);
		words_start(c->words, standard_strings(c));
		words_add(c->words, (const char *)at + WIRE_HEAD, take - WIRE_HEAD);
	}
	return send_rest(c, at, n, total, 0, drop);
}

static size_t
take_query(Client *c, const unsigned char *at, size_t n, size_t total)
{
	const LinkLimits *limits = &c->conn.w->start.limits;
	bool guarded = c->pool->tenant->route.guarded;
	size_t most = guarded ? (size_t)limits->guard_text : QUERY_WHOLE;

	if (total <= most + WIRE_HEAD)
		return query_whole(c, at, n, total);
	if (!guarded)
		return query_stream(c, at, n, total);
	query_sent(c);
	refuse_message(c, 'Q', REFUSE_LONG);
	return send_rest(c, at, n, total, 0, true);
}

static void
stream_ended(Client *c)
{
	words_end(c->words);
	guard_text(c, c->words->found, c->words->deepest);
	arena_free(c->words_mem);
	c->words_mem = NULL;
	c->words = NULL;
}

/* Too much waits to be sent to it: the client is read no further until it has gone. */
static bool
server_takes(Client *c)
{
	Server *s = c->server;

	if (s->conn.out.n <= QUEUE_HIGH)
		return true;
	server_gave(s);
	if (c->server != s)
		return false;
	c->conn.deaf = s->conn.out.n > QUEUE_LOW;
	return !c->conn.deaf;
}

static size_t
take_pass(Client *c, const unsigned char *at, size_t n)
{
	size_t take = n < c->conn.pass ? n : c->conn.pass;

	if (!c->conn.drop && c->server && !server_takes(c))
		return 0;
	if (c->words)
		words_add(c->words, (const char *)at, take);
	if (!c->conn.drop && c->server)
		send_as_is(c, at, take);
	c->conn.pass -= (uint32_t)take;
	if (c->conn.pass == 0 && c->words)
		stream_ended(c);
	return take;
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

static size_t
to_server(Client *c, char type, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	bool drop;

	switch (type) {
	case 'F':
		if (!c->pool->tenant->route.guarded)
			break;
		refuse_message(c, 'Q', REFUSE_HIDDEN); /* whose answer ends by Z, too */
		return send_rest(c, at, n, total, 0, true);
	case 'Q':
		return take_query(c, at, n, total);
	case 'P':
		return total <= STATEMENT_TEXT ? take_parse(c, at, n, total)
					       : stream_parse(c, at, n, total);
	case 'B':
		return take_bind(c, at, n, total);
	case 'D':
	case 'C':
		if (total <= WIRE_BIND_NAMES)
			return take_named(c, type, at, n, total);
		client_fatal(c, "08P01", "a Describe or Close message is not well formed", NULL);
		return 0;
	default:
		break;
	}
	if (type == 'E')
		c->conn.w->stats.queries++;
	drop = !replies_sent(&s->replies, type, REPLY_CLIENTS, 0) && strchr("EFS", type) != NULL;
	return send_rest(c, at, n, total, 0, drop);
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
	if (!room_for_reply(c) || !server_takes(c))
		return 0;
	if (c->server->cancels > 0) { /* what is sent now must not be hit by it */
		c->conn.deaf = true;
		return 0;
	}
	return to_server(c, h.type, at, n, total);
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

	if (c->state == CLIENT_TLS)
		tls_step(c);
	else if (c->waits && events & LOOP_READ)
		heard_waiting(c);
	else if (events & LOOP_READ || (can_take(c) && stream_has_more(&c->conn.io)))
		readable(c);
	else
		client_sent(c);
	worker_settle(w);
}

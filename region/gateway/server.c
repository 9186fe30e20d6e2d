#include <string.h>

#include "region/gateway/worker_intern.h"

/* A message that is read as a whole; a longer error is passed on unread. */
#define WHOLE_MAX 65536

Server *
server_new(Pool *p, Client *own)
{
	Worker *w = p->w;
	Server *s = w->spare_servers;

	if (s)
		w->spare_servers = s->next;
	else
		s = arena_alloc(w->mem, sizeof *s);
	memset(s, 0, sizeof *s);
	s->conn.w = w;
	s->conn.io.fd = -1;
	s->pool = p;
	s->own = own != NULL;
	s->wanted_by = own ? own->serial : 0;
	s->cluster = p->tenant->route.cluster;
	s->route_id = p->tenant->route.id;
	s->epoch = p->tenant->route.epoch;
	s->since_ms = worker_now(w);
	s->mem = arena_new(w->mem);
	s->next = p->servers;
	if (p->servers)
		p->servers->prev = s;
	p->servers = s;
	p->nservers++;
	p->ndialing++;
	p->tenant->nservers++;
	replies_init(&s->replies, arena_alloc(s->mem, 16 * sizeof(Owed)), 16);
	return s;
}

/* What the pool knows of it goes at the end of the turn: whoever walks the list may close it. */
void
server_close(Server *s, const char *why)
{
	Worker *w = s->conn.w;
	Client *c = s->client;

	if (s->state == SERVER_DEAD)
		return;
	if (s->state == SERVER_DIAL)
		s->pool->ndialing--;
	pool_gone(s);
	cancels_forget(s);
	s->state = SERVER_DEAD;
	s->client = NULL;
	dial_free(s);
	if (s->conn.io.fd >= 0 && s->conn.out.n == 0) {
		size_t n = wire_put_empty(w->build, sizeof w->build, 'X');
		stream_write(&s->conn.io, w->build, n);
	}
	conn_close(&s->conn);
	s->lru_next = w->dead_servers; /* not idle any more: the links are free */
	w->dead_servers = s;
	if (c) {
		c->server = NULL;
		if (why)
			client_fatal(c, "08006", why, NULL);
	}
}

void
servers_bury(Worker *w)
{
	while (w->dead_servers) {
		Server *s = w->dead_servers;
		Pool *p = s->pool;
		w->dead_servers = s->lru_next;
		*(s->prev ? &s->prev->next : &p->servers) = s->next;
		if (s->next)
			s->next->prev = s->prev;
		p->nservers--;
		p->tenant->nservers--;
		arena_free(s->mem);
		s->next = w->spare_servers;
		w->spare_servers = s;
		pool_serve(p); /* which lets go of a tenant that nobody needs */
	}
}

/* --- what we say ------------------------------------------------------------------ */

static void
busy(Server *s)
{
	if (s->busy_ms == 0) {
		s->busy_ms = worker_now(s->conn.w);
		s->answer_bytes = 0;
	}
	s->quiet_tx_ms = 0;
}

void
server_say(Server *s, const char *sql)
{
	Worker *w = s->conn.w;
	size_t n = wire_put_query(w->build, sizeof w->build, sql);

	s->unnamed = 0;
	if (replies_sent(&s->replies, 'Q', REPLY_OURS, 0))
		queue_add(w, &s->conn.out, w->build, n);
	busy(s);
}

void
server_gave(Server *s)
{
	if (s->state == SERVER_DEAD)
		return;
	if (!replies_quiet(&s->replies))
		busy(s);
	if (!conn_flush(&s->conn)) {
		server_close(s, "the connection to the database was lost");
		return;
	}
	conn_watch(&s->conn);
}

/* --- what it says ------------------------------------------------------------------ */

/* A Parse that did not happen: neither side has the statement. */
static void
lost(void *ptr, const Owed *o)
{
	Server *s = ptr;

	if (o->asked == 'P' && o->about != 0 && !(o->about & REFUSED)) {
		uint64_t id = o->about & ~UNNAMED;
		if (o->whose != REPLY_MADE && id == o->about) /* else it is there since before */
			server_lost(s, id);
		if (o->whose != REPLY_OURS && s->client)
			names_lost(s->client, id);
	}
	if (o->asked == 'P')
		s->unnamed = 0;
	if (o->asked == 'C' && o->whose == REPLY_OURS && o->about != 0)
		server_still_has(s, o->about);
	if (o->asked == 'C' && o->whose == REPLY_MADE && s->client)
		names_lost(s->client, o->about);
}

void
server_made(Server *s)
{
	Worker *w = s->conn.w;
	Owed o;

	while (replies_made(&s->replies, &o))
		if (s->client) {
			size_t n = wire_put_empty(
			    w->build, sizeof w->build, o.asked == 'P' ? '1' : '3');
			names_done(s->client, o.about);
			queue_add(w, &s->client->conn.out, w->build, n);
		}
}

static const Owed *
head(const Server *s)
{
	const Replies *q = &s->replies;

	return q->n ? &q->at[q->first] : NULL;
}

bool
server_answers_us(const Server *s)
{
	const Owed *first = head(s);

	return first && first->whose == REPLY_OURS && first->asked == 'Q';
}

/* A cancel request that came while it did what is ours. */
static void
cancel_now(Server *s)
{
	s->cancel_later = false;
	if (s->client && s->busy_ms > 0)
		cancel_send(s);
}

static void
pass(Server *s, const unsigned char *at, size_t n)
{
	if (s->client)
		queue_add(s->conn.w, &s->client->conn.out, at, n);
}

/* ParameterStatus: kept for the client, wherever it will be. */
static void
took_setting(Server *s, const unsigned char *at, size_t total, bool ours)
{
	const char *name, *value;
	Client *c = s->client;
	int i;

	if (!wire_setting(at + WIRE_HEAD, total - WIRE_HEAD, &name, &value))
		return;
	i = var_of(name);
	if (i >= 0)
		s->var[i] = worker_text(s->conn.w, value);
	if (!c)
		return;
	if (i < 0) {
		pass(s, at, total);
		return;
	}
	/* after our own SET it is only the server's spelling of what the client asked for */
	if (!ours || c->var[i] != s->var[i])
		pass(s, at, total);
	if (ours && c->start[i] == c->var[i])
		c->start[i] = s->var[i];
	c->var[i] = s->var[i];
}

/* An error in place of the server's own: of the message that we sent so that it fails. */
static bool
refused_instead(Server *s, const Owed *o)
{
	Worker *w = s->conn.w;
	uint64_t why = s->refused;
	size_t n;

	if (o && o->about & REFUSED)
		why = o->about & ~REFUSED;
	if (why == 0 || why >= REFUSALS || !s->client)
		return false;
	s->refused = 0;
	w->stats.refused++;
	n = wire_put_error(
	    w->build, sizeof w->build, "ERROR", refusals[why].sqlstate, refusals[why].text, NULL);
	queue_add(w, &s->client->conn.out, w->build, n);
	return true;
}

/* The client loses nothing with this connection. */
static bool
nothing_open(const Server *s)
{
	const Client *c = s->client;

	return c && s->tx == 'I' && replies_quiet(&s->replies) && !client_pinned(c) &&
	    c->conn.pass == 0;
}

static void
took_error(Server *s, const unsigned char *at, size_t total, const Owed *o, bool ours)
{
	WireError e;
	Client *c = s->client;

	if (!wire_error_read(at + WIRE_HEAD, total - WIRE_HEAD, &e)) {
		server_close(s, "the database server broke the protocol");
		return;
	}
	if (ours && c && s->state == SERVER_LINKED && (!o || o->asked == 'Q')) {
		/* a setting that the client asked for */
		client_fatal(c, e.sqlstate[0] ? e.sqlstate : "22023", e.message, NULL);
		server_close(s, NULL);
		return;
	}
	if (ours && (s->state == SERVER_RESET || !c)) {
		server_close(s, NULL);
		return;
	}
	if (c)
		c->reset = false; /* what failed was taken back */
	if (!refused_instead(s, o))
		pass(s, at, total);
}

/* Everything that was asked is answered and no transaction is open. */
void
server_between(Server *s)
{
	Client *c = s->client;
	const Tenancy *t = s->pool->tenant;

	if (s->cancels > 0 || (c && c->conn.pass > 0))
		return;
	if (!c || s->state == SERVER_RESET) {
		s->state = SERVER_RESET;
		pool_unlink(s);
		return;
	}
	if (c->state == CLIENT_WELCOME) {
		client_ready(c);
		if (s->state == SERVER_DEAD || s->client != c)
			return;
	}
	bool stay = client_pinned(c) ||
	    (t->route.pool == POOL_SESSION && gate_open(s->conn.w, t) &&
		s->epoch == t->route.epoch && s->cluster == t->route.cluster);
	if (stay)
		return;
	s->dirty = s->dirty || t->route.pool == POOL_SESSION;
	client_told(c);
	if (s->client == c)
		pool_unlink(s);
}

static void
took_ready(Server *s, const unsigned char *at, size_t total, bool ours)
{
	char status;

	if (!wire_status(at + WIRE_HEAD, total - WIRE_HEAD, &status)) {
		server_close(s, "the database server broke the protocol");
		return;
	}
	s->tx = status;
	if (!ours && s->client)
		settings_restore(s);
	if (!ours)
		pass(s, at, total);
	s->conn.w->stats.transactions += status == 'I';
	if (s->client && status == 'I')
		s->client->savepoints = 0;
	s->answer_bytes = 0;
	if (!replies_quiet(&s->replies)) {
		s->busy_ms = worker_now(s->conn.w); /* what was asked next begins now */
		if (s->cancel_later && !server_answers_us(s))
			cancel_now(s);
		return;
	}
	s->cancel_later = false;
	s->refused = 0;
	if (s->client)
		s->client->savepoints_sent = 0;
	s->busy_ms = 0;
	s->quiet_tx_ms = status == 'I' ? 0 : worker_now(s->conn.w);
	if (status == 'I')
		server_between(s);
}

static void
took_tag(Server *s, const unsigned char *at, size_t total, bool ours)
{
	const char *tag;

	if (!wire_tag(at + WIRE_HEAD, total - WIRE_HEAD, &tag))
		return;
	if (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0)
		server_forget_all(s, s->state != SERVER_RESET);
	if (!ours || !s->client)
		settings_tag(s, tag);
	if (s->client && !ours)
		guard_tag(s->client, tag);
}

static void
took_whole(Server *s, char type, const unsigned char *at, size_t total, const Owed *o, bool swallow)
{
	bool ours = swallow;

	switch (type) {
	case 'S':
		took_setting(s, at, total, ours);
		return;
	case 'E':
		took_error(s, at, total, o, ours);
		return;
	case 'Z':
		took_ready(s, at, total, ours);
		return;
	case 'C':
		took_tag(s, at, total, ours);
		break;
	case '1':
		if (s->client && o && o->about != 0 && !ours)
			names_done(s->client, o->about & ~UNNAMED);
		break;
	default:
		break;
	}
	if (!swallow && s->state != SERVER_DEAD)
		pass(s, at, total);
}

static bool
is_read_whole(char type)
{
	return type == 'C' || type == 'Z' || type == 'E' || type == 'S' || type == '1';
}

/* One message, or a piece of one: how many bytes of it were used; 0: more must come. */
static size_t
step(Server *s, const unsigned char *at, size_t n)
{
	WireHead h;
	size_t total;

	if (s->conn.pass > 0) {
		size_t take = n < s->conn.pass ? n : s->conn.pass;
		if (!s->conn.drop)
			pass(s, at, take);
		guard_answer(s, take);
		s->conn.pass -= (uint32_t)take;
		return take;
	}
	WireLook look = wire_head(at, n, &h);
	if (look == WIRE_MORE)
		return 0;
	if (look == WIRE_BAD || !wire_from_server(h.type)) {
		server_close(s, "the database server broke the protocol");
		return 0;
	}
	total = WIRE_HEAD + (size_t)h.body;
	bool whole = is_read_whole(h.type) && h.body <= WHOLE_MAX;
	if (whole && n < total)
		return 0;
	const Owed *first = head(s);
	Owed before = first ? *first : (Owed){ 0 };
	bool had = first != NULL, mine = had && first->whose == REPLY_OURS;
	/* it ends, and the client, if it has one, need not know */
	if (h.type == 'E' && (nothing_open(s) || s->state == SERVER_IDLE)) {
		server_close(s, NULL);
		return 0;
	}
	ReplyTaken t = replies_came(&s->replies, h.type, lost, s);
	if (t.todo == REPLY_VIOLATION) {
		server_close(s, "the database server sent what nobody asked for");
		return 0;
	}
	bool swallow = t.todo == REPLY_SWALLOW || (mine && h.type == 'S');
	if (whole) {
		took_whole(s, h.type, at, total, had ? &before : NULL, swallow);
		if (s->state != SERVER_DEAD)
			server_made(s);
		return total;
	}
	size_t take = n < total ? n : total;
	if (!swallow)
		pass(s, at, take);
	guard_answer(s, take);
	s->conn.pass = (uint32_t)(total - take);
	s->conn.drop = swallow;
	server_made(s);
	return take;
}

static void
take(Server *s, unsigned char *at, size_t n)
{
	size_t used = 0;
	Client *told = s->client;

	while (used < n && s->state != SERVER_DEAD) {
		size_t k = step(s, at + used, n - used);
		if (k == 0)
			break;
		used += k;
	}
	if (s->state != SERVER_DEAD)
		conn_keep(&s->conn, at + used, n - used);
	if (told)
		client_told(told);
	if (told && told->server != s)
		client_listens(told);
	if (s->state == SERVER_DEAD)
		return;
	if (s->client) {
		Client *c = s->client;
		if (s->state != SERVER_DEAD && s->client == c && c->conn.deaf && !c->waits &&
		    !replies_full(&s->replies))
			client_go_on(c);
	}
	if (s->state != SERVER_DEAD && s->conn.out.n > 0)
		server_gave(s);
}

/* The other end is gone.  A client that has nothing open goes on with another connection. */
static void
server_ended(Server *s)
{
	Client *c = s->client;

	server_close(s, nothing_open(s) ? NULL : "the connection to the database was lost");
	if (c && c->conn.deaf && !c->waits) /* it was held up by this connection */
		client_go_on(c);
}

static void
readable(Server *s)
{
	unsigned char *at;
	size_t n;

	do {
		ssize_t got = conn_read(&s->conn, &at, &n);
		if (got == STREAM_AGAIN)
			return;
		if (got <= 0) {
			server_ended(s);
			return;
		}
		s->conn.w->stats.bytes_out += got;
		take(s, at, n);
	} while (s->state != SERVER_DEAD && !s->conn.deaf && stream_has_more(&s->conn.io));
}

void
server_event(void *ptr, int events)
{
	Server *s = ptr;
	Worker *w = s->conn.w;

	if (s->state == SERVER_DIAL) {
		dial_event(s, events);
	} else if (events & LOOP_READ) {
		readable(s);
	} else {
		Client *c = s->client;
		server_gave(s);
		if (s->state != SERVER_DEAD && !s->conn.deaf && stream_has_more(&s->conn.io))
			readable(s);
		if (s->state != SERVER_DEAD && c && c->conn.deaf && !c->waits &&
		    s->conn.out.n < QUEUE_LOW)
			client_go_on(c);
	}
	worker_settle(w);
}

void
server_dialed(Server *s)
{
	s->pool->ndialing--;
	dial_free(s);
	s->state = SERVER_RESET; /* nobody's yet */
	s->tx = 'I';
	s->born_ms = s->since_ms = worker_now(s->conn.w);
	conn_watch(&s->conn);
	pool_dialed(s);
}

void
server_dial_failed(Server *s, const char *sqlstate, const char *why)
{
	Pool *p = s->pool;

	pool_dial_failed(p, sqlstate, why);
	server_close(s, NULL);
}

#define RESET_MS 5000

void
server_tick(Server *s, int64_t now)
{
	switch (s->state) {
	case SERVER_DIAL:
		if (now - s->since_ms > s->conn.w->start.limits.connect_ms)
			server_dial_failed(s, "08006", "it did not answer in time");
		break;
	case SERVER_RESET:
		if (now - s->since_ms > RESET_MS)
			server_close(s, NULL);
		break;
	case SERVER_LINKED:
		guard_tick(s, now);
		break;
	case SERVER_IDLE:
	case SERVER_DEAD:
		break;
	}
}

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "region/gateway/proof.h"
#include "region/gateway/worker_intern.h"

typedef enum DialState {
	DIAL_RESOLVE,
	DIAL_CONNECT,
	DIAL_SSL, /* waits for S or N */
	DIAL_TLS,
	DIAL_LOGIN, /* up to AuthenticationOk */
	DIAL_KEYS,  /* waits for the master */
	DIAL_WELCOME,
	DIAL_READY /* it waits for queries; what it said with that is looked at */
} DialState;

struct ServerDial {
	Arena *mem;
	DialState state;
	Resolve *resolve;
	struct sockaddr_storage address[LOOP_ADDRESSES];
	int addresses, tried;
	ProofOut proof;
	StartupParam seen[32];
	size_t nseen;
};

static void try_next(Server *s);
static void start_login(Server *s);
static void take(Server *s, unsigned char *at, size_t n);

void
dial_free(Server *s)
{
	if (!s->dial)
		return;
	loop_resolve_stop(s->dial->resolve);
	worker_forget(s->conn.w, s);
	scram_wipe(&s->dial->proof, sizeof s->dial->proof);
	arena_free(s->dial->mem);
	s->dial = NULL;
}

static const WorkerCluster *
cluster_of(const Server *s)
{
	return &s->conn.w->clusters[s->cluster];
}

static void
lost(Server *s, const char *why)
{
	server_dial_failed(s, "08006", why);
}

/* --- the socket --------------------------------------------------------------------- */

static bool
unix_address(const char *host, int port, struct sockaddr_storage *out)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n = snprintf(un.sun_path, sizeof un.sun_path, "%s/.s.PGSQL.%d", host, port);

	if (n < 0 || (size_t)n >= sizeof un.sun_path)
		return false;
	memcpy(out, &un, sizeof un);
	return true;
}

static bool
literal_address(const char *host, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
		memcpy(out, &in, sizeof in);
	else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
		memcpy(out, &in6, sizeof in6);
	else
		return false;
	return true;
}

static void
resolved(void *ptr, const struct sockaddr_storage *at, int n)
{
	Server *s = ptr;
	Worker *w = s->conn.w;
	ServerDial *d = s->dial;

	d->resolve = NULL;
	d->addresses = n;
	if (n > 0)
		memcpy(d->address, at, (size_t)n * sizeof *at);
	try_next(s);
	worker_settle(w);
}

static socklen_t
address_size(const struct sockaddr_storage *a)
{
	switch (a->ss_family) {
	case AF_UNIX:
		return sizeof(struct sockaddr_un);
	case AF_INET:
		return sizeof(struct sockaddr_in);
	default:
		return sizeof(struct sockaddr_in6);
	}
}

static int
start_connect(const struct sockaddr_storage *a)
{
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (a->ss_family != AF_UNIX)
		stream_watchful(fd);
	if (connect(fd, (const struct sockaddr *)a, address_size(a)) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

static void
close_socket(Server *s)
{
	Worker *w = s->conn.w;

	conn_close(&s->conn);
	s->conn = (Conn){ .w = w, .io.fd = -1 };
}

static void
try_next(Server *s)
{
	ServerDial *d = s->dial;
	Worker *w = s->conn.w;

	close_socket(s);
	while (d->tried < d->addresses) {
		int fd = start_connect(&d->address[d->tried++]);
		if (fd < 0)
			continue;
		d->state = DIAL_CONNECT;
		conn_open(&s->conn, w, fd, server_event, s);
		watch_for(s->conn.watch, LOOP_WRITE);
		return;
	}
	lost(s, d->addresses ? "nobody answers at its address" : "its host has no address");
}

void
server_dial(Server *s)
{
	Arena *mem = arena_new(s->conn.w->mem);
	ServerDial *d = arena_alloc(mem, sizeof *d);
	const RouteCluster *c = &cluster_of(s)->c;

	d->mem = mem;
	s->dial = d;
	if (!c->host || cluster_of(s)->why) {
		lost(s, c->host ? cluster_of(s)->why : "its cluster is not known yet");
		return;
	}
	if (c->host[0] == '/' ? unix_address(c->host, c->port, d->address)
			      : literal_address(c->host, c->port, d->address)) {
		d->addresses = 1;
		try_next(s);
		return;
	}
	d->state = DIAL_RESOLVE;
	d->resolve = loop_resolve(s->conn.w->loop, c->host, c->port, resolved, s);
	if (!d->resolve)
		lost(s, "no name server can be asked for its host");
}

/* --- TLS ------------------------------------------------------------------------------ */

static bool
wants_tls(const Server *s)
{
	const RouteCluster *c = &cluster_of(s)->c;

	return c->host[0] != '/' && strcmp(c->sslmode, "disable") != 0 && cluster_of(s)->tls;
}

static bool
demands_tls(const Server *s)
{
	const RouteCluster *c = &cluster_of(s)->c;

	return c->host[0] != '/' && strcmp(c->sslmode, "disable") != 0 &&
	    strcmp(c->sslmode, "prefer") != 0 && strcmp(c->sslmode, "allow") != 0;
}

static void
connected(Server *s)
{
	Worker *w = s->conn.w;
	int err = 0;
	socklen_t n = sizeof err;

	if (getsockopt(s->conn.io.fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0 || err != 0) {
		try_next(s);
		return;
	}
	if (!wants_tls(s)) {
		start_login(s);
		return;
	}
	s->dial->state = DIAL_SSL;
	queue_add(w, &s->conn.out, w->build, wire_put_ssl_request(w->build, sizeof w->build));
	server_gave(s);
}

static void
handshake(Server *s)
{
	switch (stream_handshake(&s->conn.io)) {
	case STREAM_AGAIN:
		watch_for(s->conn.watch, s->conn.io.wants);
		return;
	case STREAM_BROKEN:
		lost(s,
		    arena_printf(s->dial->mem, "TLS with it failed: %s",
			stream_why(&s->conn.io, s->dial->mem)));
		return;
	default:
		start_login(s);
	}
}

/* The one byte that answers SSLRequest; whatever is sent in clear after it is an attack. */
static void
ssl_answer(Server *s)
{
	char answer[2];
	ssize_t n = stream_read(&s->conn.io, answer, sizeof answer);

	if (n == STREAM_AGAIN)
		return;
	if (n != 1 || (answer[0] != 'S' && answer[0] != 'N')) {
		lost(s, "it does not speak the protocol");
	} else if (answer[0] == 'S') {
		s->dial->state = DIAL_TLS;
		if (stream_start_client(&s->conn.io, cluster_of(s)->tls, cluster_of(s)->c.host))
			handshake(s);
		else
			lost(s, "TLS with it could not be started");
	} else if (demands_tls(s)) {
		lost(s, "it offers no TLS, and its cluster demands it");
	} else {
		start_login(s);
	}
}

/* --- login ------------------------------------------------------------------------------- */

static void
start_login(Server *s)
{
	Worker *w = s->conn.w;
	const Pool *p = s->pool;
	StartupParam param[ENTRY_SETTINGS + 2] = { { "user", p->role },
		{ "database", p->tenant->route.dbname } };
	size_t n = 2, size;

	/* the client waits in the pool, else the connection would be closed by now */
	for (const Client *c = p->first; s->own && c; c = c->next)
		if (c->serial == s->wanted_by)
			for (size_t i = 0; i < c->nown; i++)
				param[n++] = c->own[i];
	s->dial->state = DIAL_LOGIN;
	size = wire_put_startup(w->build, sizeof w->build, param, n);
	if (size == 0) {
		lost(s, "the settings are too long");
		return;
	}
	queue_add(w, &s->conn.out, w->build, size);
	server_gave(s);
}

/* It is who it should be although it asks for no proof. */
static bool
trusted(const Server *s)
{
	const RouteCluster *c = &cluster_of(s)->c;

	return c->host[0] == '/' || (s->conn.io.tls && strncmp(c->sslmode, "verify-", 7) == 0);
}

static void have_keys(void *ptr, LinkType type, const void *body, size_t n);

static void
ask_keys(Server *s)
{
	const ScramClient *scram = &s->dial->proof.scram;
	LinkWantKeys want = { 0 };

	memcpy(want.tenant, s->pool->tenant->route.tenant, sizeof s->pool->tenant->route.tenant);
	memcpy(want.user, s->pool->user, sizeof want.user);
	memcpy(want.salt, scram->salt, scram->salt_n);
	want.salt_n = (uint32_t)scram->salt_n;
	want.iterations = scram->iterations;
	s->dial->state = DIAL_KEYS;
	s->conn.deaf = true;
	conn_watch(&s->conn);
	if (worker_ask(s->conn.w, LINK_ASK_KEYS, &want, sizeof want, have_keys, s) == 0)
		lost(s, "the gateway's master does not answer");
}

static void
proceed(Server *s, ProofDo what, size_t n)
{
	ServerDial *d = s->dial;

	switch (what) {
	case PROOF_WAIT:
		return;
	case PROOF_SEND:
		queue_add(s->conn.w, &s->conn.out, s->conn.w->build, n);
		server_gave(s);
		return;
	case PROOF_WANT_KEYS:
		ask_keys(s);
		return;
	case PROOF_DONE:
		d->state = DIAL_WELCOME;
		return;
	case PROOF_REFUSE:
		server_dial_failed(s, d->proof.sqlstate, d->proof.why);
		return;
	}
}

static void
have_keys(void *ptr, LinkType type, const void *body, size_t n)
{
	Server *s = ptr;
	Worker *w = s->conn.w;
	const LinkKeys *keys = body;
	size_t len = 0;

	(void)type;
	if (!body || n != sizeof *keys || keys->later) {
		lost(s, "its login keys cannot be had now");
		return;
	}
	if (!keys->found) {
		server_dial_failed(s, "28000", "there are no keys for its role");
		return;
	}
	s->dial->state = DIAL_LOGIN;
	s->conn.deaf = false;
	ProofDo what = proof_out_keys(
	    &s->dial->proof, &keys->keys, w->build, sizeof w->build, &len);
	proceed(s, what, len);
	if (s->state == SERVER_DIAL && s->conn.kept_n > 0) { /* said too early, as a rule */
		size_t kept = s->conn.kept_n;
		s->conn.kept_n = 0;
		take(s, s->conn.kept, kept);
	}
}

static void
authentication(Server *s, const unsigned char *body, size_t n)
{
	Worker *w = s->conn.w;
	size_t len = 0;

	ProofDo what = proof_out_message(
	    &s->dial->proof, body, n, trusted(s), w->build, sizeof w->build, &len);
	proceed(s, what, len);
}

/* --- the rest of the welcome ---------------------------------------------------------------- */

static void
setting(Server *s, const unsigned char *body, size_t n)
{
	ServerDial *d = s->dial;
	const char *name, *value;
	int i;

	if (!wire_setting(body, n, &name, &value) || d->nseen == 32)
		return;
	i = var_of(name);
	if (i >= 0)
		s->var[i] = worker_text(s->conn.w, value);
	d->seen[d->nseen++] = (StartupParam){ arena_dup(d->mem, name), arena_dup(d->mem, value) };
}

static StartupParam *
copy_welcome(Arena *mem, const StartupParam *from, size_t n, const char *role)
{
	StartupParam *to = arena_alloc(mem, (n + 1) * sizeof *to);

	for (size_t i = 0; i < n; i++) {
		bool who = strcmp(from[i].name, "session_authorization") == 0;
		to[i] = (StartupParam){ arena_dup(mem, from[i].name),
			arena_dup(mem, who ? role : from[i].value) };
	}
	return to;
}

/* What clients of this pool are told at login: as the newest server says.  The cluster's is for what is the
 * server's own, and for no role's settings: settings.c. */
static void
keep_welcome(Server *s)
{
	Worker *w = s->conn.w;
	Pool *p = s->pool;
	ServerDial *d = s->dial;
	WorkerCluster *c = &w->clusters[s->cluster];

	if (s->own) { /* as its settings at start have made it: nobody else's */
		s->welcome = copy_welcome(s->mem, d->seen, d->nseen, p->role);
		s->nwelcome = d->nseen;
		return;
	}
	arena_free(p->welcome_mem);
	p->welcome_mem = arena_new(w->mem);
	p->welcome = copy_welcome(p->welcome_mem, d->seen, d->nseen, p->role);
	p->nwelcome = d->nseen;
	if (c->welcome)
		return;
	c->welcome_mem = arena_new(w->mem);
	c->welcome = copy_welcome(c->welcome_mem, d->seen, d->nseen, p->role);
	c->nwelcome = d->nseen;
}

static void
failed(Server *s, const unsigned char *body, size_t n)
{
	WireError e;
	bool read = wire_error_read(body, n, &e);

	server_dial_failed(s, read && e.sqlstate[0] ? e.sqlstate : "08006",
	    read && e.message[0] ? arena_dup(s->dial->mem, e.message) : "it refused the login");
}

static void
message(Server *s, char type, const unsigned char *body, size_t n)
{
	const unsigned char *key;
	char status;

	if (type == 'E') {
		failed(s, body, n);
	} else if (type == 'N') {
		return;
	} else if (type == 'R' && s->dial->state == DIAL_LOGIN) {
		authentication(s, body, n);
	} else if (type == 'S' && s->dial->state >= DIAL_WELCOME) {
		setting(s, body, n);
	} else if (type == 'K' && s->dial->state == DIAL_WELCOME) {
		size_t key_n;
		if (wire_key(body, n, &s->pid, &key, &key_n) && key_n <= sizeof s->key) {
			memcpy(s->key, key, key_n);
			s->key_n = (uint16_t)key_n;
		}
	} else if (type == 'Z' && s->dial->state == DIAL_WELCOME && wire_status(body, n, &status) &&
	    status == 'I') {
		s->dial->state = DIAL_READY;
	} else {
		lost(s, "it does not speak the protocol");
	}
}

#define LOGIN_MESSAGE_MAX 30000 /* libpq's own limit while logging in */

static void
take(Server *s, unsigned char *at, size_t n)
{
	size_t used = 0;

	while (s->state == SERVER_DIAL && !s->conn.deaf) {
		WireHead h;
		WireLook look = wire_head(at + used, n - used, &h);
		if (look == WIRE_BAD || (look == WIRE_OK && h.body > LOGIN_MESSAGE_MAX)) {
			lost(s, "it does not speak the protocol");
			return;
		}
		if (look == WIRE_MORE || n - used < WIRE_HEAD + (size_t)h.body)
			break;
		message(s, h.type, at + used + WIRE_HEAD, h.body);
		used += WIRE_HEAD + (size_t)h.body;
	}
	if (s->state != SERVER_DIAL)
		return;
	conn_keep(&s->conn, at + used, n - used);
	if (s->dial->state == DIAL_READY) {
		keep_welcome(s);
		server_dialed(s);
	}
}

static void
readable(Server *s)
{
	unsigned char *at;
	size_t n;
	ssize_t got = conn_read(&s->conn, &at, &n);

	if (got == STREAM_AGAIN)
		return;
	if (got <= 0)
		lost(s, "it closed the connection");
	else
		take(s, at, n);
}

void
dial_event(Server *s, int events)
{
	switch (s->dial->state) {
	case DIAL_RESOLVE:
	case DIAL_KEYS:
		return;
	case DIAL_CONNECT:
		connected(s);
		return;
	case DIAL_SSL:
		if (events & LOOP_READ)
			ssl_answer(s);
		else
			server_gave(s);
		return;
	case DIAL_TLS:
		handshake(s);
		return;
	case DIAL_LOGIN:
	case DIAL_WELCOME:
	case DIAL_READY:
		if (events & LOOP_READ)
			readable(s);
		else
			server_gave(s);
		return;
	}
}

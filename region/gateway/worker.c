#include "region/gateway/worker_intern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "region/gateway/confine.h"

#define TICK_MS        50
#define ACCEPTS        64   /* in one turn */
#define QUEUE_SWEEP    4096 /* who has come before the end */
#define TEXTS_BYTES    (1024 * 1024)
#define MASTER_GONE_MS 5000 /* that clients have to end when the master is gone */

const char *const var_names[VARS] = {
	[VAR_ENCODING] = "client_encoding",
	[VAR_DATESTYLE] = "DateStyle",
	[VAR_TIMEZONE] = "TimeZone",
	[VAR_INTERVALSTYLE] = "IntervalStyle",
	[VAR_STRINGS] = "standard_conforming_strings",
	[VAR_APPLICATION] = "application_name",
	[VAR_FLOATS] = "extra_float_digits",
};

int
var_of(const char *name)
{
	for (int i = 0; i < VARS; i++)
		if (strcasecmp(name, var_names[i]) == 0)
			return i;
	return -1;
}

static const char *
text_in(Worker *w, const char *text)
{
	char *kept = text ? map_get(w->texts, text) : NULL;

	if (kept || !text)
		return kept;
	kept = arena_dup(w->texts_mem, text);
	w->texts_bytes += strlen(text) + 1;
	map_set(w->texts, text, kept);
	return kept;
}

static void
vars_in(Worker *w, const char **var)
{
	for (int i = 0; i < VARS; i++)
		var[i] = text_in(w, var[i]);
}

/* Clients choose them, application_name anew each time: those that nobody has any more are let go. */
static void
texts_renew(Worker *w)
{
	Arena *old = w->texts_mem;

	w->texts_mem = arena_new(w->mem);
	w->texts = map_new(w->texts_mem);
	w->texts_bytes = 0;
	for (uint32_t i = 0; i < w->nslots; i++)
		if (w->clients[i]) {
			vars_in(w, w->clients[i]->var);
			vars_in(w, w->clients[i]->start);
		}
	for (const MapItem *i = NULL; (i = map_next(w->tenants, i)) != NULL;)
		for (const Pool *p = ((Tenancy *)i->value)->pools; p; p = p->next)
			for (Server *s = p->servers; s; s = s->next)
				vars_in(w, s->var);
	w->texts_full = 2 * w->texts_bytes + TEXTS_BYTES;
	arena_free(old);
}

const char *
worker_text(Worker *w, const char *text)
{
	const char *kept = map_get(w->texts, text);

	if (kept)
		return kept;
	if (w->texts_bytes > w->texts_full)
		texts_renew(w);
	return text_in(w, text);
}

int64_t
worker_now(const Worker *w)
{
	return loop_now_ms(w->loop);
}

/* --- questions to the master ---------------------------------------------------------- */

struct Asked {
	struct Asked *next;
	uint64_t id;
	AskedFn fn; /* NULL: not wanted any more */
	void *ptr;
	LinkType type;
	size_t n;
	unsigned char body[sizeof(LinkWantKeys)]; /* the largest question */
};

static void
asked_sent(Worker *w, struct Asked *a)
{
	secret_wipe(a->body, sizeof a->body);
	a->next = w->asked;
	w->asked = a;
}

/* In order; what nobody wants any more is not asked. */
static void
ask_unsent(Worker *w)
{
	while (w->unsent) {
		struct Asked *a = w->unsent;
		if (a->fn && !link_send(WORKER_LINK, a->type, a->id, a->body, a->n, -1))
			return;
		w->unsent = a->next;
		if (a->fn) {
			asked_sent(w, a);
			continue;
		}
		a->next = w->spare_asked;
		w->spare_asked = a;
	}
}

uint64_t
worker_ask(Worker *w, LinkType type, const void *body, size_t n, AskedFn fn, void *ptr)
{
	struct Asked *a = w->spare_asked;
	bool sent = !w->unsent && link_send(WORKER_LINK, type, w->last_asked + 1, body, n, -1);

	if (n > sizeof a->body || (!sent && !w->unsent && errno != EAGAIN))
		return 0;
	if (a)
		w->spare_asked = a->next;
	else
		a = arena_alloc(w->mem, sizeof *a);
	*a = (struct Asked){ .id = ++w->last_asked, .fn = fn, .ptr = ptr, .type = type, .n = n };
	if (sent) {
		asked_sent(w, a);
		return a->id;
	}
	memcpy(a->body, body, n);
	*(w->unsent ? &w->unsent_last->next : &w->unsent) = a;
	w->unsent_last = a;
	return a->id;
}

void
worker_forget(Worker *w, void *ptr)
{
	for (struct Asked *a = w->asked; a; a = a->next)
		if (a->ptr == ptr)
			a->fn = NULL;
	for (struct Asked *a = w->unsent; a; a = a->next)
		if (a->ptr == ptr)
			a->fn = NULL;
}

static void
answered(Worker *w, const LinkHead *head, const void *body)
{
	struct Asked **link = &w->asked;

	while (*link && (*link)->id != head->id)
		link = &(*link)->next;
	struct Asked *a = *link;
	if (!a)
		return;
	*link = a->next;
	a->next = w->spare_asked;
	w->spare_asked = a;
	if (a->fn)
		a->fn(a->ptr, (LinkType)head->type, body, head->n);
}

/* --- accepting ---------------------------------------------------------------------------- */

void
worker_peer(int fd, char *out, size_t n, bool *local)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof at;
	char text[INET6_ADDRSTRLEN] = "";

	*local = true;
	snprintf(out, n, "local");
	if (getpeername(fd, (struct sockaddr *)&at, &size) != 0)
		return;
	if (at.ss_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, &at, sizeof in);
		inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
		snprintf(out, n, "%s:%d", text, ntohs(in.sin_port));
		*local = (ntohl(in.sin_addr.s_addr) >> 24) == 127;
	} else if (at.ss_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, &at, sizeof in6);
		inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
		snprintf(out, n, "[%s]:%d", text, ntohs(in6.sin6_port));
		*local = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
	}
}

static void
listen_for(Worker *w, int events)
{
	for (uint32_t i = 0; i < w->start.listeners; i++)
		watch_for(w->listen_watch[i], events);
	w->listening = events != 0;
}

static void
too_many(Worker *w, int fd)
{
	size_t n = wire_put_error(w->build, sizeof w->build, "FATAL", "53300",
	    "the gateway has as many clients as it may", NULL);

	if (send(fd, w->build, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		w->stats.refused++;
	close(fd);
}

/* false: nobody is there, or nobody can be taken now */
static bool
take_one(Worker *w)
{
	int fd = -1;

	for (uint32_t i = 0; i < w->start.listeners && fd < 0; i++)
		fd = accept4(WORKER_LISTEN + (int)i, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	stream_watchful(fd);
	if (w->nfree == 0)
		too_many(w, fd);
	else
		client_new(w, fd);
	return true;
}

static void
on_listen(void *ptr, int events)
{
	Worker *w = ptr;
	int n = 0;

	(void)events;
	while (n < ACCEPTS && take_one(w))
		n++;
	if (n < ACCEPTS &&
	    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		listen_for(w, 0); /* until the next tick */
	worker_settle(w);
}

/* Who stands in the queue is told why; who comes later finds another gateway at the address, or none. */
static void
close_listeners(Worker *w)
{
	if (!w->listen_watch) /* it has not begun */
		return;
	for (int n = 0; w->go && n < QUEUE_SWEEP && take_one(w); n++)
		;
	for (uint32_t i = 0; i < w->start.listeners; i++) {
		watch_free(w->listen_watch[i]);
		close(WORKER_LISTEN + (int)i);
	}
	w->start.listeners = 0;
	w->listening = false;
}

/* --- what the master says -------------------------------------------------------------------- */

static bool
become(const LinkStart *start)
{
	return (!start->drop || confine_drop(start->uid, start->gid)) && confine_rest();
}

static bool
map_counters(Worker *w)
{
	size_t n = link_counters_size(w->start.workers, w->start.routes);
	struct stat st;
	void *at;

	if (fstat(WORKER_COUNTERS, &st) != 0 || (size_t)st.st_size < n)
		return false;
	at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_COUNTERS, 0);
	if (at == MAP_FAILED)
		return false;
	w->counters = at;
	return true;
}

static bool
begin(Worker *w, const void *body, size_t n)
{
	if (n != sizeof w->start || w->counters)
		return false;
	memcpy(&w->start, body, sizeof w->start);
	if (w->start.workers == 0 || w->start.workers > LINK_WORKERS ||
	    w->start.worker >= w->start.workers || w->start.limits.clients <= 0 ||
	    w->start.limits.clients > 0xffffff || !map_counters(w) || !become(&w->start))
		return false;
	w->nslots = (uint32_t)w->start.limits.clients;
	w->clients = arena_alloc(w->mem, w->nslots * sizeof *w->clients);
	w->free_slots = arena_alloc(w->mem, w->nslots * sizeof *w->free_slots);
	for (uint32_t i = 0; i < w->nslots; i++)
		w->free_slots[i] = w->nslots - 1 - i;
	w->nfree = w->nslots;
	w->listen_watch = arena_alloc(w->mem, (w->start.listeners + 1) * sizeof *w->listen_watch);
	for (uint32_t i = 0; i < w->start.listeners; i++) {
		int fd = WORKER_LISTEN + (int)i;
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		w->listen_watch[i] = watch_new(w->loop, fd, on_listen, w);
	}
	return true;
}

static void
ack(Worker *w)
{
	const LinkAck m = { .seq = route_table_seq(w->table) };

	w->unacked = !link_send(WORKER_LINK, LINK_ACK, 0, &m, sizeof m, -1);
}

/* Entries may have changed in any way: every tenant that is here is looked at again. */
static void
look_again(Worker *w)
{
	VEC(const char *) names = { 0 };
	Arena *mem = arena_new(w->mem);

	for (const MapItem *i = NULL; (i = map_next(w->tenants, i)) != NULL;)
		vec_push(mem, &names, arena_dup(mem, i->key));
	for (size_t i = 0; i < names.n; i++)
		tenant_changed(w, names.at[i]);
	arena_free(mem);
}

static bool
snapshot(Worker *w, Ctx *cx, int fd)
{
	bool ok = w->table ? route_table_snapshot(cx, w->table, fd)
			   : route_table_open(&(Ctx){ w->mem, cx->fail }, fd, &w->table);

	if (ok) {
		look_again(w);
		ack(w);
	}
	return ok;
}

static bool
change(Worker *w, Ctx *cx, const void *body, size_t n)
{
	char tenant[ROUTE_TENANT];

	if (!w->table || !route_table_change(cx, w->table, body, n, tenant))
		return false;
	tenant_changed(w, tenant);
	ack(w);
	return true;
}

static bool
cluster(Worker *w, const unsigned char *body, size_t n)
{
	LinkCluster m;
	WorkerCluster *c;
	Arena *mem = arena_new(w->mem);

	if (n < sizeof m || w->nclusters == 0)
		return false;
	memcpy(&m, body, sizeof m);
	if (m.cluster >= LINK_CLUSTERS || n - sizeof m < (size_t)m.ca_n + m.cert_n + m.key_n)
		return false;
	const char *text = (const char *)body + sizeof m;
	const char *ca = m.ca_n ? arena_dupn(mem, text, m.ca_n) : NULL;
	const char *cert = m.cert_n ? arena_dupn(mem, text + m.ca_n, m.cert_n) : NULL;
	char *key = m.key_n ? arena_dupn(mem, text + m.ca_n + m.cert_n, m.key_n) : NULL;
	c = &w->clusters[m.cluster];
	bool moved = c->c.host &&
	    (c->c.port != m.port || strncmp(c->c.host, m.host, sizeof m.host) != 0);
	stream_tls_drop(c->tls);
	arena_free(c->mem);
	arena_free(c->welcome_mem);
	*c = (WorkerCluster){
		.mem = mem,
		.c = { .id = m.cluster,
		    .name = arena_dupn(mem, m.name, strnlen(m.name, sizeof m.name)),
		    .host = arena_dupn(mem, m.host, strnlen(m.host, sizeof m.host)),
		    .port = m.port,
		    .sslmode = arena_dupn(mem, m.sslmode, strnlen(m.sslmode, sizeof m.sslmode)),
		    .cap = m.cap },
	};
	if (m.broken)
		c->why = "a file of its cluster's TLS settings cannot be read";
	else if (strcmp(c->c.sslmode, "disable") != 0) {
		Ctx own = ctx_new(mem);
		if (!stream_tls_client(&own, c->c.sslmode, ca, cert, key, &c->tls))
			c->why = "the TLS settings of its cluster cannot be used";
	}
	if (key)
		secret_wipe(key, m.key_n);
	cluster_changed(w, m.cluster, moved);
	return true;
}

/* Clients that are here keep what they have. */
static bool
certificate(Worker *w, Ctx *cx, const char *body, size_t n)
{
	LinkCert m;
	StreamTls *fresh = NULL;

	if (n < sizeof m)
		return false;
	memcpy(&m, body, sizeof m);
	if (n - sizeof m < (size_t)m.cert_n + m.key_n)
		return false;
	body += sizeof m;
	if (m.cert_n > 0 &&
	    !stream_tls_server(cx, body, m.cert_n, body + m.cert_n, m.key_n, &fresh)) {
		log_say("the certificate cannot be used; the one before stays: %s", cx->fail->what);
		return true;
	}
	stream_tls_drop(w->cert);
	w->cert = fresh;
	return true;
}

static void
lease(Worker *w, const LinkLease *m)
{
	w->lease_until = worker_now(w) + m->span_ms;
	if (!w->lapsed)
		return;
	w->lapsed = false;
	look_again(w);
}

static void
drain(Worker *w, int64_t span_ms)
{
	w->draining = true;
	w->drain_until = worker_now(w) + span_ms;
	close_listeners(w);
}

/* There are places for so many clients as there were at the start. */
static void
renew_limits(Worker *w, const LinkLimits *limits)
{
	int32_t clients = w->start.limits.clients;

	w->start.limits = *limits;
	w->start.limits.clients = clients;
}

static bool
message(Worker *w, Ctx *cx, const LinkHead *h, void *body, int fd)
{
	switch ((LinkType)h->type) {
	case LINK_START:
		return begin(w, body, h->n);
	case LINK_GO:
		w->go = true;
		listen_for(w, w->draining ? 0 : LOOP_READ);
		return true;
	case LINK_SNAPSHOT:
		return snapshot(w, cx, fd);
	case LINK_CHANGE:
		return change(w, cx, body, h->n);
	case LINK_CLUSTER:
		return cluster(w, body, h->n);
	case LINK_CERT:
		return certificate(w, cx, body, h->n);
	case LINK_LEASE:
		lease(w, body);
		return true;
	case LINK_LIMITS:
		renew_limits(w, body);
		return true;
	case LINK_VERIFIER:
	case LINK_KEYS:
		answered(w, h, body);
		return true;
	case LINK_CANCEL:
		cancel_here(w, body);
		return true;
	case LINK_ASK:
		report_answer(w, h->id, body);
		return true;
	case LINK_DRAIN:
		drain(w, ((const LinkDrain *)body)->span_ms);
		return true;
	case LINK_ACK:
	case LINK_ASK_VERIFIER:
	case LINK_ASK_KEYS:
	case LINK_CANCEL_FOR:
	case LINK_ANSWER:
		return false;
	}
	return false;
}

static void
master_gone(Worker *w)
{
	watch_for(w->link_watch, 0);
	if (!w->draining)
		drain(w, MASTER_GONE_MS);
}

static void
on_link(void *ptr, int events)
{
	Worker *w = ptr;
	LinkHead head;
	int fd, got;

	(void)events;
	while ((got = link_receive(WORKER_LINK, &head, w->packet, &fd)) == 1) {
		Ctx own = ctx_new(w->mem);
		bool ok = message(w, &own, &head, w->packet, fd);
		if (!ok)
			log_say("a message of the master could not be used (%u): %s", head.type,
			    own.fail->what ? own.fail->what : "it is malformed");
		secret_wipe(w->packet, head.n);
		arena_free(own.mem);
		if (!ok) {
			got = -1;
			break;
		}
	}
	if (got < 0)
		master_gone(w);
	else
		ask_unsent(w);
	worker_settle(w);
}

/* --- turns ---------------------------------------------------------------------------------- */

void
worker_settle(Worker *w)
{
	while (w->serve || w->dead_servers || w->dead_clients) {
		pools_serve(w);
		servers_bury(w);
		clients_bury(w);
	}
	if (w->draining && w->live == 0)
		loop_stop(w->loop);
}

static void
drain_tick(Worker *w, int64_t now)
{
	for (uint32_t i = 0; i < w->nslots; i++) {
		Client *c = w->clients[i];
		if (!c || c->state == CLIENT_CLOSING || c->state == CLIENT_DEAD)
			continue;
		bool busy = c->server &&
		    (c->server->tx != 'I' || !replies_quiet(&c->server->replies));
		if (now >= w->drain_until || !(busy || c->waits))
			client_fatal(c, "57P01", "the gateway is going down", NULL);
	}
	if (now >= w->drain_until + 1000)
		loop_stop(w->loop);
}

static void
on_tick(void *ptr)
{
	Worker *w = ptr;
	int64_t now = worker_now(w);

	timer_in(w->tick, TICK_MS);
	for (Client *c = w->logging, *next; c; c = next) {
		next = c->next;
		client_swept(c, now);
	}
	if (!w->lapsed && now > w->lease_until)
		w->lapsed = true;
	if (w->counters)
		pools_tick(w, now);
	cancels_tick(w, now);
	ask_unsent(w);
	if (w->unacked)
		ack(w);
	if (w->draining)
		drain_tick(w, now);
	else if (w->go && !w->listening)
		listen_for(w, LOOP_READ);
	worker_settle(w);
}

/* Nothing of this process is to be found on a disk or by a debugger of the same user. */
static void
harden(void)
{
	struct rlimit files;

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN); /* the master says when */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

bool
gateway_worker(Ctx *cx)
{
	Worker *w = arena_alloc(cx->mem, sizeof *w);

	harden();
	w->cx = cx;
	w->mem = cx->mem;
	w->loop = loop_new(cx->mem);
	w->tenants = map_new(cx->mem);
	w->texts_mem = arena_new(cx->mem);
	w->texts = map_new(w->texts_mem);
	w->texts_full = TEXTS_BYTES;
	w->statements = map_new(cx->mem);
	w->scratch = arena_alloc(cx->mem, SCRATCH);
	w->packet = arena_alloc(cx->mem, LINK_MAX);
	w->nclusters = LINK_CLUSTERS;
	w->clusters = arena_alloc(cx->mem, w->nclusters * sizeof *w->clusters);
	w->lapsed = true; /* until the first lease */
	w->link_watch = watch_new(w->loop, WORKER_LINK, on_link, w);
	watch_for(w->link_watch, LOOP_READ);
	w->tick = timer_new(w->loop, on_tick, w);
	timer_in(w->tick, TICK_MS);
	loop_run(w->loop);
	return true;
}

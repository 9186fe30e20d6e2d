/* The master follows the catalogue: routes, clusters, and the files that they name. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/adapters/map.h"
#include "lib/adapters/stream.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "region/gateway/master_intern.h"

#define PEM_MAX       ((size_t)64 << 10)
#define OVERLAY_LEAST 64 /* few routes: a snapshot costs nothing, but neither does this */

typedef struct Told { /* a LINK_CLUSTER packet */
	size_t n;
	unsigned char bytes[];
} Told;

/* --- clusters --------------------------------------------------------------------- */

static bool
put_text(char *out, size_t room, const char *text)
{
	size_t n = strlen(text);

	if (n >= room)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

static size_t
length(const char *text)
{
	return text ? strlen(text) : 0;
}

/* NULL: it cannot be told, and its tenants are not served. */
static Told *
cluster_packet(Arena *mem, const RouteCluster *c)
{
	size_t ca = length(c->ca), cert = length(c->cert), key = length(c->key);
	LinkCluster head;

	memset(&head, 0, sizeof head);
	head.cluster = c->id;
	head.port = c->port;
	head.cap = c->cap;
	head.ca_n = (uint32_t)ca;
	head.cert_n = (uint32_t)cert;
	head.key_n = (uint32_t)key;
	head.broken = c->broken;
	if (!put_text(head.name, sizeof head.name, c->name) ||
	    !put_text(head.host, sizeof head.host, c->host) ||
	    !put_text(head.sslmode, sizeof head.sslmode, c->sslmode) || c->id >= LINK_CLUSTERS ||
	    sizeof head + ca + cert + key > LINK_MAX)
		return NULL;
	Told *t = arena_alloc(mem, sizeof *t + sizeof head + ca + cert + key);
	unsigned char *at = t->bytes;
	memcpy(at, &head, sizeof head);
	at += sizeof head;
	memcpy(at, c->ca ? c->ca : "", ca);
	memcpy(at + ca, c->cert ? c->cert : "", cert);
	memcpy(at + ca + cert, c->key ? c->key : "", key);
	t->n = sizeof head + ca + cert + key;
	return t;
}

static bool
same_packet(const Told *a, const Told *b)
{
	return a && a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static void
wipe_told(void *ptr)
{
	Told *t = ptr;

	secret_wipe(t->bytes, t->n); /* it may hold a client certificate's key */
}

static void
take_cluster(Master *m, Arena *mem, Map *fresh, const RouteCluster *c)
{
	char number[16];
	Told *t = cluster_packet(mem, c);

	if (!t) {
		log_say("cluster \"%s\" has a host, a number or files that are too large for the "
			"gateway: its tenants are not served",
		    c->name);
		return;
	}
	arena_on_free(mem, wipe_told, t);
	(void)snprintf(number, sizeof number, "%u", c->id);
	if (!same_packet(map_get(m->clusters, number), t))
		crew_send_all(m, LINK_CLUSTER, t->bytes, t->n, NULL, 0);
	map_set(fresh, number, t);
}

/* All of them, of which workers are told those that are not as before. */
static bool
look_at_clusters(Ctx *cx, Master *m)
{
	Arena *mem;
	Map *fresh;
	RouteCluster *all;
	size_t n;

	if (!route_clusters(cx, m->home, &all, &n))
		return false;
	mem = arena_new(m->cx->mem);
	fresh = map_new(mem);
	for (size_t i = 0; i < n; i++)
		take_cluster(m, mem, fresh, &all[i]);
	arena_free(m->clusters_mem);
	m->clusters_mem = mem;
	m->clusters = fresh;
	return true;
}

/* --- routes ------------------------------------------------------------------------ */

static bool
new_snapshot(Ctx *cx, Master *m)
{
	GateFigures now = { 0 };
	int64_t seq;
	int fd;

	if (!catalog_gate_figures(cx, m->home, &now) || !route_snapshot(cx, m->home, &fd, &seq))
		return false;
	if (m->table_fd >= 0)
		close(m->table_fd);
	m->table_fd = fd;
	m->table_seq = seq;
	m->seq = seq > m->seq ? seq : m->seq;
	m->overlay = 0;
	m->routes = (size_t)now.routes;
	for (uint32_t i = 0; i < m->ncrew; i++)
		crew_send_fd(&m->crew[i], LINK_SNAPSHOT, NULL, 0, fd);
	return true;
}

static void
tell_deltas(Master *m, const RouteDeltas *d)
{
	for (size_t i = 0; i < d->n; i++)
		crew_send_all(m, LINK_CHANGE, d->at[i].bytes, d->at[i].n, NULL, 0);
	m->overlay += d->n;
	m->seq = d->seq;
}

/* Tenants that changed again count once: the log has the newest change of each. */
static bool
overlay_is_large(Ctx *cx, Master *m, bool *large)
{
	GateChanges since;
	size_t limit = m->routes / 10 < OVERLAY_LEAST ? OVERLAY_LEAST : m->routes / 10;

	*large = false;
	limit = limit > ROUTE_OVERLAY ? ROUTE_OVERLAY : limit;
	if (m->overlay <= limit)
		return true;
	if (!catalog_gate_changes(cx, m->home, m->table_seq, &since))
		return false;
	m->overlay = since.n;
	*large = since.n > limit;
	return true;
}

/* Clusters go first: a route may lead to one that is new. */
static bool
look(Ctx *cx, Master *m)
{
	RouteDeltas d;
	bool large;

	if (!route_changes(cx, m->home, m->seq, &d) || (d.clusters && !look_at_clusters(cx, m)))
		return false;
	if (d.many)
		return new_snapshot(cx, m);
	tell_deltas(m, &d);
	return overlay_is_large(cx, m, &large) && (!large || new_snapshot(cx, m));
}

void
follow_look(Master *m)
{
	Ctx own = ctx_new(m->cx->mem);

	m->behind = !look(&own, m);
	if (m->behind)
		master_trouble(m, own.fail);
	else
		master_well(m);
	arena_free(own.mem);
}

/* A worker that begins is told the snapshot and what came after it. */
void
follow_tell(Crew *w)
{
	Master *m = w->m;
	Ctx own = ctx_new(m->cx->mem);
	RouteDeltas d;

	w->acked = m->table_seq;
	crew_send_fd(w, LINK_SNAPSHOT, NULL, 0, m->table_fd);
	for (const MapItem *it = map_next(m->clusters, NULL); it; it = map_next(m->clusters, it)) {
		const Told *t = it->value;
		crew_send(w, LINK_CLUSTER, 0, t->bytes, t->n, NULL, 0);
	}
	crew_send(w, LINK_CERT, 0, &m->cert, sizeof m->cert, m->cert_text.text, m->cert_text.len);
	if (!route_changes(&own, m->home, m->table_seq, &d))
		master_trouble(m, own.fail);
	else if (d.many && !new_snapshot(&own, m))
		master_trouble(m, own.fail);
	else
		for (size_t i = 0; i < d.n; i++)
			crew_send(w, LINK_CHANGE, 0, d.at[i].bytes, d.at[i].n, NULL, 0);
	arena_free(own.mem);
}

/* What a worker has not said it has is told again: its word may have been lost. */
void
follow_remind(Crew *w)
{
	Master *m = w->m;
	Ctx own = ctx_new(m->cx->mem);
	RouteDeltas d;

	if (crew_on(w) && w->acked < m->seq && route_changes(&own, m->home, w->acked, &d))
		for (size_t i = 0; i < d.n; i++)
			crew_send(w, LINK_CHANGE, 0, d.at[i].bytes, d.at[i].n, NULL, 0);
	arena_free(own.mem);
}

/* --- files ---------------------------------------------------------------------------- */

/* What could not be used for TLS is not handed out: clients keep what they have. */
static bool
read_cert(Ctx *cx, Master *m)
{
	char *cert, *key;
	size_t cert_n, key_n;
	StreamTls *tried;

	if (!m->spec->cert)
		return true;
	if (!file_read(cx, m->spec->cert, PEM_MAX, &cert, &cert_n) ||
	    !file_read_private(cx, m->spec->key, PEM_MAX, &key, &key_n) ||
	    !stream_tls_server(cx, cert, cert_n, key, key_n, &tried))
		return fail_in(cx, "reading the gateway's certificate");
	stream_tls_drop(tried);
	secret_wipe(m->cert_text.text, m->cert_text.len);
	buf_clear(&m->cert_text);
	buf_addn(&m->cert_text, cert, cert_n);
	buf_addn(&m->cert_text, key, key_n);
	secret_wipe(key, key_n);
	m->cert = (LinkCert){ (uint32_t)cert_n, (uint32_t)key_n };
	return true;
}

void
follow_files(Master *m)
{
	Ctx own = ctx_new(m->cx->mem);

	if (read_cert(&own, m)) {
		crew_send_all(
		    m, LINK_CERT, &m->cert, sizeof m->cert, m->cert_text.text, m->cert_text.len);
		if (look_at_clusters(&own, m))
			log_say("certificates were read again");
	}
	if (own.fail->kind)
		log_raw(fail_text(own.mem, own.fail));
	arena_free(own.mem);
}

bool
follow_setup(Ctx *cx, Master *m)
{
	m->table_fd = -1;
	m->cert_text = buf_new(cx->mem);
	m->clusters_mem = arena_new(cx->mem);
	m->clusters = map_new(m->clusters_mem);
	return read_cert(cx, m) && look_at_clusters(cx, m) && new_snapshot(cx, m);
}

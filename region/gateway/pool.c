#include <stdatomic.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "region/gateway/worker_intern.h"

#define RETRY_MS     100
#define RETRY_CAP_MS 5000
#define TURN_MS      50 /* a server connection is its pool's for so long while another pool waits */
#define STEP_BACK_MS 120 /* for so long a worker takes no place after it gave one to another */
#define MOVED        -2  /* as a server's epoch: no route has it */

/* --- tenants and pools ---------------------------------------------------------- */

Tenancy *
tenancy_find(Worker *w, const char *name)
{
	return map_get(w->tenants, name);
}

static Tenancy *
tenancy_for(Worker *w, const Route *r)
{
	Tenancy *t = tenancy_find(w, r->tenant);

	if (!t) {
		Arena *mem = arena_new(w->mem);
		t = arena_alloc(mem, sizeof *t);
		t->mem = mem;
		map_set(w->tenants, r->tenant, t);
	}
	t->route = *r;
	return t;
}

Pool *
pool_for(Worker *w, const Route *r, const RouteLogin *login)
{
	Tenancy *t = tenancy_for(w, r);
	Pool *p = t->pools;

	while (p && (strcmp(p->role, login->role) != 0 || strcmp(p->user, login->user) != 0))
		p = p->next;
	if (p)
		return p;
	p = arena_alloc(t->mem, sizeof *p);
	p->tenant = t;
	p->w = w;
	memcpy(p->user, login->user, sizeof p->user);
	memcpy(p->role, login->role, sizeof p->role);
	p->next = t->pools;
	t->pools = p;
	return p;
}

/* Nobody is left: neither is the tenant. */
static void
tenancy_done(Worker *w, Tenancy *t)
{
	if (t->nclients > 0 || t->nservers > 0 || t->held > 0)
		return;
	for (Pool *p = t->pools; p; p = p->next)
		if (p->in_ring || p->in_serve)
			return;
	for (Pool *p = t->pools; p; p = p->next)
		arena_free(p->welcome_mem);
	map_remove(w->tenants, t->route.tenant);
	arena_free(t->mem);
}

void
pool_join(Pool *p, Client *c)
{
	Tenancy *t = p->tenant;

	c->pool = p;
	p->nclients++;
	t->nclients++;
	c->tenant_prev = NULL;
	c->tenant_next = t->clients;
	if (t->clients)
		t->clients->tenant_prev = c;
	t->clients = c;
}

void
pool_leave(Client *c)
{
	Pool *p = c->pool;

	if (!p)
		return;
	pool_stop_waiting(c);
	*(c->tenant_prev ? &c->tenant_prev->tenant_next : &p->tenant->clients) = c->tenant_next;
	if (c->tenant_next)
		c->tenant_next->tenant_prev = c->tenant_prev;
	p->nclients--;
	p->tenant->nclients--;
	c->pool = NULL;
	tenancy_done(p->w, p->tenant);
}

static void ring_remove(Worker *w, Pool *p);
static void tell_waiting(const Worker *w, Tenancy *t, int by);
static bool cluster_full(const Worker *w, uint32_t cluster);
static int32_t waiting_elsewhere(const Worker *w, uint32_t cluster);

/* --- waiting ------------------------------------------------------------------------ */

static void
wait_in_pool(Client *c)
{
	Pool *p = c->pool;
	Worker *w = p->w;

	if (p->tenant->nwaiting++ == 0) {
		p->tenant->waiting_id = p->tenant->route.id;
		tell_waiting(w, p->tenant, 1);
	}
	c->waits = true;
	c->waiting_ms = worker_now(w);
	c->prev = p->last;
	c->next = NULL;
	*(p->last ? &p->last->next : &p->first) = c;
	p->last = c;
	p->nwaiting++;
	c->wait_prev = w->waiting_last;
	c->wait_next = NULL;
	*(w->waiting_last ? &w->waiting_last->wait_next : &w->waiting) = c;
	w->waiting_last = c;
}

void
pool_stop_waiting(Client *c)
{
	Pool *p = c->pool;

	if (!c->waits)
		return;
	Worker *w = p->w;
	*(c->prev ? &c->prev->next : &p->first) = c->next;
	*(c->next ? &c->next->prev : &p->last) = c->prev;
	*(c->wait_prev ? &c->wait_prev->wait_next : &w->waiting) = c->wait_next;
	*(c->wait_next ? &c->wait_next->wait_prev : &w->waiting_last) = c->wait_prev;
	c->prev = c->next = NULL;
	c->waits = false;
	p->nwaiting--;
	if (--p->tenant->nwaiting == 0)
		tell_waiting(w, p->tenant, -1);
	if (p->nwaiting == 0)
		ring_remove(w, p);
}

static void
serve_later(Pool *p)
{
	if (p->in_serve)
		return;
	p->in_serve = true;
	p->serve_next = NULL;
	*(p->w->serve ? &p->w->serve_last->serve_next : &p->w->serve) = p;
	p->w->serve_last = p;
}

/* --- gates ---------------------------------------------------------------------------- */

bool
gate_open(const Worker *w, const Tenancy *t)
{
	if (w->lapsed)
		return false;
	return t->route.state == ROUTE_OPEN ||
	    (t->route.state == ROUTE_PARKED && t->route.parked_until <= clock_wall_ms());
}

/* --- places on a cluster ------------------------------------------------------------------ */

static int32_t
cluster_used(const Worker *w, uint32_t cluster)
{
	int32_t sum = 0;

	for (uint32_t i = 0; i < w->start.workers; i++)
		sum += atomic_load(&w->counters->cluster[cluster].used[i]);
	return sum;
}

static _Atomic int16_t *
tenant_row(const Worker *w, uint32_t worker, uint32_t id)
{
	return id < w->start.routes ? &w->counters->tenant[(size_t)worker * w->start.routes + id]
				    : NULL;
}

/* Other workers that have idle connections of this tenant then close one. */
static void
tell_waiting(const Worker *w, Tenancy *t, int by)
{
	_Atomic int16_t *row = tenant_row(w, w->start.workers + w->start.worker, t->waiting_id);

	if (row)
		atomic_fetch_add(row, (int16_t)by);
}

static bool
waits_elsewhere(const Worker *w, const Tenancy *t)
{
	int32_t sum = 0;

	for (uint32_t i = 0; i < w->start.workers; i++) {
		const _Atomic int16_t *row = tenant_row(w, w->start.workers + i, t->route.id);
		if (row && i != w->start.worker)
			sum += atomic_load(row);
	}
	return sum > 0;
}

static int32_t
tenant_used(const Worker *w, const Tenancy *t)
{
	int32_t sum = 0;

	if (!tenant_row(w, 0, t->route.id))
		return t->nservers;
	for (uint32_t i = 0; i < w->start.workers; i++)
		sum += atomic_load(tenant_row(w, i, t->route.id));
	return sum;
}

static bool
tenant_full(const Worker *w, const Tenancy *t)
{
	int32_t cap = t->route.cap > 0 ? t->route.cap : w->start.limits.tenant_servers;

	return cap > 0 && tenant_used(w, t) >= cap;
}

static void
count(Worker *w, uint32_t cluster, uint32_t route_id, int by)
{
	_Atomic int16_t *row = tenant_row(w, w->start.worker, route_id);

	atomic_fetch_add(&w->counters->cluster[cluster].used[w->start.worker], by);
	if (row)
		atomic_fetch_add(row, (int16_t)by);
}

/* Taken first and looked at then: two workers at once may both step back, never both go over. */
static bool
take_place(Worker *w, const Tenancy *t)
{
	const Route *r = &t->route;
	int32_t cap = r->cap > 0 ? r->cap : w->start.limits.tenant_servers;
	int32_t most = w->clusters[r->cluster].c.cap;

	count(w, r->cluster, r->id, 1);
	if ((cap <= 0 || tenant_used(w, t) <= cap) &&
	    (most <= 0 || cluster_used(w, r->cluster) <= most))
		return true;
	count(w, r->cluster, r->id, -1);
	return false;
}

/* Pools take turns: whoever has had a place for a while gives it to who has waited longer. */
static bool
turn_is_over(const Worker *w, const Server *s)
{
	const Pool *p = s->pool, *other = w->ring;
	int64_t now = worker_now(w);

	while (other && (other->ring_cluster != s->cluster || !other->first))
		other = other->ring_next;
	return other && cluster_full(w, s->cluster) && now - s->born_ms >= TURN_MS &&
	    (!p->first || p->first->waiting_ms > other->first->waiting_ms);
}

/* The same between workers, which cannot see who has waited how long. */
static bool
turn_of_another_worker(Worker *w, Server *s)
{
	const Tenancy *t = s->pool->tenant;
	bool wanted = (tenant_full(w, t) && waits_elsewhere(w, t)) ||
	    (cluster_full(w, s->cluster) && waiting_elsewhere(w, s->cluster) > 0);

	if (!wanted || (t->nwaiting && worker_now(w) - s->born_ms < TURN_MS * w->start.workers))
		return false;
	s->pool->retry_ms = worker_now(w) + STEP_BACK_MS;
	return true;
}

static bool
cluster_full(const Worker *w, uint32_t cluster)
{
	int32_t most = w->clusters[cluster].c.cap;

	return most > 0 && cluster_used(w, cluster) >= most;
}

static int32_t
waiting_elsewhere(const Worker *w, uint32_t cluster)
{
	int32_t sum = 0;

	for (uint32_t i = 0; i < w->start.workers; i++)
		if (i != w->start.worker)
			sum += atomic_load(&w->counters->cluster[cluster].waiting[i]);
	return sum;
}

bool
pool_crowded(const Pool *p)
{
	return tenant_full(p->w, p->tenant) || cluster_full(p->w, p->tenant->route.cluster);
}

/* Somebody of another pool has the oldest idle connection there: it makes room. */
static bool
evict_idle(Worker *w, uint32_t cluster, const Pool *not_of)
{
	for (Server *s = w->idle; s; s = s->lru_next)
		if (s->cluster == cluster && s->pool != not_of) {
			server_close(s, NULL);
			return true;
		}
	return false;
}

static void
ring_add(Worker *w, Pool *p)
{
	if (p->in_ring)
		return;
	p->in_ring = true;
	p->ring_next = NULL;
	*(w->ring_last ? &w->ring_last->ring_next : &w->ring) = p;
	w->ring_last = p;
	atomic_fetch_add(
	    &w->counters->cluster[p->tenant->route.cluster].waiting[w->start.worker], 1);
	p->ring_cluster = p->tenant->route.cluster;
}

static void
ring_remove(Worker *w, Pool *p)
{
	Pool **link = &w->ring, *before = NULL;

	if (!p->in_ring)
		return;
	while (*link != p) {
		before = *link;
		link = &before->ring_next;
	}
	*link = p->ring_next;
	if (w->ring_last == p)
		w->ring_last = before;
	p->in_ring = false;
	atomic_fetch_sub(&w->counters->cluster[p->ring_cluster].waiting[w->start.worker], 1);
}

/* A place may be free there: the tenant that has waited longest is asked first. */
static void
ring_serve(Worker *w, uint32_t cluster)
{
	for (Pool *p = w->ring; p; p = p->ring_next)
		if (p->ring_cluster == cluster) {
			ring_remove(w, p);
			serve_later(p);
			return;
		}
}

/* --- giving ---------------------------------------------------------------------------------- */

static void
lru_remove(Server *s)
{
	Worker *w = s->conn.w;

	*(s->lru_prev ? &s->lru_prev->lru_next : &w->idle) = s->lru_next;
	*(s->lru_next ? &s->lru_next->lru_prev : &w->idle_last) = s->lru_prev;
	s->lru_prev = s->lru_next = NULL;
}

static Server *
idle_take(Pool *p, Server *s)
{
	Server **link = &p->idle;

	while (*link != s)
		link = &(*link)->idle_next;
	*link = s->idle_next;
	p->nidle--;
	lru_remove(s);
	return s;
}

static void
give(Client *c, Server *s)
{
	s->state = SERVER_LINKED;
	s->client = c;
	c->server = s;
	s->since_ms = worker_now(s->conn.w);
	s->tx = 'I';
	s->refused = 0;
	c->conn.deaf = false;
	names_settle(c);
	settings_give(s, c);
}

/* Idle connections of the tenant that this pool cannot use: of another login, or, for a client that has
 * settings of its own, any. */
static bool
evict_own(Worker *w, const Pool *p, bool own)
{
	if (!tenant_full(w, p->tenant))
		return false;
	for (Server *s = w->idle; s; s = s->lru_next)
		if (s->pool->tenant == p->tenant && (own || s->pool != p)) {
			server_close(s, NULL);
			return true;
		}
	return false;
}

/* Another connection for those who wait: if there is a place for it. */
static void
dial_more(Pool *p)
{
	Worker *w = p->w;
	const Tenancy *t = p->tenant;
	uint32_t cluster = t->route.cluster;
	Client *own = p->first->nown > 0 ? p->first : NULL;

	if (p->ndialing >= p->nwaiting || worker_now(w) < p->retry_ms)
		return;
	if (take_place(w, t) || (evict_own(w, p, own != NULL) && take_place(w, t)) ||
	    (cluster_full(w, cluster) && evict_idle(w, cluster, p) && take_place(w, t)))
		server_dial(server_new(p, own));
	else if (cluster_full(w, cluster))
		ring_add(w, p);
}

static void
serve(Pool *p)
{
	Worker *w = p->w;

	while (p->first && gate_open(w, p->tenant)) {
		Client *c = p->first;
		if (c->nown > 0 || !p->idle) {
			dial_more(p);
			return;
		}
		pool_stop_waiting(c);
		give(c, idle_take(p, p->idle));
		client_go_on(c);
	}
}

void
pool_serve(Pool *p)
{
	serve_later(p);
}

void
pools_serve(Worker *w)
{
	while (w->serve) {
		Pool *p = w->serve;
		w->serve = p->serve_next;
		p->in_serve = false;
		serve(p);
		tenancy_done(w, p->tenant);
	}
}

bool
pool_want(Client *c)
{
	Pool *p = c->pool;

	if (p->idle && !p->first && c->nown == 0 && gate_open(p->w, p->tenant)) {
		give(c, idle_take(p, p->idle));
		return true;
	}
	wait_in_pool(c);
	serve_later(p);
	return false;
}

/* --- getting back ----------------------------------------------------------------------------- */

/* Its route leads to another place now. */
static bool
is_elsewhere(const Server *s)
{
	const Route *r = &s->pool->tenant->route;

	return s->epoch != r->epoch || s->cluster != r->cluster;
}

static bool
is_old(const Server *s)
{
	return s->old || s->own || is_elsewhere(s);
}

/* It is about to be moved, as a rule: what it has on the old side would only have to be ended there. */
static bool
is_parked(const Worker *w, const Tenancy *t)
{
	return t->route.state == ROUTE_PARKED && !gate_open(w, t) && !w->lapsed;
}

void
pool_idle(Server *s)
{
	Worker *w = s->conn.w;
	Pool *p = s->pool;

	if (is_old(s) || is_parked(w, p->tenant) || s->replies.doubtful || turn_is_over(w, s) ||
	    turn_of_another_worker(w, s)) {
		server_close(s, NULL);
		return;
	}
	s->state = SERVER_IDLE;
	s->since_ms = worker_now(w);
	s->idle_next = p->idle;
	p->idle = s;
	p->nidle++;
	s->lru_prev = w->idle_last;
	s->lru_next = NULL;
	*(w->idle_last ? &w->idle_last->lru_next : &w->idle) = s;
	w->idle_last = s;
	if (p->first)
		serve_later(p);
}

void
pool_unlink(Server *s)
{
	Client *c = s->client;

	if (c) {
		s->client = NULL;
		c->server = NULL;
	}
	if (is_old(s) || is_parked(s->conn.w, s->pool->tenant) || s->replies.doubtful) {
		server_close(s, NULL);
		return;
	}
	if (s->tx != 'I') {
		s->dirty = true;
		s->state = SERVER_RESET;
		server_say(s, "ROLLBACK");
	} else if (s->dirty) {
		s->dirty = false;
		s->state = SERVER_RESET;
		server_say(s, "DISCARD ALL");
	} else {
		pool_idle(s);
		return;
	}
	s->since_ms = worker_now(s->conn.w);
	server_gave(s);
}

void
pool_dialed(Server *s)
{
	Pool *p = s->pool;
	Client *c = p->first;

	p->failures = 0;
	p->retry_ms = 0;
	if (!s->own) {
		pool_idle(s);
		return;
	}
	while (c && c->serial != s->wanted_by)
		c = c->next;
	/* it has gone meanwhile, or waits on for one to the new place */
	if (!c || is_elsewhere(s) || !gate_open(s->conn.w, p->tenant)) {
		server_close(s, NULL);
		return;
	}
	pool_stop_waiting(c);
	give(c, s);
	client_go_on(c);
}

/* Everybody who waits hears of what cannot be mended by waiting. */
void
pool_dial_failed(Pool *p, const char *sqlstate, const char *why)
{
	/* a park that is over before it was ended: the fence may stand still, and is taken down soon */
	bool final = (strncmp(sqlstate, "28", 2) == 0 || strncmp(sqlstate, "3D", 2) == 0) &&
	    p->tenant->route.state != ROUTE_PARKED;

	p->failures++;
	p->retry_ms = worker_now(p->w) + backoff_ms(p->failures, RETRY_MS, RETRY_CAP_MS);
	log_say("tenant %s: no connection to its database: %s", p->tenant->route.tenant, why);
	while (final && p->first)
		client_refuse(p->first, "08006", "the database of this tenant refuses the gateway");
}

void
pool_gone(Server *s)
{
	Worker *w = s->conn.w;
	Pool *p = s->pool;

	if (s->state == SERVER_IDLE)
		idle_take(p, s);
	count(w, s->cluster, s->route_id, -1);
	ring_serve(w, s->cluster);
	if (p->first)
		serve_later(p);
}

/* --- changes of the routes ------------------------------------------------------------------------ */

bool
client_pinned(const Client *c)
{
	return c->pins != 0;
}

static bool
at_boundary(const Client *c)
{
	return c->server && c->server->tx == 'I' && replies_quiet(&c->server->replies) &&
	    c->server->cancels == 0 && c->conn.pass == 0;
}

static void
end_clients(Tenancy *t, const char *user, const char *sqlstate, const char *message)
{
	for (Client *c = t->clients, *next; c; c = next) {
		next = c->tenant_next;
		if (!user || strcmp(c->pool->user, user) == 0)
			client_fatal(c, sqlstate, message, NULL);
	}
}

static void
close_old_idle(Pool *p)
{
	for (Server *s = p->idle, *next; s; s = next) {
		next = s->idle_next;
		if (is_old(s) || is_parked(p->w, p->tenant))
			server_close(s, NULL);
	}
}

/* Who stands between two transactions waits for the new place, where nothing binds it to the old one. */
static void
let_go(Tenancy *t)
{
	for (Client *c = t->clients, *next; c; c = next) {
		next = c->tenant_next;
		if (at_boundary(c) && !client_pinned(c))
			pool_unlink(c->server);
	}
}

static void
follow_logins(Worker *w, Tenancy *t)
{
	for (Pool *p = t->pools; p; p = p->next) {
		RouteLogin login;
		if (!route_login(w->table, t->route.tenant, p->user, &login) || !login.on ||
		    strcmp(login.role, p->role) != 0)
			end_clients(t, p->user, "57P01", "the login was taken away or changed");
	}
}

void
tenant_changed(Worker *w, const char *name)
{
	Tenancy *t = tenancy_find(w, name);
	Route r;

	if (!t)
		return;
	t->held++; /* nothing below may free it */
	bool found = route_find(w->table, name, &r);
	if (!found || r.state == ROUTE_OFF) {
		t->route.state = ROUTE_OFF;
		if (found && r.suspended)
			end_clients(t, NULL, "TN001", "the tenant is suspended");
		else
			end_clients(t, NULL, "57P01", "the tenant is not served any more");
		t->route.epoch = -1;
	} else {
		t->route = r;
		follow_logins(w, t);
		if (r.state == ROUTE_PARKED && !gate_open(w, t))
			let_go(t);
	}
	for (Pool *p = t->pools; p; p = p->next) {
		close_old_idle(p);
		p->retry_ms = 0;
		serve_later(p);
	}
	t->held--;
	tenancy_done(w, t);
}

/* At another address it is another server to us: as if the routes that lead to it had changed. */
void
cluster_changed(Worker *w, uint32_t id, bool moved)
{
	for (const MapItem *i = NULL; (i = map_next(w->tenants, i)) != NULL;) {
		Tenancy *t = i->value;
		if (t->route.cluster != id)
			continue;
		for (Pool *p = t->pools; p; p = p->next) {
			for (Server *s = p->servers; s; s = s->next) {
				s->old = true;
				s->epoch = moved ? MOVED : s->epoch;
			}
			p->retry_ms = 0;
			serve_later(p);
		}
		if (moved)
			let_go(t);
	}
	for (Server *s = w->idle, *next; s; s = next) {
		next = s->lru_next;
		if (s->cluster == id)
			server_close(s, NULL);
	}
}

/* --- now and then --------------------------------------------------------------------------------- */

/* While the gate is closed nobody's time runs. */
static void
give_up_waiting(Worker *w, int64_t now)
{
	for (Client *c = w->waiting, *next; c; c = next) {
		Tenancy *t = c->pool->tenant;
		next = c->wait_next;
		if (!gate_open(w, t))
			t->shut_ms = now;
		if (now - c->waiting_ms >= w->start.limits.wait_ms &&
		    now - t->shut_ms >= w->start.limits.wait_ms)
			client_refuse(
			    c, "53300", "no connection to the database became free in time");
	}
}

static void
close_unused(Worker *w, int64_t now)
{
	for (Server *s = w->idle, *next; s; s = next) {
		next = s->lru_next;
		if (now - s->since_ms < w->start.limits.idle_server_ms)
			break;
		server_close(s, NULL);
	}
	for (Server *s = w->idle, *next; s; s = next) {
		next = s->lru_next;
		const Tenancy *t = s->pool->tenant;
		if ((cluster_full(w, s->cluster) && waiting_elsewhere(w, s->cluster) > 0) ||
		    (waits_elsewhere(w, t) && tenant_full(w, t))) {
			server_close(s, NULL);
			break;
		}
	}
}

void
pools_tick(Worker *w, int64_t now)
{
	give_up_waiting(w, now);
	close_unused(w, now);
	for (const MapItem *i = NULL; (i = map_next(w->tenants, i)) != NULL;) {
		Tenancy *t = i->value;
		for (Pool *p = t->pools; p; p = p->next) {
			if (p->first && gate_open(w, t))
				serve_later(p);
			for (Server *s = p->servers; s; s = s->next)
				server_tick(s, now);
		}
	}
}

/* The master's side of the route table: what stands in the catalogue, as workers read it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "region/route/table_form.h"

#define PEM_MAX \
	((size_t)128 << 10) /* what does not fit into a packet with the others is said, too */

typedef struct Strings {
	Buf text;
	Map *users; /* few and often: the others are each tenant's own */
	const char *last;
	uint32_t last_at;
} Strings;

static Strings
strings_new(Arena *mem)
{
	Strings s = { .text = buf_new_max(mem, (size_t)1 << 30), .users = map_new(mem) };

	buf_addc(&s.text, '\0');
	return s;
}

/* 0: none, or too long to be a name on a server. */
static uint32_t
strings_add(Strings *s, const char *text)
{
	size_t n = strlen(text), at = s->text.len;

	if (!n || n >= ROUTE_NAME)
		return 0;
	buf_addn(&s->text, text, n + 1);
	return s->text.full ? 0 : (uint32_t)at;
}

static uint32_t
strings_user(Strings *s, const char *user)
{
	uintptr_t at = (uintptr_t)map_get(s->users, user);

	if (!at) {
		at = strings_add(s, user);
		map_set(s->users, user, (void *)at);
	}
	return (uint32_t)at;
}

/* Tenants of a shared database often follow one another. */
static uint32_t
strings_dbname(Strings *s, const char *name)
{
	if (!s->last || strcmp(s->last, name) != 0) {
		s->last_at = strings_add(s, name);
		s->last = name;
	}
	return s->last_at;
}

static int32_t
as_int32(int64_t n)
{
	return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

static RouteState
state_of(const GateRoute *r)
{
	if (strcmp(r->state, "off") == 0)
		return ROUTE_OFF;
	return strcmp(r->state, "park") == 0 ? ROUTE_PARKED : ROUTE_OPEN;
}

static void
fill_route(RouteCell *c, const GateRoute *r, Strings *s)
{
	size_t n = strlen(r->tenant);

	memset(c, 0, sizeof *c);
	memcpy(c->tenant, r->tenant, n < ROUTE_TENANT ? n : ROUTE_TENANT - 1);
	c->epoch = r->epoch;
	c->seq = r->seq;
	c->parked_until = r->parked_until;
	c->id = (uint32_t)as_int32(r->number);
	c->cluster = (uint32_t)as_int32(r->cluster);
	c->dbname = strings_dbname(s, r->dbname);
	c->cap = as_int32(r->cap);
	c->state = (uint8_t)(c->dbname && route_cluster(c->cluster) ? state_of(r) : ROUTE_OFF);
	c->flags = (uint8_t)((r->suspended ? CELL_SUSPENDED : 0) |
	    (r->transaction ? CELL_TRANSACTION : 0) | (r->guarded ? CELL_GUARDED : 0));
}

/* Of `have` logins in order, those of the tenant from *at on; how many cells were filled. */
static uint16_t
fill_logins(LoginCell *cells, const GateLogins *have, size_t *at, const char *tenant, Strings *s)
{
	uint16_t n = 0;

	for (; *at < have->n; ++*at) {
		const GateLogin *l = &have->at[*at];
		int order = strcmp(l->tenant, tenant);
		if (order > 0)
			break;
		if (order < 0) /* a tenant without a route */
			continue;
		if (n == ROUTE_LOGINS) {
			log_say("login \"%s\" of tenant \"%s\" is one too many for the gateway",
			    l->user, tenant);
			continue;
		}
		LoginCell c = {
			.valid_until = l->valid_until,
			.user = strings_user(s, l->user),
			.role = strings_add(s, l->role),
			.max_conns = as_int32(l->max_conns),
			.on = l->on,
		};
		if (c.user && c.role)
			cells[n++] = c;
	}
	return n;
}

/* --- the snapshot --------------------------------------------------------------- */

typedef struct Image {
	TableHead head;
	RouteCell *routes;
	LoginCell *logins;
	uint32_t *slots;
	Strings strings;
} Image;

static uint32_t
slots_for(uint32_t routes)
{
	uint32_t n = 16;

	while (n / 2 < routes)
		n *= 2;
	return n;
}

static void
index_routes(Image *m)
{
	uint32_t mask = m->head.slots - 1;

	for (uint32_t i = 0; i < m->head.routes; i++) {
		uint32_t at = (uint32_t)table_hash(m->head.seed, m->routes[i].tenant) & mask;
		while (m->slots[at])
			at = (at + 1) & mask;
		m->slots[at] = i + 1;
	}
}

static void
make_image(Arena *mem, Image *m, const GateRoutes *routes, const GateLogins *logins, int64_t seq)
{
	size_t at = 0;
	uint32_t n = 0;

	memcpy(m->head.magic, TABLE_MAGIC, sizeof m->head.magic);
	m->head.format = TABLE_FORMAT;
	m->head.head_n = sizeof m->head;
	random_bytes(&m->head.seed, sizeof m->head.seed);
	m->head.seq = seq;
	m->head.routes = (uint32_t)routes->n;
	m->head.slots = slots_for(m->head.routes);
	m->routes = arena_alloc(mem, routes->n * sizeof *m->routes + 1);
	m->logins = arena_alloc(mem, logins->n * sizeof *m->logins + 1);
	m->slots = arena_alloc(mem, m->head.slots * sizeof *m->slots);
	m->strings = strings_new(mem);
	for (size_t i = 0; i < routes->n; i++) {
		RouteCell *c = &m->routes[i];
		fill_route(c, &routes->at[i], &m->strings);
		c->first_login = n;
		c->logins = fill_logins(
		    m->logins + n, logins, &at, routes->at[i].tenant, &m->strings);
		n += c->logins;
	}
	m->head.logins = n;
	m->head.strings = (uint32_t)m->strings.text.len;
	index_routes(m);
}

static bool
write_all(int fd, const void *from, size_t n)
{
	const char *at = from;

	while (n > 0) {
		ssize_t did = write(fd, at, n);
		if (did <= 0)
			return false;
		at += did;
		n -= (size_t)did;
	}
	return true;
}

static bool
write_image(Ctx *cx, Image *m, int *out)
{
	const TableHead *h = &m->head;
	size_t routes = h->routes * sizeof *m->routes, logins = h->logins * sizeof *m->logins;
	size_t slots = h->slots * sizeof *m->slots;
	int fd = memfd_create("copyhold-routes", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	m->head.total = sizeof *h + routes + logins + slots + h->strings;
	if (fd >= 0 && write_all(fd, h, sizeof *h) && write_all(fd, m->routes, routes) &&
	    write_all(fd, m->logins, logins) && write_all(fd, m->slots, slots) &&
	    write_all(fd, m->strings.text.text, h->strings) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
		*out = fd;
		return true;
	}
	fail_errno(cx, errno, "See whether memory is short.", "writing the table of routes");
	if (fd >= 0)
		close(fd);
	return false;
}

static bool
read_all(Ctx *cx, Home *home, GateRoutes *routes, GateLogins *logins, int64_t *seq)
{
	if (!lite_begin_read(cx, home->db))
		return false;
	bool ok = catalog_gate_seq(cx, home, seq) && catalog_gate_routes(cx, home, NULL, routes) &&
	    catalog_gate_logins(cx, home, NULL, logins);
	lite_rollback(home->db);
	return ok;
}

/* All that was made on the way is given back at once: it is many times what stays. */
bool
route_snapshot(Ctx *cx, Home *home, int *fd, int64_t *seq)
{
	Ctx own = ctx_new(cx->mem);
	GateRoutes routes;
	GateLogins logins;
	Image m = { 0 };
	int64_t at = 0;

	bool ok = read_all(&own, home, &routes, &logins, &at);
	if (ok) {
		make_image(own.mem, &m, &routes, &logins, at);
		ok = !m.strings.text.full ? write_image(&own, &m, fd)
					  : fail(&own, FAIL_LIMIT, NULL, "too many routes");
	}
	if (ok)
		*seq = at;
	else
		fail_copy(cx, &own);
	arena_free(own.mem);
	return ok || fail_in(cx, "making the table of routes");
}

/* --- changes --------------------------------------------------------------------- */

/* r NULL: the tenant has no route any more; its name "": nothing but the number counts. */
static RouteDelta
encode(Arena *mem, const char *tenant, int64_t seq, const GateRoute *r, const GateLogins *logins)
{
	struct {
		EntryHead head;
		RouteCell cell;
		LoginCell logins[ROUTE_LOGINS];
	} e = { 0 };
	GateRoute none = { .tenant = tenant, .state = "off", .dbname = "" };
	Strings s = strings_new(mem);
	size_t at = 0;

	fill_route(&e.cell, r ? r : &none, &s);
	e.cell.seq = seq;
	if (r)
		e.cell.logins = fill_logins(e.logins, logins, &at, tenant, &s);
	else
		e.cell.state = ROUTE_NONE;
	e.head = (EntryHead){ ENTRY_MAGIC, TABLE_FORMAT, seq, e.cell.logins, (uint32_t)s.text.len };
	size_t fixed = offsetof(__typeof__(e), logins) + e.cell.logins * sizeof *e.logins;
	char *bytes = arena_alloc(mem, fixed + s.text.len);
	memcpy(bytes, &e, fixed);
	memcpy(bytes + fixed, s.text.text, s.text.len);
	return (RouteDelta){ .seq = seq, .bytes = bytes, .n = fixed + s.text.len };
}

static bool
add_change(Ctx *cx, Home *home, const GateChange *c, RouteDeltas *out)
{
	GateRoutes routes;
	GateLogins logins;

	if (*c->name == '@') {
		out->clusters = true;
		return true;
	}
	if (!catalog_gate_routes(cx, home, c->name, &routes) ||
	    !catalog_gate_logins(cx, home, c->name, &logins))
		return false;
	RouteDelta d = encode(cx->mem, c->name, c->seq, routes.n ? routes.at : NULL, &logins);
	vec_push(cx->mem, out, d);
	return true;
}

static bool
read_changes(Ctx *cx, Home *home, int64_t since, RouteDeltas *out)
{
	GateChanges changes;

	if (!catalog_gate_changes(cx, home, since, &changes))
		return false;
	out->seq = changes.n ? changes.at[changes.n - 1].seq : since;
	out->many = changes.n > ROUTE_OVERLAY;
	out->clusters = out->many;
	for (size_t i = 0; i < changes.n && !out->many; i++)
		if (!add_change(cx, home, &changes.at[i], out))
			return false;
	if (!out->many && changes.n && (!out->n || out->at[out->n - 1].seq < out->seq)) {
		RouteDelta mark = encode(cx->mem, "", out->seq, NULL, NULL);
		vec_push(cx->mem, out, mark);
	}
	return true;
}

bool
route_changes(Ctx *cx, Home *home, int64_t since, RouteDeltas *out)
{
	RouteDeltas found = { 0 };

	if (!lite_begin_read(cx, home->db))
		return false;
	bool ok = read_changes(cx, home, since, &found);
	lite_rollback(home->db);
	if (ok)
		*out = found;
	return ok || fail_in(cx, "reading what has changed of the routes");
}

/* --- clusters --------------------------------------------------------------------- */

/* What TLS was to be checked or proven with is not left out: the cluster is not served. */
static const char *
read_pem(Ctx *cx, const char *path, RouteCluster *c)
{
	Ctx own = { .mem = cx->mem, .fail = arena_alloc(cx->mem, sizeof(Fail)) };
	char *text;
	size_t n;

	if (!path)
		return NULL;
	if (file_read(&own, path, PEM_MAX, &text, &n) && n > 0 && strlen(text) == n)
		return text;
	log_say("cluster \"%s\" is not connected to without \"%s\": %s", c->name, path,
	    own.fail->what ? own.fail->what : "it is empty, or no text");
	c->broken = true;
	return NULL;
}

static bool
add_cluster(Ctx *cx, Home *home, const GateCluster *g, RouteCluster *out)
{
	Cluster *c;

	if (!catalog_cluster(cx, home, g->name, &c))
		return false;
	*out = (RouteCluster){
		.id = (uint32_t)g->number,
		.name = g->name,
		.host = c->connect.host,
		.port = (int)c->connect.port,
		.sslmode = c->connect.sslmode ? c->connect.sslmode : "prefer",
		.cap = as_int32(c->gateway_connections),
		.seq = g->seq,
	};
	if (out->host[0] == '/' || strcmp(out->sslmode, "disable") == 0)
		return true;
	out->ca = read_pem(cx, c->connect.sslrootcert, out);
	out->cert = read_pem(cx, c->connect.sslcert, out);
	out->key = read_pem(cx, c->connect.sslkey, out);
	return true;
}

bool
route_clusters(Ctx *cx, Home *home, RouteCluster **out, size_t *n)
{
	GateClusters all;

	if (!catalog_gate_clusters(cx, home, &all))
		return false;
	RouteCluster *made = arena_alloc(cx->mem, all.n * sizeof *made + 1);
	for (size_t i = 0; i < all.n; i++)
		if (!add_cluster(cx, home, &all.at[i], &made[i]))
			return fail_in(cx, "reading the clusters for the gateway");
	*out = made;
	*n = all.n;
	return true;
}

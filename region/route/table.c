/* A worker's side of the route table. */
#include "region/route/table.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "region/route/table_form.h"

typedef struct View { /* what one snapshot or one entry holds */
	const RouteCell *routes;
	const LoginCell *logins;
	const char *strings;
	uint32_t nroutes, nlogins, nstrings;
} View;

typedef struct Entry {
	View view; /* of one route */
	int64_t seq;
	void *bytes;
	size_t n, cap;
} Entry;

struct RouteTable {
	Arena *mem, *overlay_mem;
	const TableHead *head;
	size_t mapped;
	View view;
	const uint32_t *slots;
	Map *overlay; /* tenant -> Entry */
	VEC(Entry *) entries;
	int64_t seq;
};

static bool
damaged(Ctx *cx)
{
	return fail(cx, FAIL_CATALOG, "Start the gateway again.",
	    "the table of routes is damaged, or of another copyhold");
}

/* --- the snapshot ----------------------------------------------------------------- */

static bool
head_fits(const TableHead *h, size_t size)
{
	uint64_t total;

	if (size < sizeof *h || memcmp(h->magic, TABLE_MAGIC, sizeof h->magic) != 0 ||
	    h->format != TABLE_FORMAT || h->head_n != sizeof *h)
		return false;
	total = sizeof *h + (uint64_t)h->routes * sizeof(RouteCell) +
	    (uint64_t)h->logins * sizeof(LoginCell) + (uint64_t)h->slots * sizeof(uint32_t) +
	    h->strings;
	return h->total == total && size == total && h->slots > h->routes &&
	    (h->slots & (h->slots - 1)) == 0 && h->strings > 0;
}

/* A file that could still change under us is none of the master's. */
static bool
is_sealed(int fd)
{
	int want = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & want) == want;
}

static View
view_of(const TableHead *h, const uint32_t **slots)
{
	View v = { .routes = (const RouteCell *)(h + 1),
		.nroutes = h->routes,
		.nlogins = h->logins,
		.nstrings = h->strings };

	v.logins = (const LoginCell *)(v.routes + h->routes);
	*slots = (const uint32_t *)(v.logins + h->logins);
	v.strings = (const char *)(*slots + h->slots);
	return v;
}

static bool
map_snapshot(Ctx *cx, int fd, const TableHead **head, size_t *mapped)
{
	struct stat st;
	void *at = MAP_FAILED;

	if (is_sealed(fd) && fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(TableHead))
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return damaged(cx);
	const TableHead *h = at;
	if (!head_fits(h, (size_t)st.st_size) ||
	    ((const char *)at)[st.st_size - 1] != '\0') { /* the last string ends */
		munmap(at, (size_t)st.st_size);
		return damaged(cx);
	}
	*head = h;
	*mapped = (size_t)st.st_size;
	return true;
}

static void
unmap(void *ptr)
{
	RouteTable *t = ptr;

	munmap((void *)(uintptr_t)t->head, t->mapped);
}

bool
route_table_open(Ctx *cx, int fd, RouteTable **out)
{
	RouteTable *t = arena_alloc(cx->mem, sizeof *t);

	if (!map_snapshot(cx, fd, &t->head, &t->mapped))
		return false;
	t->mem = cx->mem;
	t->view = view_of(t->head, &t->slots);
	t->seq = t->head->seq;
	t->overlay_mem = arena_new(cx->mem);
	t->overlay = map_new(t->overlay_mem);
	arena_on_free(cx->mem, unmap, t);
	*out = t;
	return true;
}

/* --- the overlay -------------------------------------------------------------------- */

static bool
entry_view(const void *bytes, size_t n, View *v, int64_t *seq)
{
	const EntryHead *h = bytes;

	if (n < sizeof *h + sizeof(RouteCell) || h->magic != ENTRY_MAGIC ||
	    h->format != TABLE_FORMAT || h->logins > ROUTE_LOGINS || !h->strings)
		return false;
	if (n != sizeof *h + sizeof(RouteCell) + h->logins * sizeof(LoginCell) + h->strings)
		return false;
	v->routes = (const RouteCell *)(h + 1);
	v->nroutes = 1;
	v->logins = (const LoginCell *)(v->routes + 1);
	v->nlogins = h->logins;
	v->strings = (const char *)(v->logins + h->logins);
	v->nstrings = h->strings;
	*seq = h->seq;
	return v->strings[h->strings - 1] == '\0' && v->routes->first_login == 0 &&
	    memchr(v->routes->tenant, '\0', ROUTE_TENANT);
}

/* An entry that is changed again takes the room that it has. */
static void
entry_put(RouteTable *t, const void *bytes, size_t n)
{
	const RouteCell *cell = (const RouteCell *)((const EntryHead *)bytes + 1);
	Entry *e = map_get(t->overlay, cell->tenant);

	if (!e) {
		e = arena_alloc(t->overlay_mem, sizeof *e);
		map_set(t->overlay, cell->tenant, e);
		vec_push(t->overlay_mem, &t->entries, e);
	}
	if (e->cap < n) {
		e->cap = n + 64;
		e->bytes = arena_alloc(t->overlay_mem, e->cap);
	}
	memcpy(e->bytes, bytes, n);
	e->n = n;
	entry_view(e->bytes, n, &e->view, &e->seq);
}

bool
route_table_change(Ctx *cx, RouteTable *t, const void *bytes, size_t n, char tenant[ROUTE_TENANT])
{
	Arena *aligned = NULL;
	int64_t seq;
	View v;

	if ((uintptr_t)bytes % _Alignof(EntryHead) != 0) {
		aligned = arena_new(cx->mem);
		bytes = memcpy(arena_alloc(aligned, n + 1), bytes, n);
	}
	bool fits = entry_view(bytes, n, &v, &seq);
	if (fits && v.routes->tenant[0] && seq > t->head->seq)
		entry_put(t, bytes, n);
	if (fits && seq > t->seq)
		t->seq = seq;
	if (fits)
		memcpy(tenant, v.routes->tenant, ROUTE_TENANT);
	arena_free(aligned);
	return fits || damaged(cx);
}

bool
route_table_snapshot(Ctx *cx, RouteTable *t, int fd)
{
	const TableHead *head;
	size_t mapped;
	Arena *old_mem = t->overlay_mem;
	__typeof__(t->entries) old = t->entries;

	if (!map_snapshot(cx, fd, &head, &mapped))
		return false;
	unmap(t);
	t->head = head;
	t->mapped = mapped;
	t->view = view_of(head, &t->slots);
	t->overlay_mem = arena_new(t->mem);
	t->overlay = map_new(t->overlay_mem);
	memset(&t->entries, 0, sizeof t->entries);
	for (size_t i = 0; i < old.n; i++)
		if (old.at[i]->seq > head->seq)
			entry_put(t, old.at[i]->bytes, old.at[i]->n);
	if (head->seq > t->seq)
		t->seq = head->seq;
	arena_free(old_mem);
	return true;
}

int64_t
route_table_seq(const RouteTable *t)
{
	return t->seq;
}

size_t
route_table_overlay(const RouteTable *t)
{
	return t->entries.n;
}

size_t
route_table_count(const RouteTable *t)
{
	return t->view.nroutes + t->entries.n;
}

/* --- looking ---------------------------------------------------------------------------- */

static void
copy_text(char out[ROUTE_NAME], const View *v, uint32_t at)
{
	const char *text = at < v->nstrings ? v->strings + at : "";
	size_t n = strnlen(text, ROUTE_NAME - 1);

	memset(out, 0, ROUTE_NAME);
	memcpy(out, text, n);
}

static bool
copy_route(const View *v, const RouteCell *c, Route *out)
{
	if (c->state == ROUTE_NONE || c->state > ROUTE_OFF)
		return false;
	memset(out, 0, sizeof *out);
	memcpy(out->tenant, c->tenant, ROUTE_TENANT - 1);
	out->id = c->id;
	out->epoch = c->epoch;
	out->seq = c->seq;
	out->state = route_cluster(c->cluster) ? (RouteState)c->state : ROUTE_OFF;
	out->parked_until = c->parked_until;
	out->suspended = (c->flags & CELL_SUSPENDED) != 0;
	out->pool = c->flags & CELL_TRANSACTION ? POOL_TRANSACTION : POOL_SESSION;
	out->guarded = (c->flags & CELL_GUARDED) != 0;
	out->cap = c->cap;
	out->cluster = c->cluster;
	copy_text(out->dbname, v, c->dbname);
	out->logins = c->logins;
	return true;
}

static const RouteCell *
find_mapped(const RouteTable *t, const char *tenant)
{
	uint32_t mask = t->head->slots - 1;
	uint32_t at = (uint32_t)table_hash(t->head->seed, tenant) & mask;

	/* fewer routes than slots: a free one ends the search */
	for (uint32_t tries = 0; tries <= mask && t->slots[at]; tries++, at = (at + 1) & mask) {
		uint32_t i = t->slots[at] - 1;
		if (i < t->view.nroutes &&
		    strncmp(t->view.routes[i].tenant, tenant, ROUTE_TENANT) == 0)
			return &t->view.routes[i];
	}
	return NULL;
}

static const RouteCell *
find_cell(const RouteTable *t, const char *tenant, const View **v)
{
	const Entry *e;

	if (!*tenant || strnlen(tenant, ROUTE_TENANT) == ROUTE_TENANT)
		return NULL;
	e = map_get(t->overlay, tenant);
	*v = e ? &e->view : &t->view;
	return e ? e->view.routes : find_mapped(t, tenant);
}

bool
route_find(const RouteTable *t, const char *tenant, Route *out)
{
	const View *v;
	const RouteCell *c = find_cell(t, tenant, &v);

	return c && copy_route(v, c, out);
}

bool
route_login(const RouteTable *t, const char *tenant, const char *user, RouteLogin *out)
{
	const View *v;
	const RouteCell *c = find_cell(t, tenant, &v);

	if (!c || c->state == ROUTE_NONE)
		return false;
	for (uint32_t i = 0; i < c->logins && c->first_login + i < v->nlogins; i++) {
		const LoginCell *l = &v->logins[c->first_login + i];
		if (l->user >= v->nstrings || strcmp(v->strings + l->user, user) != 0)
			continue;
		copy_text(out->user, v, l->user);
		copy_text(out->role, v, l->role);
		out->on = l->on != 0;
		out->valid_until = l->valid_until;
		out->max_conns = l->max_conns;
		return true;
	}
	return false;
}

/* The entries come after the routes of the snapshot, each of which they may hide. */
bool
route_at(const RouteTable *t, size_t i, Route *out)
{
	if (i >= t->view.nroutes) {
		i -= t->view.nroutes;
		return i < t->entries.n &&
		    copy_route(&t->entries.at[i]->view, t->entries.at[i]->view.routes, out);
	}
	return !map_get(t->overlay, t->view.routes[i].tenant) &&
	    copy_route(&t->view, &t->view.routes[i], out);
}

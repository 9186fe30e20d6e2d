#include <string.h>

#include "lib/base/vec.h"
#include "region/gateway/worker_intern.h"

#define RENEW_ABOVE ((size_t)64 << 10)

/* --- what they take ----------------------------------------------------------------- */

/* The text is kept twice, the second time with its types in hex; what else there is of each is about
 * so much. */
static size_t
cost(const Statement *st, const char *name)
{
	return strlen(name) + 2 * st->sql_n + 3 * st->types_n + 256;
}

static void
charge(Client *c, size_t n)
{
	c->names_bytes += n;
	c->pool->tenant->names_bytes += n;
}

static void
uncharge(Client *c, size_t n)
{
	c->names_bytes -= n;
	c->pool->tenant->names_bytes -= n;
}

bool
names_room(const Client *c, const Statement *st, const char *name)
{
	size_t n = cost(st, name) + sizeof(HopedName) + strlen(name);

	return c->names_bytes + n <= CLIENT_STATEMENTS &&
	    c->pool->tenant->names_bytes + n <= TENANT_STATEMENTS;
}

/* --- names -------------------------------------------------------------------------- */

void
names_set(Client *c, const char *name, Statement *st)
{
	if (!c->names_mem) {
		c->names_mem = arena_new(c->conn.w->mem);
		c->names = map_new(c->names_mem);
	}
	map_set(c->names, name, st);
	charge(c, cost(st, name));
}

Statement *
names_get(const Client *c, const char *name)
{
	return c->names ? map_get(c->names, name) : NULL;
}

/* Nobody uses it by that name any more. */
static void
let_go(Client *c, Statement *st, const char *name)
{
	uncharge(c, cost(st, name));
	statement_drop(c->conn.w, st);
}

void
names_drop(Client *c, const char *name)
{
	Statement *st = names_get(c, name);

	if (!st)
		return;
	map_remove(c->names, name);
	let_go(c, st, name);
}

void
names_unnamed(Client *c, Statement *st)
{
	if (c->unnamed)
		let_go(c, c->unnamed, "");
	c->unnamed = st;
	c->unnamed_long = false;
	if (st)
		charge(c, cost(st, ""));
}

/* --- what is not answered yet --------------------------------------------------------- */

static size_t
hoped_bytes(const char *name)
{
	return sizeof(HopedName) + strlen(name);
}

static void
hoped_add(Client *c, HopedName h)
{
	if (!c->hoped_mem)
		c->hoped_mem = arena_new(c->conn.w->mem);
	c->hoped_live += hoped_bytes(h.name);
	charge(c, hoped_bytes(h.name));
	h.name = arena_dup(c->hoped_mem, h.name);
	vec_push(c->hoped_mem, &c->hoped, h);
}

static void
hoped_free(Client *c)
{
	uncharge(c, c->hoped_live + c->hoped_garbage);
	arena_free(c->hoped_mem);
	c->hoped_mem = NULL;
	c->hoped = (Hoped){ 0 };
	c->hoped_live = c->hoped_garbage = 0;
}

/* A client that never lets them all be answered would keep every name that it has used. */
static void
hoped_tidy(Client *c)
{
	Hoped old = c->hoped;
	Arena *mem = c->hoped_mem;

	if (old.n == 0) {
		hoped_free(c);
		return;
	}
	if (c->hoped_garbage < RENEW_ABOVE || c->hoped_garbage < c->hoped_live)
		return;
	uncharge(c, c->hoped_live + c->hoped_garbage);
	c->hoped_mem = NULL;
	c->hoped = (Hoped){ 0 };
	c->hoped_live = c->hoped_garbage = 0;
	for (size_t i = 0; i < old.n; i++)
		hoped_add(c, old.at[i]);
	arena_free(mem);
}

/* The first of that id: they are answered in order.  False: there is none. */
static bool
hoped_take(Client *c, uint64_t id, HopedName *out)
{
	Hoped *h = &c->hoped;

	for (size_t i = 0; i < h->n; i++)
		if (h->at[i].id == id) {
			*out = h->at[i];
			memmove(h->at + i, h->at + i + 1, (--h->n - i) * sizeof *h->at);
			c->hoped_live -= hoped_bytes(out->name);
			c->hoped_garbage += hoped_bytes(out->name);
			return true;
		}
	return false;
}

/* The next of that name of one of the two kinds; NULL: there is none. */
static HopedName *
hoped_next(const Client *c, const char *name, bool closes)
{
	for (size_t i = 0; i < c->hoped.n; i++)
		if (c->hoped.at[i].closes == closes && strcmp(c->hoped.at[i].name, name) == 0)
			return &c->hoped.at[i];
	return NULL;
}

void
names_hope(Client *c, uint64_t id, const char *name)
{
	hoped_add(c, (HopedName){ .id = id, .name = name });
}

void
names_close(Client *c, const char *name, uint64_t id)
{
	hoped_add(
	    c, (HopedName){ .id = id, .name = name, .closed = names_get(c, name), .closes = true });
	map_remove(c->names, name);
}

/* The name has what it had before, or will have it should the Parse fail that came meanwhile. */
static void
bring_back(Client *c, const char *name, Statement *st)
{
	HopedName *parse = hoped_next(c, name, false);

	if (parse && !parse->closed) {
		parse->closed = st;
	} else if (parse || names_get(c, name)) {
		let_go(c, st, name);
	} else {
		map_set(c->names, name, st);
	}
}

/* The Parse that did not happen has left the name behind, unless it was closed again. */
static void
parse_lost(Client *c, const HopedName *h)
{
	HopedName *close = hoped_next(c, h->name, true);

	if (!h->name[0]) {
		if (c->unnamed && c->unnamed->id == h->id)
			names_unnamed(c, NULL);
	} else if (!close) {
		names_drop(c, h->name);
	} else if (close->closed) {
		let_go(c, close->closed, h->name);
		close->closed = NULL;
	}
}

void
names_lost(Client *c, uint64_t id)
{
	HopedName h;

	if (!hoped_take(c, id, &h))
		return;
	if (!h.closes)
		parse_lost(c, &h);
	else if (c->unnamed && c->unnamed->id == id) /* the DEALLOCATE that was to do it */
		names_unnamed(c, NULL);
	if (h.closed)
		bring_back(c, h.name, h.closed);
	hoped_tidy(c);
}

void
names_done(Client *c, uint64_t id)
{
	HopedName h;

	if (!hoped_take(c, id, &h))
		return;
	if (h.closed)
		let_go(c, h.closed, h.name);
	hoped_tidy(c);
}

void
names_settle(Client *c)
{
	while (c->hoped.n > 0)
		names_done(c, c->hoped.at[0].id);
}

/* Those whose Parse is not answered yet came after it. */
void
names_forget(Client *c)
{
	const MapItem *i = NULL, *next = c->names ? map_next(c->names, NULL) : NULL;

	while ((i = next)) {
		next = map_next(c->names, i);
		if (!hoped_next(c, i->key, false))
			names_drop(c, i->key);
	}
	for (size_t k = 0; k < c->hoped.n; k++) {
		HopedName *h = &c->hoped.at[k];
		if (h->closes && h->closed && !hoped_next(c, h->name, false)) {
			let_go(c, h->closed, h->name);
			h->closed = NULL;
		}
	}
	if (!hoped_next(c, "", false))
		names_unnamed(c, NULL);
}

void
names_free(Client *c)
{
	if (!c->pool) /* not logged in */
		return;
	names_settle(c);
	for (const MapItem *i = NULL; c->names && (i = map_next(c->names, i)) != NULL;)
		let_go(c, i->value, i->key);
	names_unnamed(c, NULL);
	arena_free(c->names_mem);
	c->names_mem = NULL;
	c->names = NULL;
}

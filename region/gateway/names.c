#include <string.h>

#include "lib/base/vec.h"
#include "region/gateway/worker_intern.h"

void
names_set(Client *c, const char *name, Statement *st)
{
	if (!c->names_mem) {
		c->names_mem = arena_new(c->conn.w->mem);
		c->names = map_new(c->names_mem);
	}
	map_set(c->names, name, st);
	c->names_bytes += st->sql_n;
}

Statement *
names_get(const Client *c, const char *name)
{
	return c->names ? map_get(c->names, name) : NULL;
}

void
names_drop(Client *c, const char *name)
{
	Statement *st = names_get(c, name);

	if (!st)
		return;
	c->names_bytes -= st->sql_n;
	map_remove(c->names, name);
	statement_drop(c->conn.w, st);
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

void
names_hope(Client *c, uint32_t id, const char *name)
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
names_lost(Client *c, uint32_t id)
{
	const char *name = no_more_hoped(c, id);

	if (name && name[0]) {
		names_drop(c, name);
	} else if (c->unnamed && c->unnamed->id == id) {
		statement_drop(c->conn.w, c->unnamed);
		c->unnamed = NULL;
	}
	hoped_done(c);
}

void
names_done(Client *c, uint32_t id)
{
	no_more_hoped(c, id);
	hoped_done(c);
}

static bool
is_hoped(const Client *c, const char *name)
{
	for (size_t i = 0; i < c->hoped.n; i++)
		if (strcmp(c->hoped.at[i].name, name) == 0)
			return true;
	return false;
}

/* Those whose Parse is not answered yet came after it. */
void
names_forget(Client *c)
{
	const MapItem *i = NULL, *next = c->names ? map_next(c->names, NULL) : NULL;

	while ((i = next)) {
		next = map_next(c->names, i);
		if (!is_hoped(c, i->key))
			names_drop(c, i->key);
	}
	if (is_hoped(c, ""))
		return;
	statement_drop(c->conn.w, c->unnamed);
	c->unnamed = NULL;
}

void
names_free(Client *c)
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

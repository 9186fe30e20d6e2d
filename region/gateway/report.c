#include <string.h>

#include "lib/adapters/js.h"
#include "region/gateway/worker_intern.h"

#define ROWS 200 /* of a list in one packet */

typedef struct Report {
	Worker *w;
	uint64_t id;
	Arena *mem;
	const char *list; /* "pools"... */
	Js *rows;
	size_t n;
	const char *about;
	int64_t now;
} Report;

static void
send_text(Report *r, const Js *j, bool more)
{
	const LinkText head = { .more = more };
	const char *text = js_canonical(r->mem, j);

	link_send2(WORKER_LINK, LINK_ANSWER, r->id, &head, sizeof head, text, strlen(text));
}

static void
send_rows(Report *r, bool more)
{
	Js *j = js_object(r->mem);

	js_set(j, r->list, r->rows);
	send_text(r, j, more);
	r->rows = js_array(r->mem);
	r->n = 0;
}

static Js *
add_row(Report *r)
{
	Js *row = js_object(r->mem);

	if (r->n == ROWS)
		send_rows(r, true);
	js_push(r->rows, row);
	r->n++;
	return row;
}

/* --- counts ----------------------------------------------------------------------- */

static void
status(Report *r)
{
	const Worker *w = r->w;
	const WorkerStats *st = &w->stats;
	int64_t active = 0, waiting = 0, parked = 0, servers = 0, idle = 0, clients = 0;
	Js *j = js_object(r->mem);

	for (const MapItem *i = NULL; (i = map_next(w->tenants, i)) != NULL;) {
		const Tenancy *t = i->value;
		clients += t->nclients;
		servers += t->nservers;
		for (const Pool *p = t->pools; p; p = p->next) {
			idle += p->nidle;
			*(gate_open(w, t) ? &waiting : &parked) += p->nwaiting;
			for (const Server *s = p->servers; s; s = s->next)
				active += s->client != NULL;
		}
	}
	js_set_int(j, "worker", w->start.worker);
	js_set_int(j, "clients", clients);
	js_set_int(j, "active", active);
	js_set_int(j, "waiting", waiting);
	js_set_int(j, "parked", parked);
	js_set_int(j, "servers", servers);
	js_set_int(j, "idle_servers", idle);
	js_set_int(j, "queries", st->queries);
	js_set_int(j, "transactions", st->transactions);
	js_set_int(j, "logins", st->logins);
	js_set_int(j, "logins_failed", st->logins_failed);
	js_set_int(j, "cancels", st->cancels);
	js_set_int(j, "refused", st->refused);
	js_set_int(j, "bytes_in", st->bytes_in);
	js_set_int(j, "bytes_out", st->bytes_out);
	js_set_int(j, "seq", w->table ? route_table_seq(w->table) : 0);
	js_set_bool(j, "lease", !w->lapsed);
	send_text(r, j, false);
}

static void
drained(Report *r)
{
	const Tenancy *t = tenancy_find(r->w, r->about);
	int64_t holding = 0, pinned = 0;
	Js *j = js_object(r->mem);

	for (const Client *c = t ? t->clients : NULL; c; c = c->tenant_next) {
		holding += c->server != NULL;
		pinned += c->server && client_pinned(c);
	}
	for (const Pool *p = t ? t->pools : NULL; p; p = p->next)
		for (const Server *s = p->servers; s; s = s->next)
			holding += s->state == SERVER_RESET;
	js_set_int(j, "holding", holding);
	js_set_int(j, "pinned", pinned);
	send_text(r, j, false);
}

/* --- lists ------------------------------------------------------------------------- */

static void
pools(Report *r)
{
	for (const MapItem *i = NULL; (i = map_next(r->w->tenants, i)) != NULL;) {
		const Tenancy *t = i->value;
		for (const Pool *p = t->pools; p; p = p->next) {
			Js *row = add_row(r);
			int64_t active = 0;
			for (const Server *s = p->servers; s; s = s->next)
				active += s->client != NULL;
			js_set_text(row, "tenant", t->route.tenant);
			js_set_text(row, "user", p->user);
			js_set_text(
			    row, "mode", t->route.pool == POOL_SESSION ? "session" : "transaction");
			js_set_int(row, "clients", p->nclients);
			js_set_int(row, "active", active);
			js_set_int(row, "idle", p->nidle);
			js_set_int(row, "waiting", p->nwaiting);
			js_set_int(
			    row, "oldest_wait_ms", p->first ? r->now - p->first->waiting_ms : 0);
		}
	}
}

static const char *
client_state(const Client *c)
{
	if (c->server)
		return c->server->busy_ms > 0 ? "active"
		    : c->server->tx == 'I'    ? "idle"
					      : "in transaction";
	if (c->waits)
		return gate_open(c->conn.w, c->pool->tenant) ? "waiting" : "parked";
	return "idle";
}

static void
clients(Report *r)
{
	const Tenancy *t = tenancy_find(r->w, r->about);

	for (const Client *c = t ? t->clients : NULL; c; c = c->tenant_next) {
		Js *row = add_row(r);
		js_set_text(row, "user", c->user);
		js_set_text(row, "from", c->from);
		js_set_text(row, "state", client_state(c));
		js_set_int(row, "since_ms", r->now - c->since_ms);
		js_set_text(
		    row, "application", c->var[VAR_APPLICATION] ? c->var[VAR_APPLICATION] : "");
		js_set_bool(row, "pinned", client_pinned(c));
	}
}

static void
pins(Report *r)
{
	const Tenancy *t = tenancy_find(r->w, r->about);

	for (const Client *c = t ? t->clients : NULL; c; c = c->tenant_next) {
		bool in_tx = c->server && (c->server->tx != 'I' || c->server->busy_ms > 0);
		if (!client_pinned(c) && !in_tx)
			continue;
		Js *row = add_row(r), *why = js_array(r->mem);
		for (uint32_t bit = 1; bit < PIN_SETTINGS; bit <<= 1)
			if (c->pins & bit)
				js_push_text(why, word_name((Word)bit));
		if (c->pins & PIN_SETTINGS)
			js_push_text(why, "settings at start");
		if (c->pins & PIN_STATEMENT)
			js_push_text(why, "long prepared statement");
		js_set_text(row, "user", c->user);
		js_set_text(row, "from", c->from);
		js_set_text(
		    row, "application", c->var[VAR_APPLICATION] ? c->var[VAR_APPLICATION] : "");
		js_set(row, "why", why);
		js_set_bool(row, "in_transaction", in_tx);
	}
}

static const char *
server_state(const Server *s)
{
	switch (s->state) {
	case SERVER_DIAL:
		return "connecting";
	case SERVER_IDLE:
		return "idle";
	case SERVER_LINKED:
		return s->busy_ms > 0 ? "active" : s->tx == 'I' ? "held" : "in transaction";
	case SERVER_RESET:
		return "resetting";
	case SERVER_DEAD:
		return "closed";
	}
	return "";
}

static void
servers(Report *r)
{
	for (const MapItem *i = NULL; (i = map_next(r->w->tenants, i)) != NULL;) {
		const Tenancy *t = i->value;
		for (const Pool *p = t->pools; p; p = p->next)
			for (const Server *s = p->servers; s; s = s->next) {
				const char *cluster = r->w->clusters[s->cluster].c.name;
				if (r->about[0] && strcmp(cluster, r->about) != 0)
					continue;
				Js *row = add_row(r);
				js_set_text(row, "cluster", cluster);
				js_set_text(row, "tenant", t->route.tenant);
				js_set_text(row, "role", p->role);
				js_set_text(row, "state", server_state(s));
				js_set_int(row, "pid", s->pid);
				js_set_int(row, "since_ms", r->now - s->since_ms);
			}
	}
}

/* Ends the sessions of a tenant that hold a server connection. */
static void
end_holders(Report *r)
{
	const Tenancy *t = tenancy_find(r->w, r->about);
	int64_t ended = 0;
	Js *j = js_object(r->mem);

	for (Client *c = t ? t->clients : NULL; c; c = c->tenant_next)
		if (c->server) {
			client_fatal(c, "57P01", "the session was ended by an operator", NULL);
			ended++;
		}
	js_set_int(j, "ended", ended);
	send_text(r, j, false);
}

void
report_answer(Worker *w, uint64_t id, const LinkAsk *ask)
{
	static const struct {
		const char *what;
		void (*fn)(Report *r);
		bool list;
	} known[] = {
		{ "status", status, false },
		{ "drained", drained, false },
		{ "end", end_holders, false },
		{ "pools", pools, true },
		{ "clients", clients, true },
		{ "servers", servers, true },
		{ "pins", pins, true },
	};
	Report r = { .w = w,
		.id = id,
		.mem = arena_new(w->mem),
		.about = ask->about,
		.now = worker_now(w) };

	r.rows = js_array(r.mem);
	for (size_t i = 0; i < LENGTH(known); i++)
		if (strcmp(ask->what, known[i].what) == 0) {
			r.list = known[i].what;
			known[i].fn(&r);
			if (known[i].list)
				send_rows(&r, false);
		}
	arena_free(r.mem);
}

#include <string.h>

#include "lib/base/clock.h"
#include "region/gateway/proof.h"
#include "region/gateway/worker_intern.h"

struct LoginTry {
	Arena *mem;
	Entry entry;
	ProofIn proof;
};

void
client_login_free(Client *c)
{
	if (!c->login)
		return;
	Arena *mem = c->login->mem;
	worker_forget(c->conn.w, c);
	scram_wipe(c->login, sizeof *c->login);
	arena_free(mem);
	c->login = NULL;
}

Entry *
client_entry(Client *c)
{
	if (!c->login) {
		Arena *mem = arena_new(c->conn.w->mem);
		c->login = arena_alloc(mem, sizeof *c->login);
		c->login->mem = mem;
	}
	return &c->login->entry;
}

static void
say(Client *c, size_t n)
{
	queue_add(c->conn.w, &c->conn.out, c->conn.w->build, n);
}

void
client_login(Client *c)
{
	Worker *w = c->conn.w;
	char list[64];
	size_t n = proof_in_offer(&c->login->proof, c->conn.io.tls != NULL, list);

	c->state = CLIENT_SASL;
	say(c, wire_put_auth(w->build, sizeof w->build, AUTH_SASL, list, n));
	client_told(c);
}

static void
refuse(Client *c, const ProofIn *p)
{
	c->conn.w->stats.logins_failed += strcmp(p->sqlstate, "28P01") == 0;
	client_fatal(c, p->sqlstate, p->why, NULL);
}

/* It was taken away while it was proven. */
static void
refuse_gone(Client *c)
{
	c->conn.w->stats.logins_failed++;
	client_fatal(c, "28P01", "tenant, user or password is wrong", NULL);
}

static void
have_verifier(void *ptr, LinkType type, const void *body, size_t n)
{
	Client *c = ptr;
	Worker *w = c->conn.w;
	ProofIn *p = &c->login->proof;
	const LinkVerifier *v = body;
	unsigned char binding[64];
	char out[SCRAM_MESSAGE];
	size_t len, binding_n = p->plus ? stream_tls_binding(c->conn.io.with, binding) : 0;

	(void)type;
	if (!body || n != sizeof *v || v->unreadable) {
		client_fatal(c, "57P03", "the gateway cannot look logins up now", NULL);
		return;
	}
	if (!proof_in_verifier(
		p, &v->verifier, v->known, (Bytes){ binding, binding_n }, out, &len)) {
		refuse(c, p);
		return;
	}
	c->state = CLIENT_PROOF;
	c->conn.deaf = false;
	say(c, wire_put_auth(w->build, sizeof w->build, AUTH_SASL_MORE, out, len));
	client_told(c);
}

static void
first_message(Client *c, const unsigned char *body, size_t n)
{
	LoginTry *l = c->login;
	LinkWho who = { 0 };

	if (!proof_in_first(&l->proof, body, n)) {
		refuse(c, &l->proof);
		return;
	}
	memcpy(who.tenant, l->entry.tenant, sizeof l->entry.tenant);
	memcpy(who.user, l->entry.user, sizeof l->entry.user);
	c->state = CLIENT_VERIFIER;
	c->conn.deaf = true;
	if (worker_ask(c->conn.w, LINK_ASK_VERIFIER, &who, sizeof who, have_verifier, c) == 0)
		client_fatal(c, "57P03", "the gateway cannot look logins up now", NULL);
}

/* --- the proof was right ------------------------------------------------------------------ */

static bool
in_limits(Client *c, const Route *r, const RouteLogin *login)
{
	const LinkLimits *limits = &c->conn.w->start.limits;
	Tenancy *t = tenancy_find(c->conn.w, r->tenant);
	int32_t of_login = 0;

	for (Pool *p = t ? t->pools : NULL; p; p = p->next)
		if (strcmp(p->user, login->user) == 0)
			of_login += p->nclients;
	if ((login->max_conns > 0 && of_login >= login->max_conns) ||
	    (limits->tenant_clients > 0 && t && t->nclients >= limits->tenant_clients)) {
		client_fatal(c, "53300", "too many connections of this login", NULL);
		return false;
	}
	return true;
}

/* Settings are kept in memory that is the client's own. */
static void
keep_settings(Client *c, const Entry *e)
{
	Worker *w = c->conn.w;

	for (size_t i = 0; i < e->ntracked; i++) {
		int var = var_of(e->tracked[i].name);
		if (var >= 0)
			c->var[var] = worker_text(w, e->tracked[i].value);
	}
	if (e->nothers == 0)
		return;
	if (!c->mem)
		c->mem = arena_new(w->mem);
	StartupParam *own = arena_alloc(c->mem, e->nothers * sizeof *own);
	for (size_t i = 0; i < e->nothers; i++)
		own[i] = (StartupParam){ arena_dup(c->mem, e->other[i].name),
			arena_dup(c->mem, e->other[i].value) };
	c->own = own;
	c->nown = e->nothers;
	c->pins |= PIN_SETTINGS;
}

/* What may be said of the tenant is said from here on: the password was right. */
static bool
admitted(Client *c, Route *r, RouteLogin *login)
{
	Worker *w = c->conn.w;
	const Entry *e = &c->login->entry;

	if (!route_find(w->table, e->tenant, r) ||
	    !route_login(w->table, e->tenant, e->user, login)) {
		refuse_gone(c);
		return false;
	}
	if (r->state == ROUTE_OFF && r->suspended) {
		client_fatal(c, "TN001", "the tenant is suspended", NULL);
		return false;
	}
	if (r->state == ROUTE_OFF || !login->on ||
	    (login->valid_until > 0 && login->valid_until <= clock_wall_ms())) {
		refuse_gone(c);
		return false;
	}
	if (e->replication) {
		client_fatal(c, "0A000", "the gateway carries no replication connections",
		    "Connect to the server directly.");
		return false;
	}
	/* what SET is refused on such a route the first packet is refused, too */
	if (r->guarded && e->nothers > 0) {
		client_fatal(c, refusals[REFUSE_START].sqlstate, refusals[REFUSE_START].text, NULL);
		return false;
	}
	return in_limits(c, r, login);
}

static void
last_message(Client *c, const unsigned char *body, size_t n)
{
	Worker *w = c->conn.w;
	LoginTry *l = c->login;
	Route r;
	RouteLogin login;
	char out[SCRAM_MESSAGE];
	size_t len;

	if (!proof_in_last(&l->proof, body, n, out, &len)) {
		refuse(c, &l->proof);
		return;
	}
	if (!admitted(c, &r, &login))
		return;
	say(c, wire_put_auth(w->build, sizeof w->build, AUTH_SASL_FINAL, out, len));
	say(c, wire_put_auth(w->build, sizeof w->build, AUTH_OK, NULL, 0));
	memcpy(c->user, login.user, sizeof c->user);
	pool_join(pool_for(w, &r, &login), c);
	keep_settings(c, &l->entry);
	client_login_free(c);
	w->stats.logins++;
	client_logged(c);
	client_told(c);
	if (c->state == CLIENT_WELCOME)
		client_welcome(c);
}

bool
client_login_message(Client *c, char type, const unsigned char *body, size_t n)
{
	if (type != 'p')
		return false;
	if (c->state == CLIENT_SASL)
		first_message(c, body, n);
	else
		last_message(c, body, n);
	return true;
}

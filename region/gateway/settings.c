#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"
#include "region/gateway/worker_intern.h"

/* --- what a client is told at login ---------------------------------------------------- */

/* What roles of tenants begin with, where none of this pool's servers has said it yet.  It is never
 * asked of another tenant's: what a role has set for itself is nobody else's. */
static const StartupParam guesses[] = {
	{ "application_name", "" },
	{ "client_encoding", "UTF8" },
	{ "DateStyle", "ISO, MDY" },
	{ "default_transaction_read_only", "off" },
	{ "in_hot_standby", "off" },
	{ "integer_datetimes", "on" },
	{ "IntervalStyle", "postgres" },
	{ "is_superuser", "off" },
	{ "server_encoding", "UTF8" },
	{ "server_version", NULL }, /* as any server of the cluster says */
	{ "session_authorization", NULL },
	{ "standard_conforming_strings", "on" },
	{ "TimeZone", "UTC" },
};

typedef struct Told {
	const StartupParam *at;
	size_t n;
} Told;

static const char *
find(Told t, const char *name)
{
	for (size_t i = 0; i < t.n; i++)
		if (strcmp(t.at[i].name, name) == 0)
			return t.at[i].value;
	return NULL;
}

static const char *
guess(const Client *c, const StartupParam *g)
{
	const WorkerCluster *cluster = &c->conn.w->clusters[c->pool->tenant->route.cluster];

	if (g->value)
		return g->value;
	if (strcmp(g->name, "session_authorization") == 0)
		return c->pool->role;
	return find((Told){ cluster->welcome, cluster->nwelcome }, g->name);
}

/* What a server has said: the client's own one, or the newest of its pool. */
static Told
said(const Client *c)
{
	if (c->server && c->server->own)
		return (Told){ c->server->welcome, c->server->nwelcome };
	return (Told){ c->pool->welcome, c->pool->nwelcome };
}

static const char *
value_of(const Client *c, Told t, const char *name)
{
	if (t.at)
		return find(t, name);
	for (size_t i = 0; i < LENGTH(guesses); i++)
		if (strcmp(guesses[i].name, name) == 0)
			return guess(c, &guesses[i]);
	return NULL;
}

/* A value that the client asks for is checked by a server first. */
static bool
asks_for_others(const Client *c, Told t)
{
	for (int i = 0; i < VARS; i++) {
		const char *value;
		if (!c->var[i] || i == VAR_APPLICATION)
			continue;
		value = value_of(c, t, var_names[i]);
		if (!value || strcmp(value, c->var[i]) != 0)
			return true;
	}
	return false;
}

/* Where a server can still be had its login tells whether the database can be reached. */
bool
settings_known(const Client *c)
{
	const Pool *p = c->pool;
	Told t = said(c);

	if (c->nown > 0 || (!t.at && !pool_crowded(p)))
		return false;
	return value_of(c, t, "server_version") && !asks_for_others(c, t);
}

static void
tell(Client *c, const char *name, const char *value)
{
	Worker *w = c->conn.w;

	queue_add(
	    w, &c->conn.out, w->build, wire_put_setting(w->build, sizeof w->build, name, value));
}

void
settings_welcome(Client *c)
{
	Told t = said(c);

	c->guessed = !t.at;
	for (size_t i = 0; i < (t.at ? t.n : LENGTH(guesses)); i++) {
		const char *name = t.at ? t.at[i].name : guesses[i].name;
		const char *value = t.at ? t.at[i].value : guess(c, &guesses[i]);
		int var = var_of(name);
		if (t.at && var >= 0 && !c->var[var])
			c->var[var] = worker_text(c->conn.w, value);
		tell(c, name, var >= 0 && c->var[var] ? c->var[var] : value);
	}
}

/* A server of its pool has said it now: the client hears of what is not as it was told. */
static void
learn(Client *c)
{
	Told t = said(c);

	for (size_t i = 0; i < t.n; i++) {
		const StartupParam *p = &t.at[i];
		const char *told = value_of(c, (Told){ 0 }, p->name);
		int var = var_of(p->name);
		if (var >= 0 && c->var[var])
			continue;
		if (var >= 0)
			c->var[var] = worker_text(c->conn.w, p->value);
		if (!told || strcmp(told, p->value) != 0)
			tell(c, p->name, p->value);
	}
	c->guessed = false;
}

/* --- what a server is told ---------------------------------------------------------------- */

static void
say(Server *s, const Client *c)
{
	if (memcmp(c->var, s->var, sizeof s->var) == 0)
		return; /* as a rule, and there is one of these for each transaction */
	Arena *mem = arena_new(s->conn.w->mem);
	Buf b = buf_new(mem);

	for (int i = 0; i < VARS; i++) {
		if (c->var[i] == s->var[i])
			continue;
		if (c->var[i]) {
			buf_fmt(&b, "SET %s = ", var_names[i]);
			buf_literal(&b, c->var[i]);
		} else {
			buf_fmt(&b, "RESET %s", var_names[i]);
		}
		buf_addc(&b, ';');
		s->var[i] = c->var[i];
	}
	server_say(s, b.text);
	arena_free(mem);
}

void
settings_give(Server *s, Client *c)
{
	c->resets = 0;
	c->reset = false;
	if (c->guessed)
		learn(c);
	say(s, c);
}

/* --- RESET, DISCARD ALL ---------------------------------------------------------------------- */

static bool
began_with_some(const Client *c)
{
	for (int i = 0; i < VARS; i++)
		if (c->start[i])
			return true;
	return false;
}

void
settings_sent(Client *c, uint32_t resets)
{
	if (began_with_some(c))
		c->resets |= resets;
}

bool
settings_wait(const Client *c, char type)
{
	const Replies *q = &c->server->replies;

	return c->resets && q->n > 0 && !q->unsynced && !strchr("dcfH", type);
}

void
settings_tag(Server *s, const char *tag)
{
	Client *c = s->client;
	bool all = strcmp(tag, "DISCARD ALL") == 0;

	if (c)
		c->reset = c->reset || all || strcmp(tag, "RESET") == 0 || strcmp(tag, "SET") == 0;
	else if (all)
		s->var[VAR_FLOATS] = NULL; /* no server reports it */
}

static void
bring_back(Server *s, Client *c)
{
	for (int i = 0; i < VARS; i++) {
		if (!c->start[i] || !(c->resets & 1u << i))
			continue;
		if (i == VAR_FLOATS)
			s->var[i] = NULL;
		else if (c->var[i] != c->start[i])
			tell(c, var_names[i], c->start[i]);
		c->var[i] = c->start[i];
	}
	say(s, c);
}

void
settings_restore(Server *s)
{
	Client *c = s->client;

	if (c->reset && s->tx != 'E')
		bring_back(s, c);
	c->reset = false;
	if (s->replies.n == 0 || server_answers_us(s))
		c->resets = 0;
}

#include <stdio.h>
#include <string.h>

#include "region/gateway/worker_intern.h"

#define QUERY_WHOLE 65536 /* bytes; a longer one streams through while it is read */

static void
say(Client *c, size_t n)
{
	queue_add(c->conn.w, &c->conn.out, c->conn.w->build, n);
}

/* In place of the message goes one that fails: the server then does what it does after any error, and
 * its own error is not passed on. */
static void
refuse_message(Client *c, char type, uint32_t why)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	const char *text = "copyhold: refused";
	size_t n;

	if (type == 'Q') {
		n = wire_put_query(w->build, sizeof w->build, text);
	} else {
		n = wire_put_parse_head(w->build, sizeof w->build, "", strlen(text) + 3);
		memcpy(w->build + n, text, strlen(text) + 1);
		n += strlen(text) + 1;
		memset(w->build + n, 0, 2);
		n += 2;
		type = 'P';
	}
	s->unnamed = 0;
	if (replies_sent(&s->replies, type, REPLY_CLIENTS, REFUSED | why))
		queue_add(w, &s->conn.out, w->build, n);
}

/* --- prepared statements --------------------------------------------------------------------- */

static bool
standard_strings(const Client *c)
{
	return !c->var[VAR_STRINGS] || strcmp(c->var[VAR_STRINGS], "off") != 0;
}

static void
send_as_is(Client *c, const unsigned char *at, size_t n)
{
	queue_add(c->conn.w, &c->server->conn.out, at, n);
}

/* Sends Parse under the name that the server knows it by.  Whose: the client's own, or ours before a
 * Bind of the client that was given another server. */
static void
send_parse(Client *c, Statement *st, bool unnamed, ReplyWhose whose)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	char name[32];
	size_t n;

	if (!unnamed && s->unsure)
		server_unprepare(s, st->id, 0);
	if (!replies_sent(&s->replies, 'P', whose, unnamed ? st->id | UNNAMED : st->id))
		return;
	n = wire_put_parse_head(w->build, sizeof w->build, unnamed ? "" : statement_name(st, name),
	    st->sql_n + 1 + st->types_n);
	queue_add(w, &s->conn.out, w->build, n);
	queue_add(w, &s->conn.out, st->sql, st->sql_n + 1);
	queue_add(w, &s->conn.out, st->types, st->types_n);
	if (unnamed)
		s->unnamed = st->id;
	else
		server_prepared(s, st);
}

static void
parse_unnamed(Client *c, const unsigned char *at, size_t total, Statement *st)
{
	Server *s = c->server;

	if (!s->replies.skipping && !names_room(c, st, "")) {
		refuse_message(c, 'P', REFUSE_MANY);
		statement_drop(c->conn.w, st);
		return;
	}
	if (!replies_sent(&s->replies, 'P', REPLY_CLIENTS, st->id | UNNAMED)) {
		statement_drop(c->conn.w, st);
		return;
	}
	names_unnamed(c, st);
	names_hope(c, st->id, "");
	s->unnamed = st->id;
	send_as_is(c, at, total);
}

static void
parse_named(Client *c, Statement *st, const char *name)
{
	Server *s = c->server;

	if (s->replies.skipping) {
		statement_drop(c->conn.w, st);
		return;
	}
	if (names_get(c, name) || !names_room(c, st, name)) {
		refuse_message(c, 'P', names_get(c, name) ? REFUSE_EXISTS : REFUSE_MANY);
		statement_drop(c->conn.w, st);
		return;
	}
	names_set(c, name, st);
	names_hope(c, st->id, name);
	if (server_has(s, st)) {
		replies_sent(&s->replies, 'P', REPLY_MADE, st->id);
		server_made(s);
		return;
	}
	send_parse(c, st, false, REPLY_CLIENTS);
}

/* DEALLOCATE by the extended protocol, of what was prepared by it: the server deallocates an empty
 * statement in its place, so that the answer is its own. */
static void
parse_deallocate(Client *c, const char *name)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	char text[64];
	unsigned long long number = ++w->last_statement;
	size_t n;

	snprintf(text, sizeof text, "copyhold/empty %llu", number);
	if (replies_sent(&s->replies, 'P', REPLY_OURS, 0)) {
		n = wire_put_parse_head(w->build, sizeof w->build, text, 3);
		send_as_is(c, w->build, n);
		send_as_is(c, (const unsigned char *)"\0\0", 3);
	}
	snprintf(text, sizeof text, "DEALLOCATE \"copyhold/empty %llu\"", number);
	const WireParse p = { .name = "",
		.sql = text,
		.sql_n = strlen(text),
		.rest = (const unsigned char *)"\0",
		.rest_n = 2 };
	names_unnamed(c, statement_get(w, &p, standard_strings(c)));
	names_close(c, name, c->unnamed->id);
	send_parse(c, c->unnamed, true, REPLY_CLIENTS);
}

static size_t
take_parse(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	WireParse p;
	Statement *st;
	uint32_t why;

	if (n < total)
		return 0;
	if (!wire_parse(at + WIRE_HEAD, total - WIRE_HEAD, &p)) {
		client_fatal(c, "08P01", "a Parse message is not well formed", NULL);
		return 0;
	}
	st = statement_get(c->conn.w, &p, standard_strings(c));
	why = s->replies.skipping ? REFUSE_NONE : guard_text(c, st->found, 0);
	if (why) {
		statement_drop(c->conn.w, st);
		refuse_message(c, 'P', why);
	} else if (st->deallocates[0] && !p.name[0] && names_get(c, st->deallocates) &&
	    !s->replies.skipping) {
		parse_deallocate(c, st->deallocates);
		statement_drop(c->conn.w, st);
	} else if (p.name[0]) {
		parse_named(c, st, p.name);
	} else {
		parse_unnamed(c, at, total, st);
	}
	return total;
}

/* Bytes of a message, as many as have come; the rest goes straight through. */
static size_t
send_rest(Client *c, const unsigned char *at, size_t n, size_t total, size_t from, bool drop)
{
	size_t take = n < total ? n : total;

	if (!drop)
		send_as_is(c, at + from, take - from);
	c->conn.pass = (uint32_t)(total - take);
	c->conn.drop = drop;
	return take;
}

/* A Parse that is too long to be kept: the client stays where it was sent. */
static size_t
stream_parse(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	const char *name = (const char *)at + WIRE_HEAD;
	size_t most = n < WIRE_BIND_NAMES ? n : WIRE_BIND_NAMES;

	if (!memchr(name, 0, most - WIRE_HEAD)) {
		if (n >= WIRE_BIND_NAMES)
			client_fatal(c, "08P01", "a Parse message is not well formed", NULL);
		return 0;
	}
	if (s->replies.skipping)
		return send_rest(c, at, n, total, 0, true);
	if (s->pool->tenant->route.guarded || names_get(c, name)) {
		refuse_message(c, 'P', names_get(c, name) ? REFUSE_EXISTS : REFUSE_LONG);
		return send_rest(c, at, n, total, 0, true);
	}
	guard_pin(c, PIN_STATEMENT);
	s->unnamed = 0;
	if (name[0] == '\0') {
		names_unnamed(c, NULL);
		c->unnamed_long = true;
	}
	replies_sent(&s->replies, 'P', REPLY_CLIENTS, 0);
	return send_rest(c, at, n, total, 0, false);
}

/* What another client left on this server is not this one's: where it has no such statement, neither
 * has the server. */
static const char *
not_ours(Client *c, const char *name)
{
	Worker *w = c->conn.w;
	Server *s = c->server;

	if (name[0])
		return strncmp(name, "copyhold/", 9) == 0 ? "copyhold/none" : NULL;
	if (!c->unnamed_long && replies_sent(&s->replies, 'C', REPLY_OURS, 0)) {
		s->unnamed = 0;
		queue_add(w, &s->conn.out, w->build,
		    wire_put_named(w->build, sizeof w->build, 'C', 'S', ""));
	}
	return NULL;
}

/* The statement that is bound must be on this server.  False: it is refused. */
static bool
bring_statement(Client *c, Statement *st, bool unnamed)
{
	Server *s = c->server;
	uint32_t why = guard_text(c, st->found, st->savepoints);

	if (why) {
		refuse_message(c, 'P', why);
		return false;
	}
	if (unnamed ? s->unnamed != st->id : !server_has(s, st))
		send_parse(c, st, unnamed, REPLY_OURS);
	if (st->forgets)
		server_forget_all(s, true);
	settings_sent(c, st->resets);
	return true;
}

static size_t
take_bind(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	size_t body = (n < total ? n : total) - WIRE_HEAD;
	WireBind b;
	WireLook look = wire_bind(at + WIRE_HEAD, body, &b);
	char room[32];
	const char *name = NULL;

	if (look == WIRE_BAD || (look == WIRE_MORE && n >= total)) {
		client_fatal(c, "08P01", "a Bind message is not well formed", NULL);
		return 0;
	}
	if (look == WIRE_MORE)
		return 0;
	bool unnamed = b.statement[0] == '\0';
	Statement *st = unnamed ? c->unnamed : names_get(c, b.statement);
	if (s->replies.skipping)
		return send_rest(c, at, n, total, 0, true);
	if (st && !bring_statement(c, st, unnamed))
		return send_rest(c, at, n, total, 0, true);
	if (st && !unnamed)
		name = statement_name(st, room);
	else if (!st)
		name = not_ours(c, b.statement);
	bool drop = !replies_sent(&s->replies, 'B', REPLY_CLIENTS, 0);
	if (!name)
		return send_rest(c, at, n, total, 0, drop);
	if (!drop)
		queue_add(w, &s->conn.out, w->build,
		    wire_put_bind_head(
			w->build, sizeof w->build, b.portal, name, total - WIRE_HEAD - b.used));
	return send_rest(c, at, n, total, WIRE_HEAD + b.used, drop);
}

static void
close_named(Client *c, const char *name)
{
	Server *s = c->server;
	uint64_t id = 0;

	if (s->replies.skipping)
		return;
	if (names_get(c, name)) {
		id = ++c->conn.w->last_statement;
		names_close(c, name, id);
	}
	replies_sent(&s->replies, 'C', REPLY_MADE, id);
	server_made(s);
}

static size_t
take_named(Client *c, char type, const unsigned char *at, size_t n, size_t total)
{
	Worker *w = c->conn.w;
	Server *s = c->server;
	WireName name;
	char room[32];
	const char *there = NULL;

	if (n < total)
		return 0;
	if (!wire_describe(at + WIRE_HEAD, total - WIRE_HEAD, &name)) {
		client_fatal(c, "08P01", "a Describe or Close message is not well formed", NULL);
		return 0;
	}
	bool unnamed = name.name[0] == '\0';
	Statement *st = name.kind != 'S' ? NULL : unnamed ? c->unnamed : names_get(c, name.name);
	if (type == 'C' && name.kind == 'S' && !unnamed) {
		close_named(c, name.name);
		return total;
	}
	if (s->replies.skipping)
		return total;
	if (type == 'C' && name.kind == 'S') {
		s->unnamed = 0;
		names_unnamed(c, NULL);
	}
	if (type == 'D' && st && !bring_statement(c, st, unnamed))
		return total;
	if (st && !unnamed)
		there = statement_name(st, room);
	else if (type == 'D' && name.kind == 'S' && !st)
		there = not_ours(c, name.name);
	if (!replies_sent(&s->replies, type, REPLY_CLIENTS, 0))
		return total;
	if (there)
		queue_add(w, &s->conn.out, w->build,
		    wire_put_named(w->build, sizeof w->build, type, 'S', there));
	else
		send_as_is(c, at, total);
	return total;
}

/* --- queries -------------------------------------------------------------------------------------- */

/* DEALLOCATE of what was prepared by the protocol: the server knows it by another name. */
static bool
deallocate(Client *c, const Words *words)
{
	Worker *w = c->conn.w;
	Server *s = c->server;

	if (words->found != WORD_DEALLOCATE || words->statements != 1 || !words->name[0] ||
	    !names_get(c, words->name) || !replies_quiet(&s->replies) || s->tx == 'E')
		return false;
	names_drop(c, words->name);
	say(c, wire_put_tag(w->build, sizeof w->build, "DEALLOCATE"));
	say(c, wire_put_ready(w->build, sizeof w->build, s->tx));
	return true;
}

static void
query_sent(Client *c)
{
	c->server->unnamed = 0;
	names_unnamed(c, NULL);
	c->conn.w->stats.queries++;
}

static size_t
query_whole(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	const char *sql;
	size_t sql_n;
	Words words;
	uint32_t why;

	if (n < total)
		return 0;
	if (!wire_query(at + WIRE_HEAD, total - WIRE_HEAD, &sql, &sql_n)) {
		client_fatal(c, "08P01", "a Query message is not well formed", NULL);
		return 0;
	}
	if (s->replies.skipping)
		return total;
	words_text(&words, sql, sql_n, standard_strings(c));
	why = guard_text(c, guard_words(&words), words.deepest);
	if (!why && deallocate(c, &words))
		return total;
	query_sent(c);
	if (why)
		refuse_message(c, 'Q', why);
	else if (replies_sent(&s->replies, 'Q', REPLY_CLIENTS, 0))
		send_as_is(c, at, total);
	if (words_forget_all(&words))
		server_forget_all(s, true);
	if (!why)
		settings_sent(c, words.resets);
	return total;
}

/* A long one is looked at while it goes through. */
static size_t
query_stream(Client *c, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	size_t take = n < total ? n : total;

	query_sent(c);
	bool drop = !replies_sent(&s->replies, 'Q', REPLY_CLIENTS, 0);
	if (!drop) {
		c->words_mem = arena_new(c->conn.w->mem);
		c->words = arena_alloc(c->words_mem, sizeof *c->words);
		words_start(c->words, standard_strings(c));
		words_add(c->words, (const char *)at + WIRE_HEAD, take - WIRE_HEAD);
	}
	return send_rest(c, at, n, total, 0, drop);
}

static size_t
take_query(Client *c, const unsigned char *at, size_t n, size_t total)
{
	const LinkLimits *limits = &c->conn.w->start.limits;
	bool guarded = c->pool->tenant->route.guarded;
	size_t most = guarded ? (size_t)limits->guard_text : QUERY_WHOLE;

	if (total <= most + WIRE_HEAD)
		return query_whole(c, at, n, total);
	if (!guarded)
		return query_stream(c, at, n, total);
	query_sent(c);
	refuse_message(c, 'Q', REFUSE_LONG);
	return send_rest(c, at, n, total, 0, true);
}

static void
stream_ended(Client *c)
{
	words_end(c->words);
	guard_text(c, c->words->found, c->words->deepest);
	settings_sent(c, c->words->resets);
	arena_free(c->words_mem);
	c->words_mem = NULL;
	c->words = NULL;
}

/* Too much waits to be sent to it: the client is read no further until it has gone. */
bool
take_room(Client *c)
{
	Server *s = c->server;

	if (s->conn.out.n <= QUEUE_HIGH)
		return true;
	server_gave(s);
	if (c->server != s)
		return false;
	c->conn.deaf = s->conn.out.n > QUEUE_LOW;
	return !c->conn.deaf;
}

size_t
take_pass(Client *c, const unsigned char *at, size_t n)
{
	size_t take = n < c->conn.pass ? n : c->conn.pass;

	if (!c->conn.drop && c->server && !take_room(c))
		return 0;
	if (c->words)
		words_add(c->words, (const char *)at, take);
	if (!c->conn.drop && c->server)
		send_as_is(c, at, take);
	c->conn.pass -= (uint32_t)take;
	if (c->conn.pass == 0 && c->words)
		stream_ended(c);
	return take;
}

size_t
take_message(Client *c, char type, const unsigned char *at, size_t n, size_t total)
{
	Server *s = c->server;
	bool drop;

	switch (type) {
	case 'F':
		if (!c->pool->tenant->route.guarded)
			break;
		refuse_message(c, 'Q', REFUSE_HIDDEN); /* whose answer ends by Z, too */
		return send_rest(c, at, n, total, 0, true);
	case 'Q':
		return take_query(c, at, n, total);
	case 'P':
		return total <= STATEMENT_TEXT ? take_parse(c, at, n, total)
					       : stream_parse(c, at, n, total);
	case 'B':
		return take_bind(c, at, n, total);
	case 'D':
	case 'C':
		if (total <= WIRE_BIND_NAMES)
			return take_named(c, type, at, n, total);
		client_fatal(c, "08P01", "a Describe or Close message is not well formed", NULL);
		return 0;
	default:
		break;
	}
	if (type == 'E')
		c->conn.w->stats.queries++;
	drop = !replies_sent(&s->replies, type, REPLY_CLIENTS, 0) &&
	    (type == 'E' || type == 'F' || type == 'S');
	return send_rest(c, at, n, total, 0, drop);
}

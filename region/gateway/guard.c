#include <string.h>

#include "region/gateway/worker_intern.h"

#define CLOSE_AFTER_MS 5000 /* a statement that a cancel request does not end */
#define LOOK_MS        5000 /* between two looks whether a line is alive */
#define LOST_MS        30000

const Refusal refusals[REFUSALS] = {
	[REFUSE_LOCK] = { "42501", "LOCK is not allowed through this gateway" },
	[REFUSE_NOTIFY] = { "42501", "LISTEN and NOTIFY are not allowed through this gateway" },
	[REFUSE_SET] = { "42501",
	    "session-wide settings but client_encoding, DateStyle, TimeZone, IntervalStyle, "
	    "standard_conforming_strings and application_name are not allowed through this gateway" },
	[REFUSE_SAVEPOINTS] = { "54000", "too many savepoints in one transaction" },
	[REFUSE_ADVISORY] = { "42501", "advisory locks are not allowed through this gateway" },
	[REFUSE_HIDDEN] = { "42501",
	    "DO, CALL, LOAD, function calls by number and functions that run a text are not allowed "
	    "through this gateway" },
	[REFUSE_DEADLINE] = { "57014", "the statement took longer than this gateway allows" },
	[REFUSE_LONG] = { "54000", "the statement is longer than this gateway reads" },
	[REFUSE_ROWS] = { "54000", "the answer is larger than this gateway allows" },
	[REFUSE_ENCODING] = { "0A000",
	    "texts in this client_encoding cannot be looked at: use UTF8" },
	[REFUSE_MANY] = { "54000",
	    "the prepared statements of this session are more than this gateway keeps" },
	[REFUSE_ROLE] = { "42501", "ALTER ROLE is not allowed through this gateway" },
	[REFUSE_START] = { "42501",
	    "settings at connecting but client_encoding, DateStyle, TimeZone, IntervalStyle, "
	    "extra_float_digits, standard_conforming_strings and application_name are not allowed "
	    "through this gateway" },
	[REFUSE_EXISTS] = { "42P05", "a prepared statement of this name exists already" },
};

#define PINNING \
	(WORD_LISTEN | WORD_SET | WORD_ROLE | WORD_TEMP | WORD_HOLD | WORD_PREPARE | \
	    WORD_ADVISORY | WORD_LOAD | WORD_PREPARED_XACT)

/* A text that ends within a string is one that the server reads otherwise, or refuses. */
uint32_t
guard_words(const Words *w)
{
	return w->found | (w->odd ? (uint32_t)WORD_RUNS_SQL : 0) |
	    (w->bytes ? (uint32_t)WORD_BYTES : 0);
}

static uint32_t
refused(uint32_t found)
{
	static const struct {
		uint32_t words, why;
	} rows[] = {
		{ WORD_LOCK, REFUSE_LOCK },
		{ WORD_LISTEN | WORD_NOTIFY, REFUSE_NOTIFY },
		{ WORD_SET | WORD_ROLE, REFUSE_SET },
		{ WORD_ADVISORY | WORD_ADVISORY_XACT, REFUSE_ADVISORY },
		{ WORD_ALTER_ROLE, REFUSE_ROLE },
		{ WORD_DO | WORD_LOAD | WORD_RUNS_SQL | WORD_PREPARED_XACT, REFUSE_HIDDEN },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (found & rows[i].words)
			return rows[i].why;
	return REFUSE_NONE;
}

/* Texts are read here as the server will read them only if their encoding is known. */
static bool
is_legible(const Client *c, uint32_t found)
{
	const char *encoding = c->var[VAR_ENCODING];

	return (!encoding || words_encoding(encoding)) && !(c->recodes && found & WORD_BYTES);
}

void
guard_pin(Client *c, uint32_t pins)
{
	c->pins |= pins;
	c->pins_since |= pins;
}

/* What is remembered until it is answered has been by now. */
static void
all_answered(Client *c)
{
	c->discards = c->recodes = false;
}

/* DISCARD ALL, DEALLOCATE ALL: what pins from here on is not taken away by them. */
static void
note(Client *c, uint32_t found)
{
	if (found & (WORD_DISCARD_ALL | WORD_DEALLOCATE) && !c->discards) {
		c->discards = true;
		c->pins_since = 0;
	}
	c->recodes = c->recodes || found & (WORD_ENCODING | WORD_DISCARD_ALL);
}

uint32_t
guard_text(Client *c, uint32_t found, uint32_t savepoints)
{
	const LinkLimits *limits = &c->conn.w->start.limits;

	if (!c->server || replies_quiet(&c->server->replies))
		all_answered(c);
	if (c->pool->tenant->route.guarded) {
		uint32_t why = is_legible(c, found) ? refused(found) : REFUSE_ENCODING;
		if (why)
			return why;
		if (c->savepoints + c->savepoints_sent + savepoints >
		    (uint32_t)limits->guard_savepoints)
			return REFUSE_SAVEPOINTS;
	}
	c->savepoints_sent += savepoints;
	note(c, found);
	guard_pin(c, found & PINNING);
	return REFUSE_NONE;
}

void
guard_tag(Client *c, const char *tag)
{
	bool all = strcmp(tag, "DISCARD ALL") == 0;

	if (strcmp(tag, "SAVEPOINT") == 0) {
		c->savepoints++;
		c->savepoints_sent -= c->savepoints_sent > 0;
	} else if (strcmp(tag, "RELEASE") == 0) {
		c->savepoints -= c->savepoints > 0;
	}
	if (!all && strcmp(tag, "DEALLOCATE ALL") != 0)
		return;
	if (c->discards)
		c->pins = (c->pins &
			      (all ? PIN_SETTINGS : ~(uint32_t)(WORD_PREPARE | PIN_STATEMENT))) |
		    c->pins_since;
	names_forget(c);
}

/* The answer under way is cut off; what the server says of it is replaced. */
static void
cut_off(Server *s, uint32_t why)
{
	if (s->refused)
		return;
	s->refused = why;
	cancel_send(s);
}

void
guard_answer(Server *s, size_t n)
{
	const LinkLimits *limits = &s->conn.w->start.limits;

	s->answer_bytes += (int64_t)n;
	if (limits->guard_bytes > 0 && s->answer_bytes > limits->guard_bytes && s->client &&
	    s->pool->tenant->route.guarded)
		cut_off(s, REFUSE_ROWS);
}

/* Keepalive says nothing while bytes are under way to a machine that is not there any more. */
static bool
is_lost(Server *s, int64_t now)
{
	if (now - s->looked_ms < LOOK_MS)
		return false;
	s->looked_ms = now;
	if (stream_is_lost(&s->conn.io, LOST_MS))
		server_close(s, "the connection to the database was lost");
	else if (s->client && stream_is_lost(&s->client->conn.io, LOST_MS))
		client_close(s->client);
	else
		return false;
	return true;
}

void
guard_tick(Server *s, int64_t now)
{
	const LinkLimits *limits = &s->conn.w->start.limits;

	if (is_lost(s, now) || !s->client || !s->pool->tenant->route.guarded)
		return;
	if (s->busy_ms > 0 && now - s->busy_ms > limits->guard_statement_ms + CLOSE_AFTER_MS)
		server_close(s, "the statement took longer than this gateway allows");
	else if (s->busy_ms > 0 && now - s->busy_ms > limits->guard_statement_ms)
		cut_off(s, REFUSE_DEADLINE);
	else if (s->quiet_tx_ms > 0 && now - s->quiet_tx_ms > limits->guard_idle_ms)
		client_fatal(s->client, "25P03",
		    "the transaction was idle for longer than this gateway allows", NULL);
}

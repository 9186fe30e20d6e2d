#include "region/gateway/wire.h"

#include <string.h>

#define CODE_CANCEL 80877102u
#define CODE_SSL    80877103u
#define CODE_GSS    80877104u
#define PROTOCOL    3u
#define TEXT_MAX    512 /* bytes of a text that the gateway says */

static uint32_t
get32(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The bytes of the text at the beginning, without its NUL; false: it does not end. */
static bool
text_at(const unsigned char *at, size_t n, const char **text, size_t *len)
{
	const unsigned char *end = n > 0 ? memchr(at, 0, n) : NULL;

	if (!end)
		return false;
	*text = (const char *)at;
	*len = (size_t)(end - at);
	return true;
}

WireLook
wire_head(const unsigned char *at, size_t n, WireHead *out)
{
	if (n < WIRE_HEAD)
		return WIRE_MORE;
	uint32_t len = get32(at + 1);
	if (len < 4 || len > WIRE_MAX)
		return WIRE_BAD;
	*out = (WireHead){ .type = (char)at[0], .body = len - 4 };
	return WIRE_OK;
}

bool
wire_from_client(char type)
{
	return type != '\0' && strchr("BCDEFHPQSXcdf", type) != NULL;
}

bool
wire_from_server(char type)
{
	return type != '\0' && strchr("123ACDEGHIKNSTVZcdnst", type) != NULL;
}

/* --- the first packet --------------------------------------------------------- */

const char *
startup_param(const Startup *s, const char *name)
{
	for (size_t i = 0; i < s->params; i++)
		if (strcmp(s->param[i].name, name) == 0)
			return s->param[i].value;
	return NULL;
}

static bool
startup_add(Startup *s, const char *name, const char *value)
{
	if (strncmp(name, "_pq_.", 5) == 0) {
		for (size_t i = 0; i < s->unknowns; i++)
			if (strcmp(s->unknown[i], name) == 0)
				return false;
		if (s->unknowns == STARTUP_PARAMS)
			return false;
		s->unknown[s->unknowns++] = name;
		return true;
	}
	if (s->params == STARTUP_PARAMS || startup_param(s, name))
		return false;
	s->param[s->params++] = (StartupParam){ name, value };
	return true;
}

/* Names and values; an empty name is the last byte. */
static bool
startup_login(const unsigned char *at, size_t n, Startup *s)
{
	for (;;) {
		const char *name, *value;
		size_t len;
		if (!text_at(at, n, &name, &len))
			return false;
		at += len + 1;
		n -= len + 1;
		if (len == 0)
			return n == 0;
		if (!text_at(at, n, &value, &len))
			return false;
		at += len + 1;
		n -= len + 1;
		if (!startup_add(s, name, value))
			return false;
	}
}

static bool
startup_cancel(const unsigned char *at, size_t n, Startup *s)
{
	if (n < 4 + 4 || n > 4 + CANCEL_KEY_MAX)
		return false;
	s->kind = STARTUP_CANCEL;
	s->pid = get32(at);
	s->key = at + 4;
	s->key_n = n - 4;
	return true;
}

static bool
startup_body(const unsigned char *at, size_t n, Startup *s)
{
	uint32_t code = get32(at);

	at += 4;
	n -= 4;
	if (code == CODE_CANCEL)
		return startup_cancel(at, n, s);
	if (code == CODE_SSL || code == CODE_GSS) {
		s->kind = code == CODE_SSL ? STARTUP_SSL : STARTUP_GSS;
		return n == 0;
	}
	if (code >> 16 != PROTOCOL)
		return false;
	s->kind = STARTUP_LOGIN;
	s->major = (int)(code >> 16);
	s->minor = (int)(code & 0xffff);
	return startup_login(at, n, s);
}

WireLook
wire_startup(const unsigned char *at, size_t n, size_t *used, Startup *out)
{
	Startup s = { 0 };

	if (n < 4)
		return WIRE_MORE;
	uint32_t len = get32(at);
	if (len < 8 || len > STARTUP_MAX)
		return WIRE_BAD;
	if (n < len)
		return WIRE_MORE;
	if (!startup_body(at + 4, len - 4, &s))
		return WIRE_BAD;
	*out = s;
	*used = len;
	return WIRE_OK;
}

/* --- messages of the client ----------------------------------------------------- */

bool
wire_query(const unsigned char *body, size_t n, const char **sql, size_t *sql_n)
{
	const char *text;
	size_t len;

	if (!text_at(body, n, &text, &len) || len + 1 != n)
		return false;
	*sql = text;
	*sql_n = len;
	return true;
}

bool
wire_parse(const unsigned char *body, size_t n, WireParse *out)
{
	WireParse p;
	size_t len;

	if (!text_at(body, n, &p.name, &len))
		return false;
	body += len + 1;
	n -= len + 1;
	if (!text_at(body, n, &p.sql, &p.sql_n))
		return false;
	p.rest = body + p.sql_n + 1;
	p.rest_n = n - p.sql_n - 1;
	if (p.rest_n < 2 || p.rest_n != 2 + 4 * ((size_t)p.rest[0] << 8 | p.rest[1]))
		return false;
	*out = p;
	return true;
}

bool
wire_describe(const unsigned char *body, size_t n, WireName *out)
{
	const char *name;
	size_t len;

	if (n < 2 || (body[0] != 'S' && body[0] != 'P') || !text_at(body + 1, n - 1, &name, &len) ||
	    len + 2 != n)
		return false;
	*out = (WireName){ (char)body[0], name, n };
	return true;
}

WireLook
wire_bind(const unsigned char *body, size_t n, WireBind *out)
{
	size_t look = n < WIRE_BIND_NAMES ? n : WIRE_BIND_NAMES, portal, statement;
	WireBind b;

	if (!text_at(body, look, &b.portal, &portal) ||
	    !text_at(body + portal + 1, look - portal - 1, &b.statement, &statement))
		return n < WIRE_BIND_NAMES ? WIRE_MORE : WIRE_BAD;
	b.used = portal + 1 + statement + 1;
	*out = b;
	return WIRE_OK;
}

bool
wire_sasl_first(const unsigned char *body, size_t n, const char **mechanism,
    const unsigned char **data, size_t *data_n)
{
	const char *name;
	size_t len;

	if (!text_at(body, n, &name, &len) || n - len - 1 < 4)
		return false;
	const unsigned char *at = body + len + 1;
	size_t rest = n - len - 1 - 4;
	uint32_t said = get32(at);
	bool none = said == UINT32_MAX; /* -1: no first response */
	if (none ? rest != 0 : said != rest)
		return false;
	*mechanism = name;
	*data = none ? NULL : at + 4;
	*data_n = rest;
	return true;
}

/* --- messages of the server ------------------------------------------------------- */

static bool
is_sqlstate(const char *text, size_t n)
{
	return n == 5 && strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

static void
error_field(WireError *e, char field, const char *text, size_t n)
{
	size_t fits = n < sizeof e->severity ? n : sizeof e->severity - 1;

	/* V is S untranslated: where both stand it counts, whichever comes first. */
	if (field == 'V' || (field == 'S' && e->severity[0] == '\0')) {
		memcpy(e->severity, text, fits);
		e->severity[fits] = '\0';
	} else if (field == 'C' && is_sqlstate(text, n)) {
		memcpy(e->sqlstate, text, n + 1);
	} else if (field == 'M')
		e->message = text;
}

bool
wire_error_read(const unsigned char *body, size_t n, WireError *out)
{
	WireError e = { .message = "" };

	while (n > 0 && body[0] != 0) {
		const char *text;
		size_t len;
		if (!text_at(body + 1, n - 1, &text, &len))
			return false;
		error_field(&e, (char)body[0], text, len);
		body += len + 2;
		n -= len + 2;
	}
	if (n != 1)
		return false;
	*out = e;
	return true;
}

bool
wire_tag(const unsigned char *body, size_t n, const char **tag)
{
	size_t len;

	return wire_query(body, n, tag, &len);
}

bool
wire_setting(const unsigned char *body, size_t n, const char **name, const char **value)
{
	const char *first, *second;
	size_t len, rest;

	if (!text_at(body, n, &first, &len) ||
	    !wire_query(body + len + 1, n - len - 1, &second, &rest))
		return false;
	*name = first;
	*value = second;
	return true;
}

bool
wire_status(const unsigned char *body, size_t n, char *status)
{
	if (n != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E'))
		return false;
	*status = (char)body[0];
	return true;
}

bool
wire_key(
    const unsigned char *body, size_t n, uint32_t *pid, const unsigned char **key, size_t *key_n)
{
	if (n < 4 + 4 || n > 4 + CANCEL_KEY_MAX)
		return false;
	*pid = get32(body);
	*key = body + 4;
	*key_n = n - 4;
	return true;
}

bool
wire_auth(
    const unsigned char *body, size_t n, uint32_t *code, const unsigned char **data, size_t *data_n)
{
	if (n < 4)
		return false;
	*code = get32(body);
	*data = body + 4;
	*data_n = n - 4;
	return true;
}

bool
wire_mechanism(const unsigned char *data, size_t n, const char *wanted)
{
	const char *name;
	size_t len;

	while (text_at(data, n, &name, &len) && len > 0) {
		if (strcmp(name, wanted) == 0)
			return true;
		data += len + 1;
		n -= len + 1;
	}
	return false;
}

/* --- what the gateway says itself ---------------------------------------------------- */

typedef struct Out {
	unsigned char *at;
	size_t cap, n; /* n above cap: it did not fit */
	size_t len_at; /* where the length stands */
} Out;

static void
put(Out *o, const void *bytes, size_t n)
{
	if (n > 0 && o->n <= o->cap && n <= o->cap - o->n)
		memcpy(o->at + o->n, bytes, n);
	else if (n > 0)
		o->n = o->cap; /* the next line passes it */
	o->n += n;
}

static void
put8(Out *o, char byte)
{
	put(o, &byte, 1);
}

static void
put32(Out *o, uint32_t v)
{
	const unsigned char bytes[] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16),
		(unsigned char)(v >> 8), (unsigned char)v };

	put(o, bytes, sizeof bytes);
}

static void
put_text(Out *o, const char *text)
{
	put(o, text, strlen(text) + 1);
}

/* type '\0': a packet without a type. */
static Out
begin(unsigned char *out, size_t cap, char type)
{
	Out o = { .at = out, .cap = cap };

	if (type != '\0')
		put8(&o, type);
	o.len_at = o.n;
	put32(&o, 0);
	return o;
}

/* `more`: bytes of the message that the caller sends itself. */
static size_t
finish(Out *o, size_t more)
{
	if (o->n > o->cap || more > WIRE_MAX || o->n - o->len_at + more > WIRE_MAX)
		return 0;
	size_t all = o->n, len = o->n - o->len_at + more;
	o->n = o->len_at;
	put32(o, (uint32_t)len);
	return all;
}

/* A text of bounded length, not cut within a character. */
static void
put_field(Out *o, char field, const char *text)
{
	size_t n = strnlen(text, TEXT_MAX);

	if (n == TEXT_MAX)
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	put8(o, field);
	put(o, text, n);
	put8(o, '\0');
}

static size_t
put_report(unsigned char *out, size_t cap, char type, const char *severity, const char *sqlstate,
    const char *message, const char *hint)
{
	Out o = begin(out, cap, type);

	put_field(&o, 'S', severity);
	put_field(&o, 'V', severity);
	put_field(&o, 'C', sqlstate);
	put_field(&o, 'M', message);
	if (hint)
		put_field(&o, 'H', hint);
	put8(&o, '\0');
	return finish(&o, 0);
}

size_t
wire_put_error(unsigned char *out, size_t cap, const char *severity, const char *sqlstate,
    const char *message, const char *hint)
{
	return put_report(out, cap, 'E', severity, sqlstate, message, hint);
}

size_t
wire_put_ready(unsigned char *out, size_t cap, char status)
{
	Out o = begin(out, cap, 'Z');

	put8(&o, status);
	return finish(&o, 0);
}

size_t
wire_put_empty(unsigned char *out, size_t cap, char type)
{
	Out o = begin(out, cap, type);

	return finish(&o, 0);
}

size_t
wire_put_tag(unsigned char *out, size_t cap, const char *tag)
{
	Out o = begin(out, cap, 'C');

	put_text(&o, tag);
	return finish(&o, 0);
}

size_t
wire_put_query(unsigned char *out, size_t cap, const char *sql)
{
	Out o = begin(out, cap, 'Q');

	put_text(&o, sql);
	return finish(&o, 0);
}

size_t
wire_put_setting(unsigned char *out, size_t cap, const char *name, const char *value)
{
	Out o = begin(out, cap, 'S');

	put_text(&o, name);
	put_text(&o, value);
	return finish(&o, 0);
}

size_t
wire_put_key(unsigned char *out, size_t cap, uint32_t pid, const unsigned char *key, size_t key_n)
{
	Out o = begin(out, cap, 'K');

	put32(&o, pid);
	put(&o, key, key_n);
	return finish(&o, 0);
}

size_t
wire_put_auth(unsigned char *out, size_t cap, uint32_t code, const void *data, size_t n)
{
	Out o = begin(out, cap, 'R');

	put32(&o, code);
	put(&o, data, n);
	return finish(&o, 0);
}

/* The whole version stands in it, as PostgreSQL writes and libpq reads it. */
size_t
wire_put_negotiate(unsigned char *out, size_t cap, int minor, const Startup *s)
{
	Out o = begin(out, cap, 'v');

	put32(&o, PROTOCOL << 16 | (uint32_t)minor);
	put32(&o, (uint32_t)s->unknowns);
	for (size_t i = 0; i < s->unknowns; i++)
		put_text(&o, s->unknown[i]);
	return finish(&o, 0);
}

size_t
wire_put_startup(unsigned char *out, size_t cap, const StartupParam *params, size_t n)
{
	Out o = begin(out, cap, '\0');

	put32(&o, PROTOCOL << 16);
	for (size_t i = 0; i < n; i++) {
		put_text(&o, params[i].name);
		put_text(&o, params[i].value);
	}
	put8(&o, '\0');
	return o.n > STARTUP_MAX ? 0 : finish(&o, 0);
}

size_t
wire_put_ssl_request(unsigned char *out, size_t cap)
{
	Out o = begin(out, cap, '\0');

	put32(&o, CODE_SSL);
	return finish(&o, 0);
}

size_t
wire_put_cancel(
    unsigned char *out, size_t cap, uint32_t pid, const unsigned char *key, size_t key_n)
{
	Out o = begin(out, cap, '\0');

	put32(&o, CODE_CANCEL);
	put32(&o, pid);
	put(&o, key, key_n);
	return finish(&o, 0);
}

size_t
wire_put_sasl_first(
    unsigned char *out, size_t cap, const char *mechanism, const void *data, size_t n)
{
	Out o = begin(out, cap, 'p');

	put_text(&o, mechanism);
	put32(&o, (uint32_t)n);
	put(&o, data, n);
	return finish(&o, 0);
}

size_t
wire_put_sasl(unsigned char *out, size_t cap, const void *data, size_t n)
{
	Out o = begin(out, cap, 'p');

	put(&o, data, n);
	return finish(&o, 0);
}

size_t
wire_put_parse_head(unsigned char *out, size_t cap, const char *name, size_t body_after_name)
{
	Out o = begin(out, cap, 'P');

	put_text(&o, name);
	return finish(&o, body_after_name);
}

size_t
wire_put_bind_head(unsigned char *out, size_t cap, const char *portal, const char *statement,
    size_t body_after_names)
{
	Out o = begin(out, cap, 'B');

	put_text(&o, portal);
	put_text(&o, statement);
	return finish(&o, body_after_names);
}

size_t
wire_put_named(unsigned char *out, size_t cap, char type, char kind, const char *name)
{
	Out o = begin(out, cap, type);

	put8(&o, kind);
	put_text(&o, name);
	return finish(&o, 0);
}

#include "lib/core/event.h"

#include <stdlib.h>
#include <string.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/js.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/core/event.sql.h"

#define EVENT_VERSION 2
#define EVENT_TEXT    2500 /* bytes of one text: four of them fit, however they are escaped */

/* --- the log that it belongs to ----------------------------------------------------- */

static bool
log_row(Ctx *cx, LiteRows *rows, int64_t *log, int64_t *next, bool *found)
{
	*found = lite_next(rows);
	if (*found) {
		*log = lite_int(rows, 0);
		*next = lite_int(rows, 1);
	}
	return lite_end(cx, rows);
}

/* The id that the tenant has, or will have when it is registered. */
static bool
tenant_id(Ctx *cx, Home *home, const char *tenant, char **id)
{
	LiteRows *rows;

	*id = NULL;
	if (!lite_query(cx, home->db, &SQL_LOG_TENANT_ID, &rows, "t", tenant))
		return false;
	if (lite_next(rows))
		*id = lite_text(rows, 0);
	return lite_end(cx, rows) && (*id || home_tenant_id(cx, home, tenant, id));
}

static bool
log_make(Ctx *cx, Home *home, const char *tenant, int64_t *log)
{
	char *id = arena_dup(cx->mem, "vendor");

	if (*tenant && !tenant_id(cx, home, tenant, &id))
		return false;
	/* A home that was restored from before must not give two logs one name. */
	char *place = arena_printf(cx->mem, "%s-%s", id, random_name(cx->mem, 6));
	if (!lite_do(cx, home->db, &SQL_LOG_ADD, "ttt", tenant, place,
		arena_printf(cx->mem, "copyhold/%s/%s", home->id, place)))
		return false;
	*log = lite_last_id(home->db);
	return true;
}

static bool
log_find(Ctx *cx, Home *home, const Event *e, int64_t *log, int64_t *next)
{
	const char *tenant = e->tenant ? e->tenant : "";
	LiteRows *rows;
	bool found;

	if (!(e->log ? lite_query(cx, home->db, &SQL_LOG_BY_NUMBER, &rows, "i", e->log)
		     : lite_query(cx, home->db, &SQL_LOG_OPEN, &rows, "t", tenant)) ||
	    !log_row(cx, rows, log, next, &found))
		return false;
	if (!found && e->run &&
	    (!lite_query(cx, home->db, &SQL_LOG_OF_RUN, &rows, "ti", tenant, e->run) ||
		!log_row(cx, rows, log, next, &found)))
		return false;
	*next = found ? *next : 0;
	return found || log_make(cx, home, tenant, log);
}

/* --- its bytes ------------------------------------------------------------------------ */

typedef struct Member { /* text NULL and a commitment NULL: null, unless it is a number */
	const char *key, *text, *commit;
	int64_t number;
	bool is_number;
} Member;

typedef struct Draft {
	VEC(Member) members;
	const char *id, *object, *outcome;
	int64_t at;
	Openings openings;
} Draft;

/* Of version 7 of RFC 9562, whose time lets neighbours in the log be neighbours in the index of ids. */
static char *
event_id(Arena *mem, int64_t at)
{
	unsigned char b[16];

	random_bytes(b + 6, 10);
	for (int i = 0; i < 6; i++)
		b[i] = (unsigned char)(at >> 8 * (5 - i));
	b[6] = (unsigned char)((b[6] & 0x0F) | 0x70);
	b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
	const char *hex = hex_text(mem, b, sizeof b);
	return arena_printf(
	    mem, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

char *
event_commitment(Arena *mem, Bytes salt, const char *value)
{
	return hmac_hex(mem, salt.at, salt.n, value, strlen(value));
}

/* A text of hostile length must not keep an event from being written, nor go by unsaid.  What is no
 * UTF-8 is made so before it is committed to: an opening is shown as JSON. */
static const char *
event_text(Arena *mem, const char *text)
{
	if (text && !utf8_valid(text, strlen(text)))
		text = js_value_text(js_text(mem, text));
	size_t n = text ? strlen(text) : 0, keep = EVENT_TEXT;

	if (n <= EVENT_TEXT)
		return text;
	while (keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80)
		keep--;
	return arena_printf(
	    mem, "%.*s [cut; sha256 %s]", (int)keep, text, sha256_hex(mem, text, n));
}

static void
add_text(Arena *mem, Draft *d, const char *key, const char *text)
{
	vec_push(mem, &d->members, ((Member){ .key = key, .text = text }));
}

static void
add_number(Arena *mem, Draft *d, const char *key, int64_t number)
{
	vec_push(mem, &d->members, ((Member){ .key = key, .number = number, .is_number = true }));
}

static void
add_personal(Arena *mem, Draft *d, const char *path, const char *value, const char *subject)
{
	unsigned char *salt = arena_alloc(mem, EVENT_SALT);
	Opening o = { .path = path,
		.salt = { salt, EVENT_SALT },
		.value = event_text(mem, value),
		.subject = subject };
	Member m = { .key = path };

	if (value) {
		random_bytes(salt, EVENT_SALT);
		m.commit = event_commitment(mem, o.salt, o.value);
		vec_push(mem, &d->openings, o);
	}
	vec_push(mem, &d->members, m);
}

static Draft
draft(Ctx *cx, Home *home, const Event *e)
{
	Arena *mem = cx->mem;
	const char *actor = arena_printf(mem, "actor:%s", home->actor);
	Draft d = { .at = clock_wall_ms(),
		.object = event_text(mem, e->object),
		.outcome = event_text(mem, e->outcome) };

	d.id = event_id(mem, d.at);
	add_number(mem, &d, "version", EVENT_VERSION);
	add_text(mem, &d, "id", d.id);
	add_number(mem, &d, "at", d.at);
	add_text(mem, &d, "home", home->id);
	add_text(mem, &d, "tenant", e->tenant);
	add_number(mem, &d, "run", e->run);
	add_number(mem, &d, "step", e->step);
	add_text(mem, &d, "verb", e->verb);
	add_text(mem, &d, "object", d.object);
	add_text(mem, &d, "outcome", d.outcome);
	add_text(mem, &d, "before", event_text(mem, e->before));
	add_text(mem, &d, "after", event_text(mem, e->after));
	add_personal(mem, &d, "actor", home->actor, actor);
	add_personal(mem, &d, "reason", home->reason, actor);
	for (size_t i = 0; i < e->personal_n; i++) {
		const Personal *p = &e->personal[i];
		add_personal(mem, &d, p->path, p->value, p->subject);
	}
	return d;
}

static int
by_key(const void *a, const void *b)
{
	return strcmp(((const Member *)a)->key, ((const Member *)b)->key);
}

/* Nearly all texts need no escape; of control characters two forms of escapes are in use. */
static void
put_text(Buf *b, const char *text)
{
	bool plain = true, control = false;
	const char *p = text;

	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;
		plain = plain && c >= ' ' && c < 0x80 && c != '"' && c != '\\';
		control = control || c < ' ';
	}
	if (control)
		buf_add(b, js_canonical(b->mem, js_text(b->mem, text)));
	else if (!plain)
		buf_json(b, text);
	else {
		buf_addc(b, '"');
		buf_addn(b, text, (size_t)(p - text));
		buf_addc(b, '"');
	}
}

/* What js_canonical() would make of it, without the values between. */
static Buf
canonical(Arena *mem, const Draft *d)
{
	Buf b = buf_new(mem);

	qsort(d->members.at, d->members.n, sizeof *d->members.at, by_key);
	for (size_t i = 0; i < d->members.n; i++) {
		const Member *m = &d->members.at[i];
		buf_add(&b, i ? ",\"" : "{\"");
		buf_add(&b, m->key);
		buf_add(&b, "\":");
		if (m->is_number)
			buf_fmt(&b, "%lld", (long long)m->number);
		else if (m->commit) {
			buf_add(&b, "{\"commit\":\"");
			buf_add(&b, m->commit);
			buf_add(&b, "\"}");
		} else if (m->text)
			put_text(&b, m->text);
		else
			buf_add(&b, "null");
	}
	buf_addc(&b, '}');
	return b;
}

/* --- writing ---------------------------------------------------------------------------- */

static bool
write_openings(Ctx *cx, Home *home, int64_t event, const Openings *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const Opening *o = &all->at[i];
		if (!lite_do(cx, home->db, &SQL_OPENING_ADD, "itbtt", event, o->path, o->salt,
			o->value, o->subject))
			return false;
	}
	return true;
}

static bool
write_parts(Ctx *cx, Home *home, const Event *e)
{
	Draft d = draft(cx, home, e);
	Buf b = canonical(cx->mem, &d);
	Bytes bytes = { (const unsigned char *)b.text, b.len };
	int64_t log = 0, next = 0;

	if (bytes.n > EVENT_MAX)
		return fail(cx, FAIL_LIMIT, "Give it fewer or shorter values.",
		    "an event of %zu bytes is larger than %d", bytes.n, EVENT_MAX);
	return log_find(cx, home, e, &log, &next) &&
	    lite_do(cx, home->db, &SQL_EVENT_ADD, "tiiiiitttb", d.id, d.at, log, next, e->run,
		e->step, e->verb, d.object, d.outcome, bytes) &&
	    write_openings(cx, home, lite_last_id(home->db), &d.openings) &&
	    lite_do(cx, home->db, &SQL_LOG_NEXT, "i", log);
}

/* Its place and the event belong together: two writers must not be given the same one. */
bool
event_write(Ctx *cx, Home *home, const Event *e)
{
	if (!lite_begin(cx, home->db))
		return false;
	Ctx own = ctx_new(cx->mem);
	bool done = write_parts(&own, home, e);
	if (!done)
		fail_copy(cx, &own);
	arena_free(own.mem);
	if (done)
		return lite_commit(cx, home->db);
	lite_rollback(home->db);
	return false;
}

bool
event_openings(Ctx *cx, Home *home, int64_t event, Openings *out)
{
	LiteRows *rows;
	Openings all = { 0 };

	if (!lite_query(cx, home->db, &SQL_OPENING_LIST, &rows, "i", event))
		return false;
	while (lite_next(rows)) {
		Opening o = { .path = lite_text(rows, 0),
			.salt = lite_bytes(rows, 1),
			.value = lite_text(rows, 2),
			.subject = lite_text(rows, 3) };
		vec_push(cx->mem, &all, o);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

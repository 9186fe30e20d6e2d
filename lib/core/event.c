#include "lib/core/event.h"

#include <string.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/js.h"
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

typedef struct Draft {
	Js *json;
	const char *id;
	int64_t at;
	Openings openings;
} Draft;

char *
event_commitment(Arena *mem, Bytes salt, const char *value)
{
	return hmac_hex(mem, salt.at, salt.n, value, strlen(value));
}

/* A text of hostile length must not keep an event from being written, nor go by unsaid. */
static const char *
event_text(Arena *mem, const char *text)
{
	size_t n = text ? strlen(text) : 0, keep = EVENT_TEXT;

	if (n <= EVENT_TEXT)
		return text;
	while (keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80)
		keep--;
	return arena_printf(
	    mem, "%.*s [cut; sha256 %s]", (int)keep, text, sha256_hex(mem, text, n));
}

static void
draft_personal(Ctx *cx, Draft *d, const char *path, const char *value, const char *subject)
{
	unsigned char *salt = arena_alloc(cx->mem, EVENT_SALT);
	Opening o = { .path = path,
		.salt = { salt, EVENT_SALT },
		.value = event_text(cx->mem, value),
		.subject = subject };
	Js *commit;

	if (!value) {
		js_set(d->json, path, js_text(cx->mem, NULL));
		return;
	}
	random_bytes(salt, EVENT_SALT);
	commit = js_object(cx->mem);
	js_set_text(commit, "commit", event_commitment(cx->mem, o.salt, o.value));
	js_set(d->json, path, commit);
	vec_push(cx->mem, &d->openings, o);
}

static Draft
draft(Ctx *cx, Home *home, const Event *e)
{
	Draft d = { .json = js_object(cx->mem), .id = random_uuid(cx->mem), .at = clock_wall_ms() };
	const char *actor = arena_printf(cx->mem, "actor:%s", home->actor);

	js_set_int(d.json, "version", EVENT_VERSION);
	js_set_text(d.json, "id", d.id);
	js_set_int(d.json, "at", d.at);
	js_set_text(d.json, "home", home->id);
	js_set_text(d.json, "tenant", e->tenant);
	js_set_int(d.json, "run", e->run);
	js_set_int(d.json, "step", e->step);
	js_set_text(d.json, "verb", e->verb);
	js_set_text(d.json, "object", event_text(cx->mem, e->object));
	js_set_text(d.json, "outcome", event_text(cx->mem, e->outcome));
	js_set_text(d.json, "before", event_text(cx->mem, e->before));
	js_set_text(d.json, "after", event_text(cx->mem, e->after));
	draft_personal(cx, &d, "actor", home->actor, actor);
	draft_personal(cx, &d, "reason", home->reason, actor);
	for (size_t i = 0; i < e->personal_n; i++) {
		const Personal *p = &e->personal[i];
		draft_personal(cx, &d, p->path, p->value, p->subject);
	}
	return d;
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
	char *text = js_canonical(cx->mem, d.json);
	Bytes bytes = { (const unsigned char *)text, strlen(text) };
	int64_t log = 0, next = 0;

	if (bytes.n > EVENT_MAX)
		return fail(cx, FAIL_LIMIT, "Give it fewer or shorter values.",
		    "an event of %zu bytes is larger than %d", bytes.n, EVENT_MAX);
	return log_find(cx, home, e, &log, &next) &&
	    lite_do(cx, home->db, &SQL_EVENT_ADD, "tiiiiitttb", d.id, d.at, log, next, e->run,
		e->step, e->verb, js_get_text(d.json, "object"), js_get_text(d.json, "outcome"),
		bytes) &&
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

#include "lib/core/event.h"

#include <string.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/js.h"
#include "lib/base/clock.h"
#include "lib/core/event.sql.h"

static bool
last_event_hash(Ctx *cx, Home *home, char **hash)
{
	LiteRows *rows;

	*hash = arena_dup(cx->mem, "");
	if (!lite_query(cx, home->db, &SQL_EVENT_LAST, &rows, ""))
		return false;
	if (lite_next(rows)) {
		Bytes last = lite_bytes(rows, 0);
		*hash = sha256_hex(cx->mem, last.at, last.n);
	}
	return lite_end(cx, rows);
}

static bool
chain(Ctx *cx, Home *home, const Event *e)
{
	Js *j = js_object(cx->mem);
	char *id = random_uuid(cx->mem);
	int64_t at = clock_wall_ms();
	char *prev, *text;

	if (!last_event_hash(cx, home, &prev))
		return false;
	js_set_text(j, "id", id);
	js_set_int(j, "at", at);
	js_set_text(j, "home", home->id);
	js_set_text(j, "tenant", e->tenant);
	js_set_int(j, "run", e->run);
	js_set_int(j, "step", e->step);
	js_set_text(j, "actor", home->actor);
	js_set_text(j, "reason", home->reason);
	js_set_text(j, "verb", e->verb);
	js_set_text(j, "object", e->object);
	js_set_text(j, "outcome", e->outcome);
	js_set_text(j, "before", e->before);
	js_set_text(j, "after", e->after);
	js_set_text(j, "prev", prev);
	text = js_canonical(cx->mem, j);
	return lite_do(cx, home->db, &SQL_EVENT_ADD,
	    "tittiittttttt"
	    "bt",
	    id, at, home->id, e->tenant, e->run, e->step, home->actor, home->reason, e->verb,
	    e->object, e->outcome, e->before, e->after,
	    (Bytes){ (const unsigned char *)text, strlen(text) }, prev);
}

/* The hash of the last event and the new one belong together: two writers must not fork the chain. */
bool
event_write(Ctx *cx, Home *home, const Event *e)
{
	if (!lite_begin(cx, home->db))
		return false;
	if (chain(cx, home, e))
		return lite_commit(cx, home->db);
	lite_rollback(home->db);
	return false;
}

#include <string.h>

#include "compliance/audit/log_intern.h"
#include "compliance/audit/log.sql.h"

#define PROOF_HEAD "c2sp.org/tlog-proof@v1\n"

static EventRow
event_row(LiteRows *rows)
{
	const char *tenant = lite_text(rows, 3);

	return (EventRow){ .seq = lite_int(rows, 0),
		.id = lite_text(rows, 1),
		.at = lite_int(rows, 2),
		.tenant = *tenant ? tenant : NULL,
		.origin = lite_text(rows, 4),
		.index = lite_int(rows, 5),
		.run = lite_int(rows, 6),
		.step = lite_int(rows, 7),
		.verb = lite_text(rows, 8),
		.object = lite_text(rows, 9),
		.outcome = lite_text(rows, 10),
		.actor = lite_text(rows, 11),
		.reason = lite_text(rows, 12),
		.before = lite_text(rows, 13),
		.after = lite_text(rows, 14),
		.erased = lite_int(rows, 15) != 0,
		.is_signed = lite_int(rows, 16) != 0 };
}

bool
log_events(Ctx *cx, Home *home, const EventAsk *ask, EventRows *out)
{
	LiteRows *rows;
	EventRows all = { 0 };

	if (!lite_query(cx, home->db, &SQL_EVENT_LIST, &rows, "itiitti",
		ask->before ? ask->before : INT64_MAX, ask->tenant, ask->since, ask->until,
		ask->verb, ask->actor, ask->limit))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, event_row(rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
log_event(Ctx *cx, Home *home, const char *id, Log *log, uint64_t *index)
{
	LiteRows *rows;
	int64_t number = 0;

	if (!lite_query(cx, home->db, &SQL_EVENT_BY_ID, &rows, "t", id))
		return false;
	bool found = lite_next(rows);
	if (found) {
		number = lite_int(rows, 0);
		*index = (uint64_t)lite_int(rows, 1);
	}
	if (!lite_end(cx, rows))
		return false;
	return found
	    ? log_by_id(cx, home, number, log)
	    : fail(cx, FAIL_NOT_FOUND, "See: copyhold audit list.", "there is no event \"%s\"", id);
}

static bool
proof_extra(Ctx *cx, Home *home, const Log *log, uint64_t index, Buf *b)
{
	int64_t event;
	Bytes bytes;

	if (!log_entry(cx, home, log, index, &event, &bytes))
		return false;
	buf_fmt(b, "extra %s\n", base64_text(cx->mem, bytes.at, bytes.n));
	return true;
}

/* Tiles are files: a proof made of damaged ones is not given out. */
static bool
proof_holds(
    Ctx *cx, Home *home, const Log *log, uint64_t index, const Checkpoint *c, const Hashes *path)
{
	int64_t event;
	Bytes bytes;
	Hash leaf;

	if (!log_entry(cx, home, log, index, &event, &bytes))
		return false;
	merkle_leaf(bytes.at, bytes.n, &leaf);
	return merkle_check_inclusion(&leaf, index, c->size, path, &c->root) ||
	    fail(cx, FAIL_FORKED, "Compare the folder with its backup, or with a witness.",
		"the files of the log \"%s\" do not prove event %llu", log->origin,
		(unsigned long long)index);
}

bool
log_proof(Ctx *cx, Home *home, const Log *log, uint64_t index, bool entry, char **out)
{
	Buf b = buf_new(cx->mem);
	Checkpoint c = { 0 };
	Hashes path;
	Note note;
	bool found;

	if (!log_checkpoint(cx, log, &note, &c, &found))
		return false;
	if (!found || index >= c.size)
		return fail(cx, FAIL_NOT_FOUND, "Publish it: copyhold audit checkpoint.",
		    "the event is in no checkpoint of the log \"%s\" yet", log->origin);
	HashSource from = log_hashes(cx->mem, log, c.size);
	if (!merkle_inclusion(cx, &from, index, c.size, &path) ||
	    !proof_holds(cx, home, log, index, &c, &path))
		return false;
	buf_add(&b, PROOF_HEAD);
	if (entry && !proof_extra(cx, home, log, index, &b))
		return false;
	buf_fmt(&b, "index %llu\n", (unsigned long long)index);
	for (size_t i = 0; i < path.n; i++)
		buf_fmt(&b, "%s\n", base64_text(cx->mem, path.at[i].at, HASH_BYTES));
	buf_fmt(&b, "\n%s", note_text(cx->mem, &note));
	*out = b.text;
	return true;
}

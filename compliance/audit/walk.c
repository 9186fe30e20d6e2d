/*
 * The events of an evidence file and the openings that belong to them, read
 * side by side.
 */
#include <string.h>

#include "compliance/audit/evidence_intern.h"
#include "lib/adapters/js.h"

#define VERBS_MAX 256
#define RESET     256 /* events whose texts are held before their memory is used again */

struct EvidenceWalk {
	Arena *mem; /* of the event that is out */
	Lines *events, *openings;
	uint64_t index;
	bool waiting, ended; /* an opening was read ahead; there are no more */
	uint64_t waiting_at;
	EvidenceOpening opening;
	Arena *ahead; /* the opening that waits */
	EvidenceEvent out;
};

EvidenceWalk *
evidence_walk(Arena *mem, LinesFrom events, LinesFrom openings, uint64_t from)
{
	EvidenceWalk *w = arena_alloc(mem, sizeof *w);

	*w = (EvidenceWalk){ .mem = arena_new(mem),
		.ahead = arena_new(mem),
		.index = from,
		.events = lines_new(mem, events, EVIDENCE_EVENTS, ENTRY_MAX),
		.openings = lines_new(mem, openings, EVIDENCE_OPENINGS, EVIDENCE_LINE_MAX) };
	return w;
}

char *
evidence_opening_text(Arena *mem, uint64_t index, const EvidenceOpening *o)
{
	Js *j = js_object(mem);

	js_set_int(j, "index", (int64_t)index);
	js_set_text(j, "path", o->path);
	js_set_text(j, "salt", hex_text(mem, o->salt.at, o->salt.n));
	js_set_text(j, "value", o->value);
	return js_canonical(mem, j);
}

static bool
opening_read(Arena *mem, Bytes line, uint64_t *index, EvidenceOpening *out)
{
	unsigned char *salt = arena_alloc(mem, EVIDENCE_SALT);
	char *path, *hex, *value;
	CanonObject o;
	int64_t at;

	if (!canon_object(line, &o) || o.n != 4 || !canon_int(canon_get(&o, "index"), &at) ||
	    at < 0 || !canon_text(mem, canon_get(&o, "path"), &path) ||
	    !canon_text(mem, canon_get(&o, "salt"), &hex) ||
	    !canon_text(mem, canon_get(&o, "value"), &value) || strlen(hex) != 2 * EVIDENCE_SALT ||
	    !hex_bytes(hex, 2 * EVIDENCE_SALT, salt))
		return false;
	*index = (uint64_t)at;
	*out = (EvidenceOpening){ .path = path, .value = value, .salt = { salt, EVIDENCE_SALT } };
	return true;
}

/* Openings are sorted by event and path, none twice, so that each stands in one place only. */
static bool
in_order(const EvidenceWalk *w, uint64_t index, const EvidenceOpening *o)
{
	size_t n = w->out.openings.n;

	if (index < w->index)
		return false;
	return index > w->index || n == 0 || strcmp(w->out.openings.at[n - 1].path, o->path) < 0;
}

static bool
look_ahead(Ctx *cx, EvidenceWalk *w)
{
	Bytes line;

	if (w->waiting || w->ended)
		return true;
	arena_reset(w->ahead);
	if (!lines_next(cx, w->openings, &line, &w->ended))
		return false;
	if (w->ended)
		return true;
	if (!opening_read(w->ahead, line, &w->waiting_at, &w->opening))
		return fail(cx, FAIL_INPUT, NULL, "\"%s\" is malformed", EVIDENCE_OPENINGS);
	if (!in_order(w, w->waiting_at, &w->opening))
		return fail(cx, FAIL_INPUT, NULL, "\"%s\" is not in order at event %llu",
		    EVIDENCE_OPENINGS, (unsigned long long)w->waiting_at);
	w->waiting = true;
	return true;
}

#define COMMIT_HEAD "{\"commit\":\""
#define COMMIT_SIZE (sizeof COMMIT_HEAD - 1 + 64 + 2)

/* A member that is {"commit": "64 characters"} and nothing else. */
static bool
is_commitment(Bytes value)
{
	return value.n == COMMIT_SIZE &&
	    memcmp(value.at, COMMIT_HEAD, sizeof COMMIT_HEAD - 1) == 0 &&
	    memcmp(value.at + value.n - 2, "\"}", 2) == 0;
}

static bool
matches(const EvidenceEvent *e, const EvidenceOpening *o)
{
	unsigned char wanted[32], is[32];

	Bytes value = canon_at(&e->members, o->path);

	if (!is_commitment(value) ||
	    !hex_bytes((const char *)value.at + sizeof COMMIT_HEAD - 1, 64, wanted))
		return false;
	hmac_sha256(o->salt.at, o->salt.n, o->value, strlen(o->value), is);
	return memcmp(wanted, is, sizeof is) == 0;
}

static bool
take_openings(Ctx *cx, EvidenceWalk *w)
{
	while (look_ahead(cx, w) && w->waiting && w->waiting_at == w->index) {
		unsigned char *salt = arena_alloc(w->mem, EVIDENCE_SALT);
		memcpy(salt, w->opening.salt.at, EVIDENCE_SALT);
		EvidenceOpening o = { .path = arena_dup(w->mem, w->opening.path),
			.value = arena_dup(w->mem, w->opening.value),
			.salt = { salt, EVIDENCE_SALT } };
		if (!matches(&w->out, &o))
			return fail(cx, FAIL_INPUT, NULL,
			    "the value at \"%s\" of event %llu is not the one that was recorded",
			    o.path, (unsigned long long)w->index);
		vec_push(w->mem, &w->out.openings, o);
		w->waiting = false;
	}
	return cx->fail->kind == FAIL_NONE;
}

bool
evidence_next(Ctx *cx, EvidenceWalk *w, const EvidenceEvent **out)
{
	Bytes line;
	bool end;

	if (w->out.bytes.at) {
		w->index++;
		if (w->index % RESET == 0)
			arena_reset(w->mem);
	}
	w->out = (EvidenceEvent){ .index = w->index };
	if (!lines_next(cx, w->events, &line, &end))
		return false;
	*out = NULL;
	if (end)
		return look_ahead(cx, w) &&
		    (!w->waiting ||
			fail(cx, FAIL_INPUT, NULL,
			    "\"%s\" has a value of event %llu, which is not there",
			    EVIDENCE_OPENINGS, (unsigned long long)w->waiting_at));
	w->out.bytes = line;
	if (!canon_object(line, &w->out.members) ||
	    !canon_int(canon_get(&w->out.members, "at"), &w->out.at))
		return fail(cx, FAIL_INPUT, NULL, "event %llu is not canonical JSON of an event",
		    (unsigned long long)w->index);
	if (!take_openings(cx, w))
		return false;
	*out = &w->out;
	return true;
}

const char *
evidence_value(Arena *mem, const EvidenceEvent *e, const char *path, bool *hidden)
{
	Bytes value = canon_at(&e->members, path);
	char *text;

	*hidden = false;
	for (size_t i = 0; i < e->openings.n; i++)
		if (strcmp(e->openings.at[i].path, path) == 0)
			return arena_dup(mem, e->openings.at[i].value);
	if (canon_text(mem, value, &text))
		return text;
	*hidden = is_commitment(value);
	return NULL;
}

/* --- counting ---------------------------------------------------------------------------- */

bool
evidence_is_before(const EvidenceFacts *f, const EvidenceProof *p, const EvidenceEvent *e)
{
	return f->since > 0 && e->index == p->left.end && e->at < f->since;
}

bool
evidence_is_after(const EvidenceFacts *f, const EvidenceProof *p, const EvidenceEvent *e)
{
	return f->until > 0 && e->index + 1 == p->right.begin && e->at >= f->until;
}

static void
count_verb(Arena *mem, Bytes verb, EvidenceTally *t)
{
	char *text;

	for (size_t i = 0; i < t->verbs.n; i++)
		if (canon_is(verb, t->verbs.at[i].verb)) {
			t->verbs.at[i].n++;
			return;
		}
	if (t->verbs.n == VERBS_MAX || !canon_text(mem, verb, &text))
		t->others++;
	else
		vec_push(mem, &t->verbs, ((EvidenceCount){ text, 1 }));
}

/* Commitments anywhere in it, of which some have openings. */
static uint64_t
commitments(Bytes value)
{
	CanonObject o;
	uint64_t n = 0;

	if (value.n < 2 || value.at[0] != '{')
		return 0;
	if (is_commitment(value))
		return 1;
	if (!canon_object(value, &o))
		return 0;
	for (size_t i = 0; i < o.n; i++)
		n += commitments(o.at[i].value);
	return n;
}

void
evidence_tally(Arena *mem, const EvidenceFacts *f, const EvidenceProof *p, const EvidenceEvent *e,
    EvidenceTally *t)
{
	if (t->events++ == 0)
		t->first_at = e->at;
	t->last_at = e->at;
	for (size_t i = 0; i < e->members.n; i++)
		t->hidden += commitments(e->members.at[i].value);
	t->hidden -= e->openings.n;
	t->opened += e->openings.n;
	if (evidence_is_before(f, p, e))
		t->before = true;
	else if (evidence_is_after(f, p, e))
		t->after = true;
	else {
		t->within++;
		count_verb(mem, canon_get(&e->members, "verb"), t);
	}
}

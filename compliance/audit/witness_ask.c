/*
 * The home's side.  Many logs are offered at once; what the witnesses answered
 * is kept in one transaction.  A witness that does not answer is left alone for
 * a while, whichever log it is; one that refuses a log, for that log alone.
 */
#include <string.h>

#include "compliance/audit/log.h"
#include "compliance/audit/service.h"
#include "compliance/audit/witness.h"
#include "compliance/audit/witness_ask.sql.h"
#include "lib/adapters/http.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"

#define ROUND_OFFERS 64 /* logs and witnesses that are asked at once */
#define ANSWER_MAX   ((size_t)64 << 10)
#define ANSWER_MS    10000 /* for one of them */
#define TRIES        4     /* sizes that are learned from 409 */
#define ROUND_MS     30000
#define LOOK_MS      250 /* between two looks for checkpoints that wait */
#define PAUSE_MS     1000
#define PAUSE_MAX_MS ((int64_t)10 * 60 * 1000)

typedef struct LogNote { /* a log's published checkpoint */
	Log log;
	Note note; /* with the lines that were won */
	Checkpoint cp;
	const char *own;        /* the checkpoint with the log's own lines alone */
	const char *unreadable; /* why there is none, or NULL */
	int64_t
	    signed_at; /* wall ms: of the log's own line in it, whatever the catalogue knows yet */
	bool gained;
} LogNote;

typedef enum OfferState {
	OFFER_WAITS,
	OFFER_COSIGNED,
	OFFER_REFUSED,
	OFFER_SILENT, /* no answer, or one that says that it cannot */
	OFFER_FORKED,
	OFFER_UNREADABLE, /* ours: nothing could be offered */
	OFFER_STALE       /* ours: a newer checkpoint is on its way, or we stop */
} OfferState;

typedef struct Offer {
	LogNote *of;
	const char *url, *ca;
	NoteKey key;
	uint64_t old;
	int64_t attempts, log_attempts;
	OfferState state;
	const char *error;
} Offer;

typedef struct Round {
	Home *home;
	int64_t only;     /* a log's id, or 0: all */
	int64_t deadline; /* mono */
	Http *http;
	VEC(LogNote *) logs;
	VEC(Offer) offers;
} Round;

/* --- records ---------------------------------------------------------------------------- */

static bool
tell(Ctx *cx, Home *home, const char *verb, const char *url)
{
	Event e = {
		.verb = verb, .object = arena_printf(cx->mem, "witness/%s", url), .outcome = "ok"
	};

	return event_write(cx, home, &e);
}

static bool
check_new(Ctx *cx, Home *home, const char *url, const char *key)
{
	LiteRows *rows;
	char *known = NULL;

	if (!lite_query(cx, home->db, &SQL_WITNESS_KNOWN, &rows, "tt", url, key))
		return false;
	if (lite_next(rows))
		known = lite_text(rows, 0);
	if (!lite_end(cx, rows))
		return false;
	return !known ||
	    fail(cx, FAIL_EXISTS,
		"To change it, remove it first: copyhold audit witness remove URL.",
		"the witness is known already, as \"%s\"", known);
}

bool
witness_remember(Ctx *cx, Home *home, const char *url, const NoteKey *key, const char *ca)
{
	const char *text = note_key_text(cx->mem, key);

	if (key->type != KEY_COSIGNATURE)
		return fail(cx, FAIL_INPUT,
		    "A witness's key is of type 04 (cosignature/v1): copyhold audit witness key.",
		    "\"%s\" is a key of another type", text);
	if (!lite_begin(cx, home->db))
		return false;
	if (check_new(cx, home, url, text) &&
	    lite_do(cx, home->db, &SQL_WITNESS_ADD, "ttti", url, text, ca, clock_wall_ms()) &&
	    tell(cx, home, "witness.add", url))
		return lite_commit(cx, home->db);
	lite_rollback(home->db);
	return false;
}

static bool
forget(Ctx *cx, Home *home, const char *url)
{
	LiteRows *rows;
	bool found;

	if (!lite_query(cx, home->db, &SQL_WITNESS_REMOVE, &rows, "t", url))
		return false;
	found = lite_next(rows);
	if (!lite_end(cx, rows))
		return false;
	return found ||
	    fail(cx, FAIL_NOT_FOUND, "See: copyhold audit witness list.",
		"there is no witness \"%s\"", url);
}

bool
witness_forget(Ctx *cx, Home *home, const char *url)
{
	if (!lite_begin(cx, home->db))
		return false;
	if (forget(cx, home, url) && tell(cx, home, "witness.remove", url))
		return lite_commit(cx, home->db);
	lite_rollback(home->db);
	return false;
}

bool
witness_list(Ctx *cx, Home *home, WitnessRecords *out)
{
	WitnessRecords all = { 0 };
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_WITNESS_LIST, &rows, ""))
		return false;
	while (lite_next(rows)) {
		WitnessRecord r = { .url = lite_text(rows, 0),
			.key = lite_text(rows, 1),
			.ca = lite_text(rows, 2),
			.asked = lite_int(rows, 3),
			.signed_at = lite_int(rows, 4),
			.behind = lite_int(rows, 5),
			.since = lite_int(rows, 6),
			.error = lite_text(rows, 7) };
		vec_push(cx->mem, &all, r);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

/* --- what is due ------------------------------------------------------------------------ */

/* Lines of others tell a witness nothing that it could check. */
static const char *
own_lines(Arena *mem, const Note *note, const char *origin)
{
	Note own = { .text = note->text, .n = note->n };

	for (size_t i = 0; i < note->signatures.n; i++)
		if (strcmp(note->signatures.at[i].name, origin) == 0)
			vec_push(mem, &own.signatures, note->signatures.at[i]);
	return note_text(mem, &own);
}

/* The line has seconds; the record must not be younger than the checkpoint that it is of. */
static int64_t
signed_time(Ctx *cx, Home *home, const LogNote *l)
{
	NoteKey beat;
	int64_t unix_s;

	if (!log_key(cx, home, &l->log, KEY_COSIGNATURE, &beat) ||
	    note_verify(&l->note, &beat, &unix_s) != NOTE_VALID || unix_s >= INT64_MAX / 1000)
		return l->log.signed_at;
	int64_t ms = unix_s * 1000 + 999;
	return ms > l->log.signed_at ? ms : l->log.signed_at;
}

static void
read_note(Arena *mem, Home *home, LogNote *l)
{
	Ctx own = ctx_new(mem);
	bool found;

	if (!log_checkpoint(&own, &l->log, &l->note, &l->cp, &found))
		l->unreadable = own.fail->what;
	else if (!found || strcmp(l->cp.origin, l->log.origin) != 0)
		l->unreadable = "the log has no published checkpoint";
	else {
		l->own = own_lines(mem, &l->note, l->log.origin);
		l->signed_at = signed_time(&own, home, l);
	}
}

static bool
find_log(Ctx *cx, Round *r, const char *origin, LogNote **out)
{
	for (size_t i = 0; i < r->logs.n; i++) {
		if (strcmp(r->logs.at[i]->log.origin, origin) == 0) {
			*out = r->logs.at[i];
			return true;
		}
	}
	LogNote *l = arena_alloc(cx->mem, sizeof *l);
	if (!log_of_origin(cx, r->home, origin, &l->log))
		return false;
	read_note(cx->mem, r->home, l);
	vec_push(cx->mem, &r->logs, l);
	*out = l;
	return true;
}

typedef struct Due {
	const char *origin, *url, *key, *ca;
	int64_t size, attempts, log_attempts;
} Due;
typedef VEC(Due) Dues;

static bool
read_due(Ctx *cx, const Round *r, Dues *out)
{
	LiteRows *rows;

	if (!lite_query(cx, r->home->db, &SQL_WITNESS_DUE, &rows, "iii", r->only, clock_wall_ms(),
		(int64_t)ROUND_OFFERS))
		return false;
	while (lite_next(rows)) {
		Due d = { .origin = lite_text(rows, 0),
			.url = lite_text(rows, 1),
			.key = lite_text(rows, 2),
			.ca = lite_text(rows, 3),
			.size = lite_int(rows, 4),
			.attempts = lite_int(rows, 5),
			.log_attempts = lite_int(rows, 6) };
		vec_push(cx->mem, out, d);
	}
	return lite_end(cx, rows);
}

static void
give_up(Offer *o, OfferState state, const char *error)
{
	o->state = state;
	o->error = error;
}

static void
set_out(Offer *o)
{
	const LogNote *l = o->of;

	if (l->unreadable)
		give_up(o, OFFER_UNREADABLE, l->unreadable);
	else if (l->cp.size < l->log.size)
		give_up(o, OFFER_STALE, NULL);
	/* What we believe that it has may be wrong; the witness says what is right. */
	if (o->old > l->cp.size)
		o->old = l->cp.size;
}

static bool
gather(Ctx *cx, Round *r)
{
	Dues dues = { 0 };

	if (!read_due(cx, r, &dues))
		return false;
	for (size_t i = 0; i < dues.n; i++) {
		const Due *d = &dues.at[i];
		Offer o = { .url = d->url,
			.ca = d->ca,
			.old = (uint64_t)d->size,
			.attempts = d->attempts,
			.log_attempts = d->log_attempts };

		if (!note_key_read(cx, d->key, &o.key) || !find_log(cx, r, d->origin, &o.of))
			return false;
		set_out(&o);
		vec_push(cx->mem, &r->offers, o);
	}
	return true;
}

/* --- asking ----------------------------------------------------------------------------- */

static const char *
body_of(Arena *mem, Offer *o)
{
	const LogNote *l = o->of;
	HashSource from = log_hashes(mem, &l->log, l->cp.size);
	Ctx own = ctx_new(mem);
	Buf b = buf_new(mem);
	Hashes proof = { 0 };

	if (!merkle_consistency(&own, &from, o->old, l->cp.size, &proof)) {
		give_up(o, OFFER_UNREADABLE, own.fail->what);
		return NULL;
	}
	buf_fmt(&b, "old %llu\n", (unsigned long long)o->old);
	for (size_t i = 0; i < proof.n; i++)
		buf_fmt(&b, "%s\n", base64_text(mem, proof.at[i].at, HASH_BYTES));
	buf_fmt(&b, "\n%s", l->own);
	return b.text;
}

/* Its line replaces an older one of the same key. */
static void
take_line(Arena *mem, LogNote *l, const NoteSignature *s)
{
	for (size_t i = 0; i < l->note.signatures.n; i++) {
		NoteSignature *old = &l->note.signatures.at[i];

		if (old->id == s->id && strcmp(old->name, s->name) == 0) {
			*old = *s;
			l->gained = true;
			return;
		}
	}
	vec_push(mem, &l->note.signatures, *s);
	l->gained = true;
}

/* Lines of keys that we do not know are ignored, as the specification says. */
static void
take_lines(Ctx *cx, Offer *o, const HttpAsk *a)
{
	Ctx own = ctx_new(cx->mem);
	const char *both = arena_printf(cx->mem, "%s%.*s", o->of->own, (int)a->answer_n, a->answer);
	Note note;
	int64_t at;

	if (strlen(both) != strlen(o->of->own) + a->answer_n ||
	    !note_read(&own, both, strlen(both), &note) || note.n != o->of->note.n ||
	    memcmp(note.text, o->of->note.text, note.n) != 0 ||
	    note_verify(&note, &o->key, &at) != NOTE_VALID) {
		give_up(o, OFFER_REFUSED, "its answer holds no valid cosignature of its key");
		return;
	}
	for (size_t i = 0; i < note.signatures.n; i++)
		if (note.signatures.at[i].id == o->key.id &&
		    strcmp(note.signatures.at[i].name, o->key.name) == 0)
			take_line(cx->mem, o->of, &note.signatures.at[i]);
	o->state = OFFER_COSIGNED;
}

/* More than was offered: we may have published more meanwhile; else it knows what we do not. */
static bool
knows_more(Ctx *cx, const Round *r, Offer *o, uint64_t size)
{
	LogNote now = { 0 };

	if (!log_of_origin(cx, r->home, o->of->log.origin, &now.log))
		return false;
	read_note(cx->mem, r->home, &now);
	if (now.log.size >= size || (!now.unreadable && now.cp.size >= size)) {
		o->state = OFFER_STALE;
		return true;
	}
	give_up(o, OFFER_FORKED,
	    arena_printf(cx->mem,
		"it has cosigned %llu entries of \"%s\", and this home has signed %llu",
		(unsigned long long)size, o->of->log.origin, (unsigned long long)o->of->cp.size));
	return true;
}

static bool
take_size(Ctx *cx, const Round *r, Offer *o, const HttpAsk *a)
{
	char *text = arena_dupn(cx->mem, a->answer, a->answer_n);
	char *end = strchr(text, '\n');
	uint64_t size;

	if (end)
		*end = '\0';
	if (!end || end[1] || strlen(text) + 1 != a->answer_n || !decimal_read(text, &size)) {
		give_up(o, OFFER_REFUSED, "its answer 409 holds no size");
		return true;
	}
	if (size > o->of->cp.size)
		return knows_more(cx, r, o, size);
	if (size == o->old)
		give_up(o, OFFER_FORKED,
		    arena_printf(cx->mem, "it has cosigned another tree of %llu entries of \"%s\"",
			(unsigned long long)size, o->of->log.origin));
	o->old = size;
	return true;
}

static const char *
refusal(Arena *mem, const Offer *o, int status)
{
	switch (status) {
	case 400:
		return "it takes the request for malformed (400)";
	case 403:
		return "it knows another key of this log (403)";
	case 404:
		return arena_printf(
		    mem, "it does not know the log \"%s\" (404)", o->of->log.origin);
	default:
		return arena_printf(mem, "it answered %d", status);
	}
}

static bool
take_answer(Ctx *cx, const Round *r, Offer *o, const HttpAsk *a)
{
	if (a->error && lane_stopping())
		o->state = OFFER_STALE; /* we left it */
	else if (a->error)
		give_up(o, OFFER_SILENT, a->error);
	else if (a->status == 200)
		take_lines(cx, o, a);
	else if (a->status == 409)
		return take_size(cx, r, o, a);
	else if (a->status == 422 && o->old)
		give_up(o, OFFER_FORKED,
		    arena_printf(cx->mem,
			"its tree of %llu entries of \"%s\" is not the beginning of ours",
			(unsigned long long)o->old, o->of->log.origin));
	else if (a->status >= 500)
		give_up(o, OFFER_SILENT, refusal(cx->mem, o, a->status));
	else
		give_up(o, OFFER_REFUSED, refusal(cx->mem, o, a->status));
	return true;
}

static int64_t
round_until(const Round *r)
{
	int64_t until = clock_mono_ms() + ANSWER_MS;

	return until < r->deadline ? until : r->deadline;
}

static bool
ask_once(Ctx *cx, Round *r)
{
	HttpAsk asks[ROUND_OFFERS];
	Offer *of[ROUND_OFFERS];
	size_t n = 0;

	for (size_t i = 0; i < r->offers.n; i++) {
		Offer *o = &r->offers.at[i];
		const char *body = o->state == OFFER_WAITS ? body_of(cx->mem, o) : NULL;

		if (!body)
			continue;
		of[n] = o;
		asks[n++] = (HttpAsk){ .url = arena_printf(cx->mem, "%s/add-checkpoint", o->url),
			.type = "text/plain",
			.body = body,
			.body_n = strlen(body),
			.ca = o->ca,
			.answer_max = ANSWER_MAX };
	}
	if (n)
		http_post(cx, r->http, asks, n, round_until(r));
	for (size_t i = 0; i < n; i++)
		if (!take_answer(cx, r, of[i], &asks[i]))
			return false;
	return true;
}

static bool
ask_all(Ctx *cx, Round *r)
{
	for (int i = 0; i < TRIES; i++)
		if (!ask_once(cx, r))
			return false;
	for (size_t i = 0; i < r->offers.n; i++)
		if (r->offers.at[i].state == OFFER_WAITS)
			give_up(&r->offers.at[i], OFFER_REFUSED, "it names one size after another");
	return true;
}

/* --- keeping ---------------------------------------------------------------------------- */

static int64_t
pause_until(int64_t attempts)
{
	int attempt = attempts < 30 ? (int)attempts : 30;

	return clock_wall_ms() + PAUSE_MS + backoff_ms(attempt, PAUSE_MS, PAUSE_MAX_MS);
}

static bool
keep_answer(Ctx *cx, const Round *r, const Offer *o)
{
	Lite *db = r->home->db;
	int64_t log = o->of->log.id, now = clock_wall_ms();

	if (o->state == OFFER_STALE)
		return true;
	if (o->state == OFFER_SILENT)
		return lite_do(cx, db, &SQL_WITNESS_LEARNED, "tii", o->url, log, (int64_t)o->old) &&
		    lite_do(cx, db, &SQL_WITNESS_SILENT, "tiit", o->url, now,
			pause_until(o->attempts), o->error);
	if (o->state != OFFER_UNREADABLE &&
	    !lite_do(cx, db, &SQL_WITNESS_ANSWERED, "ti", o->url, now))
		return false;
	if (o->state == OFFER_COSIGNED)
		return lite_do(cx, db, &SQL_WITNESS_COSIGNED, "tiiii", o->url, log,
		    (int64_t)o->of->cp.size, o->of->signed_at, now);
	return lite_do(cx, db, &SQL_WITNESS_REFUSED, "tiiit", o->url, log, (int64_t)o->old,
	    pause_until(o->log_attempts), o->error);
}

static bool
was_silent_before(const Round *r, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (r->offers.at[i].state == OFFER_SILENT &&
		    strcmp(r->offers.at[i].url, r->offers.at[at].url) == 0)
			return true;
	return false;
}

/* One that fell silent for some logs and answered for others fell silent last. */
static bool
keep_answers(Ctx *cx, const Round *r)
{
	if (!r->offers.n)
		return true;
	if (!lite_begin(cx, r->home->db))
		return false;
	for (int silent = 0; silent < 2; silent++) {
		for (size_t i = 0; i < r->offers.n; i++) {
			const Offer *o = &r->offers.at[i];

			if ((o->state == OFFER_SILENT) != silent ||
			    (silent && was_silent_before(r, i)))
				continue;
			if (keep_answer(cx, r, o))
				continue;
			lite_rollback(r->home->db);
			return false;
		}
	}
	return lite_commit(cx, r->home->db);
}

/* The line is in the published file before the catalogue believes it. */
static bool
publish_lines(Ctx *cx, const Round *r)
{
	VEC(Cosigned) all = { 0 };

	for (size_t i = 0; i < r->logs.n; i++) {
		const LogNote *l = r->logs.at[i];

		if (l->gained)
			vec_push(cx->mem, &all, ((Cosigned){ &l->log, &l->note }));
	}
	return all.n == 0 || log_cosigned_all(cx, r->home, all.at, all.n);
}

static bool
ask_window(Ctx *cx, Round *r)
{
	return gather(cx, r) && ask_all(cx, r) && publish_lines(cx, r) && keep_answers(cx, r);
}

/* --- rounds ------------------------------------------------------------------------------ */

static bool
any_fork(Ctx *cx, const Round *r)
{
	for (size_t i = 0; i < r->offers.n; i++) {
		const Offer *o = &r->offers.at[i];

		if (o->state != OFFER_FORKED)
			continue;
		log_say("witness %s: %s", o->url, o->error);
		fail(cx, FAIL_FORKED,
		    "If this home is an older copy of itself, run: copyhold audit recover. Else ask "
		    "the witness's operator for the checkpoint that it has.",
		    "the witness \"%s\" disagrees: %s", o->url, o->error);
	}
	return cx->fail->kind == FAIL_NONE;
}

/* Who was too slow gets more time: a second more at each attempt, to five. */
static bool
patience(Ctx *cx, Home *home, int64_t *times)
{
	LiteRows *rows;

	*times = 1;
	if (!lite_query(cx, home->db, &SQL_WITNESS_PATIENCE, &rows, "i", clock_wall_ms()))
		return false;
	if (lite_next(rows))
		*times += lite_int(rows, 0) < 4 ? lite_int(rows, 0) : 4;
	return lite_end(cx, rows);
}

bool
witness_ask(Ctx *cx, Home *home, const struct Log *log, int64_t deadline_ms)
{
	Round r = { .home = home, .only = log->id, .deadline = clock_mono_ms() + deadline_ms };
	Dues dues = { 0 };

	/* Mostly there is nobody to ask, and a client costs more than this look. */
	if (!read_due(cx, &r, &dues))
		return false;
	if (!dues.n)
		return true;
	return http_new(cx, &r.http) && ask_window(cx, &r) && any_fork(cx, &r);
}

/* How many were asked or could not be; what has to wait for a newer checkpoint waits for the next round. */
static bool
one_window(Ctx *cx, Round *r, size_t *n)
{
	*n = 0;
	if (!ask_window(cx, r))
		return false;
	for (size_t i = 0; i < r->offers.n; i++)
		*n += r->offers.at[i].state != OFFER_STALE;
	any_fork(cx, r);
	fail_clear(cx);
	return true;
}

bool
witness_round(Ctx *cx, Home *home, int64_t deadline_ms, size_t *asked)
{
	Ctx round = ctx_new(cx->mem);
	Round r = { .home = home, .deadline = clock_mono_ms() + deadline_ms };
	Dues dues = { 0 };
	size_t n = 0, last = 1;
	bool ok = read_due(&round, &r, &dues) && (!dues.n || http_new(&round, &r.http));

	for (; ok && dues.n && last && clock_mono_ms() < r.deadline && !lane_stopping();
	     n += last) {
		Ctx own = ctx_new(round.mem);
		Round window = r;

		ok = one_window(&own, &window, &last);
		if (!ok)
			fail_copy(&round, &own);
		arena_free(own.mem);
	}
	if (!ok)
		fail_copy(cx, &round);
	arena_free(round.mem);
	*asked = n;
	return ok;
}

void
witness_catch_up(Ctx *cx, Home *home, int64_t budget_ms)
{
	Ctx own = ctx_new(cx->mem);
	int64_t times;
	size_t asked;
	pid_t pid;

	if (!service_running(home, &pid) &&
	    (!patience(&own, home, &times) ||
		!witness_round(&own, home, budget_ms * times, &asked)))
		log_say("asking the witnesses: %s", own.fail->what);
	arena_free(own.mem);
}

void
witness_watch(Ctx *cx, Home *home)
{
	Arena *mem = arena_new(cx->mem);
	char *said = NULL;

	while (!lane_stopping()) {
		Ctx own = ctx_new(cx->mem);
		size_t n = 0;

		if (witness_round(&own, home, ROUND_MS, &n))
			said = NULL;
		else if (!said || strcmp(said, own.fail->what) != 0) {
			arena_reset(mem);
			said = arena_dup(mem, own.fail->what);
			log_say("asking the witnesses: %s", said);
		}
		arena_free(own.mem);
		if (!n)
			lane_sleep(LOOK_MS);
	}
	arena_free(mem);
}

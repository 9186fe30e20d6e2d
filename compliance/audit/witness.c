#include "compliance/audit/witness.h"

#include <string.h>

#include "compliance/audit/witness.sql.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#define PROOF_LINES 63 /* of the specification */
#define SIZE_TYPE   "text/x.tlog.size"
#define TEXT_TYPE   "text/plain; charset=utf-8"

struct Witness {
	Lite *db;
	NoteSigner signer;
};

/* --- its folder ------------------------------------------------------------------------- */

static const Sql *const witness_migrations[] = { &SQL_WITNESS_MIGRATE_1 };

static bool
read_self(Ctx *cx, Lite *db, char **name, Secret *seed)
{
	LiteRows *rows;

	*name = NULL;
	if (!lite_query(cx, db, &SQL_WITNESS_SELF, &rows, ""))
		return false;
	if (lite_next(rows)) {
		Bytes bytes = lite_bytes(rows, 1);

		*name = lite_text(rows, 0);
		*seed = secret_new(cx->mem, bytes.at, bytes.n);
		secret_wipe((void *)(uintptr_t)bytes.at, bytes.n);
	}
	return lite_end(cx, rows);
}

static bool
make_self(Ctx *cx, Lite *db, const char *name, Secret *seed)
{
	*seed = secret_alloc(cx->mem, ED25519_SEED);
	random_bytes(seed->text, seed->len);
	return lite_do(cx, db, &SQL_WITNESS_SELF_ADD, "tb", name,
	    (Bytes){ (const unsigned char *)seed->text, seed->len });
}

static bool
is_another(Ctx *cx, const char *dir, const char *known, const char *name)
{
	if (!name || strcmp(known, name) == 0)
		return true;
	return fail(cx, FAIL_EXISTS, "Leave --name out, or take another folder.",
	    "the witness in \"%s\" is \"%s\", not \"%s\"", dir, known, name);
}

static bool
open_self(Ctx *cx, Witness *w, const char *dir, const char *name)
{
	char *known;
	Secret seed;

	if (!read_self(cx, w->db, &known, &seed))
		return false;
	if (known && !is_another(cx, dir, known, name))
		return false;
	if (!known && !name)
		return fail(cx, FAIL_USAGE, "Say --name, such as --name witness.example.com/w1.",
		    "the witness in \"%s\" has no name yet", dir);
	/* A name that no signature line can carry fails before it is kept. */
	if (!known) {
		Secret none = secret_alloc(cx->mem, ED25519_SEED);
		if (!note_signer(cx, name, KEY_COSIGNATURE, &none, &w->signer) ||
		    !make_self(cx, w->db, name, &seed))
			return false;
	}
	return note_signer(cx, known ? known : name, KEY_COSIGNATURE, &seed, &w->signer);
}

static bool
open_db(Ctx *cx, const char *dir, const char *name, Lite **db)
{
	char *path = arena_printf(cx->mem, "%s/witness.db", dir);

	if (!name && !file_exists(path))
		return fail(cx, FAIL_NOT_FOUND,
		    "Say --name, such as --name witness.example.com/w1, and it is made.",
		    "there is no witness in \"%s\"", dir);
	return file_make_dirs(cx, dir, 0700) && file_check_private(cx, dir, true) &&
	    lite_open(cx, path, LITE_CREATE, db) &&
	    lite_migrate(cx, *db, witness_migrations, LENGTH(witness_migrations));
}

bool
witness_open(Ctx *cx, const char *dir, const char *name, Witness **out)
{
	Witness *w = arena_alloc(cx->mem, sizeof *w);

	if (!open_db(cx, dir, name, &w->db) || !lite_begin(cx, w->db))
		return false;
	if (!open_self(cx, w, dir, name)) {
		lite_rollback(w->db);
		return false;
	}
	*out = w;
	return lite_commit(cx, w->db);
}

const NoteKey *
witness_key(const Witness *w)
{
	return &w->signer.key;
}

bool
witness_trust(Ctx *cx, Witness *w, const NoteKey *log)
{
	if (log->type != KEY_ED25519)
		return fail(cx, FAIL_INPUT, "A log's key is of type 01 (Ed25519).",
		    "\"%s\" is a key of another type", note_key_text(cx->mem, log));
	if (!lite_begin(cx, w->db))
		return false;
	if (lite_do(cx, w->db, &SQL_WITNESS_LOG_ADD, "t", log->name) &&
	    lite_do(cx, w->db, &SQL_WITNESS_KEY_ADD, "tt", log->name, note_key_text(cx->mem, log)))
		return lite_commit(cx, w->db);
	lite_rollback(w->db);
	return false;
}

/* The keys of tlog-list that follow each vkey; an origin of its own would be another log's name. */
static bool
is_detail(Ctx *cx, const char *line, const NoteKey *last)
{
	if (strncmp(line, "qpd ", 4) == 0 || strncmp(line, "contact ", 8) == 0 ||
	    strcmp(line, "logs/v0") == 0)
		return true;
	if (strncmp(line, "origin ", 7) != 0)
		return false;
	return (last->name && strcmp(line + 7, last->name) == 0) ||
	    fail(cx, FAIL_INPUT, "Such a log is not supported: leave it out.",
		"the origin \"%s\" is not the name of its log's key", line + 7);
}

static bool
trust_line(Ctx *cx, Witness *w, const char *line, NoteKey *last, size_t *logs)
{
	size_t n;

	line += strspn(line, " \t");
	n = strlen(line);
	while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
		n--;
	line = arena_dupn(cx->mem, line, n);
	if (!*line || *line == '#' || is_detail(cx, line, last))
		return true;
	if (cx->fail->kind || !note_key_read(cx, line + (strncmp(line, "vkey ", 5) ? 0 : 5), last))
		return false;
	if (last->type != KEY_ED25519)
		return true;
	++*logs;
	return witness_trust(cx, w, last);
}

bool
witness_trust_list(Ctx *cx, Witness *w, const char *file, const char *text, size_t n, size_t *logs)
{
	const char *end = text + n;
	NoteKey last = { 0 };
	size_t found = 0;

	if (!lite_begin(cx, w->db))
		return false;
	for (int number = 1; text < end; number++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		char *line = arena_dupn(
		    cx->mem, text, stop ? (size_t)(stop - text) : (size_t)(end - text));

		if (!trust_line(cx, w, line, &last, &found)) {
			lite_rollback(w->db);
			return fail_at(cx, (Place){ file, number, 1 });
		}
		text = stop ? stop + 1 : end;
	}
	*logs = found;
	return lite_commit(cx, w->db);
}

/* --- a request -------------------------------------------------------------------------- */

typedef struct Request {
	uint64_t old;
	Hashes proof;
	const char *bytes; /* the checkpoint as it came */
	Note note;
	Checkpoint cp;
} Request;

/* The next line, without its end; NULL where there is none. */
static char *
take_line(Arena *mem, const char **at, size_t *n)
{
	const char *end = *n ? memchr(*at, '\n', *n) : NULL;

	if (!end)
		return NULL;
	size_t len = (size_t)(end - *at);
	char *line = arena_dupn(mem, *at, len);
	*at += len + 1;
	*n -= len + 1;
	return strlen(line) == len ? line : NULL;
}

static bool
read_old(Ctx *cx, const char *line, uint64_t *old)
{
	if (line && strncmp(line, "old ", 4) == 0 && decimal_read(line + 4, old))
		return true;
	return fail(cx, FAIL_INPUT, NULL, "the first line is not \"old\" and a size");
}

static bool
read_request(Ctx *cx, const char *body, size_t n, Request *out)
{
	Request r = { 0 };

	if (!read_old(cx, take_line(cx->mem, &body, &n), &r.old))
		return false;
	for (;;) {
		char *line = take_line(cx->mem, &body, &n);
		Hash h;

		if (line && !*line)
			break;
		if (!line || !hash_read(cx->mem, line, &h))
			return fail(cx, FAIL_INPUT, NULL,
			    "line %zu is no hash in base64 and not empty", r.proof.n + 2);
		if (r.proof.n == PROOF_LINES)
			return fail(
			    cx, FAIL_INPUT, NULL, "the proof has more than %d lines", PROOF_LINES);
		vec_push(cx->mem, &r.proof, h);
	}
	if (!note_read(cx, body, n, &r.note) || !checkpoint_read(cx, &r.note, &r.cp))
		return false;
	r.bytes = arena_dupn(cx->mem, body, n);
	*out = r;
	return true;
}

static bool
say(Ctx *cx, WitnessAnswer *out, int status, const char *text)
{
	*out = (WitnessAnswer){ status, TEXT_TYPE, arena_printf(cx->mem, "%s\n", text) };
	return true;
}

static bool
say_size(Ctx *cx, WitnessAnswer *out, uint64_t size)
{
	*out = (WitnessAnswer){ 409, SIZE_TYPE,
		arena_printf(cx->mem, "%llu\n", (unsigned long long)size) };
	return true;
}

/* --- what is known of its log ----------------------------------------------------------- */

typedef enum Trust { TRUST_UNKNOWN, TRUST_UNSIGNED, TRUST_SIGNED } Trust;

static bool
check_signature(Ctx *cx, Witness *w, const Request *r, Trust *out)
{
	LiteRows *rows;
	bool good = false, bad = false;
	size_t n = 0;

	if (!lite_query(cx, w->db, &SQL_WITNESS_KEYS, &rows, "t", r->cp.origin))
		return false;
	for (; lite_next(rows); n++) {
		NoteKey key;
		int64_t at;

		if (!note_key_read(cx, lite_text(rows, 0), &key))
			break;
		NoteVerdict verdict = note_verify(&r->note, &key, &at);
		good |= verdict == NOTE_VALID;
		bad |= verdict == NOTE_BAD;
	}
	if (!lite_end(cx, rows) || cx->fail->kind)
		return false;
	*out = !n ? TRUST_UNKNOWN : good && !bad ? TRUST_SIGNED : TRUST_UNSIGNED;
	return true;
}

typedef struct Known {
	uint64_t size;
	Hash root;
	const char *note; /* NULL: nothing was ever cosigned */
	int64_t signed_at;
} Known;

static bool
read_known(Ctx *cx, Witness *w, const char *origin, Known *out)
{
	LiteRows *rows;
	bool found = false;

	if (!lite_query(cx, w->db, &SQL_WITNESS_LOG, &rows, "t", origin))
		return false;
	if ((found = lite_next(rows))) {
		Bytes root = lite_bytes(rows, 1);

		out->size = (uint64_t)lite_int(rows, 0);
		out->note = lite_text(rows, 2);
		out->signed_at = lite_int(rows, 3);
		merkle_empty(&out->root);
		if (root.n == HASH_BYTES)
			memcpy(out->root.at, root.at, HASH_BYTES);
	}
	if (!lite_end(cx, rows))
		return false;
	return found || fail(cx, FAIL_CATALOG, NULL, "the log \"%s\" is gone", origin);
}

/* Two roots of one size, both signed by the log, are the proof of a fork: they are kept. */
static bool
keep_fork(Ctx *cx, Witness *w, const Request *r, const Known *known)
{
	log_say("fork: \"%s\" signed two trees of size %llu", r->cp.origin,
	    (unsigned long long)r->cp.size);
	return lite_do(cx, w->db, &SQL_WITNESS_FORK_ADD, "tibitt", r->cp.origin,
	    (int64_t)r->cp.size, (Bytes){ r->cp.root.at, HASH_BYTES }, clock_wall_ms(), known->note,
	    r->bytes);
}

static bool
is_consistent(const Request *r, const Known *known)
{
	Hash empty;

	if (known->size)
		return merkle_check_consistency(
		    known->size, &known->root, r->cp.size, &r->cp.root, &r->proof);
	merkle_empty(&empty);
	return !r->proof.n && (r->cp.size || hash_same(&r->cp.root, &empty));
}

/* In a transaction that keeps every other writer out: what is decided here is what is kept. */
static bool
decide(Ctx *cx, Witness *w, const Request *r, int64_t *unix_s, WitnessAnswer *out)
{
	Known known;

	if (!read_known(cx, w, r->cp.origin, &known))
		return false;
	if (known.note && r->cp.size == known.size && !hash_same(&r->cp.root, &known.root))
		return keep_fork(cx, w, r, &known) && say_size(cx, out, known.size);
	if (r->old != known.size)
		return say_size(cx, out, known.size);
	if (!is_consistent(r, &known))
		return say(cx, out, 422, "the consistency proof does not verify");
	fault_point("witness:checked");
	/* A clock that went back must not make this cosignature older than the last one. */
	*unix_s = clock_wall_ms() / 1000;
	if (*unix_s < known.signed_at)
		*unix_s = known.signed_at;
	return lite_do(cx, w->db, &SQL_WITNESS_LOG_GROW, "tibti", r->cp.origin, (int64_t)r->cp.size,
	    (Bytes){ r->cp.root.at, HASH_BYTES }, r->bytes, *unix_s);
}

static bool
cosign(Ctx *cx, const Witness *w, const Request *r, int64_t unix_s, WitnessAnswer *out)
{
	Note bare = { .text = r->note.text, .n = r->note.n };

	if (!note_sign(cx, &bare, &w->signer, unix_s))
		return false;
	*out = (WitnessAnswer){ 200, TEXT_TYPE, note_line(cx->mem, &bare.signatures.at[0]) };
	return true;
}

static bool
decide_and_keep(Ctx *cx, Witness *w, const Request *r, WitnessAnswer *out)
{
	int64_t unix_s = 0;

	if (!lite_begin(cx, w->db))
		return false;
	if (!decide(cx, w, r, &unix_s, out)) {
		lite_rollback(w->db);
		return false;
	}
	if (!lite_commit(cx, w->db))
		return false;
	fault_point("witness:kept");
	return out->status || cosign(cx, w, r, unix_s, out);
}

bool
witness_add(Ctx *cx, Witness *w, const char *body, size_t n, WitnessAnswer *out)
{
	Ctx reading = ctx_new(cx->mem);
	Request r;
	Trust trust;

	*out = (WitnessAnswer){ 0 };
	if (!read_request(&reading, body, n, &r))
		return say(cx, out, 400, reading.fail->what);
	if (!check_signature(cx, w, &r, &trust))
		return false;
	switch (trust) {
	case TRUST_UNKNOWN:
		return say(cx, out, 404, "the origin is unknown");
	case TRUST_UNSIGNED:
		return say(cx, out, 403, "no known key of this origin has signed");
	case TRUST_SIGNED:
		break;
	}
	if (r.old > r.cp.size)
		return say(cx, out, 400, "the old size is greater than the checkpoint's");
	return decide_and_keep(cx, w, &r, out);
}

/* --- for people ------------------------------------------------------------------------- */

bool
witness_logs(Ctx *cx, Witness *w, WitnessLogs *out)
{
	LiteRows *rows;

	*out = (WitnessLogs){ 0 };
	if (!lite_query(cx, w->db, &SQL_WITNESS_LOGS, &rows, ""))
		return false;
	while (lite_next(rows)) {
		Bytes root = lite_bytes(rows, 2);
		WitnessLog log = { .origin = lite_text(rows, 0),
			.size = (uint64_t)lite_int(rows, 1),
			.signed_at = lite_int(rows, 3),
			.note = lite_text(rows, 4),
			.forks = lite_int(rows, 5) };

		merkle_empty(&log.root);
		if (root.n == HASH_BYTES)
			memcpy(log.root.at, root.at, HASH_BYTES);
		vec_push(cx->mem, out, log);
	}
	return lite_end(cx, rows);
}

bool
witness_forks(Ctx *cx, Witness *w, WitnessForks *out)
{
	LiteRows *rows;

	*out = (WitnessForks){ 0 };
	if (!lite_query(cx, w->db, &SQL_WITNESS_FORKS, &rows, ""))
		return false;
	while (lite_next(rows)) {
		WitnessFork fork = { .origin = lite_text(rows, 0),
			.size = (uint64_t)lite_int(rows, 1),
			.at = lite_int(rows, 2),
			.ours = lite_text(rows, 3),
			.theirs = lite_text(rows, 4) };
		vec_push(cx->mem, out, fork);
	}
	return lite_end(cx, rows);
}

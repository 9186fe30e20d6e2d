/*
 * A round takes many logs through each stage together, so that a thousand of
 * them cost as many syncs as one: files and marks, tree states, checkpoints.
 */
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/log_intern.h"
#include "compliance/audit/log.sql.h"
#include "compliance/audit/tile.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#define ROUND_ENTRIES 16384 /* of one log in one round: what comes later is not kept waiting */
#define ROUND_LOGS    64
#define ROUND_WAIT_MS 10000
#define FILE_MODE     0600

typedef struct Job {
	Ctx cx; /* its own, so that one log's failure stays its own */
	Log log;
	NoteKey key;
	Head head, high, published;
	Note note; /* the published one: its witnesses have signed the same text */
	TileWriter *tiles;
	int64_t at;
	bool failed, idle;
} Job;

typedef struct Round {
	Home *home;
	Heartbeat beat;
	Ed25519 *private;
	unsigned char public[ED25519_PUBLIC];
	Batch *files;
	Job *jobs;
	size_t n;
} Round;

/* --- comparing ------------------------------------------------------------------------- */

static bool
head_fits(Job *j, const Head *h, const Head *other)
{
	if (!h->known || !other->known || h->size != other->size ||
	    hash_same(&h->root, &other->root))
		return true;
	return log_forked(
	    &j->cx, &j->log, "two trees of %llu entries are told of", (unsigned long long)h->size);
}

/* A smaller tree that was signed before must be the beginning of this one. */
static bool
head_begins(Job *j, const Head *h)
{
	HashSource from = log_hashes(j->cx.mem, &j->log, j->log.size);
	Range r;
	Hash root;

	if (!h->known || h->size >= j->log.size)
		return true;
	if (!merkle_compact(&j->cx, &from, 0, h->size, &r))
		return false;
	range_root(&r, &root);
	return hash_same(&root, &h->root) ||
	    log_forked(&j->cx, &j->log, "the tree of %llu entries that was signed is no part of it",
		(unsigned long long)h->size);
}

static bool
heads_read(Job *j)
{
	Head state = { .size = j->log.size, .root = j->log.root, .known = j->log.size > 0 };

	if (!log_high_water(&j->cx, &j->log, &j->high) ||
	    !log_published(&j->cx, &j->log, &j->key, &j->published, &j->note))
		return false;
	if (state.known && !j->high.known)
		return log_forked(&j->cx, &j->log, "its files in \"%s\" are gone", j->log.dir);
	return head_fits(j, &state, &j->high) && head_fits(j, &state, &j->published) &&
	    head_fits(j, &j->high, &j->published) && head_begins(j, &j->high) &&
	    head_begins(j, &j->published);
}

static uint64_t
heads_top(const Job *j)
{
	uint64_t top = j->log.size;

	if (j->high.known && j->high.size > top)
		top = j->high.size;
	if (j->published.known && j->published.size > top)
		top = j->published.size;
	return top;
}

/* --- files ------------------------------------------------------------------------------ */

static bool
head_met(Job *j, const Head *h)
{
	Hash root;

	if (!h->known || h->size != tile_range(j->tiles)->end)
		return true;
	range_root(tile_range(j->tiles), &root);
	return hash_same(&root, &h->root) ||
	    log_forked(&j->cx, &j->log,
		"the catalogue has other entries than the tree of %llu that was signed",
		(unsigned long long)h->size);
}

static bool
add_entry(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	Job *j = ptr;

	(void)index;
	(void)event;
	if (!tile_add(cx, j->tiles, bytes))
		return false;
	if (head_met(j, &j->high) && head_met(j, &j->published))
		return true;
	fail_copy(cx, &j->cx);
	return false;
}

static bool
write_tiles(Round *r, Job *j, uint64_t target)
{
	const Head state = { .size = j->log.size, .root = j->log.root, .known = true };

	if (!tile_writer(&j->cx, r->files, j->log.dir, j->log.size, &j->tiles))
		return false;
	if (!head_met(j, &state))
		return false;
	if (!log_each(&j->cx, r->home, &j->log, j->log.size, target, add_entry, j) ||
	    !tile_end(&j->cx, j->tiles))
		return false;
	j->head = (Head){ .size = target, .known = true };
	range_root(tile_range(j->tiles), &j->head.root);
	return true;
}

static bool
prepare(Round *r, Job *j)
{
	if (!log_by_id(&j->cx, r->home, j->log.id, &j->log))
		return false;
	j->key = note_key(j->log.origin, KEY_ED25519, r->public);
	if (!heads_read(j))
		return false;
	uint64_t top = heads_top(j), target = j->log.next;
	if (top > target)
		return log_forked(&j->cx, &j->log,
		    "the catalogue has %llu entries of it and %llu were signed",
		    (unsigned long long)target, (unsigned long long)top);
	if (target - j->log.size > ROUND_ENTRIES)
		target = top > j->log.size + ROUND_ENTRIES ? top : j->log.size + ROUND_ENTRIES;
	bool told = j->published.known && j->published.size == target && j->log.signed_at > 0;
	bool wanted = r->beat == HEARTBEAT_ALWAYS && !j->log.closed;
	j->idle = target == 0 || (target == j->log.size && told && !wanted);
	if (j->idle)
		return true;
	j->head = (Head){ .size = j->log.size, .root = j->log.root, .known = true };
	if (target > j->log.size && !write_tiles(r, j, target))
		return false;
	return (j->high.known && j->high.size == j->head.size) ||
	    log_put_head(&j->cx, r->files, &j->log, &j->head);
}

static void
prepare_all(Round *r)
{
	for (size_t i = 0; i < r->n; i++) {
		Job *j = &r->jobs[i];
		size_t mark = batch_mark(r->files);
		if (prepare(r, j))
			continue;
		batch_back(r->files, mark);
		j->failed = true;
	}
}

/* --- signing ------------------------------------------------------------------------------ */

static bool
state_swap(Ctx *cx, Home *home, Job *j)
{
	Bytes was = { j->log.size > 0 ? j->log.root.at : NULL, HASH_BYTES };
	LiteRows *rows;

	j->at = clock_wall_ms();
	if (!lite_query(cx, home->db, &SQL_LOG_SIGNED, &rows, "iibibi", j->log.id,
		(int64_t)j->log.size, was, (int64_t)j->head.size,
		(Bytes){ j->head.size > 0 ? j->head.root.at : NULL, HASH_BYTES }, j->at))
		return false;
	bool swapped = lite_next(rows);
	if (!lite_end(cx, rows))
		return false;
	return swapped || log_forked(cx, &j->log, "its state was changed by something else");
}

static bool
swap_all(Ctx *cx, Round *r)
{
	bool done = lite_begin(cx, r->home->db);

	if (!done)
		return false;
	for (size_t i = 0; done && i < r->n; i++)
		if (!r->jobs[i].failed && !r->jobs[i].idle)
			done = state_swap(cx, r->home, &r->jobs[i]);
	if (done)
		return lite_commit(cx, r->home->db);
	lite_rollback(r->home->db);
	return false;
}

static bool
is_ours(const Job *j, const NoteSignature *s, const NoteKey *beat)
{
	return strcmp(s->name, j->log.origin) == 0 && (s->id == j->key.id || s->id == beat->id);
}

static bool
put_checkpoint(Round *r, Batch *b, Job *j)
{
	Ctx *cx = &j->cx;
	const Checkpoint c = {
		.origin = j->log.origin, .size = j->head.size, .root = j->head.root
	};
	NoteSigner sign = { .key = j->key, .private = r->private };
	NoteSigner beat = { .key = note_key(j->log.origin, KEY_COSIGNATURE, r->public),
		.private = r->private };
	char *text = checkpoint_text(cx->mem, &c);
	Note note = { .text = text, .n = strlen(text) };

	if (!note_sign(cx, &note, &sign, 0) || !note_sign(cx, &note, &beat, j->at / 1000))
		return false;
	if (j->note.text && strcmp(j->note.text, text) == 0)
		for (size_t i = 0; i < j->note.signatures.n; i++)
			if (!is_ours(j, &j->note.signatures.at[i], &beat.key))
				vec_push(cx->mem, &note.signatures, j->note.signatures.at[i]);
	text = note_text(cx->mem, &note);
	return batch_put(cx, b, arena_printf(cx->mem, "%s/checkpoint", j->log.dir), FILE_MODE,
	    (Bytes){ (unsigned char *)text, strlen(text) });
}

/* The two verifier keys, for whoever serves the folder; not what anyone should trust without asking. */
static bool
put_key(Round *r, Batch *b, Job *j)
{
	Ctx *cx = &j->cx;
	char *path = arena_printf(cx->mem, "%s/key", j->log.dir);
	NoteKey beat = note_key(j->log.origin, KEY_COSIGNATURE, r->public);

	if (file_exists(path))
		return true;
	char *text = arena_printf(
	    cx->mem, "%s\n%s\n", note_key_text(cx->mem, &j->key), note_key_text(cx->mem, &beat));
	return batch_put(cx, b, path, FILE_MODE, (Bytes){ (unsigned char *)text, strlen(text) });
}

static bool
sign_all(Ctx *cx, Round *r)
{
	Batch *b = batch_new(cx->mem, log_audit_dir(cx->mem, r->home));

	for (size_t i = 0; i < r->n; i++) {
		Job *j = &r->jobs[i];
		if (j->failed || j->idle)
			continue;
		if (!put_checkpoint(r, b, j) || !put_key(r, b, j)) {
			fail_copy(cx, &j->cx);
			return false;
		}
	}
	return batch_commit(cx, b);
}

/* --- a round ------------------------------------------------------------------------------ */

static bool
round_run(Ctx *cx, Round *r)
{
	r->files = batch_new(cx->mem, log_audit_dir(cx->mem, r->home));
	prepare_all(r);
	if (batch_mark(r->files) > 0 && !log_put_mark(cx, r->home, r->files))
		return false;
	if (!batch_commit(cx, r->files) || !swap_all(cx, r))
		return false;
	if (!sign_all(cx, r))
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (r->jobs[i].tiles && !r->jobs[i].failed)
			tile_tidy(r->jobs[i].tiles);
	return true;
}

static void
round_result(Ctx *cx, const Round *r, Log *logs, size_t *failed, Fail *why)
{
	for (size_t i = 0; i < r->n; i++) {
		const Job *j = &r->jobs[i];
		if (j->failed) {
			Ctx out = { .mem = cx->mem, .fail = why };
			fail_copy(&out, &j->cx);
			++*failed;
			continue;
		}
		logs[i].next = j->log.next;
		logs[i].size = j->idle ? j->log.size : j->head.size;
		logs[i].root = j->idle ? j->log.root : j->head.root;
		logs[i].signed_at = j->idle ? j->log.signed_at : j->at;
	}
}

static bool
round_of(Ctx *cx, Home *home, Log *logs, size_t n, Heartbeat beat, size_t *failed, Fail *why)
{
	Ctx own = ctx_new(cx->mem);
	Round r = { .home = home, .beat = beat, .n = n };

	r.jobs = arena_alloc(own.mem, n * sizeof *r.jobs);
	for (size_t i = 0; i < n; i++)
		r.jobs[i] = (Job){ .cx = ctx_new(own.mem), .log = logs[i] };
	bool done = log_private(&own, home, &r.private) &&
	    (ed25519_public(r.private, r.public), true) && round_run(&own, &r);
	if (done)
		round_result(cx, &r, logs, failed, why);
	else
		fail_copy(cx, &own);
	arena_free(own.mem);
	return done;
}

static bool
publish_locked(Ctx *cx, Home *home, Logs *logs, Heartbeat beat, size_t *failed, Fail *why)
{
	*failed = 0;
	for (size_t at = 0; at < logs->n; at += ROUND_LOGS) {
		size_t n = logs->n - at < ROUND_LOGS ? logs->n - at : ROUND_LOGS;
		if (!round_of(cx, home, logs->at + at, n, beat, failed, why))
			return false;
	}
	return true;
}

bool
log_publish_locked(Ctx *cx, Home *home, Logs *logs)
{
	Fail why = { 0 };
	size_t failed;

	if (!publish_locked(cx, home, logs, HEARTBEAT_IF_GROWN, &failed, &why))
		return false;
	Ctx from = { .mem = cx->mem, .fail = &why };
	if (failed)
		fail_copy(cx, &from);
	return failed == 0;
}

static bool
lock_or_fail(Ctx *cx, Home *home, int *fd)
{
	if (!log_lock(cx, home, ROUND_WAIT_MS, fd))
		return false;
	return *fd >= 0 ||
	    fail(cx, FAIL_LEASED, "Wait until it has ended, then try again.",
		"another process writes the logs of \"%s\"", home->dir);
}

bool
log_publish_all(Ctx *cx, Home *home, Logs *logs, Heartbeat beat, size_t *failed, Fail *why)
{
	int fd;

	if (!lock_or_fail(cx, home, &fd))
		return false;
	bool done = publish_locked(cx, home, logs, beat, failed, why);
	log_unlock(fd);
	return done;
}

bool
log_publish(Ctx *cx, Home *home, Log *log, Heartbeat beat)
{
	Log now = *log;
	Logs one = { .at = &now, .n = 1 };
	Fail why = { 0 };
	size_t failed;

	do {
		uint64_t before = now.size;
		if (!log_publish_all(cx, home, &one, beat, &failed, &why))
			return false;
		if (failed) {
			Ctx from = { .mem = cx->mem, .fail = &why };
			fail_copy(cx, &from);
			return false;
		}
		if (now.size == before)
			break;
	} while (now.size < now.next);
	*log = now;
	return true;
}

/* Of a tree that has grown in the meantime nothing is taken: its lines are of another text. */
static bool
cosign_locked(Ctx *cx, Home *home, const Log *log, const Note *more)
{
	Batch *b = batch_new(cx->mem, log_audit_dir(cx->mem, home));
	Checkpoint c;
	Note note;
	bool found;

	if (!log_checkpoint(cx, log, &note, &c, &found))
		return false;
	if (!found || note.n != more->n || memcmp(note.text, more->text, note.n) != 0)
		return true;
	for (size_t i = 0; i < more->signatures.n; i++) {
		const NoteSignature *s = &more->signatures.at[i];
		if (strcmp(s->name, log->origin) == 0)
			continue;
		bool has = false;
		for (size_t k = 0; k < note.signatures.n; k++) {
			NoteSignature *old = &note.signatures.at[k];
			if (old->id == s->id && strcmp(old->name, s->name) == 0) {
				*old = *s;
				has = true;
			}
		}
		if (!has)
			vec_push(cx->mem, &note.signatures, *s);
	}
	char *text = note_text(cx->mem, &note);
	return batch_put(cx, b, arena_printf(cx->mem, "%s/checkpoint", log->dir), FILE_MODE,
		   (Bytes){ (unsigned char *)text, strlen(text) }) &&
	    batch_commit(cx, b);
}

bool
log_cosigned(Ctx *cx, Home *home, const Log *log, const Note *note)
{
	int fd;

	if (!lock_or_fail(cx, home, &fd))
		return false;
	bool done = cosign_locked(cx, home, log, note);
	log_unlock(fd);
	return done;
}

/* --- after a command ------------------------------------------------------------------------ */

static bool
catch_up(Ctx *cx, Home *home, int64_t until)
{
	Logs logs;

	do {
		if (!log_behind(cx, home, ROUND_LOGS, &logs))
			return false;
		if (logs.n == 0)
			return true;
		if (!log_publish_locked(cx, home, &logs))
			return false;
	} while (clock_mono_ms() < until);
	return true;
}

void
log_catch_up(Ctx *cx, Home *home, int64_t budget_ms)
{
	Ctx own = ctx_new(cx->mem);
	int64_t until = clock_mono_ms() + budget_ms;
	int fd = -1;
	Logs logs = { 0 };
	bool done = log_behind(&own, home, 1, &logs) &&
	    (logs.n == 0 || log_lock(&own, home, budget_ms, &fd));

	if (fd >= 0) {
		done = catch_up(&own, home, until);
		log_unlock(fd);
	}
	if (!done)
		log_say("the change is recorded, but its log could not be published: %s (copyhold "
			"audit status)",
		    own.fail->what);
	arena_free(own.mem);
}

/*
 * A round takes many logs through each stage together, so that a thousand of
 * them cost as many syncs as one: files and marks, tree states, checkpoints.
 */
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/log_intern.h"
#include "compliance/audit/log.sql.h"
#include "compliance/audit/service.h"
#include "compliance/audit/tile.h"
#include "compliance/audit/witness.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#define ROUND_ENTRIES 16384 /* of one log in one round: what comes later is not kept waiting */
#define ROUND_LOGS    64
#define ROUND_WAIT_MS 10000
#define SWAP_LATE_MS  60000
#define SWAP_WAIT_MS  100
#define SWAP_BEAT_MS  20
#define FILE_MODE     0600

typedef struct Mine { /* what this process has signed itself */
	Head head;
	int64_t at;
} Mine;

struct LogHeads {
	Arena *mem;
	Map *mine;       /* id of a log -> Mine */
	int64_t swapped; /* mono ms: when the catalogue's state was last written */
};

typedef struct Job {
	Ctx cx; /* its own, so that one log's failure stays its own */
	Log log;
	NoteKey key;
	Head state; /* of the catalogue */
	Head base;  /* the tree that this one grows from: the state, or one that was signed since */
	Head head, high, published;
	Note note; /* the published one: its witnesses have signed the same text */
	TileWriter *tiles;
	int64_t at;
	bool failed, idle, swapped;
} Job;

typedef struct Round {
	Home *home;
	LogHeads *heads;
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
	HashSource from = log_hashes(j->cx.mem, &j->log, j->base.size);
	Range r;
	Hash root;

	if (!h->known || h->size >= j->base.size)
		return true;
	if (!merkle_compact(&j->cx, &from, 0, h->size, &r))
		return false;
	range_root(&r, &root);
	return hash_same(&root, &h->root) ||
	    log_forked(&j->cx, &j->log, "the tree of %llu entries that was signed is no part of it",
		(unsigned long long)h->size);
}

static Mine *
mine_of(const LogHeads *h, const Log *log, Arena *mem)
{
	return h ? map_get(h->mine, arena_printf(mem, "%lld", (long long)log->id)) : NULL;
}

static void
mine_keep(LogHeads *h, const Job *j)
{
	Mine *kept = mine_of(h, &j->log, j->cx.mem);

	if (!kept) {
		kept = arena_alloc(h->mem, sizeof *kept);
		map_set(h->mine, arena_printf(h->mem, "%lld", (long long)j->log.id), kept);
	}
	*kept = (Mine){ j->head, j->at };
}

LogHeads *
log_heads(Arena *mem)
{
	LogHeads *h = arena_alloc(mem, sizeof *h);

	*h = (LogHeads){ .mem = mem, .mine = map_new(mem), .swapped = clock_mono_ms() };
	return h;
}

/* The catalogue may not have been told yet of what was signed a moment ago. */
bool
log_silent(Ctx *cx, Home *home, const LogHeads *heads, int64_t age_ms, size_t limit, Logs *out)
{
	int64_t now = clock_wall_ms();
	Logs all, silent = { 0 };

	if (!log_signed_before(cx, home, now - age_ms, now, &all))
		return false;
	for (size_t i = 0; i < all.n && silent.n < limit; i++) {
		const Mine *m = mine_of(heads, &all.at[i], cx->mem);
		if (!m || m->at < now - age_ms || m->at > now)
			vec_push(cx->mem, &silent, all.at[i]);
	}
	*out = silent;
	return true;
}

/* What this process has signed itself, and what is still the mark, has been compared already. */
static void
choose_base(const Round *r, Job *j)
{
	const Mine *m = mine_of(r->heads, &j->log, j->cx.mem);
	const Head *mine = m ? &m->head : NULL;

	j->base = j->state;
	if (mine && j->high.known && mine->size == j->high.size &&
	    hash_same(&mine->root, &j->high.root) && mine->size > j->base.size)
		j->base = *mine;
}

static bool
heads_read(const Round *r, Job *j)
{
	j->state = (Head){ .size = j->log.size, .root = j->log.root, .known = j->log.size > 0 };
	if (!log_high_water(&j->cx, &j->log, &j->high) ||
	    !log_published(&j->cx, &j->log, &j->key, &j->published, &j->note))
		return false;
	if (j->state.known && !j->high.known)
		return log_forked(&j->cx, &j->log, "its files in \"%s\" are gone", j->log.dir);
	choose_base(r, j);
	return head_fits(j, &j->state, &j->high) && head_fits(j, &j->state, &j->published) &&
	    head_fits(j, &j->high, &j->published) && head_begins(j, &j->high) &&
	    head_begins(j, &j->published);
}

static uint64_t
heads_top(const Job *j)
{
	uint64_t top = j->base.size;

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
	const Head base = { .size = j->base.size, .root = j->base.root, .known = true };

	if (!tile_writer(&j->cx, r->files, j->log.dir, j->base.size, &j->tiles))
		return false;
	if (!head_met(j, &base))
		return false;
	if (!log_each(&j->cx, r->home, &j->log, j->base.size, target, add_entry, j) ||
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
	if (!heads_read(r, j))
		return false;
	uint64_t top = heads_top(j), target = j->log.next;
	if (top > target)
		return log_forked(&j->cx, &j->log,
		    "the catalogue has %llu entries of it and %llu were signed",
		    (unsigned long long)target, (unsigned long long)top);
	if (target - j->base.size > ROUND_ENTRIES)
		target = top > j->base.size + ROUND_ENTRIES ? top : j->base.size + ROUND_ENTRIES;
	bool told = j->published.known && j->published.size == target && j->log.signed_at > 0;
	bool wanted = r->beat == HEARTBEAT_ALWAYS && !j->log.closed;
	j->head = (Head){ .size = j->base.size, .root = j->base.root, .known = true };
	j->idle = target == 0 || (target == j->base.size && told && !wanted);
	j->swapped = j->idle && j->state.size == j->head.size;
	if (j->idle)
		return true;
	if (target > j->base.size && !write_tiles(r, j, target))
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
	Bytes was = { j->state.size > 0 ? j->state.root.at : NULL, HASH_BYTES };
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_LOG_SIGNED, &rows, "iibibi", j->log.id,
		(int64_t)j->state.size, was, (int64_t)j->head.size,
		(Bytes){ j->head.size > 0 ? j->head.root.at : NULL, HASH_BYTES },
		j->idle ? j->log.signed_at : j->at))
		return false;
	j->swapped = lite_next(rows);
	if (!lite_end(cx, rows))
		return false;
	return j->swapped || log_forked(cx, &j->log, "its state was changed by something else");
}

typedef enum Swap {
	SWAP_FIRST,
	SWAP_ALL
} Swap; /* trees that are a log's first, or all that are left */

static bool
swap_wanted(const Job *j, Swap which)
{
	return !j->failed && !j->swapped && (which == SWAP_ALL || j->state.size == 0);
}

static bool
swap_in(Ctx *cx, Round *r, Swap which)
{
	bool done = true;

	for (size_t i = 0; done && i < r->n; i++)
		if (swap_wanted(&r->jobs[i], which))
			done = state_swap(cx, r->home, &r->jobs[i]);
	if (done)
		return lite_commit(cx, r->home->db);
	lite_rollback(r->home->db);
	return false;
}

/* A busy writer is not waited for, but now and then, and then not long. */
static bool
swap_all(Ctx *cx, Round *r, Swap which)
{
	bool any = false, got = true;

	for (size_t i = 0; i < r->n; i++)
		any = any || swap_wanted(&r->jobs[i], which);
	if (!any)
		return true;
	if (!r->heads || which == SWAP_FIRST) {
		if (!lite_begin(cx, r->home->db))
			return false;
	} else {
		bool late = clock_mono_ms() - r->heads->swapped > SWAP_LATE_MS;
		int wait = late ? SWAP_WAIT_MS : r->beat == HEARTBEAT_ALWAYS ? SWAP_BEAT_MS : 0;
		if (!lite_try_begin(cx, r->home->db, wait, &got))
			return false;
	}
	if (!got)
		return true;
	if (r->heads)
		r->heads->swapped = clock_mono_ms();
	return swap_in(cx, r, which);
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
	for (size_t i = 0; i < r->n; i++)
		r->jobs[i].at = clock_wall_ms();
	if (!batch_commit(cx, r->files) || !swap_all(cx, r, SWAP_FIRST) || !sign_all(cx, r) ||
	    !swap_all(cx, r, SWAP_ALL))
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (r->jobs[i].tiles && !r->jobs[i].failed)
			tile_tidy(r->jobs[i].tiles);
	return true;
}

static void
round_result(Ctx *cx, const Round *r, Log *logs, Published *out)
{
	for (size_t i = 0; i < r->n; i++) {
		const Job *j = &r->jobs[i];
		if (j->failed) {
			Ctx why = { .mem = cx->mem, .fail = &out->why };
			fail_copy(&why, &j->cx);
			out->failed++;
			continue;
		}
		if (r->heads && !j->idle)
			mine_keep(r->heads, j);
		out->signed_now += !j->idle;
		logs[i].next = j->log.next;
		logs[i].size = j->head.size;
		logs[i].root = j->head.root;
		logs[i].signed_at = j->idle ? j->log.signed_at : j->at;
	}
}

static bool
round_of(Ctx *cx, Round r, Log *logs, size_t n, Published *out)
{
	Ctx own = ctx_new(cx->mem);

	r.n = n;
	r.jobs = arena_alloc(own.mem, n * sizeof *r.jobs);
	for (size_t i = 0; i < n; i++)
		r.jobs[i] = (Job){ .cx = ctx_new(own.mem), .log = logs[i] };
	bool done = log_private(&own, r.home, &r.private) &&
	    (ed25519_public(r.private, r.public), true) && round_run(&own, &r);
	if (done)
		round_result(cx, &r, logs, out);
	else
		fail_copy(cx, &own);
	arena_free(own.mem);
	return done;
}

static bool
publish_locked(Ctx *cx, Round r, Logs *logs, Published *out)
{
	*out = (Published){ 0 };
	for (size_t at = 0; at < logs->n; at += ROUND_LOGS) {
		size_t n = logs->n - at < ROUND_LOGS ? logs->n - at : ROUND_LOGS;
		if (!round_of(cx, r, logs->at + at, n, out))
			return false;
	}
	return true;
}

static bool
fail_as(Ctx *cx, Published *p)
{
	Ctx from = { .mem = cx->mem, .fail = &p->why };

	if (p->failed)
		fail_copy(cx, &from);
	return p->failed == 0;
}

bool
log_publish_locked(Ctx *cx, Home *home, Logs *logs)
{
	Published p;

	return publish_locked(cx, (Round){ .home = home, .beat = HEARTBEAT_IF_GROWN }, logs, &p) &&
	    fail_as(cx, &p);
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
log_publish_all(Ctx *cx, Home *home, LogHeads *heads, Logs *logs, Heartbeat beat, Published *out)
{
	int fd;

	if (!lock_or_fail(cx, home, &fd))
		return false;
	bool done = publish_locked(
	    cx, (Round){ .home = home, .heads = heads, .beat = beat }, logs, out);
	log_unlock(fd);
	return done;
}

bool
log_publish(Ctx *cx, Home *home, Log *log, Heartbeat beat)
{
	Log now = *log;
	Logs one = { .at = &now, .n = 1 };
	Published p;

	do {
		uint64_t before = now.size;
		if (!log_publish_all(cx, home, NULL, &one, beat, &p) || !fail_as(cx, &p))
			return false;
		if (now.size == before)
			break;
	} while (now.size < now.next);
	*log = now;
	return true;
}

/* Of a tree that has grown in the meantime nothing is taken: its lines are of another text. */
static bool
cosign_put(Ctx *cx, Batch *b, const Log *log, const Note *more)
{
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
	    (Bytes){ (unsigned char *)text, strlen(text) });
}

static bool
cosign_locked(Ctx *cx, Home *home, const Cosigned *all, size_t n)
{
	Batch *b = batch_new(cx->mem, log_audit_dir(cx->mem, home));

	for (size_t i = 0; i < n; i++)
		if (!cosign_put(cx, b, all[i].log, all[i].note))
			return false;
	return batch_commit(cx, b);
}

bool
log_cosigned_all(Ctx *cx, Home *home, const Cosigned *all, size_t n)
{
	int fd;

	if (!lock_or_fail(cx, home, &fd))
		return false;
	bool done = cosign_locked(cx, home, all, n);
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

/* The witnesses that are due, in what is left of the time. */
static bool
ask_witnesses(Ctx *cx, Home *home, int64_t until)
{
	int64_t left = until - clock_mono_ms();
	size_t asked;

	return left <= 0 || witness_round(cx, home, left, &asked);
}

/* Where audit run is at work it has seen the events already, and asks the witnesses better. */
void
log_catch_up(Ctx *cx, Home *home, int64_t budget_ms)
{
	Ctx own = ctx_new(cx->mem);
	int64_t until = clock_mono_ms() + budget_ms;
	int fd = -1;
	pid_t pid;
	Logs logs = { 0 };

	if (service_running(home, &pid)) {
		arena_free(own.mem);
		return;
	}
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
	else if (!ask_witnesses(&own, home, until))
		log_say("asking the witnesses: %s", own.fail->what);
	arena_free(own.mem);
}

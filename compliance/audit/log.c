#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compliance/audit/log_intern.h"
#include "compliance/audit/log.sql.h"
#include "compliance/audit/tile.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"

#define LOG_CHUNK    256 /* entries that are read at once */
#define LOG_FILE_MAX ((size_t)1 << 20)
#define LOG_MODE     0600
#define READY_HINT   "Nothing was changed. Run: copyhold audit recover."

/* --- records -------------------------------------------------------------------------- */

char *
log_audit_dir(Arena *mem, const Home *home)
{
	return arena_printf(mem, "%s/audit", home->dir);
}

bool
log_forked(Ctx *cx, const Log *log, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *why = arena_vprintf(cx->mem, fmt, ap);
	va_end(ap);
	return fail(cx, FAIL_FORKED,
	    "Nothing was signed. If this home was restored from a backup, run: copyhold audit "
	    "recover.",
	    "the log \"%s\" would fork: %s", log->origin, why);
}

Log
log_row(Ctx *cx, const Home *home, LiteRows *rows)
{
	const char *tenant = lite_text(rows, 1), *place = lite_text(rows, 4);
	int64_t part = lite_int(rows, 3);
	Bytes root = lite_bytes(rows, 8);
	Log log = { .id = lite_int(rows, 0),
		.tenant = *tenant ? tenant : NULL,
		.life = lite_int(rows, 2),
		.part = part,
		.origin = lite_text(rows, 5),
		.next = (uint64_t)lite_int(rows, 6),
		.size = (uint64_t)lite_int(rows, 7),
		.signed_at = lite_int(rows, 9),
		.closed = lite_int(rows, 10) != 0 };

	log.folder = arena_printf(cx->mem, "%s%s", *tenant ? "tenants/" : "", place);
	log.dir = arena_printf(cx->mem, "%s/audit/%s", home->dir, log.folder);
	if (root.n == HASH_BYTES)
		memcpy(log.root.at, root.at, HASH_BYTES);
	else
		merkle_empty(&log.root);
	return log;
}

static bool
log_rows(Ctx *cx, Home *home, LiteRows *rows, Logs *out)
{
	Logs all = { 0 };

	while (lite_next(rows))
		vec_push(cx->mem, &all, log_row(cx, home, rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
log_all(Ctx *cx, Home *home, Logs *out)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_LOG_LIST, &rows, "") && log_rows(cx, home, rows, out);
}

bool
log_behind(Ctx *cx, Home *home, int64_t limit, Logs *out)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_LOG_BEHIND, &rows, "i", limit) &&
	    log_rows(cx, home, rows, out);
}

bool
log_signed_before(Ctx *cx, Home *home, int64_t before, int64_t now, Logs *out)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_LOG_SIGNED_BEFORE, &rows, "ii", before, now) &&
	    log_rows(cx, home, rows, out);
}

static bool
log_one(Ctx *cx, Home *home, LiteRows *rows, Log *out, bool *found)
{
	Logs all;

	if (!log_rows(cx, home, rows, &all))
		return false;
	*found = all.n > 0;
	if (*found)
		*out = all.at[0];
	return true;
}

bool
log_of(Ctx *cx, Home *home, const char *tenant, Log *out)
{
	LiteRows *rows;
	bool found;

	if (!lite_query(cx, home->db, &SQL_LOG_NEWEST, &rows, "t", tenant ? tenant : "") ||
	    !log_one(cx, home, rows, out, &found))
		return false;
	if (found)
		return true;
	if (!tenant)
		return fail(
		    cx, FAIL_NOT_FOUND, "The first change begins it.", "the vendor has no log yet");
	return fail(cx, FAIL_NOT_FOUND, "See: copyhold audit status.",
	    "there is no log of a tenant \"%s\"", tenant);
}

bool
log_of_origin(Ctx *cx, Home *home, const char *origin, Log *out)
{
	LiteRows *rows;
	bool found;

	return lite_query(cx, home->db, &SQL_LOG_BY_ORIGIN, &rows, "t", origin) &&
	    log_one(cx, home, rows, out, &found) &&
	    (found ||
		fail(cx, FAIL_NOT_FOUND, "See: copyhold audit status.", "there is no log \"%s\"",
		    origin));
}

bool
log_by_id(Ctx *cx, Home *home, int64_t id, Log *out)
{
	LiteRows *rows;
	bool found;

	return lite_query(cx, home->db, &SQL_LOG_BY_ID, &rows, "i", id) &&
	    log_one(cx, home, rows, out, &found) &&
	    (found || fail(cx, FAIL_CATALOG, NULL, "a log is gone from the catalogue"));
}

/* --- the key -------------------------------------------------------------------------- */

static SealPlace
key_place(void)
{
	return (
	    SealPlace){ .schema = "catalog", .table = "log_key", .column = "sealed", .key = "1" };
}

static bool
key_row(Ctx *cx, Home *home, Bytes *public, Bytes *sealed, bool *found)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_LOG_KEY_GET, &rows, ""))
		return false;
	*found = lite_next(rows);
	if (*found) {
		*public = lite_bytes(rows, 0);
		*sealed = lite_bytes(rows, 1);
	}
	return lite_end(cx, rows);
}

static bool
key_make(Ctx *cx, Home *home, Secret *seed)
{
	SealPlace place = key_place();
	unsigned char public[ED25519_PUBLIC];
	Bytes sealed;

	*seed = secret_alloc(cx->mem, ED25519_SEED);
	random_bytes(seed->text, ED25519_SEED);
	ed25519_public(ed25519_open(cx->mem, (unsigned char *)seed->text), public);
	return home_seal(cx, home, &place, seed, &sealed) &&
	    lite_do(cx, home->db, &SQL_LOG_KEY_ADD, "bb", (Bytes){ public, sizeof public }, sealed);
}

static bool
key_seed(Ctx *cx, Home *home, Secret *seed)
{
	SealPlace place = key_place();
	Bytes public, sealed;
	bool found;

	if (!key_row(cx, home, &public, &sealed, &found))
		return false;
	if (found)
		return home_unseal(cx, home, &place, sealed, seed) ||
		    fail_in(cx, "opening the key of the logs");
	/* Another process may make it at the same time: it is looked for again inside. */
	if (!lite_begin(cx, home->db))
		return false;
	bool done = key_row(cx, home, &public, &sealed, &found) &&
	    (found ? home_unseal(cx, home, &place, sealed, seed) : key_make(cx, home, seed));
	if (done)
		return lite_commit(cx, home->db);
	lite_rollback(home->db);
	return false;
}

bool
log_private(Ctx *cx, Home *home, Ed25519 **out)
{
	Secret seed;

	if (!key_seed(cx, home, &seed))
		return false;
	*out = ed25519_open(cx->mem, (unsigned char *)seed.text);
	return true;
}

bool
log_signer(Ctx *cx, Home *home, const Log *log, NoteKeyType type, NoteSigner *out)
{
	Secret seed;

	return key_seed(cx, home, &seed) && note_signer(cx, log->origin, type, &seed, out);
}

bool
log_key(Ctx *cx, Home *home, const Log *log, NoteKeyType type, NoteKey *out)
{
	Bytes public, sealed;
	bool found;

	if (!key_row(cx, home, &public, &sealed, &found))
		return false;
	if (!found)
		return fail(cx, FAIL_NOT_FOUND, "The first change makes it.",
		    "the logs of this home have no key yet");
	if (public.n != ED25519_PUBLIC)
		return fail(cx, FAIL_CATALOG, "Restore the home from a backup.",
		    "the public key of the logs is damaged");
	*out = note_key(log->origin, type, public.at);
	return true;
}

/* --- entries ---------------------------------------------------------------------------- */

typedef struct Walk {
	const Log *log;
	uint64_t at, end;
	bool (*each)(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes);
	void *ptr;
} Walk;

static bool
walk_rows(Ctx *cx, LiteRows *rows, Walk *w)
{
	while (lite_next(rows)) {
		uint64_t index = (uint64_t)lite_int(rows, 0);
		if (index != w->at)
			break;
		if (!w->each(cx, w->ptr, index, lite_int(rows, 1), lite_bytes(rows, 2)))
			return false;
		w->at++;
	}
	return true;
}

static bool
walk_chunk(Ctx *cx, Home *home, Walk *w)
{
	uint64_t end = w->end - w->at > LOG_CHUNK ? w->at + LOG_CHUNK : w->end;
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_LOG_ENTRIES, &rows, "iii", w->log->id, (int64_t)w->at,
		(int64_t)end))
		return false;
	bool done = walk_rows(cx, rows, w);
	if (!lite_end(cx, rows) || !done)
		return false;
	return w->at == end ||
	    fail(cx, FAIL_CATALOG,
		"Restore the home from a backup, then run: copyhold audit recover.",
		"entry %llu of the log \"%s\" is not in the catalogue", (unsigned long long)w->at,
		w->log->origin);
}

bool
log_each(Ctx *cx, Home *home, const Log *log, uint64_t from, uint64_t to,
    bool (*each)(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes), void *ptr)
{
	Walk w = { .log = log, .at = from, .end = to, .each = each, .ptr = ptr };

	while (w.at < w.end) {
		Ctx own = ctx_new(cx->mem);
		bool done = walk_chunk(&own, home, &w);
		if (!done)
			fail_copy(cx, &own);
		arena_free(own.mem);
		if (!done)
			return false;
	}
	return true;
}

typedef struct Entry {
	Arena *mem;
	int64_t event;
	Bytes bytes;
} Entry;

static bool
keep_entry(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	Entry *e = ptr;

	(void)cx;
	(void)index;
	e->event = event;
	e->bytes = (Bytes){ (unsigned char *)arena_dupn(e->mem, (const char *)bytes.at, bytes.n),
		bytes.n };
	return true;
}

bool
log_entry(Ctx *cx, Home *home, const Log *log, uint64_t index, int64_t *event, Bytes *out)
{
	Entry e = { .mem = cx->mem };

	if (!log_each(cx, home, log, index, index + 1, keep_entry, &e))
		return false;
	*event = e.event;
	*out = e.bytes;
	return true;
}

HashSource
log_hashes(Arena *mem, const Log *log, uint64_t size)
{
	return tile_hashes(mem, log->dir, size);
}

/* --- files ------------------------------------------------------------------------------ */

bool
log_checkpoint(Ctx *cx, const Log *log, Note *note, Checkpoint *out, bool *found)
{
	char *path = arena_printf(cx->mem, "%s/checkpoint", log->dir), *text;
	size_t n;

	*found = file_exists(path);
	return !*found ||
	    ((file_read(cx, path, LOG_FILE_MAX, &text, &n) && note_read(cx, text, n, note) &&
		 checkpoint_read(cx, note, out)) ||
		fail_in(cx, "reading \"%s\"", path));
}

/* What is no checkpoint of ours may be anyone's: it tells nothing and will be replaced. */
bool
log_published(Ctx *cx, const Log *log, const NoteKey *key, Head *out, Note *note)
{
	Checkpoint c;
	Note n;
	bool found;
	Ctx own = ctx_new(cx->mem);

	*out = (Head){ 0 };
	*note = (Note){ 0 };
	if (!log_checkpoint(&own, log, &n, &c, &found)) {
		bool odd = own.fail->kind == FAIL_INPUT || own.fail->kind == FAIL_LIMIT;
		if (!odd)
			fail_copy(cx, &own);
		return odd;
	}
	if (!found || strcmp(c.origin, log->origin) != 0 ||
	    note_verify(&n, key, NULL) != NOTE_VALID)
		return true;
	*out = (Head){ .size = c.size, .root = c.root, .known = true };
	*note = n;
	return true;
}

bool
log_high_water(Ctx *cx, const Log *log, Head *out)
{
	char *path = arena_printf(cx->mem, "%s/high-water", log->dir), *text;
	size_t n;

	*out = (Head){ 0 };
	if (!file_exists(path))
		return true;
	if (!file_read(cx, path, LOG_FILE_MAX, &text, &n))
		return false;
	char *line = strchr(text, '\n'), *end = line ? strchr(line + 1, '\n') : NULL;
	if (end && end[1] == '\0') {
		*line = *end = '\0';
		if (decimal_read(text, &out->size) && hash_read(cx->mem, line + 1, &out->root)) {
			out->known = true;
			return true;
		}
	}
	return log_forked(cx, log, "\"%s\" is damaged", path);
}

bool
log_put_head(Ctx *cx, Batch *b, const Log *log, const Head *head)
{
	char *text = arena_printf(cx->mem, "%llu\n%s\n", (unsigned long long)head->size,
	    base64_text(cx->mem, head->root.at, HASH_BYTES));

	return batch_put(cx, b, arena_printf(cx->mem, "%s/high-water", log->dir), LOG_MODE,
	    (Bytes){ (unsigned char *)text, strlen(text) });
}

/* The mark of the home: the newest event of all, and the hash of its bytes. */
typedef struct Mark {
	int64_t seq; /* 0: there is none */
	char *hash;
} Mark;

static bool
mark_row(Ctx *cx, LiteRows *rows, Mark *out)
{
	*out = (Mark){ 0 };
	if (lite_next(rows)) {
		Bytes bytes = lite_bytes(rows, 1);
		out->seq = lite_int(rows, 0);
		out->hash = sha256_hex(cx->mem, bytes.at, bytes.n);
	}
	return lite_end(cx, rows);
}

static char *
mark_path(Arena *mem, const Home *home)
{
	return arena_printf(mem, "%s/audit/high-water", home->dir);
}

bool
log_put_mark(Ctx *cx, Home *home, Batch *b)
{
	LiteRows *rows;
	Mark m;

	if (!lite_query(cx, home->db, &SQL_LOG_LAST_EVENT, &rows, "") || !mark_row(cx, rows, &m))
		return false;
	if (m.seq == 0)
		return true;
	char *text = arena_printf(cx->mem, "%lld\n%s\n", (long long)m.seq, m.hash);
	return batch_put(cx, b, mark_path(cx->mem, home), LOG_MODE,
	    (Bytes){ (unsigned char *)text, strlen(text) });
}

static bool
mark_read(Ctx *cx, const Home *home, Mark *out)
{
	char *path = mark_path(cx->mem, home), *text;
	uint64_t seq;
	size_t n;

	if (!file_read(cx, path, LOG_FILE_MAX, &text, &n))
		return false;
	char *line = strchr(text, '\n');
	if (!line || strlen(line) != 1 + 64 + 1)
		return fail(cx, FAIL_FORKED, READY_HINT, "\"%s\" is damaged", path);
	*line = line[65] = '\0';
	if (!decimal_read(text, &seq))
		return fail(cx, FAIL_FORKED, READY_HINT, "\"%s\" is damaged", path);
	*out = (Mark){ .seq = (int64_t)seq, .hash = line + 1 };
	return true;
}

static bool
any_signed(Ctx *cx, Home *home, bool *any)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_LOG_ANY_SIGNED, &rows, ""))
		return false;
	*any = lite_next(rows) && lite_int(rows, 0) != 0;
	return lite_end(cx, rows);
}

/* A write that tells now what a later one would: no space, no rights, a disk that is read-only. */
static bool
can_write(Ctx *cx, const Home *home)
{
	static const unsigned char some[4096];
	char *dir = log_audit_dir(cx->mem, home);
	char *path = arena_printf(cx->mem, "%s/.probe", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
	int err = fd < 0 ? errno : 0;

	if (fd >= 0 && write(fd, some, sizeof some) != (ssize_t)sizeof some)
		err = errno ? errno : ENOSPC;
	if (fd >= 0)
		close(fd);
	unlink(path);
	if (!err)
		return true;
	return fail_errno(cx, err,
	    "Nothing was changed. Free some space, or mend the folder's rights.",
	    "no event could be published in \"%s\"", dir);
}

bool
log_ready(Ctx *cx, Home *home)
{
	Mark published = { 0 }, now;
	LiteRows *rows;
	bool any;

	if (!can_write(cx, home))
		return false;
	if (!file_exists(mark_path(cx->mem, home)))
		return any_signed(cx, home, &any) &&
		    (!any ||
			fail(cx, FAIL_FORKED, READY_HINT,
			    "the catalogue has logs that were signed, and \"%s/audit\" has not",
			    home->dir));
	if (!mark_read(cx, home, &published) ||
	    !lite_query(cx, home->db, &SQL_LOG_EVENT_AT, &rows, "i", published.seq) ||
	    !mark_row(cx, rows, &now))
		return false;
	if (now.seq && strcmp(now.hash, published.hash) == 0)
		return true;
	return fail(cx, FAIL_FORKED, READY_HINT,
	    "the catalogue is older than what was published of it: event %lld of it is %s",
	    (long long)published.seq, now.seq ? "another one" : "missing");
}

/* --- the lock ----------------------------------------------------------------------------- */

bool
log_lock(Ctx *cx, Home *home, int64_t wait_ms, int *fd)
{
	char *path = arena_printf(cx->mem, "%s/audit/lock", home->dir);
	int64_t until = clock_mono_ms() + wait_ms;
	pid_t holder;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
	if (*fd < 0)
		return fail_errno(cx, errno, "Check the rights of the home: copyhold doctor.",
		    "opening \"%s\"", path);
	while (!file_lock_byte(*fd, 0, &holder)) {
		if (clock_mono_ms() >= until) {
			close(*fd);
			*fd = -1;
			return true;
		}
		lane_sleep(5);
	}
	return true;
}

void
log_unlock(int fd)
{
	close(fd);
}

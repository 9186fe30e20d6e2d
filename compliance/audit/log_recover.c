/*
 * What is signed stays signed: entries that the files have and the catalogue
 * lacks are taken back into it, events that were written in their places since
 * come after them, and the log goes on.  Where nobody can tell what was signed
 * last (the folder of the logs is gone), the log is closed as far as it is
 * known, its later events move to a successor, and nothing is ever signed under
 * its name again.
 */
#include <dirent.h>
#include <string.h>

#include "compliance/audit/log_intern.h"
#include "compliance/audit/log.sql.h"
#include "compliance/audit/tile.h"
#include "compliance/audit/witness.h"
#include "lib/adapters/js.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"

#define RECOVER_WAIT_MS 10000
#define REBUILD_ENTRIES 65536
#define COPY_HINT       "Give a copy of the published files: copyhold audit recover --from DIR."
#define DOUBT_HINT \
	"Give a copy of the published files that has more: copyhold audit recover --from DIR. If " \
	"there is none, --close ends each such log as far as it is known, and a successor begins."

typedef struct Patient {
	Home *home;
	Log log;
	Head top;         /* the largest tree that is known to have been signed */
	const char *from; /* folder that has its entries, or NULL */
	bool blind;       /* more may have been signed than is known */
	bool close;       /* so it is if a witness says so, or none can say that it is not */
	bool split;       /* two trees of one size were signed */
	uint64_t same;    /* so many first entries of files and catalogue are equal */
	Recovery *out;
} Patient;

/* --- reading entries from files ------------------------------------------------------------ */

typedef struct Scan {
	Home *home;
	const Log *log; /* to compare with, or NULL */
	const char *dir;
	uint64_t at, same;
	bool differs;
	Range range;
	struct {
		Bytes *at;
		size_t n, cap;
	} ours; /* the catalogue's entries of this bundle */
	Arena *mem;
	uint64_t first; /* of this bundle */
	bool (*each)(Ctx *cx, void *ptr, uint64_t index, Bytes entry);
	void *ptr;
} Scan;

static bool
scan_keep(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	Scan *s = ptr;
	char *copy = arena_dupn(s->mem, (const char *)bytes.at, bytes.n);

	(void)cx;
	(void)index;
	(void)event;
	vec_push(s->mem, &s->ours, ((Bytes){ (unsigned char *)copy, bytes.n }));
	return true;
}

static bool
scan_entry(Ctx *cx, void *ptr, Bytes entry)
{
	Scan *s = ptr;
	size_t i = (size_t)(s->at - s->first);
	bool has = i < s->ours.n;
	Hash leaf;

	merkle_leaf(entry.at, entry.n, &leaf);
	range_add(&s->range, &leaf);
	if (has && !s->differs && s->ours.at[i].n == entry.n &&
	    memcmp(s->ours.at[i].at, entry.at, entry.n) == 0)
		s->same = s->at + 1;
	else if (has)
		s->differs = true;
	if (s->each && !s->each(cx, s->ptr, s->at, entry))
		return false;
	s->at++;
	return true;
}

static bool
scan_bundle(Ctx *cx, Scan *s, uint64_t size)
{
	unsigned width = size - s->at < TILE_WIDTH ? (unsigned)(size - s->at) : TILE_WIDTH;
	uint64_t have = s->log ? s->log->next : 0, end = s->at + width;
	Bytes bundle;

	s->mem = cx->mem;
	s->first = s->at;
	s->ours.n = s->ours.cap = 0;
	s->ours.at = NULL;
	if (have > s->at &&
	    !log_each(cx, s->home, s->log, s->at, have < end ? have : end, scan_keep, s))
		return false;
	return tile_read(cx, s->dir, -1, s->at / TILE_WIDTH, width, &bundle) &&
	    tile_bundle_each(cx, bundle, scan_entry, s);
}

static bool
scan_files(Ctx *cx, Scan *s, const Head *top)
{
	Hash root;

	range_begin(&s->range, 0);
	while (s->at < top->size) {
		Ctx own = ctx_new(cx->mem);
		bool done = scan_bundle(&own, s, top->size);
		if (!done)
			fail_copy(cx, &own);
		arena_free(own.mem);
		if (!done)
			return false;
	}
	range_root(&s->range, &root);
	return hash_same(&root, &top->root) ||
	    fail(cx, FAIL_FORKED, COPY_HINT,
		"the entries in \"%s\" are not those of the tree of %llu that was signed", s->dir,
		(unsigned long long)top->size);
}

/* --- taking entries back --------------------------------------------------------------------- */

typedef struct Take {
	Home *home;
	int64_t log;
	uint64_t from, taken;
} Take;

static bool
take_entry(Ctx *cx, void *ptr, uint64_t index, Bytes entry)
{
	Take *t = ptr;
	Js *e;

	if (index < t->from)
		return true;
	if (!js_parse(cx, (const char *)entry.at, entry.n, &e))
		return fail_in(cx, "taking entry %llu back", (unsigned long long)index);
	const char *id = js_get_text(e, "id"), *verb = js_get_text(e, "verb"),
		   *object = js_get_text(e, "object"), *outcome = js_get_text(e, "outcome");
	if (!id || !verb || !object || !outcome)
		return fail(
		    cx, FAIL_INPUT, NULL, "entry %llu is no event", (unsigned long long)index);
	t->taken++;
	return lite_do(cx, t->home->db, &SQL_EVENT_TAKE, "tiiiiitttb", id, js_get_int(e, "at", 0),
	    t->log, (int64_t)index, js_get_int(e, "run", 0), js_get_int(e, "step", 0), verb, object,
	    outcome, entry);
}

static bool
take_back(Ctx *cx, Patient *p, uint64_t from)
{
	Take t = { .home = p->home, .log = p->log.id, .from = from };
	Scan s = { .home = p->home, .dir = p->from, .each = take_entry, .ptr = &t };

	if (!scan_files(cx, &s, &p->top))
		return false;
	p->out->taken_back += t.taken;
	return true;
}

/* --- a successor ------------------------------------------------------------------------------- */

/* The same tenant and other letters: a name that no home which was restored from before can have given. */
static char *
new_place(Arena *mem, const char *folder)
{
	const char *place = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
	const char *dash = strrchr(place, '-');

	return arena_printf(mem, "%.*s-%s", dash ? (int)(dash - place) : (int)strlen(place), place,
	    random_name(mem, 6));
}

static bool
succeed(Ctx *cx, Patient *p, uint64_t from)
{
	Home *home = p->home;
	Event e = { .tenant = p->log.tenant,
		.verb = "audit.successor",
		.object = arena_printf(cx->mem, "log/%s", p->log.origin),
		.outcome = "ok",
		.before = arena_printf(cx->mem, "%llu %s", (unsigned long long)p->top.size,
		    base64_text(cx->mem, p->top.root.at, HASH_BYTES)) };
	char *place = new_place(cx->mem, p->log.folder);
	Log next;

	if (!lite_do(cx, home->db, &SQL_LOG_SUCCEED, "itt", p->log.id, place,
		arena_printf(cx->mem, "copyhold/%s/%s", home->id, place)))
		return false;
	e.log = lite_last_id(home->db);
	if (!log_by_id(cx, home, e.log, &next))
		return false;
	e.after = next.origin;
	p->out->successors++;
	p->out->moved += p->log.next - from;
	return event_write(cx, home, &e) &&
	    lite_do(cx, home->db, &SQL_EVENT_MOVE, "iii", p->log.id, (int64_t)from, e.log) &&
	    lite_do(cx, home->db, &SQL_LOG_MOVED, "i", e.log);
}

/* --- what was signed ----------------------------------------------------------------------------- */

static void
raise_top(Patient *p, const Head *h, const char *dir)
{
	if (!h->known)
		return;
	if (p->top.known && h->size == p->top.size && !hash_same(&h->root, &p->top.root))
		p->split = true;
	if (p->top.known && (h->size < p->top.size || (h->size == p->top.size && p->from)))
		return;
	p->top = *h;
	p->from = dir;
}

static bool
look(Ctx *cx, Patient *p, const char *copy, const NoteKey *key)
{
	Log *log = &p->log, other = p->log;
	const Head state = { .size = log->size, .root = log->root, .known = log->size > 0 };
	Head high, published, copied = { 0 };
	Note note;

	if (!log_high_water(cx, log, &high)) {
		fail_clear(cx); /* damaged: as if it were gone */
		high = (Head){ 0 };
	}
	if (!log_published(cx, log, key, &published, &note))
		return false;
	if (copy) {
		other.dir = arena_printf(cx->mem, "%s/%s", copy, log->folder);
		if (!log_published(cx, &other, key, &copied, &note))
			return false;
	}
	p->blind = p->blind || (state.known && !high.known) ||
	    (copied.known && copied.size > (high.known ? high.size : 0));
	raise_top(p, &state, NULL);
	raise_top(p, &high, log->dir);
	raise_top(p, &published, log->dir);
	raise_top(p, &copied, other.dir);
	return true;
}

static bool
range_entry(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	Hash leaf;

	(void)cx;
	(void)index;
	(void)event;
	merkle_leaf(bytes.at, bytes.n, &leaf);
	range_add(ptr, &leaf);
	return true;
}

/* Has the catalogue the entries of the tree that was signed? */
static bool
catalogue_has(Ctx *cx, Patient *p, bool *has)
{
	Range r;
	Hash root;

	*has = false;
	if (p->top.size > p->log.next || p->split)
		return true;
	range_begin(&r, 0);
	if (!log_each(cx, p->home, &p->log, 0, p->top.size, range_entry, &r))
		return false;
	range_root(&r, &root);
	*has = hash_same(&root, &p->top.root);
	return true;
}

/* --- what witnesses know ----------------------------------------------------------------------------- */

static bool
subtree_of_events(Ctx *cx, void *ptr, int level, uint64_t index, Hash *out)
{
	Patient *p = ptr;
	uint64_t begin = index << level, end = begin + ((uint64_t)1 << level);
	Range r;

	range_begin(&r, begin);
	if (!log_each(cx, p->home, &p->log, begin, end, range_entry, &r))
		return false;
	if (r.end != end)
		return fail(
		    cx, FAIL_FORKED, NULL, "entries of the log \"%s\" are missing", p->log.origin);
	*out = r.at[0];
	return true;
}

/* From the tiles; where they are damaged, from the entries. */
static bool
subtree_known(Ctx *cx, void *ptr, int level, uint64_t index, Hash *out)
{
	Patient *p = ptr;
	Log log = p->log;
	Ctx own = ctx_new(cx->mem);

	log.dir = p->from ? p->from : log.dir;
	HashSource tiles = log_hashes(own.mem, &log, p->top.size);
	bool done = tiles.subtree(&own, tiles.ptr, level, index, out);
	arena_free(own.mem);
	return done || subtree_of_events(cx, ptr, level, index, out);
}

/* The tree that was signed last, signed again: nothing that was not signed before. */
static bool
offer(Ctx *cx, Patient *p, WitnessTree *out)
{
	const Checkpoint c = { .origin = p->log.origin, .size = p->top.size, .root = p->top.root };
	Note note = { .text = checkpoint_text(cx->mem, &c) };
	NoteSigner sign;

	note.n = strlen(note.text);
	if (!log_signer(cx, p->home, &p->log, KEY_ED25519, &sign) ||
	    !note_sign(cx, &note, &sign, 0))
		return false;
	*out = (WitnessTree){ p->top.size, note_text(cx->mem, &note), { subtree_known, p } };
	return true;
}

static bool
ask_witnesses(Ctx *cx, Patient *p, WitnessProbe *probe)
{
	WitnessTree tree;
	const char *doubt;

	if (p->blind || p->split || p->log.closed || !witness_probe_any(probe))
		return true;
	if (!p->top.known)
		merkle_empty(&p->top.root);
	if (!offer(cx, p, &tree))
		return false;
	witness_doubt(cx, probe, &tree, &doubt);
	p->blind = doubt && p->close;
	return !doubt || p->close ||
	    fail(cx, FAIL_FORKED, DOUBT_HINT, "the log \"%s\" cannot go on: %s", p->log.origin,
		doubt);
}

/* --- files again ----------------------------------------------------------------------------------- */

typedef struct Rebuild {
	TileWriter *w;
} Rebuild;

static bool
rebuild_entry(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	Rebuild *r = ptr;

	(void)index;
	(void)event;
	return tile_add(cx, r->w, bytes);
}

static bool
rebuild(Ctx *cx, Home *home, const Log *log, const Head *top)
{
	uint64_t at = 0;

	while (at < top->size) {
		Ctx own = ctx_new(cx->mem);
		Batch *b = batch_new(own.mem, log_audit_dir(own.mem, home));
		uint64_t end = top->size - at > REBUILD_ENTRIES ? at + REBUILD_ENTRIES : top->size;
		Rebuild r;
		bool done = tile_writer(&own, b, log->dir, at, &r.w) &&
		    log_each(&own, home, log, at, end, rebuild_entry, &r) && tile_end(&own, r.w) &&
		    (end < top->size || log_put_head(&own, b, log, top)) && batch_commit(&own, b);
		if (done)
			tile_tidy(r.w);
		else
			fail_copy(cx, &own);
		arena_free(own.mem);
		if (!done)
			return false;
		at = end;
	}
	return true;
}

/* --- one log ------------------------------------------------------------------------------------------ */

/* Events at places that others were signed at: out of the way first, then behind them. */
static bool
make_room(Ctx *cx, Patient *p)
{
	p->out->moved += p->log.next - p->same;
	return lite_do(cx, p->home->db, &SQL_EVENT_ASIDE, "ii", p->log.id, (int64_t)p->same);
}

static bool
settle(Ctx *cx, Patient *p, bool has)
{
	uint64_t same = has ? p->top.size : p->same, rest = has ? 0 : p->log.next - same;
	uint64_t next = has ? p->log.next : p->top.size + rest;
	bool ends = (p->blind || p->split) && !p->log.closed;

	if (p->log.closed && rest > 0)
		return log_forked(cx, &p->log, "it is closed, and two of it were signed");
	if (ends) {
		next = p->top.size;
		if (!succeed(cx, p, same))
			return false;
	} else if (rest > 0 && !make_room(cx, p))
		return false;
	if (!has && !take_back(cx, p, same))
		return false;
	if (rest > 0 && !ends &&
	    !lite_do(
		cx, p->home->db, &SQL_EVENT_BEHIND, "ii", p->log.id, (int64_t)(p->top.size - same)))
		return false;
	return lite_do(cx, p->home->db, &SQL_LOG_SET, "iiibi", p->log.id, (int64_t)next,
	    (int64_t)p->top.size, (Bytes){ p->top.size > 0 ? p->top.root.at : NULL, HASH_BYTES },
	    (int64_t)(ends || p->log.closed));
}

static bool
treat(Ctx *cx, Patient *p)
{
	bool has;

	if (!p->top.known && !p->blind)
		return true;
	if (!p->top.known)
		merkle_empty(&p->top.root);
	if (!catalogue_has(cx, p, &has))
		return false;
	if (!has) {
		Scan s = { .home = p->home, .log = &p->log, .dir = p->from };
		if (!p->from)
			return fail(cx, FAIL_FORKED, COPY_HINT,
			    "the catalogue has not the entries of the log \"%s\" that were signed",
			    p->log.origin);
		if (!scan_files(cx, &s, &p->top))
			return false;
		p->same = s.same;
	}
	if (!lite_begin(cx, p->home->db))
		return false;
	if (settle(cx, p, has) && lite_commit(cx, p->home->db)) {
		p->out->logs++;
		return rebuild(cx, p->home, &p->log, &p->top);
	}
	lite_rollback(p->home->db);
	return false;
}

static bool
examine(Ctx *cx, Patient *p, const char *copy, WitnessProbe *probe)
{
	NoteKey key;

	return log_key(cx, p->home, &p->log, KEY_ED25519, &key) && look(cx, p, copy, &key) &&
	    ask_witnesses(cx, p, probe);
}

/* All are looked at before the first is changed: a refusal leaves everything as it is. */
static bool
recover_logs(
    Ctx *cx, Home *home, const Logs *logs, const RecoverAsk *ask, bool blind, Recovery *out)
{
	Patient *all = arena_alloc(cx->mem, logs->n * sizeof *all);
	WitnessProbe *probe;

	if (!witness_probe(cx, home, &probe))
		return false;
	for (size_t i = 0; i < logs->n; i++) {
		all[i] = (Patient){ .home = home,
			.log = logs->at[i],
			.blind = blind,
			.close = ask->close,
			.out = out };
		if (!examine(cx, &all[i], ask->copy, probe))
			return false;
	}
	for (size_t i = 0; i < logs->n; i++)
		if (!treat(cx, &all[i]))
			return fail_in(cx, "recovering the log \"%s\"", all[i].log.origin);
	return true;
}

/* --- logs that the catalogue does not know -------------------------------------------------------------- */

typedef struct Found {
	Home *home;
	const char *dir, *place;
	Head head;
	char *tenant;
} Found;

static bool
found_tenant(Ctx *cx, void *ptr, uint64_t index, Bytes entry)
{
	Found *f = ptr;
	Js *e;

	if (index > 0)
		return true;
	if (!js_parse(cx, (const char *)entry.at, entry.n, &e))
		return false;
	const char *tenant = js_get_text(e, "tenant");
	f->tenant = arena_dup(f->home->mem, tenant ? tenant : "");
	return true;
}

static bool
adopt(Ctx *cx, Found *f, const char *origin, Recovery *out)
{
	Scan first = { .home = f->home, .dir = f->dir, .each = found_tenant, .ptr = f };
	Take t = { .home = f->home };
	Scan all = { .home = f->home, .dir = f->dir, .each = take_entry, .ptr = &t };

	if (!scan_files(cx, &first, &f->head) || !lite_begin(cx, f->home->db))
		return false;
	bool done = lite_do(cx, f->home->db, &SQL_LOG_FOUND, "tttib", f->tenant, f->place, origin,
	    (int64_t)f->head.size, (Bytes){ f->head.root.at, HASH_BYTES });
	t.log = done ? lite_last_id(f->home->db) : 0;
	if (done && scan_files(cx, &all, &f->head) && lite_commit(cx, f->home->db)) {
		out->found++;
		out->taken_back += t.taken;
		return true;
	}
	lite_rollback(f->home->db);
	return false;
}

/* A folder that holds a log of this home, signed by it, which no record has. */
static bool
adopt_folder(Ctx *cx, Home *home, const char *root, const char *folder, Recovery *out)
{
	const char *place = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
	char *origin = arena_printf(cx->mem, "copyhold/%s/%s", home->id, place);
	Log log = { .origin = origin, .dir = arena_printf(cx->mem, "%s/%s", root, folder) }, known;
	Found f = { .home = home, .dir = log.dir, .place = place };
	Ctx own = ctx_new(cx->mem);
	NoteKey key;
	Note note;

	if (log_of_origin(&own, home, origin, &known))
		return true;
	if (own.fail->kind != FAIL_NOT_FOUND) {
		fail_copy(cx, &own);
		return false;
	}
	if (!log_key(cx, home, &log, KEY_ED25519, &key) ||
	    !log_published(cx, &log, &key, &f.head, &note))
		return false;
	if (!f.head.known || f.head.size == 0)
		return true;
	if (!adopt(cx, &f, origin, out) || !log_of_origin(cx, home, origin, &known))
		return fail_in(cx, "taking the log \"%s\" back", origin);
	return rebuild(cx, home, &known, &f.head);
}

static bool
folder_names(Ctx *cx, const char *root, const char *below, Names *out)
{
	DIR *d = opendir(arena_printf(cx->mem, "%s/%s", root, below));
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && e->d_type != DT_REG &&
		    (*below || strncmp(e->d_name, "vendor-", 7) == 0))
			vec_push(cx->mem, out, arena_printf(cx->mem, "%s%s", below, e->d_name));
	if (d)
		closedir(d);
	return true;
}

static bool
adopt_all(Ctx *cx, Home *home, const char *root, Recovery *out)
{
	Names names = { 0 };

	if (!folder_names(cx, root, "", &names) || !folder_names(cx, root, "tenants/", &names))
		return false;
	for (size_t i = 0; i < names.n; i++)
		if (!adopt_folder(cx, home, root, names.at[i], out))
			return false;
	return true;
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

static bool
tell(Ctx *cx, Home *home, const Recovery *r)
{
	Event e = { .verb = "audit.recover",
		.object = "home",
		.outcome = "ok",
		.after = arena_printf(cx->mem,
		    "%llu entries taken back, %llu moved, %llu successors, %llu logs found",
		    (unsigned long long)r->taken_back, (unsigned long long)r->moved,
		    (unsigned long long)r->successors, (unsigned long long)r->found) };

	return event_write(cx, home, &e);
}

static bool
recover_all(Ctx *cx, Home *home, const RecoverAsk *ask, Recovery *out)
{
	const char *copy = ask->copy;
	char *audit = log_audit_dir(cx->mem, home);
	Batch *b = batch_new(cx->mem, audit);
	bool any = false;
	Logs logs;

	if (!log_all(cx, home, &logs))
		return false;
	for (size_t i = 0; i < logs.n; i++)
		any = any || logs.at[i].size > 0;
	bool blind = any && !file_exists(arena_printf(cx->mem, "%s/high-water", audit));
	if (!recover_logs(cx, home, &logs, ask, blind, out))
		return false;
	if (logs.n > 0 &&
	    (!adopt_all(cx, home, audit, out) || (copy && !adopt_all(cx, home, copy, out))))
		return false;
	return tell(cx, home, out) && log_put_mark(cx, home, b) && batch_commit(cx, b) &&
	    log_all(cx, home, &logs) && log_publish_locked(cx, home, &logs);
}

bool
log_recover(Ctx *cx, Home *home, const RecoverAsk *ask, Recovery *out)
{
	Recovery r = { 0 };
	Ed25519 *private;
	int fd;

	if (!log_private(cx, home, &private) || !log_lock(cx, home, RECOVER_WAIT_MS, &fd))
		return false;
	if (fd < 0)
		return fail(cx, FAIL_LEASED, "Stop audit run, then try again.",
		    "another process writes the logs of \"%s\"", home->dir);
	bool done = recover_all(cx, home, ask, &r);
	log_unlock(fd);
	if (done)
		*out = r;
	return done;
}

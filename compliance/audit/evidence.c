#include "compliance/audit/evidence.h"

#include <inttypes.h>
#include <string.h>

#include "compliance/audit/evidence.sql.h"
#include "compliance/audit/page.h"
#include "compliance/audit/readme.h"
#include "compliance/audit/spool.h"
#include "compliance/audit/witness.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"

#define OPENINGS_AT_ONCE 1000
#define WITNESSES_MAX    30
#define WITNESS_WAIT_MS  10000

typedef struct Export {
	Home *home;
	const EvidenceAsk *ask;
	Log log;
	Note note;
	Checkpoint checkpoint;
	uint64_t from, to; /* of the tree, neighbours included */
	EvidenceFacts facts;
	EvidenceProof proof;
	EvidenceKeys keys;
	EvidenceSigners signers;
	EvidenceTally tally;
	Spool *events, *openings, *page;
	const char *policy, *readme;
} Export;

/* --- which log, which events ------------------------------------------------------------- */

static bool
find_log(Ctx *cx, Export *x)
{
	return x->ask->origin ? log_of_origin(cx, x->home, x->ask->origin, &x->log)
			      : log_of(cx, x->home, x->ask->tenant, &x->log);
}

static const char *
period(Arena *mem, const EvidenceAsk *ask)
{
	return arena_printf(mem, "%s/%s", ask->since ? clock_iso(mem, ask->since) : "..",
	    ask->until ? clock_iso(mem, ask->until) : "..");
}

/* Whether the log goes on: that of a tenant who is gone, or whose name has another life, is told of in ours. */
static bool
goes_on(Ctx *cx, const Export *x, bool *out)
{
	TenantRecord r;
	Log newest;

	*out = false;
	if (!x->log.tenant || x->log.closed)
		return true;
	if (!catalog_tenant_find(cx, x->home, x->log.tenant, &r, out) || !*out)
		return *out || cx->fail->kind == FAIL_NONE;
	if (!log_of(cx, x->home, x->log.tenant, &newest))
		return false;
	*out = newest.id == x->log.id;
	return true;
}

/* Openings are plaintext: who reads them is told of in the log that they belong to. */
static bool
tell(Ctx *cx, Export *x)
{
	bool own;

	return goes_on(cx, x, &own) &&
	    event_write(cx, x->home,
		&(Event){ .tenant = own ? x->log.tenant : NULL,
		    .verb = "audit.export",
		    .object = own ? arena_printf(cx->mem, "tenant/%s", x->log.tenant)
				  : arena_printf(cx->mem, "log/%s", x->log.origin),
		    .outcome = "ok",
		    .after = period(cx->mem, x->ask) });
}

/* Up to the event that tells of the export, and cosigned by who can be asked now. */
static bool
publish(Ctx *cx, Export *x)
{
	bool found;

	if (!find_log(cx, x))
		return false;
	for (uint64_t wanted = x->log.next; !x->log.closed && x->log.size < wanted;)
		if (!log_publish(cx, x->home, &x->log, HEARTBEAT_IF_GROWN))
			return false;
	if (!x->log.closed && !witness_ask(cx, x->home, &x->log, WITNESS_WAIT_MS))
		return false;
	if (!log_checkpoint(cx, &x->log, &x->note, &x->checkpoint, &found))
		return false;
	return found ||
	    fail(cx, FAIL_NOT_FOUND, "Publish it: copyhold audit run.",
		"log \"%s\" has no checkpoint yet", x->log.origin);
}

static bool
ask_index(Ctx *cx, Export *x, const Sql *sql, int64_t at, bool *found, uint64_t *index)
{
	LiteRows *rows;

	if (!lite_query(
		cx, x->home->db, sql, &rows, "iii", x->log.id, (int64_t)x->checkpoint.size, at))
		return false;
	*found = lite_next(rows) && lite_text(rows, 0) != NULL;
	if (*found)
		*index = (uint64_t)lite_int(rows, 0);
	return lite_end(cx, rows);
}

/* With one event more on either side, where there is one: it shows that nothing in between is missing. */
static bool
choose(Ctx *cx, Export *x)
{
	uint64_t size = x->checkpoint.size, first = 0, end = size, last;
	bool found;

	if (x->ask->since) {
		if (!ask_index(cx, x, &SQL_EVIDENCE_FIRST, x->ask->since, &found, &first))
			return false;
		first = found ? first : size;
	}
	if (x->ask->until) {
		if (!ask_index(cx, x, &SQL_EVIDENCE_LAST, x->ask->until, &found, &last))
			return false;
		end = found ? last + 1 : 0;
	}
	end = end < first ? first : end;
	x->from = first > 0 ? first - 1 : 0;
	x->to = end < size ? end + 1 : size;
	return true;
}

/* --- what goes in ------------------------------------------------------------------------ */

static bool
put_event(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	(void)event;
	if (memchr(bytes.at, '\n', bytes.n))
		return fail(cx, FAIL_CATALOG, "Run: copyhold doctor.",
		    "event %" PRIu64 " of the log is no line of text", index);
	return spool_put(cx, ptr, bytes.at, bytes.n) && spool_put(cx, ptr, "\n", 1);
}

static bool
put_openings_of(Ctx *cx, Export *x, uint64_t from, uint64_t to)
{
	LiteRows *rows;
	bool ok = true;

	if (!lite_query(cx, x->home->db, &SQL_EVIDENCE_OPENINGS, &rows, "iii", x->log.id,
		(int64_t)from, (int64_t)to))
		return false;
	while (ok && lite_next(rows)) {
		EvidenceOpening o = { .path = lite_text(rows, 1),
			.salt = lite_bytes(rows, 2),
			.value = lite_text(rows, 3) };
		const char *line = evidence_opening_text(cx->mem, (uint64_t)lite_int(rows, 0), &o);
		ok = spool_put(cx, x->openings, line, strlen(line)) &&
		    spool_put(cx, x->openings, "\n", 1);
	}
	return lite_end(cx, rows) && ok;
}

static bool
put_openings(Ctx *cx, Export *x)
{
	for (uint64_t at = x->from; at < x->to && !x->ask->no_values; at += OPENINGS_AT_ONCE) {
		Ctx part = ctx_new(cx->mem);
		uint64_t end = x->to - at < OPENINGS_AT_ONCE ? x->to : at + OPENINGS_AT_ONCE;
		bool ok = put_openings_of(&part, x, at, end);
		if (!ok)
			fail_copy(cx, &part);
		arena_free(part.mem);
		if (!ok)
			return false;
	}
	return spool_done(cx, x->openings);
}

static bool
prove(Ctx *cx, Export *x)
{
	HashSource hashes = log_hashes(cx->mem, &x->log, x->checkpoint.size);

	x->proof = (EvidenceProof){ .origin = x->log.origin, .size = x->checkpoint.size };
	return merkle_compact(cx, &hashes, 0, x->from, &x->proof.left) &&
	    merkle_compact(cx, &hashes, x->to, x->checkpoint.size, &x->proof.right);
}

static bool
gather_keys(Ctx *cx, Export *x)
{
	WitnessRecords all;
	Buf policy = buf_new(cx->mem);
	NoteKey key, own;
	size_t n = 0;

	if (!log_key(cx, x->home, &x->log, KEY_ED25519, &key) || !witness_list(cx, x->home, &all))
		return false;
	if (!log_key(cx, x->home, &x->log, KEY_COSIGNATURE, &own))
		return false;
	vec_push(cx->mem, &x->keys, key);
	vec_push(cx->mem, &x->keys, own);
	buf_add(&policy,
	    "# What the operator says of itself; a policy that you rely on is your own.\n");
	buf_fmt(&policy, "log %s\n", note_key_text(cx->mem, &key));
	for (; n < all.n && n < WITNESSES_MAX; n++) {
		if (!note_key_read(cx, all.at[n].key, &key))
			return fail_in(cx, "reading the key of witness \"%s\"", all.at[n].url);
		vec_push(cx->mem, &x->keys, key);
		buf_fmt(&policy, "witness w%zu %s\n", n + 1, all.at[n].key);
	}
	if (n > 0) {
		buf_add(&policy, "group witnesses any");
		for (size_t i = 0; i < n; i++)
			buf_fmt(&policy, " w%zu", i + 1);
	}
	buf_add(&policy, n > 0 ? "\nquorum witnesses\n" : "quorum none\n");
	x->policy = policy.text;
	evidence_signers(cx, &x->note, &x->keys, &x->signers);
	return true;
}

static bool
state_facts(Ctx *cx, Export *x)
{
	TenantRecord r;
	bool found = false;

	if (x->log.tenant && !catalog_tenant_find(cx, x->home, x->log.tenant, &r, &found))
		return false;
	x->facts = (EvidenceFacts){ .origin = x->log.origin,
		.version = COPYHOLD_VERSION,
		.tenant = x->log.tenant,
		.display = found ? r.display : NULL,
		.at = clock_wall_ms(),
		.since = x->ask->since,
		.until = x->ask->until,
		.values = !x->ask->no_values };
	if (!x->ask->no_values) {
		x->facts.actor = x->home->actor;
		x->facts.reason = x->home->reason;
	}
	return true;
}

static EvidenceWalk *
walk(Ctx *cx, Export *x)
{
	return evidence_walk(
	    cx->mem, spool_read(cx->mem, x->events), spool_read(cx->mem, x->openings), x->from);
}

/* Read back as an auditor will: what does not verify is not given out. */
static bool
count(Ctx *cx, Export *x)
{
	EvidenceWalk *w = walk(cx, x);
	const EvidenceEvent *e;

	do {
		if (!evidence_next(cx, w, &e))
			return fail_in(cx, "reading the events of log \"%s\"", x->log.origin);
		if (e)
			evidence_tally(cx->mem, &x->facts, &x->proof, e, &x->tally);
	} while (e);
	return true;
}

static bool
draw_page(Ctx *cx, Export *x)
{
	PageFrom from = { &x->facts, &x->proof, &x->tally, &x->signers, &x->keys.at[0],
		walk(cx, x) };

	return page_write(cx, &from, (PageTo){ spool_put, x->page }) && spool_done(cx, x->page);
}

static bool
gather(Ctx *cx, Export *x)
{
	const char *dir = arena_printf(cx->mem, "%s/run", x->home->dir);

	return spool_new(cx, dir, &x->events) && spool_new(cx, dir, &x->openings) &&
	    spool_new(cx, dir, &x->page) &&
	    log_each(cx, x->home, &x->log, x->from, x->to, put_event, x->events) &&
	    spool_done(cx, x->events) && put_openings(cx, x) && prove(cx, x) &&
	    gather_keys(cx, x) && state_facts(cx, x) && count(cx, x) && draw_page(cx, x);
}

/* --- the file ---------------------------------------------------------------------------- */

typedef struct Member { /* a text or a spool */
	const char *text;
	const Spool *spool;
} Member;

static Member
member(Ctx *cx, const Export *x, const char *name)
{
	const struct {
		const char *name;
		Member member;
	} all[] = {
		{ EVIDENCE_README, { x->readme, NULL } },
		{ EVIDENCE_CHECKPOINT, { note_text(cx->mem, &x->note), NULL } },
		{ EVIDENCE_EVENTS, { NULL, x->events } },
		{ EVIDENCE_FACTS, { evidence_facts_text(cx->mem, &x->facts), NULL } },
		{ EVIDENCE_KEYS, { evidence_keys_text(cx->mem, &x->keys), NULL } },
		{ EVIDENCE_OPENINGS, { NULL, x->openings } },
		{ EVIDENCE_PAGE, { NULL, x->page } },
		{ EVIDENCE_POLICY, { x->policy, NULL } },
		{ EVIDENCE_PROOF, { evidence_proof_text(cx->mem, &x->proof), NULL } },
	};
	size_t i = 0;

	while (strcmp(all[i].name, name) != 0)
		i++;
	return all[i].member;
}

static EvidenceDigest
digest(const char *name, Member m)
{
	EvidenceDigest d = { .name = name, .tree = strcmp(name, EVIDENCE_EVENTS) == 0 };

	if (m.spool) {
		d.size = spool_size(m.spool);
		spool_sha(m.spool, d.sha);
	} else {
		d.size = strlen(m.text);
		sha256(m.text, strlen(m.text), d.sha);
	}
	return d;
}

static bool
manifest(Ctx *cx, Export *x, const Member *members, const char **out)
{
	EvidenceList list = { .origin = x->log.origin };
	NoteSigner signer;
	Note note = { 0 };

	for (size_t i = 1; i < EVIDENCE_MEMBERS; i++)
		list.at[list.n++] = digest(evidence_rules[i].name, members[i]);
	note.text = evidence_list_text(cx->mem, &list);
	note.n = strlen(note.text);
	if (!log_signer(cx, x->home, &x->log, KEY_ED25519, &signer) ||
	    !note_sign(cx, &note, &signer, 0))
		return false;
	*out = note_text(cx->mem, &note);
	return true;
}

static bool
write_file(Ctx *cx, Export *x, const char *path)
{
	PackForm form = x->ask->stored ? PACK_STORED : PACK_DEFLATED;
	Member members[EVIDENCE_MEMBERS] = { 0 };
	PackWriter *w;

	for (size_t i = 1; i < EVIDENCE_MEMBERS; i++)
		members[i] = member(cx, x, evidence_rules[i].name);
	if (!manifest(cx, x, members, &members[0].text) || !pack_begin(cx, path, &w))
		return false;
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++) {
		const char *text = members[i].text;
		if (text ? !pack_add(cx, w, evidence_rules[i].name,
			       (Bytes){ (const unsigned char *)text, strlen(text) }, PACK_DEFLATED)
			 : !pack_add_fd(
			       cx, w, evidence_rules[i].name, spool_fd(members[i].spool), form))
			return false;
	}
	return pack_end(cx, w);
}

bool
evidence_export(Ctx *cx, Home *home, const EvidenceAsk *ask, const char *path, EvidenceMade *made)
{
	Export x = { .home = home, .ask = ask, .readme = evidence_readme };

	if (file_exists(path))
		return fail(
		    cx, FAIL_EXISTS, "Choose another name.", "\"%s\" is there already", path);
	if (!find_log(cx, &x) || !tell(cx, &x) || !publish(cx, &x) || !choose(cx, &x) ||
	    !gather(cx, &x) || !write_file(cx, &x, path))
		return fail_in(cx, "exporting evidence");
	*made = (EvidenceMade){ .origin = x.log.origin,
		.events = x.to - x.from,
		.first = x.from,
		.size = x.checkpoint.size };
	return true;
}

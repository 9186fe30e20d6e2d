#include <inttypes.h>
#include <string.h>

#include "compliance/audit/leaves.h"
#include "compliance/audit/page.h"
#include "lib/base/clock.h"

#define CHUNK ((size_t)256 << 10)

typedef struct Check {
	Ctx *cx;
	const EvidenceTrust *trust;
	Verdict *v;
	Pack *pack;
	Note list_note, note;
	EvidenceList list;
	EvidenceKeys keys;
	NoteKey key; /* that everything is checked with */
	bool vouched;
	Checkpoint checkpoint;
	EvidenceProof proof;
	EvidenceFacts facts;
	EvidenceTally tally;
	EvidenceSigners signers;
	unsigned char *part; /* of a member */
} Check;

#define U(n) ((unsigned long long)(n))

static void
say(Check *c, Findings *to, const char *text)
{
	vec_push(c->cx->mem, to, arena_dup(c->cx->mem, text));
}

#define PROVEN(c, ...)     say((c), &(c)->v->proven, arena_printf((c)->cx->mem, __VA_ARGS__))
#define NOT_PROVEN(c, ...) say((c), &(c)->v->not_proven, arena_printf((c)->cx->mem, __VA_ARGS__))

/* Always false: nothing that follows would mean anything. */
#define WRONG(c, ...) (say((c), &(c)->v->wrong, arena_printf((c)->cx->mem, __VA_ARGS__)), false)

/* --- members ----------------------------------------------------------------------------- */

static bool
read_part(Ctx *cx, void *stream, void *out, size_t max, size_t *got)
{
	return pack_next(cx, stream, out, max, got);
}

static bool
lines_of(Check *c, const char *name, LinesFrom *out)
{
	PackStream *s;

	if (!pack_stream(c->cx, c->pack, name, &s))
		return false;
	*out = (LinesFrom){ read_part, s };
	return true;
}

static bool
walk(Check *c, EvidenceWalk **out)
{
	LinesFrom events, openings;

	if (!lines_of(c, EVIDENCE_EVENTS, &events) || !lines_of(c, EVIDENCE_OPENINGS, &openings))
		return false;
	*out = evidence_walk(c->cx->mem, events, openings, c->proof.left.end);
	return true;
}

static bool
same_digest(Check *c, const EvidenceDigest *d, bool *same)
{
	unsigned char sha[32];
	Sha256 *sum = sha256_begin(c->cx->mem);
	PackStream *s;
	size_t got = 1;

	if (!pack_stream(c->cx, c->pack, d->name, &s))
		return false;
	while (got > 0) {
		if (!pack_next(c->cx, s, c->part, CHUNK, &got))
			return false;
		sha256_add(sum, c->part, got);
	}
	pack_stream_end(s);
	sha256_end(sum, sha);
	*same = memcmp(sha, d->sha, sizeof sha) == 0;
	return true;
}

static bool
check_members(Check *c)
{
	bool same = true, all = true;

	c->part = arena_alloc(c->cx->mem, CHUNK);
	for (size_t i = 0; i < c->list.n; i++) {
		const EvidenceDigest *d = &c->list.at[i];
		bool sized = pack_size(c->pack, d->name) == d->size;
		if (sized && !d->tree && !same_digest(c, d, &same))
			return false;
		if (!sized || !same)
			all = WRONG(c, "\"%s\" is not the one that was signed", d->name);
	}
	return all;
}

/* --- whose word -------------------------------------------------------------------------- */

static bool
same_key(const NoteKey *a, const NoteKey *b)
{
	return a->type == b->type && a->id == b->id && strcmp(a->name, b->name) == 0 &&
	    memcmp(a->pub, b->pub, sizeof a->pub) == 0;
}

static bool
given_key(Check *c, NoteKey *out, bool *found)
{
	NoteKey by_policy;

	*found = false;
	for (size_t i = 0; i < c->trust->keys.n && !*found; i++) {
		const NoteKey *k = &c->trust->keys.at[i];
		*found = k->type == KEY_ED25519 && strcmp(k->name, c->list.origin) == 0;
		if (*found)
			*out = *k;
	}
	if (c->trust->keys.n > 0 && !*found)
		return WRONG(
		    c, "the file is of log \"%s\", whose key was not given", c->list.origin);
	if (!c->trust->policy || !policy_log_key(c->trust->policy, c->list.origin, &by_policy))
		return true;
	if (*found && !same_key(out, &by_policy))
		return WRONG(c, "the key that was given is not the one of the policy");
	*out = by_policy;
	return *found = true;
}

static bool
choose_key(Check *c)
{
	const NoteKey *own = &c->keys.at[0];

	if (!given_key(c, &c->key, &c->vouched))
		return false;
	if (!c->vouched)
		c->key = *own;
	c->v->origin = c->list.origin;
	c->v->key = note_key_text(c->cx->mem, &c->key);
	if (!same_key(&c->key, own) || strcmp(own->name, c->list.origin) != 0)
		return WRONG(c, "the file was made with another key than that of log \"%s\"",
		    c->list.origin);
	return true;
}

/* The list and the checkpoint are both the word of one key. */
static bool
check_signatures(Check *c)
{
	int64_t at;

	if (c->list_note.signatures.n != 1 ||
	    note_verify(&c->list_note, &c->key, &at) != NOTE_VALID)
		return WRONG(c, "\"%s\" is not signed by the log's key", EVIDENCE_MANIFEST);
	if (note_verify(&c->note, &c->key, &at) != NOTE_VALID)
		return WRONG(c, "\"%s\" is not signed by the log's key", EVIDENCE_CHECKPOINT);
	return strcmp(c->checkpoint.origin, c->list.origin) == 0 ||
	    WRONG(c, "\"%s\" is of another log", EVIDENCE_CHECKPOINT);
}

static bool
read_small(Check *c)
{
	Ctx *cx = c->cx;
	Bytes list, keys, note;

	return pack_read(cx, c->pack, EVIDENCE_MANIFEST, &list) &&
	    note_read(cx, (const char *)list.at, list.n, &c->list_note) &&
	    evidence_list_read(cx, &c->list_note, &c->list) &&
	    pack_read(cx, c->pack, EVIDENCE_KEYS, &keys) &&
	    evidence_keys_read(cx, keys, &c->keys) &&
	    pack_read(cx, c->pack, EVIDENCE_CHECKPOINT, &note) &&
	    note_read(cx, (const char *)note.at, note.n, &c->note) &&
	    checkpoint_read(cx, &c->note, &c->checkpoint);
}

static bool
read_claims(Check *c)
{
	Ctx *cx = c->cx;
	Bytes proof, facts;

	if (!pack_read(cx, c->pack, EVIDENCE_PROOF, &proof) ||
	    !evidence_proof_read(cx, proof, &c->proof) ||
	    !pack_read(cx, c->pack, EVIDENCE_FACTS, &facts) ||
	    !evidence_facts_read(cx, facts, &c->facts))
		return false;
	if (strcmp(c->proof.origin, c->list.origin) != 0 ||
	    strcmp(c->facts.origin, c->list.origin) != 0)
		return WRONG(c, "its members are of several logs");
	return c->proof.size == c->checkpoint.size ||
	    WRONG(c, "\"%s\" is of a tree of %llu events, the checkpoint of one of %llu",
		EVIDENCE_PROOF, U(c->proof.size), U(c->checkpoint.size));
}

/* --- the events -------------------------------------------------------------------------- */

/* One pass: each event is canonical, each opening matches, and the leaves grow into the range. */
static bool
read_events(Check *c, Range *range)
{
	const EvidenceEvent *e;
	Leaves *leaves = leaves_new(c->cx->mem, range);
	EvidenceWalk *w;

	range_begin(range, c->proof.left.end);
	if (!walk(c, &w))
		return false;
	for (;;) {
		if (!evidence_next(c->cx, w, &e))
			return false;
		if (!e)
			break;
		if (e->index == c->proof.right.begin)
			return WRONG(c, "there are more events than \"%s\" says", EVIDENCE_PROOF);
		leaves_add(leaves, e->bytes);
		evidence_tally(c->cx->mem, &c->facts, &c->proof, e, &c->tally);
	}
	leaves_end(leaves);
	return true;
}

static bool
check_tree(Check *c)
{
	Range events, all = c->proof.left;
	Hash root;

	if (!read_events(c, &events))
		return false;
	if (events.end != c->proof.right.begin)
		return WRONG(c, "event %llu and what follows is missing", U(events.end));
	if (!range_join(&all, &events) || !range_join(&all, &c->proof.right))
		return WRONG(c, "\"%s\" is malformed", EVIDENCE_PROOF);
	range_root(&all, &root);
	return hash_same(&root, &c->checkpoint.root) ||
	    WRONG(c,
		"the events are not those of the log's tree of %llu events: one or more were "
		"changed, removed, added or moved",
		U(c->checkpoint.size));
}

/* --- what was asked ---------------------------------------------------------------------- */

static bool
check_left(Check *c)
{
	uint64_t from = c->proof.left.end;

	if (from == 0 || c->tally.before)
		return true;
	if (c->facts.since == 0)
		return WRONG(c, "%llu events before the first of the file are missing", U(from));
	NOT_PROVEN(c, "that no event of the period stands before event %llu", U(from));
	return false;
}

static bool
check_right(Check *c)
{
	uint64_t to = c->proof.right.begin, size = c->proof.size;

	if (to == size || c->tally.after)
		return true;
	if (c->facts.until == 0)
		return WRONG(c, "%llu events after the last of the file are missing", U(size - to));
	NOT_PROVEN(c, "that no event of the period stands after event %llu", U(to) - 1);
	return false;
}

static void
judge_period(Check *c)
{
	bool left = check_left(c), right = check_right(c);

	if (!left || !right)
		return;
	if (c->tally.events == c->proof.size)
		PROVEN(c, "these are all events of the log");
	else
		PROVEN(c, "no event from %s to %s is missing",
		    c->facts.since ? clock_iso(c->cx->mem, c->facts.since) : "the beginning",
		    c->facts.until ? clock_iso(c->cx->mem, c->facts.until) : "the end");
}

static void
judge_events(Check *c)
{
	const EvidenceTally *t = &c->tally;
	uint64_t from = c->proof.left.end;

	PROVEN(c, "the file is as it was made: nothing was changed, added or taken away");
	if (t->events == 1)
		PROVEN(c, "event %llu stands in the log's tree of %llu events, unchanged", U(from),
		    U(c->proof.size));
	else if (t->events > 1)
		PROVEN(c,
		    "events %llu to %llu stand in the log's tree of %llu events, unchanged and in "
		    "order",
		    U(from), U(c->proof.right.begin) - 1, U(c->proof.size));
	judge_period(c);
	if (t->opened)
		PROVEN(c, "%llu personal values are those that were recorded", U(t->opened));
	if (t->hidden)
		NOT_PROVEN(c, "what %llu personal values were: they are %s", U(t->hidden),
		    c->facts.values ? "erased" : "not in the file");
}

/* --- who signed -------------------------------------------------------------------------- */

static char *
second(Check *c, int64_t unix_s)
{
	bool sane = unix_s >= 0 && unix_s <= INT64_MAX / 1000;

	return sane ? arena_printf(c->cx->mem, "%.19sZ", clock_iso(c->cx->mem, unix_s * 1000))
		    : arena_printf(c->cx->mem, "%" PRId64 " s", unix_s);
}

static bool
judge_policy(Check *c)
{
	PolicyVerdict p;

	policy_judge(c->cx->mem, c->trust->policy, &c->note, &p);
	if (p.bad)
		return WRONG(c, "the signature of \"%s\" under the checkpoint is wrong", p.bad);
	for (size_t i = 0; i < p.witnesses.n; i++)
		PROVEN(c, "witness \"%s\" has cosigned this state of the log", p.witnesses.at[i]);
	if (p.quorum && p.witnesses.n > 0)
		PROVEN(c,
		    "the witnesses that the policy asks for were shown this history and no "
		    "other, between %s and %s",
		    second(c, p.oldest), second(c, p.newest));
	else if (p.quorum)
		NOT_PROVEN(
		    c, "that nobody was shown another history: the policy asks for no witness");
	else
		NOT_PROVEN(c,
		    "that nobody was shown another history: fewer witnesses have cosigned than "
		    "the policy asks for");
	return p.quorum;
}

static bool
judge_signers(Check *c)
{
	EvidenceSigners *s = &c->signers;
	bool quorum = true;

	if (s->bad)
		return WRONG(c, "the signature of \"%s\" under the checkpoint is wrong", s->bad);
	c->v->signed_at = s->own;
	if (s->own)
		PROVEN(c, "the log said at %s that this was its state", second(c, s->own));
	if (c->trust->policy)
		quorum = judge_policy(c);
	else
		NOT_PROVEN(c,
		    "that nobody was shown another history: no policy with witnesses "
		    "was given");
	for (size_t i = 0; i < s->n && !c->trust->policy; i++)
		NOT_PROVEN(c, "that \"%s\", which cosigned at %s, is a witness to rely on",
		    s->at[i].name, second(c, s->at[i].unix_s));
	if (!c->vouched)
		NOT_PROVEN(c, "that the key is the log's: no key was given to compare it with");
	return quorum && c->vouched;
}

/* --- the page ---------------------------------------------------------------------------- */

static bool
hash_part(Ctx *cx, void *sum, const void *bytes, size_t n)
{
	(void)cx;
	sha256_add(sum, bytes, n);
	return true;
}

/* Drawn anew from the events: what people read is what was proven. */
static bool
check_page(Check *c)
{
	Sha256 *sum = sha256_begin(c->cx->mem);
	PageFrom from = { &c->facts, &c->proof, &c->tally, &c->signers, &c->keys.at[0], NULL };
	unsigned char sha[32];
	EvidenceWalk *w;
	size_t i = 0;

	if (!walk(c, &w))
		return false;
	from.walk = w;
	if (!page_write(c->cx, &from, (PageTo){ hash_part, sum }))
		return false;
	sha256_end(sum, sha);
	while (strcmp(c->list.at[i].name, EVIDENCE_PAGE) != 0)
		i++;
	if (memcmp(sha, c->list.at[i].sha, sizeof sha) == 0)
		PROVEN(c, "\"%s\" says what the events say", EVIDENCE_PAGE);
	else if (strcmp(c->facts.version, COPYHOLD_VERSION) == 0)
		return WRONG(c, "\"%s\" does not say what the events say", EVIDENCE_PAGE);
	else
		NOT_PROVEN(c,
		    "that \"%s\" says what the events say: version %s made it, and this is %s",
		    EVIDENCE_PAGE, c->facts.version, COPYHOLD_VERSION);
	return true;
}

/* --- all of it --------------------------------------------------------------------------- */

/* False: something is wrong and was said, or could not be read and the Fail has it. */
static bool
look(Check *c, const char *path)
{
	if (!pack_open(c->cx, path, evidence_rules, EVIDENCE_MEMBERS, &c->pack) || !read_small(c) ||
	    !choose_key(c) || !check_signatures(c) || !check_members(c) || !read_claims(c) ||
	    !check_tree(c))
		return false;
	evidence_signers(c->cx, &c->note, &c->keys, &c->signers);
	judge_events(c);
	c->v->trusted = judge_signers(c);
	return check_page(c);
}

bool
evidence_verify(Ctx *cx, const char *path, const EvidenceTrust *trust, Verdict *out)
{
	Ctx own = ctx_new(cx->mem);
	Verdict v = { 0 };
	Check c = { .cx = &own, .trust = trust, .v = &v };

	if (!look(&c, path) && own.fail->kind != FAIL_NONE) {
		if (own.fail->kind != FAIL_INPUT) {
			fail_copy(cx, &own);
			return false;
		}
		say(&c, &v.wrong, own.fail->what);
	}
	v.first = c.proof.left.end;
	v.events = c.tally.events;
	v.size = c.checkpoint.size;
	v.sound = v.wrong.n == 0;
	v.trusted = v.trusted && v.sound;
	if (!v.sound)
		v.proven.n = 0; /* of what was changed nothing is known */
	*out = v;
	return true;
}

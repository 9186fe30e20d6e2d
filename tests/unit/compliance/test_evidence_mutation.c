/*
 * Seeded changes of a real evidence file, each of which must be found:
 * COPYHOLD_MUTATIONS of them (1000), from COPYHOLD_SEED (1).
 */
#include "tests/unit/compliance/evidence_room.h"

typedef struct Rig {
	Room *r;
	Ctx cx; /* of one change */
	uint64_t state;
	Parts good, older; /* of one log, at two times */
	Parts vendor;
	NoteSigner signer, thief;
	char *path;
} Rig;

static uint64_t
draw(Rig *g, uint64_t below)
{
	g->state ^= g->state << 13;
	g->state ^= g->state >> 7;
	g->state ^= g->state << 17;
	return (g->state >> 11) % below;
}

static Bytes *
member(Parts *p, const char *name)
{
	return &p->at[part_of(name)];
}

static bool
differ(const Parts *a, const Parts *b)
{
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++)
		if (a->at[i].n != b->at[i].n || memcmp(a->at[i].at, b->at[i].at, a->at[i].n) != 0)
			return true;
	return false;
}

/* --- changes of bytes, of any member ----------------------------------------------------- */

static void
with_bytes(Rig *g, Bytes *b, size_t at, size_t drop, const void *put, size_t n)
{
	Buf all = buf_new(g->cx.mem);

	buf_addn(&all, b->at, at);
	buf_addn(&all, put, n);
	buf_addn(&all, b->at + at + drop, b->n - at - drop);
	*b = (Bytes){ (unsigned char *)all.text, all.len };
}

static void
flip_a_bit(Rig *g, Parts *p)
{
	Bytes *b = &p->at[draw(g, EVIDENCE_MEMBERS)];
	size_t at = draw(g, b->n);
	unsigned char c = (unsigned char)(b->at[at] ^ 1 << draw(g, 8));

	with_bytes(g, b, at, 1, &c, 1);
}

static void
drop_bytes(Rig *g, Parts *p)
{
	Bytes *b = &p->at[draw(g, EVIDENCE_MEMBERS)];
	size_t at = draw(g, b->n), n = 1 + draw(g, b->n - at);

	with_bytes(g, b, at, n, "", 0);
}

static void
put_a_byte(Rig *g, Parts *p)
{
	Bytes *b = &p->at[draw(g, EVIDENCE_MEMBERS)];
	char c = (char)draw(g, 256);

	with_bytes(g, b, draw(g, b->n + 1), 0, &c, 1);
}

static void
take_a_member_of_an_older_export(Rig *g, Parts *p)
{
	size_t i = draw(g, EVIDENCE_MEMBERS);

	p->at[i] = g->older.at[i];
}

static void
take_a_member_of_another_log(Rig *g, Parts *p)
{
	size_t i = draw(g, EVIDENCE_MEMBERS);

	p->at[i] = g->vendor.at[i];
}

/* --- changes of lines, of events, openings, keys, proof ------------------------------------- */

static const char *const listed[] = { EVIDENCE_EVENTS, EVIDENCE_OPENINGS, EVIDENCE_PROOF,
	EVIDENCE_KEYS, EVIDENCE_CHECKPOINT, EVIDENCE_MANIFEST, EVIDENCE_POLICY };

static Bytes *
some_lines(Rig *g, Parts *p, Texts *lines)
{
	Bytes *b = member(p, listed[draw(g, 2) ? draw(g, 2) : draw(g, LENGTH(listed))]);

	*lines = split(&g->cx, *b);
	return b;
}

static void
drop_a_line(Rig *g, Parts *p)
{
	Texts lines;
	Bytes *b = some_lines(g, p, &lines);

	for (size_t i = draw(g, lines.n); i + 1 < lines.n; i++)
		lines.at[i] = lines.at[i + 1];
	lines.n--;
	*b = join(&g->cx, &lines);
}

static void
drop_the_tail(Rig *g, Parts *p)
{
	Texts lines;
	Bytes *b = some_lines(g, p, &lines);

	lines.n = draw(g, lines.n);
	*b = join(&g->cx, &lines);
}

static void
swap_lines(Rig *g, Parts *p)
{
	Texts lines;
	Bytes *b = some_lines(g, p, &lines);
	size_t i = draw(g, lines.n), k = draw(g, lines.n);
	const char *kept = lines.at[i];

	lines.at[i] = lines.at[k];
	lines.at[k] = kept;
	*b = join(&g->cx, &lines);
}

static void
double_a_line(Rig *g, Parts *p)
{
	Texts lines;
	Bytes *b = some_lines(g, p, &lines);
	size_t i = draw(g, lines.n);

	vec_push(g->cx.mem, &lines, NULL);
	memmove(lines.at + i + 1, lines.at + i, (lines.n - 1 - i) * sizeof *lines.at);
	*b = join(&g->cx, &lines);
}

static void
put_a_line_of_another_log(Rig *g, Parts *p)
{
	bool events = draw(g, 2);
	Bytes *b = member(p, events ? EVIDENCE_EVENTS : EVIDENCE_OPENINGS);
	Texts lines = split(&g->cx, *b),
	      other = split(
		  &g->cx, *member(&g->vendor, events ? EVIDENCE_EVENTS : EVIDENCE_OPENINGS));

	lines.at[draw(g, lines.n)] = other.at[draw(g, other.n)];
	*b = join(&g->cx, &lines);
}

static char *
after(const char *line, const char *mark)
{
	char *at = strstr(line, mark);

	assert_non_null(at);
	return at + strlen(mark);
}

/* Two values change places, or two salts. */
static void
swap_openings(Rig *g, Parts *p)
{
	Bytes *b = member(p, EVIDENCE_OPENINGS);
	Texts lines = split(&g->cx, *b);
	bool salts = draw(g, 2);
	size_t i = draw(g, lines.n), k = draw(g, lines.n);
	const char *mark = salts ? "\"salt\":\"" : "\"value\":\"";
	char *x = after(lines.at[i], mark), *y = after(lines.at[k], mark);
	char *xe = strchr(x, '"'), *ye = strchr(y, '"');
	const char *first = arena_printf(
	    g->cx.mem, "%.*s%.*s%s", (int)(x - lines.at[i]), lines.at[i], (int)(ye - y), y, xe);

	lines.at[k] = arena_printf(
	    g->cx.mem, "%.*s%.*s%s", (int)(y - lines.at[k]), lines.at[k], (int)(xe - x), x, ye);
	lines.at[i] = first;
	*b = join(&g->cx, &lines);
}

/* Events are left out on either side, and the proof says so. */
static void
narrow(Rig *g, Parts *p)
{
	Texts events = split(&g->cx, *member(p, EVIDENCE_EVENTS));
	EvidenceProof proof;
	size_t left = draw(g, 3), right = 1 + draw(g, 3);
	Hash leaf;

	ok(&g->cx, evidence_proof_read(&g->cx, *member(p, EVIDENCE_PROOF), &proof));
	for (size_t i = 0; i < left; i++) {
		merkle_leaf(events.at[i], strlen(events.at[i]), &leaf);
		range_add(&proof.left, &leaf);
	}
	events.at += left;
	events.n -= left + right;
	range_begin(&proof.right, proof.right.begin - right);
	for (size_t i = 0; i < right; i++) {
		merkle_leaf(events.at[events.n + i], strlen(events.at[events.n + i]), &leaf);
		range_add(&proof.right, &leaf);
	}
	*member(p, EVIDENCE_EVENTS) = join(&g->cx, &events);
	*member(p, EVIDENCE_PROOF) = bytes_of(evidence_proof_text(g->cx.mem, &proof));
}

typedef struct Mutation {
	const char *name;
	void (*make)(Rig *g, Parts *p);
} Mutation;

static const Mutation changes[] = {
	{ "a flipped bit", flip_a_bit },
	{ "bytes left out", drop_bytes },
	{ "a byte put in", put_a_byte },
	{ "a member of an older export", take_a_member_of_an_older_export },
	{ "a member of another log", take_a_member_of_another_log },
	{ "a line left out", drop_a_line },
	{ "the tail left out", drop_the_tail },
	{ "lines that changed places", swap_lines },
	{ "a doubled line", double_a_line },
	{ "a line of another log", put_a_line_of_another_log },
	{ "values or salts that changed places", swap_openings },
	{ "events left out with a proof of the rest", narrow },
};

/* --- who signs what was changed ------------------------------------------------------------ */

typedef enum Forger { NOBODY, UNSIGNED, THIEF, FORGERS } Forger;

/* THIEF has another key, and says that it is the log's. */
static void
forge(Rig *g, Parts *p, Forger forger)
{
	EvidenceKeys keys;

	if (forger == NOBODY)
		return;
	if (forger == THIEF) {
		ok(&g->cx, evidence_keys_read(&g->cx, *member(&g->good, EVIDENCE_KEYS), &keys));
		keys.at[0] = g->thief.key;
		*member(p, EVIDENCE_KEYS) = bytes_of(evidence_keys_text(g->cx.mem, &keys));
		sign_again(&g->cx, p, &g->thief);
		return;
	}
	Note note = list_again(&g->cx, p, g->signer.key.name), was;
	Bytes *list = member(&g->good, EVIDENCE_MANIFEST);
	ok(&g->cx, note_read(&g->cx, (const char *)list->at, list->n, &was));
	vec_push(g->cx.mem, &note.signatures, was.signatures.at[0]);
	*member(p, EVIDENCE_MANIFEST) = bytes_of(note_text(g->cx.mem, &note));
}

static bool
found(Rig *g)
{
	EvidenceTrust trust = { 0 };
	Verdict v;

	vec_push(g->cx.mem, &trust.keys, g->signer.key);
	return !evidence_verify(&g->cx, g->path, &trust, &v) || (!v.sound && !v.trusted);
}

/* --- the rig --------------------------------------------------------------------------------- */

static void
rig_up(Rig *g, Room *r)
{
	const char *seed = getenv("COPYHOLD_SEED");

	*g = (Rig){ .r = r, .state = 88172645463325252ull };
	g->state += (seed ? strtoull(seed, NULL, 10) : 1) * 0x9E3779B97F4A7C15ull;
	for (int i = 0; i < 20; i++)
		draw(g, 2);
	for (int i = 0; i < 30; i++)
		tell_at(r, arena_printf(r->cx.mem, "2026-01-06T00:%02d:00Z", i),
		    i % 3 ? "acme" : NULL, "secret.read", i % 2 ? "lin@ops" : "mia@ops",
		    arena_printf(r->cx.mem, "ticket %d", i));
	EvidenceAsk ask = { .tenant = "acme", .since = ms("2026-01-03") };
	g->older = take_apart(&r->cx, export_to(r, "older.zip", ask, NULL));
	ask.since = ms("2026-01-04");
	g->good = take_apart(&r->cx, export_to(r, "good.zip", ask, NULL));
	g->vendor = take_apart(&r->cx, export_to(r, "vendor.zip", (EvidenceAsk){ 0 }, NULL));
	g->signer = signer_of(r, "acme");
	g->thief = made_signer(&r->cx, g->signer.key.name, KEY_ED25519, 66);
	g->path = arena_printf(r->cx.mem, "%s/changed.zip", r->dir);
}

static size_t
wanted(void)
{
	const char *n = getenv("COPYHOLD_MUTATIONS");

	return n ? strtoul(n, NULL, 10) : 1000;
}

/* What happens to change nothing is drawn again. */
static bool
change_once(Rig *g, size_t which, Forger forger)
{
	Parts p = g->good;

	g->cx = ctx_new(g->r->cx.mem);
	changes[which].make(g, &p);
	if (differ(&p, &g->good))
		forge(g, &p, forger);
	bool changed = differ(&p, &g->good);
	if (changed) {
		put_together(&g->cx, g->path, &p);
		if (!found(g))
			broken("%s was not found (forger %d)\n", changes[which].name, (int)forger);
	}
	arena_free(g->cx.mem);
	return changed;
}

static void
every_change_is_found(void **state)
{
	size_t n = wanted(), counts[LENGTH(changes)] = { 0 };
	Rig g;

	rig_up(&g, *state);
	put_together(&g.r->cx, g.path, &g.good);
	g.cx = ctx_new(g.r->cx.mem);
	assert_false(found(&g)); /* unchanged it verifies */
	arena_free(g.cx.mem);
	for (size_t i = 0; i < n;) {
		size_t which = draw(&g, LENGTH(changes));
		if (!change_once(&g, which, (Forger)draw(&g, FORGERS)))
			continue;
		counts[which]++;
		i++;
	}
	for (size_t i = 0; i < LENGTH(changes); i++) {
		print_message("# %zu of %zu found: %s\n", counts[i], counts[i], changes[i].name);
		assert_true(counts[i] > 0);
	}
}

/* Who holds the key can sign a list anew, but not make the signed tree another one. */
static void
changes_of_the_events_are_found_even_if_the_keys_holder_signs(void **state)
{
	size_t n = wanted() / 10;
	Rig g;

	rig_up(&g, *state);
	for (size_t i = 0; i < n;) {
		Parts p = g.good;
		g.cx = ctx_new(g.r->cx.mem);
		changes[draw(&g, LENGTH(changes))].make(&g, &p);
		bool counts = member(&p, EVIDENCE_EVENTS)->at !=
		    member(&g.good, EVIDENCE_EVENTS)->at;
		*member(&p, EVIDENCE_MANIFEST) = *member(&g.good, EVIDENCE_MANIFEST);
		if (counts && differ(&p, &g.good)) {
			sign_again(&g.cx, &p, &g.signer);
			put_together(&g.cx, g.path, &p);
			assert_true(found(&g));
			i++;
		}
		arena_free(g.cx.mem);
	}
}

/* --- of the ZIP file itself ------------------------------------------------------------------- */

static Bytes
raw_of(Rig *g, const char *name)
{
	char *text;
	size_t n;

	ok(&g->r->cx,
	    file_read(&g->r->cx, arena_printf(g->r->cx.mem, "%s/%s", g->r->dir, name), 1 << 24,
		&text, &n));
	return (Bytes){ (unsigned char *)text, n };
}

static void
a_file_cut_off_anywhere_is_found(void **state)
{
	size_t n = wanted() / 10;
	Rig g;

	rig_up(&g, *state);
	Bytes raw = raw_of(&g, "good.zip");
	for (size_t i = 0; i < n; i++) {
		g.cx = ctx_new(g.r->cx.mem);
		ok(&g.cx, file_write(&g.cx, g.path, 0600, raw.at, draw(&g, raw.n)));
		assert_true(found(&g));
		arena_free(g.cx.mem);
	}
}

static bool
same_members(Rig *g)
{
	Pack *pack;
	Bytes got;

	if (!pack_open(&g->cx, g->path, evidence_rules, EVIDENCE_MEMBERS, &pack))
		return false;
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++)
		if (!pack_read(&g->cx, pack, evidence_rules[i].name, &got) ||
		    got.n != g->good.at[i].n || memcmp(got.at, g->good.at[i].at, got.n) != 0)
			return false;
	return true;
}

/* Times and rights of members are attested by nobody: a bit there changes nothing that is said. */
static void
a_flipped_bit_of_the_file_is_found_or_changes_no_member(void **state)
{
	size_t n = wanted() / 10, hits = 0;
	Rig g;

	rig_up(&g, *state);
	Bytes raw = raw_of(&g, "good.zip");
	for (size_t i = 0; i < n; i++) {
		g.cx = ctx_new(g.r->cx.mem);
		unsigned char *bytes = arena_alloc(g.cx.mem, raw.n);
		memcpy(bytes, raw.at, raw.n);
		bytes[draw(&g, raw.n)] ^= (unsigned char)(1 << draw(&g, 8));
		ok(&g.cx, file_write(&g.cx, g.path, 0600, bytes, raw.n));
		bool hit = found(&g);
		hits += hit;
		fail_clear(&g.cx);
		assert_true(hit || same_members(&g));
		arena_free(g.cx.mem);
	}
	assert_true(hits * 10 > n * 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, acme_setup, acme_teardown)
		T(every_change_is_found),
		T(changes_of_the_events_are_found_even_if_the_keys_holder_signs),
		T(a_file_cut_off_anywhere_is_found),
		T(a_flipped_bit_of_the_file_is_found_or_changes_no_member),
	};

	return cmocka_run_group_tests_name("evidence_mutation", tests, NULL, NULL);
}

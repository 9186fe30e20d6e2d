/*
 * What who holds the log's key could try, and members that are not what they
 * should be: all of it signed again, so that the list alone finds none of it.
 */
#include "tests/unit/compliance/evidence_room.h"

/* --- what the holder of the key could try ------------------------------------------------- */

static Verdict
resigned(Room *r, Parts *p)
{
	NoteSigner signer = signer_of(r, "acme");
	char *path = arena_printf(r->cx.mem, "%s/again.zip", r->dir);

	sign_again(&r->cx, p, &signer);
	put_together(&r->cx, path, p);
	return verified(&r->cx, path, &signer.key, NULL);
}

static Parts
exported(Room *r)
{
	return take_apart(&r->cx,
	    export_to(
		r, "e.zip", (EvidenceAsk){ .tenant = "acme", .since = ms("2026-01-03") }, NULL));
}

static void
a_file_put_together_again_is_the_same(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	Verdict v = resigned(r, &p);

	assert_true(v.sound && v.trusted);
}

static void
an_event_left_out_and_signed_again_is_found(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	Texts lines = split(&r->cx, p.at[part_of(EVIDENCE_EVENTS)]);

	lines.n--;
	p.at[part_of(EVIDENCE_EVENTS)] = join(&r->cx, &lines);
	Texts openings = split(&r->cx, p.at[part_of(EVIDENCE_OPENINGS)]);
	openings.n--;
	p.at[part_of(EVIDENCE_OPENINGS)] = join(&r->cx, &openings);
	ARE(resigned(r, &p).wrong, "event 5 and what follows is missing");
}

static void
a_changed_event_signed_again_is_found(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	char *text = arena_dup(r->cx.mem, text_of(&r->cx, p.at[part_of(EVIDENCE_EVENTS)]));
	char *verb = strstr(text, "shape.create");

	assert_non_null(verb);
	*verb = 'S';
	p.at[part_of(EVIDENCE_EVENTS)] = bytes_of(text);
	ARE(resigned(r, &p).wrong,
	    "the events are not those of the log's tree of 6 events: one or more were changed, "
	    "removed, added or moved");
}

static void
an_event_that_is_not_canonical_is_found(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	char *text = arena_dup(r->cx.mem, text_of(&r->cx, p.at[part_of(EVIDENCE_EVENTS)]));

	p.at[part_of(EVIDENCE_EVENTS)] = bytes_of(arena_printf(r->cx.mem, "{ %s", text + 1));
	ARE(resigned(r, &p).wrong, "event 1 is not canonical JSON of an event");
}

static void
a_value_that_is_another_is_found(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	char *text = arena_dup(r->cx.mem, text_of(&r->cx, p.at[part_of(EVIDENCE_OPENINGS)]));
	char *value = strstr(text, "mia@ops");

	assert_non_null(value);
	memcpy(value, "leo", 3);
	p.at[part_of(EVIDENCE_OPENINGS)] = bytes_of(text);
	ARE(resigned(r, &p).wrong,
	    "the value at \"actor\" of event 2 is not the one that was recorded");
}

static void
a_page_that_says_something_else_is_found(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	char *text = arena_dup(r->cx.mem, text_of(&r->cx, p.at[part_of(EVIDENCE_PAGE)]));
	char *said = strstr(text, "A secret was read");

	assert_non_null(said);
	memcpy(said, "No", 2);
	p.at[part_of(EVIDENCE_PAGE)] = bytes_of(text);
	ARE(resigned(r, &p).wrong, "\"page.html\" does not say what the events say");
}

static void
a_page_of_another_version_is_not_called_proven(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	Bytes *facts = &p.at[part_of(EVIDENCE_FACTS)];
	EvidenceFacts f;

	ok(&r->cx, evidence_facts_read(&r->cx, *facts, &f));
	f.version = "99.0";
	*facts = bytes_of(evidence_facts_text(r->cx.mem, &f));
	Verdict v = resigned(r, &p);
	assert_true(v.sound && v.trusted);
	assert_string_equal(v.not_proven.at[v.not_proven.n - 1],
	    "that \"page.html\" says what the events say: version 99.0 made it, and this is " COPYHOLD_VERSION);
}

static void
a_period_that_is_stretched_is_not_called_proven(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	Bytes *facts = &p.at[part_of(EVIDENCE_FACTS)];
	EvidenceFacts f;

	ok(&r->cx, evidence_facts_read(&r->cx, *facts, &f));
	f.since = 0;
	*facts = bytes_of(evidence_facts_text(r->cx.mem, &f));
	assert_string_equal(
	    resigned(r, &p).wrong.at[0], "1 events before the first of the file are missing");
	f.since = ms("2026-01-01T12:00:00Z");
	*facts = bytes_of(evidence_facts_text(r->cx.mem, &f));
	assert_string_equal(
	    resigned(r, &p).not_proven.at[0], "that no event of the period stands before event 1");
}

/* --- hostile members ------------------------------------------------------------------------- */

static void
members_that_are_malformed_are_named(void **state)
{
	static const struct {
		const char *name, *text, *wrong;
	} cases[] = {
		{ EVIDENCE_KEYS, "", "\"keys\" is malformed" },
		{ EVIDENCE_KEYS, "x\n", "this is no verifier key of Ed25519 or of a cosigner" },
		{ EVIDENCE_PROOF, "", "\"proof\" is malformed" },
		{ EVIDENCE_PROOF, "copyhold proof/1\no\ntree 1\nevents 2 1\nleft 0\nright 0\n",
		    "\"proof\" is malformed" },
		{ EVIDENCE_FACTS, "{}", "\"export.json\" is malformed" },
		{ EVIDENCE_FACTS, "{}\n", "\"export.json\" is malformed" },
		{ EVIDENCE_OPENINGS, "{}\n", "\"openings.jsonl\" is malformed" },
		{ EVIDENCE_OPENINGS, "{", "\"openings.jsonl\" ends in the middle of a line" },
		{ EVIDENCE_EVENTS, "\n", "event 1 is not canonical JSON of an event" },
		{ EVIDENCE_EVENTS, "{\"at\":1}", "\"events.jsonl\" ends in the middle of a line" },
		{ EVIDENCE_EVENTS, "",
		    "\"openings.jsonl\" has a value of event 1, which is not there" },
	};
	Room *r = *state;
	Parts p = exported(r);

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Parts changed = p;
		changed.at[part_of(cases[i].name)] = bytes_of(cases[i].text);
		ARE(resigned(r, &changed).wrong, cases[i].wrong);
	}
}

static void
lines_longer_than_an_event_are_refused(void **state)
{
	Room *r = *state;
	Parts p = exported(r);
	char *text = arena_alloc(r->cx.mem, 70000);

	memset(text, 'x', 69998);
	text[69998] = '\n';
	p.at[part_of(EVIDENCE_EVENTS)] = bytes_of(text);
	ARE(resigned(r, &p).wrong, "\"events.jsonl\" has a line of more than 65535 bytes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, acme_setup, acme_teardown)
		T(a_file_put_together_again_is_the_same),
		T(an_event_left_out_and_signed_again_is_found),
		T(a_changed_event_signed_again_is_found),
		T(an_event_that_is_not_canonical_is_found),
		T(a_value_that_is_another_is_found),
		T(a_page_that_says_something_else_is_found),
		T(a_page_of_another_version_is_not_called_proven),
		T(a_period_that_is_stretched_is_not_called_proven),
		T(members_that_are_malformed_are_named),
		T(lines_longer_than_an_event_are_refused),
	};

	return cmocka_run_group_tests_name("evidence_forged", tests, NULL, NULL);
}

#include "tests/unit/compliance/evidence_room.h"

#include <dirent.h>

static const Sql CLOSE = { "close", "UPDATE log SET closed = 1 WHERE id = ?1", 1 };
static const Sql OLD_FORM = { "old_form", "UPDATE event SET bytes = ?2 WHERE log_index = ?1", 2 };
static const Sql NAMES = { "names", "SELECT value FROM opening WHERE subject = ?1", 1 };

#define AS_MADE    "the file is as it was made: nothing was changed, added or taken away"
#define LOG_SAID   "the log said at 2026-02-01T00:00:00Z that this was its state"
#define PAGE_SAYS  "\"page.html\" says what the events say"
#define NO_WITNESS "that nobody was shown another history: no policy with witnesses was given"

/* --- what holds ------------------------------------------------------------------------ */

static void
a_whole_log_is_proven_with_its_key(void **state)
{
	Room *r = *state;
	EvidenceMade made;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, &made);
	NoteKey key = key_of(r, "acme");
	Verdict v = verified(&r->cx, path, &key, NULL);

	assert_true(v.sound && v.trusted);
	assert_int_equal(v.first, 0);
	assert_int_equal(v.events, 6);
	assert_int_equal(v.size, 6);
	assert_int_equal(made.events, 6);
	assert_string_equal(v.origin, key.name);
	assert_string_equal(v.key, note_key_text(r->cx.mem, &key));
	assert_int_equal(v.signed_at, ms("2026-02-01") / 1000);
	ARE(v.proven, AS_MADE,
	    "events 0 to 5 stand in the log's tree of 6 events, unchanged and in order",
	    "these are all events of the log", "9 personal values are those that were recorded",
	    LOG_SAID, PAGE_SAYS);
	ARE(v.not_proven, NO_WITNESS);
	assert_int_equal(v.wrong.n, 0);
}

static void
a_period_is_proven_by_its_neighbours(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip",
	    (EvidenceAsk){ .tenant = "acme", .since = ms("2026-01-02"), .until = ms("2026-01-04") },
	    NULL);
	NoteKey key = key_of(r, "acme");
	Verdict v = verified(&r->cx, path, &key, NULL);

	assert_true(v.sound && v.trusted);
	assert_int_equal(v.first, 0);
	assert_int_equal(v.events, 4);
	ARE(v.proven, AS_MADE,
	    "events 0 to 3 stand in the log's tree of 6 events, unchanged and in order",
	    "no event from 2026-01-02T00:00:00.000Z to 2026-01-04T00:00:00.000Z is missing",
	    "6 personal values are those that were recorded", LOG_SAID, PAGE_SAYS);
}

static void
a_period_without_events_is_proven_to_be_empty(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip",
	    (EvidenceAsk){ .tenant = "acme",
		.since = ms("2026-01-03T06:00:00Z"),
		.until = ms("2026-01-03T18:00:00Z") },
	    NULL);
	NoteKey key = key_of(r, "acme");
	Verdict v = verified(&r->cx, path, &key, NULL);

	assert_true(v.sound && v.trusted);
	assert_int_equal(v.first, 2);
	assert_int_equal(v.events, 2);
	assert_string_equal(v.proven.at[2],
	    "no event from 2026-01-03T06:00:00.000Z to 2026-01-03T18:00:00.000Z is missing");
}

static void
what_lies_before_the_first_event_and_after_the_last_is_proven_too(void **state)
{
	Room *r = *state;
	char *early = export_to(
	    r, "early.zip", (EvidenceAsk){ .tenant = "acme", .until = ms("2020-01-01") }, NULL);
	char *late = export_to(
	    r, "late.zip", (EvidenceAsk){ .tenant = "acme", .since = ms("2030-01-01") }, NULL);
	NoteKey key = key_of(r, "acme");
	Verdict v = verified(&r->cx, early, &key, NULL);

	assert_true(v.sound && v.trusted);
	assert_int_equal(v.events, 1);
	assert_string_equal(
	    v.proven.at[1], "event 0 stands in the log's tree of 6 events, unchanged");
	assert_string_equal(
	    v.proven.at[2], "no event from the beginning to 2020-01-01T00:00:00.000Z is missing");
	v = verified(&r->cx, late, &key, NULL);
	assert_true(v.sound && v.trusted);
	assert_int_equal(v.first, 6);
	assert_int_equal(v.events, 1);
	assert_string_equal(
	    v.proven.at[2], "no event from 2030-01-01T00:00:00.000Z to the end is missing");
}

/* Every shape of what is left and right of the events. */
static void
any_part_of_a_longer_log_is_proven(void **state)
{
	Room *r = *state;

	for (int i = 0; i < 40; i++)
		tell_at(r, arena_printf(r->cx.mem, "2026-01-06T00:%02d:00Z", i), "acme",
		    "secret.read", "lin@ops", NULL);
	setenv("COPYHOLD_NOW", arena_printf(r->cx.mem, "%lld", (long long)ms("2026-02-01")), 1);
	for (int i = 0; i < 26; i++) {
		Ctx cx = ctx_new(r->cx.mem);
		EvidenceAsk ask = { .tenant = "acme",
			.since = ms(arena_printf(cx.mem, "2026-01-06T00:%02d:00Z", i)),
			.until = ms(arena_printf(cx.mem, "2026-01-06T00:%02d:00Z", 40 - i / 2)) };
		char *path = export_to(r, arena_printf(cx.mem, "%d.zip", i), ask, NULL);
		NoteKey key = key_of(r, "acme");
		Verdict v = verified(&cx, path, &key, NULL);
		assert_true(v.sound && v.trusted);
		assert_int_equal(v.first, 5 + i - 1);
		assert_int_equal(v.events, 40 - i / 2 - i + 2);
		arena_free(cx.mem);
	}
}

static void
stored_and_compressed_files_say_the_same(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme", .stored = true }, NULL);
	NoteKey key = key_of(r, "acme");

	assert_true(verified(&r->cx, path, &key, NULL).trusted);
}

static void
the_vendors_log_has_its_own_evidence(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ 0 }, NULL);
	NoteKey key = key_of(r, NULL);
	Verdict v = verified(&r->cx, path, &key, NULL);

	assert_true(v.sound && v.trusted);
	assert_int_equal(v.events, 3);
}

static void
an_export_is_the_last_event_of_its_log(void **state)
{
	Room *r = *state;
	char *path = export_to(
	    r, "e.zip", (EvidenceAsk){ .tenant = "acme", .since = ms("2026-01-05") }, NULL);
	Parts p = take_apart(&r->cx, path);
	Texts lines = split(&r->cx, p.at[part_of(EVIDENCE_EVENTS)]);
	Js *e;

	ok(&r->cx, js_parse(&r->cx, lines.at[lines.n - 1], strlen(lines.at[lines.n - 1]), &e));
	assert_string_equal(js_get_text(e, "verb"), "audit.export");
	assert_string_equal(js_get_text(e, "object"), "tenant/acme");
	assert_string_equal(js_get_text(e, "after"), "2026-01-05T00:00:00.000Z/..");
}

static void
an_existing_file_is_not_replaced_and_nothing_is_told(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	EvidenceMade made;
	Log log;

	refused(&r->cx,
	    evidence_export(&r->cx, r->home, &(EvidenceAsk){ .tenant = "acme" }, path, &made),
	    FAIL_EXISTS, arena_printf(r->cx.mem, "\"%s\" is there already", path));
	ok(&r->cx, log_of(&r->cx, r->home, "acme", &log));
	assert_int_equal(log.next, 6);
}

/* --- whose word ------------------------------------------------------------------------- */

static void
without_a_key_nobody_vouches(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	Verdict v = verified(&r->cx, path, NULL, NULL);

	assert_true(v.sound);
	assert_false(v.trusted);
	ARE(v.not_proven, NO_WITNESS,
	    "that the key is the log's: no key was given to compare it with");
}

static void
another_key_of_the_same_name_is_found(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	const char *origin = key_of(r, "acme").name;
	NoteKey other = made_signer(&r->cx, origin, KEY_ED25519, 7).key;
	Verdict v = verified(&r->cx, path, &other, NULL);

	assert_false(v.sound || v.trusted);
	ARE(v.wrong,
	    arena_printf(
		r->cx.mem, "the file was made with another key than that of log \"%s\"", origin));
	assert_int_equal(v.proven.n, 0);
}

static void
the_key_of_another_log_does_not_do(void **state)
{
	Room *r = *state;
	char *path = export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	NoteKey vendor = key_of(r, NULL);
	Verdict v = verified(&r->cx, path, &vendor, NULL);

	assert_false(v.sound || v.trusted);
	ARE(v.wrong,
	    arena_printf(r->cx.mem, "the file is of log \"%s\", whose key was not given",
		key_of(r, "acme").name));
}

typedef struct Witnessed {
	char *path;
	NoteKey log;
	NoteSigner witness;
} Witnessed;

/* A closed log has the checkpoint that it has: a witness has signed it by hand. */
static Witnessed
witnessed(Room *r, bool known)
{
	Witnessed w = { .witness = made_signer(&r->cx, "witness.example/1", KEY_COSIGNATURE, 3) };
	Log log;

	export_to(r, "first.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	w.log = key_of(r, "acme");
	cosign(r, "acme", &w.witness, ms("2026-02-02") / 1000);
	ok(&r->cx, log_of(&r->cx, r->home, "acme", &log));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &CLOSE, "i", log.id));
	if (known)
		ok(&r->cx,
		    witness_remember(&r->cx, r->home, "http://127.0.0.1:9", &w.witness.key, NULL));
	w.path = export_to(r, "e.zip", (EvidenceAsk){ .origin = log.origin }, NULL);
	return w;
}

static Policy *
policy_of(Room *r, const NoteKey *log, const NoteKey *witness, const char *rest)
{
	Policy *p;
	char *text = arena_printf(r->cx.mem, "log %s\nwitness w %s\n%s",
	    note_key_text(r->cx.mem, log), note_key_text(r->cx.mem, witness), rest);

	ok(&r->cx, policy_read(&r->cx, "policy", text, strlen(text), &p));
	return p;
}

static void
a_policy_with_its_witness_is_fulfilled(void **state)
{
	Room *r = *state;
	Witnessed w = witnessed(r, true);
	Verdict v = verified(
	    &r->cx, w.path, NULL, policy_of(r, &w.log, &w.witness.key, "quorum w\n"));

	assert_true(v.sound && v.trusted);
	ARE(v.proven, AS_MADE,
	    "events 0 to 5 stand in the log's tree of 6 events, unchanged and in order",
	    "these are all events of the log", "9 personal values are those that were recorded",
	    LOG_SAID, "witness \"w\" has cosigned this state of the log",
	    "the witnesses that the policy asks for were shown this history and no other, between "
	    "2026-02-02T00:00:00Z and 2026-02-02T00:00:00Z",
	    PAGE_SAYS);
	assert_int_equal(v.not_proven.n, 0);
	const char *page = text_of(&r->cx, take_apart(&r->cx, w.path).at[part_of(EVIDENCE_PAGE)]);
	assert_non_null(
	    strstr(page, "witness <bdi>witness.example/1</bdi>, on 2026-02-02 00:00:00 UTC"));
}

static void
a_policy_whose_witness_is_missing_is_not_fulfilled(void **state)
{
	Room *r = *state;
	Witnessed w = witnessed(r, true);
	NoteKey other = made_signer(&r->cx, "elsewhere", KEY_COSIGNATURE, 9).key;
	Verdict v = verified(&r->cx, w.path, NULL, policy_of(r, &w.log, &other, "quorum w\n"));

	assert_true(v.sound);
	assert_false(v.trusted);
	ARE(v.not_proven,
	    "that nobody was shown another history: fewer witnesses have cosigned than the policy "
	    "asks for");
}

static void
a_policy_that_asks_for_no_witness_says_so(void **state)
{
	Room *r = *state;
	Witnessed w = witnessed(r, true);
	Verdict v = verified(
	    &r->cx, w.path, NULL, policy_of(r, &w.log, &w.witness.key, "quorum none\n"));

	assert_true(v.sound && v.trusted);
}

static void
witnesses_without_a_policy_are_named_as_unproven(void **state)
{
	Room *r = *state;
	Witnessed w = witnessed(r, true);
	Verdict v = verified(&r->cx, w.path, &w.log, NULL);

	assert_true(v.sound && v.trusted);
	ARE(v.not_proven, NO_WITNESS,
	    "that \"witness.example/1\", which cosigned at 2026-02-02T00:00:00Z, is a witness to "
	    "rely on");
}

static void
a_signature_without_a_key_is_told_of_on_the_page(void **state)
{
	Room *r = *state;
	Witnessed w = witnessed(r, false);

	assert_true(verified(&r->cx, w.path, &w.log, NULL).trusted);
	assert_non_null(
	    strstr(text_of(&r->cx, take_apart(&r->cx, w.path).at[part_of(EVIDENCE_PAGE)]),
		"1 further signature under the log's state: this file has no key for it."));
}

static void
a_key_that_is_not_the_policys_is_refused(void **state)
{
	Room *r = *state;
	Witnessed w = witnessed(r, true);
	NoteKey other = made_signer(&r->cx, w.log.name, KEY_ED25519, 7).key;
	Verdict v = verified(
	    &r->cx, w.path, &other, policy_of(r, &w.log, &w.witness.key, "quorum w\n"));

	assert_false(v.sound);
	ARE(v.wrong, "the key that was given is not the one of the policy");
}

/* --- personal values -------------------------------------------------------------------- */

static void
erased_values_leave_every_proof_valid(void **state)
{
	Room *r = *state;
	char *before = export_to(r, "before.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	EvidenceErased e;
	int64_t n;

	ok(&r->cx, evidence_count(&r->cx, r->home, "acme", "actor:mia@ops", &n));
	assert_int_equal(n, 3);
	ok(&r->cx, evidence_erase(&r->cx, r->home, "acme", "actor:mia@ops", &e));
	assert_int_equal(e.values, 3);
	assert_int_equal(e.logs, 1);
	assert_int_equal(e.plain, 0);
	assert_true(e.settled);
	char *after = export_to(r, "after.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	NoteKey key = key_of(r, "acme");
	Verdict v = verified(&r->cx, after, &key, NULL);
	assert_true(v.sound && v.trusted);
	assert_string_equal(v.proven.at[3], "8 personal values are those that were recorded");
	assert_string_equal(v.not_proven.at[0], "what 3 personal values were: they are erased");
	assert_true(verified(&r->cx, before, &key, NULL).trusted);
	Parts p = take_apart(&r->cx, after);
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++)
		assert_null(strstr(text_of(&r->cx, p.at[i]), "mia@ops"));
	assert_non_null(strstr(text_of(&r->cx, p.at[part_of(EVIDENCE_PAGE)]), "<em>erased</em>"));
}

static bool
file_has(Ctx *cx, const char *path, const char *what)
{
	char *text;
	size_t n;

	ok(cx, file_read(cx, path, 64 << 20, &text, &n));
	return memmem(text, n, what, strlen(what)) != NULL;
}

static void
erased_values_are_gone_from_every_file_of_the_home(void **state)
{
	Room *r = *state;
	const char *files[] = { "catalog.db", "catalog.db-wal" };
	EvidenceErased e;
	int had = 0;

	for (size_t i = 0; i < LENGTH(files); i++)
		had += file_has(
		    &r->cx, arena_printf(r->cx.mem, "%s/%s", r->home_dir, files[i]), "mia@ops");
	assert_true(had > 0);
	ok(&r->cx, evidence_erase(&r->cx, r->home, NULL, "actor:mia@ops", &e));
	assert_true(e.settled);
	for (size_t i = 0; i < LENGTH(files); i++)
		assert_false(file_has(
		    &r->cx, arena_printf(r->cx.mem, "%s/%s", r->home_dir, files[i]), "mia@ops"));
}

static void
an_erasure_in_every_log_is_told_of_in_each_without_the_name(void **state)
{
	Room *r = *state;
	EvidenceErased e;
	LiteRows *rows;

	ok(&r->cx, evidence_erase(&r->cx, r->home, NULL, "actor:lin@ops", &e));
	assert_int_equal(e.logs, 2);
	assert_int_equal(e.values, 7);
	ok(&r->cx, lite_query(&r->cx, r->home->db, &NAMES, &rows, "t", "actor:lin@ops"));
	assert_false(lite_next(rows));
	ok(&r->cx, lite_end(&r->cx, rows));
	char *path = export_to(r, "e.zip", (EvidenceAsk){ 0 }, NULL);
	const char *events = text_of(&r->cx, take_apart(&r->cx, path).at[part_of(EVIDENCE_EVENTS)]);
	assert_non_null(strstr(events, "\"after\":\"2 values\""));
	assert_non_null(strstr(events, "\"verb\":\"audit.erase\""));
	assert_null(strstr(events, "lin@ops"));
}

static void
nobody_to_erase_is_no_event(void **state)
{
	Room *r = *state;
	EvidenceErased e;
	Log log;

	ok(&r->cx, evidence_erase(&r->cx, r->home, "acme", "actor:nobody", &e));
	assert_int_equal(e.values, 0);
	ok(&r->cx, log_of(&r->cx, r->home, "acme", &log));
	assert_int_equal(log.next, 5);
}

static void
events_of_the_old_form_are_counted_as_not_erasable(void **state)
{
	static const char old[] = "{\"actor\":\"lin@ops\",\"at\":1767225600000,\"verb\":\"x.y\"}";
	Room *r = *state;
	EvidenceErased e;

	ok(&r->cx, lite_do(&r->cx, r->home->db, &OLD_FORM, "ib", (int64_t)1, bytes_of(old)));
	ok(&r->cx, evidence_erase(&r->cx, r->home, NULL, "actor:lin@ops", &e));
	assert_int_equal(e.plain, 2);
}

static void
an_export_without_values_names_nobody(void **state)
{
	Room *r = *state;

	r->home->reason = "canary reason";
	char *path = export_to(
	    r, "e.zip", (EvidenceAsk){ .tenant = "acme", .no_values = true }, NULL);
	NoteKey key = key_of(r, "acme");
	Verdict v = verified(&r->cx, path, &key, NULL);
	Parts p = take_apart(&r->cx, path);

	assert_true(v.sound && v.trusted);
	assert_string_equal(
	    v.not_proven.at[0], "what 10 personal values were: they are not in the file");
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++) {
		assert_null(strstr(text_of(&r->cx, p.at[i]), "@ops"));
		assert_null(strstr(text_of(&r->cx, p.at[i]), "@desk"));
		assert_null(strstr(text_of(&r->cx, p.at[i]), "canary"));
	}
	assert_non_null(
	    strstr(text_of(&r->cx, p.at[part_of(EVIDENCE_PAGE)]), "<em>not included</em>"));
}

/* --- the page ------------------------------------------------------------------------------ */

static void
hostile_values_stay_text_on_the_page(void **state)
{
	Room *r = *state;

	add_tenant(r, "evil", "\xE2\x80\xAE</title><script>alert(1)</script>\xD8\xB4\xE5\x8C\x97");
	tell_at(r, "2026-01-01", "evil", "tenant.register", "\"><img src=x onerror=alert(1)>",
	    "a\x01\xE2\x81\xA6'&amp;\xC2\x85");
	const char *page = text_of(&r->cx,
	    take_apart(&r->cx, export_to(r, "e.zip", (EvidenceAsk){ .tenant = "evil" }, NULL))
		.at[part_of(EVIDENCE_PAGE)]);
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "<img"));
	assert_null(strstr(page, "\xE2\x80\xAE"));
	assert_non_null(strstr(page,
	    "<bdi>\xEF\xBF\xBD&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\xD8\xB4\xE5\x8C"
	    "\x97</bdi>"));
	assert_non_null(strstr(page, "<bdi>&quot;&gt;&lt;img src=x onerror=alert(1)&gt;</bdi>"));
	assert_non_null(
	    strstr(page, "<bdi>a\xEF\xBF\xBD\xEF\xBF\xBD&#39;&amp;amp;\xEF\xBF\xBD</bdi>"));
}

static void
the_page_loads_nothing_and_runs_nothing(void **state)
{
	Room *r = *state;
	const char *page = text_of(&r->cx,
	    take_apart(&r->cx, export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, NULL))
		.at[part_of(EVIDENCE_PAGE)]);

	assert_non_null(strstr(page, "content=\"default-src 'none'; style-src 'unsafe-inline'\""));
	assert_null(strstr(page, "http:"));
	assert_null(strstr(page, "https:"));
	assert_null(strstr(page, "src="));
	assert_null(strstr(page, "href="));
	assert_null(strstr(page, "url("));
	assert_non_null(strstr(page, "The database of tenant acme was made."));
	assert_non_null(strstr(page, "because: <bdi>support</bdi>"));
	assert_non_null(strstr(page, "<dt>From</dt><dd>the beginning of the log</dd>"));
}

/* --- around it ---------------------------------------------------------------------- */

static void
a_missing_file_is_an_error_and_no_verdict(void **state)
{
	Room *r = *state;
	EvidenceTrust trust = { 0 };
	Verdict v;

	refused(&r->cx, evidence_verify(&r->cx, "/nowhere/e.zip", &trust, &v), FAIL_SYSTEM,
	    "cannot open \"/nowhere/e.zip\"");
}

static void
an_export_leaves_nothing_in_the_home(void **state)
{
	Room *r = *state;
	DIR *d;

	export_to(r, "e.zip", (EvidenceAsk){ .tenant = "acme" }, NULL);
	d = opendir(arena_printf(r->cx.mem, "%s/run", r->home_dir));
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		assert_null(strstr(e->d_name, "spool"));
	closedir(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, acme_setup, acme_teardown)
		T(a_whole_log_is_proven_with_its_key),
		T(a_period_is_proven_by_its_neighbours),
		T(a_period_without_events_is_proven_to_be_empty),
		T(what_lies_before_the_first_event_and_after_the_last_is_proven_too),
		T(any_part_of_a_longer_log_is_proven),
		T(stored_and_compressed_files_say_the_same),
		T(the_vendors_log_has_its_own_evidence),
		T(an_export_is_the_last_event_of_its_log),
		T(an_existing_file_is_not_replaced_and_nothing_is_told),
		T(without_a_key_nobody_vouches),
		T(another_key_of_the_same_name_is_found),
		T(the_key_of_another_log_does_not_do),
		T(a_policy_with_its_witness_is_fulfilled),
		T(a_policy_whose_witness_is_missing_is_not_fulfilled),
		T(a_policy_that_asks_for_no_witness_says_so),
		T(witnesses_without_a_policy_are_named_as_unproven),
		T(a_signature_without_a_key_is_told_of_on_the_page),
		T(a_key_that_is_not_the_policys_is_refused),
		T(erased_values_leave_every_proof_valid),
		T(erased_values_are_gone_from_every_file_of_the_home),
		T(an_erasure_in_every_log_is_told_of_in_each_without_the_name),
		T(nobody_to_erase_is_no_event),
		T(events_of_the_old_form_are_counted_as_not_erasable),
		T(an_export_without_values_names_nobody),
		T(hostile_values_stay_text_on_the_page),
		T(the_page_loads_nothing_and_runs_nothing),
		T(a_missing_file_is_an_error_and_no_verdict),
		T(an_export_leaves_nothing_in_the_home),
	};

	return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}

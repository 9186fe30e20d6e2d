/*
 * The page of an evidence file, drawn from texts in memory.
 */
#include "compliance/audit/page.h"
#include "tests/unit/core/room.h"

typedef struct Text {
	const char *at;
	size_t left;
} Text;

static bool
read_text(Ctx *cx, void *ptr, void *out, size_t max, size_t *got)
{
	Text *t = ptr;

	(void)cx;
	*got = t->left < max ? t->left : max;
	memcpy(out, t->at, *got);
	t->at += *got;
	t->left -= *got;
	return true;
}

static bool
keep(Ctx *cx, void *buf, const void *bytes, size_t n)
{
	(void)cx;
	buf_addn(buf, bytes, n);
	return true;
}

typedef struct Sheet {
	Ctx cx;
	EvidenceFacts facts;
	EvidenceProof proof;
	EvidenceTally tally;
	EvidenceSigners signers;
	NoteKey key;
	Text events, openings;
} Sheet;

static EvidenceWalk *
walk(Sheet *s)
{
	Text *copies = arena_alloc(s->cx.mem, 2 * sizeof *copies);

	copies[0] = s->events;
	copies[1] = s->openings;
	return evidence_walk(s->cx.mem, (LinesFrom){ read_text, &copies[0] },
	    (LinesFrom){ read_text, &copies[1] }, s->proof.left.end);
}

static const char *
drawn(Sheet *s, const char *events, uint64_t n)
{
	Buf *page = arena_alloc(s->cx.mem, sizeof *page);
	const EvidenceEvent *e;
	PageFrom from = { &s->facts, &s->proof, &s->tally, &s->signers, &s->key, NULL };

	*page = buf_new(s->cx.mem);
	s->events = (Text){ events, strlen(events) };
	s->proof.right.begin = s->proof.left.end + n;
	s->proof.size = s->proof.right.begin;
	EvidenceWalk *w = walk(s);
	do {
		ok(&s->cx, evidence_next(&s->cx, w, &e));
		if (e)
			evidence_tally(s->cx.mem, &s->facts, &s->proof, e, &s->tally);
	} while (e);
	from.walk = walk(s);
	ok(&s->cx, page_write(&s->cx, &from, (PageTo){ keep, page }));
	assert_false(page->full);
	return page->text;
}

static int
setup(void **state)
{
	Ctx cx = ctx_new(NULL);
	Sheet *s = arena_alloc(cx.mem, sizeof *s);

	s->cx = cx;
	s->facts = (EvidenceFacts){
		.origin = "copyhold/x/y", .version = "1", .tenant = "acme", .values = true
	};
	s->proof.origin = s->facts.origin;
	s->openings.at = "";
	s->key = note_key("copyhold/x/y", KEY_ED25519, (const unsigned char[32]){ 9 });
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Sheet *)*state)->cx.mem);
	return 0;
}

static size_t
times(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static void
a_long_log_is_told_up_to_a_limit_that_is_named(void **state)
{
	Sheet *s = *state;
	Buf b = buf_new(s->cx.mem);

	for (int i = 0; i < PAGE_EVENTS + 5; i++)
		buf_add(&b,
		    "{\"at\":1767225600000,\"object\":\"tenant/acme\",\"outcome\":\"ok\","
		    "\"verb\":\"route.open\"}\n");
	const char *page = drawn(s, b.text, PAGE_EVENTS + 5);
	assert_int_equal(
	    times(page, "The route to the database of tenant acme was opened."), PAGE_EVENTS);
	assert_non_null(strstr(page,
	    "This page tells the first 10,000 of 10,005 events; all of "
	    "them are in <code>events.jsonl</code>."));
	assert_non_null(strstr(page, "<td class=\"n\">10,005</td>"));
	assert_non_null(strstr(page, "<h3>2026-01-01</h3>"));
	assert_int_equal(times(page, "<ol>"), 1);
	assert_int_equal(times(page, "</ol>"), 1);
}

static void
no_event_is_a_page_too(void **state)
{
	const char *page = drawn(*state, "", 0);

	assert_non_null(strstr(page, "<p class=\"lead\">0 events, as recorded"));
	assert_non_null(strstr(page, "The log has no event in the period."));
	assert_non_null(strstr(page, "<p>None.</p>"));
	assert_null(strstr(page, "class=\"kinds\""));
}

static void
one_event_is_not_told_in_the_plural(void **state)
{
	const char *page = drawn(*state, "{\"at\":0,\"verb\":\"home.backup\"}\n", 1);

	assert_non_null(strstr(page, "<p class=\"lead\">1 event, as recorded"));
	assert_non_null(strstr(page, "<h3>1970-01-01</h3>"));
}

/* What no version of ours writes is shown as what it is, and breaks nothing. */
static void
odd_events_are_shown_all_the_same(void **state)
{
	static const char events[] =
	    "{\"at\":-5}\n"
	    "{\"at\":9223372036854775807,\"verb\":7}\n"
	    "{\"actor\":[1],\"at\":1,\"object\":{\"a\":1},\"outcome\":\"ok\","
	    "\"reason\":{\"commit\":\"x\"},\"run\":\"z\",\"verb\":\"no.such\"}\n";
	const char *page = drawn(*state, events, 3);

	assert_non_null(strstr(page, "<h3>no date"));
	assert_non_null(strstr(page, "&quot;-&quot;: - (-)."));
	assert_non_null(strstr(page, "&quot;no.such&quot;: - (ok)."));
	assert_non_null(strstr(page, "unknown to this version"));
	assert_int_equal(times(page, "<li>") + times(page, "<li "), 3 + 3);
	assert_int_equal(times(page, "<ol>"), times(page, "</ol>"));
}

static void
verbs_beyond_a_limit_are_counted_together(void **state)
{
	Sheet *s = *state;
	Buf b = buf_new(s->cx.mem);

	for (int i = 0; i < 300; i++)
		buf_fmt(&b, "{\"at\":1767225600000,\"verb\":\"v%d\"}\n", i);
	const char *page = drawn(s, b.text, 300);
	assert_non_null(strstr(page, "<tr><td>others</td><td></td><td class=\"n\">44</td></tr>"));
}

static void
a_witness_whose_time_is_absurd_breaks_nothing(void **state)
{
	Sheet *s = *state;
	EvidenceSigner w = { "<w>", INT64_MAX };

	s->signers.at = &w;
	s->signers.n = 1;
	const char *page = drawn(s, "", 0);
	assert_non_null(strstr(page, "witness <bdi>&lt;w&gt;</bdi>, on -1 ms"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(a_long_log_is_told_up_to_a_limit_that_is_named),
		T(no_event_is_a_page_too),
		T(one_event_is_not_told_in_the_plural),
		T(odd_events_are_shown_all_the_same),
		T(verbs_beyond_a_limit_are_counted_together),
		T(a_witness_whose_time_is_absurd_breaks_nothing),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}

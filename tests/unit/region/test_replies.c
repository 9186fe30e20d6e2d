#include "region/gateway/replies.h"

#include <string.h>

#include "tests/unit/region/backend.h"
#include "tests/unit/unit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/*
 * A play is words of what happens, in order:
 *	>P	the client sends Parse (so >Q, >d ...)
 *	+P	the gateway sends it for itself
 *	=P	the gateway will answer it
 *	!P	the client sends it, and the server will pass over it (with whose of >)
 *	<1	the server says ParseComplete and it is passed on
 *	-1	... and it is swallowed
 *	#1	... and it is a violation
 *	*P	now it is our turn to answer a Parse
 *	~PBE	the message before took these away
 *	.	nothing is owed: the connection may change hands
 *	:	something is
 *	?	in doubt
 */
typedef struct Play {
	const char *name, *text;
} Play;

typedef struct Lost {
	char at[64];
	size_t n;
} Lost;

static void
count_lost(void *ptr, const Owed *o)
{
	Lost *l = ptr;

	if (l->n + 1 < sizeof l->at)
		l->at[l->n++] = o->asked;
}

static bool
send_it(Replies *q, char how, char type)
{
	ReplyWhose whose = how == '+' ? REPLY_OURS : how == '=' ? REPLY_MADE : REPLY_CLIENTS;

	return replies_sent(q, type, whose, 7) == (how != '!');
}

static bool
comes(Replies *q, char how, char type, Lost *lost)
{
	ReplyDo todo = how == '<' ? REPLY_PASS : how == '-' ? REPLY_SWALLOW : REPLY_VIOLATION;

	memset(lost, 0, sizeof *lost);
	return replies_came(q, type, count_lost, lost).todo == todo;
}

static bool
one_word(Replies *q, const char *word, size_t n, Lost *lost)
{
	Owed made;

	switch (word[0]) {
	case '>':
	case '+':
	case '=':
	case '!':
		return n == 2 && send_it(q, word[0], word[1]);
	case '<':
	case '-':
	case '#':
		return n == 2 && comes(q, word[0], word[1], lost);
	case '*':
		return n == 2 && replies_made(q, &made) && made.asked == word[1] && made.about == 7;
	case '~':
		return lost->n == n - 1 && memcmp(lost->at, word + 1, n - 1) == 0;
	case '.':
		return replies_quiet(q) && q->n == 0;
	case ':':
		return !replies_quiet(q) && !q->doubtful;
	case '?':
		return !replies_quiet(q) && q->doubtful;
	default:
		return false;
	}
}

/* Each play with a ring that begins at each of its places. */
static void
play(const Play *plays, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t at = 0; at < 24; at++) {
			Owed room[24];
			Lost lost = { .n = 0 };
			Replies q;
			replies_init(&q, room, LENGTH(room));
			q.first = at;
			const char *word = plays[i].text;
			for (size_t len; *word; word += len + (word[len] == ' ')) {
				len = strcspn(word, " ");
				if (one_word(&q, word, len, &lost))
					continue;
				print_error("%s: not so at \"%s\"\n", plays[i].name, word);
				assert_true(false);
			}
		}
}

static void
each_message_is_ended_by_its_answer(void **state)
{
	static const Play plays[] = {
		{ "nothing", "." },
		{ "a query", ">Q : <T <D <D <C : <Z ." },
		{ "an empty query", ">Q <I <Z ." },
		{ "several statements", ">Q <T <D <C <C <T <C <Z ." },
		{ "a query that fails", ">Q <E : <Z ." },
		{ "a query that fails late", ">Q <T <D <D <E <Z ." },
		{ "queries in a row", ">Q >Q <C <Z : <E <Z ." },
		{ "extended", ">P >B >D >E >S <1 <2 <T <D <C <Z ." },
		{ "a statement described", ">P >D >S <1 <t <T <Z ." },
		{ "without rows", ">P >D >B >E >S <1 <t <n <2 <C <Z ." },
		{ "suspended", ">B >E >H <2 <D <s : >E >S <D <C <Z ." },
		{ "an empty statement", ">P >B >E >S <1 <2 <I <Z ." },
		{ "closed", ">C >S <3 <Z ." },
		{ "flush owes nothing", ">H . >X ." },
		{ "a call", ">F : <V : <Z ." },
		{ "a call that fails", ">F <E <Z ." },
		{ "not synced yet", ">P >H <1 : >B >E <2 <C : >S : <Z ." },
		{ "a query syncs, too", ">P <1 : >Q <C <Z ." },
		{ "syncs in a row", ">S >S <Z : <Z ." },
		{ "a query between", ">P >B >E >Q >S <1 <2 <C <C <Z : <Z ." },
		{ "at any time", "<S <A <N . >Q <N <S <T <A <D <S <C <N <Z <S ." },
		{ "commit fails", ">P >B >E >S <1 <2 <C <E : <Z ." },
	};

	(void)state;
	play(plays, LENGTH(plays));
}

static void
an_error_ends_what_was_asked_up_to_the_next_sync(void **state)
{
	static const Play plays[] = {
		{ "parse", ">P >B >D >E >S <E ~PBDE : <Z ." },
		{ "bind", ">P >B >D >E >S <1 <E ~BDE <Z ." },
		{ "describe", ">D >E >S <t <E ~DE <Z ." },
		{ "execute", ">B >E >S <2 <D <E ~E <Z ." },
		{ "close", ">C >S <E ~C <Z ." },
		{ "only up to the sync", ">P >S >P >E >S <E ~P <Z <1 <C <Z ." },
		{ "a query and a call are passed over", ">P >Q >F >S >Q <E ~PQF <Z <C <Z ." },
		{ "no sync yet", ">P >B <E ~PB : !E !Q !F !H !P >S <Z ." },
		{ "flushed", ">P >H >B <1 >E <E ~BE : !C >S : <Z >P >S <1 <Z ." },
		{ "an error in a query is over with it", ">Q <E >P >S <Z <1 <Z ." },
		{ "the sync's own error skips nothing", ">E >S <C <E >P >S <Z <1 <Z ." },
		{ "copy messages astray while skipping", ">P <E !d !c !f >S <Z ." },
	};

	(void)state;
	play(plays, LENGTH(plays));
}

static void
what_we_asked_is_swallowed(void **state)
{
	static const Play plays[] = {
		{ "a query", "+Q -T -D -C -N <S -Z ." },
		{ "one that fails", "+Q -E -Z ." },
		{ "before the client's", "+Q >Q -C -Z <C <Z ." },
		{ "a parse before a bind", "+P >B >E >S -1 <2 <C <Z ." },
		{ "a parse that fails", "+P >B >E >S <E ~PBE <Z ." },
		{ "a parse that fails before its sync", "+P >B <E ~PB !E >S <Z ." },
		{ "all ours", "+C +P +S -3 -1 -Z ." },
		{ "all ours, failing", "+P +S >Q -E ~P -Z <C <Z ." },
		{ "the client's fails before our sync", ">P +S <E ~P -Z ." },
	};

	(void)state;
	play(plays, LENGTH(plays));
}

static void
what_was_never_sent_is_said_in_its_turn(void **state)
{
	static const Play plays[] = {
		{ "at once", "=P : *P ." },
		{ "behind others", ">P >B =P =C >E >S <1 <2 *P *C <C <Z ." },
		{ "lost with an error", ">P =P >B >S <E ~PPB <Z ." },
		{ "not in the next round", ">P >S =P >B >S <E ~P <Z *P <2 <Z ." },
		{ "nothing while skipping", ">P <E >S =P <Z *P ." },
		{ "a refused query", ">Q =Q >Q <C <Z *Q <C <Z ." },
		{ "a whole round", "=P =S *P *S ." },
	};
	Owed room[24], made;
	Replies q;

	(void)state;
	play(plays, LENGTH(plays));
	replies_init(&q, room, LENGTH(room));
	assert_false(replies_made(&q, &made));
	assert_true(replies_sent(&q, 'P', REPLY_CLIENTS, 1));
	replies_came(&q, 'E', NULL, NULL);
	assert_false(replies_sent(&q, 'P', REPLY_MADE, 2)); /* an error stands: say nothing */
	assert_false(replies_sent(&q, 'S', REPLY_MADE, 2)); /* the server needs a real one */
	assert_true(q.skipping);
}

static void
copy_is_followed_both_ways(void **state)
{
	static const Play plays[] = {
		{ "out", ">Q <H <d <d <c <C <Z ." },
		{ "out that fails", ">Q <H <d <E <Z ." },
		{ "out, extended", ">P >B >E >S <1 <2 <H <d <c <C <Z ." },
		{ "out, extended, failing", ">B >E >S <2 <H <d <E ~E <Z ." },
		{ "in", ">Q <G : >d >d >c <C : <Z ." },
		{ "in, sent blindly", ">Q >d >c <G <C <Z ." },
		{ "in, given up", ">Q <G >d >f <E <Z ." },
		{ "in that fails", ">Q <G >d <E >d >c : <Z ." },
		{ "in that fails before it begins", ">Q >d >c >Q <E <Z <C <Z ." },
		{ "in and in", ">Q <G >d >c <C <G >d >c <C <Z ." },
		{ "in and in, blindly", ">Q >d >c >d >c >Q <G <C <G <C <Z <C <Z ." },
		{ "in between", ">Q <T <D <C <G >c <C <T <C <Z ." },
		{ "flush in it", ">Q <G >H >d >H >c <C <Z ." },
		{ "sync in it owes nothing", ">Q <G >d >S >d >c <C <Z ." },
		{ "sync behind it does", ">Q <G >c >S <C <Z : <Z ." },
		{ "in, extended", ">P >B >E <1 <2 <G >d >c >S <C <Z ." },
		{ "sync before it began", ">P >B >D >E >S <1 <2 <n <G >d >c >S <C : <Z ." },
		{ "two of them", ">E >S >S <G >d >S >c >S <C <Z ." },
		{ "only a sync that was not heard", ">E >S <G >d >c <C : >S <Z ." },
		{ "only a sync within it", ">E <G >S >c <C : >S <Z ." },
		{ "more behind it", ">E <G >c >S >P <C <Z <1 : >S <Z ." },
		{ "ours behind it", ">E <G >c >S =P >c <C <Z *P ." },
		{ "blindly, with syncs", ">E >S >d >c >S <G <C <Z ." },
		{ "in, extended, failing", ">E <G >d <E ~E !d !c >S <Z ." },
		{ "in, extended, given up", ">E <G >d >f >S <E ~E <Z ." },
		{ "in, extended, failing early", ">B >E >d >c >S <E ~BE <Z ." },
		{ "astray", ">d >c >f . >Q >c >Q <C <Z <C <Z ." },
		{ "astray between", ">P >c >B >E >c >S <1 <2 <G <C <Z ." },
		{ "ours", "+Q -G +d +c -C -Z ." },
	};

	(void)state;
	play(plays, LENGTH(plays));
}

static void
a_copy_that_fails_where_a_sync_may_have_been_heard_is_doubtful(void **state)
{
	static const Play plays[] = {
		{ "extended", ">E >S <G >d <E ~E ? <Z <Z <Z ?" },
		{ "it was heard", ">E >S <G >d >c >S <E ~E ? <Z ? >Q <T <C <Z ?" },
		{ "it was not", ">E >S <G >d >c >S <E ~E ? <Z <Z >P >S <1 <Z ?" },
		{ "query", ">Q <G >S <E ? <Z <Z ?" },
		{ "sync behind CopyDone is certain", ">Q <G >c >S <E : <Z : <Z ." },
		{ "nothing is a violation", ">E >S <G <E ? <1 <V <T <Z <G ?" },
		{ "ours stay ours", ">E >S <G <E <Z +Q -C -Z ?" },
	};
	Owed room[8];
	Replies q;

	(void)state;
	play(plays, LENGTH(plays));
	replies_init(&q, room, LENGTH(room));
	replies_sent(&q, 'E', REPLY_CLIENTS, 1);
	replies_sent(&q, 'S', REPLY_CLIENTS, 1);
	replies_came(&q, 'G', NULL, NULL);
	replies_came(&q, 'E', NULL, NULL);
	for (int i = 0; i < 100; i++) { /* however it goes on, the queue does not fill up */
		assert_true(replies_sent(&q, 'Q', REPLY_CLIENTS, 1));
		replies_came(&q, 'Z', NULL, NULL);
		assert_false(replies_full(&q));
	}
}

static void
what_was_not_asked_is_a_violation(void **state)
{
	static const Play plays[] = {
		{ "a row", "#D" },
		{ "ready", "#Z" },
		{ "ready too soon", ">Q #Z" },
		{ "ready too often", ">Q <C <Z #Z" },
		{ "the end is missing", ">Q <C <T #Z" },
		{ "a login", ">Q #R" },
		{ "a key", ">Q #K" },
		{ "nothing at all", ">Q <C <Z #C" },
		{ "another answer", ">P #2" },
		{ "out of order", ">P >B >S <1 #1" },
		{ "after an error", ">Q <E #C" },
		{ "after the call", ">F <V #V" },
		{ "rows of a bind", ">B #D" },
		{ "described twice", ">D <t #t" },
		{ "suspended query", ">Q #s" },
		{ "data without copy", ">Q #d" },
		{ "rows in copy", ">Q <H #D" },
		{ "rows in copy in", ">Q <G #D" },
		{ "ready in copy", ">Q <H #Z" },
		{ "ready in copy in", ">Q <C <G #Z" },
		{ "copy in copy", ">Q <G #G" },
		{ "copy in copy out", ">Q <H #G" },
		{ "a copy that nobody ended", ">Q <G >d #C" },
		{ "a copy that was given up", ">Q <G >f #C" },
		{ "both ways", ">Q #W" },
		{ "while skipping", ">P <E #1" },
		{ "before our own", "=P #1" },
		{ "zero", ">Q #\x01" },
	};

	(void)state;
	play(plays, LENGTH(plays));
}

static void
a_farewell_is_passed_on_and_the_connection_never_handed_over(void **state)
{
	static const Play plays[] = {
		{ "idle", "<E ~ ?" },
		{ "after an error", ">Q <E <E ?" },
		{ "while skipping", ">P <E <E ?" },
		{ "before our own turn", "=P <E ~ ?" },
	};

	(void)state;
	play(plays, LENGTH(plays));
}

static void
the_answer_tells_what_it_was_to(void **state)
{
	Owed room[24];
	Replies q;

	(void)state;
	replies_init(&q, room, LENGTH(room));
	replies_sent(&q, 'P', REPLY_CLIENTS, 11);
	replies_sent(&q, 'E', REPLY_OURS, 12);
	ReplyTaken t = replies_came(&q, '1', NULL, NULL);
	assert_true(t.ended);
	assert_int_equal(t.entry.asked, 'P');
	assert_int_equal(t.entry.about, 11);
	t = replies_came(&q, 'D', NULL, NULL);
	assert_false(t.ended);
	assert_int_equal(t.entry.about, 12);
	assert_int_equal(t.entry.whose, REPLY_OURS);
	t = replies_came(&q, 'C', NULL, NULL);
	assert_true(t.ended);
	t = replies_came(&q, 'S', NULL, NULL);
	assert_false(t.ended);
	assert_int_equal(t.entry.asked, '\0');
}

static void
the_queue_is_bounded_and_grows(void **state)
{
	Owed small[8], large[32];
	Replies q;

	(void)state;
	replies_init(&q, small, LENGTH(small));
	q.first = 6;
	for (uint32_t i = 0; i < 4; i++) {
		assert_false(replies_full(&q));
		assert_true(replies_sent(&q, 'P', REPLY_CLIENTS, i));
	}
	assert_true(replies_full(&q));
	for (uint32_t i = 4; i < 8; i++) /* the spare ones */
		assert_true(replies_sent(&q, 'P', REPLY_CLIENTS, i));
	replies_grow(&q, large, LENGTH(large));
	assert_false(replies_full(&q));
	assert_true(replies_sent(&q, 'S', REPLY_CLIENTS, 8));
	for (uint32_t i = 0; i < 9; i++)
		assert_int_equal(replies_came(&q, i < 8 ? '1' : 'Z', NULL, NULL).entry.about, i);
	assert_true(replies_quiet(&q));

	replies_init(&q, small, LENGTH(small));
	for (uint32_t i = 0; i < 9; i++) /* one that had no room: nobody may trust this queue */
		assert_true(replies_sent(&q, 'P', REPLY_CLIENTS, i));
	assert_true(q.doubtful);
}

/* Scripts of chance, always the same ones. */
static void
the_queue_agrees_with_a_server_whatever_happens(void **state)
{
	static Backend b;
	uint8_t script[600];
	uint64_t x = 88172645463325252u;
	int sure = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof script; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			script[i] = (uint8_t)(x >> 24);
		}
		const char *wrong = backend_play(&b, script, (size_t)(x >> 20) % sizeof script);
		if (wrong)
			print_error("script %d: %s\n", round, wrong);
		assert_null(wrong);
		sure += !b.gone && !b.q.doubtful;
	}
	assert_in_range(sure, 5000, 20000); /* the others ended in doubt, or with the connection */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_is_ended_by_its_answer),
		cmocka_unit_test(an_error_ends_what_was_asked_up_to_the_next_sync),
		cmocka_unit_test(what_we_asked_is_swallowed),
		cmocka_unit_test(what_was_never_sent_is_said_in_its_turn),
		cmocka_unit_test(copy_is_followed_both_ways),
		cmocka_unit_test(a_copy_that_fails_where_a_sync_may_have_been_heard_is_doubtful),
		cmocka_unit_test(what_was_not_asked_is_a_violation),
		cmocka_unit_test(a_farewell_is_passed_on_and_the_connection_never_handed_over),
		cmocka_unit_test(the_answer_tells_what_it_was_to),
		cmocka_unit_test(the_queue_is_bounded_and_grows),
		cmocka_unit_test(the_queue_agrees_with_a_server_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

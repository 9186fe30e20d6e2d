#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "compliance/audit/policy.h"
#include "lib/base/file.h"
#include "tests/unit/temp.h"

static Ctx cx;

static int
setup(void **state)
{
	(void)state;
	cx = ctx_new(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(cx.mem);
	return 0;
}

/* --- keys, made from a number --------------------------------------------------------- */

static NoteSigner
signer(const char *name, NoteKeyType type, char number)
{
	char bytes[32] = { number };
	Secret seed = secret_new(cx.mem, bytes, sizeof bytes);
	NoteSigner s;

	assert_true(note_signer(&cx, name, type, &seed, &s));
	return s;
}

static const char *
log_key(const char *name, char number)
{
	NoteSigner s = signer(name, KEY_ED25519, number);

	return note_key_text(cx.mem, &s.key);
}

static NoteSigner
witness(int i)
{
	return signer(
	    arena_printf(cx.mem, "witness.example/%d", i), KEY_COSIGNATURE, (char)(i + 1));
}

static const char *
witness_text(int i)
{
	NoteSigner s = witness(i);

	return note_key_text(cx.mem, &s.key);
}

#define LOG "example.com/log"

static Policy *
good(const char *text)
{
	Policy *p = NULL;

	if (!policy_read(&cx, "policy", text, strlen(text), &p))
		print_error("%s\n", fail_text(cx.mem, cx.fail));
	assert_non_null(p);
	return p;
}

static void
bad(const char *text, const char *said)
{
	Policy *p = NULL;

	assert_false(policy_read(&cx, "policy", text, strlen(text), &p));
	assert_null(p);
	assert_string_equal(fail_text(cx.mem, cx.fail), said);
	fail_clear(&cx);
}

/* A checkpoint signed by the log (number 100) and the witnesses whose bit is set, one second apart. */
static Note
checkpoint(const char *origin, unsigned witnesses)
{
	Checkpoint c = { .origin = origin, .size = 1 };
	const char *text = checkpoint_text(cx.mem, &c);
	Note note = { .text = text, .n = strlen(text) };
	NoteSigner log = signer(LOG, KEY_ED25519, 100);

	assert_true(note_sign(&cx, &note, &log, 0));
	for (int i = 0; i < 6; i++) {
		NoteSigner w = witness(i);
		if (witnesses >> i & 1)
			assert_true(note_sign(&cx, &note, &w, 1000 + i));
	}
	return note;
}

static PolicyVerdict
judged(const Policy *p, const Note *note)
{
	PolicyVerdict v;

	policy_judge(cx.mem, p, note, &v);
	return v;
}

/* The example of the specification, with keys in it. */
static const char *
example(void)
{
	return arena_printf(cx.mem,
	    "log %s\n"
	    "\n"
	    "witness X1 %s\n"
	    "witness X2 %s\n"
	    "witness X3 %s\n"
	    "group X-witnesses 2 X1 X2 X3\n"
	    "\n"
	    "witness Y1 %s\n"
	    "witness Y2 %s\n"
	    "witness Y3 %s\n"
	    "group Y-witnesses any Y1 Y2 Y3\n"
	    "\n"
	    "group X-and-Y all X-witnesses Y-witnesses\n"
	    "quorum X-and-Y\n",
	    log_key(LOG, 100), witness_text(0), witness_text(1), witness_text(2), witness_text(3),
	    witness_text(4), witness_text(5));
}

/* --- reading ----------------------------------------------------------------------------- */

static void
the_example_of_the_specification_wants_two_of_x_and_one_of_y(void **state)
{
	Policy *p = good(example());

	(void)state;
	for (unsigned set = 0; set < 64; set++) {
		Note note = checkpoint(LOG, set);
		PolicyVerdict v = judged(p, &note);
		int x = __builtin_popcount(set & 7), y = __builtin_popcount(set >> 3);

		assert_true(v.log);
		assert_int_equal(v.quorum, x >= 2 && y >= 1);
		assert_int_equal(v.witnesses.n, x + y);
		assert_null(v.bad);
	}
}

static void
blanks_tabs_comments_urls_and_any_octet_above_127_are_read(void **state)
{
	const char *text = arena_printf(cx.mem,
	    "  # a comment with \xFF in it\n"
	    "\t log\t%s   https://log.example/ \n"
	    "witness \xE2\x84\xAA %s https://\xFF.example\n"
	    "#quorum none\n"
	    "\n"
	    "quorum \xE2\x84\xAA \n",
	    log_key(LOG, 100), witness_text(0));
	Note with = checkpoint(LOG, 1), without = checkpoint(LOG, 2);
	Policy *p = good(text);

	(void)state;
	assert_true(judged(p, &with).quorum);
	assert_string_equal(judged(p, &with).witnesses.at[0], "\xE2\x84\xAA");
	assert_false(judged(p, &without).quorum);
	bad(arena_printf(cx.mem, "witness K %s\nquorum \xE2\x84\xAA\n", witness_text(0)),
	    "error[input]: \"\xE2\x84\xAA\" is no witness and no group\n"
	    "  where: policy:2:8\n"
	    "  hint:  Define it on a line above, or say none.\n");
}

static void
what_is_not_of_the_form_is_refused_with_its_place(void **state)
{
	const char *w0 = witness_text(0), *w1 = witness_text(1), *l = log_key(LOG, 100);

	(void)state;
	bad("",
	    "error[input]: there is no quorum\n"
	    "  where: policy:1:1\n"
	    "  hint:  Say quorum NAME, or quorum none.\n");
	bad("quorum none",
	    "error[input]: the last line was cut off\n"
	    "  where: policy:1:1\n"
	    "  hint:  End it with a newline if it is whole.\n");
	bad("quorum none\nquorum none\n",
	    "error[input]: \"quorum\" is given twice\n"
	    "  where: policy:2:1\n"
	    "  hint:  Leave one of the two out.\n");
	bad("quorum none \r\n",
	    "error[input]: byte 0d is a control character\n"
	    "  where: policy:1:13\n"
	    "  hint:  Tabs and newlines are the only ones.\n");
	bad("quorum\n",
	    "error[input]: \"quorum\" has the wrong number of words\n"
	    "  where: policy:1:1\n"
	    "  hint:  Write: quorum NAME\n");
	bad("Quorum none\n",
	    "error[input]: \"Quorum\" begins no line\n"
	    "  where: policy:1:1\n"
	    "  hint:  A line begins with log, witness, group, quorum or #.\n");
	bad("log x\nquorum none\n",
	    "error[input]: this is no verifier key of Ed25519 or of a cosigner\n"
	    "  where: policy:1:5\n"
	    "  hint:  A verifier key is NAME+ID+BASE64, as audit status prints it.\n");
	bad(arena_printf(cx.mem, "log %s\nquorum none\n", w0),
	    arena_printf(cx.mem,
		"error[input]: \"%s\" is a key of another type\n"
		"  where: policy:1:5\n"
		"  hint:  A log's key is of type 01 (Ed25519).\n",
		w0));
	bad(arena_printf(cx.mem, "witness a %s\nquorum none\n", l),
	    arena_printf(cx.mem,
		"error[input]: \"%s\" is a key of another type\n"
		"  where: policy:1:11\n"
		"  hint:  A witness's key is of type 04 (cosignature/v1): copyhold audit witness key.\n",
		l));
	bad(arena_printf(cx.mem, "witness none %s\nquorum none\n", w0),
	    "error[input]: \"none\" stands for no quorum\n"
	    "  where: policy:1:9\n"
	    "  hint:  Take another name.\n");
	bad(arena_printf(cx.mem, "witness a %s\nwitness a %s\nquorum a\n", w0, w1),
	    "error[input]: \"a\" is defined twice\n"
	    "  where: policy:2:9\n"
	    "  hint:  Witnesses and groups share their names: take another one.\n");
}

static void
a_group_counts_only_members_that_are_defined_above_it_and_in_no_other(void **state)
{
	const char *two = arena_printf(
	    cx.mem, "witness a %s\nwitness b %s\n", witness_text(0), witness_text(1));

	(void)state;
	bad(arena_printf(cx.mem, "%sgroup g 3 a b\nquorum g\n", two),
	    "error[input]: \"3\" is no threshold of this group\n"
	    "  where: policy:3:9\n"
	    "  hint:  Say any, all, or a number up to that of its members.\n");
	bad(arena_printf(cx.mem, "%sgroup g 0 a b\nquorum g\n", two),
	    "error[input]: \"0\" is no threshold of this group\n"
	    "  where: policy:3:9\n"
	    "  hint:  Say any, all, or a number up to that of its members.\n");
	bad(arena_printf(cx.mem, "%sgroup g 01 a b\nquorum g\n", two),
	    "error[input]: \"01\" is no threshold of this group\n"
	    "  where: policy:3:9\n"
	    "  hint:  Say any, all, or a number up to that of its members.\n");
	bad(arena_printf(cx.mem, "%sgroup g any\nquorum g\n", two),
	    "error[input]: \"group\" has the wrong number of words\n"
	    "  where: policy:3:1\n"
	    "  hint:  Write: group NAME any|all|K NAME...\n");
	bad(arena_printf(cx.mem, "%sgroup g any a a\nquorum g\n", two),
	    "error[input]: \"a\" is a member of a group already\n"
	    "  where: policy:3:15\n"
	    "  hint:  A name is a member once only.\n");
	bad(arena_printf(cx.mem, "%sgroup g any a\ngroup h any a\nquorum h\n", two),
	    "error[input]: \"a\" is a member of a group already\n"
	    "  where: policy:4:13\n"
	    "  hint:  A name is a member once only.\n");
	bad(arena_printf(cx.mem, "%sgroup g any g\nquorum g\n", two),
	    "error[input]: \"g\" is no witness and no group\n"
	    "  where: policy:3:13\n"
	    "  hint:  Define it on a line above.\n");
	bad(arena_printf(cx.mem, "%sgroup g any none\nquorum g\n", two),
	    "error[input]: \"none\" is no witness and no group\n"
	    "  where: policy:3:13\n"
	    "  hint:  Define it on a line above.\n");
	bad(arena_printf(cx.mem, "quorum a\n%s", two),
	    "error[input]: \"a\" is no witness and no group\n"
	    "  where: policy:1:8\n"
	    "  hint:  Define it on a line above, or say none.\n");
}

static void
one_public_key_stands_once_whatever_its_name(void **state)
{
	NoteSigner again = signer("other.example", KEY_COSIGNATURE, 1);
	const char *other = note_key_text(cx.mem, &again.key), *log = log_key("example.com/b", 100);

	(void)state;
	bad(arena_printf(
		cx.mem, "witness a %s\nwitness b %s\nquorum none\n", witness_text(0), other),
	    arena_printf(cx.mem,
		"error[input]: \"%s\" has the public key of another witness\n"
		"  where: policy:2:11\n"
		"  hint:  Leave one of the two out.\n",
		other));
	bad(arena_printf(cx.mem, "log %s\nlog %s\nquorum none\n", log_key(LOG, 100), log),
	    arena_printf(cx.mem,
		"error[input]: \"%s\" has the public key of another log\n"
		"  where: policy:2:5\n"
		"  hint:  Leave one of the two out.\n",
		log));
}

static void
a_policy_of_many_names_is_read_and_one_name_more_is_refused(void **state)
{
	Buf b = buf_new(cx.mem);

	(void)state;
	buf_fmt(&b, "witness w %s\ngroup g0 all w\n", witness_text(0));
	for (int i = 1; i < POLICY_NAMES - 1; i++)
		buf_fmt(&b, "group g%d 1 g%d\n", i, i - 1);
	Note with = checkpoint(LOG, 1), without = checkpoint(LOG, 2);
	Policy *p = good(arena_printf(cx.mem, "%squorum g%d\n", b.text, POLICY_NAMES - 2));
	assert_true(judged(p, &with).quorum);
	assert_false(judged(p, &without).quorum);
	bad(arena_printf(cx.mem, "%sgroup more all g%d\nquorum more\n", b.text, POLICY_NAMES - 2),
	    "error[input]: \"more\" is one too many\n"
	    "  where: policy:1025:7\n"
	    "  hint:  At most 1024 witnesses and groups.\n");
}

static void
a_file_is_named_in_the_failure(void **state)
{
	char *dir;
	Policy *p;

	(void)state;
	assert_true(temp_dir(&cx, &dir));
	const char *path = arena_printf(cx.mem, "%s/policy", dir);
	assert_true(file_write(&cx, path, 0600, "quorum x\n", 9));
	assert_false(policy_load(&cx, path, &p));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    arena_printf(cx.mem,
		"error[input]: \"x\" is no witness and no group\n"
		"  where: %s:1:8\n"
		"  hint:  Define it on a line above, or say none.\n",
		path));
}

/* --- judging ------------------------------------------------------------------------------ */

static void
the_log_counts_only_for_the_origin_that_is_its_name(void **state)
{
	Policy *p = good(arena_printf(cx.mem, "log %s\nquorum none\n", log_key(LOG, 100)));
	Note own = checkpoint(LOG, 0), foreign = checkpoint("example.com/other", 0);
	NoteKey key;

	(void)state;
	assert_true(judged(p, &own).log);
	assert_true(judged(p, &own).quorum);
	assert_false(judged(p, &foreign).log);
	assert_true(policy_log_key(p, LOG, &key));
	assert_string_equal(note_key_text(cx.mem, &key), log_key(LOG, 100));
	assert_false(policy_log_key(p, "example.com/other", &key));
}

static void
a_policy_without_logs_judges_the_witnesses_alone(void **state)
{
	Policy *p = good(arena_printf(cx.mem, "witness a %s\nquorum a\n", witness_text(0)));
	Note note = checkpoint(LOG, 1);
	PolicyVerdict v = judged(p, &note);

	(void)state;
	assert_false(v.log);
	assert_true(v.quorum);
}

static void
the_times_are_those_of_the_valid_cosignatures(void **state)
{
	Policy *p = good(example());
	Note note = checkpoint(LOG, 1 << 1 | 1 << 2 | 1 << 4);
	PolicyVerdict v = judged(p, &note);

	(void)state;
	assert_int_equal(v.oldest, 1001);
	assert_int_equal(v.newest, 1004);
	assert_int_equal(v.witnesses.n, 3);
	assert_string_equal(v.witnesses.at[0], "X2");
	assert_string_equal(v.witnesses.at[1], "X3");
	assert_string_equal(v.witnesses.at[2], "Y2");
}

static void
a_wrong_signature_of_a_known_key_proves_nothing_of_the_note(void **state)
{
	Policy *p = good(example());
	Note note = checkpoint(LOG, 63);

	(void)state;
	for (size_t i = 0; i < note.signatures.n; i++) {
		unsigned char *last = (unsigned char *)(uintptr_t)&note.signatures.at[i]
					  .at.at[note.signatures.at[i].at.n - 1];
		*last ^= 1;
		PolicyVerdict v = judged(p, &note);
		assert_string_equal(v.bad, note.signatures.at[i].name);
		assert_false(v.log);
		assert_false(v.quorum);
		*last ^= 1;
	}
	assert_true(judged(p, &note).quorum);
}

static void
signatures_of_unknown_keys_are_left_aside(void **state)
{
	Policy *p = good(arena_printf(
	    cx.mem, "log %s\nwitness a %s\nquorum a\n", log_key(LOG, 100), witness_text(0)));
	Note note = checkpoint(LOG, 1 << 1);
	NoteSigner same_name = signer("witness.example/0", KEY_COSIGNATURE, 77);

	(void)state;
	assert_true(note_sign(&cx, &note, &same_name, 5));
	PolicyVerdict v = judged(p, &note);
	assert_null(v.bad);
	assert_true(v.log);
	assert_false(v.quorum);
	assert_int_equal(v.witnesses.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_example_of_the_specification_wants_two_of_x_and_one_of_y),
		TEST(blanks_tabs_comments_urls_and_any_octet_above_127_are_read),
		TEST(what_is_not_of_the_form_is_refused_with_its_place),
		TEST(a_group_counts_only_members_that_are_defined_above_it_and_in_no_other),
		TEST(one_public_key_stands_once_whatever_its_name),
		TEST(a_policy_of_many_names_is_read_and_one_name_more_is_refused),
		TEST(a_file_is_named_in_the_failure),
		TEST(the_log_counts_only_for_the_origin_that_is_its_name),
		TEST(a_policy_without_logs_judges_the_witnesses_alone),
		TEST(the_times_are_those_of_the_valid_cosignatures),
		TEST(a_wrong_signature_of_a_known_key_proves_nothing_of_the_note),
		TEST(signatures_of_unknown_keys_are_left_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

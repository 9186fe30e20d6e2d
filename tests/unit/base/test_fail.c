#include <errno.h>

#include "lib/base/fail.h"
#include "tests/unit/unit.h"

static int
setup(void **state)
{
	static Ctx cx;

	cx = ctx_new(NULL);
	*state = &cx;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Ctx *)*state)->mem);
	return 0;
}

static void
fill_example(Ctx *cx)
{
	Place place = { "manifests/quickstart/tenants.yaml", 14, 16 };

	assert_false(fail(cx, FAIL_UNREACHABLE,
	    "Is PostgreSQL running on 10.0.0.1:5432? "
	    "Try: copyhold doctor --cluster bj-1",
	    "connection to \"%s\" refused", "bj-1"));
	assert_false(fail_cause(cx, "%s", "ECONNREFUSED"));
	assert_false(fail_in(cx, "placing tenant \"%s\" (mode %s)", "acme", "shared"));
	assert_false(fail_at(cx, place));
}

static void
the_text_has_every_line(void **state)
{
	Ctx *cx = *state;

	fill_example(cx);
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[cluster-unreachable]: connection to \"bj-1\" refused (ECONNREFUSED)\n"
	    "  while: placing tenant \"acme\" (mode shared)\n"
	    "  where: manifests/quickstart/tenants.yaml:14:16\n"
	    "  hint:  Is PostgreSQL running on 10.0.0.1:5432? Try: copyhold doctor --cluster bj-1\n");
}

static void
lines_without_content_are_left_out(void **state)
{
	Ctx *cx = *state;

	fail(cx, FAIL_EXISTS, NULL, "tenant \"acme\" exists");
	assert_string_equal(
	    fail_text(cx->mem, cx->fail), "error[exists]: tenant \"acme\" exists\n");
}

static void
a_place_without_a_line_is_the_file(void **state)
{
	Ctx *cx = *state;

	fail(cx, FAIL_MANIFEST, NULL, "empty");
	fail_at(cx, (Place){ .file = "a.yaml" });
	assert_string_equal(
	    fail_text(cx->mem, cx->fail), "error[manifest]: empty\n  where: a.yaml\n");
}

static void
frames_stand_innermost_first_and_end_at_eight(void **state)
{
	Ctx *cx = *state;

	fail(cx, FAIL_SYSTEM, NULL, "no");
	for (int i = 1; i <= 10; i++)
		fail_in(cx, "step %d", i);
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[system]: no\n"
	    "  while: step 1\n  while: step 2\n  while: step 3\n  while: step 4\n"
	    "  while: step 5\n  while: step 6\n  while: step 7\n  while: step 8\n");
}

static void
lines_and_escapes_from_outside_stay_inside_their_block(void **state)
{
	Ctx *cx = *state;

	fail(cx, FAIL_SERVER, "First.\nSecond.", "said \"x\nerror[fake]: y\x1B]0;z\"");
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[server-error]: said \"x\n  error[fake]: y?]0;z\"\n"
	    "  hint:  First.\n         Second.\n");
}

static void
the_json_has_every_member(void **state)
{
	Ctx *cx = *state;

	fill_example(cx);
	assert_string_equal(fail_json(cx->mem, cx->fail),
	    "{\"error\":{\"kind\":\"cluster-unreachable\","
	    "\"what\":\"connection to \\\"bj-1\\\" refused\",\"cause\":\"ECONNREFUSED\","
	    "\"while\":[\"placing tenant \\\"acme\\\" (mode shared)\"],"
	    "\"file\":\"manifests/quickstart/tenants.yaml\",\"line\":14,\"column\":16,"
	    "\"hint\":\"Is PostgreSQL running on 10.0.0.1:5432? "
	    "Try: copyhold doctor --cluster bj-1\",\"exit\":4}}");
}

static void
what_is_unknown_is_null_in_json(void **state)
{
	Ctx *cx = *state;

	fail(cx, FAIL_USAGE, NULL, "no");
	assert_string_equal(fail_json(cx->mem, cx->fail),
	    "{\"error\":{\"kind\":\"usage\",\"what\":\"no\",\"cause\":null,\"while\":[],"
	    "\"file\":null,\"line\":null,\"column\":null,\"hint\":null,\"exit\":64}}");
}

static void
the_first_cause_stays(void **state)
{
	Ctx *cx = *state;

	fail(cx, FAIL_TLS, "Hint.", "first");
	fail_cause(cx, "one");
	fail_at(cx, (Place){ "a", 1, 1 });
	fail(cx, FAIL_DATA, NULL, "second");
	fail_errno(cx, ENOENT, NULL, "third");
	fail_cause(cx, "two");
	fail_at(cx, (Place){ "b", 2, 2 });
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[tls]: first (one)\n  where: a:1:1\n  hint:  Hint.\n");
	fail_clear(cx);
	assert_int_equal(cx->fail->kind, FAIL_NONE);
	fail(cx, FAIL_DATA, NULL, "second");
	assert_string_equal(fail_text(cx->mem, cx->fail), "error[data-forbids]: second\n");
}

static void
errno_makes_kind_and_cause(void **state)
{
	static const struct {
		int err;
		const char *text;
	} cases[] = {
		{ ENOSPC, "error[disk-full]: x (ENOSPC)\n" },
		{ EDQUOT, "error[disk-full]: x (EDQUOT)\n" },
		{ EACCES, "error[permission]: x (EACCES)\n" },
		{ EROFS, "error[permission]: x (EROFS)\n" },
		{ ENOENT, "error[system]: x (ENOENT)\n" },
		{ 99999, "error[system]: x (errno 99999)\n" },
	};
	Ctx *cx = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fail_clear(cx);
		fail_errno(cx, cases[i].err, NULL, "x");
		assert_string_equal(fail_text(cx->mem, cx->fail), cases[i].text);
	}
}

static void
a_copy_outlives_its_source(void **state)
{
	Ctx *cx = *state, lane = ctx_new(cx->mem);

	fill_example(&lane);
	const char *text = fail_text(cx->mem, lane.fail);
	fail_copy(cx, &lane);
	arena_free(lane.mem);
	assert_string_equal(fail_text(cx->mem, cx->fail), text);
}

static void
every_kind_has_a_name_a_doc_and_an_exit_code(void **state)
{
	(void)state;
	for (FailKind k = FAIL_NONE + 1; k < FAIL_KINDS; k++) {
		assert_true(fail_name(k)[0] != '\0');
		assert_true(fail_doc(k)[0] != '\0');
		assert_true(fail_exit(k) != EXIT_DONE);
	}
	assert_int_equal(fail_exit(FAIL_LEASED), 7);
	assert_int_equal(fail_exit(FAIL_UNDECIDABLE), 6);
	assert_int_equal(fail_exit(FAIL_ROLLED_BACK), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_text_has_every_line),
		TEST(lines_without_content_are_left_out),
		TEST(a_place_without_a_line_is_the_file),
		TEST(frames_stand_innermost_first_and_end_at_eight),
		TEST(lines_and_escapes_from_outside_stay_inside_their_block),
		TEST(the_json_has_every_member),
		TEST(what_is_unknown_is_null_in_json),
		TEST(the_first_cause_stays),
		TEST(errno_makes_kind_and_cause),
		TEST(a_copy_outlives_its_source),
		TEST(every_kind_has_a_name_a_doc_and_an_exit_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

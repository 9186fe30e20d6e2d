#include <string.h>

#include "lib/adapters/js.h"
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
canonical_text_has_sorted_keys_and_no_spaces(void **state)
{
	Arena *mem = ((Ctx *)*state)->mem;
	Js *o = js_object(mem), *list = js_array(mem);

	js_push_text(list, "x");
	js_push(list, js_int(mem, -7));
	js_push(list, js_text(mem, NULL));
	js_push(list, js_bool(mem, true));
	js_set(o, "list", list);
	js_set_text(o, "Z", "a \"quoted\"\nline / \xe6\x9d\x8e");
	js_set_int(o, "n", INT64_MAX);
	js_set_bool(o, "a", false);
	js_set_text(o, "none", NULL);
	assert_string_equal(js_canonical(mem, o),
	    "{\"Z\":\"a \\\"quoted\\\"\\nline / "
	    "\xe6\x9d\x8e\",\"a\":false,\"list\":[\"x\",-7,null,true],"
	    "\"n\":9223372036854775807,\"none\":null}");
}

static void
pretty_text_keeps_the_order_of_insertion(void **state)
{
	Arena *mem = ((Ctx *)*state)->mem;
	Js *o = js_object(mem);

	js_set_int(o, "b", 1);
	js_set(o, "a", js_array(mem));
	js_set_int(o, "b", 2);
	assert_string_equal(js_pretty(mem, o), "{\n  \"b\": 2,\n  \"a\": []\n}\n");
	assert_string_equal(js_key_at(o, 0), "b");
	assert_string_equal(js_key_at(o, 1), "a");
	assert_null(js_key_at(o, 2));
}

static void
text_that_is_no_utf8_is_replaced(void **state)
{
	Arena *mem = ((Ctx *)*state)->mem;
	Js *o = js_object(mem);

	js_set_text(o, "a", "x\xff\xc3y\xe6\x9d");
	js_set_text(o, "k\x80", "v");
	assert_string_equal(js_canonical(mem, o),
	    "{\"a\":\"x\xef\xbf\xbd\xef\xbf\xbdy\xef\xbf\xbd"
	    "\xef\xbf\xbd\",\"k\xef\xbf\xbd\":\"v\"}");
}

static void
members_are_read_by_type(void **state)
{
	Ctx *cx = *state;
	static const char text[] = "{\"t\":\"x\",\"n\":5,\"b\":true,\"l\":[1,2],\"z\":null}";
	Js *o = NULL;

	assert_true(js_parse(cx, text, strlen(text), &o));
	assert_string_equal(js_get_text(o, "t"), "x");
	assert_null(js_get_text(o, "n"));
	assert_null(js_get_text(o, "z"));
	assert_int_equal(js_get_int(o, "n", -1), 5);
	assert_int_equal(js_get_int(o, "t", -1), -1);
	assert_true(js_get_bool(o, "b", false));
	assert_true(js_get_bool(o, "missing", true));
	assert_int_equal(js_count(o), 5);
	assert_int_equal(js_count(js_get(o, "l")), 2);
	assert_null(js_at(js_get(o, "l"), 2));
	assert_null(js_get(js_get(o, "l"), "x"));
	assert_null(js_get(NULL, "x"));
	assert_int_equal(js_count(NULL), 0);
	assert_string_equal(js_value_text(js_get(o, "t")), "x");
}

static void
bad_json_is_refused_without_quoting_it(void **state)
{
	Ctx *cx = *state;
	static const struct {
		const char *text, *what;
	} cases[] = {
		{ "", "not valid JSON: unexpected token, line 1" },
		{ "{\"a\":1} x", "not valid JSON: end of file expected, line 1" },
		{ "{\"a\":1,\n\"a\":2}",
		    "not valid JSON: a key stands twice in an object, line 2" },
		{ "{\"secret\": hunter2}", "not valid JSON: invalid token, line 1" },
		{ "[\"\\u0000\"]",
		    "not valid JSON: \\u0000 is not allowed without "
		    "JSON_ALLOW_NUL, line 1" },
		{ "[1", "not valid JSON: ']' expected, line 1" },
		{ "[\"\xff\"]", "not valid JSON: unable to decode byte 0xff, line 1" },
		{ "[99999999999999999999]", "not valid JSON: too big integer, line 1" },
	};
	Js *out = NULL;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_false(js_parse(cx, cases[i].text, strlen(cases[i].text), &out));
		assert_string_equal(cx->fail->what, cases[i].what);
		assert_int_equal(cx->fail->kind, FAIL_USAGE);
		fail_clear(cx);
	}
	assert_null(out);
}

static void
depth_is_bounded_before_parsing(void **state)
{
	Ctx *cx = *state;
	char text[2 * (JS_MAX_DEPTH + 1) + 1] = "";
	Js *out = NULL;

	memset(text, '[', JS_MAX_DEPTH + 1);
	memset(text + JS_MAX_DEPTH + 1, ']', JS_MAX_DEPTH + 1);
	assert_false(js_parse(cx, text, strlen(text), &out));
	assert_string_equal(cx->fail->what, "a JSON text is nested deeper than 64");
	fail_clear(cx);
	assert_true(js_parse(cx, text + 1, 2 * JS_MAX_DEPTH, &out));
	assert_true(js_parse(cx, "[\"[[[[{{{{\\\"[\"]", 15, &out));
}

static void
values_live_as_long_as_their_arena(void **state)
{
	Ctx *cx = *state;
	Arena *a = arena_new(cx->mem);
	Js *o = js_object(a);

	for (int i = 0; i < 100; i++) {
		Js *inner = js_object(a);
		js_set_int(inner, "i", i);
		js_set(o, arena_printf(a, "k%d", i % 10), inner);
	}
	assert_int_equal(js_count(o), 10);
	assert_int_equal(js_get_int(js_get(o, "k9"), "i", 0), 99);
	arena_free(a);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(canonical_text_has_sorted_keys_and_no_spaces),
		CASE(pretty_text_keeps_the_order_of_insertion),
		CASE(text_that_is_no_utf8_is_replaced),
		CASE(members_are_read_by_type),
		CASE(bad_json_is_refused_without_quoting_it),
		CASE(depth_is_bounded_before_parsing),
		CASE(values_live_as_long_as_their_arena),
	};

	return cmocka_run_group_tests_name("js", tests, NULL, NULL);
}

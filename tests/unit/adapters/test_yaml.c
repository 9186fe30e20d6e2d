#include <stdio.h>
#include <string.h>

#include "lib/adapters/yaml.h"
#include "lib/base/buf.h"
#include "lib/base/vec.h"
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

static Node **
parse(Ctx *cx, const char *text)
{
	Node **docs = NULL;

	yaml_parse(cx, "m.yaml", text, strlen(text), &docs);
	assert_int_equal(cx->fail->kind, FAIL_NONE);
	return docs;
}

static void
assert_place(Place p, int line, int column)
{
	assert_string_equal(p.file, "m.yaml");
	assert_int_equal(p.line, line);
	assert_int_equal(p.column, column);
}

static void
every_part_knows_its_place(void **state)
{
	const Node *doc = parse(*state,
	    "# note\nkind: Tenant\nspec:\n  name: \xe6\x9d\x8e\xe5\x9b\x9b\n"
	    "  list: [a, 'b']\n")[0];
	const Node *spec = node_get(doc, "spec"), *list = node_get(spec, "list");

	assert_int_equal(doc->kind, NODE_MAP);
	assert_int_equal(doc->count, 2);
	assert_place(doc->place, 2, 1);
	assert_place(spec->key_place, 3, 1);
	assert_place(spec->place, 4, 3);
	assert_place(node_get(spec, "name")->place, 4, 9);
	assert_string_equal(node_get(spec, "name")->text, "\xe6\x9d\x8e\xe5\x9b\x9b");
	assert_int_equal(list->count, 2);
	assert_place(list->first->place, 5, 10);
	assert_place(list->first->next->place, 5, 13);
	assert_null(node_get(doc, "missing"));
	assert_null(node_get(list, "missing"));
	assert_null(node_get(NULL, "missing"));
}

static void
quoted_texts_are_marked_and_nulls_are_told_apart(void **state)
{
	const Node *d = parse(*state,
	    "a: 12\nb: '12'\nc: \"true\"\nd: |\n  block\ne: ~\nf:\ng: null\n"
	    "h: ''\ni: no\nj: {}\nk: []\n")[0];

	assert_false(node_get(d, "a")->quoted);
	assert_true(node_get(d, "b")->quoted);
	assert_true(node_get(d, "c")->quoted);
	assert_true(node_get(d, "d")->quoted);
	assert_string_equal(node_get(d, "d")->text, "block\n");
	assert_int_equal((node_get(d, "e"))->kind, NODE_NULL);
	assert_int_equal(node_get(d, "f")->kind, NODE_NULL);
	assert_int_equal(node_get(d, "g")->kind, NODE_NULL);
	assert_int_equal((node_get(d, "h"))->kind, NODE_TEXT);
	assert_string_equal(node_get(d, "i")->text, "no");
	assert_int_equal((node_get(d, "j"))->kind, NODE_MAP);
	assert_int_equal((node_get(d, "k"))->kind, NODE_LIST);
	assert_int_equal(node_get(d, "k")->count, 0);
}

static void
documents_come_in_order_and_empty_ones_are_left_out(void **state)
{
	Node **docs = parse(*state, "---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n");

	assert_string_equal(docs[0]->first->key, "a");
	assert_string_equal(docs[1]->first->key, "b");
	assert_null(docs[2]);
	assert_null(parse(*state, "")[0]);
	assert_null(parse(*state, "# only a note\n")[0]);
}

static void
a_byte_order_mark_is_skipped(void **state)
{
	const Node *d = parse(*state, "\xef\xbb\xbfname: x\n")[0];

	assert_string_equal(node_get(d, "name")->text, "x");
	assert_place(d->first->key_place, 1, 1);
	assert_string_equal(parse(*state, "\xef\xbb\xbf{\"n\": 1}")[0]->first->text, "1");
}

static void
json_is_read_with_places_and_all_digits(void **state)
{
	const Node *d = parse(*state,
	    " {\n\"a\": 1.50,\n \"\xc3\xa9\": [true, null, \"\\ud83d\\ude00\\n\"],"
	    " \"n\": -0.1E+2, \"o\": {\"s\": \"1\"}}\n")[0];
	const Node *list = node_get(d, "\xc3\xa9");

	assert_place(d->place, 1, 2);
	assert_string_equal(node_get(d, "a")->text, "1.50");
	assert_false(node_get(d, "a")->quoted);
	assert_place(list->key_place, 3, 2);
	assert_place(list->place, 3, 7);
	assert_string_equal(list->first->text, "true");
	assert_int_equal(list->first->next->kind, NODE_NULL);
	assert_string_equal(list->first->next->next->text, "\xf0\x9f\x98\x80\n");
	assert_place(list->first->next->next->place, 3, 20);
	assert_string_equal(node_get(d, "n")->text, "-0.1E+2");
	assert_true(node_get(node_get(d, "o"), "s")->quoted);
}

static const struct {
	const char *text, *what;
	int line, column;
} bad[] = {
	{ "a: 1\nb:\n  c: 2\n  c: 3\n", "key \"c\" stands twice, first in line 3", 4, 3 },
	{ "a: &x 1\n", "anchor \"x\" is not allowed", 1, 4 },
	{ "a: &x [1]\n", "anchor \"x\" is not allowed", 1, 4 },
	{ "&x a: 1\n", "anchor \"x\" is not allowed", 1, 1 },
	{ "a: *x\n", "alias \"x\" is not allowed", 1, 4 },
	{ "a: !!str 1\n", "tag \"tag:yaml.org,2002:str\" is not allowed", 1, 4 },
	{ "a: !own {b: 1}\n", "tag \"!own\" is not allowed", 1, 4 },
	{ "a: ! 1\n", "tag \"!\" is not allowed", 1, 4 },
	{ "%YAML 1.1\n---\na: 1\n", "directives are not allowed", 1, 1 },
	{ "<<: {a: 1}\n", "merge key \"<<\" is not allowed", 1, 1 },
	{ "~: 1\n", "a key is missing", 1, 1 },
	{ "? [a]\n: 1\n", "a key must be a text, not a list", 1, 3 },
	{ "? {a: 1}\n: 1\n", "a key must be a text, not a map", 1, 3 },
	{ "a: b: c\n", "not valid YAML: mapping values are not allowed in this context", 1, 5 },
	{ "a:\n\tb: 1\n", "not valid YAML: found character that cannot start any token", 2, 1 },
	{ "a: [1, 2\n", "not valid YAML: did not find expected ',' or ']'", 2, 1 },
	{ "a: \"open\n", "not valid YAML: found unexpected end of stream", 2, 1 },
	{ "a: \"\\q\"\n", "not valid YAML: found unknown escape character", 1, 5 },
	{ "a: 1\n b: 2\n", "not valid YAML: mapping values are not allowed in this context", 2, 3 },
	{ "a: 1\n- b\n", "not valid YAML: did not find expected key", 2, 1 },
	{ "ok: \xe6\x9d\x8e\nb: x\x01\n", "not valid YAML: control characters are not allowed", 2,
	    5 },
	{ "a: \"\\0\"\n", "a text holds a character that is not allowed", 1, 4 },
	{ "a: \xe6\x9d\x8e\xff\n", "byte 0xff is not valid UTF-8 text", 1, 5 },
	{ "a: \xed\xa0\x80\n", "byte 0xed is not valid UTF-8 text", 1, 4 },
	{ "a: \xe6\x9d", "byte 0xe6 is not valid UTF-8 text", 1, 4 },
	{ "{\"a\": 1, \"a\": 2}", "key \"a\" stands twice, first in line 1", 1, 10 },
	{ "{\"a\": 1,}", "not valid JSON: a key in double quotes is expected", 1, 9 },
	{ "{a: 1}", "not valid JSON: a key in double quotes is expected", 1, 2 },
	{ "{\"a\" 1}", "not valid JSON: a colon is expected after a key", 1, 6 },
	{ "[1 2]", "not valid JSON: a comma or ] is expected", 1, 4 },
	{ "{\"a\": 1", "not valid JSON: a comma or } is expected", 1, 8 },
	{ "[1] 2", "not valid JSON: something follows the document", 1, 5 },
	{ "[\"a", "not valid JSON: a text has no closing quote", 1, 4 },
	{ "[\"a\nb\"]", "not valid JSON: a line break or control character in a text", 1, 4 },
	{ "[\"\\x\"]", "not valid JSON: an escape that is not known", 1, 4 },
	{ "[\"\\u12g4\"]", "not valid JSON: an escape \\u needs four hexadecimal digits", 1, 5 },
	{ "[\"\\u12", "not valid JSON: an escape \\u needs four hexadecimal digits", 1, 5 },
	{ "[\"\\ud800x\"]", "not valid JSON: half of a surrogate pair", 1, 9 },
	{ "[\"\\ud800\\u0041\"]", "not valid JSON: half of a surrogate pair", 1, 15 },
	{ "[\"\\udc00\"]", "not valid JSON: half of a surrogate pair", 1, 9 },
	{ "[\"\\u0000\"]", "not valid JSON: a text holds a NUL character", 1, 9 },
	{ "[01]", "not valid JSON: a value is expected", 1, 4 },
	{ "[1.]", "not valid JSON: a number ends after its point", 1, 4 },
	{ "[1e]", "not valid JSON: a number has no exponent", 1, 4 },
	{ "[-]", "not valid JSON: a value is expected", 1, 3 },
	{ "[nul]", "not valid JSON: a value is expected", 1, 2 },
	{ "[", "not valid JSON: a value is expected", 1, 2 },
};

static void
bad_manifests_are_refused_with_their_place(void **state)
{
	Ctx *cx = *state;

	for (size_t i = 0; i < LENGTH(bad); i++) {
		Node **docs = NULL;
		assert_false(yaml_parse(cx, "m.yaml", bad[i].text, strlen(bad[i].text), &docs));
		assert_string_equal(cx->fail->what, bad[i].what);
		assert_int_equal(cx->fail->kind, FAIL_MANIFEST);
		assert_non_null(cx->fail->hint);
		assert_place(cx->fail->place, bad[i].line, bad[i].column);
		assert_null(docs);
		fail_clear(cx);
	}
}

static void
a_nul_byte_is_found_before_parsing(void **state)
{
	Ctx *cx = *state;
	Node **docs = NULL;

	assert_false(yaml_parse(cx, "m.yaml", "a: 1\nb\0: 2\n", 11, &docs));
	assert_string_equal(cx->fail->what, "byte 0x00 is not valid UTF-8 text");
	assert_place(cx->fail->place, 2, 2);
}

static void
assert_limit(Ctx *cx, const char *text, size_t n, const char *what)
{
	Node **docs = NULL;

	assert_false(yaml_parse(cx, "m.yaml", text, n, &docs));
	assert_string_equal(cx->fail->what, what);
	assert_int_equal(cx->fail->kind, FAIL_LIMIT);
	fail_clear(cx);
}

static void
depth_is_bounded(void **state)
{
	Ctx *cx = *state;
	Buf yaml = buf_new(cx->mem), json = buf_new(cx->mem);

	for (int i = 0; i <= YAML_MAX_DEPTH; i++) {
		buf_add(&yaml, "- ");
		buf_addc(&json, '[');
	}
	assert_limit(cx, yaml.text, yaml.len, "values are nested deeper than 32");
	assert_place(parse(cx, yaml.text + 2)[0]->place, 1, 1);
	assert_limit(cx, json.text, json.len, "values are nested deeper than 32");
}

static void
size_and_number_of_values_are_bounded(void **state)
{
	Ctx *cx = *state;
	Buf json = buf_new(cx->mem), yaml = buf_new(cx->mem);
	char *large = arena_alloc(cx->mem, YAML_MAX_BYTES + 2);

	memset(large, ' ', YAML_MAX_BYTES + 1);
	assert_limit(cx, large, YAML_MAX_BYTES + 1, "a manifest is larger than 16 MiB");
	buf_addc(&json, '[');
	for (int i = 0; i < YAML_MAX_NODES; i++) {
		buf_add(&json, "1,");
		buf_add(&yaml, "- 1\n");
	}
	assert_limit(cx, json.text, json.len, "more than 2000000 values in one file");
	assert_limit(cx, yaml.text, yaml.len, "more than 2000000 values in one file");
}

static void
a_map_of_many_keys_finds_its_duplicate(void **state)
{
	Ctx *cx = *state;
	Buf yaml = buf_new(cx->mem), json = buf_new(cx->mem);
	Node **docs = NULL;

	buf_addc(&json, '{');
	for (int i = 0; i < 1000; i++) {
		buf_fmt(&yaml, "key%d: 1\n", i);
		buf_fmt(&json, "\"key%d\": 1,\n", i);
	}
	assert_int_equal(parse(cx, yaml.text)[0]->count, 1000);
	buf_add(&yaml, "key999: 2\n");
	buf_add(&json, "\"key500\": 2}");
	assert_false(yaml_parse(cx, "m.yaml", yaml.text, yaml.len, &docs));
	assert_string_equal(cx->fail->what, "key \"key999\" stands twice, first in line 1000");
	assert_place(cx->fail->place, 1001, 1);
	fail_clear(cx);
	assert_false(yaml_parse(cx, "m.yaml", json.text, json.len, &docs));
	assert_string_equal(cx->fail->what, "key \"key500\" stands twice, first in line 501");
	assert_place(cx->fail->place, 1001, 1);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(every_part_knows_its_place),
		CASE(quoted_texts_are_marked_and_nulls_are_told_apart),
		CASE(documents_come_in_order_and_empty_ones_are_left_out),
		CASE(a_byte_order_mark_is_skipped),
		CASE(json_is_read_with_places_and_all_digits),
		CASE(bad_manifests_are_refused_with_their_place),
		CASE(a_nul_byte_is_found_before_parsing),
		CASE(depth_is_bounded),
		CASE(size_and_number_of_values_are_bounded),
		CASE(a_map_of_many_keys_finds_its_duplicate),
	};

	return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}

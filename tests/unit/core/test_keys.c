#include <string.h>

#include "lib/adapters/yaml.h"
#include "lib/core/keys.h"
#include "tests/unit/unit.h"

typedef struct Wheel {
	const char *name;
	int64_t spokes;
	Place place;
} Wheel;
typedef struct Wheels {
	const char *side;
	struct {
		Wheel *at;
		size_t n, cap;
	} list;
	Place place;
} Wheels;
typedef struct Lamp {
	const char *colour;
	bool on;
} Lamp;
typedef struct Bike {
	const char *text, *name, *ident, *word, *path, *scalar;
	int64_t gears, big, span;
	bool bell, lock;
	int colour;
	SecretRef code;
	Names tags;
	Lamp lamp;
	struct {
		Wheel *at;
		size_t n, cap;
	} wheels;
	struct {
		Wheels *at;
		size_t n, cap;
	} sides;
	const Node *rest;
	Place place;
} Bike;

/* clang-format off */
static const char *const colours[] = { "", "red", "green", NULL };
static const Key wheel_keys[] = {
	{ KEY_IDENT, "name", offsetof(Wheel, name), .required = true, .doc = "its name" },
	{ KEY_INT, "spokes", offsetof(Wheel, spokes), .min = 3, .max = 48, .fallback = "36",
	  .doc = "how many" },
	{ .type = KEY_END }
};
static const KeyTable wheel = { "wheel", sizeof(Wheel), offsetof(Wheel, place), wheel_keys,
	"What turns" };
static const Key side_keys[] = {
	{ KEY_IDENT, "side", offsetof(Wheels, side), .doc = "which" },
	{ KEY_LIST, "wheels", offsetof(Wheels, list), .table = &wheel, .min = 1, .max = 2,
	  .doc = "its wheels" },
	{ .type = KEY_END }
};
static const KeyTable side = { "side", sizeof(Wheels), offsetof(Wheels, place), side_keys, "A side" };
static const Key lamp_keys[] = {
	{ KEY_TEXT, "colour", offsetof(Lamp, colour), .words = colours, .fallback = "red",
	  .doc = "of its light" },
	{ KEY_BOOL, "on", offsetof(Lamp, on), .fallback = "true", .doc = "whether it is lit" },
	{ .type = KEY_END }
};
static const KeyTable lamp = { "lamp", sizeof(Lamp), -1, lamp_keys, "What shines" };
static const Key bike_keys[] = {
	{ KEY_TEXT, "text", offsetof(Bike, text), .required = true, .max = 5, .doc = "a text" },
	{ KEY_NAME, "name", offsetof(Bike, name), .doc = "a name" },
	{ KEY_IDENT, "ident", offsetof(Bike, ident), .doc = "an identifier" },
	{ KEY_TEXT, "word", offsetof(Bike, word), .words = colours, .doc = "a word" },
	{ KEY_PATH, "path", offsetof(Bike, path), .doc = "a path" },
	{ KEY_SCALAR, "scalar", offsetof(Bike, scalar), .max = 5, .doc = "a scalar" },
	{ KEY_INT, "gears", offsetof(Bike, gears), .required = true, .max = 30, .doc = "a number" },
	{ KEY_INT, "big", offsetof(Bike, big), .doc = "any number" },
	{ KEY_SPAN, "span", offsetof(Bike, span), .min = 1000, .max = 86400000, .fallback = "90s",
	  .doc = "a span" },
	{ KEY_BOOL, "bell", offsetof(Bike, bell), .doc = "a flag" },
	{ KEY_BOOL, "lock", offsetof(Bike, lock), .fallback = "true", .doc = "a flag that is set" },
	{ KEY_ENUM, "colour", offsetof(Bike, colour), .words = colours, .doc = "a choice" },
	{ KEY_SECRET, "code", offsetof(Bike, code), .doc = "a secret" },
	{ KEY_NAMES, "tags", offsetof(Bike, tags), .max = 4, .doc = "some texts" },
	{ KEY_PART, "lamp", offsetof(Bike, lamp), .table = &lamp, .doc = "a part" },
	{ KEY_LIST, "wheels", offsetof(Bike, wheels), .table = &wheel, .doc = "a list" },
	{ KEY_MAP, "sides", offsetof(Bike, sides), .table = &side, .doc = "a map" },
	{ KEY_NODE, "rest", offsetof(Bike, rest), .doc = "anything" },
	{ .type = KEY_END }
};
static const KeyTable bike = { "bike", sizeof(Bike), offsetof(Bike, place), bike_keys, "A bike" };
/* clang-format on */

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

static bool
try_load(Ctx *cx, const char *text, Bike *out)
{
	Node **docs;

	*out = (Bike){ 0 };
	return yaml_parse(cx, "b.yaml", text, strlen(text), &docs) &&
	    keys_load(cx, &bike, docs[0], out);
}

static Bike
load(Ctx *cx, const char *text)
{
	Bike b;
	bool ok = try_load(cx, text, &b);

	if (!ok)
		print_error("%s", fail_text(cx->mem, cx->fail));
	assert_true(ok);
	return b;
}

static const char full[] = "text: äöüßé\nname: a-b\nident: a_b\nword: green\npath: /a/./b\n"
			   "scalar: 1.5\ngears: 0\nbig: -9\nspan: 2h\nbell: true\nlock: false\n"
			   "colour: red\ncode: {secretRef: \"store:a/b\"}\ntags: [x, \"1\"]\n"
			   "lamp: {colour: green, on: false}\n"
			   "wheels:\n  - {name: front}\n  - {name: back, spokes: 3}\n"
			   "sides: {port: [{name: l}], starboard: [{name: r}, {name: s}]}\n"
			   "rest: [1, 2]\n";

static void
every_type_is_loaded(void **state)
{
	const Bike b = load(*state, full);

	assert_string_equal(b.text, "äöüßé");
	assert_string_equal(b.name, "a-b");
	assert_string_equal(b.ident, "a_b");
	assert_string_equal(b.word, "green");
	assert_string_equal(b.path, "/a/b");
	assert_string_equal(b.scalar, "1.5");
	assert_int_equal(b.gears, 0);
	assert_int_equal(b.big, -9);
	assert_int_equal(b.span, 7200000);
	assert_true(b.bell);
	assert_false(b.lock);
	assert_int_equal(b.colour, 1);
	assert_string_equal(b.code.ref, "store:a/b");
	assert_int_equal(b.code.place.line, 13);
	assert_int_equal(b.tags.n, 2);
	assert_string_equal(b.tags.at[1], "1");
	assert_string_equal(b.lamp.colour, "green");
	assert_false(b.lamp.on);
	assert_int_equal(b.rest->count, 2);
}

static void
lists_and_maps_are_loaded_with_their_places(void **state)
{
	const Bike b = load(*state, full);

	assert_int_equal(b.wheels.n, 2);
	assert_string_equal(b.wheels.at[0].name, "front");
	assert_int_equal(b.wheels.at[0].spokes, 36);
	assert_int_equal(b.wheels.at[1].spokes, 3);
	assert_int_equal(b.wheels.at[1].place.line, 18);
	assert_int_equal(b.wheels.at[1].place.column, 5);
	assert_int_equal(b.sides.n, 2);
	assert_string_equal(b.sides.at[1].side, "starboard");
	assert_int_equal(b.sides.at[1].list.n, 2);
	assert_string_equal(b.sides.at[1].list.at[1].name, "s");
	assert_int_equal(b.sides.at[1].place.column, 28);
	assert_string_equal(b.place.file, "b.yaml");
}

static void
what_is_left_out_has_its_default(void **state)
{
	const Bike b = load(*state, "text: a\ngears: 1\n");

	assert_null(b.name);
	assert_int_equal(b.span, 90000);
	assert_true(b.lock);
	assert_false(b.bell);
	assert_string_equal(b.lamp.colour, "red");
	assert_true(b.lamp.on);
	assert_int_equal(b.colour, 0);
	assert_int_equal(b.wheels.n, 0);
	assert_null(b.code.ref);
	assert_null(b.rest);
}

static void
a_dump_has_what_differs_from_the_defaults(void **state)
{
	Ctx *cx = *state;
	Bike b = load(cx, full);

	assert_string_equal(js_canonical(cx->mem, keys_dump(cx->mem, &bike, &b)),
	    "{\"bell\":true,\"big\":-9,\"code\":{\"secretRef\":\"store:a/b\"},\"colour\":\"red\","
	    "\"gears\":0,\"ident\":\"a_b\",\"lamp\":{\"colour\":\"green\",\"on\":false},"
	    "\"lock\":false,\"name\":\"a-b\",\"path\":\"/a/b\",\"scalar\":\"1.5\","
	    "\"sides\":{\"port\":[{\"name\":\"l\"}],\"starboard\":[{\"name\":\"r\"},{\"name\":\"s\"}]},"
	    "\"span\":\"2h\",\"tags\":[\"x\",\"1\"],\"text\":\"äöüßé\","
	    "\"wheels\":[{\"name\":\"front\"},{\"name\":\"back\",\"spokes\":3}],"
	    "\"word\":\"green\"}");
	b = load(cx,
	    "text: a\ngears: 0\nspan: 90s\nlock: true\nlamp: {on: true}\nwheels: []\n"
	    "sides: {}\ntags: []\n");
	assert_string_equal(
	    js_canonical(cx->mem, keys_dump(cx->mem, &bike, &b)), "{\"gears\":0,\"text\":\"a\"}");
}

static void
spans_are_dumped_in_their_largest_unit(void **state)
{
	Ctx *cx = *state;
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "24h", "1d" },
		{ "120m", "2h" },
		{ "60s", "1m" },
		{ "61s", "61s" },
		{ "1500ms", "1500ms" },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Bike b = load(
		    cx, arena_printf(cx->mem, "text: a\ngears: 0\nspan: %s\n", cases[i].in));
		const Js *dump = keys_dump(cx->mem, &bike, &b);

		assert_string_equal(js_get_text(dump, "span"), cases[i].out);
	}
}

/* yaml: what stands after "text: a\ngears: 1\n"; error: its first line and the hint */
static const struct {
	const char *yaml, *what, *hint;
} wrong[] = {
	{ "tex: b", "unknown key \"tex\" in bike", NULL },
	{ "name: [a]", "\"name\" must be a text, not a list", "name: a name." },
	{ "name: {a: b}", "\"name\" must be a text, not a map", "name: a name." },
	{ "name: ~", "\"name\" must be a text, not empty", "name: a name." },
	{ "name: 1e3", "\"name\" must be a text, not a number or boolean", "Put it in quotes." },
	{ "name: -1.5", "\"name\" must be a text, not a number or boolean", "Put it in quotes." },
	{ "word: blue", "\"blue\" is no value of \"word\"", "Known are red, green." },
	{ "word: \"\"", "\"word\" is empty", "word: a word." },
	{ "colour: \"\"", "\"\" is no value of \"colour\"", "Known are red, green." },
	{ "colour: gren", "\"gren\" is no value of \"colour\"",
	    "Did you mean \"green\"? Known are red, green." },
	{ "path: \"a\\u0007\"", "\"path\" holds a control character", "path: a path." },
	{ "path: \"a\\u0085\"", "\"path\" holds a control character", "path: a path." },
	{ "scalar: abcdef", "\"scalar\" is longer than 5 characters", NULL },
	{ "big: 1000000000000000000",
	    "\"big\" is not between -999999999999999999 and 999999999999999999",
	    "big: any number." },
	{ "big: 08", "\"big\" must be a whole number, not a text", "big: any number." },
	{ "big: 1_000", "\"big\" must be a whole number, not a text", "big: any number." },
	{ "big: +1", "\"big\" must be a whole number, not a text", "big: any number." },
	{ "span: 999ms", "\"span\" is too short", "span: a span." },
	{ "span: 2d", "\"span\" is too long", "span: a span." },
	{ "span: -5s", "\"span\" must be a span of time",
	    "Write a number and a unit: 90s, 30m, 12h, 30d." },
	{ "bell: \"true\"", "\"bell\" must be true or false, not a text", "bell: a flag." },
	{ "bell: yes", "\"bell\" must be true or false, not a text", "bell: a flag." },
	{ "tags: [a, b, a]", "\"a\" stands twice in \"tags\"", "Remove one of the two." },
	{ "tags: [abcde]", "\"tags\" is longer than 4 characters", "tags: some texts." },
	{ "tags: [1]", "\"tags\" must be a text, not a number or boolean", "Put it in quotes." },
	{ "tags: x", "\"tags\" must be a list of texts, not a text", "tags: some texts." },
	{ "lamp: []", "\"lamp\" must be a map, not a list", "Known are colour, on." },
	{ "wheels: {}", "\"wheels\" must be a list, not a map", "wheels: a list." },
	{ "wheels: [~]", "\"wheel\" must be a map, not empty", "Known are name, spokes." },
	{ "sides: []", "\"sides\" must be a map, not a list", "sides: a map." },
	{ "sides: {Left: []}", "\"Left\" is not a name", NULL },
	{ "sides: {port: []}", "\"wheels\" is empty", "wheels: its wheels." },
	{ "sides: {port: [{name: a}, {name: b}, {name: c}]}", "\"wheels\" has 3 items, more than 2",
	    NULL },
};

static void
each_wrong_value_is_told(void **state)
{
	Ctx *cx = *state;
	Bike b;

	for (size_t i = 0; i < LENGTH(wrong); i++) {
		assert_false(try_load(
		    cx, arena_printf(cx->mem, "text: a\ngears: 1\n%s\n", wrong[i].yaml), &b));
		assert_int_equal(cx->fail->kind, FAIL_MANIFEST);
		assert_string_equal(cx->fail->what, wrong[i].what);
		assert_int_equal(cx->fail->place.line, 3);
		if (wrong[i].hint != NULL)
			assert_string_equal(cx->fail->hint, wrong[i].hint);
		fail_clear(cx);
	}
	assert_false(try_load(cx, "gears: 1\n", &b));
	assert_string_equal(cx->fail->what, "key \"text\" is missing in bike");
}

static void
references_to_secrets_have_three_forms(void **state)
{
	Ctx *cx = *state;
	static const struct {
		const char *ref, *loaded;
	} cases[] = {
		{ "env:A", "env:A" },
		{ "env:_a1", "env:_a1" },
		{ "file:/a/../b", "file:/b" },
		{ "store:x.y/z_1-2", "store:x.y/z_1-2" },
		{ "env:", NULL },
		{ "env:1A", NULL },
		{ "env:A-B", NULL },
		{ "store:", NULL },
		{ "store:/a", NULL },
		{ "store:a b", NULL },
		{ "file:", NULL },
		{ "vault:a", NULL },
		{ "", NULL },
		{ ":", NULL },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *text = arena_printf(
		    cx->mem, "text: a\ngears: 1\ncode: {secretRef: \"%s\"}\n", cases[i].ref);
		Bike b;
		bool ok = try_load(cx, text, &b);

		assert_int_equal(ok, cases[i].loaded != NULL);
		if (ok)
			assert_string_equal(b.code.ref, cases[i].loaded);
		else
			assert_string_equal(
			    cx->fail->what, "\"code\" is not a reference to a secret");
		fail_clear(cx);
	}
}

static void
the_schema_says_what_the_loader_wants(void **state)
{
	Ctx *cx = *state;

	assert_string_equal(js_canonical(cx->mem, keys_schema(cx->mem, &lamp)),
	    "{\"additionalProperties\":false,\"description\":\"What shines\",\"properties\":"
	    "{\"colour\":{\"default\":\"red\",\"description\":\"of its light\",\"enum\":"
	    "[\"red\",\"green\"]},\"on\":{\"default\":true,\"description\":\"whether it is lit\","
	    "\"type\":\"boolean\"}},\"type\":\"object\"}");
	assert_string_equal(js_canonical(cx->mem, keys_schema(cx->mem, &side)),
	    "{\"additionalProperties\":false,\"description\":\"A side\",\"properties\":{\"side\":"
	    "{\"description\":\"which\",\"pattern\":\"^(?:[a-z][a-z0-9_]{0,47})$\","
	    "\"type\":\"string\"},\"wheels\":{\"description\":\"its wheels\",\"items\":"
	    "{\"additionalProperties\":false,\"description\":\"What turns\",\"properties\":"
	    "{\"name\":{\"description\":\"its name\",\"pattern\":"
	    "\"^(?:[a-z][a-z0-9_]{0,47})$\",\"type\":\"string\"},\"spokes\":{\"default\":36,"
	    "\"description\":\"how many\",\"maximum\":48,\"minimum\":3,\"type\":\"integer\"}},"
	    "\"required\":[\"name\"],\"type\":\"object\"},\"maxItems\":2,\"minItems\":1,"
	    "\"type\":\"array\"}},\"type\":\"object\"}");
	const Js *all = js_get(keys_schema(cx->mem, &bike), "properties");
	assert_string_equal(js_canonical(cx->mem, js_get(all, "tags")),
	    "{\"description\":\"some texts\",\"items\":{\"maxLength\":4,\"minLength\":1,"
	    "\"type\":\"string\"},\"type\":\"array\",\"uniqueItems\":true}");
	assert_string_equal(js_canonical(cx->mem, js_get(all, "scalar")),
	    "{\"description\":\"a scalar\",\"type\":[\"string\",\"number\",\"boolean\"]}");
	assert_string_equal(
	    js_canonical(cx->mem, js_get(all, "rest")), "{\"description\":\"anything\"}");
	assert_string_equal(
	    js_get_text(js_get(all, "span"), "pattern"), "^(?:[0-9]+(ms|s|m|h|d))$");
	assert_int_equal(js_count(js_get(keys_schema(cx->mem, &bike), "required")), 2);
}

static void
the_manual_has_each_table_once(void **state)
{
	Ctx *cx = *state;
	Buf b = buf_new(cx->mem);

	keys_manual(&b, &bike);
	assert_string_equal(b.text,
	    "### bike\n\nA bike.\n\n"
	    "| key | value | default | meaning |\n|---|---|---|---|\n"
	    "| `text` | text, 5 characters at most | required | a text |\n"
	    "| `name` | name: `[a-z][a-z0-9-]{0,39}` |  | a name |\n"
	    "| `ident` | name: `[a-z][a-z0-9_]{0,47}`, not a reserved word of SQL |  | "
	    "an identifier |\n"
	    "| `word` | `red`, `green` |  | a word |\n"
	    "| `path` | path; a relative one counts from the manifest's folder |  | a path |\n"
	    "| `scalar` | text, number or boolean |  | a scalar |\n"
	    "| `gears` | integer, 0 to 30 | required | a number |\n"
	    "| `big` | integer |  | any number |\n"
	    "| `span` | span of time: `90s`, `30m`, `12h`, `30d` | `90s` | a span |\n"
	    "| `bell` | `true` or `false` |  | a flag |\n"
	    "| `lock` | `true` or `false` | `true` | a flag that is set |\n"
	    "| `colour` | `red`, `green` |  | a choice |\n"
	    "| `code` | `{secretRef: \"env:NAME\"}`, `\"file:PATH\"` or `\"store:NAME\"` |  | "
	    "a secret |\n"
	    "| `tags` | list of text, 4 characters at most |  | some texts |\n"
	    "| `lamp` | map: see *lamp* |  | a part |\n"
	    "| `wheels` | list: see *wheel* |  | a list |\n"
	    "| `sides` | map of lists: see *wheel* |  | a map |\n"
	    "| `rest` | as the kind says |  | anything |\n\n"
	    "### lamp\n\nWhat shines.\n\n"
	    "| key | value | default | meaning |\n|---|---|---|---|\n"
	    "| `colour` | `red`, `green` | `red` | of its light |\n"
	    "| `on` | `true` or `false` | `true` | whether it is lit |\n\n"
	    "### wheel\n\nWhat turns.\n\n"
	    "| key | value | default | meaning |\n|---|---|---|---|\n"
	    "| `name` | name: `[a-z][a-z0-9_]{0,47}`, not a reserved word of SQL | required | "
	    "its name |\n"
	    "| `spokes` | integer, 3 to 48 | `36` | how many |\n\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_type_is_loaded),
		TEST(lists_and_maps_are_loaded_with_their_places),
		TEST(what_is_left_out_has_its_default),
		TEST(a_dump_has_what_differs_from_the_defaults),
		TEST(spans_are_dumped_in_their_largest_unit),
		TEST(each_wrong_value_is_told),
		TEST(references_to_secrets_have_three_forms),
		TEST(the_schema_says_what_the_loader_wants),
		TEST(the_manual_has_each_table_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

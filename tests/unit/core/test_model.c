#include <string.h>

#include "lib/core/model.h"
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

static Object *
add_object(Ctx *cx, Model *m, const char *name)
{
	vec_push(cx->mem, &m->objects, ((Object){ .name = name }));
	return &m->objects.at[m->objects.n - 1];
}

static Field *
add_field(Ctx *cx, Object *o, const char *name, FieldType type)
{
	vec_push(cx->mem, &o->fields, ((Field){ .name = name, .type = type }));
	return &o->fields.at[o->fields.n - 1];
}

static void
add_reference(Ctx *cx, Object *o, const char *name, const char *to)
{
	add_field(cx, o, name, TYPE_REFERENCE)->to = to;
}

static void
check(Ctx *cx, Model *m)
{
	bool ok = model_check(cx, m);

	if (!ok)
		print_error("%s", fail_text(cx->mem, cx->fail));
	assert_true(ok);
}

/* --- names ------------------------------------------------------------------- */

static void
names_of_objects_are_what_sql_takes_without_quotes(void **state)
{
	static const struct {
		const char *name, *why;
	} cases[] = {
		{ "a", NULL },
		{ "account_2", NULL },
		{ "x23456789012345678901234567890123456789012345678", NULL },
		{ "x234567890123456789012345678901234567890123456789",
		    "is longer than 48 characters" },
		{ "", "is not a name" },
		{ "2a", "is not a name" },
		{ "_a", "is not a name" },
		{ "Account", "is not a name" },
		{ "a-b", "is not a name" },
		{ "a b", "is not a name" },
		{ "a\"b", "is not a name" },
		{ "a'b", "is not a name" },
		{ "a\n", "is not a name" },
		{ "ä", "is not a name" },
		{ "all", "is a reserved word of SQL" },
		{ "user", "is a reserved word of SQL" },
		{ "with", "is a reserved word of SQL" },
		{ "system_user", "is a reserved word of SQL" },
		{ "left", "is a reserved word of SQL" },
		{ "value", NULL },
		{ "name", NULL },
		{ "pg_class", "begins with \"pg_\", which PostgreSQL keeps for itself" },
		{ "pg", NULL },
		{ "ctid", "is the name of a system column" },
		{ "xmin", "is the name of a system column" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *why = "?";

		assert_int_equal(ident_valid(cases[i].name, &why), cases[i].why == NULL);
		if (cases[i].why == NULL)
			assert_null(why);
		else
			assert_string_equal(why, cases[i].why);
	}
}

static void
names_of_tenants_have_forty_characters_at_most(void **state)
{
	(void)state;
	assert_true(name_valid("a"));
	assert_true(name_valid("acme-2"));
	assert_true(name_valid("x234567890123456789012345678901234567890"));
	assert_false(name_valid("x2345678901234567890123456789012345678901"));
	assert_false(name_valid(""));
	assert_false(name_valid("-a"));
	assert_false(name_valid("2a"));
	assert_false(name_valid("a_b"));
	assert_false(name_valid("A"));
	assert_false(name_valid("a/../b"));
}

static void
words_and_enums_fit_together(void **state)
{
	(void)state;
	assert_string_equal(mode_name(MODE_NONE), "none");
	assert_int_equal(mode_of("shared-by-all"), MODE_NONE);
	for (Mode m = MODE_DEDICATED; m < MODES; m++)
		assert_int_equal(mode_of(mode_name(m)), m);
	assert_string_equal(mode_name(MODE_CUSTOMER_DB), "customer-db");
	assert_string_equal(type_name(TYPE_NONE), "none");
	assert_string_equal(type_name(TYPE_TEXT), "text");
	assert_string_equal(type_name(TYPE_REFERENCE), "reference");
}

static void
names_of_rules_fit_into_63_bytes_and_differ(void **state)
{
	Ctx *cx = *state;
	static const char a[] = "opportunity_of_the_customer_in_the_last_quarter";
	static const char f[] = "a_field_with_a_name_that_is_as_long_as_it_may_be";

	assert_string_equal(rule_name(cx->mem, "account", NULL, "pkey"), "account_pkey");
	assert_string_equal(rule_name(cx->mem, "account", "name", "key"), "account_name_key");
	const char *name = rule_name(cx->mem, a, f, "fkey");
	assert_int_equal(strlen(name), 63);
	assert_string_equal(
	    name, "opportunity_of_the_custome_b3dd6bdc_s_as_long_as_it_may_be_fkey");
	assert_string_not_equal(rule_name(cx->mem, a, f, "idx"), name);
	assert_string_not_equal(
	    rule_name(cx->mem, "opportunity_of_the_customer_in_the_next_quarter", f, "fkey"), name);
	assert_int_equal(strlen(rule_name(cx->mem, "x234567890123456789012345678901",
			     "y234567890123456789012345", "fkey")),
	    62);
}

/* --- defaults ---------------------------------------------------------------- */

static void
defaults_have_one_form_each(void **state)
{
	Ctx *cx = *state;
	static const struct {
		FieldType type;
		int64_t a, b;
		const char *text, *canonical;
	} cases[] = {
		{ TYPE_TEXT, 0, 0, "", "" },
		{ TYPE_TEXT, 2, 0, "äö", "äö" },
		{ TYPE_TEXT, 2, 0, "abc", NULL },
		{ TYPE_TEXT, 0, 0, "now", "now" },
		{ TYPE_INTEGER, 0, 0, "007", "7" },
		{ TYPE_INTEGER, 0, 0, "-0", "0" },
		{ TYPE_INTEGER, 0, 0, "-12", "-12" },
		{ TYPE_INTEGER, 0, 0, "9223372036854775807", "9223372036854775807" },
		{ TYPE_INTEGER, 0, 0, "-9223372036854775808", "-9223372036854775808" },
		{ TYPE_INTEGER, 0, 0, "9223372036854775808", NULL },
		{ TYPE_INTEGER, 0, 0, "-9223372036854775809", NULL },
		{ TYPE_INTEGER, 0, 0, "+1", NULL },
		{ TYPE_INTEGER, 0, 0, "1 ", NULL },
		{ TYPE_INTEGER, 0, 0, "", NULL },
		{ TYPE_INTEGER, 0, 0, "-", NULL },
		{ TYPE_INTEGER, 0, 0, "1e3", NULL },
		{ TYPE_NUMBER, 0, 0, "00.50", "0.5" },
		{ TYPE_NUMBER, 0, 0, "-0.0", "0" },
		{ TYPE_NUMBER, 0, 0, "-0.10", "-0.1" },
		{ TYPE_NUMBER, 0, 0, "123456789012345678901234567890.1",
		    "123456789012345678901234567890.1" },
		{ TYPE_NUMBER, 4, 2, "99.99", "99.99" },
		{ TYPE_NUMBER, 4, 2, "100", NULL },
		{ TYPE_NUMBER, 4, 2, "1.999", NULL },
		{ TYPE_NUMBER, 4, 2, "1.990", "1.99" },
		{ TYPE_NUMBER, 2, 2, "0.99", "0.99" },
		{ TYPE_NUMBER, 2, 2, "1", NULL },
		{ TYPE_NUMBER, 0, 0, "NaN", NULL },
		{ TYPE_NUMBER, 0, 0, ".5", NULL },
		{ TYPE_NUMBER, 0, 0, "5.", NULL },
		{ TYPE_NUMBER, 0, 0, "1.2.3", NULL },
		{ TYPE_BOOLEAN, 0, 0, "true", "true" },
		{ TYPE_BOOLEAN, 0, 0, "True", NULL },
		{ TYPE_BOOLEAN, 0, 0, "on", NULL },
		{ TYPE_DATE, 0, 0, "2024-02-29", "2024-02-29" },
		{ TYPE_DATE, 0, 0, "2000-02-29", "2000-02-29" },
		{ TYPE_DATE, 0, 0, "1900-02-29", NULL },
		{ TYPE_DATE, 0, 0, "2023-02-29", NULL },
		{ TYPE_DATE, 0, 0, "2023-13-01", NULL },
		{ TYPE_DATE, 0, 0, "2023-00-01", NULL },
		{ TYPE_DATE, 0, 0, "0000-01-01", NULL },
		{ TYPE_DATE, 0, 0, "2023-1-1", NULL },
		{ TYPE_DATE, 0, 0, "2023-01-01x", NULL },
		{ TYPE_DATE, 0, 0, "today", "today" },
		{ TYPE_DATE, 0, 0, "now", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "now", "now" },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z" },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01 00:00Z", "2026-01-01T00:00:00Z" },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z" },
		{ TYPE_TIMESTAMP, 0, 0, "2024-02-28T23:30:59.120-00:45",
		    "2024-02-29T00:15:59.12Z" },
		{ TYPE_TIMESTAMP, 0, 0, "2026-03-01T00:00:00.000+00:01", "2026-02-28T23:59:00Z" },
		{ TYPE_TIMESTAMP, 0, 0, "9999-12-31T23:59:59-00:01", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "0001-01-01T00:00:00+00:01", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:00:00", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T24:00:00Z", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:60:00Z", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:00:60Z", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:00:00.Z", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:00:00.1234567Z", NULL },
		{ TYPE_TIMESTAMP, 0, 0, "2026-01-01T00:00:00+16:00", NULL },
		{ TYPE_UUID, 0, 0, "random", "random" },
		{ TYPE_UUID, 0, 0, "0B6E1C3A-AAAA-4000-8000-00000000000F",
		    "0b6e1c3a-aaaa-4000-8000-00000000000f" },
		{ TYPE_UUID, 0, 0, "0b6e1c3aaaaa400080000000000000000f", NULL },
		{ TYPE_UUID, 0, 0, "0b6e1c3a-aaaa-4000-8000-00000000000g", NULL },
		{ TYPE_JSON, 0, 0, " { \"b\" : [1.50, null, true], \"a\" : \"x\\u0041\" } ",
		    "{\"a\":\"xA\",\"b\":[1.50,null,true]}" },
		{ TYPE_JSON, 0, 0, "12345678901234567890.10", "12345678901234567890.10" },
		{ TYPE_JSON, 0, 0, "null", "null" },
		{ TYPE_JSON, 0, 0, "1e9999", NULL },
		{ TYPE_JSON, 0, 0, "{\"a\":1,\"a\":2}", NULL },
		{ TYPE_JSON, 0, 0, "\"\\u0000\"", NULL },
		{ TYPE_JSON, 0, 0, "{} {}", NULL },
		{ TYPE_JSON, 0, 0, "", NULL },
		{ TYPE_BYTES, 0, 0, "\\x", "\\x" },
		{ TYPE_BYTES, 0, 0, "\\xAb01", "\\xab01" },
		{ TYPE_BYTES, 0, 0, "\\xabc", NULL },
		{ TYPE_BYTES, 0, 0, "\\xzz", NULL },
		{ TYPE_BYTES, 0, 0, "ab", NULL },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		bool number = cases[i].type == TYPE_NUMBER;
		const Field f = { .name = "f",
			.type = cases[i].type,
			.max_length = number ? 0 : cases[i].a,
			.precision = number ? cases[i].a : 0,
			.scale = cases[i].b };
		const char *out = NULL;
		bool ok = model_default(cx, &f, cases[i].text, &out);

		if (ok != (cases[i].canonical != NULL))
			print_error("%s %s\n", type_name(f.type), cases[i].text);
		assert_int_equal(ok, cases[i].canonical != NULL);
		if (ok)
			assert_string_equal(out, cases[i].canonical);
		fail_clear(cx);
	}
}

/* --- what is implied ----------------------------------------------------------- */

static void
an_object_without_a_key_gets_an_id_in_front(void **state)
{
	Ctx *cx = *state;
	Model m = { .name = "m" };
	Object *o = add_object(cx, &m, "a");

	add_field(cx, o, "b", TYPE_TEXT);
	check(cx, &m);
	o = &m.objects.at[0];
	assert_int_equal(o->fields.n, 2);
	assert_string_equal(o->fields.at[0].name, "id");
	assert_int_equal(o->fields.at[0].type, TYPE_UUID);
	assert_true(o->fields.at[0].required);
	assert_string_equal(o->fields.at[0].fallback, "random");
	assert_string_equal(o->fields.at[1].name, "b");
	assert_int_equal(o->key.n, 1);
	assert_string_equal(o->key.at[0], "id");
	check(cx, &m);
	assert_int_equal(m.objects.at[0].fields.n, 2);
}

static void
an_id_that_is_there_is_the_key(void **state)
{
	Ctx *cx = *state;
	Model m = { .name = "m" };
	Object *o = add_object(cx, &m, "a");

	add_field(cx, o, "b", TYPE_TEXT);
	add_field(cx, o, "id", TYPE_INTEGER);
	check(cx, &m);
	assert_int_equal(o->fields.n, 2);
	assert_int_equal(object_field(o, "id")->type, TYPE_INTEGER);
	assert_true(object_field(o, "id")->required);
	assert_true(object_key_has(o, "id"));
	assert_false(object_key_has(o, "b"));
}

static void
what_a_key_or_a_unique_rule_implies_is_not_said_twice(void **state)
{
	Ctx *cx = *state;
	Model m = { .name = "m" };
	Object *one = add_object(cx, &m, "one");
	Field *f = add_field(cx, one, "k", TYPE_INTEGER);

	f->unique = f->indexed = true;
	f = add_field(cx, one, "u", TYPE_INTEGER);
	f->unique = f->indexed = true;
	vec_push(cx->mem, &one->key, "k");
	Object *two = add_object(cx, &m, "two");
	f = add_field(cx, two, "a", TYPE_INTEGER);
	f->indexed = true;
	f = add_field(cx, two, "b", TYPE_INTEGER);
	f->unique = f->indexed = true;
	vec_push(cx->mem, &two->key, "a");
	vec_push(cx->mem, &two->key, "b");
	check(cx, &m);
	one = &m.objects.at[0];
	assert_false(object_field(one, "k")->unique);
	assert_false(object_field(one, "k")->indexed);
	assert_true(object_field(one, "u")->unique);
	assert_false(object_field(one, "u")->indexed);
	assert_false(object_field(two, "a")->indexed);
	assert_true(object_field(two, "a")->required);
	assert_true(object_field(two, "b")->unique);
	assert_true(object_field(two, "b")->required);
}

static void
a_reference_has_the_type_at_the_end_of_its_chain(void **state)
{
	Ctx *cx = *state;
	Model m = { .name = "m" };
	Object *o = add_object(cx, &m, "a");
	Field out;

	add_field(cx, o, "code", TYPE_TEXT)->max_length = 12;
	vec_push(cx->mem, &o->key, "code");
	o = add_object(cx, &m, "b");
	add_reference(cx, o, "a", "a");
	vec_push(cx->mem, &o->key, "a");
	o = add_object(cx, &m, "c");
	add_reference(cx, o, "b", "b");
	check(cx, &m);
	const Field *f = object_field(model_object(&m, "c"), "b");
	assert_true(field_resolved(&m, f, &out));
	assert_int_equal(out.type, TYPE_TEXT);
	assert_int_equal(out.max_length, 12);
	assert_string_equal(out.name, "b");
	assert_string_equal(out.to, "b");
	assert_false(field_resolved(
	    &m, &(Field){ .name = "x", .type = TYPE_REFERENCE, .to = "gone" }, &out));
}

static void
limits_are_told(void **state)
{
	Ctx *cx = *state;
	Model wide = { .name = "m" }, many = { .name = "m" };
	Object *o = add_object(cx, &wide, "a");

	for (int i = 0; i < OBJECT_FIELDS_MAX; i++)
		add_field(cx, o, arena_printf(cx->mem, "f%d", i), TYPE_INTEGER);
	assert_false(model_check(cx, &wide));
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[manifest]: \"a\" has 1501 fields, more than 1500\n"
	    "  hint:  Split the object.\n");
	fail_clear(cx);
	for (int i = 0; i < MODEL_OBJECTS_MAX + 1; i++)
		add_object(cx, &many, arena_printf(cx->mem, "o%d", i));
	assert_false(model_check(cx, &many));
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[manifest]: model \"m\" has 501 objects, more than 500\n"
	    "  hint:  Split the model.\n");
	fail_clear(cx);
	many.objects.n--;
	check(cx, &many);
}

/* --- order and canonical form ---------------------------------------------------- */

static void
objects_come_after_those_they_refer_to(void **state)
{
	Ctx *cx = *state;
	static const char *const wanted[] = { "d", "c", "b", "a", "y", "x", "s" };
	Model m = { .name = "m" };
	const Object **order;
	Object *o = add_object(cx, &m, "a");

	add_reference(cx, o, "r1", "b");
	add_reference(cx, o, "r2", "c");
	o = add_object(cx, &m, "b");
	add_reference(cx, o, "r", "c");
	o = add_object(cx, &m, "c");
	add_reference(cx, o, "r", "d");
	add_object(cx, &m, "d");
	o = add_object(cx, &m, "x");
	add_reference(cx, o, "r", "y");
	o = add_object(cx, &m, "y");
	add_reference(cx, o, "r", "x");
	o = add_object(cx, &m, "s");
	add_reference(cx, o, "r", "s");
	check(cx, &m);
	assert_true(model_order(cx, &m, &order));
	for (size_t i = 0; i < LENGTH(wanted); i++)
		assert_string_equal(order[i]->name, wanted[i]);
}

static Tenant
tenant_with_own(Ctx *cx)
{
	Tenant t = { .name = "acme", .model = "m" };
	OwnFields own = { .object = "a" };
	Object o = { .name = "x_tag" };

	vec_push(cx->mem, &own.fields, ((Field){ .name = "x_no", .type = TYPE_INTEGER }));
	vec_push(cx->mem, &t.fields, own);
	add_reference(cx, &o, "a", "a");
	vec_push(cx->mem, &t.objects, o);
	vec_push(cx->mem, &t.drop, "a.x_old");
	vec_push(cx->mem, &t.drop, "gone");
	return t;
}

static void
a_tenant_adds_to_its_model_and_changes_nothing_of_it(void **state)
{
	Ctx *cx = *state;
	Model m = { .name = "m", .version = 3 }, *merged;

	add_field(cx, add_object(cx, &m, "a"), "b", TYPE_TEXT);
	vec_push(cx->mem, &m.drop, "gone");
	check(cx, &m);
	const char *before = model_canonical(cx->mem, &m);
	const Tenant t = tenant_with_own(cx);
	assert_true(model_merge(cx, &m, &t, &merged));
	assert_string_equal(model_canonical(cx->mem, &m), before);
	assert_string_equal(model_canonical(cx->mem, merged),
	    "{\"name\":\"m\",\"objects\":[{\"fields\":[{\"default\":\"random\",\"name\":\"id\","
	    "\"required\":true,\"type\":\"uuid\"},{\"name\":\"b\",\"type\":\"text\"},"
	    "{\"name\":\"x_no\",\"own\":true,\"type\":\"integer\"}],\"key\":[\"id\"],"
	    "\"name\":\"a\"},{\"fields\":[{\"default\":\"random\",\"name\":\"id\",\"own\":true,"
	    "\"required\":true,\"type\":\"uuid\"},{\"name\":\"a\",\"own\":true,\"to\":\"a\","
	    "\"type\":\"reference\"}],\"key\":[\"id\"],\"name\":\"x_tag\",\"own\":true}],"
	    "\"version\":3}");
	assert_int_equal(merged->drop.n, 2);
	assert_string_equal(merged->drop.at[0], "gone");
	assert_string_equal(merged->drop.at[1], "a.x_old");
	assert_int_equal(t.objects.at[0].fields.n, 1);
}

static void
a_shape_comes_back_from_its_canonical_form(void **state)
{
	Ctx *cx = *state;
	Model m = { .name = "m", .version = 3 }, *merged, *back;

	add_field(cx, add_object(cx, &m, "a"), "b", TYPE_TEXT)->max_length = 5;
	check(cx, &m);
	const Tenant t = tenant_with_own(cx);
	assert_true(model_merge(cx, &m, &t, &merged));
	const char *text = model_canonical(cx->mem, merged);
	assert_true(model_from_json(cx, text, &back));
	assert_string_equal(model_canonical(cx->mem, back), text);
	assert_true(model_object(back, "x_tag")->own);
	assert_true(object_field(model_object(back, "a"), "x_no")->own);
	assert_false(object_field(model_object(back, "a"), "b")->own);
	assert_false(model_from_json(cx, "{\"name\":\"m\",\"objects\":[{}]}", &back));
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[manifest]: key \"name\" is missing in object\n"
	    "  while: reading a model from the catalogue\n"
	    "  where: (catalogue):1:24\n"
	    "  hint:  name: name of the object.\n");
}

static void
a_shape_has_spare_fields_under_names_that_no_manifest_can_give(void **state)
{
	static const struct {
		const char *name, *type;
		bool spare, good;
	} cases[] = {
		{ "_text_1", "text", true, true },
		{ "_timestamp_120", "timestamp", true, true },
		{ "city", "text", false, true },
		{ "_text_1", "text", false, false },
		{ "_text_1", "integer", true, false },
		{ "_text_0", "text", true, false },
		{ "_text_", "text", true, false },
		{ "_text_1x", "text", true, false },
		{ "_text", "text", true, false },
		{ "_", "text", true, false },
		{ "city", "text", true, false },
		{ "Table", "text", false, false },
	};
	Ctx *cx = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Ctx own = ctx_new(cx->mem);
		char *text = arena_printf(own.mem,
		    "{\"name\":\"m\",\"objects\":[{\"fields\":[{\"name\":\"%s\",\"spare\":%s,"
		    "\"type\":\"%s\"}],\"name\":\"a\"}]}",
		    cases[i].name, cases[i].spare ? "true" : "false", cases[i].type);
		Model *m;
		assert_int_equal(model_from_json(&own, text, &m), cases[i].good);
		if (cases[i].good)
			assert_int_equal(m->objects.at[0].fields.at[0].spare, cases[i].spare);
		else
			assert_string_equal(own.fail->what,
			    arena_printf(own.mem, "\"%s\" is no name of a field", cases[i].name));
		arena_free(own.mem);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_of_objects_are_what_sql_takes_without_quotes),
		TEST(names_of_tenants_have_forty_characters_at_most),
		TEST(words_and_enums_fit_together),
		TEST(names_of_rules_fit_into_63_bytes_and_differ),
		TEST(defaults_have_one_form_each),
		TEST(an_object_without_a_key_gets_an_id_in_front),
		TEST(an_id_that_is_there_is_the_key),
		TEST(what_a_key_or_a_unique_rule_implies_is_not_said_twice),
		TEST(a_reference_has_the_type_at_the_end_of_its_chain),
		TEST(limits_are_told),
		TEST(objects_come_after_those_they_refer_to),
		TEST(a_tenant_adds_to_its_model_and_changes_nothing_of_it),
		TEST(a_shape_comes_back_from_its_canonical_form),
		TEST(a_shape_has_spare_fields_under_names_that_no_manifest_can_give),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

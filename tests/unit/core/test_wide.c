#include "lib/core/wide.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/core/manifest.h"
#include "tests/unit/core/room.h"

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

#define GROUND \
	"apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: eu}\nspec: {country: DE}\n---\n" \
	"apiVersion: copyhold/v1\nkind: Cluster\nmetadata: {name: eu-1}\n" \
	"spec: {region: eu, connect: {host: h}}\n---\n"

static const char *
crm(Ctx *cx, int version, const char *objects, const char *drop)
{
	return arena_printf(cx->mem,
	    GROUND "apiVersion: copyhold/v1\nkind: Model\nmetadata: {name: crm}\n"
		   "spec:\n  version: %d\n  drop: [%s]\n  objects:\n%s",
	    version, drop, objects);
}

static Manifests *
load(Ctx *cx, const char *text)
{
	Manifests *m;

	ok(cx, manifest_load_text(cx, "m.yaml", text, strlen(text), &m));
	return m;
}

static Model *
model(Ctx *cx, int version, const char *objects)
{
	return map_get(load(cx, crm(cx, version, objects, ""))->models, "crm");
}

#define ACCOUNT(fields) "    - {name: account, fields: [" fields "]}\n"
#define NAME            "{name: name, type: text, maxLength: 80, required: true, unique: true}"
#define CITY            "{name: city, type: text}"
#define SPARES \
	" _text_1 _text_2 _text_3 _text_4 _integer_1 _integer_2 _number_1 _number_2" \
	" _boolean_1 _boolean_2 _date_1 _timestamp_1 _uuid_1 _json_1\n"

static void
field_text(Buf *b, const Object *o, const Field *f)
{
	buf_fmt(b, " %s", f->name);
	if (!f->spare)
		buf_fmt(b, ":%s", type_name(f->type));
	if (f->to)
		buf_fmt(b, ">%s", f->to);
	if (object_key_has(o, f->name))
		buf_add(b, "#");
	else if (f->required)
		buf_add(b, "!");
	buf_add(b, f->unique ? "*" : f->indexed ? "+" : "");
	if (f->fallback)
		buf_fmt(b, "=%s", f->fallback);
}

/* One line an object: name: fields with # key, ! required, * unique, + indexed, = default. */
static const char *
text_of(Ctx *cx, const Model *m)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < m->objects.n; i++) {
		const Object *o = &m->objects.at[i];
		buf_fmt(&b, "%s:", o->name);
		for (size_t k = 0; k < o->fields.n; k++)
			field_text(&b, o, &o->fields.at[k]);
		buf_addc(&b, '\n');
	}
	return b.text;
}

static Model *
wide_of(Ctx *cx, const Model *common, const Model *recorded)
{
	Model *wide, *back;

	ok(cx, wide_model(cx, common, recorded, &wide));
	const char *text = model_canonical(cx->mem, wide);
	ok(cx, model_from_json(cx, text, &back));
	assert_string_equal(model_canonical(cx->mem, back), text);
	return wide;
}

/* --- the wide model ------------------------------------------------------------------- */

static void
a_first_wide_model_has_the_rules_of_the_model_and_spare_columns(void **state)
{
	Ctx *cx = *state;
	Model *m = model(cx, 1, ACCOUNT(NAME ", " CITY)), *wide = wide_of(cx, m, NULL);

	assert_string_equal(
	    text_of(cx, wide), "account: id:uuid#=random name:text!* city:text" SPARES);
	assert_string_equal(wide->name, "crm");
	assert_int_equal(wide->version, 1);
	assert_int_equal(object_field(model_object(wide, "account"), "name")->max_length, 80);
	assert_string_equal(text_of(cx, wide_of(cx, m, wide)), text_of(cx, wide));
}

static void
what_a_version_no_longer_has_stays_without_its_rules(void **state)
{
	Ctx *cx = *state;
	const char *rich = ACCOUNT(NAME
	    ", " CITY ", {name: amount, type: number, precision: 9, "
	    "scale: 2, required: true, default: 0}, {name: boss, "
	    "type: reference, to: account, indexed: true}") "    - {name: note, fields: [{name: line, type: integer, required: true}, {name: of, "
							    "type: reference, to: account, required: true}], key: [line]}\n";
	Model *was = wide_of(cx, model(cx, 1, rich), NULL);
	Model *wide = wide_of(cx, model(cx, 2, ACCOUNT(CITY)), was);

	assert_string_equal(text_of(cx, wide),
	    "account: id:uuid#=random city:text name:text amount:number boss:uuid" SPARES
	    "note: line:integer# of:uuid" SPARES);
	const Field *amount = object_field(model_object(wide, "account"), "amount");
	assert_int_equal(amount->precision, 9);
	assert_int_equal(amount->scale, 2);
	assert_string_equal(
	    text_of(cx, wide_of(cx, model(cx, 2, ACCOUNT(CITY)), wide)), text_of(cx, wide));
}

static void
what_the_drop_list_names_goes(void **state)
{
	Ctx *cx = *state;
	Model *was = wide_of(cx,
	    model(cx, 1, ACCOUNT(NAME ", " CITY) "    - {name: note, fields: [" CITY "]}\n"), NULL);
	Manifests *m = load(cx, crm(cx, 2, ACCOUNT(CITY), "account.name, note"));

	assert_string_equal(text_of(cx, wide_of(cx, map_get(m->models, "crm"), was)),
	    "account: id:uuid#=random city:text" SPARES);
}

static void
a_rename_leaves_nothing_behind(void **state)
{
	Ctx *cx = *state;
	Model *was = wide_of(
	    cx, model(cx, 1, ACCOUNT(CITY) "    - {name: note, fields: [" CITY "]}\n"), NULL);
	Model *m = model(cx, 2,
	    ACCOUNT(
		"{name: town, was: city, type: text}") "    - {name: memo, was: note, fields: [" CITY
						       "]}\n");
	const char *wanted = "account: id:uuid#=random town:text" SPARES
			     "memo: id:uuid#=random city:text" SPARES;
	Model *wide = wide_of(cx, m, was);

	assert_string_equal(text_of(cx, wide), wanted);
	assert_string_equal(object_field(model_object(wide, "account"), "town")->was, "city");
	assert_string_equal(text_of(cx, wide_of(cx, m, wide)), wanted);
}

static void
a_name_that_comes_back_has_the_rules_of_its_new_version(void **state)
{
	Ctx *cx = *state;
	Model *was = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Model *less = wide_of(cx, model(cx, 2, ACCOUNT(CITY)), was);
	Model *more = wide_of(cx, model(cx, 3, ACCOUNT(CITY ", " NAME)), less);

	assert_string_equal(
	    text_of(cx, more), "account: id:uuid#=random city:text name:text!*" SPARES);
}

static void
a_table_that_would_be_too_wide_is_refused(void **state)
{
	Ctx *cx = *state;
	Buf a = buf_new(cx->mem), b = buf_new(cx->mem);
	Model *wide;

	buf_add(&a, "    - name: account\n      fields:\n");
	buf_add(&b, "    - name: account\n      fields:\n");
	for (int i = 0; i < 800; i++) {
		buf_fmt(&a, "        - {name: a%d, type: text}\n", i);
		buf_fmt(&b, "        - {name: b%d, type: text}\n", i);
	}
	Model *was = wide_of(cx, model(cx, 1, a.text), NULL), *m = model(cx, 2, b.text);
	refused(cx, wide_model(cx, m, was, &wide), FAIL_LIMIT,
	    "object \"account\" of a shared database would have more than 1590 fields, or 400 "
	    "spare columns");
}

/* --- tenants that go ahead ---------------------------------------------------------------- */

static void
additions_may_go_ahead(void **state)
{
	Ctx *cx = *state;
	Model *common = model(cx, 1, ACCOUNT(NAME)), *wide = wide_of(cx, common, NULL);
	Model *to = model(cx, 2,
	    ACCOUNT(NAME
		", {name: rank, type: integer, required: true, default: 3}, "
		"{name: code, type: uuid, unique: true, default: random}, "
		"{name: boss, type: reference, to: account}") "    - {name: note, fields: [{name: of, type: reference, to: account, required: "
							      "true}]}\n");
	const char *wanted =
	    "account: id:uuid#=random name:text!* rank:integer!=3 code:uuid*=random "
	    "boss:reference>account" SPARES "note: id:uuid#=random of:reference>account!" SPARES;

	ok(cx, wide_extend(cx, wide, common, to));
	assert_string_equal(text_of(cx, wide), wanted);
	ok(cx, wide_extend(cx, wide, common, to));
	assert_string_equal(text_of(cx, wide), wanted);
	Model *again = wide_of(cx, common, wide);
	ok(cx, wide_extend(cx, again, common, to));
	assert_string_equal(text_of(cx, again), wanted);
}

static void
what_the_tenants_can_only_do_together_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *objects, *what;
	} cases[] = {
		{ ACCOUNT(CITY), "removes \"account.name\"" },
		{ "    - {name: memo, fields: [" CITY "]}\n", "removes \"account\"" },
		{ "    - {name: client, was: account, fields: [" NAME ", " CITY "]}\n",
		    "renames \"client\"" },
		{ ACCOUNT(NAME ", {name: town, was: city, type: text}"),
		    "renames \"account.town\"" },
		{ ACCOUNT(NAME ", {name: city, type: integer}"), "changes \"account.city\"" },
		{ ACCOUNT(NAME ", {name: city, type: text, default: x}"),
		    "changes \"account.city\"" },
		{ ACCOUNT(NAME ", " CITY ", {name: n, type: integer, required: true}"),
		    "requires \"account.n\"" },
		{ ACCOUNT(NAME ", " CITY ", {name: n, type: integer, unique: true, default: 0}"),
		    "fills and makes unique \"account.n\"" },
		{ "    - {name: account, fields: [" NAME ", " CITY "], key: [name]}\n",
		    "changes the key of \"account\"" },
	};
	Ctx *cx = *state;
	Model *common = model(cx, 1, ACCOUNT(NAME ", " CITY));

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Model *wide = wide_of(cx, common, NULL);
		const char *before = text_of(cx, wide);
		refused(cx, wide_extend(cx, wide, common, model(cx, 2, cases[i].objects)),
		    FAIL_REFUSED,
		    arena_printf(cx->mem,
			"version 2 of model \"crm\" %s, which the tenants of a shared database "
			"can only do together",
			cases[i].what));
		assert_string_equal(text_of(cx, wide), before);
	}
}

static void
two_tenants_ahead_may_not_want_one_field_of_two_types(void **state)
{
	Ctx *cx = *state;
	Model *common = model(cx, 1, ACCOUNT(NAME)), *wide = wide_of(cx, common, NULL);

	ok(cx, wide_extend(cx, wide, common, model(cx, 2, ACCOUNT(NAME ", " CITY))));
	refused(cx,
	    wide_extend(
		cx, wide, common, model(cx, 3, ACCOUNT(NAME ", {name: city, type: integer}"))),
	    FAIL_REFUSED,
	    "version 3 of model \"crm\" changes \"account.city\", which the tenants of a shared "
	    "database can only do together");
}

/* --- own fields ------------------------------------------------------------------------------ */

typedef struct Own {
	Tenant *tenant;
	Model *effective;
} Own;

static Own
own(Ctx *cx, const char *parts)
{
	Manifests *m = load(cx,
	    arena_printf(cx->mem,
		"%s---\napiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: acme}\n"
		"spec: {model: crm, mode: shared, cluster: eu-1, acceptVisibleNames: true, %s}\n",
		crm(cx, 1, ACCOUNT(NAME), ""), parts));
	Own out = { .tenant = map_get(m->tenants, "acme") };

	ok(cx, model_merge(cx, map_get(m->models, "crm"), out.tenant, &out.effective));
	return out;
}

static Own
own_fields(Ctx *cx, const char *fields)
{
	return own(cx, arena_printf(cx->mem, "fields: {account: [%s]}", fields));
}

static void
rules_that_need_a_constraint_ask_for_tables_of_the_tenants_own(void **state)
{
	static const struct {
		const char *parts, *why;
	} cases[] = {
		{ "login: app", NULL },
		{ "fields: {account: [{name: x, type: json, default: '{}'}]}", NULL },
		{ "fields: {account: [{name: x, type: integer, indexed: true}]}", NULL },
		{ "objects: [{name: x_tag}]", "object \"x_tag\"" },
		{ "fields: {account: [{name: x, type: date, required: true, default: today}]}",
		    "field \"account.x\" (required)" },
		{ "fields: {account: [{name: x, type: date, unique: true}]}",
		    "field \"account.x\" (unique)" },
		{ "fields: {account: [{name: x, type: reference, to: account}]}",
		    "field \"account.x\" (reference)" },
		{ "fields: {account: [{name: w, type: text}, {name: x, type: text, maxLength: 9}]}",
		    "field \"account.x\" (maxLength)" },
		{ "fields: {account: [{name: x, type: number, precision: 9}]}",
		    "field \"account.x\" (precision)" },
	};
	Ctx *cx = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Own t = own(cx, cases[i].parts);
		const char *why = "?";
		assert_int_equal(wide_tenant_fits(cx->mem, t.tenant, &why), cases[i].why == NULL);
		if (cases[i].why)
			assert_string_equal(why, cases[i].why);
		else
			assert_null(why);
	}
}

static const char *
slots_text(Ctx *cx, const Slots *slots)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < slots->n; i++)
		buf_fmt(&b, "%s.%s %s %d\n", slots->at[i].object, slots->at[i].field,
		    slots->at[i].column, (int)slots->at[i].generation);
	return b.text;
}

static Slots
taken(Ctx *cx, Model *wide, const Own *t, const Slots *recorded)
{
	Slots out;

	ok(cx, wide_slots(cx, wide, t->effective, recorded, &out));
	return out;
}

static void
own_fields_take_free_columns_of_their_type_and_keep_them(void **state)
{
	Ctx *cx = *state;
	Model *wide = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Own t = own_fields(cx, "{name: x_a, type: text}, {name: x_n, type: integer}"),
	    more = own_fields(
		cx, "{name: x_0, type: text}, {name: x_a, type: text}, {name: x_n, type: integer}");
	Slots first = taken(cx, wide, &t, &(Slots){ 0 });
	Slots second = taken(cx, wide, &more, &first);

	assert_string_equal(
	    slots_text(cx, &first), "account.x_a _text_1 1\naccount.x_n _integer_1 1\n");
	assert_string_equal(slots_text(cx, &second),
	    "account.x_a _text_1 1\naccount.x_n _integer_1 1\naccount.x_0 _text_2 1\n");
	assert_string_equal(wide_slot(&second, "account", "x_0")->column, "_text_2");
	assert_null(wide_slot(&second, "account", "x_1"));
	assert_string_equal(text_of(cx, wide), "account: id:uuid#=random name:text!*" SPARES);
}

static void
where_no_column_is_left_the_object_gets_one_more(void **state)
{
	Ctx *cx = *state;
	Model *wide = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Own t = own_fields(
	    cx, "{name: x_1, type: date}, {name: x_2, type: date}, {name: x_3, type: bytes}");
	Slots slots = taken(cx, wide, &t, &(Slots){ 0 });

	assert_string_equal(slots_text(cx, &slots),
	    "account.x_1 _date_1 1\naccount.x_2 _date_2 1\naccount.x_3 _bytes_1 1\n");
	assert_true(object_field(model_object(wide, "account"), "_bytes_1")->spare);
}

static void
an_indexed_field_takes_an_indexed_column_or_makes_one(void **state)
{
	Ctx *cx = *state;
	Model *wide = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Own t = own_fields(
		cx, "{name: x_1, type: integer}, {name: x_2, type: integer, indexed: true}"),
	    other = own_fields(cx, "{name: y, type: integer, indexed: true}"),
	    later = own_fields(cx, "{name: x_1, type: integer, indexed: true}");
	Slots slots = taken(cx, wide, &t, &(Slots){ 0 });

	assert_string_equal(
	    slots_text(cx, &slots), "account.x_1 _integer_1 1\naccount.x_2 _integer_2 1\n");
	assert_true(object_field(model_object(wide, "account"), "_integer_2")->indexed);
	slots = taken(cx, wide, &other, &(Slots){ 0 });
	assert_string_equal(slots_text(cx, &slots), "account.y _integer_2 1\n");
	slots = (Slots){ 0 };
	vec_push(cx->mem, &slots, ((Slot){ "account", "x_1", "_integer_1", 1 }));
	taken(cx, wide, &later, &slots);
	assert_true(object_field(model_object(wide, "account"), "_integer_1")->indexed);
}

static void
a_field_that_is_gone_keeps_its_column_until_the_drop_list_names_it(void **state)
{
	Ctx *cx = *state;
	Model *wide = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Own two = own_fields(cx, "{name: x_a, type: uuid}, {name: x_b, type: text}"),
	    one = own_fields(cx, "{name: x_b, type: text}"),
	    fresh = own_fields(cx, "{name: x_b, type: text}, {name: x_c, type: uuid}");
	Slots first = taken(cx, wide, &two, &(Slots){ 0 });
	Slots kept = taken(cx, wide, &one, &first), back = taken(cx, wide, &two, &kept);

	assert_string_equal(slots_text(cx, &kept), slots_text(cx, &first));
	assert_string_equal(slots_text(cx, &back), slots_text(cx, &first));
	vec_push(cx->mem, &fresh.effective->drop, "account.x_a");
	Slots given = taken(cx, wide, &fresh, &first);
	assert_string_equal(slots_text(cx, &given),
	    "account. _uuid_1 1\naccount.x_b _text_1 1\naccount.x_c _uuid_2 1\n");
	Own last = own_fields(
	    cx, "{name: x_b, type: text}, {name: x_c, type: uuid}, {name: x_d, type: uuid}");
	given = taken(cx, wide, &last, &given);
	assert_string_equal(slots_text(cx, &given),
	    "account.x_d _uuid_1 2\naccount.x_b _text_1 1\naccount.x_c _uuid_2 1\n");
}

static void
a_renamed_field_keeps_its_column_and_a_changed_type_is_refused(void **state)
{
	Ctx *cx = *state;
	Model *wide = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Own was = own_fields(cx, "{name: x_a, type: text}"),
	    now = own_fields(cx, "{name: x_b, was: x_a, type: text}"),
	    other = own_fields(cx, "{name: x_a, type: integer}");
	Slots slots = taken(cx, wide, &was, &(Slots){ 0 }), out;
	Slots renamed = taken(cx, wide, &now, &slots);

	assert_string_equal(slots_text(cx, &renamed), "account.x_b _text_1 1\n");
	refused(cx, wide_slots(cx, wide, other.effective, &slots, &out), FAIL_REFUSED,
	    "field \"account.x_a\" is the tenant's own in a shared database and cannot change from "
	    "text to integer");
}

static void
spare_columns_have_an_end(void **state)
{
	Ctx *cx = *state;
	Model *wide = wide_of(cx, model(cx, 1, ACCOUNT(NAME)), NULL);
	Buf b = buf_new(cx->mem);
	Slots out;

	for (int i = 0; i < 391; i++)
		buf_fmt(&b, "%s{name: x_%d, type: text}", i ? ", " : "", i);
	Own t = own_fields(cx, b.text);
	refused(cx, wide_slots(cx, wide, t.effective, &(Slots){ 0 }, &out), FAIL_LIMIT,
	    "object \"account\" of a shared database would have more than 1590 fields, or 400 "
	    "spare columns");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_first_wide_model_has_the_rules_of_the_model_and_spare_columns),
		TEST(what_a_version_no_longer_has_stays_without_its_rules),
		TEST(what_the_drop_list_names_goes),
		TEST(a_rename_leaves_nothing_behind),
		TEST(a_name_that_comes_back_has_the_rules_of_its_new_version),
		TEST(a_table_that_would_be_too_wide_is_refused),
		TEST(additions_may_go_ahead),
		TEST(what_the_tenants_can_only_do_together_is_refused_with_the_reason),
		TEST(two_tenants_ahead_may_not_want_one_field_of_two_types),
		TEST(rules_that_need_a_constraint_ask_for_tables_of_the_tenants_own),
		TEST(own_fields_take_free_columns_of_their_type_and_keep_them),
		TEST(where_no_column_is_left_the_object_gets_one_more),
		TEST(an_indexed_field_takes_an_indexed_column_or_makes_one),
		TEST(a_field_that_is_gone_keeps_its_column_until_the_drop_list_names_it),
		TEST(a_renamed_field_keeps_its_column_and_a_changed_type_is_refused),
		TEST(spare_columns_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

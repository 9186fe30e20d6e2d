/*
 * test_shape.c - a tenant's tables on a real server: what is expected is what
 * is seen, each change goes there and back, rows stay.
 */
#include "tests/pg/shape.h"

static int
setup(void **state)
{
	static Shape s;

	shape_open(&s);
	*state = &s;
	return 0;
}

static int
fresh(void **state)
{
	shape_clean(*state);
	return 0;
}

static int
teardown(void **state)
{
	shape_close(*state);
	return 0;
}

/* --- what is expected is what is seen ------------------------------------------- */

/* clang-format off */
static const char every_type[] =
"    - name: part\n"
"      key: [code]\n"
"      fields:\n"
"        - {name: code, type: text, maxLength: 40}\n"
"        - {name: weight, type: number}\n"
"    - name: thing\n"
"      fields:\n"
"        - {name: plain, type: text}\n"
"        - {name: short, type: text, maxLength: 20, default: \"it's \\\\ \\\"ok\\\" 北京\"}\n"
"        - {name: lines, type: text, default: \"a\\nb\"}\n"
"        - {name: whole, type: integer, required: true, default: -9223372036854775808}\n"
"        - {name: most, type: integer, unique: true, default: 9223372036854775807}\n"
"        - {name: price, type: number, precision: 12, scale: 2, default: -3.25, indexed: true}\n"
"        - {name: rate, type: number, default: 1.5}\n"
"        - {name: half, type: number, precision: 12, scale: 4, default: 0.5}\n"
"        - {name: none, type: number, precision: 5, default: 0}\n"
"        - {name: yes, type: boolean, default: true}\n"
"        - {name: no, type: boolean, required: true, default: false}\n"
"        - {name: day, type: date, default: 2026-02-28}\n"
"        - {name: today, type: date, default: today, indexed: true}\n"
"        - {name: at, type: timestamp, default: \"2026-11-21T10:00:00.120+08:00\"}\n"
"        - {name: born, type: timestamp, required: true, default: now}\n"
"        - {name: token, type: uuid, default: random, unique: true}\n"
"        - {name: fixed, type: uuid, default: 00000000-0000-0000-0000-00000000000A}\n"
"        - {name: extra, type: json, default: '{\"b\": [1, 2.50, \"it''s\"], \"a\": {\"c\": null}}'}\n"
"        - {name: list, type: json, default: '[]'}\n"
"        - {name: numbers, type: json, default: '[1e3, 1.50e1, 0.05E+1, 5e-3, -0, -0.0, -1.5e2, 0e5, 12.5e-1, 1.25e1, \"1e3\"]'}\n"
"        - {name: raw, type: bytes, default: '\\x00FF'}\n"
"        - {name: empty, type: bytes, default: '\\x'}\n"
"        - {name: part, type: reference, to: part, onDelete: restrict, required: true}\n"
"        - {name: spare, type: reference, to: part, onDelete: set-null}\n"
"        - {name: kit, type: reference, to: part, onDelete: cascade, unique: true}\n"
"        - {name: parent, type: reference, to: thing, onDelete: set-null, indexed: true}\n"
/* words that some servers quote and some do not */
"        - {name: position, type: text, maxLength: 5}\n"
"        - {name: values, type: text}\n"
"        - {name: json_object, type: integer, indexed: true}\n"
"    - name: link\n"
"      key: [part, thing]\n"
"      fields:\n"
"        - {name: thing, type: reference, to: thing, onDelete: cascade}\n"
"        - {name: part, type: reference, to: part, onDelete: cascade}\n"
"    - name: line\n"
"      key: [thing, number]\n"
"      fields:\n"
"        - {name: thing, type: reference, to: thing, onDelete: cascade}\n"
"        - {name: number, type: integer}\n"
"        - {name: part, type: reference, to: part}\n";
/* clang-format on */

static void
every_type_flag_and_default_is_seen_as_expected(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, every_type);

	shape_create(s, m);
	shape_is(s, m);
	Planned p = shape_plan(s, m, m);
	assert_string_equal(changes_text(s->p.cx.mem, &p.changes), "");
	assert_int_equal(p.steps.n, 0);
}

static void
defaults_have_their_values(void **state)
{
	Shape *s = *state;

	shape_create(s, shape_model(s, every_type));
	shape_sql(s,
	    "SET TimeZone = 'UTC'; SET search_path = app; INSERT INTO part VALUES ('p1'); "
	    "INSERT INTO thing (part) VALUES ('p1')");
	assert_string_equal(
	    shape_value(s,
		"SELECT concat_ws('|', short, lines, whole, most, price, rate, "
		"yes, no, day, at, fixed, extra, list, numbers, raw, empty, today = CURRENT_DATE, born = now(), "
		"token IS NULL) FROM thing"),
	    "it's \\ \"ok\" 北京|a\nb|-9223372036854775808|"
	    "9223372036854775807|-3.25|1.5|t|f|2026-02-28|2026-11-21 02:00:00.12+00|"
	    "00000000-0000-0000-0000-00000000000a|{\"a\": {\"c\": null}, \"b\": [1, 2.50, \"it's\"]}|[]|"
	    "[1000, 15.0, 0.5, 0.005, 0, 0.0, -150, 0, 1.25, 12.5, \"1e3\"]|"
	    "\\x00ff|\\x|t|f|f");
}

static void
names_of_48_characters_fit(void **state)
{
	Shape *s = *state;
	char a[49], b[49];

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	a[48] = b[48] = '\0';
	const Model *m = shape_model(s,
	    arena_printf(s->p.cx.mem,
		"    - name: %s\n      fields:\n"
		"        - {name: %s, type: text, maxLength: 9, unique: true}\n"
		"        - {name: c%.47s, type: reference, to: %s, onDelete: set-null}\n",
		a, b, b, a));

	shape_create(s, m);
	shape_is(s, m);
	const Model *wider = shape_model(s,
	    arena_printf(s->p.cx.mem,
		"    - name: z%.47s\n      was: %s\n      fields:\n"
		"        - {name: y%.47s, was: %s, type: text, maxLength: 12, unique: true, required: true}\n"
		"        - {name: x%.47s, was: c%.47s, type: reference, to: z%.47s, onDelete: restrict}\n",
		a, a, b, b, b, b, a));
	Planned p = shape_plan(s, m, wider);
	size_t done;
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_is(s, wider);
}

static void
the_logins_work_with_their_grants_alone(void **state)
{
	Shape *s = *state;

	shape_create(s, shape_model(s, every_type));
	shape_sql(s,
	    "SET ROLE shape_app; SET search_path = app; INSERT INTO part VALUES ('p1', 2); "
	    "INSERT INTO thing (part) VALUES ('p1'); UPDATE thing SET whole = 3; "
	    "DELETE FROM thing; RESET ROLE; SET ROLE shape_reader; SELECT * FROM thing");
	assert_false(pg_script(&s->p.cx, s->super, "INSERT INTO part VALUES ('p2')"));
	assert_true(pg_failed_with(s->super, "42501"));
	fail_clear(&s->p.cx);
	shape_sql(s, "RESET ROLE; SET ROLE shape_app");
	assert_false(pg_script(&s->p.cx, s->super, "CREATE TABLE app.mine (n int)"));
	assert_true(pg_failed_with(s->super, "42501"));
	fail_clear(&s->p.cx);
	assert_false(pg_script(&s->p.cx, s->super, "SELECT * FROM copyhold.fence"));
	assert_true(pg_failed_with(s->super, "42501"));
	fail_clear(&s->p.cx);
	shape_sql(s, "RESET ROLE");
}

static void
a_schema_that_is_there_already_is_refused(void **state)
{
	Shape *s = *state;
	Steps steps = shape_create_plan(s, shape_model(s, every_type));
	size_t done;

	shape_sql(s, "CREATE SCHEMA app AUTHORIZATION shape_owner");
	must_fail(&s->p, shape_run(s, &steps, &done), FAIL_EXISTS,
	    "schema \"app\" is already in database \"shape_test\"");
	assert_string_equal(shape_value(s,
				"SELECT count(*)::text FROM pg_namespace "
				"WHERE nspname = 'copyhold'"),
	    "0");
}

static void
an_undone_creation_leaves_nothing(void **state)
{
	Shape *s = *state;
	Items before = shape_seen(s);
	Steps steps = shape_create_plan(s, shape_model(s, every_type));
	size_t done;

	must(&s->p, shape_run(s, &steps, &done));
	must(&s->p, shape_undo(s, &steps, done));
	Items after = shape_seen(s);
	assert_string_equal(items_text(s->p.cx.mem, &after), items_text(s->p.cx.mem, &before));
}

static void
a_creation_with_rows_is_not_undone(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, every_type);
	Steps steps = shape_create_plan(s, m);
	size_t done;

	must(&s->p, shape_run(s, &steps, &done));
	shape_sql(s, "INSERT INTO app.part VALUES ('p1')");
	must_fail(&s->p, shape_undo(s, &steps, done), FAIL_UNDO,
	    "1 new object that would be dropped already holds rows");
	shape_is(s, m);
}

/* --- from one model to another ------------------------------------------------------- */

/* clang-format off */
#define ACCOUNT "    - name: account\n      fields:\n"
#define CONTACT "    - name: contact\n      fields:\n"
#define NAME	"        - {name: name, type: text, maxLength: 20}\n"
#define OWNER	"        - {name: owner, type: reference, to: account, onDelete: restrict}\n"
#define TWO	"INSERT INTO app.account (name) VALUES ('a'), ('b')"

typedef struct Case {
	const char	*name, *from, *to, *rows;
	const char	*changes, *steps;
	bool		 forward;	/* data goes: with --prune, and there is no way back */
} Case;

static const Case cases[] = {
{ "add an object", ACCOUNT NAME, ACCOUNT NAME CONTACT NAME OWNER, TWO,
  "+ object contact: - -> 3 fields\n", "shape.change: change contact\n", false },
{ "add a plain field", ACCOUNT NAME,
  ACCOUNT NAME "        - {name: fax, type: text, maxLength: 9}\n", TWO,
  "+ field account.fax: - -> text(9)\n+ limit account.fax: - -> 9 characters\n",
  "shape.change: change account\nconstraint.validate: check account_fax_max\n", false },
{ "add required fields with defaults", ACCOUNT NAME, ACCOUNT NAME
  "        - {name: n, type: integer, required: true, default: 7}\n"
  "        - {name: born, type: timestamp, required: true, default: now}\n"
  "        - {name: day, type: date, default: today}\n", TWO,
  "+ field account.n: - -> integer, required, default 7\n"
  "+ field account.born: - -> timestamp, required, default now\n"
  "+ field account.day: - -> date, default today\n", "shape.change: change account\n", false },
{ "add a required unique random field", ACCOUNT NAME, ACCOUNT NAME
  "        - {name: token, type: uuid, required: true, unique: true, default: random}\n", TWO,
  "+ field account.token: - -> uuid, required, unique, default random\n"
  "+ unique account.token: - -> account_token_key\n",
  "shape.change: change account\nfield.fill: fill account.token\n"
  "shape.change: require fields of account\nconstraint.validate: check account_token_notnull\nunique.build: build account_token_key\n"
  "shape.change: settle account\n", false },
{ "add a reference", ACCOUNT NAME CONTACT NAME, ACCOUNT NAME CONTACT NAME OWNER,
  "INSERT INTO app.contact (name) VALUES ('c')",
  "+ field contact.owner: - -> reference to account\n+ index contact.owner: - -> contact_owner_idx\n"
  "+ reference contact.owner: - -> account, on delete restrict\n",
  "shape.change: change contact\nindex.build: build contact_owner_idx\n"
  "constraint.validate: check contact_owner_fkey\n", false },
{ "widen a text", ACCOUNT NAME, ACCOUNT "        - {name: name, type: text, maxLength: 30}\n", TWO,
  "~ limit account.name: 20 characters -> 30 characters\n",
  "shape.change: change account\nconstraint.validate: check account_name_maxnew\n"
  "shape.change: settle account\n", false },
{ "narrow a text", ACCOUNT NAME, ACCOUNT "        - {name: name, type: text, maxLength: 1}\n", TWO,
  "~ limit account.name: 20 characters -> 1 character\n",
  "shape.change: change account\nconstraint.validate: check account_name_maxnew\n"
  "shape.change: settle account\n", false },
{ "free a text of its limit", ACCOUNT NAME, ACCOUNT "        - {name: name, type: text}\n", TWO,
  "- limit account.name: 20 characters -> -\n", "shape.change: settle account\n", false },
{ "require, index and default a field", ACCOUNT NAME, ACCOUNT
  "        - {name: name, type: text, maxLength: 20, required: true, indexed: true, default: x}\n", TWO,
  "+ default account.name: - -> x\n+ required account.name: - -> required\n"
  "+ index account.name: - -> account_name_idx\n",
  "shape.change: change account\nconstraint.validate: check account_name_notnull\n"
  "index.build: build account_name_idx\nshape.change: settle account\n", false },
{ "no more required, indexed, defaulted", ACCOUNT
  "        - {name: name, type: text, maxLength: 20, required: true, indexed: true, default: x}\n",
  ACCOUNT NAME, TWO,
  "- default account.name: x -> -\n- required account.name: required -> -\n"
  "- index account.name: account_name_idx -> -\n", "shape.change: settle account\n", false },
{ "change a default", ACCOUNT "        - {name: n, type: integer, default: 1}\n",
  ACCOUNT "        - {name: n, type: integer, default: 2}\n", NULL,
  "~ default account.n: 1 -> 2\n", "shape.change: change account\n", false },
{ "make a field unique", ACCOUNT NAME,
  ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true}\n", TWO,
  "+ unique account.name: - -> account_name_key\n", "unique.build: build account_name_key\n", false },
{ "indexed becomes unique", ACCOUNT "        - {name: n, type: integer, indexed: true}\n",
  ACCOUNT "        - {name: n, type: integer, unique: true}\n", "INSERT INTO app.account (n) VALUES (1)",
  "+ unique account.n: - -> account_n_key\n- index account.n: account_n_idx -> -\n",
  "unique.build: build account_n_key\nshape.change: settle account\n", false },
{ "unique no more", ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true}\n",
  ACCOUNT NAME, TWO, "- unique account.name: account_name_key -> -\n",
  "shape.change: settle account\n", false },
{ "another onDelete", ACCOUNT NAME CONTACT OWNER, ACCOUNT NAME CONTACT
  "        - {name: owner, type: reference, to: account, onDelete: cascade}\n", TWO,
  "~ reference contact.owner: account, on delete restrict -> account, on delete cascade\n",
  "shape.change: change contact\nconstraint.validate: check contact_owner_fkeynew\n"
  "shape.change: settle contact\n", false },
{ "a uuid becomes a reference", ACCOUNT NAME CONTACT "        - {name: owner, type: uuid}\n",
  ACCOUNT NAME CONTACT OWNER, "INSERT INTO app.account (name) VALUES ('a'); "
  "INSERT INTO app.contact (owner) SELECT id FROM app.account",
  "+ index contact.owner: - -> contact_owner_idx\n"
  "+ reference contact.owner: - -> account, on delete restrict\n",
  "shape.change: change contact\nindex.build: build contact_owner_idx\n"
  "constraint.validate: check contact_owner_fkey\n", false },
{ "integer becomes number", ACCOUNT "        - {name: n, type: integer, default: 5, indexed: true}\n",
  ACCOUNT "        - {name: n, type: number, precision: 12, scale: 2, default: 5, indexed: true}\n",
  "INSERT INTO app.account (n) VALUES (1), (-9999999999)",
  "~ field account.n: integer, default 5 -> number(12,2), default 5\n",
  "shape.change: change account\n", false },
{ "a number gets wider", ACCOUNT "        - {name: n, type: number, precision: 5, scale: 2}\n",
  ACCOUNT "        - {name: n, type: number, precision: 9, scale: 2}\n",
  "INSERT INTO app.account (n) VALUES (1.25)",
  "~ field account.n: number(5,2) -> number(9,2)\n", "shape.change: change account\n", false },
{ "rename everything",
  ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true, required: true}\n"
  "        - {name: n, type: integer, indexed: true, default: 3}\n"
  "        - {name: parent, type: reference, to: account, onDelete: set-null}\n" CONTACT NAME OWNER,
  "    - name: client\n      was: account\n      key: [ident]\n      fields:\n"
  "        - {name: ident, was: id, type: uuid, default: random}\n"
  "        - {name: title, was: name, type: text, maxLength: 20, unique: true, required: true}\n"
  "        - {name: size, was: n, type: integer, indexed: true, default: 3}\n"
  "        - {name: head, was: parent, type: reference, to: client, onDelete: set-null}\n"
  "    - name: person\n      was: contact\n      fields:\n"
  "        - {name: called, was: name, type: text, maxLength: 20}\n"
  "        - {name: boss, was: owner, type: reference, to: client, onDelete: restrict}\n",
  "INSERT INTO app.account (name) VALUES ('a'); INSERT INTO app.contact (name, owner) "
  "SELECT 'c', id FROM app.account",
  "> object client: account -> client\n> object person: contact -> person\n"
  "> field client.ident: id -> ident\n> field client.title: name -> title\n> field client.size: n -> size\n"
  "> field client.head: parent -> head\n> field person.called: name -> called\n"
  "> field person.boss: owner -> boss\n", NULL, false },
{ "rename and change at once", ACCOUNT NAME,
  "    - name: client\n      was: account\n      fields:\n"
  "        - {name: title, was: name, type: text, maxLength: 50, required: true, indexed: true}\n", TWO,
  "> object client: account -> client\n> field client.title: name -> title\n"
  "+ required client.title: - -> required\n~ limit client.title: 20 characters -> 50 characters\n"
  "+ index client.title: - -> client_title_idx\n", NULL, false },
{ "drop a field and an object that the manifest names", ACCOUNT NAME
  "        - {name: fax, type: text, maxLength: 9, unique: true, required: true}\n"
  CONTACT OWNER "        - {name: self, type: reference, to: contact}\n",
  ACCOUNT NAME "  drop: [account.fax, contact]\n", "INSERT INTO app.account (name, fax) VALUES ('a', '1')",
  "- object contact: 3 fields -> - data\n- field account.fax: text(9), required, unique -> - data\n",
  "shape.drop: drop account.fax, contact\n", true },
};
/* clang-format on */

static void
run_case(Shape *s, const Case *c)
{
	const Model *from = shape_model(s, c->from), *to = shape_model(s, c->to);
	Arena *mem = s->p.cx.mem;
	size_t done;

	print_message("           %s\n", c->name);
	shape_clean(s);
	shape_create(s, from);
	shape_sql(s, c->rows);
	Planned p, blind;
	must(&s->p, shape_plan_with(s, from, to, true, c->forward, &p));
	assert_string_equal(changes_text(mem, &p.changes), c->changes);
	if (c->steps != NULL)
		assert_string_equal(steps_text(mem, &p.steps), c->steps);
	must(&s->p, shape_plan_with(s, from, to, false, c->forward, &blind));
	assert_string_equal(changes_text(mem, &blind.changes), c->changes);
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_is(s, to);
	if (c->forward)
		return;
	must(&s->p, shape_undo(s, &p.steps, done));
	shape_is(s, from);
}

static void
each_change_leads_to_the_new_model_and_back(void **state)
{
	for (size_t i = 0; i < LENGTH(cases); i++)
		run_case(*state, &cases[i]);
}

/* Each step's undo is asked for with only the steps before it done, as after a crash. */
static void
each_step_can_be_the_last_before_the_way_back(void **state)
{
	Shape *s = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const Model *from = shape_model(s, cases[i].from),
			    *to = shape_model(s, cases[i].to);

		if (cases[i].forward)
			continue;
		shape_clean(s);
		shape_create(s, from);
		shape_sql(s, cases[i].rows);
		Planned p = shape_plan(s, from, to);
		for (size_t n = 1; n < p.steps.n; n++) {
			Steps some = { .at = p.steps.at, .n = n };
			size_t done;

			must(&s->p, shape_run(s, &some, &done));
			must(&s->p, shape_undo(s, &p.steps, n + 1));
			shape_is(s, from);
		}
	}
}

static void
rows_keep_their_values(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, ACCOUNT NAME);
	const Model *to = shape_model(s,
	    "    - name: client\n      was: account\n      fields:\n"
	    "        - {name: title, was: name, type: text, maxLength: 50}\n"
	    "        - {name: n, type: integer, required: true, default: 7}\n"
	    "        - {name: token, type: uuid, required: true, default: random}\n");
	size_t done;

	shape_create(s, from);
	shape_sql(s,
	    "INSERT INTO app.account (name) SELECT 'name ' || n FROM generate_series(1, 3000) n");
	Planned p = shape_plan(s, from, to);
	must(&s->p, shape_run(s, &p.steps, &done));
	assert_string_equal(shape_value(s,
				"SELECT concat_ws('|', count(*), count(DISTINCT title), sum(n), "
				"count(DISTINCT token)) FROM app.client"),
	    "3000|3000|21000|3000");
}

/* --- what is refused ------------------------------------------------------------------------ */

typedef struct Refused {
	const char *from, *to, *rows;
	FailKind kind;
	const char *what;
} Refused;

/* clang-format off */
static const Refused refused[] = {
{ ACCOUNT NAME, ACCOUNT NAME "        - {name: n, type: integer, required: true}\n", TWO, FAIL_DATA,
  "\"account\" has 2 rows, and its new field \"n\" is required without a default" },
{ ACCOUNT NAME, ACCOUNT NAME "        - {name: n, type: integer, unique: true, default: 1}\n", TWO,
  FAIL_DATA, "\"account\" has 2 rows that would all get the same \"n\", which is unique" },
{ ACCOUNT NAME, ACCOUNT "        - {name: name, type: text, maxLength: 3}\n",
  "INSERT INTO app.account (name) VALUES ('abcd'), ('北京北京'), ('abc')", FAIL_DATA,
  "\"account.name\" has 2 values longer than 3 characters" },
{ ACCOUNT NAME, ACCOUNT "        - {name: name, type: text, maxLength: 20, required: true}\n",
  "INSERT INTO app.account (name) VALUES (NULL), ('b')", FAIL_DATA, "\"account.name\" is empty in 1 row" },
{ ACCOUNT NAME, ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true}\n",
  "INSERT INTO app.account (name) VALUES ('a'), ('a'), ('b'), ('b'), ('b'), (NULL), (NULL)", FAIL_DATA,
  "\"account.name\" has 2 values that occur more than once, in 5 rows" },
{ ACCOUNT NAME CONTACT "        - {name: owner, type: uuid}\n", ACCOUNT NAME CONTACT OWNER,
  "INSERT INTO app.contact (owner) VALUES (gen_random_uuid()), (NULL)", FAIL_DATA,
  "\"contact.owner\" has 1 value that no row of \"account\" has" },
{ ACCOUNT "        - {name: n, type: integer}\n",
  ACCOUNT "        - {name: n, type: number, precision: 5, scale: 2}\n",
  "INSERT INTO app.account (n) VALUES (1000), (-1000), (999)", FAIL_DATA,
  "\"account.n\" has 2 values too large for its new type" },
/* the guards look under the old names */
{ ACCOUNT NAME, "    - name: client\n      was: account\n      fields:\n"
  "        - {name: title, was: name, type: text, maxLength: 20, unique: true}\n",
  "INSERT INTO app.account (name) VALUES ('a'), ('a')", FAIL_DATA,
  "\"account.name\" has 1 value that occurs more than once, in 2 rows" },
};
/* clang-format on */

static void
data_that_forbids_a_change_is_counted_before_the_first_step(void **state)
{
	Shape *s = *state;

	for (size_t i = 0; i < LENGTH(refused); i++) {
		const Refused *r = &refused[i];
		const Model *from = shape_model(s, r->from), *to = shape_model(s, r->to);
		size_t done;

		shape_clean(s);
		shape_create(s, from);
		shape_sql(s, r->rows);
		Planned p = shape_plan(s, from, to);
		must_fail(&s->p, shape_run(s, &p.steps, &done), r->kind, r->what);
		assert_int_equal(done, 0);
		shape_is(s, from);
	}
}

/* clang-format off */
static const Refused impossible[] = {
{ ACCOUNT NAME, ACCOUNT "        - {name: name, type: integer}\n", NULL, FAIL_REFUSED,
  "\"account.name\" cannot change from text(20) to integer" },
{ ACCOUNT "        - {name: n, type: number}\n", ACCOUNT "        - {name: n, type: integer}\n", NULL,
  FAIL_REFUSED, "\"account.n\" cannot change from number to integer" },
{ ACCOUNT "        - {name: n, type: number, precision: 9, scale: 2}\n",
  ACCOUNT "        - {name: n, type: number, precision: 8, scale: 2}\n", NULL, FAIL_REFUSED,
  "\"account.n\" cannot change from number(9,2) to number(8,2)" },
{ "    - name: account\n      key: [n]\n      fields:\n        - {name: n, type: integer}\n",
  "    - name: account\n      key: [n]\n      fields:\n        - {name: n, type: number}\n", NULL,
  FAIL_REFUSED, "\"account.n\" cannot change from integer, required to number, required" },
{ ACCOUNT NAME "        - {name: n, type: integer, required: true}\n",
  "    - name: account\n      key: [n]\n      fields:\n        - {name: n, type: integer}\n" NAME, NULL,
  FAIL_REFUSED, "the key of \"account\" cannot change" },
};
/* clang-format on */

static void
what_cannot_be_done_online_is_refused_in_the_plan(void **state)
{
	Shape *s = *state;

	for (size_t i = 0; i < LENGTH(impossible); i++) {
		const Refused *r = &impossible[i];
		const Model *from = shape_model(s, r->from), *to = shape_model(s, r->to);
		Planned p;

		shape_clean(s);
		shape_create(s, from);
		must_fail(&s->p, shape_plan_with(s, from, to, true, false, &p), r->kind, r->what);
	}
}

static void
a_large_table_is_not_rewritten_under_a_lock(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(
	    s, ACCOUNT "        - {name: n, type: integer}\n        - {name: text, type: text}\n");
	const Model *to = shape_model(
	    s, ACCOUNT "        - {name: n, type: number}\n        - {name: text, type: text}\n");
	static const char wanted[] = "changing \"account.n\" would rewrite a table of ";
	size_t done;

	shape_create(s, from);
	shape_sql(s,
	    "INSERT INTO app.account (n, text) SELECT n, repeat('x', 1900) "
	    "FROM generate_series(1, 40000) n");
	Planned p = shape_plan(s, from, to);
	assert_false(shape_run(s, &p.steps, &done));
	assert_int_equal(s->p.cx.fail->kind, FAIL_DATA);
	assert_memory_equal(s->p.cx.fail->what, wanted, strlen(wanted));
	fail_clear(&s->p.cx);
	shape_is(s, from);
}

static void
duplicates_that_come_during_the_build_leave_no_index(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, ACCOUNT NAME);
	const Model *to = shape_model(
	    s, ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true}\n");

	shape_create(s, from);
	Planned p = shape_plan(s, from, to);
	StepEnv env = shape_env(s, &p.steps.at[0]);
	shape_sql(s, "INSERT INTO app.account (name) VALUES ('a'), ('a')");
	must_fail(&s->p, shape_kind(env.step)->act(&s->p.cx, &env), FAIL_DATA,
	    "\"account.name\" has 1 value that occurs more than once, in 2 rows");
	shape_is(s, from);
}

static void
a_dropped_part_that_the_manifest_does_not_name_is_kept_without_its_rules(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s,
	    ACCOUNT NAME
	    "        - {name: fax, type: text, maxLength: 9, unique: true, required: true}\n" CONTACT
		OWNER);
	const Model *to = shape_model(s, ACCOUNT NAME);
	const Model *listed = shape_model(s, ACCOUNT NAME "  drop: [account.fax, contact]\n");
	size_t done;

	shape_create(s, from);
	shape_sql(s,
	    "INSERT INTO app.account (name, fax) VALUES ('a', '1'); "
	    "INSERT INTO app.contact (owner) SELECT id FROM app.account");
	Planned p = shape_plan(s, from, to);
	assert_string_equal(changes_text(s->p.cx.mem, &p.changes),
	    "- object contact: 2 fields -> - data kept (add \"contact\" to drop and say --prune to remove it)\n"
	    "- field account.fax: text(9), required, unique -> - data kept "
	    "(add \"account.fax\" to drop and say --prune to remove it)\n"
	    "- required account.fax: required -> -\n- unique account.fax: account_fax_key -> -\n"
	    "- limit account.fax: 9 characters -> -\n"
	    "- reference contact.owner: account, on delete restrict -> -\n"
	    "- grant contact to shape_app: DELETE,INSERT,SELECT,UPDATE -> -\n"
	    "- grant contact to shape_reader: SELECT -> -\n");
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_sql(s,
	    "SET ROLE shape_app; INSERT INTO app.account (name) VALUES ('b'); RESET ROLE; "
	    "DELETE FROM app.account WHERE name = 'a'");
	assert_string_equal(shape_value(s, "SELECT count(*)::text FROM app.contact"), "1");
	Planned again = shape_plan(s, to, to);
	assert_string_equal(changes_text(s->p.cx.mem, &again.changes),
	    "- object contact: owner shape_owner -> - drift data kept (not of the model: --prune removes it)\n"
	    "- field account.fax: text -> - drift data kept (not of the model: --prune removes it)\n");
	assert_int_equal(again.steps.n, 0);
	again = shape_plan(s, to, listed);
	assert_string_equal(changes_text(s->p.cx.mem, &again.changes),
	    "- object contact: owner shape_owner -> - drift data kept (listed in drop: --prune removes it)\n"
	    "- field account.fax: text -> - drift data kept (listed in drop: --prune removes it)\n");
	must(&s->p, shape_plan_with(s, to, to, true, true, &again));
	must(&s->p, shape_run(s, &again.steps, &done));
	shape_is(s, to);
}

/* --- undo refuses to lose what the tenant wrote ------------------------------------------------ */

static void
written(Shape *s, const char *objects, const char *rows, const char *what)
{
	const Model *from = shape_model(s, ACCOUNT NAME), *to = shape_model(s, objects);
	size_t done;

	shape_clean(s);
	shape_create(s, from);
	shape_sql(s, TWO);
	Planned p = shape_plan(s, from, to);
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_sql(s, rows);
	must_fail(&s->p, shape_undo(s, &p.steps, done), FAIL_UNDO, what);
}

static void
values_that_a_tenant_wrote_are_not_undone_away(void **state)
{
	Shape *s = *state;

	written(s, ACCOUNT NAME "        - {name: fax, type: text}\n",
	    "UPDATE app.account SET fax = '1'", "\"account.fax\" has 2 values that would be lost");
	written(s, ACCOUNT NAME "        - {name: n, type: integer, default: 1}\n",
	    "UPDATE app.account SET n = 2 WHERE name = 'a'",
	    "\"account.n\" has 1 value that would be lost");
	written(s, ACCOUNT NAME "        - {name: at, type: timestamp, default: now}\n",
	    "UPDATE app.account SET at = '2020-01-01' WHERE name = 'a'",
	    "\"account.at\" has 1 value that would be lost");
	written(s, ACCOUNT NAME CONTACT NAME, "INSERT INTO app.contact (name) VALUES ('x')",
	    "1 new object that would be dropped already holds rows");
	written(s, ACCOUNT "        - {name: name, type: text}\n",
	    "INSERT INTO app.account (name) VALUES (repeat('x', 30))",
	    "the data forbids to undo \"settle account\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_type_flag_and_default_is_seen_as_expected, fresh),
		cmocka_unit_test_setup(defaults_have_their_values, fresh),
		cmocka_unit_test_setup(names_of_48_characters_fit, fresh),
		cmocka_unit_test_setup(the_logins_work_with_their_grants_alone, fresh),
		cmocka_unit_test_setup(a_schema_that_is_there_already_is_refused, fresh),
		cmocka_unit_test_setup(an_undone_creation_leaves_nothing, fresh),
		cmocka_unit_test_setup(a_creation_with_rows_is_not_undone, fresh),
		cmocka_unit_test(each_change_leads_to_the_new_model_and_back),
		cmocka_unit_test(each_step_can_be_the_last_before_the_way_back),
		cmocka_unit_test_setup(rows_keep_their_values, fresh),
		cmocka_unit_test(data_that_forbids_a_change_is_counted_before_the_first_step),
		cmocka_unit_test(what_cannot_be_done_online_is_refused_in_the_plan),
		cmocka_unit_test_setup(a_large_table_is_not_rewritten_under_a_lock, fresh),
		cmocka_unit_test_setup(duplicates_that_come_during_the_build_leave_no_index, fresh),
		cmocka_unit_test_setup(
		    a_dropped_part_that_the_manifest_does_not_name_is_kept_without_its_rules,
		    fresh),
		cmocka_unit_test(values_that_a_tenant_wrote_are_not_undone_away),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

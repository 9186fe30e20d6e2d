/*
 * test_wide_tables.c - the tables and common views of a shared database on a real
 * server: what is expected is what is seen, each tenant has its own rows, and
 * what somebody changed by hand is mended.
 */
#include "tests/pg/wide.h"

static int
setup(void **state)
{
	static Wide w;

	wide_open(&w);
	*state = &w;
	return 0;
}

static int
fresh(void **state)
{
	wide_clean(*state);
	return 0;
}

static int
teardown(void **state)
{
	wide_close(*state);
	return 0;
}

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
"        - {name: whole, type: integer, required: true, default: -5}\n"
"        - {name: most, type: integer, unique: true}\n"
"        - {name: price, type: number, precision: 12, scale: 2, default: -3.25, indexed: true}\n"
"        - {name: yes, type: boolean, default: true}\n"
"        - {name: day, type: date, default: today}\n"
"        - {name: born, type: timestamp, required: true, default: now}\n"
"        - {name: token, type: uuid, default: random, unique: true}\n"
"        - {name: extra, type: json, default: '{\"b\": [1, 2.50], \"a\": null}'}\n"
"        - {name: raw, type: bytes, default: '\\x00FF'}\n"
"        - {name: part, type: reference, to: part, onDelete: restrict, required: true}\n"
"        - {name: spare, type: reference, to: part, onDelete: set-null}\n"
"        - {name: kit, type: reference, to: part, onDelete: cascade, unique: true}\n"
"        - {name: parent, type: reference, to: thing, onDelete: set-null}\n"
"        - {name: position, type: text}\n"
"    - name: link\n"
"      key: [part, thing]\n"
"      fields:\n"
"        - {name: thing, type: reference, to: thing, onDelete: cascade}\n"
"        - {name: part, type: reference, to: part, onDelete: cascade}\n";
/* clang-format on */

static void
every_type_flag_and_default_is_seen_as_expected(void **state)
{
	Wide *w = *state;
	const Model *m = shape_model(&w->s, every_type), *wide = wide_create(w, m);

	wide_is(w, m, wide);
	Planned p = wide_plan(w, m, wide, m, wide, false);
	assert_string_equal(changes_text(w->s.p.cx.mem, &p.changes), "");
	assert_int_equal(p.steps.n, 0);
}

static void
a_creation_says_its_objects_and_can_be_undone(void **state)
{
	Wide *w = *state;
	const Model *m = shape_model(&w->s, every_type), *wide = wide_of(w, m, NULL);
	Items before = wide_seen(w);
	Planned p = wide_plan(w, NULL, NULL, m, wide, false);
	size_t done;

	assert_string_equal(changes_text(w->s.p.cx.mem, &p.changes),
	    "+ object part: - -> 2 fields\n+ object thing: - -> 17 fields\n"
	    "+ object link: - -> 2 fields\n");
	assert_string_equal(steps_text(w->s.p.cx.mem, &p.steps),
	    "shape.create: create 3 objects in s_abcdefghijkl\n"
	    "views.replace: create the common views of thing, link, part\n");
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	must(&w->s.p, shape_undo(&w->s, &p.steps, done));
	Items after = wide_seen(w);
	assert_string_equal(items_text(w->s.p.cx.mem, &after), items_text(w->s.p.cx.mem, &before));
}

/* clang-format off */
#define ACCOUNT "    - name: account\n      fields:\n"
#define CONTACT "    - name: contact\n      fields:\n"
#define NAME	"        - {name: name, type: text, maxLength: 20}\n"
#define MAIL	"        - {name: mail, type: text, maxLength: 20, unique: true}\n"
#define PARENT	"        - {name: parent, type: reference, to: account, onDelete: set-null}\n"
#define OWNER	"        - {name: owner, type: reference, to: account, onDelete: restrict}\n"
/* clang-format on */

static const char key_1[] = "00000000-0000-0000-0000-000000000001";

static void
a_tenant_sees_and_writes_its_own_rows_alone(void **state)
{
	Wide *w = *state;

	wide_create(w, shape_model(&w->s, ACCOUNT NAME MAIL PARENT CONTACT OWNER));
	for (size_t i = 0; i < TENANTS; i++)
		wide_sql(w, i,
		    arena_printf(w->s.p.cx.mem,
			"INSERT INTO account (id, name, mail) VALUES ('%s', 'n%zu', 'same')", key_1,
			i));
	assert_string_equal(wide_value(w, 0, "SELECT string_agg(name, ',') FROM account"), "n0");
	assert_string_equal(wide_value(w, 1, "SELECT string_agg(name, ',') FROM account"), "n1");
	assert_string_equal(shape_value(&w->s, "SELECT string_agg(_tenant, ',') FROM wide.account"),
	    "aaaaaaaaaaaa,bbbbbbbbbbbb");
	wide_sql(w, 1, "UPDATE account SET name = 'x'; DELETE FROM account");
	assert_string_equal(wide_value(w, 0, "SELECT string_agg(name, ',') FROM account"), "n0");
	assert_string_equal(wide_value(w, 1, "SELECT count(*)::text FROM account"), "0");
	assert_string_equal(wide_state(w, 0, "SELECT * FROM wide.account"), "42501");
	assert_string_equal(wide_state(w, 0, "SELECT _tenant FROM account"), "42703");
	assert_string_equal(wide_state(w, 0, "TRUNCATE account"), "42809");
	shape_sql(&w->s, "SET ROLE s_" WIDE_ID "_o");
	assert_string_equal(shape_value(&w->s, "SELECT count(*)::text FROM wide.account"), "0");
	shape_sql(&w->s, "SET ROLE s_" WIDE_ID "_k");
	assert_string_equal(shape_value(&w->s, "SELECT count(*)::text FROM wide.account"), "1");
	shape_sql(&w->s, "RESET ROLE");
}

static void
a_reader_reads_and_writes_nothing(void **state)
{
	Wide *w = *state;

	wide_create(w, shape_model(&w->s, ACCOUNT NAME));
	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('n')");
	wide_as(w, 0, true);
	assert_string_equal(shape_value(&w->s, "SELECT name FROM account"), "n");
	assert_string_equal(
	    sqlstate_of(&w->s.p, w->s.super, "INSERT INTO account (name) VALUES ('m')"), "42501");
	assert_string_equal(sqlstate_of(&w->s.p, w->s.super, "DELETE FROM account"), "42501");
	shape_sql(&w->s, "RESET SESSION AUTHORIZATION");
}

static void
rules_are_each_tenant_s_own_and_have_their_plain_names(void **state)
{
	Wide *w = *state;

	wide_create(w, shape_model(&w->s, ACCOUNT NAME MAIL PARENT CONTACT OWNER));
	wide_sql(w, 0,
	    arena_printf(
		w->s.p.cx.mem, "INSERT INTO account (id, mail) VALUES ('%s', 'a')", key_1));
	assert_string_equal(wide_state(w, 0, "INSERT INTO account (mail) VALUES ('a')"), "23505");
	wide_as(w, 0, false);
	sqlstate_of(&w->s.p, w->s.super, "INSERT INTO account (mail) VALUES ('a')");
	assert_string_equal(pg_error(w->s.super)->constraint, "account_mail_key");
	shape_sql(&w->s, "RESET SESSION AUTHORIZATION");
	assert_string_equal(wide_state(w, 1, "INSERT INTO account (mail) VALUES ('a')"), "00000");
	/* another tenant's key is as one that is nowhere */
	assert_string_equal(
	    wide_state(w, 1,
		arena_printf(w->s.p.cx.mem, "INSERT INTO contact (owner) VALUES ('%s')", key_1)),
	    "23503");
	assert_string_equal(
	    wide_state(w, 0,
		arena_printf(w->s.p.cx.mem, "INSERT INTO contact (owner) VALUES ('%s')", key_1)),
	    "00000");
	/* RESTRICT has a code of its own from PostgreSQL 18 on */
	assert_string_equal(wide_state(w, 0, "DELETE FROM account"),
	    pg_version(w->s.super) < 180000 ? "23503" : "23001");
}

static void
a_reference_set_to_null_leaves_the_row_its_tenant(void **state)
{
	Wide *w = *state;

	wide_create(w, shape_model(&w->s, ACCOUNT NAME PARENT));
	wide_sql(w, 0,
	    arena_printf(w->s.p.cx.mem,
		"INSERT INTO account (id, name) VALUES ('%s', 'top'); "
		"INSERT INTO account (name, parent) VALUES ('low', '%s'); "
		"DELETE FROM account WHERE name = 'top'",
		key_1, key_1));
	assert_string_equal(
	    shape_value(&w->s, "SELECT concat_ws('|', _tenant, name, parent) FROM wide.account"),
	    "aaaaaaaaaaaa|low");
}

/* --- changed by hand ----------------------------------------------------------------- */

typedef struct Hand {
	const char *sql, *changes;
} Hand;

/* clang-format off */
#define S "s_abcdefghijkl_"
static const Hand mended[] = {
{ "ALTER TABLE wide.account NO FORCE ROW LEVEL SECURITY",
  "~ row security account: enabled -> enabled, forced drift\n" },
{ "ALTER TABLE wide.account DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
  "+ row security account: - -> enabled, forced drift\n" },
{ "DROP POLICY tenant_rows ON wide.account", NULL },
{ "ALTER POLICY tenant_rows ON wide.account USING (true)", NULL },
{ "ALTER POLICY keeper_rows ON wide.account TO PUBLIC",
  "~ policy keeper_rows of account: FOR ALL TO PUBLIC USING (true) WITH CHECK (true) -> "
  "FOR ALL TO \"" S "k\" USING (true) WITH CHECK (true) drift\n" },
{ "CREATE POLICY all_rows ON wide.account FOR SELECT TO " S "o USING (true)",
  "- policy all_rows: FOR SELECT TO \"" S "o\" USING (true) -> - drift\n" },
{ "ALTER TABLE wide.account ALTER name SET STATISTICS 100",
  "~ statistics account.name: 100 -> 0 drift\n" },
{ "ALTER TABLE wide.account ALTER _text_1 SET STATISTICS -1",
  "+ statistics account._text_1: - -> 0 drift\n" },
{ "ALTER TABLE wide.account ALTER _tenant SET STATISTICS 0",
  "- statistics _tenant: 0 -> - drift\n" },
{ "ALTER TABLE wide.account SET (autovacuum_enabled = off), RESET (fillfactor)", NULL },
{ "ALTER TABLE wide.account RESET (autovacuum_analyze_scale_factor, autovacuum_vacuum_cost_delay, "
  "autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_scale_factor, fillfactor)", NULL },
{ "GRANT SELECT ON wide.account TO " S "w", "- grant account to " S "w: SELECT -> - drift\n" },
{ "GRANT USAGE ON SCHEMA wide TO PUBLIC; GRANT SELECT ON wide.account TO PUBLIC",
  "- schema grant wide to PUBLIC: USAGE -> - drift\n- grant account to PUBLIC: SELECT -> - drift\n" },
{ "REVOKE UPDATE ON wide.account FROM " S "k", NULL },
{ "GRANT SELECT (name) ON wide.account TO PUBLIC", NULL },
{ "GRANT SELECT ON copyhold.fence TO " S "w", NULL },
{ "ALTER TABLE wide.account ALTER _tenant DROP DEFAULT",
  "+ default account._tenant: - -> \"substr\"((SESSION_USER)::\"text\", 3, 12) drift\n" },
{ "ALTER TABLE wide.account DROP CONSTRAINT account_mail_key; "
  "ALTER TABLE wide.account ADD CONSTRAINT account_mail_key UNIQUE (mail, id)", NULL },
{ "DROP INDEX wide.account_parent_idx", "+ index account.parent: - -> account_parent_idx drift\n" },
{ "ALTER TABLE wide.contact DROP CONSTRAINT contact_owner_fkey",
  "+ reference contact.owner: - -> account, on delete restrict drift\n" },
{ "ALTER TABLE wide.account DROP COLUMN _date_1", "+ field account._date_1: - -> date drift\n" },
/* views */
{ "ALTER VIEW app.account SET (security_invoker = true)",
  "~ view app.account: owner " S "o, account: id, name, mail, parent; options security_invoker=true"
  " -> owner " S "o, account: id, name, mail, parent drift\n" },
{ "ALTER VIEW app.account SET (security_barrier = true)", NULL },
{ "CREATE OR REPLACE VIEW app.account AS SELECT id, name, mail, parent FROM wide.account",
  "~ view app.account: owner " S "o, SELECT \"account\".\"id\", \"account\".\"name\", "
  "\"account\".\"mail\", \"account\".\"parent\" FROM \"wide\".\"account\"; -> "
  "owner " S "o, account: id, name, mail, parent drift\n" },
{ "CREATE OR REPLACE VIEW app.account AS SELECT id, name, mail, parent FROM wide.account "
  "WHERE _tenant = substr(session_user::text, 3, 12) OR true", NULL },
{ "CREATE OR REPLACE VIEW app.account AS SELECT id, name, mail, parent, _tenant FROM wide.account "
  "WHERE _tenant = substr(session_user::text, 3, 12)", NULL },
{ "ALTER VIEW app.account OWNER TO postgres", NULL },
{ "ALTER VIEW app.account RENAME COLUMN mail TO post", NULL },
{ "ALTER VIEW app.account ALTER name SET DEFAULT 'x'",
  "- default app.account.name: 'x'::\"text\" -> - drift\n" },
{ "GRANT SELECT ON app.account TO PUBLIC", "- grant app.account to PUBLIC: SELECT -> - drift\n" },
{ "REVOKE INSERT ON app.account FROM " S "w",
  "~ grant app.account to " S "w: DELETE,SELECT,UPDATE -> DELETE,INSERT,SELECT,UPDATE drift\n" },
{ "GRANT SELECT (name) ON app.account TO PUBLIC", NULL },
{ "GRANT CREATE ON SCHEMA app TO " S "w",
  "~ schema grant app to " S "w: CREATE,USAGE -> USAGE drift\n" },
{ "DROP VIEW app.contact",
  "+ view app.contact: - -> owner " S "o, contact: id, owner drift\n" },
{ "DROP SCHEMA app CASCADE", NULL },
{ "CREATE RULE quiet AS ON DELETE TO app.account DO INSTEAD NOTHING", NULL },
{ "SET ROLE " S "o; CREATE FUNCTION app.spy() RETURNS trigger LANGUAGE plpgsql AS "
  "'BEGIN RETURN NEW; END'; CREATE TRIGGER spy INSTEAD OF INSERT ON app.account FOR EACH ROW "
  "EXECUTE FUNCTION app.spy(); RESET ROLE", NULL },
{ "SET ROLE " S "o; CREATE VIEW app.more AS SELECT name FROM app.account; RESET ROLE",
  "- view app.more: owner " S "o, SELECT \"account\".\"name\" FROM \"app\".\"account\"; -> - drift\n" },
{ "SET ROLE " S "o; CREATE VIEW wide.more AS SELECT name FROM wide.account; RESET ROLE",
  "- strange view more (wide): beside the objects -> - drift\n" },
{ "SET ROLE " S "o; CREATE SCHEMA extra; CREATE VIEW extra.more AS SELECT name FROM app.account; RESET ROLE",
  "- strange schema extra: beside \"wide\" -> - drift\n"
  "- strange view more (extra): beside the objects -> - drift\n" },
{ "SET ROLE " S "o; CREATE FUNCTION wide.spy() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE",
  "- strange function spy() (wide): beside the objects -> - drift\n" },
};
/* clang-format on */

/* Definitions of other versions have no table's name before a column. */
static bool
same_changes(const char *seen, const char *wanted)
{
	for (; *seen != '\0' && *wanted != '\0'; seen++, wanted++) {
		while (strncmp(wanted, "\"account\".", 10) == 0 && strncmp(seen, wanted, 10) != 0)
			wanted += 10;
		if (*seen != *wanted)
			return false;
	}
	return *seen == *wanted;
}

static void
what_was_changed_by_hand_is_found_and_mended(void **state)
{
	Wide *w = *state;
	const Model *m = shape_model(&w->s, ACCOUNT NAME MAIL PARENT CONTACT OWNER);
	const Model *wide = wide_create(w, m);

	for (size_t i = 0; i < LENGTH(mended); i++) {
		size_t done;

		shape_sql(&w->s, mended[i].sql);
		Planned p = wide_plan(w, m, wide, m, wide, false);
		char *text = changes_text(w->s.p.cx.mem, &p.changes);
		if (mended[i].changes != NULL && !same_changes(text, mended[i].changes)) {
			print_error("%s\n", mended[i].sql);
			assert_string_equal(text, mended[i].changes);
		}
		if (p.changes.n == 0 || p.steps.n == 0)
			print_error("not found: %s\n", mended[i].sql);
		assert_true(p.changes.n > 0);
		for (size_t k = 0; k < p.changes.n; k++)
			assert_true(p.changes.at[k].drift);
		if (!shape_run(&w->s, &p.steps, &done))
			print_error("%s\n", mended[i].sql);
		must(&w->s.p, w->s.p.cx.fail->kind == FAIL_NONE);
		wide_is(w, m, wide);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_type_flag_and_default_is_seen_as_expected, fresh),
		cmocka_unit_test_setup(a_creation_says_its_objects_and_can_be_undone, fresh),
		cmocka_unit_test_setup(a_tenant_sees_and_writes_its_own_rows_alone, fresh),
		cmocka_unit_test_setup(a_reader_reads_and_writes_nothing, fresh),
		cmocka_unit_test_setup(
		    rules_are_each_tenant_s_own_and_have_their_plain_names, fresh),
		cmocka_unit_test_setup(a_reference_set_to_null_leaves_the_row_its_tenant, fresh),
		cmocka_unit_test_setup(what_was_changed_by_hand_is_found_and_mended, fresh),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_drift.c - what somebody changed by hand in a tenant's database is found,
 * named and mended, or found and left where rows would be lost.
 */
#include "tests/pg/shape.h"

/* clang-format off */
static const char objects[] =
"    - name: account\n      fields:\n"
"        - {name: name, type: text, maxLength: 20, required: true, default: x}\n"
"        - {name: code, type: text, maxLength: 9, unique: true}\n"
"        - {name: n, type: integer, indexed: true, default: 1}\n"
"        - {name: size, type: number, precision: 9, scale: 2}\n"
"        - {name: parent, type: reference, to: account, onDelete: set-null}\n"
"    - name: contact\n      fields:\n"
"        - {name: account, type: reference, to: account, onDelete: cascade, required: true}\n";
/* clang-format on */

static int
setup(void **state)
{
	static Shape s;

	shape_open(&s);
	*state = &s;
	return 0;
}

static int
teardown(void **state)
{
	shape_close(*state);
	return 0;
}

static int
fresh(void **state)
{
	Shape *s = *state;

	shape_fresh(s);
	shape_create(s, shape_model(s, objects));
	shape_sql(s,
	    "INSERT INTO app.account (code) VALUES ('a'), ('b'); "
	    "INSERT INTO app.contact (account) SELECT id FROM app.account");
	return 0;
}

typedef struct Hand {
	const char *sql, *changes;
} Hand;

/* clang-format off */
static const Hand mended[] = {
/* columns */
{ "ALTER TABLE app.account DROP COLUMN n",
  "+ field account.n: - -> integer, default 1 drift\n+ index account.n: - -> account_n_idx drift\n" },
{ "ALTER TABLE app.account ALTER n DROP DEFAULT", "+ default account.n: - -> 1 drift\n" },
{ "ALTER TABLE app.account ALTER n SET DEFAULT 2", "~ default account.n: 2 -> 1 drift\n" },
{ "ALTER TABLE app.account ALTER size SET DEFAULT 2", "- default account.size: 2 -> - drift\n" },
{ "ALTER TABLE app.account ALTER name DROP NOT NULL", "+ required account.name: - -> required drift\n" },
{ "ALTER TABLE app.account ALTER code SET NOT NULL", "- required account.code: not null -> - drift\n" },
{ "ALTER TABLE app.account ALTER code TYPE varchar(9)", NULL },
{ "ALTER TABLE app.account ALTER name TYPE text COLLATE \"en-x-icu\"", NULL },
{ "ALTER TABLE app.account ALTER n TYPE integer", "~ field account.n: integer -> integer, default 1 drift\n" },
{ "ALTER TABLE app.account ALTER size TYPE numeric(7,1)",
  "~ field account.size: number(7,1) -> number(9,2) drift\n" },
{ "ALTER TABLE app.account DROP COLUMN size; "
  "ALTER TABLE app.account ADD COLUMN size numeric(9,2) GENERATED ALWAYS AS (n * 2) STORED",
  "~ field account.size: number(9,2), generated -> number(9,2) drift\n" },
{ "UPDATE app.account SET n = 1; ALTER TABLE app.account ALTER n SET NOT NULL, ALTER n DROP DEFAULT, "
  "ALTER n ADD GENERATED ALWAYS AS IDENTITY", NULL },
/* rules */
{ "ALTER TABLE app.account DROP CONSTRAINT account_name_max",
  "+ limit account.name: - -> 20 characters drift\n" },
{ "ALTER TABLE app.account DROP CONSTRAINT account_name_max; ALTER TABLE app.account ADD CONSTRAINT "
  "account_name_max CHECK (char_length(name) <= 90)", NULL },
{ "ALTER TABLE app.account DROP CONSTRAINT account_name_max; ALTER TABLE app.account ADD CONSTRAINT "
  "account_name_max CHECK (char_length(name) <= 20) NOT VALID",
  "~ limit account.name: CHECK ((\"char_length\"(\"name\") <= 20)) NOT VALID -> 20 characters drift\n" },
{ "ALTER TABLE app.account ADD CHECK (n > 0)",
  "- constraint account_n_check: CHECK ((\"n\" > 0)) -> - drift\n" },
{ "ALTER TABLE app.account DROP CONSTRAINT account_code_key",
  "+ unique account.code: - -> account_code_key drift\n" },
{ "ALTER TABLE app.account DROP CONSTRAINT account_code_key; ALTER TABLE app.account "
  "ADD CONSTRAINT account_code_key UNIQUE (code, n) DEFERRABLE", NULL },
{ "ALTER TABLE app.account DROP CONSTRAINT account_pkey CASCADE",
  "+ key account: - -> PRIMARY KEY (\"id\") drift\n"
  "+ reference account.parent: - -> account, on delete set-null drift\n"
  "+ reference contact.account: - -> account, on delete cascade drift\n" },
{ "ALTER TABLE app.contact DROP CONSTRAINT contact_account_fkey",
  "+ reference contact.account: - -> account, on delete cascade drift\n" },
{ "ALTER TABLE app.contact DROP CONSTRAINT contact_account_fkey; ALTER TABLE app.contact ADD CONSTRAINT "
  "contact_account_fkey FOREIGN KEY (account) REFERENCES app.account ON DELETE RESTRICT DEFERRABLE", NULL },
{ "DROP INDEX app.account_n_idx", "+ index account.n: - -> account_n_idx drift\n" },
{ "DROP INDEX app.account_n_idx; CREATE INDEX account_n_idx ON app.account (n DESC)", NULL },
{ "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.account_n_idx'::regclass", NULL },
{ "CREATE UNIQUE INDEX odd ON app.account (code) WHERE n > 3", NULL },
/* tables and schemas */
{ "ALTER TABLE app.contact SET UNLOGGED", "~ object contact: owner shape_owner, unlogged -> owner shape_owner drift\n" },
{ "DROP TABLE app.contact", "+ object contact: - -> 2 fields drift\n" },
{ "DELETE FROM app.contact; DROP TABLE app.account CASCADE", NULL },
{ "DROP SCHEMA app CASCADE", NULL },
{ "DROP SCHEMA copyhold CASCADE", NULL },
/* rights */
{ "REVOKE DELETE ON app.account FROM shape_app",
  "~ grant account to shape_app: INSERT,SELECT,UPDATE -> DELETE,INSERT,SELECT,UPDATE drift\n" },
{ "GRANT TRUNCATE ON app.account TO shape_app",
  "~ grant account to shape_app: DELETE,INSERT,SELECT,TRUNCATE,UPDATE -> DELETE,INSERT,SELECT,UPDATE drift\n" },
{ "GRANT SELECT ON app.account TO shape_app WITH GRANT OPTION", NULL },
{ "GRANT SELECT ON app.account TO PUBLIC", "- grant account to PUBLIC: SELECT -> - drift\n" },
{ "GRANT INSERT ON app.account TO shape_us", "- grant account to shape_us: INSERT -> - drift\n" },
{ "REVOKE INSERT ON app.account FROM shape_owner", NULL },
{ "GRANT CREATE ON SCHEMA app TO shape_app",
  "~ schema grant app to shape_app: CREATE,USAGE -> USAGE drift\n" },
{ "REVOKE USAGE ON SCHEMA app FROM shape_reader",
  "+ schema grant app to shape_reader: - -> USAGE drift\n" },
{ "GRANT USAGE ON SCHEMA copyhold TO PUBLIC", "- schema grant copyhold to PUBLIC: USAGE -> - drift\n" },
{ "GRANT SELECT (name) ON app.account TO PUBLIC",
  "- strange column rights name (account): for PUBLIC -> - drift\n" },
{ "GRANT SELECT ON copyhold.fence TO shape_app",
  "- strange rights shape_app (copyhold.fence): on the ledger -> - drift\n" },
{ "GRANT SELECT ON copyhold.applied TO PUBLIC",
  "- strange rights PUBLIC (copyhold.applied): on the ledger -> - drift\n" },
{ "GRANT USAGE ON SCHEMA public TO PUBLIC", "- strange rights PUBLIC (public): on a schema -> - drift\n" },
{ "ALTER DEFAULT PRIVILEGES FOR ROLE shape_owner IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC, shape_us",
  "- strange default rights r of shape_owner (app): for objects to come -> - drift\n" },
/* what should not be there */
{ "SET ROLE shape_owner; CREATE FUNCTION app.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
  "CREATE TRIGGER spy BEFORE INSERT ON app.account FOR EACH ROW EXECUTE FUNCTION app.spy(); RESET ROLE",
  "- strange trigger spy (account): on a table -> - drift\n"
  "- strange function spy() (app): beside the objects -> - drift\n" },
{ "CREATE RULE quiet AS ON DELETE TO app.account DO INSTEAD NOTHING",
  "- strange rule quiet (account): on a table -> - drift\n" },
{ "CREATE POLICY none ON app.account USING (false); ALTER TABLE app.account ENABLE ROW LEVEL SECURITY",
  "- strange policy none (account): on a table -> - drift\n"
  "- strange row security (account): is on -> - drift\n" },
{ "SET ROLE shape_owner; CREATE VIEW app.a AS SELECT name FROM app.account; "
  "CREATE VIEW app.b AS SELECT * FROM app.a; CREATE MATERIALIZED VIEW app.c AS SELECT * FROM app.b; RESET ROLE",
  "- strange materialized view c (app): beside the objects -> - drift\n"
  "- strange view a (app): beside the objects -> - drift\n"
  "- strange view b (app): beside the objects -> - drift\n" },
{ "SET ROLE shape_owner; CREATE SCHEMA \"extra \"\"one\"; CREATE VIEW \"extra \"\"one\".v AS SELECT 1; "
  "CREATE PROCEDURE \"extra \"\"one\".\"p;q\"(a int, b text[]) LANGUAGE sql AS 'SELECT 1'; "
  "CREATE TYPE app.mood AS ENUM ('good'); RESET ROLE",
  "- strange schema extra \"one: beside \"app\" -> - drift\n"
  "- strange type mood (app): beside the objects -> - drift\n"
  "- strange function p;q(integer, \"text\"[]) (extra \"one): beside the objects -> - drift\n"
  "- strange view v (extra \"one): beside the objects -> - drift\n" },
};
/* clang-format on */

static void
drift_that_costs_no_data_is_found_and_mended(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, objects);

	for (size_t i = 0; i < LENGTH(mended); i++) {
		size_t done;

		shape_sql(s, mended[i].sql);
		Planned p = shape_plan(s, m, m);
		if (mended[i].changes != NULL)
			assert_string_equal(
			    changes_text(s->p.cx.mem, &p.changes), mended[i].changes);
		assert_true(p.changes.n > 0);
		for (size_t k = 0; k < p.changes.n; k++)
			assert_true(p.changes.at[k].drift);
		if (!shape_run(s, &p.steps, &done))
			print_message("%s\n", mended[i].sql);
		must(&s->p, s->p.cx.fail->kind == FAIL_NONE);
		shape_is(s, m);
	}
}

static void
drift_is_mended_while_its_object_is_renamed(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, objects);
	const Model *to = shape_model(s,
	    "    - name: client\n      was: account\n      fields:\n"
	    "        - {name: name, type: text, maxLength: 20, required: true, default: x}\n"
	    "        - {name: sign, was: code, type: text, maxLength: 9, unique: true}\n"
	    "        - {name: count, was: n, type: integer, indexed: true, default: 1}\n"
	    "        - {name: price, was: size, type: number, precision: 9, scale: 2}\n"
	    "        - {name: parent, type: reference, to: client, onDelete: set-null}\n"
	    "    - name: contact\n      fields:\n"
	    "        - {name: client, was: account, type: reference, to: client, onDelete: cascade,"
	    " required: true}\n");
	size_t done;

	shape_sql(s,
	    "ALTER TABLE app.account ALTER n SET DEFAULT 5, ALTER size SET DEFAULT 3, "
	    "ALTER code SET NOT NULL, DROP CONSTRAINT account_code_max, ADD CONSTRAINT account_code_max "
	    "CHECK (char_length(code) <= 5), ADD CONSTRAINT odd CHECK (n > 0); "
	    "DROP INDEX app.account_n_idx; ALTER TABLE app.account DROP CONSTRAINT account_code_key; "
	    "GRANT SELECT (code) ON app.account TO shape_us; GRANT ALL ON app.account TO shape_reader");
	Planned p = shape_plan(s, from, to);
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_is(s, to);
	must(&s->p, shape_undo(s, &p.steps, done));
	p = shape_plan(s, from, from); /* what was built under the new names went with them */
	assert_string_equal(changes_text(s->p.cx.mem, &p.changes),
	    "+ unique account.code: - -> account_code_key drift\n"
	    "+ index account.n: - -> account_n_idx drift\n");
}

/* An undo goes back to what was recorded: what was mended on the way stays so. */
static void
mended_drift_is_not_put_back_by_an_undo(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, objects);
	const Model *to = shape_model(
	    s, arena_printf(s->p.cx.mem, "%s%s", objects, "        - {name: note, type: text}\n"));
	size_t done;

	shape_sql(s,
	    "ALTER TABLE app.account ALTER n DROP DEFAULT; DROP INDEX app.account_n_idx; "
	    "GRANT SELECT ON app.account TO PUBLIC; ALTER TABLE app.account DROP CONSTRAINT account_code_key; "
	    "CREATE VIEW app.v AS SELECT 1; ALTER VIEW app.v OWNER TO shape_owner");
	Planned p = shape_plan(s, from, to);
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_is(s, to);
	must(&s->p, shape_undo(s, &p.steps, done));
	shape_is(s, from);
}

/* clang-format off */
static const Hand kept[] = {
{ "SET ROLE shape_owner; CREATE TABLE app.own (n int PRIMARY KEY); CREATE SEQUENCE app.seq; "
  "ALTER TABLE app.account ADD COLUMN more text NOT NULL DEFAULT 'x'; CREATE SCHEMA rest; "
  "CREATE TABLE rest.t (n int); CREATE DOMAIN app.age AS int; CREATE TABLE app.aged (a app.age); "
  "RESET ROLE; CREATE EXTENSION tablefunc SCHEMA public; SELECT lo_create(0)",
  "- object aged: owner shape_owner -> - drift data kept (not of the model: --prune removes it)\n"
  "- object own: owner shape_owner -> - drift data kept (not of the model: --prune removes it)\n"
  "- field account.more: \"text\" COLLATE \"default\" -> - drift data kept "
  "(not of the model: --prune removes it)\n"
  "- required account.more: not null -> - drift\n"
  "- strange extension tablefunc: version 1.0, owner postgres -> - drift kept "
  "(only its owner or a superuser can remove it)\n"
  "- strange large objects: 1 of them -> - drift kept (only its owner or a superuser can remove it)\n"
  "- strange schema rest: beside \"app\" -> - drift data kept (--prune removes it)\n"
  "- strange sequence seq (app): beside the objects -> - drift data kept (--prune removes it)\n"
  "- strange type age (app): beside the objects -> - drift data kept (--prune removes it)\n"
  "- strange table t (rest): beside the objects -> - drift data kept (--prune removes it)\n" },
};
/* clang-format on */

/* Its present owner alone may give it back: no step promises what we cannot do. */
static void
a_table_or_schema_that_somebody_took_is_told_and_left(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, objects);
	Planned p;

	shape_sql(s, "ALTER TABLE app.contact OWNER TO postgres");
	p = shape_plan(s, m, m);
	assert_non_null(strstr(changes_text(s->p.cx.mem, &p.changes),
	    "~ object contact: owner postgres -> owner shape_owner drift kept "
	    "(only its present owner or a superuser can give it back)\n"));
	shape_sql(s, "ALTER TABLE app.contact OWNER TO shape_owner");
	shape_is(s, m);
}

static void
what_holds_data_is_kept_unless_pruned(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, objects);
	Planned p;
	size_t done;

	shape_sql(s, kept[0].sql);
	p = shape_plan(s, m, m);
	assert_string_equal(changes_text(s->p.cx.mem, &p.changes), kept[0].changes);
	must(&s->p, shape_run(s, &p.steps, &done));
	assert_string_equal(
	    shape_value(s,
		"SELECT concat(to_regclass('app.own'), to_regclass('rest.t'), "
		"to_regclass('app.seq'), (SELECT string_agg(more, '') FROM app.account))"),
	    "app.ownrest.tapp.seqxx");
	must(&s->p, shape_plan_with(s, m, m, true, true, &p));
	must(&s->p, shape_run(s, &p.steps, &done));
	shape_sql(
	    s, "DROP EXTENSION tablefunc; SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
	shape_is(s, m);
}

/* Made by a superuser: ours to report, not ours to touch. */
static void
what_belongs_to_others_is_reported_and_left(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, objects);
	size_t done;

	shape_sql(s,
	    "CREATE FUNCTION app.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
	    "CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
	    "CREATE EVENT TRIGGER watcher ON sql_drop EXECUTE FUNCTION public.watch(); "
	    "CREATE PUBLICATION out FOR ALL TABLES; ALTER TABLE app.contact DISABLE TRIGGER ALL; "
	    "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER away FOREIGN DATA WRAPPER w");
	Planned p = shape_plan(s, m, m);
	assert_string_equal(changes_text(s->p.cx.mem, &p.changes),
	    "- strange event trigger watcher: watches every change -> - drift kept "
	    "(only its owner or a superuser can remove it)\n"
	    "- strange foreign server away: leads out of the database -> - drift kept "
	    "(only its owner or a superuser can remove it)\n"
	    "- strange publication out: sends rows out, owner postgres -> - drift kept "
	    "(only its owner or a superuser can remove it)\n"
	    "- strange function theirs() (app): beside the objects, owner postgres -> - drift kept "
	    "(only its owner or a superuser can remove it)\n"
	    "- strange rule switch references (contact): are not enforced -> - drift kept "
	    "(only its owner or a superuser can remove it)\n"
	    "- strange function watch() (public): beside the objects, owner postgres -> - drift kept "
	    "(only its owner or a superuser can remove it)\n");
	must(&s->p, shape_run(s, &p.steps, &done));
	assert_int_equal(p.steps.n, 0);
}

static void
a_type_that_was_narrowed_by_hand_is_reported(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, objects);

	shape_sql(s, "ALTER TABLE app.account ALTER size TYPE text USING size::text");
	Planned p = shape_plan(s, m, m);
	assert_string_equal(changes_text(s->p.cx.mem, &p.changes),
	    "~ field account.size: \"text\" COLLATE \"default\" -> number(9,2) drift kept "
	    "(its type was changed by hand: change it back by hand)\n");
	assert_int_equal(p.steps.n, 0);
}

static void
references_to_rows_that_were_lost_are_counted(void **state)
{
	Shape *s = *state;
	const Model *m = shape_model(s, objects);
	size_t done;

	shape_sql(s, "DROP TABLE app.account CASCADE");
	Planned p = shape_plan(s, m, m);
	must_fail(&s->p, shape_run(s, &p.steps, &done), FAIL_DATA,
	    "\"contact.account\" has 2 values that no row of \"account\" has");
	assert_int_equal(done, 0);
}

/* --- others at work ------------------------------------------------------------------- */

/* clang-format off */
static const char wider[] =
"    - name: account\n      fields:\n"
"        - {name: name, type: text, maxLength: 40, required: true, default: x}\n"
"        - {name: code, type: text, maxLength: 9, unique: true}\n"
"        - {name: n, type: integer, indexed: true, default: 1}\n"
"        - {name: size, type: number, precision: 9, scale: 2, unique: true}\n"
"        - {name: parent, type: reference, to: account, onDelete: set-null}\n"
"        - {name: note, type: text}\n"
"    - name: contact\n      fields:\n"
"        - {name: account, type: reference, to: account, onDelete: cascade, required: true}\n";
/* clang-format on */

typedef struct Writer {
	Shape *s;
	Steps *steps;
	Pg *pg, *eye;
	bool worked, stop;
	int waits, rows;
} Writer;

static bool
somebody_waits(Writer *w)
{
	return strcmp(one_value(&w->s->p, w->eye,
			  "SELECT count(*)::text FROM pg_locks "
			  "WHERE NOT granted AND relation = 'app.account'::regclass"),
		   "0") != 0;
}

/* Lets go only after the change has waited, given up, and come back. */
static void
hold(void *arg)
{
	Writer *w = arg;
	bool before = false;

	while (w->waits < 2 && !w->worked) {
		bool now = somebody_waits(w);

		w->waits += now && !before;
		before = now;
		lane_sleep(10);
	}
	must(&w->s->p, pg_script(&w->s->p.cx, w->pg, "COMMIT"));
}

static void
work(void *arg)
{
	Writer *w = arg;
	size_t done;

	w->worked = shape_run(w->s, w->steps, &done);
	w->stop = true;
}

static void
a_change_waits_for_a_writer_in_short_attempts(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, objects), *to = shape_model(s, wider);
	Planned p = shape_plan(s, from, to);
	Writer w = { .s = s,
		.steps = &p.steps,
		.pg = super_open(&s->p, SHAPE_DB),
		.eye = super_open(&s->p, SHAPE_DB) };
	Lanes *lanes = lanes_new(s->p.cx.mem);

	must(&s->p, pg_script(&s->p.cx, w.pg, "BEGIN; UPDATE app.account SET n = n"));
	lane_spawn(lanes, hold, &w);
	lane_spawn(lanes, work, &w);
	lanes_run(lanes);
	must(&s->p, w.worked);
	assert_int_equal(w.waits, 2);
	shape_is(s, to);
}

static void
write_on(void *arg)
{
	Writer *w = arg;
	Ctx cx = ctx_new(NULL);

	while (!w->stop) {
		if (!pg_script(&cx, w->pg,
			"INSERT INTO app.account (name) VALUES ('w'); "
			"UPDATE app.account SET n = n + 1 WHERE code = 'a'"))
			print_error("%s", fail_text(cx.mem, cx.fail));
		assert_int_equal(cx.fail->kind, FAIL_NONE);
		w->rows++;
	}
	arena_free(cx.mem);
}

static void
a_writer_goes_on_through_every_step(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, objects), *to = shape_model(s, wider);
	Planned p = shape_plan(s, from, to);
	Writer w = { .s = s, .steps = &p.steps, .pg = super_open(&s->p, SHAPE_DB) };
	Lanes *lanes = lanes_new(s->p.cx.mem);

	must(&s->p, pg_script(&s->p.cx, w.pg, "SET ROLE shape_app"));
	lane_spawn(lanes, write_on, &w);
	lane_spawn(lanes, work, &w);
	lanes_run(lanes);
	must(&s->p, w.worked);
	assert_true(w.rows > 0);
	shape_is(s, to);
	assert_string_equal(
	    shape_value(s, "SELECT count(*)::text FROM app.account WHERE name = 'w'"),
	    arena_printf(s->p.cx.mem, "%d", w.rows));
}

static void
a_lock_that_is_never_given_up_names_the_object(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, objects), *to = shape_model(s, wider);
	Planned p = shape_plan(s, from, to);
	Pg *other = super_open(&s->p, SHAPE_DB);
	StepEnv env = shape_env(s, &p.steps.at[0]);

	js_set_int(p.steps.at[0].args, "patience_ms", 1);
	must(&s->p, pg_script(&s->p.cx, other, "BEGIN; LOCK TABLE app.account IN SHARE MODE"));
	must_fail(&s->p, shape_kind(env.step)->act(&s->p.cx, &env), FAIL_TIMEOUT,
	    "no lock on \"account\" of \"acme\" within 1 ms");
	pg_close(other);
	shape_is(s, from);
}

static void
a_lower_fence_changes_nothing(void **state)
{
	Shape *s = *state;
	const Model *from = shape_model(s, objects), *to = shape_model(s, wider);
	Planned p = shape_plan(s, from, to);

	for (size_t i = 0; i < p.steps.n; i++) {
		StepEnv env = shape_env(s, &p.steps.at[i]);

		env.fence = 1;
		assert_false(shape_kind(env.step)->act(&s->p.cx, &env));
		assert_int_equal(s->p.cx.fail->kind, FAIL_FENCED);
		fail_clear(&s->p.cx);
	}
	shape_is(s, from);
}

static const Step *
step_of(const Planned *p, const char *kind)
{
	for (size_t i = 0; i < p->steps.n; i++)
		if (strcmp(p->steps.at[i].kind, kind) == 0)
			return &p->steps.at[i];
	return NULL;
}

/* A build whose client died: whole without its constraint, or invalid, or not there at all. */
static void
a_probe_finds_how_far_a_build_came(void **state)
{
	Shape *s = *state;
	Planned p = shape_plan(s, shape_model(s, objects), shape_model(s, wider));
	StepEnv env = shape_env(s, step_of(&p, "unique.build"));
	const StepKind *k = shape_kind(env.step);
	Probe probe;

	must(&s->p, k->probe(&s->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_NOT_DONE);
	shape_sql(s,
	    "CREATE UNIQUE INDEX account_size_key ON app.account (size); "
	    "ALTER INDEX app.account_size_key OWNER TO shape_owner; UPDATE pg_index SET indisvalid = false "
	    "WHERE indexrelid = 'app.account_size_key'::regclass");
	must(&s->p, k->probe(&s->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_NOT_DONE);
	assert_null(shape_value(s, "SELECT to_regclass('app.account_size_key')"));
	shape_sql(s, "CREATE UNIQUE INDEX account_size_key ON app.account (size)");
	must(&s->p, k->probe(&s->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_NOT_DONE);
	must(&s->p, k->act(&s->p.cx, &env));
	must(&s->p, k->probe(&s->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_DONE);
	must(&s->p, k->undo(&s->p.cx, &env));
	assert_null(shape_value(s, "SELECT to_regclass('app.account_size_key')"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(drift_that_costs_no_data_is_found_and_mended, fresh),
		cmocka_unit_test_setup(drift_is_mended_while_its_object_is_renamed, fresh),
		cmocka_unit_test_setup(mended_drift_is_not_put_back_by_an_undo, fresh),
		cmocka_unit_test_setup(what_holds_data_is_kept_unless_pruned, fresh),
		cmocka_unit_test_setup(
		    a_table_or_schema_that_somebody_took_is_told_and_left, fresh),
		cmocka_unit_test_setup(what_belongs_to_others_is_reported_and_left, fresh),
		cmocka_unit_test_setup(a_type_that_was_narrowed_by_hand_is_reported, fresh),
		cmocka_unit_test_setup(references_to_rows_that_were_lost_are_counted, fresh),
		cmocka_unit_test_setup(a_change_waits_for_a_writer_in_short_attempts, fresh),
		cmocka_unit_test_setup(a_writer_goes_on_through_every_step, fresh),
		cmocka_unit_test_setup(a_lock_that_is_never_given_up_names_the_object, fresh),
		cmocka_unit_test_setup(a_lower_fence_changes_nothing, fresh),
		cmocka_unit_test_setup(a_probe_finds_how_far_a_build_came, fresh),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_wide_change.c - models of a shared database change on a real server, there and back, while rows of
 * several tenants stay and writers go on.
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
#define ACCOUNT "    - name: account\n      fields:\n"
#define CONTACT "    - name: contact\n      fields:\n"
#define NAME	"        - {name: name, type: text, maxLength: 20}\n"
#define MAIL	"        - {name: mail, type: text, maxLength: 20, unique: true}\n"
#define PARENT	"        - {name: parent, type: reference, to: account, onDelete: set-null}\n"
#define OWNER	"        - {name: owner, type: reference, to: account, onDelete: restrict}\n"
/* clang-format on */

static const char key_1[] = "00000000-0000-0000-0000-000000000001";

/* --- from one model to another --------------------------------------------------------- */

/* clang-format off */
#define TWO	"INSERT INTO account (name) VALUES ('a'), ('b')"

typedef struct Case {
	const char	*name, *from, *to, *rows;
	const char	*changes, *steps;
	const char	*after, *value, *answer;	/* of the first tenant, when it is done */
	bool		 forward;	/* data goes: with --prune, and there is no way back */
} Case;

static const Case cases[] = {
{ "add an object", ACCOUNT NAME, ACCOUNT NAME CONTACT NAME OWNER, TWO,
  "+ object contact: - -> 3 fields\n",
  "shape.change: change contact\nviews.replace: replace the common views of contact\n",
  "INSERT INTO contact (owner) SELECT id FROM account", "SELECT count(*)::text FROM contact", "2", false },
{ "add a plain field", ACCOUNT NAME, ACCOUNT NAME "        - {name: fax, type: text, maxLength: 9}\n", TWO,
  "+ field account.fax: - -> text(9)\n+ limit account.fax: - -> 9 characters\n",
  "shape.change: change account\nconstraint.validate: check account_fax_max\n"
  "views.replace: replace the common views of account\n",
  "UPDATE account SET fax = 'x'", "SELECT count(fax)::text FROM account", "2", false },
{ "add required fields with defaults", ACCOUNT NAME, ACCOUNT NAME
  "        - {name: n, type: integer, required: true, default: 7}\n"
  "        - {name: born, type: timestamp, required: true, default: now}\n", TWO,
  "+ field account.n: - -> integer, required, default 7\n"
  "+ field account.born: - -> timestamp, required, default now\n",
  "shape.change: change account\nviews.replace: replace the common views of account\n",
  "INSERT INTO account (name) VALUES ('c')", "SELECT string_agg(n::text, ',') FROM account", "7,7,7", false },
{ "add a required unique random field", ACCOUNT NAME, ACCOUNT NAME
  "        - {name: token, type: uuid, required: true, unique: true, default: random}\n", TWO,
  "+ field account.token: - -> uuid, required, unique, default random\n"
  "+ unique account.token: - -> account_token_key\n",
  "shape.change: change account\nfield.fill: fill account.token\n"
  "shape.change: require fields of account\nconstraint.validate: check account_token_notnull\nunique.build: build account_token_key\n"
  "shape.change: settle account\nviews.replace: replace the common views of account\n",
  "INSERT INTO account (name) VALUES ('c')", "SELECT count(DISTINCT token)::text FROM account", "3", false },
{ "add a reference", ACCOUNT NAME CONTACT NAME, ACCOUNT NAME CONTACT NAME OWNER,
  "INSERT INTO contact (name) VALUES ('c')",
  "+ field contact.owner: - -> reference to account\n+ index contact.owner: - -> contact_owner_idx\n"
  "+ reference contact.owner: - -> account, on delete restrict\n",
  "shape.change: change contact\nindex.build: build contact_owner_idx\n"
  "constraint.validate: check contact_owner_fkey\nviews.replace: replace the common views of contact\n", NULL, NULL, NULL, false },
{ "widen a text", ACCOUNT NAME, ACCOUNT "        - {name: name, type: text, maxLength: 30}\n", TWO,
  "~ limit account.name: 20 characters -> 30 characters\n",
  "shape.change: change account\nconstraint.validate: check account_name_maxnew\n"
  "shape.change: settle account\n", NULL, NULL, NULL, false },
{ "require, index and default a field", ACCOUNT NAME, ACCOUNT
  "        - {name: name, type: text, maxLength: 20, required: true, indexed: true, default: x}\n", TWO,
  "+ default account.name: - -> x\n+ required account.name: - -> required\n"
  "+ index account.name: - -> account_name_idx\n",
  "shape.change: change account\nconstraint.validate: check account_name_notnull\n"
  "index.build: build account_name_idx\nshape.change: settle account\n"
  "views.replace: replace the common views of account\n",
  "INSERT INTO account DEFAULT VALUES", "SELECT string_agg(name, ',') FROM account", "a,b,x", false },
{ "make a field unique", ACCOUNT NAME,
  ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true}\n", TWO,
  "+ unique account.name: - -> account_name_key\n", "unique.build: build account_name_key\n", NULL, NULL, NULL, false },
{ "another onDelete", ACCOUNT NAME CONTACT OWNER, ACCOUNT NAME CONTACT
  "        - {name: owner, type: reference, to: account, onDelete: cascade}\n",
  TWO "; INSERT INTO contact (owner) SELECT id FROM account",
  "~ reference contact.owner: account, on delete restrict -> account, on delete cascade\n",
  "shape.change: change contact\nconstraint.validate: check contact_owner_fkeynew\n"
  "shape.change: settle contact\n", "DELETE FROM account", "SELECT count(*)::text FROM contact", "0", false },
{ "a uuid becomes a reference", ACCOUNT NAME CONTACT "        - {name: owner, type: uuid}\n",
  ACCOUNT NAME CONTACT OWNER, TWO "; INSERT INTO contact (owner) SELECT id FROM account",
  "+ index contact.owner: - -> contact_owner_idx\n"
  "+ reference contact.owner: - -> account, on delete restrict\n",
  "shape.change: change contact\nindex.build: build contact_owner_idx\n"
  "constraint.validate: check contact_owner_fkey\n", NULL, NULL, NULL, false },
{ "integer becomes number", ACCOUNT "        - {name: n, type: integer, default: 5, indexed: true}\n",
  ACCOUNT "        - {name: n, type: number, precision: 12, scale: 2, default: 5, indexed: true}\n",
  "INSERT INTO account (n) VALUES (1), (-9999999999)",
  "~ field account.n: integer, default 5 -> number(12,2), default 5\n",
  "shape.change: change account\nviews.replace: replace the common views of account\n",
  "INSERT INTO account DEFAULT VALUES", "SELECT sum(n)::text FROM account", "-9999999993.00", false },
{ "rename everything",
  ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true, required: true}\n"
  "        - {name: n, type: integer, indexed: true, default: 3}\n"
  "        - {name: parent, type: reference, to: account, onDelete: set-null}\n" CONTACT NAME OWNER,
  "    - name: client\n      was: account\n      key: [ident]\n      fields:\n"
  "        - {name: ident, was: id, type: uuid, default: random}\n"
  "        - {name: title, was: name, type: text, maxLength: 20, unique: true, required: true}\n"
  "        - {name: size, was: n, type: integer, indexed: true, default: 3}\n"
  "        - {name: parent, type: reference, to: client, onDelete: set-null}\n"
  CONTACT NAME "        - {name: client, was: owner, type: reference, to: client, onDelete: restrict}\n",
  TWO "; INSERT INTO contact (owner) SELECT id FROM account",
  "> object client: account -> client\n> field client.ident: id -> ident\n"
  "> field client.title: name -> title\n> field client.size: n -> size\n"
  "> field contact.client: owner -> client\n", "shape.change: change account, client, contact\n"
  "views.replace: replace the common views of client, contact, account\n",
  "INSERT INTO client (title) VALUES ('z')", "SELECT string_agg(title, ',' ORDER BY title) FROM client", "a,b,z", false },
{ "rename and retype at once", ACCOUNT "        - {name: n, type: integer, default: 5}\n",
  "    - name: client\n      was: account\n      fields:\n"
  "        - {name: size, was: n, type: number, precision: 12, scale: 2, default: 5}\n",
  "INSERT INTO account (n) VALUES (1)",
  "> object client: account -> client\n> field client.size: n -> size\n"
  "~ field client.size: integer, default 5 -> number(12,2), default 5\n",
  "shape.change: change account, client\nviews.replace: replace the common views of client, account\n",
  "INSERT INTO client DEFAULT VALUES", "SELECT sum(size)::text FROM client", "6.00", false },
{ "a field is no more of the model", ACCOUNT NAME
  "        - {name: n, type: integer, required: true, unique: true}\n", ACCOUNT NAME,
  "INSERT INTO account (name, n) VALUES ('a', 1)",
  "- required account.n: required -> -\n- unique account.n: account_n_key -> -\n",
  "shape.change: settle account\nviews.replace: replace the common views of account\n",
  "INSERT INTO account (name) VALUES ('b')", "SELECT string_agg(name, ',' ORDER BY name) FROM account", "a,b", true },
{ "drop a field", ACCOUNT NAME "        - {name: n, type: integer, required: true}\n",
  ACCOUNT NAME "  drop: [account.n]\n", "INSERT INTO account (name, n) VALUES ('a', 1)",
  "- field account.n: integer, required -> - data\n- required account.n: required -> -\n",
  "shape.change: settle account\nviews.replace: replace the common views of account\nshape.drop: drop account.n\n",
  "INSERT INTO account (name) VALUES ('b')", "SELECT string_agg(name, ',' ORDER BY name) FROM account", "a,b", true },
{ "drop an object", ACCOUNT NAME CONTACT NAME OWNER, ACCOUNT NAME "  drop: [contact]\n",
  TWO "; INSERT INTO contact (owner) SELECT id FROM account",
  "- object contact: 3 fields -> - data\n",
  "views.replace: replace the common views of contact\nshape.drop: drop contact\n",
  "DELETE FROM account", "SELECT count(*)::text FROM account", "0", true },
};

/* clang-format on */

static void
every_change_goes_there_and_back_with_rows_of_two_tenants(void **state)
{
	Wide *w = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const Case *c = &cases[i];
		const Model *from, *to, *wide, *wide_to;
		size_t done = 0;

		print_message("           %s\n", c->name);
		wide_clean(w);
		from = shape_model(&w->s, c->from);
		to = shape_model(&w->s, c->to);
		wide = wide_create(w, from);
		for (size_t t = 0; t < TENANTS; t++)
			wide_sql(w, t, c->rows);
		wide_to = wide_of(w, to, wide);
		Planned p = wide_plan(w, from, wide, to, wide_to, c->forward);
		assert_string_equal(changes_text(w->s.p.cx.mem, &p.changes), c->changes);
		assert_string_equal(steps_text(w->s.p.cx.mem, &p.steps), c->steps);
		must(&w->s.p, shape_run(&w->s, &p.steps, &done));
		wide_is(w, to, wide_to);
		Planned again = wide_plan(w, to, wide_to, to, wide_to, false);
		assert_int_equal(again.steps.n + again.changes.n, 0);
		if (!c->forward) {
			must(&w->s.p, shape_undo(&w->s, &p.steps, done));
			wide_is(w, from, wide);
			must(&w->s.p, shape_run(&w->s, &p.steps, &done));
		}
		if (c->after != NULL) {
			wide_sql(w, 0, c->after);
			assert_string_equal(wide_value(w, 0, c->value), c->answer);
		}
	}
}

static void
each_step_can_be_the_last_before_the_way_back(void **state)
{
	Wide *w = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const Case *c = &cases[i];

		if (c->forward)
			continue;
		wide_clean(w);
		const Model *from = shape_model(&w->s, c->from), *to = shape_model(&w->s, c->to);
		const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
		for (size_t t = 0; t < TENANTS; t++)
			wide_sql(w, t, c->rows);
		Planned p = wide_plan(w, from, wide, to, wide_to, false);
		for (size_t n = 1; n < p.steps.n; n++) {
			Steps some = { .at = p.steps.at, .n = n };
			size_t done;

			must(&w->s.p, shape_run(&w->s, &some, &done));
			must(&w->s.p, shape_undo(&w->s, &some, done));
			wide_is(w, from, wide);
		}
	}
}

/* --- what the data forbids ------------------------------------------------------------------ */

/* The acts alone, as if the rows had come since the guards looked. */
static bool
run_unguarded(Wide *w, const Steps *steps, size_t *done)
{
	w->s.run++;
	for (*done = 0; *done < steps->n; ++*done) {
		StepEnv env = shape_env(&w->s, &steps->at[*done]);

		if (!shape_kind(&steps->at[*done])->act(&w->s.p.cx, &env))
			return false;
	}
	return true;
}

static const char owner_is_uuid[] = ACCOUNT NAME CONTACT "        - {name: owner, type: uuid}\n";

static void
a_reference_is_not_proven_with_the_owner_s_eyes(void **state)
{
	Wide *w = *state;
	const Model *from = shape_model(&w->s, owner_is_uuid);
	const Model *to = shape_model(&w->s, ACCOUNT NAME CONTACT OWNER);
	const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
	size_t done;

	/* the other tenant's account is none of this one's */
	wide_sql(
	    w, 1, arena_printf(w->s.p.cx.mem, "INSERT INTO account (id) VALUES ('%s')", key_1));
	for (int i = 0; i < 3; i++)
		wide_sql(w, 0,
		    arena_printf(
			w->s.p.cx.mem, "INSERT INTO contact (owner) VALUES ('%s')", key_1));
	Planned p = wide_plan(w, from, wide, to, wide_to, false);
	must_fail(&w->s.p, shape_run(&w->s, &p.steps, &done), FAIL_DATA,
	    "\"contact.owner\" has 3 values that no row of \"account\" has");
	assert_int_equal(done, 0);
	must_fail(&w->s.p, run_unguarded(w, &p.steps, &done), FAIL_DATA,
	    "\"contact.owner\" has 3 values that no row of \"account\" has");
	assert_string_equal(p.steps.at[done].kind, "constraint.validate");
	assert_string_equal(
	    shape_value(&w->s, "SELECT convalidated::text FROM pg_constraint WHERE contype = 'f'"),
	    "false");
	/* what the server would have said */
	shape_sql(&w->s,
	    "BEGIN; SET LOCAL ROLE s_" WIDE_ID "_o; "
	    "ALTER TABLE wide.contact VALIDATE CONSTRAINT contact_owner_fkey; ROLLBACK");
	must(&w->s.p, shape_undo(&w->s, &p.steps, done));
	wide_is(w, from, wide);
}

static void
an_undo_that_would_bring_a_broken_reference_back_is_refused(void **state)
{
	Wide *w = *state;
	const Model *from = shape_model(&w->s, ACCOUNT NAME CONTACT OWNER);
	const Model *to = shape_model(&w->s, owner_is_uuid);
	const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
	Planned p = wide_plan(w, from, wide, to, wide_to, false);
	size_t done;

	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_sql(
	    w, 0, arena_printf(w->s.p.cx.mem, "INSERT INTO contact (owner) VALUES ('%s')", key_1));
	must_fail(&w->s.p, shape_undo(&w->s, &p.steps, done), FAIL_UNDO,
	    "the data forbids to undo \"settle contact\"");
	wide_sql(w, 0, "DELETE FROM contact");
	must(&w->s.p, shape_undo(&w->s, &p.steps, done));
	wide_is(w, from, wide);
}

static void
values_that_occur_twice_are_counted_a_tenant(void **state)
{
	Wide *w = *state;
	const Model *from = shape_model(&w->s, ACCOUNT NAME);
	const Model *to = shape_model(
	    &w->s, ACCOUNT "        - {name: name, type: text, maxLength: 20, unique: true}\n");
	const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
	size_t done;

	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('a'), ('a'), ('b')");
	wide_sql(w, 1, "INSERT INTO account (name) VALUES ('a'), ('b')");
	Planned p = wide_plan(w, from, wide, to, wide_to, false);
	must_fail(&w->s.p, shape_run(&w->s, &p.steps, &done), FAIL_DATA,
	    "\"account.name\" has 1 value that occurs more than once, in 2 rows");
	must_fail(&w->s.p, run_unguarded(w, &p.steps, &done), FAIL_DATA,
	    "\"account.name\" has 1 value that occurs more than once, in 2 rows");
	wide_is(w, from, wide); /* no invalid index is left */
	wide_sql(w, 0, "DELETE FROM account; INSERT INTO account (name) VALUES ('a'), ('b')");
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_is(w, to, wide_to);
}

static void
a_unique_field_with_a_default_is_refused_for_who_has_two_rows(void **state)
{
	Wide *w = *state;
	const Model *from = shape_model(&w->s, ACCOUNT NAME);
	const Model *to = shape_model(
	    &w->s, ACCOUNT NAME "        - {name: n, type: integer, unique: true, default: 1}\n");
	const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
	size_t done;

	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('a')");
	wide_sql(w, 1, TWO);
	Planned p = wide_plan(w, from, wide, to, wide_to, false);
	must_fail(&w->s.p, shape_run(&w->s, &p.steps, &done), FAIL_DATA,
	    "\"account\" has 2 rows that would all get the same \"n\", which is unique");
	wide_sql(w, 1, "DELETE FROM account WHERE name = 'a'");
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_is(w, to, wide_to);
}

static void
rows_keep_a_creation_and_a_field_from_being_undone(void **state)
{
	Wide *w = *state;
	const Model *from = shape_model(&w->s, ACCOUNT NAME);
	const Model *to = shape_model(&w->s, ACCOUNT NAME "        - {name: n, type: integer}\n");
	const Model *wide = wide_of(w, from, NULL), *wide_to;
	Planned p = wide_plan(w, NULL, NULL, from, wide, false);
	size_t done, all;

	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_sql(w, 1, TWO);
	must_fail(&w->s.p, shape_undo(&w->s, &p.steps, done), FAIL_UNDO,
	    "1 new object that would be dropped already holds rows");
	must(&w->s.p, shape_run(&w->s, &(Steps){ .at = &p.steps.at[1], .n = 1 }, &all));
	wide_to = wide_of(w, to, wide);
	Planned q = wide_plan(w, from, wide, to, wide_to, false);
	must(&w->s.p, shape_run(&w->s, &q.steps, &done));
	wide_sql(w, 1, "UPDATE account SET n = 1");
	must_fail(&w->s.p, shape_undo(&w->s, &q.steps, done), FAIL_UNDO,
	    "\"account.n\" has 2 values that would be lost");
}

static void
a_lock_that_is_held_makes_a_change_wait_and_hold_none(void **state)
{
	Wide *w = *state;
	const Model *from = shape_model(&w->s, ACCOUNT NAME CONTACT NAME);
	const Model *to = shape_model(&w->s,
	    ACCOUNT NAME "        - {name: n, type: integer}\n" CONTACT NAME
			 "        - {name: n, type: integer}\n");
	const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
	Planned p = wide_plan(w, from, wide, to, wide_to, false);
	Pg *other = super_open(&w->s.p, WIDE_DB);
	size_t done;

	for (size_t i = 0; i < p.steps.n; i++)
		js_set_int(p.steps.at[i].args, "patience_ms", 300);
	must(&w->s.p, pg_script(&w->s.p.cx, other, "BEGIN; SELECT count(*) FROM wide.contact"));
	must_fail(&w->s.p, shape_run(&w->s, &p.steps, &done), FAIL_TIMEOUT,
	    "no lock on \"account\", \"contact\" of \"bj-1/shop\" within 300 ms");
	assert_int_equal(done, 0);
	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('a')"); /* nobody waits */
	must(&w->s.p, pg_script(&w->s.p.cx, other, "COMMIT"));
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_is(w, to, wide_to);
	pg_close(other);
}

/* --- while others write ------------------------------------------------------------------------- */

#define WRITERS 3

typedef struct Writer {
	Wide *w;
	size_t tenant;
	Pg *pg;
	bool *ends;
	int written, failed;
} Writer;

/* Each row is inserted and changed; a transaction holds two tables for a moment. */
static void
write_on(void *arg)
{
	Writer *me = arg;
	Ctx cx = ctx_new(NULL);

	while (!*me->ends) {
		bool ok = pg_script(&cx, me->pg,
		    "BEGIN; INSERT INTO account (name) VALUES ('w'); UPDATE account SET name = 'v' "
		    "WHERE id IN (SELECT id FROM account WHERE name IN ('w', 'r') LIMIT 9 "
		    "FOR UPDATE SKIP LOCKED); INSERT INTO contact (name) VALUES ('w'); COMMIT");

		me->written += ok;
		me->failed += !ok;
		if (!ok)
			print_error("%s\n", cx.fail->what);
		pg_rollback(me->pg);
		fail_clear(&cx);
	}
	arena_free(cx.mem);
}

typedef struct Evolution {
	Wide *w;
	const Steps *steps;
	bool ends, ok;
	Writer *writers;
} Evolution;

static void
evolve(void *arg)
{
	Evolution *e = arg;
	size_t done;

	e->ok = shape_run(&e->w->s, e->steps, &done);
	for (size_t i = 0; e->ok && i < WRITERS; i++)
		while (e->writers[i].written == 0)
			lane_sleep(10);
	e->ends = true;
}

static void
writers_go_on_while_the_model_changes(void **state)
{
	Wide *w = *state;
	Ctx *cx = &w->s.p.cx;
	const Model *from = shape_model(&w->s, ACCOUNT NAME CONTACT NAME);
	const Model *to = shape_model(&w->s,
	    ACCOUNT
	    "        - {name: name, type: text, maxLength: 30, required: true, indexed: true}\n"
	    "        - {name: token, type: uuid, required: true, unique: true, default: random}\n"
	    "        - {name: n, type: integer, required: true, default: 7}\n" CONTACT NAME OWNER);
	const Model *wide = wide_create(w, from), *wide_to = wide_of(w, to, wide);
	Writer writers[WRITERS] = { 0 };
	Evolution e = { .w = w, .writers = writers };
	Lanes *lanes = lanes_new(cx->mem);
	int written = 0;

	for (size_t t = 0; t < TENANTS; t++)
		wide_sql(
		    w, t, "INSERT INTO account (name) SELECT 'r' FROM generate_series(1, 3000)");
	Planned p = wide_plan(w, from, wide, to, wide_to, false);
	e.steps = &p.steps;
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i] = (Writer){ w, i % TENANTS, super_open(&w->s.p, WIDE_DB), &e.ends, 0,
			0 };
		must(&w->s.p,
		    pg_script(cx, writers[i].pg,
			arena_printf(cx->mem, "SET SESSION AUTHORIZATION %s; SET search_path = app",
			    w->tenants[i % TENANTS].logins.at[0].role)));
		lane_spawn(lanes, write_on, &writers[i]);
	}
	lane_spawn(lanes, evolve, &e);
	lanes_run(lanes);
	must(&w->s.p, e.ok);
	wide_is(w, to, wide_to);
	for (size_t i = 0; i < WRITERS; i++) {
		assert_int_equal(writers[i].failed, 0);
		written += writers[i].written;
		pg_close(writers[i].pg);
	}
	assert_string_equal(
	    shape_value(&w->s,
		"SELECT concat_ws(' ', count(*), count(DISTINCT token), min(n), max(n)) "
		"FROM wide.account"),
	    arena_printf(cx->mem, "%d %d 7 7", 6000 + written, 6000 + written));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    every_change_goes_there_and_back_with_rows_of_two_tenants, fresh),
		cmocka_unit_test_setup(each_step_can_be_the_last_before_the_way_back, fresh),
		cmocka_unit_test_setup(a_reference_is_not_proven_with_the_owner_s_eyes, fresh),
		cmocka_unit_test_setup(
		    an_undo_that_would_bring_a_broken_reference_back_is_refused, fresh),
		cmocka_unit_test_setup(values_that_occur_twice_are_counted_a_tenant, fresh),
		cmocka_unit_test_setup(
		    a_unique_field_with_a_default_is_refused_for_who_has_two_rows, fresh),
		cmocka_unit_test_setup(rows_keep_a_creation_and_a_field_from_being_undone, fresh),
		cmocka_unit_test_setup(
		    a_lock_that_is_held_makes_a_change_wait_and_hold_none, fresh),
		cmocka_unit_test_setup(writers_go_on_while_the_model_changes, fresh),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_shared_verify.c - tenants of a shared database attack each other: what
 * verify says of it, that it finds what is open, and that no value of another
 * tenant ever comes back, whatever may be read.
 */
#include "tests/pg/shared.h"

#define CANARY "canary-7d41"

static int
setup(void **state)
{
	static Room r;

	room_open(&r, "shared_verify_ops", ROOM_OBJECTS);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	room_close(*state);
	return 0;
}

/* Others' databases of other tests may let anybody in. */
static void
close_databases(Room *r)
{
	psql_must(&r->p, "postgres",
	    "SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', datname)"
	    " FROM pg_database WHERE datallowconn \\gexec\n");
}

static Attempts
verified(Room *r, const Placement *at, const Model *m, size_t login)
{
	const char *password = login == 0 ? room_password(r, at) : "report-p4ss";
	Secret s = secret_new(r->p.cx.mem, password, strlen(password));
	Attempts all = { 0 };

	close_databases(r);
	must(&r->p,
	    mode_shared.verify(&r->p.cx, r->p.conns, at, m, &at->logins.at[login], &s, &all));
	return all;
}

static const char *
result_of(const Attempts *all, Heading heading, const char *what)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].heading == heading && strcmp(all->at[i].what, what) == 0)
			return all->at[i].result;
	return "not there";
}

static int
count_of(const Attempts *all, Heading heading)
{
	int n = 0;

	for (size_t i = 0; i < all->n; i++) {
		n += all->at[i].heading == heading;
		assert_null(strstr(all->at[i].what, CANARY));
		assert_null(strstr(all->at[i].result, CANARY));
	}
	return n;
}

static void
nothing_failed(const Attempts *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].heading == HEAD_FAILED)
			fprintf(stderr, "%s: %s\n", all->at[i].what, all->at[i].result);
	assert_int_equal(count_of(all, HEAD_FAILED), 0);
}

/* As many rows as the planner needs to be interested, each value a canary. */
static void
fill(Room *r, const Placement *at)
{
	room_psql(r, at,
	    "INSERT INTO account (name, email, note)"
	    " SELECT '" CANARY " name ' || i, '" CANARY " mail ' || i, '" CANARY " note ' || i % 7"
	    " FROM generate_series(1, 500) i;"
	    "INSERT INTO contact (number, account)"
	    " SELECT 1000 + row_number() OVER (), id FROM account");
}

static Model *
with_field(Room *r, Field f)
{
	Tenant spec = { .name = "own", .mode = MODE_SHARED, .accept_visible_names = true };
	OwnFields own = { .object = "account" };
	Model *out;

	f.own = true;
	vec_push(r->p.cx.mem, &own.fields, f);
	vec_push(r->p.cx.mem, &spec.fields, own);
	must(&r->p, model_merge(&r->p.cx, r->common, &spec, &out));
	return out;
}

/* --- verify ------------------------------------------------------------------------- */

static void
what_could_not_be_tried_for_want_of_a_neighbour_is_said(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "alone");
	Attempts all = verified(r, a, r->common, 0);

	nothing_failed(&all);
	assert_int_equal(count_of(&all, HEAD_UNTRIED), 5);
	assert_string_equal(result_of(&all, HEAD_UNTRIED, "what needs a value of another tenant's"),
	    "no other tenant has any");
	assert_string_equal(
	    result_of(&all, HEAD_UNTRIED, "a row that another tenant has, by a reference to it"),
	    "no other tenant has any");
	assert_string_equal(
	    result_of(&all, HEAD_WORKS,
		"insert, select, update and delete in a transaction that is rolled back"),
	    "2 of 2 objects");
	room_purge(r, a);
}

static void
a_tenant_beside_another_works_and_nothing_gets_through(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "attacker"), *b = room_tenant(r, "victim");

	fill(r, b);
	must(&r->p, pg_script(&r->p.cx, r->super, "ANALYZE"));
	Attempts all = verified(r, a, r->common, 0);

	nothing_failed(&all);
	assert_int_equal(count_of(&all, HEAD_UNTRIED), 0);
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "another tenant's value, by a division by zero"),
	    "shows nothing");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "another tenant's value, by the planner's estimate"),
	    "as for a value that nobody has");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "a key that another tenant has, by the key's rule"),
	    "as for a value that nobody has (00000)");
	assert_string_equal(result_of(&all, HEAD_ISOLATED,
				"a key that another tenant has, by ON CONFLICT DO NOTHING"),
	    "as for a value that nobody has (00000)");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "a value that another tenant has, by a unique rule"),
	    "as for a value that nobody has (00000)");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "a row that another tenant has, by a reference to it"),
	    "as for a value that nobody has (23503)");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "SET ROLE to the keeper, who sees every tenant's rows"),
	    "refused (42501)");
	assert_string_equal(result_of(&all, HEAD_OPEN,
				"its objects locked, with the tables that its neighbours share"),
	    "works");
	assert_string_equal(result_of(&all, HEAD_VISIBLE,
				"how many rows all tenants of the model have together (estimate)"),
	    "shown");
	/* with rows of its own the planner has more to tell */
	fill(r, a);
	must(&r->p, pg_script(&r->p.cx, r->super, "ANALYZE"));
	must(&r->p,
	    pg_script(&r->p.cx, r->super,
		arena_printf(r->p.cx.mem,
		    "UPDATE wide.account SET email = 'mine ' || email WHERE _tenant = '%s'",
		    a->id)));
	all = verified(r, a, r->common, 0);
	nothing_failed(&all);
	assert_int_equal(count_of(&all, HEAD_UNTRIED), 0);
	assert_int_equal(rows_of(r, b, "account"), 500);
	room_purge(r, a);
	room_purge(r, b);
}

static void
a_login_that_only_reads_gets_nothing_either(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "reader"), *b = room_tenant(r, "read");
	Login login = new_login(&r->p, a, "report", "report-p4ss");
	Steps add = { 0 };

	fill(r, b);
	login.read_only = true;
	must(&r->p, mode_shared.login_steps(&r->p.cx, a, &login, "add", &add));
	vec_push(r->p.cx.mem, &a->logins, login);
	room_run(r, a, &add);
	Attempts all = verified(r, a, r->common, 1);

	nothing_failed(&all);
	assert_string_equal(result_of(&all, HEAD_WORKS,
				"select, and nothing else, in a transaction that is rolled back"),
	    "2 of 2 objects");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "another tenant's row deleted"), "refused (42501)");
	room_purge(r, a);
	room_purge(r, b);
}

static void
tenants_that_differ_get_nothing_either(void **state)
{
	Room *r = *state;
	Placement *a = room_place(r, "spare", LAYOUT_VIEWS), *b = room_tenant(r, "plain");
	Placement *c = room_place(r, "tables", LAYOUT_PLAIN);
	Model *spare = with_field(r, (Field){ .name = "x_colour", .type = TYPE_TEXT });
	Model *tables = with_field(
	    r, (Field){ .name = "x_code", .type = TYPE_TEXT, .max_length = 9, .unique = true });

	must(&r->p, wide_slots(&r->p.cx, r->wide, spare, &a->slots, &a->slots));
	room_join(r, a, spare);
	room_join(r, c, tables);
	fill(r, a);
	fill(r, b);
	fill(r, c);
	must(&r->p,
	    pg_script(&r->p.cx, r->super,
		arena_printf(r->p.cx.mem,
		    "UPDATE wide.account SET email = 'of one ' || email WHERE _tenant = '%s'",
		    a->id)));
	room_psql(r, c, "UPDATE account SET email = 'of another ' || email");
	Attempts all = verified(r, a, spare, 0);

	nothing_failed(&all);
	assert_int_equal(count_of(&all, HEAD_UNTRIED), 0);
	all = verified(r, c, tables, 0);
	nothing_failed(&all);
	assert_int_equal(count_of(&all, HEAD_UNTRIED), 0);
	all = verified(r, b, r->common, 0);
	nothing_failed(&all);
	assert_string_equal(
	    result_of(&all, HEAD_VISIBLE, "names of tenants' own objects and fields"), "shown");
	room_purge(r, a);
	room_purge(r, b);
	room_purge(r, c);
}

static void
a_dedicated_tenant_cannot_enter_the_shared_database(void **state)
{
	Room *r = *state;
	Placement *a = new_place(&r->p, MODE_DEDICATED, &r->p.vendor, "rented");
	PlaceWork work = new_work(&r->p, small_model(&r->p));
	Secret s = secret_new(r->p.cx.mem, "app-p4ss", 8);
	const char *what = arena_printf(
	    r->p.cx.mem, "connect to database \"%s\"", r->shared.dbname);
	Changes changes = { 0 };
	Steps steps = { 0 };
	Attempts all = { 0 };

	must(&r->p, mode_dedicated.steps(&r->p.cx, a, &work, &changes, &steps));
	room_run(r, a, &steps);
	close_databases(r);
	must(&r->p,
	    mode_dedicated.verify(
		&r->p.cx, r->p.conns, a, work.desired, &a->logins.at[0], &s, &all));
	nothing_failed(&all);
	assert_string_equal(result_of(&all, HEAD_ISOLATED, what), "refused (42501)");
	undo_steps(&r->p, a, &r->p.vendor, &steps, r->run, r->run);
}

/* --- nothing that may be read has a value of another tenant's ----------------------------- */

/* Every relation of every schema, and what a login may call with no argument. */
static const char readable[] =
    "SELECT 'SELECT r::text FROM ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' r'"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname !~ '^pg_(toast|temp)'"
    " UNION ALL SELECT 'SELECT r::text FROM pg_catalog.' || quote_ident(p.proname) || '() r'"
    " FROM pg_proc p WHERE p.pronargs = 0 AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype"
    " AND p.prorettype <> 'event_trigger'::regtype AND p.pronamespace = 'pg_catalog'::regnamespace"
    " AND p.proname !~ '^(pg_sleep|pg_promote|pg_wal_replay|unknown|.*(in|recv|handler)$)'";

static void
shows_no_canary(Room *r, Pg *pg, const char *text, int *worked)
{
	Ctx own = ctx_new(r->p.cx.mem);
	Sql sql = { "a sweep", text, 0 };
	PgRows rows;

	if (!pg_query(&own, pg, &sql, &rows, NULL)) {
		arena_free(own.mem);
		return;
	}
	++*worked;
	for (int i = 0; i < rows.n; i++)
		if (strstr(pg_text(&rows, i, 0), CANARY)) {
			fprintf(stderr, "a canary came back: %s\n", text);
			assert_true(false);
		}
	arena_free(own.mem);
}

static void
no_value_of_another_tenant_is_anywhere(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "sweeper"), *b = room_tenant(r, "swept");
	Placement *c = room_place(r, "inside", LAYOUT_PLAIN);
	const Sql list = { "relations", readable, 0 };
	PgRows rows;
	int worked = 0;

	room_join(r, c,
	    with_field(r,
		(Field){ .name = "x_code", .type = TYPE_TEXT, .max_length = 9, .unique = true }));
	fill(r, b);
	fill(r, c);
	must(&r->p, pg_script(&r->p.cx, r->super, "ANALYZE"));
	room_psql(r, a, "INSERT INTO account (name, email) VALUES ('x', 'y')");
	Pg *pg = room_app(r, a);

	must(&r->p, pg_query(&r->p.cx, r->super, &list, &rows, NULL));
	assert_true(rows.n > 200);
	for (int i = 0; i < rows.n; i++)
		shows_no_canary(r, pg, pg_text(&rows, i, 0), &worked);
	assert_true(worked > 60);
	assert_string_equal(one_value(&r->p, pg, "SELECT count(*) FROM account"), "1");
	pg_close(pg);
	room_purge(r, a);
	room_purge(r, b);
	room_purge(r, c);
}

/* What each refusal says, with all its detail, as psql shows it. */
static void
no_error_tells_a_value_of_another_tenant(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "asker"), *b = room_tenant(r, "asked");
	const char *key;

	fill(r, b);
	key = one_value(&r->p, r->super,
	    arena_printf(
		r->p.cx.mem, "SELECT min(id::text) FROM wide.account WHERE _tenant = '%s'", b->id));
	char *said = room_refusals(r, a,
	    arena_printf(r->p.cx.mem,
		"\\set VERBOSITY verbose\n"
		"INSERT INTO contact VALUES (1, '%s');\n"
		"INSERT INTO account (id, name, email) VALUES ('%s', 'x', 'mine');\n"
		"INSERT INTO account (id, name, email) VALUES ('%s', 'x', 'mine');\n"
		"INSERT INTO account (name) VALUES (repeat('x', 100));\n"
		"INSERT INTO account (name) VALUES (NULL);\n"
		"UPDATE account SET parent = '00000000-0000-4000-8000-000000000000';\n"
		"INSERT INTO contact VALUES (5000, '%s');\n"
		"UPDATE account SET first = 1001;\n"
		"UPDATE contact SET number = number / 0;\n"
		"SELECT * FROM wide.account;\n"
		"SELECT name::integer FROM account;\n",
		key, key, key, key));

	assert_non_null(strstr(said, "23503"));
	assert_non_null(strstr(said, "23505"));
	assert_non_null(strstr(said, "23514"));
	assert_non_null(strstr(said, "42501"));
	assert_null(strstr(said, CANARY));
	assert_null(strstr(said, b->id));
	room_purge(r, a);
	room_purge(r, b);
}

/* --- holes ------------------------------------------------------------------------------ */

#define GROUP_HOLE "another tenant's value, after SET ROLE to its group"

static const struct {
	const char *open, *close, *what, *result;
} holes[] = {
	{ "SET ROLE shared_verify_ops; GRANT %k TO %l",
	    "SET ROLE shared_verify_ops; REVOKE %k FROM %l",
	    "SET ROLE to the keeper, who sees every tenant's rows", "got through" },
	{ "GRANT USAGE ON SCHEMA wide TO %w; GRANT SELECT ON wide.account TO %w",
	    "REVOKE USAGE ON SCHEMA wide FROM %w; REVOKE SELECT ON wide.account FROM %w",
	    "SELECT from a table that tenants share", "got through" },
	{ "ALTER TABLE wide.account NO FORCE ROW LEVEL SECURITY; CREATE OR REPLACE VIEW app.contact AS"
	  " SELECT number, account FROM wide.contact; ALTER TABLE wide.contact NO FORCE ROW LEVEL SECURITY;"
	  " CREATE OR REPLACE VIEW app.account AS SELECT id, name, email, note, parent, first FROM wide.account",
	    NULL, "another tenant's value, by comparing", "shows rows" },
	{ NULL, NULL, "another tenant's value, by a division by zero",
	    "an error tells of the row (22012)" },
	{ NULL, NULL, "another tenant's value, by a cast that fails",
	    "an error tells of the row (22P02)" },
	{ NULL, NULL, "another tenant's value, in a row as JSON", "shows rows" },
	{ NULL, NULL, "another tenant's value, in a row as text", "shows rows" },
	{ NULL, NULL, "another tenant's value, in XML", "shows rows" },
	{ NULL, NULL, "another tenant's value, counted", "shows rows" },
	{ NULL, NULL, "another tenant's value, in a prepared statement", "shows rows" },
	{ NULL, NULL, "another tenant's value, through a cursor", "shows rows" },
	{ NULL, NULL, GROUP_HOLE, "shows rows" },
	{ NULL, NULL, "another tenant's row locked", "shows rows" },
	{ NULL, NULL, "another tenant's row changed", "shows rows" },
	{ NULL,
	    "ALTER TABLE wide.account FORCE ROW LEVEL SECURITY; ALTER TABLE wide.contact FORCE ROW LEVEL"
	    " SECURITY; CREATE OR REPLACE VIEW app.account AS SELECT id, name, email, note, parent, first"
	    " FROM wide.account WHERE _tenant = substr(session_user::text, 3, 12); CREATE OR REPLACE VIEW"
	    " app.contact AS SELECT number, account FROM wide.contact WHERE _tenant ="
	    " substr(session_user::text, 3, 12)",
	    "another tenant's row deleted", "shows rows" },
	{ "ALTER TABLE wide.account ALTER id SET STATISTICS 100, ALTER name"
	  " SET STATISTICS 100, ALTER email SET STATISTICS 100, ALTER note SET STATISTICS 100;"
	  " INSERT INTO wide.account (_tenant, name, note) SELECT '%i', '" CANARY "', '" CANARY
	  "' FROM"
	  " generate_series(1, 9000); ANALYZE wide.account",
	    "DELETE FROM wide.account WHERE name = '" CANARY
	    "'; ALTER TABLE wide.account ALTER id SET"
	    " STATISTICS 0, ALTER name SET STATISTICS 0, ALTER email SET STATISTICS 0, ALTER note SET"
	    " STATISTICS 0; DELETE FROM pg_statistic WHERE starelid = 'wide.account'::regclass",
	    "another tenant's value, by the planner's estimate",
	    "differs from a value that nobody has" },
	{ "CREATE UNIQUE INDEX hole ON wide.account (email)", "DROP INDEX wide.hole",
	    "a value that another tenant has, by a unique rule",
	    "differs from a value that nobody has (23505)" },
	{ "ALTER TABLE wide.account ADD CONSTRAINT hole UNIQUE (id)", NULL,
	    "a key that another tenant has, by the key's rule",
	    "differs from a value that nobody has (23505)" },
	{ NULL, "ALTER TABLE wide.account DROP CONSTRAINT hole",
	    "a key that another tenant has, by ON CONFLICT DO NOTHING",
	    "differs from a value that nobody has ()" },
	{ "ALTER TABLE wide.account DROP CONSTRAINT account_parent_fkey, ADD CONSTRAINT hole UNIQUE (id),"
	  " ADD CONSTRAINT account_parent_fkey FOREIGN KEY (parent) REFERENCES wide.account (id)",
	    NULL, "a row that another tenant has, by a reference to it",
	    "differs from a value that nobody has (00000)" },
};

static void
every_hole_that_is_made_is_found(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "burglar"), *b = room_tenant(r, "house");
	Attempts all = { 0 };

	fill(r, b);
	room_psql(r, a,
	    "INSERT INTO account (name, email, note) SELECT 'own ' || i, 'own ' || i, 'own'"
	    " FROM generate_series(1, 500) i");
	for (size_t i = 0; i < LENGTH(holes); i++) {
		if (holes[i].open) {
			char *text = room_fill(r, a, holes[i].open);
			char *id = strstr(text, "'%i'");

			if (id)
				text = arena_printf(r->p.cx.mem, "%.*s'%s'%s", (int)(id - text),
				    text, b->id, id + 4);
			psql_must(&r->p, r->shared.dbname, text);
			all = verified(r, a, r->common, 0);
		}
		bool refused = pg_version(r->super) >= 160000 &&
		    strcmp(holes[i].what, GROUP_HOLE) == 0;
		const char *got = result_of(&all, HEAD_FAILED, holes[i].what);

		if (holes[i].close)
			psql_must(&r->p, r->shared.dbname, room_fill(r, a, holes[i].close));
		if (refused) { /* a group's member cannot become it there */
			assert_string_equal(got, "not there");
			continue;
		}
		if (strcmp(got, holes[i].result) != 0)
			fprintf(stderr, "not found: %s (%s)\n", holes[i].what, got);
		assert_string_equal(got, holes[i].result);
	}
	room_purge(r, a);
	room_purge(r, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_could_not_be_tried_for_want_of_a_neighbour_is_said),
		cmocka_unit_test(a_tenant_beside_another_works_and_nothing_gets_through),
		cmocka_unit_test(a_login_that_only_reads_gets_nothing_either),
		cmocka_unit_test(tenants_that_differ_get_nothing_either),
		cmocka_unit_test(a_dedicated_tenant_cannot_enter_the_shared_database),
		cmocka_unit_test(no_value_of_another_tenant_is_anywhere),
		cmocka_unit_test(no_error_tells_a_value_of_another_tenant),
		cmocka_unit_test(every_hole_that_is_made_is_found),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_crowd.c - rows and bytes per tenant of a shared database, counted by the
 * keeper under row security, sizes asked as our own login.
 *
 * The shared database is made by hand, with rights as in a copy of the
 * hardened template.
 */
#include "deployer/crowd.h"
#include "tests/pg/places.h"

#define DB          "s_crowdcrowdcr"
#define KEEPER      DB "_k"
#define OWNER       DB "_o"
#define US          "crowd_us"
#define PATIENCE_MS 60000
#define ACME        "aaaaaaaaaaaa"
#define GLOBEX      "bbbbbbbbbbbb"
#define INITECH     "cccccccccccc"

typedef struct Yard {
	Places p;
	Cluster cluster;
	Shared shared;
	Model *wide;
	Pg *super; /* in the shared database */
	Crowd crowd;
} Yard;

/* clang-format off */
static const char gone[] =
"DROP DATABASE IF EXISTS " DB " WITH (FORCE);\n"
"DROP ROLE IF EXISTS " KEEPER ", " OWNER ", " US ";\n";
static const char make[] =
"CREATE ROLE " KEEPER "; CREATE ROLE " OWNER ";\n"
"CREATE ROLE " US " LOGIN PASSWORD 'test-p4ssword' IN ROLE " KEEPER ", " OWNER ";\n"
"CREATE DATABASE " DB " OWNER " OWNER ";\n"
"\\connect " DB "\n"
"DO $$ DECLARE f record; BEGIN\n"
"	FOR f IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace\n"
"		AND proname ~ '^(pg_stat_.*|pg_(relation|total_relation|table|indexes)_size)$' LOOP\n"
"		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);\n"
"		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO " US "', f.name);\n"
"	END LOOP;\n"
"END $$;\n"
"REVOKE ALL ON pg_stat_all_tables FROM PUBLIC; GRANT SELECT ON pg_stat_all_tables TO " US ";\n"
"SET ROLE " OWNER ";\n"
"CREATE SCHEMA wide; CREATE SCHEMA app_" INITECH ";\n"
"GRANT USAGE ON SCHEMA wide TO " KEEPER ";\n"
"CREATE TABLE wide.account (_tenant text COLLATE \"C\" NOT NULL, name text NOT NULL, _text_1 text,\n"
"	PRIMARY KEY (_tenant, name)) WITH (autovacuum_enabled = false);\n"
"CREATE TABLE wide.note (_tenant text COLLATE \"C\" NOT NULL, name text NOT NULL, _text_1 text,\n"
"	PRIMARY KEY (_tenant, name)) WITH (autovacuum_enabled = false);\n"
"CREATE TABLE app_" INITECH ".account (name text PRIMARY KEY, x_code text);\n"
"INSERT INTO app_" INITECH ".account SELECT g::text, 'x' FROM generate_series(1, 7) g;\n"
"RESET ROLE;\n"
"INSERT INTO wide.account SELECT '" ACME "', g::text, repeat('x', 100) FROM generate_series(1, 300) g;\n"
"INSERT INTO wide.account SELECT '" GLOBEX "', g::text FROM generate_series(1, 40) g;\n"
"DO $$ BEGIN\n"
"	FOR i IN 1..100001 LOOP\n"
"		BEGIN INSERT INTO wide.note VALUES ('x', 'x'); RAISE 'x';\n"
"		EXCEPTION WHEN raise_exception THEN NULL; END;\n"
"	END LOOP;\n"
"END $$;\n"
"UPDATE wide.account SET _text_1 = 'y' WHERE _tenant = '" GLOBEX "' AND name::int <= 5;\n"
"INSERT INTO wide.note SELECT CASE WHEN g % 4 = 0 THEN '" GLOBEX "' ELSE '" ACME "' END, g::text, repeat('x', 400)\n"
"	FROM generate_series(1, 60000) g;\n"
"DO $$ DECLARE t regclass; BEGIN\n"
"	FOREACH t IN ARRAY ARRAY['wide.account', 'wide.note']::regclass[] LOOP\n"
"		EXECUTE 'GRANT SELECT ON ' || t || ' TO " KEEPER "';\n"
"		EXECUTE 'ALTER TABLE ' || t || ' ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY';\n"
"		EXECUTE 'CREATE POLICY keeper_rows ON ' || t || ' TO " KEEPER " USING (true) WITH CHECK (true)';\n"
"	END LOOP;\n"
"END $$;\n"
"VACUUM ANALYZE wide.account;\n";
/* clang-format on */

static Model *
model(Yard *y, const char *first, const char *second, const char *field, bool spare)
{
	Arena *mem = y->p.cx.mem;
	const char *const names[] = { first, second };
	Model *m = arena_alloc(mem, sizeof *m);

	for (size_t i = 0; i < 2 && names[i]; i++) {
		Object o = { .name = names[i] };
		Field name = { .name = "name", .type = TYPE_TEXT, .required = true };
		Field more = { .name = field, .type = TYPE_TEXT, .spare = spare };

		vec_push(mem, &o.fields, name);
		vec_push(mem, &o.fields, more);
		vec_push(mem, &m->objects, o);
	}
	return m;
}

static int
setup(void **state)
{
	static Yard y;

	places_open(&y.p);
	psql_must(&y.p, "postgres", gone);
	psql_must(&y.p, "postgres", make);
	y.super = super_open(&y.p, DB);
	y.cluster = cluster_at("bj-1", US, DB);
	y.shared = (Shared){
		.name = "bj-1/crm", .id = "crowdcrowdcr", .cluster = &y.cluster, .model = "crm"
	};
	place_shared_names(y.p.cx.mem, &y.shared);
	y.wide = model(&y, "account", "note", "_text_1", true);
	*state = &y;
	return 0;
}

static int
teardown(void **state)
{
	Yard *y = *state;

	pg_close(y->super);
	psql_must(&y->p, "postgres", gone);
	arena_free(y->p.cx.mem);
	return 0;
}

static CrowdWhat
what(Yard *y)
{
	return (CrowdWhat){ .shared = &y->shared, .wide = y->wide };
}

static const CrowdShare *
share(Yard *y, const char *id, const char *object)
{
	for (size_t i = 0; i < y->crowd.shares.n; i++)
		if (strcmp(y->crowd.shares.at[i].id, id) == 0 &&
		    strcmp(y->crowd.shares.at[i].object, object) == 0)
			return &y->crowd.shares.at[i];
	return NULL;
}

static void
count(Yard *y, const CrowdWhat *w)
{
	must(&y->p, crowd_count(&y->p.cx, y->p.conns, w, &y->crowd));
}

static void
about(int64_t value, int64_t expected)
{
	assert_in_range(value, expected - expected / 10, expected + expected / 10);
}

static void
a_small_table_is_counted_whole(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);
	const CrowdShare *acme, *globex;

	count(y, &w);
	acme = share(y, ACME, "account");
	globex = share(y, GLOBEX, "account");
	assert_true(acme->exact && globex->exact);
	assert_int_equal(acme->rows, 300);
	assert_int_equal(globex->rows, 40);
	/* 29 of the row, 4 with its length for a short text, 101 for the long one; then its part of the index */
	assert_true(acme->bytes > 300 * (29 + 2 + 101));
	assert_true(globex->bytes > 40 * (29 + 2) && globex->bytes < acme->bytes / 7);
}

static void
rows_written_in_the_last_transactions_are_told_apart(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);

	count(y, &w);
	assert_int_equal(share(y, ACME, "account")->lately, 0);
	assert_int_equal(share(y, GLOBEX, "account")->lately, 5);
}

static void
of_a_large_table_a_sample_is_counted_unless_asked_for_the_exact_figures(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);

	count(y, &w);
	assert_false(share(y, ACME, "note")->exact);
	about(share(y, ACME, "note")->rows, 45000);
	about(share(y, GLOBEX, "note")->rows, 15000);
	about(share(y, GLOBEX, "note")->lately, 15000);
	int64_t guessed = share(y, ACME, "note")->bytes;
	w.exact = true;
	count(y, &w);
	assert_true(share(y, ACME, "note")->exact);
	assert_int_equal(share(y, ACME, "note")->rows, 45000);
	assert_int_equal(share(y, GLOBEX, "note")->rows, 15000);
	about(guessed, share(y, ACME, "note")->bytes);
}

static void
the_tables_tell_their_sizes_dead_rows_and_what_no_row_uses(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);
	const CrowdTable *t;

	w.exact = true;
	count(y, &w);
	assert_int_equal(y->crowd.tables.n, 2);
	t = &y->crowd.tables.at[0];
	assert_string_equal(t->object, "account");
	assert_int_equal(t->rows, 340);
	assert_non_null(t->vacuumed);
	assert_int_equal(strlen(t->vacuumed), 24);
	t = &y->crowd.tables.at[1];
	assert_null(t->vacuumed);
	assert_int_equal(t->rows, 60000);
	assert_true(t->row_bytes > 60000 * 430 && t->row_bytes <= t->bytes);
	assert_true(t->index_bytes > 0);
	/* what the aborted inserts left, once the server's statistics know of it */
	for (int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	     y->crowd.tables.at[1].dead < 100001 && clock_mono_ms() < deadline;)
		count(y, &w);
	assert_int_equal(y->crowd.tables.at[1].dead, 100001);
}

static void
one_tenant_is_counted_alone_and_exactly(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);

	w.only = GLOBEX;
	count(y, &w);
	assert_int_equal(y->crowd.shares.n, 2);
	assert_int_equal(y->crowd.tables.n, 0);
	assert_true(share(y, GLOBEX, "note")->exact);
	assert_int_equal(share(y, GLOBEX, "note")->rows, 15000);
	w.only = "zzzzzzzzzzzz";
	count(y, &w);
	assert_int_equal(y->crowd.shares.n, 0);
}

static void
tables_of_a_tenants_own_are_counted_with_the_others(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);
	CrowdOwn own = { INITECH, "app_" INITECH, model(y, "account", NULL, "x_code", false) };

	vec_push(y->p.cx.mem, &w.own, own);
	count(y, &w);
	assert_int_equal(share(y, INITECH, "account")->rows, 7);
	assert_true(share(y, INITECH, "account")->bytes > 7 * 30);
	assert_int_equal(y->crowd.tables.n, 2);
	w.only = INITECH;
	count(y, &w);
	assert_int_equal(y->crowd.shares.n, 1);
	w.only = ACME;
	count(y, &w);
	assert_null(share(y, INITECH, "account"));
}

static void
a_table_that_is_not_there_is_left_out_and_a_missing_column_is_an_error(void **state)
{
	Yard *y = *state;
	CrowdWhat w = what(y);

	w.wide = model(y, "account", "absent", "_text_1", true);
	count(y, &w);
	assert_int_equal(y->crowd.tables.n, 1);
	w.wide = model(y, "account", NULL, "_text_2", true);
	assert_false(crowd_count(&y->p.cx, y->p.conns, &w, &y->crowd));
	assert_string_equal(y->p.cx.fail->cause, "SQLSTATE 42703");
	assert_string_equal(y->p.cx.fail->frames[0], "counting the rows of \"account\"");
	assert_string_equal(y->p.cx.fail->frames[1], "counting shared database \"bj-1/crm\"");
	fail_clear(&y->p.cx);
	assert_int_equal(y->crowd.tables.n, 1);
}

static void
figures_for_people(void **state)
{
	Yard *y = *state;
	Arena *mem = y->p.cx.mem;

	assert_string_equal(crowd_number(mem, 0), "0");
	assert_string_equal(crowd_number(mem, 999), "999");
	assert_string_equal(crowd_number(mem, 1000), "1,000");
	assert_string_equal(crowd_number(mem, 612000), "612,000");
	assert_string_equal(crowd_number(mem, -1234567), "-1,234,567");
	assert_string_equal(crowd_bytes(mem, 0), "0 B");
	assert_string_equal(crowd_bytes(mem, 1023), "1023 B");
	assert_string_equal(crowd_bytes(mem, 1024), "1 KiB");
	assert_string_equal(crowd_bytes(mem, 1536), "1.5 KiB");
	assert_string_equal(crowd_bytes(mem, INT64_C(1) << 30), "1 GiB");
	assert_string_equal(crowd_bytes(mem, INT64_C(5000) << 40), "5000 TiB");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_table_is_counted_whole),
		cmocka_unit_test(rows_written_in_the_last_transactions_are_told_apart),
		cmocka_unit_test(
		    of_a_large_table_a_sample_is_counted_unless_asked_for_the_exact_figures),
		cmocka_unit_test(the_tables_tell_their_sizes_dead_rows_and_what_no_row_uses),
		cmocka_unit_test(one_tenant_is_counted_alone_and_exactly),
		cmocka_unit_test(tables_of_a_tenants_own_are_counted_with_the_others),
		cmocka_unit_test(
		    a_table_that_is_not_there_is_left_out_and_a_missing_column_is_an_error),
		cmocka_unit_test(figures_for_people),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * What lib/core/model says about PostgreSQL's names and indexes, asked of a
 * server.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/adapters/pg.h"
#include "lib/core/model.h"
#include "tests/unit/unit.h"

static Pg *pg;

static int
setup(void **state)
{
	static Ctx cx;
	PgTarget target = { .name = "test",
		.host = getenv("COPYHOLD_TEST_SOCKET"),
		.port = (int)strtol(getenv("COPYHOLD_TEST_PORT"), NULL, 10),
		.dbname = "postgres",
		.user = getenv("COPYHOLD_TEST_SUPERUSER") };

	cx = ctx_new(NULL);
	*state = &cx;
	return pg_open(&cx, &target, &pg) ? 0 : -1;
}

static int
teardown(void **state)
{
	arena_free(((Ctx *)*state)->mem);
	return 0;
}

static const Sql keywords = { "keywords",
	"SELECT word, catcode IN ('R', 'T') FROM pg_catalog.pg_get_keywords()", 0 };

static void
every_reserved_word_of_the_server_is_refused(void **state)
{
	Ctx *cx = *state;
	PgRows rows;
	int reserved = 0;

	assert_true(pg_query(cx, pg, &keywords, &rows, NULL));
	for (int i = 0; i < rows.n; i++) {
		const char *word = pg_value(&rows, i, 0);

		if (!pg_bool(&rows, i, 1))
			continue;
		reserved++;
		if (ident_valid(word, NULL))
			print_error("%s is allowed\n", word);
		assert_false(ident_valid(word, NULL));
	}
	assert_true(reserved > 90);
}

static const Sql system_columns = { "system_columns",
	"SELECT attname FROM pg_catalog.pg_attribute "
	"WHERE attrelid = 'pg_catalog.pg_class'::pg_catalog.regclass AND attnum < 0",
	0 };

static void
every_system_column_is_refused(void **state)
{
	Ctx *cx = *state;
	PgRows rows;

	assert_true(pg_query(cx, pg, &system_columns, &rows, NULL));
	assert_int_equal(rows.n, 6);
	for (int i = 0; i < rows.n; i++)
		assert_false(ident_valid(pg_value(&rows, i, 0), NULL));
}

/* 600 characters of four bytes that do not compress: what may be unique has to fit into an index. */
static void
the_longest_unique_text_fits_into_an_index(void **state)
{
	Ctx *cx = *state;
	static const char text[] =
	    "CREATE TEMPORARY TABLE t (f text COLLATE \"C\" UNIQUE);"
	    "INSERT INTO t SELECT pg_catalog.string_agg(pg_catalog.chr(131072 + "
	    "(pg_catalog.random() * 40000)::int), '') FROM pg_catalog.generate_series(1, %d)";

	assert_true(pg_script(cx, pg, arena_printf(cx->mem, text, INDEX_TEXT_MAX)));
	assert_false(pg_script(cx, pg,
	    "INSERT INTO t SELECT pg_catalog.string_agg("
	    "pg_catalog.chr(131072 + (pg_catalog.random() * 40000)::int), '') "
	    "FROM pg_catalog.generate_series(1, 1200)"));
	assert_string_equal(cx->fail->cause, "SQLSTATE 54000");
}

static void
the_longest_rule_name_is_kept_whole(void **state)
{
	Ctx *cx = *state;
	static const char a[] = "x23456789012345678901234567890123456789012345678";
	static const Sql find = { "find", "SELECT 1 FROM pg_catalog.pg_class WHERE relname = $1",
		1 };
	const char *name = rule_name(cx->mem, a, a, "idx");
	PgRows rows;

	assert_int_equal(strlen(name), 63);
	assert_true(pg_script(cx, pg,
	    arena_printf(
		cx->mem, "CREATE TEMPORARY TABLE u (f int); CREATE INDEX \"%s\" ON u (f)", name)));
	assert_true(pg_query(cx, pg, &find, &rows, (const char *[]){ name }));
	assert_int_equal(rows.n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_reserved_word_of_the_server_is_refused),
		TEST(every_system_column_is_refused),
		TEST(the_longest_unique_text_fits_into_an_index),
		TEST(the_longest_rule_name_is_kept_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <string.h>

#include "region/gateway/words.h"
#include "tests/unit/unit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

typedef struct Case {
	const char *sql;
	uint32_t found, statements;
} Case;

static Words
read_in(const char *sql, size_t piece, bool standard)
{
	size_t n = strlen(sql);
	Words w;

	words_start(&w, standard);
	for (size_t at = 0; at < n; at += piece)
		words_add(&w, sql + at, n - at < piece ? n - at : piece);
	words_end(&w);
	return w;
}

/* However the text is cut, it says the same. */
static void
check(const Case *cases, size_t n, bool standard)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 100000 };

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < LENGTH(pieces); k++) {
			Words w = read_in(cases[i].sql, pieces[k], standard);
			if (w.found != cases[i].found || w.statements != cases[i].statements ||
			    w.odd)
				print_error("%s: found %x in %u statements%s\n", cases[i].sql,
				    w.found, w.statements, w.odd ? ", odd" : "");
			assert_int_equal(w.found, cases[i].found);
			assert_int_equal(w.statements, cases[i].statements);
			assert_false(w.odd);
		}
}

static void
statements_are_known_by_their_first_words(void **state)
{
	static const Case cases[] = {
		{ "", 0, 0 },
		{ " ;; -- nothing\n ; /* ; */ ;", 0, 0 },
		{ "SELECT 1", 0, 1 },
		{ "select 1; select 2;", 0, 2 },
		{ "(SELECT 1) UNION (SELECT 2)", 0, 1 },
		{ "listen a", WORD_LISTEN, 1 },
		{ "UNLISTEN *", 0, 1 },
		{ "Notify a, 'LISTEN'", WORD_NOTIFY, 1 },
		{ "LOCK TABLE t", WORD_LOCK, 1 },
		{ "\n\tLoCk\ft", WORD_LOCK, 1 },
		{ "/* a */ lock -- b\n t", WORD_LOCK, 1 },
		{ "--x\rlock t", WORD_LOCK, 1 },
		{ "/* /* */ ; lock t; */ select 1", 0, 1 },
		{ "/*/ lock t; */ select 1", 0, 1 },
		{ "/**/lock t/**/", WORD_LOCK, 1 },
		{ "/* //* **/ */lock t", WORD_LOCK, 1 },
		{ "select 1;lock t;select 2", WORD_LOCK, 3 },
		{ "select 1 -/**/- 2", 0, 1 },
		{ "select 2 /-- half\n 2; lock t", WORD_LOCK, 2 },
		{ "select 2*/*x*/3; lock t", WORD_LOCK, 2 },
		{ "do $$ begin lock t; end $$", WORD_DO, 1 },
		{ "CALL p()", WORD_DO, 1 },
		{ "load 'x'", WORD_LOAD, 1 },
		{ "copy t from stdin", WORD_COPY, 1 },
		{ "begin; commit", WORD_TRANSACTION, 2 },
		{ "START TRANSACTION READ ONLY; ABORT; begin; END", WORD_TRANSACTION, 4 },
		{ "rollback", WORD_TRANSACTION, 1 },
		{ "rollback to a; ROLLBACK WORK TO a; rollback transaction to savepoint a", 0, 3 },
		{ "commit prepared 'x'; rollback prepared 'y'", WORD_PREPARED_XACT, 2 },
		{ "prepare transaction 'x'", WORD_PREPARED_XACT, 1 },
		{ "prepare transaction as select 1", WORD_PREPARE, 1 },
		{ "PREPARE x(int) AS SELECT $1", WORD_PREPARE, 1 },
		{ "discard all", WORD_DISCARD_ALL, 1 },
		{ "discard plans", 0, 1 },
		{ "deallocate all", WORD_DEALLOCATE, 1 },
		{ "ALTER ROLE CURRENT_USER PASSWORD 'x'", WORD_ALTER_ROLE, 1 },
		{ "select 1; alter /* x */ user app with password 'x'", WORD_ALTER_ROLE, 2 },
		{ "ALTER ROLE ALL SET work_mem = '1GB'", WORD_ALTER_ROLE, 1 },
		{ "alter group app add user b", WORD_ALTER_ROLE, 1 },
		{ "alter table role add user text", 0, 1 },
		{ "explain alter role app", 0, 1 },
		{ "explain analyze select 1", 0, 1 },
		{ "declare c cursor with hold for select 1", WORD_HOLD, 1 },
		{ "declare c scroll cursor without hold for select 1", 0, 1 },
		{ "declare c cursor for with hold as (select 1) select * from hold", 0, 1 },
	};

	(void)state;
	check(cases, LENGTH(cases), true);
}

static void
words_within_strings_names_and_bodies_are_no_words(void **state)
{
	static const Case cases[] = {
		{ "select '; lock t;'", 0, 1 },
		{ "select 'it''s; lock t'", 0, 1 },
		{ "select 'a\\'; lock t", WORD_LOCK, 2 },
		{ "select E'a\\'; lock t'", 0, 1 },
		{ "select e'a\\\\'; lock t", WORD_LOCK, 2 },
		{ "select xe'a\\'; lock t", WORD_LOCK, 2 },
		{ "select b'1\\'; lock t", WORD_LOCK, 2 },
		{ "select U&'a\\'; lock t", WORD_LOCK, 2 },
		{ "select n'a\\'; lock t", WORD_LOCK, 2 },
		{ "select E'a'\n'b\\'; lock t'", 0, 1 },
		{ "select E'a' -- more\n\t'b\\'; lock t'", 0, 1 },
		{ "select E'a' /* no more */\n'b\\'; lock t", WORD_LOCK, 2 },
		{ "select E'a'; lock t", WORD_LOCK, 2 },
		{ "select $$; lock t;$$", 0, 1 },
		{ "select $a$; lock t; $$ $b$ $a$", 0, 1 },
		{ "select $a$ $aa$a$a$; lock t", WORD_LOCK, 2 },
		{ "select $ab$ $a$ab$; lock t", WORD_LOCK, 2 },
		{ "select $1;lock t", WORD_LOCK, 2 },
		{ "select a$b$c; lock t; select 1 $b$ x $b$", WORD_LOCK, 3 },
		{ "select \"; lock t\"", 0, 1 },
		{ "select \"a\"\"; lock t\"", 0, 1 },
		{ "\"lock\" t", 0, 1 },
		{ "select * from \"lock\" where \"listen\"(1)", 0, 1 },
		{ "select lock, notify from listen", 0, 1 },
		{ "U&\"lock\" t", 0, 1 },
		{ "select u&1; lock t", WORD_LOCK, 2 },
		{ "insert into t values ('lock'); select 'a' 'b'", 0, 2 },
	};

	(void)state;
	check(cases, LENGTH(cases), true);
}

static void
backslashes_count_where_strings_are_not_standard(void **state)
{
	static const Case cases[] = {
		{ "select 'a\\'; lock t'", 0, 1 },
		{ "select n'a\\'; lock t'", 0, 1 },
		{ "select b'1\\'; lock t", WORD_LOCK, 2 },
		{ "select b'1'\n'\\'; lock t", WORD_LOCK, 2 },
		{ "select 'a\\\\'; lock t", WORD_LOCK, 2 },
		{ "select \"a\\\"; lock t", WORD_LOCK, 2 },
	};

	(void)state;
	check(cases, LENGTH(cases), false);
}

static void
settings_are_told_apart(void **state)
{
	static const Case cases[] = {
		{ "set search_path = x", WORD_SET, 1 },
		{ "SET SESSION work_mem TO '1MB'", WORD_SET, 1 },
		{ "set app.tenant = 'x'", WORD_SET, 1 },
		{ "set local app.tenant = 'x'", 0, 1 },
		{ "set local.tenant = 'x'", WORD_SET, 1 },
		{ "set timezone.x = 1", WORD_SET, 1 },
		{ "set session session.x = 1", WORD_SET, 1 },
		{ "SET TimeZone = 'UTC'", WORD_TRACKED, 1 },
		{ "set \"TimeZone\" to 'UTC'", WORD_TRACKED, 1 },
		{ "SET TIME ZONE LOCAL", WORD_TRACKED, 1 },
		{ "set session time zone 'UTC'", WORD_TRACKED, 1 },
		{ "set names 'UTF8'", WORD_TRACKED | WORD_ENCODING, 1 },
		{ "set client_encoding to latin1", WORD_TRACKED | WORD_ENCODING, 1 },
		{ "set local timezone = 'UTC'; set local time zone 'UTC'", 0, 2 },
		{ "set local client_encoding = 'SJIS'; set local names 'SJIS'", WORD_ENCODING, 2 },
		{ "reset client_encoding", WORD_TRACKED | WORD_ENCODING, 1 },
		{ "set transaction read only", 0, 1 },
		{ "set session characteristics as transaction read only", WORD_SET, 1 },
		{ "set transaction_isolation = 'serializable'", 0, 1 },
		{ "set constraints all deferred", 0, 1 },
		{ "set schema 'x'", WORD_SET, 1 },
		{ "set xml option document", WORD_SET, 1 },
		{ "set role a", WORD_ROLE, 1 },
		{ "set \"role\" = a", WORD_ROLE, 1 },
		{ "set session role a", WORD_ROLE, 1 },
		{ "set local role a", 0, 1 },
		{ "set session authorization a", WORD_ROLE, 1 },
		{ "set session session authorization default", WORD_ROLE, 1 },
		{ "set local session authorization a", 0, 1 },
		{ "set session_authorization = a", WORD_ROLE, 1 },
		{ "set statement_timeout = 0", WORD_SET | WORD_DEADLINE, 1 },
		{ "set local \"Statement_Timeout\" = 0", WORD_DEADLINE, 1 },
		{ "set local U&\"statement\\005ftimeout\" = 0", WORD_DEADLINE, 1 },
		{ "set local U&\"statement!005ftimeout\" uescape '!' = 0", WORD_DEADLINE, 1 },
		{ "set idle_in_transaction_session_timeout to 0", WORD_SET | WORD_DEADLINE, 1 },
		{ "reset search_path", WORD_SET, 1 },
		{ "reset datestyle", WORD_TRACKED, 1 },
		{ "reset time zone", WORD_TRACKED, 1 },
		{ "reset role; reset session authorization", WORD_ROLE, 2 },
		{ "reset lock_timeout", WORD_SET | WORD_DEADLINE, 1 },
		{ "reset transaction isolation level", 0, 1 },
		{ "RESET ALL", WORD_SET | WORD_TRACKED | WORD_DEADLINE | WORD_ENCODING, 1 },
		{ "select set_config('a.b', 'c', true)", WORD_SET, 1 },
		{ "update pg_settings set setting = '1' where name = 'x'", WORD_SET, 1 },
		{ "with a as (update pg_catalog.\"pg_settings\" set setting = 1) select", WORD_SET,
		    1 },
		{ "select * from pg_settings; update t set a = 1", 0, 2 },
		{ "update t set search_path = 1", 0, 1 },
		{ "alter role a set search_path = x", WORD_ALTER_ROLE, 1 },
	};

	(void)state;
	check(cases, LENGTH(cases), true);
}

static void
functions_are_known_however_they_are_written(void **state)
{
	static const Case cases[] = {
		{ "select pg_notify('a', 'b')", WORD_NOTIFY, 1 },
		{ "select PG_Notify ('a', 'b')", WORD_NOTIFY, 1 },
		{ "select pg_catalog . pg_notify/* */\n(1,2)", WORD_NOTIFY, 1 },
		{ "select \"pg_catalog\".\"pg_notify\"(1,2)", WORD_NOTIFY, 1 },
		{ "select \"PG_NOTIFY\"(1,2)", 0, 1 },
		{ "select pg_notify from t", 0, 1 },
		{ "select 'pg_notify(1,2)'", 0, 1 },
		{ "select U&\"pg\\005fnotify\"(1,2)", WORD_NOTIFY, 1 },
		{ "select u&\"pg\\+00005fnotify\" -- x\n (1,2)", WORD_NOTIFY, 1 },
		{ "select U&\"pg!005fnotify\" UESCAPE '!' (1,2)", WORD_NOTIFY, 1 },
		{ "select U&\"pg!005fnotify\"/**/uescape/**/'!'(1,2)", WORD_NOTIFY, 1 },
		{ "select U&\"pggg005fnotify\" uescape 'g' (1,2)", WORD_NOTIFY, 1 },
		{ "select U&\"pg!005fnotify\" (1,2)", 0, 1 },
		{ "select U&\"pg\\005fnotify\" uescape '!' (1,2)", 0, 1 },
		{ "select U&\"pg!005fnotify\" uescape $$!$$ (1,2)", WORD_RUNS_SQL, 1 },
		{ "select U&\"pg!005fnotify\" uescape E'\\041' (1,2)", WORD_RUNS_SQL, 1 },
		{ "select U&\"\\+000070\\+000067\\+00005f\\+000074\\+000072\\+000079\\+00005f"
		  "\\+000061\\+000064\\+000076\\+000069\\+000073\\+00006f\\+000072\\+000079"
		  "\\+00005f\\+00006c\\+00006f\\+000063\\+00006b\"(1)",
		    WORD_RUNS_SQL, 1 },
		{ "select pg_advisory_lock(1), pg_advisory_unlock(1)", WORD_ADVISORY, 1 },
		{ "select pg_try_advisory_lock_shared(1)", WORD_ADVISORY, 1 },
		{ "select pg_advisory_xact_lock(1)", WORD_ADVISORY_XACT, 1 },
		{ "select query_to_xml('lock t', true, true, '')", WORD_RUNS_SQL, 1 },
		{ "select * from ts_stat('select 1')", WORD_RUNS_SQL, 1 },
		{ "select count(*), max(a) from t", 0, 1 },
	};

	(void)state;
	check(cases, LENGTH(cases), true);
}

static void
temporary_tables_are_seen(void **state)
{
	static const Case cases[] = {
		{ "create temp table a(b int)", WORD_TEMP, 1 },
		{ "CREATE TEMPORARY VIEW v AS SELECT 1", WORD_TEMP, 1 },
		{ "create local temp table a()", WORD_TEMP, 1 },
		{ "create or replace temp view v as select 1", WORD_TEMP, 1 },
		{ "explain analyze create temp table a as select 1", WORD_TEMP, 1 },
		{ "create table pg_temp.a()", WORD_TEMP, 1 },
		{ "create table \"pg_temp\".a()", WORD_TEMP, 1 },
		{ "select 1 into temp a", WORD_TEMP, 1 },
		{ "select 1 into temporary table a", WORD_TEMP, 1 },
		{ "select 1 into a", 0, 1 },
		{ "insert into temp values (1)", 0, 1 },
		{ "create table temp(temporary int)", 0, 1 },
		{ "select temp from t", 0, 1 },
	};

	(void)state;
	check(cases, LENGTH(cases), true);
}

static void
savepoints_are_counted(void **state)
{
	static const struct {
		const char *sql;
		uint32_t savepoints, deepest;
	} cases[] = {
		{ "select 1", 0, 0 },
		{ "savepoint a", 1, 1 },
		{ "SAVEPOINT a; savepoint b; release a", 1, 2 },
		{ "release a; release savepoint b", 0, 0 },
		{ "savepoint a; savepoint b; rollback to a; savepoint b", 3, 3 },
		{ "savepoint a; savepoint b; commit; begin; savepoint a", 1, 2 },
		{ "savepoint a; rollback", 0, 1 },
		{ "select 'savepoint a; savepoint b'", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		Words w = read_in(cases[i].sql, 1, true);
		assert_int_equal(w.savepoints, cases[i].savepoints);
		assert_int_equal(w.deepest, cases[i].deepest);
	}
}

static void
a_deallocated_statement_is_named(void **state)
{
	static const struct {
		const char *sql, *name;
	} cases[] = {
		{ "deallocate S1", "s1" },
		{ "deallocate \"S 1\"", "S 1" },
		{ "deallocate prepare \"a\"\"b\"", "a\"b" },
		{ "deallocate prepare", "prepare" },
		{ "deallocate U&\"\\0041\"", "A" },
		{ "deallocate all", "" },
		{ "deallocate prepare all", "" },
		{ "deallocate \"all\"", "all" },
		{ "deallocate a; deallocate b", "" },
		{ "deallocate a; deallocate all; deallocate b", "" },
		{ "deallocate a; select b, \"c\"", "a" },
		{ "deallocate a1234567890123456789012345678901234567890123456789012345678901234567",
		    "a12345678901234567890123456789012345678901234567890123456789012" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		Words w = read_in(cases[i].sql, 1, true);
		assert_int_equal(w.found, WORD_DEALLOCATE);
		assert_string_equal(w.name, cases[i].name);
	}
}

static void
a_text_that_does_not_end_is_odd(void **state)
{
	static const char *const odd[] = { "select '", "select 'a''", "select E'\\", "select \"a",
		"select U&\"a", "/*", "/* /* */", "/* *", "/* /", "select $$", "select $a$ $a",
		"select $a$ $b$" };
	static const char *const even[] = { "select 'a'", "select \"a\"", "select U&\"a\"", "-- a",
		"/* */", "select $$ $$", "select $a", "select $", "select u&", "select 1 /",
		"select 1 -", "select U&\"a\" uescape" };
	char tag[500] = "select $";

	(void)state;
	for (size_t i = 0; i < LENGTH(odd); i++)
		assert_true(read_in(odd[i], 1, true).odd);
	for (size_t i = 0; i < LENGTH(even); i++)
		assert_false(read_in(even[i], 1, true).odd);
	memset(tag + 8, 'a', 200);
	tag[208] = '$'; /* such a tag cannot be followed, though it ends */
	memcpy(tag + 209, tag + 7, 202);
	assert_true(read_in(tag, 1, true).odd);
}

static void
every_word_has_a_name(void **state)
{
	(void)state;
	for (uint32_t bit = 1; bit <= WORD_BYTES; bit <<= 1)
		assert_string_not_equal(word_name((Word)bit), "statement");
	assert_string_equal(word_name(WORD_SET), "session SET");
	assert_string_equal(word_name(WORD_LISTEN | WORD_LOCK), "statement");
	assert_true(words_tracked("datestyle"));
	assert_true(words_tracked("APPLICATION_NAME"));
	assert_false(words_tracked("search_path"));
	assert_false(words_tracked(""));
}

static void
encodings_that_hide_backslashes_are_known(void **state)
{
	static const char *const bad[] = { "SJIS", "Shift_JIS", "shift-jis-2004", "SHIFT_JIS_2004",
		"mskanji", "WIN932", "Windows-932", "big5", "GBK", "windows936", "UHC", "GB18030",
		"gb 18030", "Johab" };
	static const char *const good[] = { "UTF8", "unicode", "LATIN1", "SQL_ASCII", "EUC_JP",
		"EUC_CN", "EUC_JIS_2004", "WIN1252", "KOI8R", "" };

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(words_encoding(bad[i]));
	for (size_t i = 0; i < LENGTH(good); i++)
		assert_true(words_encoding(good[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements_are_known_by_their_first_words),
		cmocka_unit_test(words_within_strings_names_and_bodies_are_no_words),
		cmocka_unit_test(backslashes_count_where_strings_are_not_standard),
		cmocka_unit_test(settings_are_told_apart),
		cmocka_unit_test(functions_are_known_however_they_are_written),
		cmocka_unit_test(temporary_tables_are_seen),
		cmocka_unit_test(savepoints_are_counted),
		cmocka_unit_test(a_deallocated_statement_is_named),
		cmocka_unit_test(a_text_that_does_not_end_is_odd),
		cmocka_unit_test(every_word_has_a_name),
		cmocka_unit_test(encodings_that_hide_backslashes_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

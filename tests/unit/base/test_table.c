#include <stdio.h>
#include <stdlib.h>

#include "lib/base/table.h"
#include "lib/base/vec.h"
#include "tests/unit/unit.h"

static const Column columns[] = {
	{ "name", "NAME", CELL_TEXT, false },
	{ "id", NULL, CELL_INT, false },
	{ "size", "SIZE", CELL_INT, true },
	{ "open", "OPEN", CELL_BOOL, false },
	{ "spec", NULL, CELL_RAW, false },
	{ "note", "NOTE", CELL_TEXT, false },
};

static Arena *mem;

static int
setup(void **state)
{
	(void)state;
	mem = arena_new(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(mem);
	return 0;
}

static const char *
printed(Table *t)
{
	static char text[4096];

	text[0] = '\0';
	FILE *out = fmemopen(text, sizeof text, "w");
	assert_non_null(out);
	table_print(t, out);
	fclose(out);
	return text;
}

static Table *
example(Output output)
{
	Table *t = table_new(mem, output, columns, LENGTH(columns));

	table_cell(t, "acme");
	table_int(t, 1);
	table_int(t, 7);
	table_bool(t, true);
	table_cell(t, "{\"a\":[1]}");
	table_cell(t, "first");
	table_cell(t, "\xE5\x8C\x97\xE4\xBA\xAC\xE5\x85\xAC");
	table_int(t, 2);
	table_int(t, -1234);
	table_bool(t, false);
	table_cell(t, NULL);
	table_cell(t, NULL);
	return t;
}

static void
text_is_aligned_by_display_width(void **state)
{
	(void)state;
	assert_string_equal(printed(example(OUTPUT_TEXT)),
	    "NAME     SIZE  OPEN  NOTE\n"
	    "acme        7  yes   first\n"
	    "\xE5\x8C\x97\xE4\xBA\xAC\xE5\x85\xAC  -1234  no    -\n");
}

static void
json_has_every_column_and_null(void **state)
{
	(void)state;
	assert_string_equal(printed(example(OUTPUT_JSON)),
	    "[\n"
	    "  {\"name\":\"acme\",\"id\":1,\"size\":7,\"open\":true,\"spec\":{\"a\":[1]},"
	    "\"note\":\"first\"},\n"
	    "  {\"name\":\"\xE5\x8C\x97\xE4\xBA\xAC\xE5\x85\xAC\",\"id\":2,\"size\":-1234,"
	    "\"open\":false,\"spec\":null,\"note\":null}\n"
	    "]\n");
}

static void
json_lines_are_one_object_a_line(void **state)
{
	Table *t = table_new(mem, OUTPUT_JSONL, columns, 1);

	(void)state;
	table_cell(t, "a\n\"b\"");
	table_cell(t, "c");
	assert_string_equal(printed(t), "{\"name\":\"a\\n\\\"b\\\"\"}\n{\"name\":\"c\"}\n");
}

static void
an_empty_table_is_an_empty_list(void **state)
{
	(void)state;
	assert_string_equal(printed(table_new(mem, OUTPUT_JSON, columns, 6)), "[]\n");
	assert_string_equal(printed(table_new(mem, OUTPUT_JSONL, columns, 6)), "");
	assert_string_equal(
	    printed(table_new(mem, OUTPUT_TEXT, columns, 6)), "NAME  SIZE  OPEN  NOTE\n");
}

static void
an_unfinished_row_is_filled_with_nothing(void **state)
{
	Table *t = table_new(mem, OUTPUT_JSONL, columns, 3);

	(void)state;
	table_cell(t, "a");
	assert_string_equal(printed(t), "{\"name\":\"a\",\"id\":null,\"size\":null}\n");
}

static void
text_in_a_number_column_is_quoted_in_json(void **state)
{
	static const Column c[] = { { "n", "N", CELL_INT, true }, { "b", "B", CELL_BOOL, false } };
	Table *t = table_new(mem, OUTPUT_JSONL, c, 2);

	(void)state;
	table_cell(t, "12");
	table_cell(t, "true");
	table_cell(t, "-");
	table_cell(t, "1,2");
	assert_string_equal(printed(t), "{\"n\":12,\"b\":true}\n{\"n\":\"-\",\"b\":\"1,2\"}\n");
}

static void
cells_send_no_escapes_to_the_terminal(void **state)
{
	Table *t = table_new(mem, OUTPUT_TEXT, columns, 1);

	(void)state;
	table_cell(t, "a\nb\x1B[2J");
	table_cell(t, "\x1B[31mred\x1B[0m");
	assert_string_equal(printed(t), "NAME\na b?[2J\n\x1B[31mred\x1B[0m\n");
}

static void
the_last_column_leaves_no_blanks(void **state)
{
	static const Column c[] = { { "a", "A", CELL_TEXT, false },
		{ "b", "B", CELL_TEXT, false } };
	Table *t = table_new(mem, OUTPUT_TEXT, c, 2);

	(void)state;
	table_cell(t, "wide cell");
	table_cell(t, "");
	table_cell(t, "x");
	table_cell(t, "y");
	assert_string_equal(printed(t), "A          B\nwide cell\nx          y\n");
}

static void
lines_and_texts_go_out_as_they_are(void **state)
{
	char text[64];
	FILE *out = fmemopen(text, sizeof text, "w");

	(void)state;
	out_text(out, "100% as is\n");
	out_line(out, "%s=%d", "n", 3);
	fclose(out);
	assert_string_equal(text, "100% as is\nn=3\n");
}

static void
a_full_device_is_noticed(void **state)
{
	FILE *out = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(out);
	assert_true(out_flush(out));
	out_text(out, "x");
	assert_false(out_flush(out));
	fclose(out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_is_aligned_by_display_width),
		TEST(json_has_every_column_and_null),
		TEST(json_lines_are_one_object_a_line),
		TEST(an_empty_table_is_an_empty_list),
		TEST(an_unfinished_row_is_filled_with_nothing),
		TEST(text_in_a_number_column_is_quoted_in_json),
		TEST(cells_send_no_escapes_to_the_terminal),
		TEST(the_last_column_leaves_no_blanks),
		TEST(lines_and_texts_go_out_as_they_are),
		TEST(a_full_device_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

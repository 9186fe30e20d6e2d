#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"
#include "tests/unit/unit.h"

typedef void (*Quote)(Buf *b, const char *text);

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
quoted(Quote quote, const char *text)
{
	Buf b = buf_new(mem);

	quote(&b, text);
	return b.text;
}

static void
text_is_added_in_every_way(void **state)
{
	Buf b = buf_new(mem);

	(void)state;
	assert_string_equal(b.text, "");
	buf_add(&b, "ab");
	buf_addc(&b, 'c');
	buf_addn(&b, "defgh", 2);
	buf_fmt(&b, "%d", 42);
	assert_string_equal(b.text, "abcde42");
	assert_int_equal(b.len, 7);
	buf_clear(&b);
	assert_string_equal(b.text, "");
	for (int i = 0; i < 1000; i++)
		buf_fmt(&b, "%04d", i);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.text + 3996, "0999", 5);
}

static void
a_full_buffer_stays_full_and_whole(void **state)
{
	Buf b = buf_new_max(mem, 5);

	(void)state;
	buf_add(&b, "12345");
	assert_false(b.full);
	buf_addc(&b, '6');
	assert_true(b.full);
	buf_clear(&b);
	assert_false(b.full);
	buf_add(&b, "123");
	buf_fmt(&b, "%s", "456");
	buf_addc(&b, '4');
	assert_true(b.full);
	assert_string_equal(b.text, "123");
}

static void
identifiers_double_their_quotes(void **state)
{
	(void)state;
	assert_string_equal(quoted(buf_ident, "order"), "\"order\"");
	assert_string_equal(quoted(buf_ident, "a\"; DROP x--"), "\"a\"\"; DROP x--\"");
	assert_string_equal(quoted(buf_ident, "a\\b"), "\"a\\b\"");
	assert_string_equal(quoted(buf_ident, "bad\xC3"), "\"bad\xEF\xBF\xBD\"");
}

static void
literals_cannot_be_left(void **state)
{
	(void)state;
	assert_string_equal(quoted(buf_literal, NULL), "NULL");
	assert_string_equal(quoted(buf_literal, ""), "''");
	assert_string_equal(quoted(buf_literal, "O'Neil"), "'O''Neil'");
	assert_string_equal(quoted(buf_literal, "a\\'b"), "E'a\\\\''b'");
	assert_string_equal(quoted(buf_literal, "\\"), "E'\\\\'");
	/* a lead byte must not swallow the quote that ends the literal */
	assert_string_equal(quoted(buf_literal, "x\xC0'; --"), "'x\xEF\xBF\xBD''; --'");
	assert_string_equal(quoted(buf_literal, "\xE5\x8C\x97"), "'\xE5\x8C\x97'");
}

static void
shell_words_stay_one_word(void **state)
{
	(void)state;
	assert_string_equal(
	    quoted(buf_shell, "/var/lib/copyhold-1.2_x"), "/var/lib/copyhold-1.2_x");
	assert_string_equal(quoted(buf_shell, ""), "''");
	assert_string_equal(quoted(buf_shell, "a b"), "'a b'");
	assert_string_equal(quoted(buf_shell, "it's $HOME"), "'it'\\''s $HOME'");
	assert_string_equal(quoted(buf_shell, "~root"), "'~root'");
}

static void
json_strings_are_valid_whatever_comes(void **state)
{
	(void)state;
	assert_string_equal(quoted(buf_json, "a\"b\\c/"), "\"a\\\"b\\\\c/\"");
	assert_string_equal(quoted(buf_json, "\b\t\n\v\f\r\x01\x1F\x7F"),
	    "\"\\b\\t\\n\\u000b\\f\\r\\u0001\\u001f\x7F\"");
	assert_string_equal(
	    quoted(buf_json, "\xE5\x8C\x97\xF0\x9F\x98\x80"), "\"\xE5\x8C\x97\xF0\x9F\x98\x80\"");
	assert_string_equal(quoted(buf_json, "\xFF\xC3"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
	/* a surrogate: three bytes that are none of UTF-8 */
	assert_string_equal(
	    quoted(buf_json, "\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void
a_text_cannot_hide_or_turn_what_stands_after_it(void **state)
{
	Buf b = buf_new(mem);

	(void)state;
	buf_plain(&b,
	    "a\x1B[8mb\x1B[38;5;0mc\xE2\x80\xAE"
	    "d\xE2\x81\xA6"
	    "e\xE2\x80\xA8"
	    "f\xEF\xBB\xBF",
	    "\n");
	assert_string_equal(b.text, "a?[8mb?[38;5;0mc?d?e?f?");
}

static void
a_terminal_gets_no_control_characters_but_colours(void **state)
{
	Buf b = buf_new(mem);

	(void)state;
	buf_plain(&b, "a\tb\nc\x1B]0;x\x07\x1B[31mred\x1B[0m\xC2\x9B", "\n  ");
	assert_string_equal(b.text, "a b\n  c?]0;x?\x1B[31mred\x1B[0m?");
}

static void
utf8_is_checked_as_the_standard_says(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		bool valid;
	} cases[] = {
		{ "", 0, true },
		{ "abc", 3, true },
		{ "a\0b", 3, false },
		{ "\xC2\x80", 2, true },
		{ "\xC1\xBF", 2, false },
		{ "\xC3", 1, false },
		{ "\xE0\xA0\x80", 3, true },
		{ "\xE0\x9F\xBF", 3, false },
		{ "\xED\x9F\xBF", 3, true },
		{ "\xED\xA0\x80", 3, false },
		{ "\xF0\x90\x80\x80", 4, true },
		{ "\xF0\x8F\xBF\xBF", 4, false },
		{ "\xF4\x8F\xBF\xBF", 4, true },
		{ "\xF4\x90\x80\x80", 4, false },
		{ "\xF5\x80\x80\x80", 4, false },
		{ "\x80", 1, false },
		{ "\xE5\x8C\x97", 2, false },
		{ "\xE5\x28\x97", 3, false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(utf8_valid(cases[i].text, cases[i].n), cases[i].valid);
}

static void
width_is_counted_in_columns(void **state)
{
	(void)state;
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("M\xC3\xBCller"), 6);
	assert_int_equal(text_width("\xE5\x8C\x97\xE4\xBA\xAC"), 4);
	assert_int_equal(text_width("e\xCC\x81"), 1);
	assert_int_equal(text_width("\x1B[1;31mred\x1B[0m"), 3);
	assert_int_equal(text_width("\xFF"), 1);
}

static void
the_nearest_word_is_found_or_none(void **state)
{
	static const char *const words[] = { "tenant", "route", "login", "model" };

	(void)state;
	assert_string_equal(nearest_word("tenat", words, 4), "tenant");
	assert_string_equal(nearest_word("ruote", words, 4), "route");
	assert_string_equal(nearest_word("logins", words, 4), "login");
	assert_string_equal(nearest_word("tennat", words, 4), "tenant");
	assert_null(nearest_word("zzz", words, 4));
	assert_null(nearest_word("", words, 4));
	assert_null(nearest_word("tenant", words, 0));
	assert_null(
	    nearest_word("tenanttenanttenanttenanttenanttenanttenanttenanttenant", words, 4));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_added_in_every_way),
		cmocka_unit_test(a_full_buffer_stays_full_and_whole),
		cmocka_unit_test(identifiers_double_their_quotes),
		cmocka_unit_test(literals_cannot_be_left),
		cmocka_unit_test(shell_words_stay_one_word),
		cmocka_unit_test(json_strings_are_valid_whatever_comes),
		cmocka_unit_test(a_terminal_gets_no_control_characters_but_colours),
		cmocka_unit_test(a_text_cannot_hide_or_turn_what_stands_after_it),
		cmocka_unit_test(utf8_is_checked_as_the_standard_says),
		cmocka_unit_test(width_is_counted_in_columns),
		cmocka_unit_test(the_nearest_word_is_found_or_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

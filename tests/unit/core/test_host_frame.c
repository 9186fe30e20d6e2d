/* The words between us and the helper: exactly as docs/hosts.md has them, or refused. */
#include <string.h>

#include "lib/core/host_frame.h"
#include "tests/unit/unit.h"

#define S "0123456789abcdef0123456789abcdef"
#define D "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static Arena *mem;

static HostFrame *
fed_by(const char *bytes, size_t n, size_t piece, HostFed *fed)
{
	HostFrame *f = host_frame_new(mem, S);

	*fed = HOST_MORE;
	for (size_t at = 0; at < n && *fed == HOST_MORE; at += piece)
		*fed = host_frame_feed(f, bytes + at, n - at < piece ? n - at : piece);
	return f;
}

static HostFrame *
whole(const char *text)
{
	HostFed fed;
	HostFrame *f = fed_by(text, strlen(text), strlen(text), &fed);

	assert_int_equal(fed, HOST_WHOLE);
	return f;
}

static void
output_ends_where_the_sentinel_begins_however_it_is_cut(void **state)
{
	const char *text = "two\nlines\n0123" S " end 7 ok 0 - - a word\n";
	HostEnd end;
	HostFed fed;

	(void)state;
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		HostFrame *f = fed_by(text, strlen(text), piece, &fed);
		assert_int_equal(fed, HOST_WHOLE);
		assert_string_equal(f->out, "two\nlines\n0123");
		assert_true(host_frame_end(f, &end));
		assert_int_equal(end.seq, 7);
		assert_int_equal(end.status, HOST_OK);
		assert_int_equal(end.code, 0);
		assert_null(end.digest);
		assert_string_equal(end.err, "a word");
	}
}

static void
statuses_codes_and_digests_are_read(void **state)
{
	static const char *const words[] = { "ok", "stored", "none", "fenced", "busy", "undone",
		"refused" };
	HostEnd end;

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		assert_true(host_frame_end(
		    whole(arena_printf(mem, S " end 1 %s 255 9 " D " \n", words[i])), &end));
		assert_int_equal(end.status, i);
		assert_int_equal(end.code, 255);
		assert_string_equal(end.digest, D);
		assert_string_equal(end.err, "");
	}
}

static void
a_last_line_of_another_form_is_refused(void **state)
{
	static const char *const lines[] = {
		"hello 1 " D " ch- runit",
		"end",
		"end x ok 0 - - ",
		"end 1",
		"end 1 fine 0 - - ",
		"end 1 ok 256 - - ",
		"end 1 ok -1 - - ",
		"end 1 ok 0 -",
		"end 1 ok 0 - short ",
		"end 1 ok 0 - " D "0 ",
		"end 9999999999999999999 ok 0 - - ",
		"  end 1 ok 0 - - ",
	};
	HostEnd end;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_false(host_frame_end(whole(arena_printf(mem, S " %s\n", lines[i])), &end));
}

static void
a_greeting_is_exactly_four_words(void **state)
{
	HostHello hello;

	(void)state;
	assert_true(host_frame_hello(whole("motd\n" S " hello 1 " D " ch- runit\n"), &hello));
	assert_int_equal(hello.protocol, 1);
	assert_string_equal(hello.digest, D);
	assert_string_equal(hello.prefix, "ch-");
	assert_string_equal(hello.supervise, "runit");
	assert_false(host_frame_hello(whole(S " hello 1 " D " ch- runit more\n"), &hello));
	assert_false(host_frame_hello(whole(S " hello 1 " D " ch-\n"), &hello));
	assert_false(host_frame_hello(whole(S " hello one " D " ch- runit\n"), &hello));
	assert_false(host_frame_hello(whole(S " end 1 ok 0 - - \n"), &hello));
}

static void
bytes_behind_the_last_line_spoil_it(void **state)
{
	const char *text = S " end 1 ok 0 - - \nx";
	HostFed fed;

	(void)state;
	fed_by(text, strlen(text), strlen(text), &fed);
	assert_int_equal(fed, HOST_WRONG);
}

static void
an_endless_last_line_is_refused(void **state)
{
	HostFrame *f = host_frame_new(mem, S);
	HostFed fed = host_frame_feed(f, S, 32);

	(void)state;
	for (int i = 0; i < 5000 && fed == HOST_MORE; i++)
		fed = host_frame_feed(f, "x", 1);
	assert_int_equal(fed, HOST_WRONG);
}

static void
control_characters_of_a_message_never_reach_a_terminal(void **state)
{
	HostEnd end;

	(void)state;
	assert_true(host_frame_end(whole(S " end 1 ok 1 - - \033]0;x\007bell\n"), &end));
	assert_null(strchr(end.err, '\033'));
	assert_null(strchr(end.err, '\007'));
}

static void
words_are_written_without_blanks(void **state)
{
	const char *const words[] = { "verb", "", "a b", "100%", "\n", "\xff", "x/y:z=1,2@3+4-5_.",
		NULL };
	const char *const many[] = { arena_alloc(mem, 40000), NULL };
	Buf b = buf_new(mem);

	(void)state;
	assert_true(host_frame_words(&b, words));
	assert_string_equal(b.text, " verb %- a%20b 100%25 %0A %FF x/y:z=1,2@3+4-5_.");
	memset((char *)(uintptr_t)many[0], 'x', 39999);
	assert_false(host_frame_words(&b, many));
}

static int
begin(void **state)
{
	(void)state;
	mem = arena_new(NULL);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	arena_free(mem);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_ends_where_the_sentinel_begins_however_it_is_cut),
		cmocka_unit_test(statuses_codes_and_digests_are_read),
		cmocka_unit_test(a_last_line_of_another_form_is_refused),
		cmocka_unit_test(a_greeting_is_exactly_four_words),
		cmocka_unit_test(bytes_behind_the_last_line_spoil_it),
		cmocka_unit_test(an_endless_last_line_is_refused),
		cmocka_unit_test(control_characters_of_a_message_never_reach_a_terminal),
		cmocka_unit_test(words_are_written_without_blanks),
	};

	return cmocka_run_group_tests(tests, begin, end);
}

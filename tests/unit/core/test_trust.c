#include "lib/core/trust.h"

#include "tests/unit/core/room.h"

#define PEM(body) "-----BEGIN CERTIFICATE-----\n" body "-----END CERTIFICATE-----\n"

static void
the_file_is_what_is_recorded(void **state)
{
	Room *r = *state;
	char *path = trust_path(r->cx.mem, r->home, "acme-pg"), *text;
	struct stat st;
	size_t n;

	ok(&r->cx, trust_put(&r->cx, r->home, "acme-pg", PEM("YWJj\n")));
	ok(&r->cx, trust_write(&r->cx, r->home, "acme-pg"));
	ok(&r->cx, file_read(&r->cx, path, 1000, &text, &n));
	assert_string_equal(text, PEM("YWJj\n"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	ok(&r->cx, file_write(&r->cx, path, 0600, "other", 5));
	ok(&r->cx, trust_write(&r->cx, r->home, "acme-pg"));
	ok(&r->cx, file_read(&r->cx, path, 1000, &text, &n));
	assert_string_equal(text, PEM("YWJj\n"));
	ok(&r->cx, trust_remove(&r->cx, r->home, "acme-pg"));
	assert_false(file_exists(path));
	ok(&r->cx, trust_get(&r->cx, r->home, "acme-pg", &text));
	assert_null(text);
}

static void
a_file_without_a_record_goes(void **state)
{
	Room *r = *state;
	char *path = trust_path(r->cx.mem, r->home, "acme-pg");

	ok(&r->cx, trust_put(&r->cx, r->home, "acme-pg", PEM("YWJj\n")));
	ok(&r->cx, trust_write(&r->cx, r->home, "acme-pg"));
	ok(&r->cx,
	    file_make_dirs(&r->cx, arena_printf(r->cx.mem, "%s/run/trust", r->home_dir), 0700));
	path = trust_path(r->cx.mem, r->home, "other");
	ok(&r->cx, file_write(&r->cx, path, 0600, "x", 1));
	ok(&r->cx, trust_write(&r->cx, r->home, "other"));
	assert_false(file_exists(path));
}

static void
a_digest_is_of_the_first_certificate(void **state)
{
	Room *r = *state;
	Arena *mem = r->cx.mem;

	assert_string_equal(trust_digest(mem, PEM("YW\nJj\n")), sha256_hex(mem, "abc", 3));
	assert_string_equal(
	    trust_digest(mem, PEM("YWJj\n") PEM("eHl6\n")), sha256_hex(mem, "abc", 3));
	assert_null(trust_digest(mem, ""));
	assert_null(trust_digest(mem, "-----BEGIN CERTIFICATE-----\nYWJj\n"));
	assert_null(trust_digest(mem, PEM("not base64\n")));
}

static void
gateways_are_told_of_a_certificate(void **state)
{
	Room *r = *state;
	int64_t before, after;

	ok(&r->cx, catalog_gate_seq(&r->cx, r->home, &before));
	ok(&r->cx, trust_put(&r->cx, r->home, "acme-pg", PEM("YWJj\n")));
	ok(&r->cx, catalog_gate_seq(&r->cx, r->home, &after));
	assert_true(after > before);
	before = after;
	ok(&r->cx, trust_put(&r->cx, r->home, "acme-pg", PEM("YWJj\n")));
	ok(&r->cx, catalog_gate_seq(&r->cx, r->home, &after));
	assert_int_equal(after, before);
	ok(&r->cx, trust_put(&r->cx, r->home, "acme-pg", PEM("eHl6\n")));
	ok(&r->cx, catalog_gate_seq(&r->cx, r->home, &after));
	assert_true(after > before);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_file_is_what_is_recorded, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
		    a_file_without_a_record_goes, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
		    a_digest_is_of_the_first_certificate, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
		    gateways_are_told_of_a_certificate, room_setup, room_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

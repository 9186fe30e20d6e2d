#include "region/gateway/wire.h"

#include <string.h>

#include "tests/unit/unit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define BYTES(s)  ((const unsigned char *)(s)), (sizeof(s) - 1)

static void
a_head_is_found_when_it_is_whole(void **state)
{
	WireHead h = { 'x', 9 };

	(void)state;
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(wire_head((const unsigned char *)"Q\0\0\0\5", n, &h), WIRE_MORE);
	assert_int_equal(wire_head(BYTES("Q\0\0\0\3"), &h), WIRE_BAD);
	assert_int_equal(wire_head(BYTES("Q\x40\0\0\0"), &h), WIRE_BAD);
	assert_int_equal(wire_head(BYTES("Q\xff\xff\xff\xff"), &h), WIRE_BAD);
	assert_int_equal(h.body, 9);
	assert_int_equal(wire_head(BYTES("Q\0\0\0\4"), &h), WIRE_OK);
	assert_int_equal(h.body, 0);
	assert_int_equal(wire_head(BYTES("d\x3f\xff\xff\xff!"), &h), WIRE_OK);
	assert_int_equal(h.type, 'd');
	assert_int_equal(h.body, 0x3ffffffb);
}

static void
types_belong_to_a_side(void **state)
{
	char client[128] = "", server[128] = "";
	size_t c = 0, s = 0;

	(void)state;
	for (int type = 0; type < 256; type++) {
		if (wire_from_client((char)type))
			client[c++] = (char)type;
		if (wire_from_server((char)type))
			server[s++] = (char)type;
	}
	assert_string_equal(client, "BCDEFHPQSXcdf");
	assert_string_equal(server, "123ACDEGHIKNSTVZcdnst");
}

static WireLook
startup(const unsigned char *at, size_t n, Startup *s)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(wire_startup(at, i, &used, s), WIRE_OK);
	assert_int_equal(used, 0);
	WireLook look = wire_startup(at, n, &used, s);
	assert_int_equal(used, look == WIRE_OK ? n : 0);
	return look;
}

static void
a_login_names_its_parameters(void **state)
{
	Startup s;

	(void)state;
	assert_int_equal(
	    startup(BYTES("\0\0\0\x34\0\3\0\2user\0app\0_pq_.x\0on\0database\0\0options\0-c a=b\0"),
		&s),
	    WIRE_BAD);
	assert_int_equal(
	    startup(
		BYTES("\0\0\0\x35\0\3\0\2user\0app\0_pq_.x\0on\0database\0\0options\0-c a=b\0\0"),
		&s),
	    WIRE_OK);
	assert_int_equal(s.kind, STARTUP_LOGIN);
	assert_int_equal(s.major, 3);
	assert_int_equal(s.minor, 2);
	assert_int_equal(s.params, 3);
	assert_string_equal(startup_param(&s, "user"), "app");
	assert_string_equal(startup_param(&s, "database"), "");
	assert_string_equal(startup_param(&s, "options"), "-c a=b");
	assert_null(startup_param(&s, "User"));
	assert_int_equal(s.unknowns, 1);
	assert_string_equal(s.unknown[0], "_pq_.x");
	assert_int_equal(startup(BYTES("\0\0\0\x09\0\3\0\0\0"), &s), WIRE_OK);
	assert_int_equal(s.params, 0);
}

static void
requests_before_a_login_are_told_apart(void **state)
{
	Startup s;

	(void)state;
	assert_int_equal(startup(BYTES("\0\0\0\x08\x04\xd2\x16\x2f"), &s), WIRE_OK);
	assert_int_equal(s.kind, STARTUP_SSL);
	assert_int_equal(startup(BYTES("\0\0\0\x08\x04\xd2\x16\x30"), &s), WIRE_OK);
	assert_int_equal(s.kind, STARTUP_GSS);
	assert_int_equal(
	    startup(BYTES("\0\0\0\x10\x04\xd2\x16\x2e\0\0\1\2\xff\0\0\1"), &s), WIRE_OK);
	assert_int_equal(s.kind, STARTUP_CANCEL);
	assert_int_equal(s.pid, 0x102);
	assert_int_equal(s.key_n, 4);
	assert_memory_equal(s.key, "\xff\0\0\1", 4);
}

static void
a_first_packet_that_is_none_is_refused(void **state)
{
	static const struct {
		const char *at;
		size_t n;
	} bad[] = {
#define BAD(s) { s, sizeof(s) - 1 }
		BAD("\0\0\0\0"), BAD("\0\0\0\7"), BAD("\0\0\x27\x11"), /* 10,001 */
		BAD("\xff\xff\xff\xff"), BAD("GET / HTTP/1.1\r\n"),
		BAD("\x16\3\1\2\0\1\0\1\xfc"), /* a TLS hello */
		BAD("\0\0\0\x08\0\2\0\0"), BAD("\0\0\0\x09\0\4\0\0\0"),
		BAD("\0\0\0\x08\0\3\0\0"),                       /* no terminator */
		BAD("\0\0\0\x0a\0\3\0\0\0\0"),                   /* more behind it */
		BAD("\0\0\0\x0e\0\3\0\0user\0\0"),               /* no value for it */
		BAD("\0\0\0\x0d\0\3\0\0user\0"),                 /* no value at all */
		BAD("\0\0\0\x11\0\3\0\0a\0b\0a\0c\0\0"),         /* twice */
		BAD("\0\0\0\x19\0\3\0\0_pq_.a\0\0_pq_.a\0\0\0"), /* twice */
		BAD("\0\0\0\x09\x04\xd2\x16\x2f\0"),
		BAD("\0\0\0\x0f\x04\xd2\x16\x2e\0\0\1\2\xff\0\0"), /* a key of 3 */
#undef BAD
	};
	unsigned char many[STARTUP_MAX] = { 0, 0, 0, 0, 0, 3, 0, 0 };
	size_t n = 8;
	Startup s;

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_int_equal(startup((const unsigned char *)bad[i].at, bad[i].n, &s), WIRE_BAD);
	for (unsigned char i = 0; i <= STARTUP_PARAMS; i++) {
		many[n] = (unsigned char)('A' + i);
		n += 3;
	}
	many[3] = (unsigned char)(n - 3 + 1);
	many[n - 3] = 0;
	assert_int_equal(startup(many, n - 3 + 1, &s), WIRE_OK);
	assert_int_equal(s.params, STARTUP_PARAMS);
	many[n - 3] = 'x';
	many[3] = (unsigned char)(n + 1);
	assert_int_equal(startup(many, n + 1, &s), WIRE_BAD);
}

static void
a_cancel_key_may_be_long(void **state)
{
	unsigned char packet[12 + CANCEL_KEY_MAX + 1], key[CANCEL_KEY_MAX + 1];
	Startup s;

	(void)state;
	memset(key, 7, sizeof key);
	size_t n = wire_put_cancel(packet, sizeof packet, 77, key, CANCEL_KEY_MAX);
	assert_int_equal(n, 12 + CANCEL_KEY_MAX);
	assert_int_equal(startup(packet, n, &s), WIRE_OK);
	assert_int_equal(s.key_n, CANCEL_KEY_MAX);
	assert_int_equal(s.pid, 77);
	n = wire_put_cancel(packet, sizeof packet, 77, key, CANCEL_KEY_MAX + 1);
	assert_int_equal(startup(packet, n, &s), WIRE_BAD);
}

static void
bodies_of_the_client_are_read_whole_or_not_at_all(void **state)
{
	const char *sql = NULL, *mechanism;
	const unsigned char *data;
	size_t n = 0, data_n;
	WireParse p;
	WireName d;

	(void)state;
	assert_true(wire_query(BYTES("select 1\0"), &sql, &n));
	assert_string_equal(sql, "select 1");
	assert_int_equal(n, 8);
	assert_true(wire_query(BYTES("\0"), &sql, &n));
	assert_int_equal(n, 0);
	assert_false(wire_query(BYTES(""), &sql, &n));
	assert_false(wire_query(BYTES("select"), &sql, &n));
	assert_false(wire_query(BYTES("a\0b\0"), &sql, &n));
	assert_true(wire_parse(BYTES("s1\0select $1\0\0\1\0\0\0\x17"), &p));
	assert_string_equal(p.name, "s1");
	assert_string_equal(p.sql, "select $1");
	assert_int_equal(p.sql_n, 9);
	assert_int_equal(p.rest_n, 6);
	assert_memory_equal(p.rest, "\0\1\0\0\0\x17", 6);
	assert_true(wire_parse(BYTES("\0\0\0\0"), &p));
	assert_false(wire_parse(BYTES("\0\0\0"), &p));
	assert_false(wire_parse(BYTES("\0\0\0\1\0\0\0"), &p));
	assert_false(wire_parse(BYTES("\0\0\0\0\0"), &p));
	assert_false(wire_parse(BYTES("\0select"), &p));
	assert_false(wire_parse(BYTES("select"), &p));
	assert_false(wire_parse(BYTES(""), &p));
	assert_true(wire_describe(BYTES("Ss1\0"), &d));
	assert_int_equal(d.kind, 'S');
	assert_string_equal(d.name, "s1");
	assert_true(wire_describe(BYTES("P\0"), &d));
	assert_false(wire_describe(BYTES("X\0"), &d));
	assert_false(wire_describe(BYTES("S"), &d));
	assert_false(wire_describe(BYTES("S\0\0"), &d));
	assert_false(wire_describe(BYTES("Sabc"), &d));
	assert_true(wire_sasl_first(BYTES("SCRAM\0\0\0\0\3n,,"), &mechanism, &data, &data_n));
	assert_string_equal(mechanism, "SCRAM");
	assert_int_equal(data_n, 3);
	assert_memory_equal(data, "n,,", 3);
	assert_true(wire_sasl_first(BYTES("A\0\xff\xff\xff\xff"), &mechanism, &data, &data_n));
	assert_null(data);
	assert_int_equal(data_n, 0);
	assert_false(wire_sasl_first(BYTES("A\0\xff\xff\xff\xffx"), &mechanism, &data, &data_n));
	assert_false(wire_sasl_first(BYTES("A\0\0\0\0\4n,,"), &mechanism, &data, &data_n));
	assert_false(wire_sasl_first(BYTES("A\0\0\0\0"), &mechanism, &data, &data_n));
	assert_false(wire_sasl_first(BYTES("A"), &mechanism, &data, &data_n));
}

static void
a_bind_is_read_as_far_as_its_names(void **state)
{
	unsigned char body[2 * WIRE_BIND_NAMES];
	WireBind b;

	(void)state;
	assert_int_equal(wire_bind(BYTES(""), &b), WIRE_MORE);
	assert_int_equal(wire_bind(BYTES("p1"), &b), WIRE_MORE);
	assert_int_equal(wire_bind(BYTES("p1\0s"), &b), WIRE_MORE);
	assert_int_equal(wire_bind(BYTES("p1\0s\0"), &b), WIRE_OK);
	assert_string_equal(b.portal, "p1");
	assert_string_equal(b.statement, "s");
	assert_int_equal(b.used, 5);
	assert_int_equal(wire_bind(BYTES("\0\0\0\1 and more"), &b), WIRE_OK);
	assert_int_equal(b.used, 2);
	memset(body, 'x', sizeof body);
	assert_int_equal(wire_bind(body, WIRE_BIND_NAMES - 1, &b), WIRE_MORE);
	assert_int_equal(wire_bind(body, WIRE_BIND_NAMES, &b), WIRE_BAD);
	body[10] = body[WIRE_BIND_NAMES] = 0; /* ends one byte too late */
	assert_int_equal(wire_bind(body, sizeof body, &b), WIRE_BAD);
	body[WIRE_BIND_NAMES - 1] = 0;
	assert_int_equal(wire_bind(body, sizeof body, &b), WIRE_OK);
	assert_int_equal(b.used, WIRE_BIND_NAMES);
}

static void
errors_are_read_with_what_they_lack(void **state)
{
	WireError e;

	(void)state;
	assert_true(wire_error_read(
	    BYTES("SFEHLER\0VERROR\0C42P01\0Mno such table\0Dsecret\0Hnone\0\0"), &e));
	assert_string_equal(e.severity, "ERROR");
	assert_string_equal(e.sqlstate, "42P01");
	assert_string_equal(e.message, "no such table");
	assert_true(wire_error_read(BYTES("VFATAL\0SFATAL2\0\0"), &e));
	assert_string_equal(e.severity, "FATAL");
	assert_string_equal(e.sqlstate, "");
	assert_string_equal(e.message, "");
	assert_true(wire_error_read(BYTES("\0"), &e));
	assert_string_equal(e.severity, "");
	assert_true(wire_error_read(BYTES("SWARNING WITHOUT END\0C42P0\0\0"), &e));
	assert_string_equal(e.severity, "WARNING");
	assert_string_equal(e.sqlstate, "");
	assert_true(wire_error_read(BYTES("C42p01\0C\0C42P0101\0\0"), &e));
	assert_string_equal(e.sqlstate, "");
	assert_false(wire_error_read(BYTES(""), &e));
	assert_false(wire_error_read(BYTES("S"), &e));
	assert_false(wire_error_read(BYTES("Sx"), &e));
	assert_false(wire_error_read(BYTES("Sx\0"), &e));
	assert_false(wire_error_read(BYTES("Sx\0\0\0"), &e));
}

static void
bodies_of_the_server_are_read(void **state)
{
	const char *tag, *name, *value;
	const unsigned char *data;
	uint32_t pid, code;
	char status = '?';
	size_t n;

	(void)state;
	assert_true(wire_tag(BYTES("SELECT 1\0"), &tag));
	assert_string_equal(tag, "SELECT 1");
	assert_false(wire_tag(BYTES("SELECT 1"), &tag));
	assert_true(wire_setting(BYTES("a\0b\0"), &name, &value));
	assert_string_equal(name, "a");
	assert_string_equal(value, "b");
	assert_false(wire_setting(BYTES("a\0b"), &name, &value));
	assert_false(wire_setting(BYTES("a\0"), &name, &value));
	assert_false(wire_setting(BYTES("a\0b\0c\0"), &name, &value));
	assert_true(wire_status(BYTES("T"), &status));
	assert_int_equal(status, 'T');
	assert_false(wire_status(BYTES("X"), &status));
	assert_false(wire_status(BYTES("II"), &status));
	assert_false(wire_status(BYTES(""), &status));
	assert_true(wire_key(BYTES("\0\0\0\1abcd"), &pid, &data, &n));
	assert_int_equal(pid, 1);
	assert_int_equal(n, 4);
	assert_memory_equal(data, "abcd", 4);
	assert_false(wire_key(BYTES("\0\0\0\1abc"), &pid, &data, &n));
	assert_true(
	    wire_auth(BYTES("\0\0\0\nSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"), &code, &data, &n));
	assert_int_equal(code, AUTH_SASL);
	assert_true(wire_mechanism(data, n, "SCRAM-SHA-256"));
	assert_true(wire_mechanism(data, n, "SCRAM-SHA-256-PLUS"));
	assert_false(wire_mechanism(data, n, "SCRAM-SHA"));
	assert_false(wire_mechanism(data, n, ""));
	assert_false(wire_mechanism(BYTES("\0SCRAM\0"), "SCRAM"));
	assert_false(wire_mechanism(BYTES("SCRAM"), "SCRAM"));
	assert_false(wire_auth(BYTES("\0\0\0"), &code, &data, &n));
}

/* What a writer wrote, and that it never writes into less room. */
#define SAYS(expected, call) \
	do { \
		const size_t want = sizeof(expected) - 1; \
		unsigned char out[256]; \
		size_t cap = sizeof out; \
		assert_int_equal(call, want); \
		assert_memory_equal(out, expected, want); \
		for (cap = 0; cap < want; cap++) { \
			memset(out, 0xee, sizeof out); \
			assert_int_equal(call, 0); \
			for (size_t i_ = cap; i_ < sizeof out; i_++) \
				assert_int_equal(out[i_], 0xee); \
		} \
	} while (0)

static void
what_the_gateway_says_is_exact_and_never_cut(void **state)
{
	const StartupParam params[] = { { "user", "app" }, { "database", "acme" } };
	const Startup s = { .unknown = { "_pq_.a", "_pq_.b" }, .unknowns = 2 };
	const unsigned char key[] = { 1, 2, 3, 4 };

	(void)state;
	SAYS("E\0\0\0\x2cSFATAL\0VFATAL\0C28000\0Mwho are you\0Hsay\0\0",
	    wire_put_error(out, cap, "FATAL", "28000", "who are you", "say"));
	SAYS("E\0\0\0\x1eSERROR\0VERROR\0C0A000\0Mno\0\0",
	    wire_put_error(out, cap, "ERROR", "0A000", "no", NULL));
	SAYS("Z\0\0\0\5I", wire_put_ready(out, cap, 'I'));
	SAYS("1\0\0\0\4", wire_put_empty(out, cap, '1'));
	SAYS("C\0\0\0\x08SET\0", wire_put_tag(out, cap, "SET"));
	SAYS("Q\0\0\0\nBEGIN\0", wire_put_query(out, cap, "BEGIN"));
	SAYS("S\0\0\0\x08"
	     "a\0b\0",
	    wire_put_setting(out, cap, "a", "b"));
	SAYS("K\0\0\0\x0c\0\0\0\x05\1\2\3\4", wire_put_key(out, cap, 5, key, sizeof key));
	SAYS("R\0\0\0\x08\0\0\0\0", wire_put_auth(out, cap, AUTH_OK, NULL, 0));
	SAYS("R\0\0\0\x0a\0\0\0\x0bhi", wire_put_auth(out, cap, AUTH_SASL_MORE, "hi", 2));
	SAYS("v\0\0\0\x1a\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0", wire_put_negotiate(out, cap, 2, &s));
	SAYS("\0\0\0\x20\0\3\0\0user\0app\0database\0acme\0\0",
	    wire_put_startup(out, cap, params, 2));
	SAYS("\0\0\0\x08\x04\xd2\x16\x2f", wire_put_ssl_request(out, cap));
	SAYS("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x09\1\2\3\4",
	    wire_put_cancel(out, cap, 9, key, sizeof key));
	SAYS("p\0\0\0\x0f\x41\x42\0\0\0\0\4n,,x", wire_put_sasl_first(out, cap, "AB", "n,,x", 4));
	SAYS("p\0\0\0\6hi", wire_put_sasl(out, cap, "hi", 2));
	SAYS("P\0\0\0\x0bs1\0", wire_put_parse_head(out, cap, "s1", 4));
	SAYS("B\0\0\0\x0dp\0s1\0", wire_put_bind_head(out, cap, "p", "s1", 4));
	SAYS("D\0\0\0\x08Ss1\0", wire_put_named(out, cap, 'D', 'S', "s1"));
}

static void
long_texts_are_cut_between_characters(void **state)
{
	unsigned char out[2048];
	char text[1024];
	WireError e;

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text + 510, "\xe2\x82\xac", 3); /* over the edge */
	text[sizeof text - 1] = '\0';
	size_t n = wire_put_error(out, sizeof out, "ERROR", "XX000", text, text);
	assert_true(wire_error_read(out + 5, n - 5, &e));
	assert_int_equal(strlen(e.message), 510);
	memcpy(text + 510, "xx\xe2\x82\xac", 5);
	n = wire_put_error(out, sizeof out, "ERROR", "XX000", text, text);
	assert_true(wire_error_read(out + 5, n - 5, &e));
	assert_int_equal(strlen(e.message), 512);
	text[512] = '\0';
	n = wire_put_error(out, sizeof out, "ERROR", "XX000", text, NULL);
	assert_true(wire_error_read(out + 5, n - 5, &e));
	assert_string_equal(e.message, text);
}

static void
no_message_is_said_that_is_too_long(void **state)
{
	static char value[STARTUP_MAX + 1];
	static unsigned char out[3 * STARTUP_MAX];
	const StartupParam p = { "options", value };

	(void)state;
	assert_int_equal(wire_put_parse_head(out, sizeof out, "s", WIRE_MAX - 6), 7);
	assert_int_equal(wire_put_parse_head(out, sizeof out, "s", WIRE_MAX - 5), 0);
	assert_int_equal(wire_put_bind_head(out, sizeof out, "", "", SIZE_MAX), 0);
	memset(value, 'x', STARTUP_MAX);
	assert_int_equal(wire_put_startup(out, sizeof out, &p, 1), 0);
	value[STARTUP_MAX - 18] = '\0';
	assert_int_equal(wire_put_startup(out, sizeof out, &p, 1), STARTUP_MAX);
	value[STARTUP_MAX - 18] = 'x';
	value[STARTUP_MAX - 17] = '\0';
	assert_int_equal(wire_put_startup(out, sizeof out, &p, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_found_when_it_is_whole),
		cmocka_unit_test(types_belong_to_a_side),
		cmocka_unit_test(a_login_names_its_parameters),
		cmocka_unit_test(requests_before_a_login_are_told_apart),
		cmocka_unit_test(a_first_packet_that_is_none_is_refused),
		cmocka_unit_test(a_cancel_key_may_be_long),
		cmocka_unit_test(bodies_of_the_client_are_read_whole_or_not_at_all),
		cmocka_unit_test(a_bind_is_read_as_far_as_its_names),
		cmocka_unit_test(errors_are_read_with_what_they_lack),
		cmocka_unit_test(bodies_of_the_server_are_read),
		cmocka_unit_test(what_the_gateway_says_is_exact_and_never_cut),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(no_message_is_said_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "lib/adapters/scram.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* RFC 7677, 3 */
#define RFC_PASSWORD     "pencil"
#define RFC_BARE         "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE        "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_CLIENT_FINAL "c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const Bytes no_binding = { NULL, 0 };

static void
set(char *to, size_t cap, const char *text)
{
	assert_true(strlen(text) < cap);
	memcpy(to, text, strlen(text) + 1);
}

/* What both sides keep of a password. */
static void
make(const char *password, const char *salt, ScramVerifier *v, ScramKeys *keys)
{
	Ctx cx = ctx_new(NULL);
	Secret secret = secret_new(cx.mem, password, strlen(password));
	Bytes bytes;

	memset(v, 0, sizeof *v);
	assert_true(base64_bytes(cx.mem, salt, strlen(salt), &bytes));
	memcpy(v->salt, bytes.at, bytes.n);
	v->salt_n = bytes.n;
	v->iterations = 4096;
	assert_true(scram_keys(&cx, &secret, v->salt, v->salt_n, v->iterations, keys));
	sha256(keys->client, sizeof keys->client, v->stored);
	memcpy(v->server, keys->server, sizeof v->server);
	assert_true(scram_keys_fit(keys, v));
	arena_free(cx.mem);
}

static void
the_published_exchange_is_made_and_taken(void **state)
{
	char out[SCRAM_MESSAGE];
	ScramVerifier v;
	ScramServer s;
	ScramClient c;
	ScramKeys keys;
	bool proven = false;
	size_t n;

	(void)state;
	make(RFC_PASSWORD, "W22ZaJ0SNY7soEsUEjb6gQ==", &v, &keys);
	assert_true(scram_server_first(&s, &v, no_binding, false, "n,," RFC_BARE,
	    strlen("n,," RFC_BARE), out, sizeof out, &n));
	assert_string_equal(s.first_bare, RFC_BARE);
	set(s.nonce, sizeof s.nonce, RFC_NONCE);
	set(s.server_first, sizeof s.server_first, RFC_SERVER_FIRST);
	assert_true(scram_server_final(
	    &s, RFC_CLIENT_FINAL, strlen(RFC_CLIENT_FINAL), &proven, out, sizeof out, &n));
	assert_true(proven);
	assert_string_equal(out, RFC_SERVER_FINAL);
	assert_int_equal(n, strlen(RFC_SERVER_FINAL));

	set(c.nonce, sizeof c.nonce, "rOprNGfwEbeRWgbNEkqO");
	set(c.first_bare, sizeof c.first_bare, RFC_BARE);
	assert_true(scram_client_challenge(&c, RFC_SERVER_FIRST, strlen(RFC_SERVER_FIRST)));
	assert_int_equal(c.iterations, 4096);
	assert_int_equal(c.salt_n, 16);
	assert_memory_equal(c.salt, v.salt, 16);
	assert_true(scram_client_final(&c, &keys, out, sizeof out, &n));
	assert_string_equal(out, RFC_CLIENT_FINAL);
	assert_true(scram_client_verify(&c, RFC_SERVER_FINAL, strlen(RFC_SERVER_FINAL)));
	scram_wipe(&s, sizeof s);
	for (size_t i = 0; i < sizeof s; i++)
		assert_int_equal(((unsigned char *)&s)[i], 0);
}

/* Both sides of ours with each other; what comes of it. */
static bool
exchange(const ScramVerifier *v, const ScramKeys *keys, bool *verified)
{
	char a[SCRAM_MESSAGE], b[SCRAM_MESSAGE];
	size_t n, m;
	bool proven = false;
	ScramServer s;
	ScramClient c;

	assert_true(scram_client_first(&c, a, sizeof a, &n));
	assert_true(scram_server_first(&s, v, no_binding, true, a, n, b, sizeof b, &m));
	assert_true(scram_client_challenge(&c, b, m));
	assert_int_equal(c.iterations, v->iterations);
	assert_int_equal(c.salt_n, v->salt_n);
	assert_true(scram_client_final(&c, keys, a, sizeof a, &n));
	assert_true(scram_server_final(&s, a, n, &proven, b, sizeof b, &m));
	assert_int_equal(m, proven ? 46 : 0);
	*verified = scram_client_verify(&c, b, m);
	return proven;
}

static void
only_the_right_password_proves_itself(void **state)
{
	ScramVerifier v, mock;
	ScramKeys keys, other;
	unsigned char secret[32] = { 1 };
	bool verified;

	(void)state;
	make("right", "MDEyMzQ1Njc4OWFiY2RlZg==", &v, &keys);
	assert_true(exchange(&v, &keys, &verified));
	assert_true(verified);
	ScramVerifier wrong;
	make("wrong", "MDEyMzQ1Njc4OWFiY2RlZg==", &wrong, &other);
	assert_false(exchange(&v, &other, &verified));
	assert_false(verified);
	assert_false(scram_keys_fit(&other, &v));
	memcpy(other.client, keys.client, sizeof other.client);
	assert_false(scram_keys_fit(&other, &v)); /* the server's key is of another */
	assert_true(exchange(&v, &other, &verified));
	assert_false(verified); /* proven, but whoever it is does not know the password */
	scram_mock(secret, "nobody", &mock);
	assert_false(exchange(&mock, &keys, &verified));
}

static void
an_unknown_user_always_has_the_same_salt(void **state)
{
	unsigned char one[32] = { 1 }, two[32] = { 2 };
	ScramVerifier a, b;

	(void)state;
	scram_mock(one, "app", &a);
	scram_mock(one, "app", &b);
	assert_memory_equal(&a, &b, sizeof a);
	assert_int_equal(a.salt_n, 16);
	assert_int_equal(a.iterations, 4096);
	scram_mock(one, "apq", &b);
	assert_memory_not_equal(a.salt, b.salt, 16);
	scram_mock(two, "app", &b);
	assert_memory_not_equal(a.salt, b.salt, 16);
}

static void
what_postgresql_stores_is_read(void **state)
{
	Ctx cx = ctx_new(NULL);
	Secret password = secret_new(cx.mem, "right", 5);
	const char *text = scram_verifier(cx.mem, &password);
	static const char *const bad[] = { "", "md5", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096",
		"SCRAM-SHA-256$4096:c2FsdA==$", "SCRAM-SHA-256$4096:c2FsdA==$a:b",
		"SCRAM-SHA-256$0:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"SCRAM-SHA-256$1:$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"SCRAM-SHA-256$1:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ",
		"SCRAM-SHA-256$1:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
	ScramVerifier v;
	ScramKeys keys;

	(void)state;
	assert_true(scram_read(text, &v));
	assert_int_equal(v.iterations, 4096);
	assert_int_equal(v.salt_n, 16);
	assert_true(scram_keys(&cx, &password, v.salt, v.salt_n, v.iterations, &keys));
	assert_true(scram_keys_fit(&keys, &v));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(scram_read(bad[i], &v));
	assert_false(scram_keys(&cx, &password, v.salt, v.salt_n, 0, &keys));
	assert_string_equal(
	    cx.fail->what, "a password is to be hashed 0 times, more than 1000000 or not at all");
	assert_int_equal(cx.fail->kind, FAIL_LIMIT);
	fail_clear(&cx);
	assert_false(scram_keys(&cx, &password, v.salt, v.salt_n, SCRAM_ITERATIONS_MAX + 1, &keys));
	arena_free(cx.mem);
}

static bool
first(ScramServer *s, const char *message, const char *binding, bool offered)
{
	static ScramVerifier v = { .salt_n = 4, .iterations = 4096 };
	char out[SCRAM_MESSAGE];
	size_t n;

	return scram_server_first(s, &v,
	    (Bytes){ (const unsigned char *)binding, binding ? strlen(binding) : 0 }, offered,
	    message, strlen(message), out, sizeof out, &n);
}

static void
a_first_message_is_taken_only_as_it_has_to_be(void **state)
{
	static const char *const bad[] = { "", "n", "n,,", "n,,n=", "n,,n=,r=", "n,,r=abc",
		"n,,n=,r=a b", "n,,n=,r=a,", "n,a=admin,n=,r=abc", "n,,m=x,n=,r=abc", "x,,n=,r=abc",
		"p=tls-unique,,n=,r=abc", "p=tls-server-end-point,,n=,r=abc", "n,,n=,r=abc,?",
		"n,,n=,r=abc,x", "n,,n=,r=abc\x7f", "N,,n=,r=abc" };
	char message[2 * SCRAM_MESSAGE], out[SCRAM_MESSAGE];
	ScramVerifier v = { .salt_n = 4, .iterations = 1000000 };
	ScramServer s;
	size_t n;

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(first(&s, bad[i], NULL, false));
	assert_true(first(&s, "n,,n=,r=abc", NULL, false));
	assert_true(first(&s, "n,,n=whoever,r=abc,x=ignored", NULL, true));
	assert_string_equal(s.first_bare, "n=whoever,r=abc,x=ignored");
	assert_int_equal(strlen(s.nonce), 3 + 24);
	assert_true(first(&s, "y,,n=,r=abc", NULL, false));
	assert_false(first(&s, "y,,n=,r=abc", NULL, true)); /* a downgrade */
	assert_true(first(&s, "p=tls-server-end-point,,n=,r=abc", "hash", true));
	assert_false(first(&s, "p=tls-unique,,n=,r=abc", "hash", true));
	assert_false(first(&s, "n,,n=,r=abc", "hash", true));
	assert_false(first(&s, "y,,n=,r=abc", "hash", true));

	snprintf(message, sizeof message, "n,,n=,r=%0103d", 1);
	assert_true(first(&s, message, NULL, false));
	snprintf(message, sizeof message, "n,,n=,r=%0104d", 1);
	assert_false(first(&s, message, NULL, false));
	snprintf(message, sizeof message, "n,,n=%02000d,r=abc", 1);
	assert_false(first(&s, message, NULL, false));
	assert_false(
	    scram_server_first(&s, &v, no_binding, false, "n,,n=,r=a\0b", 11, out, sizeof out, &n));
	assert_true(
	    scram_server_first(&s, &v, no_binding, false, "n,,n=,r=a", 9, out, sizeof out, &n));
	assert_memory_equal(out, "r=a", 3);
	assert_string_equal(out + n - strlen(",s=AAAAAA==,i=1000000"), ",s=AAAAAA==,i=1000000");
	assert_false(scram_server_first(&s, &v, no_binding, false, "n,,n=,r=a", 9, out, n, &n));
}

static bool
final(ScramServer *s, const char *message, bool *proven)
{
	char out[SCRAM_MESSAGE];
	size_t n;

	return scram_server_final(s, message, strlen(message), proven, out, sizeof out, &n);
}

static void
a_final_message_is_taken_only_as_it_has_to_be(void **state)
{
	static const char *const bad[] = { "", "c=biws", "c=biws,r=abc",
		"c=biws,r=abc,p=", "c=biws,r=abc,p=AAAA",
		"r=abc,c=biws,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=eSws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=biwsAA==,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=biws,r=abd,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=biws,r=ab,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=biws,r=abcd,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,x=1",
		"c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"c=biws,r=abc,x,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
	ScramServer s;
	bool proven = true;

	(void)state;
	assert_true(first(&s, "n,,n=,r=abc", NULL, true));
	set(s.nonce, sizeof s.nonce, "abc");
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(final(&s, bad[i], &proven));
	assert_true(proven); /* was left alone */
	assert_true(
	    final(&s, "c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &proven));
	assert_false(proven);
	assert_true(
	    final(&s, "c=biws,r=abc,x=1,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &proven));
	assert_true(first(&s, "p=tls-server-end-point,,n=,r=abc", "hash", true));
	set(s.nonce, sizeof s.nonce, "abc");
	assert_true(final(&s,
	    "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaA==,r=abc,"
	    "p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	    &proven));
	assert_false(final(&s,
	    "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaQ==,r=abc,"
	    "p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	    &proven)); /* bound to another certificate */
	assert_false(
	    final(&s, "c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &proven));
}

static void
a_challenge_is_taken_only_as_it_has_to_be(void **state)
{
	static const char *const bad[] = { "", "e=other-error", "r=abcX",
		"r=abcX,s=c2FsdA==", "r=abc,s=c2FsdA==,i=4096", "r=abX,s=c2FsdA==,i=4096",
		"r=,s=c2FsdA==,i=4096", "m=x,r=abcX,s=c2FsdA==,i=4096", "s=c2FsdA==,r=abcX,i=4096",
		"r=abcX,s=,i=4096", "r=abcX,s=c2FsdA,i=4096", "r=abcX,s=c2FsdA==,i=0",
		"r=abcX,s=c2FsdA==,i=", "r=abcX,s=c2FsdA==,i=-1", "r=abcX,s=c2FsdA==,i=04096",
		"r=abcX,s=c2FsdA==,i=1000001", "r=abcX,s=c2FsdA==,i=99999999999999999999",
		"r=abcX,s=c2FsdA==,i=4096x", "r=abcX,s=c2FsdA==,i=4096,",
		"r=abcX,s=c2FsdA==,i=4096,x=1", "r=abc X,s=c2FsdA==,i=4096",
		"r=abc\xc3\xa4,s=c2FsdA==,i=4096" };
	char long_one[SCRAM_MESSAGE + 100];
	ScramClient c;

	(void)state;
	set(c.nonce, sizeof c.nonce, "abc");
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(scram_client_challenge(&c, bad[i], strlen(bad[i])));
	assert_string_equal(c.nonce, "abc");
	snprintf(long_one, sizeof long_one, "r=abc%0257d,s=c2FsdA==,i=1", 1);
	assert_false(scram_client_challenge(&c, long_one, strlen(long_one)));
	snprintf(long_one, sizeof long_one, "r=abcX,s=%0992d,i=1", 1);
	assert_false(scram_client_challenge(&c, long_one, strlen(long_one)));
	snprintf(long_one, sizeof long_one, "r=abcX,s=%088d,i=1", 0); /* 66 bytes of salt */
	assert_false(scram_client_challenge(&c, long_one, strlen(long_one)));
	assert_false(scram_client_challenge(&c, "r=abcX\0,s=c2FsdA==,i=1", 22));
	snprintf(long_one, sizeof long_one, "r=abc%0256d,s=c2FsdA==,i=1000000", 1);
	assert_true(scram_client_challenge(&c, long_one, strlen(long_one)));
	assert_int_equal(c.iterations, 1000000);
	assert_int_equal(strlen(c.nonce), 3 + 256);
}

static void
the_server_has_to_prove_itself(void **state)
{
	static const char *const bad[] = { "", "v=", "v=AAAA", "e=invalid-proof",
		"v=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,x=1",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
	const char *good = "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	ScramClient c = { .iterations = 1, .proven = true };

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(scram_client_verify(&c, bad[i], strlen(bad[i])));
	assert_true(scram_client_verify(&c, good, strlen(good)));
	assert_false(scram_client_verify(&c, good, strlen(good) - 1));
	c.proven = false; /* what is all zeros before it was made is no signature */
	assert_false(scram_client_verify(&c, good, strlen(good)));
}

static void
nothing_is_written_where_it_does_not_fit(void **state)
{
	char out[SCRAM_MESSAGE];
	ScramKeys keys = { { 1 }, { 2 } };
	ScramClient c;
	size_t n;

	(void)state;
	assert_true(scram_client_first(&c, out, sizeof out, &n));
	assert_int_equal(n, strlen("n,,n=,r=") + 24);
	memset(out, 'x', sizeof out);
	assert_false(scram_client_first(&c, out, 32, &n));
	assert_int_equal(out[0], 'x');
	set(c.nonce, sizeof c.nonce, "abc");
	assert_true(scram_client_challenge(&c, "r=abcX,s=c2FsdA==,i=1", 21));
	assert_false(scram_client_final(&c, &keys, out, 60, &n));
	assert_int_equal(out[0], 'x');
	assert_true(scram_client_final(&c, &keys, out, 61, &n));
	assert_int_equal(n, 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_exchange_is_made_and_taken),
		cmocka_unit_test(only_the_right_password_proves_itself),
		cmocka_unit_test(an_unknown_user_always_has_the_same_salt),
		cmocka_unit_test(what_postgresql_stores_is_read),
		cmocka_unit_test(a_first_message_is_taken_only_as_it_has_to_be),
		cmocka_unit_test(a_final_message_is_taken_only_as_it_has_to_be),
		cmocka_unit_test(a_challenge_is_taken_only_as_it_has_to_be),
		cmocka_unit_test(the_server_has_to_prove_itself),
		cmocka_unit_test(nothing_is_written_where_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

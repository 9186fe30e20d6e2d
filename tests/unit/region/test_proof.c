#include <string.h>

#include "region/gateway/proof.h"
#include "tests/unit/unit.h"

/* A server and a client on both ends of proof.h, message by message. */

static const unsigned char salt[16] = "0123456789abcdef";
#define ROUNDS 64

typedef struct Both {
	Ctx cx;
	ScramKeys keys;
	ScramVerifier verifier;
	ProofOut out;
	ScramServer server;
	unsigned char room[4096];
	size_t n;
	char text[SCRAM_MESSAGE];
	size_t text_n;
} Both;

static int
setup(void **state)
{
	static Both b;
	Secret password;

	memset(&b, 0, sizeof b);
	b.cx = ctx_new(NULL);
	password = secret_new(b.cx.mem, "secret", strlen("secret"));
	if (!scram_keys(&b.cx, &password, salt, sizeof salt, ROUNDS, &b.keys))
		return -1;
	memcpy(b.verifier.salt, salt, sizeof salt);
	b.verifier.salt_n = sizeof salt;
	b.verifier.iterations = ROUNDS;
	sha256(b.keys.client, sizeof b.keys.client, b.verifier.stored);
	memcpy(b.verifier.server, b.keys.server, sizeof b.keys.server);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Both *)*state)->cx.mem);
	return 0;
}

/* An Authentication message of the server. */
static ProofDo
auth(Both *b, uint32_t code, const void *data, size_t n, bool trusted)
{
	unsigned char body[2048] = { 0 };

	for (int i = 0; i < 4; i++)
		body[i] = (unsigned char)(code >> (24 - 8 * i));
	memcpy(body + 4, data, n);
	b->n = 0;
	return proof_out_message(&b->out, body, n + 4, trusted, b->room, sizeof b->room, &b->n);
}

static ProofDo
asks(Both *b)
{
	return auth(b, AUTH_SASL, "SCRAM-SHA-256\0", 15, false);
}

/* The server's challenge to what was sent. */
static ProofDo
challenges(Both *b)
{
	const char *mechanism;
	const unsigned char *data;
	size_t data_n;

	assert_true(
	    wire_sasl_first(b->room + WIRE_HEAD, b->n - WIRE_HEAD, &mechanism, &data, &data_n));
	assert_string_equal(mechanism, "SCRAM-SHA-256");
	assert_true(scram_server_first(&b->server, &b->verifier, (Bytes){ NULL, 0 }, false, data,
	    data_n, b->text, sizeof b->text, &b->text_n));
	return auth(b, AUTH_SASL_MORE, b->text, b->text_n, false);
}

/* The server's signature of what was sent, if it is right. */
static ProofDo
signs(Both *b)
{
	bool proven = false;

	assert_true(scram_server_final(&b->server, b->room + WIRE_HEAD, b->n - WIRE_HEAD, &proven,
	    b->text, sizeof b->text, &b->text_n));
	assert_true(proven);
	return auth(b, AUTH_SASL_FINAL, b->text, b->text_n, false);
}

static ProofDo
given_keys(Both *b)
{
	return proof_out_keys(&b->out, &b->keys, b->room, sizeof b->room, &b->n);
}

static void
a_server_that_knows_the_keys_is_believed(void **state)
{
	Both *b = *state;

	memset(&b->out, 0, sizeof b->out);
	assert_int_equal(asks(b), PROOF_SEND);
	assert_int_equal(challenges(b), PROOF_WANT_KEYS);
	assert_int_equal(b->out.scram.iterations, ROUNDS);
	assert_int_equal(given_keys(b), PROOF_SEND);
	assert_int_equal(signs(b), PROOF_WAIT);
	assert_int_equal(auth(b, AUTH_OK, "", 0, false), PROOF_DONE);
}

/* Brings a login to its step. */
static void
come_to(Both *b, ProofOutStep step)
{
	memset(&b->out, 0, sizeof b->out);
	if (step > PROOF_ASKED)
		assert_int_equal(asks(b), PROOF_SEND);
	if (step > PROOF_CHALLENGE)
		assert_int_equal(challenges(b), PROOF_WANT_KEYS);
	if (step > PROOF_KEYS)
		assert_int_equal(given_keys(b), PROOF_SEND);
	if (step > PROOF_SIGNATURE)
		assert_int_equal(signs(b), PROOF_WAIT);
	if (step > PROOF_SIGNED)
		assert_int_equal(auth(b, AUTH_OK, "", 0, false), PROOF_DONE);
	assert_int_equal(b->out.step, step);
}

static void
every_message_of_another_step_ends_the_login(void **state)
{
	static const uint32_t codes[] = { AUTH_SASL, AUTH_SASL_MORE, AUTH_SASL_FINAL, AUTH_OK };
	static const ProofOutStep wants[] = { PROOF_ASKED, PROOF_CHALLENGE, PROOF_SIGNATURE,
		PROOF_SIGNED };
	static const char *const data[] = { "SCRAM-SHA-256\0", "r=x,s=MDEy,i=1",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "" };
	static const size_t sizes[] = { 15, 14, 46, 0 };
	Both *b = *state;

	for (int trusted = 0; trusted < 2; trusted++)
		for (ProofOutStep step = PROOF_ASKED; step <= PROOF_IN; step++)
			for (size_t i = 0; i < 4; i++) {
				bool asked_nothing = trusted && step == PROOF_ASKED && i == 3;
				if (wants[i] == step || asked_nothing)
					continue;
				come_to(b, step);
				assert_int_equal(
				    auth(b, codes[i], data[i], sizes[i], trusted), PROOF_REFUSE);
				assert_string_equal(b->out.why,
				    i == 3 ? "it asks for no proof and gives none"
					   : "its login messages are not in their order");
				assert_string_equal(b->out.sqlstate, "28000");
				assert_int_equal(auth(b, AUTH_OK, "", 0, trusted), PROOF_REFUSE);
			}
}

static void
a_signature_before_our_proof_is_none(void **state)
{
	static const char zeros[] = "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	Both *b = *state;

	come_to(b, PROOF_CHALLENGE);
	assert_false(scram_client_verify(&b->out.scram, zeros, strlen(zeros)));
	come_to(b, PROOF_ASKED);
	assert_false(scram_client_verify(&b->out.scram, zeros, strlen(zeros)));
	assert_int_equal(auth(b, AUTH_SASL_FINAL, zeros, strlen(zeros), false), PROOF_REFUSE);
}

static void
a_wrong_signature_is_refused(void **state)
{
	static const char zeros[] = "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	Both *b = *state;

	come_to(b, PROOF_SIGNATURE);
	assert_int_equal(auth(b, AUTH_SASL_FINAL, zeros, strlen(zeros), true), PROOF_REFUSE);
	assert_string_equal(b->out.why, "it could not prove that it knows the role");
}

static void
keys_are_wanted_once(void **state)
{
	Both *b = *state;

	come_to(b, PROOF_CHALLENGE);
	assert_int_equal(challenges(b), PROOF_WANT_KEYS);
	assert_int_equal(auth(b, AUTH_SASL_MORE, b->text, b->text_n, false), PROOF_REFUSE);
	assert_int_equal(given_keys(b), PROOF_REFUSE);
}

static void
passwords_in_clear_and_md5_are_refused(void **state)
{
	static const struct {
		uint32_t code;
		const char *why;
	} rows[] = {
		{ AUTH_CLEAR, "it asks for a password in clear" },
		{ AUTH_MD5, "it asks for MD5 authentication" },
		{ 7, "it asks for a way of authentication that the gateway refuses" },
	};
	Both *b = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		come_to(b, PROOF_ASKED);
		assert_int_equal(auth(b, rows[i].code, "salt", 4, true), PROOF_REFUSE);
		assert_string_equal(b->out.why, rows[i].why);
	}
	come_to(b, PROOF_ASKED);
	assert_int_equal(auth(b, AUTH_SASL, "PLAIN\0", 7, true), PROOF_REFUSE);
	assert_string_equal(b->out.why, "it does not offer SCRAM-SHA-256");
}

/* --- a client and us ---------------------------------------------------------------- */

/* What the client says first, as it stands in the packet. */
static size_t
client_says(ScramClient *c, unsigned char *out, size_t cap)
{
	char first[SCRAM_MESSAGE];
	size_t n;

	assert_true(scram_client_first(c, first, sizeof first, &n));
	return wire_put_sasl_first(out, cap, "SCRAM-SHA-256", first, n);
}

static bool
log_in(Both *b, const ScramKeys *keys, bool known, ProofIn *p)
{
	ScramClient c;
	char list[64], out[SCRAM_MESSAGE];
	size_t n = client_says(&c, b->room, sizeof b->room);

	memset(p, 0, sizeof *p);
	assert_int_equal(proof_in_offer(p, false, list), 15);
	assert_true(proof_in_first(p, b->room + WIRE_HEAD, n - WIRE_HEAD));
	assert_true(proof_in_verifier(p, &b->verifier, known, (Bytes){ NULL, 0 }, out, &n));
	assert_true(scram_client_challenge(&c, out, n));
	assert_true(scram_client_final(&c, keys, b->text, sizeof b->text, &b->text_n));
	return proof_in_last(p, (const unsigned char *)b->text, b->text_n, out, &n);
}

static void
a_client_that_knows_the_password_comes_in(void **state)
{
	Both *b = *state;
	ProofIn p;

	assert_true(log_in(b, &b->keys, true, &p));
	/* once */
	assert_false(proof_in_last(
	    &p, (const unsigned char *)b->text, b->text_n, (char[SCRAM_MESSAGE]){ 0 }, &b->n));
	assert_string_equal(p.sqlstate, "08P01");
}

static void
a_wrong_password_and_an_unknown_user_are_told_the_same(void **state)
{
	ScramKeys wrong = { { 1 }, { 2 } };
	Both *b = *state;
	ProofIn p;

	assert_false(log_in(b, &wrong, true, &p));
	assert_string_equal(p.sqlstate, "28P01");
	assert_string_equal(p.why, "tenant, user or password is wrong");
	assert_false(log_in(b, &b->keys, false, &p)); /* even if it fits what a stranger is shown */
	assert_string_equal(p.sqlstate, "28P01");
	assert_string_equal(p.why, "tenant, user or password is wrong");
}

static void
the_messages_of_a_client_come_in_their_order(void **state)
{
	Both *b = *state;
	ScramClient c;
	char out[SCRAM_MESSAGE], list[64];
	size_t n, first = client_says(&c, b->room, sizeof b->room);
	const unsigned char *body = b->room + WIRE_HEAD;
	ProofIn p = { 0 };

	assert_false(proof_in_last(&p, body, first - WIRE_HEAD, out, &n));
	assert_false(proof_in_first(&p, body, first - WIRE_HEAD));
	p = (ProofIn){ 0 };
	assert_false(proof_in_verifier(&p, &b->verifier, true, (Bytes){ NULL, 0 }, out, &n));
	p = (ProofIn){ 0 };
	proof_in_offer(&p, false, list);
	assert_true(proof_in_first(&p, body, first - WIRE_HEAD));
	assert_false(proof_in_first(&p, body, first - WIRE_HEAD));
	assert_string_equal(p.why, "the SCRAM message is not well formed");
	assert_false(proof_in_verifier(&p, &b->verifier, true, (Bytes){ NULL, 0 }, out, &n));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_that_knows_the_keys_is_believed),
		cmocka_unit_test(every_message_of_another_step_ends_the_login),
		cmocka_unit_test(a_signature_before_our_proof_is_none),
		cmocka_unit_test(a_wrong_signature_is_refused),
		cmocka_unit_test(keys_are_wanted_once),
		cmocka_unit_test(passwords_in_clear_and_md5_are_refused),
		cmocka_unit_test(a_client_that_knows_the_password_comes_in),
		cmocka_unit_test(a_wrong_password_and_an_unknown_user_are_told_the_same),
		cmocka_unit_test(the_messages_of_a_client_come_in_their_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

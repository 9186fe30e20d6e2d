/*
 * The two logins of a gateway's worker, message by message: whatever a server says, it is believed
 * only if it knows the keys, and keys are wanted once; whatever a client says, it comes in only if
 * it knows the password.
 *
 * The input is a row of messages: a byte that chooses, a byte for the length, and so many bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "region/gateway/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool right)
{
	if (!right)
		abort();
}

typedef struct Script {
	const uint8_t *at;
	size_t n;
} Script;

static bool
next(Script *s, uint8_t *choice, const uint8_t **bytes, size_t *n)
{
	if (s->n < 2)
		return false;
	*choice = s->at[0];
	*n = s->at[1] < s->n - 2 ? s->at[1] : s->n - 2;
	*bytes = s->at + 2;
	s->at += 2 + *n;
	s->n -= 2 + *n;
	return true;
}

/* An Authentication message: of a code that exists, as a rule; a challenge begins with our nonce. */
static size_t
server_says(const ProofOut *p, uint8_t choice, const uint8_t *bytes, size_t n, uint8_t out[1024])
{
	static const uint8_t codes[] = { AUTH_OK, AUTH_CLEAR, AUTH_MD5, AUTH_SASL, AUTH_SASL_MORE,
		AUTH_SASL_FINAL };
	size_t at = 4;

	if (choice % 16 == 15) {
		memcpy(out, bytes, n);
		return n;
	}
	memset(out, 0, 4);
	out[3] = codes[choice % sizeof codes];
	if (out[3] == AUTH_SASL && choice & 64) {
		memcpy(out + at, "SCRAM-SHA-256\0", 15);
		at += 15;
	}
	if (out[3] == AUTH_SASL_MORE && choice & 64) {
		memcpy(out + at, "r=", 2);
		memcpy(out + at + 2, p->scram.nonce, strnlen(p->scram.nonce, 64));
		at += 2 + strnlen(p->scram.nonce, 64);
	}
	memcpy(out + at, bytes, n);
	return at + n;
}

static void
a_server(Script s, bool trusted)
{
	const ScramKeys keys = { { 1 }, { 2 } };
	uint8_t choice, body[1024];
	unsigned char out[4096];
	ProofOut p = { 0 };
	const uint8_t *bytes;
	size_t n, len;
	int wanted = 0, sent = 0;

	while (next(&s, &choice, &bytes, &n)) {
		ProofOutStep before = p.step;
		n = server_says(&p, choice, bytes, n, body);
		len = 0;
		ProofDo what = proof_out_message(&p, body, n, trusted, out, sizeof out, &len);
		if (what == PROOF_WANT_KEYS) {
			must(++wanted == 1 && p.scram.iterations > 0 && p.scram.salt_n > 0);
			what = proof_out_keys(&p, &keys, out, sizeof out, &len);
		}
		if (what == PROOF_SEND)
			must(
			    ++sent <= 2 && len > WIRE_HEAD && len <= sizeof out && p.step > before);
		must(what != PROOF_WAIT); /* nobody can sign by chance */
		if (what == PROOF_DONE)
			must(trusted && before == PROOF_ASKED && sent == 0);
		if (what == PROOF_REFUSE)
			must(p.step == PROOF_FAILED && p.why && p.sqlstate);
		if (what == PROOF_DONE || what == PROOF_REFUSE)
			return;
	}
}

/* What comes from a client, with the verifier given when it is asked for. */
static void
a_client(Script s, bool known)
{
	static const unsigned char secret[32] = { 7 }, hash[32] = { 9 };
	char list[64], out[SCRAM_MESSAGE];
	uint8_t choice;
	const uint8_t *bytes;
	size_t n, len = 0;
	ScramVerifier v;
	ProofIn p = { 0 };

	scram_mock(secret, "acme/app", &v);
	must(proof_in_offer(&p, s.n % 2, list) <= sizeof list);
	while (next(&s, &choice, &bytes, &n)) {
		ProofInStep before = p.step;
		bool taken = before == PROOF_FIRST ? proof_in_first(&p, bytes, n)
						   : proof_in_last(&p, bytes, n, out, &len);
		must(!taken || before == PROOF_FIRST);
		if (!taken) {
			must(p.step == PROOF_OVER && p.why && p.sqlstate);
			continue;
		}
		if (choice & 1 &&
		    proof_in_verifier(&p, &v, known, (Bytes){ hash, sizeof hash }, out, &len)) {
			must(
			    p.step == PROOF_LAST && len < sizeof out && strncmp(out, "r=", 2) == 0);
			memcpy(p.scram.nonce, "fixed", sizeof "fixed"); /* what a script can know */
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const Script s = { data, size };

	a_server(s, false);
	a_server(s, true);
	a_client(s, false);
	a_client(s, true);
	return 0;
}

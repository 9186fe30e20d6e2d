/*
 * Messages of a login, from either side.  Nobody proves a password that he does
 * not know; what is answered is bounded and of the protocol.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/adapters/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
a_server(const uint8_t *data, size_t size)
{
	static const unsigned char secret[32] = { 7 }, hash[32] = { 9 };
	const char *line = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t first = line ? (size_t)(line - (const char *)data) : size, n = 0;
	const Bytes binding = { hash, size % 2 ? sizeof hash : 0 };
	char out[SCRAM_MESSAGE];
	bool proven = true;
	ScramVerifier v;
	ScramServer s;

	scram_mock(secret, "app", &v);
	if (!scram_server_first(&s, &v, binding, size % 3 == 0, data, first, out, sizeof out, &n))
		return;
	must(n < sizeof out && strlen(out) == n && strncmp(out, "r=", 2) == 0);
	memcpy(s.nonce, "fixed", sizeof "fixed"); /* what a script can know */
	if (line &&
	    scram_server_final(&s, line + 1, size - first - 1, &proven, out, sizeof out, &n))
		must(!proven && n == 0);
}

static void
a_client(const uint8_t *data, size_t size)
{
	const ScramKeys keys = { { 1 }, { 2 } };
	char out[SCRAM_MESSAGE];
	ScramClient c;
	size_t n;

	must(scram_client_first(&c, out, sizeof out, &n));
	memset(c.signature, 0, sizeof c.signature);
	must(!scram_client_verify(&c, data, size)); /* none has been made */
	memcpy(c.nonce, "fixed", sizeof "fixed");
	if (scram_client_challenge(&c, data, size)) {
		must(c.salt_n > 0 && c.salt_n <= SCRAM_SALT);
		must(c.iterations > 0 && c.iterations <= SCRAM_ITERATIONS_MAX);
		must(strncmp(c.nonce, "fixed", 5) == 0 && strlen(c.nonce) > 5);
		must(scram_client_final(&c, &keys, out, sizeof out, &n) && strlen(out) == n);
	}
	memcpy(c.signature, "a signature that nobody can know", 32);
	must(!scram_client_verify(&c, data, size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512];
	ScramVerifier v;

	a_server(data, size);
	a_client(data, size);
	size_t n = size < sizeof text ? size : sizeof text - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	if (scram_read(text, &v))
		must(v.salt_n > 0 && v.salt_n <= SCRAM_SALT && v.iterations > 0);
	return 0;
}

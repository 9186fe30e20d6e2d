#include "lib/adapters/pbkdf.h"

#include <string.h>

#include <openssl/sha.h>

#include "lib/base/secret.h"

#define BLOCK 64 /* bytes that SHA-256 takes at once */

/* OpenSSL's own PBKDF2 makes a context anew for each of its 8,192 sums, which takes longer than the
 * sums: with a thousand tenants to make that is what counts.  These are its sums without contexts. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

typedef struct Halves { /* of HMAC, with the key's block taken in */
	SHA256_CTX inner, outer;
} Halves;

static void
halves_key(Halves *h, const unsigned char *key, size_t n)
{
	unsigned char block[BLOCK] = { 0 };

	if (n > BLOCK)
		SHA256(key, n, block);
	else
		memcpy(block, key, n);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36;
	SHA256_Init(&h->inner);
	SHA256_Update(&h->inner, block, BLOCK);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&h->outer);
	SHA256_Update(&h->outer, block, BLOCK);
	secret_wipe(block, sizeof block);
}

/* HMAC-SHA-256 of the text, and of `more` behind it. */
static void
halves_sum(const Halves *h, const void *text, size_t n, const void *more, size_t more_n,
    unsigned char out[PBKDF_BYTES])
{
	SHA256_CTX c = h->inner;

	SHA256_Update(&c, text, n);
	SHA256_Update(&c, more, more_n);
	SHA256_Final(out, &c);
	c = h->outer;
	SHA256_Update(&c, out, PBKDF_BYTES);
	SHA256_Final(out, &c);
}

void
pbkdf2_sha256(const char *password, size_t n, const unsigned char *salt, size_t salt_n, int rounds,
    unsigned char out[PBKDF_BYTES])
{
	static const unsigned char first[] = { 0, 0, 0, 1 };
	unsigned char sum[PBKDF_BYTES];
	Halves h;

	halves_key(&h, (const unsigned char *)password, n);
	halves_sum(&h, salt, salt_n, first, sizeof first, sum);
	memcpy(out, sum, sizeof sum);
	for (int round = 1; round < rounds; round++) {
		halves_sum(&h, sum, sizeof sum, "", 0, sum);
		for (size_t i = 0; i < sizeof sum; i++)
			out[i] ^= sum[i];
	}
	secret_wipe(sum, sizeof sum);
	secret_wipe(&h, sizeof h);
}

#pragma GCC diagnostic pop

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/adapters/crypto.h"
#include "lib/base/log.h"

char *
hex_text(Arena *mem, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *at = bytes;
	char *out = arena_alloc(mem, 2 * n + 1);

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[at[i] >> 4];
		out[2 * i + 1] = digits[at[i] & 15];
	}
	return out;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
hex_bytes(const char *text, size_t n, unsigned char *out)
{
	if (n % 2 != 0)
		return false;
	for (size_t i = 0; i < n; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *
base64_text(Arena *mem, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;
	char *text = arena_alloc(mem, (n + 2) / 3 * 4 + 1), *out = text;

	for (size_t i = 0; i < n; i += 3) {
		unsigned group = (unsigned)at[i] << 16 |
		    (i + 1 < n ? (unsigned)at[i + 1] << 8 : 0) | (i + 2 < n ? at[i + 2] : 0u);
		*out++ = base64_letters[group >> 18];
		*out++ = base64_letters[group >> 12 & 63];
		*out++ = i + 1 < n ? base64_letters[group >> 6 & 63] : '=';
		*out++ = i + 2 < n ? base64_letters[group & 63] : '=';
	}
	return text;
}

static int
base64_value(char c)
{
	const char *at = c ? strchr(base64_letters, c) : NULL;

	return at ? (int)(at - base64_letters) : -1;
}

/* Bits that a padded group leaves over must be zero: each text stands for other bytes. */
bool
base64_bytes(Arena *mem, const char *text, size_t n, Bytes *out)
{
	if (n % 4 != 0)
		return false;
	size_t pad = n > 0 && text[n - 1] == '=' ? 1 + (text[n - 2] == '=') : 0, len = 0;
	unsigned char *bytes = arena_alloc(mem, n / 4 * 3 + 1);
	unsigned held = 0, bits = 0;

	for (size_t i = 0; i < n - pad; i++) {
		int value = base64_value(text[i]);
		if (value < 0)
			return false;
		held = (held << 6 | (unsigned)value) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[len++] = (unsigned char)(held >> bits);
		}
	}
	if (held & ((1u << bits) - 1))
		return false;
	*out = (Bytes){ bytes, len };
	return true;
}

/* For calls that fail only when the library itself is broken or memory is gone. */
static void
sign_must(bool done)
{
	if (done)
		return;
	log_say("the crypto library failed");
	abort();
}

struct Ed25519 {
	EVP_PKEY *key;
};

static void
ed25519_free(void *key)
{
	EVP_PKEY_free(key);
}

Ed25519 *
ed25519_open(Arena *mem, const unsigned char seed[ED25519_SEED])
{
	Ed25519 *k = arena_alloc(mem, sizeof *k);

	k->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED);
	sign_must(k->key != NULL);
	arena_on_free(mem, ed25519_free, k->key);
	return k;
}

void
ed25519_public(const Ed25519 *key, unsigned char out[ED25519_PUBLIC])
{
	size_t n = ED25519_PUBLIC;

	sign_must(EVP_PKEY_get_raw_public_key(key->key, out, &n) == 1 && n == ED25519_PUBLIC);
}

void
ed25519_sign(const Ed25519 *key, const void *bytes, size_t n, unsigned char out[ED25519_SIGNATURE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = ED25519_SIGNATURE;

	sign_must(ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->key) == 1);
	sign_must(EVP_DigestSign(ctx, out, &len, bytes, n) == 1 && len == ED25519_SIGNATURE);
	EVP_MD_CTX_free(ctx);
}

bool
ed25519_verify(const unsigned char pub[ED25519_PUBLIC], const void *bytes, size_t n,
    const unsigned char signature[ED25519_SIGNATURE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, ED25519_PUBLIC);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	sign_must(key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1);
	bool genuine = EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE, bytes, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return genuine;
}

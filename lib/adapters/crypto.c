#include "lib/adapters/crypto.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#include "lib/adapters/pbkdf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define SEAL_MAGIC   0x54
#define SEAL_VERSION 1
#define SEAL_XAES    1
#define SEAL_HEADER  9
#define SCRAM_SALT   16
#define SCRAM_ROUNDS 4096
#define AES_BLOCK    16

_Static_assert(
    SEAL_HEADER + XAES_NONCE + XAES_TAG == SEAL_OVERHEAD, "the overhead that callers count with");

/* Fetching takes locks and time, so it is done once; never changed afterwards. */
static EVP_CIPHER *crypto_aes_block, *crypto_aes_gcm;
static EVP_MD *crypto_sha256;
/* They hold nothing between two calls: a new one for each hash costs more than a short hash. */
static EVP_MD_CTX *crypto_scratch;
static EVP_MAC_CTX *crypto_mac;

/* For calls that fail only when the library itself is broken or memory is gone. */
static void
crypto_must(bool done)
{
	if (done)
		return;
	log_say("the crypto library failed");
	abort();
}

static EVP_MAC_CTX *
crypto_fetch_mac(void)
{
	char name[] = "SHA256";
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
					  OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end() };
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

	crypto_must(ctx && EVP_MAC_CTX_set_params(ctx, params) == 1);
	EVP_MAC_free(mac);
	return ctx;
}

static void
crypto_fetch(void)
{
	if (crypto_sha256 != NULL)
		return;
	crypto_aes_block = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
	crypto_aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	crypto_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	crypto_scratch = EVP_MD_CTX_new();
	crypto_mac = crypto_fetch_mac();
	crypto_must(crypto_aes_block != NULL && crypto_aes_gcm != NULL && crypto_sha256 != NULL);
	crypto_must(crypto_scratch && EVP_DigestInit_ex2(crypto_scratch, crypto_sha256, NULL) == 1);
}

/* The published derivation: CMAC's K1 over two counter blocks that hold half the nonce. */
static void
xaes_subkey(const unsigned char key[KEY_BYTES], const unsigned char nonce[XAES_NONCE],
    unsigned char out[KEY_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char k1[AES_BLOCK] = { 0 }, block[2 * AES_BLOCK];
	int n;

	crypto_fetch();
	crypto_must(
	    ctx != NULL && EVP_EncryptInit_ex2(ctx, crypto_aes_block, key, NULL, NULL) == 1);
	crypto_must(EVP_CIPHER_CTX_set_padding(ctx, 0) == 1);
	crypto_must(EVP_EncryptUpdate(ctx, k1, &n, k1, AES_BLOCK) == 1 && n == AES_BLOCK);
	unsigned char carry = (unsigned char)(k1[0] >> 7);
	for (int i = 0; i < AES_BLOCK; i++) {
		int next = i + 1 < AES_BLOCK ? k1[i + 1] >> 7 : 0;
		k1[i] = (unsigned char)(k1[i] << 1 | next);
	}
	k1[AES_BLOCK - 1] = (unsigned char)(k1[AES_BLOCK - 1] ^ carry * 0x87);
	for (int half = 0; half < 2; half++) {
		unsigned char *m = block + half * AES_BLOCK;
		m[0] = 0;
		m[1] = (unsigned char)(half + 1);
		m[2] = 'X';
		m[3] = 0;
		memcpy(m + 4, nonce, 12);
		for (int i = 0; i < AES_BLOCK; i++)
			m[i] ^= k1[i];
	}
	crypto_must(EVP_EncryptUpdate(ctx, out, &n, block, sizeof block) == 1 && n == sizeof block);
	EVP_CIPHER_CTX_free(ctx);
	secret_wipe(k1, sizeof k1);
	secret_wipe(block, sizeof block);
}

static EVP_CIPHER_CTX *
xaes_begin(const unsigned char key[KEY_BYTES], const unsigned char nonce[XAES_NONCE], Bytes aad,
    bool encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char subkey[KEY_BYTES];
	int n;

	xaes_subkey(key, nonce, subkey);
	crypto_must(ctx != NULL);
	crypto_must(
	    EVP_CipherInit_ex2(ctx, crypto_aes_gcm, subkey, nonce + 12, encrypt, NULL) == 1);
	secret_wipe(subkey, sizeof subkey);
	if (aad.n > 0)
		crypto_must(EVP_CipherUpdate(ctx, NULL, &n, aad.at, (int)aad.n) == 1);
	return ctx;
}

void
xaes_encrypt(const unsigned char key[KEY_BYTES], const unsigned char nonce[XAES_NONCE], Bytes aad,
    Bytes plain, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = xaes_begin(key, nonce, aad, true);
	int n = 0, end = 0;

	if (plain.n > 0)
		crypto_must(EVP_EncryptUpdate(ctx, out, &n, plain.at, (int)plain.n) == 1);
	crypto_must(EVP_EncryptFinal_ex(ctx, out + n, &end) == 1 && (size_t)(n + end) == plain.n);
	crypto_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, XAES_TAG, out + plain.n) == 1);
	EVP_CIPHER_CTX_free(ctx);
}

static bool
xaes_decrypt(const unsigned char key[KEY_BYTES], const unsigned char nonce[XAES_NONCE], Bytes aad,
    Bytes sealed, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = xaes_begin(key, nonce, aad, false);
	size_t len = sealed.n - XAES_TAG;
	unsigned char tag[XAES_TAG];
	int n = 0, end = 0;

	memcpy(tag, sealed.at + len, XAES_TAG);
	if (len > 0)
		crypto_must(EVP_DecryptUpdate(ctx, out, &n, sealed.at, (int)len) == 1);
	crypto_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, XAES_TAG, tag) == 1);
	bool genuine = EVP_DecryptFinal_ex(ctx, out + n, &end) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return genuine;
}

static bool
seal_bind(Ctx *cx, const SealPlace *place, const unsigned char *header, Bytes *aad)
{
	const char *part[] = { place->tenant, place->schema, place->table, place->column,
		place->key };
	size_t len[6] = { 0 }, total = 0;

	for (int i = 0; i < 6; i++) {
		len[i] = i == 5 ? SEAL_HEADER : part[i] == NULL ? 0 : strlen(part[i]);
		if (len[i] > UINT16_MAX)
			return fail(cx, FAIL_SECRET, NULL,
			    "a value is bound to a name of %zu bytes, "
			    "more than %d",
			    len[i], UINT16_MAX);
		total += 2 + len[i];
	}
	unsigned char *out = arena_alloc(cx->mem, total);
	*aad = (Bytes){ out, total };
	for (int i = 0; i < 6; i++) {
		*out++ = (unsigned char)(len[i] >> 8);
		*out++ = (unsigned char)len[i];
		if (len[i] > 0)
			memcpy(out, i == 5 ? (const void *)header : part[i], len[i]);
		out += len[i];
	}
	return true;
}

bool
crypto_seal(Ctx *cx, const unsigned char key[KEY_BYTES], uint32_t key_id, uint16_t generation,
    const SealPlace *place, Bytes plain, Bytes *sealed)
{
	Bytes aad;

	if (plain.n > INT_MAX - SEAL_OVERHEAD)
		return fail(
		    cx, FAIL_LIMIT, NULL, "a value of %zu bytes is too large to seal", plain.n);
	unsigned char *out = arena_alloc(cx->mem, plain.n + SEAL_OVERHEAD);
	const unsigned char header[SEAL_HEADER] = { SEAL_MAGIC, SEAL_VERSION, SEAL_XAES,
		(unsigned char)(key_id >> 24), (unsigned char)(key_id >> 16),
		(unsigned char)(key_id >> 8), (unsigned char)key_id,
		(unsigned char)(generation >> 8), (unsigned char)generation };
	memcpy(out, header, SEAL_HEADER);
	if (!seal_bind(cx, place, header, &aad))
		return false;
	random_bytes(out + SEAL_HEADER, XAES_NONCE);
	xaes_encrypt(key, out + SEAL_HEADER, aad, plain, out + SEAL_HEADER + XAES_NONCE);
	*sealed = (Bytes){ out, plain.n + SEAL_OVERHEAD };
	return true;
}

bool
crypto_sealed_header(Bytes sealed, uint32_t *key_id, uint16_t *generation)
{
	const unsigned char *h = sealed.at;

	if (sealed.n < SEAL_OVERHEAD || sealed.n > INT_MAX)
		return false;
	if (h[0] != SEAL_MAGIC || h[1] != SEAL_VERSION || h[2] != SEAL_XAES)
		return false;
	*key_id = (uint32_t)h[3] << 24 | (uint32_t)h[4] << 16 | (uint32_t)h[5] << 8 | h[6];
	*generation = (uint16_t)(h[7] << 8 | h[8]);
	return true;
}

bool
crypto_open(Ctx *cx, const unsigned char key[KEY_BYTES], const SealPlace *place, Bytes sealed,
    Secret *plain)
{
	uint32_t key_id;
	uint16_t generation;
	Bytes aad;

	if (!crypto_sealed_header(sealed, &key_id, &generation))
		return fail(cx, FAIL_SECRET, "Restore it from a backup, or set it again.",
		    "a sealed value has no header that this version knows");
	if (!seal_bind(cx, place, sealed.at, &aad))
		return false;
	Secret out = secret_alloc(cx->mem, sealed.n - SEAL_OVERHEAD);
	if (!xaes_decrypt(key, sealed.at + SEAL_HEADER, aad,
		(Bytes){
		    sealed.at + SEAL_HEADER + XAES_NONCE, sealed.n - SEAL_HEADER - XAES_NONCE },
		(unsigned char *)out.text)) {
		secret_wipe(out.text, out.len);
		return fail(cx, FAIL_SECRET, "Restore it from a backup, or set it again.",
		    "a sealed value does not open: another key sealed it, or it was changed or moved");
	}
	*plain = out;
	return true;
}

void
sha256_two(Bytes a, Bytes b, unsigned char out[32])
{
	crypto_fetch();
	crypto_must(EVP_DigestInit_ex2(crypto_scratch, NULL, NULL) == 1);
	crypto_must(a.n == 0 || EVP_DigestUpdate(crypto_scratch, a.at, a.n) == 1);
	crypto_must(b.n == 0 || EVP_DigestUpdate(crypto_scratch, b.at, b.n) == 1);
	crypto_must(EVP_DigestFinal_ex(crypto_scratch, out, NULL) == 1);
}

void
sha256(const void *bytes, size_t n, unsigned char out[32])
{
	sha256_two((Bytes){ bytes, n }, (Bytes){ 0 }, out);
}

char *
sha256_hex(Arena *mem, const void *bytes, size_t n)
{
	unsigned char sum[32];

	sha256(bytes, n, sum);
	return hex_text(mem, sum, sizeof sum);
}

struct Sha256 {
	Arena *mem;
	EVP_MD_CTX *ctx;
};

static void
sha256_free(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

Sha256 *
sha256_begin(Arena *mem)
{
	Sha256 *s = arena_alloc(mem, sizeof *s);

	crypto_fetch();
	s->mem = mem;
	s->ctx = EVP_MD_CTX_new();
	crypto_must(s->ctx != NULL && EVP_DigestInit_ex2(s->ctx, crypto_sha256, NULL) == 1);
	arena_on_free(mem, sha256_free, s->ctx);
	return s;
}

void
sha256_add(Sha256 *s, const void *bytes, size_t n)
{
	crypto_must(EVP_DigestUpdate(s->ctx, bytes, n) == 1);
}

void
sha256_end(Sha256 *s, unsigned char out[32])
{
	crypto_must(EVP_DigestFinal_ex(s->ctx, out, NULL) == 1);
	arena_forget(s->mem, sha256_free, s->ctx);
	EVP_MD_CTX_free(s->ctx);
	s->ctx = NULL;
}

char *
sha256_end_hex(Sha256 *s)
{
	unsigned char sum[32];

	sha256_end(s, sum);
	return hex_text(s->mem, sum, sizeof sum);
}

void
hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, unsigned char out[32])
{
	size_t len = 0;

	crypto_fetch();
	crypto_must(EVP_MAC_init(crypto_mac, key_n ? key : (const void *)"", key_n, NULL) == 1);
	crypto_must(n == 0 || EVP_MAC_update(crypto_mac, bytes, n) == 1);
	crypto_must(EVP_MAC_final(crypto_mac, out, &len, 32) == 1 && len == 32);
}

char *
hmac_hex(Arena *mem, const void *key, size_t key_n, const void *bytes, size_t n)
{
	unsigned char sum[32];

	hmac_sha256(key, key_n, bytes, n, sum);
	return hex_text(mem, sum, sizeof sum);
}

char *
scram_verifier(Arena *mem, const Secret *password)
{
	unsigned char salt[SCRAM_SALT], salted[32], client[32], stored[32], server[32];

	crypto_fetch();
	random_bytes(salt, sizeof salt);
	pbkdf2_sha256(password->text, password->len, salt, sizeof salt, SCRAM_ROUNDS, salted);
	hmac_sha256(salted, sizeof salted, "Client Key", strlen("Client Key"), client);
	sha256(client, sizeof client, stored);
	hmac_sha256(salted, sizeof salted, "Server Key", strlen("Server Key"), server);
	char *text = arena_printf(mem, "SCRAM-SHA-256$%d:%s$%s:%s", SCRAM_ROUNDS,
	    base64_text(mem, salt, sizeof salt), base64_text(mem, stored, sizeof stored),
	    base64_text(mem, server, sizeof server));
	secret_wipe(salted, sizeof salted);
	secret_wipe(client, sizeof client);
	return text;
}

Secret
random_password(Arena *mem)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	Secret out = secret_alloc(mem, 32);
	unsigned char byte;

	for (size_t i = 0; i < out.len;) {
		random_bytes(&byte, 1);
		if (byte < 248) /* 4 * 62: every letter equally often */
			out.text[i++] = letters[byte % 62];
	}
	secret_wipe(&byte, 1);
	return out;
}

bool
passphrase_key(
    Ctx *cx, const Secret *passphrase, const unsigned char salt[16], unsigned char key[KEY_BYTES])
{
	if (EVP_PBE_scrypt(passphrase->text, passphrase->len, salt, 16, 1 << 17, 8, 1,
		(uint64_t)256 << 20, key, KEY_BYTES) != 1)
		return fail(cx, FAIL_SECRET, "It needs 128 MiB of memory.",
		    "no key could be made from the passphrase");
	return true;
}

bool
certificate_begins(const char *pem, int64_t *wall_ms)
{
	char no_password[] = ""; /* one that is given is not asked for */
	BIO *text = BIO_new_mem_buf(pem, -1);
	X509 *cert = text ? PEM_read_bio_X509(text, NULL, NULL, no_password) : NULL;
	struct tm tm = { 0 };
	bool ok = cert && ASN1_TIME_to_tm(X509_get0_notBefore(cert), &tm) == 1;

	X509_free(cert);
	BIO_free(text);
	ERR_clear_error();
	if (ok)
		*wall_ms = (int64_t)timegm(&tm) * 1000;
	return ok;
}

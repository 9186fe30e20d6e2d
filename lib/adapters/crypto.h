/*
 * crypto.h - what Copyhold needs of OpenSSL 3, and nothing by hand except the
 * published subkey derivation of XAES-256-GCM (C2SP XAES-256-GCM).  SHA-256 of
 * many texts at once is in sha_many.h.
 *
 * Envelope (docs/formats.md, from the first commit the form that field values
 * will have): 0x54 | version 1 | suite | key id u32 BE | generation u16 BE |
 * nonce | ciphertext | tag.  Suite 1 is XAES-256-GCM, 24-byte nonce.  The
 * additional data is, for each of tenant, schema, table, column, primary key
 * and header: u16 BE length and the bytes.
 */
#pragma once

#include <stdint.h>

#include "lib/base/fail.h"
#include "lib/base/secret.h"

typedef struct Bytes { const unsigned char *at; size_t n; } Bytes;

typedef struct SealPlace {	/* what the ciphertext is bound to; NULL counts as "" */
	const char *tenant, *schema, *table, *column, *key;
} SealPlace;

#define KEY_BYTES 32
#define SEAL_OVERHEAD 49
#define XAES_NONCE 24
#define XAES_TAG 16

/* The cipher itself, for crypto_seal(), which draws the nonce; out takes plain.n + XAES_TAG bytes. */
void	 xaes_encrypt(const unsigned char key[KEY_BYTES], const unsigned char nonce[XAES_NONCE],
	    Bytes aad, Bytes plain, unsigned char *out);
bool	 crypto_seal(Ctx *cx, const unsigned char key[KEY_BYTES], uint32_t key_id, uint16_t generation,
	    const SealPlace *place, Bytes plain, Bytes *sealed);
bool	 crypto_open(Ctx *cx, const unsigned char key[KEY_BYTES], const SealPlace *place,
	    Bytes sealed, Secret *plain);	/* any change: FAIL_SECRET */
bool	 crypto_sealed_header(Bytes sealed, uint32_t *key_id, uint16_t *generation);

void	 sha256(const void *bytes, size_t n, unsigned char out[32]);
void	 sha256_two(Bytes a, Bytes b, unsigned char out[32]);	/* of a || b */
char	*sha256_hex(Arena *mem, const void *bytes, size_t n);
typedef struct Sha256 Sha256;	/* streaming */
Sha256	*sha256_begin(Arena *mem);
void	 sha256_add(Sha256 *s, const void *bytes, size_t n);
void	 sha256_end(Sha256 *s, unsigned char out[32]);
char	*sha256_end_hex(Sha256 *s);
void	 hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, unsigned char out[32]);
char	*hmac_hex(Arena *mem, const void *key, size_t key_n, const void *bytes, size_t n);	/* HMAC-SHA-256 */

/* RFC 7677 / PostgreSQL's stored form: SCRAM-SHA-256$4096:salt$StoredKey:ServerKey.  The password
 * is taken as it is: SASLprep, which clients apply, leaves ASCII alone but may change other text. */
char	*scram_verifier(Arena *mem, const Secret *password);
Secret	 random_password(Arena *mem);	/* 32 characters of [A-Za-z0-9], 190 bits */

char	*hex_text(Arena *mem, const void *bytes, size_t n);	/* lower case */
bool	 hex_bytes(const char *text, size_t n, unsigned char *out);	/* n digits, lower case only; n / 2 bytes */
char	*base64_text(Arena *mem, const void *bytes, size_t n);	/* RFC 4648 section 4, padded */
bool	 base64_bytes(Arena *mem, const char *text, size_t n, Bytes *out);	/* false for any other form of the bytes */

/* When the first certificate of a PEM text begins to be valid; false: there is none. */
bool	 certificate_begins(const char *pem, int64_t *wall_ms);

/* Ed25519 (RFC 8032) */
#define ED25519_SEED 32
#define ED25519_PUBLIC 32
#define ED25519_SIGNATURE 64
typedef struct Ed25519 Ed25519;		/* a private key, ready for use */
Ed25519	*ed25519_open(Arena *mem, const unsigned char seed[ED25519_SEED]);
void	 ed25519_public(const Ed25519 *key, unsigned char out[ED25519_PUBLIC]);
void	 ed25519_sign(const Ed25519 *key, const void *bytes, size_t n, unsigned char out[ED25519_SIGNATURE]);
bool	 ed25519_verify(const unsigned char pub[ED25519_PUBLIC], const void *bytes, size_t n,
	    const unsigned char signature[ED25519_SIGNATURE]);

/* scrypt (RFC 7914) N=2^17 r=8 p=1: the key of a home's backup from a passphrase */
bool	 passphrase_key(Ctx *cx, const Secret *passphrase, const unsigned char salt[16], unsigned char key[KEY_BYTES]);

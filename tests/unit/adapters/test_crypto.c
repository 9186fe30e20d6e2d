#include <string.h>

#include "lib/adapters/crypto.h"
#include "tests/unit/unit.h"

static const SealPlace here = { "acme", "public", "login", "password", "app" };

static int
setup(void **state)
{
	static Ctx cx;

	cx = ctx_new(NULL);
	*state = &cx;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Ctx *)*state)->mem);
	return 0;
}

static Bytes
bytes(const char *text)
{
	return (Bytes){ (const unsigned char *)text, strlen(text) };
}

static char *
to_hex(Ctx *cx, const unsigned char *at, size_t n)
{
	char *out = arena_alloc(cx->mem, 2 * n + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(out + 2 * i, arena_printf(cx->mem, "%02x", at[i]), 2);
	return out;
}

static void
xaes_gives_the_published_vectors(void **state)
{
	static const struct {
		int key;
		const char *aad, *sealed;
	} vectors[] = {
		{ 1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271" },
		{ 3, "c2sp.org/XAES-256-GCM",
		    "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d" },
	};
	static const unsigned char nonce[] = "ABCDEFGHIJKLMNOPQRSTUVWX";

	for (size_t i = 0; i < 2; i++) {
		unsigned char key[KEY_BYTES], out[12 + XAES_TAG];

		memset(key, vectors[i].key, sizeof key);
		xaes_encrypt(key, nonce, bytes(vectors[i].aad), bytes("XAES-256-GCM"), out);
		assert_string_equal(to_hex(*state, out, sizeof out), vectors[i].sealed);
	}
}

static void
a_sealed_value_opens_in_its_place(void **state)
{
	Ctx *cx = *state;
	unsigned char key[KEY_BYTES] = { 7 };
	uint32_t id = 0;
	uint16_t generation = 0;
	Bytes sealed = { 0 };
	Secret plain = { 0 };

	assert_true(crypto_seal(cx, key, 0x01020304, 0x0506, &here, bytes("s3cret"), &sealed));
	assert_int_equal(sealed.n, 6 + SEAL_OVERHEAD);
	assert_memory_equal(sealed.at, "\x54\x01\x01\x01\x02\x03\x04\x05\x06", 9);
	assert_true(crypto_sealed_header(sealed, &id, &generation));
	assert_int_equal(id, 0x01020304);
	assert_int_equal(generation, 0x0506);
	assert_true(crypto_open(cx, key, &here, sealed, &plain));
	assert_int_equal(plain.len, 6);
	assert_string_equal(plain.text, "s3cret");
}

static void
an_empty_value_can_be_sealed(void **state)
{
	Ctx *cx = *state;
	unsigned char key[KEY_BYTES] = { 0 };
	Bytes sealed = { 0 };
	Secret plain = { 0 };

	assert_true(crypto_seal(cx, key, 1, 1, &here, (Bytes){ 0 }, &sealed));
	assert_int_equal(sealed.n, SEAL_OVERHEAD);
	assert_true(crypto_open(cx, key, &here, sealed, &plain));
	assert_int_equal(plain.len, 0);
	assert_non_null(plain.text);
}

static void
two_seals_of_one_value_differ(void **state)
{
	Ctx *cx = *state;
	unsigned char key[KEY_BYTES] = { 0 };
	Bytes a = { 0 }, b = { 0 };

	assert_true(crypto_seal(cx, key, 1, 1, &here, bytes("x"), &a));
	assert_true(crypto_seal(cx, key, 1, 1, &here, bytes("x"), &b));
	assert_memory_not_equal(a.at, b.at, a.n);
}

static void
every_changed_bit_is_noticed(void **state)
{
	Ctx *cx = *state;
	unsigned char key[KEY_BYTES] = { 0 };
	Bytes sealed = { 0 };
	Secret plain = { 0 };

	assert_true(crypto_seal(cx, key, 1, 1, &here, bytes("value"), &sealed));
	for (size_t bit = 0; bit < sealed.n * 8; bit++) {
		unsigned char *copy = (unsigned char *)arena_dupn(
		    cx->mem, (const char *)sealed.at, sealed.n);
		copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
		assert_false(crypto_open(cx, key, &here, (Bytes){ copy, sealed.n }, &plain));
		assert_int_equal(cx->fail->kind, FAIL_SECRET);
		fail_clear(cx);
	}
	for (size_t n = 0; n < sealed.n; n++) {
		assert_false(crypto_open(cx, key, &here, (Bytes){ sealed.at, n }, &plain));
		fail_clear(cx);
	}
	assert_null(plain.text);
}

static void
a_value_that_was_moved_does_not_open(void **state)
{
	Ctx *cx = *state;
	static const SealPlace places[] = {
		{ "evil", "public", "login", "password", "app" },
		{ "acme", "other", "login", "password", "app" },
		{ "acme", "public", "route", "password", "app" },
		{ "acme", "public", "login", "verifier", "app" },
		{ "acme", "public", "login", "password", "web" },
		{ "acmepublic", "", "login", "password", "app" },
		{ "acme", "public", "login", "password", NULL },
	};
	unsigned char key[KEY_BYTES] = { 0 }, other[KEY_BYTES] = { 1 };
	Bytes sealed = { 0 };
	Secret plain = { 0 };

	assert_true(crypto_seal(cx, key, 1, 1, &here, bytes("value"), &sealed));
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		assert_false(crypto_open(cx, key, &places[i], sealed, &plain));
		assert_string_equal(cx->fail->what,
		    "a sealed value does not open: another key "
		    "sealed it, or it was changed or moved");
		fail_clear(cx);
	}
	assert_false(crypto_open(cx, other, &here, sealed, &plain));
}

static void
a_foreign_header_is_told_apart(void **state)
{
	Ctx *cx = *state;
	unsigned char key[KEY_BYTES] = { 0 }, junk[SEAL_OVERHEAD] = { 0x54, 2, 1 };
	Secret plain = { 0 };
	Bytes sealed = { junk, sizeof junk };

	assert_false(crypto_open(cx, key, &here, sealed, &plain));
	assert_string_equal(cx->fail->what, "a sealed value has no header that this version knows");
	assert_string_equal(cx->fail->hint, "Restore it from a backup, or set it again.");
}

static void
a_name_that_is_too_long_is_refused(void **state)
{
	Ctx *cx = *state;
	unsigned char key[KEY_BYTES] = { 0 };
	char *name = arena_alloc(cx->mem, 70001);
	SealPlace place = { .table = memset(name, 'n', 70000) };
	Bytes sealed = { 0 };

	assert_false(crypto_seal(cx, key, 1, 1, &place, bytes("v"), &sealed));
	assert_string_equal(
	    cx->fail->what, "a value is bound to a name of 70000 bytes, more than 65535");
}

static void
digests_agree_with_the_standards(void **state)
{
	Ctx *cx = *state;
	Sha256 *s = sha256_begin(cx->mem);

	assert_string_equal(sha256_hex(cx->mem, "abc", 3),
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_add(s, "a", 1);
	sha256_add(s, "", 0);
	sha256_add(s, "bc", 2);
	assert_string_equal(sha256_end_hex(s), sha256_hex(cx->mem, "abc", 3));
	assert_string_equal(hmac_hex(cx->mem, "Jefe", 4, "what do ya want for nothing?", 28),
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void
two_parts_have_the_digest_of_the_whole(void **state)
{
	Ctx *cx = *state;
	unsigned char sum[32];
	Sha256 *s = sha256_begin(cx->mem);

	for (size_t n = 0; n <= 3; n++) {
		sha256_two((Bytes){ (const unsigned char *)"abc", n },
		    (Bytes){ (const unsigned char *)"abc" + n, 3 - n }, sum);
		assert_string_equal(to_hex(cx, sum, 32), sha256_hex(cx->mem, "abc", 3));
	}
	sha256_add(s, "abc", 3);
	sha256_end(s, sum);
	assert_string_equal(to_hex(cx, sum, 32), sha256_hex(cx->mem, "abc", 3));
	hmac_sha256("", 0, "", 0, sum);
	assert_string_equal(to_hex(cx, sum, 32),
	    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 8032, section 7.1, tests 1 to 3. */
static void
signatures_are_those_of_rfc_8032(void **state)
{
	static const struct {
		const char *seed, *pub, *message, *signature;
	} vectors[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		    "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		    "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
		    "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
	};
	Ctx *cx = *state;

	for (size_t i = 0; i < 3; i++) {
		unsigned char seed[32], pub[32], message[2], made[64];
		size_t n = strlen(vectors[i].message) / 2;
		assert_true(hex_bytes(vectors[i].seed, 64, seed));
		assert_true(hex_bytes(vectors[i].message, 2 * n, message));
		Ed25519 *key = ed25519_open(cx->mem, seed);
		ed25519_public(key, pub);
		assert_string_equal(to_hex(cx, pub, 32), vectors[i].pub);
		ed25519_sign(key, message, n, made);
		assert_string_equal(to_hex(cx, made, 64), vectors[i].signature);
		assert_true(ed25519_verify(pub, message, n, made));
		for (size_t bit = 0; bit < 512; bit++) {
			made[bit / 8] ^= (unsigned char)(1 << bit % 8);
			assert_false(ed25519_verify(pub, message, n, made));
			made[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
}

/* RFC 4648, section 10; and nothing but the one form that a value has. */
static void
base64_is_that_of_rfc_4648_and_has_one_form(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "=", "Zm9v\n", "Zm 9", "Zm-_",
		"Zg==\n", "Zm9vY" };
	Ctx *cx = *state;
	Bytes got;

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		const char *plain = pairs[i][0], *text = pairs[i][1];
		assert_string_equal(base64_text(cx->mem, plain, strlen(plain)), text);
		assert_true(base64_bytes(cx->mem, text, strlen(text), &got));
		assert_int_equal(got.n, strlen(plain));
		assert_memory_equal(got.at, plain, got.n);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(base64_bytes(cx->mem, bad[i], strlen(bad[i]), &got));
}

static void
hex_is_lower_case_and_whole(void **state)
{
	Ctx *cx = *state;
	unsigned char out[2];

	assert_true(hex_bytes("00ff", 4, out));
	assert_string_equal(hex_text(cx->mem, out, 2), "00ff");
	assert_false(hex_bytes("00FF", 4, out));
	assert_false(hex_bytes("00f", 3, out));
	assert_false(hex_bytes("00 f", 4, out));
}

static void
a_digest_that_is_left_open_is_closed_with_its_arena(void **state)
{
	Ctx *cx = *state;
	Arena *a = arena_new(cx->mem);

	sha256_add(sha256_begin(a), "x", 1);
	arena_free(a);
	assert_int_equal(cx->fail->kind, FAIL_NONE);
}

static void
a_verifier_has_the_servers_form_and_a_fresh_salt(void **state)
{
	Arena *mem = ((Ctx *)*state)->mem;
	Secret password = secret_new(mem, "pencil", 6);
	char *a = scram_verifier(mem, &password), *b = scram_verifier(mem, &password);

	assert_int_equal(strlen(a), 133);
	assert_memory_equal(a, "SCRAM-SHA-256$4096:", 19);
	assert_int_equal(a[43], '$');
	assert_int_equal(a[88], ':');
	assert_string_not_equal(a, b);
}

static void
passwords_are_long_and_differ(void **state)
{
	Arena *mem = ((Ctx *)*state)->mem;
	Secret a = random_password(mem), b = random_password(mem);

	assert_int_equal(a.len, 32);
	assert_int_equal(strspn(a.text,
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			     "0123456789"),
	    32);
	assert_string_not_equal(a.text, b.text);
}

/* Made by an independent implementation: hashlib.scrypt(b"correct horse", salt=bytes(range(16)),
 * n=2**17, r=8, p=1, maxmem=2**28, dklen=32). */
static void
a_passphrase_gives_the_key_of_its_salt(void **state)
{
	Ctx *cx = *state;
	unsigned char salt[16], key[KEY_BYTES];
	Secret phrase = secret_new(cx->mem, "correct horse", 13);

	for (int i = 0; i < 16; i++)
		salt[i] = (unsigned char)i;
	assert_true(passphrase_key(cx, &phrase, salt, key));
	assert_string_equal(to_hex(cx, key, sizeof key),
	    "4c6bc95145350a07e4000e6b475195a0b9c727c25a0517bbc2ac76edc10e426c");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(xaes_gives_the_published_vectors),
		CASE(a_sealed_value_opens_in_its_place),
		CASE(an_empty_value_can_be_sealed),
		CASE(two_seals_of_one_value_differ),
		CASE(every_changed_bit_is_noticed),
		CASE(a_value_that_was_moved_does_not_open),
		CASE(a_foreign_header_is_told_apart),
		CASE(a_name_that_is_too_long_is_refused),
		CASE(digests_agree_with_the_standards),
		CASE(two_parts_have_the_digest_of_the_whole),
		CASE(signatures_are_those_of_rfc_8032),
		CASE(base64_is_that_of_rfc_4648_and_has_one_form),
		CASE(hex_is_lower_case_and_whole),
		CASE(a_digest_that_is_left_open_is_closed_with_its_arena),
		CASE(a_verifier_has_the_servers_form_and_a_fresh_salt),
		CASE(passwords_are_long_and_differ),
		CASE(a_passphrase_gives_the_key_of_its_salt),
	};

	return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}

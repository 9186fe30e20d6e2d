#include "lib/adapters/pbkdf.h"

#include <string.h>

#include "lib/base/buf.h"
#include "tests/unit/unit.h"

static const char *
hex(Arena *mem, const unsigned char *bytes)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < PBKDF_BYTES; i++)
		buf_fmt(&b, "%02x", bytes[i]);
	return b.text;
}

/* The first two are those of RFC 7914, 11; the others those of Python's hashlib. */
static void
keys_are_those_of_the_published_examples(void **state)
{
	char many[100];
	const struct {
		const char *password;
		size_t n;
		const char *salt;
		int rounds;
		const char *key;
	} cases[] = {
		{ "passwd", 6, "salt", 1,
		    "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc" },
		{ "Password", 8, "NaCl", 80000,
		    "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56" },
		{ many, sizeof many, "0123456789abcdef", 4096,
		    "3002666e5e25f6787fb598ae8c841444e0ea7300c83f53f2a1fa9269596bf4db" },
		{ "", 0, "", 2,
		    "97398411d6aea43a77acef92226ab8278d4db0668bd1d7a76a725f7680ac45c5" },
	};
	Arena *mem = arena_new(NULL);

	(void)state;
	memset(many, 'x', sizeof many);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char key[PBKDF_BYTES];
		pbkdf2_sha256(cases[i].password, cases[i].n, (const unsigned char *)cases[i].salt,
		    strlen(cases[i].salt), cases[i].rounds, key);
		assert_string_equal(hex(mem, key), cases[i].key);
	}
	arena_free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_those_of_the_published_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

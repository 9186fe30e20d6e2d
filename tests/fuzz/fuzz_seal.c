#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/adapters/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nobody can make a value that opens without the key. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key[KEY_BYTES] = { 7 };
	static const SealPlace place = { "acme", "public", "login", "password", "app" };
	Ctx cx = ctx_new(NULL);
	Secret plain = { 0 };

	if (crypto_open(&cx, key, &place, (Bytes){ data, size }, &plain) || plain.text != NULL)
		abort();
	if (cx.fail->kind != FAIL_SECRET)
		abort();
	arena_free(cx.mem);
	return 0;
}

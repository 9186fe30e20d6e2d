#include "deployer/helper.h"

#include <string.h>

#include "deployer/helper.sh.h"
#include "lib/core/host.h"

/* Set once by main. */
static char digest[65];

const char *
helper_text(void)
{
	return HELPER_TEXT;
}

const char *
helper_digest(void)
{
	return digest;
}

void
helper_register(void)
{
	Arena *scratch = arena_new(NULL);

	memcpy(digest, sha256_hex(scratch, HELPER_TEXT, sizeof HELPER_TEXT - 1), sizeof digest);
	arena_free(scratch);
	host_helper_register(digest);
}

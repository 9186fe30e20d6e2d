/*
 * What a host's helper says of a server, and the certificate that it shows: the host is not ours.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deployer/cluster_host.h"
#include "lib/core/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
plain(const Names *names)
{
	for (size_t i = 0; i < names->n; i++)
		for (const char *p = names->at[i]; *p; p++)
			if ((unsigned char)*p < 0x20)
				abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Arena *mem = arena_new(NULL);
	char *text = arena_dupn(mem, (const char *)data, size), *digest;
	ServerSeen seen;

	cluster_read_look(mem, text, &seen);
	plain(&seen.databases);
	plain(&seen.edited);
	plain(&seen.system);
	if (seen.until < 0 || seen.folders < 0)
		abort();
	digest = trust_digest(mem, text);
	if (digest && strlen(digest) != 64)
		abort();
	arena_free(mem);
	return 0;
}

/*
 * What an SSH server sends before anything is proven: its banner and its KEXINIT; host keys as
 * manifests have them, and the blobs in them.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/adapters/ssh_intern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
must_be_plain(const char *text, const char *also)
{
	for (; *text; text++)
		must((*text > ' ' && *text <= '~') || strchr(also, *text));
}

static void
a_greeting(Arena *mem, const uint8_t *data, size_t size)
{
	SshOffer offer = { 0 };

	if (!ssh_hello(mem, data, size, &offer))
		return;
	must(strncmp(offer.banner, "SSH-", 4) == 0);
	must_be_plain(offer.banner, " ");
	const char *lists[] = { offer.kex, offer.host_keys, offer.ciphers, offer.macs };
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		must_be_plain(lists[i], "");
		must(!ssh_lists_meet(lists[i], ""));
		size_t n = strcspn(lists[i], ",");
		if (n > 0)
			must(ssh_list_has(lists[i], lists[i], n));
		must(n == 0 || ssh_lists_meet(lists[i], lists[i]));
	}
}

static void
a_key(Arena *mem, const char *text)
{
	Bytes blob;

	if (!ssh_key_blob(mem, text, &blob))
		return;
	const char *type = ssh_key_type(mem, blob), *again = ssh_key_text(mem, blob);
	must(type && again && strncmp(text, type, strlen(type)) == 0);
	must(strlen(ssh_fingerprint(mem, again)) == 50);
}

static void
a_blob(Arena *mem, Bytes blob)
{
	const char *text = ssh_key_text(mem, blob);
	Bytes back;

	if (text)
		must(ssh_key_blob(mem, text, &back) && back.n == blob.n &&
		    memcmp(back.at, blob.at, blob.n) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Arena *mem = arena_new(NULL);

	a_greeting(mem, data, size);
	a_key(mem, arena_dupn(mem, (const char *)data, size));
	a_blob(mem, (Bytes){ data, size });
	arena_free(mem);
	return 0;
}

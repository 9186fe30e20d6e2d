/*
 * A backup of a home as anybody may have made it: its parts lie within it.  The
 * file's own words are included, for behind them a passphrase takes a second.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/core/home_backup.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With the hash at the end mended, so that what stands before it is looked at. */
static char *
backup_of(Ctx *cx, const uint8_t *data, size_t size)
{
	char *path = arena_printf(cx->mem, "/tmp/copyhold-fuzz-%d.backup", (int)getpid());
	Buf b = buf_new(cx->mem);
	unsigned char hash[HASH_LEN];

	if (size > 0 && data[0] % 8 != 0)
		buf_addn(&b, MAGIC, MAGIC_LEN);
	buf_addn(&b, data, size);
	sha256(b.text, b.len, hash);
	buf_addn(&b, hash, sizeof hash);
	if (!file_write(cx, path, 0600, b.text, b.len))
		abort();
	return path;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	char *path = backup_of(&cx, data, size);
	Parts p = { 0 };

	if (take_apart(&cx, path, &p)) {
		sha256_hex(cx.mem, p.salt, SALT_LEN);
		sha256_hex(cx.mem, p.sealed.at, p.sealed.n);
		sha256_hex(cx.mem, p.catalog.at, p.catalog.n);
		if (p.sealed.at + p.sealed.n != p.catalog.at || p.sealed.n > SEALED_MAX)
			abort();
	} else if (cx.fail->what == NULL) {
		abort();
	}
	file_remove(&cx, path);
	arena_free(cx.mem);
	return 0;
}

/*
 * A home as one file:
 *	"copyhold-home/1\n" | salt (16) | u32 BE length | sealed master key | catalogue (SQLite)
 * The master key is sealed under scrypt(passphrase, salt) and bound to the
 * SHA-256 of the catalogue, so neither can be exchanged.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/core/catalog.h"
#include "lib/core/home.h"

#define MAGIC		"copyhold-home/1\n"
#define MAGIC_LEN	(sizeof MAGIC - 1)
#define SALT_LEN	16
#define SEALED_MAX	4096
#define BACKUP_MAX	((size_t)8 << 30)
#define HEAD_LEN	(MAGIC_LEN + SALT_LEN + 4)

static SealPlace
key_place(const char *catalog_hash)
{
	return (SealPlace){ .schema = "home", .table = "backup", .column = "master", .key = catalog_hash };
}

static bool
seal_master(Ctx *cx, Home *home, const Secret *passphrase, const unsigned char *salt, const char *hash,
    Bytes *sealed)
{
	SealPlace place = key_place(hash);
	unsigned char key[KEY_BYTES];
	bool ok = home_master(cx, home) && passphrase_key(cx, passphrase, salt, key) &&
	    crypto_seal(cx, key, 0, 1, &place, (Bytes){ home->master, KEY_BYTES }, sealed);

	secret_wipe(key, sizeof key);
	return ok;
}

static bool
copy_catalog(Ctx *cx, Home *home, char **bytes, size_t *n)
{
	char *dir, *path;

	if (!file_temp_dir(cx, &dir))
		return false;
	path = arena_printf(cx->mem, "%s/catalog.db", dir);
	return lite_backup(cx, home->db, path) && file_read(cx, path, BACKUP_MAX, bytes, n);
}

bool
home_backup(Ctx *cx, Home *home, const char *file, const Secret *passphrase)
{
	unsigned char salt[SALT_LEN], len[4];
	char *catalog;
	size_t n;
	Bytes sealed;

	if (file_exists(file))
		return fail(cx, FAIL_EXISTS, "Choose another name.", "\"%s\" is there already", file);
	random_bytes(salt, sizeof salt);
	if (!copy_catalog(cx, home, &catalog, &n) ||
	    !seal_master(cx, home, passphrase, salt, sha256_hex(cx->mem, catalog, n), &sealed))
		return fail_in(cx, "backing the home up");
	for (int i = 0; i < 4; i++)
		len[i] = (unsigned char)(sealed.n >> (24 - 8 * i));
	Buf b = buf_new_max(cx->mem, BACKUP_MAX);
	buf_addn(&b, MAGIC, MAGIC_LEN);
	buf_addn(&b, salt, sizeof salt);
	buf_addn(&b, len, sizeof len);
	buf_addn(&b, sealed.at, sealed.n);
	buf_addn(&b, catalog, n);
	if (b.full)
		return fail(cx, FAIL_LIMIT, "Copy catalog.db by hand.", "the catalogue is too large");
	Event e = { .verb = "home.backup", .object = "home", .outcome = "ok" };
	return event_write(cx, home, &e) && file_write(cx, file, 0600, b.text, b.len);
}

static bool
damaged(Ctx *cx, const char *file, const char *why)
{
	return fail(cx, FAIL_HOME, "Take another backup.", "\"%s\" %s", file, why);
}

static bool
open_backup(Ctx *cx, const char *file, const Secret *passphrase, Secret *master, Bytes *catalog)
{
	char *bytes;
	size_t n, sealed_n = 0;

	if (!file_read(cx, file, BACKUP_MAX, &bytes, &n))
		return false;
	if (n < HEAD_LEN || memcmp(bytes, MAGIC, MAGIC_LEN) != 0)
		return damaged(cx, file, "is no backup of a home");
	for (int i = 0; i < 4; i++)
		sealed_n = sealed_n << 8 | (unsigned char)bytes[MAGIC_LEN + SALT_LEN + (size_t)i];
	if (sealed_n > SEALED_MAX || sealed_n > n - HEAD_LEN)
		return damaged(cx, file, "is damaged");
	const unsigned char *at = (const unsigned char *)bytes;
	Bytes sealed = { at + HEAD_LEN, sealed_n };
	*catalog = (Bytes){ sealed.at + sealed_n, n - HEAD_LEN - sealed_n };
	SealPlace place = key_place(sha256_hex(cx->mem, catalog->at, catalog->n));
	unsigned char key[KEY_BYTES];
	bool ok = passphrase_key(cx, passphrase, at + MAGIC_LEN, key);
	if (ok && !crypto_open(cx, key, &place, sealed, master)) {
		fail_clear(cx);
		ok = fail(cx, FAIL_SECRET, "Check the passphrase, or take another backup.",
		    "the passphrase does not open \"%s\", or the file was changed", file);
	}
	secret_wipe(key, sizeof key);
	if (ok && master->len != KEY_BYTES)
		return damaged(cx, file, "holds a key of a wrong length");
	return ok;
}

bool
home_restore(Ctx *cx, const char *dir, const char *file, const Secret *passphrase)
{
	char *path = arena_printf(cx->mem, "%s/catalog.db", dir);
	char *key = arena_printf(cx->mem, "%s/keys/master.key", dir);
	Secret master = {0};
	Bytes catalog = {0};

	if (file_exists(path) || file_exists(key))
		return fail(cx, FAIL_EXISTS, "Restore into a folder that is empty: --home DIR.",
		    "there is a home in \"%s\" already", dir);
	if (!open_backup(cx, file, passphrase, &master, &catalog))
		return fail_in(cx, "restoring the home");
	/* the catalogue comes last: a home without it is no home, and the restore can be repeated */
	return home_make_folders(cx, dir) && file_write(cx, key, 0600, master.text, master.len) &&
	    file_write(cx, path, 0600, catalog.at, catalog.n);
}

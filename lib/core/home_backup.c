/*
 * A home as one file:
 *	"copyhold-home/1\n" | salt (16) | u32 BE length | sealed master key | catalogue (SQLite) | SHA-256
 * The master key is sealed under scrypt(passphrase, salt) and bound to the
 * SHA-256 of the catalogue, so neither can be exchanged.  The hash at the end
 * is over all before it: it tells damage from a wrong passphrase.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/core/catalog.h"
#include "lib/core/home.h"

#define MAGIC      "copyhold-home/1\n"
#define MAGIC_LEN  (sizeof MAGIC - 1)
#define SALT_LEN   16
#define SEALED_MAX 4096
#define BACKUP_MAX ((size_t)8 << 30)
#define HEAD_LEN   (MAGIC_LEN + SALT_LEN + 4)
#define HASH_LEN   32

static SealPlace
key_place(const char *catalog_hash)
{
	return (SealPlace){
		.schema = "home", .table = "backup", .column = "master", .key = catalog_hash
	};
}

static bool
seal_master(Ctx *cx, Home *home, const Secret *passphrase, const unsigned char *salt,
    const char *hash, Bytes *sealed)
{
	SealPlace place = key_place(hash);
	unsigned char key[KEY_BYTES];
	bool ok = home_master(cx, home) && passphrase_key(cx, passphrase, salt, key) &&
	    crypto_seal(cx, key, 0, 1, &place, (Bytes){ home->master, KEY_BYTES }, sealed);

	secret_wipe(key, sizeof key);
	return ok;
}

/* The copy stays in the home: what a crash leaves behind is as well kept as the catalogue. */
static bool
copy_catalog(Ctx *cx, Home *home, char **bytes, size_t *n)
{
	char *path = arena_printf(cx->mem, "%s/run/backup.%s", home->dir, random_name(cx->mem, 8));
	bool ok = lite_backup(cx, home->db, path) && file_read(cx, path, BACKUP_MAX, bytes, n);

	return file_remove(cx, path) && ok;
}

static bool
compose(Ctx *cx, Bytes salt, Bytes sealed, Bytes catalog, Buf *b)
{
	unsigned char len[4], hash[HASH_LEN];

	for (int i = 0; i < 4; i++)
		len[i] = (unsigned char)(sealed.n >> (24 - 8 * i));
	buf_addn(b, MAGIC, MAGIC_LEN);
	buf_addn(b, salt.at, salt.n);
	buf_addn(b, len, sizeof len);
	buf_addn(b, sealed.at, sealed.n);
	buf_addn(b, catalog.at, catalog.n);
	sha256(b->text, b->len, hash);
	buf_addn(b, hash, sizeof hash);
	return !b->full ||
	    fail(cx, FAIL_LIMIT, "Copy the folder by hand.", "the catalogue is too large");
}

bool
home_backup(Ctx *cx, Home *home, const char *file, const Secret *passphrase)
{
	Event e = { .verb = "home.backup", .object = "home", .outcome = "ok" };
	Buf b = buf_new_max(cx->mem, BACKUP_MAX);
	unsigned char salt[SALT_LEN];
	char *catalog;
	size_t n;
	Bytes sealed;

	if (file_exists(file))
		return fail(
		    cx, FAIL_EXISTS, "Choose another name.", "\"%s\" is there already", file);
	random_bytes(salt, sizeof salt);
	if (!copy_catalog(cx, home, &catalog, &n) ||
	    !seal_master(cx, home, passphrase, salt, sha256_hex(cx->mem, catalog, n), &sealed) ||
	    !compose(cx, (Bytes){ salt, sizeof salt }, sealed,
		(Bytes){ (const unsigned char *)catalog, n }, &b) ||
	    !event_write(cx, home, &e) || !file_write(cx, file, 0600, b.text, b.len))
		return fail_in(cx, "backing the home up");
	return true;
}

static bool
damaged(Ctx *cx, const char *file, const char *why)
{
	return fail(cx, FAIL_HOME, "Take another backup.", "\"%s\" %s", file, why);
}

typedef struct Parts {
	const unsigned char *salt;
	Bytes sealed, catalog;
} Parts;

static bool
take_apart(Ctx *cx, const char *file, Parts *out)
{
	const unsigned char *at;
	unsigned char hash[HASH_LEN];
	char *bytes;
	size_t n, sealed_n = 0;

	if (!file_read(cx, file, BACKUP_MAX, &bytes, &n))
		return false;
	if (n < HEAD_LEN + HASH_LEN || memcmp(bytes, MAGIC, MAGIC_LEN) != 0)
		return damaged(cx, file, "is no backup of a home");
	at = (const unsigned char *)bytes;
	n -= HASH_LEN;
	sha256(at, n, hash);
	if (memcmp(hash, at + n, HASH_LEN) != 0)
		return damaged(cx, file, "is damaged");
	for (size_t i = 0; i < 4; i++)
		sealed_n = sealed_n << 8 | at[MAGIC_LEN + SALT_LEN + i];
	if (sealed_n > SEALED_MAX || sealed_n > n - HEAD_LEN)
		return damaged(cx, file, "is damaged");
	*out = (Parts){ .salt = at + MAGIC_LEN,
		.sealed = { at + HEAD_LEN, sealed_n },
		.catalog = { at + HEAD_LEN + sealed_n, n - HEAD_LEN - sealed_n } };
	return true;
}

static bool
open_backup(Ctx *cx, const char *file, const Secret *passphrase, Secret *master, Bytes *catalog)
{
	unsigned char key[KEY_BYTES];
	Parts p = { 0 };

	if (!take_apart(cx, file, &p))
		return false;
	SealPlace place = key_place(sha256_hex(cx->mem, p.catalog.at, p.catalog.n));
	bool ok = passphrase_key(cx, passphrase, p.salt, key);
	if (ok && !crypto_open(cx, key, &place, p.sealed, master)) {
		fail_clear(cx);
		ok = fail(cx, FAIL_SECRET, "Check the passphrase, or take another backup.",
		    "the passphrase does not open \"%s\", or the file was changed", file);
	}
	secret_wipe(key, sizeof key);
	if (ok && master->len != KEY_BYTES)
		return damaged(cx, file, "holds a key of a wrong length");
	*catalog = p.catalog;
	return ok;
}

/* A key without its catalogue may be the only one that opens something else: it is never replaced. */
static bool
check_key(Ctx *cx, const char *path, const Secret *master)
{
	char *bytes;
	size_t n;

	if (!file_exists(path))
		return true;
	if (!file_read(cx, path, 4096, &bytes, &n))
		return false;
	bool same = n == master->len && memcmp(bytes, master->text, n) == 0;
	secret_wipe(bytes, n);
	return same ||
	    fail(cx, FAIL_EXISTS,
		"Restore into another folder: --home DIR; or move that key to a safe place.",
		"another master key is in \"%s\" already", path);
}

static bool
stands_already(Ctx *cx, const char *dir)
{
	return fail(cx, FAIL_EXISTS, "Restore into a folder that is empty: --home DIR.",
	    "there is a home in \"%s\" already", dir);
}

/* The catalogue comes last: a home without it is no home, and the restore can be repeated. */
static bool
write_home(Ctx *cx, const char *dir, const Secret *master, Bytes catalog)
{
	char *path = arena_printf(cx->mem, "%s/catalog.db", dir);
	char *key = arena_printf(cx->mem, "%s/keys/master.key", dir);

	if (file_exists(path))
		return stands_already(cx, dir);
	if (!check_key(cx, key, master) || !file_write(cx, key, 0600, master->text, master->len))
		return false;
	fault_point("restore:key");
	return home_clear_journal(cx, path) && file_write(cx, path, 0600, catalog.at, catalog.n);
}

bool
home_restore(Ctx *cx, const char *dir, const char *file, const Secret *passphrase)
{
	Secret master = { 0 };
	Bytes catalog = { 0 };
	int fd;

	if (file_exists(arena_printf(cx->mem, "%s/catalog.db", dir)))
		return stands_already(cx, dir);
	if (!open_backup(cx, file, passphrase, &master, &catalog) || !home_make_folders(cx, dir) ||
	    !file_check_private(cx, dir, true) || !home_lock(cx, dir, &fd))
		return fail_in(cx, "restoring the home");
	bool ok = write_home(cx, dir, &master, catalog);
	home_unlock(fd);
	return ok || fail_in(cx, "restoring the home");
}

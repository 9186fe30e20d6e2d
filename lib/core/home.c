#include "lib/core/home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/core/catalog.h"
#include "lib/core/catalog.sql.h"
#include "lib/core/ring.h"

#define MASTER_KEY_ID 1

static char *
under(Ctx *cx, const char *dir, const char *name)
{
	return arena_printf(cx->mem, "%s/%s", dir, name);
}

const char *
home_default_dir(Arena *mem)
{
	const char *env = getenv("COPYHOLD_HOME");
	const char *user_home = getenv("HOME");

	if (env && *env)
		return env;
	if (geteuid() == 0)
		return "/var/lib/copyhold";
	if (!user_home || *user_home != '/') {
		struct passwd *pw = getpwuid(geteuid());
		user_home = pw ? pw->pw_dir : "/";
	}
	return arena_printf(mem, "%s/.local/share/copyhold", user_home);
}

/* Who acts: the OS user, whom sudo was called by, and the host. */
static char *
actor_name(Arena *mem)
{
	struct passwd *pw = getpwuid(geteuid());
	const char *sudo = getenv("SUDO_USER");
	char host[256] = "localhost";
	char *user = pw ? arena_dup(mem, pw->pw_name)
			: arena_printf(mem, "uid%u", (unsigned)geteuid());

	gethostname(host, sizeof host - 1);
	if (sudo && *sudo && strlen(sudo) < 64 && utf8_valid(sudo, strlen(sudo)))
		return arena_printf(mem, "%s via %s@%s", sudo, user, host);
	return arena_printf(mem, "%s@%s", user, host);
}

bool
home_make_folders(Ctx *cx, const char *dir)
{
	static const char *const parts[] = { "keys", "audit", "run", "run/pass" };

	if (!file_make_dirs(cx, dir, 0700))
		return false;
	for (size_t i = 0; i < LENGTH(parts); i++)
		if (!file_make_dirs(cx, under(cx, dir, parts[i]), 0700))
			return false;
	return true;
}

/* Byte 0 of the lease file; the leases begin at 1. */
bool
home_lock(Ctx *cx, const char *dir, int *fd)
{
	char *path = under(cx, dir, "run/lease");
	pid_t holder;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return fail_errno(cx, errno, "Check the rights of the home: copyhold doctor.",
		    "opening \"%s\"", path);
	if (file_lock_byte(*fd, 0, &holder))
		return true;
	close(*fd);
	return fail(cx, FAIL_HOME, "Wait until it has ended.",
	    "process %d is making a home in \"%s\"", (int)holder, dir);
}

void
home_unlock(int fd)
{
	close(fd);
}

bool
home_clear_journal(Ctx *cx, const char *catalog)
{
	return file_remove(cx, arena_printf(cx->mem, "%s-wal", catalog)) &&
	    file_remove(cx, arena_printf(cx->mem, "%s-shm", catalog));
}

bool
home_sync_folder(Ctx *cx, const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) != 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return !err || err == EINVAL || fail_errno(cx, err, NULL, "syncing \"%s\"", dir);
}

static bool
fill_catalog(Ctx *cx, const char *path)
{
	Ctx own = { .mem = arena_new(cx->mem), .fail = cx->fail };
	Lite *db;
	bool ok;

	ok = lite_open(&own, path, LITE_CREATE, &db) &&
	    lite_migrate(&own, db, catalog_migrations, catalog_migrations_n) &&
	    lite_do(&own, db, &SQL_META_PUT, "tt", "home", random_uuid(cx->mem)) &&
	    lite_do(&own, db, &SQL_META_PUT, "tt", "serial", "1");
	if (!ok) { /* the texts of the failure outlive the arena */
		Fail *kept = arena_alloc(cx->mem, sizeof *kept);
		fail_copy(&(Ctx){ .mem = cx->mem, .fail = kept }, &own);
		*cx->fail = *kept;
	}
	arena_free(own.mem); /* closes it: the last connection folds the -wal file in */
	if (ok && file_exists(arena_printf(cx->mem, "%s-wal", path)))
		return fail(cx, FAIL_CATALOG, "Check the disk and its free space.",
		    "\"%s\" could not be finished", path);
	return ok;
}

static bool
make_key(Ctx *cx, const char *dir)
{
	char *path = under(cx, dir, "keys/master.key");
	unsigned char key[KEY_BYTES];

	random_bytes(key, sizeof key);
	bool ok = file_write(cx, path, 0600, key, sizeof key);
	secret_wipe(key, sizeof key);
	return ok;
}

static bool
make_catalog(Ctx *cx, const char *dir, const char *path)
{
	char *fresh = under(cx, dir, "catalog.db.new");

	if (!file_remove(cx, fresh) || !home_clear_journal(cx, fresh) || !fill_catalog(cx, fresh) ||
	    !home_clear_journal(cx, path))
		return false;
	fault_point("home:filled");
	if (!make_key(cx, dir))
		return false;
	fault_point("home:key");
	if (rename(fresh, path) != 0)
		return fail_errno(
		    cx, errno, "Check the rights of the folder.", "naming \"%s\"", path);
	return home_sync_folder(cx, dir);
}

/* A key without even a half-made catalogue: somebody has lost the catalogue. */
static bool
is_lost(Ctx *cx, const char *dir)
{
	return file_exists(under(cx, dir, "keys/master.key")) &&
	    !file_exists(under(cx, dir, "catalog.db.new")) && /* first: it becomes the other */
	    !file_exists(under(cx, dir, "catalog.db"));
}

static bool
fail_lost(Ctx *cx, const char *dir)
{
	return fail(cx, FAIL_HOME,
	    "Restore it from a backup: copyhold home restore FILE. "
	    "Or name another home: --home DIR, COPYHOLD_HOME.",
	    "the home in \"%s\" has a key, but its catalogue is gone", dir);
}

/* The key of a half-made home goes with it: what is left alone is the key of a lost catalogue. */
static bool
make_parts(Ctx *cx, const char *dir, const char *catalog, bool *made)
{
	*made = !file_exists(catalog); /* somebody else may have been faster */
	if (!*made)
		return true;
	if (is_lost(cx, dir))
		return fail_lost(cx, dir);
	fault_point("home:locked");
	return file_remove(cx, under(cx, dir, "keys/master.key")) && make_catalog(cx, dir, catalog);
}

/* A half-made home has no catalog.db: it is made under another name and renamed last. */
bool
home_init(Ctx *cx, const char *dir, bool *made)
{
	char *catalog = under(cx, dir, "catalog.db");
	int fd;

	*made = !file_exists(catalog);
	if (!*made)
		return true;
	if (!home_make_folders(cx, dir) || !file_check_private(cx, dir, true) ||
	    !home_lock(cx, dir, &fd))
		return false;
	bool ok = make_parts(cx, dir, catalog, made);
	home_unlock(fd);
	return ok;
}

static bool
check_home(Ctx *cx, const char *dir)
{
	if (is_lost(cx, dir))
		return fail_lost(cx, dir);
	if (!file_exists(under(cx, dir, "catalog.db")))
		return fail(cx, FAIL_HOME,
		    "Make one with: copyhold init. Or name it: --home DIR, COPYHOLD_HOME.",
		    "there is no home in \"%s\"", dir);
	return file_check_private(cx, dir, true) &&
	    file_check_private(cx, under(cx, dir, "keys"), true) &&
	    file_check_private(cx, under(cx, dir, "keys/master.key"), false) &&
	    file_check_private(cx, under(cx, dir, "catalog.db"), false);
}

static bool
open_catalog(Ctx *cx, Home *home)
{
	char *path = under(cx, home->dir, "catalog.db");

	if (!lite_open(cx, path, home->access == ACCESS_WRITES ? LITE_WRITE : LITE_READ, &home->db))
		return false;
	if (home->access == ACCESS_WRITES || lite_version(home->db) > catalog_migrations_n)
		return lite_migrate(cx, home->db, catalog_migrations, catalog_migrations_n);
	if (lite_version(home->db) < catalog_migrations_n)
		return fail(cx, FAIL_CATALOG,
		    "A command that writes brings it up to date, such as: copyhold home probe.",
		    "\"%s\" has version %d and this copyhold wants %d", path,
		    lite_version(home->db), catalog_migrations_n);
	return true;
}

static void
close_fd(void *ptr)
{
	close(*(int *)ptr);
}

static bool
open_leases(Ctx *cx, Home *home)
{
	char *path = under(cx, home->dir, "run/lease");

	home->lease_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (home->lease_fd < 0)
		return fail_errno(cx, errno, "Check the rights of the home: copyhold doctor.",
		    "opening \"%s\"", path);
	arena_on_free(cx->mem, close_fd, &home->lease_fd);
	return true;
}

bool
home_open(Ctx *cx, const char *dir, Access access, Home **out)
{
	Home *home = arena_alloc(cx->mem, sizeof *home);

	*home = (Home){ .mem = cx->mem,
		.dir = dir,
		.access = access,
		.lease_fd = -1,
		.slots = map_new(cx->mem),
		.clusters = map_new(cx->mem),
		.actor = actor_name(cx->mem) };
	if (!check_home(cx, dir) || !open_catalog(cx, home) ||
	    !catalog_meta(cx, home, "home", &home->id))
		return fail_in(cx, "opening the home");
	if (!home->id)
		return fail(cx, FAIL_HOME, "Restore it: copyhold home restore FILE.",
		    "the catalogue in \"%s\" has no home id", dir);
	if (access == ACCESS_WRITES && !open_leases(cx, home))
		return false;
	if (access == ACCESS_WRITES)
		lite_on_write(home->db, "route_log", ring_gateways, home);
	*out = home;
	return true;
}

/* --- secrets ---------------------------------------------------------------- */

static void
wipe_master(void *ptr)
{
	secret_wipe(ptr, KEY_BYTES);
}

bool
home_master(Ctx *cx, Home *home)
{
	Ctx own = { .mem = home->mem, .fail = cx->fail }; /* the key outlives a lane */
	char *path = under(cx, home->dir, "keys/master.key"), *bytes;
	size_t n;

	if (home->master)
		return true;
	if (!file_read_private(&own, path, 4096, &bytes, &n))
		return false;
	if (n != KEY_BYTES) {
		secret_wipe(bytes, n);
		return fail(cx, FAIL_HOME, "Restore it: copyhold home restore FILE.",
		    "\"%s\" does not hold a key of %d bytes", path, KEY_BYTES);
	}
	arena_on_free(home->mem, wipe_master, bytes);
	home->master = (unsigned char *)bytes;
	return true;
}

bool
home_seal(Ctx *cx, Home *home, const SealPlace *place, const Secret *plain, Bytes *sealed)
{
	return home_master(cx, home) &&
	    crypto_seal(cx, home->master, MASTER_KEY_ID, 1, place,
		(Bytes){ (const unsigned char *)plain->text, plain->len }, sealed);
}

bool
home_unseal(Ctx *cx, Home *home, const SealPlace *place, Bytes sealed, Secret *plain)
{
	return home_master(cx, home) && crypto_open(cx, home->master, place, sealed, plain);
}

/* An opaque id of 12 letters, the same whenever the same plan is made again; `life` counts how
 * often a tenant of this name has been purged, so an id is never used twice. */
bool
home_tenant_id(Ctx *cx, Home *home, const char *tenant, char **id)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	int64_t life;
	char *hex, *text;

	if (!home_master(cx, home) ||
	    !catalog_meta_int(cx, home, arena_printf(cx->mem, "life/%s", tenant), &life))
		return false;
	text = arena_printf(cx->mem, "tenant-id/%s/%lld", tenant, (long long)life);
	hex = hmac_hex(cx->mem, home->master, KEY_BYTES, text, strlen(text));
	*id = arena_alloc(cx->mem, 13);
	for (int i = 0; i < 12; i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], 0 };
		(*id)[i] = letters[strtoul(pair, NULL, 16) & 31];
	}
	return true;
}

char *
home_passfile(Arena *mem, const Home *home, const char *tenant, const char *user)
{
	return arena_printf(mem, "%s/run/pass/%s.%s", home->dir, tenant, user);
}

char *
home_gateway_passfile(Arena *mem, const Home *home, const char *tenant, const char *user)
{
	return arena_printf(mem, "%s.gateway", home_passfile(mem, home, tenant, user));
}

static bool
from_env(Ctx *cx, const char *ref, const char *name, Secret *out)
{
	const char *value = getenv(name);

	if (!value)
		return fail(cx, FAIL_SECRET, arena_printf(cx->mem, "Set it: export %s=...", name),
		    "the secret \"%s\" is not set", ref);
	*out = secret_new(cx->mem, value, strlen(value));
	return true;
}

/* Whoever writes a manifest says which file goes to which server: keys and what the home holds
 * are no passwords. */
static bool
is_in_home(Ctx *cx, const Home *home, const char *path)
{
	char *dir = arena_alloc(cx->mem, PATH_MAX), *file = arena_alloc(cx->mem, PATH_MAX);

	if (!home || !realpath(home->dir, dir) || !realpath(path, file))
		return false;
	size_t n = strlen(dir);
	return strncmp(file, dir, n) == 0 && (file[n] == '/' || dir[n - 1] == '/');
}

static bool
is_one_line(const Secret *s)
{
	for (size_t i = 0; i < s->len; i++)
		if ((unsigned char)s->text[i] < 0x20 || s->text[i] == 0x7f)
			return false;
	return true;
}

static bool
from_file(Ctx *cx, const Home *home, const char *ref, const char *path, Secret *out)
{
	char *bytes;
	size_t n;

	if (!file_exists(path))
		return fail(cx, FAIL_SECRET, "Write it there with mode 0600.",
		    "the secret \"%s\" has no file", ref);
	if (is_in_home(cx, home, path))
		return fail(cx, FAIL_SECRET, "Use store:NAME for what the home keeps.",
		    "the secret \"%s\" is a file of the home", ref);
	if (!file_read_private(cx, path, 64 << 10, &bytes, &n))
		return false;
	*out = secret_new(cx->mem, bytes, n);
	secret_wipe(bytes, n);
	if (out->len && out->text[out->len - 1] == '\n')
		out->text[--out->len] = '\0';
	return is_one_line(out) ||
	    fail(cx, FAIL_SECRET, "Write the secret alone into it.",
		"the file of the secret \"%s\" holds more than one line of text", ref);
}

static bool
from_store(Ctx *cx, Home *home, const char *ref, const char *name, Secret *out)
{
	bool found;

	if (!home)
		return fail(cx, FAIL_SECRET, "Use env:NAME or file:PATH.",
		    "the secret \"%s\" is in a home, and none is open", ref);
	if (!name_valid(name)) /* other names are our own: passwords on their way */
		return fail(cx, FAIL_SECRET, "See: copyhold secret list.",
		    "the secret \"%s\" is none that can be put into the store", ref);
	if (!catalog_secret_get(cx, home, name, out, &found))
		return false;
	if (found)
		return true;
	return fail(cx, FAIL_SECRET,
	    arena_printf(cx->mem, "Put it there: copyhold secret set %s < FILE", name),
	    "the secret \"%s\" is not in the store", ref);
}

bool
secret_resolve(Ctx *cx, Home *home, const SecretRef *ref, Secret *out)
{
	bool ok = false;

	if (!ref->ref) {
		*out = (Secret){ 0 };
		return true;
	}
	if (strncmp(ref->ref, "env:", 4) == 0)
		ok = from_env(cx, ref->ref, ref->ref + 4, out);
	else if (strncmp(ref->ref, "file:", 5) == 0)
		ok = from_file(cx, home, ref->ref, ref->ref + 5, out);
	else if (strncmp(ref->ref, "store:", 6) == 0)
		ok = from_store(cx, home, ref->ref, ref->ref + 6, out);
	else
		fail(cx, FAIL_SECRET, "Use env:NAME, file:PATH or store:NAME.",
		    "\"%s\" is no secret reference", ref->ref);
	return ok || fail_at(cx, ref->place);
}

/* --- leases ----------------------------------------------------------------- */

static bool
lease_row(Ctx *cx, Home *home, const char *scope, int64_t *slot, int64_t *run, int64_t *fence,
    char **holder, int64_t *since)
{
	LiteRows *rows;

	*slot = 0;
	if (!lite_query(cx, home->db, &SQL_LEASE_GET, &rows, "t", scope))
		return false;
	if (lite_next(rows)) {
		*slot = lite_int(rows, 0);
		*run = lite_int(rows, 1);
		*fence = lite_int(rows, 2);
		*holder = lite_text(rows, 3);
		*since = lite_int(rows, 4);
	}
	return lite_end(cx, rows);
}

static bool
lease_held(Ctx *cx, const char *scope, pid_t pid, int64_t run, const char *holder, int64_t since)
{
	return fail(cx, FAIL_LEASED,
	    arena_printf(cx->mem, "Wait for it, or see: copyhold run show %lld.", (long long)run),
	    "\"%s\" is held by run %lld (process %d, %s, since %s)", scope, (long long)run,
	    (int)pid, holder, clock_iso(cx->mem, since));
}

static bool
lease_fence(Ctx *cx, Home *home, const char *scope, int64_t run, int64_t *fence)
{
	int64_t slot, seen_run, since;
	char *holder;

	return lite_do(cx, home->db, &SQL_LEASE_FENCE, "titi", scope, run, home->actor,
		   clock_wall_ms()) &&
	    lease_row(cx, home, scope, &slot, &seen_run, fence, &holder, &since);
}

/* The byte is kept in mind here: after a rollback no row would tell it. */
bool
lease_take(Ctx *cx, Home *home, const char *scope, int64_t run, int64_t *fence)
{
	int64_t slot, old_run = 0, old_fence = 0, since = 0;
	char *holder = NULL;
	pid_t pid = 0;

	if (!lite_do(cx, home->db, &SQL_LEASE_TAKE, "t", scope) ||
	    !lease_row(cx, home, scope, &slot, &old_run, &old_fence, &holder, &since))
		return false;
	if (!file_lock_byte(home->lease_fd, slot, &pid))
		return lease_held(cx, scope, pid, old_run, holder, since);
	map_set(home->slots, scope, (void *)(intptr_t)slot);
	if (lease_fence(cx, home, scope, run, fence))
		return true;
	lease_drop(home, scope);
	return false;
}

void
lease_drop(Home *home, const char *scope)
{
	intptr_t slot = (intptr_t)map_get(home->slots, scope);

	if (!slot)
		return;
	file_unlock_byte(home->lease_fd, slot);
	map_remove(home->slots, scope);
}

/* --- turns --------------------------------------------------------------------- */

#define TURNS_AT     ((off_t)1 << 40) /* in the file of leases, behind all of them */
#define TURN_LOOK_MS 20

bool
turn_take(Ctx *cx, Home *home, int n, int64_t ms, bool *had)
{
	int64_t until = clock_mono_ms() + ms;
	pid_t holder;

	*had = false;
	for (;; lane_sleep(TURN_LOOK_MS)) {
		for (int i = 0; i < n && !*had; i++)
			*had = file_lock_byte(home->lease_fd, TURNS_AT + i, &holder);
		if (*had || clock_mono_ms() >= until)
			return true;
		if (lane_stopping())
			return fail(cx, FAIL_STOPPED, NULL, "stopped while waiting for a turn");
	}
}

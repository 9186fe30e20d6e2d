#include <signal.h>

#include "tests/unit/core/room.h"

static const Sql NEWER = { "newer", "PRAGMA user_version = 99", 0 };
static const Sql LEASE = { "lease", "SELECT fence, slot FROM lease WHERE scope = ?1", 1 };

#define PASSPHRASE "correct horse battery"

static Secret
secret(Room *r, const char *text)
{
	return secret_new(r->cx.mem, text, strlen(text));
}

/* Opens the room's home anew, as another command would. */
static bool
open_again(Room *r, Ctx *cx, Access access, Home **out)
{
	return home_open(cx, r->home_dir, access, out);
}

static void
a_home_that_stands_is_left_as_it_is(void **state)
{
	Room *r = *state;
	Ctx cx = ctx_new(r->cx.mem);
	bool made = true;
	Home *again;

	ok(&cx, home_init(&cx, r->home_dir, &made));
	assert_false(made);
	ok(&cx, open_again(r, &cx, ACCESS_READS, &again));
	assert_string_equal(again->id, r->home->id);
	arena_free(cx.mem);
}

static void
a_missing_home_is_named_with_the_way_to_make_one(void **state)
{
	Room *r = *state;
	char *dir = arena_printf(r->cx.mem, "%s/none", r->dir);
	Home *home;

	refused(&r->cx, home_open(&r->cx, dir, ACCESS_READS, &home), FAIL_HOME,
	    arena_printf(r->cx.mem, "there is no home in \"%s\"", dir));
}

static void
wrong_rights_are_refused_with_the_chmod(void **state)
{
	static const struct {
		const char *path, *chmod;
		int wrong, right;
	} cases[] = {
		{ "", "0700", 0755, 0700 },
		{ "/keys", "0700", 0750, 0700 },
		{ "/keys/master.key", "0600", 0640, 0600 },
		{ "/catalog.db", "0600", 0644, 0600 },
	};
	Room *r = *state;
	Home *home;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		Ctx cx = ctx_new(r->cx.mem);
		char *path = arena_printf(cx.mem, "%s%s", r->home_dir, cases[i].path);
		assert_int_equal(chmod(path, (mode_t)cases[i].wrong), 0);
		assert_false(open_again(r, &cx, ACCESS_READS, &home));
		assert_string_equal(fail_name(cx.fail->kind), "home");
		assert_string_equal(cx.fail->what,
		    arena_printf(cx.mem, "\"%s\" is open to other users (mode %04o)", path,
			(unsigned)cases[i].wrong));
		assert_string_equal(
		    cx.fail->hint, arena_printf(cx.mem, "Run: chmod %s %s", cases[i].chmod, path));
		fail_clear(&cx);
		assert_int_equal(chmod(path, (mode_t)cases[i].right), 0);
		ok(&cx, open_again(r, &cx, ACCESS_READS, &home));
		arena_free(cx.mem);
	}
}

static void
a_catalogue_of_a_newer_version_is_refused_for_reading_and_writing(void **state)
{
	Room *r = *state;
	char *text = arena_printf(r->cx.mem,
	    "\"%s/catalog.db\" has version 99 and this copyhold knows up to %d", r->home_dir,
	    catalog_migrations_n);
	Home *home;

	ok(&r->cx, lite_do(&r->cx, r->home->db, &NEWER, ""));
	refused(&r->cx, open_again(r, &r->cx, ACCESS_READS, &home), FAIL_CATALOG_NEWER, text);
	refused(&r->cx, open_again(r, &r->cx, ACCESS_WRITES, &home), FAIL_CATALOG_NEWER, text);
}

static void
a_reader_cannot_write(void **state)
{
	Room *r = *state;
	Home *home;

	ok(&r->cx, open_again(r, &r->cx, ACCESS_READS, &home));
	assert_int_equal(home->lease_fd, -1);
	assert_false(catalog_serial_bump(&r->cx, home));
	assert_string_equal(fail_name(r->cx.fail->kind), "catalog");
}

static void
a_home_on_a_disk_that_is_read_only_can_be_read(void **state)
{
	Room *r = *state;
	char *dir = arena_printf(r->cx.mem, "%s/copy", r->dir), *bytes;
	Secret pass = secret(r, PASSPHRASE);
	char *file = arena_printf(r->cx.mem, "%s/backup", r->dir);
	Home *home;
	size_t n;

	ok(&r->cx, home_backup(&r->cx, r->home, file, &pass));
	ok(&r->cx, home_restore(&r->cx, dir, file, &pass));
	assert_int_equal(chmod(arena_printf(r->cx.mem, "%s/catalog.db", dir), 0400), 0);
	assert_int_equal(chmod(arena_printf(r->cx.mem, "%s/keys/master.key", dir), 0400), 0);
	assert_int_equal(chmod(dir, 0500), 0);
	ok(&r->cx, home_open(&r->cx, dir, ACCESS_READS, &home));
	assert_string_equal(home->id, r->home->id);
	ok(&r->cx,
	    file_read(&r->cx, arena_printf(r->cx.mem, "%s/catalog.db", dir), 1 << 20, &bytes, &n));
	assert_true(n > 4096);
	assert_int_equal(chmod(dir, 0700), 0);
	if (geteuid() != 0) /* root may write everywhere */
		refused(&r->cx, home_open(&r->cx, dir, ACCESS_WRITES, &home), FAIL_CATALOG,
		    arena_printf(
			r->cx.mem, "\"%s/catalog.db\" cannot be written: it is read-only", dir));
}

/* --- secrets ------------------------------------------------------------------------- */

static SecretRef
ref_to(Room *r, const char *fmt, const char *rest)
{
	return (SecretRef){ .ref = arena_printf(r->cx.mem, "%s%s", fmt, rest),
		.place = { "tenants.yaml", 14, 16 } };
}

static void
a_secret_is_found_in_the_environment_a_file_or_the_store(void **state)
{
	Room *r = *state;
	char *path = arena_printf(r->cx.mem, "%s/pw", r->dir);
	Secret out, value = secret(r, "from the store");
	SecretRef none = { 0 }, env = ref_to(r, "env:", "COPYHOLD_TEST_PW"),
		  file = ref_to(r, "file:", path), store = ref_to(r, "store:", "pw");

	ok(&r->cx, secret_resolve(&r->cx, r->home, &none, &out));
	assert_null(out.text);
	setenv("COPYHOLD_TEST_PW", "from the environment", 1);
	ok(&r->cx, secret_resolve(&r->cx, r->home, &env, &out));
	assert_string_equal(out.text, "from the environment");
	ok(&r->cx, file_write(&r->cx, path, 0600, "from a file\n", 12));
	ok(&r->cx, secret_resolve(&r->cx, r->home, &file, &out));
	assert_string_equal(out.text, "from a file");
	assert_int_equal(out.len, 11);
	ok(&r->cx, catalog_secret_put(&r->cx, r->home, "pw", &value));
	ok(&r->cx, secret_resolve(&r->cx, r->home, &store, &out));
	assert_string_equal(out.text, "from the store");
}

/* Whoever writes a manifest chooses file and server: what is no password goes nowhere. */
static void
a_secret_is_no_file_of_the_home_no_key_and_no_password_on_its_way(void **state)
{
	Room *r = *state;
	char *path = arena_printf(r->cx.mem, "%s/pw", r->dir);
	char *link = arena_printf(r->cx.mem, "%s/link", r->dir);
	char *key = arena_printf(r->cx.mem, "%s/keys/master.key", r->home_dir);
	SecretRef file = ref_to(r, "file:", path), ours = ref_to(r, "file:", key),
		  linked = ref_to(r, "file:", link),
		  store = ref_to(r, "store:", "pending/acme/app");
	Secret out, value = secret(r, "acme's");

	refused(&r->cx, secret_resolve(&r->cx, r->home, &ours, &out), FAIL_SECRET,
	    arena_printf(r->cx.mem, "the secret \"file:%s\" is a file of the home", key));
	ok(&r->cx, file_write(&r->cx, path, 0600, "two\nlines\n", 10));
	refused(&r->cx, secret_resolve(&r->cx, r->home, &file, &out), FAIL_SECRET,
	    arena_printf(r->cx.mem,
		"the file of the secret \"file:%s\" holds more than one line of text", path));
	assert_int_equal(symlink(path, link), 0);
	refused(&r->cx, secret_resolve(&r->cx, r->home, &linked, &out), FAIL_HOME,
	    arena_printf(r->cx.mem, "\"%s\" is no regular file", link));
	ok(&r->cx, catalog_secret_put(&r->cx, r->home, "pending/acme/app", &value));
	refused(&r->cx, secret_resolve(&r->cx, r->home, &store, &out), FAIL_SECRET,
	    "the secret \"store:pending/acme/app\" is none that can be put into the store");
}

static void
a_missing_secret_is_named_by_its_reference_and_place(void **state)
{
	Room *r = *state;
	char *path = arena_printf(r->cx.mem, "%s/pw", r->dir);
	SecretRef env = ref_to(r, "env:", "COPYHOLD_NOT_SET"), file = ref_to(r, "file:", path),
		  store = ref_to(r, "store:", "nothing"), odd = ref_to(r, "", "plain");
	Secret out;

	assert_false(secret_resolve(&r->cx, r->home, &env, &out));
	assert_string_equal(fail_text(r->cx.mem, r->cx.fail),
	    "error[secret]: the secret \"env:COPYHOLD_NOT_SET\" is not set\n"
	    "  where: tenants.yaml:14:16\n  hint:  Set it: export COPYHOLD_NOT_SET=...\n");
	fail_clear(&r->cx);
	refused(&r->cx, secret_resolve(&r->cx, r->home, &file, &out), FAIL_SECRET,
	    arena_printf(r->cx.mem, "the secret \"file:%s\" has no file", path));
	refused(&r->cx, secret_resolve(&r->cx, r->home, &store, &out), FAIL_SECRET,
	    "the secret \"store:nothing\" is not in the store");
	refused(&r->cx, secret_resolve(&r->cx, NULL, &store, &out), FAIL_SECRET,
	    "the secret \"store:nothing\" is in a home, and none is open");
	refused(&r->cx, secret_resolve(&r->cx, r->home, &odd, &out), FAIL_SECRET,
	    "\"plain\" is no secret reference");
	ok(&r->cx, file_write(&r->cx, path, 0644, "x", 1));
	refused(&r->cx, secret_resolve(&r->cx, r->home, &file, &out), FAIL_HOME,
	    arena_printf(r->cx.mem, "\"%s\" is open to other users (mode 0644)", path));
}

static void
a_sealed_secret_opens_only_where_it_was_sealed(void **state)
{
	Room *r = *state;
	SealPlace here = { .tenant = "a", .schema = "s", .table = "t", .column = "c", .key = "k" };
	SealPlace there = { .tenant = "b", .schema = "s", .table = "t", .column = "c", .key = "k" };
	Secret plain = secret(r, "hidden"), out;
	Bytes sealed;

	ok(&r->cx, home_seal(&r->cx, r->home, &here, &plain, &sealed));
	ok(&r->cx, home_unseal(&r->cx, r->home, &here, sealed, &out));
	assert_string_equal(out.text, "hidden");
	assert_false(home_unseal(&r->cx, r->home, &there, sealed, &out));
	assert_string_equal(fail_name(r->cx.fail->kind), "secret");
}

static void
no_secret_stands_in_the_catalogue_in_clear(void **state)
{
	Room *r = *state;
	static const char *const files[] = { "catalog.db", "catalog.db-wal" };
	Secret password = secret(r, "CANARY-password-81"), stored = secret(r, "CANARY-stored-82");
	Login login = { .user = "app", .role = "t_x_app", .on = true };
	TenantRecord t = { .name = "acme",
		.id = "a",
		.state = TENANT_ACTIVE,
		.mode = MODE_DEDICATED,
		.cluster = "c",
		.dbname = "d",
		.owner = "o",
		.model = "m",
		.shape = "",
		.spec_hash = "" };
	Secret out;

	login.verifier = scram_verifier(r->cx.mem, &password);
	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &t));
	ok(&r->cx, catalog_login_put(&r->cx, r->home, "acme", &login, &password));
	ok(&r->cx, catalog_secret_put(&r->cx, r->home, "x", &stored));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &out));
	assert_string_equal(out.text, "CANARY-password-81");
	for (size_t i = 0; i < LENGTH(files); i++) {
		char *bytes;
		size_t n;
		ok(&r->cx,
		    file_read(&r->cx, arena_printf(r->cx.mem, "%s/%s", r->home_dir, files[i]),
			64 << 20, &bytes, &n));
		assert_null(memmem(bytes, n, "CANARY", 6));
	}
	char *wal;
	size_t n;
	ok(&r->cx,
	    file_read(&r->cx, arena_printf(r->cx.mem, "%s/catalog.db-wal", r->home_dir), 64 << 20,
		&wal, &n));
	assert_non_null(memmem(wal, n, "t_x_app", 7)); /* the search would have found it */
}

static void
a_tenants_id_is_the_same_until_the_tenant_is_gone(void **state)
{
	Room *r = *state;
	char *one, *same, *other, *next;

	ok(&r->cx, home_tenant_id(&r->cx, r->home, "acme", &one));
	ok(&r->cx, home_tenant_id(&r->cx, r->home, "acme", &same));
	ok(&r->cx, home_tenant_id(&r->cx, r->home, "globex", &other));
	ok(&r->cx, catalog_tenant_forget(&r->cx, r->home, "acme"));
	ok(&r->cx, home_tenant_id(&r->cx, r->home, "acme", &next));
	assert_int_equal(strlen(one), 12);
	assert_string_equal(one, same);
	assert_string_not_equal(one, other);
	assert_string_not_equal(one, next);
}

/* --- backup and restore ---------------------------------------------------------------- */

typedef struct Backup {
	char *file, *dir, *bytes;
	size_t n;
	Secret pass;
} Backup;

static Backup
backup(Room *r)
{
	Backup b = { .file = arena_printf(r->cx.mem, "%s/backup", r->dir),
		.pass = secret(r, PASSPHRASE),
		.dir = arena_printf(r->cx.mem, "%s/restored", r->dir) };
	Secret stored = secret(r, "kept");

	ok(&r->cx, catalog_secret_put(&r->cx, r->home, "x", &stored));
	ok(&r->cx, home_backup(&r->cx, r->home, b.file, &b.pass));
	ok(&r->cx, file_read(&r->cx, b.file, 1 << 24, &b.bytes, &b.n));
	return b;
}

static void
a_backup_restores_the_home_and_its_secrets(void **state)
{
	Room *r = *state;
	Backup b = backup(r);
	struct stat st;
	Home *home;
	Secret out;
	bool found;

	assert_int_equal(stat(b.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_null(memmem(b.bytes, b.n, r->home->master, KEY_BYTES));
	ok(&r->cx, home_restore(&r->cx, b.dir, b.file, &b.pass));
	ok(&r->cx, home_open(&r->cx, b.dir, ACCESS_WRITES, &home));
	assert_string_equal(home->id, r->home->id);
	ok(&r->cx, catalog_secret_get(&r->cx, home, "x", &out, &found));
	assert_true(found);
	assert_string_equal(out.text, "kept");
}

static void
nothing_is_overwritten_by_a_backup_or_a_restore(void **state)
{
	Room *r = *state;
	Backup b = backup(r);

	refused(&r->cx, home_backup(&r->cx, r->home, b.file, &b.pass), FAIL_EXISTS,
	    arena_printf(r->cx.mem, "\"%s\" is there already", b.file));
	refused(&r->cx, home_restore(&r->cx, r->home_dir, b.file, &b.pass), FAIL_EXISTS,
	    arena_printf(r->cx.mem, "there is a home in \"%s\" already", r->home_dir));
	ok(&r->cx, home_make_folders(&r->cx, b.dir));
	char *key = arena_printf(r->cx.mem, "%s/keys/master.key", b.dir);
	ok(&r->cx, file_write(&r->cx, key, 0600, "another key, of something else..", 32));
	refused(&r->cx, home_restore(&r->cx, b.dir, b.file, &b.pass), FAIL_EXISTS,
	    arena_printf(r->cx.mem, "another master key is in \"%s\" already", key));
	assert_false(file_exists(arena_printf(r->cx.mem, "%s/catalog.db", b.dir)));
}

static void
a_wrong_passphrase_opens_nothing_and_makes_nothing(void **state)
{
	Room *r = *state;
	Backup b = backup(r);
	Secret wrong = secret(r, "correct horse batterz");

	refused(&r->cx, home_restore(&r->cx, b.dir, b.file, &wrong), FAIL_SECRET,
	    arena_printf(
		r->cx.mem, "the passphrase does not open \"%s\", or the file was changed", b.file));
	assert_false(file_exists(b.dir));
}

static bool
restores(Room *r, const Backup *b, const char *bytes, size_t n, char **what)
{
	Ctx cx = ctx_new(r->cx.mem);
	char *file = arena_printf(cx.mem, "%s/changed", r->dir);

	ok(&cx, file_write(&cx, file, 0600, bytes, n));
	bool done = home_restore(&cx, b->dir, file, &b->pass);
	*what = arena_dup(r->cx.mem, done ? "" : cx.fail->what);
	assert_int_equal(done, file_exists(b->dir));
	arena_free(cx.mem);
	return done;
}

static void
each_of_200_flipped_bytes_is_refused(void **state)
{
	Room *r = *state;
	Backup b = backup(r);
	char *what;

	srand(2);
	for (int i = 0; i < 200; i++) {
		size_t at = i < 100 ? (size_t)i : (size_t)rand() % b.n;
		b.bytes[at] = (char)(b.bytes[at] ^ (1 << i % 8));
		if (restores(r, &b, b.bytes, b.n, &what))
			broken("byte %zu was not missed", at);
		assert_non_null(strstr(what, at < 16 ? "is no backup of a home" : "is damaged"));
		b.bytes[at] = (char)(b.bytes[at] ^ (1 << i % 8));
	}
}

static void
a_backup_that_ends_early_is_refused(void **state)
{
	Room *r = *state;
	Backup b = backup(r);
	char *what;

	for (size_t n = 0; n < 200; n++)
		assert_false(restores(r, &b, b.bytes, n, &what));
	assert_false(restores(r, &b, b.bytes, b.n - 1, &what));
	assert_non_null(strstr(what, "is damaged"));
}

/* Whoever changes the file can mend its hash, but not the seal. */
static void
a_changed_backup_with_a_mended_hash_is_refused_by_its_seal(void **state)
{
	Room *r = *state;
	Backup b = backup(r);
	const size_t places[] = { 16, 40, 44, 60, 90, b.n - 33 };
	char *what;

	for (size_t i = 0; i < LENGTH(places); i++) {
		b.bytes[places[i]] ^= 1;
		sha256(b.bytes, b.n - 32, (unsigned char *)b.bytes + b.n - 32);
		assert_false(restores(r, &b, b.bytes, b.n, &what));
		assert_non_null(strstr(what, "the passphrase does not open"));
		b.bytes[places[i]] ^= 1;
	}
	memset(b.bytes + 32, 0xff, 4); /* the length of the sealed key */
	sha256(b.bytes, b.n - 32, (unsigned char *)b.bytes + b.n - 32);
	assert_false(restores(r, &b, b.bytes, b.n, &what));
	assert_non_null(strstr(what, "is damaged"));
}

/* --- leases ---------------------------------------------------------------------------- */

static int64_t
fence_of(Room *r, Home *home, const char *scope)
{
	LiteRows *rows;
	int64_t fence = -1;

	ok(&r->cx, lite_query(&r->cx, home->db, &LEASE, &rows, "t", scope));
	if (lite_next(rows))
		fence = lite_int(rows, 0);
	ok(&r->cx, lite_end(&r->cx, rows));
	return fence;
}

static void
a_lease_of_a_transaction_that_was_rolled_back_is_free_again(void **state)
{
	Room *r = *state;
	int64_t fence;

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, lease_take(&r->cx, r->home, "tenant/a", 1, &fence));
	lite_rollback(r->home->db);
	lease_drop(r->home, "tenant/a");
	assert_int_equal(fence_of(r, r->home, "tenant/a"), -1);
	assert_int_equal(room_child(r, "lease-b", NULL), 0); /* gets the same byte of the file */
	ok(&r->cx, lease_take(&r->cx, r->home, "tenant/b", 1, &fence));
	assert_int_equal(fence, 2);
	assert_int_equal(room_child(r, "lease-b", NULL), EXIT_LEASED);
	lease_drop(r->home, "tenant/b");
	assert_int_equal(room_child(r, "lease-b", NULL), 0);
}

static void
a_turn_is_one_process_at_a_time_and_others_go_on_without_it_in_the_end(void **state)
{
	Room *r = *state;
	bool had;

	assert_int_equal(room_child(r, "turn", NULL), 0);
	ok(&r->cx, turn_take(&r->cx, r->home, 1, 0, &had));
	assert_true(had);
	assert_int_equal(room_child(r, "turn", NULL), EXIT_LEASED);
}

static void
fences_survive_a_restore_and_start_above_what_was_seen(void **state)
{
	Room *r = *state;
	Backup b;
	Home *home;
	int64_t fence;
	RouteRecord route;
	bool found;

	for (int i = 0; i < 3; i++) {
		ok(&r->cx, lease_take(&r->cx, r->home, "tenant/a", 1, &fence));
		lease_drop(r->home, "tenant/a");
	}
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "a", 3, "open", "c", "d"));
	b = backup(r);
	ok(&r->cx, home_restore(&r->cx, b.dir, b.file, &b.pass));
	ok(&r->cx, home_open(&r->cx, b.dir, ACCESS_WRITES, &home));
	assert_int_equal(fence_of(r, home, "tenant/a"), 3);
	ok(&r->cx, catalog_raise_floors(&r->cx, home, 41));
	ok(&r->cx, lease_take(&r->cx, home, "tenant/a", 2, &fence));
	assert_int_equal(fence, 43);
	ok(&r->cx, lease_take(&r->cx, home, "tenant/new", 2, &fence));
	assert_int_equal(fence, 43);
	ok(&r->cx, catalog_route(&r->cx, home, "a", &route, &found));
	assert_int_equal(route.epoch, 43);
	assert_int_equal(route.seq, 2);
	ok(&r->cx, catalog_route_set(&r->cx, home, "a", 1, "open", "c", "d"));
	ok(&r->cx, catalog_route(&r->cx, home, "a", &route, &found));
	assert_int_equal(route.epoch, 44);
}

/* --- kills ------------------------------------------------------------------------------ */

static int
child(const char *dir, const char *word)
{
	Room r = { .cx = ctx_new(NULL), .dir = (char *)dir };
	char *home_dir = arena_printf(r.cx.mem, "%s/home", dir);
	Secret pass = secret(&r, PASSPHRASE);
	bool done = false, made;
	int64_t fence;
	bool had = true;

	if (strcmp(word, "init") == 0)
		done = home_init(&r.cx, arena_printf(r.cx.mem, "%s/fresh", dir), &made);
	else if (strcmp(word, "restore") == 0)
		done = home_restore(&r.cx, arena_printf(r.cx.mem, "%s/restored", dir),
		    arena_printf(r.cx.mem, "%s/backup", dir), &pass);
	else if (strcmp(word, "turn") == 0)
		done = home_open(&r.cx, home_dir, ACCESS_WRITES, &r.home) &&
		    turn_take(&r.cx, r.home, 1, 50, &had);
	else
		done = home_open(&r.cx, home_dir, ACCESS_WRITES, &r.home) &&
		    lease_take(&r.cx, r.home, "tenant/b", 9, &fence);
	int code = !had ? EXIT_LEASED : done ? 0 : (int)fail_exit(r.cx.fail->kind);
	arena_free(r.cx.mem);
	return code;
}

static void
an_init_killed_at_any_boundary_can_be_repeated(void **state)
{
	(void)state;
	int boundaries = 1;

	for (int n = 0; n <= boundaries; n++) {
		void *room;
		assert_int_equal(room_setup(&room), 0);
		Room *r = room;
		char *dir = arena_printf(r->cx.mem, "%s/fresh", r->dir);
		Home *home;
		if (n == 0) {
			boundaries = room_boundaries(r, "init");
			assert_int_equal(boundaries, 3);
		} else {
			assert_int_equal(
			    room_child(r, "init", arena_printf(r->cx.mem, "kill:%d", n)), -SIGKILL);
			assert_false(home_open(&r->cx, dir, ACCESS_READS, &home));
			fail_clear(&r->cx);
			assert_int_equal(room_child(r, "init", NULL), 0);
		}
		ok(&r->cx, home_open(&r->cx, dir, ACCESS_WRITES, &home));
		ok(&r->cx, home_master(&r->cx, home));
		room_teardown(&room);
	}
}

static void
a_restore_killed_between_key_and_catalogue_can_be_repeated(void **state)
{
	Room *r = *state;
	Backup b = backup(r);
	Home *home;

	assert_int_equal(room_child(r, "restore", "kill:1"), -SIGKILL);
	assert_false(home_open(&r->cx, b.dir, ACCESS_READS, &home));
	fail_clear(&r->cx);
	assert_int_equal(room_child(r, "restore", NULL), 0);
	ok(&r->cx, home_open(&r->cx, b.dir, ACCESS_READS, &home));
	assert_string_equal(home->id, r->home->id);
}

static void
two_that_make_the_same_home_do_not_get_in_each_others_way(void **state)
{
	Room *r = *state;
	char *dir = arena_printf(r->cx.mem, "%s/fresh", r->dir);
	char *argv[] = { (char *)"self", (char *)"child", r->dir, (char *)"init", NULL };
	extern char **environ;
	int status;
	pid_t pid;
	bool made;

	setenv("COPYHOLD_FAULT", "stop:2", 1);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	unsetenv("COPYHOLD_FAULT");
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	refused(&r->cx, home_init(&r->cx, dir, &made), FAIL_HOME,
	    arena_printf(r->cx.mem, "process %d is making a home in \"%s\"", (int)pid, dir));
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	ok(&r->cx, home_init(&r->cx, dir, &made));
	assert_false(made);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2], argv[3]);
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_home_that_stands_is_left_as_it_is),
		T(a_missing_home_is_named_with_the_way_to_make_one),
		T(wrong_rights_are_refused_with_the_chmod),
		T(a_catalogue_of_a_newer_version_is_refused_for_reading_and_writing),
		T(a_reader_cannot_write),
		T(a_home_on_a_disk_that_is_read_only_can_be_read),
		T(a_secret_is_found_in_the_environment_a_file_or_the_store),
		T(a_secret_is_no_file_of_the_home_no_key_and_no_password_on_its_way),
		T(a_missing_secret_is_named_by_its_reference_and_place),
		T(a_sealed_secret_opens_only_where_it_was_sealed),
		T(no_secret_stands_in_the_catalogue_in_clear),
		T(a_tenants_id_is_the_same_until_the_tenant_is_gone),
		T(a_backup_restores_the_home_and_its_secrets),
		T(nothing_is_overwritten_by_a_backup_or_a_restore),
		T(a_wrong_passphrase_opens_nothing_and_makes_nothing),
		T(each_of_200_flipped_bytes_is_refused),
		T(a_backup_that_ends_early_is_refused),
		T(a_changed_backup_with_a_mended_hash_is_refused_by_its_seal),
		T(a_lease_of_a_transaction_that_was_rolled_back_is_free_again),
		T(a_turn_is_one_process_at_a_time_and_others_go_on_without_it_in_the_end),
		T(fences_survive_a_restore_and_start_above_what_was_seen),
		cmocka_unit_test(an_init_killed_at_any_boundary_can_be_repeated),
		T(a_restore_killed_between_key_and_catalogue_can_be_repeated),
		T(two_that_make_the_same_home_do_not_get_in_each_others_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

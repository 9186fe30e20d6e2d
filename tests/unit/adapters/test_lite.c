#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/adapters/lite.h"
#include "lib/base/file.h"
#include "lib/base/vec.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

static const Sql MAKE = { "make",
	"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" bytes BLOB, parent INTEGER REFERENCES t)",
	0 };
static const Sql ADD = { "add", "INSERT INTO t (name, bytes, parent) VALUES (?1, ?2, ?3)", 3 };
static const Sql ALL = { "all", "SELECT id, name, bytes, parent FROM t ORDER BY id", 0 };
static const Sql COUNT = { "count", "SELECT count(*) FROM t", 0 };
static const Sql REMOVE = { "remove", "DELETE FROM t WHERE id > ?1", 1 };
static const Sql WRONG = { "wrong", "SELECT x FROM nowhere", 0 };
static const Sql PAGES = { "pages", "PRAGMA max_page_count = 4", 0 };
static const Sql FILL = { "fill",
	"INSERT INTO t (name) WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL "
	"SELECT i + 1 FROM n WHERE i < 5000) SELECT 'name ' || i FROM n",
	0 };
static const Sql SETTINGS = { "settings",
	"SELECT (SELECT journal_mode FROM pragma_journal_mode) || ' ' "
	"|| (SELECT foreign_keys FROM pragma_foreign_keys) || ' ' || (SELECT secure_delete FROM "
	"pragma_secure_delete) || ' ' || (SELECT synchronous FROM pragma_synchronous) || ' ' || "
	"(SELECT trusted_schema FROM pragma_trusted_schema)",
	0 };

typedef struct Room {
	Ctx cx;
	char *dir, *path;
} Room;

static int
setup(void **state)
{
	static Room r;

	r.cx = ctx_new(NULL);
	if (!temp_dir(&r.cx, &r.dir))
		return -1;
	r.path = arena_printf(r.cx.mem, "%s/catalog.db", r.dir);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Room *)*state)->cx.mem);
	return 0;
}

static Lite *
create(Room *r)
{
	Lite *db = NULL;

	assert_true(lite_open(&r->cx, r->path, LITE_CREATE, &db));
	assert_true(lite_do(&r->cx, db, &MAKE, ""));
	return db;
}

static bool
add(Room *r, Lite *db, const char *name)
{
	return lite_do(&r->cx, db, &ADD, "tbt", name, (Bytes){ 0 }, NULL);
}

static int64_t
count(Ctx *cx, Lite *db)
{
	LiteRows *rows = NULL;

	assert_true(lite_query(cx, db, &COUNT, &rows, ""));
	assert_true(lite_next(rows));
	int64_t n = lite_int(rows, 0);
	assert_true(lite_end(cx, rows));
	return n;
}

static void
assert_failed(Room *r, FailKind kind, const char *fmt, const char *cause)
{
	assert_int_equal(r->cx.fail->kind, kind);
	assert_string_equal(r->cx.fail->what, fmt);
	if (cause == NULL)
		assert_null(r->cx.fail->cause);
	else
		assert_string_equal(r->cx.fail->cause, cause);
	fail_clear(&r->cx);
}

static void
values_come_back_as_they_were_given(void **state)
{
	Room *r = *state;
	Lite *db = create(r);
	LiteRows *rows = NULL;
	Bytes b = { (const unsigned char *)"\0\xff", 2 };

	assert_true(lite_do(&r->cx, db, &ADD, "tbi", "\xe6\x9d\x8e", b, (int64_t)1));
	assert_int_equal(lite_last_id(db), 1);
	assert_true(lite_query(&r->cx, db, &ALL, &rows, ""));
	assert_true(lite_next(rows));
	assert_int_equal(lite_int(rows, 0), 1);
	assert_string_equal(lite_text(rows, 1), "\xe6\x9d\x8e");
	assert_int_equal(lite_bytes(rows, 2).n, 2);
	assert_memory_equal(lite_bytes(rows, 2).at, "\0\xff", 2);
	assert_false(lite_next(rows));
	assert_false(lite_next(rows));
	assert_true(lite_end(&r->cx, rows));
	assert_true(lite_do(&r->cx, db, &ADD, "tbt", "x", (Bytes){ 0 }, NULL));
	assert_true(lite_query(&r->cx, db, &ALL, &rows, ""));
	assert_true(lite_next(rows) && lite_next(rows));
	assert_null(lite_bytes(rows, 2).at);
	assert_null(lite_text(rows, 3));
	assert_true(lite_end(&r->cx, rows));
	assert_true(lite_do(&r->cx, db, &REMOVE, "i", (int64_t)0));
	assert_true(lite_query(&r->cx, db, &ALL, &rows, ""));
	assert_false(lite_next(rows));
	assert_true(lite_end(&r->cx, rows));
}

static void
the_file_is_private_and_the_settings_hold(void **state)
{
	Room *r = *state;
	Lite *db = create(r);
	LiteRows *rows = NULL;
	struct stat st;

	assert_int_equal(stat(r->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(arena_printf(r->cx.mem, "%s-wal", r->path), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(lite_query(&r->cx, db, &SETTINGS, &rows, ""));
	assert_true(lite_next(rows));
	assert_string_equal(lite_text(rows, 0), "wal 1 1 2 0");
	assert_true(lite_end(&r->cx, rows));
}

static void
one_statement_can_be_read_twice_at_once(void **state)
{
	Room *r = *state;
	Lite *db = create(r);
	LiteRows *outer = NULL, *inner = NULL;
	int pairs = 0;

	assert_true(add(r, db, "a") && add(r, db, "b") && add(r, db, "c"));
	assert_true(lite_query(&r->cx, db, &ALL, &outer, ""));
	while (lite_next(outer)) {
		assert_true(lite_query(&r->cx, db, &ALL, &inner, ""));
		while (lite_next(inner))
			pairs++;
		assert_true(lite_end(&r->cx, inner));
	}
	assert_true(lite_end(&r->cx, outer));
	assert_int_equal(pairs, 9);
}

static void
broken_rules_are_told_with_their_cause(void **state)
{
	Room *r = *state;
	Lite *db = create(r);

	assert_true(add(r, db, "a"));
	assert_false(add(r, db, "a"));
	assert_string_equal(r->cx.fail->frames[0], "running \"add\"");
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem,
		"\"%s\" refused an access: UNIQUE "
		"constraint failed: t.name",
		r->path),
	    "SQLITE_CONSTRAINT_UNIQUE");
	assert_false(lite_do(&r->cx, db, &ADD, "tbi", "b", (Bytes){ 0 }, (int64_t)99));
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem,
		"\"%s\" refused an access: FOREIGN "
		"KEY constraint failed",
		r->path),
	    "SQLITE_CONSTRAINT_FOREIGNKEY");
	assert_false(lite_do(&r->cx, db, &WRONG, ""));
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem,
		"\"%s\" refused an access: no such "
		"table: nowhere",
		r->path),
	    "SQLITE_ERROR");
	assert_false(lite_do(&r->cx, db, &ADD, "t", "b"));
	assert_failed(r, FAIL_CATALOG, "\"add\" takes 3 parameters and was given 1", NULL);
	assert_true(add(r, db, "b"));
	assert_int_equal(count(&r->cx, db), 2);
}

static void
a_transaction_is_whole_or_not_at_all(void **state)
{
	Room *r = *state;
	Lite *db = create(r);

	assert_true(lite_begin(&r->cx, db) && lite_begin(&r->cx, db));
	assert_true(add(r, db, "a"));
	assert_true(lite_commit(&r->cx, db) && lite_commit(&r->cx, db));
	assert_int_equal(count(&r->cx, db), 1);
	assert_true(lite_begin(&r->cx, db));
	assert_true(add(r, db, "b"));
	lite_rollback(db);
	assert_int_equal(count(&r->cx, db), 1);
	lite_rollback(db);
	assert_true(add(r, db, "c"));
	assert_int_equal(count(&r->cx, db), 2);
}

static void
an_inner_rollback_dooms_the_outer_transaction(void **state)
{
	Room *r = *state;
	Lite *db = create(r);

	assert_true(lite_begin(&r->cx, db) && lite_begin(&r->cx, db));
	assert_true(add(r, db, "a"));
	lite_rollback(db);
	assert_false(add(r, db, "b"));
	assert_failed(r, FAIL_CATALOG, "\"add\" comes after its transaction was rolled back", NULL);
	assert_false(lite_begin(&r->cx, db));
	assert_failed(
	    r, FAIL_CATALOG, "a transaction was rolled back and must end before the next", NULL);
	assert_false(lite_commit(&r->cx, db));
	assert_failed(
	    r, FAIL_CATALOG, "a transaction that was rolled back cannot be committed", NULL);
	assert_int_equal(count(&r->cx, db), 0);
	assert_true(lite_begin(&r->cx, db) && add(r, db, "c") && lite_commit(&r->cx, db));
	assert_int_equal(count(&r->cx, db), 1);
}

static void
a_full_disk_is_told_and_undone(void **state)
{
	Room *r = *state;
	Lite *db = create(r);

	assert_true(lite_do(&r->cx, db, &PAGES, ""));
	assert_true(lite_begin(&r->cx, db));
	assert_false(lite_do(&r->cx, db, &FILL, ""));
	assert_string_equal(r->cx.fail->hint, "Free some space, then run the command again.");
	assert_failed(r, FAIL_DISK_FULL,
	    arena_printf(r->cx.mem, "no space left to write \"%s\"", r->path), "SQLITE_FULL");
	lite_rollback(db);
	assert_int_equal(count(&r->cx, db), 0);
	assert_true(add(r, db, "small"));
}

static void
a_reader_cannot_write(void **state)
{
	Room *r = *state;
	Lite *db = create(r), *reader = NULL;

	assert_true(add(r, db, "a"));
	assert_true(lite_open(&r->cx, r->path, LITE_READ, &reader));
	assert_int_equal(count(&r->cx, reader), 1);
	assert_false(add(r, reader, "b"));
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem, "\"%s\" cannot be written: it is read-only", r->path),
	    "SQLITE_READONLY");
	assert_true(add(r, db, "b"));
	assert_int_equal(count(&r->cx, reader), 2);
}

static void
a_lock_of_another_process_is_told(void **state)
{
	Room *r = *state;
	static const Sql no_patience = { "no_patience", "PRAGMA busy_timeout = 0", 0 };
	Lite *db = create(r), *other = NULL;

	assert_true(lite_open(&r->cx, r->path, LITE_WRITE, &other));
	assert_true(lite_do(&r->cx, other, &no_patience, ""));
	assert_true(lite_begin(&r->cx, db));
	assert_false(lite_begin(&r->cx, other));
	assert_string_equal(r->cx.fail->frames[0], "starting a transaction");
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem, "\"%s\" is held by another process", r->path), "SQLITE_BUSY");
	assert_true(lite_commit(&r->cx, db));
	assert_true(add(r, other, "a"));
}

/* Rights mean nothing to root, so root takes another's for the time. */
static void
become_plain(Room *r)
{
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(r->dir, 65534, 65534), 0);
	assert_int_equal(chown(r->path, 65534, 65534), 0);
	assert_int_equal(seteuid(65534), 0);
}

static void
become_whole(Room *r)
{
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	chmod(r->dir, 0700);
}

static void
a_read_only_folder_can_be_read(void **state)
{
	Room *r = *state;
	Ctx maker = ctx_new(r->cx.mem);
	Lite *db = NULL;
	int64_t n = 0;

	r->path = arena_printf(r->cx.mem, "%s/cata?log #1.db", r->dir);
	assert_true(lite_open(&maker, r->path, LITE_CREATE, &db));
	assert_true(lite_do(&maker, db, &MAKE, ""));
	arena_free(maker.mem);
	assert_int_equal(chmod(r->dir, 0500), 0);
	become_plain(r);
	bool opened = lite_open(&r->cx, r->path, LITE_READ, &db);
	if (opened)
		n = count(&r->cx, db);
	bool written = lite_open(&r->cx, r->path, LITE_WRITE, &db) && add(r, db, "x");
	become_whole(r);
	assert_true(opened);
	assert_int_equal(n, 0);
	assert_false(written);
	assert_int_equal(r->cx.fail->kind, FAIL_CATALOG);
}

/* A copy of the files as a crash leaves them: what only the -wal holds must not be overlooked. */
static void
a_read_only_folder_with_unmerged_changes_is_refused(void **state)
{
	Room *r = *state;
	Lite *db = create(r), *reader = NULL;
	char *bytes = NULL, *wal = NULL;
	size_t n = 0, wal_n = 0;

	assert_true(add(r, db, "a"));
	assert_true(file_read(&r->cx, r->path, 1 << 20, &bytes, &n));
	assert_true(
	    file_read(&r->cx, arena_printf(r->cx.mem, "%s-wal", r->path), 1 << 20, &wal, &wal_n));
	r->dir = arena_printf(r->cx.mem, "%s/copy", r->dir);
	assert_int_equal(mkdir(r->dir, 0700), 0);
	chmod(arena_printf(r->cx.mem, "%s/..", r->dir), 0711);
	r->path = arena_printf(r->cx.mem, "%s/c.db", r->dir);
	char *wal_path = arena_printf(r->cx.mem, "%s-wal", r->path);
	assert_true(file_write(&r->cx, r->path, 0600, bytes, n));
	assert_true(file_write(&r->cx, wal_path, 0644, wal, wal_n));
	assert_int_equal(chmod(r->dir, 0500), 0);
	become_plain(r);
	bool opened = lite_open(&r->cx, r->path, LITE_READ, &reader);
	become_whole(r);
	assert_false(opened);
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem,
		"\"%s\" has unmerged changes in "
		"\"%s\" that a read-only folder hides",
		r->path, wal_path),
	    NULL);
	assert_true(lite_open(&r->cx, r->path, LITE_READ, &reader));
	assert_int_equal(count(&r->cx, reader), 1);
}

static void
a_missing_file_is_not_made_by_reading_or_writing(void **state)
{
	Room *r = *state;
	Lite *db = NULL;
	char *what = arena_printf(r->cx.mem, "\"%s\" cannot be opened", r->path);

	assert_false(lite_open(&r->cx, r->path, LITE_READ, &db));
	assert_failed(r, FAIL_CATALOG, what, "SQLITE_CANTOPEN");
	assert_false(lite_open(&r->cx, r->path, LITE_WRITE, &db));
	assert_failed(r, FAIL_CATALOG, what, "SQLITE_CANTOPEN");
	assert_false(file_exists(r->path));
	r->path = arena_printf(r->cx.mem, "%s/none/c.db", r->dir);
	assert_false(lite_open(&r->cx, r->path, LITE_CREATE, &db));
	assert_failed(
	    r, FAIL_SYSTEM, arena_printf(r->cx.mem, "\"%s\" cannot be made", r->path), "ENOENT");
}

static void
a_symbolic_link_is_not_followed_when_made(void **state)
{
	Room *r = *state;
	Lite *db = NULL;

	assert_int_equal(symlink("elsewhere.db", r->path), 0);
	assert_false(lite_open(&r->cx, r->path, LITE_CREATE, &db));
	assert_failed(
	    r, FAIL_SYSTEM, arena_printf(r->cx.mem, "\"%s\" cannot be made", r->path), "ELOOP");
}

static void
a_damaged_file_is_told(void **state)
{
	Room *r = *state;
	Lite *db = NULL;
	char *what = arena_printf(r->cx.mem, "\"%s\" is damaged", r->path);
	char *text = NULL;
	size_t n = 0;

	assert_true(file_write(&r->cx, r->path, 0600,
	    "this is no database, only text that is "
	    "longer than the header that SQLite looks for at the start of a file",
	    105));
	assert_false(lite_open(&r->cx, r->path, LITE_WRITE, &db));
	assert_string_equal(r->cx.fail->hint, "Restore the home from a backup.");
	assert_failed(r, FAIL_CATALOG, what, "SQLITE_NOTADB");
	assert_false(lite_open(&r->cx, r->path, LITE_READ, &db));
	assert_failed(r, FAIL_CATALOG, what, "SQLITE_NOTADB");
	assert_true(file_remove(&r->cx, r->path));
	Ctx maker = ctx_new(r->cx.mem);
	assert_true(lite_open(&maker, r->path, LITE_CREATE, &db));
	assert_true(lite_do(&maker, db, &MAKE, "") && lite_do(&maker, db, &FILL, ""));
	assert_true(lite_check(&maker, db));
	arena_free(maker.mem);
	assert_true(file_read(&r->cx, r->path, 1 << 22, &text, &n));
	memset(text + 8192, 0xee, 4096);
	assert_true(file_write(&r->cx, r->path, 0600, text, n));
	assert_true(lite_open(&r->cx, r->path, LITE_READ, &db));
	assert_false(lite_check(&r->cx, db));
	assert_failed(r, FAIL_CATALOG, what, "SQLITE_CORRUPT");
}

static void
migrations_run_from_every_earlier_version(void **state)
{
	Room *r = *state;
	static const Sql one = { "m1", "CREATE TABLE a (x); CREATE TABLE b (x)", 0 };
	static const Sql two = { "m2", "ALTER TABLE a ADD COLUMN y; INSERT INTO b VALUES (1)", 0 };
	static const Sql three = { "m3", "DROP TABLE b", 0 };
	static const Sql *const all[] = { &one, &two, &three };

	for (int from = 0; from <= 3; from++) {
		Ctx cx = ctx_new(r->cx.mem);
		Lite *db = NULL;
		char *path = arena_printf(cx.mem, "%s/%d.db", r->dir, from);
		assert_true(lite_open(&cx, path, LITE_CREATE, &db));
		assert_true(lite_migrate(&cx, db, all, from));
		assert_int_equal(lite_version(db), from);
		assert_true(lite_migrate(&cx, db, all, 3));
		assert_int_equal(lite_version(db), 3);
		assert_true(lite_migrate(&cx, db, all, 3));
		arena_free(cx.mem);
	}
}

static void
a_failed_migration_leaves_the_version_before_it(void **state)
{
	Room *r = *state;
	static const Sql one = { "m1", "CREATE TABLE a (x)", 0 };
	static const Sql two = { "m2", "CREATE TABLE c (x); CREATE TABLE a (x)", 0 };
	static const Sql mended = { "m2", "CREATE TABLE c (x)", 0 };
	static const Sql *const broken[] = { &one, &two }, *const good[] = { &one, &mended };
	Lite *db = NULL;

	assert_true(lite_open(&r->cx, r->path, LITE_CREATE, &db));
	assert_false(lite_migrate(&r->cx, db, broken, 2));
	assert_string_equal(r->cx.fail->frames[0], "migrating it by \"m2\"");
	assert_failed(r, FAIL_CATALOG,
	    arena_printf(r->cx.mem, "\"%s\" refused an access: table a already exists", r->path),
	    "SQLITE_ERROR");
	assert_int_equal(lite_version(db), 1);
	assert_true(lite_migrate(&r->cx, db, good, 2));
	assert_int_equal(lite_version(db), 2);
}

static void
a_newer_version_is_refused(void **state)
{
	Room *r = *state;
	static const Sql one = { "m1", "CREATE TABLE a (x)", 0 };
	static const Sql newer = { "newer", "PRAGMA user_version = 7", 0 };
	static const Sql *const all[] = { &one };
	Lite *db = NULL;

	assert_true(lite_open(&r->cx, r->path, LITE_CREATE, &db));
	assert_true(lite_do(&r->cx, db, &newer, ""));
	assert_false(lite_migrate(&r->cx, db, all, 1));
	assert_string_equal(r->cx.fail->hint, "Use the newer copyhold that wrote it.");
	assert_failed(r, FAIL_CATALOG_NEWER,
	    arena_printf(
		r->cx.mem, "\"%s\" has version 7 and this copyhold knows up to 1", r->path),
	    NULL);
}

static void
a_backup_is_a_whole_private_copy(void **state)
{
	Room *r = *state;
	Lite *db = create(r), *copy = NULL;
	char *to = arena_printf(r->cx.mem, "%s/backup.db", r->dir);
	struct stat st;

	assert_true(lite_do(&r->cx, db, &FILL, ""));
	assert_true(lite_backup(&r->cx, db, to));
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(lite_do(&r->cx, db, &REMOVE, "i", (int64_t)0));
	assert_true(lite_open(&r->cx, to, LITE_READ, &copy));
	assert_true(lite_check(&r->cx, copy));
	assert_int_equal(count(&r->cx, copy), 5000);
	assert_false(lite_backup(&r->cx, db, to));
	assert_failed(r, FAIL_EXISTS, arena_printf(r->cx.mem, "\"%s\" is there already", to), NULL);
}

static const Sql MAKE_OTHER = { "make_other", "CREATE TABLE other (id INTEGER PRIMARY KEY)", 0 };
static const Sql MAKE_TRIGGER = { "make_trigger",
	"CREATE TRIGGER t_other AFTER INSERT ON other WHEN NEW.id = 7 BEGIN "
	"INSERT INTO t (name) VALUES ('by trigger'); END",
	0 };
static const Sql ADD_OTHER = { "add_other", "INSERT INTO other (id) VALUES (?1)", 1 };

static void
count_call(void *ptr)
{
	++*(int *)ptr;
}

static void
add_other(Room *r, Lite *db, int64_t id)
{
	assert_true(lite_do(&r->cx, db, &ADD_OTHER, "i", id));
}

static void
a_commit_that_wrote_the_table_is_told_once_and_no_other(void **state)
{
	Room *r = *state;
	Lite *db = create(r);
	int told = 0;

	assert_true(lite_do(&r->cx, db, &MAKE_OTHER, ""));
	assert_true(lite_do(&r->cx, db, &MAKE_TRIGGER, ""));
	lite_on_write(db, "t", count_call, &told);
	add_other(r, db, 1);
	assert_int_equal(told, 0);
	assert_true(add(r, db, "a"));
	assert_int_equal(told, 1);
	add_other(r, db, 7);
	assert_int_equal(told, 2);
	assert_true(lite_begin(&r->cx, db));
	assert_true(lite_begin(&r->cx, db));
	assert_true(add(r, db, "b"));
	assert_true(add(r, db, "c"));
	assert_true(lite_commit(&r->cx, db));
	assert_int_equal(told, 2);
	assert_true(lite_commit(&r->cx, db));
	assert_int_equal(told, 3);
	assert_true(lite_begin(&r->cx, db));
	assert_true(add(r, db, "d"));
	lite_rollback(db);
	add_other(r, db, 8);
	assert_int_equal(told, 3);
	assert_false(add(r, db, "b"));
	fail_clear(&r->cx);
	add_other(r, db, 9);
	assert_int_equal(told, 3);
}

static void
reads_of_one_moment_hold_up_no_writer_and_see_nothing_of_it(void **state)
{
	Room *r = *state;
	Lite *db = create(r), *reader;

	assert_true(lite_open(&r->cx, r->path, LITE_WRITE, &reader));
	assert_true(lite_begin_read(&r->cx, reader));
	assert_int_equal(count(&r->cx, reader), 0);
	assert_true(add(r, db, "new"));
	assert_int_equal(count(&r->cx, db), 1);
	assert_int_equal(count(&r->cx, reader), 0);
	assert_false(lite_begin_read(&r->cx, reader));
	assert_string_equal(r->cx.fail->what, "a transaction stands already");
	fail_clear(&r->cx);
	lite_rollback(reader);
	assert_int_equal(count(&r->cx, reader), 1);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(values_come_back_as_they_were_given),
		CASE(the_file_is_private_and_the_settings_hold),
		CASE(one_statement_can_be_read_twice_at_once),
		CASE(broken_rules_are_told_with_their_cause),
		CASE(a_transaction_is_whole_or_not_at_all),
		CASE(an_inner_rollback_dooms_the_outer_transaction),
		CASE(a_full_disk_is_told_and_undone),
		CASE(a_reader_cannot_write),
		CASE(a_lock_of_another_process_is_told),
		CASE(a_read_only_folder_can_be_read),
		CASE(a_read_only_folder_with_unmerged_changes_is_refused),
		CASE(a_missing_file_is_not_made_by_reading_or_writing),
		CASE(a_symbolic_link_is_not_followed_when_made),
		CASE(a_damaged_file_is_told),
		CASE(migrations_run_from_every_earlier_version),
		CASE(a_failed_migration_leaves_the_version_before_it),
		CASE(a_newer_version_is_refused),
		CASE(a_backup_is_a_whole_private_copy),
		CASE(a_commit_that_wrote_the_table_is_told_once_and_no_other),
		CASE(reads_of_one_moment_hold_up_no_writer_and_see_nothing_of_it),
	};

	return cmocka_run_group_tests_name("lite", tests, NULL, NULL);
}

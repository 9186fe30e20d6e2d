#include "lib/adapters/lite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "lib/base/buf.h"

#define LITE_BUSY_MS      10000
#define LITE_BUCKETS      256
#define LITE_BACKUP_PAGES 1024

typedef struct LiteStmt LiteStmt;
struct LiteStmt {
	const Sql *sql;
	sqlite3_stmt *stmt;
	bool busy; /* its rows are being read */
	LiteStmt *next;
};

struct Lite {
	sqlite3 *db;
	Arena *mem;
	const char *path;
	LiteStmt *bucket[LITE_BUCKETS];
	int depth;   /* of begins without their end */
	bool doomed; /* an inner one was rolled back: nothing may commit */
	int64_t changes;
	const char *told_table; /* whoever wants to be told of its writes */
	void (*told)(void *ptr);
	void *told_ptr;
	bool wrote; /* it, since the last commit */
};

struct LiteRows {
	Lite *db;
	Arena *mem;
	const Sql *sql;
	sqlite3_stmt *stmt;
	LiteStmt *cached; /* NULL: made for these rows only */
	int rc;
};

static const struct {
	int code;
	const char *name;
} lite_codes[] = {
	{ SQLITE_PERM, "SQLITE_PERM" },
	{ SQLITE_BUSY, "SQLITE_BUSY" },
	{ SQLITE_LOCKED, "SQLITE_LOCKED" },
	{ SQLITE_READONLY, "SQLITE_READONLY" },
	{ SQLITE_IOERR, "SQLITE_IOERR" },
	{ SQLITE_CORRUPT, "SQLITE_CORRUPT" },
	{ SQLITE_FULL, "SQLITE_FULL" },
	{ SQLITE_CANTOPEN, "SQLITE_CANTOPEN" },
	{ SQLITE_TOOBIG, "SQLITE_TOOBIG" },
	{ SQLITE_NOTADB, "SQLITE_NOTADB" },
	{ SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE" },
	{ SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY" },
	{ SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY" },
	{ SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL" },
	{ SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK" },
	{ SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER" },
	{ SQLITE_ERROR, "SQLITE_ERROR" },
};

static bool
lite_cause(Ctx *cx, int extended)
{
	for (size_t i = 0; i < sizeof lite_codes / sizeof *lite_codes; i++)
		if (lite_codes[i].code == extended || lite_codes[i].code == (extended & 0xff))
			return fail_cause(cx, "%s", lite_codes[i].name);
	return fail_cause(cx, "SQLite %d", extended);
}

static void
lite_fail_kind(Ctx *cx, const char *path, int code, const char *said)
{
	switch (code) {
	case SQLITE_FULL:
		fail(cx, FAIL_DISK_FULL, "Free some space, then run the command again.",
		    "no space left to write \"%s\"", path);
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		fail(cx, FAIL_CATALOG, "Make the file and its folder writable for this user.",
		    "\"%s\" cannot be written: it is read-only", path);
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		fail(
		    cx, FAIL_CATALOG, "Restore the home from a backup.", "\"%s\" is damaged", path);
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		fail(cx, FAIL_CATALOG, "Wait until the other process has ended, then try again.",
		    "\"%s\" is held by another process", path);
		break;
	case SQLITE_CANTOPEN:
		fail(cx, FAIL_CATALOG, "Check that the file is there and may be read.",
		    "\"%s\" cannot be opened", path);
		break;
	default:
		fail(cx, FAIL_CATALOG, "Check the disk and the file's rights.",
		    "\"%s\" refused an access: %s", path, said);
	}
}

/* The file that readers and writers map together meets a full disk as an error of input. */
static int
lite_code(const Lite *db, int rc)
{
	bool full = (rc & 0xff) == SQLITE_IOERR && sqlite3_system_errno(db->db) == ENOSPC;

	return full ? SQLITE_FULL : rc & 0xff;
}

/* Messages of SQLite name tables and columns, never values. */
static bool
lite_fail_as(Ctx *cx, const Lite *db, int rc, const char *while_doing)
{
	lite_fail_kind(cx, db->path, lite_code(db, rc), sqlite3_errmsg(db->db));
	lite_cause(cx, rc);
	return while_doing == NULL ? false : fail_in(cx, "%s", while_doing);
}

static bool
lite_fail(Ctx *cx, const Lite *db, const char *while_doing)
{
	return lite_fail_as(cx, db, sqlite3_extended_errcode(db->db), while_doing);
}

static bool
lite_fail_sql(Ctx *cx, const Lite *db, const Sql *sql)
{
	lite_fail(cx, db, NULL);
	return fail_in(cx, "running \"%s\"", sql->name);
}

static void
lite_free(void *arg)
{
	Lite *db = arg;

	for (int i = 0; i < LITE_BUCKETS; i++)
		for (LiteStmt *s = db->bucket[i]; s != NULL; s = s->next)
			sqlite3_finalize(s->stmt);
	sqlite3_close_v2(db->db);
}

static bool
lite_exec(Ctx *cx, Lite *db, const char *text, const char *while_doing)
{
	if (sqlite3_exec(db->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return lite_fail(cx, db, while_doing);
	return true;
}

/* The first integer that a statement gives; -1 if it fails. */
static int64_t
lite_number(Lite *db, const char *text)
{
	sqlite3_stmt *stmt;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db->db, text, -1, &stmt, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		n = sqlite3_column_int64(stmt, 0);
	int rc = sqlite3_finalize(stmt);
	return rc == SQLITE_OK ? n : -1;
}

static bool
lite_harden(Ctx *cx, Lite *db)
{
	sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_extended_result_codes(db->db, 1);
	sqlite3_busy_timeout(db->db, LITE_BUSY_MS);
	return lite_exec(cx, db,
	    "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON;"
	    " PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON",
	    "opening the catalogue");
}

static bool
lite_make_file(Ctx *cx, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_errno(cx, errno, "Check the folder's rights and the free space.",
		    "\"%s\" cannot be made", path);
	close(fd);
	return true;
}

/* The handle is the arena's from the first moment, so every error path is short. */
static bool
lite_connect(Ctx *cx, const char *path, const char *name, int flags, Lite **out)
{
	Lite *db = arena_alloc(cx->mem, sizeof *db);

	db->mem = cx->mem;
	db->path = arena_dup(cx->mem, path);
	int rc = sqlite3_open_v2(name, &db->db, flags, NULL);
	arena_on_free(cx->mem, lite_free, db);
	if (rc != SQLITE_OK)
		return lite_fail_as(cx, db, sqlite3_extended_errcode(db->db), NULL);
	if (!lite_harden(cx, db))
		return false;
	*out = db;
	return true;
}

static void
lite_drop(Lite *db)
{
	arena_forget(db->mem, lite_free, db);
	lite_free(db);
}

static char *
lite_immutable_uri(Arena *mem, const char *path)
{
	Buf uri = buf_new(mem);

	buf_add(&uri, path[0] == '/' ? "file://" : "file:");
	for (const char *p = path; *p != '\0'; p++) {
		if (strchr("?#%", *p) != NULL || (unsigned char)*p <= ' ')
			buf_fmt(&uri, "%%%02X", (unsigned char)*p);
		else
			buf_addc(&uri, *p);
	}
	buf_add(&uri, "?immutable=1");
	return uri.text;
}

static bool
lite_wal_stands(Arena *mem, const char *path)
{
	struct stat st;

	return stat(arena_printf(mem, "%s-wal", path), &st) == 0 && st.st_size > 0;
}

/* Opening succeeds lazily: only the first read shows what the folder allows. */
static bool
lite_open_read(Ctx *cx, const char *path, Lite **out)
{
	Lite *db;

	if (!lite_connect(cx, path, path, SQLITE_OPEN_READONLY, &db))
		return false;
	if (lite_number(db, "PRAGMA user_version") < 0) {
		int rc = sqlite3_extended_errcode(db->db);
		bool folder = (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY;
		if (!folder || access(path, R_OK) != 0)
			return lite_fail_as(cx, db, rc, NULL);
		if (lite_wal_stands(cx->mem, path))
			return fail(cx, FAIL_CATALOG,
			    "Make the folder writable for this user, or "
			    "copy the home elsewhere.",
			    "\"%s\" has unmerged changes in \"%s-wal\" "
			    "that a read-only folder hides",
			    path, path);
		lite_drop(db);
		if (!lite_connect(cx, path, lite_immutable_uri(cx->mem, path),
			SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, &db))
			return false;
		if (lite_number(db, "PRAGMA user_version") < 0)
			return lite_fail(cx, db, NULL);
	}
	if (!lite_exec(cx, db, "PRAGMA query_only = ON", NULL))
		return false;
	*out = db;
	return true;
}

static bool
lite_open_write(Ctx *cx, const char *path, Lite **out)
{
	Lite *db;

	if (access(path, W_OK) != 0 && (errno == EACCES || errno == EROFS)) {
		lite_fail_kind(cx, path, SQLITE_READONLY, "");
		return lite_cause(cx, SQLITE_READONLY);
	}
	if (!lite_connect(cx, path, path, SQLITE_OPEN_READWRITE, &db))
		return false;
	if (!lite_exec(cx, db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		" PRAGMA secure_delete = ON",
		NULL))
		return false;
	if (lite_number(db, "PRAGMA synchronous") != 2)
		return lite_fail(cx, db, NULL);
	*out = db;
	return true;
}

bool
lite_open(Ctx *cx, const char *path, LiteMode mode, Lite **out)
{
	switch (mode) {
	case LITE_READ:
		return lite_open_read(cx, path, out);
	case LITE_CREATE:
		if (!lite_make_file(cx, path))
			return false;
		return lite_open_write(cx, path, out);
	case LITE_WRITE:
		return lite_open_write(cx, path, out);
	}
	return false;
}

static LiteStmt *
lite_cached(Lite *db, const Sql *sql)
{
	LiteStmt **bucket = &db->bucket[(uintptr_t)sql / sizeof *sql % LITE_BUCKETS];

	for (LiteStmt *s = *bucket; s != NULL; s = s->next)
		if (s->sql == sql)
			return s;
	LiteStmt *s = arena_alloc(db->mem, sizeof *s);
	s->sql = sql;
	s->next = *bucket;
	*bucket = s;
	return s;
}

static bool
lite_prepare(Ctx *cx, Lite *db, const Sql *sql, LiteRows *rows)
{
	LiteStmt *s = lite_cached(db, sql);

	rows->db = db;
	rows->mem = cx->mem;
	rows->sql = sql;
	rows->rc = SQLITE_ROW;
	if (db->doomed)
		return fail(cx, FAIL_CATALOG, NULL,
		    "\"%s\" comes after its transaction was rolled "
		    "back",
		    sql->name);
	if (!s->busy && s->stmt != NULL) {
		rows->stmt = s->stmt;
		rows->cached = s;
	} else {
		if (sqlite3_prepare_v3(db->db, sql->text, -1, SQLITE_PREPARE_PERSISTENT,
			&rows->stmt, NULL) != SQLITE_OK)
			return lite_fail_sql(cx, db, sql);
		if (!s->busy) {
			s->stmt = rows->stmt;
			rows->cached = s;
		}
	}
	if (rows->cached != NULL)
		s->busy = true;
	return true;
}

static int
lite_release(LiteRows *rows)
{
	int rc;

	if (rows->stmt == NULL)
		return SQLITE_OK;
	if (rows->cached != NULL) {
		rc = sqlite3_reset(rows->stmt);
		sqlite3_clear_bindings(rows->stmt);
		rows->cached->busy = false;
	} else {
		rc = sqlite3_finalize(rows->stmt);
	}
	rows->stmt = NULL;
	return rc;
}

static int
lite_bind_bytes(sqlite3_stmt *stmt, int at, Bytes b)
{
	if (b.at == NULL)
		return sqlite3_bind_null(stmt, at);
	return sqlite3_bind_blob64(stmt, at, b.at, b.n, SQLITE_TRANSIENT);
}

static bool
lite_bind(Ctx *cx, LiteRows *rows, const char *types, va_list ap)
{
	int rc = SQLITE_OK, n = 0;

	for (; types[n] != '\0' && rc == SQLITE_OK; n++) {
		if (types[n] == 't')
			rc = sqlite3_bind_text(
			    rows->stmt, n + 1, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		else if (types[n] == 'i')
			rc = sqlite3_bind_int64(rows->stmt, n + 1, va_arg(ap, int64_t));
		else
			rc = lite_bind_bytes(rows->stmt, n + 1, va_arg(ap, Bytes));
	}
	if (rc == SQLITE_OK && n == sqlite3_bind_parameter_count(rows->stmt))
		return true;
	if (rc != SQLITE_OK)
		lite_fail_sql(cx, rows->db, rows->sql);
	else
		fail(cx, FAIL_CATALOG, NULL, "\"%s\" takes %d parameters and was given %d",
		    rows->sql->name, sqlite3_bind_parameter_count(rows->stmt), n);
	lite_release(rows);
	return false;
}

static void
lite_wrote(void *ptr, int what, const char *schema, const char *table, sqlite3_int64 row)
{
	Lite *db = ptr;

	(void)what;
	(void)schema;
	(void)row;
	db->wrote = db->wrote || strcmp(table, db->told_table) == 0;
}

void
lite_on_write(Lite *db, const char *table, void (*fn)(void *ptr), void *ptr)
{
	db->told_table = arena_dup(db->mem, table);
	db->told = fn;
	db->told_ptr = ptr;
	sqlite3_update_hook(db->db, lite_wrote, db);
}

/* Once nothing is open: then it is committed, or gone. */
static void
lite_tell(Lite *db, bool done)
{
	if (!db->wrote || db->depth > 0)
		return;
	db->wrote = false;
	if (done)
		db->told(db->told_ptr);
}

bool
lite_do(Ctx *cx, Lite *db, const Sql *sql, const char *types, ...)
{
	LiteRows rows = { 0 };
	va_list ap;

	if (!lite_prepare(cx, db, sql, &rows))
		return false;
	va_start(ap, types);
	bool bound = lite_bind(cx, &rows, types, ap);
	va_end(ap);
	if (!bound)
		return false;
	while (lite_next(&rows))
		;
	db->changes = sqlite3_changes64(db->db);
	bool done = lite_end(cx, &rows);
	lite_tell(db, done);
	return done;
}

bool
lite_query(Ctx *cx, Lite *db, const Sql *sql, LiteRows **rows, const char *types, ...)
{
	LiteRows *r = arena_alloc(cx->mem, sizeof *r);
	va_list ap;

	if (!lite_prepare(cx, db, sql, r))
		return false;
	va_start(ap, types);
	bool bound = lite_bind(cx, r, types, ap);
	va_end(ap);
	if (!bound)
		return false;
	*rows = r;
	return true;
}

bool
lite_next(LiteRows *rows)
{
	if (rows->rc == SQLITE_ROW)
		rows->rc = sqlite3_step(rows->stmt);
	return rows->rc == SQLITE_ROW;
}

/* Rows that were left unread are no error; the code is taken before the reset hides it. */
bool
lite_end(Ctx *cx, LiteRows *rows)
{
	bool failed = rows->rc != SQLITE_ROW && rows->rc != SQLITE_DONE;

	if (failed)
		lite_fail_sql(cx, rows->db, rows->sql);
	lite_release(rows);
	return !failed;
}

char *
lite_text(LiteRows *rows, int column)
{
	const char *text = (const char *)sqlite3_column_text(rows->stmt, column);

	if (text == NULL)
		return NULL;
	return arena_dupn(rows->mem, text, (size_t)sqlite3_column_bytes(rows->stmt, column));
}

int64_t
lite_int(LiteRows *rows, int column)
{
	return sqlite3_column_int64(rows->stmt, column);
}

Bytes
lite_bytes(LiteRows *rows, int column)
{
	const void *at = sqlite3_column_blob(rows->stmt, column);
	size_t n = (size_t)sqlite3_column_bytes(rows->stmt, column);

	if (at == NULL)
		return (Bytes){ 0 };
	return (Bytes){ (const unsigned char *)arena_dupn(rows->mem, at, n), n };
}

int64_t
lite_last_id(Lite *db)
{
	return sqlite3_last_insert_rowid(db->db);
}

bool
lite_begin(Ctx *cx, Lite *db)
{
	if (db->doomed)
		return fail(cx, FAIL_CATALOG, NULL,
		    "a transaction was rolled back and must end before the next");
	if (db->depth == 0 && !lite_exec(cx, db, "BEGIN IMMEDIATE", "starting a transaction"))
		return false;
	db->depth++;
	return true;
}

bool
lite_begin_read(Ctx *cx, Lite *db)
{
	if (db->depth > 0 || db->doomed)
		return fail(cx, FAIL_CATALOG, NULL, "a transaction stands already");
	if (!lite_exec(cx, db, "BEGIN", "starting to read"))
		return false;
	db->depth = 1;
	return true;
}

bool
lite_try_begin(Ctx *cx, Lite *db, int wait_ms, bool *got)
{
	*got = false;
	if (db->depth > 0 || db->doomed)
		return fail(cx, FAIL_CATALOG, NULL, "a transaction stands already");
	sqlite3_busy_timeout(db->db, wait_ms);
	int rc = sqlite3_exec(db->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	sqlite3_busy_timeout(db->db, LITE_BUSY_MS);
	if ((rc & 0xff) == SQLITE_BUSY)
		return true;
	if (rc != SQLITE_OK)
		return lite_fail(cx, db, "starting a transaction");
	db->depth = 1;
	*got = true;
	return true;
}

bool
lite_commit(Ctx *cx, Lite *db)
{
	if (db->doomed || db->depth == 0 || sqlite3_get_autocommit(db->db)) {
		lite_rollback(db);
		return fail(cx, FAIL_CATALOG, NULL,
		    "a transaction that was rolled back cannot be "
		    "committed");
	}
	if (db->depth > 1) {
		db->depth--;
		return true;
	}
	if (!lite_exec(cx, db, "COMMIT", "committing")) {
		lite_rollback(db);
		return false;
	}
	db->depth = 0;
	lite_tell(db, true);
	return true;
}

/* SQLite may have rolled back on its own, on a full disk say: then there is nothing to undo. */
void
lite_rollback(Lite *db)
{
	if (db->depth == 0)
		return;
	if (!sqlite3_get_autocommit(db->db))
		sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
	db->depth--;
	db->doomed = db->depth > 0;
	db->wrote = false;
}

int
lite_version(Lite *db)
{
	return (int)lite_number(db, "PRAGMA user_version");
}

/* The version is read again inside: another process may have migrated in the meantime. */
static bool
lite_migrate_step(Ctx *cx, Lite *db, const Sql *migration, int version)
{
	const char *doing = arena_printf(cx->mem, "migrating it by \"%s\"", migration->name);
	char set[64];

	if (!lite_begin(cx, db))
		return false;
	bool done = lite_version(db) > version;
	if (!done) {
		snprintf(set, sizeof set, "PRAGMA user_version = %d", version + 1);
		done = lite_exec(cx, db, migration->text, doing) && lite_exec(cx, db, set, doing);
	}
	if (!done) {
		lite_rollback(db);
		return false;
	}
	return lite_commit(cx, db);
}

bool
lite_migrate(Ctx *cx, Lite *db, const Sql *const *migrations, int n)
{
	int version = lite_version(db);

	if (version < 0)
		return lite_fail(cx, db, "reading the catalogue's version");
	if (version > n)
		return fail(cx, FAIL_CATALOG_NEWER, "Use the newer copyhold that wrote it.",
		    "\"%s\" has version %d and this copyhold knows up to %d", db->path, version, n);
	for (int v = version; v < n; v++)
		if (!lite_migrate_step(cx, db, migrations[v], v))
			return false;
	return true;
}

static bool
lite_copy(Ctx *cx, Lite *from, Lite *to)
{
	sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");
	int rc = SQLITE_OK;

	if (b == NULL)
		return lite_fail(cx, to, "starting the copy");
	while (rc == SQLITE_OK)
		rc = sqlite3_backup_step(b, LITE_BACKUP_PAGES);
	int end = sqlite3_backup_finish(b);
	if (rc != SQLITE_DONE || end != SQLITE_OK)
		return lite_fail_as(cx, to, rc != SQLITE_DONE ? rc : end, "copying");
	return true;
}

bool
lite_backup(Ctx *cx, Lite *db, const char *to_path)
{
	Lite *to;

	if (access(to_path, F_OK) == 0)
		return fail(
		    cx, FAIL_EXISTS, "Choose another name.", "\"%s\" is there already", to_path);
	if (!lite_make_file(cx, to_path) ||
	    !lite_connect(cx, to_path, to_path, SQLITE_OPEN_READWRITE, &to))
		return false;
	bool done = lite_copy(cx, db, to);
	lite_drop(to);
	if (!done)
		unlink(to_path);
	return done;
}

bool
lite_check(Ctx *cx, Lite *db)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(db->db, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
		return lite_fail(cx, db, "checking it");
	bool read = sqlite3_step(stmt) == SQLITE_ROW;
	bool sound = read && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
	sqlite3_finalize(stmt);
	if (!sound) {
		lite_fail_kind(cx, db->path, SQLITE_CORRUPT, "");
		return fail_cause(cx, "SQLITE_CORRUPT");
	}
	return true;
}

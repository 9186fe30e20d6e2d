/*
 * lite.h - SQLite 3: WAL, synchronous=FULL, foreign keys, secure_delete, a
 * busy deadline of 10 s (the process waits as a whole), cached statements.
 *
 * Parameters are given by a type string: 't' const char * (NULL: null),
 * 'i' int64_t, 'b' Bytes (at NULL: null).  Rows are read one after the other;
 * texts are copied into the arena of the Ctx.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/sql.h"

typedef struct Lite Lite;
typedef struct LiteRows LiteRows;

typedef enum LiteMode { LITE_READ, LITE_WRITE, LITE_CREATE } LiteMode;

/* LITE_CREATE makes the file, 0600, where it is missing.  LITE_READ works on a read-only folder
 * too (immutable when no -wal stands there).  The Lite belongs to cx->mem and is closed with it. */
bool	 lite_open(Ctx *cx, const char *path, LiteMode mode, Lite **out);
bool	 lite_do(Ctx *cx, Lite *db, const Sql *sql, const char *types, ...);	/* no rows wanted */
bool	 lite_query(Ctx *cx, Lite *db, const Sql *sql, LiteRows **rows, const char *types, ...);
bool	 lite_next(LiteRows *rows);	/* false at the end or on an error: lite_end tells which */
bool	 lite_end(Ctx *cx, LiteRows *rows);	/* true if it ended without error; always call */
char	*lite_text(LiteRows *rows, int column);	/* copied; NULL for null */
int64_t	 lite_int(LiteRows *rows, int column);
Bytes	 lite_bytes(LiteRows *rows, int column);	/* copied */
int64_t	 lite_last_id(Lite *db);

bool	 lite_begin(Ctx *cx, Lite *db);		/* BEGIN IMMEDIATE; nests by counting: an inner
				 * rollback undoes all, and the outer ones can then only roll back */
/* The outermost one, if it can begin within so many ms; *got false: another process is writing. */
bool	 lite_try_begin(Ctx *cx, Lite *db, int wait_ms, bool *got);
bool	 lite_begin_read(Ctx *cx, Lite *db);	/* reads that see one moment, until lite_rollback(); holds up nobody */
bool	 lite_commit(Ctx *cx, Lite *db);
/* fn after each commit of this handle that wrote rows of `table` (one with a rowid); one table a handle. */
void	 lite_on_write(Lite *db, const char *table, void (*fn)(void *ptr), void *ptr);
void	 lite_rollback(Lite *db);

/* Numbered forward migrations: migrations[i] brings user_version i to i + 1.  A higher
 * user_version than known is FAIL_CATALOG_NEWER. */
bool	 lite_migrate(Ctx *cx, Lite *db, const Sql *const *migrations, int n);
int	 lite_version(Lite *db);
bool	 lite_backup(Ctx *cx, Lite *db, const char *to_path);	/* SQLite's online backup to a new file, 0600 */
bool	 lite_check(Ctx *cx, Lite *db);		/* quick_check */

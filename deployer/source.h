/*
 * source.h - an existing PostgreSQL database as rows are taken from it: its
 * tables and columns in one read-only snapshot, under names that are valid
 * here.
 *
 * import.c makes a model of it, load.c takes its rows, compare.c holds them
 * against a tenant's; all three see the same mapping of names and types.
 */
#pragma once

#include "lib/adapters/pg.h"
#include "lib/base/buf.h"
#include "lib/core/home.h"

typedef enum Carry {		/* how a column's value becomes one of ours */
	CARRY_NONE,		/* it cannot */
	CARRY_PLAIN,
	CARRY_TEXT,		/* by its text */
	CARRY_UTC,		/* a timestamp without zone, taken as UTC */
	CARRY_JSON		/* by to_jsonb */
} Carry;

typedef struct SourceColumn {
	const char	*name;		/* as it stands there */
	const char	*ident;		/* valid here */
	const char	*type;		/* as format_type prints it */
	FieldType	 to;
	Carry		 carry;
	const char	*note;		/* what the carrying changes, or NULL */
	int64_t		 max_length, precision, scale;	/* 0: no limit */
	bool		 required, generated, counted;	/* counted: serial or identity */
	const char	*fallback;	/* the default's expression as the server prints it, or NULL */
	const char	*domain;	/* its type is this domain, or NULL */
	const char	*collation;	/* a collation of its own, or NULL */
} SourceColumn;

typedef struct SourceTable {
	const char	*oid;
	const char	*name, *ident;
	bool		 parted;	/* partitioned: rows of its partitions are its own */
	struct { SourceColumn *at; size_t n, cap; } columns;
	Names		 key;		/* names of columns; empty: no primary key */
} SourceTable;

typedef struct Source {
	Pg		*pg;		/* in a REPEATABLE READ READ ONLY transaction */
	const char	*database, *schema;
	struct { SourceTable *at; size_t n, cap; } tables;
} Source;

/* A DSN as a user gives it: itself, or where it is (env:NAME, file:PATH). */
bool	 source_target(Ctx *cx, Home *home, const char *dsn, PgTarget *out);
bool	 source_open(Ctx *cx, const PgTarget *target, const char *schema, Source **out);
/* The same in an open session, which stays open: its transaction is the snapshot,
 * and its statements have the time that they had. */
bool	 source_begin(Ctx *cx, Pg *pg, const char *dbname, const char *schema, Source **out);
void	 source_close(Source *s);

const SourceTable *source_table(const Source *s, const char *oid);
const SourceTable *source_table_as(const Source *s, const char *ident);
const SourceColumn *source_column(const SourceTable *t, const char *name);
const SourceColumn *source_column_as(const SourceTable *t, const char *ident);

/* May the column's values become the field's?  `field` is resolved. */
bool	 source_fits(const SourceColumn *c, const Field *field);
/* The table as it stands in FROM; the column as an SQL value of the field's type. */
void	 source_relation(Buf *b, const Source *s, const SourceTable *t);
void	 source_value(Buf *b, const SourceColumn *c, const Field *field);
const char *source_type(FieldType type);	/* "bigint": of such a value */

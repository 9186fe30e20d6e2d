/*
 * sql.h - a statement that stands in a .sql file next to its user.
 *
 * tools/sql2c.awk turns each x.sql into build/gen/x.sql.h: one
 * `static const Sql SQL_NAME` per `-- name: NAME` line.  On the name line may
 * follow `params: n` and `server: pg|lite` (default by folder) and `with: OTHER`
 * (the test that PREPAREs every statement runs in a database where OTHER stands).
 */
#pragma once

typedef struct Sql {
	const char	*name;
	const char	*text;
	int		 params;
} Sql;

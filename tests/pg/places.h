/*
 * places.h - what the tests of placement share: a home of their own, a vendor
 * cluster made by its own setup script, and placements on it.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deployer/items.h"
#include "lib/adapters/crypto.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/proc.h"
#include "lib/core/catalog.h"
#include "tests/unit/unit.h"

typedef struct Places {
	Ctx	 cx;
	Home	*home;
	Conns	*conns;
	Cluster	 vendor;
	Pg	*super;		/* superuser, database postgres */
} Places;

static inline int
test_port(void)
{
	return (int)strtol(getenv("COPYHOLD_TEST_PORT"), NULL, 10);
}

static inline void
must(Places *p, bool ok)
{
	if (!ok)
		fprintf(stderr, "%s", fail_text(p->cx.mem, p->cx.fail));
	assert_true(ok);
}

static inline void
must_fail(Places *p, bool ok, FailKind kind, const char *what)
{
	assert_false(ok);
	assert_string_equal(fail_name(p->cx.fail->kind), fail_name(kind));
	if (what)
		assert_string_equal(p->cx.fail->what, what);
	fail_clear(&p->cx);
}

static inline PgTarget
super_target(const char *dbname)
{
	return (PgTarget){
		.name = "super",
		.host = getenv("COPYHOLD_TEST_SOCKET"),
		.port = test_port(),
		.dbname = dbname,
		.user = getenv("COPYHOLD_TEST_SUPERUSER"),
	};
}

static inline Pg *
super_open(Places *p, const char *dbname)
{
	PgTarget target = super_target(dbname);
	Pg *pg;

	must(p, pg_open(&p->cx, &target, &pg));
	return pg;
}

/* psql as the superuser reads the text; gives its exit code. */
static inline ProcResult
psql(Places *p, const char *dbname, const char *text)
{
	char *port = arena_printf(p->cx.mem, "%d", test_port());
	const char *argv[] = { "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h",
		getenv("COPYHOLD_TEST_SOCKET"), "-p", port, "-U", getenv("COPYHOLD_TEST_SUPERUSER"),
		dbname, NULL };
	ProcSpec spec = { .argv = argv, .input = text, .input_len = strlen(text) };
	ProcResult result;

	must(p, proc_run(&p->cx, &spec, &result));
	return result;
}

static inline void
psql_must(Places *p, const char *dbname, const char *text)
{
	ProcResult r = psql(p, dbname, text);

	if (r.exit_code != 0)
		fprintf(stderr, "%s", r.err);
	assert_int_equal(r.exit_code, 0);
}

static inline Cluster
cluster_at(const char *name, const char *user, const char *database)
{
	return (Cluster){
		.name = name,
		.region = "cn-bj",
		.connections = 2,
		.connect = { .host = "127.0.0.1", .port = test_port(), .user = user, .database = database,
			.password = { .ref = "env:COPYHOLD_TEST_PASSWORD" }, .sslmode = "disable" },
	};
}

static inline void
places_open(Places *p)
{
	char *dir;
	bool made;

	*p = (Places){ .cx = ctx_new(NULL) };
	setenv("COPYHOLD_TEST_PASSWORD", "test-p4ssword", 1);
	must(p, file_temp_dir(&p->cx, &dir));
	dir = arena_printf(p->cx.mem, "%s/home", dir);
	must(p, home_init(&p->cx, dir, &made));
	must(p, home_open(&p->cx, dir, ACCESS_WRITES, &p->home));
	p->conns = conns_new(&p->cx, p->home);
	p->super = super_open(p, "postgres");
}

static inline char *
one_value(Places *p, Pg *pg, const char *text)
{
	Sql sql = { "test", text, 0 };
	PgRows rows;

	must(p, pg_query(&p->cx, pg, &sql, &rows, NULL));
	char *value = rows.n ? arena_dup(p->cx.mem, pg_value(&rows, 0, 0)) : NULL;

	pg_rows_free(&rows);
	return value;
}

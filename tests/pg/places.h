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
#include "tests/unit/temp.h"
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
	char *dir = NULL;
	bool made;

	*p = (Places){ .cx = ctx_new(NULL) };
	setenv("COPYHOLD_TEST_PASSWORD", "test-p4ssword", 1);
	must(p, temp_dir(&p->cx, &dir));
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

/* --- placements ----------------------------------------------------------------- */

typedef struct Drift { const char *sql, *name; } Drift;	/* what somebody does by hand; the change that shows it */

static inline Model *
small_model(Places *p)
{
	Model *m = arena_alloc(p->cx.mem, sizeof *m);
	Object account = { .name = "account" };
	Field name = { .name = "name", .type = TYPE_TEXT, .max_length = 80, .required = true };

	*m = (Model){ .name = "shop", .display = "shop", .version = 1 };
	vec_push(p->cx.mem, &account.fields, name);
	vec_push(p->cx.mem, &m->objects, account);
	must(p, model_check(&p->cx, m));
	return m;
}

static inline Login
new_login(Places *p, const Placement *at, const char *user, const char *password)
{
	Secret s = secret_new(p->cx.mem, password, strlen(password));

	return (Login){ .user = user, .role = place_login_role(p->cx.mem, at, user), .on = true,
		.verifier = scram_verifier(p->cx.mem, &s) };
}

static inline Placement *
new_place(Places *p, Mode mode, const Cluster *cluster, const char *tenant)
{
	Placement *at = arena_alloc(p->cx.mem, sizeof *at);
	Tenant spec = { .name = tenant, .mode = mode };

	*at = (Placement){ .mode = mode, .cluster = cluster };
	place_names(p->cx.mem, at, &spec);
	vec_push(p->cx.mem, &at->logins, new_login(p, at, "app", "app-p4ss"));
	return at;
}

static inline PlaceWork
new_work(Places *p, Model *m)
{
	char *shape;

	must(p, lite_begin(&p->cx, p->home->db));
	must(p, catalog_shape_put(&p->cx, p->home, m, &shape));
	must(p, lite_commit(&p->cx, p->home->db));
	return (PlaceWork){ .desired = m, .shape = shape };
}

static inline StepEnv
step_env(Places *p, const Placement *at, const Cluster *cluster, const Step *step, int64_t run)
{
	return (StepEnv){ .home = p->home, .run = run, .fence = run, .step = step, .at = at,
		.cluster = cluster, .conns = p->conns };
}

/* Acts, then asks the probe; a second act changes nothing. */
static inline void
run_steps(Places *p, const Placement *at, const Cluster *cluster, const Steps *steps, int64_t run)
{
	for (size_t i = 0; i < steps->n; i++) {
		StepEnv env = step_env(p, at, cluster, &steps->at[i], run);
		const StepKind *kind = step_kind(env.step->kind);
		Probe probe = PROBE_UNDECIDABLE;

		if (!kind->act)
			continue;
		must(p, kind->act(&p->cx, &env));
		must(p, kind->probe(&p->cx, &env, &probe));
		assert_int_equal(probe, PROBE_DONE);
		must(p, kind->act(&p->cx, &env));
	}
}

static inline void
undo_steps(Places *p, const Placement *at, const Cluster *cluster, const Steps *steps, int64_t run,
    int64_t fence)
{
	for (size_t i = steps->n; i-- > 0;) {
		StepEnv env = step_env(p, at, cluster, &steps->at[i], run);
		const StepKind *kind = step_kind(env.step->kind);

		env.fence = fence;
		if (kind->undo)
			must(p, kind->undo(&p->cx, &env));
		if (kind->undo)
			must(p, kind->undo(&p->cx, &env));
	}
}

/* What plan would say of the roles now. */
static inline Changes
role_changes(Places *p, const Placement *at, Pg *pg, Steps *steps)
{
	Items seen = { 0 };
	Changes changes = { 0 };
	PlaceWork work = { .observed = &seen };

	must(p, roles_observe(&p->cx, pg, at, &seen));
	must(p, roles_change_steps(&p->cx, at, &work, &changes, steps));
	return changes;
}

static inline void
nothing_differs(Places *p, const Placement *at, Pg *pg)
{
	Steps steps = { 0 };
	Changes changes = role_changes(p, at, pg, &steps);

	for (size_t i = 0; i < changes.n; i++)
		fprintf(stderr, "%s %s: %s -> %s\n", changes.at[i].what, changes.at[i].name,
		    changes.at[i].from, changes.at[i].to);
	assert_int_equal(changes.n, 0);
	assert_int_equal(steps.n, 0);
}

static inline bool
password_ok(Places *p, const Placement *at, const Login *login, const char *password)
{
	Secret s = secret_new(p->cx.mem, password, strlen(password));
	bool ok = false;

	must(p, login_password_ok(&p->cx, at, login, &s, &ok));
	return ok;
}

/* The SQLSTATE that a statement ends with; "00000" if it works. */
static inline const char *
sqlstate_of(Places *p, Pg *pg, const char *text)
{
	Ctx own = ctx_new(p->cx.mem);
	bool done = pg_script(&own, pg, text);
	const char *state = done ? "00000" : arena_dup(p->cx.mem, pg_error(pg)->sqlstate);

	arena_free(own.mem);
	return state;
}

/*
 * test_shared.c - mode shared on a real server: the database that tenants share,
 * coming into it, differing, moving out of its tables, and leaving it.
 */
#include "tests/pg/shared.h"

static int
setup(void **state)
{
	static Room r;

	room_open(&r, "shared_ops", ROOM_OBJECTS ROOM_CIRCLE);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	room_close(*state);
	return 0;
}

/* --- setup and preflight --------------------------------------------------------- */

static void
the_script_gives_its_memberships_where_tenants_may_share(void **state)
{
	Room *r = *state;
	static const char *one = "dedicated";
	Cluster other = cluster_at("bj-2", "alone_ops", "alone_ops");
	Buf script = buf_new(r->p.cx.mem);

	other.modes = (Names){ &one, 1, 1 };
	must(&r->p, setup_cluster_script(&r->p.cx, r->p.home, &other, &script));
	assert_null(strstr(script.text, "pg_signal_backend"));
	other.modes = (Names){ 0 };
	must(&r->p, setup_cluster_script(&r->p.cx, r->p.home, &other, &script));
	assert_non_null(
	    strstr(script.text, "GRANT pg_signal_backend, pg_read_all_stats TO \"alone_ops\";\n"));
}

static void
refused(Room *r, const char *broken, const char *what, const char *hint, const char *mended)
{
	psql_must(&r->p, "postgres", broken);
	bool ok = mode_shared.preflight(&r->p.cx, r->p.conns, r->place, false);

	psql_must(&r->p, "postgres", mended);
	assert_false(ok);
	assert_string_equal(r->p.cx.fail->hint, hint);
	must_fail(&r->p, ok, FAIL_MISSING_RIGHT, what);
}

static void
what_is_missing_is_found_before_the_first_change(void **state)
{
	Room *r = *state;

	refused(r, "REVOKE pg_signal_backend FROM shared_ops",
	    "login \"shared_ops\" on \"bj-1\" is not a member of pg_signal_backend",
	    "GRANT pg_signal_backend TO \"shared_ops\";", "GRANT pg_signal_backend TO shared_ops");
	refused(r, "REVOKE pg_read_all_stats FROM shared_ops",
	    "login \"shared_ops\" on \"bj-1\" is not a member of pg_read_all_stats",
	    "GRANT pg_read_all_stats TO \"shared_ops\";", "GRANT pg_read_all_stats TO shared_ops");
	refused(r, "ALTER ROLE shared_ops NOCREATEROLE",
	    "login \"shared_ops\" on \"bj-1\" may not create databases and roles",
	    "ALTER ROLE \"shared_ops\" CREATEDB CREATEROLE;", "ALTER ROLE shared_ops CREATEROLE");
	must(&r->p, mode_shared.preflight(&r->p.cx, r->p.conns, r->place, false));
}

/* --- the shared database ----------------------------------------------------------- */

static Changes
look_at_place(Room *r, Steps *steps)
{
	PlaceWork work = r->work;
	Items seen = { 0 };
	Changes changes = { 0 };

	*steps = (Steps){ 0 };
	work.recorded = r->wide;
	work.common_was = r->common;
	work.observed = &seen;
	must(&r->p, mode_shared.shared_observe(&r->p.cx, r->p.conns, r->place, &seen));
	must(&r->p, mode_shared.shared_steps(&r->p.cx, r->place, &work, &changes, steps));
	return changes;
}

static void
place_is_same(Room *r)
{
	Steps steps;
	Changes changes = look_at_place(r, &steps);

	for (size_t i = 0; i < changes.n; i++)
		fprintf(stderr, "%s %s: %s -> %s\n", changes.at[i].what, changes.at[i].name,
		    changes.at[i].from, changes.at[i].to);
	assert_int_equal(changes.n, 0);
	assert_int_equal(steps.n, 0);
}

static void
the_shared_database_is_made_as_expected(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "acme");

	place_is_same(r);
	assert_string_equal(
	    one_value(&r->p, r->super,
		room_fill(r, a,
		    "SELECT string_agg(grantee::regrole::text || ' ' || privilege_type,"
		    " ', ' ORDER BY grantee::regrole::text, privilege_type)"
		    " FROM pg_database, aclexplode(datacl) WHERE datname = '%d'"
		    " AND grantee <> datdba")),
	    room_fill(r, a, "%r CONNECT, %w CONNECT"));
	room_purge(r, a);
}

static const Drift place_drifts[] = {
	{ "ALTER ROLE %o LOGIN", "%o" },
	{ "ALTER ROLE %k LOGIN", "%k" },
	{ "ALTER ROLE %w CREATEDB", "%w" },
	{ "ALTER ROLE %r INHERIT", "%r" },
	{ "ALTER ROLE %k SET row_security = off", "%k.row_security" },
	{ "ALTER DATABASE %d SET search_path = 'wide'", "search_path@%d" },
	{ "ALTER DATABASE %d RESET TimeZone", "TimeZone@%d" },
	{ "ALTER DATABASE %d SET work_mem = '1GB'", "work_mem@%d" },
	{ "SET ROLE shared_ops; GRANT %k TO %l", "%k.%l" },
	{ "SET ROLE shared_ops; GRANT %o TO %l", "%o.%l" },
	{ "SET ROLE shared_ops; GRANT %k TO %w", "%k.%w" },
	{ "SET ROLE shared_ops; GRANT %w TO shared_stranger", "%w.shared_stranger" },
	{ "SET ROLE shared_ops; REVOKE %k FROM shared_ops", "%k.shared_ops" },
	{ "GRANT CONNECT ON DATABASE %d TO PUBLIC", "%d.PUBLIC" },
	{ "GRANT CONNECT ON DATABASE %d TO shared_stranger", "%d.shared_stranger" },
	{ "GRANT CREATE ON DATABASE %d TO %w", "%d.%w" },
	{ "REVOKE CONNECT ON DATABASE %d FROM %r", "%d.%r" },
	{ "ALTER DATABASE %d CONNECTION LIMIT 3", "%d" },
	/* a tenant's login, without a look of its own */
	{ "ALTER ROLE %l CREATEDB", "%l" },
	{ "ALTER ROLE %l NOINHERIT", "%l" },
	{ "ALTER ROLE %l CONNECTION LIMIT -1", "%l" },
	{ "ALTER ROLE %l SET search_path = 'public'", "%l.search_path" },
	{ "ALTER ROLE %l IN DATABASE %d SET search_path = 'app_aaaaaaaaaaaa'",
	    "%l.search_path@%d" },
	{ "SET ROLE shared_ops; GRANT %l TO shared_stranger", "%l.shared_stranger" },
	{ "SET ROLE shared_ops; GRANT shared_stranger TO %l", "shared_stranger.%l" },
};

static void
every_drift_of_its_roles_is_found_and_mended(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "drifting");

	psql_must(&r->p, "postgres",
	    "DROP ROLE IF EXISTS shared_stranger; CREATE ROLE shared_stranger LOGIN;"
	    "GRANT shared_stranger TO shared_ops WITH ADMIN OPTION");
	for (size_t i = 0; i < LENGTH(place_drifts); i++) {
		Steps steps = { 0 };

		psql_must(&r->p, "postgres", room_fill(r, a, place_drifts[i].sql));
		Changes found = look_at_place(r, &steps);

		if (found.n != 1)
			fprintf(stderr, "%s: %zu changes\n", place_drifts[i].sql, found.n);
		assert_int_equal(found.n, 1);
		assert_string_equal(found.at[0].name, room_fill(r, a, place_drifts[i].name));
		assert_true(found.at[0].drift);
		assert_int_equal(steps.n, 1);
		assert_string_equal(steps.at[0].scope, "shared/bj-1/shop");
		room_run(r, r->place, &steps);
		place_is_same(r);
	}
	room_purge(r, a);
	psql_must(&r->p, "postgres", "DROP ROLE shared_stranger");
}

static void
a_shared_database_that_is_gone_is_told(void **state)
{
	Room *r = *state;
	Shared gone = r->shared;
	Items seen = { 0 };

	gone.dbname = "s_aaaaaaaaaaaa";
	must_fail(&r->p,
	    mode_shared.shared_observe(
		&r->p.cx, r->p.conns, place_of_shared(r->p.cx.mem, &gone), &seen),
	    FAIL_DIFFERENT,
	    "database \"s_aaaaaaaaaaaa\" of shared database \"bj-1/shop\" is gone from \"bj-1\"");
}

static void
undoing_its_making_leaves_nothing(void **state)
{
	Room *r = *state;
	Shared other = r->shared;
	Steps steps = { 0 };
	Changes changes = { 0 };
	int64_t fence = 0;

	other.id = random_name(r->p.cx.mem, 12);
	place_shared_names(r->p.cx.mem, &other);
	Placement *at = place_of_shared(r->p.cx.mem, &other);

	must(&r->p, mode_shared.shared_steps(&r->p.cx, at, &r->work, &changes, &steps));
	room_run(r, at, &steps);
	must(&r->p, mode_shared.highest_fence(&r->p.cx, r->p.conns, at, &fence));
	assert_int_equal(fence, r->run);
	undo_steps(&r->p, at, &r->p.vendor, &steps, r->run, r->run);
	assert_string_equal(
	    one_value(&r->p, r->p.super,
		arena_printf(r->p.cx.mem,
		    "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 's_%s%%')"
		    " + (SELECT count(*) FROM pg_database WHERE datname = '%s')",
		    other.id, other.dbname)),
	    "0");
}

/* --- coming in ------------------------------------------------------------------------- */

static void
a_tenant_that_needs_nothing_comes_in_with_one_step(void **state)
{
	Room *r = *state;
	Placement *a = room_place(r, "plain", LAYOUT_VIEWS);
	Steps steps = room_join(r, a, r->common);

	assert_int_equal(steps.n, 1);
	assert_string_equal(steps.at[0].kind, "shared.join");
	assert_string_equal(steps.at[0].scope, "tenant/plain");
	room_same(r, a, r->common);
	assert_int_equal(roles_of(r, a), 1);
	assert_int_equal(room_count(r,
			     room_fill(r, a,
				 "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON"
				 " r.oid = s.setrole WHERE r.rolname = '%l'")),
	    0);
	assert_string_equal(room_psql(r, a,
				"INSERT INTO account (name) VALUES ('x'); SELECT name FROM account;"
				"SHOW search_path; SHOW TimeZone; SHOW DateStyle"),
	    "x\napp\nUTC\nISO, MDY\n");
	undo_steps(&r->p, a, &r->p.vendor, &steps, r->run, r->run);
	assert_int_equal(roles_of(r, a), 0);
}

static void
two_tenants_see_their_own_rows_alone(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "one"), *b = room_tenant(r, "two");
	Pg *pa = room_app(r, a), *pb = room_app(r, b);
	const char *insert = "INSERT INTO account (id, name, email) VALUES"
			     " ('00000000-0000-4000-8000-000000000001', 'x', 'same')";

	assert_string_equal(sqlstate_of(&r->p, pa, insert), "00000");
	assert_string_equal(sqlstate_of(&r->p, pb, insert), "00000");
	assert_string_equal(sqlstate_of(&r->p, pa, insert), "23505");
	must(&r->p, pg_script(&r->p.cx, pa, "UPDATE account SET name = 'of one'"));
	assert_string_equal(one_value(&r->p, pb, "SELECT name FROM account"), "x");
	must(&r->p, pg_script(&r->p.cx, pa, "DELETE FROM account"));
	assert_string_equal(one_value(&r->p, pb, "SELECT count(*) FROM account"), "1");
	pg_close(pa);
	pg_close(pb);
	room_purge(r, a);
	assert_int_equal(rows_of(r, b, "account"), 1);
	room_purge(r, b);
}

static void
a_late_holder_lets_nobody_in(void **state)
{
	Room *r = *state;
	Placement *a = room_place(r, "late", LAYOUT_VIEWS);
	Steps steps = room_join(r, a, r->common);
	StepEnv env = step_env(&r->p, a, &r->p.vendor, &steps.at[0], r->run - 1);

	must_fail(&r->p, step_kind("shared.join")->act(&r->p.cx, &env), FAIL_FENCED,
	    arena_printf(r->p.cx.mem,
		"\"tenant/late\" on \"bj-1\" has seen a newer holder than fence %d of run %d",
		(int)r->run - 1, (int)r->run - 1));
	must_fail(&r->p, step_kind("shared.join")->undo(&r->p.cx, &env), FAIL_FENCED, NULL);
	assert_int_equal(roles_of(r, a), 1);
	undo_steps(&r->p, a, &r->p.vendor, &steps, r->run, r->run);
}

static void
a_role_that_stands_already_is_taken_as_it_should_be(void **state)
{
	Room *r = *state;
	Placement *a = room_place(r, "stands", LAYOUT_VIEWS);

	psql_must(&r->p, "postgres",
	    room_fill(r, a, "SET ROLE shared_ops; CREATE ROLE %l NOLOGIN CREATEDB"));
	room_join(r, a, r->common);
	room_same(r, a, r->common);
	assert_true(password_ok(&r->p, a, &a->logins.at[0], room_password(r, a)));
	room_purge(r, a);
}

/* A killed client's statement may still run in the server: who looks waits for it. */
static void
the_probe_waits_for_a_script_that_still_runs(void **state)
{
	Room *r = *state;
	Placement *a = room_place(r, "slow", LAYOUT_VIEWS);
	PlaceWork work = room_work(r, a, r->common);
	Changes changes = { 0 };
	Steps steps = room_steps(r, a, &work, &changes);
	StepEnv env = step_env(&r->p, a, &r->p.vendor, &steps.at[0], ++r->run);
	Buf b = buf_new(r->p.cx.mem);
	Pg *late = super_open(&r->p, r->shared.dbname);
	Probe probe = PROBE_UNDECIDABLE;

	ledger_enter_text(&b, &env);
	must(&r->p, pg_begin(&r->p.cx, late));
	must(&r->p, pg_script(&r->p.cx, late, b.text));
	must(&r->p,
	    pg_script(&r->p.cx, late, "SET LOCAL idle_in_transaction_session_timeout = '1s'"));
	must(&r->p, step_kind("shared.join")->probe(&r->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_NOT_DONE);
	assert_string_not_equal(sqlstate_of(&r->p, late, "COMMIT"), "00000");
	pg_close(late);
}

/* --- drift, suspend, logins ---------------------------------------------------------------- */

static const Drift drifts[] = {
	{ "ALTER ROLE %l NOLOGIN", "%l" },
	{ "ALTER ROLE %l CREATEDB", "%l" },
	{ "ALTER ROLE %l CREATEROLE", "%l" },
	{ "ALTER ROLE %l NOINHERIT", "%l" },
	{ "ALTER ROLE %l CONNECTION LIMIT -1", "%l" },
	{ "ALTER ROLE %l VALID UNTIL '2001-01-01'", "%l" },
	{ "ALTER ROLE %l SET search_path = 'public'", "%l.search_path" },
	{ "ALTER ROLE %l IN DATABASE %d SET search_path = 'x'", "%l.search_path@%d" },
	{ "SET ROLE shared_ops; REVOKE %w FROM %l", "%w.%l" },
	{ "SET ROLE shared_ops; GRANT %r TO %l", "%r.%l" },
	{ "SET ROLE shared_ops; GRANT %k TO %l", "%k.%l" },
	{ "SET ROLE shared_ops; GRANT %l TO %r", "%l.%r" },
};

static void
every_drift_of_a_tenant_is_found_and_mended(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "drift"), *b = room_tenant(r, "beside");

	for (size_t i = 0; i < LENGTH(drifts); i++) {
		Steps steps;

		psql_must(&r->p, "postgres", room_fill(r, a, drifts[i].sql));
		Changes found = room_look(r, a, r->common, &steps);

		if (found.n != 1)
			fprintf(stderr, "%s: %zu changes\n", drifts[i].sql, found.n);
		assert_int_equal(found.n, 1);
		assert_string_equal(found.at[0].name, room_fill(r, a, drifts[i].name));
		assert_int_equal(steps.n, 1);
		assert_string_equal(steps.at[0].kind, "roles.change");
		room_run(r, a, &steps);
		room_same(r, a, r->common);
		room_same(r, b, r->common);
	}
	room_purge(r, a);
	room_purge(r, b);
}

static void
a_dropped_login_comes_back_with_its_password(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "dropped");
	Steps steps;

	psql_must(&r->p, "postgres", room_fill(r, a, "DROP ROLE %l"));
	Changes found = room_look(r, a, r->common, &steps);

	assert_int_equal(found.n, 2);
	room_run(r, a, &steps);
	room_same(r, a, r->common);
	assert_true(password_ok(&r->p, a, &a->logins.at[0], room_password(r, a)));
	room_purge(r, a);
}

static void
suspend_ends_the_sessions_of_one_tenant_alone(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "closed"), *b = room_tenant(r, "open");
	Pg *pa = room_app(r, a), *pb = room_app(r, b);
	Steps close = { 0 }, open = { 0 };

	must(&r->p, mode_shared.suspend_steps(&r->p.cx, a, &close));
	room_run(r, a, &close);
	assert_string_not_equal(sqlstate_of(&r->p, pa, "SELECT 1"), "00000");
	assert_string_equal(sqlstate_of(&r->p, pb, "SELECT 1"), "00000");
	assert_false(password_ok(&r->p, a, &a->logins.at[0], room_password(r, a)));
	a->logins.at[0].on = false;
	room_same(r, a, r->common);
	must(&r->p, mode_shared.resume_steps(&r->p.cx, a, &open));
	room_run(r, a, &open);
	a->logins.at[0].on = true;
	room_same(r, a, r->common);
	assert_true(password_ok(&r->p, a, &a->logins.at[0], room_password(r, a)));
	undo_steps(&r->p, a, &r->p.vendor, &open, r->run, r->run);
	assert_false(password_ok(&r->p, a, &a->logins.at[0], room_password(r, a)));
	undo_steps(&r->p, a, &r->p.vendor, &close, r->run - 1, r->run);
	room_same(r, a, r->common);
	pg_close(pa);
	pg_close(pb);
	room_purge(r, a);
	room_purge(r, b);
}

static void
a_login_that_reads_is_added_rotated_and_removed(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "report");
	Login login = new_login(&r->p, a, "report", "report-1");
	Steps add = { 0 }, rotate = { 0 }, drop = { 0 };

	login.read_only = true;
	must(&r->p, mode_shared.login_steps(&r->p.cx, a, &login, "add", &add));
	vec_push(r->p.cx.mem, &a->logins, login);
	room_run(r, a, &add);
	room_same(r, a, r->common);
	Pg *pg = room_login(r, a, 1, "report-1");

	assert_string_equal(one_value(&r->p, pg, "SELECT count(*) FROM account"), "0");
	assert_string_equal(
	    room_psql_as(r, a, 1, "report-1", "SHOW transaction_read_only"), "on\n");
	assert_string_equal(
	    sqlstate_of(&r->p, pg, "INSERT INTO account (name) VALUES ('x')"), "42501");
	pg_close(pg);
	a->logins.at[1] = new_login(&r->p, a, "report", "report-2");
	a->logins.at[1].read_only = true;
	must(&r->p, mode_shared.login_steps(&r->p.cx, a, &login, "rotate", &rotate));
	room_run(r, a, &rotate);
	assert_true(password_ok(&r->p, a, &a->logins.at[1], "report-2"));
	must(&r->p, mode_shared.login_steps(&r->p.cx, a, &login, "remove", &drop));
	room_run(r, a, &drop);
	assert_int_equal(roles_of(r, a), 1);
	undo_steps(&r->p, a, &r->p.vendor, &drop, r->run, r->run);
	room_same(r, a, r->common);
	assert_true(password_ok(&r->p, a, &a->logins.at[1], "report-2"));
	undo_steps(&r->p, a, &r->p.vendor, &add, r->run - 2, r->run);
	a->logins.n = 1;
	room_same(r, a, r->common);
	room_purge(r, a);
}

static void
rows_are_loaded_as_the_tenants_own_login(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "loaded");
	char *password = room_password(r, a);
	Secret s = secret_new(r->p.cx.mem, password, strlen(password));
	TenantRecord t = { .name = "loaded",
		.id = a->id,
		.state = TENANT_ACTIVE,
		.mode = MODE_SHARED,
		.cluster = "bj-1",
		.dbname = a->dbname,
		.owner = a->owner,
		.model = "shop",
		.shape = "",
		.spec_hash = "",
		.changed_run = 1 };
	Pg *pg;

	must(&r->p, lite_begin(&r->p.cx, r->p.home->db));
	must(&r->p, catalog_tenant_put(&r->p.cx, r->p.home, &t));
	must(&r->p, catalog_login_put(&r->p.cx, r->p.home, "loaded", &a->logins.at[0], &s));
	must(&r->p, lite_commit(&r->p.cx, r->p.home->db));
	must(&r->p, mode_shared.data_session(&r->p.cx, r->p.conns, a, &pg));
	assert_string_equal(one_value(&r->p, pg, "SELECT session_user"), a->logins.at[0].role);
	assert_string_equal(
	    sqlstate_of(&r->p, pg, "INSERT INTO account (name) VALUES ('y')"), "00000");
	assert_int_equal(rows_of(r, a, "account"), 1);
	pg_close(pg);
	room_purge(r, a);
}

/* --- leaving ------------------------------------------------------------------------------- */

/* Accounts of a chain that ends where it begins, contacts of them, hens and eggs of each other. */
static void
fill(Room *r, const Placement *at, int n)
{
	Pg *pg = room_app(r, at);

	must(&r->p,
	    pg_script(&r->p.cx, pg,
		arena_printf(r->p.cx.mem,
		    "INSERT INTO account (id, name, email, parent) SELECT"
		    " ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'a' || i, 'e' || i,"
		    " ('00000000-0000-4000-8000-' || lpad((i %% %d + 1)::text, 12, '0'))::uuid"
		    " FROM generate_series(1, %d) i;"
		    "INSERT INTO contact (number, account) SELECT i,"
		    " ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid"
		    " FROM generate_series(1, %d) i;"
		    "UPDATE account SET first = substr(name, 2)::integer;"
		    "WITH h AS (INSERT INTO hen SELECT 'h' || i, 'g' || i FROM generate_series(1, 5) i)"
		    " INSERT INTO egg SELECT 'g' || i, 'h' || i, 'g' || (i %% 5 + 1)"
		    " FROM generate_series(1, 5) i;",
		    n, n, n)));
	pg_close(pg);
}

static void
a_purge_removes_the_rows_of_one_tenant_and_no_others(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "leaving"), *b = room_tenant(r, "staying");
	const char *digest = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM"
			     " (SELECT a::text FROM wide.account a UNION ALL SELECT c::text FROM"
			     " wide.contact c UNION ALL SELECT h::text FROM wide.hen h UNION ALL"
			     " SELECT e::text FROM wide.egg e) t";
	Steps purge = { 0 };
	int64_t fence = 0;

	fill(r, b, 50);
	const char *before = one_value(&r->p, r->super, digest);

	fill(r, a, 4500);
	must_fail(&r->p, mode_shared.purge_steps(&r->p.cx, a, true, &purge), FAIL_REFUSED,
	    "tenant \"leaving\" is on the vendor's cluster \"bj-1\": there is nobody to hand it back to");
	room_purge(r, a);
	assert_string_equal(one_value(&r->p, r->super, digest), before);
	assert_int_equal(roles_of(r, a), 0);
	assert_int_equal(
	    room_count(r,
		arena_printf(r->p.cx.mem,
		    "SELECT count(*) FROM copyhold.applied WHERE tenant = '%s'", a->id)),
	    1);
	must(&r->p, mode_shared.highest_fence(&r->p.cx, r->p.conns, a, &fence));
	assert_int_equal(fence, r->run);
	room_same(r, b, r->common);
	room_purge(r, b);
}

static void
a_removal_that_was_cut_short_goes_on(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "cut");
	Steps steps = { 0 };
	Probe probe = PROBE_UNDECIDABLE;

	fill(r, a, 2500);
	must(&r->p, mode_shared.purge_steps(&r->p.cx, a, false, &steps));
	StepEnv env = step_env(&r->p, a, &r->p.vendor, &steps.at[1], ++r->run);

	must(&r->p,
	    pg_script(&r->p.cx, r->super,
		arena_printf(r->p.cx.mem,
		    "UPDATE wide.account SET first = NULL WHERE _tenant = '%s';"
		    "DELETE FROM wide.contact WHERE _tenant = '%s' AND number < 2000",
		    a->id, a->id)));
	must(&r->p, step_kind("shared.remove")->probe(&r->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_NOT_DONE);
	run_steps(&r->p, a, &r->p.vendor, &steps, r->run);
	assert_int_equal(rows_of(r, a, "account") + rows_of(r, a, "contact"), 0);
	assert_int_equal(roles_of(r, a), 0);
}

static void
a_late_holder_removes_no_row(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "kept");
	Steps steps = { 0 };

	fill(r, a, 10);
	must(&r->p, mode_shared.purge_steps(&r->p.cx, a, false, &steps));
	StepEnv env = step_env(&r->p, a, &r->p.vendor, &steps.at[1], r->run - 1);

	must_fail(&r->p, step_kind("shared.remove")->act(&r->p.cx, &env), FAIL_FENCED, NULL);
	assert_int_equal(rows_of(r, a, "account"), 10);
	room_purge(r, a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_script_gives_its_memberships_where_tenants_may_share),
		cmocka_unit_test(what_is_missing_is_found_before_the_first_change),
		cmocka_unit_test(the_shared_database_is_made_as_expected),
		cmocka_unit_test(every_drift_of_its_roles_is_found_and_mended),
		cmocka_unit_test(a_shared_database_that_is_gone_is_told),
		cmocka_unit_test(undoing_its_making_leaves_nothing),
		cmocka_unit_test(a_tenant_that_needs_nothing_comes_in_with_one_step),
		cmocka_unit_test(two_tenants_see_their_own_rows_alone),
		cmocka_unit_test(a_late_holder_lets_nobody_in),
		cmocka_unit_test(a_role_that_stands_already_is_taken_as_it_should_be),
		cmocka_unit_test(the_probe_waits_for_a_script_that_still_runs),
		cmocka_unit_test(every_drift_of_a_tenant_is_found_and_mended),
		cmocka_unit_test(a_dropped_login_comes_back_with_its_password),
		cmocka_unit_test(suspend_ends_the_sessions_of_one_tenant_alone),
		cmocka_unit_test(a_login_that_reads_is_added_rotated_and_removed),
		cmocka_unit_test(rows_are_loaded_as_the_tenants_own_login),
		cmocka_unit_test(a_purge_removes_the_rows_of_one_tenant_and_no_others),
		cmocka_unit_test(a_removal_that_was_cut_short_goes_on),
		cmocka_unit_test(a_late_holder_removes_no_row),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

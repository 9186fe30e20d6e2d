#include "tests/pg/places.h"

#include "deployer/roles.h"

static const PlaceDriver *const drivers[] = { &mode_dedicated, &mode_customer_db, NULL };

typedef struct Room {
	Places p;
	Cluster cluster;
	Model *model;
	Placement *at;
	Steps made;
} Room;

/* --- the customer's side -------------------------------------------------------- */

static ProcResult
run_as(Places *p, const char *user, const char *password, const char *dbname, const char *text)
{
	const char *argv[] = { "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", NULL };
	const char *env[] = { arena_printf(p->cx.mem, "PGPASSWORD=%s", password),
		arena_printf(p->cx.mem, "PGUSER=%s", user), "PGHOST=127.0.0.1",
		arena_printf(p->cx.mem, "PGPORT=%d", test_port()),
		arena_printf(p->cx.mem, "PGDATABASE=%s", dbname), NULL };
	ProcSpec spec = { .argv = argv, .env_add = env, .input = text, .input_len = strlen(text) };
	ProcResult result;

	must(p, proc_run(&p->cx, &spec, &result));
	return result;
}

static void
admin_must(Places *p, const char *text)
{
	ProcResult result = run_as(p, "cust_admin", "admin-p4ss", "postgres", text);

	if (result.exit_code != 0)
		fprintf(stderr, "%s", result.err);
	assert_int_equal(result.exit_code, 0);
}

static void
prepare(Places *p, const Placement *at)
{
	Buf script = buf_new(p->cx.mem);

	must(p, setup_tenant_script(&p->cx, p->home, at, &script));
	assert_null(strstr(script.text, "p4ss"));
	admin_must(p, script.text);
}

static Placement *
place(Room *r, const char *tenant)
{
	Placement *at = new_place(&r->p, MODE_CUSTOMER_DB, &r->cluster, tenant);

	at->id = random_name(r->p.cx.mem, 12);
	return at;
}

static int
setup(void **state)
{
	static Room r;

	place_register(drivers);
	step_register(shape_kinds);
	places_open(&r.p);
	psql_must(&r.p, "postgres",
	    "DROP DATABASE IF EXISTS cust_one WITH (FORCE);\n"
	    "DROP DATABASE IF EXISTS cust_two WITH (FORCE);\n"
	    "DROP ROLE IF EXISTS cust_one_owner, cust_one_app, cust_one_more, cust_two_owner, cust_two_app;\n"
	    "SELECT 'DROP OWNED BY cust_admin' WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'cust_admin') \\gexec\n"
	    "DROP ROLE IF EXISTS cust_ops, cust_stranger, cust_admin;\n"
	    "CREATE ROLE cust_admin LOGIN CREATEROLE CREATEDB PASSWORD 'admin-p4ss';\n"
	    "GRANT CONNECT ON DATABASE postgres TO cust_admin;\n"
	    "CREATE ROLE cust_stranger;\n");
	r.cluster = cluster_at("cust-1", "cust_ops", "cust_one");
	r.model = small_model(&r.p);
	r.at = place(&r, "cust-one");
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	Room *r = *state;

	arena_free(r->p.cx.mem);
	return 0;
}

static Pg *
inside(Room *r, const Placement *at)
{
	Pg *pg;

	must(&r->p, place_session(&r->p.cx, r->p.conns, at, &pg));
	return pg;
}

static void
steps_run(Room *r, const Steps *steps, int64_t run)
{
	run_steps(&r->p, r->at, &r->cluster, steps, run);
}

static int
app_exit(Room *r, const char *text)
{
	return run_as(&r->p, "cust_one_app", "app-p4ss", "cust_one", text).exit_code;
}

/* --- before the first change ------------------------------------------------------- */

static void
an_unprepared_server_is_told_with_the_script(void **state)
{
	Room *r = *state;

	bool ok = mode_customer_db.preflight(&r->p.cx, r->p.conns, r->at, false);

	assert_string_equal(r->p.cx.fail->hint,
	    "Has the customer's administrator run the output of "
	    "copyhold tenant setup-script cust-one? If so, check the password.");
	must_fail(&r->p, ok, FAIL_LOGIN, NULL);
}

static void
the_script_is_run_twice_by_an_administrator_who_is_no_superuser(void **state)
{
	Room *r = *state;

	prepare(&r->p, r->at);
	prepare(&r->p, r->at);
	must(&r->p, mode_customer_db.preflight(&r->p.cx, r->p.conns, r->at, false));
	assert_string_equal(one_value(&r->p, r->p.super,
				"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'cust\\_o%'"
				" AND (rolsuper OR rolcreaterole OR rolcreatedb)"),
	    "0");
	assert_string_equal(one_value(&r->p, r->p.super,
				"SELECT pg_has_role('cust_admin', 'cust_one_owner', 'USAGE')"),
	    "f");
}

static void
the_pending_password_is_made_once_and_kept(void **state)
{
	Room *r = *state;
	Secret one, two;

	must(&r->p, setup_password(&r->p.cx, r->p.home, "cust-one", "app", &one));
	must(&r->p, setup_password(&r->p.cx, r->p.home, "cust-one", "app", &two));
	assert_int_equal(one.len, 32);
	assert_string_equal(one.text, two.text);
}

/* From 16 on a membership says what it is for. */
static const char *
of_version(Room *r, const char *hint)
{
	const char *end = strstr(hint, " TO \"cust_ops\";");

	if (!end || pg_version(r->p.super) < 160000)
		return hint;
	return arena_printf(r->p.cx.mem, "%.*s TO \"cust_ops\" WITH INHERIT TRUE, SET TRUE;",
	    (int)(end - hint), hint);
}

static const struct {
	const char *broken;
	FailKind kind;
	const char *what, *hint, *mended;
} missing[] = {
	{ "ALTER ROLE cust_ops SUPERUSER", FAIL_REFUSED,
	    "login \"cust_ops\" on \"cust-1\" is a superuser: more than we ask",
	    "ALTER ROLE \"cust_ops\" NOSUPERUSER NOCREATEROLE;",
	    "ALTER ROLE cust_ops NOSUPERUSER" },
	{ "ALTER ROLE cust_ops CREATEROLE", FAIL_REFUSED,
	    "login \"cust_ops\" on \"cust-1\" may create roles: more than we ask",
	    "ALTER ROLE \"cust_ops\" NOSUPERUSER NOCREATEROLE;",
	    "ALTER ROLE cust_ops NOCREATEROLE" },
	{ "SET ROLE cust_admin; REVOKE cust_one_owner FROM cust_ops", FAIL_MISSING_RIGHT,
	    "login \"cust_ops\" on \"cust-1\" is not a member of \"cust_one_owner\"",
	    "GRANT \"cust_one_owner\" TO \"cust_ops\";",
	    "SET ROLE cust_admin; GRANT cust_one_owner TO cust_ops" },
	{ "SET ROLE cust_admin; REVOKE cust_one_app FROM cust_ops", FAIL_MISSING_RIGHT,
	    "login \"cust_ops\" on \"cust-1\" is not a member of \"cust_one_app\"",
	    "GRANT \"cust_one_app\" TO \"cust_ops\";",
	    "SET ROLE cust_admin; GRANT cust_one_app TO cust_ops" },
	{ "ALTER DATABASE cust_one OWNER TO cust_admin", FAIL_MISSING_RIGHT,
	    "database \"cust_one\" on \"cust-1\" is not owned by \"cust_one_owner\"",
	    "ALTER DATABASE \"cust_one\" OWNER TO \"cust_one_owner\";",
	    "ALTER DATABASE cust_one OWNER TO cust_one_owner" },
	{ "REVOKE CREATE ON DATABASE cust_one FROM cust_one_owner", FAIL_MISSING_RIGHT,
	    "role \"cust_one_owner\" on \"cust-1\" may not create schemas",
	    "GRANT CREATE ON DATABASE \"cust_one\" TO \"cust_one_owner\";",
	    "GRANT CREATE ON DATABASE cust_one TO cust_one_owner" },
	{ "ALTER ROLE cust_one_app NOLOGIN", FAIL_UNPREPARED,
	    "role \"cust_one_app\" on \"cust-1\" may not log in",
	    "ALTER ROLE \"cust_one_app\" LOGIN;", "ALTER ROLE cust_one_app LOGIN" },
	{ "ALTER ROLE cust_one_app RENAME TO cust_x", FAIL_UNPREPARED,
	    "there is no role \"cust_one_app\" on \"cust-1\"",
	    "The customer's administrator runs the output of: copyhold tenant setup-script cust-one.",
	    "ALTER ROLE cust_x RENAME TO cust_one_app" },
	{ "ALTER ROLE cust_one_owner RENAME TO cust_x", FAIL_UNPREPARED,
	    "there is no role \"cust_one_owner\" on \"cust-1\"",
	    "The customer's administrator runs the output of: copyhold tenant setup-script cust-one.",
	    "ALTER ROLE cust_x RENAME TO cust_one_owner" },
};

static void
each_missing_right_is_found_and_named_with_its_grant(void **state)
{
	Room *r = *state;

	for (size_t i = 0; i < LENGTH(missing); i++) {
		psql_must(&r->p, "cust_one", missing[i].broken);
		bool ok = mode_customer_db.preflight(&r->p.cx, r->p.conns, r->at, false);

		psql_must(&r->p, "cust_one", missing[i].mended);
		assert_false(ok);
		assert_string_equal(r->p.cx.fail->hint, of_version(r, missing[i].hint));
		must_fail(&r->p, ok, missing[i].kind, missing[i].what);
	}
	must(&r->p, mode_customer_db.preflight(&r->p.cx, r->p.conns, r->at, false));
}

/* --- a tenant --------------------------------------------------------------------------- */

static void
a_tenant_is_made_as_its_owner_role_and_its_login_works(void **state)
{
	Room *r = *state;
	PlaceWork work = new_work(&r->p, r->model);
	Changes changes = { 0 };

	must(&r->p, mode_customer_db.steps(&r->p.cx, r->at, &work, &changes, &r->made));
	steps_run(r, &r->made, 10);
	nothing_differs(&r->p, r->at, inside(r, r->at));
	assert_string_equal(one_value(&r->p, inside(r, r->at),
				"SELECT count(*) FROM pg_class WHERE relowner ="
				" (SELECT oid FROM pg_roles WHERE rolname = 'cust_ops')"),
	    "0");
	ProcResult result = run_as(&r->p, "cust_one_app", "app-p4ss", "cust_one",
	    "INSERT INTO account (name) VALUES ('x'); SELECT name FROM account; SHOW search_path; SHOW TimeZone;"
	    " SHOW DateStyle");

	assert_string_equal(result.out, "x\napp\nUTC\nISO, MDY\n");
}

static void
another_homes_tenant_is_refused(void **state)
{
	Room *r = *state;

	psql_must(&r->p, "cust_one",
	    "UPDATE copyhold.home SET id = '00000000-0000-4000-8000-000000000000'");
	bool ok = mode_customer_db.preflight(&r->p.cx, r->p.conns, r->at, true);

	psql_must(&r->p, "cust_one",
	    arena_printf(r->p.cx.mem, "UPDATE copyhold.home SET id = '%s'", r->p.home->id));
	must_fail(&r->p, ok, FAIL_FOREIGN, "\"cust-1\" belongs to another copyhold home");
}

static const Drift drifts[] = {
	{ "ALTER ROLE cust_one_app IN DATABASE cust_one SET search_path = x",
	    "cust_one_app.search_path@cust_one" },
	{ "ALTER ROLE cust_one_app IN DATABASE cust_one RESET TimeZone",
	    "cust_one_app.TimeZone@cust_one" },
	{ "ALTER ROLE cust_one_app SET work_mem = '1GB'", "cust_one_app.work_mem" },
	{ "GRANT TEMPORARY ON DATABASE cust_one TO PUBLIC", "cust_one.PUBLIC" },
	{ "GRANT CREATE ON DATABASE cust_one TO cust_one_app", "cust_one.cust_one_app" },
	{ "REVOKE CONNECT ON DATABASE cust_one FROM cust_one_app", "cust_one.cust_one_app" },
};

static void
drift_that_we_may_mend_is_found_and_mended(void **state)
{
	Room *r = *state;

	for (size_t i = 0; i < LENGTH(drifts); i++) {
		Steps steps = { 0 };

		psql_must(&r->p, "postgres", drifts[i].sql);
		Changes found = role_changes(&r->p, r->at, inside(r, r->at), &steps);

		assert_int_equal(found.n, 1);
		assert_string_equal(found.at[0].name, drifts[i].name);
		assert_int_equal(steps.n, 1);
		steps_run(r, &steps, 20 + (int64_t)i);
		nothing_differs(&r->p, r->at, inside(r, r->at));
	}
}

static const struct {
	const char *broken, *name, *mended;
} kept[] = {
	{ "ALTER ROLE cust_one_app CREATEDB", "cust_one_app",
	    "ALTER ROLE cust_one_app NOCREATEDB" },
	{ "ALTER ROLE cust_one_owner LOGIN", "cust_one_owner",
	    "ALTER ROLE cust_one_owner NOLOGIN" },
	{ "GRANT cust_one_owner TO cust_one_app", "cust_one_owner.cust_one_app",
	    "REVOKE cust_one_owner FROM cust_one_app" },
	{ "ALTER DATABASE cust_one SET search_path = x", "search_path@cust_one",
	    "ALTER DATABASE cust_one RESET search_path" },
};

static void
what_is_the_customers_is_reported_and_left(void **state)
{
	Room *r = *state;

	for (size_t i = 0; i < LENGTH(kept); i++) {
		Steps steps = { 0 };

		psql_must(&r->p, "postgres", kept[i].broken);
		Changes found = role_changes(&r->p, r->at, inside(r, r->at), &steps);

		psql_must(&r->p, "postgres", kept[i].mended);
		assert_int_equal(found.n, 1);
		assert_string_equal(found.at[0].name, kept[i].name);
		assert_true(found.at[0].kept);
		assert_int_equal(steps.n, 0);
	}
}

static void
what_concerns_others_is_not_even_reported(void **state)
{
	Room *r = *state;

	psql_must(&r->p, "postgres",
	    "GRANT CONNECT ON DATABASE cust_one TO cust_stranger;"
	    " GRANT cust_one_owner TO cust_stranger; ALTER DATABASE cust_one CONNECTION LIMIT 40");
	nothing_differs(&r->p, r->at, inside(r, r->at));
	psql_must(&r->p, "postgres",
	    "REVOKE ALL ON DATABASE cust_one FROM cust_stranger;"
	    " REVOKE cust_one_owner FROM cust_stranger");
}

/* --- logins -------------------------------------------------------------------------------- */

static void
a_rotation_sets_the_password_without_createrole_and_an_undo_the_old_one(void **state)
{
	Room *r = *state;
	Login old = r->at->logins.at[0];
	Secret was = secret_new(r->p.cx.mem, "app-p4ss", 8);
	Steps rotate = { 0 };

	must(&r->p, mode_customer_db.login_steps(&r->p.cx, r->at, &old, "rotate", &rotate));
	must(&r->p, lite_begin(&r->p.cx, r->p.home->db));
	must(&r->p, catalog_secret_put(&r->p.cx, r->p.home, "previous/cust-one/app", &was));
	must(&r->p, lite_commit(&r->p.cx, r->p.home->db));
	r->at->logins.at[0] = new_login(&r->p, r->at, "app", "app-new");
	steps_run(r, &rotate, 40);
	assert_true(password_ok(&r->p, r->at, &old, "app-new"));
	undo_steps(&r->p, r->at, &r->cluster, &rotate, 40, 40);
	assert_true(password_ok(&r->p, r->at, &old, "app-p4ss"));
	r->at->logins.at[0] = old;
}

static void
a_login_more_asks_for_its_role_and_a_login_less_leaves_it(void **state)
{
	Room *r = *state;
	Login more = new_login(&r->p, r->at, "more", "more-p4ss");
	Steps add = { 0 }, drop = { 0 };

	must(&r->p, mode_customer_db.login_steps(&r->p.cx, r->at, &more, "add", &add));
	StepEnv env = step_env(&r->p, r->at, &r->cluster, &add.at[0], 50);
	const StepKind *kind = step_kind("customer.grant");
	bool ok = kind->guard(&r->p.cx, &env);

	assert_string_equal(r->p.cx.fail->hint,
	    of_version(r,
		"The customer's administrator can run:"
		" CREATE ROLE \"cust_one_more\" LOGIN; GRANT \"cust_one_more\" TO \"cust_ops\";"));
	must_fail(&r->p, ok, FAIL_UNPREPARED,
	    "role \"cust_one_more\" on \"cust-1\" is not there for us yet");
	admin_must(
	    &r->p, "CREATE ROLE \"cust_one_more\" LOGIN; GRANT \"cust_one_more\" TO \"cust_ops\";");
	must(&r->p, kind->guard(&r->p.cx, &env));
	vec_push(r->p.cx.mem, &r->at->logins, more);
	steps_run(r, &add, 50);
	nothing_differs(&r->p, r->at, inside(r, r->at));
	assert_int_equal(
	    run_as(&r->p, "cust_one_more", "more-p4ss", "cust_one", "SELECT * FROM account")
		.exit_code,
	    0);
	must(&r->p, mode_customer_db.login_steps(&r->p.cx, r->at, &more, "remove", &drop));
	steps_run(r, &drop, 51);
	assert_int_equal(
	    run_as(&r->p, "cust_one_more", "more-p4ss", "cust_one", "SELECT 1").exit_code, 2);
	undo_steps(&r->p, r->at, &r->cluster, &drop, 51, 51);
	nothing_differs(&r->p, r->at, inside(r, r->at));
	undo_steps(&r->p, r->at, &r->cluster, &add, 50, 51);
	r->at->logins.n = 1;
	psql_must(&r->p, "cust_one", "DROP OWNED BY cust_one_more; DROP ROLE cust_one_more");
}

static void
suspend_takes_connect_and_resume_gives_it_back(void **state)
{
	Room *r = *state;
	Steps close = { 0 }, open = { 0 };
	Secret s = secret_new(r->p.cx.mem, "app-p4ss", 8);
	Pg *pg;

	must(&r->p, login_session(&r->p.cx, r->at, &r->at->logins.at[0], &s, &pg));
	must(&r->p, mode_customer_db.suspend_steps(&r->p.cx, r->at, &close));
	steps_run(r, &close, 60);
	assert_string_not_equal(sqlstate_of(&r->p, pg, "SELECT 1"), "00000");
	assert_int_equal(app_exit(r, "SELECT 1"), 2);
	r->at->logins.at[0].on = false;
	nothing_differs(&r->p, r->at, inside(r, r->at));
	must(&r->p, mode_customer_db.resume_steps(&r->p.cx, r->at, &open));
	steps_run(r, &open, 61);
	r->at->logins.at[0].on = true;
	nothing_differs(&r->p, r->at, inside(r, r->at));
	assert_int_equal(app_exit(r, "SELECT 1"), 0);
}

static void
a_suspend_that_would_keep_a_door_open_changes_nothing(void **state)
{
	Room *r = *state;
	Steps close = { 0 };

	must(&r->p, mode_customer_db.suspend_steps(&r->p.cx, r->at, &close));
	StepEnv env = step_env(&r->p, r->at, &r->cluster, &close.at[0], 62);

	psql_must(&r->p, "postgres", "GRANT CONNECT ON DATABASE cust_one TO PUBLIC");
	must_fail(&r->p, step_kind("customer.close")->act(&r->p.cx, &env), FAIL_MISSING_RIGHT,
	    "role \"cust_one_app\" can still connect to \"cust_one\"");
	psql_must(&r->p, "postgres", "REVOKE CONNECT ON DATABASE cust_one FROM PUBLIC");
	nothing_differs(&r->p, r->at, inside(r, r->at));
}

static void
a_late_holder_is_refused(void **state)
{
	Room *r = *state;
	Steps close = { 0 };

	must(&r->p, mode_customer_db.suspend_steps(&r->p.cx, r->at, &close));
	StepEnv env = step_env(&r->p, r->at, &r->cluster, &close.at[0], 59);

	must_fail(&r->p, step_kind("customer.close")->act(&r->p.cx, &env), FAIL_FENCED, NULL);
	assert_int_equal(app_exit(r, "SELECT 1"), 0);
}

/* --- the end ----------------------------------------------------------------------------------- */

static void
a_hand_back_leaves_the_data_the_owner_and_the_login(void **state)
{
	Room *r = *state;
	Steps close = { 0 }, purge = { 0 };

	must(&r->p, mode_customer_db.suspend_steps(&r->p.cx, r->at, &close));
	steps_run(r, &close, 70);
	must(&r->p, mode_customer_db.purge_steps(&r->p.cx, r->at, true, &purge));
	steps_run(r, &purge, 71);
	assert_int_equal(app_exit(r, "SELECT name FROM account"), 0);
	assert_string_equal(one_value(&r->p, inside(r, r->at),
				"SELECT pg_get_userbyid(relowner) FROM pg_class"
				" WHERE relname = 'account'"),
	    "cust_one_owner");
	assert_string_equal(one_value(&r->p, inside(r, r->at),
				"SELECT count(*) FROM pg_namespace"
				" WHERE nspname = 'copyhold'"),
	    "0");
}

static void
a_purge_removes_data_and_ledger_but_no_role_and_no_database(void **state)
{
	Room *r = *state;
	Placement *at = place(r, "cust-two");
	PlaceWork work = new_work(&r->p, r->model);
	Steps steps = { 0 }, purge = { 0 };
	Changes changes = { 0 };

	prepare(&r->p, at);
	must(&r->p, mode_customer_db.steps(&r->p.cx, at, &work, &changes, &steps));
	run_steps(&r->p, at, &r->cluster, &steps, 80);
	must(&r->p, mode_customer_db.purge_steps(&r->p.cx, at, false, &purge));
	run_steps(&r->p, at, &r->cluster, &purge, 81);
	assert_string_equal(one_value(&r->p, inside(r, at),
				"SELECT count(*) FROM pg_namespace"
				" WHERE nspname IN ('app', 'copyhold')"),
	    "0");
	assert_string_equal(one_value(&r->p, r->p.super,
				"SELECT count(*) FROM pg_roles"
				" WHERE rolname LIKE 'cust\\_two%'"),
	    "2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unprepared_server_is_told_with_the_script),
		cmocka_unit_test(the_script_is_run_twice_by_an_administrator_who_is_no_superuser),
		cmocka_unit_test(the_pending_password_is_made_once_and_kept),
		cmocka_unit_test(each_missing_right_is_found_and_named_with_its_grant),
		cmocka_unit_test(a_tenant_is_made_as_its_owner_role_and_its_login_works),
		cmocka_unit_test(another_homes_tenant_is_refused),
		cmocka_unit_test(drift_that_we_may_mend_is_found_and_mended),
		cmocka_unit_test(what_is_the_customers_is_reported_and_left),
		cmocka_unit_test(what_concerns_others_is_not_even_reported),
		cmocka_unit_test(
		    a_rotation_sets_the_password_without_createrole_and_an_undo_the_old_one),
		cmocka_unit_test(a_login_more_asks_for_its_role_and_a_login_less_leaves_it),
		cmocka_unit_test(suspend_takes_connect_and_resume_gives_it_back),
		cmocka_unit_test(a_suspend_that_would_keep_a_door_open_changes_nothing),
		cmocka_unit_test(a_late_holder_is_refused),
		cmocka_unit_test(a_hand_back_leaves_the_data_the_owner_and_the_login),
		cmocka_unit_test(a_purge_removes_data_and_ledger_but_no_role_and_no_database),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

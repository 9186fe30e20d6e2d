#include <signal.h>
#include <sys/wait.h>

#include "tests/pg/places.h"

#include "deployer/roles.h"
#include "tests/pg/forbidden.h"

static const PlaceDriver *const drivers[] = { &mode_dedicated, &mode_customer_db, NULL };

typedef struct Room {
	Places p;
	Model *model;
	Placement *at;
	Steps made;
} Room;

static void
run_script(Places *p, const Cluster *cluster)
{
	Buf script = buf_new(p->cx.mem);

	must(p, setup_cluster_script(&p->cx, p->home, cluster, &script));
	assert_null(strstr(script.text, "test-p4ssword"));
	psql_must(p, "postgres", script.text);
}

static int
setup(void **state)
{
	static Room r;
	Steps steps = { 0 };

	place_register(drivers);
	step_register(shape_kinds);
	places_open(&r.p);
	r.p.vendor = cluster_at("bj-1", "modes_ops", "modes_ops");
	psql_must(&r.p, "postgres", "DROP DATABASE IF EXISTS modes_ops WITH (FORCE);\n");
	run_script(&r.p, &r.p.vendor);
	r.model = small_model(&r.p);
	r.at = new_place(&r.p, MODE_DEDICATED, &r.p.vendor, "acme");
	must(&r.p, cluster_claim_steps(&r.p.cx, &r.p.vendor, &steps));
	run_steps(&r.p, NULL, &r.p.vendor, &steps, 1);
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
ops(Room *r)
{
	Pg *pg;

	must(&r->p, cluster_session(&r->p.cx, r->p.conns, &r->p.vendor, &pg));
	return pg;
}

static void
make(Room *r, const Placement *at, Steps *steps, int64_t run)
{
	PlaceWork work = new_work(&r->p, r->model);
	Changes changes = { 0 };

	must(&r->p, mode_dedicated.preflight(&r->p.cx, r->p.conns, at, false));
	must(&r->p, mode_dedicated.steps(&r->p.cx, at, &work, &changes, steps));
	run_steps(&r->p, at, &r->p.vendor, steps, run);
}

static int
count(Room *r, const char *text)
{
	return (int)strtol(one_value(&r->p, r->p.super, text), NULL, 10);
}

static int
left_of(Room *r, const Placement *at)
{
	return count(r,
	    arena_printf(r->p.cx.mem,
		"SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 't_%s%%')"
		" + (SELECT count(*) FROM pg_database WHERE datname LIKE 't_%s%%')",
		at->id, at->id));
}

/* --- names -------------------------------------------------------------------- */

static void
names_on_a_shared_server_tell_nothing(void **state)
{
	Room *r = *state;
	const char *id = r->at->id;

	assert_int_equal(strlen(id), 12);
	assert_string_equal(r->at->dbname, arena_printf(r->p.cx.mem, "t_%s", id));
	assert_string_equal(r->at->owner, arena_printf(r->p.cx.mem, "t_%s_o", id));
	assert_int_equal(strlen(r->at->logins.at[0].role), 19);
	assert_null(strstr(r->at->logins.at[0].role, "app"));
}

static void
names_on_a_customers_server_are_the_tenants_and_fit_63_bytes(void **state)
{
	Room *r = *state;
	Tenant spec = { .name = "acme-gmbh", .mode = MODE_CUSTOMER_DB };
	Placement at = { 0 };

	place_names(r->p.cx.mem, &at, &spec);
	assert_string_equal(at.dbname, "acme_gmbh");
	assert_string_equal(at.owner, "acme_gmbh_owner");
	assert_string_equal(place_login_role(r->p.cx.mem, &at, "app"), "acme_gmbh_app");
	spec.database = "d23456789012345678901234567890123456789012345678901234567890123";
	at = (Placement){ 0 };
	place_names(r->p.cx.mem, &at, &spec);
	assert_int_equal(strlen(at.owner), 63);
	assert_string_not_equal(at.owner, place_login_role(r->p.cx.mem, &at, "app"));
}

/* --- before the first change ------------------------------------------------------ */

static void
the_script_runs_twice_and_prints_no_password(void **state)
{
	Room *r = *state;

	run_script(&r->p, &r->p.vendor);
	must(&r->p, mode_dedicated.preflight(&r->p.cx, r->p.conns, r->at, false));
}

static void
odd_names_in_the_script_stay_names(void **state)
{
	Room *r = *state;
	Cluster odd = cluster_at("odd", "we'ird\"x\\ :u $harden$", "da=ta 'b\"\\ c");

	psql_must(&r->p, "postgres", "DROP DATABASE IF EXISTS \"da=ta 'b\"\"\\ c\";\n");
	run_script(&r->p, &odd);
	run_script(&r->p, &odd);
	assert_int_equal(
	    count(r,
		"SELECT count(*) FROM pg_database d JOIN pg_roles r ON r.oid = datdba"
		" WHERE datname = 'da=ta ''b\"\\ c' AND rolname = 'we''ird\"x\\ :u $harden$'"),
	    1);
	odd.connect.user = "a\nb";
	Buf script = buf_new(r->p.cx.mem);

	must_fail(&r->p, setup_cluster_script(&r->p.cx, r->p.home, &odd, &script), FAIL_MANIFEST,
	    "the name of the login has a control character in it");
	psql_must(&r->p, "postgres", "DROP DATABASE \"da=ta 'b\"\"\\ c\";\n");
}

static void
the_script_refuses_to_make_a_superuser_less(void **state)
{
	Room *r = *state;
	Cluster bad = cluster_at("bad", "postgres", "modes_ops");
	Buf script = buf_new(r->p.cx.mem);

	must(&r->p, setup_cluster_script(&r->p.cx, r->p.home, &bad, &script));
	assert_int_equal(psql(&r->p, "postgres", script.text).exit_code, 3);
	assert_string_equal(one_value(&r->p, r->p.super,
				"SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'"),
	    "t");
}

static void
refused(Room *r, const char *broken, FailKind kind, const char *what, const char *hint,
    const char *mended)
{
	psql_must(&r->p, "postgres", broken);
	bool ok = mode_dedicated.preflight(&r->p.cx, r->p.conns, r->at, false);

	psql_must(&r->p, "postgres", mended);
	assert_false(ok);
	assert_string_equal(r->p.cx.fail->hint, hint);
	must_fail(&r->p, ok, kind, what);
}

static void
what_is_missing_is_found_before_the_first_change(void **state)
{
	Room *r = *state;

	refused(r, "ALTER ROLE modes_ops NOCREATEDB", FAIL_MISSING_RIGHT,
	    "login \"modes_ops\" on \"bj-1\" may not create databases and roles",
	    "ALTER ROLE \"modes_ops\" CREATEDB CREATEROLE;", "ALTER ROLE modes_ops CREATEDB");
	refused(r, "COMMENT ON DATABASE copyhold_template IS 'copyhold template 0'",
	    FAIL_UNPREPARED,
	    "cluster \"bj-1\" is not set up: its template database is of another version of the script",
	    "A superuser runs the output of: copyhold cluster setup-script bj-1.",
	    "COMMENT ON DATABASE copyhold_template IS 'copyhold template 1'");
	refused(r, "ALTER DATABASE copyhold_template IS_TEMPLATE false", FAIL_UNPREPARED,
	    "cluster \"bj-1\" is not set up: there is no template database copyhold_template",
	    "A superuser runs the output of: copyhold cluster setup-script bj-1.",
	    "ALTER DATABASE copyhold_template IS_TEMPLATE true");
	refused(r, "ALTER ROLE modes_ops SUPERUSER", FAIL_REFUSED,
	    "login \"modes_ops\" on \"bj-1\" is a superuser: more than we ask",
	    "Name another user: copyhold cluster setup-script makes it.",
	    "ALTER ROLE modes_ops NOSUPERUSER");
}

static void
another_homes_cluster_is_refused(void **state)
{
	Room *r = *state;
	StepEnv env;
	Steps steps = { 0 };

	psql_must(&r->p, "modes_ops",
	    "UPDATE copyhold.home SET id = '00000000-0000-4000-8000-000000000000'");
	must_fail(&r->p, mode_dedicated.preflight(&r->p.cx, r->p.conns, r->at, false), FAIL_FOREIGN,
	    "\"bj-1\" belongs to another copyhold home");
	must(&r->p, cluster_claim_steps(&r->p.cx, &r->p.vendor, &steps));
	env = step_env(&r->p, NULL, &r->p.vendor, &steps.at[0], 2);
	must_fail(&r->p, step_kind("cluster.claim")->act(&r->p.cx, &env), FAIL_FOREIGN,
	    "\"bj-1\" belongs to another copyhold home");
	psql_must(&r->p, "modes_ops",
	    arena_printf(r->p.cx.mem, "UPDATE copyhold.home SET id = '%s'", r->p.home->id));
}

/* --- a tenant ------------------------------------------------------------------------ */

static void
a_tenant_is_made_as_expected_and_its_login_works(void **state)
{
	Room *r = *state;

	make(r, r->at, &r->made, 10);
	nothing_differs(&r->p, r->at, ops(r));
	assert_true(password_ok(&r->p, r->at, &r->at->logins.at[0], "app-p4ss"));
	assert_false(password_ok(&r->p, r->at, &r->at->logins.at[0], "app-p4ssx"));
}

static Pg *
app(Room *r, const Placement *at)
{
	Secret s = secret_new(r->p.cx.mem, "app-p4ss", 8);
	Pg *pg;

	must(&r->p, login_session(&r->p.cx, at, &at->logins.at[0], &s, &pg));
	must(&r->p, pg_script(&r->p.cx, pg, "SET search_path = app"));
	return pg;
}

static ProcResult
tool(Room *r, const char *const *argv, const char *user, const char *password)
{
	const char *env[] = { arena_printf(r->p.cx.mem, "PGPASSWORD=%s", password),
		arena_printf(r->p.cx.mem, "PGUSER=%s", user), "PGHOST=127.0.0.1",
		arena_printf(r->p.cx.mem, "PGPORT=%d", test_port()),
		arena_printf(r->p.cx.mem, "PGDATABASE=%s", r->at->dbname), NULL };
	ProcSpec spec = { .argv = argv, .env_add = env };
	ProcResult result;

	must(&r->p, proc_run(&r->p.cx, &spec, &result));
	if (result.exit_code != 0)
		fprintf(stderr, "%s", result.err);
	return result;
}

static void
the_login_finds_its_objects_and_settings(void **state)
{
	Room *r = *state;
	const char *argv[] = { "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c",
		"INSERT INTO account (name) VALUES ('x')", "-c", "SELECT name FROM account", "-c",
		"SHOW search_path", "-c", "SHOW TimeZone", "-c", "SHOW DateStyle", NULL };
	ProcResult result = tool(r, argv, r->at->logins.at[0].role, "app-p4ss");

	assert_int_equal(result.exit_code, 0);
	assert_string_equal(result.out, "x\napp\nUTC\nISO, MDY\n");
}

static void
rows_are_loaded_with_the_tenants_own_rights(void **state)
{
	Room *r = *state;
	Pg *pg;

	must(&r->p, data_session(&r->p.cx, r->p.conns, r->at, &pg));
	assert_string_equal(one_value(&r->p, pg, "SELECT current_user"), r->at->logins.at[0].role);
	assert_string_equal(sqlstate_of(&r->p, pg, "CREATE TABLE app.mine ()"), "42501");
	assert_string_equal(
	    sqlstate_of(&r->p, pg, "INSERT INTO account (name) VALUES ('y')"), "00000");
}

static void
a_tenants_login_gets_into_no_other_database(void **state)
{
	Room *r = *state;
	const char *others[] = { "postgres", "template1", "modes_ops", "copyhold_template" };
	Placement wrong = *r->at;
	Secret s = secret_new(r->p.cx.mem, "app-p4ss", 8);

	for (size_t i = 0; i < LENGTH(others); i++) {
		Pg *pg;

		wrong.dbname = others[i];
		assert_false(login_session(&r->p.cx, &wrong, &r->at->logins.at[0], &s, &pg));
		fail_clear(&r->p.cx);
	}
}

static void
the_hardened_template_forbids_what_reaches_further(void **state)
{
	Room *r = *state;
	Pg *pg = app(r, r->at);

	for (size_t i = 0; i < LENGTH(forbidden); i++) {
		const char *got = sqlstate_of(&r->p, pg, forbidden[i].sql);

		if (strcmp(got, forbidden[i].state) != 0)
			fprintf(
			    stderr, "%s: %s, not %s\n", forbidden[i].sql, got, forbidden[i].state);
		assert_string_equal(got, forbidden[i].state);
	}
	pg_close(pg);
}

static void
the_hardened_template_allows_what_tools_need(void **state)
{
	Room *r = *state;
	Pg *pg = app(r, r->at);

	for (size_t i = 0; i < LENGTH(allowed); i++) {
		const char *got = sqlstate_of(&r->p, pg, allowed[i]);

		if (strcmp(got, "00000") != 0)
			fprintf(stderr, "%s: %s\n", allowed[i], got);
		assert_string_equal(got, "00000");
	}
	pg_close(pg);
}

static void
psql_and_pg_dump_work_in_a_tenants_database(void **state)
{
	Room *r = *state;
	const char *describe[] = { "psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", "\\d account", "-c",
		"\\dt", "-c", "\\d", "-c", "\\dn", "-c", "\\df", NULL };
	const char *dump[] = { "pg_dump", "--schema=app", NULL };
	const char *role = r->at->logins.at[0].role;

	assert_int_equal(tool(r, describe, role, "app-p4ss").exit_code, 0);
	if (pg_version(r->p.super) >= 160000)
		return; /* the pg_dump of 15 dumps no newer server */
	assert_int_equal(tool(r, dump, role, "app-p4ss").exit_code, 0);
	assert_int_equal(tool(r, dump, "modes_ops", "test-p4ssword").exit_code, 0);
}

/* --- drift --------------------------------------------------------------------------- */

/* %o owner, %l login, %d database */
static char *
fill(Room *r, const char *text)
{
	Buf b = buf_new(r->p.cx.mem);

	for (; *text; text++) {
		if (*text != '%') {
			buf_addc(&b, *text);
			continue;
		}
		text++;
		buf_add(&b,
		    *text == 'o'       ? r->at->owner
			: *text == 'l' ? r->at->logins.at[0].role
				       : r->at->dbname);
	}
	return b.text;
}

static const Drift drifts[] = {
	{ "ALTER ROLE %l NOLOGIN", "%l" },
	{ "ALTER ROLE %l CREATEDB", "%l" },
	{ "ALTER ROLE %l CREATEROLE", "%l" },
	{ "ALTER ROLE %l INHERIT", "%l" },
	{ "ALTER ROLE %l CONNECTION LIMIT -1", "%l" },
	{ "ALTER ROLE %l VALID UNTIL '2001-01-01'", "%l" },
	{ "ALTER ROLE %o LOGIN", "%o" },
	{ "ALTER ROLE %l SET search_path = 'public'", "%l.search_path" },
	{ "ALTER ROLE %l RESET search_path", "%l.search_path" },
	{ "ALTER ROLE %l SET TimeZone = 'Asia/Shanghai'", "%l.TimeZone" },
	{ "ALTER ROLE %l SET DateStyle = 'German'", "%l.DateStyle" },
	{ "ALTER ROLE %l SET work_mem = '1GB'", "%l.work_mem" },
	{ "ALTER ROLE %l IN DATABASE %d SET search_path = 'x'", "%l.search_path@%d" },
	{ "ALTER DATABASE %d SET search_path = 'x'", "search_path@%d" },
	{ "ALTER ROLE %o SET row_security = off", "%o.row_security" },
	{ "SET ROLE modes_ops; GRANT %o TO %l", "%o.%l" },
	{ "SET ROLE modes_ops; GRANT %l TO modes_stranger", "%l.modes_stranger" },
	{ "ALTER DATABASE %d ALLOW_CONNECTIONS false", "%d" },
	{ "ALTER DATABASE %d CONNECTION LIMIT 3", "%d" },
	{ "ALTER DATABASE %d IS_TEMPLATE true", "%d" },
	{ "GRANT CONNECT ON DATABASE %d TO PUBLIC", "%d.PUBLIC" },
	{ "GRANT TEMPORARY ON DATABASE %d TO PUBLIC", "%d.PUBLIC" },
	{ "GRANT CONNECT ON DATABASE %d TO modes_stranger WITH GRANT OPTION", "%d.modes_stranger" },
	{ "GRANT CREATE ON DATABASE %d TO %l", "%d.%l" },
	{ "REVOKE CONNECT ON DATABASE %d FROM %l", "%d.%l" },
};

static void
every_drift_of_roles_is_found_and_mended(void **state)
{
	Room *r = *state;

	psql_must(&r->p, "postgres",
	    "DROP ROLE IF EXISTS modes_stranger; CREATE ROLE modes_stranger LOGIN");
	for (size_t i = 0; i < LENGTH(drifts); i++) {
		Steps steps = { 0 };

		psql_must(&r->p, "postgres", fill(r, drifts[i].sql));
		Changes found = role_changes(&r->p, r->at, ops(r), &steps);

		if (found.n != 1)
			fprintf(stderr, "%s: %zu changes\n", drifts[i].sql, found.n);
		assert_int_equal(found.n, 1);
		assert_string_equal(found.at[0].name, fill(r, drifts[i].name));
		assert_true(found.at[0].drift);
		assert_int_equal(steps.n, 1);
		run_steps(&r->p, r->at, &r->p.vendor, &steps, 20 + (int64_t)i);
		nothing_differs(&r->p, r->at, ops(r));
	}
	psql_must(&r->p, "postgres", "DROP ROLE modes_stranger");
}

static void
what_only_a_superuser_can_mend_is_reported_and_left(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };

	psql_must(&r->p, "postgres",
	    fill(r,
		"ALTER ROLE %l REPLICATION; ALTER ROLE %l SET app.tenant = 'x'; ALTER ROLE %l SET log_statement = 'all';"
		"CREATE ROLE %d_zz"));
	Changes found = role_changes(&r->p, r->at, ops(r), &steps);

	psql_must(&r->p, "postgres",
	    fill(r,
		"ALTER ROLE %l NOREPLICATION; ALTER ROLE %l RESET app.tenant;"
		"ALTER ROLE %l RESET log_statement; DROP ROLE %d_zz"));
	assert_int_equal(found.n, 4);
	assert_int_equal(steps.n, 0);
	for (size_t i = 0; i < found.n; i++)
		assert_true(found.at[i].kept);
	assert_string_equal(found.at[0].note,
	    "only a superuser can take NOSUPERUSER NOREPLICATION NOBYPASSRLS back");
	assert_string_equal(found.at[1].note, "only a superuser can reset it");
	assert_string_equal(found.at[2].note, "only a superuser can reset it");
	assert_string_equal(found.at[3].note, "not made by copyhold: its owner may drop it");
}

static void
a_dropped_login_is_made_anew_with_its_password(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };

	psql_must(&r->p, r->at->dbname, fill(r, "DROP OWNED BY %l; DROP ROLE %l"));
	Changes found = role_changes(&r->p, r->at, ops(r), &steps);

	assert_int_equal(found.n, 6);
	assert_string_equal(found.at[0].what, "role");
	assert_string_equal(found.at[0].name, r->at->logins.at[0].role);
	run_steps(&r->p, r->at, &r->p.vendor, &steps, 58);
	nothing_differs(&r->p, r->at, ops(r));
	assert_true(password_ok(&r->p, r->at, &r->at->logins.at[0], "app-p4ss"));
}

/* Since 16 a grant is its grantor's alone; before that whoever may create roles can take it back. */
static void
a_membership_that_a_superuser_granted_is_mended_where_the_server_lets_us(void **state)
{
	Room *r = *state;
	bool ours = pg_version(r->p.super) < 160000;
	Steps steps = { 0 };

	psql_must(&r->p, "postgres", fill(r, "GRANT pg_monitor TO %l"));
	Changes found = role_changes(&r->p, r->at, ops(r), &steps);

	assert_int_equal(found.n, 1);
	assert_int_equal(found.at[0].kept, !ours);
	assert_int_equal(steps.n, ours);
	run_steps(&r->p, r->at, &r->p.vendor, &steps, 59);
	psql_must(&r->p, "postgres", fill(r, "REVOKE pg_monitor FROM %l"));
	nothing_differs(&r->p, r->at, ops(r));
}

static void
a_database_that_is_gone_is_told_and_not_made_anew(void **state)
{
	Room *r = *state;
	Placement at = *r->at;
	Items seen = { 0 };

	at.dbname = "t_aaaaaaaaaaaa";
	must_fail(&r->p, mode_dedicated.observe(&r->p.cx, r->p.conns, &at, &seen), FAIL_DIFFERENT,
	    "database \"t_aaaaaaaaaaaa\" of tenant \"acme\" is gone from \"bj-1\"");
}

static void
a_changed_password_is_found_and_mended(void **state)
{
	Room *r = *state;
	const Login *login = &r->at->logins.at[0];
	Steps steps = { 0 };

	psql_must(&r->p, "postgres", fill(r, "ALTER ROLE %l PASSWORD 'other'"));
	assert_false(password_ok(&r->p, r->at, login, "app-p4ss"));
	must(&r->p, mode_dedicated.login_steps(&r->p.cx, r->at, login, "rotate", &steps));
	run_steps(&r->p, r->at, &r->p.vendor, &steps, 60);
	assert_true(password_ok(&r->p, r->at, login, "app-p4ss"));
}

/* --- suspend, logins ----------------------------------------------------------------------- */

static void
suspend_ends_the_sessions_and_resume_lets_in_again(void **state)
{
	Room *r = *state;
	Pg *pg = app(r, r->at);
	Steps close = { 0 }, open = { 0 };

	must(&r->p, mode_dedicated.suspend_steps(&r->p.cx, r->at, &close));
	run_steps(&r->p, r->at, &r->p.vendor, &close, 70);
	assert_string_not_equal(sqlstate_of(&r->p, pg, "SELECT 1"), "00000");
	assert_false(password_ok(&r->p, r->at, &r->at->logins.at[0], "app-p4ss"));
	r->at->logins.at[0].on = false;
	nothing_differs(&r->p, r->at, ops(r));
	must(&r->p, mode_dedicated.resume_steps(&r->p.cx, r->at, &open));
	run_steps(&r->p, r->at, &r->p.vendor, &open, 71);
	r->at->logins.at[0].on = true;
	nothing_differs(&r->p, r->at, ops(r));
	assert_true(password_ok(&r->p, r->at, &r->at->logins.at[0], "app-p4ss"));
	undo_steps(&r->p, r->at, &r->p.vendor, &open, 71, 71);
	assert_false(password_ok(&r->p, r->at, &r->at->logins.at[0], "app-p4ss"));
	undo_steps(&r->p, r->at, &r->p.vendor, &close, 70, 71);
	nothing_differs(&r->p, r->at, ops(r));
}

static void
a_login_is_added_rotated_and_removed(void **state)
{
	Room *r = *state;
	Login login = new_login(&r->p, r->at, "report", "report-1");
	Steps add = { 0 }, rotate = { 0 }, drop = { 0 };
	const char *user = "report";

	must(&r->p, mode_dedicated.login_steps(&r->p.cx, r->at, &login, "add", &add));
	vec_push(r->p.cx.mem, &r->at->logins, login);
	run_steps(&r->p, r->at, &r->p.vendor, &add, 80);
	nothing_differs(&r->p, r->at, ops(r));
	assert_true(password_ok(&r->p, r->at, &login, "report-1"));
	r->at->logins.at[1] = new_login(&r->p, r->at, user, "report-2");
	must(&r->p, mode_dedicated.login_steps(&r->p.cx, r->at, &login, "rotate", &rotate));
	run_steps(&r->p, r->at, &r->p.vendor, &rotate, 81);
	assert_true(password_ok(&r->p, r->at, &login, "report-2"));
	must(&r->p, mode_dedicated.login_steps(&r->p.cx, r->at, &login, "remove", &drop));
	run_steps(&r->p, r->at, &r->p.vendor, &drop, 82);
	assert_int_equal(left_of(r, r->at), 3);
	undo_steps(&r->p, r->at, &r->p.vendor, &drop, 82, 82);
	nothing_differs(&r->p, r->at, ops(r));
	assert_true(password_ok(&r->p, r->at, &login, "report-2"));
	undo_steps(&r->p, r->at, &r->p.vendor, &add, 80, 82);
	r->at->logins.n = 1;
	assert_int_equal(left_of(r, r->at), 3);
	nothing_differs(&r->p, r->at, ops(r));
}

/* --- killed, undone, gone ---------------------------------------------------------------------- */

static void
create_in_child(Room *r, const Placement *at, const Step *step)
{
	Ctx cx = ctx_new(NULL);
	StepEnv env = step_env(&r->p, at, &r->p.vendor, step, 100);

	env.conns = conns_new(&cx, r->p.home);
	database_create_act(&cx, &env);
	_exit(0);
}

static void
wait_for_waiting(Room *r, Pg *watcher, const char *dbname)
{
	const char *text = arena_printf(r->p.cx.mem,
	    "SELECT count(*) FROM pg_stat_activity WHERE"
	    " wait_event_type = 'Lock' AND query LIKE 'CREATE DATABASE \"%s\"%%'",
	    dbname);

	while (strcmp(one_value(&r->p, watcher, text), "1") != 0)
		lane_sleep(10);
}

static void
create_database_whose_client_was_killed_is_found_done(void **state)
{
	Room *r = *state;
	Placement *at = new_place(&r->p, MODE_DEDICATED, &r->p.vendor, "killed");
	Pg *holder = super_open(&r->p, "postgres");
	Steps steps = { 0 };
	PlaceWork work = new_work(&r->p, r->model);
	Changes changes = { 0 };
	Probe probe = PROBE_UNDECIDABLE;

	must(&r->p, mode_dedicated.steps(&r->p.cx, at, &work, &changes, &steps));
	StepEnv env = step_env(&r->p, at, &r->p.vendor, &steps.at[0], 100);

	must(&r->p, step_kind("roles.create")->act(&r->p.cx, &env));
	must(&r->p, pg_begin(&r->p.cx, holder));
	must(&r->p,
	    pg_script(
		&r->p.cx, holder, "LOCK TABLE pg_catalog.pg_database IN SHARE ROW EXCLUSIVE MODE"));
	pid_t child = fork();

	if (child == 0)
		create_in_child(r, at, &steps.at[1]);
	wait_for_waiting(r, r->p.super, at->dbname);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	pg_rollback(holder);
	pg_close(holder);
	env = step_env(&r->p, at, &r->p.vendor, &steps.at[1], 100);
	must(&r->p, database_create_probe(&r->p.cx, &env, &probe));
	assert_int_equal(probe, PROBE_DONE);
	nothing_differs(&r->p, at, ops(r));
	undo_steps(&r->p, at, &r->p.vendor, &steps, 100, 100);
	assert_int_equal(left_of(r, at), 0);
}

static void
an_undo_leaves_nothing_and_forgives_what_was_never_done(void **state)
{
	Room *r = *state;
	Placement *at = new_place(&r->p, MODE_DEDICATED, &r->p.vendor, "undone");
	Steps steps = { 0 };

	make(r, at, &steps, 110);
	assert_int_equal(left_of(r, at), 3);
	undo_steps(&r->p, at, &r->p.vendor, &steps, 110, 110);
	assert_int_equal(left_of(r, at), 0);
}

static void
a_late_holder_with_a_lower_fence_creates_and_drops_nothing(void **state)
{
	Room *r = *state;
	Placement *at = new_place(&r->p, MODE_DEDICATED, &r->p.vendor, "late");
	Steps steps = { 0 }, purge = { 0 };

	make(r, at, &steps, 121);
	for (size_t i = 0; i < 2; i++) {
		StepEnv env = step_env(&r->p, at, &r->p.vendor, &steps.at[i], 120);

		must_fail(&r->p, step_kind(env.step->kind)->act(&r->p.cx, &env), FAIL_FENCED, NULL);
		must_fail(
		    &r->p, step_kind(env.step->kind)->undo(&r->p.cx, &env), FAIL_FENCED, NULL);
	}
	must(&r->p, mode_dedicated.purge_steps(&r->p.cx, at, false, &purge));
	StepEnv env = step_env(&r->p, at, &r->p.vendor, &purge.at[0], 120);

	must_fail(&r->p, database_drop_act(&r->p.cx, &env), FAIL_FENCED, NULL);
	assert_int_equal(left_of(r, at), 3);
	undo_steps(&r->p, at, &r->p.vendor, &steps, 121, 121);
}

static void
a_foreign_database_of_the_name_is_neither_taken_nor_dropped(void **state)
{
	Room *r = *state;
	Placement *at = new_place(&r->p, MODE_DEDICATED, &r->p.vendor, "foreign");
	Steps steps = { 0 };
	PlaceWork work = new_work(&r->p, r->model);
	Changes changes = { 0 };
	const char *what = arena_printf(r->p.cx.mem,
	    "a database \"%s\" owned by \"postgres\" is on \"bj-1\" already", at->dbname);

	psql_must(&r->p, "postgres", arena_printf(r->p.cx.mem, "CREATE DATABASE %s", at->dbname));
	must(&r->p, mode_dedicated.steps(&r->p.cx, at, &work, &changes, &steps));
	StepEnv env = step_env(&r->p, at, &r->p.vendor, &steps.at[1], 130);

	must_fail(&r->p, database_create_act(&r->p.cx, &env), FAIL_EXISTS, what);
	must_fail(&r->p, database_create_undo(&r->p.cx, &env), FAIL_EXISTS, what);
	psql_must(&r->p, "postgres", arena_printf(r->p.cx.mem, "DROP DATABASE %s", at->dbname));
}

static void
a_purge_leaves_the_fence_and_nothing_else(void **state)
{
	Room *r = *state;
	Steps purge = { 0 };
	Pg *inside = app(r, r->at);
	int64_t fence = 0;

	must_fail(&r->p, mode_dedicated.purge_steps(&r->p.cx, r->at, true, &purge), FAIL_REFUSED,
	    "tenant \"acme\" is on the vendor's cluster \"bj-1\": there is nobody to hand it back to");
	must(&r->p, mode_dedicated.purge_steps(&r->p.cx, r->at, false, &purge));
	run_steps(&r->p, r->at, &r->p.vendor, &purge, 140);
	assert_int_equal(left_of(r, r->at), 0);
	must(&r->p, mode_dedicated.highest_fence(&r->p.cx, r->p.conns, r->at, &fence));
	assert_int_equal(fence, 140);
	pg_close(inside);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_on_a_shared_server_tell_nothing),
		cmocka_unit_test(names_on_a_customers_server_are_the_tenants_and_fit_63_bytes),
		cmocka_unit_test(the_script_runs_twice_and_prints_no_password),
		cmocka_unit_test(odd_names_in_the_script_stay_names),
		cmocka_unit_test(the_script_refuses_to_make_a_superuser_less),
		cmocka_unit_test(what_is_missing_is_found_before_the_first_change),
		cmocka_unit_test(another_homes_cluster_is_refused),
		cmocka_unit_test(a_tenant_is_made_as_expected_and_its_login_works),
		cmocka_unit_test(the_login_finds_its_objects_and_settings),
		cmocka_unit_test(rows_are_loaded_with_the_tenants_own_rights),
		cmocka_unit_test(a_tenants_login_gets_into_no_other_database),
		cmocka_unit_test(the_hardened_template_forbids_what_reaches_further),
		cmocka_unit_test(the_hardened_template_allows_what_tools_need),
		cmocka_unit_test(psql_and_pg_dump_work_in_a_tenants_database),
		cmocka_unit_test(every_drift_of_roles_is_found_and_mended),
		cmocka_unit_test(what_only_a_superuser_can_mend_is_reported_and_left),
		cmocka_unit_test(a_dropped_login_is_made_anew_with_its_password),
		cmocka_unit_test(
		    a_membership_that_a_superuser_granted_is_mended_where_the_server_lets_us),
		cmocka_unit_test(a_database_that_is_gone_is_told_and_not_made_anew),
		cmocka_unit_test(a_changed_password_is_found_and_mended),
		cmocka_unit_test(suspend_ends_the_sessions_and_resume_lets_in_again),
		cmocka_unit_test(a_login_is_added_rotated_and_removed),
		cmocka_unit_test(create_database_whose_client_was_killed_is_found_done),
		cmocka_unit_test(an_undo_leaves_nothing_and_forgives_what_was_never_done),
		cmocka_unit_test(a_late_holder_with_a_lower_fence_creates_and_drops_nothing),
		cmocka_unit_test(a_foreign_database_of_the_name_is_neither_taken_nor_dropped),
		cmocka_unit_test(a_purge_leaves_the_fence_and_nothing_else),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

#include <spawn.h>

#include "tests/unit/core/room.h"

static const Sql EVENTS = { "events",
	"SELECT bytes, prev_hash, actor, reason, tenant FROM event ORDER BY seq", 0 };
static const Sql LOG = { "log", "SELECT count(*) FROM route_log", 0 };

static TenantRecord
tenant(const char *name, TenantState state)
{
	return (TenantRecord){ .name = name,
		.id = name,
		.display = "环球",
		.state = state,
		.mode = MODE_DEDICATED,
		.cluster = "c1",
		.dbname = "t_x",
		.owner = "t_x_o",
		.model = "crm",
		.model_version = 3,
		.shape = "",
		.spec_hash = "h",
		.purge_after = 5,
		.changed_run = 7 };
}

static void
a_tenant_is_read_as_it_was_written(void **state)
{
	Room *r = *state;
	TenantRecord in = tenant("acme", TENANT_SUSPENDED), out;
	int64_t n;

	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &in));
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &out));
	assert_string_equal(out.display, "环球");
	assert_int_equal(out.state, TENANT_SUSPENDED);
	assert_int_equal(out.mode, MODE_DEDICATED);
	assert_int_equal(out.model_version, 3);
	assert_int_equal(out.purge_after, 5);
	assert_int_equal(out.changed_run, 7);
	ok(&r->cx, catalog_tenants_on(&r->cx, r->home, "c1", &n));
	assert_int_equal(n, 1);
	ok(&r->cx, catalog_tenant_state(&r->cx, r->home, "acme", TENANT_SEALED, 9));
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &out));
	assert_string_equal(tenant_state_name(out.state), "sealed");
	assert_int_equal(out.purge_after, 9);
}

static void
a_wrong_name_gets_the_nearest_one(void **state)
{
	Room *r = *state;
	TenantRecord in = tenant("globex", TENANT_ACTIVE), out;
	Cluster *cluster;

	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &in));
	assert_false(catalog_tenant(&r->cx, r->home, "globx", &out));
	assert_string_equal(fail_text(r->cx.mem, r->cx.fail),
	    "error[not-found]: there is no tenant "
	    "\"globx\"\n  hint:  Did you mean \"globex\"?\n");
	fail_clear(&r->cx);
	refused(&r->cx, catalog_cluster(&r->cx, r->home, "c1", &cluster), FAIL_NOT_FOUND,
	    "there is no cluster \"c1\"");
}

static void
an_object_knows_its_spec_and_goes_when_it_is_removed(void **state)
{
	Room *r = *state;
	char *spec, *hash;
	Names names;

	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Region", "eu", "{1}", "h1"));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Region", "eu", "{2}", "h2"));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Region", "cn", "{3}", "h3"));
	ok(&r->cx, catalog_object(&r->cx, r->home, "Region", "eu", &spec, &hash));
	assert_string_equal(spec, "{2}");
	assert_string_equal(hash, "h2");
	ok(&r->cx, catalog_object_names(&r->cx, r->home, "Region", &names));
	assert_int_equal(names.n, 2);
	assert_string_equal(names.at[0], "cn");
	ok(&r->cx, catalog_object_remove(&r->cx, r->home, "Region", "eu"));
	ok(&r->cx, catalog_object(&r->cx, r->home, "Region", "eu", &spec, &hash));
	assert_null(spec);
}

static void
an_epoch_only_grows_even_when_its_route_was_removed(void **state)
{
	Room *r = *state;
	RouteRecord route;
	bool found;
	static const int64_t fences[] = { 1, 1, 10, 2 }, epochs[] = { 1, 2, 10, 11 };

	for (size_t i = 0; i < LENGTH(fences); i++) {
		ok(&r->cx,
		    catalog_route_set(
			&r->cx, r->home, "acme", fences[i], i % 2 ? "off" : "open", "c1", "d"));
		ok(&r->cx, catalog_route(&r->cx, r->home, "acme", &route, &found));
		assert_int_equal(route.epoch, epochs[i]);
		assert_int_equal(route.seq, i + 1);
		assert_string_equal(route.state, i % 2 ? "off" : "open");
	}
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "acme", 1, "open", "c1", "d"));
	ok(&r->cx, catalog_route(&r->cx, r->home, "acme", &route, &found));
	assert_int_equal(route.epoch, 12);
}

static void
routes_raised_after_a_restore_stand_in_the_log_that_gateways_follow(void **state)
{
	Room *r = *state;
	RouteRecords routes;
	LiteRows *rows;

	ok(&r->cx, catalog_route_set(&r->cx, r->home, "a", 1, "open", "c1", "d"));
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "b", 1, "open", "c1", "d"));
	ok(&r->cx, catalog_raise_floors(&r->cx, r->home, 20));
	ok(&r->cx, catalog_routes(&r->cx, r->home, &routes));
	assert_int_equal(routes.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(routes.at[i].epoch, 22);
		assert_int_equal(routes.at[i].seq, 3 + i);
	}
	ok(&r->cx, lite_query(&r->cx, r->home->db, &LOG, &rows, ""));
	assert_true(lite_next(rows));
	assert_int_equal(lite_int(rows, 0), 4);
	ok(&r->cx, lite_end(&r->cx, rows));
}

static void
a_forgotten_tenant_takes_its_logins_route_and_manifest_along(void **state)
{
	Room *r = *state;
	TenantRecord in = tenant("acme", TENANT_PURGING);
	Secret password = secret_new(r->cx.mem, "x", 1), out;
	Login login = { .user = "app", .role = "t_x_app", .verifier = "v", .on = true };
	RouteRecord route;
	char *spec, *hash;
	bool found;

	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &in));
	ok(&r->cx, catalog_login_put(&r->cx, r->home, "acme", &login, &password));
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "acme", 1, "off", "c1", "d"));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Tenant", "acme", "{}", "h"));
	ok(&r->cx, catalog_tenant_forget(&r->cx, r->home, "acme"));
	refused(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &out),
	    FAIL_NOT_FOUND, "tenant \"acme\" has no login \"app\"");
	ok(&r->cx, catalog_route(&r->cx, r->home, "acme", &route, &found));
	assert_false(found);
	ok(&r->cx, catalog_object(&r->cx, r->home, "Tenant", "acme", &spec, &hash));
	assert_null(spec);
}

static void
a_login_needs_its_tenant(void **state)
{
	Room *r = *state;
	Secret password = secret_new(r->cx.mem, "x", 1);
	Login login = { .user = "app", .role = "t_x_app", .verifier = "v" };

	assert_false(catalog_login_put(&r->cx, r->home, "nobody", &login, &password));
	assert_string_equal(r->cx.fail->cause, "SQLITE_CONSTRAINT_FOREIGNKEY");
}

static int
verify_chain(Room *r)
{
	LiteRows *rows;
	char *prev = arena_dup(r->cx.mem, "");
	int n = 0;

	ok(&r->cx, lite_query(&r->cx, r->home->db, &EVENTS, &rows, ""));
	for (; lite_next(rows); n++) {
		Bytes bytes = lite_bytes(rows, 0);
		assert_string_equal(lite_text(rows, 1), prev);
		prev = sha256_hex(r->cx.mem, bytes.at, bytes.n);
	}
	ok(&r->cx, lite_end(&r->cx, rows));
	return n;
}

static void
an_event_says_who_did_what_and_why(void **state)
{
	Room *r = *state;
	Event e = { .tenant = "acme",
		.run = 3,
		.step = 4,
		.verb = "secret.read",
		.object = "login/acme/app",
		.outcome = "ok" };
	LiteRows *rows;
	Js *event;

	r->home->reason = "ticket 7";
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	ok(&r->cx, lite_query(&r->cx, r->home->db, &EVENTS, &rows, ""));
	assert_true(lite_next(rows));
	Bytes bytes = lite_bytes(rows, 0);
	ok(&r->cx, js_parse(&r->cx, (const char *)bytes.at, bytes.n, &event));
	assert_string_equal(js_get_text(event, "actor"), r->home->actor);
	assert_string_equal(js_get_text(event, "reason"), "ticket 7");
	assert_string_equal(js_get_text(event, "verb"), "secret.read");
	assert_string_equal(lite_text(rows, 3), "ticket 7");
	assert_memory_equal(bytes.at, js_canonical(r->cx.mem, event), bytes.n);
	ok(&r->cx, lite_end(&r->cx, rows));
}

static void
an_event_goes_with_the_transaction_that_it_tells_of(void **state)
{
	Room *r = *state;
	Event e = { .verb = "x", .object = "y", .outcome = "ok" };

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	lite_rollback(r->home->db);
	assert_int_equal(verify_chain(r), 0);
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	assert_int_equal(verify_chain(r), 1);
}

static void
two_processes_do_not_fork_the_chain_of_events(void **state)
{
	Room *r = *state;
	char *argv[] = { (char *)"self", (char *)"child", r->dir, (char *)"events", NULL };
	extern char **environ;
	Event e = { .verb = "parent", .object = "y", .outcome = "ok" };
	int status;
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	for (int i = 0; i < 300; i++)
		ok(&r->cx, event_write(&r->cx, r->home, &e));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(verify_chain(r), 600);
}

static int
child(const char *dir)
{
	Ctx cx = ctx_new(NULL);
	Event e = { .verb = "child", .object = "y", .outcome = "ok" };
	Home *home;
	bool done = home_open(&cx, arena_printf(cx.mem, "%s/home", dir), ACCESS_WRITES, &home);

	for (int i = 0; done && i < 300; i++)
		done = event_write(&cx, home, &e);
	arena_free(cx.mem);
	return done ? 0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2]);
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_tenant_is_read_as_it_was_written),
		T(a_wrong_name_gets_the_nearest_one),
		T(an_object_knows_its_spec_and_goes_when_it_is_removed),
		T(an_epoch_only_grows_even_when_its_route_was_removed),
		T(routes_raised_after_a_restore_stand_in_the_log_that_gateways_follow),
		T(a_forgotten_tenant_takes_its_logins_route_and_manifest_along),
		T(a_login_needs_its_tenant),
		T(an_event_says_who_did_what_and_why),
		T(an_event_goes_with_the_transaction_that_it_tells_of),
		T(two_processes_do_not_fork_the_chain_of_events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

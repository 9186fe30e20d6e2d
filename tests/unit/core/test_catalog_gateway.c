#include <sys/socket.h>

#include "lib/base/local.h"
#include "lib/core/ring.h"
#include "tests/unit/core/estate.h"

static const Sql BEFORE = { "before",
	"INSERT INTO tenant (name, id, state, mode, cluster, dbname, owner, model, model_version, "
	"shape, spec_hash) VALUES ('old', 'x', 'active', 'shared', 'c1', 'd', 'o', 'm', 1, '', '')",
	0 };
static const Sql BEFORE_LOGIN = { "before_login",
	"INSERT INTO login (tenant, client_user, role, access, scram_verifier, sealed) "
	"VALUES ('old', 'app', 'r', 'rw', 'v', x'00')",
	0 };
static const Sql BEFORE_ROUTES = { "before_routes",
	"INSERT INTO route (tenant, epoch, seq, state, cluster, dbname) VALUES "
	"('old', 4, 9, 'open', 'c1', 'd'), ('gone', 1, 2, 'off', 'c1', 'd')",
	0 };
static const Sql BEFORE_LOG = { "before_log",
	"INSERT INTO route_log (tenant, epoch) VALUES ('old', 1), ('gone', 1), ('old', 4)", 0 };
static const Sql BEFORE_CLUSTER = { "before_cluster",
	"INSERT INTO object (kind, name, spec, hash) VALUES ('Cluster', 'c2', '', ''), "
	"('Cluster', 'c1', '', '')",
	0 };
static const Sql LOG = { "log", "SELECT tenant || ' ' || epoch FROM route_log ORDER BY seq", 0 };

static Plan *
acme(Room *r)
{
	return estate_plan(r,
	    arena_printf(r->cx.mem, "%s%s", estate_model(r, 1, "name"),
		estate_tenant(r, "acme", "cluster: eu-1")));
}

static bool
recorded(Room *r, const Steps *steps, size_t i, bool back)
{
	const StepKind *kind = step_kind(steps->at[i].kind);
	StepEnv env = { .home = r->home, .run = 9, .fence = 4, .step = &steps->at[i] };

	return back ? kind->unrecord(&r->cx, &env) : kind->record(&r->cx, &env);
}

static char *
client_password(Room *r, const char *user, bool *own)
{
	Secret out;

	ok(&r->cx, catalog_client_password(&r->cx, r->home, "acme", user, &out, own));
	return out.text;
}

static LoginClient
client(Room *r, const char *tenant, const char *user)
{
	LoginClient out;
	bool found;

	ok(&r->cx, catalog_client(&r->cx, r->home, tenant, user, &out, &found));
	assert_true(found);
	return out;
}

static void
a_login_has_one_password_for_the_server_and_another_for_the_gateway(void **state)
{
	Room *r = *state;
	Secret role;
	bool own;

	estate_run(r, acme(r));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &role));
	assert_string_not_equal(client_password(r, "app", &own), role.text);
	assert_true(own);
	LoginClient c = client(r, "acme", "app");
	assert_true(c.own);
	assert_string_not_equal(c.verifier, c.role_verifier);
	assert_memory_equal(c.verifier, "SCRAM-SHA-256$4096:", 19);
}

static void
a_login_that_is_put_again_keeps_its_password_for_the_gateway(void **state)
{
	Room *r = *state;
	Secret mended = secret_new(r->cx.mem, "mended", 6), role;
	Login login = {
		.user = "app", .role = "r", .verifier = "SCRAM-SHA-256$mended", .on = true
	};
	bool own;

	estate_run(r, acme(r));
	char *before = client_password(r, "app", &own);
	ok(&r->cx, catalog_login_put(&r->cx, r->home, "acme", &login, &mended));
	assert_string_equal(client_password(r, "app", &own), before);
	assert_true(own);
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &role));
	assert_string_equal(role.text, "mended");
}

static void
a_rotation_renews_both_passwords_and_its_undo_brings_both_back(void **state)
{
	Room *r = *state;
	Plan *plan;
	bool own, found;
	Secret left;

	estate_run(r, acme(r));
	char *before = client_password(r, "app", &own);
	ok(&r->cx, plan_login(&r->cx, r->home, "acme", &(Login){ .user = "app" }, "rotate", &plan));
	ok(&r->cx, recorded(r, &plan->steps, 0, false));
	assert_string_not_equal(client_password(r, "app", &own), before);
	ok(&r->cx, recorded(r, &plan->steps, 0, true));
	assert_string_equal(client_password(r, "app", &own), before);
	ok(&r->cx, catalog_secret_get(&r->cx, r->home, "previous/acme/app/client", &left, &found));
	assert_false(found);
	ok(&r->cx, recorded(r, &plan->steps, 0, false));
	char *after = client_password(r, "app", &own);
	ok(&r->cx, recorded(r, &plan->steps, plan->steps.n - 1, false));
	assert_string_equal(client_password(r, "app", &own), after);
	ok(&r->cx, catalog_secret_get(&r->cx, r->home, "previous/acme/app/client", &left, &found));
	assert_false(found);
}

static void
a_login_of_before_uses_the_roles_password_until_it_is_rotated(void **state)
{
	Room *r = *state;
	Secret role;
	Plan *plan;
	bool own;

	estate_run(r, acme(r));
	ok(&r->cx,
	    catalog_client_put(
		&r->cx, r->home, "acme", "app", &(ClientPassword){ .verifier = NULL }));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &role));
	assert_string_equal(client_password(r, "app", &own), role.text);
	assert_false(own);
	LoginClient c = client(r, "acme", "app");
	assert_false(c.own);
	assert_string_equal(c.verifier, c.role_verifier);
	ok(&r->cx, plan_login(&r->cx, r->home, "acme", &(Login){ .user = "app" }, "rotate", &plan));
	ok(&r->cx, recorded(r, &plan->steps, 0, false));
	client_password(r, "app", &own);
	assert_true(own);
	ok(&r->cx, recorded(r, &plan->steps, 0, true));
	client_password(r, "app", &own);
	assert_false(own);
}

static void
a_login_that_is_added_with_limits_has_them_and_keeps_them(void **state)
{
	Room *r = *state;
	const Login batch = { .user = "batch", .valid_until = 4711, .max_conns = 3 };
	Plan *plan;

	estate_run(r, acme(r));
	ok(&r->cx, plan_login(&r->cx, r->home, "acme", &batch, "add", &plan));
	estate_run(r, plan);
	ok(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "batch" }, "rotate", &plan));
	estate_run(r, plan);
	LoginClient c = client(r, "acme", "batch");
	assert_int_equal(c.valid_until, 4711);
	assert_int_equal(c.max_conns, 3);
}

static void
a_catalogue_of_before_gets_numbers_and_the_newest_of_its_log(void **state)
{
	Room *r = *state;
	Ctx cx = ctx_new(r->cx.mem);
	Home home = { .mem = cx.mem };
	GateRoutes routes;
	GateClusters clusters;
	LoginClient login;
	LiteRows *rows;
	bool found;

	ok(&cx, lite_open(&cx, arena_printf(cx.mem, "%s/old.db", r->dir), LITE_CREATE, &home.db));
	ok(&cx, lite_migrate(&cx, home.db, catalog_migrations, 4));
	ok(&cx, lite_do(&cx, home.db, &BEFORE, ""));
	ok(&cx, lite_do(&cx, home.db, &BEFORE_LOGIN, ""));
	ok(&cx, lite_do(&cx, home.db, &BEFORE_ROUTES, ""));
	ok(&cx, lite_do(&cx, home.db, &BEFORE_LOG, ""));
	ok(&cx, lite_do(&cx, home.db, &BEFORE_CLUSTER, ""));
	ok(&cx, lite_migrate(&cx, home.db, catalog_migrations, catalog_migrations_n));
	ok(&cx, catalog_gate_routes(&cx, &home, "old", &routes));
	assert_int_equal(routes.n, 1);
	assert_int_equal(routes.at[0].number, 2);
	assert_int_equal(routes.at[0].epoch, 4);
	assert_int_equal(routes.at[0].cluster, 1);
	assert_true(routes.at[0].guarded);
	assert_false(routes.at[0].transaction);
	ok(&cx, catalog_gate_clusters(&cx, &home, &clusters));
	assert_int_equal(clusters.n, 2);
	assert_string_equal(clusters.at[0].name, "c1");
	ok(&cx, catalog_client(&cx, &home, "old", "app", &login, &found));
	assert_true(found);
	assert_string_equal(login.verifier, "v");
	ok(&cx, lite_query(&cx, home.db, &LOG, &rows, ""));
	assert_true(lite_next(rows));
	assert_string_equal(lite_text(rows, 0), "gone 1");
	assert_true(lite_next(rows));
	assert_string_equal(lite_text(rows, 0), "old 4");
	assert_false(lite_next(rows));
	ok(&cx, lite_end(&cx, rows));
	arena_free(cx.mem);
}

/* --- what gateways must see ---------------------------------------------------------- */

static int64_t
seen(Room *r, int64_t since, const char *names)
{
	GateChanges changes;
	Buf b = buf_new(r->cx.mem);

	ok(&r->cx, catalog_gate_changes(&r->cx, r->home, since, &changes));
	for (size_t i = 0; i < changes.n; i++)
		buf_fmt(&b, "%s%s", i ? " " : "", changes.at[i].name);
	assert_string_equal(b.text, names);
	return changes.n ? changes.at[changes.n - 1].seq : since;
}

static void
every_change_that_a_gateway_must_see_stands_in_the_log(void **state)
{
	Room *r = *state;
	Secret x = secret_new(r->cx.mem, "x", 1);
	Login more = { .user = "more", .role = "r2", .verifier = "v", .on = true };
	char *spec, *hash;
	bool done;
	int64_t at;

	estate_run(r, acme(r));
	at = seen(r, 0, "@eu-1 @eu-2 acme");
	ok(&r->cx, catalog_login_put(&r->cx, r->home, "acme", &more, &x));
	at = seen(r, at, "acme");
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "acme", "more", false));
	at = seen(r, at, "acme");
	ok(&r->cx, catalog_login_remove(&r->cx, r->home, "acme", "more"));
	at = seen(r, at, "acme");
	ok(&r->cx, catalog_tenant_state(&r->cx, r->home, "acme", TENANT_SUSPENDED, 0));
	at = seen(r, at, "acme");
	ok(&r->cx, catalog_tenant_state(&r->cx, r->home, "acme", TENANT_SUSPENDED, 0));
	at = seen(r, at, "");
	ok(&r->cx, catalog_tenant_touch(&r->cx, r->home, "acme", 77));
	at = seen(r, at, "");
	ok(&r->cx, catalog_route_park(&r->cx, r->home, "acme", INT64_MAX, &done));
	assert_true(done);
	at = seen(r, at, "acme");
	ok(&r->cx, catalog_route_release(&r->cx, r->home, "acme", &done));
	assert_true(done);
	at = seen(r, at, "acme");
	ok(&r->cx, catalog_route_release(&r->cx, r->home, "acme", &done));
	assert_false(done);
	at = seen(r, at, "");
	ok(&r->cx, catalog_object(&r->cx, r->home, "Cluster", "eu-1", &spec, &hash));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", "eu-1", spec, hash));
	at = seen(r, at, "");
	ok(&r->cx,
	    catalog_object_put(
		&r->cx, r->home, "Cluster", "eu-1", arena_printf(r->cx.mem, "%s ", spec), hash));
	at = seen(r, at, "@eu-1");
	ok(&r->cx, catalog_object_remove(&r->cx, r->home, "Cluster", "eu-2"));
	at = seen(r, at, "@eu-2");
	ok(&r->cx, catalog_tenant_forget(&r->cx, r->home, "acme"));
	seen(r, at, "acme");
}

static void
a_hold_whose_time_is_over_reads_as_open(void **state)
{
	Room *r = *state;
	RouteRecord route;
	bool done;

	estate_run(r, acme(r));
	ok(&r->cx, catalog_route_park(&r->cx, r->home, "acme", clock_wall_ms() + 60000, &done));
	ok(&r->cx, catalog_route(&r->cx, r->home, "acme", &route, &done));
	assert_string_equal(route.state, "park");
	ok(&r->cx, catalog_route_park(&r->cx, r->home, "acme", clock_wall_ms() - 1, &done));
	ok(&r->cx, catalog_route(&r->cx, r->home, "acme", &route, &done));
	assert_string_equal(route.state, "open");
	assert_int_equal(route.parked_until, 0);
}

static void
numbers_of_clusters_fill_the_gaps(void **state)
{
	Room *r = *state;
	GateClusters all;

	for (const char *const *name = (const char *const[]){ "a", "b", "c", NULL }; *name; name++)
		ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", *name, "{}", "h"));
	ok(&r->cx, catalog_object_remove(&r->cx, r->home, "Cluster", "b"));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", "d", "{}", "h"));
	ok(&r->cx, catalog_gate_clusters(&r->cx, r->home, &all));
	assert_int_equal(all.n, 3);
	assert_string_equal(all.at[0].name, "a");
	assert_string_equal(all.at[1].name, "d");
	assert_string_equal(all.at[2].name, "c");
}

/* --- gateways ------------------------------------------------------------------------ */

static void
put_gateway(Room *r, const char *id, int64_t since, int64_t until)
{
	const GatewayRecord g = { .id = id,
		.pid = 7,
		.address = "127.0.0.1:6432",
		.since = since,
		.lease_until = until };

	ok(&r->cx, catalog_gateway_put(&r->cx, r->home, &g));
}

static void
a_gateway_is_listed_as_long_as_its_lease_stands(void **state)
{
	Room *r = *state;
	GatewayRecords all;
	bool there;
	int64_t now = clock_wall_ms();

	put_gateway(r, "gw-b", 20, now + 60000);
	put_gateway(r, "gw-a", 30, now + 60000);
	put_gateway(r, "gw-dead", 10, now - 1);
	ok(&r->cx, catalog_gateways(&r->cx, r->home, &all));
	assert_int_equal(all.n, 2);
	assert_string_equal(all.at[0].id, "gw-b");
	assert_string_equal(all.at[0].address, "127.0.0.1:6432");
	ok(&r->cx, catalog_gateway_renew(&r->cx, r->home, "gw-dead", now + 60000, &there));
	assert_true(there);
	ok(&r->cx, catalog_gateway_remove(&r->cx, r->home, "gw-b"));
	ok(&r->cx, catalog_gateway_renew(&r->cx, r->home, "gw-b", now + 60000, &there));
	assert_false(there);
	ok(&r->cx, catalog_gateways(&r->cx, r->home, &all));
	assert_int_equal(all.n, 2);
	assert_string_equal(all.at[0].id, "gw-dead");
}

static int
rings(int fd)
{
	char bytes[8];
	int n = 0;

	while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

static void
a_commit_that_changes_routes_rings_at_each_gateway_and_others_do_not(void **state)
{
	Room *r = *state;
	const char *folder = arena_printf(r->cx.mem, "%s/" RING_FOLDER, r->home_dir);
	int a, b;

	estate_run(r, acme(r));
	ok(&r->cx, file_make_dirs(&r->cx, folder, 0700));
	ok(&r->cx, local_open(&r->cx, folder, "gw-a.ring", SOCK_DGRAM, 0600, &a));
	ok(&r->cx, local_open(&r->cx, folder, "gw-b.ring", SOCK_DGRAM, 0600, &b));
	put_gateway(r, "gw-a", 1, clock_wall_ms() + 60000);
	put_gateway(r, "gw-b", 1, clock_wall_ms() + 60000);
	put_gateway(r, "gw-c", 1, clock_wall_ms() + 60000);
	ok(&r->cx, catalog_tenant_touch(&r->cx, r->home, "acme", 5));
	assert_int_equal(rings(a), 0);
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "acme", "app", false));
	assert_int_equal(rings(a), 1);
	assert_int_equal(rings(b), 1);
	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "acme", "app", true));
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "acme", "app", false));
	assert_int_equal(rings(a), 0);
	ok(&r->cx, lite_commit(&r->cx, r->home->db));
	assert_int_equal(rings(a), 1);
	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "acme", "app", true));
	lite_rollback(r->home->db);
	ok(&r->cx, catalog_tenant_touch(&r->cx, r->home, "acme", 6));
	assert_int_equal(rings(a), 0);
	close(a);
	close(b);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, estate_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_login_has_one_password_for_the_server_and_another_for_the_gateway),
		T(a_login_that_is_put_again_keeps_its_password_for_the_gateway),
		T(a_rotation_renews_both_passwords_and_its_undo_brings_both_back),
		T(a_login_of_before_uses_the_roles_password_until_it_is_rotated),
		T(a_login_that_is_added_with_limits_has_them_and_keeps_them),
		T(a_catalogue_of_before_gets_numbers_and_the_newest_of_its_log),
		T(every_change_that_a_gateway_must_see_stands_in_the_log),
		T(a_hold_whose_time_is_over_reads_as_open),
		T(numbers_of_clusters_fill_the_gaps),
		T(a_gateway_is_listed_as_long_as_its_lease_stands),
		T(a_commit_that_changes_routes_rings_at_each_gateway_and_others_do_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

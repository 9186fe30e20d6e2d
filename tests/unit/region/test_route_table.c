#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "region/gateway/link.h"
#include "region/route/table.h"
#include "tests/unit/core/room.h"

#define N 20000

/* As many tenants as there are numbers, each with a route and a login. */
static const Sql TENANTS = { "tenants",
	"INSERT INTO tenant (name, id, state, mode, cluster, dbname, owner, model, model_version, "
	"shape, spec_hash) WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE "
	"i < ?1) SELECT 't' || i, 'id' || i, 'active', CASE i % 2 WHEN 0 THEN 'shared' ELSE "
	"'dedicated' END, 'c1', 't_abcdefghijkl' || i, 'o', 'm', 1, '', '' FROM n",
	1 };
static const Sql ROUTES = { "routes",
	"INSERT INTO route (tenant, epoch, seq, state, cluster, dbname, number) "
	"SELECT name, 1, 1, 'open', 'c1', dbname, row_number() OVER (ORDER BY name) FROM tenant",
	0 };
static const Sql LOGINS = { "logins",
	"INSERT INTO login (tenant, client_user, role, access, scram_verifier, sealed) "
	"SELECT name, 'app', dbname || '_app', 'rw', 'v', x'00' FROM tenant",
	0 };
static const Sql MODE = { "mode", "UPDATE tenant SET mode = 'shared' WHERE name = ?1", 1 };

static const Sql LIMITS = { "limits",
	"UPDATE login SET valid_until = 77, max_conns = 3 WHERE tenant = ?1", 1 };

static void
fill(Room *r, int64_t n)
{
	static const char cluster[] =
	    "{\"spec\":{\"connect\":{\"host\":\"a.example\"},\"region\":\"eu\","
	    "\"gateway\":{\"connections\":70}}}";

	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", "c1", cluster, "h"));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &TENANTS, "i", n));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &LOGINS, ""));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &ROUTES, ""));
}

static RouteTable *
open_table(Room *r, int64_t *seq)
{
	RouteTable *t;
	int fd;

	ok(&r->cx, route_snapshot(&r->cx, r->home, &fd, seq));
	ok(&r->cx, route_table_open(&r->cx, fd, &t));
	return t;
}

/* What has changed since, as a worker is told it. */
static void
follow(Room *r, RouteTable *t)
{
	RouteDeltas d;
	char tenant[ROUTE_TENANT];

	ok(&r->cx, route_changes(&r->cx, r->home, route_table_seq(t), &d));
	for (size_t i = 0; i < d.n; i++)
		ok(&r->cx, route_table_change(&r->cx, t, d.at[i].bytes, d.at[i].n, tenant));
	assert_int_equal(route_table_seq(t), d.seq);
}

static void
every_route_is_found_with_its_login_and_no_other(void **state)
{
	Room *r = *state;
	int64_t seq;
	Route route;
	RouteLogin login;
	char name[32];

	fill(r, 300);
	RouteTable *t = open_table(r, &seq);
	assert_int_equal(route_table_count(t), 300);
	for (int i = 1; i <= 300; i++) {
		snprintf(name, sizeof name, "t%d", i);
		assert_true(route_find(t, name, &route));
		assert_string_equal(route.tenant, name);
		assert_string_equal(route.dbname, arena_printf(r->cx.mem, "t_abcdefghijkl%d", i));
		assert_int_equal(route.state, ROUTE_OPEN);
		assert_int_equal(route.guarded, i % 2 == 0);
		assert_int_equal(route.pool, POOL_SESSION);
		assert_int_equal(route.cluster, 1);
		assert_int_equal(route.logins, 1);
		assert_true(route_login(t, name, "app", &login));
		assert_string_equal(login.role, arena_printf(r->cx.mem, "t_abcdefghijkl%d_app", i));
		assert_true(login.on);
		assert_false(route_login(t, name, "ap", &login));
		assert_false(route_login(t, name, "", &login));
	}
	assert_false(route_find(t, "t301", &route));
	assert_false(route_find(t, "", &route));
	assert_false(route_find(t, arena_printf(r->cx.mem, "%0*d", 5000, 1), &route));
}

static void
routes_of_a_list_are_each_there_once(void **state)
{
	Room *r = *state;
	int64_t seq;
	Route route;
	bool seen[101] = { false };
	bool parked;

	fill(r, 100);
	RouteTable *t = open_table(r, &seq);
	ok(&r->cx, catalog_route_park(&r->cx, r->home, "t7", 99, &parked));
	assert_true(parked);
	follow(r, t);
	for (size_t i = 0; i < route_table_count(t); i++) {
		if (!route_at(t, i, &route))
			continue;
		int n = (int)strtol(route.tenant + 1, NULL, 10);
		assert_false(seen[n]);
		seen[n] = true;
		assert_int_equal(route.state, n == 7 ? ROUTE_PARKED : ROUTE_OPEN);
	}
	for (int n = 1; n <= 100; n++)
		assert_true(seen[n]);
	assert_false(route_at(t, route_table_count(t), &route));
}

static void
a_route_takes_two_hundred_bytes_and_a_login_as_many(void **state)
{
	Room *r = *state;
	struct stat st;
	int64_t seq;
	int fd;

	fill(r, N);
	ok(&r->cx, route_snapshot(&r->cx, r->home, &fd, &seq));
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size <= (off_t)N * 400);
	close(fd);
}

static void
what_changes_a_route_reaches_the_table(void **state)
{
	Room *r = *state;
	int64_t seq;
	Route route;
	RouteLogin login;
	bool done;
	static const char spec[] = "{\"spec\":{\"gateway\":{\"connections\":9,\"guard\":true,"
				   "\"pool\":\"transaction\"}}}";

	fill(r, 3);
	RouteTable *t = open_table(r, &seq);
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "t1", 5, "open", "c1", "elsewhere"));
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "t2", "app", false));
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Tenant", "t3", spec, "h"));
	follow(r, t);
	assert_int_equal(route_table_overlay(t), 3);
	assert_true(route_find(t, "t1", &route));
	assert_string_equal(route.dbname, "elsewhere");
	assert_int_equal(route.epoch, 5);
	assert_true(route_login(t, "t2", "app", &login));
	assert_false(login.on);
	assert_true(route_find(t, "t3", &route));
	assert_true(route.guarded);
	assert_int_equal(route.pool, POOL_TRANSACTION);
	assert_int_equal(route.cap, 9);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &LIMITS, "t", "t2"));
	ok(&r->cx, catalog_tenant_state(&r->cx, r->home, "t2", TENANT_SUSPENDED, 0));
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "t2", 5, "off", "c1", "d"));
	ok(&r->cx, catalog_tenant_forget(&r->cx, r->home, "t3"));
	ok(&r->cx, catalog_route_park(&r->cx, r->home, "t1", 4711, &done));
	follow(r, t);
	assert_true(route_login(t, "t2", "app", &login));
	assert_int_equal(login.valid_until, 77);
	assert_int_equal(login.max_conns, 3);
	assert_true(route_find(t, "t2", &route));
	assert_int_equal(route.state, ROUTE_OFF);
	assert_true(route.suspended);
	assert_false(route_find(t, "t3", &route));
	assert_false(route_login(t, "t3", "app", &login));
	assert_true(route_find(t, "t1", &route));
	assert_int_equal(route.state, ROUTE_PARKED);
	assert_int_equal(route.parked_until, 4711);
	assert_int_equal(route_table_overlay(t), 3);
}

/* As many logins as a tenant may have, all with the longest names. */
static void
a_tenant_has_a_thousand_logins(void **state)
{
	static const Sql many = { "many",
		"INSERT INTO login (tenant, client_user, role, access, scram_verifier, sealed) "
		"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
		"SELECT 't2', printf('u%062d', i), printf('r%062d', i), 'rw', 'v', x'00' FROM n",
		1 };
	Room *r = *state;
	int64_t seq;
	RouteLogin login;
	RouteDeltas d;
	char user[ROUTE_NAME], tenant[ROUTE_TENANT];

	fill(r, 3);
	RouteTable *t = open_table(r, &seq);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &many, "i", (int64_t)GATE_LOGINS - 1));
	ok(&r->cx, route_changes(&r->cx, r->home, seq, &d));
	assert_int_equal(d.n, 1);
	assert_true(d.at[0].n + sizeof(LinkHead) <= LINK_MAX);
	ok(&r->cx, route_table_change(&r->cx, t, d.at[0].bytes, d.at[0].n, tenant));
	RouteTable *fresh = open_table(r, &seq);
	for (int i = 1; i < GATE_LOGINS; i++) {
		snprintf(user, sizeof user, "u%062d", i);
		assert_true(route_login(t, "t2", user, &login));
		assert_int_equal(login.role[0], 'r');
		assert_true(route_login(fresh, "t2", user, &login));
	}
	assert_true(route_login(fresh, "t3", "app", &login));
}

static void
a_newer_snapshot_takes_in_what_came_before_it(void **state)
{
	Room *r = *state;
	int64_t seq, newer;
	RouteDeltas late;
	Route route;
	char tenant[ROUTE_TENANT];
	int fd;

	fill(r, 3);
	RouteTable *t = open_table(r, &seq);
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "t1", 5, "open", "c1", "one"));
	follow(r, t);
	ok(&r->cx, route_snapshot(&r->cx, r->home, &fd, &newer));
	ok(&r->cx, catalog_route_set(&r->cx, r->home, "t2", 6, "open", "c1", "two"));
	ok(&r->cx, route_changes(&r->cx, r->home, newer, &late));
	assert_int_equal(late.n, 1);
	ok(&r->cx, route_table_change(&r->cx, t, late.at[0].bytes, late.at[0].n, tenant));
	assert_string_equal(tenant, "t2");
	assert_int_equal(route_table_overlay(t), 2);
	ok(&r->cx, route_table_snapshot(&r->cx, t, fd));
	assert_int_equal(route_table_overlay(t), 1);
	assert_int_equal(route_table_seq(t), late.seq);
	assert_true(route_find(t, "t1", &route));
	assert_string_equal(route.dbname, "one");
	assert_true(route_find(t, "t2", &route));
	assert_string_equal(route.dbname, "two");
}

static void
a_cluster_that_changes_moves_the_number_on_and_is_told_whole(void **state)
{
	Room *r = *state;
	RouteCluster *clusters;
	RouteDeltas d;
	int64_t seq;
	size_t n;
	static const char moved[] = "{\"spec\":{\"connect\":{\"host\":\"b.example\",\"port\":5433},"
				    "\"region\":\"eu\"}}";

	fill(r, 1);
	RouteTable *t = open_table(r, &seq);
	ok(&r->cx, route_clusters(&r->cx, r->home, &clusters, &n));
	assert_int_equal(n, 1);
	assert_string_equal(clusters[0].host, "a.example");
	assert_int_equal(clusters[0].cap, 70);
	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", "c1", moved, "h2"));
	ok(&r->cx, route_changes(&r->cx, r->home, seq, &d));
	assert_true(d.clusters);
	assert_int_equal(d.n, 1);
	follow(r, t);
	assert_int_equal(route_table_overlay(t), 0);
	assert_int_equal(route_table_seq(t), d.seq);
	ok(&r->cx, route_clusters(&r->cx, r->home, &clusters, &n));
	assert_string_equal(clusters[0].host, "b.example");
	assert_int_equal(clusters[0].port, 5433);
	assert_int_equal(clusters[0].id, 1);
	assert_int_equal(clusters[0].cap, 0);
}

static void
too_many_changes_are_a_snapshot(void **state)
{
	Room *r = *state;
	RouteDeltas d;

	fill(r, ROUTE_OVERLAY + 1);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &MODE, "t", "t1"));
	ok(&r->cx, catalog_raise_floors(&r->cx, r->home, 7));
	ok(&r->cx, route_changes(&r->cx, r->home, 0, &d));
	assert_true(d.many);
	assert_int_equal(d.n, 0);
}

/* --- hostile bytes -------------------------------------------------------------- */

static int
memory_file(const void *bytes, size_t n, bool seal)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, bytes, n), n);
	if (seal)
		assert_int_equal(
		    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	return fd;
}

static void
try_all(const RouteTable *t)
{
	Route route;
	RouteLogin login;

	for (size_t i = 0; i < route_table_count(t) && i < 100; i++)
		route_at(t, i, &route);
	for (const char *const *name = (const char *const[]){ "t1", "t2", "t9", "", NULL }; *name;
	     name++) {
		route_find(t, *name, &route);
		route_login(t, *name, "app", &login);
	}
}

static char *
snapshot_bytes(Room *r, size_t *n)
{
	struct stat st;
	int64_t seq;
	int fd;

	ok(&r->cx, route_snapshot(&r->cx, r->home, &fd, &seq));
	assert_int_equal(fstat(fd, &st), 0);
	char *bytes = arena_alloc(r->cx.mem, (size_t)st.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	*n = (size_t)st.st_size;
	return bytes;
}

static void
a_snapshot_with_a_wrong_byte_is_refused_or_does_no_harm(void **state)
{
	Room *r = *state;
	size_t n;
	int opened = 0;

	fill(r, 5);
	char *bytes = snapshot_bytes(r, &n);
	for (size_t i = 0; i < n; i++)
		for (int bit = 0; bit < 8; bit += 7) {
			Ctx own = ctx_new(r->cx.mem);
			RouteTable *t;
			bytes[i] ^= (char)(1 << bit);
			if (route_table_open(&own, memory_file(bytes, n, true), &t)) {
				try_all(t);
				opened++;
			} else {
				assert_string_equal(own.fail->what,
				    "the table of routes is damaged, or of another copyhold");
			}
			bytes[i] ^= (char)(1 << bit);
			arena_free(own.mem);
		}
	assert_true(opened > 0 && opened < (int)n * 2);
}

static void
a_snapshot_that_is_cut_off_or_could_change_is_refused(void **state)
{
	Room *r = *state;
	RouteTable *t;
	size_t n;

	fill(r, 5);
	char *bytes = snapshot_bytes(r, &n);
	for (size_t i = 0; i < n; i++)
		refused(&r->cx, route_table_open(&r->cx, memory_file(bytes, i, true), &t),
		    FAIL_CATALOG, "the table of routes is damaged, or of another copyhold");
	refused(&r->cx, route_table_open(&r->cx, memory_file(bytes, n, false), &t), FAIL_CATALOG,
	    "the table of routes is damaged, or of another copyhold");
	ok(&r->cx, route_table_open(&r->cx, memory_file(bytes, n, true), &t));
}

static void
a_change_with_a_wrong_byte_is_refused_or_does_no_harm(void **state)
{
	Room *r = *state;
	RouteDeltas d;
	char tenant[ROUTE_TENANT];
	int64_t seq;

	fill(r, 5);
	RouteTable *t = open_table(r, &seq);
	ok(&r->cx, catalog_login_on(&r->cx, r->home, "t2", "app", false));
	ok(&r->cx, route_changes(&r->cx, r->home, seq, &d));
	size_t n = d.at[0].n;
	char *bytes = memcpy(arena_alloc(r->cx.mem, n), d.at[0].bytes, n);
	for (size_t i = 0; i < n; i++) {
		refused(&r->cx, route_table_change(&r->cx, t, bytes, i, tenant), FAIL_CATALOG,
		    "the table of routes is damaged, or of another copyhold");
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= (char)(1 << bit);
			if (!route_table_change(&r->cx, t, bytes, n, tenant))
				fail_clear(&r->cx);
			try_all(t);
			bytes[i] ^= (char)(1 << bit);
		}
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(every_route_is_found_with_its_login_and_no_other),
		T(routes_of_a_list_are_each_there_once),
		T(a_route_takes_two_hundred_bytes_and_a_login_as_many),
		T(what_changes_a_route_reaches_the_table),
		T(a_tenant_has_a_thousand_logins),
		T(a_newer_snapshot_takes_in_what_came_before_it),
		T(a_cluster_that_changes_moves_the_number_on_and_is_told_whole),
		T(too_many_changes_are_a_snapshot),
		T(a_snapshot_with_a_wrong_byte_is_refused_or_does_no_harm),
		T(a_snapshot_that_is_cut_off_or_could_change_is_refused),
		T(a_change_with_a_wrong_byte_is_refused_or_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

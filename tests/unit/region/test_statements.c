/* Numbers of prepared statements, however many there have been, and of clusters, however many there are. */
#include "region/gateway/worker_intern.h"
#include "tests/unit/core/room.h"

static Statement *
prepared(Worker *w, const char *sql)
{
	const WireParse p = { .name = "",
		.sql = sql,
		.sql_n = strlen(sql),
		.rest = (const unsigned char *)"\0",
		.rest_n = 2 };

	return statement_get(w, &p, true);
}

static Worker
worker(Room *r, uint64_t last)
{
	return (Worker){ .cx = &r->cx,
		.mem = r->cx.mem,
		.statements = map_new(r->cx.mem),
		.last_statement = last };
}

static void
the_statement_after_four_billion_has_a_number_of_its_own(void **state)
{
	Worker w = worker(*state, UINT32_MAX - 1);
	char first[32], second[32];
	Statement *a = prepared(&w, "SELECT 1"), *b = prepared(&w, "SELECT 2");

	assert_int_equal(a->id, UINT32_MAX);
	assert_int_equal(b->id, (uint64_t)UINT32_MAX + 1);
	assert_string_equal(statement_name(a, first), "copyhold/4294967295");
	assert_string_equal(statement_name(b, second), "copyhold/4294967296");
	assert_ptr_equal(prepared(&w, "SELECT 2"), b);
}

static void
no_number_of_a_statement_is_taken_for_a_mark(void **state)
{
	static const uint64_t before[] = { (1u << 30) - 1, (1u << 31) - 1, UINT32_MAX };

	for (size_t i = 0; i < LENGTH(before); i++) {
		Worker w = worker(*state, before[i]);
		const Statement *st = prepared(&w, "SELECT 1");
		assert_int_equal(st->id & (REFUSED | UNNAMED), 0);
		assert_int_equal((st->id | UNNAMED) & ~UNNAMED, st->id);
	}
}

static void
take(void *ptr, const Owed *o)
{
	*(uint64_t *)ptr = o->about;
}

static void
what_is_owed_keeps_a_large_number(void **state)
{
	Owed room[8];
	Replies q;
	const uint64_t id = UINT64_C(5000000000);
	uint64_t lost = 0;

	(void)state;
	replies_init(&q, room, LENGTH(room));
	assert_true(replies_sent(&q, 'P', REPLY_CLIENTS, id | UNNAMED));
	assert_true(replies_came(&q, '1', NULL, NULL).entry.about == (id | UNNAMED));
	assert_true(replies_sent(&q, 'P', REPLY_CLIENTS, id));
	replies_came(&q, 'E', take, &lost);
	assert_true(lost == id);
}

static void
a_server_knows_a_statement_by_all_of_its_number(void **state)
{
	Worker w = worker(*state, UINT32_MAX);
	Statement *a = prepared(&w, "SELECT 1");
	Server s = { .conn.w = &w };

	server_prepared(&s, a);
	assert_true(server_has(&s, a));
	assert_false(server_has(&s, &(Statement){ .id = (uint32_t)a->id }));
	server_lost(&s, a->id);
	assert_false(server_has(&s, a));
	assert_true(s.unsure);
}

static void
names_that_are_never_all_answered_are_not_all_kept(void **state)
{
	Worker w = worker(*state, 0);
	Tenancy t = { 0 };
	Pool p = { .w = &w, .tenant = &t };
	Client c = { .conn.w = &w, .pool = &p };
	char name[1000];

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	names_hope(&c, 1, "first");
	for (uint64_t i = 2; i < 100000; i++) {
		names_hope(&c, i, name);
		names_done(&c, i - 1);
		assert_true(c.names_bytes < 200000);
		assert_int_equal(c.names_bytes, t.names_bytes);
	}
	names_done(&c, 99999);
	assert_int_equal(c.names_bytes, 0);
}

/* --- clusters ------------------------------------------------------------------------- */

static const Sql TENANT = { "tenant",
	"INSERT INTO tenant (name, id, state, mode, cluster, dbname, owner, model, model_version, "
	"shape, spec_hash) VALUES (?1, ?1, 'active', 'dedicated', ?2, 'd', 'o', 'm', 1, '', '')",
	2 };
static const Sql ROUTE = { "route",
	"INSERT INTO route (tenant, epoch, seq, state, cluster, dbname, number) "
	"SELECT ?1, 1, 1, 'open', ?2, 'd', count(*) + 1 FROM route",
	2 };
static const Sql NUMBER = { "number", "UPDATE cluster_number SET number = ?2 WHERE name = ?1", 2 };
static const Sql AGAIN = { "again", "UPDATE route SET parked_until = parked_until + 1", 0 };

static void
add(Room *r, const char *tenant, const char *cluster, int64_t number)
{
	static const char spec[] =
	    "{\"spec\":{\"connect\":{\"host\":\"a.example\"},\"region\":\"eu\"}}";

	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", cluster, spec, "h"));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &NUMBER, "ti", cluster, number));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &TENANT, "tt", tenant, cluster));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &ROUTE, "tt", tenant, cluster));
}

static RouteState
state_of(const RouteTable *t, const char *tenant)
{
	Route route = { 0 };

	assert_true(route_find(t, tenant, &route));
	return route.state;
}

static void
a_route_to_a_cluster_beyond_the_last_number_is_off(void **state)
{
	Room *r = *state;
	RouteTable *t;
	RouteDeltas d;
	int64_t seq;
	int fd;
	char tenant[ROUTE_TENANT];

	add(r, "last", "c1", ROUTE_CLUSTERS - 1);
	add(r, "beyond", "c2", ROUTE_CLUSTERS);
	add(r, "far", "c3", INT64_C(1) << 40);
	ok(&r->cx, route_snapshot(&r->cx, r->home, &fd, &seq));
	ok(&r->cx, route_table_open(&r->cx, fd, &t));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(state_of(t, "last"), ROUTE_OPEN);
		assert_int_equal(state_of(t, "beyond"), ROUTE_OFF);
		assert_int_equal(state_of(t, "far"), ROUTE_OFF);
		ok(&r->cx, lite_do(&r->cx, r->home->db, &AGAIN, ""));
		ok(&r->cx, route_changes(&r->cx, r->home, route_table_seq(t), &d));
		assert_true(i > 0 || d.n >= 3);
		for (size_t k = 0; k < d.n; k++)
			ok(&r->cx, route_table_change(&r->cx, t, d.at[k].bytes, d.at[k].n, tenant));
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(the_statement_after_four_billion_has_a_number_of_its_own),
		T(no_number_of_a_statement_is_taken_for_a_mark),
		T(what_is_owed_keeps_a_large_number),
		T(a_server_knows_a_statement_by_all_of_its_number),
		T(names_that_are_never_all_answered_are_not_all_kept),
		T(a_route_to_a_cluster_beyond_the_last_number_is_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

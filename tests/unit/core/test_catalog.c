#include "tests/unit/core/room.h"

static const Sql LOG = { "log", "SELECT count(*) FROM route_log WHERE seq > 2 AND epoch = 22", 0 };

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
	assert_int_equal(lite_int(rows, 0), 2);
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

/* --- shared databases ------------------------------------------------------------- */

static const Sql OLD_TENANT = { "old_tenant",
	"INSERT INTO tenant (name, id, state, mode, cluster, dbname, owner, model, model_version,"
	" shape, spec_hash) VALUES ('acme', 'aaaa', 'active', 'dedicated', 'c1', 'd', 'o', 'crm', 1,"
	" 'h', 's')",
	0 };

static void
a_tenant_of_an_older_catalogue_is_in_no_shared_database(void **state)
{
	Room *r = *state;

	for (int from = 1; from <= catalog_migrations_n; from++) {
		Ctx cx = ctx_new(r->cx.mem);
		Home home = *r->home;
		TenantRecord t;
		SharedRecords shareds;
		ok(&cx,
		    lite_open(&cx, arena_printf(cx.mem, "%s/%d.db", r->dir, from), LITE_CREATE,
			&home.db));
		ok(&cx, lite_migrate(&cx, home.db, catalog_migrations, from));
		ok(&cx, lite_do(&cx, home.db, &OLD_TENANT, ""));
		ok(&cx, lite_migrate(&cx, home.db, catalog_migrations, catalog_migrations_n));
		ok(&cx, catalog_tenant(&cx, &home, "acme", &t));
		assert_null(t.shared);
		assert_int_equal(t.layout, LAYOUT_PLAIN);
		assert_false(t.own_views);
		ok(&cx, catalog_shareds(&cx, &home, &shareds));
		assert_int_equal(shareds.n, 0);
		arena_free(cx.mem);
	}
}

static void
put_shared(Room *r, const char *common, int64_t version)
{
	SharedRecord s = { .name = "c1/crm",
		.id = "abcdefghijkl",
		.cluster = "c1",
		.model = "crm",
		.active = version > 0,
		.wide = "w",
		.common = common,
		.version = version,
		.changed_run = 4 };

	ok(&r->cx, catalog_shared_put(&r->cx, r->home, &s));
}

static void
put_shared_tenant(Room *r, const char *name, Layout layout, bool own_views, const char *shape)
{
	TenantRecord t = tenant(name, TENANT_ACTIVE);

	t.mode = MODE_SHARED;
	t.shared = "c1/crm";
	t.layout = layout;
	t.own_views = own_views;
	t.shape = shape;
	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &t));
}

static void
a_shared_database_is_read_as_it_was_written(void **state)
{
	Room *r = *state;
	SharedRecord s;
	TenantRecord t;
	bool found;

	put_shared(r, "", 0);
	put_shared(r, "m1", 3);
	put_shared_tenant(r, "acme", LAYOUT_VIEWS, true, "x");
	ok(&r->cx, catalog_shared(&r->cx, r->home, "c1/crm", &s));
	assert_string_equal(s.id, "abcdefghijkl");
	assert_string_equal(s.cluster, "c1");
	assert_string_equal(s.model, "crm");
	assert_true(s.active);
	assert_string_equal(s.wide, "w");
	assert_string_equal(s.common, "m1");
	assert_int_equal(s.version, 3);
	assert_int_equal(s.tenants, 1);
	ok(&r->cx, catalog_shared_touch(&r->cx, r->home, "c1/crm", 9));
	ok(&r->cx, catalog_shared_find(&r->cx, r->home, "c1/crm", &s, &found));
	assert_int_equal(s.changed_run, 9);
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_string_equal(t.shared, "c1/crm");
	assert_int_equal(t.layout, LAYOUT_VIEWS);
	assert_true(t.own_views);
	assert_false(catalog_shared(&r->cx, r->home, "c1/crn", &s));
	assert_string_equal(fail_text(r->cx.mem, r->cx.fail),
	    "error[not-found]: there is no shared database \"c1/crn\"\n"
	    "  hint:  Did you mean \"c1/crm\"?\n");
}

static void
a_shared_database_with_tenants_is_not_forgotten(void **state)
{
	Room *r = *state;

	put_shared(r, "m1", 1);
	put_shared_tenant(r, "acme", LAYOUT_VIEWS, false, "m1");
	assert_false(catalog_shared_forget(&r->cx, r->home, "c1/crm"));
	assert_string_equal(r->cx.fail->cause, "SQLITE_CONSTRAINT_FOREIGNKEY");
	fail_clear(&r->cx);
	ok(&r->cx, catalog_tenant_forget(&r->cx, r->home, "acme"));
	ok(&r->cx, catalog_shared_forget(&r->cx, r->home, "c1/crm"));
}

static void
tenants_of_the_common_views_follow_and_no_others(void **state)
{
	Room *r = *state;
	static const struct {
		const char *name, *shape;
		Layout layout;
		bool own_views, follows;
	} cases[] = {
		{ "a", "m1", LAYOUT_VIEWS, false, true },
		{ "b", "m1", LAYOUT_PLAIN, false, false },
		{ "c", "m1", LAYOUT_VIEWS, true, false },
		{ "d", "m0", LAYOUT_VIEWS, false, false },
		{ "e", "m1", LAYOUT_VIEWS, false, true },
	};
	TenantRecord t;
	Names followed;

	put_shared(r, "m1", 1);
	for (size_t i = 0; i < LENGTH(cases); i++)
		put_shared_tenant(
		    r, cases[i].name, cases[i].layout, cases[i].own_views, cases[i].shape);
	ok(&r->cx, catalog_shared_follow(&r->cx, r->home, "c1/crm", "m1", "m2", 2, &followed));
	assert_int_equal(followed.n, 2);
	assert_string_equal(followed.at[0], "a");
	assert_string_equal(followed.at[1], "e");
	for (size_t i = 0; i < LENGTH(cases); i++) {
		ok(&r->cx, catalog_tenant(&r->cx, r->home, cases[i].name, &t));
		assert_string_equal(t.shape, cases[i].follows ? "m2" : cases[i].shape);
		assert_int_equal(t.model_version, cases[i].follows ? 2 : 3);
	}
	ok(&r->cx, catalog_shared_follow(&r->cx, r->home, "c1/crm", "m2", "m2", 2, &followed));
	assert_int_equal(followed.n, 0);
}

static void
the_place_of_a_shared_tenant_has_its_database_layout_and_slots(void **state)
{
	Room *r = *state;
	const char *cluster = "{\"spec\":{\"connect\":{\"host\":\"h\"},\"region\":\"eu\"}}";
	Slots slots = { 0 }, none = { 0 };
	SharedRecord s;
	Shared *shared;
	Placement *at;

	ok(&r->cx, catalog_object_put(&r->cx, r->home, "Cluster", "c1", cluster, "h"));
	put_shared(r, "m1", 1);
	put_shared_tenant(r, "acme", LAYOUT_VIEWS, true, "x");
	vec_push(r->cx.mem, &slots, ((Slot){ "b", "x_tier", "_text_2", 3 }));
	vec_push(r->cx.mem, &slots, ((Slot){ "a", "", "_text_1", 1 }));
	ok(&r->cx, catalog_slots_put(&r->cx, r->home, "acme", &slots));
	ok(&r->cx, catalog_placement(&r->cx, r->home, "acme", &at));
	assert_string_equal(at->shared->name, "c1/crm");
	assert_string_equal(at->shared->dbname, "s_abcdefghijkl");
	assert_string_equal(at->shared->keeper, "s_abcdefghijkl_k");
	assert_ptr_equal(at->shared->cluster, at->cluster);
	assert_string_equal(at->schema, "app_acme");
	assert_string_equal(at->scope, "tenant/acme");
	assert_int_equal(at->layout, LAYOUT_VIEWS);
	assert_int_equal(at->slots.n, 2);
	assert_string_equal(at->slots.at[0].column, "_text_1");
	assert_string_equal(at->slots.at[1].field, "x_tier");
	assert_int_equal(at->slots.at[1].generation, 3);
	ok(&r->cx, catalog_slots_put(&r->cx, r->home, "acme", &none));
	ok(&r->cx, catalog_placement(&r->cx, r->home, "acme", &at));
	assert_int_equal(at->slots.n, 0);
	ok(&r->cx, catalog_shared(&r->cx, r->home, "c1/crm", &s));
	ok(&r->cx, catalog_shared_place(&r->cx, r->home, &s, &shared));
	at = place_of_shared(r->cx.mem, shared);
	assert_int_equal(at->layout, LAYOUT_WIDE);
	assert_string_equal(at->schema, "wide");
	assert_string_equal(at->scope, "shared/c1/crm");
	assert_string_equal(at->owner, "s_abcdefghijkl_o");
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

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_tenant_is_read_as_it_was_written),
		T(a_wrong_name_gets_the_nearest_one),
		T(an_object_knows_its_spec_and_goes_when_it_is_removed),
		T(an_epoch_only_grows_even_when_its_route_was_removed),
		T(routes_raised_after_a_restore_stand_in_the_log_that_gateways_follow),
		T(a_forgotten_tenant_takes_its_logins_route_and_manifest_along),
		T(a_tenant_of_an_older_catalogue_is_in_no_shared_database),
		T(a_shared_database_is_read_as_it_was_written),
		T(a_shared_database_with_tenants_is_not_forgotten),
		T(tenants_of_the_common_views_follow_and_no_others),
		T(the_place_of_a_shared_tenant_has_its_database_layout_and_slots),
		T(a_login_needs_its_tenant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "lib/core/place.h"

#include "tests/unit/core/room.h"

static void
names_on_a_customers_machine_are_the_tenants(void **state)
{
	Room *r = *state;
	Tenant spec = { .name = "acme-gmbh", .mode = MODE_EXCLUSIVE };
	Placement at = { 0 };

	place_names(r->cx.mem, &at, &spec);
	assert_string_equal(at.dbname, "t_acme-gmbh");
	assert_string_equal(at.owner, "t_acme-gmbh");
	assert_string_equal(place_login_role(r->cx.mem, &at, "app"), "t_acme-gmbh_app");
	spec.mode = MODE_HYBRID;
	at = (Placement){ 0 };
	place_names(r->cx.mem, &at, &spec);
	assert_string_equal(at.dbname, "t_acme-gmbh");
}

/* A tenant's name has no underscore: where it ends is plain. */
static void
no_login_has_the_role_of_another_tenant(void **state)
{
	Room *r = *state;
	Tenant one = { .name = "a", .mode = MODE_EXCLUSIVE },
	       other = { .name = "a-b", .mode = MODE_EXCLUSIVE };
	Placement at = { 0 }, beside = { 0 };

	place_names(r->cx.mem, &at, &one);
	place_names(r->cx.mem, &beside, &other);
	assert_string_not_equal(
	    place_login_role(r->cx.mem, &at, "b"), place_login_role(r->cx.mem, &beside, "b"));
	assert_string_not_equal(place_login_role(r->cx.mem, &at, "b"), beside.owner);
	assert_string_not_equal(
	    place_login_role(r->cx.mem, &at, "b_app"), place_login_role(r->cx.mem, &beside, "app"));
}

static void
long_names_fit_63_bytes(void **state)
{
	Room *r = *state;
	Tenant spec = { .name = "a234567890123456789012345678901234567890",
		.mode = MODE_EXCLUSIVE };
	Placement at = { 0 };

	place_names(r->cx.mem, &at, &spec);
	assert_int_equal(
	    strlen(place_login_role(r->cx.mem, &at, "a234567890123456789012345678901234567890")),
	    63);
}

static void
the_password_of_our_own_cluster_is_named_by_no_manifest(void **state)
{
	Room *r = *state;
	Secret password = secret_new(r->cx.mem, "canary", 6), got;
	SecretRef ref = { .ref = "store:cluster/acme-pg" };
	Cluster ours = {
		.name = "acme-pg", .on = { .host = "h1" }, .connect = { .password = ref }
	};
	Cluster theirs = { .name = "other", .connect = { .password = ref } };

	refused(&r->cx, conns_password(&r->cx, r->home, &ours, &got), FAIL_SECRET,
	    "the secret \"store:cluster/acme-pg\" is not in the store");
	ok(&r->cx, catalog_secret_put(&r->cx, r->home, "cluster/acme-pg", &password));
	ok(&r->cx, conns_password(&r->cx, r->home, &ours, &got));
	assert_string_equal(got.text, "canary");
	refused(&r->cx, conns_password(&r->cx, r->home, &theirs, &got), FAIL_SECRET,
	    "the secret \"store:cluster/acme-pg\" is none that can be put into the store");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(names_on_a_customers_machine_are_the_tenants),
		TEST(no_login_has_the_role_of_another_tenant),
		TEST(long_names_fit_63_bytes),
		TEST(the_password_of_our_own_cluster_is_named_by_no_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is recorded of releases, and how a tenant's services are split by host. */
#include "lib/core/release.h"
#include "tests/unit/core/room.h"

#define MANIFESTS \
	"apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: r}\nspec: {country: CN}\n---\n" \
	"apiVersion: copyhold/v1\nkind: Bundle\nmetadata: {name: shop}\n" \
	"spec:\n  version: '2.0'\n  source: {folder: /srv/shop}\n  keep: 1\n  services:\n" \
	"    - {name: web, exec: [web, web], database: true, drain: 1s,\n" \
	"       health: {http: /health},\n" \
	"       env: [{name: KEY, secret: {secretRef: 'store:shop/key'}}]}\n" \
	"    - {name: mail, exec: [mail]}\n"

static Bundle *
the_bundle(Room *r)
{
	Manifests *m;

	ok(&r->cx, manifest_load_text(&r->cx, "m.yaml", MANIFESTS, strlen(MANIFESTS), &m));
	return map_get(m->bundles, "shop");
}

static void
put(Room *r, const char *host, const char *version, int64_t run)
{
	ReleaseRecord rec = { .tenant = "acme",
		.host = host,
		.version = version,
		.digest = "d",
		.spec = "{}",
		.since = 1000 + run,
		.run = run };

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, catalog_release_put(&r->cx, r->home, &rec));
	ok(&r->cx, lite_commit(&r->cx, r->home->db));
}

static const char *
stand(Room *r)
{
	ReleaseRecords all;
	Buf b = buf_new(r->cx.mem);

	ok(&r->cx, catalog_releases(&r->cx, r->home, NULL, &all));
	for (size_t i = 0; i < all.n; i++)
		buf_fmt(&b, "%s@%s %s%s; ", all.at[i].tenant, all.at[i].host, all.at[i].version,
		    all.at[i].current ? "*" : "");
	return b.text;
}

static void
a_release_that_is_put_becomes_the_current_one_of_its_host(void **state)
{
	Room *r = *state;

	put(r, "h1", "1.0", 1);
	put(r, "h2", "1.0", 1);
	put(r, "h1", "1.1", 2);
	put(r, "h1", "1.2", 3);
	assert_string_equal(stand(r), "acme@h1 1.2*; acme@h1 1.1; acme@h1 1.0; acme@h2 1.0*; ");
	put(r, "h1", "1.0", 4);
	assert_string_equal(stand(r), "acme@h1 1.0*; acme@h1 1.2; acme@h1 1.1; acme@h2 1.0*; ");
}

static void
what_is_not_kept_is_forgotten_but_never_the_current_one(void **state)
{
	Room *r = *state;
	Names keep = { 0 };

	put(r, "h1", "1.0", 1);
	put(r, "h1", "1.1", 2);
	put(r, "h1", "1.2", 3);
	vec_push(r->cx.mem, &keep, "1.1");
	ok(&r->cx, catalog_release_keep(&r->cx, r->home, "acme", "h1", &keep));
	assert_string_equal(stand(r), "acme@h1 1.2*; acme@h1 1.1; ");
	ok(&r->cx, catalog_release_forget(&r->cx, r->home, "acme", "h1"));
	assert_string_equal(stand(r), "");
}

static void
an_artefact_is_recorded_once(void **state)
{
	Room *r = *state;
	Artefact a = { "shop", "1.0", "first", "/srv", 10, 2, 1000 }, b = a, got;
	bool found;

	ok(&r->cx, catalog_artefact(&r->cx, r->home, "shop", "1.0", &got, &found));
	assert_false(found);
	ok(&r->cx, catalog_artefact_put(&r->cx, r->home, &a));
	b.digest = "second";
	ok(&r->cx, catalog_artefact_put(&r->cx, r->home, &b));
	ok(&r->cx, catalog_artefact(&r->cx, r->home, "shop", "1.0", &got, &found));
	assert_true(found);
	assert_string_equal(got.digest, "first");
	assert_int_equal(got.bytes, 10);
	assert_int_equal(got.files, 2);
	assert_int_equal(got.at, 1000);
}

static void
a_spec_survives_being_recorded_and_names_secrets_alone(void **state)
{
	Room *r = *state;
	ServiceAt web = { .service = "web", .host = "h1", .port = 8080 };
	ReleaseAt at = { .bundle = the_bundle(r), .digest = "abc" }, back = { 0 };

	vec_push(r->cx.mem, &at.services, (const ServiceAt *)&web);
	char *json = release_spec_json(r->cx.mem, &at);
	ok(&r->cx, release_spec_read(&r->cx, json, &back));
	assert_string_equal(release_spec_json(r->cx.mem, &back), json);
	assert_string_equal(back.bundle->version, "2.0");
	assert_string_equal(back.digest, "abc");
	assert_int_equal(back.services.n, 1);
	assert_int_equal(back.services.at[0]->port, 8080);
	assert_string_equal(release_service(&back, "web")->env.at[0].secret.ref, "store:shop/key");
	assert_int_equal(release_service(&back, "web")->exec.n, 2);
	assert_null(release_service(&back, "nothing"));
}

static void
a_damaged_spec_is_told(void **state)
{
	Room *r = *state;
	static const char *const damaged[] = { "{}", "{\"name\":\"shop\"}",
		"{\"name\":\"shop\",\"bundle\":\"{}\"}" };
	ReleaseAt at = { 0 };

	for (size_t i = 0; i < LENGTH(damaged); i++)
		refused(&r->cx, release_spec_read(&r->cx, damaged[i], &at), FAIL_CATALOG,
		    "what is recorded of a release is damaged");
	assert_false(release_spec_read(&r->cx, "no JSON", &at));
}

static void
services_are_split_by_host_with_what_stands_there(void **state)
{
	Room *r = *state;
	Host h1 = { .name = "h1" }, h2 = { .name = "h2" };
	Map *hosts = map_new(r->cx.mem);
	Tenant spec = { .name = "acme" };
	Placement at = { .tenant = "acme" };
	ReleaseAts parts;

	map_set(hosts, "h1", &h1);
	map_set(hosts, "h2", &h2);
	vec_push(r->cx.mem, &spec.services, ((ServiceAt){ .service = "web", .host = "h2" }));
	vec_push(r->cx.mem, &spec.services, ((ServiceAt){ .service = "web", .host = "h1" }));
	vec_push(r->cx.mem, &spec.services, ((ServiceAt){ .service = "mail", .host = "h2" }));
	put(r, "h1", "1.0", 1);
	put(r, "h1", "1.1", 2);
	put(r, "h1", "1.2", 3);
	ok(&r->cx, release_split(&r->cx, r->home, &at, &spec, the_bundle(r), hosts, &parts));
	assert_int_equal(parts.n, 2);
	assert_string_equal(parts.at[0].scope, "release/acme/h2");
	assert_int_equal(parts.at[0].services.n, 2);
	assert_null(parts.at[0].was);
	assert_string_equal(parts.at[1].scope, "release/acme/h1");
	assert_string_equal(parts.at[1].was->version, "1.2");
	assert_int_equal(parts.at[1].keep.n, 1); /* keep: 1, the one that is left */
	assert_string_equal(parts.at[1].keep.at[0], "1.2");
	vec_push(r->cx.mem, &spec.services, ((ServiceAt){ .service = "web", .host = "h3" }));
	refused(&r->cx, release_split(&r->cx, r->home, &at, &spec, the_bundle(r), hosts, &parts),
	    FAIL_NOT_FOUND, "there is no host \"h3\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
		ROW(a_release_that_is_put_becomes_the_current_one_of_its_host),
		ROW(what_is_not_kept_is_forgotten_but_never_the_current_one),
		ROW(an_artefact_is_recorded_once),
		ROW(a_spec_survives_being_recorded_and_names_secrets_alone),
		ROW(a_damaged_spec_is_told),
		ROW(services_are_split_by_host_with_what_stands_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

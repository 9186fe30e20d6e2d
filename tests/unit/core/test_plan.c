#include "tests/unit/core/estate.h"

static const PlanEntry *
entry(const Plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->entries.n; i++)
		if (strcmp(plan->entries.at[i].name, name) == 0)
			return &plan->entries.at[i];
	broken("the plan has no entry \"%s\"", name);
	return NULL;
}

#define NEW_TENANT(name) \
	"tenant/" name " tenant.register\ntenant/" name " e.shape\n" \
	"tenant/" name " tenant.record\ntenant/" name " route.open\n"

static void
a_first_plan_makes_everything_in_the_order_in_which_it_is_needed(void **state)
{
	Room *r = *state;
	Plan *plan = estate_plan(r, estate_text(r));

	assert_string_equal(estate_steps_of(r, plan),
	    "region/eu object.put\n"
	    "cluster/eu-1 object.put\ncluster/eu-1 e.claim\n"
	    "cluster/eu-2 object.put\ncluster/eu-2 e.claim\n"
	    "model/crm object.put\n" NEW_TENANT("acme") NEW_TENANT("globex") NEW_TENANT("initech"));
	assert_int_equal(plan->add, 7);
	assert_int_equal(plan->change + plan->remove + plan->unchanged + plan->failed, 0);
	assert_false(plan_empty(plan));
}

static void
the_least_full_cluster_is_chosen_and_the_reason_told(void **state)
{
	Room *r = *state;
	Plan *plan = estate_plan(r, estate_text(r));

	assert_string_equal(
	    entry(plan, "acme")->note, "dedicated on eu-1: least full in region eu, 0 of 2 used");
	assert_string_equal(
	    entry(plan, "globex")->note, "dedicated on eu-2: least full in region eu, 0 of 4 used");
	assert_string_equal(entry(plan, "initech")->note, "dedicated on eu-1");
}

static void
a_region_that_is_full_refuses_that_tenant_alone(void **state)
{
	Room *r = *state;
	Buf b = buf_new(r->cx.mem);

	buf_add(&b, estate_model(r, 1, "name"));
	for (int i = 0; i < 7; i++)
		buf_add(&b, estate_tenant(r, arena_printf(r->cx.mem, "t%d", i), "region: eu"));
	Plan *plan = estate_plan(r, b.text);
	assert_int_equal(plan->failed, 1);
	assert_false(plan->failed && !plan->worst);
	assert_string_equal(entry(plan, "t6")->fail->what,
	    "no cluster in region \"eu\" has room for mode dedicated (2 full, 0 of other modes)");
	assert_string_equal(entry(plan, "t6")->fail->place.file, "x.yaml");
	assert_int_equal(plan->add, 10);
}

static void
two_plans_of_the_same_are_the_same_to_the_last_byte(void **state)
{
	Room *r = *state;
	PlanOptions options = { .refresh = true };
	char *one = plan_save(r->cx.mem, r->home, estate_plan(r, estate_text(r)), "m", &options);
	char *two = plan_save(r->cx.mem, r->home, estate_plan(r, estate_text(r)), "m", &options);

	assert_string_equal(one, two);
	assert_null(strstr(one, "password"));
}

static void
after_an_apply_nothing_is_left_to_do(void **state)
{
	Room *r = *state;
	RouteRecords routes;
	TenantRecord t;

	estate_apply(r, estate_text(r));
	Plan *plan = estate_plan(r, estate_text(r));
	assert_true(plan_empty(plan));
	assert_int_equal(plan->unchanged, 7);
	assert_true(plan_empty(estate_plan_with(r, estate_text(r), (PlanOptions){ 0 })));
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_int_equal(t.state, TENANT_ACTIVE);
	assert_int_equal(t.changed_run, 1);
	ok(&r->cx, catalog_routes(&r->cx, r->home, &routes));
	assert_int_equal(routes.n, 3);
	assert_string_equal(routes.at[0].state, "open");
}

static void
drift_is_shown_and_mended_in_that_tenant_alone(void **state)
{
	Room *r = *state;

	estate_apply(r, estate_text(r));
	estate.drifted = "globex";
	Plan *plan = estate_plan(r, estate_text(r));
	assert_int_equal(plan->drift, 1);
	assert_int_equal(plan->change, 1);
	assert_string_equal(
	    estate_steps_of(r, plan), "tenant/globex e.shape\ntenant/globex tenant.record\n");
	assert_true(plan_empty(estate_plan_with(r, estate_text(r), (PlanOptions){ 0 })));
}

static void
a_new_version_of_a_model_changes_its_tenants(void **state)
{
	Room *r = *state;
	char *text;
	TenantRecord t;
	Model *model;

	estate_apply(r,
	    arena_printf(r->cx.mem, "%s%s", estate_model(r, 1, "name"),
		estate_tenant(r, "acme", "region: eu")));
	text = arena_printf(
	    r->cx.mem, "%s%s", estate_model(r, 2, "title"), estate_tenant(r, "acme", "region: eu"));
	Plan *plan = estate_plan(r, text);
	assert_string_equal(estate_steps_of(r, plan),
	    "model/crm object.put\ntenant/acme e.shape\ntenant/acme tenant.record\n");
	RunReport report = estate_run(r, plan);
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_int_equal(t.model_version, 2);
	ok(&r->cx, catalog_shape(&r->cx, r->home, t.shape, &model));
	assert_non_null(object_field(model_object(model, "account"), "title"));
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_int_equal(t.model_version, 1);
	assert_string_equal(t.model, "crm");
}

static void
an_older_version_of_a_model_is_refused(void **state)
{
	Room *r = *state;
	Manifests *m;
	Plan *plan;
	char *text = arena_printf(r->cx.mem, "%s", estate_model(r, 1, "name"));

	estate_apply(r, estate_model(r, 2, "name"));
	ok(&r->cx, manifest_load_text(&r->cx, "m.yaml", text, strlen(text), &m));
	assert_false(plan_make(&r->cx, r->home, m, &(PlanOptions){ 0 }, &plan));
	assert_string_equal(r->cx.fail->what,
	    "model \"crm\" is recorded in version 2 and the manifest has version 1");
	fail_clear(&r->cx);
}

static void
a_cluster_that_cannot_be_reached_is_asked_once_and_the_others_go_on(void **state)
{
	Room *r = *state;

	estate_apply(r, estate_text(r));
	estate.unreachable = "eu-1";
	estate.looks = 0;
	Plan *plan = estate_plan(r, estate_text(r));
	assert_int_equal(plan->failed, 2);
	assert_true(plan->failed && !plan->worst);
	assert_string_equal(entry(plan, "acme")->fail->what, "connection to \"eu-1\" refused");
	assert_string_equal(entry(plan, "initech")->fail->what, "connection to \"eu-1\" refused");
	assert_true(entry(plan, "globex")->nothing);
	assert_int_equal(estate.looks, 2);
}

static void
a_tenant_that_no_manifest_names_stays_unless_pruned(void **state)
{
	Room *r = *state;
	char *less = arena_printf(
	    r->cx.mem, "%s%s", estate_model(r, 1, "name"), estate_tenant(r, "acme", "region: eu"));
	PlanOptions prune = { .refresh = true, .prune = true };
	TenantRecord t;

	estate_apply(r, estate_text(r));
	Plan *plan = estate_plan(r, less);
	assert_true(plan_empty(plan));
	assert_string_equal(entry(plan, "initech")->note,
	    "no manifest names it; it stays (apply --prune deletes it)");
	plan = estate_plan_with(r, less, prune);
	assert_int_equal(plan->remove, 2);
	setenv("COPYHOLD_NOW", "1000000000000", 1);
	char *saved = plan_save(r->cx.mem, r->home, plan, "m", &prune);
	setenv("COPYHOLD_NOW", "1000000900000", 1);
	plan = estate_plan_with(r, less, prune);
	ok(&r->cx, plan_same(&r->cx, r->home, saved, strlen(saved), plan));
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	unsetenv("COPYHOLD_NOW");
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "initech", &t));
	assert_int_equal(t.state, TENANT_SEALED);
	assert_int_equal(t.purge_after, 1000000900000 + (int64_t)90 * 86400000);
	assert_true(plan_empty(estate_plan_with(r, less, prune)));
}

static void
a_region_and_a_cluster_that_nothing_stands_on_are_forgotten_by_prune(void **state)
{
	Room *r = *state;
	const char *more =
	    "---\napiVersion: copyhold/v1\nkind: Region\nmetadata: {name: us}\n"
	    "spec: {country: US}\n---\napiVersion: copyhold/v1\nkind: Cluster\nmetadata: {name: us-1}\n"
	    "spec: {region: us, connect: {host: 127.0.0.1, port: 5432}}\n";
	PlanOptions prune = { .refresh = true, .prune = true };
	char *spec, *hash;

	estate_apply(r, arena_printf(r->cx.mem, "%s%s", estate_text(r), more));
	Plan *plan = estate_plan(r, estate_text(r));
	assert_true(plan_empty(plan));
	assert_string_equal(entry(plan, "us-1")->note,
	    "no manifest names it; it stays recorded (--prune forgets it)");
	plan = estate_plan_with(r, estate_text(r), prune);
	assert_int_equal(plan->remove, 1);
	assert_string_equal(
	    entry(plan, "us")->note, "no manifest names it; it is in use and stays recorded");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	plan = estate_plan_with(r, estate_text(r), prune);
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	ok(&r->cx, catalog_object(&r->cx, r->home, "Cluster", "us-1", &spec, &hash));
	assert_null(spec);
	ok(&r->cx, catalog_object(&r->cx, r->home, "Region", "us", &spec, &hash));
	assert_null(spec);
	assert_true(plan_empty(estate_plan_with(r, estate_text(r), prune)));
}

static void
apply_does_not_move_a_tenant(void **state)
{
	Room *r = *state;

	estate_apply(r, estate_text(r));
	Plan *plan = estate_plan(r,
	    arena_printf(r->cx.mem, "%s%s", estate_model(r, 1, "name"),
		estate_tenant(r, "acme", "cluster: eu-2")));
	assert_string_equal(entry(plan, "acme")->fail->what,
	    "tenant \"acme\" is dedicated on eu-1 "
	    "and the manifest says dedicated on eu-2");
	assert_int_equal(plan->steps.n, 0);
}

static void
a_tenant_in_the_middle_of_a_run_is_left_out(void **state)
{
	Room *r = *state;

	estate_apply(r, estate_text(r));
	ok(&r->cx, catalog_tenant_state(&r->cx, r->home, "acme", TENANT_PROVISIONING, 0));
	ok(&r->cx, catalog_tenant_state(&r->cx, r->home, "globex", TENANT_PURGING, 0));
	Plan *plan = estate_plan_with(
	    r, estate_model(r, 1, "name"), (PlanOptions){ .prune = true });
	assert_string_equal(
	    entry(plan, "acme")->fail->what, "tenant \"acme\" is still being provisioned");
	assert_string_equal(entry(plan, "acme")->fail->hint,
	    "Finish it: copyhold run resume 1, or take it back: copyhold run undo 1.");
	assert_string_equal(entry(plan, "globex")->fail->what, "tenant \"globex\" is being purged");
	assert_int_equal(plan->remove, 1);
	assert_int_equal(plan->failed, 2);
}

static void
only_the_named_tenants_are_planned_for(void **state)
{
	Room *r = *state;
	OptList only = { .at = { "globex" }, .n = 1 }, wrong = { .at = { "nobody" }, .n = 1 };
	PlanOptions options = { .refresh = true, .only = &wrong };
	char *text = estate_text(r);
	Manifests *m;
	Plan *plan = estate_plan_with(r, text, (PlanOptions){ .refresh = true, .only = &only });

	assert_null(strstr(estate_steps_of(r, plan), "tenant/acme"));
	assert_non_null(strstr(estate_steps_of(r, plan), NEW_TENANT("globex")));
	ok(&r->cx, manifest_load_text(&r->cx, "x.yaml", text, strlen(text), &m));
	refused(&r->cx, plan_make(&r->cx, r->home, m, &options, &plan), FAIL_NOT_FOUND,
	    "neither the manifests nor the catalogue have a tenant \"nobody\"");
}

/* --- saved plans --------------------------------------------------------------------- */

static void
a_saved_plan_keeps_its_options(void **state)
{
	Room *r = *state;
	OptList only = { .at = { "acme" }, .n = 1 };
	PlanOptions in = { .prune = true, .refresh = false, .only = &only }, out;
	char *text = plan_save(r->cx.mem, r->home, estate_plan(r, estate_text(r)), "dir/m", &in);
	const char *manifests;

	ok(&r->cx, plan_read_options(&r->cx, text, strlen(text), &manifests, &out));
	assert_string_equal(manifests, "dir/m");
	assert_true(out.prune);
	assert_false(out.refresh);
	assert_int_equal(out.only->n, 1);
	assert_string_equal(out.only->at[0], "acme");
}

static void
a_file_that_is_no_saved_plan_is_refused(void **state)
{
	Room *r = *state;
	PlanOptions out;
	const char *manifests;

	refused(&r->cx, plan_read_options(&r->cx, "{}", 2, &manifests, &out), FAIL_USAGE,
	    "the file is no saved plan of format \"copyhold-plan/1\"");
	assert_false(plan_read_options(&r->cx, "{", 1, &manifests, &out));
}

static void
a_saved_plan_is_refused_for_each_thing_that_moved(void **state)
{
	Room *r = *state;
	PlanOptions options = { .refresh = true };
	char *text = estate_text(r), *id = r->home->id;

	estate_apply(r, text);
	Plan *plan = estate_plan(r, text);
	char *saved = plan_save(r->cx.mem, r->home, plan, "m", &options);
	size_t n = strlen(saved);
	ok(&r->cx, plan_same(&r->cx, r->home, saved, n, estate_plan(r, text)));
	r->home->id = arena_dup(r->cx.mem, "another");
	refused(&r->cx, plan_same(&r->cx, r->home, saved, n, plan), FAIL_PLAN_STALE,
	    "the plan was made in another home");
	r->home->id = id;
	refused(&r->cx,
	    plan_same(&r->cx, r->home, saved, n,
		estate_plan(r,
		    arena_printf(r->cx.mem, "%s%s", text, estate_tenant(r, "zeta", "region: eu")))),
	    FAIL_PLAN_STALE, "the manifests have changed since the plan was saved");
	estate.drifted = "acme";
	refused(&r->cx, plan_same(&r->cx, r->home, saved, n, estate_plan(r, text)), FAIL_PLAN_STALE,
	    "what stands on the servers has changed since the plan was saved");
	estate.drifted = NULL;
	char *other = arena_dup(r->cx.mem, saved);
	memcpy(strstr(other, "\"steps\": []"), "\"steps\": {}", 11);
	refused(&r->cx, plan_same(&r->cx, r->home, other, n, estate_plan(r, text)), FAIL_PLAN_STALE,
	    "the steps have changed since the plan was saved");
	ok(&r->cx, catalog_serial_bump(&r->cx, r->home));
	refused(&r->cx, plan_same(&r->cx, r->home, saved, n, estate_plan(r, text)), FAIL_PLAN_STALE,
	    "the catalogue has changed since the plan was saved");
}

/* --- verbs ------------------------------------------------------------------------------ */

static RunReport
verb(Room *r, TenantVerb v)
{
	Plan *plan;

	ok(&r->cx, plan_verb(&r->cx, r->home, "acme", v, &plan));
	RunReport report = estate_run(r, plan);
	assert_int_equal(report.exit, EXIT_DONE);
	return report;
}

static const char *
standing(Room *r)
{
	TenantRecord t;
	RouteRecord route;
	bool found, routed;

	ok(&r->cx, catalog_tenant_find(&r->cx, r->home, "acme", &t, &found));
	ok(&r->cx, catalog_route(&r->cx, r->home, "acme", &route, &routed));
	return arena_printf(r->cx.mem, "%s, route %s", found ? tenant_state_name(t.state) : "gone",
	    routed ? route.state : "none");
}

static void
a_tenant_is_suspended_resumed_sealed_and_purged(void **state)
{
	Room *r = *state;
	Plan *plan;

	estate_apply(r, estate_text(r));
	RunReport report = verb(r, VERB_SUSPEND);
	assert_string_equal(standing(r), "suspended, route off");
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_string_equal(standing(r), "active, route open");
	verb(r, VERB_SUSPEND);
	ok(&r->cx, plan_verb(&r->cx, r->home, "acme", VERB_SUSPEND, &plan));
	assert_int_equal(plan->steps.n, 0);
	verb(r, VERB_RESUME);
	assert_string_equal(standing(r), "active, route open");
	verb(r, VERB_SEAL);
	assert_string_equal(standing(r), "sealed, route off");
	refused(&r->cx, plan_verb(&r->cx, r->home, "acme", VERB_SUSPEND, &plan), FAIL_REFUSED,
	    "tenant \"acme\" is sealed and cannot be suspended");
	refused(&r->cx, plan_verb(&r->cx, r->home, "acme", VERB_SEAL, &plan), FAIL_REFUSED,
	    "tenant \"acme\" is sealed and cannot be deleted");
	assert_true(entry(estate_plan(r, estate_text(r)), "acme")->nothing);
	verb(r, VERB_PURGE);
	assert_string_equal(standing(r), "gone, route none");
	plan = estate_plan(r, estate_text(r));
	assert_string_equal(estate_steps_of(r, plan), NEW_TENANT("acme"));
}

static void
logins_are_added_rotated_and_removed(void **state)
{
	Room *r = *state;
	Secret first, second;
	Plan *plan;
	bool found;

	estate_apply(r, estate_text(r));
	ok(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report", .read_only = true },
		"add", &plan));
	assert_string_equal(
	    estate_steps_of(r, plan), "tenant/acme login.register\ntenant/acme e.login-add\n");
	estate_run(r, plan);
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "report", &first));
	assert_int_equal(first.len, 32);
	refused(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report", .read_only = true },
		"add", &plan),
	    FAIL_EXISTS, "tenant \"acme\" has a login \"report\" already");
	ok(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report" }, "rotate", &plan));
	estate_run(r, plan);
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "report", &second));
	assert_string_not_equal(first.text, second.text);
	ok(&r->cx, catalog_secret_get(&r->cx, r->home, "previous/acme/report", &first, &found));
	assert_false(found);
	ok(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report" }, "remove", &plan));
	estate_run(r, plan);
	refused(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report" }, "remove", &plan),
	    FAIL_NOT_FOUND, "tenant \"acme\" has no login \"report\"");
}

/* --- many ----------------------------------------------------------------------------------- */

/* Each with a field of its own, so that no two share a shape. */
static char *
many(Room *r, int n)
{
	Buf b = buf_new(r->cx.mem);

	buf_add(&b, estate_model(r, 1, "name"));
	for (int i = 0; i < n; i++)
		buf_fmt(&b,
		    "---\napiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: t%d}\nspec:\n"
		    "  {model: crm, mode: dedicated, cluster: eu-1,\n"
		    "   fields: {account: [{name: own_%d, type: text}]}}\n",
		    i, i);
	return b.text;
}

static void
record_all(Room *r, const Manifests *m)
{
	const MapItem *it;
	char *shape;
	Model *merged;

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	for (it = map_next(m->tenants, NULL); it; it = map_next(m->tenants, it)) {
		const Tenant *t = it->value;
		Ctx cx = ctx_new(r->cx.mem);
		char *spec = manifest_canonical(cx.mem, "Tenant", t);
		char *hash = sha256_hex(cx.mem, spec, strlen(spec));
		ok(&cx, model_merge(&cx, map_get(m->models, "crm"), t, &merged));
		ok(&cx, catalog_shape_put(&cx, r->home, merged, &shape));
		TenantRecord record = { .name = t->name,
			.id = t->name,
			.state = TENANT_ACTIVE,
			.mode = MODE_DEDICATED,
			.cluster = "eu-1",
			.dbname = "d",
			.owner = "o",
			.model = "crm",
			.model_version = 1,
			.shape = shape,
			.spec_hash = hash,
			.changed_run = 1 };
		ok(&cx, catalog_tenant_put(&cx, r->home, &record));
		ok(&cx, catalog_object_put(&cx, r->home, "Tenant", t->name, spec, hash));
		arena_free(cx.mem);
	}
	ok(&r->cx, lite_commit(&r->cx, r->home->db));
}

static void
ten_thousand_recorded_tenants_give_no_step_and_hold_little_memory(void **state)
{
	Room *r = *state;
	char *text = many(r, 10000);
	Manifests *m;
	Plan *plan;

	estate_apply(r, estate_model(r, 1, "name"));
	ok(&r->cx, manifest_load_text(&r->cx, "x.yaml", text, strlen(text), &m));
	record_all(r, m);
	size_t before = arena_bytes(r->cx.mem);
	estate.looks = 0;
	ok(&r->cx, plan_make(&r->cx, r->home, m, &(PlanOptions){ .refresh = false }, &plan));
	assert_string_equal(estate_steps_of(r, plan), "");
	assert_int_equal(plan->unchanged, 10004);
	assert_int_equal(estate.looks, 0);
	assert_true(arena_bytes(r->cx.mem) - before < (size_t)100 << 20);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, estate_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_first_plan_makes_everything_in_the_order_in_which_it_is_needed),
		T(the_least_full_cluster_is_chosen_and_the_reason_told),
		T(a_region_that_is_full_refuses_that_tenant_alone),
		T(two_plans_of_the_same_are_the_same_to_the_last_byte),
		T(after_an_apply_nothing_is_left_to_do),
		T(drift_is_shown_and_mended_in_that_tenant_alone),
		T(a_new_version_of_a_model_changes_its_tenants),
		T(an_older_version_of_a_model_is_refused),
		T(a_cluster_that_cannot_be_reached_is_asked_once_and_the_others_go_on),
		T(a_tenant_that_no_manifest_names_stays_unless_pruned),
		T(a_region_and_a_cluster_that_nothing_stands_on_are_forgotten_by_prune),
		T(apply_does_not_move_a_tenant),
		T(a_tenant_in_the_middle_of_a_run_is_left_out),
		T(only_the_named_tenants_are_planned_for),
		T(a_saved_plan_keeps_its_options),
		T(a_file_that_is_no_saved_plan_is_refused),
		T(a_saved_plan_is_refused_for_each_thing_that_moved),
		T(a_tenant_is_suspended_resumed_sealed_and_purged),
		T(logins_are_added_rotated_and_removed),
		T(ten_thousand_recorded_tenants_give_no_step_and_hold_little_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

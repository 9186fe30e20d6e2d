#include "tests/unit/core/estate.h"

static const Sql LOGINS = { "logins",
	"SELECT client_user || ' ' || role || ' ' || access || ' ' || on_now FROM login", 0 };

/* Runs one step's record, and its unrecord, as the engine would. */
static bool
recorded(Room *r, const Steps *steps, size_t i, bool back)
{
	const StepKind *kind = step_kind(steps->at[i].kind);
	StepEnv env = { .home = r->home, .run = 9, .fence = 4, .step = &steps->at[i] };

	return back ? kind->unrecord(&r->cx, &env) : kind->record(&r->cx, &env);
}

static char *
spec_of(Room *r, const char *kind, const char *name)
{
	char *spec, *hash;

	ok(&r->cx, catalog_object(&r->cx, r->home, kind, name, &spec, &hash));
	return spec;
}

static void
a_record_that_is_put_is_taken_back_to_what_it_was(void **state)
{
	Room *r = *state;
	Steps steps = { 0 };

	ok(&r->cx,
	    records_object_put(&r->cx, r->home, "region/eu", "Region", "eu", "{1}", "h1", &steps));
	ok(&r->cx, recorded(r, &steps, 0, false));
	ok(&r->cx,
	    records_object_put(&r->cx, r->home, "region/eu", "Region", "eu", "{2}", "h2", &steps));
	ok(&r->cx, recorded(r, &steps, 1, false));
	assert_string_equal(spec_of(r, "Region", "eu"), "{2}");
	ok(&r->cx, recorded(r, &steps, 1, true));
	assert_string_equal(spec_of(r, "Region", "eu"), "{1}");
	records_object_remove(r->cx.mem, "region/eu", "Region", "eu", "{1}", &steps);
	ok(&r->cx, recorded(r, &steps, 2, false));
	assert_null(spec_of(r, "Region", "eu"));
	ok(&r->cx, recorded(r, &steps, 2, true));
	assert_string_equal(spec_of(r, "Region", "eu"), "{1}");
	ok(&r->cx, recorded(r, &steps, 0, true));
	assert_null(spec_of(r, "Region", "eu"));
	assert_string_equal(steps.at[0].title, "record Region \"eu\"");
}

static Plan *
tenant_plan(Room *r)
{
	return estate_plan(r,
	    arena_printf(r->cx.mem, "%s%s", estate_model(r, 1, "name"),
		estate_tenant(r, "acme", "cluster: eu-1")));
}

static const Step *
step_of(const Plan *plan, const char *kind)
{
	for (size_t i = 0; i < plan->steps.n; i++)
		if (strcmp(plan->steps.at[i].kind, kind) == 0)
			return &plan->steps.at[i];
	broken("the plan has no step %s", kind);
	return NULL;
}

/* A plan whose regions, clusters and models are recorded: a tenant is registered on them. */
static Plan *
grounded_plan(Room *r)
{
	Plan *plan = tenant_plan(r);

	for (size_t i = 0; i < plan->steps.n; i++)
		if (strcmp(plan->steps.at[i].kind, "object.put") == 0)
			ok(&r->cx, recorded(r, &plan->steps, i, false));
	return plan;
}

static void
no_step_of_a_plan_carries_a_password(void **state)
{
	Room *r = *state;
	Plan *plan = tenant_plan(r);
	Secret password;

	char *args = js_canonical(r->cx.mem, step_of(plan, "tenant.register")->args);
	estate_run(r, plan);
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &password));
	assert_int_equal(password.len, 32);
	assert_null(strstr(args, password.text));
	assert_null(strstr(args, "SCRAM"));
}

static void
a_password_that_was_announced_is_taken_over_and_given_back(void **state)
{
	Room *r = *state;
	Plan *plan = grounded_plan(r);
	Secret announced = secret_new(r->cx.mem, "announced", 9), out;
	Steps steps = { 0 };
	bool found;

	ok(&r->cx, catalog_secret_put(&r->cx, r->home, "pending/acme/app", &announced));
	Step s = *step_of(plan, "tenant.register");
	js_set_text(s.args, "mode", "customer-db");
	vec_push(r->cx.mem, &steps, s);
	ok(&r->cx, recorded(r, &steps, 0, false));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &out));
	assert_string_equal(out.text, "announced");
	ok(&r->cx, catalog_secret_get(&r->cx, r->home, "pending/acme/app", &out, &found));
	assert_false(found);
	ok(&r->cx, recorded(r, &steps, 0, true));
	ok(&r->cx, catalog_secret_get(&r->cx, r->home, "pending/acme/app", &out, &found));
	assert_true(found);
	assert_string_equal(out.text, "announced");
}

static void
a_registered_tenant_is_provisioning_until_it_is_recorded(void **state)
{
	Room *r = *state;
	Plan *plan = grounded_plan(r);
	TenantRecord t;
	bool found;

	ok(&r->cx,
	    recorded(
		r, &(Steps){ .at = (Step *)step_of(plan, "tenant.register"), .n = 1 }, 0, false));
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_int_equal(t.state, TENANT_PROVISIONING);
	assert_int_equal(t.changed_run, 9);
	Steps record = { .at = (Step *)step_of(plan, "tenant.record"), .n = 1 };
	ok(&r->cx, recorded(r, &record, 0, false));
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_int_equal(t.state, TENANT_ACTIVE);
	assert_string_equal(t.model, "crm");
	ok(&r->cx, recorded(r, &record, 0, true));
	ok(&r->cx, catalog_tenant(&r->cx, r->home, "acme", &t));
	assert_int_equal(t.state, TENANT_PROVISIONING);
	ok(&r->cx,
	    recorded(
		r, &(Steps){ .at = (Step *)step_of(plan, "tenant.register"), .n = 1 }, 0, true));
	ok(&r->cx, catalog_tenant_find(&r->cx, r->home, "acme", &t, &found));
	assert_false(found);
}

static void
a_rotated_password_can_be_taken_back(void **state)
{
	Room *r = *state;
	Secret before, after, back;
	Plan *plan;
	bool found;

	estate_run(r, tenant_plan(r));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &before));
	ok(&r->cx, plan_login(&r->cx, r->home, "acme", &(Login){ .user = "app" }, "rotate", &plan));
	ok(&r->cx, recorded(r, &plan->steps, 0, false));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &after));
	assert_string_not_equal(before.text, after.text);
	ok(&r->cx, recorded(r, &plan->steps, 0, true));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &back));
	assert_string_equal(before.text, back.text);
	ok(&r->cx, catalog_secret_get(&r->cx, r->home, "previous/acme/app", &back, &found));
	assert_false(found);
}

static void
a_read_only_login_stays_read_only_when_its_password_changes(void **state)
{
	Room *r = *state;
	LiteRows *rows;
	Plan *plan;
	int n = 0;

	estate_run(r, tenant_plan(r));
	ok(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report", .read_only = true },
		"add", &plan));
	estate_run(r, plan);
	ok(&r->cx,
	    plan_login(&r->cx, r->home, "acme", &(Login){ .user = "report" }, "rotate", &plan));
	estate_run(r, plan);
	ok(&r->cx, lite_query(&r->cx, r->home->db, &LOGINS, &rows, ""));
	for (; lite_next(rows); n++)
		assert_non_null(strstr(lite_text(rows, 0), n ? " ro 1" : " rw 1"));
	ok(&r->cx, lite_end(&r->cx, rows));
	assert_int_equal(n, 2);
}

static void
a_route_is_resolved_without_a_password_in_its_text(void **state)
{
	Room *r = *state;
	char *uri, *env, *json, *pass, *file, *bytes;
	Secret password;
	struct stat st;
	size_t n;

	estate_run(r, tenant_plan(r));
	ok(&r->cx, catalog_login_password(&r->cx, r->home, "acme", "app", &password));
	ok(&r->cx, route_resolve(&r->cx, r->home, "acme", NULL, true, ROUTE_URI, &uri));
	ok(&r->cx, route_resolve(&r->cx, r->home, "acme", "app", true, ROUTE_ENV, &env));
	ok(&r->cx, route_resolve(&r->cx, r->home, "acme", NULL, true, ROUTE_JSON, &json));
	assert_null(strstr(uri, password.text));
	assert_null(strstr(env, password.text));
	assert_null(strstr(json, password.text));
	assert_memory_equal(uri, "postgresql://t_", 15);
	assert_non_null(strstr(uri, "@a.example:5432/t_"));
	assert_non_null(strstr(uri, "?passfile="));
	assert_memory_equal(env, "export PGHOST=a.example\nexport PGPORT=5432\n", 43);
	pass = arena_printf(r->cx.mem, ":%s\n", password.text);
	file = arena_printf(r->cx.mem, "%s/run/pass/acme.app", r->home_dir);
	ok(&r->cx, file_read(&r->cx, file, 4096, &bytes, &n));
	assert_string_equal(bytes + n - strlen(pass), pass);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
a_route_that_is_not_open_or_a_login_that_is_not_there_is_said(void **state)
{
	Room *r = *state;
	Plan *plan;
	char *text;

	estate_run(r, tenant_plan(r));
	refused(&r->cx, route_resolve(&r->cx, r->home, "acme", "nobody", true, ROUTE_URI, &text),
	    FAIL_NOT_FOUND, "tenant \"acme\" has no login \"nobody\"");
	ok(&r->cx, plan_verb(&r->cx, r->home, "acme", VERB_SUSPEND, &plan));
	estate_run(r, plan);
	refused(&r->cx, route_resolve(&r->cx, r->home, "acme", NULL, true, ROUTE_URI, &text),
	    FAIL_REFUSED, "the route of tenant \"acme\" is off");
	refused(&r->cx, route_resolve(&r->cx, r->home, "nobody", NULL, true, ROUTE_URI, &text),
	    FAIL_NOT_FOUND, "there is no tenant \"nobody\"");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, estate_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_record_that_is_put_is_taken_back_to_what_it_was),
		T(no_step_of_a_plan_carries_a_password),
		T(a_password_that_was_announced_is_taken_over_and_given_back),
		T(a_registered_tenant_is_provisioning_until_it_is_recorded),
		T(a_rotated_password_can_be_taken_back),
		T(a_read_only_login_stays_read_only_when_its_password_changes),
		T(a_route_is_resolved_without_a_password_in_its_text),
		T(a_route_that_is_not_open_or_a_login_that_is_not_there_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

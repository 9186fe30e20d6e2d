#include "tests/unit/core/crowd.h"

#define NAME "{name: name, type: text, maxLength: 80}"
#define CITY "{name: city, type: text}"
#define FAX  "{name: fax, type: text}"
#define OWN  "acceptVisibleNames: true, fields: {account: [{name: x_tier, type: text}]}"
#define UNFIT \
	"acceptVisibleNames: true, fields: {account: [{name: x_code, type: uuid, unique: true}]}"

static const char *const two[] = { "acme", "", "globex", "", NULL };
static const char *const with_own[] = { "acme", "", "globex", "", "initech", OWN, NULL };

static const PlanEntry *
entry(const Plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->entries.n; i++)
		if (strcmp(plan->entries.at[i].name, name) == 0)
			return &plan->entries.at[i];
	broken("the plan has no entry \"%s\"", name);
	return NULL;
}

static const char *
v1(Room *r, const char *const *tenants)
{
	return crowd_text(r, crowd_model(r, 1, NAME, ""), tenants);
}

static const char *
v2(Room *r, const char *const *tenants)
{
	return crowd_text(r, crowd_model(r, 2, NAME ", " CITY, ""), tenants);
}

static Plan *
plan_only(Room *r, const char *text, const char *tenant)
{
	OptList *only = arena_alloc(r->cx.mem, sizeof *only);

	only->at[only->n++] = tenant;
	return estate_plan_with(r, text, (PlanOptions){ .refresh = true, .only = only });
}

/* "crm version, layout, views" of a tenant as it is recorded. */
static const char *
recorded(Room *r, const char *name)
{
	TenantRecord t;
	SharedRecord s;

	ok(&r->cx, catalog_tenant(&r->cx, r->home, name, &t));
	ok(&r->cx, catalog_shared(&r->cx, r->home, t.shared, &s));
	return arena_printf(r->cx.mem, "%lld %s%s%s", (long long)t.model_version,
	    layout_name(t.layout), t.own_views ? " own" : "",
	    strcmp(t.shape, s.common) == 0 ? " common" : "");
}

static const Field *
wide_field(Room *r, const char *field)
{
	SharedRecord s;
	Model *wide;

	ok(&r->cx, catalog_shared(&r->cx, r->home, "eu-1/crm", &s));
	ok(&r->cx, catalog_shape(&r->cx, r->home, s.wide, &wide));
	return object_field(model_object(wide, "account"), field);
}

static int64_t
events(Room *r, const char *verb)
{
	static const Sql count = { "count", "SELECT count(*) FROM event WHERE verb = ?1", 1 };
	LiteRows *rows;

	ok(&r->cx, lite_query(&r->cx, r->home->db, &count, &rows, "t", verb));
	assert_true(lite_next(rows));
	int64_t n = lite_int(rows, 0);
	ok(&r->cx, lite_end(&r->cx, rows));
	return n;
}

#define JOIN(name) \
	"tenant/" name " tenant.register\ntenant/" name " s.join\n" \
	"tenant/" name " tenant.record\ntenant/" name " route.open\n"

/* --- the first ones ------------------------------------------------------------------- */

static void
a_first_tenant_brings_its_shared_database(void **state)
{
	Room *r = *state;
	Plan *plan = estate_plan(r, v1(r, two));
	SharedRecord s;

	assert_string_equal(estate_steps_of(r, plan),
	    "region/eu object.put\ncluster/eu-1 object.put\ncluster/eu-1 e.claim\n"
	    "model/crm object.put\nshared/eu-1/crm shared.register\nshared/eu-1/crm s.tables\n"
	    "shared/eu-1/crm s.views\nshared/eu-1/crm shared.record\n" JOIN("acme") JOIN("globex"));
	assert_int_equal(plan->add, 6);
	assert_string_equal(plan->entries.at[3].kind, "shared");
	assert_string_equal(plan->entries.at[3].name, "eu-1/crm");
	assert_string_equal(plan->entries.at[3].note, "model crm version 1");
	assert_string_equal(entry(plan, "acme")->note, "shared on eu-1");
	assert_int_equal(entry(plan, "globex")->steps, 4);
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	ok(&r->cx, catalog_shared(&r->cx, r->home, "eu-1/crm", &s));
	assert_true(s.active);
	assert_int_equal(s.tenants, 2);
	assert_int_equal(s.version, 1);
	assert_int_equal(strlen(s.id), 12);
	assert_string_equal(recorded(r, "acme"), "1 views common");
	assert_int_equal(events(r, "tenant.follow"), 0);
}

static void
two_first_plans_are_the_same(void **state)
{
	Room *r = *state;
	PlanOptions options = { .refresh = true };

	assert_string_equal(
	    plan_save(r->cx.mem, r->home, estate_plan(r, v1(r, with_own)), "m", &options),
	    plan_save(r->cx.mem, r->home, estate_plan(r, v1(r, with_own)), "m", &options));
}

static void
the_server_is_asked_once_a_shared_database(void **state)
{
	Room *r = *state;

	estate_apply(r, v1(r, with_own));
	crowd.looks = crowd.preflights = 0;
	Plan *plan = estate_plan(r, v1(r, with_own));
	assert_true(plan_empty(plan));
	assert_int_equal(plan->unchanged, 7);
	assert_int_equal(crowd.preflights, 1);
	assert_int_equal(crowd.looks, 2); /* the database, and the tenant with views of its own */
	crowd.looks = 0;
	assert_true(plan_empty(plan_only(r, v1(r, with_own), "acme")));
	assert_int_equal(crowd.looks, 2);
	assert_true(plan_empty(estate_plan_with(r, v1(r, with_own), (PlanOptions){ 0 })));
}

static void
a_later_tenant_joins_without_touching_the_database(void **state)
{
	Room *r = *state;
	const char *const three[] = { "acme", "", "globex", "", "later", "", NULL };

	estate_apply(r, v1(r, two));
	Plan *plan = estate_plan(r, v1(r, three));
	assert_string_equal(estate_steps_of(r, plan), JOIN("later"));
	assert_true(entry(plan, "eu-1/crm")->nothing);
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(recorded(r, "later"), "1 views common");
}

static void
drift_of_the_shared_database_is_mended_there(void **state)
{
	Room *r = *state;

	estate_apply(r, v1(r, two));
	crowd.drifted = true;
	Plan *plan = estate_plan(r, v1(r, two));
	assert_int_equal(plan->drift, 1);
	assert_string_equal(
	    estate_steps_of(r, plan), "shared/eu-1/crm s.change\nshared/eu-1/crm shared.record\n");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
}

static void
indexes_that_row_security_makes_useless_are_told_once(void **state)
{
	Room *r = *state;
	const char *fields = NAME
	    ", {name: a, type: number, indexed: true}, {name: b, type: number, "
	    "unique: true}, {name: c, type: number, indexed: true}, {name: d, "
	    "type: number, indexed: true}, {name: e, type: integer, indexed: true}";
	const char *text = crowd_text(r, crowd_model(r, 1, fields, ""), two);
	Plan *plan = estate_plan(r, text);

	assert_string_equal(entry(plan, "eu-1/crm")->note,
	    "model crm version 1; a search by account.a, account.b, account.c and 1 more reads all "
	    "rows of the tenant: numbers are compared by operators that PostgreSQL does not trust "
	    "behind row security");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(entry(estate_plan(r, text), "eu-1/crm")->note, "model crm version 1");
}

/* --- evolution -------------------------------------------------------------------------- */

static void
a_new_version_moves_all_tenants_of_the_common_views_in_one_step(void **state)
{
	Room *r = *state;
	RunReport report;

	estate_apply(r, v1(r, two));
	Plan *plan = estate_plan(r, v2(r, two));
	assert_string_equal(estate_steps_of(r, plan),
	    "model/crm object.put\nshared/eu-1/crm s.change\nshared/eu-1/crm s.views\n"
	    "shared/eu-1/crm shared.record\n");
	assert_string_equal(entry(plan, "acme")->note, "follows shared eu-1/crm");
	assert_true(entry(plan, "acme")->nothing);
	assert_int_equal(plan->change, 2);
	assert_int_equal(plan->unchanged, 4);
	report = estate_run(r, plan);
	assert_string_equal(recorded(r, "acme"), "2 views common");
	assert_string_equal(recorded(r, "globex"), "2 views common");
	assert_int_equal(events(r, "tenant.follow"), 2);
	assert_true(plan_empty(estate_plan(r, v2(r, two))));
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(recorded(r, "acme"), "1 views common");
	assert_int_equal(events(r, "tenant.follow"), 4);
	assert_null(wide_field(r, "city"));
	assert_true(plan_empty(estate_plan(r, v1(r, two))));
}

static void
a_tenant_chosen_by_name_goes_ahead_with_views_of_its_own_and_comes_back(void **state)
{
	Room *r = *state;

	estate_apply(r, v1(r, two));
	Plan *plan = plan_only(r, v2(r, two), "acme");
	assert_string_equal(estate_steps_of(r, plan),
	    "model/crm object.put\nshared/eu-1/crm s.change\nshared/eu-1/crm shared.record\n"
	    "tenant/acme s.own\ntenant/acme tenant.record\n");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(recorded(r, "acme"), "2 views own");
	assert_string_equal(recorded(r, "globex"), "1 views common");
	assert_non_null(wide_field(r, "city"));
	assert_true(plan_empty(plan_only(r, v2(r, two), "acme")));
	assert_string_equal(estate_steps_of(r, plan_only(r, v2(r, two), "globex")),
	    "tenant/globex s.own\ntenant/globex tenant.record\n");
	plan = estate_plan(r, v2(r, two));
	assert_string_equal(estate_steps_of(r, plan),
	    "shared/eu-1/crm s.views\nshared/eu-1/crm shared.record\n"
	    "tenant/acme s.unown\ntenant/acme tenant.record\n");
	RunReport report = estate_run(r, plan);
	assert_string_equal(recorded(r, "acme"), "2 views common");
	assert_string_equal(recorded(r, "globex"), "2 views common");
	assert_true(plan_empty(estate_plan(r, v2(r, two))));
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(recorded(r, "acme"), "2 views own");
	assert_string_equal(recorded(r, "globex"), "1 views common");
}

static void
what_only_all_can_do_together_is_refused_to_one(void **state)
{
	Room *r = *state;
	const char *text = crowd_text(r, crowd_model(r, 2, CITY, ""), two);

	estate_apply(r, v1(r, two));
	Plan *plan = plan_only(r, text, "acme");
	assert_int_equal(plan->failed, 1);
	assert_string_equal(entry(plan, "acme")->fail->what,
	    "version 2 of model \"crm\" removes \"account.name\", which the tenants of a shared "
	    "database can only do together");
	assert_string_equal(
	    entry(plan, "acme")->fail->hint, "Apply it for all of them: leave --tenant out.");
}

static void
a_field_that_is_gone_stays_until_it_is_dropped(void **state)
{
	Room *r = *state;
	const char *less = crowd_text(r, crowd_model(r, 2, NAME, ""), two);
	const char *drop = crowd_text(r, crowd_model(r, 3, NAME, "account.fax"), two);

	estate_apply(r, crowd_text(r, crowd_model(r, 1, NAME ", " FAX, ""), two));
	Plan *plan = estate_plan(r, less);
	assert_int_equal(plan->kept, 1);
	assert_string_equal(entry(plan, "eu-1/crm")->changes.at[0].name, "account.fax");
	assert_string_equal(entry(plan, "eu-1/crm")->changes.at[0].note,
	    "the views do not show it any more; add \"account.fax\" to drop and say --prune to remove it");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_non_null(wide_field(r, "fax"));
	plan = estate_plan(r, drop);
	assert_string_equal(
	    entry(plan, "eu-1/crm")->changes.at[0].note, "listed in drop: --prune removes it");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	plan = estate_plan_with(r, drop, (PlanOptions){ .refresh = true, .prune = true });
	assert_string_equal(
	    estate_steps_of(r, plan), "shared/eu-1/crm s.change\nshared/eu-1/crm shared.record\n");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_null(wide_field(r, "fax"));
}

static void
a_field_that_a_tenants_own_view_has_is_not_dropped_from_under_it(void **state)
{
	Room *r = *state;
	PlanOptions prune = { .refresh = true, .prune = true };
	const char *drop = crowd_text(r, crowd_model(r, 2, NAME, "account.fax"), with_own);

	estate_apply(r, crowd_text(r, crowd_model(r, 1, NAME ", " FAX, ""), with_own));
	Plan *plan = estate_plan_with(r, drop, prune);
	assert_string_equal(entry(plan, "eu-1/crm")->changes.at[0].note,
	    "tenant \"initech\" still has it: apply again when it has not");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(recorded(r, "initech"), "2 views own");
	assert_non_null(wide_field(r, "fax"));
	plan = estate_plan_with(r, drop, prune);
	assert_string_equal(
	    estate_steps_of(r, plan), "shared/eu-1/crm s.change\nshared/eu-1/crm shared.record\n");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_null(wide_field(r, "fax"));
	assert_true(plan_empty(estate_plan_with(r, drop, prune)));
}

/* --- own fields --------------------------------------------------------------------------- */

static Slots
slots_of(Room *r, const char *tenant)
{
	Placement *at;

	ok(&r->cx, catalog_placement(&r->cx, r->home, tenant, &at));
	return at->slots;
}

static void
own_fields_take_spare_columns_and_give_views_of_its_own(void **state)
{
	Room *r = *state;

	estate_apply(r, v1(r, with_own));
	assert_string_equal(recorded(r, "initech"), "1 views own");
	assert_string_equal(recorded(r, "acme"), "1 views common");
	Slots slots = slots_of(r, "initech");
	assert_int_equal(slots.n, 1);
	assert_string_equal(wide_slot(&slots, "account", "x_tier")->column, "_text_1");
	assert_int_equal(slots_of(r, "acme").n, 0);
	estate_apply(r, v2(r, with_own));
	assert_string_equal(recorded(r, "initech"), "2 views own");
	assert_true(plan_empty(estate_plan(r, v2(r, with_own))));
}

static void
a_tenant_gets_its_first_own_field_and_an_undo_takes_it_back(void **state)
{
	Room *r = *state;
	const char *const own[] = { "acme", OWN, "globex", "", NULL };

	estate_apply(r, v1(r, two));
	Plan *plan = estate_plan(r, v1(r, own));
	assert_string_equal(
	    estate_steps_of(r, plan), "tenant/acme s.own\ntenant/acme tenant.record\n");
	RunReport report = estate_run(r, plan);
	assert_string_equal(recorded(r, "acme"), "1 views own");
	assert_int_equal(slots_of(r, "acme").n, 1);
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(recorded(r, "acme"), "1 views common");
	assert_int_equal(slots_of(r, "acme").n, 0);
}

static void
more_own_fields_than_spare_columns_widen_the_table_for_all(void **state)
{
	Room *r = *state;
	const char *const own[] = { "acme",
		"acceptVisibleNames: true, fields: {account: [{name: a, type: date}, "
		"{name: b, type: date}]}",
		"globex", "", NULL };

	estate_apply(r, v1(r, two));
	Plan *plan = estate_plan(r, v1(r, own));
	assert_string_equal(estate_steps_of(r, plan),
	    "shared/eu-1/crm s.change\nshared/eu-1/crm shared.record\n"
	    "tenant/acme s.own\ntenant/acme tenant.record\n");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_true(wide_field(r, "_date_2")->spare);
	assert_string_equal(recorded(r, "globex"), "1 views common");
	estate_apply(r, v1(r, two));
	assert_non_null(wide_field(r, "_date_2"));
}

static void
an_own_field_with_a_rule_brings_tables_of_its_own_and_there_is_no_way_back(void **state)
{
	Room *r = *state;
	const char *const unfit[] = { "acme", UNFIT, "globex", "", "initech", UNFIT, NULL };

	estate_apply(r, v1(r, two));
	Plan *plan = estate_plan(r, v1(r, unfit));
	assert_string_equal(estate_steps_of(r, plan),
	    "tenant/acme s.move\ntenant/acme tenant.record\n"
	    "tenant/initech tenant.register\ntenant/initech s.join\ntenant/initech s.shape\n"
	    "tenant/initech tenant.record\ntenant/initech route.open\n");
	assert_string_equal(entry(plan, "acme")->note,
	    "shared on eu-1; tables of its own for field \"account.x_code\" (unique)");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(recorded(r, "acme"), "1 tables");
	assert_string_equal(recorded(r, "initech"), "1 tables");
	plan = estate_plan(r, v1(r, two));
	assert_string_equal(entry(plan, "acme")->note,
	    "shared on eu-1; tables of its own, which it keeps though the common ones would do");
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(recorded(r, "acme"), "1 tables common");
	estate_apply(r, v2(r, unfit));
	assert_string_equal(recorded(r, "acme"), "2 tables");
}

/* --- the end of one ------------------------------------------------------------------------ */

static void
an_empty_shared_database_goes_with_prune(void **state)
{
	Room *r = *state;
	const char *const none[] = { NULL };
	PlanOptions prune = { .refresh = true, .prune = true };
	SharedRecord before, after;
	Plan *plan;
	bool found;

	estate_apply(r, v1(r, two));
	ok(&r->cx, catalog_shared(&r->cx, r->home, "eu-1/crm", &before));
	for (size_t i = 0; i < 2; i++) {
		ok(&r->cx, plan_verb(&r->cx, r->home, two[2 * i], VERB_PURGE, &plan));
		assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	}
	plan = estate_plan(r, v1(r, none));
	assert_true(plan_empty(plan));
	assert_string_equal(
	    entry(plan, "eu-1/crm")->note, "no tenant is in it; it stays (--prune removes it)");
	plan = estate_plan_with(r, v1(r, none), prune);
	assert_string_equal(
	    estate_steps_of(r, plan), "shared/eu-1/crm s.drop\nshared/eu-1/crm shared.forget\n");
	assert_int_equal(plan->remove, 1);
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	ok(&r->cx, catalog_shared_find(&r->cx, r->home, "eu-1/crm", &after, &found));
	assert_false(found);
	estate_apply(r, v1(r, two));
	ok(&r->cx, catalog_shared(&r->cx, r->home, "eu-1/crm", &after));
	assert_string_not_equal(before.id, after.id);
}

/* --- failures ------------------------------------------------------------------------------- */

static void
tenants_of_a_shared_database_that_failed_are_not_begun(void **state)
{
	Room *r = *state;
	SharedRecord s;
	TenantRecord t;
	bool found;

	crowd.broken = "s.views";
	RunReport report = estate_run(r, estate_plan(r, v1(r, two)));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_string_equal(report.scopes.at[4].scope, "tenant/acme");
	assert_int_equal(report.scopes.at[4].outcome, SCOPE_FAILED);
	assert_string_equal(report.scopes.at[4].fail->what,
	    "shared database \"eu-1/crm\" is not ready: the server refused it");
	ok(&r->cx, catalog_shared_find(&r->cx, r->home, "eu-1/crm", &s, &found));
	assert_false(found);
	ok(&r->cx, catalog_tenant_find(&r->cx, r->home, "acme", &t, &found));
	assert_false(found);
	crowd.broken = NULL;
	estate_apply(r, v1(r, two));
}

static void
tenants_of_one_out_of_reach_wait_for_a_resume(void **state)
{
	Room *r = *state;
	RunReport report;
	Plan *plan;

	plan = estate_plan(r, v1(r, two));
	crowd.cut = "s.tables";
	report = estate_run(r, plan);
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	assert_int_equal(report.scopes.at[5].outcome, SCOPE_UNREACHABLE);
	crowd.cut = NULL;
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(recorded(r, "globex"), "1 views common");
}

static void
a_cluster_out_of_reach_fails_its_shared_databases_and_who_would_join(void **state)
{
	Room *r = *state;
	const char *const three[] = { "acme", "", "globex", "", "later", "", NULL };

	estate_apply(r, v1(r, two));
	estate.unreachable = "eu-1";
	Plan *plan = estate_plan(r, v1(r, three));
	assert_int_equal(plan->failed, 2);
	assert_true(plan->failed && !plan->worst);
	assert_string_equal(entry(plan, "later")->fail->what, "connection to \"eu-1\" refused");
	assert_true(entry(plan, "acme")->nothing);
}

/* --- runs beside each other ------------------------------------------------------------------- */

/* A run that has yet to do `kind` in some scope, and goes no further. */
static int64_t
unfinished(Room *r, const char *text, const char *kind)
{
	Plan *plan = estate_plan(r, text);

	crowd.cut = kind;
	RunReport report = estate_run(r, plan);
	crowd.cut = NULL;
	return report.run;
}

static void
start_refused(Room *r, const Plan *plan, const char *what)
{
	RunReport report;
	RunRows runs;

	ok(&r->cx, run_list(&r->cx, r->home, 100, &runs));
	size_t before = runs.n;
	refused(&r->cx, run_start(&r->cx, r->home, &plan->run, &report), FAIL_REFUSED, what);
	ok(&r->cx, run_list(&r->cx, r->home, 100, &runs));
	assert_int_equal(runs.n, before);
}

static void
a_shared_database_does_not_move_while_a_tenant_is_still_to_be_recorded(void **state)
{
	Room *r = *state;
	const char *const three[] = { "acme", "", "globex", "", "later", "", NULL };
	RunReport report;

	estate_apply(r, v1(r, two));
	int64_t run = unfinished(r, v1(r, three), "s.join");
	start_refused(r, estate_plan(r, v2(r, two)),
	    "run 2 has not finished with \"tenant/later\", and this one would change shared "
	    "database \"eu-1/crm\"");
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	estate_apply(r, v2(r, three));
	assert_string_equal(recorded(r, "later"), "2 views common");
}

static void
no_tenant_is_recorded_while_its_shared_database_is_on_the_move(void **state)
{
	Room *r = *state;
	const char *const three[] = { "acme", "", "globex", "", "later", "", NULL };
	RunReport report;

	estate_apply(r, v1(r, two));
	Plan *before = estate_plan(r, v1(r, three));
	crowd.drifted = true;
	int64_t run = unfinished(r, v1(r, two), "s.change");
	Plan *plan = estate_plan(r, v1(r, three));
	assert_string_equal(entry(plan, "eu-1/crm")->fail->what,
	    "run 2 has not finished with shared database \"eu-1/crm\"");
	assert_string_equal(entry(plan, "later")->fail->what, entry(plan, "eu-1/crm")->fail->what);
	crowd.drifted = false;
	start_refused(r, estate_plan(r, v1(r, three)),
	    "run 2 has not finished with \"shared/eu-1/crm\", and this one would change tenants of "
	    "shared database \"eu-1/crm\"");
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	refused(&r->cx, run_start(&r->cx, r->home, &before->run, &report), FAIL_PLAN_STALE,
	    "shared database \"eu-1/crm\" was changed by run 2 since the plan was made");
	estate_apply(r, v1(r, three));
}

static void
a_move_is_not_undone_from_under_tenants_recorded_since(void **state)
{
	Room *r = *state;
	const char *const three[] = { "acme", "", "globex", "", "later", "", NULL };
	RunReport report;

	estate_apply(r, v1(r, two));
	int64_t run = estate_run(r, estate_plan(r, v2(r, two))).run;
	estate_apply(r, v2(r, three));
	refused(&r->cx, run_undo(&r->cx, r->home, run, &report), FAIL_REFUSED,
	    "run 3 has changed \"shared/eu-1/crm\" since");
}

static void
a_shared_database_with_tenants_is_not_taken_back(void **state)
{
	Room *r = *state;
	const char *const none[] = { NULL };
	RunReport report;
	Plan *plan;

	estate_apply(r, v1(r, none));
	plan = estate_plan(r, v1(r, two));
	crowd.broken = "s.join";
	int64_t run = estate_run(r, plan).run;
	crowd.broken = NULL;
	estate_apply(r, v1(r, two));
	assert_false(run_undo(&r->cx, r->home, run, &report));
	assert_string_equal(r->cx.fail->what, "run 3 has changed \"shared/eu-1/crm\" since");
	fail_clear(&r->cx);
}

/* --- many ----------------------------------------------------------------------------------------- */

/* As if they had been provisioned: like the one that was, under other names. */
static void
record_many(Room *r, const char *const *names)
{
	Ctx cx = ctx_new(r->cx.mem);
	TenantRecord like;
	char *spec, *hash;

	ok(&cx, catalog_tenant(&cx, r->home, "acme", &like));
	ok(&cx, catalog_object(&cx, r->home, "Tenant", "acme", &spec, &hash));
	ok(&cx, lite_begin(&cx, r->home->db));
	for (; *names; names += 2) {
		TenantRecord t = like;
		t.name = t.id = names[0];
		ok(&cx, catalog_tenant_put(&cx, r->home, &t));
		ok(&cx, catalog_object_put(&cx, r->home, "Tenant", t.name, spec, hash));
	}
	ok(&cx, lite_commit(&cx, r->home->db));
	arena_free(cx.mem);
}

static void
ten_thousand_tenants_follow_without_a_step_of_their_own(void **state)
{
	Room *r = *state;
	enum { MANY = 10000 };
	const char **tenants = arena_alloc(r->cx.mem, (2 * MANY + 3) * sizeof *tenants);

	tenants[0] = "acme";
	tenants[1] = "";
	estate_apply(r, v1(r, tenants));
	for (int i = 1; i <= MANY; i++) {
		tenants[2 * i] = arena_printf(r->cx.mem, "t%05d", i);
		tenants[2 * i + 1] = "";
	}
	record_many(r, tenants + 2);
	Plan *plan = estate_plan(r, v2(r, tenants));
	assert_int_equal(plan->steps.n, 4);
	assert_int_equal(plan->unchanged, MANY + 3);
	assert_int_equal(estate_run(r, plan).exit, EXIT_DONE);
	assert_string_equal(recorded(r, "t09999"), "2 views common");
	assert_int_equal(events(r, "tenant.follow"), MANY + 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, crowd_setup, room_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_first_tenant_brings_its_shared_database),
		T(two_first_plans_are_the_same),
		T(the_server_is_asked_once_a_shared_database),
		T(a_later_tenant_joins_without_touching_the_database),
		T(drift_of_the_shared_database_is_mended_there),
		T(indexes_that_row_security_makes_useless_are_told_once),
		T(a_new_version_moves_all_tenants_of_the_common_views_in_one_step),
		T(a_tenant_chosen_by_name_goes_ahead_with_views_of_its_own_and_comes_back),
		T(what_only_all_can_do_together_is_refused_to_one),
		T(a_field_that_is_gone_stays_until_it_is_dropped),
		T(a_field_that_a_tenants_own_view_has_is_not_dropped_from_under_it),
		T(own_fields_take_spare_columns_and_give_views_of_its_own),
		T(a_tenant_gets_its_first_own_field_and_an_undo_takes_it_back),
		T(more_own_fields_than_spare_columns_widen_the_table_for_all),
		T(an_own_field_with_a_rule_brings_tables_of_its_own_and_there_is_no_way_back),
		T(an_empty_shared_database_goes_with_prune),
		T(tenants_of_a_shared_database_that_failed_are_not_begun),
		T(tenants_of_one_out_of_reach_wait_for_a_resume),
		T(a_cluster_out_of_reach_fails_its_shared_databases_and_who_would_join),
		T(a_shared_database_does_not_move_while_a_tenant_is_still_to_be_recorded),
		T(no_tenant_is_recorded_while_its_shared_database_is_on_the_move),
		T(a_move_is_not_undone_from_under_tenants_recorded_since),
		T(a_shared_database_with_tenants_is_not_taken_back),
		T(ten_thousand_tenants_follow_without_a_step_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

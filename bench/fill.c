/*
 * fill HOME MANIFESTS - the catalogue as a run of `copyhold apply` would leave
 * it, without a server: the steps of the plan are recorded, journalled and told
 * of in events as done, and none of them acts.  All tenants get one password.
 */
#include <stdio.h>
#include <string.h>

#include "deployer/items.h"
#include "lib/core/journal.h"
#include "lib/core/plan.h"
#include "lib/core/records.h"
#include "region/route/route.h"

typedef struct Filling {
	Ctx	*cx;
	Home	*home;
	int64_t	 run;
	Login	 login;
	Secret	 password;
} Filling;

/* What the step records, but for the password. */
static bool
register_tenant(Ctx *cx, Filling *f, const Step *step)
{
	const Js *a = step->args;
	TenantRecord t = {
		.name = js_get_text(a, "tenant"), .display = js_get_text(a, "display"),
		.id = js_get_text(a, "id"), .state = TENANT_PROVISIONING,
		.mode = mode_of(js_get_text(a, "mode")), .cluster = js_get_text(a, "cluster"),
		.dbname = js_get_text(a, "dbname"), .owner = js_get_text(a, "owner"),
		.model = js_get_text(a, "model"), .shape = "", .spec_hash = "", .changed_run = f->run,
	};

	f->login.user = js_get_text(a, "login");
	f->login.role = js_get_text(a, "role");
	return catalog_tenant_put(cx, f->home, &t) &&
	    catalog_login_put_as(
		cx, f->home, t.name, &f->login, &f->password, &(ClientPassword){ .verifier = NULL });
}

static bool
record(Ctx *cx, Filling *f, StepEnv *env)
{
	const StepKind *kind = step_kind(env->step->kind);

	if (strcmp(kind->name, "tenant.register") == 0)
		return register_tenant(cx, f, env->step);
	return !kind->record || kind->record(cx, env);
}

static bool
place_of(Ctx *cx, Home *home, const char *scope, StepEnv *env)
{
	const char *tenant = scope_tenant(scope);
	TenantRecord t;
	Placement *at;
	bool found = false;

	if (tenant && !catalog_tenant_find(cx, home, tenant, &t, &found))
		return false;
	if (!found)
		return true;
	if (!catalog_placement_of(cx, home, &t, &at))
		return false;
	env->at = at;
	env->cluster = at->cluster;
	return true;
}

static bool
fill_step(Filling *f, const Step *step, int64_t id)
{
	Ctx cx = ctx_new(f->cx->mem);
	StepRow row = { .step = *step };
	StepEnv env = { .home = f->home, .run = f->run, .fence = 1, .step = &row.step };

	row.step.id = id;
	row.step.key = arena_printf(cx.mem, "fill/%lld/%lld", (long long)f->run, (long long)id);
	bool ok = place_of(&cx, f->home, step->scope, &env) &&
	    journal_step_add(&cx, f->home, f->run, &row.step) &&
	    record(&cx, f, &env) &&
	    journal_state(&cx, f->home, f->run, &row, STEP_DONE, NULL) &&
	    journal_event(&cx, f->home, f->run, &row, "ok") &&
	    catalog_serial_bump(&cx, f->home);
	if (!ok)
		fail_copy(f->cx, &cx);
	arena_free(cx.mem);
	return ok;
}

static bool
fill_all(Filling *f, const Plan *plan)
{
	char *hash;

	for (size_t i = 0; i < plan->run.shapes.n; i++)
		if (!catalog_shape_put(f->cx, f->home, plan->run.shapes.at[i], &hash))
			return false;
	for (size_t i = 0; i < plan->steps.n; i++)
		if (!fill_step(f, &plan->steps.at[i], (int64_t)i + 1))
			return false;
	return true;
}

static bool
fill(Ctx *cx, const char *dir, const char *path)
{
	PlanOptions options = { .refresh = false };
	Filling f = { .cx = cx };
	Manifests *m;
	Plan *plan;

	f.password = random_password(cx->mem);
	f.login = (Login){ .verifier = scram_verifier(cx->mem, &f.password), .on = true };
	return home_open(cx, dir, ACCESS_WRITES, &f.home) && manifest_load(cx, path, &m) &&
	    plan_make(cx, f.home, m, &options, &plan) && lite_begin(cx, f.home->db) &&
	    journal_run_add(cx, f.home, "apply", &f.run) && fill_all(&f, plan) &&
	    journal_run_end(cx, f.home, f.run, "done", 0) && lite_commit(cx, f.home->db);
}

int
main(int argc, char **argv)
{
	static const PlaceDriver *const drivers[] = { &mode_dedicated, &mode_customer_db, NULL };
	Ctx cx = ctx_new(NULL);
	bool ok;

	if (argc != 3) {
		fprintf(stderr, "usage: fill HOME MANIFESTS\n");
		return 64;
	}
	place_register(drivers);
	step_register(shape_kinds);
	step_register(records_kinds);
	step_register(route_kinds);
	ok = fill(&cx, argv[1], argv[2]);
	if (!ok)
		fputs(fail_text(cx.mem, cx.fail), stderr);
	arena_free(cx.mem);
	return !ok;
}

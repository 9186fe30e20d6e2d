/*
 * estate.h - manifests, and a placement driver whose server is a few counters:
 * what a plan and a run make of them needs no PostgreSQL.
 */
#pragma once

#include "lib/core/plan.h"
#include "lib/core/records.h"
#include "region/route/route.h"
#include "tests/unit/core/room.h"

static struct {
	const char *unreachable;	/* cluster */
	const char *drifted;		/* tenant whose table was changed by hand */
	int looks;
} estate;

static bool
estate_preflight(Ctx *cx, Conns *conns, const Placement *at, bool exists)
{
	(void)conns;
	(void)exists;
	estate.looks++;
	if (estate.unreachable && strcmp(at->cluster->name, estate.unreachable) == 0)
		return fail(cx, FAIL_UNREACHABLE, NULL, "connection to \"%s\" refused", at->cluster->name);
	return true;
}

static bool
estate_observe(Ctx *cx, Conns *conns, const Placement *at, Items *out)
{
	bool odd = estate.drifted && strcmp(at->tenant, estate.drifted) == 0;

	(void)conns;
	vec_push(cx->mem, out, ((Item){ 1, "account", "name", odd ? "text, longer" : "text" }));
	return true;
}

static bool
estate_step(Ctx *cx, const Placement *at, const char *kind, Steps *steps)
{
	Js *args = js_object(cx->mem);

	js_set_text(args, "tenant", at->tenant);
	steps_add(cx->mem, steps, arena_printf(cx->mem, "tenant/%s", at->tenant), kind, args, "%s", kind);
	return true;
}

static bool
estate_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	bool drift = work->observed && strcmp(work->observed->at[0].def, "text") != 0;
	char *want = model_canonical(cx->mem, work->desired);
	bool same = work->recorded && strcmp(model_canonical(cx->mem, work->recorded), want) == 0;

	if (same && !drift)
		return true;
	vec_push(cx->mem, changes, ((Change){ .op = work->recorded ? CHANGE_ALTER : CHANGE_ADD,
	    .what = "object", .name = "account", .drift = drift }));
	return estate_step(cx, at, "e.shape", steps);
}

static bool
estate_cluster_steps(Ctx *cx, const Cluster *cluster, Steps *steps)
{
	steps_add(cx->mem, steps, arena_printf(cx->mem, "cluster/%s", cluster->name), "e.claim", NULL,
	    "claim %s", cluster->name);
	return true;
}

static bool
estate_suspend(Ctx *cx, const Placement *at, Steps *steps)
{
	return estate_step(cx, at, "e.close", steps);
}

static bool
estate_resume(Ctx *cx, const Placement *at, Steps *steps)
{
	return estate_step(cx, at, "e.reopen", steps);
}

static bool
estate_purge(Ctx *cx, const Placement *at, bool hand_back, Steps *steps)
{
	return estate_step(cx, at, hand_back ? "e.release" : "e.drop", steps);
}

static bool
estate_login(Ctx *cx, const Placement *at, const Login *login, const char *verb, Steps *steps)
{
	(void)login;
	return estate_step(cx, at, arena_printf(cx->mem, "e.login-%s", verb), steps);
}

static bool
estate_login_ok(Ctx *cx, const Placement *at, const Login *login, const Secret *password, bool *ok)
{
	(void)cx;
	(void)at;
	(void)login;
	*ok = password->len > 0;
	return true;
}

static bool
estate_act(Ctx *cx, StepEnv *env)
{
	(void)cx;
	(void)env;
	return true;
}

static bool
estate_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	(void)cx;
	(void)env;
	*out = PROBE_DONE;
	return true;
}

#define E(word) { .name = word, .act = estate_act, .probe = estate_probe }
static const StepKind estate_kinds[] = {
	E("e.shape"), E("e.claim"), E("e.close"), E("e.reopen"), E("e.release"), E("e.drop"),
	E("e.login-add"), E("e.login-rotate"), E("e.login-remove"), { .name = NULL },
};

static const PlaceDriver estate_driver = {
	.mode = MODE_DEDICATED, .kinds = estate_kinds, .preflight = estate_preflight,
	.observe = estate_observe, .steps = estate_steps, .cluster_steps = estate_cluster_steps,
	.suspend_steps = estate_suspend, .resume_steps = estate_resume, .purge_steps = estate_purge,
	.login_steps = estate_login, .login_ok = estate_login_ok,
};

static inline int
estate_setup(void **state)
{
	static const PlaceDriver *const drivers[] = { &estate_driver, NULL };

	memset(&estate, 0, sizeof estate);
	place_register(drivers);
	step_register(records_kinds);
	step_register(route_kinds);
	return room_setup(state);
}

#define GROUND										\
	"apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: eu}\nspec: {country: DE}\n---\n"	\
	"apiVersion: copyhold/v1\nkind: Cluster\nmetadata: {name: eu-1}\n"		\
	"spec: {region: eu, modes: [dedicated], capacity: 2, connect: {host: a.example}}\n---\n"	\
	"apiVersion: copyhold/v1\nkind: Cluster\nmetadata: {name: eu-2}\n"		\
	"spec: {region: eu, modes: [dedicated], capacity: 4, connect: {host: b.example}}\n---\n"

static inline char *
estate_model(Room *r, int version, const char *field)
{
	return arena_printf(r->cx.mem, GROUND "apiVersion: copyhold/v1\nkind: Model\n"
	    "metadata: {name: crm}\nspec:\n  version: %d\n  objects:\n    - name: account\n      fields:\n"
	    "        - {name: %s, type: text, maxLength: 80}\n", version, field);
}

static inline char *
estate_tenant(Room *r, const char *name, const char *where)
{
	return arena_printf(r->cx.mem, "---\napiVersion: copyhold/v1\nkind: Tenant\n"
	    "metadata: {name: %s}\nspec: {model: crm, mode: dedicated, %s}\n", name, where);
}

static inline char *
estate_text(Room *r)
{
	return arena_printf(r->cx.mem, "%s%s%s%s", estate_model(r, 1, "name"),
	    estate_tenant(r, "acme", "region: eu"), estate_tenant(r, "globex", "region: eu"),
	    estate_tenant(r, "initech", "cluster: eu-1, retention: 90d"));
}

static inline Plan *
estate_plan_with(Room *r, const char *text, PlanOptions options)
{
	Manifests *m;
	Plan *plan;

	ok(&r->cx, manifest_load_text(&r->cx, "x.yaml", text, strlen(text), &m));
	ok(&r->cx, plan_make(&r->cx, r->home, m, &options, &plan));
	return plan;
}

static inline Plan *
estate_plan(Room *r, const char *text)
{
	return estate_plan_with(r, text, (PlanOptions){ .refresh = true });
}

static inline RunReport
estate_run(Room *r, const Plan *plan)
{
	RunReport report;

	ok(&r->cx, run_start(&r->cx, r->home, &plan->run, &report));
	return report;
}

static inline void
estate_apply(Room *r, const char *text)
{
	assert_int_equal(estate_run(r, estate_plan(r, text)).exit, EXIT_DONE);
}

/* "kind:scope" of each step */
static inline char *
estate_steps_of(Room *r, const Plan *plan)
{
	Buf b = buf_new(r->cx.mem);

	for (size_t i = 0; i < plan->steps.n; i++)
		buf_fmt(&b, "%s %s\n", plan->steps.at[i].scope, plan->steps.at[i].kind);
	return b.text;
}

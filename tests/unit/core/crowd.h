/*
 * crowd.h - estate.h with a second driver, for mode shared, whose server is a
 * few counters, too.
 */
#pragma once

#include "lib/core/wide.h"
#include "tests/unit/core/estate.h"

static struct {
	const char *broken;	/* kind of step that the server refuses */
	const char *cut;	/* kind of step at which the server is out of reach */
	bool	    drifted;	/* a wide table was changed by hand */
	int	    looks, preflights;
} crowd;

static bool
crowd_preflight(Ctx *cx, Conns *conns, const Placement *at, bool exists)
{
	crowd.preflights++;
	return estate_preflight(cx, conns, at, exists);
}

static bool
crowd_observe(Ctx *cx, Conns *conns, const Placement *at, Items *out)
{
	(void)conns;
	(void)at;
	crowd.looks++;
	vec_push(cx->mem, out, ((Item){ 1, "t", "name", crowd.drifted ? "odd" : "text" }));
	return true;
}

static void
crowd_step(Ctx *cx, const Placement *at, const char *kind, Steps *steps)
{
	Js *args = js_object(cx->mem);

	js_set_text(args, "cluster", at->cluster->name);
	steps_add(cx->mem, steps, at->scope, kind, args, "%s", kind);
}

static char *
crowd_objects(Ctx *cx, const Model *m)
{
	Model bare = *m;

	bare.version = 0;
	return model_canonical(cx->mem, &bare);
}

static bool
crowd_same(Ctx *cx, const Model *a, const Model *b)
{
	return a && b && strcmp(crowd_objects(cx, a), crowd_objects(cx, b)) == 0;
}

static bool
crowd_shared_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	bool drift = work->observed && strcmp(work->observed->at[0].def, "text") != 0;

	if (!work->recorded)
		crowd_step(cx, at, "s.tables", steps);
	else if (drift || !crowd_same(cx, work->recorded, work->desired))
		crowd_step(cx, at, "s.change", steps);
	if (!crowd_same(cx, work->common_was, work->common))
		crowd_step(cx, at, "s.views", steps);
	if (drift)
		vec_push(cx->mem, changes, ((Change){ .op = CHANGE_ALTER, .what = "field",
		    .name = "account.name", .drift = true }));
	return true;
}

static bool
crowd_same_slots(const Slots *a, const Slots *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (strcmp(a->at[i].field, b->at[i].field) != 0)
			return false;
	return a->n == b->n;
}

static bool
crowd_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps)
{
	bool own = !crowd_same(cx, work->desired, work->common);
	bool had = work->recorded && !crowd_same(cx, work->recorded, work->common_was);

	(void)changes;
	if (!work->recorded)
		crowd_step(cx, at, "s.join", steps);
	if (work->recorded && at->layout != work->layout)
		crowd_step(cx, at, "s.move", steps);
	else if (work->layout == LAYOUT_PLAIN && !crowd_same(cx, work->recorded, work->desired))
		crowd_step(cx, at, "s.shape", steps);
	else if (work->layout == LAYOUT_VIEWS && own &&
	    (!crowd_same(cx, work->recorded, work->desired) || !crowd_same_slots(&at->slots, &work->slots)))
		crowd_step(cx, at, "s.own", steps);
	else if (work->layout == LAYOUT_VIEWS && had && !own)
		crowd_step(cx, at, "s.unown", steps);
	return true;
}

static bool
crowd_drop(Ctx *cx, const Placement *at, Steps *steps)
{
	crowd_step(cx, at, "s.drop", steps);
	return true;
}

static bool
crowd_suspend(Ctx *cx, const Placement *at, Steps *steps)
{
	crowd_step(cx, at, "s.close", steps);
	return true;
}

static bool
crowd_purge(Ctx *cx, const Placement *at, bool hand_back, Steps *steps)
{
	(void)hand_back;
	crowd_step(cx, at, "s.remove", steps);
	return true;
}

static bool
crowd_act(Ctx *cx, StepEnv *env)
{
	const char *scope = env->step->scope;

	assert_non_null(env->at);
	assert_string_equal(env->at->scope, scope);
	assert_string_equal(env->at->dbname, env->at->shared->dbname);
	assert_int_equal(env->at->layout == LAYOUT_WIDE, strncmp(scope, "shared/", 7) == 0);
	assert_non_null(env->cluster);
	if (crowd.broken && strcmp(env->step->kind, crowd.broken) == 0)
		return fail(cx, FAIL_SERVER, NULL, "the server refused it");
	if (crowd.cut && strcmp(env->step->kind, crowd.cut) == 0)
		return fail(cx, FAIL_UNREACHABLE, NULL, "no connection");
	return true;
}

static bool
crowd_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	(void)cx;
	(void)env;
	if (crowd.cut)
		return fail(cx, FAIL_UNREACHABLE, NULL, "no connection");
	*out = PROBE_NOT_DONE;
	return true;
}

static bool
crowd_undo(Ctx *cx, StepEnv *env)
{
	(void)cx;
	(void)env;
	return true;
}

#define CROWD_KIND(n) { .name = n, .undo_class = UNDO_REVERSIBLE, .act = crowd_act, \
	.probe = crowd_probe, .undo = crowd_undo }
static const StepKind crowd_kinds[] = {
	CROWD_KIND("s.tables"), CROWD_KIND("s.change"), CROWD_KIND("s.views"), CROWD_KIND("s.join"),
	CROWD_KIND("s.own"), CROWD_KIND("s.unown"), CROWD_KIND("s.move"), CROWD_KIND("s.shape"),
	CROWD_KIND("s.close"), CROWD_KIND("s.remove"),
	{ .name = "s.drop", .undo_class = UNDO_IRREVERSIBLE, .pivot = true, .data_bearing = true,
	  .act = crowd_act, .probe = crowd_probe },
	{ .name = NULL },
};

static const PlaceDriver crowd_driver = {
	.mode = MODE_SHARED, .kinds = crowd_kinds, .preflight = crowd_preflight,
	.observe = crowd_observe, .steps = crowd_steps, .cluster_steps = estate_cluster_steps,
	.suspend_steps = crowd_suspend, .resume_steps = crowd_suspend, .purge_steps = crowd_purge,
	.login_steps = estate_login, .login_ok = estate_login_ok,
	.shared_observe = crowd_observe, .shared_steps = crowd_shared_steps,
	.shared_drop_steps = crowd_drop,
};

static inline int
crowd_setup(void **state)
{
	static const PlaceDriver *const drivers[] = { &estate_driver, &crowd_driver, NULL };
	int failed = estate_setup(state);

	memset(&crowd, 0, sizeof crowd);
	place_register(drivers);
	return failed;
}

#define CROWD_GROUND									\
	"apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: eu}\nspec: {country: DE}\n---\n"	\
	"apiVersion: copyhold/v1\nkind: Cluster\nmetadata: {name: eu-1}\n"		\
	"spec: {region: eu, modes: [shared], capacity: 20000, connect: {host: a.example}}\n---\n"

/* A model whose only object is account, with these fields and this drop list. */
static inline char *
crowd_model(Room *r, int version, const char *fields, const char *drop)
{
	return arena_printf(r->cx.mem, CROWD_GROUND "apiVersion: copyhold/v1\nkind: Model\n"
	    "metadata: {name: crm}\nspec:\n  version: %d\n  drop: [%s]\n  objects:\n"
	    "    - {name: account, fields: [%s]}\n", version, drop, fields);
}

static inline char *
crowd_tenant(Room *r, const char *name, const char *parts)
{
	return arena_printf(r->cx.mem, "---\napiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: %s}\n"
	    "spec: {model: crm, mode: shared, cluster: eu-1%s%s}\n", name, *parts ? ", " : "", parts);
}

static inline char *
crowd_text(Room *r, const char *model, const char *const *tenants)
{
	Buf b = buf_new(r->cx.mem);

	buf_add(&b, model);
	for (; *tenants; tenants += 2)
		buf_add(&b, crowd_tenant(r, tenants[0], tenants[1]));
	return b.text;
}

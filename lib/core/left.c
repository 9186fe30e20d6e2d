#include "lib/core/left.h"

#include "lib/core/left.sql.h"

bool
left_on(Ctx *cx, Home *home, const char *tenant, char **cluster)
{
	return catalog_meta(cx, home, arena_printf(cx->mem, "left/%s", tenant), cluster);
}

void
left_keep_step(Arena *mem, const Placement *at, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", at->tenant);
	js_set_text(args, "on", at->cluster->name);
	steps_add(mem, steps, at->scope, "left.keep", args,
	    "keep what \"%s\" has left on \"%s\", closed", at->tenant, at->cluster->name);
}

static void
forget_step(Arena *mem, const Placement *at, const char *cluster, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", at->tenant);
	steps_add(mem, steps, at->scope, "left.forget", args,
	    "forget what \"%s\" had left on \"%s\"", at->tenant, cluster);
}

bool
left_clear_steps(Ctx *cx, Home *home, const Placement *at, Steps *steps)
{
	size_t first = steps->n;
	Cluster *cluster;
	char *name;

	if (!left_on(cx, home, at->tenant, &name))
		return false;
	if (!name)
		return true;
	if (!catalog_cluster(cx, home, name, &cluster) ||
	    !place_driver(at->mode)->purge_steps(cx, at, false, steps))
		return false;
	steps_elsewhere(cx->mem, steps, first, cluster);
	forget_step(cx->mem, at, name, steps);
	return true;
}

static const char *
arg(const StepEnv *env, const char *key)
{
	const char *value = js_get_text(env->step->args, key);

	return value ? value : "";
}

static const char *
key_of(Ctx *cx, const StepEnv *env)
{
	return arena_printf(cx->mem, "left/%s", arg(env, "tenant"));
}

static bool
keep(Ctx *cx, StepEnv *env)
{
	return lite_do(cx, env->home->db, &SQL_LEFT_PUT, "tt", key_of(cx, env), arg(env, "on"));
}

static bool
forget(Ctx *cx, StepEnv *env)
{
	return lite_do(cx, env->home->db, &SQL_LEFT_REMOVE, "t", key_of(cx, env));
}

const StepKind left_kinds[] = {
	{ .name = "left.keep", .undo_class = UNDO_IRREVERSIBLE, .record = keep },
	{ .name = "left.forget", .undo_class = UNDO_IRREVERSIBLE, .record = forget },
	{ .name = NULL },
};

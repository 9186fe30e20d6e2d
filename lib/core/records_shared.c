/* The catalogue's own steps of a shared database. */
#include <string.h>

#include "lib/core/records_intern.h"

static const char *
arg(const StepEnv *env, const char *key)
{
	const char *value = js_get_text(env->step->args, key);

	return value ? value : "";
}

static Js *
shared_args(Arena *mem, const char *name, const char *cluster)
{
	Js *args = js_object(mem);

	js_set_text(args, "name", name);
	js_set_text(args, "cluster", cluster);
	return args;
}

static const char *
shared_scope(Arena *mem, const char *name)
{
	return arena_printf(mem, "shared/%s", name);
}

/* --- shared.register, shared.forget ---------------------------------------------- */

void
records_shared_register(Arena *mem, const Shared *s, Steps *steps)
{
	Js *args = shared_args(mem, s->name, s->cluster->name);

	js_set_text(args, "id", s->id);
	js_set_text(args, "model", s->model);
	steps_add(mem, steps, shared_scope(mem, s->name), "shared.register", args,
	    "register shared database \"%s\"", s->name);
}

bool
records_put_shared(Ctx *cx, StepEnv *env)
{
	SharedRecord s = {
		.name = arg(env, "name"),
		.id = arg(env, "id"),
		.cluster = arg(env, "cluster"),
		.model = arg(env, "model"),
		.wide = "",
		.common = "",
		.changed_run = env->run,
	};

	return catalog_shared_put(cx, env->home, &s);
}

void
records_shared_forget(Arena *mem, const SharedRecord *s, Steps *steps)
{
	steps_add(mem, steps, shared_scope(mem, s->name), "shared.forget",
	    shared_args(mem, s->name, s->cluster), "forget shared database \"%s\"", s->name);
}

bool
records_drop_shared(Ctx *cx, StepEnv *env)
{
	return catalog_shared_forget(cx, env->home, arg(env, "name"));
}

/* --- shared.record ----------------------------------------------------------------- */

void
records_shared_record(Arena *mem, const SharedRecord *was, const SharedRecord *to, Steps *steps)
{
	Js *args = shared_args(mem, to->name, to->cluster);

	js_set_text(args, "wide", to->wide);
	js_set_text(args, "common", to->common);
	js_set_int(args, "version", to->version);
	if (was->active) {
		js_set_text(args, "was_wide", was->wide);
		js_set_text(args, "was_common", was->common);
		js_set_int(args, "was_version", was->version);
	}
	steps_add(mem, steps, shared_scope(mem, to->name), "shared.record", args,
	    "record shared database \"%s\"", to->name);
}

static bool
tell_followers(Ctx *cx, StepEnv *env, const Names *tenants, const char *from, const char *to)
{
	Ctx own = { .mem = arena_new(cx->mem), .fail = cx->fail };

	for (size_t i = 0; i < tenants->n; i++) {
		Event e = { .tenant = tenants->at[i],
			.run = env->run,
			.step = env->step->id,
			.verb = "tenant.follow",
			.object = arena_printf(own.mem, "tenant/%s", tenants->at[i]),
			.outcome = "ok",
			.before = from,
			.after = to };
		if (!event_write(&own, env->home, &e))
			return false; /* the failure's text lives there */
		arena_reset(own.mem);
	}
	arena_free(own.mem);
	return true;
}

static bool
move(Ctx *cx, StepEnv *env, SharedRecord *s, const char *common, int64_t version)
{
	const char *from = s->common;
	Names followed;

	s->common = common;
	s->version = version;
	return catalog_shared_put(cx, env->home, s) &&
	    catalog_shared_follow(cx, env->home, s->name, from, common, version, &followed) &&
	    tell_followers(cx, env, &followed, from, common);
}

bool
records_move_shared(Ctx *cx, StepEnv *env)
{
	SharedRecord s;

	if (!catalog_shared(cx, env->home, arg(env, "name"), &s))
		return false;
	s.active = true;
	s.wide = arg(env, "wide");
	return move(cx, env, &s, arg(env, "common"), js_get_int(env->step->args, "version", 0));
}

bool
records_return_shared(Ctx *cx, StepEnv *env)
{
	SharedRecord s;

	if (!catalog_shared(cx, env->home, arg(env, "name"), &s))
		return false;
	s.active = js_get_text(env->step->args, "was_common") != NULL;
	s.wide = arg(env, "was_wide");
	return move(
	    cx, env, &s, arg(env, "was_common"), js_get_int(env->step->args, "was_version", 0));
}

#include "deployer/view.h"

#include <string.h>

#include "lib/base/clock.h"

/* views.replace: the views of one schema, and the last rows of the fields that they begin to show. */
typedef struct Replace {
	StepEnv *env;
	const char *schema;
	Views to, was;
	SlotFills slots;
} Replace;

static bool
replace_read(Ctx *cx, StepEnv *env, Replace *out)
{
	const Js *args = env->step->args, *slots = js_get(args, "slots");

	*out = (Replace){ .env = env, .schema = js_get_text(args, "schema") };
	if (out->schema == NULL)
		return shape_damaged(cx);
	for (size_t i = 0; i < js_count(slots); i++) {
		SlotFill f;

		if (!slot_read(cx, js_at(slots, i), &f))
			return false;
		vec_push(cx->mem, &out->slots, f);
	}
	return view_read(cx, js_get(args, "views"), &out->to) &&
	    view_read(cx, js_get(args, "was"), &out->was);
}

static bool
fill_between(Ctx *cx, Pg *pg, void *arg)
{
	const Replace *r = arg;

	return slot_fill_rest(cx, pg, r->env->at, &r->slots);
}

static void
locks_of(Arena *mem, const Replace *r, bool all, Names *locks)
{
	SlotFills meant = { 0 };

	for (size_t i = 0; i < r->slots.n; i++)
		if (all || r->slots.at[i].value != NULL)
			vec_push(mem, &meant, r->slots.at[i]);
	slot_locks(mem, &meant, locks);
}

static bool
replace_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Names locks = { 0 };
	Replace r;

	if (!replace_read(cx, env, &r))
		return false;
	locks_of(cx->mem, &r, false, &locks);
	return view_replace(cx, pg, env->at, r.schema, &r.to, &locks, fill_between, &r);
}

static bool
replace_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_transaction(cx, env, pg, replace_body, false);
}

bool
views_act(Ctx *cx, StepEnv *env)
{
	if (!shape_locked(cx, env, replace_locked))
		return false;
	fault_point("views.replace.acted");
	return true;
}

static bool
unwritten_between(Ctx *cx, Pg *pg, void *arg)
{
	const Replace *r = arg;

	return slot_unwritten(cx, pg, r->env->at, &r->slots);
}

static bool
back_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Names locks = { 0 };
	Replace r;

	if (!replace_read(cx, env, &r))
		return false;
	locks_of(cx->mem, &r, true, &locks);
	return view_replace(cx, pg, env->at, r.schema, &r.was, &locks, unwritten_between, &r);
}

static bool
back_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_undo_in(cx, env, pg, back_body);
}

bool
views_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, back_locked);
}

/* A saved plan: it binds an apply to what a person has read. */
#include <string.h>

#include "lib/core/plan.h"

#define PLAN_FORMAT "copyhold-plan/1"

static Js *
steps_json(Arena *mem, const Steps *steps)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < steps->n; i++) {
		const Step *s = &steps->at[i];
		const StepKind *kind = step_kind(s->kind);
		static const char *const undo[] = { "reversible", "compensable", "irreversible" };
		Js *o = js_object(mem), *needs = js_array(mem), *args = NULL;
		Ctx cx = { .mem = mem, .fail = arena_alloc(mem, sizeof(Fail)) };
		char *text = js_canonical(mem, s->args);

		js_set_int(o, "id", s->id);
		js_set_text(o, "scope", s->scope);
		js_set_text(o, "kind", s->kind);
		js_set_text(o, "title", s->title);
		js_set_text(o, "undo", kind ? undo[kind->undo_class] : "irreversible");
		js_set_bool(o, "pivot", kind && kind->pivot);
		js_set_bool(o, "dataBearing", kind && kind->data_bearing);
		for (size_t n = 0; n < s->needs.n; n++)
			js_push(needs, js_int(mem, s->needs.at[n]));
		js_set(o, "needs", needs);
		if (js_parse(&cx, text, strlen(text), &args))
			js_set(o, "args", args);
		js_push(list, o);
	}
	return list;
}

Js *
plan_steps_json(Arena *mem, const Plan *p)
{
	return steps_json(mem, &p->steps);
}

static Js *
observed_json(Arena *mem, const Plan *p)
{
	Js *o = js_object(mem);

	for (size_t i = 0; i < p->entries.n; i++)
		if (p->entries.at[i].digest)
			js_set_text(o, p->entries.at[i].name, p->entries.at[i].digest);
	return o;
}

char *
plan_save(
    Arena *mem, const Home *home, const Plan *p, const char *manifests, const PlanOptions *options)
{
	Js *o = js_object(mem), *only = js_array(mem);

	for (int i = 0; options->only && i < options->only->n; i++)
		js_push_text(only, options->only->at[i]);
	js_set_text(o, "format", PLAN_FORMAT);
	js_set_text(o, "home", home->id);
	js_set_text(o, "manifests", manifests);
	js_set_text(o, "manifestHash", p->manifest_hash);
	js_set_int(o, "serial", p->serial);
	js_set_bool(o, "prune", options->prune);
	js_set_bool(o, "refresh", options->refresh);
	js_set(o, "only", only);
	js_set(o, "observed", observed_json(mem, p));
	js_set(o, "steps", steps_json(mem, &p->steps));
	return js_pretty(mem, o);
}

static bool
read_plan(Ctx *cx, const char *text, size_t n, Js **out)
{
	const char *format;

	if (!js_parse(cx, text, n, out))
		return false;
	format = js_get_text(*out, "format");
	if (!format || strcmp(format, PLAN_FORMAT) != 0 || !js_get_text(*out, "manifests"))
		return fail(cx, FAIL_USAGE, "Make one with: copyhold plan -f PATH --out FILE.",
		    "the file is no saved plan of format \"%s\"", PLAN_FORMAT);
	return true;
}

bool
plan_read_options(Ctx *cx, const char *text, size_t n, const char **manifests, PlanOptions *options)
{
	Js *saved, *names;
	OptList *only = arena_alloc(cx->mem, sizeof *only);

	if (!read_plan(cx, text, n, &saved))
		return false;
	*manifests = arena_dup(cx->mem, js_get_text(saved, "manifests"));
	names = js_get(saved, "only");
	for (size_t i = 0; i < js_count(names) && only->n < OPT_LIST_MAX; i++)
		if (js_value_text(js_at(names, i)))
			only->at[only->n++] = arena_dup(cx->mem, js_value_text(js_at(names, i)));
	*options = (PlanOptions){ .prune = js_get_bool(saved, "prune", false),
		.refresh = js_get_bool(saved, "refresh", true),
		.only = only };
	return true;
}

static bool
moved(Ctx *cx, const char *what)
{
	return fail(cx, FAIL_PLAN_STALE, "Nothing was changed. Make the plan again and read it.",
	    "%s since the plan was saved", what);
}

bool
plan_same(Ctx *cx, const Home *home, const char *saved, size_t n, const Plan *now)
{
	Js *old;
	const char *text;

	if (!read_plan(cx, saved, n, &old))
		return false;
	text = js_get_text(old, "home");
	if (!text || strcmp(text, home->id) != 0)
		return fail(cx, FAIL_PLAN_STALE, "Apply it where it was made.",
		    "the plan was made in another home");
	text = js_get_text(old, "manifestHash");
	if (!text || strcmp(text, now->manifest_hash) != 0)
		return moved(cx, "the manifests have changed");
	if (js_get_int(old, "serial", -1) != now->serial)
		return moved(cx, "the catalogue has changed");
	Js *observed = js_get(old, "observed"), *steps = js_get(old, "steps");
	if (!observed ||
	    strcmp(js_canonical(cx->mem, observed),
		js_canonical(cx->mem, observed_json(cx->mem, now))) != 0)
		return moved(cx, "what stands on the servers has changed");
	if (!steps ||
	    strcmp(js_canonical(cx->mem, steps),
		js_canonical(cx->mem, steps_json(cx->mem, &now->steps))) != 0)
		return moved(cx, "the steps have changed");
	return true;
}

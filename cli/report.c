#include "cli/report.h"

#include <string.h>

#include "lib/core/plan.h"

static const char *
sign(ChangeOp op)
{
	switch (op) {
	case CHANGE_ADD: return "+";
	case CHANGE_ALTER: case CHANGE_RENAME: return "~";
	case CHANGE_REMOVE: return "-";
	}
	return "?";
}

static const char *
op_name(ChangeOp op)
{
	switch (op) {
	case CHANGE_ADD: return "add";
	case CHANGE_ALTER: return "change";
	case CHANGE_RENAME: return "rename";
	case CHANGE_REMOVE: return "remove";
	}
	return "?";
}

static const char *
op_paint(ChangeOp op)
{
	return paint(op == CHANGE_ADD ? "add" : op == CHANGE_REMOVE ? "remove" : "change");
}

/* --- a plan as text ------------------------------------------------------------ */

static void
change_line(const Change *c)
{
	Ctx cx = ctx_new(NULL);
	Buf b = buf_new(cx.mem);

	buf_fmt(&b, "    %s%s%s %s %s", op_paint(c->op), sign(c->op), paint("off"), c->what, c->name);
	if (c->from && c->to)
		buf_fmt(&b, ": %s -> %s", c->from, c->to);
	else if (c->to || c->from)
		buf_fmt(&b, ": %s", c->to ? c->to : c->from);
	if (c->drift)
		buf_add(&b, " (changed by hand)");
	if (c->data_bearing)
		buf_add(&b, " (removes data)");
	if (c->kept)
		buf_add(&b, " (kept)");
	if (c->note)
		buf_fmt(&b, "\n        %s", c->note);
	out_line(stdout, "%s", b.text);
	arena_free(cx.mem);
}

static void
entry_lines(const Plan *plan, const PlanEntry *e, bool steps)
{
	const char *gap = e->note ? ": " : "";

	out_line(stdout, "%s%s%s %s %s%s%s", op_paint(e->op), e->nothing ? "=" : sign(e->op),
	    paint("off"), e->kind, e->name, gap, e->note ? e->note : "");
	for (size_t i = 0; i < e->changes.n; i++)
		change_line(&e->changes.at[i]);
	for (int64_t i = 0; steps && i < e->steps; i++) {
		const Step *s = &plan->steps.at[e->first_step + i];
		const StepKind *k = step_kind(s->kind);
		out_line(stdout, "    %s%3lld. %s%s%s", paint("dim"), (long long)s->id, s->title,
		    k && k->pivot ? "  [no way back after this]" : "", paint("off"));
	}
}

static void
plan_text(const Plan *plan, bool steps)
{
	Ctx cx = ctx_new(NULL);

	for (size_t i = 0; i < plan->entries.n; i++) {
		const PlanEntry *e = &plan->entries.at[i];
		if (e->fail)
			log_raw(fail_text(cx.mem, e->fail));
		else if (!e->nothing || e->changes.n || (e->note && e->op == CHANGE_REMOVE))
			entry_lines(plan, e, steps);
	}
	if (plan_empty(plan))
		out_line(stdout, "nothing to do: %lld as they should be", (long long)plan->unchanged);
	else
		out_line(stdout, "%lld to add, %lld to change, %lld to remove, %lld as they should be"
		    "%s; %zu steps", (long long)plan->add, (long long)plan->change,
		    (long long)plan->remove, (long long)plan->unchanged,
		    plan->failed ? arena_printf(cx.mem, ", %lld cannot be planned",
		    (long long)plan->failed) : "", plan->steps.n);
	arena_free(cx.mem);
}

/* --- the same as JSON ------------------------------------------------------------- */

static Js *
change_json(Arena *mem, const Change *c)
{
	Js *o = js_object(mem);

	js_set_text(o, "op", op_name(c->op));
	js_set_text(o, "what", c->what);
	js_set_text(o, "name", c->name);
	js_set_text(o, "from", c->from);
	js_set_text(o, "to", c->to);
	js_set_bool(o, "dataBearing", c->data_bearing);
	js_set_bool(o, "drift", c->drift);
	js_set_bool(o, "kept", c->kept);
	js_set_text(o, "note", c->note);
	return o;
}

static Js *
entry_json(Arena *mem, const PlanEntry *e)
{
	Js *o = js_object(mem), *changes = js_array(mem);

	for (size_t i = 0; i < e->changes.n; i++)
		js_push(changes, change_json(mem, &e->changes.at[i]));
	js_set_text(o, "kind", e->kind);
	js_set_text(o, "name", e->name);
	js_set_text(o, "op", e->fail ? "failed" : e->nothing ? "none" : op_name(e->op));
	js_set_text(o, "note", e->note);
	js_set(o, "changes", changes);
	js_set_text(o, "error", e->fail ? e->fail->what : NULL);
	return o;
}

static void
plan_json(App *app, const Plan *plan)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem), *entries = js_array(mem), *counts = js_object(mem);

	for (size_t i = 0; i < plan->entries.n; i++)
		js_push(entries, entry_json(mem, &plan->entries.at[i]));
	js_set_int(counts, "add", plan->add);
	js_set_int(counts, "change", plan->change);
	js_set_int(counts, "remove", plan->remove);
	js_set_int(counts, "unchanged", plan->unchanged);
	js_set_int(counts, "drift", plan->drift);
	js_set_int(counts, "kept", plan->kept);
	js_set_int(counts, "failed", plan->failed);
	js_set_text(o, "manifestHash", plan->manifest_hash);
	js_set_int(o, "serial", plan->serial);
	js_set(o, "counts", counts);
	js_set(o, "entries", entries);
	js_set(o, "steps", plan_steps_json(mem, plan));
	out_text(stdout, app->output == OUTPUT_JSON ? js_pretty(mem, o) :
	    arena_printf(mem, "%s\n", js_canonical(mem, o)));
}

void
report_plan(App *app, const Plan *plan, bool steps)
{
	if (app->output == OUTPUT_TEXT)
		plan_text(plan, steps);
	else
		plan_json(app, plan);
}

/* --- a run ----------------------------------------------------------------------------- */

static const char *
outcome_name(ScopeOutcome o)
{
	switch (o) {
	case SCOPE_DONE: return "done";
	case SCOPE_FAILED: return "failed";
	case SCOPE_UNDONE: return "undone";
	case SCOPE_UNREACHABLE: return "unreachable";
	case SCOPE_STOPPED: return "stopped";
	case SCOPE_PERSON: return "person";
	}
	return "?";
}

static void
run_json(App *app, const RunReport *r)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem), *scopes = js_array(mem);

	for (size_t i = 0; i < r->scopes.n; i++) {
		const ScopeResult *s = &r->scopes.at[i];
		Js *one = js_object(mem);
		js_set_text(one, "scope", s->scope);
		js_set_text(one, "outcome", outcome_name(s->outcome));
		js_set_int(one, "ms", s->ms);
		js_set_text(one, "error", s->fail ? s->fail->what : NULL);
		js_set_text(one, "kind", s->fail ? fail_name(s->fail->kind) : NULL);
		js_push(scopes, one);
	}
	js_set_int(o, "run", r->run);
	js_set_int(o, "exit", (int64_t)r->exit);
	js_set(o, "scopes", scopes);
	out_text(stdout, app->output == OUTPUT_JSON ? js_pretty(mem, o) :
	    arena_printf(mem, "%s\n", js_canonical(mem, o)));
}

static const char *
advice(App *app, const RunReport *r)
{
	Arena *mem = app->cx->mem;
	long long run = (long long)r->run;

	switch (r->exit) {
	case EXIT_STOPPED: case EXIT_UNREACHABLE:
		return arena_printf(mem, "; go on with: copyhold run resume %lld", run);
	case EXIT_PERSON:
		return arena_printf(mem, "; see: copyhold run show %lld", run);
	case EXIT_DONE: case EXIT_FAILED: case EXIT_CHANGES: case EXIT_UNDONE: case EXIT_LEASED:
	case EXIT_USAGE:
		break;
	}
	return "";
}

void
report_run(App *app, const RunReport *r)
{
	size_t done = 0;

	if (app->output != OUTPUT_TEXT) {
		run_json(app, r);
		return;
	}
	for (size_t i = 0; i < r->scopes.n; i++)
		done += r->scopes.at[i].outcome == SCOPE_DONE;
	out_line(stdout, "run %lld: %zu of %zu done%s", (long long)r->run, done, r->scopes.n,
	    advice(app, r));
}

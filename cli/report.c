#include "cli/report.h"

#include <string.h>

#include "lib/adapters/map.h"
#include "lib/core/plan.h"

#define ABSENT_MAX 5 /* names in one line */

static const char *
sign(ChangeOp op)
{
	switch (op) {
	case CHANGE_ADD:
		return "+";
	case CHANGE_ALTER:
	case CHANGE_RENAME:
		return "~";
	case CHANGE_REMOVE:
		return "-";
	}
	return "?";
}

static const char *
op_name(ChangeOp op)
{
	switch (op) {
	case CHANGE_ADD:
		return "add";
	case CHANGE_ALTER:
		return "change";
	case CHANGE_RENAME:
		return "rename";
	case CHANGE_REMOVE:
		return "remove";
	}
	return "?";
}

static const char *
op_paint(ChangeOp op)
{
	return paint(op == CHANGE_ADD ? "add" : op == CHANGE_REMOVE ? "remove" : "change");
}

/* --- a plan as text ------------------------------------------------------------ */

/* What a server calls its things never looks like a line of ours. */
static const char *
one_line(Arena *mem, const char *text)
{
	Buf b = buf_new(mem);

	if (!text)
		return NULL;
	buf_plain(&b, text, " ");
	return b.text;
}

static void
change_line(const Change *c)
{
	Ctx cx = ctx_new(NULL);
	Buf b = buf_new(cx.mem);
	const char *from = one_line(cx.mem, c->from), *to = one_line(cx.mem, c->to);

	buf_fmt(&b, "    %s%s%s %s %s", op_paint(c->op), sign(c->op), paint("off"), c->what,
	    one_line(cx.mem, c->name));
	if (from && to)
		buf_fmt(&b, ": %s -> %s", from, to);
	else if (to || from)
		buf_fmt(&b, ": %s", to ? to : from);
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

/* A server that is down fails all its tenants, and so does their shared database: what was said of it, or
 * of the first of them, is not said in full again. */
static void
fail_lines(Arena *mem, const PlanEntry *e, Map *said)
{
	const Fail *f = e->fail;
	const char *key = arena_printf(mem, "%s %s", f->what, f->cause ? f->cause : "");
	bool tenant = strcmp(e->kind, "tenant") == 0, shared = strcmp(e->kind, "shared") == 0;

	if (tenant && map_get(said, key)) {
		log_raw(arena_printf(mem, "error[%s]: tenant \"%s\", as above: %s\n",
		    fail_name(f->kind), e->name, f->what));
		return;
	}
	if (tenant || shared)
		map_set(said, key, (void *)e);
	log_raw(fail_text(mem, f));
}

static bool
is_absent(const PlanEntry *e)
{
	return !e->fail && e->nothing && e->note && e->op == CHANGE_REMOVE && !e->changes.n;
}

/* Neighbours in the plan that no manifest names, for the same reason. */
static size_t
absent_alike(const Plan *plan, size_t first)
{
	const PlanEntry *a = &plan->entries.at[first];
	size_t n = 0;

	for (; first + n < plan->entries.n; n++) {
		const PlanEntry *e = a + n;
		if (!is_absent(e) || strcmp(e->kind, a->kind) != 0 || strcmp(e->note, a->note) != 0)
			break;
	}
	return n;
}

static void
absent_line(Arena *mem, const PlanEntry *first, size_t n)
{
	Buf names = buf_new(mem);
	size_t shown = n > ABSENT_MAX ? ABSENT_MAX : n;

	for (size_t i = 0; i < shown; i++)
		buf_fmt(&names, "%s%s", i ? ", " : "", first[i].name);
	if (shown < n)
		buf_fmt(&names, " and %zu more", n - shown);
	out_line(stdout, "= %s%s %s: %s", first->kind, n == 1 ? "" : "s", names.text, first->note);
}

static void
plan_text(const Plan *plan, bool steps)
{
	Ctx cx = ctx_new(NULL);
	Map *said = map_new(cx.mem);

	for (size_t i = 0; i < plan->entries.n; i++) {
		const PlanEntry *e = &plan->entries.at[i];
		size_t absent = absent_alike(plan, i);
		if (e->fail) {
			fail_lines(cx.mem, e, said);
		} else if (absent) {
			absent_line(cx.mem, e, absent);
			i += absent - 1;
		} else if (!e->nothing || e->changes.n || e->told) {
			entry_lines(plan, e, steps);
		}
		if (e->away)
			log_raw(fail_text(cx.mem, e->away));
	}
	if (plan_empty(plan))
		out_line(
		    stdout, "nothing to do: %lld as they should be", (long long)plan->unchanged);
	else
		out_line(stdout,
		    "%lld to add, %lld to change, %lld to remove, %lld as they should be"
		    "%s; %zu step%s",
		    (long long)plan->add, (long long)plan->change, (long long)plan->remove,
		    (long long)plan->unchanged,
		    plan->failed
			? arena_printf(cx.mem, ", %lld cannot be planned", (long long)plan->failed)
			: "",
		    plan->steps.n, plan->steps.n == 1 ? "" : "s");
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
	js_set_text(o, "error", e->fail ? e->fail->what : e->away ? e->away->what : NULL);
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
	app_json(app, o);
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
	case SCOPE_DONE:
		return "done";
	case SCOPE_FAILED:
		return "failed";
	case SCOPE_UNDONE:
		return "undone";
	case SCOPE_UNREACHABLE:
		return "unreachable";
	case SCOPE_STOPPED:
		return "stopped";
	case SCOPE_PERSON:
		return "person";
	}
	return "?";
}

static Js *
scope_json(Arena *mem, const char *scope, ScopeOutcome outcome, int64_t ms, const Fail *f)
{
	Js *o = js_object(mem);

	js_set_text(o, "scope", scope);
	js_set_text(o, "outcome", outcome_name(outcome));
	js_set_int(o, "ms", ms);
	js_set_text(o, "error", f ? f->what : NULL);
	js_set_text(o, "kind", f ? fail_name(f->kind) : NULL);
	return o;
}

/* What could not be planned never came into the run; a reader of JSON learns it here. */
static void
unplanned_json(Arena *mem, Js *scopes, const Plan *plan)
{
	for (size_t i = 0; plan && i < plan->entries.n; i++) {
		const PlanEntry *e = &plan->entries.at[i];
		if (!e->fail)
			continue;
		bool away = fail_exit(e->fail->kind) == EXIT_UNREACHABLE;
		js_push(scopes,
		    scope_json(mem, arena_printf(mem, "%s/%s", e->kind, e->name),
			away ? SCOPE_UNREACHABLE : SCOPE_FAILED, 0, e->fail));
	}
}

static void
run_json(App *app, const RunReport *r, const Plan *plan)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem), *scopes = js_array(mem);

	for (size_t i = 0; i < r->scopes.n; i++) {
		const ScopeResult *s = &r->scopes.at[i];
		js_push(scopes, scope_json(mem, s->scope, s->outcome, s->ms, s->fail));
	}
	unplanned_json(mem, scopes, plan);
	js_set_int(o, "run", r->run);
	js_set_int(o, "exit", (int64_t)r->exit);
	js_set(o, "scopes", scopes);
	app_json(app, o);
}

static size_t
count_outcome(const RunReport *r, ScopeOutcome outcome)
{
	size_t n = 0;

	for (size_t i = 0; i < r->scopes.n; i++)
		n += r->scopes.at[i].outcome == outcome;
	return n;
}

static const char *
advice(Arena *mem, const RunReport *r)
{
	long long run = (long long)r->run;

	if (count_outcome(r, SCOPE_PERSON))
		return arena_printf(mem, "; see: copyhold run show %lld", run);
	if (count_outcome(r, SCOPE_STOPPED) || count_outcome(r, SCOPE_UNREACHABLE))
		return arena_printf(mem, "; go on with: copyhold run resume %lld", run);
	return "";
}

/* "3 of 4 done, 1 failed"; of an undo that worked "4 of 4 rolled back". */
static const char *
tally(Arena *mem, const RunReport *r)
{
	static const struct {
		ScopeOutcome outcome;
		const char *words;
	} others[] = {
		{ SCOPE_FAILED, "failed" },
		{ SCOPE_UNDONE, "rolled back" },
		{ SCOPE_UNREACHABLE, "unreachable" },
		{ SCOPE_STOPPED, "stopped" },
		{ SCOPE_PERSON, "for a person to decide" },
	};
	size_t total = r->scopes.n, undone = count_outcome(r, SCOPE_UNDONE);
	Buf b = buf_new(mem);

	if (!total)
		return "nothing to do";
	if (undone == total && r->exit == EXIT_DONE)
		return arena_printf(mem, "%zu of %zu rolled back", undone, total);
	buf_fmt(&b, "%zu of %zu done", count_outcome(r, SCOPE_DONE), total);
	for (size_t i = 0; i < LENGTH(others); i++) {
		size_t n = count_outcome(r, others[i].outcome);
		if (n)
			buf_fmt(&b, ", %zu %s", n, others[i].words);
	}
	return b.text;
}

void
report_run(App *app, const RunReport *r, const Plan *plan)
{
	Arena *mem = app->cx->mem;

	if (app->output != OUTPUT_TEXT) {
		run_json(app, r, plan);
		return;
	}
	out_line(stdout, "run %lld: %s%s%s", (long long)r->run, tally(mem, r),
	    plan && plan->failed
		? arena_printf(mem, "; %lld could not be planned", (long long)plan->failed)
		: "",
	    advice(mem, r));
}

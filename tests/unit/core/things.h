/*
 * things.h - steps whose effects are rows of a SQLite database: each act
 * counts, so an effect that happened twice shows.
 */
#pragma once

#include <signal.h>

#include "lib/base/lane.h"
#include "lib/core/engine.h"
#include "lib/core/records.h"
#include "tests/unit/core/room.h"

static const Sql MAKE_TARGET = { "make_target",
	"CREATE TABLE IF NOT EXISTS thing (scope TEXT, item TEXT, key TEXT, acts INTEGER,"
	" undos INTEGER, PRIMARY KEY (scope, item))", 0 };
static const Sql ACT = { "act",
	"INSERT INTO thing VALUES (?1, ?2, ?3, 1, 0) ON CONFLICT (scope, item) DO UPDATE SET"
	" key = excluded.key, acts = acts + 1", 3 };
static const Sql UNDO = { "undo",
	"UPDATE thing SET key = NULL, undos = undos + 1 WHERE scope = ?1 AND item = ?2 AND key = ?3", 3 };
static const Sql HAS = { "has", "SELECT 1 FROM thing WHERE key = ?1", 1 };
static const Sql THINGS = { "things",
	"SELECT scope, item, key IS NOT NULL, acts - undos, acts FROM thing ORDER BY scope, item", 0 };
static const Sql NOTES = { "notes", "SELECT kind, name, spec FROM object ORDER BY kind, name", 0 };
static const Sql FENCE = { "fence", "SELECT fence FROM lease WHERE scope = ?1", 1 };
static const Sql STATES = { "states",
	"SELECT id, state, attempt FROM step WHERE run = ?1 ORDER BY id", 1 };
static const Sql PAGES = { "pages", "PRAGMA max_page_count = 1", 0 };

typedef enum Harm {
	NO_HARM, HARM_DEFINITE, HARM_TRANSIENT, HARM_LOST_ANSWER, HARM_BLIND, HARM_UNDECIDABLE,
	HARM_UNDO, HARM_GUARD, HARM_GUARD_BLIND, HARM_RECORD, HARM_FENCED, HARM_SIGNAL, HARM_FULL,
	HARM_STOPPED
} Harm;

static struct {
	Lite *db;
	Harm harm;
	const char *item;	/* where */
	int times;
} target;

static inline bool
harmed(Harm harm, const StepEnv *env)
{
	if (target.harm != harm || target.times <= 0 ||
	    strcmp(js_get_text(env->step->args, "item"), target.item) != 0)
		return false;
	target.times--;
	return true;
}

static inline bool
note_record(Ctx *cx, StepEnv *env)
{
	if (harmed(HARM_RECORD, env))
		return fail(cx, FAIL_EXISTS, NULL, "the note is there");
	return catalog_object_put(cx, env->home, "Note", arena_printf(cx->mem, "%s/%s",
	    env->step->scope, js_get_text(env->step->args, "item")), "{}", "h");
}

static inline bool
note_unrecord(Ctx *cx, StepEnv *env)
{
	return catalog_object_remove(cx, env->home, "Note", arena_printf(cx->mem, "%s/%s",
	    env->step->scope, js_get_text(env->step->args, "item")));
}

static inline bool
thing_guard(Ctx *cx, StepEnv *env)
{
	if (harmed(HARM_GUARD, env))
		return fail(cx, FAIL_DATA, NULL, "the data forbids it");
	return !harmed(HARM_GUARD_BLIND, env) || fail(cx, FAIL_UNREACHABLE, NULL, "no connection");
}

static inline bool
thing_act(Ctx *cx, StepEnv *env)
{
	const char *item = js_get_text(env->step->args, "item");

	if (harmed(HARM_DEFINITE, env))
		return fail(cx, FAIL_SERVER, NULL, "the server refused it");
	if (harmed(HARM_STOPPED, env)) {
		raise(SIGTERM);
		return fail(cx, FAIL_STOPPED, NULL, "stopped by a signal within %s", item);
	}
	if (harmed(HARM_FENCED, env))
		return fail(cx, FAIL_FENCED, NULL, "a newer holder was seen");
	if (harmed(HARM_TRANSIENT, env))
		return fail(cx, FAIL_UNREACHABLE, NULL, "the connection was lost");
	if (target.harm == HARM_BLIND && strcmp(item, target.item) == 0)
		return fail(cx, FAIL_TIMEOUT, NULL, "no answer");
	fault_point("thing:sending");
	ok(cx, lite_do(cx, target.db, &ACT, "ttt", env->step->scope, item, env->step->key));
	fault_point("thing:sent");
	if (harmed(HARM_SIGNAL, env))
		raise(SIGTERM);
	if (harmed(HARM_FULL, env))
		ok(cx, lite_do(cx, env->home->db, &PAGES, ""));
	if (harmed(HARM_LOST_ANSWER, env) || harmed(HARM_UNDECIDABLE, env))
		return fail(cx, FAIL_TIMEOUT, NULL, "no answer");
	return true;
}

static inline bool
thing_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	LiteRows *rows;

	if (target.harm == HARM_BLIND && strcmp(js_get_text(env->step->args, "item"), target.item) == 0)
		return fail(cx, FAIL_UNREACHABLE, NULL, "no connection");
	if (target.harm == HARM_UNDECIDABLE) {
		env->why = "half of it is there";
		*out = PROBE_UNDECIDABLE;
		return true;
	}
	ok(cx, lite_query(cx, target.db, &HAS, &rows, "t", env->step->key));
	*out = lite_next(rows) ? PROBE_DONE : PROBE_NOT_DONE;
	return lite_end(cx, rows);
}

static inline bool
thing_undo(Ctx *cx, StepEnv *env)
{
	if (harmed(HARM_UNDO, env))
		return fail(cx, FAIL_SERVER, NULL, "it is in use");
	fault_point("thing:undo-sending");
	ok(cx, lite_do(cx, target.db, &UNDO, "ttt", env->step->scope,
	    js_get_text(env->step->args, "item"), env->step->key));
	fault_point("thing:undo-sent");
	return true;
}

static const StepKind thing_kinds[] = {
	{ .name = "t.note", .record = note_record, .unrecord = note_unrecord },
	{ .name = "t.make", .guard = thing_guard, .act = thing_act, .probe = thing_probe,
	  .undo = thing_undo, .record = note_record, .unrecord = note_unrecord },
	{ .name = "t.early", .early = true, .act = thing_act, .probe = thing_probe, .undo = thing_undo,
	  .record = note_record, .unrecord = note_unrecord },
	{ .name = "t.join", .act = thing_act, .probe = thing_probe, .undo = thing_undo },
	{ .name = "t.open", .undo_class = UNDO_IRREVERSIBLE, .pivot = true, .staged = true,
	  .record = note_record },
	{ .name = "t.burn", .undo_class = UNDO_IRREVERSIBLE, .pivot = true, .act = thing_act,
	  .probe = thing_probe },
	{ .name = NULL },
};

static inline void
target_open(Ctx *cx, const char *dir)
{
	memset(&target, 0, sizeof target);
	ok(cx, lite_open(cx, arena_printf(cx->mem, "%s/target.db", dir), LITE_CREATE, &target.db));
	ok(cx, lite_do(cx, target.db, &MAKE_TARGET, ""));
	step_register(thing_kinds);
	step_register(records_kinds);
}

static inline int
setup(void **state)
{
	if (room_setup(state) != 0)
		return -1;
	target_open(&((Room *)*state)->cx, ((Room *)*state)->dir);
	return 0;
}

static inline void
step(Ctx *cx, Steps *steps, const char *scope, const char *kind, const char *item)
{
	Js *args = js_object(cx->mem);

	js_set_text(args, "item", item);
	js_set_text(args, "cluster", "c1");
	steps_add(cx->mem, steps, scope, kind, args, "%s %s", kind, item);
}

static inline void
tenant_steps(Ctx *cx, Steps *steps, const char *tenant, bool pivot)
{
	const char *scope = arena_printf(cx->mem, "tenant/%s", tenant);

	step(cx, steps, scope, "t.note", "registered");
	step(cx, steps, scope, "t.make", "one");
	step(cx, steps, scope, "t.make", "two");
	step(cx, steps, scope, "t.note", "recorded");
	if (!pivot)
		return;
	step(cx, steps, scope, "t.open", "open");
	step(cx, steps, scope, "t.make", "after");
}

static inline Steps
chain(Ctx *cx, bool pivot)
{
	Steps steps = {0};

	step(cx, &steps, "cluster/c1", "t.note", "object");
	step(cx, &steps, "cluster/c1", "t.make", "claim");
	tenant_steps(cx, &steps, "acme", pivot);
	tenant_steps(cx, &steps, "globex", pivot);
	return steps;
}

/* Tenants that are asked for nothing before they begin: the ends of one are recorded with the next. */
static inline Steps
quick_chain(Ctx *cx, bool pivot)
{
	static const char *const tenants[] = { "acme", "globex", "initech" };
	Steps steps = {0};

	for (size_t i = 0; i < LENGTH(tenants); i++) {
		const char *scope = arena_printf(cx->mem, "tenant/%s", tenants[i]);
		step(cx, &steps, scope, "t.note", arena_printf(cx->mem, "%c-registered", *tenants[i]));
		step(cx, &steps, scope, "t.join", arena_printf(cx->mem, "%c-in", *tenants[i]));
		step(cx, &steps, scope, "t.note", arena_printf(cx->mem, "%c-recorded", *tenants[i]));
		if (pivot)
			step(cx, &steps, scope, "t.open", "open");
	}
	return steps;
}

/* Two steps whose intent stands with that of the one before them. */
static inline Steps
early_tenant(Ctx *cx, bool pivot)
{
	Steps steps = {0};

	step(cx, &steps, "tenant/acme", "t.note", "registered");
	step(cx, &steps, "tenant/acme", "t.make", "one");
	step(cx, &steps, "tenant/acme", "t.early", "two");
	step(cx, &steps, "tenant/acme", "t.early", "three");
	step(cx, &steps, "tenant/acme", "t.note", "recorded");
	step(cx, &steps, "tenant/acme", pivot ? "t.open" : "t.note", "open");
	step(cx, &steps, "tenant/acme", "t.make", "after");
	return steps;
}

static inline Steps
one_tenant(Ctx *cx, bool pivot)
{
	Steps steps = {0};

	tenant_steps(cx, &steps, "acme", pivot);
	return steps;
}

static inline bool
start(Room *r, const Steps *steps, RunReport *report)
{
	return run_start(&r->cx, r->home, &(RunPlan){ .verb = "test", .steps = steps }, report);
}

/* Target and catalogue as one text; what came and went again leaves no line. */
static inline char *
world(Room *r, bool acts)
{
	Buf b = buf_new(r->cx.mem);
	LiteRows *rows;

	ok(&r->cx, lite_query(&r->cx, target.db, &THINGS, &rows, ""));
	while (lite_next(rows))
		if (lite_int(rows, 2) || lite_int(rows, 3))
			buf_fmt(&b, "%s %s %d%s\n", lite_text(rows, 0), lite_text(rows, 1),
			    (int)lite_int(rows, 3), acts && lite_int(rows, 4) != 1 ? " again" : "");
	ok(&r->cx, lite_end(&r->cx, rows));
	ok(&r->cx, lite_query(&r->cx, r->home->db, &NOTES, &rows, ""));
	while (lite_next(rows))
		buf_fmt(&b, "%s %s\n", lite_text(rows, 0), lite_text(rows, 1));
	ok(&r->cx, lite_end(&r->cx, rows));
	return b.text;
}

static inline char *
states(Room *r, int64_t run)
{
	Buf b = buf_new(r->cx.mem);
	LiteRows *rows;

	ok(&r->cx, lite_query(&r->cx, r->home->db, &STATES, &rows, "i", run));
	while (lite_next(rows))
		buf_fmt(&b, "%s%s", b.len ? " " : "", lite_text(rows, 1));
	ok(&r->cx, lite_end(&r->cx, rows));
	return b.text;
}

static inline const char *
run_state(Room *r, int64_t run)
{
	RunRow row;

	ok(&r->cx, run_get(&r->cx, r->home, run, &row));
	return arena_printf(r->cx.mem, "%s %d", row.state, (int)row.exit_code);
}

static inline void
harm(Harm h, const char *item, int times)
{
	target.harm = h;
	target.item = item;
	target.times = times;
}

#define ACME_DONE "tenant/acme after 1\ntenant/acme one 1\ntenant/acme two 1\n"		\
	"Note tenant/acme/after\nNote tenant/acme/one\nNote tenant/acme/open\n"		\
	"Note tenant/acme/recorded\nNote tenant/acme/registered\nNote tenant/acme/two\n"

static inline int64_t
fence_of(Room *r, const char *scope)
{
	LiteRows *rows;
	int64_t fence = -1;

	ok(&r->cx, lite_query(&r->cx, r->home->db, &FENCE, &rows, "t", scope));
	if (lite_next(rows))
		fence = lite_int(rows, 0);
	ok(&r->cx, lite_end(&r->cx, rows));
	return fence;
}

/*
 * Runs over steps whose effects are rows of a SQLite database: each act counts,
 * so an effect that happened twice shows.
 */
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
static const Sql EVENTS = { "events", "SELECT bytes, prev_hash FROM event ORDER BY seq", 0 };
static const Sql FENCE = { "fence", "SELECT fence FROM lease WHERE scope = ?1", 1 };
static const Sql STATES = { "states",
	"SELECT id, state, attempt FROM step WHERE run = ?1 ORDER BY id", 1 };
static const Sql PAGES = { "pages", "PRAGMA max_page_count = 1", 0 };
static const Sql MORE_PAGES = { "more_pages", "PRAGMA max_page_count = 100000", 0 };

typedef enum Harm {
	NO_HARM, HARM_DEFINITE, HARM_TRANSIENT, HARM_LOST_ANSWER, HARM_BLIND, HARM_UNDECIDABLE,
	HARM_UNDO, HARM_GUARD, HARM_GUARD_BLIND, HARM_RECORD, HARM_FENCED, HARM_SIGNAL, HARM_FULL
} Harm;

static struct {
	Lite *db;
	Harm harm;
	const char *item;	/* where */
	int times;
} target;

static bool
harmed(Harm harm, const StepEnv *env)
{
	if (target.harm != harm || target.times <= 0 ||
	    strcmp(js_get_text(env->step->args, "item"), target.item) != 0)
		return false;
	target.times--;
	return true;
}

static bool
note_record(Ctx *cx, StepEnv *env)
{
	if (harmed(HARM_RECORD, env))
		return fail(cx, FAIL_EXISTS, NULL, "the note is there");
	return catalog_object_put(cx, env->home, "Note", arena_printf(cx->mem, "%s/%s",
	    env->step->scope, js_get_text(env->step->args, "item")), "{}", "h");
}

static bool
note_unrecord(Ctx *cx, StepEnv *env)
{
	return catalog_object_remove(cx, env->home, "Note", arena_printf(cx->mem, "%s/%s",
	    env->step->scope, js_get_text(env->step->args, "item")));
}

static bool
thing_guard(Ctx *cx, StepEnv *env)
{
	if (harmed(HARM_GUARD, env))
		return fail(cx, FAIL_DATA, NULL, "the data forbids it");
	return !harmed(HARM_GUARD_BLIND, env) || fail(cx, FAIL_UNREACHABLE, NULL, "no connection");
}

static bool
thing_act(Ctx *cx, StepEnv *env)
{
	const char *item = js_get_text(env->step->args, "item");

	if (harmed(HARM_DEFINITE, env))
		return fail(cx, FAIL_SERVER, NULL, "the server refused it");
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

static bool
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

static bool
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
	{ .name = "t.open", .undo_class = UNDO_IRREVERSIBLE, .pivot = true, .record = note_record },
	{ .name = "t.burn", .undo_class = UNDO_IRREVERSIBLE, .pivot = true, .act = thing_act,
	  .probe = thing_probe },
	{ .name = NULL },
};

static void
target_open(Ctx *cx, const char *dir)
{
	memset(&target, 0, sizeof target);
	ok(cx, lite_open(cx, arena_printf(cx->mem, "%s/target.db", dir), LITE_CREATE, &target.db));
	ok(cx, lite_do(cx, target.db, &MAKE_TARGET, ""));
	step_register(thing_kinds);
	step_register(records_kinds);
}

static int
setup(void **state)
{
	if (room_setup(state) != 0)
		return -1;
	target_open(&((Room *)*state)->cx, ((Room *)*state)->dir);
	return 0;
}

static void
step(Ctx *cx, Steps *steps, const char *scope, const char *kind, const char *item)
{
	Js *args = js_object(cx->mem);

	js_set_text(args, "item", item);
	js_set_text(args, "cluster", "c1");
	steps_add(cx->mem, steps, scope, kind, args, "%s %s", kind, item);
}

static void
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

static Steps
chain(Ctx *cx, bool pivot)
{
	Steps steps = {0};

	step(cx, &steps, "cluster/c1", "t.note", "object");
	step(cx, &steps, "cluster/c1", "t.make", "claim");
	tenant_steps(cx, &steps, "acme", pivot);
	tenant_steps(cx, &steps, "globex", pivot);
	return steps;
}

static Steps
one_tenant(Ctx *cx, bool pivot)
{
	Steps steps = {0};

	tenant_steps(cx, &steps, "acme", pivot);
	return steps;
}

static bool
start(Room *r, const Steps *steps, RunReport *report)
{
	return run_start(&r->cx, r->home, &(RunPlan){ .verb = "test", .steps = steps }, report);
}

/* Target and catalogue as one text; what came and went again leaves no line. */
static char *
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

static char *
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

static const char *
run_state(Room *r, int64_t run)
{
	RunRow row;

	ok(&r->cx, run_get(&r->cx, r->home, run, &row));
	return arena_printf(r->cx.mem, "%s %d", row.state, (int)row.exit_code);
}

static void
harm(Harm h, const char *item, int times)
{
	target.harm = h;
	target.item = item;
	target.times = times;
}

#define ACME_DONE "tenant/acme after 1\ntenant/acme one 1\ntenant/acme two 1\n"		\
	"Note tenant/acme/after\nNote tenant/acme/one\nNote tenant/acme/open\n"		\
	"Note tenant/acme/recorded\nNote tenant/acme/registered\nNote tenant/acme/two\n"

static void
a_run_does_every_step_once_and_is_done(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_int_equal(report.scopes.n, 1);
	assert_string_equal(report.scopes.at[0].scope, "tenant/acme");
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_DONE);
	assert_null(report.scopes.at[0].fail);
	assert_string_equal(world(r, true), ACME_DONE);
	assert_string_equal(states(r, report.run), "done done done done done done");
	assert_string_equal(run_state(r, report.run), "done 0");
}

static void
a_definite_failure_before_the_pivot_is_rolled_back(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_DEFINITE, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_string_equal(report.scopes.at[0].fail->what, "the server refused it");
	assert_string_equal(world(r, false), "");
	assert_string_equal(states(r, report.run), "undone undone undone abandoned abandoned abandoned");
	assert_string_equal(run_state(r, report.run), "undone 5");
}

static void
a_failure_of_the_first_effect_has_changed_nothing(void **state)
{
	Room *r = *state;
	Steps steps = {0};
	RunReport report;

	step(&r->cx, &steps, "tenant/acme", "t.make", "one");
	harm(HARM_DEFINITE, "one", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_string_equal(run_state(r, report.run), "failed 1");
}

static void
a_failure_after_the_pivot_stops_and_a_resume_goes_forward(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;
	int64_t run;

	harm(HARM_DEFINITE, "after", 1);
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(states(r, run), "done done done done done failed");
	refused(&r->cx, run_undo(&r->cx, r->home, run, &report), FAIL_REFUSED,
	    "run 1 has nothing that can be undone");
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
	assert_string_equal(run_state(r, run), "done 0");
}

static void
a_lost_connection_is_tried_again_and_a_lost_answer_is_not(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_TRANSIENT, "one", 2);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
an_effect_whose_answer_was_lost_is_found_and_not_repeated(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_LOST_ANSWER, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
what_cannot_be_seen_waits_for_a_resume(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true), other = one_tenant(&r->cx, true);
	RunReport report;
	int64_t run;

	harm(HARM_BLIND, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_UNREACHABLE);
	assert_string_equal(states(r, run), "done done unknown waiting waiting waiting");
	assert_string_equal(run_state(r, run), "stopped 4");
	refused(&r->cx, start(r, &other, &report), FAIL_REFUSED,
	    "run 1 has not finished with \"tenant/acme\"");
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static int64_t
undecidable_run(Room *r)
{
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_UNDECIDABLE, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	assert_string_equal(report.scopes.at[0].fail->what, "t.make two: half of it is there");
	assert_string_equal(report.scopes.at[0].fail->hint, "Look at the target, then: "
	    "copyhold run resolve 1.3 --as done|redo|abandon.");
	assert_string_equal(run_state(r, report.run), "person 6");
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	harm(NO_HARM, "", 0);
	return report.run;
}

static void
an_undecidable_step_resolved_as_done_is_recorded_and_the_run_goes_on(void **state)
{
	Room *r = *state;
	int64_t run = undecidable_run(r);
	RunReport report;

	refused(&r->cx, run_resolve(&r->cx, r->home, run, 2, "done"), FAIL_REFUSED, "step 1.2 is done");
	refused(&r->cx, run_resolve(&r->cx, r->home, run, 9, "done"), FAIL_NOT_FOUND,
	    "run 1 has no step 9");
	refused(&r->cx, run_resolve(&r->cx, r->home, 7, 1, "done"), FAIL_NOT_FOUND, "there is no run 7");
	ok(&r->cx, run_resolve(&r->cx, r->home, run, 3, "done"));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
an_undecidable_step_resolved_as_redo_is_done_again(void **state)
{
	Room *r = *state;
	int64_t run = undecidable_run(r);
	RunReport report;

	ok(&r->cx, run_resolve(&r->cx, r->home, run, 3, "redo"));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(states(r, run), "done done done done done done");
	assert_non_null(strstr(world(r, true), "tenant/acme two 2 again\n"));
}

static void
an_abandoned_step_ends_its_scope_and_the_rest_can_be_undone(void **state)
{
	Room *r = *state;
	int64_t run = undecidable_run(r);
	RunReport report;

	ok(&r->cx, run_resolve(&r->cx, r->home, run, 3, "abandon"));
	assert_string_equal(states(r, run), "done done abandoned abandoned abandoned abandoned");
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(run_state(r, run), "failed 1");
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, false), "tenant/acme two 1\n");
}

static void
a_failed_undo_needs_a_person_and_goes_on_when_it_is_mended(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, false);
	RunReport report;
	int64_t run;

	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	harm(HARM_UNDO, "one", 1);
	ok(&r->cx, run_undo(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	assert_string_equal(fail_name(report.scopes.at[0].fail->kind), "undo-failed");
	assert_string_equal(report.scopes.at[0].fail->what,
	    "\"t.make one\" could not be undone: it is in use");
	assert_string_equal(states(r, run), "done undo_failed undone undone");
	ok(&r->cx, run_resolve(&r->cx, r->home, run, 2, "redo"));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_string_equal(world(r, false), "");
}

static void
a_guard_that_says_no_ends_the_scope_before_its_first_step(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_GUARD, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_string_equal(report.scopes.at[0].fail->what, "the data forbids it");
	assert_string_equal(world(r, true), "");
	assert_string_equal(states(r, report.run),
	    "abandoned abandoned abandoned abandoned abandoned abandoned");
}

static void
a_guard_that_cannot_look_leaves_the_steps_waiting(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_GUARD_BLIND, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	assert_string_equal(states(r, report.run), "waiting waiting waiting waiting waiting waiting");
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
a_record_that_is_refused_rolls_its_scope_back(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_RECORD, "recorded", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_string_equal(report.scopes.at[0].fail->what, "the note is there");
	assert_string_equal(world(r, false), "");
}

static void
a_fenced_step_is_a_persons(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;

	harm(HARM_FENCED, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	assert_string_equal(states(r, report.run), "done done unknown waiting waiting waiting");
}

static void
a_full_disk_in_mid_run_stops_it_and_a_resume_repeats_nothing(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;
	char reason[8192] = "";
	int64_t run;

	harm(HARM_FULL, "one", 1);
	memset(reason, 'x', sizeof reason - 1);	/* no page has room for the next event */
	r->home->reason = reason;
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(fail_name(report.scopes.at[0].fail->kind), "disk-full");
	ok(&r->cx, lite_do(&r->cx, r->home->db, &MORE_PAGES, ""));
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
tenants_of_a_cluster_that_failed_are_not_begun(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, true);
	RunReport report;

	harm(HARM_DEFINITE, "claim", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_FAILED);
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_UNDONE);
	assert_int_equal(report.scopes.at[1].outcome, SCOPE_FAILED);
	assert_string_equal(report.scopes.at[1].fail->what,
	    "cluster \"c1\" is not ready: the server refused it");
	assert_string_equal(world(r, false), "");
	assert_string_equal(states(r, report.run), "undone undone abandoned abandoned abandoned "
	    "abandoned abandoned abandoned abandoned abandoned abandoned abandoned abandoned abandoned");
}

static void
tenants_of_a_cluster_out_of_reach_go_on_with_a_resume(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, true);
	RunReport report;
	int64_t run;

	harm(HARM_BLIND, "claim", 1);
	ok(&r->cx, start(r, &steps, &report));
	run = report.run;
	assert_int_equal(report.exit, EXIT_UNREACHABLE);
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_resume(&r->cx, r->home, run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_int_equal(report.scopes.n, 3);
	assert_string_equal(run_state(r, run), "done 0");
}

static void
one_tenant_that_fails_does_not_stop_the_other(void **state)
{
	Room *r = *state;
	Steps steps = {0};
	RunReport report;

	tenant_steps(&r->cx, &steps, "acme", true);
	step(&r->cx, &steps, "tenant/globex", "t.note", "registered");
	step(&r->cx, &steps, "tenant/globex", "t.make", "bad");
	harm(HARM_DEFINITE, "bad", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_UNDONE);
	assert_int_equal(report.scopes.at[0].outcome, SCOPE_DONE);
	assert_int_equal(report.scopes.at[1].outcome, SCOPE_UNDONE);
	assert_string_equal(world(r, true), ACME_DONE);
}

static void
an_undo_takes_tenants_back_first_and_then_their_cluster(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, false);
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, false), "");
	assert_string_equal(run_state(r, report.run), "undone 5");
	refused(&r->cx, run_undo(&r->cx, r->home, report.run, &report), FAIL_REFUSED,
	    "run 1 has nothing that can be undone");
}

static void
a_change_is_not_undone_from_under_a_newer_one(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, false), newer = {0};
	RunReport report;

	ok(&r->cx, start(r, &steps, &report));
	step(&r->cx, &newer, "tenant/acme", "t.make", "three");
	ok(&r->cx, start(r, &newer, &report));
	refused(&r->cx, run_undo(&r->cx, r->home, 1, &report), FAIL_REFUSED,
	    "run 2 has changed \"tenant/acme\" since");
	ok(&r->cx, run_undo(&r->cx, r->home, 2, &report));
	ok(&r->cx, run_undo(&r->cx, r->home, 1, &report));
	assert_string_equal(world(r, false), "");
}

static void
an_effect_with_no_way_back_is_looked_for_before_an_undo(void **state)
{
	Room *r = *state;
	Steps steps = {0};
	RunReport report;

	step(&r->cx, &steps, "tenant/acme", "t.make", "one");
	step(&r->cx, &steps, "tenant/acme", "t.burn", "two");
	step(&r->cx, &steps, "tenant/acme", "t.make", "three");
	harm(HARM_UNDECIDABLE, "two", 1);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_PERSON);
	harm(NO_HARM, "", 0);
	ok(&r->cx, run_undo(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_STOPPED);
	assert_string_equal(report.scopes.at[0].fail->what,
	    "there is no way back: \"t.burn two\" had taken effect");
	assert_string_equal(states(r, report.run), "done done waiting");
	ok(&r->cx, run_resume(&r->cx, r->home, report.run, &report));
	assert_int_equal(report.exit, EXIT_DONE);
}

static void
a_plan_made_before_another_run_is_stale(void **state)
{
	Room *r = *state;
	Steps steps = one_tenant(&r->cx, true);
	RunPlan plan = { .verb = "test", .steps = &steps };
	TenantRecord t = { .name = "acme", .id = "aaaa", .state = TENANT_ACTIVE, .mode = MODE_DEDICATED,
		.cluster = "c1", .dbname = "d", .owner = "o", .model = "m", .shape = "",
		.spec_hash = "", .changed_run = 7 };
	RunReport report;
	RunRows runs;

	ok(&r->cx, catalog_tenant_put(&r->cx, r->home, &t));
	vec_push(r->cx.mem, &plan.seen, ((Seen){ "acme", 6 }));
	refused(&r->cx, run_start(&r->cx, r->home, &plan, &report), FAIL_PLAN_STALE,
	    "tenant \"acme\" was changed by run 7 since the plan was made");
	ok(&r->cx, run_list(&r->cx, r->home, 10, &runs));
	assert_int_equal(runs.n, 0);
	assert_string_equal(world(r, true), "");
}

static void
a_run_of_an_unknown_kind_does_not_begin(void **state)
{
	Room *r = *state;
	Steps steps = {0};
	RunReport report;

	step(&r->cx, &steps, "tenant/acme", "t.other", "one");
	refused(&r->cx, start(r, &steps, &report), FAIL_CATALOG,
	    "step 1 is of the unknown kind \"t.other\"");
}

static int64_t
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

static void
each_lease_raises_the_fence_by_one(void **state)
{
	Room *r = *state;
	RunReport report;

	for (int64_t i = 1; i <= 3; i++) {
		Steps steps = {0};
		step(&r->cx, &steps, "tenant/acme", "t.note", "x");
		ok(&r->cx, start(r, &steps, &report));
		assert_int_equal(fence_of(r, "tenant/acme"), i);
	}
}

static void
events_are_chained_by_the_hash_of_the_one_before(void **state)
{
	Room *r = *state;
	Steps steps = chain(&r->cx, true);
	RunReport report;
	LiteRows *rows;
	char *prev = arena_dup(r->cx.mem, "");
	int n = 0;

	ok(&r->cx, start(r, &steps, &report));
	ok(&r->cx, lite_query(&r->cx, r->home->db, &EVENTS, &rows, ""));
	for (; lite_next(rows); n++) {
		Bytes bytes = lite_bytes(rows, 0);
		Js *event;
		ok(&r->cx, js_parse(&r->cx, (const char *)bytes.at, bytes.n, &event));
		assert_string_equal(lite_text(rows, 1), prev);
		assert_string_equal(js_get_text(event, "prev"), prev);
		assert_string_equal(js_get_text(event, "home"), r->home->id);
		prev = sha256_hex(r->cx.mem, bytes.at, bytes.n);
	}
	ok(&r->cx, lite_end(&r->cx, rows));
	assert_int_equal(n, 14);
}

static void
ten_thousand_tenants_are_ten_thousand_scopes(void **state)
{
	Room *r = *state;
	Steps steps = {0};
	RunReport report;
	size_t before = arena_bytes(r->cx.mem);

	for (int i = 0; i < 10000; i++) {
		Step s = { .id = i + 1, .kind = "t.note", .title = "note", .args = js_object(r->cx.mem),
			.scope = arena_printf(r->cx.mem, "tenant/t%d", i) };
		js_set_text(s.args, "item", "x");
		js_set_text(s.args, "cluster", arena_printf(r->cx.mem, "c%d", i % 50));
		vec_push(r->cx.mem, &steps, s);
	}
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_int_equal(report.scopes.n, 10000);
	assert_true(arena_bytes(r->cx.mem) - before < (size_t)100 << 20);
}

/* --- other processes ------------------------------------------------------------------ */

/* What a child does: DIR WORD.  The parent's harm is not its own. */
static int
child(const char *dir, const char *word)
{
	Room r = { .cx = ctx_new(NULL), .dir = (char *)dir };
	bool pivot = strstr(word, "pivot") != NULL;
	RunReport report = { .exit = EXIT_USAGE };
	bool done;

	log_setup(LOG_QUIET, false);
	ok(&r.cx, home_open(&r.cx, arena_printf(r.cx.mem, "%s/home", dir), ACCESS_WRITES, &r.home));
	target_open(&r.cx, dir);
	lane_catch_signals();
	Steps steps = chain(&r.cx, pivot);
	if (strstr(word, "signal"))
		harm(HARM_SIGNAL, "one", 1);
	if (strstr(word, "fail"))
		harm(HARM_DEFINITE, "two", 9);
	if (strncmp(word, "resume", 6) == 0)
		done = run_resume(&r.cx, r.home, 1, &report);
	else if (strncmp(word, "undo", 4) == 0)
		done = run_undo(&r.cx, r.home, 1, &report);
	else
		done = start(&r, &steps, &report);
	int code = (int)(done ? report.exit : fail_exit(r.cx.fail->kind));
	arena_free(r.cx.mem);
	return code;
}

/* Kills `first` at each boundary, does `then`, and asks for the end state. */
static void
kill_everywhere(const char *prepare, const char *first, int first_exit, const char *then,
    const char *expected)
{
	int boundaries = 1;

	for (int n = 0; n <= boundaries; n++) {
		void *state;
		assert_int_equal(setup(&state), 0);
		Room *r = state;
		if (prepare)
			assert_int_equal(room_child(r, prepare, NULL), 0);
		if (n == 0) {
			char *list = arena_printf(r->cx.mem, "%s/list", r->dir);
			assert_int_equal(room_child(r, first, arena_printf(r->cx.mem, "list:%s", list)),
			    first_exit);
			boundaries = room_count_lines(r, list);
			assert_true(boundaries > 20);
		} else {
			assert_int_equal(room_child(r, first, arena_printf(r->cx.mem, "kill:%d", n)),
			    -SIGKILL);
			int code = room_child(r, then, NULL);
			if (code != 0 && code != 5)
				broken("boundary %d: exit %d, steps %s", n, code, states(r, 1));
		}
		if (strcmp(world(r, true), expected) != 0)
			broken("boundary %d: %s: %s", n, states(r, 1), world(r, true));
		room_teardown(&state);
	}
}

#define CHAIN_DONE									\
	"cluster/c1 claim 1\n"								\
	"tenant/acme after 1\ntenant/acme one 1\ntenant/acme two 1\n"			\
	"tenant/globex after 1\ntenant/globex one 1\ntenant/globex two 1\n"		\
	"Note cluster/c1/claim\nNote cluster/c1/object\n"				\
	"Note tenant/acme/after\nNote tenant/acme/one\nNote tenant/acme/open\n"		\
	"Note tenant/acme/recorded\nNote tenant/acme/registered\nNote tenant/acme/two\n"	\
	"Note tenant/globex/after\nNote tenant/globex/one\nNote tenant/globex/open\n"	\
	"Note tenant/globex/recorded\nNote tenant/globex/registered\nNote tenant/globex/two\n"

static void
killed_at_any_boundary_a_resume_reaches_the_same_end(void **state)
{
	(void)state;
	kill_everywhere(NULL, "start-pivot", 0, "resume", CHAIN_DONE);
}

static void
killed_at_any_boundary_an_undo_leaves_nothing(void **state)
{
	(void)state;
	int n = 0, boundaries = 1;

	while (n++ < boundaries) {
		void *room;
		assert_int_equal(setup(&room), 0);
		Room *r = room;
		if (n == 1)
			boundaries = room_boundaries(r, "start");
		else
			assert_int_equal(room_child(r, "start", arena_printf(r->cx.mem, "kill:%d", n)),
			    -SIGKILL);
		assert_int_equal(room_child(r, "undo", NULL), 0);
		if (strcmp(world(r, true), "") != 0)
			broken("boundary %d: %s: %s", n, states(r, 1), world(r, true));
		room_teardown(&room);
	}
}

static void
an_undo_killed_at_any_boundary_is_finished_by_the_next(void **state)
{
	(void)state;
	kill_everywhere("start", "undo", 0, "undo", "");
}

static void
a_rollback_killed_at_any_boundary_is_finished_by_a_resume(void **state)
{
	(void)state;
	kill_everywhere(NULL, "start-fail", 5, "resume-fail",
	    "cluster/c1 claim 1\nNote cluster/c1/claim\nNote cluster/c1/object\n");
}

static void
a_signal_stops_between_two_steps_and_a_resume_goes_on(void **state)
{
	Room *r = *state;

	assert_int_equal(room_child(r, "start-signal-pivot", NULL), EXIT_STOPPED);
	assert_string_equal(states(r, 1), "done done done done waiting waiting waiting waiting "
	    "waiting waiting waiting waiting waiting waiting");
	assert_string_equal(run_state(r, 1), "stopped 3");
	assert_int_equal(room_child(r, "resume", NULL), EXIT_DONE);
	assert_string_equal(world(r, true), CHAIN_DONE);
	assert_int_equal(room_child(r, "resume", NULL), EXIT_DONE);
	assert_string_equal(world(r, true), CHAIN_DONE);
}

static void
a_run_that_did_nothing_yet_gives_way_to_a_newer_one(void **state)
{
	Room *r = *state;
	RunReport report;

	assert_int_equal(room_child(r, "start-pivot", "kill:1"), -SIGKILL);
	Steps steps = chain(&r->cx, true);
	ok(&r->cx, start(r, &steps, &report));
	assert_int_equal(report.run, 2);
	assert_string_equal(world(r, true), CHAIN_DONE);
	assert_string_equal(run_state(r, 1), "failed -1");
	ok(&r->cx, run_resume(&r->cx, r->home, 1, &report));
	assert_string_equal(world(r, true), CHAIN_DONE);
}

static void
a_stopped_holder_keeps_its_lease_and_a_dead_one_does_not(void **state)
{
	Room *r = *state;
	char *argv[] = { (char *)"self", (char *)"child", r->dir, (char *)"start-pivot", NULL };
	extern char **environ;
	Steps steps = one_tenant(&r->cx, true);
	RunReport report;
	int status;
	pid_t pid;

	setenv("COPYHOLD_FAULT", "stop:1", 1);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	unsetenv("COPYHOLD_FAULT");
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_false(start(r, &steps, &report));
	assert_string_equal(fail_name(r->cx.fail->kind), "leased");
	assert_int_equal(fail_exit(r->cx.fail->kind), 7);
	char *expected = arena_printf(r->cx.mem,
	    "\"tenant/acme\" is held by run 1 (process %d, %s, since ", (int)pid, r->home->actor);
	assert_memory_equal(r->cx.fail->what, expected, strlen(expected));
	fail_clear(&r->cx);
	assert_false(run_resume(&r->cx, r->home, 1, &report));
	assert_string_equal(fail_name(r->cx.fail->kind), "leased");
	fail_clear(&r->cx);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ok(&r->cx, run_resume(&r->cx, r->home, 1, &report));
	assert_int_equal(report.exit, EXIT_DONE);
	assert_string_equal(world(r, true), CHAIN_DONE);
	assert_int_equal(fence_of(r, "tenant/acme"), 2);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2], argv[3]);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_run_does_every_step_once_and_is_done),
		T(a_definite_failure_before_the_pivot_is_rolled_back),
		T(a_failure_of_the_first_effect_has_changed_nothing),
		T(a_failure_after_the_pivot_stops_and_a_resume_goes_forward),
		T(a_lost_connection_is_tried_again_and_a_lost_answer_is_not),
		T(an_effect_whose_answer_was_lost_is_found_and_not_repeated),
		T(what_cannot_be_seen_waits_for_a_resume),
		T(an_undecidable_step_resolved_as_done_is_recorded_and_the_run_goes_on),
		T(an_undecidable_step_resolved_as_redo_is_done_again),
		T(an_abandoned_step_ends_its_scope_and_the_rest_can_be_undone),
		T(a_failed_undo_needs_a_person_and_goes_on_when_it_is_mended),
		T(a_guard_that_says_no_ends_the_scope_before_its_first_step),
		T(a_guard_that_cannot_look_leaves_the_steps_waiting),
		T(a_record_that_is_refused_rolls_its_scope_back),
		T(a_fenced_step_is_a_persons),
		T(a_full_disk_in_mid_run_stops_it_and_a_resume_repeats_nothing),
		T(tenants_of_a_cluster_that_failed_are_not_begun),
		T(tenants_of_a_cluster_out_of_reach_go_on_with_a_resume),
		T(one_tenant_that_fails_does_not_stop_the_other),
		T(an_undo_takes_tenants_back_first_and_then_their_cluster),
		T(a_change_is_not_undone_from_under_a_newer_one),
		T(an_effect_with_no_way_back_is_looked_for_before_an_undo),
		T(a_plan_made_before_another_run_is_stale),
		T(a_run_of_an_unknown_kind_does_not_begin),
		T(each_lease_raises_the_fence_by_one),
		T(events_are_chained_by_the_hash_of_the_one_before),
		T(ten_thousand_tenants_are_ten_thousand_scopes),
		T(a_signal_stops_between_two_steps_and_a_resume_goes_on),
		T(a_run_that_did_nothing_yet_gives_way_to_a_newer_one),
		T(a_stopped_holder_keeps_its_lease_and_a_dead_one_does_not),
		cmocka_unit_test(killed_at_any_boundary_a_resume_reaches_the_same_end),
		cmocka_unit_test(killed_at_any_boundary_an_undo_leaves_nothing),
		cmocka_unit_test(an_undo_killed_at_any_boundary_is_finished_by_the_next),
		cmocka_unit_test(a_rollback_killed_at_any_boundary_is_finished_by_a_resume),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

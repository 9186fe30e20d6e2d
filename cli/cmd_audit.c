#include <inttypes.h>
#include <string.h>

#include "cli/witnesses.h"
#include "compliance/audit/log.h"
#include "compliance/audit/service.h"

static struct {
	const char *tenant, *log, *since, *until, *actor, *verb, *event, *to, *from;
	int64_t limit;
	bool entry, detailed, close;
} arg = { .limit = 100 };

#define LIST_CHUNK 256
#define LATE_MS    60000

static bool
which_log(App *app, Log *out)
{
	if (arg.tenant && arg.log)
		return fail(app->cx, FAIL_USAGE, "Say one of them.",
		    "--tenant and --log both say which log is meant");
	return arg.log ? log_of_origin(app->cx, app->home, arg.log, out)
		       : log_of(app->cx, app->home, arg.tenant, out);
}

/* --- audit list -------------------------------------------------------------------------- */

static const Column event_columns[] = {
	{ "at", "TIME", CELL_TEXT, false },
	{ "tenant", "TENANT", CELL_TEXT, false },
	{ "verb", "VERB", CELL_TEXT, false },
	{ "object", "OBJECT", CELL_TEXT, false },
	{ "outcome", "OUTCOME", CELL_TEXT, false },
	{ "actor", "ACTOR", CELL_TEXT, false },
	{ "reason", "REASON", CELL_TEXT, false },
	{ "id", "EVENT", CELL_TEXT, false },
	{ "origin", NULL, CELL_TEXT, false },
	{ "index", NULL, CELL_INT, true },
	{ "signed", NULL, CELL_BOOL, false },
	{ "run", NULL, CELL_INT, true },
	{ "step", NULL, CELL_INT, true },
	{ "before", NULL, CELL_TEXT, false },
	{ "after", NULL, CELL_TEXT, false },
	{ "erased", NULL, CELL_BOOL, false },
};

static void
event_cells(Ctx *cx, Table *t, const EventRow *e, bool text)
{
	table_cell(t, clock_iso(cx->mem, e->at));
	table_cell(t, e->tenant);
	table_cell(t, e->verb);
	table_cell(t, e->object);
	table_cell(t, e->outcome);
	table_cell(t, text && e->erased ? "(erased)" : e->actor);
	table_cell(t, e->reason);
	table_cell(t, e->id);
	table_cell(t, e->origin);
	table_int(t, e->index);
	table_bool(t, e->is_signed);
	table_int(t, e->run);
	table_int(t, e->step);
	table_cell(t, e->before);
	table_cell(t, e->after);
	table_bool(t, e->erased);
}

static bool
read_time(App *app, const char *option, const char *text, int64_t *out)
{
	return !text || clock_parse(text, out) ||
	    fail(app->cx, FAIL_USAGE,
		"Write a date or a time in UTC: 2026-01-31 or 2026-01-31T12:00:00Z.",
		"\"%s\" of --%s is no time", text, option);
}

/* JSON lines go out as they are read: a whole log need not fit into memory. */
static bool
list_lines(App *app, EventAsk ask)
{
	int64_t left = ask.limit;
	size_t got = LIST_CHUNK;

	while (left > 0 && got == LIST_CHUNK) {
		Ctx own = ctx_new(app->cx->mem);
		EventRows rows = { 0 };
		ask.limit = left < LIST_CHUNK ? left : LIST_CHUNK;
		bool done = log_events(&own, app->home, &ask, &rows);
		Table *t = table_new(own.mem, app->output, event_columns, LENGTH(event_columns));
		for (size_t i = 0; i < rows.n; i++)
			event_cells(&own, t, &rows.at[i], false);
		if (done)
			table_print(t, stdout);
		else
			fail_copy(app->cx, &own);
		got = rows.n;
		left -= (int64_t)got;
		ask.before = got > 0 ? rows.at[got - 1].seq : 0;
		arena_free(own.mem);
		if (!done)
			return false;
	}
	return true;
}

static bool
list_table(App *app, const EventAsk *ask)
{
	EventRows rows;

	if (!log_events(app->cx, app->home, ask, &rows))
		return false;
	Table *t = table_new(app->cx->mem, app->output, event_columns, LENGTH(event_columns));
	for (size_t i = 0; i < rows.n; i++)
		event_cells(app->cx, t, &rows.at[i], app->output == OUTPUT_TEXT);
	table_print(t, stdout);
	if (app->output == OUTPUT_TEXT && (int64_t)rows.n == ask->limit)
		log_say("these are the newest %lld; --limit shows more", (long long)ask->limit);
	return true;
}

static ExitCode
run_list(void *ptr)
{
	App *app = ptr;
	EventAsk ask = { .tenant = arg.tenant,
		.verb = arg.verb,
		.actor = arg.actor,
		.limit = arg.limit > 0 ? arg.limit : INT64_MAX };

	if (!read_time(app, "since", arg.since, &ask.since) ||
	    !read_time(app, "until", arg.until, &ask.until) ||
	    !(app->output == OUTPUT_JSONL ? list_lines(app, ask) : list_table(app, &ask)))
		return app_fail(app);
	return EXIT_DONE;
}

/* --- audit run, checkpoint, proof ----------------------------------------------------------- */

static ExitCode
run_service(void *ptr)
{
	App *app = ptr;

	return service_run(app->cx, app->home) ? EXIT_DONE : app_fail(app);
}

static ExitCode
run_checkpoint(void *ptr)
{
	App *app = ptr;
	Js *o = js_object(app->cx->mem);
	Checkpoint c;
	Note note;
	Log log;
	bool found = true;

	if (!which_log(app, &log) ||
	    (!log.closed && !log_publish(app->cx, app->home, &log, HEARTBEAT_ALWAYS)) ||
	    !log_checkpoint(app->cx, &log, &note, &c, &found))
		return app_fail(app);
	if (!found) {
		fail(app->cx, FAIL_NOT_FOUND, "Its events stand in its successor.",
		    "nothing was ever signed of the log \"%s\"", log.origin);
		return app_fail(app);
	}
	char *text = note_text(app->cx->mem, &note);
	js_set_text(o, "origin", c.origin);
	js_set_int(o, "size", (int64_t)c.size);
	js_set_text(o, "root", base64_text(app->cx->mem, c.root.at, HASH_BYTES));
	js_set_text(o, "signedAt", clock_iso(app->cx->mem, log.signed_at));
	js_set_text(o, "checkpoint", text);
	if (app->output == OUTPUT_TEXT)
		out_text(stdout, text);
	else
		app_json(app, o);
	return EXIT_DONE;
}

static ExitCode
run_proof(void *ptr)
{
	App *app = ptr;
	Js *o = js_object(app->cx->mem);
	uint64_t index;
	char *text;
	Log log;

	if (!log_event(app->cx, app->home, arg.event, &log, &index) ||
	    !log_proof(app->cx, app->home, &log, index, arg.entry, &text))
		return app_fail(app);
	js_set_text(o, "event", arg.event);
	js_set_text(o, "origin", log.origin);
	js_set_int(o, "index", (int64_t)index);
	js_set_text(o, "proof", text);
	if (app->output == OUTPUT_TEXT)
		out_text(stdout, text);
	else
		app_json(app, o);
	return EXIT_DONE;
}

/* --- audit status ---------------------------------------------------------------------------- */

static const char *
log_state(const Log *log)
{
	int64_t age = clock_wall_ms() - log->signed_at;

	return log->closed                    ? "closed"
	    : log->next > log->size           ? "behind"
	    : age > LATE_MS || age < -LATE_MS ? "silent"
					      : "current";
}

static Js *
log_json(App *app, const Log *log)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem);
	Ctx own = ctx_new(mem);
	NoteKey key;

	js_set_text(o, "tenant", log->tenant);
	js_set_text(o, "origin", log->origin);
	js_set_text(o, "state", log_state(log));
	js_set_int(o, "events", (int64_t)log->next);
	js_set_int(o, "signed", (int64_t)log->size);
	js_set_text(o, "signedAt", log->signed_at ? clock_iso(mem, log->signed_at) : NULL);
	js_set_text(o, "folder", log->folder);
	js_set_text(o, "key",
	    log_key(&own, app->home, log, KEY_ED25519, &key) ? note_key_text(mem, &key) : NULL);
	return o;
}

static void
status_json(
    App *app, const Logs *logs, const WitnessRecords *witnesses, pid_t pid, const Fail *problem)
{
	Js *o = js_object(app->cx->mem), *list = js_array(app->cx->mem);

	js_set_bool(o, "running", pid > 0);
	js_set(o, "process", pid > 0 ? js_int(app->cx->mem, pid) : js_text(app->cx->mem, NULL));
	js_set_text(o, "problem", problem->what);
	for (size_t i = 0; i < logs->n; i++)
		js_push(list, log_json(app, &logs->at[i]));
	js_set(o, "logs", list);
	js_set(o, "witnesses", witnesses_json(app->cx->mem, witnesses));
	app_json(app, o);
}

static void
status_text(
    App *app, const Logs *logs, const WitnessRecords *witnesses, pid_t pid, const Fail *problem)
{
	static const Column columns[] = { { "tenant", "LOG", CELL_TEXT, false },
		{ "state", "STATE", CELL_TEXT, false }, { "events", "EVENTS", CELL_INT, true },
		{ "signed", "SIGNED", CELL_INT, true }, { "age", "AGE", CELL_TEXT, true },
		{ "origin", "ORIGIN", CELL_TEXT, false } };
	Arena *mem = app->cx->mem;
	Table *t = table_new(mem, OUTPUT_TEXT, columns, LENGTH(columns));
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < logs->n; i++) {
		const Log *l = &logs->at[i];
		table_cell(t, l->tenant ? l->tenant : "(vendor)");
		table_cell(t, log_state(l));
		table_int(t, (int64_t)l->next);
		table_int(t, (int64_t)l->size);
		table_cell(t,
		    l->signed_at && now >= l->signed_at ? clock_human(mem, now - l->signed_at)
							: NULL);
		table_cell(t, l->origin);
	}
	table_print(t, stdout);
	if (witnesses->n > 0) {
		out_line(stdout, "%s", "");
		witnesses_table(app, witnesses);
	}
	if (pid > 0)
		out_line(stdout, "\naudit run: process %d signs each log at least once a minute",
		    (int)pid);
	else
		out_line(stdout,
		    "\naudit run is not running: each command that changes something publishes what "
		    "it can, and idle logs stay silent");
	if (problem->what)
		out_line(stdout, "problem: %s%s%s", problem->what, problem->hint ? "\n  " : "",
		    problem->hint ? problem->hint : "");
}

static ExitCode
run_status(void *ptr)
{
	App *app = ptr;
	Ctx own = ctx_new(app->cx->mem);
	bool well = log_ready(&own, app->home);
	WitnessRecords witnesses;
	pid_t pid = 0;
	Logs logs;

	if (!log_all(app->cx, app->home, &logs) || !witness_list(app->cx, app->home, &witnesses))
		return app_fail(app);
	service_running(app->home, &pid);
	if (app->output == OUTPUT_TEXT)
		status_text(app, &logs, &witnesses, pid, own.fail);
	else
		status_json(app, &logs, &witnesses, pid, own.fail);
	for (size_t i = 0; i < logs.n; i++)
		well = well && (logs.at[i].closed || logs.at[i].next == logs.at[i].size);
	return arg.detailed && !well ? EXIT_CHANGES : EXIT_DONE;
}

/* --- audit publish, recover --------------------------------------------------------------------- */

static bool
publish_which(App *app, Logs *out)
{
	Log one;

	if (!arg.tenant && !arg.log)
		return log_all(app->cx, app->home, out);
	*out = (Logs){ 0 };
	if (!which_log(app, &one))
		return false;
	vec_push(app->cx->mem, out, one);
	return true;
}

static ExitCode
run_publish(void *ptr)
{
	App *app = ptr;
	Js *o = js_object(app->cx->mem);
	uint64_t files = 0, changed = 0;
	Logs logs;

	if (!publish_which(app, &logs))
		return app_fail(app);
	for (size_t i = 0; i < logs.n; i++) {
		Ctx own = ctx_new(app->cx->mem);
		uint64_t n = 0;
		bool done = log_copy(&own, &logs.at[i], arg.to, &n);
		if (!done)
			fail_copy(app->cx, &own);
		arena_free(own.mem);
		if (!done)
			return app_fail(app);
		files += n;
		changed += n > 0;
	}
	js_set_text(o, "to", arg.to);
	js_set_int(o, "logs", (int64_t)changed);
	js_set_int(o, "files", (int64_t)files);
	if (app->output == OUTPUT_TEXT)
		out_line(stdout, "wrote %" PRIu64 " files of %" PRIu64 " logs to %s", files,
		    changed, arg.to);
	else
		app_json(app, o);
	return EXIT_DONE;
}

static ExitCode
run_recover(void *ptr)
{
	App *app = ptr;
	const RecoverAsk ask = { arg.from, arg.close };
	Js *o = js_object(app->cx->mem);
	Recovery r;

	if (!app_confirm(app,
		"Take back what was published, and close logs of which nobody can tell what was "
		"signed last? Type yes:",
		"yes") ||
	    !log_recover(app->cx, app->home, &ask, &r))
		return app_fail(app);
	js_set_int(o, "takenBack", (int64_t)r.taken_back);
	js_set_int(o, "moved", (int64_t)r.moved);
	js_set_int(o, "successors", (int64_t)r.successors);
	js_set_int(o, "found", (int64_t)r.found);
	if (app->output != OUTPUT_TEXT) {
		app_json(app, o);
		return EXIT_DONE;
	}
	out_line(stdout,
	    "%" PRIu64 " events taken back, %" PRIu64 " moved, %" PRIu64
	    " logs closed with a successor, %" PRIu64 " logs found that the catalogue did not know",
	    r.taken_back, r.moved, r.successors, r.found);
	return EXIT_DONE;
}

/* --- rows ----------------------------------------------------------------------------------------- */

#define WHICH_TENANT(doc) \
	{ \
		OPT_TEXT, "tenant", 0, "TENANT", &arg.tenant, doc, NULL, false \
	}
#define WHICH_LOG \
	{ \
		OPT_TEXT, "log", 0, "ORIGIN", &arg.log, \
		    "an earlier log, or that of a tenant who is gone", NULL, false \
	}
#define OPTIONS_END \
	{ \
		OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false \
	}

static const Option list_options[] = {
	WHICH_TENANT("only this tenant's"),
	{ OPT_TEXT, "since", 0, "TIME", &arg.since, "not before this time (UTC)", NULL, false },
	{ OPT_TEXT, "until", 0, "TIME", &arg.until, "before this time (UTC)", NULL, false },
	{ OPT_TEXT, "actor", 0, "TEXT", &arg.actor, "only by actors with this in their name", NULL,
	    false },
	{ OPT_TEXT, "verb", 0, "VERB", &arg.verb, "only of this kind, such as secret.read", NULL,
	    false },
	{ OPT_INT, "limit", 0, "N", &arg.limit, "at most so many, newest first; 0: all", NULL,
	    false },
	OPTIONS_END,
};
static const Option checkpoint_options[] = {
	WHICH_TENANT("whose log; else the vendor's own"),
	WHICH_LOG,
	OPTIONS_END,
};
static const Option proof_options[] = {
	{ OPT_FLAG, "entry", 0, NULL, &arg.entry, "with the event's own bytes as extra data", NULL,
	    false },
	OPTIONS_END,
};
static const Option status_options[] = {
	{ OPT_FLAG, "detailed-exitcode", 0, NULL, &arg.detailed,
	    "exit 2 if a log is behind or there is a problem", NULL, false },
	OPTIONS_END,
};
static const Option publish_options[] = {
	{ OPT_TEXT, "to", 0, "DIR", &arg.to, "folder that a web server serves", NULL, true },
	WHICH_TENANT("only this tenant's log; else all"),
	WHICH_LOG,
	OPTIONS_END,
};
static const Option recover_options[] = {
	{ OPT_TEXT, "from", 0, "DIR", &arg.from, "a copy that audit publish has made", NULL,
	    false },
	{ OPT_FLAG, "close", 0, NULL, &arg.close,
	    "close logs of which a witness knows more, or does not answer", NULL, false },
	OPTIONS_END,
};

const Command cmd_audit_list = {
	.name = "audit list",
	.summary = "who did what, when and why, newest first",
	.detail = "With --output jsonl any number of events is printed as it is read.",
	.access = ACCESS_READS,
	.run = run_list,
	.options = list_options,
};
const Command cmd_audit_run = {
	.name = "audit run",
	.summary = "publish and sign the logs as they grow, until it is stopped",
	.detail =
	    "Each log is signed anew before its checkpoint is a minute old, so that silence shows. "
	    "Without it every command that changes something publishes what it can. Stops at "
	    "SIGTERM. The configured witnesses are asked by it.",
	.access = ACCESS_WRITES,
	.run = run_service,
};
const Command cmd_audit_checkpoint = {
	.name = "audit checkpoint",
	.summary = "sign a log as it is now and print the checkpoint",
	.access = ACCESS_WRITES,
	.run = run_checkpoint,
	.options = checkpoint_options,
};
const Command cmd_audit_proof = {
	.name = "audit proof",
	.summary = "print the proof that an event is in its log",
	.detail =
	    "The form is c2sp.org/tlog-proof: index, hashes and the checkpoint. Ids of events "
	    "are those of audit list.",
	.access = ACCESS_READS,
	.run = run_proof,
	.options = proof_options,
	.args = { { "EVENT", &arg.event, "its id", false } },
};
const Command cmd_audit_status = {
	.name = "audit status",
	.summary = "the logs, how far they are signed, and what is wrong",
	.access = ACCESS_READS,
	.run = run_status,
	.options = status_options,
};
const Command cmd_audit_publish = {
	.name = "audit publish",
	.summary = "copy the logs' files to a folder that any web server can serve",
	.detail =
	    "Only what is new is copied, and each checkpoint last: a reader finds at any moment all "
	    "that a checkpoint speaks of. The prefix of a log is its folder in audit status -o json. "
	    "Events name nobody; openings are never copied.",
	.access = ACCESS_READS,
	.run = run_publish,
	.options = publish_options,
};
const Command cmd_audit_recover = {
	.name = "audit recover",
	.summary = "mend the logs of a home that was restored from an older backup",
	.detail =
	    "Events that were published and that the catalogue lacks are taken back from the home's "
	    "audit folder, or from a copy; their names of people are lost with the newer catalogue. "
	    "Where the folder is gone nobody can tell what was signed last: such a log is closed, and "
	    "a successor begins that names its last known checkpoint. The witnesses are asked before "
	    "anything is changed; a log of which one knows more than can be found is refused, or "
	    "closed with --close.",
	.access = ACCESS_WRITES,
	.run = run_recover,
	.options = recover_options,
};

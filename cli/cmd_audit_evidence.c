#include <inttypes.h>
#include <string.h>

#include "cli/app.h"
#include "compliance/audit/evidence.h"
#include "lib/adapters/js.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"

static struct {
	const char *tenant, *log, *since, *until, *out, *subject;
	const char *file, *key, *policy;
	bool no_values, stored;
} arg;

#define KEYS_MAX ((size_t)1 << 20)

/* --- audit export ------------------------------------------------------------------------ */

static bool
read_time(App *app, const char *option, const char *text, int64_t *out)
{
	*out = 0;
	return !text || (clock_parse(text, out) && *out > 0) ||
	    fail(app->cx, FAIL_USAGE,
		"Write a date or a time in UTC: 2026-01-31 or 2026-01-31T12:00:00Z.",
		"\"%s\" of --%s is no time", text, option);
}

static bool
read_ask(App *app, EvidenceAsk *ask)
{
	*ask = (EvidenceAsk){ .tenant = arg.tenant,
		.origin = arg.log,
		.no_values = arg.no_values,
		.stored = arg.stored };
	if (arg.tenant && arg.log)
		return fail(app->cx, FAIL_USAGE, "Say one of them.",
		    "--tenant and --log both say which log is meant");
	if (!read_time(app, "since", arg.since, &ask->since) ||
	    !read_time(app, "until", arg.until, &ask->until))
		return false;
	return !ask->until || ask->until > ask->since ||
	    fail(app->cx, FAIL_USAGE, "Exchange them.", "--until is not after --since");
}

static ExitCode
run_export(void *ptr)
{
	App *app = ptr;
	EvidenceAsk ask;
	EvidenceMade made;
	Js *o = js_object(app->cx->mem);

	if (!read_ask(app, &ask) || !evidence_export(app->cx, app->home, &ask, arg.out, &made))
		return app_fail(app);
	js_set_text(o, "file", arg.out);
	js_set_text(o, "origin", made.origin);
	js_set_int(o, "first", (int64_t)made.first);
	js_set_int(o, "events", (int64_t)made.events);
	js_set_int(o, "size", (int64_t)made.size);
	if (app->output == OUTPUT_TEXT)
		out_line(stdout, "wrote %s: %" PRIu64 " of the %" PRIu64 " events of %s", arg.out,
		    made.events, made.size, made.origin);
	else
		app_json(app, o);
	return EXIT_DONE;
}

static const Option export_options[] = {
	{ OPT_TEXT, "tenant", 0, "TENANT", &arg.tenant, "whose log; else the vendor's own", NULL,
	    false },
	{ OPT_TEXT, "log", 0, "ORIGIN", &arg.log, "an earlier log, or that of a tenant who is gone",
	    NULL, false },
	{ OPT_TEXT, "since", 0, "TIME", &arg.since, "first time (UTC); else from the beginning",
	    NULL, false },
	{ OPT_TEXT, "until", 0, "TIME", &arg.until, "the time at which it ends; else until now",
	    NULL, false },
	{ OPT_TEXT, "out", 0, "FILE", &arg.out, "the ZIP file; must not exist", NULL, true },
	{ OPT_FLAG, "no-values", 0, NULL, &arg.no_values, "leave out who acted and why", NULL,
	    false },
	{ OPT_FLAG, "stored", 0, NULL, &arg.stored, "do not compress: larger, and verified faster",
	    NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_audit_export = {
	.name = "audit export",
	.summary = "write evidence for an auditor: events, proofs, keys, a page for people",
	.detail =
	    "One ZIP file that is verified without a network and without a home: see "
	    "\"copyhold audit verify\" and docs/audit.md. Where a period is asked for, the events "
	    "before and after it are in the file too, so that it shows that nothing of the period "
	    "is missing. The export is an event of the log itself.\n"
	    "\n"
	    "The file names people: who acted, and the reasons that they gave. --no-values leaves "
	    "them out; what was erased is never in it.",
	.access = ACCESS_WRITES,
	.run = run_export,
	.options = export_options,
};

/* --- audit verify ------------------------------------------------------------------------ */

/* A file of verifier keys, one a line; empty lines and lines with # are passed over. */
static bool
read_keys(App *app, EvidenceTrust *trust)
{
	Ctx *cx = app->cx;
	char *text, *line;
	size_t n;

	if (!file_read(cx, arg.key, KEYS_MAX, &text, &n))
		return false;
	while ((line = strsep(&text, "\n"))) {
		NoteKey key;
		if (!*line || *line == '#')
			continue;
		if (!note_key_read(cx, line, &key))
			return fail_in(cx, "reading the keys of \"%s\"", arg.key);
		vec_push(cx->mem, &trust->keys, key);
	}
	return trust->keys.n > 0 ||
	    fail(cx, FAIL_INPUT, "A verifier key is NAME+ID+BASE64, as audit status prints it.",
		"there is no key in \"%s\"", arg.key);
}

static Js *
findings_json(Arena *mem, const Findings *f)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < f->n; i++)
		js_push_text(list, f->at[i]);
	return list;
}

static void
verdict_json(App *app, const Verdict *v)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem);

	js_set_bool(o, "sound", v->sound);
	js_set_bool(o, "trusted", v->trusted);
	js_set_text(o, "origin", v->origin);
	js_set_text(o, "key", v->key);
	js_set_int(o, "first", (int64_t)v->first);
	js_set_int(o, "events", (int64_t)v->events);
	js_set_int(o, "size", (int64_t)v->size);
	js_set_text(o, "signedAt", v->signed_at ? clock_iso(mem, v->signed_at * 1000) : NULL);
	js_set(o, "proven", findings_json(mem, &v->proven));
	js_set(o, "notProven", findings_json(mem, &v->not_proven));
	js_set(o, "wrong", findings_json(mem, &v->wrong));
	app_json(app, o);
}

static void
findings_text(const char *title, const Findings *f)
{
	if (f->n == 0)
		return;
	out_line(stdout, "%s:", title);
	for (size_t i = 0; i < f->n; i++)
		out_line(stdout, "  - %s", f->at[i]);
}

static void
verdict_text(const Verdict *v)
{
	if (v->origin)
		out_line(stdout, "evidence of %s", v->origin);
	findings_text("wrong", &v->wrong);
	findings_text("proven", &v->proven);
	findings_text("not proven", &v->not_proven);
	if (v->key)
		out_line(stdout, "checked with the key\n  %s", v->key);
}

static bool
judge(App *app, const Verdict *v)
{
	if (!v->sound)
		return fail(app->cx, FAIL_DIFFERENT, "Do not rely on it; ask for it again.",
		    "the evidence does not verify: %s", v->wrong.at[0]);
	if (v->trusted)
		return true;
	if (arg.policy)
		return fail(app->cx, FAIL_DIFFERENT,
		    "Ask for evidence whose state the witnesses have cosigned.",
		    "the evidence is whole, but the policy is not fulfilled");
	return fail(app->cx, FAIL_UNVOUCHED,
	    "Compare the key with the one that the operator gave you by another way, and say "
	    "--key FILE.",
	    "the evidence is whole, but nobody has vouched for the key that signed it");
}

static ExitCode
run_verify(void *ptr)
{
	App *app = ptr;
	EvidenceTrust trust = { 0 };
	Policy *policy = NULL;
	Verdict v;

	if ((arg.key && !read_keys(app, &trust)) ||
	    (arg.policy && !policy_load(app->cx, arg.policy, &policy)))
		return app_fail(app);
	trust.policy = policy;
	if (!evidence_verify(app->cx, arg.file, &trust, &v))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT)
		verdict_text(&v);
	else
		verdict_json(app, &v);
	return judge(app, &v) ? EXIT_DONE : app_fail(app);
}

static const Option verify_options[] = {
	{ OPT_TEXT, "key", 0, "FILE", &arg.key, "the log's key, from elsewhere than the evidence",
	    NULL, false },
	{ OPT_TEXT, "witness", 0, "FILE", &arg.policy,
	    "a policy: the witnesses that are to have cosigned", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_audit_verify = {
	.name = "audit verify",
	.summary = "check an evidence file, offline and without a home",
	.detail =
	    "Everything is computed again: each event, each personal value, the tree, the "
	    "signatures, the page. What is proven is said, and what is not.\n"
	    "\n"
	    "Exit code 0: the file is whole and signed by the key that was given (and by the "
	    "witnesses that the policy asks for). 1: something is wrong with it. 6: it is whole, "
	    "but no key was given: a person has to compare the key.",
	.access = ACCESS_NONE,
	.run = run_verify,
	.options = verify_options,
	.args = { { "FILE", &arg.file, "the evidence file", false } },
};

/* --- audit erase ------------------------------------------------------------------------- */

static void
erased_text(const EvidenceErased *e)
{
	out_line(stdout, "erased %" PRId64 " values in %" PRId64 " %s; every proof still verifies",
	    e->values, e->logs, e->logs == 1 ? "log" : "logs");
	if (e->plain)
		out_line(stdout,
		    "%" PRId64
		    " events were written by a version before commitments and name the person in "
		    "themselves: they cannot be erased",
		    e->plain);
	if (!e->settled)
		out_line(stdout,
		    "another command is reading the catalogue: its journal keeps the values until "
		    "the next command that writes");
}

static void
erased_json(App *app, const EvidenceErased *e)
{
	Js *o = js_object(app->cx->mem);

	js_set_int(o, "values", e->values);
	js_set_int(o, "logs", e->logs);
	js_set_int(o, "notErasable", e->plain);
	js_set_bool(o, "settled", e->settled);
	app_json(app, o);
}

static ExitCode
run_erase(void *ptr)
{
	App *app = ptr;
	EvidenceErased e;
	int64_t n;

	if (!evidence_count(app->cx, app->home, arg.tenant, arg.subject, &n))
		return app_fail(app);
	if (n > 0 &&
	    !app_confirm(app,
		arena_printf(
		    app->cx->mem, "%" PRId64 " values would be removed for good. Type erase:", n),
		"erase"))
		return app_fail(app);
	if (!evidence_erase(app->cx, app->home, arg.tenant, arg.subject, &e))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT)
		erased_text(&e);
	else
		erased_json(app, &e);
	return EXIT_DONE;
}

static const Option erase_options[] = {
	{ OPT_TEXT, "tenant", 0, "TENANT", &arg.tenant, "in whose log; else in every log", NULL,
	    false },
	{ OPT_TEXT, "subject", 0, "REF", &arg.subject,
	    "the person: actor:USER@HOST, as audit list has it", NULL, true },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_audit_erase = {
	.name = "audit erase",
	.summary = "remove a person's values from the log, for good",
	.detail = "The events stay as they are, with commitments in the place of the values: "
		  "every proof still verifies, and a value that somebody has kept can still be "
		  "shown to match. Evidence that was given out, backups of the home and copies of "
		  "the catalogue keep what they have.",
	.access = ACCESS_WRITES,
	.run = run_erase,
	.options = erase_options,
};

#include <string.h>

#include "cli/witnesses.h"
#include "lib/adapters/http.h"
#include "lib/base/file.h"

static struct {
	const char *dir, *name, *listen, *logs, *cert, *cert_key; /* who runs one */
	OptList log;
	const char *url, *key, *ca; /* whose logs it cosigns */
	bool insecure;
} arg = { .listen = "127.0.0.1:8480" };

#define LIST_MAX ((size_t)16 << 20)
#define CA_MAX   ((size_t)1 << 20)

/* --- who runs one --------------------------------------------------------------------------- */

static bool
trust_all(Ctx *cx, Witness *w, size_t *n)
{
	char *text;
	size_t len;
	NoteKey key;

	*n = 0;
	if (arg.logs &&
	    (!file_read(cx, arg.logs, LIST_MAX, &text, &len) ||
		!witness_trust_list(cx, w, arg.logs, text, len, n)))
		return false;
	for (int i = 0; i < arg.log.n; i++, ++*n)
		if (!note_key_read(cx, arg.log.at[i], &key) || !witness_trust(cx, w, &key))
			return false;
	return true;
}

static bool
check_tls(Ctx *cx)
{
	return !arg.cert == !arg.cert_key ||
	    fail(
		cx, FAIL_USAGE, "Give both files, or neither.", "--cert and --key belong together");
}

static ExitCode
run_witness_run(void *ptr)
{
	App *app = ptr;
	const ServeSpec spec = { .listen = arg.listen,
		.cert = arg.cert,
		.key = arg.cert_key,
		.plain_anywhere = arg.insecure };
	Witness *w;
	size_t n;

	if (!check_tls(app->cx) || !witness_open(app->cx, arg.dir, arg.name, &w) ||
	    !trust_all(app->cx, w, &n) || !witness_serve(app->cx, w, &spec))
		return app_fail(app);
	return EXIT_DONE;
}

static ExitCode
run_witness_key(void *ptr)
{
	App *app = ptr;
	Js *o = js_object(app->cx->mem);
	Witness *w;

	if (!witness_open(app->cx, arg.dir, arg.name, &w))
		return app_fail(app);
	const char *text = note_key_text(app->cx->mem, witness_key(w));
	js_set_text(o, "name", witness_key(w)->name);
	js_set_text(o, "key", text);
	if (app->output != OUTPUT_TEXT)
		text = js_canonical(app->cx->mem, o);
	out_text(stdout, arena_printf(app->cx->mem, "%s\n", text));
	return EXIT_DONE;
}

static ExitCode
run_witness_trust(void *ptr)
{
	App *app = ptr;
	Witness *w;
	size_t n;

	if (!arg.logs && !arg.log.n) {
		fail(app->cx, FAIL_USAGE, "Give --log KEY or --logs FILE.", "no log is named");
		return app_fail(app);
	}
	if (!witness_open(app->cx, arg.dir, NULL, &w) || !trust_all(app->cx, w, &n))
		return app_fail(app);
	app_done(
	    app, n == 1 ? "cosigns %zu log that was named" : "cosigns %zu logs that were named", n);
	return EXIT_DONE;
}

static const char *
iso(Arena *mem, int64_t ms)
{
	return ms ? clock_iso(mem, ms) : NULL;
}

static const char *
forks_of(Arena *mem, const WitnessForks *all, const char *origin)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < all->n; i++) {
		const WitnessFork *f = &all->at[i];

		if (strcmp(f->origin, origin) != 0)
			continue;
		Js *o = js_object(mem);
		js_set_int(o, "size", (int64_t)f->size);
		js_set_text(o, "at", clock_iso(mem, f->at));
		js_set_text(o, "ours", f->ours);
		js_set_text(o, "theirs", f->theirs);
		js_push(list, o);
	}
	return js_canonical(mem, list);
}

static void
print_logs(App *app, const WitnessLogs *logs, const WitnessForks *forks)
{
	static const Column columns[] = {
		{ "origin", "LOG", CELL_TEXT, false },
		{ "size", "SIZE", CELL_INT, true },
		{ "root", NULL, CELL_TEXT, false },
		{ "cosigned", "COSIGNED", CELL_TEXT, false },
		{ "checkpoint", NULL, CELL_TEXT, false },
		{ "forkCount", "FORKS", CELL_INT, true },
		{ "forks", NULL, CELL_RAW, false },
	};
	Arena *mem = app->cx->mem;
	Table *t = table_new(mem, app->output, columns, LENGTH(columns));

	for (size_t i = 0; i < logs->n; i++) {
		const WitnessLog *l = &logs->at[i];

		table_cell(t, l->origin);
		table_int(t, (long long)l->size);
		table_cell(t, base64_text(mem, l->root.at, HASH_BYTES));
		table_cell(t, iso(mem, l->signed_at * 1000));
		table_cell(t, l->note);
		table_int(t, l->forks);
		table_cell(t, forks_of(mem, forks, l->origin));
	}
	table_print(t, stdout);
}

static ExitCode
run_witness_logs(void *ptr)
{
	App *app = ptr;
	WitnessLogs logs;
	WitnessForks forks;
	Witness *w;

	if (!witness_open(app->cx, arg.dir, NULL, &w) || !witness_logs(app->cx, w, &logs) ||
	    !witness_forks(app->cx, w, &forks))
		return app_fail(app);
	print_logs(app, &logs, &forks);
	return EXIT_DONE;
}

/* --- whose logs it cosigns -------------------------------------------------------------------- */

static bool
read_ca(Ctx *cx, char **ca)
{
	size_t n;

	*ca = NULL;
	return !arg.ca || file_read(cx, arg.ca, CA_MAX, ca, &n);
}

static ExitCode
run_witness_add(void *ptr)
{
	App *app = ptr;
	NoteKey key;
	char *url, *ca;

	if (!http_check_url(app->cx, arg.url, arg.insecure, &url) ||
	    !note_key_read(app->cx, arg.key, &key) || !read_ca(app->cx, &ca) ||
	    !witness_remember(app->cx, app->home, url, &key, ca))
		return app_fail(app);
	app_done(app, "%s is asked to cosign every checkpoint", url);
	return EXIT_DONE;
}

static ExitCode
run_witness_remove(void *ptr)
{
	App *app = ptr;

	if (!witness_forget(app->cx, app->home, arg.url))
		return app_fail(app);
	app_done(app, "%s is asked no more", arg.url);
	return EXIT_DONE;
}

Js *
witnesses_json(Arena *mem, const WitnessRecords *all)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < all->n; i++) {
		const WitnessRecord *r = &all->at[i];
		Js *o = js_object(mem);

		js_set_text(o, "url", r->url);
		js_set_text(o, "key", r->key);
		js_set_int(o, "behind", r->behind);
		js_set_text(o, "since", iso(mem, r->since));
		js_set_text(o, "cosigned", iso(mem, r->signed_at));
		js_set_text(o, "asked", iso(mem, r->asked));
		js_set_text(o, "error", r->error);
		js_push(list, o);
	}
	return list;
}

void
witnesses_table(App *app, const WitnessRecords *all)
{
	static const Column columns[] = {
		{ "url", "WITNESS", CELL_TEXT, false },
		{ "key", NULL, CELL_TEXT, false },
		{ "behind", "BEHIND", CELL_INT, true },
		{ "since", "SINCE", CELL_TEXT, false },
		{ "cosigned", "COSIGNED", CELL_TEXT, false },
		{ "asked", NULL, CELL_TEXT, false },
		{ "error", "ERROR", CELL_TEXT, false },
	};
	Arena *mem = app->cx->mem;
	Table *t = table_new(mem, app->output, columns, LENGTH(columns));

	for (size_t i = 0; i < all->n; i++) {
		const WitnessRecord *r = &all->at[i];

		table_cell(t, r->url);
		table_cell(t, r->key);
		table_int(t, r->behind);
		table_cell(t, iso(mem, r->since));
		table_cell(t, iso(mem, r->signed_at));
		table_cell(t, iso(mem, r->asked));
		table_cell(t, r->error);
	}
	table_print(t, stdout);
}

static ExitCode
run_witness_list(void *ptr)
{
	App *app = ptr;
	WitnessRecords all;

	if (!witness_list(app->cx, app->home, &all))
		return app_fail(app);
	witnesses_table(app, &all);
	return EXIT_DONE;
}

/* --- rows ------------------------------------------------------------------------------------- */

#define DIR OPT_TEXT, "dir", 0, "DIR", &arg.dir, "the witness's own folder", NULL, true
#define NAME \
	OPT_TEXT, "name", 0, "NAME", &arg.name, \
	    "its name where it is new, such as witness.example.com/w1", NULL, false
#define LOG OPT_LIST, "log", 0, "KEY", &arg.log, "the verifier key of a log to cosign", NULL, false
#define LOGS \
	OPT_TEXT, "logs", 0, "FILE", &arg.logs, \
	    "a file of such keys, one a line, or a list of tlog-list", NULL, false
#define LAST OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false

static const Option run_options[] = {
	{ DIR },
	{ NAME },
	{ OPT_TEXT, "listen", 0, "ADDRESS:PORT", &arg.listen,
	    "where it listens; else 127.0.0.1:8480", NULL, false },
	{ LOG },
	{ LOGS },
	{ OPT_TEXT, "cert", 0, "FILE", &arg.cert, "TLS certificate and its issuers (PEM)", NULL,
	    false },
	{ OPT_TEXT, "key", 0, "FILE", &arg.cert_key, "the key of that certificate (PEM)", NULL,
	    false },
	{ OPT_FLAG, "insecure-http", 0, NULL, &arg.insecure,
	    "plain HTTP also where others can reach it", NULL, false },
	{ LAST },
};
static const Option key_options[] = { { DIR }, { NAME }, { LAST } };
static const Option trust_options[] = { { DIR }, { LOG }, { LOGS }, { LAST } };
static const Option logs_options[] = { { DIR }, { LAST } };
static const Option add_options[] = {
	{ OPT_TEXT, "key", 0, "KEY", &arg.key, "its verifier key: audit witness key prints it",
	    NULL, true },
	{ OPT_TEXT, "ca", 0, "FILE", &arg.ca,
	    "certificates to trust for it in place of the system's (PEM)", NULL, false },
	{ OPT_FLAG, "insecure-http", 0, NULL, &arg.insecure, "plain HTTP to another machine", NULL,
	    false },
	{ LAST },
};

#define URL_ARG \
	.args = { { "URL", &arg.url, "where it listens, such as https://witness.example.com", \
	    false } }

const Command cmd_audit_witness_run = {
	.name = "audit witness run",
	.summary = "remember each log's last checkpoint and cosign what extends it",
	.detail =
	    "For whoever wants to be sure that a log is never rewritten: a tenant, an auditor. It "
	    "needs no home, only a folder of its own, which must never be set back to an earlier "
	    "state. It speaks C2SP tlog-witness. SIGTERM stops it. See docs/witness.md.",
	.run = run_witness_run,
	.options = run_options,
};
const Command cmd_audit_witness_key = {
	.name = "audit witness key",
	.summary = "print the key that verifies a witness's cosignatures",
	.run = run_witness_key,
	.options = key_options,
};
const Command cmd_audit_witness_trust = {
	.name = "audit witness trust",
	.summary = "let a witness cosign further logs; it may be running",
	.run = run_witness_trust,
	.options = trust_options,
};
const Command cmd_audit_witness_logs = {
	.name = "audit witness logs",
	.summary = "what a witness knows of each log, and the forks that it met",
	.detail = "A fork is kept as two notes of one size, both signed by the log: with --output "
		  "json they are shown. Together they are the proof of it.",
	.run = run_witness_logs,
	.options = logs_options,
};
const Command cmd_audit_witness_add = {
	.name = "audit witness add",
	.summary = "ask a witness to cosign this home's logs from now on",
	.detail = "Get its key from whoever runs it, not from the address. A witness that is down "
		  "delays no change: it is asked again until it answers.",
	.access = ACCESS_WRITES,
	.run = run_witness_add,
	URL_ARG,
	.options = add_options,
};
const Command cmd_audit_witness_list = {
	.name = "audit witness list",
	.summary = "this home's witnesses, and how many logs wait for each",
	.access = ACCESS_READS,
	.run = run_witness_list,
};
const Command cmd_audit_witness_remove = {
	.name = "audit witness remove",
	.summary = "ask a witness no more",
	.access = ACCESS_WRITES,
	.run = run_witness_remove,
	URL_ARG,
};

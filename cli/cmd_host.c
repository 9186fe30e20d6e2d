#include <inttypes.h>
#include <string.h>

#include "cli/report.h"
#include "deployer/host.h"
#include "lib/core/records.h"

static struct {
	const char *name, *file;
	bool fix, leave;
} arg;

/* Of the manifests, where they were given and have it; else as it is recorded. */
static bool
find_host(App *app, Manifests **m, const Host **out)
{
	*m = NULL;
	if (arg.file && !manifest_load(app->cx, arg.file, m))
		return false;
	app->home->hosts = *m ? (*m)->hosts : NULL;
	if (host_find(app->cx, app->home, arg.name, out))
		return true;
	if (*m && app->cx->fail->kind == FAIL_NOT_FOUND)
		app->cx->fail->hint = arena_printf(
		    app->cx->mem, "Neither \"%s\" nor the catalogue has it.", arg.file);
	return false;
}

static const char *
supervise_word(const Host *h)
{
	return h->supervise == SUPERVISE_RUNIT ? "runit" : "systemd";
}

static void
print_object(App *app, Js *o)
{
	if (app->output == OUTPUT_JSON)
		out_text(stdout, js_pretty(app->cx->mem, o));
	else
		out_text(stdout, arena_printf(app->cx->mem, "%s\n", js_canonical(app->cx->mem, o)));
}

/* --- host list -------------------------------------------------------------------- */

static const Column list_columns[] = {
	{ "name", "HOST", CELL_TEXT, false },
	{ "region", "REGION", CELL_TEXT, false },
	{ "owner", "OWNER", CELL_TEXT, false },
	{ "address", "ADDRESS", CELL_TEXT, false },
	{ "port", "PORT", CELL_INT, true },
	{ "user", "USER", CELL_TEXT, false },
	{ "supervise", "SUPERVISE", CELL_TEXT, false },
	{ "root", "ROOT", CELL_TEXT, false },
};

static ExitCode
run_list_hosts(void *ptr)
{
	App *app = ptr;
	Names names = { 0 };

	if (!catalog_object_names(app->cx, app->home, "Host", &names))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, list_columns, LENGTH(list_columns));
	for (size_t i = 0; i < names.n; i++) {
		const Host *h;
		if (!host_find(app->cx, app->home, names.at[i], &h))
			return app_fail(app);
		table_cell(t, h->name);
		table_cell(t, h->region);
		table_cell(t, h->owner);
		table_cell(t, h->address);
		table_int(t, h->port);
		table_cell(t, h->user);
		table_cell(t, supervise_word(h));
		table_cell(t, h->root);
	}
	table_print(t, stdout);
	return EXIT_DONE;
}

const Command cmd_host_list = {
	.name = "host list",
	.summary = "the machines that are reached over SSH",
	.detail = "As they are recorded; no machine is asked.",
	.access = ACCESS_READS,
	.run = run_list_hosts,
};

/* --- host show -------------------------------------------------------------------- */

typedef struct DutyItem {
	const char *kind, *name;
} DutyItem;
typedef struct Duty {
	const char *name, *work; /* what it does now, or NULL */
	int64_t fence;
	struct {
		DutyItem *at;
		size_t n, cap;
	} items;
} Duty;
typedef struct Duties {
	Duty *at;
	size_t n, cap;
} Duties;

static int64_t
number_of(const char *text)
{
	int64_t n = 0;

	for (size_t i = 0; text[i] >= '0' && text[i] <= '9' && i < 18; i++)
		n = n * 10 + (text[i] - '0');
	return n;
}

/* Lines of "duty NAME FENCE", each with its lines of "at-work VERB..." and "KIND NAME". */
static void
read_duties(Arena *mem, const char *text, Duties *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		Buf plain = buf_new(mem);

		buf_plain(&plain, arena_dupn(mem, text, n), " ");
		char *line = plain.text, *blank = strchr(line, ' ');

		text += n + (text[n] == '\n');
		if (!blank)
			continue;
		*blank++ = '\0';
		char *fence = strchr(blank, ' ');

		if (strcmp(line, "duty") == 0 && fence) {
			*fence++ = '\0';
			vec_push(mem, out, ((Duty){ .name = blank, .fence = number_of(fence) }));
		} else if (strcmp(line, "at-work") == 0 && out->n)
			out->at[out->n - 1].work = blank;
		else if (out->n)
			vec_push(mem, &out->at[out->n - 1].items,
			    ((DutyItem){ .kind = line, .name = blank }));
	}
}

/* Who may not ask for all duties asks for those that are known. */
static bool
ask_duties(App *app, Conns *conns, const Host *h, Duties *out)
{
	const char *const all[] = { "look-duties", NULL }, *const one[] = { "look-duty", NULL };
	Ctx *cx = app->cx;
	HostConn *conn;
	HostReply r;
	Names names;

	if (conns_host(cx, conns, h->name, "host", &conn)) {
		if (!host_look(cx, conn, all, &r))
			return false;
		read_duties(cx->mem, r.out, out);
		return true;
	}
	if (cx->fail->kind != FAIL_MISSING_RIGHT)
		return false;
	fail_clear(cx);
	if (!host_duties(cx, app->home, NULL, h->name, &names))
		return false;
	for (size_t i = 0; i < names.n; i++) {
		if (!conns_host(cx, conns, h->name, names.at[i], &conn) ||
		    !host_look(cx, conn, one, &r))
			return false;
		read_duties(
		    cx->mem, arena_printf(cx->mem, "duty %s %s", names.at[i], r.out + 6), out);
	}
	return true;
}

static Js *
duties_json(Arena *mem, const Duties *all)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < all->n; i++) {
		const Duty *d = &all->at[i];
		Js *o = js_object(mem), *items = js_array(mem);

		js_set_text(o, "duty", d->name);
		js_set_int(o, "fence", d->fence);
		js_set_text(o, "atWork", d->work);
		for (size_t k = 0; k < d->items.n; k++) {
			Js *item = js_object(mem);
			js_set_text(item, "kind", d->items.at[k].kind);
			js_set_text(item, "name", d->items.at[k].name);
			js_push(items, item);
		}
		js_set(o, "owns", items);
		js_push(list, o);
	}
	return list;
}

static void
show_json(App *app, const Host *h, const HostFacts *f, const Duties *duties, const char *helper)
{
	Js *o = js_object(app->cx->mem);

	js_set_text(o, "name", h->name);
	js_set_text(o, "display", h->display);
	js_set_text(o, "region", h->region);
	js_set_text(o, "owner", h->owner);
	js_set_text(o, "address", h->address);
	js_set_int(o, "port", h->port);
	js_set_text(o, "user", h->user);
	js_set_text(o, "root", h->root);
	js_set_text(o, "supervise", supervise_word(h));
	js_set_text(o, "hostname", f->hostname);
	js_set_text(o, "os", f->os);
	js_set_text(o, "kernel", f->kernel);
	js_set_text(o, "arch", f->arch);
	js_set_text(o, "pid1", f->pid1);
	js_set_int(o, "memoryMiB", f->memory_kib >> 10);
	js_set_int(o, "diskMiB", f->disk_kib >> 10);
	js_set_int(o, "diskFreeMiB", f->disk_free_kib >> 10);
	js_set_text(o, "helper", helper);
	js_set(o, "duties", duties_json(app->cx->mem, duties));
	print_object(app, o);
}

static void
show_text(const Host *h, const HostFacts *f, const Duties *duties, const char *helper)
{
	out_line(stdout, "host %s: %s@%s:%" PRId64 ", region %s%s%s", h->name, h->user, h->address,
	    h->port, h->region, h->owner ? ", owner " : "", h->owner ? h->owner : "");
	out_line(stdout, "  machine  \"%s\", %s, %s, kernel %s", f->hostname ? f->hostname : "",
	    f->os ? f->os : "unknown", f->arch, f->kernel ? f->kernel : "unknown");
	out_line(stdout, "  memory   %" PRId64 " MiB", f->memory_kib >> 10);
	out_line(stdout, "  disk     %" PRId64 " of %" PRId64 " MiB free at %s",
	    f->disk_free_kib >> 10, f->disk_kib >> 10, h->root);
	out_line(stdout, "  process1 %s; the manifest says %s", f->pid1 ? f->pid1 : "unknown",
	    supervise_word(h));
	out_line(stdout, "  helper   %s", helper);
	for (size_t i = 0; i < duties->n; i++) {
		const Duty *d = &duties->at[i];
		out_line(stdout, "  duty %s, fence %" PRId64 ", owns %zu%s%s", d->name, d->fence,
		    d->items.n, d->work ? "; at work: " : "", d->work ? d->work : "");
		for (size_t k = 0; k < d->items.n; k++)
			out_line(stdout, "    %s %s", d->items.at[k].kind, d->items.at[k].name);
	}
}

static ExitCode
run_show(void *ptr)
{
	App *app = ptr;
	Conns *conns = conns_new(app->cx, app->home);
	const char *helper = "version " COPYHOLD_VERSION;
	Names none = { 0 };
	Duties duties = { 0 };
	HostFacts f;
	const Host *h;

	if (!host_find(app->cx, app->home, arg.name, &h) ||
	    !host_facts(app->cx, conns, h, &none, &f))
		return app_fail(app);
	if (!ask_duties(app, conns, h, &duties)) {
		if (app->cx->fail->kind != FAIL_UNPREPARED)
			return app_fail(app);
		helper = arena_dup(app->cx->mem, app->cx->fail->what);
		fail_clear(app->cx);
	}
	if (app->output == OUTPUT_TEXT)
		show_text(h, &f, &duties, helper);
	else
		show_json(app, h, &f, &duties, helper);
	return EXIT_DONE;
}

const Command cmd_host_show = {
	.name = "host show",
	.summary = "what a machine is, and what of ours is on it",
	.detail =
	    "Asks the machine: its system, memory and disk, our helper there, and for each duty (the "
	    "machine itself, a cluster, a tenant) the highest fence that it has seen and every path, "
	    "user and unit that was put there, and the verb that holds its lock now.",
	.access = ACCESS_READS,
	.args = { { "HOST", &arg.name, "the machine", false } },
	.run = run_show,
};

/* --- host check ------------------------------------------------------------------- */

static const char *
verdict_word(Verdict v)
{
	switch (v) {
	case VERDICT_OK:
		return "ok";
	case VERDICT_WRONG:
		return "wrong";
	case VERDICT_UNKNOWN:
		break;
	}
	return "unknown";
}

static const Column finding_columns[] = {
	{ "verdict", "", CELL_TEXT, false },
	{ "what", "WHAT", CELL_TEXT, false },
	{ "text", "FOUND", CELL_TEXT, false },
	{ "fix", NULL, CELL_TEXT, false },
};

static size_t
count_wrong(const HostFindings *found)
{
	size_t n = 0;

	for (size_t i = 0; i < found->all.n; i++)
		n += found->all.at[i].verdict == VERDICT_WRONG;
	return n;
}

static void
print_findings(App *app, const HostFindings *found)
{
	Table *t = table_new(app->cx->mem, app->output, finding_columns, LENGTH(finding_columns));

	for (size_t i = 0; i < found->all.n; i++) {
		const Finding *f = &found->all.at[i];
		table_cell(t, verdict_word(f->verdict));
		table_cell(t, f->what);
		table_cell(t, f->text);
		table_cell(t, f->fix);
	}
	table_print(t, stdout);
	for (size_t i = 0; i < found->all.n && app->output == OUTPUT_TEXT; i++)
		if (found->all.at[i].fix)
			out_line(stdout, "fix of \"%s\": %s", found->all.at[i].what,
			    found->all.at[i].fix);
}

static ExitCode
verdict_exit(const HostFindings *found)
{
	return found->unreachable ? EXIT_UNREACHABLE
	    : count_wrong(found)  ? EXIT_CHANGES
				  : EXIT_DONE;
}

/* What is to be mended must be recorded first: a run that was killed is resumed without manifests. */
static bool
record_object(App *app, const char *kind, const char *name, const void *loaded, Steps *steps)
{
	char *spec = manifest_canonical(app->cx->mem, kind, loaded), *had, *hash;
	const char *fresh = sha256_hex(app->cx->mem, spec, strlen(spec));
	const char *low = strcmp(kind, "Host") == 0 ? "host" : "region";

	if (!catalog_object(app->cx, app->home, kind, name, &had, &hash))
		return false;
	return (hash && strcmp(hash, fresh) == 0) ||
	    records_object_put(app->cx, app->home, arena_printf(app->cx->mem, "%s/%s", low, name),
		kind, name, spec, fresh, steps);
}

static bool
record_first(App *app, const Manifests *m, const Host *h, Steps *steps)
{
	return !m || map_get(m->hosts, h->name) != h ||
	    (record_object(app, "Region", h->region, map_get(m->regions, h->region), steps) &&
		record_object(app, "Host", h->name, h, steps));
}

static ExitCode
fix(App *app, const Manifests *m, const Host *h, HostFindings *found)
{
	Steps steps = { 0 }, mend = { 0 };
	RunPlan run = { .verb = "host check", .steps = &steps };
	RunReport report;

	if (!host_fix_steps(app->cx, app->home, h, found, &mend))
		return app_fail(app);
	if (!mend.n) {
		print_findings(app, found);
		return verdict_exit(found);
	}
	if (app->output == OUTPUT_TEXT)
		print_findings(app, found);
	if (!record_first(app, m, h, &steps) ||
	    !host_fix_steps(app->cx, app->home, h, found, &steps))
		return app_fail(app);
	for (size_t i = 0; i < steps.n && app->output == OUTPUT_TEXT; i++)
		out_line(stdout, "will: %s", steps.at[i].title);
	if (!app_confirm(app, "Do that? Type yes:", "yes") ||
	    !run_start(app->cx, app->home, &run, &report))
		return app_fail(app);
	report_run(app, &report, NULL);
	if (report.exit != EXIT_DONE)
		return report.exit;
	if (!host_check(app->cx, app->home, m, h, found))
		return app_fail(app);
	if (count_wrong(found) && app->output == OUTPUT_TEXT)
		print_findings(app, found);
	return verdict_exit(found);
}

static ExitCode
run_check(void *ptr)
{
	App *app = ptr;
	HostFindings found;
	const Host *h;
	Manifests *m;

	if (!find_host(app, &m, &h) || !host_check(app->cx, app->home, m, h, &found))
		return app_fail(app);
	if (arg.fix)
		return fix(app, m, h, &found);
	print_findings(app, &found);
	return verdict_exit(&found);
}

static const Option check_options[] = {
	{ OPT_TEXT, "file", 'f', "PATH", &arg.file,
	    "take it from manifests: a file, a folder, or - for standard input", NULL, false },
	{ OPT_FLAG, "fix", 0, NULL, &arg.fix,
	    "put our helper there, and with install: true in the manifest what packages lack", NULL,
	    false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_host_check = {
	.name = "host check",
	.summary = "what keeps us from working on a machine, and the fix of each",
	.detail =
	    "Address, algorithms, host key, login, system, supervision, disk, clock, root folder, packages, "
	    "our helper, and the rights for each duty that manifests and records want there. Exit code 0: "
	    "nothing is wrong; 2: something is; 4: it cannot be reached. With --fix a journalled run mends "
	    "what is ours to mend.",
	.access = ACCESS_WRITES,
	.args = { { "HOST", &arg.name, "the machine", false } },
	.options = check_options,
	.run = run_check,
};

/* --- host setup-script ---------------------------------------------------------------- */

static ExitCode
run_setup(void *ptr)
{
	App *app = ptr;
	const Host *h;
	Names duties;
	Manifests *m;

	if (!find_host(app, &m, &h) || !host_duties(app->cx, app->home, m, h->name, &duties))
		return app_fail(app);
	if (arg.leave) {
		out_text(stdout, host_leave_script(app->cx->mem, h));
		return EXIT_DONE;
	}
	if (!duties.n || h->install)
		vec_push(app->cx->mem, &duties, "host");
	out_text(stdout, host_setup_script(app->cx->mem, h, &duties));
	return EXIT_DONE;
}

static const Option setup_options[] = {
	{ OPT_TEXT, "file", 'f', "PATH", &arg.file,
	    "take it from manifests: a file, a folder, or - for standard input", NULL, false },
	{ OPT_FLAG, "leave", 0, NULL, &arg.leave,
	    "print the script that takes all that away again, once nothing of ours runs there",
	    NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_host_setup_script = {
	.name = "host setup-script",
	.summary = "print the script that prepares a machine, for its administrator",
	.detail =
	    "Run as root there it makes the folders, puts the helper in place, and, where our user is not "
	    "root (sudo: true), writes one line to sudoers for each duty that manifests and records want on "
	    "that machine, and no more. Run twice it changes nothing. Where our user is root, apply and "
	    "host check --fix do the same. With --leave: the script for the end, when all is deleted "
	    "or handed over there; then apply --prune forgets the machine.",
	.access = ACCESS_READS,
	.args = { { "HOST", &arg.name, "the machine", false } },
	.options = setup_options,
	.run = run_setup,
};

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/app.h"

static struct {
	const char *name;
} arg;

#define SECRET_MAX 65536

/* Standard input, less one newline at its end; never an argument, which every process can read. */
static bool
read_input(Ctx *cx, Secret *out)
{
	Secret all = secret_alloc(cx->mem, SECRET_MAX + 1);
	size_t n = 0;

	for (;;) {
		ssize_t got = read(STDIN_FILENO, all.text + n, SECRET_MAX + 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(
			    cx, errno, NULL, "reading the secret from standard input");
		if (got == 0)
			break;
		n += (size_t)got;
		if (n > SECRET_MAX)
			return fail(cx, FAIL_LIMIT, "Store a reference to a file instead.",
			    "the secret is longer than %d bytes", SECRET_MAX);
	}
	if (n && all.text[n - 1] == '\n')
		n--;
	if (!n)
		return fail(cx, FAIL_USAGE,
		    "Give it on standard input: copyhold secret set NAME < FILE.",
		    "the secret is empty");
	*out = secret_new(cx->mem, all.text, n);
	return true;
}

static bool
in_transaction(
    App *app, const char *verb, bool (*act)(Ctx *, Home *, const Secret *), const Secret *value)
{
	Event e = { .verb = verb,
		.outcome = "ok",
		.object = arena_printf(app->cx->mem, "secret/%s", arg.name) };
	bool ok = lite_begin(app->cx, app->home->db) && act(app->cx, app->home, value) &&
	    event_write(app->cx, app->home, &e) && lite_commit(app->cx, app->home->db);

	if (!ok)
		lite_rollback(app->home->db);
	return ok;
}

static bool
put(Ctx *cx, Home *home, const Secret *value)
{
	return catalog_secret_put(cx, home, arg.name, value);
}

static bool
drop(Ctx *cx, Home *home, const Secret *unused)
{
	(void)unused;
	return catalog_secret_remove(cx, home, arg.name);
}

static ExitCode
run_secret_set(void *ptr)
{
	App *app = ptr;
	Secret value;

	if (!name_valid(arg.name)) {
		fail(app->cx, FAIL_USAGE,
		    "Letters, digits and -, starting with a letter, 40 at most.",
		    "\"%s\" is no name for a secret", arg.name);
		return app_fail(app);
	}
	if (!read_input(app->cx, &value) || !in_transaction(app, "secret.set", put, &value))
		return app_fail(app);
	app_done(app, "sealed; refer to it as {secretRef: \"store:%s\"}", arg.name);
	return EXIT_DONE;
}

static bool
is_there(App *app)
{
	Names names;

	return catalog_secret_names(app->cx, app->home, &names) &&
	    (names_have(&names, arg.name) ||
		fail(app->cx, FAIL_NOT_FOUND, "See: copyhold secret list.",
		    "there is no secret \"%s\"", arg.name));
}

static ExitCode
run_secret_remove(void *ptr)
{
	App *app = ptr;

	if (!is_there(app) || !in_transaction(app, "secret.remove", drop, NULL))
		return app_fail(app);
	app_done(app, "removed store:%s", arg.name);
	return EXIT_DONE;
}

static ExitCode
run_secret_list(void *ptr)
{
	static const Column columns[] = { { "name", "SECRET", CELL_TEXT, false } };
	App *app = ptr;
	Names names;

	if (!catalog_secret_names(app->cx, app->home, &names))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, columns, LENGTH(columns));
	for (size_t i = 0; i < names.n; i++)
		table_cell(t, names.at[i]);
	table_print(t, stdout);
	return EXIT_DONE;
}

#define NAME_ARG .args = { { "NAME", &arg.name, "the secret's name", false } }

const Command cmd_secret_set = {
	.name = "secret set",
	.summary = "seal a secret from standard input in the catalogue",
	.detail = "Manifests refer to it as {secretRef: \"store:NAME\"}.",
	.access = ACCESS_WRITES,
	.run = run_secret_set,
	NAME_ARG,
};
const Command cmd_secret_list = {
	.name = "secret list",
	.summary = "names of the sealed secrets",
	.access = ACCESS_READS,
	.run = run_secret_list,
};
const Command cmd_secret_remove = {
	.name = "secret remove",
	.summary = "forget a sealed secret",
	.access = ACCESS_WRITES,
	.run = run_secret_remove,
	NAME_ARG,
};

/* A machine is made ready for us, and left. */
#include "deployer/host.h"

#include <inttypes.h>
#include <string.h>

#include "deployer/helper.h"
#include "deployer/leave.sh.h"
#include "deployer/prepare.sh.h"
#include "lib/base/log.h"

#define SCRIPT_FENCED 76
#define SCRIPT_UNSAFE 77

/* --- the scripts ---------------------------------------------------------------------------- */

/* One a duty; none for root. */
static const char *
sudoers_lines(Arena *mem, const Host *h, const Names *duties)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; h->sudo && i < duties->n; i++)
		buf_fmt(&b, "%s%s", i ? "\n" : "", host_sudoers(mem, h, duties->at[i]));
	return b.text;
}

char *
host_mark(Arena *mem, const Host *h)
{
	return arena_printf(mem, "copyhold-%.8s", sha256_hex(mem, h->root, strlen(h->root)));
}

static void
set_word(Buf *b, const char *name, const char *value)
{
	buf_fmt(b, "%s=", name);
	buf_shell(b, value);
	buf_addc(b, '\n');
}

/* A shell that has read a part only runs nothing of it. */
static void
script_begin(Buf *b, const Host *h, const char *fence)
{
	buf_add(b, "#!/bin/sh\n");
	buf_fmt(b, "# copyhold " COPYHOLD_VERSION ", host \"%s\": run it as root there.\ngo() {\n",
	    h->name);
	set_word(b, "root", h->root);
	set_word(b, "mark", host_mark(b->mem, h));
	set_word(b, "fence", fence);
}

static void
script_end(Buf *b, const char *text)
{
	buf_add(b, text);
	buf_add(b, "}\ngo </dev/null\nexit $?\n");
}

static char *
prepare_text(Arena *mem, const Host *h, const char *fence, const char *sudoers)
{
	Buf b = buf_new(mem);

	buf_add(&b, "install_helper() {\ncat <<'COPYHOLD-HOST-ENDS'\n");
	buf_add(&b, helper_text());
	buf_add(&b, "COPYHOLD-HOST-ENDS\n}\n");
	const char *helper = b.text;

	b = buf_new(mem);
	script_begin(&b, h, fence);
	set_word(&b, "user", h->user);
	set_word(&b, "prefix", h->user_prefix);
	set_word(&b, "supervise", h->supervise == SUPERVISE_RUNIT ? "runit" : "systemd");
	set_word(&b, "digest", helper_digest());
	set_word(&b, "sudoers", sudoers);
	buf_add(&b, helper);
	script_end(&b, PREPARE_TEXT);
	return b.text;
}

char *
host_setup_script(Arena *mem, const Host *h, const Names *duties)
{
	return prepare_text(mem, h, "", sudoers_lines(mem, h, duties));
}

static char *
leave_text(Arena *mem, const Host *h, const char *fence)
{
	Buf b = buf_new(mem);

	script_begin(&b, h, fence);
	script_end(&b, LEAVE_TEXT);
	return b.text;
}

char *
host_leave_script(Arena *mem, const Host *h)
{
	return leave_text(mem, h, "");
}

/* --- running them ------------------------------------------------------------------------------ */

static const char *
last_line(Arena *mem, const char *text)
{
	size_t n = strlen(text), start;
	Buf b = buf_new_max(mem, 4096);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	for (start = n; start > 0 && text[start - 1] != '\n'; start--)
		continue;
	buf_plain(&b, arena_dupn(mem, text + start, n - start), " ");
	return b.text;
}

typedef struct Doing { /* what a script is for */
	const char *text, *infinitive, *done, *option;
} Doing;

static bool
script_refused(Ctx *cx, const Host *h, const Doing *d, const char *said, const char *hint)
{
	if (strstr(said, "no space left") || strstr(said, "No space left"))
		return fail(cx, FAIL_DISK_FULL,
		    arena_printf(cx->mem, "Make room below \"%s\" there.", h->root),
		    "host \"%s\" could not be %s: %s", h->name, d->done, said);
	return fail(cx, FAIL_HOST_STEP, hint, "host \"%s\" could not be %s: %s", h->name, d->done,
	    *said ? said : "it said nothing");
}

static bool
script_failed(Ctx *cx, const Host *h, const Doing *d, const HostReply *r)
{
	const char *said = last_line(cx->mem, r->err);
	const char *hint = arena_printf(cx->mem,
	    "As its root, run what copyhold host setup-script %s%s prints.", h->name, d->option);

	if (r->code == SCRIPT_FENCED && strncmp(r->out, "fenced ", 7) == 0)
		return fail(cx, FAIL_FENCED, "Another run has taken over: see copyhold run list.",
		    "duty \"host\" on host \"%s\" has seen a newer holder", h->name);
	/* Also where it goes on it may have something to say: what counts is how it ended. */
	if (strstr(said, "sudo: ") || strcmp(said, "only root can do this") == 0)
		return fail(cx, FAIL_UNPREPARED, hint, "user \"%s\" of host \"%s\" may not %s it",
		    h->user, h->name, d->infinitive);
	if (r->code == SCRIPT_UNSAFE)
		hint =
		    "Who can write there could run a program of his own as root: give it to root "
		    "alone, or choose another root in the manifest.";
	script_refused(cx, h, d, said, hint);
	return fail_cause(cx, "exit code %d", r->code);
}

static bool
run_script(Ctx *cx, StepEnv *env, const Host *h, const Doing *d, HostReply *out)
{
	return host_script(cx, env->conns, h, true, d->text, out) &&
	    (out->code == 0 || script_failed(cx, h, d, out));
}

static bool
step_host(Ctx *cx, StepEnv *env, const Host **out)
{
	return host_find(cx, env->home, js_get_text(env->step->args, "host"), out);
}

static const char *
fence_text(Arena *mem, const StepEnv *env)
{
	return arena_printf(mem, "%" PRId64, env->fence);
}

/* *ready: the helper is there, ours, and set as the manifest has it. */
static bool
is_ready(Ctx *cx, StepEnv *env, const Host *h, bool *ready)
{
	Ctx own = ctx_new(cx->mem);
	HostConn *conn;

	*ready = conns_host(&own, env->conns, h->name, "host", &conn);
	if (*ready || own.fail->kind == FAIL_UNPREPARED || own.fail->kind == FAIL_HOST_STEP ||
	    own.fail->kind == FAIL_MISSING_RIGHT)
		return true;
	fail_copy(cx, &own);
	return false;
}

/* --- host.prepare --------------------------------------------------------------------------------- */

static bool
prepare_act(Ctx *cx, StepEnv *env)
{
	const Host *h;
	HostConn *conn;
	HostReply r;
	bool ready;

	if (!step_host(cx, env, &h) || !is_ready(cx, env, h, &ready))
		return false;
	if (ready)
		return true;
	Doing d = { prepare_text(cx->mem, h, fence_text(cx->mem, env), ""), "prepare", "prepared",
		"" };

	return run_script(cx, env, h, &d, &r) && conns_host(cx, env->conns, h->name, "host", &conn);
}

static bool
prepare_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	const Host *h;
	bool ready;

	if (!step_host(cx, env, &h) || !is_ready(cx, env, h, &ready))
		return false;
	*out = ready ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

/* Where we are not root its administrator may have run the script already. */
static bool
has_left(Ctx *cx, StepEnv *env, const Host *h)
{
	const char *script = arena_printf(
	    cx->mem, "[ ! -e %s ]\nexit $?\n", host_helper_path(cx->mem, h));
	Ctx own = ctx_new(cx->mem);
	HostReply r;

	return host_script(&own, env->conns, h, false, script, &r) && r.code == 0;
}

static bool
leave(Ctx *cx, StepEnv *env, const Host *h)
{
	Doing d = { leave_text(cx->mem, h, fence_text(cx->mem, env)), "leave", "left", " --leave" };
	HostReply r;

	if (!run_script(cx, env, h, &d, &r)) {
		if (cx->fail->kind != FAIL_UNPREPARED || !has_left(cx, env, h))
			return false;
		fail_clear(cx);
	} else if (*r.out)
		log_say("host \"%s\": %s", h->name, last_line(cx->mem, r.out));
	return true;
}

/* A helper that stood there before stays, as the one of this version. */
static bool
prepare_undo(Ctx *cx, StepEnv *env)
{
	const Host *h;

	if (!js_get_bool(env->step->args, "fresh", false))
		return true;
	return step_host(cx, env, &h) && leave(cx, env, h);
}

/* --- host.leave ------------------------------------------------------------------------------------ */

static bool
leave_act(Ctx *cx, StepEnv *env)
{
	const Host *h;

	return step_host(cx, env, &h) && leave(cx, env, h);
}

/* Where something of ours is left, the helper stays with it: leaving again says so and does no harm. */
static bool
leave_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	const Host *h;
	bool ready;

	if (!step_host(cx, env, &h) || !is_ready(cx, env, h, &ready))
		return false;
	*out = ready ? PROBE_NOT_DONE : PROBE_DONE;
	return true;
}

/* --- host.packages ----------------------------------------------------------------------------------- */

static bool
packages_act(Ctx *cx, StepEnv *env)
{
	const Js *names = js_get(env->step->args, "packages");
	const char **words = arena_alloc(cx->mem, (js_count(names) + 2) * sizeof *words);
	const Host *h;
	HostConn *conn;
	HostReply r;

	words[0] = "packages-install";
	for (size_t i = 0; i < js_count(names); i++)
		words[i + 1] = js_value_text(js_at(names, i));
	return step_host(cx, env, &h) && conns_host(cx, env->conns, h->name, "host", &conn) &&
	    host_act(cx, conn, env, words, NULL, 0, &r);
}

static bool
packages_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	const Host *h;
	HostConn *conn;
	HostReply r;
	bool found;

	if (!step_host(cx, env, &h) || !conns_host(cx, env->conns, h->name, "host", &conn) ||
	    !host_stored(cx, conn, env, "packages-install", &found, &r))
		return false;
	*out = found && r.code == 0 ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

bool
host_fix_steps(Ctx *cx, Home *home, const Host *h, const HostFindings *found, Steps *steps)
{
	const char *scope = arena_printf(cx->mem, "host/%s", h->name);
	Js *prepare = js_object(cx->mem), *install = js_object(cx->mem), *names;

	(void)home;
	js_set_text(prepare, "host", h->name);
	js_set_bool(prepare, "fresh", false);
	if (found->unprepared)
		steps_add(
		    cx->mem, steps, scope, "host.prepare", prepare, "prepare host \"%s\"", h->name);
	if (!found->missing.n || !h->install)
		return true;
	names = js_array(cx->mem);
	for (size_t i = 0; i < found->missing.n; i++)
		js_push_text(names, found->missing.at[i]);
	js_set_text(install, "host", h->name);
	js_set(install, "packages", names);
	steps_add(cx->mem, steps, scope, "host.packages", install,
	    "install %zu packages on host \"%s\"", found->missing.n, h->name);
	return true;
}

/* clang-format off */
const StepKind host_kinds[] = {
	{ .name = "host.prepare", .undo_class = UNDO_COMPENSABLE,
	  .act = prepare_act, .probe = prepare_probe, .undo = prepare_undo },
	{ .name = "host.packages", .undo_class = UNDO_COMPENSABLE,
	  .act = packages_act, .probe = packages_probe },
	{ .name = "host.leave", .undo_class = UNDO_COMPENSABLE,
	  .act = leave_act, .probe = leave_probe, .undo = prepare_act },
	{ .name = NULL },
};
/* clang-format on */

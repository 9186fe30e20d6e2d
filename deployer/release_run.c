/* Steps of scope "release/TENANT/HOST": made in release.c, done here. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "deployer/bundle.h"
#include "deployer/release.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"

#define DRAIN_LOOK_MS 100
#define DRAIN_MORE_MS 3000 /* for the front's workers to be gone after their own limit */
#define LOOKS_GOOD    2    /* in a row */

static const char *
arg_text(const StepEnv *env, const char *key)
{
	const char *text = js_get_text(env->step->args, key);

	return text ? text : "";
}

static bool
session(Ctx *cx, StepEnv *env, HostConn **out)
{
	return release_session(cx, env->conns, arg_text(env, "tenant"), arg_text(env, "host"), out);
}

static bool
act_words(Ctx *cx, StepEnv *env, const char *const *words)
{
	HostReply r;
	HostConn *h;

	return session(cx, env, &h) && host_act(cx, h, env, words, NULL, 0, &r);
}

/* A verb that is kept with code 0 has taken effect; any other may be said again. */
static bool
probe_verb(Ctx *cx, StepEnv *env, const char *verb, Probe *out)
{
	HostReply r = { 0 };
	bool found;
	HostConn *h;

	if (!session(cx, env, &h) || !host_stored(cx, h, env, verb, &found, &r))
		return false;
	*out = found && r.code == 0 ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

/* What the step's args say is to run there. */
static bool
read_spec(Ctx *cx, StepEnv *env, ReleaseAt *out)
{
	ReleaseAt at = { .tenant = env->at, .scope = env->step->scope };
	const Host *host;

	if (!host_find(cx, env->home, arg_text(env, "host"), &host) ||
	    !release_spec_read(cx, arg_text(env, "spec"), &at))
		return false;
	at.host = host;
	*out = at;
	return true;
}

static const ServiceAt *
service_at(const ReleaseAt *at, const char *name)
{
	for (size_t i = 0; i < at->services.n; i++)
		if (strcmp(at->services.at[i]->service, name) == 0)
			return at->services.at[i];
	return NULL;
}

static bool
read_service(Ctx *cx, StepEnv *env, ReleaseAt *at, const ServiceAt **out)
{
	if (!env->at)
		return fail(cx, FAIL_NOT_FOUND, "Provision it first.",
		    "tenant \"%s\" is not recorded", arg_text(env, "tenant"));
	if (!read_spec(cx, env, at))
		return false;
	*out = service_at(at, arg_text(env, "service"));
	return *out || fail(cx, FAIL_CATALOG, NULL, "the step names no service of its release");
}

/* --- release.begin ------------------------------------------------------------------------ */

static bool
begin_act(Ctx *cx, StepEnv *env)
{
	return act_words(cx, env, (const char *const[]){ "tenant-begin", NULL });
}

static bool
begin_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "tenant-begin", out);
}

static bool
begin_undo(Ctx *cx, StepEnv *env)
{
	return act_words(cx, env, (const char *const[]){ "tenant-clear", "unused", NULL });
}

/* --- release.unpack ----------------------------------------------------------------------- */

/* The archive under the home; made again if it is gone, from a source that has the same files
 * still. */
static bool
find_archive(Ctx *cx, StepEnv *env, const char *digest, const char **file)
{
	Artefact a;
	ReleaseAt at;

	*file = bundle_archive(cx->mem, env->home, digest);
	if (file_exists(*file))
		return true;
	if (!read_spec(cx, env, &at) || !bundle_pack(cx, env->home, at.bundle, &a))
		return false;
	return strcmp(a.digest, digest) == 0 ||
	    fail(cx, FAIL_REFUSED, "Put its files back as they were, or give it another version.",
		"bundle \"%s\" %s is no longer what was planned: its files have changed",
		at.bundle->name, at.bundle->version);
}

static bool
digest_fd(Ctx *cx, int fd, const char *file, const char **out)
{
	Sha256 *sum = sha256_begin(cx->mem);
	char *bytes = arena_alloc(cx->mem, 65536);
	ssize_t n;

	while ((n = read(fd, bytes, 65536)) != 0) {
		if (n < 0 && errno != EINTR)
			return fail_errno(cx, errno, NULL, "cannot read \"%s\"", file);
		if (n > 0)
			sha256_add(sum, bytes, (size_t)n);
	}
	*out = sha256_end_hex(sum);
	return true;
}

static bool
digest_file(Ctx *cx, const char *file, const char **out)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(cx, errno, NULL, "cannot open \"%s\"", file);
	bool ok = digest_fd(cx, fd, file, out);
	close(fd);
	return ok;
}

static bool
unpack_act(Ctx *cx, StepEnv *env)
{
	const char *digest = arg_text(env, "digest"), *file, *sum = NULL;
	HostReply r;
	HostConn *h;

	if (!find_archive(cx, env, digest, &file) || !digest_file(cx, file, &sum) ||
	    !session(cx, env, &h) || !host_put(cx, h, file, sum))
		return false;
	return host_act(cx, h, env,
	    (const char *const[]){ "release-unpack", arg_text(env, "version"), sum, digest, NULL },
	    NULL, 0, &r);
}

static bool
unpack_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "release-unpack", out);
}

/* What was put right stays; what was not there before goes. */
static bool
unpack_undo(Ctx *cx, StepEnv *env)
{
	if (js_get_bool(env->step->args, "there", false))
		return true;
	return act_words(
	    cx, env, (const char *const[]){ "release-drop", arg_text(env, "version"), NULL });
}

/* --- release.start -------------------------------------------------------------------------- */

static bool
missing_here(Ctx *cx, const HostConn *h, const char *what)
{
	const char *host = host_of(h)->name;

	if (strncmp(what, "port ", 5) == 0)
		return fail(cx, FAIL_EXISTS, "Stop it, or give the service another port.",
		    "port %s of host \"%s\" is taken by another program", what + 5, host);
	return fail(cx, FAIL_UNPREPARED,
	    arena_printf(cx->mem,
		"On the host: apt-get install -y %s. Or: copyhold host check %s --fix.", what,
		host),
	    "host \"%s\" lacks the package %s", host, what);
}

static bool
start_guard(Ctx *cx, StepEnv *env)
{
	const ServiceAt *service;
	ReleaseAt at;
	HostReply r;
	HostConn *h;
	char *line;

	if (!read_spec(cx, env, &at))
		return false;
	service = service_at(&at, arg_text(env, "service"));
	int64_t n = service ? service->port : 0;
	const char *port = n ? arena_printf(cx->mem, "%" PRId64, n) : NULL;
	if (!session(cx, env, &h) ||
	    !release_look(
		cx, h, (const char *const[]){ "look-needs", n ? "front" : "none", port, NULL }, &r))
		return false;
	const char *text = r.out;
	line = release_line(cx->mem, &text);
	return !line || missing_here(cx, h, line);
}

static void
add_int(Arena *mem, Names *words, int64_t n)
{
	vec_push(mem, words, arena_printf(mem, "%" PRId64, n));
}

static const char *const *
start_words(
    Arena *mem, const ReleaseAt *at, const BundleService *s, int64_t port, const char *digest)
{
	Names words = { 0 };

	vec_push(mem, &words, "service-start");
	vec_push(mem, &words, s->name);
	vec_push(mem, &words, at->bundle->version);
	vec_push(mem, &words, digest);
	add_int(mem, &words, s->instances);
	add_int(mem, &words, s->drain_ms < 1000 ? 1 : (s->drain_ms + 999) / 1000);
	add_int(mem, &words, port);
	vec_push(mem, &words, !port ? "none" : s->health.http ? "http" : "tcp");
	vec_push(mem, &words, s->health.http ? s->health.http : "");
	add_int(mem, &words, s->drain_ms);
	for (size_t i = 0; i < s->exec.n; i++)
		vec_push(mem, &words, s->exec.at[i]);
	vec_push(mem, &words, NULL);
	return words.at;
}

static bool
start_act(Ctx *cx, StepEnv *env)
{
	const ServiceAt *service;
	ReleaseEnv given;
	ReleaseAt at;
	HostReply r;
	HostConn *h;

	if (!read_service(cx, env, &at, &service) ||
	    !release_env(cx, env->home, &at, service, &given) || !session(cx, env, &h))
		return false;
	return host_act(cx, h, env,
	    start_words(
		cx->mem, &at, release_service(&at, service->service), service->port, given.digest),
	    given.body.text, given.body.len, &r);
}

static bool
start_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "service-start", out);
}

static bool
start_undo(Ctx *cx, StepEnv *env)
{
	return act_words(cx, env,
	    (const char *const[]){ "service-drop", arg_text(env, "service"), "next", NULL });
}

/* --- release.healthy -------------------------------------------------------------------------- */

/* One that is begun anew between two looks is not healthy, whatever it answers. */
static bool
all_healthy(const ReleaseHealths *before, const ReleaseHealths *now, int64_t instances)
{
	if ((int64_t)now->n != instances)
		return false;
	for (size_t i = 0; i < now->n; i++)
		if (strcmp(now->at[i].how, "ok") != 0 ||
		    (before && before->n == now->n && before->at[i].pid != now->at[i].pid))
			return false;
	return true;
}

static const char *
ailment(Arena *mem, const ReleaseHealths *now)
{
	for (size_t i = 0; i < now->n; i++)
		if (strcmp(now->at[i].how, "ok") != 0)
			return arena_printf(
			    mem, "instance %" PRId64 " %s", now->at[i].number, now->at[i].how);
	return "its instances do not stay up";
}

/* The service's own words may hold personal values: the error has its state alone, and says
 * where they are. */
static bool
unhealthy(Ctx *cx, const StepEnv *env, const BundleService *s, const ReleaseHealths *now)
{
	const char *tenant = arg_text(env, "tenant"), *host = arg_text(env, "host");

	return fail(cx, FAIL_UNHEALTHY,
	    arena_printf(cx->mem, "What it said: copyhold service logs %s %s --host %s --failed.",
		tenant, s->name, host),
	    "service \"%s\" of tenant \"%s\" did not become healthy on host \"%s\" in %s: %s",
	    s->name, tenant, host, clock_human(cx->mem, s->health.deadline_ms),
	    ailment(cx->mem, now));
}

static bool
healthy_act(Ctx *cx, StepEnv *env)
{
	const ServiceAt *service;
	ReleaseHealths before = { 0 }, now = { 0 };
	ReleaseAt at;
	HostConn *h;
	int good = 0;

	if (!read_service(cx, env, &at, &service) || !session(cx, env, &h))
		return false;
	const BundleService *s = release_service(&at, service->service);
	int64_t deadline = clock_mono_ms() + s->health.deadline_ms;
	for (;;) {
		if (!release_health(cx, h, s, "next", &now))
			return false;
		good = all_healthy(good ? &before : NULL, &now, s->instances) ? good + 1 : 0;
		if (good >= LOOKS_GOOD)
			return true;
		if (clock_mono_ms() >= deadline)
			return unhealthy(cx, env, s, &now);
		if (lane_stopping())
			return fail(cx, FAIL_STOPPED, NULL,
			    "stopped by a signal while service \"%s\" was not healthy yet",
			    s->name);
		before = now;
		lane_sleep(s->health.interval_ms);
	}
}

static bool
healthy_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	(void)cx;
	(void)env;
	*out = PROBE_NOT_DONE; /* it changes nothing: it is looked at again */
	return true;
}

/* --- release.switch
 * ------------------------------------------------------------------------------ */

static bool
switch_act(Ctx *cx, StepEnv *env)
{
	Names words = { 0 };
	ReleaseAt at;

	if (!read_spec(cx, env, &at))
		return false;
	vec_push(cx->mem, &words, "front-set");
	vec_push(cx->mem, &words, at.bundle->version);
	for (size_t i = 0; i < at.services.n; i++)
		vec_push(cx->mem, &words, at.services.at[i]->service);
	vec_push(cx->mem, &words, NULL);
	return act_words(cx, env, words.at);
}

static bool
switch_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "front-set", out);
}

/* --- release.retire
 * ------------------------------------------------------------------------------- */

/* Requests that came before the switch are answered yet. */
static bool
wait_drained(Ctx *cx, HostConn *h, int64_t drain_ms)
{
	int64_t deadline = clock_mono_ms() + drain_ms + DRAIN_MORE_MS;
	HostReply r;

	for (;;) {
		if (!release_look(cx, h, (const char *const[]){ "look-drain", NULL }, &r))
			return false;
		if (strcmp(r.out, "0\n") == 0 || clock_mono_ms() >= deadline)
			return true;
		if (lane_stopping())
			return fail(cx, FAIL_STOPPED, NULL,
			    "stopped by a signal while the old service was draining");
		lane_sleep(DRAIN_LOOK_MS);
	}
}

static bool
retire_act(Ctx *cx, StepEnv *env)
{
	HostConn *h;

	if (!session(cx, env, &h) || !wait_drained(cx, h, js_get_int(env->step->args, "drain", 0)))
		return false;
	return act_words(cx, env,
	    (const char *const[]){ "service-drop", arg_text(env, "service"), "old", NULL });
}

static bool
retire_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "service-drop", out);
}

/* --- release.prune, release.record
 * --------------------------------------------------------------- */

static Names
kept_versions(Arena *mem, const StepEnv *env)
{
	const Js *keep = js_get(env->step->args, "keep");
	Names out = { 0 };

	vec_push(mem, &out, arg_text(env, "version"));
	for (size_t i = 0; i < js_count(keep); i++)
		if (js_value_text(js_at(keep, i)))
			vec_push(mem, &out, js_value_text(js_at(keep, i)));
	return out;
}

static bool
prune_act(Ctx *cx, StepEnv *env)
{
	Names keep = kept_versions(cx->mem, env), words = { 0 };

	vec_push(cx->mem, &words, "release-prune");
	for (size_t i = 0; i < keep.n; i++)
		vec_push(cx->mem, &words, keep.at[i]);
	vec_push(cx->mem, &words, NULL);
	return act_words(cx, env, words.at);
}

static bool
prune_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "release-prune", out);
}

static bool
record_artefact(Ctx *cx, StepEnv *env)
{
	const Js *a = js_get(env->step->args, "artefact");
	Artefact made = { 0 };

	if (!a)
		return true;
	made = (Artefact){
		.bundle = js_get_text(a, "bundle"),
		.version = arg_text(env, "version"),
		.digest = arg_text(env, "digest"),
		.source = js_get_text(a, "source"),
		.bytes = js_get_int(a, "bytes", 0),
		.files = js_get_int(a, "files", 0),
		.at = clock_wall_ms(),
	};
	return catalog_artefact_put(cx, env->home, &made);
}

static bool
record_release(Ctx *cx, StepEnv *env)
{
	const char *wanted = js_get_text(env->step->args, "wanted");
	Names keep = kept_versions(cx->mem, env);
	ReleaseRecord r = {
		.tenant = arg_text(env, "tenant"),
		.host = arg_text(env, "host"),
		.version = arg_text(env, "version"),
		.digest = arg_text(env, "digest"),
		.spec = arg_text(env, "spec"),
		.since = clock_wall_ms(),
		.run = env->run,
		.back_run = wanted ? env->run : js_get_int(env->step->args, "backRun", 0),
		.wanted = wanted ? wanted : js_get_text(env->step->args, "stillWanted"),
	};

	return record_artefact(cx, env) && catalog_release_put(cx, env->home, &r) &&
	    catalog_release_keep(cx, env->home, r.tenant, r.host, &keep);
}

/* --- release.leave, release.stop, release.resume
 * ---------------------------------------------------- */

static const char *
leave_verb(const StepEnv *env)
{
	return js_get_bool(env->step->args, "handBack", false) ? "tenant-leave" : "tenant-clear";
}

static bool
leave_act(Ctx *cx, StepEnv *env)
{
	return act_words(cx, env, (const char *const[]){ leave_verb(env), "all", NULL });
}

static bool
leave_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, leave_verb(env), out);
}

static bool
leave_record(Ctx *cx, StepEnv *env)
{
	return catalog_release_forget(
	    cx, env->home, arg_text(env, "tenant"), arg_text(env, "host"));
}

static bool
stop_act(Ctx *cx, StepEnv *env)
{
	return act_words(cx, env, (const char *const[]){ "tenant-stop", NULL });
}

static bool
stop_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "tenant-stop", out);
}

static bool
resume_act(Ctx *cx, StepEnv *env)
{
	return act_words(cx, env, (const char *const[]){ "tenant-start", NULL });
}

static bool
resume_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "tenant-start", out);
}

const StepKind release_kinds[] = {
	{ .name = "release.begin",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = begin_act,
	    .probe = begin_probe,
	    .undo = begin_undo },
	{ .name = "release.unpack",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = unpack_act,
	    .probe = unpack_probe,
	    .undo = unpack_undo },
	{ .name = "release.start",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = start_guard,
	    .act = start_act,
	    .probe = start_probe,
	    .undo = start_undo },
	{ .name = "release.healthy",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = healthy_act,
	    .probe = healthy_probe },
	/* all or nothing there: a refused configuration leaves the one before in force */
	{ .name = "release.switch",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .staged = true,
	    .act = switch_act,
	    .probe = switch_probe },
	{ .name = "release.retire",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .act = retire_act,
	    .probe = retire_probe },
	{ .name = "release.prune",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .act = prune_act,
	    .probe = prune_probe },
	{ .name = "release.record", .undo_class = UNDO_IRREVERSIBLE, .record = record_release },
	{ .name = "release.leave",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = leave_act,
	    .probe = leave_probe,
	    .record = leave_record },
	{ .name = "release.stop",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = stop_act,
	    .probe = stop_probe,
	    .undo = resume_act },
	{ .name = "release.resume",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = resume_act,
	    .probe = resume_probe,
	    .undo = stop_act },
	{ 0 },
};

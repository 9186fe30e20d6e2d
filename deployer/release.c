/* From what ought to run on a host and what does, to changes for people and steps. */
#include "deployer/release.h"

#include <inttypes.h>
#include <string.h>

#include "deployer/bundle.h"

#define SETTINGS_DIFFER "settings or secrets differ"

/* --- items --------------------------------------------------------------------------- */

static const Item *
find(const Items *items, ReleaseItem kind, const char *object, const char *name)
{
	for (size_t i = 0; items && i < items->n; i++) {
		const Item *it = &items->at[i];
		if (it->kind == (int)kind && strcmp(it->object, object) == 0 &&
		    (!name || strcmp(it->name, name) == 0))
			return it;
	}
	return NULL;
}

static void
expect(
    Arena *mem, Items *out, ReleaseItem kind, const char *object, const char *name, const char *def)
{
	Item it = { .kind = (int)kind, .object = object, .name = name, .def = def };

	vec_push(mem, out, it);
}

static bool
has_front(const ReleaseAt *at)
{
	for (size_t i = 0; i < at->services.n; i++)
		if (at->services.at[i]->port)
			return true;
	return false;
}

static bool
expected(Ctx *cx, Home *home, const ReleaseAt *at, Items *out)
{
	const char *version = at->bundle->version, *tenant = at->tenant->tenant;

	expect(cx->mem, out, RELEASE_FILES, version, "", at->digest);
	expect(cx->mem, out, RELEASE_CURRENT, tenant, "", version);
	for (size_t i = 0; i < at->services.n; i++) {
		const BundleService *s = release_service(at, at->services.at[i]->service);
		ReleaseEnv env;
		if (!release_env(cx, home, at, at->services.at[i], &env))
			return false;
		expect(cx->mem, out, RELEASE_SERVICE, s->name, version, env.digest);
		for (int64_t n = 1; n <= s->instances; n++)
			expect(cx->mem, out, RELEASE_INSTANCE, s->name,
			    arena_printf(cx->mem, "%" PRId64, n), "running");
	}
	if (has_front(at))
		expect(cx->mem, out, RELEASE_FRONT, tenant, "", "running");
	return true;
}

/* --- changes ---------------------------------------------------------------------------- */

typedef struct Diff {
	Ctx *cx;
	const ReleaseAt *at;
	const Items *want, *seen; /* seen NULL: it was not looked at */
	Changes *changes;
	Names begin; /* services whose instances begin anew */
	Names gone;  /* services that run and ought not to */
	bool files;  /* are put there */
	bool there;  /* they were, if otherwise */
	bool front;  /* is put right */
	bool upgrade, fresh;
} Diff;

static void
tell(Diff *d, ChangeOp op, const char *what, const char *name, const char *from, const char *to,
    bool drift)
{
	Change c = { .op = op, .what = what, .name = name, .from = from, .to = to, .drift = drift };

	vec_push(d->cx->mem, d->changes, c);
}

/* What a person reads of a service's difference; NULL: none. */
static const char *
service_ails(const Diff *d, const BundleService *s)
{
	const Item *want = find(d->want, RELEASE_SERVICE, s->name, NULL),
		   *is = find(d->seen, RELEASE_SERVICE, s->name, NULL);
	size_t others = 0;

	if (!is)
		return "missing";
	if (strcmp(is->def, "edited") == 0)
		return "edited by hand";
	for (size_t i = 0; i < d->seen->n; i++)
		others += d->seen->at[i].kind == RELEASE_INSTANCE &&
		    strcmp(d->seen->at[i].object, s->name) == 0;
	for (int64_t n = 1; n <= s->instances; n++) {
		const Item *one = find(
		    d->seen, RELEASE_INSTANCE, s->name, arena_printf(d->cx->mem, "%" PRId64, n));
		if (one && strcmp(one->def, "running") != 0)
			return arena_printf(d->cx->mem, "instance %" PRId64 " %s", n, one->def);
	}
	return strcmp(is->def, want->def) != 0 || (int64_t)others != s->instances ? SETTINGS_DIFFER
										  : NULL;
}

static const ReleaseAt *
recorded(Ctx *cx, const ReleaseAt *at)
{
	ReleaseAt *was = arena_alloc(cx->mem, sizeof *was);

	return at->was && release_spec_read(cx, at->was->spec, was) ? was : NULL;
}

static bool
recorded_otherwise(Ctx *cx, const ReleaseAt *at)
{
	return !at->was || strcmp(at->was->digest, at->digest) != 0 ||
	    strcmp(at->was->spec, release_spec_json(cx->mem, at)) != 0;
}

static void
diff_services(Diff *d)
{
	bool otherwise = recorded_otherwise(d->cx, d->at);

	for (size_t i = 0; i < d->at->services.n; i++) {
		const char *name = d->at->services.at[i]->service;
		const char *ails = d->seen ? service_ails(d, release_service(d->at, name))
		    : otherwise            ? SETTINGS_DIFFER
					   : NULL;
		if (!ails && !d->upgrade &&
		    !d->files) /* new files under a running program are not its */
			continue;
		vec_push(d->cx->mem, &d->begin, name);
		if (d->fresh)
			tell(d, CHANGE_ADD, "service", name, NULL, NULL, false);
		else if (ails && !d->upgrade)
			tell(d, CHANGE_ALTER, "service", name, ails, "healthy",
			    strcmp(ails, SETTINGS_DIFFER) != 0);
	}
}

static void
diff_gone(Diff *d)
{
	const ReleaseAt *was = d->seen ? NULL : recorded(d->cx, d->at);
	Names run = { 0 };

	for (size_t i = 0; d->seen && i < d->seen->n; i++)
		if (d->seen->at[i].kind == RELEASE_SERVICE)
			vec_push(d->cx->mem, &run, d->seen->at[i].object);
	for (size_t i = 0; was && i < was->services.n; i++)
		vec_push(d->cx->mem, &run, was->services.at[i]->service);
	for (size_t i = 0; i < run.n; i++) {
		bool wanted = false;
		for (size_t k = 0; k < d->at->services.n; k++)
			wanted = wanted || strcmp(d->at->services.at[k]->service, run.at[i]) == 0;
		if (wanted)
			continue;
		vec_push(d->cx->mem, &d->gone, run.at[i]);
		tell(d, CHANGE_REMOVE, "service", run.at[i], NULL, NULL, false);
	}
}

static void
diff_files(Diff *d)
{
	const char *version = d->at->bundle->version;
	const Item *is = find(d->seen, RELEASE_FILES, version, NULL);
	const char *was = d->at->was ? d->at->was->version : NULL;

	d->upgrade = !was || strcmp(was, version) != 0;
	d->there = is != NULL || !d->upgrade;
	for (size_t i = 0; !d->seen && i < d->at->keep.n; i++)
		d->there = d->there || strcmp(d->at->keep.at[i], version) == 0;
	d->files = d->seen ? !is || strcmp(is->def, d->at->digest) != 0 : d->upgrade;
	if (d->upgrade)
		tell(d, d->fresh ? CHANGE_ADD : CHANGE_ALTER, "release", d->at->bundle->name, was,
		    version, false);
	else if (d->files)
		tell(d, CHANGE_ALTER, "files", version, is ? "edited by hand" : "missing",
		    "as packed", true);
}

static void
diff_rest(Diff *d)
{
	const char *tenant = d->at->tenant->tenant;
	const Item *want = find(d->want, RELEASE_FRONT, tenant, NULL),
		   *is = find(d->seen, RELEASE_FRONT, tenant, NULL),
		   *current = find(d->seen, RELEASE_CURRENT, tenant, NULL);

	for (size_t i = 0; d->seen && i < d->seen->n; i++)
		if (d->seen->at[i].kind == RELEASE_FOREIGN) {
			tell(d, CHANGE_REMOVE, "foreign release", d->seen->at[i].object, NULL, NULL,
			    true);
			d->changes->at[d->changes->n - 1].kept = true;
		}
	if (!d->seen || d->fresh || d->upgrade)
		return;
	d->front = !want != !is || (want && is && strcmp(want->def, is->def) != 0) || !current ||
	    strcmp(current->def, d->at->bundle->version) != 0;
	if (d->front && want)
		tell(d, CHANGE_ALTER, "front", tenant, is ? is->def : "missing", "running", true);
}

/* --- steps -------------------------------------------------------------------------------- */

static Js *
base_args(Arena *mem, const ReleaseAt *at)
{
	Js *args = js_object(mem), *keep = js_array(mem);

	js_set_text(args, "tenant", at->tenant->tenant);
	js_set_text(args, "host", at->host->name);
	js_set_text(args, "version", at->bundle->version);
	js_set_text(args, "digest", at->digest);
	js_set_text(args, "spec", release_spec_json(mem, at));
	for (size_t i = 0; i < at->keep.n; i++)
		js_push_text(keep, at->keep.at[i]);
	js_set(args, "keep", keep);
	return args;
}

static Js *
service_args(Arena *mem, const ReleaseAt *at, const char *service, int64_t drain_ms)
{
	Js *args = base_args(mem, at);

	js_set_text(args, "service", service);
	js_set_int(args, "drain", drain_ms);
	return args;
}

static void
start_steps(Arena *mem, const ReleaseAt *at, const Names *begin, Steps *steps)
{
	const char *version = at->bundle->version, *host = at->host->name;

	for (size_t i = 0; i < begin->n; i++)
		steps_add(mem, steps, at->scope, "release.start",
		    service_args(mem, at, begin->at[i], 0),
		    "start service \"%s\" %s on host \"%s\"", begin->at[i], version, host);
	for (size_t i = 0; i < begin->n; i++)
		steps_add(mem, steps, at->scope, "release.healthy",
		    service_args(mem, at, begin->at[i], 0),
		    "wait until service \"%s\" %s is healthy on host \"%s\"", begin->at[i], version,
		    host);
}

/* Of the slot that is left, its own: as it was recorded. */
static int64_t
drain_of(Ctx *cx, const ReleaseAt *at, const char *service)
{
	const ReleaseAt *was = recorded(cx, at);
	const BundleService *s = was ? release_service(was, service) : NULL;

	return s ? s->drain_ms : 0;
}

static void
retire_steps(Ctx *cx, const ReleaseAt *at, const Names *names, Steps *steps)
{
	for (size_t i = 0; at->was && i < names->n; i++)
		steps_add(cx->mem, steps, at->scope, "release.retire",
		    service_args(cx->mem, at, names->at[i], drain_of(cx, at, names->at[i])),
		    "drain and stop the old service \"%s\" on host \"%s\"", names->at[i],
		    at->host->name);
}

static bool
record_step(Ctx *cx, Home *home, const ReleaseAt *at, Steps *steps)
{
	Js *args = base_args(cx->mem, at), *a = js_object(cx->mem);
	Artefact known;
	bool found;

	if (!catalog_artefact(cx, home, at->bundle->name, at->bundle->version, &known, &found))
		return false;
	if (!found && at->artefact) {
		js_set_text(a, "bundle", at->artefact->bundle);
		js_set_text(a, "source", at->artefact->source);
		js_set_int(a, "bytes", at->artefact->bytes);
		js_set_int(a, "files", at->artefact->files);
		js_set(args, "artefact", a);
	}
	if (at->wanted)
		js_set_text(args, "wanted", at->wanted);
	else if (at->was && at->was->back_run &&
	    strcmp(at->was->version, at->bundle->version) == 0) {
		js_set_text(args, "stillWanted", at->was->wanted);
		js_set_int(args, "backRun", at->was->back_run);
	}
	steps_add(cx->mem, steps, at->scope, "release.record", args,
	    "record release %s on host \"%s\"", at->bundle->version, at->host->name);
	return true;
}

static bool
add_steps(Diff *d, Home *home, Steps *steps)
{
	const ReleaseAt *at = d->at;
	Arena *mem = d->cx->mem;
	const char *version = at->bundle->version, *host = at->host->name;

	if (d->fresh)
		steps_add(mem, steps, at->scope, "release.begin", base_args(mem, at),
		    "make user and folders of tenant \"%s\" on host \"%s\"", at->tenant->tenant,
		    host);
	if (d->files) {
		Js *args = base_args(mem, at);
		js_set_bool(args, "there", d->there);
		steps_add(mem, steps, at->scope, "release.unpack", args,
		    "unpack bundle \"%s\" %s on host \"%s\"", at->bundle->name, version, host);
	}
	start_steps(mem, at, &d->begin, steps);
	if (d->begin.n || d->gone.n || d->front)
		steps_add(mem, steps, at->scope, "release.switch", base_args(mem, at),
		    "switch host \"%s\" to release %s", host, version);
	retire_steps(d->cx, at, &d->begin, steps);
	retire_steps(d->cx, at, &d->gone, steps);
	if (at->was && d->upgrade)
		steps_add(mem, steps, at->scope, "release.prune", base_args(mem, at),
		    "remove releases of before from host \"%s\"", host);
	return record_step(d->cx, home, at, steps);
}

static bool
steps(Ctx *cx, Home *home, const ReleaseAt *at, const Items *observed, Changes *changes, Steps *out)
{
	Items want = { 0 };
	Diff d = { .cx = cx, .at = at, .want = &want, .seen = observed, .changes = changes };

	if (observed && !expected(cx, home, at, &want))
		return false;
	d.fresh = !at->was;
	diff_files(&d);
	diff_services(&d);
	diff_gone(&d);
	diff_rest(&d);
	if (!d.files && !d.begin.n && !d.gone.n && !d.front && !recorded_otherwise(cx, at))
		return true;
	return add_steps(&d, home, out);
}

static bool
restart_steps(Ctx *cx, Home *home, const ReleaseAt *at, const char *service, Steps *out)
{
	Names begin = { 0 };

	for (size_t i = 0; i < at->services.n; i++)
		if (!service || strcmp(at->services.at[i]->service, service) == 0)
			vec_push(cx->mem, &begin, at->services.at[i]->service);
	start_steps(cx->mem, at, &begin, out);
	steps_add(cx->mem, out, at->scope, "release.switch", base_args(cx->mem, at),
	    "switch host \"%s\" to the new instances", at->host->name);
	retire_steps(cx, at, &begin, out);
	return record_step(cx, home, at, out);
}

/* --- the verbs of a tenant ------------------------------------------------------------------- */

static Js *
place_args(Arena *mem, const char *tenant, const char *host)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", tenant);
	js_set_text(args, "host", host);
	return args;
}

static bool
remove_steps(Ctx *cx, const char *tenant, const char *host, bool hand_back, Steps *out)
{
	Js *args = place_args(cx->mem, tenant, host);

	js_set_bool(args, "handBack", hand_back);
	steps_add(cx->mem, out, release_scope(cx->mem, tenant, host), "release.leave", args,
	    hand_back ? "leave tenant \"%s\" running on host \"%s\""
		      : "remove everything of tenant \"%s\" from host \"%s\"",
	    tenant, host);
	return true;
}

static bool
stop_steps(Ctx *cx, const char *tenant, const char *host, Steps *out)
{
	steps_add(cx->mem, out, release_scope(cx->mem, tenant, host), "release.stop",
	    place_args(cx->mem, tenant, host), "stop the services of tenant \"%s\" on host \"%s\"",
	    tenant, host);
	return true;
}

static bool
resume_steps(Ctx *cx, const char *tenant, const char *host, Steps *out)
{
	steps_add(cx->mem, out, release_scope(cx->mem, tenant, host), "release.resume",
	    place_args(cx->mem, tenant, host), "start the services of tenant \"%s\" on host \"%s\"",
	    tenant, host);
	return true;
}

const ReleaseDriver bundle_releases = {
	.kinds = release_kinds,
	.pack = bundle_pack,
	.expected = expected,
	.observe = release_observe,
	.steps = steps,
	.restart_steps = restart_steps,
	.remove_steps = remove_steps,
	.stop_steps = stop_steps,
	.start_steps = resume_steps,
	.verify = release_verify,
};

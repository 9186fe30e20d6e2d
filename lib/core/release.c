#include "lib/core/release.h"

#include <string.h>

#include "lib/core/host.h"

static const ReleaseDriver *registered;

void
release_register(const ReleaseDriver *driver)
{
	registered = driver;
}

const ReleaseDriver *
release_driver(void)
{
	return registered;
}

char *
release_scope(Arena *mem, const char *tenant, const char *host)
{
	return arena_printf(mem, "release/%s/%s", tenant, host);
}

const BundleService *
release_service(const ReleaseAt *at, const char *name)
{
	for (size_t i = 0; i < at->bundle->services.n; i++)
		if (strcmp(at->bundle->services.at[i].name, name) == 0)
			return &at->bundle->services.at[i];
	return NULL;
}

/* --- one host's part of a tenant ------------------------------------------------------ */

/* What runs there, and what stays beside it: the newest ones, the one before in any case. */
static void
set_records(Arena *mem, const ReleaseRecords *all, ReleaseAt *at)
{
	int64_t beside = at->bundle->keep > 0 ? at->bundle->keep : 1;

	for (size_t i = 0; i < all->n; i++) {
		const ReleaseRecord *r = &all->at[i];
		if (strcmp(r->host, at->host->name) != 0)
			continue;
		if (r->current)
			at->was = r;
		if (strcmp(r->version, at->bundle->version) == 0 || (int64_t)at->keep.n >= beside)
			continue;
		vec_push(mem, &at->keep, r->version);
	}
}

static ReleaseAt *
part_of(Ctx *cx, const Placement *at, const Tenant *spec, const Bundle *bundle, const Host *host,
    ReleaseAts *out)
{
	ReleaseAt part = { .scope = release_scope(cx->mem, spec->name, host->name),
		.tenant = at,
		.spec = spec,
		.bundle = bundle,
		.host = host };

	for (size_t i = 0; i < out->n; i++)
		if (strcmp(out->at[i].host->name, host->name) == 0)
			return &out->at[i];
	vec_push(cx->mem, out, part);
	return &out->at[out->n - 1];
}

bool
release_split(Ctx *cx, Home *home, const Placement *at, const Tenant *spec, const Bundle *bundle,
    const Map *hosts, ReleaseAts *out)
{
	ReleaseRecords all;
	ReleaseAts parts = { 0 };

	if (!catalog_releases(cx, home, spec->name, &all))
		return false;
	for (size_t i = 0; i < spec->services.n; i++) {
		const ServiceAt *s = &spec->services.at[i];
		const Host *host = map_get(hosts, s->host);
		if (!host)
			return fail(cx, FAIL_NOT_FOUND, "Give its manifest along.",
			    "there is no host \"%s\"", s->host);
		ReleaseAt *part = part_of(cx, at, spec, bundle, host, &parts);
		vec_push(cx->mem, &part->services, s);
	}
	for (size_t i = 0; i < parts.n; i++)
		set_records(cx->mem, &all, &parts.at[i]);
	*out = parts;
	return true;
}

bool
release_recorded(Ctx *cx, Home *home, const Placement *at, const ReleaseRecord *r, ReleaseAt *out)
{
	ReleaseAt part = { .tenant = at, .scope = release_scope(cx->mem, r->tenant, r->host) };
	ReleaseRecords all;
	const Host *host;

	if (!host_find(cx, home, r->host, &host) || !release_spec_read(cx, r->spec, &part) ||
	    !catalog_releases(cx, home, r->tenant, &all))
		return fail_in(cx, "reading release %s of tenant \"%s\" on host \"%s\"", r->version,
		    r->tenant, r->host);
	part.host = host;
	set_records(cx->mem, &all, &part);
	*out = part;
	return true;
}

bool
release_all(Ctx *cx, Home *home, const char *tenant, ReleaseAts *out)
{
	ReleaseRecords all;
	ReleaseAts parts = { 0 };
	Placement *at;

	if (!catalog_placement(cx, home, tenant, &at) || !catalog_releases(cx, home, tenant, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		ReleaseAt part;
		if (!all.at[i].current)
			continue;
		if (!release_recorded(cx, home, at, &all.at[i], &part))
			return false;
		vec_push(cx->mem, &parts, part);
	}
	*out = parts;
	return true;
}

/* --- as JSON --------------------------------------------------------------------------- */

char *
release_spec_json(Arena *mem, const ReleaseAt *at)
{
	Arena *scratch = arena_new(mem);
	Js *o = js_object(scratch), *ports = js_object(scratch);

	js_set_text(o, "name", at->bundle->name);
	js_set_text(o, "bundle", manifest_canonical(scratch, "Bundle", at->bundle));
	js_set_text(o, "digest", at->digest);
	for (size_t i = 0; i < at->services.n; i++)
		js_set_int(ports, at->services.at[i]->service, at->services.at[i]->port);
	js_set(o, "services", ports);
	char *text = js_canonical(mem, o);
	arena_free(scratch);
	return text;
}

static bool
spec_damaged(Ctx *cx)
{
	return fail(cx, FAIL_CATALOG, "Restore the home from a backup: copyhold home restore.",
	    "what is recorded of a release is damaged");
}

bool
release_spec_read(Ctx *cx, const char *json, ReleaseAt *out)
{
	Js *o, *ports;
	void *bundle;

	if (!js_parse(cx, json, strlen(json), &o))
		return false;
	const char *name = js_get_text(o, "name"), *text = js_get_text(o, "bundle");
	ports = js_get(o, "services");
	if (!name || !text || !ports)
		return spec_damaged(cx);
	name = arena_dup(cx->mem, name);
	if (!manifest_from_json(cx, "Bundle", name, text, &bundle))
		return false;
	out->bundle = bundle;
	out->digest = arena_dup(cx->mem, js_get_text(o, "digest"));
	out->services.n = 0;
	for (size_t i = 0; js_key_at(ports, i); i++) {
		ServiceAt *s = arena_alloc(cx->mem, sizeof *s);
		s->service = arena_dup(cx->mem, js_key_at(ports, i));
		s->port = js_get_int(ports, s->service, 0);
		if (!release_service(out, s->service))
			return spec_damaged(cx);
		vec_push(cx->mem, &out->services, (const ServiceAt *)s);
	}
	return true;
}

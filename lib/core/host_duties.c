/* Which duties a host has: by what stands, or is to stand, on it. */
#include <string.h>

#include "lib/core/catalog.h"
#include "lib/core/host.h"
#include "lib/core/manifest.h"

static void
add_duty(Arena *mem, Names *out, const char *kind, const char *name)
{
	const char *duty = arena_printf(mem, "%s/%s", kind, name);

	if (!names_have(out, duty))
		vec_push(mem, out, duty);
}

static void
add_cluster(Arena *mem, const Cluster *c, const char *host, Names *out)
{
	if (c->on.host && strcmp(c->on.host, host) == 0)
		add_duty(mem, out, "cluster", c->name);
}

static void
add_tenant(Arena *mem, const Tenant *t, const char *host, Names *out)
{
	for (size_t i = 0; i < t->services.n; i++)
		if (strcmp(t->services.at[i].host, host) == 0)
			add_duty(mem, out, "tenant", t->name);
}

static bool
recorded_tenants(Ctx *cx, Home *home, const char *host, Names *out)
{
	Names names = { 0 };

	if (!catalog_object_names(cx, home, "Tenant", &names))
		return false;
	for (size_t i = 0; i < names.n; i++) {
		char *spec, *hash;
		void *tenant;
		if (!catalog_object(cx, home, "Tenant", names.at[i], &spec, &hash))
			return false;
		/* Most have no services; reading those whole would be for nothing. */
		if (!spec || !strstr(spec, "\"services\""))
			continue;
		if (!manifest_from_json(cx, "Tenant", names.at[i], spec, &tenant))
			return false;
		add_tenant(cx->mem, tenant, host, out);
	}
	return true;
}

static bool
recorded_clusters(Ctx *cx, Home *home, const char *host, Names *out)
{
	Names names = { 0 };

	if (!catalog_object_names(cx, home, "Cluster", &names))
		return false;
	for (size_t i = 0; i < names.n; i++) {
		Cluster *c;
		if (!catalog_cluster(cx, home, names.at[i], &c))
			return false;
		add_cluster(cx->mem, c, host, out);
	}
	return true;
}

static bool
add_jumps(Ctx *cx, Home *home, const char *host, Names *out)
{
	Names names = { 0 };

	if (!catalog_object_names(cx, home, "Host", &names))
		return false;
	for (size_t i = 0; i < names.n; i++) {
		const Host *h;
		if (!host_find(cx, home, names.at[i], &h))
			return false;
		if (h->jump && strcmp(h->jump, host) == 0)
			add_duty(cx->mem, out, "host", h->name);
	}
	return true;
}

bool
host_users(Ctx *cx, Home *home, const Manifests *m, const char *host, Names *out)
{
	return host_duties(cx, home, m, host, out) && add_jumps(cx, home, host, out);
}

bool
host_duties(Ctx *cx, Home *home, const Manifests *m, const char *host, Names *out)
{
	const MapItem *it;

	*out = (Names){ 0 };
	for (it = m ? map_next(m->clusters, NULL) : NULL; it; it = map_next(m->clusters, it))
		add_cluster(cx->mem, it->value, host, out);
	for (it = m ? map_next(m->tenants, NULL) : NULL; it; it = map_next(m->tenants, it))
		add_tenant(cx->mem, it->value, host, out);
	return recorded_clusters(cx, home, host, out) && recorded_tenants(cx, home, host, out);
}

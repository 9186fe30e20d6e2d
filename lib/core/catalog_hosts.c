/* Hosts, bundles and what tenants' manifests say of them, as recorded. */
#include <string.h>

#include "lib/core/catalog.h"
#include "lib/core/manifest.h"

/* FAIL_NOT_FOUND with the nearest name. */
static bool
object_of(Ctx *cx, Home *home, const char *kind, const char *word, const char *name, void **out)
{
	char *spec, *hash;
	Names known = { 0 };

	if (!catalog_object(cx, home, kind, name, &spec, &hash))
		return false;
	if (spec)
		return manifest_from_json(cx, kind, name, spec, out);
	return catalog_object_names(cx, home, kind, &known) &&
	    catalog_not_found(cx, word, name, &known);
}

bool
catalog_host(Ctx *cx, Home *home, const char *name, Host **out)
{
	void *loaded;

	if (!object_of(cx, home, "Host", "host", name, &loaded))
		return false;
	*out = loaded;
	return true;
}

bool
catalog_bundle(Ctx *cx, Home *home, const char *name, Bundle **out)
{
	void *loaded;

	if (!object_of(cx, home, "Bundle", "bundle", name, &loaded))
		return false;
	*out = loaded;
	return true;
}

bool
catalog_tenant_spec(Ctx *cx, Home *home, const char *name, Tenant **out)
{
	void *loaded;

	if (!object_of(cx, home, "Tenant", "tenant", name, &loaded))
		return false;
	*out = loaded;
	return true;
}

static bool
runs_on(const Tenant *t, const char *host)
{
	for (size_t i = 0; i < t->services.n; i++)
		if (strcmp(t->services.at[i].host, host) == 0)
			return true;
	return false;
}

/* Clusters on it, hosts reached over it, tenants with services on it: the names, for a message. */
bool
catalog_host_users(Ctx *cx, Home *home, const char *host, Names *out)
{
	static const char *const users[] = { "Cluster", "Host", "Tenant" };

	for (size_t k = 0; k < LENGTH(users); k++) {
		Names names = { 0 };
		if (!catalog_object_names(cx, home, users[k], &names))
			return false;
		for (size_t i = 0; i < names.n; i++) {
			char *spec, *hash;
			void *loaded;
			if (!catalog_object(cx, home, users[k], names.at[i], &spec, &hash))
				return false;
			if (!spec || !strstr(spec, host)) /* most are not read any further */
				continue;
			if (!manifest_from_json(cx, users[k], names.at[i], spec, &loaded))
				return false;
			const Cluster *c = loaded;
			const Host *h = loaded;
			bool uses = k == 0 ? c->on.host && strcmp(c->on.host, host) == 0
			    : k == 1       ? h->jump && strcmp(h->jump, host) == 0
					   : runs_on(loaded, host);
			if (uses)
				vec_push(cx->mem, out,
				    arena_printf(cx->mem, "%s \"%s\"", users[k], names.at[i]));
		}
	}
	return true;
}

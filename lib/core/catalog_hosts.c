/* Bundles, and what tenants' manifests say, as recorded. */
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

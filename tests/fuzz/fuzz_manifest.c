/*
 * What any file may do to the manifest loader: an error or checked structs
 * that survive the way out and back.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/core/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(Ctx *cx, const Manifests *m)
{
	for (KindId k = KIND_REGION; k < KINDS; k++) {
		const Map *map = manifest_map(m, k);

		for (const MapItem *i = map_next(map, NULL); i != NULL; i = map_next(map, i)) {
			char *text = manifest_canonical(cx->mem, kinds[k].name, i->value);
			void *back;

			if (!manifest_from_json(cx, kinds[k].name, i->key, text, &back) ||
			    strcmp(manifest_canonical(cx->mem, kinds[k].name, back), text) != 0)
				abort();
		}
	}
}

static void
tenant_shapes(Ctx *cx, const Manifests *m)
{
	for (const MapItem *i = map_next(m->tenants, NULL); i != NULL;
	     i = map_next(m->tenants, i)) {
		const Tenant *t = i->value;
		const Object **order;
		Model *merged, *back;

		if (!model_merge(cx, map_get(m->models, t->model), t, &merged) ||
		    !model_order(cx, merged, &order))
			abort();
		char *text = model_canonical(cx->mem, merged);
		if (!model_from_json(cx, text, &back) ||
		    strcmp(model_canonical(cx->mem, back), text) != 0)
			abort();
	}
}

static void
yaml_back(Ctx *cx, const Manifests *m)
{
	for (const MapItem *i = map_next(m->models, NULL); i != NULL; i = map_next(m->models, i)) {
		char *yaml = manifest_model_yaml(cx->mem, i->value);
		Manifests *again;

		if (!manifest_load_text(cx, "yaml", yaml, strlen(yaml), &again) ||
		    strcmp(manifest_canonical(cx->mem, "Model", map_get(again->models, i->key)),
			manifest_canonical(cx->mem, "Model", i->value)) != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	Manifests *m;

	if (manifest_load_text(&cx, "fuzz.yaml", (const char *)data, size, &m)) {
		round_trip(&cx, m);
		tenant_shapes(&cx, m);
		yaml_back(&cx, m);
	} else if (fail_text(cx.mem, cx.fail) == NULL || cx.fail->kind == FAIL_NONE) {
		abort();
	}
	arena_free(cx.mem);
	return 0;
}

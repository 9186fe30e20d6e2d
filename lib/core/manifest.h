/*
 * manifest.h - a file or folder of manifests becomes checked structs.
 *
 * Strict as DESIGN.md says; loading touches no network and resolves no secret.
 * Everything lives in cx->mem.
 */
#pragma once

#include "lib/adapters/map.h"
#include "lib/core/keys.h"
#include "lib/core/model.h"

typedef struct Manifests {
	Map	*regions;	/* name -> Region *, in order of files and documents */
	Map	*hosts;		/* name -> Host * */
	Map	*clusters;	/* name -> Cluster * */
	Map	*models;	/* name -> Model *, checked */
	Map	*bundles;	/* name -> Bundle * */
	Map	*tenants;	/* name -> Tenant *, merged model checked */
	char	*hash;		/* SHA-256 of all canonical specs, independent of layout, order and comments */
	int	 count;		/* of manifests */
} Manifests;

bool	 manifest_load(Ctx *cx, const char *path, Manifests **out);	/* path: file, folder, or "-" for standard input */
bool	 manifest_load_text(Ctx *cx, const char *file, const char *text, size_t n, Manifests **out);	/* none in it is fine */

#define MANIFESTS_MAX 100000	/* in one load */

/* One row a kind, in the order in which they refer to each other: Region Host Cluster Model
 * Bundle Tenant.
 * Every kind's struct begins with its name and its display name. */
typedef enum KindId { KIND_REGION, KIND_HOST, KIND_CLUSTER, KIND_MODEL, KIND_BUNDLE, KIND_TENANT, KINDS } KindId;
typedef struct Kind {
	const char	*name, *plural;		/* "Region", "regions" */
	const KeyTable	*table;			/* of its spec */
	const char	*doc;
} Kind;
extern const Kind kinds[];
extern const size_t kinds_n;
const Kind	*kind_find(const char *name);	/* NULL if unknown */
Map		*manifest_map(const Manifests *m, KindId kind);

/* The canonical spec (metadata.displayName included) of one loaded struct, and its SHA-256 in hex. */
char	*manifest_canonical(Arena *mem, const char *kind, const void *loaded);
/* Back from a canonical spec (the catalogue's record): a Region *, Host *... */
bool	 manifest_from_json(Ctx *cx, const char *kind, const char *name, const char *json, void **out);
char	*manifest_schema(Arena *mem);		/* one JSON Schema for all kinds */
void	 manifest_manual(Buf *b);		/* the reference page */
char	*manifest_model_yaml(Arena *mem, const Model *m);	/* a Model as a manifest document, for `model import` */

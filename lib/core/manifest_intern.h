/*
 * manifest_intern.h - what the files that check manifests share.
 */
#pragma once

#include "lib/core/kinds.h"

typedef struct Loaded { /* one manifest, with the nodes that know the places */
	KindId kind;
	Named *thing;
	const Node *spec;
	Place place;
} Loaded;

typedef struct Loader {
	Ctx *cx;
	Manifests *m;
	VEC(Loaded) list;
	Map *databases; /* "cluster/database" -> Loaded * */
	Map *roomy;     /* "region/mode" -> itself, where clusters take tenants */
	Map *ports;     /* "host:port" -> Loaded *: who listens there */
	size_t bytes;   /* read so far */
	bool told;      /* that it will take a moment */
} Loader;

/* The place of a key of its spec, or the manifest's own. */
Place	 manifest_place(const Loaded *item, const char *key);
char	*manifest_place_text(Arena *mem, Place p);
/* FAIL_MANIFEST: `key` names a manifest that is not there; always false. */
bool	 manifest_dangling(Loader *l, const Loaded *item, const char *key, KindId kind, const char *name);
/* The same of a name that stands deeper: `word` "host" at a place. */
bool	 manifest_dangling_at(Loader *l, const Loaded *item, Place place, const char *word, KindId kind,
	    const char *name);

bool	 manifest_check_host(Loader *l, const Loaded *item);
bool	 manifest_check_on(Loader *l, const Loaded *item, Cluster *c);	/* a cluster on a host; fills in `connect` */
bool	 manifest_check_bundle(Loader *l, const Loaded *item);
bool	 manifest_check_services(Loader *l, const Loaded *item, const Tenant *t);	/* after its cluster was checked */

/*
 * release.h - a tenant's services on one host: what deployer implements and plans, runs and commands use.
 *
 * Each (tenant, host) is a scope of its own, "release/acme/h1", with its own
 * outcome: hosts fail apart.  Scopes of one tenant go in waves, the canaries
 * first, until its budget of failed or unreachable hosts is spent; what was
 * not begun waits for `run resume`.
 */
#pragma once

#include "lib/core/catalog.h"
#include "lib/core/manifest.h"

typedef struct Artefact {	/* a bundle's files as they were packed */
	const char	*bundle, *version;
	const char	*digest;	/* of the files, hex */
	const char	*source;	/* for people */
	int64_t		 bytes, files, at;
} Artefact;

/* One release that stands on a host: the one that runs, or one that is kept. */
typedef struct ReleaseRecord {
	const char	*tenant, *host;
	const char	*version, *digest;
	const char	*spec;		/* release_spec_json(): what is run of it, and where it is reached */
	bool		 current;
	int64_t		 since, run;
	int64_t		 back_run;	/* a run of `bundle rollback` that chose it; 0: none */
	const char	*wanted;	/* the manifest's version at that time, or NULL */
} ReleaseRecord;
typedef struct ReleaseRecords { ReleaseRecord *at; size_t n, cap; } ReleaseRecords;

typedef struct ReleaseAt {
	const char		*scope;		/* "release/acme/h1" */
	const Placement		*tenant;
	const Tenant		*spec;		/* as the manifests have it, or as recorded; of a step NULL */
	const Bundle		*bundle;
	const char		*digest;	/* of its artefact; NULL: not packed yet */
	const Host		*host;
	struct { const ServiceAt **at; size_t n, cap; } services;	/* of the bundle, on this host */
	const ReleaseRecord	*was;		/* what runs there as recorded, or NULL */
	struct { const char **at; size_t n, cap; } keep;	/* versions that stay there beside it */
	const Artefact		*artefact;	/* as it was packed for this plan, or NULL */
	const char		*wanted;	/* `bundle rollback`: the manifest's version, which it goes back from; else NULL */
} ReleaseAt;
typedef struct ReleaseAts { ReleaseAt *at; size_t n, cap; } ReleaseAts;

typedef struct ReleaseDriver {
	const StepKind	*kinds;		/* ends at name NULL */
	/* the bundle's artefact, packed or found packed under the home: the digest of what is in it */
	bool		(*pack)(Ctx *cx, Home *home, const Bundle *bundle, Artefact *out);
	/* items that ought to be there, and items that are: `steps` takes their difference */
	bool		(*expected)(Ctx *cx, Home *home, const ReleaseAt *at, Items *out);
	bool		(*observe)(Ctx *cx, Conns *conns, const ReleaseAt *at, Items *out);
	/* observed NULL: a host that has none of it yet, or one that was not looked at */
	bool		(*steps)(Ctx *cx, Home *home, const ReleaseAt *at, const Items *observed, Changes *changes, Steps *steps);
	/* the services begin anew, one beside the other, as they are; service NULL: all */
	bool		(*restart_steps)(Ctx *cx, Home *home, const ReleaseAt *at, const char *service, Steps *steps);
	/* everything of the tenant's on that host; hand_back: left running, only ours is forgotten */
	bool		(*remove_steps)(Ctx *cx, const char *tenant, const char *host, bool hand_back, Steps *steps);
	bool		(*stop_steps)(Ctx *cx, const char *tenant, const char *host, Steps *steps);	/* suspend */
	bool		(*start_steps)(Ctx *cx, const char *tenant, const char *host, Steps *steps);	/* resume */
	bool		(*verify)(Ctx *cx, Conns *conns, const ReleaseAt *at, Attempts *out);
} ReleaseDriver;

const ReleaseDriver *release_driver(void);
void	 release_register(const ReleaseDriver *driver);		/* by main */

/* --- one tenant's hosts -------------------------------------------------------------- */

char	*release_scope(Arena *mem, const char *tenant, const char *host);
/* One ReleaseAt a host that its services stand on, in their order.  hosts: name -> Host *. */
bool	 release_split(Ctx *cx, Home *home, const Placement *at, const Tenant *spec, const Bundle *bundle,
	    const Map *hosts, ReleaseAts *out);
/* All (tenant, host) of a tenant with something recorded there: as it was recorded. */
bool	 release_all(Ctx *cx, Home *home, const char *tenant, ReleaseAts *out);
/* The same from one record; FAIL_NOT_FOUND where the host is not recorded any more. */
bool	 release_recorded(Ctx *cx, Home *home, const Placement *at, const ReleaseRecord *r, ReleaseAt *out);
/* Bundle, digest and ports as one JSON text without any secret; and back. */
char	*release_spec_json(Arena *mem, const ReleaseAt *at);
bool	 release_spec_read(Ctx *cx, const char *json, ReleaseAt *out);
const BundleService *release_service(const ReleaseAt *at, const char *name);	/* of its bundle; NULL if there is none */

/* --- rows (catalog_release.c) ---------------------------------------------------------- */

bool	 catalog_artefact(Ctx *cx, Home *home, const char *bundle, const char *version, Artefact *out, bool *found);
bool	 catalog_artefact_put(Ctx *cx, Home *home, const Artefact *a);
bool	 catalog_releases(Ctx *cx, Home *home, const char *tenant, ReleaseRecords *out);	/* by host, the current one first, then the newest; NULL: of all */
bool	 catalog_release_put(Ctx *cx, Home *home, const ReleaseRecord *r);	/* becomes the host's current one */
bool	 catalog_release_keep(Ctx *cx, Home *home, const char *tenant, const char *host, const Names *versions);	/* others but the current one are forgotten */
bool	 catalog_release_forget(Ctx *cx, Home *home, const char *tenant, const char *host);

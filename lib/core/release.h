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

typedef struct ReleaseAt {
	const char		*scope;		/* "release/acme/h1" */
	const Placement		*tenant;
	const Tenant		*spec;
	const Bundle		*bundle;
	const Host		*host;
	struct { const ServiceAt **at; size_t n, cap; } services;	/* of spec, on this host */
} ReleaseAt;

typedef struct ReleaseDriver {
	const StepKind	*kinds;		/* ends at name NULL */
	/* the bundle's artefact, packed or found packed under the home: its SHA-256 */
	bool		(*pack)(Ctx *cx, Home *home, const Bundle *bundle, const char **digest);
	bool		(*expected)(Ctx *cx, Home *home, const ReleaseAt *at, Items *out);
	bool		(*observe)(Ctx *cx, Conns *conns, const ReleaseAt *at, Items *out);
	/* observed NULL: a host that has none of it yet, or one that could not be looked at */
	bool		(*steps)(Ctx *cx, Home *home, const ReleaseAt *at, const Items *observed, Changes *changes, Steps *steps);
	/* everything of the tenant's on that host; hand_back: left running, only ours is forgotten */
	bool		(*remove_steps)(Ctx *cx, const char *tenant, const char *host, bool hand_back, Steps *steps);
	bool		(*stop_steps)(Ctx *cx, const char *tenant, const char *host, Steps *steps);	/* suspend */
	bool		(*start_steps)(Ctx *cx, const char *tenant, const char *host, Steps *steps);	/* resume */
	bool		(*verify)(Ctx *cx, Conns *conns, const ReleaseAt *at, Attempts *out);
} ReleaseDriver;

const ReleaseDriver *release_driver(void);
void	 release_register(const ReleaseDriver *driver);		/* by main */

/* All (tenant, host) of a tenant, as its recorded manifests have it. */
typedef struct ReleaseAts { ReleaseAt *at; size_t n, cap; } ReleaseAts;
bool	 release_all(Ctx *cx, Home *home, const char *tenant, ReleaseAts *out);

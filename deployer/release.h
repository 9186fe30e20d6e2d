/*
 * release.h - what runs for a tenant on a host: items, steps, environment (lib/core/release.h is the contract).
 *
 * A service's instances live in one of two slots.  A new slot starts beside
 * the old one and must be healthy before the front is switched to it; only
 * then the old one drains and ends.  Where a slot is, which ports it has, the
 * host knows (deployer/helper/service.sh).
 */
#pragma once

#include "lib/core/host.h"
#include "lib/core/release.h"

typedef enum ReleaseItem {	/* kinds of items, in order of creation */
	RELEASE_FILES,		/* object: version; def: digest of the files, or "edited" */
	RELEASE_CURRENT,	/* object: tenant; def: version */
	RELEASE_SERVICE,	/* object: service; def: digest of how it is run, or "edited" */
	RELEASE_INSTANCE,	/* object: service; name: its number; def: "running", "stopped", "lost its port" */
	RELEASE_FRONT,		/* object: tenant; def: "running", "stopped", "lost its port", "edited" */
	RELEASE_STOPPED,	/* object: tenant: stopped by us */
	RELEASE_FOREIGN		/* object: a name in the folder of releases that is not ours */
} ReleaseItem;

bool	 release_session(Ctx *cx, Conns *conns, const char *tenant, const char *host, HostConn **out);
/* A look whose code must be 0. */
bool	 release_look(Ctx *cx, HostConn *h, const char *const *words, HostReply *out);
/* What the helper tells of the tenant there, with the session that was asked. */
bool	 release_look_all(Ctx *cx, Conns *conns, const ReleaseAt *at, HostConn **h, HostReply *out);
/* The next line of a reply; NULL at the end. */
char	*release_line(Arena *mem, const char **at);
bool	 release_observe(Ctx *cx, Conns *conns, const ReleaseAt *at, Items *out);
bool	 release_verify(Ctx *cx, Conns *conns, const ReleaseAt *at, Attempts *out);

/* --- release_env.c: what a service is given --------------------------------------------- */

typedef struct ReleaseEnv {
	Secret		 body;		/* for the helper: a line a part, its name and base64 */
	const char	*digest;	/* keyed, of these and of how the service is run */
} ReleaseEnv;
bool	 release_env(Ctx *cx, Home *home, const ReleaseAt *at, const ServiceAt *service, ReleaseEnv *out);

/* --- release_run.c: steps -------------------------------------------------------------------- */

extern const StepKind release_kinds[];
typedef struct ReleaseHealth {	/* of one instance */
	int64_t		 number, pid;
	const char	*how;		/* "ok", "answered 503"... */
} ReleaseHealth;
typedef struct ReleaseHealths { ReleaseHealth *at; size_t n, cap; } ReleaseHealths;
/* In a slot: "live" or "next". */
bool	 release_health(Ctx *cx, HostConn *h, const BundleService *s, const char *slot, ReleaseHealths *out);

extern const ReleaseDriver bundle_releases;	/* release.c */

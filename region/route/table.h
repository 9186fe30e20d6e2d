/*
 * table.h - the routes as a gateway's workers see them: an immutable snapshot that
 * all of them map, and in each a small overlay of what has changed since.
 *
 * The master makes the snapshot from the catalogue and hands it out as a sealed
 * memory file; nobody else may change it, nothing in it is secret (no
 * verifier, no password).  Its head has a format number: another one is refused.
 * Offsets in it are checked when it is opened and again where they are used.
 * A change touches one tenant's entry; an overlay entry hides the snapshot's.
 * Negative answers are not kept anywhere.
 */
#pragma once

#include "lib/core/catalog.h"

typedef enum RouteState { ROUTE_NONE, ROUTE_OPEN, ROUTE_PARKED, ROUTE_OFF } RouteState;
typedef enum PoolMode { POOL_SESSION, POOL_TRANSACTION } PoolMode;

#define ROUTE_TENANT	48	/* bytes of a tenant's or cluster's name (40 at most), with its NUL */
#define ROUTE_NAME	64
#define ROUTE_CLUSTERS	4096	/* their numbers are below it; a route to another one is off */
#define ROUTE_LOGINS	GATE_LOGINS	/* of one tenant; more are refused when they are made */

typedef struct RouteLogin {
	char		 user[ROUTE_NAME];	/* the client's name for it */
	char		 role[ROUTE_NAME];	/* on the server */
	bool		 on;
	int64_t		 valid_until;		/* wall ms; 0: for ever */
	int32_t		 max_conns;		/* clients; 0: no limit of its own */
} RouteLogin;

typedef struct Route {			/* a copy: valid as long as you like, but for what a change makes old */
	char		 tenant[ROUTE_TENANT];
	uint32_t	 id;		/* small, stable while a master lives: index of shared counters */
	int64_t		 epoch, seq;
	RouteState	 state;
	int64_t		 parked_until;	/* ROUTE_PARKED: wall ms; past it the route counts as open again */
	bool		 suspended;	/* ROUTE_OFF because the tenant is suspended */
	PoolMode	 pool;
	bool		 guarded;	/* refuses what a bare server cannot bound */
	int32_t		 cap;		/* server connections of the tenant; 0: the gateway's default */
	uint32_t	 cluster;	/* id */
	char		 dbname[ROUTE_NAME];
	int32_t		 logins;
} Route;

typedef struct RouteCluster {		/* where to connect; few, so they are whole records */
	uint32_t	 id;
	const char	*name, *host;
	int		 port;
	const char	*sslmode;	/* disable prefer require verify-ca verify-full */
	const char	*ca, *cert, *key;	/* PEM text, NULL: none; read by the master */
	bool		 broken;	/* a file that its TLS needs cannot be read */
	int32_t		 cap;		/* server connections over all tenants; 0: no limit */
	int64_t		 seq;
} RouteCluster;

/* --- the master: from the catalogue -------------------------------------------------- */

/* All routes at one moment, as a sealed memory file; *seq: of the last change in it. */
bool	 route_snapshot(Ctx *cx, Home *home, int *fd, int64_t *seq);
/* What has changed after `since`: one encoded entry a tenant (the newest), to be given to
 * route_table_change() of each worker. */
typedef struct RouteDelta { int64_t seq; const void *bytes; size_t n; } RouteDelta;
typedef struct RouteDeltas {
	RouteDelta	*at;
	size_t		 n, cap;
	int64_t		 seq;		/* of the last change; the last entry has it, if it is one of no tenant */
	bool		 clusters;	/* some cluster's record changed: send those first */
	bool		 many;		/* more than ROUTE_OVERLAY: none is encoded, make a snapshot */
} RouteDeltas;
#define ROUTE_OVERLAY	4096	/* entries, or a tenth of the routes: then a new snapshot is due */
bool	 route_changes(Ctx *cx, Home *home, int64_t since, RouteDeltas *out);
bool	 route_clusters(Ctx *cx, Home *home, RouteCluster **out, size_t *n);	/* PEM files read; an unreadable one is
									 * said in the log, and nobody connects there */

/* --- a worker ----------------------------------------------------------------------------- */

typedef struct RouteTable RouteTable;
bool	 route_table_open(Ctx *cx, int fd, RouteTable **out);	/* maps it; takes the descriptor; checks everything */
bool	 route_table_snapshot(Ctx *cx, RouteTable *t, int fd);	/* a newer one: overlay entries that it has are dropped */
/* tenant: whose it is; "" for one that only moves the seq on. */
bool	 route_table_change(Ctx *cx, RouteTable *t, const void *bytes, size_t n, char tenant[ROUTE_TENANT]);
int64_t	 route_table_seq(const RouteTable *t);			/* of the last change in it */
size_t	 route_table_overlay(const RouteTable *t);		/* entries */
size_t	 route_table_count(const RouteTable *t);
static inline bool route_cluster(uint32_t id) { return id > 0 && id < ROUTE_CLUSTERS; }
bool	 route_find(const RouteTable *t, const char *tenant, Route *out);
bool	 route_login(const RouteTable *t, const char *tenant, const char *user, RouteLogin *out);
bool	 route_at(const RouteTable *t, size_t i, Route *out);	/* for lists: i in 0..count; false: none there any more */

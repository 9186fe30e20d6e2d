/*
 * catalog.h - named reads and writes of the records.
 *
 * Everything read is copied into cx->mem.  Writes belong in a transaction that
 * the caller opened (lite_begin), together with the journal row and the event
 * that tell of them.
 */
#pragma once

#include "lib/adapters/map.h"
#include "lib/core/event.h"
#include "lib/core/home.h"
#include "lib/core/place.h"

typedef enum TenantState {
	TENANT_NONE, TENANT_PROVISIONING, TENANT_ACTIVE, TENANT_SUSPENDED, TENANT_SEALED, TENANT_PURGING
} TenantState;
const char	*tenant_state_name(TenantState s);
const char	*layout_name(Layout l);		/* "tables" (LAYOUT_PLAIN), "wide", "views" */
Layout		 layout_of(const char *name);	/* LAYOUT_VIEWS, else LAYOUT_PLAIN */

typedef struct TenantRecord {
	const char	*name, *id, *display;
	TenantState	 state;
	Mode		 mode;
	const char	*cluster, *dbname, *owner;
	const char	*model;
	int64_t		 model_version;
	const char	*shape;		/* hash of the applied effective model; "" before */
	const char	*spec_hash;	/* hash of the applied Tenant spec */
	int64_t		 purge_after;	/* wall ms; 0: not sealed */
	int64_t		 changed_run;	/* the run that last touched it */
	const char	*shared;	/* mode shared: name of the shared database, else NULL */
	Layout		 layout;	/* mode shared: LAYOUT_VIEWS, or LAYOUT_PLAIN for tables of its own */
	bool		 own_views;	/* LAYOUT_VIEWS: it has views of its own; else the common ones alone */
} TenantRecord;
typedef struct TenantRecords { TenantRecord *at; size_t n, cap; } TenantRecords;

typedef struct SharedRecord {	/* a shared database: the tenants of one model on one cluster */
	const char	*name, *id;	/* "bj-1/crm" */
	const char	*cluster, *model;
	bool		 active;	/* false: still being made */
	const char	*wide;		/* hash of the wide model as applied; "" before */
	const char	*common;	/* hash of the model behind the common views; "" before */
	int64_t		 version;	/* of that model */
	int64_t		 changed_run;
	int64_t		 tenants;	/* recorded on it; catalog_shared_find() does not count them */
} SharedRecord;
typedef struct SharedRecords { SharedRecord *at; size_t n, cap; } SharedRecords;

typedef struct RouteRecord {
	const char	*tenant;
	int64_t		 epoch, seq;
	const char	*state;		/* open park off; a park whose time is over reads as open */
	const char	*cluster, *dbname;
	int64_t		 parked_until;	/* wall ms; 0: not parked */
} RouteRecord;
typedef struct RouteRecords { RouteRecord *at; size_t n, cap; } RouteRecords;

extern const Sql *const catalog_migrations[];
extern const int catalog_migrations_n;

/* objects: one row a manifest, kind + name */
bool	 catalog_object(Ctx *cx, Home *home, const char *kind, const char *name, char **spec, char **hash);	/* NULLs if none */
bool	 catalog_object_names(Ctx *cx, Home *home, const char *kind, Names *out);
bool	 catalog_object_hashes(Ctx *cx, Home *home, const char *kind, Map *name_to_hash);
bool	 catalog_object_put(Ctx *cx, Home *home, const char *kind, const char *name, const char *spec, const char *hash);
bool	 catalog_object_remove(Ctx *cx, Home *home, const char *kind, const char *name);
bool	 catalog_cluster(Ctx *cx, Home *home, const char *name, Cluster **out);		/* FAIL_NOT_FOUND with nearest; so are these */
bool	 catalog_bundle(Ctx *cx, Home *home, const char *name, Bundle **out);
bool	 catalog_tenant_spec(Ctx *cx, Home *home, const char *name, Tenant **out);	/* as its manifest said last */

bool	 catalog_not_found(Ctx *cx, const char *kind, const char *name, const Names *known);	/* always false */

bool	 catalog_shape_put(Ctx *cx, Home *home, const Model *m, char **hash);
bool	 catalog_shape(Ctx *cx, Home *home, const char *hash, Model **out);

bool	 catalog_tenant(Ctx *cx, Home *home, const char *name, TenantRecord *out);	/* FAIL_NOT_FOUND with nearest */
bool	 catalog_tenant_find(Ctx *cx, Home *home, const char *name, TenantRecord *out, bool *found);
bool	 catalog_tenants(Ctx *cx, Home *home, TenantRecords *out);			/* by name */
bool	 catalog_tenant_put(Ctx *cx, Home *home, const TenantRecord *t);
bool	 catalog_tenant_state(Ctx *cx, Home *home, const char *name, TenantState state, int64_t purge_after);
bool	 catalog_tenant_touch(Ctx *cx, Home *home, const char *name, int64_t run);
bool	 catalog_tenant_forget(Ctx *cx, Home *home, const char *name);			/* its logins and route too */
bool	 catalog_tenants_on(Ctx *cx, Home *home, const char *cluster, int64_t *n);
/* On a customer's server names come from manifests: a tenant is never given the database or the
 * login role of another one, its own owner or our login there (`cluster`, if known).  Else FAIL_EXISTS. */
bool	 catalog_place_free(Ctx *cx, Home *home, const TenantRecord *t, const Cluster *cluster,
	    const char *user, const char *role);

bool	 catalog_shared(Ctx *cx, Home *home, const char *name, SharedRecord *out);	/* FAIL_NOT_FOUND with nearest */
bool	 catalog_shared_find(Ctx *cx, Home *home, const char *name, SharedRecord *out, bool *found);
bool	 catalog_shareds(Ctx *cx, Home *home, SharedRecords *out);			/* by name */
bool	 catalog_shared_put(Ctx *cx, Home *home, const SharedRecord *s);
bool	 catalog_shared_touch(Ctx *cx, Home *home, const char *name, int64_t run);
bool	 catalog_shared_forget(Ctx *cx, Home *home, const char *name);
bool	 catalog_shared_place(Ctx *cx, Home *home, const SharedRecord *s, Shared **out);
bool	 catalog_shared_of(Ctx *cx, Home *home, const char *name, const Cluster *cluster, const Shared **out);
/* Tenants on the common views whose effective model is the common one of hash `from` are of `to` now;
 * *followed: their names. */
bool	 catalog_shared_follow(Ctx *cx, Home *home, const char *shared, const char *from, const char *to,
	    int64_t version, Names *followed);
bool	 catalog_slots(Ctx *cx, Home *home, const char *tenant, Slots *out);
bool	 catalog_slots_put(Ctx *cx, Home *home, const char *tenant, const Slots *slots);	/* in place of what was there */

bool	 catalog_placement(Ctx *cx, Home *home, const char *tenant, Placement **out);	/* with logins and cluster */

bool	 catalog_placement_of(Ctx *cx, Home *home, const TenantRecord *t, Placement **out);

/* logins: the password is sealed here; the verifier is not a secret to us but is never printed.  A new
 * login is given a password for the gateway, too; one that is there keeps that and its limits. */
bool	 catalog_login_put(Ctx *cx, Home *home, const char *tenant, const Login *login, const Secret *password);
bool	 catalog_login_on(Ctx *cx, Home *home, const char *tenant, const char *user, bool on);
bool	 catalog_login_limit(Ctx *cx, Home *home, const char *tenant, const char *user, int64_t valid_until,
	    int64_t max_conns);	/* 0: none */
bool	 catalog_login_remove(Ctx *cx, Home *home, const char *tenant, const char *user);
bool	 catalog_login_password(Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out);

/* What an application logs in with at a gateway; the login's own password is the role's on the server.
 * A login of before has none: the role's counts (`own` false). */
typedef struct LoginClient {
	const char	*verifier;	/* for clients */
	const char	*role_verifier;	/* what the server stores: by its salt an asked one is known */
	bool		 own;
	int64_t		 valid_until, max_conns;	/* 0: none */
} LoginClient;
typedef struct ClientPassword { const char *verifier; Secret password; } ClientPassword;	/* verifier NULL: none */
ClientPassword catalog_client_draw(Arena *mem);
bool	 catalog_login_put_as(Ctx *cx, Home *home, const char *tenant, const Login *login,
	    const Secret *password, const ClientPassword *client);
bool	 catalog_client_put(Ctx *cx, Home *home, const char *tenant, const char *user, const ClientPassword *client);
bool	 catalog_client(Ctx *cx, Home *home, const char *tenant, const char *user, LoginClient *out, bool *found);
bool	 catalog_client_password(Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out, bool *own);

/* secrets of the store (secretRef "store:NAME"), sealed under the master key */
bool	 catalog_secret_put(Ctx *cx, Home *home, const char *name, const Secret *value);
bool	 catalog_secret_get(Ctx *cx, Home *home, const char *name, Secret *out, bool *found);
bool	 catalog_secret_names(Ctx *cx, Home *home, Names *out);
bool	 catalog_secret_remove(Ctx *cx, Home *home, const char *name);

bool	 catalog_route(Ctx *cx, Home *home, const char *tenant, RouteRecord *out, bool *found);
bool	 catalog_routes(Ctx *cx, Home *home, RouteRecords *out);
/* A new epoch: one more than before and never below the fence of the run, so that a home restored
 * above the targets' fences is above every epoch given out, too. */
bool	 catalog_route_set(Ctx *cx, Home *home, const char *tenant, int64_t fence, const char *state,
	    const char *cluster, const char *dbname);
bool	 catalog_route_park(Ctx *cx, Home *home, const char *tenant, int64_t until_ms, bool *parked);	/* false: not open */
bool	 catalog_route_release(Ctx *cx, Home *home, const char *tenant, bool *was_parked);
bool	 catalog_raise_floors(Ctx *cx, Home *home, int64_t seen);	/* fences and epochs start above `seen` */
bool	 catalog_fence_highest(Ctx *cx, Home *home, int64_t *out);	/* that was ever given out here */


bool	 catalog_meta(Ctx *cx, Home *home, const char *key, char **value);
bool	 catalog_meta_int(Ctx *cx, Home *home, const char *key, int64_t *value);	/* 0 if none */
bool	 catalog_serial(Ctx *cx, Home *home, int64_t *serial);	/* grows with every recorded change */
bool	 catalog_serial_bump(Ctx *cx, Home *home);

/* --- what gateways read (catalog_gateway.c) ------------------------------------------ */

/*
 * A change of a route, a login, a tenant's settings for the gateway or a cluster
 * adds a row to route_log by a trigger, whoever writes it; a cluster's change is
 * told under "@NAME".  The newest row of each is kept.
 */
typedef struct GateRoute {
	const char	*tenant;
	int64_t		 number;	/* small, its own as long as it has a route */
	int64_t		 epoch, seq;
	const char	*state;		/* open park off */
	int64_t		 parked_until;
	int64_t		 cluster;	/* number; 0: unknown */
	const char	*dbname;
	bool		 suspended;
	bool		 transaction;	/* pool mode; else session */
	bool		 guarded;
	int64_t		 cap;
} GateRoute;
#define GATE_LOGINS	1024	/* of one tenant */
typedef struct GateLogin {
	const char	*tenant, *user, *role;
	bool		 on;
	int64_t		 valid_until, max_conns;
} GateLogin;
typedef struct GateChange { int64_t seq; const char *name; } GateChange;	/* a tenant, or "@CLUSTER" */
typedef struct GateFigures { int64_t routes, highest; } GateFigures;	/* how many, and the highest number of one */
typedef struct GateCluster { int64_t number, seq; const char *name; } GateCluster;

typedef struct GateRoutes { GateRoute *at; size_t n, cap; } GateRoutes;
typedef struct GateLogins { GateLogin *at; size_t n, cap; } GateLogins;
typedef struct GateChanges { GateChange *at; size_t n, cap; } GateChanges;
typedef struct GateClusters { GateCluster *at; size_t n, cap; } GateClusters;

/* tenant NULL: all, by tenant and user.  Several calls see one moment between lite_begin_read() and
 * lite_rollback(). */
bool	 catalog_gate_seq(Ctx *cx, Home *home, int64_t *seq);	/* of the last change */
bool	 catalog_gate_figures(Ctx *cx, Home *home, GateFigures *out);
bool	 catalog_gate_routes(Ctx *cx, Home *home, const char *tenant, GateRoutes *out);
bool	 catalog_gate_logins(Ctx *cx, Home *home, const char *tenant, GateLogins *out);
bool	 catalog_gate_changes(Ctx *cx, Home *home, int64_t since, GateChanges *out);	/* in order */
bool	 catalog_gate_clusters(Ctx *cx, Home *home, GateClusters *out);

/* What a tenant's spec says for gateways goes into its record; catalog_object_put() does it. */
bool	 catalog_gateway_spec(Ctx *cx, Home *home, const char *tenant, const char *spec);

typedef struct GatewayRecord {
	const char	*id;		/* its sockets are run/gateway/ID.sock and ID.ring of the home */
	int64_t		 pid;
	const char	*address;	/* HOST:PORT, or the folder of a unix socket and its port: "/run/x:6432"; "": it takes
					 * no more clients */
	bool		 tls;
	const char	*ca;		/* file by which clients check its certificate, or NULL */
	int64_t		 since, lease_until;
} GatewayRecord;
typedef struct GatewayRecords { GatewayRecord *at; size_t n, cap; } GatewayRecords;
bool	 catalog_gateway_put(Ctx *cx, Home *home, const GatewayRecord *g);
bool	 catalog_gateway_renew(Ctx *cx, Home *home, const char *id, int64_t lease_until, bool *there);
bool	 catalog_gateway_hide(Ctx *cx, Home *home, const char *id);	/* its address is nobody's to know any more */
bool	 catalog_gateway_remove(Ctx *cx, Home *home, const char *id);
bool	 catalog_gateways(Ctx *cx, Home *home, GatewayRecords *out);	/* whose lease stands, the oldest first */

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
	const char	*state;		/* open park off */
	const char	*cluster, *dbname;
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
bool	 catalog_cluster(Ctx *cx, Home *home, const char *name, Cluster **out);		/* FAIL_NOT_FOUND with nearest */

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

/* logins: the password is sealed here; the verifier is not a secret to us but is never printed */
bool	 catalog_login_put(Ctx *cx, Home *home, const char *tenant, const Login *login, const Secret *password);
bool	 catalog_login_on(Ctx *cx, Home *home, const char *tenant, const char *user, bool on);
bool	 catalog_login_remove(Ctx *cx, Home *home, const char *tenant, const char *user);
bool	 catalog_login_password(Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out);

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
bool	 catalog_raise_floors(Ctx *cx, Home *home, int64_t seen);	/* fences and epochs start above `seen` */
bool	 catalog_fence_highest(Ctx *cx, Home *home, int64_t *out);	/* that was ever given out here */


bool	 catalog_meta(Ctx *cx, Home *home, const char *key, char **value);
bool	 catalog_meta_int(Ctx *cx, Home *home, const char *key, int64_t *value);	/* 0 if none */
bool	 catalog_serial(Ctx *cx, Home *home, int64_t *serial);	/* grows with every recorded change */
bool	 catalog_serial_bump(Ctx *cx, Home *home);

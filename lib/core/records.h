/*
 * records.h - the catalogue's own steps: no server is touched, the record is
 * the effect.  object.put, object.remove, tenant.register, tenant.record,
 * tenant.state, tenant.forget, shared.register, shared.record, shared.forget.
 */
#pragma once

#include "lib/core/plan.h"

extern const StepKind records_kinds[];

bool	 records_object_put(Ctx *cx, Home *home, const char *scope, const char *kind, const char *name,
	    const char *spec, const char *hash, Steps *steps);
void	 records_object_remove(Arena *mem, const char *scope, const char *kind, const char *name,
	    const char *spec, Steps *steps);
typedef struct RecordAs {	/* what a tenant is recorded as */
	const Model	*model;		/* its effective model, and the hash of that */
	const char	*shape;
	Layout		 layout;	/* these three: mode shared */
	bool		 own_views;
	Slots		 slots;
} RecordAs;
void	 records_tenant_register(Arena *mem, const Tenant *spec, const Placement *at, const RecordAs *as,
	    Steps *steps);
/* A tenant of the common views is recorded with the model that its shared database has then. */
bool	 records_tenant_record(Ctx *cx, Home *home, const Tenant *spec, const Placement *at,
	    const TenantRecord *was, const RecordAs *as, Steps *steps);	/* was NULL: a new tenant */
void	 records_tenant_state(Arena *mem, const TenantRecord *t, TenantState state, int64_t keep_ms,
	    Steps *steps);	/* keep_ms: the retention of a tenant that is sealed */
void	 records_tenant_forget(Arena *mem, const TenantRecord *t, Steps *steps);

/* What gateways hold a login to, in place of what they do now. */
void	 records_login_limit(Arena *mem, const Placement *at, const Login *was, const Login *to, Steps *steps);

/* A shared database: `to` as it is afterwards, its tenants on the common views follow. */
void	 records_shared_register(Arena *mem, const Shared *s, Steps *steps);
void	 records_shared_record(Arena *mem, const SharedRecord *was, const SharedRecord *to, Steps *steps);
void	 records_shared_forget(Arena *mem, const SharedRecord *s, Steps *steps);

/* The store name of a password that a setup script has announced: "pending/acme/app". */
char	*pending_password_name(Arena *mem, const char *tenant, const char *user);
/* The store name of the password before a rotation, kept until its pivot: "previous/acme/app". */
char	*previous_password_name(Arena *mem, const char *tenant, const char *user);

/* region/route makes and takes back routes; core only says so in a step. */
void	 records_route_open(Arena *mem, const Placement *at, Steps *steps);
void	 records_route_close(Arena *mem, const Placement *at, Steps *steps);

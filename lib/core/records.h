/*
 * records.h - the catalogue's own steps: no server is touched, the record is
 * the effect.  object.put, object.remove, tenant.register, tenant.record,
 * tenant.state, tenant.forget.
 */
#pragma once

#include "lib/core/plan.h"

extern const StepKind records_kinds[];

bool	 records_object_put(Ctx *cx, Home *home, const char *scope, const char *kind, const char *name,
	    const char *spec, const char *hash, Steps *steps);
void	 records_object_remove(Arena *mem, const char *scope, const char *kind, const char *name,
	    const char *spec, Steps *steps);
bool	 records_tenant_register(Ctx *cx, const Tenant *spec, const Placement *at, const Model *model,
	    Steps *steps);
bool	 records_tenant_record(Ctx *cx, Home *home, const Tenant *spec, const Placement *at,
	    const Model *model, Steps *steps);
void	 records_tenant_state(Arena *mem, const TenantRecord *t, TenantState state, int64_t keep_ms,
	    Steps *steps);	/* keep_ms: the retention of a tenant that is sealed */
void	 records_tenant_forget(Arena *mem, const TenantRecord *t, Steps *steps);

/* The store name of a password that a setup script has announced: "pending/acme/app". */
char	*pending_password_name(Arena *mem, const char *tenant, const char *user);
/* The store name of the password before a rotation, kept until its pivot: "previous/acme/app". */
char	*previous_password_name(Arena *mem, const char *tenant, const char *user);

/* region/route makes and takes back routes; core only says so in a step. */
void	 records_route_open(Arena *mem, const Placement *at, Steps *steps);
void	 records_route_close(Arena *mem, const Placement *at, Steps *steps);

/*
 * ident.h - objects and fields have ids that survive rename and move: what
 * later rooms (streams, tags, keys) refer to.
 *
 * A scope is "model/crm" or, for a tenant's own objects and fields,
 * "tenant/acme".  Writers are called in the transaction that records the
 * manifest.
 */
#pragma once

#include "lib/adapters/map.h"
#include "lib/core/home.h"

typedef enum IdentWay { IDENT_FORWARD, IDENT_BACK } IdentWay;	/* BACK: the renames of an undone change */

bool	 ident_record_model(Ctx *cx, Home *home, const Model *m, IdentWay way);
bool	 ident_record_tenant(Ctx *cx, Home *home, const Tenant *t, IdentWay way);
/* "account" and "account.name" -> id */
bool	 ident_list(Ctx *cx, Home *home, const char *scope, Map **out);

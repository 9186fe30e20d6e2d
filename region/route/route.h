/*
 * route.h - tenant -> where its database is now, with an epoch that only
 * grows.  Opening the route is the pivot of a provisioning.
 */
#pragma once

#include "lib/core/catalog.h"

extern const StepKind route_kinds[];	/* route.open, route.close */

typedef enum RouteFormat { ROUTE_URI, ROUTE_ENV, ROUTE_JSON } RouteFormat;

/* How a program connects as `user` (NULL: the tenant's only or first login): through a gateway (the one that
 * has run longest), or to the server itself, `direct`.  The password goes to a file of mode 0600 under the home,
 * named by passfile=; it is never part of the text. */
bool	 route_resolve(Ctx *cx, Home *home, const char *tenant, const char *user, bool direct,
	    RouteFormat format, char **text);

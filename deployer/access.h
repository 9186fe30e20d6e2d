/*
 * access.h - the least rights that a tenant's plan needs: on each host the lines
 * of sudoers, the paths that are written, the users that are made and the ports
 * that are taken; on its server the GRANTs, read from the setup script itself.
 */
#pragma once

#include "lib/core/manifest.h"
#include "lib/core/place.h"

typedef struct AccessLine {
	const char	*at;		/* "host/h1", "cluster/acme-pg" */
	const char	*kind;		/* sudoers, path, user, port, grant */
	const char	*what;
} AccessLine;
typedef struct AccessLines { AccessLine *at; size_t n, cap; } AccessLines;

/* at: of mode, cluster and names, as recorded or to be; spec says where its services are. */
bool	 access_lines(Ctx *cx, Home *home, const Tenant *spec, const Placement *at, AccessLines *out);

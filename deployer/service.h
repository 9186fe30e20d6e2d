/*
 * service.h - what services do on a host just now, for commands that show it.
 */
#pragma once

#include "lib/core/release.h"

typedef struct ServiceInstance {
	const char	*service, *slot, *release;
	int64_t		 number, port, front_port;
	bool		 running;
	int64_t		 pid, since;	/* since: wall ms; 0: not running */
	const char	*health;	/* "ok", "answered 503", "does not run"... */
} ServiceInstance;
typedef struct ServiceInstances { ServiceInstance *at; size_t n, cap; } ServiceInstances;

bool	 service_instances(Ctx *cx, Conns *conns, const ReleaseAt *at, ServiceInstances *out);
/* The last lines, by time; failed: of the release that did not become healthy. */
bool	 service_log(Ctx *cx, Conns *conns, const ReleaseAt *at, const char *service, bool failed,
	    int64_t lines, Names *out);

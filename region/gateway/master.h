/*
 * master.h - the gateway's first process: it holds the catalogue and what is
 * secret, starts the workers, tells them what changes, and answers what they
 * ask.  It never reads a client's bytes.
 */
#pragma once

#include "lib/base/opt.h"
#include "region/gateway/listen.h"

typedef struct GatewaySpec {
	const OptList	*listen;	/* none: 127.0.0.1:6432 */
	const char	*address;	/* what clients are told to connect to; NULL: the first of `listen` */
	const char	*cert, *key, *ca;	/* PEM files; ca: what clients check the certificate by */
	const OptList	*sni;		/* domains */
	const char	*user;		/* whom workers become when started as root */
	const char	*metrics;	/* ADDRESS:PORT of GET /metrics, or NULL */
	int64_t		 workers;
	int64_t		 drain_ms;	/* at SIGTERM clients have so long */
	LinkLimits	 limits;
	const char	*limits_file;	/* what it says goes before `limits`, and is read again at SIGHUP; or NULL */
} GatewaySpec;

bool	 gateway_run(Ctx *cx, Home *home, const GatewaySpec *spec);	/* until SIGTERM */

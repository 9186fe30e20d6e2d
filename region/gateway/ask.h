/*
 * ask.h - what commands ask of the gateways of this home: all whose lease stands
 * in the catalogue, each on its socket in run/gateway.
 */
#pragma once

#include "lib/core/catalog.h"

typedef struct GatewayAnswer {
	GatewayRecord	 gateway;
	const Js	*said;		/* NULL: none came */
	const char	*why;		/* then: why not */
	bool		 gone;		/* its process has ended; its workers do so within some seconds */
} GatewayAnswer;
typedef struct GatewayAnswers { GatewayAnswer *at; size_t n, cap; } GatewayAnswers;

/* what: status pools clients servers pins drained end; about: a tenant, a cluster, or NULL.  No gateway at
 * all is no failure: out->n is 0. */
bool	 ask_gateways(Ctx *cx, Home *home, const char *what, const char *about, GatewayAnswers *out);
/* The same of those that are not gone; FAIL_NOT_FOUND where there are none. */
bool	 ask_some(Ctx *cx, Home *home, const char *what, const char *about, GatewayAnswers *out);
/* Every worker of every gateway has what the log says up to seq (0: up to now); *all false: not all of them
 * before the span was over, and *why says which gateway. */
bool	 ask_wait(Ctx *cx, Home *home, int64_t seq, int64_t span_ms, bool *all, const char **why);
/* Sessions of the tenant that hold a server connection, over all gateways; *sure false: a gateway did not answer. */
bool	 ask_drained(Ctx *cx, Home *home, const char *tenant, int64_t *holding, int64_t *pinned, bool *sure);
bool	 ask_end(Ctx *cx, Home *home, const char *tenant, int64_t *ended);

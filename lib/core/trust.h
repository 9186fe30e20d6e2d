/*
 * trust.h - the certificates of the clusters that we made on hosts.
 *
 * Such a server has a certificate of its own making: what it is was told over
 * the SSH session that made it, and is recorded.  libpq, gateways and the URIs
 * that are printed take it from a file of the home, run/trust/CLUSTER.crt,
 * which is written again whenever it is not what is recorded.
 */
#pragma once

#include "lib/core/home.h"

/* In the caller's transaction.  pem: one certificate, or two while the server changes from one to the
 * other.  Gateways are told of it. */
bool	 trust_put(Ctx *cx, Home *home, const char *cluster, const char *pem);
bool	 trust_get(Ctx *cx, Home *home, const char *cluster, char **pem);	/* NULL: none is recorded */
bool	 trust_remove(Ctx *cx, Home *home, const char *cluster);	/* its file, too */
char	*trust_path(Arena *mem, const Home *home, const char *cluster);
bool	 trust_write(Ctx *cx, Home *home, const char *cluster);	/* the file, as is recorded */
/* SHA-256 of the first certificate of a PEM text, hex; NULL: there is none in it. */
char	*trust_digest(Arena *mem, const char *pem);

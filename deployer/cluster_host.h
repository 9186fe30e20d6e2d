/*
 * cluster_host.h - PostgreSQL servers that we make and keep on hosts: their
 * files as text, what stands there, and the steps between the two.
 *
 * The helper's verbs are in deployer/helper/postgres.sh, duty cluster/NAME.
 * From there on such a cluster is a vendor's one: over TCP, with TLS.
 *
 * Inside deployer only.
 */
#pragma once

#include "deployer/roles.h"
#include "lib/core/host.h"

/* Days before its end when a certificate is renewed; those are for two years. */
#define CLUSTER_RENEW_DAYS 30

/* --- cluster_conf.c: the server's files ------------------------------------------ */

/* copyhold.conf: ours, then the manifest's settings.  FAIL_MANIFEST: a setting that is ours, a malformed name. */
bool	 cluster_conf(Ctx *cx, const Cluster *c, const Host *h, char **out);
/* pg_hba.conf: the server's own OS user by the local socket; all others by TLS and SCRAM, from the host itself
 * and the networks of `allow`. */
bool	 cluster_hba(Ctx *cx, const Cluster *c, char **out);

/* --- cluster_look.c: what stands there --------------------------------------------- */

typedef enum ServerState { SERVER_MISSING, SERVER_STOPPED, SERVER_RUNNING } ServerState;

typedef struct ServerSeen {
	ServerState	 state;
	const char	*version;	/* of the data folder, or NULL */
	const char	*conf, *hba;	/* SHA-256 of the files, or NULL */
	Names		 edited;	/* other files of ours that are not as we wrote them */
	Names		 system;	/* settings of ALTER SYSTEM */
	const char	*certificate;	/* SHA-256, or NULL */
	int64_t		 until;		/* seconds since 1970 */
	int64_t		 folders;	/* databases that are not of a fresh cluster, by their folders */
	/* these, while it runs */
	Names		 databases;
	Names		 postmaster;	/* settings that only a restart changes */
	Names		 pending;
	const char	*mark;		/* of the template: of which setup script it is */
} ServerSeen;

/* What the helper says: a word and its value a line. */
void	 cluster_read_look(Arena *mem, const char *text, ServerSeen *out);
bool	 cluster_look(Ctx *cx, Conns *conns, const Cluster *c, ServerSeen *out);
/* The highest that its host has seen; 0: it is on none. */
bool	 cluster_fence(Ctx *cx, Conns *conns, const Cluster *c, int64_t *out);

/* --- cluster_run.c: the steps ---------------------------------------------------------- */

extern const StepKind cluster_host_kinds[];	/* pg.password pg.create pg.config ... database.release */

/* --- cluster_plan.c ---------------------------------------------------------------------- */

bool	 cluster_host_steps(Ctx *cx, Conns *conns, const ClusterWork *work, Changes *changes, Steps *steps,
	    bool *down);
bool	 cluster_remove_steps(Ctx *cx, Conns *conns, const ClusterWork *work, Steps *steps, const char **note);

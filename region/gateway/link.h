/*
 * link.h - what the gateway's master and a worker say to each other, over a
 * SOCK_SEQPACKET pair: one message a packet, structs of this same binary.
 *
 * The master holds the catalogue and what is secret; a worker holds clients.  A
 * worker that was taken over may lie in every field of what it sends: the
 * master checks each; and it learns only what it asks for, a login at a time.
 */
#pragma once

#include "lib/adapters/scram.h"
#include "region/route/table.h"

#define LINK_MAX	(192 * 1024)	/* bytes of a message */

typedef enum LinkType {
	/* master to worker */
	LINK_START = 1,		/* LinkStart; then LINK_SNAPSHOT, LINK_CLUSTERs, LINK_CERT, LINK_LEASE, LINK_GO */
	LINK_GO,		/* accept */
	LINK_SNAPSHOT,		/* a descriptor comes with it */
	LINK_CHANGE,		/* an encoded route: route_table_change() */
	LINK_CLUSTER,		/* LinkCluster */
	LINK_CERT,		/* LinkCert: ours, for clients */
	LINK_LEASE,		/* LinkLease */
	LINK_LIMITS,		/* LinkLimits in place of those of LINK_START; `clients` stays */
	LINK_VERIFIER,		/* LinkVerifier: answer to LINK_ASK_VERIFIER, `id` as asked */
	LINK_KEYS,		/* LinkKeys: answer to LINK_ASK_KEYS */
	LINK_CANCEL,		/* LinkCancel: a request that came to another worker */
	LINK_ASK,		/* LinkAsk: for people; answered by LINK_ANSWERs */
	LINK_DRAIN,		/* accept no more, end when the clients have; LinkDrain */
	/* worker to master */
	LINK_ACK,		/* LinkAck: all changes up to seq are in use */
	LINK_ASK_VERIFIER,	/* LinkWho */
	LINK_ASK_KEYS,		/* LinkWantKeys */
	LINK_CANCEL_FOR,	/* LinkCancel: for worker `worker` */
	LINK_ANSWER		/* LinkText: JSON; the last has more = false */
} LinkType;

typedef struct LinkHead { uint32_t type; uint32_t n; uint64_t id; } LinkHead;	/* n: bytes after the head */

typedef struct LinkLimits {
	int32_t	 clients;		/* of a worker */
	int32_t	 tenant_servers;	/* default cap of server connections of a tenant, over all workers */
	int32_t	 tenant_clients;	/* of a tenant, in a worker; 0: no limit */
	int64_t	 login_ms;		/* from connect to logged in */
	int64_t	 wait_ms;		/* for a server connection: 53300 after it */
	int64_t	 connect_ms;		/* to a server, login included */
	int64_t	 idle_server_ms;	/* an idle server connection is closed after */
	int64_t	 guard_statement_ms, guard_idle_ms;	/* deadlines on guarded routes */
	int64_t	 guard_bytes;		/* of one answer on guarded routes; 0: none */
	int32_t	 guard_text;		/* bytes of a query text that is looked at */
	int32_t	 guard_savepoints;
} LinkLimits;

#define LINK_SUFFIXES 8
typedef struct LinkStart {
	uint32_t	 worker, workers, routes;	/* routes: room in the shared counters */
	uint32_t	 listeners;		/* descriptors from WORKER_LISTEN on */
	char		 gateway[ROUTE_NAME];
	char		 suffix[LINK_SUFFIXES][128];	/* SNI domains; "" ends them */
	unsigned char	 mock[32];		/* for binding keys and unknown users' salts: not a secret of a person */
	bool		 tls_required;		/* another address than loopback is listened on */
	bool		 drop;			/* the worker was started by root and becomes uid, gid before it reads a client */
	uint32_t	 uid, gid;
	LinkLimits	 limits;
} LinkStart;
typedef struct LinkCluster {
	uint32_t	 cluster;
	int32_t		 port, cap;
	char		 name[ROUTE_TENANT], host[256], sslmode[16];
	uint32_t	 ca_n, cert_n, key_n;	/* PEM texts follow the struct, in this order */
	bool		 broken;	/* one that it names cannot be read: nobody connects without it */
} LinkCluster;
typedef struct LinkCert { uint32_t cert_n, key_n; } LinkCert;	/* PEM texts follow; 0: none, plain only */
typedef struct LinkLease { int64_t span_ms; } LinkLease;	/* from its arrival; lapsed: a worker parks everything */
typedef struct LinkWho { char tenant[ROUTE_NAME], user[ROUTE_NAME]; } LinkWho;
typedef struct LinkVerifier { bool known, unreadable; ScramVerifier verifier; } LinkVerifier;	/* known false: a mock
							* one; unreadable: the catalogue is, and nobody can log in */
typedef struct LinkWantKeys {
	char		 tenant[ROUTE_NAME], user[ROUTE_NAME];
	unsigned char	 salt[SCRAM_SALT];
	uint32_t	 salt_n, iterations;
} LinkWantKeys;
typedef struct LinkKeys { bool found, later; ScramKeys keys; } LinkKeys;	/* later: they cannot be made now */
typedef struct LinkCancel {
	uint32_t	 worker, slot;		/* of the client that is meant */
	unsigned char	 secret[16];
	uint32_t	 secret_n;
	bool		 heard;			/* the answer to one: it was looked at; worker and slot are those that asked */
	uint32_t	 from, from_slot;	/* who asks: its connection is open until it has been looked at */
	unsigned char	 from_secret[4];
} LinkCancel;
typedef struct LinkAsk { char what[16]; char about[ROUTE_NAME]; } LinkAsk;	/* status pools clients servers pins drained end */
typedef struct LinkDrain { int64_t span_ms; } LinkDrain;	/* the clients have so long; then they are ended (57P01) */
typedef struct LinkAck { int64_t seq; } LinkAck;
typedef struct LinkText { bool more; } LinkText;		/* text follows */

/* The descriptors that a worker is started with. */
enum { WORKER_LINK = 3, WORKER_COUNTERS = 4, WORKER_LISTEN = 5 /* and on */ };

/* What all workers count together: an anonymous shared mapping of link_counters_size() bytes.  A worker writes
 * its own rows alone (cluster[].used[worker], tenant[worker * routes + id], waiting[worker]) and sums over all
 * of them; the master sets a dead worker's rows to zero. */
#define LINK_WORKERS	64
#define LINK_CLUSTERS	ROUTE_CLUSTERS
typedef struct LinkCount { _Atomic int32_t used[LINK_WORKERS], waiting[LINK_WORKERS]; } LinkCount;
typedef struct LinkCounters {
	LinkCount	 cluster[LINK_CLUSTERS];	/* by cluster id */
	_Atomic int16_t	 tenant[];	/* by worker * routes + route id: servers; ids at `routes` and above are not counted.
					 * Then the same again: clients that wait for one. */
} LinkCounters;
size_t	 link_counters_size(uint32_t workers, uint32_t routes);

/* Packets.  link_receive(): 1 one came; 0 none now (or none before the deadline); -1 the other end is gone or
 * broke the rules.  *fd: -1, or a descriptor that is the caller's now.  body: LINK_MAX bytes of room. */
bool	 link_pair(Ctx *cx, int fds[2]);
bool	 link_send(int sock, LinkType type, uint64_t id, const void *body, size_t n, int fd);	/* false: full (errno EAGAIN) or gone */
bool	 link_send2(int sock, LinkType type, uint64_t id, const void *a, size_t an, const void *b, size_t bn);
int	 link_receive(int sock, LinkHead *head, void *body, int *fd);

/*
 * master_intern.h - for the files of the master:
 *
 *	master.c   its life: start, ticks, signals, the end
 *	crew.c     workers: starting them, packets to and from them
 *	answer.c   what workers ask: verifiers and keys
 *	follow.c   what changes in the catalogue
 *	admin.c    the socket on which commands ask
 *	metrics.c  GET /metrics
 */
#pragma once

#include <sys/types.h>

#include "lib/adapters/loop.h"
#include "region/gateway/master.h"

#define LEASE_SPAN_MS	5000	/* of a worker: what it was last told holds so long */
#define ROW_LEASE_MS	15000	/* of the gateway's row, which is renewed when less than... */
#define ROW_RENEW_MS	10000	/* ...this is left */

#define STATUS_ROOM	2048

typedef struct Master Master;
typedef struct Packet Packet;	/* waits until a worker takes it */
typedef struct Admin Admin;

typedef struct Crew {		/* one worker */
	Master		*m;
	uint32_t	 number;
	pid_t		 pid;		/* 0: none now */
	int		 fd;
	Watch		*watch;
	Timer		*again;		/* to start it */
	Packet		*first, *last;
	size_t		 queued;	/* bytes */
	int64_t		 since, acked;
	int		 failures;
	char		 status[STATUS_ROOM];	/* its last answer to "status", JSON; "": none yet */
} Crew;

struct Master {
	Ctx		*cx;
	Home		*home;
	Loop		*loop;
	const GatewaySpec *spec;
	const char	*id, *address;
	int64_t		 began;
	Listener		*listens;
	int		 nlistens;
	uint32_t	 ncrew;
	Crew		 crew[LINK_WORKERS];
	LinkCounters	*counters;
	int		 counters_fd;
	LinkStart	 start;
	LinkCert	 cert;
	Buf		 cert_text;	/* certificate and key, as they follow LinkCert */
	int		 table_fd;	/* the snapshot */
	int64_t		 table_seq, seq;	/* of the snapshot; of the last change that was told */
	size_t		 routes;	/* in the snapshot */
	size_t		 overlay;	/* entries that workers have beside it, at most */
	struct Map	*clusters;	/* number -> the LINK_CLUSTER packet */
	Arena		*clusters_mem;
	struct Map	*keys;		/* what answer.c has made */
	Arena		*keys_mem;
	struct Map	*made;		/* how many rounds lately, a tenant */
	Arena		*made_mem;
	int64_t		 row_until;	/* the lease of the gateway's row */
	bool		 behind;	/* the catalogue could not be read: no leases */
	char		*said;		/* the last trouble: it is not said at every turn */
	Arena		*said_mem;
	Timer		*tick, *last_call;
	int		 stopping;	/* signals so far */
	int		 ring_fd;
	Watch		*ring_watch;
	Admin		*admin;
	unsigned char	*room;		/* LINK_MAX bytes, for what arrives */
};

void	 master_trouble(Master *m, const Fail *why);	/* said once */
void	 master_well(Master *m);
void	 master_lease(Crew *w);			/* if there is one to give */

/* crew.c */
bool	 crew_setup(Ctx *cx, Master *m);	/* counters */
void	 crew_start(Crew *w);
void	 crew_reap(Master *m);
void	 crew_send(Crew *w, LinkType type, uint64_t id, const void *a, size_t an, const void *b, size_t bn);
void	 crew_send_fd(Crew *w, LinkType type, const void *body, size_t n, int fd);
void	 crew_send_all(Master *m, LinkType type, const void *a, size_t an, const void *b, size_t bn);
bool	 crew_on(const Crew *w);
uint32_t crew_left(const Master *m);		/* that are alive */

/* answer.c */
void	 answer_verifier(Crew *w, uint64_t id, const LinkWho *who);
void	 answer_keys(Crew *w, uint64_t id, const LinkWantKeys *want);
bool	 answer_setup(Ctx *cx, Master *m);

/* follow.c */
bool	 follow_setup(Ctx *cx, Master *m);	/* the first snapshot, the clusters, the certificate */
void	 follow_look(Master *m);		/* what has changed since */
void	 follow_tell(Crew *w);			/* all of it, to a worker that begins */
void	 follow_remind(Crew *w);		/* what it has not acknowledged */
void	 follow_files(Master *m);		/* certificates and PEM files again */

/* admin.c */
bool	 admin_open(Ctx *cx, Master *m);
void	 admin_answer(Crew *w, uint64_t id, bool more, const char *text, size_t n);
void	 admin_acked(Master *m);		/* or a worker is gone: whoever waits may be answered */
void	 admin_gone(Crew *w);			/* answers no more */
void	 admin_poll(Master *m);			/* asks each worker for its figures */
void	 admin_close(Master *m);

/* metrics.c */
bool	 metrics_open(Ctx *cx, Master *m);

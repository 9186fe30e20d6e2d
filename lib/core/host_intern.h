/*
 * host_intern.h - what host.c (requests) and host_open.c (sessions) share.
 */
#pragma once

#include "lib/adapters/map.h"
#include "lib/core/host.h"
#include "lib/core/host_frame.h"

#define HOST_DIAL_MS	30000
#define HOST_LOOK_MS	60000
#define HOST_ACT_MS	900000		/* a distribution's packages may be under way */
#define HOST_PUT_MS	600000

typedef struct HostLine {	/* a connection with a host; its duties are channels of it */
	Arena		*mem;		/* NULL: closed */
	Ssh		*ssh;
	uint64_t	 opened;	/* how often: a channel of before is gone */
} HostLine;

struct HostConn {
	Conns		*conns;
	const Host	*host;
	const char	*duty;
	HostLine	*line;
	uint64_t	 of;		/* line->opened when the channel was */
	SshChannel	*channel;	/* NULL: none */
	Arena		*mem;		/* of the channel */
	char		 sentinel[33];
	int64_t		 seq;
};

void	 host_conn_close(HostConn *h);	/* its channel; opened anew when it is next asked */
bool	 host_conn_open(Ctx *cx, HostConn *h);
/* Reads one reply; FAIL_HOST_UNREACHABLE where the session ends first. */
bool	 host_conn_read(Ctx *cx, HostConn *h, HostFrame *f, int64_t deadline);
bool	 host_conn_wrong(Ctx *cx, const HostConn *h);	/* always false */

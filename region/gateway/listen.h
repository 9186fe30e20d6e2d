/*
 * listen.h - where clients connect.  A TCP address has a socket for each worker
 * (SO_REUSEPORT), which the master keeps: the place of a worker that has died is
 * its successor's, with the clients that wait there.  A unix socket is shared.
 */
#pragma once

#include <netinet/in.h>

#include "region/gateway/link.h"

typedef struct Listener {
	const char	*text;		/* as it was given */
	bool		 is_local;	/* a unix socket: FOLDER/.s.PGSQL.PORT */
	const char	*path;		/* its name */
	struct sockaddr_storage at;
	socklen_t	 at_n;
	int		 port;
	int		 fds[LINK_WORKERS];
	int		 nfds;
} Listener;

/* "127.0.0.1:6432", "[::1]:6432", "/run/copyhold", "/run/copyhold:6433"; port 0: any free one */
bool	 listen_parse(Ctx *cx, const char *text, Listener *out);
bool	 listen_is_near(const Listener *l);	/* loopback or a unix socket: nothing passes a network */
bool	 listen_open(Ctx *cx, Listener *l, int workers);
int	 listen_fd(const Listener *l, int worker);
void	 listen_close(Listener *l);
const char *listen_address(Arena *mem, const Listener *l);	/* for clients: HOST:PORT or FOLDER:PORT */

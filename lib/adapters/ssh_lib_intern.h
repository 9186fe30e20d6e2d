/*
 * ssh_lib_intern.h - a session of libssh2 (1.10 of Debian 12), never blocking.
 *
 * Its traps, and what is done: EAGAIN also means that nothing happens any more,
 * so every wait has our deadline; a call that said EAGAIN is repeated as it was;
 * a packet that is half sent must be finished before anything else is sent
 * (`sending`); the descriptor is closed before the session is freed, for freeing
 * would wait for the other side.
 */
#pragma once

#include <libssh2.h>

#include "lib/adapters/ssh_intern.h"

typedef struct SshLib SshLib;
struct SshLib {
	SshWire		 wire;
	LIBSSH2_SESSION	*session;
	SshLib		*outer;		/* the session that this one goes through, ours to free; or NULL */
	LIBSSH2_CHANNEL	*tunnel;	/* in it */
	LIBSSH2_CHANNEL	*left[32];	/* channels that were dropped before their end */
	int		 left_n;
	const char	*who;
	const void	*turn;		/* who is within a call that must be finished first, or NULL */
	SshChannel	**channels;	/* of the Ssh; NULL while it opens */
};

extern const SshDriver ssh_lib_driver;

bool		 ssh_lib_wait(Ctx *cx, SshLib *l, int64_t deadline, const char *doing);
bool		 ssh_lib_broke(Ctx *cx, SshLib *l, const char *doing, int rc);	/* always false */
const char	*ssh_lib_error(Arena *mem, SshLib *l, int rc);
bool		 ssh_lib_put(Ctx *cx, Ssh *s, int fd, const char *file, const char *path, int mode, int64_t deadline);
void		 ssh_lib_free(SshLib *l);
/* Only one call at a time sends: it waits until it is this one's turn. */
bool		 ssh_lib_enter(Ctx *cx, SshLib *l, const void *me, int64_t deadline, const char *doing);
void		 ssh_lib_leave(SshLib *l, const void *me);

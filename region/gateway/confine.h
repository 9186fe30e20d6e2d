/*
 * confine.h - what a worker gives up before it reads a client: its user, where it
 * may become another one; all capabilities; and, where the kernel has Landlock,
 * every file but those that TLS and the names of hosts need, other processes, and
 * signals to them.
 *
 * A worker that was taken over then has its sockets and what it was told; it cannot
 * read the home, whichever user it runs as.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool	 confine_can_drop(void);	/* although not root, we may start workers that become another user, and end them */
bool	 confine_drop(uint32_t uid, uint32_t gid);	/* this process becomes that user, without groups */
/* The calling thread.  False: something that this kernel has could not be done. */
bool	 confine_rest(void);

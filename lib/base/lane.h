/*
 * lane.h - several blocking jobs side by side in one thread.
 *
 * A lane is a coroutine (ucontext).  Code in it is written as if it blocked;
 * where it must wait it calls lane_wait(), and the other lanes go on.  Outside
 * of any lane lane_wait() simply polls, so adapters need only one form.  The
 * current lane is the one mutable global of lib/base.
 *
 * A stop (SIGINT, SIGTERM) is a flag, not an error: lane_wait() does not
 * return early for it; the journal looks at lane_stopping() between steps.
 * A second signal ends the process at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"

typedef struct Lanes Lanes;

Lanes	*lanes_new(Arena *mem);
void	 lane_spawn(Lanes *l, void (*fn)(void *arg), void *arg);	/* also from within a lane */
void	 lanes_run(Lanes *l);		/* returns when every lane has ended */
void	 lane_sleep(int64_t ms);

#define LANE_READ  1
#define LANE_WRITE 2
int	 lane_wait(int fd, int events, int64_t deadline_mono_ms);	/* ready events, 0 at the deadline; deadline < 0: none */

void	 lane_catch_signals(void);	/* SIGINT, SIGTERM; SIGPIPE ignored */
bool	 lane_stopping(void);

/*
 * loop.h - one event loop a process (libevent): descriptors, timers, signals.
 *
 * Callbacks run one after the other in loop_run().  A Watch or Timer may be freed
 * in any callback, its own too.  Nothing here is thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/base/arena.h"

#define LOOP_READ	1
#define LOOP_WRITE	2

typedef struct Loop Loop;
typedef struct Watch Watch;
typedef struct Timer Timer;

Loop	*loop_new(Arena *mem);
void	 loop_run(Loop *l);		/* until loop_stop() */
void	 loop_stop(Loop *l);		/* after the callbacks of this turn */
int64_t	 loop_now_ms(Loop *l);		/* monotonic; the same all through a callback */

typedef void (*WatchFn)(void *ptr, int events);
typedef void (*TimerFn)(void *ptr);
Watch	*watch_new(Loop *l, int fd, WatchFn fn, void *ptr);	/* does not own the descriptor; wants nothing yet */
void	 watch_for(Watch *w, int events);			/* level-triggered, until told otherwise; 0: nothing */
void	 watch_free(Watch *w);					/* NULL is fine; before the descriptor is closed */
Timer	*timer_new(Loop *l, TimerFn fn, void *ptr);
void	 timer_in(Timer *t, int64_t ms);			/* once; again in place of before */
void	 timer_free(Timer *t);
/* Addresses of a host, asked without waiting (libevent's evdns; /etc/hosts too).  `fn` is called later, once;
 * n 0: there is none, or the question could not be asked.  loop_resolve_stop(): it is not called any more. */
#define LOOP_ADDRESSES	8
typedef struct Resolve Resolve;
typedef void (*ResolveFn)(void *ptr, const struct sockaddr_storage *at, int n);
Resolve	*loop_resolve(Loop *l, const char *host, int port, ResolveFn fn, void *ptr);
void	 loop_resolve_stop(Resolve *r);		/* NULL is fine; not after fn was called */
void	 loop_on_signal(Loop *l, int signal, TimerFn fn, void *ptr);

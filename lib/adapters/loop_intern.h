/*
 * loop_intern.h - for adapters of libevent's other parts that share a loop.
 */
#pragma once

#include "lib/adapters/loop.h"

struct event_base;
struct event_base *loop_base(Loop *l);	/* the loop's own: it is not to be freed */

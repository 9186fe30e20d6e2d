/*
 * event.h - what is told of every change, and of every read of a secret:
 * written in the transaction of the journal row that it tells of.
 */
#pragma once

#include "lib/core/home.h"

/* events: in the transaction of what they tell of; never personal values or secrets */
typedef struct Event {
	const char	*tenant;	/* or NULL */
	int64_t		 run, step;	/* 0: none */
	const char	*verb;		/* "step.done", "secret.read"... */
	const char	*object;	/* "tenant/acme", "login/acme/app" */
	const char	*outcome;	/* "ok", or an error kind */
	const char	*before, *after;	/* digests or states, or NULL */
} Event;
bool	 event_write(Ctx *cx, Home *home, const Event *e);

/*
 * event.h - what is told of every change, and of every read of a secret:
 * written in the transaction of the journal row that it tells of, at the next
 * place of its log (the tenant's, or the vendor's).
 *
 * The bytes of an event are canonical JSON (docs/audit-formats.md); they become
 * a leaf of the log's tree as they are.  What names a person (who acted, why,
 * and what `personal` lists) stands in them as {"commit": hex HMAC-SHA-256(salt,
 * value)} alone; salt and value are openings beside them, which can be erased
 * while every proof stays valid.
 */
#pragma once

#include "lib/core/home.h"

#define EVENT_MAX 65535		/* bytes of one; longer texts in it are cut and say so */
#define EVENT_SALT 16

typedef struct Personal {	/* a personal value of an event */
	const char	*path;		/* the member that it stands at: a name of its own, such as "requester" */
	const char	*value;
	const char	*subject;	/* whose it is, for erasure: "actor:root@host", "subject:4711" */
} Personal;

typedef struct Event {
	const char	*tenant;	/* or NULL: the vendor's */
	int64_t		 run, step;	/* 0: none */
	const char	*verb;		/* "step.done", "secret.read"... */
	const char	*object;	/* "tenant/acme", "login/acme/app" */
	const char	*outcome;	/* "ok", or an error kind */
	const char	*before, *after;	/* digests or states, or NULL */
	const Personal	*personal;	/* besides actor and reason, which are added to each */
	size_t		 personal_n;
	int64_t		 log;		/* 0: the open one of the tenant, or of the vendor */
} Event;
bool	 event_write(Ctx *cx, Home *home, const Event *e);

typedef struct Opening {
	const char	*path;		/* "actor", "reason", or as above */
	Bytes		 salt;
	const char	*value, *subject;
} Opening;
typedef struct Openings { Opening *at; size_t n, cap; } Openings;
bool	 event_openings(Ctx *cx, Home *home, int64_t event, Openings *out);	/* by path; what was erased is not there */
char	*event_commitment(Arena *mem, Bytes salt, const char *value);		/* 64 hex digits */

/*
 * serve.h - a small HTTP server (libevent's evhttp), with or without TLS.
 *
 * One thread, one request at a time in the caller's function.  A connection on
 * which no whole request has come for the deadline is closed, whatever it
 * sends meanwhile; so is one that does not take its answer.  Heads and bodies
 * have limits, and so has the number of connections: more wait in the kernel.
 */
#pragma once

#include "lib/adapters/crypto.h"
#include "lib/adapters/loop.h"

typedef struct ServeRequest {
	const char	*method;	/* GET, POST */
	const char	*path;		/* without the query */
	Bytes		 body;		/* borrowed until the answer */
} ServeRequest;

typedef struct ServeAnswer {
	int		 status;
	const char	*type;		/* of the body */
	const char	*body;		/* in the memory of the Ctx that was given */
} ServeAnswer;

typedef struct ServeSpec {
	const char	*listen;	/* "127.0.0.1:8480", "[::1]:8480"; port 0: any free one */
	const char	*cert, *key;	/* PEM files: TLS; NULL: plain HTTP */
	bool		 plain_anywhere;	/* plain HTTP also where others can reach it */
	const char	*plain_hint;	/* where it is refused; NULL: one that names --cert and --insecure-http */
	size_t		 body_max;
	int64_t		 deadline_ms;	/* 0: 30 s */
	/* false: 500, and the Fail is noted; each request has a Ctx of its own */
	bool		 (*answer)(Ctx *cx, void *ptr, const ServeRequest *request, ServeAnswer *out);
	void		*ptr;
	Loop		*loop;		/* it answers in this one, beside others, and serve_run() is not called; NULL: its own */
} ServeSpec;

typedef struct Serve Serve;
bool	 serve_open(Ctx *cx, const ServeSpec *spec, Serve **out);	/* listens; closed with the arena */
const char *serve_url(const Serve *s);	/* "http://127.0.0.1:8480" */
bool	 serve_run(Ctx *cx, Serve *s);		/* until SIGINT or SIGTERM; answers under way are sent */

/*
 * http.h - an HTTP client (libcurl): many requests side by side, each with its
 * limits, connections kept open between calls.
 *
 * Certificates are verified.  Plain HTTP goes to this machine only, unless the
 * caller says otherwise.  Redirects are not followed.  Waits in lane_wait(),
 * so other lanes go on; names are looked up beside it, never blocking.
 */
#pragma once

#include <stdint.h>

#include "lib/base/fail.h"

typedef struct HttpAsk {
	const char	*url;
	const char	*type;		/* of the body */
	const char	*body;		/* POSTed */
	size_t		 body_n;
	const char	*ca;		/* PEM text: trusted in place of the system's; NULL: the system's */
	size_t		 answer_max;
	/* what came of it */
	int		 status;	/* 0: no answer, error says why */
	const char	*error;		/* NULL: there is an answer */
	const char	*answer_type;	/* "" if it has none */
	char		*answer;
	size_t		 answer_n;
	void		*own;		/* http.c's, while it runs */
} HttpAsk;

typedef struct Http Http;
bool	 http_new(Ctx *cx, Http **out);		/* closed with the arena */
void	 http_post(Ctx *cx, Http *h, HttpAsk *asks, size_t n, int64_t deadline_mono_ms);

/* An https URL without a login, query or fragment; or http to this machine, or anywhere if `insecure`.
 * *out: the same without slashes at its end. */
bool	 http_check_url(Ctx *cx, const char *url, bool insecure, char **out);

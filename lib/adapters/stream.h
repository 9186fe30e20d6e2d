/*
 * stream.h - bytes over a non-blocking socket, plain or through TLS (OpenSSL 3).
 *
 * One Stream a connection; reads and writes take what goes and say what to wait
 * for.  TLS settings (StreamTls) are shared by many streams and counted: a
 * renewed certificate is a new StreamTls, streams that run keep the old one.
 * TLS 1.2 at least; no renegotiation, no compression, buffers released when idle.
 */
#pragma once

#include <sys/types.h>

#include "lib/adapters/crypto.h"

typedef struct StreamTls StreamTls;

/* For clients who connect to us.  PEM texts. */
bool	 stream_tls_server(Ctx *cx, const char *cert, size_t cert_n, const char *key, size_t key_n,
	    StreamTls **out);
/* For servers that we connect to: sslmode as libpq's (require: no check; verify-ca; verify-full). ca NULL: the
 * system's.  cert and key NULL: none of our own. */
bool	 stream_tls_client(Ctx *cx, const char *sslmode, const char *ca, const char *cert, const char *key,
	    StreamTls **out);
StreamTls *stream_tls_keep(StreamTls *t);
void	 stream_tls_drop(StreamTls *t);		/* NULL is fine */
/* tls-server-end-point (RFC 5929) of our own certificate: bytes written. */
size_t	 stream_tls_binding(const StreamTls *t, unsigned char out[64]);

typedef struct Stream {
	int		 fd;		/* -1: closed */
	void		*tls;
	StreamTls	*with;
	int8_t		 wants;		/* the events that AGAIN waits for */
	bool		 dry;		/* what was read ahead is no whole record */
} Stream;

#define STREAM_AGAIN	(-1)
#define STREAM_BROKEN	(-2)		/* closed without goodbye, reset, or not TLS */

/* A TCP socket that notices in half a minute that the other end is gone while nothing is under way, and sends
 * small things at once. */
void	 stream_watchful(int fd);
/* What was sent is not acknowledged for so long, although it was sent again and again.  Not TCP_USER_TIMEOUT: that ends who is slow to read, too. */
bool	 stream_is_lost(const Stream *s, int ms);
void	 stream_open(Stream *s, int fd);	/* takes the descriptor, non-blocking */
void	 stream_close(Stream *s);
ssize_t	 stream_read(Stream *s, void *out, size_t n);	/* > 0; 0: the end; AGAIN; BROKEN */
ssize_t	 stream_write(Stream *s, const void *from, size_t n);	/* >= 0 taken; AGAIN; BROKEN */
/* The handshake, after the plain bytes that lead to it: > 0 done; AGAIN; BROKEN. */
bool	 stream_start_server(Stream *s, StreamTls *tls);
bool	 stream_start_client(Stream *s, StreamTls *tls, const char *host);	/* SNI and verify-full's name */
int	 stream_handshake(Stream *s);
const char *stream_sni(const Stream *s);	/* what the client asked for; NULL: none */
bool	 stream_has_more(const Stream *s);	/* bytes were read ahead that no event will tell of */
const char *stream_why(const Stream *s, Arena *mem);	/* of the last BROKEN, for a log */

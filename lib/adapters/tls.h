/*
 * tls.h - why a TLS session of another library was not trusted.
 *
 * libpq says only "certificate verify failed" and frees its session at once.
 * OpenSSL tells when a session is freed, and the session still knows.
 */
#pragma once

typedef enum TlsVerdict {
	TLS_UNKNOWN,		/* no session ended, or it was trusted */
	TLS_EXPIRED,
	TLS_NOT_YET,
	TLS_WRONG_CA,
	TLS_REVOKED,
	TLS_OTHER
} TlsVerdict;

void		 tls_watch(void);	/* forgets what ended before */
TlsVerdict	 tls_verdict(void);	/* of the session that ended last since */

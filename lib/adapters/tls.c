#include "lib/adapters/tls.h"

#include <stddef.h>

#include <openssl/ssl.h>

/* Set where OpenSSL calls back, which knows nothing of us; read right after, in the same lane. */
static long tls_last = X509_V_OK;
static int tls_index = -1;

static void
tls_ended(void *ssl, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)ptr, (void)data, (void)index, (void)argl, (void)argp;
	tls_last = SSL_get_verify_result(ssl);
}

void
tls_watch(void)
{
	if (tls_index < 0)
		tls_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, tls_ended);
	tls_last = X509_V_OK;
}

TlsVerdict
tls_verdict(void)
{
	switch (tls_last) {
	case X509_V_OK:
		return TLS_UNKNOWN;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_NOT_YET;
	case X509_V_ERR_CERT_REVOKED:
		return TLS_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return TLS_WRONG_CA;
	default:
		return TLS_OTHER;
	}
}

#include "lib/adapters/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/adapters/loop.h"

struct StreamTls {
	SSL_CTX *ctx;
	int users;
	bool check_host;
};

/* --- settings ------------------------------------------------------------------ */

static bool
tls_fail(Ctx *cx, const char *what)
{
	char text[200];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	ERR_clear_error();
	fail(cx, FAIL_TLS,
	    "Check that it is PEM, whole, and that key and certificate belong together.",
	    "the %s cannot be used", what);
	return fail_cause(cx, "%s", text);
}

static SSL_CTX *
new_ctx(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
		SSL_MODE_RELEASE_BUFFERS);
	return ctx;
}

static int
no_password(char *out, int cap, int writing, void *ptr)
{
	(void)out;
	(void)cap;
	(void)writing;
	(void)ptr;
	return 0; /* a key under a passphrase is refused, never asked for */
}

static bool
add_chain(SSL_CTX *ctx, BIO *pem)
{
	X509 *cert = PEM_read_bio_X509_AUX(pem, NULL, no_password, NULL);
	bool ok = cert && SSL_CTX_use_certificate(ctx, cert) == 1;

	X509_free(cert);
	while (ok && (cert = PEM_read_bio_X509(pem, NULL, no_password, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
			X509_free(cert);
			ok = false;
		}
	if (ok)
		ERR_clear_error(); /* the end of the text */
	return ok;
}

static bool
add_own(Ctx *cx, SSL_CTX *ctx, const char *cert, size_t cert_n, const char *key, size_t key_n)
{
	BIO *c = BIO_new_mem_buf(cert, (int)cert_n), *k = BIO_new_mem_buf(key, (int)key_n);
	EVP_PKEY *pkey = k ? PEM_read_bio_PrivateKey(k, NULL, no_password, NULL) : NULL;
	bool ok = c && pkey && add_chain(ctx, c) && SSL_CTX_use_PrivateKey(ctx, pkey) == 1 &&
	    SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(pkey);
	BIO_free(c);
	BIO_free(k);
	return ok || tls_fail(cx, "certificate or key");
}

static bool
add_ca(Ctx *cx, SSL_CTX *ctx, const char *ca)
{
	BIO *pem = BIO_new_mem_buf(ca, -1);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509 *cert;
	int n = 0;

	while (pem && (cert = PEM_read_bio_X509(pem, NULL, no_password, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	BIO_free(pem);
	if (n == 0)
		return tls_fail(cx, "certificate authority");
	ERR_clear_error();
	return true;
}

/* Takes ctx over. */
static StreamTls *
new_tls(SSL_CTX *ctx)
{
	StreamTls *t = OPENSSL_zalloc(sizeof *t);

	if (!t) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	t->ctx = ctx;
	t->users = 1;
	return t;
}

bool
stream_tls_server(
    Ctx *cx, const char *cert, size_t cert_n, const char *key, size_t key_n, StreamTls **out)
{
	SSL_CTX *ctx = new_ctx(TLS_server_method());
	StreamTls *t;

	if (!ctx)
		return tls_fail(cx, "TLS library");
	if (!add_own(cx, ctx, cert, cert_n, key, key_n)) {
		SSL_CTX_free(ctx);
		return false;
	}
	SSL_CTX_set_read_ahead(ctx, 1); /* else head and body of a record are a read each */
	if (!(t = new_tls(ctx)))
		return tls_fail(cx, "TLS library");
	*out = t;
	return true;
}

bool
stream_tls_client(Ctx *cx, const char *sslmode, const char *ca, const char *cert, const char *key,
    StreamTls **out)
{
	SSL_CTX *ctx = new_ctx(TLS_client_method());
	bool verify = strcmp(sslmode, "verify-ca") == 0 || strcmp(sslmode, "verify-full") == 0;
	StreamTls *t;
	bool ok = ctx != NULL;

	if (!ok)
		return tls_fail(cx, "TLS library");
	if (ca)
		ok = add_ca(cx, ctx, ca);
	else if (verify)
		ok = SSL_CTX_set_default_verify_paths(ctx) == 1 ||
		    tls_fail(cx, "system's authorities");
	if (ok && !cert != !key)
		ok = fail(cx, FAIL_TLS, "Give both, or neither.",
		    "a certificate without its key, or a key without its certificate");
	if (ok && cert)
		ok = add_own(cx, ctx, cert, strlen(cert), key, strlen(key));
	if (!ok) {
		SSL_CTX_free(ctx);
		return false;
	}
	/* as libpq: with "require", a CA that is given is used (PostgreSQL, "SSL Support") */
	SSL_CTX_set_verify(ctx, verify || ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (!(t = new_tls(ctx)))
		return tls_fail(cx, "TLS library");
	t->check_host = strcmp(sslmode, "verify-full") == 0;
	*out = t;
	return true;
}

StreamTls *
stream_tls_keep(StreamTls *t)
{
	t->users++;
	return t;
}

void
stream_tls_drop(StreamTls *t)
{
	if (!t || --t->users > 0)
		return;
	SSL_CTX_free(t->ctx);
	OPENSSL_free(t);
}

size_t
stream_tls_binding(const StreamTls *t, unsigned char out[64])
{
	const X509 *cert = SSL_CTX_get0_certificate(t->ctx);
	int digest = NID_undef;
	const EVP_MD *md;
	unsigned n = 0;

	if (!cert || !OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, NULL))
		return 0;
	md = digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
	if (!md || EVP_MD_get_size(md) > 64 || X509_digest(cert, md, out, &n) != 1)
		return 0;
	return n;
}

/* --- sockets --------------------------------------------------------------------- */

#define LOST_SENDS  5 /* again, one after the other, without an answer */
#define KEEP_IDLE_S 15

void
stream_watchful(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		    sizeof options[i].value);
}

bool
stream_is_lost(const Stream *s, int ms)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof info;

	return s->fd >= 0 && getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
	    info.tcpi_retransmits >= LOST_SENDS && info.tcpi_last_ack_recv >= (uint32_t)ms;
}

/* --- streams --------------------------------------------------------------------- */

void
stream_open(Stream *s, int fd)
{
	*s = (Stream){ .fd = fd };
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void
stream_close(Stream *s)
{
	if (s->tls) {
		SSL_shutdown(s->tls); /* says goodbye if the socket takes it at once */
		ERR_clear_error();
		SSL_free(s->tls);
		stream_tls_drop(s->with);
	}
	if (s->fd >= 0)
		close(s->fd);
	*s = (Stream){ .fd = -1 };
}

static ssize_t
tls_result(Stream *s, int result)
{
	switch (SSL_get_error(s->tls, result)) {
	case SSL_ERROR_WANT_READ:
		s->wants = LOOP_READ;
		return STREAM_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		s->wants = LOOP_WRITE;
		return STREAM_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return STREAM_BROKEN;
	}
}

static ssize_t
plain_result(Stream *s, ssize_t n, int events)
{
	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return STREAM_BROKEN;
	s->wants = (int8_t)events;
	return STREAM_AGAIN;
}

ssize_t
stream_read(Stream *s, void *out, size_t n)
{
	int got;

	if (!s->tls)
		return plain_result(s, recv(s->fd, out, n, 0), LOOP_READ);
	ERR_clear_error();
	got = SSL_read(s->tls, out, n > INT32_MAX ? INT32_MAX : (int)n);
	s->dry = got <= 0;
	return got > 0 ? got : tls_result(s, got);
}

ssize_t
stream_write(Stream *s, const void *from, size_t n)
{
	int sent;
	ssize_t result;

	if (n == 0)
		return 0;
	if (!s->tls)
		return plain_result(s, send(s->fd, from, n, MSG_NOSIGNAL), LOOP_WRITE);
	ERR_clear_error();
	sent = SSL_write(s->tls, from, n > INT32_MAX ? INT32_MAX : (int)n);
	if (sent > 0)
		return sent;
	result = tls_result(s, sent);
	return result == 0 ? STREAM_BROKEN : result;
}

static bool
start(Stream *s, StreamTls *tls)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (!ssl || SSL_set_fd(ssl, s->fd) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return false;
	}
	s->tls = ssl;
	s->with = stream_tls_keep(tls);
	return true;
}

bool
stream_start_server(Stream *s, StreamTls *tls)
{
	if (!start(s, tls))
		return false;
	SSL_set_accept_state(s->tls);
	return true;
}

static bool
is_address(const char *host)
{
	unsigned char a[16];

	return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

bool
stream_start_client(Stream *s, StreamTls *tls, const char *host)
{
	if (!start(s, tls))
		return false;
	SSL_set_connect_state(s->tls);
	X509_VERIFY_PARAM *param = SSL_get0_param(s->tls);
	bool ok = is_address(host)
	    ? !tls->check_host || X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1
	    : SSL_set_tlsext_host_name(s->tls, host) == 1 &&
		(!tls->check_host || X509_VERIFY_PARAM_set1_host(param, host, 0) == 1);
	ERR_clear_error();
	return ok;
}

int
stream_handshake(Stream *s)
{
	ERR_clear_error();
	int result = SSL_do_handshake(s->tls);
	if (result == 1)
		return 1;
	ssize_t what = tls_result(s, result);
	return what == STREAM_AGAIN ? STREAM_AGAIN : STREAM_BROKEN;
}

const char *
stream_sni(const Stream *s)
{
	return s->tls ? SSL_get_servername(s->tls, TLSEXT_NAMETYPE_host_name) : NULL;
}

bool
stream_has_more(const Stream *s)
{
	return s->tls && (SSL_pending(s->tls) > 0 || (!s->dry && SSL_has_pending(s->tls)));
}

const char *
stream_why(const Stream *s, Arena *mem)
{
	unsigned long code = ERR_peek_error();
	long verify = s->tls ? SSL_get_verify_result(s->tls) : X509_V_OK;

	if (verify != X509_V_OK)
		return arena_dup(mem, X509_verify_cert_error_string(verify));
	if (code != 0 && ERR_reason_error_string(code))
		return arena_dup(mem, ERR_reason_error_string(code));
	return arena_dup(mem, "the connection was closed");
}

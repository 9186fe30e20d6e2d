#include "lib/adapters/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/adapters/loop_intern.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/base/vec.h"

#define SERVE_DEADLINE_MS 30000
#define SERVE_HEAD_MAX    16384
#define SERVE_CONNECTIONS 512
#define SERVE_BACKLOG     512
#define SERVE_TICK_MS     100
#define SERVE_LAST_MS     2000 /* for the answers under way when it stops */

/* evhttp owns the connection; we hold a reference to look at it, until we see that it was freed. */
typedef struct ServeConn {
	struct bufferevent *bev;
	int64_t since; /* accepted, or its last request was answered */
} ServeConn;

struct Serve {
	Arena *mem;
	ServeSpec spec;
	const char *url;
	SSL_CTX *tls;
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *tick;
	VEC(ServeConn) conns;
	bool full;
};

static void
serve_close(void *ptr)
{
	Serve *s = ptr;

	if (s->http)
		evhttp_free(s->http); /* and its listener and connections */
	else if (s->listener)
		evconnlistener_free(s->listener);
	for (size_t i = 0; i < s->conns.n; i++)
		bufferevent_decref(s->conns.at[i].bev);
	if (s->tick)
		event_free(s->tick);
	if (s->base && !s->spec.loop)
		event_base_free(s->base);
	SSL_CTX_free(s->tls);
}

/* --- requests -------------------------------------------------------------------------- */

static void
serve_reply(struct evhttp_request *req, const ServeAnswer *a)
{
	struct evkeyvalq *head = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evhttp_request_get_output_buffer(req);

	evhttp_add_header(head, "Content-Type", a->type);
	evbuffer_add(body, a->body, strlen(a->body));
	evhttp_send_reply(req, a->status, NULL, NULL);
}

static void
serve_touch(Serve *s, struct evhttp_request *req)
{
	const struct bufferevent *bev = evhttp_connection_get_bufferevent(
	    evhttp_request_get_connection(req));

	for (size_t i = 0; i < s->conns.n; i++)
		if (s->conns.at[i].bev == bev)
			s->conns.at[i].since = clock_mono_ms();
}

static void
serve_request(struct evhttp_request *req, void *ptr)
{
	Serve *s = ptr;
	Ctx cx = ctx_new(s->mem);
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	ServeRequest request = {
		.method = evhttp_request_get_command(req) == EVHTTP_REQ_POST ? "POST" : "GET",
		.path = path ? path : "",
		.body = { n ? evbuffer_pullup(in, -1) : (const unsigned char *)"", n },
	};
	ServeAnswer answer = { 0 };

	if (!s->spec.answer(&cx, s->spec.ptr, &request, &answer)) {
		log_raw(fail_text(cx.mem, cx.fail));
		answer = (ServeAnswer){ 500, "text/plain", "the request could not be decided\n" };
	}
	serve_touch(s, req);
	serve_reply(req, &answer);
	arena_free(cx.mem);
}

/* --- connections ----------------------------------------------------------------------- */

static struct bufferevent *
serve_accept(struct event_base *base, void *ptr)
{
	Serve *s = ptr;
	struct bufferevent *bev = s->tls ? bufferevent_openssl_socket_new(base, -1, SSL_new(s->tls),
					       BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
					 : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (!bev)
		return NULL;
	bufferevent_incref(bev);
	vec_push(s->mem, &s->conns, ((ServeConn){ bev, clock_mono_ms() }));
	if (s->conns.n >= SERVE_CONNECTIONS && !s->full) {
		s->full = true;
		evconnlistener_disable(s->listener);
	}
	return bev;
}

static bool
serve_was_freed(struct bufferevent *bev)
{
	bufferevent_event_cb on_event = NULL;
	void *arg = NULL;

	bufferevent_getcb(bev, NULL, NULL, &on_event, &arg);
	return !on_event && !arg;
}

/* evhttp's own timeouts begin anew with every byte; this one does not. */
static void
serve_sweep(Serve *s)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < s->conns.n;) {
		ServeConn *c = &s->conns.at[i];

		if (!serve_was_freed(c->bev) && now - c->since > s->spec.deadline_ms)
			bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
		if (!serve_was_freed(c->bev)) {
			i++;
			continue;
		}
		bufferevent_decref(c->bev);
		*c = s->conns.at[--s->conns.n];
	}
	if (s->full && s->conns.n < SERVE_CONNECTIONS && !lane_stopping()) {
		s->full = false;
		evconnlistener_enable(s->listener);
	}
}

static void
serve_tick(evutil_socket_t fd, short what, void *ptr)
{
	(void)fd, (void)what;
	serve_sweep(ptr);
}

/* What accept() refuses for want of descriptors is tried again when one is closed. */
static void
serve_accept_failed(struct evconnlistener *listener, void *ptr)
{
	Serve *s = ptr;

	log_note("accept: %s", strerror(errno));
	s->full = true;
	evconnlistener_disable(listener);
}

/* --- opening --------------------------------------------------------------------------- */

static bool
serve_is_loopback(const struct sockaddr_storage *at)
{
	if (at->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)at;
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)at)->sin6_addr);
}

/* libevent's own parser knows no port 0. */
static bool
serve_parse(Arena *mem, const char *listen, struct sockaddr_storage *at, int *n)
{
	const char *colon = strrchr(listen, ':');
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
	long port = digits ? strtol(colon + 1, NULL, 10) : -1;

	*n = sizeof *at;
	memset(at, 0, sizeof *at);
	if (!digits || digits > 5 || colon[1 + digits] || port > 65535 ||
	    evutil_parse_sockaddr_port(
		arena_dupn(mem, listen, (size_t)(colon - listen)), (struct sockaddr *)at, n) != 0)
		return false;
	if (at->ss_family == AF_INET)
		((struct sockaddr_in *)at)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)at)->sin6_port = htons((uint16_t)port);
	return true;
}

static bool
serve_address(Ctx *cx, const ServeSpec *spec, struct sockaddr_storage *at, int *n)
{
	if (!serve_parse(cx->mem, spec->listen, at, n))
		return fail(cx, FAIL_USAGE,
		    "Write ADDRESS:PORT, such as 127.0.0.1:8480 or [::]:8480.",
		    "\"%s\" is no address to listen on", spec->listen);
	if (!spec->cert && !spec->plain_anywhere && !serve_is_loopback(at))
		return fail(cx, FAIL_REFUSED,
		    spec->plain_hint
			? spec->plain_hint
			: "Give --cert and --key, or put a TLS proxy before it and say "
			  "--insecure-http.",
		    "plain HTTP on \"%s\" could be reached from elsewhere", spec->listen);
	return true;
}

static bool
serve_tls(Ctx *cx, Serve *s)
{
	if (!s->spec.cert)
		return true;
	s->tls = SSL_CTX_new(TLS_server_method());
	if (!s->tls || SSL_CTX_set_min_proto_version(s->tls, TLS1_2_VERSION) != 1)
		return fail(cx, FAIL_TLS, NULL, "TLS cannot be set up");
	if (SSL_CTX_use_certificate_chain_file(s->tls, s->spec.cert) != 1)
		return fail(cx, FAIL_TLS,
		    "It holds the certificate and those of its issuers, as PEM.",
		    "\"%s\" holds no certificate that can be used", s->spec.cert);
	if (SSL_CTX_use_PrivateKey_file(s->tls, s->spec.key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(s->tls) != 1)
		return fail(cx, FAIL_TLS,
		    "It holds the key of that certificate, as PEM, without a passphrase.",
		    "\"%s\" holds no key for \"%s\"", s->spec.key, s->spec.cert);
	return true;
}

static bool
serve_listen(Ctx *cx, Serve *s)
{
	struct sockaddr_storage at;
	int n;

	if (!serve_address(cx, &s->spec, &at, &n))
		return false;
	s->listener = evconnlistener_new_bind(s->base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, SERVE_BACKLOG,
	    (struct sockaddr *)&at, n);
	if (!s->listener)
		return fail_errno(cx, errno, "Is another process listening there?",
		    "cannot listen on \"%s\"", s->spec.listen);
	evconnlistener_set_error_cb(s->listener, serve_accept_failed);
	return evhttp_bind_listener(s->http, s->listener) != NULL ||
	    fail(cx, FAIL_SYSTEM, NULL, "cannot listen on \"%s\"", s->spec.listen);
}

static const char *
serve_own_url(Arena *mem, const Serve *s)
{
	struct sockaddr_storage at = { 0 };
	socklen_t n = sizeof at;
	const char *scheme = s->tls ? "https" : "http";
	size_t host = (size_t)(strrchr(s->spec.listen, ':') - s->spec.listen);

	getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&at, &n);
	return arena_printf(mem, "%s://%.*s:%d", scheme, (int)host, s->spec.listen,
	    ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port
					  : ((struct sockaddr_in6 *)&at)->sin6_port));
}

static void
serve_said(int severity, const char *text)
{
	(void)severity;
	log_note("libevent: %s", text);
}

static bool
serve_start(Ctx *cx, Serve *s)
{
	const struct timeval tick = { 0, SERVE_TICK_MS * 1000 };

	event_set_log_callback(serve_said);
	s->base = s->spec.loop ? loop_base(s->spec.loop) : event_base_new();
	s->http = s->base ? evhttp_new(s->base) : NULL;
	s->tick = s->base ? event_new(s->base, -1, EV_PERSIST, serve_tick, s) : NULL;
	if (!s->http || !s->tick || event_add(s->tick, &tick) != 0)
		return fail(cx, FAIL_SYSTEM, NULL, "the event loop cannot be set up");
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_max_headers_size(s->http, SERVE_HEAD_MAX);
	evhttp_set_max_body_size(s->http, (ev_ssize_t)s->spec.body_max);
	evhttp_set_timeout(s->http, (int)((s->spec.deadline_ms + 999) / 1000));
	evhttp_set_bevcb(s->http, serve_accept, s);
	evhttp_set_gencb(s->http, serve_request, s);
	return true;
}

bool
serve_open(Ctx *cx, const ServeSpec *spec, Serve **out)
{
	Serve *s = arena_alloc(cx->mem, sizeof *s);

	s->mem = cx->mem;
	s->spec = *spec;
	if (!s->spec.deadline_ms)
		s->spec.deadline_ms = SERVE_DEADLINE_MS;
	arena_on_free(cx->mem, serve_close, s);
	if (!serve_start(cx, s) || !serve_tls(cx, s) || !serve_listen(cx, s))
		return false;
	s->url = serve_own_url(cx->mem, s);
	*out = s;
	return true;
}

const char *
serve_url(const Serve *s)
{
	return s->url;
}

/* --- running --------------------------------------------------------------------------- */

static bool
serve_has_unsent(const Serve *s)
{
	for (size_t i = 0; i < s->conns.n; i++)
		if (!serve_was_freed(s->conns.at[i].bev) &&
		    evbuffer_get_length(bufferevent_get_output(s->conns.at[i].bev)))
			return true;
	return false;
}

bool
serve_run(Ctx *cx, Serve *s)
{
	/* The tick ends each round, so a signal is seen soon. */
	while (!lane_stopping())
		if (event_base_loop(s->base, EVLOOP_ONCE) != 0)
			return fail(cx, FAIL_SYSTEM, NULL, "the event loop ended");
	evconnlistener_disable(s->listener);
	int64_t end = clock_mono_ms() + SERVE_LAST_MS;
	while (serve_has_unsent(s) && clock_mono_ms() < end)
		event_base_loop(s->base, EVLOOP_ONCE);
	return true;
}

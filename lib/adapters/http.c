#include "lib/adapters/http.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"

#define HTTP_CONNECT_MS 5000
#define HTTP_TICK_MS    250 /* a stop is seen as soon as that */
#define HTTP_TO_ONE     8L  /* connections to one server; the others wait for them */
#define HTTP_URL_MAX    2048

struct Http {
	CURLM *multi;
	int epoll;
	int64_t timer; /* mono ms at which libcurl wants to be called; -1: none */
	int running;
};

typedef struct HttpOne {
	HttpAsk *ask;
	CURL *easy;
	struct curl_slist *head;
	Buf body;
	bool too_long;
} HttpOne;

static void
http_close(void *ptr)
{
	Http *h = ptr;

	curl_multi_cleanup(h->multi);
	if (h->epoll >= 0)
		close(h->epoll);
}

/* libcurl says which sockets to watch for it. */
static int
http_watch(CURL *easy, curl_socket_t fd, int what, void *ptr, void *known)
{
	Http *h = ptr;
	struct epoll_event e = { .data.fd = fd };

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, &e);
		return 0;
	}
	e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	if (epoll_ctl(h->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) != 0)
		return -1;
	curl_multi_assign(h->multi, fd, h);
	return 0;
}

static int
http_wake(CURLM *multi, long ms, void *ptr)
{
	Http *h = ptr;

	(void)multi;
	h->timer = ms < 0 ? -1 : clock_mono_ms() + ms;
	return 0;
}

bool
http_new(Ctx *cx, Http **out)
{
	Http *h = arena_alloc(cx->mem, sizeof *h);

	h->timer = -1;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
	arena_on_free(cx->mem, http_close, h);
	if (h->epoll < 0 || !h->multi)
		return fail(cx, FAIL_SYSTEM, NULL, "the HTTP client cannot be set up");
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, http_watch);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, http_wake);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, HTTP_TO_ONE);
	*out = h;
	return true;
}

/* --- one request ------------------------------------------------------------------------ */

static size_t
http_take(char *bytes, size_t size, size_t n, void *ptr)
{
	HttpOne *one = ptr;

	(void)size; /* 1 */
	buf_addn(&one->body, bytes, n);
	one->too_long = one->body.full;
	return one->too_long ? 0 : n;
}

static bool
http_is_here(const char *host)
{
	unsigned char at[4];

	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	    (inet_pton(AF_INET, host, at) == 1 && at[0] == 127);
}

static char *
http_url_part(Arena *mem, CURLU *u, CURLUPart part)
{
	char *text = NULL;
	char *copy = curl_url_get(u, part, &text, 0) == CURLUE_OK ? arena_dup(mem, text) : NULL;

	curl_free(text);
	return copy;
}

static bool
http_url_is_here(Arena *mem, const char *url)
{
	CURLU *u = curl_url();
	char *host = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK
	    ? http_url_part(mem, u, CURLUPART_HOST)
	    : NULL;

	curl_url_cleanup(u);
	return host && http_is_here(host);
}

static void
http_trust(CURL *easy, const char *ca)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)ca, .flags = CURL_BLOB_COPY };

	if (!ca)
		return;
	blob.len = strlen(ca);
	curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static void
http_start(Ctx *cx, Http *h, HttpAsk *ask, int64_t left_ms)
{
	HttpOne *one = arena_alloc(cx->mem, sizeof *one);
	CURL *c = curl_easy_init();

	one->ask = ask;
	one->easy = c;
	one->body = buf_new_max(cx->mem, ask->answer_max);
	one->head = curl_slist_append(NULL, arena_printf(cx->mem, "Content-Type: %s", ask->type));
	one->head = curl_slist_append(one->head, "Expect:");
	ask->own = one;
	curl_easy_setopt(c, CURLOPT_URL, ask->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, ask->body);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body_n);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, one->head);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "copyhold/" COPYHOLD_VERSION);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, one);
	curl_easy_setopt(c, CURLOPT_PRIVATE, one);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(
	    c, CURLOPT_QUICK_EXIT, 1L); /* a name that is still looked up holds nobody */
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)left_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(left_ms < HTTP_CONNECT_MS ? left_ms : HTTP_CONNECT_MS));
	if (http_url_is_here(cx->mem, ask->url))
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	http_trust(c, ask->ca);
	curl_multi_add_handle(h->multi, c);
}

static void
http_finish(Ctx *cx, Http *h, HttpOne *one, CURLcode code)
{
	HttpAsk *ask = one->ask;
	long status = 0;
	const char *type = NULL;

	curl_easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(one->easy, CURLINFO_CONTENT_TYPE, &type);
	if (code == CURLE_OK) {
		ask->status = (int)status;
		ask->answer_type = arena_dup(cx->mem, type ? type : "");
		ask->answer = one->body.text;
		ask->answer_n = one->body.len;
		ask->error = NULL;
	} else
		ask->error = one->too_long
		    ? arena_printf(cx->mem, "the answer is longer than %zu bytes", ask->answer_max)
		    : arena_dup(cx->mem, curl_easy_strerror(code));
	curl_multi_remove_handle(h->multi, one->easy);
	curl_easy_cleanup(one->easy);
	curl_slist_free_all(one->head);
	ask->own = NULL;
}

/* --- all of them ------------------------------------------------------------------------ */

static void
http_reap(Ctx *cx, Http *h)
{
	CURLMsg *said;
	int left;

	while ((said = curl_multi_info_read(h->multi, &left))) {
		char *one = NULL;
		CURLcode code = said->data.result;

		if (said->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, &one);
		http_finish(cx, h, (HttpOne *)(void *)one, code);
	}
}

static void
http_turn(Http *h)
{
	struct epoll_event ready[16];
	int64_t tick = clock_mono_ms() + HTTP_TICK_MS;
	bool timer = h->timer >= 0 && h->timer <= tick;
	int n = 0;

	if (lane_wait(h->epoll, LANE_READ, timer ? h->timer : tick))
		n = epoll_wait(h->epoll, ready, 16, 0);
	for (int i = 0; i < n; i++) {
		unsigned e = ready[i].events;
		int mask = (e & EPOLLIN ? CURL_CSELECT_IN : 0) |
		    (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		    (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
		curl_multi_socket_action(h->multi, ready[i].data.fd, mask, &h->running);
	}
	if (h->timer >= 0 && h->timer <= clock_mono_ms()) {
		h->timer = -1;
		curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &h->running);
	}
}

void
http_post(Ctx *cx, Http *h, HttpAsk *asks, size_t n, int64_t deadline_mono_ms)
{
	int64_t left = deadline_mono_ms - clock_mono_ms();

	for (size_t i = 0; i < n; i++)
		http_start(cx, h, &asks[i], left > 1 ? left : 1);
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &h->running);
	http_reap(cx, h);
	while (h->running && !lane_stopping()) {
		http_turn(h);
		http_reap(cx, h);
	}
	for (size_t i = 0; i < n; i++)
		if (asks[i].own)
			http_finish(cx, h, asks[i].own, CURLE_ABORTED_BY_CALLBACK);
}

/* --- addresses -------------------------------------------------------------------------- */

static bool
http_check_parts(Ctx *cx, const char *url, CURLU *u, bool insecure)
{
	static const CURLUPart none[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
		CURLUPART_FRAGMENT };
	const char *scheme = http_url_part(cx->mem, u, CURLUPART_SCHEME);
	const char *host = http_url_part(cx->mem, u, CURLUPART_HOST);

	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (http_url_part(cx->mem, u, none[i]))
			return fail(cx, FAIL_USAGE, "Give scheme, host, port and path.",
			    "the address has a login, a query or a fragment");
	if (!scheme || !host || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		return fail(cx, FAIL_USAGE, "It begins with https://.",
		    "\"%s\" is no address of a web server", url);
	if (strcmp(scheme, "http") == 0 && !insecure && !http_is_here(host))
		return fail(cx, FAIL_REFUSED, "Use https, or say --insecure-http.",
		    "plain HTTP to \"%s\" could be read and changed on its way", host);
	return true;
}

bool
http_check_url(Ctx *cx, const char *url, bool insecure, char **out)
{
	CURLU *u;
	size_t n = strlen(url);
	bool ok;

	while (n && url[n - 1] == '/')
		n--;
	if (n > HTTP_URL_MAX || !utf8_valid(url, n))
		return fail(cx, FAIL_USAGE, "It begins with https://.", "the address is not one");
	char *bare = arena_dupn(cx->mem, url, n);
	u = curl_url();
	ok = curl_url_set(u, CURLUPART_URL, bare, 0) == CURLUE_OK
	    ? http_check_parts(cx, bare, u, insecure)
	    : fail(cx, FAIL_USAGE, "It begins with https://.",
		  "\"%s\" is no address of a web server", bare);
	curl_url_cleanup(u);
	if (ok)
		*out = bare;
	return ok;
}

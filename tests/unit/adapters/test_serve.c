#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/adapters/http.h"
#include "lib/adapters/serve.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "tests/unit/temp.h"

/* The server runs in a child, as it does in life: alone in its process. */
static Ctx cx;
static pid_t server;
static char *url;
static int port;

static bool
answer(Ctx *c, void *ptr, const ServeRequest *r, ServeAnswer *out)
{
	(void)ptr;
	if (strcmp(r->path, "/fail") == 0)
		return fail(c, FAIL_SYSTEM, NULL, "it failed");
	if (strcmp(r->path, "/big") == 0) {
		char *big = arena_alloc(c->mem, 1 << 20);
		memset(big, 'x', (1 << 20) - 1);
		*out = (ServeAnswer){ 200, "text/plain", big };
		return true;
	}
	*out = (ServeAnswer){ r->body.n == 3 ? 422 : 200, "text/x.test",
		arena_printf(c->mem, "%s %s %.*s\n", r->method, r->path, (int)r->body.n,
		    (const char *)r->body.at) };
	return true;
}

static void
run_server(const ServeSpec *spec, int tell)
{
	Ctx own = ctx_new(NULL);
	Serve *s;

	log_setup(LOG_QUIET, false);
	lane_catch_signals();
	if (!serve_open(&own, spec, &s)) {
		fputs(fail_text(own.mem, own.fail), stderr);
		_exit(2);
	}
	if (write(tell, serve_url(s), strlen(serve_url(s))) < 0)
		_exit(3);
	close(tell);
	bool ok = serve_run(&own, s);
	arena_free(own.mem);
	_exit(ok ? 0 : 4);
}

static void
start(ServeSpec spec)
{
	char text[128] = { 0 };
	int fds[2];

	spec.listen = "127.0.0.1:0";
	spec.answer = answer;
	spec.body_max = spec.body_max ? spec.body_max : 1000;
	assert_int_equal(pipe(fds), 0);
	server = fork();
	assert_true(server >= 0);
	if (!server) {
		close(fds[0]);
		run_server(&spec, fds[1]);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof text - 1) > 0);
	close(fds[0]);
	url = arena_dup(cx.mem, text);
	port = (int)strtol(strrchr(url, ':') + 1, NULL, 10);
}

static void
stop(void)
{
	int status;

	assert_int_equal(kill(server, SIGTERM), 0);
	assert_int_equal(waitpid(server, &status, 0), server);
	server = 0;
	assert_int_equal(status, 0);
}

static int
setup(void **state)
{
	(void)state;
	cx = ctx_new(NULL);
	server = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (server > 0)
		kill(server, SIGKILL);
	while (wait(NULL) > 0)
		;
	arena_free(cx.mem);
	return 0;
}

/* --- raw connections ---------------------------------------------------------------------- */

static int
dial(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static void
send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes until the other side closes. */
static char *
read_all(int fd)
{
	Buf b = buf_new(cx.mem);
	char bytes[4096];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
		buf_addn(&b, bytes, (size_t)n);
	close(fd);
	return b.text;
}

static char *
talk(const char *text)
{
	int fd = dial();

	send_text(fd, text);
	return read_all(fd);
}

static const char *
first_line(const char *answer_text)
{
	return arena_dupn(cx.mem, answer_text, strcspn(answer_text, "\r"));
}

/* One connection is accepted, gets these bytes, and is closed. */
static void
canned(const char *bytes)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	port = ntohs(at.sin_port);
	url = arena_printf(cx.mem, "http://127.0.0.1:%d", port);
	server = fork();
	if (!server) {
		char head[4096];
		int c = accept(fd, NULL, NULL);
		if (recv(c, head, sizeof head, 0) < 0)
			_exit(1);
		send(c, bytes, strlen(bytes), MSG_NOSIGNAL);
		if (!*bytes) /* says nothing until it is left */
			while (recv(c, head, sizeof head, 0) > 0)
				;
		_exit(0);
	}
	close(fd);
}

static HttpAsk
post(const char *path, const char *body, const char *ca, int64_t ms)
{
	HttpAsk ask = { .url = arena_printf(cx.mem, "%s%s", url, path),
		.type = "text/plain",
		.body = body,
		.body_n = strlen(body),
		.ca = ca,
		.answer_max = 64 };
	Http *h;

	assert_true(http_new(&cx, &h));
	http_post(&cx, h, &ask, 1, clock_mono_ms() + ms);
	return ask;
}

/* --- answers ------------------------------------------------------------------------------- */

static void
a_request_gets_the_answer_of_the_function(void **state)
{
	HttpAsk a;

	(void)state;
	start((ServeSpec){ 0 });
	a = post("/one?x=1", "hello", NULL, 60000);
	assert_null(a.error);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.answer_type, "text/x.test");
	assert_string_equal(a.answer, "POST /one hello\n");
	a = post("/two", "abc", NULL, 60000);
	assert_int_equal(a.status, 422);
	assert_string_equal(a.answer, "POST /two abc\n");
	a = post("/fail", "", NULL, 60000);
	assert_int_equal(a.status, 500);
	assert_string_equal(a.answer, "the request could not be decided\n");
	stop();
}

static void
many_requests_side_by_side_get_an_answer_each(void **state)
{
	HttpAsk asks[100];
	Http *h;

	(void)state;
	start((ServeSpec){ 0 });
	assert_true(http_new(&cx, &h));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++)
			asks[i] = (HttpAsk){ .url = arena_printf(cx.mem, "%s/%d", url, i),
				.type = "text/plain",
				.body = "body",
				.body_n = 4,
				.answer_max = 100 };
		http_post(&cx, h, asks, 100, clock_mono_ms() + 60000);
		for (int i = 0; i < 100; i++) {
			assert_null(asks[i].error);
			assert_string_equal(
			    asks[i].answer, arena_printf(cx.mem, "POST /%d body\n", i));
		}
	}
	stop();
}

static void
several_requests_go_over_one_connection(void **state)
{
	(void)state;
	start((ServeSpec){ 0 });
	char *all = talk("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
			 "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
			 "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(all, "\r\n\r\nGET /1 \nHTTP/1.1 200 "));
	assert_non_null(strstr(all, "\r\n\r\nPOST /2 hi\nHTTP/1.1 200 "));
	assert_non_null(strstr(all, "\r\n\r\nGET /3 \n"));
	stop();
}

static void
what_is_too_large_or_no_http_is_refused(void **state)
{
	char *head = arena_alloc(cx.mem, 40000);

	(void)state;
	start((ServeSpec){ 0 });
	assert_string_equal(
	    first_line(talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")),
	    "HTTP/1.1 413 Request Entity Too Large");
	assert_string_equal(
	    first_line(talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")),
	    "HTTP/1.1 400 Bad Request");
	assert_string_equal(
	    first_line(
		talk("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n")),
	    "HTTP/1.1 413 Request Entity Too Large");
	assert_string_equal(first_line(talk("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n")),
	    "HTTP/1.1 501 Not Implemented");
	talk("\x16\x03\x01 garbage\r\n\r\n");
	memset(head, 'x', 39999);
	talk(arena_printf(cx.mem, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", head));
	assert_string_equal(
	    first_line(talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")),
	    "HTTP/1.1 200 OK");
	stop();
}

/* --- deadlines ------------------------------------------------------------------------------- */

#define DEADLINE_MS 1500 /* enough for a client on a busy machine to say what it has to say */

static void
who_sends_a_byte_now_and_then_is_closed_all_the_same(void **state)
{
	int fd, silent, answered;
	ssize_t n = 1;

	(void)state;
	start((ServeSpec){ .deadline_ms = DEADLINE_MS });
	silent = dial();
	answered = dial();
	send_text(answered, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	fd = dial();
	send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
	while (n > 0) {
		char byte = 'x';
		struct timeval pause = { 0, 5000 };

		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause), 0);
		if (send(fd, &byte, 1, MSG_NOSIGNAL) < 0)
			break;
		n = recv(fd, &byte, 1, 0);
		n = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 1 : n;
	}
	close(fd);
	assert_string_equal(read_all(silent), "");
	assert_string_equal(first_line(read_all(answered)), "HTTP/1.1 200 OK");
	stop();
}

static void
more_connections_than_are_allowed_are_served_as_others_end(void **state)
{
	int fds[700];

	(void)state;
	start((ServeSpec){ .deadline_ms = DEADLINE_MS });
	for (int i = 0; i < 700; i++)
		fds[i] = dial();
	assert_string_equal(
	    first_line(talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")),
	    "HTTP/1.1 200 OK");
	for (int i = 0; i < 700; i++)
		assert_string_equal(read_all(fds[i]), "");
	stop();
}

static void
an_answer_that_nobody_takes_ends_with_its_connection(void **state)
{
	(void)state;
	start((ServeSpec){ .deadline_ms = DEADLINE_MS });
	int fd = dial();
	for (int i = 0; i < 16; i++)
		send_text(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	char byte;
	while (recv(fd, &byte, 1, MSG_PEEK) == 0)
		;
	/* Another one is served meanwhile, and stopping does not wait for it for ever. */
	assert_string_equal(
	    first_line(talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")),
	    "HTTP/1.1 200 OK");
	stop();
	close(fd);
}

/* --- where it listens -------------------------------------------------------------------------- */

static void
refuses(ServeSpec spec, const char *said)
{
	Serve *s;

	spec.answer = answer;
	assert_false(serve_open(&cx, &spec, &s));
	assert_string_equal(fail_text(cx.mem, cx.fail), said);
	fail_clear(&cx);
}

static void
addresses_are_checked_and_plain_http_stays_on_this_machine(void **state)
{
	Serve *s;
	ServeSpec open_wide = { .listen = "0.0.0.0:0", .plain_anywhere = true, .answer = answer };

	(void)state;
	refuses((ServeSpec){ .listen = "0.0.0.0:8480" },
	    "error[refused]: plain HTTP on \"0.0.0.0:8480\" could be reached from elsewhere\n"
	    "  hint:  Give --cert and --key, or put a TLS proxy before it and say --insecure-http.\n");
	refuses((ServeSpec){ .listen = "[::]:8480" },
	    "error[refused]: plain HTTP on \"[::]:8480\" could be reached from elsewhere\n"
	    "  hint:  Give --cert and --key, or put a TLS proxy before it and say --insecure-http.\n");
	refuses((ServeSpec){ .listen = "example.com:80" },
	    "error[usage]: \"example.com:80\" is no address to listen on\n"
	    "  hint:  Write ADDRESS:PORT, such as 127.0.0.1:8480 or [::]:8480.\n");
	refuses((ServeSpec){ .listen = "127.0.0.1" },
	    "error[usage]: \"127.0.0.1\" is no address to listen on\n"
	    "  hint:  Write ADDRESS:PORT, such as 127.0.0.1:8480 or [::]:8480.\n");
	assert_true(serve_open(&cx, &open_wide, &s));
	assert_true(strncmp(serve_url(s), "http://0.0.0.0:", 15) == 0);
	start((ServeSpec){ 0 });
	refuses((ServeSpec){ .listen = strrchr(url, '/') + 1 },
	    arena_printf(cx.mem,
		"error[system]: cannot listen on \"127.0.0.1:%d\" (EADDRINUSE)\n"
		"  hint:  Is another process listening there?\n",
		port));
	stop();
}

/* --- TLS ------------------------------------------------------------------------------------- */

static char *dir;

/* A certificate of its own making for 127.0.0.1 or a name. */
static char *
certificate(const char *name, const char *alt)
{
	const char *cert = arena_printf(cx.mem, "%s/%s.pem", dir, name);
	const char *argv[] = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
		"-addext", alt, "-keyout", arena_printf(cx.mem, "%s/%s.key", dir, name), "-out",
		cert, NULL };
	ProcSpec spec = { .argv = argv };
	ProcResult r;
	char *text;
	size_t n;

	assert_true(proc_run(&cx, &spec, &r));
	assert_int_equal(r.exit_code, 0);
	assert_true(file_read(&cx, cert, 1 << 20, &text, &n));
	return text;
}

static void
certificates_are_verified_for_their_issuer_and_their_name(void **state)
{
	char *right, *other, *wrong_name;
	HttpAsk a;

	(void)state;
	assert_true(temp_dir(&cx, &dir));
	right = certificate("right", "subjectAltName=IP:127.0.0.1");
	other = certificate("other", "subjectAltName=IP:127.0.0.1");
	wrong_name = certificate("name", "subjectAltName=DNS:witness.example");
	start((ServeSpec){ .cert = arena_printf(cx.mem, "%s/right.pem", dir),
	    .key = arena_printf(cx.mem, "%s/right.key", dir) });
	assert_true(strncmp(url, "https://127.0.0.1:", 18) == 0);
	a = post("/tls", "body", right, 60000);
	assert_null(a.error);
	assert_string_equal(a.answer, "POST /tls body\n");
	a = post("/tls", "body", other, 60000);
	assert_string_equal(a.error, "SSL peer certificate or SSH remote key was not OK");
	a = post("/tls", "body", NULL, 60000);
	assert_string_equal(a.error, "SSL peer certificate or SSH remote key was not OK");
	assert_int_equal(a.status, 0);
	stop();
	start((ServeSpec){ .cert = arena_printf(cx.mem, "%s/name.pem", dir),
	    .key = arena_printf(cx.mem, "%s/name.key", dir) });
	a = post("/tls", "body", wrong_name, 60000);
	assert_string_equal(a.error, "SSL peer certificate or SSH remote key was not OK");
	stop();
}

static void
a_server_without_a_usable_certificate_does_not_start(void **state)
{
	const char *cert, *key;

	(void)state;
	assert_true(temp_dir(&cx, &dir));
	certificate("one", "subjectAltName=IP:127.0.0.1");
	certificate("two", "subjectAltName=IP:127.0.0.1");
	cert = arena_printf(cx.mem, "%s/one.pem", dir);
	key = arena_printf(cx.mem, "%s/two.key", dir);
	refuses((ServeSpec){ .listen = "0.0.0.0:0", .cert = cert, .key = key },
	    arena_printf(cx.mem,
		"error[tls]: \"%s\" holds no key for \"%s\"\n"
		"  hint:  It holds the key of that certificate, as PEM, without a passphrase.\n",
		key, cert));
	refuses((ServeSpec){ .listen = "0.0.0.0:0", .cert = key, .key = key },
	    arena_printf(cx.mem,
		"error[tls]: \"%s\" holds no certificate that can be used\n"
		"  hint:  It holds the certificate and those of its issuers, as PEM.\n",
		key));
}

/* --- the client --------------------------------------------------------------------------------- */

static void
an_answer_that_is_too_long_or_none_is_an_error(void **state)
{
	HttpAsk a;

	(void)state;
	start((ServeSpec){ 0 });
	a = post("/big", "", NULL, 60000);
	assert_int_equal(a.status, 0);
	assert_string_equal(a.error, "the answer is longer than 64 bytes");
	stop();
	a = post("/", "", NULL, 60000);
	assert_string_equal(a.error, "Couldn't connect to server");
	canned("no http at all\r\n\r\n");
	a = post("/", "", NULL, 60000);
	assert_string_equal(a.error, "Unsupported protocol");
}

static void
a_server_that_says_nothing_is_left_at_the_deadline(void **state)
{
	(void)state;
	canned("");
	assert_string_equal(post("/", "", NULL, 200).error, "Timeout was reached");
}

static void
a_redirect_is_an_answer_like_others(void **state)
{
	HttpAsk a;

	(void)state;
	canned("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	a = post("/", "", NULL, 60000);
	assert_null(a.error);
	assert_int_equal(a.status, 302);
}

static void
checked(const char *text, bool insecure, const char *bare)
{
	char *out = NULL;

	assert_true(http_check_url(&cx, text, insecure, &out));
	assert_string_equal(out, bare);
}

static void
unchecked(const char *text, const char *said)
{
	char *out = NULL;

	assert_false(http_check_url(&cx, text, false, &out));
	assert_null(out);
	assert_string_equal(fail_text(cx.mem, cx.fail), said);
	fail_clear(&cx);
}

static void
addresses_are_https_or_of_this_machine(void **state)
{
	const char *parts = "error[usage]: the address has a login, a query or a fragment\n"
			    "  hint:  Give scheme, host, port and path.\n";

	(void)state;
	checked("https://witness.example/w1/", false, "https://witness.example/w1");
	checked("https://witness.example:8443", false, "https://witness.example:8443");
	checked("http://127.0.0.1:8480//", false, "http://127.0.0.1:8480");
	checked("http://localhost:8480", false, "http://localhost:8480");
	checked("http://[::1]:8480", false, "http://[::1]:8480");
	checked("http://witness.example", true, "http://witness.example");
	unchecked("http://witness.example",
	    "error[refused]: plain HTTP to \"witness.example\" could be read and changed on its way\n"
	    "  hint:  Use https, or say --insecure-http.\n");
	unchecked("http://127.evil.example",
	    "error[refused]: plain HTTP to \"127.evil.example\" could be read and changed on its way\n"
	    "  hint:  Use https, or say --insecure-http.\n");
	unchecked("https://user:pass@witness.example", parts);
	unchecked("https://witness.example/?a=b", parts);
	unchecked("https://witness.example/#a", parts);
	unchecked("file:///etc/passwd",
	    "error[usage]: \"file:///etc/passwd\" is no address of a web server\n"
	    "  hint:  It begins with https://.\n");
	unchecked("witness.example",
	    "error[usage]: \"witness.example\" is no address of a web server\n"
	    "  hint:  It begins with https://.\n");
	unchecked("",
	    "error[usage]: \"\" is no address of a web server\n"
	    "  hint:  It begins with https://.\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_gets_the_answer_of_the_function),
		TEST(many_requests_side_by_side_get_an_answer_each),
		TEST(several_requests_go_over_one_connection),
		TEST(what_is_too_large_or_no_http_is_refused),
		TEST(who_sends_a_byte_now_and_then_is_closed_all_the_same),
		TEST(more_connections_than_are_allowed_are_served_as_others_end),
		TEST(an_answer_that_nobody_takes_ends_with_its_connection),
		TEST(addresses_are_checked_and_plain_http_stays_on_this_machine),
		TEST(certificates_are_verified_for_their_issuer_and_their_name),
		TEST(a_server_without_a_usable_certificate_does_not_start),
		TEST(an_answer_that_is_too_long_or_none_is_an_error),
		TEST(a_server_that_says_nothing_is_left_at_the_deadline),
		TEST(a_redirect_is_an_answer_like_others),
		TEST(addresses_are_https_or_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The expected replies, the codec and SCRAM against a real server, over a socket of our own. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/adapters/scram.h"
#include "region/gateway/replies.h"
#include "region/gateway/wire.h"
#include "tests/unit/unit.h"

#define PATIENCE 30000 /* ms: a server that says nothing for so long has been waited for in vain */
#define ROOM     65536

typedef struct Talk {
	int fd;
	unsigned char in[ROOM];
	size_t n;
	Owed room[1024];
	Replies q;
	bool closed, violated;
	char status;
	char heard[4096]; /* types that came, but for S, N, A and K */
	size_t heard_n;
	char row[64]; /* the first column of the last row */
} Talk;

static int
test_port(void)
{
	return (int)strtol(getenv("COPYHOLD_TEST_PORT"), NULL, 10);
}

static void
raw(Talk *t, const void *bytes, size_t n)
{
	for (size_t at = 0; at < n && !t->closed;) {
		ssize_t sent = send(t->fd, (const char *)bytes + at, n - at, MSG_NOSIGNAL);
		t->closed = sent <= 0;
		at += sent > 0 ? (size_t)sent : 0;
	}
}

/* What of it there is now, or after a wait; false: nothing. */
static bool
more(Talk *t, int wait)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	if (t->closed || poll(&p, 1, wait) <= 0)
		return false;
	ssize_t n = recv(t->fd, t->in + t->n, sizeof t->in - t->n, 0);
	t->closed = n <= 0;
	t->n += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* One message, its body in t->in until the next call of drop(). */
static bool
message(Talk *t, int wait, WireHead *head)
{
	for (;;) {
		WireLook look = wire_head(t->in, t->n, head);
		assert_int_not_equal(look, WIRE_BAD);
		if (look == WIRE_OK && t->n >= WIRE_HEAD + head->body)
			return true;
		if (!more(t, wait))
			return false;
	}
}

static void
drop(Talk *t, const WireHead *head)
{
	size_t n = WIRE_HEAD + head->body;

	memmove(t->in, t->in + n, t->n - n);
	t->n -= n;
}

static void
connect_to(Talk *t, bool tcp)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in inet = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)test_port()),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	memset(t, 0, sizeof *t);
	replies_init(&t->q, t->room, sizeof t->room / sizeof *t->room);
	snprintf(local.sun_path, sizeof local.sun_path, "%s/.s.PGSQL.%d",
	    getenv("COPYHOLD_TEST_SOCKET"), test_port());
	t->fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
	assert_true(t->fd >= 0);
	const struct sockaddr *to = tcp ? (void *)&inet : (void *)&local;
	assert_int_equal(connect(t->fd, to, tcp ? sizeof inet : sizeof local), 0);
}

static void
first_packet(Talk *t, const char *user)
{
	const StartupParam params[] = { { "user", user }, { "database", "postgres" } };
	unsigned char out[256];

	raw(t, out, wire_put_startup(out, sizeof out, params, 2));
}

/* After the login: up to the first ReadyForQuery. */
static void
until_ready(Talk *t)
{
	WireHead head;

	do {
		assert_true(message(t, PATIENCE, &head));
		if (head.type == 'E') {
			WireError e;
			assert_true(wire_error_read(t->in + WIRE_HEAD, head.body, &e));
			assert_string_equal(e.message, ""); /* shows what it said */
		}
		assert_true(wire_from_server(head.type) || head.type == 'R');
		drop(t, &head);
	} while (head.type != 'Z');
}

static void
say(Talk *t, char type, const void *body, size_t n)
{
	unsigned char head[WIRE_HEAD] = { (unsigned char)type, 0, 0, (unsigned char)((n + 4) >> 8),
		(unsigned char)(n + 4) };

	replies_sent(&t->q, type, REPLY_CLIENTS, 0);
	raw(t, head, sizeof head);
	raw(t, body, n);
}

#define SAY(t, type, text) say(t, type, text, sizeof(text))

static void
note(Talk *t, const WireHead *head)
{
	const unsigned char *body = t->in + WIRE_HEAD;

	if (!strchr("SNAK", head->type) && t->heard_n + 1 < sizeof t->heard)
		t->heard[t->heard_n++] = head->type;
	if (head->type == 'Z')
		assert_true(wire_status(body, head->body, &t->status));
	if (head->type == 'D' && head->body > 6 && head->body < 6 + sizeof t->row) {
		memset(t->row, 0, sizeof t->row);
		memcpy(t->row, body + 6, head->body - 6);
	}
}

static bool
listen_once(Talk *t, int wait)
{
	WireHead head;

	if (!message(t, wait, &head))
		return false;
	assert_true(wire_from_server(head.type));
	note(t, &head);
	if (replies_came(&t->q, head.type, NULL, NULL).todo == REPLY_VIOLATION)
		t->violated = true;
	drop(t, &head);
	return true;
}

/* Everything that is owed; a COPY that has begun is ended. */
static void
settle(Talk *t)
{
	while (!t->closed && !replies_quiet(&t->q) && !t->q.doubtful && !t->violated) {
		if (t->q.copy_in && t->q.marks == 0) {
			say(t, 'c', "", 0);
			say(t, 'S', "", 0);
		}
		if (!listen_once(t, PATIENCE))
			assert_true(t->closed); /* else the queue waits for what never comes */
	}
}

static void
begin(Talk *t)
{
	connect_to(t, false);
	first_packet(t, getenv("COPYHOLD_TEST_SUPERUSER"));
	until_ready(t);
	SAY(t, 'Q',
	    "CREATE TEMP TABLE t(a int); CREATE TEMP TABLE u(a int UNIQUE DEFERRABLE INITIALLY "
	    "DEFERRED); CREATE TEMP VIEW v AS SELECT 1 AS a; INSERT INTO u VALUES (1)");
	settle(t);
	assert_true(replies_quiet(&t->q));
	t->heard_n = 0;
	memset(t->heard, 0, sizeof t->heard);
}

/* The server's process is waited for: under load many that are leaving would take all its places. */
static void
end(Talk *t)
{
	struct pollfd at = { .fd = t->fd, .events = POLLIN };
	char rest[4096];

	shutdown(t->fd, SHUT_WR);
	while (poll(&at, 1, PATIENCE) > 0 && recv(t->fd, rest, sizeof rest, 0) > 0)
		;
	close(t->fd);
}

/* The next answer is to the next question. */
static void
still_in_step(Talk *t, int number)
{
	char sql[64], row[16];

	SAY(t, 'Q', "ROLLBACK");
	settle(t);
	int n = snprintf(sql, sizeof sql, "SELECT %d", number);
	say(t, 'Q', sql, (size_t)n + 1);
	settle(t);
	snprintf(row, sizeof row, "%d", number);
	assert_string_equal(t->row, row);
	assert_true(replies_quiet(&t->q));
	assert_int_equal(t->status, 'I');
}

static const struct {
	char type;
	const char *body;
	size_t n;
} messages[] = {
#define M(type, body) \
	{ \
		type, body, sizeof(body) - 1 \
	}
	M('Q', "SELECT 1\0"),
	M('Q', "SELECT 1/0\0"),
	M('Q', "\0"),
	M('Q', "SELECT 1; SELECT 1/0; SELECT 1\0"),
	M('Q', "BEGIN\0"),
	M('Q', "COMMIT\0"),
	M('Q', "COPY u TO STDOUT; SELECT 1\0"),
	M('Q', "COPY t FROM STDIN\0"),
	M('Q', "COPY t FROM STDIN; SELECT 1; COPY t FROM STDIN\0"),
	M('Q', "COPY v FROM STDIN\0"),
	M('Q', "INSERT INTO u VALUES (1)\0"),
	M('P', "\0SELECT 1\0\0\0"),
	M('P', "\0SELECT 1\0\0\0"),
	M('P', "\0SELECT a FROM u UNION ALL SELECT 2\0\0\0"),
	M('P', "\0SELEC\0\0\0"),
	M('P', "\0\0\0\0"),
	M('P', "\0COPY t FROM STDIN\0\0\0"),
	M('P', "\0COPY v FROM STDIN\0\0\0"),
	M('P', "\0COPY u TO STDOUT\0\0\0"),
	M('P', "\0INSERT INTO u VALUES (1)\0\0\0"),
	M('B', "\0\0\0\0\0\0\0\0"),
	M('B', "\0\0\0\0\0\0\0\0"),
	M('B', "\0missing\0\0\0\0\0\0\0"),
	M('D', "P\0"),
	M('D', "S\0"),
	M('E', "\0\0\0\0\0"),
	M('E', "\0\0\0\0\0"),
	M('E', "\0\0\0\0\1"),
	M('C', "P\0"),
	M('C', "Smissing\0"),
	M('S', ""),
	M('S', ""),
	M('S', ""),
	M('H', ""),
	M('F', "\0\0\6\x4a\0\0\0\0\0\0"),   /* pi() */
	M('F', "\5\xf5\xe1\0\0\0\0\0\0\0"), /* none */
	M('c', ""),
	M('f', "no\0"),
	M('d', "1\n"),
	M('d', "x\n"),
#undef M
};

/* Pipelines of anything, read at any time: the queue is never surprised, and knows when it is over. */
static void
the_queue_agrees_with_postgresql_whatever_is_sent(void **state)
{
	static Talk t;
	uint64_t x = 88172645463325252u;
	int sure = 0, doubtful = 0;

	(void)state;
	begin(&t);
	for (int round = 0; round < 1500; round++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		int n = (int)(x >> 60) + 1;
		for (int i = 0; i < n; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			size_t m = (size_t)(x >> 33) % (sizeof messages / sizeof *messages);
			if (!t.q.copy_in || strchr("dcfHS", messages[m].type))
				say(&t, messages[m].type, messages[m].body, messages[m].n);
			while ((x >> 20) % 3 == 0 && listen_once(&t, 0))
				;
		}
		say(&t, 'S', "", 0);
		settle(&t);
		assert_false(t.violated);
		if (t.q.doubtful || t.closed) {
			doubtful++;
			end(&t);
			begin(&t);
			continue;
		}
		sure++;
		still_in_step(&t, round);
	}
	end(&t);
	assert_in_range(sure, 900, 1500);
	assert_in_range(doubtful, 1, 600);
}

/* What libpq's PQexecParams() sends for COPY: a Sync that the server reads as part of it. */
static void
a_sync_before_copy_begins_is_not_answered(void **state)
{
	static Talk t;

	(void)state;
	begin(&t);
	say(&t, 'P', "\0COPY t FROM STDIN\0\0\0", 21);
	say(&t, 'B', "\0\0\0\0\0\0\0\0", 8);
	say(&t, 'D', "P\0", 2);
	say(&t, 'E', "\0\0\0\0\0", 5);
	say(&t, 'S', "", 0);
	while (!t.q.copy_in)
		assert_true(listen_once(&t, PATIENCE));
	say(&t, 'd', "1\n", 2);
	say(&t, 'S', "", 0);
	say(&t, 'c', "", 0);
	say(&t, 'S', "", 0);
	settle(&t);
	assert_string_equal(t.heard, "12nGCZ");
	still_in_step(&t, 7);
	end(&t);
}

static void
a_copy_that_fails_with_a_sync_before_its_end_is_doubtful(void **state)
{
	static Talk t;

	(void)state;
	begin(&t);
	say(&t, 'P', "\0COPY t FROM STDIN\0\0\0", 21);
	say(&t, 'B', "\0\0\0\0\0\0\0\0", 8);
	say(&t, 'E', "\0\0\0\0\0", 5);
	say(&t, 'S', "", 0);
	while (!t.q.copy_in)
		assert_true(listen_once(&t, PATIENCE));
	say(&t, 'd', "x\n", 2);
	say(&t, 'f', "no\0", 3);
	say(&t, 'S', "", 0);
	settle(&t);
	assert_true(t.q.doubtful);
	while (t.status == '\0' || t.heard[t.heard_n - 1] != 'Z')
		assert_true(listen_once(&t, PATIENCE));
	assert_string_equal(t.heard, "12GEZ"); /* here the server had heard it */
	assert_false(t.violated);
	end(&t);
}

static void
a_farewell_of_the_server_is_no_answer(void **state)
{
	static Talk t, other;
	char sql[64];

	(void)state;
	begin(&t);
	begin(&other);
	SAY(&t, 'Q', "SELECT pg_backend_pid()");
	settle(&t);
	int n = snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%s)", t.row);
	say(&other, 'Q', sql, (size_t)n + 1);
	settle(&other);
	assert_true(listen_once(&t, PATIENCE));
	assert_string_equal(t.heard, "TDCZE");
	assert_true(t.q.doubtful);
	assert_false(t.violated);
	end(&t);
	end(&other);
}

/* --- SCRAM --------------------------------------------------------------------------- */

static void
sasl_says(Talk *t, uint32_t code, char *data, size_t cap, size_t *n)
{
	const unsigned char *at;
	uint32_t got;
	WireHead head;

	assert_true(message(t, PATIENCE, &head));
	assert_int_equal(head.type, 'R');
	assert_true(wire_auth(t->in + WIRE_HEAD, head.body, &got, &at, n));
	assert_int_equal(got, code);
	assert_true(*n < cap);
	memcpy(data, at, *n);
	drop(t, &head);
}

/* Logs in by the keys of the salt that the server names; the type of what it says then. */
static char
log_in(const char *password)
{
	static Talk t;
	Ctx cx = ctx_new(NULL);
	Secret secret = secret_new(cx.mem, password, strlen(password));
	char text[SCRAM_MESSAGE];
	unsigned char out[2 * SCRAM_MESSAGE];
	ScramClient c;
	ScramKeys keys;
	WireHead head;
	size_t n;

	connect_to(&t, true);
	first_packet(&t, "replies_app");
	sasl_says(&t, AUTH_SASL, text, sizeof text, &n);
	assert_true(wire_mechanism((unsigned char *)text, n, "SCRAM-SHA-256"));
	assert_true(scram_client_first(&c, text, sizeof text, &n));
	raw(&t, out, wire_put_sasl_first(out, sizeof out, "SCRAM-SHA-256", text, n));
	sasl_says(&t, AUTH_SASL_MORE, text, sizeof text, &n);
	assert_true(scram_client_challenge(&c, text, n));
	assert_true(scram_keys(&cx, &secret, c.salt, c.salt_n, c.iterations, &keys));
	assert_true(scram_client_final(&c, &keys, text, sizeof text, &n));
	raw(&t, out, wire_put_sasl(out, sizeof out, text, n));
	assert_true(message(&t, PATIENCE, &head));
	char type = head.type;
	if (type == 'R') {
		sasl_says(&t, AUTH_SASL_FINAL, text, sizeof text, &n);
		assert_true(scram_client_verify(&c, text, n));
		text[n - 2] = text[n - 2] == 'A' ? 'B' : 'A';
		assert_false(scram_client_verify(&c, text, n));
		until_ready(&t);
	}
	end(&t);
	arena_free(cx.mem);
	return type;
}

static void
a_real_server_takes_our_scram_and_proves_itself(void **state)
{
	static Talk t;

	(void)state;
	begin(&t);
	SAY(&t, 'Q',
	    "CREATE ROLE replies_app LOGIN PASSWORD 'p ss'; "
	    "GRANT CONNECT ON DATABASE postgres TO replies_app");
	settle(&t);
	assert_int_equal(log_in("p ss"), 'R');
	assert_int_equal(log_in("p sS"), 'E');
	SAY(&t, 'Q', "DROP OWNED BY replies_app; DROP ROLE replies_app");
	settle(&t);
	end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_queue_agrees_with_postgresql_whatever_is_sent),
		cmocka_unit_test(a_sync_before_copy_begins_is_not_answered),
		cmocka_unit_test(a_copy_that_fails_with_a_sync_before_its_end_is_doubtful),
		cmocka_unit_test(a_farewell_of_the_server_is_no_answer),
		cmocka_unit_test(a_real_server_takes_our_scram_and_proves_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

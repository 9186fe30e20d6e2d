/*
 * What clients and servers may send: first packets, heads, bodies; who is at the
 * door; and the replies that are owed, with a server that does what it is told.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "region/gateway/entry.h"
#include "tests/unit/region/backend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool right)
{
	if (!right)
		abort();
}

/* A text that is said to end in the bytes does. */
static void
within(const uint8_t *data, size_t size, const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	must(at >= data && at < data + size && memchr(at, 0, (size_t)(data + size - at)));
}

static void
at_the_door(const Startup *s)
{
	static const char *const domains[] = { "db.example", NULL };
	Entry e;

	if (!entry_read(s, startup_param(s, "sni"), domains, &e)) {
		must(e.sqlstate && e.why);
		return;
	}
	must(e.tenant[0] && e.user[0] && strlen(e.tenant) < ENTRY_NAME);
	must(e.ntracked <= 8 && e.nothers <= ENTRY_SETTINGS);
	for (size_t i = 0; i < e.nothers; i++) {
		must(strcmp(e.other[i].name, "user") != 0);
		within((const uint8_t *)e.text, sizeof e.text, e.other[i].name);
		within((const uint8_t *)e.text, sizeof e.text, e.other[i].value);
	}
}

/* What was read, written again, reads the same. */
static void
a_first_packet(const uint8_t *data, size_t size)
{
	static unsigned char again[STARTUP_MAX];
	size_t used = 0, n;
	Startup s, t;

	if (wire_startup(data, size, &used, &s) != WIRE_OK)
		return;
	must(used <= size);
	if (s.kind == STARTUP_CANCEL) {
		n = wire_put_cancel(again, sizeof again, s.pid, s.key, s.key_n);
		must(n == used && memcmp(again, data, n) == 0);
	}
	if (s.kind != STARTUP_LOGIN)
		return;
	for (size_t i = 0; i < s.params; i++) {
		within(data, size, s.param[i].name);
		within(data, size, s.param[i].value);
	}
	n = wire_put_startup(again, sizeof again, s.param, s.params);
	must(n > 0 && wire_startup(again, n, &used, &t) == WIRE_OK && used == n);
	must(t.params == s.params && t.unknowns == 0);
	at_the_door(&s);
}

static void
a_body_of_a_client(const uint8_t *at, size_t n)
{
	const unsigned char *data;
	const char *text;
	size_t len;
	WireParse p;
	WireName d;
	WireBind b;

	if (wire_query(at, n, &text, &len))
		must(strlen(text) == len && len + 1 == n);
	if (wire_parse(at, n, &p)) {
		within(at, n, p.name);
		must(p.rest + p.rest_n == at + n && p.sql[p.sql_n] == '\0');
	}
	if (wire_describe(at, n, &d))
		within(at, n, d.name);
	if (wire_bind(at, n, &b) == WIRE_OK) {
		within(at, b.used, b.portal);
		within(at, b.used, b.statement);
	}
	if (wire_sasl_first(at, n, &text, &data, &len) && data)
		must(data + len == at + n);
}

static void
a_body_of_a_server(const uint8_t *at, size_t n)
{
	const char *text, *value;
	const unsigned char *data;
	uint32_t number;
	WireError e;
	char status;
	size_t len;

	if (wire_error_read(at, n, &e))
		must(strlen(e.severity) < 8 && strlen(e.sqlstate) % 5 == 0 && e.message);
	if (wire_tag(at, n, &text))
		within(at, n, text);
	if (wire_setting(at, n, &text, &value))
		within(at, n, value);
	wire_status(at, n, &status);
	if (wire_key(at, n, &number, &data, &len))
		must(data + len == at + n);
	if (wire_auth(at, n, &number, &data, &len))
		wire_mechanism(data, len, "SCRAM-SHA-256");
}

/* Any types at all, from both sides: the queue stays within its room. */
static void
any_replies(const uint8_t *data, size_t size)
{
	Owed room[16], made;
	Replies q;

	replies_init(&q, room, 16);
	for (size_t i = 0; i + 1 < size; i += 2) {
		if (data[i] % 2)
			replies_came(&q, (char)data[i + 1], NULL, NULL);
		else
			replies_sent(&q, (char)data[i + 1], (ReplyWhose)(data[i] / 2 % 3), 0);
		while (data[i] & 0x80 && replies_made(&q, &made))
			;
		must(q.n <= q.cap && q.first < q.cap && q.marks <= q.n);
		must(!q.copy_in || q.n > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Backend b;
	WireHead head;

	a_first_packet(data, size);
	a_body_of_a_client(data, size);
	a_body_of_a_server(data, size);
	if (wire_head(data, size, &head) == WIRE_OK && head.body <= size - WIRE_HEAD) {
		a_body_of_a_client(data + WIRE_HEAD, head.body);
		a_body_of_a_server(data + WIRE_HEAD, head.body);
	}
	any_replies(data, size);
	must(backend_play(&b, data, size) == NULL);
	return 0;
}

#include "region/gateway/ask.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/local.h"
#include "lib/core/ring.h"

#define ANSWER_MS  8000 /* a gateway answers within 5 s, or says which workers did not */
#define ANSWER_MAX ((size_t)40 << 20)

static bool
send_line(int fd, const char *line, int64_t deadline)
{
	size_t n = strlen(line), sent = 0;

	while (sent < n) {
		ssize_t did = send(fd, line + sent, n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (did > 0)
			sent += (size_t)did;
		else if (errno != EAGAIN || !lane_wait(fd, LANE_WRITE, deadline))
			return false;
	}
	return true;
}

static bool
read_line(int fd, Buf *b, int64_t deadline)
{
	char bytes[16384];

	while (!b->len || b->text[b->len - 1] != '\n') {
		ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n > 0)
			buf_addn(b, bytes, (size_t)n);
		else if (n == 0 || errno != EAGAIN || !lane_wait(fd, LANE_READ, deadline))
			return false;
		if (b->full)
			return false;
	}
	return true;
}

static const char gone[] = "it has ended";

/* NULL: *why says why. */
static const Js *
talk(Ctx *cx, const Home *home, const char *id, const char *line, int64_t span_ms, const char **why)
{
	int64_t deadline = clock_mono_ms() + span_ms;
	Buf b = buf_new_max(cx->mem, ANSWER_MAX);
	Ctx own = { .mem = cx->mem, .fail = arena_alloc(cx->mem, sizeof(Fail)) };
	Js *said = NULL;
	int fd = local_connect(arena_printf(cx->mem, "%s/" RING_FOLDER, home->dir),
	    arena_printf(cx->mem, "%s.sock", id), SOCK_STREAM);

	if (fd < 0) {
		*why = errno == ECONNREFUSED || errno == ENOENT ? gone : "it cannot be reached";
		return NULL;
	}
	bool ok = send_line(fd, line, deadline) && read_line(fd, &b, deadline);
	close(fd);
	if (!ok || !js_parse(&own, b.text, b.len, &said)) {
		*why = ok ? "its answer is no JSON" : "it did not answer";
		return NULL;
	}
	*why = js_get_text(said, "error");
	return *why ? NULL : said;
}

static char *
question(Arena *mem, const char *what, const char *about)
{
	Js *j = js_object(mem);

	js_set_text(j, "ask", what);
	if (about)
		js_set_text(j, "about", about);
	return arena_printf(mem, "%s\n", js_canonical(mem, j));
}

bool
ask_gateways(Ctx *cx, Home *home, const char *what, const char *about, GatewayAnswers *out)
{
	GatewayAnswers all = { 0 };
	GatewayRecords there;
	const char *line = question(cx->mem, what, about);

	if (!catalog_gateways(cx, home, &there))
		return false;
	for (size_t i = 0; i < there.n; i++) {
		GatewayAnswer a = { .gateway = there.at[i] };
		a.said = talk(cx, home, a.gateway.id, line, ANSWER_MS, &a.why);
		a.gone = a.why == gone;
		vec_push(cx->mem, &all, a);
	}
	*out = all;
	return true;
}

bool
ask_some(Ctx *cx, Home *home, const char *what, const char *about, GatewayAnswers *out)
{
	GatewayAnswers all, there = { 0 };

	if (!ask_gateways(cx, home, what, about, &all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		if (!all.at[i].gone)
			vec_push(cx->mem, &there, all.at[i]);
	*out = there;
	return there.n > 0 ||
	    fail(cx, FAIL_NOT_FOUND, "Start one: copyhold gateway run.", "no gateway is running");
}

static char *
wait_question(Arena *mem, int64_t seq, int64_t span_ms)
{
	Js *j = js_object(mem);

	js_set_text(j, "ask", "wait");
	js_set_int(j, "seq", seq);
	js_set_int(j, "ms", span_ms);
	return arena_printf(mem, "%s\n", js_canonical(mem, j));
}

bool
ask_wait(Ctx *cx, Home *home, int64_t seq, int64_t span_ms, bool *all, const char **why)
{
	int64_t end = clock_mono_ms() + span_ms;
	GatewayRecords there;

	if ((!seq && !catalog_gate_seq(cx, home, &seq)) || !catalog_gateways(cx, home, &there))
		return false;
	*all = true;
	*why = NULL;
	for (size_t i = 0; i < there.n; i++) {
		int64_t left = end - clock_mono_ms() < 0 ? 0 : end - clock_mono_ms();
		const char *trouble = NULL;
		const Js *said = talk(cx, home, there.at[i].id, wait_question(cx->mem, seq, left),
		    left + 1000, &trouble);
		if (js_get_bool(said, "acked", false))
			continue;
		*all = false;
		*why = arena_printf(cx->mem, "gateway %s: %s", there.at[i].id,
		    trouble ? trouble : "not all of its workers have the change yet");
	}
	return true;
}

bool
ask_drained(Ctx *cx, Home *home, const char *tenant, int64_t *holding, int64_t *pinned, bool *sure)
{
	GatewayAnswers all;

	if (!ask_gateways(cx, home, "drained", tenant, &all))
		return false;
	*holding = *pinned = 0;
	*sure = true;
	for (size_t i = 0; i < all.n; i++) {
		*holding += js_get_int(all.at[i].said, "holding", 0);
		*pinned += js_get_int(all.at[i].said, "pinned", 0);
		*sure = *sure && js_get_int(all.at[i].said, "silent", 1) == 0;
	}
	return true;
}

bool
ask_end(Ctx *cx, Home *home, const char *tenant, int64_t *ended)
{
	GatewayAnswers all;

	if (!ask_gateways(cx, home, "end", tenant, &all))
		return false;
	*ended = 0;
	for (size_t i = 0; i < all.n; i++)
		*ended += js_get_int(all.at[i].said, "ended", 0);
	return true;
}

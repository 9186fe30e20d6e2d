/*
 * The socket on which commands ask this gateway: one JSON object a line, and one
 * back.  A question goes to every worker; what they say is put together.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/local.h"
#include "lib/base/log.h"
#include "lib/core/ring.h"
#include "region/gateway/master_intern.h"

#define LINE_MAX_BYTES 4096
#define CALLERS_MAX    64
#define ANSWER_MS      5000
#define WAIT_MAX_MS    600000
#define ANSWER_MAX     ((size_t)32 << 20)

typedef enum AskKind { ASK_STATUS, ASK_LIST, ASK_SUM, ASK_WAIT } AskKind;

static const struct {
	const char *what;
	AskKind kind;
	const char *sums[3]; /* members that are added up */
} asks[] = {
	{ "status", ASK_STATUS, { NULL } },
	{ "pools", ASK_LIST, { NULL } },
	{ "clients", ASK_LIST, { NULL } },
	{ "servers", ASK_LIST, { NULL } },
	{ "pins", ASK_LIST, { NULL } },
	{ "drained", ASK_SUM, { "holding", "pinned" } },
	{ "end", ASK_SUM, { "ended" } },
	{ "wait", ASK_WAIT, { NULL } },
};

typedef struct Caller Caller;
struct Caller {
	Admin *admin;
	Caller *prev, *next;
	Arena *mem;     /* of the connection */
	Arena *ask_mem; /* of the question that is being answered; NULL: none is */
	int fd;
	Watch *watch;
	Timer *deadline;
	char in[LINE_MAX_BYTES];
	size_t in_n;
	char *out;
	size_t out_n, sent;
	uint64_t id;
	size_t kind;   /* of `asks` */
	uint64_t left; /* workers that have not answered, by bit */
	Js *rows;      /* what they said: rows, or figures of each */
	int64_t sum[2];
	size_t got;
	int64_t seq; /* of "wait" */
};

struct Admin {
	Master *m;
	int fd;
	Watch *watch;
	Caller *callers;
	size_t n;
	uint64_t last_id;
};

_Static_assert(LINK_WORKERS <= 64, "Caller.left has a bit for each");

/* --- callers ----------------------------------------------------------------------- */

static void
caller_close(Caller *c)
{
	Admin *a = c->admin;

	if (c->prev)
		c->prev->next = c->next;
	else
		a->callers = c->next;
	if (c->next)
		c->next->prev = c->prev;
	a->n--;
	watch_for(a->watch, LOOP_READ);
	watch_free(c->watch);
	timer_free(c->deadline);
	close(c->fd);
	arena_free(c->mem);
}

/* false: it is closed */
static bool
flush(Caller *c)
{
	while (c->sent < c->out_n) {
		ssize_t n = send(c->fd, c->out + c->sent, c->out_n - c->sent, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			watch_for(c->watch, LOOP_WRITE);
			return true;
		}
		if (n <= 0) {
			caller_close(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	arena_free(c->ask_mem);
	c->ask_mem = NULL;
	c->out = NULL;
	c->out_n = c->sent = 0;
	watch_for(c->watch, LOOP_READ);
	timer_in(c->deadline, WAIT_MAX_MS);
	return true;
}

static void
reply(Caller *c, const Js *answer)
{
	Buf b = buf_new_max(c->ask_mem, ANSWER_MAX);

	buf_add(&b, js_canonical(c->ask_mem, answer));
	if (b.full) {
		buf_clear(&b);
		b.full = false;
		buf_add(&b, "{\"error\":\"the answer is too long\"}");
	}
	buf_addc(&b, '\n');
	c->out = b.text;
	c->out_n = b.len;
	c->id = 0;
	c->left = 0;
	timer_in(c->deadline, ANSWER_MS);
	watch_for(
	    c->watch, LOOP_WRITE); /* the loop sends it: nothing is closed under a caller's feet */
}

/* --- what is said ----------------------------------------------------------------------- */

static Js *
headed(Caller *c)
{
	const Master *m = c->admin->m;
	Js *j = js_object(c->ask_mem);

	js_set_text(j, "gateway", m->id);
	return j;
}

static void
refuse(Caller *c, const char *why)
{
	Js *j = headed(c);

	js_set_text(j, "error", why);
	reply(c, j);
}

static bool
all_have(const Master *m, int64_t seq)
{
	for (uint32_t i = 0; i < m->ncrew; i++)
		if (crew_on(&m->crew[i]) && m->crew[i].acked < seq)
			return false;
	return m->seq >= seq;
}

static void
reply_wait(Caller *c, bool acked)
{
	Js *j = headed(c);

	js_set_bool(j, "acked", acked);
	js_set_int(j, "seq", c->admin->m->seq);
	reply(c, j);
}

static void
set_status(Caller *c, Js *j)
{
	const Master *m = c->admin->m;

	js_set_text(j, "address", m->address);
	js_set_bool(j, "tls", m->cert.cert_n > 0);
	js_set_int(j, "pid", getpid());
	js_set_text(j, "since", clock_iso(c->ask_mem, m->began));
	js_set_int(j, "seq", m->seq);
	js_set_int(j, "changes", (int64_t)m->overlay);
	js_set_bool(j, "stopping", m->stopping != 0);
	js_set(j, "workers", c->rows);
}

/* Those that have not answered in time are counted, not waited for. */
static void
reply_all(Caller *c)
{
	Js *j = headed(c);
	int64_t silent = 0;

	for (uint64_t left = c->left; left; left &= left - 1)
		silent++;
	js_set_int(j, "silent", silent);
	switch (asks[c->kind].kind) {
	case ASK_STATUS:
		set_status(c, j);
		break;
	case ASK_LIST:
		js_set(j, asks[c->kind].what, c->rows);
		break;
	case ASK_SUM:
		for (int i = 0; asks[c->kind].sums[i]; i++)
			js_set_int(j, asks[c->kind].sums[i], c->sum[i]);
		break;
	case ASK_WAIT:
		break;
	}
	reply(c, j);
}

/* --- what workers say ------------------------------------------------------------------- */

static void
add_rows(Caller *c, const Js *said, uint32_t worker)
{
	const Js *rows = js_get(said, asks[c->kind].what);

	for (size_t i = 0; i < js_count(rows); i++) {
		Js *row = js_at(rows, i);
		js_set_int(row, "worker", worker);
		js_push(c->rows, row);
	}
}

static void
add_sums(Caller *c, const Js *said)
{
	for (int i = 0; asks[c->kind].sums[i]; i++)
		c->sum[i] += js_get_int(said, asks[c->kind].sums[i], 0);
}

/* A worker's text is as good as any from outside: what is no JSON is left out. */
static void
take(Caller *c, uint32_t worker, const char *text, size_t n)
{
	Ctx own = ctx_new(c->ask_mem);
	Js *said;

	c->got += n;
	if (c->got > ANSWER_MAX || !js_parse(&own, text, n, &said))
		return;
	if (asks[c->kind].kind == ASK_LIST)
		add_rows(c, said, worker);
	if (asks[c->kind].kind == ASK_SUM)
		add_sums(c, said);
	if (asks[c->kind].kind == ASK_STATUS)
		js_push(c->rows, said);
}

static void
keep_status(Crew *w, const char *text, size_t n)
{
	if (n >= sizeof w->status)
		return;
	memcpy(w->status, text, n);
	w->status[n] = '\0';
}

void
admin_answer(Crew *w, uint64_t id, bool more, const char *text, size_t n)
{
	Caller *c = w->m->admin->callers;
	uint64_t bit = UINT64_C(1) << w->number;

	if (id == 0)
		keep_status(w, text, n);
	while (c && (c->id != id || !id))
		c = c->next;
	if (!c || !(c->left & bit))
		return;
	take(c, w->number, text, n);
	if (more)
		return;
	c->left &= ~bit;
	if (!c->left)
		reply_all(c);
}

void
admin_gone(Crew *w)
{
	Caller *next;

	for (Caller *c = w->m->admin->callers; c; c = next) {
		next = c->next;
		if (!(c->left & UINT64_C(1) << w->number))
			continue;
		c->left &= ~(UINT64_C(1) << w->number);
		if (!c->left)
			reply_all(c);
	}
}

void
admin_acked(Master *m)
{
	Caller *next;

	for (Caller *c = m->admin->callers; c; c = next) {
		next = c->next;
		if (c->id && asks[c->kind].kind == ASK_WAIT && all_have(m, c->seq))
			reply_wait(c, true);
	}
}

void
admin_poll(Master *m)
{
	const LinkAsk ask = { .what = "status" };

	crew_send_all(m, LINK_ASK, &ask, sizeof ask, NULL, 0);
}

/* --- what is asked ------------------------------------------------------------------------ */

static void
ask_workers(Caller *c, const char *about)
{
	Master *m = c->admin->m;
	LinkAsk ask = { 0 };
	uint64_t id = c->id;

	memcpy(ask.what, asks[c->kind].what, strlen(asks[c->kind].what) + 1);
	memcpy(ask.about, about, strlen(about) + 1);
	for (uint32_t i = 0; i < m->ncrew; i++)
		if (crew_on(&m->crew[i]))
			c->left |= UINT64_C(1) << i;
	timer_in(c->deadline, ANSWER_MS);
	if (!c->left) {
		reply_all(c);
		return;
	}
	for (uint32_t i = 0; i < m->ncrew; i++)
		crew_send(&m->crew[i], LINK_ASK, id, &ask, sizeof ask, NULL, 0);
}

static void
ask_wait(Caller *c, const Js *line)
{
	Master *m = c->admin->m;
	int64_t ms = js_get_int(line, "ms", ANSWER_MS);

	c->seq = js_get_int(line, "seq", 0);
	if (m->seq < c->seq)
		follow_look(m);
	if (all_have(m, c->seq))
		reply_wait(c, true);
	else
		timer_in(c->deadline, ms < 0 ? 0 : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms);
}

static void
begin_ask(Caller *c, const char *text, size_t n)
{
	Js *line;
	const char *what, *about;

	c->ask_mem = arena_new(c->mem);
	Ctx own = ctx_new(c->ask_mem);
	if (!js_parse(&own, text, n, &line)) {
		refuse(c, "the question is no JSON");
		return;
	}
	what = js_get_text(line, "ask");
	about = js_get_text(line, "about") ? js_get_text(line, "about") : "";
	c->kind = 0;
	while (c->kind < LENGTH(asks) && (!what || strcmp(asks[c->kind].what, what) != 0))
		c->kind++;
	if (c->kind == LENGTH(asks) || strlen(about) >= ROUTE_NAME) {
		refuse(c, "the question is not known");
		return;
	}
	c->id = ++c->admin->last_id;
	c->rows = js_array(c->ask_mem);
	c->sum[0] = c->sum[1] = 0;
	c->got = 0;
	if (asks[c->kind].kind == ASK_WAIT)
		ask_wait(c, line);
	else
		ask_workers(c, about);
}

/* One question after the other. */
static void
take_line(Caller *c)
{
	char line[LINE_MAX_BYTES], *end = memchr(c->in, '\n', c->in_n);
	size_t n = end ? (size_t)(end - c->in) : 0;

	if (!end || c->ask_mem)
		return;
	memcpy(line, c->in, n);
	memmove(c->in, end + 1, c->in_n - n - 1);
	c->in_n -= n + 1;
	begin_ask(c, line, n);
}

static void
on_caller(void *ptr, int events)
{
	Caller *c = ptr;

	if (events & LOOP_WRITE) {
		if (flush(c))
			take_line(c);
		return;
	}
	ssize_t n = recv(c->fd, c->in + c->in_n, sizeof c->in - c->in_n, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* gone, or a line that is too long */
		caller_close(c);
		return;
	}
	c->in_n += (size_t)n;
	if (c->ask_mem && c->in_n == sizeof c->in)
		watch_for(c->watch, 0);
	take_line(c);
}

static void
on_deadline(void *ptr)
{
	Caller *c = ptr;

	if (!c->id)
		caller_close(c);
	else if (asks[c->kind].kind == ASK_WAIT)
		reply_wait(c, false);
	else
		reply_all(c);
}

static void
on_admin(void *ptr, int events)
{
	Admin *a = ptr;
	int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	Arena *mem;

	(void)events;
	if (fd < 0)
		return;
	mem = arena_new(a->m->cx->mem);
	Caller *c = arena_alloc(mem, sizeof *c);
	c->admin = a;
	c->mem = mem;
	c->fd = fd;
	c->next = a->callers;
	if (c->next)
		c->next->prev = c;
	a->callers = c;
	a->n++;
	c->watch = watch_new(a->m->loop, fd, on_caller, c);
	c->deadline = timer_new(a->m->loop, on_deadline, c);
	timer_in(c->deadline, WAIT_MAX_MS);
	watch_for(c->watch, LOOP_READ);
	if (a->n >= CALLERS_MAX)
		watch_for(a->watch, 0);
}

bool
admin_open(Ctx *cx, Master *m)
{
	Admin *a = arena_alloc(cx->mem, sizeof *a);
	const char *folder = arena_printf(cx->mem, "%s/" RING_FOLDER, m->home->dir);

	a->m = m;
	if (!local_open(
		cx, folder, arena_printf(cx->mem, "%s.sock", m->id), SOCK_STREAM, 0600, &a->fd))
		return false;
	a->watch = watch_new(m->loop, a->fd, on_admin, a);
	watch_for(a->watch, LOOP_READ);
	m->admin = a;
	return true;
}

void
admin_close(Master *m)
{
	if (!m->admin)
		return;
	while (m->admin->callers)
		caller_close(m->admin->callers);
	close(m->admin->fd);
	unlink(arena_printf(m->cx->mem, "%s/" RING_FOLDER "/%s.sock", m->home->dir, m->id));
	m->admin = NULL;
}

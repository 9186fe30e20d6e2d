/* What the helper on a host is asked.  Sessions: host_open.c; the words on the line: host_frame.c. */
#include "lib/core/host.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/core/host_intern.h"

#define CONFIRM_POLL_MS 200

typedef struct HostAsk { /* one request */
	const char *kind;
	const char *head; /* key, fence..., each after a blank; "" for none */
	const char *const *words;
	const void *body;
	size_t body_n;
	int64_t ms;
} HostAsk;

/* --- one request, one reply ------------------------------------------------------------ */

static bool
ask_once(Ctx *cx, HostConn *h, const HostAsk *a, HostEnd *end, HostReply *out)
{
	Arena *scratch = arena_new(cx->mem);
	HostFrame *f = host_frame_new(scratch, h->sentinel);
	int64_t deadline = clock_mono_ms() + a->ms;
	Buf b = buf_new(scratch);

	buf_fmt(&b, "%" PRId64 " %s%s", ++h->seq, a->kind, a->head);
	if (a->words && !host_frame_words(&b, a->words))
		return fail(cx, FAIL_LIMIT, NULL,
		    "the words of \"%s\" for host \"%s\" are too long", a->words[0], h->host->name);
	buf_addc(&b, '\n');
	buf_addn(&b, a->body, a->body_n);
	bool ok = ssh_write(cx, h->channel, b.text, b.len, deadline) &&
	    host_conn_read(cx, h, f, deadline);

	if (a->body_n)
		secret_wipe(b.text, b.len);
	if (ok && (!host_frame_end(f, end) || end->seq != h->seq))
		ok = host_conn_wrong(cx, h);
	if (ok) {
		end->err = arena_dup(cx->mem, end->err);
		*out = (HostReply){ .code = end->code,
			.out = arena_dupn(cx->mem, f->out, f->out_n),
			.out_n = f->out_n,
			.digest = end->digest ? arena_dup(cx->mem, end->digest)
					      : arena_dup(cx->mem, sha256_end_hex(f->sha)),
			.err = end->err };
	} else
		host_conn_close(h);
	arena_free(scratch);
	return ok;
}

static bool
ask_status(Ctx *cx, const HostConn *h, const HostEnd *end)
{
	switch (end->status) {
	case HOST_FENCED:
		return fail(cx, FAIL_FENCED, "Another run has taken over: see copyhold run list.",
		    "duty \"%s\" on host \"%s\" has seen a newer holder, with fence %.18s", h->duty,
		    h->host->name, end->err);
	case HOST_BUSY:
		return fail(cx, FAIL_TIMEOUT,
		    "A step of before is still at work there; copyhold host show tells. What hangs is "
		    "ended there by its process.",
		    "the lock of duty \"%s\" on host \"%s\" is held by another%s%s", h->duty,
		    h->host->name, *end->err ? ": " : "", end->err);
	case HOST_REFUSED:
		return fail(cx, FAIL_HOST_STEP, NULL, "the helper of host \"%s\" refused: %s",
		    h->host->name, end->err);
	case HOST_OK:
	case HOST_STORED:
	case HOST_NONE:
	case HOST_UNDONE:
		break;
	}
	return true;
}

/* A session that has died since it was last asked is opened anew, once: a repeat is answered from what the
 * host keeps, or does the same again. */
static bool
ask(Ctx *cx, HostConn *h, const HostAsk *a, HostEnd *end, HostReply *out)
{
	Ctx own = ctx_new(cx->mem);

	if (!host_conn_open(cx, h))
		return false;
	if (!ask_once(&own, h, a, end, out)) {
		if (own.fail->kind != FAIL_HOST_UNREACHABLE) {
			fail_copy(cx, &own);
			return false;
		}
		if (!host_conn_open(cx, h) || !ask_once(cx, h, a, end, out))
			return false;
	}
	return ask_status(cx, h, end);
}

bool
host_look(Ctx *cx, HostConn *h, const char *const *words, HostReply *out)
{
	const HostAsk a = { .kind = "look", .head = "", .words = words, .ms = HOST_LOOK_MS };
	HostEnd end;

	return ask(cx, h, &a, &end, out);
}

/* --- what changes something ---------------------------------------------------------------- */

/* The same change may come again in a later run: the run makes the key its own. */
static const char *
key_of(Arena *mem, const StepEnv *env)
{
	return arena_printf(mem, "%s.%" PRId64, env->step->key, env->run);
}

static bool
act_failed(Ctx *cx, const HostConn *h, const char *verb, const HostReply *r)
{
	bool full = strcasestr(r->err, "no space left on device") != NULL;

	fail(cx, full ? FAIL_DISK_FULL : FAIL_HOST_STEP,
	    full ? arena_printf(cx->mem, "Make room below \"%s\" there.", h->host->root) : NULL,
	    "\"%s\" on host \"%s\": %s", verb, h->host->name,
	    *r->err ? r->err : "it failed and said nothing");
	return fail_cause(cx, "exit code %d", r->code);
}

static bool
body_fits(Ctx *cx, const HostConn *h, const char *verb, size_t n)
{
	return n <= HOST_BODY_MAX ||
	    fail(cx, FAIL_LIMIT, NULL, "the body of \"%s\" for host \"%s\" is too long", verb,
		h->host->name);
}

bool
host_act(Ctx *cx, HostConn *h, const StepEnv *env, const char *const *words, const void *body,
    size_t n, HostReply *out)
{
	const HostAsk a = {
		.kind = "act",
		.head = arena_printf(
		    cx->mem, " %s %" PRId64 " %zu", key_of(cx->mem, env), env->fence, n),
		.words = words,
		.body = body,
		.body_n = n,
		.ms = HOST_ACT_MS,
	};
	HostReply reply;
	HostEnd end;

	if (!body_fits(cx, h, words[0], n) || !ask(cx, h, &a, &end, &reply))
		return false;
	if (reply.code != 0)
		return act_failed(cx, h, words[0], &reply);
	*out = reply;
	return true;
}

bool
host_stored(Ctx *cx, HostConn *h, const StepEnv *env, const char *verb, bool *found, HostReply *out)
{
	const HostAsk a = {
		.kind = "stored",
		.head = arena_printf(cx->mem, " %s", key_of(cx->mem, env)),
		.words = (const char *const[]){ verb, NULL },
		.ms = HOST_ACT_MS,
	};
	HostReply reply;
	HostEnd end;

	if (!ask(cx, h, &a, &end, &reply))
		return false;
	*found = end.status == HOST_STORED;
	if (*found)
		*out = reply;
	return true;
}

bool
host_forget(Ctx *cx, HostConn *h, const StepEnv *env)
{
	const HostAsk a = {
		.kind = "forget",
		.head = arena_printf(cx->mem, " %s %" PRId64, key_of(cx->mem, env), env->fence),
		.ms = HOST_ACT_MS,
	};
	HostReply reply;
	HostEnd end;

	return ask(cx, h, &a, &end, &reply) &&
	    (reply.code == 0 || act_failed(cx, h, "forget", &reply));
}

bool
host_fence_highest(Ctx *cx, HostConn *h, int64_t *out)
{
	const HostAsk a = { .kind = "fence", .head = "", .ms = HOST_LOOK_MS };
	HostReply reply;
	HostEnd end;
	int64_t n = 0;

	if (!ask(cx, h, &a, &end, &reply))
		return false;
	size_t digits = strspn(reply.out, "0123456789");

	if (digits == 0 || digits > 18 || strcmp(reply.out + digits, "\n") != 0)
		return host_conn_wrong(cx, h);
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (reply.out[i] - '0');
	*out = n;
	return true;
}

/* --- what can cut us off ------------------------------------------------------------------------ */

static bool
taken_back(Ctx *cx, const Host *host, const char *verb, const HostReply *r)
{
	if (r->code == 0)
		return fail(cx, FAIL_HOST_STEP, NULL, "host \"%s\" has taken \"%s\" back by itself",
		    host->name, verb);
	fail(cx, FAIL_HOST_STEP, "It tries again until it can; look at what it says.",
	    "host \"%s\" cannot take \"%s\" back by itself: %s", host->name, verb,
	    *r->err ? r->err : "it failed and said nothing");
	return fail_cause(cx, "exit code %d", r->code);
}

static bool
confirm_once(Ctx *cx, Conns *c, const HostConn *was, const StepEnv *env, const char *verb)
{
	const HostAsk a = {
		.kind = "confirm",
		.head = arena_printf(cx->mem, " %s %" PRId64, key_of(cx->mem, env), env->fence),
		.words = (const char *const[]){ verb, NULL },
		.ms = HOST_LOOK_MS,
	};
	HostReply reply;
	HostConn *fresh;
	HostEnd end;

	if (!conns_host_fresh(cx, c, was->host->name, was->duty, &fresh) ||
	    !ask_once(cx, fresh, &a, &end, &reply) || !ask_status(cx, fresh, &end))
		return false;
	if (end.status == HOST_UNDONE)
		return taken_back(cx, was->host, verb, &reply);
	return reply.code == 0 || act_failed(cx, fresh, "confirm", &reply);
}

static bool
confirm(Ctx *cx, Conns *c, const HostConn *was, const StepEnv *env, const char *verb, int seconds)
{
	int64_t until = clock_mono_ms() + seconds * INT64_C(1000);

	for (;;) {
		Ctx own = ctx_new(cx->mem);
		bool ok = confirm_once(&own, c, was, env, verb);
		bool again = !ok && own.fail->kind == FAIL_HOST_UNREACHABLE &&
		    clock_mono_ms() + CONFIRM_POLL_MS < until;

		if (!ok && !again) {
			fail_copy(cx, &own);
			fail_in(cx,
			    "confirming \"%s\" over a new connection; host \"%s\" takes it "
			    "back by itself %d s after it was done",
			    verb, was->host->name, seconds);
		}
		arena_free(own.mem);
		if (!again)
			return ok;
		lane_sleep(CONFIRM_POLL_MS);
	}
}

bool
host_act_guarded(Ctx *cx, Conns *c, HostConn *h, const StepEnv *env, const char *const *words,
    const void *body, size_t n, const char *const *undo, int seconds,
    bool (*check)(Ctx *cx, const StepEnv *env), HostReply *out)
{
	Buf head = buf_new(cx->mem);
	size_t undo_n = 0;

	while (undo[undo_n])
		undo_n++;
	buf_fmt(&head, " %d %zu", seconds, undo_n);
	if (!host_frame_words(&head, undo) || !body_fits(cx, h, words[0], n))
		return fail(cx, FAIL_LIMIT, NULL, "the words of \"%s\" are too long", undo[0]);
	buf_fmt(&head, " %s %" PRId64 " %zu", key_of(cx->mem, env), env->fence, n);
	const HostAsk a = {
		.kind = "guard",
		.head = head.text,
		.words = words,
		.body = body,
		.body_n = n,
		.ms = HOST_ACT_MS,
	};
	HostReply reply;
	HostEnd end;

	if (!ask(cx, h, &a, &end, &reply))
		return false;
	if (reply.code != 0)
		return act_failed(cx, h, words[0], &reply);
	fault_point("host.guarded");
	if (check && !check(cx, env))
		return fail_in(cx,
		    "looking whether \"%s\" has cut us off; host \"%s\" takes it back by itself "
		    "%d s after it was done",
		    words[0], h->host->name, seconds);
	if (!confirm(cx, c, h, env, words[0], seconds))
		return false;
	*out = reply;
	return true;
}

/* --- files ------------------------------------------------------------------------------------------ */

bool
host_put(Ctx *cx, HostConn *h, const char *file, const char *digest)
{
	const char *const words[] = { "look-incoming", digest, NULL };
	HostReply there;

	if (!host_look(cx, h, words, &there))
		return false;
	if (strcmp(there.out, "yes\n") == 0)
		return true;
	return ssh_put(cx, h->line->ssh, file,
		   arena_printf(cx->mem, "%s/incoming/%s", h->host->root, digest), 0600,
		   clock_mono_ms() + HOST_PUT_MS) ||
	    fail_in(cx, "putting \"%s\" onto host \"%s\"", file, h->host->name);
}

/*
 * Before a home that was restored goes on: is there a witness that knows more of
 * a log, or another history of it?  Each is offered the last tree that is known
 * to have been signed, which commits us to nothing new.
 */
#include <string.h>

#include "compliance/audit/log.h"
#include "compliance/audit/witness.h"
#include "lib/adapters/http.h"
#include "lib/base/clock.h"

#define ANSWER_MAX ((size_t)64 << 10)
#define ANSWER_MS  10000
#define U(n)       ((unsigned long long)(n))

typedef struct Asked { /* a witness */
	const char *url, *ca;
	bool silent; /* it is not waited for again at the next log */
} Asked;

struct WitnessProbe {
	Http *http;
	VEC(Asked) all;
};

bool
witness_probe(Ctx *cx, Home *home, WitnessProbe **out)
{
	WitnessProbe *p = arena_alloc(cx->mem, sizeof *p);
	WitnessRecords all;

	*p = (WitnessProbe){ 0 };
	if (!witness_list(cx, home, &all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		vec_push(cx->mem, &p->all, ((Asked){ .url = all.at[i].url, .ca = all.at[i].ca }));
	if (all.n > 0 && !http_new(cx, &p->http))
		return false;
	*out = p;
	return true;
}

bool
witness_probe_any(const WitnessProbe *p)
{
	return p->all.n > 0;
}

/* "old N", the proof from there, the note; NULL: the proof cannot be made. */
static const char *
body_of(Arena *mem, const WitnessTree *t, uint64_t old)
{
	Ctx own = ctx_new(mem);
	Hashes proof = { 0 };
	Buf b = buf_new(mem);

	if (old > 0 && !merkle_consistency(&own, &t->from, old, t->size, &proof))
		return NULL;
	buf_fmt(&b, "old %llu\n", U(old));
	for (size_t i = 0; i < proof.n; i++)
		buf_fmt(&b, "%s\n", base64_text(mem, proof.at[i].at, HASH_BYTES));
	buf_fmt(&b, "\n%s", t->note);
	return b.text;
}

/* Of an answer 409. */
static bool
size_of(Arena *mem, const HttpAsk *a, uint64_t *size)
{
	char *text = arena_dupn(mem, a->answer, a->answer_n);
	size_t n = strlen(text);

	if (n == 0 || n != a->answer_n || text[n - 1] != '\n')
		return false;
	text[n - 1] = '\0';
	return decimal_read(text, size);
}

typedef struct Talk { /* with one witness about one tree */
	Asked *with;
	uint64_t old;
	bool done;
	const char *doubt;
} Talk;

static void
end(Talk *t, const char *doubt)
{
	t->done = true;
	t->doubt = doubt;
}

static void
take_size(Arena *mem, Talk *t, const WitnessTree *tree, const HttpAsk *a)
{
	uint64_t size;

	if (!size_of(mem, a, &size))
		end(t, "its answer 409 holds no size");
	else if (size > tree->size)
		end(t,
		    arena_printf(mem, "it has cosigned %llu entries, and %llu are known here",
			U(size), U(tree->size)));
	else if (size == t->old)
		end(t, arena_printf(mem, "it has cosigned another tree of %llu entries", U(size)));
	else
		t->old = size;
}

static void
take_answer(Arena *mem, Talk *t, const WitnessTree *tree, const HttpAsk *a)
{
	if (a->error || a->status >= 500) {
		t->with->silent = true;
		end(t, a->error ? a->error : arena_printf(mem, "it answered %d", a->status));
	} else if (a->status == 409)
		take_size(mem, t, tree, a);
	else if (a->status == 422)
		end(t,
		    arena_printf(
			mem, "its tree of %llu entries is not the beginning of ours", U(t->old)));
	else if (a->status == 200 || a->status == 404) /* the same, or nothing of this log */
		end(t, NULL);
	else if (a->status == 403)
		end(t, "it knows another key of this log (403)");
	else
		end(t, arena_printf(mem, "it answered %d", a->status));
}

/* One question to each that has not said its last word. */
static void
ask(Ctx *cx, WitnessProbe *p, const WitnessTree *tree, Talk *talks)
{
	HttpAsk *asks = arena_alloc(cx->mem, p->all.n * sizeof *asks);
	Talk **of = arena_alloc(cx->mem, p->all.n * sizeof(Talk *));
	size_t n = 0;

	for (size_t i = 0; i < p->all.n; i++) {
		Talk *t = &talks[i];
		const char *body = t->done ? NULL : body_of(cx->mem, tree, t->old);
		if (!t->done && !body)
			end(t,
			    arena_printf(cx->mem,
				"it has cosigned %llu entries, and that ours continue them "
				"cannot be shown",
				U(t->old)));
		if (t->done)
			continue;
		of[n] = t;
		asks[n++] = (HttpAsk){ .url = arena_printf(
					   cx->mem, "%s/add-checkpoint", t->with->url),
			.type = "text/plain",
			.body = body,
			.body_n = strlen(body),
			.ca = t->with->ca,
			.answer_max = ANSWER_MAX };
	}
	if (n > 0)
		http_post(cx, p->http, asks, n, clock_mono_ms() + ANSWER_MS);
	for (size_t i = 0; i < n; i++)
		take_answer(cx->mem, of[i], tree, &asks[i]);
}

void
witness_doubt(Ctx *cx, WitnessProbe *p, const WitnessTree *tree, const char **doubt)
{
	Talk *talks = arena_alloc(cx->mem, (p->all.n + 1) * sizeof *talks);

	*doubt = NULL;
	for (size_t i = 0; i < p->all.n; i++) {
		talks[i] = (Talk){ .with = &p->all.at[i], .old = tree->size };
		if (talks[i].with->silent)
			end(&talks[i], "it does not answer");
	}
	/* Two are enough for one that is honest: it tells its size, and looks at the proof. */
	for (int i = 0; i < 3; i++)
		ask(cx, p, tree, talks);
	for (size_t i = 0; i < p->all.n && !*doubt; i++) {
		if (!talks[i].done)
			talks[i].doubt = "it names one size after another";
		if (talks[i].doubt)
			*doubt = arena_printf(
			    cx->mem, "the witness \"%s\": %s", talks[i].with->url, talks[i].doubt);
	}
}

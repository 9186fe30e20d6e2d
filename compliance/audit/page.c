#include "compliance/audit/page.h"

#include <string.h>

#include "compliance/audit/page_style.h"
#include "compliance/audit/words.h"
#include "lib/base/clock.h"

#define PART ((size_t)64 << 10)

typedef struct Page {
	Ctx *cx;
	const PageFrom *from;
	PageTo to;
	Arena *mem; /* of what is being written */
	Buf b;
	char day[16]; /* of the last event */
} Page;

/* --- escaping ---------------------------------------------------------------------------- */

static const char *
entity(unsigned char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return c < 0x20 || c == 0x7f ? "\xEF\xBF\xBD" : NULL;
	}
}

/* Characters that turn the direction of what follows (U+061C, 200E-F, 202A-E, 2066-9), break lines
 * (2028-9) or are controls (80-9F): how long one is that stands here, or 0. */
static size_t
unruly(const unsigned char *c)
{
	if (c[0] == 0xd8 && c[1] == 0x9c)
		return 2;
	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
		return 2;
	if (c[0] != 0xe2 || (c[1] != 0x80 && c[1] != 0x81))
		return 0;
	if (c[1] == 0x80)
		return c[2] == 0x8e || c[2] == 0x8f || (c[2] >= 0xa8 && c[2] <= 0xae) ? 3 : 0;
	return c[2] >= 0xa6 && c[2] <= 0xa9 ? 3 : 0;
}

static void
escape(Buf *b, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	while (*c) {
		const char *word = entity(*c);
		size_t n = unruly(c);
		if (word || n > 0) {
			buf_add(b, word ? word : "\xEF\xBF\xBD");
			c += word ? 1 : n;
		} else
			buf_addc(b, (char)*c++);
	}
}

/* A value of somebody's: in any script, and never mistaken for ours. */
static void
value(Buf *b, const char *text)
{
	buf_add(b, "<bdi>");
	escape(b, text);
	buf_add(b, "</bdi>");
}

static bool
drain(Page *p, size_t least)
{
	if (p->b.full)
		return fail(p->cx, FAIL_LIMIT, NULL, "the page is too large");
	if (p->b.len < least)
		return true;
	if (!p->to.put(p->cx, p->to.ptr, p->b.text, p->b.len))
		return false;
	buf_clear(&p->b);
	return true;
}

/* --- times and numbers ------------------------------------------------------------------- */

static char *
number(Arena *mem, uint64_t n)
{
	char *digits = arena_printf(mem, "%llu", (unsigned long long)n);
	size_t len = strlen(digits);
	Buf b = buf_new(mem);

	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf_addc(&b, ',');
		buf_addc(&b, digits[i]);
	}
	return b.text;
}

/* "2026-11-21 10:00:00 UTC"; what no clock says stays a number. */
static char *
moment(Arena *mem, int64_t wall_ms)
{
	char *iso = clock_iso(mem, wall_ms);

	if (wall_ms < 0 || strlen(iso) != strlen("2026-11-21T10:00:00.000Z"))
		return arena_printf(mem, "%lld ms", (long long)wall_ms);
	return arena_printf(mem, "%.10s %.8s UTC", iso, iso + 11);
}

/* A time of an untrusted signature, in seconds. */
static char *
moment_s(Arena *mem, int64_t unix_s)
{
	return moment(mem, unix_s > INT64_MAX / 1000 ? -1 : unix_s * 1000);
}

static void
row(Buf *b, const char *name)
{
	buf_fmt(b, "<dt>%s</dt><dd>", name);
}

static void
row_value(Buf *b, const char *name, const char *text)
{
	row(b, name);
	value(b, text);
	buf_add(b, "</dd>\n");
}

static void
row_text(Buf *b, const char *name, const char *text)
{
	row(b, name);
	escape(b, text);
	buf_add(b, "</dd>\n");
}

/* --- the head: what was asked ------------------------------------------------------------ */

static void
whose(Page *p)
{
	const EvidenceFacts *f = p->from->facts;

	if (!f->tenant) {
		buf_add(&p->b, "the operator itself");
		return;
	}
	if (f->display && strcmp(f->display, f->tenant) != 0) {
		value(&p->b, f->display);
		buf_add(&p->b, " <span class=\"soft\">(");
		value(&p->b, f->tenant);
		buf_add(&p->b, ")</span>");
	} else
		value(&p->b, f->tenant);
}

static void
head(Page *p)
{
	const EvidenceFacts *f = p->from->facts;

	buf_add(&p->b,
	    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta http-equiv=\"Content-Security-Policy\" "
	    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	    "<title>Audit evidence: ");
	escape(&p->b, !f->tenant ? "the operator itself" : f->display ? f->display : f->tenant);
	buf_add(&p->b, "</title>\n<style>\n");
	buf_add(&p->b, page_style);
	buf_add(&p->b,
	    "</style>\n</head>\n<body>\n<main>\n<header>\n"
	    "<p class=\"kind\">Audit evidence</p>\n<h1>");
	whose(p);
	buf_add(&p->b, "</h1>\n<p class=\"lead\">");
	buf_fmt(&p->b, "%s %s", number(p->mem, p->from->tally->within),
	    p->from->tally->within == 1 ? "event" : "events");
	if (f->since)
		buf_fmt(&p->b, " from %s", moment(p->mem, f->since));
	if (f->until)
		buf_fmt(&p->b, " until %s", moment(p->mem, f->until));
	buf_add(&p->b,
	    f->until ? ".</p>\n</header>\n"
		     : ", as recorded when this file was made.</p>\n</header>\n");
}

static void
asked(Page *p)
{
	const EvidenceFacts *f = p->from->facts;
	Buf *b = &p->b;

	buf_add(b, "<section>\n<h2>What was asked</h2>\n<dl>\n");
	row(b, "Events about");
	whose(p);
	buf_add(b, "</dd>\n");
	row_text(b, "From", f->since ? moment(p->mem, f->since) : "the beginning of the log");
	row_text(b, "Until", f->until ? moment(p->mem, f->until) : "this file was made");
	row_text(b, "This file was made", moment(p->mem, f->at));
	if (f->actor)
		row_value(b, "By", f->actor);
	if (f->reason)
		row_value(b, "Because", f->reason);
	row_value(b, "Made with", arena_printf(p->mem, "copyhold %s", f->version));
	buf_add(b, "</dl>\n</section>\n");
}

/* --- what is in it ----------------------------------------------------------------------- */

static void
neighbours(Page *p)
{
	const EvidenceTally *t = p->from->tally;
	const EvidenceProof *at = p->from->proof;

	if (t->before)
		buf_fmt(&p->b,
		    "<p>The event before the period (no. %s) is in it too: it shows that nothing "
		    "of the period is missing at its beginning.</p>\n",
		    number(p->mem, at->left.end));
	if (t->after)
		buf_fmt(&p->b,
		    "<p>The event after the period (no. %s) is in it too: it shows that nothing "
		    "of the period is missing at its end.</p>\n",
		    number(p->mem, at->right.begin - 1));
}

static void
kinds(Page *p)
{
	const EvidenceTally *t = p->from->tally;
	Buf *b = &p->b;

	if (t->verbs.n == 0)
		return;
	buf_add(b,
	    "<table class=\"kinds\">\n<thead><tr><th>What</th><th>Kind</th>"
	    "<th class=\"n\">Events</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < t->verbs.n; i++) {
		const EventWord *w = words_of(t->verbs.at[i].verb);
		buf_add(b, "<tr><td>");
		escape(b, w ? words_kind(p->mem, w) : "unknown to this version");
		buf_add(b, "</td><td><code>");
		value(b, t->verbs.at[i].verb);
		buf_fmt(b, "</code></td><td class=\"n\">%s</td></tr>\n",
		    number(p->mem, t->verbs.at[i].n));
	}
	if (t->others)
		buf_fmt(b, "<tr><td>others</td><td></td><td class=\"n\">%s</td></tr>\n",
		    number(p->mem, t->others));
	buf_add(b, "</tbody>\n</table>\n");
}

static void
contents(Page *p)
{
	const EvidenceTally *t = p->from->tally;
	const EvidenceProof *at = p->from->proof;
	Buf *b = &p->b;

	buf_add(b, "<section>\n<h2>What is in this file</h2>\n<dl>\n");
	row_value(b, "Log", at->origin);
	row_text(b, "Events in the log", number(p->mem, at->size));
	row_text(b, "Of these, in this file",
	    t->events == 0
		? "none"
		: arena_printf(p->mem, "%s (no. %s to %s)", number(p->mem, t->events),
		      number(p->mem, at->left.end), number(p->mem, at->right.begin - 1)));
	row_text(b, "Of these, in the period", number(p->mem, t->within));
	if (p->from->signers->own)
		row_text(b, "State of the log at", moment_s(p->mem, p->from->signers->own));
	buf_add(b, "</dl>\n");
	neighbours(p);
	kinds(p);
	buf_add(b, "</section>\n");
}

/* --- what is proven, and what is not ----------------------------------------------------- */

static void
claim(Buf *b, const char *what, const char *who)
{
	buf_fmt(b, "<tr><td>%s</td><td>", what);
	buf_add(b, who);
	buf_add(b, "</td></tr>\n");
}

static void
claims(Page *p)
{
	const EvidenceTally *t = p->from->tally;
	const EvidenceSigners *s = p->from->signers;
	Buf who = buf_new(p->mem);

	buf_add(&p->b,
	    "<section>\n<h2>What is proven, and by whom</h2>\n"
	    "<p class=\"soft\">This holds if the check below finds nothing wrong.</p>\n"
	    "<table class=\"claims\">\n<thead><tr><th>Statement</th><th>Proven by</th>"
	    "</tr></thead>\n<tbody>\n");
	claim(&p->b,
	    t->events ? "The events below are all that the log has between the first and the last "
			"of them, unchanged and in their order."
		      : "The log has no event in the period.",
	    "the signature of the log under the tree of all its events; anybody can compute it "
	    "again");
	for (size_t i = 0; i < s->n; i++) {
		buf_clear(&who);
		buf_add(&who, "witness ");
		value(&who, s->at[i].name);
		buf_fmt(&who, ", on %s", moment_s(p->mem, s->at[i].unix_s));
		claim(&p->b,
		    "This is the only history of the log that the witness was ever shown: nothing "
		    "that it saw earlier was changed or taken away.",
		    who.text);
	}
	if (t->opened)
		claim(&p->b,
		    arena_printf(p->mem,
			"The %s personal values that are shown are those that were recorded.",
			number(p->mem, t->opened)),
		    "commitments inside the events");
	buf_add(&p->b, "</tbody>\n</table>\n");
}

static void
doubts(Page *p)
{
	const EvidenceSigners *s = p->from->signers;
	Buf *b = &p->b;

	buf_add(b,
	    "<h3>What is not proven</h3>\n<ul>\n"
	    "<li>That everything that happened was recorded. What copyhold does is recorded "
	    "together with what it changes; what others do without it is not.</li>\n"
	    "<li>That the clock of the operator's machine was right, and that a reason that "
	    "was given is true.</li>\n");
	if (s->n == 0)
		buf_add(b,
		    "<li>That the operator shows everybody the same history: no witness has "
		    "cosigned it. Who holds the log's key could have written another one.</li>\n");
	else
		buf_add(b,
		    "<li>That the witnesses are independent of the operator: their keys must "
		    "come to you by another way than this file.</li>\n");
	if (s->unknown)
		buf_fmt(b,
		    "<li>%s further %s under the log's state: this file has no key for %s.</li>\n",
		    number(p->mem, s->unknown), s->unknown == 1 ? "signature" : "signatures",
		    s->unknown == 1 ? "it" : "them");
	if (p->from->tally->hidden)
		buf_fmt(b, "<li>What %s personal values were that are not shown: %s</li>\n",
		    number(p->mem, p->from->tally->hidden),
		    p->from->facts->values
			? "they were erased. That there was a value, and that it was not changed, "
			  "is proven all the same."
			: "they were left out of this file.");
	buf_add(b, "</ul>\n</section>\n");
}

static void
check(Page *p)
{
	Buf *b = &p->b;

	buf_add(b,
	    "<section>\n<h2>How to check it</h2>\n"
	    "<p>This page is for reading. The proof is in the other files beside it. With a "
	    "copy of the program copyhold that you trust, and without a network:</p>\n"
	    "<pre>copyhold audit verify evidence.zip --key log.key --witness policy</pre>\n"
	    "<p>where <code>log.key</code> holds the log's key, and <code>policy</code> names "
	    "the witnesses that you trust; both must come to you by another way than this "
	    "file. The key in this file is</p>\n<pre>");
	escape(b, note_key_text(p->mem, p->from->key));
	buf_add(b, "</pre>\n</section>\n");
}

/* --- the events -------------------------------------------------------------------------- */

static const char *
text_of(Page *p, const EvidenceEvent *e, const char *key)
{
	char *text;

	return canon_text(p->mem, canon_get(&e->members, key), &text) ? text : NULL;
}

/* A personal value, or that there was one. */
static void
person(Page *p, const EvidenceEvent *e, const char *path, const char *lead)
{
	bool hidden;
	const char *text = evidence_value(p->mem, e, path, &hidden);

	if (!text && !hidden)
		return;
	buf_fmt(&p->b, "<span>%s ", lead);
	if (text)
		value(&p->b, text);
	else
		buf_fmt(&p->b, "<em>%s</em>", p->from->facts->values ? "erased" : "not included");
	buf_add(&p->b, "</span>");
}

static void
whereabouts(Page *p, const EvidenceEvent *e)
{
	int64_t run = 0, step = 0;

	if (canon_int(canon_get(&e->members, "run"), &run) && run > 0) {
		buf_fmt(&p->b, "<span>run %lld", (long long)run);
		if (canon_int(canon_get(&e->members, "step"), &step) && step > 0)
			buf_fmt(&p->b, ", step %lld", (long long)step);
		buf_add(&p->b, "</span>");
		return;
	}
	/* Of a step they are its keys, which tell people nothing. */
	const char *before = text_of(p, e, "before"), *after = text_of(p, e, "after");
	if (before) {
		buf_add(&p->b, "<span>before: ");
		value(&p->b, before);
		buf_add(&p->b, "</span>");
	}
	if (after) {
		buf_add(&p->b, "<span>after: ");
		value(&p->b, after);
		buf_add(&p->b, "</span>");
	}
}

static void
new_day(Page *p, const char *when)
{
	if (strncmp(p->day, when, 10) == 0)
		return;
	if (p->day[0])
		buf_add(&p->b, "</ol>\n");
	memcpy(p->day, when, 10);
	buf_add(&p->b, "<h3>");
	escape(&p->b, p->day);
	buf_add(&p->b, "</h3>\n<ol>\n");
}

static const char *
or_dash(const char *text)
{
	return text ? text : "-";
}

static void
event(Page *p, const EvidenceEvent *e)
{
	const EvidenceFacts *f = p->from->facts;
	bool outside = evidence_is_before(f, p->from->proof, e) ||
	    evidence_is_after(f, p->from->proof, e);
	const char *when = moment(p->mem, e->at);
	bool dated = strlen(when) == strlen("2026-11-21 10:00:00 UTC");

	new_day(p, dated ? when : "no date   ");
	buf_fmt(&p->b, "<li%s><div class=\"when\">%s<small>no. %s</small></div><div><p>",
	    outside ? " class=\"outside\"" : "", dated ? arena_dupn(p->mem, when + 11, 8) : when,
	    number(p->mem, e->index));
	escape(&p->b,
	    words_sentence(p->mem, or_dash(text_of(p, e, "verb")), or_dash(text_of(p, e, "object")),
		or_dash(text_of(p, e, "outcome"))));
	buf_add(&p->b, "</p><p class=\"meta\">");
	person(p, e, "actor", "by");
	person(p, e, "reason", "because:");
	whereabouts(p, e);
	if (outside)
		buf_add(&p->b, "<span>outside the period, as its neighbour</span>");
	buf_add(&p->b, "</p></div></li>\n");
}

static bool
events(Page *p)
{
	const EvidenceEvent *e;
	uint64_t n = 0;

	buf_add(&p->b,
	    "<section class=\"events\">\n<h2>The events</h2>\n"
	    "<p class=\"soft\">Times are UTC.</p>\n");
	if (p->from->tally->events > PAGE_EVENTS)
		buf_fmt(&p->b,
		    "<p class=\"notice\">This page tells the first %s of %s events; all of them are "
		    "in <code>events.jsonl</code>.</p>\n",
		    number(p->mem, PAGE_EVENTS), number(p->mem, p->from->tally->events));
	for (; n < PAGE_EVENTS; n++) {
		if (!evidence_next(p->cx, p->from->walk, &e))
			return false;
		if (!e)
			break;
		event(p, e);
		if (!drain(p, PART))
			return false;
		arena_reset(p->mem);
	}
	buf_add(&p->b, n ? "</ol>\n</section>\n" : "<p>None.</p>\n</section>\n");
	return true;
}

bool
page_write(Ctx *cx, const PageFrom *from, PageTo to)
{
	Arena *mem = arena_new(cx->mem);
	Page p = { .cx = cx, .from = from, .to = to, .mem = arena_new(mem), .b = buf_new(mem) };

	head(&p);
	asked(&p);
	contents(&p);
	claims(&p);
	doubts(&p);
	check(&p);
	bool ok = events(&p);
	buf_add(&p.b, "</main>\n</body>\n</html>\n");
	ok = ok && drain(&p, 0);
	arena_free(mem);
	return ok;
}

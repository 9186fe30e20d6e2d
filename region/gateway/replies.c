#include "region/gateway/replies.h"

enum {
	SAID = 1 << 0,     /* a part of the answer that may be followed by its end */
	FAILED = 1 << 1,   /* only its ReadyForQuery is still to come */
	TYPED = 1 << 2,    /* Describe: the parameters have come */
	COPY_OUT = 1 << 3, /* CopyData of the server may come */
	UNHEARD = 1 << 4   /* a Sync that the server reads, and passes over, within COPY IN */
};

void
replies_init(Replies *q, Owed *room, uint32_t cap)
{
	*q = (Replies){ .at = room, .cap = cap };
}

bool
replies_full(const Replies *q)
{
	return q->n + REPLIES_SPARE >= q->cap;
}

/* The i-th entry from the first. */
static Owed *
entry_at(const Replies *q, uint32_t i)
{
	return &q->at[(q->first + i) % q->cap];
}

void
replies_grow(Replies *q, Owed *room, uint32_t cap)
{
	for (uint32_t i = 0; i < q->n; i++)
		room[i] = *entry_at(q, i);
	q->at = room;
	q->cap = cap;
	q->first = 0;
}

static bool
is_mark(const Owed *o)
{
	return o->asked == 'c' || o->asked == 'f';
}

/* Its answer ends with ReadyForQuery. */
static bool
ends_ready(char asked)
{
	return asked == 'Q' || asked == 'S' || asked == 'F';
}

static Owed
pop(Replies *q)
{
	Owed o = *entry_at(q, 0);

	if (is_mark(&o))
		q->marks--;
	q->first = (q->first + 1) % q->cap;
	q->n--;
	return o;
}

/* What the server passes over owes nothing once its turn has come. */
static void
tidy(Replies *q)
{
	while (
	    !q->copy_in && q->n > 0 && (is_mark(entry_at(q, 0)) || entry_at(q, 0)->state & UNHEARD))
		pop(q);
}

static void
push(Replies *q, Owed o)
{
	if (q->n == q->cap) {
		q->doubtful = true; /* not counted: whatever comes, this connection ends here */
		return;
	}
	*entry_at(q, q->n) = o;
	q->n++;
	if (is_mark(&o))
		q->marks++;
}

bool
replies_sent(Replies *q, char type, ReplyWhose whose, uint64_t about)
{
	Owed o = { .asked = type, .whose = (uint8_t)whose, .about = about };

	if (type == 'S' && q->skipping && whose != REPLY_MADE)
		q->skipping = false;
	if (q->skipping)
		return false;
	if (type == 'd' || type == 'H' || type == 'X' || (q->n == 0 && is_mark(&o)))
		return true;
	if (type == 'S' && q->copy_in && q->marks == 0)
		o.state = UNHEARD;
	if (whose != REPLY_MADE && !is_mark(&o))
		q->unsynced = !ends_ready(type);
	push(q, o);
	return true;
}

/* --- COPY IN ------------------------------------------------------------------------ */

/* The server reads what follows as data until CopyDone or CopyFail. */
static void
copy_begin(Replies *q)
{
	q->copy_in = true;
	for (uint32_t i = 1; i < q->n && !is_mark(entry_at(q, i)); i++)
		if (entry_at(q, i)->asked == 'S' && entry_at(q, i)->whose != REPLY_MADE)
			entry_at(q, i)->state |= UNHEARD;
}

/* Is the last that the server gets to hear a Sync, or as good as one? */
static bool
ends_synced(const Replies *q)
{
	uint32_t i = q->n - 1;

	while (i > 0 && (is_mark(entry_at(q, i)) || entry_at(q, i)->whose == REPLY_MADE))
		i--;
	return ends_ready(entry_at(q, i)->asked);
}

/* COPY IN is over without an error, so CopyDone was read, and each Sync before it. */
static bool
copy_done(Replies *q)
{
	uint32_t mark = 1;

	while (mark < q->n &&
	    (entry_at(q, mark)->state & UNHEARD || entry_at(q, mark)->whose == REPLY_MADE))
		mark++;
	if (mark >= q->n || entry_at(q, mark)->asked != 'c')
		return false;
	Owed copy = *entry_at(q, 0);
	uint32_t to = mark;
	for (uint32_t i = mark - 1; i > 0; i--) /* what we say waits for its turn behind it */
		if (entry_at(q, i)->whose == REPLY_MADE)
			*entry_at(q, to--) = *entry_at(q, i);
	*entry_at(q, to) = copy;
	q->marks--;
	q->first = (q->first + to) % q->cap;
	q->n -= to;
	q->copy_in = false;
	if (copy.asked == 'E') /* the Sync that was sent may be one that was passed over */
		q->unsynced = !ends_synced(q);
	return true;
}

/* COPY IN failed.  Was a Sync before CopyDone read within it, or after it and answered? */
static void
copy_failed(Replies *q)
{
	for (uint32_t i = 1; i < q->n && !is_mark(entry_at(q, i)); i++)
		if (entry_at(q, i)->state & UNHEARD)
			q->doubtful = true;
	q->copy_in = false;
}

/* --- what comes --------------------------------------------------------------------- */

typedef enum Fit { FIT_NOT, FIT_GOES_ON, FIT_ENDS } Fit;

/* Rows and the end of a statement: of an Execute, and of each in a Query. */
static Fit
fit_statement(Replies *q, Owed *o, char type)
{
	switch (type) {
	case 'D':
		return o->state & COPY_OUT || q->copy_in ? FIT_NOT : FIT_GOES_ON;
	case 'G':
	case 'H':
		if (o->state & COPY_OUT || q->copy_in)
			return FIT_NOT;
		if (type == 'H')
			o->state |= COPY_OUT;
		else
			copy_begin(q);
		return FIT_GOES_ON;
	case 'd':
	case 'c':
		return o->state & COPY_OUT ? FIT_GOES_ON : FIT_NOT;
	case 'I':
	case 's':
		return o->state & COPY_OUT || q->copy_in ? FIT_NOT : FIT_ENDS;
	case 'C':
		if (q->copy_in && !copy_done(q))
			return FIT_NOT;
		entry_at(q, 0)->state &= (uint8_t)~COPY_OUT;
		return FIT_ENDS;
	default:
		return FIT_NOT;
	}
}

static Fit
fit_query(Replies *q, Owed *o, char type)
{
	bool copying = o->state & COPY_OUT || q->copy_in;

	if (type == 'Z')
		return o->state & (SAID | FAILED) && !copying ? FIT_ENDS : FIT_NOT;
	if (o->state & FAILED || type == 's')
		return FIT_NOT;
	if (type == 'T') {
		o->state &= (uint8_t)~SAID; /* a statement whose end is to come */
		return copying ? FIT_NOT : FIT_GOES_ON;
	}
	Fit fit = fit_statement(q, o, type);
	if (fit != FIT_ENDS)
		return fit;
	entry_at(q, 0)->state |= SAID;
	return FIT_GOES_ON;
}

static Fit
fit_describe(Owed *o, char type)
{
	if (type == 't' && !(o->state & TYPED)) {
		o->state |= TYPED;
		return FIT_GOES_ON;
	}
	return type == 'T' || type == 'n' ? FIT_ENDS : FIT_NOT;
}

static Fit
fit_call(Owed *o, char type)
{
	if (type == 'V' && !(o->state & (SAID | FAILED))) {
		o->state |= SAID;
		return FIT_GOES_ON;
	}
	return type == 'Z' && o->state & (SAID | FAILED) ? FIT_ENDS : FIT_NOT;
}

/* Does this message belong to the first entry, and is it its last? */
static Fit
fit_first(Replies *q, char type)
{
	Owed *o = entry_at(q, 0);

	if (o->whose == REPLY_MADE)
		return FIT_NOT;
	switch (o->asked) {
	case 'Q':
		return fit_query(q, o, type);
	case 'P':
		return type == '1' ? FIT_ENDS : FIT_NOT;
	case 'B':
		return type == '2' ? FIT_ENDS : FIT_NOT;
	case 'C':
		return type == '3' ? FIT_ENDS : FIT_NOT;
	case 'D':
		return fit_describe(o, type);
	case 'E':
		return fit_statement(q, o, type);
	case 'S':
		return type == 'Z' ? FIT_ENDS : FIT_NOT;
	case 'F':
		return fit_call(o, type);
	default:
		return FIT_NOT;
	}
}

/* Everything up to the next Sync is not done, and the server says nothing of it. */
static bool
lose(Replies *q, void (*lost)(void *ptr, const Owed *o), void *ptr)
{
	bool ours = true;

	while (q->n > 0 && (entry_at(q, 0)->asked != 'S' || entry_at(q, 0)->state & UNHEARD)) {
		Owed o = pop(q);
		if (is_mark(&o) || o.state & UNHEARD)
			continue;
		ours = ours && o.whose == REPLY_OURS;
		if (lost)
			lost(ptr, &o);
	}
	q->skipping = q->n == 0 && !q->doubtful;
	return ours && q->n > 0 && entry_at(q, 0)->whose == REPLY_OURS;
}

static ReplyTaken
error_came(Replies *q, void (*lost)(void *ptr, const Owed *o), void *ptr)
{
	ReplyTaken out = { .todo = REPLY_PASS };
	Owed *o = q->n > 0 ? entry_at(q, 0) : NULL;

	if (o)
		out.entry = *o;
	if (!o || o->whose == REPLY_MADE || o->state & FAILED) {
		q->doubtful = true;
		return out;
	}
	if (q->copy_in)
		copy_failed(q);
	if (ends_ready(o->asked)) {
		o->state = (uint8_t)((o->state & ~COPY_OUT) | FAILED);
		out.todo = o->whose == REPLY_OURS ? REPLY_SWALLOW : REPLY_PASS;
		return out;
	}
	out.ended = true;
	if (lose(q, lost, ptr))
		out.todo = REPLY_SWALLOW;
	return out;
}

/* In doubt a ReadyForQuery ends whatever stands before it, so that the queue never fills up. */
static void
doubt(Replies *q, char type)
{
	bool last = type != 'Z';

	q->skipping = q->copy_in = false;
	while (q->n > 0 && !last)
		last = ends_ready(pop(q).asked);
	tidy(q);
}

ReplyTaken
replies_came(Replies *q, char type, void (*lost)(void *ptr, const Owed *o), void *ptr)
{
	ReplyTaken out = { .todo = REPLY_PASS };

	if (q->n > 0)
		out.entry = *entry_at(q, 0);
	bool ours = q->n > 0 && out.entry.whose == REPLY_OURS;
	if (type == 'S' || type == 'A')
		return out;
	if (type == 'N') {
		out.todo = ours ? REPLY_SWALLOW : REPLY_PASS;
		return out;
	}
	if (type == 'E') {
		out = error_came(q, lost, ptr);
		tidy(q);
		return out;
	}
	Fit fit = q->n > 0 && type != '\0' ? fit_first(q, type) : FIT_NOT;
	if (fit == FIT_NOT) {
		if (q->doubtful)
			doubt(q, type);
		else
			out.todo = REPLY_VIOLATION;
		return out;
	}
	out.todo = ours ? REPLY_SWALLOW : REPLY_PASS;
	if (fit == FIT_ENDS) {
		out.entry = pop(q);
		out.ended = true;
	}
	tidy(q);
	return out;
}

bool
replies_made(Replies *q, Owed *out)
{
	if (q->n == 0 || entry_at(q, 0)->whose != REPLY_MADE)
		return false;
	*out = pop(q);
	tidy(q);
	return true;
}

bool
replies_quiet(const Replies *q)
{
	return q->n == 0 && !q->skipping && !q->unsynced && !q->copy_in && !q->doubtful;
}

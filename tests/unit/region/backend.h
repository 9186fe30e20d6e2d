/*
 * backend.h - a server as replies.c sees it, after PostgreSQL's own main loop
 * (PostgresMain(), CopyGetData()): it reads messages in order, answers some,
 * fails when it is told to, and passes over what it has to.  A client, the
 * server and the gateway each go on as the bytes of a script say; afterwards
 * the gateway knows exactly how things stand, or knows that it does not.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "region/gateway/replies.h"

#define BACKEND_QUEUE 512

typedef struct Sent { char type; uint8_t whose, luck; bool dead; uint32_t id; } Sent;
typedef struct Said { char type; uint8_t whose; bool extended; } Said;

typedef struct Backend {
	Sent		 in[BACKEND_QUEUE];	/* on its way to the server */
	size_t		 in_first, in_n;
	Said		 out[4 * BACKEND_QUEUE];	/* on its way to the gateway */
	size_t		 out_first, out_n;
	bool		 skipping, copying, open, gone, polite;
	Sent		 copy;			/* the message that began it */
	/* the gateway */
	Owed		 room[BACKEND_QUEUE];
	Replies		 q;
	uint32_t	 ids;
	uint64_t	 last;
	const char	*broken;		/* what was not as it should be; NULL: nothing */
} Backend;

static inline void
backend_check(Backend *b, bool right, const char *what)
{
	if (!right && !b->broken && !b->q.doubtful)
		b->broken = what;
}

static inline void
backend_say(Backend *b, const Sent *m, const char *types)
{
	for (; *types; types++)
		b->out[b->out_n++] = (Said){ *types, m->whose, strchr("QSF", m->type) == NULL };
}

/* The end of a simple message, or of one that Sync ends. */
static inline void
backend_ready(Backend *b, const Sent *m)
{
	backend_say(b, m, "Z");
	b->open = false;
}

static inline void
backend_error(Backend *b, const Sent *m)
{
	backend_say(b, m, "E");
	if (strchr("QSF", m->type))
		backend_ready(b, m);
	else
		b->skipping = true;
	b->copying = false;
}

static inline void
backend_copy(Backend *b, const Sent *m)
{
	if (m->type == 'f' || (m->type == 'd' && m->luck % 8 == 0)) {
		backend_error(b, &b->copy);
	} else if (m->type == 'c') {
		b->copying = false;
		backend_say(b, &b->copy, "C");
		if (b->copy.type == 'Q' && m->luck % 4 == 0) {
			backend_say(b, &b->copy, "G"); /* another COPY in the same text */
			b->copying = true;
		} else if (b->copy.type == 'Q')
			backend_ready(b, &b->copy);
	} else if (!strchr("dHS", m->type)) {
		backend_say(b, m, "EE");
		b->gone = true;
	}
}

static inline void
backend_query(Backend *b, const Sent *m)
{
	static const char *const answers[] = { "TDDC", "C", "I", "CTDC", "HddcC", "TDDNC", "AC", "CHcCTC" };

	if (m->luck % 4 == 0) {
		backend_say(b, m, m->luck % 8 ? "TD" : "C");
		backend_error(b, m);
	} else if (m->luck % 16 == 1) {
		backend_say(b, m, m->luck % 32 == 1 ? "G" : "TCG");
		b->copying = true;
		b->copy = *m;
	} else {
		backend_say(b, m, answers[m->luck / 4 % 8]);
		backend_ready(b, m);
	}
}

static inline void
backend_execute(Backend *b, const Sent *m)
{
	static const char *const answers[] = { "DDC", "C", "I", "Ds", "HddcC", "DNDC", "SC", "s" };

	if (m->luck % 16 == 1) {
		backend_say(b, m, "G");
		b->copying = true;
		b->copy = *m;
	} else
		backend_say(b, m, answers[m->luck / 4 % 8]);
}

static inline void
backend_one(Backend *b, const Sent *m)
{
	bool fails = m->luck % 8 == 0;

	if (b->copying) {
		backend_copy(b, m);
		return;
	}
	if (m->type == 'S') {
		b->skipping = false;
		if (fails)
			backend_say(b, m, "E");
		backend_ready(b, m);
		return;
	}
	if (b->skipping || strchr("dcfH", m->type))
		return;
	backend_check(b, !m->dead, "the server took what it was thought to pass over");
	b->open = b->open || !strchr("QF", m->type);
	if (m->type == 'Q')
		backend_query(b, m);
	else if (fails)
		backend_error(b, m);
	else if (m->type == 'F') {
		backend_say(b, m, "V");
		backend_ready(b, m);
	} else if (m->type == 'E')
		backend_execute(b, m);
	else
		backend_say(b, m,
		    m->type == 'P' ? "1" : m->type == 'B' ? "2" : m->type == 'C' ? "3" :
		    m->luck % 3 == 0 ? "tT" : m->luck % 3 == 1 ? "tn" : "n");
}

static inline void
backend_reads(Backend *b)
{
	if (b->in_n == 0 || b->gone || b->out_n + 16 > sizeof b->out / sizeof *b->out)
		return;
	Sent m = b->in[b->in_first++];
	b->in_n--;
	backend_one(b, &m);
}

static inline void
backend_in_turn(void *ptr, const Owed *o)
{
	Backend *b = ptr;

	backend_check(b, o->about > b->last, "out of turn");
	b->last = o->about;
}

static inline void
backend_ours(Backend *b)
{
	Owed o;

	while (replies_made(&b->q, &o))
		backend_in_turn(b, &o);
}

static inline void
backend_answers(Backend *b)
{
	if (b->out_n == b->out_first)
		return;
	Said s = b->out[b->out_first++];
	ReplyTaken t = replies_came(&b->q, s.type, backend_in_turn, b);
	backend_check(b, t.todo != REPLY_VIOLATION || b->gone, "a good answer was refused");
	if (s.type != 'E' && !strchr("NAS", s.type))
		backend_check(b, b->gone || (t.todo == REPLY_SWALLOW) == (s.whose == REPLY_OURS),
		    "an answer went to the wrong side");
	if (t.ended && s.type != 'E')
		backend_in_turn(b, &t.entry);
	backend_ours(b);
}

static inline void
backend_sends(Backend *b, uint8_t what, uint8_t luck)
{
	Sent m = { .type = "QPBDECSFHdcfSSEQ"[what % 16], .luck = luck, .id = ++b->ids };

	m.whose = what < 160 || strchr("Hdcf", m.type) ? REPLY_CLIENTS : what < 208 ? REPLY_OURS : REPLY_MADE;
	if (m.whose == REPLY_MADE && strchr("SF", m.type))
		m.whose = REPLY_CLIENTS;
	if (b->polite && b->q.copy_in && !strchr("dcfH", m.type))
		return; /* who sends anything but data now may lose the connection */
	if (replies_full(&b->q) || b->in_first + b->in_n == BACKEND_QUEUE)
		return;
	m.dead = !replies_sent(&b->q, m.type, (ReplyWhose)m.whose, m.id);
	if (m.whose != REPLY_MADE)
		b->in[b->in_first + b->in_n++] = m;
	backend_ours(b);
}

/* Plays the script, then lets everything arrive.  NULL, or what was wrong. */
static inline const char *
backend_play(Backend *b, const uint8_t *script, size_t n)
{
	memset(b, 0, sizeof *b);
	replies_init(&b->q, b->room, BACKEND_QUEUE);
	b->polite = n > 0 && script[0] % 8 != 0;
	for (size_t i = 0; i + 2 < n && !b->broken; i += 3) {
		if (script[i] % 4 < 2)
			backend_sends(b, script[i + 1], script[i + 2]);
		else if (script[i] % 4 == 2)
			backend_reads(b);
		else
			backend_answers(b);
	}
	while ((b->in_n > 0 && !b->gone) || b->out_first < b->out_n) {
		backend_reads(b);
		while (b->out_first < b->out_n)
			backend_answers(b);
	}
	if (b->gone || b->q.doubtful)
		return b->broken;
	backend_check(b, b->q.copy_in == b->copying, "COPY is not known");
	backend_check(b, b->q.skipping == b->skipping, "an error's skipping is not known");
	backend_check(b, b->copying || b->q.n == 0, "an answer is waited for that never comes");
	backend_check(b, replies_quiet(&b->q) == !(b->copying || b->skipping || b->open),
	    "whether the server may change hands is not known");
	return b->broken;
}

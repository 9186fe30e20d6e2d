/*
 * replies.h - what a server still owes us: one entry for each message that it
 * was sent, in order, each taken away by the reply that ends it.
 *
 *	Query -> Z          Parse -> 1        Bind -> 2        Describe -> [t] T or n
 *	Execute -> C I s    Close -> 3        Sync -> Z        FunctionCall -> V, then Z
 *
 * ErrorResponse in the extended protocol ends everything up to the next Sync;
 * until one is sent, the server passes over whatever else it is sent (also a
 * Query).  During COPY IN the server passes over a Sync and a Flush, so those
 * sent before CopyDone or CopyFail are owed nothing.  S, N and A may come at
 * any time and end nothing (N is swallowed while it is our turn).  A server
 * connection may change hands only when nothing is owed and the last Z said I:
 * that is the invariant that keeps one client's answer from reaching another.
 *
 * An ErrorResponse when nothing is owed, or after one that Z was to follow, is the
 * server's farewell: it is passed on, and `doubtful` is set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLIES_MAX	4096	/* owed at once; the client is read no further until some have come */
#define REPLIES_SPARE	4	/* entries that may still be added when replies_full() begins to say so */

typedef enum ReplyWhose {
	REPLY_CLIENTS,		/* the client waits for it: pass it on */
	REPLY_OURS,		/* we asked: swallow it */
	REPLY_MADE		/* nothing was sent: when its turn comes we say it ourselves.  Not for a Sync
				 * behind messages that were sent: the server needs that one */
} ReplyWhose;

typedef struct Owed {
	char		 asked;		/* the client's message: Q P B D E C S F; c and f are marks of replies.c */
	uint8_t		 whose;
	uint8_t		 state;		/* of replies.c */
	uint64_t	 about;		/* the caller's: which statement */
} Owed;

typedef struct Replies {
	Owed		*at;		/* a ring */
	uint32_t	 first, n, cap;
	uint32_t	 marks;		/* CopyDone and CopyFail among the entries */
	bool		 skipping;	/* an error came and no Sync has been sent since */
	bool		 unsynced;	/* the last message of the extended protocol stands before a Sync to come: the
					 * server is within a transaction although its last Z may have said I */
	bool		 copy_in;	/* the first entry is in COPY IN */
	bool		 doubtful;	/* a COPY IN failed where it cannot be known which Sync was heard:
					 * pass on everything, never hand over, close afterwards */
} Replies;

void	 replies_init(Replies *q, Owed *room, uint32_t cap);	/* the caller's room, above
								 * REPLIES_SPARE; replies_full(): it is used up */
bool	 replies_full(const Replies *q);
void	 replies_grow(Replies *q, Owed *room, uint32_t cap);	/* moves into a larger room */

/* A message is being sent (or, REPLY_MADE, would have been).  d, c, f, H and X are told, too: they owe
 * nothing but matter in COPY.  False: the server will pass over it (an error stands and this is no
 * Sync): nothing was added; for MADE, say nothing. */
bool	 replies_sent(Replies *q, char type, ReplyWhose whose, uint64_t about);

typedef enum ReplyDo { REPLY_PASS, REPLY_SWALLOW, REPLY_VIOLATION } ReplyDo;
typedef struct ReplyTaken {
	ReplyDo		 todo;
	bool		 ended;		/* an entry was taken away: `entry` */
	Owed		 entry;		/* not ended: the one that it is about, asked '\0' if there is none */
} ReplyTaken;
/* A message of this type has come from the server.  An ErrorResponse that takes away entries calls
 * `lost` (unless NULL) for each of them, the failed one first (a Parse that never happened).  An
 * error is the client's unless everything up to the next Sync, and that, was ours. */
ReplyTaken replies_came(Replies *q, char type, void (*lost)(void *ptr, const Owed *o), void *ptr);
/* After replies_came() and replies_sent(), until false: an entry of REPLY_MADE whose turn it is. */
bool	 replies_made(Replies *q, Owed *out);
bool	 replies_quiet(const Replies *q);	/* nothing owed, not skipping nor unsynced, no COPY, not
						 * doubtful */

/*
 * log_intern.h - what the files of the log share among themselves.
 */
#pragma once

#include "compliance/audit/batch.h"
#include "compliance/audit/log.h"

typedef struct Head {	/* a tree that was, or may have been, signed */
	uint64_t	 size;
	Hash		 root;
	bool		 known;
} Head;

bool	 log_private(Ctx *cx, Home *home, Ed25519 **out);	/* the home's signing key, made if there is none */
Log	 log_row(Ctx *cx, const Home *home, LiteRows *rows);	/* of the columns that log.sql names */
bool	 log_signed_before(Ctx *cx, Home *home, int64_t before, int64_t now, Logs *out);	/* or after now; the oldest first */
bool	 log_by_id(Ctx *cx, Home *home, int64_t id, Log *out);
bool	 log_high_water(Ctx *cx, const Log *log, Head *out);
/* Of the checkpoint that stands there, if our key has signed it; *note: its lines, else none. */
bool	 log_published(Ctx *cx, const Log *log, const NoteKey *key, Head *out, Note *note);
bool	 log_put_head(Ctx *cx, Batch *b, const Log *log, const Head *head);
bool	 log_put_mark(Ctx *cx, Home *home, Batch *b);		/* audit/high-water: the last event of the catalogue */
bool	 log_publish_locked(Ctx *cx, Home *home, Logs *logs);	/* by who holds the lock; one failure fails all, after all were tried */
char	*log_audit_dir(Arena *mem, const Home *home);
bool	 log_forked(Ctx *cx, const Log *log, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

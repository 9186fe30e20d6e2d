/*
 * log.h - the logs of a home: one for each tenant and one for the vendor.
 *
 * An event takes its place in its log when it is written: event_write() gives
 * it the next index in the same transaction, so nothing that was acknowledged
 * waits to be sequenced.  Publishing brings a log's files up to what the
 * catalogue has (entry bundles, tiles: C2SP tlog-tiles) and its high-water
 * mark, and only when those are durable signs and names the checkpoint.  The
 * catalogue learns of the tree's state too; for a log's first tree before it is
 * signed, later when no writer is kept from writing.  Before a tree is signed it is
 * compared with what was signed before, as the catalogue, the high-water mark
 * (which is in no backup) and the published checkpoint tell it: a smaller or
 * different tree is refused (FAIL_FORKED), and audit recover is the way out.
 *
 * Under audit/ of the home: lock, high-water (of the home), and for each log a
 * folder of its own with checkpoint, key, tile/..., high-water (never
 * published).  Whoever writes there holds the lock.
 */
#pragma once

#include "compliance/audit/note.h"
#include "lib/core/catalog.h"

typedef struct Log {
	int64_t		 id;		/* of its record */
	const char	*tenant;	/* name, or NULL: the vendor's */
	const char	*origin;	/* "copyhold/<home>/<tenant id or vendor>-<letters>"; a successor has other letters */
	const char	*dir;		/* absolute, or as the home's is */
	const char	*folder;	/* the same below the folder of all logs: "vendor-k3jx2a", "tenants/..." */
	int64_t		 life, part;	/* a tenant's name that is used again: another life; a successor: another part */
	uint64_t	 next;		/* events that the catalogue has for it */
	uint64_t	 size;		/* of the last signed tree */
	Hash		 root;
	int64_t		 signed_at;	/* wall ms; 0: never */
	bool		 closed;	/* a successor goes on, or it was found after a restore */
} Log;
typedef struct Logs { Log *at; size_t n, cap; } Logs;

bool	 log_all(Ctx *cx, Home *home, Logs *out);			/* the vendor's first, then by tenant, life, part */
bool	 log_of(Ctx *cx, Home *home, const char *tenant, Log *out);	/* NULL: the vendor's; the newest of that name */
bool	 log_of_origin(Ctx *cx, Home *home, const char *origin, Log *out);
/* The home's signing key under a log's name, made when it is first asked for and sealed in the catalogue. */
bool	 log_signer(Ctx *cx, Home *home, const Log *log, NoteKeyType type, NoteSigner *out);
bool	 log_key(Ctx *cx, Home *home, const Log *log, NoteKeyType type, NoteKey *out);	/* no key was made yet: FAIL_NOT_FOUND */

typedef enum Heartbeat { HEARTBEAT_IF_GROWN, HEARTBEAT_ALWAYS } Heartbeat;
bool	 log_publish(Ctx *cx, Home *home, Log *log, Heartbeat beat);	/* *log as it is afterwards */
/* Many at once; one that fails does not stop the others. */
typedef struct Published {
	size_t	 signed_now, failed;
	Fail	 why;		/* the last failure */
} Published;
/* heads: trees that this process has signed, which need not be compared with the catalogue again, and
 * state that is written when it can be; NULL: everything is compared, and the state is written at once. */
typedef struct LogHeads LogHeads;
LogHeads *log_heads(Arena *mem);
bool	 log_publish_all(Ctx *cx, Home *home, LogHeads *heads, Logs *logs, Heartbeat beat, Published *out);
/* Before a command acts that changes something: can its events be published, and is the catalogue not older
 * than what was published?  Else FAIL_FORKED, or what the disk says. */
bool	 log_ready(Ctx *cx, Home *home);
/* After a command that wrote: logs that are behind, those that wait longest first, for at most `budget_ms`;
 * what is left is in `audit status`.  Never fails the command: what went wrong is said. */
void	 log_catch_up(Ctx *cx, Home *home, int64_t budget_ms);
bool	 log_behind(Ctx *cx, Home *home, int64_t limit, Logs *out);			/* have events that are in no signed tree */
/* Signed longer ago than that, or in the future; heads may be NULL. */
bool	 log_silent(Ctx *cx, Home *home, const LogHeads *heads, int64_t age_ms, size_t limit, Logs *out);

bool	 log_checkpoint(Ctx *cx, const Log *log, Note *note, Checkpoint *out, bool *found);	/* as published */
/* Replaces published checkpoints by the same trees with more signatures; for witnesses' lines. */
typedef struct Cosigned { const Log *log; const Note *note; } Cosigned;
bool	 log_cosigned_all(Ctx *cx, Home *home, const Cosigned *all, size_t n);
static inline bool
log_cosigned(Ctx *cx, Home *home, const Log *log, const Note *note)
{
	return log_cosigned_all(cx, home, &(Cosigned){ log, note }, 1);
}
bool	 log_entry(Ctx *cx, Home *home, const Log *log, uint64_t index, int64_t *event, Bytes *out);	/* from the catalogue */
HashSource log_hashes(Arena *mem, const Log *log, uint64_t size);		/* from the tiles of a published size */
/* Entries [from, to) in order; the bytes are borrowed until the callback returns. */
bool	 log_each(Ctx *cx, Home *home, const Log *log, uint64_t from, uint64_t to,
	    bool (*each)(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes), void *ptr);

/* Events as people read them. */
typedef struct EventRow {
	int64_t		 seq, at, index, run, step;
	const char	*id, *tenant, *origin, *verb, *object, *outcome;
	const char	*actor, *reason;	/* NULL: erased, or none was given */
	const char	*before, *after;
	bool		 erased;	/* who acted is not known any more */
	bool		 is_signed;	/* in a tree that is signed */
} EventRow;
typedef struct EventRows { EventRow *at; size_t n, cap; } EventRows;
typedef struct EventAsk {
	const char	*tenant, *verb, *actor;	/* NULL: any; actor: a part of it */
	int64_t		 since, until;		/* wall ms; until 0: no end */
	int64_t		 before;		/* seq that they are older than; 0: the newest */
	int64_t		 limit;
} EventAsk;
bool	 log_events(Ctx *cx, Home *home, const EventAsk *ask, EventRows *out);	/* newest first */
bool	 log_event(Ctx *cx, Home *home, const char *id, Log *log, uint64_t *index);	/* where an event has its place */
/* C2SP tlog-proof: the event is in the tree of the published checkpoint; entry: with the event's own bytes as extra data. */
bool	 log_proof(Ctx *cx, Home *home, const Log *log, uint64_t index, bool entry, char **out);

/* A home restored from an older backup: takes entries that the published files have and the catalogue
 * lacks back into the catalogue; where other events have taken their places, or the files are gone, the
 * log is closed and a successor begins, whose first event names the last checkpoint of the closed one.
 * The witnesses are asked before anything is changed: FAIL_FORKED if one of them knows more of a log, or
 * another history, or does not answer. */
typedef struct RecoverAsk {
	const char	*copy;	/* of published files, or NULL */
	bool		 close;	/* the logs of which the witnesses do not all agree are closed too */
} RecoverAsk;
typedef struct Recovery { uint64_t taken_back, moved, logs, successors, found; } Recovery;
bool	 log_recover(Ctx *cx, Home *home, const RecoverAsk *ask, Recovery *out);
/* The files that a web server can serve, of one log (with its latest checkpoint last); what is there is kept. */
bool	 log_copy(Ctx *cx, const Log *log, const char *to, uint64_t *files);

/* The lock of audit/: one writer at a time. *fd -1: another one has it still after wait_ms. */
bool	 log_lock(Ctx *cx, Home *home, int64_t wait_ms, int *fd);
void	 log_unlock(int fd);

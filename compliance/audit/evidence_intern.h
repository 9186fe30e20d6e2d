/*
 * evidence_intern.h - the members of an evidence file: what both its writer and
 * its verifier know of them.  Everything that is read is hostile: FAIL_INPUT.
 */
#pragma once

#include "compliance/audit/canon.h"
#include "compliance/audit/evidence.h"
#include "compliance/audit/lines.h"
#include "compliance/audit/tile.h"
#include "lib/adapters/pack.h"

#define EVIDENCE_MANIFEST   "MANIFEST"
#define EVIDENCE_README	    "README.txt"
#define EVIDENCE_CHECKPOINT "checkpoint"
#define EVIDENCE_EVENTS	    "events.jsonl"
#define EVIDENCE_FACTS	    "export.json"
#define EVIDENCE_KEYS	    "keys"
#define EVIDENCE_OPENINGS   "openings.jsonl"
#define EVIDENCE_PAGE	    "page.html"
#define EVIDENCE_POLICY	    "policy"
#define EVIDENCE_PROOF	    "proof"
#define EVIDENCE_MEMBERS    10
#define EVIDENCE_SALT	    16
#define EVIDENCE_LINE_MAX   ((size_t)512 << 10)	/* of an opening: a value of 64 KiB, each byte escaped */

extern const PackRule evidence_rules[EVIDENCE_MEMBERS];	/* sorted by name */

/* MANIFEST: a note of the log's key that lists every other member */
typedef struct EvidenceDigest {
	const char	*name;
	uint64_t	 size;
	unsigned char	 sha[32];
	bool		 tree;		/* no digest: the tree is it */
} EvidenceDigest;
typedef struct EvidenceList { const char *origin; EvidenceDigest at[EVIDENCE_MEMBERS]; size_t n; } EvidenceList;
char	*evidence_list_text(Arena *mem, const EvidenceList *list);
bool	 evidence_list_read(Ctx *cx, const Note *note, EvidenceList *out);

/* proof: what is left and right of the events */
typedef struct EvidenceProof {
	const char	*origin;
	uint64_t	 size;
	Range		 left, right;	/* [0, from), [to, size) */
} EvidenceProof;
char	*evidence_proof_text(Arena *mem, const EvidenceProof *p);
bool	 evidence_proof_read(Ctx *cx, Bytes text, EvidenceProof *out);

/* export.json: what was asked, when and by whom */
typedef struct EvidenceFacts {
	const char	*origin, *version;
	const char	*tenant, *display;	/* NULL: the vendor's log */
	const char	*actor, *reason;	/* NULL: not told */
	int64_t		 at, since, until;
	bool		 values;		/* openings are in it, as far as they are not erased */
} EvidenceFacts;
char	*evidence_facts_text(Arena *mem, const EvidenceFacts *f);
bool	 evidence_facts_read(Ctx *cx, Bytes text, EvidenceFacts *out);

/* keys: verifier keys, one a line; the log's own first */
typedef struct EvidenceKeys { NoteKey *at; size_t n, cap; } EvidenceKeys;
char	*evidence_keys_text(Arena *mem, const EvidenceKeys *keys);
bool	 evidence_keys_read(Ctx *cx, Bytes text, EvidenceKeys *out);

typedef struct EvidenceSigner { const char *name; int64_t unix_s; } EvidenceSigner;
typedef struct EvidenceSigners {	/* of a checkpoint, other than the log */
	EvidenceSigner	*at;		/* valid by a key of the file */
	size_t		 n, cap;
	size_t		 unknown;	/* lines for which the file has no key */
	const char	*bad;		/* whose line is wrong, or NULL */
	int64_t		 own;		/* when the log itself cosigned; 0: never */
} EvidenceSigners;
void	 evidence_signers(Ctx *cx, const Note *checkpoint, const EvidenceKeys *keys, EvidenceSigners *out);

/* events.jsonl and openings.jsonl, side by side */
typedef struct EvidenceOpening { const char *path, *value; Bytes salt; } EvidenceOpening;
typedef struct EvidenceEvent {
	uint64_t	 index;
	Bytes		 bytes;
	CanonObject	 members;
	int64_t		 at;
	struct { EvidenceOpening *at; size_t n, cap; } openings;	/* each matches its commitment */
} EvidenceEvent;
typedef struct EvidenceWalk EvidenceWalk;
EvidenceWalk *evidence_walk(Arena *mem, LinesFrom events, LinesFrom openings, uint64_t from);
bool	 evidence_next(Ctx *cx, EvidenceWalk *w, const EvidenceEvent **out);	/* NULL at the end; borrowed until the next */
const char *evidence_value(Arena *mem, const EvidenceEvent *e, const char *path, bool *hidden);	/* NULL: none, or hidden */
char	*evidence_opening_text(Arena *mem, uint64_t index, const EvidenceOpening *o);	/* a line */

/* What stands in the file, counted. */
typedef struct EvidenceCount { const char *verb; uint64_t n; } EvidenceCount;
typedef struct EvidenceTally {
	uint64_t	 events, within;	/* in the file; in the period */
	bool		 before, after;		/* the neighbours of the period are there */
	int64_t		 first_at, last_at;	/* of the file's first and last event */
	uint64_t	 opened, hidden;	/* personal values that are shown, and that are not */
	struct { EvidenceCount *at; size_t n, cap; } verbs;	/* of the period, by verb */
	uint64_t	 others;		/* of further verbs */
} EvidenceTally;
void	 evidence_tally(Arena *mem, const EvidenceFacts *f, const EvidenceProof *p, const EvidenceEvent *e,
	    EvidenceTally *t);
/* The neighbours of the period, which show that nothing of it is missing. */
bool	 evidence_is_before(const EvidenceFacts *f, const EvidenceProof *p, const EvidenceEvent *e);
bool	 evidence_is_after(const EvidenceFacts *f, const EvidenceProof *p, const EvidenceEvent *e);

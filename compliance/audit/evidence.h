/*
 * evidence.h - what a compliance officer gives to an auditor: one ZIP file
 * with the events of one log from some time on, the proof that they are all
 * of its events from there to a checkpoint, the keys, cosignatures of
 * witnesses, openings of personal values that are not erased, a page for
 * people and a README.  Verification is offline and needs no home; what the
 * file says of itself is never believed, only what is computed.
 *
 * Formats: docs/audit-formats.md.
 */
#pragma once

#include "compliance/audit/log.h"
#include "compliance/audit/policy.h"

typedef struct EvidenceAsk {
	const char	*tenant;	/* NULL: the vendor's log */
	const char	*origin;	/* of an earlier log, or of a tenant that is gone; else NULL */
	int64_t		 since, until;	/* wall ms; 0: from the beginning, to the end */
	bool		 no_values;	/* without the openings of personal values */
	bool		 stored;	/* not compressed: larger, and read faster */
} EvidenceAsk;
typedef struct EvidenceMade {
	const char	*origin;
	uint64_t	 events, size;	/* in the file; in the tree */
	uint64_t	 first;		/* the index of the first one */
} EvidenceMade;
/* Writes the event that tells of it first, and publishes the log: the export is its last entry. */
bool	 evidence_export(Ctx *cx, Home *home, const EvidenceAsk *ask, const char *path, EvidenceMade *made);

typedef struct EvidenceTrust {	/* what the verifier was given by another way */
	struct { NoteKey *at; size_t n, cap; } keys;	/* that of the file's log is used; none: its own, and nobody vouches for it */
	const Policy	*policy;	/* or NULL */
} EvidenceTrust;

typedef struct Findings { const char **at; size_t n, cap; } Findings;	/* sentences without a stop */
typedef struct Verdict {
	bool		 sound;		/* nothing contradicts the file */
	bool		 trusted;	/* and the key that was given (and the policy's quorum) has signed it */
	Findings	 proven, not_proven, wrong;
	const char	*origin, *key;	/* the verifier key it was checked with; NULL: it was not come to */
	uint64_t	 first, events, size;
	int64_t		 signed_at;	/* unix s of the checkpoint, as the log says; 0: not known */
} Verdict;
/* False only if the file could not be read; a file that is wrong has a verdict that says so. */
bool	 evidence_verify(Ctx *cx, const char *path, const EvidenceTrust *trust, Verdict *out);

/* Removes the openings of a person's values; the events stay, and their proofs.  tenant NULL: in every log. */
typedef struct EvidenceErased {
	int64_t		 values, logs;
	int64_t		 plain;		/* events of the old form, which name the person in themselves */
	bool		 settled;	/* false: a reader kept the catalogue's journal, which still has them; a later command removes them */
} EvidenceErased;
bool	 evidence_erase(Ctx *cx, Home *home, const char *tenant, const char *subject, EvidenceErased *out);
bool	 evidence_count(Ctx *cx, Home *home, const char *tenant, const char *subject, int64_t *values);	/* that an erasure would remove */

/*
 * page.h - an evidence file as a page for people: HTML with no script, no
 * network and nothing to load, for screen and paper.  A pure function of the
 * file's other members, so that a verifier can make it again and compare.
 */
#pragma once

#include "compliance/audit/evidence_intern.h"

#define PAGE_EVENTS 10000	/* that a page tells one by one */

typedef struct PageFrom {
	const EvidenceFacts	*facts;
	const EvidenceProof	*proof;
	const EvidenceTally	*tally;
	const EvidenceSigners	*signers;
	const NoteKey		*key;	/* the log's */
	EvidenceWalk		*walk;	/* at the first event */
} PageFrom;
typedef struct PageTo {
	bool	(*put)(Ctx *cx, void *ptr, const void *bytes, size_t n);
	void	*ptr;
} PageTo;
bool	 page_write(Ctx *cx, const PageFrom *from, PageTo to);

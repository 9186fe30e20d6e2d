/*
 * canon.h - is a text canonical JSON as js_canonical() writes it, and where are
 * its members?  One pass at the speed of hashing, nothing allocated: what a
 * verifier does to each of millions of events.
 *
 * Canonical: members sorted by their bytes and none twice, no spaces, integers
 * only, valid UTF-8, escapes only where JSON wants them.
 */
#pragma once

#include "lib/adapters/crypto.h"

#define CANON_MEMBERS 32

typedef struct CanonObject {
	struct { Bytes key, value; } at[CANON_MEMBERS];	/* the key without its quotes; both borrowed from the text */
	size_t	 n;
} CanonObject;

bool	 canon_object(Bytes text, CanonObject *out);	/* false: not canonical, no object, or too many members */
Bytes	 canon_get(const CanonObject *o, const char *key);	/* at NULL: it has none */
/* A member of members: "a.b".  Of a text that canon_object() found to be canonical. */
Bytes	 canon_at(const CanonObject *o, const char *path);
bool	 canon_is(Bytes value, const char *text);	/* a JSON text of just these ASCII characters */
bool	 canon_text(Arena *mem, Bytes value, char **out);	/* false unless a text */
bool	 canon_int(Bytes value, int64_t *out);		/* false unless an integer of 64 bits */

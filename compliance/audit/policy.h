/*
 * policy.h - which signatures make a checkpoint "proven": the policy file of
 * C2SP tlog-policy (log, witness, group NAME k|any|all..., quorum NAME|none).
 *
 * The file is strict: an unknown word, a name that is not defined above, a
 * second quorum, a key that stands twice and a last line that was cut off are
 * refused with their place.
 */
#pragma once

#include "compliance/audit/note.h"

#define POLICY_MAX   ((size_t)1 << 20)	/* bytes of a file */
#define POLICY_NAMES 1024		/* logs; witnesses and groups */

typedef struct Policy Policy;
bool	 policy_read(Ctx *cx, const char *file, const char *text, size_t n, Policy **out);	/* FAIL_INPUT with its place */
bool	 policy_load(Ctx *cx, const char *path, Policy **out);
typedef struct PolicyVerdict {
	bool		 log, quorum;	/* signed by the log of its origin; enough witnesses */
	struct { const char **at; size_t n, cap; } witnesses;	/* the policy's names of those that have cosigned validly */
	int64_t		 oldest, newest;	/* unix s of their cosignatures */
	const char	*bad;		/* a key of the policy whose signature is wrong: then nothing else is proven; else NULL */
} PolicyVerdict;
void	 policy_judge(Arena *mem, const Policy *p, const Note *checkpoint, PolicyVerdict *out);
bool	 policy_log_key(const Policy *p, const char *origin, NoteKey *out);

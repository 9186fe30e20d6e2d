/*
 * leaves.h - the leaves of a run of entries taken into a range, many at once:
 * hashes of leaves and nodes that do not wait for each other are computed side
 * by side (lib/adapters/sha_many.h).  The range is the same as with
 * merkle_leaf() and range_add() for one after the other.
 */
#pragma once

#include "compliance/audit/merkle.h"

typedef struct Leaves Leaves;
Leaves	*leaves_new(Arena *mem, Range *to);
void	 leaves_add(Leaves *l, Bytes entry);	/* copied */
void	 leaves_end(Leaves *l);			/* the range has all of them; more may follow */

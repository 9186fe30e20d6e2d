/*
 * merkle.h - Merkle trees as RFC 6962 section 2.1 hashes them, and the proofs
 * of sections 2.1.1 (inclusion) and 2.1.2 (consistency): pure functions of
 * hashes.  Leaf SHA-256(0x00 || entry), node SHA-256(0x01 || left || right),
 * the empty tree SHA-256("").
 *
 * A compact range is what is left of a run of leaves [begin, end): the roots of
 * its maximal aligned subtrees, left to right; 64 at most a side.  Appending to
 * [0, n) is all that a log needs to hold in memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/adapters/crypto.h"
#include "lib/base/vec.h"

#define HASH_BYTES 32
typedef struct Hash { unsigned char at[HASH_BYTES]; } Hash;
typedef struct Hashes { Hash *at; size_t n, cap; } Hashes;

void	 merkle_leaf(const void *entry, size_t n, Hash *out);
void	 merkle_node(const Hash *left, const Hash *right, Hash *out);
void	 merkle_empty(Hash *out);
bool	 hash_same(const Hash *a, const Hash *b);
int	 merkle_subtree(uint64_t at, uint64_t end);	/* level of the largest perfect aligned one that begins at `at` and ends by `end`, which is larger */

typedef struct Range { uint64_t begin, end; Hash at[128]; size_t n; } Range;
void	 range_begin(Range *r, uint64_t begin);		/* empty, at a place */
void	 range_add(Range *r, const Hash *leaf);
void	 range_push(Range *r, int level, const Hash *root);	/* a perfect subtree of 2^level leaves; end is a multiple of that */
bool	 range_join(Range *left, const Range *right);	/* false: they do not touch */
void	 range_root(const Range *r, Hash *out);		/* begin is 0 */

/* Where a proof's hashes come from: the root of the perfect subtree of 2^level leaves that begins at
 * index << level.  False: could not be read; the Fail is filled. */
typedef struct HashSource { bool (*subtree)(Ctx *cx, void *ptr, int level, uint64_t index, Hash *out); void *ptr; } HashSource;
bool	 merkle_inclusion(Ctx *cx, const HashSource *from, uint64_t index, uint64_t size, Hashes *out);
bool	 merkle_consistency(Ctx *cx, const HashSource *from, uint64_t old, uint64_t size, Hashes *out);	/* old 0: empty */
bool	 merkle_compact(Ctx *cx, const HashSource *from, uint64_t begin, uint64_t end, Range *out);

/* Verdicts on bytes from outside: false for anything that is not exactly the proof. */
bool	 merkle_check_inclusion(const Hash *leaf, uint64_t index, uint64_t size, const Hashes *proof, const Hash *root);
bool	 merkle_check_consistency(uint64_t old, const Hash *old_root, uint64_t size, const Hash *root, const Hashes *proof);

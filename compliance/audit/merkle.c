#include "compliance/audit/merkle.h"

#include <string.h>

void
merkle_leaf(const void *entry, size_t n, Hash *out)
{
	static const unsigned char mark[1] = { 0 };

	sha256_two((Bytes){ mark, 1 }, (Bytes){ entry, n }, out->at);
}

void
merkle_node(const Hash *left, const Hash *right, Hash *out)
{
	unsigned char both[1 + 2 * HASH_BYTES] = { 1 };

	memcpy(both + 1, left->at, HASH_BYTES);
	memcpy(both + 1 + HASH_BYTES, right->at, HASH_BYTES);
	sha256(both, sizeof both, out->at);
}

void
merkle_empty(Hash *out)
{
	sha256("", 0, out->at);
}

bool
hash_same(const Hash *a, const Hash *b)
{
	return memcmp(a->at, b->at, HASH_BYTES) == 0;
}

void
range_begin(Range *r, uint64_t begin)
{
	r->begin = r->end = begin;
	r->n = 0;
}

void
range_push(Range *r, int level, const Hash *root)
{
	Hash grown = *root;
	uint64_t index = r->end >> level;

	r->end += (uint64_t)1 << level;
	while (index & 1 && (index - 1) << level >= r->begin) {
		merkle_node(&r->at[r->n - 1], &grown, &grown);
		r->n--;
		index >>= 1;
		level++;
	}
	r->at[r->n++] = grown;
}

void
range_add(Range *r, const Hash *leaf)
{
	range_push(r, 0, leaf);
}

int
merkle_subtree(uint64_t at, uint64_t end)
{
	int fits = 63 - __builtin_clzll(end - at);
	int aligned = at ? __builtin_ctzll(at) : 63;

	return fits < aligned ? fits : aligned;
}

bool
range_join(Range *left, const Range *right)
{
	uint64_t at = right->begin;

	if (left->end != right->begin)
		return false;
	for (size_t i = 0; i < right->n; i++) {
		int level = merkle_subtree(at, right->end);
		range_push(left, level, &right->at[i]);
		at += (uint64_t)1 << level;
	}
	return true;
}

void
range_root(const Range *r, Hash *out)
{
	if (r->n == 0) {
		merkle_empty(out);
		return;
	}
	*out = r->at[r->n - 1];
	for (size_t i = r->n - 1; i-- > 0;)
		merkle_node(&r->at[i], out, out);
}

bool
merkle_compact(Ctx *cx, const HashSource *from, uint64_t begin, uint64_t end, Range *out)
{
	Range r;

	range_begin(&r, begin);
	while (r.end < end) {
		int level = merkle_subtree(r.end, end);
		Hash root;
		if (!from->subtree(cx, from->ptr, level, r.end >> level, &root))
			return false;
		range_push(&r, level, &root);
	}
	*out = r;
	return true;
}

/* The root over [begin, end), a subtree of the tree's own shape. */
static bool
push_root(Ctx *cx, const HashSource *from, uint64_t begin, uint64_t end, Hashes *out)
{
	Range r;
	Hash root;

	if (!merkle_compact(cx, from, begin, end, &r))
		return false;
	range_root(&r, &root);
	vec_push(cx->mem, out, root);
	return true;
}

static void
reverse(Hashes *h)
{
	for (size_t i = 0; i < h->n / 2; i++) {
		Hash swap = h->at[i];
		h->at[i] = h->at[h->n - 1 - i];
		h->at[h->n - 1 - i] = swap;
	}
}

/* The largest power of two below n; n is 2 at least. */
static uint64_t
split(uint64_t n)
{
	return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

bool
merkle_inclusion(Ctx *cx, const HashSource *from, uint64_t index, uint64_t size, Hashes *out)
{
	uint64_t begin = 0, end = size;
	Hashes path = { 0 };

	if (index >= size)
		return fail(cx, FAIL_LIMIT, "Wait for the next checkpoint.",
		    "entry %llu is not in a tree of %llu", (unsigned long long)index,
		    (unsigned long long)size);
	while (end - begin > 1) {
		uint64_t middle = begin + split(end - begin);
		bool left = index < middle;
		if (!push_root(cx, from, left ? middle : begin, left ? end : middle, &path))
			return false;
		if (left)
			end = middle;
		else
			begin = middle;
	}
	reverse(&path);
	*out = path;
	return true;
}

/* SUBPROOF of RFC 6962: from the top down, what the old tree's root is made of and what was added. */
bool
merkle_consistency(Ctx *cx, const HashSource *from, uint64_t old, uint64_t size, Hashes *out)
{
	uint64_t begin = 0, end = size;
	Hashes path = { 0 };

	if (old > size)
		return fail(cx, FAIL_LIMIT, NULL, "a tree of %llu is no part of a tree of %llu",
		    (unsigned long long)old, (unsigned long long)size);
	while (old > 0 && old < end) {
		uint64_t middle = begin + split(end - begin);
		bool left = old <= middle;
		if (!push_root(cx, from, left ? middle : begin, left ? end : middle, &path))
			return false;
		if (left)
			end = middle;
		else
			begin = middle;
	}
	if (begin > 0 && !push_root(cx, from, begin, end, &path))
		return false;
	reverse(&path);
	*out = path;
	return true;
}

bool
merkle_check_inclusion(
    const Hash *leaf, uint64_t index, uint64_t size, const Hashes *proof, const Hash *root)
{
	uint64_t at = index, last = size - 1;
	Hash sum = *leaf;

	if (index >= size)
		return false;
	for (size_t i = 0; i < proof->n; i++) {
		if (last == 0)
			return false;
		if (at & 1 || at == last) {
			merkle_node(&proof->at[i], &sum, &sum);
			while (!(at & 1) && at != 0) {
				at >>= 1;
				last >>= 1;
			}
		} else
			merkle_node(&sum, &proof->at[i], &sum);
		at >>= 1;
		last >>= 1;
	}
	return last == 0 && hash_same(&sum, root);
}

/* Both roots from one path: `was` takes only what lies left, `is` takes all of it. */
static bool
climb(uint64_t at, uint64_t last, const Hash *path, size_t n, Hash *was, Hash *is)
{
	for (size_t i = 0; i < n; i++) {
		if (last == 0)
			return false;
		if (at & 1 || at == last) {
			merkle_node(&path[i], was, was);
			merkle_node(&path[i], is, is);
			while (!(at & 1) && at != 0) {
				at >>= 1;
				last >>= 1;
			}
		} else
			merkle_node(is, &path[i], is);
		at >>= 1;
		last >>= 1;
	}
	return last == 0;
}

bool
merkle_check_consistency(
    uint64_t old, const Hash *old_root, uint64_t size, const Hash *root, const Hashes *proof)
{
	Hash empty, was, is;

	if (old > size || (old == size && !hash_same(old_root, root)))
		return false;
	merkle_empty(&empty);
	if (old == 0)
		return proof->n == 0 && hash_same(old_root, &empty);
	if (old == size || proof->n == 0)
		return old == size && proof->n == 0;
	uint64_t at = old - 1, last = size - 1;
	bool perfect = (old & at) == 0; /* then the old root is the path's first hash, left out */
	while (at & 1) {
		at >>= 1;
		last >>= 1;
	}
	was = is = perfect ? *old_root : proof->at[0];
	size_t skip = perfect ? 0 : 1;
	return climb(at, last, proof->at + skip, proof->n - skip, &was, &is) &&
	    hash_same(&was, old_root) && hash_same(&is, root);
}

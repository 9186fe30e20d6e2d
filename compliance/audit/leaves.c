#include "compliance/audit/leaves.h"

#include <string.h>

#include "lib/adapters/sha_many.h"

#define BATCH 256                 /* entries, a power of two */
#define ROOM  ((size_t)512 << 10) /* for their bytes; a larger one is hashed alone */

_Static_assert(sizeof(Hash) == sizeof(ShaSum), "a row of hashes is a row of sums");

struct Leaves {
	Range *to;
	Bytes texts[BATCH];
	size_t n;
	Hash sums[BATCH];
	unsigned char pairs[BATCH / 2][1 + 2 * HASH_BYTES];
	unsigned char *room;
	size_t used;
};

Leaves *
leaves_new(Arena *mem, Range *to)
{
	Leaves *l = arena_alloc(mem, sizeof *l);

	l->to = to;
	l->n = l->used = 0;
	l->room = arena_alloc(mem, ROOM);
	return l;
}

/* The row's hashes become those of the level above, in the same place. */
static void
climb(Leaves *l, Hash *row, size_t n)
{
	Bytes texts[BATCH / 2];

	for (size_t i = 0; i < n / 2; i++) {
		l->pairs[i][0] = 1;
		memcpy(l->pairs[i] + 1, row[2 * i].at, (size_t)2 * HASH_BYTES);
		texts[i] = (Bytes){ l->pairs[i], sizeof l->pairs[i] };
	}
	sha_many(texts, n / 2, (ShaSum *)row);
}

void
leaves_end(Leaves *l)
{
	sha_many(l->texts, l->n, (ShaSum *)l->sums);
	for (size_t at = 0; at < l->n;) {
		int level = merkle_subtree(l->to->end, l->to->end + (l->n - at));
		size_t wide = (size_t)1 << level;
		for (size_t n = wide; n > 1; n /= 2)
			climb(l, l->sums + at, n);
		range_push(l->to, level, &l->sums[at]);
		at += wide;
	}
	l->n = l->used = 0;
}

void
leaves_add(Leaves *l, Bytes entry)
{
	size_t need = entry.n + 1;
	Hash leaf;

	if (l->n == BATCH || need > ROOM - l->used)
		leaves_end(l);
	if (need > ROOM) {
		merkle_leaf(entry.at, entry.n, &leaf);
		range_add(l->to, &leaf);
		return;
	}
	unsigned char *copy = l->room + l->used;
	copy[0] = 0;
	if (entry.n > 0)
		memcpy(copy + 1, entry.at, entry.n);
	l->texts[l->n++] = (Bytes){ copy, need };
	l->used += need;
}

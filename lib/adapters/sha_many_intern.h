/*
 * sha_many_intern.h - the compression of SHA-256 in LANES lanes at once, as
 * sha_many.c includes it for each width: the macros LANES, LANES_TARGET (what
 * the processor must have) and NAMED(x) say which.  V holds one word of every
 * lane.  No include guard: it is there several times.
 */
typedef uint32_t NAMED(V) __attribute__((vector_size(LANES * 4)));
#define V NAMED(V)

#define ROR(x, n)  ((x) >> (n) | (x) << (32 - (n)))
#define SUM0(x)	   (ROR(x, 2) ^ ROR(x, 13) ^ ROR(x, 22))
#define SUM1(x)	   (ROR(x, 6) ^ ROR(x, 11) ^ ROR(x, 25))
#define MIX0(x)	   (ROR(x, 7) ^ ROR(x, 18) ^ (x) >> 3)
#define MIX1(x)	   (ROR(x, 17) ^ ROR(x, 19) ^ (x) >> 10)
#define CHOOSE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MOST(x, y, z)	(((x) & (y)) | ((z) & ((x) | (y))))

/* Word t of the schedule; the first sixteen are the block's own. */
#define WORD(t)                                                                                    \
	((t) < 16 ? w[(t) & 15]                                                                    \
		  : (w[(t) & 15] += MIX1(w[((t) - 2) & 15]) + w[((t) - 7) & 15] +                  \
			MIX0(w[((t) - 15) & 15])))
#define ROUND(a, b, c, d, e, f, g, h, t)                                                           \
	do {                                                                                       \
		V one = h + SUM1(e) + CHOOSE(e, f, g) + (sha_many_k[t] + WORD(t));                 \
		d += one;                                                                          \
		h = one + SUM0(a) + MOST(a, b, c);                                                 \
	} while (0)

/* words: sixteen of each lane's block, in the machine's order. */
__attribute__((target(LANES_TARGET))) static void
NAMED(compress)(V state[8], const uint32_t words[16][LANES])
{
	V w[16], s[8];

	memcpy(w, words, sizeof w);
	memcpy(s, state, sizeof s);
#pragma GCC unroll 8
	for (int t = 0; t < 64; t += 8) {
		ROUND(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], t);
		ROUND(s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6], t + 1);
		ROUND(s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5], t + 2);
		ROUND(s[5], s[6], s[7], s[0], s[1], s[2], s[3], s[4], t + 3);
		ROUND(s[4], s[5], s[6], s[7], s[0], s[1], s[2], s[3], t + 4);
		ROUND(s[3], s[4], s[5], s[6], s[7], s[0], s[1], s[2], t + 5);
		ROUND(s[2], s[3], s[4], s[5], s[6], s[7], s[0], s[1], t + 6);
		ROUND(s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[0], t + 7);
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

/* Up to LANES texts; a lane whose text is done goes on with a block that counts for nothing. */
__attribute__((target(LANES_TARGET))) static void
NAMED(group)(const Bytes *texts, size_t n, ShaSum *out)
{
	uint32_t words[16][LANES] __attribute__((aligned(64))) = { 0 };
	uint32_t sums[8][LANES] __attribute__((aligned(64)));
	V state[8];
	size_t most = 0;

	for (int i = 0; i < 8; i++)
		state[i] = (V){ 0 } + sha_many_first[i];
	for (size_t k = 0; k < n; k++)
		most = blocks_of(texts[k].n) > most ? blocks_of(texts[k].n) : most;
	for (size_t block = 0; block < most; block++) {
		for (size_t k = 0; k < n; k++)
			if (block < blocks_of(texts[k].n))
				load(texts[k], block, &words[0][k], LANES);
		NAMED(compress)(state, words);
		memcpy(sums, state, sizeof sums);
		for (size_t k = 0; k < n; k++)
			if (block + 1 == blocks_of(texts[k].n))
				store(&sums[0][k], LANES, out[k]);
	}
}

#undef V
#undef ROR
#undef SUM0
#undef SUM1
#undef MIX0
#undef MIX1
#undef CHOOSE
#undef MOST
#undef WORD
#undef ROUND
#undef LANES
#undef LANES_TARGET
#undef NAMED

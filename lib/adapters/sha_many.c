#include "lib/adapters/sha_many.h"

#include <string.h>

#define BLOCK 64
#define TAIL  9 /* what padding adds at least: a bit, and the length */

/* By OpenSSL, whose own code knows the instructions for SHA-256. */
static void
one_by_one(const Bytes *texts, size_t n, ShaSum *out)
{
	for (size_t i = 0; i < n; i++)
		sha256(texts[i].at, texts[i].n, out[i]);
}

#if defined(__x86_64__)

#include <cpuid.h>

static const uint32_t sha_many_first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static const uint32_t sha_many_k[64] = { 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b,
	0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6,
	0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d,
	0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585,
	0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
	0xa4506ceb, 0xbef9a3f7, 0xc67178f2 };

static inline size_t
blocks_of(size_t n)
{
	return (n + TAIL + BLOCK - 1) / BLOCK;
}

/* The block as the padding leaves it: a bit behind the text, the length in bits at the very end. */
static void
padded(Bytes text, size_t block, unsigned char out[BLOCK])
{
	size_t from = block * BLOCK;
	uint64_t bits = (uint64_t)text.n * 8;

	memset(out, 0, BLOCK);
	if (from < text.n)
		memcpy(out, text.at + from, text.n - from < BLOCK ? text.n - from : BLOCK);
	if (text.n >= from && text.n < from + BLOCK)
		out[text.n - from] = 0x80;
	if (block + 1 == blocks_of(text.n))
		for (int i = 0; i < 8; i++)
			out[BLOCK - 1 - i] = (unsigned char)(bits >> 8 * i);
}

/* One lane's words, `apart` from each other. */
static inline void
load(Bytes text, size_t block, uint32_t *words, size_t apart)
{
	unsigned char last[BLOCK];
	const unsigned char *from = text.at + block * BLOCK;

	if ((block + 1) * BLOCK > text.n) {
		padded(text, block, last);
		from = last;
	}
	for (size_t i = 0; i < 16; i++) {
		uint32_t word;
		memcpy(&word, from + 4 * i, 4);
		words[i * apart] = __builtin_bswap32(word);
	}
}

static inline void
store(const uint32_t *sums, size_t apart, ShaSum out)
{
	for (size_t i = 0; i < 8; i++) {
		uint32_t word = __builtin_bswap32(sums[i * apart]);
		memcpy(out + 4 * i, &word, 4);
	}
}

#define LANES        8
#define LANES_TARGET "avx2"
#define NAMED(x)     x##_8
#include "lib/adapters/sha_many_intern.h"

#define LANES        16
#define LANES_TARGET "avx512f"
#define NAMED(x)     x##_16
#include "lib/adapters/sha_many_intern.h"

static bool
has_sha(void)
{
	unsigned a, b = 0, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1U << 29);
}

size_t
sha_many_lanes(void)
{
	static size_t lanes;

	if (lanes == 0) {
		__builtin_cpu_init();
		lanes = has_sha()                       ? 1
		    : __builtin_cpu_supports("avx512f") ? 16
		    : __builtin_cpu_supports("avx2")    ? 8
							: 1;
	}
	return lanes;
}

void
sha_many_with(size_t lanes, const Bytes *texts, size_t n, ShaSum *out)
{
	for (size_t at = 0; at < n; at += lanes) {
		size_t part = n - at < lanes ? n - at : lanes;
		if (lanes == 16)
			group_16(texts + at, part, out + at);
		else
			group_8(texts + at, part, out + at);
	}
}

#else

size_t
sha_many_lanes(void)
{
	return 1;
}

void
sha_many_with(size_t lanes, const Bytes *texts, size_t n, ShaSum *out)
{
	(void)lanes;
	one_by_one(texts, n, out);
}

#endif

void
sha_many(const Bytes *texts, size_t n, ShaSum *out)
{
	if (sha_many_lanes() == 1 || n == 1)
		one_by_one(texts, n, out);
	else
		sha_many_with(sha_many_lanes(), texts, n, out);
}

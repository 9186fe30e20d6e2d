/*
 * sha_many.h - SHA-256 (FIPS 180-4) of many texts at once, by Intel's library
 * of multi-buffer cryptography: each text takes one lane of the processor's
 * vectors, so that all take a third (AVX2) to a sixth (AVX-512) of the time that
 * they take one after the other.  OpenSSL does them one by one where that library
 * is not there, where the processor has no such vectors, and where it has
 * instructions for SHA-256.
 *
 * For what everybody may know only (leaves and nodes of a log).
 */
#pragma once

#include "lib/adapters/crypto.h"

typedef unsigned char ShaSum[32];

void	 sha_many(const Bytes *texts, size_t n, ShaSum *out);
size_t	 sha_many_lanes(void);	/* how many are done at once on this machine: 1, 8 or 16 */
/* The same with lanes as said, 8 or 16, which the processor must have. */
void	 sha_many_with(size_t lanes, const Bytes *texts, size_t n, ShaSum *out);

/*
 * sha_many.h - SHA-256 (FIPS 180-4) of many texts at once: each takes one lane
 * of the processor's vectors, so that short texts, which one after the other
 * cannot use them, take a third of the time.  Where the processor has no such
 * vectors, or instructions for SHA-256 itself, OpenSSL does them one by one.
 *
 * For what everybody may know only (leaves and nodes of a log): the texts stay
 * in registers and on the stack.
 */
#pragma once

#include "lib/adapters/crypto.h"

typedef unsigned char ShaSum[32];

void	 sha_many(const Bytes *texts, size_t n, ShaSum *out);
size_t	 sha_many_lanes(void);	/* how many are done at once on this machine: 1, 8 or 16 */
/* The same with lanes as said, 8 or 16, which the processor must have. */
void	 sha_many_with(size_t lanes, const Bytes *texts, size_t n, ShaSum *out);

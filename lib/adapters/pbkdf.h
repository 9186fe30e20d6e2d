/*
 * pbkdf.h - PBKDF2 with HMAC-SHA-256 (RFC 8018), one block of 32 bytes: the
 * slow part of a SCRAM verifier.
 */
#pragma once

#include <stddef.h>

#define PBKDF_BYTES 32

void	 pbkdf2_sha256(const char *password, size_t n, const unsigned char *salt, size_t salt_n, int rounds,
	    unsigned char out[PBKDF_BYTES]);

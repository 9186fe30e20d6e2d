/*
 * words_intern.h - between words.c, which finds the tokens of a text, and
 * words_mean.c, which knows what they mean.
 */
#pragma once

#include "region/gateway/words.h"

#define WORDS_UNKNOWN	"?"	/* a U&"" with more escapes than are kept */

/* A token that is complete: WORD, "name, ' for a string, or the sign itself. */
void	 words_mean(Words *w, const char *token);
/* A statement has ended: what of Words.resets it changes (words_reset.c). */
void	 words_reset(Words *w);
/* The i-th token of this statement is this unquoted word, or sign. */
bool	 words_is(const Words *w, uint32_t i, const char *word);

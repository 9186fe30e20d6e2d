/*
 * words.h - what events say: one row a verb (words.def) makes the sentences of
 * the page for people and the mapping to OCSF.  A verb without a row is told by
 * its own name; the tests find those that the product has.
 */
#pragma once

#include <stddef.h>

#include "lib/base/arena.h"

typedef struct EventWord {
	const char	*verb, *done, *meant;
	int		 ocsf_class, ocsf_activity;
} EventWord;

const EventWord	*words_of(const char *verb);	/* NULL: none */
/* "login/acme/app": login app of tenant acme */
char	*words_thing(Arena *mem, const char *object);
char	*words_kind(Arena *mem, const EventWord *w);	/* "Make the database of \u2026" */
/* A whole sentence of plain text; what it is made of may be anything. */
char	*words_sentence(Arena *mem, const char *verb, const char *object, const char *outcome);

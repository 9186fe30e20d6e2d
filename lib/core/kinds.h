/*
 * kinds.h - the key tables of all kinds; for the files that implement
 * manifest.h and model.h.
 */
#pragma once

#include "lib/core/manifest.h"

typedef struct Named { const char *name, *display; } Named;	/* how every kind's struct begins */

typedef struct Document {	/* one manifest before its spec is loaded */
	const char	*api;
	int		 kind;		/* KindId */
	Named		 meta;
	const Node	*spec;
	Place		 place;
} Document;

extern const KeyTable document_table;	/* the outer keys of a manifest */
extern const KeyTable shape_table;	/* a Model as model_canonical() writes it */
extern const KeyTable record_table;	/* a Document in the catalogue: displayName and spec */

extern const char *const mode_words[], *const type_words[], *const on_delete_words[];

/*
 * keys.h - key tables: one table loads a manifest's part into a struct, writes
 * it back as canonical JSON, makes its JSON Schema and its page of the manual.
 *
 * Loading wants a zeroed struct; after a failure what it holds is of no use.
 * Relative paths count from the folder of the manifest's file and are absolute
 * once loaded, so that they mean the same wherever a command is started.
 */
#pragma once

#include <stddef.h>

#include "lib/adapters/js.h"
#include "lib/base/buf.h"
#include "lib/core/model.h"

typedef enum KeyType {
	KEY_END,
	KEY_TEXT,	/* const char *; UTF-8 without control characters, 1 to max characters */
	KEY_NAME,	/* const char *; name_valid() */
	KEY_IDENT,	/* const char *; ident_valid() */
	KEY_INT,	/* int64_t in min..max */
	KEY_BOOL,	/* bool; only true and false */
	KEY_MAYBE,	/* Maybe: the same, or not said */
	KEY_ENUM,	/* int; index into words */
	KEY_SPAN,	/* int64_t ms: 30d, 12h */
	KEY_SECRET,	/* SecretRef: {secretRef: "env:NAME"} */
	KEY_PATH,	/* const char *; made absolute */
	KEY_NAMES,	/* Names: a list of texts, none twice */
	KEY_WORDS,	/* Names: a list of texts; a program and its words */
	KEY_SCALAR,	/* const char *: a text, number or boolean as written (defaults of fields) */
	KEY_PART,	/* a nested struct: `table` */
	KEY_LIST,	/* VEC of structs: `table` */
	KEY_MAP,	/* VEC of structs: `table` has two keys, a KEY_IDENT for the member's name and a KEY_LIST for its value */
	KEY_NODE	/* const Node *: whoever loads it goes on from there */
} KeyType;

typedef struct KeyTable KeyTable;

typedef struct Key {
	KeyType			 type;
	const char		*name;		/* as in the manifest: camelCase */
	size_t			 offset;	/* in the struct */
	bool			 required;
	int64_t			 min, max;	/* KEY_INT, KEY_SPAN: range; KEY_TEXT, KEY_NAMES, KEY_WORDS, KEY_SCALAR: greatest length; KEY_LIST, KEY_MAP: fewest and most items; 0: the type's own limit */
	const char *const	*words;		/* KEY_ENUM, NULL-terminated, "" is skipped; also restricts KEY_TEXT and KEY_NAMES */
	const KeyTable		*table;
	const char		*fallback;	/* default as text, or NULL */
	const char		*doc;		/* one line for the manual, the schema and hints: lower case, no stop */
} Key;

struct KeyTable {
	const char	*name;		/* "Tenant spec", "field" */
	size_t		 size;		/* of the struct */
	ptrdiff_t	 place;		/* offset of its Place, or -1 */
	const Key	*keys;		/* ends at KEY_END */
	const char	*doc;
};

/* FAIL_MANIFEST with place and nearest word */
bool	 keys_load(Ctx *cx, const KeyTable *table, const Node *map, void *out);
Js	*keys_dump(Arena *mem, const KeyTable *table, const void *in);	/* what equals its default is left out */
Js	*keys_schema(Arena *mem, const KeyTable *table);		/* JSON Schema 2020-12 */
void	 keys_manual(Buf *b, const KeyTable *table);			/* Markdown */

/* FAIL_MANIFEST at a place; always false. */
bool	 keys_wrong(Ctx *cx, Place place, const char *hint, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* `Did you mean "x"?  Known are a, b.`: the first part only where a word is near, the second for few words. */
char	*keys_nearest(Arena *mem, const char *word, const char *const *words, size_t n);

/* Access to the lists that tables describe, whatever their items are. */
typedef struct KeyItems { void *at; size_t n, cap; } KeyItems;
KeyItems keys_items(const void *vec);

#define KEY_NAME_PATTERN	"[a-z][a-z0-9-]{0,39}"
#define KEY_IDENT_PATTERN	"[a-z][a-z0-9_]{0,47}"
#define KEY_SECRET_PATTERN	"env:[A-Za-z_][A-Za-z0-9_]*|file:.+|store:[A-Za-z0-9][A-Za-z0-9._/-]{0,99}"

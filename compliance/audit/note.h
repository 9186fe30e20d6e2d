/*
 * note.h - signed notes, checkpoints and cosignatures: C2SP signed-note,
 * tlog-checkpoint, tlog-cosignature.
 *
 * A note is a text, a blank line, and signature lines
 * "\u2014 <name> <base64(key id u32 BE || signature)>".  A checkpoint's text is
 * origin, tree size, base64 of the root hash, one a line; lines after those are
 * kept and signed as they are.  Keys as texts are the verifier keys of the
 * specification: "<name>+<key id hex>+<base64(type || public key)>"; type 0x01
 * is Ed25519, 0x04 a cosignature/v1 with its time.  The recommended ML-DSA-44
 * (0x06) is not in OpenSSL 3.0: such lines are kept and reported as unknown.
 */
#pragma once

#include "compliance/audit/merkle.h"
#include "lib/base/buf.h"

typedef enum NoteKeyType { KEY_ED25519 = 0x01, KEY_COSIGNATURE = 0x04 } NoteKeyType;
typedef struct NoteKey { const char *name; uint32_t id; NoteKeyType type; unsigned char pub[32]; } NoteKey;
typedef struct NoteSigner { NoteKey key; Ed25519 *private; } NoteSigner;	/* lives as long as the arena it was made in */

typedef struct NoteSignature { const char *name; uint32_t id; Bytes at; } NoteSignature;
typedef struct Note { const char *text; size_t n; struct { NoteSignature *at; size_t n, cap; } signatures; } Note;	/* text with its last newline */

typedef struct Checkpoint { const char *origin; uint64_t size; Hash root; const char *extra; } Checkpoint;	/* extra: further lines, or "" */

bool	 note_signer(Ctx *cx, const char *name, NoteKeyType type, const Secret *seed, NoteSigner *out);
NoteKey	 note_key(const char *name, NoteKeyType type, const unsigned char pub[32]);	/* name borrowed */
bool	 note_key_read(Ctx *cx, const char *text, NoteKey *out);	/* FAIL_INPUT if malformed */
char	*note_key_text(Arena *mem, const NoteKey *key);

bool	 note_read(Ctx *cx, const char *bytes, size_t n, Note *out);	/* strict; at most 100 signatures, 1 MB */
char	*note_text(Arena *mem, const Note *note);
char	*note_line(Arena *mem, const NoteSignature *s);		/* one signature line, with its end */
bool	 note_sign(Ctx *cx, Note *note, const NoteSigner *signer, int64_t unix_s);	/* adds a line; the time counts for cosignatures */
/* Is there a valid signature of this key?  *unix_s: its time, 0 for a plain one.  A line with the key's
 * name and id whose signature is wrong makes the whole note bad, as the specification says. */
typedef enum NoteVerdict { NOTE_UNSIGNED, NOTE_VALID, NOTE_BAD } NoteVerdict;
NoteVerdict note_verify(const Note *note, const NoteKey *key, int64_t *unix_s);

char	*checkpoint_text(Arena *mem, const Checkpoint *c);
bool	 checkpoint_read(Ctx *cx, const Note *note, Checkpoint *out);

/* What else these formats are made of: a number below 2^63 without leading zeroes; a hash in base64. */
bool	 decimal_read(const char *text, uint64_t *out);
bool	 hash_read(Arena *mem, const char *text, Hash *out);

/*
 * What logs, witnesses and whoever stands between them may send: notes,
 * checkpoints, verifier keys, bundles of entries, proofs.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/note.h"
#include "compliance/audit/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read is written back as it was: there is one form only. */
static void
a_note(Arena *mem, const char *text, size_t n)
{
	static const unsigned char pub[32] = { 1 };
	Ctx cx = ctx_new(mem);
	Checkpoint c;
	Note note;

	if (!note_read(&cx, text, n, &note)) {
		if (cx.fail->what == NULL)
			abort();
		return;
	}
	char *again = note_text(mem, &note);
	if (strlen(again) != n || memcmp(again, text, n) != 0)
		abort();
	for (size_t i = 0; i < note.signatures.n && i < 4; i++) {
		NoteKey key = { .name = note.signatures.at[i].name,
			.id = note.signatures.at[i].id,
			.type = i % 2 ? KEY_COSIGNATURE : KEY_ED25519 };
		memcpy(key.pub, pub, sizeof pub);
		if (note_verify(&note, &key, NULL) == NOTE_VALID)
			abort();
	}
	if (checkpoint_read(&cx, &note, &c) && strcmp(checkpoint_text(mem, &c), note.text) != 0)
		abort();
}

static void
a_key(Arena *mem, const char *text)
{
	Ctx cx = ctx_new(mem);
	NoteKey key;

	if (note_key_read(&cx, text, &key) && strcmp(note_key_text(mem, &key), text) != 0)
		abort();
}

typedef struct Sum {
	size_t entries, bytes;
} Sum;

static bool
add(Ctx *cx, void *ptr, Bytes entry)
{
	Sum *s = ptr;

	(void)cx;
	s->entries++;
	s->bytes += entry.n;
	return true;
}

static void
a_bundle(Arena *mem, const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(mem);
	Sum s = { 0 };

	if (tile_bundle_each(&cx, (Bytes){ data, size }, add, &s) &&
	    s.bytes + 2 * s.entries != size)
		abort();
}

/* Places, a leaf, roots and hashes as they come: no proof of them holds. */
static void
a_proof(Arena *mem, const uint8_t *data, size_t size)
{
	Hashes proof = { 0 };
	uint64_t old, now;
	Hash a, b;

	if (size < 16 + 64)
		return;
	memcpy(&old, data, 8);
	memcpy(&now, data + 8, 8);
	memcpy(a.at, data + 16, 32);
	memcpy(b.at, data + 48, 32);
	for (size_t at = 80; at + 32 <= size && proof.n < 200; at += 32) {
		Hash h;
		memcpy(h.at, data + at, 32);
		vec_push(mem, &proof, h);
	}
	bool same = memcmp(a.at, b.at, 32) == 0;
	if (merkle_check_inclusion(&a, old, now, &proof, &b) && !(same && proof.n == 0 && now == 1))
		abort();
	if (merkle_check_consistency(old, &a, now, &b, &proof) && !(same && old == now) && old != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Arena *mem = arena_new(NULL);
	char *text = arena_dupn(mem, (const char *)data, size);

	a_note(mem, text, size);
	a_key(mem, text);
	a_bundle(mem, data, size);
	a_proof(mem, data, size);
	arena_free(mem);
	return 0;
}

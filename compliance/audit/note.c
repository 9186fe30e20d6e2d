#include "compliance/audit/note.h"

#include <string.h>

#define NOTE_MAX        ((size_t)1 << 20)
#define NOTE_SIGNATURES 100
#define NOTE_DASH       "\xE2\x80\x94 "
#define KEY_HASH        4
#define COSIGNATURE     (8 + ED25519_SIGNATURE)
#define KEY_HINT        "A verifier key is NAME+ID+BASE64, as audit status prints it."

static const char *const note_spaces[] = { "\t", "\n", "\v", "\f", "\r", " ", "\xC2\x85",
	"\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
	"\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88",
	"\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
	"\xE2\x81\x9F", "\xE3\x80\x80" };

static bool
name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || strchr(name, '+') || !utf8_valid(name, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < ' ')
			return false;
	for (size_t i = 0; i < LENGTH(note_spaces); i++)
		if (strstr(name, note_spaces[i]))
			return false;
	return true;
}

static uint32_t
u32_at(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void
put_bytes(unsigned char *out, uint64_t value, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = (unsigned char)(value >> 8 * (n - 1 - i));
}

static uint32_t
key_id(const char *name, NoteKeyType type, const unsigned char pub[ED25519_PUBLIC])
{
	unsigned char rest[2 + ED25519_PUBLIC] = { '\n', (unsigned char)type }, sum[32];

	memcpy(rest + 2, pub, ED25519_PUBLIC);
	sha256_two((Bytes){ (const unsigned char *)name, strlen(name) },
	    (Bytes){ rest, sizeof rest }, sum);
	return u32_at(sum);
}

NoteKey
note_key(const char *name, NoteKeyType type, const unsigned char pub[ED25519_PUBLIC])
{
	NoteKey k = { .name = name, .type = type, .id = key_id(name, type, pub) };

	memcpy(k.pub, pub, ED25519_PUBLIC);
	return k;
}

bool
note_signer(Ctx *cx, const char *name, NoteKeyType type, const Secret *seed, NoteSigner *out)
{
	NoteSigner s = { .key = { .type = type } };

	if (!name_valid(name))
		return fail(cx, FAIL_INPUT, "Take letters, digits, dots and slashes.",
		    "a key cannot have the name \"%s\"", name);
	if (seed->len != ED25519_SEED)
		return fail(cx, FAIL_SECRET, NULL, "a signing key has %zu bytes instead of %d",
		    seed->len, ED25519_SEED);
	s.key.name = arena_dup(cx->mem, name);
	s.private = ed25519_open(cx->mem, (const unsigned char *)seed->text);
	ed25519_public(s.private, s.key.pub);
	s.key.id = key_id(name, type, s.key.pub);
	*out = s;
	return true;
}

static bool
key_parse(Arena *mem, const char *text, NoteKey *out)
{
	const char *plus = strchr(text, '+');
	const char *more = plus ? strchr(plus + 1, '+') : NULL;
	unsigned char id[KEY_HASH];
	NoteKey k = { 0 };
	Bytes key;

	if (!more || more - plus != 1 + 2 * KEY_HASH || !hex_bytes(plus + 1, 2 * KEY_HASH, id))
		return false;
	k.name = arena_dupn(mem, text, (size_t)(plus - text));
	k.id = u32_at(id);
	if (!name_valid(k.name) || !base64_bytes(mem, more + 1, strlen(more + 1), &key))
		return false;
	if (key.n != 1 + ED25519_PUBLIC ||
	    (key.at[0] != KEY_ED25519 && key.at[0] != KEY_COSIGNATURE))
		return false;
	k.type = (NoteKeyType)key.at[0];
	memcpy(k.pub, key.at + 1, ED25519_PUBLIC);
	*out = k;
	return k.id == key_id(k.name, k.type, k.pub);
}

bool
note_key_read(Ctx *cx, const char *text, NoteKey *out)
{
	NoteKey k;

	if (!key_parse(cx->mem, text, &k))
		return fail(cx, FAIL_INPUT, KEY_HINT,
		    "this is no verifier key of Ed25519 or of a cosigner");
	*out = k;
	return true;
}

char *
note_key_text(Arena *mem, const NoteKey *key)
{
	unsigned char bytes[1 + ED25519_PUBLIC] = { (unsigned char)key->type };

	memcpy(bytes + 1, key->pub, ED25519_PUBLIC);
	return arena_printf(
	    mem, "%s+%08x+%s", key->name, key->id, base64_text(mem, bytes, sizeof bytes));
}

static bool
signature_read(Arena *mem, const char *line, size_t n, NoteSignature *out)
{
	size_t dash = strlen(NOTE_DASH);

	if (n < dash || memcmp(line, NOTE_DASH, dash) != 0)
		return false;
	const char *name = line + dash, *space = memchr(name, ' ', n - dash);
	if (!space)
		return false;
	const char *text = space + 1;
	Bytes bytes;
	if (!base64_bytes(mem, text, n - (size_t)(text - line), &bytes) || bytes.n <= KEY_HASH)
		return false;
	*out = (NoteSignature){ .name = arena_dupn(mem, name, (size_t)(space - name)),
		.id = u32_at(bytes.at),
		.at = { bytes.at + KEY_HASH, bytes.n - KEY_HASH } };
	return name_valid(out->name);
}

static bool
printable(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)bytes[i] < ' ' && bytes[i] != '\n')
			return false;
	return utf8_valid(bytes, n);
}

/* Where the signatures begin: after the last empty line. */
static const char *
last_blank(const char *bytes, size_t n)
{
	for (size_t i = n; i >= 2; i--)
		if (bytes[i - 1] == '\n' && bytes[i - 2] == '\n')
			return bytes + i;
	return NULL;
}

static bool
note_bad(Ctx *cx, const char *why)
{
	return fail(
	    cx, FAIL_INPUT, "Is it whole, as it was published?", "this is no signed note: %s", why);
}

bool
note_read(Ctx *cx, const char *bytes, size_t n, Note *out)
{
	if (n > NOTE_MAX)
		return note_bad(cx, "it is larger than 1 MB");
	if (!printable(bytes, n))
		return note_bad(cx, "it has other characters than text");
	const char *at = last_blank(bytes, n), *end = bytes + n;
	if (!at || at == end || end[-1] != '\n')
		return note_bad(cx, "it ends before its signatures");
	Note note = { .n = (size_t)(at - bytes) - 1 };
	note.text = arena_dupn(cx->mem, bytes, note.n);
	while (at < end) {
		const char *line = at;
		NoteSignature s;
		at = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
		if (note.signatures.n == NOTE_SIGNATURES)
			return note_bad(cx, "it has more than 100 signatures");
		if (!signature_read(cx->mem, line, (size_t)(at - line) - 1, &s))
			return note_bad(cx, "one of its signature lines is malformed");
		vec_push(cx->mem, &note.signatures, s);
	}
	*out = note;
	return true;
}

char *
note_line(Arena *mem, const NoteSignature *s)
{
	unsigned char *bytes = arena_alloc(mem, KEY_HASH + s->at.n);

	put_bytes(bytes, s->id, KEY_HASH);
	memcpy(bytes + KEY_HASH, s->at.at, s->at.n);
	return arena_printf(
	    mem, NOTE_DASH "%s %s\n", s->name, base64_text(mem, bytes, KEY_HASH + s->at.n));
}

char *
note_text(Arena *mem, const Note *note)
{
	Buf b = buf_new(mem);

	buf_addn(&b, note->text, note->n);
	buf_addc(&b, '\n');
	for (size_t i = 0; i < note->signatures.n; i++)
		buf_add(&b, note_line(mem, &note->signatures.at[i]));
	return b.text;
}

static Buf
cosigned_text(Arena *mem, const Note *note, uint64_t unix_s)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "cosignature/v1\ntime %llu\n", (unsigned long long)unix_s);
	buf_addn(&b, note->text, note->n);
	return b;
}

bool
note_sign(Ctx *cx, Note *note, const NoteSigner *signer, int64_t unix_s)
{
	unsigned char *bytes = arena_alloc(cx->mem, COSIGNATURE);
	NoteSignature s = {
		.name = signer->key.name, .id = signer->key.id, .at = { bytes, ED25519_SIGNATURE }
	};

	if (note->n == 0 || note->text[note->n - 1] != '\n' || !printable(note->text, note->n))
		return note_bad(cx, "its text does not end with a line");
	if (signer->key.type == KEY_COSIGNATURE) {
		if (unix_s < 0)
			return fail(cx, FAIL_SYSTEM, "Set the clock of this machine.",
			    "the clock is before 1970");
		Buf b = cosigned_text(cx->mem, note, (uint64_t)unix_s);
		put_bytes(bytes, (uint64_t)unix_s, 8);
		ed25519_sign(signer->private, b.text, b.len, bytes + 8);
		s.at.n = COSIGNATURE;
	} else
		ed25519_sign(signer->private, note->text, note->n, bytes);
	vec_push(cx->mem, &note->signatures, s);
	return true;
}

static bool
signature_genuine(const Note *note, const NoteKey *key, const NoteSignature *s, int64_t *unix_s)
{
	if (key->type == KEY_ED25519) {
		*unix_s = 0;
		return s->at.n == ED25519_SIGNATURE &&
		    ed25519_verify(key->pub, note->text, note->n, s->at.at);
	}
	if (s->at.n != COSIGNATURE || s->at.at[0] & 0x80)
		return false;
	*unix_s = (int64_t)((uint64_t)u32_at(s->at.at) << 32 | u32_at(s->at.at + 4));
	Arena *mem = arena_new(NULL);
	Buf b = cosigned_text(mem, note, (uint64_t)*unix_s);
	bool genuine = ed25519_verify(key->pub, b.text, b.len, s->at.at + 8);
	arena_free(mem);
	return genuine;
}

NoteVerdict
note_verify(const Note *note, const NoteKey *key, int64_t *unix_s)
{
	NoteVerdict verdict = NOTE_UNSIGNED;
	int64_t newest = 0, at = 0;

	for (size_t i = 0; i < note->signatures.n; i++) {
		const NoteSignature *s = &note->signatures.at[i];
		if (s->id != key->id || strcmp(s->name, key->name) != 0)
			continue;
		if (!signature_genuine(note, key, s, &at))
			return NOTE_BAD;
		verdict = NOTE_VALID;
		newest = at > newest ? at : newest;
	}
	if (verdict == NOTE_VALID && unix_s)
		*unix_s = newest;
	return verdict;
}

char *
checkpoint_text(Arena *mem, const Checkpoint *c)
{
	return arena_printf(mem, "%s\n%llu\n%s\n%s", c->origin, (unsigned long long)c->size,
	    base64_text(mem, c->root.at, HASH_BYTES), c->extra ? c->extra : "");
}

/* The next line of the text, without its end, or NULL. */
static char *
next_line(Arena *mem, const char **at)
{
	const char *line = *at, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*at = end + 1;
	return arena_dupn(mem, line, (size_t)(end - line));
}

bool
decimal_read(const char *text, uint64_t *out)
{
	uint64_t value = 0;

	if (!*text || (*text == '0' && text[1]))
		return false;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || value > (INT64_MAX - (uint64_t)(*p - '0')) / 10)
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	*out = value;
	return true;
}

bool
hash_read(Arena *mem, const char *text, Hash *out)
{
	Bytes bytes;

	if (!base64_bytes(mem, text, strlen(text), &bytes) || bytes.n != HASH_BYTES)
		return false;
	memcpy(out->at, bytes.at, HASH_BYTES);
	return true;
}

static bool
checkpoint_bad(Ctx *cx, const char *why)
{
	return fail(
	    cx, FAIL_INPUT, "Is it whole, as it was published?", "this is no checkpoint: %s", why);
}

bool
checkpoint_read(Ctx *cx, const Note *note, Checkpoint *out)
{
	const char *at = note->text;
	Checkpoint c = { .origin = next_line(cx->mem, &at) };
	char *size = c.origin ? next_line(cx->mem, &at) : NULL;
	char *root = size ? next_line(cx->mem, &at) : NULL;

	if (!root || !*c.origin)
		return checkpoint_bad(cx, "it lacks origin, size or root");
	if (!decimal_read(size, &c.size))
		return checkpoint_bad(cx, "its second line is no size");
	if (!hash_read(cx->mem, root, &c.root))
		return checkpoint_bad(cx, "its third line is no hash");
	if (*at == '\n' || strstr(at, "\n\n"))
		return checkpoint_bad(cx, "it has an empty line");
	c.extra = arena_dup(cx->mem, at);
	*out = c;
	return true;
}

/*
 * The small members of an evidence file as texts: list, proof, facts, keys.
 */
#include <string.h>

#include "compliance/audit/evidence_intern.h"
#include "lib/adapters/js.h"

#define LIST_MARK  "copyhold evidence/1"
#define PROOF_MARK "copyhold proof/1"
#define KEYS_MAX   64
#define SMALL      ((uint64_t)1 << 20)
#define LARGE      ((uint64_t)1 << 40)

const PackRule evidence_rules[EVIDENCE_MEMBERS] = {
	{ EVIDENCE_MANIFEST, SMALL, false },
	{ EVIDENCE_README, SMALL, false },
	{ EVIDENCE_CHECKPOINT, SMALL, false },
	{ EVIDENCE_EVENTS, LARGE, false },
	{ EVIDENCE_FACTS, SMALL, false },
	{ EVIDENCE_KEYS, SMALL, false },
	{ EVIDENCE_OPENINGS, LARGE, false },
	{ EVIDENCE_PAGE, LARGE, false },
	{ EVIDENCE_POLICY, SMALL, false },
	{ EVIDENCE_PROOF, SMALL, false },
};

static bool
malformed(Ctx *cx, const char *member)
{
	return fail(cx, FAIL_INPUT, NULL, "\"%s\" is malformed", member);
}

/* The next line of a text, with its end taken off; NULL: there is none that is whole. */
static char *
take_line(Arena *mem, Bytes *text)
{
	const unsigned char *newline = text->n ? memchr(text->at, '\n', text->n) : NULL;
	size_t n = newline ? (size_t)(newline - text->at) : 0;

	if (!newline || !utf8_valid((const char *)text->at, n))
		return NULL;
	char *line = arena_dupn(mem, (const char *)text->at, n);
	*text = (Bytes){ newline + 1, text->n - n - 1 };
	return line;
}

static bool
take_exact(Arena *mem, Bytes *text, const char *wanted)
{
	const char *line = take_line(mem, text);

	return line && strcmp(line, wanted) == 0;
}

/* The word before the next space is cut off; what is behind it stays. */
static char *
take_word(char **line)
{
	char *word = *line, *space = strchr(word, ' ');

	if (!space)
		return NULL;
	*space = '\0';
	*line = space + 1;
	return word;
}

/* --- MANIFEST ---------------------------------------------------------------------------- */

char *
evidence_list_text(Arena *mem, const EvidenceList *list)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, LIST_MARK "\n%s\n", list->origin);
	for (size_t i = 0; i < list->n; i++)
		buf_fmt(&b, "%s %llu %s\n", list->at[i].name, (unsigned long long)list->at[i].size,
		    list->at[i].tree ? "tree" : hex_text(mem, list->at[i].sha, 32));
	return b.text;
}

static bool
list_line(char *line, const char *name, EvidenceDigest *out)
{
	const char *word = take_word(&line);
	const char *size = word ? take_word(&line) : NULL;

	*out = (EvidenceDigest){ .name = name, .tree = strcmp(name, EVIDENCE_EVENTS) == 0 };
	if (!size || strcmp(word, name) != 0 || !decimal_read(size, &out->size))
		return false;
	if (out->tree)
		return strcmp(line, "tree") == 0;
	return strlen(line) == 64 && hex_bytes(line, 64, out->sha);
}

bool
evidence_list_read(Ctx *cx, const Note *note, EvidenceList *out)
{
	Bytes text = { (const unsigned char *)note->text, note->n };
	EvidenceList list = { 0 };

	if (!take_exact(cx->mem, &text, LIST_MARK) || !(list.origin = take_line(cx->mem, &text)))
		return malformed(cx, EVIDENCE_MANIFEST);
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++) {
		if (strcmp(evidence_rules[i].name, EVIDENCE_MANIFEST) == 0)
			continue;
		char *line = take_line(cx->mem, &text);
		if (!line || !list_line(line, evidence_rules[i].name, &list.at[list.n++]))
			return malformed(cx, EVIDENCE_MANIFEST);
	}
	if (text.n > 0)
		return malformed(cx, EVIDENCE_MANIFEST);
	*out = list;
	return true;
}

/* --- proof ------------------------------------------------------------------------------- */

static void
put_range(Buf *b, const char *side, const Range *r)
{
	buf_fmt(b, "%s %zu\n", side, r->n);
	for (size_t i = 0; i < r->n; i++)
		buf_fmt(b, "%s\n", base64_text(b->mem, r->at[i].at, HASH_BYTES));
}

char *
evidence_proof_text(Arena *mem, const EvidenceProof *p)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, PROOF_MARK "\n%s\ntree %llu\nevents %llu %llu\n", p->origin,
	    (unsigned long long)p->size, (unsigned long long)p->left.end,
	    (unsigned long long)p->right.begin);
	put_range(&b, "left", &p->left);
	put_range(&b, "right", &p->right);
	return b.text;
}

/* How many perfect aligned subtrees make up [begin, end). */
static size_t
subtrees(uint64_t begin, uint64_t end)
{
	size_t n = 0;

	for (; begin < end; n++) {
		int fits = 63 - __builtin_clzll(end - begin);
		int aligned = begin ? __builtin_ctzll(begin) : 63;
		begin += (uint64_t)1 << (fits < aligned ? fits : aligned);
	}
	return n;
}

static bool
take_range(Arena *mem, Bytes *text, const char *side, uint64_t begin, uint64_t end, Range *out)
{
	size_t n = subtrees(begin, end);

	*out = (Range){ .begin = begin, .end = end, .n = n };
	if (!take_exact(mem, text, arena_printf(mem, "%s %zu", side, n)))
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *line = take_line(mem, text);
		if (!line || !hash_read(mem, line, &out->at[i]))
			return false;
	}
	return true;
}

static bool
take_numbers(Arena *mem, Bytes *text, uint64_t *size, uint64_t *from, uint64_t *to)
{
	char *tree = take_line(mem, text), *events = take_line(mem, text), *first;

	if (!tree || !events || strncmp(tree, "tree ", 5) != 0 ||
	    strncmp(events, "events ", 7) != 0)
		return false;
	events += 7;
	first = take_word(&events);
	return first && decimal_read(tree + 5, size) && decimal_read(first, from) &&
	    decimal_read(events, to) && *from <= *to && *to <= *size;
}

bool
evidence_proof_read(Ctx *cx, Bytes text, EvidenceProof *out)
{
	EvidenceProof p = { 0 };
	uint64_t from, to;

	if (!take_exact(cx->mem, &text, PROOF_MARK) || !(p.origin = take_line(cx->mem, &text)) ||
	    !take_numbers(cx->mem, &text, &p.size, &from, &to) ||
	    !take_range(cx->mem, &text, "left", 0, from, &p.left) ||
	    !take_range(cx->mem, &text, "right", to, p.size, &p.right) || text.n > 0)
		return malformed(cx, EVIDENCE_PROOF);
	*out = p;
	return true;
}

/* --- export.json ------------------------------------------------------------------------- */

char *
evidence_facts_text(Arena *mem, const EvidenceFacts *f)
{
	Js *o = js_object(mem);

	js_set_text(o, "actor", f->actor);
	js_set_int(o, "at", f->at);
	js_set_text(o, "display", f->display);
	js_set_text(o, "origin", f->origin);
	js_set_text(o, "reason", f->reason);
	js_set_int(o, "since", f->since);
	js_set_text(o, "tenant", f->tenant);
	js_set_int(o, "until", f->until);
	js_set_bool(o, "values", f->values);
	js_set_text(o, "version", f->version);
	return arena_printf(mem, "%s\n", js_canonical(mem, o));
}

/* A text, or null. */
static bool
take_text(Arena *mem, const CanonObject *o, const char *key, const char **out)
{
	Bytes value = canon_get(o, key);
	char *text = NULL;

	if (value.n == 4 && memcmp(value.at, "null", 4) == 0) {
		*out = NULL;
		return true;
	}
	if (!canon_text(mem, value, &text))
		return false;
	*out = text;
	return true;
}

static bool
take_bool(const CanonObject *o, const char *key, bool *out)
{
	Bytes value = canon_get(o, key);

	*out = value.n == 4 && memcmp(value.at, "true", 4) == 0;
	return *out || (value.n == 5 && memcmp(value.at, "false", 5) == 0);
}

bool
evidence_facts_read(Ctx *cx, Bytes text, EvidenceFacts *out)
{
	EvidenceFacts f = { 0 };
	CanonObject o;

	if (text.n == 0 || text.at[text.n - 1] != '\n' ||
	    !canon_object((Bytes){ text.at, text.n - 1 }, &o) || o.n != 10 ||
	    !take_text(cx->mem, &o, "actor", &f.actor) || !canon_int(canon_get(&o, "at"), &f.at) ||
	    !take_text(cx->mem, &o, "display", &f.display) ||
	    !take_text(cx->mem, &o, "origin", &f.origin) ||
	    !take_text(cx->mem, &o, "reason", &f.reason) ||
	    !canon_int(canon_get(&o, "since"), &f.since) ||
	    !take_text(cx->mem, &o, "tenant", &f.tenant) ||
	    !canon_int(canon_get(&o, "until"), &f.until) || !take_bool(&o, "values", &f.values) ||
	    !take_text(cx->mem, &o, "version", &f.version))
		return malformed(cx, EVIDENCE_FACTS);
	if (!f.origin || !f.version || f.at < 0 || f.since < 0 || f.until < 0)
		return malformed(cx, EVIDENCE_FACTS);
	*out = f;
	return true;
}

/* --- keys, and who signed ---------------------------------------------------------------- */

char *
evidence_keys_text(Arena *mem, const EvidenceKeys *keys)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < keys->n; i++)
		buf_fmt(&b, "%s\n", note_key_text(mem, &keys->at[i]));
	return b.text;
}

bool
evidence_keys_read(Ctx *cx, Bytes text, EvidenceKeys *out)
{
	EvidenceKeys keys = { 0 };

	while (text.n > 0) {
		const char *line = take_line(cx->mem, &text);
		NoteKey key;
		if (!line || keys.n == KEYS_MAX)
			return malformed(cx, EVIDENCE_KEYS);
		if (!note_key_read(cx, line, &key))
			return fail_in(cx, "reading \"" EVIDENCE_KEYS "\"");
		vec_push(cx->mem, &keys, key);
	}
	if (keys.n == 0 || keys.at[0].type != KEY_ED25519)
		return malformed(cx, EVIDENCE_KEYS);
	*out = keys;
	return true;
}

static bool
has_key(const EvidenceKeys *keys, const NoteSignature *s)
{
	for (size_t i = 0; i < keys->n; i++)
		if (keys->at[i].id == s->id && strcmp(keys->at[i].name, s->name) == 0)
			return true;
	return false;
}

void
evidence_signers(Ctx *cx, const Note *checkpoint, const EvidenceKeys *keys, EvidenceSigners *out)
{
	EvidenceSigners s = { 0 };

	for (size_t i = 0; i < keys->n; i++) {
		const NoteKey *key = &keys->at[i];
		int64_t at = 0;
		NoteVerdict verdict = note_verify(checkpoint, key, &at);
		if (verdict == NOTE_BAD)
			s.bad = key->name;
		if (verdict != NOTE_VALID || key->type != KEY_COSIGNATURE)
			continue;
		if (strcmp(key->name, keys->at[0].name) == 0)
			s.own = at;
		else
			vec_push(cx->mem, &s, ((EvidenceSigner){ key->name, at }));
	}
	for (size_t i = 0; i < checkpoint->signatures.n; i++)
		s.unknown += !has_key(keys, &checkpoint->signatures.at[i]);
	*out = s;
}

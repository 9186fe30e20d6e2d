#include "compliance/audit/policy.h"

#include <string.h>

#include "lib/base/file.h"

#define LINE_WORDS (POLICY_NAMES + 3)

typedef VEC(const char *) Words;

/* A witness, or a group of those that stand above it. */
typedef struct Voter {
	const char *name;
	bool is_group;
	NoteKey key;    /* of a witness */
	size_t needed;  /* of a group's members */
	bool is_member; /* some group has it already */
	VEC(size_t) members;
} Voter;

struct Policy {
	VEC(NoteKey) logs;
	VEC(Voter) voters;
	bool has_quorum;
	bool none;     /* quorum none */
	size_t quorum; /* index of the voter */
};

typedef struct Reader {
	Ctx *cx;
	Policy *p;
	const char *file;
	int line;
	Words words; /* of the line */
	VEC(int) columns;
} Reader;

/* Filled already by the caller's fail(); the place is of word i. */
static bool
at_word(const Reader *r, size_t i)
{
	int column = i < r->columns.n ? r->columns.at[i] : 1;

	return fail_at(r->cx, (Place){ r->file, r->line, column });
}

static bool
wants(const Reader *r, const char *form)
{
	fail(r->cx, FAIL_INPUT, arena_printf(r->cx->mem, "Write: %s", form),
	    "\"%s\" has the wrong number of words", r->words.at[0]);
	return at_word(r, 0);
}

static bool
read_key(const Reader *r, size_t i, NoteKeyType type, NoteKey *out)
{
	if (!note_key_read(r->cx, r->words.at[i], out))
		return at_word(r, i);
	if (out->type == type)
		return true;
	fail(r->cx, FAIL_INPUT,
	    type == KEY_ED25519
		? "A log's key is of type 01 (Ed25519)."
		: "A witness's key is of type 04 (cosignature/v1): copyhold audit witness key.",
	    "\"%s\" is a key of another type", r->words.at[i]);
	return at_word(r, i);
}

static bool
same_key(const NoteKey *a, const NoteKey *b)
{
	return memcmp(a->pub, b->pub, sizeof a->pub) == 0;
}

static bool
refuse(const Reader *r, size_t i, const char *hint, const char *what)
{
	fail(r->cx, FAIL_INPUT, hint, "\"%s\" %s", r->words.at[i], what);
	return at_word(r, i);
}

static bool
find_voter(const Policy *p, const char *name, size_t *out)
{
	for (size_t i = 0; i < p->voters.n; i++) {
		if (strcmp(p->voters.at[i].name, name) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool
name_is_free(const Reader *r, size_t i)
{
	size_t other;

	if (strcmp(r->words.at[i], "none") == 0)
		return refuse(r, i, "Take another name.", "stands for no quorum");
	if (find_voter(r->p, r->words.at[i], &other))
		return refuse(r, i, "Witnesses and groups share their names: take another one.",
		    "is defined twice");
	if (r->p->voters.n == POLICY_NAMES)
		return refuse(r, i, "At most 1024 witnesses and groups.", "is one too many");
	return true;
}

static bool
read_log(Reader *r)
{
	NoteKey log;

	if (r->words.n != 2 && r->words.n != 3)
		return wants(r, "log KEY [URL]");
	if (!read_key(r, 1, KEY_ED25519, &log))
		return false;
	for (size_t i = 0; i < r->p->logs.n; i++)
		if (same_key(&r->p->logs.at[i], &log))
			return refuse(
			    r, 1, "Leave one of the two out.", "has the public key of another log");
	if (r->p->logs.n == POLICY_NAMES)
		return refuse(r, 1, "At most 1024 logs.", "is one too many");
	vec_push(r->cx->mem, &r->p->logs, log);
	return true;
}

static bool
read_witness(Reader *r)
{
	Voter v = { 0 };

	if (r->words.n != 3 && r->words.n != 4)
		return wants(r, "witness NAME KEY [URL]");
	v.name = r->words.at[1];
	if (!name_is_free(r, 1) || !read_key(r, 2, KEY_COSIGNATURE, &v.key))
		return false;
	for (size_t i = 0; i < r->p->voters.n; i++)
		if (!r->p->voters.at[i].is_group && same_key(&r->p->voters.at[i].key, &v.key))
			return refuse(r, 2, "Leave one of the two out.",
			    "has the public key of another witness");
	vec_push(r->cx->mem, &r->p->voters, v);
	return true;
}

static bool
read_threshold(const Reader *r, size_t members, size_t *needed)
{
	const char *word = r->words.at[2];
	uint64_t k;

	if (strcmp(word, "any") == 0)
		k = 1;
	else if (strcmp(word, "all") == 0)
		k = members;
	else if (!decimal_read(word, &k) || k < 1 || k > members)
		return refuse(r, 2, "Say any, all, or a number up to that of its members.",
		    "is no threshold of this group");
	*needed = (size_t)k;
	return true;
}

static bool
add_member(const Reader *r, Voter *group, size_t i)
{
	size_t member;

	if (!find_voter(r->p, r->words.at[i], &member))
		return refuse(r, i, "Define it on a line above.", "is no witness and no group");
	if (r->p->voters.at[member].is_member)
		return refuse(
		    r, i, "A name is a member once only.", "is a member of a group already");
	r->p->voters.at[member].is_member = true;
	vec_push(r->cx->mem, &group->members, member);
	return true;
}

static bool
read_group(Reader *r)
{
	Voter v = { .is_group = true };

	if (r->words.n < 4)
		return wants(r, "group NAME any|all|K NAME...");
	v.name = r->words.at[1];
	if (!name_is_free(r, 1) || !read_threshold(r, r->words.n - 3, &v.needed))
		return false;
	for (size_t i = 3; i < r->words.n; i++)
		if (!add_member(r, &v, i))
			return false;
	vec_push(r->cx->mem, &r->p->voters, v);
	return true;
}

static bool
read_quorum(Reader *r)
{
	if (r->words.n != 2)
		return wants(r, "quorum NAME");
	if (r->p->has_quorum)
		return refuse(r, 0, "Leave one of the two out.", "is given twice");
	r->p->has_quorum = true;
	r->p->none = strcmp(r->words.at[1], "none") == 0;
	if (!r->p->none && !find_voter(r->p, r->words.at[1], &r->p->quorum))
		return refuse(
		    r, 1, "Define it on a line above, or say none.", "is no witness and no group");
	return true;
}

static bool
read_words(Reader *r)
{
	static const struct {
		const char *word;
		bool (*read)(Reader *r);
	} lines[] = {
		{ "log", read_log },
		{ "witness", read_witness },
		{ "group", read_group },
		{ "quorum", read_quorum },
	};

	for (size_t i = 0; i < LENGTH(lines); i++)
		if (strcmp(r->words.at[0], lines[i].word) == 0)
			return lines[i].read(r);
	return refuse(
	    r, 0, "A line begins with log, witness, group, quorum or #.", "begins no line");
}

static bool
split(Reader *r, const char *line, size_t n)
{
	r->words.n = r->columns.n = 0;
	for (size_t i = 0; i < n;) {
		size_t from;

		while (i < n && (line[i] == ' ' || line[i] == '\t'))
			i++;
		from = i;
		while (i < n && line[i] != ' ' && line[i] != '\t')
			i++;
		if (i == from)
			break;
		if (r->words.n == LINE_WORDS) {
			fail(r->cx, FAIL_LIMIT, "Make groups of groups.",
			    "the line has more than %d words", LINE_WORDS);
			return at_word(r, 0);
		}
		vec_push(r->cx->mem, &r->words, arena_dupn(r->cx->mem, line + from, i - from));
		vec_push(r->cx->mem, &r->columns, (int)from + 1);
	}
	return true;
}

static bool
check_bytes(const Reader *r, const char *line, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c == '\t' || (c >= 0x20 && c != 0x7F))
			continue;
		fail(r->cx, FAIL_INPUT, "Tabs and newlines are the only ones.",
		    "byte %02x is a control character", c);
		return fail_at(r->cx, (Place){ r->file, r->line, (int)i + 1 });
	}
	return true;
}

static bool
read_line(Reader *r, const char *line, size_t n)
{
	size_t blank = 0;

	if (!check_bytes(r, line, n))
		return false;
	while (blank < n && (line[blank] == ' ' || line[blank] == '\t'))
		blank++;
	if (blank == n || line[blank] == '#')
		return true;
	return split(r, line, n) && read_words(r);
}

bool
policy_read(Ctx *cx, const char *file, const char *text, size_t n, Policy **out)
{
	Reader r = { .cx = cx, .p = arena_alloc(cx->mem, sizeof *r.p), .file = file };

	if (n > POLICY_MAX)
		return fail(
		    cx, FAIL_LIMIT, NULL, "the policy is larger than %zu bytes", POLICY_MAX);
	while (n) {
		const char *end = memchr(text, '\n', n);

		r.line++;
		/* Half a name could be the name of a weaker group. */
		if (!end) {
			fail(cx, FAIL_INPUT, "End it with a newline if it is whole.",
			    "the last line was cut off");
			return fail_at(cx, (Place){ file, r.line, 1 });
		}
		size_t len = (size_t)(end - text);
		if (!read_line(&r, text, len))
			return false;
		text += len + 1;
		n -= len + 1;
	}
	if (!r.p->has_quorum) {
		fail(cx, FAIL_INPUT, "Say quorum NAME, or quorum none.", "there is no quorum");
		return fail_at(cx, (Place){ file, r.line + 1, 1 });
	}
	*out = r.p;
	return true;
}

bool
policy_load(Ctx *cx, const char *path, Policy **out)
{
	char *text;
	size_t n;

	return file_read(cx, path, POLICY_MAX, &text, &n) && policy_read(cx, path, text, n, out);
}

bool
policy_log_key(const Policy *p, const char *origin, NoteKey *out)
{
	for (size_t i = 0; i < p->logs.n; i++) {
		if (strcmp(p->logs.at[i].name, origin) == 0) {
			*out = p->logs.at[i];
			return true;
		}
	}
	return false;
}

/* Signed by a log of the policy whose name is the origin: the checkpoint's first line. */
static void
judge_log(Arena *mem, const Policy *p, const Note *checkpoint, PolicyVerdict *out)
{
	const char *end = memchr(checkpoint->text, '\n', checkpoint->n);
	const char *origin = arena_dupn(
	    mem, checkpoint->text, end ? (size_t)(end - checkpoint->text) : 0);
	int64_t at;

	for (size_t i = 0; i < p->logs.n; i++) {
		const NoteKey *key = &p->logs.at[i];

		switch (note_verify(checkpoint, key, &at)) {
		case NOTE_UNSIGNED:
			break;
		case NOTE_BAD:
			out->bad = key->name;
			break;
		case NOTE_VALID:
			out->log |= strcmp(key->name, origin) == 0;
			break;
		}
	}
}

static bool
judge_witness(Arena *mem, const Voter *v, const Note *checkpoint, PolicyVerdict *out)
{
	int64_t at = 0;
	NoteVerdict verdict = note_verify(checkpoint, &v->key, &at);

	if (verdict == NOTE_BAD)
		out->bad = v->key.name;
	if (verdict != NOTE_VALID)
		return false;
	out->oldest = out->witnesses.n && out->oldest < at ? out->oldest : at;
	out->newest = out->witnesses.n && out->newest > at ? out->newest : at;
	vec_push(mem, &out->witnesses, v->name);
	return true;
}

static bool
judge_group(const Voter *v, const bool *said)
{
	size_t n = 0;

	for (size_t i = 0; i < v->members.n; i++)
		n += said[v->members.at[i]];
	return n >= v->needed;
}

void
policy_judge(Arena *mem, const Policy *p, const Note *checkpoint, PolicyVerdict *out)
{
	bool *said = arena_alloc(mem, (p->voters.n + 1) * sizeof *said);

	*out = (PolicyVerdict){ 0 };
	judge_log(mem, p, checkpoint, out);
	/* A group's members stand above it. */
	for (size_t i = 0; i < p->voters.n; i++) {
		const Voter *v = &p->voters.at[i];

		said[i] = v->is_group ? judge_group(v, said)
				      : judge_witness(mem, v, checkpoint, out);
	}
	out->quorum = p->none || said[p->quorum];
	if (out->bad)
		out->log = out->quorum = false;
}

#include "compliance/audit/words.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/vec.h"

static const EventWord words[] = {
#define EVENT_WORD(verb, done, meant, ocsf_class, ocsf_activity) \
	{ verb, done, meant, ocsf_class, ocsf_activity },
#include "compliance/audit/words.def"
#undef EVENT_WORD
};

const EventWord *
words_of(const char *verb)
{
	for (size_t i = 0; i < LENGTH(words); i++)
		if (strcmp(words[i].verb, verb) == 0)
			return &words[i];
	return NULL;
}

/* How things are named: KIND/OF/NAME, most of them KIND/NAME. */
static const struct {
	const char *kind, *one, *of;
} kinds[] = {
	{ "tenant", "tenant %s", NULL },
	{ "login", "login %s", "login %s of tenant %s" },
	{ "cluster", "cluster %s", NULL },
	{ "gateway", "gateway %s", NULL },
	{ "host", "host %s", NULL },
	{ "bundle", "bundle %s", NULL },
	{ "service", "service %s", "service %s of tenant %s" },
	{ "release", "the services on host %s", "the services on host %s of tenant %s" },
	{ "region", "region %s", NULL },
	{ "model", "model %s", NULL },
	{ "secret", "secret %s", NULL },
	{ "shared", "shared database %s", "shared database %s on cluster %s" },
	{ "log", "log %s", NULL },
	{ "witness", "witness %s", NULL },
};

char *
words_thing(Arena *mem, const char *object)
{
	const char *slash = strchr(object, '/');
	const char *more = slash ? strchr(slash + 1, '/') : NULL;

	if (!slash)
		return arena_dup(mem, object);
	for (size_t i = 0; i < LENGTH(kinds); i++) {
		if (strlen(kinds[i].kind) != (size_t)(slash - object) ||
		    memcmp(kinds[i].kind, object, (size_t)(slash - object)) != 0)
			continue;
		Buf b = buf_new(mem);
		const char *form = more && kinds[i].of ? kinds[i].of : kinds[i].one;
		const char *first = more && kinds[i].of ? more + 1 : slash + 1;
		const char *gap = strstr(form, "%s"), *second = strstr(gap + 2, "%s");
		buf_addn(&b, form, (size_t)(gap - form));
		buf_add(&b, first);
		if (second) {
			buf_addn(&b, gap + 2, (size_t)(second - gap) - 2);
			buf_addn(&b, slash + 1, (size_t)(more - slash) - 1);
		}
		return b.text;
	}
	return arena_dup(mem, object);
}

static void
put_form(Buf *b, const char *form, const char *thing)
{
	const char *gap = strstr(form, "{}");

	if (!gap) {
		buf_add(b, form);
		return;
	}
	buf_addn(b, form, (size_t)(gap - form));
	buf_add(b, thing);
	buf_add(b, gap + 2);
}

/* A sentence begins with a capital, also where it begins with what it is about. */
static char *
sentence(Arena *mem, const char *lead, const char *form, const char *thing, const char *tail)
{
	Buf b = buf_new(mem);

	buf_add(&b, lead);
	put_form(&b, form, thing);
	buf_add(&b, tail);
	b.text[0] = (char)toupper((unsigned char)b.text[0]);
	return b.text;
}

char *
words_kind(Arena *mem, const EventWord *w)
{
	return sentence(mem, "", w->meant, "\xE2\x80\xA6", "");
}

typedef struct Ending {
	const char *outcome, *lead, *tail;
} Ending;

static const Ending endings[] = {
	{ "undone", "Taken back: ", "." },
	{ "begun", "Begun: ", "." },
	{ "resolved: done", "A person decided that this had been done: ", "." },
	{ "resolved: undone", "A person decided that this had been taken back: ", "." },
	{ "resolved: redo", "A person decided that this is to be tried again: ", "." },
	{ "resolved: undo again", "A person decided that this is to be taken back again: ", "." },
	{ "resolved: abandon", "A person decided to leave this as it is: ", "." },
};

char *
words_sentence(Arena *mem, const char *verb, const char *object, const char *outcome)
{
	const EventWord *w = words_of(verb);
	const char *thing = words_thing(mem, object);

	if (!w)
		return sentence(
		    mem, "", "\"{}\"", verb, arena_printf(mem, ": %s (%s).", thing, outcome));
	if (strcmp(outcome, "ok") == 0 || strcmp(outcome, "confirmed") == 0)
		return sentence(mem, "", w->done, thing, "");
	for (size_t i = 0; i < LENGTH(endings); i++)
		if (strcmp(outcome, endings[i].outcome) == 0)
			return sentence(mem, endings[i].lead, w->meant, thing, endings[i].tail);
	return sentence(
	    mem, "It failed to ", w->meant, thing, arena_printf(mem, " (%s).", outcome));
}

#include "lib/base/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/vec.h"

#define OPTIONS_MAX 64 /* bits of Parse.seen */

typedef VEC(const char *) Words;

typedef struct Parse {
	Ctx *cx;
	const Option *globals;
	const Command *cmd; /* NULL before it is known */
	int argc, at;
	char **argv;
	int nargs;
	uint64_t seen;  /* options of cmd, by index */
	bool again;     /* the last one found had been seen */
	bool only_args; /* after -- */
} Parse;

/* What the last opt_parse() met, for opt_wants_help() and opt_usage(). */
static struct {
	bool help;
	const char *noun;
} last;

static const Option help_option = {
	.type = OPT_FLAG,
	.name = "help",
	.letter = 'h',
	.out = &last.help,
};

bool
span_parse(const char *text, int64_t *ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
		{ "d", 86400000 },
	};
	size_t n = strspn(text, "0123456789");
	int64_t value;

	if (n == 0)
		return false;
	errno = 0;
	long long count = strtoll(text, NULL, 10);
	if (errno)
		return false;
	for (size_t i = 0; i < LENGTH(units); i++) {
		if (strcmp(text + n, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow((int64_t)count, units[i].ms, &value))
			return false;
		*ms = value;
		return true;
	}
	return false;
}

/* The noun of a command's name; the verb begins after it. */
static size_t
noun_len(const Command *cmd)
{
	return strcspn(cmd->name, " ");
}

/* A noun may have a part of its own: "audit witness" of "audit witness run". */
static bool
noun_is(const Command *cmd, const char *words)
{
	size_t n = strlen(words);

	return strncmp(cmd->name, words, n) == 0 && (!cmd->name[n] || cmd->name[n] == ' ');
}

static const char *
verb_of(const Command *cmd)
{
	const char *verb = cmd->name + noun_len(cmd);

	return *verb ? verb + 1 : NULL;
}

static char *
usage_of(Arena *mem, const Command *cmd)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "copyhold %s", cmd->name);
	for (int i = 0; i < COMMAND_ARGS && cmd->args[i].name; i++)
		buf_fmt(&b, cmd->args[i].optional ? " [%s]" : " %s", cmd->args[i].name);
	for (const Option *o = cmd->options; o && o->type != OPT_END; o++)
		if (o->required)
			buf_fmt(&b, " --%s %s", o->name, o->value);
	return b.text;
}

static const char *
usage_hint(const Parse *p)
{
	return arena_printf(p->cx->mem, "Usage: %s [OPTIONS]", usage_of(p->cx->mem, p->cmd));
}

static const char *
help_line(const Parse *p)
{
	if (!p->cmd)
		return "copyhold help";
	return arena_printf(p->cx->mem, "copyhold %s --help", p->cmd->name);
}

static void
add_names(Arena *mem, Words *words, const Option *o)
{
	for (; o && o->type != OPT_END; o++)
		vec_push(mem, words, arena_printf(mem, "--%s", o->name));
}

static bool
unknown_option(const Parse *p, const char *name)
{
	Arena *mem = p->cx->mem;
	Words words = { 0 };

	add_names(mem, &words, p->cmd ? p->cmd->options : NULL);
	add_names(mem, &words, p->globals);
	vec_push(mem, &words, "--help");
	const char *near = nearest_word(name, words.at, words.n);
	const char *hint = near ? arena_printf(mem, "Did you mean %s? Try: %s", near, help_line(p))
				: arena_printf(mem, "Try: %s", help_line(p));
	return fail(p->cx, FAIL_USAGE, hint, "unknown option \"%s\"", name);
}

static const Option *
find_in(const Option *o, const char *name, size_t n, char letter)
{
	for (; o && o->type != OPT_END; o++)
		if (name ? strlen(o->name) == n && strncmp(o->name, name, n) == 0
			 : o->letter && o->letter == letter)
			return o;
	return NULL;
}

static const Option *
find_option(Parse *p, const char *name, size_t n, char letter)
{
	const Option *o = find_in(p->cmd ? p->cmd->options : NULL, name, n, letter);

	p->again = false;
	if (!o)
		return find_in(p->globals, name, n, letter);
	size_t i = (size_t)(o - p->cmd->options);
	if (i < OPTIONS_MAX) {
		p->again = p->seen >> i & 1;
		p->seen |= UINT64_C(1) << i;
	}
	return o;
}

static const char *
spread(Arena *mem, const char *choices)
{
	Buf b = buf_new(mem);

	for (const char *c = choices; *c; c++) {
		if (*c == '|')
			buf_add(&b, ", ");
		else
			buf_addc(&b, *c);
	}
	return b.text;
}

static void
split(Arena *mem, const char *choices, Words *out)
{
	while (*choices) {
		size_t n = strcspn(choices, "|");

		vec_push(mem, out, arena_dupn(mem, choices, n));
		choices += n + (choices[n] == '|');
	}
}

static bool
set_choice(const Parse *p, const Option *o, const char *value)
{
	Arena *mem = p->cx->mem;
	Words words = { 0 };

	split(mem, o->choices, &words);
	for (size_t i = 0; i < words.n; i++) {
		if (strcmp(words.at[i], value) == 0) {
			*(const char **)o->out = words.at[i];
			return true;
		}
	}
	const char *near = nearest_word(value, words.at, words.n);
	const char *hint = near
	    ? arena_printf(mem, "Did you mean %s? It is one of: %s.", near, spread(mem, o->choices))
	    : arena_printf(mem, "It is one of: %s.", spread(mem, o->choices));
	return fail(p->cx, FAIL_USAGE, hint, "option \"--%s\" cannot be \"%s\"", o->name, value);
}

static bool
set_int(const Parse *p, const Option *o, const char *value)
{
	char *end;

	errno = 0;
	long long n = strtoll(value, &end, 10);
	if (errno || end == value || *end || strspn(value, "-0123456789") != strlen(value))
		return fail(p->cx, FAIL_USAGE, arena_printf(p->cx->mem, "Try: %s", help_line(p)),
		    "option \"--%s\" wants a whole number, not \"%s\"", o->name, value);
	*(int64_t *)o->out = n;
	return true;
}

static bool
set_list(const Parse *p, const Option *o, const char *value)
{
	OptList *list = o->out;

	if (list->n == OPT_LIST_MAX)
		return fail(p->cx, FAIL_USAGE, "Use several commands.",
		    "option \"--%s\" is given more than %d times", o->name, OPT_LIST_MAX);
	list->at[list->n++] = value;
	return true;
}

static bool
set_option(const Parse *p, const Option *o, const char *value)
{
	switch (o->type) {
	case OPT_END:
		break;
	case OPT_FLAG:
		*(bool *)o->out = true;
		break;
	case OPT_TEXT:
		*(const char **)o->out = value;
		break;
	case OPT_INT:
		return set_int(p, o, value);
	case OPT_SPAN:
		return span_parse(value, o->out) ||
		    fail(p->cx, FAIL_USAGE,
			"Write a number and its unit: 250ms, 5s, 10m, 2h or 30d.",
			"option \"--%s\" wants a span of time, not \"%s\"", o->name, value);
	case OPT_CHOICE:
		return set_choice(p, o, value);
	case OPT_LIST:
		return set_list(p, o, value);
	}
	return true;
}

/* The value of o: what stands in the same word, else the next word. */
static bool
take_value(Parse *p, const Option *o, const char *same_word)
{
	if (p->again && o->type != OPT_LIST)
		return fail(p->cx, FAIL_USAGE, "Leave one of the two out.",
		    "option \"--%s\" is given twice", o->name);
	if (same_word)
		return set_option(p, o, same_word);
	if (p->at < p->argc && strncmp(p->argv[p->at], "--", 2) != 0)
		return set_option(p, o, p->argv[p->at++]);
	return fail(p->cx, FAIL_USAGE,
	    arena_printf(p->cx->mem, "Write: --%s=%s", o->name, o->value),
	    "option \"--%s\" needs a value", o->name);
}

static bool
parse_long(Parse *p, const char *word)
{
	size_t n = strcspn(word + 2, "=");
	const char *value = word[2 + n] ? word + 2 + n + 1 : NULL;
	const Option *o = find_option(p, word + 2, n, 0);

	if (!o && n == 4 && strncmp(word, "--help", 6) == 0)
		o = &help_option;
	if (!o)
		return unknown_option(p, arena_dupn(p->cx->mem, word, n + 2));
	if (o->type != OPT_FLAG)
		return take_value(p, o, value);
	if (value)
		return fail(p->cx, FAIL_USAGE, arena_printf(p->cx->mem, "Write: --%s", o->name),
		    "option \"--%s\" takes no value", o->name);
	return set_option(p, o, NULL);
}

/* -y, -yq, -o json, -ojson */
static bool
parse_letters(Parse *p, const char *word)
{
	for (const char *c = word + 1; *c; c++) {
		const Option *o = find_option(p, NULL, 0, *c);

		if (!o && *c == help_option.letter)
			o = &help_option;
		if (!o)
			return unknown_option(p, arena_printf(p->cx->mem, "-%c", *c));
		if (o->type != OPT_FLAG)
			return take_value(p, o, c[1] ? c + 1 : NULL);
		if (!set_option(p, o, NULL))
			return false;
	}
	return true;
}

static bool
is_option(const Parse *p, const char *word)
{
	return !p->only_args && word[0] == '-' && word[1];
}

static bool
parse_option(Parse *p)
{
	const char *word = p->argv[p->at++];

	if (strcmp(word, "--") == 0) {
		p->only_args = true;
		return true;
	}
	return word[1] == '-' ? parse_long(p, word) : parse_letters(p, word);
}

static bool
parse_argument(Parse *p)
{
	const char *word = p->argv[p->at++];

	if (p->nargs == COMMAND_ARGS || !p->cmd->args[p->nargs].name)
		return fail(p->cx, FAIL_USAGE, usage_hint(p), "unexpected argument \"%s\"", word);
	*p->cmd->args[p->nargs++].out = word;
	return true;
}

static bool
check_complete(const Parse *p)
{
	for (int i = p->nargs; i < COMMAND_ARGS && p->cmd->args[i].name; i++)
		if (!p->cmd->args[i].optional)
			return fail(p->cx, FAIL_USAGE, usage_hint(p), "argument \"%s\" is missing",
			    p->cmd->args[i].name);
	for (const Option *o = p->cmd->options; o && o->type != OPT_END; o++)
		if (o->required && !(p->seen >> (o - p->cmd->options) & 1))
			return fail(p->cx, FAIL_USAGE, usage_hint(p), "option \"--%s\" is missing",
			    o->name);
	return true;
}

/* The word after the noun; NULL where the name ends with it. */
static char *
next_word(Arena *mem, const Command *cmd, const char *noun)
{
	const char *rest = cmd->name + strlen(noun);

	return *rest ? arena_dupn(mem, rest + 1, strcspn(rest + 1, " ")) : NULL;
}

static bool
is_among(const Words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->at[i], word) == 0)
			return true;
	return false;
}

static const char *
verbs_of(Arena *mem, const Command *const *commands, size_t n, const char *noun, Words *verbs)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < n; i++) {
		if (commands[i]->hidden || !noun_is(commands[i], noun))
			continue;
		char *word = next_word(mem, commands[i], noun);
		if (!word || is_among(verbs, word))
			continue;
		vec_push(mem, verbs, word);
		buf_fmt(&b, "%s%s", b.len ? ", " : "", word);
	}
	return b.text;
}

static bool
unknown_noun(const Parse *p, const Command *const *commands, size_t n, const char *word)
{
	Arena *mem = p->cx->mem;
	Words nouns = { 0 };

	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden)
			vec_push(
			    mem, &nouns, arena_dupn(mem, commands[i]->name, noun_len(commands[i])));
	const char *near = nearest_word(word, nouns.at, nouns.n);
	const char *hint = near ? arena_printf(mem, "Did you mean \"%s\"? Try: copyhold help", near)
				: "Try: copyhold help";
	return fail(p->cx, FAIL_USAGE, hint, "unknown command \"%s\"", word);
}

static bool
find_verb(Parse *p, const Command *const *commands, size_t n, const char *noun)
{
	Arena *mem = p->cx->mem;
	Words verbs = { 0 };
	const char *list = verbs_of(mem, commands, n, noun, &verbs);
	const char *word = p->at < p->argc ? p->argv[p->at] : NULL;

	if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
		last.help = true;
		last.noun = noun;
		return true;
	}
	if (!word || word[0] == '-')
		return fail(p->cx, FAIL_USAGE,
		    arena_printf(mem,
			"Its verbs: %s. Try: copyhold %s "
			"--help",
			list, noun),
		    "\"%s\" needs a verb", noun);
	char *both = arena_printf(mem, "%s %s", noun, word);
	bool is_noun = false;
	for (size_t i = 0; i < n && !p->cmd; i++) {
		if (strcmp(commands[i]->name, both) == 0)
			p->cmd = commands[i];
		is_noun |= noun_is(commands[i], both);
	}
	p->at++;
	if (!p->cmd && is_noun && !strchr(word, ' '))
		return find_verb(p, commands, n, both);
	if (p->cmd)
		return true;
	const char *near = nearest_word(word, verbs.at, verbs.n);
	const char *hint = near
	    ? arena_printf(mem, "Did you mean \"%s %s\"? Its verbs: %s.", noun, near, list)
	    : arena_printf(mem, "Its verbs: %s.", list);
	return fail(p->cx, FAIL_USAGE, hint, "unknown command \"%s %s\"", noun, word);
}

static bool
find_command(Parse *p, const Command *const *commands, size_t n)
{
	if (p->at == p->argc)
		return last.help ||
		    fail(p->cx, FAIL_USAGE, "Try: copyhold help", "a command is missing");
	const char *noun = p->argv[p->at++];
	bool known = false;
	for (size_t i = 0; i < n; i++) {
		if (!noun_is(commands[i], noun))
			continue;
		known = true;
		if (!verb_of(commands[i]))
			p->cmd = commands[i];
	}
	if (!known)
		return unknown_noun(p, commands, n, noun);
	return p->cmd || find_verb(p, commands, n, noun);
}

bool
opt_parse(Ctx *cx, const Command *const *commands, size_t n, const Option *globals, int argc,
    char **argv, const Command **found)
{
	Parse p = { .cx = cx, .globals = globals, .argc = argc, .argv = argv, .at = 1 };

	last.help = false;
	last.noun = NULL;
	while (p.at < argc && is_option(&p, argv[p.at]))
		if (!parse_option(&p))
			return false;
	if (!find_command(&p, commands, n))
		return false;
	p.only_args = false;
	while (p.cmd && p.at < argc)
		if (!(is_option(&p, argv[p.at]) ? parse_option(&p) : parse_argument(&p)))
			return false;
	if (p.cmd && !last.help && !check_complete(&p))
		return false;
	*found = p.cmd;
	return true;
}

bool
opt_wants_help(void)
{
	return last.help;
}

#define WIDTH  79
#define DOC_AT 26

/* Adds text wrapped at WIDTH; the first line stands at column `at`, the others at `indent`. */
static void
add_wrapped(Buf *b, const char *text, int at, int indent)
{
	bool fresh = true;

	while (*text) {
		size_t n = strcspn(text, " ");
		char *word = arena_dupn(b->mem, text, n);
		int width = text_width(word);

		if (!fresh && at + 1 + width > WIDTH) {
			buf_fmt(b, "\n%*s", indent, "");
			at = indent;
			fresh = true;
		}
		buf_fmt(b, "%s%s", fresh ? "" : " ", word);
		at += width + !fresh;
		fresh = false;
		text += n;
		text += strspn(text, " ");
	}
	buf_addc(b, '\n');
}

static void
add_row(Buf *b, const char *left, const char *doc)
{
	int width = 2 + text_width(left);

	buf_fmt(b, "  %s", left);
	if (width + 2 > DOC_AT)
		buf_fmt(b, "\n%*s", DOC_AT, "");
	else
		buf_fmt(b, "%*s", DOC_AT - width, "");
	add_wrapped(b, doc, DOC_AT, DOC_AT);
}

static void
add_option(Buf *b, const Option *o)
{
	Buf left = buf_new(b->mem), doc = buf_new(b->mem);

	if (o->letter)
		buf_fmt(&left, "-%c, ", o->letter);
	else
		buf_add(&left, "    ");
	buf_fmt(&left, "--%s", o->name);
	if (o->value)
		buf_fmt(&left, " %s", o->value);
	buf_add(&doc, o->doc);
	if (o->type == OPT_CHOICE)
		buf_fmt(&doc, " (%s)", spread(b->mem, o->choices));
	if (o->type == OPT_LIST)
		buf_add(&doc, " (may be repeated)");
	if (o->required)
		buf_add(&doc, " (required)");
	add_row(b, left.text, doc.text);
}

static void
add_options(Buf *b, const char *title, const Option *o)
{
	if (!o || o->type == OPT_END)
		return;
	buf_fmt(b, "\n%s:\n", title);
	for (; o->type != OPT_END; o++)
		add_option(b, o);
}

/* Paragraphs are wrapped; lines that begin with a blank (examples) stay as they are. */
static void
add_detail(Buf *b, const char *detail)
{
	while (*detail) {
		size_t n = strcspn(detail, "\n");
		char *line = arena_dupn(b->mem, detail, n);

		if (*line == ' ' || *line == '\t')
			buf_fmt(b, "%s\n", line);
		else
			add_wrapped(b, line, 0, 0);
		detail += n + (detail[n] == '\n');
	}
}

void
opt_help(Buf *b, const Command *cmd, const Option *globals)
{
	buf_add(b, "usage: ");
	add_wrapped(b, arena_printf(b->mem, "%s [OPTIONS]", usage_of(b->mem, cmd)), 7, 7);
	buf_addc(b, '\n');
	add_wrapped(b, cmd->summary, 0, 0);
	if (cmd->detail) {
		buf_addc(b, '\n');
		add_detail(b, cmd->detail);
	}
	if (cmd->args[0].name)
		buf_add(b, "\narguments:\n");
	for (int i = 0; i < COMMAND_ARGS && cmd->args[i].name; i++)
		add_row(b, cmd->args[i].name, cmd->args[i].doc);
	add_options(b, "options", cmd->options);
	add_options(b, "general options", globals);
}

static bool
noun_came_before(const Command *const *commands, size_t at)
{
	char noun[64];
	size_t n = noun_len(commands[at]);

	if (n >= sizeof noun)
		return false;
	memcpy(noun, commands[at]->name, n);
	noun[n] = '\0';
	for (size_t i = 0; i < at; i++)
		if (!commands[i]->hidden && noun_is(commands[i], noun))
			return true;
	return false;
}

static void
add_noun(Buf *b, const Command *const *commands, size_t n, const char *noun)
{
	buf_addc(b, '\n');
	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden && noun_is(commands[i], noun))
			add_row(b, commands[i]->name, commands[i]->summary);
}

void
opt_usage(Buf *b, const Command *const *commands, size_t n)
{
	if (last.noun) {
		buf_fmt(b, "usage: copyhold %s VERB [ARG...] [OPTIONS]\n", last.noun);
		add_noun(b, commands, n, last.noun);
		return;
	}
	buf_add(b, "usage: copyhold NOUN VERB [ARG...] [OPTIONS]\n\n");
	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden && !verb_of(commands[i]))
			add_row(b, commands[i]->name, commands[i]->summary);
	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden && verb_of(commands[i]) && !noun_came_before(commands, i))
			add_noun(b, commands, n,
			    arena_dupn(b->mem, commands[i]->name, noun_len(commands[i])));
	buf_add(b, "\n`copyhold help COMMAND` tells more about one of them.\n");
}

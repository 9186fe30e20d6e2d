#include <string.h>

#include "lib/base/opt.h"
#include "lib/base/vec.h"

typedef enum Shell { BASH, ZSH, FISH } Shell;
typedef enum Value {
	VALUE_NONE,
	VALUE_ANY,
	VALUE_FILE,
	VALUE_DIR,
	VALUE_CHOICE,
	VALUE_TENANT
} Value;

/* The names of the tenants that the home knows; nothing, where there is none. */
#define TENANTS \
	"copyhold tenant list -o jsonl 2>/dev/null | " \
	"sed -n \"s/^{\\\"name\\\":\\\"\\([a-z0-9-]*\\)\\\".*/\\1/p\""

typedef struct Complete {
	Buf *b;
	const Command *const *commands;
	size_t n;
	const Option *globals;
} Complete;

static const Option help_option = {
	.type = OPT_FLAG,
	.name = "help",
	.letter = 'h',
	.doc = "show the help",
};

static Value
value_of(const Option *o)
{
	if (o->type == OPT_FLAG)
		return VALUE_NONE;
	if (o->type == OPT_CHOICE)
		return VALUE_CHOICE;
	if (strcmp(o->value, "TENANT") == 0)
		return VALUE_TENANT;
	if (strstr(o->value, "DIR"))
		return VALUE_DIR;
	return strstr(o->value, "FILE") || strstr(o->value, "PATH") ? VALUE_FILE : VALUE_ANY;
}

static bool
takes_files(const Command *cmd)
{
	for (int i = 0; i < COMMAND_ARGS && cmd->args[i].name; i++)
		if (strstr(cmd->args[i].name, "FILE") || strstr(cmd->args[i].name, "PATH"))
			return true;
	return false;
}

/* Such commands have a noun and a verb: the tenant is the third word. */
static bool
takes_tenant(const Command *cmd)
{
	return cmd->args[0].name && strcmp(cmd->args[0].name, "TENANT") == 0;
}

static char *
noun_of(const Complete *c, const Command *cmd)
{
	return arena_dupn(c->b->mem, cmd->name, strcspn(cmd->name, " "));
}

/* The word at a place of the name, from 0; NULL past its end. */
static char *
word_of(const Complete *c, const Command *cmd, int at)
{
	const char *word = cmd->name;

	for (; at > 0; at--) {
		word = strchr(word, ' ');
		if (!word)
			return NULL;
		word++;
	}
	return arena_dupn(c->b->mem, word, strcspn(word, " "));
}

static const char *
verb_of(const Complete *c, const Command *cmd)
{
	return word_of(c, cmd, 1);
}

static char *
blanks(const Complete *c, const char *choices)
{
	char *text = arena_dup(c->b->mem, choices);

	for (char *p = text; *p; p++)
		if (*p == '|')
			*p = ' ';
	return text;
}

/* Commands whose noun has not come before: each noun once. */
static bool
is_first(const Complete *c, size_t at)
{
	const char *noun = noun_of(c, c->commands[at]);

	if (c->commands[at]->hidden)
		return false;
	for (size_t i = 0; i < at; i++)
		if (!c->commands[i]->hidden && strcmp(noun_of(c, c->commands[i]), noun) == 0)
			return false;
	return true;
}

static bool
same_words(const Complete *c, const Command *a, const Command *b, int n)
{
	for (int i = 0; i < n; i++) {
		const char *of_a = word_of(c, a, i), *of_b = word_of(c, b, i);

		if (!of_a || !of_b || strcmp(of_a, of_b) != 0)
			return false;
	}
	return true;
}

/* Commands that have n words and more, the first n of which have not come before: each once. */
static bool
is_first_of(const Complete *c, size_t at, int n)
{
	if (c->commands[at]->hidden || !word_of(c, c->commands[at], n - 1))
		return false;
	for (size_t i = 0; i < at; i++)
		if (!c->commands[i]->hidden && same_words(c, c->commands[i], c->commands[at], n))
			return false;
	return true;
}

/* Is it the first command that has the words of `first`, less the last of its n, and this n-th one? */
static bool
is_verb_of(const Complete *c, size_t at, const Command *first, int n)
{
	return is_first_of(c, at, n) && same_words(c, c->commands[at], first, n - 1);
}

/* One of those whose noun has two words: "audit witness run". */
static bool
is_first_sub(const Complete *c, size_t at)
{
	return is_first_of(c, at, 2) && word_of(c, c->commands[at], 2);
}

/* What a verb is for; of a noun's second word nothing is known. */
static const char *
summary_of(const Complete *c, const Command *cmd, int n)
{
	return word_of(c, cmd, n) ? "" : cmd->summary;
}

/* noun|noun of those that have verbs */
static void
add_verb_nouns(const Complete *c)
{
	const char *bar = "";

	for (size_t i = 0; i < c->n; i++) {
		if (!is_first(c, i) || !verb_of(c, c->commands[i]))
			continue;
		buf_fmt(c->b, "%s%s", bar, noun_of(c, c->commands[i]));
		bar = "|";
	}
}

static void
add_described(const Complete *c, const char *name, const char *doc)
{
	buf_addc(c->b, ' ');
	buf_shell(c->b, arena_printf(c->b->mem, "%s:%s", name, doc));
}

/* ---- bash and zsh: one shape, two ways to say each answer ---- */

static void
add_answer(const Complete *c, Shell shell, const Option *o)
{
	bool bash = shell == BASH;

	switch (value_of(o)) {
	case VALUE_NONE:
	case VALUE_ANY:
		break;
	case VALUE_FILE:
		buf_add(c->b, bash ? "_copyhold_files -f; " : "_files; ");
		break;
	case VALUE_DIR:
		buf_add(c->b, bash ? "_copyhold_files -d; " : "_files -/; ");
		break;
	case VALUE_CHOICE:
		buf_fmt(
		    c->b, bash ? "_copyhold_words '%s'; " : "compadd %s; ", blanks(c, o->choices));
		break;
	case VALUE_TENANT:
		buf_add(c->b, bash ? "_copyhold_tenants; " : "compadd $(_copyhold_tenants); ");
		break;
	}
}

/* One case row per option that has a value: after it, what may follow. */
static void
add_values(const Complete *c, Shell shell, const char *key, const Option *o)
{
	for (; o && o->type != OPT_END; o++) {
		if (value_of(o) == VALUE_NONE)
			continue;
		buf_fmt(c->b, "\t%s%s:--%s", shell == ZSH ? "(" : "", key, o->name);
		if (o->letter)
			buf_fmt(c->b, "|%s:-%c", key, o->letter);
		buf_add(c->b, ") ");
		add_answer(c, shell, o);
		buf_add(c->b, "return ;;\n");
	}
}

static void
add_value_case(const Complete *c, Shell shell)
{
	buf_add(c->b, "\tcase $key:$prev in\n");
	for (size_t i = 0; i < c->n; i++) {
		Buf key = buf_new(c->b->mem);

		buf_shell(&key, c->commands[i]->name);
		if (!c->commands[i]->hidden)
			add_values(c, shell, key.text, c->commands[i]->options);
	}
	add_values(c, shell, "*", c->globals);
	buf_add(c->b, "\tesac\n");
}

static void
add_option_words(const Complete *c, const Option *o)
{
	for (; o && o->type != OPT_END; o++)
		buf_fmt(c->b, " --%s", o->name);
}

static void
add_bash_options(const Complete *c)
{
	buf_add(c->b, "\tcase $key in\n");
	for (size_t i = 0; i < c->n; i++) {
		const Command *cmd = c->commands[i];

		if (cmd->hidden)
			continue;
		buf_addc(c->b, '\t');
		buf_shell(c->b, cmd->name);
		buf_add(c->b, ") words='--help");
		add_option_words(c, cmd->options);
		buf_fmt(c->b, "'%s%s ;;\n", takes_files(cmd) ? " files=1" : "",
		    takes_tenant(cmd) ? " tenant=1" : "");
	}
	buf_add(c->b, "\t*) return ;;\n\tesac\n");
	buf_add(c->b, "\tif [[ $cur == -* ]]; then\n\t\t_copyhold_words \"$words");
	add_option_words(c, c->globals);
	buf_add(c->b,
	    "\"\n\telif [[ $files ]]; then\n\t\t_copyhold_files -f\n"
	    "\telif [[ $tenant ]] && ((COMP_CWORD == 3)); then\n\t\t_copyhold_tenants\n\tfi\n");
}

/* The n-th words of the commands that begin as this one. */
static void
add_bash_verbs(const Complete *c, const Command *first, int n)
{
	const char *blank = "";

	buf_add(c->b, "_copyhold_words '");
	for (size_t i = 0; i < c->n; i++) {
		if (!is_verb_of(c, i, first, n))
			continue;
		buf_fmt(c->b, "%s%s", blank, word_of(c, c->commands[i], n - 1));
		blank = " ";
	}
	buf_add(c->b, "'; return");
}

static void
add_bash_words(const Complete *c)
{
	buf_add(c->b, "\tif ((COMP_CWORD == 1)); then\n\t\t_copyhold_words '");
	for (size_t i = 0; i < c->n; i++)
		if (is_first(c, i))
			buf_fmt(c->b, "%s%s", i ? " " : "", noun_of(c, c->commands[i]));
	buf_add(c->b, "'\n\t\treturn\n\tfi\n\tcase $COMP_CWORD:${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < c->n; i++) {
		const Command *cmd = c->commands[i];

		if (is_first(c, i) && verb_of(c, cmd)) {
			buf_fmt(c->b, "\t2:%s) ", noun_of(c, cmd));
			add_bash_verbs(c, cmd, 2);
			buf_add(c->b, " ;;\n");
		}
		if (is_first_sub(c, i)) {
			buf_fmt(c->b, "\t3:%s) if [[ ${COMP_WORDS[2]} == %s ]]; then ",
			    noun_of(c, cmd), verb_of(c, cmd));
			add_bash_verbs(c, cmd, 3);
			buf_add(c->b, "; fi ;;\n");
		}
	}
	buf_add(c->b, "\tesac\n");
}

/* The key of a command of three words has its third word too. */
static void
add_sub_keys(const Complete *c, Shell shell)
{
	for (size_t i = 0; i < c->n; i++) {
		const Command *cmd = c->commands[i];

		if (is_first_sub(c, i))
			buf_fmt(c->b, "\t[[ $key != '%s %s' ]] || key=\"$key %s\"\n",
			    noun_of(c, cmd), verb_of(c, cmd),
			    shell == BASH ? "${COMP_WORDS[3]}" : "$words[4]");
	}
}

static void
complete_bash(const Complete *c)
{
	buf_add(c->b,
	    "# bash completion for copyhold, made by: copyhold completion bash\n"
	    "_copyhold_words() {\n"
	    "\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
	    "}\n"
	    "_copyhold_files() {\n"
	    "\tcompopt -o filenames 2>/dev/null\n"
	    "\tmapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
	    "}\n"
	    "_copyhold_tenants() {\n"
	    "\t_copyhold_words \"$(" TENANTS ")\"\n"
	    "}\n"
	    "_copyhold() {\n"
	    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	    "\tlocal key=${COMP_WORDS[1]} words='' files='' tenant=''\n"
	    "\tCOMPREPLY=()\n"
	    "\tif [[ $cur == = ]]; then\n"
	    "\t\tcur=''\n"
	    "\telif [[ $prev == = ]]; then\n"
	    "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n"
	    "\tfi\n"
	    "\tcase $key in\n\t");
	add_verb_nouns(c);
	buf_add(c->b, ") key=\"$key ${COMP_WORDS[2]}\" ;;\n\tesac\n");
	add_sub_keys(c, BASH);
	add_bash_words(c);
	add_value_case(c, BASH);
	add_bash_options(c);
	buf_add(c->b, "}\ncomplete -F _copyhold copyhold\n");
}

static void
add_zsh_verbs(const Complete *c, const Command *first, int n)
{
	buf_add(c->b, "list=(");
	for (size_t i = 0; i < c->n; i++)
		if (is_verb_of(c, i, first, n))
			add_described(
			    c, word_of(c, c->commands[i], n - 1), summary_of(c, c->commands[i], n));
	buf_add(c->b, " ); _describe verb list; return");
}

static void
add_zsh_words(const Complete *c)
{
	buf_add(c->b, "\tif (( CURRENT == 2 )); then\n\t\tlist=(");
	for (size_t i = 0; i < c->n; i++)
		if (is_first(c, i))
			add_described(
			    c, noun_of(c, c->commands[i]), summary_of(c, c->commands[i], 1));
	buf_add(c->b,
	    " )\n\t\t_describe command list\n\t\treturn\n\tfi\n"
	    "\tcase $CURRENT:$words[2] in\n");
	for (size_t i = 0; i < c->n; i++) {
		const Command *cmd = c->commands[i];

		if (is_first(c, i) && verb_of(c, cmd)) {
			buf_fmt(c->b, "\t(3:%s) ", noun_of(c, cmd));
			add_zsh_verbs(c, cmd, 2);
			buf_add(c->b, " ;;\n");
		}
		if (is_first_sub(c, i)) {
			buf_fmt(c->b, "\t(4:%s) if [[ $words[3] == %s ]]; then ", noun_of(c, cmd),
			    verb_of(c, cmd));
			add_zsh_verbs(c, cmd, 3);
			buf_add(c->b, "; fi ;;\n");
		}
	}
	buf_add(c->b, "\tesac\n");
}

static void
add_zsh_described(const Complete *c, const Option *o)
{
	for (; o && o->type != OPT_END; o++)
		add_described(c, arena_printf(c->b->mem, "--%s", o->name), o->doc);
}

static void
add_zsh_options(const Complete *c)
{
	buf_add(c->b, "\tcase $key in\n");
	for (size_t i = 0; i < c->n; i++) {
		const Command *cmd = c->commands[i];

		if (cmd->hidden)
			continue;
		buf_add(c->b, "\t(");
		buf_shell(c->b, cmd->name);
		buf_add(c->b, ") list=(");
		add_zsh_described(c, cmd->options);
		buf_fmt(c->b, " )%s%s ;;\n", takes_files(cmd) ? "; files=1" : "",
		    takes_tenant(cmd) ? "; tenant=1" : "");
	}
	buf_add(c->b, "\t(*) return ;;\n\tesac\n\tlist+=( '--help:show the help'");
	add_zsh_described(c, c->globals);
	buf_add(c->b,
	    " )\n\tif [[ $PREFIX == -* ]]; then\n\t\t_describe -o option list\n"
	    "\telif [[ -n $files ]]; then\n\t\t_files\n"
	    "\telif [[ -n $tenant ]] && (( CURRENT == 4 )); then\n"
	    "\t\tcompadd $(_copyhold_tenants)\n\tfi\n");
}

static void
complete_zsh(const Complete *c)
{
	buf_add(c->b,
	    "#compdef copyhold\n"
	    "# zsh completion for copyhold, made by: copyhold completion zsh\n"
	    "_copyhold_tenants() {\n"
	    "\t" TENANTS "\n"
	    "}\n"
	    "_copyhold() {\n"
	    "\tlocal key=$words[2] prev=$words[CURRENT-1] files='' tenant=''\n"
	    "\tlocal -a list\n"
	    "\tcase $key in\n\t(");
	add_verb_nouns(c);
	buf_add(c->b, ") key=\"$key $words[3]\" ;;\n\tesac\n");
	add_sub_keys(c, ZSH);
	add_zsh_words(c);
	add_value_case(c, ZSH);
	add_zsh_options(c);
	buf_add(c->b,
	    "}\n"
	    "if [[ $funcstack[1] == _copyhold ]]; then\n"
	    "\t_copyhold \"$@\"\n"
	    "else\n"
	    "\tcompdef _copyhold copyhold\n"
	    "fi\n");
}

/* ---- fish ---- */

static void
fish_word(Buf *b, const char *text)
{
	buf_addc(b, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *text);
	}
	buf_addc(b, '\'');
}

/* Seen are the first n words of this command. */
static char *
fish_seen(const Complete *c, const Command *cmd, int n)
{
	Buf b = buf_new(c->b->mem);

	for (int i = 0; i < n && word_of(c, cmd, i); i++)
		buf_fmt(
		    &b, "%s__fish_seen_subcommand_from %s", i ? "; and " : "", word_of(c, cmd, i));
	return b.text;
}

static char *
fish_when(const Complete *c, const Command *cmd)
{
	return cmd ? fish_seen(c, cmd, 3) : NULL;
}

static void
fish_option(const Complete *c, const char *when, const Option *o)
{
	buf_add(c->b, "complete -c copyhold");
	if (when) {
		buf_add(c->b, " -n ");
		fish_word(c->b, when);
	}
	buf_fmt(c->b, " -l %s", o->name);
	if (o->letter)
		buf_fmt(c->b, " -s %c", o->letter);
	switch (value_of(o)) {
	case VALUE_NONE:
		break;
	case VALUE_ANY:
		buf_add(c->b, " -x");
		break;
	case VALUE_FILE:
		buf_add(c->b, " -r -F");
		break;
	case VALUE_DIR:
		buf_add(c->b, " -x -a '(__fish_complete_directories)'");
		break;
	case VALUE_CHOICE:
		buf_fmt(c->b, " -x -a '%s'", blanks(c, o->choices));
		break;
	case VALUE_TENANT:
		buf_add(c->b, " -x -a '(__copyhold_tenants)'");
		break;
	}
	buf_add(c->b, " -d ");
	fish_word(c->b, o->doc);
	buf_addc(c->b, '\n');
}

static void
fish_line(const Complete *c, const char *when, const char *word, const char *doc)
{
	buf_add(c->b, "complete -c copyhold -n ");
	fish_word(c->b, when);
	if (word)
		buf_fmt(c->b, " -a %s", word);
	else
		buf_add(c->b, " -F");
	if (doc) {
		buf_add(c->b, " -d ");
		fish_word(c->b, doc);
	}
	buf_addc(c->b, '\n');
}

/* The words before the n-th of this command are seen, and none that may stand there. */
static char *
fish_wants_verb(const Complete *c, const Command *cmd, int n)
{
	Buf b = buf_new(c->b->mem);

	buf_fmt(&b, "%s; and not __fish_seen_subcommand_from", fish_seen(c, cmd, n - 1));
	for (size_t i = 0; i < c->n; i++)
		if (is_verb_of(c, i, cmd, n))
			buf_fmt(&b, " %s", word_of(c, c->commands[i], n - 1));
	return b.text;
}

static void
complete_fish(const Complete *c)
{
	buf_add(c->b,
	    "# fish completion for copyhold, made by: copyhold completion fish\n"
	    "function __copyhold_tenants\n"
	    "\t" TENANTS "\n"
	    "end\n"
	    "complete -c copyhold -f\n");
	for (size_t i = 0; i < c->n; i++) {
		const Command *cmd = c->commands[i];

		if (is_first(c, i))
			fish_line(c, "__fish_use_subcommand", noun_of(c, cmd),
			    verb_of(c, cmd) ? NULL : cmd->summary);
		if (cmd->hidden)
			continue;
		for (int n = 2; n <= 3; n++)
			if (is_first_of(c, i, n))
				fish_line(c, fish_wants_verb(c, cmd, n), word_of(c, cmd, n - 1),
				    word_of(c, cmd, n) ? NULL : cmd->summary);
		if (takes_files(cmd))
			fish_line(c, fish_when(c, cmd), NULL, NULL);
		if (takes_tenant(cmd))
			fish_line(c, fish_when(c, cmd), "'(__copyhold_tenants)'", NULL);
		for (const Option *o = cmd->options; o && o->type != OPT_END; o++)
			fish_option(c, fish_when(c, cmd), o);
	}
	fish_option(c, NULL, &help_option);
	for (const Option *o = c->globals; o && o->type != OPT_END; o++)
		fish_option(c, NULL, o);
}

void
opt_complete(
    Buf *b, const char *shell, const Command *const *commands, size_t n, const Option *globals)
{
	Complete c = { .b = b, .commands = commands, .n = n, .globals = globals };

	if (strcmp(shell, "bash") == 0)
		complete_bash(&c);
	else if (strcmp(shell, "zsh") == 0)
		complete_zsh(&c);
	else if (strcmp(shell, "fish") == 0)
		complete_fish(&c);
}

#include <string.h>

#include "lib/base/file.h"
#include "lib/base/opt.h"
#include "lib/base/proc.h"
#include "lib/base/vec.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

static const char *text;

static const Option globals[] = {
	{ OPT_TEXT, "home", 0, "DIR", &text, "the home", NULL, false },
	{ OPT_CHOICE, "output", 'o', "FORM", &text, "form", "text|json|jsonl", false },
	{ .type = OPT_END },
};
static const Option load_options[] = {
	{ OPT_TEXT, "from", 'f', "DSN", &text, "where the vendor's rows are", NULL, true },
	{ OPT_TEXT, "keys", 0, "FILE", &text, "the keys", NULL, false },
	{ OPT_FLAG, "dry-run", 'n', NULL, NULL, "only count", NULL, false },
	{ .type = OPT_END },
};

static const Command doctor = { .name = "doctor", .summary = "look for what's wrong" };
static const Command load = { .name = "data load",
	.summary = "put rows into a tenant",
	.args = { { "TENANT", &text, "whose", false } },
	.options = load_options };
static const Command compare = { .name = "data compare", .summary = "compare rows" };
static const Command backup = { .name = "home backup",
	.summary = "write a copy",
	.args = { { "FILE", &text, "the copy", false } } };
static const Command door = { .name = "dump", .summary = "internal", .hidden = true };
static const Command *const commands[] = { &doctor, &load, &compare, &backup, &door };

static const Command link_add = {
	.name = "data link add", .summary = "add a link", .options = load_options
};
static const Command link_list = { .name = "data link list", .summary = "list links" };
static const Command *const deep[] = { &doctor, &load, &link_add, &link_list, &backup };

static Ctx cx;
static char *dir;

static int
setup(void **state)
{
	(void)state;
	cx = ctx_new(NULL);
	return temp_dir(&cx, &dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(cx.mem);
	return 0;
}

static const char *
script_of(const char *shell, const Command *const *of, size_t n)
{
	Buf b = buf_new(cx.mem);

	opt_complete(&b, shell, of, n, globals);
	return b.text;
}

static const char *
script_for(const char *shell)
{
	return script_of(shell, commands, LENGTH(commands));
}

/* What bash offers when Tab is struck after the last of `words`. */
static const char *
offered_by(const char *made, const char *words)
{
	const char *script = arena_printf(cx.mem,
	    "%s\ncd '%s'; COMP_WORDS=(copyhold %s); "
	    "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _copyhold; echo \"${COMPREPLY[*]}\"",
	    made, dir, words);
	const char *const argv[] = { "bash", "--norc", "-c", script, NULL };
	ProcResult r;

	assert_true(proc_run(&cx, &(ProcSpec){ .argv = argv }, &r));
	assert_string_equal(r.err, "");
	assert_int_equal(r.exit_code, 0);
	return r.out;
}

static const char *
offered(const char *words)
{
	return offered_by(script_for("bash"), words);
}

static void
bash_completes_the_words_of_a_noun_that_has_a_part(void **state)
{
	const char *made = script_of("bash", deep, LENGTH(deep));

	(void)state;
	assert_string_equal(offered_by(made, "data ''"), "load link\n");
	assert_string_equal(offered_by(made, "data link ''"), "add list\n");
	assert_string_equal(offered_by(made, "data link l"), "list\n");
	assert_string_equal(offered_by(made, "data load ''"), "\n");
	assert_string_equal(offered_by(made, "data link add --"),
	    "--help --from --keys --dry-run --home --output\n");
	assert_string_equal(offered_by(made, "data link list -"), "--help --home --output\n");
	assert_string_equal(offered_by(made, "data link --"), "\n");
}

static void
zsh_and_fish_have_the_words_of_a_noun_that_has_a_part(void **state)
{
	const char *zsh = script_of("zsh", deep, LENGTH(deep));
	const char *fish = script_of("fish", deep, LENGTH(deep));

	(void)state;
	assert_non_null(strstr(zsh,
	    "\tesac\n"
	    "\t[[ $key != 'data link' ]] || key=\"$key $words[4]\"\n"));
	assert_non_null(strstr(zsh,
	    "\t(3:data) list=( 'load:put rows into a tenant' link: ); _describe verb list; return ;;\n"
	    "\t(4:data) if [[ $words[3] == link ]]; then list=( 'add:add a link' "
	    "'list:list links' ); _describe verb list; return; fi ;;\n"));
	assert_non_null(strstr(fish,
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and not "
	    "__fish_seen_subcommand_from load link' -a link\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and "
	    "__fish_seen_subcommand_from link; and not __fish_seen_subcommand_from add list' "
	    "-a add -d 'add a link'\n"));
}

static void
bash_completes_nouns_verbs_and_options(void **state)
{
	(void)state;
	assert_string_equal(offered("''"), "doctor data home\n");
	assert_string_equal(offered("d"), "doctor data\n");
	assert_string_equal(offered("data ''"), "load compare\n");
	assert_string_equal(offered("data c"), "compare\n");
	assert_string_equal(
	    offered("data load --"), "--help --from --keys --dry-run --home --output\n");
	assert_string_equal(offered("data load acme --d"), "--dry-run\n");
	assert_string_equal(offered("doctor -"), "--help --home --output\n");
	assert_string_equal(offered("data load ''"), "\n");
	assert_string_equal(offered("nothing ''"), "\n");
	assert_string_equal(offered("dump --"), "\n");
}

static void
bash_completes_values(void **state)
{
	(void)state;
	assert_true(file_write(&cx, arena_printf(cx.mem, "%s/kept keys", dir), 0600, "", 0));
	assert_true(file_make_dirs(&cx, arena_printf(cx.mem, "%s/kept", dir), 0700));
	assert_string_equal(offered("doctor --output ''"), "text json jsonl\n");
	assert_string_equal(offered("doctor -o j"), "json jsonl\n");
	assert_string_equal(offered("doctor --output = ''"), "text json jsonl\n");
	assert_string_equal(offered("doctor --output ="), "text json jsonl\n");
	assert_string_equal(offered("doctor --home k"), "kept\n");
	assert_string_equal(offered("data load acme --from ''"), "\n");
	assert_non_null(strstr(offered("data load acme --keys ke"), "kept keys"));
	assert_non_null(strstr(offered("home backup k"), "kept keys"));
}

static void
zsh_gets_words_with_descriptions(void **state)
{
	(void)state;
	assert_string_equal(script_for("zsh"),
	    "#compdef copyhold\n"
	    "# zsh completion for copyhold, made by: copyhold completion zsh\n"
	    "_copyhold_tenants() {\n"
	    "\t"
	    "copyhold tenant list -o jsonl 2>/dev/null | "
	    "sed -n \"s/^{\\\"name\\\":\\\"\\([a-z0-9-]*\\)\\\".*/\\1/p\"\n"
	    "}\n"
	    "_copyhold() {\n"
	    "\tlocal key=$words[2] prev=$words[CURRENT-1] files='' tenant=''\n"
	    "\tlocal -a list\n"
	    "\tcase $key in\n"
	    "\t(data|home) key=\"$key $words[3]\" ;;\n"
	    "\tesac\n"
	    "\tif (( CURRENT == 2 )); then\n"
	    "\t\tlist=( 'doctor:look for what'\\''s wrong' data: home: )\n"
	    "\t\t_describe command list\n"
	    "\t\treturn\n"
	    "\tfi\n"
	    "\tcase $CURRENT:$words[2] in\n"
	    "\t(3:data) list=( 'load:put rows into a tenant' 'compare:compare rows' ); "
	    "_describe verb list; return ;;\n"
	    "\t(3:home) list=( 'backup:write a copy' ); _describe verb list; return ;;\n"
	    "\tesac\n"
	    "\tcase $key:$prev in\n"
	    "\t('data load':--from|'data load':-f) return ;;\n"
	    "\t('data load':--keys) _files; return ;;\n"
	    "\t(*:--home) _files -/; return ;;\n"
	    "\t(*:--output|*:-o) compadd text json jsonl; return ;;\n"
	    "\tesac\n"
	    "\tcase $key in\n"
	    "\t(doctor) list=( ) ;;\n"
	    "\t('data load') list=( '--from:where the vendor'\\''s rows are' "
	    "'--keys:the keys' '--dry-run:only count' ); tenant=1 ;;\n"
	    "\t('data compare') list=( ) ;;\n"
	    "\t('home backup') list=( ); files=1 ;;\n"
	    "\t(*) return ;;\n"
	    "\tesac\n"
	    "\tlist+=( '--help:show the help' '--home:the home' --output:form )\n"
	    "\tif [[ $PREFIX == -* ]]; then\n"
	    "\t\t_describe -o option list\n"
	    "\telif [[ -n $files ]]; then\n"
	    "\t\t_files\n"
	    "\telif [[ -n $tenant ]] && (( CURRENT == 4 )); then\n"
	    "\t\tcompadd $(_copyhold_tenants)\n"
	    "\tfi\n"
	    "}\n"
	    "if [[ $funcstack[1] == _copyhold ]]; then\n"
	    "\t_copyhold \"$@\"\n"
	    "else\n"
	    "\tcompdef _copyhold copyhold\n"
	    "fi\n");
}

static void
fish_gets_one_line_a_word(void **state)
{
	(void)state;
	assert_string_equal(script_for("fish"),
	    "# fish completion for copyhold, made by: copyhold completion fish\n"
	    "function __copyhold_tenants\n"
	    "\t"
	    "copyhold tenant list -o jsonl 2>/dev/null | "
	    "sed -n \"s/^{\\\"name\\\":\\\"\\([a-z0-9-]*\\)\\\".*/\\1/p\"\n"
	    "end\n"
	    "complete -c copyhold -f\n"
	    "complete -c copyhold -n '__fish_use_subcommand' -a doctor "
	    "-d 'look for what\\'s wrong'\n"
	    "complete -c copyhold -n '__fish_use_subcommand' -a data\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and not "
	    "__fish_seen_subcommand_from load compare' -a load -d 'put rows into a tenant'\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and "
	    "__fish_seen_subcommand_from load' -a '(__copyhold_tenants)'\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and "
	    "__fish_seen_subcommand_from load' -l from -s f -x "
	    "-d 'where the vendor\\'s rows are'\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and "
	    "__fish_seen_subcommand_from load' -l keys -r -F -d 'the keys'\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and "
	    "__fish_seen_subcommand_from load' -l dry-run -s n -d 'only count'\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from data; and not "
	    "__fish_seen_subcommand_from load compare' -a compare -d 'compare rows'\n"
	    "complete -c copyhold -n '__fish_use_subcommand' -a home\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from home; and not "
	    "__fish_seen_subcommand_from backup' -a backup -d 'write a copy'\n"
	    "complete -c copyhold -n '__fish_seen_subcommand_from home; and "
	    "__fish_seen_subcommand_from backup' -F\n"
	    "complete -c copyhold -l help -s h -d 'show the help'\n"
	    "complete -c copyhold -l home -x -a '(__fish_complete_directories)' -d 'the home'\n"
	    "complete -c copyhold -l output -s o -x -a 'text json jsonl' -d 'form'\n");
}

static void
an_unknown_shell_gets_nothing(void **state)
{
	(void)state;
	assert_string_equal(script_for("csh"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bash_completes_nouns_verbs_and_options),
		cmocka_unit_test(bash_completes_the_words_of_a_noun_that_has_a_part),
		cmocka_unit_test(zsh_and_fish_have_the_words_of_a_noun_that_has_a_part),
		cmocka_unit_test(bash_completes_values),
		cmocka_unit_test(zsh_gets_words_with_descriptions),
		cmocka_unit_test(fish_gets_one_line_a_word),
		cmocka_unit_test(an_unknown_shell_gets_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

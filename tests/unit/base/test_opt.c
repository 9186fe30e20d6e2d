#include <stdlib.h>
#include <string.h>

#include "lib/base/opt.h"
#include "lib/base/vec.h"
#include "tests/unit/unit.h"

static struct {
	bool yes;
	const char *output, *home, *from, *tenant, *file;
	int64_t jobs, wait;
	OptList set;
} got;

static const Option globals[] = {
	{ OPT_TEXT, "home", 0, "DIR", &got.home, "the home", NULL, false },
	{ OPT_CHOICE, "output", 'o', "FORM", &got.output, "form of results", "text|json|jsonl",
	    false },
	{ OPT_FLAG, "yes", 'y', NULL, &got.yes, "answer every question with yes", NULL, false },
	{ .type = OPT_END },
};
static const Option load_options[] = {
	{ OPT_TEXT, "from", 'f', "DSN", &got.from, "where the rows are", NULL, true },
	{ OPT_INT, "jobs", 'j', "N", &got.jobs, "tenants at the same time", NULL, false },
	{ OPT_SPAN, "wait", 0, "SPAN", &got.wait,
	    "how long to wait for a lock that another "
	    "session holds before giving up",
	    NULL, false },
	{ OPT_LIST, "set", 0, "KEY=VALUE", &got.set, "one setting", NULL, false },
	{ .type = OPT_END },
};
static const Option backup_options[] = {
	{ OPT_TEXT, "keys-out-of-the-ordinary", 0, "FILE", &got.from, "the keys", NULL, false },
	{ .type = OPT_END },
};

static ExitCode
run_nothing(void *app)
{
	(void)app;
	return EXIT_DONE;
}

static const Command load = { "data load", "put rows into a tenant",
	"Rows are copied.\n\n"
	"  copyhold data load acme --from service=old\n",
	ACCESS_WRITES, { { "TENANT", &got.tenant, "whose rows", false } }, load_options,
	run_nothing, false };
static const Command compare = { "data compare", "compare rows", NULL, ACCESS_READS,
	{ { "TENANT", &got.tenant, "whose rows", true } }, NULL, run_nothing, false };
static const Command backup = { "home backup", "write a copy", NULL, ACCESS_READS,
	{ { "FILE", &got.file, "the copy", false } }, backup_options, run_nothing, false };
static const Command doctor = { "doctor", "look for what is wrong", NULL, ACCESS_READS,
	{ { NULL, NULL, NULL, false } }, NULL, run_nothing, false };
static const Command secret_door = { "dump", "internal", NULL, ACCESS_READS,
	{ { NULL, NULL, NULL, false } }, NULL, run_nothing, true };
static const Command *const commands[] = { &doctor, &load, &compare, &backup, &secret_door };

static Ctx cx;
static const Command *found;

static int
setup(void **state)
{
	(void)state;
	cx = ctx_new(NULL);
	memset(&got, 0, sizeof got);
	found = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(cx.mem);
	return 0;
}

static const Command link_add = { "data link add", "add a link", NULL, ACCESS_WRITES,
	{ { "TENANT", &got.tenant, "whose", false } }, load_options, run_nothing, false };
static const Command link_list = { "data link list", "list links", NULL, ACCESS_READS,
	{ { NULL, NULL, NULL, false } }, NULL, run_nothing, false };
static const Command *const deep[] = { &doctor, &load, &link_add, &link_list };

static bool
parse_of(const Command *const *of, size_t n, const char *line)
{
	VEC(char *) argv = { 0 };
	char *rest = arena_printf(cx.mem, "copyhold %s", line);

	for (char *word; (word = strsep(&rest, " "));)
		if (*word)
			vec_push(cx.mem, &argv, word);
	vec_push(cx.mem, &argv, NULL);
	return opt_parse(&cx, of, n, globals, (int)argv.n - 1, argv.at, &found);
}

static bool
parse(const char *line)
{
	return parse_of(commands, LENGTH(commands), line);
}

static void
a_noun_may_have_a_part_with_verbs_of_its_own(void **state)
{
	static const struct {
		const char *line, *what, *hint;
	} wrong[] = {
		{ "data link", "\"data link\" needs a verb",
		    "Its verbs: add, list. Try: copyhold data link --help" },
		{ "data link lst", "unknown command \"data link lst\"",
		    "Did you mean \"data link list\"? Its verbs: add, list." },
		{ "data lnk", "unknown command \"data lnk\"",
		    "Did you mean \"data link\"? Its verbs: load, link." },
		{ "data lin", "unknown command \"data lin\"",
		    "Did you mean \"data link\"? Its verbs: load, link." },
		{ "data", "\"data\" needs a verb",
		    "Its verbs: load, link. Try: copyhold data --help" },
		{ "data link add", "argument \"TENANT\" is missing",
		    "Usage: copyhold data link add TENANT --from DSN [OPTIONS]" },
		{ "data link list add", "unexpected argument \"add\"",
		    "Usage: copyhold data link list [OPTIONS]" },
	};
	Buf b = buf_new(cx.mem);

	(void)state;
	assert_true(parse_of(deep, LENGTH(deep), "data link add acme --from x"));
	assert_ptr_equal(found, &link_add);
	assert_string_equal(got.tenant, "acme");
	assert_true(parse_of(deep, LENGTH(deep), "data link list -y"));
	assert_ptr_equal(found, &link_list);
	for (size_t i = 0; i < LENGTH(wrong); i++) {
		assert_false(parse_of(deep, LENGTH(deep), wrong[i].line));
		assert_string_equal(cx.fail->what, wrong[i].what);
		assert_string_equal(cx.fail->hint, wrong[i].hint);
		fail_clear(&cx);
	}
	assert_true(parse_of(deep, LENGTH(deep), "data link --help"));
	assert_true(opt_wants_help());
	opt_usage(&b, deep, LENGTH(deep));
	assert_string_equal(b.text,
	    "usage: copyhold data link VERB [ARG...] [OPTIONS]\n"
	    "\n"
	    "  data link add           add a link\n"
	    "  data link list          list links\n");
}

static void
options_stand_anywhere_after_the_verb(void **state)
{
	(void)state;
	assert_true(parse("data load --from=db1 acme -y --jobs 4 --wait 5s -o json "
			  "--set a=1 --set=b=2"));
	assert_ptr_equal(found, &load);
	assert_string_equal(got.from, "db1");
	assert_string_equal(got.tenant, "acme");
	assert_true(got.yes);
	assert_int_equal(got.jobs, 4);
	assert_int_equal(got.wait, 5000);
	assert_string_equal(got.output, "json");
	assert_int_equal(got.set.n, 2);
	assert_string_equal(got.set.at[0], "a=1");
	assert_string_equal(got.set.at[1], "b=2");
	assert_false(opt_wants_help());
}

static void
short_forms_stick_together(void **state)
{
	(void)state;
	assert_true(parse("data load acme -yojsonl -fdb"));
	assert_true(got.yes);
	assert_string_equal(got.output, "jsonl");
	assert_string_equal(got.from, "db");
}

static void
general_options_may_come_first(void **state)
{
	(void)state;
	assert_true(parse("--home /h -y doctor"));
	assert_ptr_equal(found, &doctor);
	assert_string_equal(got.home, "/h");
	assert_true(got.yes);
}

static void
two_dashes_end_the_options(void **state)
{
	(void)state;
	assert_true(parse("data compare -- --odd"));
	assert_string_equal(got.tenant, "--odd");
	assert_true(parse("data load - --from -1"));
	assert_string_equal(got.tenant, "-");
	assert_string_equal(got.from, "-1");
}

static void
what_may_lack_may_lack(void **state)
{
	(void)state;
	assert_true(parse("data compare"));
	assert_null(got.tenant);
	assert_true(parse("dump"));
	assert_ptr_equal(found, &secret_door);
}

static void
help_needs_nothing_else(void **state)
{
	(void)state;
	assert_true(parse("data load --help"));
	assert_ptr_equal(found, &load);
	assert_true(opt_wants_help());
	assert_true(parse("data load acme -yh"));
	assert_true(opt_wants_help());
	assert_true(parse("--help"));
	assert_null(found);
	assert_true(opt_wants_help());
	assert_true(parse("doctor"));
	assert_false(opt_wants_help());
}

static const struct {
	const char *line, *text;
} mistakes[] = {
	{ "", "a command is missing\n  hint:  Try: copyhold help\n" },
	{ "dota load",
	    "unknown command \"dota\"\n"
	    "  hint:  Did you mean \"data\"? Try: copyhold help\n" },
	{ "xyzzy", "unknown command \"xyzzy\"\n  hint:  Try: copyhold help\n" },
	{ "dum", "unknown command \"dum\"\n  hint:  Try: copyhold help\n" },
	{ "data",
	    "\"data\" needs a verb\n"
	    "  hint:  Its verbs: load, compare. Try: copyhold data --help\n" },
	{ "data -y",
	    "\"data\" needs a verb\n"
	    "  hint:  Its verbs: load, compare. Try: copyhold data --help\n" },
	{ "data laod",
	    "unknown command \"data laod\"\n"
	    "  hint:  Did you mean \"data load\"? Its verbs: load, compare.\n" },
	{ "data zzzzz",
	    "unknown command \"data zzzzz\"\n"
	    "  hint:  Its verbs: load, compare.\n" },
	{ "data load acme --form x",
	    "unknown option \"--form\"\n"
	    "  hint:  Did you mean --from? Try: copyhold data load --help\n" },
	{ "doctor --frobnicate=1",
	    "unknown option \"--frobnicate\"\n"
	    "  hint:  Try: copyhold doctor --help\n" },
	{ "doctor -x", "unknown option \"-x\"\n  hint:  Try: copyhold doctor --help\n" },
	{ "--hom /h doctor",
	    "unknown option \"--hom\"\n"
	    "  hint:  Did you mean --home? Try: copyhold help\n" },
	{ "doctor --help=1", "option \"--help\" takes no value\n  hint:  Write: --help\n" },
	{ "data load acme",
	    "option \"--from\" is missing\n"
	    "  hint:  Usage: copyhold data load TENANT --from DSN [OPTIONS]\n" },
	{ "data load --from x",
	    "argument \"TENANT\" is missing\n"
	    "  hint:  Usage: copyhold data load TENANT --from DSN [OPTIONS]\n" },
	{ "data compare a b",
	    "unexpected argument \"b\"\n"
	    "  hint:  Usage: copyhold data compare [TENANT] [OPTIONS]\n" },
	{ "doctor now",
	    "unexpected argument \"now\"\n"
	    "  hint:  Usage: copyhold doctor [OPTIONS]\n" },
	{ "doctor --home", "option \"--home\" needs a value\n  hint:  Write: --home=DIR\n" },
	{ "doctor --home --yes",
	    "option \"--home\" needs a value\n"
	    "  hint:  Write: --home=DIR\n" },
	{ "doctor --yes=1", "option \"--yes\" takes no value\n  hint:  Write: --yes\n" },
	{ "doctor -o jason",
	    "option \"--output\" cannot be \"jason\"\n"
	    "  hint:  Did you mean json? It is one of: text, json, jsonl.\n" },
	{ "doctor --output=",
	    "option \"--output\" cannot be \"\"\n"
	    "  hint:  It is one of: text, json, jsonl.\n" },
	{ "data load a -f x --jobs many",
	    "option \"--jobs\" wants a whole number, not \"many\"\n"
	    "  hint:  Try: copyhold data load --help\n" },
	{ "data load a -f x -j 4x",
	    "option \"--jobs\" wants a whole number, not \"4x\"\n"
	    "  hint:  Try: copyhold data load --help\n" },
	{ "data load a -f x --jobs=9223372036854775808",
	    "option \"--jobs\" wants a whole number, not \"9223372036854775808\"\n"
	    "  hint:  Try: copyhold data load --help\n" },
	{ "data load a -f x --wait 5",
	    "option \"--wait\" wants a span of time, not \"5\"\n"
	    "  hint:  Write a number and its unit: 250ms, 5s, 10m, 2h or 30d.\n" },
};

static void
every_mistake_has_its_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(mistakes); i++) {
		found = NULL;
		assert_false(parse(mistakes[i].line));
		assert_null(found);
		assert_string_equal(fail_text(cx.mem, cx.fail),
		    arena_printf(cx.mem, "error[usage]: %s", mistakes[i].text));
		fail_clear(&cx);
	}
}

static void
a_list_has_an_end(void **state)
{
	Buf line = buf_new(cx.mem);

	(void)state;
	buf_add(&line, "data load a -f x");
	for (int i = 0; i < 64; i++)
		buf_fmt(&line, " --set %d", i);
	assert_true(parse(line.text));
	assert_int_equal(got.set.n, 64);
	assert_string_equal(got.set.at[63], "63");
	assert_false(parse("data load a -f x --set 64"));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    "error[usage]: option \"--set\" is given "
	    "more than 64 times\n  hint:  Use several commands.\n");
}

static void
spans_need_a_unit(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t ms;
	} cases[] = {
		{ "250ms", true, 250 },
		{ "5s", true, 5000 },
		{ "10m", true, 600000 },
		{ "2h", true, 7200000 },
		{ "30d", true, 2592000000 },
		{ "0s", true, 0 },
		{ "", false, 0 },
		{ "5", false, 0 },
		{ "s", false, 0 },
		{ "-5s", false, 0 },
		{ "5 s", false, 0 },
		{ "5S", false, 0 },
		{ "5s ", false, 0 },
		{ "1.5s", false, 0 },
		{ "9223372036854775807ms", true, INT64_MAX },
		{ "9223372036854775807s", false, 0 },
		{ "9223372036854775808ms", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t ms = 0;

		assert_int_equal(span_parse(cases[i].text, &ms), cases[i].ok);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void
help_shows_all_within_eighty_columns(void **state)
{
	Buf b = buf_new(cx.mem);

	(void)state;
	opt_help(&b, &load, globals);
	assert_string_equal(b.text,
	    "usage: copyhold data load TENANT --from DSN [OPTIONS]\n"
	    "\n"
	    "put rows into a tenant\n"
	    "\n"
	    "Rows are copied.\n"
	    "\n"
	    "  copyhold data load acme --from service=old\n"
	    "\n"
	    "arguments:\n"
	    "  TENANT                  whose rows\n"
	    "\n"
	    "options:\n"
	    "  -f, --from DSN          where the rows are (required)\n"
	    "  -j, --jobs N            tenants at the same time\n"
	    "      --wait SPAN         how long to wait for a lock that another session\n"
	    "                          holds before giving up\n"
	    "      --set KEY=VALUE     one setting (may be repeated)\n"
	    "\n"
	    "general options:\n"
	    "      --home DIR          the home\n"
	    "  -o, --output FORM       form of results (text, json, jsonl)\n"
	    "  -y, --yes               answer every question with yes\n");
	buf_clear(&b);
	opt_help(&b, &backup, NULL);
	assert_string_equal(b.text,
	    "usage: copyhold home backup FILE [OPTIONS]\n"
	    "\n"
	    "write a copy\n"
	    "\n"
	    "arguments:\n"
	    "  FILE                    the copy\n"
	    "\n"
	    "options:\n"
	    "      --keys-out-of-the-ordinary FILE\n"
	    "                          the keys\n");
}

static void
usage_groups_the_commands_by_noun(void **state)
{
	Buf b = buf_new(cx.mem);

	(void)state;
	assert_true(parse("--help"));
	opt_usage(&b, commands, LENGTH(commands));
	assert_string_equal(b.text,
	    "usage: copyhold NOUN VERB [ARG...] [OPTIONS]\n"
	    "\n"
	    "  doctor                  look for what is wrong\n"
	    "\n"
	    "  data load               put rows into a tenant\n"
	    "  data compare            compare rows\n"
	    "\n"
	    "  home backup             write a copy\n"
	    "\n"
	    "`copyhold help COMMAND` tells more about one of them.\n");
}

static void
usage_of_a_noun_lists_its_verbs(void **state)
{
	Buf b = buf_new(cx.mem);

	(void)state;
	assert_true(parse("data --help"));
	assert_null(found);
	assert_true(opt_wants_help());
	opt_usage(&b, commands, LENGTH(commands));
	assert_string_equal(b.text,
	    "usage: copyhold data VERB [ARG...] [OPTIONS]\n"
	    "\n"
	    "  data load               put rows into a tenant\n"
	    "  data compare            compare rows\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_stand_anywhere_after_the_verb),
		TEST(a_noun_may_have_a_part_with_verbs_of_its_own),
		TEST(short_forms_stick_together),
		TEST(general_options_may_come_first),
		TEST(two_dashes_end_the_options),
		TEST(what_may_lack_may_lack),
		TEST(help_needs_nothing_else),
		TEST(every_mistake_has_its_message),
		TEST(a_list_has_an_end),
		TEST(spans_need_a_unit),
		TEST(help_shows_all_within_eighty_columns),
		TEST(usage_groups_the_commands_by_noun),
		TEST(usage_of_a_noun_lists_its_verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Bundles: what is packed of folders and commits, and what is refused. */
#include <string.h>

#include "deployer/bundle.h"
#include "lib/base/file.h"
#include "lib/base/proc.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

typedef struct Room {
	Ctx cx;
	Home home;
	char *dir;
} Room;

static int
setup(void **state)
{
	Ctx cx = ctx_new(NULL);
	Room *r = arena_alloc(cx.mem, sizeof *r);

	r->cx = cx;
	*state = r;
	if (!temp_dir(&r->cx, &r->dir))
		return -1;
	r->home = (Home){ .dir = r->dir, .access = ACCESS_WRITES };
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Room *)*state)->cx.mem);
	return 0;
}

/* A script in the test's folder; what it says. */
static const char *
shell(Room *r, const char *script)
{
	const char *argv[] = { "sh", "-euc",
		arena_printf(r->cx.mem, "repo=$PWD; cd '%s'; %s", r->dir, script), NULL };
	const char *env[] = { "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_GLOBAL=/dev/null", NULL };
	ProcResult out;

	assert_true(proc_run(&r->cx, &(ProcSpec){ .argv = argv, .env_add = env }, &out));
	if (out.exit_code != 0)
		print_error("%s\n", out.err);
	assert_int_equal(out.exit_code, 0);
	size_t n = strlen(out.out);
	if (n && out.out[n - 1] == '\n')
		out.out[n - 1] = '\0';
	return out.out;
}

static const char *
at(Room *r, const char *name)
{
	return arena_printf(r->cx.mem, "%s/%s", r->dir, name);
}

static Bundle
of_folder(Room *r, const char *name)
{
	return (Bundle){ .name = "shop", .version = "1.0", .source = { .folder = at(r, name) } };
}

static Bundle
of_commit(Room *r, const char *commit, const char *path)
{
	return (Bundle){ .name = "shop",
		.version = "1.0",
		.source = { .git = at(r, "git"), .commit = commit, .path = path } };
}

static Artefact
packed(Room *r, Bundle b)
{
	Artefact a = { 0 };

	if (!bundle_pack(&r->cx, &r->home, &b, &a))
		print_error("%s\n", fail_text(r->cx.mem, r->cx.fail));
	assert_int_equal(r->cx.fail->kind, FAIL_NONE);
	assert_int_equal(strlen(a.digest), 64);
	return a;
}

static void
refused(Room *r, Bundle b, const char *text)
{
	Artefact a;

	assert_false(bundle_pack(&r->cx, &r->home, &b, &a));
	char *got = fail_text(r->cx.mem, r->cx.fail);
	for (char *place = strstr(got, r->dir); place; place = strstr(got, r->dir))
		memmove(place, place + strlen(r->dir), strlen(place + strlen(r->dir)) + 1);
	assert_string_equal(got, text);
	fail_clear(&r->cx);
}

#define SAMPLE \
	"mkdir -p app/bin app/lib; echo one >app/bin/web; chmod 755 app/bin/web; " \
	"echo two >'app/lib/a file'; echo three >app/.env; ln -s ../lib app/bin/lib; "

static const char *
commit_sample(Room *r)
{
	return shell(r,
	    SAMPLE "git init -q git; cp -RP app git/app; git -C git add -A; "
		   "git -C git commit -qm first; git -C git rev-parse HEAD");
}

static void
a_folder_and_a_commit_with_the_same_files_are_the_same_artefact(void **state)
{
	Room *r = *state;
	const char *commit = commit_sample(r);
	Artefact a = packed(r, of_folder(r, "app"));
	shell(r,
	    "mv bundles/*.tar.gz first.tar.gz; touch -d 2001-01-01 app/bin/web; chmod g+w app/.env");
	Artefact b = packed(r, of_folder(r, "app"));
	shell(r, "cmp bundles/*.tar.gz first.tar.gz; rm bundles/*");
	Artefact c = packed(r, of_commit(r, commit, "app"));
	shell(r, "cmp bundles/*.tar.gz first.tar.gz");

	assert_string_equal(a.digest, b.digest);
	assert_string_equal(a.digest, c.digest);
	assert_int_equal(a.files, 4);
	assert_int_equal(a.bytes, 14);
	assert_int_equal(c.files, 4);
	assert_string_equal(a.source, at(r, "app"));
	assert_string_equal(
	    c.source, arena_printf(r->cx.mem, "%s at %.12s, folder app", at(r, "git"), commit));
}

static void
a_host_works_out_the_same_digest_from_what_it_has_unpacked(void **state)
{
	Room *r = *state;
	shell(r, SAMPLE);
	Artefact a = packed(r, of_folder(r, "app"));
	const char *there = shell(r,
	    "mkdir out; tar -xzf bundles/*.tar.gz -C out; duty_verbs_tenant=; "
	    ". \"$repo/deployer/helper/service.sh\"; LC_ALL=C; export LC_ALL; tree_digest out");

	assert_string_equal(there, a.digest);
	assert_string_equal(shell(r, "tar -tvzf bundles/*.tar.gz --full-time | sed 's/  */ /g'"),
	    "-rw-r--r-- 0/0 6 1970-01-01 00:00:00 .env\n"
	    "lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 bin/lib -> ../lib\n"
	    "-rwxr-xr-x 0/0 4 1970-01-01 00:00:00 bin/web\n"
	    "-rw-r--r-- 0/0 4 1970-01-01 00:00:00 lib/a file");
	assert_string_equal(shell(r, "stat -c %a bundles bundles/*"), "700\n600");
}

static void
bytes_names_and_rights_are_in_the_digest(void **state)
{
	Room *r = *state;
	static const char *const changes[] = { "echo four >app/.env", "mv app/.env app/env",
		"chmod 644 app/bin/web", "ln -sfn web app/bin/lib", "echo more >app/more" };
	shell(r, SAMPLE);
	const char *last = packed(r, of_folder(r, "app")).digest;

	for (size_t i = 0; i < LENGTH(changes); i++) {
		shell(r, changes[i]);
		const char *now = packed(r, of_folder(r, "app")).digest;
		assert_string_not_equal(now, last);
		last = now;
	}
}

static void
a_home_opened_for_reading_is_left_alone(void **state)
{
	Room *r = *state;
	shell(r, SAMPLE);
	r->home.access = ACCESS_READS;
	Artefact a = packed(r, of_folder(r, "app"));

	assert_false(file_exists(at(r, "bundles")));
	r->home.access = ACCESS_WRITES;
	assert_string_equal(packed(r, of_folder(r, "app")).digest, a.digest);
	assert_true(file_exists(bundle_archive(r->cx.mem, &r->home, a.digest)));
}

static void
links_that_lead_out_are_refused(void **state)
{
	Room *r = *state;
	static const char *const targets[] = { "/etc/passwd", "../../x", "lib/../../../x", "..",
		"a/../../.." };

	for (size_t i = 0; i < LENGTH(targets); i++) {
		shell(r,
		    arena_printf(r->cx.mem, "rm -rf app; mkdir -p app/bin; ln -s '%s' app/bin/out",
			targets[i]));
		if (strcmp(targets[i], "..") == 0)
			continue; /* to the bundle's own folder */
		refused(r, of_folder(r, "app"),
		    "error[refused]: the link \"bin/out\" in bundle \"shop\" leads out of it\n"
		    "  while: packing bundle \"shop\" 1.0\n"
		    "  hint:  Make it relative, to a file of the bundle.\n");
	}
	shell(r, "rm -rf app; mkdir app; ln -s .. app/out");
	refused(r, of_folder(r, "app"),
	    "error[refused]: the link \"out\" in bundle \"shop\" leads out of it\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Make it relative, to a file of the bundle.\n");
}

static void
names_that_tools_read_otherwise_are_refused(void **state)
{
	Room *r = *state;

	shell(r, "mkdir app; echo x >'app/a\\b'");
	refused(r, of_folder(r, "app"),
	    "error[refused]: \"a\\b\" in bundle \"shop\" has a backslash, a control character or no "
	    "UTF-8 in its name\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Rename it.\n");
	shell(r, "rm app/*; printf x >\"$(printf 'app/a\\001b')\"");
	refused(r, of_folder(r, "app"),
	    "error[refused]: \"a?b\" in bundle \"shop\" has a backslash, a control character or no "
	    "UTF-8 in its name\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Rename it.\n");
}

static void
what_is_no_file_and_what_is_too_large_are_refused(void **state)
{
	Room *r = *state;

	shell(r, "mkdir app; mkfifo app/pipe");
	refused(r, of_folder(r, "app"),
	    "error[refused]: \"/app/pipe\" is neither a file nor a folder nor a link\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Move it away.\n");
	shell(r, "rm app/pipe; truncate -s 65M app/dump");
	refused(r, of_folder(r, "app"),
	    "error[limit]: \"/app/dump\" is larger than 67108864 bytes\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Keep it out of the bundle.\n");
	shell(r, "rm app/dump");
	refused(r, of_folder(r, "app"),
	    "error[refused]: there is no file in bundle \"shop\"\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Does its source name the right folder?\n");
	refused(r, of_folder(r, "nowhere"),
	    "error[system]: cannot open the folder \"/nowhere\" (ENOENT)\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Does it exist, and may you read it?\n");
}

static void
a_path_that_no_archive_holds_is_refused(void **state)
{
	Room *r = *state;
	shell(r, "n=$(printf '%0200d' 0); mkdir -p \"app/$n/$n\"; echo x >\"app/$n/$n/x\"");
	Bundle b = of_folder(r, "app");
	Artefact a;

	assert_false(bundle_pack(&r->cx, &r->home, &b, &a));
	assert_int_equal(r->cx.fail->kind, FAIL_LIMIT);
	assert_string_equal(r->cx.fail->hint, "Shorten its path.");
	assert_string_equal(shell(r, "ls -A bundles"), "");
}

static void
what_a_commit_lacks_is_told(void **state)
{
	Room *r = *state;
	const char *commit = commit_sample(r), *none = "1234567890123456789012345678901234567890";

	refused(r, of_commit(r, none, NULL),
	    "error[not-found]: there is no commit 1234567890123456789012345678901234567890 in \"/git\"\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Fetch it first: git -C /git fetch.\n");
	refused(r, of_commit(r, commit, "app/nothing"),
	    "error[not-found]: the commit has no folder \"app/nothing\"\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  See: git ls-tree -d -r COMMIT.\n");
	refused(r, of_commit(r, commit, "app/bin/web"),
	    "error[not-found]: the commit has no folder \"app/bin/web\"\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  See: git ls-tree -d -r COMMIT.\n");
	shell(r, "rm -rf git; mkdir git");
	refused(r, of_commit(r, commit, NULL),
	    "error[not-found]: \"/git\" is no git repository that can be read (could not find "
	    "repository from '/git')\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Name the folder of a clone, or a bare repository.\n");
}

static void
a_commit_is_read_and_not_the_working_tree(void **state)
{
	Room *r = *state;
	const char *commit = commit_sample(r);
	const char *first = packed(r, of_commit(r, commit, "app")).digest;

	shell(r, "echo changed >git/app/bin/web; git -C git add -A; echo x >git/app/new");
	assert_string_equal(packed(r, of_commit(r, commit, "app")).digest, first);
	shell(r, "git clone -q --bare git bare; rm -rf git; mv bare git");
	assert_string_equal(packed(r, of_commit(r, commit, "app")).digest, first);
}

static void
hostile_commits_are_refused(void **state)
{
	Room *r = *state;
	const char *sub = shell(r,
	    "git init -q git; cd git; echo x >x; git add x; git commit -qm x; "
	    "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; "
	    "git commit -qm sub; git rev-parse HEAD");
	const char *why = arena_printf(r->cx.mem,
	    "error[refused]: \"sub\" is a submodule: its files are not in the commit\n"
	    "  while: reading commit %s of \"/git\"\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Bring its files into the repository, or leave it out.\n",
	    sub);
	refused(r, of_commit(r, sub, NULL), why);

	const char *deep = shell(r,
	    "cd git; b=$(git hash-object -w x); t=$(printf '100644 blob %s\\tx\\n' $b | git mktree); "
	    "i=0; while [ $i -lt 40 ]; do t=$(printf '040000 tree %s\\td\\n' $t | git mktree); "
	    "i=$((i + 1)); done; git commit-tree $t -m deep");
	why = arena_printf(r->cx.mem,
	    "error[limit]: folders in the commit are nested deeper than 32\n"
	    "  while: reading commit %s of \"/git\"\n"
	    "  while: packing bundle \"shop\" 1.0\n",
	    deep);
	refused(r, of_commit(r, deep, NULL), why);

	const char *link = shell(r,
	    "cd git; l=$(printf '../../etc/passwd' | git hash-object -w --stdin); "
	    "t=$(printf '120000 blob %s\\tout\\n' $l | git mktree); git commit-tree $t -m link");
	refused(r, of_commit(r, link, NULL),
	    "error[refused]: the link \"out\" in bundle \"shop\" leads out of it\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  Make it relative, to a file of the bundle.\n");
}

/* A tree in which a link and a folder have one name: files would be written through the link. */
static void
a_commit_with_a_name_twice_is_refused(void **state)
{
	Room *r = *state;
	const char *twice = shell(r,
	    "git init -q git; cd git; x=$(echo x | git hash-object -w --stdin); "
	    "l=$(printf lib | git hash-object -w --stdin); "
	    "t=$(printf '100644 blob %s\\tx\\n' $x | git mktree); "
	    "{ printf '120000 a\\0'; printf %s $l | sed 's/../\\\\x&/g' | xargs -0 printf; "
	    "printf '40000 a\\0'; printf %s $t | sed 's/../\\\\x&/g' | xargs -0 printf; } >../raw; "
	    "t=$(git hash-object -w -t tree --literally ../raw); git commit-tree $t -m twice");

	refused(r, of_commit(r, twice, NULL),
	    "error[input]: \"a/x\" stands in bundle \"shop\" in two ways\n"
	    "  while: packing bundle \"shop\" 1.0\n"
	    "  hint:  See: git fsck.\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		ROW(a_folder_and_a_commit_with_the_same_files_are_the_same_artefact),
		ROW(a_host_works_out_the_same_digest_from_what_it_has_unpacked),
		ROW(bytes_names_and_rights_are_in_the_digest),
		ROW(a_home_opened_for_reading_is_left_alone),
		ROW(links_that_lead_out_are_refused),
		ROW(names_that_tools_read_otherwise_are_refused),
		ROW(what_is_no_file_and_what_is_too_large_are_refused),
		ROW(a_path_that_no_archive_holds_is_refused),
		ROW(what_a_commit_lacks_is_told),
		ROW(a_commit_is_read_and_not_the_working_tree),
		ROW(hostile_commits_are_refused),
		ROW(a_commit_with_a_name_twice_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The helper on a host: its words, its ledger, its dead man's switch. */
#include "tests/ssh/machine.h"

#include <inttypes.h>

#include "lib/base/lane.h"

static HostReply
look(Machine *m, const char *const *words)
{
	HostReply r = { 0 };

	ok(&m->cx, host_look(&m->cx, duty(m, "host"), words, &r));
	return r;
}

static HostReply
act(Machine *m, const char *const *words)
{
	HostReply r = { 0 };

	ok(&m->cx, host_act(&m->cx, duty(m, "host"), &m->env, words, NULL, 0, &r));
	return r;
}

/* --- words ------------------------------------------------------------------------------ */

static void
words_of_any_bytes_arrive_as_they_were(void **state)
{
	Machine *m = *state;
	char every[256];

	for (int i = 1; i < 256; i++)
		every[i - 1] = (char)i;
	every[255] = '\0';
	assert_string_equal(look(m,
				WORDS("look-words", "a b", "", "it's \"so\"", "$HOME `id` \\", "*",
				    "two\nlines\n", "-n", "%41", "\xe4\xba\xac"))
				.out,
	    "a b||it's \"so\"|$HOME `id` \\|*|two\nlines\n|-n|%41|\xe4\xba\xac|");
	assert_string_equal(
	    look(m, WORDS("look-words", every)).out, arena_printf(m->cx.mem, "%s|", every));
}

static void
a_verb_that_fails_to_look_is_a_reply_with_its_code_and_line(void **state)
{
	Machine *m = *state;
	HostReply r = look(m, WORDS("look-die", "x y"));

	assert_int_equal(r.code, 1);
	assert_string_equal(r.out, "half a line");
	assert_string_equal(r.err, "a warning; it is not there: \"x y\"");
}

static void
output_is_kept_to_64_kib_and_hashed_whole(void **state)
{
	Machine *m = *state;
	char *text = arena_alloc(m->cx.mem, 200000);
	HostReply r = look(m, WORDS("look-bytes", "200000"));

	memset(text, 'x', 200000);
	assert_int_equal(r.out_n, 65536);
	assert_string_equal(r.digest, sha256_hex(m->cx.mem, text, 200000));
	r = act(m, WORDS("t-bytes", "200000"));
	assert_int_equal(r.out_n, 65536);
	assert_string_equal(r.digest, sha256_hex(m->cx.mem, text, 200000));
	r = act(m, WORDS("t-bytes", "200000"));
	assert_int_equal(r.out_n, 65536);
	assert_string_equal(r.digest, sha256_hex(m->cx.mem, text, 200000));
}

static void
endless_output_ends_the_session_and_the_next_request_has_a_new_one(void **state)
{
	Machine *m = *state;
	HostReply r;

	refused(&m->cx, host_look(&m->cx, duty(m, "host"), WORDS("look-noise"), &r), FAIL_HOST_STEP,
	    "host \"h1\" answered what the helper does not say");
	assert_string_equal(look(m, WORDS("look-words", "a")).out, "a|");
}

static void
a_verb_of_another_duty_is_refused(void **state)
{
	Machine *m = *state;
	HostReply r;

	refused(&m->cx, host_look(&m->cx, duty(m, "tenant/acme"), WORDS("look-words"), &r),
	    FAIL_HOST_STEP,
	    "the helper of host \"h1\" refused: duty \"tenant/acme\" has no verb \"look-words\"");
	refused(&m->cx,
	    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("look-words"), NULL, 0, &r),
	    FAIL_HOST_STEP, "the helper of host \"h1\" refused: \"look-words\" changes nothing");
	refused(&m->cx, host_look(&m->cx, duty(m, "host"), WORDS("t-count"), &r), FAIL_HOST_STEP,
	    "the helper of host \"h1\" refused: \"t-count\" is no verb of looking");
}

/* --- the ledger --------------------------------------------------------------------------- */

static void
a_repeated_key_is_answered_from_what_is_kept(void **state)
{
	Machine *m = *state;
	HostReply r;
	bool found;

	ok(&m->cx, host_stored(&m->cx, duty(m, "host"), &m->env, "t-count", &found, &r));
	assert_false(found);
	assert_string_equal(act(m, WORDS("t-count")).out, "1\n");
	assert_string_equal(act(m, WORDS("t-count")).out, "1\n");
	ok(&m->cx, host_stored(&m->cx, duty(m, "host"), &m->env, "t-count", &found, &r));
	assert_true(found);
	assert_string_equal(r.out, "1\n");
	m->env.run = 8;
	assert_string_equal(act(m, WORDS("t-count")).out, "2\n");
	ok(&m->cx, host_forget(&m->cx, duty(m, "host"), &m->env));
	assert_string_equal(act(m, WORDS("t-count")).out, "3\n");
}

static void
what_failed_is_tried_again(void **state)
{
	Machine *m = *state;
	HostReply r;

	for (int i = 0; i < 2; i++) {
		assert_false(
		    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-die"), NULL, 0, &r));
		assert_int_equal(m->cx.fail->kind, FAIL_HOST_STEP);
		assert_string_equal(
		    m->cx.fail->what, "\"t-die\" on host \"h1\": that cannot be done");
		assert_string_equal(m->cx.fail->cause, "exit code 1");
		fail_clear(&m->cx);
	}
	assert_string_equal(machine_read(m, machine_path(m, "root/state/host/died")), "once\nonce");
}

static void
a_lower_fence_is_refused_and_nothing_is_done(void **state)
{
	Machine *m = *state;
	HostReply r;
	int64_t fence;

	act(m, WORDS("t-count"));
	m->env.fence = 9;
	m->env.run = 8;
	refused(&m->cx, host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-count"), NULL, 0, &r),
	    FAIL_FENCED, "duty \"host\" on host \"h1\" has seen a newer holder, with fence 10");
	refused(&m->cx, host_forget(&m->cx, duty(m, "host"), &m->env), FAIL_FENCED,
	    "duty \"host\" on host \"h1\" has seen a newer holder, with fence 10");
	ok(&m->cx, host_fence_highest(&m->cx, duty(m, "host"), &fence));
	assert_int_equal(fence, 10);
	ok(&m->cx, host_fence_highest(&m->cx, duty(m, "tenant/acme"), &fence));
	assert_int_equal(fence, 0);
	assert_string_equal(machine_read(m, machine_path(m, "root/state/host/count")), "once");
}

static void
a_body_arrives_whole_and_is_not_kept(void **state)
{
	Machine *m = *state;
	char *body = arena_alloc(m->cx.mem, 65536);
	HostReply r;

	for (size_t i = 0; i < 65536; i++)
		body[i] = (char)(i * 7);
	ok(&m->cx, host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-body"), body, 65536, &r));
	assert_string_equal(
	    r.out, arena_printf(m->cx.mem, "%s\n", sha256_hex(m->cx.mem, body, 65536)));
	refused(&m->cx,
	    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-body"), body, 65537, &r),
	    FAIL_LIMIT, "the body of \"t-body\" for host \"h1\" is too long");
}

static void
results_are_kept_to_a_number(void **state)
{
	Machine *m = *state;
	const char *const argv[] = { "sh", "-c",
		"i=0; while [ $i -lt 400 ]; do : >$0/$i.t.rc; touch -d @$i $0/$i.t.rc; i=$((i+1)); done",
		machine_path(m, "root/state/host/steps"), NULL };
	const char *const count[] = { "sh", "-c", "ls $0 | grep -c rc",
		machine_path(m, "root/state/host/steps"), NULL };
	ProcResult r;

	act(m, WORDS("t-nothing"));
	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = argv }, &r));
	act(m, WORDS("t-count"));
	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = count }, &r));
	assert_string_equal(r.out, "200\n");
	assert_string_equal(act(m, WORDS("t-count")).out, "1\n");
}

/* --- cut sessions ---------------------------------------------------------------------------- */

static void
wait_for(Machine *m, const char *name)
{
	while (access(machine_path(m, name), F_OK) != 0)
		lane_sleep(5);
}

typedef struct Cutter {
	Machine *m;
	HostReply reply;
	bool ok;
} Cutter;

static void
cut_lane(void *arg)
{
	Cutter *c = arg;

	wait_for(c->m, "root/state/host/begun");
	machine_sshd(c->m, "drop", "h1");
	ok(&c->m->cx, file_write(&c->m->cx, machine_path(c->m, "root/state/host/go"), 0600, "", 0));
}

static void
wait_lane(void *arg)
{
	Cutter *c = arg;
	Ctx own = ctx_new(c->m->cx.mem);
	Conns *conns = conns_new(&own, c->m->room->home);
	HostConn *h;

	c->ok = conns_host(&own, conns, "h1", "host", &h) &&
	    host_act(&own, h, &c->m->env, WORDS("t-wait"), NULL, 0, &c->reply);
	if (!c->ok)
		fail_copy(&c->m->cx, &own);
	else
		c->reply.out = arena_dup(c->m->cx.mem, c->reply.out);
	arena_free(own.mem);
}

static void
a_verb_goes_on_when_its_session_is_cut_and_answers_once(void **state)
{
	Machine *m = *state;
	Lanes *lanes = lanes_new(m->cx.mem);
	Cutter c = { .m = m };

	lane_spawn(lanes, wait_lane, &c);
	lane_spawn(lanes, cut_lane, &c);
	lanes_run(lanes);
	ok(&m->cx, c.ok);
	assert_string_equal(c.reply.out, "1\n");
	assert_string_equal(machine_read(m, machine_path(m, "root/state/host/count")), "once");
}

static void
a_session_that_was_cut_between_requests_is_opened_anew(void **state)
{
	Machine *m = *state;
	HostConn *h = duty(m, "host");
	HostReply r;

	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_look(&m->cx, h, WORDS("look-words", "a"), &r));
	assert_string_equal(r.out, "a|");
	machine_sshd(m, "stop", "h1");
	assert_false(host_look(&m->cx, h, WORDS("look-words", "a"), &r));
	assert_int_equal(m->cx.fail->kind, FAIL_HOST_UNREACHABLE);
	fail_clear(&m->cx);
	machine_sshd(m, "start", "h1");
	ok(&m->cx, host_look(&m->cx, h, WORDS("look-words", "a"), &r));
}

static void
a_session_that_is_cut_before_any_request_changes_nothing_in_what_it_does(void **state)
{
	Machine *m = *state;
	HostConn *h = duty(m, "host");
	HostReply r;
	int64_t fence;
	bool found;

	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_act(&m->cx, h, &m->env, WORDS("t-count"), NULL, 0, &r));
	assert_string_equal(r.out, "1\n");
	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_act(&m->cx, h, &m->env, WORDS("t-count"), NULL, 0, &r));
	assert_string_equal(r.out, "1\n");
	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_stored(&m->cx, h, &m->env, "t-count", &found, &r));
	assert_true(found);
	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_fence_highest(&m->cx, h, &fence));
	assert_int_equal(fence, 10);
	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_forget(&m->cx, h, &m->env));
	machine_sshd(m, "drop", "h1");
	ok(&m->cx, host_act(&m->cx, h, &m->env, WORDS("t-count"), NULL, 0, &r));
	assert_string_equal(r.out, "2\n");
}

/* --- dead man -------------------------------------------------------------------------------- */

static void
what_cuts_us_off_is_undone_by_the_host_itself(void **state)
{
	Machine *m = *state;
	const char *keys = machine_path(m, "authorized_keys");
	HostReply r;
	bool found;

	assert_false(host_act_guarded(&m->cx, m->conns, duty(m, "host"), &m->env,
	    WORDS("t-cut", keys), NULL, 0, WORDS("t-uncut", keys), 10, NULL, &r));
	assert_int_equal(m->cx.fail->kind, FAIL_HOST_LOGIN);
	assert_string_equal(m->cx.fail->frames[m->cx.fail->nframes - 1],
	    "confirming \"t-cut\" over a new connection; host \"h1\" takes it back by itself 10 s after it "
	    "was done");
	fail_clear(&m->cx);
	wait_for(m, "authorized_keys");
	ok(&m->cx, host_stored(&m->cx, duty(m, "host"), &m->env, "t-cut", &found, &r));
	assert_false(found);
}

static void
cut(Machine *m)
{
	const char *keys = machine_path(m, "authorized_keys");
	HostReply r;

	host_act_guarded(&m->cx, m->conns, duty(m, "host"), &m->env, WORDS("t-cut", keys), NULL, 0,
	    WORDS("t-uncut", keys), 1, NULL, &r);
}

static void
it_is_undone_by_the_host_also_when_we_are_killed(void **state)
{
	Machine *m = *state;
	HostReply r;
	bool found;

	assert_int_equal(room_child(m->room, "cut", "kill:1"), -SIGKILL);
	wait_for(m, "authorized_keys");
	ok(&m->cx, host_stored(&m->cx, duty(m, "host"), &m->env, "t-cut", &found, &r));
	assert_false(found);
	assert_string_equal(machine_read(m,
				machine_path(m,
				    arena_printf(m->cx.mem,
					"root/state/host/steps/%s.7.t-cut.undone", m->step.key))),
	    "0 - -\n\n.");
	assert_string_equal(act(m, WORDS("t-count")).out, "1\n");
}

/* The timer has died with the machine: whoever comes next finds the undo overdue. */
static void
it_is_undone_after_the_machine_was_started_anew(void **state)
{
	Machine *m = *state;
	const char *file = machine_path(m, "harmless");
	const char *guard = machine_path(
	    m, arena_printf(m->cx.mem, "root/state/host/guards/%s.7.t-cut", m->step.key));
	char *text = arena_printf(m->cx.mem, "another-boot 4000000000 t-uncut %s\n", file);
	HostConn *h;

	act(m, WORDS("t-nothing"));
	ok(&m->cx, file_write(&m->cx, arena_printf(m->cx.mem, "%s.away", file), 0600, "", 0));
	ok(&m->cx, file_write(&m->cx, guard, 0600, text, strlen(text)));
	ok(&m->cx, conns_host_fresh(&m->cx, m->conns, "h1", "host", &h));
	wait_for(m, "harmless");
	look(m, WORDS("look-words"));
	assert_int_not_equal(access(guard, F_OK), 0);
}

static bool
no_way_in(Ctx *cx, const StepEnv *env)
{
	(void)env;
	return fail(cx, FAIL_LOGIN, NULL, "no way in");
}

static void
it_is_not_confirmed_where_a_look_of_our_own_fails(void **state)
{
	Machine *m = *state;
	const char *file = machine_path(m, "harmless");
	HostReply r;

	ok(&m->cx, file_write(&m->cx, file, 0600, "", 0));
	assert_false(host_act_guarded(&m->cx, m->conns, duty(m, "host"), &m->env,
	    WORDS("t-cut", file), NULL, 0, WORDS("t-uncut", file), 1, no_way_in, &r));
	assert_string_equal(m->cx.fail->what, "no way in");
	fail_clear(&m->cx);
	wait_for(m, "harmless");
}

/* The undo of the step disarms it: what another run does there later stays. */
static void
a_step_that_was_undone_has_no_timer_left(void **state)
{
	Machine *m = *state;
	const char *file = machine_path(m, "harmless");
	const char *guard = machine_path(
	    m, arena_printf(m->cx.mem, "root/state/host/guards/%s.7.t-cut", m->step.key));
	HostReply r;

	ok(&m->cx, file_write(&m->cx, file, 0600, "", 0));
	assert_false(host_act_guarded(&m->cx, m->conns, duty(m, "host"), &m->env,
	    WORDS("t-cut", file), NULL, 0, WORDS("t-uncut", file), 3600, no_way_in, &r));
	fail_clear(&m->cx);
	assert_int_equal(access(guard, F_OK), 0);
	ok(&m->cx, host_forget(&m->cx, duty(m, "host"), &m->env));
	assert_int_not_equal(access(guard, F_OK), 0);
}

static void
what_does_not_cut_us_off_is_confirmed_and_stays(void **state)
{
	Machine *m = *state;
	const char *file = machine_path(m, "harmless");
	HostReply r;
	bool found;

	ok(&m->cx, file_write(&m->cx, file, 0600, "", 0));
	ok(&m->cx,
	    host_act_guarded(&m->cx, m->conns, duty(m, "host"), &m->env, WORDS("t-cut", file), NULL,
		0, WORDS("t-uncut", file), 30, NULL, &r));
	ok(&m->cx, host_stored(&m->cx, duty(m, "host"), &m->env, "t-cut", &found, &r));
	assert_true(found);
	const char *const argv[] = { "sh", "-c",
		"while pgrep -f \"^[^ ]*sh $0/bin/copyhold-host guard\"; do :; done", m->host.root,
		NULL };
	ProcResult p;

	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = argv }, &p));
	assert_false(p.timed_out);
	assert_int_not_equal(access(file, F_OK), 0);
}

/* --- what a duty may touch ------------------------------------------------------------------------ */

static HostReply
tenant_act(Machine *m, const char *const *words)
{
	HostReply r = { 0 };

	m->env.run++;
	ok(&m->cx, host_act(&m->cx, duty(m, "tenant/acme"), &m->env, words, NULL, 0, &r));
	return r;
}

static void
tenant_refused(Machine *m, const char *const *words, const char *text)
{
	HostReply r;

	m->env.run++;
	refused(&m->cx, host_act(&m->cx, duty(m, "tenant/acme"), &m->env, words, NULL, 0, &r),
	    FAIL_HOST_STEP, arena_printf(m->cx.mem, "\"%s\" on host \"h1\": %s", words[0], text));
}

static void
paths_that_are_not_the_dutys_are_refused(void **state)
{
	Machine *m = *state;
	const char *root = m->host.root;
	const char *home = arena_printf(m->cx.mem, "%s/tenants/acme", root);
	const char *other = arena_printf(m->cx.mem, "%s/tenants/other/x", root);
	const char *up = arena_printf(m->cx.mem, "%s/../other", home);
	const char *link = arena_printf(m->cx.mem, "%s/link", home);
	const char *through = arena_printf(m->cx.mem, "%s/passwd", link);

	tenant_refused(m, WORDS("t-path", "file", "/etc/x", "y"),
	    "path \"/etc/x\" is not of duty \"tenant/acme\"");
	tenant_refused(m, WORDS("t-path", "dir", other),
	    arena_printf(m->cx.mem, "path \"%s\" is not of duty \"tenant/acme\"", other));
	tenant_refused(
	    m, WORDS("t-path", "dir", up), arena_printf(m->cx.mem, "path \"%s\" is not plain", up));
	tenant_act(m, WORDS("t-path", "dir", home));
	assert_int_equal(symlink("/etc", link), 0);
	tenant_refused(m, WORDS("t-path", "file", through, "y"),
	    arena_printf(m->cx.mem, "path \"%s\" leads to \"/etc\" by a link", through));
}

static void
everything_a_duty_put_there_is_removed_and_nothing_else(void **state)
{
	Machine *m = *state;
	const char *home = arena_printf(m->cx.mem, "%s/tenants/acme", m->host.root);
	const char *user = arena_printf(m->cx.mem, "%sacme", m->prefix);
	const char *const id[] = { "id", user, NULL };
	HostReply r;
	ProcResult p;

	tenant_act(m, WORDS("t-unit", "web", "start"));
	ok(&m->cx, host_look(&m->cx, duty(m, "tenant/acme"), WORDS("look-unit", "web"), &r));
	assert_int_equal(strncmp(r.out, "running ", 8), 0);
	do
		ok(&m->cx,
		    host_look(
			&m->cx, duty(m, "tenant/acme"), WORDS("look-unit", "web", "logs"), &r));
	while (!strstr(r.out, user));
	assert_non_null(strstr(r.out, " it is\n"));
	assert_non_null(strstr(r.out, " here\n"));
	tenant_act(m, WORDS("t-unit", "web", "stop"));
	ok(&m->cx, host_look(&m->cx, duty(m, "tenant/acme"), WORDS("look-unit", "web"), &r));
	assert_string_equal(r.out, "stopped\n");
	tenant_act(m, WORDS("t-unit", "web", "start"));
	tenant_act(m, WORDS("t-leave"));
	ok(&m->cx, host_look(&m->cx, duty(m, "tenant/acme"), WORDS("look-unit", "web"), &r));
	assert_string_equal(r.out, "missing\n");
	ok(&m->cx, host_look(&m->cx, duty(m, "tenant/acme"), WORDS("look-duty"), &r));
	assert_string_equal(r.out, "fence 10\n");
	assert_int_not_equal(access(home, F_OK), 0);
	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = id }, &p));
	assert_int_equal(p.exit_code, 1);
}

static void
a_user_that_is_there_already_is_not_taken(void **state)
{
	Machine *m = *state;
	const char *user = arena_printf(m->cx.mem, "%staken", m->prefix);
	const char *const add[] = { "useradd", "--system", user, NULL };
	const char *const del[] = { "userdel", user, NULL };
	ProcResult p;

	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = add }, &p));
	tenant_refused(m, WORDS("t-user", "taken"),
	    arena_printf(
		m->cx.mem, "user \"%s\" is there already, and not of duty \"tenant/acme\"", user));
	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = del }, &p));
}

static void
packages_that_are_there_are_left_and_odd_names_refused(void **state)
{
	Machine *m = *state;
	HostReply r;

	act(m, WORDS("packages-install", "runit"));
	m->env.run++;
	refused(&m->cx,
	    host_act(
		&m->cx, duty(m, "host"), &m->env, WORDS("packages-install", "-o=x"), NULL, 0, &r),
	    FAIL_HOST_STEP, "\"packages-install\" on host \"h1\": \"-o=x\" is no package's name");
}

/* --- files -------------------------------------------------------------------------------------- */

static void
a_file_arrives_under_its_digest_once(void **state)
{
	Machine *m = *state;
	const char *file = arena_printf(m->cx.mem, "%s/a file", m->room->dir);
	const char *digest = sha256_hex(m->cx.mem, "abc", 3);
	const char *there = arena_printf(
	    m->cx.mem, "%s", machine_path(m, arena_printf(m->cx.mem, "root/incoming/%s", digest)));
	struct stat before, after;

	ok(&m->cx, file_write(&m->cx, file, 0600, "abc", 3));
	ok(&m->cx, host_put(&m->cx, duty(m, "host"), file, digest));
	assert_int_equal(stat(there, &before), 0);
	ok(&m->cx, host_put(&m->cx, duty(m, "host"), file, digest));
	assert_int_equal(stat(there, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_string_equal(machine_read(m, there), "abc");
}

static void
what_arrived_is_taken_whole_and_over_no_link(void **state)
{
	Machine *m = *state;
	const char *digest = sha256_hex(m->cx.mem, "abc", 3);
	const char *there = machine_path(m, arena_printf(m->cx.mem, "root/incoming/%s", digest));
	const char *other = arena_printf(m->cx.mem, "%s/other", m->room->dir);
	HostReply r;

	assert_false(
	    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-take", digest), NULL, 0, &r));
	assert_string_equal(m->cx.fail->what,
	    arena_printf(m->cx.mem, "\"t-take\" on host \"h1\": \"%s\" has not arrived", digest));
	fail_clear(&m->cx);
	ok(&m->cx, file_write(&m->cx, there, 0600, "abd", 3));
	assert_false(
	    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-take", digest), NULL, 0, &r));
	assert_string_equal(m->cx.fail->what,
	    arena_printf(
		m->cx.mem, "\"t-take\" on host \"h1\": what arrived as \"%s\" is damaged", digest));
	fail_clear(&m->cx);
	ok(&m->cx, file_write(&m->cx, other, 0600, "abc", 3));
	assert_int_equal(unlink(there), 0);
	assert_int_equal(symlink(other, there), 0);
	assert_false(
	    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-take", digest), NULL, 0, &r));
	fail_clear(&m->cx);
	ok(&m->cx, host_put(&m->cx, duty(m, "host"), other, digest));
	assert_string_equal(act(m, WORDS("t-take", digest)).out, "abc");
}

/* --- helpers that are not as they should be -------------------------------------------------------- */

static void
a_host_without_the_helper_is_unprepared(void **state)
{
	Machine *m = *state;
	HostConn *h;

	assert_int_equal(unlink(machine_path(m, "root/bin/copyhold-host")), 0);
	refused(&m->cx, conns_host(&m->cx, m->conns, "h1", "host", &h), FAIL_UNPREPARED,
	    arena_printf(
		m->cx.mem, "host \"h1\" has no helper at \"%s/bin/copyhold-host\"", m->host.root));
}

static void
a_helper_that_was_edited_is_unprepared(void **state)
{
	Machine *m = *state;
	HostConn *h;

	host_helper_register(sha256_hex(m->cx.mem, "another", 7));
	refused(&m->cx, conns_host(&m->cx, m->conns, "h1", "host", &h), FAIL_UNPREPARED,
	    "the helper of host \"h1\" is not that of this copyhold");
}

static void
a_helper_of_another_prefix_is_unprepared(void **state)
{
	Machine *m = *state;
	HostConn *h;

	m->host.user_prefix = "other-";
	refused(&m->cx, conns_host(&m->cx, m->conns, "h1", "host", &h), FAIL_UNPREPARED,
	    arena_printf(m->cx.mem,
		"host \"h1\" was prepared with userPrefix \"%s\" and supervise \"runit\", not "
		"\"other-\" and \"runit\"",
		m->prefix));
}

static void
garbage_in_the_place_of_the_helper_is_refused(void **state)
{
	Machine *m = *state;
	const char *helper = machine_path(m, "root/bin/copyhold-host");
	const char *endless = "#!/bin/sh\nexec yes garbage\n";
	const char *quits = "#!/bin/sh\necho 'no' >&2\nexit 3\n";
	HostConn *h;

	ok(&m->cx, file_write(&m->cx, helper, 0755, endless, strlen(endless)));
	refused(&m->cx, conns_host(&m->cx, m->conns, "h1", "host", &h), FAIL_HOST_STEP,
	    "host \"h1\" answered what the helper does not say");
	ok(&m->cx, file_write(&m->cx, helper, 0755, quits, strlen(quits)));
	refused(&m->cx, conns_host(&m->cx, m->conns, "h1", "host", &h), FAIL_HOST_STEP,
	    "the helper of host \"h1\" does not start: no");
}

#define hosted(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0) {
		cut(machine_again(argv[2]));
		return 0;
	}
	const struct CMUnitTest tests[] = {
		hosted(words_of_any_bytes_arrive_as_they_were),
		hosted(a_verb_that_fails_to_look_is_a_reply_with_its_code_and_line),
		hosted(output_is_kept_to_64_kib_and_hashed_whole),
		hosted(endless_output_ends_the_session_and_the_next_request_has_a_new_one),
		hosted(a_verb_of_another_duty_is_refused),
		hosted(a_repeated_key_is_answered_from_what_is_kept),
		hosted(what_failed_is_tried_again),
		hosted(a_lower_fence_is_refused_and_nothing_is_done),
		hosted(a_body_arrives_whole_and_is_not_kept),
		hosted(results_are_kept_to_a_number),
		hosted(a_verb_goes_on_when_its_session_is_cut_and_answers_once),
		hosted(a_session_that_was_cut_between_requests_is_opened_anew),
		hosted(a_session_that_is_cut_before_any_request_changes_nothing_in_what_it_does),
		hosted(what_cuts_us_off_is_undone_by_the_host_itself),
		hosted(it_is_undone_by_the_host_also_when_we_are_killed),
		hosted(it_is_not_confirmed_where_a_look_of_our_own_fails),
		hosted(a_step_that_was_undone_has_no_timer_left),
		hosted(it_is_undone_after_the_machine_was_started_anew),
		hosted(what_does_not_cut_us_off_is_confirmed_and_stays),
		hosted(paths_that_are_not_the_dutys_are_refused),
		hosted(everything_a_duty_put_there_is_removed_and_nothing_else),
		hosted(a_user_that_is_there_already_is_not_taken),
		hosted(packages_that_are_there_are_left_and_odd_names_refused),
		hosted(a_file_arrives_under_its_digest_once),
		hosted(what_arrived_is_taken_whole_and_over_no_link),
		hosted(a_host_without_the_helper_is_unprepared),
		hosted(a_helper_that_was_edited_is_unprepared),
		hosted(a_helper_of_another_prefix_is_unprepared),
		hosted(garbage_in_the_place_of_the_helper_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

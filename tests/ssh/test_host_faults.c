/* The helper on a host where things go wrong: undoes that fail, kills, full disks, verbs that hang. */
#include "tests/ssh/machine.h"

#include <inttypes.h>

#include "lib/base/lane.h"

#define STEPS "root/state/host/steps/"

static void
wait_for(Machine *m, const char *name)
{
	while (access(machine_path(m, name), F_OK) != 0)
		lane_sleep(5);
}

static void
touch(Machine *m, const char *name)
{
	ok(&m->cx, file_write(&m->cx, machine_path(m, name), 0600, "", 0));
}

static const char *
kept(Machine *m, const char *dir, const char *verb)
{
	return arena_printf(m->cx.mem, "%s%s.%" PRId64 ".%s", dir, m->step.key, m->env.run, verb);
}

static bool
guarded(Machine *m, int seconds, bool (*check)(Ctx *cx, const StepEnv *env))
{
	const char *file = machine_path(m, "note");
	HostReply r;

	return host_act_guarded(&m->cx, m->conns, duty(m, "host"), &m->env, WORDS("t-note", file),
	    NULL, 0, WORDS("t-unnote", file), seconds, check, &r);
}

/* --- the dead man's switch ------------------------------------------------------------------ */

static bool
no_way_in(Ctx *cx, const StepEnv *env)
{
	(void)env;
	return fail(cx, FAIL_LOGIN, NULL, "no way in");
}

static Machine *here;
static const char *here_small;

/* Our own look takes so long that the host has begun. */
static bool
until_undone(Ctx *cx, const StepEnv *env)
{
	(void)cx;
	(void)env;
	wait_for(here, kept(here, STEPS, "t-note.undone"));
	return true;
}

static void
an_undo_that_fails_is_told_and_tried_again_until_it_is_done(void **state)
{
	Machine *m = *state;

	here = m;
	touch(m, "note.stuck");
	refused(&m->cx, guarded(m, 1, until_undone), FAIL_HOST_STEP,
	    "host \"h1\" cannot take \"t-note\" back by itself: it is stuck");
	assert_int_equal(access(machine_path(m, "note"), F_OK), 0);
	assert_int_equal(unlink(machine_path(m, "note.stuck")), 0);
	while (access(machine_path(m, "note"), F_OK) == 0)
		lane_sleep(5);
	while (access(machine_path(m, kept(m, "root/state/host/guards/", "t-note")), F_OK) == 0)
		lane_sleep(5);
	assert_string_equal(
	    machine_read(m, machine_path(m, kept(m, STEPS, "t-note.undone"))), "0 - -\n\n.");
}

static void
what_was_taken_back_cannot_be_confirmed_any_more(void **state)
{
	Machine *m = *state;

	here = m;
	refused(&m->cx, guarded(m, 1, until_undone), FAIL_HOST_STEP,
	    "host \"h1\" has taken \"t-note\" back by itself");
	assert_int_not_equal(access(machine_path(m, "note"), F_OK), 0);
	ok(&m->cx, guarded(m, 30, NULL));
	assert_string_equal(machine_read(m, machine_path(m, "note")), "noted");
}

/* As if the machine had died between the undo and the removal of its timer. */
static void
an_undo_that_was_not_seen_to_end_is_run_again(void **state)
{
	Machine *m = *state;
	const char *guard = machine_path(m, kept(m, "root/state/host/guards/", "t-note"));
	char *text = arena_printf(
	    m->cx.mem, "another-boot 4000000000 t-unnote %s\n", machine_path(m, "note"));
	HostConn *h;

	here = m;
	assert_false(guarded(m, 1, until_undone));
	fail_clear(&m->cx);
	while (access(guard, F_OK) == 0)
		lane_sleep(5);
	ok(&m->cx, file_write(&m->cx, guard, 0600, text, strlen(text)));
	ok(&m->cx, conns_host_fresh(&m->cx, m->conns, "h1", "host", &h));
	while (access(guard, F_OK) == 0)
		lane_sleep(5);
	assert_string_equal(machine_read(m, machine_path(m, "note.tries")), "tried\ntried");
}

/* A later change of the same kind: what takes it back takes both back, once. */
static void
an_earlier_change_does_not_take_back_a_later_one_that_was_confirmed(void **state)
{
	Machine *m = *state;
	const char *guards = machine_path(m, "root/state/host/guards");

	assert_false(guarded(m, 3600, no_way_in));
	fail_clear(&m->cx);
	m->env.run++;
	ok(&m->cx, guarded(m, 3600, NULL));
	assert_string_equal(machine_run(m, "ls \"$1\"", guards), "");
	assert_string_equal(machine_read(m, machine_path(m, "note")), "noted");
}

/* --- what a kill leaves ------------------------------------------------------------------------ */

static void
hold_lane(void *arg)
{
	Machine *m = arg;
	Ctx own = ctx_new(m->cx.mem);
	Conns *conns = conns_new(&own, m->room->home);
	HostConn *h;
	HostReply r;

	if (conns_host(&own, conns, "h1", "host", &h))
		host_act(&own, h, &m->env, WORDS("t-hold"), "secret", 6, &r);
	arena_free(own.mem);
}

/* All that the helper has running there ends at once. */
static void
kill_lane(void *arg)
{
	Machine *m = arg;

	wait_for(m, "root/state/host/body");
	/* Stopped before they are ended: nothing is forked then that was not seen. */
	machine_run(m,
	    "ours() { pgrep -f \"^[^ ]*sh $1/bin/copyhold-host\"; }; "
	    "kill -STOP $(ours \"$1\") || :; while pids=$(ours \"$1\"); do kill -KILL $pids || :; done",
	    m->host.root);
	machine_sshd(m, "drop", "h1");
	touch(m, "root/state/host/go");
}

static void
a_body_is_in_memory_and_what_a_kill_leaves_of_it_goes_with_the_next_session(void **state)
{
	Machine *m = *state;
	bool memory = strcmp(
			  machine_run(m, "stat -f -c %T /run /dev/shm | grep -m 1 tmpfs || :", ""),
			  "tmpfs\n") == 0;
	Lanes *lanes = lanes_new(m->cx.mem);
	HostReply r;

	/* The session is opened anew after the cut, and the step is done. */
	lane_spawn(lanes, hold_lane, m);
	lane_spawn(lanes, kill_lane, m);
	lanes_run(lanes);
	const char *said = machine_path(m, "root/state/host/body");
	const char *body = machine_run(m, "head -n 1 \"$1\" | tr -d '\\n'", said);

	assert_true(!memory || strcmp(machine_run(m, "tail -n 1 \"$1\"", said), "tmpfs\n") == 0);
	ok(&m->cx, host_look(&m->cx, duty(m, "host"), WORDS("look-words"), &r));
	assert_int_not_equal(access(body, F_OK), 0);
	assert_string_equal(
	    machine_run(m, "grep -rl secret \"$1/state\" \"$1/run\" || :", m->host.root), "");
}

/* --- verbs that hang ------------------------------------------------------------------------------ */

static void
ask_lane(void *arg)
{
	Machine *m = arg;
	HostReply r;

	wait_for(m, "root/state/host/body");
	machine_run(
	    m, "sed -i s/LOCK_SECONDS=600/LOCK_SECONDS=0/ \"$1/bin/copyhold-host\"", m->host.root);
	machine_register(m);
	ok(&m->cx, host_look(&m->cx, duty(m, "host"), WORDS("look-duty"), &r));
	assert_int_equal(strncmp(r.out, "fence 10\nat-work t-hold, process ", 33), 0);
	m->env.run++;
	assert_false(host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-count"), NULL, 0, &r));
	assert_int_equal(m->cx.fail->kind, FAIL_TIMEOUT);
	assert_int_equal(strncmp(m->cx.fail->what,
			     "the lock of duty \"host\" on host \"h1\" is held by another: "
			     "t-hold, process ",
			     73),
	    0);
	fail_clear(&m->cx);
	touch(m, "root/state/host/go");
}

static void
who_waits_for_the_lock_is_told_what_holds_it(void **state)
{
	Machine *m = *state;
	Lanes *lanes = lanes_new(m->cx.mem);
	HostReply r;

	lane_spawn(lanes, hold_lane, m);
	lane_spawn(lanes, ask_lane, m);
	lanes_run(lanes);
	ok(&m->cx, host_look(&m->cx, duty(m, "host"), WORDS("look-duty"), &r));
	assert_string_equal(r.out, "fence 10\n");
}

/* A disk of the machine's own, so small. */
static void
small_disk(Machine *m, const char *path, const char *size)
{
	here_small = path;
	machine_run(m,
	    arena_printf(
		m->cx.mem, "mkdir -p \"$1\" && mount -t tmpfs -o %s,mode=0700 tmpfs \"$1\"", size),
	    path);
}

static int
small_teardown(void **state)
{
	Machine *m = *state;

	machine_run(m, "! mountpoint -q \"$1\" || umount -l \"$1\"", here_small);
	return machine_teardown(state);
}

/* --- full disks ----------------------------------------------------------------------------------------- */

static void
full_refused(Machine *m, bool done, const char *what)
{
	assert_false(done);
	assert_string_equal(m->cx.fail->what, what);
	assert_int_equal(m->cx.fail->kind, FAIL_DISK_FULL);
	assert_string_equal(m->cx.fail->hint,
	    arena_printf(m->cx.mem, "Make room below \"%s\" there.", m->host.root));
	fail_clear(&m->cx);
}

static void
a_body_that_does_not_fit_is_told_as_a_full_disk_and_the_session_goes_on(void **state)
{
	Machine *m = *state;
	const char *small = machine_path(m, "small");
	char *body = arena_alloc(m->cx.mem, 65536);
	HostReply r;

	memset(body, 'x', 65536);
	small_disk(m, small, "size=16k");
	machine_run(m, arena_printf(m->cx.mem, "sed -i 's|/run /dev/shm|%s|' \"$1\"", small),
	    machine_path(m, "root/bin/copyhold-host"));
	machine_register(m);
	full_refused(m,
	    host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-body"), body, 65536, &r),
	    "\"t-body\" on host \"h1\": cannot take the body of \"t-body\": no space left on device");
	ok(&m->cx, host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-body"), body, 1024, &r));
}

static void
a_helper_without_room_to_work_is_told_as_a_full_disk(void **state)
{
	Machine *m = *state;
	const char *run = machine_path(m, "root/run");
	HostConn *h;

	small_disk(m, run, "nr_inodes=1");
	full_refused(m, conns_host(&m->cx, m->conns, "h1", "host", &h),
	    "the helper of host \"h1\" does not start: no space left on device");
	machine_run(m, "umount \"$1\"", run);
	ok(&m->cx, conns_host(&m->cx, m->conns, "h1", "host", &h));
}

/* The folder of states is full, and what was spared for this moment is used up. */
static void
a_fence_that_cannot_be_written_is_a_full_disk_and_no_newer_holder(void **state)
{
	Machine *m = *state;
	const char *at = machine_path(m, "root/state/host");
	HostReply r;

	ok(&m->cx, host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-nothing"), NULL, 0, &r));
	machine_run(m, "cp -a \"$1\" \"$1.kept\" && rm -f \"$1.kept/spare\"", at);
	small_disk(m, at, "size=64k");
	machine_run(m,
	    "cp -a \"$1.kept/.\" \"$1\"; dd if=/dev/zero of=\"$1/fill\" bs=4k 2>/dev/null || :",
	    at);
	m->env.fence++;
	m->env.run++;
	full_refused(m, host_act(&m->cx, duty(m, "host"), &m->env, WORDS("t-nothing"), NULL, 0, &r),
	    "\"t-nothing\" on host \"h1\": cannot raise the fence: no space left on device");
	full_refused(m, host_forget(&m->cx, duty(m, "host"), &m->env),
	    "\"forget\" on host \"h1\": cannot raise the fence: no space left on device");
}

#define small(name)  cmocka_unit_test_setup_teardown(name, machine_setup, small_teardown)
#define hosted(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hosted(an_undo_that_fails_is_told_and_tried_again_until_it_is_done),
		hosted(what_was_taken_back_cannot_be_confirmed_any_more),
		hosted(an_undo_that_was_not_seen_to_end_is_run_again),
		hosted(an_earlier_change_does_not_take_back_a_later_one_that_was_confirmed),
		hosted(a_body_is_in_memory_and_what_a_kill_leaves_of_it_goes_with_the_next_session),
		hosted(who_waits_for_the_lock_is_told_what_holds_it),
		small(a_body_that_does_not_fit_is_told_as_a_full_disk_and_the_session_goes_on),
		small(a_helper_without_room_to_work_is_told_as_a_full_disk),
		small(a_fence_that_cannot_be_written_is_a_full_disk_and_no_newer_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

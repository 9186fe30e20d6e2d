#include <dirent.h>

#include "compliance/audit/log.h"
#include "compliance/audit/tile.h"
#include "tests/unit/compliance/roll.h"

static const Sql CHANGE_EVENT = { "change_event",
	"UPDATE event SET bytes = CAST('{\"id\":\"changed\"}' AS BLOB) WHERE log_index = ?1", 0 };
static const Sql SMALLER = { "smaller", "UPDATE log SET size = 0, root = NULL", 0 };
static const Sql OTHER_ROOT = { "other_root", "UPDATE log SET root = zeroblob(32)", 0 };
static const Sql LOST_EVENT = { "lost_event", "DELETE FROM event WHERE log_index = ?1", 0 };
static const Sql NO_OPENINGS = { "no_openings", "DELETE FROM opening", 0 };

static Log
log_named(Ctx *cx, Home *home, const char *tenant)
{
	Log log;

	ok(cx, log_of(cx, home, tenant, &log));
	return log;
}

static void
a_log_is_published_as_it_grows(void **state)
{
	static const int steps[] = { 1, 1, 5, 200, 48, 1, 1, 300, 700 };
	Room *r = *state;

	for (size_t i = 0; i < LENGTH(steps); i++) {
		Checkpoint before = { 0 }, after;
		Hashes proof;
		writes(&r->cx, r->home, NULL, steps[i]);
		Log log = log_named(&r->cx, r->home, NULL);
		if (i > 0) {
			Note note;
			bool found;
			ok(&r->cx, log_checkpoint(&r->cx, &log, &note, &before, &found));
		} else
			merkle_empty(&before.root);
		ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
		after = check(&r->cx, r->home, &log);
		assert_int_equal(after.size, before.size + (uint64_t)steps[i]);
		HashSource from = log_hashes(r->cx.mem, &log, after.size);
		ok(&r->cx, merkle_consistency(&r->cx, &from, before.size, after.size, &proof));
		assert_true(merkle_check_consistency(
		    before.size, &before.root, after.size, &after.root, &proof));
	}
}

static void
a_round_takes_what_it_can_and_the_next_the_rest(void **state)
{
	Room *r = *state;

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	writes(&r->cx, r->home, NULL, 20000);
	ok(&r->cx, lite_commit(&r->cx, r->home->db));
	Log log = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
	assert_int_equal(log.size, 20000);
	check(&r->cx, r->home, &log);
}

static void
each_tenant_has_its_log_and_catching_up_publishes_them_all(void **state)
{
	Room *r = *state;
	Logs logs;

	writes(&r->cx, r->home, NULL, 3);
	for (int i = 0; i < 150; i++)
		writes(&r->cx, r->home, arena_printf(r->cx.mem, "t%d", i), 2);
	log_catch_up(&r->cx, r->home, 60000);
	ok(&r->cx, log_all(&r->cx, r->home, &logs));
	assert_int_equal(logs.n, 151);
	assert_null(logs.at[0].tenant);
	for (size_t i = 0; i < logs.n; i++)
		assert_int_equal(check(&r->cx, r->home, &logs.at[i]).size, i == 0 ? 3 : 2);
	ok(&r->cx, log_behind(&r->cx, r->home, 10, &logs));
	assert_int_equal(logs.n, 0);
}

static void
a_heartbeat_signs_the_same_tree_at_a_later_time(void **state)
{
	Room *r = *state;

	setenv("COPYHOLD_NOW", "1790000000000", 1);
	writes(&r->cx, r->home, NULL, 3);
	Log log = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
	Checkpoint first = check(&r->cx, r->home, &log);
	setenv("COPYHOLD_NOW", "1790000060000", 1);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
	assert_int_equal(log.signed_at, 1790000000000);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_ALWAYS));
	assert_int_equal(log.signed_at, 1790000060000);
	Checkpoint second = check(&r->cx, r->home, &log);
	unsetenv("COPYHOLD_NOW");
	assert_int_equal(first.size, second.size);
	assert_true(hash_same(&first.root, &second.root));
}

static void
a_clock_that_goes_back_stops_nothing(void **state)
{
	Room *r = *state;
	Logs logs;

	setenv("COPYHOLD_NOW", "1790000000000", 1);
	writes(&r->cx, r->home, NULL, 3);
	log_catch_up(&r->cx, r->home, 60000);
	setenv("COPYHOLD_NOW", "1700000000000", 1);
	writes(&r->cx, r->home, NULL, 3);
	log_catch_up(&r->cx, r->home, 60000);
	Log log = log_named(&r->cx, r->home, NULL);
	assert_int_equal(check(&r->cx, r->home, &log).size, 6);
	assert_int_equal(log.signed_at, 1700000000000);
	setenv("COPYHOLD_NOW", "1600000000000", 1);
	ok(&r->cx, log_silent(&r->cx, r->home, NULL, 60000, 10, &logs));
	assert_int_equal(logs.n, 1); /* signed in the future: due */
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_ALWAYS));
	ok(&r->cx, log_silent(&r->cx, r->home, NULL, 60000, 10, &logs));
	unsetenv("COPYHOLD_NOW");
	assert_int_equal(logs.n, 0);
}

static void
lines_of_witnesses_stay_while_the_tree_does(void **state)
{
	Room *r = *state;
	Secret seed = secret_alloc(r->cx.mem, 32);
	NoteSigner w;
	Checkpoint cp;
	Note note;
	bool found;

	writes(&r->cx, r->home, NULL, 3);
	Log log = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
	ok(&r->cx, note_signer(&r->cx, "witness.example/w", KEY_COSIGNATURE, &seed, &w));
	ok(&r->cx, log_checkpoint(&r->cx, &log, &note, &cp, &found));
	ok(&r->cx, note_sign(&r->cx, &note, &w, 1790000000));
	ok(&r->cx, log_cosigned_all(&r->cx, r->home, &(Cosigned){ &log, &note }, 1));
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_ALWAYS));
	ok(&r->cx, log_checkpoint(&r->cx, &log, &note, &cp, &found));
	assert_int_equal(note.signatures.n, 3);
	assert_int_equal(note_verify(&note, &w.key, NULL), NOTE_VALID);
	Note old = note;
	writes(&r->cx, r->home, NULL, 1);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
	ok(&r->cx, log_checkpoint(&r->cx, &log, &note, &cp, &found));
	assert_int_equal(note.signatures.n, 2);
	ok(&r->cx,
	    log_cosigned_all(&r->cx, r->home, &(Cosigned){ &log, &old }, 1)); /* came too late */
	ok(&r->cx, log_checkpoint(&r->cx, &log, &note, &cp, &found));
	assert_int_equal(cp.size, 4);
	assert_int_equal(note.signatures.n, 2);
}

/* --- what would fork ------------------------------------------------------------------------ */

static void
will_not_sign(Room *r, const char *why)
{
	Log log = log_named(&r->cx, r->home, NULL);
	char *before = text_of(&r->cx, path_of(&r->cx, &log, "checkpoint"));

	refused(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_ALWAYS), FAIL_FORKED,
	    arena_printf(r->cx.mem, "the log \"%s\" would fork: %s", log.origin, why));
	assert_string_equal(text_of(&r->cx, path_of(&r->cx, &log, "checkpoint")), before);
}

static void
publish_some(Room *r, int n)
{
	writes(&r->cx, r->home, NULL, n);
	Log log = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN));
}

static void
a_changed_event_is_never_signed(void **state)
{
	Room *r = *state;

	publish_some(r, 10);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &SMALLER, ""));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &CHANGE_EVENT, "i", (int64_t)4));
	will_not_sign(r, "the catalogue has other entries than the tree of 10 that was signed");
}

static void
a_catalogue_that_has_lost_its_state_goes_on_where_it_was(void **state)
{
	Room *r = *state;

	publish_some(r, 10);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &SMALLER, ""));
	publish_some(r, 5);
	Log log = log_named(&r->cx, r->home, NULL);
	assert_int_equal(check(&r->cx, r->home, &log).size, 15);
}

static void
another_root_of_the_same_size_is_never_signed(void **state)
{
	Room *r = *state;

	publish_some(r, 10);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &OTHER_ROOT, ""));
	will_not_sign(r, "two trees of 10 entries are told of");
}

static void
a_folder_that_is_gone_is_never_signed_anew(void **state)
{
	Room *r = *state;

	publish_some(r, 10);
	Log log = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, file_remove(&r->cx, path_of(&r->cx, &log, "high-water")));
	will_not_sign(r, arena_printf(r->cx.mem, "its files in \"%s\" are gone", log.dir));
}

static void
a_mark_that_is_damaged_or_another_ones_is_seen(void **state)
{
	Room *r = *state;

	publish_some(r, 10);
	Log log = log_named(&r->cx, r->home, NULL);
	char *mark = path_of(&r->cx, &log, "high-water"), *was = text_of(&r->cx, mark);
	put_text(&r->cx, mark, "10\n");
	will_not_sign(r, arena_printf(r->cx.mem, "\"%s\" is damaged", mark));
	put_text(&r->cx, mark, "4\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	will_not_sign(r, "the tree of 4 entries that was signed is no part of it");
	put_text(&r->cx, mark, "11\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	will_not_sign(r, "the catalogue has 10 entries of it and 11 were signed");
	put_text(&r->cx, mark, was);
	publish_some(r, 1);
	check(&r->cx, r->home, &log);
}

static void
an_event_that_is_missing_is_told_and_nothing_is_signed(void **state)
{
	Room *r = *state;

	publish_some(r, 3);
	writes(&r->cx, r->home, NULL, 5);
	ok(&r->cx, lite_do(&r->cx, r->home->db, &NO_OPENINGS, ""));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &LOST_EVENT, "i", (int64_t)5));
	Log log = log_named(&r->cx, r->home, NULL);
	refused(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN), FAIL_CATALOG,
	    arena_printf(
		r->cx.mem, "entry 5 of the log \"%s\" is not in the catalogue", log.origin));
}

static void
one_log_that_would_fork_does_not_stop_the_others(void **state)
{
	Room *r = *state;
	Published p;
	Logs logs;

	publish_some(r, 3);
	for (int i = 0; i < 5; i++)
		writes(&r->cx, r->home, arena_printf(r->cx.mem, "t%d", i), 2);
	writes(&r->cx, r->home, NULL, 1);
	Log vendor = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, file_remove(&r->cx, path_of(&r->cx, &vendor, "high-water")));
	ok(&r->cx, log_behind(&r->cx, r->home, 100, &logs));
	assert_int_equal(logs.n, 6);
	ok(&r->cx, log_publish_all(&r->cx, r->home, NULL, &logs, HEARTBEAT_IF_GROWN, &p));
	assert_int_equal(p.failed, 1);
	assert_int_equal(p.signed_now, 5);
	assert_string_equal(fail_name(p.why.kind), "forked");
	for (int i = 0; i < 5; i++) {
		Log log = log_named(&r->cx, r->home, arena_printf(r->cx.mem, "t%d", i));
		check(&r->cx, r->home, &log);
	}
}

/* The tree's state in the catalogue can wait; what was signed is remembered beside it. */
static void
a_writer_that_never_rests_stops_no_publication(void **state)
{
	Room *r = *state;
	LogHeads *heads = log_heads(r->cx.mem);
	Published p;
	Logs logs;
	Lite *other;

	publish_some(r, 3);
	writes(&r->cx, r->home, NULL, 5);
	ok(&r->cx,
	    lite_open(
		&r->cx, arena_printf(r->cx.mem, "%s/catalog.db", r->home_dir), LITE_WRITE, &other));
	ok(&r->cx, lite_begin(&r->cx, other));
	for (int turn = 0; turn < 2; turn++) {
		ok(&r->cx, log_behind(&r->cx, r->home, 10, &logs));
		assert_int_equal(logs.n, 1);
		assert_int_equal(logs.at[0].size, 3);
		ok(&r->cx, log_publish_all(&r->cx, r->home, heads, &logs, HEARTBEAT_IF_GROWN, &p));
		assert_int_equal(p.failed, 0);
		assert_int_equal(p.signed_now, turn == 0);
		Checkpoint c;
		Note note;
		bool found;
		ok(&r->cx, log_checkpoint(&r->cx, &logs.at[0], &note, &c, &found));
		assert_int_equal(c.size, 8);
	}
	lite_rollback(other);
	writes(&r->cx, r->home, NULL, 2);
	ok(&r->cx, log_behind(&r->cx, r->home, 10, &logs));
	ok(&r->cx, log_publish_all(&r->cx, r->home, heads, &logs, HEARTBEAT_IF_GROWN, &p));
	Log log = log_named(&r->cx, r->home, NULL);
	assert_int_equal(check(&r->cx, r->home, &log).size, 10);
}

/* --- before a command -------------------------------------------------------------------------- */

static void
a_home_that_is_ready_is_told_so(void **state)
{
	Room *r = *state;

	ok(&r->cx, log_ready(&r->cx, r->home));
	publish_some(r, 3);
	ok(&r->cx, log_ready(&r->cx, r->home));
	writes(&r->cx, r->home, NULL, 3);
	ok(&r->cx, log_ready(&r->cx, r->home));
}

static void
a_catalogue_that_is_older_than_what_was_published_is_refused(void **state)
{
	Room *r = *state;
	char *mark = arena_printf(r->cx.mem, "%s/audit/high-water", r->home_dir);

	publish_some(r, 3);
	char *was = text_of(&r->cx, mark);
	char *later = arena_dup(r->cx.mem, was);
	later[0] = '4';
	put_text(&r->cx, mark, later);
	refused(&r->cx, log_ready(&r->cx, r->home), FAIL_FORKED,
	    "the catalogue is older than what was published of it: event 4 of it is missing");
	writes(&r->cx, r->home, NULL, 1);
	refused(&r->cx, log_ready(&r->cx, r->home), FAIL_FORKED,
	    "the catalogue is older than what was published of it: event 4 of it is another one");
	put_text(&r->cx, mark, "4\n");
	refused(&r->cx, log_ready(&r->cx, r->home), FAIL_FORKED,
	    arena_printf(r->cx.mem, "\"%s\" is damaged", mark));
	ok(&r->cx, file_remove(&r->cx, mark));
	refused(&r->cx, log_ready(&r->cx, r->home), FAIL_FORKED,
	    arena_printf(r->cx.mem,
		"the catalogue has logs that were signed, and \"%s/audit\" has not", r->home_dir));
	put_text(&r->cx, mark, was);
	ok(&r->cx, log_ready(&r->cx, r->home));
}

static void
the_lock_is_one_process_at_a_time(void **state)
{
	Room *r = *state;
	int fd;

	writes(&r->cx, r->home, NULL, 1);
	ok(&r->cx, log_lock(&r->cx, r->home, 0, &fd));
	assert_true(fd >= 0);
	assert_int_equal(room_child(r, "publish", NULL), EXIT_LEASED);
	log_unlock(fd);
	assert_int_equal(room_child(r, "publish", NULL), 0);
	Log log = log_named(&r->cx, r->home, NULL);
	check(&r->cx, r->home, &log);
}

/* --- restore -------------------------------------------------------------------------------------- */

static void
copy_tree(const char *from, const char *to)
{
	char *argv[] = { (char *)"cp", (char *)"-a", (char *)from, (char *)to, NULL };
	extern char **environ;
	int status;
	pid_t pid;

	assert_int_equal(posix_spawnp(&pid, "cp", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The catalogue as it was; the folder of the logs as it is, or empty. */
static Home *
restored(Room *r, const char *backup, bool elsewhere)
{
	static int number;
	Secret pass = secret_new(r->cx.mem, "correct horse battery", 21);
	char *dir = arena_printf(r->cx.mem, "%s/restored%d", r->dir, number++);
	Home *home;

	ok(&r->cx, home_restore(&r->cx, dir, backup, &pass));
	if (!elsewhere) {
		char *audit = arena_printf(r->cx.mem, "%s/audit", dir);
		assert_int_equal(rmdir(audit), 0);
		copy_tree(arena_printf(r->cx.mem, "%s/audit", r->home_dir), audit);
	}
	ok(&r->cx, home_open(&r->cx, dir, ACCESS_WRITES, &home));
	return home;
}

static char *
backup_of(Room *r)
{
	Secret pass = secret_new(r->cx.mem, "correct horse battery", 21);
	char *file = arena_printf(r->cx.mem, "%s/backup", r->dir);

	ok(&r->cx, home_backup(&r->cx, r->home, file, &pass));
	return file;
}

static void
an_old_backup_gets_its_entries_back_from_the_files(void **state)
{
	Room *r = *state;
	Recovery done;

	publish_some(r, 300);
	writes(&r->cx, r->home, "acme", 3);
	log_catch_up(&r->cx, r->home, 60000);
	char *file = backup_of(r);
	publish_some(r, 400);
	writes(&r->cx, r->home, "acme", 4);
	writes(&r->cx, r->home, "globex", 5); /* a log that the backup does not know */
	log_catch_up(&r->cx, r->home, 60000);
	Log was = log_named(&r->cx, r->home, NULL), acme = log_named(&r->cx, r->home, "acme");
	Home *home = restored(r, file, false);
	assert_false(log_ready(&r->cx, home));
	assert_string_equal(fail_name(r->cx.fail->kind), "forked");
	fail_clear(&r->cx);
	Log log = log_named(&r->cx, home, NULL);
	refused(&r->cx, log_publish(&r->cx, home, &log, HEARTBEAT_ALWAYS), FAIL_FORKED,
	    arena_printf(r->cx.mem,
		"the log \"%s\" would fork: the catalogue has 300 entries of it and 701 were signed",
		log.origin));
	ok(&r->cx, log_recover(&r->cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.taken_back, 401 + 4 + 5);
	assert_int_equal(done.successors, 0);
	assert_int_equal(done.found, 1);
	ok(&r->cx, log_ready(&r->cx, home));
	log = log_named(&r->cx, home, NULL);
	assert_string_equal(log.origin, was.origin);
	log_catch_up(&r->cx, home, 60000);
	assert_int_equal(check(&r->cx, home, &log).size, 702); /* and the event of the recovery */
	log = log_named(&r->cx, home, "acme");
	assert_string_equal(log.origin, acme.origin);
	assert_int_equal(check(&r->cx, home, &log).size, 7);
	log = log_named(&r->cx, home, "globex");
	assert_true(log.closed);
	assert_int_equal(check(&r->cx, home, &log).size, 5);
	writes(&r->cx, home, "globex", 1); /* the tenant's next life in the roll */
	log = log_named(&r->cx, home, "globex");
	assert_false(log.closed);
	assert_int_equal(log.next, 1);
}

static void
what_was_written_since_the_restore_comes_after_what_was_signed(void **state)
{
	Room *r = *state;
	Recovery done;
	Bytes bytes;
	int64_t event;

	publish_some(r, 300);
	char *file = backup_of(r);
	publish_some(r, 400);
	Log was = log_named(&r->cx, r->home, NULL);
	Home *home = restored(r, file, false);
	home->reason = "since";
	Event e = { .verb = "test.since", .object = "thing", .outcome = "ok" };
	for (int i = 0; i < 7; i++)
		ok(&r->cx,
		    event_write(&r->cx, home, &e)); /* at places that others were signed at */
	Log log = log_named(&r->cx, home, NULL);
	assert_false(log_publish(&r->cx, home, &log, HEARTBEAT_IF_GROWN));
	fail_clear(&r->cx);
	ok(&r->cx, log_recover(&r->cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.taken_back, 401);
	assert_int_equal(done.moved, 7);
	assert_int_equal(done.successors, 0);
	log = log_named(&r->cx, home, NULL);
	assert_string_equal(log.origin, was.origin);
	assert_int_equal(check(&r->cx, home, &log).size, 701 + 7 + 1);
	for (uint64_t i = 0; i < 9; i++) {
		ok(&r->cx, log_entry(&r->cx, home, &log, 700 + i, &event, &bytes));
		assert_int_equal(
		    memmem(bytes.at, bytes.n, "test.since", 10) != NULL, i > 0 && i < 8);
	}
	ok(&r->cx, log_recover(&r->cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.taken_back + done.moved + done.successors + done.found, 0);
}

static void
a_home_without_its_files_closes_its_logs(void **state)
{
	Room *r = *state;
	Recovery done;

	publish_some(r, 300);
	writes(&r->cx, r->home, "acme", 3);
	log_catch_up(&r->cx, r->home, 60000);
	writes(&r->cx, r->home, NULL, 2); /* in the backup, but in no signed tree yet */
	char *file = backup_of(r);
	Log was = log_named(&r->cx, r->home, NULL);
	Home *home = restored(r, file, true);
	assert_false(log_ready(&r->cx, home));
	fail_clear(&r->cx);
	ok(&r->cx, log_recover(&r->cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.successors, 2);
	assert_int_equal(done.moved, 2);
	assert_int_equal(done.taken_back, 0);
	Log log;
	ok(&r->cx, log_of_origin(&r->cx, home, was.origin, &log));
	assert_true(log.closed);
	assert_int_equal(check(&r->cx, home, &log).size, 300);
	Bytes bytes;
	int64_t event;
	log = log_named(&r->cx, home, NULL);
	assert_string_not_equal(log.origin, was.origin);
	assert_int_equal(check(&r->cx, home, &log).size, 1 + 2 + 1);
	ok(&r->cx, log_entry(&r->cx, home, &log, 0, &event, &bytes));
	assert_non_null(memmem(bytes.at, bytes.n, was.origin, strlen(was.origin)));
	assert_non_null(memmem(bytes.at, bytes.n, "\"audit.successor\"", 17));
	assert_non_null(memmem(bytes.at, bytes.n, base64_text(r->cx.mem, was.root.at, 32), 44));
	log = log_named(&r->cx, home, "acme");
	assert_int_equal(check(&r->cx, home, &log).size, 1);
	ok(&r->cx, log_ready(&r->cx, home));

	/* the same again with what has come of it: closed logs get their files back */
	Room second = *r;
	second.home = home;
	second.dir = arena_printf(r->cx.mem, "%s/second", r->dir);
	assert_int_equal(mkdir(second.dir, 0700), 0);
	home = restored(r, backup_of(&second), true);
	ok(&r->cx, log_recover(&r->cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.successors, 2);
	ok(&r->cx, log_of_origin(&r->cx, home, was.origin, &log));
	assert_int_equal(check(&r->cx, home, &log).size, 300);
}

static void
a_home_without_its_files_takes_back_what_was_published_elsewhere(void **state)
{
	Room *r = *state;
	char *web = arena_printf(r->cx.mem, "%s/web", r->dir);
	Recovery done;
	uint64_t files;
	Logs logs;

	publish_some(r, 300);
	char *file = backup_of(r);
	publish_some(r, 400);
	writes(&r->cx, r->home, "globex", 5);
	log_catch_up(&r->cx, r->home, 60000);
	ok(&r->cx, log_all(&r->cx, r->home, &logs));
	for (size_t i = 0; i < logs.n; i++)
		ok(&r->cx, log_copy(&r->cx, &logs.at[i], web, &files));
	Home *home = restored(r, file, true);
	ok(&r->cx, log_recover(&r->cx, home, &(RecoverAsk){ .copy = web }, &done));
	assert_int_equal(done.taken_back, 401 + 5);
	assert_int_equal(done.found, 1);
	assert_int_equal(done.successors, 1); /* more may have been signed than was published */
	Log log;
	ok(&r->cx, log_of_origin(&r->cx, home, logs.at[0].origin, &log));
	assert_true(log.closed);
	assert_int_equal(check(&r->cx, home, &log).size, 701);
}

static void
files_that_were_damaged_are_made_again(void **state)
{
	Room *r = *state;
	Recovery done;

	publish_some(r, 300);
	Log log = log_named(&r->cx, r->home, NULL);
	put_text(&r->cx, path_of(&r->cx, &log, "tile/0/001.p/44"), "x");
	writes(&r->cx, r->home, NULL, 1);
	refused(&r->cx, log_publish(&r->cx, r->home, &log, HEARTBEAT_IF_GROWN), FAIL_HOME,
	    arena_printf(
		r->cx.mem, "the file \"%s/tile/0/001.p/44\" of the log is damaged", log.dir));
	ok(&r->cx, log_recover(&r->cx, r->home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.successors, 0);
	assert_int_equal(check(&r->cx, r->home, &log).size, 302);
}

/* --- copies --------------------------------------------------------------------------------------- */

static void
a_copy_has_what_a_reader_needs_and_only_what_is_new(void **state)
{
	Room *r = *state;
	char *web = arena_printf(r->cx.mem, "%s/web", r->dir);
	uint64_t files;

	publish_some(r, 300);
	Log log = log_named(&r->cx, r->home, NULL), there = log;
	ok(&r->cx, log_copy(&r->cx, &log, web, &files));
	assert_int_equal(files, 4 + 1 + 2); /* two full, two partial, level 1, key, checkpoint */
	ok(&r->cx, log_copy(&r->cx, &log, web, &files));
	assert_int_equal(files, 1);
	publish_some(r, 5);
	log = log_named(&r->cx, r->home, NULL);
	ok(&r->cx, log_copy(&r->cx, &log, web, &files));
	assert_int_equal(files, 2 + 1);
	there = log;
	there.dir = arena_printf(r->cx.mem, "%s/%s", web, log.folder);
	check(&r->cx, r->home, &there);
	assert_false(file_exists(arena_printf(r->cx.mem, "%s/high-water", there.dir)));
	struct stat st;
	assert_int_equal(stat(arena_printf(r->cx.mem, "%s/tile/0/000", there.dir), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(stat(there.dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
}

/* --- kills ---------------------------------------------------------------------------------------- */

static int
child(const char *dir, const char *word)
{
	Ctx cx = ctx_new(NULL);
	Home *home;
	Log log;

	log_setup(LOG_QUIET, false);
	bool done = home_open(&cx, arena_printf(cx.mem, "%s/home", dir), ACCESS_WRITES, &home) &&
	    log_of(&cx, home, NULL, &log);
	if (strcmp(word, "publish") == 0) {
		int fd = -1;
		done = done && log_lock(&cx, home, 0, &fd);
		if (done && fd < 0) {
			arena_free(cx.mem);
			return EXIT_LEASED;
		}
		if (fd >= 0)
			log_unlock(fd);
		done = done && log_publish(&cx, home, &log, HEARTBEAT_IF_GROWN);
	} else if (strcmp(word, "recover") == 0) {
		Recovery r;
		done = done && log_recover(&cx, home, &(RecoverAsk){ 0 }, &r);
	}
	int code = done ? 0 : (int)fail_exit(cx.fail->kind);
	arena_free(cx.mem);
	return code;
}

static void
a_publication_killed_at_any_boundary_goes_on(void **state)
{
	Room *r = *state;
	int boundaries, more = 0;

	setenv("COPYHOLD_FAULT_AUDIT", "1", 1);
	publish_some(r, 250);
	writes(&r->cx, r->home, NULL, 10);
	boundaries = room_boundaries(r, "publish");
	assert_int_equal(boundaries, 6);
	for (int n = 1; n <= boundaries; n++) {
		for (int twice = 0; twice < 2; twice++) {
			writes(&r->cx, r->home, NULL, 3);
			more += 3;
			assert_int_equal(
			    room_child(r, "publish", arena_printf(r->cx.mem, "kill:%d", n)),
			    -SIGKILL);
		}
		assert_int_equal(room_child(r, "publish", NULL), 0);
		Log log = log_named(&r->cx, r->home, NULL);
		assert_int_equal(check(&r->cx, r->home, &log).size, 260 + more);
	}
	unsetenv("COPYHOLD_FAULT_AUDIT");
}

static void
a_recovery_killed_at_any_boundary_can_be_repeated(void **state)
{
	(void)state;
	int boundaries = 1;

	setenv("COPYHOLD_FAULT_AUDIT", "1", 1);
	for (int n = 0; n <= boundaries; n++) {
		void *room;
		assert_int_equal(room_setup(&room), 0);
		Room *r = room;
		publish_some(r, 300);
		char *file = backup_of(r);
		publish_some(r, 400);
		Home *home = restored(r, file, false);
		writes(&r->cx, home, NULL, 7);
		Room other = *r;
		other.dir = arena_printf(r->cx.mem, "%s/other", r->dir);
		assert_int_equal(mkdir(other.dir, 0700), 0);
		assert_int_equal(
		    rename(home->dir, arena_printf(r->cx.mem, "%s/home", other.dir)), 0);
		if (n == 0) {
			boundaries = room_boundaries(&other, "recover");
			assert_in_range(boundaries, 9, 30);
		} else {
			assert_int_equal(
			    room_child(&other, "recover", arena_printf(r->cx.mem, "kill:%d", n)),
			    -SIGKILL);
			assert_int_equal(room_child(&other, "recover", NULL), 0);
		}
		ok(&r->cx,
		    home_open(&r->cx, arena_printf(r->cx.mem, "%s/home", other.dir), ACCESS_WRITES,
			&home));
		Log log = log_named(&r->cx, home, NULL);
		log_catch_up(&r->cx, home, 60000);
		assert_in_range(check(&r->cx, home, &log).size, 701 + 7 + 1, 701 + 7 + 3);
		room_teardown(&room);
	}
	unsetenv("COPYHOLD_FAULT_AUDIT");
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2], argv[3]);
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(a_log_is_published_as_it_grows),
		T(a_round_takes_what_it_can_and_the_next_the_rest),
		T(each_tenant_has_its_log_and_catching_up_publishes_them_all),
		T(a_heartbeat_signs_the_same_tree_at_a_later_time),
		T(a_clock_that_goes_back_stops_nothing),
		T(lines_of_witnesses_stay_while_the_tree_does),
		T(a_changed_event_is_never_signed),
		T(a_catalogue_that_has_lost_its_state_goes_on_where_it_was),
		T(another_root_of_the_same_size_is_never_signed),
		T(a_folder_that_is_gone_is_never_signed_anew),
		T(a_mark_that_is_damaged_or_another_ones_is_seen),
		T(an_event_that_is_missing_is_told_and_nothing_is_signed),
		T(one_log_that_would_fork_does_not_stop_the_others),
		T(a_writer_that_never_rests_stops_no_publication),
		T(a_home_that_is_ready_is_told_so),
		T(a_catalogue_that_is_older_than_what_was_published_is_refused),
		T(the_lock_is_one_process_at_a_time),
		T(an_old_backup_gets_its_entries_back_from_the_files),
		T(what_was_written_since_the_restore_comes_after_what_was_signed),
		T(a_home_without_its_files_closes_its_logs),
		T(a_home_without_its_files_takes_back_what_was_published_elsewhere),
		T(files_that_were_damaged_are_made_again),
		T(a_copy_has_what_a_reader_needs_and_only_what_is_new),
		T(a_publication_killed_at_any_boundary_goes_on),
		cmocka_unit_test(a_recovery_killed_at_any_boundary_can_be_repeated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

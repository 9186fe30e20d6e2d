#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compliance/audit/log.h"
#include "compliance/audit/witness.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "tests/unit/temp.h"

#define NAME "witness.example/w1"

static Ctx cx;
static char *dir;
static Home *home;
static VEC(pid_t) children;

static void
ok(bool done)
{
	if (!done)
		print_error("%s\n", fail_text(cx.mem, cx.fail));
	assert_true(done);
}

static int
setup(void **state)
{
	bool made;

	(void)state;
	setenv("COPYHOLD_NOW", "1700000000000", 1);
	cx = ctx_new(NULL);
	children.at = NULL;
	children.n = children.cap = 0;
	assert_true(temp_dir(&cx, &dir));
	ok(home_init(&cx, arena_printf(cx.mem, "%s/home", dir), &made));
	ok(home_open(&cx, arena_printf(cx.mem, "%s/home", dir), ACCESS_WRITES, &home));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unsetenv("COPYHOLD_NOW");
	for (size_t i = 0; i < children.n; i++) {
		kill(children.at[i], SIGKILL);
		waitpid(children.at[i], NULL, 0);
	}
	arena_free(cx.mem);
	return 0;
}

/* --- a log ------------------------------------------------------------------------------- */

static Log
write_events(const char *tenant, int n)
{
	Event e = { .tenant = tenant, .verb = "secret.set", .object = "secret/x", .outcome = "ok" };
	Log log;

	for (int i = 0; i < n; i++)
		ok(event_write(&cx, home, &e));
	ok(log_of(&cx, home, tenant, &log));
	ok(log_publish(&cx, home, &log, HEARTBEAT_IF_GROWN));
	return log;
}

static void
tick(void)
{
	setenv(
	    "COPYHOLD_NOW", arena_printf(cx.mem, "%lld", (long long)clock_wall_ms() + 3600000), 1);
}

static Note
published(const Log *log)
{
	Note note = { 0 };
	Checkpoint c;
	bool found;

	ok(log_checkpoint(&cx, log, &note, &c, &found));
	assert_true(found);
	return note;
}

static bool
is_cosigned(const Log *log, const NoteKey *key)
{
	Note note = published(log);
	int64_t at;

	return note_verify(&note, key, &at) == NOTE_VALID;
}

static WitnessRecord
record(void)
{
	WitnessRecords all;

	ok(witness_list(&cx, home, &all));
	assert_int_equal(all.n, 1);
	return all.at[0];
}

/* --- witnesses, in processes of their own -------------------------------------------------- */

static NoteKey
make_witness(const char *name, const Log *logs, size_t n)
{
	Witness *w;
	NoteKey key;

	ok(witness_open(&cx, arena_printf(cx.mem, "%s/%s", dir, name), name, &w));
	for (size_t i = 0; i < n; i++) {
		ok(log_key(&cx, home, &logs[i], KEY_ED25519, &key));
		ok(witness_trust(&cx, w, &key));
	}
	return *witness_key(w);
}

static void
serve_child(const char *name, int tell)
{
	Ctx own = ctx_new(NULL);
	const ServeSpec spec = { .listen = "127.0.0.1:0" };
	Witness *w;

	dup2(tell, STDERR_FILENO);
	lane_catch_signals();
	if (!witness_open(&own, arena_printf(own.mem, "%s/%s", dir, name), NULL, &w) ||
	    !witness_serve(&own, w, &spec))
		_exit(1);
	_exit(0);
}

/* Its address. */
static char *
start_witness(const char *name)
{
	char text[256] = { 0 };
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		serve_child(name, fds[1]);
	vec_push(cx.mem, &children, pid);
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof text - 1) > 0);
	close(fds[0]);
	char *url = strstr(text, "http://");
	assert_non_null(url);
	url[strcspn(url, "\n")] = '\0';
	return arena_dup(cx.mem, url);
}

static NoteKey
with_witness(const Log *log)
{
	char *name = arena_dup(cx.mem, "w1.example");
	NoteKey key = make_witness(name, log, 1);

	ok(witness_remember(&cx, home, start_witness(name), &key, NULL));
	return key;
}

/* Gives each connection the same answer, whatever it says. */
static char *
start_canned(const char *answer)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	pid = fork();
	assert_true(pid >= 0);
	while (!pid) {
		char head[65536];
		int c = accept(fd, NULL, NULL);
		if (recv(c, head, sizeof head, 0) > 0)
			send(c, answer, strlen(answer), MSG_NOSIGNAL);
		shutdown(c, SHUT_WR);
		while (recv(c, head, sizeof head, 0) > 0)
			;
		close(c);
	}
	vec_push(cx.mem, &children, pid);
	close(fd);
	return arena_printf(cx.mem, "http://127.0.0.1:%d", ntohs(at.sin_port));
}

/* --- cosigning ------------------------------------------------------------------------------- */

static void
a_witness_cosigns_what_is_published_and_what_extends_it(void **state)
{
	Log log = write_events(NULL, 3);
	NoteKey key = with_witness(&log);

	(void)state;
	assert_false(is_cosigned(&log, &key));
	ok(witness_ask(&cx, home, &log, 60000));
	assert_true(is_cosigned(&log, &key));
	assert_int_equal(record().behind, 0);
	assert_int_equal(record().since, 0);
	assert_int_equal(record().signed_at, 1700000000000);
	assert_null(record().error);
	for (int i = 1; i < 8; i++) {
		tick();
		log = write_events(NULL, i * 7);
		assert_false(is_cosigned(&log, &key));
		assert_int_equal(record().behind, 1);
		assert_true(record().since > 0);
		ok(witness_ask(&cx, home, &log, 60000));
		assert_true(is_cosigned(&log, &key));
	}
}

static void
a_heartbeat_keeps_the_line_and_gets_a_newer_one(void **state)
{
	Log log = write_events(NULL, 3);
	NoteKey key = with_witness(&log);
	int64_t first, second;
	Note note;

	(void)state;
	log = write_events(NULL, 0);
	ok(witness_ask(&cx, home, &log, 60000));
	note = published(&log);
	assert_int_equal(note_verify(&note, &key, &first), NOTE_VALID);
	tick();
	ok(log_publish(&cx, home, &log, HEARTBEAT_ALWAYS));
	assert_true(is_cosigned(&log, &key));
	assert_int_equal(record().behind, 1);
	ok(witness_ask(&cx, home, &log, 60000));
	note = published(&log);
	assert_int_equal(note.signatures.n, 3);
	assert_int_equal(note_verify(&note, &key, &second), NOTE_VALID);
	/* The witness has a clock of its own, which stands still here. */
	assert_true(second >= first);
	assert_int_equal(record().behind, 0);
}

static void
who_has_not_been_asked_before_is_found_out_by_its_answer(void **state)
{
	Log log = write_events(NULL, 3);
	NoteKey key = with_witness(&log);
	char *url = arena_dup(cx.mem, record().url);

	(void)state;
	ok(witness_ask(&cx, home, &log, 60000));
	ok(witness_forget(&cx, home, url));
	ok(witness_remember(&cx, home, url, &key, NULL));
	tick();
	log = write_events(NULL, 300);
	ok(witness_ask(&cx, home, &log, 60000));
	assert_true(is_cosigned(&log, &key));
}

static void
a_round_offers_all_logs_to_all_witnesses(void **state)
{
	char *names[] = { arena_dup(cx.mem, "w1.example"), arena_dup(cx.mem, "w2.example") };
	NoteKey keys[2];
	Log logs[100];
	size_t asked;

	(void)state;
	for (int i = 0; i < 100; i++)
		logs[i] = write_events(i ? arena_printf(cx.mem, "tenant-%d", i) : NULL, 1 + i % 5);
	for (int i = 0; i < 2; i++) {
		keys[i] = make_witness(names[i], logs, 100);
		ok(witness_remember(&cx, home, start_witness(names[i]), &keys[i], NULL));
	}
	ok(witness_round(&cx, home, 60000, &asked));
	assert_int_equal(asked, 200);
	for (int i = 0; i < 100; i++) {
		assert_true(is_cosigned(&logs[i], &keys[0]));
		assert_true(is_cosigned(&logs[i], &keys[1]));
	}
	ok(witness_round(&cx, home, 60000, &asked));
	assert_int_equal(asked, 0);
}

/* --- forks ------------------------------------------------------------------------------------- */

static void
run(const char *const *argv)
{
	ProcResult r;

	ok(proc_run(&cx, &(ProcSpec){ .argv = argv }, &r));
	assert_int_equal(r.exit_code, 0);
}

/* The whole home as it is, or as it was: like a machine that is set back to a snapshot. */
static void
copy_home(const char *from, const char *to)
{
	const char *const copy[] = { "cp", "-a", arena_printf(cx.mem, "%s/%s", dir, from),
		arena_printf(cx.mem, "%s/%s", dir, to), NULL };

	run(copy);
}

static void
reopen(const char *name)
{
	ok(home_open(&cx, arena_printf(cx.mem, "%s/%s", dir, name), ACCESS_WRITES, &home));
}

static void
forked(const Log *log, const char *what)
{
	assert_false(witness_ask(&cx, home, log, 60000));
	assert_int_equal(cx.fail->kind, FAIL_FORKED);
	assert_string_equal(cx.fail->what,
	    arena_printf(cx.mem, "the witness \"%s\" disagrees: %s", record().url, what));
	assert_string_equal(record().error, what);
	fail_clear(&cx);
}

static void
a_home_that_was_set_back_is_told_so_by_the_witness(void **state)
{
	Log log = write_events(NULL, 4);
	NoteKey key = with_witness(&log);

	(void)state;
	log = write_events(NULL, 0);
	assert_int_equal(log.size, 5);
	ok(witness_ask(&cx, home, &log, 60000));
	copy_home("home", "older");
	tick();
	log = write_events(NULL, 3);
	ok(witness_ask(&cx, home, &log, 60000));

	/* Smaller than what the witness knows. */
	copy_home("older", "smaller");
	reopen("smaller");
	tick();
	log = write_events(NULL, 2);
	forked(&log,
	    arena_printf(cx.mem, "it has cosigned 8 entries of \"%s\", and this home has signed 7",
		log.origin));
	assert_false(is_cosigned(&log, &key));

	/* As large, and another. */
	copy_home("older", "other");
	reopen("other");
	tick();
	log = write_events(NULL, 3);
	forked(&log,
	    arena_printf(
		cx.mem, "it has cosigned another tree of 8 entries of \"%s\"", log.origin));

	/* Larger, and not what it grew from. */
	copy_home("older", "larger");
	reopen("larger");
	tick();
	log = write_events(NULL, 9);
	forked(&log,
	    arena_printf(cx.mem, "its tree of 8 entries of \"%s\" is not the beginning of ours",
		log.origin));
	assert_int_equal(record().behind, 1);

	/* And the one that it knows goes on. */
	reopen("home");
	tick();
	log = write_events(NULL, 4);
	ok(witness_ask(&cx, home, &log, 60000));
	assert_true(is_cosigned(&log, &key));
}

/* Asked before anything is changed. */
static void
not_recovered(const Log *log, const char *why)
{
	Recovery done;
	Log now;

	assert_false(log_recover(&cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(cx.fail->kind, FAIL_FORKED);
	assert_string_equal(cx.fail->what,
	    arena_printf(cx.mem, "the log \"%s\" cannot go on: the witness \"%s\": %s", log->origin,
		record().url, why));
	assert_string_equal(cx.fail->hint,
	    "Give a copy of the published files that has more: copyhold audit recover --from DIR. "
	    "If there is none, --close ends each such log as far as it is known, and a successor "
	    "begins.");
	fail_clear(&cx);
	ok(log_of_origin(&cx, home, log->origin, &now));
	assert_false(now.closed);
	assert_int_equal(now.size, log->size);
	assert_int_equal(now.next, log->next);
}

static void
recovery_asks_the_witnesses_before_it_signs(void **state)
{
	Log log = write_events(NULL, 4);
	Recovery done;
	Logs logs;

	(void)state;
	with_witness(&log);
	log = write_events(NULL, 0);
	ok(witness_ask(&cx, home, &log, 60000));
	copy_home("home", "older");
	tick();
	log = write_events(NULL, 3);
	ok(witness_ask(&cx, home, &log, 60000));

	/* One that agrees stops nothing. */
	ok(log_recover(&cx, home, &(RecoverAsk){ 0 }, &done));
	assert_int_equal(done.successors, 0);

	copy_home("older", "smaller");
	reopen("smaller");
	ok(log_of(&cx, home, NULL, &log));
	not_recovered(&log, "it has cosigned 8 entries, and 5 are known here");

	copy_home("older", "other");
	reopen("other");
	tick();
	log = write_events(NULL, 3);
	not_recovered(&log, "it has cosigned another tree of 8 entries");

	copy_home("older", "larger");
	reopen("larger");
	tick();
	log = write_events(NULL, 9);
	not_recovered(&log, "its tree of 8 entries is not the beginning of ours");

	/* What is given up is closed, and nothing is signed under its name again. */
	reopen("smaller");
	ok(log_recover(&cx, home, &(RecoverAsk){ .close = true }, &done));
	assert_int_equal(done.successors, 1);
	ok(log_all(&cx, home, &logs));
	assert_int_equal(logs.n, 2);
	assert_true(logs.at[0].closed);
	assert_int_equal(logs.at[0].size, 5);
	assert_false(logs.at[1].closed);
	assert_true(logs.at[1].size > 0);
}

static void
a_log_that_was_never_signed_here_and_that_a_witness_knows_is_not_begun_anew(void **state)
{
	Event e = { .tenant = "acme", .verb = "secret.set", .object = "secret/x", .outcome = "ok" };
	Log logs[2];

	(void)state;
	logs[0] = write_events(NULL, 1);
	ok(event_write(&cx, home, &e));
	ok(log_of(&cx, home, "acme", &logs[1]));
	assert_int_equal(logs[1].size, 0);
	NoteKey key = make_witness("w1.example", logs, 2);
	ok(witness_remember(&cx, home, start_witness("w1.example"), &key, NULL));
	copy_home("home", "fresh");
	logs[1] = write_events("acme", 2);
	ok(witness_ask(&cx, home, &logs[1], 60000));
	reopen("fresh");
	ok(log_of(&cx, home, "acme", &logs[1]));
	assert_int_equal(logs[1].size, 0);
	not_recovered(&logs[1], "it has cosigned 3 entries, and 0 are known here");
}

static void
recovery_waits_for_a_witness_that_is_down(void **state)
{
	Log log = write_events(NULL, 3);
	NoteKey key = make_witness("w1.example", &log, 1);
	Recovery done;

	(void)state;
	ok(witness_remember(&cx, home, "http://127.0.0.1:1", &key, NULL));
	ok(log_of(&cx, home, NULL, &log));
	not_recovered(&log, "Couldn't connect to server");
	ok(log_recover(&cx, home, &(RecoverAsk){ .close = true }, &done));
	assert_int_equal(done.successors, 1);
}

/* --- witnesses that do not help --------------------------------------------------------------- */

static void
one_that_is_down_is_asked_again_later_and_stops_nothing(void **state)
{
	Log log = write_events(NULL, 3);
	char *name = arena_dup(cx.mem, "w1.example");
	NoteKey key = make_witness(name, &log, 1);
	size_t asked;

	(void)state;
	ok(witness_remember(&cx, home, "http://127.0.0.1:1", &key, NULL));
	ok(witness_ask(&cx, home, &log, 60000));
	assert_string_equal(record().error, "Couldn't connect to server");
	assert_int_equal(record().asked, 1700000000000);
	assert_int_equal(record().behind, 1);
	ok(witness_round(&cx, home, 60000, &asked));
	assert_int_equal(asked, 0);
	tick();
	ok(witness_round(&cx, home, 60000, &asked));
	assert_int_equal(asked, 1);
	assert_int_equal(record().asked, clock_wall_ms());
	/* It comes back. */
	ok(witness_forget(&cx, home, "http://127.0.0.1:1"));
	ok(witness_remember(&cx, home, start_witness(name), &key, NULL));
	ok(witness_round(&cx, home, 60000, &asked));
	assert_true(is_cosigned(&log, &key));
	assert_null(record().error);
}

static void
one_that_is_down_does_not_hold_up_another(void **state)
{
	Log log = write_events(NULL, 3);
	NoteKey none = make_witness("w0.example", &log, 1), key = with_witness(&log);

	(void)state;
	ok(witness_remember(&cx, home, "http://127.0.0.1:1", &none, NULL));
	ok(witness_ask(&cx, home, &log, 60000));
	assert_true(is_cosigned(&log, &key));
	assert_false(is_cosigned(&log, &none));
}

static void
answers(const char *said, const char *error)
{
	Log log;
	NoteKey key;
	char *url = start_canned(said);

	ok(log_of(&cx, home, NULL, &log));
	key = make_witness("w1.example", &log, 1);
	ok(witness_remember(&cx, home, url, &key, NULL));
	ok(log_publish(&cx, home, &log, HEARTBEAT_IF_GROWN));
	Note before = published(&log);
	ok(witness_ask(&cx, home, &log, 60000));
	assert_string_equal(record().error, error);
	assert_int_equal(record().behind, 1);
	Note after = published(&log);
	assert_string_equal(note_text(cx.mem, &before), note_text(cx.mem, &after));
	ok(witness_forget(&cx, home, url));
}

static char *
http(int status, const char *type, const char *body)
{
	return arena_printf(cx.mem,
	    "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
	    status, type, strlen(body), body);
}

static void
answers_that_are_none_are_kept_as_errors_and_change_nothing(void **state)
{
	Log log = write_events(NULL, 3);
	const char *invalid = "its answer holds no valid cosignature of its key";
	NoteKey other = make_witness("other.example", &log, 1);
	Witness *w;
	WitnessAnswer a;
	Note note = published(&log);
	const char *text = note_text(cx.mem, &note);

	(void)state;
	answers(http(404, "text/plain", "x"),
	    arena_printf(cx.mem, "it does not know the log \"%s\" (404)", log.origin));
	answers(http(403, "text/plain", "x"), "it knows another key of this log (403)");
	answers(http(400, "text/plain", "x"), "it takes the request for malformed (400)");
	answers(http(422, "text/plain", "x"), "it answered 422");
	answers(http(302, "text/plain", "x"), "it answered 302");
	answers(http(500, "text/plain", "x"), "it answered 500");
	answers(http(200, "text/plain", ""), invalid);
	answers(http(200, "text/plain", "\xE2\x80\x94 w1.example AAAAAAAA\n"), invalid);
	answers(http(200, "text/plain", text), invalid);
	answers(http(200, "text/plain", "\n\n\n"), invalid);
	answers(http(200, "application/octet-stream", "\xFF\xFE"), invalid);
	answers(http(409, "text/x.tlog.size", ""), "its answer 409 holds no size");
	answers(http(409, "text/x.tlog.size", "2"), "its answer 409 holds no size");
	answers(http(409, "text/x.tlog.size", "02\n"), "its answer 409 holds no size");
	answers(http(409, "text/x.tlog.size", "2\n2\n"), "its answer 409 holds no size");
	answers(http(409, "text/x.tlog.size", "-1\n"), "its answer 409 holds no size");
	answers("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n", "Transferred a partial file");
	answers("", "Server returned nothing (no headers, no data)");
	answers("nonsense\r\n\r\n", "Unsupported protocol");
	/* A cosignature that is valid, of a witness that is not this one. */
	ok(witness_open(&cx, arena_printf(cx.mem, "%s/other.example", dir), NULL, &w));
	const char *body = arena_printf(cx.mem, "old 0\n\n%s", text);
	ok(witness_add(&cx, w, body, strlen(body), &a));
	assert_int_equal(a.status, 200);
	answers(http(200, "text/plain", a.body), invalid);
	assert_false(is_cosigned(&log, &other));
}

static void
an_answer_that_is_too_long_is_an_error(void **state)
{
	char *body = arena_alloc(cx.mem, 65538);

	(void)state;
	write_events(NULL, 3);
	memset(body, 'x', 65537);
	answers(http(200, "text/plain", body), "the answer is longer than 65536 bytes");
}

static void
a_log_that_cannot_be_read_is_said_of_it_alone(void **state)
{
	Log log = write_events(NULL, 3), other = write_events("acme", 3);
	NoteKey key = with_witness(&log), log_of_acme;
	Witness *w;
	size_t asked;

	(void)state;
	ok(witness_open(&cx, arena_printf(cx.mem, "%s/w1.example", dir), NULL, &w));
	ok(log_key(&cx, home, &other, KEY_ED25519, &log_of_acme));
	ok(witness_trust(&cx, w, &log_of_acme));
	ok(file_remove(&cx, arena_printf(cx.mem, "%s/checkpoint", log.dir)));
	ok(witness_round(&cx, home, 60000, &asked));
	assert_int_equal(asked, 2);
	assert_true(is_cosigned(&other, &key));
	assert_int_equal(record().behind, 1);
	assert_string_equal(record().error, "the log has no published checkpoint");
}

/* --- records ------------------------------------------------------------------------------------ */

static void
a_witness_is_known_once_by_its_address_and_by_its_key(void **state)
{
	Log log = write_events(NULL, 1);
	NoteKey a = make_witness("a.example", &log, 1), b = make_witness("b.example", &log, 1), own;

	(void)state;
	ok(witness_remember(&cx, home, "https://a.example", &a, "PEM"));
	assert_string_equal(record().ca, "PEM");
	assert_string_equal(record().key, note_key_text(cx.mem, &a));
	assert_false(witness_remember(&cx, home, "https://a.example", &b, NULL));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    "error[exists]: the witness is known already, as \"https://a.example\"\n"
	    "  hint:  To change it, remove it first: copyhold audit witness remove URL.\n");
	fail_clear(&cx);
	assert_false(witness_remember(&cx, home, "https://b.example", &a, NULL));
	assert_string_equal(
	    cx.fail->what, "the witness is known already, as \"https://a.example\"");
	fail_clear(&cx);
	ok(log_key(&cx, home, &log, KEY_ED25519, &own));
	assert_false(witness_remember(&cx, home, "https://b.example", &own, NULL));
	assert_string_equal(cx.fail->what,
	    arena_printf(cx.mem, "\"%s\" is a key of another type", note_key_text(cx.mem, &own)));
	fail_clear(&cx);
	ok(witness_forget(&cx, home, "https://a.example"));
	assert_false(witness_forget(&cx, home, "https://a.example"));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    "error[not-found]: there is no witness \"https://a.example\"\n"
	    "  hint:  See: copyhold audit witness list.\n");
}

static bool
has_verb(Ctx *c, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	const char **found = ptr;
	const char *text = arena_dupn(c->mem, (const char *)bytes.at, bytes.n);

	(void)index;
	(void)event;
	if (strstr(text, "\"verb\":\"witness.") && strstr(text, "witness/https://a.example"))
		*found = strstr(text, "witness.add")       ? "add"
		    : *found && strcmp(*found, "add") == 0 ? "add, remove"
							   : "remove";
	return true;
}

static void
adding_and_removing_are_events_of_the_vendors_log(void **state)
{
	Log log = write_events(NULL, 1);
	NoteKey a = make_witness("a.example", &log, 1);
	const char *found = NULL;

	(void)state;
	ok(witness_remember(&cx, home, "https://a.example", &a, NULL));
	ok(witness_forget(&cx, home, "https://a.example"));
	ok(log_of(&cx, home, NULL, &log));
	assert_int_equal(log.next, 3);
	ok(log_each(&cx, home, &log, 0, 3, has_verb, &found));
	assert_string_equal(found, "add, remove");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_witness_cosigns_what_is_published_and_what_extends_it),
		TEST(a_heartbeat_keeps_the_line_and_gets_a_newer_one),
		TEST(who_has_not_been_asked_before_is_found_out_by_its_answer),
		TEST(a_round_offers_all_logs_to_all_witnesses),
		TEST(a_home_that_was_set_back_is_told_so_by_the_witness),
		TEST(recovery_asks_the_witnesses_before_it_signs),
		TEST(a_log_that_was_never_signed_here_and_that_a_witness_knows_is_not_begun_anew),
		TEST(recovery_waits_for_a_witness_that_is_down),
		TEST(one_that_is_down_is_asked_again_later_and_stops_nothing),
		TEST(one_that_is_down_does_not_hold_up_another),
		TEST(answers_that_are_none_are_kept_as_errors_and_change_nothing),
		TEST(an_answer_that_is_too_long_is_an_error),
		TEST(a_log_that_cannot_be_read_is_said_of_it_alone),
		TEST(a_witness_is_known_once_by_its_address_and_by_its_key),
		TEST(adding_and_removing_are_events_of_the_vendors_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

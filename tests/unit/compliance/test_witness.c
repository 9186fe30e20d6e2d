#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compliance/audit/witness.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "tests/unit/temp.h"

#define LOG    "example.com/log"
#define NAME   "witness.example/w1"
#define LEAVES 64

static Ctx cx;
static char *dir;
static Witness *w;
static const char *log_name = LOG;

static Witness *
opened(const char *name)
{
	Witness *out = NULL;

	if (!witness_open(&cx, dir, name, &out))
		print_error("%s\n", fail_text(cx.mem, cx.fail));
	assert_non_null(out);
	return out;
}

static int
setup(void **state)
{
	char *temp;

	(void)state;
	cx = ctx_new(NULL);
	assert_true(temp_dir(&cx, &temp));
	dir = arena_printf(cx.mem, "%s/witness", temp);
	w = opened(NAME);
	log_name = LOG;
	setenv("COPYHOLD_NOW", "1700000000000", 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unsetenv("COPYHOLD_NOW");
	arena_free(cx.mem);
	return 0;
}

/* --- a log: leaves "0", "1"...; from `forked` on they are others ------------------------------ */

typedef struct Tree {
	int forked;
} Tree;

static void
leaf_of(const Tree *t, uint64_t i, Hash *out)
{
	char *text = arena_printf(
	    cx.mem, "%s%llu", (int64_t)i < t->forked ? "" : "other ", (unsigned long long)i);

	merkle_leaf(text, strlen(text), out);
}

static bool
subtree(Ctx *c, void *ptr, int level, uint64_t index, Hash *out)
{
	Hash left, right;

	if (!level) {
		leaf_of(ptr, index, out);
		return true;
	}
	if (!subtree(c, ptr, level - 1, 2 * index, &left) ||
	    !subtree(c, ptr, level - 1, 2 * index + 1, &right))
		return false;
	merkle_node(&left, &right, out);
	return true;
}

static Hash
root_of(Tree *t, uint64_t size)
{
	Range r;
	Hash h;

	range_begin(&r, 0);
	for (uint64_t i = 0; i < size; i++) {
		leaf_of(t, i, &h);
		range_add(&r, &h);
	}
	range_root(&r, &h);
	return h;
}

static NoteSigner
log_signer(char number)
{
	char bytes[32] = { number };
	Secret seed = secret_new(cx.mem, bytes, sizeof bytes);
	NoteSigner s;

	assert_true(note_signer(&cx, log_name, KEY_ED25519, &seed, &s));
	return s;
}

static const char *
signed_root(uint64_t size, Hash root, char signer)
{
	Checkpoint c = { .origin = log_name, .size = size, .root = root };
	const char *text = checkpoint_text(cx.mem, &c);
	Note note = { .text = text, .n = strlen(text) };
	NoteSigner s = log_signer(signer);

	assert_true(note_sign(&cx, &note, &s, 0));
	return note_text(cx.mem, &note);
}

static const char *
request_of(Tree *t, uint64_t old, uint64_t size)
{
	const HashSource from = { subtree, t };
	Buf b = buf_new(cx.mem);
	Hashes proof = { 0 };

	if (old <= size)
		assert_true(merkle_consistency(&cx, &from, old, size, &proof));
	buf_fmt(&b, "old %llu\n", (unsigned long long)old);
	for (size_t i = 0; i < proof.n; i++)
		buf_fmt(&b, "%s\n", base64_text(cx.mem, proof.at[i].at, HASH_BYTES));
	buf_fmt(&b, "\n%s", signed_root(size, root_of(t, size), 1));
	return b.text;
}

static void
trust_log(Witness *of)
{
	NoteSigner s = log_signer(1);

	assert_true(witness_trust(&cx, of, &s.key));
}

static WitnessAnswer
answer_to(const char *body)
{
	WitnessAnswer a;

	if (!witness_add(&cx, w, body, strlen(body), &a))
		print_error("%s\n", fail_text(cx.mem, cx.fail));
	assert_int_equal(cx.fail->kind, FAIL_NONE);
	return a;
}

static void
answers(const char *body, int status, const char *type, const char *said)
{
	WitnessAnswer a = answer_to(body);

	assert_int_equal(a.status, status);
	assert_string_equal(a.type, type);
	assert_string_equal(a.body, said);
}

#define TEXT "text/plain; charset=utf-8"
#define SIZE "text/x.tlog.size"

/* A cosignature of the request's checkpoint by the witness; its time. */
static int64_t
cosigned(const char *body)
{
	WitnessAnswer a = answer_to(body);
	const char *checkpoint = strstr(body, "\n\n") + 2;
	const char *both = arena_printf(cx.mem, "%s%s", checkpoint, a.body);
	int64_t at = 0;
	Note note;

	assert_int_equal(a.status, 200);
	assert_string_equal(a.type, TEXT);
	assert_true(note_read(&cx, both, strlen(both), &note));
	assert_int_equal(note_verify(&note, witness_key(w), &at), NOTE_VALID);
	return at;
}

static WitnessLog
state_of(Witness *of)
{
	WitnessLogs logs;

	assert_true(witness_logs(&cx, of, &logs));
	assert_int_equal(logs.n, 1);
	return logs.at[0];
}

/* --- what another implementation's tests hold: litewitness of torchwood (ISC) ------------------ */

#define SIGSUM "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
#define SIGSUM_1 \
	SIGSUM \
	"\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— " SIGSUM \
	" UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=\n"
#define SIGSUM_3(end) \
	SIGSUM \
	"\n3\nRcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n\n— " SIGSUM \
	" UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6g" end \
	"=\n"
#define SIGSUM_5 \
	SIGSUM \
	"\n5\nQrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=\n\n— " SIGSUM \
	" UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=\n"
#define LEAF(n) "Kg" n "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static void
the_requests_of_litewitness_get_the_answers_that_it_gives(void **state)
{
	unsigned char pub[32];
	NoteKey key;

	(void)state;
	assert_true(
	    hex_bytes("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f", 64, pub));
	key = (NoteKey){ .name = SIGSUM, .id = 0x5202289b, .type = KEY_ED25519 };
	memcpy(key.pub, pub, sizeof pub);
	assert_true(witness_trust(&cx, w, &key));
	cosigned("old 0\n\n" SIGSUM_1);
	answers("old 1\n" LEAF("EA") LEAF("IA") "\n" SIGSUM_3("s"), 403, TEXT,
	    "no known key of this origin has signed\n");
	answers("old 1\n\n" SIGSUM_3("o"), 422, TEXT, "the consistency proof does not verify\n");
	answers(
	    "old 1\n" LEAF("EA") "KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n\n" SIGSUM_3("o"),
	    422, TEXT, "the consistency proof does not verify\n");
	cosigned("old 1\n" LEAF("EA") LEAF("IA") "\n" SIGSUM_3("o"));
	answers("old 1\n" LEAF("EA") "+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=\n" LEAF(
		    "QA") "\n" SIGSUM_5,
	    409, SIZE, "3\n");
	cosigned("old 3\n" LEAF("IA") LEAF(
	    "MA") "wgiIFdZfYNv6WU1OllBKsWnLYIS/DBMqt8Uh/S4OukE=\n" LEAF("QA") "\n" SIGSUM_5);
	WitnessLog log = state_of(w);
	assert_int_equal(log.size, 5);
	assert_string_equal(hex_text(cx.mem, log.root.at, 32),
	    "42bb57ad06420afa4882c4a63ac6a1ec77480b330b2f20dfc53a0caa5f564e36");
}

static void
an_empty_tree_has_one_root_and_no_proof(void **state)
{
	Hash empty, zero = { { 0 } }, leaf;
	const char *line;

	(void)state;
	merkle_empty(&empty);
	merkle_leaf("leaf", 4, &leaf);
	line = base64_text(cx.mem, leaf.at, HASH_BYTES);
	trust_log(w);
	const char *good = arena_printf(cx.mem, "old 0\n\n%s", signed_root(0, empty, 1));
	const char *bad[] = {
		arena_printf(cx.mem, "old 0\n\n%s", signed_root(0, leaf, 1)),
		arena_printf(cx.mem, "old 0\n\n%s", signed_root(0, zero, 1)),
		arena_printf(cx.mem, "old 0\n%s\n\n%s", line, signed_root(0, empty, 1)),
		arena_printf(cx.mem, "old 0\n%s\n\n%s", line, signed_root(1, leaf, 1)),
	};
	for (size_t i = 0; i < LENGTH(bad); i++)
		answers(bad[i], 422, TEXT, "the consistency proof does not verify\n");
	assert_int_equal(state_of(w).signed_at, 0);
	cosigned(good);
	cosigned(good);
	cosigned(arena_printf(cx.mem, "old 0\n\n%s", signed_root(1, leaf, 1)));
	answers(arena_printf(cx.mem, "old 0\n%s\n\n%s", line, signed_root(1, leaf, 1)), 409, SIZE,
	    "1\n");
	answers(arena_printf(cx.mem, "old 1\n\n%s", signed_root(0, empty, 1)), 400, TEXT,
	    "the old size is greater than the checkpoint's\n");
}

/* --- the states of a log -------------------------------------------------------------------- */

static void
every_growth_of_a_log_is_cosigned_and_the_same_checkpoint_again(void **state)
{
	Tree t = { LEAVES };

	(void)state;
	for (uint64_t old = 1; old <= 9; old++) {
		for (uint64_t size = old; size <= 17; size++) {
			log_name = arena_printf(cx.mem, LOG "-%d-%d", (int)old, (int)size);
			trust_log(w);
			cosigned(request_of(&t, 0, old));
			cosigned(request_of(&t, old, size));
			cosigned(request_of(&t, size, size));
		}
	}
}

static void
an_older_checkpoint_is_answered_with_the_size_that_is_known(void **state)
{
	Tree t = { LEAVES };

	(void)state;
	trust_log(w);
	cosigned(request_of(&t, 0, 7));
	answers(request_of(&t, 0, 7), 409, SIZE, "7\n");
	answers(request_of(&t, 3, 5), 409, SIZE, "7\n");
	answers(request_of(&t, 0, 5), 409, SIZE, "7\n");
	answers(request_of(&t, 8, 9), 409, SIZE, "7\n");
	answers(request_of(&t, 7, 5), 400, TEXT, "the old size is greater than the checkpoint's\n");
	assert_int_equal(state_of(w).size, 7);
	assert_int_equal(state_of(w).forks, 0);
}

static void
a_second_tree_of_one_size_is_refused_and_kept_as_the_proof_of_a_fork(void **state)
{
	Tree t = { LEAVES }, other = { 3 };
	const char *first = request_of(&t, 0, 7), *second = request_of(&other, 7, 7);
	WitnessForks forks;

	(void)state;
	trust_log(w);
	cosigned(first);
	answers(second, 409, SIZE, "7\n");
	answers(request_of(&other, 0, 7), 409, SIZE, "7\n");
	answers(request_of(&other, 7, 9), 422, TEXT, "the consistency proof does not verify\n");
	assert_int_equal(state_of(w).forks, 1);
	assert_true(witness_forks(&cx, w, &forks));
	assert_int_equal(forks.n, 1);
	assert_string_equal(forks.at[0].origin, LOG);
	assert_int_equal(forks.at[0].size, 7);
	assert_int_equal(forks.at[0].at, 1700000000000);
	assert_string_equal(forks.at[0].ours, strstr(first, "\n\n") + 2);
	assert_string_equal(forks.at[0].theirs, strstr(second, "\n\n") + 2);
	cosigned(request_of(&t, 7, 9));
}

static void
at_most_sixteen_forks_of_a_log_are_kept(void **state)
{
	Tree t = { LEAVES };

	(void)state;
	trust_log(w);
	cosigned(request_of(&t, 0, 30));
	for (int i = 0; i < 20; i++) {
		Tree other = { i };
		answers(request_of(&other, 30, 30), 409, SIZE, "30\n");
	}
	assert_int_equal(state_of(w).forks, 16);
}

static void
an_unknown_origin_and_unknown_signers_are_told_apart(void **state)
{
	Tree t = { LEAVES };
	Hash root = root_of(&t, 1);
	NoteSigner second = log_signer(2);

	(void)state;
	answers(request_of(&t, 0, 1), 404, TEXT, "the origin is unknown\n");
	trust_log(w);
	answers(arena_printf(cx.mem, "old 0\n\n%s", signed_root(1, root, 2)), 403, TEXT,
	    "no known key of this origin has signed\n");
	assert_true(witness_trust(&cx, w, &second.key));
	cosigned(arena_printf(cx.mem, "old 0\n\n%s", signed_root(1, root, 2)));
	cosigned(request_of(&t, 1, 1));
}

static void
lines_of_others_are_ignored_and_a_wrong_one_of_the_log_is_not(void **state)
{
	Tree t = { LEAVES };
	const char *line =
	    "— stranger.example "
	    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+"
	    "zyWE+xeMcTOAYQ8=\n";
	char *request;

	(void)state;
	trust_log(w);
	cosigned(arena_printf(cx.mem, "%s%s", request_of(&t, 0, 1), line));
	const char *own = strstr(request_of(&t, 0, 1), "— ");
	request = arena_printf(cx.mem, "%s%s", request_of(&t, 1, 2), own);
	answers(request, 403, TEXT, "no known key of this origin has signed\n");
}

static void
a_clock_that_goes_back_makes_no_cosignature_older_than_the_last(void **state)
{
	Tree t = { LEAVES };

	(void)state;
	trust_log(w);
	assert_int_equal(cosigned(request_of(&t, 0, 1)), 1700000000);
	setenv("COPYHOLD_NOW", "1600000000000", 1);
	assert_int_equal(cosigned(request_of(&t, 1, 2)), 1700000000);
	setenv("COPYHOLD_NOW", "1700000001999", 1);
	assert_int_equal(cosigned(request_of(&t, 2, 2)), 1700000001);
}

static void
the_lines_of_an_extension_are_cosigned_with_the_rest(void **state)
{
	Tree t = { LEAVES };
	Checkpoint c = { .origin = LOG, .size = 1, .root = root_of(&t, 1), .extra = "one\ntwo\n" };
	const char *text = checkpoint_text(cx.mem, &c);
	Note note = { .text = text, .n = strlen(text) };
	NoteSigner s = log_signer(1);

	(void)state;
	trust_log(w);
	assert_true(note_sign(&cx, &note, &s, 0));
	cosigned(arena_printf(cx.mem, "old 0\n\n%s", note_text(cx.mem, &note)));
}

/* --- what is no request ----------------------------------------------------------------------- */

static void
what_is_no_request_is_said_so(void **state)
{
	Tree t = { LEAVES };
	const char *note = strstr(request_of(&t, 0, 1), "\n\n") + 2;
	Buf many = buf_new(cx.mem);
	const char *old_said = "the first line is not \"old\" and a size\n";

	(void)state;
	trust_log(w);
	const char *no_old[] = { "", "\n", "old", "old 0", "old \n\n", "old 00\n\n", "old -1\n\n",
		"old  1\n\n", "old +1\n\n", "Old 0\n\n", "old 0 \n\n", "old 0\r\n\n",
		"old 9223372036854775808\n\n", "old 18446744073709551616\n\n" };
	for (size_t i = 0; i < LENGTH(no_old); i++)
		answers(
		    arena_printf(cx.mem, "%s%s", no_old[i], strstr(no_old[i], "\n\n") ? note : ""),
		    400, TEXT, old_said);
	answers("old 0\n", 400, TEXT, "line 2 is no hash in base64 and not empty\n");
	answers(arena_printf(cx.mem, "old 0\nxx\n\n%s", note), 400, TEXT,
	    "line 2 is no hash in base64 and not empty\n");
	answers(arena_printf(cx.mem, "old 0\n" LEAF("EA") "x" LEAF("EA") "\n%s", note), 400, TEXT,
	    "line 3 is no hash in base64 and not empty\n");
	answers(arena_printf(cx.mem, "old 0\n%s", note), 400, TEXT,
	    "line 2 is no hash in base64 and not empty\n");
	buf_add(&many, "old 0\n");
	for (int i = 0; i < 64; i++)
		buf_add(&many, LEAF("EA"));
	answers(arena_printf(cx.mem, "%s\n%s", many.text, note), 400, TEXT,
	    "the proof has more than 63 lines\n");
	answers("old 0\n\n", 400, TEXT, "this is no signed note: it ends before its signatures\n");
	answers(arena_printf(cx.mem, "old 0\n\n%.*s", (int)strlen(note) - 1, note), 400, TEXT,
	    "this is no signed note: it ends before its signatures\n");
	answers(arena_printf(
		    cx.mem, "old 0\n\n" LOG "\n01\n%s", strchr(strchr(note, '\n') + 1, '\n') + 1),
	    400, TEXT, "this is no checkpoint: its second line is no size\n");
	answers(arena_printf(cx.mem, "old 0\n\n" LOG "\n9223372036854775808\n%s",
		    strchr(strchr(note, '\n') + 1, '\n') + 1),
	    400, TEXT, "this is no checkpoint: its second line is no size\n");
}

static void
a_request_with_any_byte_changed_is_cosigned_by_nobody(void **state)
{
	Tree t = { LEAVES };
	char *body;
	size_t n, refused = 0;

	(void)state;
	trust_log(w);
	cosigned(request_of(&t, 0, 5));
	body = arena_dup(cx.mem, request_of(&t, 5, 11));
	n = strlen(body);
	for (size_t i = 0; i < n; i++) {
		WitnessAnswer a;
		body[i] ^= 1;
		assert_true(witness_add(&cx, w, body, n, &a));
		assert_in_set((unsigned long)a.status,
		    ((const unsigned long[]){ 400, 403, 404, 409, 422 }), 5);
		assert_null(strstr(a.body, "— "));
		refused++;
		body[i] ^= 1;
	}
	assert_int_equal(refused, n);
	assert_int_equal(state_of(w).size, 5);
	cosigned(body);
}

/* --- its folder --------------------------------------------------------------------------------- */

static void
the_folder_keeps_name_key_and_state_and_nobody_else_reads_it(void **state)
{
	Tree t = { LEAVES };
	const char *key = note_key_text(cx.mem, witness_key(w));
	struct stat st;

	(void)state;
	trust_log(w);
	cosigned(request_of(&t, 0, 3));
	w = opened(NULL);
	assert_string_equal(note_key_text(cx.mem, witness_key(w)), key);
	assert_int_equal(state_of(w).size, 3);
	assert_string_equal(state_of(w).note, strstr(request_of(&t, 0, 3), "\n\n") + 2);
	answers(request_of(&t, 0, 3), 409, SIZE, "3\n");
	cosigned(request_of(&t, 3, 4));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(arena_printf(cx.mem, "%s/witness.db", dir), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_false(witness_open(&cx, dir, NULL, &w));
	assert_string_equal(
	    cx.fail->what, arena_printf(cx.mem, "\"%s\" is open to other users (mode 0755)", dir));
}

static void
another_name_a_missing_one_and_an_impossible_one_are_refused(void **state)
{
	char *fresh = arena_printf(cx.mem, "%s/../fresh", dir);
	Witness *other;

	(void)state;
	assert_false(witness_open(&cx, dir, "other.example", &other));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    arena_printf(cx.mem,
		"error[exists]: the witness in \"%s\" is \"" NAME "\", not \"other.example\"\n"
		"  hint:  Leave --name out, or take another folder.\n",
		dir));
	fail_clear(&cx);
	assert_false(witness_open(&cx, fresh, NULL, &other));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    arena_printf(cx.mem,
		"error[not-found]: there is no witness in \"%s\"\n"
		"  hint:  Say --name, such as --name witness.example.com/w1, and it is made.\n",
		fresh));
	assert_false(file_exists(fresh));
	fail_clear(&cx);
	assert_false(witness_open(&cx, fresh, "a+b", &other));
	assert_string_equal(cx.fail->what, "a key cannot have the name \"a+b\"");
	fail_clear(&cx);
	assert_true(witness_open(&cx, fresh, "a", &other));
}

static void
a_cosigners_key_is_no_log(void **state)
{
	(void)state;
	assert_false(witness_trust(&cx, w, witness_key(w)));
	assert_string_equal(fail_text(cx.mem, cx.fail),
	    arena_printf(cx.mem,
		"error[input]: \"%s\" is a key of another type\n"
		"  hint:  A log's key is of type 01 (Ed25519).\n",
		note_key_text(cx.mem, witness_key(w))));
}

static void
a_state_that_cannot_be_kept_is_not_cosigned(void **state)
{
	Tree t = { LEAVES };
	const char *body = request_of(&t, 3, 4);
	WitnessAnswer a = { 0 };
	struct rlimit all, none;

	(void)state;
	trust_log(w);
	cosigned(request_of(&t, 0, 3));
	/* No file may grow or be written past its first byte, as on a full disk. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	none = (struct rlimit){ 0, all.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_false(witness_add(&cx, w, body, strlen(body), &a));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_int_equal(a.status, 0);
	assert_int_equal(cx.fail->kind, FAIL_CATALOG);
	fail_clear(&cx);
	assert_int_equal(state_of(w).size, 3);
	assert_int_equal(state_of(opened(NULL)).size, 3);
	cosigned(body);
}

/* --- races and kills ------------------------------------------------------------------------- */

/* What a child got cosigned, a line each: size and root. */
static void
tell(int fd, uint64_t size, const Hash *root)
{
	char *line = arena_printf(
	    cx.mem, "%llu %s\n", (unsigned long long)size, hex_text(cx.mem, root->at, HASH_BYTES));

	if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		_exit(9);
}

/* Offers its tree step by step, learning from 409, until it was refused as another or is at the end. */
static void
offer_all(Tree *t, int fd)
{
	uint64_t old = 0, size = 1;
	Witness *own;

	if (!witness_open(&cx, dir, NULL, &own))
		_exit(8);
	while (size <= LEAVES) {
		const char *body = request_of(t, old, size);
		Hash root = root_of(t, size);
		WitnessAnswer a;

		if (!witness_add(&cx, own, body, strlen(body), &a))
			_exit(7);
		if (a.status == 200)
			tell(fd, size, &root);
		else if (a.status == 409) {
			uint64_t known = strtoull(a.body, NULL, 10);
			if (known == old)
				_exit(0); /* another tree of this size */
			old = known;
			size = known > size ? known : size;
			continue;
		} else
			_exit(a.status == 422 ? 0 : 6);
		old = size++;
	}
	_exit(0);
}

/* A process of its own: the faults are read once in a process. */
static pid_t
child(int forked, const char *fault)
{
	const char *number = arena_printf(cx.mem, "%d", forked);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (fault)
		setenv("COPYHOLD_FAULT", fault, 1);
	execl("/proc/self/exe", "test_witness", dir, number, (char *)NULL);
	_exit(5);
}

static int
offer_as_child(const char *folder, const char *forked)
{
	Tree t = { (int)strtol(forked, NULL, 10) };

	cx = ctx_new(NULL);
	dir = arena_dup(cx.mem, folder);
	offer_all(&t,
	    open(arena_printf(cx.mem, "%s/told", dir), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
		0600));
	return 1;
}

static void
no_size_was_cosigned_with_two_roots(uint64_t *largest, int *lines)
{
	static char roots[LEAVES + 1][65];
	char *text;
	size_t n;

	memset(roots, 0, sizeof roots);
	*largest = 0;
	*lines = 0;
	assert_true(file_read(&cx, arena_printf(cx.mem, "%s/told", dir), 1 << 20, &text, &n));
	for (char *p = text; *p; p = strchr(p, '\n') + 1) {
		char *end;
		uint64_t size = strtoull(p, &end, 10);

		assert_in_range(size, 1, LEAVES);
		if (*roots[size])
			assert_memory_equal(roots[size], end + 1, 64);
		memcpy(roots[size], end + 1, 64);
		*largest = size > *largest ? size : *largest;
		++*lines;
	}
}

static void
processes_that_race_with_two_trees_never_get_two_of_one_size(void **state)
{
	uint64_t largest;
	int lines;

	(void)state;
	trust_log(w);
	for (int i = 0; i < 8; i++)
		child(i & 1 ? 20 : LEAVES, NULL);
	for (int i = 0; i < 8; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	no_size_was_cosigned_with_two_roots(&largest, &lines);
	assert_int_equal(largest, LEAVES);
	assert_int_equal(state_of(w).size, LEAVES);
}

static void
a_kill_at_any_boundary_loses_no_state_that_was_told(void **state)
{
	uint64_t largest = 0;
	int lines, kills = 0;

	(void)state;
	trust_log(w);
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t pid = child(i & 1 ? 30 : LEAVES, arena_printf(cx.mem, "kill:%d", 1 + i % 6));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		kills += status != 0;
		if (file_exists(arena_printf(cx.mem, "%s/told", dir)))
			no_size_was_cosigned_with_two_roots(&largest, &lines);
		assert_true(state_of(w).size >= largest);
	}
	assert_true(kills >= 50);
	assert_true(largest > 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(int argc, char **argv)
{
	if (argc == 3)
		return offer_as_child(argv[1], argv[2]);
	const struct CMUnitTest tests[] = {
		TEST(the_requests_of_litewitness_get_the_answers_that_it_gives),
		TEST(an_empty_tree_has_one_root_and_no_proof),
		TEST(every_growth_of_a_log_is_cosigned_and_the_same_checkpoint_again),
		TEST(an_older_checkpoint_is_answered_with_the_size_that_is_known),
		TEST(a_second_tree_of_one_size_is_refused_and_kept_as_the_proof_of_a_fork),
		TEST(at_most_sixteen_forks_of_a_log_are_kept),
		TEST(an_unknown_origin_and_unknown_signers_are_told_apart),
		TEST(lines_of_others_are_ignored_and_a_wrong_one_of_the_log_is_not),
		TEST(a_clock_that_goes_back_makes_no_cosignature_older_than_the_last),
		TEST(the_lines_of_an_extension_are_cosigned_with_the_rest),
		TEST(what_is_no_request_is_said_so),
		TEST(a_request_with_any_byte_changed_is_cosigned_by_nobody),
		TEST(the_folder_keeps_name_key_and_state_and_nobody_else_reads_it),
		TEST(another_name_a_missing_one_and_an_impossible_one_are_refused),
		TEST(a_cosigners_key_is_no_log),
		TEST(a_state_that_cannot_be_kept_is_not_cosigned),
		TEST(processes_that_race_with_two_trees_never_get_two_of_one_size),
		TEST(a_kill_at_any_boundary_loses_no_state_that_was_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

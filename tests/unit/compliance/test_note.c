#include <string.h>

#include "compliance/audit/note.h"
#include "tests/unit/unit.h"

/* Vectors: c2sp.org/signed-note, golang.org/x/mod/sumdb/note, and a checkpoint that logs and
 * witnesses of other implementations have signed. */
#define DASH "\xE2\x80\x94 "

static const char example_key[] =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
static const char example[] =
    "This is an example message.\n\n" DASH "example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

static const char peter_key[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char peter_private[] = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
static const char peter_text[] = "If you think cryptography is the answer to your problem,\n"
				 "then you don't know what your problem is.\n";
static const char peter_line[] = DASH
    "PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

static const char arche_key[] = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+"
				"AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
static const char remora_key[] =
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
static const char arche[] =
    "arche2025h1.staging.ct.transparency.dev\n"
    "1432088532\n"
    "U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n" DASH
    "arche2025h1.staging.ct.transparency.dev "
    "zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbo"
    "n5Ch9MNL5zRNZ55lvGt0=\n" DASH "arche2025h1.staging.ct.transparency.dev "
    "ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n" DASH
    "remora.n621.de "
    "2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/"
    "KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n";

static int
setup(void **state)
{
	static Ctx cx;

	cx = ctx_new(NULL);
	*state = &cx;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Ctx *)*state)->mem);
	return 0;
}

static NoteKey
key(Ctx *cx, const char *text)
{
	NoteKey k;

	assert_true(note_key_read(cx, text, &k));
	assert_string_equal(note_key_text(cx->mem, &k), text);
	return k;
}

static Note
note(Ctx *cx, const char *text)
{
	Note n;

	assert_true(note_read(cx, text, strlen(text), &n));
	assert_string_equal(note_text(cx->mem, &n), text);
	return n;
}

static NoteSigner
signer(Ctx *cx, const char *name, NoteKeyType type, char fill)
{
	Secret seed = secret_alloc(cx->mem, 32);
	NoteSigner s;

	memset(seed.text, fill, 32);
	assert_true(note_signer(cx, name, type, &seed, &s));
	return s;
}

static void
the_published_keys_are_read_and_written(void **state)
{
	Ctx *cx = *state;
	static const char pub[] =
	    "e932791ae6e7a840a46164c904786426d5e7821dd8b29a00d61cae72afdd4da4";
	NoteKey k = key(cx, example_key);

	assert_string_equal(k.name, "example.com/foo");
	assert_int_equal(k.id, 0x530d903a);
	assert_int_equal(k.type, KEY_ED25519);
	assert_string_equal(hex_text(cx->mem, k.pub, 32), pub);
	k = key(cx, remora_key);
	assert_int_equal(k.type, KEY_COSIGNATURE);
	assert_int_equal(k.id, 0xda77ade7);
	key(cx, "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop");
	key(cx, "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6");
}

static void
the_published_notes_verify(void **state)
{
	Ctx *cx = *state;
	NoteKey foo = key(cx, example_key), peter = key(cx, peter_key);
	Note n = note(cx, example),
	     p = note(cx, arena_printf(cx->mem, "%s\n%s", peter_text, peter_line));
	int64_t at = -1;

	assert_int_equal(note_verify(&n, &foo, &at), NOTE_VALID);
	assert_int_equal(at, 0);
	assert_int_equal(note_verify(&n, &peter, &at), NOTE_UNSIGNED);
	assert_int_equal(note_verify(&p, &peter, &at), NOTE_VALID);
	assert_string_equal(n.text, "This is an example message.\n");
}

static void
our_signature_is_the_published_one(void **state)
{
	Ctx *cx = *state;
	Note n = { .text = peter_text, .n = strlen(peter_text) };
	Bytes private;
	NoteSigner s;

	assert_true(base64_bytes(cx->mem, peter_private, strlen(peter_private), &private));
	Secret seed = secret_new(cx->mem, private.at + 1, 32);
	assert_true(note_signer(cx, "PeterNeumann", KEY_ED25519, &seed, &s));
	assert_string_equal(note_key_text(cx->mem, &s.key), peter_key);
	assert_true(note_sign(cx, &n, &s, 0));
	assert_string_equal(
	    note_text(cx->mem, &n), arena_printf(cx->mem, "%s\n%s", peter_text, peter_line));
}

static void
a_checkpoint_of_other_implementations_verifies_with_its_witness(void **state)
{
	Ctx *cx = *state;
	NoteKey log = key(cx, arche_key), witness = key(cx, remora_key);
	Note n = note(cx, arche);
	Checkpoint c;
	int64_t at = 0;

	assert_int_equal(note_verify(&n, &log, &at), NOTE_VALID);
	assert_int_equal(note_verify(&n, &witness, &at), NOTE_VALID);
	assert_int_equal(at, 0x6a122120);
	assert_true(checkpoint_read(cx, &n, &c));
	assert_string_equal(c.origin, "arche2025h1.staging.ct.transparency.dev");
	assert_int_equal(c.size, 1432088532);
	assert_string_equal(c.extra, "");
	assert_string_equal(checkpoint_text(cx->mem, &c), n.text);
}

static void
a_changed_text_is_bad_and_not_merely_unsigned(void **state)
{
	Ctx *cx = *state;
	NoteKey log = key(cx, arche_key), witness = key(cx, remora_key);

	for (size_t i = 0; i < 80; i++) {
		char *changed = arena_dup(cx->mem, arche);
		Note n;
		if (arche[i] == '\n')
			continue;
		changed[i] = changed[i] == 'x' ? 'y' : 'x';
		assert_true(note_read(cx, changed, strlen(changed), &n));
		assert_int_equal(note_verify(&n, &log, NULL), NOTE_BAD);
		assert_int_equal(note_verify(&n, &witness, NULL), NOTE_BAD);
	}
}

static void
one_bad_line_of_a_key_spoils_its_good_ones(void **state)
{
	Ctx *cx = *state;
	NoteKey k = key(cx, example_key);
	char *bad = arena_dup(cx->mem, strstr(example, DASH));

	bad[40] = bad[40] == 'A' ? 'B' : 'A';
	Note n = note(cx, arena_printf(cx->mem, "%s%s", example, bad));
	assert_int_equal(n.signatures.n, 2);
	assert_int_equal(note_verify(&n, &k, NULL), NOTE_BAD);
}

static void
a_line_with_the_name_but_another_id_is_not_ours(void **state)
{
	Ctx *cx = *state;
	NoteSigner log = signer(cx, "example.com/log", KEY_ED25519, 'a');
	NoteSigner same = signer(cx, "example.com/log", KEY_COSIGNATURE, 'a');
	Note n = { .text = "example.com/log\n", .n = 16 };

	assert_int_not_equal(log.key.id, same.key.id);
	assert_true(note_sign(cx, &n, &same, 1700000000));
	assert_int_equal(note_verify(&n, &log.key, NULL), NOTE_UNSIGNED);
	assert_true(note_sign(cx, &n, &log, 0));
	assert_int_equal(note_verify(&n, &log.key, NULL), NOTE_VALID);
}

static void
a_cosignature_covers_its_time_and_every_line(void **state)
{
	Ctx *cx = *state;
	NoteSigner w = signer(cx, "witness.example/w1", KEY_COSIGNATURE, 'w');
	const Checkpoint c = { .origin = "example.com/log", .size = 7, .extra = "more\n" };
	char *text = checkpoint_text(cx->mem, &c);
	Note n = { .text = text, .n = strlen(text) };
	int64_t at;

	assert_true(note_sign(cx, &n, &w, 1700000000));
	assert_true(note_sign(cx, &n, &w, 1700000060));
	assert_int_equal(note_verify(&n, &w.key, &at), NOTE_VALID);
	assert_int_equal(at, 1700000060);
	unsigned char *later = (unsigned char *)n.signatures.at[0].at.at;
	later[7]++;
	assert_int_equal(note_verify(&n, &w.key, &at), NOTE_BAD);
	later[7]--;
	text[n.n - 2] = '@';
	assert_int_equal(note_verify(&n, &w.key, &at), NOTE_BAD);
}

static void
malformed_keys_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"PeterNeumann",
		"PeterNeumann+c74f20a3",
		"+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
		"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
		"PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"example.com/foo+00000000+++++++++++++++++++++++++++++++++++++++++++++",
	};
	Ctx *cx = *state;
	NoteKey k;

	for (size_t i = 0; i < LENGTH(bad); i++) {
		assert_false(note_key_read(cx, bad[i], &k));
		assert_string_equal(fail_name(cx->fail->kind), "input");
		assert_string_equal(
		    cx->fail->what, "this is no verifier key of Ed25519 or of a cosigner");
		fail_clear(cx);
	}
	for (size_t n = 0; n < strlen(peter_key); n++) {
		assert_false(note_key_read(cx, arena_dupn(cx->mem, peter_key, n), &k));
		fail_clear(cx);
	}
}

static void
malformed_notes_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "it ends before its signatures" },
		{ "text\n", "it ends before its signatures" },
		{ "text\n\n", "it ends before its signatures" },
		{ "text\n" DASH "a AAAAAAE=\n", "it ends before its signatures" },
		{ "text\n\n" DASH "a AAAAAAE=", "it ends before its signatures" },
		{ "te\txt\n\n" DASH "a AAAAAAE=\n", "it has other characters than text" },
		{ "te\rxt\n\n" DASH "a AAAAAAE=\n", "it has other characters than text" },
		{ "te\xFFxt\n\n" DASH "a AAAAAAE=\n", "it has other characters than text" },
		{ "text\n\na AAAAAAE=\n", "one of its signature lines is malformed" },
		{ "text\n\n- a AAAAAAE=\n", "one of its signature lines is malformed" },
		{ "text\n\n" DASH "a AAAAAA==\n", "one of its signature lines is malformed" },
		{ "text\n\n" DASH "a AAAAAAF=\n", "one of its signature lines is malformed" },
		{ "text\n\n" DASH "a AAAAAAE\n", "one of its signature lines is malformed" },
		{ "text\n\n" DASH " AAAAAAE=\n", "one of its signature lines is malformed" },
		{ "text\n\n" DASH "a+b AAAAAAE=\n", "one of its signature lines is malformed" },
		{ "text\n\n" DASH "a\xC2\xA0"
		  "b AAAAAAE=\n",
		    "one of its signature lines is malformed" },
		{ "text\n\n" DASH "a  AAAAAAE=\n", "one of its signature lines is malformed" },
	};
	Ctx *cx = *state;
	Note n;

	for (size_t i = 0; i < LENGTH(bad); i++) {
		assert_false(note_read(cx, bad[i].text, strlen(bad[i].text), &n));
		assert_string_equal(cx->fail->what,
		    arena_printf(cx->mem, "this is no signed note: %s", bad[i].why));
		fail_clear(cx);
	}
}

static void
the_text_may_have_empty_lines(void **state)
{
	Ctx *cx = *state;
	Note n = note(cx, "a\n\nb\n\n" DASH "x AAAAAAE=\n");

	assert_string_equal(n.text, "a\n\nb\n");
	assert_int_equal(n.signatures.n, 1);
}

static void
a_hundred_signatures_are_read_and_no_more(void **state)
{
	Ctx *cx = *state;
	Buf b = buf_new(cx->mem);
	Note n;

	buf_add(&b, "text\n\n");
	for (int i = 0; i < 100; i++)
		buf_add(&b, DASH "x AAAAAAE=\n");
	assert_true(note_read(cx, b.text, b.len, &n));
	assert_int_equal(n.signatures.n, 100);
	buf_add(&b, DASH "x AAAAAAE=\n");
	assert_false(note_read(cx, b.text, b.len, &n));
	assert_string_equal(
	    cx->fail->what, "this is no signed note: it has more than 100 signatures");
}

static void
malformed_checkpoints_are_refused(void **state)
{
#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "o\n1\n", "it lacks origin, size or root" },
		{ "\n1\n" ROOT "\n", "it lacks origin, size or root" },
		{ "o\n01\n" ROOT "\n", "its second line is no size" },
		{ "o\n-1\n" ROOT "\n", "its second line is no size" },
		{ "o\n\n" ROOT "\n", "its second line is no size" },
		{ "o\n9223372036854775808\n" ROOT "\n", "its second line is no size" },
		{ "o\n99999999999999999999\n" ROOT "\n", "its second line is no size" },
		{ "o\n1\nCsUYapGGPo4=\n", "its third line is no hash" },
		{ "o\n1\n" ROOT " \n", "its third line is no hash" },
		{ "o\n1\n" ROOT "\n\n", "it has an empty line" },
		{ "o\n1\n" ROOT "\na\n\n", "it has an empty line" },
	};
	Ctx *cx = *state;
	Checkpoint c;

	for (size_t i = 0; i < LENGTH(bad); i++) {
		Note n = { .text = bad[i].text, .n = strlen(bad[i].text) };
		assert_false(checkpoint_read(cx, &n, &c));
		assert_string_equal(
		    cx->fail->what, arena_printf(cx->mem, "this is no checkpoint: %s", bad[i].why));
		fail_clear(cx);
	}
	Note n = { .text = "o\n9223372036854775807\n" ROOT "\nx y\n" };
	assert_true(checkpoint_read(cx, &n, &c));
	assert_int_equal(c.size, INT64_MAX);
	assert_string_equal(c.extra, "x y\n");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_published_keys_are_read_and_written),
		T(the_published_notes_verify),
		T(our_signature_is_the_published_one),
		T(a_checkpoint_of_other_implementations_verifies_with_its_witness),
		T(a_changed_text_is_bad_and_not_merely_unsigned),
		T(one_bad_line_of_a_key_spoils_its_good_ones),
		T(a_line_with_the_name_but_another_id_is_not_ours),
		T(a_cosignature_covers_its_time_and_every_line),
		T(malformed_keys_are_refused),
		T(malformed_notes_are_refused),
		T(the_text_may_have_empty_lines),
		T(a_hundred_signatures_are_read_and_no_more),
		T(malformed_checkpoints_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

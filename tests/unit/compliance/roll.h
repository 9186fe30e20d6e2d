/*
 * roll.h - what the tests of logs share: events written, and a published log held against the
 * catalogue.
 */
#pragma once

#include "compliance/audit/log.h"
#include "tests/unit/core/room.h"

static void
writes(Ctx *cx, Home *home, const char *tenant, int n)
{
	Event e = { .tenant = tenant, .verb = "test.write", .object = "thing", .outcome = "ok" };

	for (int i = 0; i < n; i++) {
		e.step = i + 1;
		ok(cx, event_write(cx, home, &e));
	}
}

static char *
path_of(Ctx *cx, const Log *log, const char *name)
{
	return arena_printf(cx->mem, "%s/%s", log->dir, name);
}

static void
put_text(Ctx *cx, const char *path, const char *text)
{
	ok(cx, file_write(cx, path, 0600, text, strlen(text)));
}

static char *
text_of(Ctx *cx, const char *path)
{
	char *text;
	size_t n;

	ok(cx, file_read(cx, path, 1 << 20, &text, &n));
	return text;
}

typedef struct Check {
	Home *home;
	const Log *log;
	HashSource from;
	uint64_t size;
	Hash root;
	Range range;
} Check;

static bool
check_entry(Ctx *cx, void *ptr, uint64_t index, int64_t event, Bytes bytes)
{
	Check *c = ptr;
	Hash leaf;
	Hashes proof;

	(void)event;
	merkle_leaf(bytes.at, bytes.n, &leaf);
	range_add(&c->range, &leaf);
	if (index % 37 == 0 || index + 1 == c->size) {
		ok(cx, merkle_inclusion(cx, &c->from, index, c->size, &proof));
		assert_true(merkle_check_inclusion(&leaf, index, c->size, &proof, &c->root));
	}
	return true;
}

/* What is published is what the catalogue has: signature, time, root, and the place of each entry. */
static Checkpoint
check(Ctx *cx, Home *home, Log *log)
{
	Check c = { .home = home, .log = log };
	NoteKey key, beat;
	Checkpoint cp;
	Note note;
	bool found;
	int64_t at;

	ok(cx, log_key(cx, home, log, KEY_ED25519, &key));
	ok(cx, log_key(cx, home, log, KEY_COSIGNATURE, &beat));
	ok(cx, log_checkpoint(cx, log, &note, &cp, &found));
	assert_true(found);
	assert_int_equal(note_verify(&note, &key, &at), NOTE_VALID);
	assert_int_equal(note_verify(&note, &beat, &at), NOTE_VALID);
	assert_string_equal(cp.origin, log->origin);
	const char *dir = log->dir;
	ok(cx, log_of_origin(cx, home, log->origin, log));
	log->dir = dir;
	assert_int_equal(at, log->signed_at / 1000);
	assert_int_equal(cp.size, log->size);
	assert_int_equal(cp.size, log->next);
	assert_true(hash_same(&cp.root, &log->root));
	c.size = cp.size;
	c.root = cp.root;
	c.from = log_hashes(cx->mem, log, cp.size);
	range_begin(&c.range, 0);
	ok(cx, log_each(cx, home, log, 0, cp.size, check_entry, &c));
	range_root(&c.range, &c.root);
	assert_true(hash_same(&cp.root, &c.root));
	assert_string_equal(text_of(cx, path_of(cx, log, "key")),
	    arena_printf(
		cx->mem, "%s\n%s\n", note_key_text(cx->mem, &key), note_key_text(cx->mem, &beat)));
	return cp;
}

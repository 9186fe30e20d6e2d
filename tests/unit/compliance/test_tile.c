#include <string.h>
#include <unistd.h>

#include "compliance/audit/batch.h"
#include "compliance/audit/tile.h"
#include "lib/base/file.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

typedef struct Shelf {
	Ctx cx;
	char *dir;
} Shelf;

#define ok(cx, expression) \
	do { \
		if (!(expression)) { \
			print_error("%s: %s", #expression, fail_text((cx)->mem, (cx)->fail)); \
			_fail(__FILE__, __LINE__); \
		} \
	} while (0)

static int
setup(void **state)
{
	static Shelf s;

	setenv("TMPDIR", "/dev/shm", 0);
	s.cx = ctx_new(NULL);
	*state = &s;
	return temp_dir(&s.cx, &s.dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	arena_free(((Shelf *)*state)->cx.mem);
	return 0;
}

/* The leaves of the published large trees: two bytes, the low one first. */
static void
grow(Shelf *s, uint64_t from, uint64_t to, Hash *root)
{
	Ctx cx = ctx_new(s->cx.mem);
	Batch *b = batch_new(cx.mem, s->dir);
	TileWriter *w;

	ok(&cx, tile_writer(&cx, b, s->dir, from, &w));
	for (uint64_t i = from; i < to; i++) {
		unsigned char data[2] = { (unsigned char)i, (unsigned char)(i >> 8) };
		ok(&cx, tile_add(&cx, w, (Bytes){ data, 2 }));
	}
	ok(&cx, tile_end(&cx, w) && batch_commit(&cx, b));
	tile_tidy(w);
	assert_int_equal(tile_range(w)->end, to);
	range_root(tile_range(w), root);
	arena_free(cx.mem);
}

static bool
there(Shelf *s, const char *path)
{
	return file_exists(arena_printf(s->cx.mem, "%s/%s", s->dir, path));
}

static void
paths_are_those_of_the_specification(void **state)
{
	Shelf *s = *state;
	Arena *mem = s->cx.mem;

	assert_string_equal(tile_path(mem, "log", 0, 1234067, 256), "log/tile/0/x001/x234/067");
	assert_string_equal(tile_path(mem, "log", 0, 0, 256), "log/tile/0/000");
	assert_string_equal(tile_path(mem, "log", 1, 999, 17), "log/tile/1/999.p/17");
	assert_string_equal(tile_path(mem, "log", 2, 1000, 1), "log/tile/2/x001/000.p/1");
	assert_string_equal(tile_path(mem, "log", -1, 273, 112), "log/tile/entries/273.p/112");
}

static void
seventy_thousand_entries_are_the_tiles_of_the_specification(void **state)
{
	Shelf *s = *state;
	char **paths;
	size_t n, full = 0;
	Hash root;

	grow(s, 0, 70000, &root);
	ok(&s->cx,
	    file_list(&s->cx, arena_printf(s->cx.mem, "%s/tile/0", s->dir), NULL, &paths, &n));
	for (size_t i = 0; i < n; i++)
		full += strstr(paths[i], ".p/") == NULL;
	assert_int_equal(n, 274);
	assert_int_equal(full, 273);
	assert_true(there(s, "tile/0/273.p/112"));
	assert_true(there(s, "tile/entries/273.p/112"));
	assert_true(there(s, "tile/1/000"));
	assert_true(there(s, "tile/1/001.p/17"));
	assert_true(there(s, "tile/2/000.p/1"));
	ok(&s->cx, file_list(&s->cx, s->dir, NULL, &paths, &n));
	assert_int_equal(n, 274 + 274 + 2 + 1);
}

static void
a_tree_of_256_has_a_full_tile_and_one_of_width_1(void **state)
{
	Shelf *s = *state;
	char **paths;
	size_t n;
	Hash root;

	grow(s, 0, 256, &root);
	ok(&s->cx, file_list(&s->cx, s->dir, NULL, &paths, &n));
	assert_int_equal(n, 3);
	assert_true(there(s, "tile/0/000"));
	assert_true(there(s, "tile/1/000.p/1"));
	assert_true(there(s, "tile/entries/000"));
	assert_string_equal(base64_text(s->cx.mem, root.at, HASH_BYTES),
	    "qFI0t/tZ1MdOYgyPpPzHFiZVw86koScXy9q3FU5casA=");
}

/* However it was cut, the tree is the same, and each tile says so. */
static void
a_tree_that_grew_in_steps_is_the_same_tree(void **state)
{
	static const uint64_t stops[] = { 1, 10, 15, 100, 255, 256, 257, 1000, 4095, 4096, 10000,
		65535, 65536, 66000 };
	Shelf *s = *state;
	uint64_t have = 0;
	Hash root, again;
	Range r;

	for (size_t i = 0; i < LENGTH(stops); i++) {
		grow(s, have, stops[i], &root);
		have = stops[i];
		HashSource from = tile_hashes(s->cx.mem, s->dir, have);
		ok(&s->cx, merkle_compact(&s->cx, &from, 0, have, &r));
		range_root(&r, &again);
		assert_memory_equal(root.at, again.at, HASH_BYTES);
		if (have == 65535)
			assert_string_equal(base64_text(s->cx.mem, root.at, HASH_BYTES),
			    "iPuVYJhP6SEE4gUFp8qbafd2rYv9YTCDYqAxCj8HdLM=");
	}
	for (uint64_t i = 0; i < have; i += 997) {
		unsigned char data[2] = { (unsigned char)i, (unsigned char)(i >> 8) };
		HashSource from = tile_hashes(s->cx.mem, s->dir, have);
		Hashes proof;
		Hash leaf;
		merkle_leaf(data, 2, &leaf);
		ok(&s->cx, merkle_inclusion(&s->cx, &from, i, have, &proof));
		assert_true(merkle_check_inclusion(&leaf, i, have, &proof, &root));
	}
}

static void
partial_tiles_stay_until_the_full_one_stands(void **state)
{
	Shelf *s = *state;
	Bytes tile;
	Hash root;

	grow(s, 0, 10, &root);
	grow(s, 10, 20, &root);
	assert_true(there(s, "tile/0/000.p/10"));
	assert_true(there(s, "tile/0/000.p/20"));
	grow(s, 20, 300, &root);
	assert_false(there(s, "tile/0/000.p"));
	assert_false(there(s, "tile/entries/000.p"));
	assert_true(there(s, "tile/0/000"));
	ok(&s->cx, tile_read(&s->cx, s->dir, 0, 0, 10, &tile));
	assert_int_equal(tile.n, 10 * HASH_BYTES);
	ok(&s->cx, tile_read(&s->cx, s->dir, -1, 0, 10, &tile));
	assert_int_equal(tile.n, 10 * 4);
}

typedef struct Count {
	int n;
	size_t last;
} Count;

static bool
count(Ctx *cx, void *ptr, Bytes entry)
{
	Count *c = ptr;

	(void)cx;
	c->n++;
	c->last = entry.n;
	return true;
}

static void
the_largest_entry_fits_and_a_larger_one_is_refused(void **state)
{
	Shelf *s = *state;
	unsigned char *big = arena_alloc(s->cx.mem, ENTRY_MAX + 1);
	TileWriter *w;
	Bytes bundle;
	Count c = { 0 };

	Batch *b = batch_new(s->cx.mem, s->dir);
	ok(&s->cx, tile_writer(&s->cx, b, s->dir, 0, &w));
	ok(&s->cx, tile_add(&s->cx, w, (Bytes){ big, 0 }));
	ok(&s->cx, tile_add(&s->cx, w, (Bytes){ big, ENTRY_MAX }));
	assert_false(tile_add(&s->cx, w, (Bytes){ big, ENTRY_MAX + 1 }));
	assert_string_equal(s->cx.fail->what, "an entry of 65536 bytes is larger than 65535");
	fail_clear(&s->cx);
	ok(&s->cx, tile_end(&s->cx, w) && batch_commit(&s->cx, b));
	ok(&s->cx, tile_read(&s->cx, s->dir, -1, 0, 2, &bundle));
	ok(&s->cx, tile_bundle_each(&s->cx, bundle, count, &c));
	assert_int_equal(c.n, 2);
	assert_int_equal(c.last, ENTRY_MAX);
}

static void
a_bundle_that_ends_early_is_refused(void **state)
{
	static const unsigned char bytes[] = { 0, 2, 'a', 'b', 0, 1, 'c' };
	Shelf *s = *state;

	for (size_t n = 0; n < sizeof bytes; n++) {
		Count c = { 0 };
		bool whole = n == 0 || n == 4;
		assert_int_equal(tile_bundle_each(&s->cx, (Bytes){ bytes, n }, count, &c), whole);
		if (!whole)
			assert_string_equal(s->cx.fail->what, "a bundle of entries ends early");
		fail_clear(&s->cx);
	}
}

static void
a_missing_or_short_tile_is_told_with_its_place(void **state)
{
	Shelf *s = *state;
	char *path = arena_printf(s->cx.mem, "%s/tile/0/000.p/3", s->dir);
	TileWriter *w;
	Hash root;

	grow(s, 0, 3, &root);
	ok(&s->cx, file_write(&s->cx, path, 0600, "short", 5));
	assert_false(tile_writer(&s->cx, batch_new(s->cx.mem, s->dir), s->dir, 3, &w));
	assert_string_equal(s->cx.fail->what,
	    arena_printf(s->cx.mem, "the file \"%s\" of the log is damaged", path));
	fail_clear(&s->cx);
	unlink(path);
	assert_false(tile_writer(&s->cx, batch_new(s->cx.mem, s->dir), s->dir, 3, &w));
	assert_string_equal(s->cx.fail->what,
	    arena_printf(s->cx.mem, "the file \"%s\" of the log is missing", path));
}

static void
nothing_is_seen_of_what_was_not_finished(void **state)
{
	Shelf *s = *state;
	Ctx cx = ctx_new(s->cx.mem);
	char **paths;
	size_t n;
	TileWriter *w;

	ok(&cx, tile_writer(&cx, batch_new(cx.mem, s->dir), s->dir, 0, &w));
	for (int i = 0; i < 600; i++)
		ok(&cx, tile_add(&cx, w, (Bytes){ (const unsigned char *)"x", 1 }));
	ok(&cx, tile_end(&cx, w));
	ok(&cx, file_list(&cx, s->dir, NULL, &paths, &n));
	assert_int_equal(n, 0);
	arena_free(cx.mem);
	assert_false(there(s, "tile/0/.000.new"));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(paths_are_those_of_the_specification),
		T(seventy_thousand_entries_are_the_tiles_of_the_specification),
		T(a_tree_of_256_has_a_full_tile_and_one_of_width_1),
		T(a_tree_that_grew_in_steps_is_the_same_tree),
		T(partial_tiles_stay_until_the_full_one_stands),
		T(the_largest_entry_fits_and_a_larger_one_is_refused),
		T(a_bundle_that_ends_early_is_refused),
		T(a_missing_or_short_tile_is_told_with_its_place),
		T(nothing_is_seen_of_what_was_not_finished),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

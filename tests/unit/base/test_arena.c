#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/secret.h"
#include "lib/base/vec.h"
#include "tests/unit/unit.h"

static char order[16];

static void
note(void *name)
{
	size_t n = strlen(order);

	order[n] = *(const char *)name;
	order[n + 1] = '\0';
}

static void
memory_is_zeroed_and_aligned(void **state)
{
	Arena *a = arena_new(NULL);

	(void)state;
	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *p = arena_alloc(a, size);

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xA5, size);
	}
	arena_free(a);
}

static void
reset_memory_is_zeroed_again(void **state)
{
	Arena *a = arena_new(NULL);

	(void)state;
	memset(arena_alloc(a, 500), 0xFF, 500);
	arena_reset(a);
	assert_int_equal(arena_bytes(a), 0);
	const unsigned char *p = arena_alloc(a, 500);
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(p[i], 0);
	arena_free(a);
}

static void
callbacks_run_newest_first_and_children_before_parents(void **state)
{
	Arena *a = arena_new(NULL), *b = arena_new(a);
	static char one = '1', two = '2', three = '3', four = '4';

	(void)state;
	order[0] = '\0';
	arena_on_free(a, note, &one);
	arena_on_free(b, note, &two);
	arena_on_free(a, note, &three);
	arena_on_free(b, note, &four);
	arena_free(a);
	assert_string_equal(order, "4231");
}

static void
a_forgotten_callback_does_not_run(void **state)
{
	Arena *a = arena_new(NULL);
	static char one = '1', two = '2';

	(void)state;
	order[0] = '\0';
	arena_on_free(a, note, &one);
	arena_on_free(a, note, &two);
	arena_forget(a, note, &one);
	arena_reset(a);
	assert_string_equal(order, "2");
	arena_free(a);
	assert_string_equal(order, "2");
}

static void
children_can_be_freed_in_any_order(void **state)
{
	Arena *a = arena_new(NULL), *kids[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		kids[i] = arena_new(a);
		arena_alloc(kids[i], 100);
	}
	size_t four = arena_bytes(a);
	arena_free(kids[1]);
	arena_free(kids[3]);
	assert_int_equal(arena_bytes(a), four / 2);
	arena_free(kids[0]);
	arena_free(kids[2]);
	assert_int_equal(arena_bytes(a), 0);
	arena_free(a);
	arena_free(NULL);
}

static void
growing_keeps_the_bytes_and_zeroes_the_rest(void **state)
{
	Arena *a = arena_new(NULL);
	char *text = arena_grow(a, NULL, 0, 4);

	(void)state;
	memcpy(text, "abcd", 4);
	for (size_t size = 4; size < 400000; size *= 3) {
		text = arena_grow(a, text, size, size * 3);
		assert_memory_equal(text, "abcd", 4);
		for (size_t i = 4; i < size * 3; i++)
			assert_int_equal(text[i], 0);
	}
	arena_free(a);
}

static void
the_newest_block_grows_in_place(void **state)
{
	Arena *a = arena_new(NULL);

	(void)state;
	char *first = arena_alloc(a, 16);
	char *second = arena_alloc(a, 16);
	assert_ptr_equal(arena_grow(a, second, 16, 200), second);
	assert_ptr_not_equal(arena_grow(a, first, 16, 17), first);
	assert_ptr_equal(arena_grow(a, first, 16, 8), first);
	arena_free(a);
}

static void
texts_are_copied_and_printed(void **state)
{
	Arena *a = arena_new(NULL);

	(void)state;
	assert_null(arena_dup(a, NULL));
	assert_string_equal(arena_dup(a, "roll"), "roll");
	assert_string_equal(arena_dupn(a, "rolling", 4), "roll");
	assert_string_equal(arena_dupn(a, NULL, 0), "");
	assert_string_equal(arena_printf(a, "%s-%d", "bj", 1), "bj-1");
	assert_int_equal(strlen(arena_printf(a, "%5000d", 1)), 5000);
	arena_free(a);
}

static void
a_vector_grows_past_its_first_size(void **state)
{
	Arena *a = arena_new(NULL);
	VEC(int) v = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		vec_push(a, &v, i);
	assert_int_equal(v.n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(v.at[i], i);
	arena_free(a);
}

static const char *watched;
static char seen[8];

static void
look(void *unused)
{
	(void)unused;
	memcpy(seen, watched, sizeof seen);
}

static void
a_secret_is_wiped_when_its_arena_goes(void **state)
{
	Arena *a = arena_new(NULL);

	(void)state;
	arena_on_free(a, look, NULL); /* runs last, while the memory is still there */
	Secret s = secret_new(a, "canary77", 8);
	assert_int_equal(s.len, 8);
	assert_string_equal(s.text, "canary77");
	watched = s.text;
	memcpy(seen, s.text, sizeof seen);
	arena_free(a);
	assert_memory_equal(seen, "\0\0\0\0\0\0\0\0", 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(reset_memory_is_zeroed_again),
		cmocka_unit_test(callbacks_run_newest_first_and_children_before_parents),
		cmocka_unit_test(a_forgotten_callback_does_not_run),
		cmocka_unit_test(children_can_be_freed_in_any_order),
		cmocka_unit_test(growing_keeps_the_bytes_and_zeroes_the_rest),
		cmocka_unit_test(the_newest_block_grows_in_place),
		cmocka_unit_test(texts_are_copied_and_printed),
		cmocka_unit_test(a_vector_grows_past_its_first_size),
		cmocka_unit_test(a_secret_is_wiped_when_its_arena_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

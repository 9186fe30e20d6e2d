#include "lib/adapters/map.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static int
setup(void **state)
{
	*state = arena_new(NULL);
	return 0;
}

static int
teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static void
items_come_in_the_order_of_their_first_setting(void **state)
{
	static const char *const keys[] = { "zeta", "alpha", "", "middle" };
	Map *m = map_new(*state);
	int values[4] = { 0, 1, 2, 3 }, other = 9;
	size_t i = 0;

	for (size_t k = 0; k < 4; k++)
		map_set(m, keys[k], &values[k]);
	map_set(m, "alpha", &other);
	assert_int_equal(map_count(m), 4);
	for (const MapItem *it = map_next(m, NULL); it != NULL; it = map_next(m, it), i++) {
		assert_string_equal(it->key, keys[i]);
		assert_ptr_equal(it->value, i == 1 ? &other : &values[i]);
	}
	assert_int_equal(i, 4);
}

static void
what_was_removed_is_missing_and_the_rest_stays(void **state)
{
	Map *m = map_new(*state);
	char key[16];
	int value = 1;

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		map_set(m, key, &value);
	}
	map_remove(m, "k500");
	map_remove(m, "never there");
	assert_int_equal(map_count(m), 999);
	assert_null(map_get(m, "k500"));
	assert_ptr_equal(map_get(m, "k0"), &value);
	assert_ptr_equal(map_get(m, "k999"), &value);
}

static void
an_empty_map_has_no_items(void **state)
{
	Map *m = map_new(*state);

	assert_int_equal(map_count(m), 0);
	assert_null(map_next(m, NULL));
	assert_null(map_get(m, "x"));
}

static void
keys_are_copied(void **state)
{
	Map *m = map_new(*state);
	char key[] = "first";
	int value = 1;

	map_set(m, key, &value);
	key[0] = 'X';
	assert_ptr_equal(map_get(m, "first"), &value);
	assert_null(map_get(m, "Xirst"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    items_come_in_the_order_of_their_first_setting, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_was_removed_is_missing_and_the_rest_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_map_has_no_items, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_are_copied, setup, teardown),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}

#include "lib/adapters/sha_many.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/vec.h"
#include "tests/unit/unit.h"

#define TEXTS 40
#define MOST  300

static unsigned char bytes[TEXTS][MOST];

static void
fill(void)
{
	for (size_t i = 0; i < TEXTS; i++)
		for (size_t k = 0; k < MOST; k++)
			bytes[i][k] = (unsigned char)(i * 7 + k * 13 + k / 9);
}

static const size_t widths[] = { 8, 16 };

/* A width that is not for this machine is made one by one, and shows nothing here. */
static bool
possible(size_t lanes)
{
	return lanes <= sha_many_lanes();
}

/* FIPS 180-4's own examples, and the empty text. */
static void
sums_are_the_published_ones(void **state)
{
	static const struct {
		const char *text, *sum;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
		  "klmnopqrlmnopqrsmnopqrstnopqrstu",
		    "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	};
	Arena *mem = arena_new(NULL);
	Bytes texts[LENGTH(cases)];
	ShaSum sums[LENGTH(cases)];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		texts[i] = (Bytes){ (const unsigned char *)cases[i].text, strlen(cases[i].text) };
	sha_many(texts, LENGTH(cases), sums);
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_string_equal(hex_text(mem, sums[i], sizeof sums[i]), cases[i].sum);
	arena_free(mem);
}

static void
same_as_one_by_one(size_t lanes, const Bytes *texts, size_t n)
{
	ShaSum sums[TEXTS], sum;

	memset(sums, 0xee, sizeof sums);
	sha_many_with(lanes, texts, n, sums);
	for (size_t i = 0; i < n; i++) {
		sha256(texts[i].at, texts[i].n, sum);
		assert_memory_equal(sums[i], sum, sizeof sum);
	}
	for (size_t i = n; i < TEXTS; i++)
		assert_int_equal(sums[i][0], 0xee);
}

static void
every_length_has_the_sum_that_openssl_makes(void **state)
{
	Bytes texts[TEXTS];

	(void)state;
	fill();
	for (size_t w = 0; w < LENGTH(widths) && possible(widths[w]); w++)
		for (size_t n = 0; n + TEXTS <= MOST; n++) {
			for (size_t i = 0; i < TEXTS; i++)
				texts[i] = (Bytes){ bytes[i], n + i };
			same_as_one_by_one(widths[w], texts, TEXTS);
		}
}

static void
lanes_do_not_touch_each_other(void **state)
{
	static const size_t lengths[] = { 0, 299, 1, 55, 56, 63, 64, 65, 119, 120, 128, 200 };
	Bytes texts[TEXTS];

	(void)state;
	fill();
	for (size_t w = 0; w < LENGTH(widths) && possible(widths[w]); w++)
		for (size_t n = 0; n <= TEXTS; n++) {
			for (size_t i = 0; i < n; i++)
				texts[i] = (Bytes){ bytes[i],
					lengths[((size_t)i * 5 + n) % LENGTH(lengths)] };
			same_as_one_by_one(widths[w], texts, n);
		}
}

/* The library has a greatest length; the texts beside a longer one are not held up by it. */
static void
long_texts_have_the_sum_that_openssl_makes(void **state)
{
	static const size_t lengths[] = { 65533, 65534, 65535, 65536, 100000, 524289, 3, 897 };
	Arena *mem = arena_new(NULL);
	Bytes texts[LENGTH(lengths)];

	(void)state;
	for (size_t i = 0; i < LENGTH(lengths); i++) {
		unsigned char *at = arena_alloc(mem, lengths[i]);
		for (size_t k = 0; k < lengths[i]; k++)
			at[k] = (unsigned char)(k * 31 + i);
		texts[i] = (Bytes){ at, lengths[i] };
	}
	for (size_t w = 0; w < LENGTH(widths) && possible(widths[w]); w++)
		same_as_one_by_one(widths[w], texts, LENGTH(texts));
	arena_free(mem);
}

static void
an_empty_text_needs_no_address(void **state)
{
	Bytes texts[TEXTS] = { 0 };

	(void)state;
	for (size_t w = 0; w < LENGTH(widths) && possible(widths[w]); w++)
		same_as_one_by_one(widths[w], texts, TEXTS);
}

/* The page behind the texts may not be read: a step into it ends the test. */
static void
nothing_behind_a_text_is_read(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	Bytes texts[TEXTS];

	(void)state;
	unsigned char *at = mmap(
	    NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	memset(at, 0x5a, page);
	assert_int_equal(mprotect(at + page, page, PROT_NONE), 0);
	for (size_t w = 0; w < LENGTH(widths) && possible(widths[w]); w++)
		for (size_t n = 0; n < MOST; n++) {
			for (size_t i = 0; i < TEXTS; i++)
				texts[i] = (Bytes){ at + page - n, n };
			same_as_one_by_one(widths[w], texts, TEXTS);
		}
	assert_int_equal(munmap(at, 2 * page), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_the_published_ones),
		cmocka_unit_test(every_length_has_the_sum_that_openssl_makes),
		cmocka_unit_test(lanes_do_not_touch_each_other),
		cmocka_unit_test(long_texts_have_the_sum_that_openssl_makes),
		cmocka_unit_test(an_empty_text_needs_no_address),
		cmocka_unit_test(nothing_behind_a_text_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

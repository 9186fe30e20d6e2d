#include <string.h>

#include "compliance/audit/leaves.h"
#include "tests/unit/unit.h"

/* The vectors are those of transparency-dev/merkle (Apache 2.0): testonly, proof and compact. */
static const char *const roots[] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static const char *const leaves[] = { "", "00", "10", "2021", "3031", "40414243",
	"5051525354555657", "606162636465666768696a6b6c6d6e6f" };

typedef struct Vector {
	uint64_t a, b; /* leaf (from 0) and size, or both sizes */
	const char *proof[4];
} Vector;

static const Vector inclusions[] = {
	{ 0, 1, { 0 } },
	{ 0, 8,
	    { "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" } },
	{ 5, 8,
	    { "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
		"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
	{ 2, 3, { "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" } },
	{ 1, 5,
	    { "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" } },
};

static const Vector consistencies[] = {
	{ 1, 1, { 0 } },
	{ 1, 8,
	    { "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" } },
	{ 6, 8,
	    { "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
		"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
	{ 2, 5,
	    { "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" } },
	{ 6, 7,
	    { "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
		"b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
};

static Hash
hash_of(const char *hex)
{
	Hash h;

	assert_true(hex_bytes(hex, 64, h.at));
	return h;
}

static Hash
leaf_of(const char *hex)
{
	unsigned char bytes[16];
	Hash h;

	assert_true(hex_bytes(hex, strlen(hex), bytes));
	merkle_leaf(bytes, strlen(hex) / 2, &h);
	return h;
}

static Hashes
proof_of(Arena *mem, const Vector *v)
{
	Hashes h = { 0 };

	for (size_t i = 0; v->proof[i]; i++)
		vec_push(mem, &h, hash_of(v->proof[i]));
	return h;
}

/* A tree in memory: level by level, the roots of its perfect subtrees. */
typedef struct Tree {
	Hashes level[20];
} Tree;

static bool
tree_subtree(Ctx *cx, void *ptr, int level, uint64_t index, Hash *out)
{
	Tree *t = ptr;

	(void)cx;
	assert_true(level < 20 && index < t->level[level].n);
	*out = t->level[level].at[index];
	return true;
}

static void
tree_add(Arena *mem, Tree *t, Hash leaf)
{
	vec_push(mem, &t->level[0], leaf);
	for (int i = 0; i < 19 && t->level[i].n % 2 == 0; i++) {
		Hash up, *last = &t->level[i].at[t->level[i].n - 2];
		merkle_node(last, last + 1, &up);
		vec_push(mem, &t->level[i + 1], up);
		if (t->level[i + 1].n % 2 != 0)
			break;
	}
}

static Tree
published(Arena *mem)
{
	Tree t = { 0 };

	for (size_t i = 0; i < LENGTH(leaves); i++)
		tree_add(mem, &t, leaf_of(leaves[i]));
	return t;
}

static Tree
numbered(Arena *mem, unsigned n)
{
	Tree t = { 0 };

	for (unsigned i = 0; i < n; i++) {
		unsigned char data[2] = { (unsigned char)i, (unsigned char)(i >> 8) };
		Hash leaf;
		merkle_leaf(data, 2, &leaf);
		tree_add(mem, &t, leaf);
	}
	return t;
}

static Hash
root_of(Ctx *cx, Tree *t, uint64_t size)
{
	HashSource from = { tree_subtree, t };
	Range r;
	Hash root;

	assert_true(merkle_compact(cx, &from, 0, size, &r));
	range_root(&r, &root);
	return root;
}

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

static void
leaves_and_nodes_are_hashed_as_rfc_6962_says(void **state)
{
	Hash h,
	    expected = hash_of("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");

	(void)state;
	merkle_leaf("", 0, &h);
	assert_memory_equal(h.at, expected.at, HASH_BYTES);
	merkle_leaf("L123456", 7, &h);
	expected = hash_of("395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
	assert_memory_equal(h.at, expected.at, HASH_BYTES);
	merkle_empty(&h);
	expected = hash_of(roots[0]);
	assert_memory_equal(h.at, expected.at, HASH_BYTES);
}

static void
the_published_trees_have_the_published_roots(void **state)
{
	Ctx *cx = *state;
	Range r;
	Hash root, expected;

	range_begin(&r, 0);
	for (size_t n = 0; n < LENGTH(roots); n++) {
		range_root(&r, &root);
		expected = hash_of(roots[n]);
		assert_memory_equal(root.at, expected.at, HASH_BYTES);
		if (n < LENGTH(leaves)) {
			Hash leaf = leaf_of(leaves[n]);
			range_add(&r, &leaf);
		}
	}
	assert_int_equal(r.end, 8);
	assert_int_equal(r.n, 1);
	(void)cx;
}

static void
large_trees_have_the_published_roots(void **state)
{
	static const struct {
		unsigned size;
		const char *root;
	} golden[] = {
		{ 10, "VjWMPSYNtCuCNlF/RLnQy6HcwSk6CIipfxm+hettA+4=" },
		{ 15, "j4SulYmocFuxdeyp12xXCIgK6PekBcxzAIj4zbQzNEI=" },
		{ 16, "c+4Uc6BCMOZf/v3NZK1kqTUJe+bBoFtOhP+P3SayKRE=" },
		{ 100, "dUh9hYH88p0CMoHkdr1wC2szbhcLAXOejWpINIooKUY=" },
		{ 255, "SmdsuKUqiod3RX2jyF2M6JnbdE4QuTwwipfAowI4/i0=" },
		{ 256, "qFI0t/tZ1MdOYgyPpPzHFiZVw86koScXy9q3FU5casA=" },
		{ 1000, "RXrgb8xHd55Y48FbfotJwCbV82Kx22LZfEbmBGAvwlQ=" },
		{ 4095, "cWRFdQhPcjn9WyBXE/r1f04ejxIm5lvg40DEpRBVS0w=" },
		{ 4096, "6uU/phfHg1n/GksYT6TO9aN8EauMCCJRl3dIK0HDs2M=" },
		{ 10000, "VZcav65F9haHVRk3wre2axFoBXRNeUh/1d9d5FQfxIg=" },
		{ 65535, "iPuVYJhP6SEE4gUFp8qbafd2rYv9YTCDYqAxCj8HdLM=" },
	};
	Ctx *cx = *state;
	Range r;
	Hash root;

	for (size_t i = 0; i < LENGTH(golden); i++) {
		range_begin(&r, 0);
		for (unsigned n = 0; n < golden[i].size; n++) {
			unsigned char data[2] = { (unsigned char)n, (unsigned char)(n >> 8) };
			Hash leaf;
			merkle_leaf(data, 2, &leaf);
			range_add(&r, &leaf);
		}
		range_root(&r, &root);
		assert_string_equal(base64_text(cx->mem, root.at, HASH_BYTES), golden[i].root);
	}
}

static void
assert_proof(const Hashes *made, const Hashes *expected)
{
	assert_int_equal(made->n, expected->n);
	for (size_t i = 0; i < made->n; i++)
		assert_memory_equal(made->at[i].at, expected->at[i].at, HASH_BYTES);
}

static void
inclusion_proofs_are_the_published_ones(void **state)
{
	Ctx *cx = *state;
	Tree t = published(cx->mem);
	HashSource from = { tree_subtree, &t };

	for (size_t i = 0; i < LENGTH(inclusions); i++) {
		const Vector *v = &inclusions[i];
		Hashes expected = proof_of(cx->mem, v), made;
		Hash root = hash_of(roots[v->b]), leaf = leaf_of(leaves[v->a]);
		assert_true(merkle_inclusion(cx, &from, v->a, v->b, &made));
		assert_proof(&made, &expected);
		assert_true(merkle_check_inclusion(&leaf, v->a, v->b, &made, &root));
	}
}

static void
consistency_proofs_are_the_published_ones(void **state)
{
	Ctx *cx = *state;
	Tree t = published(cx->mem);
	HashSource from = { tree_subtree, &t };

	for (size_t i = 0; i < LENGTH(consistencies); i++) {
		const Vector *v = &consistencies[i];
		Hashes expected = proof_of(cx->mem, v), made;
		Hash old = hash_of(roots[v->a]), root = hash_of(roots[v->b]);
		assert_true(merkle_consistency(cx, &from, v->a, v->b, &made));
		assert_proof(&made, &expected);
		assert_true(merkle_check_consistency(v->a, &old, v->b, &root, &made));
	}
}

static Hashes
with(Arena *mem, const Hashes *proof, size_t at, const Hash *more)
{
	Hashes h = { 0 };

	for (size_t i = 0; i <= proof->n; i++) {
		if (i == at)
			vec_push(mem, &h, *more);
		if (i < proof->n)
			vec_push(mem, &h, proof->at[i]);
	}
	return h;
}

static Hashes
without(const Hashes *proof)
{
	return (Hashes){ proof->at, proof->n - 1, 0 };
}

/* The mutations of the published tests: places, sizes, roots, more, less and changed hashes. */
static void
no_changed_inclusion_proof_is_taken(void **state)
{
	Ctx *cx = *state;
	Hash some = hash_of("abacaba000000000000000000000000000000000000000000060061e00123456");
	Hash none = hash_of(roots[0]);

	for (size_t i = 1; i < LENGTH(inclusions); i++) {
		const Vector *v = &inclusions[i];
		Hashes p = proof_of(cx->mem, v), less = without(&p);
		Hash root = hash_of(roots[v->b]), leaf = leaf_of(leaves[v->a]);
		assert_false(merkle_check_inclusion(&leaf, v->a - 1, v->b, &p, &root));
		assert_false(merkle_check_inclusion(&leaf, v->a + 1, v->b, &p, &root));
		assert_false(merkle_check_inclusion(&leaf, v->a ^ 2, v->b, &p, &root));
		assert_false(merkle_check_inclusion(&leaf, v->a, v->b * 2, &p, &root));
		assert_false(merkle_check_inclusion(&leaf, v->a, v->b / 2, &p, &root));
		assert_false(merkle_check_inclusion(&some, v->a, v->b, &p, &root));
		assert_false(merkle_check_inclusion(&leaf, v->a, v->b, &p, &none));
		assert_false(merkle_check_inclusion(&leaf, v->a, v->b, &p, &some));
		assert_false(merkle_check_inclusion(&leaf, v->a, v->b, &less, &root));
		for (size_t at = 0; at <= p.n; at++) {
			Hashes more = with(cx->mem, &p, at, &root),
			       odd = with(cx->mem, &p, at, &some);
			assert_false(merkle_check_inclusion(&leaf, v->a, v->b, &more, &root));
			assert_false(merkle_check_inclusion(&leaf, v->a, v->b, &odd, &root));
		}
		for (size_t bit = 0; bit < p.n * 256; bit++) {
			p.at[bit / 256].at[bit % 256 / 8] ^= (unsigned char)(1 << bit % 8);
			assert_false(merkle_check_inclusion(&leaf, v->a, v->b, &p, &root));
			p.at[bit / 256].at[bit % 256 / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
}

static void
no_changed_consistency_proof_is_taken(void **state)
{
	Ctx *cx = *state;
	Hash some = hash_of("abacaba000000000000000000000000000000000000000000060061e00123456");
	Hashes empty = { 0 };

	for (size_t i = 1; i < LENGTH(consistencies); i++) {
		const Vector *v = &consistencies[i];
		Hashes p = proof_of(cx->mem, v), less = without(&p);
		Hash old = hash_of(roots[v->a]), root = hash_of(roots[v->b]);
		assert_false(merkle_check_consistency(v->a - 1, &old, v->b, &root, &p));
		assert_false(merkle_check_consistency(v->a + 1, &old, v->b, &root, &p));
		assert_false(merkle_check_consistency(v->a ^ 2, &old, v->b, &root, &p));
		assert_false(merkle_check_consistency(v->a, &old, v->b * 2, &root, &p));
		assert_false(merkle_check_consistency(v->a, &old, v->b / 2, &root, &p));
		assert_false(merkle_check_consistency(v->a, &some, v->b, &root, &p));
		assert_false(merkle_check_consistency(v->a, &old, v->b, &some, &p));
		assert_false(merkle_check_consistency(v->a, &root, v->b, &old, &p));
		assert_false(merkle_check_consistency(v->a, &old, v->b, &root, &empty));
		assert_false(merkle_check_consistency(v->a, &old, v->b, &root, &less));
		for (size_t at = 0; at <= p.n; at++) {
			Hashes a = with(cx->mem, &p, at, &root), b = with(cx->mem, &p, at, &old);
			assert_false(merkle_check_consistency(v->a, &old, v->b, &root, &a));
			assert_false(merkle_check_consistency(v->a, &old, v->b, &root, &b));
		}
		for (size_t bit = 0; bit < p.n * 256; bit++) {
			p.at[bit / 256].at[bit % 256 / 8] ^= (unsigned char)(1 << bit % 8);
			assert_false(merkle_check_consistency(v->a, &old, v->b, &root, &p));
			p.at[bit / 256].at[bit % 256 / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
}

static void
empty_and_equal_trees_need_no_proof(void **state)
{
	Ctx *cx = *state;
	Hash none = hash_of(roots[0]), one = hash_of(roots[1]), two = hash_of(roots[2]);
	Hashes empty = { 0 }, odd = with(cx->mem, &empty, 0, &none);

	assert_true(merkle_check_consistency(0, &none, 0, &none, &empty));
	assert_true(merkle_check_consistency(0, &none, 1, &one, &empty));
	assert_true(merkle_check_consistency(1, &one, 1, &one, &empty));
	assert_false(merkle_check_consistency(0, &none, 0, &one, &empty));
	assert_false(merkle_check_consistency(0, &one, 1, &one, &empty));
	assert_false(merkle_check_consistency(1, &one, 1, &two, &empty));
	assert_false(merkle_check_consistency(1, &one, 0, &none, &empty));
	assert_false(merkle_check_consistency(2, &two, 1, &one, &empty));
	assert_false(merkle_check_consistency(1, &one, 2, &two, &empty));
	assert_false(merkle_check_consistency(0, &none, 0, &none, &odd));
	assert_false(merkle_check_consistency(0, &none, 1, &one, &odd));
	assert_false(merkle_check_consistency(1, &one, 1, &one, &odd));
	assert_false(merkle_check_inclusion(&one, 0, 0, &empty, &one));
	assert_false(merkle_check_inclusion(&one, 1, 0, &empty, &one));
	assert_false(merkle_check_inclusion(&one, 2, 1, &empty, &one));
	assert_true(merkle_check_inclusion(&one, 0, 1, &empty, &one));
}

static void
every_proof_of_every_small_tree_holds_and_fits_no_other_place(void **state)
{
	Ctx *cx = *state;
	Tree t = numbered(cx->mem, 70);
	HashSource from = { tree_subtree, &t };
	Hashes p;

	for (uint64_t size = 1; size <= 70; size++) {
		Hash root = root_of(cx, &t, size);
		for (uint64_t i = 0; i < size; i++) {
			assert_true(merkle_inclusion(cx, &from, i, size, &p));
			for (uint64_t j = 0; j < size; j++)
				assert_int_equal(
				    merkle_check_inclusion(&t.level[0].at[j], j, size, &p, &root),
				    i == j);
		}
		for (uint64_t old = 0; old <= size; old++) {
			Hash was = root_of(cx, &t, old);
			assert_true(merkle_consistency(cx, &from, old, size, &p));
			assert_true(merkle_check_consistency(old, &was, size, &root, &p));
		}
	}
}

static void
ranges_join_wherever_they_were_cut(void **state)
{
	Ctx *cx = *state;
	Tree t = numbered(cx->mem, 70);
	HashSource from = { tree_subtree, &t };

	for (uint64_t end = 0; end <= 70; end++) {
		Range whole;
		assert_true(merkle_compact(cx, &from, 0, end, &whole));
		for (uint64_t a = 0; a <= end; a++)
			for (uint64_t b = a; b <= end; b += 7) {
				Range left, middle, right;
				assert_true(merkle_compact(cx, &from, 0, a, &left));
				assert_true(merkle_compact(cx, &from, a, b, &middle));
				assert_true(merkle_compact(cx, &from, b, end, &right));
				assert_true(range_join(&middle, &right));
				assert_true(range_join(&left, &middle));
				assert_int_equal(left.n, whole.n);
				assert_memory_equal(left.at, whole.at, whole.n * sizeof(Hash));
				if (b != end)
					assert_false(range_join(&left, &right));
			}
	}
}

static void
a_proof_outside_of_the_tree_is_refused(void **state)
{
	Ctx *cx = *state;
	Tree t = numbered(cx->mem, 3);
	HashSource from = { tree_subtree, &t };
	Hashes p;

	assert_false(merkle_inclusion(cx, &from, 3, 3, &p));
	assert_string_equal(cx->fail->what, "entry 3 is not in a tree of 3");
	fail_clear(cx);
	assert_false(merkle_consistency(cx, &from, 4, 3, &p));
	assert_string_equal(cx->fail->what, "a tree of 4 is no part of a tree of 3");
}

/* Entries of every size: some fill the room for a batch, some are larger than it. */
static void
leaves_that_are_taken_together_make_the_same_range(void **state)
{
	Ctx *cx = *state;
	static const uint64_t begins[] = { 0, 1, 255, 256, 1000 };
	static const size_t counts[] = { 0, 1, 2, 255, 256, 257, 700, 1025 };
	unsigned char *entry = arena_alloc(cx->mem, (size_t)600 << 10);
	Range one, many;
	Hash leaf;

	memset(entry, 'x', (size_t)600 << 10);
	for (size_t b = 0; b < LENGTH(begins); b++)
		for (size_t c = 0; c < LENGTH(counts); c++) {
			Leaves *l = leaves_new(cx->mem, &many);
			range_begin(&one, begins[b]);
			range_begin(&many, begins[b]);
			for (size_t i = 0; i < counts[c]; i++) {
				size_t n = i == 300 ? (size_t)600 << 10
				    : i % 64 == 7   ? (size_t)65535
						    : i % 200;
				memcpy(entry, &i, sizeof i);
				merkle_leaf(entry, n, &leaf);
				range_add(&one, &leaf);
				leaves_add(l, (Bytes){ entry, n });
			}
			leaves_end(l);
			assert_int_equal(many.begin, one.begin);
			assert_int_equal(many.end, one.end);
			assert_int_equal(many.n, one.n);
			assert_memory_equal(many.at, one.at, one.n * sizeof one.at[0]);
		}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(leaves_and_nodes_are_hashed_as_rfc_6962_says),
		T(the_published_trees_have_the_published_roots),
		T(large_trees_have_the_published_roots),
		T(inclusion_proofs_are_the_published_ones),
		T(consistency_proofs_are_the_published_ones),
		T(no_changed_inclusion_proof_is_taken),
		T(no_changed_consistency_proof_is_taken),
		T(empty_and_equal_trees_need_no_proof),
		T(every_proof_of_every_small_tree_holds_and_fits_no_other_place),
		T(ranges_join_wherever_they_were_cut),
		T(a_proof_outside_of_the_tree_is_refused),
		T(leaves_that_are_taken_together_make_the_same_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdio.h>
#include <string.h>

#include "compliance/audit/canon.h"
#include "lib/adapters/js.h"
#include "lib/base/vec.h"
#include "tests/unit/unit.h"

static Bytes
bytes_of(const char *text)
{
	return (Bytes){ (const unsigned char *)text, strlen(text) };
}

/* What the library that writes events says: read and written again it is the same, and an object. */
static bool
written_so(Bytes text)
{
	Ctx cx = ctx_new(NULL);
	Js *value;
	bool same = false;

	if (js_parse(&cx, (const char *)text.at, text.n, &value)) {
		const char *again = js_canonical(cx.mem, value);
		same = strlen(again) == text.n && memcmp(again, text.at, text.n) == 0 &&
		    again[0] == '{';
	}
	arena_free(cx.mem);
	return same;
}

static bool
canonical(Bytes text)
{
	CanonObject o;

	return canon_object(text, &o);
}

static const char *const good[] = {
	"{}",
	"{\"a\":1}",
	"{\"actor\":{\"commit\":\"00ff\"},\"after\":null,\"at\":1763773200000,\"v\":[1,-2,[],{}]}",
	"{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001F/\x7f\"}",
	"{\"a\":\"M\xC3\xBCller \xE6\x9D\x8E \xF0\x9F\x98\x80 \xEF\xBF\xBD\"}",
	"{\"a\":true,\"b\":false,\"c\":null}",
	"{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":0}",
	"{\"\":1,\"\\n\":2,\" \":3,\"A\":4,\"a\":5,\"aa\":6,\"b\":7,\"\xC3\xBC\":8}",
	"{\"a\":\"0123456789012345678901234567890123456789\\\\0123456789\"}",
};

static const char *const bad[] = {
	"",
	"{",
	"[]",
	"1",
	"{}\n",
	" {}",
	"{\"b\":1,\"a\":2}",
	"{\"a\":1,\"a\":2}",
	"{\"a\": 1}",
	"{\"a\":1.0}",
	"{\"a\":1e3}",
	"{\"a\":-0}",
	"{\"a\":01}",
	"{\"a\":9223372036854775808}",
	"{\"a\":-9223372036854775809}",
	"{\"a\":\"\\/\"}",
	"{\"a\":\"\\u0041\"}",
	"{\"a\":\"\\u000a\"}",
	"{\"a\":\"\\u001f\"}",
	"{\"a\":\"\\u0000\"}",
	"{\"a\":\"\n\"}",
	"{\"a\":\"\xC3\"}",
	"{\"a\":\"\xC0\xAF\"}",
	"{\"a\":\"\xED\xA0\x80\"}",
	"{\"a\":\"\xF4\x90\x80\x80\"}",
	"{\"a\":tru}",
	"{\"a\":1,}",
	"{\"a\":[1,]}",
	"{a:1}",
	"{\"\\u0001\":1,\"\\u0001\":2}",
	"{\"a\":\"\xE2\x82",
};

static void
canonical_texts_are_accepted_and_others_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(good); i++) {
		assert_true(written_so(bytes_of(good[i])));
		assert_true(canonical(bytes_of(good[i])));
	}
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(canonical(bytes_of(bad[i])));
}

/* Numbers with a point or an exponent are JSON, and the library writes them as it read them. */
static bool
may_be_fraction(Bytes text)
{
	for (size_t i = 1; i < text.n; i++)
		if (strchr(".eE", text.at[i]) && text.at[i - 1] >= '0' && text.at[i - 1] <= '9')
			return true;
	return false;
}

static void
every_change_of_a_byte_is_judged_as_the_writing_library_does(void **state)
{
	unsigned char text[256];
	size_t looked = 0, kept = 0;

	(void)state;
	for (size_t g = 0; g < LENGTH(good); g++) {
		size_t n = strlen(good[g]);
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 256; c++) {
				memcpy(text, good[g], n);
				text[at] = (unsigned char)c;
				Bytes changed = { text, n };
				if (c == 0 || may_be_fraction(changed))
					continue;
				assert_int_equal(canonical(changed), written_so(changed));
				looked++;
				kept += canonical(changed);
			}
	}
	assert_true(looked > 80000 && kept > 10000);
}

static void
every_cut_and_doubled_byte_is_judged_as_the_writing_library_does(void **state)
{
	unsigned char text[256];

	(void)state;
	for (size_t g = 0; g < LENGTH(good); g++) {
		size_t n = strlen(good[g]);
		for (size_t at = 0; at < n; at++) {
			memcpy(text, good[g], at);
			memcpy(text + at, good[g] + at + 1, n - at - 1);
			assert_int_equal(
			    canonical((Bytes){ text, n - 1 }), written_so((Bytes){ text, n - 1 }));
			memcpy(text, good[g], at + 1);
			memcpy(text + at + 1, good[g] + at, n - at);
			assert_int_equal(
			    canonical((Bytes){ text, n + 1 }), written_so((Bytes){ text, n + 1 }));
		}
	}
}

static void
depth_ends_where_the_writing_library_ends_it(void **state)
{
	char text[512];

	(void)state;
	for (size_t depth = 60; depth < 70; depth++) {
		char *to = stpcpy(text, "{\"a\":");
		for (size_t i = 0; i < depth; i++)
			*to++ = '[';
		for (size_t i = 0; i < depth; i++)
			*to++ = ']';
		to = stpcpy(to, "}");
		assert_int_equal(canonical(bytes_of(text)), written_so(bytes_of(text)));
		assert_int_equal(canonical(bytes_of(text)), depth < 64);
	}
}

static void
members_are_found_with_their_values(void **state)
{
	static const char text[] = "{\"actor\":{\"commit\":\"ab\"},\"at\":12,\"deep\":{\"er\":{"
				   "\"est\":\"\\u00013\"}},\"verb\":\"a.b\"}";
	Arena *mem = arena_new(NULL);
	CanonObject o;
	int64_t n;
	char *t;

	(void)state;
	assert_true(canon_object(bytes_of(text), &o));
	assert_int_equal(o.n, 4);
	assert_true(canon_int(canon_get(&o, "at"), &n) && n == 12);
	assert_true(canon_text(mem, canon_get(&o, "verb"), &t));
	assert_string_equal(t, "a.b");
	assert_true(canon_is(canon_get(&o, "verb"), "a.b"));
	assert_false(canon_is(canon_get(&o, "verb"), "a.bb"));
	assert_true(canon_text(mem, canon_at(&o, "deep.er.est"), &t));
	assert_string_equal(t, "\0013");
	assert_true(canon_text(mem, canon_at(&o, "actor.commit"), &t));
	assert_null(canon_get(&o, "commit").at);
	assert_null(canon_at(&o, "deep.er.none").at);
	assert_null(canon_at(&o, "at.x").at);
	assert_false(canon_text(mem, canon_get(&o, "at"), &t));
	assert_false(canon_int(canon_get(&o, "verb"), &n));
	assert_false(canon_int(canon_get(&o, "none"), &n));
	arena_free(mem);
}

static void
an_object_of_more_members_than_an_event_has_is_refused(void **state)
{
	char text[512], *to = text;

	(void)state;
	*to++ = '{';
	for (int i = 0; i < CANON_MEMBERS; i++)
		to += snprintf(to, 16, "%s\"%02d\":%d", i ? "," : "", i, i);
	stpcpy(to, "}");
	assert_true(canonical(bytes_of(text)));
	stpcpy(to, ",\"99\":1}");
	assert_false(canonical(bytes_of(text)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_texts_are_accepted_and_others_not),
		cmocka_unit_test(every_change_of_a_byte_is_judged_as_the_writing_library_does),
		cmocka_unit_test(every_cut_and_doubled_byte_is_judged_as_the_writing_library_does),
		cmocka_unit_test(depth_ends_where_the_writing_library_ends_it),
		cmocka_unit_test(members_are_found_with_their_values),
		cmocka_unit_test(an_object_of_more_members_than_an_event_has_is_refused),
	};

	return cmocka_run_group_tests_name("canon", tests, NULL, NULL);
}

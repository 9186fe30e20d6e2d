#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/adapters/pack.h"
#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/base/vec.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

#define TEXT \
	"all work and no play makes jack a dull boy; all work and no play makes jack a dull boy\n"

static const PackRule rules[] = {
	{ "alpha", 1000, false },
	{ "beta", 1000, true },
	{ "gamma", 1000, true },
};

typedef struct Box {
	Ctx cx;
	char *dir, *path;
} Box;

static int
box_setup(void **state)
{
	Ctx cx = ctx_new(NULL);
	Box *b = arena_alloc(cx.mem, sizeof *b);

	b->cx = cx;
	*state = b;
	if (!temp_dir(&b->cx, &b->dir))
		return -1;
	b->path = arena_printf(cx.mem, "%s/box.zip", b->dir);
	return 0;
}

static int
box_teardown(void **state)
{
	arena_free(((Box *)*state)->cx.mem);
	return 0;
}

static Bytes
bytes_of(const char *text)
{
	return (Bytes){ (const unsigned char *)text, strlen(text) };
}

static void
must(Ctx *cx, bool done)
{
	if (!done)
		print_error("%s\n", fail_text(cx->mem, cx->fail));
	assert_true(done);
}

static void
write_box(Box *b, const char *path, PackForm form)
{
	PackWriter *w;

	must(&b->cx, pack_begin(&b->cx, path, &w));
	must(&b->cx, pack_add(&b->cx, w, "alpha", bytes_of(TEXT), form));
	must(&b->cx, pack_add(&b->cx, w, "beta", bytes_of("two"), form));
	must(&b->cx, pack_add(&b->cx, w, "gamma", bytes_of(""), form));
	must(&b->cx, pack_end(&b->cx, w));
}

static Bytes
read_raw(Box *b, const char *path)
{
	char *text;
	size_t n;

	must(&b->cx, file_read(&b->cx, path, 1 << 20, &text, &n));
	return (Bytes){ (unsigned char *)text, n };
}

/* Everything that can be read of it, or false. */
static bool
read_all(Ctx *cx, const char *path, Bytes out[LENGTH(rules)])
{
	Pack *p;

	if (!pack_open(cx, path, rules, LENGTH(rules), &p))
		return false;
	for (size_t i = 0; i < LENGTH(rules); i++) {
		out[i] = (Bytes){ 0 };
		if (pack_has(p, rules[i].name) && !pack_read(cx, p, rules[i].name, &out[i]))
			return false;
	}
	return true;
}

static void
is_as_written(Box *b, const char *path)
{
	Bytes got[LENGTH(rules)];

	must(&b->cx, read_all(&b->cx, path, got));
	assert_int_equal(got[0].n, strlen(TEXT));
	assert_memory_equal(got[0].at, TEXT, strlen(TEXT));
	assert_int_equal(got[1].n, 3);
	assert_memory_equal(got[1].at, "two", 3);
	assert_int_equal(got[2].n, 0);
}

static void
members_come_back_as_they_went_in(void **state)
{
	Box *b = *state;
	char *stored = arena_printf(b->cx.mem, "%s/stored.zip", b->dir);

	write_box(b, b->path, PACK_DEFLATED);
	is_as_written(b, b->path);
	write_box(b, stored, PACK_STORED);
	is_as_written(b, stored);
	assert_true(read_raw(b, stored).n > read_raw(b, b->path).n);
}

static void
a_file_goes_in_from_its_start_whatever_was_read_of_it(void **state)
{
	Box *b = *state;
	char *from = arena_printf(b->cx.mem, "%s/from", b->dir);
	PackWriter *w;
	FILE *file;

	must(&b->cx, file_write(&b->cx, from, 0600, TEXT, strlen(TEXT)));
	assert_non_null(file = fopen(from, "r"));
	assert_int_equal(fgetc(file), 'a');
	must(&b->cx, pack_begin(&b->cx, b->path, &w));
	must(&b->cx, pack_add_fd(&b->cx, w, "alpha", fileno(file), PACK_DEFLATED));
	must(&b->cx, pack_end(&b->cx, w));
	Bytes got[LENGTH(rules)];
	must(&b->cx, read_all(&b->cx, b->path, got));
	assert_int_equal(got[0].n, strlen(TEXT));
	assert_memory_equal(got[0].at, TEXT, strlen(TEXT));
	fclose(file);
}

static void
the_same_members_give_the_same_bytes_anywhere_and_any_time(void **state)
{
	Box *b = *state;
	char *other = arena_printf(b->cx.mem, "%s/other.zip", b->dir);

	write_box(b, b->path, PACK_DEFLATED);
	setenv("TZ", "Asia/Shanghai", 1);
	write_box(b, other, PACK_DEFLATED);
	unsetenv("TZ");
	Bytes x = read_raw(b, b->path), y = read_raw(b, other);
	assert_int_equal(x.n, y.n);
	assert_memory_equal(x.at, y.at, x.n);
}

/* Hidden ones too. */
static int
files_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void
what_is_written_is_private_whole_and_never_replaces_anything(void **state)
{
	Box *b = *state;
	PackWriter *w;
	struct stat st;
	Ctx given_up = ctx_new(b->cx.mem);

	must(&given_up, pack_begin(&given_up, b->path, &w));
	must(&given_up, pack_add(&given_up, w, "alpha", bytes_of(TEXT), PACK_STORED));
	assert_false(file_exists(b->path));
	arena_free(given_up.mem);
	assert_int_equal(files_in(b->dir), 0);
	write_box(b, b->path, PACK_DEFLATED);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in(b->dir), 1);
	assert_false(pack_begin(&b->cx, b->path, &w));
	assert_string_equal(
	    b->cx.fail->what, arena_printf(b->cx.mem, "\"%s\" is there already", b->path));
}

/* --- hostile files ---------------------------------------------------------------------- */

/* What is said of these bytes; "" if all of it could be read. */
static const char *
judged(Box *b, Bytes raw)
{
	char *path = arena_printf(b->cx.mem, "%s/hostile.zip", b->dir);
	Ctx cx = ctx_new(b->cx.mem);
	Bytes got[LENGTH(rules)];

	must(&cx, file_write(&cx, path, 0600, raw.at, raw.n));
	if (read_all(&cx, path, got))
		return "";
	assert_int_equal(cx.fail->kind, FAIL_INPUT);
	char *what = cx.fail->what, *after = strstr(what, path);
	return after
	    ? arena_printf(b->cx.mem, "%.*s%s", (int)(after - what), what, after + strlen(path))
	    : what;
}

static Bytes
copy_of(Box *b, Bytes raw)
{
	unsigned char *bytes = arena_alloc(b->cx.mem, raw.n);

	memcpy(bytes, raw.at, raw.n);
	return (Bytes){ bytes, raw.n };
}

/* Each occurrence of a text in the raw file becomes another one of its length. */
static Bytes
renamed(Box *b, Bytes raw, const char *from, const char *to)
{
	Bytes r = copy_of(b, raw);

	for (size_t i = 0; i + strlen(from) <= r.n; i++)
		if (memcmp(r.at + i, from, strlen(from)) == 0)
			memcpy((unsigned char *)(uintptr_t)r.at + i, to, strlen(to));
	return r;
}

static void
poke(Bytes raw, size_t at, unsigned char value)
{
	((unsigned char *)(uintptr_t)raw.at)[at] = value;
}

/* Where the n-th header with this mark stands. */
static size_t
header(Bytes raw, const char *mark, int n)
{
	for (size_t i = 0; i + 4 <= raw.n; i++)
		if (memcmp(raw.at + i, mark, 4) == 0 && n-- == 0)
			return i;
	_fail(__FILE__, __LINE__);
	return 0;
}

#define LOCAL   "PK\3\4"
#define CENTRAL "PK\1\2"
#define END     "PK\5\6"

static void
a_file_that_is_cut_off_anywhere_is_refused(void **state)
{
	Box *b = *state;

	write_box(b, b->path, PACK_DEFLATED);
	Bytes raw = read_raw(b, b->path);
	assert_string_equal(judged(b, raw), "");
	for (size_t n = 0; n < raw.n; n++)
		assert_string_not_equal(judged(b, (Bytes){ raw.at, n }), "");
	assert_string_equal(judged(b, (Bytes){ raw.at, raw.n - 1 }),
	    "\"\" is no ZIP file of this kind, or is cut off");
	assert_string_equal(judged(b, (Bytes){ raw.at, 3 }), "\"\" is no ZIP file");
}

/* A change that is not refused is one of what nobody reads: times, rights, versions. */
static void
a_changed_bit_is_found_or_changes_nothing_that_is_read(void **state)
{
	Box *b = *state;
	int found = 0;

	for (PackForm form = PACK_DEFLATED; form <= PACK_STORED; form++) {
		char *path = arena_printf(b->cx.mem, "%s/bits-%d.zip", b->dir, (int)form);
		write_box(b, path, form);
		Bytes raw = read_raw(b, path);
		for (size_t i = 0; i < raw.n * 8; i++) {
			Box one = { .cx = ctx_new(b->cx.mem), .dir = b->dir };
			Bytes r = copy_of(&one, raw);
			poke(r, i / 8, (unsigned char)(raw.at[i / 8] ^ 1 << i % 8));
			if (*judged(&one, r))
				found++;
			else
				is_as_written(
				    &one, arena_printf(one.cx.mem, "%s/hostile.zip", b->dir));
			arena_free(one.cx.mem);
		}
	}
	assert_true(found > 1000);
}

static void
members_that_do_not_belong_there_or_stand_there_twice_are_refused(void **state)
{
	Box *b = *state;

	write_box(b, b->path, PACK_STORED);
	Bytes raw = read_raw(b, b->path);
	assert_string_equal(judged(b, renamed(b, raw, "beta", "../b")),
	    "\"\" holds something that does not belong there");
	assert_string_equal(judged(b, renamed(b, raw, "gamma", "alpha")), "\"\" is damaged");
	assert_string_equal(judged(b, renamed(b, raw, "alpha", "alphA")),
	    "\"\" holds something that does not belong there");
}

static void
a_missing_member_is_named(void **state)
{
	Box *b = *state;
	PackWriter *w;

	must(&b->cx, pack_begin(&b->cx, b->path, &w));
	must(&b->cx, pack_add(&b->cx, w, "beta", bytes_of("two"), PACK_STORED));
	must(&b->cx, pack_end(&b->cx, w));
	assert_string_equal(judged(b, read_raw(b, b->path)), "\"\" lacks \"alpha\"");
}

static void
a_member_longer_than_its_limit_is_refused_unread(void **state)
{
	Box *b = *state;
	unsigned char *many = arena_alloc(b->cx.mem, 1001);
	PackWriter *w;

	must(&b->cx, pack_begin(&b->cx, b->path, &w));
	must(&b->cx, pack_add(&b->cx, w, "alpha", (Bytes){ many, 1001 }, PACK_DEFLATED));
	must(&b->cx, pack_end(&b->cx, w));
	assert_string_equal(
	    judged(b, read_raw(b, b->path)), "\"alpha\" in \"\" is longer than 1000 bytes");
}

static void
what_a_member_inflates_to_is_not_believed_from_its_header(void **state)
{
	Box *b = *state;

	write_box(b, b->path, PACK_DEFLATED);
	Bytes raw = copy_of(b, read_raw(b, b->path));
	poke(raw, header(raw, LOCAL, 0) + 22, 5); /* alpha: 5 bytes */
	poke(raw, header(raw, CENTRAL, 0) + 24, 5);
	assert_string_equal(judged(b, raw), "\"alpha\" in \"\" is damaged");
}

static void
other_methods_and_ciphers_are_refused(void **state)
{
	Box *b = *state;

	write_box(b, b->path, PACK_STORED);
	Bytes raw = read_raw(b, b->path), bzip = copy_of(b, raw), sealed = copy_of(b, raw);
	poke(bzip, header(raw, LOCAL, 0) + 8, 12);
	poke(bzip, header(raw, CENTRAL, 0) + 10, 12);
	assert_string_equal(judged(b, bzip), "\"\" is packed in a way that is not read");
	poke(sealed, header(raw, LOCAL, 0) + 6, 1);
	poke(sealed, header(raw, CENTRAL, 0) + 8, 1);
	assert_string_equal(judged(b, sealed), "\"\" is packed in a way that is not read");
}

static void
a_directory_that_lies_is_refused_before_it_is_read(void **state)
{
	static const struct {
		size_t at;
		unsigned char value;
	} lies[] = { { 4, 1 }, { 6, 1 }, { 8, 200 }, { 10, 200 }, { 11, 255 }, { 12, 0 },
		{ 14, 255 }, { 15, 255 }, { 16, 1 }, { 19, 255 }, { 20, 9 } };
	Box *b = *state;

	write_box(b, b->path, PACK_STORED);
	Bytes raw = read_raw(b, b->path);
	for (size_t i = 0; i < LENGTH(lies); i++) {
		Bytes r = copy_of(b, raw);
		poke(r, header(raw, END, 0) + lies[i].at, lies[i].value);
		assert_string_equal(
		    judged(b, r), "\"\" is no ZIP file of this kind, or is cut off");
	}
}

/* What another reader takes for a comment may hold another directory. */
static void
a_second_directory_is_refused(void **state)
{
	Box *b = *state;
	Buf two = buf_new(b->cx.mem);

	write_box(b, b->path, PACK_STORED);
	Bytes raw = copy_of(b, read_raw(b, b->path));
	poke(raw, raw.n - 2, 22);
	buf_addn(&two, raw.at, raw.n);
	poke(raw, raw.n - 2, 0);
	buf_addn(&two, raw.at + raw.n - 22, 22);
	assert_string_equal(judged(b, (Bytes){ (unsigned char *)two.text, two.len }),
	    "\"\" is no ZIP file of this kind, or is cut off");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, box_setup, box_teardown)
		T(members_come_back_as_they_went_in),
		T(a_file_goes_in_from_its_start_whatever_was_read_of_it),
		T(the_same_members_give_the_same_bytes_anywhere_and_any_time),
		T(what_is_written_is_private_whole_and_never_replaces_anything),
		T(a_file_that_is_cut_off_anywhere_is_refused),
		T(a_changed_bit_is_found_or_changes_nothing_that_is_read),
		T(members_that_do_not_belong_there_or_stand_there_twice_are_refused),
		T(a_missing_member_is_named),
		T(a_member_longer_than_its_limit_is_refused_unread),
		T(what_a_member_inflates_to_is_not_believed_from_its_header),
		T(other_methods_and_ciphers_are_refused),
		T(a_directory_that_lies_is_refused_before_it_is_read),
		T(a_second_directory_is_refused),
	};

	return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}

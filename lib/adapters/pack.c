#include "lib/adapters/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zip.h>

#include "lib/base/file.h"

#define DOS_DAY       0x0021 /* 1980-01-01, the first that ZIP knows; its time is 0 */
#define MEMBER_MODE   (0100644u << 16)
#define DIRECTORY_MAX ((uint64_t)64 << 10)
#define END_BYTES     22 /* end of central directory, no comment */
#define LOCATOR_BYTES 20
#define END64_BYTES   56
#define TAIL_MAX      (END_BYTES + 65535)

/* --- writing ----------------------------------------------------------------------------- */

struct PackWriter {
	const char *path;
	char *temp; /* hidden, beside it */
	zip_t *zip;
};

static void
writer_drop(void *ptr)
{
	PackWriter *w = ptr;

	zip_discard(w->zip);
	unlink(w->temp);
}

static bool
cannot_write(Ctx *cx, PackWriter *w)
{
	int err = zip_error_code_system(zip_get_error(w->zip));

	return fail_errno(cx, err ? err : EIO, "Is there space left on its disk?",
	    "cannot write \"%s\"", w->path);
}

/* libzip gives its result the mode of the file that it replaces. */
static bool
make_temp(Ctx *cx, PackWriter *w)
{
	const char *slash = strrchr(w->path, '/');
	const char *name = slash ? slash + 1 : w->path;

	w->temp = arena_printf(cx->mem, "%.*s.%s.XXXXXX", (int)(name - w->path), w->path, name);
	int fd = mkostemp(w->temp, O_CLOEXEC);
	if (fd < 0)
		return fail_errno(
		    cx, errno, "May you write to its folder?", "cannot write \"%s\"", w->path);
	close(fd);
	return true;
}

bool
pack_begin(Ctx *cx, const char *path, PackWriter **out)
{
	PackWriter *w = arena_alloc(cx->mem, sizeof *w);
	int code;

	if (file_exists(path))
		return fail(
		    cx, FAIL_EXISTS, "Choose another name.", "\"%s\" is there already", path);
	w->path = arena_dup(cx->mem, path);
	if (!make_temp(cx, w))
		return false;
	w->zip = zip_open(w->temp, ZIP_TRUNCATE, &code);
	if (!w->zip) {
		unlink(w->temp);
		return fail(cx, FAIL_SYSTEM, NULL, "cannot write \"%s\"", path);
	}
	arena_on_free(cx->mem, writer_drop, w);
	*out = w;
	return true;
}

static bool
add_source(Ctx *cx, PackWriter *w, const char *name, zip_source_t *source, PackForm form)
{
	int method = form == PACK_STORED ? ZIP_CM_STORE : ZIP_CM_DEFLATE;

	if (!source)
		return cannot_write(cx, w);
	zip_int64_t at = zip_file_add(w->zip, name, source, ZIP_FL_ENC_UTF_8);
	if (at < 0) {
		zip_source_free(source);
		return cannot_write(cx, w);
	}
	zip_uint64_t index = (zip_uint64_t)at;
	if (zip_set_file_compression(w->zip, index, method, 0) != 0 ||
	    zip_file_set_dostime(w->zip, index, 0, DOS_DAY, 0) != 0 ||
	    zip_file_set_external_attributes(w->zip, index, 0, ZIP_OPSYS_UNIX, MEMBER_MODE) != 0)
		return cannot_write(cx, w);
	return true;
}

bool
pack_add(Ctx *cx, PackWriter *w, const char *name, Bytes bytes, PackForm form)
{
	return add_source(cx, w, name, zip_source_buffer(w->zip, bytes.at, bytes.n, 0), form);
}

bool
pack_add_fd(Ctx *cx, PackWriter *w, const char *name, int fd, PackForm form)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *file = own < 0 || lseek(own, 0, SEEK_SET) != 0 ? NULL : fdopen(own, "rb");

	if (!file) {
		int err = errno;
		if (own >= 0)
			close(own);
		return fail_errno(cx, err, NULL, "cannot read what goes into \"%s\"", w->path);
	}
	zip_source_t *source = zip_source_filep(w->zip, file, 0, -1);
	if (!source)
		fclose(file);
	return add_source(cx, w, name, source, form);
}

/* libzip neither syncs nor refuses to replace. */
static int
settle(const char *temp, const char *path)
{
	int err = 0, fd = open(temp, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	if (fsync(fd) != 0)
		err = errno;
	close(fd);
	return err ? err : rename(temp, path) == 0 ? 0 : errno;
}

static void
sync_folder_of(Ctx *cx, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dir = !slash ? "."
	    : slash == path      ? "/"
				 : arena_dupn(cx->mem, path, (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd); /* some file systems sync no folders: the file itself is durable */
	close(fd);
}

bool
pack_end(Ctx *cx, PackWriter *w)
{
	if (zip_close(w->zip) != 0)
		return cannot_write(cx, w);
	arena_forget(cx->mem, writer_drop, w);
	int err = settle(w->temp, w->path);
	if (err) {
		unlink(w->temp);
		return fail_errno(
		    cx, err, "Is there space left on its disk?", "cannot write \"%s\"", w->path);
	}
	sync_folder_of(cx, w->path);
	return true;
}

/* --- reading: before libzip -------------------------------------------------------------- */

struct Pack {
	const char *path;
	zip_t *zip;
	const PackRule *rules;
	size_t n;
	zip_int64_t *at; /* of each rule's member; -1: not there */
	uint64_t *size;
};

static bool
damaged(Ctx *cx, const char *path, const char *why)
{
	return fail(cx, FAIL_INPUT, "Ask for the file again.", "\"%s\" %s", path, why);
}

static uint64_t
little(const unsigned char *at, int n)
{
	uint64_t value = 0;

	while (n-- > 0)
		value = value << 8 | at[n];
	return value;
}

/* Where another reader might find another directory, the file says two things. */
static bool
one_end(const unsigned char *tail, size_t n)
{
	for (size_t i = 0; i + END_BYTES < n; i++)
		if (memcmp(tail + i, "PK\5\6", 4) == 0 &&
		    little(tail + i + 20, 2) == n - i - END_BYTES)
			return false;
	return true;
}

/* tail: the file's last n bytes of `size`.  Directory and count within their limits. */
static bool
sound_end(const unsigned char *tail, size_t n, uint64_t size, size_t members)
{
	const unsigned char *end = tail + n - END_BYTES;
	uint64_t count = little(end + 10, 2), bytes = little(end + 12, 4);

	if (memcmp(end, "PK\5\6", 4) != 0 || little(end + 4, 4) != 0 || !one_end(tail, n) ||
	    little(end + 8, 2) != count || little(end + 20, 2) != 0 || count > members ||
	    bytes > DIRECTORY_MAX)
		return false;
	if (n < END_BYTES + LOCATOR_BYTES + END64_BYTES ||
	    memcmp(end - LOCATOR_BYTES, "PK\6\7", 4) != 0)
		return little(end + 16, 4) + bytes + END_BYTES == size;
	const unsigned char *end64 = end - LOCATOR_BYTES - END64_BYTES;
	return memcmp(end64, "PK\6\6", 4) == 0 && little(end64 + 4, 8) == END64_BYTES - 12 &&
	    little(end64 + 24, 8) == count && little(end64 + 32, 8) == count &&
	    little(end64 + 40, 8) == bytes &&
	    little(end64 + 48, 8) + bytes + END64_BYTES + LOCATOR_BYTES + END_BYTES == size &&
	    little(end - LOCATOR_BYTES + 8, 8) == size - END_BYTES - LOCATOR_BYTES - END64_BYTES;
}

static bool
read_tail(Ctx *cx, int fd, const char *path, unsigned char **tail, size_t *n, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_errno(cx, errno, NULL, "cannot look at \"%s\"", path);
	if (!S_ISREG(st.st_mode) || st.st_size < END_BYTES)
		return damaged(cx, path, "is no ZIP file");
	*size = (uint64_t)st.st_size;
	*n = st.st_size < TAIL_MAX ? (size_t)st.st_size : TAIL_MAX;
	*tail = arena_alloc(cx->mem, *n);
	ssize_t got = pread(fd, *tail, *n, st.st_size - (off_t)*n);
	if (got < 0)
		return fail_errno(cx, errno, NULL, "cannot read \"%s\"", path);
	return (size_t)got == *n || damaged(cx, path, "changed while it was read");
}

static bool
look(Ctx *cx, const char *path, size_t members, int *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char *tail = NULL;
	uint64_t size = 0;
	size_t n = 0;

	if (fd < 0)
		return fail_errno(
		    cx, errno, "Does it exist, and may you read it?", "cannot open \"%s\"", path);
	if (!read_tail(cx, fd, path, &tail, &n, &size) ||
	    (!sound_end(tail, n, size, members) &&
		!damaged(cx, path, "is no ZIP file of this kind, or is cut off"))) {
		close(fd);
		return false;
	}
	*out = fd;
	return true;
}

/* --- reading: through libzip ------------------------------------------------------------- */

static void
pack_drop(void *zip)
{
	zip_discard(zip);
}

static size_t
rule_of(const Pack *p, const char *name)
{
	size_t i = 0;

	while (i < p->n && strcmp(p->rules[i].name, name) != 0)
		i++;
	return i;
}

static bool
take_member(Ctx *cx, Pack *p, zip_uint64_t index)
{
	const zip_uint64_t wanted = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
	    ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
	zip_stat_t st;

	zip_stat_init(&st);
	if (zip_stat_index(p->zip, index, ZIP_FL_ENC_RAW, &st) != 0 ||
	    (st.valid & wanted) != wanted)
		return damaged(cx, p->path, "is damaged");
	size_t i = rule_of(p, st.name);
	if (i == p->n || p->at[i] >= 0)
		return damaged(cx, p->path, "holds something that does not belong there");
	if (st.encryption_method != ZIP_EM_NONE ||
	    (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE))
		return damaged(cx, p->path, "is packed in a way that is not read");
	if (st.size > p->rules[i].max)
		return fail(cx, FAIL_INPUT, NULL, "\"%s\" in \"%s\" is longer than %llu bytes",
		    p->rules[i].name, p->path, (unsigned long long)p->rules[i].max);
	p->at[i] = (zip_int64_t)index;
	p->size[i] = st.size;
	return true;
}

static bool
take_members(Ctx *cx, Pack *p)
{
	zip_int64_t n = zip_get_num_entries(p->zip, 0);

	if (n < 0 || (size_t)n > p->n)
		return damaged(cx, p->path, "is damaged");
	for (zip_int64_t i = 0; i < n; i++)
		if (!take_member(cx, p, (zip_uint64_t)i))
			return false;
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i] < 0 && !p->rules[i].optional)
			return fail(cx, FAIL_INPUT, "Ask for the file again.",
			    "\"%s\" lacks \"%s\"", p->path, p->rules[i].name);
	return true;
}

bool
pack_open(Ctx *cx, const char *path, const PackRule *rules, size_t n, Pack **out)
{
	Pack *p = arena_alloc(cx->mem, sizeof *p);
	int fd = -1, code;

	*p = (Pack){ .path = arena_dup(cx->mem, path), .rules = rules, .n = n };
	p->at = arena_alloc(cx->mem, n * sizeof *p->at);
	p->size = arena_alloc(cx->mem, n * sizeof *p->size);
	for (size_t i = 0; i < n; i++)
		p->at[i] = -1;
	if (!look(cx, path, n, &fd))
		return false;
	p->zip = zip_fdopen(fd, ZIP_CHECKCONS, &code);
	if (!p->zip) {
		close(fd);
		return damaged(cx, path, "is damaged");
	}
	arena_on_free(cx->mem, pack_drop, p->zip);
	if (!take_members(cx, p))
		return false;
	*out = p;
	return true;
}

bool
pack_has(const Pack *p, const char *name)
{
	size_t i = rule_of(p, name);

	return i < p->n && p->at[i] >= 0;
}

uint64_t
pack_size(const Pack *p, const char *name)
{
	return pack_has(p, name) ? p->size[rule_of(p, name)] : 0;
}

struct PackStream {
	const Pack *pack;
	const char *name;
	Arena *mem;
	zip_file_t *file;
	uint64_t left;
};

static void
stream_drop(void *file)
{
	zip_fclose(file);
}

bool
pack_stream(Ctx *cx, Pack *p, const char *name, PackStream **out)
{
	size_t i = rule_of(p, name);
	PackStream *s = arena_alloc(cx->mem, sizeof *s);

	if (!pack_has(p, name))
		return fail(cx, FAIL_INPUT, NULL, "\"%s\" lacks \"%s\"", p->path, name);
	*s = (PackStream){
		.pack = p, .name = p->rules[i].name, .mem = cx->mem, .left = p->size[i]
	};
	s->file = zip_fopen_index(p->zip, (zip_uint64_t)p->at[i], 0);
	if (!s->file)
		return damaged(cx, p->path, "is damaged");
	arena_on_free(cx->mem, stream_drop, s->file);
	*out = s;
	return true;
}

/* The checksum is compared when libzip comes to the end: a byte more is asked for than may come. */
bool
pack_next(Ctx *cx, PackStream *s, void *out, size_t max, size_t *got)
{
	unsigned char past;
	size_t want = s->left < max ? (size_t)s->left : max;
	zip_int64_t n = zip_fread(s->file, want ? out : &past, want ? want : 1);

	if (n < 0 || (n == 0) != (want == 0) || (uint64_t)n > s->left)
		return fail(cx, FAIL_INPUT, "Ask for the file again.",
		    "\"%s\" in \"%s\" is damaged", s->name, s->pack->path);
	s->left -= (uint64_t)n;
	*got = (size_t)n;
	return true;
}

void
pack_stream_end(PackStream *s)
{
	arena_forget(s->mem, stream_drop, s->file);
	zip_fclose(s->file);
}

bool
pack_read(Ctx *cx, Pack *p, const char *name, Bytes *out)
{
	size_t size = (size_t)pack_size(p, name), n = 0, got = 1;
	unsigned char *bytes = arena_alloc(cx->mem, size + 1);
	PackStream *s;

	if (!pack_stream(cx, p, name, &s))
		return false;
	while (got > 0) {
		if (!pack_next(cx, s, bytes + n, size - n, &got)) {
			pack_stream_end(s);
			return false;
		}
		n += got;
	}
	pack_stream_end(s);
	*out = (Bytes){ bytes, n };
	return true;
}

#include "compliance/audit/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"

#define CHUNK ((size_t)256 << 10)

struct Spool {
	int fd;
	Buf b;
	uint64_t size;
	Sha256 *sum;
	unsigned char sha[32];
};

static void
spool_close(void *ptr)
{
	close(((Spool *)ptr)->fd);
}

bool
spool_new(Ctx *cx, const char *dir, Spool **out)
{
	Spool *s = arena_alloc(cx->mem, sizeof *s);
	char *path = arena_printf(cx->mem, "%s/spool.XXXXXX", dir);

	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0)
		return fail_errno(
		    cx, errno, "May you write to it?", "cannot write into \"%s\"", dir);
	unlink(path);
	arena_on_free(cx->mem, spool_close, s);
	s->b = buf_new(cx->mem);
	s->sum = sha256_begin(cx->mem);
	*out = s;
	return true;
}

static bool
flush(Ctx *cx, Spool *s)
{
	const char *at = s->b.text, *end = at + s->b.len;

	while (at < end) {
		ssize_t put = write(s->fd, at, (size_t)(end - at));
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_errno(cx, errno, "Is there space left on the home's disk?",
			    "cannot write a temporary file");
		at += put;
	}
	buf_clear(&s->b);
	return true;
}

bool
spool_put(Ctx *cx, void *spool, const void *bytes, size_t n)
{
	Spool *s = spool;

	sha256_add(s->sum, bytes, n);
	s->size += n;
	buf_addn(&s->b, bytes, n);
	return s->b.len < CHUNK || flush(cx, s);
}

bool
spool_done(Ctx *cx, Spool *s)
{
	sha256_end(s->sum, s->sha);
	return flush(cx, s);
}

uint64_t
spool_size(const Spool *s)
{
	return s->size;
}

void
spool_sha(const Spool *s, unsigned char out[32])
{
	memcpy(out, s->sha, sizeof s->sha);
}

int
spool_fd(const Spool *s)
{
	return s->fd;
}

typedef struct SpoolReader {
	int fd;
	off_t at;
} SpoolReader;

static bool
read_part(Ctx *cx, void *ptr, void *out, size_t max, size_t *got)
{
	SpoolReader *r = ptr;
	ssize_t n;

	do
		n = pread(r->fd, out, max, r->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_errno(cx, errno, NULL, "cannot read a temporary file");
	r->at += n;
	*got = (size_t)n;
	return true;
}

LinesFrom
spool_read(Arena *mem, const Spool *s)
{
	SpoolReader *r = arena_alloc(mem, sizeof *r);

	r->fd = s->fd;
	return (LinesFrom){ read_part, r };
}

#include "lib/core/host_frame.h"

#include <string.h>

#define SENTINEL 32
#define CHUNK    32768
#define PENDING  (CHUNK + SENTINEL + HOST_LINE_MAX)

HostFrame *
host_frame_new(Arena *mem, const char *sentinel)
{
	HostFrame *f = arena_alloc(mem, sizeof *f);

	*f = (HostFrame){ .mem = mem,
		.sentinel = sentinel,
		.pending = arena_alloc(mem, PENDING),
		.out = arena_alloc(mem, HOST_OUT_MAX + 1),
		.sha = sha256_begin(mem) };
	return f;
}

static HostFed
frame_output(HostFrame *f, size_t n)
{
	size_t room = HOST_OUT_MAX - f->out_n, keep = n < room ? n : room;

	memcpy(f->out + f->out_n, f->pending, keep);
	f->out_n += keep;
	f->all += n;
	sha256_add(f->sha, f->pending, n);
	f->pending_n -= n;
	memmove(f->pending, f->pending + n, f->pending_n);
	return f->all > HOST_ALL_MAX ? HOST_WRONG : HOST_MORE;
}

/* `pending` begins with the sentinel. */
static HostFed
frame_line(HostFrame *f)
{
	const char *end = memchr(f->pending, '\n', f->pending_n);

	if (!end)
		return f->pending_n > HOST_LINE_MAX ? HOST_WRONG : HOST_MORE;
	size_t n = (size_t)(end - f->pending);

	if (n > HOST_LINE_MAX || n + 1 != f->pending_n || n <= SENTINEL + 1 ||
	    f->pending[SENTINEL] != ' ' || memchr(f->pending, '\0', n))
		return HOST_WRONG;
	f->line = arena_dupn(f->mem, f->pending + SENTINEL + 1, n - SENTINEL - 1);
	f->out[f->out_n] = '\0';
	return HOST_WHOLE;
}

static HostFed
frame_step(HostFrame *f)
{
	const char *at = memmem(f->pending, f->pending_n, f->sentinel, SENTINEL);

	if (!at)
		return f->pending_n < SENTINEL ? HOST_MORE
					       : frame_output(f, f->pending_n - (SENTINEL - 1));
	if (at != f->pending && frame_output(f, (size_t)(at - f->pending)) == HOST_WRONG)
		return HOST_WRONG;
	return frame_line(f);
}

HostFed
host_frame_feed(HostFrame *f, const char *bytes, size_t n)
{
	HostFed fed = HOST_MORE;

	while (n > 0 && fed == HOST_MORE) {
		size_t room = PENDING - f->pending_n, take = n < room ? n : room;

		memcpy(f->pending + f->pending_n, bytes, take);
		f->pending_n += take;
		bytes += take;
		n -= take;
		fed = frame_step(f);
	}
	return fed == HOST_WHOLE && n > 0 ? HOST_WRONG : fed;
}

/* --- the last line ----------------------------------------------------------------- */

/* The next word of *at, which moves behind it and its blank; NULL: there is none. */
static const char *
line_word(Arena *mem, const char **at)
{
	size_t n = strcspn(*at, " ");
	const char *word = arena_dupn(mem, *at, n);

	if (n == 0)
		return NULL;
	*at += n + ((*at)[n] == ' ');
	return word;
}

static bool
line_number(Arena *mem, const char **at, int64_t *out)
{
	const char *word = line_word(mem, at);
	int64_t n = 0;

	if (!word || strlen(word) > 18 || strspn(word, "0123456789") != strlen(word))
		return false;
	for (; *word; word++)
		n = n * 10 + (*word - '0');
	*out = n;
	return true;
}

static bool
line_status(const char *word, HostStatus *out)
{
	static const char *const words[] = { [HOST_OK] = "ok",
		[HOST_STORED] = "stored",
		[HOST_NONE] = "none",
		[HOST_FENCED] = "fenced",
		[HOST_BUSY] = "busy",
		[HOST_UNDONE] = "undone",
		[HOST_REFUSED] = "refused" };

	for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i], word) == 0) {
			*out = (HostStatus)i;
			return true;
		}
	return false;
}

static bool
is_digest(const char *word)
{
	return word && strlen(word) == 64 && strspn(word, "0123456789abcdef") == 64;
}

bool
host_frame_end(const HostFrame *f, HostEnd *out)
{
	const char *at = f->line, *kind = line_word(f->mem, &at), *total, *digest;
	Buf err = buf_new_max(f->mem, HOST_LINE_MAX * 4);
	int64_t code = 0;

	if (!kind || strcmp(kind, "end") != 0 || !line_number(f->mem, &at, &out->seq) ||
	    !line_status(line_word(f->mem, &at), &out->status) ||
	    !line_number(f->mem, &at, &code) || code > 255)
		return false;
	total = line_word(f->mem, &at);
	digest = line_word(f->mem, &at);
	if (!total || !digest || (strcmp(digest, "-") != 0 && !is_digest(digest)))
		return false;
	buf_plain(&err, at, "; ");
	out->code = (int)code;
	out->digest = strcmp(digest, "-") == 0 ? NULL : digest;
	out->err = err.text;
	return true;
}

bool
host_frame_hello(const HostFrame *f, HostHello *out)
{
	const char *at = f->line, *kind = line_word(f->mem, &at);

	if (!kind || strcmp(kind, "hello") != 0 || !line_number(f->mem, &at, &out->protocol))
		return false;
	out->digest = line_word(f->mem, &at);
	out->prefix = line_word(f->mem, &at);
	out->supervise = line_word(f->mem, &at);
	return is_digest(out->digest) && out->prefix && out->supervise && *at == '\0';
}

/* --- requests ------------------------------------------------------------------------- */

static void
frame_word(Buf *b, const char *word)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@,+-";

	buf_addc(b, ' ');
	if (!*word)
		buf_add(b, "%-");
	for (; *word; word++)
		if (strchr(plain, *word))
			buf_addc(b, *word);
		else
			buf_fmt(b, "%%%02X", (unsigned)(unsigned char)*word);
}

bool
host_frame_words(Buf *b, const char *const *words)
{
	size_t before = b->len;

	for (; *words; words++)
		frame_word(b, *words);
	return b->len - before <= HOST_WORDS_MAX;
}

/* What a helper says: however it is cut it means the same, within its bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/host_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SENTINEL "0123456789abcdef0123456789abcdef"

static HostFed
feed(HostFrame *f, const uint8_t *data, size_t size, size_t piece)
{
	HostFed fed = HOST_MORE;

	for (size_t at = 0; at < size && fed == HOST_MORE; at += piece)
		fed = host_frame_feed(
		    f, (const char *)data + at, size - at < piece ? size - at : piece);
	return fed;
}

/* The sentinel is 32 bytes that no fuzzer finds by itself: '@' stands for it. */
static uint8_t *
with_sentinel(Arena *mem, const uint8_t *data, size_t size, size_t *n)
{
	uint8_t *out = arena_alloc(mem, size * 32 + 1);

	*n = 0;
	for (size_t i = 0; i < size; i++)
		if (data[i] == '@') {
			memcpy(out + *n, SENTINEL, 32);
			*n += 32;
		} else
			out[(*n)++] = data[i];
	return out;
}

static void
look_at(const HostFrame *f)
{
	HostHello hello;
	HostEnd end;

	if (f->out_n > HOST_OUT_MAX || f->out[f->out_n] != '\0' || f->all < f->out_n)
		abort();
	if (host_frame_end(f, &end) &&
	    (end.code < 0 || end.code > 255 || end.seq < 0 || !end.err ||
		(end.digest && strlen(end.digest) != 64)))
		abort();
	if (host_frame_hello(f, &hello) && (!hello.prefix || !hello.supervise))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Arena *mem = arena_new(NULL);
	size_t n;
	uint8_t *text = with_sentinel(mem, data, size, &n);
	HostFrame *whole = host_frame_new(mem, SENTINEL), *cut = host_frame_new(mem, SENTINEL);
	HostFed fed = feed(whole, text, n, n + 1);

	if (fed == HOST_WHOLE) {
		/* Cut elsewhere, what follows the last line may not have come yet. */
		if (feed(cut, text, n, 1 + size % 7) != HOST_WHOLE ||
		    strcmp(cut->line, whole->line) != 0 || cut->out_n != whole->out_n ||
		    memcmp(cut->out, whole->out, cut->out_n) != 0)
			abort();
		look_at(whole);
	}
	arena_free(mem);
	return 0;
}

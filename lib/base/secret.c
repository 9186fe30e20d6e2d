#include "lib/base/secret.h"

#include <string.h>

static void
wipe(void *ptr)
{
	Secret *s = ptr;

	secret_wipe(s->text, s->len);
}

Secret
secret_alloc(Arena *mem, size_t n)
{
	Secret *s = arena_alloc(mem, sizeof *s);

	s->text = arena_alloc(mem, n + 1);
	s->len = n;
	arena_on_free(mem, wipe, s);
	return *s;
}

Secret
secret_new(Arena *mem, const void *bytes, size_t n)
{
	Secret s = secret_alloc(mem, n);

	if (n)
		memcpy(s.text, bytes, n);
	return s;
}

void
secret_wipe(void *bytes, size_t n)
{
	if (n)
		explicit_bzero(bytes, n);
}

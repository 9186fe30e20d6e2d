/*
 * evidence HOME N - N events of about 1 KiB in the vendor's log of a home, a
 * thousand a transaction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/event.h"

#define AT_ONCE	   1000
#define EVENT_SIZE 1024

static int
die(const Ctx *cx)
{
	fputs(fail_text(cx->mem, cx->fail), stderr);
	return 1;
}

/* What fills an event up: text as a reason or a digest is. */
static char *
filling(Arena *mem)
{
	const size_t n = EVENT_SIZE - 470;
	char *text = arena_alloc(mem, n + 1);

	for (size_t i = 0; i < n; i++)
		text[i] = "0123456789abcdef"[(i * 7 + i / 16 * 5) % 16];
	return text;
}

int
main(int argc, char **argv)
{
	Ctx cx = ctx_new(NULL);
	long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	char *text = filling(cx.mem);
	Home *home;

	if (n <= 0 || !home_open(&cx, argv[1], ACCESS_WRITES, &home))
		return die(&cx);
	for (long at = 0; at < n; at += AT_ONCE) {
		Ctx part = ctx_new(cx.mem);
		bool ok = lite_begin(&part, home->db);
		for (long i = at; ok && i < n && i < at + AT_ONCE; i++) {
			Event e = { .verb = "secret.read",
				.object = arena_printf(part.mem, "secret/key-%ld", i),
				.outcome = "ok",
				.after = text };
			text[(unsigned long)i % strlen(text)] ^= 1;
			ok = event_write(&part, home, &e);
		}
		if (!ok || !lite_commit(&part, home->db))
			return die(&part);
		arena_free(part.mem);
	}
	arena_free(cx.mem);
	return 0;
}

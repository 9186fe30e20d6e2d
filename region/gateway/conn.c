#include <string.h>

#include "region/gateway/worker_intern.h"

void
conn_open(Conn *c, Worker *w, int fd, WatchFn fn, void *ptr)
{
	c->w = w;
	stream_open(&c->io, fd);
	c->watch = watch_new(w->loop, fd, fn, ptr);
}

#define KEPT_FIRST  1024
#define KEPT_SPARES 256

/* In the room itself.  Where clients outnumber servers most messages wait in one of these. */
struct SpareKept {
	SpareKept *next;
	Arena *mem;
};

static void
kept_free(Conn *c)
{
	Worker *w = c->w;

	if (c->kept_cap == KEPT_FIRST && w->nspare_kept < KEPT_SPARES) {
		SpareKept *spare = (void *)c->kept;
		*spare = (SpareKept){ w->spare_kept, c->kept_mem };
		w->spare_kept = spare;
		w->nspare_kept++;
	} else {
		arena_free(c->kept_mem);
	}
	c->kept_mem = NULL;
	c->kept = NULL;
	c->kept_n = c->kept_cap = 0;
}

void
conn_close(Conn *c)
{
	if (!c->w)
		return;
	watch_free(c->watch);
	c->watch = NULL;
	stream_close(&c->io);
	queue_clear(c->w, &c->out);
	kept_free(c);
	c->w = NULL;
}

void
conn_watch(Conn *c)
{
	int events = c->deaf ? 0 : LOOP_READ;

	if (!c->watch)
		return;
	if (c->out.n > 0)
		events |= LOOP_WRITE;
	if (!c->deaf && stream_has_more(&c->io))
		events |=
		    LOOP_WRITE; /* it comes at once: no other event tells of what is decrypted */
	watch_for(c->watch, events);
}

#define READ_AT_LEAST 8192

static void
kept_begin(Conn *c)
{
	Worker *w = c->w;
	SpareKept *spare = w->spare_kept;

	if (spare) {
		w->spare_kept = spare->next;
		w->nspare_kept--;
		c->kept_mem = spare->mem;
		c->kept = (unsigned char *)spare;
	} else {
		c->kept_mem = arena_new(w->mem);
		c->kept = arena_alloc(c->kept_mem, KEPT_FIRST);
	}
	c->kept_cap = KEPT_FIRST;
}

/* The room for what is kept and as much again as may come. */
static void
kept_grow(Conn *c, size_t n)
{
	if (!c->kept_mem)
		kept_begin(c);
	uint32_t cap = c->kept_cap;
	if (c->kept_n + n <= cap)
		return;
	while (cap < c->kept_n + n)
		cap *= 2;
	c->kept = arena_grow(c->kept_mem, c->kept, c->kept_cap, cap);
	c->kept_cap = cap;
}

ssize_t
conn_read(Conn *c, unsigned char **at, size_t *n)
{
	unsigned char *room = c->w->scratch;
	size_t cap = SCRATCH;

	if (c->kept_n > 0) {
		kept_grow(c, READ_AT_LEAST);
		room = c->kept + c->kept_n;
		cap = c->kept_cap - c->kept_n;
	}
	ssize_t got = stream_read(&c->io, room, cap);
	if (got <= 0)
		return got;
	*at = room - c->kept_n;
	*n = c->kept_n + (size_t)got;
	c->kept_n = 0; /* it is in *at; conn_keep() says what stays */
	return got;
}

void
conn_keep(Conn *c, const unsigned char *at, size_t n)
{
	if (n == 0) {
		if (c->kept_mem)
			kept_free(c);
		return;
	}
	if (c->kept && at >= c->kept && at < c->kept + c->kept_cap) {
		memmove(c->kept, at, n);
	} else {
		kept_grow(c, n);
		memcpy(c->kept, at, n);
	}
	c->kept_n = (uint32_t)n;
}

bool
conn_flush(Conn *c)
{
	return c->out.n == 0 || queue_flush(c->w, &c->out, &c->io) != STREAM_BROKEN;
}

#include <string.h>

#include "region/gateway/worker_intern.h"

static Chunk *
chunk_new(Worker *w)
{
	Chunk *c = w->spare_chunks;

	if (c)
		w->spare_chunks = c->next;
	else
		c = arena_alloc(w->mem, sizeof *c);
	c->next = NULL;
	c->from = c->to = 0;
	return c;
}

static void
chunk_done(Worker *w, Queue *o)
{
	Chunk *c = o->first;

	o->first = c->next;
	if (!o->first)
		o->last = NULL;
	c->next = w->spare_chunks;
	w->spare_chunks = c;
}

void
queue_add(Worker *w, Queue *o, const void *bytes, size_t n)
{
	const unsigned char *from = bytes;

	o->n += n;
	while (n > 0) {
		Chunk *c = o->last;
		if (!c || c->to == QUEUE_CHUNK) {
			c = chunk_new(w);
			*(o->last ? &o->last->next : &o->first) = c;
			o->last = c;
		}
		size_t room = QUEUE_CHUNK - c->to, take = n < room ? n : room;
		memcpy(c->bytes + c->to, from, take);
		c->to += (uint32_t)take;
		from += take;
		n -= take;
	}
}

ssize_t
queue_flush(Worker *w, Queue *o, Stream *to)
{
	ssize_t sent = 0;

	while (o->first) {
		Chunk *c = o->first;
		ssize_t n = stream_write(to, c->bytes + c->from, c->to - c->from);
		if (n == STREAM_BROKEN)
			return STREAM_BROKEN;
		if (n == STREAM_AGAIN)
			break;
		c->from += (uint32_t)n;
		o->n -= (size_t)n;
		sent += n;
		if (c->from < c->to)
			break;
		chunk_done(w, o);
	}
	return sent;
}

void
queue_clear(Worker *w, Queue *o)
{
	while (o->first)
		chunk_done(w, o);
	o->n = 0;
}

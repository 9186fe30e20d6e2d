#include "lib/adapters/loop_intern.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

struct Loop {
	Arena *mem;
	struct event_base *base;
	struct evdns_base *dns; /* made when first needed */
	Resolve *spare_resolves;
	Watch *spare_watches;
	Timer *spare_timers;
	int64_t now; /* of the call that is at work, once it has asked */
	bool calling;
};

/* One event a direction: changing what is wanted leaves the other alone. */
struct Watch {
	Loop *loop;
	WatchFn fn;
	void *ptr;
	int fd, wanted;
	struct event read, write;
	Watch *next;
};

struct Timer {
	Loop *loop;
	TimerFn fn;
	void *ptr;
	struct event event;
	Timer *next;
};

static void
free_loop(void *ptr)
{
	Loop *l = ptr;

	if (l->dns)
		evdns_base_free(l->dns, 0);
	event_base_free(l->base);
}

Loop *
loop_new(Arena *mem)
{
	struct event_config *config = event_config_new();
	Loop *l = arena_alloc(mem, sizeof *l);

	l->mem = mem;
	if (config)
		event_config_set_flag(config,
		    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
			EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	l->base = config ? event_base_new_with_config(config) : NULL;
	if (config)
		event_config_free(config);
	if (!l->base)
		arena_alloc(mem, SIZE_MAX); /* out of memory ends the process */
	arena_on_free(mem, free_loop, l);
	return l;
}

struct event_base *
loop_base(Loop *l)
{
	return l->base;
}

void
loop_run(Loop *l)
{
	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void
loop_stop(Loop *l)
{
	event_base_loopbreak(l->base);
}

int64_t
loop_now_ms(Loop *l)
{
	if (!l->calling)
		return clock_mono_ms();
	if (l->now == 0)
		l->now = clock_mono_ms();
	return l->now;
}

static void
call_begins(Loop *l)
{
	l->now = 0;
	l->calling = true;
}

/* --- descriptors -------------------------------------------------------------- */

static void
on_event(evutil_socket_t fd, short what, void *ptr)
{
	Watch *w = ptr;
	Loop *l = w->loop;

	(void)fd;
	call_begins(l);
	w->fn(w->ptr, what & EV_READ ? LOOP_READ : LOOP_WRITE);
	l->calling = false;
}

Watch *
watch_new(Loop *l, int fd, WatchFn fn, void *ptr)
{
	Watch *w = l->spare_watches;

	if (w)
		l->spare_watches = w->next;
	else
		w = arena_alloc(l->mem, sizeof *w);
	memset(w, 0, sizeof *w);
	w->loop = l;
	w->fd = fd;
	w->fn = fn;
	w->ptr = ptr;
	event_assign(&w->read, l->base, fd, EV_READ | EV_PERSIST, on_event, w);
	event_assign(&w->write, l->base, fd, EV_WRITE | EV_PERSIST, on_event, w);
	return w;
}

static void
want(struct event *e, bool before, bool now)
{
	if (now && !before)
		event_add(e, NULL);
	else if (before && !now)
		event_del(e);
}

void
watch_for(Watch *w, int events)
{
	want(&w->read, w->wanted & LOOP_READ, events & LOOP_READ);
	want(&w->write, w->wanted & LOOP_WRITE, events & LOOP_WRITE);
	w->wanted = events;
}

void
watch_free(Watch *w)
{
	if (!w)
		return;
	watch_for(w, 0);
	w->next = w->loop->spare_watches;
	w->loop->spare_watches = w;
}

/* --- timers and signals ------------------------------------------------------------ */

static void
on_timer(evutil_socket_t fd, short what, void *ptr)
{
	Timer *t = ptr;
	Loop *l = t->loop;

	(void)fd;
	(void)what;
	call_begins(l);
	t->fn(t->ptr);
	l->calling = false;
}

static Timer *
spare_timer(Loop *l, TimerFn fn, void *ptr)
{
	Timer *t = l->spare_timers;

	if (t)
		l->spare_timers = t->next;
	else
		t = arena_alloc(l->mem, sizeof *t);
	memset(t, 0, sizeof *t);
	t->loop = l;
	t->fn = fn;
	t->ptr = ptr;
	return t;
}

Timer *
timer_new(Loop *l, TimerFn fn, void *ptr)
{
	Timer *t = spare_timer(l, fn, ptr);

	evtimer_assign(&t->event, l->base, on_timer, t);
	return t;
}

void
timer_in(Timer *t, int64_t ms)
{
	ms = ms < 0 ? 0 : ms;
	event_add(&t->event, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
}

void
timer_free(Timer *t)
{
	if (!t)
		return;
	event_del(&t->event);
	t->next = t->loop->spare_timers;
	t->loop->spare_timers = t;
}

void
loop_on_signal(Loop *l, int signal, TimerFn fn, void *ptr)
{
	Timer *t = spare_timer(l, fn, ptr);

	evsignal_assign(&t->event, l->base, signal, on_timer, t);
	event_add(&t->event, NULL);
}

/* --- names ------------------------------------------------------------------------- */

/* One that was stopped is still to be called by evdns: its memory waits for that. */
struct Resolve {
	Loop *loop;
	ResolveFn fn;
	void *ptr;
	Resolve *next;
	struct sockaddr_storage at[LOOP_ADDRESSES];
	int n;
	struct event event;
};

static int
copy_addresses(const struct evutil_addrinfo *info, struct sockaddr_storage *at)
{
	int n = 0;

	for (; info && n < LOOP_ADDRESSES; info = info->ai_next)
		if (info->ai_addrlen <= sizeof at[n])
			memcpy(&at[n++], info->ai_addr, info->ai_addrlen);
	return n;
}

static void
on_resolved(evutil_socket_t fd, short what, void *ptr)
{
	Resolve *r = ptr;
	ResolveFn fn = r->fn;
	Resolve answer = *r;

	(void)fd;
	(void)what;
	r->next = r->loop->spare_resolves;
	r->loop->spare_resolves = r;
	call_begins(answer.loop);
	if (fn)
		fn(answer.ptr, answer.at, answer.n);
	answer.loop->calling = false;
}

/* evdns may call at once, before its caller has got the Resolve: that hears of it in the next turn. */
static void
on_addresses(int error, struct evutil_addrinfo *info, void *ptr)
{
	Resolve *r = ptr;

	r->n = error ? 0 : copy_addresses(info, r->at);
	if (info)
		evutil_freeaddrinfo(info);
	event_add(&r->event, &(struct timeval){ 0 });
}

Resolve *
loop_resolve(Loop *l, const char *host, int port, ResolveFn fn, void *ptr)
{
	const struct evutil_addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
	Resolve *r = l->spare_resolves;
	char service[16];

	if (!l->dns)
		l->dns = evdns_base_new(l->base, EVDNS_BASE_INITIALIZE_NAMESERVERS);
	if (!l->dns)
		return NULL;
	if (r)
		l->spare_resolves = r->next;
	else
		r = arena_alloc(l->mem, sizeof *r);
	memset(r, 0, sizeof *r);
	r->loop = l;
	r->fn = fn;
	r->ptr = ptr;
	evtimer_assign(&r->event, l->base, on_resolved, r);
	snprintf(service, sizeof service, "%d", port);
	evdns_getaddrinfo(l->dns, host, service, &hints, on_addresses, r);
	return r;
}

void
loop_resolve_stop(Resolve *r)
{
	if (r)
		r->fn = NULL;
}

#include "lib/base/lane.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/base/clock.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LANE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LANE_ASAN 1
#endif
#ifdef LANE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, to) 0
#define VALGRIND_STACK_DEREGISTER(id)     ((void)(id))
#endif

#define STACK_BYTES ((size_t)512 << 10)

typedef struct Stack {
	struct Stack *next; /* in the list of the idle */
	char *map;          /* a guard page, then the stack */
	size_t guard;
	unsigned valgrind_id;
} Stack;

typedef struct Lane {
	struct Lane *next;
	ucontext_t at;
	Stack *stack; /* NULL until first run */
	void (*fn)(void *);
	void *arg;
	bool waiting, ended;
	int fd, events, got;
	int64_t deadline;
	void *fake_stack; /* ASan's */
} Lane;

struct Lanes {
	Arena *mem;
	Lane *first, **tail;
	Lane *spare; /* ended lanes, to be used again */
	Stack *idle;
	size_t n;
	struct pollfd *polls;
	size_t polls_cap;
	ucontext_t home;
	void *home_fake;
	const void *home_bottom;
	size_t home_size;
};

static struct {
	Lanes *lanes;
	Lane *lane;
} running;
static volatile sig_atomic_t stop_wanted;

Lanes *
lanes_new(Arena *mem)
{
	Lanes *l = arena_alloc(mem, sizeof *l);

	l->mem = mem;
	l->tail = &l->first;
	return l;
}

void
lane_spawn(Lanes *l, void (*fn)(void *arg), void *arg)
{
	Lane *lane = l->spare;

	if (lane)
		l->spare = lane->next;
	else
		lane = arena_alloc(l->mem, sizeof *lane);
	*lane = (Lane){ .fn = fn, .arg = arg };
	*l->tail = lane;
	l->tail = &lane->next;
	l->n++;
}

static void
give_back_map(void *ptr)
{
	Stack *s = ptr;

	VALGRIND_STACK_DEREGISTER(s->valgrind_id);
	munmap(s->map, s->guard + STACK_BYTES);
}

static Stack *
take_stack(Lanes *l)
{
	Stack *s = l->idle;

	if (s) {
		l->idle = s->next;
		return s;
	}
	s = arena_alloc(l->mem, sizeof *s);
	s->guard = (size_t)sysconf(_SC_PAGESIZE);
	s->map = mmap(NULL, s->guard + STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (s->map == MAP_FAILED || mprotect(s->map, s->guard, PROT_NONE) != 0) {
		perror("copyhold: no memory for a lane's stack");
		abort();
	}
	s->valgrind_id = VALGRIND_STACK_REGISTER(
	    s->map + s->guard, s->map + s->guard + STACK_BYTES);
	arena_on_free(l->mem, give_back_map, s);
	return s;
}

#ifdef LANE_ASAN
static void
leaving(void **save, const void *bottom, size_t size)
{
	__sanitizer_start_switch_fiber(save, bottom, size);
}

static void
arrived(void *saved, const void **bottom, size_t *size)
{
	__sanitizer_finish_switch_fiber(saved, bottom, size);
}

static void
forget_frames(const Stack *s)
{
	__asan_unpoison_memory_region(s->map + s->guard, STACK_BYTES);
}
#else
#define leaving(save, bottom, size)  ((void)(bottom), (void)(size))
#define arrived(saved, bottom, size) ((void)0)
#define forget_frames(s)             ((void)(s))
#endif

/* What swapcontext() does; ASan warns at each program's first call of that. */
static void
swap(ucontext_t *from, const ucontext_t *to)
{
	volatile bool gone = false;

	getcontext(from);
	if (!gone) {
		gone = true;
		setcontext(to);
	}
}

static void
enter(Lanes *l, Lane *lane)
{
	running.lane = lane;
	leaving(&l->home_fake, lane->stack->map + lane->stack->guard, STACK_BYTES);
	swap(&l->home, &lane->at);
	arrived(l->home_fake, NULL, NULL);
	running.lane = NULL;
}

static void
leave(Lanes *l, Lane *lane)
{
	/* An ended lane passes NULL: its fake stack is given up. */
	leaving(lane->ended ? NULL : &lane->fake_stack, l->home_bottom, l->home_size);
	swap(&lane->at, &l->home);
	arrived(lane->fake_stack, &l->home_bottom, &l->home_size);
}

static void
lane_main(void)
{
	Lane *lane = running.lane;

	arrived(NULL, &running.lanes->home_bottom, &running.lanes->home_size);
	lane->fn(lane->arg);
	lane->ended = true;
	leave(running.lanes, lane);
}

static void
start(Lanes *l, Lane *lane)
{
	lane->stack = take_stack(l);
	getcontext(&lane->at);
	lane->at.uc_stack.ss_sp = lane->stack->map + lane->stack->guard;
	lane->at.uc_stack.ss_size = STACK_BYTES;
	lane->at.uc_link = NULL;
	makecontext(&lane->at, lane_main, 0);
}

/* Takes the lane that *link points at out of the list. */
static void
finish(Lanes *l, Lane **link)
{
	Lane *lane = *link;

	*link = lane->next;
	if (l->tail == &lane->next)
		l->tail = link;
	forget_frames(lane->stack);
	lane->stack->next = l->idle;
	l->idle = lane->stack;
	lane->next = l->spare;
	l->spare = lane;
	l->n--;
}

static void
run_ready(Lanes *l)
{
	for (Lane **link = &l->first; *link;) {
		Lane *lane = *link;

		if (!lane->waiting) {
			if (!lane->stack)
				start(l, lane);
			enter(l, lane);
		}
		if (lane->ended)
			finish(l, link);
		else
			link = &lane->next;
	}
}

static short
poll_events(int events)
{
	return (short)((events & LANE_READ ? POLLIN : 0) | (events & LANE_WRITE ? POLLOUT : 0));
}

/* An error or a hang-up wakes whoever waits: the next read or write tells it. */
static int
ready_events(short got, int wanted)
{
	if (got & (POLLERR | POLLNVAL))
		return wanted;
	int ready = (got & (POLLIN | POLLHUP) ? LANE_READ : 0) |
	    (got & (POLLOUT | POLLHUP) ? LANE_WRITE : 0);
	return ready & wanted;
}

static int
span_until(int64_t deadline)
{
	if (deadline < 0)
		return -1;
	int64_t left = deadline - clock_mono_ms();
	return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static int
earlier(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int
fill_polls(Lanes *l)
{
	int span = -1;
	size_t i = 0;

	if (l->n > l->polls_cap) {
		l->polls = arena_grow(
		    l->mem, l->polls, l->polls_cap * sizeof *l->polls, 2 * l->n * sizeof *l->polls);
		l->polls_cap = 2 * l->n;
	}
	for (const Lane *lane = l->first; lane; lane = lane->next, i++) {
		l->polls[i] = (struct pollfd){ .fd = -1 };
		if (!lane->waiting) {
			span = 0;
			continue;
		}
		if (lane->fd >= 0)
			l->polls[i] = (struct pollfd){ lane->fd, poll_events(lane->events), 0 };
		span = earlier(span, span_until(lane->deadline));
	}
	return span;
}

static void
wait_any(Lanes *l)
{
	int span = fill_polls(l);
	int n = poll(l->polls, (nfds_t)l->n, span);
	int64_t now = clock_mono_ms();
	size_t i = 0;

	for (Lane *lane = l->first; lane; lane = lane->next, i++) {
		if (!lane->waiting)
			continue;
		lane->got = n > 0 ? ready_events(l->polls[i].revents, lane->events) : 0;
		if (lane->got || (lane->deadline >= 0 && now >= lane->deadline))
			lane->waiting = false;
	}
}

void
lanes_run(Lanes *l)
{
	if (running.lanes) {
		fputs("copyhold: lanes_run() called from within a lane\n", stderr);
		abort();
	}
	running.lanes = l;
	for (;;) {
		run_ready(l);
		if (!l->first)
			break;
		wait_any(l);
	}
	running.lanes = NULL;
}

static int
wait_alone(int fd, int events, int64_t deadline)
{
	struct pollfd p = { fd, poll_events(events), 0 };

	for (;;) {
		int n = poll(&p, 1, span_until(deadline));
		int got = n > 0 ? ready_events(p.revents, events) : 0;

		if (got || (deadline >= 0 && clock_mono_ms() >= deadline))
			return got;
	}
}

int
lane_wait(int fd, int events, int64_t deadline_mono_ms)
{
	Lane *lane = running.lane;

	if (!lane)
		return wait_alone(fd, events, deadline_mono_ms);
	lane->fd = fd;
	lane->events = events;
	lane->deadline = deadline_mono_ms;
	lane->got = 0;
	lane->waiting = true;
	leave(running.lanes, lane);
	return lane->got;
}

void
lane_sleep(int64_t ms)
{
	lane_wait(-1, 0, clock_mono_ms() + (ms > 0 ? ms : 0));
}

static void
on_signal(int sig)
{
	if (stop_wanted) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	stop_wanted = 1;
}

void
lane_catch_signals(void)
{
	struct sigaction stop = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigemptyset(&stop.sa_mask);
	sigemptyset(&ignore.sa_mask);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

bool
lane_stopping(void)
{
	return stop_wanted != 0;
}

#include "lib/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/vec.h"

#define DEADLINE_MS 60000
#define CAP         ((size_t)64 << 10)

extern char **environ;

typedef struct Stream {
	int ours, theirs; /* -1: closed */
	char *bytes;
	size_t len, cap, max;
} Stream;

struct Proc {
	Ctx *cx;
	const ProcSpec *spec; /* NULL once it has been started by proc_start() */
	Stream in, out, err;
	size_t input_at;
	pid_t pid; /* 0: not started, or waited for */
	int pidfd, epoll;
	int watched; /* by proc_ready() */
	int status;  /* of waitpid() */
	bool timed_out;
};

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
close_all(Proc *c)
{
	close_fd(&c->in.ours);
	close_fd(&c->in.theirs);
	close_fd(&c->out.ours);
	close_fd(&c->out.theirs);
	close_fd(&c->err.ours);
	close_fd(&c->err.theirs);
	close_fd(&c->pidfd);
	close_fd(&c->epoll);
}

static bool
open_pipe(Stream *s, bool we_write)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	s->ours = ends[we_write ? 1 : 0];
	s->theirs = ends[we_write ? 0 : 1];
	return fcntl(s->ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool
open_streams(Proc *c, bool input)
{
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll < 0 || !open_pipe(&c->out, false) || !open_pipe(&c->err, false))
		return false;
	if (input)
		return open_pipe(&c->in, true);
	c->in.theirs = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return c->in.theirs >= 0;
}

static bool
same_variable(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strcspn(b, "=") == n && strncmp(a, b, n) == 0;
}

static char **
environment(Arena *mem, const char *const *add)
{
	VEC(char *) env = { 0 };

	for (char **e = environ; e && *e; e++) {
		bool replaced = false;

		for (const char *const *a = add; a && *a; a++)
			replaced = replaced || same_variable(*e, *a);
		if (!replaced)
			vec_push(mem, &env, *e);
	}
	for (; add && *add; add++)
		vec_push(mem, &env, arena_dup(mem, *add));
	vec_push(mem, &env, NULL);
	return env.at;
}

static int
set_attributes(posix_spawnattr_t *attr)
{
	short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
	sigset_t none, defaults;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGTERM);
	int err = posix_spawnattr_setflags(attr, flags);
	err = err ? err : posix_spawnattr_setpgroup(attr, 0);
	err = err ? err : posix_spawnattr_setsigdefault(attr, &defaults);
	return err ? err : posix_spawnattr_setsigmask(attr, &none);
}

static int
set_files(posix_spawn_file_actions_t *files, const Proc *c)
{
	int err = posix_spawn_file_actions_adddup2(files, c->in.theirs, 0);

	err = err ? err : posix_spawn_file_actions_adddup2(files, c->out.theirs, 1);
	err = err ? err : posix_spawn_file_actions_adddup2(files, c->err.theirs, 2);
	return err ? err : posix_spawn_file_actions_addclosefrom_np(files, 3);
}

static int
spawn(Proc *c)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	size_t n = 0;

	while (c->spec->argv[n])
		n++;
	char **argv = arena_alloc(c->cx->mem, (n + 1) * sizeof *argv);
	for (size_t i = 0; i < n; i++)
		argv[i] = arena_dup(c->cx->mem, c->spec->argv[i]);
	char **env = environment(c->cx->mem, c->spec->env_add);

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	int err = set_attributes(&attr);
	err = err ? err : set_files(&files, c);
	err = err ? err : posix_spawnp(&c->pid, argv[0], &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return err;
}

static bool
watch(Proc *c, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return fd < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static bool
watch_all(Proc *c)
{
	return watch(c, c->pidfd, EPOLLIN) && watch(c, c->in.ours, EPOLLOUT) &&
	    watch(c, c->out.ours, EPOLLIN) && watch(c, c->err.ours, EPOLLIN);
}

static void
keep(Proc *c, Stream *s, const char *bytes, size_t n)
{
	if (n > s->max - s->len)
		n = s->max - s->len;
	if (s->len + n >= s->cap) {
		size_t cap = 2 * (s->len + n) + 256;

		s->bytes = arena_grow(c->cx->mem, s->bytes, s->cap, cap);
		s->cap = cap;
	}
	memcpy(s->bytes + s->len, bytes, n);
	s->len += n;
	s->bytes[s->len] = '\0';
}

/* One read: true while there may be more now.  What is above the cap is dropped. */
static bool
take(Proc *c, Stream *s)
{
	char bytes[8192];

	if (s->ours < 0)
		return false;
	ssize_t n = read(s->ours, bytes, sizeof bytes);
	if (n > 0)
		keep(c, s, bytes, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		close_fd(&s->ours);
	return n > 0;
}

/* Reads what a full pipe can hold, and no more: a daemon left behind may write for ever. */
static void
drain(Proc *c, Stream *s)
{
	for (int i = 0; i < 256 && take(c, s); i++)
		;
}

/* SIGPIPE stays away: a child that reads no input must not end us. */
static ssize_t
write_quietly(int fd, const void *bytes, size_t n)
{
	sigset_t pipe_set, old;
	struct timespec now = { 0 };

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_set, &old);
	ssize_t put = write(fd, bytes, n);
	int err = errno;
	if (put < 0 && err == EPIPE)
		sigtimedwait(&pipe_set, NULL, &now);
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = err;
	return put;
}

static void
feed(Proc *c)
{
	size_t left = c->spec->input_len - c->input_at;

	if (c->in.ours < 0)
		return;
	if (left > 0) {
		ssize_t n = write_quietly(c->in.ours, c->spec->input + c->input_at, left);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		c->input_at += n > 0 ? (size_t)n : left;
		left = c->spec->input_len - c->input_at;
	}
	if (left == 0)
		close_fd(&c->in.ours);
}

/* Serves the streams until the program has ended, or until its deadline. */
static void
serve(Proc *c)
{
	int64_t span = c->spec->deadline_ms > 0 ? c->spec->deadline_ms : DEADLINE_MS;
	int64_t deadline = clock_mono_ms() + span;
	struct epoll_event e;

	for (;;) {
		if (!lane_wait(c->epoll, LANE_READ, deadline)) {
			c->timed_out = true;
			return;
		}
		if (epoll_wait(c->epoll, &e, 1, 0) != 1)
			continue;
		if (e.data.fd == c->pidfd)
			return;
		if (e.data.fd == c->in.ours)
			feed(c);
		else
			take(c, e.data.fd == c->out.ours ? &c->out : &c->err);
	}
}

static void
reap(Proc *c)
{
	while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
}

static void
end_now(Proc *c)
{
	kill(-c->pid, SIGKILL);
	reap(c);
}

static int
exit_code_of(const Proc *c)
{
	return WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1;
}

static void
finish(Proc *c, ProcResult *out)
{
	if (c->timed_out) {
		kill(-c->pid, SIGKILL);
		lane_wait(c->pidfd, LANE_READ, -1);
	}
	reap(c);
	drain(c, &c->out);
	drain(c, &c->err);
	*out = (ProcResult){
		.exit_code = exit_code_of(c),
		.signal = WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0,
		.timed_out = c->timed_out,
		.out = c->out.bytes,
		.err = c->err.bytes,
		.out_len = c->out.len,
		.err_len = c->err.len,
	};
}

/* Our ends of the pipes are open, and it runs. */
static bool
launch(Proc *c, bool input)
{
	const char *name = c->spec->argv[0];

	if (!open_streams(c, input))
		return fail_errno(c->cx, errno, NULL, "cannot make the pipes for \"%s\"", name);
	int err = spawn(c);
	if (err) {
		c->pid = 0;
		fail(c->cx, FAIL_PROGRAM, "Is it installed and found in PATH?",
		    "cannot start \"%s\"", name);
		return fail_cause(c->cx, "%s", strerrorname_np(err));
	}
	close_fd(&c->in.theirs);
	close_fd(&c->out.theirs);
	close_fd(&c->err.theirs);
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return c->pidfd >= 0 || fail_errno(c->cx, errno, NULL, "cannot watch \"%s\"", name);
}

static bool
run(Proc *c, ProcResult *out)
{
	if (!launch(c, c->spec->input != NULL))
		return false;
	if (!watch_all(c))
		return fail_errno(c->cx, errno, NULL, "cannot watch \"%s\"", c->spec->argv[0]);
	serve(c);
	finish(c, out);
	return true;
}

static Proc
new_proc(Ctx *cx, const ProcSpec *spec)
{
	size_t cap = spec->cap ? spec->cap : CAP;

	return (Proc){
		.cx = cx,
		.spec = spec,
		.pidfd = -1,
		.epoll = -1,
		.in = { .ours = -1, .theirs = -1 },
		.out = { .ours = -1, .theirs = -1, .max = cap },
		.err = { .ours = -1, .theirs = -1, .max = cap },
	};
}

static void
close_proc(void *ptr)
{
	Proc *c = ptr;

	if (c->pid > 0)
		end_now(c);
	close_all(c);
}

bool
proc_run(Ctx *cx, const ProcSpec *spec, ProcResult *out)
{
	Proc c = new_proc(cx, spec);

	keep(&c, &c.out, "", 0);
	keep(&c, &c.err, "", 0);
	bool ok = run(&c, out);
	close_proc(&c);
	return ok;
}

/* --- programs that we talk with ------------------------------------------------------- */

bool
proc_start(Ctx *cx, const ProcSpec *spec, Proc **out)
{
	Proc *p = arena_alloc(cx->mem, sizeof *p);

	*p = new_proc(cx, spec);
	bool good = launch(p, true);
	p->cx = NULL;
	p->spec = NULL;
	if (good) {
		arena_on_free(cx->mem, close_proc, p);
		*out = p;
	} else {
		close_proc(p);
	}
	return good;
}

static Stream *
stream_of(Proc *p, int which)
{
	return which == PROC_IN ? &p->in : which == PROC_OUT ? &p->out : &p->err;
}

/* Only what is wanted is in the set: the hang-up of a stream is told whether asked for or not. */
static bool
set_watched(Proc *p, int wanted)
{
	static const int all[] = { PROC_IN, PROC_OUT, PROC_ERR, PROC_END };

	for (size_t i = 0; i < LENGTH(all); i++) {
		int bit = all[i], fd = bit == PROC_END ? p->pidfd : stream_of(p, bit)->ours;
		struct epoll_event e = { .events = bit == PROC_IN ? EPOLLOUT : EPOLLIN,
			.data.u32 = (uint32_t)bit };
		bool is = (p->watched & bit) != 0, shall = (wanted & bit) != 0 && fd >= 0;

		if (is == shall)
			continue;
		if (epoll_ctl(p->epoll, shall ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &e) != 0)
			return false;
		p->watched ^= bit;
	}
	return true;
}

int
proc_ready(Proc *p, int wanted, int64_t deadline)
{
	struct epoll_event e[4];
	int got = 0;

	if (!set_watched(p, wanted) || !lane_wait(p->epoll, LANE_READ, deadline))
		return 0;
	int n = epoll_wait(p->epoll, e, (int)LENGTH(e), 0);
	for (int i = 0; i < n; i++)
		got |= (int)e[i].data.u32;
	return got;
}

ssize_t
proc_read(Proc *p, int which, void *out, size_t cap)
{
	ssize_t n = read(stream_of(p, which)->ours, out, cap);

	return n < 0 ? -errno : n;
}

ssize_t
proc_write(Proc *p, const void *bytes, size_t n)
{
	ssize_t put = write_quietly(p->in.ours, bytes, n);

	return put < 0 ? -errno : put;
}

void
proc_close(Proc *p, int which)
{
	close_fd(&stream_of(p, which)->ours);
	p->watched &= ~which;
}

bool
proc_ended(Proc *p, int64_t deadline, int *exit_code)
{
	if (p->pid > 0 && !lane_wait(p->pidfd, LANE_READ, deadline))
		return false;
	if (p->pid > 0)
		reap(p);
	*exit_code = exit_code_of(p);
	return true;
}

void
proc_kill(Proc *p)
{
	if (p->pid > 0)
		end_now(p);
}

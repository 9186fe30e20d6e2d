/* The master's workers: starting them, and the packets to and from them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "region/gateway/master_intern.h"

#define QUEUE_MAX   ((size_t)64 << 20) /* a worker that takes nothing for so long is none */
#define FD_FLOOR    200                /* ours stay clear of the numbers that a worker gets */
#define TURN        64                 /* packets of one worker before the others' */
#define STEADY_MS   10000              /* who lived so long did not fail at its start */
#define ROUTES_ROOM (UINT32_C(1) << 17)

struct Packet {
	Packet *next;
	Arena *mem;
	LinkType type;
	uint64_t id;
	int fd;
	size_t n;
	unsigned char bytes[];
};

/* --- counters ------------------------------------------------------------------- */

static uint32_t
routes_room(int64_t highest)
{
	uint32_t room = ROUTES_ROOM;

	while (room < UINT32_MAX / 4 && room / 2 < highest)
		room *= 2;
	return room;
}

/* Mapped by all workers; what nobody has counted in takes no memory. */
bool
crew_setup(Ctx *cx, Master *m)
{
	GateFigures now = { 0 };

	if (!catalog_gate_figures(cx, m->home, &now))
		return false;
	m->start.routes = routes_room(now.highest);
	size_t size = link_counters_size(m->ncrew, m->start.routes);
	m->counters_fd = memfd_create("copyhold-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->counters_fd < 0 || ftruncate(m->counters_fd, (off_t)size) != 0 ||
	    fcntl(m->counters_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return fail_errno(cx, errno, NULL, "making the counters of the workers");
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->counters_fd, 0);
	if (at == MAP_FAILED)
		return fail_errno(cx, errno, NULL, "mapping the counters of the workers");
	m->counters = at;
	return true;
}

/* What a dead worker has counted is nobody's. */
static void
forget_counts(const Crew *w)
{
	LinkCounters *c = w->m->counters;
	_Atomic int16_t *row = c->tenant + (size_t)w->number * w->m->start.routes;

	for (int i = 0; i < LINK_CLUSTERS; i++) {
		c->cluster[i].used[w->number] = 0;
		c->cluster[i].waiting[w->number] = 0;
	}
	_Atomic int16_t *waiting = row + (size_t)w->m->ncrew * w->m->start.routes;
	for (uint32_t i = 0; i < w->m->start.routes; i++) {
		if (row[i])
			row[i] = 0;
		if (waiting[i])
			waiting[i] = 0;
	}
}

/* --- packets to a worker ------------------------------------------------------------ */

bool
crew_on(const Crew *w)
{
	return w->fd >= 0;
}

static void
packet_free(Packet *p)
{
	secret_wipe(p->bytes, p->n);
	if (p->fd >= 0)
		close(p->fd);
	arena_free(p->mem);
}

static void
hang_up(Crew *w)
{
	watch_free(w->watch);
	w->watch = NULL;
	close(w->fd);
	w->fd = -1;
	while (w->first) {
		Packet *p = w->first;
		w->first = p->next;
		packet_free(p);
	}
	w->last = NULL;
	w->queued = 0;
	w->status[0] = '\0';
	admin_gone(w);
}

/* Its process is reaped when the kernel says so. */
static void
end_worker(Crew *w, const char *why)
{
	if (!crew_on(w))
		return;
	if (why)
		log_say("worker %u (process %d) %s: it is ended", w->number, (int)w->pid, why);
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	hang_up(w);
}

static void
enqueue(
    Crew *w, LinkType type, uint64_t id, const void *a, size_t an, const void *b, size_t bn, int fd)
{
	Arena *mem = arena_new(NULL);
	Packet *p = arena_alloc(mem, sizeof *p + an + bn);

	*p = (Packet){ .mem = mem, .type = type, .id = id, .fd = -1, .n = an + bn };
	if (fd >= 0)
		p->fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_FLOOR);
	if (an)
		memcpy(p->bytes, a, an);
	if (bn)
		memcpy(p->bytes + an, b, bn);
	if (w->last)
		w->last->next = p;
	else
		w->first = p;
	w->last = p;
	w->queued += p->n;
	if (w->queued > QUEUE_MAX)
		end_worker(w, "takes nothing");
	else
		watch_for(w->watch, LOOP_READ | LOOP_WRITE);
}

static void
flush(Crew *w)
{
	while (w->first) {
		Packet *p = w->first;
		if (!link_send(w->fd, p->type, p->id, p->bytes, p->n, p->fd)) {
			if (errno != EAGAIN)
				end_worker(w, "cannot be told anything");
			return;
		}
		w->first = p->next;
		w->last = w->first ? w->last : NULL;
		w->queued -= p->n;
		packet_free(p);
	}
	watch_for(w->watch, LOOP_READ);
}

void
crew_send(Crew *w, LinkType type, uint64_t id, const void *a, size_t an, const void *b, size_t bn)
{
	if (!crew_on(w))
		return;
	if (!w->first && link_send2(w->fd, type, id, a, an, b, bn))
		return;
	if (!w->first && errno != EAGAIN)
		end_worker(w, "cannot be told anything");
	else
		enqueue(w, type, id, a, an, b, bn, -1);
}

void
crew_send_fd(Crew *w, LinkType type, const void *body, size_t n, int fd)
{
	if (crew_on(w) && (w->first || !link_send(w->fd, type, 0, body, n, fd)))
		enqueue(w, type, 0, body, n, NULL, 0, fd);
}

void
crew_send_all(Master *m, LinkType type, const void *a, size_t an, const void *b, size_t bn)
{
	for (uint32_t i = 0; i < m->ncrew; i++)
		crew_send(&m->crew[i], type, 0, a, an, b, bn);
}

uint32_t
crew_left(const Master *m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->ncrew; i++)
		n += m->crew[i].pid > 0;
	return n;
}

/* --- packets from a worker ------------------------------------------------------------ */

static bool
is_text(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

static bool
who_fits(const LinkWho *who)
{
	return is_text(who->tenant, sizeof who->tenant) && is_text(who->user, sizeof who->user);
}

static bool
want_fits(const LinkWantKeys *want)
{
	return is_text(want->tenant, sizeof want->tenant) &&
	    is_text(want->user, sizeof want->user) && want->salt_n > 0 &&
	    want->salt_n <= SCRAM_SALT;
}

static void
took(Crew *w, const LinkAck *ack)
{
	if (ack->seq <= w->acked)
		return;
	w->acked = ack->seq;
	admin_acked(w->m);
}

static bool
forward_cancel(Crew *w, const LinkCancel *c)
{
	if (c->secret_n > sizeof c->secret || c->worker >= w->m->ncrew)
		return false;
	crew_send(&w->m->crew[c->worker], LINK_CANCEL, 0, c, sizeof *c, NULL, 0);
	return true;
}

/* Nothing in it is believed: false ends the worker. */
static bool
heed(Crew *w, const LinkHead *head, const unsigned char *body)
{
	switch (head->type) {
	case LINK_ACK:
		if (head->n != sizeof(LinkAck))
			return false;
		took(w, (const LinkAck *)body);
		return true;
	case LINK_ASK_VERIFIER:
		if (head->n != sizeof(LinkWho) || !who_fits((const LinkWho *)body))
			return false;
		answer_verifier(w, head->id, (const LinkWho *)body);
		return true;
	case LINK_ASK_KEYS:
		if (head->n != sizeof(LinkWantKeys) || !want_fits((const LinkWantKeys *)body))
			return false;
		answer_keys(w, head->id, (const LinkWantKeys *)body);
		return true;
	case LINK_CANCEL_FOR:
		return head->n == sizeof(LinkCancel) && forward_cancel(w, (const LinkCancel *)body);
	case LINK_ANSWER:
		if (head->n < sizeof(LinkText))
			return false;
		admin_answer(w, head->id, body[offsetof(LinkText, more)] != 0,
		    (const char *)body + sizeof(LinkText), head->n - sizeof(LinkText));
		return true;
	default:
		return false;
	}
}

static void
on_link(void *ptr, int events)
{
	Crew *w = ptr;
	LinkHead head;
	int fd;

	if (events & LOOP_WRITE)
		flush(w);
	for (int i = 0; (events & LOOP_READ) && i < TURN && crew_on(w); i++) {
		int got = link_receive(w->fd, &head, w->m->room, &fd);
		if (got == 0)
			return;
		if (fd >= 0)
			close(fd);
		if (got < 0)
			end_worker(w, NULL);
		else if (!heed(w, &head, w->m->room))
			end_worker(w, "said what no worker says");
	}
}

/* --- birth and death ------------------------------------------------------------------- */

static bool
copy_fd(Ctx *cx, posix_spawn_file_actions_t *files, int *high, int fd, int as)
{
	*high = fcntl(fd, F_DUPFD_CLOEXEC, FD_FLOOR);
	if (*high < 0)
		return fail_errno(cx, errno, "Raise the limit of open files.", "starting a worker");
	return posix_spawn_file_actions_adddup2(files, *high, as) == 0;
}

static int
worker_flags(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setpgroup(attr, 0); /* a terminal's ^C is the master's alone to hear */
	return posix_spawnattr_setflags(
	    attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

/* Nothing of our environment goes along: a manifest's secrets may stand there. */
static int
spawn_worker(posix_spawn_file_actions_t *files, pid_t *pid)
{
	const char *argv[] = { "copyhold", "gateway", "worker", NULL };
	char *none[] = { NULL };
	posix_spawnattr_t attr;

	posix_spawnattr_init(&attr);
	int err = worker_flags(&attr);
	if (!err)
		err = posix_spawn(
		    pid, "/proc/self/exe", files, &attr, (char **)(uintptr_t)argv, none);
	posix_spawnattr_destroy(&attr);
	return err;
}

static bool
launch(Ctx *cx, Crew *w, int theirs)
{
	Master *m = w->m;
	posix_spawn_file_actions_t files;
	int high[WORKER_LISTEN + OPT_LIST_MAX], n = 0, err = 0;
	bool ok;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	ok = copy_fd(cx, &files, &high[n++], theirs, WORKER_LINK) &&
	    copy_fd(cx, &files, &high[n++], m->counters_fd, WORKER_COUNTERS);
	for (int i = 0; ok && i < m->nlistens; i++)
		ok = copy_fd(cx, &files, &high[n++], listen_fd(&m->listens[i], (int)w->number),
		    WORKER_LISTEN + i);
	posix_spawn_file_actions_addclosefrom_np(&files, WORKER_LISTEN + m->nlistens);
	if (ok)
		err = spawn_worker(&files, &w->pid);
	posix_spawn_file_actions_destroy(&files);
	for (int i = 0; i < n; i++)
		if (high[i] >= 0)
			close(high[i]);
	return ok && (!err || fail_errno(cx, err, NULL, "starting a worker"));
}

static bool
begin(Ctx *cx, Crew *w)
{
	int fds[2];

	if (!link_pair(cx, fds))
		return false;
	bool ok = launch(cx, w, fds[1]);
	close(fds[1]);
	if (!ok) {
		close(fds[0]);
		w->pid = 0;
		return false;
	}
	w->fd = fds[0];
	w->since = clock_mono_ms();
	w->watch = watch_new(w->m->loop, w->fd, on_link, w);
	watch_for(w->watch, LOOP_READ);
	return true;
}

static void
try_again(Crew *w)
{
	if (!w->m->stopping)
		timer_in(w->again, backoff_ms(++w->failures, 50, 10000));
}

void
crew_start(Crew *w)
{
	LinkStart start = w->m->start;

	if (w->m->stopping)
		return;
	Ctx own = ctx_new(NULL);
	start.worker = w->number;
	if (begin(&own, w)) {
		crew_send(w, LINK_START, 0, &start, sizeof start, NULL, 0);
		follow_tell(w);
		master_lease(w);
		crew_send(w, LINK_GO, 0, NULL, 0, NULL, 0);
	} else {
		log_raw(fail_text(own.mem, own.fail));
		try_again(w);
	}
	arena_free(own.mem);
}

static void
ended(Crew *w, int status)
{
	bool clean = w->m->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (!clean)
		log_say("worker %u (process %d) ended by %s %d", w->number, (int)w->pid,
		    WIFSIGNALED(status) ? "signal" : "exit",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	w->pid = 0;
	if (crew_on(w))
		hang_up(w);
	forget_counts(w);
	if (clock_mono_ms() - w->since > STEADY_MS)
		w->failures = 0;
	try_again(w);
}

void
crew_reap(Master *m)
{
	for (uint32_t i = 0; i < m->ncrew; i++) {
		int status;
		Crew *w = &m->crew[i];
		if (w->pid > 0 && waitpid(w->pid, &status, WNOHANG) == w->pid)
			ended(w, status);
	}
	admin_acked(m);
}

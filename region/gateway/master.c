#include "region/gateway/master.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/local.h"
#include "lib/base/log.h"
#include "lib/core/ring.h"
#include "region/gateway/confine.h"
#include "region/gateway/limits.h"
#include "region/gateway/master_intern.h"

#define TICK_MS    1000
#define LINGER_MS  3000 /* after the clients' time is over */
#define RENEW_WAIT 50   /* for another writer of the catalogue; the next tick tries again */

/* --- what is said ------------------------------------------------------------------ */

void
master_trouble(Master *m, const Fail *why)
{
	if (m->said && strcmp(m->said, why->what) == 0)
		return;
	arena_reset(m->said_mem);
	m->said = arena_dup(m->said_mem, why->what);
	log_say("%s%s%s", why->what, why->hint ? ": " : "", why->hint ? why->hint : "");
}

void
master_well(Master *m)
{
	if (m->said)
		log_say("the catalogue can be read again");
	m->said = NULL;
}

/* --- the gateway's row, and the leases of the workers -------------------------------- */

static bool
put_row(Ctx *cx, Master *m, int64_t until)
{
	const GatewayRecord row = {
		.id = m->id,
		.pid = getpid(),
		.address = m->address,
		.tls = m->cert.cert_n > 0,
		.ca = m->spec->ca,
		.since = m->began,
		.lease_until = until,
	};

	return catalog_gateway_put(cx, m->home, &row);
}

/* A row that is gone is put again: the machine may have slept while another gateway began. */
static bool
renew(Ctx *cx, Master *m)
{
	int64_t until = clock_wall_ms() + ROW_LEASE_MS;
	bool got, there;

	if (!lite_try_begin(cx, m->home->db, RENEW_WAIT, &got) || !got)
		return !cx->fail->kind;
	bool ok = catalog_gateway_renew(cx, m->home, m->id, until, &there) &&
	    (there || put_row(cx, m, until));
	if (!ok) {
		lite_rollback(m->home->db);
		return false;
	}
	if (!lite_commit(cx, m->home->db))
		return false;
	m->row_until = until;
	return true;
}

static void
renew_row(Master *m)
{
	Ctx own = ctx_new(m->cx->mem);

	if (m->row_until - clock_wall_ms() < ROW_RENEW_MS && !renew(&own, m)) {
		m->behind = true;
		master_trouble(m, own.fail);
	}
	arena_free(own.mem);
}

/* A worker's lease ends before the row's does: whoever reads the row may rely on it. */
void
master_lease(Crew *w)
{
	const LinkLease lease = { .span_ms = LEASE_SPAN_MS };
	Master *m = w->m;

	if (!m->behind && m->row_until - clock_wall_ms() > LEASE_SPAN_MS)
		crew_send(w, LINK_LEASE, 0, &lease, sizeof lease, NULL, 0);
}

static void
on_tick(void *ptr)
{
	Master *m = ptr;

	timer_in(m->tick, TICK_MS);
	follow_look(m); /* a ring may have been lost */
	renew_row(m);
	for (uint32_t i = 0; i < m->ncrew; i++) {
		follow_remind(&m->crew[i]);
		master_lease(&m->crew[i]);
	}
	admin_poll(m);
}

static void
on_ring(void *ptr, int events)
{
	Master *m = ptr;
	char bytes[16];

	(void)events;
	while (recv(m->ring_fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
		;
	follow_look(m);
}

/* --- the end ------------------------------------------------------------------------- */

/* Its row stays until the last client is gone: changes of routes still wait for its workers. */
static void
hide_row(Master *m)
{
	Ctx own = ctx_new(m->cx->mem);

	m->address = "";
	if (!catalog_gateway_hide(&own, m->home, m->id))
		log_raw(fail_text(own.mem, own.fail));
	arena_free(own.mem);
}

static void
kill_all(Master *m)
{
	for (uint32_t i = 0; i < m->ncrew; i++)
		if (m->crew[i].pid > 0)
			kill(m->crew[i].pid, SIGKILL);
}

static void
on_last_call(void *ptr)
{
	kill_all(ptr);
}

/* The first signal gives the clients their time, the second takes it, the third does not ask. */
static void
stop(Master *m)
{
	LinkDrain drain = { .span_ms = m->stopping ? 0 : m->spec->drain_ms };

	if (m->stopping++ == 0) {
		log_say("draining %u worker%s", crew_left(m), crew_left(m) == 1 ? "" : "s");
		hide_row(m);
		for (int i = 0; i < m->nlistens; i++)
			listen_close(&m->listens[i]);
	}
	if (m->stopping > 2)
		kill_all(m);
	crew_send_all(m, LINK_DRAIN, &drain, sizeof drain, NULL, 0);
	timer_in(m->last_call, drain.span_ms + LINGER_MS);
	if (!crew_left(m))
		loop_stop(m->loop);
}

static void
on_stop(void *ptr)
{
	stop(ptr);
}

static void
on_child(void *ptr)
{
	Master *m = ptr;

	crew_reap(m);
	if (m->stopping && !crew_left(m))
		loop_stop(m->loop);
}

/* A file that is wrong changes nothing. */
static void
limits_again(Master *m)
{
	Ctx own = ctx_new(m->cx->mem);
	LinkLimits limits = m->spec->limits;

	if (!m->spec->limits_file)
		return;
	if (limits_read(&own, m->spec->limits_file, &limits)) {
		m->start.limits = limits;
		crew_send_all(m, LINK_LIMITS, &limits, sizeof limits, NULL, 0);
		log_say("limits were read again");
	} else {
		log_raw(fail_text(own.mem, own.fail));
	}
	arena_free(own.mem);
}

static void
on_hangup(void *ptr)
{
	follow_files(ptr);
	limits_again(ptr);
}

/* --- the beginning ---------------------------------------------------------------------- */

static bool
set_user(Ctx *cx, Master *m)
{
	struct passwd *pw;

	if (geteuid() != 0 && !confine_can_drop())
		return true;
	pw = getpwnam(m->spec->user);
	if (!pw || pw->pw_uid == 0)
		return fail(cx, FAIL_USAGE, "Name another one: --user NAME.",
		    "workers cannot become \"%s\": there is no such user, or it is root",
		    m->spec->user);
	m->start.drop = true;
	m->start.uid = pw->pw_uid;
	m->start.gid = pw->pw_gid;
	return true;
}

static bool
set_suffixes(Ctx *cx, Master *m)
{
	const OptList *sni = m->spec->sni;

	if (sni->n > LINK_SUFFIXES)
		return fail(cx, FAIL_USAGE, NULL, "%d domains at most can be given by --sni-domain",
		    LINK_SUFFIXES);
	for (int i = 0; i < sni->n; i++) {
		const char *domain = sni->at[i] + (*sni->at[i] == '.');
		size_t n = strlen(domain);
		if (!n || n >= sizeof m->start.suffix[0])
			return fail(cx, FAIL_USAGE, "Write it such as db.example.com.",
			    "\"%s\" is no domain", sni->at[i]);
		memcpy(m->start.suffix[i], domain, n + 1);
	}
	return true;
}

static bool
parse_listens(Ctx *cx, Master *m)
{
	static const OptList usual = { .at = { "127.0.0.1:6432" }, .n = 1 };
	const OptList *list = m->spec->listen->n ? m->spec->listen : &usual;

	m->nlistens = list->n;
	m->listens = arena_alloc(cx->mem, (size_t)list->n * sizeof *m->listens);
	for (int i = 0; i < list->n; i++) {
		Listener *l = &m->listens[i];
		if (!listen_parse(cx, list->at[i], l))
			return false;
		if (listen_is_near(l))
			continue;
		m->start.tls_required = true;
		if (!m->spec->cert)
			return fail(cx, FAIL_REFUSED, "Give --tls-cert and --tls-key.",
			    "without TLS passwords and rows on \"%s\" could be read on the way",
			    l->text);
	}
	return true;
}

static bool
open_listens(Ctx *cx, Master *m)
{
	for (int i = 0; i < m->nlistens; i++)
		if (!listen_open(cx, &m->listens[i], (int)m->ncrew))
			return false;
	m->address = m->spec->address ? m->spec->address : listen_address(cx->mem, m->listens);
	m->start.listeners = (uint32_t)m->nlistens;
	return true;
}

#define FILES_LEAST 256

/* Each client takes a descriptor, and workers inherit the limit. */
static bool
raise_files(Ctx *cx)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return fail_errno(cx, errno, NULL, "asking for the limit of open files");
	if (files.rlim_max < FILES_LEAST)
		return fail(cx, FAIL_LIMIT,
		    "Raise it: ulimit -Hn, or LimitNOFILE= of the service; each client and each "
		    "server connection takes one.",
		    "a gateway needs %d open files at least, and %llu are allowed", FILES_LEAST,
		    (unsigned long long)files.rlim_max);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	return true;
}

static bool
set_start(Ctx *cx, Master *m)
{
	const GatewaySpec *spec = m->spec;

	if (!spec->cert != !spec->key)
		return fail(cx, FAIL_USAGE, "Give both files, or neither.",
		    "--tls-cert and --tls-key belong together");
	m->id = arena_printf(cx->mem, "gw-%s", random_name(cx->mem, 8));
	m->began = clock_wall_ms();
	m->ncrew = (uint32_t)spec->workers;
	m->start.workers = m->ncrew;
	m->start.limits = spec->limits;
	if (spec->limits_file && !limits_read(cx, spec->limits_file, &m->start.limits))
		return false;
	memcpy(m->start.gateway, m->id, strlen(m->id) + 1);
	return set_suffixes(cx, m) && set_user(cx, m) && parse_listens(cx, m);
}

static bool
open_ring(Ctx *cx, Master *m)
{
	const char *folder = arena_printf(cx->mem, "%s/" RING_FOLDER, m->home->dir);

	if (!file_make_dirs(cx, folder, 0700) ||
	    !local_open(
		cx, folder, arena_printf(cx->mem, "%s.ring", m->id), SOCK_DGRAM, 0600, &m->ring_fd))
		return false;
	m->ring_watch = watch_new(m->loop, m->ring_fd, on_ring, m);
	watch_for(m->ring_watch, LOOP_READ);
	return true;
}

static bool
tell(Ctx *cx, Master *m, const char *verb)
{
	const Event e = {
		.verb = verb,
		.object = arena_printf(cx->mem, "gateway/%s", m->id),
		.outcome = "ok",
		.after = *m->address ? m->address : NULL,
	};

	return event_write(cx, m->home, &e);
}

/* The row and what is told of it, in one. */
static bool
announce(Ctx *cx, Master *m)
{
	int64_t until = clock_wall_ms() + ROW_LEASE_MS;

	if (!lite_begin(cx, m->home->db))
		return false;
	if (put_row(cx, m, until) && tell(cx, m, "gateway.start") && lite_commit(cx, m->home->db)) {
		m->row_until = until;
		return true;
	}
	lite_rollback(m->home->db);
	return false;
}

static bool
take_leave(Ctx *cx, Master *m)
{
	if (!lite_begin(cx, m->home->db))
		return false;
	if (catalog_gateway_remove(cx, m->home, m->id) && tell(cx, m, "gateway.stop") &&
	    lite_commit(cx, m->home->db))
		return true;
	lite_rollback(m->home->db);
	return false;
}

static void
on_again(void *ptr)
{
	crew_start(ptr);
}

static void
start_crew(Master *m)
{
	for (uint32_t i = 0; i < m->ncrew; i++) {
		Crew *w = &m->crew[i];
		w->again = timer_new(m->loop, on_again, w);
		crew_start(w);
	}
}

static void
set_loop(Master *m)
{
	loop_on_signal(m->loop, SIGTERM, on_stop, m);
	loop_on_signal(m->loop, SIGINT, on_stop, m);
	loop_on_signal(m->loop, SIGHUP, on_hangup, m);
	loop_on_signal(m->loop, SIGCHLD, on_child, m);
	m->tick = timer_new(m->loop, on_tick, m);
	m->last_call = timer_new(m->loop, on_last_call, m);
}

static bool
set_up(Ctx *cx, Master *m)
{
	if (!raise_files(cx))
		return false;
	m->loop = loop_new(cx->mem);
	m->said_mem = arena_new(cx->mem);
	m->room = arena_alloc(cx->mem, LINK_MAX);
	if (!set_start(cx, m) || !answer_setup(cx, m) || !crew_setup(cx, m) ||
	    !follow_setup(cx, m) || !open_ring(cx, m) || !admin_open(cx, m) ||
	    !metrics_open(cx, m) || !open_listens(cx, m) || !announce(cx, m))
		return false;
	set_loop(m);
	return true;
}

static void
close_all(Master *m)
{
	for (int i = 0; i < m->nlistens; i++)
		listen_close(&m->listens[i]);
	admin_close(m);
	if (m->ring_fd >= 0) {
		close(m->ring_fd);
		unlink(arena_printf(m->cx->mem, "%s/" RING_FOLDER "/%s.ring", m->home->dir, m->id));
	}
	if (m->counters_fd >= 0)
		close(m->counters_fd);
	if (m->table_fd >= 0)
		close(m->table_fd);
}

bool
gateway_run(Ctx *cx, Home *home, const GatewaySpec *spec)
{
	Master *m = arena_alloc(cx->mem, sizeof *m);

	*m = (Master){ .cx = cx, .home = home, .spec = spec };
	m->counters_fd = m->table_fd = m->ring_fd = -1;
	for (uint32_t i = 0; i < LINK_WORKERS; i++)
		m->crew[i] = (Crew){ .m = m, .number = i, .fd = -1 };
	bool ok = set_up(cx, m);
	if (ok) {
		start_crew(m);
		timer_in(m->tick, TICK_MS);
		log_say("gateway %s is serving on %s (%u worker%s)", m->id, m->address, m->ncrew,
		    m->ncrew == 1 ? "" : "s");
		if (lane_stopping()) /* a signal came before the loop could take it */
			stop(m);
		loop_run(m->loop);
		ok = take_leave(cx, m);
		log_say("stopped");
	}
	close_all(m);
	return ok;
}

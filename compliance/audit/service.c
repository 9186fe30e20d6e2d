#include "compliance/audit/service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "compliance/audit/witness.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/log.h"

#define LOOK_MS       50 /* between two looks for new events */
#define ROUND_MS      40 /* between the beginnings of two rounds */
#define AFTER_FAIL_MS 1000
#define MANY          256
#define BEATS         64 /* at once: a busy log does not wait for all others */

static int
service_file(const Home *home, Arena *mem)
{
	return open(arena_printf(mem, "%s/run/audit", home->dir),
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool
service_running(const Home *home, pid_t *pid)
{
	Arena *mem = arena_new(NULL);
	int fd = service_file(home, mem);

	*pid = 0;
	bool running = fd >= 0 && !file_lock_byte(fd, 0, pid);
	if (fd >= 0)
		close(fd);
	arena_free(mem);
	return running;
}

typedef struct Service {
	Ctx *cx;
	Home *home;
	LogHeads *heads;
	char *said; /* the last failure: it is not said at every turn */
	Arena *mem;
} Service;

static void
service_failed(Service *s, const Fail *why)
{
	if (s->said && strcmp(s->said, why->what) == 0)
		return;
	arena_reset(s->mem);
	s->said = arena_dup(s->mem, why->what);
	log_say("%s%s%s", why->what, why->hint ? ": " : "", why->hint ? why->hint : "");
}

static void
service_mended(Service *s)
{
	if (s->said)
		log_say("the logs are published again");
	s->said = NULL;
}

/* One turn; *did: whether there was something to do. */
static bool
service_turn(Ctx *cx, Service *s, bool *did)
{
	Published now = { 0 }, beats = { 0 };
	Logs grown, silent;

	if (!log_behind(cx, s->home, MANY, &grown))
		return false;
	if (grown.n > 0 &&
	    !log_publish_all(cx, s->home, s->heads, &grown, HEARTBEAT_IF_GROWN, &now))
		return false;
	if (!log_silent(cx, s->home, s->heads, SERVICE_BEAT_MS, BEATS, &silent))
		return false;
	if (silent.n > 0 &&
	    !log_publish_all(cx, s->home, s->heads, &silent, HEARTBEAT_ALWAYS, &beats))
		return false;
	*did = now.signed_now + beats.signed_now > 0;
	Ctx from = { .mem = cx->mem, .fail = beats.failed ? &beats.why : &now.why };
	if (now.failed + beats.failed == 0)
		return true;
	fail_copy(cx, &from);
	return false;
}

/* A busy log is signed as often as anyone can want; more often only costs the writer. */
static int64_t
service_pause(bool done, bool did, int64_t began)
{
	int64_t rest = began + ROUND_MS - clock_mono_ms();

	if (!done && !did)
		return AFTER_FAIL_MS;
	if (!did)
		return LOOK_MS;
	return rest > 0 ? rest : 0;
}

static void
service_loop(void *ptr)
{
	Service *s = ptr;
	Ctx *cx = s->cx;

	while (!lane_stopping()) {
		Ctx own = ctx_new(cx->mem);
		int64_t began = clock_mono_ms();
		bool did = false, done = service_turn(&own, s, &did);
		if (done)
			service_mended(s);
		else
			service_failed(s, own.fail);
		arena_free(own.mem);
		lane_sleep(
		    service_pause(done, did, began)); /* the witnesses' lane has its turn too */
	}
}

static void
witness_lane(void *ptr)
{
	Service *s = ptr;
	Ctx own = ctx_new(s->cx->mem);

	witness_watch(&own, s->home);
}

/* Publishing does not wait for a network: nothing between two of its waits is left half done. */
static void
service_lanes(Ctx *cx, Service *s)
{
	Lanes *lanes = lanes_new(cx->mem);

	lane_spawn(lanes, service_loop, s);
	lane_spawn(lanes, witness_lane, s);
	lanes_run(lanes);
}

bool
service_run(Ctx *cx, Home *home)
{
	Service s = {
		.cx = cx, .home = home, .heads = log_heads(cx->mem), .mem = arena_new(cx->mem)
	};
	int fd = service_file(home, cx->mem);
	pid_t holder;

	if (fd < 0)
		return fail_errno(cx, errno, "Check the rights of the home: copyhold doctor.",
		    "opening \"%s/run/audit\"", home->dir);
	if (!file_lock_byte(fd, 0, &holder)) {
		close(fd);
		return fail(cx, FAIL_LEASED, "Stop it first.",
		    "process %d runs the logs of \"%s\" already", (int)holder, home->dir);
	}
	bool done = log_ready(cx, home);
	if (done) {
		log_say("publishing the logs of \"%s\"", home->dir);
		service_lanes(cx, &s);
		log_say("stopped");
	}
	close(fd);
	return done;
}

#include "deployer/service.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "deployer/release.h"

typedef struct LiveSlot {
	const char *service, *slot, *release;
} LiveSlot;

/* Words of a line of look-release; what is missing is "". */
static void
words_of(Arena *mem, const char *line, const char **w, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		size_t n = strcspn(line, " ");
		w[i] = arena_dupn(mem, line, n);
		line += n + (line[n] == ' ');
	}
}

static int64_t
number(const char *text)
{
	return strtoll(text, NULL, 10);
}

static int64_t
front_port(const ReleaseAt *at, const char *service)
{
	for (size_t i = 0; i < at->services.n; i++)
		if (strcmp(at->services.at[i]->service, service) == 0)
			return at->services.at[i]->port;
	return 0;
}

static void
take_line(Ctx *cx, const ReleaseAt *at, const char *line, LiveSlot *live, ServiceInstances *out)
{
	const char *w[7];

	words_of(cx->mem, line, w, LENGTH(w));
	if (strcmp(w[0], "service") == 0)
		*live = (LiveSlot){ .service = w[1], .slot = w[2], .release = w[3] };
	if (strcmp(w[0], "instance") != 0 || !live->service || strcmp(live->service, w[1]) != 0)
		return;
	ServiceInstance one = {
		.service = w[1],
		.slot = live->slot,
		.release = live->release,
		.number = number(w[2]),
		.port = number(w[3]),
		.front_port = front_port(at, w[1]),
		.running = strcmp(w[4], "running") == 0,
		.pid = number(w[5]),
		.since = number(w[6]) * 1000,
		.health = "does not run",
	};
	vec_push(cx->mem, out, one);
}

static bool
add_health(Ctx *cx, HostConn *h, const ReleaseAt *at, ServiceInstances *all)
{
	for (size_t i = 0; i < at->services.n; i++) {
		const BundleService *s = release_service(at, at->services.at[i]->service);
		ReleaseHealths seen;
		if (!release_health(cx, h, s, "live", &seen))
			return false;
		for (size_t k = 0; k < all->n; k++)
			for (size_t n = 0; n < seen.n; n++)
				if (strcmp(all->at[k].service, s->name) == 0 &&
				    all->at[k].number == seen.at[n].number)
					all->at[k].health = seen.at[n].how;
	}
	return true;
}

bool
service_instances(Ctx *cx, Conns *conns, const ReleaseAt *at, ServiceInstances *out)
{
	ServiceInstances all = { 0 };
	LiveSlot live = { 0 };
	HostReply r;
	HostConn *h;
	char *line;

	if (!release_look_all(cx, conns, at, &h, &r))
		return false;
	for (const char *text = r.out; (line = release_line(cx->mem, &text));)
		take_line(cx, at, line, &live, &all);
	if (!add_health(cx, h, at, &all))
		return false;
	*out = all;
	return true;
}

bool
service_log(Ctx *cx, Conns *conns, const ReleaseAt *at, const char *service, bool failed,
    int64_t lines, Names *out)
{
	const char *words[] = { "look-log", service, failed ? "failed" : "live",
		arena_printf(cx->mem, "%" PRId64, lines), NULL };
	Names all = { 0 };
	HostReply r;
	HostConn *h;
	char *line;

	if (!release_session(cx, conns, at->tenant->tenant, at->host->name, &h) ||
	    !host_look(cx, h, words, &r))
		return false;
	if (r.code != 0)
		return fail(cx, FAIL_HOST_STEP, NULL, "\"look-log\" on host \"%s\": %s",
		    at->host->name, r.err);
	for (const char *text = r.out; (line = release_line(cx->mem, &text));)
		vec_push(cx->mem, &all, (const char *)line);
	*out = all;
	return true;
}

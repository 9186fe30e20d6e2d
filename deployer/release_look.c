/* What of a release stands on a host. */
#include <stdlib.h>
#include <string.h>

#include "deployer/release.h"

#define LINES_MAX 65536

static char *
duty_of(Arena *mem, const char *tenant)
{
	return arena_printf(mem, "tenant/%s", tenant);
}

bool
release_session(Ctx *cx, Conns *conns, const char *tenant, const char *host, HostConn **out)
{
	return conns_host(cx, conns, host, duty_of(cx->mem, tenant), out);
}

bool
release_look(Ctx *cx, HostConn *h, const char *const *words, HostReply *out)
{
	if (!host_look(cx, h, words, out))
		return false;
	if (out->code != 0) {
		fail(cx, FAIL_HOST_STEP, NULL, "\"%s\" on host \"%s\": %s", words[0],
		    host_of(h)->name, *out->err ? out->err : "it failed and said nothing");
		return fail_cause(cx, "exit code %d", out->code);
	}
	return out->out_n < LINES_MAX ||
	    fail(cx, FAIL_LIMIT, NULL, "\"%s\" on host \"%s\" says more than %d bytes", words[0],
		host_of(h)->name, LINES_MAX);
}

char *
release_line(Arena *mem, const char **at)
{
	size_t n = strcspn(*at, "\n");

	if (!**at)
		return NULL;
	char *line = arena_dupn(mem, *at, n);
	*at += n + ((*at)[n] == '\n');
	return line;
}

/* Words of a line, split in place; what is missing is "". */
static size_t
split(char *line, const char **words, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < max; i++)
		words[i] = "";
	for (char *at = line; *at && n < max; n++) {
		words[n] = at;
		at += strcspn(at, " ");
		if (*at && n + 1 < max)
			*at++ = '\0';
		else
			break;
	}
	return n;
}

static void
add(Arena *mem, Items *out, ReleaseItem kind, const char *object, const char *name, const char *def)
{
	Item it = { .kind = (int)kind, .object = object, .name = name, .def = def };

	vec_push(mem, out, it);
}

static const char *
state_of(const char *word)
{
	return strcmp(word, "running") == 0 ? "running"
	    : strcmp(word, "lost") == 0     ? "lost its port"
					    : "stopped";
}

static void
take_line(Arena *mem, const ReleaseAt *at, char *line, Items *out)
{
	const char *w[8];
	const char *tenant = at->tenant->tenant;

	split(line, w, LENGTH(w));
	if (strcmp(w[0], "stopped") == 0)
		add(mem, out, RELEASE_STOPPED, tenant, "", "");
	if (strcmp(w[0], "current") == 0)
		add(mem, out, RELEASE_CURRENT, tenant, "", w[1]);
	if (strcmp(w[0], "release") == 0)
		add(mem, out, RELEASE_FILES, w[1], "", strcmp(w[3], "ok") == 0 ? w[2] : "edited");
	if (strcmp(w[0], "foreign") == 0)
		add(mem, out, RELEASE_FOREIGN, w[1], "", "");
	if (strcmp(w[0], "service") == 0)
		add(mem, out, RELEASE_SERVICE, w[1], w[3],
		    strcmp(w[5], "ok") == 0 ? w[4] : "edited");
	if (strcmp(w[0], "instance") == 0)
		add(mem, out, RELEASE_INSTANCE, w[1], w[2], state_of(w[4]));
	if (strcmp(w[0], "front") == 0)
		add(mem, out, RELEASE_FRONT, tenant, "",
		    strcmp(w[1], "ok") != 0 ? "edited" : state_of(w[2]));
}

bool
release_look_all(Ctx *cx, Conns *conns, const ReleaseAt *at, HostConn **h, HostReply *out)
{
	static const char *const words[] = { "look-release", NULL };

	return (release_session(cx, conns, at->tenant->tenant, at->host->name, h) &&
		   release_look(cx, *h, words, out)) ||
	    fail_in(
		cx, "looking at tenant \"%s\" on host \"%s\"", at->tenant->tenant, at->host->name);
}

bool
release_observe(Ctx *cx, Conns *conns, const ReleaseAt *at, Items *out)
{
	Items seen = { 0 };
	HostReply r;
	HostConn *h;
	char *line;

	if (!release_look_all(cx, conns, at, &h, &r))
		return false;
	for (const char *text = r.out; (line = release_line(cx->mem, &text));)
		take_line(cx->mem, at, line, &seen);
	*out = seen;
	return true;
}

/* --- health --------------------------------------------------------------------------- */

static const char *const *
health_words(Arena *mem, const BundleService *s, const char *slot)
{
	Names words = { 0 };

	vec_push(mem, &words, "look-health");
	vec_push(mem, &words, s->name);
	vec_push(mem, &words, slot);
	vec_push(mem, &words, s->health.http ? "http" : s->health.command.n ? "command" : "none");
	if (s->health.http)
		vec_push(mem, &words, s->health.http);
	for (size_t i = 0; i < s->health.command.n; i++)
		vec_push(mem, &words, s->health.command.at[i]);
	vec_push(mem, &words, NULL);
	return words.at;
}

bool
release_health(Ctx *cx, HostConn *h, const BundleService *s, const char *slot, ReleaseHealths *out)
{
	ReleaseHealths all = { 0 };
	HostReply r;
	char *line;

	if (!release_look(cx, h, health_words(cx->mem, s, slot), &r))
		return false;
	for (const char *text = r.out; (line = release_line(cx->mem, &text));) {
		const char *w[3];
		split(line, w, LENGTH(w));
		ReleaseHealth one = {
			.number = strtol(w[0], NULL, 10), .pid = strtol(w[1], NULL, 10), .how = w[2]
		};
		vec_push(cx->mem, &all, one);
	}
	*out = all;
	return true;
}

/* --- isolation -------------------------------------------------------------------------- */

static void
add_attempt(Arena *mem, Attempts *out, Heading heading, const char *what, const char *result)
{
	Attempt a = { .heading = heading, .what = what, .result = result };

	vec_push(mem, out, a);
}

static bool
verify_health(Ctx *cx, HostConn *h, const ReleaseAt *at, Attempts *out)
{
	for (size_t i = 0; i < at->services.n; i++) {
		const BundleService *s = release_service(at, at->services.at[i]->service);
		ReleaseHealths all;
		if (!release_health(cx, h, s, "live", &all))
			return false;
		for (size_t k = 0; k < all.n; k++) {
			bool fine = strcmp(all.at[k].how, "ok") == 0;
			add_attempt(cx->mem, out, fine ? HEAD_WORKS : HEAD_FAILED,
			    arena_printf(cx->mem, "service %s, instance %lld, on %s", s->name,
				(long long)all.at[k].number, at->host->name),
			    fine ? "healthy" : all.at[k].how);
		}
	}
	return true;
}

/* On a machine where other tenants may run, too: a port of the loopback is anybody's. */
static void
open_ports(Arena *mem, const ReleaseAt *at, Attempts *out)
{
	for (size_t i = 0; !at->host->owner && i < at->services.n; i++)
		if (at->services.at[i]->port &&
		    release_service(at, at->services.at[i]->service)->listen == LISTEN_PORT)
			add_attempt(mem, out, HEAD_OPEN,
			    arena_printf(mem,
				"listen on the port of an instance of %s that does not run, on %s",
				at->services.at[i]->service, at->host->name),
			    "open to every user of the machine, found as unhealthy");
}

bool
release_verify(Ctx *cx, Conns *conns, const ReleaseAt *at, Attempts *out)
{
	static const char *const words[] = { "look-isolation", NULL };
	HostReply r;
	HostConn *h;
	char *line;

	if (!release_session(cx, conns, at->tenant->tenant, at->host->name, &h) ||
	    !release_look(cx, h, words, &r) || !verify_health(cx, h, at, out))
		return fail_in(
		    cx, "trying tenant \"%s\" on host \"%s\"", at->tenant->tenant, at->host->name);
	for (const char *text = r.out; (line = release_line(cx->mem, &text));) {
		const char *w[3];
		split(line, w, LENGTH(w));
		bool refused = strcmp(w[0], "refused") == 0;
		add_attempt(cx->mem, out, refused ? HEAD_ISOLATED : HEAD_FAILED,
		    arena_printf(cx->mem, "%s as %s on %s", w[2], w[1], at->host->name),
		    refused                            ? "refused"
			: strcmp(w[0], "untried") == 0 ? "could not be tried"
						       : "got through");
	}
	open_ports(cx->mem, at, out);
	return true;
}

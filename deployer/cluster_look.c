#include <stdlib.h>
#include <string.h>

#include "deployer/cluster_host.h"

#include "lib/base/buf.h"

/* --- what the helper says: a word and its value a line -------------------------------- */

static int64_t
number(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	return *text && !*end && n >= 0 ? n : 0;
}

static ServerState
state_of(const char *word)
{
	return strcmp(word, "running") == 0 ? SERVER_RUNNING
	    : strcmp(word, "stopped") == 0  ? SERVER_STOPPED
					    : SERVER_MISSING;
}

static Names *
list_of(ServerSeen *s, const char *word)
{
	return strcmp(word, "edited") == 0    ? &s->edited
	    : strcmp(word, "system") == 0     ? &s->system
	    : strcmp(word, "database") == 0   ? &s->databases
	    : strcmp(word, "postmaster") == 0 ? &s->postmaster
	    : strcmp(word, "pending") == 0    ? &s->pending
					      : NULL;
}

static const char **
text_of(ServerSeen *s, const char *word)
{
	return strcmp(word, "version") == 0    ? &s->version
	    : strcmp(word, "conf") == 0        ? &s->conf
	    : strcmp(word, "hba") == 0         ? &s->hba
	    : strcmp(word, "certificate") == 0 ? &s->certificate
	    : strcmp(word, "mark") == 0        ? &s->mark
					       : NULL;
}

static void
take_line(Arena *mem, ServerSeen *s, const char *word, const char *value)
{
	Names *list = list_of(s, word);
	const char **text = text_of(s, word);

	if (list)
		vec_push(mem, list, value);
	else if (text)
		*text = value;
	else if (strcmp(word, "state") == 0)
		s->state = state_of(value);
	else if (strcmp(word, "until") == 0)
		s->until = number(value);
	else if (strcmp(word, "folders") == 0)
		s->folders = number(value);
}

static bool
is_plain(const char *value)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return utf8_valid(value, strlen(value));
}

/* Words that we do not know are passed over: the helper may be newer. */
void
cluster_read_look(Arena *mem, const char *text, ServerSeen *s)
{
	*s = (ServerSeen){ 0 };
	for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		const char *space = memchr(at, ' ', (size_t)(end - at));
		if (!space)
			continue;
		const char *value = arena_dupn(mem, space + 1, (size_t)(end - space - 1));
		if (is_plain(value))
			take_line(mem, s, arena_dupn(mem, at, (size_t)(space - at)), value);
	}
}

bool
cluster_look(Ctx *cx, Conns *conns, const Cluster *c, ServerSeen *out)
{
	const char *words[] = { "look-pg", arena_printf(cx->mem, "%lld", (long long)c->on.version),
		NULL };
	HostReply reply;
	HostConn *h;

	if (!conns_host(cx, conns, c->on.host, arena_printf(cx->mem, "cluster/%s", c->name), &h) ||
	    !host_look(cx, h, words, &reply))
		return false;
	if (reply.code != 0)
		return fail(cx, FAIL_HOST_STEP, NULL, "cluster \"%s\" on host \"%s\": %s", c->name,
		    c->on.host, *reply.err ? reply.err : "it could not be looked at");
	cluster_read_look(cx->mem, reply.out, out);
	return true;
}

bool
cluster_fence(Ctx *cx, Conns *conns, const Cluster *c, int64_t *out)
{
	HostConn *h;

	*out = 0;
	return !c->on.host ||
	    (conns_host(cx, conns, c->on.host, arena_printf(cx->mem, "cluster/%s", c->name), &h) &&
		host_fence_highest(cx, h, out));
}

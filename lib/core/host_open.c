/* Where hosts are, and sessions with their helpers. */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/core/catalog.h"
#include "lib/core/host_intern.h"
#include "lib/core/manifest.h"

/* Set once by main. */
static char helper_digest[65];

void
host_helper_register(const char *digest)
{
	memcpy(helper_digest, digest, sizeof helper_digest);
}

char *
host_helper_path(Arena *mem, const Host *h)
{
	return arena_printf(mem, "%s/bin/copyhold-host", h->root);
}

char *
host_sudoers(Arena *mem, const Host *h, const char *duty)
{
	return arena_printf(
	    mem, "%s ALL=(root) NOPASSWD: %s serve %s", h->user, host_helper_path(mem, h), duty);
}

/* How it is started, as a shell has it. */
static char *
host_command(Arena *mem, const Host *h, const char *duty)
{
	return arena_printf(
	    mem, "%s%s serve %s", h->sudo ? "sudo -n " : "", host_helper_path(mem, h), duty);
}

/* --- which host ------------------------------------------------------------------------- */

bool
host_find(Ctx *cx, Home *home, const char *name, const Host **out)
{
	const Host *given = home->hosts ? map_get(home->hosts, name) : NULL;
	char *spec, *hash;
	Names known = { 0 };
	void *loaded;

	if (given) {
		*out = given;
		return true;
	}
	if (!catalog_object(cx, home, "Host", name, &spec, &hash))
		return false;
	if (!spec)
		return catalog_object_names(cx, home, "Host", &known) &&
		    catalog_not_found(cx, "host", name, &known);
	if (!manifest_from_json(cx, "Host", name, spec, &loaded))
		return fail_in(cx, "reading the record of host \"%s\"", name);
	*out = loaded;
	return true;
}

static bool
target_passphrase(Ctx *cx, Home *home, const Host *h, const Secret **out)
{
	Secret *passphrase;

	if (!h->passphrase.ref)
		return true;
	passphrase = arena_alloc(cx->mem, sizeof *passphrase);
	if (!secret_resolve(cx, home, &h->passphrase, passphrase))
		return fail_in(cx, "opening the key of host \"%s\"", h->name);
	*out = passphrase;
	return true;
}

bool
host_target(Ctx *cx, Home *home, const Host *h, SshTarget *out)
{
	SshTarget to = {
		.name = h->name,
		.address = h->address,
		.port = h->port,
		.user = h->user,
		.host_keys = h->host_keys.at,
		.host_keys_n = h->host_keys.n,
		.identity = h->identity,
	};
	const Host *over;

	if (!target_passphrase(cx, home, h, &to.passphrase))
		return false;
	if (h->jump) {
		SshTarget *jump = arena_alloc(cx->mem, sizeof *jump);
		if (!host_find(cx, home, h->jump, &over) || !host_target(cx, home, over, jump))
			return fail_in(cx, "reaching host \"%s\" over \"%s\"", h->name, h->jump);
		to.jump = jump;
	}
	*out = to;
	return true;
}

/* --- sessions ---------------------------------------------------------------------------- */

static void
line_close(HostLine *l)
{
	if (!l->mem)
		return;
	ssh_close(l->ssh);
	arena_free(l->mem);
	l->mem = NULL;
}

static bool
line_open(Ctx *cx, HostConn *h)
{
	HostLine *l = h->line;
	Arena *mem;

	if (l->mem && ssh_alive(l->ssh))
		return true;
	line_close(l);
	conns_hosts(h->conns, &mem);
	Ctx own = ctx_new(mem);
	SshTarget to;

	if (host_target(&own, conns_home(h->conns), h->host, &to) &&
	    ssh_open(&own, &to, clock_mono_ms() + HOST_DIAL_MS, &l->ssh)) {
		l->mem = own.mem;
		l->opened++;
		return true;
	}
	fail_copy(cx, &own);
	arena_free(own.mem);
	return false;
}

static bool
conn_alive(const HostConn *h)
{
	return h->channel && h->line->mem && h->of == h->line->opened && ssh_alive(h->line->ssh);
}

void
host_conn_close(HostConn *h)
{
	if (h->channel && h->line->mem && h->of == h->line->opened)
		arena_free(h->mem);
	h->channel = NULL;
}

bool
host_conn_wrong(Ctx *cx, const HostConn *h)
{
	return fail(cx, FAIL_HOST_STEP,
	    "Look at what is there: copyhold host check tells whether the helper is ours.",
	    "host \"%s\" answered what the helper does not say", h->host->name);
}

bool
host_conn_read(Ctx *cx, HostConn *h, HostFrame *f, int64_t deadline)
{
	char *chunk = arena_alloc(f->mem, 32768);
	HostFed fed = HOST_MORE;

	while (fed == HOST_MORE) {
		size_t n = 0;
		if (!ssh_read(cx, h->channel, chunk, 32768, &n, deadline))
			return false;
		if (n == 0)
			return fail(cx, FAIL_HOST_UNREACHABLE,
			    "The machine, its sshd or its helper has ended it; try again.",
			    "the session with host \"%s\" was cut", h->host->name);
		fed = host_frame_feed(f, chunk, n);
	}
	return fed == HOST_WHOLE || host_conn_wrong(cx, h);
}

/* --- how the helper begins ------------------------------------------------------------------ */

static const char *
prepare_hint(Arena *mem, const Host *h)
{
	return arena_printf(mem,
	    "Prepare it: copyhold host check %s --fix, or as its root run what "
	    "copyhold host setup-script %s prints.",
	    h->name, h->name);
}

static bool
no_helper(Ctx *cx, const Host *h)
{
	return fail(cx, FAIL_UNPREPARED, prepare_hint(cx->mem, h),
	    "host \"%s\" has no helper at \"%s\"", h->name, host_helper_path(cx->mem, h));
}

/* sudo does not tell whether what it refuses is there at all. */
static bool
is_missing(Ctx *cx, const HostConn *h)
{
	const char *command = arena_printf(
	    cx->mem, "test -e %s", host_helper_path(cx->mem, h->host));
	int64_t deadline = clock_mono_ms() + HOST_DIAL_MS;
	Ctx own = ctx_new(cx->mem);
	SshChannel *channel;
	int code = 0;
	bool missing = ssh_command(&own, h->line->ssh, command, deadline, &channel) &&
	    ssh_end(&own, channel, deadline, &code) && code == 1;

	arena_free(own.mem);
	return missing;
}

static bool
refused_by_sudo(Ctx *cx, const HostConn *h)
{
	if (is_missing(cx, h))
		return no_helper(cx, h->host);
	return fail(cx, FAIL_MISSING_RIGHT,
	    arena_printf(cx->mem, "A line for /etc/sudoers.d there: %s",
		host_sudoers(cx->mem, h->host, h->duty)),
	    "user \"%s\" may not start the helper for duty \"%s\" on host \"%s\"", h->host->user,
	    h->duty, h->host->name);
}

/* It ended before it greeted us: the exit code and what it said tell why.  cx has the failure so far. */
static bool
not_begun(Ctx *cx, HostConn *h)
{
	Ctx own = ctx_new(cx->mem);
	Buf line = buf_new(cx->mem);
	int code = -1;

	if (!ssh_end(&own, h->channel, clock_mono_ms() + HOST_DIAL_MS, &code))
		return false;
	const char *said = arena_dup(cx->mem, ssh_stderr(h->channel));

	if (code == -1 && !*said)
		return false;
	fail_clear(cx);
	if (code == 127 || (strstr(said, "bin/copyhold-host") && strstr(said, "not found")))
		return no_helper(cx, h->host);
	if (strcasestr(said, "no space left on device"))
		return fail(cx, FAIL_DISK_FULL,
		    arena_printf(cx->mem, "Make room below \"%s\" there.", h->host->root),
		    "the helper of host \"%s\" does not start: no space left on device",
		    h->host->name);
	if (strstr(said, "sudo: "))
		return refused_by_sudo(cx, h);
	if (strstr(said, "only root can do this"))
		return fail(cx, FAIL_MISSING_RIGHT,
		    "Say sudo: true in its manifest, and give that user its lines in sudoers.",
		    "user \"%s\" of host \"%s\" is not root", h->host->user, h->host->name);
	buf_plain(&line, arena_dupn(cx->mem, said, strcspn(said, "\n")), " ");
	fail(cx, FAIL_HOST_STEP, prepare_hint(cx->mem, h->host),
	    "the helper of host \"%s\" does not start: %s", h->host->name, line.text);
	return fail_cause(cx, "exit code %d", code);
}

static bool
check_hello(Ctx *cx, const HostConn *h, const HostHello *hello)
{
	const char *supervise = h->host->supervise == SUPERVISE_RUNIT ? "runit" : "systemd";

	if (hello->protocol != 1 || (*helper_digest && strcmp(hello->digest, helper_digest) != 0))
		return fail(cx, FAIL_UNPREPARED, prepare_hint(cx->mem, h->host),
		    "the helper of host \"%s\" is not that of this copyhold", h->host->name);
	if (strcmp(hello->prefix, h->host->user_prefix) != 0 ||
	    strcmp(hello->supervise, supervise) != 0)
		return fail(cx, FAIL_UNPREPARED, prepare_hint(cx->mem, h->host),
		    "host \"%s\" was prepared with userPrefix \"%.20s\" and supervise \"%.20s\", "
		    "not \"%s\" and \"%s\"",
		    h->host->name, hello->prefix, hello->supervise, h->host->user_prefix,
		    supervise);
	return true;
}

static bool
greet(Ctx *cx, HostConn *h, Arena *scratch)
{
	const char *line = arena_printf(scratch, "hello %s\n", h->sentinel);
	HostFrame *f = host_frame_new(scratch, h->sentinel);
	int64_t deadline = clock_mono_ms() + HOST_DIAL_MS;
	HostHello hello;
	Ctx own = ctx_new(scratch);

	/* A helper that is not there leaves nobody to read: the reply tells why. */
	ssh_write(&own, h->channel, line, strlen(line), deadline);
	fail_clear(&own);
	if (!host_conn_read(&own, h, f, deadline)) {
		fail_copy(cx, &own);
		return own.fail->kind == FAIL_HOST_UNREACHABLE && not_begun(cx, h);
	}
	if (!host_frame_hello(f, &hello))
		return host_conn_wrong(cx, h);
	return check_hello(cx, h, &hello);
}

bool
host_conn_open(Ctx *cx, HostConn *h)
{
	unsigned char sentinel[16];

	if (conn_alive(h))
		return true;
	host_conn_close(h);
	if (!line_open(cx, h))
		return false;
	Ctx own = ctx_new(h->line->mem);
	Arena *scratch = arena_new(cx->mem);

	random_bytes(sentinel, sizeof sentinel);
	memcpy(h->sentinel, hex_text(own.mem, sentinel, sizeof sentinel), sizeof h->sentinel);
	h->mem = own.mem;
	h->of = h->line->opened;
	h->seq = 0;
	bool ok = ssh_command(&own, h->line->ssh, host_command(own.mem, h->host, h->duty),
	    clock_mono_ms() + HOST_DIAL_MS, &h->channel);

	if (!ok)
		fail_copy(cx, &own);
	ok = ok && greet(cx, h, scratch);
	arena_free(scratch);
	if (!ok) {
		arena_free(own.mem);
		h->channel = NULL;
	}
	return ok;
}

static HostConn *
conn_new(Conns *c, const Host *host, const char *duty)
{
	Arena *mem;
	Map *all = conns_hosts(c, &mem);
	HostConn *h = arena_alloc(mem, sizeof *h);

	*h = (HostConn){ .conns = c, .host = host, .duty = arena_dup(mem, duty) };
	h->line = map_get(all, host->name);
	if (!h->line) {
		h->line = arena_alloc(mem, sizeof *h->line);
		map_set(all, host->name, h->line);
	}
	map_set(all, arena_printf(mem, "%s\n%s", host->name, duty), h);
	return h;
}

/* The host's facts must live as long as the session. */
static bool
conn_find(Ctx *cx, Conns *c, const char *host, const char *duty, HostConn **out)
{
	Arena *mem;
	Map *all = conns_hosts(c, &mem);
	const Host *facts;
	HostConn *h = map_get(all, arena_printf(cx->mem, "%s\n%s", host, duty));
	Ctx own = { .mem = mem, .fail = cx->fail };

	if (!h) {
		if (!host_find(&own, conns_home(c), host, &facts))
			return false;
		h = conn_new(c, facts, duty);
	}
	*out = h;
	return true;
}

bool
conns_host(Ctx *cx, Conns *c, const char *host, const char *duty, HostConn **out)
{
	HostConn *h;

	if (!conn_find(cx, c, host, duty, &h) || !host_conn_open(cx, h))
		return false;
	*out = h;
	return true;
}

bool
conns_host_fresh(Ctx *cx, Conns *c, const char *host, const char *duty, HostConn **out)
{
	HostConn *h;

	if (!conn_find(cx, c, host, duty, &h))
		return false;
	host_conn_close(h);
	line_close(h->line);
	if (!host_conn_open(cx, h))
		return false;
	*out = h;
	return true;
}

const Host *
host_of(const HostConn *h)
{
	return h->host;
}

/* --- a script, where there is no helper yet ------------------------------------------------------ */

bool
host_script(Ctx *cx, Conns *c, const Host *host, bool as_root, const char *script, HostReply *out)
{
	HostConn *h = conn_new(c, host, "script");
	Ctx own = ctx_new(cx->mem);
	int64_t deadline = clock_mono_ms() + HOST_ACT_MS;
	Buf said = buf_new_max(cx->mem, HOST_OUT_MAX);
	char *chunk = arena_alloc(own.mem, 4096);
	SshChannel *channel;
	size_t n = 0;
	int code = -1;

	if (!line_open(cx, h) ||
	    !ssh_command(cx, h->line->ssh, as_root && host->sudo ? "sudo -n sh -s" : "sh -s",
		deadline, &channel))
		return false;
	/* Whoever may not run it has ended already: the exit code tells. */
	ssh_write(&own, channel, script, strlen(script), deadline);
	fail_clear(&own);
	do {
		if (!ssh_read(cx, channel, chunk, 4096, &n, deadline))
			return false;
		buf_addn(&said, chunk, n);
	} while (n > 0);
	if (!ssh_end(cx, channel, deadline, &code))
		return false;
	*out = (HostReply){ .code = code,
		.out = said.text,
		.out_n = said.len,
		.digest = sha256_hex(cx->mem, said.text, said.len),
		.err = arena_dup(cx->mem, ssh_stderr(channel)) };
	return true;
}

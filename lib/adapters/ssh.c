#include "lib/adapters/ssh_intern.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#define PUT_CHUNK ((size_t)256 << 10)

/* --- messages ----------------------------------------------------------------------- */

const char *
ssh_who(Arena *mem, const SshTarget *to)
{
	return arena_printf(mem,
	    strchr(to->address, ':') ? "\"%s\" ([%s]:%lld)" : "\"%s\" (%s:%lld)", to->name,
	    to->address, (long long)to->port);
}

bool
ssh_fail_time(Ctx *cx, const char *who, const char *doing)
{
	fail(cx, FAIL_TIMEOUT, "Look at its load, and at the network between it and us.",
	    "host %s did not answer in time", who);
	return fail_in(cx, "%s", doing);
}

bool
ssh_fail_lost(Ctx *cx, const char *who, const char *doing, const char *cause)
{
	fail(cx, FAIL_HOST_UNREACHABLE, "Try again; look at the log of its sshd if it stays so.",
	    "the session with host %s was lost", who);
	fail_in(cx, "%s", doing);
	return cause ? fail_cause(cx, "%s", cause) : false;
}

static const char *
print_of(Arena *mem, const char *key)
{
	const char *print = ssh_fingerprint(mem, key);

	return arena_printf(
	    mem, "%s (%.*s)", print ? print : "malformed", (int)strcspn(key, " "), key);
}

bool
ssh_fail_unpinned(Ctx *cx, const char *who, const char *shown)
{
	return fail(cx, FAIL_HOST_KEY,
	    arena_printf(cx->mem,
		"Compare it with what `ssh-keygen -lf` says of the machine's own key file; if it is "
		"the same, write hostKeys: [\"%s\"] in the manifest of the host.",
		shown),
	    "host %s shows the key %s, and none is pinned", who, print_of(cx->mem, shown));
}

bool
ssh_fail_changed(Ctx *cx, const char *who, const char *shown, const SshTarget *to)
{
	Buf pinned = buf_new(cx->mem);

	for (size_t i = 0; i < to->host_keys_n; i++)
		buf_fmt(&pinned, "%s%s", i > 0 ? " or " : "", print_of(cx->mem, to->host_keys[i]));
	return fail(cx, FAIL_HOST_KEY,
	    arena_printf(cx->mem,
		"Either the machine was set up anew or somebody stands in between: ask its owner. If "
		"the new key is right, write hostKeys: [\"%s\"] in the manifest of the host.",
		shown),
	    "host %s shows the key %s, but %s is pinned", who, print_of(cx->mem, shown),
	    pinned.text);
}

bool
ssh_fail_login(Ctx *cx, const SshTarget *to, bool phrase_unsure, const char *cause)
{
	const char *with = to->identity ? arena_printf(cx->mem, "the key \"%s\"", to->identity)
					: "any key of the agent";

	fail(cx, FAIL_HOST_LOGIN,
	    arena_printf(cx->mem,
		"%sAdd the public half to ~%s/.ssh/authorized_keys there; why it was refused stands "
		"in the log of its sshd.",
		phrase_unsure ? "Look whether its passphrase is right. " : "", to->user),
	    "host %s does not let user \"%s\" in with %s", ssh_who(cx->mem, to), to->user, with);
	return cause ? fail_cause(cx, "%s", cause) : false;
}

/* --- sessions ----------------------------------------------------------------------- */

static void
close_session(void *ptr)
{
	ssh_close(ptr);
}

Ssh *
ssh_new(Ctx *cx, const SshTarget *to, const SshDriver *driver, void *own, const char *via)
{
	Ssh *s = arena_alloc(cx->mem, sizeof *s);

	*s = (Ssh){ .driver = driver,
		.own = own,
		.mem = cx->mem,
		.who = ssh_who(cx->mem, to),
		.via = arena_dup(cx->mem, via) };
	arena_on_free(cx->mem, close_session, s);
	return s;
}

void
ssh_close(Ssh *s)
{
	if (!s->own)
		return;
	arena_forget(s->mem, close_session, s);
	s->driver->close(s);
	for (SshChannel *c = s->channels; c; c = c->next)
		c->ssh = NULL;
	s->channels = NULL;
	s->own = NULL;
	s->dead = true;
}

bool
ssh_alive(Ssh *s)
{
	if (!s->dead && !s->driver->alive(s))
		s->dead = true;
	return !s->dead;
}

const char *
ssh_via(const Ssh *s)
{
	return s->via;
}

/* A word that becomes part of an argv, of a configuration, of a message. */
static bool
check_word(Ctx *cx, const SshTarget *to, const char *key, const char *word)
{
	const unsigned char *p = (const unsigned char *)word;
	bool good = p && *p && *p != '-';

	for (; good && *p; p++)
		good = *p > ' ' && *p < 127 && !strchr("\"'\\%$`#;*?!@,", *p);
	return good ||
	    fail(cx, FAIL_MANIFEST, "Write it without blanks, quotes and signs like @ or %.",
		"host \"%s\" has a bad %s", to->name, key);
}

static bool
check_target(Ctx *cx, const SshTarget *to, int depth)
{
	Bytes blob;

	if (depth > 4)
		return fail(cx, FAIL_MANIFEST, "Let at most four hosts lead to it.",
		    "host \"%s\" is reached through too many others", to->name);
	if (!check_word(cx, to, "address", to->address) || !check_word(cx, to, "user", to->user))
		return false;
	if (to->port < 1 || to->port > 65535)
		return fail(cx, FAIL_MANIFEST, "Give a number from 1 to 65535.",
		    "host \"%s\" has a bad port", to->name);
	for (size_t i = 0; i < to->host_keys_n; i++)
		if (!ssh_key_blob(cx->mem, to->host_keys[i], &blob))
			return fail(cx, FAIL_HOST_KEY,
			    "Write type and key as they stand in /etc/ssh/ssh_host_*_key.pub there.",
			    "a pinned key of host \"%s\" is malformed", to->name);
	return !to->jump || check_target(cx, to->jump, depth + 1);
}

/* Of a host that nothing is pinned of we only look at its key, to tell it. */
static bool
refuse_unpinned(Ctx *cx, const SshTarget *to, int64_t deadline)
{
	SshOffer offer = { 0 };

	return ssh_lib_offer(cx, to, deadline, &offer) &&
	    ssh_fail_unpinned(cx, ssh_who(cx->mem, to), offer.key);
}

bool
ssh_open(Ctx *cx, const SshTarget *to, int64_t deadline, Ssh **out)
{
	const char *why = NULL;

	if (!check_target(cx, to, 0))
		return false;
	for (const SshTarget *t = to; t; t = t->jump)
		if (t->host_keys_n == 0 && !t->jump)
			return refuse_unpinned(cx, t, deadline);
	if (ssh_lib_open(cx, to, deadline, out, &why))
		return true;
	if (!why)
		return false;
	fail_clear(cx);
	return ssh_prog_open(cx, to, deadline, why, out);
}

bool
ssh_offer(Ctx *cx, const char *address, int64_t port, int64_t deadline, SshOffer *out)
{
	SshTarget to = { .name = address, .address = address, .port = port, .user = "nobody" };

	return check_target(cx, &to, 0) && ssh_lib_offer(cx, &to, deadline, out);
}

/* --- channels ----------------------------------------------------------------------- */

static void
forget_channel(SshChannel *c)
{
	if (!c->ssh)
		return;
	for (SshChannel **link = &c->ssh->channels; *link; link = &(*link)->next)
		if (*link == c) {
			*link = c->next;
			break;
		}
	c->ssh = NULL;
}

static void
drop_channel(void *ptr)
{
	SshChannel *c = ptr;

	if (c->own)
		c->driver->drop(c);
	forget_channel(c);
}

void
ssh_keep_tail(SshChannel *c, const char *bytes, size_t n)
{
	if (!c->tail)
		c->tail = arena_alloc(c->mem, SSH_TAIL + 1);
	if (n > SSH_TAIL) {
		bytes += n - SSH_TAIL;
		n = SSH_TAIL;
	}
	if (c->tail_n + n > SSH_TAIL) {
		size_t old = SSH_TAIL - n;

		memmove(c->tail, c->tail + c->tail_n - old, old);
		c->tail_n = old;
	}
	memcpy(c->tail + c->tail_n, bytes, n);
	c->tail_n += n;
	c->tail[c->tail_n] = '\0';
}

const char *
ssh_stderr(const SshChannel *c)
{
	return c->tail ? c->tail : "";
}

/* A call on what is over is a failure of its own, not a crash. */
static bool
check_alive(Ctx *cx, const Ssh *s, const char *doing)
{
	if (s && !s->dead)
		return true;
	if (s)
		return ssh_fail_lost(cx, s->who, doing, NULL);
	return fail(cx, FAIL_HOST_UNREACHABLE, "Open a new one.", "the SSH session is closed");
}

/* What a command did is no failure of its session; after anything else its state is not known. */
static bool
settle(Ctx *cx, Ssh *s, bool good)
{
	if (!good && cx->fail->kind != FAIL_HOST_STEP)
		s->dead = true;
	return good;
}

bool
ssh_command(Ctx *cx, Ssh *s, const char *command, int64_t deadline, SshChannel **out)
{
	if (!check_alive(cx, s, "starting a command"))
		return false;
	SshChannel *c = arena_alloc(cx->mem, sizeof *c);
	*c = (SshChannel){ .ssh = s, .driver = s->driver, .mem = cx->mem, .next = s->channels };
	s->channels = c;
	if (!settle(cx, s, s->driver->command(cx, c, command, deadline))) {
		drop_channel(c);
		return false;
	}
	arena_on_free(cx->mem, drop_channel, c);
	*out = c;
	return true;
}

bool
ssh_write(Ctx *cx, SshChannel *c, const void *bytes, size_t n, int64_t deadline)
{
	Ssh *s = c->ssh; /* another lane may close it meanwhile */

	return check_alive(cx, s, "writing to a command") &&
	    settle(cx, s, s->driver->write(cx, c, bytes, n, deadline));
}

bool
ssh_read(Ctx *cx, SshChannel *c, void *out, size_t cap, size_t *n, int64_t deadline)
{
	Ssh *s = c->ssh;

	return check_alive(cx, s, "reading from a command") &&
	    settle(cx, s, s->driver->read(cx, c, out, cap, n, deadline));
}

bool
ssh_end(Ctx *cx, SshChannel *c, int64_t deadline, int *exit_code)
{
	Ssh *s = c->ssh;

	if (!check_alive(cx, s, "waiting for the end of a command") ||
	    !settle(cx, s, s->driver->end(cx, c, deadline, exit_code)))
		return false;
	arena_forget(c->mem, drop_channel, c);
	forget_channel(c);
	return true;
}

/* --- files -------------------------------------------------------------------------- */

char *
ssh_temp_beside(Arena *mem, const char *path)
{
	int folder = (int)(strrchr(path, '/') - path);

	return arena_printf(mem, "%.*s/.copyhold-%s", folder, path, random_name(mem, 16));
}

static char *
folder_of(Arena *mem, const char *path)
{
	size_t n = (size_t)(strrchr(path, '/') - path);

	return n > 0 ? arena_dupn(mem, path, n) : arena_dup(mem, "/");
}

char *
ssh_settle_command(Arena *mem, const char *temp, const char *path)
{
	Buf b = buf_new(mem);

	buf_add(&b, "LC_ALL=C; export LC_ALL; mv -fT -- ");
	buf_shell(&b, temp);
	buf_add(&b, " ");
	buf_shell(&b, path);
	buf_add(&b, " && sync -- ");
	buf_shell(&b, folder_of(mem, path));
	return b.text;
}

/* A command without input whose output is short; said gets its stderr. */
bool
ssh_run_short(Ctx *cx, Ssh *s, const char *command, int64_t deadline, int *exit_code, char **said)
{
	Ctx own = ctx_new(cx->mem);
	SshChannel *c;

	bool good = ssh_command(&own, s, command, deadline, &c) &&
	    ssh_end(&own, c, deadline, exit_code);
	if (good)
		*said = arena_dup(cx->mem, ssh_stderr(c));
	else
		fail_copy(cx, &own);
	arena_free(own.mem);
	return good;
}

static char *
upload_command(Arena *mem, const char *temp, const char *path, int mode)
{
	Buf b = buf_new(mem);

	buf_add(&b, "LC_ALL=C; export LC_ALL; umask 077; t=");
	buf_shell(&b, temp);
	buf_fmt(&b,
	    "; cat >\"$t\" && chmod %o \"$t\" && sync -- \"$t\" && { %s; } || "
	    "{ rm -f -- \"$t\"; exit 1; }",
	    (unsigned)mode, ssh_settle_command(mem, temp, path));
	return b.text;
}

static bool
send_file(Ctx *cx, SshChannel *c, int fd, const char *file, int64_t deadline)
{
	char *chunk = arena_alloc(cx->mem, PUT_CHUNK);

	for (;;) {
		ssize_t n = read(fd, chunk, PUT_CHUNK);

		if (n < 0)
			return fail_errno(cx, errno, NULL, "cannot read \"%s\"", file);
		if (n == 0)
			return true;
		if (!ssh_write(cx, c, chunk, (size_t)n, deadline))
			return false;
	}
}

bool
ssh_fail_put(Ctx *cx, const Ssh *s, const char *path, const char *said)
{
	if (strstr(said, "No space left on device") || strstr(said, "Disk quota exceeded"))
		return fail(cx, FAIL_DISK_FULL, "Make room there.",
		    "host %s has no space left for \"%s\"", s->who, path);
	if (strstr(said, "Permission denied"))
		return fail(cx, FAIL_PERMISSION, "Does our user own the folder there?",
		    "host %s refuses to write \"%s\"", s->who, path);
	fail(cx, FAIL_HOST_STEP, "Is its folder there, and is nothing in its way?",
	    "host %s cannot write \"%s\"", s->who, path);
	said += strspn(said, " \n");
	return *said ? fail_cause(cx, "%.*s", (int)strcspn(said, "\n"), said) : false;
}

/* Its input may stop early: then what the command said of it is the cause. */
static bool
put_through(Ctx *cx, Ssh *s, int fd, const char *file, const char *path, int mode, int64_t deadline)
{
	const char *temp = ssh_temp_beside(cx->mem, path);
	SshChannel *c;
	int code = 0;

	if (!ssh_command(cx, s, upload_command(cx->mem, temp, path, mode), deadline, &c))
		return false;
	if (!send_file(cx, c, fd, file, deadline)) {
		if (cx->fail->kind != FAIL_HOST_STEP)
			return false;
		fail_clear(cx);
	}
	if (!ssh_end(cx, c, deadline, &code))
		return false;
	return code == 0 || ssh_fail_put(cx, s, path, ssh_stderr(c));
}

bool
ssh_put_by_command(
    Ctx *cx, Ssh *s, int fd, const char *file, const char *path, int mode, int64_t deadline)
{
	Ctx own = ctx_new(cx->mem);
	bool good = put_through(&own, s, fd, file, path, mode, deadline);

	if (!good)
		fail_copy(cx, &own);
	arena_free(own.mem);
	return good;
}

bool
ssh_put(Ctx *cx, Ssh *s, const char *file, const char *path, int mode, int64_t deadline)
{
	if (!check_alive(cx, s, "putting a file"))
		return false;
	if (path[0] != '/' || path[strlen(path) - 1] == '/')
		return fail(cx, FAIL_USAGE, "Give the path of a file, from the root on.",
		    "\"%s\" is no path for a file on host %s", path, s->who);
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail_errno(cx, errno, NULL, "cannot open \"%s\"", file);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(cx, FAIL_USAGE, "Name a regular file.", "\"%s\" is no file", file);
	}
	bool good = s->driver->put(cx, s, fd, file, path, mode & 07777, deadline);
	close(fd);
	return good || fail_in(cx, "putting \"%s\" to host %s", path, s->who);
}

/*
 * Sessions of the program `ssh`: one process is the master of the connection, each channel is a
 * client of it.  Everything that it reads stands in a folder of our own, 0700, that goes with the
 * session; nothing of the user's configuration counts.
 */
#include "lib/adapters/ssh_intern.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/proc.h"
#include "lib/base/vec.h"

#define READY      "copyhold-is-in"
#define HOPS_MAX   8
#define FOLDER_MAX 60 /* the socket's name in it must not pass 107 bytes, with ssh's own ending */

typedef struct Prog {
	Arena *mem; /* of its own: the master and the folder go with it */
	const SshTarget *hops[HOPS_MAX];
	int hops_n;
	bool asks;             /* a passphrase is needed */
	int phrases[HOPS_MAX]; /* pipes; -1: none */
	const char *folder;
	const char *who;
	Proc *master;
} Prog;

typedef struct Client {
	Arena *mem;
	Proc *proc;
} Client;

/* --- the folder --------------------------------------------------------------------- */

static bool
is_usable(const char *folder)
{
	return folder && folder[0] == '/' && strlen(folder) <= FOLDER_MAX - 20 &&
	    folder[strspn(folder,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"/._-")] == '\0';
}

static void
remove_folder(void *ptr)
{
	static const char *const fixed[] = { "config", "known", "ask", "c" };
	static const char *const ofhop[] = { "", ".pub", ".pass" };
	const char *folder = ptr;
	Arena *mem = arena_new(NULL);

	for (size_t i = 0; i < LENGTH(fixed); i++)
		unlink(arena_printf(mem, "%s/%s", folder, fixed[i]));
	for (int hop = 0; hop < HOPS_MAX; hop++)
		for (size_t i = 0; i < LENGTH(ofhop); i++)
			unlink(arena_printf(mem, "%s/id%d%s", folder, hop, ofhop[i]));
	rmdir(folder);
	arena_free(mem);
}

static bool
make_folder(Ctx *cx, Prog *p)
{
	const char *wishes[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };
	char *folder = NULL;

	for (size_t i = 0; i < LENGTH(wishes) && !folder; i++)
		if (is_usable(wishes[i])) {
			folder = arena_printf(p->mem, "%s/copyhold-XXXXXX", wishes[i]);
			folder = mkdtemp(folder);
		}
	if (!folder)
		return fail_errno(cx, errno, NULL, "cannot make a folder for ssh");
	p->folder = folder;
	arena_on_free(p->mem, remove_folder, folder);
	return true;
}

static const char *
in_folder(Arena *mem, const Prog *p, const char *name)
{
	return arena_printf(mem, "%s/%s", p->folder, name);
}

/* --- what ssh reads ----------------------------------------------------------------- */

static void
add_key_types(Buf *b, const SshTarget *to)
{
	Buf names = buf_new(b->mem);

	for (size_t i = 0; i < to->host_keys_n; i++) {
		size_t n = strcspn(to->host_keys[i], " ");
		const char *type = arena_dupn(b->mem, to->host_keys[i], n);

		if (strcmp(type, "ssh-rsa") == 0)
			type = "rsa-sha2-512,rsa-sha2-256";
		if (!ssh_lists_meet(type, names.text))
			buf_fmt(&names, "%s%s", names.len > 0 ? "," : "", type);
	}
	if (names.len > 0)
		buf_fmt(b, "\tHostKeyAlgorithms %s\n", names.text);
}

static void
add_host(Buf *b, const Prog *p, int i)
{
	const SshTarget *to = p->hops[i];

	buf_fmt(b, "Host hop%d\n\tHostName %s\n\tPort %lld\n\tUser %s\n\tHostKeyAlias hop%d\n", i,
	    to->address, (long long)to->port, to->user, i);
	add_key_types(b, to);
	if (to->identity)
		buf_fmt(b, "\tIdentityFile %s/id%d\n\tIdentitiesOnly yes\n", p->folder, i);
	else
		buf_add(b, "\tIdentityFile none\n");
	if (i + 1 < p->hops_n)
		buf_fmt(b, "\tProxyJump hop%d\n", i + 1);
}

/* BatchMode would also keep it from asking for a passphrase; without one it is the same as what
 * follows it here. */
static const char *
config_text(const Prog *p, int64_t left_ms)
{
	Buf b = buf_new(p->mem);

	for (int i = 0; i < p->hops_n; i++)
		add_host(&b, p, i);
	buf_fmt(&b,
	    "Host *\n\tBatchMode %s\n\tPreferredAuthentications publickey\n"
	    "\tPasswordAuthentication no\n\tKbdInteractiveAuthentication no\n"
	    "\tNumberOfPasswordPrompts 1\n\tStrictHostKeyChecking yes\n\tUpdateHostKeys no\n"
	    "\tCheckHostIP no\n\tUserKnownHostsFile %s/known\n\tGlobalKnownHostsFile /dev/null\n"
	    "\tConnectTimeout %lld\n\tConnectionAttempts 1\n\tServerAliveInterval 15\n"
	    "\tServerAliveCountMax 3\n\tForwardAgent no\n\tForwardX11 no\n\tRequestTTY no\n"
	    "\tEscapeChar none\n\tPermitLocalCommand no\n\tControlPersist no\n",
	    p->asks ? "no" : "yes", p->folder, (long long)(left_ms / 1000 + 1));
	return b.text;
}

static const char *
known_text(const Prog *p)
{
	Buf b = buf_new(p->mem);

	for (int i = 0; i < p->hops_n; i++)
		for (size_t k = 0; k < p->hops[i]->host_keys_n; k++) {
			const char *key = p->hops[i]->host_keys[k];

			buf_fmt(&b, "hop%d %.*s\n", i, (int)strcspn(key, "\r\n"), key);
		}
	return b.text;
}

/* ssh asks a program for a passphrase; ours takes it from a pipe with a name.  So it stands in no
 * file, no argv and no environment.  The pipe keeps it for as long as we have it open. */
static const char ask_text[] = "#!/bin/sh\n"
			       "key=${1#*\\'}\n"
			       "IFS= read -r phrase <\"${key%%\\'*}.pass\" && "
			       "printf '%s\\n' \"$phrase\"\n";

static bool
offer_passphrase(Ctx *cx, Prog *p, int hop)
{
	const char *pipe = in_folder(p->mem, p, arena_printf(p->mem, "id%d.pass", hop));
	const Secret *phrase = p->hops[hop]->passphrase;

	if (strcspn(phrase->text, "\r\n") != phrase->len || phrase->len > 1000)
		return fail(cx, FAIL_HOST_LOGIN, "Let an agent hold the key.",
		    "the passphrase of \"%s\" is one that the program ssh cannot be given",
		    p->hops[hop]->identity);
	if (mkfifo(pipe, 0600) == 0)
		p->phrases[hop] = open(pipe, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int fd = p->phrases[hop];
	if (fd < 0 || write(fd, phrase->text, phrase->len) != (ssize_t)phrase->len ||
	    write(fd, "\n", 1) != 1)
		return fail_errno(cx, errno, NULL, "cannot make a pipe for ssh");
	p->asks = true;
	return true;
}

static void
withdraw_passphrases(Prog *p)
{
	for (int hop = 0; hop < HOPS_MAX; hop++) {
		if (p->phrases[hop] >= 0)
			close(p->phrases[hop]);
		p->phrases[hop] = -1;
	}
}

/* The path may have any signs in it, so ssh gets a link. */
static bool
link_identity(Ctx *cx, Prog *p, int hop)
{
	Ctx own = ctx_new(p->mem);
	const SshTarget *to = p->hops[hop];
	const char *name = arena_printf(p->mem, "%s/id%d", p->folder, hop);
	SshIdentity *id = NULL;

	if (!to->identity)
		return true;
	bool good = ssh_identity(&own, to, &id), encrypted = good && id->encrypted;
	if (!good)
		fail_copy(cx, &own);
	arena_free(own.mem);
	if (!good)
		return false;
	char path[PATH_MAX];
	if (!realpath(to->identity, path) || symlink(path, name) != 0 ||
	    symlink(arena_printf(p->mem, "%s.pub", path), arena_printf(p->mem, "%s.pub", name)) !=
		0)
		return fail_errno(cx, errno, NULL, "cannot link \"%s\" for ssh", to->identity);
	return !encrypted || offer_passphrase(cx, p, hop);
}

static bool
write_folder(Ctx *cx, Prog *p, int64_t deadline)
{
	for (int i = 0; i < p->hops_n; i++)
		if (!link_identity(cx, p, i))
			return false;
	const char *known = known_text(p), *config = config_text(p, deadline - clock_mono_ms());

	return file_write(cx, in_folder(p->mem, p, "known"), 0600, known, strlen(known)) &&
	    file_write(cx, in_folder(p->mem, p, "config"), 0600, config, strlen(config)) &&
	    (!p->asks ||
		file_write(cx, in_folder(p->mem, p, "ask"), 0700, ask_text, strlen(ask_text)));
}

/* --- what it says ------------------------------------------------------------------- */

/* The lines that tell why, of which the last is the cause. */
static const char *
last_line(Arena *mem, const char *text)
{
	size_t n = strlen(text);

	while (n > 0 && strchr("\r\n ", text[n - 1]))
		n--;
	size_t from = n;
	while (from > 0 && text[from - 1] != '\n')
		from--;
	return arena_dupn(mem, text + from, n - from);
}

static const SshTarget *
hop_of(const Prog *p, const char *text)
{
	Arena *mem = arena_new(NULL);
	int found = 0;

	for (int i = 0; i < p->hops_n; i++)
		if (strstr(text, arena_printf(mem, "hop%d", i)))
			found = i;
	arena_free(mem);
	return p->hops[found];
}

/* The key that the host shows is asked for once more, to tell it; through others it is not. */
static bool
fail_key(Ctx *cx, const Prog *p, const char *text, int64_t deadline)
{
	const SshTarget *to = hop_of(p, text);
	const char *who = ssh_who(cx->mem, to);
	SshOffer offer = { 0 };
	Ctx own = ctx_new(cx->mem);

	if (!to->jump && ssh_lib_offer(&own, to, deadline, &offer))
		ssh_fail_changed(cx, who, offer.key, to);
	else
		fail(cx, FAIL_HOST_KEY, "Ask its owner for its keys, and look at what is pinned.",
		    to->host_keys_n > 0 ? "host %s shows another key than the pinned one"
					: "no key of host %s is pinned",
		    who);
	arena_free(own.mem);
	return false;
}

/* What `ssh -G` says of one kind of algorithms. */
static const char *
ours_of(Ctx *cx, const char *kind)
{
	const char *const argv[] = { "ssh", "-F", "none", "-G", "localhost", NULL };
	Ctx own = ctx_new(cx->mem);
	ProcResult r;

	if (!proc_run(&own, &(ProcSpec){ .argv = argv }, &r) || r.exit_code != 0)
		return "";
	const char *line = strstr(r.out, arena_printf(cx->mem, "\n%s ", kind));
	line = line ? strchr(line, ' ') + 1 : "";
	return arena_dupn(cx->mem, line, strcspn(line, "\r\n"));
}

static bool
fail_algorithm(Ctx *cx, const Prog *p, const char *text, const char *why)
{
	static const char *const kinds[][2] = { { "key exchange", "kexalgorithms" },
		{ "host key", "hostkeyalgorithms" }, { "cipher", "ciphers" }, { "MAC", "macs" } };
	const char *found = strstr(text, "no matching "), *ours = "";

	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (strstr(found, kinds[i][0]) == found + strlen("no matching "))
			ours = ours_of(cx, kinds[i][1]);
	fail(cx, FAIL_HOST_ALGORITHM,
	    arena_printf(cx->mem, "Let its sshd allow one of ours: %s.", ours),
	    "host %s and we have nothing in common: %.*s", ssh_who(cx->mem, hop_of(p, text)),
	    (int)strcspn(found, "\r\n"), found);
	return fail_cause(cx, "%s", why);
}

typedef enum Said { SAID_AGAIN, SAID_KEY, SAID_ALGORITHM, SAID_LOGIN, SAID_OTHER } Said;

static Said
meaning(const char *text)
{
	static const struct {
		const char *words;
		Said said;
	} table[] = {
		{ "Host key verification failed", SAID_KEY },
		{ "no matching ", SAID_ALGORITHM },
		{ "Permission denied", SAID_LOGIN },
		{ "Too many authentication failures", SAID_LOGIN },
		{ "connect to host", SAID_OTHER },
		{ "Could not resolve hostname", SAID_OTHER },
		{ "open failed", SAID_OTHER },
		{ "kex_exchange_identification", SAID_AGAIN },
	};

	/* The first that is found counts: when a jump host fails, the next complains of its end. */
	for (size_t i = 0; i < LENGTH(table); i++)
		if (strstr(text, table[i].words))
			return table[i].said;
	return SAID_OTHER;
}

static bool
fail_master(Ctx *cx, const Prog *p, const char *text, const char *why, int64_t deadline)
{
	const char *cause = last_line(cx->mem, text);

	switch (meaning(text)) {
	case SAID_KEY:
		return fail_key(cx, p, text, deadline);
	case SAID_ALGORITHM:
		return fail_algorithm(cx, p, text, why);
	case SAID_LOGIN:
		return ssh_fail_login(cx, p->hops[0], p->asks, cause);
	case SAID_AGAIN:
	case SAID_OTHER:
		break;
	}
	fail(cx, FAIL_HOST_UNREACHABLE,
	    "Does its sshd run, is the port right, and does every firewall on the way let us pass?",
	    "no session with host %s", p->who);
	return fail_cause(cx, "%s", cause);
}

/* --- the master --------------------------------------------------------------------- */

static bool
start(Ctx *cx, const Prog *p, Arena *mem, const char *const *argv, Proc **out)
{
	const char *const env[] = { "LC_ALL=C",
		arena_printf(mem, "SSH_ASKPASS=%s", in_folder(mem, p, "ask")),
		p->asks ? "SSH_ASKPASS_REQUIRE=force" : "SSH_ASKPASS_REQUIRE=never", NULL };
	Ctx own = ctx_new(mem);

	own.mem = mem;
	if (proc_start(&own, &(ProcSpec){ .argv = argv, .env_add = env }, out))
		return true;
	fail_copy(cx, &own);
	return false;
}

static void
take_text(Proc *proc, int which, Buf *to)
{
	char bytes[4096];
	ssize_t n;

	while ((n = proc_read(proc, which, bytes, sizeof bytes)) > 0)
		buf_addn(to, bytes, (size_t)n);
	if (n == 0)
		proc_close(proc, which);
}

/* 1: it is in; 0: it ended; -1: the deadline. */
static int
wait_ready(Proc *master, Buf *said, int64_t deadline)
{
	Buf out = buf_new_max(said->mem, (size_t)64 << 10);
	int code;

	for (;;) {
		int got = proc_ready(master, PROC_OUT | PROC_ERR | PROC_END, deadline);

		if (got & PROC_ERR)
			take_text(master, PROC_ERR, said);
		if (got & PROC_OUT)
			take_text(master, PROC_OUT, &out);
		if (strstr(out.text, READY))
			return 1;
		if (got & PROC_END) {
			take_text(master, PROC_ERR, said);
			proc_ended(master, -1, &code);
			return 0;
		}
		if (out.full || (!got && clock_mono_ms() >= deadline))
			return -1;
	}
}

/* Its own channel ends when we do, and the master with it. */
static bool
start_master(Ctx *cx, Prog *p)
{
	const char *const argv[] = { "ssh", "-F", in_folder(p->mem, p, "config"), "-M", "-S",
		in_folder(p->mem, p, "c"), "--", "hop0", "echo " READY "; exec cat >/dev/null",
		NULL };

	return start(cx, p, p->mem, argv, &p->master);
}

static void
leave_gates(SshGate *const *gates)
{
	for (int i = 0; i < HOPS_MAX; i++)
		ssh_gate_leave(gates[i]);
}

/* The program dials every host on the way.  The first of them comes first for everybody, so nobody
 * waits for another in a circle. */
static bool
enter_gates(Ctx *cx, const Prog *p, int64_t deadline, SshGate **gates)
{
	for (int i = p->hops_n; i-- > 0;) {
		const char *who = ssh_who(cx->mem, p->hops[i]);

		if (!ssh_gate_enter(cx, p->hops[i], who, deadline, &gates[i])) {
			leave_gates(gates);
			return false;
		}
	}
	return true;
}

static bool
log_in(Ctx *cx, Prog *p, const char *why, int64_t deadline)
{
	for (int attempt = 0;; attempt++) {
		Buf said = buf_new_max(cx->mem, 8192);
		SshGate *gates[HOPS_MAX] = { 0 };

		if (!enter_gates(cx, p, deadline, gates))
			return false;
		int in = start_master(cx, p) ? wait_ready(p->master, &said, deadline) : -1;
		leave_gates(gates);
		if (in > 0)
			return true;
		if (p->master)
			proc_kill(p->master);
		if (in < 0)
			return ssh_fail_time(cx, p->who, "logging in with the program ssh");
		if (meaning(said.text) != SAID_AGAIN)
			return fail_master(cx, p, said.text, why, deadline);
		if (!ssh_again(cx, p->who, attempt, deadline))
			return false;
	}
}

/* --- channels ----------------------------------------------------------------------- */

static bool
prog_command(Ctx *cx, SshChannel *c, const char *command, int64_t deadline)
{
	const Prog *p = c->ssh->own;
	Arena *mem = arena_new(NULL);
	/* A client without its master would dial by itself: it shall not get through. */
	const char *const argv[] = { "ssh", "-F", in_folder(mem, p, "config"), "-S",
		in_folder(mem, p, "c"), "-o", "ControlMaster=no", "-o", "LogLevel=ERROR", "-o",
		"ProxyCommand=exec false", "--", "hop0", command, NULL };
	Client *client = arena_alloc(mem, sizeof *client);

	(void)deadline;
	client->mem = mem;
	if (!start(cx, p, mem, argv, &client->proc)) {
		arena_free(mem);
		return false;
	}
	c->own = client;
	return true;
}

static void
take_tail(SshChannel *c)
{
	Client *client = c->own;
	char bytes[4096];
	ssize_t n;

	while ((n = proc_read(client->proc, PROC_ERR, bytes, sizeof bytes)) > 0)
		ssh_keep_tail(c, bytes, (size_t)n);
	if (n == 0)
		proc_close(client->proc, PROC_ERR);
}

/* Another lane has closed the session meanwhile. */
static bool
fail_closed(Ctx *cx)
{
	return fail(cx, FAIL_HOST_UNREACHABLE, "Open a new one.", "the SSH session is closed");
}

/* Waits for one of its streams, and takes what it complains of meanwhile. */
static bool
wait_client(Ctx *cx, SshChannel *c, int wanted, int64_t deadline, const char *doing)
{
	Client *client = c->own;
	int got = proc_ready(client->proc, wanted | PROC_ERR, deadline);

	if (!c->ssh)
		return fail_closed(cx);
	if (got & PROC_ERR)
		take_tail(c);
	return got || clock_mono_ms() < deadline || ssh_fail_time(cx, c->ssh->who, doing);
}

static bool
prog_write(Ctx *cx, SshChannel *c, const void *bytes, size_t n, int64_t deadline)
{
	const char *from = bytes;
	Client *client = c->own;

	for (size_t at = 0; at < n;) {
		ssize_t put = proc_write(client->proc, from + at, n - at);

		if (put > 0)
			at += (size_t)put;
		else if (put != -EAGAIN && put != -EINTR)
			return fail(cx, FAIL_HOST_STEP, NULL,
			    "a command on host %s ended before it took its input", c->ssh->who);
		else if (!wait_client(cx, c, PROC_IN, deadline, "writing to a command"))
			return false;
	}
	return true;
}

static bool
prog_read(Ctx *cx, SshChannel *c, void *out, size_t cap, size_t *n, int64_t deadline)
{
	Client *client = c->own;

	for (;;) {
		ssize_t got = proc_read(client->proc, PROC_OUT, out, cap);

		if (got == -EAGAIN || got == -EINTR) {
			if (!wait_client(cx, c, PROC_OUT, deadline, "reading from a command"))
				return false;
			continue;
		}
		*n = got > 0 ? (size_t)got : 0;
		return true;
	}
}

/* Whether the master still has its connection; it alone knows. */
static bool
master_answers(const Prog *p)
{
	Arena *mem = arena_new(NULL);
	Ctx cx = ctx_new(mem);
	const char *const argv[] = { "ssh", "-F", in_folder(mem, p, "config"), "-S",
		in_folder(mem, p, "c"), "-O", "check", "--", "hop0", NULL };
	ProcResult r = { 0 };

	bool good = proc_run(&cx, &(ProcSpec){ .argv = argv, .deadline_ms = 5000 }, &r) &&
	    r.exit_code == 0;
	arena_free(mem);
	return good;
}

/* 255 is what ssh says of itself, and of a command that a signal ended. */
static bool
judge_255(Ctx *cx, SshChannel *c, int *exit_code)
{
	const Prog *p = c->ssh->own;

	if (!master_answers(p))
		return ssh_fail_lost(cx, p->who, "waiting for the end of a command",
		    last_line(cx->mem, ssh_stderr(c)));
	if (strstr(ssh_stderr(c), "mux_client_request_session"))
		return fail(cx, FAIL_HOST_STEP, "Its sshd may have reached MaxSessions.",
		    "host %s opens no further channel", p->who);
	*exit_code = -1;
	return true;
}

static bool
drain_client(Ctx *cx, SshChannel *c, int64_t deadline)
{
	char bytes[8192];
	size_t n = 1;

	while (n > 0)
		if (!prog_read(cx, c, bytes, sizeof bytes, &n, deadline))
			return false;
	return true;
}

static void
prog_drop(SshChannel *c)
{
	Client *client = c->own;

	c->own = NULL;
	arena_free(client->mem);
}

static bool
prog_end(Ctx *cx, SshChannel *c, int64_t deadline, int *exit_code)
{
	Client *client = c->own;
	int code = 0;

	proc_close(client->proc, PROC_IN);
	if (!drain_client(cx, c, deadline))
		return false;
	bool ended = proc_ended(client->proc, deadline, &code);
	if (!c->ssh)
		return fail_closed(cx);
	if (!ended)
		return ssh_fail_time(cx, c->ssh->who, "waiting for the end of a command");
	take_tail(c);
	bool good = true;
	if (code == 255 || code < 0)
		good = judge_255(cx, c, exit_code);
	else
		*exit_code = code;
	prog_drop(c);
	return good;
}

/* --- sessions ----------------------------------------------------------------------- */

static bool
prog_alive(Ssh *s)
{
	const Prog *p = s->own;
	int code;

	return !proc_ended(p->master, 0, &code);
}

static void
prog_close(Ssh *s)
{
	Prog *p = s->own;

	arena_free(p->mem); /* its clients end by themselves */
}

static const SshDriver driver = {
	.command = prog_command,
	.write = prog_write,
	.read = prog_read,
	.end = prog_end,
	.drop = prog_drop,
	.put = ssh_put_by_command,
	.alive = prog_alive,
	.close = prog_close,
};

static bool
open_master(Ctx *cx, Prog *p, const char *why, int64_t deadline)
{
	bool good = make_folder(cx, p) && write_folder(cx, p, deadline) &&
	    log_in(cx, p, why, deadline);

	withdraw_passphrases(p);
	return good;
}

bool
ssh_prog_open(Ctx *cx, const SshTarget *to, int64_t deadline, const char *why, Ssh **out)
{
	Arena *mem = arena_new(NULL);
	Prog *p = arena_alloc(mem, sizeof *p);

	p->mem = mem;
	p->who = ssh_who(mem, to);
	for (int i = 0; i < HOPS_MAX; i++)
		p->phrases[i] = -1;
	for (const SshTarget *t = to; t && p->hops_n < HOPS_MAX; t = t->jump)
		p->hops[p->hops_n++] = t;
	if (!open_master(cx, p, why, deadline)) {
		arena_free(mem);
		return false;
	}
	memset(p->hops, 0, sizeof p->hops); /* the caller's */
	*out = ssh_new(cx, to, &driver, p, arena_printf(cx->mem, "ssh: %s", why));
	return true;
}

/* --- ssh-keyscan -------------------------------------------------------------------- */

/* "NAME TYPE KEY" of one type */
static const char *
scanned_key(Arena *mem, const char *text, const char *type)
{
	Bytes blob;

	while (*text) {
		size_t n = strcspn(text, "\n");
		const char *line = arena_dupn(mem, text, n), *key = strchr(line, ' ');

		if (line[0] != '#' && key && ssh_key_blob(mem, key + 1, &blob) &&
		    strncmp(key + 1, type, strlen(type)) == 0)
			return ssh_key_text(mem, blob);
		text += n + (text[n] == '\n');
	}
	return NULL;
}

bool
ssh_prog_scan(Ctx *cx, const SshTarget *to, int64_t deadline, const char **key)
{
	static const char *const types[] = { "ssh-ed25519", "ecdsa-", "ssh-rsa" };
	int64_t left = deadline - clock_mono_ms();
	const char *const argv[] = { "ssh-keyscan", "-T",
		arena_printf(cx->mem, "%lld", (long long)(left > 1000 ? left / 1000 : 1)), "-p",
		arena_printf(cx->mem, "%lld", (long long)to->port), "-t", "ed25519,ecdsa,rsa", "--",
		to->address, NULL };
	ProcResult r;

	if (!proc_run(cx, &(ProcSpec){ .argv = argv, .deadline_ms = left > 0 ? left : 1 }, &r))
		return false;
	const char *found = NULL;
	for (size_t i = 0; !found && i < LENGTH(types); i++)
		found = scanned_key(cx->mem, r.out, types[i]);
	if (!found) {
		fail(cx, FAIL_HOST_ALGORITHM, "Ask its owner for its keys.",
		    "the program ssh-keyscan sees no key of host %s", ssh_who(cx->mem, to));
		return fail_cause(cx, "%s", last_line(cx->mem, r.err));
	}
	*key = found;
	return true;
}

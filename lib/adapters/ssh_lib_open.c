#include "lib/adapters/ssh_lib_intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/vec.h"

#define AGENT_TRIES 5 /* sshd ends a session after six (MaxAuthTries) */
#define WITH_RSA    0x010b00

/* Without those that are weak: nothing with SHA-1, CBC, MD5, arcfour, 3DES. */
#define KEX \
	"curve25519-sha256,curve25519-sha256@libssh.org," \
	"ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521," \
	"diffie-hellman-group16-sha512,diffie-hellman-group18-sha512," \
	"diffie-hellman-group14-sha256,diffie-hellman-group-exchange-sha256"
#define HOST_KEYS "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
#define CIPHERS   "aes256-ctr,aes192-ctr,aes128-ctr"
#define MACS      "hmac-sha2-512,hmac-sha2-256"

typedef struct Opening {
	const SshTarget *to;
	int64_t deadline;
	SshGate *gate;
	const char *pref;  /* types of host keys */
	const char **why;  /* what libssh2 lacks */
	const char *shown; /* the host's key */
	SshIdentity *identity;
} Opening;

/* --- bytes -------------------------------------------------------------------------- */

static ssize_t
on_recv(libssh2_socket_t fd, void *bytes, size_t n, int flags, void **abstract)
{
	SshLib *l = *abstract;

	(void)fd, (void)flags;
	return ssh_wire_recv(&l->wire, bytes, n);
}

static ssize_t
on_send(libssh2_socket_t fd, const void *bytes, size_t n, int flags, void **abstract)
{
	SshLib *l = *abstract;

	(void)fd, (void)flags;
	return l->wire.fd < 0 ? -ECONNRESET : l->wire.send(&l->wire, bytes, n);
}

/* What the outermost session waits for, for it has the socket. */
static int
wants(SshWire *w)
{
	SshLib *l = (SshLib *)w;

	while (l->outer)
		l = l->outer;
	int blocks = libssh2_session_block_directions(l->session);
	int events = (blocks & LIBSSH2_SESSION_BLOCK_INBOUND ? LANE_READ : 0) |
	    (blocks & LIBSSH2_SESSION_BLOCK_OUTBOUND ? LANE_WRITE : 0);
	return events ? events : LANE_READ;
}

static ssize_t
tunnel_recv(SshWire *w, void *out, size_t cap)
{
	SshLib *l = (SshLib *)w;
	ssize_t n = libssh2_channel_read(l->tunnel, out, cap);

	if (n == LIBSSH2_ERROR_EAGAIN || (n == 0 && !libssh2_channel_eof(l->tunnel)))
		return -EAGAIN;
	return n < 0 ? -ECONNRESET : n;
}

static ssize_t
tunnel_send(SshWire *w, const void *bytes, size_t n)
{
	SshLib *l = (SshLib *)w;
	ssize_t put = libssh2_channel_write(l->tunnel, bytes, n);

	if (put == LIBSSH2_ERROR_EAGAIN || put == 0)
		return -EAGAIN;
	return put < 0 ? -ECONNRESET : put;
}

static bool
fail_tunnel(Ctx *cx, const Opening *o, SshLib *outer, int rc)
{
	fail(cx, FAIL_HOST_UNREACHABLE,
	    "Does the host listen there, and does its jump host allow forwarding "
	    "(AllowTcpForwarding)?",
	    "no connection with host %s through host %s", ssh_who(cx->mem, o->to), outer->who);
	return fail_cause(cx, "%s", ssh_lib_error(cx->mem, outer, rc));
}

static bool
connect_through(Ctx *cx, SshLib *l, const Opening *o)
{
	static const char doing[] = "connecting through it";
	SshLib *outer = l->outer;

	for (;;) {
		l->tunnel = libssh2_channel_direct_tcpip_ex(
		    outer->session, o->to->address, (int)o->to->port, "127.0.0.1", 0);
		if (l->tunnel)
			break;
		int rc = libssh2_session_last_errno(outer->session);
		if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE)
			return fail_tunnel(cx, o, outer, rc);
		if (rc != LIBSSH2_ERROR_EAGAIN)
			return ssh_lib_broke(cx, outer, doing, rc);
		if (!ssh_lib_wait(cx, outer, o->deadline, doing))
			return false;
	}
	l->wire.fd = outer->wire.fd;
	l->wire.recv = tunnel_recv;
	l->wire.send = tunnel_send;
	l->wire.wants = wants;
	return true;
}

static bool
connect_wire(Ctx *cx, SshLib *l, const Opening *o)
{
	int fd;

	if (l->outer)
		return connect_through(cx, l, o);
	if (!ssh_connect(cx, o->to, l->who, o->deadline, &fd))
		return false;
	ssh_wire_socket(&l->wire, fd);
	return true;
}

static void
disconnect_wire(SshLib *l)
{
	if (l->outer && l->tunnel)
		l->outer->left[l->outer->left_n++ % 32] = l->tunnel;
	else if (l->wire.fd >= 0)
		close(l->wire.fd);
	l->tunnel = NULL;
	l->wire.fd = -1;
	l->wire.head_n = l->wire.head_given = 0;
}

/* Leaves with a place in the window of dials, which is given back after the login. */
static bool
dial(Ctx *cx, SshLib *l, Opening *o)
{
	for (int attempt = 0;; attempt++) {
		SshGreeting g = SSH_GREET_FAILED;

		if (!ssh_gate_enter(cx, o->to, l->who, o->deadline, &o->gate))
			return false;
		if (connect_wire(cx, l, o))
			g = ssh_greet(cx, &l->wire, l->who, o->deadline);
		if (g == SSH_GREETED)
			return true;
		disconnect_wire(l);
		ssh_gate_leave(o->gate);
		o->gate = NULL;
		if (g == SSH_GREET_FAILED || !ssh_again(cx, l->who, attempt, o->deadline))
			return false;
	}
}

/* --- keys are exchanged ------------------------------------------------------------- */

/* Names of signatures with RSA differ from that of the key (RFC 8332). */
static const char *
names_of_type(const char *type)
{
	return strcmp(type, "ssh-rsa") == 0 ? "rsa-sha2-512,rsa-sha2-256" : type;
}

/* Types that are pinned, as names of signatures; only those that libssh2 has, or all. */
static const char *
pinned_names(Arena *mem, const SshTarget *to, bool all)
{
	const char *ours = libssh2_version(WITH_RSA) ? HOST_KEYS ",rsa-sha2-512,rsa-sha2-256"
						     : HOST_KEYS;
	Buf b = buf_new(mem);

	for (size_t i = 0; i < to->host_keys_n; i++) {
		const char *type = arena_dupn(
		    mem, to->host_keys[i], strcspn(to->host_keys[i], " "));
		const char *names = names_of_type(type);

		if ((all || ssh_lists_meet(names, ours)) && !ssh_lists_meet(names, b.text))
			buf_fmt(&b, "%s%s", b.len > 0 ? "," : "", names);
	}
	return b.text;
}

static bool
begin_session(Ctx *cx, SshLib *l, const Opening *o)
{
	static bool ready;

	if (!ready)
		ready = libssh2_init(0) == 0;
	l->session = ready ? libssh2_session_init_ex(NULL, NULL, NULL, l) : NULL;
	if (!l->session)
		return fail(cx, FAIL_SYSTEM, NULL, "no memory for an SSH session");
	libssh2_session_set_blocking(l->session, 0);
	libssh2_session_callback_set(l->session, LIBSSH2_CALLBACK_RECV, (void *)on_recv);
	libssh2_session_callback_set(l->session, LIBSSH2_CALLBACK_SEND, (void *)on_send);
	const struct {
		int method;
		const char *names;
	} prefs[] = {
		{ LIBSSH2_METHOD_KEX, KEX },
		{ LIBSSH2_METHOD_HOSTKEY, o->pref },
		{ LIBSSH2_METHOD_CRYPT_CS, CIPHERS },
		{ LIBSSH2_METHOD_CRYPT_SC, CIPHERS },
		{ LIBSSH2_METHOD_MAC_CS, MACS },
		{ LIBSSH2_METHOD_MAC_SC, MACS },
		{ LIBSSH2_METHOD_COMP_CS, "none" },
		{ LIBSSH2_METHOD_COMP_SC, "none" },
	};
	for (size_t i = 0; i < LENGTH(prefs); i++)
		if (libssh2_session_method_pref(l->session, prefs[i].method, prefs[i].names) != 0)
			return fail(cx, FAIL_SYSTEM, "Install libssh2 1.10 or newer.",
			    "libssh2 has none of \"%s\"", prefs[i].names);
	l->wire.wants = wants;
	return true;
}

/* Which of the four kinds of algorithms have nothing in common; NULL: all have. */
static const char *
lacking(Arena *mem, const SshOffer *theirs, const char *pref)
{
	const struct {
		const char *theirs, *ours, *what;
	} kinds[] = {
		{ theirs->kex, KEX, "key exchanges" },
		{ theirs->host_keys, pref, "host keys" },
		{ theirs->ciphers, CIPHERS, "ciphers" },
		{ theirs->macs, MACS, "MACs" },
	};

	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (!ssh_lists_meet(kinds[i].theirs, kinds[i].ours))
			return arena_printf(
			    mem, "libssh2 has none of its %s (%s)", kinds[i].what, kinds[i].theirs);
	return NULL;
}

/* A host that shows no key of any pinned type has another key than the pinned one. */
static bool
fail_types(Ctx *cx, const Opening *o, const char *pinned, const char *theirs)
{
	return fail(cx, FAIL_HOST_KEY,
	    "Either the machine was set up anew or somebody stands in between: ask its owner for "
	    "its keys and write them as hostKeys: in the manifest of the host.",
	    "host %s has no key of a pinned type (%s), only of %s", ssh_who(cx->mem, o->to), pinned,
	    theirs);
}

static bool
fail_exchange(Ctx *cx, SshLib *l, const Opening *o, int rc)
{
	const char *pinned = pinned_names(cx->mem, o->to, true);
	SshOffer theirs = { 0 };
	const char *lacks = NULL;

	if (ssh_hello(cx->mem, l->wire.head, l->wire.head_n, &theirs)) {
		if (*pinned && !ssh_lists_meet(theirs.host_keys, pinned))
			return fail_types(cx, o, pinned, theirs.host_keys);
		lacks = lacking(cx->mem, &theirs, o->pref);
	}
	if (!lacks)
		return ssh_lib_broke(cx, l, "exchanging keys", rc);
	*o->why = lacks;
	return fail(cx, FAIL_HOST_ALGORITHM, NULL, "%s", lacks);
}

static bool
exchange_keys(Ctx *cx, SshLib *l, const Opening *o)
{
	int rc;

	while ((rc = libssh2_session_handshake(l->session, l->wire.fd)) == LIBSSH2_ERROR_EAGAIN)
		if (!ssh_lib_wait(cx, l, o->deadline, "exchanging keys"))
			return false;
	return rc == 0 || fail_exchange(cx, l, o, rc);
}

static bool
look_at_key(Ctx *cx, SshLib *l, Opening *o)
{
	int type;
	size_t n = 0;
	const char *bytes = libssh2_session_hostkey(l->session, &n, &type);

	o->shown = bytes ? ssh_key_text(cx->mem, (Bytes){ (const unsigned char *)bytes, n }) : NULL;
	return o->shown || fail(cx, FAIL_HOST_KEY, NULL, "host %s shows a malformed key", l->who);
}

static bool
check_key(Ctx *cx, SshLib *l, const Opening *o)
{
	Bytes shown, pinned;

	if (o->to->host_keys_n == 0)
		return ssh_fail_unpinned(cx, l->who, o->shown);
	for (size_t i = 0; i < o->to->host_keys_n; i++)
		if (ssh_key_blob(cx->mem, o->to->host_keys[i], &pinned) &&
		    ssh_key_blob(cx->mem, o->shown, &shown) && shown.n == pinned.n &&
		    memcmp(shown.at, pinned.at, shown.n) == 0)
			return true;
	return ssh_fail_changed(cx, l->who, o->shown, o->to);
}

/* --- logging in --------------------------------------------------------------------- */

static const char *
lacks_type(const char *type)
{
	if (type && strcmp(type, "ssh-rsa") == 0)
		return libssh2_version(WITH_RSA) ? NULL
						 : "libssh2 has no RSA client keys with SHA-2";
	if (type && strncmp(type, "sk-", 3) == 0)
		return "libssh2 has no client keys of FIDO devices";
	return type && strchr(type, '@') ? "libssh2 has no such client keys" : NULL;
}

static bool
is_refusal(int rc)
{
	return rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
	    rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
}

static bool
is_broken(int rc)
{
	return rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV ||
	    rc == LIBSSH2_ERROR_SOCKET_SEND || rc == LIBSSH2_ERROR_SOCKET_TIMEOUT;
}

typedef struct Signing {
	Ctx *cx;
	SshAgent *agent;
	Ed25519 *key; /* without an agent */
	Bytes blob;
	int64_t deadline;
} Signing;

/* Called from within libssh2.  The agent is waited for: other lanes go on meanwhile. */
static int
on_sign(LIBSSH2_SESSION *session, unsigned char **sig, size_t *sig_n, const unsigned char *data,
    size_t n, void **abstract)
{
	unsigned char own[ED25519_SIGNATURE];
	Bytes signature = { own, sizeof own };
	Signing *s = *abstract;

	(void)session;
	if (s->key)
		ed25519_sign(s->key, data, n, own);
	else if (!ssh_agent_sign(
		     s->cx, s->agent, s->blob, (Bytes){ data, n }, s->deadline, &signature))
		return -1;
	*sig = malloc(signature.n); /* allowed: libssh2 frees it */
	if (!*sig)
		return -1;
	memcpy(*sig, signature.at, signature.n);
	*sig_n = signature.n;
	return 0;
}

/* libssh2's code, but EAGAIN: then it is failed. */
static int
log_in_signing(Ctx *cx, SshLib *l, const Opening *o, Signing *s)
{
	void *abstract = s;
	int rc;

	while ((rc = libssh2_userauth_publickey(l->session, o->to->user, s->blob.at, s->blob.n,
		    on_sign, &abstract)) == LIBSSH2_ERROR_EAGAIN)
		if (!ssh_lib_wait(cx, l, o->deadline, "logging in"))
			break;
	return rc;
}

/* libssh2 reads the file twice, and asks every decoder of OpenSSL first: that costs more than all
 * the rest of a login.  So what can be signed here is. */
static int
log_in_file_with(Ctx *cx, SshLib *l, const Opening *o, const SshIdentity *id)
{
	Signing s = { .cx = cx, .blob = id->blob };
	int rc;

	if (id->seeded) {
		s.key = ed25519_open(cx->mem, id->seed);
		return log_in_signing(cx, l, o, &s);
	}
	while ((rc = libssh2_userauth_publickey_frommemory(l->session, o->to->user,
		    strlen(o->to->user), NULL, 0, id->file.text, id->file.len,
		    id->encrypted ? o->to->passphrase->text : NULL)) == LIBSSH2_ERROR_EAGAIN)
		if (!ssh_lib_wait(cx, l, o->deadline, "logging in"))
			break;
	return rc;
}

static bool
fail_key_file(Ctx *cx, SshLib *l, const Opening *o, const SshIdentity *id, int rc)
{
	if (id->encrypted) {
		fail(cx, FAIL_HOST_LOGIN, "Give the right one, or let an agent hold the key.",
		    "the private key \"%s\" does not open with the passphrase that is given",
		    o->to->identity);
	} else {
		*o->why = "libssh2 cannot read this form of client key";
		fail(cx, FAIL_HOST_LOGIN, NULL, "%s", *o->why);
	}
	return fail_cause(cx, "%s", ssh_lib_error(cx->mem, l, rc));
}

static bool
log_in_file(Ctx *cx, SshLib *l, const Opening *o)
{
	int rc = log_in_file_with(cx, l, o, o->identity);

	if (rc == 0 || cx->fail->kind != FAIL_NONE)
		return rc == 0;
	if (is_broken(rc))
		return ssh_lib_broke(cx, l, "logging in", rc);
	if (!is_refusal(rc))
		return fail_key_file(cx, l, o, o->identity, rc);
	if (!o->identity->type)
		*o->why = "libssh2 does not get in with this form of client key";
	return ssh_fail_login(cx, o->to, false, ssh_lib_error(cx->mem, l, rc));
}

/* 1: in; 0: the next key may; -1: failed. */
static int
try_agent_key(Ctx *cx, SshLib *l, const Opening *o, SshAgent *agent, const SshAgentKey *key)
{
	Signing s = { .cx = cx, .agent = agent, .blob = key->blob, .deadline = o->deadline };
	int rc = log_in_signing(cx, l, o, &s);

	if (cx->fail->kind != FAIL_NONE)
		return -1;
	if (rc != 0 && !is_refusal(rc))
		ssh_lib_broke(cx, l, "logging in", rc);
	return rc == 0 ? 1 : is_refusal(rc) ? 0 : -1;
}

static bool
log_in_agent(Ctx *cx, SshLib *l, const Opening *o)
{
	const char *lacks = NULL;
	SshAgentKey *keys;
	SshAgent *agent;
	size_t n;
	int tries = 0;

	if (!ssh_agent_open(cx, o->deadline, &agent, &keys, &n))
		return false;
	for (size_t i = 0; i < n && tries < AGENT_TRIES; i++) {
		const char *no = lacks_type(keys[i].type);

		lacks = no ? no : lacks;
		if (no)
			continue;
		tries++;
		int got = try_agent_key(cx, l, o, agent, &keys[i]);
		if (got != 0)
			return got > 0;
	}
	*o->why = lacks;
	return ssh_fail_login(cx, o->to, false, NULL);
}

/* --- all of it ---------------------------------------------------------------------- */

/* What can be known before anything is sent. */
static bool
check_before(Ctx *cx, Opening *o)
{
	if (o->to->identity && !ssh_identity(cx, o->to, &o->identity))
		return false;
	*o->why = lacks_type(o->identity ? o->identity->type : NULL);
	o->pref = pinned_names(cx->mem, o->to, false);
	if (o->to->host_keys_n == 0)
		o->pref = HOST_KEYS;
	else if (!*o->pref)
		*o->why = "libssh2 has no RSA host keys with SHA-2";
	return !*o->why || fail(cx, FAIL_HOST_ALGORITHM, NULL, "%s", *o->why);
}

static bool
enter_host(Ctx *cx, SshLib *l, Opening *o)
{
	l->wire.head = arena_alloc(cx->mem, SSH_HEAD);
	if (!dial(cx, l, o) || !begin_session(cx, l, o) || !exchange_keys(cx, l, o) ||
	    !look_at_key(cx, l, o) || !check_key(cx, l, o))
		return false;
	return o->to->identity ? log_in_file(cx, l, o) : log_in_agent(cx, l, o);
}

/* cx is for the opening alone: keys, greetings and failures lie in it.  The session is for mem. */
static bool
open_session(
    Ctx *cx, Arena *mem, const SshTarget *to, int64_t deadline, SshLib **out, const char **why)
{
	Opening o = { .to = to, .deadline = deadline, .why = why };
	SshLib *l = arena_alloc(mem, sizeof *l);

	*l = (SshLib){ .wire.fd = -1, .who = ssh_who(mem, to) };
	bool good = check_before(cx, &o) &&
	    (!to->jump || open_session(cx, mem, to->jump, deadline, &l->outer, why)) &&
	    enter_host(cx, l, &o);
	ssh_gate_leave(o.gate);
	l->wire.head = NULL;
	if (good)
		*out = l;
	else
		ssh_lib_free(l);
	return good;
}

bool
ssh_lib_open(Ctx *cx, const SshTarget *to, int64_t deadline, Ssh **out, const char **why)
{
	Ctx own = ctx_new(cx->mem);
	SshLib *l = NULL;

	bool good = open_session(&own, cx->mem, to, deadline, &l, why);
	*why = arena_dup(cx->mem, *why);
	if (good) {
		*out = ssh_new(cx, to, &ssh_lib_driver, l, "libssh2");
		l->channels = &(*out)->channels;
	} else {
		fail_copy(cx, &own);
	}
	arena_free(own.mem);
	return good;
}

static bool
look_at_offer(Ctx *cx, SshLib *l, Opening *o, SshOffer *out)
{
	l->wire.head = arena_alloc(cx->mem, SSH_HEAD);
	if (!dial(cx, l, o) || !begin_session(cx, l, o))
		return false;
	if (!exchange_keys(cx, l, o)) {
		if (!*o->why)
			return false;
		fail_clear(cx);
		if (!ssh_prog_scan(cx, o->to, o->deadline, &o->shown))
			return false;
	} else if (!look_at_key(cx, l, o)) {
		return false;
	}
	if (!ssh_hello(cx->mem, l->wire.head, l->wire.head_n, out))
		return fail(
		    cx, FAIL_HOST_UNREACHABLE, NULL, "host %s greets with nonsense", l->who);
	out->key = o->shown;
	out->fingerprint = ssh_fingerprint(cx->mem, o->shown);
	return true;
}

bool
ssh_lib_offer(Ctx *cx, const SshTarget *to, int64_t deadline, SshOffer *out)
{
	const char *why = NULL;
	Opening o = { .to = to, .deadline = deadline, .why = &why, .pref = HOST_KEYS };
	SshLib l = { .wire.fd = -1, .who = ssh_who(cx->mem, to) };
	SshOffer offer = { 0 };
	bool good = look_at_offer(cx, &l, &o, &offer);

	ssh_gate_leave(o.gate);
	ssh_lib_free(&l);
	if (good)
		*out = offer;
	return good;
}

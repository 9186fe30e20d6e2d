/*
 * ssh.h - sessions with machines over SSH (RFC 4251 to 4254; draft-ietf-secsh-filexfer-02 for files).
 *
 * Two drivers behind one interface: libssh2, and the program `ssh` where
 * libssh2 cannot (RSA client keys, RSA-only host keys, EtM-only MACs,
 * AEAD-only ciphers); which pair was refused is told.  Waiting is lane_wait(),
 * so many sessions live side by side in one thread.  Every call has a
 * deadline (milliseconds of the monotonic clock); a session whose call failed
 * is of no more use and is opened anew.  Host keys are pinned: an unknown or a
 * changed one is refused with its fingerprint, nothing is learnt by itself.
 * At most SSH_DIALS sessions are being opened to one address at a time.
 * A session, its channels and what they hold end with the arena of the Ctx
 * that opened them.  Lanes may share a session: calls take turns, and one that
 * waits for output lets others go first.
 */
#pragma once

#include "lib/base/fail.h"
#include "lib/base/secret.h"

#define SSH_DIALS	8

typedef struct SshTarget {
	const char		*name;		/* for messages: "h1" */
	const char		*address;	/* name or address */
	int64_t			 port;
	const char		*user;
	const char *const	*host_keys;	/* "ssh-ed25519 AAAA...", any of them; as in known_hosts without the names */
	size_t			 host_keys_n;
	const char		*identity;	/* file of the private key; NULL: the agent of SSH_AUTH_SOCK */
	const Secret		*passphrase;	/* of that file, or NULL */
	const struct SshTarget	*jump;		/* the session goes through this one, or NULL */
} SshTarget;

typedef struct Ssh Ssh;
typedef struct SshChannel SshChannel;

/* FAIL_HOST_UNREACHABLE (also: closed before the banner, again after back-off), FAIL_HOST_KEY,
 * FAIL_HOST_LOGIN, FAIL_HOST_ALGORITHM (neither driver can), FAIL_TIMEOUT. */
bool	 ssh_open(Ctx *cx, const SshTarget *to, int64_t deadline, Ssh **out);
void	 ssh_close(Ssh *s);		/* at once; fine on a session that is dead */
bool	 ssh_alive(Ssh *s);		/* as far as is known without asking */
const char *ssh_via(const Ssh *s);	/* "libssh2", or "ssh: " and why libssh2 could not */

/* One command with its input and output, for as long as it runs.  What it writes to its stderr is kept,
 * 4 KiB of its end, for messages. */
bool	 ssh_command(Ctx *cx, Ssh *s, const char *command, int64_t deadline, SshChannel **out);
bool	 ssh_write(Ctx *cx, SshChannel *c, const void *bytes, size_t n, int64_t deadline);	/* all of it */
bool	 ssh_read(Ctx *cx, SshChannel *c, void *out, size_t cap, size_t *n, int64_t deadline);	/* what is there, at least a byte; 0: its end */
bool	 ssh_end(Ctx *cx, SshChannel *c, int64_t deadline, int *exit_code);	/* no more input, the rest of its output is dropped; its outcome, -1 for a signal (of the program also 255) */
const char *ssh_stderr(const SshChannel *c);	/* NUL-terminated, borrowed */

/* A file from here to there, as our user there: temporary name beside it (".copyhold-" and random letters;
 * one whose session was lost stays), written, synced, renamed (by the host's mv -T).  `path` is absolute.
 * What stands there is replaced.  FAIL_DISK_FULL, FAIL_PERMISSION, FAIL_HOST_STEP leave the session usable,
 * as does FAIL_HOST_STEP of the others: the command did that, not the session. */
bool	 ssh_put(Ctx *cx, Ssh *s, const char *file, const char *path, int mode, int64_t deadline);

/* What a server offers, without logging in (for `host check`): its algorithms by kind, comma-separated;
 * the host key that it showed, "ssh-ed25519 AAAA...", for a person to compare.  */
typedef struct SshOffer { const char *banner, *kex, *host_keys, *ciphers, *macs, *key, *fingerprint; } SshOffer;
bool	 ssh_offer(Ctx *cx, const char *address, int64_t port, int64_t deadline, SshOffer *out);

char	*ssh_fingerprint(Arena *mem, const char *host_key);	/* "SHA256:...", as ssh-keygen -l has it; NULL: malformed */

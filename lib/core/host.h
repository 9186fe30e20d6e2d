/*
 * host.h - our helper on a tenant's machine: what it is asked, once and under the fence.
 *
 * The helper (deployer/helper/, POSIX sh, one file there: ROOT/bin/copyhold-host,
 * root's own) is started over SSH as `serve DUTY`, by sudo where our user is not
 * root, and answers requests until its input ends: no login shell and no new
 * process of ours a step.  A duty is what it may touch: "host", "cluster/NAME"
 * or "tenant/NAME"; names of users, folders and units that are not the duty's
 * it refuses, so a line of sudoers for one duty gives that and nothing else.
 *
 * A request is a verb with words.  What changes something goes by host_act():
 * the helper takes the duty's lock, refuses a lower fence than it has seen
 * (FAIL_FENCED), and keeps the outcome by the step's key: a repeat is answered
 * from there and does nothing again.  The verb goes on to its end when the
 * session is cut; host_stored() waits for that.  Outputs are kept to 64 KiB,
 * with the SHA-256 of all.  Words and outputs are never secrets; those travel
 * in the body, which is not kept.
 */
#pragma once

#include <stdint.h>

#include "lib/adapters/ssh.h"
#include "lib/core/place.h"

typedef struct HostConn HostConn;

typedef struct HostReply {
	int		 code;		/* the verb's exit code */
	const char	*out;		/* NUL-terminated, the first 64 KiB */
	size_t		 out_n;
	const char	*digest;	/* SHA-256 of all of it, hex */
	const char	*err;		/* what it said on its standard error: one line for people, or "" */
} HostReply;

/* A session of the lane's with that duty; opened when first asked for, and anew when it has died. */
bool	 conns_host(Ctx *cx, Conns *c, const char *host, const char *duty, HostConn **out);
bool	 conns_host_fresh(Ctx *cx, Conns *c, const char *host, const char *duty, HostConn **out);	/* over a new connection, for a confirmation */
const Host *host_of(const HostConn *h);

/* words: the verb and its words, NULL-terminated.  False where the host could not be asked; a verb that
 * failed is a reply with a code. */
bool	 host_look(Ctx *cx, HostConn *h, const char *const *words, HostReply *out);
/* The same under the step's fence and key (with the verb's name: a step may act by several).  False, too,
 * when its code is not 0: FAIL_HOST_STEP with the helper's own line, FAIL_DISK_FULL, FAIL_MISSING_RIGHT.
 * body: a file's bytes or NULL. */
bool	 host_act(Ctx *cx, HostConn *h, const StepEnv *env, const char *const *words, const void *body,
	    size_t n, HostReply *out);
/* host_act() of what can cut us off: the host runs `undo` (a verb and its words, which may run twice) by itself
 * unless we confirm over a fresh connection within so many seconds of its end, also when we are dead.  `check` is asked before that, for
 * what an SSH session does not show; NULL: nothing more. */
bool	 host_act_guarded(Ctx *cx, Conns *c, HostConn *h, const StepEnv *env, const char *const *words,
	    const void *body, size_t n, const char *const *undo, int seconds,
	    bool (*check)(Ctx *cx, const StepEnv *env), HostReply *out);
/* What is kept of the step's verb; one that still runs is waited for. */
bool	 host_stored(Ctx *cx, HostConn *h, const StepEnv *env, const char *verb, bool *found, HostReply *out);
bool	 host_forget(Ctx *cx, HostConn *h, const StepEnv *env);	/* an undo: the step's key may act again */
bool	 host_fence_highest(Ctx *cx, HostConn *h, int64_t *out);	/* of the duty; 0: none */
/* A file into ROOT/incoming, named by its SHA-256 there; the verb that takes it checks the digest. */
bool	 host_put(Ctx *cx, HostConn *h, const char *file, const char *digest);

/* deployer has the helper's text; by its digest an older one on a host is known (FAIL_UNPREPARED). */
void	 host_helper_register(const char *digest);
char	*host_helper_path(Arena *mem, const Host *h);		/* ROOT/bin/copyhold-host */
/* The line of sudoers for a duty: "copyhold ALL=(root) NOPASSWD: ROOT/bin/copyhold-host serve tenant/acme". */
char	*host_sudoers(Arena *mem, const Host *h, const char *duty);
/* Its manifest: of those at hand (home->hosts), else as recorded; FAIL_NOT_FOUND with the nearest. */
bool	 host_find(Ctx *cx, Home *home, const char *name, const Host **out);
/* Where and as whom; passphrases resolved, jumps followed. */
bool	 host_target(Ctx *cx, Home *home, const Host *h, SshTarget *out);
/* A script of ours by a shell there, our user's or root's, where no helper can be asked; it says `exit` at
 * its end.  False where it could not be run; it is told by its code. */
bool	 host_script(Ctx *cx, Conns *c, const Host *host, bool as_root, const char *script, HostReply *out);
/* The duties that manifests (NULL: none) and records want on that host: "cluster/acme-pg", "tenant/acme". */
struct Manifests;
bool	 host_duties(Ctx *cx, Home *home, const struct Manifests *m, const char *host, Names *out);
/* The same, and the hosts that are reached over it: "host/h2". */
bool	 host_users(Ctx *cx, Home *home, const struct Manifests *m, const char *host, Names *out);

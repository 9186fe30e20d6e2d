/*
 * ssh_intern.h - what the files of the SSH adapter share.
 *
 *	ssh.c		the interface: checks, choice of the driver, files by a command
 *	ssh_dial.c	addresses, connect, the windows of dials, the greeting
 *	ssh_hello.c	banner, KEXINIT, host keys: the parsers
 *	ssh_identity.c	files of private keys
 *	ssh_agent.c	the agent's protocol, with deadlines
 *	ssh_lib.c	sessions of libssh2; ssh_lib_open.c: how they begin; ssh_lib_put.c: SFTP
 *	ssh_prog.c	the program
 */
#pragma once

#include <sys/types.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/ssh.h"

#define SSH_HEAD	40000	/* bytes of a greeting and a KEXINIT, at most */
#define SSH_TAIL	4096	/* kept of a command's stderr */

typedef struct SshDriver {
	bool	(*command)(Ctx *cx, SshChannel *c, const char *command, int64_t deadline);
	bool	(*write)(Ctx *cx, SshChannel *c, const void *bytes, size_t n, int64_t deadline);
	bool	(*read)(Ctx *cx, SshChannel *c, void *out, size_t cap, size_t *n, int64_t deadline);
	bool	(*end)(Ctx *cx, SshChannel *c, int64_t deadline, int *exit_code);
	void	(*drop)(SshChannel *c);		/* its arena ends: no waiting */
	bool	(*put)(Ctx *cx, Ssh *s, int fd, const char *file, const char *path, int mode, int64_t deadline);
	bool	(*alive)(Ssh *s);
	void	(*close)(Ssh *s);	/* a lane may still wait in a call of it, or of its channels */
} SshDriver;

struct Ssh {
	const SshDriver	*driver;
	void		*own;		/* of the driver */
	Arena		*mem;
	const char	*who;		/* "h1" (127.0.0.1:22), for messages */
	const char	*via;
	SshChannel	*channels;
	bool		 dead;
};

struct SshChannel {
	Ssh		*ssh;		/* NULL: the session is closed */
	const SshDriver	*driver;
	SshChannel	*next;
	void		*own;
	Arena		*mem;
	char		*tail;		/* of stderr; NULL: none yet */
	size_t		 tail_n;
};

/* --- ssh.c ------------------------------------------------------------------------ */

const char	*ssh_who(Arena *mem, const SshTarget *to);
Ssh		*ssh_new(Ctx *cx, const SshTarget *to, const SshDriver *driver, void *own, const char *via);
void		 ssh_keep_tail(SshChannel *c, const char *bytes, size_t n);
bool		 ssh_fail_time(Ctx *cx, const char *who, const char *doing);
bool		 ssh_fail_lost(Ctx *cx, const char *who, const char *doing, const char *cause);
bool		 ssh_fail_unpinned(Ctx *cx, const char *who, const char *shown);
bool		 ssh_fail_changed(Ctx *cx, const char *who, const char *shown, const SshTarget *to);
bool		 ssh_fail_login(Ctx *cx, const SshTarget *to, bool phrase_unsure, const char *cause);
bool		 ssh_put_by_command(Ctx *cx, Ssh *s, int fd, const char *file, const char *path, int mode,
		    int64_t deadline);
bool		 ssh_fail_put(Ctx *cx, const Ssh *s, const char *path, const char *said);	/* by its stderr */
char		*ssh_temp_beside(Arena *mem, const char *path);
/* What stands under a temporary name takes its place, for good. */
char		*ssh_settle_command(Arena *mem, const char *temp, const char *path);
bool		 ssh_run_short(Ctx *cx, Ssh *s, const char *command, int64_t deadline, int *exit_code, char **said);

/* --- ssh_dial.c ------------------------------------------------------------------- */

/* Bytes to and from a host: a socket, or a channel of another session. */
typedef struct SshWire SshWire;
struct SshWire {
	ssize_t		(*recv)(SshWire *w, void *out, size_t cap);	/* 0: its end; -errno */
	ssize_t		(*send)(SshWire *w, const void *bytes, size_t n);
	int		(*wants)(SshWire *w);			/* LANE_READ, LANE_WRITE */
	int		 fd;		/* to wait on; of the outermost session; -1: closed */
	unsigned char	*head;		/* what came first, SSH_HEAD bytes of room; NULL: kept no longer */
	size_t		 head_n, head_given;
};

typedef enum SshGreeting { SSH_GREETED, SSH_GREET_CLOSED, SSH_GREET_FAILED } SshGreeting;

typedef struct SshGate SshGate;
bool		 ssh_gate_enter(Ctx *cx, const SshTarget *to, const char *who, int64_t deadline, SshGate **out);
void		 ssh_gate_leave(SshGate *g);		/* NULL is allowed */
bool		 ssh_connect(Ctx *cx, const SshTarget *to, const char *who, int64_t deadline, int *fd);
void		 ssh_wire_socket(SshWire *w, int fd);	/* fills in recv, send, wants */
ssize_t		 ssh_wire_recv(SshWire *w, void *out, size_t cap);	/* what was kept of the greeting comes first */
/* Until the line "SSH-2.0-...": what is no SSH server, or greets for ever, is refused. */
SshGreeting	 ssh_greet(Ctx *cx, SshWire *w, const char *who, int64_t deadline);
bool		 ssh_again(Ctx *cx, const char *who, int attempt, int64_t deadline);	/* waits a while; false: no time left */

/* --- ssh_hello.c ------------------------------------------------------------------ */

bool		 ssh_hello(Arena *mem, const unsigned char *head, size_t n, SshOffer *out);	/* banner, kex, host_keys, ciphers, macs */
bool		 ssh_list_has(const char *list, const char *name, size_t n);
bool		 ssh_lists_meet(const char *a, const char *b);
bool		 ssh_key_blob(Arena *mem, const char *host_key, Bytes *blob);	/* of "TYPE BASE64", both agreeing */
char		*ssh_key_text(Arena *mem, Bytes blob);	/* the other way; NULL: malformed */
char		*ssh_key_type(Arena *mem, Bytes blob);	/* NULL: malformed */
char		*ssh_blob_fingerprint(Arena *mem, Bytes blob);
bool		 ssh_take_string(Bytes *from, Bytes *out);	/* u32 length and bytes, RFC 4251 */

/* --- ssh_identity.c --------------------------------------------------------------- */

typedef struct SshIdentity {	/* a private key; wiped with its arena */
	Secret		 file;
	const char	*type;		/* "ssh-rsa", ...; NULL: cannot be told without the passphrase */
	bool		 encrypted;
	bool		 seeded;	/* Ed25519, not encrypted: seed and blob are known */
	unsigned char	 seed[ED25519_SEED];
	Bytes		 blob;		/* the public half */
} SshIdentity;

/* Refuses what is no key, what others may read, and what is encrypted while no passphrase is given. */
bool		 ssh_identity(Ctx *cx, const SshTarget *to, SshIdentity **out);

/* --- ssh_agent.c ------------------------------------------------------------------ */

typedef struct SshAgent SshAgent;
typedef struct SshAgentKey { Bytes blob; const char *type; } SshAgentKey;
bool		 ssh_agent_open(Ctx *cx, int64_t deadline, SshAgent **out, SshAgentKey **keys, size_t *n);
bool		 ssh_agent_sign(Ctx *cx, SshAgent *a, Bytes blob, Bytes data, int64_t deadline, Bytes *signature);

/* --- the drivers ------------------------------------------------------------------ */

/* A failure with *why set: the other driver may do better, and *why says what this one lacks. */
bool		 ssh_lib_open(Ctx *cx, const SshTarget *to, int64_t deadline, Ssh **out, const char **why);
bool		 ssh_lib_offer(Ctx *cx, const SshTarget *to, int64_t deadline, SshOffer *out);
bool		 ssh_prog_open(Ctx *cx, const SshTarget *to, int64_t deadline, const char *why, Ssh **out);
bool		 ssh_prog_scan(Ctx *cx, const SshTarget *to, int64_t deadline, const char **key);	/* ssh-keyscan */

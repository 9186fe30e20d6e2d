/*
 * host.h - machines made ready for us, looked at, and left again.
 *
 * Steps of scope "host/NAME": host.prepare, host.leave.  Both are one script
 * (deployer/prepare.sh, leave.sh) in a shell of the machine's root; the same
 * text is what `copyhold host setup-script` prints for an administrator.
 */
#pragma once

#include "lib/core/host.h"
#include "lib/core/manifest.h"

extern const StepKind host_kinds[];

/* What an administrator runs there as root: the helper, its folders, and in sudoers the lines for `duties`. */
char	*host_setup_script(Arena *mem, const Host *h, const Names *duties);
/* The other way: it takes all that away again. */
char	*host_leave_script(Arena *mem, const Host *h);
/* The name of our files outside of the root: in /etc/sudoers.d, among the services that start with the machine.
 * One a root, so that two hosts on one machine have two. */
char	*host_mark(Arena *mem, const Host *h);

typedef struct HostFacts {	/* what deployer/look.sh says; 0 and NULL: it did not say */
	const char	*os, *arch, *kernel, *hostname, *pid1, *mount;
	bool		 there;		/* the root */
	const char	*open;		/* "OWNER RIGHTS FOLDER" of one where others could put a helper of theirs */
	const char	*boot;		/* "runit" "cron" "nobody": who starts our runsvdir with the machine */
	bool		 apt;
	int64_t		 memory_kib, disk_kib, disk_used_kib, disk_free_kib;
	int64_t		 clock_ms, skew_ms, asked_ms;	/* skew: theirs less ours; asked_ms: how long asking took */
	int64_t		 uid;
	Names		 duties;	/* that sudo lets our user start the helper for, where it tells */
	Names		 missing;	/* of the packages that were asked for */
} HostFacts;

bool	 host_facts(Ctx *cx, Conns *conns, const Host *h, const Names *packages, HostFacts *out);

typedef enum Verdict { VERDICT_OK, VERDICT_WRONG, VERDICT_UNKNOWN } Verdict;
typedef struct Finding {
	Verdict		 verdict;
	const char	*what;		/* "clock", "helper"... */
	const char	*text;		/* what was found */
	const char	*fix;		/* a command line, or NULL */
} Finding;
typedef struct HostFindings {
	struct { Finding *at; size_t n, cap; } all;
	Names		 missing;	/* packages */
	bool		 unprepared;	/* the helper is not as it should be */
	bool		 unreachable;
} HostFindings;

/* Everything that keeps us from working there; never false but for our own side. */
bool	 host_check(Ctx *cx, Home *home, const Manifests *m, const Host *h, HostFindings *out);
/* The packages that what is placed there needs. */
bool	 host_packages(Ctx *cx, Home *home, const Manifests *m, const Host *h, Names *out);
/* What mends them, ready for run_start(): host.packages where the manifest allows it, host.prepare. */
bool	 host_fix_steps(Ctx *cx, Home *home, const Host *h, const HostFindings *found, Steps *steps);

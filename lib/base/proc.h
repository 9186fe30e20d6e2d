/*
 * proc.h - run a program: posix_spawn, argv (never a shell), both outputs
 * captured up to a cap, a deadline that kills the whole process group.
 * All descriptors above 2 are closed in the child.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "lib/base/fail.h"

typedef struct ProcSpec {
	const char *const	*argv;		/* NULL-terminated; argv[0] is looked up in PATH */
	const char *const	*env_add;	/* "NAME=value", NULL-terminated, or NULL */
	const char		*input;		/* standard input, or NULL for none */
	size_t			 input_len;
	int64_t			 deadline_ms;	/* span from now; 0: 60 s */
	size_t			 cap;		/* bytes kept of each output; 0: 64 KiB */
} ProcSpec;

typedef struct ProcResult {
	int	 exit_code;	/* -1 if ended by a signal */
	int	 signal;
	bool	 timed_out;
	char	*out, *err;	/* NUL-terminated, capped */
	size_t	 out_len, err_len;
} ProcResult;

bool	 proc_run(Ctx *cx, const ProcSpec *spec, ProcResult *out);	/* false only if it could not be started */

/*
 * A program that we talk with while it runs.  Our ends of its streams do not
 * block; it is killed, with its process group, when its arena is freed.  Of the
 * spec argv and env_add count.
 */
typedef struct Proc Proc;

#define PROC_IN		1	/* its input, ours to write */
#define PROC_OUT	2
#define PROC_ERR	4
#define PROC_END	8

bool	 proc_start(Ctx *cx, const ProcSpec *spec, Proc **out);
int	 proc_ready(Proc *p, int wanted, int64_t deadline);	/* which of the wanted, by lane_wait(); 0 at the deadline */
ssize_t	 proc_read(Proc *p, int which, void *out, size_t cap);	/* 0: its end; -errno */
ssize_t	 proc_write(Proc *p, const void *bytes, size_t n);	/* -errno; -EPIPE: it takes no more */
void	 proc_close(Proc *p, int which);
bool	 proc_ended(Proc *p, int64_t deadline, int *exit_code);	/* false: it still runs; -1 for a signal */
void	 proc_kill(Proc *p);		/* at once; it is waited for */

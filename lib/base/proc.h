/*
 * proc.h - run a program: posix_spawn, argv (never a shell), both outputs
 * captured up to a cap, a deadline that kills the whole process group.
 * All descriptors above 2 are closed in the child.
 */
#pragma once

#include <stdint.h>

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

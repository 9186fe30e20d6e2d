/*
 * fail.h - how a failure travels: `return fail(cx, KIND, hint, what...)`.
 *
 * The deepest caller that knows the cause fills the Fail once and returns
 * false; callers on the way up only add context with fail_in() and return
 * false.  A function that returned false left its outputs untouched.  Text
 * rules: lower case, no final stop, the subject in double quotes; the hint is
 * one or two sentences with stops, or NULL where there is truly nothing to
 * advise.  No secret and no personal value ever goes into any of it.
 *
 * Ctx is what every function of the house takes first: where to allocate and
 * where to report.  A lane (lane.h) has a Ctx of its own, so lanes fail apart.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#include "lib/base/arena.h"

typedef enum FailKind {
	FAIL_NONE = 0,
#define FAIL_KIND(id, name, exit_code, doc) FAIL_##id,
#include "lib/base/fail.def"
#undef FAIL_KIND
	FAIL_KINDS
} FailKind;

/* The process exit codes: one list makes the codes, the manual and the tests. */
typedef enum ExitCode {
#define EXIT_CODE(id, number, doc) EXIT_##id = number,
#include "lib/base/exit.def"
#undef EXIT_CODE
} ExitCode;

typedef struct Place {		/* a position in a manifest; file NULL: none */
	const char	*file;
	int		 line, column;
} Place;

#define FAIL_FRAMES 8

typedef struct Fail {
	FailKind	 kind;
	char		*what;		/* what happened */
	char		*hint;		/* what would help, or NULL */
	char		*cause;		/* "SQLSTATE 42501", "ECONNREFUSED", "HTTP 503", or NULL */
	char		*frames[FAIL_FRAMES];	/* "while ...", innermost first */
	int		 nframes;
	Place		 place;
} Fail;

typedef struct Ctx {
	Arena	*mem;
	Fail	*fail;		/* never NULL; kind FAIL_NONE until something failed */
} Ctx;

Ctx	 ctx_new(Arena *parent);		/* an arena and a Fail of its own */

/* A second fail() before fail_clear() changes nothing: the first cause is the one to tell. */
bool	 fail(Ctx *cx, FailKind kind, const char *hint, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));		/* always false */
bool	 fail_in(Ctx *cx, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));		/* adds "while"; always false */
bool	 fail_at(Ctx *cx, Place place);	/* adds the place if none is known; always false */
bool	 fail_cause(Ctx *cx, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));		/* always false */
bool	 fail_errno(Ctx *cx, int err, const char *hint, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));		/* FAIL_SYSTEM (or FAIL_DISK_FULL, FAIL_PERMISSION by errno), cause = name of err */
void	 fail_clear(Ctx *cx);		/* the failure was dealt with */
void	 fail_copy(Ctx *to, const Ctx *from);	/* strings are copied into to->mem */

const char	*fail_name(FailKind kind);	/* "cluster-unreachable" */
ExitCode	 fail_exit(FailKind kind);
const char	*fail_doc(FailKind kind);
char		*fail_text(Arena *mem, const Fail *f);	/* the "error[kind]: ..." block, ends with a newline */
char		*fail_json(Arena *mem, const Fail *f);	/* one JSON object, no newline */

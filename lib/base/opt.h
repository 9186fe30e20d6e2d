/*
 * opt.h - the command table: one row makes the parser, the help, the shell
 * completion and the manual.
 *
 * `copyhold NOUN VERB [ARG...] [--option[=value]]`; options may stand anywhere
 * after the verb (general ones before the noun too); `--` ends them; unknown
 * words get the nearest one.
 */
#pragma once

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/fail.h"

typedef enum OptType { OPT_END, OPT_FLAG, OPT_TEXT, OPT_INT, OPT_SPAN, OPT_CHOICE, OPT_LIST } OptType;

#define OPT_LIST_MAX 64
typedef struct OptList { const char *at[OPT_LIST_MAX]; int n; } OptList;

typedef struct Option {
	OptType		 type;
	const char	*name;		/* long name without dashes */
	char		 letter;	/* short form, or 0 */
	const char	*value;		/* placeholder in the help: FILE, N; NULL for a flag */
	void		*out;		/* bool *, const char **, int64_t * (OPT_INT; OPT_SPAN in ms: 5s 10m 30d), const char ** (OPT_CHOICE), OptList * */
	const char	*doc;		/* one line */
	const char	*choices;	/* OPT_CHOICE: "text|json|jsonl" */
	bool		 required;
} Option;

typedef struct Arg {		/* a positional argument */
	const char	*name;		/* in the help, upper case: TENANT */
	const char	**out;
	const char	*doc;
	bool		 optional;
} Arg;

typedef enum Access {		/* what a command does to the catalogue */
	ACCESS_NONE,		/* opens no home */
	ACCESS_READS,		/* a handle that cannot write */
	ACCESS_READS_SEALED,	/* the same, and the append-only outbox of events */
	ACCESS_WRITES
} Access;

#define COMMAND_ARGS 4
typedef struct Command {
	const char	*name;		/* "tenant show", or a single word */
	const char	*summary;	/* one line */
	const char	*detail;	/* paragraphs for the manual and `help COMMAND`, or NULL */
	Access		 access;
	Arg		 args[COMMAND_ARGS];	/* ends at name NULL */
	const Option	*options;	/* ends at OPT_END, or NULL */
	ExitCode	(*run)(void *app);	/* app is cli's App */
	bool		 hidden;
} Command;

bool	 opt_parse(Ctx *cx, const Command *const *commands, size_t n, const Option *globals,
	    int argc, char **argv, const Command **found);	/* true with *found NULL: help on a noun or on all is wanted */
bool	 opt_wants_help(void);		/* the last opt_parse met --help or -h */
void	 opt_help(Buf *b, const Command *cmd, const Option *globals);
void	 opt_usage(Buf *b, const Command *const *commands, size_t n);	/* all commands, grouped by noun; only those of the noun after `copyhold NOUN --help` */
void	 opt_complete(Buf *b, const char *shell, const Command *const *commands, size_t n,
	    const Option *globals);	/* the completion script for bash, zsh or fish */
bool	 span_parse(const char *text, int64_t *ms);	/* 250ms 5s 10m 2h 30d; a bare number is refused */

/*
 * app.h - what a command's run function is given, and the list of commands.
 */
#pragma once

#include "lib/base/log.h"
#include "lib/base/opt.h"
#include "lib/base/table.h"
#include "lib/core/catalog.h"
#include "lib/base/clock.h"
#include "lib/core/manifest.h"

typedef struct App {
	Ctx		*cx;
	Home		*home;		/* opened as the command's access says; NULL for ACCESS_NONE */
	const char	*home_dir;
	Output		 output;
	const char	*reason;
	bool		 yes;		/* --yes */
} App;

/* A question before a change: --yes answers it; without a terminal and without --yes it is refused (FAIL_REFUSED). */
bool	 app_confirm(App *app, const char *question, const char *expected);
/* What was done, where that is the whole result: a line, or {"message": ...}. */
void	 app_done(App *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define CATCH_UP_MS 200	/* what a command that wrote may take to publish the logs */
ExitCode app_fail(App *app);	/* prints cx->fail as the output form wants it; gives its exit code */
void	 app_json(App *app, const Js *o);	/* to stdout: --output json is for eyes, jsonl one line */

const Command *const *app_commands(size_t *n);	/* all of them */
const Option *app_globals(void);		/* the options of every command */

/* every command is one row in its cmd_*.c; cli/commands.def lists them: COMMAND(cmd_tenant_list) */
#define COMMAND(row) extern const Command row;
#include "cli/commands.def"
#undef COMMAND

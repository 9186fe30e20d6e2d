/*
 * log.h - progress and notes to stderr: a live line on a terminal, plain lines
 * elsewhere.  NO_COLOR is respected.  Never given secrets, personal values or
 * SQL parameters.
 */
#pragma once

#include <stdbool.h>

typedef enum LogLevel { LOG_QUIET, LOG_NORMAL, LOG_DEBUG } LogLevel;

void	 log_setup(LogLevel level, bool json_lines);	/* once, by main */
void	 log_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* a line that stays */
void	 log_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* only at LOG_DEBUG */
void	 log_live(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* replaces the live line; nothing off a terminal */
void	 log_live_end(void);		/* clears the live line */
void	 log_raw(const char *text);	/* a finished text, such as fail_text() makes, as it is */
bool	 log_is_tty(void);		/* stderr is a terminal */
bool	 log_ask(const char *question, const char *expected);	/* reads a line from the terminal; true if it equals `expected` */
const char *paint(const char *role);	/* ANSI start for "add" "change" "remove" "error" "dim" "bold" "off"; "" without colour */

/*
 * clock.h - time, chance and faults, all of which tests can set.
 *
 * Wall times are milliseconds since 1970 UTC; deadlines are milliseconds of
 * the monotonic clock.  COPYHOLD_NOW=<ms> fixes the wall clock.
 *
 * fault_point() marks a boundary at which a kill must be harmless.
 * COPYHOLD_FAULT=list:FILE appends each boundary's name to FILE;
 * COPYHOLD_FAULT=kill:N raises SIGKILL at the N-th (from 1);
 * COPYHOLD_FAULT=stop:N raises SIGSTOP there (a paused holder);
 * COPYHOLD_FAULT=kill-after:N:MS kills MS milliseconds after the N-th.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

int64_t	 clock_wall_ms(void);
int64_t	 clock_mono_ms(void);
char	*clock_iso(Arena *mem, int64_t wall_ms);	/* 2026-11-21T10:00:00.123Z */
bool	 clock_parse(const char *iso, int64_t *wall_ms);	/* what clock_iso prints (milliseconds may lack), or a date */
char	*clock_human(Arena *mem, int64_t span_ms);	/* "1.2 s", "3 min 4 s", "30 d" */
int64_t	 backoff_ms(int attempt, int64_t base_ms, int64_t cap_ms);	/* exponential with full jitter */

void	 random_bytes(void *out, size_t n);	/* getrandom(2); ends the process if the kernel has none */
char	*random_uuid(Arena *mem);		/* RFC 9562 version 4 */
char	*random_name(Arena *mem, size_t letters);	/* [a-z2-7], 5 bits each; for opaque names */

void	 fault_point(const char *name);

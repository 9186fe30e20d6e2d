/*
 * limits.h - the gateway's limits, as a file has them: a map of YAML, read at
 * the start and again at SIGHUP.
 *
 * What the file does not say stays as it is in *limits.  After a failure
 * (FAIL_MANIFEST with its place) nothing in *limits has changed.
 */
#pragma once

#include "region/gateway/link.h"

bool	 limits_read(Ctx *cx, const char *file, LinkLimits *limits);

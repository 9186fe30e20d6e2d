/*
 * service.h - audit run: publishes what writers append as soon as it sees it,
 * and signs every log anew before its checkpoint is a minute old, so that
 * silence shows.  Stops at SIGTERM.  What fails is said once and tried again.
 */
#pragma once

#include <sys/types.h>

#include "compliance/audit/log.h"

#define SERVICE_BEAT_MS 40000	/* a checkpoint that is so old is signed again */

bool	 service_run(Ctx *cx, Home *home);	/* FAIL_LEASED: one is running already */
bool	 service_running(const Home *home, pid_t *pid);

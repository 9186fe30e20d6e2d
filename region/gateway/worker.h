/*
 * worker.h - a worker of the gateway: the process that clients talk to.
 */
#pragma once

#include "lib/base/fail.h"

bool	 gateway_worker(Ctx *cx);	/* its whole life; descriptors as link.h says */

/*
 * ring.h - whoever changes what gateways serve rings at each of them, once it is
 * committed: one datagram of one byte, which says only "look".  A lost one is
 * made up for by the look that a gateway takes every second.
 */
#pragma once

#include "lib/core/home.h"

#define RING_FOLDER	"run/gateway"	/* of the home: ID.ring, ID.sock */

void	 ring_gateways(void *home);	/* of the catalogue's, see lite_on_write() */

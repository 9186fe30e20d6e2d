/*
 * left.h - the closed database that a tenant has left behind where it was before
 * a switch by copy: recorded, shown, and removed on demand or with the tenant.
 */
#pragma once

#include "lib/core/catalog.h"

bool	 left_on(Ctx *cx, Home *home, const char *tenant, char **cluster);	/* NULL: nothing is left anywhere */
void	 left_keep_step(Arena *mem, const Placement *at, Steps *steps);		/* what is on at->cluster stays when the tenant has gone */
bool	 left_clear_steps(Ctx *cx, Home *home, const Placement *at, Steps *steps);	/* none, if nothing is left */

extern const StepKind left_kinds[];	/* left.keep left.forget */

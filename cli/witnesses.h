/*
 * witnesses.h - how a home's witnesses are shown, by audit witness list and audit status.
 */
#pragma once

#include "cli/app.h"
#include "compliance/audit/witness.h"
#include "lib/adapters/js.h"

void	 witnesses_table(App *app, const WitnessRecords *all);
Js	*witnesses_json(Arena *mem, const WitnessRecords *all);

/*
 * report.h - how plans and runs look: text for people, JSON by
 * manifests/schema/output-v1.json.
 */
#pragma once

#include "cli/app.h"
#include "lib/core/plan.h"

void	 report_plan(App *app, const Plan *plan, bool steps);	/* to stdout */
/* To stdout; plan: what the run was made from, if some of it could not be planned, or NULL. */
void	 report_run(App *app, const RunReport *report, const Plan *plan);

/*
 * shared.h - mode shared: what its files share.
 *
 * A shared database is a placement of its own (LAYOUT_WIDE): roles, database,
 * tables, common views.  Its tenants come in with one transaction: a login's
 * role, a member of one of two groups; no database, no owner, no table.  Their
 * fence and ledger are the shared database's.  Rows of one tenant are moved and
 * removed as the keeper, whom row security lets see them.
 *
 * Inside deployer only.
 */
#pragma once

#include "deployer/roles.h"

/* --- shared_roles.c --------------------------------------------------------------- */

/* Of a shared database, and of one of its tenants; own: relations of its own are on its search_path. */
void	 shared_place_expected(Arena *mem, const Placement *at, const Items *seen, Items *out);
void	 shared_tenant_expected(Arena *mem, const Placement *at, bool own, Items *out);
bool	 shared_place_roles(Ctx *cx, Pg *pg, const Placement *at, Items *out);
bool	 shared_odd_logins(Ctx *cx, Pg *pg, const Placement *at, Names *out);	/* of at->logins; see place.h */
bool	 shared_tenant_roles(Ctx *cx, Pg *pg, const Placement *at, Items *out);

/* --- shared_run.c: steps that make and take roles ------------------------------------ */

extern const StepKind shared_kinds[];

/* --- shared_rows.c: one tenant's rows in the shared tables --------------------------- */

#define SHARED_KEEPER_MS ((int64_t)6 * 3600 * 1000)

/* SET LOCAL ROLE keeper; and back to our own login. */
bool	 shared_as_keeper(Ctx *cx, Pg *pg, const Placement *at);
bool	 shared_rows_act(Ctx *cx, StepEnv *env);	/* removes them all, in batches */

/* --- shared_move.c: from the shared tables into tables of its own --------------------- */

bool	 shared_move_act(Ctx *cx, StepEnv *env);
bool	 shared_move_probe(Ctx *cx, StepEnv *env, Probe *out);
bool	 shared_move_undo(Ctx *cx, StepEnv *env);
bool	 shared_move_record(Ctx *cx, StepEnv *env);
bool	 shared_move_unrecord(Ctx *cx, StepEnv *env);

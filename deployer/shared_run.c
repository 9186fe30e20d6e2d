#include <string.h>

#include "deployer/shared.h"

#include "lib/base/clock.h"

static char *
createrole(Ctx *cx, const StepEnv *env)
{
	return arena_printf(cx->mem, "ALTER ROLE \"%s\" CREATEROLE;", env->cluster->connect.user);
}

/* --- shared.roles, shared.roles.drop: in the cluster's own database -------------------- */

static bool
roles_act(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	There there;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_there(cx, pg, env->at, &there))
		return false;
	roles_shared_text(&b, env->at->shared, &there.roles, pg_version(pg));
	return roles_transact(cx, pg, env, b.text, createrole(cx, env));
}

static char *
roles_gone_text(Arena *mem, const Shared *s)
{
	Buf b = buf_new(mem);

	roles_drop_text(&b, s->writers);
	roles_drop_text(&b, s->readers);
	roles_drop_text(&b, s->keeper);
	roles_drop_text(&b, s->owner);
	return b.text;
}

static bool
roles_undo(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return roles_session(cx, env, &pg) &&
	    roles_untransact(cx, pg, env, roles_gone_text(cx->mem, env->at->shared));
}

/* The last step of a shared database: its rows in the cluster's ledger go, its fence stays. */
static bool
roles_drop_act(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return roles_session(cx, env, &pg) &&
	    roles_transact_last(
		cx, pg, env, roles_gone_text(cx->mem, env->at->shared), createrole(cx, env));
}

/* --- shared.join ------------------------------------------------------------------------ */

static bool
join_own(const StepEnv *env)
{
	return js_get_bool(env->step->args, "own", false);
}

/* What stands there already is met by looking; it is rare. */
static bool
join_slowly(Ctx *cx, StepEnv *env)
{
	const Placement *at = env->at;
	Buf b = buf_new(cx->mem);
	There there;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !roles_there(cx, pg, at, &there))
		return false;
	for (size_t i = 0; i < at->logins.n; i++)
		roles_login_text(&b, at, &at->logins.at[i],
		    names_have(&there.roles, at->logins.at[i].role), join_own(env), pg_version(pg));
	return roles_transact(cx, pg, env, b.text, createrole(cx, env));
}

static bool
join_met(const Pg *pg)
{
	static const char *const met[] = { "23502", "23505", "42710" }; /* fence, row, role */

	for (size_t i = 0; i < LENGTH(met); i++)
		if (pg_failed_with(pg, met[i]))
			return true;
	return false;
}

/* One round trip for a tenant: nothing is asked before, and whatever forbids it ends the transaction. */
static bool
join_act(Ctx *cx, StepEnv *env)
{
	const Placement *at = env->at;
	Buf b = buf_new(cx->mem);
	Pg *pg;

	if (!conns_get(cx, env->conns, at->cluster, at->dbname, &pg))
		return fail_in(cx, "opening shared database \"%s\"", at->shared->name);
	pg_rollback(pg);
	buf_add(&b, "SET ROLE NONE; BEGIN;\n");
	ledger_enter_text(&b, env);
	for (size_t i = 0; i < at->logins.n; i++)
		roles_login_text(&b, at, &at->logins.at[i], false, join_own(env), pg_version(pg));
	buf_add(&b, "COMMIT");
	if (pg_script(cx, pg, b.text)) {
		fault_point("shared.join.acted");
		return true;
	}
	bool met = join_met(pg);

	pg_rollback(pg);
	if (!met)
		return roles_lack(cx, "%s", createrole(cx, env));
	fail_clear(cx);
	return join_slowly(cx, env);
}

/* A killed client's script may still run: raising the fence waits for it, or forbids it. */
static bool
join_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	bool stands;
	Pg *pg;

	if (!roles_session(cx, env, &pg) || !ledger_stands(cx, pg, &stands))
		return false;
	if (stands && (!pg_begin(cx, pg) || !ledger_fence(cx, pg, env) || !pg_commit(cx, pg))) {
		pg_rollback(pg);
		return false;
	}
	return roles_probe(cx, pg, env, out);
}

static bool
join_undo(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	Pg *pg;

	for (size_t i = 0; i < env->at->logins.n; i++)
		roles_drop_text(&b, env->at->logins.at[i].role);
	return roles_session(cx, env, &pg) && roles_untransact(cx, pg, env, b.text);
}

/* --- shared.path: relations of its own come before the common ones, or no longer --------- */

static char *
path_text(Arena *mem, const StepEnv *env, bool own)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < env->at->logins.n; i++)
		roles_path_text(&b, env->at, &env->at->logins.at[i], own);
	return b.text;
}

static bool
path_act(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return roles_session(cx, env, &pg) &&
	    roles_transact(
		cx, pg, env, path_text(cx->mem, env, join_own(env)), createrole(cx, env));
}

static bool
path_undo(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	return roles_session(cx, env, &pg) &&
	    roles_untransact(cx, pg, env, path_text(cx->mem, env, !join_own(env)));
}

/* --- shared.leave -------------------------------------------------------------------------- */

static bool
leave_body(Ctx *cx, Pg *pg, const Placement *at, const There *there)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "DROP SCHEMA IF EXISTS ");
	buf_ident(&b, at->schema);
	buf_add(&b, " CASCADE;\n");
	for (size_t i = 0; i < at->logins.n; i++) {
		const Login *login = &at->logins.at[i];

		if (!names_have(&there->roles, login->role))
			continue;
		if (!roles_drop_owned(cx, pg, at, login))
			return false;
		roles_drop_text(&b, login->role);
	}
	return pg_script(cx, pg, b.text);
}

static bool
leave_transact(Ctx *cx, Pg *pg, const StepEnv *env, const There *there)
{
	Ledger ledger;

	if (pg_begin(cx, pg) && ledger_enter(cx, pg, env, &ledger) &&
	    (ledger == LEDGER_ALREADY || leave_body(cx, pg, env->at, there)) &&
	    ledger_forget(cx, pg, env) && pg_commit(cx, pg)) {
		fault_point("shared.leave.acted");
		return true;
	}
	pg_rollback(pg);
	return roles_lack(cx, "%s", createrole(cx, env));
}

/* The last step of a tenant: its schema, its roles, its rows in the ledger; its fence stays. */
static bool
leave_act(Ctx *cx, StepEnv *env)
{
	There there;
	Pg *pg;

	return roles_session(cx, env, &pg) && roles_there(cx, pg, env->at, &there) &&
	    roles_end_sessions(cx, pg, roles_logins(env)) && leave_transact(cx, pg, env, &there);
}

const StepKind shared_kinds[] = {
	{ .name = "shared.roles",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = roles_act,
	    .probe = roles_row_probe,
	    .undo = roles_undo },
	{ .name = "shared.roles.drop",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = roles_drop_act,
	    .probe = roles_row_probe },
	{ .name = "shared.join",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = join_act,
	    .probe = join_probe,
	    .undo = join_undo },
	{ .name = "shared.path",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = path_act,
	    .probe = roles_row_probe,
	    .undo = path_undo },
	{ .name = "shared.move",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = shared_move_act,
	    .probe = shared_move_probe,
	    .undo = shared_move_undo,
	    .record = shared_move_record,
	    .unrecord = shared_move_unrecord },
	/* What follows removes rows batch by batch: from here there is no way back. */
	{ .name = "shared.release", .undo_class = UNDO_IRREVERSIBLE, .pivot = true },
	/* After a move: what is removed here stands in the tenant's own tables. */
	{ .name = "shared.clear",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = shared_rows_act,
	    .probe = roles_row_probe },
	{ .name = "shared.remove",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .act = shared_rows_act,
	    .probe = roles_row_probe },
	{ .name = "shared.leave",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .act = leave_act,
	    .probe = roles_row_probe },
	{ .name = NULL },
};

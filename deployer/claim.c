#include <string.h>

#include "deployer/roles.h"

#include "deployer/roles.sql.h"
#include "lib/base/clock.h"

static bool
claim_refused(Ctx *cx, Pg *pg)
{
	return fail(cx, FAIL_FOREIGN,
	    "Work from the home that has it, or restore that home here: "
	    "copyhold home restore.",
	    "\"%s\" belongs to another copyhold home", pg_name(pg));
}

static bool
claim_is_ours(Ctx *cx, Pg *pg, const Home *home, bool *ours)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_HOME_READ, &rows, NULL))
		return false;
	*ours = rows.n == 1 && strcmp(pg_text(&rows, 0, 0), home->id) == 0;
	pg_rows_free(&rows);
	return true;
}

bool
home_check(Ctx *cx, Pg *pg, const Home *home)
{
	bool ours;
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_HOME_STANDS, &rows, NULL))
		return false;
	bool stands = pg_bool(&rows, 0, 0);

	pg_rows_free(&rows);
	if (!stands)
		return true;
	return claim_is_ours(cx, pg, home, &ours) && (ours || claim_refused(cx, pg));
}

bool
home_claim(Ctx *cx, Pg *pg, const Home *home)
{
	const char *params[] = { home->id };
	bool ours;

	return pg_do(cx, pg, &SQL_HOME_TABLE, NULL) && pg_do(cx, pg, &SQL_HOME_TAKE, params) &&
	    claim_is_ours(cx, pg, home, &ours) && (ours || claim_refused(cx, pg));
}

bool
cluster_claim_steps(Ctx *cx, const Cluster *cluster, Steps *steps)
{
	steps_add(cx->mem, steps, arena_printf(cx->mem, "cluster/%s", cluster->name),
	    "cluster.claim", NULL, "take cluster %s into this home", cluster->name);
	return true;
}

/* A standby of a server of this home, which takes no writes, is ours already. */
static bool
claim_follows(Ctx *cx, Pg *pg, bool *follows)
{
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_HOME_FOLLOWS, &rows, NULL))
		return false;
	*follows = pg_bool(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

bool
claim_act(Ctx *cx, StepEnv *env)
{
	Ledger ledger;
	bool follows;
	Pg *pg;

	if (!cluster_session(cx, env->conns, env->cluster, &pg) || !home_check(cx, pg, env->home) ||
	    !claim_follows(cx, pg, &follows))
		return false;
	if (follows)
		return true;
	if (!pg_begin(cx, pg))
		return false;
	if (!ledger_schema_create(cx, pg) || !home_claim(cx, pg, env->home) ||
	    !ledger_enter(cx, pg, env, &ledger) || !pg_commit(cx, pg)) {
		pg_rollback(pg);
		return roles_lack(cx, "GRANT CREATE ON DATABASE \"%s\" TO \"%s\";",
		    env->cluster->connect.database, env->cluster->connect.user);
	}
	fault_point("cluster.claim.acted");
	return true;
}

bool
claim_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	Pg *pg;

	return cluster_session(cx, env->conns, env->cluster, &pg) && roles_probe(cx, pg, env, out);
}

/* The schema goes when nothing else was ever written into its ledger. */
static bool
claim_leave(Ctx *cx, Pg *pg, const StepEnv *env)
{
	PgRows rows;

	if (!ledger_remove(cx, pg, env) || !pg_query(cx, pg, &SQL_HOME_LEAVE, &rows, NULL))
		return false;
	bool last = pg_bool(&rows, 0, 0);

	pg_rows_free(&rows);
	return !last || pg_script(cx, pg, "DROP SCHEMA " LEDGER_SCHEMA " CASCADE");
}

bool
claim_undo(Ctx *cx, StepEnv *env)
{
	bool has;
	Pg *pg;

	if (!cluster_session(cx, env->conns, env->cluster, &pg) || !ledger_has(cx, pg, env, &has))
		return false;
	if (!has)
		return true;
	if (pg_begin(cx, pg) && claim_leave(cx, pg, env) && pg_commit(cx, pg)) {
		fault_point("cluster.claim.undone");
		return true;
	}
	pg_rollback(pg);
	return false;
}

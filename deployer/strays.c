/*
 * A server that crashes in the middle of CREATE DATABASE leaves a folder under
 * base/ that no catalogue row names: only a look at the folder finds it.
 */
#include "deployer/items.h"
#include "deployer/roles.h"
#include "deployer/strays.sql.h"

bool
cluster_strays(Ctx *cx, Conns *conns, const Cluster *cluster, Names *out)
{
	PgRows rows;
	Pg *pg;

	if (!cluster_session(cx, conns, cluster, &pg) ||
	    !pg_query(cx, pg, &SQL_STRAYS_READABLE, &rows, NULL))
		return false;
	if (!pg_bool(&rows, 0, 0))
		return fail(cx, FAIL_MISSING_RIGHT,
		    arena_printf(cx->mem,
			"GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO \"%s\"; or run the setup "
			"script again.",
			cluster->connect.user),
		    "login \"%s\" on \"%s\" may not list the data folder", cluster->connect.user,
		    cluster->name);
	if (!pg_query(cx, pg, &SQL_STRAYS, &rows, NULL))
		return false;
	for (int i = 0; i < rows.n; i++)
		vec_push(cx->mem, out, arena_dup(cx->mem, pg_value(&rows, i, 0)));
	return true;
}

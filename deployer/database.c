#include <string.h>

#include "deployer/roles.h"

#include "lib/base/clock.h"

/*
 * CREATE and DROP DATABASE run in no transaction and go on in the server when
 * their client is dead.  Who makes, drops or looks therefore holds the step's
 * session lock, which outlives the client as long as its statement does.
 */

static bool
database_taken(Ctx *cx, const StepEnv *env, const There *there)
{
	return fail(cx, FAIL_EXISTS, "Drop or rename it there, if it is nobody's.",
	    "a database \"%s\" owned by \"%s\" is on \"%s\" already", env->at->dbname, there->owner,
	    env->cluster->name);
}

static char *
database_statement(Arena *mem, const char *verb, const char *dbname, const char *rest)
{
	Buf b = buf_new(mem);

	buf_add(&b, verb);
	buf_ident(&b, dbname);
	buf_add(&b, rest);
	return b.text;
}

static bool
database_run(Ctx *cx, Pg *pg, const char *text)
{
	pg_set_statement_ms(pg, ROLES_DATABASE_MS);
	bool done = pg_script(cx, pg, text);

	pg_set_statement_ms(pg, 60000);
	return done;
}

static bool
database_make(Ctx *cx, Pg *pg, const Placement *at)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, " TEMPLATE " SETUP_TEMPLATE " OWNER ");
	buf_ident(&b, at->owner);
	buf_add(&b, " ALLOW_CONNECTIONS false");
	return database_run(
		   cx, pg, database_statement(cx->mem, "CREATE DATABASE ", at->dbname, b.text)) ||
	    roles_lack(cx, "ALTER ROLE \"%s\" CREATEDB;", at->cluster->connect.user);
}

/* PUBLIC loses its rights before the first connection is allowed. */
static bool
database_finish(Ctx *cx, Pg *pg, const StepEnv *env)
{
	const Placement *at = env->at;
	Buf b = buf_new(cx->mem);

	roles_database_text(&b, "REVOKE", "ALL", at->dbname, "FROM", "PUBLIC");
	if (at->shared) {
		roles_database_text(&b, "GRANT", "CONNECT", at->dbname, "TO", at->shared->writers);
		roles_database_text(&b, "GRANT", "CONNECT", at->dbname, "TO", at->shared->readers);
		roles_defaults_text(&b, at->dbname);
	}
	for (size_t i = 0; !at->shut && i < at->logins.n; i++)
		roles_database_text(
		    &b, "GRANT", "CONNECT", at->dbname, "TO", at->logins.at[i].role);
	buf_add(&b,
	    database_statement(
		cx->mem, "ALTER DATABASE ", at->dbname, " ALLOW_CONNECTIONS true;\n"));
	return roles_transact(cx, pg, env, b.text, NULL);
}

static bool
database_fenced(Ctx *cx, Pg *pg, const StepEnv *env)
{
	if (pg_begin(cx, pg) && ledger_fence(cx, pg, env) && pg_commit(cx, pg))
		return true;
	pg_rollback(pg);
	return false;
}

static bool
database_drop(Ctx *cx, Pg *pg, const char *dbname)
{
	return database_run(cx, pg,
	    database_statement(cx->mem, "DROP DATABASE IF EXISTS ", dbname, " WITH (FORCE)"));
}

static bool
database_create_locked(Ctx *cx, Pg *pg, StepEnv *env)
{
	There there;

	if (!database_fenced(cx, pg, env) || !roles_there(cx, pg, env->at, &there))
		return false;
	if (there.database && strcmp(there.owner, env->at->owner) != 0)
		return database_taken(cx, env, &there);
	if (there.broken && !database_drop(cx, pg, env->at->dbname))
		return false;
	if (there.database && !there.broken)
		return database_finish(cx, pg, env);
	fault_point("database.create.sending");
	if (!database_make(cx, pg, env->at))
		return false;
	fault_point("database.create.sent");
	return database_finish(cx, pg, env);
}

static bool
database_session(Ctx *cx, const StepEnv *env, Pg **pg)
{
	return cluster_session(cx, env->conns, env->cluster, pg) &&
	    ledger_lock(cx, *pg, env, ROLES_LOCK_MS);
}

bool
database_create_act(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	if (!database_session(cx, env, &pg))
		return false;
	bool done = database_create_locked(cx, pg, env);

	ledger_unlock(pg, env);
	return done;
}

/* What stands half made is finished here: only then is "done" true, and an undo finds it. */
static bool
database_look(Ctx *cx, Pg *pg, const StepEnv *env, Probe *out)
{
	There there;

	if (!roles_there(cx, pg, env->at, &there))
		return false;
	bool ours = there.database && !there.broken && strcmp(there.owner, env->at->owner) == 0;

	if (ours && !database_finish(cx, pg, env))
		return false;
	*out = ours ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

bool
database_create_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	Pg *pg;

	if (!database_session(cx, env, &pg))
		return false;
	bool done = database_look(cx, pg, env, out);

	ledger_unlock(pg, env);
	return done;
}

static bool
database_close(Ctx *cx, Pg *pg, const char *dbname)
{
	return pg_script(cx, pg,
	    database_statement(cx->mem, "ALTER DATABASE ", dbname, " ALLOW_CONNECTIONS false"));
}

/* Only a database of the tenant's own owner is ever dropped. */
static bool
database_drop_locked(Ctx *cx, Pg *pg, StepEnv *env)
{
	const Placement *at = env->at;
	There there;

	if (!database_fenced(cx, pg, env) || !roles_there(cx, pg, at, &there))
		return false;
	if (!there.database)
		return true;
	if (strcmp(there.owner, at->owner) != 0)
		return database_taken(cx, env, &there);
	conns_drop(env->conns, env->cluster, at->dbname);
	if (!there.broken && !database_close(cx, pg, at->dbname))
		return false;
	if (!database_drop(cx, pg, at->dbname))
		return false;
	fault_point("database.drop.sent");
	return true;
}

bool
database_create_undo(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	if (!database_session(cx, env, &pg))
		return false;
	bool done = database_drop_locked(cx, pg, env) && roles_untransact(cx, pg, env, "");

	ledger_unlock(pg, env);
	return done;
}

bool
database_drop_act(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	if (!database_session(cx, env, &pg))
		return false;
	bool done = database_drop_locked(cx, pg, env) && roles_transact(cx, pg, env, "", NULL);

	ledger_unlock(pg, env);
	return done;
}

bool
database_drop_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	There there;
	Pg *pg;

	if (!database_session(cx, env, &pg))
		return false;
	bool seen = roles_there(cx, pg, env->at, &there);

	ledger_unlock(pg, env);
	if (seen)
		*out = there.database ? PROBE_NOT_DONE : PROBE_DONE;
	return seen;
}

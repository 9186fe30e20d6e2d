#include "deployer/load.h"

#include <string.h>

#include "deployer/roles.h"
#include "deployer/shape.h"

#include "deployer/load_hold.sql.h"

#define LOCK_MS 2000 /* an autovacuum gives way after a second */

/*
 * Every index of a shared table begins with the tenant's id.  Of a table that the server takes for
 * next to empty none is better than another, and each check of a reference may walk through all of
 * the tenant's rows.  The server comes to think so where rows that were removed still fill pages,
 * and where autovacuum counts before our rows are committed: the former are swept first, the latter
 * is kept off by the lock that it would take itself; readers and writers pass it.
 */
static bool
read_tables(Load *l)
{
	const Placement *at = l->at;
	const char *schema = at->layout == LAYOUT_VIEWS ? SCHEMA_WIDE : at->schema;
	Names names = { 0 };
	PgRows rows;

	for (size_t i = 0; i < l->report->objects.n; i++)
		vec_push(l->cx->mem, &names, l->report->objects.at[i].match->object->name);
	const char *params[] = { schema, roles_array(l->cx->mem, &names) };
	if (!pg_query(l->cx, l->ours, &SQL_LOAD_TABLES, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++) {
		LoadTable t = { .object = arena_dup(l->cx->mem, pg_text(&rows, i, 0)),
			.rows = pg_int(&rows, i, 1),
			.hollow = pg_bool(&rows, i, 2) };
		Buf name = buf_new(l->cx->mem);
		buf_ident(&name, schema);
		buf_addc(&name, '.');
		buf_ident(&name, t.object);
		t.name = name.text;
		vec_push(l->cx->mem, &l->tables, t);
	}
	pg_rows_free(&rows);
	return true;
}

/* The connection is the same; VACUUM wants to be by itself. */
static bool
sweep(Load *l)
{
	bool good = owner_session(l->cx, l->env.conns, l->at, &l->ours);

	for (size_t i = 0; good && i < l->tables.n; i++)
		if (l->tables.at[i].hollow)
			good = pg_script(l->cx, l->ours,
			    arena_printf(
				l->cx->mem, "VACUUM (SKIP_LOCKED) %s", l->tables.at[i].name));
	return good && place_session(l->cx, l->env.conns, l->at, &l->ours);
}

static bool
as_owner(Load *l)
{
	Buf b = buf_new(l->cx->mem);

	buf_add(&b, "SET LOCAL ROLE ");
	buf_ident(&b, l->at->owner);
	return pg_script(l->cx, l->ours, b.text);
}

static bool
hold_tables(Load *l)
{
	Ctx own = ctx_new(l->cx->mem);
	Buf b = buf_new(own.mem);

	if (l->tables.n == 0)
		return true;
	buf_fmt(&b, "SAVEPOINT tables; SET LOCAL lock_timeout = %d; LOCK TABLE ", LOCK_MS);
	for (size_t i = 0; i < l->tables.n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", l->tables.at[i].name);
	buf_add(&b, " IN SHARE UPDATE EXCLUSIVE MODE");
	bool held = pg_script(&own, l->ours, b.text);
	bool busy = !held && shape_lock_missed(l->ours);

	if (!held && !busy)
		fail_copy(l->cx, &own);
	arena_free(own.mem);
	if (busy) /* another load, or a change of the model: they keep autovacuum off too */
		return pg_script(l->cx, l->ours, "ROLLBACK TO SAVEPOINT tables");
	return held;
}

bool
load_hold(Load *l)
{
	Ledger entered;

	if (!place_session(l->cx, l->env.conns, l->at, &l->ours))
		return false;
	pg_set_statement_ms(l->ours, SHAPE_LONG_MS);
	if (!read_tables(l) || !sweep(l) || !pg_begin(l->cx, l->ours))
		return false;
	return ledger_enter(l->cx, l->ours, &l->env, &entered) && as_owner(l) && hold_tables(l);
}

static int64_t
loaded_rows(const Load *l, const char *object)
{
	for (size_t i = 0; i < l->report->objects.n; i++)
		if (strcmp(l->report->objects.at[i].match->object->name, object) == 0)
			return l->report->objects.at[i].rows;
	return 0;
}

/* What autovacuum would do a minute later: of tables that have grown by more than a tenth. */
static bool
analyze(Ctx *cx, Load *l)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < l->tables.n; i++) {
		const LoadTable *t = &l->tables.at[i];
		if (loaded_rows(l, t->object) > t->rows / 10)
			buf_fmt(&b, "%s%s", b.len == 0 ? "ANALYZE (SKIP_LOCKED) " : ", ", t->name);
	}
	return b.len == 0 || pg_script(cx, l->ours, b.text);
}

/* The rows are there, whatever becomes of this. */
void
load_hold_end(Load *l, bool loaded)
{
	Ctx own = ctx_new(l->cx->mem);

	if (loaded && analyze(&own, l))
		pg_commit(&own, l->ours);
	pg_rollback(l->ours);
	arena_free(own.mem);
}

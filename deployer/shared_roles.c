#include <string.h>

#include "deployer/shared.h"

#include "deployer/shared.sql.h"

/* --- what should stand there ------------------------------------------------------ */

static void
expect_setting(Arena *mem, const Placement *at, const char *role, const char *name,
    const char *value, Items *out)
{
	items_add(
	    mem, out, ITEM_SETTING, role, arena_printf(mem, "%s@%s", name, at->dbname), value);
}

static const char *
login_attributes(Arena *mem)
{
	return arena_printf(mem, "inherit, connections %d", ROLE_CONNECTIONS);
}

/* Of a tenant's login only what is odd is seen, whoever it is of. */
static void
expect_odd_logins(Arena *mem, const Items *seen, Items *out)
{
	for (size_t i = 0; seen && i < seen->n; i++)
		if (seen->at[i].kind == ITEM_ROLE && strncmp(seen->at[i].object, "t_", 2) == 0)
			items_add(
			    mem, out, ITEM_ROLE, seen->at[i].object, "", login_attributes(mem));
}

void
shared_place_expected(Arena *mem, const Placement *at, const Items *seen, Items *out)
{
	const Shared *s = at->shared;
	const char *us = at->cluster->connect.user;

	items_add(mem, out, ITEM_ROLE, s->owner, "", "nologin");
	items_add(mem, out, ITEM_ROLE, s->keeper, "", "nologin");
	items_add(mem, out, ITEM_ROLE, s->writers, "", "nologin");
	items_add(mem, out, ITEM_ROLE, s->readers, "", "nologin");
	items_add(mem, out, ITEM_MEMBER, s->owner, us, "");
	items_add(mem, out, ITEM_MEMBER, s->keeper, us, "");
	items_add(mem, out, ITEM_DATABASE, s->dbname, "", arena_printf(mem, "owner %s", s->owner));
	items_add(mem, out, ITEM_DATABASE_GRANT, s->dbname, s->owner, "CONNECT, CREATE, TEMPORARY");
	items_add(mem, out, ITEM_DATABASE_GRANT, s->dbname, s->writers, "CONNECT");
	items_add(mem, out, ITEM_DATABASE_GRANT, s->dbname, s->readers, "CONNECT");
	for (size_t i = 0; i < ROLE_SETTINGS_ALL; i++)
		expect_setting(mem, at, "", roles_defaults[i].name, roles_defaults[i].value, out);
	expect_odd_logins(mem, seen, out);
	items_sort(out);
}

static void
expect_login(Arena *mem, const Placement *at, const Login *login, bool own, Items *out)
{
	items_add(mem, out, ITEM_ROLE, login->role, "",
	    arena_printf(mem, "%s, %s", login->on ? "login" : "nologin", login_attributes(mem)));
	items_add(mem, out, ITEM_MEMBER, roles_group(at, login), login->role, "");
	if (own)
		expect_setting(mem, at, login->role, "search_path", roles_path(mem, at), out);
	if (login->read_only)
		expect_setting(mem, at, login->role, "default_transaction_read_only", "on", out);
}

void
shared_tenant_expected(Arena *mem, const Placement *at, bool own, Items *out)
{
	for (size_t i = 0; i < at->logins.n; i++)
		expect_login(mem, at, &at->logins.at[i], own, out);
	items_sort(out);
}

/* --- what stands there --------------------------------------------------------------- */

static bool
read_items(
    Ctx *cx, Pg *pg, const Sql *sql, const char *const *params, const Placement *at, Items *out)
{
	PgRows rows;

	if (!pg_query(cx, pg, sql, &rows, params))
		return fail_in(cx, "looking at the roles of \"%s\"", at->tenant);
	for (int i = 0; i < rows.n; i++)
		items_add(cx->mem, out, roles_item_kind(pg_text(&rows, i, 0)),
		    arena_dup(cx->mem, pg_text(&rows, i, 1)),
		    arena_dup(cx->mem, pg_text(&rows, i, 2)),
		    arena_dup(cx->mem, pg_text(&rows, i, 3)));
	pg_rows_free(&rows);
	return true;
}

/* In the order of bytes the names that begin with "t_<id>_" end before "t_<id>`". */
bool
shared_tenant_roles(Ctx *cx, Pg *pg, const Placement *at, Items *out)
{
	const char *params[] = { arena_printf(cx->mem, "t_%s_", at->id),
		arena_printf(cx->mem, "t_%s`", at->id) };

	return read_items(cx, pg, &SQL_SHARED_TENANT_ROLES, params, at, out);
}

bool
shared_place_roles(Ctx *cx, Pg *pg, const Placement *at, Items *out)
{
	const Shared *s = at->shared;
	const char *all[] = { s->owner, s->keeper, s->writers, s->readers };
	const char *params[] = {
		roles_array(cx->mem, &(Names){ all, LENGTH(all), LENGTH(all) }),
		s->dbname,
		arena_printf(cx->mem, "s_%s_", s->id),
		arena_printf(cx->mem, "s_%s`", s->id),
		roles_array(cx->mem, &(Names){ all + 2, 2, 2 }),
		login_attributes(cx->mem),
		pg_version(pg) >= 160000 ? "SET" : "MEMBER",
	};

	return read_items(cx, pg, &SQL_SHARED_PLACE_ROLES, params, at, out);
}

bool
shared_odd_logins(Ctx *cx, Pg *pg, const Placement *at, Names *out)
{
	Names roles = { 0 }, may = { 0 }, groups = { 0 };
	PgRows rows;

	for (size_t i = 0; i < at->logins.n; i++) {
		const Login *login = &at->logins.at[i];
		vec_push(cx->mem, &roles, login->role);
		vec_push(cx->mem, &may, login->on ? "true" : "false");
		vec_push(cx->mem, &groups, roles_group(at, login));
	}
	const char *params[] = { roles_array(cx->mem, &roles), roles_array(cx->mem, &may),
		roles_array(cx->mem, &groups), at->shared->writers, at->shared->readers };
	if (!pg_query(cx, pg, &SQL_SHARED_ODD_LOGINS, &rows, params))
		return fail_in(
		    cx, "looking at the logins of shared database \"%s\"", at->shared->name);
	for (int i = 0; i < rows.n; i++)
		vec_push(cx->mem, out, arena_dup(cx->mem, pg_text(&rows, i, 0)));
	pg_rows_free(&rows);
	return true;
}

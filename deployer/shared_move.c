/*
 * A tenant of the shared tables turns to tables of its own: made as its model
 * was applied last, filled by the keeper, then given their references, all in
 * one transaction while nobody is logged in.  The rows in the shared tables
 * stay until a later step clears them, so that a move can be taken back.
 */
#include <string.h>

#include "deployer/shape.h"
#include "deployer/shared.h"

#include "lib/base/clock.h"
#include "lib/core/catalog.h"
#include "lib/core/wide.h"

static bool
move_model(Ctx *cx, const StepEnv *env, Model **out)
{
	const char *shape = js_get_text(env->step->args, "shape");

	return (shape && catalog_shape(cx, env->home, shape, out)) ||
	    fail_in(cx, "reading the model of \"%s\"", env->at->tenant);
}

static Placement
own_place(const Placement *at)
{
	Placement own = *at;

	own.layout = LAYOUT_PLAIN;
	return own;
}

/* References come after the rows: the order of the objects does not matter then. */
static bool
move_items(Ctx *cx, const Placement *own, const Model *m, Items *tables, Items *references)
{
	Rules rules = { 0 };

	if (!shape_rules(cx, own, m, &rules))
		return false;
	for (size_t i = 0; i < rules.n; i++) {
		Items *to = rules.at[i].sort == RULE_REFERENCE ? references : tables;

		vec_push(cx->mem, to, rules.at[i].item);
	}
	return true;
}

static void
role_text(Buf *b, const char *role)
{
	buf_add(b, "SET LOCAL ROLE ");
	buf_ident(b, role);
	buf_add(b, ";\n");
}

/* For as long as the transaction takes. */
static void
keeper_text(Buf *b, const Placement *at, bool grant)
{
	static const char *const rights[] = { "USAGE ON SCHEMA ",
		"INSERT ON ALL TABLES IN SCHEMA " };

	for (size_t i = 0; i < LENGTH(rights); i++) {
		buf_fmt(b, "%s %s", grant ? "GRANT" : "REVOKE", rights[i]);
		buf_ident(b, at->schema);
		buf_add(b, grant ? " TO " : " FROM ");
		buf_ident(b, at->shared->keeper);
		buf_add(b, ";\n");
	}
}

static void
copy_text(Buf *b, const Placement *at, const Object *o)
{
	Buf columns = buf_new(b->mem);

	buf_add(b, "INSERT INTO ");
	shape_ddl_table(b, at->schema, o->name);
	buf_add(b, " (");
	for (size_t i = 0; i < o->fields.n; i++) {
		const char *field = o->fields.at[i].name;
		const Slot *slot = wide_slot(&at->slots, o->name, field);

		buf_add(b, i ? ", " : "");
		buf_ident(b, field);
		buf_add(&columns, i ? ", " : "");
		buf_ident(&columns, slot ? slot->column : field);
	}
	buf_fmt(b, ") SELECT %s FROM ", columns.text);
	shape_ddl_table(b, SCHEMA_WIDE, o->name);
	buf_add(b, " WHERE \"" WIDE_TENANT "\" = ");
	buf_literal(b, at->id);
	buf_add(b, ";\n");
}

/* A setting's list is stored as it is quoted just then. */
static void
path_text(Buf *b, const Placement *at, bool own)
{
	buf_add(b, "SET LOCAL quote_all_identifiers = off;\n");
	for (size_t i = 0; i < at->logins.n; i++)
		roles_path_text(b, at, &at->logins.at[i], own);
}

static bool
move_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	const Placement own = own_place(env->at);
	Items tables = { 0 }, references = { 0 };
	Buf b = buf_new(cx->mem);
	Model *m;

	if (!move_model(cx, env, &m) || !move_items(cx, &own, m, &tables, &references))
		return false;
	shape_ddl_create(&b, own.schema, &tables);
	keeper_text(&b, &own, true);
	role_text(&b, own.shared->keeper);
	for (size_t i = 0; i < m->objects.n; i++)
		copy_text(&b, &own, &m->objects.at[i]);
	role_text(&b, own.owner);
	keeper_text(&b, &own, false);
	shape_ddl_create(&b, own.schema, &references);
	buf_add(&b, "SET LOCAL ROLE NONE;\n");
	path_text(&b, &own, true);
	return pg_script(cx, pg, b.text);
}

static bool
move_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_transaction(cx, env, pg, move_body, false);
}

bool
shared_move_act(Ctx *cx, StepEnv *env)
{
	if (!shape_locked(cx, env, move_locked))
		return fail_in(cx, "moving \"%s\" into tables of its own", env->at->tenant);
	fault_point("shared.move.acted");
	return true;
}

bool
shared_move_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return shape_row_probe(cx, env, out);
}

/* Nobody was logged in since: the shared tables still have every row. */
static bool
unmove_body(Ctx *cx, StepEnv *env, Pg *pg)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "DROP SCHEMA IF EXISTS ");
	buf_ident(&b, env->at->schema);
	buf_add(&b, " CASCADE; SET LOCAL ROLE NONE;\n");
	path_text(&b, env->at, false);
	return pg_script(cx, pg, b.text);
}

static bool
unmove_locked(Ctx *cx, StepEnv *env, Pg *pg)
{
	return shape_undo_in(cx, env, pg, unmove_body);
}

bool
shared_move_undo(Ctx *cx, StepEnv *env)
{
	return shape_locked(cx, env, unmove_locked);
}

/* --- the catalogue: what follows in the run works on its own tables ------------------- */

static bool
record(Ctx *cx, StepEnv *env, Layout layout, bool own_views)
{
	TenantRecord t;

	if (!catalog_tenant(cx, env->home, env->at->tenant, &t))
		return false;
	t.layout = layout;
	t.own_views = own_views;
	return catalog_tenant_put(cx, env->home, &t);
}

bool
shared_move_record(Ctx *cx, StepEnv *env)
{
	return record(cx, env, LAYOUT_PLAIN, false);
}

bool
shared_move_unrecord(Ctx *cx, StepEnv *env)
{
	return record(cx, env, LAYOUT_VIEWS, js_get_bool(env->step->args, "own", false));
}

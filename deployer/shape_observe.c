#include "deployer/shape.h"

#include <string.h>

#include "deployer/shape.sql.h"

#define JSON_CAST "::\"jsonb\""

bool
ledger_schema_create(Ctx *cx, Pg *pg)
{
	return pg_script(cx, pg,
	    arena_printf(cx->mem, "%s; %s; %s", SQL_SHAPE_LEDGER_SCHEMA.text,
		SQL_SHAPE_LEDGER_FENCE.text, SQL_SHAPE_LEDGER_APPLIED.text));
}

bool
shape_settings(Ctx *cx, Pg *pg)
{
	return pg_script(cx, pg,
	    "SET LOCAL search_path = ''; SET LOCAL quote_all_identifiers = on; "
	    "SET LOCAL standard_conforming_strings = on; SET LOCAL TimeZone = 'UTC'; "
	    "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL bytea_output = 'hex'; SET LOCAL jit = off");
}

/* The server spaces JSON in its own way: its canonical text is ours. */
const char *
shape_json_default(Ctx *cx, const char *def)
{
	size_t n = strlen(def), cast = strlen(JSON_CAST);
	const Field json = { .type = TYPE_JSON };
	Buf text = buf_new(cx->mem), out = buf_new(cx->mem);
	Ctx own = ctx_new(cx->mem);
	const char *value;

	if (n < cast + 2 || def[0] != '\'' || strcmp(def + n - cast, JSON_CAST) != 0)
		return def;
	for (size_t i = 1; i + cast + 1 < n; i++) {
		buf_addc(&text, def[i]);
		if (def[i] == '\'')
			i++;
	}
	if (!model_default(&own, &json, text.text, &value))
		return def;
	buf_addc(&out, '\'');
	for (const char *p = value; *p != '\0'; p++) {
		buf_addc(&out, *p);
		if (*p == '\'')
			buf_addc(&out, '\'');
	}
	buf_add(&out, "'" JSON_CAST);
	return out.text;
}

static const char *
part_of(const Placement *at)
{
	return shape_is_wide(at) ? "wide" : shape_is_part(at) ? "part" : "whole";
}

static bool
read_items(Ctx *cx, Pg *pg, const Placement *at, Items *out)
{
	const char *params[] = { at->schema, part_of(at) };
	PgRows rows;

	if (!pg_query(cx, pg, &SQL_SHAPE_ITEMS, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++) {
		ItemKind kind = item_kind_of(pg_text(&rows, i, 0));
		const char *def = arena_dup(cx->mem, pg_text(&rows, i, 3));

		items_add(cx->mem, out, kind, arena_dup(cx->mem, pg_text(&rows, i, 1)),
		    arena_dup(cx->mem, pg_text(&rows, i, 2)),
		    kind == ITEM_DEFAULT ? shape_json_default(cx, def) : def);
	}
	pg_rows_free(&rows);
	return true;
}

bool
shape_role(Ctx *cx, Pg *pg, const char *role)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "SET ROLE ");
	if (role == NULL)
		buf_add(&b, "NONE");
	else
		buf_ident(&b, role);
	return pg_script(cx, pg, b.text);
}

bool
shape_as_us(
    Ctx *cx, Pg *pg, const Placement *at, const Sql *sql, PgRows *rows, const char *const *params)
{
	return shape_role(cx, pg, NULL) && pg_query(cx, pg, sql, rows, params) &&
	    shape_role(cx, pg, at->owner);
}

static bool
kept(const Placement *at)
{
	return at->shared != NULL && at->layout != LAYOUT_PLAIN;
}

bool
shape_rows_begin(Ctx *cx, Pg *pg, const Placement *at)
{
	return !kept(at) || shape_role(cx, pg, at->shared->keeper);
}

bool
shape_rows_end(Ctx *cx, Pg *pg, const Placement *at)
{
	return !kept(at) || shape_role(cx, pg, at->owner);
}

bool
shape_strange(Ctx *cx, Pg *pg, const Placement *at, bool owner, Stranges *out)
{
	const char *params[] = { at->owner, at->schema, part_of(at) };
	PgRows rows;

	if (owner ? !shape_as_us(cx, pg, at, &SQL_SHAPE_STRANGE, &rows, params)
		  : !pg_query(cx, pg, &SQL_SHAPE_STRANGE, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++) {
		Strange s = { arena_dup(cx->mem, pg_text(&rows, i, 0)),
			arena_dup(cx->mem, pg_text(&rows, i, 1)),
			arena_dup(cx->mem, pg_text(&rows, i, 2)),
			arena_dup(cx->mem, pg_value(&rows, i, 3)) };

		vec_push(cx->mem, out, s);
	}
	pg_rows_free(&rows);
	return true;
}

static bool
observe(Ctx *cx, Pg *pg, const Placement *at, Items *out)
{
	Stranges strange = { 0 };

	if (!pg_script(cx, pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") ||
	    !shape_settings(cx, pg) || !read_items(cx, pg, at, out) ||
	    !shape_strange(cx, pg, at, false, &strange) || !pg_commit(cx, pg))
		return false;
	for (size_t i = 0; i < strange.n; i++)
		items_add(cx->mem, out, ITEM_STRANGE, strange.at[i].object, strange.at[i].name,
		    strange.at[i].def);
	items_sort(out);
	return true;
}

bool
shape_observe(Ctx *cx, Pg *pg, const Placement *at, Items *out)
{
	if (observe(cx, pg, at, out))
		return true;
	pg_rollback(pg);
	return fail_in(cx, "looking at database \"%s\"", at->dbname);
}

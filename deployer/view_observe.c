#include "deployer/view.h"

#include <string.h>

#include "deployer/view.sql.h"

/* One line, as far as people read it. */
static const char *
squeezed(Arena *mem, const char *text)
{
	Buf b = buf_new(mem);

	for (const char *p = text + strspn(text, " \n\t"); *p != '\0'; p++)
		if (strchr(" \n\t", *p) == NULL)
			buf_addc(&b, *p);
		else if (p[1] != '\0' && strchr(" \n\t", p[1]) == NULL)
			buf_addc(&b, ' ');
	return b.text;
}

static void
read_view(Arena *mem, const PgRows *rows, int row, Standing *s)
{
	const char *text = pg_text(rows, row, 4), *extra = pg_text(rows, row, 6);

	s->owner = arena_dup(mem, pg_text(rows, row, 5));
	s->odd = !view_parse(mem, text, &s->view) || *extra != '\0';
	s->def = s->view.table != NULL
	    ? view_def(mem, s->owner, &s->view)
	    : arena_printf(mem, "owner %s, %s", s->owner, squeezed(mem, text));
	if (*extra != '\0')
		s->def = arena_printf(mem, "%s; %s", s->def, extra);
}

static void
read_rest(Ctx *cx, Standing *s, ItemKind kind, const char *name, const char *def)
{
	const char *label = view_label(cx->mem, &s->view);

	if (kind == ITEM_DEFAULT)
		def = shape_json_default(cx, def);
	items_add(cx->mem, &s->rest, kind, label, name, def);
	for (size_t i = 0; kind == ITEM_DEFAULT && i < s->view.columns.n; i++)
		if (strcmp(s->view.columns.at[i].name, name) == 0)
			s->view.columns.at[i].fallback = def;
	if (kind == ITEM_GRANT &&
	    (strcmp(def, RIGHTS_READ) == 0 || strcmp(def, RIGHTS_WRITE) == 0)) {
		Login login = {
			.user = "", .role = name, .read_only = strcmp(def, RIGHTS_READ) == 0
		};

		vec_push(cx->mem, &s->view.grantees, login);
	}
}

/* A view's own row stands before those of its defaults and grants. */
static void
read_row(Ctx *cx, const PgRows *rows, int i, Items *schemas, Standings *out)
{
	ItemKind kind = item_kind_of(pg_text(rows, i, 0));
	const char *schema = arena_dup(cx->mem, pg_text(rows, i, 1));
	const char *name = arena_dup(cx->mem, pg_text(rows, i, 3));
	const char *def = arena_dup(cx->mem, pg_text(rows, i, 4));

	if (kind == ITEM_VIEW) {
		Standing s = { .view = { .schema = schema,
				   .object = arena_dup(cx->mem, pg_text(rows, i, 2)) } };

		read_view(cx->mem, rows, i, &s);
		vec_push(cx->mem, out, s);
	} else if (kind == ITEM_SCHEMA || kind == ITEM_SCHEMA_GRANT) {
		if (schemas != NULL)
			items_add(cx->mem, schemas, kind, schema, name, def);
	} else if (out->n > 0)
		read_rest(cx, &out->at[out->n - 1], kind, name, def);
}

bool
view_standing(
    Ctx *cx, Pg *pg, const char *schema, const Names *tables, Items *schemas, Standings *out)
{
	Buf list = buf_new(cx->mem);
	PgRows rows;

	for (size_t i = 0; tables != NULL && i < tables->n; i++)
		buf_fmt(&list, "%s%s", i == 0 ? "" : ",", tables->at[i]);
	const char *params[] = { schema == NULL ? "" : schema, list.text };
	if (!pg_query(cx, pg, &SQL_VIEW_STANDING, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++)
		read_row(cx, &rows, i, schemas, out);
	pg_rows_free(&rows);
	return true;
}

static bool
observe(Ctx *cx, Pg *pg, const char *schema, Items *out)
{
	Standings found = { 0 };

	if (!pg_script(cx, pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") ||
	    !shape_settings(cx, pg) || !view_standing(cx, pg, schema, NULL, out, &found) ||
	    !pg_commit(cx, pg))
		return false;
	for (size_t i = 0; i < found.n; i++) {
		const Standing *s = &found.at[i];

		items_add(cx->mem, out, ITEM_VIEW, view_label(cx->mem, &s->view), "", s->def);
		for (size_t k = 0; k < s->rest.n; k++)
			vec_push(cx->mem, out, s->rest.at[k]);
	}
	items_sort(out);
	return true;
}

bool
view_observe(Ctx *cx, Pg *pg, const char *schema, Items *out)
{
	if (observe(cx, pg, schema, out))
		return true;
	pg_rollback(pg);
	return fail_in(cx, "looking at the views in schema \"%s\"", schema);
}

#include "deployer/view.h"

#include <string.h>

#include "lib/core/wide.h"

/* --- of models ------------------------------------------------------------------ */

static const char *
column_of(const Object *o, const Field *f, const Slots *slots)
{
	const Slot *slot = slots == NULL ? NULL : wide_slot(slots, o->name, f->name);

	return slot == NULL ? f->name : slot->column;
}

/* The wide column's default serves INSERT alone: UPDATE ... SET x = DEFAULT asks the view. */
static View
view_of(Arena *mem, const char *schema, const Model *m, const Object *o, const Slots *slots)
{
	View v = { .schema = schema, .object = o->name, .table = o->name };

	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];
		ViewColumn c = { .name = f->name,
			.column = column_of(o, f, slots),
			.fallback = shape_default_text(mem, m, f) };

		vec_push(mem, &v.columns, c);
	}
	return v;
}

bool
view_common(Ctx *cx, const Shared *s, const Model *common, Views *out)
{
	const Login groups[] = { { .user = "", .role = s->readers, .read_only = true },
		{ .user = "", .role = s->writers } };

	for (size_t i = 0; i < common->objects.n; i++) {
		View v = view_of(cx->mem, SCHEMA_APP, common, &common->objects.at[i], NULL);

		for (size_t k = 0; k < LENGTH(groups); k++)
			vec_push(cx->mem, &v.grantees, groups[k]);
		vec_push(cx->mem, out, v);
	}
	return true;
}

static bool
same_default(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_columns(const View *a, const View *b)
{
	if (a->columns.n != b->columns.n)
		return false;
	for (size_t i = 0; i < a->columns.n; i++) {
		const ViewColumn *x = &a->columns.at[i], *y = &b->columns.at[i];

		if (strcmp(x->name, y->name) != 0 || strcmp(x->column, y->column) != 0 ||
		    !same_default(x->fallback, y->fallback))
			return false;
	}
	return true;
}

bool
view_own(Ctx *cx, const Placement *at, const Model *effective, const Model *common,
    const Slots *slots, Views *out)
{
	for (size_t i = 0; i < effective->objects.n; i++) {
		const Object *o = &effective->objects.at[i];
		const Object *theirs = common == NULL ? NULL : model_object(common, o->name);
		View v = view_of(cx->mem, at->schema, effective, o, slots), base;

		if (theirs != NULL) {
			base = view_of(cx->mem, SCHEMA_APP, common, theirs, NULL);
			if (same_columns(&v, &base))
				continue;
		}
		for (size_t k = 0; k < at->logins.n; k++)
			vec_push(cx->mem, &v.grantees, at->logins.at[k]);
		vec_push(cx->mem, out, v);
	}
	return true;
}

/* --- as items ---------------------------------------------------------------------- */

const char *
view_label(Arena *mem, const View *v)
{
	return arena_printf(mem, "%s.%s", v->schema, v->object);
}

const char *
view_def(Arena *mem, const char *owner, const View *v)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "owner %s, %s: ", owner, v->table);
	for (size_t i = 0; i < v->columns.n; i++) {
		const ViewColumn *c = &v->columns.at[i];

		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", c->name);
		if (strcmp(c->name, c->column) != 0)
			buf_fmt(&b, "=%s", c->column);
	}
	return b.text;
}

static void
schema_items(Arena *mem, const char *owner, const View *v, Items *out)
{
	items_add(mem, out, ITEM_SCHEMA, v->schema, "", arena_printf(mem, "owner %s", owner));
	items_add(mem, out, ITEM_SCHEMA_GRANT, v->schema, owner, "ALL");
	for (size_t i = 0; i < v->grantees.n; i++)
		items_add(mem, out, ITEM_SCHEMA_GRANT, v->schema, v->grantees.at[i].role, "USAGE");
}

void
view_items(Arena *mem, const char *owner, const Views *views, Items *out)
{
	if (views->n > 0)
		schema_items(mem, owner, &views->at[0], out);
	for (size_t i = 0; i < views->n; i++) {
		const View *v = &views->at[i];
		const char *object = view_label(mem, v);

		items_add(mem, out, ITEM_VIEW, object, "", view_def(mem, owner, v));
		items_add(mem, out, ITEM_GRANT, object, owner, "ALL");
		for (size_t k = 0; k < v->columns.n; k++)
			if (v->columns.at[k].fallback != NULL)
				items_add(mem, out, ITEM_DEFAULT, object, v->columns.at[k].name,
				    v->columns.at[k].fallback);
		for (size_t k = 0; k < v->grantees.n; k++)
			items_add(mem, out, ITEM_GRANT, object, v->grantees.at[k].role,
			    v->grantees.at[k].read_only ? RIGHTS_READ : RIGHTS_WRITE);
	}
}

/* --- the server's text ----------------------------------------------------------------
 *
 *	SELECT "account"."id", "account"."_text_1" AS "fax" FROM "wide"."account"
 *	WHERE ("account"."_tenant" = "substr"((SESSION_USER)::"text", 3, 12));
 *
 * From PostgreSQL 16 on the table's name does not stand before its columns.
 */

static bool
word(const char **p, const char *wanted)
{
	size_t n = strlen(wanted);

	*p += strspn(*p, " \n\t");
	if (strncmp(*p, wanted, n) != 0)
		return false;
	*p += n;
	return true;
}

/* "name"; ours have no quotes in them. */
static bool
quoted(Arena *mem, const char **p, const char **out)
{
	if (!word(p, "\""))
		return false;
	size_t n = strcspn(*p, "\"");

	if ((*p)[n] == '\0' || (*p)[n + 1] == '"')
		return false;
	*out = arena_dupn(mem, *p, n);
	*p += n + 1;
	return true;
}

/* "column" or "table"."column"; all of them of one table. */
static bool
column_name(Arena *mem, const char **p, const char **table, const char **out)
{
	const char *first;

	if (!quoted(mem, p, &first))
		return false;
	if (**p != '.') {
		*out = first;
		return true;
	}
	++*p;
	if (*table != NULL && strcmp(*table, first) != 0)
		return false;
	*table = first;
	return quoted(mem, p, out);
}

bool
view_parse(Arena *mem, const char *text, View *out)
{
	const char *p = text, *table = NULL, *from, *tenant;
	View v = *out;

	v.columns.n = 0;
	if (!word(&p, "SELECT "))
		return false;
	do {
		ViewColumn c = { 0 };

		if (!column_name(mem, &p, &table, &c.column))
			return false;
		c.name = c.column;
		if (word(&p, "AS ") && !quoted(mem, &p, &c.name))
			return false;
		vec_push(mem, &v.columns, c);
	} while (word(&p, ","));
	if (!word(&p, "FROM \"" SCHEMA_WIDE "\".") || !quoted(mem, &p, &from) ||
	    !word(&p, "WHERE (") || !column_name(mem, &p, &table, &tenant) ||
	    strcmp(tenant, WIDE_TENANT) != 0 || !word(&p, "= " SHAPE_TENANT ");") || *p != '\0')
		return false;
	if (table != NULL && strcmp(table, from) != 0)
		return false;
	v.table = from;
	*out = v;
	return true;
}

/* --- as data ------------------------------------------------------------------------------ */

static Js *
column_js(Arena *mem, const ViewColumn *c)
{
	Js *o = js_object(mem);

	js_set_text(o, "name", c->name);
	js_set_text(o, "column", c->column);
	if (c->fallback != NULL)
		js_set_text(o, "default", c->fallback);
	return o;
}

static Js *
one_js(Arena *mem, const View *v)
{
	Js *o = js_object(mem), *columns = js_array(mem), *grantees = js_array(mem);

	js_set_text(o, "schema", v->schema);
	js_set_text(o, "object", v->object);
	js_set_text(o, "table", v->table);
	for (size_t i = 0; i < v->columns.n; i++)
		js_push(columns, column_js(mem, &v->columns.at[i]));
	js_set(o, "columns", columns);
	for (size_t i = 0; i < v->grantees.n; i++) {
		Js *g = js_object(mem);

		js_set_text(g, "role", v->grantees.at[i].role);
		js_set_bool(g, "read_only", v->grantees.at[i].read_only);
		js_push(grantees, g);
	}
	js_set(o, "grantees", grantees);
	return o;
}

Js *
view_js(Arena *mem, const Views *views)
{
	Js *array = js_array(mem);

	for (size_t i = 0; i < views->n; i++)
		js_push(array, one_js(mem, &views->at[i]));
	return array;
}

static bool
one_read(Ctx *cx, const Js *o, View *out)
{
	const Js *columns = js_get(o, "columns"), *grantees = js_get(o, "grantees");

	*out = (View){ .schema = js_get_text(o, "schema"),
		.object = js_get_text(o, "object"),
		.table = js_get_text(o, "table") };
	if (out->schema == NULL || out->object == NULL || out->table == NULL)
		return false;
	for (size_t i = 0; i < js_count(columns); i++) {
		const Js *c = js_at(columns, i);
		ViewColumn column = { js_get_text(c, "name"), js_get_text(c, "column"),
			js_get_text(c, "default") };

		if (column.name == NULL || column.column == NULL)
			return false;
		vec_push(cx->mem, &out->columns, column);
	}
	for (size_t i = 0; i < js_count(grantees); i++) {
		const Js *g = js_at(grantees, i);
		Login login = { .user = "",
			.role = js_get_text(g, "role"),
			.read_only = js_get_bool(g, "read_only", false) };

		if (login.role == NULL)
			return false;
		vec_push(cx->mem, &out->grantees, login);
	}
	return out->columns.n > 0;
}

bool
view_read(Ctx *cx, const Js *array, Views *out)
{
	for (size_t i = 0; i < js_count(array); i++) {
		View v;

		if (!one_read(cx, js_at(array, i), &v))
			return shape_damaged(cx);
		vec_push(cx->mem, out, v);
	}
	return true;
}

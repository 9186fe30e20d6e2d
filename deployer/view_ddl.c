#include "deployer/view.h"

#include <string.h>

/* --- statements ------------------------------------------------------------------ */

static void
create_text(Buf *b, const View *v, bool replace)
{
	buf_fmt(b, "CREATE %sVIEW ", replace ? "OR REPLACE " : "");
	shape_ddl_table(b, v->schema, v->object);
	buf_add(b, " AS SELECT ");
	for (size_t i = 0; i < v->columns.n; i++) {
		const ViewColumn *c = &v->columns.at[i];

		buf_add(b, i == 0 ? "" : ", ");
		buf_ident(b, c->column);
		buf_add(b, " AS ");
		buf_ident(b, c->name);
	}
	buf_add(b, " FROM ");
	shape_ddl_table(b, SCHEMA_WIDE, v->table);
	buf_add(b, " WHERE \"" WIDE_TENANT "\" = " SHAPE_TENANT ";\n");
}

static void
drop_text(Buf *b, const View *v)
{
	buf_add(b, "DROP VIEW ");
	shape_ddl_table(b, v->schema, v->object);
	buf_add(b, ";\n");
}

static void
default_text(Buf *b, const View *v, const char *column, const char *def)
{
	buf_add(b, "ALTER VIEW ");
	shape_ddl_table(b, v->schema, v->object);
	buf_add(b, " ALTER COLUMN ");
	buf_ident(b, column);
	if (def == NULL)
		buf_add(b, " DROP DEFAULT;\n");
	else
		buf_fmt(b, " SET DEFAULT %s;\n", def);
}

/* The kinds of grants have the same words for a table, a view and a schema. */
static void
grant_text(Buf *b, OpCode code, ItemKind kind, const View *v, const char *role, const char *def)
{
	const Op op = { .code = code,
		.kind = kind,
		.object = kind == ITEM_GRANT ? v->object : v->schema,
		.name = role,
		.def = def };

	shape_ddl_op(b, v->schema, &op);
}

static const char *
rights_of(const Login *login)
{
	return login->read_only ? RIGHTS_READ : RIGHTS_WRITE;
}

static void
make_text(Buf *b, const View *v)
{
	create_text(b, v, false);
	for (size_t i = 0; i < v->columns.n; i++)
		if (v->columns.at[i].fallback != NULL)
			default_text(b, v, v->columns.at[i].name, v->columns.at[i].fallback);
	for (size_t i = 0; i < v->grantees.n; i++)
		grant_text(b, OP_ADD, ITEM_GRANT, v, v->grantees.at[i].role,
		    rights_of(&v->grantees.at[i]));
}

/* --- from what stands to what should ------------------------------------------------- */

typedef enum Way { WAY_NONE, WAY_REST, WAY_REPLACE, WAY_ANEW, WAY_DROP } Way;

typedef struct Move { /* of one view */
	Way way;
	const View *to;      /* NULL: it goes */
	const Standing *was; /* NULL: it is made */
	Items rest;          /* defaults and grants as they should be */
} Move;
typedef struct Moves {
	Move *at;
	size_t n, cap;
} Moves;

static const Item *
item_named(const Items *items, const Item *like)
{
	for (size_t i = 0; i < items->n; i++)
		if (items->at[i].kind == like->kind && strcmp(items->at[i].name, like->name) == 0)
			return &items->at[i];
	return NULL;
}

static bool
all_in(const Items *some, const Items *all)
{
	for (size_t i = 0; i < some->n; i++) {
		const Item *other = item_named(all, &some->at[i]);

		if (other == NULL || strcmp(other->def, some->at[i].def) != 0)
			return false;
	}
	return true;
}

/* CREATE OR REPLACE takes columns that come at the end, and nothing else. */
static bool
grows(const View *from, const View *to)
{
	if (strcmp(from->table, to->table) != 0 || from->columns.n > to->columns.n)
		return false;
	for (size_t i = 0; i < from->columns.n; i++)
		if (strcmp(from->columns.at[i].name, to->columns.at[i].name) != 0 ||
		    strcmp(from->columns.at[i].column, to->columns.at[i].column) != 0)
			return false;
	return true;
}

static Items
rest_of(Arena *mem, const char *owner, const View *v)
{
	const Views one = { (View *)v, 1, 1 };
	Items all = { 0 }, rest = { 0 };

	view_items(mem, owner, &one, &all);
	for (size_t i = 0; i < all.n; i++)
		if (all.at[i].kind == ITEM_DEFAULT || all.at[i].kind == ITEM_GRANT)
			vec_push(mem, &rest, all.at[i]);
	return rest;
}

static Move
move_of(Arena *mem, const char *owner, const View *to, const Standing *was)
{
	Move m = { .way = WAY_ANEW, .to = to, .was = was, .rest = rest_of(mem, owner, to) };

	if (was == NULL || was->odd || strcmp(was->owner, owner) != 0)
		return m;
	if (strcmp(was->def, view_def(mem, owner, to)) != 0)
		m.way = grows(&was->view, to) ? WAY_REPLACE : WAY_ANEW;
	else
		m.way = all_in(&m.rest, &was->rest) && all_in(&was->rest, &m.rest) ? WAY_NONE
										   : WAY_REST;
	return m;
}

static const Standing *
standing_named(const Standings *all, const char *object)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].view.object, object) == 0)
			return &all->at[i];
	return NULL;
}

static bool
wanted(const Views *to, const char *object)
{
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->at[i].object, object) == 0)
			return true;
	return false;
}

static void
moves_of(Arena *mem, const char *owner, const Views *to, const Standings *stand, Moves *out)
{
	for (size_t i = 0; i < stand->n; i++)
		if (!wanted(to, stand->at[i].view.object)) {
			Move m = { .way = WAY_DROP, .was = &stand->at[i] };

			vec_push(mem, out, m);
		}
	for (size_t i = 0; i < to->n; i++)
		vec_push(mem, out,
		    move_of(mem, owner, &to->at[i], standing_named(stand, to->at[i].object)));
}

/* --- doing it ---------------------------------------------------------------------------- */

/* It changes nothing and takes the strongest lock on the view alone; LOCK TABLE would take the wide
 * table's too. */
static void
lock_text(Arena *mem, const View *v, const char *owner, Names *locks)
{
	Buf b = buf_new(mem);

	buf_add(&b, "ALTER VIEW ");
	shape_ddl_table(&b, v->schema, v->object);
	buf_add(&b, " OWNER TO ");
	buf_ident(&b, owner);
	vec_push(mem, locks, b.text);
}

void
view_locks(Arena *mem, const Placement *at, const Views *views, Names *locks)
{
	for (size_t i = 0; i < views->n; i++)
		lock_text(mem, &views->at[i], at->owner, locks);
}

static void
rest_text(Buf *b, const Move *m)
{
	for (size_t i = 0; i < m->was->rest.n; i++) {
		const Item *is = &m->was->rest.at[i];

		if (item_named(&m->rest, is) != NULL)
			continue;
		if (is->kind == ITEM_DEFAULT)
			default_text(b, m->to, is->name, NULL);
		else
			grant_text(b, OP_REMOVE, ITEM_GRANT, m->to, is->name, NULL);
	}
	for (size_t i = 0; i < m->rest.n; i++) {
		const Item *item = &m->rest.at[i], *is = item_named(&m->was->rest, item);

		if (is != NULL && strcmp(is->def, item->def) == 0)
			continue;
		if (item->kind == ITEM_DEFAULT)
			default_text(b, m->to, item->name, item->def);
		else
			grant_text(b, is == NULL ? OP_ADD : OP_ALTER, ITEM_GRANT, m->to, item->name,
			    item->def);
	}
}

static void
move_text(Buf *b, const Move *m)
{
	switch (m->way) {
	case WAY_NONE:
		return;
	case WAY_DROP:
		drop_text(b, &m->was->view);
		return;
	case WAY_ANEW:
		if (m->was != NULL)
			drop_text(b, &m->was->view);
		make_text(b, m->to);
		return;
	case WAY_REPLACE:
		create_text(b, m->to, true);
		rest_text(b, m);
		return;
	case WAY_REST:
		rest_text(b, m);
		return;
	}
}

static void
schema_text(Buf *b, const char *owner, const char *schema, const Views *to, const Items *is)
{
	const View in = { .schema = schema, .object = "" };
	Items all = { 0 }, want = { 0 };

	view_items(b->mem, owner, to, &all);
	for (size_t i = 0; i < all.n; i++)
		if (all.at[i].kind == ITEM_SCHEMA_GRANT)
			vec_push(b->mem, &want, all.at[i]);
	if (is->n == 0) {
		buf_add(b, "CREATE SCHEMA ");
		buf_ident(b, schema);
		buf_add(b, ";\n");
	}
	for (size_t i = 0; i < is->n; i++)
		if (is->at[i].kind == ITEM_SCHEMA_GRANT && item_named(&want, &is->at[i]) == NULL)
			grant_text(b, OP_REMOVE, ITEM_SCHEMA_GRANT, &in, is->at[i].name, NULL);
	for (size_t i = 0; i < want.n; i++) {
		const Item *item = &want.at[i], *stands = item_named(is, item);

		if (strcmp(item->def, "ALL") == 0 && is->n == 0)
			continue;
		if (stands == NULL || strcmp(stands->def, item->def) != 0)
			grant_text(b, stands == NULL ? OP_ADD : OP_ALTER, ITEM_SCHEMA_GRANT, &in,
			    item->name, item->def);
	}
}

static bool
replace_moves(Ctx *cx, Pg *pg, const Moves *moves)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < moves->n; i++)
		move_text(&b, &moves->at[i]);
	return b.len == 0 || pg_script(cx, pg, b.text);
}

static bool
drop_schema(Ctx *cx, Pg *pg, const char *schema)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "DROP SCHEMA IF EXISTS ");
	buf_ident(&b, schema);
	return pg_script(cx, pg, b.text);
}

bool
view_replace(Ctx *cx, Pg *pg, const Placement *at, const char *schema, const Views *to,
    const Names *locks, bool (*between)(Ctx *cx, Pg *pg, void *arg), void *arg)
{
	Buf ddl = buf_new(cx->mem);
	Standings stand = { 0 };
	Items schemas = { 0 };
	Moves moves = { 0 };
	Names all = { 0 };

	if (!view_standing(cx, pg, schema, NULL, &schemas, &stand))
		return false;
	moves_of(cx->mem, at->owner, to, &stand, &moves);
	for (size_t i = 0; i < moves.n; i++) {
		const Move *m = &moves.at[i];

		if (m->was != NULL && m->way != WAY_NONE && strcmp(m->was->owner, at->owner) == 0)
			lock_text(cx->mem, &m->was->view, at->owner, &all);
	}
	for (size_t i = 0; locks != NULL && i < locks->n; i++)
		vec_push(cx->mem, &all, locks->at[i]);
	if (to->n > 0)
		schema_text(&ddl, at->owner, schema, to, &schemas);
	return shape_lock_all(cx, pg, &all) && (between == NULL || between(cx, pg, arg)) &&
	    (ddl.len == 0 || pg_script(cx, pg, ddl.text)) && replace_moves(cx, pg, &moves) &&
	    (to->n > 0 || drop_schema(cx, pg, schema));
}

/* --- for changes of wide tables ------------------------------------------------------------ */

bool
view_on(Ctx *cx, Pg *pg, const Names *tables, Views *out)
{
	Standings stand = { 0 };

	if (!view_standing(cx, pg, NULL, tables, NULL, &stand))
		return false;
	for (size_t i = 0; i < stand.n; i++) {
		if (stand.at[i].odd)
			return fail(cx, FAIL_DIFFERENT, "Have it mended first: copyhold apply.",
			    "view \"%s\" was changed by hand, and its table is to change",
			    view_label(cx->mem, &stand.at[i].view));
		vec_push(cx->mem, out, stand.at[i].view);
	}
	return true;
}

bool
view_drop(Ctx *cx, Pg *pg, const Views *views)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < views->n; i++)
		drop_text(&b, &views->at[i]);
	return b.len == 0 || pg_script(cx, pg, b.text);
}

bool
view_put_back(Ctx *cx, Pg *pg, const Views *views)
{
	Buf b = buf_new(cx->mem);

	for (size_t i = 0; i < views->n; i++)
		make_text(&b, &views->at[i]);
	return b.len == 0 || pg_script(cx, pg, b.text);
}

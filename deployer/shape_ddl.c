#include "deployer/shape.h"

#include <string.h>

#define FOREIGN "FOREIGN KEY"

static const char *const op_words[OP_CODES] = {
	[OP_NONE] = "",
	[OP_RENAME] = "rename",
	[OP_ADD] = "add",
	[OP_ALTER] = "alter",
	[OP_REMOVE] = "remove",
	[OP_CREATE] = "create",
};

static void
in_schema(Buf *b, const char *name)
{
	buf_add(b, "\"" TENANT_SCHEMA "\".");
	buf_ident(b, name);
}

void
shape_ddl_table(Buf *b, const char *object)
{
	in_schema(b, object);
}

/* --- new objects ------------------------------------------------------------ */

static bool
belongs(const Item *item, ItemKind kind, const char *object, const char *name)
{
	return item->kind == (int)kind && strcmp(item->object, object) == 0 &&
	    (name == NULL || strcmp(item->name, name) == 0);
}

static const char *
def_of(const Items *items, ItemKind kind, const char *object, const char *name)
{
	for (size_t i = 0; i < items->n; i++)
		if (belongs(&items->at[i], kind, object, name))
			return items->at[i].def;
	return NULL;
}

static void
column_text(Buf *b, const char *name, const char *type, const char *fallback, bool required)
{
	buf_ident(b, name);
	buf_fmt(b, " %s", type);
	if (fallback != NULL)
		buf_fmt(b, " DEFAULT %s", fallback);
	if (required)
		buf_add(b, " NOT NULL");
}

static void
create_table(Buf *b, const Items *all, size_t at)
{
	const char *object = all->at[at].object, *comma = "\n\t";
	Items own = { 0 };

	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].kind >= ITEM_COLUMN && strcmp(all->at[i].object, object) == 0)
			vec_push(b->mem, &own, all->at[i]);
	buf_add(b, "CREATE TABLE ");
	in_schema(b, object);
	buf_add(b, " (");
	for (size_t i = 0; i < own.n; i++) {
		const Item *item = &own.at[i];

		if (item->kind == ITEM_COLUMN) {
			buf_add(b, comma);
			column_text(b, item->name, item->def,
			    def_of(&own, ITEM_DEFAULT, object, item->name),
			    def_of(&own, ITEM_NOT_NULL, object, item->name) != NULL);
		} else if (item->kind == ITEM_CONSTRAINT &&
		    strncmp(item->def, FOREIGN, strlen(FOREIGN)) != 0) {
			buf_fmt(b, "%sCONSTRAINT ", comma);
			buf_ident(b, item->name);
			buf_fmt(b, " %s", item->def);
		} else
			continue;
		comma = ",\n\t";
	}
	buf_add(b, ");\n");
}

void
shape_ddl_create(Buf *b, const Items *items)
{
	for (size_t i = 0; i < items->n; i++) {
		const Item *item = &items->at[i];

		if (item->kind == ITEM_TABLE)
			create_table(b, items, i);
		if (item->kind == ITEM_SCHEMA)
			shape_ddl_op(b,
			    &(Op){ .code = OP_ADD, .kind = ITEM_SCHEMA, .object = item->object });
	}
	for (size_t i = 0; i < items->n; i++) {
		const Item *item = &items->at[i];
		bool grant = item->kind == ITEM_GRANT || item->kind == ITEM_SCHEMA_GRANT;
		bool reference = item->kind == ITEM_CONSTRAINT &&
		    strncmp(item->def, FOREIGN, strlen(FOREIGN)) == 0;

		if (item->kind == ITEM_INDEX || reference ||
		    (grant && strcmp(item->def, "ALL") != 0))
			shape_ddl_op(b,
			    &(Op){ .code = OP_ADD,
				.kind = (ItemKind)item->kind,
				.object = item->object,
				.name = item->name,
				.def = item->def });
	}
}

/* --- one operation ------------------------------------------------------------ */

static void
alter_table(Buf *b, const char *object)
{
	buf_add(b, "ALTER TABLE ");
	in_schema(b, object);
	buf_addc(b, ' ');
}

static void
alter_column(Buf *b, const Op *op)
{
	alter_table(b, op->object);
	buf_add(b, "ALTER COLUMN ");
	buf_ident(b, op->name);
	buf_addc(b, ' ');
}

static void
rename_text(Buf *b, const Op *op)
{
	if (op->kind == ITEM_INDEX) {
		buf_add(b, "ALTER INDEX ");
		in_schema(b, op->name);
		buf_addc(b, ' ');
	} else
		alter_table(b, op->object);
	buf_add(b, "RENAME ");
	if (op->kind == ITEM_COLUMN || op->kind == ITEM_CONSTRAINT) {
		buf_add(b, op->kind == ITEM_COLUMN ? "COLUMN " : "CONSTRAINT ");
		buf_ident(b, op->name);
		buf_addc(b, ' ');
	}
	buf_add(b, "TO ");
	buf_ident(b, op->def);
	buf_add(b, ";\n");
}

static void
grantee(Buf *b, const char *name)
{
	if (strcmp(name, "PUBLIC") == 0)
		buf_add(b, name);
	else
		buf_ident(b, name);
}

static void
grant_text(Buf *b, const Op *op)
{
	Buf on = buf_new(b->mem);

	if (op->kind == ITEM_SCHEMA_GRANT) {
		buf_add(&on, " ON SCHEMA ");
		buf_ident(&on, op->object);
	} else {
		buf_add(&on, " ON TABLE ");
		in_schema(&on, op->object);
	}
	if (op->code != OP_ADD) {
		buf_fmt(b, "REVOKE ALL%s FROM ", on.text);
		grantee(b, op->name);
		buf_add(b, " CASCADE;\n");
	}
	if (op->code != OP_REMOVE) {
		buf_fmt(b, "GRANT %s%s TO ", op->def, on.text);
		grantee(b, op->name);
		buf_add(b, ";\n");
	}
}

static void
owner_text(Buf *b, const char *what, const Op *op)
{
	buf_fmt(b, "ALTER %s ", what);
	if (op->kind == ITEM_SCHEMA)
		buf_ident(b, op->object);
	else
		in_schema(b, op->object);
	buf_add(b, " OWNER TO ");
	buf_ident(b, op->def + strlen("owner "));
	buf_add(b, ";\n");
}

/* The ledger's schema is there when a step is entered in it. */
static void
schema_text(Buf *b, const Op *op)
{
	if (op->code == OP_ALTER) {
		owner_text(b, "SCHEMA", op);
	} else if (op->code == OP_ADD && strcmp(op->object, LEDGER_SCHEMA) != 0) {
		buf_add(b, "CREATE SCHEMA ");
		buf_ident(b, op->object);
		buf_add(b, ";\n");
	}
}

static void
table_text(Buf *b, const Op *op)
{
	if (op->code == OP_REMOVE) {
		buf_add(b, "DROP TABLE ");
		in_schema(b, op->object);
		buf_add(b, ";\n");
		return;
	}
	if (strstr(op->from, ", unlogged") != NULL) {
		alter_table(b, op->object);
		buf_add(b, "SET LOGGED;\n");
	}
	if (strncmp(op->from, op->def, strlen(op->def)) != 0)
		owner_text(b, "TABLE", op);
}

static void
column_op_text(Buf *b, const Op *op)
{
	if (op->code == OP_ADD) {
		alter_table(b, op->object);
		buf_add(b, "ADD COLUMN ");
		column_text(b, op->name, op->def, op->fallback, op->required);
	} else if (op->code == OP_REMOVE) {
		alter_table(b, op->object);
		buf_add(b, "DROP COLUMN ");
		buf_ident(b, op->name);
	} else {
		if (strstr(op->from, ", generated") != NULL) {
			alter_column(b, op);
			buf_add(b, "DROP EXPRESSION;\n");
		} else if (strstr(op->from, ", identity") != NULL) {
			alter_column(b, op);
			buf_add(b, "DROP IDENTITY;\n");
		}
		alter_column(b, op);
		buf_fmt(b, "TYPE %s", op->def);
	}
	buf_add(b, ";\n");
}

static void
rule_text(Buf *b, const Op *op)
{
	bool add = op->code != OP_REMOVE;

	if (op->kind == ITEM_CONSTRAINT) {
		alter_table(b, op->object);
		buf_add(b, add ? "ADD CONSTRAINT " : "DROP CONSTRAINT IF EXISTS ");
		buf_ident(b, op->name);
		buf_fmt(b, " %s", add ? op->def : "");
	} else if (op->kind == ITEM_DEFAULT) {
		alter_column(b, op);
		buf_fmt(b, add ? "SET DEFAULT %s" : "DROP DEFAULT", op->def);
	} else {
		alter_column(b, op);
		buf_add(b, add ? "SET NOT NULL" : "DROP NOT NULL");
	}
	buf_add(b, ";\n");
}

static void
index_op_text(Buf *b, const Op *op)
{
	if (op->code == OP_REMOVE) {
		buf_add(b, "DROP INDEX ");
		in_schema(b, op->name);
	} else
		buf_add(b, op->def);
	buf_add(b, ";\n");
}

void
shape_ddl_op(Buf *b, const Op *op)
{
	if (op->code == OP_RENAME) {
		rename_text(b, op);
		return;
	}
	switch (op->kind) {
	case ITEM_SCHEMA:
		schema_text(b, op);
		return;
	case ITEM_SCHEMA_GRANT:
	case ITEM_GRANT:
		grant_text(b, op);
		return;
	case ITEM_TABLE:
		table_text(b, op);
		return;
	case ITEM_COLUMN:
		column_op_text(b, op);
		return;
	case ITEM_DEFAULT:
	case ITEM_NOT_NULL:
	case ITEM_CONSTRAINT:
		rule_text(b, op);
		return;
	case ITEM_INDEX:
		index_op_text(b, op);
		return;
	case ITEM_ROLE:
	case ITEM_SETTING:
	case ITEM_MEMBER:
	case ITEM_DATABASE:
	case ITEM_DATABASE_GRANT:
	case ITEM_STRANGE:
	case ITEM_KINDS:
		return;
	}
}

char *
shape_ddl_index(Arena *mem, const char *object, const char *name, const Names *columns, bool unique)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "CREATE %sINDEX CONCURRENTLY ", unique ? "UNIQUE " : "");
	buf_ident(&b, name);
	buf_add(&b, " ON ");
	in_schema(&b, object);
	buf_fmt(&b, " (%s)", shape_key_text(mem, columns));
	return b.text;
}

/* What drift was mended stays mended: an undo goes back to what was recorded, not to what was found. */
bool
shape_op_inverse(const Op *op, Op *out)
{
	static const OpCode turned[OP_CODES] = {
		[OP_RENAME] = OP_RENAME,
		[OP_ADD] = OP_REMOVE,
		[OP_ALTER] = OP_ALTER,
		[OP_REMOVE] = OP_ADD,
	};

	if (op->drift || turned[op->code] == OP_NONE || op->kind == ITEM_STRANGE)
		return false;
	*out = *op;
	out->code = turned[op->code];
	if (op->code == OP_RENAME) {
		*(op->kind == ITEM_TABLE ? &out->object : &out->name) = op->def;
		out->def = op->kind == ITEM_TABLE ? op->object : op->name;
	} else {
		out->def = op->from;
		out->from = op->def;
	}
	return true;
}

/* --- as data --------------------------------------------------------------------- */

static void
set_text(Js *object, const char *key, const char *value)
{
	if (value != NULL)
		js_set_text(object, key, value);
}

static Js *
op_js(Arena *mem, const Op *op)
{
	Js *o = js_object(mem);

	js_set_text(o, "op", op_words[op->code]);
	if (op->drift)
		js_set_bool(o, "drift", true);
	if (op->code == OP_CREATE)
		return o;
	js_set_text(o, "kind", item_kind_name(op->kind));
	set_text(o, "object", op->object);
	set_text(o, "name", op->name);
	set_text(o, "def", op->def);
	set_text(o, "from", op->from);
	set_text(o, "default", op->fallback);
	if (op->required)
		js_set_bool(o, "required", true);
	if (op->filled)
		js_set_bool(o, "filled", true);
	return o;
}

Js *
shape_ops_js(Arena *mem, const Ops *ops)
{
	Js *array = js_array(mem);

	for (size_t i = 0; i < ops->n; i++)
		js_push(array, op_js(mem, &ops->at[i]));
	return array;
}

static bool
damaged(Ctx *cx)
{
	return fail(cx, FAIL_CATALOG,
	    "The journal's step was changed from outside: restore a backup.",
	    "a step's arguments are damaged");
}

bool
shape_ops_read(Ctx *cx, const Js *array, Ops *out)
{
	for (size_t i = 0; i < js_count(array); i++) {
		const Js *o = js_at(array, i);
		const char *word = js_get_text(o, "op");
		Op op = { .kind = item_kind_of(js_get_text(o, "kind")),
			.object = js_get_text(o, "object"),
			.name = js_get_text(o, "name"),
			.def = js_get_text(o, "def"),
			.from = js_get_text(o, "from"),
			.fallback = js_get_text(o, "default"),
			.required = js_get_bool(o, "required", false),
			.filled = js_get_bool(o, "filled", false),
			.drift = js_get_bool(o, "drift", false) };

		while (op.code < OP_CODES && (word == NULL || strcmp(op_words[op.code], word) != 0))
			op.code++;
		if (op.code == OP_CODES || op.code == OP_NONE ||
		    (op.code != OP_CREATE &&
			(op.kind == ITEM_KINDS || op.object == NULL || op.name == NULL)))
			return damaged(cx);
		if ((op.code == OP_ADD || op.code == OP_ALTER || op.code == OP_RENAME) &&
		    op.def == NULL)
			return damaged(cx);
		if (op.code == OP_ALTER && op.from == NULL)
			return damaged(cx);
		vec_push(cx->mem, out, op);
	}
	return true;
}

Js *
shape_items_js(Arena *mem, const Items *items)
{
	Js *array = js_array(mem);

	for (size_t i = 0; i < items->n; i++) {
		Js *o = js_object(mem);

		js_set_text(o, "kind", item_kind_name((ItemKind)items->at[i].kind));
		js_set_text(o, "object", items->at[i].object);
		js_set_text(o, "name", items->at[i].name);
		js_set_text(o, "def", items->at[i].def);
		js_push(array, o);
	}
	return array;
}

bool
shape_items_read(Ctx *cx, const Js *array, Items *out)
{
	for (size_t i = 0; i < js_count(array); i++) {
		const Js *o = js_at(array, i);
		Item item = { (int)item_kind_of(js_get_text(o, "kind")), js_get_text(o, "object"),
			js_get_text(o, "name"), js_get_text(o, "def") };

		if (item.kind == ITEM_KINDS || item.object == NULL || item.name == NULL ||
		    item.def == NULL)
			return damaged(cx);
		vec_push(cx->mem, out, item);
	}
	return true;
}

Js *
shape_names_js(Arena *mem, const Names *names)
{
	Js *array = js_array(mem);

	for (size_t i = 0; i < names->n; i++)
		js_push_text(array, names->at[i]);
	return array;
}

void
shape_names_read(Arena *mem, const Js *array, Names *out)
{
	for (size_t i = 0; i < js_count(array); i++)
		vec_push(mem, out, js_value_text(js_at(array, i)));
}

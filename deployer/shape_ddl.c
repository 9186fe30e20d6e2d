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

void
shape_ddl_table(Buf *b, const char *schema, const char *object)
{
	buf_ident(b, schema);
	buf_addc(b, '.');
	buf_ident(b, object);
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
create_table(Buf *b, const char *schema, const Items *all, size_t at)
{
	const char *object = all->at[at].object, *comma = "\n\t";
	Items own = { 0 };

	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].kind >= ITEM_COLUMN && strcmp(all->at[i].object, object) == 0)
			vec_push(b->mem, &own, all->at[i]);
	buf_add(b, "CREATE TABLE ");
	shape_ddl_table(b, schema, object);
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

static void
create_statistics(Buf *b, const char *schema, const Items *all, const char *object)
{
	const char *comma = "";

	for (size_t i = 0; i < all->n; i++) {
		const Item *item = &all->at[i];

		if (!belongs(item, ITEM_STATISTICS, object, NULL))
			continue;
		if (*comma == '\0') {
			buf_add(b, "ALTER TABLE ");
			shape_ddl_table(b, schema, object);
		}
		buf_fmt(b, "%s ALTER COLUMN ", comma);
		buf_ident(b, item->name);
		buf_fmt(b, " SET STATISTICS %s", item->def);
		comma = ",";
	}
	buf_add(b, *comma == '\0' ? "" : ";\n");
}

void
shape_ddl_create(Buf *b, const char *schema, const Items *items)
{
	for (size_t i = 0; i < items->n; i++) {
		const Item *item = &items->at[i];

		if (item->kind == ITEM_TABLE) {
			create_table(b, schema, items, i);
			create_statistics(b, schema, items, item->object);
		}
		if (item->kind == ITEM_SCHEMA)
			shape_ddl_op(b, schema,
			    &(Op){ .code = OP_ADD, .kind = ITEM_SCHEMA, .object = item->object });
	}
	for (size_t i = 0; i < items->n; i++) {
		const Item *item = &items->at[i];
		bool grant = item->kind == ITEM_GRANT || item->kind == ITEM_SCHEMA_GRANT;
		bool wide = item->kind == ITEM_ROW_SECURITY || item->kind == ITEM_POLICY ||
		    item->kind == ITEM_STORAGE;
		bool reference = item->kind == ITEM_CONSTRAINT &&
		    strncmp(item->def, FOREIGN, strlen(FOREIGN)) == 0;

		if (item->kind == ITEM_INDEX || reference || wide ||
		    (grant && strcmp(item->def, "ALL") != 0))
			shape_ddl_op(b, schema,
			    &(Op){ .code = OP_ADD,
				.kind = (ItemKind)item->kind,
				.object = item->object,
				.name = item->name,
				.def = item->def });
	}
}

/* --- one operation ------------------------------------------------------------ */

static void
alter_table(Buf *b, const char *schema, const char *object)
{
	buf_add(b, "ALTER TABLE ");
	shape_ddl_table(b, schema, object);
	buf_addc(b, ' ');
}

static void
alter_column(Buf *b, const char *schema, const Op *op)
{
	alter_table(b, schema, op->object);
	buf_add(b, "ALTER COLUMN ");
	buf_ident(b, op->name);
	buf_addc(b, ' ');
}

static void
rename_text(Buf *b, const char *schema, const Op *op)
{
	if (op->kind == ITEM_INDEX) {
		buf_add(b, "ALTER INDEX ");
		shape_ddl_table(b, schema, op->name);
		buf_addc(b, ' ');
	} else
		alter_table(b, schema, op->object);
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
grant_text(Buf *b, const char *schema, const Op *op)
{
	Buf on = buf_new(b->mem);

	if (op->kind == ITEM_SCHEMA_GRANT) {
		buf_add(&on, " ON SCHEMA ");
		buf_ident(&on, op->object);
	} else {
		buf_add(&on, " ON TABLE ");
		shape_ddl_table(&on, schema, op->object);
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
owner_text(Buf *b, const char *schema, const char *what, const Op *op)
{
	buf_fmt(b, "ALTER %s ", what);
	if (op->kind == ITEM_SCHEMA)
		buf_ident(b, op->object);
	else
		shape_ddl_table(b, schema, op->object);
	buf_add(b, " OWNER TO ");
	buf_ident(b, op->def + strlen("owner "));
	buf_add(b, ";\n");
}

/* The ledger's schema is there when a step is entered in it. */
static void
schema_text(Buf *b, const Op *op)
{
	if (op->code == OP_ALTER) {
		owner_text(b, NULL, "SCHEMA", op);
	} else if (op->code == OP_ADD && strcmp(op->object, LEDGER_SCHEMA) != 0) {
		buf_add(b, "CREATE SCHEMA ");
		buf_ident(b, op->object);
		buf_add(b, ";\n");
	}
}

static void
table_text(Buf *b, const char *schema, const Op *op)
{
	if (op->code == OP_REMOVE) {
		buf_add(b, "DROP TABLE ");
		shape_ddl_table(b, schema, op->object);
		buf_add(b, ";\n");
		return;
	}
	if (strstr(op->from, ", unlogged") != NULL) {
		alter_table(b, schema, op->object);
		buf_add(b, "SET LOGGED;\n");
	}
	if (strncmp(op->from, op->def, strlen(op->def)) != 0)
		owner_text(b, schema, "TABLE", op);
}

static void
column_op_text(Buf *b, const char *schema, const Op *op)
{
	if (op->code == OP_ADD) {
		alter_table(b, schema, op->object);
		buf_add(b, "ADD COLUMN ");
		column_text(b, op->name, op->def, op->fallback, op->required);
	} else if (op->code == OP_REMOVE) {
		alter_table(b, schema, op->object);
		buf_add(b, "DROP COLUMN ");
		buf_ident(b, op->name);
	} else {
		if (strstr(op->from, ", generated") != NULL) {
			alter_column(b, schema, op);
			buf_add(b, "DROP EXPRESSION;\n");
		} else if (strstr(op->from, ", identity") != NULL) {
			alter_column(b, schema, op);
			buf_add(b, "DROP IDENTITY;\n");
		}
		alter_column(b, schema, op);
		buf_fmt(b, "TYPE %s", op->def);
	}
	buf_add(b, ";\n");
}

static void
rule_text(Buf *b, const char *schema, const Op *op)
{
	bool add = op->code != OP_REMOVE;

	if (op->kind == ITEM_CONSTRAINT) {
		alter_table(b, schema, op->object);
		buf_add(b, add ? "ADD CONSTRAINT " : "DROP CONSTRAINT IF EXISTS ");
		buf_ident(b, op->name);
		buf_fmt(b, " %s", add ? op->def : "");
	} else if (op->kind == ITEM_DEFAULT) {
		alter_column(b, schema, op);
		buf_fmt(b, add ? "SET DEFAULT %s" : "DROP DEFAULT", op->def);
	} else {
		alter_column(b, schema, op);
		buf_add(b, add ? "SET NOT NULL" : "DROP NOT NULL");
	}
	buf_add(b, ";\n");
}

static void
index_op_text(Buf *b, const char *schema, const Op *op)
{
	if (op->code == OP_REMOVE) {
		buf_add(b, "DROP INDEX ");
		shape_ddl_table(b, schema, op->name);
	} else
		buf_add(b, op->def);
	buf_add(b, ";\n");
}

static void
row_security_text(Buf *b, const char *schema, const Op *op)
{
	bool on = op->code != OP_REMOVE;

	alter_table(b, schema, op->object);
	buf_add(b,
	    on ? "ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;\n"
	       : "DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;\n");
}

static void
policy_text(Buf *b, const char *schema, const Op *op)
{
	Buf on = buf_new(b->mem);

	buf_ident(&on, op->name);
	buf_add(&on, " ON ");
	shape_ddl_table(&on, schema, op->object);
	if (op->code != OP_ADD)
		buf_fmt(b, "DROP POLICY %s;\n", on.text);
	if (op->code != OP_REMOVE)
		buf_fmt(b, "CREATE POLICY %s %s;\n", on.text, op->def);
}

/* "name=value, name=value": what is not named any more goes back to what the server does by itself. */
static void
storage_reset(Buf *b, const char *schema, const Op *op)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
	Buf names = buf_new(b->mem);

	for (const char *p = op->from; *p != '\0';) {
		size_t name = strcspn(p, "=,");

		if (name > 0 && strspn(p, letters) == name)
			buf_fmt(&names, "%s%.*s", names.len == 0 ? "" : ", ", (int)name, p);
		p += strcspn(p, ",");
		p += strspn(p, ", ");
	}
	if (names.len == 0)
		return;
	alter_table(b, schema, op->object);
	buf_fmt(b, "RESET (%s);\n", names.text);
}

static void
storage_text(Buf *b, const char *schema, const Op *op)
{
	if (op->from != NULL)
		storage_reset(b, schema, op);
	if (op->code != OP_REMOVE) {
		alter_table(b, schema, op->object);
		buf_fmt(b, "SET (%s);\n", op->def);
	}
}

void
shape_ddl_op(Buf *b, const char *schema, const Op *op)
{
	if (op->code == OP_RENAME) {
		rename_text(b, schema, op);
		return;
	}
	switch (op->kind) {
	case ITEM_SCHEMA:
		schema_text(b, op);
		return;
	case ITEM_SCHEMA_GRANT:
	case ITEM_GRANT:
		grant_text(b, schema, op);
		return;
	case ITEM_TABLE:
		table_text(b, schema, op);
		return;
	case ITEM_COLUMN:
		column_op_text(b, schema, op);
		return;
	case ITEM_DEFAULT:
	case ITEM_NOT_NULL:
	case ITEM_CONSTRAINT:
		rule_text(b, schema, op);
		return;
	case ITEM_INDEX:
		index_op_text(b, schema, op);
		return;
	case ITEM_ROW_SECURITY:
		row_security_text(b, schema, op);
		return;
	case ITEM_POLICY:
		policy_text(b, schema, op);
		return;
	case ITEM_STATISTICS:
		alter_column(b, schema, op);
		buf_fmt(b, "SET STATISTICS %s;\n", op->code == OP_REMOVE ? "-1" : op->def);
		return;
	case ITEM_STORAGE:
		storage_text(b, schema, op);
		return;
	case ITEM_VIEW:
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
shape_ddl_index(Arena *mem, const Placement *at, const char *object, const char *name,
    const Names *columns, bool unique)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "CREATE %sINDEX CONCURRENTLY ", unique ? "UNIQUE " : "");
	buf_ident(&b, name);
	buf_add(&b, " ON ");
	shape_ddl_table(&b, at->schema, object);
	buf_fmt(&b, " (%s)", shape_led_text(mem, at, columns));
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

bool
shape_damaged(Ctx *cx)
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
			return shape_damaged(cx);
		if ((op.code == OP_ADD || op.code == OP_ALTER || op.code == OP_RENAME) &&
		    op.def == NULL)
			return shape_damaged(cx);
		if (op.code == OP_ALTER && op.from == NULL)
			return shape_damaged(cx);
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
			return shape_damaged(cx);
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

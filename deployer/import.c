#include "deployer/data.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/clock.h"

#include "deployer/import.sql.h"

typedef struct Import {
	Ctx *cx;
	Source *source;
	Model *m;
	Names *notes;
} Import;

static void note(Import *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
note(Import *im, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vec_push(im->cx->mem, im->notes, arena_vprintf(im->cx->mem, fmt, ap));
	va_end(ap);
}

/* --- defaults ----------------------------------------------------------------- */

static bool
is_cast_tail(const char *p)
{
	for (; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr("_ .\"(),[]:", *p) == NULL)
			return false;
	return true;
}

/* The last "::" outside of quotes and brackets that only a type's name follows. */
static char *
find_cast(char *text)
{
	char *found = NULL;
	int depth = 0;
	bool quoted = false;

	for (char *p = text; *p != '\0'; p++) {
		if (*p == '\'')
			quoted = !quoted;
		if (quoted)
			continue;
		depth += (*p == '(') - (*p == ')');
		if (depth == 0 && p[0] == ':' && p[1] == ':' && is_cast_tail(p)) {
			found = p;
			p++;
		}
	}
	return found;
}

static bool
is_wrapped(const char *text)
{
	int depth = 0;
	bool quoted = false;
	size_t n = strlen(text);

	if (n < 2 || text[0] != '(' || text[n - 1] != ')')
		return false;
	for (size_t i = 0; i < n - 1; i++) {
		if (text[i] == '\'')
			quoted = !quoted;
		if (!quoted)
			depth += (text[i] == '(') - (text[i] == ')');
		if (depth == 0)
			return false;
	}
	return !quoted;
}

/* The expression without brackets and casts around it. */
static char *
bare_expression(Arena *mem, const char *expression)
{
	char *text = arena_dup(mem, expression);

	for (;;) {
		char *cast = find_cast(text);
		if (cast != NULL) {
			*cast = '\0';
		} else if (is_wrapped(text)) {
			text[strlen(text) - 1] = '\0';
			text++;
		} else {
			return text;
		}
	}
}

/* 'text' with doubled quotes as its characters; NULL if it is not one literal. */
static char *
unquoted(Arena *mem, const char *literal)
{
	size_t n = strlen(literal);
	Buf b = buf_new(mem);

	if (n < 2 || literal[0] != '\'' || literal[n - 1] != '\'')
		return NULL;
	for (size_t i = 1; i < n - 1; i++) {
		if (literal[i] == '\'' && literal[++i] != '\'')
			return NULL;
		if (i == n - 1)
			return NULL;
		buf_addc(&b, literal[i]);
	}
	return b.text;
}

static bool
is_number(const char *text, bool fraction)
{
	size_t digits;

	text += *text == '-';
	digits = strspn(text, "0123456789");
	text += digits;
	if (fraction && *text == '.') {
		size_t after = strspn(text + 1, "0123456789");
		digits += after;
		text += 1 + after;
	}
	return digits > 0 && digits <= 1000 && *text == '\0';
}

static bool
is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static char *
moment(Arena *mem, const char *text)
{
	int64_t ms;
	char *iso = arena_dup(mem, text);
	char *space = strchr(iso, ' ');

	if (space != NULL)
		*space = 'T';
	if (strlen(iso) > 3 && strcmp(iso + strlen(iso) - 3, "+00") == 0)
		iso[strlen(iso) - 3] = '\0';
	if (strchr(iso, 'T') != NULL)
		iso = arena_printf(mem, "%sZ", iso);
	return clock_parse(iso, &ms) ? iso : NULL;
}

static const char *
constant(Arena *mem, FieldType type, const char *bare)
{
	const char *text = unquoted(mem, bare);
	int64_t ms;

	if (text == NULL && type != TYPE_INTEGER && type != TYPE_NUMBER && type != TYPE_BOOLEAN)
		return NULL;
	if (text == NULL)
		text = bare;
	switch (type) {
	case TYPE_TEXT:
	case TYPE_UUID:
	case TYPE_JSON:
	case TYPE_BYTES:
		return text;
	case TYPE_INTEGER:
		return is_number(text, false) ? text : NULL;
	case TYPE_NUMBER:
		return is_number(text, true) ? text : NULL;
	case TYPE_BOOLEAN:
		return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? text : NULL;
	case TYPE_DATE:
		return strlen(text) == 10 && clock_parse(text, &ms) ? text : NULL;
	case TYPE_TIMESTAMP:
		return moment(mem, text);
	case TYPE_NONE:
	case TYPE_REFERENCE:
	case FIELD_TYPES:
		break;
	}
	return NULL;
}

static const char *
computed(FieldType type, const char *bare)
{
	static const char *const now[] = { "now()", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP",
		"clock_timestamp()", "transaction_timestamp()", "statement_timestamp()",
		"now() AT TIME ZONE 'utc'", "now() AT TIME ZONE 'UTC'",
		"CURRENT_TIMESTAMP AT TIME ZONE 'utc'", "CURRENT_TIMESTAMP AT TIME ZONE 'UTC'",
		"timezone('utc'::text, now())", "timezone('UTC'::text, now())", NULL };
	static const char *const today[] = { "CURRENT_DATE", "now()", "CURRENT_TIMESTAMP", "'now'",
		NULL };
	static const char *const random[] = { "gen_random_uuid()", "uuid_generate_v4()",
		"public.gen_random_uuid()", "public.uuid_generate_v4()", NULL };

	if (type == TYPE_TIMESTAMP && is_one_of(bare, now))
		return "now";
	if (type == TYPE_DATE && is_one_of(bare, today))
		return "today";
	return type == TYPE_UUID && is_one_of(bare, random) ? "random" : NULL;
}

/* --- fields and objects -------------------------------------------------------- */

/* The default as a manifest says it; NULL, and false, if the field could not have it. */
static bool
default_valid(Import *im, const SourceColumn *c, const char **value)
{
	Ctx own = ctx_new(im->cx->mem);
	Field f = { .name = c->ident,
		.type = c->to,
		.max_length = c->max_length,
		.precision = c->precision,
		.scale = c->scale };

	if (model_default(&own, &f, *value, value))
		return true;
	*value = NULL;
	return false;
}

static const char *
import_default(Import *im, const SourceTable *t, const SourceColumn *c)
{
	const char *bare, *value;

	if (c->counted)
		note(im, "column \"%s.%s\": its values are no longer counted up by the server",
		    t->name, c->name);
	if (c->generated)
		note(im, "column \"%s.%s\": is computed there; its values become plain values",
		    t->name, c->name);
	if (c->fallback == NULL || c->counted)
		return NULL;
	bare = bare_expression(im->cx->mem, c->fallback);
	if (strcmp(bare, "NULL") == 0)
		return NULL;
	value = computed(c->to, bare);
	if (value == NULL && c->carry != CARRY_JSON)
		value = constant(im->cx->mem, c->to, bare);
	if (value == NULL)
		note(im, "column \"%s.%s\": its default is not carried", t->name, c->name);
	else if (!default_valid(im, c, &value))
		note(
		    im, "column \"%s.%s\": its default is no value of the field", t->name, c->name);
	return value;
}

static void
import_column(Import *im, Object *o, const SourceTable *t, const SourceColumn *c)
{
	Field f = { .name = c->ident,
		.type = c->to,
		.max_length = c->max_length,
		.precision = c->precision,
		.scale = c->scale,
		.required = c->required };

	if (c->carry == CARRY_NONE) {
		note(im, "column \"%s.%s\": type %s is not carried", t->name, c->name, c->type);
		return;
	}
	if (strcmp(c->name, c->ident) != 0)
		note(im, "column \"%s.%s\": becomes field \"%s\"", t->name, c->name, c->ident);
	if (c->note != NULL)
		note(im, "column \"%s.%s\": type %s: %s", t->name, c->name, c->type, c->note);
	if (c->domain != NULL)
		note(im, "column \"%s.%s\": the checks of domain \"%s\" are not carried", t->name,
		    c->name, c->domain);
	if (c->collation != NULL)
		note(im, "column \"%s.%s\": collation \"%s\" is not carried", t->name, c->name,
		    c->collation);
	f.fallback = import_default(im, t, c);
	vec_push(im->cx->mem, &o->fields, f);
}

static Field *
field_of(Object *o, const char *name)
{
	for (size_t i = 0; name != NULL && i < o->fields.n; i++)
		if (strcmp(o->fields.at[i].name, name) == 0)
			return &o->fields.at[i];
	return NULL;
}

static Field *
field_of_column(Object *o, const SourceTable *t, const char *column)
{
	const SourceColumn *c = column == NULL ? NULL : source_column(t, column);

	return c == NULL ? NULL : field_of(o, c->ident);
}

static bool
can_be_key(const Field *f)
{
	return f != NULL && f->type != TYPE_JSON && f->type != TYPE_BYTES;
}

/* A key of its own where the table has none that can be one. */
static void
make_key(Import *im, Object *o, const SourceTable *t)
{
	const char *name = "id";
	Field f = { .type = TYPE_UUID, .required = true, .fallback = "random" };

	for (int i = 1; field_of(o, name) != NULL; i++)
		name = i == 1 ? "row_id" : arena_printf(im->cx->mem, "row_id_%d", i);
	note(im,
	    "table \"%s\": has no primary key that can be one here; the key is the new field \"%s\"",
	    t->name, name);
	f.name = name;
	vec_push(im->cx->mem, &o->fields, f);
	vec_push(im->cx->mem, &o->key, name);
}

static void
import_key(Import *im, Object *o, const SourceTable *t)
{
	bool usable = t->key.n > 0;

	for (size_t i = 0; i < t->key.n; i++)
		usable = usable && can_be_key(field_of_column(o, t, t->key.at[i]));
	if (!usable) {
		make_key(im, o, t);
		return;
	}
	for (size_t i = 0; i < t->key.n; i++) {
		Field *f = field_of_column(o, t, t->key.at[i]);
		if (f->type == TYPE_TEXT &&
		    (f->max_length == 0 || f->max_length > INDEX_TEXT_MAX)) {
			note(im, "column \"%s.%s\": as a key it may have at most %d characters",
			    t->name, t->key.at[i], INDEX_TEXT_MAX);
			f->max_length = INDEX_TEXT_MAX;
		}
		vec_push(im->cx->mem, &o->key, f->name);
	}
}

static void
import_table(Import *im, const SourceTable *t)
{
	Object o = { .name = t->ident };

	if (strcmp(t->name, t->ident) != 0)
		note(im, "table \"%s\": becomes object \"%s\"", t->name, t->ident);
	for (size_t i = 0; i < t->columns.n; i++)
		import_column(im, &o, t, &t->columns.at[i]);
	import_key(im, &o, t);
	vec_push(im->cx->mem, &im->m->objects, o);
}

/* --- rules --------------------------------------------------------------------- */

static Object *
object_of(Import *im, const SourceTable *t)
{
	return &im->m->objects.at[t - im->source->tables.at]; /* one object a table, in order */
}

static bool
can_be_indexed(const Field *f)
{
	return can_be_key(f) &&
	    (f->type != TYPE_TEXT || (f->max_length > 0 && f->max_length <= INDEX_TEXT_MAX));
}

static bool
is_whole_key(const Object *o, const Field *f)
{
	return o->key.n == 1 && strcmp(o->key.at[0], f->name) == 0;
}

static void
import_unique(Import *im, const SourceTable *t, const char *rule, const char *column, bool single)
{
	Object *o = object_of(im, t);
	Field *f = single ? field_of_column(o, t, column) : NULL;

	if (!single)
		note(im, "table \"%s\": unique \"%s\" is not carried: only that of one column is",
		    t->name, rule);
	else if (f == NULL || !can_be_indexed(f))
		note(im, "table \"%s\": unique \"%s\" is not carried: its field cannot be unique",
		    t->name, rule);
	else
		f->unique = f->unique || !is_whole_key(o, f);
}

static void
import_index(Import *im, const SourceTable *t, const char *name, const char *column, bool plain)
{
	Object *o = object_of(im, t);
	Field *f = plain ? field_of_column(o, t, column) : NULL;

	if (!plain)
		note(im,
		    "table \"%s\": index \"%s\" is not carried: only a plain one of one column is",
		    t->name, name);
	else if (f == NULL || !can_be_indexed(f))
		note(im, "table \"%s\": index \"%s\" is not carried: its field cannot be indexed",
		    t->name, name);
	else
		f->indexed = f->type != TYPE_REFERENCE && !f->unique && !is_whole_key(o, f);
}

static OnDelete
import_on_delete(
    Import *im, const SourceTable *t, const Object *o, const Field *f, const char *rule, char how)
{
	if (how == 'c')
		return ON_DELETE_CASCADE;
	if (how == 'n' && !f->required && !object_key_has(o, f->name))
		return ON_DELETE_SET_NULL;
	if (how == 'n' || how == 'd')
		note(im, "table \"%s\": reference \"%s\": ON DELETE SET %s becomes restrict",
		    t->name, rule, how == 'n' ? "NULL" : "DEFAULT");
	return ON_DELETE_RESTRICT;
}

static const char *
why_no_reference(Import *im, const SourceTable *t, const PgRows *rows, int i)
{
	const SourceTable *to = source_table(im->source, pg_text(rows, i, 5));
	const Object *target = to == NULL ? NULL : object_of(im, to);
	const SourceColumn *c = to == NULL ? NULL : source_column(to, pg_text(rows, i, 6));
	const Field *f = field_of_column(object_of(im, t), t, pg_text(rows, i, 3));

	if (pg_int(rows, i, 4) != 1)
		return "only that of one column is";
	if (to == NULL)
		return "its table is not in this schema";
	if (target->key.n != 1 || c == NULL || strcmp(target->key.at[0], c->ident) != 0)
		return "it does not name the primary key";
	if (f == NULL)
		return "its column is not carried";
	return f->type == TYPE_REFERENCE ? "its column refers to another table already" : NULL;
}

static void
import_reference(Import *im, const SourceTable *t, const PgRows *rows, int i)
{
	const char *rule = pg_text(rows, i, 1);
	const char *why = why_no_reference(im, t, rows, i);
	Object *o = object_of(im, t);

	if (why != NULL) {
		note(im, "table \"%s\": reference \"%s\" is not carried: %s", t->name, rule, why);
		return;
	}
	if (pg_text(rows, i, 9)[0] != 'a' && pg_text(rows, i, 9)[0] != 'r')
		note(im, "table \"%s\": reference \"%s\": its ON UPDATE is not carried", t->name,
		    rule);
	if (pg_bool(rows, i, 10))
		note(im, "table \"%s\": reference \"%s\": is checked at once, never deferred",
		    t->name, rule);
	Field *f = field_of_column(o, t, pg_text(rows, i, 3));
	f->on_delete = import_on_delete(im, t, o, f, rule, pg_text(rows, i, 8)[0]);
	f->type = TYPE_REFERENCE;
	f->to = source_table(im->source, pg_text(rows, i, 5))->ident;
	f->max_length = f->precision = f->scale = 0;
	f->indexed = false;
	if (f->fallback != NULL)
		note(im, "table \"%s\": reference \"%s\": the default of its column is not carried",
		    t->name, rule);
	f->fallback = NULL;
}

static void
import_rule(Import *im, const PgRows *rows, int i)
{
	const SourceTable *t = source_table(im->source, pg_text(rows, i, 0));
	const char *rule = pg_text(rows, i, 1);
	char kind = pg_text(rows, i, 2)[0];

	if (t == NULL)
		return;
	if (kind == 'f')
		import_reference(im, t, rows, i);
	else if (kind == 'u')
		import_unique(im, t, rule, pg_value(rows, i, 3),
		    pg_int(rows, i, 4) == 1 && !pg_bool(rows, i, 11));
	else
		note(im, "table \"%s\": %s \"%s\" is not carried", t->name,
		    kind == 'c' ? "check" : "exclusion", rule);
}

static bool
import_rules(Import *im)
{
	PgRows rows;
	const char *params[] = { im->source->schema };

	if (!pg_query(im->cx, im->source->pg, &SQL_IMPORT_RULES, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++)
		import_rule(im, &rows, i);
	if (!pg_query(im->cx, im->source->pg, &SQL_IMPORT_INDEXES, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++) {
		const SourceTable *t = source_table(im->source, pg_text(&rows, i, 0));
		const char *name = pg_text(&rows, i, 1), *column = pg_value(&rows, i, 4);
		if (t == NULL)
			continue;
		if (pg_bool(&rows, i, 2))
			import_unique(im, t, name, column, pg_bool(&rows, i, 3));
		else
			import_index(im, t, name, column, pg_bool(&rows, i, 3));
	}
	if (!pg_query(im->cx, im->source->pg, &SQL_IMPORT_OTHERS, &rows, params))
		return false;
	for (int i = 0; i < rows.n; i++)
		note(im, "%s \"%s\" is not carried", pg_text(&rows, i, 0), pg_text(&rows, i, 1));
	return true;
}

bool
data_import(Ctx *cx, const PgTarget *target, const char *schema, const char *name, Model **out,
    Names *notes)
{
	Import im = { .cx = cx, .notes = notes, .m = arena_alloc(cx->mem, sizeof(Model)) };

	im.m->name = name;
	im.m->version = 1;
	if (!source_open(cx, target, schema, &im.source))
		return false;
	for (size_t i = 0; i < im.source->tables.n; i++)
		import_table(&im, &im.source->tables.at[i]);
	if (!import_rules(&im) || !model_check(cx, im.m))
		return fail_in(
		    cx, "describing schema \"%s\" of the source \"%s\"", schema, target->name);
	source_close(im.source);
	*out = im.m;
	return true;
}

#include "lib/core/model.h"

#include <stdlib.h>
#include <string.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/map.h"
#include "lib/core/kinds.h"

#define SERVER_NAME_MAX 63 /* bytes */
#define HOPS_MAX        32 /* references that lead to references */

const char *
mode_name(Mode m)
{
	return m == MODE_NONE ? "none" : mode_words[m];
}

Mode
mode_of(const char *name)
{
	for (Mode m = MODE_SHARED; m < MODES; m++)
		if (strcmp(mode_words[m], name) == 0)
			return m;
	return MODE_NONE;
}

const char *
type_name(FieldType t)
{
	return t == TYPE_NONE ? "none" : type_words[t];
}

const Object *
model_object(const Model *m, const char *name)
{
	for (size_t i = 0; i < m->objects.n; i++)
		if (strcmp(m->objects.at[i].name, name) == 0)
			return &m->objects.at[i];
	return NULL;
}

const Field *
object_field(const Object *o, const char *name)
{
	for (size_t i = 0; i < o->fields.n; i++)
		if (strcmp(o->fields.at[i].name, name) == 0)
			return &o->fields.at[i];
	return NULL;
}

bool
names_have(const Names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->at[i], name) == 0)
			return true;
	return false;
}

bool
object_key_has(const Object *o, const char *field)
{
	return names_have(&o->key, field);
}

bool
field_resolved(const Model *m, const Field *f, Field *out)
{
	const Field *end = f;

	for (int hops = 0; end->type == TYPE_REFERENCE; hops++) {
		const Object *target = end->to == NULL ? NULL : model_object(m, end->to);

		if (hops == HOPS_MAX || target == NULL || target->key.n != 1)
			return false;
		end = object_field(target, target->key.at[0]);
		if (end == NULL)
			return false;
	}
	*out = *f;
	out->type = end->type;
	out->max_length = end->max_length;
	out->precision = end->precision;
	out->scale = end->scale;
	return true;
}

/* --- names ------------------------------------------------------------------ */

/* PostgreSQL's reserved words of all versions so far, those that functions may have included. */
static const char *const reserved[] = { "all", "analyse", "analyze", "and", "any", "array", "as",
	"asc", "asymmetric", "authorization", "binary", "both", "case", "cast", "check", "collate",
	"collation", "column", "concurrently", "constraint", "create", "cross", "current_catalog",
	"current_date", "current_role", "current_schema", "current_time", "current_timestamp",
	"current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except",
	"false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having",
	"ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral",
	"leading", "left", "like", "limit", "localtime", "localtimestamp", "natural", "not",
	"notnull", "null", "offset", "on", "only", "or", "order", "outer", "overlaps", "placing",
	"primary", "references", "returning", "right", "select", "session_user", "similar", "some",
	"symmetric", "system_user", "table", "tablesample", "then", "to", "trailing", "true",
	"union", "unique", "user", "using", "variadic", "verbose", "when", "where", "window",
	"with" };

static const char *const system_columns[] = {
	"cmax",
	"cmin",
	"ctid",
	"oid",
	"tableoid",
	"xmax",
	"xmin",
};

static int
word_order(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

static bool
among(const char *word, const char *const *sorted, size_t n)
{
	return bsearch(word, sorted, n, sizeof *sorted, word_order) != NULL;
}

static bool
spelled(const char *name, const char *set, size_t max)
{
	size_t n = strlen(name);

	return n > 0 && n <= max && name[0] >= 'a' && name[0] <= 'z' && strspn(name, set) == n;
}

bool
ident_valid(const char *name, const char **why)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	const char *reason = NULL;

	if (strlen(name) > 48)
		reason = "is longer than 48 characters";
	else if (!spelled(name, set, 48))
		reason = "is not a name";
	else if (among(name, reserved, LENGTH(reserved)))
		reason = "is a reserved word of SQL";
	else if (strncmp(name, "pg_", 3) == 0)
		reason = "begins with \"pg_\", which PostgreSQL keeps for itself";
	else if (among(name, system_columns, LENGTH(system_columns)))
		reason = "is the name of a system column";
	if (why != NULL)
		*why = reason;
	return reason == NULL;
}

bool
spare_valid(const Field *f)
{
	size_t n = strlen(type_name(f->type));
	const char *number = f->name + n + 2;

	return f->name[0] == '_' && strncmp(f->name + 1, type_name(f->type), n) == 0 &&
	    f->name[n + 1] == '_' && *number >= '1' && *number <= '9' && strlen(number) <= 4 &&
	    number[strspn(number, "0123456789")] == '\0';
}

bool
name_valid(const char *name)
{
	return spelled(name, "abcdefghijklmnopqrstuvwxyz0123456789-", 40);
}

/* printf would do it; a check of ten thousand tenants names some million rules. */
static char *
add(char *to, const char *text)
{
	size_t n = strlen(text);

	memcpy(to, text, n);
	return to + n;
}

char *
rule_name(Arena *mem, const char *object, const char *field, const char *suffix)
{
	size_t n = strlen(object) + (field == NULL ? 0 : strlen(field) + 1) + 1 + strlen(suffix);
	char *whole = arena_alloc(mem, n + 1), *end = add(whole, object);

	if (field != NULL)
		end = add(add(end, "_"), field);
	add(add(end, "_"), suffix);
	if (n <= SERVER_NAME_MAX)
		return whole;
	return arena_printf(mem, "%.26s_%.8s_%s", whole, sha256_hex(mem, whole, n), whole + n - 27);
}

/* --- order ------------------------------------------------------------------ */

typedef struct Sorter {
	Map *left;     /* name -> Object *, not yet visited */
	bool required; /* only references that a row must have are followed */
	VEC(const Object *) out;
	Arena *mem;
} Sorter;

/* Depth first; an object is taken out before its references are followed, which ends cycles. */
static void
visit(Sorter *s, const Object *o)
{
	map_remove(s->left, o->name);
	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];
		const Object *target = f->to == NULL || (s->required && !f->required)
		    ? NULL
		    : map_get(s->left, f->to);

		if (target != NULL)
			visit(s, target);
	}
	vec_push(s->mem, &s->out, o);
}

static void
sort(Sorter *s, const Object *const *roots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		map_set(s->left, roots[i]->name, (void *)roots[i]);
	for (size_t i = 0; i < n; i++)
		if (map_get(s->left, roots[i]->name) != NULL)
			visit(s, roots[i]);
}

/* All references first; then, where that met a cycle, the required ones decide. */
bool
model_order(Ctx *cx, const Model *m, const Object ***order)
{
	Sorter all = { .left = map_new(cx->mem), .mem = cx->mem };
	Sorter must = { .left = map_new(cx->mem), .mem = cx->mem, .required = true };
	VEC(const Object *) given = { 0 };

	if (m->objects.n > 2 * MODEL_OBJECTS_MAX)
		return fail(cx, FAIL_LIMIT, "Split the model.",
		    "a model has %zu objects, more than %d", m->objects.n, 2 * MODEL_OBJECTS_MAX);
	for (size_t i = 0; i < m->objects.n; i++)
		vec_push(cx->mem, &given, &m->objects.at[i]);
	sort(&all, given.at, given.n);
	sort(&must, all.out.at, all.out.n);
	*order = must.out.at;
	return true;
}

/* --- canonical form --------------------------------------------------------- */

char *
model_canonical(Arena *mem, const Model *m)
{
	Arena *scratch = arena_new(mem);
	char *text = js_canonical(mem, keys_dump(scratch, &shape_table, m));

	arena_free(scratch);
	return text;
}

static bool
check_names(Ctx *cx, const Model *m)
{
	for (size_t i = 0; i < m->objects.n; i++)
		for (size_t k = 0; k < m->objects.at[i].fields.n; k++) {
			const Field *f = &m->objects.at[i].fields.at[k];
			if (f->spare ? !spare_valid(f) : !ident_valid(f->name, NULL))
				return keys_wrong(
				    cx, f->place, NULL, "\"%.63s\" is no name of a field", f->name);
		}
	return true;
}

bool
model_from_json(Ctx *cx, const char *json, Model **out)
{
	Model *m = arena_alloc(cx->mem, sizeof *m);
	Node *node;

	if (!js_parse_node(cx, "(catalogue)", json, strlen(json), &node) ||
	    !keys_load(cx, &shape_table, node, m) || !check_names(cx, m))
		return fail_in(cx, "reading a model from the catalogue");
	*out = m;
	return true;
}

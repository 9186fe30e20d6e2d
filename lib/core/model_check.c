/*
 * Whether a model can be what it says on a server, and what it leaves unsaid.
 *
 * First each object is settled by itself (implied flags, default keys,
 * canonical defaults), then the whole is verified: references, names of rules,
 * renames, the drop list.  Settling twice changes nothing.
 */
#include "lib/core/model.h"

#include <inttypes.h>
#include <string.h>

#include "lib/adapters/map.h"
#include "lib/core/keys.h"

#define INDEX_BYTES_MAX \
	2600 /* an entry of a B-tree holds 2,704 bytes; its head and paddings go off */

static const char index_hint[] = "An entry of an index holds 2,704 bytes: give such a text a "
				 "maxLength of 600 at most.";

static bool
check_ident(Ctx *cx, Place place, const char *name)
{
	const char *why;

	if (name == NULL || name[0] == '\0')
		return keys_wrong(cx, place, NULL, "a name is missing");
	if (ident_valid(name, &why))
		return true;
	return keys_wrong(cx, place,
	    "Choose another name: small letters, digits and \"_\", a "
	    "letter first, 48 characters at most, no reserved word of SQL.",
	    "\"%.60s\" %s", name, why);
}

/* --- one field -------------------------------------------------------------- */

static bool
not_for_type(Ctx *cx, const Object *o, const Field *f, const char *key, const char *types)
{
	return keys_wrong(cx, f->place,
	    arena_printf(cx->mem,
		"Only %s has it: remove it, or "
		"change the type.",
		types),
	    "\"%s.%s\" has %s, but is of type %s", o->name, f->name, key, type_name(f->type));
}

static bool
check_type_keys(Ctx *cx, const Object *o, const Field *f)
{
	if (f->max_length != 0 && f->type != TYPE_TEXT)
		return not_for_type(cx, o, f, "maxLength", "text");
	if (f->precision != 0 && f->type != TYPE_NUMBER)
		return not_for_type(cx, o, f, "precision", "number");
	if (f->scale != 0 && f->type != TYPE_NUMBER)
		return not_for_type(cx, o, f, "scale", "number");
	if (f->to != NULL && f->type != TYPE_REFERENCE)
		return not_for_type(cx, o, f, "to", "reference");
	if (f->on_delete != ON_DELETE_RESTRICT && f->type != TYPE_REFERENCE)
		return not_for_type(cx, o, f, "onDelete", "reference");
	if (f->scale != 0 && f->precision == 0)
		return keys_wrong(cx, f->place, "Give a precision, the digits in all.",
		    "\"%s.%s\" has a scale, but no precision", o->name, f->name);
	if (f->scale > f->precision)
		return keys_wrong(cx, f->place,
		    "Give a precision, the digits in all, that is not "
		    "below the scale.",
		    "\"%s.%s\" has scale %" PRId64 ", but precision %" PRId64, o->name, f->name,
		    f->scale, f->precision);
	if (f->type == TYPE_REFERENCE && f->to == NULL)
		return keys_wrong(cx, f->place, "Name the object that it points to: to: account.",
		    "\"%s.%s\" is a reference without \"to\"", o->name, f->name);
	if (f->type == TYPE_REFERENCE && f->fallback != NULL)
		return keys_wrong(cx, f->place, "Remove the default.",
		    "\"%s.%s\" is a reference and cannot have a default", o->name, f->name);
	return true;
}

/* What is to stand in an index must fit into one. */
static bool
check_indexable(Ctx *cx, const Object *o, const Field *f, const char *use)
{
	if (f->type == TYPE_JSON || f->type == TYPE_BYTES)
		return keys_wrong(cx, f->place, "Use a field of another type for it.",
		    "\"%s.%s\" is of type %s and cannot be %s", o->name, f->name,
		    type_name(f->type), use);
	if (f->type == TYPE_TEXT && (f->max_length == 0 || f->max_length > INDEX_TEXT_MAX))
		return keys_wrong(cx, f->place, index_hint,
		    "\"%s.%s\" is a text without a maxLength of %d or less and cannot be %s",
		    o->name, f->name, INDEX_TEXT_MAX, use);
	return true;
}

static bool
settle_field(Ctx *cx, const Object *o, Field *f)
{
	if (!check_ident(cx, f->place, f->name) ||
	    (f->was != NULL && !check_ident(cx, f->place, f->was)))
		return false;
	if (f->type <= TYPE_NONE || f->type >= FIELD_TYPES)
		return keys_wrong(cx, f->place, NULL, "\"%s.%s\" has no type", o->name, f->name);
	if (!check_type_keys(cx, o, f))
		return false;
	if (f->fallback != NULL && !model_default(cx, f, f->fallback, &f->fallback))
		return false;
	if (f->unique)
		f->indexed = false;
	if ((f->unique && !check_indexable(cx, o, f, "unique")) ||
	    (f->indexed && !check_indexable(cx, o, f, "indexed")))
		return false;
	if (f->required && f->on_delete == ON_DELETE_SET_NULL)
		return keys_wrong(cx, f->place,
		    "Take onDelete: cascade or restrict, or let the "
		    "field be empty.",
		    "\"%s.%s\" is required and cannot be set to null on delete", o->name, f->name);
	return true;
}

static bool
settle_fields(Ctx *cx, const Object *o, Field *fields, size_t n)
{
	Arena *scratch = arena_new(cx->mem);
	Map *names = map_new(scratch);
	bool ok = true;

	if (n > OBJECT_FIELDS_MAX)
		ok = keys_wrong(cx, o->place, "Split the object.",
		    "\"%s\" has %zu fields, more "
		    "than %d",
		    o->name, n, OBJECT_FIELDS_MAX);
	for (size_t i = 0; i < n && ok; i++) {
		const Field *other;

		ok = settle_field(cx, o, &fields[i]);
		if (!ok)
			break;
		other = map_get(names, fields[i].name);
		if (other != NULL)
			ok = keys_wrong(cx, fields[i].place, "Rename or remove one of the two.",
			    "field \"%s.%s\" stands twice, first in line %d", o->name,
			    fields[i].name, other->place.line);
		map_set(names, fields[i].name, &fields[i]);
	}
	arena_free(scratch);
	return ok;
}

/* --- one object ------------------------------------------------------------- */

static Field *
field_of(Object *o, const char *name)
{
	for (size_t i = 0; i < o->fields.n; i++)
		if (strcmp(o->fields.at[i].name, name) == 0)
			return &o->fields.at[i];
	return NULL;
}

/* A field `id` that is there already serves as the key. */
static void
default_key(Arena *mem, Object *o)
{
	Field id = { .name = "id",
		.type = TYPE_UUID,
		.required = true,
		.fallback = "random",
		.own = o->own,
		.place = o->place };

	if (o->key.n > 0)
		return;
	vec_push(mem, &o->key, "id");
	if (field_of(o, "id") != NULL)
		return;
	vec_push(mem, &o->fields, id);
	memmove(o->fields.at + 1, o->fields.at, (o->fields.n - 1) * sizeof id);
	o->fields.at[0] = id;
}

static bool
missing_key_field(Ctx *cx, const Object *o, const char *name)
{
	Names names = { 0 };

	for (size_t i = 0; i < o->fields.n; i++)
		vec_push(cx->mem, &names, o->fields.at[i].name);
	return keys_wrong(cx, o->place, keys_nearest(cx->mem, name, names.at, names.n),
	    "key \"%.60s\" is no field of \"%s\"", name, o->name);
}

static bool
settle_key(Ctx *cx, Object *o)
{
	for (size_t i = 0; i < o->key.n; i++) {
		Field *f = field_of(o, o->key.at[i]);

		if (f == NULL)
			return missing_key_field(cx, o, o->key.at[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(o->key.at[j], o->key.at[i]) == 0)
				return keys_wrong(cx, o->place, "Remove one of the two.",
				    "\"%s\" stands twice in the key of \"%s\"", f->name, o->name);
		if (f->on_delete == ON_DELETE_SET_NULL)
			return keys_wrong(cx, f->place, "Take onDelete: cascade or restrict.",
			    "\"%s.%s\" is part of the key and cannot be set to null on delete",
			    o->name, f->name);
		if (!check_indexable(cx, o, f, "part of the key"))
			return false;
		f->required = true;
		if (i == 0)
			f->indexed = false;
		if (o->key.n == 1)
			f->unique = false;
	}
	return true;
}

static bool
settle_object(Ctx *cx, Object *o)
{
	if (!check_ident(cx, o->place, o->name) ||
	    (o->was != NULL && !check_ident(cx, o->place, o->was)))
		return false;
	default_key(cx->mem, o);
	if (o->key.n > 32)
		return keys_wrong(cx, o->place, "Take fewer fields.",
		    "the key of \"%s\" has %zu fields, more than 32", o->name, o->key.n);
	return settle_fields(cx, o, o->fields.at, o->fields.n) && settle_key(cx, o);
}

/* --- the whole -------------------------------------------------------------- */

typedef struct Check {
	Ctx *cx;
	Arena *scratch;
	Arena *keep; /* of the rules */
	const Model *m;
	Map *objects;    /* name -> Object * */
	Map *rules;      /* name on the server -> Owner * */
	const Map *base; /* the same of the model, when only a tenant's own parts are new */
} Check;

typedef struct Owner { /* whose rule it is */
	const Object *object;
	const Field *field; /* NULL: the object's own */
} Owner;

static char *
nearest_object(const Check *c, const char *word)
{
	Names names = { 0 };

	for (size_t i = 0; i < c->m->objects.n; i++)
		vec_push(c->scratch, &names, c->m->objects.at[i].name);
	return keys_nearest(c->cx->mem, word, names.at, names.n);
}

static bool
collect_objects(Check *c)
{
	if (c->m->objects.n > MODEL_OBJECTS_MAX)
		return keys_wrong(c->cx, c->m->place, "Split the model.",
		    "model \"%s\" has %zu objects, more than %d", c->m->name, c->m->objects.n,
		    MODEL_OBJECTS_MAX);
	for (size_t i = 0; i < c->m->objects.n; i++) {
		Object *o = &c->m->objects.at[i];
		const Object *other = map_get(c->objects, o->name);

		if (other != NULL && o->own && !other->own)
			return keys_wrong(c->cx, o->place,
			    "Give the tenant's object another name, "
			    "or add its fields under \"fields\".",
			    "object \"%s\" is one of model \"%s\" already", o->name, c->m->name);
		if (other != NULL)
			return keys_wrong(c->cx, o->place, "Rename or remove one of the two.",
			    "object \"%s\" stands twice, first in line %d", o->name,
			    other->place.line);
		map_set(c->objects, o->name, o);
	}
	return true;
}

static bool
check_reference(Check *c, const Object *o, const Field *f)
{
	const Object *target = map_get(c->objects, f->to);
	Field end;

	if (target == NULL)
		return keys_wrong(c->cx, f->place, nearest_object(c, f->to),
		    "\"%s.%s\" refers to \"%.60s\", which is no object of the model", o->name,
		    f->name, f->to);
	if (target->key.n != 1)
		return keys_wrong(c->cx, f->place,
		    "Only an object with a key of one field can be "
		    "referred to.",
		    "\"%s.%s\" refers to \"%s\", whose key has %zu fields", o->name, f->name, f->to,
		    target->key.n);
	if (!field_resolved(c->m, f, &end))
		return keys_wrong(c->cx, f->place, "Let one of these keys be no reference.",
		    "\"%s.%s\" refers to \"%s\", whose key leads round in a circle", o->name,
		    f->name, f->to);
	return true;
}

static int64_t
index_bytes(const Field *f)
{
	switch (f->type) {
	case TYPE_TEXT:
		return 4 * f->max_length + 4;
	case TYPE_UUID:
		return 16;
	case TYPE_NUMBER:
		return 16 + f->precision / 2;
	default:
		return 8;
	}
}

static bool
check_key_size(Check *c, const Object *o)
{
	int64_t sum = 0;
	Field end;

	for (size_t i = 0; i < o->key.n; i++) {
		const Field *f = object_field(o, o->key.at[i]);

		if (f != NULL && field_resolved(c->m, f, &end))
			sum += index_bytes(&end);
	}
	if (sum <= INDEX_BYTES_MAX)
		return true;
	return keys_wrong(c->cx, o->place,
	    "An entry of an index holds 2,704 bytes: take shorter "
	    "texts, four bytes a character.",
	    "the key of \"%s\" may need %" PRId64 " bytes", o->name, sum);
}

static char *
owner_text(const Check *c, const Owner *owner)
{
	if (owner->field == NULL)
		return arena_dup(c->scratch, owner->object->name);
	return arena_printf(c->scratch, "%s.%s", owner->object->name, owner->field->name);
}

/* The one name space of a database schema: tables and indexes; constraints keep to it, too. */
static bool
claim(Check *c, Place place, const char *rule, const Owner *owner)
{
	const Owner *other = c->base == NULL ? NULL : map_get(c->base, rule);

	if (other == NULL)
		other = map_get(c->rules, rule);
	if (other != NULL)
		return keys_wrong(c->cx, place, "Rename one of the two.",
		    "\"%s\" and \"%s\" both need the name \"%s\" on the server",
		    owner_text(c, other), owner_text(c, owner), rule);
	map_set(c->rules, rule, (void *)(uintptr_t)owner);
	return true;
}

static Owner *
owner_new(const Check *c, const Object *o, const Field *f)
{
	Owner *owner = arena_alloc(c->keep, sizeof *owner);

	*owner = (Owner){ o, f };
	return owner;
}

static bool
claim_field(Check *c, const Object *o, const Field *f)
{
	bool reference = f->type == TYPE_REFERENCE;
	const char *suffix[4];
	size_t n = 0;
	Field end;

	if (f->unique)
		suffix[n++] = "key";
	else if (f->indexed || reference)
		suffix[n++] = "idx";
	if (reference)
		suffix[n++] = "fkey";
	if (field_resolved(c->m, f, &end) && end.type == TYPE_TEXT && end.max_length > 0)
		suffix[n++] = "max";
	const Owner *owner = n == 0 ? NULL : owner_new(c, o, f);
	for (size_t i = 0; i < n; i++)
		if (!claim(c, f->place, rule_name(c->scratch, o->name, f->name, suffix[i]), owner))
			return false;
	return true;
}

/* What was checked with the model need not be checked with every tenant. */
static bool
is_new(const Check *c, bool own)
{
	return own || c->base == NULL;
}

static bool
claim_rules(Check *c)
{
	for (size_t i = 0; i < c->m->objects.n; i++) {
		const Object *o = &c->m->objects.at[i];

		if (!is_new(c, o->own))
			continue;
		const Owner *owner = owner_new(c, o, NULL);
		if (!claim(c, o->place, o->name, owner) ||
		    !claim(c, o->place, rule_name(c->scratch, o->name, NULL, "pkey"), owner))
			return false;
	}
	for (size_t i = 0; i < c->m->objects.n; i++) {
		const Object *o = &c->m->objects.at[i];

		for (size_t j = 0; j < o->fields.n; j++)
			if (is_new(c, o->fields.at[j].own) && !claim_field(c, o, &o->fields.at[j]))
				return false;
	}
	return true;
}

static bool
check_was(Check *c, Place place, const char *name, const char *was, const char *prefix,
    const Map *there, Map *taken)
{
	const char *hint =
	    "A rename takes a name that nothing has any more: `was` is the old name, "
	    "`name` the new one.";

	if (map_get(there, was) != NULL)
		return keys_wrong(c->cx, place, hint,
		    "\"%s%s\" was \"%s\", but \"%s%s\" is still in the model", prefix, name, was,
		    prefix, was);
	if (map_get(taken, was) != NULL)
		return keys_wrong(c->cx, place, hint, "\"%s%s\" and \"%s%s\" both were \"%s\"",
		    prefix, (const char *)map_get(taken, was), prefix, name, was);
	map_set(taken, was, (void *)(uintptr_t)name);
	return true;
}

static bool
check_field_renames(Check *c, const Object *o)
{
	Map *names = NULL, *taken = NULL;
	const char *prefix = NULL;

	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];

		if (f->was == NULL)
			continue;
		if (names == NULL) {
			names = map_new(c->scratch);
			taken = map_new(c->scratch);
			prefix = arena_printf(c->scratch, "%s.", o->name);
			for (size_t j = 0; j < o->fields.n; j++)
				map_set(names, o->fields.at[j].name, &o->fields.at[j]);
		}
		if (!check_was(c, f->place, f->name, f->was, prefix, names, taken))
			return false;
	}
	return true;
}

static bool
check_renames(Check *c)
{
	Map *taken = map_new(c->scratch);

	for (size_t i = 0; i < c->m->objects.n; i++) {
		const Object *o = &c->m->objects.at[i];

		if (o->was != NULL &&
		    !check_was(c, o->place, o->name, o->was, "", c->objects, taken))
			return false;
		if (!check_field_renames(c, o))
			return false;
	}
	return true;
}

static bool
was_field(const Object *o, const char *name)
{
	for (size_t i = 0; i < o->fields.n; i++)
		if (o->fields.at[i].was != NULL && strcmp(o->fields.at[i].was, name) == 0)
			return true;
	return false;
}

static bool
was_object(const Model *m, const char *name)
{
	for (size_t i = 0; i < m->objects.n; i++)
		if (m->objects.at[i].was != NULL && strcmp(m->objects.at[i].was, name) == 0)
			return true;
	return false;
}

static bool
still_there(Check *c, const char *entry)
{
	return keys_wrong(c->cx, c->m->place, "Take it out of the objects, or out of drop.",
	    "\"%s\" stands in drop, but is still in the model", entry);
}

static bool
check_drop_field(Check *c, const char *entry, const char *dot)
{
	const char *name = arena_dupn(c->scratch, entry, (size_t)(dot - entry));
	const Object *o = map_get(c->objects, name);

	if (o == NULL && names_have(&c->m->drop, name))
		return true;
	if (o == NULL)
		return keys_wrong(c->cx, c->m->place, nearest_object(c, name),
		    "drop names \"%.110s\", but \"%.60s\" is no object of the model", entry, name);
	if (object_field(o, dot + 1) != NULL || was_field(o, dot + 1))
		return still_there(c, entry);
	return true;
}

static bool
check_drop(Check *c)
{
	for (size_t i = 0; i < c->m->drop.n; i++) {
		const char *entry = c->m->drop.at[i], *dot = strchr(entry, '.');
		const char *object = dot == NULL
		    ? entry
		    : arena_dupn(c->scratch, entry, (size_t)(dot - entry));

		if (!ident_valid(object, NULL) || (dot != NULL && !ident_valid(dot + 1, NULL)))
			return keys_wrong(c->cx, c->m->place,
			    "Write \"object\" or "
			    "\"object.field\".",
			    "drop names \"%.110s\", which is neither an object "
			    "nor a field",
			    entry);
		if (dot != NULL && !check_drop_field(c, entry, dot))
			return false;
		if (dot == NULL && (map_get(c->objects, entry) != NULL || was_object(c->m, entry)))
			return still_there(c, entry);
	}
	return true;
}

static bool
verify_object(Check *c, const Object *o)
{
	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];

		if (is_new(c, f->own) && f->type == TYPE_REFERENCE && !check_reference(c, o, f))
			return false;
	}
	return !is_new(c, o->own) || check_key_size(c, o);
}

static bool
verify_parts(Check *c)
{
	if (!collect_objects(c))
		return false;
	for (size_t i = 0; i < c->m->objects.n; i++)
		if (!verify_object(c, &c->m->objects.at[i]))
			return false;
	return claim_rules(c) && check_renames(c) && check_drop(c);
}

static bool
verify(Ctx *cx, const Model *m, const Map *base, Map *rules, Arena *keep)
{
	Arena *scratch = arena_new(cx->mem);
	Check c = { .cx = cx,
		.scratch = scratch,
		.keep = keep,
		.m = m,
		.base = base,
		.objects = map_new(scratch),
		.rules = rules };
	bool ok = verify_parts(&c);

	arena_free(scratch);
	return ok;
}

bool
model_check(Ctx *cx, Model *m)
{
	Map *rules = map_new(cx->mem);

	for (size_t i = 0; i < m->objects.n; i++)
		if (!settle_object(cx, &m->objects.at[i]))
			return false;
	if (!verify(cx, m, NULL, rules, cx->mem))
		return false;
	m->rules = rules;
	return true;
}

bool
model_check_own(Ctx *cx, Tenant *tenant)
{
	for (size_t i = 0; i < tenant->objects.n; i++) {
		Object *o = &tenant->objects.at[i];

		o->own = true;
		for (size_t j = 0; j < o->fields.n; j++)
			o->fields.at[j].own = true;
		if (!settle_object(cx, o))
			return false;
	}
	for (size_t i = 0; i < tenant->fields.n; i++) {
		OwnFields *own = &tenant->fields.at[i];
		const Object o = { .name = own->object, .place = own->place };

		for (size_t j = 0; j < own->fields.n; j++)
			own->fields.at[j].own = true;
		if (!settle_fields(cx, &o, own->fields.at, own->fields.n))
			return false;
	}
	return true;
}

/* --- a tenant's effective model ---------------------------------------------- */

static bool
add_fields(Ctx *cx, Model *m, const OwnFields *own)
{
	Object *o = NULL;
	Names names = { 0 };

	for (size_t i = 0; i < m->objects.n; i++) {
		if (!m->objects.at[i].own)
			vec_push(cx->mem, &names, m->objects.at[i].name);
		if (!m->objects.at[i].own && strcmp(m->objects.at[i].name, own->object) == 0)
			o = &m->objects.at[i];
	}
	if (o == NULL)
		return keys_wrong(cx, own->place,
		    keys_nearest(cx->mem, own->object, names.at, names.n),
		    "\"%s\" is no object of model \"%s\"", own->object, m->name);
	if (o->fields.n + own->fields.n > OBJECT_FIELDS_MAX)
		return keys_wrong(cx, own->place, "Take some of them into an object of their own.",
		    "\"%s\" has %zu fields, more than %d", o->name, o->fields.n + own->fields.n,
		    OBJECT_FIELDS_MAX);
	size_t n = o->fields.n;
	Field *both = arena_alloc(cx->mem, (n + own->fields.n) * sizeof *both);
	memcpy(both, o->fields.at, n * sizeof *both);
	for (size_t i = 0; i < own->fields.n; i++) {
		const Field *f = &own->fields.at[i];

		if (object_field(o, f->name) != NULL)
			return keys_wrong(cx, f->place, "Give the tenant's field another name.",
			    "field \"%s.%s\" is one of model \"%s\" already", o->name, f->name,
			    m->name);
		both[n + i] = *f;
		both[n + i].own = true;
	}
	o->fields.at = both;
	o->fields.n = o->fields.cap = n + own->fields.n;
	return settle_fields(cx, o, both + n, own->fields.n);
}

static void
add_object(Arena *mem, Model *m, const Object *own)
{
	Object o = *own;

	o.own = true;
	o.fields.at = arena_alloc(mem, (own->fields.n + 1) * sizeof(Field));
	o.fields.cap = own->fields.n + 1;
	for (size_t i = 0; i < own->fields.n; i++) {
		o.fields.at[i] = own->fields.at[i];
		o.fields.at[i].own = true;
	}
	vec_push(mem, &m->objects, o);
}

static void
add_drops(Arena *mem, Model *m, const Model *model, const Tenant *tenant)
{
	m->drop = (Names){ 0 };
	for (size_t i = 0; i < model->drop.n; i++)
		vec_push(mem, &m->drop, model->drop.at[i]);
	for (size_t i = 0; i < tenant->drop.n; i++)
		if (!names_have(&model->drop, tenant->drop.at[i]))
			vec_push(mem, &m->drop, tenant->drop.at[i]);
}

bool
model_merge(Ctx *cx, const Model *model, const Tenant *tenant, Model **out)
{
	Model *m = arena_alloc(cx->mem, sizeof *m);

	*m = *model;
	m->place = tenant->place;
	m->objects.at = arena_alloc(cx->mem, (model->objects.n + 1) * sizeof(Object));
	m->objects.cap = model->objects.n + 1;
	memcpy(m->objects.at, model->objects.at, model->objects.n * sizeof(Object));
	add_drops(cx->mem, m, model, tenant);
	for (size_t i = 0; i < tenant->fields.n; i++)
		if (!add_fields(cx, m, &tenant->fields.at[i]))
			return false;
	for (size_t i = 0; i < tenant->objects.n; i++) {
		add_object(cx->mem, m, &tenant->objects.at[i]);
		if (!settle_object(cx, &m->objects.at[m->objects.n - 1]))
			return false;
	}
	Arena *scratch = arena_new(cx->mem);
	m->rules = NULL;
	if (!verify(cx, m, model->rules, map_new(scratch), scratch))
		return false; /* the failure was told in cx->mem */
	arena_free(scratch);
	*out = m;
	return true;
}

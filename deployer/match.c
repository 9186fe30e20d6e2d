#include "deployer/data.h"

#include <string.h>

static const SourceTable *
table_for(const Source *s, const Object *o)
{
	const SourceTable *t = source_table_as(s, o->name);

	return t != NULL ? t : source_table_as(s, o->was);
}

static const SourceColumn *
column_for(const SourceTable *t, const Field *f)
{
	const SourceColumn *c = source_column_as(t, f->name);

	return c != NULL ? c : source_column_as(t, f->was);
}

static char *
quoted(Arena *mem, const char *name)
{
	Buf b = buf_new(mem);

	buf_ident(&b, name);
	return b.text;
}

static bool
match_field(Ctx *cx, const Model *m, Match *out, size_t i)
{
	const Field *f = &out->object->fields.at[i];
	const SourceColumn *c = column_for(out->table, f);
	Pair p = { .column = c, .here = quoted(cx->mem, out->here.columns.at[i]) };

	if (c == NULL) {
		vec_push(cx->mem, &out->missing, f->name);
		return true;
	}
	if (!field_resolved(m, f, &p.field))
		return fail(cx, FAIL_NOT_FOUND, NULL, "field \"%s.%s\" refers to no object",
		    out->object->name, f->name);
	if (source_fits(c, &p.field))
		vec_push(cx->mem, &out->pairs, p);
	else
		vec_push(cx->mem, &out->clashes,
		    arena_printf(cx->mem, "field \"%s\" is %s, column \"%s\" is %s", f->name,
			type_name(p.field.type), c->name, c->type));
	return true;
}

static const Pair *
pair_of_field(const Match *m, const char *field)
{
	for (size_t i = 0; i < m->pairs.n; i++)
		if (strcmp(m->pairs.at[i].field.name, field) == 0)
			return &m->pairs.at[i];
	return NULL;
}

static bool
has_pair(const Match *m, const SourceColumn *c)
{
	for (size_t i = 0; i < m->pairs.n; i++)
		if (m->pairs.at[i].column == c)
			return true;
	return false;
}

static bool
has_clash(const Match *m, const SourceColumn *c)
{
	return object_field(m->object, c->ident) != NULL && !has_pair(m, c);
}

static void
note_left_out(Arena *mem, Match *out)
{
	for (size_t i = 0; i < out->table->columns.n; i++) {
		const SourceColumn *c = &out->table->columns.at[i];
		if (!has_pair(out, c) && !has_clash(out, c))
			vec_push(mem, &out->left_out, c->name);
	}
}

static bool
match_object(Ctx *cx, const Placement *at, const Model *m, Match *out)
{
	const Object *o = out->object;

	if (!place_driver(at->mode)->map(cx, at, m, o->name, &out->here))
		return false;
	for (size_t i = 0; i < o->fields.n; i++)
		if (!match_field(cx, m, out, i))
			return false;
	note_left_out(cx->mem, out);
	out->key_matched = true;
	for (size_t i = 0; i < o->key.n; i++)
		out->key_matched = out->key_matched && pair_of_field(out, o->key.at[i]) != NULL;
	return true;
}

static bool
is_matched(const Matches *all, const SourceTable *t)
{
	for (size_t i = 0; i < all->objects.n; i++)
		if (all->objects.at[i].table == t)
			return true;
	return false;
}

bool
match_source(Ctx *cx, const Placement *at, const Model *m, const Source *s, Matches *out)
{
	Matches all = { .absent = { 0 } };

	for (size_t i = 0; i < m->objects.n; i++) {
		Match one = { .object = &m->objects.at[i],
			.table = table_for(s, &m->objects.at[i]) };
		if (one.table == NULL) {
			vec_push(cx->mem, &all.absent, one.object->name);
			continue;
		}
		if (!match_object(cx, at, m, &one))
			return fail_in(cx, "matching object \"%s\"", one.object->name);
		vec_push(cx->mem, &all.objects, one);
	}
	for (size_t i = 0; i < s->tables.n; i++)
		if (!is_matched(&all, &s->tables.at[i]))
			vec_push(cx->mem, &all.strays, s->tables.at[i].name);
	*out = all;
	return true;
}

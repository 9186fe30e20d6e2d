#include "lib/core/ident.h"

#include "lib/base/clock.h"
#include "lib/core/catalog.sql.h"

#define ID_LETTERS 16

typedef struct Scope {
	Ctx *cx;
	Home *home;
	const char *name;
	Map *known;
	IdentWay way;
} Scope;

static const char *
path_of(const Scope *s, const char *object, const char *field)
{
	return field ? arena_printf(s->cx->mem, "%s.%s", object, field) : object;
}

bool
ident_list(Ctx *cx, Home *home, const char *scope, Map **out)
{
	Scope s = { .cx = cx };
	Map *map = map_new(cx->mem);
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_IDENT_LIST, &rows, "t", scope))
		return false;
	while (lite_next(rows)) {
		const char *field = lite_text(rows, 1);
		map_set(map, path_of(&s, lite_text(rows, 0), *field ? field : NULL),
		    lite_text(rows, 2));
	}
	if (!lite_end(cx, rows))
		return false;
	*out = map;
	return true;
}

/* Moves the ids from one name to the other, where only the first is known. */
static bool
rename_object(Scope *s, const char *from, const char *to)
{
	if (!from || !map_get(s->known, from) || map_get(s->known, to))
		return true;
	return lite_do(s->cx, s->home->db, &SQL_IDENT_RENAME_OBJECT, "ttt", s->name, from, to) &&
	    ident_list(s->cx, s->home, s->name, &s->known);
}

static bool
rename_field(Scope *s, const char *object, const char *from, const char *to)
{
	if (!from || !map_get(s->known, path_of(s, object, from)) ||
	    map_get(s->known, path_of(s, object, to)))
		return true;
	return lite_do(s->cx, s->home->db, &SQL_IDENT_RENAME_FIELD, "tttt", s->name, object, from,
		   to) &&
	    ident_list(s->cx, s->home, s->name, &s->known);
}

static bool
put(Scope *s, const char *object, const char *field)
{
	return map_get(s->known, path_of(s, object, field)) ||
	    lite_do(s->cx, s->home->db, &SQL_IDENT_PUT, "tttt", s->name, object, field ? field : "",
		random_name(s->cx->mem, ID_LETTERS));
}

static bool
record_fields(Scope *s, const char *object, const Field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const Field *f = &fields[i];
		bool back = s->way == IDENT_BACK;
		if (!rename_field(s, object, back && f->was ? f->name : f->was,
			back && f->was ? f->was : f->name))
			return false;
		if (!back && !put(s, object, f->name))
			return false;
	}
	return true;
}

static bool
record_object(Scope *s, const Object *o)
{
	if (s->way == IDENT_BACK)
		return record_fields(s, o->name, o->fields.at, o->fields.n) &&
		    (!o->was || rename_object(s, o->name, o->was));
	return rename_object(s, o->was, o->name) && put(s, o->name, NULL) &&
	    record_fields(s, o->name, o->fields.at, o->fields.n);
}

bool
ident_record_model(Ctx *cx, Home *home, const Model *m, IdentWay way)
{
	Scope s = { .cx = cx,
		.home = home,
		.way = way,
		.name = arena_printf(cx->mem, "model/%s", m->name) };

	if (!ident_list(cx, home, s.name, &s.known))
		return false;
	for (size_t i = 0; i < m->objects.n; i++)
		if (!record_object(&s, &m->objects.at[i]))
			return false;
	return true;
}

bool
ident_record_tenant(Ctx *cx, Home *home, const Tenant *t, IdentWay way)
{
	Scope s = { .cx = cx,
		.home = home,
		.way = way,
		.name = arena_printf(cx->mem, "tenant/%s", t->name) };

	if ((!t->objects.n && !t->fields.n))
		return true;
	if (!ident_list(cx, home, s.name, &s.known))
		return false;
	for (size_t i = 0; i < t->objects.n; i++)
		if (!record_object(&s, &t->objects.at[i]))
			return false;
	for (size_t i = 0; i < t->fields.n; i++)
		if (!record_fields(&s, t->fields.at[i].object, t->fields.at[i].fields.at,
			t->fields.at[i].fields.n))
			return false;
	return true;
}

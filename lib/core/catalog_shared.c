/* Shared databases and the spare columns that tenants have taken in them. */
#include "lib/core/catalog.h"

#include <string.h>

#include "lib/core/catalog.sql.h"

static SharedRecord
shared_row(LiteRows *rows)
{
	return (SharedRecord){
		.name = lite_text(rows, 0),
		.id = lite_text(rows, 1),
		.cluster = lite_text(rows, 2),
		.model = lite_text(rows, 3),
		.active = lite_int(rows, 4) != 0,
		.wide = lite_text(rows, 5),
		.common = lite_text(rows, 6),
		.version = lite_int(rows, 7),
		.changed_run = lite_int(rows, 8),
		.tenants = lite_int(rows, 9),
	};
}

bool
catalog_shared_find(Ctx *cx, Home *home, const char *name, SharedRecord *out, bool *found)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_SHARED_GET, &rows, "t", name))
		return false;
	*found = lite_next(rows);
	if (*found)
		*out = shared_row(rows);
	return lite_end(cx, rows);
}

static bool
count_tenants(Ctx *cx, Home *home, SharedRecord *s)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_SHARED_TENANTS, &rows, "t", s->name))
		return false;
	if (lite_next(rows))
		s->tenants = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
catalog_shareds(Ctx *cx, Home *home, SharedRecords *out)
{
	LiteRows *rows;
	SharedRecords all = { 0 };

	if (!lite_query(cx, home->db, &SQL_SHARED_LIST, &rows, ""))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, shared_row(rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_shared(Ctx *cx, Home *home, const char *name, SharedRecord *out)
{
	SharedRecords all;
	Names known = { 0 };
	bool found;

	if (!catalog_shared_find(cx, home, name, out, &found))
		return false;
	if (found)
		return count_tenants(cx, home, out);
	if (!catalog_shareds(cx, home, &all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		vec_push(cx->mem, &known, all.at[i].name);
	return catalog_not_found(cx, "shared database", name, &known);
}

bool
catalog_shared_put(Ctx *cx, Home *home, const SharedRecord *s)
{
	return lite_do(cx, home->db, &SQL_SHARED_PUT, "ttttittii", s->name, s->id, s->cluster,
	    s->model, (int64_t)s->active, s->wide, s->common, s->version, s->changed_run);
}

bool
catalog_shared_touch(Ctx *cx, Home *home, const char *name, int64_t run)
{
	return lite_do(cx, home->db, &SQL_SHARED_TOUCH, "ti", name, run);
}

bool
catalog_shared_forget(Ctx *cx, Home *home, const char *name)
{
	return lite_do(cx, home->db, &SQL_SHARED_FORGET, "t", name) &&
	    lite_do(
		cx, home->db, &SQL_META_ADD, "t", arena_printf(cx->mem, "life/shared/%s", name));
}

bool
catalog_shared_place(Ctx *cx, Home *home, const SharedRecord *s, Shared **out)
{
	Shared *p = arena_alloc(cx->mem, sizeof *p);
	Cluster *cluster;

	if (!catalog_cluster(cx, home, s->cluster, &cluster))
		return fail_in(cx, "finding the place of shared database \"%s\"", s->name);
	*p = (Shared){ .name = s->name, .id = s->id, .cluster = cluster, .model = s->model };
	place_shared_names(cx->mem, p);
	*out = p;
	return true;
}

bool
catalog_shared_of(Ctx *cx, Home *home, const char *name, const Cluster *cluster, const Shared **out)
{
	Shared *p = arena_alloc(cx->mem, sizeof *p);
	LiteRows *rows;

	*p = (Shared){ .name = name, .cluster = cluster };
	if (!lite_query(cx, home->db, &SQL_SHARED_PLACE, &rows, "t", name))
		return false;
	if (lite_next(rows)) {
		p->id = lite_text(rows, 0);
		p->model = lite_text(rows, 1);
	}
	if (!lite_end(cx, rows))
		return false;
	if (!p->id)
		return catalog_not_found(cx, "shared database", name, &(Names){ 0 });
	place_shared_names(cx->mem, p);
	*out = p;
	return true;
}

static bool
followers(Ctx *cx, Home *home, const char *shared, const char *common, Names *out)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_SHARED_FOLLOWERS, &rows, "tt", shared, common))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, out, lite_text(rows, 0));
	return lite_end(cx, rows);
}

bool
catalog_shared_follow(Ctx *cx, Home *home, const char *shared, const char *from, const char *to,
    int64_t version, Names *followed)
{
	Names all = { 0 };

	if (strcmp(from, to) != 0 &&
	    (!followers(cx, home, shared, from, &all) ||
		!lite_do(cx, home->db, &SQL_SHARED_FOLLOW, "ttti", shared, from, to, version)))
		return false;
	*followed = all;
	return true;
}

/* --- slots --------------------------------------------------------------------- */

bool
catalog_slots(Ctx *cx, Home *home, const char *tenant, Slots *out)
{
	LiteRows *rows;
	Slots all = { 0 };

	if (!lite_query(cx, home->db, &SQL_SLOT_LIST, &rows, "t", tenant))
		return false;
	while (lite_next(rows)) {
		Slot slot = {
			.object = lite_text(rows, 0),
			.field = lite_text(rows, 1),
			.column = lite_text(rows, 2),
			.generation = lite_int(rows, 3),
		};
		vec_push(cx->mem, &all, slot);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_slots_put(Ctx *cx, Home *home, const char *tenant, const Slots *slots)
{
	if (!lite_do(cx, home->db, &SQL_SLOT_CLEAR, "t", tenant))
		return false;
	for (size_t i = 0; i < slots->n; i++) {
		const Slot *s = &slots->at[i];
		if (!lite_do(cx, home->db, &SQL_SLOT_PUT, "tttti", tenant, s->object, s->column,
			s->field, s->generation))
			return false;
	}
	return true;
}

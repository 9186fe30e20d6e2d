#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/app.h"
#include "deployer/crowd.h"

static struct {
	const char *name, *tenant;
	int64_t top;
	bool exact, detailed;
} arg = { .top = 20 };

#define SHARED_ARG .args = { { "SHARED", &arg.name, "the shared database: CLUSTER/MODEL", false } }

/* --- list ------------------------------------------------------------------------- */

static const Column list_columns[] = {
	{ "name", "SHARED", CELL_TEXT, false },
	{ "cluster", "CLUSTER", CELL_TEXT, false },
	{ "model", "MODEL", CELL_TEXT, false },
	{ "modelVersion", "VERSION", CELL_INT, true },
	{ "tenants", "TENANTS", CELL_INT, true },
	{ "state", "STATE", CELL_TEXT, false },
	{ "database", "DATABASE", CELL_TEXT, false },
};

static const char *
state_name(const SharedRecord *r)
{
	return r->active ? "active" : "provisioning";
}

static ExitCode
run_list(void *ptr)
{
	App *app = ptr;
	SharedRecords all;

	if (!catalog_shareds(app->cx, app->home, &all))
		return app_fail(app);
	Table *t = table_new(app->cx->mem, app->output, list_columns, LENGTH(list_columns));
	for (size_t i = 0; i < all.n; i++) {
		const SharedRecord *r = &all.at[i];
		Shared names = { .id = r->id };

		place_shared_names(app->cx->mem, &names);
		table_cell(t, r->name);
		table_cell(t, r->cluster);
		table_cell(t, r->model);
		table_int(t, r->version);
		table_int(t, r->tenants);
		table_cell(t, state_name(r));
		table_cell(t, names.dbname);
	}
	table_print(t, stdout);
	return EXIT_DONE;
}

/* --- what the catalogue knows of one ------------------------------------------------ */

typedef struct Roll {
	SharedRecord record;
	Shared *at;
	Model *wide;           /* NULL: not made yet */
	TenantRecords tenants; /* on it */
} Roll;

static bool
read_tenants(App *app, const char *shared, TenantRecords *out)
{
	TenantRecords all;

	if (!catalog_tenants(app->cx, app->home, &all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		if (all.at[i].shared && strcmp(all.at[i].shared, shared) == 0)
			vec_push(app->cx->mem, out, all.at[i]);
	return true;
}

static bool
read_roll(App *app, Roll *out)
{
	*out = (Roll){ 0 };
	return catalog_shared(app->cx, app->home, arg.name, &out->record) &&
	    catalog_shared_place(app->cx, app->home, &out->record, &out->at) &&
	    read_tenants(app, out->record.name, &out->tenants) &&
	    (!out->record.wide[0] ||
		catalog_shape(app->cx, app->home, out->record.wide, &out->wide));
}

/* --- show --------------------------------------------------------------------------- */

typedef struct Spare { /* columns of one type of one object */
	FieldType type;
	int64_t all, used;
} Spare;

static bool
takes(const Slots *slots, const char *object, const char *column)
{
	for (size_t i = 0; i < slots->n; i++)
		if (slots->at[i].field[0] && strcmp(slots->at[i].object, object) == 0 &&
		    strcmp(slots->at[i].column, column) == 0)
			return true;
	return false;
}

static void
count_spares(const Object *o, const Slots *slots, Spare out[FIELD_TYPES])
{
	for (int t = 0; t < FIELD_TYPES; t++)
		out[t] = (Spare){ .type = (FieldType)t };
	for (size_t i = 0; i < o->fields.n; i++) {
		const Field *f = &o->fields.at[i];

		if (!f->spare)
			continue;
		out[f->type].all++;
		out[f->type].used += takes(slots, o->name, f->name);
	}
}

/* Of all its tenants: only those with views of their own have taken any. */
static bool
read_slots(App *app, const Roll *roll, Slots *out)
{
	for (size_t i = 0; i < roll->tenants.n; i++) {
		const TenantRecord *t = &roll->tenants.at[i];
		Slots own;

		if (t->layout != LAYOUT_VIEWS || !t->own_views)
			continue;
		if (!catalog_slots(app->cx, app->home, t->name, &own))
			return false;
		for (size_t s = 0; s < own.n; s++)
			vec_push(app->cx->mem, out, own.at[s]);
	}
	return true;
}

static bool
differs_in(const TenantRecord *t, Layout layout)
{
	return layout == LAYOUT_PLAIN ? t->layout == LAYOUT_PLAIN
				      : t->layout == LAYOUT_VIEWS && t->own_views;
}

static void
names_where(Arena *mem, const Roll *roll, Layout layout, Names *out)
{
	for (size_t i = 0; i < roll->tenants.n; i++)
		if (differs_in(&roll->tenants.at[i], layout))
			vec_push(mem, out, roll->tenants.at[i].name);
}

typedef struct Version {
	int64_t version, tenants;
} Version;
typedef VEC(Version) Versions;

static int
newer_first(const void *a, const void *b)
{
	const Version *x = a, *y = b;

	return x->version < y->version ? 1 : x->version > y->version ? -1 : 0;
}

static void
count_versions(Arena *mem, const Roll *roll, Versions *out)
{
	for (size_t i = 0; i < roll->tenants.n; i++) {
		Version v = { roll->tenants.at[i].model_version, 1 };
		size_t k = 0;

		while (k < out->n && out->at[k].version != v.version)
			k++;
		if (k < out->n)
			out->at[k].tenants++;
		else
			vec_push(mem, out, v);
	}
	if (out->n)
		qsort(out->at, out->n, sizeof *out->at, newer_first);
}

static Js *
names_json(Arena *mem, const Names *names)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < names->n; i++)
		js_push_text(list, names->at[i]);
	return list;
}

static Js *
object_json(Arena *mem, const Object *o, const Slots *slots)
{
	Js *out = js_object(mem), *list = js_array(mem);
	Spare spares[FIELD_TYPES];

	count_spares(o, slots, spares);
	for (int t = 0; t < FIELD_TYPES; t++) {
		Js *s;

		if (!spares[t].all)
			continue;
		s = js_object(mem);
		js_set_text(s, "type", type_name(spares[t].type));
		js_set_int(s, "used", spares[t].used);
		js_set_int(s, "free", spares[t].all - spares[t].used);
		js_push(list, s);
	}
	js_set_text(out, "object", o->name);
	js_set_int(out, "columns", (int64_t)o->fields.n + 1);
	js_set(out, "spare", list);
	return out;
}

static void
show_json(App *app, const Roll *roll, const Slots *slots)
{
	Arena *mem = app->cx->mem;
	Js *o = js_object(mem), *objects = js_array(mem), *versions = js_array(mem);
	Versions counted = { 0 };
	Names views = { 0 }, tables = { 0 };

	count_versions(mem, roll, &counted);
	names_where(mem, roll, LAYOUT_VIEWS, &views);
	names_where(mem, roll, LAYOUT_PLAIN, &tables);
	for (size_t i = 0; i < counted.n; i++) {
		Js *v = js_object(mem);

		js_set_int(v, "modelVersion", counted.at[i].version);
		js_set_int(v, "tenants", counted.at[i].tenants);
		js_push(versions, v);
	}
	for (size_t i = 0; roll->wide && i < roll->wide->objects.n; i++)
		js_push(objects, object_json(mem, &roll->wide->objects.at[i], slots));
	js_set_text(o, "name", roll->record.name);
	js_set_text(o, "id", roll->record.id);
	js_set_text(o, "state", state_name(&roll->record));
	js_set_text(o, "cluster", roll->record.cluster);
	js_set_text(o, "database", roll->at->dbname);
	js_set_text(o, "owner", roll->at->owner);
	js_set_text(o, "keeper", roll->at->keeper);
	js_set_text(o, "model", roll->record.model);
	js_set_int(o, "modelVersion", roll->record.version);
	js_set_int(o, "tenants", (int64_t)roll->tenants.n);
	js_set(o, "versions", versions);
	js_set(o, "ownViews", names_json(mem, &views));
	js_set(o, "ownTables", names_json(mem, &tables));
	js_set(o, "objects", objects);
	js_set_int(o, "changedRun", roll->record.changed_run);
	app_json(app, o);
}

static void
object_line(Arena *mem, const Object *o, const Slots *slots)
{
	Spare spares[FIELD_TYPES];
	Buf b = buf_new(mem);

	count_spares(o, slots, spares);
	for (int t = 0; t < FIELD_TYPES; t++)
		if (spares[t].all)
			buf_fmt(&b, "%s%s %" PRId64 "/%" PRId64,
			    b.len ? ", " : "; spare taken: ", type_name(spares[t].type),
			    spares[t].used, spares[t].all);
	out_line(stdout, "object    %s: %zu columns%s", o->name, o->fields.n + 1, b.text);
}

static void
names_line(Arena *mem, const char *head, const Names *names)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < names->n; i++)
		buf_fmt(&b, "%s%s", i ? ", " : "", names->at[i]);
	if (names->n)
		out_line(stdout, "%-10s%s", head, b.text);
}

static void
show_text(App *app, const Roll *roll, const Slots *slots)
{
	Arena *mem = app->cx->mem;
	const Shared *at = roll->at;
	Versions counted = { 0 };
	Names views = { 0 }, tables = { 0 };

	count_versions(mem, roll, &counted);
	names_where(mem, roll, LAYOUT_VIEWS, &views);
	names_where(mem, roll, LAYOUT_PLAIN, &tables);
	out_line(stdout, "shared    %s", roll->record.name);
	out_line(stdout, "state     %s", state_name(&roll->record));
	out_line(stdout, "database  %s on %s (region %s), owner %s, keeper %s", at->dbname,
	    roll->record.cluster, at->cluster->region, at->owner, at->keeper);
	out_line(stdout, "model     %s version %" PRId64, roll->record.model, roll->record.version);
	out_line(stdout, "tenants   %zu", roll->tenants.n);
	for (size_t i = 0; i < counted.n; i++)
		out_line(stdout, "version   %" PRId64 ": %" PRId64 " tenant%s",
		    counted.at[i].version, counted.at[i].tenants,
		    counted.at[i].tenants == 1 ? "" : "s");
	names_line(mem, "views", &views);
	names_line(mem, "tables", &tables);
	for (size_t i = 0; roll->wide && i < roll->wide->objects.n; i++)
		object_line(mem, &roll->wide->objects.at[i], slots);
	out_line(stdout, "changed   by run %" PRId64, roll->record.changed_run);
}

static ExitCode
run_show(void *ptr)
{
	App *app = ptr;
	Slots slots = { 0 };
	Roll roll;

	if (!read_roll(app, &roll) || !read_slots(app, &roll, &slots))
		return app_fail(app);
	if (app->output == OUTPUT_TEXT)
		show_text(app, &roll, &slots);
	else
		show_json(app, &roll, &slots);
	return EXIT_DONE;
}

/* --- usage -------------------------------------------------------------------------- */

typedef struct Total { /* of one tenant */
	const char *id,
	    *tenant; /* tenant NULL: its rows are there, the catalogue does not know it */
	int64_t rows, bytes, lately;
	bool exact;
	const char *reason; /* why it has outgrown the mode, or NULL */
	VEC(const CrowdShare *) shares;
} Total;
typedef VEC(Total) Totals;

static bool
usage_what(App *app, const Roll *roll, CrowdWhat *out)
{
	*out = (CrowdWhat){ .shared = roll->at, .wide = roll->wide, .exact = arg.exact };
	if (!roll->wide)
		return fail(app->cx, FAIL_REFUSED, "Finish it with: copyhold apply.",
		    "shared database \"%s\" is still being made", roll->record.name);
	for (size_t i = 0; i < roll->tenants.n; i++) {
		const TenantRecord *t = &roll->tenants.at[i];
		CrowdOwn own = { .id = t->id,
			.schema = arena_printf(app->cx->mem, SCHEMA_APP "_%s", t->id) };
		Model *m;

		if (arg.tenant && strcmp(t->name, arg.tenant) == 0)
			out->only = t->id;
		if (t->layout != LAYOUT_PLAIN || !t->shape[0])
			continue;
		if (!catalog_shape(app->cx, app->home, t->shape, &m))
			return false;
		own.model = m;
		vec_push(app->cx->mem, &out->own, own);
	}
	return !arg.tenant || out->only ||
	    fail(app->cx, FAIL_NOT_FOUND, "See: copyhold tenant list.",
		"tenant \"%s\" is not in shared database \"%s\"", arg.tenant, roll->record.name);
}

static Map *
names_by_id(Arena *mem, const Roll *roll)
{
	Map *m = map_new(mem);

	for (size_t i = 0; i < roll->tenants.n; i++)
		map_set(m, roll->tenants.at[i].id, (void *)(uintptr_t)roll->tenants.at[i].name);
	return m;
}

static const char *
outgrown(Arena *mem, const Cluster *c, const Total *t)
{
	if (c->tenant_rows && t->rows > c->tenant_rows)
		return arena_printf(mem, "%s rows of at most %s", crowd_number(mem, t->rows),
		    crowd_number(mem, c->tenant_rows));
	if (c->tenant_bytes && t->bytes > c->tenant_bytes)
		return arena_printf(mem, "%s of at most %s", crowd_bytes(mem, t->bytes),
		    crowd_bytes(mem, c->tenant_bytes));
	return NULL;
}

static int
larger_first(const void *a, const void *b)
{
	const Total *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->id, y->id);
}

static void
add_up(Arena *mem, const Roll *roll, const Crowd *crowd, Totals *out)
{
	Map *names = names_by_id(mem, roll), *place = map_new(mem);

	for (size_t i = 0; i < crowd->shares.n; i++) {
		const CrowdShare *s = &crowd->shares.at[i];
		uintptr_t k = (uintptr_t)map_get(place, s->id);
		Total *t;

		if (!k) {
			Total fresh = {
				.id = s->id, .tenant = map_get(names, s->id), .exact = true
			};

			vec_push(mem, out, fresh);
			k = out->n;
			map_set(place, s->id, (void *)k);
		}
		t = &out->at[k - 1];
		t->rows += s->rows;
		t->bytes += s->bytes;
		t->lately += s->lately;
		t->exact = t->exact && s->exact;
		vec_push(mem, &t->shares, s);
	}
	for (size_t i = 0; i < out->n; i++)
		out->at[i].reason = outgrown(mem, roll->at->cluster, &out->at[i]);
	if (out->n)
		qsort(out->at, out->n, sizeof *out->at, larger_first);
}

/* The largest, and whoever has outgrown the mode. */
static bool
is_listed(const Totals *all, size_t i)
{
	return (int64_t)i < arg.top || all->at[i].reason;
}

static Js *
share_json(Arena *mem, const CrowdShare *s)
{
	Js *o = js_object(mem);

	js_set_text(o, "object", s->object);
	js_set_int(o, "rows", s->rows);
	js_set_int(o, "bytes", s->bytes);
	js_set_int(o, "lately", s->lately);
	js_set_bool(o, "exact", s->exact);
	return o;
}

static Js *
total_json(Arena *mem, const Total *t)
{
	Js *o = js_object(mem), *list = js_array(mem);

	for (size_t i = 0; i < t->shares.n; i++)
		js_push(list, share_json(mem, t->shares.at[i]));
	js_set_text(o, "tenant", t->tenant);
	js_set_text(o, "id", t->id);
	js_set_int(o, "rows", t->rows);
	js_set_int(o, "bytes", t->bytes);
	js_set_int(o, "lately", t->lately);
	js_set_bool(o, "exact", t->exact);
	js_set_text(o, "outgrown", t->reason);
	js_set(o, "objects", list);
	return o;
}

static Js *
table_json(Arena *mem, const CrowdTable *t)
{
	Js *o = js_object(mem);

	js_set_text(o, "object", t->object);
	js_set_int(o, "rows", t->rows);
	js_set_int(o, "deadRows", t->dead);
	js_set_int(o, "tableBytes", t->bytes);
	js_set_int(o, "rowBytes", t->row_bytes);
	js_set_int(o, "indexBytes", t->index_bytes);
	js_set_text(o, "vacuumed", t->vacuumed);
	return o;
}

static void
usage_json(App *app, const Roll *roll, const Crowd *crowd, const Totals *all)
{
	Arena *mem = app->cx->mem;
	const Cluster *c = roll->at->cluster;
	Js *o = js_object(mem), *tenants = js_array(mem), *tables = js_array(mem);

	for (size_t i = 0; i < all->n; i++)
		if (is_listed(all, i))
			js_push(tenants, total_json(mem, &all->at[i]));
	for (size_t i = 0; i < crowd->tables.n; i++)
		js_push(tables, table_json(mem, &crowd->tables.at[i]));
	js_set_text(o, "name", roll->record.name);
	js_set_int(o, "tenantRows", c->tenant_rows);
	js_set_int(o, "tenantBytes", c->tenant_bytes);
	js_set_int(o, "withRows", (int64_t)all->n);
	js_set(o, "tenants", tenants);
	js_set(o, "tables", tables);
	app_json(app, o);
}

static const Column share_columns[] = {
	{ "tenant", "TENANT", CELL_TEXT, false },
	{ "object", "OBJECT", CELL_TEXT, false },
	{ "rows", "ROWS", CELL_TEXT, true },
	{ "bytes", "BYTES", CELL_TEXT, true },
	{ "lately", "WRITTEN", CELL_TEXT, true },
};

static const Column table_columns[] = {
	{ "object", "OBJECT", CELL_TEXT, false },
	{ "rows", "ROWS", CELL_TEXT, true },
	{ "dead", "DEAD", CELL_TEXT, true },
	{ "table", "TABLE", CELL_TEXT, true },
	{ "unused", "UNUSED", CELL_TEXT, true },
	{ "indexes", "INDEXES", CELL_TEXT, true },
	{ "vacuumed", "VACUUMED", CELL_TEXT, false },
};

/* What is known from a sample alone is marked. */
static void
figures(Arena *mem, Table *t, int64_t rows, int64_t bytes, int64_t lately, bool exact)
{
	const char *about = exact ? "" : "~";

	table_cell(t, arena_printf(mem, "%s%s", about, crowd_number(mem, rows)));
	table_cell(t, arena_printf(mem, "%s%s", about, crowd_bytes(mem, bytes)));
	table_cell(t, arena_printf(mem, "%s%s", about, crowd_number(mem, lately)));
}

static const char *
total_name(const Total *t)
{
	return t->tenant ? t->tenant : t->id;
}

static void
tenants_text(Arena *mem, const Totals *all)
{
	Table *t = table_new(mem, OUTPUT_TEXT, share_columns, LENGTH(share_columns));

	for (size_t i = 0; i < all->n; i++) {
		const Total *total = &all->at[i];

		if (!is_listed(all, i))
			continue;
		for (size_t s = 0; s < total->shares.n; s++) {
			const CrowdShare *share = total->shares.at[s];

			table_cell(t, total_name(total));
			table_cell(t, share->object);
			figures(mem, t, share->rows, share->bytes, share->lately, share->exact);
		}
		table_cell(t, total_name(total));
		table_cell(t, "(all)");
		figures(mem, t, total->rows, total->bytes, total->lately, total->exact);
	}
	table_print(t, stdout);
}

static const char *
unused_text(Arena *mem, const CrowdTable *t)
{
	int64_t unused = t->bytes > t->row_bytes ? t->bytes - t->row_bytes : 0;

	return t->bytes ? arena_printf(mem, "%" PRId64 " %%", unused * 100 / t->bytes) : "-";
}

static void
tables_text(Arena *mem, const Crowd *crowd)
{
	Table *t = table_new(mem, OUTPUT_TEXT, table_columns, LENGTH(table_columns));

	for (size_t i = 0; i < crowd->tables.n; i++) {
		const CrowdTable *c = &crowd->tables.at[i];

		table_cell(t, c->object);
		table_cell(t, crowd_number(mem, c->rows));
		table_cell(t, crowd_number(mem, c->dead));
		table_cell(t, crowd_bytes(mem, c->bytes));
		table_cell(t, unused_text(mem, c));
		table_cell(t, crowd_bytes(mem, c->index_bytes));
		table_cell(t, c->vacuumed);
	}
	out_line(stdout, "%s", "");
	table_print(t, stdout);
}

static const Total *
busiest(const Totals *all)
{
	const Total *most = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].lately && (!most || all->at[i].lately > most->lately))
			most = &all->at[i];
	return most;
}

static void
remarks(Arena *mem, const Totals *all)
{
	const Total *most = busiest(all);

	if (most && !arg.tenant)
		out_line(stdout, "\nwrote most in the last %s transactions: %s, %s rows that stand",
		    crowd_number(mem, CROWD_LATELY), total_name(most),
		    crowd_number(mem, most->lately));
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].reason)
			out_line(stdout, "%s%s outgrows shared: %s%s: move it to dedicated",
			    paint("change"), total_name(&all->at[i]), all->at[i].reason,
			    paint("off"));
}

static bool
any_outgrown(const Totals *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].reason)
			return true;
	return false;
}

static ExitCode
run_usage(void *ptr)
{
	App *app = ptr;
	Arena *mem = app->cx->mem;
	CrowdWhat what;
	Crowd crowd;
	Totals all = { 0 };
	Roll roll;

	if (arg.top < 1)
		fail(app->cx, FAIL_USAGE, "Give at least 1.", "--top is too small");
	if (arg.top < 1 || !read_roll(app, &roll) || !usage_what(app, &roll, &what))
		return app_fail(app);
	log_live("counting %s", roll.record.name);
	bool ok = crowd_count(app->cx, conns_new(app->cx, app->home), &what, &crowd);
	log_live_end();
	if (!ok)
		return app_fail(app);
	add_up(mem, &roll, &crowd, &all);
	if (app->output != OUTPUT_TEXT) {
		usage_json(app, &roll, &crowd, &all);
	} else {
		tenants_text(mem, &all);
		if (!arg.tenant)
			tables_text(mem, &crowd);
		remarks(mem, &all);
	}
	return arg.detailed && any_outgrown(&all) ? EXIT_CHANGES : EXIT_DONE;
}

/* --- rows ----------------------------------------------------------------------------- */

static const Option usage_options[] = {
	{ OPT_TEXT, "tenant", 't', "TENANT", &arg.tenant, "count this one alone", NULL, false },
	{ OPT_INT, "top", 0, "N", &arg.top, "the N largest (default 20)", NULL, false },
	{ OPT_FLAG, "exact", 0, NULL, &arg.exact, "read large tables whole, not a sample of them",
	    NULL, false },
	{ OPT_FLAG, "detailed-exitcode", 0, NULL, &arg.detailed,
	    "exit code 2 if a tenant has outgrown the mode", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_shared_list = {
	.name = "shared list",
	.summary = "the shared databases",
	.access = ACCESS_READS,
	.run = run_list,
};
const Command cmd_shared_show = {
	.name = "shared show",
	.summary = "one shared database: objects, spare columns, versions",
	.detail = "Also names the tenants with views of their own (own fields in spare columns, or "
		  "another version than the others) and those with tables of their own.",
	.access = ACCESS_READS,
	.run = run_show,
	SHARED_ARG,
};
const Command cmd_shared_usage = {
	.name = "shared usage",
	.summary = "rows and bytes per tenant, and who has outgrown the mode",
	.detail =
	    "Bytes are those of the rows as they lie and of their part of the indexes. WRITTEN are rows "
	    "that stand and were written in the server's last 100,000 transactions. Of tables above 2,000 "
	    "pages a sample is read (figures with ~) unless --exact is given; --tenant counts exactly. "
	    "Then each table's dead rows, the part of it that no row uses, and when it was vacuumed. The "
	    "limits are the cluster's tenantRows and tenantBytes.",
	.access = ACCESS_READS,
	.run = run_usage,
	.options = usage_options,
	SHARED_ARG,
};

#include <inttypes.h>
#include <string.h>

#include "cli/app.h"
#include "deployer/data.h"

static struct {
	const char *tenant, *dsn, *schema;
	bool dry_run, show_values;
} arg = { .schema = "public" };

typedef struct Wanted { /* what both commands begin with */
	TenantRecord tenant;
	Placement *at;
	Model *model;
	Conns *conns;
	PgTarget target;
	DataFrom other;
} Wanted;

static bool
wanted(App *app, Wanted *w)
{
	if (!catalog_tenant(app->cx, app->home, arg.tenant, &w->tenant))
		return false;
	if (w->tenant.state != TENANT_ACTIVE)
		return fail(app->cx, FAIL_REFUSED,
		    arena_printf(app->cx->mem, "See copyhold tenant show %s.", arg.tenant),
		    "tenant \"%s\" is %s", arg.tenant, tenant_state_name(w->tenant.state));
	if (!catalog_placement(app->cx, app->home, arg.tenant, &w->at) ||
	    !catalog_shape(app->cx, app->home, w->tenant.shape, &w->model) ||
	    !source_target(app->cx, app->home, arg.dsn, &w->target))
		return false;
	w->conns = conns_new(app->cx, app->home);
	w->other = (DataFrom){ &w->target, arg.schema };
	return true;
}

/* What one side has and the other has not: on standard error, beside the table. */
static void
say_match(const Match *m)
{
	for (size_t i = 0; i < m->left_out.n; i++)
		log_say("%s: column \"%s\" there has no field", m->object->name, m->left_out.at[i]);
	for (size_t i = 0; i < m->missing.n; i++)
		log_say("%s: field \"%s\" has no column there", m->object->name, m->missing.at[i]);
	for (size_t i = 0; i < m->clashes.n; i++)
		log_say("%s: %s", m->object->name, m->clashes.at[i]);
}

static void
say_matches(const Matches *all)
{
	for (size_t i = 0; i < all->objects.n; i++)
		say_match(&all->objects.at[i]);
	for (size_t i = 0; i < all->absent.n; i++)
		log_say("%s: no table there", all->absent.at[i]);
	for (size_t i = 0; i < all->strays.n; i++)
		log_say("table \"%s\" there is no object here", all->strays.at[i]);
}

static Js *
names_json(Arena *mem, const Names *names)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < names->n; i++)
		js_push_text(list, names->at[i]);
	return list;
}

static void
match_json(Arena *mem, Js *o, const Match *m)
{
	js_set_text(o, "object", m->object->name);
	js_set_text(o, "table", m->table->name);
	js_set(o, "leftOut", names_json(mem, &m->left_out));
	js_set(o, "missing", names_json(mem, &m->missing));
	js_set(o, "clashes", names_json(mem, &m->clashes));
}

static int64_t
per_second(int64_t rows, int64_t ms)
{
	return rows * 1000 / (ms > 0 ? ms : 1);
}

/* --- data load --------------------------------------------------------------------- */

static const Column load_columns[] = {
	{ "object", "OBJECT", CELL_TEXT, false },
	{ "table", "FROM", CELL_TEXT, false },
	{ "rows", "ROWS", CELL_INT, true },
	{ "bytes", "BYTES", CELL_INT, true },
	{ "seconds", "SECONDS", CELL_TEXT, true },
	{ "rowsPerSecond", "ROWS/S", CELL_INT, true },
};

static void
load_line(Table *t, Arena *mem, const char *object, const char *table, int64_t rows, int64_t bytes,
    int64_t ms)
{
	table_cell(t, object);
	table_cell(t, table);
	table_int(t, rows);
	table_int(t, bytes);
	table_cell(t, arg.dry_run ? NULL : arena_printf(mem, "%.3f", (double)ms / 1000));
	if (arg.dry_run)
		table_cell(t, NULL);
	else
		table_int(t, per_second(rows, ms));
}

static void
load_text(App *app, const DataReport *r)
{
	Table *t = table_new(app->cx->mem, OUTPUT_TEXT, load_columns, LENGTH(load_columns));

	for (size_t i = 0; i < r->objects.n; i++) {
		const DataObject *o = &r->objects.at[i];
		load_line(t, app->cx->mem, o->match->object->name, o->match->table->name, o->rows,
		    o->bytes, o->ms);
	}
	load_line(t, app->cx->mem, "all", NULL, r->rows, r->bytes, r->ms);
	table_print(t, stdout);
}

static void
load_json(App *app, const DataReport *r)
{
	Arena *mem = app->cx->mem;
	Js *whole = js_object(mem), *list = js_array(mem);

	for (size_t i = 0; i < r->objects.n; i++) {
		Js *o = js_object(mem);
		match_json(mem, o, r->objects.at[i].match);
		js_set_int(o, "rows", r->objects.at[i].rows);
		js_set_int(o, "bytes", r->objects.at[i].bytes);
		js_set_int(o, "ms", r->objects.at[i].ms);
		js_push(list, o);
	}
	js_set_text(whole, "tenant", arg.tenant);
	js_set_bool(whole, "dryRun", arg.dry_run);
	js_set_int(whole, "rows", r->rows);
	js_set_int(whole, "bytes", r->bytes);
	js_set_int(whole, "ms", r->ms);
	js_set(whole, "objects", list);
	js_set(whole, "absent", names_json(mem, &r->matches.absent));
	js_set(whole, "strays", names_json(mem, &r->matches.strays));
	app_json(app, whole);
}

static bool
data_event(App *app, const char *verb, const char *outcome, const char *after)
{
	Event e = { .tenant = arg.tenant,
		.verb = verb,
		.outcome = outcome,
		.after = after,
		.object = arena_printf(app->cx->mem, "tenant/%s", arg.tenant) };

	if (!lite_begin(app->cx, app->home->db))
		return false;
	if (event_write(app->cx, app->home, &e) && lite_commit(app->cx, app->home->db))
		return true;
	lite_rollback(app->home->db);
	return false;
}

/* The event of a load that failed must not hide why it did. */
static void
load_failed_event(App *app)
{
	Ctx own = ctx_new(app->cx->mem);
	App quiet = *app;

	quiet.cx = &own;
	data_event(&quiet, "data.load", fail_name(app->cx->fail->kind), NULL);
}

static bool
load_rows(App *app, const Wanted *w, int64_t fence, DataReport *r)
{
	Ctx *cx = app->cx;

	if (!data_event(app, "data.load.begin", "ok", NULL))
		return false;
	fault_point("data.load.begun");
	if (!data_load(cx, app->home, w->conns, w->at, w->model, &w->other, fence, false, r)) {
		load_failed_event(app);
		return false;
	}
	fault_point("data.load.committed");
	return data_event(
	    app, "data.load", "ok", arena_printf(cx->mem, "%" PRId64 " rows", r->rows));
}

/* The tenant is looked at under its lease: nobody suspends or changes it meanwhile. */
static bool
load_leased(App *app, DataReport *r)
{
	const char *scope = arena_printf(app->cx->mem, "tenant/%s", arg.tenant);
	TenantRecord known; /* an unknown one gets no lease */
	int64_t fence;
	Wanted w;
	bool good;

	if (!catalog_tenant(app->cx, app->home, arg.tenant, &known) ||
	    !lease_take(app->cx, app->home, scope, 0, &fence))
		return false;
	good = wanted(app, &w) && load_rows(app, &w, fence, r);
	lease_drop(app->home, scope);
	return good;
}

static bool
load_dry(App *app, DataReport *r)
{
	Wanted w;

	return wanted(app, &w) &&
	    data_load(app->cx, app->home, w.conns, w.at, w.model, &w.other, 0, true, r);
}

static ExitCode
run_load(void *ptr)
{
	App *app = ptr;
	DataReport r;

	if (arg.dry_run ? !load_dry(app, &r) : !load_leased(app, &r))
		return app_fail(app);
	say_matches(&r.matches);
	if (app->output == OUTPUT_TEXT)
		load_text(app, &r);
	else
		load_json(app, &r);
	return EXIT_DONE;
}

static const Option load_options[] = {
	{ OPT_TEXT, "from", 0, "DSN", &arg.dsn,
	    "the database: a libpq URI or keyword string, env:NAME or file:PATH", NULL, true },
	{ OPT_TEXT, "schema", 0, "SCHEMA", &arg.schema, "its schema (default: public)", NULL,
	    false },
	{ OPT_FLAG, "dry-run", 0, NULL, &arg.dry_run, "count and match, change nothing", NULL,
	    false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_data_load = {
	.name = "data load",
	.summary = "rows of an existing database into a tenant",
	.detail =
	    "Tables and columns are matched with objects and fields by name (also by the earlier name "
	    "in `was`), as copyhold model import maps them. The source is read in one snapshot; the "
	    "tenant's objects must be empty, and either all rows arrive or none. References, unique "
	    "rules and indexes are taken off for the load and put back in the same transaction, so "
	    "every row is checked. In mode shared they stand: rows come in an order that satisfies "
	    "them, and references that none satisfies are set when all rows are there. No lock keeps "
	    "the tenant's own sessions out then; where they wrote meanwhile, nothing is loaded.",
	.access = ACCESS_WRITES,
	.run = run_load,
	.options = load_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

/* --- data compare -------------------------------------------------------------------- */

static const Column compare_columns[] = {
	{ "object", "OBJECT", CELL_TEXT, false },
	{ "here", "HERE", CELL_INT, true },
	{ "there", "THERE", CELL_INT, true },
	{ "sums", "SUMS", CELL_TEXT, false },
	{ "digest", "DIGEST", CELL_TEXT, false },
	{ "missingHere", "NOT HERE", CELL_INT, true },
	{ "missingThere", "NOT THERE", CELL_INT, true },
	{ "different", "DIFFERENT", CELL_INT, true },
};

static const char *
sums_text(Arena *mem, const CompareObject *o)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < o->sums.n; i++)
		if (strcmp(o->sums.at[i].here, o->sums.at[i].there) != 0)
			buf_fmt(&b, "%s%s differs", b.len == 0 ? "" : ", ", o->sums.at[i].field);
	if (b.len > 0)
		return b.text;
	return o->sums.n == 0 ? NULL : arena_printf(mem, "%zu equal", o->sums.n);
}

static const char *
diff_name(DiffKind kind)
{
	static const char *const names[] = {
		[DIFF_MISSING_HERE] = "missing here",
		[DIFF_MISSING_THERE] = "missing there",
		[DIFF_VALUES] = "different",
	};

	return names[kind];
}

static const char *
fields_text(Arena *mem, const Names *fields)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < fields->n; i++)
		buf_fmt(&b, "%s%s", i == 0 ? "" : ", ", fields->at[i]);
	return fields->n == 0 ? NULL : b.text;
}

static const Column diff_columns[] = {
	{ "object", "OBJECT", CELL_TEXT, false },
	{ "what", "ROW", CELL_TEXT, false },
	{ "key", "KEY", CELL_TEXT, false },
	{ "fields", "FIELDS", CELL_TEXT, false },
};

static void
diffs_text(App *app, const CompareReport *r)
{
	Table *t = table_new(app->cx->mem, OUTPUT_TEXT, diff_columns, LENGTH(diff_columns));

	for (size_t i = 0; i < r->objects.n; i++)
		for (size_t j = 0; j < r->objects.at[i].diffs.n; j++) {
			const RowDiff *d = &r->objects.at[i].diffs.at[j];
			table_cell(t, r->objects.at[i].match->object->name);
			table_cell(t, diff_name(d->kind));
			table_cell(t, d->key);
			table_cell(t, fields_text(app->cx->mem, &d->fields));
		}
	out_text(stdout, "\n");
	table_print(t, stdout);
}

static void
compare_text(App *app, const CompareReport *r)
{
	Table *t = table_new(app->cx->mem, OUTPUT_TEXT, compare_columns, LENGTH(compare_columns));

	for (size_t i = 0; i < r->objects.n; i++) {
		const CompareObject *o = &r->objects.at[i];
		table_cell(t, o->match->object->name);
		table_int(t, o->rows_here);
		table_int(t, o->rows_there);
		table_cell(t, sums_text(app->cx->mem, o));
		table_cell(t, o->equal ? "equal" : "differs");
		table_int(t, o->missing_here);
		table_int(t, o->missing_there);
		table_int(t, o->different);
	}
	table_print(t, stdout);
	if (!r->equal)
		diffs_text(app, r);
}

static Js *
diff_json(Arena *mem, const RowDiff *d)
{
	Js *o = js_object(mem);

	js_set_text(o, "what", diff_name(d->kind));
	js_set_text(o, "key", d->key);
	js_set(o, "fields", names_json(mem, &d->fields));
	return o;
}

static Js *
sum_json(Arena *mem, const CompareSum *s)
{
	Js *o = js_object(mem);

	js_set_text(o, "field", s->field);
	js_set_text(o, "here", s->here);
	js_set_text(o, "there", s->there);
	return o;
}

static Js *
compared_json(Arena *mem, const CompareObject *c)
{
	Js *o = js_object(mem), *sums = js_array(mem), *diffs = js_array(mem);

	match_json(mem, o, c->match);
	js_set_bool(o, "equal", c->equal);
	js_set_int(o, "rowsHere", c->rows_here);
	js_set_int(o, "rowsThere", c->rows_there);
	js_set_text(o, "digestHere", c->digest_here);
	js_set_text(o, "digestThere", c->digest_there);
	for (size_t i = 0; i < c->sums.n; i++)
		js_push(sums, sum_json(mem, &c->sums.at[i]));
	for (size_t i = 0; i < c->diffs.n; i++)
		js_push(diffs, diff_json(mem, &c->diffs.at[i]));
	js_set(o, "sums", sums);
	js_set_int(o, "missingHere", c->missing_here);
	js_set_int(o, "missingThere", c->missing_there);
	js_set_int(o, "different", c->different);
	js_set(o, "rows", diffs);
	return o;
}

static void
compare_json(App *app, const CompareReport *r)
{
	Arena *mem = app->cx->mem;
	Js *whole = js_object(mem), *list = js_array(mem);

	for (size_t i = 0; i < r->objects.n; i++)
		js_push(list, compared_json(mem, &r->objects.at[i]));
	js_set_text(whole, "tenant", arg.tenant);
	js_set_bool(whole, "equal", r->equal);
	js_set(whole, "objects", list);
	js_set(whole, "absent", names_json(mem, &r->matches.absent));
	js_set(whole, "strays", names_json(mem, &r->matches.strays));
	app_json(app, whole);
}

static bool
compare_differs(App *app, const CompareReport *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->objects.n; i++)
		n += !r->objects.at[i].equal;
	return fail(app->cx, FAIL_DIFFERENT,
	    arg.show_values
		? NULL
		: "Keys are shown as surrogates of this comparison; --show-values shows them, as an event.",
	    "%zu of %zu objects of tenant \"%s\" differ from the source", n, r->objects.n,
	    arg.tenant);
}

static ExitCode
run_compare(void *ptr)
{
	App *app = ptr;
	CompareReport r;
	Wanted w;

	if (!wanted(app, &w) ||
	    !data_event(
		app, arg.show_values ? "data.compare.show-values" : "data.compare", "ok", NULL) ||
	    !data_compare(app->cx, w.conns, w.at, w.model, &w.other, arg.show_values, &r))
		return app_fail(app);
	say_matches(&r.matches);
	if (app->output == OUTPUT_TEXT)
		compare_text(app, &r);
	else
		compare_json(app, &r);
	if (r.equal)
		return EXIT_DONE;
	compare_differs(app, &r);
	return app_fail(app);
}

static const Option compare_options[] = {
	{ OPT_TEXT, "with", 0, "DSN", &arg.dsn,
	    "the database: a libpq URI or keyword string, env:NAME or file:PATH", NULL, true },
	{ OPT_TEXT, "schema", 0, "SCHEMA", &arg.schema, "its schema (default: public)", NULL,
	    false },
	{ OPT_FLAG, "show-values", 0, NULL, &arg.show_values,
	    "show the keys of differing rows; this is an event", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_data_compare = {
	.name = "data compare",
	.summary = "hold a tenant's rows against another database",
	.detail =
	    "Counts, sums of numeric fields and digests per object, over what both sides have; each "
	    "side is read in one snapshot. Rows that differ are named by surrogates that mean nothing "
	    "outside this comparison. Exit code 1 if something differs.",
	.access = ACCESS_WRITES,
	.run = run_compare,
	.options = compare_options,
	.args = { { "TENANT", &arg.tenant, "the tenant", false } },
};

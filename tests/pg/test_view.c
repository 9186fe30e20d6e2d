/*
 * test_view.c - views of a shared database on a real server: those of tenants
 * that differ, spare columns that their fields take, and tables of their own.
 */
#include "tests/pg/wide.h"

static int
setup(void **state)
{
	static Wide w;

	wide_open(&w);
	*state = &w;
	return 0;
}

static int
fresh(void **state)
{
	wide_clean(*state);
	return 0;
}

static int
teardown(void **state)
{
	wide_close(*state);
	return 0;
}

/* clang-format off */
#define ACCOUNT "    - name: account\n      fields:\n"
#define CONTACT "    - name: contact\n      fields:\n"
#define NAME	"        - {name: name, type: text, maxLength: 20}\n"
#define COUNT	"        - {name: n, type: integer}\n"
#define OWNER	"        - {name: owner, type: reference, to: account, onDelete: restrict}\n"
/* clang-format on */

/* --- a tenant's own fields --------------------------------------------------------- */

typedef struct Own { /* what a tenant of the shared tables is */
	const Model *effective, *common, *wide;
	Slots slots;
	Names drop;
} Own;

static Field
own_field(const char *name, FieldType type, const char *fallback)
{
	return (Field){ .name = name, .type = type, .fallback = fallback, .own = true };
}

/* The common model with fields of object account put in. */
static const Model *
with_own(Wide *w, const Model *common, const Field *fields, size_t n)
{
	Tenant t = { .name = "acme", .model = "shop", .mode = MODE_SHARED };
	OwnFields own = { .object = "account" };
	Model *out;

	for (size_t i = 0; i < n; i++)
		vec_push(w->s.p.cx.mem, &own.fields, fields[i]);
	if (n > 0)
		vec_push(w->s.p.cx.mem, &t.fields, own);
	must(&w->s.p, model_merge(&w->s.p.cx, common, &t, &out));
	return out;
}

static Planned
own_plan(Wide *w, size_t tenant, const Own *was, Own *to, bool look)
{
	Ctx *cx = &w->s.p.cx;
	Placement *at = &w->tenants[tenant];
	Model *wide = (Model *)to->wide;
	Model effective = *to->effective;
	Planned p = { 0 };
	Pg *pg;

	effective.drop = to->drop;
	at->slots = was == NULL ? (Slots){ 0 } : was->slots;
	must(&w->s.p, wide_slots(cx, wide, &effective, &at->slots, &to->slots));
	must(&w->s.p, place_session(cx, w->s.p.conns, at, &pg));
	must(&w->s.p, view_observe(cx, pg, at->schema, &p.before));
	PlaceWork work = { .recorded = was == NULL ? NULL : was->effective,
		.desired = &effective,
		.observed = look ? &p.before : NULL,
		.common_was = was == NULL ? to->common : was->common,
		.common = to->common,
		.wide = wide,
		.slots = to->slots };
	must(&w->s.p, view_change_steps(cx, at, &work, &p.changes, &p.steps));
	return p;
}

/* As shape_run() and shape_undo(), for a tenant's steps. */
static bool
own_run(Wide *w, size_t tenant, const Steps *steps, size_t *done)
{
	const Placement shared = w->s.at;

	w->s.at = w->tenants[tenant];
	bool ok = shape_run(&w->s, steps, done);
	w->s.at = shared;
	return ok;
}

static bool
own_undo(Wide *w, size_t tenant, const Steps *steps, size_t done)
{
	const Placement shared = w->s.at;

	w->s.at = w->tenants[tenant];
	bool ok = shape_undo(&w->s, steps, done);
	w->s.at = shared;
	return ok;
}

static void
own_is(Wide *w, size_t tenant, const Own *own)
{
	Ctx *cx = &w->s.p.cx;
	const Placement *at = &w->tenants[tenant];
	Items seen = { 0 }, want = { 0 };
	Views views = { 0 };
	Pg *pg;

	must(&w->s.p, place_session(cx, w->s.p.conns, at, &pg));
	must(&w->s.p, view_observe(cx, pg, at->schema, &seen));
	must(&w->s.p, view_own(cx, at, own->effective, own->common, &own->slots, &views));
	view_items(cx->mem, at->owner, &views, &want);
	items_sort(&want);
	same_lines(items_text(cx->mem, &seen), items_text(cx->mem, &want));
}

/* A shared database of that model with two rows of each tenant, which has no fields of its own. */
static Own
start(Wide *w, const char *objects)
{
	Own own = { .common = shape_model(&w->s, objects) };

	own.effective = own.common;
	own.wide = wide_create(w, own.common);
	for (size_t t = 0; t < TENANTS; t++)
		wide_sql(w, t, "INSERT INTO account (name) VALUES ('a'), ('b')");
	return own;
}

static void
an_own_field_takes_a_spare_column_for_one_tenant_alone(void **state)
{
	Wide *w = *state;
	const Field fields[] = { own_field("x_fax", TYPE_TEXT, NULL),
		own_field("x_rank", TYPE_INTEGER, "7") };
	Own was = start(w, ACCOUNT NAME CONTACT OWNER), to = was;
	size_t done;

	to.effective = with_own(w, was.common, fields, 2);
	Planned p = own_plan(w, 0, &was, &to, true);
	assert_string_equal(changes_text(w->s.p.cx.mem, &p.changes),
	    "+ field account.x_fax: - -> text\n"
	    "+ field account.x_rank: - -> integer, default 7\n");
	assert_string_equal(steps_text(w->s.p.cx.mem, &p.steps),
	    "slot.fill: fill account.x_rank\nviews.replace: create the own views of account\n");
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	own_is(w, 0, &to);
	assert_string_equal(shape_value(&w->s,
				"SELECT string_agg(concat_ws(':', _tenant, name, _integer_1), ' ' "
				"ORDER BY _tenant, name) FROM wide.account"),
	    "aaaaaaaaaaaa:a:7 aaaaaaaaaaaa:b:7 bbbbbbbbbbbb:a bbbbbbbbbbbb:b");
	wide_sql(w, 0,
	    "INSERT INTO account (name, x_fax) VALUES ('c', 'f'); "
	    "INSERT INTO account (name, x_rank) VALUES ('d', NULL)");
	assert_string_equal(wide_value(w, 0,
				"SELECT string_agg(concat_ws(':', name, x_fax, x_rank), ' ' "
				"ORDER BY name) FROM account"),
	    "a:7 b:7 c:f:7 d");
	assert_string_equal(wide_state(w, 1, "SELECT x_fax FROM account"), "42703");
	assert_string_equal(wide_value(w, 0, "SELECT count(*)::text FROM contact"), "0");
	Own same = to;
	Planned again = own_plan(w, 0, &to, &same, true);
	assert_int_equal(again.steps.n + again.changes.n, 0);
}

static void
rows_that_come_between_the_batches_and_the_view_are_filled_too(void **state)
{
	Wide *w = *state;
	const Field field = own_field("x_rank", TYPE_INTEGER, "7");
	Own was = start(w, ACCOUNT NAME), to = was;
	size_t done;

	to.effective = with_own(w, was.common, &field, 1);
	Planned p = own_plan(w, 0, &was, &to, true);
	must(&w->s.p, own_run(w, 0, &(Steps){ .at = p.steps.at, .n = 1 }, &done));
	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('late')");
	wide_sql(w, 1, "INSERT INTO account (name) VALUES ('late')");
	w->s.run--;
	must(&w->s.p, own_run(w, 0, &(Steps){ .at = &p.steps.at[1], .n = 1 }, &done));
	assert_string_equal(
	    shape_value(
		&w->s, "SELECT concat_ws(' ', count(*), count(_integer_1)) FROM wide.account"),
	    "6 3");
}

static void
a_fill_waits_for_no_row_that_somebody_holds(void **state)
{
	Wide *w = *state;
	const Field field = own_field("x_rank", TYPE_INTEGER, "7");
	Own was = start(w, ACCOUNT NAME), to = was;
	Pg *other = super_open(&w->s.p, WIDE_DB);
	size_t done;

	to.effective = with_own(w, was.common, &field, 1);
	Planned p = own_plan(w, 0, &was, &to, true);
	must(&w->s.p,
	    pg_script(&w->s.p.cx, other,
		"BEGIN; SELECT * FROM wide.account WHERE name = 'a' FOR UPDATE"));
	must(&w->s.p, own_run(w, 0, &(Steps){ .at = p.steps.at, .n = 1 }, &done));
	assert_string_equal(
	    shape_value(&w->s, "SELECT count(_integer_1)::text FROM wide.account"), "1");
	must(&w->s.p, pg_script(&w->s.p.cx, other, "COMMIT"));
	pg_close(other);
	w->s.run--;
	must(&w->s.p, own_run(w, 0, &(Steps){ .at = &p.steps.at[1], .n = 1 }, &done));
	assert_string_equal(
	    shape_value(&w->s, "SELECT count(_integer_1)::text FROM wide.account"), "2");
}

static void
an_own_field_is_taken_back_with_what_filled_it_but_not_with_values(void **state)
{
	Wide *w = *state;
	const Field fields[] = { own_field("x_fax", TYPE_TEXT, NULL),
		own_field("x_rank", TYPE_INTEGER, "7"), own_field("x_key", TYPE_UUID, "random") };
	Own was = start(w, ACCOUNT NAME), to = was;
	size_t done;

	to.effective = with_own(w, was.common, fields, 3);
	Planned p = own_plan(w, 0, &was, &to, true);
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	assert_string_equal(
	    wide_value(w, 0, "SELECT count(DISTINCT x_key)::text FROM account"), "2");
	wide_sql(w, 0, "UPDATE account SET x_rank = 8 WHERE name = 'a'");
	must_fail(&w->s.p, own_undo(w, 0, &p.steps, done), FAIL_UNDO,
	    "\"account.x_rank\" has 1 value that would be lost");
	wide_sql(w, 0, "UPDATE account SET x_rank = 7, x_fax = 'f'");
	must_fail(&w->s.p, own_undo(w, 0, &p.steps, done), FAIL_UNDO,
	    "\"account.x_fax\" has 2 values that would be lost");
	own_is(w, 0, &to);
	wide_sql(w, 0, "UPDATE account SET x_fax = NULL");
	must(&w->s.p, own_undo(w, 0, &p.steps, done));
	own_is(w, 0, &was);
	assert_string_equal(
	    shape_value(&w->s,
		"SELECT count(_text_1) + count(_integer_1) + count(_uuid_1) || '' FROM wide.account"),
	    "0");
	assert_null(
	    shape_value(&w->s, "SELECT 1 FROM pg_namespace WHERE nspname = 'app_aaaaaaaaaaaa'"));
}

static void
own_fields_are_renamed_get_another_default_and_are_given_up(void **state)
{
	Wide *w = *state;
	const Field one[] = { own_field("x_fax", TYPE_TEXT, NULL),
		own_field("x_rank", TYPE_INTEGER, "7") };
	Field two[] = { own_field("x_tel", TYPE_TEXT, NULL),
		own_field("x_rank", TYPE_INTEGER, "8") };
	Own was = start(w, ACCOUNT NAME), a = was, b = was, c = was, d = was;
	size_t done;

	two[0].was = "x_fax";
	a.effective = with_own(w, was.common, one, 2);
	for (size_t t = 0; t < TENANTS; t++) {
		Planned p = own_plan(w, t, &was, &a, true);
		must(&w->s.p, own_run(w, t, &p.steps, &done));
		wide_sql(w, t, "UPDATE account SET x_fax = 'f'");
	}
	b.effective = with_own(w, was.common, two, 2);
	Planned p = own_plan(w, 0, &a, &b, true);
	assert_string_equal(changes_text(w->s.p.cx.mem, &p.changes),
	    "> field account.x_tel: x_fax -> x_tel\n"
	    "~ field account.x_rank: integer, default 7 -> integer, default 8\n");
	assert_string_equal(steps_text(w->s.p.cx.mem, &p.steps),
	    "views.replace: replace the own views of account\n");
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	own_is(w, 0, &b);
	must(&w->s.p, own_undo(w, 0, &p.steps, done));
	own_is(w, 0, &a);
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('c')");
	assert_string_equal(wide_value(w, 0,
				"SELECT string_agg(concat_ws(':', name, x_tel, x_rank), ' ' "
				"ORDER BY name) FROM account"),
	    "a:f:7 b:f:7 c:8");
	c.effective = with_own(w, was.common, &two[1], 1);
	Planned q = own_plan(w, 0, &b, &c, true);
	assert_string_equal(changes_text(w->s.p.cx.mem, &q.changes),
	    "- field account.x_tel: text -> - data kept "
	    "(the views do not show it any more; add \"account.x_tel\" to drop and say --prune "
	    "to remove it)\n");
	must(&w->s.p, own_run(w, 0, &q.steps, &done));
	own_is(w, 0, &c);
	d.effective = c.effective;
	vec_push(w->s.p.cx.mem, &d.drop, "account.x_tel");
	Planned r = own_plan(w, 0, &c, &d, true);
	assert_string_equal(
	    changes_text(w->s.p.cx.mem, &r.changes), "- field account.x_tel: text -> - data\n");
	assert_string_equal(steps_text(w->s.p.cx.mem, &r.steps),
	    "slot.release: give up values of acme\nslot.clear: drop account.x_tel\n");
	must(&w->s.p, own_run(w, 0, &r.steps, &done));
	assert_string_equal(
	    shape_value(&w->s, "SELECT string_agg(_tenant || _text_1, ' ') FROM wide.account"),
	    "bbbbbbbbbbbbf bbbbbbbbbbbbf");
}

/* --- what is replaced, and how ----------------------------------------------------------- */

static void
views_that_grow_are_replaced_in_place_and_others_made_anew(void **state)
{
	static const char oid[] = "SELECT 'app.account'::regclass::oid::text";
	Wide *w = *state;
	const Model *a = shape_model(&w->s, ACCOUNT NAME CONTACT OWNER);
	const Model *b = shape_model(&w->s, ACCOUNT NAME COUNT CONTACT OWNER);
	const Model *c = shape_model(&w->s, ACCOUNT COUNT CONTACT OWNER);
	const Model *wa = wide_create(w, a), *wb = wide_of(w, b, wa), *wc = wide_of(w, c, wb);
	char *contact = shape_value(&w->s, "SELECT 'app.contact'::regclass::oid::text");
	char *before = shape_value(&w->s, oid);
	size_t done;

	Planned p = wide_plan(w, a, wa, b, wb, false);
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	assert_string_equal(shape_value(&w->s, oid), before);
	Planned q = wide_plan(w, b, wb, c, wc, false);
	assert_string_equal(
	    changes_text(w->s.p.cx.mem, &q.changes), "~ view account: 3 fields -> 2 fields\n");
	must(&w->s.p, shape_run(&w->s, &q.steps, &done));
	assert_string_not_equal(shape_value(&w->s, oid), before);
	assert_string_equal(
	    shape_value(&w->s, "SELECT 'app.contact'::regclass::oid::text"), contact);
	wide_is(w, c, wc);
}

static void
a_session_with_prepared_statements_goes_on(void **state)
{
	Wide *w = *state;
	const Model *a = shape_model(&w->s, ACCOUNT NAME COUNT);
	const Model *b = shape_model(&w->s, ACCOUNT COUNT);
	const Model *wa = wide_create(w, a), *wb = wide_of(w, b, wa);
	Planned p = wide_plan(w, a, wa, b, wb, false);
	size_t done;

	wide_as(w, 0, false);
	shape_sql(&w->s,
	    "PREPARE put AS INSERT INTO account (n) VALUES ($1); "
	    "PREPARE get AS SELECT sum(n)::text FROM account; EXECUTE put (1)");
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	shape_sql(&w->s, "EXECUTE put (2)");
	assert_string_equal(shape_value(&w->s, "EXECUTE get"), "3");
	shape_sql(&w->s, "RESET SESSION AUTHORIZATION; RESET search_path; DEALLOCATE ALL");
}

static void
a_view_that_is_read_for_long_keeps_nothing_else_waiting(void **state)
{
	Wide *w = *state;
	const Model *a = shape_model(&w->s, ACCOUNT NAME CONTACT OWNER);
	const Model *b = shape_model(&w->s, ACCOUNT NAME COUNT CONTACT OWNER COUNT);
	const Model *wa = wide_create(w, a), *wb = wide_of(w, b, wa);
	Planned p = wide_plan(w, a, wa, b, wb, false);
	Pg *other = super_open(&w->s.p, WIDE_DB);
	Steps first = { .at = p.steps.at, .n = 1 }, second = { .at = p.steps.at + 1, .n = 1 };
	size_t done;

	must(&w->s.p, shape_run(&w->s, &first, &done));
	js_set_int(second.at[0].args, "patience_ms", 300);
	must(&w->s.p, pg_script(&w->s.p.cx, other, "BEGIN; SELECT * FROM app.contact"));
	must_fail(&w->s.p, shape_run(&w->s, &second, &done), FAIL_TIMEOUT,
	    "no lock on \"account\", \"contact\" of \"bj-1/shop\" within 300 ms");
	wide_sql(w, 0, "INSERT INTO account (name) VALUES ('a')");
	must(&w->s.p, pg_script(&w->s.p.cx, other, "COMMIT"));
	pg_close(other);
	must(&w->s.p, shape_run(&w->s, &second, &done));
	wide_is(w, b, wb);
}

/* --- own views while the common model goes on ----------------------------------------------- */

static void
wide_tables_change_under_own_views(void **state)
{
	Wide *w = *state;
	const Field field = own_field("x_fax", TYPE_TEXT, "none");
	Own was = start(w, ACCOUNT NAME COUNT), to = was, after = was;
	size_t done;

	to.effective = with_own(w, was.common, &field, 1);
	Planned p = own_plan(w, 0, &was, &to, true);
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	/* a rename, another type, and a field that goes */
	const Model *common = shape_model(&w->s,
	    "    - name: client\n      was: account\n      fields:\n"
	    "        - {name: size, was: n, type: number}\n"
	    "  drop: [client.name]\n");
	const Model *wide = wide_of(w, common, was.wide);
	Planned q = wide_plan(w, was.common, was.wide, common, wide, true);
	assert_string_equal(steps_text(w->s.p.cx.mem, &q.steps),
	    "shape.change: change account, client\nviews.replace: replace the common views of client, account\n"
	    "shape.drop: drop client.name\n");
	must(&w->s.p, shape_run(&w->s, &q.steps, &done));
	wide_is(w, common, wide);
	/* its own view goes on with what is left, until its own turn */
	wide_sql(w, 0, "INSERT INTO account (n, x_fax) VALUES (2.5, 'f')");
	assert_string_equal(
	    wide_value(w, 0, "SELECT string_agg(x_fax, ',' ORDER BY x_fax) FROM account"),
	    "f,none,none");
	assert_string_equal(wide_value(w, 1, "SELECT count(*)::text FROM client"), "2");
	after.common = common;
	after.wide = wide;
	Tenant t = { .name = "acme", .model = "shop", .mode = MODE_SHARED };
	OwnFields own = { .object = "client" };
	Model *effective;
	vec_push(w->s.p.cx.mem, &own.fields, field);
	vec_push(w->s.p.cx.mem, &t.fields, own);
	must(&w->s.p, model_merge(&w->s.p.cx, common, &t, &effective));
	after.effective = effective;
	Planned r = own_plan(w, 0, &to, &after, false);
	must(&w->s.p, own_run(w, 0, &r.steps, &done));
	own_is(w, 0, &after);
	assert_string_equal(
	    wide_value(w, 0, "SELECT concat_ws(' ', sum(size), max(x_fax)) FROM client"),
	    "2.5 none");
}

static void
a_tenant_goes_ahead_and_the_others_follow(void **state)
{
	Wide *w = *state;
	Own was = start(w, ACCOUNT NAME), ahead = was, together = was;
	const Model *two = shape_model(&w->s, ACCOUNT NAME COUNT CONTACT OWNER);
	Model *wide = (Model *)wide_of(w, was.common, was.wide);
	size_t done;

	must(&w->s.p, wide_extend(&w->s.p.cx, wide, was.common, two));
	Planned p = wide_plan(w, was.common, was.wide, was.common, wide, false);
	assert_string_equal(
	    steps_text(w->s.p.cx.mem, &p.steps), "shape.change: change contact, account\n");
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_is(w, was.common, wide);
	ahead.effective = two;
	ahead.wide = wide;
	Planned q = own_plan(w, 0, &was, &ahead, true);
	assert_string_equal(changes_text(w->s.p.cx.mem, &q.changes),
	    "~ view account: the common one -> 3 fields\n"
	    "~ view contact: the common one -> 2 fields\n");
	must(&w->s.p, own_run(w, 0, &q.steps, &done));
	own_is(w, 0, &ahead);
	wide_sql(
	    w, 0, "UPDATE account SET n = 1; INSERT INTO contact (owner) SELECT id FROM account");
	assert_string_equal(wide_state(w, 1, "SELECT n FROM account"), "42703");
	const Model *all = wide_of(w, two, wide);
	Planned r = wide_plan(w, was.common, wide, two, all, false);
	assert_string_equal(changes_text(w->s.p.cx.mem, &r.changes),
	    "~ view account: 2 fields -> 3 fields\n+ view contact: - -> 2 fields\n");
	must(&w->s.p, shape_run(&w->s, &r.steps, &done));
	together.effective = together.common = two;
	together.wide = all;
	Planned s = own_plan(w, 0, &ahead, &together, true);
	assert_string_equal(steps_text(w->s.p.cx.mem, &s.steps),
	    "views.replace: drop the own views of account, contact\n");
	must(&w->s.p, own_run(w, 0, &s.steps, &done));
	own_is(w, 0, &together);
	assert_string_equal(wide_value(w, 0, "SELECT sum(n)::text FROM account"), "2");
	must(&w->s.p, own_undo(w, 0, &s.steps, done));
	own_is(w, 0, &ahead);
}

static void
a_type_that_too_many_views_hang_on_is_not_changed(void **state)
{
	Wide *w = *state;
	Own was = start(w, ACCOUNT NAME COUNT);
	const Model *common = shape_model(
	    &w->s, ACCOUNT NAME "        - {name: n, type: number}\n");
	const Model *wide = wide_of(w, common, was.wide);
	size_t done;

	shape_sql(&w->s,
	    "DO $$ BEGIN FOR i IN 1..50 LOOP EXECUTE format('SET ROLE s_" WIDE_ID "_o; "
	    "CREATE SCHEMA app_%s; CREATE VIEW app_%1$s.account AS SELECT id, n FROM wide.account "
	    "WHERE _tenant = substr(session_user::text, 3, 12); RESET ROLE', "
	    "lpad(translate(i::text, '0189', 'wxyz'), 12, 'c')); END LOOP; END $$");
	Planned p = wide_plan(w, was.common, was.wide, common, wide, false);
	must_fail(&w->s.p, shape_run(&w->s, &p.steps, &done), FAIL_DATA,
	    "\"account.n\" is shown by 51 views, of tenants with fields of their own, which would "
	    "all wait");
	assert_int_equal(done, 0);
	shape_sql(&w->s, "DROP VIEW app_cccccccccccy.account");
	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	wide_is(w, common, wide);
	assert_string_equal(
	    shape_value(&w->s, "SELECT count(*)::text FROM pg_views WHERE schemaname ~ '^app'"),
	    "50");
}

/* --- changed by hand ------------------------------------------------------------------------------ */

#define V "app_aaaaaaaaaaaa"

static void
own_views_that_were_changed_by_hand_are_mended(void **state)
{
	static const char *const hand[] = {
		"ALTER VIEW " V ".account SET (security_invoker = on)",
		"CREATE OR REPLACE VIEW " V
		".account AS SELECT id, name, _text_1 AS x_fax FROM wide.account",
		"DROP VIEW " V ".account",
		"DROP SCHEMA " V " CASCADE",
		"ALTER VIEW " V ".account ALTER x_fax DROP DEFAULT",
		"GRANT SELECT ON " V ".account TO t_bbbbbbbbbbbb_" /* completed below */,
		"GRANT USAGE ON SCHEMA " V " TO PUBLIC",
		"CREATE VIEW " V ".more AS SELECT * FROM wide.account",
	};
	Wide *w = *state;
	const Field field = own_field("x_fax", TYPE_TEXT, "none");
	Own was = start(w, ACCOUNT NAME), to = was;
	size_t done;

	to.effective = with_own(w, was.common, &field, 1);
	Planned p = own_plan(w, 0, &was, &to, true);
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	for (size_t i = 0; i < LENGTH(hand); i++) {
		size_t n = strlen(hand[i]);
		Own same = to;

		shape_sql(&w->s,
		    arena_printf(w->s.p.cx.mem, "%s%s", hand[i],
			hand[i][n - 1] == '_' ? w->tenants[1].logins.at[0].role + 15 : ""));
		Planned q = own_plan(w, 0, &to, &same, true);
		if (q.changes.n == 0 || q.steps.n != 1)
			print_error("%s\n", hand[i]);
		assert_true(q.changes.n > 0 && q.changes.at[0].drift);
		assert_int_equal(q.steps.n, 1);
		must(&w->s.p, own_run(w, 0, &q.steps, &done));
		own_is(w, 0, &to);
	}
}

static void
a_view_changed_by_hand_keeps_its_table_from_being_changed(void **state)
{
	Wide *w = *state;
	const Field field = own_field("x_fax", TYPE_TEXT, NULL);
	Own was = start(w, ACCOUNT NAME COUNT), to = was;
	const Model *common = shape_model(
	    &w->s, ACCOUNT NAME "        - {name: n, type: number}\n");
	const Model *wide = wide_of(w, common, was.wide);
	size_t done;

	to.effective = with_own(w, was.common, &field, 1);
	Planned p = own_plan(w, 0, &was, &to, true);
	must(&w->s.p, own_run(w, 0, &p.steps, &done));
	shape_sql(&w->s, "ALTER VIEW " V ".account SET (security_barrier = on)");
	Planned q = wide_plan(w, was.common, was.wide, common, wide, false);
	must_fail(&w->s.p, shape_run(&w->s, &q.steps, &done), FAIL_DIFFERENT,
	    "view \"" V ".account\" was changed by hand, and its table is to change");
	shape_sql(&w->s, "ALTER VIEW " V ".account RESET (security_barrier)");
	/* a common one is mended in the same run, before */
	shape_sql(&w->s, "ALTER VIEW app.account SET (security_barrier = on)");
	Planned r = wide_plan(w, was.common, was.wide, common, wide, false);
	assert_string_equal(steps_text(w->s.p.cx.mem, &r.steps),
	    "views.replace: replace the common views of account\nshape.change: change account\n"
	    "views.replace: replace the common views of account\n");
	must(&w->s.p, shape_run(&w->s, &r.steps, &done));
	wide_is(w, common, wide);
}

/* --- tables of its own ------------------------------------------------------------------------------ */

static void
tables_of_a_tenant_s_own_stand_beside_the_shared_ones(void **state)
{
	Wide *w = *state;
	Own was = start(w, ACCOUNT NAME);
	const Model *own = shape_model(&w->s,
	    ACCOUNT NAME "        - {name: x_code, type: text, "
			 "maxLength: 5, unique: true}\n");
	Placement shared = w->s.at;
	Planned none;
	size_t done;

	w->s.at = w->tenants[0];
	w->s.at.layout = LAYOUT_PLAIN;
	Items before = shape_seen(&w->s);
	assert_string_equal(items_text(w->s.p.cx.mem, &before), "");
	Steps steps = shape_create_plan(&w->s, own);
	must(&w->s.p, shape_run(&w->s, &steps, &done));
	shape_is(&w->s, own);
	wide_sql(w, 0, "INSERT INTO account (name, x_code) VALUES ('mine', 'c')");
	assert_string_equal(wide_value(w, 0, "SELECT string_agg(name, ',') FROM account"), "mine");
	assert_string_equal(wide_value(w, 1, "SELECT count(*)::text FROM account"), "2");
	assert_string_equal(wide_state(w, 1, "SELECT * FROM " V ".account"), "42501");
	/* what is strange elsewhere is not its own */
	shape_sql(&w->s,
	    "CREATE TABLE wide.odd (); CREATE TRIGGER t BEFORE INSERT ON " V ".account "
	    "EXECUTE FUNCTION suppress_redundant_updates_trigger()");
	must(&w->s.p, shape_plan_with(&w->s, own, own, true, false, &none));
	assert_string_equal(changes_text(w->s.p.cx.mem, &none.changes),
	    "- strange trigger t (account): on a table -> - drift\n");
	assert_string_equal(none.steps.at[0].scope, "tenant/acme");
	shape_sql(&w->s, "DROP TABLE wide.odd; DROP TRIGGER t ON " V ".account");
	wide_sql(w, 0, "DELETE FROM account");
	w->s.run--;
	must(&w->s.p, shape_undo(&w->s, &steps, 1));
	w->s.at = shared;
	wide_is(w, was.common, was.wide); /* the ledger too */
}

/* --- the server's text --------------------------------------------------------------------------------- */

static void
both_forms_of_a_definition_are_read_and_no_other(void **state)
{
	static const char *const good[] = {
		" SELECT \"account\".\"id\",\n    \"account\".\"_text_1\" AS \"fax\"\n"
		"   FROM \"wide\".\"account\"\n  WHERE (\"account\".\"_tenant\" = " SHAPE_TENANT
		");",
		" SELECT \"id\",\n    \"_text_1\" AS \"fax\"\n"
		"   FROM \"wide\".\"account\"\n  WHERE (\"_tenant\" = " SHAPE_TENANT ");",
	};
	static const char *const bad[] = {
		"",
		" SELECT \"id\" FROM \"wide\".\"account\";",
		" SELECT \"id\" FROM \"app\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT ");",
		" SELECT \"id\" FROM \"wide\".\"account\" \"a\" WHERE (\"_tenant\" = " SHAPE_TENANT
		");",
		" SELECT \"b\".\"id\" FROM \"wide\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT
		");",
		" SELECT \"id\" FROM \"wide\".\"account\" WHERE (\"name\" = " SHAPE_TENANT ");",
		" SELECT \"id\" FROM \"wide\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT
		" OR true);",
		" SELECT \"id\" FROM \"wide\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT
		") LIMIT 1;",
		" SELECT \"upper\"(\"name\") FROM \"wide\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT
		");",
		" SELECT DISTINCT \"id\" FROM \"wide\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT
		");",
		" SELECT \"i\"\"d\" FROM \"wide\".\"account\" WHERE (\"_tenant\" = " SHAPE_TENANT
		");",
		" SELECT \"id",
	};
	Wide *w = *state;

	for (size_t i = 0; i < LENGTH(good); i++) {
		View v = { .schema = "app", .object = "account" };

		assert_true(view_parse(w->s.p.cx.mem, good[i], &v));
		assert_string_equal(
		    view_def(w->s.p.cx.mem, "o", &v), "owner o, account: id, fax=_text_1");
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		View v = { .schema = "app", .object = "account" };

		assert_false(view_parse(w->s.p.cx.mem, bad[i], &v));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    an_own_field_takes_a_spare_column_for_one_tenant_alone, fresh),
		cmocka_unit_test_setup(
		    rows_that_come_between_the_batches_and_the_view_are_filled_too, fresh),
		cmocka_unit_test_setup(a_fill_waits_for_no_row_that_somebody_holds, fresh),
		cmocka_unit_test_setup(
		    an_own_field_is_taken_back_with_what_filled_it_but_not_with_values, fresh),
		cmocka_unit_test_setup(
		    own_fields_are_renamed_get_another_default_and_are_given_up, fresh),
		cmocka_unit_test_setup(
		    views_that_grow_are_replaced_in_place_and_others_made_anew, fresh),
		cmocka_unit_test_setup(a_session_with_prepared_statements_goes_on, fresh),
		cmocka_unit_test_setup(
		    a_view_that_is_read_for_long_keeps_nothing_else_waiting, fresh),
		cmocka_unit_test_setup(wide_tables_change_under_own_views, fresh),
		cmocka_unit_test_setup(a_tenant_goes_ahead_and_the_others_follow, fresh),
		cmocka_unit_test_setup(a_type_that_too_many_views_hang_on_is_not_changed, fresh),
		cmocka_unit_test_setup(own_views_that_were_changed_by_hand_are_mended, fresh),
		cmocka_unit_test_setup(
		    a_view_changed_by_hand_keeps_its_table_from_being_changed, fresh),
		cmocka_unit_test_setup(
		    tables_of_a_tenant_s_own_stand_beside_the_shared_ones, fresh),
		cmocka_unit_test_setup(both_forms_of_a_definition_are_read_and_no_other, fresh),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_shared_own.c - tenants of a shared database that differ: fields of their
 * own in spare columns, tables of their own, and the way from one to the other.
 */
#include "tests/pg/shared.h"

static int
setup(void **state)
{
	static Room r;

	room_open(&r, "shared_own_ops", ROOM_OBJECTS ROOM_CIRCLE);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	room_close(*state);
	return 0;
}

/* --- models ------------------------------------------------------------------------- */

static Model *
with_field(Room *r, const Model *m, Field f)
{
	Tenant spec = { .name = "own", .mode = MODE_SHARED, .accept_visible_names = true };
	OwnFields own = { .object = "account" };
	Model *out;

	vec_push(r->p.cx.mem, &own.fields, f);
	vec_push(r->p.cx.mem, &spec.fields, own);
	must(&r->p, model_merge(&r->p.cx, m, &spec, &out));
	return out;
}

static Model *
coloured(Room *r)
{
	return with_field(r, r->common,
	    (Field){ .name = "x_colour", .type = TYPE_TEXT, .own = true, .fallback = "red" });
}

static Model *
coded(Room *r)
{
	return with_field(r, r->common,
	    (Field){ .name = "x_code",
		.type = TYPE_TEXT,
		.max_length = 10,
		.unique = true,
		.own = true });
}

/* Steps of one change of a tenant that is there. */
static Steps
change(Room *r, Placement *at, const Model *from, const Model *to, Layout layout)
{
	PlaceWork work = room_work(r, at, to);
	Changes changes = { 0 };

	work.recorded = from;
	work.layout = layout;
	if (layout == LAYOUT_VIEWS)
		must(&r->p, wide_slots(&r->p.cx, r->wide, to, &at->slots, &work.slots));
	Steps steps = room_steps(r, at, &work, &changes);

	at->slots = layout == LAYOUT_VIEWS ? work.slots : at->slots;
	return steps;
}

static Placement *
coloured_tenant(Room *r, const char *name)
{
	Placement *at = room_place(r, name, LAYOUT_VIEWS);
	Model *m = coloured(r);

	must(&r->p, wide_slots(&r->p.cx, r->wide, m, &at->slots, &at->slots));
	room_join(r, at, m);
	return at;
}

static const char *
kinds_of(Room *r, const Steps *steps)
{
	Buf b = buf_new(r->p.cx.mem);

	for (size_t i = 0; i < steps->n; i++)
		buf_fmt(&b, "%s%s", i ? " " : "", steps->at[i].kind);
	return b.text;
}

/* --- fields of its own ------------------------------------------------------------------ */

static void
a_tenant_with_a_field_of_its_own_comes_in_with_it(void **state)
{
	Room *r = *state;
	Placement *a = coloured_tenant(r, "colour"), *b = room_tenant(r, "grey");

	room_same(r, a, coloured(r));
	assert_string_equal(room_psql(r, a,
				"INSERT INTO account (name) VALUES ('x');"
				"SELECT name, x_colour FROM account; SHOW search_path"),
	    arena_printf(r->p.cx.mem, "x|red\n%s, app\n", a->schema));
	assert_string_equal(
	    room_psql(r, b, "SELECT count(*) FROM account; SHOW search_path"), "0\napp\n");
	Pg *pg = room_app(r, b);

	assert_string_equal(sqlstate_of(&r->p, pg, "SELECT x_colour FROM account"), "42703");
	assert_string_equal(
	    sqlstate_of(&r->p, pg, room_fill(r, a, "SELECT FROM %s.account")), "42501");
	pg_close(pg);
	room_purge(r, a);
	room_purge(r, b);
	assert_int_equal(
	    room_count(
		r, room_fill(r, a, "SELECT count(*) FROM pg_namespace WHERE nspname = '%s'")),
	    0);
}

static void
drift_of_its_own_views_is_found_and_mended(void **state)
{
	Room *r = *state;
	static const char *const drifted[] = {
		"ALTER ROLE %l IN DATABASE %d RESET search_path",
		"ALTER ROLE %l IN DATABASE %d SET search_path = 'app'",
		"GRANT SELECT ON %s.account TO %w",
		"REVOKE INSERT ON %s.account FROM %l",
		"REVOKE USAGE ON SCHEMA %s FROM %l",
		"ALTER VIEW %s.account SET (security_invoker = on)",
		"DROP VIEW %s.account",
		"DROP SCHEMA %s CASCADE",
	};
	Placement *a = coloured_tenant(r, "tinted");
	Model *m = coloured(r);

	for (size_t i = 0; i < LENGTH(drifted); i++) {
		Steps steps;

		psql_must(&r->p, r->shared.dbname, room_fill(r, a, drifted[i]));
		Changes found = room_look(r, a, m, &steps);

		if (found.n == 0)
			fprintf(stderr, "%s: not found\n", drifted[i]);
		assert_int_not_equal(found.n, 0);
		room_run(r, a, &steps);
		room_same(r, a, m);
	}
	room_purge(r, a);
}

static void
a_field_of_its_own_comes_later_and_goes_again(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "later");
	Pg *old = room_app(r, a);
	Model *m = coloured(r), *bare;

	must(&r->p, pg_script(&r->p.cx, old, "INSERT INTO account (name) VALUES ('x')"));
	Steps on = change(r, a, r->common, m, LAYOUT_VIEWS);

	assert_string_equal(kinds_of(r, &on), "slot.fill views.replace shared.path");
	room_run(r, a, &on);
	room_same(r, a, m);
	assert_string_equal(room_psql(r, a, "SELECT name, x_colour FROM account"), "x|red\n");
	Pg *own = room_app(r, a);

	bare = arena_alloc(r->p.cx.mem, sizeof *bare);
	*bare = *r->common;
	vec_push(r->p.cx.mem, &bare->drop, "account.x_colour");
	Steps off = change(r, a, m, bare, LAYOUT_VIEWS);

	assert_string_equal(kinds_of(r, &off), "shared.path views.replace slot.release slot.clear");
	room_run(r, a, &off);
	room_same(r, a, r->common);
	assert_string_equal(one_value(&r->p, own, "SELECT count(*) FROM account"), "1");
	assert_string_equal(one_value(&r->p, old, "SELECT count(*) FROM account"), "1");
	assert_string_equal(room_psql(r, a, "SHOW search_path"), "app\n");
	pg_close(own);
	pg_close(old);
	room_purge(r, a);
}

static void
a_login_added_later_finds_its_own_views(void **state)
{
	Room *r = *state;
	Placement *a = coloured_tenant(r, "added");
	Login login = new_login(&r->p, a, "report", "app-p4ss");
	Model *m = coloured(r);
	Steps add = { 0 }, drop = { 0 };

	login.read_only = true;
	must(&r->p, mode_shared.login_steps(&r->p.cx, a, &login, "add", &add));
	vec_push(r->p.cx.mem, &a->logins, login);
	room_run(r, a, &add);
	room_same(r, a, m);
	Pg *pg = room_login(r, a, 1, "app-p4ss");

	assert_string_equal(one_value(&r->p, pg, "SELECT count(x_colour) FROM account"), "0");
	must(&r->p, pg_script(&r->p.cx, pg, "SET default_transaction_read_only = off"));
	assert_string_equal(sqlstate_of(&r->p, pg, "DELETE FROM account"), "42501");
	pg_close(pg);
	must(&r->p, mode_shared.login_steps(&r->p.cx, a, &login, "remove", &drop));
	room_run(r, a, &drop);
	a->logins.n = 1;
	room_same(r, a, m);
	room_purge(r, a);
}

/* --- tables of its own --------------------------------------------------------------------- */

static void
a_tenant_with_tables_of_its_own_comes_in_with_them(void **state)
{
	Room *r = *state;
	Placement *a = room_place(r, "tables", LAYOUT_PLAIN), *b = room_tenant(r, "others");
	Model *m = coded(r);
	Steps made = room_join(r, a, m);

	assert_string_equal(kinds_of(r, &made), "shared.join shape.create");
	room_same(r, a, m);
	room_same(r, b, r->common);
	assert_string_equal(room_psql(r, a,
				"INSERT INTO account (name, x_code) VALUES ('x', 'c');"
				"SELECT name, x_code FROM account; SHOW search_path"),
	    arena_printf(r->p.cx.mem, "x|c\n%s\n", a->schema));
	Pg *pg = room_app(r, b);

	assert_string_equal(
	    sqlstate_of(&r->p, pg, room_fill(r, a, "SELECT FROM %s.account")), "42501");
	pg_close(pg);
	psql_must(&r->p, r->shared.dbname, room_fill(r, a, "DELETE FROM %s.account"));
	undo_steps(&r->p, a, &r->p.vendor, &made, r->run, r->run);
	assert_int_equal(roles_of(r, a), 0);
	room_purge(r, b);
}

static void
fill(Room *r, const Placement *at)
{
	Pg *pg = room_app(r, at);

	must(&r->p,
	    pg_script(&r->p.cx, pg,
		"INSERT INTO account (id, name, parent) VALUES"
		" ('00000000-0000-4000-8000-000000000001', 'a', '00000000-0000-4000-8000-000000000002'),"
		" ('00000000-0000-4000-8000-000000000002', 'b', '00000000-0000-4000-8000-000000000001');"
		"INSERT INTO contact VALUES (1, '00000000-0000-4000-8000-000000000001');"
		"UPDATE account SET first = 1 WHERE name = 'b';"
		"WITH h AS (INSERT INTO hen VALUES ('h', 'g')) INSERT INTO egg VALUES ('g', 'h', 'g')"));
	pg_close(pg);
}

static void
record_tenant(Room *r, const Placement *at)
{
	TenantRecord t = { .name = at->tenant,
		.id = at->id,
		.state = TENANT_ACTIVE,
		.mode = MODE_SHARED,
		.cluster = "bj-1",
		.dbname = at->dbname,
		.owner = at->owner,
		.model = "shop",
		.shape = "",
		.spec_hash = "",
		.changed_run = 1,
		.shared = r->shared.name,
		.layout = LAYOUT_VIEWS };
	SharedRecord s = { .name = r->shared.name,
		.id = r->shared.id,
		.cluster = "bj-1",
		.model = "shop",
		.active = true,
		.wide = "",
		.common = "" };

	must(&r->p, lite_begin(&r->p.cx, r->p.home->db));
	must(&r->p, catalog_shared_put(&r->p.cx, r->p.home, &s));
	must(&r->p, catalog_tenant_put(&r->p.cx, r->p.home, &t));
	must(&r->p, lite_commit(&r->p.cx, r->p.home->db));
}

/* As the engine: the catalogue moves with each step, and the placement with the catalogue. */
static void
move_along(Room *r, Placement *at, const Step *step, bool back)
{
	StepEnv env = step_env(&r->p, at, &r->p.vendor, step, r->run);
	const StepKind *kind = step_kind(step->kind);
	TenantRecord t;

	if (strcmp(step->kind, "shared.move") != 0)
		return;
	must(&r->p, lite_begin(&r->p.cx, r->p.home->db));
	must(&r->p, back ? kind->unrecord(&r->p.cx, &env) : kind->record(&r->p.cx, &env));
	must(&r->p, lite_commit(&r->p.cx, r->p.home->db));
	must(&r->p, catalog_tenant(&r->p.cx, r->p.home, at->tenant, &t));
	at->layout = t.layout;
}

static void
run_move(Room *r, Placement *at, const Steps *steps, size_t n)
{
	r->run++;
	for (size_t i = 0; i < n; i++) {
		Steps one = { .at = &steps->at[i], .n = 1 };

		run_steps(&r->p, at, &r->p.vendor, &one, r->run);
		move_along(r, at, &steps->at[i], false);
	}
}

static void
undo_move(Room *r, Placement *at, const Steps *steps, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		Steps one = { .at = &steps->at[i], .n = 1 };

		undo_steps(&r->p, at, &r->p.vendor, &one, r->run, r->run);
		move_along(r, at, &steps->at[i], true);
	}
}

static const char everything[] =
    "SELECT name, parent IS NOT NULL, first FROM account ORDER BY name;"
    "SELECT * FROM contact; SELECT * FROM hen; SELECT * FROM egg";

static void
a_tenant_moves_out_of_the_shared_tables(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "mover"), *b = room_tenant(r, "sitter");
	Model *m = coded(r);

	record_tenant(r, a);
	fill(r, a);
	fill(r, b);
	const char *before = room_psql(r, a, everything);
	Steps steps = change(r, a, r->common, m, LAYOUT_PLAIN);

	assert_string_equal(kinds_of(r, &steps),
	    "tenant.close shared.move shape.change constraint.validate unique.build shared.release shared.clear"
	    " tenant.reopen");
	run_move(r, a, &steps, 5);
	assert_int_equal(rows_of(r, a, "account"), 2);
	undo_move(r, a, &steps, 5);
	assert_int_equal(a->layout, LAYOUT_VIEWS);
	room_same(r, a, r->common);
	assert_string_equal(room_psql(r, a, everything), before);

	run_move(r, a, &steps, steps.n);
	assert_int_equal(a->layout, LAYOUT_PLAIN);
	room_same(r, a, m);
	assert_string_equal(room_psql(r, a, everything), before);
	assert_int_equal(rows_of(r, a, "account") + rows_of(r, a, "egg"), 0);
	assert_int_equal(rows_of(r, b, "account"), 2);
	assert_string_equal(room_psql(r, b, everything), before);
	Pg *pg = room_app(r, a);

	/* since 18 a reference that restricts has a SQLSTATE of its own */
	assert_string_equal(sqlstate_of(&r->p, pg, "DELETE FROM contact"),
	    pg_version(r->super) >= 180000 ? "23001" : "23503");
	pg_close(pg);
	room_purge(r, a);
	room_purge(r, b);
}

static void
a_field_in_a_spare_column_moves_too(void **state)
{
	Room *r = *state;
	Placement *a = coloured_tenant(r, "painted");
	Model *from = coloured(r), *to;

	to = with_field(r, from,
	    (Field){ .name = "x_code",
		.type = TYPE_TEXT,
		.max_length = 10,
		.unique = true,
		.own = true });
	record_tenant(r, a);
	room_psql(r, a, "INSERT INTO account (name, x_colour) VALUES ('x', 'blue')");
	Steps steps = change(r, a, from, to, LAYOUT_PLAIN);

	assert_string_equal(kinds_of(r, &steps),
	    "tenant.close shared.path views.replace shared.move shape.change constraint.validate"
	    " unique.build shared.release shared.clear tenant.reopen");
	run_move(r, a, &steps, 7);
	undo_move(r, a, &steps, 7);
	room_same(r, a, from);
	assert_string_equal(room_psql(r, a, "SELECT name, x_colour FROM account"), "x|blue\n");
	run_move(r, a, &steps, steps.n);
	room_same(r, a, to);
	assert_string_equal(
	    room_psql(r, a, "SELECT name, x_colour, x_code IS NULL FROM account"), "x|blue|t\n");
	room_purge(r, a);
	assert_int_equal(roles_of(r, a), 0);
}

static void
a_suspended_tenant_stays_closed_when_it_moves(void **state)
{
	Room *r = *state;
	Placement *a = room_tenant(r, "asleep");
	Steps close = { 0 };

	record_tenant(r, a);
	fill(r, a);
	must(&r->p, mode_shared.suspend_steps(&r->p.cx, a, &close));
	room_run(r, a, &close);
	a->logins.at[0].on = false;
	Steps steps = change(r, a, r->common, coded(r), LAYOUT_PLAIN);

	assert_string_equal(kinds_of(r, &steps),
	    "shared.move shape.change constraint.validate unique.build shared.release shared.clear");
	run_move(r, a, &steps, steps.n);
	room_same(r, a, coded(r));
	room_purge(r, a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tenant_with_a_field_of_its_own_comes_in_with_it),
		cmocka_unit_test(drift_of_its_own_views_is_found_and_mended),
		cmocka_unit_test(a_field_of_its_own_comes_later_and_goes_again),
		cmocka_unit_test(a_login_added_later_finds_its_own_views),
		cmocka_unit_test(a_tenant_with_tables_of_its_own_comes_in_with_them),
		cmocka_unit_test(a_tenant_moves_out_of_the_shared_tables),
		cmocka_unit_test(a_field_in_a_spare_column_moves_too),
		cmocka_unit_test(a_suspended_tenant_stays_closed_when_it_moves),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

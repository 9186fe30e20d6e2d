#include "tests/pg/places.h"

#include "deployer/data.h"
#include "lib/core/manifest.h"

#define APP_PASSWORD "app-p4ss"

static const PlaceDriver *const drivers[] = { &mode_dedicated, &mode_customer_db, NULL };

typedef struct Room {
	Places p;
	Model *chinook, *odd;
	Placement *shop, *curio; /* tenants with these models */
	PgTarget source;
	DataFrom from;
} Room;

/* --- the room ------------------------------------------------------------------ */

static char *
file_text(Places *p, const char *path)
{
	char *text;
	size_t n;

	must(p, file_read(&p->cx, path, (size_t)4 << 20, &text, &n));
	return text;
}

static DataFrom *
from(Room *r, const char *database)
{
	r->source = super_target(database);
	r->source.name = database;
	r->from = (DataFrom){ &r->source, "public" };
	return &r->from;
}

static void
make_sources(Room *r)
{
	psql_must(&r->p, "postgres", file_text(&r->p, "tests/data/chinook-postgresql.sql"));
	psql_must(&r->p, "postgres", "DROP DATABASE IF EXISTS odd;\nCREATE DATABASE odd;\n");
	psql_must(&r->p, "odd", file_text(&r->p, "tests/data/odd-source.sql"));
	psql_must(&r->p, "postgres", "REVOKE ALL ON DATABASE chinook, odd FROM PUBLIC;\n");
}

static Model *
imported(Room *r, const char *database, Names *notes)
{
	DataFrom *f = from(r, database);
	Model *m;

	must(&r->p, data_import(&r->p.cx, f->target, f->schema, "shop", &m, notes));
	return m;
}

static Placement *
make_tenant(Room *r, const char *name, Model *m)
{
	Placement *at = new_place(&r->p, MODE_DEDICATED, &r->p.vendor, name);
	PlaceWork work = new_work(&r->p, m);
	Changes changes = { 0 };
	Steps steps = { 0 };

	must(&r->p, mode_dedicated.steps(&r->p.cx, at, &work, &changes, &steps));
	run_steps(&r->p, at, &r->p.vendor, &steps, 1);
	return at;
}

static int
setup(void **state)
{
	static Room r;
	Buf script;
	Steps claim = { 0 };
	Names notes = { 0 };

	place_register(drivers);
	step_register(shape_kinds);
	places_open(&r.p);
	script = buf_new(r.p.cx.mem);
	make_sources(&r);
	r.p.vendor = cluster_at("bj-1", "data_ops", "data_ops");
	psql_must(&r.p, "postgres", "DROP DATABASE IF EXISTS data_ops WITH (FORCE);\n");
	must(&r.p, setup_cluster_script(&r.p.cx, r.p.home, &r.p.vendor, &script));
	psql_must(&r.p, "postgres", script.text);
	must(&r.p, cluster_claim_steps(&r.p.cx, &r.p.vendor, &claim));
	run_steps(&r.p, NULL, &r.p.vendor, &claim, 1);
	r.chinook = imported(&r, "chinook", &notes);
	r.odd = imported(&r, "odd", &notes);
	r.shop = make_tenant(&r, "shop", r.chinook);
	r.curio = make_tenant(&r, "curio", r.odd);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	Room *r = *state;

	arena_free(r->p.cx.mem);
	return 0;
}

static char *
asked(Room *r, const Placement *at, const char *text)
{
	Pg *pg = super_open(&r->p, at->dbname);
	char *value = one_value(&r->p, pg, text);

	pg_close(pg);
	return value;
}

static int
empty_tenants(void **state)
{
	Room *r = *state;
	static const char all[] =
	    "SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class"
	    " WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'";
	const Placement *both[] = { r->shop, r->curio };

	for (size_t i = 0; i < LENGTH(both); i++)
		psql_must(&r->p, both[i]->dbname, asked(r, both[i], all));
	fail_clear(&r->p.cx);
	return 0;
}

/* Every rule and index on the tenant's tables, as the server prints them. */
static char *
rules_of(Room *r, const Placement *at)
{
	return asked(r, at,
	    "SELECT string_agg(def, E'\\n' ORDER BY def) FROM ("
	    "SELECT conrelid::regclass || ' ' || conname || ' ' || convalidated || ' ' || pg_get_constraintdef(oid) AS def"
	    " FROM pg_constraint WHERE connamespace = 'app'::regnamespace"
	    " UNION ALL SELECT pg_get_indexdef(indexrelid) || ' ' || indisvalid FROM pg_index i"
	    " JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'app'::regnamespace) d");
}

static bool
load(Room *r, const Placement *at, const Model *m, const char *database, bool dry_run,
    DataReport *out)
{
	return data_load(
	    &r->p.cx, r->p.home, r->p.conns, at, m, from(r, database), 1, dry_run, out);
}

static CompareReport
compared(Room *r, const Placement *at, const Model *m, const char *database, bool show_values)
{
	CompareReport c;

	must(&r->p, data_compare(&r->p.cx, r->p.conns, at, m, from(r, database), show_values, &c));
	return c;
}

static const CompareObject *
compared_object(const CompareReport *c, const char *name)
{
	for (size_t i = 0; i < c->objects.n; i++)
		if (strcmp(c->objects.at[i].match->object->name, name) == 0)
			return &c->objects.at[i];
	return NULL;
}

/* --- import ----------------------------------------------------------------------- */

static void
check_import(Room *r, const char *database, const char *file)
{
	Names notes = { 0 };
	Buf b = buf_new(r->p.cx.mem);
	Model *m = imported(r, database, &notes);

	for (size_t i = 0; i < notes.n; i++)
		buf_fmt(&b, "# %s\n", notes.at[i]);
	buf_add(&b, manifest_model_yaml(r->p.cx.mem, m));
	assert_string_equal(b.text, file_text(&r->p, file));
}

static void
chinook_is_described_by_eleven_objects(void **state)
{
	Room *r = *state;

	assert_int_equal(r->chinook->objects.n, 11);
	check_import(r, "chinook", "tests/data/chinook-model.yaml");
}

static void
what_a_model_cannot_carry_is_noted_exactly(void **state)
{
	check_import(*state, "odd", "tests/data/odd-model.yaml");
}

static void
an_imported_model_is_a_valid_manifest(void **state)
{
	Room *r = *state;
	const Model *both[] = { r->chinook, r->odd };

	for (size_t i = 0; i < LENGTH(both); i++) {
		char *text = manifest_model_yaml(r->p.cx.mem, both[i]);
		Manifests *m;
		must(&r->p, manifest_load_text(&r->p.cx, "shop.yaml", text, strlen(text), &m));
		assert_string_equal(model_canonical(r->p.cx.mem, map_get(m->models, "shop")),
		    model_canonical(r->p.cx.mem, both[i]));
	}
}

static void
a_schema_without_tables_is_not_found(void **state)
{
	Room *r = *state;
	Names notes = { 0 };
	Model *m;

	from(r, "chinook");
	must_fail(&r->p, data_import(&r->p.cx, &r->source, "nosuch", "shop", &m, &notes),
	    FAIL_NOT_FOUND, "no table in schema \"nosuch\" of database \"chinook\"");
}

static void
a_password_in_a_dsn_is_in_no_message(void **state)
{
	Room *r = *state;
	PgTarget target;
	Source *source;
	char *dsn = arena_printf(r->p.cx.mem,
	    "host=127.0.0.1 port=%d user=nobody password=c4nary dbname=chinook", test_port());

	must(&r->p, source_target(&r->p.cx, NULL, dsn, &target));
	assert_false(source_open(&r->p.cx, &target, "public", &source));
	assert_null(strstr(fail_text(r->p.cx.mem, r->p.cx.fail), "c4nary"));
	fail_clear(&r->p.cx);
	setenv("COPYHOLD_TEST_DSN", "dbname=chinook", 1);
	must(&r->p, source_target(&r->p.cx, NULL, "env:COPYHOLD_TEST_DSN", &target));
	assert_string_equal(target.dbname, "chinook");
}

/* --- load ---------------------------------------------------------------------------- */

static void
a_load_brings_every_row_and_puts_every_rule_back(void **state)
{
	Room *r = *state;
	char *before = rules_of(r, r->shop);
	DataReport loaded;

	must(&r->p, load(r, r->shop, r->chinook, "chinook", false, &loaded));
	assert_int_equal(loaded.rows, 15607);
	assert_int_equal(loaded.objects.n, 11);
	assert_string_equal(rules_of(r, r->shop), before);
	assert_true(compared(r, r->shop, r->chinook, "chinook", false).equal);
	assert_string_equal(
	    asked(r, r->shop, "SELECT count(*) FROM copyhold.applied WHERE kind = 'data.load'"),
	    "1");
	assert_string_equal(asked(r, r->shop, "SELECT name FROM app.artist WHERE artist_id = 6"),
	    "Ant\xc3\xb4nio Carlos Jobim");
}

static void
a_load_into_objects_with_rows_is_refused_with_their_counts(void **state)
{
	Room *r = *state;
	DataReport loaded;

	psql_must(&r->p, r->shop->dbname,
	    "INSERT INTO app.genre VALUES (1, 'Rock'), (2, 'Pop');"
	    " INSERT INTO app.artist VALUES (1, 'x');");
	must_fail(&r->p, load(r, r->shop, r->chinook, "chinook", false, &loaded), FAIL_REFUSED,
	    "the tenant has rows already: \"artist\" has 1, \"genre\" has 2");
	assert_string_equal(asked(r, r->shop, "SELECT count(*) FROM app.album"), "0");
}

static void
a_dry_run_counts_and_changes_nothing(void **state)
{
	Room *r = *state;
	DataReport counted;

	must(&r->p, load(r, r->shop, r->chinook, "chinook", true, &counted));
	assert_int_equal(counted.rows, 15607);
	assert_int_equal(counted.bytes, 0);
	assert_string_equal(asked(r, r->shop, "SELECT count(*) FROM app.album"), "0");
	must(&r->p, load(r, r->shop, r->chinook, "odd", true, &counted));
	assert_int_equal(counted.objects.n, 0);
	assert_int_equal(counted.matches.absent.n, 11);
	assert_string_equal(counted.matches.strays.at[0], "Order");
}

static void
a_newer_holder_has_fenced_a_load_off(void **state)
{
	Room *r = *state;
	DataReport loaded;

	psql_must(&r->p, r->shop->dbname, "UPDATE copyhold.fence SET fence = 7;");
	assert_false(load(r, r->shop, r->chinook, "chinook", false, &loaded));
	assert_string_equal(fail_name(r->p.cx.fail->kind), "fenced");
	psql_must(&r->p, r->shop->dbname, "UPDATE copyhold.fence SET fence = 1;");
	assert_string_equal(asked(r, r->shop, "SELECT count(*) FROM app.album"), "0");
}

static const struct {
	const char *change;
	FailKind kind;
	const char *what;
} broken[] = {
	{ "ALTER TABLE artist ALTER name TYPE text; UPDATE artist SET name = repeat('c4nary', 21) WHERE artist_id = 3",
	    FAIL_DATA,
	    "row 275 of object \"artist\" has a text that is too long: field \"name\", rule \"artist_name_max\"" },
	{ "ALTER TABLE track ALTER name DROP NOT NULL; UPDATE track SET name = NULL WHERE track_id = 5",
	    FAIL_DATA,
	    "row 3503 of object \"track\" has no value for a required field: field \"name\"" },
	{ "ALTER TABLE invoice ALTER total TYPE numeric; UPDATE invoice SET total = 1e12 WHERE invoice_id = 2",
	    FAIL_DATA,
	    "row 412 of object \"invoice\" has a number that is too large: field \"total\"" },
	{ "ALTER TABLE genre DROP CONSTRAINT genre_pkey CASCADE; INSERT INTO genre VALUES (1, 'c4nary')",
	    FAIL_DATA,
	    "row 26 of object \"genre\" repeats a value that must be unique: rule \"genre_pkey\"" },
	{ "ALTER TABLE album DROP CONSTRAINT album_artist_id_fkey; UPDATE album SET artist_id = 9999 WHERE album_id = 1",
	    FAIL_DATA,
	    "a row of object \"album\" refers to a row that is not there: field \"artist_id\","
	    " rule \"album_artist_id_fkey\"" },
	{ "ALTER TABLE track ALTER unit_price TYPE numeric(10,4); UPDATE track SET unit_price = 0.9999 WHERE track_id < 4",
	    FAIL_DATA,
	    "object \"track\": 3 rows have numbers with more decimal places than the model allows" },
	{ "ALTER TABLE invoice ALTER total TYPE text", FAIL_REFUSED,
	    "object \"invoice\": field \"total\" is number, column \"total\" is text" },
	{ "ALTER TABLE invoice DROP COLUMN total", FAIL_REFUSED,
	    "object \"invoice\": the source has nothing for the required field \"total\"" },
};

static void
a_row_that_breaks_a_rule_is_named_by_ordinal_and_nothing_is_loaded(void **state)
{
	Room *r = *state;
	char *before = rules_of(r, r->shop);
	DataReport loaded;

	for (size_t i = 0; i < LENGTH(broken); i++) {
		psql_must(&r->p, "postgres",
		    "DROP DATABASE IF EXISTS chinook_bad;\nCREATE DATABASE chinook_bad TEMPLATE chinook;\n");
		psql_must(&r->p, "chinook_bad", broken[i].change);
		bool good = load(r, r->shop, r->chinook, "chinook_bad", false, &loaded);
		if (!good)
			assert_null(strstr(fail_text(r->p.cx.mem, r->p.cx.fail), "c4nary"));
		must_fail(&r->p, good, broken[i].kind, broken[i].what);
		assert_string_equal(asked(r, r->shop, "SELECT count(*) FROM app.genre"), "0");
		assert_string_equal(rules_of(r, r->shop), before);
	}
	psql_must(&r->p, "postgres", "DROP DATABASE chinook_bad;\n");
}

static void
columns_of_every_type_arrive_as_the_model_says(void **state)
{
	Room *r = *state;
	DataReport loaded;

	psql_must(&r->p, "odd",
	    "TRUNCATE \"Order\", \"order\", child, keyless, pair, parted CASCADE;\n"
	    "INSERT INTO \"Order\" (\"Id\", \"user\", \"gr\xc3\xb6\xc3\x9f"
	    "e\", \"\xe5\xae\xa2\xe6\x88\xb7\", mail, tags, at,"
	    " raw, doc, spot, \"Total Price\", weird, took) VALUES\n"
	    "(1, E'tab\\there\\\\n', 0.1, 'ab', 'a@b', '{x,NULL,\"y,z\"}', '2026-03-29 02:30:00', '\\x0001',"
	    " '{\"z\":1,\"a\":1,\"a\":2}', '(1,2)', 12.345, 0.0012, '1 mon 2 days'),\n"
	    "(2, NULL, 'NaN', NULL, NULL, NULL, 'infinity', NULL, NULL, NULL, 0, NULL, NULL);\n"
	    "INSERT INTO \"order\" VALUES (5);\n"
	    "INSERT INTO child (\"order\", pick, def) VALUES (5, 1, NULL), (5, NULL, 2);\n"
	    "INSERT INTO keyless VALUES (1, 'x'), (1, 'x');\nINSERT INTO heir VALUES (2, 'h', 'more');\n"
	    "INSERT INTO parted VALUES (1, 1), (99, NULL);\n");
	must(&r->p, load(r, r->curio, r->odd, "odd", false, &loaded));
	assert_int_equal(loaded.rows, 10);
	assert_string_equal(
	    asked(r, r->curio,
		"SELECT concat_ws('|', user_, gr__e, x_ad4af312, tags, at, raw, doc, spot,"
		" total_price, twice, weird, took) FROM app.order_ WHERE id = 1"),
	    "tab\there\\n|0.1|ab|[\"x\", null, \"y,z\"]|2026-03-29 02:30:00+00|\\x0001|{\"a\": 2, \"z\": 1}|"
	    "{\"x\": 1, \"y\": 2}|12.345|24.690|0.0012|P1M2D");
	assert_string_equal(
	    asked(r, r->curio,
		"SELECT concat_ws('|', gr__e, at, user_ IS NULL) FROM app.order_ WHERE id = 2"),
	    "NaN|infinity|t");
	assert_string_equal(asked(r, r->curio, "SELECT count(DISTINCT id) FROM app.keyless"), "2");
	assert_true(compared(r, r->curio, r->odd, "odd", false).equal);
}

/* --- compare --------------------------------------------------------------------------- */

static void
spoil(Room *r)
{
	DataReport loaded;

	must(&r->p, load(r, r->shop, r->chinook, "chinook", false, &loaded));
	psql_must(&r->p, r->shop->dbname,
	    "DELETE FROM app.playlist_track WHERE playlist_id = 1 AND track_id = 3402;"
	    " UPDATE app.track SET name = 'c4nary', unit_price = unit_price + 1 WHERE track_id = 17;"
	    " INSERT INTO app.genre VALUES (99, 'c4nary');"
	    " UPDATE app.customer SET fax = NULL WHERE fax IS NULL;"
	    " UPDATE app.customer SET company = '' WHERE company IS NULL AND customer_id = 3;");
}

static void
a_comparison_names_what_differs_by_surrogates(void **state)
{
	Room *r = *state;
	CompareReport c;

	spoil(r);
	c = compared(r, r->shop, r->chinook, "chinook", false);
	assert_false(c.equal);
	const CompareObject *links = compared_object(&c, "playlist_track"),
			    *track = compared_object(&c, "track");
	const CompareObject *genre = compared_object(&c, "genre"),
			    *customer = compared_object(&c, "customer");
	assert_int_equal(links->rows_here, 8714);
	assert_int_equal(links->rows_there, 8715);
	assert_int_equal(links->missing_here, 1);
	assert_int_equal(links->missing_there + links->different, 0);
	assert_int_equal(genre->missing_there, 1);
	assert_int_equal(genre->missing_here + genre->different, 0);
	assert_int_equal(track->different, 1);
	assert_int_equal(track->diffs.n, 1);
	assert_int_equal(track->diffs.at[0].kind, DIFF_VALUES);
	assert_int_equal(track->diffs.at[0].fields.n, 2);
	assert_string_equal(track->diffs.at[0].fields.at[0], "name");
	assert_string_equal(track->diffs.at[0].fields.at[1], "unit_price");
	assert_int_equal(strlen(track->diffs.at[0].key), 12);
	assert_int_equal(strspn(track->diffs.at[0].key, "0123456789abcdef"), 12);
	assert_int_equal(customer->different, 1);
	assert_string_equal(customer->diffs.at[0].fields.at[0], "company");
	assert_true(compared_object(&c, "album")->equal);
}

static void
a_comparison_adds_numeric_fields_up_on_both_sides(void **state)
{
	Room *r = *state;
	CompareReport c;

	spoil(r);
	c = compared(r, r->shop, r->chinook, "chinook", false);
	const CompareObject *track = compared_object(&c, "track"),
			    *invoice = compared_object(&c, "invoice");
	assert_int_equal(invoice->sums.n, 1);
	assert_string_equal(invoice->sums.at[0].field, "total");
	assert_string_equal(invoice->sums.at[0].here, "2328.6");
	assert_string_equal(invoice->sums.at[0].there, "2328.6");
	assert_string_equal(track->sums.at[2].field, "unit_price");
	assert_string_equal(track->sums.at[2].here, "3681.97");
	assert_string_equal(track->sums.at[2].there, "3680.97");
}

static void
keys_are_shown_where_that_was_asked_for_and_surrogates_change_each_time(void **state)
{
	Room *r = *state;
	CompareReport shown, one, two;

	spoil(r);
	shown = compared(r, r->shop, r->chinook, "chinook", true);
	one = compared(r, r->shop, r->chinook, "chinook", false);
	two = compared(r, r->shop, r->chinook, "chinook", false);
	assert_string_equal(compared_object(&shown, "playlist_track")->diffs.at[0].key, "(1,3402)");
	assert_string_equal(compared_object(&shown, "genre")->diffs.at[0].key, "(99)");
	assert_string_not_equal(compared_object(&one, "genre")->diffs.at[0].key,
	    compared_object(&two, "genre")->diffs.at[0].key);
	assert_string_not_equal(compared_object(&one, "genre")->digest_here,
	    compared_object(&two, "genre")->digest_here);
}

static void
rows_without_a_key_are_counted_as_often_as_they_are_there(void **state)
{
	Room *r = *state;
	DataReport loaded;
	CompareReport c;

	psql_must(&r->p, "odd",
	    "TRUNCATE \"Order\", \"order\", child, keyless, heir, pair, parted CASCADE;\n"
	    "INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, NULL);\n");
	must(&r->p, load(r, r->curio, r->odd, "odd", false, &loaded));
	psql_must(&r->p, r->curio->dbname,
	    "DELETE FROM app.keyless WHERE id = (SELECT min(id::text)::uuid FROM app.keyless WHERE a = 1);"
	    " INSERT INTO app.keyless (a, b) VALUES (2, '');");
	c = compared(r, r->curio, r->odd, "odd", false);
	assert_int_equal(compared_object(&c, "keyless")->missing_here, 1);
	assert_int_equal(compared_object(&c, "keyless")->missing_there, 1);
	assert_int_equal(compared_object(&c, "keyless")->different, 0);
}

static void
only_the_first_twenty_differing_keys_are_listed_but_all_are_counted(void **state)
{
	Room *r = *state;
	DataReport loaded;
	CompareReport c;

	must(&r->p, load(r, r->shop, r->chinook, "chinook", false, &loaded));
	psql_must(&r->p, r->shop->dbname, "UPDATE app.track SET milliseconds = milliseconds + 1;");
	c = compared(r, r->shop, r->chinook, "chinook", false);
	assert_int_equal(compared_object(&c, "track")->different, 3503);
	assert_int_equal(compared_object(&c, "track")->diffs.n, COMPARE_SHOWN);
}

/* --- verify ------------------------------------------------------------------------------- */

/* Other tests' databases on this server may be open to everybody: no tenant's matter. */
static void
close_databases(Room *r)
{
	char *all = one_value(&r->p, r->p.super,
	    "SELECT string_agg(format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname), ';')"
	    " FROM pg_database");

	psql_must(&r->p, "postgres", all);
}

static Attempts
verified(Room *r)
{
	Secret password = secret_new(r->p.cx.mem, APP_PASSWORD, strlen(APP_PASSWORD));
	Attempts all = { 0 };

	must(&r->p,
	    verify_plain(&r->p.cx, r->p.conns, r->shop, r->chinook, &r->shop->logins.at[0],
		&password, &all));
	return all;
}

static const char *
result_of(const Attempts *all, Heading heading, const char *what)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].heading == heading && strcmp(all->at[i].what, what) == 0)
			return all->at[i].result;
	return "not there";
}

static int
count_of(const Attempts *all, Heading heading)
{
	int n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->at[i].heading == heading;
	return n;
}

static void
a_tenant_as_it_was_made_works_and_nothing_gets_through(void **state)
{
	Room *r = *state;
	DataReport loaded;
	Attempts all;

	close_databases(r);
	must(&r->p, load(r, r->shop, r->chinook, "chinook", false, &loaded));
	char *rules = rules_of(r, r->shop);
	all = verified(r);
	for (size_t i = 0; i < all.n; i++)
		if (all.at[i].heading == HEAD_FAILED)
			fprintf(stderr, "%s: %s\n", all.at[i].what, all.at[i].result);
	assert_int_equal(count_of(&all, HEAD_FAILED), 0);
	assert_int_equal(count_of(&all, HEAD_WORKS), 1);
	assert_string_equal(
	    result_of(&all, HEAD_WORKS,
		"insert, select, update and delete in a transaction that is rolled back"),
	    "11 of 11 objects");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "SET ROLE to copyhold's login"), "refused (42501)");
	assert_string_equal(result_of(&all, HEAD_ISOLATED, "CREATE DATABASE"), "refused (42501)");
	assert_string_equal(
	    result_of(&all, HEAD_ISOLATED, "connect to database \"postgres\""), "refused (42501)");
	assert_string_equal(result_of(&all, HEAD_OPEN, "its own password changed"), "works");
	assert_string_equal(result_of(&all, HEAD_OPEN, "its own objects locked"), "works");
	assert_true(compared(r, r->shop, r->chinook, "chinook", false).equal);
	assert_string_equal(rules_of(r, r->shop), rules);
	assert_true(password_ok(&r->p, r->shop, &r->shop->logins.at[0], APP_PASSWORD));
}

static const struct {
	const char *database, *open, *close, *what, *result;
} breaches[] = {
	{ NULL, "GRANT pg_signal_backend TO %s", "REVOKE pg_signal_backend FROM %s",
	    "SET ROLE to a role that ends sessions", "got through" },
	{ NULL, "GRANT USAGE ON SCHEMA copyhold TO %s; GRANT SELECT ON copyhold.fence TO %s",
	    "REVOKE USAGE ON SCHEMA copyhold FROM %s; REVOKE SELECT ON copyhold.fence FROM %s",
	    "read copyhold's fence", "got through" },
	{ NULL, "GRANT CREATE ON SCHEMA app TO %s", "REVOKE CREATE ON SCHEMA app FROM %s",
	    "CREATE TABLE", "got through" },
	{ NULL, "GRANT TRUNCATE ON app.album TO %s", "REVOKE TRUNCATE ON app.album FROM %s",
	    "TRUNCATE of its object", "not for want of a right (0A000)" },
	{ NULL, "ALTER ROLE %s CREATEDB", "ALTER ROLE %s NOCREATEDB", "CREATE DATABASE",
	    "not for want of a right (3D000)" },
	{ "postgres", "GRANT CONNECT ON DATABASE postgres TO %s",
	    "REVOKE CONNECT ON DATABASE postgres FROM %s", "connect to database \"postgres\"",
	    "got in" },
	{ NULL,
	    "CREATE FUNCTION app.back() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
	    " GRANT EXECUTE ON FUNCTION app.back() TO %s",
	    "DROP FUNCTION app.back() -- %s", "SECURITY DEFINER functions that it may call",
	    "shows rows" },
	{ NULL,
	    "ALTER ROLE %s INHERIT; GRANT pg_read_all_stats TO %s; GRANT SELECT ON pg_stat_activity TO %s;"
	    " GRANT EXECUTE ON FUNCTION pg_stat_get_activity(integer) TO %s",
	    "REVOKE EXECUTE ON FUNCTION pg_stat_get_activity(integer) FROM %s; REVOKE SELECT ON pg_stat_activity FROM %s;"
	    " REVOKE pg_read_all_stats FROM %s; ALTER ROLE %s NOINHERIT",
	    "what others' sessions are running", "shows rows" },
	{ NULL, "REVOKE INSERT ON app.genre FROM %s", "GRANT INSERT ON app.genre TO %s",
	    "insert of object \"genre\"", "refused (42501)" },
	{ NULL, "REVOKE DELETE ON app.artist FROM %s", "GRANT DELETE ON app.artist TO %s",
	    "delete of object \"artist\"", "refused (42501)" },
};

static const char *
with_role(Room *r, const char *text)
{
	Buf b = buf_new(r->p.cx.mem);
	const char *at;

	while ((at = strstr(text, "%s")) != NULL) {
		buf_addn(&b, text, (size_t)(at - text));
		buf_add(&b, r->shop->logins.at[0].role);
		text = at + 2;
	}
	buf_add(&b, text);
	return b.text;
}

static void
every_hole_that_is_made_is_found(void **state)
{
	Room *r = *state;

	close_databases(r);
	for (size_t i = 0; i < LENGTH(breaches); i++) {
		const char *database = breaches[i].database != NULL ? breaches[i].database
								    : r->shop->dbname;
		psql_must(&r->p, database, with_role(r, breaches[i].open));
		Attempts all = verified(r);
		psql_must(&r->p, database, with_role(r, breaches[i].close));
		if (strcmp(result_of(&all, HEAD_FAILED, breaches[i].what), breaches[i].result) != 0)
			fprintf(stderr, "not found: %s\n", breaches[i].what);
		assert_string_equal(
		    result_of(&all, HEAD_FAILED, breaches[i].what), breaches[i].result);
	}
	Attempts all = verified(r);
	assert_int_equal(count_of(&all, HEAD_FAILED), 0);
}

static void
a_read_only_login_is_proven_to_read_and_nothing_else(void **state)
{
	Room *r = *state;
	Login *login = &r->shop->logins.at[0];

	close_databases(r);
	login->read_only = true;
	psql_must(&r->p, r->shop->dbname,
	    with_role(r, "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app FROM %s"));
	Attempts all = verified(r);
	psql_must(&r->p, r->shop->dbname,
	    with_role(r, "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO %s"));
	Attempts open = verified(r);
	login->read_only = false;
	assert_int_equal(count_of(&all, HEAD_FAILED), 0);
	assert_string_equal(result_of(&all, HEAD_WORKS,
				"select, and nothing else, in a transaction that is rolled back"),
	    "11 of 11 objects");
	assert_int_equal(count_of(&open, HEAD_FAILED), 11);
	assert_string_equal(
	    result_of(&open, HEAD_FAILED, "delete by a read-only login of object \"album\""),
	    "got through");
}

#define TEST(name) cmocka_unit_test_setup(name, empty_tenants)

/* A table whose rows come from elsewhere has more of them each time it is read. */
static void
a_source_that_sends_more_rows_than_it_counted_is_refused(void **state)
{
	Room *r = *state;
	CompareReport c;

	psql_must(&r->p, "postgres", "CREATE DATABASE liar;\n");
	psql_must(&r->p, "liar",
	    arena_printf(r->p.cx.mem,
		"CREATE SCHEMA far; CREATE SEQUENCE far.s;\n"
		"CREATE VIEW far.genre AS SELECT 7000 AS genre_id, 'x'::varchar(120) AS name"
		" FROM generate_series(1, nextval('far.s'));\n"
		"CREATE EXTENSION postgres_fdw;\n"
		"CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw"
		" OPTIONS (host '%s', port '%d', dbname 'liar');\n"
		"CREATE USER MAPPING FOR PUBLIC SERVER here OPTIONS (user '%s');\n"
		"CREATE TABLE genre (genre_id bigint NOT NULL, name varchar(120))"
		" PARTITION BY RANGE (genre_id);\n"
		"CREATE FOREIGN TABLE rows PARTITION OF genre DEFAULT SERVER here"
		" OPTIONS (schema_name 'far', table_name 'genre');\n",
		getenv("COPYHOLD_TEST_SOCKET"), test_port(), getenv("COPYHOLD_TEST_SUPERUSER")));
	must_fail(&r->p,
	    data_compare(&r->p.cx, r->p.conns, r->shop, r->chinook, from(r, "liar"), false, &c),
	    FAIL_LIMIT,
	    "object \"genre\": more rows differ than can be held, or more came than were counted");
	psql_must(&r->p, "postgres", "DROP DATABASE liar WITH (FORCE);\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(chinook_is_described_by_eleven_objects),
		TEST(what_a_model_cannot_carry_is_noted_exactly),
		TEST(an_imported_model_is_a_valid_manifest),
		TEST(a_schema_without_tables_is_not_found),
		TEST(a_password_in_a_dsn_is_in_no_message),
		TEST(a_load_brings_every_row_and_puts_every_rule_back),
		TEST(a_load_into_objects_with_rows_is_refused_with_their_counts),
		TEST(a_dry_run_counts_and_changes_nothing),
		TEST(a_newer_holder_has_fenced_a_load_off),
		TEST(a_row_that_breaks_a_rule_is_named_by_ordinal_and_nothing_is_loaded),
		TEST(columns_of_every_type_arrive_as_the_model_says),
		TEST(a_comparison_names_what_differs_by_surrogates),
		TEST(a_comparison_adds_numeric_fields_up_on_both_sides),
		TEST(keys_are_shown_where_that_was_asked_for_and_surrogates_change_each_time),
		TEST(rows_without_a_key_are_counted_as_often_as_they_are_there),
		TEST(only_the_first_twenty_differing_keys_are_listed_but_all_are_counted),
		TEST(a_tenant_as_it_was_made_works_and_nothing_gets_through),
		TEST(every_hole_that_is_made_is_found),
		TEST(a_read_only_login_is_proven_to_read_and_nothing_else),
		TEST(a_source_that_sends_more_rows_than_it_counted_is_refused),
	};

	return cmocka_run_group_tests_name("data", tests, setup, teardown);
}

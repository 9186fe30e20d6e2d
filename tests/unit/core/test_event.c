#include <spawn.h>

#include "lib/adapters/js.h"
#include "tests/unit/core/room.h"

static const Sql EVENTS = { "events",
	"SELECT e.seq, e.bytes, e.log_index, l.id, l.next, l.tenant FROM event e JOIN log l ON l.id = e.log "
	"ORDER BY l.id, e.log_index",
	0 };
static const Sql LOGS = { "logs", "SELECT tenant, life, part, next, origin FROM log ORDER BY id",
	0 };
static const Sql LIFE = { "life",
	"INSERT INTO meta (key, value) VALUES ('life/acme', '1') ON CONFLICT DO UPDATE SET value = '2'",
	0 };
static const Sql OLD_EVENT = { "old_event",
	"INSERT INTO event (id, at, home, tenant, run, step, actor, reason, verb, object, outcome, bytes, "
	"prev_hash) VALUES (?1, 7, 'h', ?2, 3, 4, 'root@host', 'why', ?3, 'o', ?4, ?5, '')",
	0 };
static const Sql OLD_META = { "old_meta",
	"INSERT INTO meta (key, value) VALUES ('home', 'the-home'), ('life/acme', '1')", 0 };
static const Sql OLD_TENANT = { "old_tenant",
	"INSERT INTO tenant (name, id, state, mode, cluster, dbname, owner, model, model_version, shape, "
	"spec_hash) VALUES ('acme', 'abcdefghijkl', 'active', 'dedicated', 'c', 'd', 'o', 'm', 1, '', '')",
	0 };
static const Sql REMOVE_OPENING = { "remove_opening", "DELETE FROM opening WHERE subject = ?1", 0 };

typedef struct Seen {
	int64_t seq, index, log;
	Bytes bytes;
	Js *json;
	const char *tenant;
} Seen;
typedef struct Seens {
	Seen *at;
	size_t n, cap;
} Seens;

/* All of them, log by log; each has the next place in its log, and the log knows how many it has. */
static Seens
seen(Ctx *cx, Lite *db)
{
	Seens all = { 0 };
	LiteRows *rows;
	int64_t log = 0, index = 0, next = 0;

	ok(cx, lite_query(cx, db, &EVENTS, &rows, ""));
	while (lite_next(rows)) {
		Seen s = { .seq = lite_int(rows, 0),
			.bytes = lite_bytes(rows, 1),
			.index = lite_int(rows, 2),
			.log = lite_int(rows, 3),
			.tenant = lite_text(rows, 5) };
		if (s.log != log) {
			assert_int_equal(index, next);
			index = 0;
		}
		log = s.log;
		next = lite_int(rows, 4);
		assert_int_equal(s.index, index++);
		ok(cx, js_parse(cx, (const char *)s.bytes.at, s.bytes.n, &s.json));
		assert_int_equal(s.bytes.n, strlen(js_canonical(cx->mem, s.json)));
		assert_memory_equal(s.bytes.at, js_canonical(cx->mem, s.json), s.bytes.n);
		vec_push(cx->mem, &all, s);
	}
	assert_int_equal(index, next);
	ok(cx, lite_end(cx, rows));
	return all;
}

static char *
logs(Ctx *cx, Lite *db)
{
	Buf b = buf_new(cx->mem);
	LiteRows *rows;

	ok(cx, lite_query(cx, db, &LOGS, &rows, ""));
	while (lite_next(rows))
		buf_fmt(&b, "%s/%lld/%lld:%lld ", lite_text(rows, 0), (long long)lite_int(rows, 1),
		    (long long)lite_int(rows, 2), (long long)lite_int(rows, 3));
	ok(cx, lite_end(cx, rows));
	return b.text;
}

static const char *
commitment(const Seen *s, const char *path)
{
	return js_get_text(js_get(s->json, path), "commit");
}

static void
an_event_says_who_did_what_and_why_and_names_nobody(void **state)
{
	Room *r = *state;
	const Personal more = { "requester", "Erika Mustermann", "subject:4711" };
	Event e = { .tenant = "acme",
		.run = 3,
		.step = 4,
		.verb = "secret.read",
		.object = "login/acme/app",
		.outcome = "ok",
		.before = "b",
		.personal = &more,
		.personal_n = 1 };
	Openings open;

	r->home->reason = "ticket 7";
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	Seens all = seen(&r->cx, r->home->db);
	assert_int_equal(all.n, 1);
	assert_memory_equal(
	    all.at[0].bytes.at, js_canonical(r->cx.mem, all.at[0].json), all.at[0].bytes.n);
	assert_int_equal(js_get_int(all.at[0].json, "version", 0), 2);
	assert_string_equal(js_get_text(all.at[0].json, "verb"), "secret.read");
	assert_string_equal(js_get_text(all.at[0].json, "before"), "b");
	assert_null(js_get_text(all.at[0].json, "after"));
	assert_int_equal(js_get_int(all.at[0].json, "step", 0), 4);
	assert_null(memmem(all.at[0].bytes.at, all.at[0].bytes.n, "ticket", 6));
	assert_null(memmem(all.at[0].bytes.at, all.at[0].bytes.n, "Erika", 5));
	assert_null(
	    memmem(all.at[0].bytes.at, all.at[0].bytes.n, r->home->actor, strlen(r->home->actor)));
	ok(&r->cx, event_openings(&r->cx, r->home, all.at[0].seq, &open));
	assert_int_equal(open.n, 3);
	assert_string_equal(open.at[0].path, "actor");
	assert_string_equal(open.at[0].value, r->home->actor);
	assert_string_equal(open.at[1].path, "reason");
	assert_string_equal(open.at[1].value, "ticket 7");
	assert_string_equal(open.at[1].subject, open.at[0].subject);
	assert_string_equal(open.at[2].path, "requester");
	assert_string_equal(open.at[2].subject, "subject:4711");
	for (size_t i = 0; i < open.n; i++)
		assert_string_equal(commitment(&all.at[0], open.at[i].path),
		    event_commitment(r->cx.mem, open.at[i].salt, open.at[i].value));
}

static void
equal_values_have_unequal_commitments(void **state)
{
	Room *r = *state;
	Event e = { .verb = "x", .object = "y", .outcome = "ok" };

	for (int i = 0; i < 3; i++)
		ok(&r->cx, event_write(&r->cx, r->home, &e));
	Seens all = seen(&r->cx, r->home->db);
	assert_string_not_equal(commitment(&all.at[0], "actor"), commitment(&all.at[1], "actor"));
	assert_string_not_equal(commitment(&all.at[1], "actor"), commitment(&all.at[2], "actor"));
	assert_true(js_get(all.at[0].json, "reason") != NULL);
	assert_null(commitment(&all.at[0], "reason"));
}

static void
erased_openings_leave_the_bytes_as_they_are(void **state)
{
	Room *r = *state;
	Event e = { .verb = "x", .object = "y", .outcome = "ok" };
	Openings open;

	ok(&r->cx, event_write(&r->cx, r->home, &e));
	Seens before = seen(&r->cx, r->home->db);
	ok(&r->cx,
	    lite_do(&r->cx, r->home->db, &REMOVE_OPENING, "t",
		arena_printf(r->cx.mem, "actor:%s", r->home->actor)));
	Seens after = seen(&r->cx, r->home->db);
	assert_int_equal(before.at[0].bytes.n, after.at[0].bytes.n);
	assert_memory_equal(before.at[0].bytes.at, after.at[0].bytes.at, after.at[0].bytes.n);
	ok(&r->cx, event_openings(&r->cx, r->home, after.at[0].seq, &open));
	assert_int_equal(open.n, 0);
}

static void
an_event_goes_with_the_transaction_that_it_tells_of(void **state)
{
	Room *r = *state;
	Event e = { .verb = "x", .object = "y", .outcome = "ok" };

	ok(&r->cx, lite_begin(&r->cx, r->home->db));
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	lite_rollback(r->home->db);
	assert_int_equal(seen(&r->cx, r->home->db).n, 0);
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	assert_int_equal(seen(&r->cx, r->home->db).n, 1);
}

static void
a_tenant_has_a_log_of_its_own(void **state)
{
	Room *r = *state;
	Event e = { .verb = "x", .object = "y", .outcome = "ok" };
	const char *who[] = { NULL, "acme", "globex", "acme", NULL };

	for (size_t i = 0; i < LENGTH(who); i++) {
		e.tenant = who[i];
		ok(&r->cx, event_write(&r->cx, r->home, &e));
	}
	assert_int_equal(seen(&r->cx, r->home->db).n, 5);
	assert_string_equal(logs(&r->cx, r->home->db), "/0/1:2 acme/0/1:2 globex/0/1:1 ");
}

static void
a_name_that_is_used_again_begins_another_log(void **state)
{
	Room *r = *state;
	Event e = { .tenant = "acme", .run = 1, .verb = "x", .object = "y", .outcome = "ok" };

	ok(&r->cx, event_write(&r->cx, r->home, &e));
	ok(&r->cx, lite_do(&r->cx, r->home->db, &LIFE, ""));
	ok(&r->cx, event_write(&r->cx, r->home, &e)); /* the end of the run that forgot it */
	e.run = 2;
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	assert_string_equal(logs(&r->cx, r->home->db), "acme/0/1:2 acme/1/1:2 ");
}

static void
a_text_of_any_length_leaves_an_event_that_fits(void **state)
{
	Room *r = *state;
	char *text = arena_alloc(r->cx.mem, 200001);
	Event e = { .verb = "x", .object = text, .outcome = text, .before = text, .after = text };

	memset(text, 1, 200000);
	r->home->reason = text;
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	memset(text, 0xC3, 200000); /* no character ends anywhere */
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	for (int c = 1; c < 256; c++)
		text[c - 1] = (char)c; /* every byte there is */
	text[255] = 0;
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	for (int i = 0; i < 1000; i++)
		memcpy(text + 3 * i, "\xE2\x82\xAC", 3);
	text[3000] = 0;
	ok(&r->cx, event_write(&r->cx, r->home, &e));
	Seens all = seen(&r->cx, r->home->db);
	assert_int_equal(all.n, 4);
	for (size_t i = 0; i < all.n; i++) {
		assert_in_range(all.at[i].bytes.n, 1, EVENT_MAX);
		assert_true(
		    i == 2 || strstr(js_get_text(all.at[i].json, "outcome"), " [cut; sha256 "));
	}
	assert_int_equal(strlen(js_get_text(all.at[3].json, "after")), 2499 + 14 + 64 + 1);
}

static void
two_processes_are_never_given_the_same_place(void **state)
{
	Room *r = *state;
	char *argv[] = { (char *)"self", (char *)"child", r->dir, (char *)"events", NULL };
	extern char **environ;
	Event e = { .verb = "parent", .object = "y", .outcome = "ok" };
	int status;
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	for (int i = 0; i < 300; i++)
		ok(&r->cx, event_write(&r->cx, r->home, &e));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(seen(&r->cx, r->home->db).n, 600);
	assert_string_equal(logs(&r->cx, r->home->db), "/0/1:600 ");
}

/* A catalogue of version 2 with events: the first life of acme, its end, the second one. */
static void
events_of_an_older_catalogue_get_their_places_and_keep_their_bytes(void **state)
{
	Room *r = *state;
	static const struct {
		const char *tenant, *verb, *outcome;
	} old[] = {
		{ NULL, "home.init", "ok" },
		{ "acme", "tenant.register", "undone" },
		{ "acme", "tenant.register", "ok" },
		{ "globex", "tenant.register", "ok" },
		{ "acme", "tenant.forget", "ok" },
		{ "acme", "tenant.register", "ok" },
		{ NULL, "home.backup", "ok" },
	};
	Lite *db;

	ok(&r->cx,
	    lite_open(&r->cx, arena_printf(r->cx.mem, "%s/old.db", r->dir), LITE_CREATE, &db));
	ok(&r->cx, lite_migrate(&r->cx, db, catalog_migrations, 2));
	ok(&r->cx, lite_do(&r->cx, db, &OLD_META, "") && lite_do(&r->cx, db, &OLD_TENANT, ""));
	for (size_t i = 0; i < LENGTH(old); i++) {
		char *bytes = arena_printf(r->cx.mem, "{\"n\":%zu}", i);
		ok(&r->cx,
		    lite_do(&r->cx, db, &OLD_EVENT, "ttttb", arena_printf(r->cx.mem, "id-%zu", i),
			old[i].tenant, old[i].verb, old[i].outcome,
			(Bytes){ (unsigned char *)bytes, strlen(bytes) }));
	}
	ok(&r->cx, lite_migrate(&r->cx, db, catalog_migrations, catalog_migrations_n));
	Seens all = seen(&r->cx, db);
	assert_int_equal(all.n, LENGTH(old));
	for (size_t i = 0; i < all.n; i++)
		assert_int_equal(js_get_int(all.at[i].json, "n", -1), all.at[i].seq - 1);
	assert_string_equal(logs(&r->cx, db), "/0/1:2 acme/0/1:3 globex/0/1:1 acme/1/1:1 ");
	LiteRows *rows;
	ok(&r->cx, lite_query(&r->cx, db, &LOGS, &rows, ""));
	for (int i = 0; i < 4; i++)
		assert_true(lite_next(rows));
	assert_non_null(strstr(lite_text(rows, 4), "copyhold/the-home/abcdefghijkl-"));
	ok(&r->cx, lite_end(&r->cx, rows));
}

static int
child(const char *dir)
{
	Ctx cx = ctx_new(NULL);
	Event e = { .verb = "child", .object = "y", .outcome = "ok" };
	Home *home;
	bool done = home_open(&cx, arena_printf(cx.mem, "%s/home", dir), ACCESS_WRITES, &home);

	for (int i = 0; done && i < 300; i++)
		done = event_write(&cx, home, &e);
	arena_free(cx.mem);
	return done ? 0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2]);
#define T(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		T(an_event_says_who_did_what_and_why_and_names_nobody),
		T(equal_values_have_unequal_commitments),
		T(erased_openings_leave_the_bytes_as_they_are),
		T(an_event_goes_with_the_transaction_that_it_tells_of),
		T(a_tenant_has_a_log_of_its_own),
		T(a_name_that_is_used_again_begins_another_log),
		T(a_text_of_any_length_leaves_an_event_that_fits),
		T(two_processes_are_never_given_the_same_place),
		T(events_of_an_older_catalogue_get_their_places_and_keep_their_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

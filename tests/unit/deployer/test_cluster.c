#include "deployer/cluster_host.h"

#include <string.h>

#include "tests/unit/unit.h"

static int
setup(void **state)
{
	static Ctx cx;

	cx = ctx_new(NULL);
	*state = &cx;
	return 0;
}

static int
teardown(void **state)
{
	arena_free(((Ctx *)*state)->mem);
	return 0;
}

static const Host host = { .name = "h1", .root = "/srv/c", .address = "10.0.0.5" };

static Cluster
cluster(const char *at, Setting *settings, size_t n)
{
	Cluster c = { .name = "acme-pg",
		.connect = { .host = at },
		.on = { .host = "h1", .port = 5433, .version = 15 } };

	c.on.settings.at = settings;
	c.on.settings.n = n;
	return c;
}

static void
settings_are_quoted_and_come_after_ours(void **state)
{
	Ctx *cx = *state;
	Setting settings[] = { { .name = "work_mem", .value = "4MB" },
		{ .name = "cluster_name", .value = "it's C:\\x" } };
	Cluster c = cluster("10.0.0.5", settings, 2);
	char *text;

	assert_true(cluster_conf(cx, &c, &host, &text));
	assert_non_null(strstr(text, "port = 5433\n"));
	assert_non_null(strstr(text, "listen_addresses = '127.0.0.1,10.0.0.5'\n"));
	assert_non_null(strstr(text, "unix_socket_directories = '/srv/c/clusters/acme-pg/run'\n"));
	assert_string_equal(
	    strstr(text, "work_mem"), "work_mem = '4MB'\ncluster_name = 'it''s C:\\\\x'\n");
}

static void
loopback_is_listened_to_once(void **state)
{
	Ctx *cx = *state;
	Cluster c = cluster("127.0.0.1", NULL, 0);
	char *text;

	assert_true(cluster_conf(cx, &c, &host, &text));
	assert_non_null(strstr(text, "listen_addresses = '127.0.0.1'\n"));
}

static void
settings_that_are_ours_or_none_are_refused(void **state)
{
	static const struct {
		const char *name, *value, *what;
	} wrong[] = {
		{ "port", "1",
		    "setting \"port\" of cluster \"acme-pg\" is refused: copyhold sets it" },
		{ "include", "/etc/passwd",
		    "setting \"include\" of cluster \"acme-pg\" is refused: copyhold sets it" },
		{ "Port", "1",
		    "setting \"Port\" of cluster \"acme-pg\" is refused: its name is not one of "
		    "PostgreSQL's, in small letters" },
		{ "a b", "1",
		    "setting \"a b\" of cluster \"acme-pg\" is refused: its name is not one of "
		    "PostgreSQL's, in small letters" },
		{ "work_mem", "1\nport = 2",
		    "setting \"work_mem\" of cluster \"acme-pg\" is refused: its value has a control "
		    "character" },
	};
	Ctx *cx = *state;
	char *text;

	for (size_t i = 0; i < LENGTH(wrong); i++) {
		Setting s = { .name = wrong[i].name, .value = wrong[i].value };
		Cluster c = cluster("10.0.0.5", &s, 1);
		assert_false(cluster_conf(cx, &c, &host, &text));
		assert_string_equal(cx->fail->what, wrong[i].what);
		fail_clear(cx);
	}
}

static void
a_setting_is_given_once(void **state)
{
	Ctx *cx = *state;
	Setting twice[] = { { .name = "work_mem", .value = "4MB" },
		{ .name = "work_mem", .value = "5MB" } };
	Cluster c = cluster("10.0.0.5", twice, 2);
	char *text;

	assert_false(cluster_conf(cx, &c, &host, &text));
	assert_string_equal(
	    cx->fail->what, "setting \"work_mem\" of cluster \"acme-pg\" is given twice");
}

static void
networks_come_in_over_tls_alone(void **state)
{
	Ctx *cx = *state;
	Cluster c = cluster("10.0.0.5", NULL, 0);
	const char *networks[] = { "10.0.0.0/8", "fd00::/8" };
	char *text;

	c.on.allow = (Names){ .at = networks, .n = 2 };
	assert_true(cluster_hba(cx, &c, &text));
	assert_string_equal(text,
	    "# Kept by copyhold: what is changed here is put back.\n"
	    "local all postgres peer map=copyhold\n"
	    "host all postgres all reject\n"
	    "hostssl all all samehost scram-sha-256\n"
	    "hostssl all all 10.0.0.0/8 scram-sha-256\n"
	    "hostssl all all fd00::/8 scram-sha-256\n");
}

static void
what_is_no_network_is_refused(void **state)
{
	static const char *const wrong[] = { "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8 trust", "all/0",
		"fd00::/129", "10.0.0.0/", "10.0.0.0/8\nhost all all all trust", "/8", "10.0.0/8" };
	Ctx *cx = *state;
	char *text;

	for (size_t i = 0; i < LENGTH(wrong); i++) {
		const char *network = wrong[i];
		Cluster c = cluster("10.0.0.5", NULL, 0);
		c.on.allow = (Names){ .at = &network, .n = 1 };
		assert_false(cluster_hba(cx, &c, &text));
		assert_int_equal(cx->fail->kind, FAIL_MANIFEST);
		fail_clear(cx);
	}
}

static void
what_the_helper_says_is_read(void **state)
{
	Ctx *cx = *state;
	ServerSeen s;

	cluster_read_look(cx->mem,
	    "installed 15\nversion 15\nstate running\nconf aa\nhba bb\nedited pg_ident.conf\n"
	    "system work_mem\ncertificate cc\nuntil 1900000000\nfolders 3\ndatabase postgres\n"
	    "database a b\npostmaster port\npending max_connections\nmark copyhold template 1\n",
	    &s);
	assert_int_equal(s.state, SERVER_RUNNING);
	assert_string_equal(s.version, "15");
	assert_string_equal(s.conf, "aa");
	assert_string_equal(s.hba, "bb");
	assert_string_equal(s.edited.at[0], "pg_ident.conf");
	assert_string_equal(s.system.at[0], "work_mem");
	assert_string_equal(s.certificate, "cc");
	assert_int_equal(s.until, 1900000000);
	assert_int_equal(s.folders, 3);
	assert_int_equal(s.databases.n, 2);
	assert_string_equal(s.databases.at[1], "a b");
	assert_string_equal(s.postmaster.at[0], "port");
	assert_string_equal(s.pending.at[0], "max_connections");
	assert_string_equal(s.mark, "copyhold template 1");
}

static void
what_no_helper_says_is_passed_over(void **state)
{
	Ctx *cx = *state;
	ServerSeen s;

	cluster_read_look(
	    cx->mem, "\n\nstate\nversion 1\x1b[2J\nuntil -5\nuntil x\nmark \xff\nstate odd", &s);
	assert_int_equal(s.state, SERVER_MISSING);
	assert_null(s.version);
	assert_null(s.mark);
	assert_int_equal(s.until, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(settings_are_quoted_and_come_after_ours),
		TEST(loopback_is_listened_to_once),
		TEST(settings_that_are_ours_or_none_are_refused),
		TEST(a_setting_is_given_once),
		TEST(networks_come_in_over_tls_alone),
		TEST(what_is_no_network_is_refused),
		TEST(what_the_helper_says_is_read),
		TEST(what_no_helper_says_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "region/gateway/entry.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const char *const domains[] = { "db.example", "pg.example.org", NULL };

/* The four sources; NULL: not given. */
static bool
read_it(const char *user, const char *database, const char *options, const char *sni, Entry *e)
{
	const StartupParam all[] = { { "user", user }, { "database", database },
		{ "options", options } };
	Startup s = { .kind = STARTUP_LOGIN, .major = 3 };

	for (size_t i = 0; i < LENGTH(all); i++)
		if (all[i].value)
			s.param[s.params++] = all[i];
	return entry_read(&s, sni, domains, e);
}

static void
a_tenant_is_named_in_four_ways(void **state)
{
	static const struct {
		const char *user, *database, *options, *sni, *tenant, *name;
	} cases[] = {
		{ "app", "acme", NULL, NULL, "acme", "app" },
		{ "app.acme", NULL, NULL, NULL, "acme", "app" },
		{ "app.acme", "app.acme", NULL, NULL, "acme", "app" },
		{ "app.acme", "app", NULL, NULL, "acme", "app" },
		{ "app.acme", "acme", NULL, NULL, "acme", "app" },
		{ "a.b.acme", "acme", NULL, NULL, "acme", "a.b" },
		{ "app", "app", "-c tenant=acme", NULL, "acme", "app" },
		{ "app", NULL, "-ctenant=acme", NULL, "acme", "app" },
		{ "app", "acme", "--tenant=acme", NULL, "acme", "app" },
		{ "app", "app", "-c Tenant=acme -ctenant=acme", NULL, "acme", "app" },
		{ "app", "app", NULL, "acme.db.example", "acme", "app" },
		{ "app", "app", NULL, "ACME.Pg.Example.Org", "acme", "app" },
		{ "app.acme", "acme", "--tenant=acme", "acme.db.example", "acme", "app" },
		/* the name of no tenant */
		{ "app", "acme", NULL, "db.example", "acme", "app" },
		{ "app", "acme", NULL, "a.b.db.example", "acme", "app" },
		{ "app", "acme", NULL, "gateway", "acme", "app" },
		{ "app", "acme", NULL, "other.example", "acme", "app" },
		/* nothing but the user */
		{ "app", NULL, NULL, NULL, "app", "app" },
		{ "app", "", NULL, NULL, "app", "app" },
	};
	Entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		if (!read_it(cases[i].user, cases[i].database, cases[i].options, cases[i].sni, &e))
			print_error("%s %s: %s\n", cases[i].user, cases[i].database, e.why);
		assert_null(e.sqlstate);
		assert_string_equal(e.tenant, cases[i].tenant);
		assert_string_equal(e.user, cases[i].name);
		assert_int_equal(e.ntracked + e.nothers, 0);
	}
}

static void
who_names_two_tenants_or_none_is_refused(void **state)
{
	static const char two[] =
	    "options, user, server name and database do not name the same tenant";
	static const char empty[] = "the tenant's name is empty or too long";
	static const char nobody[] = "the user name is empty or too long";
	static const char *const cases[][5] = {
		{ "app.acme", "beta", NULL, NULL, two },
		{ "app", "beta", "-ctenant=acme", NULL, two },
		{ "app", "Acme", "-ctenant=acme", NULL, two },
		{ "app", "beta", NULL, "acme.db.example", two },
		{ "app.beta", NULL, NULL, "acme.db.example", two },
		{ "app.beta", NULL, "-ctenant=acme", NULL, two },
		{ "app", "app", "-ctenant=acme --tenant=beta", NULL, two },
		{ "app", "acm", "-ctenant=acme", NULL, two },
		{ "app", "acmee", "-ctenant=acme", NULL, two },
		{ "app.", "acme", NULL, NULL, empty },
		{ "app", "acme", "-ctenant=", NULL, empty },
		{ "app", "acme", NULL, ".db.example", empty },
		{ "app", "a234567890123456789012345678901234567890123456789012345678901234", NULL,
		    NULL, empty },
		{ "app", "acme", NULL,
		    "a234567890123456789012345678901234567890123456789012345678901234.db.example",
		    empty },
		{ ".acme", "acme", NULL, NULL, nobody },
		{ "a234567890123456789012345678901234567890123456789012345678901234", "acme", NULL,
		    NULL, nobody },
		{ NULL, "acme", NULL, NULL, "no user name was sent" },
		{ "", "acme", NULL, NULL, "no user name was sent" },
	};
	Entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_false(read_it(cases[i][0], cases[i][1], cases[i][2], cases[i][3], &e));
		assert_string_equal(e.sqlstate, "28000");
		assert_string_equal(e.why, cases[i][4]);
	}
}

static const char *
all_of(const StartupParam *at, size_t n)
{
	static char text[4096];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(
		    text + len, sizeof text - len, "[%s=%s]", at[i].name, at[i].value);
	return text;
}

static void
settings_are_split_as_the_server_does(void **state)
{
	static const struct {
		const char *options, *tracked, *other;
	} cases[] = {
		{ "", "", "" },
		{ " \t\n", "", "" },
		{ "-c geqo=off", "", "[geqo=off]" },
		{ "  -cgeqo=off  --work-mem=1MB ", "", "[geqo=off][work_mem=1MB]" },
		{ "-c geqo=", "", "[geqo=]" },
		{ "-c a.b=c=d", "", "[a.b=c=d]" },
		{ "-c search_path=a,\\ b", "", "[search_path=a, b]" },
		{ "-c a.b=\\\\\\ \\x", "", "[a.b=\\ x]" },
		{ "-c a.b=x\\", "", "[a.b=x]" },
		{ "-c DATESTYLE=ISO -c TimeZone=UTC", "[DATESTYLE=ISO][TimeZone=UTC]", "" },
		{ "-c timezone=A -c TimeZone=B -c geqo=1 -cGEQO=2", "[TimeZone=B]", "[GEQO=2]" },
	};
	Entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_true(read_it("app", "acme", cases[i].options, NULL, &e));
		assert_string_equal(all_of(e.tracked, e.ntracked), cases[i].tracked);
		assert_string_equal(all_of(e.other, e.nothers), cases[i].other);
	}
}

static void
options_that_are_no_settings_are_refused(void **state)
{
	static const char only[] = "the options may have only -c name=value and --name=value";
	static const char none[] = "a setting in the options has no name or no value";
	static const char name[] = "a parameter's name is not that of a setting";
	static const char *const cases[][2] = {
		{ "-d 5", only },
		{ "-B64", only },
		{ "x", only },
		{ "-", only },
		{ "-C a=b", only },
		{ "-c", "-c at the end of the options" },
		{ "-c geqo", none },
		{ "--geqo", none },
		{ "--", none },
		{ "-c =1", none },
		{ "-c user=postgres", name },
		{ "-c USER=postgres", name },
		{ "--database=other", name },
		{ "-c replication=true", name },
		{ "-c options=-cgeqo=1", name },
		{ "-c _pq_.x=1", name },
		{ "-c 1=1", name },
		{ "-c a\\ b=1", name },
	};
	Entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_false(read_it("app", "acme", cases[i][0], NULL, &e));
		assert_string_equal(e.sqlstate, "22023");
		assert_string_equal(e.why, cases[i][1]);
	}
}

static void
parameters_of_the_packet_are_settings_that_win(void **state)
{
	const Startup s = { .kind = STARTUP_LOGIN,
		.param = { { "user", "app" }, { "application_name", "psql" }, { "geqo", "on" },
		    { "client_encoding", "UTF8" }, { "options", "-cgeqo=off -capplication_name=x" },
		    { "database", "acme" } },
		.params = 6 };
	const Startup bad = { .param = { { "user", "a" }, { "User", "b" } }, .params = 2 };
	Entry e;

	(void)state;
	assert_true(entry_read(&s, NULL, NULL, &e));
	assert_string_equal(
	    all_of(e.tracked, e.ntracked), "[application_name=psql][client_encoding=UTF8]");
	assert_string_equal(all_of(e.other, e.nothers), "[geqo=on]");
	assert_false(e.replication);
	assert_true(
	    read_it("app", "acme", "-c client_encoding=UTF8 -c Client_Encoding=sjis", NULL, &e));
	assert_string_equal(all_of(e.tracked, e.ntracked), "[Client_Encoding=sjis]");
	assert_false(entry_read(&bad, NULL, NULL, &e));
	assert_string_equal(e.why, "a parameter's name is not that of a setting");
}

static void
replication_is_noticed(void **state)
{
	static const char *const yes[] = { "true", "database", "on", "1", "o", "yes", "",
		"falsee" };
	static const char *const no[] = { "false", "f", "OFF", "of", "no", "n", "0" };
	Startup s = { .param = { { "user", "app" }, { "replication", "" } }, .params = 2 };
	Entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(yes); i++) {
		s.param[1].value = yes[i];
		assert_true(entry_read(&s, NULL, NULL, &e));
		assert_true(e.replication);
	}
	for (size_t i = 0; i < LENGTH(no); i++) {
		s.param[1].value = no[i];
		assert_true(entry_read(&s, NULL, NULL, &e));
		assert_false(e.replication);
	}
	assert_int_equal(e.nothers, 0);
}

static void
settings_are_bounded(void **state)
{
	char options[8192];
	size_t n = 0;
	Entry e;

	(void)state;
	for (int i = 0; i < ENTRY_SETTINGS; i++)
		n += (size_t)snprintf(options + n, sizeof options - n, "-c a.b%d=1 ", i);
	assert_true(read_it("app", "acme", options, NULL, &e));
	assert_int_equal(e.nothers, ENTRY_SETTINGS);
	snprintf(options + n, sizeof options - n, "-c a.b=1");
	assert_false(read_it("app", "acme", options, NULL, &e));
	assert_string_equal(e.why, "too many settings");

	memset(options, 'x', sizeof options);
	memcpy(options, "-ca=", 4);
	options[2000] = '\0';
	assert_true(read_it("app", "acme", options, NULL, &e));
	options[2000] = ' ';
	memcpy(options + 2001, "-cb.1234567890123456789=123456789012345678", 43);
	assert_true(strlen(options) < sizeof e.text);
	assert_true(read_it("app", "acme", options, NULL, &e));
	const Startup s = { .param = { { "user", "app" }, { "options", options },
				{ "application_name", "0123456789" } },
		.params = 3 };
	assert_false(entry_read(&s, NULL, NULL, &e));
	assert_string_equal(e.why, "the settings are too long");
	options[2043] = 'x';
	options[2100] = '\0';
	assert_false(read_it("app", "acme", options, NULL, &e));
	assert_string_equal(e.why, "the options are too long");
	assert_string_equal(e.sqlstate, "22023");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tenant_is_named_in_four_ways),
		cmocka_unit_test(who_names_two_tenants_or_none_is_refused),
		cmocka_unit_test(settings_are_split_as_the_server_does),
		cmocka_unit_test(options_that_are_no_settings_are_refused),
		cmocka_unit_test(parameters_of_the_packet_are_settings_that_win),
		cmocka_unit_test(replication_is_noticed),
		cmocka_unit_test(settings_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

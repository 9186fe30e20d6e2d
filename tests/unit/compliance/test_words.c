#include <stdio.h>
#include <string.h>

#include "compliance/audit/words.h"
#include "deployer/cluster_host.h"
#include "deployer/items.h"
#include "deployer/shared.h"
#include "lib/core/records.h"
#include "region/route/route.h"
#include "tests/unit/core/room.h"

static void
every_step_of_the_product_has_a_sentence(void **state)
{
	const StepKind *const all[] = { records_kinds, route_kinds, shape_kinds, roles_kinds,
		customer_kinds, shared_kinds, cluster_host_kinds };
	int n = 0;

	(void)state;
	for (size_t i = 0; i < LENGTH(all); i++)
		for (const StepKind *k = all[i]; k->name; k++, n++)
			if (!words_of(k->name))
				broken("no sentence for \"%s\" in words.def\n", k->name);
	assert_true(n >= 50);
}

static void
every_row_is_whole(void **state)
{
	static const EventWord all[] = {
#define EVENT_WORD(verb, done, meant, ocsf_class, ocsf_activity) \
	{ verb, done, meant, ocsf_class, ocsf_activity },
#include "compliance/audit/words.def"
#undef EVENT_WORD
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(all); i++) {
		assert_string_equal(words_of(all[i].verb)->done, all[i].done); /* none twice */
		assert_true(strlen(all[i].done) > 10 && strlen(all[i].meant) > 10);
		assert_int_equal(all[i].done[strlen(all[i].done) - 1], '.');
		assert_int_not_equal(all[i].meant[strlen(all[i].meant) - 1], '.');
		assert_null(strchr(all[i].done, '%'));
		assert_null(strchr(all[i].meant, '%'));
		assert_true(all[i].ocsf_class == 3001 || all[i].ocsf_class == 3004 ||
		    all[i].ocsf_class == 3005 || all[i].ocsf_class == 6005);
		assert_in_range(all[i].ocsf_activity, 1, 10);
	}
}

static void
events_are_told_in_sentences(void **state)
{
	static const struct {
		const char *verb, *object, *outcome, *sentence;
	} cases[] = {
		{ "database.create", "tenant/acme", "ok", "The database of tenant acme was made." },
		{ "database.create", "tenant/acme", "undone",
		    "Taken back: make the database of tenant acme." },
		{ "database.create", "tenant/acme", "cluster-unreachable: no connection",
		    "It failed to make the database of tenant acme (cluster-unreachable: no "
		    "connection)." },
		{ "database.create", "tenant/acme", "resolved: redo",
		    "A person decided that this is to be tried again: make the database of tenant "
		    "acme." },
		{ "tenant.register", "tenant/acme", "ok",
		    "Tenant acme was entered in the records." },
		{ "secret.read", "login/acme/app", "ok",
		    "A secret was read: login app of tenant acme." },
		{ "tenant.purge", "tenant/acme", "confirmed",
		    "A person confirmed that the data of tenant acme is to be removed for good." },
		{ "tenant.verify", "tenant/acme", "begun",
		    "Begun: try whether tenant acme works and is isolated." },
		{ "home.backup", "home", "ok", "The home was copied into a backup." },
		{ "shape.change", "shared/bj-1/crm", "ok",
		    "The tables of shared database crm on cluster bj-1 were changed." },
		{ "no.such", "tenant/acme", "ok", "\"no.such\": tenant acme (ok)." },
		{ "", "", "", "\"\":  ()." },
		{ "secret.set", "a/b/c", "ok", "A secret was stored: a/b/c." },
		{ "secret.set", "tenant/", "ok", "A secret was stored: tenant ." },
		{ "secret.set", "login//", "ok", "A secret was stored: login  of tenant ." },
		{ "secret.set", "{}%s", "ok", "A secret was stored: {}%s." },
	};
	Arena *mem = arena_new(NULL);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_string_equal(
		    words_sentence(mem, cases[i].verb, cases[i].object, cases[i].outcome),
		    cases[i].sentence);
	arena_free(mem);
}

static void
a_kind_of_event_has_a_name(void **state)
{
	Arena *mem = arena_new(NULL);

	(void)state;
	assert_string_equal(
	    words_kind(mem, words_of("database.create")), "Make the database of \xE2\x80\xA6");
	arena_free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_of_the_product_has_a_sentence),
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(events_are_told_in_sentences),
		cmocka_unit_test(a_kind_of_event_has_a_name),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}

#include <stdlib.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/core/manifest.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

/* clang-format off */
#define BASE \
	"apiVersion: copyhold/v1\n" \
	"kind: Region\n" \
	"metadata: {name: eu}\n" \
	"spec: {country: DE}\n" \
	"---\n" \
	"apiVersion: copyhold/v1\n" \
	"kind: Region\n" \
	"metadata: {name: cn}\n" \
	"spec: {country: CN}\n" \
	"---\n" \
	"apiVersion: copyhold/v1\n" \
	"kind: Cluster\n" \
	"metadata: {name: eu-1}\n" \
	"spec:\n" \
	"  region: eu\n" \
	"  modes: [dedicated]\n" \
	"  capacity: 10\n" \
	"  connect: {host: db.example}\n" \
	"---\n" \
	"apiVersion: copyhold/v1\n" \
	"kind: Cluster\n" \
	"metadata: {name: acme-db}\n" \
	"spec:\n" \
	"  region: eu\n" \
	"  modes: [customer-db]\n" \
	"  connect: {host: db.acme.example}\n" \
	"---\n" \
	"apiVersion: copyhold/v1\n" \
	"kind: Model\n" \
	"metadata: {name: crm}\n" \
	"spec:\n" \
	"  version: 1\n" \
	"  objects:\n" \
	"    - name: account\n" \
	"      fields:\n" \
	"        - {name: name, type: text, maxLength: 80}\n" \
	"---\n"

static const struct { const char *title, *before, *text, *error; } broken[] = {
#define BROKEN(...) { __VA_ARGS__ },
#include "tests/unit/core/broken.def"
#undef BROKEN
};

/* Of one whole estate with hosts, in which something is said differently. */
static const struct { const char *title, *stands, *instead, *error; } broken_hosts[] = {
#define HOSTS(...) { __VA_ARGS__ },
#include "tests/unit/core/broken_hosts.def"
#undef HOSTS
};
/* clang-format on */

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

static Manifests *
load(Ctx *cx, const char *text)
{
	Manifests *m = NULL;

	bool ok = manifest_load_text(cx, "m.yaml", text, strlen(text), &m);
	if (!ok)
		print_error("%s", fail_text(cx->mem, cx->fail));
	assert_true(ok);
	return m;
}

static const char *
load_error(Ctx *cx, const char *text)
{
	Manifests *m;

	assert_false(manifest_load_text(cx, "m.yaml", text, strlen(text), &m));
	return fail_text(cx->mem, cx->fail);
}

static const char *
path_error(Ctx *cx, const char *path)
{
	Manifests *m;

	assert_false(manifest_load(cx, path, &m));
	return fail_text(cx->mem, cx->fail);
}

static void
put(Ctx *cx, const char *path, const char *text)
{
	assert_true(file_write(cx, path, 0600, text, strlen(text)));
}

static void
each_broken_manifest_is_told_with_place_and_help(void **state)
{
	Ctx *cx = *state;

	for (size_t i = 0; i < LENGTH(broken); i++) {
		char *text = arena_printf(cx->mem, "%s%s", broken[i].before, broken[i].text);
		Ctx own = ctx_new(cx->mem);
		Manifests *m;

		bool wrong = manifest_load_text(&own, "m.yaml", text, strlen(text), &m) ||
		    strcmp(fail_text(own.mem, own.fail), broken[i].error) != 0;
		if (wrong)
			print_error("%s:\n", broken[i].title);
		assert_string_equal(fail_text(own.mem, own.fail), broken[i].error);
		arena_free(own.mem);
	}
}

static char *
hosts_with(Arena *mem, const char *stands, const char *instead)
{
	static const char base[] = HOSTS_BASE;
	const char *at = strstr(base, stands);

	assert_non_null(at);
	return arena_printf(mem, "%.*s%s%s", (int)(at - base), base, instead, at + strlen(stands));
}

static void
each_broken_manifest_of_hosts_is_told_with_place_and_help(void **state)
{
	Ctx *cx = *state;

	load(cx, HOSTS_BASE);
	for (size_t i = 0; i < LENGTH(broken_hosts); i++) {
		char *text = hosts_with(cx->mem, broken_hosts[i].stands, broken_hosts[i].instead);
		if (strcmp(load_error(cx, text), broken_hosts[i].error) != 0)
			print_error("%s:\n", broken_hosts[i].title);
		assert_string_equal(fail_text(cx->mem, cx->fail), broken_hosts[i].error);
		fail_clear(cx);
	}
}

static void
a_cluster_on_a_host_is_reached_there_over_tls(void **state)
{
	Ctx *cx = *state;
	const Cluster *c = map_get(load(cx, HOSTS_BASE)->clusters, "acme-db");

	assert_string_equal(c->connect.host, "10.0.0.1");
	assert_int_equal(c->connect.port, 5433);
	assert_string_equal(c->connect.user, "copyhold");
	assert_string_equal(c->connect.sslmode, "verify-full");
	assert_string_equal(c->connect.password.ref, "store:cluster/acme-db");
}

static void
no_error_tells_what_may_be_a_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(broken); i++)
		assert_null(strstr(broken[i].error, "hunter2"));
}

static void
the_quickstart_is_valid(void **state)
{
	Ctx *cx = *state;
	Manifests *m;

	bool ok = manifest_load(cx, "manifests/quickstart", &m);
	if (!ok)
		print_error("%s", fail_text(cx->mem, cx->fail));
	assert_true(ok);
	assert_int_equal(m->count, 19);
	assert_int_equal(map_count(manifest_map(m, KIND_REGION)), 2);
	assert_int_equal(map_count(manifest_map(m, KIND_HOST)), 4);
	assert_int_equal(map_count(manifest_map(m, KIND_CLUSTER)), 4);
	assert_int_equal(map_count(manifest_map(m, KIND_MODEL)), 1);
	assert_int_equal(map_count(manifest_map(m, KIND_BUNDLE)), 1);
	assert_int_equal(map_count(manifest_map(m, KIND_TENANT)), 7);
	const Region *cn = map_get(m->regions, "cn-north");
	assert_string_equal(cn->display, "华北");
	assert_string_equal(cn->country, "CN");
}

static void
what_is_not_said_has_its_default(void **state)
{
	Ctx *cx = *state;
	Manifests *m = load(cx,
	    BASE "apiVersion: copyhold/v1\nkind: Tenant\n"
		 "metadata: {name: acme}\nspec: {model: crm, mode: dedicated, region: eu}\n");
	const Cluster *c = map_get(m->clusters, "eu-1");
	const Tenant *t = map_get(m->tenants, "acme");

	assert_string_equal(c->connect.user, "copyhold");
	assert_string_equal(c->connect.database, "copyhold");
	assert_int_equal(c->connect.port, 5432);
	assert_int_equal(c->connections, 2);
	assert_null(c->connect.sslmode);
	assert_null(c->connect.password.ref);
	assert_int_equal(t->retention_ms, INT64_C(30) * 86400000);
	assert_string_equal(t->login, "app");
	assert_int_equal(t->mode, MODE_DEDICATED);
	assert_null(t->cluster);
	assert_null(t->residency);
}

static void
a_canonical_form_leaves_defaults_out(void **state)
{
	Ctx *cx = *state;
	Manifests *m = load(cx,
	    BASE
	    "apiVersion: copyhold/v1\nkind: Tenant\n"
	    "metadata: {name: acme, displayName: Ähm}\nspec:\n  model: crm\n  mode: dedicated\n"
	    "  region: eu\n  retention: 720h\n  login: app\n  residency: {country: DE}\n"
	    "  objects: []\n  drop: [x_old]\n"
	    "  fields: {account: [{name: x, type: number, precision: 5, scale: 0,\n"
	    "    default: 007.0}]}\n");

	assert_string_equal(manifest_canonical(cx->mem, "Tenant", map_get(m->tenants, "acme")),
	    "{\"displayName\":\"Ähm\",\"spec\":{\"drop\":[\"x_old\"],\"fields\":{\"account\":"
	    "[{\"default\":\"7\",\"name\":\"x\",\"precision\":5,\"type\":\"number\"}]},"
	    "\"mode\":\"dedicated\",\"model\":\"crm\",\"region\":\"eu\","
	    "\"residency\":{\"country\":\"DE\"}}}");
	assert_string_equal(manifest_canonical(cx->mem, "Cluster", map_get(m->clusters, "eu-1")),
	    "{\"spec\":{\"capacity\":10,\"connect\":{\"host\":\"db.example\"},"
	    "\"modes\":[\"dedicated\"],\"region\":\"eu\"}}");
	assert_string_equal(manifest_canonical(cx->mem, "Model", map_get(m->models, "crm")),
	    "{\"spec\":{\"objects\":[{\"fields\":[{\"default\":\"random\",\"name\":\"id\","
	    "\"required\":true,\"type\":\"uuid\"},{\"maxLength\":80,\"name\":\"name\","
	    "\"type\":\"text\"}],\"key\":[\"id\"],\"name\":\"account\"}],\"version\":1}}");
}

static void
every_kind_comes_back_from_its_canonical_form(void **state)
{
	Ctx *cx = *state;
	Manifests *m;

	assert_true(manifest_load(cx, "manifests/quickstart", &m));
	for (KindId k = KIND_REGION; k < KINDS; k++) {
		const Map *map = manifest_map(m, k);

		for (const MapItem *i = map_next(map, NULL); i != NULL; i = map_next(map, i)) {
			char *text = manifest_canonical(cx->mem, kinds[k].name, i->value);
			void *back;

			assert_true(manifest_from_json(cx, kinds[k].name, i->key, text, &back));
			assert_string_equal(manifest_canonical(cx->mem, kinds[k].name, back), text);
			assert_string_equal(*(const char **)back, i->key);
		}
	}
}

static void
a_record_stands_alone(void **state)
{
	Ctx *cx = *state;
	void *out;

	assert_true(manifest_from_json(cx, "Tenant", "acme",
	    "{\"spec\":{\"model\":\"gone\",\"mode\":\"dedicated\",\"cluster\":\"gone\"}}", &out));
	assert_string_equal(((Tenant *)out)->cluster, "gone");
	assert_int_equal(((Tenant *)out)->retention_ms, INT64_C(30) * 86400000);
	assert_false(manifest_from_json(cx, "Tenant", "acme", "{\"spec\":{\"mode\":1}}", &out));
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[manifest]: \"mode\" must be a text, not a number or boolean\n"
	    "  while: reading Tenant \"acme\" from the catalogue\n"
	    "  where: (catalogue) Tenant/acme:1:17\n"
	    "  hint:  Put it in quotes.\n");
	fail_clear(cx);
	assert_false(manifest_from_json(cx, "Planet", "mars", "{}", &out));
	assert_string_equal(fail_text(cx->mem, cx->fail),
	    "error[catalog]: the catalogue holds \"mars\" of the unknown kind \"Planet\"\n"
	    "  hint:  A newer copyhold may have written it.\n");
}

#define TWO(first, second) \
	"apiVersion: copyhold/v1\nkind: Region\n" first "---\n" \
	"apiVersion: copyhold/v1\nkind: Region\n" second

static void
the_hash_depends_on_what_is_said_alone(void **state)
{
	Ctx *cx = *state;
	static const char *const same[] = {
		TWO("metadata: {name: a, displayName: A}\nspec: {country: DE}\n",
		    "metadata: {name: b}\nspec: {country: FR}\n"),
		TWO("metadata: {name: b}\nspec: {country: FR}\n",
		    "metadata: {displayName: A, name: a}\nspec: {country: DE}\n"),
		"# a comment\n---\nspec:\n    country:   'DE'   # another\nkind: \"Region\"\n"
		"metadata:\n    displayName: A\n    name: a\napiVersion: copyhold/v1\n...\n---\n"
		"{apiVersion: copyhold/v1, kind: Region, metadata: {name: b}, "
		"spec: {country: FR}}\n",
		"[{\"kind\": \"Region\", \"apiVersion\": \"copyhold/v1\", \"metadata\": "
		"{\"name\": \"a\", \"displayName\": \"\\u0041\"}, \"spec\": {\"country\": \"DE\"}},\n"
		"{\"kind\": \"Region\", \"apiVersion\": \"copyhold/v1\", \"metadata\": "
		"{\"name\": \"b\"}, \"spec\": {\"country\": \"FR\"}}]\n",
	};
	static const char *const other[] = {
		TWO("metadata: {name: a}\nspec: {country: DE}\n",
		    "metadata: {name: b}\nspec: {country: FR}\n"),
		TWO("metadata: {name: a, displayName: A}\nspec: {country: DE}\n",
		    "metadata: {name: b}\nspec: {country: ES}\n"),
		TWO("metadata: {name: a, displayName: A}\nspec: {country: DE}\n",
		    "metadata: {name: c}\nspec: {country: FR}\n"),
	};
	const char *hash = load(cx, same[0])->hash;

	assert_int_equal(strlen(hash), 64);
	for (size_t i = 1; i < LENGTH(same); i++)
		assert_string_equal(load(cx, same[i])->hash, hash);
	for (size_t i = 0; i < LENGTH(other); i++)
		assert_string_not_equal(load(cx, other[i])->hash, hash);
}

static void
relative_paths_count_from_the_manifest(void **state)
{
	Ctx *cx = *state;
	char *dir, real[4096];
	Manifests *m, *again;

	assert_true(temp_dir(cx, &dir));
	assert_non_null(realpath(dir, real));
	assert_true(file_make_dirs(cx, arena_printf(cx->mem, "%s/deep/link", dir), 0700));
	put(cx, arena_printf(cx->mem, "%s/deep/c.yaml", dir),
	    "apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: eu}\nspec: {country: DE}\n"
	    "---\napiVersion: copyhold/v1\nkind: Cluster\nmetadata: {name: c}\nspec:\n"
	    "  region: eu\n  connect: {host: h, password: {secretRef: \"file:pw/c\"},\n"
	    "    sslmode: verify-ca, sslrootcert: ../ca/./ca.crt, sslcert: /x//y/../c.crt,\n"
	    "    sslkey: ../../../../../../../../../../k}\n");
	assert_true(manifest_load(cx, arena_printf(cx->mem, "%s/deep", dir), &m));
	const Connect *c = &((Cluster *)map_get(m->clusters, "c"))->connect;
	assert_string_equal(c->sslrootcert, arena_printf(cx->mem, "%s/ca/ca.crt", real));
	assert_string_equal(c->sslcert, "/x/c.crt");
	assert_string_equal(c->sslkey, "/k");
	assert_string_equal(c->password.ref, arena_printf(cx->mem, "file:%s/deep/pw/c", real));
	assert_true(
	    manifest_load(cx, arena_printf(cx->mem, "%s/./deep/link/../c.yaml", dir), &again));
	assert_string_equal(again->hash, m->hash);
}

static void
a_folder_is_read_whole_but_for_hidden_and_other_files(void **state)
{
	Ctx *cx = *state;
	static const char region[] = "apiVersion: copyhold/v1\nkind: Region\n"
				     "metadata: {name: %s}\nspec: {country: DE}\n";
	static const struct {
		const char *file, *name;
	} files[] = {
		{ "a.yaml", "a" },
		{ "b.yml", "b" },
		{ "deep/er/c.yaml", "c" },
		{ ".hidden.yaml", "a" },
		{ "notes.txt", "a" },
		{ "deep/.git/d.yaml", "a" },
	};
	char *dir;
	Manifests *m;

	assert_true(temp_dir(cx, &dir));
	assert_true(file_make_dirs(cx, arena_printf(cx->mem, "%s/deep/er", dir), 0700));
	assert_true(file_make_dirs(cx, arena_printf(cx->mem, "%s/deep/.git", dir), 0700));
	for (size_t i = 0; i < LENGTH(files); i++)
		put(cx, arena_printf(cx->mem, "%s/%s", dir, files[i].file),
		    arena_printf(cx->mem, region, files[i].name));
	put(cx, arena_printf(cx->mem, "%s/e.json", dir),
	    "{\"apiVersion\": \"copyhold/v1\", \"kind\": \"Region\", "
	    "\"metadata\": {\"name\": \"e\", \"displayName\": \"\\ud83c\\udf0d\"}, "
	    "\"spec\": {\"country\": \"DE\"}}");
	assert_true(manifest_load(cx, dir, &m));
	assert_int_equal(m->count, 4);
	assert_string_equal(((Region *)map_get(m->regions, "e"))->display, "🌍");
	put(cx, arena_printf(cx->mem, "%s/z.yaml", dir), arena_printf(cx->mem, region, "a"));
	assert_string_equal(path_error(cx, dir),
	    arena_printf(cx->mem,
		"error[manifest]: Region \"a\" is defined twice\n  where: %s/z.yaml:3:18\n"
		"  hint:  The first one stands at %s/a.yaml:3:18: rename or remove one of the two.\n",
		dir, dir));
}

static void
a_path_without_manifests_is_an_error(void **state)
{
	Ctx *cx = *state;
	char *dir, *file;

	assert_true(temp_dir(cx, &dir));
	assert_string_equal(path_error(cx, dir),
	    arena_printf(cx->mem,
		"error[manifest]: no manifest in \"%s\"\n  hint:  Manifests are documents in files "
		"that end in .yaml, .yml or .json.\n",
		dir));
	fail_clear(cx);
	file = arena_printf(cx->mem, "%s/empty.yaml", dir);
	put(cx, file, "# nothing\n---\n---\n");
	assert_string_equal(path_error(cx, file),
	    arena_printf(cx->mem,
		"error[manifest]: no manifest in \"%s\"\n  hint:  Manifests are documents in files "
		"that end in .yaml, .yml or .json.\n",
		file));
	fail_clear(cx);
	assert_string_equal(path_error(cx, "/nowhere/x.yaml"),
	    "error[manifest]: there is no file or folder \"/nowhere/x.yaml\"\n"
	    "  hint:  Give a file, a folder, or - for standard input.\n");
	assert_int_equal(fail_exit(cx->fail->kind), EXIT_USAGE);
}

static void
a_model_becomes_yaml_that_loads_to_the_same(void **state)
{
	Ctx *cx = *state;
	static const char text[] =
	    "apiVersion: copyhold/v1\nkind: Model\nmetadata: {name: m, displayName: \"A: \\\"B\\\"\"}\n"
	    "spec:\n  version: 3\n  objects:\n    - name: a\n      was: z\n      key: [\"no\", part]\n"
	    "      fields:\n"
	    "        - {name: \"no\", was: number, type: text, maxLength: 9, required: true}\n"
	    "        - {name: part, type: integer, required: true, default: -5}\n"
	    "        - {name: t, type: text, default: \"true\"}\n"
	    "        - {name: u, type: text, default: \"a: # \\\\ \\n 'x' \\\"y\\\" 华\"}\n"
	    "        - {name: v, type: boolean, default: true}\n"
	    "        - {name: w, type: number, precision: 5, scale: 2, default: 1.5}\n"
	    "        - {name: x, type: json, default: \"{\\\"a\\\":[1,null]}\"}\n"
	    "        - {name: \"y\", type: reference, to: \"yes\", onDelete: cascade}\n"
	    "    - name: \"yes\"\n      key: [id]\n      fields:\n"
	    "        - {name: id, type: uuid, required: true, default: random}\n"
	    "  drop: [\"a.fax\", c]\n";
	const Model *model = map_get(load(cx, text)->models, "m");
	char *yaml = manifest_model_yaml(cx->mem, model);

	assert_string_equal(yaml, text);
	assert_string_equal(
	    manifest_canonical(cx->mem, "Model", map_get(load(cx, yaml)->models, "m")),
	    manifest_canonical(cx->mem, "Model", model));
}

static void
the_schema_in_the_repository_is_the_one_of_the_tables(void **state)
{
	Ctx *cx = *state;
	char *text;
	size_t n;

	assert_true(file_read(cx, "manifests/schema/copyhold-v1.json", 1 << 20, &text, &n));
	assert_string_equal(text, manifest_schema(cx->mem));
}

static void
the_manual_has_a_table_for_every_kind(void **state)
{
	Ctx *cx = *state;
	Buf b = buf_new(cx->mem);

	manifest_manual(&b);
	assert_non_null(strstr(b.text, "\n## Tenant: a customer\n\n### Tenant spec\n"));
	assert_non_null(strstr(b.text,
	    "\n| `port` | integer, 1 to 65535 | `5432` | "
	    "port of the server |\n"));
	assert_non_null(strstr(b.text,
	    "\n| `model` | name: `[a-z][a-z0-9-]{0,39}` | required | "
	    "the Model of its application |\n"));
	assert_non_null(strstr(b.text, "\n| `country` | one of 249 codes | required | "));
}

static void
ten_thousand_tenants_fit_into_little_memory(void **state)
{
	Ctx *cx = *state;
	Buf b = buf_new(cx->mem);

	buf_add(&b, BASE);
	for (int i = 0; i < 10000; i++)
		buf_fmt(&b,
		    "apiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: t%d}\n"
		    "spec:\n  model: crm\n  mode: dedicated\n  region: eu\n"
		    "  fields: {account: [{name: x, type: text, maxLength: 9}]}\n---\n",
		    i);
	size_t before = arena_bytes(cx->mem);
	Manifests *m = load(cx, b.text);
	assert_int_equal(map_count(m->tenants), 10000);
	assert_true(arena_bytes(cx->mem) - before < (size_t)60 << 20);
}

static void
a_broken_manifest_among_many_is_found(void **state)
{
	Ctx *cx = *state;

	assert_string_equal(
	    load_error(cx,
		BASE "apiVersion: copyhold/v1\nkind: Tenant\n"
		     "metadata: {name: a}\nspec: {model: crm, mode: dedicated, region: eu}\n---\n"
		     "apiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: b}\n"
		     "spec: {model: crm, mode: dedicated, regoin: eu}\n"),
	    "error[manifest]: unknown key \"regoin\" in Tenant spec\n"
	    "  while: reading Tenant \"b\"\n"
	    "  where: m.yaml:46:37\n"
	    "  hint:  Did you mean \"region\"?\n");
}

static void
a_shared_tenant_says_that_its_own_names_may_be_seen(void **state)
{
	Ctx *cx = *state;
	const char *text =
	    "apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: eu}\n"
	    "spec: {country: DE}\n---\napiVersion: copyhold/v1\nkind: Cluster\n"
	    "metadata: {name: eu-3}\nspec: {region: eu, modes: [shared], tenantRows: 9, "
	    "connect: {host: h}}\n---\napiVersion: copyhold/v1\nkind: Model\n"
	    "metadata: {name: crm}\nspec: {version: 1, objects: [{name: account}]}\n---\n"
	    "apiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: acme}\nspec: {model: "
	    "crm, mode: shared, cluster: eu-3, acceptVisibleNames: true, "
	    "fields: {account: [{name: x_tier, type: text}]}}\n";
	Manifests *m = load(cx, text);
	const Tenant *t = map_get(m->tenants, "acme");
	const Cluster *c = map_get(m->clusters, "eu-3");

	assert_int_equal(t->mode, MODE_SHARED);
	assert_true(t->accept_visible_names);
	assert_int_equal(c->tenant_rows, 9);
	assert_int_equal(c->tenant_bytes, 1073741824);
	assert_string_equal(manifest_canonical(cx->mem, "Tenant", t),
	    "{\"spec\":{\"acceptVisibleNames\":true,\"cluster\":\"eu-3\",\"fields\":{\"account\":"
	    "[{\"name\":\"x_tier\",\"type\":\"text\"}]},\"mode\":\"shared\",\"model\":\"crm\"}}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_broken_manifest_is_told_with_place_and_help),
		TEST(each_broken_manifest_of_hosts_is_told_with_place_and_help),
		TEST(a_cluster_on_a_host_is_reached_there_over_tls),
		TEST(no_error_tells_what_may_be_a_secret),
		TEST(the_quickstart_is_valid),
		TEST(what_is_not_said_has_its_default),
		TEST(a_canonical_form_leaves_defaults_out),
		TEST(every_kind_comes_back_from_its_canonical_form),
		TEST(a_record_stands_alone),
		TEST(the_hash_depends_on_what_is_said_alone),
		TEST(relative_paths_count_from_the_manifest),
		TEST(a_folder_is_read_whole_but_for_hidden_and_other_files),
		TEST(a_path_without_manifests_is_an_error),
		TEST(a_model_becomes_yaml_that_loads_to_the_same),
		TEST(the_schema_in_the_repository_is_the_one_of_the_tables),
		TEST(the_manual_has_a_table_for_every_kind),
		TEST(ten_thousand_tenants_fit_into_little_memory),
		TEST(a_broken_manifest_among_many_is_found),
		TEST(a_shared_tenant_says_that_its_own_names_may_be_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

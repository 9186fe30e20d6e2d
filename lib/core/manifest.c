#include "lib/core/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/yaml.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/core/manifest_intern.h"

#define STDIN_NAME "(standard input)"

static const char *const endings[] = { ".yaml", ".yml", ".json", NULL };

Map *
manifest_map(const Manifests *m, KindId kind)
{
	Map *const maps[KINDS] = { m->regions, m->hosts, m->clusters, m->models, m->bundles,
		m->tenants };

	return maps[kind];
}

char *
manifest_place_text(Arena *mem, Place p)
{
	return p.file == NULL ? arena_dup(mem, "another place")
			      : arena_printf(mem, "%s:%d:%d", p.file, p.line, p.column);
}

/* --- documents --------------------------------------------------------------- */

static bool
add_named(Loader *l, const Loaded *item)
{
	Map *map = manifest_map(l->m, item->kind);

	if (map_get(map, item->thing->name) != NULL) {
		Place first = { 0 };

		for (size_t i = 0; i < l->list.n && first.file == NULL; i++)
			if (l->list.at[i].kind == item->kind &&
			    strcmp(l->list.at[i].thing->name, item->thing->name) == 0)
				first = l->list.at[i].place;
		return keys_wrong(l->cx, item->place,
		    arena_printf(l->cx->mem,
			"The first one stands at %s: rename or remove one of the two.",
			manifest_place_text(l->cx->mem, first)),
		    "%s \"%s\" is defined twice", kinds[item->kind].name, item->thing->name);
	}
	map_set(map, item->thing->name, item->thing);
	vec_push(l->cx->mem, &l->list, *item);
	l->m->count++;
	return true;
}

static bool
load_document(Loader *l, const Node *node)
{
	Document d = { 0 };

	if (l->m->count == MANIFESTS_MAX)
		return fail(l->cx, FAIL_LIMIT, "Load them in several parts.",
		    "more than %d manifests at once", MANIFESTS_MAX);
	if (!keys_load(l->cx, &document_table, node, &d))
		return false;
	const Kind *kind = &kinds[d.kind];
	Loaded item = { .kind = (KindId)d.kind,
		.spec = d.spec,
		.place = node_get(node_get(node, "metadata"), "name")->place };
	item.thing = arena_alloc(l->cx->mem, kind->table->size);
	if (!keys_load(l->cx, kind->table, d.spec, item.thing))
		return fail_in(l->cx, "reading %s \"%s\"", kind->name, d.meta.name);
	*item.thing = d.meta;
	return add_named(l, &item);
}

static bool
load_text(Loader *l, const char *file, const char *text, size_t n)
{
	Node **docs;

	if (!yaml_parse(l->cx, file, text, n, &docs))
		return false;
	for (; *docs != NULL; docs++) {
		if ((*docs)->kind != NODE_LIST) {
			if (!load_document(l, *docs))
				return false;
			continue;
		}
		for (const Node *item = (*docs)->first; item != NULL; item = item->next)
			if (!load_document(l, item))
				return false;
	}
	return true;
}

/* --- what manifests say about each other --------------------------------------- */

Place
manifest_place(const Loaded *item, const char *key)
{
	const Node *n = node_get(item->spec, key);

	return n == NULL ? item->place : n->place;
}

bool
manifest_dangling(Loader *l, const Loaded *item, const char *key, KindId kind, const char *name)
{
	return manifest_dangling_at(l, item, manifest_place(item, key), key, kind, name);
}

bool
manifest_dangling_at(
    Loader *l, const Loaded *item, Place place, const char *word, KindId kind, const char *name)
{
	Names names = { 0 };
	const Map *map = manifest_map(l->m, kind);

	for (const MapItem *i = map_next(map, NULL); i != NULL; i = map_next(map, i))
		vec_push(l->cx->mem, &names, i->key);
	char *hint = keys_nearest(l->cx->mem, name, names.at, names.n);
	if (hint == NULL)
		hint = arena_printf(l->cx->mem,
		    "Add a manifest of kind %s for it, or name the folder that holds it.",
		    kinds[kind].name);
	return keys_wrong(l->cx, place, hint,
	    "%s \"%s\" names %s \"%s\", which no "
	    "manifest describes",
	    kinds[item->kind].name, item->thing->name, word, name);
}

static bool
check_name_bytes(Loader *l, const Loaded *item, const Node *n, const char *name)
{
	if (name == NULL || strlen(name) <= 63)
		return true;
	return keys_wrong(l->cx, n == NULL ? item->place : n->place,
	    "PostgreSQL's names have 63 bytes at most.", "\"%s\" is longer than 63 bytes",
	    n == NULL ? "name" : n->key);
}

static bool
check_connect(Loader *l, const Loaded *item, const Connect *c)
{
	const Node *node = node_get(item->spec, "connect");
	const Node *host = node_get(node, "host");
	bool verify = c->sslmode != NULL && strncmp(c->sslmode, "verify-", 7) == 0;

	if (strpbrk(c->host, ", ") != NULL || (c->host[0] != '/' && strchr(c->host, '/') != NULL))
		return keys_wrong(l->cx, host->place,
		    "Write one name, one address or the absolute "
		    "path of a socket's folder.",
		    "\"host\" is not one host");
	if (verify && c->sslrootcert == NULL)
		return keys_wrong(l->cx, node_get(node, "sslmode")->place,
		    "Name the file with the "
		    "CA's certificate: sslrootcert: ca.crt.",
		    "sslmode \"%s\" needs \"sslrootcert\"", c->sslmode);
	if ((c->sslcert == NULL) != (c->sslkey == NULL))
		return keys_wrong(l->cx, node->place, "Give both files, or none.",
		    "\"sslcert\" and \"sslkey\" belong together");
	return check_name_bytes(l, item, node_get(node, "user"), c->user) &&
	    check_name_bytes(l, item, node_get(node, "database"), c->database);
}

static bool
check_cluster(Loader *l, const Loaded *item)
{
	const Cluster *c = (const Cluster *)(const void *)item->thing;

	if (map_get(l->m->regions, c->region) == NULL)
		return manifest_dangling(l, item, "region", KIND_REGION, c->region);
	for (size_t i = 0; c->capacity > 0 && i < c->modes.n; i++) {
		char *room = arena_printf(l->cx->mem, "%s/%s", c->region, c->modes.at[i]);

		map_set(l->roomy, room, room);
	}
	if (!manifest_check_on(l, item, (Cluster *)(void *)item->thing))
		return false;
	return c->on.host != NULL || check_connect(l, item, &c->connect);
}

static bool
check_model(Loader *l, const Loaded *item)
{
	if (model_check(l->cx, (Model *)(void *)item->thing))
		return true;
	return fail_in(l->cx, "reading Model \"%s\"", item->thing->name);
}

/* Most tenants have nothing of their own: then the model was checked already. */
static bool
check_own(Loader *l, Tenant *t)
{
	Ctx scratch = { .mem = arena_new(l->cx->mem), .fail = l->cx->fail };
	Model *merged;

	if (!model_check_own(l->cx, t))
		return fail_in(l->cx, "reading Tenant \"%s\"", t->name);
	if (t->objects.n + t->fields.n + t->drop.n > 0 &&
	    !model_merge(&scratch, map_get(l->m->models, t->model), t, &merged))
		return fail_in(l->cx, "reading Tenant \"%s\"", t->name); /* the text lives there */
	arena_free(scratch.mem);
	return true;
}

static bool
check_residency(Loader *l, const Loaded *item, const Tenant *t, const char *region_name)
{
	const Region *region = map_get(l->m->regions, region_name);

	if (t->residency == NULL || strcmp(t->residency, region->country) == 0)
		return true;
	return keys_wrong(l->cx, node_get(node_get(item->spec, "residency"), "country")->place,
	    arena_printf(l->cx->mem,
		"Region \"%s\" is described at %s: place the tenant elsewhere, "
		"or change its residency.",
		region->name, manifest_place_text(l->cx->mem, region->place)),
	    "the data of tenant \"%s\" must stay in %s, but region \"%s\" is in %s", t->name,
	    t->residency, region->name, region->country);
}

static bool
check_on_cluster(Loader *l, const Loaded *item, const Tenant *t)
{
	const Cluster *c = map_get(l->m->clusters, t->cluster);

	if (c == NULL)
		return manifest_dangling(l, item, "cluster", KIND_CLUSTER, t->cluster);
	if (c->modes.n > 0 && !names_have(&c->modes, mode_name(t->mode)))
		return keys_wrong(l->cx, manifest_place(item, "mode"),
		    arena_printf(l->cx->mem,
			"The cluster is described at %s: name another, or add the mode there.",
			manifest_place_text(l->cx->mem, c->place)),
		    "tenant \"%s\" has mode \"%s\", which cluster \"%s\" does not take", t->name,
		    mode_name(t->mode), c->name);
	if (t->region != NULL && strcmp(t->region, c->region) != 0)
		return keys_wrong(l->cx, manifest_place(item, "region"), "Name the cluster alone.",
		    "tenant \"%s\" names region \"%s\", but its cluster \"%s\" is in \"%s\"",
		    t->name, t->region, c->name, c->region);
	return check_residency(l, item, t, c->region);
}

static bool
check_in_region(Loader *l, const Loaded *item, const Tenant *t)
{
	char *room = arena_printf(l->cx->mem, "%s/%s", t->region, mode_name(t->mode));

	if (map_get(l->m->regions, t->region) == NULL)
		return manifest_dangling(l, item, "region", KIND_REGION, t->region);
	if (map_get(l->roomy, room) == NULL)
		return keys_wrong(l->cx, manifest_place(item, "region"),
		    "Name a cluster, or give one of "
		    "the region's clusters this mode and a capacity.",
		    "no cluster in region \"%s\" "
		    "takes tenants of mode \"%s\"",
		    t->region, mode_name(t->mode));
	return check_residency(l, item, t, t->region);
}

/* The database that a customer's server has for the tenant, where the manifest leaves it open. */
static char *
default_database(Arena *mem, const char *tenant)
{
	char *name = arena_dup(mem, tenant);

	for (char *s = name; *s != '\0'; s++)
		if (*s == '-')
			*s = '_';
	return name;
}

static bool
check_customer_db(Loader *l, const Loaded *item, const Tenant *t)
{
	const char *database = t->database != NULL ? t->database
						   : default_database(l->cx->mem, t->name);
	char *key = arena_printf(l->cx->mem, "%s/%s", t->cluster, database);
	const Loaded *other = map_get(l->databases, key);

	if (other != NULL)
		return keys_wrong(l->cx, manifest_place(item, "database"),
		    arena_printf(l->cx->mem,
			"The other tenant is described at %s: each needs a database of its own.",
			manifest_place_text(l->cx->mem, other->place)),
		    "tenants \"%s\" and \"%s\" both want database \"%s\" on cluster \"%s\"",
		    other->thing->name, t->name, database, t->cluster);
	Loaded *kept = arena_alloc(l->cx->mem, sizeof *kept);
	*kept = *item;
	map_set(l->databases, key, kept);
	return check_name_bytes(l, item, node_get(item->spec, "database"), t->database) &&
	    check_name_bytes(l, item, node_get(item->spec, "ownerRole"), t->owner_role);
}

/* In a database that tenants share, the server shows every login the names of the others' own things. */
static bool
check_visible_names(Loader *l, const Loaded *item, const Tenant *t)
{
	bool own = t->objects.n + t->fields.n > 0;

	if (t->mode != MODE_SHARED && node_get(item->spec, "acceptVisibleNames") != NULL)
		return keys_wrong(l->cx, manifest_place(item, "acceptVisibleNames"),
		    "Remove it: only shared has it.",
		    "tenant \"%s\" has \"acceptVisibleNames\", but mode \"%s\"", t->name,
		    mode_name(t->mode));
	if (t->mode != MODE_SHARED || t->accept_visible_names || !own)
		return true;
	return keys_wrong(l->cx, manifest_place(item, t->objects.n > 0 ? "objects" : "fields"),
	    "Add acceptVisibleNames: true if that may be so, or take mode dedicated.",
	    "tenant \"%s\" has %s of its own, whose names other tenants of its database can see",
	    t->name, t->objects.n > 0 ? "objects" : "fields");
}

static bool
check_mode_keys(Loader *l, const Loaded *item, const Tenant *t)
{
	const char *key = t->database != NULL ? "database" : "ownerRole";

	bool customers = t->mode == MODE_CUSTOMER_DB || t->mode == MODE_EXCLUSIVE ||
	    t->mode == MODE_HYBRID;
	if (customers && t->cluster == NULL)
		return keys_wrong(l->cx, manifest_place(item, "mode"),
		    "Add cluster: and the name of the "
		    "customer's server.",
		    "tenant \"%s\" has mode \"%s\" and must name its "
		    "cluster",
		    t->name, mode_name(t->mode));
	if (t->mode != MODE_CUSTOMER_DB && (t->database != NULL || t->owner_role != NULL))
		return keys_wrong(l->cx, manifest_place(item, key),
		    "Remove it: only customer-db has it.",
		    "tenant \"%s\" has \"%s\", but mode \"%s\"", t->name, key, mode_name(t->mode));
	if (t->cluster == NULL && t->region == NULL)
		return keys_wrong(l->cx, item->place,
		    "Name the cluster, or the region in which one "
		    "is to be chosen.",
		    "tenant \"%s\" has neither cluster nor region", t->name);
	return check_visible_names(l, item, t);
}

static bool
check_tenant(Loader *l, const Loaded *item)
{
	Tenant *t = (Tenant *)(void *)item->thing;

	if (map_get(l->m->models, t->model) == NULL)
		return manifest_dangling(l, item, "model", KIND_MODEL, t->model);
	if (!check_mode_keys(l, item, t))
		return false;
	if (t->cluster != NULL ? !check_on_cluster(l, item, t) : !check_in_region(l, item, t))
		return false;
	if (t->mode == MODE_CUSTOMER_DB && !check_customer_db(l, item, t))
		return false;
	if (!manifest_check_services(l, item, t))
		return false;
	return check_own(l, t);
}

static bool
check_all(Loader *l)
{
	static bool (*const checks[KINDS])(Loader *, const Loaded *) = {
		[KIND_HOST] = manifest_check_host,
		[KIND_CLUSTER] = check_cluster,
		[KIND_MODEL] = check_model,
		[KIND_BUNDLE] = manifest_check_bundle,
		[KIND_TENANT] = check_tenant,
	};

	for (KindId kind = KIND_REGION; kind < KINDS; kind++)
		for (size_t i = 0; i < l->list.n; i++)
			if (l->list.at[i].kind == kind && checks[kind] != NULL &&
			    !checks[kind](l, &l->list.at[i]))
				return false;
	return true;
}

/* --- hash ------------------------------------------------------------------------ */

static int
by_kind_and_name(const void *a, const void *b)
{
	const Loaded *x = a, *y = b;

	return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
				  : strcmp(x->thing->name, y->thing->name);
}

static char *
hash_all(Loader *l)
{
	Arena *scratch = arena_new(l->cx->mem);
	Sha256 *sum = sha256_begin(l->cx->mem);

	if (l->list.n > 0)
		qsort(l->list.at, l->list.n, sizeof *l->list.at, by_kind_and_name);
	for (size_t i = 0; i < l->list.n; i++) {
		const Loaded *item = &l->list.at[i];
		const char *kind = kinds[item->kind].name;
		char *text = arena_printf(scratch, "%s/%s %s\n", kind, item->thing->name,
		    manifest_canonical(scratch, kind, item->thing));

		sha256_add(sum, text, strlen(text));
		arena_reset(scratch);
	}
	arena_free(scratch);
	return sha256_end_hex(sum);
}

/* --- loading ----------------------------------------------------------------------- */

static Loader
loader_new(Ctx *cx)
{
	Loader l = { .cx = cx, .m = arena_alloc(cx->mem, sizeof *l.m) };

	l.m->regions = map_new(cx->mem);
	l.m->hosts = map_new(cx->mem);
	l.m->clusters = map_new(cx->mem);
	l.m->models = map_new(cx->mem);
	l.m->bundles = map_new(cx->mem);
	l.m->tenants = map_new(cx->mem);
	l.ports = map_new(cx->mem);
	l.databases = map_new(cx->mem);
	l.roomy = map_new(cx->mem);
	return l;
}

static bool
finish(Loader *l, Manifests **out)
{
	if (!check_all(l))
		return false;
	l->m->hash = hash_all(l);
	*out = l->m;
	return true;
}

#define MOMENT_BYTES ((size_t)256 << 10)

/* Where no live line shows that something is going on, a plain one does, once it takes a moment. */
static void
tell_moment(Loader *l, const char *shown, size_t n)
{
	l->bytes += n;
	if (l->told || l->bytes < MOMENT_BYTES || log_is_tty())
		return;
	l->told = true;
	log_say("reading manifests: %s", shown);
}

static bool
load_file(Loader *l, const char *path, const char *shown)
{
	Ctx scratch = { .mem = arena_new(l->cx->mem), .fail = l->cx->fail };
	char *text;
	size_t n;

	if (!file_read(&scratch, path, YAML_MAX_BYTES, &text, &n))
		return false; /* the failure's text lives in the scratch arena */
	tell_moment(l, shown, n);
	if (!load_text(l, shown, text, n))
		return false;
	arena_free(scratch.mem);
	return true;
}

static bool
load_folder(Loader *l, const char *path)
{
	char **files;
	size_t n;

	if (!file_list(l->cx, path, endings, &files, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!load_file(l, files[i], files[i]))
			return false;
	return true;
}

static bool
load_path(Loader *l, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 && errno == ENOENT)
		return fail(l->cx, FAIL_MANIFEST, "Give a file, a folder, or - for standard input.",
		    "there is no file or folder \"%s\"", path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return load_folder(l, path);
	return load_file(l, path, arena_dup(l->cx->mem, path));
}

bool
manifest_load_text(Ctx *cx, const char *file, const char *text, size_t n, Manifests **out)
{
	Loader l = loader_new(cx);

	return load_text(&l, arena_dup(cx->mem, file), text, n) && finish(&l, out);
}

static bool
load_stdin(Ctx *cx, Manifests **out)
{
	char *text;
	size_t n;

	return file_read(cx, "/dev/stdin", YAML_MAX_BYTES, &text, &n) &&
	    manifest_load_text(cx, STDIN_NAME, text, n, out);
}

static bool
load_files(Ctx *cx, const char *path, Manifests **out)
{
	Loader l = loader_new(cx);

	return load_path(&l, path) && finish(&l, out);
}

bool
manifest_load(Ctx *cx, const char *path, Manifests **out)
{
	bool from_stdin = strcmp(path, "-") == 0;
	Manifests *m;

	if (from_stdin ? !load_stdin(cx, &m) : !load_files(cx, path, &m))
		return false;
	if (m->count == 0 && from_stdin)
		return fail(cx, FAIL_MANIFEST, "Was something written into the pipe?",
		    "no manifest on standard input");
	if (m->count == 0)
		return fail(cx, FAIL_MANIFEST,
		    "Manifests are documents in files that end in .yaml, "
		    ".yml or .json.",
		    "no manifest in \"%s\"", path);
	*out = m;
	return true;
}

#include "lib/core/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "lib/adapters/map.h"
#include "lib/base/clock.h"
#include "lib/core/catalog.sql.h"
#include "lib/core/catalog_gateway.sql.h"
#include "lib/core/catalog_release.sql.h"
#include "lib/core/event.sql.h"
#include "lib/core/manifest.h"
#include "lib/core/trust.h"
#include "lib/core/trust.sql.h"
#include "lib/core/witness.sql.h"

const Sql *const catalog_migrations[] = { &SQL_MIGRATE_1, &SQL_MIGRATE_2, &SQL_MIGRATE_3,
	&SQL_MIGRATE_4, &SQL_MIGRATE_5, &SQL_MIGRATE_6, &SQL_MIGRATE_7 };
const int catalog_migrations_n = (int)LENGTH(catalog_migrations);

static const char *const states[] = {
	"none",
	"provisioning",
	"active",
	"suspended",
	"sealed",
	"purging",
};

const char *
tenant_state_name(TenantState s)
{
	return states[s];
}

static TenantState
tenant_state_of(const char *name)
{
	for (size_t i = 0; i < LENGTH(states); i++)
		if (strcmp(states[i], name) == 0)
			return (TenantState)i;
	return TENANT_NONE;
}

static const char *const layouts[] = {
	[LAYOUT_PLAIN] = "tables",
	[LAYOUT_WIDE] = "wide",
	[LAYOUT_VIEWS] = "views",
};

const char *
layout_name(Layout l)
{
	return layouts[l];
}

Layout
layout_of(const char *name)
{
	return name && strcmp(name, layouts[LAYOUT_VIEWS]) == 0 ? LAYOUT_VIEWS : LAYOUT_PLAIN;
}

/* --- objects ---------------------------------------------------------------- */

bool
catalog_object(Ctx *cx, Home *home, const char *kind, const char *name, char **spec, char **hash)
{
	LiteRows *rows;

	*spec = *hash = NULL;
	if (!lite_query(cx, home->db, &SQL_OBJECT_GET, &rows, "tt", kind, name))
		return false;
	if (lite_next(rows)) {
		*spec = lite_text(rows, 0);
		*hash = lite_text(rows, 1);
	}
	return lite_end(cx, rows);
}

bool
catalog_object_names(Ctx *cx, Home *home, const char *kind, Names *out)
{
	LiteRows *rows;
	Names names = { 0 };

	if (!lite_query(cx, home->db, &SQL_OBJECT_NAMES, &rows, "t", kind))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &names, lite_text(rows, 0));
	if (!lite_end(cx, rows))
		return false;
	*out = names;
	return true;
}

bool
catalog_object_hashes(Ctx *cx, Home *home, const char *kind, Map *name_to_hash)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_OBJECT_NAMES, &rows, "t", kind))
		return false;
	while (lite_next(rows))
		map_set(name_to_hash, lite_text(rows, 0), lite_text(rows, 1));
	return lite_end(cx, rows);
}

bool
catalog_object_put(
    Ctx *cx, Home *home, const char *kind, const char *name, const char *spec, const char *hash)
{
	return lite_do(cx, home->db, &SQL_OBJECT_PUT, "tttt", kind, name, spec, hash) &&
	    (strcmp(kind, "Tenant") != 0 || catalog_gateway_spec(cx, home, name, spec));
}

bool
catalog_object_remove(Ctx *cx, Home *home, const char *kind, const char *name)
{
	return lite_do(cx, home->db, &SQL_OBJECT_REMOVE, "tt", kind, name);
}

bool
catalog_not_found(Ctx *cx, const char *kind, const char *name, const Names *known)
{
	const char *near = nearest_word(name, known->at, known->n);

	return fail(cx, FAIL_NOT_FOUND,
	    near ? arena_printf(cx->mem, "Did you mean \"%s\"?", near)
		 : "Apply its manifest first: copyhold apply -f PATH.",
	    "there is no %s \"%s\"", kind, name);
}

typedef struct Loaded {
	const char *hash;
	void *cluster;
} Loaded;

/* A run asks for its few clusters some times a tenant: each is made of its text once. */
static bool
cluster_loaded(
    Ctx *cx, Home *home, const char *name, const char *spec, const char *hash, void **out)
{
	Loaded *known = map_get(home->clusters, name);
	Ctx keep = { .mem = home->mem, .fail = cx->fail };

	if (!known || strcmp(known->hash, hash) != 0) {
		Loaded fresh = { .hash = arena_dup(home->mem, hash) };
		if (!manifest_from_json(&keep, "Cluster", name, spec, &fresh.cluster))
			return false;
		known = arena_alloc(home->mem, sizeof *known);
		*known = fresh;
		map_set(home->clusters, name, known);
	}
	*out = known->cluster;
	return true;
}

/* What we made on a host is known by the certificate that it was made with. */
static bool
cluster_trusted(Ctx *cx, Home *home, Cluster *c)
{
	if (!c->on.host)
		return true;
	if (!c->connect.sslrootcert)
		c->connect.sslrootcert = trust_path(home->mem, home, c->name);
	return trust_write(cx, home, c->name);
}

bool
catalog_cluster(Ctx *cx, Home *home, const char *name, Cluster **out)
{
	char *spec, *hash;
	Names known;
	void *loaded;

	if (!catalog_object(cx, home, "Cluster", name, &spec, &hash))
		return false;
	if (!spec) {
		if (!catalog_object_names(cx, home, "Cluster", &known))
			return false;
		return catalog_not_found(cx, "cluster", name, &known);
	}
	if (!cluster_loaded(cx, home, name, spec, hash, &loaded) ||
	    !cluster_trusted(cx, home, loaded))
		return fail_in(cx, "reading the record of cluster \"%s\"", name);
	*out = loaded;
	return true;
}

bool
catalog_shape_put(Ctx *cx, Home *home, const Model *m, char **hash)
{
	char *body = model_canonical(cx->mem, m);

	*hash = sha256_hex(cx->mem, body, strlen(body));
	return lite_do(cx, home->db, &SQL_SHAPE_PUT, "tt", *hash, body);
}

bool
catalog_shape(Ctx *cx, Home *home, const char *hash, Model **out)
{
	LiteRows *rows;
	char *body = NULL;

	if (!lite_query(cx, home->db, &SQL_SHAPE_GET, &rows, "t", hash))
		return false;
	if (lite_next(rows))
		body = lite_text(rows, 0);
	if (!lite_end(cx, rows))
		return false;
	if (!body)
		return fail(cx, FAIL_CATALOG, "Restore the home from a backup.",
		    "the catalogue has no shape %.12s", hash);
	return model_from_json(cx, body, out);
}

/* --- tenants ---------------------------------------------------------------- */

static TenantRecord
tenant_row(LiteRows *rows)
{
	return (TenantRecord){
		.name = lite_text(rows, 0),
		.id = lite_text(rows, 1),
		.display = lite_text(rows, 2),
		.state = tenant_state_of(lite_text(rows, 3)),
		.mode = mode_of(lite_text(rows, 4)),
		.cluster = lite_text(rows, 5),
		.dbname = lite_text(rows, 6),
		.owner = lite_text(rows, 7),
		.model = lite_text(rows, 8),
		.model_version = lite_int(rows, 9),
		.shape = lite_text(rows, 10),
		.spec_hash = lite_text(rows, 11),
		.purge_after = lite_int(rows, 12),
		.changed_run = lite_int(rows, 13),
		.shared = lite_text(rows, 14),
		.layout = layout_of(lite_text(rows, 15)),
		.own_views = lite_int(rows, 16) != 0,
	};
}

bool
catalog_tenant_find(Ctx *cx, Home *home, const char *name, TenantRecord *out, bool *found)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_TENANT_GET, &rows, "t", name))
		return false;
	*found = lite_next(rows);
	if (*found)
		*out = tenant_row(rows);
	return lite_end(cx, rows);
}

bool
catalog_tenant(Ctx *cx, Home *home, const char *name, TenantRecord *out)
{
	TenantRecords all = { 0 };
	Names known = { 0 };
	bool found;

	if (!catalog_tenant_find(cx, home, name, out, &found))
		return false;
	if (found)
		return true;
	if (!catalog_tenants(cx, home, &all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		vec_push(cx->mem, &known, all.at[i].name);
	return catalog_not_found(cx, "tenant", name, &known);
}

bool
catalog_tenants(Ctx *cx, Home *home, TenantRecords *out)
{
	LiteRows *rows;
	TenantRecords all = { 0 };

	if (!lite_query(cx, home->db, &SQL_TENANT_LIST, &rows, ""))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, tenant_row(rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_tenant_put(Ctx *cx, Home *home, const TenantRecord *t)
{
	return lite_do(cx, home->db, &SQL_TENANT_PUT, "tttttttttittiitti", t->name, t->id,
	    t->display, tenant_state_name(t->state), mode_name(t->mode), t->cluster, t->dbname,
	    t->owner, t->model, t->model_version, t->shape, t->spec_hash, t->purge_after,
	    t->changed_run, t->shared, t->shared ? layout_name(t->layout) : NULL,
	    (int64_t)t->own_views);
}

bool
catalog_tenant_state(Ctx *cx, Home *home, const char *name, TenantState state, int64_t purge_after)
{
	return lite_do(
	    cx, home->db, &SQL_TENANT_STATE, "tti", name, tenant_state_name(state), purge_after);
}

bool
catalog_tenant_touch(Ctx *cx, Home *home, const char *name, int64_t run)
{
	return lite_do(cx, home->db, &SQL_TENANT_TOUCH, "ti", name, run);
}

bool
catalog_tenant_forget(Ctx *cx, Home *home, const char *name)
{
	return lite_do(cx, home->db, &SQL_ROUTE_REMOVE, "t", name) &&
	    lite_do(cx, home->db, &SQL_TENANT_FORGET, "t", name) &&
	    catalog_object_remove(cx, home, "Tenant", name) &&
	    lite_do(cx, home->db, &SQL_META_ADD, "t", arena_printf(cx->mem, "life/%s", name));
}

bool
catalog_tenants_on(Ctx *cx, Home *home, const char *cluster, int64_t *n)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_TENANTS_ON, &rows, "t", cluster))
		return false;
	if (lite_next(rows))
		*n = lite_int(rows, 0);
	return lite_end(cx, rows);
}

static bool
placement_logins(Ctx *cx, Home *home, Placement *p)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_LOGIN_LIST, &rows, "t", p->tenant))
		return false;
	while (lite_next(rows)) {
		Login login = {
			.user = lite_text(rows, 0),
			.role = lite_text(rows, 1),
			.read_only = strcmp(lite_text(rows, 2), "ro") == 0,
			.verifier = lite_text(rows, 3),
			.on = lite_int(rows, 4) != 0,
			.valid_until = lite_int(rows, 5),
			.max_conns = lite_int(rows, 6),
		};
		vec_push(cx->mem, &p->logins, login);
	}
	return lite_end(cx, rows);
}

bool
catalog_placement_of(Ctx *cx, Home *home, const TenantRecord *t, Placement **out)
{
	Placement *p = arena_alloc(cx->mem, sizeof *p);
	Cluster *cluster;

	if (!catalog_cluster(cx, home, t->cluster, &cluster))
		return fail_in(cx, "finding the place of tenant \"%s\"", t->name);
	*p = (Placement){
		.tenant = t->name,
		.id = t->id,
		.mode = t->mode,
		.cluster = cluster,
		.dbname = t->dbname,
		.owner = t->owner,
		.layout = t->layout,
		.schema = SCHEMA_APP,
		.scope = arena_printf(cx->mem, "tenant/%s", t->name),
	};
	if (t->shared)
		p->schema = arena_printf(cx->mem, SCHEMA_APP "_%s", t->id);
	if ((t->shared && !catalog_shared_of(cx, home, t->shared, cluster, &p->shared)) ||
	    (t->shared && t->layout == LAYOUT_VIEWS &&
		!catalog_slots(cx, home, t->name, &p->slots)) ||
	    !placement_logins(cx, home, p))
		return false;
	*out = p;
	return true;
}

bool
catalog_placement(Ctx *cx, Home *home, const char *tenant, Placement **out)
{
	TenantRecord t;

	return catalog_tenant(cx, home, tenant, &t) && catalog_placement_of(cx, home, &t, out);
}

static bool
holder_is_none(Ctx *cx, LiteRows *rows, const TenantRecord *t, const char *what, const char *name)
{
	const char *holder = lite_next(rows) ? lite_text(rows, 0) : NULL;

	if (!lite_end(cx, rows))
		return false;
	return !holder ||
	    fail(cx, FAIL_EXISTS, "Choose another name in the manifest.",
		"%s \"%s\" on cluster \"%s\" is that of tenant \"%s\" already", what, name,
		t->cluster, holder);
}

static bool
role_is_free(
    Ctx *cx, Home *home, const TenantRecord *t, const char *user, const char *role, bool login)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_ROLE_HOLDER, &rows, "tttti", t->cluster, role, t->name,
		   user, (int64_t)login) &&
	    holder_is_none(cx, rows, t, "role", role);
}

bool
catalog_place_free(Ctx *cx, Home *home, const TenantRecord *t, const Cluster *cluster,
    const char *user, const char *role)
{
	LiteRows *rows;

	if (t->mode != MODE_CUSTOMER_DB) /* elsewhere we make the names */
		return true;
	for (int i = 0; i < 2; i++) {
		const char *one = i ? t->owner : role;
		if (cluster && strcmp(one, cluster->connect.user) == 0)
			return fail(cx, FAIL_EXISTS, "Choose another name in the manifest.",
			    "role \"%s\" on cluster \"%s\" is our own login", one, t->cluster);
	}
	if (strcmp(role, t->owner) == 0)
		return fail(cx, FAIL_EXISTS, "Choose another name in the manifest.",
		    "role \"%s\" cannot be the owner and a login of tenant \"%s\"", role, t->name);
	return role_is_free(cx, home, t, user, role, true) &&
	    role_is_free(cx, home, t, "", t->owner, false) &&
	    lite_query(
		cx, home->db, &SQL_DATABASE_HOLDER, &rows, "ttt", t->cluster, t->dbname, t->name) &&
	    holder_is_none(cx, rows, t, "database", t->dbname);
}

/* --- logins ----------------------------------------------------------------- */

static SealPlace
login_place(const char *tenant, const char *user)
{
	return (SealPlace){ .tenant = tenant,
		.schema = "catalog",
		.table = "login",
		.column = "sealed",
		.key = user };
}

bool
catalog_login_on(Ctx *cx, Home *home, const char *tenant, const char *user, bool on)
{
	return lite_do(cx, home->db, &SQL_LOGIN_ON, "tti", tenant, user, (int64_t)on);
}

bool
catalog_login_limit(Ctx *cx, Home *home, const char *tenant, const char *user, int64_t valid_until,
    int64_t max_conns)
{
	return lite_do(
	    cx, home->db, &SQL_LOGIN_LIMIT, "ttii", tenant, user, valid_until, max_conns);
}

bool
catalog_login_remove(Ctx *cx, Home *home, const char *tenant, const char *user)
{
	return lite_do(cx, home->db, &SQL_LOGIN_REMOVE, "tt", tenant, user);
}

bool
catalog_login_password(Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out)
{
	SealPlace place = login_place(tenant, user);
	LiteRows *rows;
	Bytes sealed = { 0 };

	if (!lite_query(cx, home->db, &SQL_LOGIN_SEALED, &rows, "tt", tenant, user))
		return false;
	if (lite_next(rows))
		sealed = lite_bytes(rows, 0);
	if (!lite_end(cx, rows))
		return false;
	if (!sealed.at)
		return fail(cx, FAIL_NOT_FOUND, "See: copyhold login list.",
		    "tenant \"%s\" has no login \"%s\"", tenant, user);
	return home_unseal(cx, home, &place, sealed, out);
}

/* --- store secrets ---------------------------------------------------------- */

static SealPlace
secret_place(const char *name)
{
	return (
	    SealPlace){ .schema = "catalog", .table = "secret", .column = "sealed", .key = name };
}

bool
catalog_secret_put(Ctx *cx, Home *home, const char *name, const Secret *value)
{
	SealPlace place = secret_place(name);
	Bytes sealed;

	return home_seal(cx, home, &place, value, &sealed) &&
	    lite_do(cx, home->db, &SQL_SECRET_PUT, "tb", name, sealed);
}

bool
catalog_secret_get(Ctx *cx, Home *home, const char *name, Secret *out, bool *found)
{
	SealPlace place = secret_place(name);
	LiteRows *rows;
	Bytes sealed = { 0 };

	if (!lite_query(cx, home->db, &SQL_SECRET_GET, &rows, "t", name))
		return false;
	*found = lite_next(rows);
	if (*found)
		sealed = lite_bytes(rows, 0);
	if (!lite_end(cx, rows))
		return false;
	return !*found || home_unseal(cx, home, &place, sealed, out);
}

bool
catalog_secret_remove(Ctx *cx, Home *home, const char *name)
{
	return lite_do(cx, home->db, &SQL_SECRET_REMOVE, "t", name);
}

/* --- routes ----------------------------------------------------------------- */

static RouteRecord
route_row(LiteRows *rows)
{
	RouteRecord r = {
		.tenant = lite_text(rows, 0),
		.epoch = lite_int(rows, 1),
		.seq = lite_int(rows, 2),
		.state = lite_text(rows, 3),
		.cluster = lite_text(rows, 4),
		.dbname = lite_text(rows, 5),
		.parked_until = lite_int(rows, 6),
	};

	if (strcmp(r.state, "park") == 0 && r.parked_until <= clock_wall_ms()) {
		r.state = "open";
		r.parked_until = 0;
	}
	return r;
}

bool
catalog_route(Ctx *cx, Home *home, const char *tenant, RouteRecord *out, bool *found)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_ROUTE_GET, &rows, "t", tenant))
		return false;
	*found = lite_next(rows);
	if (*found)
		*out = route_row(rows);
	return lite_end(cx, rows);
}

bool
catalog_routes(Ctx *cx, Home *home, RouteRecords *out)
{
	LiteRows *rows;
	RouteRecords all = { 0 };

	if (!lite_query(cx, home->db, &SQL_ROUTE_LIST, &rows, ""))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, route_row(rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_route_set(Ctx *cx, Home *home, const char *tenant, int64_t fence, const char *state,
    const char *cluster, const char *dbname)
{
	return lite_do(cx, home->db, &SQL_ROUTE_LOG, "ti", tenant, fence) &&
	    lite_do(cx, home->db, &SQL_ROUTE_SET, "tttt", tenant, state, cluster, dbname);
}

/* --- meta ------------------------------------------------------------------- */

bool
catalog_meta(Ctx *cx, Home *home, const char *key, char **value)
{
	LiteRows *rows;

	*value = NULL;
	if (!lite_query(cx, home->db, &SQL_META_GET, &rows, "t", key))
		return false;
	if (lite_next(rows))
		*value = lite_text(rows, 0);
	return lite_end(cx, rows);
}

bool
catalog_meta_int(Ctx *cx, Home *home, const char *key, int64_t *value)
{
	char *text;

	if (!catalog_meta(cx, home, key, &text))
		return false;
	*value = text ? strtoll(text, NULL, 10) : 0;
	return true;
}

bool
catalog_serial(Ctx *cx, Home *home, int64_t *serial)
{
	return catalog_meta_int(cx, home, "serial", serial);
}

bool
catalog_serial_bump(Ctx *cx, Home *home)
{
	return lite_do(cx, home->db, &SQL_META_ADD, "t", "serial");
}

/* A restored home starts above what the targets have seen of the lost one. */
bool
catalog_fence_highest(Ctx *cx, Home *home, int64_t *out)
{
	LiteRows *rows;

	*out = 0;
	if (!lite_query(cx, home->db, &SQL_FENCE_MAX, &rows, ""))
		return false;
	if (lite_next(rows))
		*out = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
catalog_raise_floors(Ctx *cx, Home *home, int64_t seen)
{
	int64_t own;

	if (!catalog_fence_highest(cx, home, &own))
		return false;
	int64_t floor = (own > seen ? own : seen) + 1;
	return lite_do(cx, home->db, &SQL_META_PUT, "tt", "fence-floor",
		   arena_printf(cx->mem, "%lld", (long long)floor)) &&
	    lite_do(cx, home->db, &SQL_FENCE_RAISE, "i", floor) &&
	    lite_do(cx, home->db, &SQL_EPOCH_RAISE, "i", floor) &&
	    lite_do(cx, home->db, &SQL_EPOCH_FOLLOW, "");
}

bool
catalog_secret_names(Ctx *cx, Home *home, Names *out)
{
	LiteRows *rows;
	Names names = { 0 };

	if (!lite_query(cx, home->db, &SQL_SECRET_NAMES, &rows, ""))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &names, lite_text(rows, 0));
	if (!lite_end(cx, rows))
		return false;
	*out = names;
	return true;
}

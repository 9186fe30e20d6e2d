/*
 * shared.h - what the tests of mode shared share: a cluster made by its own
 * setup script, a shared database on it, tenants in it, and sessions as their
 * logins.
 */
#pragma once

#include "deployer/shared.h"
#include "deployer/view.h"
#include "lib/core/manifest.h"
#include "lib/core/wide.h"
#include "tests/pg/places.h"

typedef struct Room {
	Places		 p;
	Shared		 shared;
	Placement	*place;		/* of the shared database */
	const Model	*common;
	Model		*wide;
	PlaceWork	 work;		/* as the shared database was made */
	Steps		 made;
	Pg		*super;		/* in the shared database */
	int64_t		 run;
} Room;

static const PlaceDriver *const drivers[] = {
	&mode_shared, &mode_dedicated, &mode_customer_db, NULL
};

/* clang-format off */
/* Accounts and contacts of each other, an account of accounts. */
#define ROOM_OBJECTS \
"    - name: account\n" \
"      fields:\n" \
"        - {name: name, type: text, maxLength: 80, required: true}\n" \
"        - {name: email, type: text, maxLength: 100, unique: true}\n" \
"        - {name: note, type: text, maxLength: 200, indexed: true}\n" \
"        - {name: parent, type: reference, to: account, onDelete: restrict}\n" \
"        - {name: first, type: reference, to: contact, onDelete: restrict}\n" \
"    - name: contact\n" \
"      key: [number]\n" \
"      fields:\n" \
"        - {name: number, type: integer}\n" \
"        - {name: account, type: reference, to: account, required: true, onDelete: cascade}\n"
/* None of these two can be without the other. */
#define ROOM_CIRCLE \
"    - name: hen\n" \
"      key: [name]\n" \
"      fields:\n" \
"        - {name: name, type: text, maxLength: 20}\n" \
"        - {name: egg, type: reference, to: egg, required: true}\n" \
"    - name: egg\n" \
"      key: [name]\n" \
"      fields:\n" \
"        - {name: name, type: text, maxLength: 20}\n" \
"        - {name: hen, type: reference, to: hen, required: true}\n" \
"        - {name: next, type: reference, to: egg, required: true}\n"
/* clang-format on */

static inline const Model *
room_model(Room *r, const char *objects, int version)
{
	Ctx *cx = &r->p.cx;
	Manifests *m;
	char *text = arena_printf(cx->mem, "apiVersion: copyhold/v1\nkind: Model\n"
	    "metadata: {name: shop}\nspec:\n  version: %d\n  objects:\n%s", version, objects);

	must(&r->p, manifest_load_text(cx, "model.yaml", text, strlen(text), &m));
	return map_get(m->models, "shop");
}

static inline char *
room_hash(Room *r, const Model *m)
{
	char *hash;

	must(&r->p, lite_begin(&r->p.cx, r->p.home->db));
	must(&r->p, catalog_shape_put(&r->p.cx, r->p.home, m, &hash));
	must(&r->p, lite_commit(&r->p.cx, r->p.home->db));
	return hash;
}

static inline void
room_script(Room *r, const Cluster *cluster)
{
	Buf script = buf_new(r->p.cx.mem);

	must(&r->p, setup_cluster_script(&r->p.cx, r->p.home, cluster, &script));
	assert_null(strstr(script.text, "test-p4ssword"));
	psql_must(&r->p, "postgres", script.text);
}

static inline void
room_run(Room *r, const Placement *at, const Steps *steps)
{
	run_steps(&r->p, at, &r->p.vendor, steps, ++r->run);
}

static inline void
room_open(Room *r, const char *ops, const char *objects)
{
	static const char *const modes[] = { "shared", "dedicated" };
	Steps claim = { 0 };
	Changes changes = { 0 };

	*r = (Room){ .run = 1 };
	place_register(drivers);
	step_register(shape_kinds);
	places_open(&r->p);
	r->p.vendor = cluster_at("bj-1", ops, ops);
	r->p.vendor.modes = (Names){ (const char **)modes, 2, 2 };
	psql_must(&r->p, "postgres", arena_printf(r->p.cx.mem,
	    "DROP DATABASE IF EXISTS %s WITH (FORCE);\n", ops));
	room_script(r, &r->p.vendor);
	must(&r->p, cluster_claim_steps(&r->p.cx, &r->p.vendor, &claim));
	run_steps(&r->p, NULL, &r->p.vendor, &claim, 1);
	r->shared = (Shared){ .name = "bj-1/shop", .id = random_name(r->p.cx.mem, 12),
		.cluster = &r->p.vendor, .model = "shop" };
	place_shared_names(r->p.cx.mem, &r->shared);
	r->place = place_of_shared(r->p.cx.mem, &r->shared);
	r->common = room_model(r, objects, 1);
	must(&r->p, wide_model(&r->p.cx, r->common, NULL, &r->wide));
	r->work = (PlaceWork){ .desired = r->wide, .shape = room_hash(r, r->wide),
		.common = r->common, .common_shape = room_hash(r, r->common), .wide = r->wide,
		.layout = LAYOUT_WIDE };
	must(&r->p, mode_shared.shared_steps(&r->p.cx, r->place, &r->work, &changes, &r->made));
	room_run(r, r->place, &r->made);
	r->super = super_open(&r->p, r->shared.dbname);
}

/* A superuser's session is not ours to end. */
static inline void
room_close(Room *r)
{
	Steps gone = { 0 };

	pg_close(r->super);
	while (strcmp(one_value(&r->p, r->p.super, arena_printf(r->p.cx.mem,
	    "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND usename = session_user",
	    r->shared.dbname)), "0") != 0)
		lane_sleep(10);
	must(&r->p, mode_shared.shared_drop_steps(&r->p.cx, r->place, &gone));
	room_run(r, r->place, &gone);
	arena_free(r->p.cx.mem);
}

/* --- tenants -------------------------------------------------------------------------- */

static inline char *
room_password(Room *r, const Placement *at)
{
	return arena_printf(r->p.cx.mem, "p4ss of %s", at->tenant);
}

static inline Placement *
room_place(Room *r, const char *tenant, Layout layout)
{
	Placement *at = arena_alloc(r->p.cx.mem, sizeof *at);
	Tenant spec = { .name = tenant, .mode = MODE_SHARED };

	*at = (Placement){ .mode = MODE_SHARED, .cluster = &r->p.vendor, .shared = &r->shared,
		.layout = layout };
	place_names(r->p.cx.mem, at, &spec);
	vec_push(r->p.cx.mem, &at->logins,
	    new_login(&r->p, at, "app", room_password(r, at)));
	return at;
}

static inline PlaceWork
room_work(Room *r, const Placement *at, const Model *desired)
{
	return (PlaceWork){ .desired = desired, .shape = room_hash(r, desired),
		.common_was = r->common, .common = r->common, .common_shape = r->work.common_shape,
		.wide = r->wide, .layout = at->layout, .slots = at->slots };
}

static inline Steps
room_steps(Room *r, const Placement *at, const PlaceWork *work, Changes *changes)
{
	Steps steps = { 0 };

	must(&r->p, mode_shared.steps(&r->p.cx, at, work, changes, &steps));
	return steps;
}

static inline Steps
room_join(Room *r, const Placement *at, const Model *desired)
{
	PlaceWork work = room_work(r, at, desired);
	Changes changes = { 0 };
	Steps steps = room_steps(r, at, &work, &changes);

	room_run(r, at, &steps);
	return steps;
}

static inline Placement *
room_tenant(Room *r, const char *tenant)
{
	Placement *at = room_place(r, tenant, LAYOUT_VIEWS);

	room_join(r, at, r->common);
	return at;
}

/* What a plan would say of the tenant now; its steps are run if there are any. */
static inline Changes
room_look(Room *r, const Placement *at, const Model *model, Steps *steps)
{
	PlaceWork work = room_work(r, at, model);
	Items seen = { 0 };
	Changes changes = { 0 };

	work.recorded = model;
	work.observed = &seen;
	must(&r->p, mode_shared.observe(&r->p.cx, r->p.conns, at, &seen));
	*steps = room_steps(r, at, &work, &changes);
	return changes;
}

static inline void
room_same(Room *r, const Placement *at, const Model *model)
{
	Steps steps;
	Changes changes = room_look(r, at, model, &steps);

	for (size_t i = 0; i < changes.n; i++)
		fprintf(stderr, "%s %s: %s -> %s\n", changes.at[i].what, changes.at[i].name,
		    changes.at[i].from, changes.at[i].to);
	assert_int_equal(changes.n, 0);
	assert_int_equal(steps.n, 0);
}

static inline void
room_purge(Room *r, const Placement *at)
{
	Steps steps = { 0 };

	must(&r->p, mode_shared.suspend_steps(&r->p.cx, at, &steps));
	must(&r->p, mode_shared.purge_steps(&r->p.cx, at, false, &steps));
	room_run(r, at, &steps);
}

/* --- sessions --------------------------------------------------------------------------- */

static inline Pg *
room_login(Room *r, const Placement *at, size_t login, const char *password)
{
	Secret s = secret_new(r->p.cx.mem, password, strlen(password));
	Pg *pg;

	must(&r->p, login_session(&r->p.cx, at, &at->logins.at[login], &s, &pg));
	must(&r->p, session_settings(&r->p.cx, pg, at));
	return pg;
}

static inline Pg *
room_app(Room *r, const Placement *at)
{
	return room_login(r, at, 0, room_password(r, at));
}

/* As an application: nothing but the server's own settings of the role. */
static inline ProcResult
room_tool(Room *r, const Placement *at, size_t login, const char *password, const char *text,
    bool stop)
{
	const char *env[] = { arena_printf(r->p.cx.mem, "PGPASSWORD=%s", password),
	    arena_printf(r->p.cx.mem, "PGUSER=%s", at->logins.at[login].role), "PGHOST=127.0.0.1",
	    arena_printf(r->p.cx.mem, "PGPORT=%d", test_port()),
	    arena_printf(r->p.cx.mem, "PGDATABASE=%s", at->dbname), NULL };
	const char *argv[] = { "psql", "-XqAt", "-v", stop ? "ON_ERROR_STOP=1" : "ON_ERROR_STOP=0",
		NULL };
	ProcSpec spec = { .argv = argv, .env_add = env, .input = text, .input_len = strlen(text) };
	ProcResult result;

	must(&r->p, proc_run(&r->p.cx, &spec, &result));
	return result;
}

static inline char *
room_psql_as(Room *r, const Placement *at, size_t login, const char *password, const char *text)
{
	ProcResult result = room_tool(r, at, login, password, text, true);

	if (result.exit_code != 0)
		fprintf(stderr, "%s", result.err);
	assert_int_equal(result.exit_code, 0);
	return result.out;
}

static inline char *
room_refusals(Room *r, const Placement *at, const char *text)
{
	return room_tool(r, at, 0, room_password(r, at), text, false).err;
}

static inline char *
room_psql(Room *r, const Placement *at, const char *text)
{
	return room_psql_as(r, at, 0, room_password(r, at), text);
}

static inline int
room_count(Room *r, const char *text)
{
	return (int)strtol(one_value(&r->p, r->super, text), NULL, 10);
}

static inline int
rows_of(Room *r, const Placement *at, const char *table)
{
	return room_count(r, arena_printf(r->p.cx.mem,
	    "SELECT count(*) FROM wide.%s WHERE _tenant = '%s'", table, at->id));
}

static inline int
roles_of(Room *r, const Placement *at)
{
	return room_count(r, arena_printf(r->p.cx.mem,
	    "SELECT count(*) FROM pg_roles WHERE rolname LIKE 't_%s%%'", at->id));
}

/* %o owner, %k keeper, %w writers, %r readers, %d database, %l the tenant's login, %s its schema */
static inline char *
room_fill(Room *r, const Placement *at, const char *text)
{
	Buf b = buf_new(r->p.cx.mem);

	for (; *text; text++) {
		if (*text != '%') {
			buf_addc(&b, *text);
			continue;
		}
		switch (*++text) {
		case 'o': buf_add(&b, r->shared.owner); break;
		case 'k': buf_add(&b, r->shared.keeper); break;
		case 'w': buf_add(&b, r->shared.writers); break;
		case 'r': buf_add(&b, r->shared.readers); break;
		case 'd': buf_add(&b, r->shared.dbname); break;
		case 'l': buf_add(&b, at->logins.at[0].role); break;
		case 's': buf_add(&b, at->schema); break;
		default: buf_addc(&b, *text); break;
		}
	}
	return b.text;
}

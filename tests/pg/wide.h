/*
 * wide.h - what the tests of shared databases share: one of them, made as mode
 * shared makes it, tenants with logins in it, and models with spare columns.
 */
#pragma once

#include "deployer/view.h"
#include "lib/core/wide.h"
#include "tests/pg/shape.h"

#define WIDE_ID	 "abcdefghijkl"
#define WIDE_DB	 "s_" WIDE_ID
#define TENANTS	 2

typedef struct Wide {
	Shape		 s;		/* s.at: the shared database as a placement */
	Shared		 shared;
	Placement	 tenants[TENANTS];	/* of LAYOUT_VIEWS */
} Wide;

static const char *const tenant_ids[TENANTS] = { "aaaaaaaaaaaa", "bbbbbbbbbbbb" };

static inline void
wide_roles(Wide *w, Buf *b)
{
	const Shared *s = &w->shared;

	buf_fmt(b, "CREATE ROLE %s NOLOGIN; CREATE ROLE %s NOLOGIN; CREATE ROLE %s NOLOGIN; "
	    "CREATE ROLE %s NOLOGIN; CREATE ROLE wide_us LOGIN PASSWORD 'test-p4ssword'; "
	    "GRANT %s, %s TO wide_us;\n",
	    s->owner, s->keeper, s->writers, s->readers, s->owner, s->keeper);
	for (size_t i = 0; i < TENANTS; i++)
		for (size_t k = 0; k < w->tenants[i].logins.n; k++) {
			const Login *l = &w->tenants[i].logins.at[k];

			buf_fmt(b, "CREATE ROLE %s LOGIN; GRANT %s TO %s;\n", l->role,
			    l->read_only ? s->readers : s->writers, l->role);
		}
}

static inline void
wide_drop(Wide *w)
{
	psql_must(&w->s.p, "postgres", "DROP DATABASE IF EXISTS " WIDE_DB " WITH (FORCE);\n"
	    "SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname ~ '^(s_" WIDE_ID
	    "_.|t_(a{12}|b{12})_.*|wide_us)$' \\gexec\n");
}

static inline void
wide_fresh(Wide *w)
{
	Shape *s = &w->s;
	Buf b = buf_new(s->p.cx.mem);

	fail_clear(&s->p.cx);
	if (s->super != NULL)
		pg_close(s->super);
	conns_drop(s->p.conns, &s->cluster, WIDE_DB);
	wide_drop(w);
	wide_roles(w, &b);
	buf_fmt(&b, "CREATE DATABASE " WIDE_DB " OWNER %s;\n"
	    "REVOKE ALL ON DATABASE " WIDE_DB " FROM PUBLIC;\n"
	    "GRANT CONNECT ON DATABASE " WIDE_DB " TO wide_us, %s, %s;\n"
	    "ALTER DATABASE " WIDE_DB " SET search_path = 'app';\n"
	    "\\connect " WIDE_DB "\nREVOKE ALL ON SCHEMA public FROM PUBLIC;\n"
	    "REVOKE ALL ON pg_roles, pg_database, pg_locks FROM PUBLIC;\n"
	    "GRANT SELECT ON pg_roles, pg_database, pg_locks TO wide_us;\n"
	    "REVOKE ALL ON FUNCTION pg_relation_size(regclass), pg_relation_size(regclass, text), "
	    "pg_total_relation_size(regclass), pg_try_advisory_lock(bigint), "
	    "pg_advisory_unlock(bigint) FROM PUBLIC;\n"
	    "GRANT EXECUTE ON FUNCTION pg_relation_size(regclass), "
	    "pg_relation_size(regclass, text), pg_total_relation_size(regclass), "
	    "pg_try_advisory_lock(bigint), pg_advisory_unlock(bigint) TO wide_us;\n",
	    w->shared.owner, w->shared.writers, w->shared.readers);
	psql_must(&s->p, "postgres", b.text);
	s->super = super_open(&s->p, WIDE_DB);
}

static inline void
wide_clean(Wide *w)
{
	fail_clear(&w->s.p.cx);
	must(&w->s.p, pg_script(&w->s.p.cx, w->s.super, "RESET ROLE; RESET SESSION AUTHORIZATION; "
	    "DO $$ DECLARE n name; BEGIN FOR n IN SELECT nspname FROM pg_namespace WHERE nspname ~ "
	    "'^(app(_.*)?|wide|copyhold)$' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', n); "
	    "END LOOP; END $$"));
}

static inline void
wide_tenant(Wide *w, size_t i)
{
	Arena *mem = w->s.p.cx.mem;
	const Tenant spec = { .name = i == 0 ? "acme" : "bolt", .mode = MODE_SHARED };
	Placement *at = &w->tenants[i];

	*at = (Placement){ .mode = MODE_SHARED, .cluster = &w->s.cluster, .id = tenant_ids[i],
		.layout = LAYOUT_VIEWS, .shared = &w->shared };
	place_names(mem, at, &spec);
	for (size_t k = 0; k < 2; k++) {
		Login l = { .user = k == 0 ? "app" : "reader", .read_only = k == 1, .on = true };

		l.role = place_login_role(mem, at, l.user);
		vec_push(mem, &at->logins, l);
	}
}

static inline void
wide_open(Wide *w)
{
	Shape *s = &w->s;

	*w = (Wide){ .s = { .run = 1 } };
	places_open(&s->p);
	s->cluster = cluster_at("bj-1", "wide_us", WIDE_DB);
	w->shared = (Shared){ .name = "bj-1/shop", .id = WIDE_ID, .cluster = &s->cluster,
		.model = "shop" };
	place_shared_names(s->p.cx.mem, &w->shared);
	s->at = *place_of_shared(s->p.cx.mem, &w->shared);
	for (size_t i = 0; i < TENANTS; i++)
		wide_tenant(w, i);
	wide_fresh(w);
}

static inline void
wide_close(Wide *w)
{
	pg_close(w->s.super);
	conns_drop(w->s.p.conns, &w->s.cluster, WIDE_DB);
	wide_drop(w);
	arena_free(w->s.p.cx.mem);
}

/* --- what stands, what is planned -------------------------------------------------- */

static inline Items
wide_seen(Wide *w)
{
	Shape *s = &w->s;
	Items items = { 0 };
	Pg *pg;

	must(&s->p, place_session(&s->p.cx, s->p.conns, &s->at, &pg));
	must(&s->p, shape_observe(&s->p.cx, pg, &s->at, &items));
	must(&s->p, view_observe(&s->p.cx, pg, SCHEMA_APP, &items));
	items_sort(&items);
	return items;
}

static inline const Model *
wide_of(Wide *w, const Model *common, const Model *recorded)
{
	Model *m;

	must(&w->s.p, wide_model(&w->s.p.cx, common, recorded, &m));
	return m;
}

static inline void
wide_is(Wide *w, const Model *common, const Model *wide)
{
	Shape *s = &w->s;
	Items seen = wide_seen(w), want = { 0 };
	Views views = { 0 };

	must(&s->p, shape_expected(&s->p.cx, &s->at, wide, &want));
	must(&s->p, view_common(&s->p.cx, &w->shared, common, &views));
	view_items(s->p.cx.mem, s->at.owner, &views, &want);
	items_sort(&want);
	same_lines(items_text(s->p.cx.mem, &seen), items_text(s->p.cx.mem, &want));
}

/* `was` NULL: the database's first model. */
static inline bool
wide_plan_with(Wide *w, const Model *was, const Model *wide_was, const Model *common,
    const Model *wide, bool prune, Planned *out)
{
	Shape *s = &w->s;
	char *hash;

	*out = (Planned){ .before = wide_seen(w) };
	must(&s->p, catalog_shape_put(&s->p.cx, s->p.home, wide, &hash));
	PlaceWork work = { .recorded = wide_was, .desired = wide, .shape = hash,
		.observed = was == NULL ? NULL : &out->before, .prune = prune,
		.common_was = was, .common = common };
	return shared_tables_steps(&s->p.cx, &s->at, &work, &out->changes, &out->steps);
}

static inline Planned
wide_plan(Wide *w, const Model *was, const Model *wide_was, const Model *common,
    const Model *wide, bool prune)
{
	Planned p;

	must(&w->s.p, wide_plan_with(w, was, wide_was, common, wide, prune, &p));
	return p;
}

static inline const Model *
wide_create(Wide *w, const Model *common)
{
	const Model *wide = wide_of(w, common, NULL);
	Planned p = wide_plan(w, NULL, NULL, common, wide, false);
	size_t done;

	must(&w->s.p, shape_run(&w->s, &p.steps, &done));
	return wide;
}

/* --- as the tenants ------------------------------------------------------------------- */

/* A session that logged in as the tenant's login; the server lets the superuser pretend it. */
static inline void
wide_as(Wide *w, size_t tenant, bool reader)
{
	Buf b = buf_new(w->s.p.cx.mem);

	buf_add(&b, "RESET ROLE; SET SESSION AUTHORIZATION ");
	buf_ident(&b, w->tenants[tenant].logins.at[reader].role);
	buf_add(&b, "; SET search_path = ");
	buf_ident(&b, w->tenants[tenant].schema);
	buf_add(&b, ", app");
	must(&w->s.p, pg_script(&w->s.p.cx, w->s.super, b.text));
}

static inline void
wide_sql(Wide *w, size_t tenant, const char *text)
{
	wide_as(w, tenant, false);
	shape_sql(&w->s, text);
	shape_sql(&w->s, "RESET SESSION AUTHORIZATION; RESET search_path");
}

static inline char *
wide_value(Wide *w, size_t tenant, const char *text)
{
	wide_as(w, tenant, false);
	char *value = shape_value(&w->s, text);

	shape_sql(&w->s, "RESET SESSION AUTHORIZATION; RESET search_path");
	return value;
}

/* The SQLSTATE that the tenant is answered with. */
static inline const char *
wide_state(Wide *w, size_t tenant, const char *text)
{
	wide_as(w, tenant, false);
	const char *state = sqlstate_of(&w->s.p, w->s.super, text);

	shape_sql(&w->s, "RESET SESSION AUTHORIZATION; RESET search_path");
	return state;
}

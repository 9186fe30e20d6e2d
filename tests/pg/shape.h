/*
 * shape.h - what the tests of shape share: a tenant's database of its own, models
 * as manifests, and steps run as the engine runs them.
 */
#pragma once

#include "lib/core/manifest.h"
#include "tests/pg/places.h"

#define SHAPE_DB "shape_test"

typedef struct Shape {
	Places		 p;
	Placement	 at;
	Cluster		 cluster;
	int64_t		 run;
	Pg		*super;		/* in the tenant's database */
} Shape;

/* Fresh rights and an empty database, as a customer's administrator leaves them. */
static inline void
shape_fresh(Shape *s)
{
	static const char *const roles[] = { "shape_us", "shape_owner", "shape_app", "shape_reader" };
	Buf b = buf_new(s->p.cx.mem);

	fail_clear(&s->p.cx);
	if (s->super != NULL)
		pg_close(s->super);
	conns_drop(s->p.conns, &s->cluster, SHAPE_DB);
	buf_add(&b, "DROP DATABASE IF EXISTS " SHAPE_DB " WITH (FORCE);\n");
	for (size_t i = 0; i < LENGTH(roles); i++)
		buf_fmt(&b, "DROP ROLE IF EXISTS %s;\n", roles[i]);
	buf_add(&b, "CREATE ROLE shape_owner NOLOGIN; CREATE ROLE shape_app LOGIN; "
	    "CREATE ROLE shape_reader LOGIN; CREATE ROLE shape_us LOGIN PASSWORD 'test-p4ssword';\n"
	    "GRANT shape_owner, shape_app, shape_reader TO shape_us;\n"
	    "CREATE DATABASE " SHAPE_DB " OWNER shape_owner;\n"
	    "REVOKE ALL ON DATABASE " SHAPE_DB " FROM PUBLIC;\n"
	    "GRANT CONNECT ON DATABASE " SHAPE_DB " TO shape_us, shape_app, shape_reader;\n"
	    "\\connect " SHAPE_DB "\nREVOKE ALL ON SCHEMA public FROM PUBLIC;\n"
	    /* as in a hardened copy: for our login, neither for owners nor for tenants */
	    "REVOKE ALL ON pg_roles, pg_database, pg_locks FROM PUBLIC;\n"
	    "GRANT SELECT ON pg_roles, pg_database, pg_locks TO shape_us;\n"
	    "REVOKE ALL ON FUNCTION pg_relation_size(regclass), pg_relation_size(regclass, text), "
	    "pg_total_relation_size(regclass), pg_try_advisory_lock(bigint), pg_advisory_unlock(bigint) "
	    "FROM PUBLIC;\n"
	    "GRANT EXECUTE ON FUNCTION pg_relation_size(regclass), pg_relation_size(regclass, text), "
	    "pg_total_relation_size(regclass), pg_try_advisory_lock(bigint), pg_advisory_unlock(bigint) "
	    "TO shape_us;\n");
	if (pg_version(s->p.super) < 150000)
		buf_add(&b, "ALTER SCHEMA public OWNER TO shape_owner;\n");
	psql_must(&s->p, "postgres", b.text);
	s->super = super_open(&s->p, SHAPE_DB);
}

/* The same, faster, where nothing was done outside of our schemas. */
static inline void
shape_clean(Shape *s)
{
	fail_clear(&s->p.cx);
	must(&s->p, pg_script(&s->p.cx, s->super, "DROP SCHEMA IF EXISTS app, copyhold CASCADE"));
}

static inline void
shape_open(Shape *s)
{
	static Login logins[] = {
		{ .user = "app", .role = "shape_app", .on = true },
		{ .user = "reader", .role = "shape_reader", .read_only = true, .on = true },
	};

	*s = (Shape){ .run = 1 };
	places_open(&s->p);
	s->cluster = cluster_at("bj-1", "shape_us", SHAPE_DB);
	s->at = (Placement){ .tenant = "acme", .id = "abcdefghijkl", .mode = MODE_CUSTOMER_DB,
		.cluster = &s->cluster, .dbname = SHAPE_DB, .owner = "shape_owner",
		.schema = SCHEMA_APP, .scope = "tenant/acme", .logins = { logins, 2, 2 } };
	shape_fresh(s);
}

static inline void
shape_close(Shape *s)
{
	pg_close(s->super);
	conns_drop(s->p.conns, &s->cluster, SHAPE_DB);
	psql(&s->p, "postgres", "DROP DATABASE IF EXISTS " SHAPE_DB " WITH (FORCE);\n"
	    "DROP ROLE IF EXISTS shape_us, shape_owner, shape_app, shape_reader;\n");
	arena_free(s->p.cx.mem);
}

/* A model from the lines below `objects:`. */
static inline const Model *
shape_model(Shape *s, const char *objects)
{
	Ctx *cx = &s->p.cx;
	Manifests *m;
	char *text = arena_printf(cx->mem, "apiVersion: copyhold/v1\nkind: Model\n"
	    "metadata: {name: shop}\nspec:\n  version: 1\n  objects:\n%s", objects);

	must(&s->p, manifest_load_text(cx, "model.yaml", text, strlen(text), &m));
	return map_get(m->models, "shop");
}

static inline Items
shape_seen(Shape *s)
{
	Items items = {0};
	Pg *pg;

	must(&s->p, place_session(&s->p.cx, s->p.conns, &s->at, &pg));
	must(&s->p, shape_observe(&s->p.cx, pg, &s->at, &items));
	return items;
}

static inline char *
items_text(Arena *mem, const Items *items)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < items->n; i++)
		buf_fmt(&b, "%s | %s | %s | %s\n", item_kind_name((ItemKind)items->at[i].kind),
		    items->at[i].object, items->at[i].name, items->at[i].def);
	return b.text;
}

/* The first lines that differ, for whoever reads the test's output. */
static inline void
same_lines(const char *seen, const char *wanted)
{
	const char *a = seen, *b = wanted;

	while (*a != '\0' && *a == *b)
		a++, b++;
	if (*a == *b)
		return;
	while (a > seen && a[-1] != '\n')
		a--, b--;
	print_error("seen:   %.300s\nwanted: %.300s\n", a, b);
	assert_true(false);
}

static inline void
shape_is(Shape *s, const Model *m)
{
	Items seen = shape_seen(s), wanted = {0};

	must(&s->p, shape_expected(&s->p.cx, &s->at, m, &wanted));
	same_lines(items_text(s->p.cx.mem, &seen), items_text(s->p.cx.mem, &wanted));
}

static inline StepEnv
shape_env(Shape *s, const Step *step)
{
	return (StepEnv){ .home = s->p.home, .run = s->run, .fence = 10 + s->run, .step = step,
		.at = &s->at, .cluster = &s->cluster, .conns = s->p.conns };
}

static inline const StepKind *
shape_kind(const Step *step)
{
	const StepKind *k = shape_kinds;

	while (k->name != NULL && strcmp(k->name, step->kind) != 0)
		k++;
	assert_non_null(k->name);
	return k;
}

/* As the engine: all guards, then each act; false with what failed. */
static inline bool
shape_run(Shape *s, const Steps *steps, size_t *done)
{
	Ctx *cx = &s->p.cx;

	s->run++;
	*done = 0;
	for (size_t i = 0; i < steps->n; i++) {
		StepEnv env = shape_env(s, &steps->at[i]);
		const StepKind *k = shape_kind(&steps->at[i]);

		if (k->guard != NULL && !k->guard(cx, &env))
			return false;
	}
	for (; *done < steps->n; ++*done) {
		StepEnv env = shape_env(s, &steps->at[*done]);
		const StepKind *k = shape_kind(&steps->at[*done]);
		Probe probe = PROBE_UNDECIDABLE;

		if (k->act == NULL)
			continue;
		must(&s->p, k->probe(cx, &env, &probe));
		assert_int_equal(probe, PROBE_NOT_DONE);
		if (!k->act(cx, &env))
			return false;
		must(&s->p, k->probe(cx, &env, &probe));
		assert_int_equal(probe, PROBE_DONE);
		must(&s->p, k->act(cx, &env));	/* again: nothing happens */
	}
	return true;
}

static inline bool
shape_undo(Shape *s, const Steps *steps, size_t done)
{
	for (size_t i = done; i-- > 0;) {
		StepEnv env = shape_env(s, &steps->at[i]);
		const StepKind *k = shape_kind(&steps->at[i]);
		Probe probe = PROBE_UNDECIDABLE;

		if (k->undo == NULL || !k->undo(&s->p.cx, &env))
			return false;
		must(&s->p, k->probe(&s->p.cx, &env, &probe));
		if (!js_get_bool(env.step->args, "drift", false))
			assert_int_equal(probe, PROBE_NOT_DONE);
		must(&s->p, k->undo(&s->p.cx, &env));	/* again: nothing happens */
	}
	return true;
}

static inline Steps
shape_create_plan(Shape *s, const Model *m)
{
	Changes changes = {0};
	Steps steps = {0};
	char *hash;

	must(&s->p, catalog_shape_put(&s->p.cx, s->p.home, m, &hash));
	PlaceWork work = { .desired = m, .shape = hash };
	must(&s->p, shape_create_steps(&s->p.cx, &s->at, &work, &changes, &steps));
	return steps;
}

static inline void
shape_create(Shape *s, const Model *m)
{
	Steps steps = shape_create_plan(s, m);
	size_t done;

	must(&s->p, shape_run(s, &steps, &done));
}

typedef struct Planned {
	Changes	 changes;
	Steps	 steps;
	Items	 before;
} Planned;

static inline bool
shape_plan_with(Shape *s, const Model *from, const Model *to, bool look, bool prune, Planned *out)
{
	*out = (Planned){ .before = shape_seen(s) };
	PlaceWork work = { .recorded = from, .desired = to, .shape = "unused",
		.observed = look ? &out->before : NULL, .prune = prune };

	return shape_change_steps(&s->p.cx, &s->at, &work, &out->changes, &out->steps);
}

static inline Planned
shape_plan(Shape *s, const Model *from, const Model *to)
{
	Planned p;

	must(&s->p, shape_plan_with(s, from, to, true, false, &p));
	return p;
}

static inline char *
changes_text(Arena *mem, const Changes *changes)
{
	static const char signs[] = { '+', '~', '-', '>' };
	Buf b = buf_new(mem);

	for (size_t i = 0; i < changes->n; i++) {
		const Change *c = &changes->at[i];

		buf_fmt(&b, "%c %s %s: %s -> %s%s%s%s%s%s%s\n", signs[c->op], c->what, c->name,
		    c->from == NULL ? "-" : c->from, c->to == NULL ? "-" : c->to,
		    c->drift ? " drift" : "", c->data_bearing ? " data" : "", c->kept ? " kept" : "",
		    c->note == NULL ? "" : " (", c->note == NULL ? "" : c->note,
		    c->note == NULL ? "" : ")");
	}
	return b.text;
}

static inline char *
steps_text(Arena *mem, const Steps *steps)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < steps->n; i++)
		buf_fmt(&b, "%s: %s\n", steps->at[i].kind, steps->at[i].title);
	return b.text;
}

static inline void
shape_sql(Shape *s, const char *text)
{
	if (text != NULL)
		must(&s->p, pg_script(&s->p.cx, s->super, text));
}

static inline char *
shape_value(Shape *s, const char *text)
{
	return one_value(&s->p, s->super, text);
}

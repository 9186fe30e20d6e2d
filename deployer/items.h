/*
 * items.h - what a tenant's place on plain tables consists of, as items
 * (lib/core/place.h), and the sessions in which it is changed.
 *
 * Shared by shape.c (tables and what hangs on them), roles.c (roles, their
 * settings, the database) and the modes that combine them.  The order of the
 * kinds is the order of creation; removal goes the other way.
 */
#pragma once

#include "lib/core/place.h"

#define TENANT_SCHEMA SCHEMA_APP
#define LEDGER_SCHEMA "copyhold"	/* fence, applied; in each tenant database and each vendor cluster's own */

typedef enum ItemKind {
	ITEM_ROLE,		/* object: role, name "", def "login" / "nologin" and attributes */
	ITEM_SETTING,		/* object: role, name: "search_path", def: value */
	ITEM_MEMBER,		/* object: role, name: member */
	ITEM_DATABASE,		/* object: database, def: owner, connections allowed */
	ITEM_DATABASE_GRANT,	/* object: database, name: grantee, def: privileges sorted */
	ITEM_SCHEMA,		/* object: schema, def: owner */
	ITEM_SCHEMA_GRANT,
	ITEM_TABLE,		/* object: table, def: owner and persistence */
	ITEM_COLUMN,		/* object: table, name: column, def: type */
	ITEM_DEFAULT,
	ITEM_NOT_NULL,
	ITEM_CONSTRAINT,	/* primary key, unique, check, foreign key: def as normalised text, "invalid" when so */
	ITEM_INDEX,
	ITEM_GRANT,		/* object: table (of a view "app.account"), name: grantee, def: privileges sorted */
	ITEM_ROW_SECURITY,	/* wide tables.  object: table, def: "enabled, forced" */
	ITEM_POLICY,		/* object: table, name: policy, def: what follows ON in its CREATE POLICY */
	ITEM_STATISTICS,	/* object: table, name: column, def: the target */
	ITEM_STORAGE,		/* object: table, def: its parameters, sorted */
	ITEM_VIEW,		/* object: "app.account", def: owner, table and columns (view.h) */
	ITEM_STRANGE,		/* anything that should not be there: trigger, rule, policy, function, view, schema... */
	ITEM_KINDS
} ItemKind;

const char	*item_kind_name(ItemKind k);
ItemKind	 item_kind_of(const char *name);	/* ITEM_KINDS if unknown */

/* The tenant's database as our own login, search_path='' (observing), and with SET ROLE owner (changing). */
bool	 place_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out);
bool	 owner_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out);
void	 owner_session_end(Pg *pg);	/* RESET ROLE */
bool	 cluster_session(Ctx *cx, Conns *conns, const Cluster *cluster, Pg **out);	/* the cluster's own database */
/* A connection of its own with the rights of the tenant's first writing login: rows are loaded in it. */
bool	 data_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out);
/* The same in a shared database: logged in as that login, with its sealed password; belongs to cx->mem. */
bool	 login_data_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out);
bool	 session_settings(Ctx *cx, Pg *pg, const Placement *at);	/* search_path and so on, as the login's own sessions have them */
/* As the login itself, belonging to cx->mem; and whether its password is still the one that we know. */
bool	 login_session(Ctx *cx, const Placement *at, const Login *login, const Secret *password, Pg **out);
bool	 login_password_ok(Ctx *cx, const Placement *at, const Login *login, const Secret *password, bool *ok);

/* --- shape.c: inside the tenant's database ---------------------------------
 *
 * Of at->layout LAYOUT_PLAIN (a tenant's own tables, in a shared database too) and LAYOUT_WIDE.  In a
 * shared database a tenant's look sees its own schema alone; what is strange elsewhere, and the ledger,
 * are the wide placement's. */

bool	 shape_expected(Ctx *cx, const Placement *at, const Model *m, Items *out);
bool	 shape_observe(Ctx *cx, Pg *pg, const Placement *at, Items *out);
bool	 shape_create_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps);
bool	 shape_change_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps);
/* Schema copyhold with its tables, where missing; belongs to who the session is. */
bool	 ledger_schema_create(Ctx *cx, Pg *pg);
extern const StepKind shape_kinds[];	/* shape.create shape.change index.build constraint.validate shape.drop ... */

/* --- roles.c: roles, settings, database (dedicated); what the customer granted (customer-db) --- */

bool	 roles_expected(Ctx *cx, const Placement *at, Items *out);
bool	 roles_observe(Ctx *cx, Pg *pg, const Placement *at, Items *out);
bool	 roles_change_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps);
extern const StepKind roles_kinds[];	/* dedicated: cluster.claim roles.create database.create tenant.close ... */
extern const StepKind customer_kinds[];	/* customer-db: customer.logins customer.close ... */

bool	 cluster_strays(Ctx *cx, Conns *conns, const Cluster *cluster, Names *out);
/* Schema copyhold and the home's row in a cluster's own database; refused if it is another home's. */
bool	 cluster_claim_steps(Ctx *cx, const Cluster *cluster, Steps *steps);
bool	 home_claim(Ctx *cx, Pg *pg, const Home *home);	/* in a transaction, after ledger_schema_create() */
bool	 home_check(Ctx *cx, Pg *pg, const Home *home);	/* FAIL_FOREIGN if another home's row is there */
/* --- view.c: shared databases ------------------------------------------------ */

/* The wide tables and the common views: made, or evolved.  `at` is of LAYOUT_WIDE, and work->observed
 * holds what shape_observe() and view_observe(SCHEMA_APP) saw (other items are passed over). */
bool	 shared_tables_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes,
	    Steps *steps);
/* A tenant's own views, of LAYOUT_VIEWS: steps only where what stands differs from what it needs; also
 * the filling of new slots, and the clearing of those given up.  work->observed holds what
 * view_observe(at->schema) saw. */
bool	 view_change_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes,
	    Steps *steps);

/* USAGE on schema app and rights on all its tables, for one login; in the owner's session. */
bool	 shape_grant_login(Ctx *cx, Pg *pg, const Placement *at, const Login *login, bool grant);

extern const PlaceDriver mode_shared, mode_dedicated, mode_customer_db, mode_exclusive, mode_hybrid;

/* --- verify.c: what a login can do, tried as that login --------------------- */

/* PlaceDriver.verify on plain tables, and in a shared database, where another tenant's rows are attacked
 * if there are any; changes nothing.  False only if it could not be tried: what got through is in the
 * list, under HEAD_FAILED. */
bool	 verify_plain(Ctx *cx, Conns *conns, const Placement *at, const Model *m, const Login *login,
	    const Secret *password, Attempts *out);

/* --- setup.c: what an administrator runs once ------------------------------- */

bool	 setup_cluster_script(Ctx *cx, Home *home, const Cluster *cluster, Buf *out);
bool	 setup_tenant_script(Ctx *cx, Home *home, const Placement *at, Buf *out);
/* The password of a login that the script names before the tenant is recorded: sealed in the store as
 * "pending/TENANT/USER", made if missing; an apply takes it over and then forgets it. */
bool	 setup_password(Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out);
#define SETUP_TEMPLATE	"copyhold_template"
#define SETUP_MARK	"copyhold template 1"	/* the template's comment: another number, an older script */

/* item lists: sorted by kind, object, name; the difference in one pass */
void	 items_add(Arena *mem, Items *items, ItemKind kind, const char *object, const char *name, const char *def);
void	 items_sort(Items *items);
const Item *items_find(const Items *sorted, ItemKind kind, const char *object, const char *name);

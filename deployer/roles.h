/*
 * roles.h - what the files about roles and databases share: which of them are
 * there, the statements that make them, and one transaction under the fence.
 *
 * On a vendor's cluster the fence and the ledger of roles and databases are in
 * the cluster's own database; those of the tenants of a shared database are in
 * that database, where a tenant comes in with one transaction.
 *
 * Inside deployer only; the rest of the house sees items.h.
 */
#pragma once

#include "deployer/items.h"

#define ROLE_CONNECTIONS	50	/* a login's CONNECTION LIMIT on a vendor cluster */
#define ROLES_LOCK_MS		20000	/* how long a running CREATE or DROP DATABASE may finish undisturbed */
#define ROLES_END_MS		30000	/* how long ended sessions may take to go */
#define ROLES_DATABASE_MS	600000	/* CREATE and DROP DATABASE */

typedef struct There {		/* what of a placement stands on its server */
	Names	 roles;
	bool	 database;
	bool	 broken;	/* a DROP DATABASE was cut short: only dropping it is left */
	bool	 open;		/* the database takes connections */
	char	*owner;		/* of the database, or NULL */
} There;

typedef struct RoleChange {	/* one item of roles.change and customer.change */
	ChangeOp	 op;
	ItemKind	 kind;
	const char	*object, *name, *from, *to;
} RoleChange;

typedef struct Logins { const Login *at; size_t n; } Logins;	/* those that a step is about */

#define ROLE_SETTINGS_ALL 3	/* what every login finds set */
#define ROLE_SETTINGS 4		/* with that of a login that only reads */
typedef struct RoleSetting { const char *name, *value; } RoleSetting;
extern const RoleSetting roles_defaults[ROLE_SETTINGS_ALL];

ItemKind roles_item_kind(const char *word);	/* "role" "setting" "member" "database" "grant"; else ITEM_KINDS */
bool	 roles_there(Ctx *cx, Pg *pg, const Placement *at, There *out);
Logins	 roles_logins(const StepEnv *env);	/* the one of args "user", else all */
char	*roles_array(Arena *mem, const Names *names);	/* '{"a","b"}', as a parameter of type name[] */

/* CREATE (or ALTER, if it is there) ROLE with its settings, granted to our own login; in a shared database
 * made a member of its group instead, `own`: with relations of its own on its search_path. */
void	 roles_login_text(Buf *b, const Placement *at, const Login *login, bool there, bool own, int version);
void	 roles_owner_text(Buf *b, const char *owner, bool there, int version);
void	 roles_shared_text(Buf *b, const Shared *s, const Names *there, int version);	/* all four of a shared database */
void	 roles_password_text(Buf *b, const Login *login);
size_t	 roles_settings(const Login *login, RoleSetting out[ROLE_SETTINGS]);
/* ALTER ROLE ... SET of everything that the interface promises; database NULL: in all. */
void	 roles_settings_text(Buf *b, const Login *login, const char *database);
void	 roles_defaults_text(Buf *b, const char *database);	/* the same for all of a shared database */
/* The search_path of a login of a shared database's tenant, in that database; `own` false: taken back. */
void	 roles_path_text(Buf *b, const Placement *at, const Login *login, bool own);
const char *roles_path(Arena *mem, const Placement *at);	/* "app_<id>, app" */
const char *roles_group(const Placement *at, const Login *login);	/* of a shared database */
void	 roles_database_text(Buf *b, const char *verb, const char *what, const char *dbname,
	    const char *preposition, const char *role);	/* "GRANT", "CONNECT", db, "TO", role */
void	 roles_change_text(Buf *b, const Placement *at, const RoleChange *c, int version);
bool	 roles_change_read(const Js *args, size_t i, RoleChange *out);	/* false past the end */
bool	 roles_change_needs_superuser(const RoleChange *c);
/* Changes and one step for what differs; both sorted, `have` may hold items of other kinds. */
bool	 roles_mend_steps(Ctx *cx, const Placement *at, const Items *want, const Items *have,
	    Changes *changes, Steps *steps);

/* BEGIN; the fence and the row; the text; COMMIT.  Done before: true, nothing changed.  `grant` is
 * the hint if a right is missing. */
bool	 roles_transact(Ctx *cx, Pg *pg, const StepEnv *env, const char *text, const char *grant);
bool	 roles_transact_last(Ctx *cx, Pg *pg, const StepEnv *env, const char *text, const char *grant);	/* its other rows in the ledger go with it */
bool	 roles_untransact(Ctx *cx, Pg *pg, const StepEnv *env, const char *text);	/* the same for an undo */
bool	 roles_probe(Ctx *cx, Pg *pg, const StepEnv *env, Probe *out);	/* by the ledger's row */
/* FAIL_MISSING_RIGHT gets this hint; always false. */
bool	 roles_lack(Ctx *cx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ends every session of these logins and waits until none is left. */
bool	 roles_end_sessions(Ctx *cx, Pg *pg, Logins logins);

bool	 roles_record_on(Ctx *cx, StepEnv *env);	/* the catalogue: the step's logins are on, are off */
bool	 roles_record_off(Ctx *cx, StepEnv *env);
/* The step's login with the verifier of the password that a rotation replaces; not found: it is settled. */
bool	 roles_previous(Ctx *cx, const StepEnv *env, Login *login, bool *found);

/* StepKind functions that a table of another file names */
bool	 claim_act(Ctx *cx, StepEnv *env);
bool	 claim_probe(Ctx *cx, StepEnv *env, Probe *out);
bool	 claim_undo(Ctx *cx, StepEnv *env);
bool	 database_create_act(Ctx *cx, StepEnv *env);
bool	 database_create_probe(Ctx *cx, StepEnv *env, Probe *out);
bool	 database_create_undo(Ctx *cx, StepEnv *env);
bool	 database_drop_act(Ctx *cx, StepEnv *env);
bool	 database_drop_probe(Ctx *cx, StepEnv *env, Probe *out);

/* Where the roles of a placement are made, and its fence is: the cluster's own database, or the shared one. */
bool	 roles_session(Ctx *cx, const StepEnv *env, Pg **out);
bool	 roles_drop_owned(Ctx *cx, Pg *pg, const Placement *at, const Login *login);	/* in a transaction */
bool	 roles_row_probe(Ctx *cx, StepEnv *env, Probe *out);
void	 roles_drop_text(Buf *b, const char *role);

/* mode_*: what several of them do alike */
bool	 vendor_preflight(Ctx *cx, Conns *conns, const Placement *at, bool exists);
bool	 vendor_observe(Ctx *cx, Conns *conns, const Placement *at, Items *out);	/* a database of its own */
bool	 vendor_steps(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps);
bool	 vendor_drop_steps(Ctx *cx, const Placement *at, Steps *steps);
bool	 vendor_suspend_steps(Ctx *cx, const Placement *at, Steps *steps);
bool	 vendor_resume_steps(Ctx *cx, const Placement *at, Steps *steps);
bool	 vendor_login_steps(Ctx *cx, const Placement *at, const Login *login, const char *verb, Steps *steps);
bool	 vendor_no_hand_back(Ctx *cx, const Placement *at);	/* always false */
bool	 vendor_fence(Ctx *cx, Conns *conns, const Placement *at, int64_t *out);
bool	 plain_expected(Ctx *cx, const Placement *at, const Model *m, Items *out);
bool	 plain_map(Ctx *cx, const Placement *at, const Model *m, const char *object, Relation *out);

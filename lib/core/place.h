/*
 * place.h - the placement driver: what deployer implements once a mode, and
 * every room and command uses.
 *
 * A tenant's place is described by items: one table, column, constraint,
 * index, grant, role setting... each with a normalised definition.  expected()
 * says which items a model has there, observe() which there are; the
 * difference is both evolution and drift, and steps() turns it into journalled
 * steps.  Everything a driver does on a server it does in a step's act, probe
 * or undo, under the fence.
 */
#pragma once

#include "lib/adapters/pg.h"
#include "lib/core/home.h"
#include "lib/core/model.h"

/* --- where a tenant is --------------------------------------------------- */

typedef struct Login {
	const char	*user;		/* the client's name for it: "app" */
	const char	*role;		/* the role on the server */
	bool		 read_only;
	const char	*verifier;	/* SCRAM-SHA-256$...; what the server stores */
	bool		 on;		/* LOGIN allowed */
	int64_t		 valid_until;	/* at the gateway: wall ms; 0: for ever */
	int64_t		 max_conns;	/* there: clients; 0: no limit */
} Login;

/* A shared database: the tenants of one model on one cluster.  Names on the server are made of the id. */
typedef struct Shared {
	const char	*name;		/* "bj-1/crm": cluster and model; its scope is "shared/bj-1/crm" */
	const char	*id;		/* 12 letters, opaque, never reused */
	const Cluster	*cluster;
	const char	*model;
	const char	*dbname;	/* s_<id> */
	const char	*owner;		/* s_<id>_o: owns tables and views; nobody logs in as it, row security binds it */
	const char	*keeper;	/* s_<id>_k: may read and write every tenant's rows; ours, by SET ROLE alone */
	const char	*writers, *readers;	/* s_<id>_w, s_<id>_r: groups of the tenants' logins; the common views are theirs */
} Shared;

typedef enum Layout {		/* how a placement's objects look on the server */
	LAYOUT_PLAIN,		/* typed tables in schema `schema`, owned by `owner`, granted to the logins */
	LAYOUT_WIDE,		/* the shared database itself: tables led by the tenant key, row security */
	LAYOUT_VIEWS		/* a tenant of it: the common views, and views of its own where it differs */
} Layout;

typedef struct Slot {		/* a spare column that a tenant's own field has taken */
	const char	*object, *field;	/* field "": given up and clear; in PlaceWork.slots where the placement
					 * has a name yet: to be cleared in this run, its values may go */
	const char	*column;	/* "_text_1" */
	int64_t		 generation;	/* how often this tenant has taken it: 1.. */
} Slot;
typedef struct Slots { Slot *at; size_t n, cap; } Slots;

typedef struct Placement {
	const char	*tenant, *id;	/* id: 12 letters, opaque, never reused */
	Mode		 mode;
	const Cluster	*cluster;
	const char	*dbname, *owner;	/* database and its NOLOGIN owner role */
	struct { Login *at; size_t n, cap; } logins;
	Layout		 layout;
	const char	*schema;	/* LAYOUT_PLAIN, LAYOUT_WIDE: of the tables; LAYOUT_VIEWS: of its own views ("app_<id>") */
	const char	*scope;		/* of its steps: "tenant/acme", "shared/bj-1/crm" */
	const Shared	*shared;	/* mode shared, else NULL */
	Slots		 slots;		/* LAYOUT_VIEWS */
	bool		 shut;		/* its logins are made without LOGIN and CONNECT: a switch lets them in */
} Placement;

#define SCHEMA_APP	"app"		/* tables of plain tenants; the common views of a shared database */
#define SCHEMA_WIDE	"wide"		/* the tables of a shared database */
#define WIDE_TENANT	"_tenant"	/* their first column: the tenant's id, as in the names of its roles */

/* The one function that makes names on servers: opaque ("t_<id>", "t_<id>_<4 letters>") where tenants
 * share the server, from the tenant's name elsewhere.  63 bytes at most. */
void	 place_names(Arena *mem, Placement *p, const Tenant *spec);	/* p->shared is set before, in mode shared */
void	 place_shared_names(Arena *mem, Shared *s);	/* from s->id */
/* The placement of the shared database itself: layout LAYOUT_WIDE, no logins. */
Placement *place_of_shared(Arena *mem, const Shared *s);
const char *place_login_role(Arena *mem, const Placement *p, const char *user);
const Login *place_login(const Placement *p, const char *user);	/* NULL if there is none */

/* --- connections of one lane ---------------------------------------------- */

typedef struct Conns Conns;	/* keeps one connection a (cluster, database); the tenants' are closed by conns_drop */
Conns	*conns_new(Ctx *cx, Home *home);
bool	 conns_get(Ctx *cx, Conns *c, const Cluster *cluster, const char *dbname, Pg **out);	/* NULL dbname: the cluster's own */
/* A connection of its own that has done SET ROLE `as` (loading rows beside the owner's session). */
bool	 conns_get_as(Ctx *cx, Conns *c, const Cluster *cluster, const char *dbname, const char *as, Pg **out);
void	 conns_drop(Conns *c, const Cluster *cluster, const char *dbname);	/* closes it if open, those `as` a role too */
Home	*conns_home(const Conns *c);
struct Map *conns_hosts(Conns *c, Arena **mem);	/* host.c's own: its sessions; mem lives as long */
bool	 conns_password(Ctx *cx, Home *home, const Cluster *cluster, Secret *out);	/* of our login there */
/* Where and as whom we connect, the password resolved into cx->mem. */
bool	 conns_target(Ctx *cx, Home *home, const Cluster *cluster, const char *dbname, PgTarget *out);

/* --- items ---------------------------------------------------------------- */

typedef struct Item {
	int		 kind;		/* the driver's own numbering, in order of creation */
	const char	*object;	/* relation, role or database it belongs to */
	const char	*name;		/* within it; "" for the thing itself */
	const char	*def;		/* normalised definition; equal text = equal thing */
} Item;

typedef struct Items { Item *at; size_t n, cap; } Items;

typedef enum ChangeOp { CHANGE_ADD, CHANGE_ALTER, CHANGE_REMOVE, CHANGE_RENAME } ChangeOp;

typedef struct Change {		/* one line of a plan */
	ChangeOp	 op;
	const char	*what;		/* "object", "field", "index", "grant", "setting", "tenant"... */
	const char	*name;		/* "account.fax" */
	const char	*from, *to;	/* definitions as people read them, or NULL */
	bool		 data_bearing;	/* removes rows or values */
	bool		 early;		/* its intent may stand with that of the step before: a commit less to wait for.
					 * Its probe must tell so where neither has begun */
	bool		 drift;		/* somebody changed it by hand; else the manifests did */
	bool		 kept;		/* found, reported and left: needs --prune or a drop entry */
	const char	*note;		/* the reason, or NULL */
} Change;
typedef struct Changes { Change *at; size_t n, cap; } Changes;

/* --- steps ---------------------------------------------------------------- */

typedef enum UndoClass { UNDO_REVERSIBLE, UNDO_COMPENSABLE, UNDO_IRREVERSIBLE } UndoClass;

typedef struct Step {
	int64_t		 id;		/* 1.. within the run */
	const char	*key;		/* idempotency key, 32 hex digits */
	const char	*scope;		/* lease scope: "tenant/acme" or "cluster/bj-1" */
	const char	*kind;		/* a StepKind's name */
	const char	*title;		/* "create database t_k3..." for people */
	Js		*args;		/* never a secret */
	struct { int64_t *at; size_t n, cap; } needs;	/* ids that must be done before */
	uint64_t	 scope_hash;	/* these two are steps_add()'s own */
	size_t		 ordinal;	/* among those of its scope */
} Step;
typedef struct Steps { Step *at; size_t n, cap; struct Map *last; } Steps;	/* last: steps_add()'s own */

typedef enum Probe { PROBE_NOT_DONE, PROBE_DONE, PROBE_UNDECIDABLE } Probe;

typedef struct StepEnv {	/* what act, probe, undo, guard and record are given */
	Home		*home;
	int64_t		 run, fence;
	const Step	*step;
	const Placement	*at;		/* of the step's tenant; NULL for cluster steps */
	const Cluster	*cluster;
	Conns		*conns;
	const char	*why;		/* probe: why it is undecidable, for the person; set by probe */
} StepEnv;

typedef struct StepKind {
	const char	*name;		/* "database.create" */
	UndoClass	 undo_class;
	bool		 pivot;		/* done = no way back for this scope */
	bool		 staged;	/* a release: its scopes go over a tenant's hosts by canaries, waves and a budget */
	bool		 data_bearing;	/* removes rows or values */
	bool		 early;		/* its intent may stand with that of the step before: a commit less to wait for.
					 * Its probe must tell so where neither has begun */
	bool		(*guard)(Ctx *cx, StepEnv *env);	/* before the scope's first step: may this work? changes nothing; NULL: yes */
	bool		(*act)(Ctx *cx, StepEnv *env);		/* NULL: a catalogue-only step; FAIL_STOPPED: a signal came, nothing was done */
	bool		(*probe)(Ctx *cx, StepEnv *env, Probe *out);	/* NULL with act NULL */
	bool		(*undo)(Ctx *cx, StepEnv *env);		/* must be fine when there is nothing to undo; NULL: nothing to undo on the target */
	bool		(*record)(Ctx *cx, StepEnv *env);	/* the catalogue's side, in the transaction of the outcome; NULL: none */
	bool		(*unrecord)(Ctx *cx, StepEnv *env);	/* the same for an undo */
} StepKind;

Step	*steps_add(Arena *mem, Steps *steps, const char *scope, const char *kind, Js *args,
	    const char *title_fmt, ...) __attribute__((format(printf, 6, 7)));	/* needs the scope's previous step, if any */

/* Those from the `first` on act where the tenant would be on that cluster, its logins shut, whatever the
 * catalogue says meanwhile. */
void	 steps_elsewhere(Arena *mem, Steps *steps, size_t first, const Cluster *cluster);
const char *step_elsewhere(const Step *step);	/* that cluster's name, or NULL */
Placement place_elsewhere(const Placement *at, const Cluster *cluster);

/* --- the fence on a target: schema copyhold, tables fence and applied ------ */

typedef enum Ledger { LEDGER_NEW, LEDGER_ALREADY } Ledger;
/* A row's key is the step's with the run's number: the same change may come again in a later run.
 * The column `tenant` holds the placement's id, or the scope of a cluster's step. */
/* Within an open transaction: refuses a lower fence (FAIL_FENCED), raises it, writes the step's row. */
bool	 ledger_enter(Ctx *cx, Pg *pg, const StepEnv *env, Ledger *out);
/* The same as the first statement of a script in one round trip: what forbids it is an error there, 23502
 * (a newer holder) or 23505 (done before). */
void	 ledger_enter_text(Buf *b, const StepEnv *env);
bool	 ledger_remove(Ctx *cx, Pg *pg, const StepEnv *env);	/* on undo, in its transaction; refuses a lower fence too */
bool	 ledger_has(Ctx *cx, Pg *pg, const StepEnv *env, bool *out);	/* no ledger there: false */
bool	 ledger_fence(Ctx *cx, Pg *pg, const StepEnv *env);	/* refuses and raises, writes no row */
bool	 ledger_forget(Ctx *cx, Pg *pg, const StepEnv *env);	/* the tenant's other rows: it is leaving */
bool	 ledger_stands(Ctx *cx, Pg *pg, bool *out);	/* the ledger's tables are there */
bool	 ledger_highest(Ctx *cx, Pg *pg, const char *tenant, int64_t *out);	/* the fence last seen; 0: none */
/* For what cannot run in a transaction: the step's session lock; a holder is ended after the deadline. */
bool	 ledger_lock(Ctx *cx, Pg *pg, const StepEnv *env, int64_t deadline_ms);
void	 ledger_unlock(Pg *pg, const StepEnv *env);

/* --- the driver ------------------------------------------------------------ */

typedef struct Relation {	/* map(): how a tenant's object looks on the server */
	const char	*name;		/* quoted, schema-qualified */
	Names		 columns;	/* by field order */
	Names		 key;
} Relation;

typedef enum Heading {
	HEAD_WORKS,		/* what the tenant's application does all day */
	HEAD_ISOLATED,		/* refused, or it leads nowhere */
	HEAD_VISIBLE,		/* PostgreSQL shows it to every login */
	HEAD_OPEN,		/* a login can do it to itself, or to a neighbour's load, without a gateway before it */
	HEAD_UNTRIED,		/* there is nothing there to try it at */
	HEAD_FAILED		/* it got through, or does not work */
} Heading;
typedef struct Attempt {	/* one line of `tenant verify` */
	Heading		 heading;
	const char	*what;		/* "SET ROLE to another tenant's owner" */
	const char	*result;	/* "refused (42501)" */
} Attempt;
typedef struct Attempts { Attempt *at; size_t n, cap; } Attempts;

typedef struct PlaceWork {	/* what steps() is asked for */
	const Model	*recorded;	/* as applied last; NULL: a new tenant */
	const Model	*desired;
	const Items	*observed;	/* NULL: not looked at (what is recorded is taken for true) */
	const char	*shape;		/* hash of the desired model, for step args */
	bool		 prune;		/* remove what is not ours, too */
	/* mode shared: the model behind the common views before the run (NULL: none yet) and after it, with
	 * the hash of the latter.  LAYOUT_WIDE: recorded and desired are wide models.  LAYOUT_VIEWS: they are
	 * the tenant's effective models; `wide` is the wide model after the run, `slots` what own fields take
	 * in it. */
	const Model	*common_was, *common, *wide;
	const char	*common_shape;
	Layout		 layout;	/* of the tenant after the run; its placement has the one before (a new one: the same) */
	Slots		 slots;
} PlaceWork;

typedef struct ClusterWork {	/* a cluster that we make and keep on a host */
	const Cluster	*cluster;	/* as the manifests have it */
	const Cluster	*was;		/* as it is recorded; NULL: it is to be made */
	const Host	*host;
	bool		 look;		/* at the host; else what is recorded is taken for true */
} ClusterWork;

typedef struct PlaceDriver {
	Mode		 mode;
	const StepKind	*kinds;		/* ends at name NULL */
	/* before the first change: reachable, version, rights, setup; FAIL_* with the GRANT or script that helps */
	bool		(*preflight)(Ctx *cx, Conns *conns, const Placement *at, bool exists);
	bool		(*expected)(Ctx *cx, const Placement *at, const Model *m, Items *out);
	bool		(*observe)(Ctx *cx, Conns *conns, const Placement *at, Items *out);
	bool		(*steps)(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps);
	/* what a cluster of this mode needs once, before its first tenant; NULL: nothing */
	bool		(*cluster_steps)(Ctx *cx, const Cluster *cluster, Steps *steps);
	/* mode exclusive alone, NULL elsewhere: the server itself.  *down: it does not run before these steps */
	bool		(*host_steps)(Ctx *cx, Conns *conns, const ClusterWork *work, Changes *changes, Steps *steps,
			    bool *down);
	/* it and all that is its there; left running where it holds what is not ours (*note says so) */
	bool		(*host_remove_steps)(Ctx *cx, Conns *conns, const ClusterWork *work, Steps *steps,
			    const char **note);
	/* what a server's crash left on it that no SQL shows: folders of half-made databases; NULL: not asked */
	bool		(*strays)(Ctx *cx, Conns *conns, const Cluster *cluster, Names *out);
	bool		(*suspend_steps)(Ctx *cx, const Placement *at, Steps *steps);
	bool		(*resume_steps)(Ctx *cx, const Placement *at, Steps *steps);
	bool		(*purge_steps)(Ctx *cx, const Placement *at, bool hand_back, Steps *steps);
	bool		(*login_steps)(Ctx *cx, const Placement *at, const Login *login, const char *verb, Steps *steps);	/* add rotate remove */
	/* does the server take the login with this password? what does not is mended by the steps of "rotate" */
	bool		(*login_ok)(Ctx *cx, const Placement *at, const Login *login, const Secret *password,
			    bool *ok);
	bool		(*setup_script)(Ctx *cx, Home *home, const Placement *at, Buf *out);	/* NULL: none needed */
	/* mode shared alone, NULL elsewhere: the shared database, `at` being of LAYOUT_WIDE */
	bool		(*shared_observe)(Ctx *cx, Conns *conns, const Placement *at, Items *out);
	/* of at->logins, here those of its tenants, the roles that may log in where they should not, or not
	 * where they should, or are not in their one group */
	bool		(*shared_odd)(Ctx *cx, Conns *conns, const Placement *at, Names *out);
	bool		(*shared_steps)(Ctx *cx, const Placement *at, const PlaceWork *work, Changes *changes, Steps *steps);
	bool		(*shared_drop_steps)(Ctx *cx, const Placement *at, Steps *steps);
	bool		(*map)(Ctx *cx, const Placement *at, const Model *m, const char *object, Relation *out);
	bool		(*verify)(Ctx *cx, Conns *conns, const Placement *at, const Model *m, const Login *login,
			    const Secret *password, Attempts *out);
	bool		(*highest_fence)(Ctx *cx, Conns *conns, const Placement *at, int64_t *out);	/* seen on the target, for home restore */
	/* the session in which rows are loaded: the tenant's rights, never ours */
	bool		(*data_session)(Ctx *cx, Conns *conns, const Placement *at, Pg **out);
	/* between two places of a tenant, env->at and `to`, both shut, until `deadline` (mono).  NULL: not in
	 * this mode.  copy: all rows into the empty objects of `to`, all or nothing, once a step.  copied:
	 * both have the same rows, *rows of them; else FAIL_DIFFERENT. */
	bool		(*copy)(Ctx *cx, const StepEnv *env, const Placement *to, const Model *m, int64_t deadline);
	bool		(*copied)(Ctx *cx, Conns *conns, const Placement *at, const Placement *to, const Model *m,
			    int64_t deadline, int64_t *rows);
} PlaceDriver;

const PlaceDriver *place_driver(Mode mode);
void	 place_register(const PlaceDriver *const *drivers);	/* by main; NULL-terminated */
const StepKind	*step_kind(const char *name);			/* among the drivers' and the registered tables */
void	 step_register(const StepKind *kinds);			/* by main */

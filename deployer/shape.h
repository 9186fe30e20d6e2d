/*
 * shape.h - the parts of shape_*.c among themselves.
 *
 * A definition (Item.def) of a column, default, constraint or index is the
 * text that the server itself prints for it, with search_path='' and
 * quote_all_identifiers=on: the same on every version, and fit to stand in DDL
 * again.  DDL is made from definitions that our own models gave; what a server
 * says about things that are not ours is compared and shown, never executed.
 */
#pragma once

#include "deployer/items.h"
#include "lib/adapters/map.h"

/* --- shape_expected.c ------------------------------------------------------- */

typedef enum RuleSort { RULE_NONE, RULE_KEY, RULE_UNIQUE, RULE_LIMIT, RULE_REFERENCE } RuleSort;

typedef struct Rule {		/* an item and the part of the model it comes from */
	Item		 item;
	RuleSort	 sort;		/* of a constraint */
	const Object	*object;	/* NULL for the schemas */
	const Field	*field;		/* NULL for what belongs to the whole object */
} Rule;
typedef struct Rules { Rule *at; size_t n, cap; } Rules;

/* In an order that depends on the model's order alone, never on its names. */
bool	 shape_rules(Ctx *cx, const Placement *at, const Model *m, Rules *out);
const char *shape_key_text(Arena *mem, const Names *columns);	/* "a", "b" */
/* The same, led by the tenant key where the tables are. */
const char *shape_led_text(Arena *mem, const Placement *at, const Names *columns);
const char *shape_default_text(Arena *mem, const Model *m, const Field *f);	/* NULL: it has none */
const char *shape_type_of(Arena *mem, const Model *m, const Field *f);	/* its column's */
bool	 shape_is_wide(const Placement *at);	/* tables that tenants share, row by row */
bool	 shape_is_part(const Placement *at);	/* a tenant's part of a shared database */
extern const Field shape_tenant_field;	/* the first column of a wide table */

/* The tenant of whoever logged in, whatever role was set since: t_<id>_<4 letters>. */
#define SHAPE_TENANT	"\"substr\"((SESSION_USER)::\"text\", 3, 12)"
#define RIGHTS_WRITE	"DELETE,INSERT,SELECT,UPDATE"
#define RIGHTS_READ	"SELECT"

/* --- shape_observe.c -------------------------------------------------------- */

/* A strange item's name is its class, a blank and what it is called; its def starts with one of these. */
#define STRANGE_REMOVABLE "removable: "	/* ours to remove, and no data goes with it */
#define STRANGE_DATA	  "data: "	/* ours to remove, with its data */
#define STRANGE_OTHERS	  "other: "	/* not the owner role's: a person has to */

typedef struct Strange { const char *object, *name, *def, *mend; } Strange;
typedef struct Stranges { Strange *at; size_t n, cap; } Stranges;

/* Within a transaction with shape_settings(): in an order in which they can be removed. */
bool	 shape_strange(Ctx *cx, Pg *pg, const Placement *at, bool owner, Stranges *out);	/* owner: its session */
bool	 shape_settings(Ctx *cx, Pg *pg);	/* SET LOCAL: the normal form above */
const char *shape_json_default(Ctx *cx, const char *def);	/* a default as the server prints it, JSON as we do */
bool	 shape_role(Ctx *cx, Pg *pg, const char *role);	/* SET ROLE; NULL: none */
/* Row security hides a wide table's rows from its owner: what counts or changes rows does it as the
 * keeper.  Of other tables the owner goes on.  End: the owner again; a rollback does the same. */
bool	 shape_rows_begin(Ctx *cx, Pg *pg, const Placement *at);
bool	 shape_rows_end(Ctx *cx, Pg *pg, const Placement *at);

/* --- shape_ddl.c ------------------------------------------------------------- */

typedef enum OpCode { OP_NONE, OP_RENAME, OP_ADD, OP_ALTER, OP_REMOVE, OP_CREATE, OP_CODES } OpCode;

typedef struct Op {		/* one change of shape.change or shape.drop, as data */
	OpCode		 code;		/* OP_CREATE: here the step's new objects are made */
	ItemKind	 kind;
	const char	*object, *name;
	const char	*def;		/* after: a definition; the new name of OP_RENAME */
	const char	*from;		/* before, or NULL */
	const char	*fallback;	/* of an added column: its default's definition, or NULL */
	bool		 required;	/* of an added column */
	bool		 filled;	/* of an added column: a field.fill follows, and its values are nobody's choice */
	bool		 drift;		/* mends what was changed by hand: not put back by an undo */
} Op;
typedef struct Ops { Op *at; size_t n, cap; } Ops;

/* New schemas, tables and what hangs on them.  `schema`, here and below: the one of the tables. */
void	 shape_ddl_create(Buf *b, const char *schema, const Items *items);
void	 shape_ddl_op(Buf *b, const char *schema, const Op *op);
bool	 shape_op_inverse(const Op *op, Op *out);		/* false: there is none */
void	 shape_ddl_table(Buf *b, const char *schema, const char *object);	/* "app"."account" */
char	*shape_ddl_index(Arena *mem, const Placement *at, const char *object, const char *name,
	    const Names *columns, bool unique);			/* CREATE INDEX CONCURRENTLY ... */

Js	*shape_ops_js(Arena *mem, const Ops *ops);
bool	 shape_ops_read(Ctx *cx, const Js *array, Ops *out);
Js	*shape_items_js(Arena *mem, const Items *items);
bool	 shape_items_read(Ctx *cx, const Js *array, Items *out);
Js	*shape_names_js(Arena *mem, const Names *names);
void	 shape_names_read(Arena *mem, const Js *array, Names *out);

/* --- shape_guard.c: counts of what in the data forbids a change --------------- */

typedef enum GuardSort {
	GUARD_NONE, GUARD_ROWS, GUARD_NULLS, GUARD_LIMIT, GUARD_UNIQUE, GUARD_ORPHANS, GUARD_REWRITE,
	GUARD_RANGE, GUARD_VIEWS, GUARD_SORTS
} GuardSort;

typedef struct Guard {		/* names as they are before the run */
	GuardSort	 sort;
	const char	*object;
	Names		 columns;
	int64_t		 limit;		/* GUARD_LIMIT: characters; GUARD_RANGE: digits before the point */
	const char	*to, *to_column;	/* GUARD_ORPHANS */
} Guard;

Js	*shape_guard_js(Arena *mem, const Guard *g);
bool	 shape_guard(Ctx *cx, StepEnv *env);	/* every guard of the step's args */
bool	 shape_guards_check(Ctx *cx, Pg *pg, const Placement *at, const Js *array);
/* The count of what a wide table's reference forbids, of its definition; names as they are then. */
Guard	 shape_guard_reference(Arena *mem, const char *object, const char *def);
bool	 shape_guard_check(Ctx *cx, Pg *pg, const Placement *at, const Guard *g);	/* FAIL_DATA with the count, or true */

/* --- shape_run.c: sessions and transactions of the steps ------------------------- */

#define SHAPE_STATEMENT_MS ((int64_t)60 * 1000)
#define SHAPE_LONG_MS	   ((int64_t)6 * 3600 * 1000)	/* scans and builds that block nobody */
#define SHAPE_PATIENCE_MS  ((int64_t)60 * 1000)		/* for a lock, in attempts of 200 ms */

typedef bool (*ShapeBody)(Ctx *cx, StepEnv *env, Pg *pg);
typedef bool (*ShapeLook)(Ctx *cx, StepEnv *env, Pg *pg, bool *done);

/* In the owner's session, under the step's session lock. */
bool	 shape_locked(Ctx *cx, StepEnv *env, ShapeBody body);
bool	 shape_asked(Ctx *cx, StepEnv *env, ShapeLook look, Probe *out);	/* the same for a probe */
/* One transaction with the step's ledger row (removed on undo), tried again while others hold locks. */
bool	 shape_transaction(Ctx *cx, StepEnv *env, Pg *pg, ShapeBody body, bool undo);
bool	 shape_nothing(Ctx *cx, StepEnv *env, Pg *pg);	/* a body: the row alone */
bool	 shape_row_probe(Ctx *cx, StepEnv *env, Probe *out);	/* done if its ledger row is there */
bool	 shape_row_undo(Ctx *cx, StepEnv *env);			/* takes that row away, and nothing else */
bool	 shape_undo_in(Ctx *cx, StepEnv *env, Pg *pg, ShapeBody body);	/* if the row is there: the body, and the row goes */
bool	 shape_damaged(Ctx *cx);				/* the journal's arguments are: always false */
/* Sizes and the roles' list are for our own login, not for an owner: called as it, within an owner's session. */
bool	 shape_as_us(Ctx *cx, Pg *pg, const Placement *at, const Sql *sql, PgRows *rows,
	    const char *const *params);
bool	 shape_lock_missed(const Pg *pg);			/* the last statement: lock timeout or deadlock */

/* --- shape_wide.c: tables on which many tenants work at once ---------------------- */

struct Views;

/* Nobody waits longer than one attempt takes: what is locked is locked first, all within 200 ms, a
 * statement each; the transaction's later locks get 100 ms. */
bool	 shape_lock_all(Ctx *cx, Pg *pg, const Names *statements);
void	 shape_lock_text(Arena *mem, const char *schema, const char *table, const char *mode, Names *locks);
/* Locks what the operations touch, and drops the views that hang on a column which they tear; *out: as they
 * are to be made again when the operations are done.  Of other tables: nothing. */
bool	 shape_aside(Ctx *cx, StepEnv *env, Pg *pg, const Ops *ops, struct Views *out);
bool	 shape_is_wide_reference(const Placement *at, const Op *op);
bool	 shape_reference(Ctx *cx, StepEnv *env, Pg *pg, const Op *op);	/* adds it and proves it */

typedef struct RowsChange {	/* UPDATE table SET set WHERE where, in batches */
	const char	*table, *set, *where;	/* SQL; a changed row is no more one of `where` */
	int64_t		 enough;	/* done when a pass meets no more rows than that */
} RowsChange;
/* In short statements of their own; rows that others hold are tried again for `patience` ms. */
bool	 shape_rows_change(Ctx *cx, Pg *pg, const RowsChange *c, int64_t patience);

/* --- shape_online.c: steps that cannot or should not hold a transaction ------------ */

bool	 index_act(Ctx *cx, StepEnv *env);
bool	 index_probe(Ctx *cx, StepEnv *env, Probe *out);
bool	 index_undo(Ctx *cx, StepEnv *env);
bool	 unique_act(Ctx *cx, StepEnv *env);
bool	 unique_probe(Ctx *cx, StepEnv *env, Probe *out);
bool	 unique_undo(Ctx *cx, StepEnv *env);
bool	 fill_act(Ctx *cx, StepEnv *env);

/* --- shape_diff.c: from models and what is there to operations ------------------- */

typedef struct Online {		/* a step of its own beside the transactional ones */
	const char	*object, *name;
	Names		 columns;
	Guard		 guard;		/* GUARD_NONE: none */
	Guard		 exact;		/* of a wide table's reference: counted before the server is asked to prove it */
	bool		 primary, drift;
} Online;
typedef struct Onlines { Online *at; size_t n, cap; } Onlines;

typedef struct Diff {
	Ctx			*cx;
	const Placement		*at;
	const PlaceWork		*work;
	Changes			*changes;
	const Model		*renamed;	/* the recorded model under the desired names */
	Rules			 recorded, desired;	/* recorded: of `renamed` */
	Items			 observed;	/* under the desired names */
	Map			*recorded_at, *desired_at, *observed_at;	/* shape_diff_key() -> Rule, Rule, Item */
	Map			*made;		/* tables that this plan makes, columns that it makes or retypes */
	Map			*gone;		/* "object", "object.field" that this plan drops */
	bool			 rekeyed;	/* a primary key is built again: references have to wait for it */
	struct { Guard *at; size_t n, cap; } guards;	/* of the first step */
	Ops			 renames, early, adds, late, require, finish, drop;	/* require: after the fills */
	Items			 create, recreate;
	Onlines			 fills, checks, indexes, uniques, references;
} Diff;

bool	 shape_diff(Diff *d);
/* shape_steps.c: its steps, and the last of them, which drops what is given up. */
void	 shape_emit(const Diff *d, Steps *steps);
void	 shape_emit_drop(const Diff *d, Steps *steps);
const char *shape_diff_key(Arena *mem, int kind, const char *object, const char *name);
bool	 shape_diff_renames(Diff *d);	/* shape_rename.c: fills renamed, recorded, observed, renames */
void	 shape_diff_gone(Diff *d);		/* shape_gone.c: what is there and not wanted */
const Item *shape_diff_observed(const Diff *d, int kind, const char *object, const char *name);
const Rule *shape_diff_recorded(const Diff *d, const Item *item);
const Rule *shape_diff_desired(const Diff *d, int kind, const char *object, const char *name);
bool	 shape_diff_made(const Diff *d, const char *object, const char *column);
void	 shape_change(Diff *d, Change change);
void	 shape_op(Diff *d, Ops *ops, Op op);

/* --- shape_words.c: definitions as people read them ------------------------------- */

const char *shape_rule_what(const Rule *r);
const char *shape_fields_text(Arena *mem, const Object *o);	/* "3 fields" */
const char *shape_rule_text(Arena *mem, const Rule *r);
const char *shape_rule_label(Arena *mem, const Rule *r);	/* "account.fax" */
bool	 shape_starts(const char *text, const char *with);
const char *shape_type_text(Arena *mem, const char *def);	/* "number(10,2)" for "numeric(10,2)" */

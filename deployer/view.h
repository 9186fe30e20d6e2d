/*
 * view.h - the views of a shared database: the common ones in schema "app",
 * and those of tenants that differ (own fields in spare columns, another
 * version) in a schema of their own, which stands before "app" on their
 * logins' search_path.  So a tenant has own views of those objects alone that
 * differ, and the last of them can go without its sessions losing an object.
 *
 * Every view is a plain selection of columns of one wide table with the
 * condition that the table's row security has too, so that the planner merges
 * both; it belongs to the owner role, which row security binds, and is
 * updatable by itself: no trigger, no rule.
 *
 * As items: ITEM_SCHEMA and ITEM_SCHEMA_GRANT of the schema; of each view
 * ITEM_VIEW, ITEM_DEFAULT and ITEM_GRANT, whose object is "app.account".  The
 * definition of a view is its owner, table and columns ("owner s_x_o, account:
 * id, name, fax=_text_1"), the same on every version of the server; of one that
 * is not of this form it is the server's own text.
 */
#pragma once

#include "deployer/shape.h"

typedef struct ViewColumn {
	const char	*name, *column;
	const char	*fallback;	/* its default, as the server prints it, or NULL */
} ViewColumn;

typedef struct View {
	const char	*schema, *object;
	const char	*table;		/* the wide one */
	struct { ViewColumn *at; size_t n, cap; } columns;
	struct { Login *at; size_t n, cap; } grantees;	/* role and read_only */
} View;
typedef struct Views { View *at; size_t n, cap; } Views;

/* --- view.c ----------------------------------------------------------------- */

/* The common views of a model, for the two groups of the shared database. */
bool	 view_common(Ctx *cx, const Shared *s, const Model *common, Views *out);
/* Those of one tenant: of the objects whose columns or defaults differ from the common ones. */
bool	 view_own(Ctx *cx, const Placement *at, const Model *effective, const Model *common,
	    const Slots *slots, Views *out);

/* Views of one schema; none: no items, as there is no schema then. */
void	 view_items(Arena *mem, const char *owner, const Views *views, Items *out);
const char *view_label(Arena *mem, const View *v);	/* "app.account" */
const char *view_def(Arena *mem, const char *owner, const View *v);
/* The columns out of the server's text; false if it is not of our form. */
bool	 view_parse(Arena *mem, const char *text, View *out);
Js	*view_js(Arena *mem, const Views *views);
bool	 view_read(Ctx *cx, const Js *array, Views *out);

/* --- view_observe.c ------------------------------------------------------------ */

/* The views of one schema as they stand. */
bool	 view_observe(Ctx *cx, Pg *pg, const char *schema, Items *out);

typedef struct Standing {	/* one view that stands */
	View		 view;
	const char	*owner;
	const char	*def;		/* its item's */
	bool		 odd;		/* not of our form: `view` has its names only */
	Items		 rest;		/* its ITEM_DEFAULT and ITEM_GRANT */
} Standing;
typedef struct Standings { Standing *at; size_t n, cap; } Standings;

/* Within a transaction with shape_settings(): those of a schema, or (schema NULL) all views of the shared
 * database that show one of these wide tables.  `schemas`: the ITEM_SCHEMA and ITEM_SCHEMA_GRANT. */
bool	 view_standing(Ctx *cx, Pg *pg, const char *schema, const Names *tables, Items *schemas,
	    Standings *out);

/* --- view_ddl.c ------------------------------------------------------------------ */

/* DDL that makes `to` of whatever stands in the schema: as owner, within a transaction.  What is as it
 * should be is not touched.  Views that only gain columns at the end are replaced in place; others are
 * dropped and made anew.  `locks`: statements that lock more, after the views; `between`, if not NULL,
 * runs when all is locked and nothing changed yet. */
bool	 view_replace(Ctx *cx, Pg *pg, const Placement *at, const char *schema, const Views *to,
	    const Names *locks, bool (*between)(Ctx *cx, Pg *pg, void *arg), void *arg);

/* For changes of wide tables: the views on them, in our form (else FAIL_REFUSED). */
bool	 view_on(Ctx *cx, Pg *pg, const Names *tables, Views *out);
void	 view_locks(Arena *mem, const Placement *at, const Views *views, Names *locks);
bool	 view_drop(Ctx *cx, Pg *pg, const Views *views);
bool	 view_put_back(Ctx *cx, Pg *pg, const Views *views);

/* --- slot.c: rows of one tenant in a spare column ------------------------------------ */

typedef struct SlotFill {	/* a spare column that a tenant's field takes */
	const char	*object, *field, *column;
	const char	*value;		/* SQL: its default; NULL: none */
	bool		 chosen;	/* a value other than that is somebody's choice: not of "now" or "random" */
} SlotFill;
typedef struct SlotFills { SlotFill *at; size_t n, cap; } SlotFills;

Js	*slot_js(Arena *mem, const SlotFill *f);
bool	 slot_read(Ctx *cx, const Js *o, SlotFill *out);
/* In the transaction that shows the fields, under a lock that keeps writers out: the rows that came since
 * the batches.  As owner; the keeper does it. */
bool	 slot_fill_rest(Ctx *cx, Pg *pg, const Placement *at, const SlotFills *fills);
void	 slot_locks(Arena *mem, const SlotFills *fills, Names *locks);
/* Before the fields are hidden again: FAIL_UNDO if somebody wrote values of his own. */
bool	 slot_unwritten(Ctx *cx, Pg *pg, const Placement *at, const SlotFills *fills);

/* StepKind functions: views.replace (view_run.c), slot.fill and slot.clear (slot.c) */
bool	 views_act(Ctx *cx, StepEnv *env);
bool	 views_undo(Ctx *cx, StepEnv *env);
bool	 slot_fill_act(Ctx *cx, StepEnv *env);
bool	 slot_fill_undo(Ctx *cx, StepEnv *env);
bool	 slot_clear_act(Ctx *cx, StepEnv *env);

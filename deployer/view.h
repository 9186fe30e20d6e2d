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
 */
#pragma once

#include "deployer/shape.h"

/* The tenant of whoever logged in, whatever role was set since: t_<id>_<4 letters>. */
#define VIEW_TENANT "\"substr\"((SESSION_USER)::\"text\", 3, 12)"

typedef struct ViewColumn { const char *name, *column; const char *fallback; } ViewColumn;	/* fallback: a default that the wide column has not, or NULL */
typedef struct View {
	const char	*schema, *object;
	struct { ViewColumn *at; size_t n, cap; } columns;
	struct { Login *at; size_t n, cap; } grantees;	/* role and read_only */
} View;
typedef struct Views { View *at; size_t n, cap; } Views;

/* The common views of a model, for the two groups of the shared database. */
bool	 view_common(Ctx *cx, const Shared *s, const Model *common, Views *out);
/* Those of one tenant: of the objects whose columns or defaults differ from the common ones. */
bool	 view_own(Ctx *cx, const Placement *at, const Model *effective, const Model *common,
	    const Slots *slots, Views *out);

void	 view_items(Arena *mem, const Views *views, Items *out);	/* ITEM_SCHEMA, ITEM_VIEW, ITEM_DEFAULT, grants */
/* The views of one schema as they stand. */
bool	 view_observe(Ctx *cx, Pg *pg, const char *schema, Items *out);

/* DDL that makes `to` of whatever stands in the schema: as owner, within a transaction.  Views that only
 * gain columns at the end are replaced in place; others are dropped and made anew. */
bool	 view_replace(Ctx *cx, Pg *pg, const char *schema, const Views *to);
bool	 view_drop_all(Ctx *cx, Pg *pg, const char *schema);	/* the schema too; fine if there is none */

/*
 * wide.h - mode shared: of what the tables of a shared database consist, and
 * which of their columns a tenant's own fields take.
 *
 * The wide model is an ordinary Model, so that tables are made of it, compared
 * with it and evolved like any others: the fields of the version that the
 * tenants have in common, those that tenants ahead of the others brought
 * already, and spare columns (Field.spare), nullable and of one type each.
 * What no tenant uses any more goes only by a drop entry and --prune, like
 * any field.
 */
#pragma once

#include "lib/core/place.h"

#define WIDE_SPARES_MAX 400	/* spare columns an object */
#define WIDE_FIELDS_MAX 1590	/* fields an object, those among them; PostgreSQL takes 1,600 columns a table */

/* May the tenant share the tables?  Own objects ask for tables of its own, and so do own fields that are
 * required, unique, a reference, or have a length or precision: those rules would need a native
 * constraint of one tenant's own.
 * *why then: "object \"x_contract\"", "field \"account.x_code\" (unique)"; else NULL. */
bool	 wide_tenant_fits(Arena *mem, const Tenant *t, const char **why);

/* The wide model under a common model: its objects and fields with their rules, spare columns as they are
 * in `recorded` (NULL: a first few of each type), and what `recorded` has and `common` has not, rules
 * taken off (nullable, not unique), unless `common->drop` names it. */
bool	 wide_model(Ctx *cx, const Model *common, const Model *recorded, Model **out);
/* `wide` with what `to` has more, for tenants that go ahead of the others, who stay with `common`.  Only
 * additions may go ahead: objects, and fields that are not required or have a default.  False otherwise,
 * and `wide` as it was; FAIL_REFUSED says what the tenants would have to change together. */
bool	 wide_extend(Ctx *cx, Model *wide, const Model *common, const Model *to);

/* The spare columns that the own fields of `effective` take: those of `recorded` stay, new ones take a
 * free column of their type (an indexed one for an indexed field, or makes it indexed), and where none
 * is left the object gets one more.  A recorded one whose field is gone stays reserved under its name,
 * its values kept, unless `effective->drop` names it: then it comes out with field "", to be cleared; it
 * is taken again by a later call only.  A type that has changed is FAIL_REFUSED.  Deterministic.  `wide`
 * may change. */
bool	 wide_slots(Ctx *cx, Model *wide, const Model *effective, const Slots *recorded, Slots *out);
const Slot *wide_slot(const Slots *slots, const char *object, const char *field);	/* NULL if none */

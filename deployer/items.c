#include "deployer/items.h"

#include <stdlib.h>
#include <string.h>

const char *
item_kind_name(ItemKind k)
{
	static const char *const names[ITEM_KINDS] = {
		[ITEM_ROLE] = "role",
		[ITEM_SETTING] = "setting",
		[ITEM_MEMBER] = "member",
		[ITEM_DATABASE] = "database",
		[ITEM_DATABASE_GRANT] = "database grant",
		[ITEM_SCHEMA] = "schema",
		[ITEM_SCHEMA_GRANT] = "schema grant",
		[ITEM_TABLE] = "table",
		[ITEM_COLUMN] = "column",
		[ITEM_DEFAULT] = "default",
		[ITEM_NOT_NULL] = "required",
		[ITEM_CONSTRAINT] = "constraint",
		[ITEM_INDEX] = "index",
		[ITEM_GRANT] = "grant",
		[ITEM_ROW_SECURITY] = "row security",
		[ITEM_POLICY] = "policy",
		[ITEM_STATISTICS] = "statistics",
		[ITEM_STORAGE] = "storage",
		[ITEM_VIEW] = "view",
		[ITEM_STRANGE] = "strange",
	};
	return names[k];
}

ItemKind
item_kind_of(const char *name)
{
	int k = 0;

	while (k < ITEM_KINDS && (name == NULL || strcmp(item_kind_name((ItemKind)k), name) != 0))
		k++;
	return (ItemKind)k;
}

void
items_add(
    Arena *mem, Items *items, ItemKind kind, const char *object, const char *name, const char *def)
{
	Item item = { (int)kind, object, name, def };

	vec_push(mem, items, item);
}

static int
item_compare(const void *left, const void *right)
{
	const Item *a = left, *b = right;
	int order = (a->kind > b->kind) - (a->kind < b->kind);

	if (order == 0)
		order = strcmp(a->object, b->object);
	if (order == 0)
		order = strcmp(a->name, b->name);
	return order == 0 ? strcmp(a->def, b->def) : order;
}

void
items_sort(Items *items)
{
	if (items->n > 1)
		qsort(items->at, items->n, sizeof *items->at, item_compare);
}

const Item *
items_find(const Items *sorted, ItemKind kind, const char *object, const char *name)
{
	const Item wanted = { (int)kind, object, name, "" };
	size_t low = 0, high = sorted->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (item_compare(&sorted->at[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == sorted->n)
		return NULL;
	const Item *found = &sorted->at[low];
	return found->kind == (int)kind && strcmp(found->object, object) == 0 &&
		strcmp(found->name, name) == 0
	    ? found
	    : NULL;
}

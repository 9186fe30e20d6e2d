#include <string.h>

#include "compliance/audit/evidence.h"
#include "compliance/audit/evidence.sql.h"
#include "lib/adapters/js.h"

typedef struct
    Held { /* a log's tenant ('': the vendor) and how many values of the person it holds */
	const char *tenant;
	int64_t values;
} Held;
typedef struct Holders {
	Held *at;
	size_t n, cap;
} Holders;

static bool
find(Ctx *cx, Home *home, const char *tenant, const char *subject, Holders *out)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_ERASE_LOGS, &rows, "tt", subject, tenant))
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, out, ((Held){ lite_text(rows, 0), lite_int(rows, 1) }));
	return lite_end(cx, rows);
}

bool
evidence_count(Ctx *cx, Home *home, const char *tenant, const char *subject, int64_t *values)
{
	Holders all = { 0 };

	if (!find(cx, home, tenant, subject, &all))
		return false;
	*values = 0;
	for (size_t i = 0; i < all.n; i++)
		*values += all.at[i].values;
	return true;
}

/* Who was erased does not stand in the event that tells of it.  The log of a tenant who is gone does not
 * go on. */
static bool
erase_one(Ctx *cx, Home *home, const Held *h, const char *subject)
{
	TenantRecord r;
	bool known = false;

	if (*h->tenant && !catalog_tenant_find(cx, home, h->tenant, &r, &known))
		return false;
	Event e = { .tenant = known ? h->tenant : NULL,
		.verb = "audit.erase",
		.object = *h->tenant ? arena_printf(cx->mem, "tenant/%s", h->tenant) : "vendor",
		.outcome = "ok",
		.after = arena_printf(cx->mem, "%lld values", (long long)h->values) };

	return lite_do(cx, home->db, &SQL_ERASE_OPENINGS, "tt", subject, h->tenant) &&
	    event_write(cx, home, &e);
}

static bool
erase_all(Ctx *cx, Home *home, const char *tenant, const char *subject, EvidenceErased *out)
{
	Holders all = { 0 };

	if (!find(cx, home, tenant, subject, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		if (!erase_one(cx, home, &all.at[i], subject))
			return false;
		out->values += all.at[i].values;
		out->logs++;
	}
	return true;
}

/* Events of the first form name who acted in their bytes. */
static bool
count_plain(Ctx *cx, Home *home, const char *tenant, const char *subject, int64_t *n)
{
	const size_t head = strlen("actor:");
	LiteRows *rows;

	if (strncmp(subject, "actor:", head) != 0)
		return true;
	const char *name = js_canonical(cx->mem, js_text(cx->mem, subject + head));
	if (!lite_query(cx, home->db, &SQL_ERASE_PLAIN, &rows, "tt",
		arena_printf(cx->mem, "\"actor\":%s", name), tenant))
		return false;
	if (lite_next(rows))
		*n = lite_int(rows, 0);
	return lite_end(cx, rows);
}

static bool
settle(Ctx *cx, Home *home, bool *settled)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_ERASE_SETTLE, &rows, ""))
		return false;
	*settled = lite_next(rows) && lite_int(rows, 0) == 0;
	return lite_end(cx, rows);
}

bool
evidence_erase(Ctx *cx, Home *home, const char *tenant, const char *subject, EvidenceErased *out)
{
	EvidenceErased e = { 0 };

	if (!lite_begin(cx, home->db))
		return false;
	if (!erase_all(cx, home, tenant, subject, &e) ||
	    !count_plain(cx, home, tenant, subject, &e.plain) || !lite_commit(cx, home->db)) {
		lite_rollback(home->db);
		return fail_in(cx, "erasing the values of a person");
	}
	if (!settle(cx, home, &e.settled))
		return fail_in(cx, "emptying the catalogue's journal after an erasure");
	*out = e;
	return true;
}

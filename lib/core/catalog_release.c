/* Artefacts, and the releases that stand on hosts. */
#include "lib/core/release.h"

#include <string.h>

#include "lib/core/catalog_release.sql.h"

bool
catalog_artefact(
    Ctx *cx, Home *home, const char *bundle, const char *version, Artefact *out, bool *found)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_ARTEFACT_GET, &rows, "tt", bundle, version))
		return false;
	*found = lite_next(rows);
	if (*found)
		*out = (Artefact){
			.bundle = lite_text(rows, 0),
			.version = lite_text(rows, 1),
			.digest = lite_text(rows, 2),
			.source = lite_text(rows, 3),
			.bytes = lite_int(rows, 4),
			.files = lite_int(rows, 5),
			.at = lite_int(rows, 6),
		};
	return lite_end(cx, rows);
}

bool
catalog_artefact_put(Ctx *cx, Home *home, const Artefact *a)
{
	return lite_do(cx, home->db, &SQL_ARTEFACT_PUT, "ttttiii", a->bundle, a->version, a->digest,
	    a->source, a->bytes, a->files, a->at);
}

bool
catalog_releases(Ctx *cx, Home *home, const char *tenant, ReleaseRecords *out)
{
	ReleaseRecords all = { 0 };
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_RELEASE_LIST, &rows, "t", tenant))
		return false;
	while (lite_next(rows)) {
		ReleaseRecord r = {
			.tenant = lite_text(rows, 0),
			.host = lite_text(rows, 1),
			.version = lite_text(rows, 2),
			.digest = lite_text(rows, 3),
			.spec = lite_text(rows, 4),
			.current = lite_int(rows, 5) != 0,
			.since = lite_int(rows, 6),
			.run = lite_int(rows, 7),
			.back_run = lite_int(rows, 8),
			.wanted = lite_text(rows, 9),
		};
		vec_push(cx->mem, &all, r);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_release_put(Ctx *cx, Home *home, const ReleaseRecord *r)
{
	return lite_do(
		   cx, home->db, &SQL_RELEASE_STEP_DOWN, "ttt", r->tenant, r->host, r->version) &&
	    lite_do(cx, home->db, &SQL_RELEASE_PUT, "tttttiiit", r->tenant, r->host, r->version,
		r->digest, r->spec, r->since, r->run, r->back_run, r->wanted);
}

bool
catalog_release_keep(
    Ctx *cx, Home *home, const char *tenant, const char *host, const Names *versions)
{
	ReleaseRecords all;

	if (!catalog_releases(cx, home, tenant, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		const ReleaseRecord *r = &all.at[i];
		if (strcmp(r->host, host) == 0 && !names_have(versions, r->version) &&
		    !lite_do(cx, home->db, &SQL_RELEASE_DROP, "ttt", tenant, host, r->version))
			return false;
	}
	return true;
}

bool
catalog_release_forget(Ctx *cx, Home *home, const char *tenant, const char *host)
{
	return lite_do(cx, home->db, &SQL_RELEASE_FORGET, "tt", tenant, host);
}

#include "lib/core/trust.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/core/trust.sql.h"

#define TRUST_MAX ((size_t)64 << 10)

char *
trust_path(Arena *mem, const Home *home, const char *cluster)
{
	return arena_printf(mem, "%s/run/trust/%s.crt", home->dir, cluster);
}

bool
trust_put(Ctx *cx, Home *home, const char *cluster, const char *pem)
{
	return lite_do(cx, home->db, &SQL_CERTIFICATE_PUT, "tt", cluster, pem);
}

bool
trust_get(Ctx *cx, Home *home, const char *cluster, char **pem)
{
	LiteRows *rows;

	*pem = NULL;
	if (!lite_query(cx, home->db, &SQL_CERTIFICATE_GET, &rows, "t", cluster))
		return false;
	if (lite_next(rows))
		*pem = lite_text(rows, 0);
	return lite_end(cx, rows);
}

bool
trust_remove(Ctx *cx, Home *home, const char *cluster)
{
	return lite_do(cx, home->db, &SQL_CERTIFICATE_REMOVE, "t", cluster) &&
	    file_remove(cx, trust_path(cx->mem, home, cluster));
}

/* One who cannot read the file there cannot read the catalogue, either. */
static bool
is_as_recorded(Arena *mem, const char *path, const char *pem)
{
	Ctx own = ctx_new(mem);
	char *text;
	size_t n;
	bool same = file_exists(path) && file_read(&own, path, TRUST_MAX, &text, &n) &&
	    strcmp(text, pem) == 0;

	arena_free(own.mem);
	return same;
}

bool
trust_write(Ctx *cx, Home *home, const char *cluster)
{
	char *path = trust_path(cx->mem, home, cluster), *pem;

	if (!trust_get(cx, home, cluster, &pem))
		return false;
	if (!pem)
		return file_remove(cx, path);
	if (is_as_recorded(cx->mem, path, pem))
		return true;
	return file_make_dirs(cx, arena_printf(cx->mem, "%s/run/trust", home->dir), 0700) &&
	    file_write(cx, path, 0600, pem, strlen(pem));
}

char *
trust_digest(Arena *mem, const char *pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
	const char *at = strstr(pem, begin),
		   *end = at ? strstr(at, "-----END CERTIFICATE-----") : NULL;
	Arena *scratch = arena_new(mem);
	Buf b = buf_new_max(scratch, TRUST_MAX);
	char *out = NULL;
	Bytes der;

	for (at = end ? at + strlen(begin) : NULL; at && at < end; at++)
		if (*at != '\n' && *at != '\r')
			buf_addc(&b, *at);
	if (end && base64_bytes(scratch, b.text, b.len, &der))
		out = sha256_hex(mem, der.at, der.n);
	arena_free(scratch);
	return out;
}

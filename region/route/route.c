#include "region/route/route.h"

#include <string.h>

#include "lib/adapters/pg.h"
#include "lib/base/buf.h"
#include "lib/base/file.h"

static bool
set_route(Ctx *cx, StepEnv *env, const char *state)
{
	const Js *a = env->step->args;

	return catalog_route_set(cx, env->home, js_get_text(a, "tenant"), env->fence, state,
	    js_get_text(a, "cluster"), js_get_text(a, "dbname"));
}

static bool
open_record(Ctx *cx, StepEnv *env)
{
	return set_route(cx, env, "open");
}

static bool
close_record(Ctx *cx, StepEnv *env)
{
	return set_route(cx, env, "off");
}

const StepKind route_kinds[] = {
	{ .name = "route.open",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .record = open_record },
	{ .name = "route.close",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = close_record,
	    .unrecord = open_record },
	{ .name = NULL },
};

/* --- resolve ------------------------------------------------------------------ */

static const Login *
pick_login(Ctx *cx, const Placement *at, const char *user)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (user ? strcmp(at->logins.at[i].user, user) == 0 : at->logins.at[i].on)
			return &at->logins.at[i];
	fail(cx, FAIL_NOT_FOUND,
	    arena_printf(cx->mem,
		"See: copyhold login list %s, or make one: copyhold login add %s app.", at->tenant,
		at->tenant),
	    "tenant \"%s\" has no login \"%s\"", at->tenant, user ? user : "app");
	return NULL;
}

/* A field of a .pgpass line: colons and backslashes are escaped (libpq, The Password File). */
static void
pass_field(Buf *b, const char *value)
{
	for (; *value; value++) {
		if (*value == ':' || *value == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *value);
	}
}

static bool
write_passfile(Ctx *cx, Home *home, const Placement *at, const Login *login, char **path)
{
	Buf b = buf_new(cx->mem);
	Secret password;

	if (!catalog_login_password(cx, home, at->tenant, login->user, &password))
		return false;
	*path = home_passfile(cx->mem, home, at->tenant, login->user);
	buf_add(&b, "*:*:");
	pass_field(&b, at->dbname);
	buf_addc(&b, ':');
	pass_field(&b, login->role);
	buf_addc(&b, ':');
	pass_field(&b, password.text);
	buf_addc(&b, '\n');
	bool ok = file_write(cx, *path, 0600, b.text, b.len);
	secret_wipe(b.text, b.len);
	return ok;
}

typedef struct Param {
	const char *uri, *env, *value;
} Param;

static void
as_uri(Buf *b, const Param *p, size_t n, const Placement *at, const Login *login)
{
	const Connect *c = &at->cluster->connect;
	Arena *mem = b->mem;

	buf_fmt(b, "postgresql://%s@", pg_quote_uri(mem, login->role));
	buf_add(b,
	    strchr(c->host, ':') ? arena_printf(mem, "[%s]", c->host) : pg_quote_uri(mem, c->host));
	buf_fmt(b, ":%lld/%s", (long long)c->port, pg_quote_uri(mem, at->dbname));
	for (size_t i = 0, shown = 0; i < n; i++)
		if (p[i].uri && p[i].value)
			buf_fmt(b, "%c%s=%s", shown++ ? '&' : '?', p[i].uri,
			    pg_quote_uri(mem, p[i].value));
	buf_addc(b, '\n');
}

static void
as_env(Buf *b, const Param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!p[i].value)
			continue;
		buf_fmt(b, "export %s=", p[i].env);
		buf_shell(b, p[i].value);
		buf_addc(b, '\n');
	}
}

static void
as_json(Buf *b, const Param *p, size_t n, const RouteRecord *route)
{
	Js *j = js_object(b->mem);
	static const char *const names[] = { "host", "port", "dbname", "user", "passfile",
		"sslmode", "sslrootcert" };

	js_set_text(j, "tenant", route->tenant);
	js_set_int(j, "epoch", route->epoch);
	for (size_t i = 0; i < n; i++)
		if (p[i].value)
			js_set_text(j, names[i], p[i].value);
	buf_add(b, js_pretty(b->mem, j));
}

static bool
open_route(Ctx *cx, Home *home, const char *tenant, RouteRecord *route)
{
	bool found;

	if (!catalog_route(cx, home, tenant, route, &found))
		return false;
	if (found && strcmp(route->state, "open") == 0)
		return true;
	return fail(cx, FAIL_REFUSED,
	    arena_printf(cx->mem, "See: copyhold tenant show %s.", tenant),
	    "the route of tenant \"%s\" is %s", tenant, found ? route->state : "not open yet");
}

bool
route_resolve(
    Ctx *cx, Home *home, const char *tenant, const char *user, RouteFormat format, char **text)
{
	Buf b = buf_new(cx->mem);
	RouteRecord route;
	Placement *at;
	const Login *login;
	char *passfile;

	if (!catalog_placement(cx, home, tenant, &at) || !open_route(cx, home, tenant, &route) ||
	    !(login = pick_login(cx, at, user)) || !write_passfile(cx, home, at, login, &passfile))
		return false;
	const Connect *c = &at->cluster->connect;
	/* the cluster's client certificate is ours, not the application's: it is not handed on */
	const Param params[] = {
		{ NULL, "PGHOST", c->host },
		{ NULL, "PGPORT", arena_printf(cx->mem, "%lld", (long long)c->port) },
		{ NULL, "PGDATABASE", at->dbname },
		{ NULL, "PGUSER", login->role },
		{ "passfile", "PGPASSFILE", passfile },
		{ "sslmode", "PGSSLMODE", c->sslmode },
		{ "sslrootcert", "PGSSLROOTCERT", c->sslrootcert },
	};
	switch (format) {
	case ROUTE_URI:
		as_uri(&b, params, LENGTH(params), at, login);
		break;
	case ROUTE_ENV:
		as_env(&b, params, LENGTH(params));
		break;
	case ROUTE_JSON:
		as_json(&b, params, LENGTH(params), &route);
		break;
	}
	*text = b.text;
	return true;
}

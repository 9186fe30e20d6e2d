#include "region/route/route.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/adapters/pg.h"
#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/base/local.h"
#include "lib/core/ring.h"

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

/* What one way to connect consists of. */
typedef struct Way {
	const char *host, *port, *dbname, *user, *passfile, *sslmode, *sslrootcert;
	const char *gateway; /* NULL: the server itself */
} Way;

static bool
write_passfile(Ctx *cx, const Way *way, const Secret *password)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "*:*:");
	pass_field(&b, way->dbname);
	buf_addc(&b, ':');
	pass_field(&b, way->user);
	buf_addc(&b, ':');
	pass_field(&b, password->text);
	buf_addc(&b, '\n');
	bool ok = file_write(cx, way->passfile, 0600, b.text, b.len);
	secret_wipe(b.text, b.len);
	return ok;
}

/* The cluster's client certificate is ours, not the application's: it is not handed on. */
static bool
direct_way(Ctx *cx, Home *home, const Placement *at, const Login *login, Way *way)
{
	const Connect *c = &at->cluster->connect;
	Secret password;

	*way = (Way){
		.host = c->host,
		.port = arena_printf(cx->mem, "%lld", (long long)c->port),
		.dbname = at->dbname,
		.user = login->role,
		.passfile = home_passfile(cx->mem, home, at->tenant, login->user),
		.sslmode = c->sslmode,
		.sslrootcert = c->sslrootcert,
	};
	return catalog_login_password(cx, home, at->tenant, login->user, &password) &&
	    write_passfile(cx, way, &password);
}

/* "HOST:PORT", "[::1]:PORT" or "FOLDER:PORT" */
static void
split_address(Arena *mem, const char *address, Way *way)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : strlen(address);
	bool six = *address == '[' && n > 2 && address[n - 1] == ']';

	way->host = arena_dupn(mem, address + six, n - (six ? 2 : 0));
	way->port = colon ? colon + 1 : "6432";
}

/* One that was killed has a row for some seconds more; one that drains has no address. */
static bool
is_there(Arena *mem, const Home *home, const GatewayRecord *g)
{
	int fd = -1;

	if (*g->address)
		fd = local_connect(arena_printf(mem, "%s/" RING_FOLDER, home->dir),
		    arena_printf(mem, "%s.sock", g->id), SOCK_STREAM);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool
gateway_way(Ctx *cx, Home *home, const Placement *at, const Login *login, Way *way)
{
	GatewayRecords all;
	Secret password;
	size_t i = 0;
	bool own;

	if (!catalog_gateways(cx, home, &all))
		return false;
	while (i < all.n && !is_there(cx->mem, home, &all.at[i]))
		i++;
	if (i == all.n)
		return fail(cx, FAIL_NOT_FOUND,
		    arena_printf(cx->mem,
			"Start one: copyhold gateway run. Or, as an operator, take the server "
			"itself: copyhold route resolve %s --direct.",
			at->tenant),
		    "no gateway is running");
	const GatewayRecord *g = &all.at[i];
	*way = (Way){
		.dbname = at->tenant,
		.user = login->user,
		.passfile = home_gateway_passfile(cx->mem, home, at->tenant, login->user),
		.sslmode = !g->tls ? NULL
		    : g->ca        ? "verify-full"
				   : "require",
		.sslrootcert = g->ca,
		.gateway = g->id,
	};
	split_address(cx->mem, g->address, way);
	return catalog_client_password(cx, home, at->tenant, login->user, &password, &own) &&
	    write_passfile(cx, way, &password);
}

typedef struct Param {
	const char *uri, *env, *value;
} Param;

static void
as_uri(Buf *b, const Param *p, size_t n, const Way *way)
{
	Arena *mem = b->mem;

	buf_fmt(b, "postgresql://%s@", pg_quote_uri(mem, way->user));
	buf_add(b,
	    strchr(way->host, ':') ? arena_printf(mem, "[%s]", way->host)
				   : pg_quote_uri(mem, way->host));
	buf_fmt(b, ":%s/%s", way->port, pg_quote_uri(mem, way->dbname));
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
as_json(Buf *b, const Param *p, size_t n, const RouteRecord *route, const Way *way)
{
	Js *j = js_object(b->mem);
	static const char *const names[] = { "host", "port", "dbname", "user", "passfile",
		"sslmode", "sslrootcert" };

	js_set_text(j, "tenant", route->tenant);
	js_set_int(j, "epoch", route->epoch);
	if (way->gateway)
		js_set_text(j, "gateway", way->gateway);
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
	if (found && strcmp(route->state, "off") != 0)
		return true;
	return fail(cx, FAIL_REFUSED,
	    arena_printf(cx->mem, "See: copyhold tenant show %s.", tenant),
	    "the route of tenant \"%s\" is %s", tenant, found ? route->state : "not open yet");
}

bool
route_resolve(Ctx *cx, Home *home, const char *tenant, const char *user, bool direct,
    RouteFormat format, char **text)
{
	Buf b = buf_new(cx->mem);
	RouteRecord route;
	Placement *at;
	const Login *login;
	Way way = { 0 };

	if (!catalog_placement(cx, home, tenant, &at) || !open_route(cx, home, tenant, &route) ||
	    !(login = pick_login(cx, at, user)) ||
	    !(direct ? direct_way(cx, home, at, login, &way)
		     : gateway_way(cx, home, at, login, &way)))
		return false;
	const Param params[] = {
		{ NULL, "PGHOST", way.host },
		{ NULL, "PGPORT", way.port },
		{ NULL, "PGDATABASE", way.dbname },
		{ NULL, "PGUSER", way.user },
		{ "passfile", "PGPASSFILE", way.passfile },
		{ "sslmode", "PGSSLMODE", way.sslmode },
		{ "sslrootcert", "PGSSLROOTCERT", way.sslrootcert },
	};
	switch (format) {
	case ROUTE_URI:
		as_uri(&b, params, LENGTH(params), &way);
		break;
	case ROUTE_ENV:
		as_env(&b, params, LENGTH(params));
		break;
	case ROUTE_JSON:
		as_json(&b, params, LENGTH(params), &route, &way);
		break;
	}
	*text = b.text;
	return true;
}

/* The catalogue's side of the gateway: passwords of applications, routes as gateways read them. */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/core/catalog.h"
#include "lib/core/catalog.sql.h"
#include "lib/core/catalog_gateway.sql.h"

static SealPlace
login_place(const char *tenant, const char *user, const char *column)
{
	return (SealPlace){ .tenant = tenant,
		.schema = "catalog",
		.table = "login",
		.column = column,
		.key = user };
}

/* --- logins ----------------------------------------------------------------- */

ClientPassword
catalog_client_draw(Arena *mem)
{
	ClientPassword fresh = { .password = random_password(mem) };

	fresh.verifier = scram_verifier(mem, &fresh.password);
	return fresh;
}

/* No verifier, nothing sealed. */
static bool
client_seal(Ctx *cx, Home *home, const char *tenant, const char *user, const ClientPassword *client,
    Bytes *sealed)
{
	SealPlace place = login_place(tenant, user, "client_sealed");

	*sealed = (Bytes){ 0 };
	return !client->verifier || home_seal(cx, home, &place, &client->password, sealed);
}

bool
catalog_login_put_as(Ctx *cx, Home *home, const char *tenant, const Login *login,
    const Secret *password, const ClientPassword *client)
{
	SealPlace place = login_place(tenant, login->user, "sealed");
	Bytes sealed, ours;

	return home_seal(cx, home, &place, password, &sealed) &&
	    client_seal(cx, home, tenant, login->user, client, &ours) &&
	    lite_do(cx, home->db, &SQL_LOGIN_PUT, "tttttbiiitb", tenant, login->user, login->role,
		login->read_only ? "ro" : "rw", login->verifier, sealed, (int64_t)login->on,
		login->valid_until, login->max_conns, client->verifier, ours);
}

bool
catalog_login_put(
    Ctx *cx, Home *home, const char *tenant, const Login *login, const Secret *password)
{
	ClientPassword fresh = { 0 };
	LoginClient known;
	bool found;

	if (!catalog_client(cx, home, tenant, login->user, &known, &found))
		return false;
	if (!found) /* what is there is kept, and a key is dear to make */
		fresh = catalog_client_draw(cx->mem);
	return catalog_login_put_as(cx, home, tenant, login, password, &fresh);
}

bool
catalog_client_put(
    Ctx *cx, Home *home, const char *tenant, const char *user, const ClientPassword *client)
{
	Bytes sealed;

	return client_seal(cx, home, tenant, user, client, &sealed) &&
	    lite_do(cx, home->db, &SQL_LOGIN_CLIENT_PUT, "tttb", tenant, user, client->verifier,
		sealed);
}

bool
catalog_client(
    Ctx *cx, Home *home, const char *tenant, const char *user, LoginClient *out, bool *found)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_LOGIN_CLIENT, &rows, "tt", tenant, user))
		return false;
	*found = lite_next(rows);
	if (*found)
		*out = (LoginClient){
			.verifier = lite_text(rows, 0),
			.role_verifier = lite_text(rows, 1),
			.valid_until = lite_int(rows, 2),
			.max_conns = lite_int(rows, 3),
			.own = lite_int(rows, 4) != 0,
		};
	return lite_end(cx, rows);
}

bool
catalog_client_password(
    Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out, bool *own)
{
	SealPlace place = login_place(tenant, user, "client_sealed");
	LiteRows *rows;
	Bytes sealed = { 0 };

	if (!lite_query(cx, home->db, &SQL_LOGIN_CLIENT_SEALED, &rows, "tt", tenant, user))
		return false;
	if (lite_next(rows))
		sealed = lite_bytes(rows, 0);
	if (!lite_end(cx, rows))
		return false;
	*own = sealed.at != NULL;
	return sealed.at ? home_unseal(cx, home, &place, sealed, out)
			 : catalog_login_password(cx, home, tenant, user, out);
}

/* --- routes ----------------------------------------------------------------- */

static bool
one_row(Ctx *cx, LiteRows *rows, bool *there)
{
	*there = lite_next(rows);
	while (lite_next(rows)) /* a change that is not read to its end is not made */
		;
	return lite_end(cx, rows);
}

bool
catalog_route_park(Ctx *cx, Home *home, const char *tenant, int64_t until_ms, bool *parked)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_ROUTE_PARK, &rows, "ti", tenant, until_ms) &&
	    one_row(cx, rows, parked);
}

bool
catalog_route_release(Ctx *cx, Home *home, const char *tenant, bool *was_parked)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_ROUTE_RELEASE, &rows, "t", tenant) &&
	    one_row(cx, rows, was_parked);
}

bool
catalog_gate_seq(Ctx *cx, Home *home, int64_t *seq)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_GATE_SEQ, &rows, ""))
		return false;
	if (lite_next(rows))
		*seq = lite_int(rows, 0);
	return lite_end(cx, rows);
}

bool
catalog_gate_figures(Ctx *cx, Home *home, GateFigures *out)
{
	LiteRows *rows;

	if (!lite_query(cx, home->db, &SQL_GATE_FIGURES, &rows, ""))
		return false;
	if (lite_next(rows))
		*out = (GateFigures){ lite_int(rows, 0), lite_int(rows, 1) };
	return lite_end(cx, rows);
}

static GateRoute
gate_route(LiteRows *rows)
{
	const char *state = lite_text(rows, 8), *pool = lite_text(rows, 9);

	return (GateRoute){
		.tenant = lite_text(rows, 0),
		.number = lite_int(rows, 1),
		.epoch = lite_int(rows, 2),
		.seq = lite_int(rows, 3),
		.state = lite_text(rows, 4),
		.parked_until = lite_int(rows, 5),
		.cluster = lite_int(rows, 6),
		.dbname = lite_text(rows, 7),
		.suspended = strcmp(state, "suspended") == 0,
		.transaction = pool && strcmp(pool, "transaction") == 0,
		.guarded = lite_int(rows, 10) != 0,
		.cap = lite_int(rows, 11),
	};
}

bool
catalog_gate_routes(Ctx *cx, Home *home, const char *tenant, GateRoutes *out)
{
	LiteRows *rows;
	GateRoutes all = { 0 };
	bool asked = tenant ? lite_query(cx, home->db, &SQL_GATE_ROUTE, &rows, "t", tenant)
			    : lite_query(cx, home->db, &SQL_GATE_ROUTES, &rows, "");

	if (!asked)
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, gate_route(rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

static GateLogin
gate_login(LiteRows *rows)
{
	return (GateLogin){
		.tenant = lite_text(rows, 0),
		.user = lite_text(rows, 1),
		.role = lite_text(rows, 2),
		.on = lite_int(rows, 3) != 0,
		.valid_until = lite_int(rows, 4),
		.max_conns = lite_int(rows, 5),
	};
}

bool
catalog_gate_logins(Ctx *cx, Home *home, const char *tenant, GateLogins *out)
{
	LiteRows *rows;
	GateLogins all = { 0 };
	bool asked = tenant ? lite_query(cx, home->db, &SQL_GATE_LOGINS_OF, &rows, "t", tenant)
			    : lite_query(cx, home->db, &SQL_GATE_LOGINS, &rows, "");

	if (!asked)
		return false;
	while (lite_next(rows))
		vec_push(cx->mem, &all, gate_login(rows));
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_gate_changes(Ctx *cx, Home *home, int64_t since, GateChanges *out)
{
	LiteRows *rows;
	GateChanges all = { 0 };

	if (!lite_query(cx, home->db, &SQL_GATE_CHANGES, &rows, "i", since))
		return false;
	while (lite_next(rows)) {
		GateChange c = { .seq = lite_int(rows, 0), .name = lite_text(rows, 1) };
		vec_push(cx->mem, &all, c);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

bool
catalog_gate_clusters(Ctx *cx, Home *home, GateClusters *out)
{
	LiteRows *rows;
	GateClusters all = { 0 };

	if (!lite_query(cx, home->db, &SQL_GATE_CLUSTERS, &rows, ""))
		return false;
	while (lite_next(rows)) {
		GateCluster c = {
			.number = lite_int(rows, 0),
			.name = lite_text(rows, 1),
			.seq = lite_int(rows, 2),
		};
		vec_push(cx->mem, &all, c);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

/* The text is canonical JSON of our own; what is none says nothing. */
bool
catalog_gateway_spec(Ctx *cx, Home *home, const char *tenant, const char *spec)
{
	Ctx own = ctx_new(cx->mem);
	Js *record;
	const Js *g = NULL;

	if (js_parse(&own, spec, strlen(spec), &record))
		g = js_get(js_get(record, "spec"), "gateway");
	bool said = js_get(g, "guard") != NULL;
	bool ok = lite_do(cx, home->db, &SQL_TENANT_GATEWAY, "ttii", tenant, js_get_text(g, "pool"),
	    said ? (int64_t)js_get_bool(g, "guard", false) : (int64_t)-1,
	    js_get_int(g, "connections", 0));
	arena_free(own.mem);
	return ok;
}

/* --- gateways ----------------------------------------------------------------- */

/* The rows of those that ended without a word go when the next one begins. */
bool
catalog_gateway_put(Ctx *cx, Home *home, const GatewayRecord *g)
{
	return lite_do(cx, home->db, &SQL_GATEWAY_FORGET, "i", clock_wall_ms()) &&
	    lite_do(cx, home->db, &SQL_GATEWAY_PUT, "tititii", g->id, g->pid, g->address,
		(int64_t)g->tls, g->ca, g->since, g->lease_until);
}

bool
catalog_gateway_renew(Ctx *cx, Home *home, const char *id, int64_t lease_until, bool *there)
{
	LiteRows *rows;

	return lite_query(cx, home->db, &SQL_GATEWAY_RENEW, &rows, "ti", id, lease_until) &&
	    one_row(cx, rows, there);
}

bool
catalog_gateway_hide(Ctx *cx, Home *home, const char *id)
{
	return lite_do(cx, home->db, &SQL_GATEWAY_HIDE, "t", id);
}

bool
catalog_gateway_remove(Ctx *cx, Home *home, const char *id)
{
	return lite_do(cx, home->db, &SQL_GATEWAY_REMOVE, "t", id);
}

bool
catalog_gateways(Ctx *cx, Home *home, GatewayRecords *out)
{
	LiteRows *rows;
	GatewayRecords all = { 0 };

	if (!lite_query(cx, home->db, &SQL_GATEWAY_LIST, &rows, "i", clock_wall_ms()))
		return false;
	while (lite_next(rows)) {
		GatewayRecord g = {
			.id = lite_text(rows, 0),
			.pid = lite_int(rows, 1),
			.address = lite_text(rows, 2),
			.tls = lite_int(rows, 3) != 0,
			.ca = lite_text(rows, 4),
			.since = lite_int(rows, 5),
			.lease_until = lite_int(rows, 6),
		};
		vec_push(cx->mem, &all, g);
	}
	if (!lite_end(cx, rows))
		return false;
	*out = all;
	return true;
}

#include <string.h>
#include <sys/stat.h>

#include "cli/app.h"
#include "region/gateway/ask.h"
#include "region/gateway/master.h"
#include "region/gateway/worker.h"

static struct {
	OptList listen, sni;
	const char *address, *cert, *key, *ca, *user, *metrics, *limits;
	const char *about;
	int64_t workers, max_clients, tenant_connections, tenant_clients, guard_savepoints;
	int64_t wait, login, connect, idle, drain, guard_statement, guard_idle, guard_bytes;
} arg = {
	.user = "nobody",
	.workers = 2,
	.max_clients = 10000,
	.tenant_connections = 20,
	.wait = 30000,
	.login = 10000,
	.connect = 5000,
	.idle = 600000,
	.drain = 30000,
	.guard_statement = 30000,
	.guard_idle = 60000,
	.guard_bytes = INT64_C(268435456),
	.guard_savepoints = 64,
};

#define GUARD_TEXT (256 * 1024)

/* --- run ----------------------------------------------------------------------------- */

static bool
in_range(Ctx *cx, const char *option, int64_t value, int64_t least, int64_t most)
{
	return (value >= least && value <= most) ||
	    fail(cx, FAIL_USAGE, NULL, "--%s takes %lld to %lld, and not %lld", option,
		(long long)least, (long long)most, (long long)value);
}

static bool
check_options(Ctx *cx)
{
	return in_range(cx, "workers", arg.workers, 1, LINK_WORKERS) &&
	    in_range(cx, "max-clients", arg.max_clients, 1, 1000000) &&
	    in_range(cx, "tenant-connections", arg.tenant_connections, 1, 10000) &&
	    in_range(cx, "tenant-clients", arg.tenant_clients, 0, 1000000) &&
	    in_range(cx, "guard-savepoints", arg.guard_savepoints, 1, 100000) &&
	    in_range(cx, "guard-answer", arg.guard_bytes, 0, INT64_C(1) << 50);
}

static LinkLimits
limits(void)
{
	return (LinkLimits){
		.clients = (int32_t)arg.max_clients,
		.tenant_servers = (int32_t)arg.tenant_connections,
		.tenant_clients = (int32_t)arg.tenant_clients,
		.login_ms = arg.login,
		.wait_ms = arg.wait,
		.connect_ms = arg.connect,
		.idle_server_ms = arg.idle,
		.guard_statement_ms = arg.guard_statement,
		.guard_idle_ms = arg.guard_idle,
		.guard_bytes = arg.guard_bytes,
		.guard_text = GUARD_TEXT,
		.guard_savepoints = (int32_t)arg.guard_savepoints,
	};
}

static ExitCode
run_gateway(void *ptr)
{
	App *app = ptr;
	const GatewaySpec spec = {
		.listen = &arg.listen,
		.address = arg.address,
		.cert = arg.cert,
		.key = arg.key,
		.ca = arg.ca,
		.sni = &arg.sni,
		.user = arg.user,
		.metrics = arg.metrics,
		.workers = arg.workers,
		.drain_ms = arg.drain,
		.limits = limits(),
		.limits_file = arg.limits,
	};

	if (!check_options(app->cx) || !gateway_run(app->cx, app->home, &spec))
		return app_fail(app);
	return EXIT_DONE;
}

/* Started by the master alone, with descriptors that nobody else has. */
static ExitCode
run_worker(void *ptr)
{
	App *app = ptr;
	struct stat link, counters;

	if (fstat(WORKER_LINK, &link) != 0 || !S_ISSOCK(link.st_mode) ||
	    fstat(WORKER_COUNTERS, &counters) != 0 || !S_ISREG(counters.st_mode)) {
		fail(app->cx, FAIL_USAGE, "Start the gateway: copyhold gateway run.",
		    "a worker has nothing to do by itself");
		return app_fail(app);
	}
	return gateway_worker(app->cx) ? EXIT_DONE : app_fail(app);
}

/* --- what is asked --------------------------------------------------------------------- */

static void
cell(Table *t, const Column *c, const Js *row)
{
	const char *text;

	switch (c->type) {
	case CELL_INT:
		table_int(t, js_get_int(row, c->key, 0));
		break;
	case CELL_BOOL:
		table_bool(t, js_get_bool(row, c->key, false));
		break;
	case CELL_TEXT:
	case CELL_RAW:
		text = js_get_text(row, c->key);
		table_cell(t, text ? text : "");
		break;
	}
}

static const char *
missing(Arena *mem, const GatewayAnswer *a)
{
	int64_t silent = js_get_int(a->said, "silent", 0);

	if (!a->said)
		return a->why;
	return silent ? arena_printf(mem, "%lld of its workers did not answer", (long long)silent)
		      : NULL;
}

/* The rows of all gateways under one another; who did not answer is said on stderr. */
static ExitCode
print_rows(App *app, const char *what, const char *member, const char *about, const Column *columns,
    size_t n)
{
	GatewayAnswers all;
	Table *t = table_new(app->cx->mem, app->output, columns, n);
	ExitCode code = EXIT_DONE;

	if (!ask_some(app->cx, app->home, what, about, &all))
		return app_fail(app);
	for (size_t i = 0; i < all.n; i++) {
		const GatewayAnswer *a = &all.at[i];
		const Js *rows = js_get(a->said, member);
		for (size_t k = 0; k < js_count(rows); k++) {
			table_cell(t, a->gateway.id);
			for (size_t c = 1; c < n; c++)
				cell(t, &columns[c], js_at(rows, k));
		}
		if (!missing(app->cx->mem, a))
			continue;
		log_say("gateway %s: %s", a->gateway.id, missing(app->cx->mem, a));
		code = EXIT_UNREACHABLE;
	}
	table_print(t, stdout);
	return code;
}

static const Column status_columns[] = {
	{ "gateway", "GATEWAY", CELL_TEXT, false },
	{ "worker", "WORKER", CELL_INT, true },
	{ "lease", "LEASE", CELL_BOOL, false },
	{ "seq", "SEQ", CELL_INT, true },
	{ "clients", "CLIENTS", CELL_INT, true },
	{ "active", "ACTIVE", CELL_INT, true },
	{ "waiting", "WAITING", CELL_INT, true },
	{ "parked", "PARKED", CELL_INT, true },
	{ "servers", "SERVERS", CELL_INT, true },
	{ "idle_servers", "IDLE", CELL_INT, true },
	{ "queries", "QUERIES", CELL_INT, true },
	{ "transactions", NULL, CELL_INT, true },
	{ "logins", "LOGINS", CELL_INT, true },
	{ "logins_failed", "FAILED", CELL_INT, true },
	{ "cancels", NULL, CELL_INT, true },
	{ "refused", NULL, CELL_INT, true },
	{ "bytes_in", NULL, CELL_INT, true },
	{ "bytes_out", NULL, CELL_INT, true },
};

static const Column pool_columns[] = {
	{ "gateway", "GATEWAY", CELL_TEXT, false },
	{ "worker", "WORKER", CELL_INT, true },
	{ "tenant", "TENANT", CELL_TEXT, false },
	{ "user", "LOGIN", CELL_TEXT, false },
	{ "mode", "MODE", CELL_TEXT, false },
	{ "clients", "CLIENTS", CELL_INT, true },
	{ "active", "ACTIVE", CELL_INT, true },
	{ "idle", "IDLE", CELL_INT, true },
	{ "waiting", "WAITING", CELL_INT, true },
	{ "oldest_wait_ms", "WAIT MS", CELL_INT, true },
};

static const Column client_columns[] = {
	{ "gateway", "GATEWAY", CELL_TEXT, false },
	{ "worker", "WORKER", CELL_INT, true },
	{ "user", "LOGIN", CELL_TEXT, false },
	{ "from", "FROM", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "since_ms", "SINCE MS", CELL_INT, true },
	{ "application", "APPLICATION", CELL_TEXT, false },
	{ "pinned", "PINNED", CELL_BOOL, false },
};

static const Column server_columns[] = {
	{ "gateway", "GATEWAY", CELL_TEXT, false },
	{ "worker", "WORKER", CELL_INT, true },
	{ "cluster", "CLUSTER", CELL_TEXT, false },
	{ "tenant", "TENANT", CELL_TEXT, false },
	{ "role", "ROLE", CELL_TEXT, false },
	{ "state", "STATE", CELL_TEXT, false },
	{ "pid", "PID", CELL_INT, true },
	{ "since_ms", "SINCE MS", CELL_INT, true },
};

static ExitCode
run_status(void *ptr)
{
	return print_rows(ptr, "status", "workers", NULL, status_columns, LENGTH(status_columns));
}

static ExitCode
run_pools(void *ptr)
{
	return print_rows(ptr, "pools", "pools", NULL, pool_columns, LENGTH(pool_columns));
}

static ExitCode
run_clients(void *ptr)
{
	App *app = ptr;
	TenantRecord t;

	if (!catalog_tenant(app->cx, app->home, arg.about, &t))
		return app_fail(app);
	return print_rows(
	    app, "clients", "clients", t.name, client_columns, LENGTH(client_columns));
}

static ExitCode
run_servers(void *ptr)
{
	App *app = ptr;
	Cluster *c;

	if (arg.about && !catalog_cluster(app->cx, app->home, arg.about, &c))
		return app_fail(app);
	return print_rows(
	    app, "servers", "servers", arg.about, server_columns, LENGTH(server_columns));
}

static const Option run_options[] = {
	{ OPT_LIST, "listen", 'l', "WHERE", &arg.listen,
	    "ADDRESS:PORT, or the folder of a unix socket (FOLDER:PORT); default 127.0.0.1:6432",
	    NULL, false },
	{ OPT_TEXT, "address", 0, "HOST:PORT", &arg.address,
	    "what clients are told to connect to, if that is another one", NULL, false },
	{ OPT_INT, "workers", 'w', "N", &arg.workers, "processes that serve clients (default 2)",
	    NULL, false },
	{ OPT_TEXT, "tls-cert", 0, "FILE", &arg.cert, "our certificate, with its issuers, as PEM",
	    NULL, false },
	{ OPT_TEXT, "tls-key", 0, "FILE", &arg.key, "its key, as PEM, mode 0600", NULL, false },
	{ OPT_TEXT, "tls-ca", 0, "FILE", &arg.ca,
	    "by which clients check it: route resolve names it", NULL, false },
	{ OPT_LIST, "sni-domain", 0, "DOMAIN", &arg.sni,
	    "a tenant is also found by TLS SNI: TENANT.DOMAIN", NULL, false },
	{ OPT_TEXT, "user", 0, "NAME", &arg.user,
	    "whom the workers become when started as root (default nobody)", NULL, false },
	{ OPT_TEXT, "metrics", 0, "ADDRESS:PORT", &arg.metrics,
	    "GET /metrics for Prometheus, on this machine", NULL, false },
	{ OPT_TEXT, "limits", 0, "FILE", &arg.limits,
	    "limits as YAML (tenantClients: 200); before the options here, and read again at "
	    "SIGHUP",
	    NULL, false },
	{ OPT_INT, "max-clients", 0, "N", &arg.max_clients, "of each worker (default 10000)", NULL,
	    false },
	{ OPT_INT, "tenant-connections", 0, "N", &arg.tenant_connections,
	    "server connections of a tenant that says nothing else (default 20)", NULL, false },
	{ OPT_INT, "tenant-clients", 0, "N", &arg.tenant_clients,
	    "clients of a tenant, in each worker (default: no limit)", NULL, false },
	{ OPT_SPAN, "wait", 0, "TIME", &arg.wait,
	    "for a server connection; then 53300 (default 30s)", NULL, false },
	{ OPT_SPAN, "login-timeout", 0, "TIME", &arg.login,
	    "a client has so long to log in (default 10s)", NULL, false },
	{ OPT_SPAN, "connect-timeout", 0, "TIME", &arg.connect,
	    "a server has so long to take a connection (default 5s)", NULL, false },
	{ OPT_SPAN, "idle-servers", 0, "TIME", &arg.idle,
	    "server connections that nobody uses are closed (default 10m)", NULL, false },
	{ OPT_SPAN, "drain", 0, "TIME", &arg.drain, "at SIGTERM clients have so long (default 30s)",
	    NULL, false },
	{ OPT_SPAN, "guard-statement", 0, "TIME", &arg.guard_statement,
	    "guarded tenants: longest statement (default 30s)", NULL, false },
	{ OPT_SPAN, "guard-idle", 0, "TIME", &arg.guard_idle,
	    "guarded tenants: longest idleness in a transaction (default 60s)", NULL, false },
	{ OPT_INT, "guard-answer", 0, "BYTES", &arg.guard_bytes,
	    "guarded tenants: largest answer; 0: no limit (default 268435456)", NULL, false },
	{ OPT_INT, "guard-savepoints", 0, "N", &arg.guard_savepoints,
	    "guarded tenants: open savepoints (default 64)", NULL, false },
	{ OPT_END, NULL, 0, NULL, NULL, NULL, NULL, false },
};

const Command cmd_gateway_run = {
	.name = "gateway run",
	.summary = "serve the tenants' clients: one address for all databases",
	.detail = "Clients name their tenant by database, by user (app.acme), by options "
		  "(-ctenant=acme) or by TLS SNI; see docs/gateway.md. SIGTERM lets them finish, "
		  "SIGHUP reads certificates, the files of clusters and --limits again.",
	.access = ACCESS_WRITES,
	.run = run_gateway,
	.options = run_options,
};
const Command cmd_gateway_worker = {
	.name = "gateway worker",
	.summary = "what \"gateway run\" starts",
	.access = ACCESS_NONE,
	.run = run_worker,
	.hidden = true,
};
const Command cmd_gateway_status = {
	.name = "gateway status",
	.summary = "what the workers of the gateways do",
	.access = ACCESS_READS,
	.run = run_status,
};
const Command cmd_gateway_pools = {
	.name = "gateway pools",
	.summary = "who shares which server connections",
	.access = ACCESS_READS,
	.run = run_pools,
};
const Command cmd_gateway_clients = {
	.name = "gateway clients",
	.summary = "a tenant's clients",
	.access = ACCESS_READS,
	.run = run_clients,
	.args = { { "TENANT", &arg.about, "the tenant", false } },
};
const Command cmd_gateway_servers = {
	.name = "gateway servers",
	.summary = "the connections to servers",
	.access = ACCESS_READS,
	.run = run_servers,
	.args = { { "CLUSTER", &arg.about, "only to this cluster", true } },
};

#include "region/gateway/limits.h"

#include "lib/adapters/yaml.h"
#include "lib/base/file.h"
#include "lib/core/keys.h"

#define FILE_MAX ((size_t)64 << 10)
#define DAY_MS   INT64_C(86400000)

typedef struct Said {
	int64_t connections, clients, wait, login, connect, idle;
	int64_t statement, idleness, answer, savepoints;
} Said;

#define AT(member) .offset = offsetof(Said, member)

/* The names are those of the options of `gateway run`, as manifests write names. */
static const Key keys[] = {
	{ KEY_INT, "tenantConnections", AT(connections), .min = 1, .max = 10000 },
	{ KEY_INT, "tenantClients", AT(clients), .max = 1000000 },
	{ KEY_SPAN, "wait", AT(wait), .max = DAY_MS },
	{ KEY_SPAN, "loginTimeout", AT(login), .max = DAY_MS },
	{ KEY_SPAN, "connectTimeout", AT(connect), .max = DAY_MS },
	{ KEY_SPAN, "idleServers", AT(idle), .max = DAY_MS },
	{ KEY_SPAN, "guardStatement", AT(statement), .max = DAY_MS },
	{ KEY_SPAN, "guardIdle", AT(idleness), .max = DAY_MS },
	{ KEY_INT, "guardAnswer", AT(answer), .max = INT64_C(1) << 50 },
	{ KEY_INT, "guardSavepoints", AT(savepoints), .min = 1, .max = 100000 },
	{ .type = KEY_END },
};

static const KeyTable table = { "limits", sizeof(Said), -1, keys, "Limits of a gateway" };

static void
take(const Node *map, const Said *said, LinkLimits *l)
{
	if (node_get(map, "tenantConnections"))
		l->tenant_servers = (int32_t)said->connections;
	if (node_get(map, "tenantClients"))
		l->tenant_clients = (int32_t)said->clients;
	if (node_get(map, "wait"))
		l->wait_ms = said->wait;
	if (node_get(map, "loginTimeout"))
		l->login_ms = said->login;
	if (node_get(map, "connectTimeout"))
		l->connect_ms = said->connect;
	if (node_get(map, "idleServers"))
		l->idle_server_ms = said->idle;
	if (node_get(map, "guardStatement"))
		l->guard_statement_ms = said->statement;
	if (node_get(map, "guardIdle"))
		l->guard_idle_ms = said->idleness;
	if (node_get(map, "guardAnswer"))
		l->guard_bytes = said->answer;
	if (node_get(map, "guardSavepoints"))
		l->guard_savepoints = (int32_t)said->savepoints;
}

static bool
load(Ctx *cx, const char *file, const char *text, size_t n, LinkLimits *limits)
{
	Said said = { 0 };
	Node **docs;

	if (!yaml_parse(cx, file, text, n, &docs))
		return false;
	if (!docs[0])
		return true;
	if (docs[1])
		return keys_wrong(
		    cx, docs[1]->place, "Put all limits into one map.", "limits are one document");
	if (!keys_load(cx, &table, docs[0], &said))
		return false;
	take(docs[0], &said, limits);
	return true;
}

bool
limits_read(Ctx *cx, const char *file, LinkLimits *limits)
{
	char *text;
	size_t n;

	return (file_read(cx, file, FILE_MAX, &text, &n) && load(cx, file, text, n, limits)) ||
	    fail_in(cx, "reading the gateway's limits");
}

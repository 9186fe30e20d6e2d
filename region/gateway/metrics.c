/* GET /metrics, as Prometheus reads it (text format 0.0.4): what the workers said within the last second. */
#include <string.h>

#include "lib/adapters/serve.h"
#include "region/gateway/master_intern.h"

typedef struct Metric {
	const char *name, *key, *help;
	bool counter;
} Metric;

static const Metric metrics[] = {
	{ "clients", "clients", "clients that are logged in", false },
	{ "clients_active", "active", "clients that have a server connection", false },
	{ "clients_waiting", "waiting", "clients that wait for a server connection", false },
	{ "clients_parked", "parked", "clients whose tenant's route is parked", false },
	{ "servers", "servers", "server connections", false },
	{ "servers_idle", "idle_servers", "server connections that nobody uses", false },
	{ "queries_total", "queries", "queries, and ends of pipelines", true },
	{ "transactions_total", "transactions", "transactions that have ended", true },
	{ "logins_total", "logins", "clients that have logged in", true },
	{ "logins_failed_total", "logins_failed", "clients that could not", true },
	{ "cancels_total", "cancels", "cancel requests that reached a query", true },
	{ "refused_total", "refused", "statements and connections that were refused", true },
	{ "bytes_in_total", "bytes_in", "bytes from clients", true },
	{ "bytes_out_total", "bytes_out", "bytes to clients", true },
	{ "seq", "seq", "the last change of routes that is in use", false },
};

static void
add_metric(Buf *b, const Metric *k, Js *const *said, uint32_t n)
{
	buf_fmt(b, "# HELP copyhold_gateway_%s %s\n# TYPE copyhold_gateway_%s %s\n", k->name,
	    k->help, k->name, k->counter ? "counter" : "gauge");
	for (uint32_t i = 0; i < n; i++)
		if (said[i])
			buf_fmt(b, "copyhold_gateway_%s{worker=\"%u\"} %lld\n", k->name, i,
			    (long long)js_get_int(said[i], k->key, 0));
}

static char *
metrics_text(Arena *mem, const Master *m)
{
	Buf b = buf_new(mem);
	Js *said[LINK_WORKERS] = { NULL };
	Ctx own = ctx_new(mem);

	for (uint32_t i = 0; i < m->ncrew; i++)
		if (m->crew[i].status[0] &&
		    !js_parse(&own, m->crew[i].status, strlen(m->crew[i].status), &said[i]))
			fail_clear(&own);
	buf_fmt(&b,
	    "# HELP copyhold_gateway_workers workers that run\n"
	    "# TYPE copyhold_gateway_workers gauge\n"
	    "copyhold_gateway_workers %u\n",
	    crew_left(m));
	for (size_t i = 0; i < LENGTH(metrics); i++)
		add_metric(&b, &metrics[i], said, m->ncrew);
	return b.text;
}

static bool
answer(Ctx *cx, void *ptr, const ServeRequest *request, ServeAnswer *out)
{
	bool known = strcmp(request->path, "/metrics") == 0;

	*out = (ServeAnswer){ .status = known ? 200 : 404,
		.type = known ? "text/plain; version=0.0.4" : "text/plain",
		.body = known ? metrics_text(cx->mem, ptr) : "see /metrics\n" };
	return true;
}

bool
metrics_open(Ctx *cx, Master *m)
{
	const ServeSpec spec = {
		.listen = m->spec->metrics,
		.plain_hint = "Give --metrics an address of this machine, such as 127.0.0.1:9187.",
		.answer = answer,
		.ptr = m,
		.loop = m->loop,
	};
	Serve *s;

	return !spec.listen || serve_open(cx, &spec, &s);
}

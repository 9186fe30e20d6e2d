/* What a switch would do, and what stands in its way. */
#include <stdarg.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "region/gateway/ask.h"
#include "region/route/switch.sql.h"
#include "region/route/switch_intern.h"

typedef struct Look { /* what a plan is made from */
	Home *home;
	const SwitchWish *wish;
	TenantRecord tenant;
	SwitchSides s;
	Placement there; /* the tenant as it would be on the new side */
	const SwitchBy *by;
	SwitchPlan *plan;
} Look;

void
switch_found(Ctx *cx, SwitchPlan *plan, const char *what, const char *hint, const char *fmt, ...)
{
	SwitchFinding f = { .what = what, .ok = hint == NULL, .hint = hint };
	va_list ap;

	va_start(ap, fmt);
	f.said = arena_vprintf(cx->mem, fmt, ap);
	va_end(ap);
	vec_push(cx->mem, &plan->findings, f);
	plan->red += hint != NULL;
}

char *
switch_roles(Arena *mem, const Placement *at)
{
	Buf b = buf_new(mem);

	buf_addc(&b, '{');
	for (size_t i = 0; i < at->logins.n; i++) {
		buf_add(&b, i ? ",\"" : "\"");
		for (const char *p = at->logins.at[i].role; *p; p++) {
			if (*p == '"' || *p == '\\')
				buf_addc(&b, '\\');
			buf_addc(&b, *p);
		}
		buf_addc(&b, '"');
	}
	buf_addc(&b, '}');
	return b.text;
}

/* A look that fails is a finding: the others are made all the same. */
static void
could_not(Ctx *cx, Look *l, const char *what, Ctx *own)
{
	const Fail *f = own->fail;

	switch_found(cx, l->plan, what,
	    f->hint ? arena_dup(cx->mem, f->hint) : "Mend it, then run it again.", "%s", f->what);
	arena_free(own->mem);
}

/* --- may this tenant go there at all -------------------------------------------------- */

static bool
check_tenant(Ctx *cx, Look *l)
{
	const TenantRecord *t = &l->tenant;
	RouteRecord route;
	bool found;

	if (t->mode == MODE_SHARED)
		return fail(cx, FAIL_REFUSED,
		    "Change the address of its cluster in the manifest, and apply it.",
		    "tenant \"%s\" is in the shared database \"%s\", which moves as a whole, with all "
		    "its tenants, when the address of its cluster changes",
		    t->name, t->shared);
	if (t->state != TENANT_ACTIVE)
		return fail(cx, FAIL_REFUSED,
		    arena_printf(cx->mem, "See: copyhold tenant show %s.", t->name),
		    "tenant \"%s\" is %s and cannot be switched", t->name,
		    tenant_state_name(t->state));
	if (strcmp(t->cluster, l->wish->to) == 0)
		return fail(cx, FAIL_REFUSED, "Name another cluster: --to.",
		    "tenant \"%s\" is on \"%s\" already", t->name, t->cluster);
	if (!catalog_route(cx, l->home, t->name, &route, &found))
		return false;
	return (found && strcmp(route.state, "off") != 0) ||
	    fail(cx, FAIL_REFUSED, "See: copyhold route show.",
		"the route of tenant \"%s\" is not open", t->name);
}

static bool
loaded(Ctx *cx, Home *home, const char *kind, const char *name, const void **out)
{
	char *spec, *hash;
	void *object = NULL;

	if (!catalog_object(cx, home, kind, name, &spec, &hash) ||
	    (spec && !manifest_from_json(cx, kind, name, spec, &object)))
		return false;
	*out = object;
	return true;
}

static bool
check_residency(Ctx *cx, Look *l)
{
	const void *tenant, *region;

	if (!loaded(cx, l->home, "Tenant", l->tenant.name, &tenant) ||
	    !loaded(cx, l->home, "Region", l->s.to->region, &region))
		return false;
	const char *stay = tenant ? ((const Tenant *)tenant)->residency : NULL;
	const char *country = region ? ((const Region *)region)->country : "?";
	bool fits = !stay || strcmp(stay, country) == 0;

	switch_found(cx, l->plan, "residency", fits ? NULL : "Name a cluster in that country.",
	    fits ? "region \"%s\" is in %s" : "region \"%s\" is in %s and the data must stay in %s",
	    l->s.to->region, country, stay);
	return true;
}

static void
check_mode(Ctx *cx, Look *l)
{
	const Names *modes = &l->s.to->modes;
	const char *mode = mode_name(l->tenant.mode);
	bool fits = !modes->n || names_have(modes, mode);

	switch_found(cx, l->plan, "mode",
	    fits ? NULL
		 : arena_printf(
		       cx->mem, "Add %s to the modes of cluster \"%s\".", mode, l->s.to->name),
	    fits ? "\"%s\" takes mode %s" : "\"%s\" does not take mode %s", l->s.to->name, mode);
}

/* --- the servers ------------------------------------------------------------------------ */

static bool
choose(Ctx *cx, Look *l, const SwitchIdentity *from, const SwitchIdentity *to)
{
	l->by = l->wish->by ? switch_by(l->wish->by) : switch_by_fit(from, to);
	if (l->wish->by && !l->by)
		return fail(cx, FAIL_USAGE, "It is one of same, standby, copy.",
		    "there is no way \"%s\" of catching up", l->wish->by);
	if (l->by)
		return true;
	switch_found(cx, l->plan, "data",
	    "Name the cluster of another address of the same server, or of its streaming standby, "
	    "or have the rows copied: --by copy.",
	    "\"%s\" has no database of tenant \"%s\" that follows the one on \"%s\"", l->s.to->name,
	    l->tenant.name, l->tenant.cluster);
	return true;
}

static bool
check_versions(Ctx *cx, Look *l)
{
	SwitchIdentity from, to;

	if (!switch_identity(cx, l->s.conns, l->s.at, l->s.at->cluster, &from) ||
	    !switch_identity(cx, l->s.conns, l->s.at, l->s.to, &to) || !choose(cx, l, &from, &to))
		return false;
	if (l->by && l->by->copy)
		return l->by->check(cx, &l->s, l->plan);
	if (!l->by || !*to.oid)
		return true;
	bool fits = to.version >= from.version && strcmp(from.locale, to.locale) == 0;

	switch_found(cx, l->plan, "version",
	    fits ? NULL
		 : "Name a cluster of the same or a newer version, with the same collations.",
	    fits ? "PostgreSQL %lld, %s" : "PostgreSQL %lld, %s, and the old one %lld, %s",
	    (long long)to.version, to.locale, (long long)from.version, from.locale);
	return l->by->check(cx, &l->s, l->plan);
}

static void
check_setup(Ctx *cx, Look *l)
{
	Ctx own = ctx_new(cx->mem);

	if (!place_driver(l->tenant.mode)->preflight(&own, l->s.conns, &l->there, true)) {
		could_not(cx, l, "setup", &own);
		return;
	}
	arena_free(own.mem);
	switch_found(cx, l->plan, "setup", NULL, "it is set up, and our login has its rights");
}

/* The passwords that gateways log in with are valid there. */
static void
check_logins(Ctx *cx, Look *l)
{
	const PlaceDriver *d = place_driver(l->tenant.mode);

	for (size_t i = 0; i < l->there.logins.n; i++) {
		const Login *login = &l->there.logins.at[i];
		Ctx own = ctx_new(cx->mem);
		Secret password;
		bool ok;
		if (!catalog_login_password(
			&own, l->home, l->tenant.name, login->user, &password) ||
		    !d->login_ok(&own, &l->there, login, &password, &ok)) {
			could_not(cx, l, "login", &own);
			continue;
		}
		arena_free(own.mem);
		switch_found(cx, l->plan, "login",
		    ok ? NULL
		       : arena_printf(cx->mem, "Renew it: copyhold login rotate %s %s.",
			     l->tenant.name, login->user),
		    ok ? "\"%s\" logs in there" : "\"%s\" cannot log in there", login->user);
	}
}

/* On a customer's server CONNECT must be ours to take, or there is no fence. */
static bool
check_fence(Ctx *cx, Look *l)
{
	Ctx own = ctx_new(cx->mem);
	Placement here = *l->s.at;
	Items items = { 0 };

	if (l->tenant.mode != MODE_CUSTOMER_DB) {
		arena_free(own.mem);
		return true;
	}
	if (!place_driver(here.mode)->preflight(&own, l->s.conns, &here, true) ||
	    !place_driver(here.mode)->observe(&own, l->s.conns, &here, &items)) {
		could_not(cx, l, "fence", &own);
		return true;
	}
	bool open = false;
	for (size_t i = 0; i < items.n; i++)
		open = open ||
		    (strcmp(items.at[i].name, "PUBLIC") == 0 &&
			strcmp(items.at[i].object, here.dbname) == 0 &&
			strstr(items.at[i].def, "CONNECT"));
	arena_free(own.mem);
	switch_found(cx, l->plan, "fence",
	    open
		? arena_printf(cx->mem,
		      "The customer's administrator runs: REVOKE CONNECT ON DATABASE \"%s\" FROM PUBLIC;",
		      here.dbname)
		: NULL,
	    "%s",
	    open ? "everybody may connect to the database, so it cannot be closed"
		 : "CONNECT is ours to take");
	return true;
}

/* --- sessions ----------------------------------------------------------------------------- */

static bool
sessions_of(Ctx *cx, Look *l, int64_t *n)
{
	const char *roles = switch_roles(cx->mem, l->s.at);
	PgRows rows;
	Pg *pg;

	if (!switch_side(cx, l->s.conns, l->s.at, l->s.at->cluster, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_SESSIONS, &rows, &roles))
		return false;
	*n = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	return true;
}

static bool
check_room(Ctx *cx, Look *l)
{
	int64_t sessions, room;
	PgRows rows;
	Pg *pg;

	if (!l->by ||
	    (!l->by->finish &&
		!l->by->copy)) /* on the same server they take the places that they leave */
		return true;
	if (!sessions_of(cx, l, &sessions) || !switch_side(cx, l->s.conns, l->s.at, l->s.to, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_ROOM, &rows, NULL))
		return false;
	room = pg_int(&rows, 0, 0);
	pg_rows_free(&rows);
	switch_found(cx, l->plan, "connections",
	    room > sessions ? NULL : "Raise max_connections there.",
	    "%lld connections are free there, the tenant has %lld now", (long long)room,
	    (long long)sessions);
	return true;
}

static void
why_pinned(Buf *b, const Js *pin)
{
	const Js *why = js_get(pin, "why");

	buf_fmt(b, "%s\"%s\" (", b->len ? ", " : "",
	    js_get_text(pin, "user") ? js_get_text(pin, "user") : "?");
	for (size_t i = 0; i < js_count(why); i++)
		buf_fmt(b, "%s%s", i ? ", " : "",
		    js_value_text(js_at(why, i)) ? js_value_text(js_at(why, i)) : "?");
	buf_addc(b, ')');
}

static bool
gateway_pins(Ctx *cx, Look *l, Buf *b)
{
	GatewayAnswers all;

	if (!ask_gateways(cx, l->home, "pins", l->tenant.name, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		const Js *pins = js_get(all.at[i].said, "pins");
		if (!all.at[i].said)
			switch_found(cx, l->plan, "gateway", "See: copyhold gateway status.",
			    "gateway %s: %s", all.at[i].gateway.id, all.at[i].why);
		for (size_t k = 0; k < js_count(pins);
		     k++) /* others are in a transaction: they drain */
			if (js_count(js_get(js_at(pins, k), "why")))
				why_pinned(b, js_at(pins, k));
	}
	return true;
}

static bool
server_pins(Ctx *cx, Look *l, Buf *b, int64_t *prepared)
{
	const char *roles = switch_roles(cx->mem, l->s.at);
	PgRows rows;
	Pg *pg;

	if (!conns_get(cx, l->s.conns, l->s.at->cluster, l->s.at->dbname, &pg) ||
	    !pg_query(cx, pg, &SQL_SWITCH_PINNED, &rows, &roles))
		return false;
	if (pg_int(&rows, 0, 0) > 0)
		buf_fmt(b, "%s%lld on the server with advisory locks", b->len ? ", " : "",
		    (long long)pg_int(&rows, 0, 0));
	if (pg_int(&rows, 0, 1) > 0)
		buf_fmt(b, "%s%lld temporary tables", b->len ? ", " : "",
		    (long long)pg_int(&rows, 0, 1));
	*prepared = pg_int(&rows, 0, 2);
	pg_rows_free(&rows);
	return true;
}

/* What a session keeps would be lost with it. */
static bool
check_pins(Ctx *cx, Look *l)
{
	Buf b = buf_new(cx->mem);
	int64_t prepared;

	if (!gateway_pins(cx, l, &b) || !server_pins(cx, l, &b, &prepared))
		return false;
	bool red = b.len && !l->wish->end_sessions;

	switch_found(cx, l->plan, "sessions",
	    red ? "Let them end, or end them: --end-sessions." : NULL,
	    b.len ? (red ? "these cannot be handed over: %s" : "these will be ended: %s")
		  : "none that cannot be handed over",
	    b.text);
	switch_found(cx, l->plan, "prepared transactions",
	    prepared ? "COMMIT PREPARED or ROLLBACK PREPARED them." : NULL,
	    prepared ? "%lld are left in the database" : "none", (long long)prepared);
	return true;
}

/* --- steps ----------------------------------------------------------------------------------- */

static Js *
step_args(Arena *mem, const Look *l)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", l->tenant.name);
	js_set_text(args, "from", l->tenant.cluster);
	js_set_text(args, "to", l->s.to->name);
	js_set_text(args, "by", l->by->name);
	js_set_int(args, "max", l->wish->max_ms);
	return args;
}

static Js *
drain_args(Arena *mem, const Look *l)
{
	Js *args = step_args(mem, l);

	js_set_int(args, "drain", l->wish->drain_ms);
	js_set_bool(args, "end", l->wish->end_sessions);
	return args;
}

static void
add_own_steps(Ctx *cx, Look *l)
{
	Arena *mem = cx->mem;
	Steps *steps = &l->plan->steps;
	const char *scope = l->s.at->scope, *t = l->tenant.name, *to = l->s.to->name;
	const char *from = l->tenant.cluster;

	steps_add(mem, steps, scope, "switch.park", step_args(mem, l),
	    "park the route of \"%s\" for %s at most", t, clock_human(mem, l->wish->max_ms));
	steps_add(mem, steps, scope, "switch.drain", drain_args(mem, l),
	    "let the transactions of \"%s\" come to an end within %s%s", t,
	    clock_human(mem, l->wish->drain_ms), l->wish->end_sessions ? ", then end them" : "");
	steps_add(mem, steps, scope, "switch.fence", step_args(mem, l),
	    "let nobody of \"%s\" into its database on \"%s\"", t, from);
	if (l->by->finish) {
		steps_add(mem, steps, scope, "switch.follow", step_args(mem, l),
		    "wait until \"%s\" has all that \"%s\" has", to, from);
		steps_add(
		    mem, steps, scope, "switch.promote", step_args(mem, l), "promote \"%s\"", to);
	}
	if (l->by->copy)
		steps_add(mem, steps, scope, "switch.copy", step_args(mem, l),
		    "copy the rows of \"%s\" to \"%s\"", t, to);
	steps_add(mem, steps, scope, "switch.check", step_args(mem, l),
	    "see that \"%s\" has the same data and takes writes", to);
	steps_add(mem, steps, scope, "switch.move", step_args(mem, l),
	    "route \"%s\" to \"%s\", a new epoch", t, to);
	steps_add(mem, steps, scope, "switch.open", step_args(mem, l),
	    "let the logins of \"%s\" in on \"%s\"", t, to);
	steps_add(mem, steps, scope, "switch.release", step_args(mem, l),
	    "release the route of \"%s\"", t);
	steps_add(mem, steps, scope, "switch.settle", step_args(mem, l),
	    "wait until every gateway has released it");
}

static bool
add_steps(Ctx *cx, Look *l)
{
	Steps *steps = &l->plan->steps;

	if (l->by->make && !l->by->make(cx, &l->s, steps))
		return false;
	add_own_steps(cx, l);
	return !l->by->clear || l->by->clear(cx, &l->s, steps);
}

static bool
make_run(Ctx *cx, Look *l)
{
	Seen seen = { .name = l->tenant.name, .changed_run = l->tenant.changed_run };

	if (!add_steps(cx, l))
		return false;
	l->plan->run = (RunPlan){ .verb = "route switch", .steps = &l->plan->steps };
	vec_push(cx->mem, &l->plan->run.seen, seen);
	return true;
}

/* --- the whole ---------------------------------------------------------------------------------- */

static bool
look_up(Ctx *cx, Look *l)
{
	Cluster *to;
	Placement *at;

	if (!catalog_tenant(cx, l->home, l->wish->tenant, &l->tenant) ||
	    !catalog_cluster(cx, l->home, l->wish->to, &to) || !check_tenant(cx, l) ||
	    !catalog_placement_of(cx, l->home, &l->tenant, &at))
		return false;
	l->s = (SwitchSides){
		.conns = conns_new(cx, l->home), .at = at, .to = to, .wish = l->wish
	};
	l->there = *at;
	l->there.cluster = to;
	return true;
}

static bool
look_around(Ctx *cx, Look *l)
{
	check_mode(cx, l);
	if (!check_residency(cx, l) || !check_versions(cx, l))
		return false;
	if (l->by)
		check_setup(cx, l);
	if (l->by && !l->by->copy)
		check_logins(cx, l);
	return check_fence(cx, l) && check_room(cx, l) && check_pins(cx, l);
}

bool
switch_plan(Ctx *cx, Home *home, const SwitchWish *wish, SwitchPlan **out)
{
	Look l = { .home = home, .wish = wish, .plan = arena_alloc(cx->mem, sizeof *l.plan) };

	if (!look_up(cx, &l) || !look_around(cx, &l))
		return false;
	l.plan->tenant = l.tenant.name;
	l.plan->from = l.tenant.cluster;
	l.plan->to = l.s.to->name;
	l.plan->by = l.by ? l.by->name : NULL;
	if (!l.plan->red && !make_run(cx, &l))
		return false;
	*out = l.plan;
	return true;
}

#include "lib/core/records.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/core/ident.h"
#include "lib/core/records_intern.h"

static const char *
arg(const StepEnv *env, const char *key)
{
	const char *value = js_get_text(env->step->args, key);

	return value ? value : "";
}

/* --- object.put, object.remove ------------------------------------------------ */

bool
records_object_put(Ctx *cx, Home *home, const char *scope, const char *kind, const char *name,
    const char *spec, const char *hash, Steps *steps)
{
	Js *args = js_object(cx->mem);
	char *old_spec, *old_hash;

	if (!catalog_object(cx, home, kind, name, &old_spec, &old_hash))
		return false;
	js_set_text(args, "object", kind);
	js_set_text(args, "name", name);
	js_set_text(args, "spec", spec);
	js_set_text(args, "hash", hash);
	js_set_text(args, "was", old_spec);
	js_set_text(args, "was_hash", old_hash);
	steps_add(cx->mem, steps, scope, "object.put", args, "record %s \"%s\"", kind, name);
	return true;
}

void
records_object_remove(Arena *mem, const char *scope, const char *kind, const char *name,
    const char *spec, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "object", kind);
	js_set_text(args, "name", name);
	js_set_text(args, "was", spec);
	js_set_text(args, "was_hash", sha256_hex(mem, spec, strlen(spec)));
	steps_add(mem, steps, scope, "object.remove", args, "forget %s \"%s\"", kind, name);
}

/* The ids of a model's objects and fields follow its record. */
static bool
model_idents(Ctx *cx, StepEnv *env, IdentWay way)
{
	void *model;

	if (strcmp(arg(env, "object"), "Model") != 0)
		return true;
	return manifest_from_json(cx, "Model", arg(env, "name"), arg(env, "spec"), &model) &&
	    ident_record_model(cx, env->home, model, way);
}

static bool
put_record(Ctx *cx, StepEnv *env)
{
	return model_idents(cx, env, IDENT_FORWARD) &&
	    catalog_object_put(cx, env->home, arg(env, "object"), arg(env, "name"),
		arg(env, "spec"), arg(env, "hash"));
}

static bool
put_back(Ctx *cx, StepEnv *env)
{
	if (js_get_text(env->step->args, "spec") && !model_idents(cx, env, IDENT_BACK))
		return false;
	if (!js_get_text(env->step->args, "was"))
		return catalog_object_remove(cx, env->home, arg(env, "object"), arg(env, "name"));
	return catalog_object_put(cx, env->home, arg(env, "object"), arg(env, "name"),
	    arg(env, "was"), arg(env, "was_hash"));
}

static bool
remove_record(Ctx *cx, StepEnv *env)
{
	return catalog_object_remove(cx, env->home, arg(env, "object"), arg(env, "name"));
}

/* --- tenant.register ----------------------------------------------------------- */

static Js *
slots_json(Arena *mem, const Slots *slots)
{
	Js *list = js_array(mem);

	for (size_t i = 0; i < slots->n; i++) {
		const Slot *s = &slots->at[i];
		Js *o = js_object(mem);
		js_set_text(o, "object", s->object);
		js_set_text(o, "field", s->field);
		js_set_text(o, "column", s->column);
		js_set_int(o, "generation", s->generation);
		js_push(list, o);
	}
	return list;
}

static Slots
slots_of(Arena *mem, const Js *list)
{
	Slots out = { 0 };

	for (size_t i = 0; i < js_count(list); i++) {
		const Js *o = js_at(list, i);
		Slot s = {
			.object = js_get_text(o, "object"),
			.field = js_get_text(o, "field"),
			.column = js_get_text(o, "column"),
			.generation = js_get_int(o, "generation", 1),
		};
		if (s.object && s.field && s.column)
			vec_push(mem, &out, s);
	}
	return out;
}

static void
shared_args(Arena *mem, Js *args, const Placement *at, const RecordAs *as)
{
	if (!at->shared)
		return;
	js_set_text(args, "shared", at->shared->name);
	js_set_text(args, "layout", layout_name(as->layout));
	js_set_bool(args, "ownViews", as->own_views);
	if (as->slots.n)
		js_set(args, "slots", slots_json(mem, &as->slots));
}

void
records_tenant_register(
    Arena *mem, const Tenant *spec, const Placement *at, const RecordAs *as, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", at->tenant);
	js_set_text(args, "display", spec->display);
	js_set_text(args, "id", at->id);
	js_set_text(args, "mode", mode_name(at->mode));
	js_set_text(args, "cluster", at->cluster->name);
	js_set_text(args, "dbname", at->dbname);
	js_set_text(args, "owner", at->owner);
	js_set_text(args, "model", as->model->name);
	js_set_text(args, "login", at->logins.at[0].user);
	js_set_text(args, "role", at->logins.at[0].role);
	shared_args(mem, args, at, as);
	steps_add(
	    mem, steps, at->scope, "tenant.register", args, "register tenant \"%s\"", at->tenant);
}

char *
pending_password_name(Arena *mem, const char *tenant, const char *user)
{
	return arena_printf(mem, "pending/%s/%s", tenant, user);
}

/* The first login's password is made here and sealed in the same transaction, so that no step ever
 * carries it; one that a setup script announced to the customer's admin is taken over. */
static bool
first_login(Ctx *cx, StepEnv *env)
{
	char *pending = pending_password_name(cx->mem, arg(env, "tenant"), arg(env, "login"));
	Secret password;
	Login login = { .user = arg(env, "login"), .role = arg(env, "role"), .on = true };
	bool found;

	if (!catalog_secret_get(cx, env->home, pending, &password, &found))
		return false;
	if (!found)
		password = random_password(cx->mem);
	login.verifier = scram_verifier(cx->mem, &password);
	return catalog_login_put(cx, env->home, arg(env, "tenant"), &login, &password) &&
	    (!found || catalog_secret_remove(cx, env->home, pending));
}

static bool
place_free(Ctx *cx, StepEnv *env, const TenantRecord *t, const char *user)
{
	Cluster *cluster = NULL;
	char *spec, *hash;

	if (t->mode != MODE_CUSTOMER_DB) /* elsewhere we make the names */
		return true;
	return catalog_object(cx, env->home, "Cluster", t->cluster, &spec, &hash) &&
	    (!spec || catalog_cluster(cx, env->home, t->cluster, &cluster)) &&
	    catalog_place_free(cx, env->home, t, cluster, user, arg(env, "role"));
}

static bool
register_record(Ctx *cx, StepEnv *env)
{
	TenantRecord t = {
		.name = arg(env, "tenant"),
		.display = js_get_text(env->step->args, "display"),
		.id = arg(env, "id"),
		.state = TENANT_PROVISIONING,
		.mode = mode_of(arg(env, "mode")),
		.cluster = arg(env, "cluster"),
		.dbname = arg(env, "dbname"),
		.owner = arg(env, "owner"),
		.model = arg(env, "model"),
		.shape = "",
		.spec_hash = "",
		.changed_run = env->run,
		.shared = js_get_text(env->step->args, "shared"),
		.layout = layout_of(js_get_text(env->step->args, "layout")),
		.own_views = js_get_bool(env->step->args, "ownViews", false),
	};
	Slots slots = slots_of(cx->mem, js_get(env->step->args, "slots"));

	return place_free(cx, env, &t, arg(env, "login")) &&
	    catalog_tenant_put(cx, env->home, &t) &&
	    (!slots.n || catalog_slots_put(cx, env->home, t.name, &slots)) && first_login(cx, env);
}

/* What the customer's admin was told in a setup script stays valid for the next try. */
static bool
register_undo(Ctx *cx, StepEnv *env)
{
	char *pending = pending_password_name(cx->mem, arg(env, "tenant"), arg(env, "login"));
	Secret password;

	if (mode_of(arg(env, "mode")) == MODE_CUSTOMER_DB &&
	    (!catalog_login_password(
		 cx, env->home, arg(env, "tenant"), arg(env, "login"), &password) ||
		!catalog_secret_put(cx, env->home, pending, &password)))
		return false;
	return catalog_tenant_forget(cx, env->home, arg(env, "tenant"));
}

/* --- tenant.record -------------------------------------------------------------- */

bool
records_tenant_record(Ctx *cx, Home *home, const Tenant *spec, const Placement *at,
    const TenantRecord *was, const RecordAs *as, Steps *steps)
{
	Js *args = js_object(cx->mem);
	char *canonical = manifest_canonical(cx->mem, "Tenant", spec), *old_spec = NULL, *old_hash;

	if (was && !catalog_object(cx, home, "Tenant", at->tenant, &old_spec, &old_hash))
		return false;
	js_set_text(args, "tenant", at->tenant);
	js_set_text(args, "cluster", at->cluster->name);
	js_set_text(args, "spec", canonical);
	js_set_text(args, "hash", sha256_hex(cx->mem, canonical, strlen(canonical)));
	js_set_text(args, "shape", as->shape);
	js_set_text(args, "model", as->model->name);
	js_set_int(args, "version", as->model->version);
	js_set_text(args, "display", spec->display);
	shared_args(cx->mem, args, at, as);
	if (old_spec) {
		js_set_text(args, "was", old_spec);
		js_set_text(args, "was_hash", old_hash);
		js_set_text(args, "was_shape", was->shape);
		js_set_text(args, "was_model", was->model);
		js_set_int(args, "was_version", was->model_version);
		js_set_text(args, "was_display", was->display);
	}
	if (old_spec && at->shared) {
		js_set_text(args, "was_layout", layout_name(was->layout));
		js_set_bool(args, "was_ownViews", was->own_views);
		if (at->slots.n)
			js_set(args, "was_slots", slots_json(cx->mem, &at->slots));
	}
	steps_add(
	    cx->mem, steps, at->scope, "tenant.record", args, "record tenant \"%s\"", at->tenant);
	return true;
}

/* Of the common views is what they are of, whatever the plan said: other tenants may have moved them
 * between a change and its undo. */
static bool
common_shape(Ctx *cx, StepEnv *env, TenantRecord *t)
{
	SharedRecord s;
	bool found;

	if (!t->shared || t->layout != LAYOUT_VIEWS || t->own_views)
		return true;
	if (!catalog_shared_find(cx, env->home, t->shared, &s, &found))
		return false;
	if (found && *s.common) {
		t->shape = s.common;
		t->model_version = s.version;
	}
	return true;
}

static bool
put_slots(Ctx *cx, StepEnv *env, const char *name)
{
	const Js *a = env->step->args;
	Slots slots = slots_of(cx->mem, js_get(a, name));

	if (!js_get(a, "slots") && !js_get(a, "was_slots"))
		return true;
	return catalog_slots_put(cx, env->home, arg(env, "tenant"), &slots);
}

/* `was`: "" for what is recorded, "was_" for what is put back. */
static bool
record_tenant(Ctx *cx, StepEnv *env, const char *was)
{
	const Js *a = env->step->args;
	const char *spec = arg(env, *was ? "was" : "spec");
	TenantRecord t;

#define ARG(name) arena_printf(cx->mem, "%s%s", was, name)
	if (!catalog_tenant(cx, env->home, arg(env, "tenant"), &t))
		return false;
	t.display = js_get_text(a, ARG("display"));
	t.model = arg(env, ARG("model"));
	t.model_version = js_get_int(a, ARG("version"), 0);
	t.shape = arg(env, ARG("shape"));
	t.spec_hash = arg(env, ARG("hash"));
	if (t.shared) {
		t.layout = layout_of(js_get_text(a, ARG("layout")));
		t.own_views = js_get_bool(a, ARG("ownViews"), false);
	}
	if (t.state == TENANT_PROVISIONING)
		t.state = TENANT_ACTIVE;
	return common_shape(cx, env, &t) && catalog_tenant_put(cx, env->home, &t) &&
	    put_slots(cx, env, ARG("slots")) &&
	    catalog_object_put(cx, env->home, "Tenant", t.name, spec, t.spec_hash);
#undef ARG
}

/* In a shared database a tenant of the common views has no objects and fields of its own. */
static bool
has_own(const StepEnv *env, const char *was)
{
	const Js *a = env->step->args;
	const char *layout = js_get_text(a, *was ? "was_layout" : "layout");

	return (layout && layout_of(layout) != LAYOUT_VIEWS) ||
	    js_get_bool(a, *was ? "was_ownViews" : "ownViews", false);
}

static bool
tenant_idents(Ctx *cx, StepEnv *env, IdentWay way)
{
	void *tenant;

	if (js_get_text(env->step->args, "shared") && !has_own(env, "") && !has_own(env, "was_"))
		return true;
	return manifest_from_json(cx, "Tenant", arg(env, "tenant"), arg(env, "spec"), &tenant) &&
	    ident_record_tenant(cx, env->home, tenant, way);
}

static bool
record_record(Ctx *cx, StepEnv *env)
{
	return tenant_idents(cx, env, IDENT_FORWARD) && record_tenant(cx, env, "");
}

static bool
record_undo(Ctx *cx, StepEnv *env)
{
	if (!tenant_idents(cx, env, IDENT_BACK))
		return false;
	if (!js_get_text(env->step->args, "was"))
		return catalog_tenant_state(
		    cx, env->home, arg(env, "tenant"), TENANT_PROVISIONING, 0);
	return record_tenant(cx, env, "was_");
}

/* --- tenant.state, tenant.forget -------------------------------------------------- */

void
records_tenant_state(
    Arena *mem, const TenantRecord *t, TenantState state, int64_t keep_ms, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", t->name);
	js_set_int(args, "state", (int64_t)state);
	if (state == TENANT_SEALED) /* a span: the same plan is the same text at any time */
		js_set_int(args, "keep", keep_ms);
	js_set_int(args, "purge_after", state == TENANT_PURGING ? t->purge_after : 0);
	js_set_int(args, "was", (int64_t)t->state);
	js_set_int(args, "was_purge_after", t->purge_after);
	steps_add(mem, steps, arena_printf(mem, "tenant/%s", t->name), "tenant.state", args,
	    "record tenant \"%s\" as %s", t->name, tenant_state_name(state));
}

static bool
state_record(Ctx *cx, StepEnv *env)
{
	const Js *a = env->step->args;

	TenantState state = (TenantState)js_get_int(a, "state", TENANT_ACTIVE);
	int64_t purge_after = state == TENANT_SEALED ? clock_wall_ms() + js_get_int(a, "keep", 0)
						     : js_get_int(a, "purge_after", 0);

	return catalog_tenant_state(cx, env->home, arg(env, "tenant"), state, purge_after);
}

static bool
state_undo(Ctx *cx, StepEnv *env)
{
	const Js *a = env->step->args;

	return catalog_tenant_state(cx, env->home, arg(env, "tenant"),
	    (TenantState)js_get_int(a, "was", TENANT_ACTIVE), js_get_int(a, "was_purge_after", 0));
}

void
records_tenant_forget(Arena *mem, const TenantRecord *t, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", t->name);
	js_set_text(args, "cluster", t->cluster);
	steps_add(mem, steps, arena_printf(mem, "tenant/%s", t->name), "tenant.forget", args,
	    "forget tenant \"%s\"", t->name);
}

/* A password that is forgotten does not stay behind in a file. */
static bool
forget_passfile(Ctx *cx, StepEnv *env, const char *user)
{
	const char *tenant = arg(env, "tenant");

	return file_remove(cx, home_passfile(cx->mem, env->home, tenant, user)) &&
	    file_remove(cx, home_gateway_passfile(cx->mem, env->home, tenant, user));
}

static bool
forget_record(Ctx *cx, StepEnv *env)
{
	for (size_t i = 0; env->at && i < env->at->logins.n; i++)
		if (!forget_passfile(cx, env, env->at->logins.at[i].user))
			return false;
	return catalog_tenant_forget(cx, env->home, arg(env, "tenant"));
}

/* --- logins ------------------------------------------------------------------------- */

char *
previous_password_name(Arena *mem, const char *tenant, const char *user)
{
	return arena_printf(mem, "previous/%s/%s", tenant, user);
}

static char *
previous_client_name(Arena *mem, const char *tenant, const char *user)
{
	return arena_printf(mem, "previous/%s/%s/client", tenant, user);
}

static Login
login_of(Arena *mem, const StepEnv *env, const Secret *password)
{
	return (Login){
		.user = arg(env, "user"),
		.role = arg(env, "role"),
		.on = true,
		.read_only = js_get_bool(env->step->args, "readOnly", false),
		.verifier = scram_verifier(mem, password),
		.valid_until = js_get_int(env->step->args, "validUntil", 0),
		.max_conns = js_get_int(env->step->args, "connections", 0),
	};
}

static bool
put_login(Ctx *cx, StepEnv *env, const Secret *password)
{
	Login login = login_of(cx->mem, env, password);

	return catalog_login_put(cx, env->home, arg(env, "tenant"), &login, password);
}

static bool
login_register(Ctx *cx, StepEnv *env)
{
	Secret password = random_password(cx->mem);
	TenantRecord t;

	return catalog_tenant(cx, env->home, arg(env, "tenant"), &t) &&
	    place_free(cx, env, &t, arg(env, "user")) && put_login(cx, env, &password);
}

static bool
login_forget(Ctx *cx, StepEnv *env)
{
	return forget_passfile(cx, env, arg(env, "user")) &&
	    catalog_login_remove(cx, env->home, arg(env, "tenant"), arg(env, "user"));
}

/* The old passwords are kept until the server has the new one, so that a rotation can be undone. */
static bool
keep_client(Ctx *cx, StepEnv *env)
{
	const char *tenant = arg(env, "tenant"), *user = arg(env, "user");
	Secret old;
	bool own;

	return catalog_client_password(cx, env->home, tenant, user, &old, &own) &&
	    (!own ||
		catalog_secret_put(
		    cx, env->home, previous_client_name(cx->mem, tenant, user), &old));
}

static bool
login_renew(Ctx *cx, StepEnv *env)
{
	const char *tenant = arg(env, "tenant"), *user = arg(env, "user");
	char *name = previous_password_name(cx->mem, tenant, user);
	Secret old, fresh = random_password(cx->mem);
	ClientPassword client = catalog_client_draw(cx->mem);

	return catalog_login_password(cx, env->home, tenant, user, &old) &&
	    catalog_secret_put(cx, env->home, name, &old) && keep_client(cx, env) &&
	    put_login(cx, env, &fresh) && catalog_client_put(cx, env->home, tenant, user, &client);
}

/* A login of before had none of its own, and has none again. */
static bool
client_back(Ctx *cx, StepEnv *env)
{
	const char *tenant = arg(env, "tenant"), *user = arg(env, "user");
	char *name = previous_client_name(cx->mem, tenant, user);
	ClientPassword old = { 0 };
	bool found;

	if (!catalog_secret_get(cx, env->home, name, &old.password, &found))
		return false;
	if (found)
		old.verifier = scram_verifier(cx->mem, &old.password);
	return catalog_client_put(cx, env->home, tenant, user, &old) &&
	    catalog_secret_remove(cx, env->home, name);
}

static bool
login_renew_undo(Ctx *cx, StepEnv *env)
{
	char *name = previous_password_name(cx->mem, arg(env, "tenant"), arg(env, "user"));
	Secret old;
	bool found;

	if (!catalog_secret_get(cx, env->home, name, &old, &found))
		return false;
	return !found ||
	    (put_login(cx, env, &old) && client_back(cx, env) &&
		catalog_secret_remove(cx, env->home, name));
}

static bool
login_renewed(Ctx *cx, StepEnv *env)
{
	const char *tenant = arg(env, "tenant"), *user = arg(env, "user");

	return catalog_secret_remove(
		   cx, env->home, previous_password_name(cx->mem, tenant, user)) &&
	    catalog_secret_remove(cx, env->home, previous_client_name(cx->mem, tenant, user));
}

void
records_login_limit(
    Arena *mem, const Placement *at, const Login *was, const Login *to, Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", at->tenant);
	js_set_text(args, "user", to->user);
	js_set_int(args, "validUntil", to->valid_until);
	js_set_int(args, "connections", to->max_conns);
	js_set_int(args, "validUntilWas", was->valid_until);
	js_set_int(args, "connectionsWas", was->max_conns);
	steps_add(mem, steps, at->scope, "login.limit", args, "limit login \"%s\"", to->user);
}

static bool
login_limit(Ctx *cx, StepEnv *env)
{
	return catalog_login_limit(cx, env->home, arg(env, "tenant"), arg(env, "user"),
	    js_get_int(env->step->args, "validUntil", 0),
	    js_get_int(env->step->args, "connections", 0));
}

static bool
login_limit_undo(Ctx *cx, StepEnv *env)
{
	return catalog_login_limit(cx, env->home, arg(env, "tenant"), arg(env, "user"),
	    js_get_int(env->step->args, "validUntilWas", 0),
	    js_get_int(env->step->args, "connectionsWas", 0));
}

/* --- routes ------------------------------------------------------------------------ */

static Js *
route_args(Arena *mem, const Placement *at)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", at->tenant);
	js_set_text(args, "cluster", at->cluster->name);
	js_set_text(args, "dbname", at->dbname);
	return args;
}

void
records_route_open(Arena *mem, const Placement *at, Steps *steps)
{
	steps_add(mem, steps, arena_printf(mem, "tenant/%s", at->tenant), "route.open",
	    route_args(mem, at), "open the route of \"%s\"", at->tenant);
}

void
records_route_close(Arena *mem, const Placement *at, Steps *steps)
{
	steps_add(mem, steps, arena_printf(mem, "tenant/%s", at->tenant), "route.close",
	    route_args(mem, at), "close the route of \"%s\"", at->tenant);
}

const StepKind records_kinds[] = {
	{ .name = "object.put",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = put_record,
	    .unrecord = put_back },
	{ .name = "object.remove",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = remove_record,
	    .unrecord = put_back },
	{ .name = "tenant.register",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = register_record,
	    .unrecord = register_undo },
	{ .name = "tenant.record",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = record_record,
	    .unrecord = record_undo },
	{ .name = "tenant.state",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = state_record,
	    .unrecord = state_undo },
	{ .name = "tenant.forget",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .record = forget_record },
	{ .name = "shared.register",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = records_put_shared,
	    .unrecord = records_drop_shared },
	{ .name = "shared.record",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = records_move_shared,
	    .unrecord = records_return_shared },
	{ .name = "shared.forget",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .record = records_drop_shared },
	{ .name = "login.register",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = login_register,
	    .unrecord = login_forget },
	{ .name = "login.forget",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .record = login_forget },
	{ .name = "login.renew",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = login_renew,
	    .unrecord = login_renew_undo },
	{ .name = "login.limit",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = login_limit,
	    .unrecord = login_limit_undo },
	{ .name = "login.renewed",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .record = login_renewed },
	{ .name = NULL },
};

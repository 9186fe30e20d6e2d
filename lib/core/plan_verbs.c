/* The steps of the verbs: suspend, resume, delete, and the logins of one tenant. */
#include <string.h>

#include "lib/core/left.h"
#include "lib/core/plan.h"
#include "lib/core/records.h"

#define DAY_MS ((int64_t)86400000)

static Plan *
plan_for(Ctx *cx, const char *verb, const TenantRecord *t)
{
	Plan *plan = arena_alloc(cx->mem, sizeof *plan);
	PlanEntry e = { .kind = "tenant", .name = t->name, .op = CHANGE_ALTER, .note = verb };
	Seen seen = { .name = t->name, .changed_run = t->changed_run };

	plan->run = (RunPlan){ .verb = verb, .steps = &plan->steps };
	vec_push(cx->mem, &plan->entries, e);
	vec_push(cx->mem, &plan->run.seen, seen);
	return plan;
}

bool
plan_retention(Ctx *cx, Home *home, const char *tenant, int64_t *ms)
{
	char *spec, *hash;
	void *loaded = NULL;
	int64_t keep = 30 * DAY_MS;

	if (!catalog_object(cx, home, "Tenant", tenant, &spec, &hash) ||
	    (spec && !manifest_from_json(cx, "Tenant", tenant, spec, &loaded)))
		return false;
	if (loaded)
		keep = ((const Tenant *)loaded)->retention_ms;
	*ms = keep;
	return true;
}

static bool
wrong_state(Ctx *cx, const TenantRecord *t, const char *verb)
{
	return fail(cx, FAIL_REFUSED,
	    arena_printf(cx->mem, "See: copyhold tenant show %s.", t->name),
	    "tenant \"%s\" is %s and cannot be %s", t->name, tenant_state_name(t->state), verb);
}

static bool
close_steps(Ctx *cx, const Placement *at, Steps *steps)
{
	records_route_close(cx->mem, at, steps);
	return place_driver(at->mode)->suspend_steps(cx, at, steps);
}

/* Where the tenant is as it should be there are its services yet: a host may have failed before. */
static bool
suspend(Ctx *cx, const TenantRecord *t, const Placement *at, Plan *plan)
{
	if (t->state == TENANT_SUSPENDED)
		return true;
	if (t->state != TENANT_ACTIVE)
		return wrong_state(cx, t, "suspended");
	if (!close_steps(cx, at, &plan->steps))
		return false;
	records_tenant_state(cx->mem, t, TENANT_SUSPENDED, 0, &plan->steps);
	return true;
}

static bool
resume(Ctx *cx, const TenantRecord *t, const Placement *at, Plan *plan)
{
	if (t->state == TENANT_ACTIVE)
		return true;
	if (t->state != TENANT_SUSPENDED && t->state != TENANT_SEALED)
		return wrong_state(cx, t, "resumed");
	if (!place_driver(at->mode)->resume_steps(cx, at, &plan->steps))
		return false;
	records_tenant_state(cx->mem, t, TENANT_ACTIVE, 0, &plan->steps);
	records_route_open(cx->mem, at, &plan->steps);
	return true;
}

static bool
seal(Ctx *cx, Home *home, const TenantRecord *t, const Placement *at, Plan *plan)
{
	int64_t keep_ms;

	if (t->state != TENANT_ACTIVE && t->state != TENANT_SUSPENDED)
		return wrong_state(cx, t, "deleted");
	if (!plan_retention(cx, home, t->name, &keep_ms))
		return false;
	if (t->state == TENANT_ACTIVE && !close_steps(cx, at, &plan->steps))
		return false;
	records_tenant_state(cx->mem, t, TENANT_SEALED, keep_ms, &plan->steps);
	return true;
}

static bool
purge(Ctx *cx, Home *home, const TenantRecord *t, const Placement *at, bool hand_back, Plan *plan)
{
	if (t->state == TENANT_PROVISIONING)
		return wrong_state(cx, t, "purged");
	if ((t->state == TENANT_ACTIVE) && !close_steps(cx, at, &plan->steps))
		return false;
	records_tenant_state(cx->mem, t, TENANT_PURGING, t->purge_after, &plan->steps);
	if (!left_clear_steps(cx, home, at, &plan->steps) ||
	    !place_driver(at->mode)->purge_steps(cx, at, hand_back, &plan->steps))
		return false;
	records_tenant_forget(cx->mem, t, &plan->steps);
	return true;
}

/* What was suspended has stopped already. */
static bool
touches_services(TenantVerb verb, const TenantRecord *t)
{
	return verb != VERB_SEAL || t->state == TENANT_ACTIVE;
}

bool
plan_verb(Ctx *cx, Home *home, const char *tenant, TenantVerb verb, Plan **out)
{
	static const char *const names[] = {
		[VERB_SUSPEND] = "tenant suspend",
		[VERB_RESUME] = "tenant resume",
		[VERB_SEAL] = "tenant delete",
		[VERB_PURGE] = "tenant purge",
		[VERB_HAND_BACK] = "tenant hand-back",
	};
	TenantRecord t;
	Placement *at;
	bool ok = false;

	if (!catalog_tenant(cx, home, tenant, &t) || !catalog_placement_of(cx, home, &t, &at))
		return false;
	Plan *plan = plan_for(cx, names[verb], &t);
	switch (verb) {
	case VERB_SUSPEND:
		ok = suspend(cx, &t, at, plan);
		break;
	case VERB_RESUME:
		ok = resume(cx, &t, at, plan);
		break;
	case VERB_SEAL:
		ok = seal(cx, home, &t, at, plan);
		break;
	case VERB_PURGE:
		ok = purge(cx, home, &t, at, false, plan);
		break;
	case VERB_HAND_BACK:
		ok = purge(cx, home, &t, at, true, plan);
		break;
	}
	if (!ok ||
	    (touches_services(verb, &t) &&
		!plan_release_verb(cx, home, tenant, verb, &plan->steps)))
		return false;
	plan->entries.at[0].steps = (int64_t)plan->steps.n;
	*out = plan;
	return true;
}

/* --- logins --------------------------------------------------------------------- */

static void
login_step(Arena *mem, const Placement *at, const Login *login, const char *kind, const char *title,
    Steps *steps)
{
	Js *args = js_object(mem);

	js_set_text(args, "tenant", at->tenant);
	js_set_text(args, "user", login->user);
	js_set_text(args, "role", login->role);
	js_set_bool(args, "readOnly", login->read_only);
	if (login->valid_until)
		js_set_int(args, "validUntil", login->valid_until);
	if (login->max_conns)
		js_set_int(args, "connections", login->max_conns);
	steps_add(mem, steps, arena_printf(mem, "tenant/%s", at->tenant), kind, args, "%s \"%s\"",
	    title, login->user);
}

static bool
login_steps(Ctx *cx, const Placement *at, const Login *login, const char *verb, Steps *steps)
{
	const PlaceDriver *d = place_driver(at->mode);

	if (strcmp(verb, "add") == 0)
		login_step(
		    cx->mem, at, login, "login.register", "seal a password for login", steps);
	if (strcmp(verb, "rotate") == 0)
		login_step(
		    cx->mem, at, login, "login.renew", "seal a new password for login", steps);
	if (strcmp(verb, "limit") == 0) {
		records_login_limit(cx->mem, at, place_login(at, login->user), login, steps);
		return true;
	}
	if (!d->login_steps(cx, at, login, verb, steps))
		return false;
	if (strcmp(verb, "remove") == 0)
		login_step(cx->mem, at, login, "login.forget", "forget login", steps);
	if (strcmp(verb, "rotate") == 0)
		login_step(
		    cx->mem, at, login, "login.renewed", "forget the old password of login", steps);
	return true;
}

bool
plan_login(
    Ctx *cx, Home *home, const char *tenant, const Login *wanted, const char *verb, Plan **out)
{
	bool add = strcmp(verb, "add") == 0;
	const char *user = wanted->user;
	TenantRecord t;
	Placement *at;
	Login login = *wanted;

	if (!catalog_tenant(cx, home, tenant, &t) || !catalog_placement_of(cx, home, &t, &at))
		return false;
	if (t.state != TENANT_ACTIVE)
		return wrong_state(cx, &t, "given other logins");
	const Login *known = place_login(at, user);
	if (add && known)
		return fail(cx, FAIL_EXISTS, "Choose another name, or: copyhold login rotate.",
		    "tenant \"%s\" has a login \"%s\" already", tenant, user);
	if (add && at->logins.n >= GATE_LOGINS)
		return fail(cx, FAIL_LIMIT,
		    "Remove one that nobody uses: copyhold login remove TENANT NAME.",
		    "tenant \"%s\" has %d logins, and gateways take no more of one tenant", tenant,
		    GATE_LOGINS);
	if (!add && !known)
		return fail(cx, FAIL_NOT_FOUND,
		    arena_printf(cx->mem, "See: copyhold login list %s.", tenant),
		    "tenant \"%s\" has no login \"%s\"", tenant, user);
	if (!add) {
		login = *known;
		if (wanted->valid_until >= 0)
			login.valid_until = wanted->valid_until;
		if (wanted->max_conns >= 0)
			login.max_conns = wanted->max_conns;
	} else {
		login.role = place_login_role(cx->mem, at, user);
		login.on = true;
	}
	Plan *plan = plan_for(cx, arena_printf(cx->mem, "login %s", verb), &t);
	if (!login_steps(cx, at, &login, verb, &plan->steps))
		return false;
	plan->entries.at[0].steps = (int64_t)plan->steps.n;
	*out = plan;
	return true;
}

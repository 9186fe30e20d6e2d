/* Where the steps of a scope act. */
#include <string.h>

#include "lib/core/journal.h"
#include "lib/core/scope.h"

/* A cluster is recorded by the first step of its own scope. */
static bool
load_cluster(Ctx *cx, Home *home, const char *name, StepEnv *env)
{
	char *spec, *hash;
	Cluster *cluster;

	if (!catalog_object(cx, home, "Cluster", name, &spec, &hash))
		return false;
	if (!spec)
		return true;
	if (!catalog_cluster(cx, home, name, &cluster))
		return false;
	env->cluster = cluster;
	return true;
}

/* So is a shared database. */
static bool
load_shared(Ctx *cx, Home *home, const ScopeRun *s, StepEnv *env)
{
	SharedRecord record;
	Shared *shared;
	bool found;

	if (!catalog_shared_find(cx, home, scope_shared(s->scope), &record, &found))
		return false;
	if (!found)
		return load_cluster(cx, home, s->cluster, env);
	if (!catalog_shared_place(cx, home, &record, &shared))
		return false;
	env->at = place_of_shared(cx->mem, shared);
	env->cluster = shared->cluster;
	return true;
}

static bool
load_tenant(Ctx *cx, Home *home, const char *tenant, StepEnv *env)
{
	TenantRecord t;
	Placement *at;
	bool found = false;

	if (!catalog_tenant_find(cx, home, tenant, &t, &found))
		return false;
	if (!found)
		return true;
	if (!catalog_placement_of(cx, home, &t, &at))
		return false;
	env->at = at;
	env->cluster = at->cluster;
	return true;
}

bool
scope_place(Ctx *cx, Home *home, const ScopeRun *s, StepEnv *env)
{
	const char *tenant = scope_tenant(s->scope);

	if (!tenant)
		tenant = scope_release(s->scope, cx->mem, NULL);
	env->at = NULL;
	if (strncmp(s->scope, "cluster/", 8) == 0) {
		env->cluster = NULL;
		return load_cluster(cx, home, s->scope + 8, env);
	}
	if (scope_shared(s->scope))
		return load_shared(cx, home, s, env);
	return !tenant || load_tenant(cx, home, tenant, env);
}

bool
scope_place_step(Ctx *cx, Home *home, const Step *step, StepEnv *env)
{
	const char *name = step_elsewhere(step);
	Cluster *cluster;
	Placement *there;

	if (!name || !env->at)
		return true;
	if (!catalog_cluster(cx, home, name, &cluster))
		return false;
	there = arena_alloc(cx->mem, sizeof *there);
	*there = place_elsewhere(env->at, cluster);
	env->at = there;
	env->cluster = cluster;
	return true;
}

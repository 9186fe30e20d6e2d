/*
 * Exclusive and hybrid: the database is one of a cluster of the tenant's own on
 * the customer's machines.  Once that server stands all is as in dedicated.
 */
#include "deployer/cluster_host.h"

/* The customer keeps the database running, with the roles: its applications go on as they are. */
static bool
purge_steps(Ctx *cx, const Placement *at, bool hand_back, Steps *steps)
{
	if (!hand_back)
		return vendor_drop_steps(cx, at, steps);
	if (!vendor_resume_steps(cx, at, steps))
		return false;
	steps_add(cx->mem, steps, at->scope, "database.release", NULL,
	    "leave the data and remove what is ours from %s", at->dbname);
	return true;
}

#define ON_A_HOST \
	.kinds = cluster_host_kinds, .cluster_steps = cluster_claim_steps, \
	.host_steps = cluster_host_steps, .host_remove_steps = cluster_remove_steps, \
	.strays = cluster_strays, .preflight = vendor_preflight, .expected = plain_expected, \
	.observe = vendor_observe, .steps = vendor_steps, .suspend_steps = vendor_suspend_steps, \
	.resume_steps = vendor_resume_steps, .purge_steps = purge_steps, \
	.login_steps = vendor_login_steps, .login_ok = login_password_ok, .map = plain_map, \
	.verify = verify_plain, .highest_fence = vendor_fence, .data_session = data_session

const PlaceDriver mode_exclusive = { .mode = MODE_EXCLUSIVE, ON_A_HOST };
const PlaceDriver mode_hybrid = { .mode = MODE_HYBRID, ON_A_HOST };

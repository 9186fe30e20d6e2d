/*
 * The steps that make a server on a host and keep it.  Each is a verb of the
 * helper under the duty's fence, kept there by the step's key: a repeat does
 * nothing, and the probe asks what is kept.
 */
#include <string.h>

#include "deployer/cluster_host.h"

#include "lib/adapters/crypto.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/core/catalog.h"
#include "lib/core/trust.h"

/* The host takes what can cut us off back by itself when we are not there again by then. */
#define GUARD_SECONDS 60
#define AHEAD_MAX_MS  60000 /* of a host's clock, waited for */
#define WORDS_MAX     12

static const char *
arg(const StepEnv *env, const char *key)
{
	return js_get_text(env->step->args, key);
}

static bool
host_of_step(Ctx *cx, const StepEnv *env, HostConn **out)
{
	const char *cluster = arg(env, "cluster"), *host = arg(env, "host");

	if (!cluster || !host)
		return fail(cx, FAIL_CATALOG, "Use the copyhold that wrote it.",
		    "a step of kind \"%s\" names no cluster on a host", env->step->kind);
	return conns_host(cx, env->conns, host, arena_printf(cx->mem, "cluster/%s", cluster), out);
}

/* The verb with the server's version and, `named`, the port and what the certificate is for. */
static void
words_of(const StepEnv *env, const char *verb, bool port, bool names, const char *out[WORDS_MAX])
{
	const Js *list = js_get(env->step->args, "names");
	size_t n = 0;

	out[n++] = verb;
	out[n++] = arg(env, "version");
	if (port)
		out[n++] = arg(env, "port");
	for (size_t i = 0; names && i < js_count(list) && n < WORDS_MAX - 1; i++)
		out[n++] = js_value_text(js_at(list, i));
	out[n] = NULL;
}

static bool
act_verb(Ctx *cx, const StepEnv *env, const char *verb, const char *body, HostReply *out)
{
	const char *words[WORDS_MAX];
	bool create = strcmp(verb, "pg-create") == 0;
	HostReply reply;
	HostConn *h;

	words_of(env, verb, create, create || strcmp(verb, "pg-certificate-new") == 0, words);
	return host_of_step(cx, env, &h) &&
	    host_act(cx, h, env, words, body, body ? strlen(body) : 0, out ? out : &reply);
}

static bool
probe_verb(Ctx *cx, const StepEnv *env, const char *verb, Probe *out)
{
	HostReply reply;
	HostConn *h;
	bool found;

	if (!host_of_step(cx, env, &h) || !host_stored(cx, h, env, verb, &found, &reply))
		return false;
	*out = found && reply.code == 0 ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

/* Most steps are one verb of the same name: pg.start, pg-start. */
static const char *
verb_of(Arena *mem, const StepEnv *env)
{
	char *verb = arena_dup(mem, env->step->kind);

	*strchr(verb, '.') = '-';
	return verb;
}

static bool
plain_act(Ctx *cx, StepEnv *env)
{
	return act_verb(cx, env, verb_of(cx->mem, env), NULL, NULL);
}

static bool
plain_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, verb_of(cx->mem, env), out);
}

/* A later try of the step is a new one. */
static bool
forget(Ctx *cx, const StepEnv *env)
{
	HostConn *h;

	return host_of_step(cx, env, &h) && host_forget(cx, h, env);
}

/* --- pg.password: sealed before it is used; the server gets a verifier ------------------- */

static char *
password_name(Arena *mem, const StepEnv *env)
{
	return arena_printf(mem, "cluster/%s", arg(env, "cluster"));
}

static bool
password_record(Ctx *cx, StepEnv *env)
{
	Secret password = random_password(cx->mem);

	return catalog_secret_put(cx, env->home, password_name(cx->mem, env), &password);
}

static bool
password_unrecord(Ctx *cx, StepEnv *env)
{
	return catalog_secret_remove(cx, env->home, password_name(cx->mem, env));
}

/* --- pg.create ------------------------------------------------------------------------------ */

/* May our user do this duty there, and is there a helper?  Else there would be nobody to undo it, either. */
static bool
create_guard(Ctx *cx, StepEnv *env)
{
	const char *words[WORDS_MAX];
	HostReply reply;
	HostConn *h;

	words_of(env, "look-pg", false, false, words);
	return host_of_step(cx, env, &h) && host_look(cx, h, words, &reply);
}

/* The helper refuses where there is a database that is not ours. */
static bool
create_undo(Ctx *cx, StepEnv *env)
{
	return act_verb(cx, env, "pg-remove", NULL, NULL) && forget(cx, env);
}

/* --- what may cut us off from the server ------------------------------------------------------ */

/* On the way to it nothing but a new connection counts. */
static bool
still_let_in(Ctx *cx, const StepEnv *env)
{
	Ctx own = ctx_new(cx->mem);
	Pg *pg;

	conns_drop(env->conns, env->cluster, NULL);
	bool in = cluster_session(&own, env->conns, env->cluster, &pg);

	/* It answers; the step behind this one writes whom it lets in. */
	if (!in && own.fail->kind == FAIL_LOGIN && js_get_bool(env->step->args, "rules", false))
		in = true;
	if (!in)
		fail_copy(cx, &own);
	arena_free(own.mem);
	return in;
}

/* With a timer on the host where the plan says so; the verb's end in -back is its undo. */
static bool
guarded_act(Ctx *cx, StepEnv *env, const char *verb, const char *body)
{
	const char *words[WORDS_MAX], *undo[WORDS_MAX];
	HostReply reply;
	HostConn *h;

	if (!js_get_bool(env->step->args, "guarded", false))
		return act_verb(cx, env, verb, body, NULL);
	words_of(env, verb, false, false, words);
	words_of(env, arena_printf(cx->mem, "%s-back", verb), false, false, undo);
	return host_of_step(cx, env, &h) &&
	    host_act_guarded(cx, env->conns, h, env, words, body, strlen(body), undo, GUARD_SECONDS,
		still_let_in, &reply);
}

/* Of a guarded one the confirmation may be what is missing: acting again says it, and does nothing more. */
static bool
guarded_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	if (!js_get_bool(env->step->args, "guarded", false))
		return plain_probe(cx, env, out);
	*out = PROBE_NOT_DONE;
	return true;
}

/* Of a server that is new pg.create's undo removes all. */
static bool
guarded_undo(Ctx *cx, StepEnv *env)
{
	const char *was = arg(env, "was");

	return !was ||
	    (forget(cx, env) && act_verb(cx, env, verb_of(cx->mem, env), was, NULL) &&
		forget(cx, env));
}

static bool
config_act(Ctx *cx, StepEnv *env)
{
	return guarded_act(cx, env, "pg-config", arg(env, "conf"));
}

static bool
hba_act(Ctx *cx, StepEnv *env)
{
	return guarded_act(cx, env, "pg-hba", arg(env, "hba"));
}

/* --- pg.setup: what a superuser runs once on any cluster of the vendor's ---------------------------- */

static bool
setup_act(Ctx *cx, StepEnv *env)
{
	Buf script = buf_new(cx->mem);

	return setup_cluster_script(cx, env->home, env->cluster, &script) &&
	    act_verb(cx, env, "pg-sql", script.text, NULL);
}

static bool
setup_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	return probe_verb(cx, env, "pg-sql", out);
}

/* --- pg.trust, pg.certificate: what the server proves itself with -------------------------------------- */

/* One and nothing else: it becomes what we trust. */
static bool
is_certificate(Arena *mem, const char *pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n",
			  end[] = "-----END CERTIFICATE-----\n";
	const char *last = strstr(pem, end);

	return strncmp(pem, begin, strlen(begin)) == 0 && last && !last[strlen(end)] &&
	    trust_digest(mem, pem);
}

static bool
no_certificate(Ctx *cx, const StepEnv *env, const HostReply *reply)
{
	return fail(cx, FAIL_HOST_STEP, NULL,
	    "host \"%s\" shows no certificate of cluster \"%s\"%s%s", arg(env, "host"),
	    arg(env, "cluster"), *reply->err ? ": " : "", reply->err);
}

static bool
certificate_of(Ctx *cx, const StepEnv *env, char **pem)
{
	const char *words[WORDS_MAX];
	HostReply reply;
	HostConn *h;

	words_of(env, "look-pg-certificate", false, false, words);
	if (!host_of_step(cx, env, &h) || !host_look(cx, h, words, &reply))
		return false;
	if (reply.code != 0 || !is_certificate(cx->mem, reply.out))
		return no_certificate(cx, env, &reply);
	*pem = arena_dup(cx->mem, reply.out);
	return true;
}

/* A certificate of a host whose clock is ahead has not begun for us: with it in force all clients would be turned
 * away until it has. */
static bool
wait_for_begin(Ctx *cx, const StepEnv *env, const char *pem)
{
	int64_t begins, ahead;

	if (!certificate_begins(pem, &begins) || (ahead = begins - clock_wall_ms()) <= 0)
		return true;
	if (ahead > AHEAD_MAX_MS)
		return fail(cx, FAIL_HOST_STEP,
		    "Set the clock that is wrong, there or here; copyhold host check compares them.",
		    "the clock of host \"%s\" is ahead of ours: the certificate of cluster \"%s\" "
		    "begins in %s",
		    arg(env, "host"), arg(env, "cluster"), clock_human(cx->mem, ahead));
	lane_sleep(ahead);
	return true;
}

static bool
record_certificate(Ctx *cx, const StepEnv *env, const char *pem)
{
	const char *cluster = arg(env, "cluster");

	if (lite_begin(cx, env->home->db) && trust_put(cx, env->home, cluster, pem) &&
	    lite_commit(cx, env->home->db)) {
		conns_drop(env->conns, env->cluster, NULL);
		return trust_write(cx, env->home, cluster);
	}
	lite_rollback(env->home->db);
	return false;
}

static bool
trust_act(Ctx *cx, StepEnv *env)
{
	char *pem;

	return certificate_of(cx, env, &pem) && wait_for_begin(cx, env, pem) &&
	    record_certificate(cx, env, pem);
}

static bool
trust_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	char *pem, *known;

	if (!certificate_of(cx, env, &pem) ||
	    !trust_get(cx, env->home, arg(env, "cluster"), &known))
		return false;
	*out = known && strcmp(known, pem) == 0 ? PROBE_DONE : PROBE_NOT_DONE;
	return true;
}

static bool
trust_unrecord(Ctx *cx, StepEnv *env)
{
	return trust_remove(cx, env->home, arg(env, "cluster"));
}

/* While it changes both are trusted: nobody is turned away. */
static bool
certificate_act(Ctx *cx, StepEnv *env)
{
	const char *cluster = arg(env, "cluster");
	char *known, *fresh;
	HostReply reply;

	if (!trust_get(cx, env->home, cluster, &known) ||
	    !act_verb(cx, env, "pg-certificate-new", NULL, &reply))
		return false;
	if (!is_certificate(cx->mem, reply.out))
		return no_certificate(cx, env, &reply);
	fresh = arena_dup(cx->mem, reply.out);
	if (!wait_for_begin(cx, env, fresh) ||
	    !record_certificate(cx, env, arena_printf(cx->mem, "%s%s", fresh, known ? known : "")))
		return false;
	fault_point("pg.certificate.both");
	if (!act_verb(cx, env, "pg-certificate-use", NULL, NULL))
		return false;
	fault_point("pg.certificate.used");
	return record_certificate(cx, env, fresh);
}

/* The server has it, and so have we. */
static bool
certificate_probe(Ctx *cx, StepEnv *env, Probe *out)
{
	Probe used;

	if (!probe_verb(cx, env, "pg-certificate-use", &used))
		return false;
	if (used == PROBE_DONE)
		return trust_probe(cx, env, out);
	*out = PROBE_NOT_DONE;
	return true;
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static bool
remove_act(Ctx *cx, StepEnv *env)
{
	if (env->cluster)
		conns_drop(env->conns, env->cluster, NULL);
	return act_verb(cx, env, "pg-remove", NULL, NULL);
}

static bool
gone_record(Ctx *cx, StepEnv *env)
{
	return password_unrecord(cx, env) && trust_unrecord(cx, env);
}

/* --- database.release: the customer keeps it, with its roles; our schema goes ------------------------------- */

static bool
leave_database(Ctx *cx, StepEnv *env)
{
	Buf b = buf_new(cx->mem);
	bool stands;
	Pg *pg;

	if (!place_session(cx, env->conns, env->at, &pg) || !ledger_stands(cx, pg, &stands))
		return false;
	if (!stands)
		return true;
	buf_add(&b, "SET LOCAL ROLE ");
	buf_ident(&b, env->at->owner);
	buf_add(&b, "; DROP SCHEMA " LEDGER_SCHEMA " CASCADE");
	if (pg_begin(cx, pg) && ledger_fence(cx, pg, env) && pg_script(cx, pg, b.text) &&
	    pg_commit(cx, pg))
		return true;
	pg_rollback(pg);
	return false;
}

static bool
database_release_act(Ctx *cx, StepEnv *env)
{
	Pg *pg;

	if (!leave_database(cx, env))
		return false;
	fault_point("database.release.left");
	return roles_session(cx, env, &pg) && roles_transact_last(cx, pg, env, "", NULL);
}

const StepKind cluster_host_kinds[] = {
	{ .name = "pg.password",
	    .undo_class = UNDO_REVERSIBLE,
	    .record = password_record,
	    .unrecord = password_unrecord },
	{ .name = "pg.create",
	    .undo_class = UNDO_REVERSIBLE,
	    .guard = create_guard,
	    .act = plain_act,
	    .probe = plain_probe,
	    .undo = create_undo },
	{ .name = "pg.config",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = config_act,
	    .probe = guarded_probe,
	    .undo = guarded_undo },
	{ .name = "pg.hba",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = hba_act,
	    .probe = guarded_probe,
	    .undo = guarded_undo },
	{ .name = "pg.start",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = plain_act,
	    .probe = plain_probe },
	{ .name = "pg.setup",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = setup_act,
	    .probe = setup_probe },
	{ .name = "pg.trust",
	    .undo_class = UNDO_REVERSIBLE,
	    .act = trust_act,
	    .probe = trust_probe,
	    .unrecord = trust_unrecord },
	{ .name = "pg.certificate",
	    .undo_class = UNDO_COMPENSABLE,
	    .act = certificate_act,
	    .probe = certificate_probe },
	{ .name = "pg.remove",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .data_bearing = true,
	    .act = remove_act,
	    .probe = plain_probe,
	    .record = gone_record },
	{ .name = "pg.release",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = plain_act,
	    .probe = plain_probe,
	    .record = gone_record },
	{ .name = "database.release",
	    .undo_class = UNDO_IRREVERSIBLE,
	    .pivot = true,
	    .act = database_release_act,
	    .probe = roles_row_probe },
	{ .name = NULL },
};

/* What workers ask for: a login's verifier, and the keys by which its role logs in on the server. */
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/core/records.h"
#include "region/gateway/master_intern.h"

#define KEY_ROUNDS_MAX 65536 /* more would hold up everybody: some 20 ms at this figure */
#define KEYS_MAX       20000 /* kept; past it all are forgotten and made again when asked */

/* Rounds that may be made for a tenant, whose server chooses salts: its logins' at once, then so many a
 * second.  100 ms, and 2 in a hundred of the master's time. */
#define ROUNDS_AT_ONCE  (64 * 4096 + KEY_ROUNDS_MAX)
#define ROUNDS_A_SECOND KEY_ROUNDS_MAX

typedef struct Kept {
	ScramKeys keys;
} Kept;

typedef struct Made {
	int64_t rounds, at_ms; /* those that count yet, as it was then */
	bool told;
} Made;

/* The same in every gateway of the home, and after a restart: an unknown user's salt never changes. */
bool
answer_setup(Ctx *cx, Master *m)
{
	static const char what[] = "gateway mock";

	if (!home_master(cx, m->home))
		return false;
	hmac_sha256(m->home->master, KEY_BYTES, what, strlen(what), m->start.mock);
	m->keys_mem = arena_new(cx->mem);
	m->keys = map_new(m->keys_mem);
	m->made_mem = arena_new(cx->mem);
	m->made = map_new(m->made_mem);
	return true;
}

/* --- verifiers ------------------------------------------------------------------------ */

/* A verifier that nobody has is read, too: whether a login is there does not show in the time. */
static const char nobody[] =
    "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

void
answer_verifier(Crew *w, uint64_t id, const LinkWho *who)
{
	Master *m = w->m;
	Ctx own = ctx_new(m->cx->mem);
	LoginClient login = { .verifier = nobody };
	LinkVerifier out;
	ScramVerifier real, mock;
	bool found = false;
	char name[2 * ROUTE_NAME + 1];
	int n = snprintf(name, sizeof name, "%s/%s", who->tenant, who->user);

	memset(&out, 0, sizeof out);
	if (!catalog_client(&own, m->home, who->tenant, who->user, &login, &found)) {
		out.unreadable = true;
		master_trouble(m, own.fail);
	}
	scram_mock(m->start.mock, n > 0 ? name : "", &mock);
	bool fits = scram_read(found ? login.verifier : nobody, &real);
	out.known = found && fits;
	out.verifier = out.known ? real : mock;
	crew_send(w, LINK_VERIFIER, id, &out, sizeof out, NULL, 0);
	secret_wipe(&out, sizeof out);
	secret_wipe(&real, sizeof real);
	arena_free(own.mem);
}

/* --- keys -------------------------------------------------------------------------------- */

static void
forget_keys(Master *m)
{
	arena_free(m->keys_mem);
	m->keys_mem = arena_new(m->cx->mem);
	m->keys = map_new(m->keys_mem);
}

static void
wipe_kept(void *ptr)
{
	secret_wipe(ptr, sizeof(Kept));
}

static void
keep(Master *m, const char *name, const ScramKeys *keys)
{
	if (map_count(m->keys) >= KEYS_MAX)
		forget_keys(m);
	Kept *k = arena_alloc(m->keys_mem, sizeof *k);
	k->keys = *keys;
	arena_on_free(m->keys_mem, wipe_kept, k);
	map_set(m->keys, name, k);
}

static char *
kept_name(Arena *mem, const LinkWantKeys *want)
{
	return arena_printf(mem, "%s/%s/%s/%u", want->tenant, want->user,
	    hex_text(mem, want->salt, want->salt_n), want->iterations);
}

static bool
same_salt(const char *verifier, const LinkWantKeys *want)
{
	ScramVerifier v;
	bool same = scram_read(verifier, &v) && v.salt_n == want->salt_n &&
	    memcmp(v.salt, want->salt, v.salt_n) == 0;

	secret_wipe(&v, sizeof v);
	return same;
}

static Made *
made_for(Master *m, const char *tenant)
{
	Made *made = map_get(m->made, tenant);

	if (made)
		return made;
	if (map_count(m->made) >= KEYS_MAX) {
		arena_free(m->made_mem);
		m->made_mem = arena_new(m->cx->mem);
		m->made = map_new(m->made_mem);
	}
	made = arena_alloc(m->made_mem, sizeof *made);
	map_set(m->made, tenant, made);
	return made;
}

/* The server of one tenant must not keep us from all the others. */
static bool
may_make(Master *m, const LinkWantKeys *want)
{
	Made *made = made_for(m, want->tenant);
	int64_t now = clock_mono_ms();
	int64_t left = made->rounds - (now - made->at_ms) * ROUNDS_A_SECOND / 1000;

	left = left < 0 ? 0 : left;
	if (left + want->iterations > ROUNDS_AT_ONCE) {
		if (!made->told)
			log_say("the server of tenant \"%s\" asks for new keys again and again",
			    want->tenant);
		made->told = true;
		return false;
	}
	*made = (Made){ .rounds = left + want->iterations, .at_ms = now };
	return true;
}

/* In the middle of a rotation the server may have either: it tells by the salt that it asks with. */
static bool
role_password(Ctx *cx, Home *home, const LinkWantKeys *want, const LoginClient *login, Secret *out)
{
	bool old = false;

	if (!same_salt(login->role_verifier, want) &&
	    !catalog_secret_get(
		cx, home, previous_password_name(cx->mem, want->tenant, want->user), out, &old))
		return false;
	return old || catalog_login_password(cx, home, want->tenant, want->user, out);
}

static bool
make_keys(Ctx *cx, Master *m, const LinkWantKeys *want, LinkKeys *out)
{
	LoginClient login;
	Secret password;
	bool found;

	if (!catalog_client(cx, m->home, want->tenant, want->user, &login, &found))
		return false;
	char *name = kept_name(cx->mem, want);
	Kept *known = map_get(m->keys, name);
	if (!found || known) {
		out->found = found;
		if (found)
			out->keys = known->keys;
		return true;
	}
	if (!may_make(m, want)) {
		out->later = true;
		return true;
	}
	if (!role_password(cx, m->home, want, &login, &password) ||
	    !scram_keys(cx, &password, want->salt, want->salt_n, want->iterations, &out->keys))
		return false;
	out->found = true;
	keep(m, name, &out->keys);
	return true;
}

void
answer_keys(Crew *w, uint64_t id, const LinkWantKeys *want)
{
	Master *m = w->m;
	Ctx own = ctx_new(m->cx->mem);
	LinkKeys out;

	memset(&out, 0, sizeof out);
	if (want->iterations < 1 || want->iterations > KEY_ROUNDS_MAX)
		log_say("the server of tenant \"%s\" wants %u rounds of a key, and %d are allowed",
		    want->tenant, want->iterations, KEY_ROUNDS_MAX);
	else if (!make_keys(&own, m, want, &out)) {
		out.later = true;
		master_trouble(m, own.fail);
	}
	crew_send(w, LINK_KEYS, id, &out, sizeof out, NULL, 0);
	secret_wipe(&out, sizeof out);
	arena_free(own.mem);
}

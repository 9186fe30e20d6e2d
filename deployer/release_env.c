/* What a service is given: its variables, the database's, a passfile.  None of it leaves this file but sealed
 * in a request's body or as a keyed digest. */
#include <inttypes.h>
#include <string.h>

#include "deployer/release.h"
#include "lib/base/file.h"

#define PART_MAX ((size_t)32 << 10)
#define CA_MAX   ((size_t)24 << 10)
#define BODY_MAX ((size_t)60 << 10)

typedef struct Text { /* grows in wiped memory, to its end at most */
	Secret to;
	size_t cap;
	bool full;
} Text;

static Text
text_new(Arena *mem, size_t cap)
{
	Text t = { .to = secret_alloc(mem, cap), .cap = cap };

	t.to.len = 0;
	return t;
}

static void
text_addn(Text *t, const char *bytes, size_t n)
{
	if (t->full || t->to.len + n >= t->cap) {
		t->full = true;
		return;
	}
	memcpy(t->to.text + t->to.len, bytes, n);
	t->to.len += n;
	t->to.text[t->to.len] = '\0';
}

static void
text_add(Text *t, const char *text)
{
	text_addn(t, text, strlen(text));
}

/* One word of POSIX sh, whatever is in it: newlines too. */
static void
text_quoted(Text *t, const char *value)
{
	text_add(t, "'");
	for (const char *c = value; *c; c++)
		if (*c == '\'')
			text_add(t, "'\\''");
		else
			text_addn(t, c, 1);
	text_add(t, "'");
}

static void
text_variable(Text *t, const char *name, const char *value)
{
	text_add(t, name);
	text_add(t, "=");
	text_quoted(t, value);
	text_add(t, "\n");
}

/* A field of a passfile. */
static void
text_field(Text *t, const char *value, const char *after)
{
	for (const char *c = value; *c; c++) {
		if (*c == ':' || *c == '\\')
			text_add(t, "\\");
		text_addn(t, c, 1);
	}
	text_add(t, after);
}

static void
text_part(Text *t, const char *name, const Secret *part)
{
	Arena *scratch = arena_new(NULL);
	char *base64;

	if (!part->len) {
		arena_free(scratch);
		return;
	}
	base64 = base64_text(scratch, part->text, part->len);
	text_add(t, name);
	text_add(t, " ");
	text_add(t, base64);
	text_add(t, "\n");
	secret_wipe(base64, strlen(base64));
	arena_free(scratch);
}

/* --- the parts ------------------------------------------------------------------------- */

typedef struct Parts {
	Text env, pass;
	Secret ca;
} Parts;

static bool
own_variables(Ctx *cx, Home *home, const BundleService *s, Text *env)
{
	for (size_t i = 0; i < s->env.n; i++) {
		const EnvVar *e = &s->env.at[i];
		Secret value;
		if (e->value) {
			text_variable(env, e->name, e->value);
			continue;
		}
		if (!secret_resolve(cx, home, &e->secret, &value))
			return fail_in(
			    cx, "resolving variable \"%s\" of service \"%s\"", e->name, s->name);
		if (strlen(value.text) != value.len)
			return fail(cx, FAIL_SECRET,
			    "A variable cannot hold one: store it as base64.",
			    "the value of variable \"%s\" of service \"%s\" has a NUL in it",
			    e->name, s->name);
		text_variable(env, e->name, value.text);
	}
	return true;
}

/* The first login that may write; a tenant's only one as a rule. */
static const Login *
login_of(const Placement *at)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (at->logins.at[i].on && !at->logins.at[i].read_only)
			return &at->logins.at[i];
	return NULL;
}

static bool
read_ca(Ctx *cx, const Connect *to, Parts *p)
{
	char *text;
	size_t n;

	if (!to->sslrootcert)
		return true;
	if (!file_read(cx, to->sslrootcert, CA_MAX, &text, &n))
		return fail_in(cx, "reading the certificate of the database's server");
	p->ca = (Secret){ .text = text, .len = n };
	return true;
}

static bool
database_variables(Ctx *cx, Home *home, const Placement *at, Parts *p)
{
	const Connect *to = &at->cluster->connect;
	const Login *login = login_of(at);
	const char *port = arena_printf(cx->mem, "%" PRId64, to->port);
	Secret password;

	if (!login)
		return fail(cx, FAIL_REFUSED,
		    arena_printf(cx->mem, "Make one: copyhold login add %s app.", at->tenant),
		    "tenant \"%s\" has no login that its services could write with", at->tenant);
	if (!catalog_login_password(cx, home, at->tenant, login->user, &password) ||
	    !read_ca(cx, to, p))
		return false;
	text_variable(&p->env, "PGHOST", to->host);
	text_variable(&p->env, "PGPORT", port);
	text_variable(&p->env, "PGDATABASE", at->dbname);
	text_variable(&p->env, "PGUSER", login->role);
	if (to->sslmode)
		text_variable(&p->env, "PGSSLMODE", to->sslmode);
	text_field(&p->pass, to->host, ":");
	text_field(&p->pass, port, ":");
	text_field(&p->pass, at->dbname, ":");
	text_field(&p->pass, login->role, ":");
	text_field(&p->pass, password.text, "\n");
	return true;
}

static bool
gather(Ctx *cx, Home *home, const ReleaseAt *at, const BundleService *s, Parts *p)
{
	*p = (Parts){ .env = text_new(cx->mem, PART_MAX), .pass = text_new(cx->mem, PART_MAX) };
	text_variable(&p->env, "COPYHOLD_TENANT", at->tenant->tenant);
	text_variable(&p->env, "COPYHOLD_RELEASE", at->bundle->version);
	text_variable(&p->env, "COPYHOLD_SERVICE", s->name);
	if ((s->database && !database_variables(cx, home, at->tenant, p)) ||
	    !own_variables(cx, home, s, &p->env))
		return false;
	return (!p->env.full && !p->pass.full) ||
	    fail(cx, FAIL_LIMIT, "Put large values into files of the bundle.",
		"the environment of service \"%s\" is larger than %zu bytes", s->name, PART_MAX);
}

/* --- its digest ---------------------------------------------------------------------------- */

/* How the service is run, without what is secret in it. */
static char *
public_text(Arena *mem, const ReleaseAt *at, const BundleService *s, int64_t port)
{
	Buf b = buf_new(mem);

	buf_fmt(&b, "%s\n%s\n%s\n%" PRId64 " %" PRId64 " %" PRId64 "\n", at->bundle->version,
	    at->digest, s->name, s->instances, s->drain_ms, port);
	for (size_t i = 0; i < s->exec.n; i++)
		buf_fmt(&b, "exec %zu %s\n", strlen(s->exec.at[i]), s->exec.at[i]);
	if (s->health.http)
		buf_fmt(&b, "http %s\n", s->health.http);
	return b.text;
}

static const char *
keyed_digest(Arena *mem, Home *home, const char *text, const Secret *body)
{
	unsigned char key[KEY_BYTES];
	Secret all = secret_alloc(mem, strlen(text) + body->len);

	/* a key of its own: what is keyed with the master key itself is sealed, never shown */
	hmac_sha256(home->master, KEY_BYTES, "release", 7, key);
	memcpy(all.text, text, strlen(text));
	memcpy(all.text + strlen(text), body->text, body->len);
	const char *hex = hmac_hex(mem, key, sizeof key, all.text, strlen(text) + body->len);
	secret_wipe(key, sizeof key);
	return hex;
}

bool
release_env(Ctx *cx, Home *home, const ReleaseAt *at, const ServiceAt *service, ReleaseEnv *out)
{
	const BundleService *s = release_service(at, service->service);
	Text body = text_new(cx->mem, BODY_MAX);
	Parts p;

	if (!home_master(cx, home) || !gather(cx, home, at, s, &p))
		return fail_in(cx, "making the environment of service \"%s\" of tenant \"%s\"",
		    s->name, at->tenant->tenant);
	if (s->listen == LISTEN_SOCKET)
		text_add(&body, "listen socket\n");
	text_part(&body, "env", &p.env.to);
	text_part(&body, "pass", &p.pass.to);
	text_part(&body, "ca", &p.ca);
	if (body.full)
		return fail(cx, FAIL_LIMIT, "Put large values into files of the bundle.",
		    "the environment of service \"%s\" is larger than %zu bytes", s->name,
		    BODY_MAX);
	out->body = body.to;
	out->digest = keyed_digest(
	    cx->mem, home, public_text(cx->mem, at, s, service->port), &body.to);
	return true;
}

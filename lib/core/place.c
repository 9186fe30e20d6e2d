#include "lib/core/place.h"

#include <string.h>

#include "lib/adapters/map.h"
#include "lib/base/clock.h"
#include "lib/core/catalog.h"
#include "lib/core/trust.h"

#define PLACE_TABLES 16
#define NAME_BYTES   63

/* Set once by main, read by everybody. */
static const PlaceDriver *const *drivers;
static const StepKind *tables[PLACE_TABLES];
static size_t tables_n;

/* --- names ---------------------------------------------------------------- */

/* What passes PostgreSQL's 63 bytes keeps its head and gets a digest of the whole as its tail. */
static const char *
place_fit(Arena *mem, const char *name)
{
	size_t n = strlen(name), keep = NAME_BYTES - 9;

	if (n <= NAME_BYTES)
		return name;
	while (keep > 0 && ((unsigned char)name[keep] & 0xC0) == 0x80)
		keep--;
	return arena_printf(mem, "%.*s_%.8s", (int)keep, name, sha256_hex(mem, name, n));
}

/* Four letters that tell nobody the login's name. */
static const char *
place_letters(Arena *mem, const char *id, const char *user)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	char *text = arena_printf(mem, "%s/%s", id, user), *out = arena_alloc(mem, 5);
	unsigned char hash[32];

	sha256(text, strlen(text), hash);
	for (size_t i = 0; i < 4; i++)
		out[i] = letters[hash[i] & 31];
	return out;
}

static const char *
place_underscored(Arena *mem, const char *name)
{
	char *out = arena_dup(mem, name);

	for (char *p = out; *p; p++)
		if (*p == '-')
			*p = '_';
	return out;
}

void
place_shared_names(Arena *mem, Shared *s)
{
	s->dbname = arena_printf(mem, "s_%s", s->id);
	s->owner = arena_printf(mem, "s_%s_o", s->id);
	s->keeper = arena_printf(mem, "s_%s_k", s->id);
	s->writers = arena_printf(mem, "s_%s_w", s->id);
	s->readers = arena_printf(mem, "s_%s_r", s->id);
}

Placement *
place_of_shared(Arena *mem, const Shared *s)
{
	Placement *p = arena_alloc(mem, sizeof *p);

	*p = (Placement){
		.tenant = s->name,
		.id = s->id,
		.mode = MODE_SHARED,
		.cluster = s->cluster,
		.dbname = s->dbname,
		.owner = s->owner,
		.layout = LAYOUT_WIDE,
		.schema = SCHEMA_WIDE,
		.scope = arena_printf(mem, "shared/%s", s->name),
		.shared = s,
	};
	return p;
}

/* On a customer's own machines its people read the names.  "t_" keeps them apart from the server's own;
 * a tenant's name has no underscore, so none of its logins has the role of another tenant. */
static bool
place_is_customers(Mode mode)
{
	return mode == MODE_EXCLUSIVE || mode == MODE_HYBRID;
}

void
place_names(Arena *mem, Placement *p, const Tenant *spec)
{
	p->tenant = spec->name;
	p->scope = arena_printf(mem, "tenant/%s", spec->name);
	p->schema = SCHEMA_APP;
	if (p->mode == MODE_NONE)
		p->mode = spec->mode;
	if (!p->id)
		p->id = random_name(mem, 12);
	if (p->shared) {
		p->schema = arena_printf(mem, SCHEMA_APP "_%s", p->id);
		p->dbname = p->shared->dbname;
		p->owner = p->shared->owner;
		return;
	}
	if (p->mode == MODE_CUSTOMER_DB) {
		p->dbname = spec->database ? spec->database : place_underscored(mem, spec->name);
		p->owner = spec->owner_role
		    ? spec->owner_role
		    : place_fit(mem, arena_printf(mem, "%s_owner", p->dbname));
		return;
	}
	if (place_is_customers(p->mode)) {
		p->dbname = p->owner = arena_printf(mem, "t_%s", spec->name);
		return;
	}
	p->dbname = arena_printf(mem, "t_%s", p->id);
	p->owner = arena_printf(mem, "t_%s_o", p->id);
}

const char *
place_login_role(Arena *mem, const Placement *p, const char *user)
{
	if (place_is_customers(p->mode))
		return place_fit(mem, arena_printf(mem, "%s_%s", p->owner, user));
	if (p->mode != MODE_CUSTOMER_DB)
		return arena_printf(mem, "t_%s_%s", p->id, place_letters(mem, p->id, user));
	return place_fit(mem, arena_printf(mem, "%s_%s", p->dbname, place_underscored(mem, user)));
}

const Login *
place_login(const Placement *p, const char *user)
{
	for (size_t i = 0; i < p->logins.n; i++)
		if (strcmp(p->logins.at[i].user, user) == 0)
			return &p->logins.at[i];
	return NULL;
}

/* --- connections ------------------------------------------------------------ */

struct Conns {
	Arena *mem;
	Home *home;
	Map *open; /* key of conn_key() -> Conn */
	Map *hosts;
};

typedef struct Conn {
	Arena *mem;
	Pg *pg;
} Conn;

Conns *
conns_new(Ctx *cx, Home *home)
{
	Conns *c = arena_alloc(cx->mem, sizeof *c);

	*c = (Conns){ .mem = arena_new(cx->mem), .home = home };
	c->open = map_new(c->mem);
	c->hosts = map_new(c->mem);
	return c;
}

Home *
conns_home(const Conns *c)
{
	return c->home;
}

Map *
conns_hosts(Conns *c, Arena **mem)
{
	*mem = c->mem;
	return c->hosts;
}

static const char *
conn_key(Arena *mem, const Cluster *cluster, const char *dbname, const char *as)
{
	return arena_printf(mem, "%s\n%s\n%s", cluster->name, dbname, as ? as : "");
}

/* That of a cluster that we made is our own secret, which no manifest can name. */
bool
conns_password(Ctx *cx, Home *home, const Cluster *cluster, Secret *out)
{
	const char *ref = cluster->connect.password.ref;
	bool found;

	if (!cluster->on.host)
		return secret_resolve(cx, home, &cluster->connect.password, out);
	if (!catalog_secret_get(
		cx, home, arena_printf(cx->mem, "cluster/%s", cluster->name), out, &found))
		return false;
	return found ||
	    fail(cx, FAIL_SECRET, "Make the cluster first: copyhold apply.",
		"the secret \"%s\" is not in the store", ref);
}

bool
conns_target(Ctx *cx, Home *home, const Cluster *cluster, const char *dbname, PgTarget *out)
{
	const Connect *at = &cluster->connect;
	Secret password = { 0 };

	if (at->password.ref && !conns_password(cx, home, cluster, &password))
		return false;
	const char *root = at->sslrootcert;

	if (cluster->on.host && !root)
		root = trust_path(cx->mem, home, cluster->name);
	*out = (PgTarget){
		.name = cluster->name,
		.host = at->host,
		.port = (int)at->port,
		.dbname = dbname ? dbname : at->database,
		.user = at->user,
		.password = password,
		.sslmode = at->sslmode,
		.sslrootcert = root,
		.sslcert = at->sslcert,
		.sslkey = at->sslkey,
	};
	return true;
}

/* Nothing is found by an unqualified name in a database where tenants write. */
static bool
conn_prepare(Ctx *cx, Pg *pg, const char *as)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "SET search_path = ''; SET client_min_messages = warning");
	if (as) {
		buf_add(&b, "; SET ROLE ");
		buf_ident(&b, as);
	}
	return pg_script(cx, pg, b.text);
}

static bool
conn_open(Ctx *cx, Conns *c, const Cluster *cluster, const char *dbname, const char *as, Conn *out)
{
	Ctx own = ctx_new(c->mem);
	PgTarget target;

	out->mem = own.mem;
	if (conns_target(&own, c->home, cluster, dbname, &target) &&
	    pg_open(&own, &target, &out->pg) && conn_prepare(&own, out->pg, as))
		return true;
	fail_copy(cx, &own);
	arena_free(own.mem);
	return false;
}

bool
conns_get_as(
    Ctx *cx, Conns *c, const Cluster *cluster, const char *dbname, const char *as, Pg **out)
{
	const char *db = dbname ? dbname : cluster->connect.database;
	const char *key = conn_key(cx->mem, cluster, db, as);
	Conn *old = map_get(c->open, key), fresh = { 0 };

	if (old && pg_alive(old->pg)) {
		*out = old->pg;
		return true;
	}
	if (old) {
		map_remove(c->open, key);
		arena_free(old->mem);
	}
	if (!conn_open(cx, c, cluster, db, as, &fresh))
		return false;
	Conn *kept = arena_alloc(fresh.mem, sizeof *kept);

	*kept = fresh;
	map_set(c->open, key, kept);
	*out = kept->pg;
	return true;
}

bool
conns_get(Ctx *cx, Conns *c, const Cluster *cluster, const char *dbname, Pg **out)
{
	return conns_get_as(cx, c, cluster, dbname, NULL, out);
}

void
conns_drop(Conns *c, const Cluster *cluster, const char *dbname)
{
	Arena *scratch = arena_new(NULL);
	const char *db = dbname ? dbname : cluster->connect.database;
	const char *prefix = conn_key(scratch, cluster, db, NULL);
	const MapItem *it = NULL, *next = map_next(c->open, NULL);

	while ((it = next)) {
		Conn *conn = it->value;

		next = map_next(c->open, it);
		if (strncmp(it->key, prefix, strlen(prefix)) != 0)
			continue;
		map_remove(c->open, it->key);
		arena_free(conn->mem);
	}
	arena_free(scratch);
}

/* --- steps -------------------------------------------------------------------- */

static uint64_t
scope_hash(const char *scope)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *scope; scope++)
		h = (h ^ (unsigned char)*scope) * 1099511628211u;
	return h;
}

static bool
is_of(const Step *s, const char *scope, uint64_t hash)
{
	return s->scope_hash == hash && strcmp(s->scope, scope) == 0;
}

/* The newest of a scope, or NULL; a plan may have a hundred thousand steps.  Planners cut steps off
 * again: then what was noted of the scope is looked for. */
static const Step *
scope_last(const Steps *steps, const char *scope, uint64_t hash)
{
	size_t noted = (size_t)map_get(steps->last, scope);

	if (noted && noted <= steps->n && is_of(&steps->at[noted - 1], scope, hash))
		return &steps->at[noted - 1];
	for (size_t i = noted ? steps->n : 0; i-- > 0;)
		if (is_of(&steps->at[i], scope, hash))
			return &steps->at[i];
	return NULL;
}

/* The step's place among those of its scope is in it, so that other tenants in the plan change no key. */
static const char *
step_key(Arena *mem, const Step *s)
{
	char *args = js_canonical(mem, s->args);
	char *text = arena_printf(mem, "%s\n%s\n%s\n%zu", s->scope, s->kind, args, s->ordinal);

	return arena_dupn(mem, sha256_hex(mem, text, strlen(text)), 32);
}

Step *
steps_add(Arena *mem, Steps *steps, const char *scope, const char *kind, Js *args,
    const char *title_fmt, ...)
{
	uint64_t hash = scope_hash(scope);

	if (!steps->last)
		steps->last = map_new(mem);
	const Step *last = scope_last(steps, scope, hash);
	Step s = {
		.id = (int64_t)steps->n + 1,
		.scope = arena_dup(mem, scope),
		.kind = kind,
		.args = args ? args : js_object(mem),
		.scope_hash = hash,
		.ordinal = last ? last->ordinal + 1 : 0,
	};
	va_list ap;

	va_start(ap, title_fmt);
	s.title = arena_vprintf(mem, title_fmt, ap);
	va_end(ap);
	if (last)
		vec_push(mem, &s.needs, last->id);
	s.key = step_key(mem, &s);
	vec_push(mem, steps, s);
	map_set(steps->last, scope, (void *)steps->n);
	return &steps->at[steps->n - 1];
}

void
steps_elsewhere(Arena *mem, Steps *steps, size_t first, const Cluster *cluster)
{
	for (size_t i = first; i < steps->n; i++) {
		Step *s = &steps->at[i];

		js_set_text(s->args, "elsewhere", cluster->name);
		s->title = arena_printf(mem, "%s on \"%s\"", s->title, cluster->name);
	}
}

const char *
step_elsewhere(const Step *step)
{
	return js_get_text(step->args, "elsewhere");
}

Placement
place_elsewhere(const Placement *at, const Cluster *cluster)
{
	Placement there = *at;

	there.cluster = cluster;
	there.shut = true;
	return there;
}

/* --- registries ----------------------------------------------------------------- */

void
place_register(const PlaceDriver *const *list)
{
	drivers = list;
}

const PlaceDriver *
place_driver(Mode mode)
{
	for (size_t i = 0; drivers && drivers[i]; i++)
		if (drivers[i]->mode == mode)
			return drivers[i];
	return NULL;
}

void
step_register(const StepKind *kinds)
{
	for (size_t i = 0; i < tables_n; i++)
		if (tables[i] == kinds)
			return;
	if (tables_n < PLACE_TABLES)
		tables[tables_n++] = kinds;
}

static const StepKind *
kind_in(const StepKind *kinds, const char *name)
{
	for (; kinds && kinds->name; kinds++)
		if (strcmp(kinds->name, name) == 0)
			return kinds;
	return NULL;
}

const StepKind *
step_kind(const char *name)
{
	const StepKind *found = NULL;

	for (size_t i = 0; !found && i < tables_n; i++)
		found = kind_in(tables[i], name);
	for (size_t i = 0; !found && drivers && drivers[i]; i++)
		found = kind_in(drivers[i]->kinds, name);
	return found;
}

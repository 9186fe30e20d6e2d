/*
 * What manifests of hosts, of clusters on them, of bundles and of services placed say about each
 * other.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/core/manifest_intern.h"

/* --- hosts ---------------------------------------------------------------------- */

/* "ssh-ed25519 AAAA...": two words and perhaps a comment; whether the key is whole, the adapter says. */
static bool
check_host_key(Loader *l, const Loaded *item, const char *key)
{
	const char *space = strchr(key, ' ');

	if (space != NULL && space > key && strncmp(space + 1, "AAAA", 4) == 0)
		return true;
	return keys_wrong(l->cx, manifest_place(item, "hostKeys"),
	    "It is what a known_hosts file has after the name: ssh-ed25519 AAAA... The machine's own "
	    "are in /etc/ssh/ssh_host_*_key.pub.",
	    "\"%.40s\" is no public key of a host", key);
}

static bool
plain_path(const char *path)
{
	static const char fine[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";

	size_t n = strlen(path);

	return path[0] == '/' && n > 1 && strspn(path, fine) == n && path[n - 1] != '/' &&
	    strstr(path, "/../") == NULL && (n < 3 || strcmp(path + n - 3, "/..") != 0);
}

static bool
check_jump(Loader *l, const Loaded *item, const Host *h)
{
	size_t hops = 0;

	for (const Host *at = h; at->jump != NULL; hops++) {
		const Host *next = map_get(l->m->hosts, at->jump);
		if (next == NULL)
			return at == h ? manifest_dangling(l, item, "jump", KIND_HOST, h->jump)
				       : true;
		if (next == h || hops > 4)
			return keys_wrong(l->cx, manifest_place(item, "jump"),
			    "A host is reached over four others at most, and not over itself.",
			    "host \"%s\" is reached over itself or over too many others", h->name);
		at = next;
	}
	return true;
}

bool
manifest_check_host(Loader *l, const Loaded *item)
{
	const Host *h = (const Host *)(const void *)item->thing;

	if (map_get(l->m->regions, h->region) == NULL)
		return manifest_dangling(l, item, "region", KIND_REGION, h->region);
	if (h->owner != NULL && map_get(l->m->tenants, h->owner) == NULL)
		return manifest_dangling(l, item, "owner", KIND_TENANT, h->owner);
	if (!plain_path(h->root))
		return keys_wrong(l->cx, manifest_place(item, "root"),
		    "Write an absolute path of letters, digits, dots, dashes and underscores.",
		    "\"root\" of host \"%s\" is no plain path", h->name);
	if (strspn(h->user_prefix, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
		strlen(h->user_prefix) ||
	    h->user_prefix[0] < 'a')
		return keys_wrong(l->cx, manifest_place(item, "userPrefix"),
		    "Write a small letter, then small letters, digits and dashes.",
		    "\"userPrefix\" of host \"%s\" begins no user's name", h->name);
	if (h->user[0] == '-' || strpbrk(h->user, " @:/\\'\"") != NULL)
		return keys_wrong(l->cx, manifest_place(item, "user"),
		    "Write the login's name alone.", "\"user\" of host \"%s\" is no user's name",
		    h->name);
	if (h->address[0] == '-' || strpbrk(h->address, " ,@/\\'\"%") != NULL)
		return keys_wrong(l->cx, manifest_place(item, "address"),
		    "Write one name or one address.", "\"address\" is not one host");
	for (size_t i = 0; i < h->host_keys.n; i++)
		if (!check_host_key(l, item, h->host_keys.at[i]))
			return false;
	if (h->host_keys.n == 0)
		return keys_wrong(l->cx, manifest_place(item, "hostKeys"),
		    "Give those that it has in /etc/ssh/ssh_host_*_key.pub: no other will be believed.",
		    "host \"%s\" has no pinned key", h->name);
	return check_jump(l, item, h);
}

/* --- clusters on hosts ------------------------------------------------------------- */

/* Two who listen at one port of a host would be found out by the second to start only. */
static bool
take_port(Loader *l, const Loaded *item, Place place, const char *host, int64_t port)
{
	char *key = arena_printf(l->cx->mem, "%s:%" PRId64, host, port);
	const Loaded *other = map_get(l->ports, key);

	if (other != NULL)
		return keys_wrong(l->cx, place,
		    arena_printf(l->cx->mem, "%s \"%s\" at %s has it: choose another.",
			kinds[other->kind].name, other->thing->name,
			manifest_place_text(l->cx->mem, other->place)),
		    "port %" PRId64 " of host \"%s\" is wanted twice", port, host);
	Loaded *kept = arena_alloc(l->cx->mem, sizeof *kept);
	*kept = *item;
	map_set(l->ports, key, kept);
	return true;
}

/* How we reach what we have made: TLS with the certificate that we had it make. */
static Connect
connect_of(Arena *mem, const Cluster *c, const Host *h)
{
	return (Connect){
		.host = c->on.address != NULL ? c->on.address : h->address,
		.port = c->on.port,
		.user = "copyhold",
		.database = "copyhold",
		.sslmode = "verify-full",
		.password = { .ref = arena_printf(mem, "store:cluster/%s", c->name) },
	};
}

bool
manifest_check_on(Loader *l, const Loaded *item, Cluster *c)
{
	const Node *on = node_get(item->spec, "on"), *reached = node_get(item->spec, "connect");
	const Host *h;

	if ((on != NULL) == (reached != NULL))
		return keys_wrong(l->cx, on != NULL ? reached->place : item->place,
		    "Say connect: where a server stands, or on: which host copyhold is to make it on.",
		    "cluster \"%s\" has %s", c->name,
		    on != NULL ? "both \"on\" and \"connect\"" : "neither \"on\" nor \"connect\"");
	if (on == NULL)
		return true;
	h = map_get(l->m->hosts, c->on.host);
	if (h == NULL)
		return manifest_dangling_at(l, item, on->place, "host", KIND_HOST, c->on.host);
	if (strcmp(h->region, c->region) != 0)
		return keys_wrong(l->cx, manifest_place(item, "region"), "Name the host's region.",
		    "cluster \"%s\" is said to be in region \"%s\", but its host \"%s\" is in \"%s\"",
		    c->name, c->region, h->name, h->region);
	c->connect = connect_of(l->cx->mem, c, h);
	return take_port(l, item, on->place, h->name, c->on.port);
}

/* --- bundles ----------------------------------------------------------------------- */

static bool
check_source(Loader *l, const Loaded *item, const Bundle *b)
{
	const BundleSource *s = &b->source;
	Place place = manifest_place(item, "source");

	if ((s->folder != NULL) == (s->git != NULL))
		return keys_wrong(l->cx, place, "Name one: folder, or git and commit.",
		    "the source of bundle \"%s\" is %s", b->name,
		    s->git != NULL ? "both a folder and a repository" : "not said");
	if ((s->git != NULL) != (s->commit != NULL) || (s->path != NULL && s->git == NULL))
		return keys_wrong(l->cx, place,
		    "git and commit belong together; path goes with them.",
		    "the source of bundle \"%s\" is not one commit", b->name);
	if (s->commit != NULL &&
	    (strlen(s->commit) < 40 || strspn(s->commit, "0123456789abcdef") != strlen(s->commit)))
		return keys_wrong(l->cx, place, "Write the full id: git rev-parse v1.3.2.",
		    "\"%.64s\" is no full id of a commit", s->commit);
	return true;
}

/* A shell sets them: what is no name for it would be a command, and its value a word of that. */
static bool
is_variable(const char *name)
{
	return !strchr("0123456789", name[0]) &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

static bool
check_service(Loader *l, const Loaded *item, const Bundle *b, const BundleService *s)
{
	if (s->exec.n == 0)
		return keys_wrong(l->cx, s->place, "Name its program: exec: [bin/web].",
		    "service \"%s\" runs nothing", s->name);
	if (s->health.http != NULL && (s->health.command.n > 0 || s->health.http[0] != '/'))
		return keys_wrong(l->cx, s->place,
		    "Give http a path that begins with /, or a command.",
		    "the health of service \"%s\" is not one look", s->name);
	for (size_t i = 0; i < s->exec.n; i++)
		if (s->listen == LISTEN_SOCKET && strstr(s->exec.at[i], "$PORT"))
			return keys_wrong(l->cx, s->place, "Give it $SOCKET, or take listen away.",
			    "service \"%s\" listens on a socket and has no $PORT", s->name);
	for (size_t i = 0; i < s->env.n; i++) {
		const EnvVar *e = &s->env.at[i];
		if ((e->value != NULL) == (e->secret.ref != NULL))
			return keys_wrong(l->cx, e->place, "Give it a value or a secret.",
			    "variable \"%s\" has %s", e->name,
			    e->value != NULL ? "both a value and a secret"
					     : "neither a value nor a secret");
		if (!is_variable(e->name))
			return keys_wrong(l->cx, e->place,
			    "Capitals, digits and underscores; no digit first.",
			    "\"%s\" is no name of a variable", e->name);
	}
	for (size_t i = 0; &b->services.at[i] != s; i++)
		if (strcmp(b->services.at[i].name, s->name) == 0)
			return keys_wrong(l->cx, s->place, "Rename one of the two.",
			    "bundle \"%s\" has two services \"%s\"", item->thing->name, s->name);
	return true;
}

bool
manifest_check_bundle(Loader *l, const Loaded *item)
{
	static const char fine[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+";
	const Bundle *b = (const Bundle *)(const void *)item->thing;

	if (strspn(b->version, fine) != strlen(b->version) || b->version[0] == '.')
		return keys_wrong(l->cx, manifest_place(item, "version"),
		    "Letters, digits, dots, dashes, underscores and plus signs; no dot first.",
		    "\"%s\" is no name of a release", b->version);
	for (size_t i = 0; i < b->services.n; i++)
		if (!check_service(l, item, b, &b->services.at[i]))
			return false;
	return check_source(l, item, b);
}

/* --- a tenant's services -------------------------------------------------------------- */

static const char *
country_of(Loader *l, const char *region)
{
	return ((const Region *)map_get(l->m->regions, region))->country;
}

/* Where its data is, it is the customer's: exclusive wants all of it there. */
static bool
check_owner(Loader *l, const Tenant *t, Place place, const char *what, const Host *h)
{
	if (h->owner != NULL && strcmp(h->owner, t->name) != 0)
		return keys_wrong(l->cx, place,
		    "Take a machine of its own, or one of the vendor's.",
		    "%s of tenant \"%s\" is put on host \"%s\", which belongs to \"%s\"", what,
		    t->name, h->name, h->owner);
	if (h->owner == NULL && (t->mode == MODE_EXCLUSIVE || strcmp(what, "the database") == 0))
		return keys_wrong(l->cx, place,
		    arena_printf(l->cx->mem, "Give the host owner: %s if the customer bought it%s.",
			t->name,
			t->mode == MODE_EXCLUSIVE
			    ? ", or take mode hybrid, where services may run at the vendor's"
			    : ""),
		    "%s of tenant \"%s\" (mode \"%s\") is put on host \"%s\", which is the vendor's",
		    what, t->name, mode_name(t->mode), h->name);
	return true;
}

static bool
check_border(Loader *l, const Tenant *t, const ServiceAt *at, const Host *h, const Cluster *c)
{
	const char *there = country_of(l, h->region), *here = country_of(l, c->region);

	if (strcmp(there, here) == 0 || names_have(&t->crossings, there))
		return true;
	return keys_wrong(l->cx, at->place,
	    arena_printf(l->cx->mem,
		"Add acceptCrossings: [%s] if it may, or put the service on a host in %s.", there,
		here),
	    "service \"%s\" of tenant \"%s\" on host \"%s\" would take its data across the border, from "
	    "%s to %s",
	    at->service, t->name, h->name, here, there);
}

static bool
check_service_at(Loader *l, const Loaded *item, const Tenant *t, const Bundle *b, const Cluster *c,
    const ServiceAt *at)
{
	const Host *h = map_get(l->m->hosts, at->host);
	const BundleService *s = NULL;

	for (size_t i = 0; i < b->services.n && s == NULL; i++)
		if (strcmp(b->services.at[i].name, at->service) == 0)
			s = &b->services.at[i];
	if (s == NULL)
		return keys_wrong(l->cx, at->place, "Its services stand in the Bundle's manifest.",
		    "bundle \"%s\" has no service \"%s\"", b->name, at->service);
	if (h == NULL)
		return manifest_dangling_at(l, item, at->place, "host", KIND_HOST, at->host);
	for (const ServiceAt *other = t->services.at; other != at; other++)
		if (strcmp(other->service, at->service) == 0 && strcmp(other->host, at->host) == 0)
			return keys_wrong(l->cx, at->place,
			    "Remove one; `instances` says how many run.",
			    "service \"%s\" is put on host \"%s\" twice", at->service, at->host);
	if (s->health.http != NULL && at->port == 0)
		return keys_wrong(l->cx, at->place, "Give it the port that its users come to.",
		    "service \"%s\" answers HTTP and has no port on host \"%s\"", at->service,
		    at->host);
	return check_owner(l, t, at->place, "a service", h) &&
	    (!s->database || check_border(l, t, at, h, c)) &&
	    (at->port == 0 || take_port(l, item, at->place, h->name, at->port));
}

static bool
check_not_elsewhere(Loader *l, const Loaded *item, const Tenant *t)
{
	const char *key = t->bundle != NULL ? "bundle"
	    : t->services.n > 0             ? "services"
					    : "acceptCrossings";

	if (t->bundle == NULL && t->services.n == 0 && t->crossings.n == 0)
		return true;
	return keys_wrong(l->cx, manifest_place(item, key),
	    "Remove it: only exclusive and hybrid have it.",
	    "tenant \"%s\" has \"%s\", but mode \"%s\"", t->name, key, mode_name(t->mode));
}

/* A customer's machine has no other customer's data on it. */
static bool
check_guest(Loader *l, const Loaded *item, const Tenant *t, const Cluster *c)
{
	const Host *h = c != NULL && c->on.host != NULL ? map_get(l->m->hosts, c->on.host) : NULL;

	if (h == NULL || h->owner == NULL)
		return true;
	return keys_wrong(l->cx, manifest_place(item, "cluster"),
	    "Take another cluster, or mode exclusive or hybrid if the machine is this tenant's own.",
	    "tenant \"%s\" (mode \"%s\") is put on cluster \"%s\", whose host \"%s\" belongs to \"%s\"",
	    t->name, mode_name(t->mode), c->name, h->name, h->owner);
}

bool
manifest_check_services(Loader *l, const Loaded *item, const Tenant *t)
{
	const Cluster *c = t->cluster != NULL ? map_get(l->m->clusters, t->cluster) : NULL;
	const Bundle *b = t->bundle != NULL ? map_get(l->m->bundles, t->bundle) : NULL;

	if (t->mode != MODE_EXCLUSIVE && t->mode != MODE_HYBRID)
		return check_not_elsewhere(l, item, t) && check_guest(l, item, t, c);
	if (c->on.host == NULL)
		return keys_wrong(l->cx, manifest_place(item, "cluster"),
		    "Take a cluster with on: a host of the customer's, or mode customer-db.",
		    "tenant \"%s\" has mode \"%s\", but cluster \"%s\" is not one that copyhold makes on a "
		    "host",
		    t->name, mode_name(t->mode), c->name);
	if (!check_owner(l, t, manifest_place(item, "cluster"), "the database",
		map_get(l->m->hosts, c->on.host)))
		return false;
	if (t->bundle != NULL && b == NULL)
		return manifest_dangling(l, item, "bundle", KIND_BUNDLE, t->bundle);
	if ((b == NULL) != (t->services.n == 0))
		return keys_wrong(l->cx, manifest_place(item, b != NULL ? "bundle" : "services"),
		    "Name the bundle, and for each of its services the hosts.",
		    "\"bundle\" and \"services\" of tenant \"%s\" belong together", t->name);
	for (size_t i = 0; i < t->services.n; i++)
		if (!check_service_at(l, item, t, b, c, &t->services.at[i]))
			return false;
	return true;
}

#include "deployer/access.h"

#include <string.h>

#include "deployer/items.h"
#include "lib/base/buf.h"
#include "lib/core/host.h"

typedef struct Duty { /* what of the tenant is on a host, as one line of sudoers allows it */
	const Host *host;
	const char *kind, *name; /* "cluster" "acme-pg" */
	const char *user;        /* that its processes run as */
} Duty;

static void
add(Ctx *cx, AccessLines *out, const Host *h, const char *kind, const char *what)
{
	AccessLine line = { arena_printf(cx->mem, "host/%s", h->name), kind, what };

	vec_push(cx->mem, out, line);
}

/* As the helper's user_of() has it: 32 bytes, a longer one ends in a digest of itself. */
static const char *
user_name(Arena *mem, const Host *h, const char *name)
{
	const char *text = arena_printf(mem, "%s%s", h->user_prefix, name);

	if (strlen(text) <= 32)
		return text;
	return arena_printf(mem, "%.23s-%.8s", text, sha256_hex(mem, text, strlen(text)));
}

/* --- a duty on a host ------------------------------------------------------------------ */

static void
duty_paths(Ctx *cx, AccessLines *out, const Duty *d)
{
	const Host *h = d->host;
	const char *unit = arena_printf(cx->mem, "%s%s.%s", h->user_prefix, d->kind, d->name);

	add(cx, out, h, "path", arena_printf(cx->mem, "%s/%ss/%s", h->root, d->kind, d->name));
	add(cx, out, h, "path", arena_printf(cx->mem, "%s/state/%s/%s", h->root, d->kind, d->name));
	add(cx, out, h, "path", arena_printf(cx->mem, "%s/log/%s.*", h->root, unit));
	add(cx, out, h, "path",
	    h->supervise == SUPERVISE_RUNIT
		? arena_printf(cx->mem, "%s/service/%s.*", h->root, unit)
		: arena_printf(cx->mem, "/etc/systemd/system/%s.*.service", unit));
}

static void
duty_lines(Ctx *cx, AccessLines *out, const Duty *d)
{
	const Host *h = d->host;

	if (strcmp(h->user, "root") != 0)
		add(cx, out, h, "sudoers",
		    arena_printf(cx->mem, "%s ALL=(root) NOPASSWD: %s serve %s/%s", h->user,
			host_helper_path(cx->mem, h), d->kind, d->name));
	duty_paths(cx, out, d);
	add(cx, out, h, "user", d->user);
}

static void
add_port(Ctx *cx, AccessLines *out, const Host *h, int64_t port, const char *whose)
{
	if (port)
		add(cx, out, h, "port", arena_printf(cx->mem, "%lld (%s)", (long long)port, whose));
}

static bool
cluster_duty(Ctx *cx, Home *home, const Cluster *c, AccessLines *out)
{
	Duty d = { .kind = "cluster", .name = c->name };

	if (!c->on.host)
		return true;
	if (!host_find(cx, home, c->on.host, &d.host))
		return false;
	d.user = user_name(cx->mem, d.host, arena_printf(cx->mem, "pg-%s", c->name));
	duty_lines(cx, out, &d);
	add_port(cx, out, d.host, c->on.port, "PostgreSQL");
	return true;
}

static bool
is_first_there(const Tenant *spec, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(spec->services.at[j].host, spec->services.at[i].host) == 0)
			return false;
	return true;
}

static bool
tenant_duties(Ctx *cx, Home *home, const Tenant *spec, AccessLines *out)
{
	for (size_t i = 0; i < spec->services.n; i++) {
		const char *host = spec->services.at[i].host;
		Duty d = { .kind = "tenant", .name = spec->name };
		if (!is_first_there(spec, i))
			continue;
		if (!host_find(cx, home, host, &d.host))
			return false;
		d.user = user_name(cx->mem, d.host, spec->name);
		duty_lines(cx, out, &d);
		add(cx, out, d.host, "path", arena_printf(cx->mem, "%s/incoming", d.host->root));
		for (size_t j = i; j < spec->services.n; j++)
			if (strcmp(spec->services.at[j].host, host) == 0)
				add_port(cx, out, d.host, spec->services.at[j].port,
				    spec->services.at[j].service);
	}
	return true;
}

/* --- the server: what its setup script gives our login ------------------------------------- */

static bool
is_right(const char *line)
{
	return strncmp(line, "GRANT ", 6) == 0 ||
	    (strncmp(line, "ALTER ROLE ", 11) == 0 && strstr(line, " WITH "));
}

static void
grant_line(Ctx *cx, AccessLines *out, const char *cluster, char *line)
{
	char *member = strstr(line, " :copyhold_member");
	AccessLine grant = { arena_printf(cx->mem, "cluster/%s", cluster), "grant", line };

	if (member)
		memmove(member, ";", 2);
	vec_push(cx->mem, out, grant);
}

static bool
grants(Ctx *cx, const Placement *at, AccessLines *out)
{
	Buf script = buf_new(cx->mem);

	if (at->mode == MODE_CUSTOMER_DB ? !setup_tenant_script(cx, NULL, at, &script)
					 : !setup_cluster_script(cx, NULL, at->cluster, &script))
		return false;
	for (const char *line = script.text, *end; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (is_right(line))
			grant_line(cx, out, at->cluster->name,
			    arena_dupn(cx->mem, line, (size_t)(end - line)));
	}
	return true;
}

bool
access_lines(Ctx *cx, Home *home, const Tenant *spec, const Placement *at, AccessLines *out)
{
	return cluster_duty(cx, home, at->cluster, out) && tenant_duties(cx, home, spec, out) &&
	    grants(cx, at, out);
}

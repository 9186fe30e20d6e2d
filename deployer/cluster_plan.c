/* What a cluster on a host lacks, as changes for people and steps. */
#include <string.h>

#include "deployer/cluster_host.h"

#include "lib/base/clock.h"
#include "lib/core/trust.h"

#define DAY_S ((int64_t)86400)

typedef struct Wanted { /* which steps a server that stands is given */
	bool config, hba, start, certificate, setup;
} Wanted;

typedef struct Files {
	char *conf, *hba;
} Files;

typedef struct Making {
	Ctx *cx;
	const ClusterWork *work;
	const ServerSeen *seen; /* NULL: not looked at */
	Changes *changes;
	Steps *steps;
	Files now, was;
	Wanted wanted;
} Making;

/* --- steps ------------------------------------------------------------------------ */

static Js *
step_args(const Making *m)
{
	Arena *mem = m->cx->mem;
	const Cluster *c = m->work->cluster;
	Js *args = js_object(mem), *names = js_array(mem);

	js_set_text(args, "cluster", c->name);
	js_set_text(args, "host", c->on.host);
	js_set_text(args, "version", arena_printf(mem, "%lld", (long long)c->on.version));
	js_set_text(args, "port", arena_printf(mem, "%lld", (long long)c->on.port));
	js_push_text(names, c->connect.host);
	/* What takes the address back finds its certificate still good. */
	if (m->work->was && strcmp(m->work->was->connect.host, c->connect.host) != 0)
		js_push_text(names, m->work->was->connect.host);
	js_push_text(names, m->work->host->address);
	js_push_text(names, "127.0.0.1");
	js_push_text(names, "localhost");
	js_set(args, "names", names);
	return args;
}

static void
add_step(const Making *m, const char *kind, Js *args, const char *title)
{
	const Cluster *c = m->work->cluster;

	steps_add(m->cx->mem, m->steps, arena_printf(m->cx->mem, "cluster/%s", c->name), kind,
	    args ? args : step_args(m), "%s %s on host %s", title, c->name, c->on.host);
}

/* A file's text, and the one before it where there was one. */
static Js *
file_args(const Making *m, const char *key, const char *text, const char *was)
{
	Js *args = step_args(m);

	js_set_text(args, key, text);
	if (was)
		js_set_text(args, "was", was);
	return args;
}

/* At another address or port it may be out of our reach. */
static bool
moves(const Making *m)
{
	const Cluster *now = m->work->cluster, *was = m->work->was;

	return was &&
	    (now->on.port != was->on.port || strcmp(now->connect.host, was->connect.host) != 0);
}

static void
config_step(const Making *m)
{
	Js *args = file_args(m, "conf", m->now.conf, m->was.conf);

	if (moves(m)) {
		js_set_bool(args, "guarded", true);
		js_set_bool(args, "rules", m->wanted.hba);
	}
	add_step(m, "pg.config", args, "write the settings of cluster");
}

static void
hba_step(const Making *m)
{
	Js *args = file_args(m, "hba", m->now.hba, m->was.hba);

	js_set_bool(args, "guarded", m->was.hba != NULL);
	add_step(m, "pg.hba", args, "write who may connect to cluster");
}

static void
make_steps(const Making *m)
{
	add_step(m, "pg.password", NULL, "seal a password for our login to cluster");
	add_step(m, "pg.create", NULL, "make user, data folder and certificate of cluster");
	config_step(m);
	hba_step(m);
	add_step(m, "pg.start", NULL, "start cluster");
	add_step(m, "pg.setup", NULL, "set up our login and the template of cluster");
	add_step(m, "pg.trust", NULL, "record the certificate of cluster");
	cluster_claim_steps(m->cx, m->work->cluster, m->steps);
}

/* The certificate first: without its file no server starts. */
static void
mend_steps(const Making *m)
{
	if (m->wanted.certificate)
		add_step(m, "pg.certificate", NULL, "renew the certificate of cluster");
	if (m->wanted.config)
		config_step(m);
	if (m->wanted.start)
		add_step(m, "pg.start", NULL, "start cluster");
	if (m->wanted.hba)
		hba_step(m);
	if (m->wanted.setup)
		add_step(m, "pg.setup", NULL, "set up our login and the template of cluster");
}

/* --- changes ------------------------------------------------------------------------- */

static Change *
change(const Making *m, ChangeOp op, const char *what, const char *name)
{
	Change c = { .op = op, .what = what, .name = name };

	vec_push(m->cx->mem, m->changes, c);
	return &m->changes->at[m->changes->n - 1];
}

static void
drift(const Making *m, const char *what, const char *name, const char *from, const char *to)
{
	Change *c = change(m, CHANGE_ALTER, what, name);

	c->from = from;
	c->to = to;
	c->drift = true;
}

static const Setting *
setting_of(const Cluster *c, const char *name)
{
	for (size_t i = 0; i < c->on.settings.n; i++)
		if (strcmp(c->on.settings.at[i].name, name) == 0)
			return &c->on.settings.at[i];
	return NULL;
}

static const char *
restart_note(const Making *m, const char *name)
{
	if (!m->seen || m->seen->state != SERVER_RUNNING)
		return m->seen ? NULL : "restarts the server if it needs that";
	return names_have(&m->seen->postmaster, name) ? "restarts the server" : NULL;
}

static void
setting_change(Making *m, ChangeOp op, const char *name, const char *from, const char *to)
{
	Change *c = change(m, op, "setting", name);

	c->from = from;
	c->to = to;
	c->note = restart_note(m, name);
}

static void
settings_changed(Making *m)
{
	const Cluster *now = m->work->cluster, *was = m->work->was;

	for (size_t i = 0; i < now->on.settings.n; i++) {
		const Setting *s = &now->on.settings.at[i], *old = setting_of(was, s->name);
		if (!old || strcmp(old->value, s->value) != 0)
			setting_change(m, old ? CHANGE_ALTER : CHANGE_ADD, s->name,
			    old ? old->value : NULL, s->value);
	}
	for (size_t i = 0; i < was->on.settings.n; i++)
		if (!setting_of(now, was->on.settings.at[i].name))
			setting_change(m, CHANGE_REMOVE, was->on.settings.at[i].name,
			    was->on.settings.at[i].value, NULL);
	if (now->on.port != was->on.port)
		setting_change(m, CHANGE_ALTER, "port",
		    arena_printf(m->cx->mem, "%lld", (long long)was->on.port),
		    arena_printf(m->cx->mem, "%lld", (long long)now->on.port));
}

static void
networks_changed(Making *m)
{
	const Names *now = &m->work->cluster->on.allow, *was = &m->work->was->on.allow;

	for (size_t i = 0; i < now->n; i++)
		if (!names_have(was, now->at[i]))
			change(m, CHANGE_ADD, "network", now->at[i]);
	for (size_t i = 0; i < was->n; i++)
		if (!names_have(now, was->at[i]))
			change(m, CHANGE_REMOVE, "network", was->at[i]);
}

static void
address_changed(Making *m)
{
	const char *now = m->work->cluster->connect.host, *was = m->work->was->connect.host;

	if (strcmp(now, was) == 0)
		return;
	setting_change(m, CHANGE_ALTER, "listen_addresses", was, now);
	m->wanted.certificate = true;
}

static void
manifest_changed(Making *m)
{
	settings_changed(m);
	networks_changed(m);
	address_changed(m);
	m->wanted.config = strcmp(m->now.conf, m->was.conf) != 0;
	m->wanted.hba = strcmp(m->now.hba, m->was.hba) != 0;
}

/* --- what somebody did by hand, and what time did ----------------------------------------- */

static bool
is_text(Arena *mem, const char *digest, const char *text)
{
	return digest && strcmp(digest, sha256_hex(mem, text, strlen(text))) == 0;
}

static void
look_at_files(Making *m)
{
	const ServerSeen *s = m->seen;

	if (!is_text(m->cx->mem, s->conf, m->was.conf)) {
		drift(m, "file", "copyhold.conf", "edited", "as it was written");
		m->wanted.config = true;
	}
	if (!is_text(m->cx->mem, s->hba, m->was.hba)) {
		drift(m, "file", "pg_hba.conf", "edited", "as it was written");
		m->wanted.hba = true;
	}
	for (size_t i = 0; i < s->edited.n; i++)
		drift(m, "file", s->edited.at[i], "edited", "as it was written");
	for (size_t i = 0; i < s->system.n; i++)
		drift(m, "setting", s->system.at[i], "ALTER SYSTEM", "as the manifest has it");
	m->wanted.config = m->wanted.config || s->edited.n || s->system.n;
}

static bool
look_at_certificate(Making *m, Home *home)
{
	const ServerSeen *s = m->seen;
	char *known;

	if (!trust_get(m->cx, home, m->work->cluster->name, &known))
		return false;
	const char *digest = known ? trust_digest(m->cx->mem, known) : NULL;

	if (!digest || !s->certificate || strcmp(digest, s->certificate) != 0) {
		drift(m, "certificate", m->work->cluster->name,
		    s->certificate ? "another one" : "none", "a new one");
		m->wanted.certificate = true;
	} else if (s->until * 1000 < clock_wall_ms() + CLUSTER_RENEW_DAYS * DAY_S * 1000) {
		Change *c = change(m, CHANGE_ALTER, "certificate", m->work->cluster->name);
		c->from = arena_printf(
		    m->cx->mem, "until %.10s", clock_iso(m->cx->mem, s->until * 1000));
		c->to = "a new one";
		m->wanted.certificate = true;
	}
	return true;
}

static void
look_at_server(Making *m)
{
	const ServerSeen *s = m->seen;

	if (s->state != SERVER_RUNNING) {
		drift(m, "server", m->work->cluster->name, "stopped", "running");
		m->wanted.start = true;
	} else if (!s->mark || strcmp(s->mark, SETUP_MARK) != 0) {
		Change *c = change(m, CHANGE_ALTER, "template", SETUP_TEMPLATE);
		c->from = s->mark ? s->mark : "none";
		c->to = SETUP_MARK;
		m->wanted.setup = true;
	}
	for (size_t i = 0; i < s->pending.n; i++) {
		drift(m, "setting", s->pending.at[i], "waits for a restart",
		    "as the manifest has it");
		m->changes->at[m->changes->n - 1].note = "restarts the server";
		m->wanted.config = true;
	}
}

static bool
data_is_there(Making *m)
{
	const Cluster *c = m->work->was;
	const char *version = arena_printf(m->cx->mem, "%lld", (long long)c->on.version);

	if (m->seen->state == SERVER_MISSING)
		return fail(m->cx, FAIL_DIFFERENT,
		    "Restore the data folder from a backup, or delete the tenants on it and apply "
		    "with --prune.",
		    "the data folder of cluster \"%s\" is gone from host \"%s\"", c->name,
		    c->on.host);
	if (m->seen->version && strcmp(m->seen->version, version) != 0)
		return fail(m->cx, FAIL_DIFFERENT, "Put back the data folder of that version.",
		    "the data folder of cluster \"%s\" on host \"%s\" is of PostgreSQL %s, not %s",
		    c->name, c->on.host, m->seen->version, version);
	return true;
}

/* A host whose helper is older is made ready by the same run: what is recorded counts until then. */
static bool
look(Making *m, Conns *conns)
{
	ServerSeen *seen = arena_alloc(m->cx->mem, sizeof *seen);

	if (!m->work->look)
		return true;
	if (!cluster_look(m->cx, conns, m->work->was, seen)) {
		if (m->cx->fail->kind != FAIL_UNPREPARED)
			return fail_in(m->cx, "looking at cluster \"%s\"", m->work->cluster->name);
		fail_clear(m->cx);
		return true;
	}
	m->seen = seen;
	return data_is_there(m);
}

/* --- a cluster that is recorded, and a new one ------------------------------------------------ */

static bool
stays(Ctx *cx, const Cluster *now, const Cluster *was)
{
	if (!was->on.host || strcmp(was->on.host, now->on.host) != 0) {
		fail(cx, FAIL_REFUSED, "Make another cluster there, and move the tenants to it.",
		    "cluster \"%s\" is on %s and the manifest says host \"%s\"", now->name,
		    was->on.host ? arena_printf(cx->mem, "host \"%s\"", was->on.host)
				 : "a server of somebody else's",
		    now->on.host);
		return fail_at(cx, now->place);
	}
	if (was->on.version != now->on.version) {
		fail(cx, FAIL_REFUSED,
		    "Make another cluster of that version, and move the tenants to it.",
		    "cluster \"%s\" is of PostgreSQL %lld and the manifest says %lld", now->name,
		    (long long)was->on.version, (long long)now->on.version);
		return fail_at(cx, now->place);
	}
	return true;
}

static bool
files_of(Ctx *cx, const Cluster *c, const Host *h, Files *out)
{
	return cluster_conf(cx, c, h, &out->conf) && cluster_hba(cx, c, &out->hba);
}

static bool
plan_standing(Making *m, Conns *conns)
{
	const ClusterWork *w = m->work;

	if (!stays(m->cx, w->cluster, w->was) || !files_of(m->cx, w->was, w->host, &m->was) ||
	    !look(m, conns))
		return false;
	manifest_changed(m);
	if (m->seen) {
		look_at_files(m);
		look_at_server(m);
		if (!look_at_certificate(m, conns_home(conns)))
			return false;
	}
	mend_steps(m);
	return true;
}

bool
cluster_host_steps(
    Ctx *cx, Conns *conns, const ClusterWork *work, Changes *changes, Steps *steps, bool *down)
{
	Making m = { .cx = cx, .work = work, .changes = changes, .steps = steps };

	if (!files_of(cx, work->cluster, work->host, &m.now))
		return false;
	if (work->was && !plan_standing(&m, conns))
		return false;
	if (!work->was)
		make_steps(&m);
	*down = !work->was || m.wanted.start || m.wanted.certificate ||
	    work->was->on.port != work->cluster->on.port;
	return true;
}

/* --- away ----------------------------------------------------------------------------------------- */

static bool
is_own(const char *database)
{
	static const char *const own[] = { "postgres", "template0", "template1", "copyhold",
		SETUP_TEMPLATE };

	for (size_t i = 0; i < LENGTH(own); i++)
		if (strcmp(own[i], database) == 0)
			return true;
	return false;
}

static const char *
other_databases(Arena *mem, const ServerSeen *s)
{
	Buf b = buf_new(mem);

	for (size_t i = 0; i < s->databases.n; i++)
		if (!is_own(s->databases.at[i]))
			buf_fmt(&b, "%s%s", b.len ? ", " : "", s->databases.at[i]);
	return b.len ? b.text : NULL;
}

bool
cluster_remove_steps(
    Ctx *cx, Conns *conns, const ClusterWork *work, Steps *steps, const char **note)
{
	Making m = { .cx = cx, .work = work, .steps = steps };
	ServerSeen seen = { 0 };

	if (work->look && !cluster_look(cx, conns, work->cluster, &seen))
		return fail_in(cx, "looking at cluster \"%s\"", work->cluster->name);
	const char *others = other_databases(cx->mem, &seen);

	if (others) {
		*note = arena_printf(cx->mem, "left running: it holds %s", others);
		add_step(&m, "pg.release", NULL, "leave as it is, and give up, cluster");
		return true;
	}
	*note = arena_printf(
	    cx->mem, "removed from host %s, with its data folder", work->cluster->on.host);
	add_step(&m, "pg.remove", NULL, "remove server, data folder and user of cluster");
	return true;
}

/* What keeps us from working on a host, and what would mend it. */
#include <inttypes.h>
#include <string.h>

#include "deployer/host.h"
#include "lib/base/clock.h"
#include "lib/core/catalog.h"

#define OFFER_MS     10000
#define DIAL_MS      30000
#define SKEW_MS      2000
#define DISK_KIB     ((int64_t)1 << 20)
#define DISK_PERCENT 90

typedef struct Checker {
	Ctx *cx;
	Home *home;
	const Manifests *m;
	const Host *h;
	Conns *conns;
	HostFindings *found;
	Names may; /* duties that sudo lets us start the helper for */
} Checker;

static void find(Checker *k, Verdict verdict, const char *what, const char *fix, const char *fmt,
    ...) __attribute__((format(printf, 5, 6)));

static void
find(Checker *k, Verdict verdict, const char *what, const char *fix, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	Finding f = {
		.verdict = verdict,
		.what = what,
		.text = arena_vprintf(k->cx->mem, fmt, ap),
		.fix = fix,
	};
	va_end(ap);
	vec_push(k->cx->mem, &k->found->all, f);
}

static void
find_fail(Checker *k, const char *what, const char *fix, const Fail *f)
{
	const char *cause = f->cause ? arena_printf(k->cx->mem, " (%s)", f->cause) : "";

	find(k, VERDICT_WRONG, what, fix ? fix : arena_dup(k->cx->mem, f->hint), "%s%s", f->what,
	    cause);
}

/* --- SSH -------------------------------------------------------------------------------------- */

/* What rests on SHA-1 signatures, MD5, CBC or RC4. */
static bool
is_weak(const char *name)
{
	static const char *const weak[] = { "ssh-dss", "ssh-rsa", "diffie-hellman-group1-sha1",
		"diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1", "none" };

	for (size_t i = 0; i < LENGTH(weak); i++)
		if (strcmp(weak[i], name) == 0)
			return true;
	return strstr(name, "-cbc") || strncmp(name, "arcfour", 7) == 0 ||
	    strncmp(name, "hmac-md5", 8) == 0 || strncmp(name, "hmac-sha1-96", 12) == 0;
}

static void
add_weak(Arena *mem, const char *list, Names *out)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		const char *name = arena_dupn(mem, list, n);

		if (is_weak(name) && !names_have(out, name))
			vec_push(mem, out, name);
		list += n + (list[n] == ',');
	}
}

static const char *
joined(Arena *mem, const Names *names, const char *with)
{
	Buf b = buf_new(mem), plain = buf_new(mem);

	for (size_t i = 0; i < names->n; i++)
		buf_fmt(&b, "%s%s", i ? with : "", names->at[i]);
	buf_plain(&plain, b.text, " ");
	return plain.text;
}

static void
check_algorithms(Checker *k, const SshOffer *offer)
{
	Names weak = { 0 };

	add_weak(k->cx->mem, offer->kex, &weak);
	add_weak(k->cx->mem, offer->host_keys, &weak);
	add_weak(k->cx->mem, offer->ciphers, &weak);
	add_weak(k->cx->mem, offer->macs, &weak);
	if (weak.n)
		find(k, VERDICT_WRONG, "algorithms",
		    "take them out of KexAlgorithms, HostKeyAlgorithms, Ciphers and MACs in "
		    "/etc/ssh/sshd_config",
		    "weak ones are offered: %s", joined(k->cx->mem, &weak, ", "));
	else
		find(k, VERDICT_OK, "algorithms", NULL, "no weak ones are offered");
}

static void
check_offer(Checker *k)
{
	Ctx own = ctx_new(k->cx->mem);
	SshOffer offer;

	if (k->h->jump) {
		find(k, VERDICT_UNKNOWN, "algorithms", NULL, "it is reached over \"%s\"",
		    k->h->jump);
		return;
	}
	if (!ssh_offer(&own, k->h->address, k->h->port, clock_mono_ms() + OFFER_MS, &offer)) {
		find_fail(k, "address", NULL, own.fail);
		k->found->unreachable = fail_exit(own.fail->kind) == EXIT_UNREACHABLE;
		return;
	}
	Buf banner = buf_new_max(k->cx->mem, 300);

	buf_plain(&banner, offer.banner, " ");
	find(k, VERDICT_OK, "address", NULL, "%s:%" PRId64 " answers: %s", k->h->address,
	    k->h->port, banner.text);
	check_algorithms(k, &offer);
}

static const char *
pinned(Checker *k)
{
	Names all = { 0 };

	for (size_t i = 0; i < k->h->host_keys.n; i++) {
		const char *print = ssh_fingerprint(k->cx->mem, k->h->host_keys.at[i]);
		vec_push(k->cx->mem, &all, print ? print : "malformed");
	}
	return joined(k->cx->mem, &all, ", ");
}

static bool
check_login(Checker *k)
{
	Ctx own = ctx_new(k->cx->mem);
	SshTarget to;
	Ssh *ssh;

	if (host_target(&own, k->home, k->h, &to) &&
	    ssh_open(&own, &to, clock_mono_ms() + DIAL_MS, &ssh)) {
		find(k, VERDICT_OK, "host key", NULL, "it is a pinned one: %s", pinned(k));
		find(k, VERDICT_OK, "login", NULL, "user \"%s\", by %s", k->h->user, ssh_via(ssh));
		ssh_close(ssh);
		return true;
	}
	k->found->unreachable = k->found->unreachable ||
	    fail_exit(own.fail->kind) == EXIT_UNREACHABLE;
	if (own.fail->kind == FAIL_HOST_KEY)
		find_fail(k, "host key", NULL, own.fail);
	else
		find_fail(k, "login", NULL, own.fail);
	return false;
}

/* --- the machine ------------------------------------------------------------------------------- */

static void
check_supervise(Checker *k, const HostFacts *f)
{
	bool systemd = k->h->supervise == SUPERVISE_SYSTEMD;

	if (!f->pid1)
		find(k, VERDICT_UNKNOWN, "supervise", NULL, "process 1 is not to be seen");
	else if (systemd && strcmp(f->pid1, "systemd") != 0)
		find(k, VERDICT_WRONG, "supervise", "write supervise: runit into its manifest",
		    "the manifest says systemd, but process 1 is \"%s\"", f->pid1);
	else
		find(k, VERDICT_OK, "supervise", NULL, "%s; process 1 is \"%s\"",
		    systemd ? "systemd" : "runit", f->pid1);
}

static void
check_disk(Checker *k, const HostFacts *f)
{
	int64_t all = f->disk_used_kib + f->disk_free_kib;
	int64_t percent = all > 0 ? f->disk_used_kib * 100 / all : 0;
	const char *fix = arena_printf(k->cx->mem, "make room below %s", k->h->root);

	if (all <= 0)
		find(k, VERDICT_UNKNOWN, "disk", NULL, "df does not tell");
	else if (f->disk_free_kib < DISK_KIB || percent >= DISK_PERCENT)
		find(k, VERDICT_WRONG, "disk", fix,
		    "%" PRId64 " MiB are free, %" PRId64 " %% are used", f->disk_free_kib >> 10,
		    percent);
	else
		find(k, VERDICT_OK, "disk", NULL,
		    "%" PRId64 " GiB are free, %" PRId64 " %% are used", f->disk_free_kib >> 20,
		    percent);
}

static void
check_clock(Checker *k, const HostFacts *f)
{
	int64_t off = f->skew_ms < 0 ? -f->skew_ms : f->skew_ms, slack = f->asked_ms / 2;
	const char *way = f->skew_ms < 0 ? "behind" : "ahead of";

	if (off - slack > SKEW_MS)
		find(k, VERDICT_WRONG, "clock", "apt-get install -y chrony", "it is %s %s ours",
		    clock_human(k->cx->mem, off), way);
	else
		find(k, VERDICT_OK, "clock", NULL, "as ours");
}

static bool
has_option(const char *options, const char *want)
{
	size_t n = strlen(want);

	for (const char *at = options; at && *at; at += strcspn(at, ",") + 1) {
		if (strncmp(at, want, n) == 0 && (at[n] == ',' || at[n] == '\0'))
			return true;
		if (!strchr(at, ','))
			break;
	}
	return false;
}

/* Who may write there could put a helper of their own in place of ours. */
static void
find_open(Checker *k, const char *how)
{
	size_t n = strcspn(how, " "), rights = strcspn(how + n + (how[n] == ' '), " ");
	const char *owner = arena_dupn(k->cx->mem, how, n), *at = how + n + (how[n] == ' ');
	const char *folder = at[rights] ? at + rights + 1 : k->h->root;

	at = arena_dupn(k->cx->mem, at, rights);
	if (strcmp(owner, "link") == 0)
		find(k, VERDICT_WRONG, "root", "say in the manifest where it leads to",
		    "\"%s\" is a link", folder);
	else
		find(k, VERDICT_WRONG, "root",
		    arena_printf(k->cx->mem, "chown root: %s; chmod 755 %s", folder, folder),
		    "\"%s\" belongs to \"%s\", with rights %s", folder, owner, at);
}

static void
check_root(Checker *k, const HostFacts *f)
{
	const char *root = k->h->root;

	if (has_option(f->mount, "noexec") || has_option(f->mount, "ro"))
		find(k, VERDICT_WRONG, "root", "mount it with exec and rw, or choose another root",
		    "\"%s\" is mounted %s", root, has_option(f->mount, "ro") ? "ro" : "noexec");
	else if (f->open)
		find_open(k, f->open);
	else
		find(k, VERDICT_OK, "root", NULL, "\"%s\"%s", root,
		    f->there ? "" : " is not there yet");
}

/* A process 1 that is no init we know may have ways of its own. */
static void
check_boot(Checker *k, const HostFacts *f)
{
	static const char *const inits[] = { "init", "systemd", "runit", "runit-init" };
	bool known = false;

	if (!f->boot || k->h->supervise != SUPERVISE_RUNIT)
		return;
	for (size_t i = 0; f->pid1 && i < LENGTH(inits); i++)
		known = known || strcmp(f->pid1, inits[i]) == 0;
	if (strcmp(f->boot, "nobody") != 0)
		find(k, VERDICT_OK, "start", NULL, "services start with the machine, by %s",
		    f->boot);
	else
		find(k, known ? VERDICT_WRONG : VERDICT_UNKNOWN, "start",
		    arena_printf(k->cx->mem,
			"apt-get install -y cron, then as its root run what copyhold host "
			"setup-script %s prints; or have it run %s/bin/copyhold-boot runsvdir -P "
			"%s/service",
			k->h->name, k->h->root, k->h->root),
		    "nothing starts the services when the machine starts");
}

static void
check_packages(Checker *k, const HostFacts *f, const Names *wanted)
{
	const char *words = joined(k->cx->mem, &f->missing, " ");

	k->found->missing = f->missing;
	if (!wanted->n)
		find(k, VERDICT_OK, "packages", NULL, "none are needed");
	else if (!f->apt)
		find(k, VERDICT_UNKNOWN, "packages", NULL, "it has no apt-get; needed are: %s",
		    joined(k->cx->mem, wanted, " "));
	else if (f->missing.n)
		find(k, VERDICT_WRONG, "packages",
		    k->h->install
			? arena_printf(k->cx->mem, "copyhold host check %s --fix", k->h->name)
			: arena_printf(k->cx->mem, "apt-get install -y %s", words),
		    "missing: %s", words);
	else
		find(k, VERDICT_OK, "packages", NULL, "%s", joined(k->cx->mem, wanted, " "));
}

static bool
check_machine(Checker *k)
{
	Ctx own = { .mem = k->cx->mem, .fail = ctx_new(k->cx->mem).fail };
	HostFacts f;
	Names wanted;

	if (!host_packages(k->cx, k->home, k->m, k->h, &wanted))
		return false;
	if (!host_facts(&own, k->conns, k->h, &wanted, &f)) {
		find_fail(k, "machine", NULL, own.fail);
		return true;
	}
	find(k, VERDICT_OK, "machine", NULL, "%s, %s, \"%s\"", f.os ? f.os : "unknown", f.arch,
	    f.hostname ? f.hostname : "");
	check_supervise(k, &f);
	check_disk(k, &f);
	check_clock(k, &f);
	check_root(k, &f);
	check_boot(k, &f);
	check_packages(k, &f, &wanted);
	k->may = f.duties;
	return true;
}

/* --- the helper, and our rights ------------------------------------------------------------------- */

typedef struct Rights {
	size_t fine;
	const Fail *unprepared;
	struct {
		const Fail **at;
		size_t n, cap;
	} refused;
} Rights;

static void
try_duty(Checker *k, const char *duty, Rights *r)
{
	Ctx own = ctx_new(k->cx->mem);
	HostConn *conn;

	if (conns_host(&own, k->conns, k->h->name, duty, &conn))
		r->fine++;
	else if (own.fail->kind == FAIL_MISSING_RIGHT)
		vec_push(k->cx->mem, &r->refused, own.fail);
	else if (!r->unprepared)
		r->unprepared = own.fail;
}

/* A duty that was handed over, or has gone: the right stays until somebody takes it. */
static bool
check_surplus(Checker *k, const Names *wanted)
{
	Names surplus = { 0 };

	for (size_t i = 0; i < k->may.n; i++)
		if (!names_have(wanted, k->may.at[i]) && !names_have(&surplus, k->may.at[i]))
			vec_push(k->cx->mem, &surplus, k->may.at[i]);
	if (!surplus.n)
		return false;
	find(k, VERDICT_WRONG, "rights",
	    arena_printf(k->cx->mem,
		"take the lines of these out of /etc/sudoers.d; what copyhold host setup-script %s "
		"prints does so with its own",
		k->h->name),
	    "user \"%s\" may start the helper for what is not ours to keep there: %s", k->h->user,
	    joined(k->cx->mem, &surplus, ", "));
	return true;
}

/* Whom sudo lets do what is tried, not read. */
static bool
check_helper(Checker *k)
{
	const char *fix = arena_printf(k->cx->mem, "copyhold host check %s --fix", k->h->name);
	Rights r = { 0 };
	Names duties;

	if (!host_duties(k->cx, k->home, k->m, k->h->name, &duties))
		return false;
	if (!duties.n || k->h->install || !k->h->sudo)
		vec_push(k->cx->mem, &duties, "host");
	for (size_t i = 0; i < duties.n && !r.unprepared; i++)
		try_duty(k, duties.at[i], &r);
	if (r.unprepared) {
		k->found->unprepared = true;
		find_fail(k, "helper", fix, r.unprepared);
	} else if (r.fine)
		find(k, VERDICT_OK, "helper", NULL, "it is ours, of this version");
	else
		find(k, VERDICT_UNKNOWN, "helper", NULL, "we may not ask it");
	for (size_t i = 0; i < r.refused.n; i++)
		find_fail(k, "rights", NULL, r.refused.at[i]);
	if (!check_surplus(k, &duties) && !r.refused.n && !r.unprepared)
		find(k, VERDICT_OK, "rights", NULL, "%s", joined(k->cx->mem, &duties, ", "));
	return true;
}

bool
host_check(Ctx *cx, Home *home, const Manifests *m, const Host *h, HostFindings *out)
{
	Checker k = { .cx = cx, .home = home, .m = m, .h = h, .found = out };
	Ctx own = ctx_new(cx->mem);
	bool ok = true;

	*out = (HostFindings){ 0 };
	k.conns = conns_new(&own, home);
	check_offer(&k);
	if (!out->unreachable && check_login(&k))
		ok = check_machine(&k) && check_helper(&k);
	arena_free(own.mem);
	return ok;
}

/* --- packages --------------------------------------------------------------------------------------- */

static bool
cluster_named(Checker *k, const char *name, Cluster **out)
{
	Cluster *given = k->m ? map_get(k->m->clusters, name) : NULL;

	if (!given)
		return catalog_cluster(k->cx, k->home, name, out);
	*out = given;
	return true;
}

static void
want(Arena *mem, Names *out, const char *name)
{
	if (!names_have(out, name))
		vec_push(mem, out, name);
}

bool
host_packages(Ctx *cx, Home *home, const Manifests *m, const Host *h, Names *out)
{
	Checker k = { .cx = cx, .home = home, .m = m, .h = h };
	Names duties;

	*out = (Names){ 0 };
	if (!host_duties(cx, home, m, h->name, &duties))
		return false;
	if (h->supervise == SUPERVISE_RUNIT)
		want(cx->mem, out, "runit");
	for (size_t i = 0; i < duties.n; i++) {
		Cluster *c;
		if (strncmp(duties.at[i], "cluster/", 8) != 0) {
			want(cx->mem, out, "haproxy");
			continue;
		}
		if (!cluster_named(&k, duties.at[i] + 8, &c))
			return false;
		want(cx->mem, out, arena_printf(cx->mem, "postgresql-%" PRId64, c->on.version));
		want(cx->mem, out, "openssl");
	}
	return true;
}

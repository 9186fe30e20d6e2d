/*
 * machine.h - a pretended host with our helper, and verbs of tests/ssh/host_verbs.sh in it.
 */
#pragma once

#include <signal.h>

#include "lib/adapters/map.h"
#include "lib/base/proc.h"
#include "lib/core/host.h"
#include "tests/unit/core/room.h"

typedef struct Machine {
	Room		*room;
	Ctx		 cx;
	const char	*dir;		/* holds "h1" */
	const char	*prefix;
	Host		 host;
	const char	*keys[1];
	Conns		*conns;
	Step		 step;
	StepEnv		 env;
} Machine;

static inline char *
machine_read(Machine *m, const char *path)
{
	char *text = NULL;
	size_t n;

	ok(&m->cx, file_read(&m->cx, path, 1 << 20, &text, &n));
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	return text;
}

static inline char *
machine_path(Machine *m, const char *name)
{
	return arena_printf(m->cx.mem, "%s/h1/%s", m->dir, name);
}

static inline void
machine_sshd(Machine *m, const char *action, const char *name)
{
	const char *const argv[] = { "tools/sshd.sh", action, m->dir, name, NULL };
	ProcResult r;

	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = argv }, &r));
	if (r.exit_code != 0)
		broken("sshd.sh %s: %s", action, r.err);
}

#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

static inline HostConn *
duty(Machine *m, const char *name)
{
	HostConn *h = NULL;

	ok(&m->cx, conns_host(&m->cx, m->conns, "h1", name, &h));
	return h;
}

/* Something of the machine's own: what it writes. */
static inline const char *
machine_run(Machine *m, const char *script, const char *argument)
{
	const char *const argv[] = { "sh", "-ec", script, "sh", argument, NULL };
	ProcResult r;

	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = argv }, &r));
	if (r.exit_code != 0)
		broken("%s: %s", script, r.err);
	return r.out;
}

/* The helper of this tree, and the verbs of the tests in it. */
static inline void
machine_helper(Machine *m)
{
	static const char *const parts[] = { "deployer/helper/core.sh",
		"deployer/helper/supervise.sh", "deployer/helper/machine.sh", "tests/ssh/host_verbs.sh",
		"deployer/helper/main.sh" };
	Buf b = buf_new(m->cx.mem);
	const char *bin = machine_path(m, "root/bin"), *conf = arena_printf(m->cx.mem, "prefix %s\nsupervise runit\n", m->prefix);

	for (size_t i = 0; i < LENGTH(parts); i++) {
		char *text;
		size_t n;
		ok(&m->cx, file_read(&m->cx, parts[i], 1 << 20, &text, &n));
		buf_addn(&b, text, n);
	}
	ok(&m->cx, file_make_dirs(&m->cx, bin, 0755));
	ok(&m->cx, file_make_dirs(&m->cx, machine_path(m, "root/incoming"), 0700));
	ok(&m->cx, file_write(&m->cx, machine_path(m, "root/bin/copyhold-host"), 0755, b.text, b.len));
	ok(&m->cx,
	    file_write(&m->cx, machine_path(m, "root/bin/copyhold-host.conf"), 0644, conf, strlen(conf)));
}

/* Whatever stands there is ours. */
static inline void
machine_register(Machine *m)
{
	char *text;
	size_t n;

	ok(&m->cx, file_read(&m->cx, machine_path(m, "root/bin/copyhold-host"), 1 << 20, &text, &n));
	host_helper_register(sha256_hex(m->cx.mem, text, n));
}

static inline void
machine_find(Machine *m)
{
	Map *hosts = map_new(m->room->cx.mem);

	m->keys[0] = machine_read(m, machine_path(m, "hostkey.pub"));
	m->host = (Host){
		.name = "h1",
		.address = "127.0.0.1",
		.port = strtol(machine_read(m, machine_path(m, "port")), NULL, 10),
		.user = "root",
		.host_keys = { .at = m->keys, .n = 1, .cap = 1 },
		.identity = machine_path(m, "client"),
		.root = machine_path(m, "root"),
		.supervise = SUPERVISE_RUNIT,
		.user_prefix = m->prefix,
	};
	map_set(hosts, "h1", &m->host);
	m->room->home->hosts = hosts;
	m->step = (Step){ .id = 1, .key = "00112233445566778899aabbccddeeff", .scope = "host/h1",
		.kind = "t", .title = "a test" };
	m->env = (StepEnv){ .home = m->room->home, .run = 7, .fence = 10, .step = &m->step };
	m->conns = conns_new(&m->cx, m->room->home);
	m->env.conns = m->conns;
}

/* Users that the helper makes go through these to what is theirs. */
static inline void
machine_open_folders(Machine *m)
{
	const char *const folders[] = { m->room->dir, m->dir, machine_path(m, ""), machine_path(m, "root") };

	for (size_t i = 0; i < LENGTH(folders); i++)
		assert_int_equal(chmod(folders[i], 0711), 0);
}

static inline int
machine_setup(void **state)
{
	void *room;

	if (getuid() != 0) {
		print_message("pretended hosts need root\n");
		return -1;
	}
	if (room_setup(&room) != 0)
		return -1;
	Room *r = room;
	Machine *m = arena_alloc(r->cx.mem, sizeof *m);

	*m = (Machine){ .room = r, .cx = r->cx, .dir = arena_printf(r->cx.mem, "%s/hosts", r->dir),
		.prefix = arena_printf(r->cx.mem, "c%s-", random_name(r->cx.mem, 5)) };
	machine_sshd(m, "start", "h1");
	machine_open_folders(m);
	ok(&m->cx, file_write(&m->cx, machine_path(m, "prefix"), 0644, m->prefix, strlen(m->prefix)));
	machine_helper(m);
	machine_register(m);
	machine_find(m);
	*state = m;
	return 0;
}

/* The same machine, for a program that room_child() has started. */
static inline Machine *
machine_again(const char *dir)
{
	Ctx cx = ctx_new(NULL);
	Room *r = arena_alloc(cx.mem, sizeof *r);
	Machine *m = arena_alloc(cx.mem, sizeof *m);

	*r = (Room){ .cx = cx, .dir = arena_dup(cx.mem, dir),
		.home_dir = arena_printf(cx.mem, "%s/home", dir) };
	ok(&cx, home_open(&cx, r->home_dir, ACCESS_WRITES, &r->home));
	*m = (Machine){ .room = r, .cx = cx, .dir = arena_printf(cx.mem, "%s/hosts", dir) };
	m->prefix = machine_read(m, machine_path(m, "prefix"));
	machine_register(m);
	machine_find(m);
	return m;
}

/* What a failed test has left running, and its users. */
static inline void
machine_clear(Machine *m)
{
	const char *const argv[] = { "bash", "-c",
		"REPO=$PWD HOSTS=$0; . tests/lib/hosts.bash; host_clear h1", m->dir, NULL };
	ProcResult r;

	ok(&m->cx, proc_run(&m->cx, &(ProcSpec){ .argv = argv }, &r));
	if (r.exit_code != 0)
		broken("host_clear: %s", r.err);
}

static inline int
machine_teardown(void **state)
{
	Machine *m = *state;
	void *room = m->room;

	machine_clear(m);
	machine_sshd(m, "remove", "h1");
	return room_teardown(&room);
}

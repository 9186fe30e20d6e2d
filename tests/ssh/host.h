/*
 * host.h - for the tests of SSH: pretended hosts (tools/sshd.sh) of the
 * test's own, and what is asked of nearly every answer.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/adapters/ssh.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"
#include "lib/base/proc.h"
#include "lib/base/vec.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

#define HOST_MS 30000

typedef struct Hosts {
	Ctx	 cx;
	char	*dir;
} Hosts;

static Hosts hosts;

static inline int64_t
soon(void)
{
	return clock_mono_ms() + HOST_MS;
}

/* A program that must do well; what it wrote. */
static inline const char *
must_run(const char *const *argv)
{
	ProcResult r = { 0 };
	bool ran = proc_run(&hosts.cx, &(ProcSpec){ .argv = argv }, &r);

	if (!ran || r.exit_code != 0)
		fprintf(stderr, "%s: %s\n", argv[0], ran ? r.err : fail_text(hosts.cx.mem, hosts.cx.fail));
	assert_true(ran && r.exit_code == 0);
	return r.out;
}

#define RUN(...) must_run((const char *const[]){ __VA_ARGS__, NULL })
#define SSHD(action, ...) RUN("tools/sshd.sh", action, hosts.dir, __VA_ARGS__)

static inline char *
host_path(const char *name, const char *file)
{
	return arena_printf(hosts.cx.mem, "%s/%s/%s", hosts.dir, name, file);
}

/* The first line of a file. */
static inline char *
line_of(const char *path)
{
	char *text;
	size_t n;

	assert_true(file_read(&hosts.cx, path, 1 << 20, &text, &n));
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* Of a host that runs: as its folder says, with the key that may log in. */
static inline SshTarget
target_of(const char *name)
{
	const char **keys = arena_alloc(hosts.cx.mem, sizeof *keys);

	keys[0] = line_of(host_path(name, "hostkey.pub"));
	return (SshTarget){ .name = name,
		.address = "127.0.0.1",
		.port = strtol(line_of(host_path(name, "port")), NULL, 10),
		.user = line_of(host_path(name, "user")),
		.host_keys = keys,
		.host_keys_n = 1,
		.identity = host_path(name, "client") };
}

/* Another key that may log in there, of that type and passphrase; its file. */
static inline const char *
another_key(const char *host, const char *file, const char *type, const char *phrase)
{
	const char *path = arena_printf(hosts.cx.mem, "%s/%s", hosts.dir, file);

	if (!file_exists(path)) {
		RUN("ssh-keygen", "-q", "-t", type, "-N", phrase, "-C", "another", "-f", path);
	}
	RUN("sh", "-c", "cat \"$1\" >>\"$2\"", "sh", arena_printf(hosts.cx.mem, "%s.pub", path),
	    host_path(host, "authorized_keys"));
	return path;
}

static inline Ssh *
must_open(Ctx *cx, const SshTarget *to)
{
	Ssh *s = NULL;

	if (!ssh_open(cx, to, soon(), &s))
		fputs(fail_text(cx->mem, cx->fail), stderr);
	assert_non_null(s);
	return s;
}

/* What a command writes, and how it ends. */
static inline const char *
output_of(Ctx *cx, Ssh *s, const char *command, const char *input, int code)
{
	Buf out = buf_new(cx->mem);
	char bytes[65536];
	SshChannel *c;
	size_t n = 1;
	int got = -2;
	bool good = ssh_command(cx, s, command, soon(), &c) &&
	    ssh_write(cx, c, input, strlen(input), soon());

	while (good && n > 0 && (good = ssh_read(cx, c, bytes, sizeof bytes, &n, soon())))
		buf_addn(&out, bytes, n);
	good = good && ssh_end(cx, c, soon(), &got);
	if (!good)
		fputs(fail_text(cx->mem, cx->fail), stderr);
	assert_true(good);
	assert_int_equal(got, code);
	return out.text;
}

static inline void
assert_failed(Ctx *cx, FailKind kind, const char *what, const char *cause)
{
	assert_string_equal(cx->fail->what ? cx->fail->what : "", what);
	assert_int_equal(cx->fail->kind, kind);
	if (cause)
		assert_string_equal(cx->fail->cause ? cx->fail->cause : "", cause);
	fail_clear(cx);
}

/* "h1" (127.0.0.1:2222), as messages have it */
static inline const char *
who_of(const SshTarget *to)
{
	return arena_printf(hosts.cx.mem, "\"%s\" (%s:%lld)", to->name, to->address,
	    (long long)to->port);
}

static inline const char *
text(const char *fmt, const char *a)
{
	Buf b = buf_new(hosts.cx.mem);

	for (const char *p = fmt; *p; p++) {
		if (*p == '%')
			buf_add(&b, a);
		else
			buf_addc(&b, *p);
	}
	return b.text;
}

static inline int
hosts_begin(void)
{
	lane_catch_signals();
	unsetenv("SSH_AUTH_SOCK");
	hosts.cx = ctx_new(NULL);
	return temp_dir(&hosts.cx, &hosts.dir) ? 0 : -1;
}

static inline int
hosts_end(void **state)
{
	const char *const argv[] = { "tools/sshd.sh", "remove-all", hosts.dir, NULL };
	ProcResult r;
	bool good = proc_run(&hosts.cx, &(ProcSpec){ .argv = argv }, &r) && r.exit_code == 0;

	(void)state;
	arena_free(hosts.cx.mem);
	return good ? 0 : -1;
}

/* A test's own arena, so that what it opened is closed when it ends. */
static inline int
test_begin(void **state)
{
	Ctx *cx = arena_alloc(hosts.cx.mem, sizeof *cx);

	*cx = ctx_new(hosts.cx.mem);
	*state = cx;
	return 0;
}

static inline int
test_end(void **state)
{
	arena_free(((Ctx *)*state)->mem);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_begin, test_end)

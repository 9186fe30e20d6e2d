/* Who is let in, by which key, and whom we believe to be the host. */
#include "lib/base/local.h"
#include "tests/ssh/host.h"

#define PHRASE "a $phrase 'with' \"signs\""

static int
setup(void **state)
{
	(void)state;
	if (hosts_begin() != 0)
		return -1;
	SSHD("start", "plain");
	SSHD("start", "rsa", "--host-key", "rsa");
	return 0;
}

static void
refuses(Ctx *cx, const SshTarget *to, FailKind kind, const char *what, const char *cause)
{
	Ssh *s;

	assert_false(ssh_open(cx, to, soon(), &s));
	assert_null(strstr(fail_text(cx->mem, cx->fail), "$phrase"));
	assert_failed(cx, kind, what, cause);
}

/* --- the host's key ---------------------------------------------------------------------- */

static const char *
print_of(const char *host, const char *type)
{
	return arena_printf(hosts.cx.mem, "%s (%s)",
	    ssh_fingerprint(hosts.cx.mem, line_of(host_path(host, "hostkey.pub"))), type);
}

static void
an_unknown_key_is_refused_and_told_with_what_to_write(void **state)
{
	static const char *const names[] = { "plain", "rsa" },
				 *const types[] = { "ssh-ed25519", "ssh-rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(names[i]);
		Ssh *s;
		const char *hint = text(
		    "Compare it with what `ssh-keygen -lf` says of the machine's own key "
		    "file; if it is the same, write hostKeys: [\"%\"] in the manifest of "
		    "the host.",
		    to.host_keys[0]);

		to.host_keys_n = 0;
		assert_false(ssh_open(cx, &to, soon(), &s));
		assert_string_equal(cx->fail->hint, hint);
		assert_failed(cx, FAIL_HOST_KEY,
		    arena_printf(cx->mem, "host %s shows the key %s, and none is pinned",
			who_of(&to), print_of(names[i], types[i])),
		    NULL);
	}
}

static const char *
key_of_nobody(Ctx *cx, const char *type)
{
	char *path = arena_printf(cx->mem, "%s/nobody_%s", hosts.dir, type);

	if (!file_exists(path)) {
		RUN("ssh-keygen", "-q", "-t", type, "-N", "", "-C", "nobody", "-f", path);
	}
	return line_of(arena_printf(cx->mem, "%s.pub", path));
}

static void
a_changed_key_is_refused_with_both_fingerprints(void **state)
{
	static const char *const names[] = { "plain", "rsa" },
				 *const types[] = { "ed25519", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		const char *type = arena_printf(cx->mem, "ssh-%s", types[i]);
		const char *other[] = { key_of_nobody(cx, types[i]) };
		SshTarget to = target_of(names[i]);
		const char *hint = text(
		    "Either the machine was set up anew or somebody stands in between: ask its "
		    "owner. If the new key is right, write hostKeys: [\"%\"] in the manifest of the "
		    "host.",
		    to.host_keys[0]);
		Ssh *s;

		to.host_keys = other;
		assert_false(ssh_open(cx, &to, soon(), &s));
		assert_string_equal(cx->fail->hint, hint);
		assert_failed(cx, FAIL_HOST_KEY,
		    arena_printf(cx->mem, "host %s shows the key %s, but %s (%s) is pinned",
			who_of(&to), print_of(names[i], type), ssh_fingerprint(cx->mem, other[0]),
			type),
		    NULL);
	}
}

static void
a_host_without_a_key_of_a_pinned_type_is_refused(void **state)
{
	Ctx *cx = *state;
	SshTarget to = target_of("rsa");
	const char *other[] = { key_of_nobody(cx, "ed25519") };

	to.host_keys = other;
	refuses(cx, &to, FAIL_HOST_KEY,
	    text("host % has no key of a pinned type (ssh-ed25519), only of "
		 "rsa-sha2-512,rsa-sha2-256",
		who_of(&to)),
	    NULL);
}

static void
of_several_pinned_keys_one_is_enough(void **state)
{
	Ctx *cx = *state;
	SshTarget to = target_of("plain");
	const char *keys[] = { key_of_nobody(cx, "rsa"), key_of_nobody(cx, "ed25519"),
		line_of(host_path("plain", "ecdsa.pub")), to.host_keys[0] };

	to.host_keys = keys;
	to.host_keys_n = LENGTH(keys);
	assert_string_equal(ssh_via(must_open(cx, &to)), "libssh2");
	to.host_keys_n = 3;
	keys[1] = keys[0];
	assert_string_equal(ssh_via(must_open(cx, &to)), "libssh2");
}

static void
a_malformed_pinned_key_is_refused_before_anything_is_sent(void **state)
{
	Ctx *cx = *state;
	SshTarget to = target_of("plain");
	const char *keys[] = { "ssh-ed25519 AAAA\nhop0 ssh-rsa AAAA" };

	to.host_keys = keys;
	to.port = 1;
	refuses(cx, &to, FAIL_HOST_KEY, "a pinned key of host \"plain\" is malformed", NULL);
}

static void
words_that_could_be_options_or_more_than_one_are_refused(void **state)
{
	static const char *const bad[] = { "-oProxyCommand=x", "a b", "", "a\nb", "a'b", "a%h",
		"a$(b)" };

	for (size_t i = 0; i < LENGTH(bad); i++) {
		SshTarget to = target_of("plain");

		to.user = bad[i];
		refuses(*state, &to, FAIL_MANIFEST, "host \"plain\" has a bad user", NULL);
		to = target_of("plain");
		to.address = bad[i];
		refuses(*state, &to, FAIL_MANIFEST, "host \"plain\" has a bad address", NULL);
	}
}

/* --- our key ----------------------------------------------------------------------------- */

static const char *
not_let_in(Ctx *cx, const SshTarget *to)
{
	return arena_printf(cx->mem, "host %s does not let user \"%s\" in with the key \"%s\"",
	    who_of(to), to->user, to->identity);
}

static void
let_in(Ctx *cx, const SshTarget *to, const char *via)
{
	Ssh *s = must_open(cx, to);

	assert_string_equal(ssh_via(s), via);
	assert_string_equal(output_of(cx, s, "echo in", "", 0), "in\n");
}

static const char *
key_name(const char *type)
{
	return arena_printf(hosts.cx.mem, "key_%s", type);
}

static void
keys_of_each_type_get_in(void **state)
{
	static const char *const types[][2] = { { "ed25519", "libssh2" }, { "ecdsa", "libssh2" },
		{ "rsa", "ssh: libssh2 has no RSA client keys with SHA-2" } };

	for (size_t i = 0; i < LENGTH(types); i++) {
		SshTarget to = target_of("plain");

		to.identity = another_key("plain", key_name(types[i][0]), types[i][0], "");
		let_in(*state, &to, types[i][1]);
	}
}

static void
keys_in_pem_get_in(void **state)
{
	static const char *const types[][2] = { { "ecdsa", "libssh2" },
		{ "rsa", "ssh: libssh2 has no RSA client keys with SHA-2" } };

	for (size_t i = 0; i < LENGTH(types); i++) {
		SshTarget to = target_of("plain");
		const char *path = arena_printf(hosts.cx.mem, "%s/pem_%s", hosts.dir, types[i][0]);

		RUN("ssh-keygen", "-q", "-m", "PEM", "-t", types[i][0], "-N", "", "-f", path);
		to.identity = another_key("plain", strrchr(path, '/') + 1, types[i][0], "");
		let_in(*state, &to, types[i][1]);
	}
}

static void
the_path_of_a_key_may_have_any_signs(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		SshTarget to = target_of(names[i]);

		to.identity = arena_printf(hosts.cx.mem, "%s/my \"key's\" %%h%zu", hosts.dir, i);
		RUN("cp", host_path(names[i], "client"), to.identity);
		let_in(*state, &to,
		    i == 0 ? "libssh2" : "ssh: libssh2 has no RSA host keys with SHA-2");
	}
}

static void
an_encrypted_key_gets_in_with_its_passphrase(void **state)
{
	static const char *const hosts_of[] = { "plain", "rsa", "plain" };
	static const char *const types[] = { "ed25519", "ed25519", "rsa" };
	static const char *const vias[] = { "libssh2",
		"ssh: libssh2 has no RSA host keys with SHA-2",
		"ssh: libssh2 has no RSA client keys with SHA-2" };

	for (size_t i = 0; i < LENGTH(types); i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(hosts_of[i]);
		Secret phrase = secret_new(cx->mem, PHRASE, strlen(PHRASE));
		Secret wrong = secret_new(cx->mem, "$phrase", 7);

		to.identity = another_key(
		    hosts_of[i], arena_printf(cx->mem, "locked_%s", types[i]), types[i], PHRASE);
		to.passphrase = &phrase;
		let_in(cx, &to, vias[i]);
		to.passphrase = &wrong;
		refuses(cx, &to, FAIL_HOST_LOGIN,
		    i == 0
			? text(
			      "the private key \"%\" does not open with the passphrase that is given",
			      to.identity)
			: not_let_in(cx, &to),
		    NULL);
		to.passphrase = NULL;
		refuses(cx, &to, FAIL_HOST_LOGIN,
		    text("the private key \"%\" is encrypted, and no passphrase is given",
			to.identity),
		    NULL);
	}
}

static void
a_refused_key_is_told(void **state)
{
	static const char *const names[] = { "plain", "rsa" };
	Ctx *cx = *state;

	key_of_nobody(cx, "ed25519");
	for (size_t i = 0; i < 2; i++) {
		SshTarget to = target_of(names[i]);

		to.identity = arena_printf(cx->mem, "%s/nobody_ed25519", hosts.dir);
		refuses(cx, &to, FAIL_HOST_LOGIN,
		    arena_printf(cx->mem, "host %s does not let user \"%s\" in with the key \"%s\"",
			who_of(&to), to.user, to.identity),
		    i == 0 ? "libssh2 -18: Username/PublicKey combination invalid"
			   : arena_printf(
				 cx->mem, "%s@127.0.0.1: Permission denied (publickey).", to.user));
	}
}

static void
a_file_that_is_no_usable_key_is_told(void **state)
{
	Ctx *cx = *state;
	SshTarget to = target_of("plain");
	char *open = arena_printf(cx->mem, "%s/open", hosts.dir);

	to.identity = "/nowhere/key";
	refuses(cx, &to, FAIL_SYSTEM, "cannot open the private key \"/nowhere/key\"", "ENOENT");
	to.identity = hosts.dir;
	refuses(cx, &to, FAIL_HOST_LOGIN, text("\"%\" is no private key", hosts.dir), NULL);
	to.identity = host_path("plain", "client.pub");
	RUN("chmod", "600", host_path("plain", "client.pub"));
	refuses(cx, &to, FAIL_HOST_LOGIN, text("\"%\" is no private key", to.identity), NULL);
	RUN("cp", host_path("plain", "client"), open);
	RUN("chmod", "640", open);
	to.identity = open;
	refuses(cx, &to, FAIL_PERMISSION, text("the private key \"%\" may be read by others", open),
	    NULL);
}

/* --- the agent --------------------------------------------------------------------------- */

static void
end_agent(void *pid)
{
	RUN("kill", pid);
	unsetenv("SSH_AUTH_SOCK");
}

static void
start_agent(Ctx *cx)
{
	char *path = arena_printf(cx->mem, "%s/agent %s", hosts.dir, random_name(cx->mem, 6));
	const char *said = RUN("ssh-agent", "-s", "-a", path);
	const char *pid = strstr(said, "SSH_AGENT_PID=");

	assert_non_null(pid);
	pid += strlen("SSH_AGENT_PID=");
	arena_on_free(cx->mem, end_agent, arena_dupn(cx->mem, pid, strcspn(pid, ";")));
	setenv("SSH_AUTH_SOCK", path, 1);
}

static void
a_key_of_the_agent_gets_in(void **state)
{
	static const char *const types[][2] = {
		{ "rsa", "ssh: libssh2 has no RSA client keys with SHA-2" }, { "ecdsa", "libssh2" },
		{ "ed25519", "libssh2" }
	};
	Ctx *cx = *state;
	SshTarget to = target_of("plain");

	start_agent(cx);
	to.identity = NULL;
	refuses(cx, &to, FAIL_HOST_LOGIN, "the SSH agent has no key", NULL);
	for (size_t i = 0; i < LENGTH(types); i++) {
		RUN("ssh-add", "-q", another_key("plain", key_name(types[i][0]), types[i][0], ""));
		let_in(cx, &to, types[i][1]);
	}
	RUN("ssh-add", "-q", "-D");
	key_of_nobody(cx, "ed25519");
	RUN("ssh-add", "-q", arena_printf(cx->mem, "%s/nobody_ed25519", hosts.dir));
	refuses(cx, &to, FAIL_HOST_LOGIN,
	    arena_printf(cx->mem, "host %s does not let user \"%s\" in with any key of the agent",
		who_of(&to), to.user),
	    NULL);
	RUN("ssh-add", "-q", another_key("plain", "key_ed25519", "ed25519", ""));
	let_in(cx, &to, "libssh2");
	SshTarget rsa = target_of("rsa");
	rsa.identity = NULL;
	another_key("rsa", "key_ed25519", "ed25519", "");
	let_in(cx, &rsa, "ssh: libssh2 has no RSA host keys with SHA-2");
}

static void
close_fd(void *fd)
{
	close((int)(intptr_t)fd);
	unsetenv("SSH_AUTH_SOCK");
}

static void
an_agent_that_is_missing_or_silent_is_told(void **state)
{
	Ctx *cx = *state;
	SshTarget to = target_of("plain");
	Ssh *s;
	int fd;

	to.identity = NULL;
	refuses(cx, &to, FAIL_HOST_LOGIN, "no identity is given, and SSH_AUTH_SOCK names no agent",
	    NULL);
	setenv("SSH_AUTH_SOCK", "/nowhere/agent", 1);
	refuses(
	    cx, &to, FAIL_HOST_LOGIN, "the SSH agent of SSH_AUTH_SOCK cannot be reached", "ENOENT");
	assert_true(local_open(cx, hosts.dir, "silent", SOCK_STREAM, 0600, &fd));
	arena_on_free(cx->mem, close_fd, (void *)(intptr_t)fd);
	setenv("SSH_AUTH_SOCK", arena_printf(cx->mem, "%s/silent", hosts.dir), 1);
	assert_false(ssh_open(cx, &to, clock_mono_ms() + 1000, &s));
	assert_failed(cx, FAIL_TIMEOUT, "the SSH agent did not answer in time", NULL);
}

/* --- through another host ---------------------------------------------------------------- */

static void
a_host_is_reached_through_another_and_a_third(void **state)
{
	static const char *const names[][3] = { { "plain", "plain", "plain" },
		{ "rsa", "plain", "plain" }, { "plain", "rsa", "plain" },
		{ "plain", "plain", "rsa" } };

	SSHD("start", "far", "--config", "MaxStartups 100");
	for (size_t i = 0; i < LENGTH(names); i++) {
		SshTarget jumps[3];

		for (size_t k = 0; k < 3; k++) {
			jumps[k] = target_of(names[i][k]);
			jumps[k].jump = k > 0 ? &jumps[k - 1] : NULL;
		}
		let_in(*state, &jumps[1],
		    i == 0 || i == 3 ? "libssh2" : "ssh: libssh2 has no RSA host keys with SHA-2");
		let_in(*state, &jumps[2],
		    i == 0 ? "libssh2" : "ssh: libssh2 has no RSA host keys with SHA-2");
	}
}

static void
files_and_much_output_pass_through_a_jump_host(void **state)
{
	Ctx *cx = *state;
	SshTarget jump = target_of("plain"), to = target_of("plain");
	char *from = arena_printf(cx->mem, "%s/much", hosts.dir);
	char *path = host_path("plain", "root/much");

	to.jump = &jump;
	Ssh *s = must_open(cx, &to);
	RUN("sh", "-c", "head -c 20000000 /dev/urandom >\"$1\"", "sh", from);
	if (!ssh_put(cx, s, from, path, 0600, soon()))
		fputs(fail_text(cx->mem, cx->fail), stderr);
	RUN("cmp", from, path);
	assert_int_equal(
	    strlen(output_of(cx, s, "head -c 5000000 /dev/zero | tr '\\0' x", "", 0)), 5000000);
}

static void
both_keys_of_a_way_are_checked(void **state)
{
	static const char *const names[] = { "plain", "rsa" };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget jump = target_of(names[i]), to = target_of("plain");
		const char *good = jump.host_keys[0];
		const char *other[] = { key_of_nobody(cx, i == 0 ? "ed25519" : "rsa") };
		const char *another[] = { key_of_nobody(cx, "ed25519") };
		const char *print = ssh_fingerprint(cx->mem, other[0]);
		const char *type = i == 0 ? "ssh-ed25519" : "ssh-rsa";

		to.name = "target";
		to.jump = &jump;
		jump.host_keys = other;
		refuses(cx, &to, FAIL_HOST_KEY,
		    arena_printf(cx->mem, "host %s shows the key %s (%s), but %s (%s) is pinned",
			who_of(&jump), ssh_fingerprint(cx->mem, good), type, print, type),
		    NULL);
		jump.host_keys = &good;
		print = ssh_fingerprint(cx->mem, to.host_keys[0]);
		to.host_keys = another;
		refuses(cx, &to, FAIL_HOST_KEY,
		    i == 0
			? arena_printf(cx->mem,
			      "host %s shows the key %s (ssh-ed25519), but %s (ssh-ed25519) is pinned",
			      who_of(&to), print, ssh_fingerprint(cx->mem, another[0]))
			: text("host % shows another key than the pinned one", who_of(&to)),
		    NULL);
	}
}

static void
with_its_jump_host_a_session_is_lost(void **state)
{
	Ctx *cx = *state;
	SshTarget jump, to = target_of("plain");
	SshChannel *c;
	char byte;
	size_t n;

	SSHD("start", "bridge");
	jump = target_of("bridge");
	to.jump = &jump;
	Ssh *s = must_open(cx, &to);
	assert_true(ssh_command(cx, s, "exec cat", soon(), &c));
	SSHD("stop", "bridge");
	assert_false(ssh_read(cx, c, &byte, 1, &n, soon()));
	assert_failed(
	    cx, FAIL_HOST_UNREACHABLE, text("the session with host % was lost", who_of(&to)), NULL);
	assert_false(ssh_alive(s));
}

static void
a_way_that_does_not_lead_there_is_told(void **state)
{
	Ctx *cx = *state;
	SshTarget jump = target_of("plain"), to = target_of("plain");

	to.jump = &jump;
	to.port = 1;
	refuses(cx, &to, FAIL_HOST_UNREACHABLE,
	    arena_printf(
		cx->mem, "no connection with host %s through host %s", who_of(&to), who_of(&jump)),
	    "libssh2 -21: Channel open failure (connect failed)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_key_is_refused_and_told_with_what_to_write),
		TEST(a_changed_key_is_refused_with_both_fingerprints),
		TEST(a_host_without_a_key_of_a_pinned_type_is_refused),
		TEST(of_several_pinned_keys_one_is_enough),
		TEST(a_malformed_pinned_key_is_refused_before_anything_is_sent),
		TEST(words_that_could_be_options_or_more_than_one_are_refused),
		TEST(keys_of_each_type_get_in),
		TEST(keys_in_pem_get_in),
		TEST(the_path_of_a_key_may_have_any_signs),
		TEST(an_encrypted_key_gets_in_with_its_passphrase),
		TEST(a_refused_key_is_told),
		TEST(a_file_that_is_no_usable_key_is_told),
		TEST(a_key_of_the_agent_gets_in),
		TEST(an_agent_that_is_missing_or_silent_is_told),
		TEST(a_host_is_reached_through_another_and_a_third),
		TEST(files_and_much_output_pass_through_a_jump_host),
		TEST(both_keys_of_a_way_are_checked),
		TEST(with_its_jump_host_a_session_is_lost),
		TEST(a_way_that_does_not_lead_there_is_told),
	};

	return cmocka_run_group_tests(tests, setup, hosts_end);
}

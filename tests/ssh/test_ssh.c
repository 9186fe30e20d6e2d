/* Commands, files and algorithms: what both drivers do alike. */
#include "tests/ssh/host.h"

typedef struct Kind {
	const char *host, *via;
} Kind;

/* The first goes by libssh2, the others by the program. */
static const Kind kinds[] = {
	{ "plain", "libssh2" },
	{ "rsa", "ssh: libssh2 has no RSA host keys with SHA-2" },
	{ "etm", "ssh: libssh2 has none of its MACs (hmac-sha2-256-etm@openssh.com)" },
	{ "aead",
	    "ssh: libssh2 has none of its ciphers "
	    "(aes256-gcm@openssh.com,chacha20-poly1305@openssh.com)" },
	{ "sntrup",
	    "ssh: libssh2 has none of its key exchanges "
	    "(sntrup761x25519-sha512@openssh.com,kex-strict-s-v00@openssh.com)" },
};

static void
start_hosts(void)
{
	SSHD("start", "plain");
	SSHD("start", "rsa", "--host-key", "rsa");
	SSHD("start", "etm", "--config", "MACs hmac-sha2-256-etm@openssh.com", "--config",
	    "Ciphers aes256-ctr");
	SSHD("start", "aead", "--config",
	    "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com");
	SSHD("start", "sntrup", "--config", "KexAlgorithms sntrup761x25519-sha512@openssh.com");
}

static int
setup(void **state)
{
	(void)state;
	if (hosts_begin() != 0)
		return -1;
	start_hosts();
	return 0;
}

static Ssh *
open_kind(Ctx *cx, size_t i)
{
	SshTarget to = target_of(kinds[i].host);

	return must_open(cx, &to);
}

static void
the_driver_follows_the_algorithms_and_is_told(void **state)
{
	for (size_t i = 0; i < LENGTH(kinds); i++) {
		Ssh *s = open_kind(*state, i);

		assert_string_equal(ssh_via(s), kinds[i].via);
		assert_string_equal(output_of(*state, s, "echo in", "", 0), "in\n");
		ssh_close(s);
	}
}

static void
a_command_gets_its_input_and_gives_output_stderr_and_exit_code(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Ssh *s = open_kind(cx, i);
		SshChannel *c;
		char bytes[64];
		size_t n;
		int code;

		assert_true(ssh_command(
		    cx, s, "read a; echo \"got $a\"; echo oops >&2; cat; exit 7", soon(), &c));
		assert_true(ssh_write(cx, c, "one\n", 4, soon()));
		assert_true(ssh_read(cx, c, bytes, sizeof bytes, &n, soon()));
		assert_int_equal(n, 8);
		assert_memory_equal(bytes, "got one\n", 8);
		assert_true(ssh_end(cx, c, soon(), &code));
		assert_int_equal(code, 7);
		assert_string_equal(ssh_stderr(c), "oops\n");
	}
}

static void
a_command_that_a_signal_ended_has_no_exit_code(void **state)
{
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(
		    output_of(*state, open_kind(*state, i), "kill -KILL $$", "", -1), "");
}

static void
bytes_of_every_kind_go_both_ways(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Ssh *s = open_kind(cx, i);
		unsigned char all[256], back[256];
		SshChannel *c;
		size_t got = 0, n = 1;
		int code;

		for (int b = 0; b < 256; b++)
			all[b] = (unsigned char)b;
		assert_true(ssh_command(cx, s, "head -c 256", soon(), &c));
		assert_true(ssh_write(cx, c, all, sizeof all, soon()));
		while (n > 0 && got < sizeof back) {
			assert_true(ssh_read(cx, c, back + got, sizeof back - got, &n, soon()));
			got += n;
		}
		assert_int_equal(got, sizeof back);
		assert_memory_equal(back, all, sizeof all);
		assert_true(ssh_end(cx, c, soon(), &code));
		assert_int_equal(code, 0);
	}
}

static void
twenty_megabytes_of_output_come_whole(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Ssh *s = open_kind(cx, i);
		SshChannel *c;
		static char bytes[65536];
		size_t all = 0, other = 0, n = 1;
		int code;

		assert_true(
		    ssh_command(cx, s, "head -c 20000000 /dev/zero | tr '\\0' x", soon(), &c));
		while (n > 0) {
			assert_true(ssh_read(cx, c, bytes, sizeof bytes, &n, soon()));
			for (size_t b = 0; b < n; b++)
				other += bytes[b] != 'x';
			all += n;
		}
		assert_true(ssh_end(cx, c, soon(), &code));
		assert_int_equal(code, 0);
		assert_int_equal(all, 20000000);
		assert_int_equal(other, 0);
	}
}

static void
of_a_long_stderr_the_end_is_kept(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Ssh *s = open_kind(cx, i);
		SshChannel *c;
		int code;

		assert_true(ssh_command(cx, s,
		    "head -c 5000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; echo out",
		    soon(), &c));
		assert_true(ssh_end(cx, c, soon(), &code));
		assert_int_equal(code, 0);
		assert_int_equal(strlen(ssh_stderr(c)), 4096);
		assert_string_equal(ssh_stderr(c) + 4096 - 9, "xthe end\n");
	}
}

static void
what_ends_before_it_took_its_input_is_told_and_the_session_goes_on(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(kinds[i].host);
		Ssh *s = must_open(cx, &to);
		SshChannel *c;
		static char much[16 << 20];

		assert_true(ssh_command(cx, s, "exit 3", soon(), &c));
		assert_false(ssh_write(cx, c, much, sizeof much, soon()));
		assert_failed(cx, FAIL_HOST_STEP,
		    text("a command on host % ended before it took its input", who_of(&to)), NULL);
		assert_true(ssh_alive(s));
		assert_string_equal(output_of(cx, s, "echo on", "", 0), "on\n");
	}
}

static void
channels_of_one_session_do_not_disturb_each_other(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Ssh *s = open_kind(cx, i);
		SshChannel *c[5];
		char bytes[16];
		size_t n;
		int code;

		for (int k = 0; k < 5; k++)
			assert_true(ssh_command(cx, s, "exec cat", soon(), &c[k]));
		for (int k = 4; k >= 0; k--)
			assert_true(ssh_write(cx, c[k], arena_printf(cx->mem, "%d", k), 1, soon()));
		for (int k = 0; k < 5; k++) {
			assert_true(ssh_read(cx, c[k], bytes, sizeof bytes, &n, soon()));
			assert_int_equal(n, 1);
			assert_int_equal(bytes[0], '0' + k);
		}
		for (int k = 0; k < 5; k++) {
			assert_true(ssh_end(cx, c[k], soon(), &code));
			assert_int_equal(code, 0);
		}
	}
}

static void
a_channel_that_is_dropped_leaves_the_session_usable(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		Ssh *s = open_kind(cx, i);

		for (int k = 0; k < 3; k++) {
			Ctx own = ctx_new(cx->mem);
			SshChannel *c;

			assert_true(ssh_command(&own, s, "exec cat", soon(), &c));
			arena_free(own.mem);
			assert_string_equal(output_of(cx, s, "echo on", "", 0), "on\n");
		}
	}
}

/* --- files ------------------------------------------------------------------------------ */

static const char *
local_file(Ctx *cx, size_t n)
{
	char *path = arena_printf(cx->mem, "%s/local file", hosts.dir);
	char *bytes = arena_alloc(cx->mem, n + 1);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 7 + (i >> 8) * 13);
	assert_true(file_write(cx, path, 0600, bytes, n));
	return path;
}

static int
files_in(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static void
assert_put(Ctx *cx, Ssh *s, const char *from, const char *to, int mode)
{
	struct stat st;

	if (!ssh_put(cx, s, from, to, mode, soon()))
		fputs(fail_text(cx->mem, cx->fail), stderr);
	assert_int_equal(cx->fail->kind, FAIL_NONE);
	RUN("cmp", from, to);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
a_file_is_put_whole_with_its_mode_and_replaces_what_is_there(void **state)
{
	static const size_t sizes[] = { 0, 1, 5000000 };

	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		const char *folder = host_path(kinds[i].host, "root");
		Ssh *s = open_kind(cx, i);

		for (size_t k = 0; k < LENGTH(sizes); k++)
			assert_put(cx, s, local_file(cx, sizes[k]),
			    arena_printf(cx->mem, "%s/it's \"a\" $HOME `x` file\n", folder),
			    k == 1 ? 0755 : 0600);
		assert_int_equal(files_in(folder), 1);
	}
}

static void
a_file_that_cannot_be_put_is_told_and_leaves_nothing(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(kinds[i].host);
		const char *folder = host_path(kinds[i].host, "root");
		Ssh *s = must_open(cx, &to);
		int before = files_in(folder);
		char *missing = arena_printf(cx->mem, "%s/missing/x", folder);

		assert_false(ssh_put(cx, s, local_file(cx, 10), missing, 0600, soon()));
		assert_failed(cx, FAIL_HOST_STEP,
		    arena_printf(cx->mem, "host %s cannot write \"%s\"", who_of(&to), missing),
		    NULL);
		assert_false(ssh_put(cx, s, local_file(cx, 10), folder, 0600, soon()));
		assert_failed(cx, FAIL_HOST_STEP,
		    arena_printf(cx->mem, "host %s cannot write \"%s\"", who_of(&to), folder),
		    arena_printf(
			cx->mem, "mv: cannot overwrite directory '%s' with non-directory", folder));
		assert_int_equal(files_in(folder), before);
		assert_false(ssh_put(cx, s, local_file(cx, 10), "relative", 0600, soon()));
		assert_failed(cx, FAIL_USAGE,
		    text("\"relative\" is no path for a file on host %", who_of(&to)), NULL);
		assert_string_equal(output_of(cx, s, "echo on", "", 0), "on\n");
	}
}

static void
unmount(void *folder)
{
	RUN("umount", folder);
}

static void
a_full_disk_is_told_and_leaves_nothing(void **state)
{
	Ctx *cx = *state;
	char *folder = arena_printf(cx->mem, "%s/small", hosts.dir);
	const char *const mount[] = { "mount", "-t", "tmpfs", "-o", "size=2m", "none", folder,
		NULL };
	ProcResult r;

	assert_true(file_make_dirs(cx, folder, 0700));
	if (geteuid() != 0 || !proc_run(cx, &(ProcSpec){ .argv = mount }, &r) || r.exit_code != 0) {
		print_message("no tmpfs may be mounted here\n");
		skip();
	}
	arena_on_free(cx->mem, unmount, folder);
	for (size_t i = 0; i < 2; i++) {
		SshTarget to = target_of(kinds[i].host);
		Ssh *s = must_open(cx, &to);
		char *path = arena_printf(cx->mem, "%s/big", folder);

		assert_false(ssh_put(cx, s, local_file(cx, 5000000), path, 0600, soon()));
		assert_failed(cx, FAIL_DISK_FULL,
		    arena_printf(
			cx->mem, "host %s has no space left for \"%s\"", who_of(&to), path),
		    NULL);
		assert_int_equal(files_in(folder), 0);
		assert_string_equal(output_of(cx, s, "echo on", "", 0), "on\n");
	}
}

/* --- what a server offers ---------------------------------------------------------------- */

static void
an_offer_tells_the_algorithms_and_the_key_without_logging_in(void **state)
{
	for (size_t i = 0; i < LENGTH(kinds); i++) {
		Ctx *cx = *state;
		SshTarget to = target_of(kinds[i].host);
		SshOffer offer;

		if (!ssh_offer(cx, to.address, to.port, soon(), &offer))
			fputs(fail_text(cx->mem, cx->fail), stderr);
		assert_int_equal(cx->fail->kind, FAIL_NONE);
		assert_string_equal(offer.key, to.host_keys[0]);
		assert_string_equal(offer.fingerprint, ssh_fingerprint(cx->mem, to.host_keys[0]));
		assert_memory_equal(offer.banner, "SSH-2.0-OpenSSH", 15);
		if (i == 1)
			assert_string_equal(offer.host_keys, "rsa-sha2-512,rsa-sha2-256");
		if (i == 2)
			assert_string_equal(offer.macs, "hmac-sha2-256-etm@openssh.com");
		if (i == 3)
			assert_string_equal(
			    offer.ciphers, "aes256-gcm@openssh.com,chacha20-poly1305@openssh.com");
	}
}

static void
a_fingerprint_is_that_of_ssh_keygen(void **state)
{
	Ctx *cx = *state;
	const char *path = host_path("plain", "hostkey.pub");
	const char *said = RUN("ssh-keygen", "-l", "-f", path);
	const char *print = ssh_fingerprint(cx->mem, line_of(path));

	assert_int_equal(strlen(print), 50);
	assert_non_null(strstr(said, print));
	assert_null(ssh_fingerprint(cx->mem, "ssh-ed25519 AAAA"));
	assert_null(ssh_fingerprint(cx->mem, "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA=="));
	assert_null(ssh_fingerprint(cx->mem, ""));
}

static void
a_server_with_which_neither_driver_can_is_told_with_both_lists(void **state)
{
	Ctx *cx = *state;
	Ssh *s;

	SSHD("start", "old", "--config", "KexAlgorithms diffie-hellman-group14-sha1", "--config",
	    "MACs hmac-md5");
	SshTarget to = target_of("old");
	assert_false(ssh_open(cx, &to, soon(), &s));
	assert_non_null(strstr(cx->fail->hint, "sntrup761x25519-sha512"));
	assert_failed(cx, FAIL_HOST_ALGORITHM,
	    text("host % and we have nothing in common: no matching key exchange method found. "
		 "Their offer: diffie-hellman-group14-sha1,kex-strict-s-v00@openssh.com",
		who_of(&to)),
	    "libssh2 has none of its key exchanges "
	    "(diffie-hellman-group14-sha1,kex-strict-s-v00@openssh.com)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_driver_follows_the_algorithms_and_is_told),
		TEST(a_command_gets_its_input_and_gives_output_stderr_and_exit_code),
		TEST(a_command_that_a_signal_ended_has_no_exit_code),
		TEST(bytes_of_every_kind_go_both_ways),
		TEST(twenty_megabytes_of_output_come_whole),
		TEST(of_a_long_stderr_the_end_is_kept),
		TEST(what_ends_before_it_took_its_input_is_told_and_the_session_goes_on),
		TEST(channels_of_one_session_do_not_disturb_each_other),
		TEST(a_channel_that_is_dropped_leaves_the_session_usable),
		TEST(a_file_is_put_whole_with_its_mode_and_replaces_what_is_there),
		TEST(a_file_that_cannot_be_put_is_told_and_leaves_nothing),
		TEST(a_full_disk_is_told_and_leaves_nothing),
		TEST(an_offer_tells_the_algorithms_and_the_key_without_logging_in),
		TEST(a_fingerprint_is_that_of_ssh_keygen),
		TEST(a_server_with_which_neither_driver_can_is_told_with_both_lists),
	};

	return cmocka_run_group_tests(tests, setup, hosts_end);
}

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/adapters/crypto.h"
#include "lib/adapters/pg.h"
#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/base/proc.h"
#include "tests/unit/temp.h"
#include "tests/unit/unit.h"

#define TOOL "tools/cluster.sh"

static const Sql TLS = { "tls", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", 0 };

/* Two servers: the one that the tests share shows a good certificate, the other is started
 * with whatever a test wants to see refused. */
typedef struct Room {
	Ctx cx;
	const char *certs, *dir;
	PgTarget app;
	Pg *super;
} Room;

static char *
cert(Room *r, const char *file)
{
	return arena_printf(r->cx.mem, "%s/%s", r->certs, file);
}

static void
make_role(Room *r, const PgTarget *super)
{
	Buf sql = buf_new(r->cx.mem);

	r->app.password = secret_new(r->cx.mem, "tls", 3);
	assert_true(pg_open(&r->cx, super, &r->super));
	buf_add(&sql, "DROP ROLE IF EXISTS adapt_tls; CREATE ROLE adapt_tls LOGIN PASSWORD ");
	buf_literal(&sql, scram_verifier(r->cx.mem, &r->app.password));
	/* another program of the run may have closed it */
	buf_add(&sql, "; GRANT CONNECT ON DATABASE postgres TO PUBLIC");
	assert_true(pg_script(&r->cx, r->super, sql.text));
}

static int
setup(void **state)
{
	static Room r;

	r = (Room){ .cx = ctx_new(NULL), .certs = getenv("COPYHOLD_TEST_CERTS") };
	r.app = (PgTarget){ .name = "test-1",
		.host = "localhost",
		.user = "adapt_tls",
		.dbname = "postgres",
		.sslmode = "verify-full",
		.sslrootcert = cert(&r, "ca.crt"),
		.port = (int)strtol(getenv("COPYHOLD_TEST_PORT"), NULL, 10) };
	PgTarget super = { .name = "test-1",
		.host = getenv("COPYHOLD_TEST_SOCKET"),
		.port = r.app.port,
		.dbname = "postgres",
		.user = getenv("COPYHOLD_TEST_SUPERUSER") };
	make_role(&r, &super);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	Room *r = *state;
	bool dropped = pg_script(&r->cx, r->super, "DROP ROLE adapt_tls");

	arena_free(r->cx.mem);
	return dropped ? 0 : -1;
}

static void
run(Ctx *cx, const char *const *argv)
{
	ProcSpec spec = { .argv = argv, .deadline_ms = 120000 };
	ProcResult out = { 0 };

	assert_true(proc_run(cx, &spec, &out));
	assert_string_equal(out.err, "");
	assert_int_equal(out.exit_code, 0);
}

static char *
line_of(Ctx *cx, const char *path)
{
	char *text = NULL;
	size_t n = 0;

	assert_true(file_read(cx, path, 4096, &text, &n));
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* Starts the second server with one of the certificates and leaves the target pointing at it. */
static void
start_own(Room *r, const char *certificate, const char *more, const char *value)
{
	PgTarget super = {
		.name = "test-2", .dbname = "postgres", .user = getenv("COPYHOLD_TEST_SUPERUSER")
	};

	run(&r->cx,
	    (const char *const[]){ TOOL, "start", r->dir, "tls", "auto", "--certs", r->certs,
		"--server-cert", certificate, more, value, NULL });
	super.host = line_of(&r->cx, arena_printf(r->cx.mem, "%s/tls/socket", r->dir));
	super.port = (int)strtol(
	    line_of(&r->cx, arena_printf(r->cx.mem, "%s/tls/port", r->dir)), NULL, 10);
	r->app.name = "test-2";
	r->app.port = super.port;
	make_role(r, &super);
}

static int
setup_own(void **state)
{
	Room *r;
	char *dir = NULL;

	if (setup(state) != 0)
		return -1;
	r = *state;
	assert_true(pg_script(&r->cx, r->super, "DROP ROLE adapt_tls"));
	assert_true(temp_dir(&r->cx, &dir));
	assert_int_equal(chmod(dir, 0711), 0);
	r->dir = dir;
	return 0;
}

static int
teardown_own(void **state)
{
	Room *r = *state;

	run(&r->cx, (const char *const[]){ TOOL, "remove", r->dir, "tls", NULL });
	arena_free(r->cx.mem);
	return 0;
}

static void
stop_own(Room *r)
{
	pg_close(r->super);
	run(&r->cx, (const char *const[]){ TOOL, "stop", r->dir, "tls", NULL });
}

static void
assert_refused(Room *r, FailKind kind, const char *what, const char *hint)
{
	Pg *pg = NULL;

	assert_false(pg_open(&r->cx, &r->app, &pg));
	assert_string_equal(r->cx.fail->what, what);
	assert_string_equal(r->cx.fail->hint, hint);
	assert_int_equal(r->cx.fail->kind, kind);
	fail_clear(&r->cx);
}

static void
assert_accepted(Room *r)
{
	PgRows rows = { 0 };
	Pg *pg = NULL;

	assert_true(pg_open(&r->cx, &r->app, &pg));
	assert_true(pg_query(&r->cx, pg, &TLS, &rows, NULL));
	assert_true(pg_bool(&rows, 0, 0));
	pg_close(pg);
}

static void
a_good_certificate_is_accepted_in_every_mode(void **state)
{
	static const char *const modes[] = { "prefer", "require", "verify-ca", "verify-full",
		NULL };
	Room *r = *state;

	for (size_t i = 0; i < 5; i++) {
		r->app.sslmode = modes[i];
		assert_accepted(r);
	}
	r->app.sslmode = "sometimes";
	assert_refused(r, FAIL_TLS, "TLS mode \"sometimes\" is not known",
	    "Choose disable, prefer, require, verify-ca or verify-full.");
}

static void
a_certificate_of_another_ca_is_refused(void **state)
{
	Room *r = *state;

	r->app.sslrootcert = cert(r, "other-ca.crt");
	assert_refused(r, FAIL_TLS,
	    "the certificate of \"test-1\" was not signed by the CA that "
	    "was given",
	    arena_printf(r->cx.mem,
		"Give the certificate of the CA that signed it; "
		"now \"%s\" is used.",
		r->app.sslrootcert));
	r->app.sslmode = "verify-ca";
	assert_refused(r, FAIL_TLS,
	    "the certificate of \"test-1\" was not signed by the CA that "
	    "was given",
	    arena_printf(r->cx.mem,
		"Give the certificate of the CA that signed it; "
		"now \"%s\" is used.",
		r->app.sslrootcert));
}

static void
files_that_cannot_be_used_are_named(void **state)
{
	static const char check[] = "Check that the file is there, may be read, and holds PEM.";
	Room *r = *state;

	r->app.sslrootcert = "/nonexistent/ca.crt";
	assert_refused(
	    r, FAIL_TLS, "the CA's certificate \"/nonexistent/ca.crt\" cannot be read", check);
	r->app.sslrootcert = NULL;
	assert_refused(r, FAIL_TLS, "no CA is named that \"test-1\" could be trusted by",
	    "Name the file that holds the CA's certificate.");
	r->app.sslrootcert = cert(r, "ca.crt");
	r->app.sslcert = cert(r, "ca.key");
	r->app.sslkey = cert(r, "client.key");
	assert_refused(r, FAIL_TLS,
	    arena_printf(r->cx.mem, "the client certificate \"%s\" cannot be read", r->app.sslcert),
	    check);
	r->app.sslcert = cert(r, "client.crt");
	r->app.sslkey = cert(r, "server.key");
	assert_refused(r, FAIL_TLS,
	    arena_printf(r->cx.mem,
		"the client certificate \"%s\" does not "
		"belong to the key \"%s\"",
		r->app.sslcert, r->app.sslkey),
	    "Give the key that the certificate was made for.");
	r->app.sslkey = "/nonexistent/client.key";
	assert_refused(r, FAIL_TLS, "the client key \"/nonexistent/client.key\" cannot be read",
	    "Check that the file is there, is ours, and holds a key without a passphrase.");
	r->app.sslkey = cert(r, "client.crt");
	assert_refused(r, FAIL_TLS,
	    arena_printf(r->cx.mem, "the client key \"%s\" can be read by others", r->app.sslkey),
	    "Take the rights away from group and others: chmod 600.");
}

static void
bad_certificates_of_a_server_are_told_apart(void **state)
{
	Room *r = *state;

	start_own(r, "expired", NULL, NULL);
	assert_refused(r, FAIL_TLS, "the certificate of \"test-2\" has expired",
	    "Renew the certificate on the server.");
	stop_own(r);
	start_own(r, "elsewhere", NULL, NULL);
	assert_refused(r, FAIL_TLS, "the certificate of \"test-2\" is not for host \"localhost\"",
	    "Use the host name that the certificate is for, or have one made for this name.");
	r->app.sslmode = "verify-ca";
	assert_accepted(r);
}

static void
a_server_can_want_our_certificate(void **state)
{
	Room *r = *state;

	start_own(r, "server", "--client-certs", NULL);
	assert_refused(r, FAIL_LOGIN, "\"test-2\" refused the login of user \"adapt_tls\"",
	    "Check that the role exists and may log in, and that pg_hba.conf there lets this "
	    "machine in.");
	r->app.sslcert = cert(r, "other-client.crt");
	r->app.sslkey = cert(r, "other-client.key");
	assert_refused(r, FAIL_TLS, "\"test-2\" did not accept our client certificate",
	    "Check the client certificate and key that were given for it.");
	r->app.sslcert = cert(r, "client.crt");
	r->app.sslkey = cert(r, "client.key");
	assert_accepted(r);
	r->app.sslmode = "disable";
	assert_refused(r, FAIL_LOGIN, "\"test-2\" refused the login of user \"adapt_tls\"",
	    "Check that the role exists and may log in, and that pg_hba.conf there lets this "
	    "machine in.");
}

static void
a_server_without_tls_is_told(void **state)
{
	Room *r = *state;

	start_own(r, "server", "--set", "ssl=off");
	assert_refused(r, FAIL_TLS, "\"test-2\" does not offer TLS",
	    "Turn ssl on there, or choose a weaker TLS mode.");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OWN(name)  cmocka_unit_test_setup_teardown(name, setup_own, teardown_own)
	const struct CMUnitTest tests[] = {
		CASE(a_good_certificate_is_accepted_in_every_mode),
		CASE(a_certificate_of_another_ca_is_refused),
		CASE(files_that_cannot_be_used_are_named),
		OWN(bad_certificates_of_a_server_are_told_apart),
		OWN(a_server_can_want_our_certificate),
		OWN(a_server_without_tls_is_told),
	};

	return cmocka_run_group_tests_name("pg_tls", tests, NULL, NULL);
}

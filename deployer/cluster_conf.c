#include <arpa/inet.h>
#include <string.h>

#include "deployer/cluster_host.h"

#include "lib/base/buf.h"

/* --- settings ------------------------------------------------------------------ */

/* What this file sets itself, or what would lead past it. */
static const char *const ours[] = {
	"config_file",
	"data_directory",
	"external_pid_file",
	"hba_file",
	"ident_file",
	"include",
	"include_dir",
	"include_if_exists",
	"listen_addresses",
	"log_destination",
	"logging_collector",
	"password_encryption",
	"port",
	"ssl",
	"ssl_cert_file",
	"ssl_key_file",
	"unix_socket_directories",
	"unix_socket_group",
	"unix_socket_permissions",
};

static bool
is_ours(const char *name)
{
	for (size_t i = 0; i < LENGTH(ours); i++)
		if (strcmp(ours[i], name) == 0)
			return true;
	return false;
}

/* As guc-file.l has names: letters, digits, underscores, and dots of extensions. */
static bool
is_name(const char *name)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";

	return ((*name >= 'a' && *name <= 'z') || *name == '_') &&
	    strspn(name, fine) == strlen(name);
}

static bool
has_control(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < 0x20 || *value == 0x7f)
			return true;
	return false;
}

static bool
check_setting(Ctx *cx, const Cluster *c, const Setting *s)
{
	const char *why = NULL;

	if (!is_name(s->name))
		why = "its name is not one of PostgreSQL's, in small letters";
	else if (is_ours(s->name))
		why = "copyhold sets it";
	else if (has_control(s->value))
		why = "its value has a control character";
	if (!why)
		return true;
	fail(cx, FAIL_MANIFEST, "Remove it from the settings.",
	    "setting \"%.63s\" of cluster \"%s\" is refused: %s", s->name, c->name, why);
	return fail_at(cx, s->place);
}

/* Strings of postgresql.conf have C's escapes, too. */
static void
value_text(Buf *b, const char *name, const char *value)
{
	buf_fmt(b, "%s = '", name);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_addc(b, *value);
		buf_addc(b, *value);
	}
	buf_add(b, "'\n");
}

static void
own_settings(Buf *b, const Cluster *c, const Host *h)
{
	const char *home = arena_printf(b->mem, "%s/clusters/%s", h->root, c->name);
	const char *at = c->connect.host;

	buf_fmt(b, "# Kept by copyhold: what is changed here is put back.\nport = %lld\n",
	    (long long)c->on.port);
	value_text(b, "listen_addresses",
	    strcmp(at, "127.0.0.1") == 0 ? at : arena_printf(b->mem, "127.0.0.1,%s", at));
	value_text(b, "unix_socket_directories", arena_printf(b->mem, "%s/run", home));
	buf_add(b,
	    "unix_socket_permissions = 0770\n"
	    "ssl = on\n");
	value_text(b, "ssl_cert_file", arena_printf(b->mem, "%s/tls/server.pem", home));
	value_text(b, "ssl_key_file", arena_printf(b->mem, "%s/tls/server.pem", home));
	buf_add(b,
	    "ssl_min_protocol_version = 'TLSv1.2'\n"
	    "password_encryption = 'scram-sha-256'\n"
	    "log_destination = 'stderr'\n"
	    "logging_collector = off\n"
	    "log_timezone = 'UTC'\n"
	    "timezone = 'UTC'\n"
	    "datestyle = 'iso, mdy'\n"
	    "lc_messages = 'C'\n"
	    "default_text_search_config = 'pg_catalog.english'\n");
}

bool
cluster_conf(Ctx *cx, const Cluster *c, const Host *h, char **out)
{
	Buf b = buf_new(cx->mem);

	own_settings(&b, c, h);
	for (size_t i = 0; i < c->on.settings.n; i++) {
		const Setting *s = &c->on.settings.at[i];
		for (size_t j = 0; j < i; j++)
			if (strcmp(c->on.settings.at[j].name, s->name) == 0) {
				fail(cx, FAIL_MANIFEST, "Remove one of them.",
				    "setting \"%s\" of cluster \"%s\" is given twice", s->name,
				    c->name);
				return fail_at(cx, s->place);
			}
		if (!check_setting(cx, c, s))
			return false;
		value_text(&b, s->name, s->value);
	}
	*out = b.text;
	return true;
}

/* --- who may come in ---------------------------------------------------------------- */

/* An address with the length of its network: what pg_hba.conf has, and nothing that would be a word of it. */
static bool
is_network(const char *text)
{
	const char *slash = strchr(text, '/');
	unsigned char bytes[16];
	char address[64];
	int bits = 0;

	if (!slash || (size_t)(slash - text) >= sizeof address || !slash[1] || strlen(slash) > 4)
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	for (const char *p = slash + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		bits = bits * 10 + (*p - '0');
	}
	if (inet_pton(AF_INET, address, bytes) == 1)
		return bits <= 32;
	return inet_pton(AF_INET6, address, bytes) == 1 && bits <= 128;
}

bool
cluster_hba(Ctx *cx, const Cluster *c, char **out)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b,
	    "# Kept by copyhold: what is changed here is put back.\n"
	    "local all postgres peer map=copyhold\n"
	    "host all postgres all reject\n"
	    "hostssl all all samehost scram-sha-256\n");
	for (size_t i = 0; i < c->on.allow.n; i++) {
		if (!is_network(c->on.allow.at[i])) {
			fail(cx, FAIL_MANIFEST,
			    "Write an address and the bits of its network: 10.0.0.0/8.",
			    "\"%.64s\" of \"allow\" of cluster \"%s\" is no network",
			    c->on.allow.at[i], c->name);
			return fail_at(cx, c->place);
		}
		buf_fmt(&b, "hostssl all all %s scram-sha-256\n", c->on.allow.at[i]);
	}
	*out = b.text;
	return true;
}

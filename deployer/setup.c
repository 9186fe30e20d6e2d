#include <string.h>

#include "deployer/roles.h"

#include "lib/core/catalog.h"
#include "lib/core/records.h"

/*
 * Names go into these scripts quoted, and never into a dollar-quoted body: DO
 * blocks read them from settings of the session.
 */

/* --- parts --------------------------------------------------------------------- */

static void
ident(Buf *b, const char *before, const char *name, const char *after)
{
	buf_add(b, before);
	buf_ident(b, name);
	buf_add(b, after);
}

static void
literal(Buf *b, const char *before, const char *value, const char *after)
{
	buf_add(b, before);
	buf_literal(b, value);
	buf_add(b, after);
}

/* psql takes a name with = or :// in it for a connection string: so it is given one. */
static void
reconnect(Buf *b, const char *dbname)
{
	Buf info = buf_new(b->mem);

	buf_add(&info, "dbname='");
	for (const char *p = dbname; *p; p++) {
		if (*p == '\'' || *p == '\\')
			buf_addc(&info, '\\');
		buf_addc(&info, *p);
	}
	buf_addc(&info, '\'');
	ident(b, "\\connect -reuse-previous=on ", info.text, "\n");
}

/* A statement that psql builds and runs only if the named role or database is not there. */
static void
unless_there(Buf *b, const char *statement, const char *table, const char *column, const char *name)
{
	literal(b, "SELECT ", statement, "");
	buf_fmt(b, "\nWHERE NOT EXISTS (SELECT FROM pg_catalog.%s WHERE %s = ", table, column);
	buf_literal(b, name);
	buf_add(b, ") \\gexec\n");
}

static char *
statement(Arena *mem, const char *before, const char *name, const char *after)
{
	Buf b = buf_new(mem);

	ident(&b, before, name, after);
	return b.text;
}

static bool
name_fits(Ctx *cx, const char *what, const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return fail(cx, FAIL_MANIFEST, "Choose another name.",
			    "the name of the %s has a control character in it", what);
	return strlen(name) <= 63 ||
	    fail(cx, FAIL_MANIFEST, "PostgreSQL's limit is 63 bytes.",
		"the name of the %s is too long", what);
}

/* Only the verifier: the password itself never goes into a script. */
static bool
our_verifier(Ctx *cx, Home *home, const Cluster *cluster, char **out)
{
	Secret password;

	*out = NULL;
	if (!home || !cluster->connect.password.ref)
		return true;
	if (!conns_password(cx, home, cluster, &password))
		return false;
	*out = scram_verifier(cx->mem, &password);
	return true;
}

static void
password_text(Buf *b, const char *role, const char *verifier)
{
	if (!verifier)
		return;
	ident(b, "ALTER ROLE ", role, " PASSWORD ");
	literal(b, "", verifier, ";\n");
}

/* --- a vendor's cluster ------------------------------------------------------------ */

static const char cluster_head[] = "\\set ON_ERROR_STOP on\n"
				   "SET client_min_messages = warning;\n";

static void
version_check(Buf *b)
{
	buf_fmt(b,
	    "DO $version$ BEGIN\n"
	    "	IF pg_catalog.current_setting('server_version_num')::int < %d THEN\n"
	    "		RAISE EXCEPTION 'PostgreSQL %d or newer is needed';\n"
	    "	END IF;\n"
	    "END $version$;\n",
	    PG_LEAST, PG_LEAST / 10000);
}

static const char cluster_check[] =
    "DO $check$ BEGIN\n"
    "	IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN\n"
    "		RAISE EXCEPTION 'run this as a superuser';\n"
    "	END IF;\n"
    "	IF EXISTS (SELECT FROM pg_catalog.pg_roles\n"
    "	    WHERE rolname = pg_catalog.current_setting('copyhold.login') AND rolsuper) THEN\n"
    "		RAISE EXCEPTION 'the login of the manifest is a superuser: name another one';\n"
    "	END IF;\n"
    "END $check$;\n\n";

static const char cluster_template[] =
    "-- The template of the tenants' databases.\n"
    "SELECT 'CREATE DATABASE " SETUP_TEMPLATE
    " TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C.UTF-8'''\n"
    "WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = '" SETUP_TEMPLATE
    "') \\gexec\n"
    "ALTER DATABASE " SETUP_TEMPLATE " IS_TEMPLATE true ALLOW_CONNECTIONS true;\n"
    "REVOKE ALL ON DATABASE " SETUP_TEMPLATE " FROM PUBLIC;\n";

/* What a copy of the template inherits: everything here is a right of PUBLIC that a tenant must not have. */
static const char cluster_harden[] =
    "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n"
    "REVOKE USAGE ON LANGUAGE sql, plpgsql FROM PUBLIC;	-- so no DO and no functions of their own\n"
    "\n"
    "DO $harden$ DECLARE\n"
    "	login text := pg_catalog.current_setting('copyhold.login');\n"
    "	item record;\n"
    "BEGIN\n"
    "	-- What shows the neighbours: statistics, locks, databases, memberships, settings of roles.\n"
    "	FOR item IN\n"
    "		SELECT c.oid::pg_catalog.regclass AS name FROM pg_catalog.pg_class c\n"
    "		WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v')\n"
    "		AND c.relname ~ ('^(pg_stat_.*|pg_statio_.*|pg_locks|pg_database|pg_user|pg_group|pg_roles'\n"
    "			|| '|pg_auth_members|pg_db_role_setting|pg_shdepend|pg_shdescription|pg_shseclabel'\n"
    "			|| '|pg_prepared_xacts|pg_replication_.*|pg_parameter_acl)$')\n"
    "		AND EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) a\n"
    "			LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee\n"
    "			WHERE a.grantee = 0 OR (a.grantee <> c.relowner AND r.rolname !~ '^pg_'))\n"
    "	LOOP\n"
    "		EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM PUBLIC', item.name);\n"
    "		EXECUTE pg_catalog.format('GRANT SELECT ON %s TO %I', item.name, login);\n"
    "	END LOOP;\n"
    "	REVOKE ALL ON pg_catalog.pg_subscription FROM PUBLIC;\n"
    "	-- psql, pg_dump and information_schema ask for these columns; the names here are opaque.\n"
    "	GRANT SELECT (oid, rolname) ON pg_catalog.pg_roles TO PUBLIC;\n"
    "	GRANT SELECT (oid, datname, encoding) ON pg_catalog.pg_database TO PUBLIC;\n"
    "	GRANT SELECT (oid, subdbid) ON pg_catalog.pg_subscription TO PUBLIC;\n"
    "	EXECUTE pg_catalog.format('GRANT SELECT (subname) ON pg_catalog.pg_subscription TO %I', login);\n"
    "\n"
    "	-- What reaches beyond the tenant's own rows, or shows how busy others are.\n"
    "	FOR item IN\n"
    "		SELECT p.oid::pg_catalog.regprocedure AS name FROM pg_catalog.pg_proc p\n"
    "		WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.prokind = 'f'\n"
    "		AND p.proname ~ ('^(lo_.*|loread|lowrite|pg_(try_)?advisory_.*|pg_notify|pg_listening_channels'\n"
    "			|| '|pg_notification_queue_usage|pg_(cancel|terminate)_backend|pg_stat_.*|pg_lock_status'\n"
    "			|| '|pg_blocking_pids|pg_safe_snapshot_blocking_pids|pg_isolation_test_session_is_blocked'\n"
    "			|| '|pg_prepared_xact|pg_export_snapshot|txid_.*|pg_current_xact_id.*|pg_current_snapshot'\n"
    "			|| '|pg_snapshot_.*|pg_visible_in_snapshot|pg_xact_.*|pg_get_multixact_members'\n"
    "			|| '|pg_(database|tablespace|relation|total_relation|table|indexes)_size'\n"
    "			|| '|pg_relation_(filepath|filenode)|pg_filenode_relation|pg_tablespace_(databases|location)'\n"
    "			|| '|pg_current_wal_.*|pg_last_.*|pg_((get|available)_)?wal.*|pg_split_walfile_name'\n"
    "			|| '|pg_control_.*|pg_logical_.*|pg_replication_.*|pg_.*_replication_slots?|pg_get_acl'\n"
    "			|| '|pg_postmaster_start_time|pg_conf_load_time|pg_log_.*'\n"
    "			|| '|(query|table|schema|database|cursor)_to_xml.*|ts_stat)$')\n"
    "		AND EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a\n"
    "			LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee\n"
    "			WHERE a.grantee = 0 OR (a.grantee <> p.proowner AND r.rolname !~ '^pg_'))\n"
    "	LOOP\n"
    "		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item.name);\n"
    "		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', item.name, login);\n"
    "	END LOOP;\n"
    "END $harden$;\n\n";

static const char cluster_end[] = "ALTER DATABASE " SETUP_TEMPLATE
				  " ALLOW_CONNECTIONS false CONNECTION LIMIT 0;\n"
				  "COMMENT ON DATABASE " SETUP_TEMPLATE " IS '" SETUP_MARK "';\n";

static void
cluster_intro(Buf *b, const Cluster *c)
{
	buf_fmt(b,
	    "-- Sets up cluster %s for Copyhold.  A superuser runs it once, and again after an upgrade:\n"
	    "--	psql -v ON_ERROR_STOP=1 -f THIS_FILE postgres\n"
	    "-- It makes a login that may create databases and roles and nothing more, its database, and the\n"
	    "-- hardened template that every tenant's database is a copy of.  Run twice it changes nothing.\n"
	    "-- Passwords are not in it: a SCRAM verifier lets the server check one, not anybody log in.\n\n",
	    c->name);
	buf_add(b, cluster_head);
	version_check(b);
	literal(b, "SET copyhold.login = ", c->connect.user, ";\n");
	buf_add(b, cluster_check);
}

static void
cluster_login(Buf *b, const Cluster *c, const char *verifier)
{
	const Connect *us = &c->connect;

	buf_add(
	    b, "-- Our login: no superuser, and nothing past the tenants' rows that it places.\n");
	unless_there(
	    b, statement(b->mem, "CREATE ROLE ", us->user, ""), "pg_roles", "rolname", us->user);
	ident(b, "ALTER ROLE ", us->user,
	    " WITH LOGIN CREATEDB CREATEROLE INHERIT NOSUPERUSER"
	    " NOREPLICATION NOBYPASSRLS;\n");
	password_text(b, us->user, verifier);
	if (c->modes.n && !names_have(&c->modes, mode_name(MODE_SHARED)))
		return;
	buf_add(b,
	    "-- Mode shared: it ends sessions of tenants whose roles it is no member of, and sees them.\n");
	ident(b, "GRANT pg_signal_backend, pg_read_all_stats TO ", us->user, ";\n");
}

static void
cluster_database(Buf *b, const Connect *us)
{
	buf_add(b, "\n-- Its database: fences, and what was done; no data of tenants.\n");
	unless_there(b,
	    statement(b->mem,
		statement(b->mem, "CREATE DATABASE ", us->database,
		    " TEMPLATE template0 ENCODING 'UTF8' OWNER "),
		us->user, ""),
	    "pg_database", "datname", us->database);
	ident(b, "REVOKE ALL ON DATABASE ", us->database, " FROM PUBLIC;\n");
	ident(b, "GRANT CONNECT, CREATE ON DATABASE ", us->database, " TO ");
	ident(b, "", us->user, ";\n");
	buf_add(b,
	    "\n-- Tenants' logins come into their own database and into no other.\n"
	    "SELECT pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname)\n"
	    "FROM pg_catalog.pg_database WHERE datname IN ('postgres', 'template1') \\gexec\n\n");
}

bool
setup_cluster_script(Ctx *cx, Home *home, const Cluster *cluster, Buf *out)
{
	const Connect *us = &cluster->connect;
	char *verifier;

	if (!name_fits(cx, "login", us->user) || !name_fits(cx, "database", us->database) ||
	    !our_verifier(cx, home, cluster, &verifier))
		return false;
	cluster_intro(out, cluster);
	cluster_login(out, cluster, verifier);
	cluster_database(out, us);
	buf_add(out, cluster_template);
	reconnect(out, SETUP_TEMPLATE);
	buf_add(out, "SET client_min_messages = warning;\n");
	literal(out, "SET copyhold.login = ", us->user, ";\n");
	buf_add(out, cluster_harden);
	reconnect(out, us->database);
	buf_add(out,
	    "-- A crash in the middle of CREATE DATABASE leaves a folder that only this shows (copyhold doctor).\n");
	ident(out, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO ", us->user, ";\n");
	buf_add(out, cluster_end);
	return true;
}

/* --- a customer's server --------------------------------------------------------------- */

static const char tenant_checks[] =
    "SELECT pg_catalog.current_setting('server_version_num')::int >= 160000 AS copyhold_16 \\gset\n"
    "\\if :copyhold_16\n"
    "	\\set copyhold_member 'WITH INHERIT TRUE, SET TRUE'\n"
    "\\else\n"
    "	\\set copyhold_member ''\n"
    "\\endif\n";

/* Whoever wrote the manifest chose these names; the one who runs the script gives nothing great away. */
static const char tenant_guard[] =
    "DO $check$ DECLARE\n"
    "	name text;\n"
    "BEGIN\n"
    "	SELECT r.rolname INTO name FROM pg_catalog.pg_roles r, pg_catalog.pg_roles great\n"
    "	WHERE r.rolname = ANY (pg_catalog.current_setting('copyhold.roles')::pg_catalog.name[])\n"
    "	AND (great.rolsuper OR great.rolcreaterole OR great.rolreplication OR great.rolbypassrls\n"
    "		OR great.rolname ~ '^pg_(read_all_data|write_all_data|read_server_files|write_server_files"
    "|execute_server_program)$')\n"
    "	AND pg_catalog.pg_has_role(r.oid, great.oid, 'MEMBER') LIMIT 1;\n"
    "	IF FOUND THEN\n"
    "		RAISE EXCEPTION 'role \"%\" has rights of an administrator: name another one', name;\n"
    "	END IF;\n"
    "END $check$;\n";

static void
tenant_guards(Buf *b, const Placement *at)
{
	Names roles = { 0 };

	vec_push(b->mem, &roles, at->owner);
	vec_push(b->mem, &roles, at->cluster->connect.user);
	for (size_t i = 0; i < at->logins.n; i++)
		vec_push(b->mem, &roles, at->logins.at[i].role);
	literal(b, "SET copyhold.roles = ", roles_array(b->mem, &roles), ";\n");
	buf_add(b, tenant_guard);
}

static void
tenant_intro(Buf *b, const Placement *at)
{
	const char *us = at->cluster->connect.user;

	buf_fmt(b,
	    "-- Prepares your server for tenant %s.  Please read it, then let an administrator who may\n"
	    "-- create roles and databases run it once:\n"
	    "--	psql -v ON_ERROR_STOP=1 -f THIS_FILE postgres\n"
	    "-- What it makes:\n",
	    at->tenant);
	ident(b, "--   role ", at->owner,
	    ", which nobody can log in as: it owns the database and the tables\n");
	for (size_t i = 0; i < at->logins.n; i++)
		ident(b, "--   login ", at->logins.at[i].role,
		    ": the application's; it reads and writes rows\n");
	ident(b, "--   login ", us,
	    ": ours; it may act as the roles above and has no right of its own\n");
	ident(b, "--   database ", at->dbname, ", which only these can connect to\n");
	buf_add(b,
	    "-- We ask for no SUPERUSER, CREATEROLE or CREATEDB and for no extension.  Passwords are not in\n"
	    "-- it: a SCRAM verifier lets the server check one, not anybody log in.  Run twice it changes nothing.\n\n"
	    "\\set ON_ERROR_STOP on\n"
	    "SET client_min_messages = warning;\n");
	version_check(b);
	tenant_guards(b, at);
	buf_add(b, tenant_checks);
}

static void
member(Buf *b, const char *role, const char *of)
{
	ident(b, "GRANT ", role, " TO ");
	ident(b, "", of, " :copyhold_member;\n");
}

static void
tenant_role(Buf *b, const char *role, const char *attributes, const char *verifier)
{
	unless_there(
	    b, statement(b->mem, "CREATE ROLE ", role, attributes), "pg_roles", "rolname", role);
	password_text(b, role, verifier);
}

static void
tenant_roles(Buf *b, const Placement *at, const char *verifier)
{
	const char *us = at->cluster->connect.user;

	buf_add(b, "\n-- The roles.\n");
	tenant_role(b, at->owner, " NOLOGIN", NULL);
	for (size_t i = 0; i < at->logins.n; i++)
		tenant_role(b, at->logins.at[i].role, " LOGIN", at->logins.at[i].verifier);
	tenant_role(b, us, " LOGIN", verifier);
	member(b, at->owner, us);
	for (size_t i = 0; i < at->logins.n; i++)
		member(b, at->logins.at[i].role, us);
}

/* An administrator who is no superuser can give a database only to a role that he is a member of. */
static void
tenant_borrow(Buf *b, const Placement *at, bool take)
{
	Buf text = buf_new(b->mem);

	ident(&text, take ? "GRANT " : "REVOKE ", at->owner, take ? " TO " : " FROM ");
	literal(b, "SELECT ", text.text, " || pg_catalog.quote_ident(current_user)");
	if (take)
		buf_add(b, " || ' ' || :'copyhold_member'");
	buf_add(b,
	    "\nWHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \\gexec\n");
}

static void
tenant_database(Buf *b, const Placement *at)
{
	buf_add(b, "\n-- The database, in UTF-8.\n");
	tenant_borrow(b, at, true);
	unless_there(b,
	    statement(b->mem,
		statement(b->mem, "CREATE DATABASE ", at->dbname,
		    " TEMPLATE template0 ENCODING 'UTF8' OWNER "),
		at->owner, ""),
	    "pg_database", "datname", at->dbname);
	ident(b, "REVOKE ALL ON DATABASE ", at->dbname, " FROM PUBLIC;\n");
	ident(b, "GRANT CONNECT ON DATABASE ", at->dbname, " TO ");
	ident(b, "", at->cluster->connect.user, "");
	for (size_t i = 0; i < at->logins.n; i++)
		ident(b, ", ", at->logins.at[i].role, "");
	buf_add(b, ";\n");
}

static void
tenant_settings(Buf *b, const Placement *at)
{
	buf_add(b, "\n-- What the application's sessions start with, in this database only.\n");
	for (size_t i = 0; i < at->logins.n; i++)
		roles_settings_text(b, &at->logins.at[i], at->dbname);
}

static bool
tenant_names_fit(Ctx *cx, const Placement *at)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (!name_fits(cx, "login", at->logins.at[i].role))
			return false;
	return name_fits(cx, "login", at->cluster->connect.user) &&
	    name_fits(cx, "owner", at->owner) && name_fits(cx, "database", at->dbname);
}

bool
setup_tenant_script(Ctx *cx, Home *home, const Placement *at, Buf *out)
{
	char *verifier;

	if (!tenant_names_fit(cx, at) || !our_verifier(cx, home, at->cluster, &verifier))
		return false;
	tenant_intro(out, at);
	tenant_roles(out, at, verifier);
	tenant_database(out, at);
	tenant_settings(out, at);
	buf_add(out, "\n-- Nobody else creates anything in it.\n");
	reconnect(out, at->dbname);
	buf_add(out, "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n");
	tenant_borrow(out, at, false);
	return true;
}

bool
setup_password(Ctx *cx, Home *home, const char *tenant, const char *user, Secret *out)
{
	const char *name = pending_password_name(cx->mem, tenant, user);
	bool found;

	if (!catalog_secret_get(cx, home, name, out, &found))
		return false;
	if (found)
		return true;
	*out = random_password(cx->mem);
	if (lite_begin(cx, home->db) && catalog_secret_put(cx, home, name, out) &&
	    lite_commit(cx, home->db))
		return true;
	lite_rollback(home->db);
	return false;
}

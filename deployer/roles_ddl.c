#include <string.h>

#include "deployer/roles.h"

/* --- what the interface promises of a login's sessions ---------------------------- */

const RoleSetting roles_defaults[ROLE_SETTINGS_ALL] = {
	{ "search_path", TENANT_SCHEMA },
	{ "TimeZone", "UTC" },
	{ "DateStyle", "ISO, MDY" },
};
static const RoleSetting read_only_setting = { "default_transaction_read_only", "on" };

size_t
roles_settings(const Login *login, RoleSetting out[ROLE_SETTINGS])
{
	memcpy(out, roles_defaults, sizeof roles_defaults);
	out[ROLE_SETTINGS_ALL] = read_only_setting;
	return ROLE_SETTINGS_ALL + (login->read_only ? 1 : 0);
}

/* --- roles, logins, rights ------------------------------------------------------------ */

static const char membership_full[] = " WITH INHERIT TRUE, SET TRUE";

/* Before 16 a membership has no such options.  A group's rights are its members' without its name; the
 * keeper's are ours by SET ROLE alone. */
static const char *
membership(const Placement *at, const char *role, int version)
{
	const Shared *s = at->shared;

	if (version < 160000)
		return "";
	if (s && (strcmp(role, s->writers) == 0 || strcmp(role, s->readers) == 0))
		return " WITH INHERIT TRUE, SET FALSE";
	return s && strcmp(role, s->keeper) == 0 ? " WITH INHERIT FALSE, SET TRUE"
						 : membership_full;
}

static void
granted_to_us(Buf *b, const char *role, const char *options)
{
	buf_add(b, "GRANT ");
	buf_ident(b, role);
	buf_fmt(b, " TO SESSION_USER%s;\n", options);
}

static void
nologin_text(Buf *b, const char *role, bool there)
{
	buf_add(b, there ? "ALTER ROLE " : "CREATE ROLE ");
	buf_ident(b, role);
	buf_add(b,
	    " NOLOGIN NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT -1"
	    " VALID UNTIL 'infinity';\n");
}

void
roles_owner_text(Buf *b, const char *owner, bool there, int version)
{
	nologin_text(b, owner, there);
	granted_to_us(b, owner, version >= 160000 ? membership_full : "");
}

void
roles_shared_text(Buf *b, const Shared *s, const Names *there, int version)
{
	const Placement at = { .shared = s };

	roles_owner_text(b, s->owner, names_have(there, s->owner), version);
	nologin_text(b, s->keeper, names_have(there, s->keeper));
	granted_to_us(b, s->keeper, membership(&at, s->keeper, version));
	nologin_text(b, s->writers, names_have(there, s->writers));
	nologin_text(b, s->readers, names_have(there, s->readers));
}

/* A search_path is a list; given as one literal it would be the name of one schema. */
static void
path_value(Buf *b, const char *value)
{
	for (size_t n; *value; value += n + strspn(value + n, ", ")) {
		n = strcspn(value, ",");
		buf_ident(b, arena_dupn(b->mem, value, n));
		if (value[n])
			buf_add(b, ", ");
	}
}

static void
setting_text(Buf *b, const char *role, const char *database, const char *name, const char *value)
{
	const char *dot = strchr(name, '.');

	buf_add(b, *role ? "ALTER ROLE " : "ALTER DATABASE ");
	buf_ident(b, *role ? role : database);
	if (*role && database) {
		buf_add(b, " IN DATABASE ");
		buf_ident(b, database);
	}
	buf_add(b, value ? " SET " : " RESET ");
	if (dot) {
		buf_ident(b, arena_dupn(b->mem, name, (size_t)(dot - name)));
		buf_addc(b, '.');
	}
	buf_ident(b, dot ? dot + 1 : name);
	if (value) {
		buf_add(b, " = ");
		if (strcmp(name, "search_path") == 0 && strchr(value, ','))
			path_value(b, value);
		else
			buf_literal(b, value);
	}
	buf_add(b, ";\n");
}

void
roles_settings_text(Buf *b, const Login *login, const char *database)
{
	RoleSetting list[ROLE_SETTINGS];
	size_t n = roles_settings(login, list);

	for (size_t i = 0; i < n; i++)
		setting_text(b, login->role, database, list[i].name, list[i].value);
}

void
roles_defaults_text(Buf *b, const char *database)
{
	for (size_t i = 0; i < ROLE_SETTINGS_ALL; i++)
		setting_text(b, "", database, roles_defaults[i].name, roles_defaults[i].value);
}

const char *
roles_path(Arena *mem, const Placement *at)
{
	if (at->layout == LAYOUT_PLAIN)
		return at->schema;
	return arena_printf(mem, "%s, " SCHEMA_APP, at->schema);
}

const char *
roles_group(const Placement *at, const Login *login)
{
	return login->read_only ? at->shared->readers : at->shared->writers;
}

void
roles_path_text(Buf *b, const Placement *at, const Login *login, bool own)
{
	setting_text(
	    b, login->role, at->dbname, "search_path", own ? roles_path(b->mem, at) : NULL);
}

void
roles_password_text(Buf *b, const Login *login)
{
	buf_add(b, "ALTER ROLE ");
	buf_ident(b, login->role);
	buf_add(b, " PASSWORD ");
	buf_literal(b, login->verifier);
	buf_add(b, ";\n");
}

static void
attributes_text(Buf *b, const Placement *at, bool on)
{
	buf_fmt(b, " %s NOCREATEDB NOCREATEROLE %s CONNECTION LIMIT %d VALID UNTIL 'infinity'",
	    on ? "LOGIN" : "NOLOGIN", at->shared ? "INHERIT" : "NOINHERIT", ROLE_CONNECTIONS);
}

static void
member_text(
    Buf *b, const Placement *at, const char *role, const char *member, bool gone, int version)
{
	buf_add(b, gone ? "REVOKE " : "GRANT ");
	buf_ident(b, role);
	buf_add(b, gone ? " FROM " : " TO ");
	buf_ident(b, member);
	buf_fmt(b, "%s;\n", gone ? " CASCADE" : membership(at, role, version));
}

static void
shared_login_text(Buf *b, const Placement *at, const Login *login, bool own, int version)
{
	member_text(b, at, roles_group(at, login), login->role, false, version);
	if (own)
		roles_path_text(b, at, login, true);
	if (login->read_only)
		setting_text(
		    b, login->role, at->dbname, read_only_setting.name, read_only_setting.value);
}

void
roles_login_text(Buf *b, const Placement *at, const Login *login, bool there, bool own, int version)
{
	buf_add(b, there ? "ALTER ROLE " : "CREATE ROLE ");
	buf_ident(b, login->role);
	attributes_text(b, at, !at->shut);
	buf_add(b, " PASSWORD ");
	buf_literal(b, login->verifier);
	buf_add(b, ";\n");
	if (at->shared) {
		shared_login_text(b, at, login, own, version);
		return;
	}
	roles_settings_text(b, login, NULL);
	granted_to_us(b, login->role, version >= 160000 ? membership_full : "");
}

void
roles_database_text(Buf *b, const char *verb, const char *what, const char *dbname,
    const char *preposition, const char *role)
{
	buf_fmt(b, "%s %s ON DATABASE ", verb, what);
	buf_ident(b, dbname);
	buf_fmt(b, " %s ", preposition);
	if (strcmp(role, "PUBLIC") == 0)
		buf_add(b, role);
	else
		buf_ident(b, role);
	buf_add(b, strcmp(verb, "REVOKE") == 0 ? " CASCADE;\n" : ";\n");
}

static const Login *
login_of_role(const Placement *at, const char *role)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (strcmp(at->logins.at[i].role, role) == 0)
			return &at->logins.at[i];
	return NULL;
}

/* Whether a tenant's login may log in is its tenant's to say. */
static void
shared_role(Buf *b, const Shared *s, const RoleChange *c)
{
	const char *const ours[] = { s->owner, s->keeper, s->writers, s->readers };

	for (size_t i = 0; i < LENGTH(ours); i++)
		if (strcmp(c->object, ours[i]) == 0) {
			nologin_text(b, c->object, c->op != CHANGE_ADD);
			return;
		}
	buf_add(b, "ALTER ROLE ");
	buf_ident(b, c->object);
	buf_fmt(b, " NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT %d VALID UNTIL 'infinity';\n",
	    ROLE_CONNECTIONS);
}

static void
change_role(Buf *b, const Placement *at, const RoleChange *c, int version)
{
	const Login *login = login_of_role(at, c->object);

	if (at->layout == LAYOUT_WIDE) {
		shared_role(b, at->shared, c);
		return;
	}
	if (!login) {
		roles_owner_text(b, c->object, c->op != CHANGE_ADD, version);
		return;
	}
	if (c->op == CHANGE_ADD)
		roles_login_text(b, at, login, false, false, version);
	buf_add(b, "ALTER ROLE ");
	buf_ident(b, c->object);
	attributes_text(b, at, login->on);
	buf_add(b, ";\n");
}

static void
change_setting(Buf *b, const RoleChange *c)
{
	const char *mark = strchr(c->name, '@');
	const char *name = mark ? arena_dupn(b->mem, c->name, (size_t)(mark - c->name)) : c->name;

	setting_text(b, c->object, mark ? mark + 1 : NULL, name, c->to);
}

static void
change_grant(Buf *b, const RoleChange *c)
{
	roles_database_text(b, "REVOKE", "ALL", c->object, "FROM", c->name);
	if (c->to)
		roles_database_text(b, "GRANT", c->to, c->object, "TO", c->name);
}

static void
change_database(Buf *b, const Placement *at, const RoleChange *c)
{
	const char *wanted = arena_printf(b->mem, "owner %s", at->owner);
	size_t n = strlen(wanted);

	if (strncmp(c->from, wanted, n) != 0 || (c->from[n] && c->from[n] != ',')) {
		buf_add(b, "ALTER DATABASE ");
		buf_ident(b, c->object);
		buf_add(b, " OWNER TO ");
		buf_ident(b, at->owner);
		buf_add(b, ";\n");
	}
	buf_add(b, "ALTER DATABASE ");
	buf_ident(b, c->object);
	buf_add(b, " ALLOW_CONNECTIONS true CONNECTION LIMIT -1 IS_TEMPLATE false;\n");
}

void
roles_change_text(Buf *b, const Placement *at, const RoleChange *c, int version)
{
	switch (c->kind) {
	case ITEM_ROLE:
		change_role(b, at, c, version);
		break;
	case ITEM_SETTING:
		change_setting(b, c);
		break;
	case ITEM_MEMBER:
		member_text(b, at, c->object, c->name, c->op != CHANGE_ADD, version);
		break;
	case ITEM_DATABASE:
		change_database(b, at, c);
		break;
	case ITEM_DATABASE_GRANT:
		change_grant(b, c);
		break;
	default:
		break;
	}
}

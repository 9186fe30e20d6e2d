#include <string.h>

#include "deployer/roles.h"

/* --- what the interface promises of a login's sessions ---------------------------- */

static const RoleSetting settings[] = {
	{ "search_path", TENANT_SCHEMA },
	{ "TimeZone", "UTC" },
	{ "DateStyle", "ISO, MDY" },
};
static const RoleSetting read_only_setting = { "default_transaction_read_only", "on" };

size_t
roles_settings(const Login *login, RoleSetting out[ROLE_SETTINGS])
{
	memcpy(out, settings, sizeof settings);
	out[LENGTH(settings)] = read_only_setting;
	return LENGTH(settings) + (login->read_only ? 1 : 0);
}

/* --- roles, logins, rights ------------------------------------------------------------ */

static const char *
membership(int version)
{
	return version >= 160000 ? " WITH INHERIT TRUE, SET TRUE" : "";
}

static void
granted_to_us(Buf *b, const char *role, int version)
{
	buf_add(b, "GRANT ");
	buf_ident(b, role);
	buf_fmt(b, " TO SESSION_USER%s;\n", membership(version));
}

void
roles_owner_text(Buf *b, const char *owner, bool there, int version)
{
	buf_add(b, there ? "ALTER ROLE " : "CREATE ROLE ");
	buf_ident(b, owner);
	buf_add(b,
	    " NOLOGIN NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT -1"
	    " VALID UNTIL 'infinity';\n");
	granted_to_us(b, owner, version);
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
roles_password_text(Buf *b, const Login *login)
{
	buf_add(b, "ALTER ROLE ");
	buf_ident(b, login->role);
	buf_add(b, " PASSWORD ");
	buf_literal(b, login->verifier);
	buf_add(b, ";\n");
}

void
roles_login_text(Buf *b, const Login *login, bool there, int version)
{
	buf_add(b, there ? "ALTER ROLE " : "CREATE ROLE ");
	buf_ident(b, login->role);
	buf_fmt(b,
	    " LOGIN NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT %d VALID UNTIL 'infinity';\n",
	    ROLE_CONNECTIONS);
	roles_password_text(b, login);
	roles_settings_text(b, login, NULL);
	granted_to_us(b, login->role, version);
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

static void
change_role(Buf *b, const Placement *at, const RoleChange *c, int version)
{
	const Login *login = login_of_role(at, c->object);

	if (!login) {
		roles_owner_text(b, c->object, c->op != CHANGE_ADD, version);
		return;
	}
	if (c->op == CHANGE_ADD)
		roles_login_text(b, login, false, version);
	buf_add(b, "ALTER ROLE ");
	buf_ident(b, c->object);
	buf_fmt(b,
	    " %s NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT %d VALID UNTIL 'infinity';\n",
	    login->on ? "LOGIN" : "NOLOGIN", ROLE_CONNECTIONS);
}

static void
change_setting(Buf *b, const RoleChange *c)
{
	const char *mark = strchr(c->name, '@');
	const char *name = mark ? arena_dupn(b->mem, c->name, (size_t)(mark - c->name)) : c->name;

	setting_text(b, c->object, mark ? mark + 1 : NULL, name, c->to);
}

static void
change_member(Buf *b, const RoleChange *c, int version)
{
	bool gone = c->op != CHANGE_ADD;

	buf_add(b, gone ? "REVOKE " : "GRANT ");
	buf_ident(b, c->object);
	buf_add(b, gone ? " FROM " : " TO ");
	buf_ident(b, c->name);
	buf_fmt(b, "%s;\n", gone ? " CASCADE" : membership(version));
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
		change_member(b, c, version);
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

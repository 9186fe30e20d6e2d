#include "deployer/items.h"

#include <string.h>

#include "lib/core/catalog.h"

/* A session that an earlier failure left in a transaction, or as the owner, starts afresh. */
static bool
session_as(Ctx *cx, Conns *conns, const Placement *at, const char *role, Pg **out)
{
	Buf b = buf_new(cx->mem);
	Pg *pg;

	buf_add(&b, "SET ROLE ");
	if (role)
		buf_ident(&b, role);
	else
		buf_add(&b, "NONE");
	if (!conns_get(cx, conns, at->cluster, at->dbname, &pg))
		return fail_in(cx, "opening the database of \"%s\"", at->tenant);
	pg_rollback(pg);
	if (!pg_script(cx, pg, b.text))
		return fail_in(cx, "opening the database of \"%s\"", at->tenant);
	*out = pg;
	return true;
}

bool
place_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out)
{
	return session_as(cx, conns, at, NULL, out);
}

bool
owner_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out)
{
	return session_as(cx, conns, at, at->owner, out);
}

void
owner_session_end(Pg *pg)
{
	Ctx cx = ctx_new(NULL);

	pg_script(&cx, pg, "RESET ROLE");
	arena_free(cx.mem);
}

/* A server that never was set up answers as one whose password is wrong. */
static bool
fail_opening(Ctx *cx, const Cluster *cluster)
{
	Fail *f = cx->fail;

	if (f->kind == FAIL_LOGIN && f->hint)
		f->hint = arena_printf(cx->mem,
		    "%s A new server is set up first: "
		    "copyhold cluster setup-script %s.",
		    f->hint, cluster->name);
	return fail_in(cx, "opening cluster \"%s\"", cluster->name);
}

/* The cluster's own database, clean in the same way. */
bool
cluster_session(Ctx *cx, Conns *conns, const Cluster *cluster, Pg **out)
{
	Pg *pg;

	if (!conns_get(cx, conns, cluster, NULL, &pg))
		return fail_opening(cx, cluster);
	pg_rollback(pg);
	if (!pg_script(cx, pg, "SET ROLE NONE"))
		return false;
	*out = pg;
	return true;
}

static const Login *
writing_login(const Placement *at)
{
	for (size_t i = 0; i < at->logins.n; i++)
		if (!at->logins.at[i].read_only)
			return &at->logins.at[i];
	return NULL;
}

static bool
no_writing_login(Ctx *cx, const Placement *at)
{
	return fail(cx, FAIL_REFUSED, "Add one: copyhold login add.",
	    "tenant \"%s\" has no login that may write", at->tenant);
}

/* What a login's role would find set, were it to connect itself. */
bool
session_settings(Ctx *cx, Pg *pg, const Placement *at)
{
	Buf b = buf_new(cx->mem);

	buf_add(&b, "SET search_path = ");
	buf_ident(&b, at->schema);
	buf_add(&b, at->layout == LAYOUT_VIEWS ? ", " SCHEMA_APP : "");
	buf_add(&b, "; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'");
	return pg_script(cx, pg, b.text);
}

bool
data_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out)
{
	const Login *login = writing_login(at);
	Pg *pg;

	if (!login)
		return no_writing_login(cx, at);
	if (!conns_get_as(cx, conns, at->cluster, at->dbname, login->role, &pg) ||
	    !session_settings(cx, pg, at))
		return fail_in(cx, "opening the database of \"%s\" as its login \"%s\"", at->tenant,
		    login->user);
	*out = pg;
	return true;
}

static void
login_target(
    Ctx *cx, const Placement *at, const Login *login, const Secret *password, PgTarget *out)
{
	const Connect *to = &at->cluster->connect;

	*out = (PgTarget){
		.name = at->cluster->name,
		.host = to->host,
		.port = (int)to->port,
		.dbname = at->dbname,
		.user = login->role,
		.password = secret_new(cx->mem, password->text, password->len),
		.sslmode = to->sslmode,
		.sslrootcert = to->sslrootcert,
		.sslcert = to->sslcert,
		.sslkey = to->sslkey,
	};
}

bool
login_session(Ctx *cx, const Placement *at, const Login *login, const Secret *password, Pg **out)
{
	PgTarget target;

	login_target(cx, at, login, password, &target);
	return pg_open(cx, &target, out);
}

/* Row security asks who logged in, and no SET ROLE changes that. */
bool
login_data_session(Ctx *cx, Conns *conns, const Placement *at, Pg **out)
{
	const Login *login = writing_login(at);
	Secret password;
	Pg *pg;

	if (!login)
		return no_writing_login(cx, at);
	if (!catalog_login_password(cx, conns_home(conns), at->tenant, login->user, &password) ||
	    !login_session(cx, at, login, &password, &pg) || !session_settings(cx, pg, at))
		return fail_in(cx, "opening the database of \"%s\" as its login \"%s\"", at->tenant,
		    login->user);
	*out = pg;
	return true;
}

/* The server asks for the password before it looks for the right to connect and counts connections:
 * these are drift of their own, or just busy. */
static bool
was_let_in(const Fail *f)
{
	return f->kind == FAIL_MISSING_RIGHT || (f->cause && strstr(f->cause, "53300"));
}

bool
login_password_ok(
    Ctx *cx, const Placement *at, const Login *login, const Secret *password, bool *ok)
{
	Ctx own = ctx_new(cx->mem);
	Pg *pg;
	bool opened = login_session(&own, at, login, password, &pg) || was_let_in(own.fail);
	bool decided = opened || own.fail->kind == FAIL_LOGIN;

	if (decided)
		*ok = opened;
	else
		fail_copy(cx, &own);
	arena_free(own.mem);
	return decided;
}

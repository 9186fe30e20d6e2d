-- What stands on the server of a placement's roles and database.  $1 is an array of role names.

-- name: roles_there
SELECT 'role', rolname, NULL::boolean, NULL::boolean, NULL::text
FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::pg_catalog.name[])
UNION ALL
SELECT 'database', datname, datallowconn, datconnlimit = -2, pg_catalog.pg_get_userbyid(datdba)::text
FROM pg_catalog.pg_database WHERE datname = $2;

-- $2: the database; $3: how the names of a tenant's roles begin, '' on a customer's server, where
-- attributes that an administrator may choose freely are left out.
-- name: roles_observe
WITH ours AS (
	SELECT * FROM pg_catalog.pg_roles
	WHERE rolname = ANY ($1::pg_catalog.name[])
), database AS (
	SELECT * FROM pg_catalog.pg_database WHERE datname = $2
)
SELECT 'role', rolname::text, '', pg_catalog.concat_ws(', ',
	CASE WHEN rolcanlogin THEN 'login' ELSE 'nologin' END,
	CASE WHEN rolsuper THEN 'superuser' END,
	CASE WHEN rolcreatedb THEN 'createdb' END,
	CASE WHEN rolcreaterole THEN 'createrole' END,
	CASE WHEN rolreplication THEN 'replication' END,
	CASE WHEN rolbypassrls THEN 'bypassrls' END,
	CASE WHEN $3 <> '' AND rolinherit THEN 'inherit' END,
	CASE WHEN $3 <> '' AND rolconnlimit >= 0 THEN 'connections ' || rolconnlimit END,
	CASE WHEN $3 <> '' AND pg_catalog.isfinite(rolvaliduntil)
		THEN 'valid until ' || pg_catalog.to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END)
FROM pg_catalog.pg_roles
WHERE rolname = ANY ($1::pg_catalog.name[]) OR ($3 <> '' AND pg_catalog.starts_with(rolname::text, $3))
UNION ALL
SELECT 'setting', coalesce(o.rolname::text, ''),
	pg_catalog.split_part(c, '=', 1) || CASE WHEN d.datname IS NULL THEN '' ELSE '@' || d.datname::text END
		|| CASE WHEN g.context IN ('user', 'backend') THEN '' ELSE ' (of a superuser)' END,
	pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN ours o ON o.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN pg_catalog.unnest(s.setconfig) c
LEFT JOIN pg_catalog.pg_settings g ON g.name = pg_catalog.split_part(c, '=', 1)
WHERE o.oid IS NOT NULL OR (s.setrole = 0 AND d.datname = $2)
UNION ALL
SELECT 'member', g.rolname::text, m.rolname::text || CASE WHEN $3 <> '' AND m.rolname <> session_user
		AND pg_catalog.current_setting('server_version_num')::int >= 160000
		AND NOT pg_catalog.bool_or(pg_catalog.pg_get_userbyid(a.grantor) = session_user)
		THEN ' (of another grantor)' ELSE '' END,
	CASE WHEN pg_catalog.bool_or(a.admin_option) AND m.rolname <> session_user THEN 'with admin option' ELSE '' END
FROM pg_catalog.pg_auth_members a
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
JOIN pg_catalog.pg_roles m ON m.oid = a.member
WHERE a.member IN (SELECT oid FROM ours) OR (a.roleid IN (SELECT oid FROM ours)
	AND ($3 <> '' OR m.rolname = session_user))
GROUP BY g.rolname, m.rolname
UNION ALL
SELECT 'database', datname::text, '', pg_catalog.concat_ws(', ',
	'owner ' || pg_catalog.pg_get_userbyid(datdba)::text,
	CASE WHEN $3 <> '' AND NOT datallowconn THEN 'no connections' END,
	CASE WHEN $3 <> '' AND datconnlimit <> -1 THEN 'connections ' || datconnlimit END,
	CASE WHEN datistemplate THEN 'a template' END)
FROM database
UNION ALL
SELECT 'grant', d.datname::text, g.grantee, pg_catalog.string_agg(g.privilege, ', ' ORDER BY g.privilege COLLATE "C")
FROM database d
CROSS JOIN LATERAL (
	SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END AS grantee,
		a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END AS privilege
	FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
) g
WHERE $3 <> '' OR g.grantee = 'PUBLIC' OR g.grantee = session_user
	OR g.grantee IN (SELECT rolname::text FROM ours WHERE oid <> d.datdba)
GROUP BY d.datname, g.grantee;

-- name: roles_sessions_end
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE usename = ANY ($1::pg_catalog.name[]);

-- Those that have not come in yet but may have been let in: a session that logs in holds a lock of its
-- own transaction before it is asked who it is, and is in the list of sessions before it gives it up.
-- name: roles_coming_in
SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid IS NOT NULL
	AND (a.pid IS NULL OR a.usename IS NULL);

-- name: roles_can_connect
SELECT rolname FROM pg_catalog.pg_roles
WHERE rolname = ANY ($1::pg_catalog.name[])
	AND pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'CONNECT');

-- name: home_table
CREATE TABLE IF NOT EXISTS copyhold.home (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	id uuid NOT NULL,
	claimed_at timestamptz NOT NULL
);

-- name: home_take  with: home
INSERT INTO copyhold.home (id, claimed_at) VALUES ($1::uuid, pg_catalog.clock_timestamp()) ON CONFLICT DO NOTHING;

-- name: home_stands
SELECT pg_catalog.to_regclass('copyhold.home') IS NOT NULL;

-- A standby of a claimed server is claimed with it.
-- name: home_follows
SELECT pg_catalog.pg_is_in_recovery() AND pg_catalog.to_regclass('copyhold.home') IS NOT NULL;

-- name: home_read  with: home
SELECT id FROM copyhold.home;

-- name: home_leave  with: home
SELECT NOT EXISTS (SELECT FROM copyhold.applied);

-- name: preflight_cluster
SELECT pg_catalog.current_setting('server_version_num'),
	r.rolsuper, r.rolcreatedb, r.rolcreaterole,
	pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
	coalesce(t.datistemplate AND NOT t.datallowconn, false),
	coalesce(pg_catalog.shobj_description(t.oid, 'pg_database'), ''),
	r.rolbypassrls OR r.rolreplication
FROM pg_catalog.pg_roles r
LEFT JOIN pg_catalog.pg_database t ON t.datname = $1
WHERE r.rolname = session_user;

-- name: schema_stands
SELECT pg_catalog.to_regnamespace(pg_catalog.quote_ident($1)) IS NOT NULL;

-- $1: the owner
-- name: preflight_customer
SELECT pg_catalog.current_setting('server_version_num'),
	r.rolsuper, r.rolcreaterole, pg_catalog.current_database(),
	pg_catalog.pg_encoding_to_char(d.encoding), pg_catalog.pg_get_userbyid(d.datdba),
	o.oid IS NOT NULL,
	coalesce(pg_catalog.pg_has_role(session_user, o.oid, 'USAGE')
		AND pg_catalog.pg_has_role(session_user, o.oid, $2), false),
	coalesce(pg_catalog.has_database_privilege(o.oid, d.oid, 'CREATE'), false),
	EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
		WHERE a.grantee = 0)
FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_roles o ON o.rolname = $1
WHERE r.rolname = session_user;

-- $1: a login's role; $2: MEMBER, or SET from PostgreSQL 16 on
-- name: preflight_login
SELECT o.rolcanlogin, pg_catalog.pg_has_role(session_user, o.oid, 'USAGE')
	AND pg_catalog.pg_has_role(session_user, o.oid, $2)
FROM pg_catalog.pg_roles o WHERE o.rolname = $1;

-- $1: a login's role.  Rights for objects to come are its own to give, and keep it from being dropped.
-- name: login_owns
SELECT EXISTS (SELECT FROM pg_catalog.pg_shdepend s
	JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid AND r.rolname = $1
	WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o'
		AND s.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass);

-- $1: the owner, $2: the schema.  The objects that are ours to grant, views too where tenants share
-- tables: what somebody else put beside them is not.
-- name: owned_tables
SELECT c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $2 AND pg_catalog.pg_get_userbyid(c.relowner) = $1
	AND (c.relkind = 'r' OR c.relkind = 'v' AND n.nspname <> 'app')
ORDER BY c.relname;

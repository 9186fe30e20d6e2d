-- What stands on the server of a shared database and of its tenants.  Names of roles are opaque and begin
-- with the placement's id, so that an index finds those of one tenant among those of ten thousand.

-- $1, $2: the first name of the tenant's roles, and the first that is none of them.
-- name: shared_tenant_roles
WITH ours AS MATERIALIZED (
	SELECT * FROM pg_catalog.pg_roles
	WHERE rolname >= $1::pg_catalog.name AND rolname < $2::pg_catalog.name
), joined AS (
	SELECT a.* FROM pg_catalog.pg_auth_members a JOIN ours ON ours.oid = a.member
	UNION
	SELECT a.* FROM pg_catalog.pg_auth_members a JOIN ours ON ours.oid = a.roleid
)
SELECT 'role', rolname::text, '', pg_catalog.concat_ws(', ',
	CASE WHEN rolcanlogin THEN 'login' ELSE 'nologin' END,
	CASE WHEN rolsuper THEN 'superuser' END,
	CASE WHEN rolcreatedb THEN 'createdb' END,
	CASE WHEN rolcreaterole THEN 'createrole' END,
	CASE WHEN rolreplication THEN 'replication' END,
	CASE WHEN rolbypassrls THEN 'bypassrls' END,
	CASE WHEN rolinherit THEN 'inherit' END,
	CASE WHEN rolconnlimit >= 0 THEN 'connections ' || rolconnlimit END,
	CASE WHEN pg_catalog.isfinite(rolvaliduntil)
		THEN 'valid until ' || pg_catalog.to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END)
FROM ours
UNION ALL
SELECT 'setting', ours.rolname::text,
	pg_catalog.split_part(c, '=', 1) || CASE WHEN d.datname IS NULL THEN '' ELSE '@' || d.datname::text END
		|| CASE WHEN g.context IN ('user', 'backend') THEN '' ELSE ' (of a superuser)' END,
	pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s
JOIN ours ON ours.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN pg_catalog.unnest(s.setconfig) c
LEFT JOIN pg_catalog.pg_settings g ON g.name = pg_catalog.split_part(c, '=', 1)
UNION ALL
SELECT 'member', g.rolname::text, m.rolname::text || CASE
		WHEN pg_catalog.current_setting('server_version_num')::int >= 160000
			AND NOT pg_catalog.bool_or(pg_catalog.pg_get_userbyid(a.grantor) = session_user)
		THEN ' (of another grantor)' ELSE '' END,
	CASE WHEN pg_catalog.bool_or(a.admin_option) THEN 'with admin option' ELSE '' END
FROM joined a
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
JOIN pg_catalog.pg_roles m ON m.oid = a.member
WHERE m.rolname <> session_user
GROUP BY g.rolname, m.rolname;

-- $1, $2, $3: logins of tenants, whether each may log in, the group that it belongs to; $4, $5: the two groups.
-- name: shared_odd_logins
WITH joined AS MATERIALIZED (
	SELECT m.rolname AS login, g.rolname AS role
	FROM pg_catalog.pg_auth_members a
	JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
	JOIN pg_catalog.pg_roles m ON m.oid = a.member
	WHERE g.rolname IN ($4::pg_catalog.name, $5::pg_catalog.name)
)
SELECT w.role::text
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.name[]), pg_catalog.unnest($2::boolean[]),
	pg_catalog.unnest($3::pg_catalog.name[])) w(role, may, belongs)
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.role
WHERE r.rolcanlogin IS DISTINCT FROM w.may
	OR (w.role, w.belongs) NOT IN (SELECT login, role FROM joined)
	OR (w.role, CASE w.belongs WHEN $4::pg_catalog.name THEN $5::pg_catalog.name ELSE $4::pg_catalog.name END)
		IN (SELECT login, role FROM joined);

-- $1: our four roles, $2: the database, $3 and $4: the first name of its roles, and the first that is
-- none, $5: the two groups.  The tenants' logins are the groups' members by right; of them that alone is
-- told which no login of a tenant has: their own looks are taken one by one, and not in every plan.
-- $6: the attributes of a login, $7: MEMBER, or SET from PostgreSQL 16 on, where who makes a role stays a
-- member that may not become it.
-- name: shared_place_roles
WITH ours AS MATERIALIZED (
	SELECT * FROM pg_catalog.pg_roles
	WHERE rolname = ANY ($1::pg_catalog.name[])
		OR (rolname >= $3::pg_catalog.name AND rolname < $4::pg_catalog.name)
), database AS (
	SELECT * FROM pg_catalog.pg_database WHERE datname = $2
), logins AS MATERIALIZED (
	SELECT * FROM pg_catalog.pg_roles
	WHERE rolname ~ '^t_[a-z2-7]{12}_[a-z2-7]{4}$' AND oid IN (SELECT a.member
		FROM pg_catalog.pg_auth_members a JOIN ours ON ours.oid = a.roleid
		WHERE ours.rolname = ANY ($5::pg_catalog.name[]))
), looked AS (
	SELECT oid, rolname, false AS login FROM ours UNION ALL SELECT oid, rolname, true FROM logins
), joined AS (
	SELECT a.* FROM pg_catalog.pg_auth_members a JOIN looked ON looked.oid = a.member
	UNION
	SELECT a.* FROM pg_catalog.pg_auth_members a JOIN looked ON looked.oid = a.roleid
), attributes AS (
	SELECT rolname::text, pg_catalog.concat_ws(', ',
		CASE WHEN rolsuper THEN 'superuser' END,
		CASE WHEN rolcreatedb THEN 'createdb' END,
		CASE WHEN rolcreaterole THEN 'createrole' END,
		CASE WHEN rolreplication THEN 'replication' END,
		CASE WHEN rolbypassrls THEN 'bypassrls' END,
		CASE WHEN rolinherit THEN 'inherit' END,
		CASE WHEN rolconnlimit >= 0 THEN 'connections ' || rolconnlimit END,
		CASE WHEN pg_catalog.isfinite(rolvaliduntil)
			THEN 'valid until ' || pg_catalog.to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END) AS def
	FROM logins
)
SELECT 'role', rolname::text, '', pg_catalog.concat_ws(', ',
	CASE WHEN rolcanlogin THEN 'login' ELSE 'nologin' END,
	CASE WHEN rolsuper THEN 'superuser' END,
	CASE WHEN rolcreatedb THEN 'createdb' END,
	CASE WHEN rolcreaterole THEN 'createrole' END,
	CASE WHEN rolreplication THEN 'replication' END,
	CASE WHEN rolbypassrls THEN 'bypassrls' END,
	CASE WHEN rolinherit THEN 'inherit' END,
	CASE WHEN rolconnlimit >= 0 THEN 'connections ' || rolconnlimit END,
	CASE WHEN pg_catalog.isfinite(rolvaliduntil)
		THEN 'valid until ' || pg_catalog.to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END)
FROM ours
UNION ALL
SELECT 'role', rolname, '', def FROM attributes WHERE def <> $6
UNION ALL
SELECT 'setting', coalesce(looked.rolname::text, ''),
	pg_catalog.split_part(c, '=', 1) || CASE WHEN d.datname IS NULL THEN '' ELSE '@' || d.datname::text END
		|| CASE WHEN g.context IN ('user', 'backend') THEN '' ELSE ' (of a superuser)' END,
	pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN looked ON looked.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN pg_catalog.unnest(s.setconfig) c
LEFT JOIN pg_catalog.pg_settings g ON g.name = pg_catalog.split_part(c, '=', 1)
WHERE (looked.oid IS NOT NULL OR (s.setrole = 0 AND d.datname = $2))
	AND NOT (coalesce(looked.login, false) AND d.datname IS NOT DISTINCT FROM $2
		AND c IN ('default_transaction_read_only=on',
			'search_path=app_' || pg_catalog.substr(looked.rolname::text, 3, 12),
			'search_path=app_' || pg_catalog.substr(looked.rolname::text, 3, 12) || ', app'))
UNION ALL
SELECT 'member', g.rolname::text, m.rolname::text || CASE WHEN m.rolname <> session_user
		AND pg_catalog.current_setting('server_version_num')::int >= 160000
		AND NOT pg_catalog.bool_or(pg_catalog.pg_get_userbyid(a.grantor) = session_user)
		THEN ' (of another grantor)' ELSE '' END,
	CASE WHEN pg_catalog.bool_or(a.admin_option) AND m.rolname <> session_user THEN 'with admin option' ELSE '' END
FROM joined a
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
JOIN pg_catalog.pg_roles m ON m.oid = a.member
WHERE NOT (g.rolname = ANY ($5::pg_catalog.name[]) AND m.oid IN (SELECT oid FROM logins) AND NOT a.admin_option)
	AND NOT (m.rolname = session_user AND (g.rolname = ANY ($5::pg_catalog.name[])
		OR g.oid IN (SELECT oid FROM logins) OR NOT pg_catalog.pg_has_role(m.oid, g.oid, $7)))
GROUP BY g.rolname, m.rolname
UNION ALL
SELECT 'database', datname::text, '', pg_catalog.concat_ws(', ',
	'owner ' || pg_catalog.pg_get_userbyid(datdba)::text,
	CASE WHEN NOT datallowconn THEN 'no connections' END,
	CASE WHEN datconnlimit <> -1 THEN 'connections ' || datconnlimit END,
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
GROUP BY d.datname, g.grantee;

-- What ends tenants' sessions, and shows what they do: we are no members of their roles.
-- name: preflight_shared
SELECT pg_catalog.pg_has_role(session_user, 'pg_signal_backend', 'USAGE'),
	pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE');

-- $1: the owner
-- name: shared_tables
SELECT c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'wide' AND c.relkind = 'r' AND pg_catalog.pg_get_userbyid(c.relowner) = $1
ORDER BY c.relname;

-- References among them: a tenant key and one field each.
-- name: shared_references
SELECT c.relname, t.relname, a.attname, a.attnotnull
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
JOIN pg_catalog.pg_class t ON t.oid = o.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (o.conkey) AND a.attname <> '_tenant'
WHERE n.nspname = 'wide' AND o.contype = 'f' AND pg_catalog.pg_get_userbyid(c.relowner) = $1
ORDER BY c.relname, o.conname, a.attname;

-- What tenant verify asks before it tries; as our own login in the tenant's database.

-- $1: the tenant's own roles and ours, comma-separated.  Other tenants come first.
-- name: verify_neighbour params: 1
SELECT r.rolname::text FROM pg_catalog.pg_roles r
WHERE r.rolname !~ '^pg_' AND r.rolname <> ALL (string_to_array($1, ',')) AND r.oid >= 16384
ORDER BY r.rolname !~ '^t_[a-z2-7]{12}', r.rolname COLLATE "C"
LIMIT 1;

-- Three of other tenants, shared ones first, and up to nine that are nobody's.
-- name: verify_databases params: 0
WITH d AS (
	SELECT datname::text AS name, oid::text, datname ~ '^[st]_[a-z2-7]{12}$' AS tenant,
		row_number() OVER (PARTITION BY datname ~ '^[st]_[a-z2-7]{12}$'
			ORDER BY datname NOT IN ('postgres', 'template1'), datname COLLATE "C") AS n
	FROM pg_catalog.pg_database WHERE datname <> current_database()
)
SELECT name, oid FROM d WHERE n <= CASE WHEN tenant THEN 3 ELSE 9 END
ORDER BY NOT tenant, n;

-- name: verify_wide params: 0
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.oid::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'wide' AND c.relkind = 'r'
ORDER BY c.relname LIMIT 1;

-- What tenant verify asks before it tries; as our own login in the tenant's database.

-- $1: the tenant's own roles, comma-separated; $2: the cluster's own database.  Other tenants come first.
-- name: verify_neighbour params: 1
SELECT r.rolname::text FROM pg_catalog.pg_roles r
WHERE r.rolname !~ '^pg_' AND r.rolname <> ALL (string_to_array($1, ',')) AND r.oid >= 16384
ORDER BY r.rolname !~ '^t_[a-z2-7]{12}', r.rolname COLLATE "C"
LIMIT 1;

-- name: verify_databases params: 0
SELECT d.datname::text, d.oid::text FROM pg_catalog.pg_database d
WHERE d.datname <> current_database()
ORDER BY d.datname !~ '^t_[a-z2-7]{12}$', d.datname COLLATE "C"
LIMIT 6;

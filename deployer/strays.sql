-- name: strays_readable
SELECT pg_catalog.has_function_privilege('pg_catalog.pg_ls_dir(text)', 'EXECUTE');

-- name: strays
SELECT 'base/' || f
FROM pg_catalog.pg_ls_dir('base') AS f
WHERE f ~ '^[0-9]+$'
	AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_database WHERE oid = f::pg_catalog.oid)
	AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity
		WHERE state = 'active' AND query ~* '^\s*(create|drop)\s+database')
ORDER BY f::pg_catalog.oid;

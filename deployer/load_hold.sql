-- What the server takes for the size of tables, by the last VACUUM or ANALYZE.  Less than a row a
-- page is next to nothing.

-- name: load_tables params: 2
SELECT c.relname::text, c.reltuples::bigint, c.reltuples >= 0 AND c.reltuples < c.relpages
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY ($2::pg_catalog.name[]) AND c.relkind = 'r'

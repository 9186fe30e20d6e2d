-- Sizes and vacuum's figures, as our own login: neither the keeper nor an owner may ask for them.

-- $1: schemas.
-- name: crowd_tables
SELECT n.nspname, c.relname, pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint,
	pg_catalog.pg_table_size(c.oid), pg_catalog.pg_indexes_size(c.oid), coalesce(s.n_dead_tup, 0), greatest(c.reltuples, 0)::bigint,
	pg_catalog.to_char(greatest(s.last_vacuum, s.last_autovacuum) AT TIME ZONE 'UTC',
		'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
WHERE n.nspname = ANY ($1::pg_catalog.name[]) AND c.relkind = 'r'
ORDER BY 1, 2;

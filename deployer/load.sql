-- The rules of a tenant's tables, taken off for a load and put back in the same transaction.

-- name: load_role
SELECT current_role::text

-- What stands on the tables (their oids, comma-separated): references first, indexes last;
-- each with the statement that drops it and the one that makes it again.
-- name: load_rules params: 1
WITH here AS (
	SELECT unnest(string_to_array($1, ','))::oid::regclass AS rel
), rules (ordinal, name, drop_it, make_it) AS (
	SELECT CASE k.contype WHEN 'f' THEN 1 ELSE 2 END, k.conname,
		format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname),
		format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname,
			pg_catalog.pg_get_constraintdef(k.oid))
	FROM here
	JOIN pg_catalog.pg_constraint k ON k.conrelid = here.rel
		OR (k.contype = 'f' AND k.confrelid = here.rel)
	WHERE k.contype IN ('f', 'u')
	UNION
	SELECT 3, x.relname, format('DROP INDEX %s', i.indexrelid::regclass),
		pg_catalog.pg_get_indexdef(i.indexrelid)
	FROM here
	JOIN pg_catalog.pg_index i ON i.indrelid = here.rel AND i.indisvalid
	JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
		WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
)
SELECT name, drop_it, make_it FROM rules ORDER BY ordinal, name COLLATE "C"

-- name: load_oid params: 1
SELECT $1::regclass::oid::text

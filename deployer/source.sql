-- Reading an existing database's catalogue: by a login that may read its tables.

-- name: source_tables params: 1
SELECT c.oid::text, c.relname::text, c.relkind = 'p'
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
			AND d.deptype = 'e')
ORDER BY c.relname COLLATE "C"

-- name: source_columns params: 1
WITH RECURSIVE base AS (
	SELECT t.oid AS top, t.oid, t.typname, t.typtype, t.typcategory, t.typnamespace,
		t.typbasetype, t.typtypmod, t.typnotnull
	FROM pg_catalog.pg_type t
	UNION ALL
	SELECT b.top, t.oid, t.typname, t.typtype, t.typcategory, t.typnamespace,
		t.typbasetype,
		CASE WHEN t.typtype = 'd' AND t.typtypmod <> -1 THEN t.typtypmod
			ELSE b.typtypmod END,
		b.typnotnull OR t.typnotnull
	FROM base b
	JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype
	WHERE b.typtype = 'd'
)
SELECT a.attrelid::text, a.attname::text,
	CASE WHEN b.typnamespace = 'pg_catalog'::regnamespace OR b.typtype <> 'b'
		OR b.typname IN ('citext', 'hstore') THEN b.typname::text ELSE '' END,
	b.typtype::text, b.typcategory::text,
	CASE WHEN a.atttypmod <> -1 THEN a.atttypmod ELSE b.typtypmod END,
	pg_catalog.format_type(a.atttypid, a.atttypmod),
	a.attnotnull OR b.typnotnull,
	CASE WHEN a.attgenerated = '' THEN
		coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), top.typdefault) END,
	a.attgenerated <> '',
	a.attidentity <> ''
		OR coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', FALSE),
	CASE WHEN top.typtype = 'd' THEN top.typname::text END,
	(SELECT l.collname::text FROM pg_catalog.pg_collation l
		WHERE l.oid = a.attcollation AND a.attcollation <> top.typcollation)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type top ON top.oid = a.atttypid
JOIN base b ON b.top = a.atttypid AND b.typtype <> 'd'
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: source_keys params: 1
SELECT k.conrelid::text, a.attname::text
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS u (attnum, at)
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
WHERE n.nspname = $1 AND k.contype = 'p'
ORDER BY k.conrelid, u.at

-- What hangs on an existing database's tables, for the model that is made of them.

-- name: import_rules params: 1
SELECT k.conrelid::text, k.conname::text, k.contype::text,
	(SELECT a.attname::text FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]),
	coalesce(array_length(k.conkey, 1), 0),
	k.confrelid::text,
	(SELECT a.attname::text FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = k.confrelid AND a.attnum = k.confkey[1]),
	k.confrelid::regclass::text, k.confdeltype::text, k.confupdtype::text, k.condeferrable,
	pg_catalog.pg_get_constraintdef(k.oid) LIKE '%NULLS NOT DISTINCT%'
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND k.contype IN ('u', 'f', 'c', 'x')
	AND k.conparentid = 0
ORDER BY c.relname COLLATE "C", k.contype = 'f', k.conname COLLATE "C"

-- name: import_indexes params: 1
SELECT i.indrelid::text, x.relname::text, i.indisunique,
	i.indnkeyatts = 1 AND i.indnatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL
		AND i.indisvalid AND m.amname = 'btree'
		AND pg_catalog.pg_get_indexdef(i.indexrelid) NOT LIKE '%NULLS NOT DISTINCT%',
	(SELECT a.attname::text FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0])
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
		WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY c.relname COLLATE "C", x.relname COLLATE "C"

-- name: import_others params: 1
WITH own AS (
	SELECT c.oid, c.relname::text AS name, c.relkind, c.relrowsecurity
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
			AND d.deptype = 'e')
), found (kind, name) AS (
	SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
		WHEN 'f' THEN 'foreign table' END, name
	FROM own WHERE relkind IN ('v', 'm', 'f')
	UNION ALL
	SELECT 'sequence', o.name FROM own o
	WHERE o.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = o.oid
			AND d.deptype IN ('a', 'i'))
	UNION ALL
	SELECT 'trigger', o.name || '.' || t.tgname FROM own o
	JOIN pg_catalog.pg_trigger t ON t.tgrelid = o.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT 'rule', o.name || '.' || r.rulename FROM own o
	JOIN pg_catalog.pg_rewrite r ON r.ev_class = o.oid AND r.rulename <> '_RETURN'
	UNION ALL
	SELECT 'policy', o.name || '.' || p.polname FROM own o
	JOIN pg_catalog.pg_policy p ON p.polrelid = o.oid
	UNION ALL
	SELECT 'row level security', name FROM own WHERE relrowsecurity
	UNION ALL
	SELECT 'inheritance', o.name || ' of ' || i.inhparent::regclass::text FROM own o
	JOIN pg_catalog.pg_inherits i ON i.inhrelid = o.oid
	WHERE o.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
		WHERE c.oid = o.oid AND c.relispartition)
	UNION ALL
	SELECT 'partitioning', name FROM own WHERE relkind = 'p'
	UNION ALL
	SELECT 'function', p.oid::regprocedure::text FROM pg_catalog.pg_proc p
	JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname = $1 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
			AND d.deptype = 'e')
	UNION ALL
	SELECT DISTINCT 'comment', o.name FROM own o
	JOIN pg_catalog.pg_description d ON d.objoid = o.oid
		AND d.classoid = 'pg_catalog.pg_class'::regclass
	WHERE o.relkind IN ('r', 'p')
)
SELECT kind, name FROM found ORDER BY kind COLLATE "C", name COLLATE "C"

-- The views of a shared database as they stand.  $1: a schema, or '' for all that tenants use; $2: names
-- of wide tables with commas between, '' for all.  Users have set quote_all_identifiers (shape_settings).
-- The columns: sort, schema, object, name, definition, and of a view its owner and what is odd about it.

-- name: view_standing
WITH ns AS (
	SELECT * FROM pg_namespace
	WHERE CASE WHEN $1 <> '' THEN nspname = $1 ELSE nspname ~ '^app(_[a-z2-7]{12})?$' END
), v AS (
	SELECT c.*, ns.nspname FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
	WHERE c.relkind = 'v' AND ($2 = '' OR EXISTS (SELECT FROM pg_rewrite w
		JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
			AND d.refclassid = 'pg_class'::regclass
		JOIN pg_class t ON t.oid = d.refobjid
		JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE w.ev_class = c.oid AND n.nspname = 'wide' AND t.relname = ANY (string_to_array($2, ','))))
), rights AS (
	SELECT 'n' AS sort, nspname, '' AS relname, nspowner AS owner, a.*
	FROM ns, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a WHERE $1 <> ''
	UNION ALL
	SELECT 'r', nspname, relname, relowner, a.*
	FROM v, aclexplode(coalesce(relacl, acldefault('r', relowner))) a
), granted AS (
	SELECT sort, nspname, relname, owner, grantee, string_agg(DISTINCT (privilege_type
		|| CASE WHEN is_grantable THEN '*' ELSE '' END) COLLATE "C", ',') AS list
	FROM rights GROUP BY sort, nspname, relname, owner, grantee
), whole AS (
	SELECT sort, string_agg(privilege_type COLLATE "C", ',' ORDER BY privilege_type COLLATE "C") AS list
	FROM (VALUES ('n'::"char"), ('r'::"char")) x(sort), aclexplode(acldefault(sort, 10)) GROUP BY sort
)
SELECT * FROM (
SELECT 'schema', nspname::text, '', '', 'owner ' || pg_get_userbyid(nspowner), '', ''
FROM ns WHERE $1 <> ''
UNION ALL
SELECT CASE g.sort WHEN 'n' THEN 'schema grant' ELSE 'grant' END, g.nspname, g.relname,
	CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END,
	CASE WHEN g.grantee = g.owner AND g.list = w.list THEN 'ALL' ELSE g.list END, '', ''
FROM granted g JOIN whole w ON w.sort = g.sort::"char"
UNION ALL
SELECT 'view', v.nspname, v.relname, '', pg_get_viewdef(v.oid), pg_get_userbyid(v.relowner)::text, concat_ws(', ',
	'options ' || array_to_string(v.reloptions, ' '),
	(SELECT 'rule ' || string_agg(w.rulename::text, ' ') FROM pg_rewrite w
		WHERE w.ev_class = v.oid AND w.rulename <> '_RETURN' HAVING count(*) > 0),
	(SELECT 'trigger ' || string_agg(t.tgname::text, ' ') FROM pg_trigger t
		WHERE t.tgrelid = v.oid AND NOT t.tgisinternal HAVING count(*) > 0),
	(SELECT 'column rights ' || string_agg(a.attname::text, ' ') FROM pg_attribute a
		WHERE a.attrelid = v.oid AND a.attacl IS NOT NULL HAVING count(*) > 0))
FROM v
UNION ALL
SELECT 'default', v.nspname, v.relname, a.attname, pg_get_expr(d.adbin, d.adrelid), '', ''
FROM v JOIN pg_attribute a ON a.attrelid = v.oid
JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
) x (sort, schema, object, name, def, owner, extra)
ORDER BY schema, object, sort <> 'view', sort, name;

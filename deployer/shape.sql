-- What stands in a tenant's database.  Identifiers in definitions are quoted always: every user of
-- these statements has set quote_all_identifiers (shape_settings).

-- name: shape_ledger_schema
CREATE SCHEMA IF NOT EXISTS copyhold;

-- name: shape_ledger_fence
CREATE TABLE IF NOT EXISTS copyhold.fence (tenant text PRIMARY KEY, fence bigint NOT NULL);

-- name: shape_ledger_applied
CREATE TABLE IF NOT EXISTS copyhold.applied (
	key text PRIMARY KEY, tenant text NOT NULL, kind text NOT NULL, fence bigint NOT NULL,
	at timestamptz NOT NULL);

-- $1: the schema of the tables, $2: "whole" for a database of the tenant's own, "wide" for a shared one,
-- "part" for a tenant's tables in a shared one.  An owner's own rights are "ALL" while they are those of
-- a fresh object.
-- name: shape_items
WITH ns AS (
	SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
	WHERE nspname = $1 OR (nspname = 'copyhold' AND $2 <> 'part')
), rel AS (
	SELECT c.oid, c.relname, c.relowner, c.relacl, c.relpersistence, c.relrowsecurity,
		c.relforcerowsecurity, c.reloptions, $2 = 'wide' AS wide
	FROM pg_class c JOIN ns ON ns.oid = c.relnamespace WHERE ns.nspname = $1 AND c.relkind = 'r'
), att AS (
	SELECT rel.relname, rel.wide, a.* FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid
	WHERE a.attnum > 0 AND NOT a.attisdropped
), rights AS (
	SELECT 'n' AS sort, nspname AS object, nspowner AS owner, a.*
	FROM ns, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
	UNION ALL
	SELECT 'r', relname, relowner, a.*
	FROM rel, aclexplode(coalesce(relacl, acldefault('r', relowner))) a
), granted AS (
	SELECT sort, object, owner, grantee, string_agg(DISTINCT (privilege_type
		|| CASE WHEN is_grantable THEN '*' ELSE '' END) COLLATE "C", ',') AS list
	FROM rights GROUP BY sort, object, owner, grantee
), whole AS (
	SELECT sort, string_agg(privilege_type COLLATE "C", ',' ORDER BY privilege_type COLLATE "C") AS list
	FROM (VALUES ('n'::"char"), ('r'::"char")) v(sort), aclexplode(acldefault(sort, 10)) GROUP BY sort
)
SELECT 'schema', nspname::text, '', 'owner ' || pg_get_userbyid(nspowner) FROM ns
UNION ALL
SELECT CASE g.sort WHEN 'n' THEN 'schema grant' ELSE 'grant' END, g.object,
	CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END,
	CASE WHEN g.grantee = g.owner AND g.list = w.list THEN 'ALL' ELSE g.list END
FROM granted g JOIN whole w ON w.sort = g.sort::"char"
UNION ALL
SELECT 'table', relname, '', 'owner ' || pg_get_userbyid(relowner)
	|| CASE relpersistence WHEN 'p' THEN '' ELSE ', unlogged' END FROM rel
UNION ALL
SELECT 'column', a.relname, a.attname, format_type(a.atttypid, a.atttypmod)
	|| CASE WHEN a.attcollation = 0 THEN '' ELSE ' COLLATE ' || CASE cn.nspname WHEN 'pg_catalog'
		THEN '' ELSE '"' || replace(cn.nspname, '"', '""') || '".' END
		|| '"' || replace(l.collname, '"', '""') || '"' END
	|| CASE WHEN a.attgenerated <> '' THEN ', generated' WHEN a.attidentity <> '' THEN ', identity'
		ELSE '' END
FROM att a LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_namespace cn ON cn.oid = l.collnamespace
UNION ALL
SELECT 'default', a.relname, a.attname, pg_get_expr(d.adbin, d.adrelid)
FROM att a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attgenerated = ''
UNION ALL
SELECT 'required', a.relname, a.attname, 'not null' FROM att a WHERE a.attnotnull
UNION ALL
SELECT 'constraint', rel.relname, o.conname, pg_get_constraintdef(o.oid)
FROM rel JOIN pg_constraint o ON o.conrelid = rel.oid WHERE o.contype IN ('p', 'u', 'c', 'f', 'x')
UNION ALL
SELECT 'index', rel.relname, x.relname, pg_get_indexdef(i.indexrelid)
	|| CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN '' ELSE ' invalid' END
FROM rel JOIN pg_index i ON i.indrelid = rel.oid JOIN pg_class x ON x.oid = i.indexrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint o
	WHERE o.conindid = i.indexrelid AND o.conrelid = i.indrelid AND o.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'row security', relname, '', concat_ws(', ', CASE WHEN relrowsecurity THEN 'enabled' END,
	CASE WHEN relforcerowsecurity THEN 'forced' END)
FROM rel WHERE wide AND (relrowsecurity OR relforcerowsecurity)
UNION ALL
SELECT 'policy', rel.relname, p.polname, CASE WHEN p.polpermissive THEN '' ELSE 'AS RESTRICTIVE ' END
	|| 'FOR ' || CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
		WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END
	|| ' TO ' || (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ')
		FROM unnest(p.polroles) r)
	|| coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
	|| coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
FROM rel JOIN pg_policy p ON p.polrelid = rel.oid WHERE rel.wide
UNION ALL
SELECT 'statistics', a.relname, a.attname, a.attstattarget::text
FROM att a WHERE a.wide AND a.attstattarget >= 0
UNION ALL
SELECT 'storage', relname, '', (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(reloptions) o)
FROM rel WHERE wide AND reloptions IS NOT NULL;

-- Everything that should not be there, in an order in which it can be removed: rank, then the newest
-- first.  Members of extensions go with their extension.  mend NULL: nothing that we can do.  $1: the
-- owner role, $2 and $3: as $1 and $2 above.  In a shared database a tenant's schema is its own look's,
-- but for what nobody is to have made there; and policies of wide tables are items.
-- name: shape_strange
WITH me AS (
	SELECT oid, rolinherit FROM pg_roles WHERE rolname = $1
), ext AS (
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), ns AS (
	SELECT n.oid, n.nspname, n.nspowner, n.nspacl, quote_ident(n.nspname) AS q
	FROM pg_namespace n
	WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ($3 <> 'part' OR n.nspname = $2)
		AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_namespace'::regclass AND objid = n.oid)
), rel AS (
	SELECT c.*, ns.nspname, ns.q || '.' || quote_ident(c.relname) AS q,
		ns.nspname = $2 AND c.relkind = 'r' AS object,
		$3 = 'wide' AND (ns.nspname ~ '^app_[a-z2-7]{12}$' AND c.relkind IN ('r', 'v')
			OR ns.nspname = 'app' AND c.relkind = 'v') AS tenants,
		ns.nspname = 'copyhold' AND c.relname IN ('fence', 'applied', 'home') AND c.relkind = 'r' AS ledger
	FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
		AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_class'::regclass AND objid = c.oid)
), typ AS (
	SELECT t.oid, t.typname, t.typowner, t.typarray, ns.nspname, ns.q || '.' || quote_ident(t.typname) AS q
	FROM pg_type t JOIN ns ON ns.oid = t.typnamespace
	WHERE (t.typtype IN ('d', 'e', 'r') OR t.typtype = 'b' AND t.typelem = 0
			OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
		AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_type'::regclass AND objid = t.oid)
), found (rank, oid, owner, class, object, name, note, sort, mend) AS (
	SELECT 1, t.oid, rel.relowner, 'trigger', rel.relname::text, t.tgname::text, 'on a table',
		'removable', format('DROP TRIGGER %I ON %s', t.tgname, rel.q)
	FROM rel JOIN pg_trigger t ON t.tgrelid = rel.oid
	WHERE NOT t.tgisinternal AND (rel.object OR rel.ledger)
	UNION ALL
	SELECT 1, rel.oid, 0, 'rule switch', rel.relname, 'references', 'are not enforced',
		'other', NULL
	FROM rel WHERE rel.object AND EXISTS (SELECT FROM pg_trigger t
		WHERE t.tgrelid = rel.oid AND t.tgisinternal AND t.tgenabled <> 'O')
	UNION ALL
	SELECT 1, w.oid, rel.relowner, 'rule', rel.relname, w.rulename, 'on a table',
		'removable', format('DROP RULE %I ON %s', w.rulename, rel.q)
	FROM rel JOIN pg_rewrite w ON w.ev_class = rel.oid WHERE rel.object OR rel.ledger
	UNION ALL
	SELECT 1, p.oid, rel.relowner, 'policy', rel.relname, p.polname, 'on a table',
		'removable', format('DROP POLICY %I ON %s', p.polname, rel.q)
	FROM rel JOIN pg_policy p ON p.polrelid = rel.oid WHERE rel.object AND $3 <> 'wide' OR rel.ledger
	UNION ALL
	SELECT 1, rel.oid, rel.relowner, 'row security', rel.relname, '', 'is on', 'removable',
		format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', rel.q)
	FROM rel WHERE (rel.object AND $3 <> 'wide' OR rel.ledger)
		AND (rel.relrowsecurity OR rel.relforcerowsecurity)
	UNION ALL
	SELECT 2, rel.oid, rel.relowner, CASE rel.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END,
		rel.nspname, rel.relname, 'beside the objects', 'removable',
		format('DROP %s %s', CASE rel.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, rel.q)
	FROM rel WHERE rel.relkind IN ('v', 'm') AND NOT rel.tenants
	UNION ALL
	SELECT 3, p.oid, p.proowner, 'function', ns.nspname,
		p.proname || '(' || oidvectortypes(p.proargtypes) || ')', 'beside the objects',
		'removable', format('DROP ROUTINE %s', p.oid::regprocedure)
	FROM pg_proc p JOIN ns ON ns.oid = p.pronamespace
	WHERE NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
	UNION ALL
	SELECT 4, d.oid, d.defaclrole, 'default rights', coalesce(ns.nspname, ''), d.defaclobjtype::text
			|| ' of ' || pg_get_userbyid(d.defaclrole), 'for objects to come', 'removable',
		string_agg(format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s REVOKE ALL ON %s FROM %s',
			pg_get_userbyid(d.defaclrole), 'IN SCHEMA ' || ns.q, CASE d.defaclobjtype WHEN 'r' THEN 'TABLES'
				WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END,
			CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), '; ')
	FROM pg_default_acl d LEFT JOIN ns ON ns.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
	WHERE a.grantee <> d.defaclrole AND NOT (d.defaclnamespace = 0 AND EXISTS (
		SELECT FROM aclexplode(acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END,
			d.defaclrole)) s
		WHERE s.grantee = a.grantee AND s.privilege_type = a.privilege_type))
	GROUP BY d.oid, d.defaclrole, d.defaclobjtype, ns.nspname
	UNION ALL
	SELECT 4, rel.oid, rel.relowner, 'column rights', rel.relname, t.attname, 'for '
			|| string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, ', '),
		'removable', string_agg(DISTINCT format('REVOKE ALL (%I) ON %s FROM %s CASCADE', t.attname, rel.q,
			CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), '; ')
	FROM rel JOIN pg_attribute t ON t.attrelid = rel.oid, aclexplode(t.attacl) a
	WHERE (rel.object OR rel.ledger) AND t.attnum > 0 AND NOT t.attisdropped
	GROUP BY rel.oid, rel.relowner, rel.relname, t.attname
	UNION ALL
	SELECT 4, rel.oid, rel.relowner, 'rights', 'copyhold.' || rel.relname, pg_get_userbyid(a.grantee), 'on the ledger',
		'removable', format('REVOKE ALL ON %s FROM %I CASCADE', rel.q, pg_get_userbyid(a.grantee))
	FROM rel, aclexplode(rel.relacl) a WHERE rel.ledger AND a.grantee NOT IN (0, rel.relowner)
	GROUP BY rel.oid, rel.relowner, rel.relname, rel.q, a.grantee
	UNION ALL
	SELECT 4, rel.oid, rel.relowner, 'rights', 'copyhold.' || rel.relname, 'PUBLIC', 'on the ledger',
		'removable', format('REVOKE ALL ON %s FROM PUBLIC CASCADE', rel.q)
	FROM rel WHERE rel.ledger AND EXISTS (SELECT FROM aclexplode(rel.relacl) a WHERE a.grantee = 0)
	UNION ALL
	SELECT 4, ns.oid, CASE WHEN ns.nspowner = 6171 AND me.rolinherit AND d.datdba = me.oid THEN me.oid
			ELSE ns.nspowner END, 'rights', 'public', 'PUBLIC', 'on a schema', 'removable',
		'REVOKE ALL ON SCHEMA public FROM PUBLIC CASCADE'
	FROM ns, me, pg_database d WHERE ns.nspname = 'public' AND d.datname = current_database()
		AND EXISTS (SELECT FROM aclexplode(ns.nspacl) a WHERE a.grantee = 0)
	UNION ALL
	SELECT 4, rel.oid, 0, 'owner', 'copyhold', rel.relname, 'is ' || pg_get_userbyid(rel.relowner), 'other', NULL
	FROM rel, me WHERE rel.ledger AND rel.relowner <> me.oid
	UNION ALL
	SELECT 4, p.oid, p.pubowner, 'publication', '', p.pubname, 'sends rows out', 'removable',
		format('DROP PUBLICATION %I', p.pubname)
	FROM pg_publication p
	UNION ALL
	SELECT 6, typ.oid, typ.typowner, 'type', typ.nspname, typ.typname, 'beside the objects',
		CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.atttypid IN (typ.oid, typ.typarray)
			AND a.atttypid <> 0) THEN 'data' ELSE 'removable' END, format('DROP TYPE %s', typ.q)
	FROM typ
	UNION ALL
	SELECT 5, rel.oid, rel.relowner, CASE rel.relkind WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence'
			WHEN 'p' THEN 'partitioned table' ELSE 'table' END, rel.nspname, rel.relname, 'beside the objects',
		'data', format('DROP %s %s', CASE rel.relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE'
			ELSE 'TABLE' END, rel.q)
	FROM rel WHERE rel.relkind IN ('r', 'f', 'p', 'S') AND NOT rel.object AND NOT rel.ledger AND NOT rel.tenants
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = rel.oid
			AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
	UNION ALL
	SELECT 6, h.inhrelid, 0, 'inheritance', rel.relname, h.inhparent::regclass::text, 'joins two tables',
		'other', NULL
	FROM rel JOIN pg_inherits h ON rel.oid IN (h.inhrelid, h.inhparent) WHERE rel.object
	UNION ALL
	SELECT 7, s.oid, 0, 'foreign server', '', s.srvname, 'leads out of the database', 'other', NULL
	FROM pg_foreign_server s
	UNION ALL
	SELECT 7, x.oid, x.extowner, 'extension', '', x.extname, 'version ' || x.extversion, 'data',
		format('DROP EXTENSION %I', x.extname)
	FROM pg_extension x WHERE x.extname <> 'plpgsql'
	UNION ALL
	SELECT 8, ns.oid, ns.nspowner, 'schema', '', ns.nspname, format('beside "%s"', $2),
		CASE WHEN EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = ns.oid AND c.relkind NOT IN ('v', 'm', 'i'))
			OR EXISTS (SELECT FROM typ WHERE typ.nspname = ns.nspname) THEN 'data' ELSE 'removable' END,
		format('DROP SCHEMA %s', ns.q)
	FROM ns WHERE ns.nspname NOT IN ($2, 'copyhold', 'public')
		AND NOT ($3 = 'wide' AND ns.nspname ~ '^app(_[a-z2-7]{12})?$')
	UNION ALL
	SELECT 9, e.oid, 0, 'event trigger', '', e.evtname, 'watches every change', 'other', NULL
	FROM pg_event_trigger e
	UNION ALL
	SELECT 9, 0, 0, 'subscription', '', s.subname, 'brings rows in', 'other', NULL
	FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()
	UNION ALL
	SELECT 9, 0, 0, 'large objects', '', '', count(*) || ' of them', 'other', NULL
	FROM pg_largeobject_metadata HAVING count(*) > 0
	UNION ALL
	SELECT 9, o.objid, 0, o.class, '', pg_describe_object(o.classid, o.objid, 0), 'beside the objects', 'other', NULL
	FROM (
		SELECT 'operator' AS class, 'pg_operator'::regclass AS classid, oid AS objid FROM pg_operator
		UNION ALL SELECT 'operator class', 'pg_opclass'::regclass, oid FROM pg_opclass
		UNION ALL SELECT 'operator family', 'pg_opfamily'::regclass, oid FROM pg_opfamily
		UNION ALL SELECT 'cast', 'pg_cast'::regclass, oid FROM pg_cast
		UNION ALL SELECT 'language', 'pg_language'::regclass, oid FROM pg_language
		UNION ALL SELECT 'collation', 'pg_collation'::regclass, c.oid FROM pg_collation c
			JOIN ns ON ns.oid = c.collnamespace
		UNION ALL SELECT 'conversion', 'pg_conversion'::regclass, oid FROM pg_conversion
		UNION ALL SELECT 'text search configuration', 'pg_ts_config'::regclass, oid FROM pg_ts_config
		UNION ALL SELECT 'text search dictionary', 'pg_ts_dict'::regclass, oid FROM pg_ts_dict
	) o WHERE o.objid >= 16384
		AND NOT EXISTS (SELECT FROM ext WHERE ext.classid = o.classid AND ext.objid = o.objid)
)
SELECT f.object, rtrim(f.class || ' ' || f.name),
	CASE WHEN f.sort = 'other' OR f.owner <> me.oid
		THEN 'other: ' || f.note || CASE WHEN f.owner = 0 THEN '' ELSE ', owner ' || pg_get_userbyid(f.owner) END
		ELSE f.sort || ': ' || f.note END,
	CASE WHEN f.sort = 'other' OR f.owner <> me.oid THEN NULL ELSE f.mend END
FROM found f, me
WHERE $3 <> 'part' OR f.class IN ('trigger', 'rule switch', 'rule', 'policy', 'row security', 'view',
	'materialized view', 'function', 'column rights', 'type', 'foreign table', 'sequence',
	'partitioned table', 'table', 'inheritance') OR (f.class = 'default rights' AND f.object = $2)
ORDER BY f.rank, f.oid DESC;

-- $1: a quoted table, $2: names of columns with commas between.  A view of that name has none.
-- name: shape_columns_present
SELECT count(*) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE attrelid = to_regclass($1) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
	AND attname = ANY (string_to_array($2, ','));

-- name: shape_index_state
SELECT indisvalid AND indisready AND indislive FROM pg_index WHERE indexrelid = to_regclass($1);

-- name: shape_constraint_there
SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2);

-- name: shape_blocks
SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint;

-- name: shape_table_there
SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'r');

-- $1: a schema, $2: names of tables with commas between; those that are there.
-- name: shape_tables_present
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname = ANY (string_to_array($2, ','))
ORDER BY c.relname;

-- So many rows are changed, and locked, at a time.
-- name: shape_rows_fetch
FETCH 500 FROM copyhold_rows;

-- name: shape_ledger_used  with: ledger
SELECT EXISTS (SELECT FROM copyhold.applied);

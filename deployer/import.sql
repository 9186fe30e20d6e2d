-- What hangs on an existing database's tables, for the model that is made of them.

-- name: import_rules params: 1
select k.conrelid::text, k.conname::text, k.contype::text,
	(select a.attname::text from pg_catalog.pg_attribute a
		where a.attrelid = k.conrelid and a.attnum = k.conkey[1]),
	coalesce(array_length(k.conkey, 1), 0),
	k.confrelid::text,
	(select a.attname::text from pg_catalog.pg_attribute a
		where a.attrelid = k.confrelid and a.attnum = k.confkey[1]),
	k.confrelid::regclass::text, k.confdeltype::text, k.confupdtype::text, k.condeferrable,
	pg_catalog.pg_get_constraintdef(k.oid) like '%NULLS NOT DISTINCT%'
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and k.contype in ('u', 'f', 'c', 'x') and k.conparentid = 0
order by c.relname collate "C", k.contype = 'f', k.conname collate "C"

-- name: import_indexes params: 1
select i.indrelid::text, x.relname::text, i.indisunique,
	i.indnkeyatts = 1 and i.indnatts = 1 and i.indpred is null and i.indexprs is null and i.indisvalid
		and m.amname = 'btree' and pg_catalog.pg_get_indexdef(i.indexrelid) not like '%NULLS NOT DISTINCT%',
	(select a.attname::text from pg_catalog.pg_attribute a
		where a.attrelid = i.indrelid and a.attnum = i.indkey[0])
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indrelid
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = x.relam
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition
	and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
order by c.relname collate "C", x.relname collate "C"

-- name: import_others params: 1
with own as (
	select c.oid, c.relname::text as name, c.relkind, c.relrowsecurity
	from pg_catalog.pg_class c
	join pg_catalog.pg_namespace n on n.oid = c.relnamespace
	where n.nspname = $1 and not exists (select from pg_catalog.pg_depend d
		where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
), found (kind, name) as (
	select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' end, name
	from own where relkind in ('v', 'm', 'f')
	union all
	select 'sequence', o.name from own o
	where o.relkind = 'S' and not exists (select from pg_catalog.pg_depend d
		where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = o.oid and d.deptype in ('a', 'i'))
	union all
	select 'trigger', o.name || '.' || t.tgname from own o
	join pg_catalog.pg_trigger t on t.tgrelid = o.oid and not t.tgisinternal
	union all
	select 'rule', o.name || '.' || r.rulename from own o
	join pg_catalog.pg_rewrite r on r.ev_class = o.oid and r.rulename <> '_RETURN'
	union all
	select 'policy', o.name || '.' || p.polname from own o
	join pg_catalog.pg_policy p on p.polrelid = o.oid
	union all
	select 'row level security', name from own where relrowsecurity
	union all
	select 'inheritance', o.name || ' of ' || i.inhparent::regclass::text from own o
	join pg_catalog.pg_inherits i on i.inhrelid = o.oid
	where o.relkind = 'r' and not exists (select from pg_catalog.pg_class c where c.oid = o.oid and c.relispartition)
	union all
	select 'partitioning', name from own where relkind = 'p'
	union all
	select 'function', p.oid::regprocedure::text from pg_catalog.pg_proc p
	join pg_catalog.pg_namespace n on n.oid = p.pronamespace
	where n.nspname = $1 and not exists (select from pg_catalog.pg_depend d
		where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
	union all
	select distinct 'comment', o.name from own o
	join pg_catalog.pg_description d on d.objoid = o.oid and d.classoid = 'pg_catalog.pg_class'::regclass
	where o.relkind in ('r', 'p')
)
select kind, name from found order by kind collate "C", name collate "C"

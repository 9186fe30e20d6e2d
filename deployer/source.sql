-- Reading an existing database's catalogue: by a login that may read its tables.

-- name: source_tables params: 1
select c.oid::text, c.relname::text, c.relkind = 'p'
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition
	and not exists (select from pg_catalog.pg_depend d
		where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by c.relname collate "C"

-- name: source_columns params: 1
with recursive base as (
	select t.oid as top, t.oid, t.typname, t.typtype, t.typcategory, t.typnamespace,
		t.typbasetype, t.typtypmod, t.typnotnull
	from pg_catalog.pg_type t
	union all
	select b.top, t.oid, t.typname, t.typtype, t.typcategory, t.typnamespace,
		t.typbasetype,
		case when t.typtype = 'd' and t.typtypmod <> -1 then t.typtypmod else b.typtypmod end,
		b.typnotnull or t.typnotnull
	from base b
	join pg_catalog.pg_type t on t.oid = b.typbasetype
	where b.typtype = 'd'
)
select a.attrelid::text, a.attname::text,
	case when b.typnamespace = 'pg_catalog'::regnamespace or b.typtype <> 'b'
		or b.typname in ('citext', 'hstore') then b.typname::text else '' end,
	b.typtype::text, b.typcategory::text,
	case when a.atttypmod <> -1 then a.atttypmod else b.typtypmod end,
	pg_catalog.format_type(a.atttypid, a.atttypmod),
	a.attnotnull or b.typnotnull,
	case when a.attgenerated = '' then
		coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), top.typdefault) end,
	a.attgenerated <> '',
	a.attidentity <> '' or coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) like 'nextval(%', false),
	case when top.typtype = 'd' then top.typname::text end,
	(select l.collname::text from pg_catalog.pg_collation l
		where l.oid = a.attcollation and a.attcollation <> top.typcollation)
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_type top on top.oid = a.atttypid
join base b on b.top = a.atttypid and b.typtype <> 'd'
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where n.nspname = $1 and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum

-- name: source_keys params: 1
select k.conrelid::text, a.attname::text
from pg_catalog.pg_constraint k
join pg_catalog.pg_namespace n on n.oid = k.connamespace
cross join unnest(k.conkey) with ordinality as u (attnum, at)
join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum
where n.nspname = $1 and k.contype = 'p'
order by k.conrelid, u.at

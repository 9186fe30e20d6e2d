-- The rules of a tenant's tables, taken off for a load and put back in the same transaction.

-- name: load_role
select current_role::text

-- What stands on the tables (their oids, comma-separated): references first, indexes last; each with the
-- statement that drops it and the one that makes it again.
-- name: load_rules params: 1
with here as (
	select unnest(string_to_array($1, ','))::oid::regclass as rel
), rules (ordinal, name, drop_it, make_it) as (
	select case k.contype when 'f' then 1 else 2 end, k.conname,
		format('alter table %s drop constraint %I', k.conrelid::regclass, k.conname),
		format('alter table %s add constraint %I %s', k.conrelid::regclass, k.conname,
			pg_catalog.pg_get_constraintdef(k.oid))
	from here
	join pg_catalog.pg_constraint k on k.conrelid = here.rel
		or (k.contype = 'f' and k.confrelid = here.rel)
	where k.contype in ('f', 'u')
	union
	select 3, x.relname, format('drop index %s', i.indexrelid::regclass),
		pg_catalog.pg_get_indexdef(i.indexrelid)
	from here
	join pg_catalog.pg_index i on i.indrelid = here.rel and i.indisvalid
	join pg_catalog.pg_class x on x.oid = i.indexrelid
	where not exists (select from pg_catalog.pg_constraint k
		where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
)
select name, drop_it, make_it from rules order by ordinal, name collate "C"

-- name: load_oid params: 1
select $1::regclass::oid::text

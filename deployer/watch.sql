-- The watchdog's looks.  They read nothing but functions and catalogues that its first look has
-- locked already: where the server's lock table is full, no statement can lock anything else.

-- May this login see every session, and end those of others?
-- name: watch_rights
SELECT session_user, pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
	pg_catalog.pg_has_role('pg_signal_backend', 'USAGE');

-- A setting that only newer servers have.
-- name: watch_no_timeout
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout', 'lock_timeout');

-- What ending a session of somebody else asks the server's caches for; the locks stay with the transaction.
-- name: watch_hold
SELECT (SELECT count(*) FROM pg_catalog.pg_auth_members WHERE member = 0 OR roleid = 0),
	(SELECT count(*) FROM pg_catalog.pg_proc WHERE oid = 0 OR proname = ''),
	(SELECT count(*) FROM pg_catalog.pg_type WHERE oid = 0),
	(SELECT count(*) FROM pg_catalog.pg_operator WHERE oid = 0);

-- Within a transaction the server shows activity as it was at the first question.
-- name: watch_refresh
SELECT pg_catalog.pg_stat_clear_snapshot();

-- $1: the databases.  Locks that no INSERT, UPDATE, DELETE or SELECT takes on a relation come of LOCK TABLE.
-- name: watch_look
WITH locks AS MATERIALIZED (
	SELECT pid, count(*) FILTER (WHERE mode <> 'SIReadLock') AS held,
		pg_catalog.bool_or(locktype = 'relation' AND database <> 0 AND mode IN ('ShareUpdateExclusiveLock',
			'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS tables,
		pg_catalog.bool_or(NOT granted) AS waits,
		pg_catalog.max(pg_catalog.clock_timestamp() - waitstart) FILTER (WHERE NOT granted) AS waiting
	FROM pg_catalog.pg_lock_status() GROUP BY pid
)
SELECT a.pid, d.datname, coalesce(r.rolname, ''),
	coalesce(NOT r.rolsuper AND r.rolname ~ '^t_[a-z2-7]{12}_[a-z2-7]{4}$', false),
	a.backend_start::text, a.xact_start::text,
	CASE WHEN a.state LIKE 'idle in transaction%' THEN a.state_change::text END,
	(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::bigint,
	(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.state_change) * 1000)::bigint,
	coalesce(l.held, 0), coalesce(l.tables, false), coalesce(l.waits, false),
	(EXTRACT(epoch FROM l.waiting) * 1000)::bigint
FROM pg_catalog.pg_stat_get_activity(NULL) a
JOIN pg_catalog.pg_database d ON d.oid = a.datid
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
LEFT JOIN locks l ON l.pid = a.pid
WHERE a.backend_type = 'client backend' AND d.datname = ANY ($1::pg_catalog.name[])
ORDER BY coalesce(l.held, 0) DESC, a.pid;

-- $1: those that wait; who is in the way of each.
-- name: watch_waits
SELECT w, b FROM pg_catalog.unnest($1::int4[]) AS w, pg_catalog.unnest(pg_catalog.pg_blocking_pids(w)) AS b
WHERE b > 0
ORDER BY w, b;

-- The same session, in the same transaction ($4), and still idle since ($5) if that was the reason.
-- name: watch_end
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_get_activity($1::int4) a
JOIN pg_catalog.pg_database d ON d.oid = a.datid
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE r.rolname = $2 AND d.datname = $3 AND NOT r.rolsuper AND a.backend_start = $4::timestamptz
	AND a.xact_start IS NOT DISTINCT FROM $5::timestamptz
	AND ($6::timestamptz IS NULL OR a.state_change = $6::timestamptz);

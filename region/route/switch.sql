-- What a switch asks of the old and the new server.

-- $1: the tenant's database
-- name: switch_identity
SELECT s.system_identifier::text, pg_catalog.pg_is_in_recovery(),
	pg_catalog.current_setting('server_version_num')::int / 10000,
	d.oid::text, d.datcollate::text || ' ' || d.datctype::text
		|| ' ' || pg_catalog.pg_encoding_to_char(d.encoding)::text
FROM pg_catalog.pg_control_system() s
LEFT JOIN pg_catalog.pg_database d ON d.datname = $1;

-- $1: the roles of the tenant's logins.  What a session keeps between transactions: advisory locks,
-- temporary tables; and what outlives it: prepared transactions.  Asked in the tenant's database.
-- name: switch_pinned
SELECT (SELECT pg_catalog.count(DISTINCT l.pid) FROM pg_catalog.pg_locks l
		JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND a.usename = ANY ($1::pg_catalog.name[])),
	(SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c WHERE c.relpersistence = 't'
		AND c.relkind = 'r'),
	(SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts p
		WHERE p.database = pg_catalog.current_database());

-- $1: the roles of the tenant's logins
-- name: switch_sessions
SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
WHERE usename = ANY ($1::pg_catalog.name[]);

-- $1: the tenant's database, $2: its owner, $3: the roles of its logins.  Which of them there are.
-- name: switch_taken
SELECT coalesce((SELECT 'database "' || datname::text || '"' FROM pg_catalog.pg_database WHERE datname = $1),
	(SELECT 'role "' || pg_catalog.min(rolname::text) || '"' FROM pg_catalog.pg_roles
		WHERE rolname = $2 OR rolname = ANY ($3::pg_catalog.name[])), '');

-- $1: the schema of a tenant's tables: their bytes, with indexes and what lies aside.
-- name: switch_size
SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r';

-- name: switch_room
SELECT pg_catalog.current_setting('max_connections')::int
	- pg_catalog.current_setting('superuser_reserved_connections')::int
	- (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE datname IS NOT NULL);

-- $1: the tenant's database.  Transactions that write there now, and prepared ones.
-- name: switch_older
SELECT coalesce(pg_catalog.array_agg(DISTINCT l.transactionid::text) FILTER (WHERE a.pid IS NOT NULL),
		'{}')::text,
	(SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = $1)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.datname = $1 AND a.usename IS NOT NULL
WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
	AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid();

-- $1: what switch_older has said
-- name: switch_older_left
SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks
WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
	AND transactionid::text = ANY ($1::text[]);

-- Its commit reaches the disk, and with it all that was committed before.
-- name: switch_mark
SELECT pg_catalog.pg_logical_emit_message(true, 'copyhold', 'switch')::text;

-- name: switch_replayed
SELECT pg_catalog.pg_is_in_recovery(),
	coalesce(pg_catalog.pg_last_wal_replay_lsn() >= $1::pg_catalog.pg_lsn, false);

-- $1: where the old server is.  How many bytes a standby is behind.
-- name: switch_behind
SELECT coalesce(pg_catalog.pg_wal_lsn_diff($1::pg_catalog.pg_lsn, pg_catalog.pg_last_wal_replay_lsn()),
	0)::bigint;

-- name: switch_position
SELECT pg_catalog.pg_current_wal_lsn()::text;

-- name: switch_may_promote
SELECT pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean, integer)', 'EXECUTE');

-- name: switch_promote
SELECT pg_catalog.pg_promote(true, 50);

-- name: switch_in_recovery
SELECT pg_catalog.pg_is_in_recovery();

-- $1: the tenant's id
-- name: switch_fence  with: ledger
SELECT coalesce(pg_catalog.max(fence), 0) FROM copyhold.fence WHERE tenant = $1;

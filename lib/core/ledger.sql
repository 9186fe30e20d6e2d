-- The fence and the ledger that every target keeps: schema copyhold.

-- name: ledger_enter  server: pg  with: ledger
WITH raised AS (
	INSERT INTO copyhold.fence AS f (tenant, fence) VALUES ($1, $2::bigint)
	ON CONFLICT (tenant) DO UPDATE SET fence = EXCLUDED.fence WHERE f.fence <= EXCLUDED.fence
	RETURNING 1
), written AS (
	INSERT INTO copyhold.applied (key, tenant, kind, fence, at)
	SELECT $3, $1, $4, $2::bigint, pg_catalog.clock_timestamp() FROM raised
	ON CONFLICT (key) DO NOTHING
	RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM raised), (SELECT pg_catalog.count(*) FROM written);

-- name: ledger_fence  server: pg  with: ledger
INSERT INTO copyhold.fence AS f (tenant, fence) VALUES ($1, $2::bigint)
ON CONFLICT (tenant) DO UPDATE SET fence = EXCLUDED.fence WHERE f.fence <= EXCLUDED.fence
RETURNING 1;

-- name: ledger_remove  server: pg  with: ledger
DELETE FROM copyhold.applied WHERE key = $1;

-- name: ledger_forget  server: pg  with: ledger
DELETE FROM copyhold.applied WHERE tenant = $1 AND key <> $2;

-- name: ledger_stands  server: pg
SELECT pg_catalog.to_regclass('copyhold.applied') IS NOT NULL
	AND pg_catalog.to_regclass('copyhold.fence') IS NOT NULL;

-- name: ledger_has  server: pg  with: ledger
SELECT EXISTS (SELECT FROM copyhold.applied WHERE key = $1);

-- name: ledger_highest  server: pg  with: ledger
SELECT coalesce(pg_catalog.max(fence), 0) FROM copyhold.fence WHERE tenant = $1;

-- name: ledger_role  server: pg
SELECT pg_catalog.current_setting('role');

-- name: ledger_as  server: pg
SELECT pg_catalog.set_config('role', $1, false);

-- name: ledger_try  server: pg
SELECT pg_catalog.pg_try_advisory_lock($1::bigint);

-- name: ledger_unlock  server: pg
SELECT pg_catalog.pg_advisory_unlock($1::bigint);

-- The 64-bit form of an advisory lock has objsubid 1 and its halves in classid and objid.
-- name: ledger_end  server: pg
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_catalog.pg_backend_pid()
	AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
	AND (classid::bigint << 32 | objid::bigint) = $1::bigint;

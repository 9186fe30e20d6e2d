-- What stands on hosts, tenant by tenant.  A row outlives its tenant's until its host is cleared.
-- name: migrate_6 server: lite
CREATE TABLE artefact (
	bundle TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, source TEXT NOT NULL,
	bytes INTEGER NOT NULL, files INTEGER NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (bundle, version)) WITHOUT ROWID;
CREATE TABLE release (
	tenant TEXT NOT NULL, host TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL,
	spec TEXT NOT NULL, current INTEGER NOT NULL CHECK (current IN (0, 1)),
	since INTEGER NOT NULL, run INTEGER NOT NULL,
	back_run INTEGER NOT NULL DEFAULT 0, wanted TEXT,
	PRIMARY KEY (tenant, host, version)) WITHOUT ROWID;
CREATE UNIQUE INDEX release_current ON release (tenant, host) WHERE current = 1;

-- name: artefact_get server: lite
SELECT bundle, version, digest, source, bytes, files, at FROM artefact WHERE bundle = ?1 AND version = ?2;

-- name: artefact_put server: lite
INSERT INTO artefact (bundle, version, digest, source, bytes, files, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (bundle, version) DO NOTHING;

-- name: release_list server: lite
SELECT tenant, host, version, digest, spec, current, since, run, back_run, wanted
FROM release WHERE ?1 IS NULL OR tenant = ?1
ORDER BY tenant, host, current DESC, since DESC, run DESC, version;

-- name: release_step_down server: lite
UPDATE release SET current = 0, back_run = 0, wanted = NULL
WHERE tenant = ?1 AND host = ?2 AND version <> ?3;

-- name: release_put server: lite
INSERT INTO release (tenant, host, version, digest, spec, current, since, run, back_run, wanted)
VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9)
ON CONFLICT (tenant, host, version) DO UPDATE SET
	digest = excluded.digest, spec = excluded.spec, since = excluded.since, run = excluded.run,
	current = 1, back_run = excluded.back_run, wanted = excluded.wanted;

-- name: release_drop server: lite
DELETE FROM release WHERE tenant = ?1 AND host = ?2 AND version = ?3 AND current = 0;

-- name: release_forget server: lite
DELETE FROM release WHERE tenant = ?1 AND host = ?2;

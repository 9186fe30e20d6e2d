-- name: witness_migrate_1 server: lite
CREATE TABLE self (
	one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, seed BLOB NOT NULL) STRICT;
CREATE TABLE log (
	origin TEXT PRIMARY KEY, size INTEGER NOT NULL DEFAULT 0 CHECK (size >= 0), root BLOB, note TEXT,
	signed_at INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE log_key (
	origin TEXT NOT NULL REFERENCES log (origin), key TEXT NOT NULL,
	PRIMARY KEY (origin, key)) STRICT, WITHOUT ROWID;
CREATE TABLE fork (
	origin TEXT NOT NULL REFERENCES log (origin), size INTEGER NOT NULL, root BLOB NOT NULL,
	at INTEGER NOT NULL, ours TEXT NOT NULL, theirs TEXT NOT NULL,
	PRIMARY KEY (origin, size, root)) STRICT, WITHOUT ROWID;
CREATE TRIGGER log_only_grows BEFORE UPDATE ON log
WHEN new.origin IS NOT old.origin OR new.size < old.size
	OR (new.size = old.size AND old.root IS NOT NULL AND new.root IS NOT old.root)
BEGIN
	SELECT RAISE(ABORT, 'a log only grows');
END;
CREATE TRIGGER log_stays BEFORE DELETE ON log
BEGIN
	SELECT RAISE(ABORT, 'a log is never forgotten');
END;

-- name: witness_self server: lite
SELECT name, seed FROM self;

-- name: witness_self_add server: lite
INSERT INTO self (one, name, seed) VALUES (1, ?1, ?2);

-- name: witness_log_add server: lite
INSERT INTO log (origin) VALUES (?1) ON CONFLICT DO NOTHING;

-- name: witness_key_add server: lite
INSERT INTO log_key (origin, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING;

-- name: witness_keys server: lite
SELECT key FROM log_key WHERE origin = ?1 ORDER BY key;

-- name: witness_log server: lite
SELECT size, root, note, signed_at FROM log WHERE origin = ?1;

-- name: witness_log_grow server: lite
UPDATE log SET size = ?2, root = ?3, note = ?4, signed_at = ?5 WHERE origin = ?1;

-- name: witness_fork_add server: lite
INSERT INTO fork (origin, size, root, at, ours, theirs)
SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM fork WHERE origin = ?1) < 16
ON CONFLICT DO NOTHING;

-- name: witness_logs server: lite
SELECT origin, size, root, signed_at, note,
	(SELECT count(*) FROM fork WHERE fork.origin = log.origin)
FROM log ORDER BY origin;

-- name: witness_forks server: lite
SELECT origin, size, at, ours, theirs FROM fork ORDER BY origin, size, at;

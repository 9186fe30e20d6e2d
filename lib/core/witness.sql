-- Who cosigns our logs.  size: of the last checkpoint that it is known to have of a log; covers: the time of
-- the log's signature under what it has cosigned.
-- name: migrate_4 server: lite
CREATE TABLE witness (
	url TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, ca TEXT, added_at INTEGER NOT NULL,
	asked_at INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
	next_try INTEGER NOT NULL DEFAULT 0, error TEXT) WITHOUT ROWID;
CREATE TABLE witness_log (
	url TEXT NOT NULL REFERENCES witness (url) ON DELETE CASCADE,
	log INTEGER NOT NULL REFERENCES log (id), size INTEGER NOT NULL DEFAULT 0,
	covers INTEGER NOT NULL DEFAULT 0, cosigned_at INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,
	next_try INTEGER NOT NULL DEFAULT 0, error TEXT,
	PRIMARY KEY (url, log)) WITHOUT ROWID;

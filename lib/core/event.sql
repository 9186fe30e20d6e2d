-- Each event has its place in a log: one log a tenant and one for the vendor (tenant '').  A name that is
-- used again is another life and another log.  What the row repeats of its bytes is for queries.
-- Events written before have their names in clear in their bytes and stay as they are.
-- name: migrate_3 server: lite
CREATE TABLE log (
	id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, life INTEGER NOT NULL, part INTEGER NOT NULL,
	place TEXT NOT NULL UNIQUE, origin TEXT NOT NULL UNIQUE, next INTEGER NOT NULL,
	size INTEGER NOT NULL DEFAULT 0, root BLOB, signed_at INTEGER NOT NULL DEFAULT 0,
	closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
	UNIQUE (tenant, life, part), CHECK (size <= next));
CREATE INDEX log_behind ON log (signed_at) WHERE next > size AND closed = 0;
CREATE INDEX log_idle ON log (signed_at) WHERE closed = 0;
CREATE TABLE log_key (
	one INTEGER PRIMARY KEY CHECK (one = 1), public BLOB NOT NULL, sealed BLOB NOT NULL);
DROP TABLE opening;
ALTER TABLE event RENAME TO event_1;
CREATE TABLE event (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,
	log INTEGER NOT NULL REFERENCES log (id), log_index INTEGER NOT NULL, run INTEGER, step INTEGER,
	verb TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL, bytes BLOB NOT NULL,
	UNIQUE (log, log_index));
CREATE TABLE opening (
	event INTEGER NOT NULL REFERENCES event (seq), path TEXT NOT NULL, salt BLOB NOT NULL,
	value TEXT NOT NULL, subject TEXT NOT NULL, PRIMARY KEY (event, path)) WITHOUT ROWID;
CREATE INDEX opening_subject ON opening (subject, event);
CREATE TABLE event_life AS
SELECT seq, coalesce(tenant, '') AS tenant,
	max(0, coalesce((SELECT CAST(m.value AS INTEGER) FROM meta m WHERE m.key = 'life/' || tenant), 0)
		- sum(verb = 'tenant.forget' AND outcome IN ('ok', 'resolved: done')
			OR verb = 'tenant.register' AND outcome IN ('undone', 'resolved: undone'))
		OVER (PARTITION BY tenant ORDER BY seq
			ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)) AS life
FROM event_1;
INSERT INTO log (tenant, life, part, place, origin, next)
SELECT tenant, life, 1, place, 'copyhold/' || (SELECT value FROM meta WHERE key = 'home') || '/' || place, n
FROM (SELECT l.tenant, l.life, count(*) AS n, CASE WHEN l.tenant = '' THEN 'vendor'
		ELSE coalesce((SELECT t.id FROM tenant t WHERE t.name = l.tenant AND l.life = coalesce(
				(SELECT CAST(m.value AS INTEGER) FROM meta m WHERE m.key = 'life/' || l.tenant), 0)),
			lower(hex(randomblob(6)))) END || '-' || lower(hex(randomblob(3))) AS place
	FROM event_life l GROUP BY l.tenant, l.life ORDER BY min(l.seq));
INSERT INTO event (seq, id, at, log, log_index, run, step, verb, object, outcome, bytes)
SELECT e.seq, e.id, e.at, g.id, row_number() OVER (PARTITION BY g.id ORDER BY e.seq) - 1, e.run, e.step,
	e.verb, e.object, e.outcome, e.bytes
FROM event_1 e JOIN event_life l ON l.seq = e.seq JOIN log g ON g.tenant = l.tenant AND g.life = l.life;
DROP TABLE event_life;
DROP TABLE event_1;

-- name: log_open server: lite
SELECT id, next FROM log
WHERE tenant = ?1 AND closed = 0
	AND life = coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'life/' || ?1), 0)
ORDER BY part DESC LIMIT 1;

-- name: log_by_number server: lite
SELECT id, next FROM log WHERE id = ?1;

-- What a run tells of a tenant after it has forgotten it belongs to the log of the tenant that was.
-- name: log_of_run server: lite
SELECT l.id, l.next FROM log l JOIN event e ON e.log = l.id AND e.log_index = l.next - 1
WHERE l.tenant = ?1 AND l.closed = 0 AND e.run = ?2
	AND NOT EXISTS (SELECT 1 FROM tenant WHERE name = ?1)
ORDER BY l.life DESC, l.part DESC LIMIT 1;

-- name: log_add server: lite
INSERT INTO log (tenant, life, part, place, origin, next)
SELECT ?1, life, 1 + coalesce((SELECT max(part) FROM log WHERE tenant = ?1 AND log.life = l.life), 0), ?2, ?3, 0
FROM (SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'life/' || ?1), 0) AS life) l;

-- name: log_tenant_id server: lite
SELECT id FROM tenant WHERE name = ?1;

-- name: log_next server: lite
UPDATE log SET next = next + 1 WHERE id = ?1;

-- name: event_add server: lite
INSERT INTO event (id, at, log, log_index, run, step, verb, object, outcome, bytes)
VALUES (?1, ?2, ?3, ?4, nullif(?5, 0), nullif(?6, 0), ?7, ?8, ?9, ?10);

-- name: opening_add server: lite
INSERT INTO opening (event, path, salt, value, subject) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: opening_list server: lite
SELECT path, salt, value, subject FROM opening WHERE event = ?1 ORDER BY path;

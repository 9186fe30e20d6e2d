-- name: log_list server: lite
SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed FROM log
ORDER BY tenant, life, part;

-- name: log_newest server: lite
SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed FROM log
WHERE tenant = ?1 ORDER BY life DESC, part DESC LIMIT 1;

-- name: log_by_origin server: lite
SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed FROM log WHERE origin = ?1;

-- name: log_by_id server: lite
SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed FROM log WHERE id = ?1;

-- Said which index: another one that would do has every log in it.
-- name: log_behind server: lite
SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed
FROM log INDEXED BY log_behind
WHERE next > size AND closed = 0 ORDER BY signed_at LIMIT ?1;

-- Two ranges of the index, for an OR would read all of it at every look.
-- name: log_signed_before server: lite
SELECT * FROM (SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed FROM log
	WHERE closed = 0 AND signed_at < ?1 ORDER BY signed_at)
UNION ALL
SELECT id, tenant, life, part, place, origin, next, size, root, signed_at, closed FROM log
WHERE closed = 0 AND signed_at > ?2;

-- name: log_entries server: lite
SELECT log_index, seq, bytes FROM event WHERE log = ?1 AND log_index >= ?2 AND log_index < ?3
ORDER BY log_index;

-- The tree state: nothing but what was compared is replaced.
-- name: log_signed server: lite
UPDATE log SET size = ?4, root = ?5, signed_at = ?6 WHERE id = ?1 AND size = ?2 AND root IS ?3 AND next >= ?4
RETURNING id;

-- name: log_key_get server: lite
SELECT public, sealed FROM log_key;

-- name: log_key_add server: lite
INSERT INTO log_key (one, public, sealed) VALUES (1, ?1, ?2);

-- name: log_last_event server: lite
SELECT seq, bytes FROM event ORDER BY seq DESC LIMIT 1;

-- name: log_event_at server: lite
SELECT seq, bytes FROM event WHERE seq = ?1;

-- name: log_any_signed server: lite
SELECT EXISTS (SELECT 1 FROM log WHERE size > 0);

-- name: log_set server: lite
UPDATE log SET next = ?2, size = ?3, root = ?4, closed = ?5, signed_at = 0 WHERE id = ?1;

-- name: log_succeed server: lite
INSERT INTO log (tenant, life, part, place, origin, next)
SELECT tenant, life, (SELECT 1 + max(o.part) FROM log o WHERE o.tenant = l.tenant AND o.life = l.life), ?2, ?3, 0
FROM log l WHERE id = ?1;

-- name: log_found server: lite
INSERT INTO log (tenant, life, part, place, origin, next, size, root, closed)
SELECT ?1, life, 1 + coalesce((SELECT max(part) FROM log WHERE tenant = ?1 AND log.life = l.life), 0),
	?2, ?3, ?4, ?4, ?5, 1
FROM (SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'life/' || ?1), 0) AS life) l;

-- Its new first entry has been written: what is moved comes after it.
-- name: event_move server: lite
UPDATE event SET log = ?3, log_index = log_index - ?2 + 1 WHERE log = ?1 AND log_index >= ?2;

-- name: event_aside server: lite
UPDATE event SET log_index = -1 - log_index WHERE log = ?1 AND log_index >= ?2;

-- name: event_behind server: lite
UPDATE event SET log_index = -1 - log_index + ?2 WHERE log = ?1 AND log_index < 0;

-- name: log_moved server: lite
UPDATE log SET next = (SELECT count(*) FROM event WHERE log = ?1) WHERE id = ?1;

-- name: event_take server: lite
INSERT INTO event (id, at, log, log_index, run, step, verb, object, outcome, bytes)
VALUES (?1, ?2, ?3, ?4, nullif(?5, 0), nullif(?6, 0), ?7, ?8, ?9, ?10);

-- Who acted and why, as far as it may still be known: of old events from their bytes.
-- name: event_list server: lite
SELECT e.seq, e.id, e.at, g.tenant, g.origin, e.log_index, e.run, e.step, e.verb, e.object, e.outcome,
	coalesce(a.value, CASE json_type(CAST(e.bytes AS TEXT), '$.actor') WHEN 'text'
		THEN json_extract(CAST(e.bytes AS TEXT), '$.actor') END) AS actor,
	coalesce(r.value, CASE json_type(CAST(e.bytes AS TEXT), '$.reason') WHEN 'text'
		THEN json_extract(CAST(e.bytes AS TEXT), '$.reason') END) AS reason,
	json_extract(CAST(e.bytes AS TEXT), '$.before'), json_extract(CAST(e.bytes AS TEXT), '$.after'),
	a.value IS NULL AND json_type(CAST(e.bytes AS TEXT), '$.actor') = 'object', e.log_index < g.size
FROM event e JOIN log g ON g.id = e.log
	LEFT JOIN opening a ON a.event = e.seq AND a.path = 'actor'
	LEFT JOIN opening r ON r.event = e.seq AND r.path = 'reason'
WHERE e.seq < ?1 AND (?2 IS NULL OR g.tenant = ?2) AND e.at >= ?3 AND (?4 = 0 OR e.at < ?4)
	AND (?5 IS NULL OR e.verb = ?5) AND (?6 IS NULL OR instr(actor, ?6) > 0)
ORDER BY e.seq DESC LIMIT ?7;

-- name: event_by_id server: lite
SELECT e.log, e.log_index FROM event e WHERE e.id = ?1;

-- name: witness_add server: lite
INSERT INTO witness (url, key, ca, added_at) VALUES (?1, ?2, ?3, ?4);

-- name: witness_known server: lite
SELECT url FROM witness WHERE url = ?1 OR key = ?2;

-- name: witness_remove server: lite
DELETE FROM witness WHERE url = ?1 RETURNING key;

-- What waits: logs that were signed after what this witness has cosigned.  since: when the one that waits
-- longest was cosigned last, or could have been first.
-- name: witness_list server: lite
SELECT w.url, w.key, w.ca, w.asked_at, coalesce(max(s.cosigned_at), 0),
	coalesce(sum(l.signed_at > coalesce(s.covers, 0)), 0),
	coalesce(min(CASE WHEN l.signed_at > coalesce(s.covers, 0)
		THEN coalesce(nullif(s.cosigned_at, 0), w.added_at) END), 0),
	coalesce(w.error, max(CASE WHEN l.signed_at > coalesce(s.covers, 0) THEN s.error END))
FROM witness w LEFT JOIN log l ON l.closed = 0 AND l.signed_at > 0
	LEFT JOIN witness_log s ON s.url = w.url AND s.log = l.id
GROUP BY w.url ORDER BY w.url;

-- A checkpoint's time has seconds: a tree that has grown within one is due by its size.
-- name: witness_due server: lite
SELECT l.origin, w.url, w.key, w.ca, coalesce(s.size, 0), w.attempts, coalesce(s.attempts, 0)
FROM witness w JOIN log l ON l.closed = 0 AND l.signed_at > 0
	LEFT JOIN witness_log s ON s.url = w.url AND s.log = l.id
WHERE (?1 = 0 OR l.id = ?1) AND (l.signed_at > coalesce(s.covers, 0) OR l.size > coalesce(s.size, 0))
	AND w.next_try <= ?2 AND coalesce(s.next_try, 0) <= ?2
ORDER BY coalesce(s.covers, 0), l.id, w.url LIMIT ?3;

-- name: witness_answered server: lite
UPDATE witness SET asked_at = ?2, attempts = 0, next_try = 0, error = NULL WHERE url = ?1;

-- name: witness_silent server: lite
UPDATE witness SET asked_at = ?2, attempts = attempts + 1, next_try = ?3, error = ?4 WHERE url = ?1;

-- name: witness_cosigned server: lite
INSERT INTO witness_log (url, log, size, covers, cosigned_at) SELECT ?1, ?2, ?3, ?4, ?5
WHERE EXISTS (SELECT 1 FROM witness WHERE url = ?1)
ON CONFLICT (url, log) DO UPDATE SET size = excluded.size,
	covers = max(covers, excluded.covers), cosigned_at = excluded.cosigned_at, attempts = 0,
	next_try = 0, error = NULL;

-- name: witness_learned server: lite
INSERT INTO witness_log (url, log, size) SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM witness WHERE url = ?1)
ON CONFLICT (url, log) DO UPDATE SET size = excluded.size;

-- name: witness_patience server: lite
SELECT coalesce(max(attempts), 0) FROM witness WHERE next_try <= ?1;

-- name: witness_refused server: lite
INSERT INTO witness_log (url, log, size, attempts, next_try, error) SELECT ?1, ?2, ?3, 1, ?4, ?5
WHERE EXISTS (SELECT 1 FROM witness WHERE url = ?1)
ON CONFLICT (url, log) DO UPDATE SET size = excluded.size, attempts = attempts + 1,
	next_try = excluded.next_try, error = excluded.error;

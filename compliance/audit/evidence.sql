-- The first event of a log's tree from a time on; none: NULL.
-- name: evidence_first server: lite
SELECT min(log_index) FROM event WHERE log = ?1 AND log_index < ?2 AND at >= ?3;

-- The last event of a log's tree before a time; none: NULL.
-- name: evidence_last server: lite
SELECT max(log_index) FROM event WHERE log = ?1 AND log_index < ?2 AND at < ?3;

-- name: evidence_openings server: lite
SELECT e.log_index, o.path, o.salt, o.value FROM event e JOIN opening o ON o.event = e.seq
WHERE e.log = ?1 AND e.log_index >= ?2 AND e.log_index < ?3
ORDER BY e.log_index, o.path;

-- The logs that hold values of a person; ?2 NULL: all of them, else those of that tenant ('': the vendor).
-- name: erase_logs server: lite
SELECT l.tenant, count(*) FROM opening o JOIN event e ON e.seq = o.event JOIN log l ON l.id = e.log
WHERE o.subject = ?1 AND (?2 IS NULL OR l.tenant = ?2)
GROUP BY l.tenant ORDER BY l.tenant;

-- name: erase_openings server: lite
DELETE FROM opening WHERE subject = ?1 AND event IN (
	SELECT e.seq FROM event e JOIN log l ON l.id = e.log WHERE l.tenant = ?2);

-- Events of the first form have the person in their bytes, of which every proof is made.
-- name: erase_plain server: lite
SELECT count(*) FROM event e JOIN log l ON l.id = e.log
WHERE (?2 IS NULL OR l.tenant = ?2) AND instr(e.bytes, CAST(?1 AS BLOB)) > 0;

-- What was deleted is overwritten in the catalogue; the journal of it still has it until it is emptied.
-- name: erase_settle server: lite
PRAGMA wal_checkpoint(TRUNCATE);

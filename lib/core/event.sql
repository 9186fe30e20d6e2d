-- name: event_last server: lite
SELECT bytes FROM event ORDER BY seq DESC LIMIT 1;

-- name: event_add server: lite
INSERT INTO event (id, at, home, tenant, run, step, actor, reason, verb, object, outcome, before, after,
	bytes, prev_hash)
VALUES (?1, ?2, ?3, ?4, nullif(?5, 0), nullif(?6, 0), ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15);

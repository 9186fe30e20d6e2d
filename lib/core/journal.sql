-- name: run_add server: lite
INSERT INTO run (verb, state, actor, reason, started) VALUES (?1, 'running', ?2, ?3, ?4);

-- name: run_end server: lite
UPDATE run SET state = ?2, ended = ?3, exit_code = ?4 WHERE id = ?1;

-- name: run_again server: lite
UPDATE run SET state = 'running', ended = NULL, exit_code = NULL WHERE id = ?1;

-- name: run_get server: lite
SELECT id, verb, state, actor, reason, started, ended, exit_code FROM run WHERE id = ?1;

-- name: run_list server: lite
SELECT r.id, r.verb, r.state, r.actor, r.reason, r.started, r.ended, r.exit_code,
	(SELECT count(*) FROM step s WHERE s.run = r.id),
	(SELECT count(*) FROM step s WHERE s.run = r.id AND s.state = 'done')
FROM run r ORDER BY r.id DESC LIMIT ?1;

-- name: step_add server: lite
INSERT INTO step (run, id, scope, kind, key, title, args, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'waiting');

-- name: step_list server: lite
SELECT id, scope, kind, key, title, args, state, attempt, error, started, ended
FROM step WHERE run = ?1 ORDER BY id;

-- name: step_intent server: lite
UPDATE step SET state = 'intent', attempt = attempt + 1, started = ?3 WHERE run = ?1 AND id = ?2;

-- name: step_state server: lite
UPDATE step SET state = ?3, error = ?4, ended = ?5 WHERE run = ?1 AND id = ?2;

-- name: step_abandon_waiting server: lite
UPDATE step SET state = 'abandoned' WHERE run = ?1 AND scope = ?2 AND state = 'waiting';

-- name: scope_unfinished server: lite
SELECT s.run FROM step s
WHERE s.scope = ?1 AND s.state IN ('intent','unknown','undoing','undo_failed','failed')
UNION
SELECT s.run FROM step s
WHERE s.scope = ?1 AND s.state = 'waiting'
	AND EXISTS (SELECT 1 FROM step d WHERE d.run = s.run AND d.scope = ?1 AND d.state IN ('done','undone'))
ORDER BY 1 LIMIT 1;

-- name: scope_supersede server: lite
UPDATE step SET state = 'abandoned'
WHERE scope = ?1 AND run < ?2 AND state = 'waiting';

-- name: scope_later server: lite
SELECT run FROM step WHERE scope = ?1 AND run > ?2 AND state NOT IN ('waiting','abandoned','undone')
ORDER BY run LIMIT 1;

-- name: scope_last server: lite
SELECT coalesce(max(run), 0) FROM step WHERE scope = ?1 AND kind = ?2 AND state = 'done';

-- name: scope_open server: lite
SELECT run FROM step WHERE scope = ?1 AND run <> ?2 AND state NOT IN ('done','undone','abandoned')
ORDER BY run LIMIT 1;

-- The condition of the index step_open_record, word by word.
-- name: shared_tenant_open server: lite
SELECT run, scope FROM step
WHERE kind IN ('tenant.register','tenant.record') AND state NOT IN ('done','undone','abandoned')
	AND run <> ?2 AND json_extract(args, '$.shared') = ?1
ORDER BY run LIMIT 1;

-- name: shared_tenant_later server: lite
SELECT run FROM step
WHERE run > ?2 AND kind IN ('tenant.register','tenant.record')
	AND state NOT IN ('waiting','undone','abandoned') AND json_extract(args, '$.shared') = ?1
ORDER BY run LIMIT 1;

-- A run that was killed before its first step is closed when a newer one has taken its steps over.
-- name: run_superseded server: lite
UPDATE run SET state = 'failed'
WHERE state IN ('stopped','running') AND id < ?1
	AND EXISTS (SELECT 1 FROM step s WHERE s.run = run.id AND s.state = 'abandoned')
	AND NOT EXISTS (SELECT 1 FROM step s WHERE s.run = run.id
		AND s.state IN ('waiting','intent','unknown','undoing','undo_failed','failed'));

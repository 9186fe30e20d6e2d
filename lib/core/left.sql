-- What tenants have left behind: meta rows "left/TENANT", the cluster as value.

-- name: left_put server: lite
INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: left_remove server: lite
DELETE FROM meta WHERE key = ?1;

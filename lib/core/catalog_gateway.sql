-- What the gateway's side reads.  client_*: the password that an application uses at the gateway; the
-- other one is the role's on the server.  Both NULL: a login of before, for which the role's counts.
-- route_log holds the newest change of each tenant, and of each cluster as "@NAME"; triggers write it,
-- so that no writer can forget.
-- name: migrate_5 server: lite
ALTER TABLE login ADD COLUMN client_verifier TEXT;
ALTER TABLE login ADD COLUMN client_sealed BLOB;
ALTER TABLE tenant ADD COLUMN pool TEXT;
ALTER TABLE tenant ADD COLUMN guarded INTEGER;
ALTER TABLE tenant ADD COLUMN cap INTEGER NOT NULL DEFAULT 0;
ALTER TABLE route DROP COLUMN pool;
ALTER TABLE route DROP COLUMN caps;
ALTER TABLE route DROP COLUMN tls_profile;
ALTER TABLE route ADD COLUMN parked_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE route ADD COLUMN number INTEGER;
UPDATE route SET number = n.number
	FROM (SELECT tenant, row_number() OVER (ORDER BY tenant) AS number FROM route) n
	WHERE n.tenant = route.tenant;
CREATE UNIQUE INDEX route_number ON route (number);
DELETE FROM route_log WHERE seq NOT IN (SELECT max(seq) FROM route_log GROUP BY tenant);
DROP TABLE gateway;
CREATE TABLE gateway (
	id TEXT PRIMARY KEY, pid INTEGER NOT NULL, address TEXT NOT NULL, tls INTEGER NOT NULL,
	ca TEXT, since INTEGER NOT NULL, lease_until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cluster_number (name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
INSERT INTO cluster_number (name, number)
	SELECT name, row_number() OVER (ORDER BY name) FROM object WHERE kind = 'Cluster';
CREATE TRIGGER route_log_newest AFTER INSERT ON route_log BEGIN
	DELETE FROM route_log WHERE tenant = NEW.tenant AND seq < NEW.seq;
END;
CREATE TRIGGER route_parked AFTER UPDATE OF parked_until ON route
WHEN NEW.parked_until <> OLD.parked_until BEGIN
	INSERT INTO route_log (tenant, epoch) VALUES (NEW.tenant, NEW.epoch);
END;
CREATE TRIGGER route_gone AFTER DELETE ON route BEGIN
	INSERT INTO route_log (tenant, epoch) VALUES (OLD.tenant, OLD.epoch);
END;
CREATE TRIGGER login_new AFTER INSERT ON login BEGIN
	INSERT INTO route_log (tenant, epoch) SELECT tenant, epoch FROM route WHERE tenant = NEW.tenant;
END;
CREATE TRIGGER login_changed AFTER UPDATE ON login BEGIN
	INSERT INTO route_log (tenant, epoch) SELECT tenant, epoch FROM route WHERE tenant = NEW.tenant;
END;
CREATE TRIGGER login_gone AFTER DELETE ON login BEGIN
	INSERT INTO route_log (tenant, epoch) SELECT tenant, epoch FROM route WHERE tenant = OLD.tenant;
END;
CREATE TRIGGER tenant_changed AFTER UPDATE OF state, pool, guarded, cap ON tenant
WHEN (NEW.state, NEW.pool, NEW.guarded, NEW.cap) IS NOT (OLD.state, OLD.pool, OLD.guarded, OLD.cap) BEGIN
	INSERT INTO route_log (tenant, epoch) SELECT tenant, epoch FROM route WHERE tenant = NEW.name;
END;
CREATE TRIGGER cluster_new AFTER INSERT ON object WHEN NEW.kind = 'Cluster' BEGIN
	INSERT INTO cluster_number (name, number)
		SELECT NEW.name, min(a.number) + 1
		FROM (SELECT 0 AS number UNION ALL SELECT number FROM cluster_number) a
		WHERE NOT EXISTS (SELECT 1 FROM cluster_number b WHERE b.number = a.number + 1);
	INSERT INTO route_log (tenant, epoch) VALUES ('@' || NEW.name, 0);
END;
CREATE TRIGGER cluster_changed AFTER UPDATE OF spec ON object
WHEN NEW.kind = 'Cluster' AND NEW.spec <> OLD.spec BEGIN
	INSERT INTO route_log (tenant, epoch) VALUES ('@' || NEW.name, 0);
END;
CREATE TRIGGER cluster_gone AFTER DELETE ON object WHEN OLD.kind = 'Cluster' BEGIN
	DELETE FROM cluster_number WHERE name = OLD.name;
	INSERT INTO route_log (tenant, epoch) VALUES ('@' || OLD.name, 0);
END;

-- name: tenant_gateway server: lite
UPDATE tenant SET pool = ?2, guarded = nullif(?3, -1), cap = ?4 WHERE name = ?1;

-- name: gate_seq server: lite
SELECT coalesce(max(seq), 0) FROM route_log;

-- name: gate_figures server: lite
SELECT count(*), coalesce(max(number), 0) FROM route;

-- name: gate_routes server: lite
SELECT r.tenant, r.number, r.epoch, r.seq, r.state, r.parked_until, coalesce(c.number, 0), r.dbname,
	t.state, t.pool, coalesce(t.guarded, t.mode = 'shared'), t.cap
FROM route r JOIN tenant t ON t.name = r.tenant LEFT JOIN cluster_number c ON c.name = r.cluster
ORDER BY r.tenant;

-- name: gate_route server: lite
SELECT r.tenant, r.number, r.epoch, r.seq, r.state, r.parked_until, coalesce(c.number, 0), r.dbname,
	t.state, t.pool, coalesce(t.guarded, t.mode = 'shared'), t.cap
FROM route r JOIN tenant t ON t.name = r.tenant LEFT JOIN cluster_number c ON c.name = r.cluster
WHERE r.tenant = ?1;

-- name: gate_logins server: lite
SELECT tenant, client_user, role, on_now, coalesce(valid_until, 0), coalesce(max_conns, 0)
FROM login ORDER BY tenant, client_user;

-- name: gate_logins_of server: lite
SELECT tenant, client_user, role, on_now, coalesce(valid_until, 0), coalesce(max_conns, 0)
FROM login WHERE tenant = ?1 ORDER BY client_user;

-- name: gate_changes server: lite
SELECT seq, tenant FROM route_log WHERE seq > ?1 ORDER BY seq;

-- name: gate_clusters server: lite
SELECT n.number, n.name, coalesce((SELECT seq FROM route_log WHERE tenant = '@' || n.name), 0)
FROM cluster_number n ORDER BY n.number;

-- name: login_client server: lite
SELECT coalesce(client_verifier, scram_verifier), scram_verifier, coalesce(valid_until, 0),
	coalesce(max_conns, 0), client_verifier IS NOT NULL
FROM login WHERE tenant = ?1 AND client_user = ?2;

-- name: login_client_sealed server: lite
SELECT client_sealed FROM login WHERE tenant = ?1 AND client_user = ?2;

-- name: login_client_put server: lite
UPDATE login SET client_verifier = ?3, client_sealed = ?4 WHERE tenant = ?1 AND client_user = ?2;

-- name: route_park server: lite
UPDATE route SET state = 'park', parked_until = ?2 WHERE tenant = ?1 AND state IN ('open', 'park')
RETURNING tenant;

-- name: route_release server: lite
UPDATE route SET state = 'open', parked_until = 0 WHERE tenant = ?1 AND state = 'park'
RETURNING tenant;

-- name: gateway_put server: lite
INSERT INTO gateway (id, pid, address, tls, ca, since, lease_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: gateway_renew server: lite
UPDATE gateway SET lease_until = ?2 WHERE id = ?1 RETURNING id;

-- name: gateway_hide server: lite
UPDATE gateway SET address = '' WHERE id = ?1;

-- name: gateway_remove server: lite
DELETE FROM gateway WHERE id = ?1;

-- name: gateway_forget server: lite
DELETE FROM gateway WHERE lease_until < ?1;

-- name: gateway_list server: lite
SELECT id, pid, address, tls, ca, since, lease_until FROM gateway WHERE lease_until > ?1
ORDER BY since, id;
